//! RocketMQ message store: commit log, consume queues, index, checkpoint. Knows nothing of the network.

pub mod checkpoint;
pub mod config;
pub mod consume_queue;
pub mod error;
pub mod hooks;
pub mod message;
pub mod read;
pub mod record;
pub mod stats;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use config::{FlushDiskType, StoreConfig};
pub use error::{FlushError, PutError, StoreError};
pub use hooks::{Arrival, NoHooks, StoreHooks};
pub use message::{Appended, AppendedBatch, BatchChild, NewMessage, Writable};
pub use read::{
    Boundary, DiskUsage, GetRequest, GetResult, GetStatus, KeyKind, MatchAll, MessageFilter,
    QueryResult, QueueEntry,
};
pub use record::{Record, RecordError};
pub use stats::StoreStats;

/// Callback of [`MessageStore::when_flushed`].
pub type FlushCallback = Box<dyn FnOnce(Result<(), FlushError>) + Send>;

/// A store folder, opened. Shared as `Arc<MessageStore>`; every method may be called from any thread.
pub struct MessageStore {
    stats: StoreStats,
}

#[allow(unused_variables)]
impl MessageStore {
    /// Locks the folder, loads and recovers it, starts the store's threads.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is left running.
    pub fn open(
        config: StoreConfig,
        hooks: Arc<dyn StoreHooks>,
    ) -> Result<Arc<MessageStore>, StoreError> {
        unimplemented!()
    }

    /// Stops the threads, flushes everything, removes `abort` when everything was dispatched. Idempotent.
    pub fn shutdown(&self) {
        unimplemented!()
    }

    /// Appends a message. On return its bytes are in the mapping (they outlive the process), not yet on disk.
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn put(&self, message: &NewMessage<'_>) -> Result<Appended, PutError> {
        unimplemented!()
    }

    /// Appends messages that share everything but flag, body and properties with `template`: all or none, adjacent,
    /// with consecutive queue offsets. The template's own body, properties and flag are not used.
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn put_batch(
        &self,
        template: &NewMessage<'_>,
        children: &[BatchChild<'_>],
    ) -> Result<AppendedBatch, PutError> {
        unimplemented!()
    }

    /// Calls `done` once everything below `end_offset` is on disk, or flushing failed, or `timeout` passed. Runs on a
    /// store thread, or inline when the answer is already known; must not block.
    pub fn when_flushed(&self, end_offset: i64, timeout: Duration, done: FlushCallback) {
        unimplemented!()
    }

    /// Reads messages of a queue.
    pub fn get(&self, request: &GetRequest<'_>, filter: &dyn MessageFilter) -> GetResult {
        unimplemented!()
    }

    /// Whether the first record of this read is so far behind the end of the log that [`MessageStore::get`] would
    /// have to wait for the disk. Callers on an async runtime move such reads to a blocking pool.
    pub fn is_cold(&self, request: &GetRequest<'_>) -> bool {
        unimplemented!()
    }

    /// The whole record at this commit-log offset, with its lengths checked; `None` when there is none.
    pub fn record_at(&self, physical_offset: i64) -> Option<Bytes> {
        unimplemented!()
    }

    /// `size` bytes at this commit-log offset, when they are a record of that size.
    pub fn record_at_sized(&self, physical_offset: i64, size: i32) -> Option<Bytes> {
        unimplemented!()
    }

    /// One entry of a queue.
    pub fn queue_entry(&self, topic: &str, queue_id: i32, queue_offset: i64) -> Option<QueueEntry> {
        unimplemented!()
    }

    /// Up to `max` entries of a queue from an offset on.
    pub fn queue_entries(
        &self,
        topic: &str,
        queue_id: i32,
        from: i64,
        max: usize,
    ) -> Vec<QueueEntry> {
        unimplemented!()
    }

    /// First offset of a queue; 0 when there is no such queue.
    pub fn min_offset(&self, topic: &str, queue_id: i32) -> i64 {
        unimplemented!()
    }

    /// Offset behind the last readable message of a queue; 0 when there is no such queue.
    pub fn max_offset(&self, topic: &str, queue_id: i32) -> i64 {
        unimplemented!()
    }

    /// Offset the next message of the queue will get; may be ahead of [`MessageStore::max_offset`].
    pub fn next_offset(&self, topic: &str, queue_id: i32) -> i64 {
        unimplemented!()
    }

    /// Offset of a queue by store time, with Java's `getOffsetInQueueByTime` rules.
    pub fn offset_by_time(
        &self,
        topic: &str,
        queue_id: i32,
        timestamp_ms: i64,
        boundary: Boundary,
    ) -> i64 {
        unimplemented!()
    }

    /// Store time of the message at a queue offset, milliseconds since 1970; -1 when unknown.
    pub fn store_time_of(&self, topic: &str, queue_id: i32, queue_offset: i64) -> i64 {
        unimplemented!()
    }

    /// Store time of a queue's first message, milliseconds since 1970; -1 when unknown.
    pub fn earliest_message_time(&self, topic: &str, queue_id: i32) -> i64 {
        unimplemented!()
    }

    /// Store time of the log's first record, milliseconds since 1970; -1 when the log is empty.
    pub fn earliest_store_time(&self) -> i64 {
        unimplemented!()
    }

    /// Messages by key, newest first, stored within `begin_ms..=end_ms`. Compares hashes only: the caller compares
    /// topic and key of each message.
    pub fn query(
        &self,
        topic: &str,
        key: &str,
        kind: KeyKind,
        max: usize,
        begin_ms: i64,
        end_ms: i64,
    ) -> QueryResult {
        unimplemented!()
    }

    /// Whether a record at this offset is near enough to the log's end to be in memory.
    pub fn in_memory(&self, physical_offset: i64) -> bool {
        unimplemented!()
    }

    /// First offset the log still holds; -1 for an empty log.
    pub fn min_physical_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Offset behind the last record.
    pub fn max_physical_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Everything below is on disk.
    pub fn flushed_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Everything below is in the consume queues and the index.
    pub fn dispatched_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Whether the store takes messages, and if not, why.
    pub fn writable(&self) -> Writable {
        unimplemented!()
    }

    /// For how long the append lock has been held by its present holder, milliseconds; 0 when it is free.
    pub fn page_cache_lock_time_ms(&self) -> i64 {
        unimplemented!()
    }

    /// Counters.
    pub fn stats(&self) -> &StoreStats {
        &self.stats
    }

    /// How full the disks are.
    pub fn disk_usage(&self) -> DiskUsage {
        unimplemented!()
    }

    /// Every topic that has consume queues, with its queue ids in order.
    pub fn topics(&self) -> Vec<(String, Vec<i32>)> {
        unimplemented!()
    }

    /// Drops a topic's consume queues and their folder. True when there were any.
    pub fn delete_topic(&self, topic: &str) -> bool {
        unimplemented!()
    }

    /// Drops the consume queues of every topic for which `live` is false; returns the topics dropped.
    pub fn clean_unused_topics(&self, live: &dyn Fn(&str) -> bool) -> Vec<String> {
        unimplemented!()
    }

    /// Deletes consume-queue and index files that point before the log's first offset.
    pub fn clean_expired_queues(&self) {
        unimplemented!()
    }

    /// Runs the expiry of commit-log files now, whatever the hour.
    pub fn delete_expired_commit_log(&self) {
        unimplemented!()
    }

    /// Switches between synchronous and background flushing.
    pub fn set_flush_mode(&self, mode: FlushDiskType) {
        unimplemented!()
    }

    /// Takes over the *live* settings of `config`; the others keep the values the store was opened with.
    pub fn apply_config(&self, config: &StoreConfig) {
        unimplemented!()
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<StoreConfig> {
        unimplemented!()
    }
}
