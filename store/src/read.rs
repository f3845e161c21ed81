//! Reading a queue: requests, filters, results.

use bytes::Bytes;

/// What a consumer asks for.
#[derive(Clone, Copy, Debug)]
pub struct GetRequest<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Queue of the topic.
    pub queue_id: i32,
    /// First queue offset wanted.
    pub offset: i64,
    /// Messages wanted at most.
    pub max_messages: u32,
    /// Bytes wanted at most; the first message is always returned.
    pub max_bytes: u32,
}

/// Decides which messages a read returns.
pub trait MessageFilter: Sync {
    /// Looks at the consume-queue entry alone.
    fn matches_queue_entry(&self, tags_code: i64) -> bool;

    /// Looks at the whole record, after the entry matched.
    fn matches_record(&self, _record: &[u8]) -> bool {
        true
    }
}

/// The filter that lets everything pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatchAll;

impl MessageFilter for MatchAll {
    fn matches_queue_entry(&self, _tags_code: i64) -> bool {
        true
    }
}

/// Outcome of a read, named as in Java's `GetMessageStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetStatus {
    /// At least one message.
    Found,
    /// Messages were there, none matched.
    NoMatchedMessage,
    /// The messages' commit-log file has been deleted.
    MessageWasRemoving,
    /// The queue's file of that offset has been deleted.
    OffsetFoundNull,
    /// Offset beyond the queue's end.
    OffsetOverflowBadly,
    /// Offset just at the queue's end.
    OffsetOverflowOne,
    /// Offset before the queue's start.
    OffsetTooSmall,
    /// No such queue. Java makes the queue on the way and so never answers this; neither does this store.
    NoMatchedLogicQueue,
    /// The queue never held a message.
    NoMessageInQueue,
}

/// What a read returns.
#[derive(Clone, Debug)]
pub struct GetResult {
    /// Outcome.
    pub status: GetStatus,
    /// Queue offset the consumer should ask for next.
    pub next_begin_offset: i64,
    /// First offset of the queue.
    pub min_offset: i64,
    /// Offset behind the last message of the queue.
    pub max_offset: i64,
    /// Whole records, in queue order.
    pub messages: Vec<Bytes>,
    /// Queue offset of each of `messages`.
    pub queue_offsets: Vec<i64>,
    /// Number of messages.
    pub count: u32,
    /// Bytes of all messages.
    pub bytes: u32,
    /// The consumer is so far behind that a slave should serve it.
    pub suggest_slave: bool,
    /// Some record was too far behind the end of the log to be in memory, and was read from disk.
    pub cold: bool,
    /// Bytes between the last record looked at and the end of the log; `None` when no record was looked at.
    pub fall_behind_bytes: Option<i64>,
    /// Records the record filter refused.
    pub filtered: u32,
}

/// One 20-byte unit of a consume queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// Commit-log offset of the record.
    pub physical_offset: i64,
    /// Bytes of the record.
    pub size: i32,
    /// Java hash of the tag; the deliver time for SCHEDULE_TOPIC_XXXX.
    pub tags_code: i64,
}

/// Which end of a run of equal store times a lookup by time wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// First message not older than the time.
    Lower,
    /// Last message not younger than the time.
    Upper,
}

/// Which kind of key a query looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A client key (property KEYS).
    Key,
    /// The unique id (property UNIQ_KEY).
    UniqueKey,
    /// A tag (property TAGS).
    Tag,
}

/// Messages whose key has the wanted hash. Other keys may share the hash: the caller compares topic and key.
#[derive(Clone, Debug, Default)]
pub struct QueryResult {
    /// Whole records, newest first.
    pub messages: Vec<Bytes>,
    /// Store time of the newest indexed message, milliseconds since 1970.
    pub index_last_update_timestamp: i64,
    /// Commit-log offset of the newest indexed message.
    pub index_last_update_physical_offset: i64,
}

/// How full the disks are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiskUsage {
    /// Used share of the commit log's disk, 0.0..=1.0.
    pub commit_log_ratio: f64,
    /// Used share of the consume queues' disk, 0.0..=1.0.
    pub consume_queue_ratio: f64,
    /// Bytes of the commit log's disk.
    pub total_bytes: u64,
    /// Free bytes of the commit log's disk.
    pub free_bytes: u64,
}
