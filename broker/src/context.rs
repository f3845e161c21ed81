//! The broker's state, shared by all handlers.

use std::sync::Arc;

use hypergol_store::MessageStore;

/// A broker. Handlers get it as `&Arc<Broker>`; all of it may be used from any thread.
pub struct Broker {
    /// The message store.
    pub store: Arc<MessageStore>,
}
