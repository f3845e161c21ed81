//! What the store asks of, and tells, its owner.

use crate::consume_queue::QueueKind;

/// A message that has just become readable in its queue.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Queue of the topic.
    pub queue_id: i32,
    /// Offset behind the message: a consumer waiting for anything below it may be woken.
    pub next_offset: i64,
    /// Tags code of its consume-queue entry.
    pub tags_code: i64,
    /// Store time, milliseconds since 1970.
    pub store_timestamp: i64,
    /// Commit-log offset of the record.
    pub physical_offset: i64,
    /// Encoded properties.
    pub properties: &'a [u8],
}

/// Implemented by the store's owner. `messages_arrived` and `deliver_time` run on the dispatch thread, or on one that
/// calls [`crate::MessageStore::dispatch`], one call at a time, and must not block;
/// all but `messages_arrived` also run inside [`crate::MessageStore::open`] while the log is recovered.
pub trait StoreHooks: Send + Sync {
    /// A batch of freshly readable queue positions, in log order.
    fn messages_arrived(&self, arrivals: &[Arrival<'_>]);

    /// When a message of SCHEDULE_TOPIC_XXXX is due, milliseconds since 1970. `delay_level` is at least 1 and may be
    /// beyond the table; the owner caps it.
    fn deliver_time(&self, delay_level: i32, store_timestamp_ms: i64) -> i64;

    /// Appends the bits of the filters that a message matches, for the extension of its queue; nothing where no filter
    /// is known. Only asked while extensions are written; runs where `messages_arrived` does, and inside
    /// [`crate::MessageStore::open`].
    fn filter_bits(&self, _topic: &str, _properties: &[u8], _bits: &mut Vec<u8>) {}

    /// Whether a topic is compacted (its attribute `cleanup.policy`). Asked once for each queue, when it is made or
    /// loaded.
    fn is_compacted(&self, _topic: &str) -> bool {
        false
    }

    /// What kind of queues a topic has (its attribute `queue.type`); `None` for a topic that does not exist. The answer
    /// for a topic changes only by deleting it. Called by the threads that put messages; must not block.
    fn queue_kind(&self, _topic: &str) -> Option<QueueKind> {
        None
    }
}

/// Hooks that do nothing; delayed messages are due at once. For tools and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl StoreHooks for NoHooks {
    fn messages_arrived(&self, _arrivals: &[Arrival<'_>]) {}

    fn deliver_time(&self, _delay_level: i32, store_timestamp_ms: i64) -> i64 {
        store_timestamp_ms
    }
}
