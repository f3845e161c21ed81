//! The pairs of files of a compaction log: appending, reading, checking. See `mod.rs` for the layout.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use super::Shared;
use crate::config::StoreConfig;
use crate::consume_queue::files::{self, FileKey};
use crate::consume_queue::{PlacedEntry, QueueKind, unit};
use crate::error::StoreError;
use crate::folder;
use crate::patience::Patience;
use crate::read::{GetRequest, GetResult, GetStatus, QueueEntry, READ_BYTES_MAX, READ_BYTES_MIN};
use crate::record::{END_FILE_MIN_BLANK, MAGIC_BLANK, PROPERTY_KEYS, Record, property};

/// Folder of the logs, below `compaction`.
pub const LOG_FOLDER: &str = "compactionLog";
/// Folder of their queues.
pub const QUEUE_FOLDER: &str = "compactionCq";
/// Bytes of a unit.
const UNIT: i64 = QueueKind::Batch.unit_size() as i64;
/// Where a record has its physical offset.
const PHYSICAL_AT: usize = 28;
/// Units read at a time.
const UNITS_AT_ONCE: i64 = 512;
/// Bytes of records read at a time, unless one is longer.
const SCAN_BYTES: i64 = 1 << 20;
/// Bytes that wait to be written at most, unless one record is longer.
const WRITE_BYTES: usize = 1 << 20;
/// Pairs of log and queue have at least this ratio of sizes. Java: `CompactionLog.getCompactionLogSize`.
const LOG_PER_QUEUE_MIN: i64 = 5;
/// Name of a file that Java is about to delete.
const DELETED: &str = ".delete";

/// Sizes of the files of a pair, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of the log.
    pub log: i64,
    /// Of the queue, a multiple of the unit.
    pub queue: i64,
}

impl Sizes {
    /// What Java makes of `compactionMappedFileSize` and `compactionCqMappedFileSize`: whole units, and about the log's
    /// size in multiples of the queue's.
    pub fn new(log: usize, queue: usize) -> Self {
        let (log, queue) = (log as i64, (queue as i64 / UNIT).max(1) * UNIT);
        let times = log / queue;
        let rest = log % queue;
        let times = match () {
            () if times < LOG_PER_QUEUE_MIN => LOG_PER_QUEUE_MIN,
            () if rest > 0 && rest < queue / 2 => times,
            () => times + 1,
        };
        Sizes { log: times * queue, queue }
    }
}

/// The folders of a log.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Of the records.
    pub log: PathBuf,
    /// Of the units.
    pub queue: PathBuf,
}

impl Folders {
    /// Those of a queue, below the folder `compaction`.
    pub fn of(root: &Path, topic: &str, queue_id: i32) -> Self {
        let of = |folder: &str| root.join(folder).join(topic).join(queue_id.to_string());
        Folders { log: of(LOG_FOLDER), queue: of(QUEUE_FOLDER) }
    }

    /// A sub-folder of both.
    pub fn below(&self, name: &str) -> Self {
        Folders { log: self.log.join(name), queue: self.queue.join(name) }
    }
}

/// A file of records and its file of units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Key of the open files.
    serial: u64,
    /// Offset of the first record; name of both files.
    pub base: i64,
    /// Units, and so records.
    units: i64,
    /// Bytes of records.
    used: i64,
    /// First queue offset; of no account without units.
    first: i64,
    /// Last queue offset; -1 without units.
    pub last: i64,
    /// Written since the last flush.
    dirty: bool,
}

/// Which file of a pair.
#[derive(Clone, Copy)]
enum Side {
    Log,
    Queue,
}

/// A log, or the one that is to replace it.
pub struct Part {
    folders: Folders,
    shared: Arc<Shared>,
    /// In order; readers hold it while they read, so that files are not replaced under them.
    pairs: RwLock<Vec<Pair>>,
    /// Held to write. True once the log was deleted.
    writer: Mutex<bool>,
}

/// Called with a unit and its record; false to stop.
pub type Each<'a> = dyn FnMut(&PlacedEntry, &[u8]) -> Result<bool, StoreError> + 'a;

impl Part {
    /// Opens the files of the folders, which need not exist, and checks them, see [`super::CompactionStore::open`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folders: Folders, shared: Arc<Shared>, flushed: Option<i64>) -> Result<Self, StoreError> {
        let part = Part { folders, shared, pairs: RwLock::default(), writer: Mutex::new(false) };
        let logs = bases(&part.folders.log, part.shared.sizes.log)?;
        let queues = bases(&part.folders.queue, part.shared.sizes.queue)?;
        for (folder, base) in
            orphans(&part.folders.log, &logs, &queues).chain(orphans(&part.folders.queue, &queues, &logs))
        {
            let path = files::path_of(folder, base);
            tracing::error!(path = %path.display(), "a file of a compaction log without its other half, deleted");
            std::fs::remove_file(&path).map_err(|error| StoreError::io("delete", &path, error))?;
        }
        for base in logs.into_iter().filter(|base| queues.contains(base)) {
            let pair = part.load(base)?;
            part.pairs.write().push(pair);
        }
        if let Some(flushed) = flushed {
            part.check(flushed)?;
        }
        Ok(part)
    }

    /// Folders of the files.
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// What all logs share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// All pairs as they are now.
    pub fn pairs(&self) -> Vec<Pair> {
        self.pairs.read().clone()
    }

    /// Keeps writers out.
    pub fn lock_writer(&self) -> MutexGuard<'_, bool> {
        self.writer.lock()
    }

    /// Keeps readers out.
    pub fn lock_pairs(&self) -> RwLockWriteGuard<'_, Vec<Pair>> {
        self.pairs.write()
    }

    /// Takes nothing more and forgets its files, which are about to be deleted.
    pub fn close(&self) {
        *self.writer.lock() = true;
        for pair in std::mem::take(&mut *self.pairs.write()) {
            self.forget(&pair);
        }
    }

    /// Closes the files of a pair.
    pub fn forget(&self, pair: &Pair) {
        for side in [Side::Log, Side::Queue] {
            self.shared.cache.forget(key(pair, side));
        }
    }

    fn folder(&self, side: Side) -> &Path {
        match side {
            Side::Log => &self.folders.log,
            Side::Queue => &self.folders.queue,
        }
    }

    fn file(&self, pair: &Pair, side: Side) -> io::Result<Arc<File>> {
        self.shared.cache.get(key(pair, side), || files::open(self.folder(side), pair.base))
    }

    fn failed<'a>(&'a self, action: &'static str, pair: &'a Pair, side: Side) -> impl Fn(io::Error) -> StoreError + 'a {
        move |error| StoreError::io(action, files::path_of(self.folder(side), pair.base), error)
    }

    fn load(&self, base: i64) -> Result<Pair, StoreError> {
        let serial = self.shared.serials.fetch_add(1, Ordering::Relaxed);
        let mut pair = Pair { serial, base, units: 0, used: 0, first: 0, last: -1, dirty: false };
        // Valid units come first: find how many.
        let (mut low, mut high) = (0, self.shared.sizes.queue / UNIT);
        while low < high {
            let middle = (low + high) / 2;
            if self.unit(&pair, middle)?.is_some_and(|unit| self.is_within(&pair, &unit)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.cut_to(&mut pair, low)?;
        Ok(pair)
    }

    fn is_within(&self, pair: &Pair, placed: &PlacedEntry) -> bool {
        let begin = placed.entry.physical_offset.saturating_sub(pair.base);
        placed.is_valid() && begin >= 0 && begin.saturating_add(placed.entry.size.into()) <= self.shared.sizes.log
    }

    /// Makes a pair end behind its first `units` units.
    fn cut_to(&self, pair: &mut Pair, units: i64) -> Result<(), StoreError> {
        let ends = match units {
            0 => None,
            units => self.unit(pair, 0)?.zip(self.unit(pair, units - 1)?),
        };
        (pair.units, pair.used, pair.first, pair.last) = match ends {
            None => (0, 0, 0, -1),
            Some((first, last)) => {
                (units, unit::end_of(&last.entry) - pair.base, first.queue_offset, last.queue_offset)
            }
        };
        Ok(())
    }

    /// A unit by its number, whatever it holds; `None` beyond the file.
    fn unit(&self, pair: &Pair, number: i64) -> Result<Option<PlacedEntry>, StoreError> {
        Ok(self.units(Patience::Endless, pair, number, 1)?.first().copied())
    }

    fn units(&self, patience: Patience, pair: &Pair, from: i64, count: i64) -> Result<Vec<PlacedEntry>, StoreError> {
        let count = count.min(self.shared.sizes.queue / UNIT - from).max(0);
        let mut bytes = vec![0; (count * UNIT) as usize];
        let failed = self.failed("read", pair, Side::Queue);
        let file = self.file(pair, Side::Queue).map_err(&failed)?;
        patience.read(&file, &mut bytes, (from * UNIT) as u64).map_err(&failed)?;
        Ok(unit::decode_all(QueueKind::Batch, &bytes, 0).collect())
    }

    /// The number of the first unit of this queue offset or a later one.
    fn find(&self, patience: Patience, pair: &Pair, queue_offset: i64) -> Result<i64, StoreError> {
        let (mut low, mut high) = (0, pair.units);
        while low < high {
            let middle = (low + high) / 2;
            match self.units(patience, pair, middle, 1)?.first() {
                Some(unit) if unit.queue_offset < queue_offset => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Goes over the units of a pair with their records.
    ///
    /// # Errors
    /// [`StoreError::Io`], and those of `each`.
    pub fn scan(&self, pair: &Pair, each: &mut Each<'_>) -> Result<(), StoreError> {
        let file = self.file(pair, Side::Log).map_err(self.failed("open", pair, Side::Log))?;
        let mut at = 0;
        let mut bytes = Vec::new();
        while at < pair.units {
            let mut units = self.units(Patience::Endless, pair, at, UNITS_AT_ONCE.min(pair.units - at))?;
            let Some((first, begin)) = units.first().map(|unit| (unit.queue_offset, unit.entry.physical_offset)) else {
                break;
            };
            // Records follow one another; where they do not, whoever checks will see it.
            let mut next = begin;
            let adjacent = units.iter().take_while(|unit| {
                let fits = unit.entry.physical_offset == next && self.is_within(pair, unit);
                let room = next == begin || next - begin + i64::from(unit.entry.size) <= SCAN_BYTES;
                next = unit::end_of(&unit.entry);
                fits && room
            });
            let count = adjacent.count();
            units.truncate(count);
            let Some(last) = units.last() else {
                return Err(self.corrupt(pair, first, "points to no place in its log"));
            };
            bytes.resize((unit::end_of(&last.entry) - begin) as usize, 0);
            let failed = self.failed("read", pair, Side::Log);
            Patience::Endless.read(&file, &mut bytes, (begin - pair.base) as u64).map_err(failed)?;
            for unit in &units {
                let start = (unit.entry.physical_offset - begin) as usize;
                let record = bytes.get(start..start + unit.entry.size as usize).unwrap_or_default();
                if !each(unit, record)? {
                    return Ok(());
                }
            }
            at += count as i64;
        }
        Ok(())
    }

    /// Keeps the longest good prefix of what was stored at `flushed` or later, all of which is dispatched again. What is
    /// older stays, whatever its state: the commit log may no longer have it.
    fn check(&self, flushed: i64) -> Result<(), StoreError> {
        let all = self.pairs();
        let mut first = all.len().saturating_sub(1);
        for (number, pair) in all.iter().enumerate().take(first) {
            let last = self.unit(pair, pair.units.max(1) - 1)?;
            if pair.units == 0 || last.is_none_or(|last| last.store_timestamp >= flushed) {
                first = number;
                break;
            }
        }
        for number in first..all.len() {
            let mut pair = all[number].clone();
            let mut good = 0;
            let mut last = number.checked_sub(1).map_or(-1, |before| all[before].last);
            let checked = self.scan(&pair, &mut |placed, bytes| {
                let is_good = placed.queue_offset > last && is_record_of(placed, bytes);
                let is_old = placed.store_timestamp < flushed;
                if !is_good && is_old {
                    let error = self.corrupt(&all[number], placed.queue_offset, "points to a damaged record");
                    tracing::error!(%error, "compaction log is damaged");
                }
                last = placed.queue_offset;
                good += i64::from(is_good || is_old);
                Ok(is_good || is_old)
            });
            match checked {
                Ok(()) | Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
            // What was lost may begin in the record before, whose properties have no checksum; it will be dispatched again.
            let before = self.unit(&pair, good.max(1) - 1)?;
            if good > 0 && good < pair.units && before.is_some_and(|unit| unit.store_timestamp >= flushed) {
                good -= 1;
            }
            if good < pair.units || number + 1 == all.len() {
                let (base, units) = (pair.base, pair.units);
                self.cut_to(&mut pair, good)?;
                if good < units || number + 1 < all.len() {
                    tracing::warn!(folder = %self.folders.log.display(), base, units, good, "compaction log cut");
                }
                return self.end_with(number, pair);
            }
        }
        Ok(())
    }

    /// Makes `pair` the last one; what is behind its end becomes zero, and pairs behind it are deleted.
    fn end_with(&self, number: usize, pair: Pair) -> Result<(), StoreError> {
        let mut pairs = self.pairs.write();
        for gone in pairs.drain(number + 1..) {
            self.forget(&gone);
            for side in [Side::Log, Side::Queue] {
                let path = files::path_of(self.folder(side), gone.base);
                std::fs::remove_file(&path).map_err(|error| StoreError::io("delete", &path, error))?;
            }
        }
        let Sizes { log, queue } = self.shared.sizes;
        for (side, from, size) in [(Side::Queue, pair.units * UNIT, queue), (Side::Log, pair.used, log)] {
            let file = self.file(&pair, side).map_err(self.failed("open", &pair, side))?;
            files::clear_from(&file, from as u64, size as u64).map_err(self.failed("truncate", &pair, side))?;
        }
        if let Some(place) = pairs.get_mut(number) {
            *place = pair;
        }
        Ok(())
    }

    /// Drops messages of this queue offset and later ones.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn truncate(&self, queue_offset: i64) -> Result<(), StoreError> {
        let _writer = self.writer.lock();
        let pairs = self.pairs();
        let Some(number) = pairs.iter().position(|pair| pair.last >= queue_offset) else { return Ok(()) };
        let mut pair = pairs[number].clone();
        let units = self.find(Patience::Endless, &pair, queue_offset)?;
        tracing::warn!(folder = %self.folders.log.display(), queue_offset, last = pairs.last().map(|pair| pair.last),
            "compaction log has messages that the commit log lost, dropped");
        self.cut_to(&mut pair, units)?;
        self.end_with(number, pair)
    }

    /// See [`super::CompactionStore::append`].
    pub fn append<'a>(&self, records: impl Iterator<Item = (PlacedEntry, &'a [u8])>) -> Result<(), StoreError> {
        let closed = self.writer.lock();
        if *closed {
            return Ok(());
        }
        let Sizes { log: log_size, queue: queue_size } = self.shared.sizes;
        let mut pair = self.pairs.read().last().cloned();
        let mut last = self.pairs.read().iter().map(|pair| pair.last).max().unwrap_or(-1);
        let mut waiting = Waiting::default();
        for (placed, bytes) in records {
            if placed.queue_offset <= last {
                continue;
            }
            let has_keys = Record::parse(bytes).is_ok_and(|record| {
                property(record.properties(), PROPERTY_KEYS).is_some_and(|keys| !keys.trim().is_empty())
            });
            let size = bytes.len() as i64;
            if !has_keys || size + END_FILE_MIN_BLANK as i64 > log_size {
                tracing::warn!(folder = %self.folders.log.display(), queue_offset = placed.queue_offset, size, has_keys,
                    "message without keys, or longer than a file, left out of the compaction log");
                continue;
            }
            let full = |pair: &Pair| {
                (pair.units + 1) * UNIT >= queue_size || pair.used + size + END_FILE_MIN_BLANK as i64 > log_size
            };
            let mut into = match pair.take() {
                Some(pair) if !full(&pair) => pair,
                Some(pair) => {
                    self.end(pair.clone(), &mut waiting)?;
                    self.create(pair.base + log_size)?
                }
                None => self.create(0)?,
            };
            let physical_offset = into.base + into.used;
            let at = waiting.log.len() + PHYSICAL_AT;
            waiting.log.extend_from_slice(bytes);
            if let Some(field) = waiting.log.get_mut(at..at + 8) {
                field.copy_from_slice(&physical_offset.to_be_bytes());
            }
            let entry = QueueEntry { physical_offset, size: bytes.len() as i32, ..placed.entry };
            unit::encode(QueueKind::Batch, &PlacedEntry { messages: 1, entry, ..placed }, &mut waiting.units);
            if into.units == 0 {
                into.first = placed.queue_offset;
            }
            into.units += 1;
            into.used += size;
            (into.last, last, into.dirty) = (placed.queue_offset, placed.queue_offset, true);
            if waiting.log.len() >= WRITE_BYTES {
                self.write(&into, &mut waiting)?;
            }
            pair = Some(into);
        }
        match pair {
            Some(pair) => self.write(&pair, &mut waiting),
            None => Ok(()),
        }
    }

    fn create(&self, base: i64) -> Result<Pair, StoreError> {
        let serial = self.shared.serials.fetch_add(1, Ordering::Relaxed);
        let pair = Pair { serial, base, units: 0, used: 0, first: 0, last: -1, dirty: true };
        let Sizes { log, queue } = self.shared.sizes;
        for (side, size) in [(Side::Log, log), (Side::Queue, queue)] {
            files::create(self.folder(side), base, size as u64).map_err(self.failed("create", &pair, side))?;
        }
        self.pairs.write().push(pair.clone());
        Ok(pair)
    }

    /// Marks a pair as full: a filler in the log, a unit that is not valid in the queue, as Java does.
    fn end(&self, mut pair: Pair, waiting: &mut Waiting) -> Result<(), StoreError> {
        self.write(&pair, waiting)?;
        let blank = self.shared.sizes.log - pair.used;
        if blank >= END_FILE_MIN_BLANK as i64 {
            waiting.log.extend_from_slice(&(blank as i32).to_be_bytes());
            waiting.log.extend_from_slice(&MAGIC_BLANK.to_be_bytes());
        }
        if (pair.units + 1) * UNIT <= self.shared.sizes.queue {
            let entry = QueueEntry { physical_offset: -1, size: 0, tags_code: 0 };
            let end = PlacedEntry { queue_offset: 0, messages: 0, store_timestamp: 0, entry };
            unit::encode(QueueKind::Batch, &end, &mut waiting.units);
        }
        let (log, units) = (std::mem::take(&mut waiting.log), std::mem::take(&mut waiting.units));
        self.write_at(&pair, Side::Log, &log, pair.used)?;
        self.write_at(&pair, Side::Queue, &units, pair.units * UNIT)?;
        pair.dirty = true;
        self.publish(pair);
        Ok(())
    }

    /// Writes what waits for the end of `pair`, which counts it already, and shows it to readers.
    fn write(&self, pair: &Pair, waiting: &mut Waiting) -> Result<(), StoreError> {
        if waiting.log.is_empty() {
            return Ok(());
        }
        self.write_at(pair, Side::Log, &waiting.log, pair.used - waiting.log.len() as i64)?;
        self.write_at(pair, Side::Queue, &waiting.units, pair.units * UNIT - waiting.units.len() as i64)?;
        waiting.log.clear();
        waiting.units.clear();
        self.publish(pair.clone());
        Ok(())
    }

    fn write_at(&self, pair: &Pair, side: Side, bytes: &[u8], at: i64) -> Result<(), StoreError> {
        let failed = self.failed("write", pair, side);
        self.file(pair, side).and_then(|file| file.write_all_at(bytes, at as u64)).map_err(failed)
    }

    /// Shows the last pair as it is now.
    fn publish(&self, pair: Pair) {
        let mut pairs = self.pairs.write();
        if let Some(last) = pairs.last_mut().filter(|last| last.base == pair.base) {
            *last = pair;
        }
    }

    /// Brings to disk what was written.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn flush(&self) -> Result<(), StoreError> {
        let dirty: Vec<Pair> = {
            let mut pairs = self.pairs.write();
            let dirty = pairs.iter().filter(|pair| pair.dirty).cloned().collect();
            pairs.iter_mut().for_each(|pair| pair.dirty = false);
            dirty
        };
        for pair in &dirty {
            for side in [Side::Log, Side::Queue] {
                let failed = self.failed("flush", pair, side);
                self.file(pair, side).and_then(|file| file.sync_data()).map_err(failed)?;
            }
        }
        if dirty.is_empty() {
            return Ok(());
        }
        folder::sync(&self.folders.log)?;
        folder::sync(&self.folders.queue)
    }

    /// See [`super::CompactionStore::read`].
    pub fn read(
        &self,
        patience: Patience,
        request: &GetRequest<'_>,
        config: &StoreConfig,
        hot_bytes: i64,
    ) -> Option<GetResult> {
        let pairs = match patience {
            // Files are being replaced.
            Patience::None => self.pairs.try_read()?,
            Patience::Endless => self.pairs.read(),
        };
        let offset = request.offset;
        let min = pairs.iter().find(|pair| pair.units > 0).map_or(0, |pair| pair.first);
        let max = pairs.iter().map(|pair| pair.last).max().unwrap_or(-1) + 1;
        let (status, next) = match () {
            () if max == 0 => (GetStatus::NoMessageInQueue, 0),
            () if offset == max => (GetStatus::OffsetOverflowOne, offset),
            () if offset > max => (GetStatus::OffsetOverflowBadly, if min == 0 { 0 } else { max }),
            () => (GetStatus::NoMatchedMessage, offset),
        };
        let mut result = GetResult { min_offset: min, max_offset: max, ..GetResult::empty(status, next) };
        if status != GetStatus::NoMatchedMessage {
            return Some(result);
        }
        let Some(pair) = pairs.iter().find(|pair| pair.last >= offset) else { return Some(result) };
        let end = pairs.last().map_or(0, |last| last.base + last.used);
        let found = self.records(patience, pair, request, config, |physical| end - physical <= hot_bytes);
        match found {
            Ok(found) => {
                let behind = end - found.first().map_or(0, |(unit, _)| unit.entry.physical_offset);
                result.fall_behind_bytes = Some(behind);
                (result.suggest_slave, result.cold) = (behind > hot_bytes, behind > hot_bytes);
                for (unit, record) in found {
                    result.next_begin_offset = unit.end();
                    let Some(record) = record else {
                        tracing::error!(
                            topic = request.topic,
                            queue_id = request.queue_id,
                            ?unit,
                            "compaction log has no record where it should, unit passed over"
                        );
                        continue;
                    };
                    result.status = GetStatus::Found;
                    result.count += 1;
                    result.bytes = result.bytes.saturating_add(record.len() as u32);
                    result.queue_offsets.push(unit.queue_offset);
                    result.messages.push(record);
                }
            }
            Err(error) if error.is_would_block() => return None,
            Err(error) => {
                tracing::error!(topic = request.topic, queue_id = request.queue_id, %error,
                    "compaction log cannot be read");
                result.status = GetStatus::Unreadable;
            }
        }
        Some(result)
    }

    /// The records of one pair that an answer takes; `None` for one that is damaged.
    fn records(
        &self,
        patience: Patience,
        pair: &Pair,
        request: &GetRequest<'_>,
        config: &StoreConfig,
        is_hot: impl Fn(i64) -> bool,
    ) -> Result<Vec<(PlacedEntry, Option<Bytes>)>, StoreError> {
        let from = self.find(patience, pair, request.offset)?;
        let messages_max = i64::from(request.max_messages.max(1));
        let wanted = messages_max.min(config.max_transfer_count_on_message_in_memory.max(1) as i64);
        let units = self.units(patience, pair, from, wanted.min(pair.units - from))?;
        let bytes_max = u64::from(request.max_bytes).clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let mut total = 0u64;
        let taken = units.iter().enumerate().take_while(|(number, unit)| {
            let size = u64::try_from(unit.entry.size).unwrap_or(u64::MAX);
            let (bytes_of_mode, count_of_mode) = match is_hot(unit.entry.physical_offset) {
                true => {
                    (config.max_transfer_bytes_on_message_in_memory, config.max_transfer_count_on_message_in_memory)
                }
                false => (config.max_transfer_bytes_on_message_in_disk, config.max_transfer_count_on_message_in_disk),
            };
            let fits = *number < count_of_mode && total.saturating_add(size) <= bytes_max.min(bytes_of_mode as u64);
            total = total.saturating_add(size);
            self.is_within(pair, unit) && (*number == 0 || fits)
        });
        let count = taken.count();
        let Some(begin) = units.first().map(|first| first.entry.physical_offset).filter(|_| count > 0) else {
            return Err(self.corrupt(pair, request.offset, "points to no place in its log"));
        };
        // Records follow one another, so one read brings them all.
        let bytes_of = |unit: &PlacedEntry| unit.entry.size.max(0) as usize;
        let mut bytes = BytesMut::zeroed(units[..count].iter().map(bytes_of).sum());
        let failed = self.failed("read", pair, Side::Log);
        let file = self.file(pair, Side::Log).map_err(&failed)?;
        patience.read(&file, &mut bytes, (begin - pair.base) as u64).map_err(&failed)?;
        let mut found = Vec::with_capacity(count);
        for unit in &units[..count] {
            let record = bytes.split_to(bytes_of(unit)).freeze();
            let is_it = Record::parse(&record)
                .is_ok_and(|parsed| parsed.size() == record.len() && parsed.queue_offset() == unit.queue_offset);
            found.push((*unit, is_it.then_some(record)));
        }
        Ok(found)
    }

    fn corrupt(&self, pair: &Pair, queue_offset: i64, what: &str) -> StoreError {
        let reason = format!("the unit of queue offset {queue_offset} {what}");
        StoreError::Corrupt { path: files::path_of(&self.folders.queue, pair.base), reason }
    }
}

/// Bytes that wait to be written.
#[derive(Default)]
struct Waiting {
    log: Vec<u8>,
    units: Vec<u8>,
}

/// Whether these bytes are the record that a unit describes, undamaged as far as can be told.
fn is_record_of(placed: &PlacedEntry, bytes: &[u8]) -> bool {
    Record::parse(bytes).is_ok_and(|record| {
        record.size() == bytes.len()
            && record.queue_offset() == placed.queue_offset
            && record.physical_offset() == placed.entry.physical_offset
            && record.validate().is_ok()
    })
}

fn key(pair: &Pair, side: Side) -> FileKey {
    FileKey { queue: pair.serial, start: side as i64 }
}

/// Sub-folders by name; none for a folder that is missing.
///
/// # Errors
/// [`StoreError::Io`].
pub fn folders_in(path: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    Ok(entries(path)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
}

fn entries(path: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let failed = |error| StoreError::io("list", path, error);
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        all.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    all.sort();
    Ok(all)
}

/// Names of the files of a folder, in order. Files that Java was about to delete are deleted.
fn bases(folder: &Path, size: i64) -> Result<Vec<i64>, StoreError> {
    const DIGITS: usize = 20;
    let mut bases = Vec::new();
    for (name, path) in entries(folder)?.into_iter().filter(|(_, path)| path.is_file()) {
        if name.ends_with(DELETED) {
            std::fs::remove_file(&path).map_err(|error| StoreError::io("delete", &path, error))?;
            continue;
        }
        let Some(base) = name.parse::<i64>().ok().filter(|base| name.len() == DIGITS && *base >= 0) else {
            tracing::warn!(path = %path.display(), "not a file of a compaction log, ignored");
            continue;
        };
        let actual = path.metadata().map_err(|error| StoreError::io("look at", &path, error))?.len();
        if actual != size as u64 {
            let reason = format!(
                "{actual} bytes, but compactionMappedFileSize and compactionCqMappedFileSize make it {size}; set them to \
                 what this store was written with"
            );
            return Err(StoreError::Corrupt { path, reason });
        }
        bases.push(base);
    }
    Ok(bases)
}

fn orphans<'a>(folder: &'a Path, here: &'a [i64], there: &'a [i64]) -> impl Iterator<Item = (&'a Path, i64)> {
    here.iter().filter(|base| !there.contains(base)).map(move |base| (folder, *base))
}
