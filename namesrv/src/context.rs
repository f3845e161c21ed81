//! What the handlers of a name server share.

use std::time::Instant;

use arc_swap::ArcSwap;
use hypergol_config::Live;

use crate::brokers::Brokers;
use crate::config::NamesrvSettings;
use crate::kv_config::KvConfig;
use crate::topics::Topics;

/// The state of a name server. Routes are read from it by any connection.
pub(crate) struct Context {
    /// The configuration.
    pub(crate) config: Live<NamesrvSettings>,
    /// The KV configuration.
    pub(crate) kv: KvConfig,
    /// The topics; changed by the registry's thread only.
    pub(crate) topics: Topics,
    /// The broker sets; replaced by the registry's thread only.
    pub(crate) brokers: ArcSwap<Brokers>,
    /// When this name server started.
    pub(crate) started: Instant,
}
