//! Consumption by popping: the broker hands out messages, remembers them by checkpoints, and hands out again what is
//! not acknowledged in time.
//!
//! Read in this order: [`checkpoint`] (what is remembered of a pop), [`journal`] (how it gets into the revive topic),
//! [`buffer`] (how far a group has come, and checkpoints kept in memory for a while), [`revive`] (what comes back),
//! [`order`] (pops that keep order have no checkpoints), [`held`] (pops that wait).
//!
//! Invariants:
//! - The committed offset of a group passes a message only when the checkpoint that holds it is in the log, or when the
//!   message was acknowledged, or no filter of the group lets it pass. Under SYNC_FLUSH "in the log" means on disk.
//! - The revive topic's own offset passes a checkpoint only when each of its messages was acknowledged, or is in the
//!   retry topic, or is in a newer checkpoint, or is gone from the log.
//! - A queue is popped for a group by one request at a time ([`locks`]).

pub mod buffer;
pub mod checkpoint;
pub mod held;
pub mod in_flight;
pub mod journal;
pub mod locks;
pub mod order;
pub mod order_info;
pub mod retry;
pub mod revive;
pub mod service;

use std::sync::Arc;

pub use service::Pop;

/// A queue of a topic as one group sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueKey {
    /// Topic.
    pub topic: Arc<str>,
    /// Consumer group.
    pub group: Arc<str>,
    /// Queue of the topic; -1 where any queue is meant.
    pub queue_id: i32,
}

impl QueueKey {
    /// The key of a queue.
    pub fn new(topic: &str, group: &str, queue_id: i32) -> Self {
        Self { topic: topic.into(), group: group.into(), queue_id }
    }
}

impl std::fmt::Display for QueueKey {
    /// Java's `topic@group@queueId`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}@{}", self.topic, self.group, self.queue_id)
    }
}
