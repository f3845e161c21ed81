//! From the log to the consume queues and the index, in batches, by one thread at a time: whoever appended, at the end
//! of its turn, or the dispatch thread, woken by the *readable* watermark.
//!
//! A batch is parsed straight from the mapping, its entries are grouped by queue, each queue gets one append, then the
//! index, then the owner is told. Queues skip what they already hold, so a batch may be dispatched again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering, fence};
use std::time::Duration;

use parking_lot::Mutex;

use crate::commitlog::CommitLog;
use crate::compaction::CompactionStore;
use crate::consume_queue::{PlacedEntry, QueueTable};
use crate::error::StoreError;
use crate::hooks::{Arrival, StoreHooks};
use crate::index::{IndexKeys, IndexService};
use crate::light;
use crate::read::QueueEntry;
use crate::record::{self, FLAG_INNER_BATCH, FLAG_TRANSACTION_MASK, FLAG_TRANSACTION_ROLLBACK, Record, RecordError};
use crate::watermark::Watermark;

/// Bytes of the log dispatched in one batch at most (a longer record makes a batch of its own).
const BATCH_BYTES: usize = 1 << 20;
/// Records in one batch at most.
const BATCH_RECORDS: usize = 4096;
/// Groups found by walking the list; more are found by hash.
const LINEAR_GROUPS: usize = 16;
/// Pause before an append that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Batches that somebody who appended dispatches at most before the dispatch thread takes over.
const ASSIST_STEPS: usize = 2;
/// Topic of delayed messages; its tags code is the time a message is due.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";

/// See the module text.
pub struct Dispatcher {
    queues: Arc<QueueTable>,
    index: Option<Arc<IndexService>>,
    compaction: Option<Arc<CompactionStore>>,
    hooks: Arc<dyn StoreHooks>,
    /// Messages come into the light queues that they name.
    light: bool,
    /// Held by whoever dispatches.
    turn: Mutex<()>,
    /// Everything below is in the queues and the index. Raised by the holder of the turn.
    dispatched: Watermark,
    /// Start of the last record dispatched.
    last_physical_offset: AtomicI64,
    /// Its store time.
    last_store_timestamp: AtomicI64,
}

/// What the checkpoint says once the queues have been flushed.
#[derive(Clone, Copy, Debug, Default)]
pub struct DispatchPoint {
    /// Commit-log offset of the last record dispatched.
    pub physical_offset: i64,
    /// Its store time, milliseconds since 1970.
    pub store_timestamp: i64,
}

#[derive(Default)]
struct Batch<'a> {
    /// Bits for extensions are worked out.
    with_bits: bool,
    groups: Vec<Group<'a>>,
    by_queue: HashMap<(&'a str, i32), usize>,
    indexed: Vec<(i64, i64, Keys<'a>)>,
    arrivals: Vec<Arrival<'a>>,
    last: DispatchPoint,
}

struct Group<'a> {
    topic: &'a str,
    queue_id: i32,
    entries: Vec<PlacedEntry>,
    /// Bits for the extension, one item for each entry; empty unless extensions are written.
    bits: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Default)]
struct Keys<'a> {
    topic: &'a str,
    uniq_key: Option<&'a str>,
    keys: Option<&'a str>,
    tags: Option<&'a str>,
}

impl<'a> Batch<'a> {
    /// Adds the entry of a record in one of its queues.
    fn push(
        &mut self,
        record: &Record<'a>,
        (topic, queue_id): (&'a str, i32),
        placed: PlacedEntry,
        bits: Option<Vec<u8>>,
        notify: bool,
    ) {
        self.push_entry(topic, queue_id, placed, bits);
        if notify {
            self.arrivals.push(Arrival {
                topic,
                queue_id,
                next_offset: placed.end(),
                tags_code: placed.entry.tags_code,
                store_timestamp: placed.store_timestamp,
                physical_offset: placed.entry.physical_offset,
                properties: record.properties(),
            });
        }
    }

    fn push_entry(&mut self, topic: &'a str, queue_id: i32, entry: PlacedEntry, bits: Option<Vec<u8>>) {
        let at = match self.groups.last() {
            Some(last) if last.queue_id == queue_id && last.topic == topic => Some(self.groups.len() - 1),
            _ if self.groups.len() <= LINEAR_GROUPS => {
                self.groups.iter().position(|group| group.queue_id == queue_id && group.topic == topic)
            }
            _ => self.by_queue.get(&(topic, queue_id)).copied(),
        };
        if let Some(group) = at.and_then(|at| self.groups.get_mut(at)) {
            group.entries.push(entry);
            group.bits.extend(bits);
            return;
        }
        self.by_queue.insert((topic, queue_id), self.groups.len());
        self.groups.push(Group { topic, queue_id, entries: vec![entry], bits: bits.into_iter().collect() });
    }
}

impl Dispatcher {
    /// Everything below `from` is dispatched already; `light`: messages come into the light queues that they name, too.
    pub fn new(
        queues: Arc<QueueTable>,
        index: Option<Arc<IndexService>>,
        compaction: Option<Arc<CompactionStore>>,
        hooks: Arc<dyn StoreHooks>,
        light: bool,
        from: i64,
    ) -> Self {
        Dispatcher {
            queues,
            index,
            compaction,
            hooks,
            light,
            turn: Mutex::new(()),
            dispatched: Watermark::new(from),
            last_physical_offset: AtomicI64::new(0),
            last_store_timestamp: AtomicI64::new(0),
        }
    }

    /// Watermark of dispatched bytes.
    pub fn dispatched(&self) -> &Watermark {
        &self.dispatched
    }

    /// The last record dispatched; zeros when there was none.
    pub fn point(&self) -> DispatchPoint {
        DispatchPoint {
            store_timestamp: self.last_store_timestamp.load(Ordering::Acquire),
            physical_offset: self.last_physical_offset.load(Ordering::Acquire),
        }
    }

    /// Dispatches the records in `bytes`, which start at a record. Returns the bytes consumed and why it stopped.
    ///
    /// # Errors
    /// When a queue or the index cannot take them. Calling again with the same bytes is harmless.
    pub fn dispatch(&self, bytes: &[u8], notify: bool) -> Result<(usize, RecordError), StoreError> {
        let mut batch = Batch { with_bits: self.queues.writes_ext(), ..Batch::default() };
        let mut consumed = 0;
        let mut records = 0;
        let stopped = loop {
            if consumed >= BATCH_BYTES || records >= BATCH_RECORDS {
                break RecordError::Short;
            }
            match Record::parse(bytes.get(consumed..).unwrap_or_default()) {
                Ok(record) => {
                    self.collect(&record, &mut batch, notify);
                    consumed += record.size();
                    records += 1;
                }
                Err(reason) => break reason,
            }
        };
        if records > 0 {
            self.apply(&batch, bytes, notify)?;
        }
        Ok((consumed, stopped))
    }

    fn collect<'a>(&self, record: &Record<'a>, batch: &mut Batch<'a>, notify: bool) {
        let mut keys = Keys { topic: record.topic(), ..Keys::default() };
        let (mut delay, mut inner_number) = (None, None);
        let (mut light_queues, mut light_offsets) = (None, None);
        for (name, value) in record::properties(record.properties()) {
            let slot = match name {
                b"TAGS" => &mut keys.tags,
                b"KEYS" => &mut keys.keys,
                b"UNIQ_KEY" => &mut keys.uniq_key,
                b"DELAY" => &mut delay,
                b"INNER_NUM" => &mut inner_number,
                b"INNER_MULTI_DISPATCH" if self.light => &mut light_queues,
                b"INNER_MULTI_QUEUE_OFFSET" if self.light => &mut light_offsets,
                _ => continue,
            };
            *slot = std::str::from_utf8(value).ok();
        }
        let physical_offset = record.physical_offset();
        let store_timestamp = record.store_timestamp();
        batch.last = DispatchPoint { physical_offset, store_timestamp };
        if record.is_queued() {
            let level = match delay {
                Some(level) if keys.topic == SCHEDULE_TOPIC => level.parse().unwrap_or(0),
                _ => 0,
            };
            let tags_code = if level > 0 {
                self.hooks.deliver_time(level, store_timestamp)
            } else {
                keys.tags.map_or(0, record::tags_code)
            };
            let entry = QueueEntry { physical_offset, size: record.size() as i32, tags_code };
            let messages = match inner_number {
                Some(number) if record.sys_flag() & FLAG_INNER_BATCH != 0 => record::inner_number(number),
                _ => 1,
            };
            let placed = PlacedEntry { queue_offset: record.queue_offset(), messages, store_timestamp, entry };
            if let (Some(queues), Some(offsets)) = (light_queues, light_offsets)
                && light::topic_allows(record.topic())
            {
                for (name, offset) in light::placed(queues, offsets) {
                    let placed = PlacedEntry { queue_offset: offset, messages: 1, store_timestamp, entry };
                    let bits = batch.with_bits.then(Vec::new);
                    batch.push(record, (name, light::QUEUE_ID), placed, bits, notify);
                }
            }
            let bits = batch.with_bits.then(|| {
                let mut bits = Vec::new();
                self.hooks.filter_bits(record.topic(), record.properties(), &mut bits);
                bits
            });
            batch.push(record, (record.topic(), record.queue_id()), placed, bits, notify);
        }
        let rolled_back = record.sys_flag() & FLAG_TRANSACTION_MASK == FLAG_TRANSACTION_ROLLBACK;
        if self.index.is_some() && !rolled_back {
            batch.indexed.push((physical_offset, store_timestamp, keys));
        }
    }

    /// Hands on a batch, whose records lie in `bytes`.
    fn apply(&self, batch: &Batch<'_>, bytes: &[u8], notify: bool) -> Result<(), StoreError> {
        for group in &batch.groups {
            match self.queues.get_or_create(group.topic, group.queue_id) {
                Ok(queue) => {
                    queue.append_extended(&group.entries, &group.bits)?;
                    if queue.is_compacted() {
                        self.compact(group, bytes)?;
                    }
                }
                // Only the body of a record is under a checksum. One whose head is damaged must not hold up the others.
                Err(error @ StoreError::Corrupt { .. }) => {
                    let records = group.entries.len();
                    tracing::error!(%error, records, "records of the commit log belong to no possible queue, left out");
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(index) = &self.index {
            for &(physical_offset, store_timestamp, keys) in &batch.indexed {
                index.put(&IndexKeys {
                    topic: keys.topic,
                    uniq_key: keys.uniq_key,
                    keys: keys.keys,
                    tags: keys.tags,
                    physical_offset,
                    store_timestamp,
                })?;
            }
        }
        self.last_store_timestamp.store(batch.last.store_timestamp, Ordering::Release);
        self.last_physical_offset.store(batch.last.physical_offset, Ordering::Release);
        if notify && !batch.arrivals.is_empty() {
            self.hooks.messages_arrived(&batch.arrivals);
        }
        Ok(())
    }

    /// Appends the records of a group to its compaction log.
    fn compact(&self, group: &Group<'_>, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(compaction) = &self.compaction else { return Ok(()) };
        let base = Record::parse(bytes).map_or(0, |first| first.physical_offset());
        let records = group.entries.iter().filter_map(|placed| {
            let at = usize::try_from(placed.entry.physical_offset - base).ok()?;
            let end = at.checked_add(usize::try_from(placed.entry.size).ok()?)?;
            Some((*placed, bytes.get(at..end)?))
        });
        compaction.append(group.topic, group.queue_id, records)
    }

    /// Body of the dispatch thread. Once `stopped` it goes on until nothing readable is left or an append fails.
    pub fn run(&self, log: &CommitLog, stopped: &AtomicBool) {
        loop {
            let step = {
                let _turn = self.turn.lock();
                self.step(log)
            };
            match step {
                Step::Done => {}
                Step::Nothing { position } => {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    log.readable().wait_above(position, Duration::from_secs(1));
                }
                Step::Failed => {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    std::thread::sleep(RETRY_AFTER);
                }
            }
        }
    }

    /// Dispatches on the thread of somebody who appended, so that no other need be woken. What takes longer, or fails,
    /// is left to the dispatch thread.
    pub fn assist(&self, log: &CommitLog) {
        for _ in 0..ASSIST_STEPS {
            // Pairs with the fence of whoever holds the turn: either the append is seen there after the turn was
            // given up, or the turn is free here.
            fence(Ordering::SeqCst);
            if self.dispatched.get() >= log.readable().get() {
                return;
            }
            let Some(turn) = self.turn.try_lock() else { return };
            let step = self.step(log);
            drop(turn);
            if !matches!(step, Step::Done) {
                break;
            }
        }
        fence(Ordering::SeqCst);
        if self.dispatched.get() < log.readable().get() {
            log.readable().notify();
        }
    }

    /// Dispatches one batch. The caller holds the turn.
    fn step(&self, log: &CommitLog) -> Step {
        let position = self.dispatched.get();
        let limit = log.readable().get();
        if position >= limit {
            return Step::Nothing { position };
        }
        let Some(segment) = log.segment_at(position) else {
            // Only expiry deletes files, and never one that is still to be read here unless the disk is full.
            let first = log.min_offset();
            if first > position {
                tracing::error!(from = position, to = first, "commit-log files deleted before they were dispatched");
                self.dispatched.raise(first);
                return Step::Done;
            }
            tracing::error!(position, limit, "commit log ends before its watermark");
            return Step::Failed;
        };
        let length = usize::try_from(limit.min(segment.end()) - position).unwrap_or_default();
        let dispatched = match segment.bytes(position, length) {
            Some(bytes) => self.dispatch(bytes, true),
            None => Ok((0, RecordError::Short)),
        };
        let next = match dispatched {
            Ok((0, RecordError::Blank)) => segment.end(),
            Ok((0, reason)) => {
                tracing::error!(position, %reason, "commit log holds no record here, going on at the next file");
                segment.end().min(limit)
            }
            Ok((consumed, _)) => position + consumed as i64,
            Err(error) => {
                tracing::error!(position, %error, "cannot dispatch, trying again");
                return Step::Failed;
            }
        };
        self.dispatched.raise(next);
        Step::Done
    }
}

/// What came of an attempt to dispatch a batch.
enum Step {
    /// A batch was dispatched; there may be more.
    Done,
    /// Everything below `position` is dispatched, and nothing beyond is readable.
    Nothing { position: i64 },
    /// Reported; to be tried again later.
    Failed,
}
