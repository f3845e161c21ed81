//! Reading a queue: requests, filters, results, and the read itself.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use crate::MessageStore;
use crate::commitlog::Lookup;
use crate::consume_queue::ext::{self, ExtUnit};
use crate::consume_queue::{ConsumeQueue, PlacedEntry, QueueKind, unit};
use crate::error::StoreError;
use crate::patience::Patience;
use crate::stats::StoreStats;

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

    /// The same for an entry with an extension; `None` where its unit is gone: without a tags code anything passes.
    fn matches_extended(&self, unit: Option<&ExtUnit>) -> bool {
        unit.is_none_or(|unit| self.matches_queue_entry(unit.tags_code))
    }

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
    /// The disk could not be read at the next begin offset. Java has no such status: a consumer that takes any of the
    /// others for it goes on behind messages it never saw.
    Unreadable,
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
    /// Whole records, in queue order; inner batches are whole, too, and may begin before the offset asked for.
    pub messages: Vec<Bytes>,
    /// Queue offset of each of `messages`.
    pub queue_offsets: Vec<i64>,
    /// Number of messages, those within inner batches counted one by one.
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

/// One unit of a consume queue.
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
    /// Whole records in log order.
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

/// Bytes one read returns at most, whatever is asked (`MAX_PULL_MSG_SIZE` of Java's `DefaultMessageStore`).
pub(crate) const READ_BYTES_MAX: u64 = 128 << 20;
/// Bytes one read may return at least (likewise).
pub(crate) const READ_BYTES_MIN: u64 = 100;
/// Entries fetched at a time when a filter makes a read go on.
const ENTRIES_MORE: usize = 128;

impl GetResult {
    pub(crate) fn empty(status: GetStatus, next_begin_offset: i64) -> Self {
        GetResult {
            status,
            next_begin_offset,
            min_offset: 0,
            max_offset: 0,
            messages: Vec::new(),
            queue_offsets: Vec::new(),
            count: 0,
            bytes: 0,
            suggest_slave: false,
            cold: false,
            fall_behind_bytes: None,
            filtered: 0,
        }
    }
}

/// An entry with its tags code in place, and the unit of the extension that has it.
fn with_ext(queue: &ConsumeQueue, entry: QueueEntry) -> (QueueEntry, Option<ExtUnit>) {
    let unit = queue.ext_unit(entry.tags_code, Patience::Endless).unwrap_or_else(|error| {
        tracing::error!(topic = queue.topic(), queue = queue.queue_id(), %error,
            "extension of the consume queue cannot be read");
        None
    });
    let tags_code = unit.as_ref().map_or(entry.tags_code, |unit| unit.tags_code);
    (QueueEntry { tags_code, ..entry }, unit)
}

impl MessageStore {
    /// Reads messages of a queue. Order of checks, limits and next offsets are those of Java's
    /// `DefaultMessageStore.getMessage`. May take as long as the disk does.
    pub fn get(&self, request: &GetRequest<'_>, filter: &dyn MessageFilter) -> GetResult {
        // Only a read without patience has no result.
        self.get_with(Patience::Endless, request, filter).unwrap_or_else(|| GetResult::empty(GetStatus::Unreadable, 0))
    }

    /// The same, for threads that must not wait: `None` when the disk would have to be waited for. What was read in vain
    /// counts nowhere.
    pub fn get_now(&self, request: &GetRequest<'_>, filter: &dyn MessageFilter) -> Option<GetResult> {
        self.get_with(Patience::None, request, filter)
    }

    fn get_with(&self, patience: Patience, request: &GetRequest<'_>, filter: &dyn MessageFilter) -> Option<GetResult> {
        let begin = Instant::now();
        let result = self.get_inner(patience, begin, request, filter)?;
        let stats = self.stats();
        if result.status == GetStatus::Found {
            StoreStats::add(&stats.get_found, 1);
            StoreStats::add(&stats.get_transferred_messages, u64::from(result.count));
        } else {
            StoreStats::add(&stats.get_missed, 1);
        }
        StoreStats::raise(&stats.get_entire_time_max_ms, begin.elapsed().as_millis() as i64);
        Some(result)
    }

    fn get_inner(
        &self,
        patience: Patience,
        now: Instant,
        request: &GetRequest<'_>,
        filter: &dyn MessageFilter,
    ) -> Option<GetResult> {
        let offset = request.offset;
        let Some(queue) = self.core.queues.get(request.topic, request.queue_id) else {
            let min_offset = self.min_offset(request.topic, request.queue_id);
            return Some(GetResult { min_offset, ..GetResult::empty(GetStatus::NoMessageInQueue, 0) });
        };
        if queue.is_compacted()
            && let Some(compaction) = &self.core.compaction
        {
            let config = self.core.config.load();
            return compaction.read(patience, request, &config, self.core.hot_bytes(&config));
        }
        let (min, max) = (queue.min_offset(), queue.max_offset());
        let (status, next) = match () {
            () if max == 0 => (GetStatus::NoMessageInQueue, 0),
            () if offset < min => (GetStatus::OffsetTooSmall, min),
            () if offset == max => (GetStatus::OffsetOverflowOne, offset),
            () if offset > max => (GetStatus::OffsetOverflowBadly, max),
            () => (GetStatus::NoMatchedMessage, offset),
        };
        let mut result = GetResult::empty(status, next);
        (result.min_offset, result.max_offset) = (min, max);
        if status != GetStatus::NoMatchedMessage {
            return Some(result);
        }

        let config = self.core.config.load();
        let log = &self.core.log;
        let log_end = log.max_offset();
        let memory = self.core.hot_bytes(&config);
        let max_messages = u64::from(request.max_messages.max(1));
        let max_bytes = u64::from(request.max_bytes).clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let unit_size = queue.kind().unit_size() as u64;
        let scan_bytes = (config.max_filter_message_size as u64).max(max_messages * unit_size);
        let scan_end = offset.saturating_add(scan_bytes.div_ceil(unit_size).max(1) as i64).min(max);
        let mut records = log.reader(patience, now);
        let mut last_looked_at = 0;
        // Entries below this commit-log offset lie in a file that is gone.
        let mut gone_below = i64::MIN;
        let mut fetch = (max_messages as usize).min(config.max_transfer_count_on_message_in_memory).max(1);
        let mut entries = Vec::new();
        'scan: while result.next_begin_offset < scan_end {
            let from = result.next_begin_offset;
            let wanted = fetch.min((scan_end - from) as usize);
            entries.clear();
            // An error behind some entries shows again when the rest is asked for.
            if let Err(error) = queue.entries_with(patience, from, wanted, &mut entries)
                && entries.is_empty()
            {
                if error.is_would_block() {
                    return None;
                }
                tracing::error!(topic = request.topic, queue_id = request.queue_id, %error, "consume queue cannot be read");
                if result.count == 0 {
                    result.status = GetStatus::Unreadable;
                }
                break;
            }
            if entries.is_empty() {
                result.status = GetStatus::OffsetFoundNull;
                result.next_begin_offset = match queue.kind() {
                    QueueKind::Simple => {
                        let per_file = (config.mapped_file_size_consume_queue as i64 / unit_size as i64).max(1);
                        (from / per_file + 1) * per_file
                    }
                    QueueKind::Batch => 0,
                };
                tracing::warn!(
                    topic = request.topic,
                    queue_id = request.queue_id,
                    offset = from,
                    min,
                    max,
                    next = result.next_begin_offset,
                    "consume queue has no entry within its bounds"
                );
                break;
            }
            fetch = ENTRIES_MORE;
            for placed in &entries {
                let PlacedEntry { queue_offset, entry, .. } = *placed;
                if queue_offset >= scan_end {
                    break 'scan;
                }
                let placed_messages = u32::from(placed.messages.unsigned_abs());
                let hot = log_end.saturating_sub(entry.physical_offset) <= memory;
                let size = entry.size.max(0) as u64;
                let bytes = u64::from(result.bytes);
                if result.count > 0 {
                    let (bytes_max, count_max) = if hot {
                        (config.max_transfer_bytes_on_message_in_memory, config.max_transfer_count_on_message_in_memory)
                    } else {
                        (config.max_transfer_bytes_on_message_in_disk, config.max_transfer_count_on_message_in_disk)
                    };
                    let count = u64::from(result.count);
                    let full = count + u64::from(placed_messages) > max_messages || count >= count_max as u64;
                    if full || bytes + size > max_bytes.min(bytes_max as u64) {
                        break 'scan;
                    }
                }
                last_looked_at = entry.physical_offset;
                result.next_begin_offset = placed.end();
                if entry.physical_offset < gone_below || unit::is_filler(&entry) {
                    continue;
                }
                let extended = queue.kind() == QueueKind::Simple && ext::is_address(entry.tags_code);
                let wanted = match extended.then(|| queue.ext_unit(entry.tags_code, patience)) {
                    None => filter.matches_queue_entry(entry.tags_code),
                    Some(Ok(unit)) => filter.matches_extended(unit.as_ref()),
                    // What was found so far is enough; the rest is asked for with the next read.
                    Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                        if result.count == 0 {
                            return None;
                        }
                        result.next_begin_offset = queue_offset.max(offset);
                        break 'scan;
                    }
                    Some(Err(error)) => {
                        tracing::error!(topic = request.topic, queue_id = request.queue_id, queue_offset, %error,
                            "extension of the consume queue cannot be read");
                        filter.matches_extended(None)
                    }
                };
                if !wanted {
                    if result.count == 0 {
                        result.status = GetStatus::NoMatchedMessage;
                    }
                    continue;
                }
                let found = records.read(entry.physical_offset, entry.size, |record| filter.matches_record(record));
                let record = match found {
                    Ok(Lookup::Found(record)) => record,
                    Ok(Lookup::Unwanted) => {
                        if result.count == 0 {
                            result.status = GetStatus::NoMatchedMessage;
                        }
                        result.filtered += 1;
                        continue;
                    }
                    Ok(Lookup::Missing) => {
                        if result.count == 0 {
                            result.status = GetStatus::MessageWasRemoving;
                        }
                        let first = log.min_offset();
                        if entry.physical_offset < first {
                            gone_below = first;
                        } else {
                            tracing::error!(
                                topic = request.topic,
                                queue_id = request.queue_id,
                                queue_offset,
                                ?entry,
                                "consume queue points to no record of the commit log, entry passed over"
                            );
                        }
                        continue;
                    }
                    // What was found so far is enough; the rest is asked for with the next read.
                    Err(error) if error.is_would_block() && result.count > 0 => {
                        result.next_begin_offset = queue_offset.max(offset);
                        break 'scan;
                    }
                    Err(error) if error.is_would_block() => return None,
                    Err(error) => {
                        tracing::error!(topic = request.topic, queue_id = request.queue_id, queue_offset, %error,
                            "commit log cannot be read");
                        if result.count == 0 {
                            result.status = GetStatus::Unreadable;
                        }
                        result.next_begin_offset = queue_offset.max(offset);
                        break 'scan;
                    }
                };
                result.cold |= !hot;
                result.count = result.count.saturating_add(placed_messages);
                result.bytes = result.bytes.saturating_add(size as u32);
                result.messages.push(record);
                result.queue_offsets.push(queue_offset);
                result.status = GetStatus::Found;
                gone_below = i64::MIN;
            }
        }
        let behind = log_end.saturating_sub(last_looked_at);
        result.fall_behind_bytes = Some(behind);
        result.suggest_slave = behind > memory;
        Some(result)
    }

    /// Whether a record at this offset is near enough to the log's end to be in memory.
    pub fn in_memory(&self, physical_offset: i64) -> bool {
        self.core.log.max_offset().saturating_sub(physical_offset) <= self.core.hot_bytes(&self.core.config.load())
    }

    /// The whole record at this commit-log offset, with its lengths checked; `None` when there is none.
    pub fn record_at(&self, physical_offset: i64) -> Option<Bytes> {
        self.core.log.record(physical_offset, None, !self.in_memory(physical_offset))
    }

    /// `size` bytes at this commit-log offset, when they are a record of that size.
    pub fn record_at_sized(&self, physical_offset: i64, size: i32) -> Option<Bytes> {
        let size = usize::try_from(size).ok()?;
        self.core.log.record(physical_offset, Some(size), !self.in_memory(physical_offset))
    }

    /// Copies the record of `size` bytes at this commit-log offset into `buffer`, by a system call: for those who read
    /// much and late, and whose reading is not to make this process hold the log in memory. False when there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`]: the record may be there, but cannot be read.
    pub fn read_record(&self, physical_offset: i64, size: i32, buffer: &mut Vec<u8>) -> Result<bool, StoreError> {
        self.core.log.read_record(physical_offset, size, buffer)
    }

    /// One entry of a queue.
    pub fn queue_entry(&self, topic: &str, queue_id: i32, queue_offset: i64) -> Option<QueueEntry> {
        let queue = self.core.queues.get(topic, queue_id)?;
        Some(with_ext(&queue, queue.entry(queue_offset)?).0)
    }

    /// Up to `max` entries of a queue from an offset on, one for each record.
    pub fn queue_entries(&self, topic: &str, queue_id: i32, from: i64, max: usize) -> Vec<QueueEntry> {
        self.queue_units(topic, queue_id, from, max).into_iter().map(|(entry, _)| entry).collect()
    }

    /// The same with the units of their extensions. An entry whose unit is gone keeps its address for a tags code.
    pub fn queue_units(&self, topic: &str, queue_id: i32, from: i64, max: usize) -> Vec<(QueueEntry, Option<ExtUnit>)> {
        let mut found: Vec<PlacedEntry> = Vec::new();
        let queue = self.core.queues.get(topic, queue_id);
        if let Some(queue) = &queue {
            while found.len() < max {
                let next = found.last().map_or(from, PlacedEntry::end);
                match queue.entries(next, max - found.len(), &mut found) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(topic, queue_id, %error, "consume queue cannot be read");
                        break;
                    }
                }
            }
        }
        let Some(queue) = queue else { return Vec::new() };
        found.into_iter().map(|placed| with_ext(&queue, placed.entry)).collect()
    }

    /// First offset of a queue. When it never held a message, 0, but -1 for a topic with batch queues, as in Java.
    pub fn min_offset(&self, topic: &str, queue_id: i32) -> i64 {
        match self.core.queues.get(topic, queue_id) {
            Some(queue) => queue.min_offset(),
            None => match self.core.queues.kind_of(topic) {
                QueueKind::Simple => 0,
                QueueKind::Batch => -1,
            },
        }
    }

    /// Offset behind the last readable message of a queue; 0 when there is no such queue.
    pub fn max_offset(&self, topic: &str, queue_id: i32) -> i64 {
        self.core.queues.get(topic, queue_id).map_or(0, |queue| queue.max_offset())
    }

    /// Offset the next message of the queue will get; may be ahead of [`MessageStore::max_offset`].
    pub fn next_offset(&self, topic: &str, queue_id: i32) -> i64 {
        self.core.queues.get(topic, queue_id).map_or(0, |queue| queue.next_offset().load(Ordering::Acquire))
    }
}
