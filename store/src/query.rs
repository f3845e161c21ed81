//! Finding messages by time and by key.

use crate::MessageStore;
use crate::read::{Boundary, KeyKind, QueryResult};
use crate::record::Record;

impl MessageStore {
    /// Offset of a queue by store time, with Java's `getOffsetInQueueByTime` rules: the first message not older than
    /// the time (or the queue's end), or the last one not younger (or the queue's start). In batch queues it is the first
    /// message of a batch, and of the last batch when all are older. The queue's first offset when it holds none.
    pub fn offset_by_time(&self, topic: &str, queue_id: i32, timestamp_ms: i64, boundary: Boundary) -> i64 {
        let Some(queue) = self.core.queues.get(topic, queue_id) else {
            return self.min_offset(topic, queue_id);
        };
        let log = &self.core.log;
        queue.offset_by_time(timestamp_ms, boundary, log.min_offset(), |entry| {
            Some(log.store_time(entry.physical_offset, entry.size)).filter(|time| *time >= 0)
        })
    }

    /// Store time of the message at a queue offset, milliseconds since 1970; -1 when unknown.
    pub fn store_time_of(&self, topic: &str, queue_id: i32, queue_offset: i64) -> i64 {
        self.queue_entry(topic, queue_id, queue_offset)
            .map_or(-1, |entry| self.core.log.store_time(entry.physical_offset, entry.size))
    }

    /// Store time of a queue's first message, milliseconds since 1970; -1 when unknown.
    pub fn earliest_message_time(&self, topic: &str, queue_id: i32) -> i64 {
        self.store_time_of(topic, queue_id, self.min_offset(topic, queue_id))
    }

    /// Store time of the log's first record, milliseconds since 1970; -1 when the log is empty.
    pub fn earliest_store_time(&self) -> i64 {
        let first = self.core.log.record(self.core.log.min_offset(), None, false);
        first.and_then(|bytes| Record::parse(&bytes).ok().map(|record| record.store_timestamp())).unwrap_or(-1)
    }

    /// Messages by key, in log order, stored within `begin_ms..=end_ms`. Compares hashes only: the caller compares topic
    /// and key of each message.
    pub fn query(&self, topic: &str, key: &str, kind: KeyKind, max: usize, begin_ms: i64, end_ms: i64) -> QueryResult {
        let Some(index) = &self.core.index else { return QueryResult::default() };
        let max = max.min(self.core.config.load().max_msgs_num_batch);
        let mut hits = index.query(topic, key, kind, max, begin_ms, end_ms);
        hits.physical_offsets.sort_unstable();
        QueryResult {
            messages: hits.physical_offsets.iter().filter_map(|&offset| self.record_at(offset)).collect(),
            index_last_update_timestamp: hits.last_update_timestamp,
            index_last_update_physical_offset: hits.last_update_physical_offset,
        }
    }
}
