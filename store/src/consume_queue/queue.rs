//! One queue: appending to and reading from its tail in memory and its files.
//!
//! A unit is named by its index: its number counted from the first the queue ever had. In a simple queue that is the
//! queue offset; what is particular to batch queues is in `batch.rs`.
//!
//! New units collect in the [`Tail`] and go to the file 4 KiB at a time or when the table is flushed,
//! so appending makes no system call per message; neither does reading the newest units, which stay in the tail after
//! they were written. What a killed process had not written yet is dispatched again from the commit log at the next
//! start.
//!
//! Locks: `files` before `tail`. The tail's lock is never held during a system call, the lock of the files is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::{debug, error, warn};

use super::ext::Ext;
use super::files::{self, FileKey};
use super::unit::{self, FILLER, PlacedEntry, QueueKind};
use super::{Layout, Shared};
use crate::error::StoreError;
use crate::patience::Patience;
use crate::read::{Boundary, QueueEntry};

/// Bytes of units that may wait in memory before the append that brings one more writes them.
const WRITE_THROUGH_BYTES: usize = 4096;
/// Units left in the tail of a queue that has nothing to do.
const TAIL_UNITS_IDLE: usize = 16;

/// The newest units of a queue, as they are in the file.
pub(super) struct Tail {
    kind: QueueKind,
    /// Units `start..end()`, encoded.
    pub bytes: Vec<u8>,
    /// Index of the first unit in `bytes`.
    pub start: i64,
    /// Units below are in the file; `start <= written <= end()`.
    pub written: i64,
    /// Units below are on disk; at most `written`.
    pub synced: i64,
    /// Units appended since the last flush looked at the queue.
    appended: usize,
    /// On the table's list of queues to flush thoroughly.
    listed_dirty: bool,
    /// On the table's list of queues with enough to flush.
    listed_due: bool,
    /// The queue was deleted: nothing may be written any more.
    pub dropped: bool,
}

impl Tail {
    fn new(kind: QueueKind, start: i64) -> Self {
        Tail {
            kind,
            bytes: Vec::new(),
            start,
            written: start,
            synced: start,
            appended: 0,
            listed_dirty: false,
            listed_due: false,
            dropped: false,
        }
    }

    /// Units that may wait to be written.
    fn waiting_max(&self) -> usize {
        WRITE_THROUGH_BYTES / self.kind.unit_size()
    }

    /// Units held at most, written or not.
    fn units_max(&self) -> usize {
        2 * self.waiting_max()
    }

    /// Whether units must be written before another is taken.
    fn must_write(&self) -> bool {
        self.end() - self.written >= self.waiting_max() as i64
    }

    fn units(&self) -> usize {
        self.bytes.len() / self.kind.unit_size()
    }

    /// Index behind the last unit.
    pub fn end(&self) -> i64 {
        self.start + self.units() as i64
    }

    /// An empty tail of a queue that ends at index `end`, keeping the list marks.
    pub fn reset(&mut self, end: i64) {
        self.bytes.clear();
        self.start = end;
        self.written = end;
        self.synced = end;
    }

    /// Byte position in `bytes` of a unit.
    fn position(&self, index: i64) -> usize {
        let units = usize::try_from(index - self.start).unwrap_or(0);
        units.saturating_mul(self.kind.unit_size()).min(self.bytes.len())
    }

    /// The units from `index`, which is not before the tail, on.
    pub fn units_from(&self, index: i64) -> impl ExactSizeIterator<Item = PlacedEntry> + '_ {
        unit::decode_all(self.kind, &self.bytes[self.position(index)..], index)
    }

    /// Drops written units from the front until `keep` remain.
    fn keep_newest(&mut self, keep: usize) {
        let surplus = self.units().saturating_sub(keep) as i64;
        let surplus = surplus.min(self.written - self.start);
        if surplus > 0 {
            let cut = self.position(self.start + surplus);
            self.bytes.copy_within(cut.., 0);
            self.bytes.truncate(self.bytes.len() - cut);
            self.start += surplus;
        }
    }

    /// Fits the memory to what the queue did since the last call. True when more can be given back later.
    fn cool_down(&mut self) -> bool {
        let keep = (2 * std::mem::take(&mut self.appended)).clamp(TAIL_UNITS_IDLE, self.units_max());
        self.keep_newest(keep);
        self.bytes.shrink_to(keep * self.kind.unit_size());
        keep > TAIL_UNITS_IDLE
    }
}

/// Which files a queue has: they are adjacent, each of the configured size.
#[derive(Debug, Default)]
pub(super) struct FileSet {
    /// Start of the first file, bytes.
    pub first: i64,
    /// End of the last file, bytes; equal to `first` when there is none.
    pub end: i64,
    /// A file was created whose folder entry may not be on disk.
    pub created: bool,
}

impl FileSet {
    pub fn is_empty(&self) -> bool {
        self.first == self.end
    }
}

/// A consume queue: for each message of a topic's queue where in the commit log it is.
pub struct ConsumeQueue {
    topic: Arc<str>,
    queue_id: i32,
    kind: QueueKind,
    /// Its messages go into a compaction log, too, and are read from there.
    compacted: bool,
    pub(super) shared: Arc<Shared>,
    /// Units for which a tags code is too short.
    pub(super) ext: Option<Ext>,
    /// Key of this queue's files in the cache; changed when files are deleted that may be created again.
    pub(super) serial: AtomicU64,
    next_offset: AtomicI64,
    /// Index of the first unit that still points into the commit log.
    pub(super) first: AtomicI64,
    /// Index behind the last unit.
    pub(super) end: AtomicI64,
    /// First and end offset of a batch queue, in which they are not indexes.
    pub(super) covered: super::batch::Covered,
    pub(super) max_physical: AtomicI64,
    pub(super) files: Mutex<FileSet>,
    pub(super) tail: Mutex<Tail>,
}

impl ConsumeQueue {
    pub(super) fn new(
        topic: Arc<str>,
        queue_id: i32,
        kind: QueueKind,
        compacted: bool,
        shared: Arc<Shared>,
        files: FileSet,
        ext: Option<Ext>,
    ) -> Self {
        let serial = AtomicU64::new(shared.new_serial());
        let start = files.first / shared.layout(kind).unit;
        let next_offset = match kind {
            QueueKind::Simple => start,
            QueueKind::Batch => 0,
        };
        ConsumeQueue {
            topic,
            queue_id,
            kind,
            compacted,
            shared,
            ext,
            serial,
            next_offset: AtomicI64::new(next_offset),
            first: AtomicI64::new(start),
            end: AtomicI64::new(start),
            covered: Default::default(),
            max_physical: AtomicI64::new(-1),
            files: Mutex::new(files),
            tail: Mutex::new(Tail::new(kind, start)),
        }
    }

    /// Kind of the queue.
    pub fn kind(&self) -> QueueKind {
        self.kind
    }

    /// Whether its topic is compacted.
    pub fn is_compacted(&self) -> bool {
        self.compacted
    }

    pub(super) fn layout(&self) -> &Layout {
        self.shared.layout(self.kind)
    }

    /// Topic of the queue.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Id of the queue within its topic.
    pub fn queue_id(&self) -> i32 {
        self.queue_id
    }

    /// First offset that still points into the commit log; equal to [`Self::max_offset`] when none does. -1 for a batch
    /// queue that holds no unit, as in Java.
    pub fn min_offset(&self) -> i64 {
        match self.kind {
            QueueKind::Simple => self.first.load(Ordering::Acquire),
            QueueKind::Batch => self.covered.min(),
        }
    }

    /// Offset behind the last message.
    pub fn max_offset(&self) -> i64 {
        match self.kind {
            QueueKind::Simple => self.end.load(Ordering::Acquire),
            QueueKind::Batch => self.covered.max(),
        }
    }

    /// Indexes of the units that point into the commit log.
    pub(super) fn live(&self) -> (i64, i64) {
        let first = self.first.load(Ordering::Acquire);
        (first, self.end.load(Ordering::Acquire))
    }

    /// Commit-log offset behind the last record this queue points to; -1 when it points to none.
    pub fn max_physical(&self) -> i64 {
        self.max_physical.load(Ordering::Acquire)
    }

    /// Offset the next message of the queue gets. Owned by the holder of the commit log's append lock; set to the end
    /// of the queue by recovery, otherwise not touched here.
    pub fn next_offset(&self) -> &AtomicI64 {
        &self.next_offset
    }

    /// Bytes of the queue's files.
    pub fn total_size(&self) -> i64 {
        let files = self.files.lock();
        files.end - files.first + self.ext.as_ref().map_or(0, Ext::total_size)
    }

    /// Folder of the queue's files.
    pub fn dir(&self) -> PathBuf {
        self.layout().root.join(&*self.topic).join(self.queue_id.to_string())
    }

    /// Appends entries in commit-log order. An entry whose record the queue already covers is skipped, so a log may be
    /// dispatched again. An entry beyond the end of the queue leaves a hole, which is reported and filled with
    /// [`FILLER`]; when the hole is longer than a file, or nothing before it is valid, the queue starts anew there. It
    /// also starts anew with an entry for offset 0 that is behind all others in the log.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file could not be written; entries may be missing, and the call may be repeated with
    /// the same entries. An entry that cannot be stored is reported and left out.
    pub fn append_batch(self: &Arc<Self>, entries: &[PlacedEntry]) -> Result<(), StoreError> {
        self.append_extended(entries, &[])
    }

    /// The same with the bits of filters that each message matches, for the extension; none where they are missing.
    ///
    /// # Errors
    /// Those of [`Self::append_batch`].
    pub fn append_extended(self: &Arc<Self>, entries: &[PlacedEntry], bits: &[Vec<u8>]) -> Result<(), StoreError> {
        for (at, placed) in entries.iter().enumerate() {
            match self.ext.as_ref().filter(|_| self.shared.writes_ext()) {
                None => self.append(placed)?,
                Some(ext) => {
                    let bits = bits.get(at).map(Vec::as_slice).unwrap_or_default();
                    self.append(&self.extended(ext, placed, bits)?)?;
                }
            }
        }
        Ok(())
    }

    fn append(self: &Arc<Self>, placed: &PlacedEntry) -> Result<(), StoreError> {
        let PlacedEntry { queue_offset, entry, .. } = placed;
        if !placed.is_valid() {
            error!(
                topic = %self.topic, queue = self.queue_id, queue_offset, ?entry,
                "record of the commit log carries an impossible queue offset; left out of the queue"
            );
            return Ok(());
        }
        // Each round but the last makes room or closes a hole; the second condition bounds it should another thread
        // append at the same time, which the store does not do.
        for _ in 0..16 {
            let mut tail = self.tail.lock();
            if tail.dropped {
                return Ok(());
            }
            if unit::end_of(entry) <= self.max_physical() {
                debug!(topic = %self.topic, queue = self.queue_id, queue_offset, "entry is already in the queue");
                return Ok(());
            }
            if self.kind == QueueKind::Simple && placed.messages != 1 {
                // Only a topic that was deleted and made again with another kind of queue leaves such records.
                warn!(
                    topic = %self.topic, queue = self.queue_id, queue_offset,
                    "inner batch for a queue that takes none; left out of the queue"
                );
                return Ok(());
            }
            let end = self.max_offset();
            if *queue_offset == 0 && end > 0 {
                // Only a topic that was deleted and made again counts from 0 once more. Its old records are still in
                // the log, and recovery has just dispatched them.
                warn!(
                    topic = %self.topic, queue = self.queue_id, end, physical_offset = entry.physical_offset,
                    "commit log begins the queue again at offset 0; what the queue held before is forgotten"
                );
                drop(tail);
                self.start_anew_at(0)?;
                continue;
            }
            if *queue_offset < end {
                warn!(
                    topic = %self.topic, queue = self.queue_id, queue_offset, end, physical_offset = entry.physical_offset,
                    "record of the commit log carries a queue offset that is already taken; left out of the queue"
                );
                return Ok(());
            }
            if *queue_offset > end && self.kind == QueueKind::Simple {
                drop(tail);
                self.advance_to(*queue_offset)?;
                continue;
            }
            if tail.must_write() {
                drop(tail);
                self.write_pending()?;
                continue;
            }
            self.push(&mut tail, placed);
            self.max_physical.store(unit::end_of(entry), Ordering::Release);
            self.list(&mut tail);
            return Ok(());
        }
        Err(StoreError::Corrupt { path: self.dir(), reason: "queue is appended to by several threads".into() })
    }

    /// Adds a unit at the end. There is room: the tail need not be written first.
    fn push(&self, tail: &mut Tail, placed: &PlacedEntry) {
        if tail.units() >= tail.units_max() {
            tail.keep_newest(tail.waiting_max());
        }
        unit::encode(self.kind, placed, &mut tail.bytes);
        tail.appended += 1;
        self.end.store(tail.end(), Ordering::Release);
        if self.kind == QueueKind::Batch {
            self.covered.append(placed);
        }
    }

    /// Puts the queue on the lists of the table that its state calls for.
    fn list(self: &Arc<Self>, tail: &mut Tail) {
        if !tail.listed_dirty {
            tail.listed_dirty = true;
            self.shared.dirty.lock().push(self.clone());
        }
        if !tail.listed_due && (tail.end() - tail.synced) * self.layout().unit >= self.shared.least_bytes() {
            tail.listed_due = true;
            self.shared.due.lock().push(self.clone());
        }
    }

    /// Makes `offset`, which is beyond the end, the end of a simple queue.
    fn advance_to(&self, offset: i64) -> Result<(), StoreError> {
        let (min, max) = (self.min_offset(), self.max_offset());
        let never_used = max == 0 && self.files.lock().is_empty();
        if min >= max || offset - max > self.layout().units_per_file {
            if !never_used {
                error!(
                    topic = %self.topic, queue = self.queue_id, min, max, offset,
                    "commit log continues beyond the end of the queue; the queue starts anew there"
                );
            }
            return self.start_anew_at(offset);
        }
        error!(
            topic = %self.topic, queue = self.queue_id, max, offset,
            "entries are missing between the end of the queue and the commit log's next record"
        );
        loop {
            {
                let mut tail = self.tail.lock();
                while tail.end() < offset && !tail.must_write() {
                    let filler = PlacedEntry::simple(tail.end(), FILLER);
                    self.push(&mut tail, &filler);
                }
                if tail.end() >= offset {
                    return Ok(());
                }
            }
            self.write_pending()?;
        }
    }

    /// Deletes all files and lets the queue begin, empty, at unit `index`; 0 for a batch queue.
    pub(super) fn start_anew_at(&self, index: i64) -> Result<(), StoreError> {
        let mut files = self.files.lock();
        self.delete_files(&mut files, 0)?;
        let mut tail = self.tail.lock();
        tail.reset(index);
        self.first.store(index, Ordering::Release);
        self.end.store(index, Ordering::Release);
        self.covered.set_empty();
        Ok(())
    }

    /// Deletes the files that start at byte `from` or later.
    pub(super) fn delete_files(&self, files: &mut FileSet, from: i64) -> Result<(), StoreError> {
        let dir = self.dir();
        while !files.is_empty() && files.end - self.layout().file_size > from - 1 {
            let start = files.end - self.layout().file_size;
            remove_if_exists(&files::path_of(&dir, start))?;
            self.shared.cache.forget(self.key(start));
            files.end = start;
        }
        // A reader may put a deleted file back into the cache at this moment; under the new serial nobody finds it.
        self.serial.store(self.shared.new_serial(), Ordering::Release);
        if files.is_empty() {
            files.first = 0;
            files.end = 0;
        }
        Ok(())
    }

    pub(super) fn key(&self, start: i64) -> FileKey {
        FileKey { queue: self.serial.load(Ordering::Acquire), start }
    }

    /// Start of the file that holds byte `position`.
    pub(super) fn file_of(&self, position: i64) -> i64 {
        position - position % self.layout().file_size
    }

    /// The existing file that starts at `start`.
    pub(super) fn open_file(&self, start: i64) -> io::Result<Arc<File>> {
        self.shared.cache.get(self.key(start), || files::open(&self.dir(), start))
    }

    /// Hands the waiting units to the operating system. Returns the index below which all are written.
    pub(super) fn write_pending(&self) -> Result<i64, StoreError> {
        let mut files = self.files.lock();
        let (from, bytes) = {
            let tail = self.tail.lock();
            if tail.dropped {
                return Ok(tail.written);
            }
            (tail.written, tail.bytes[tail.position(tail.written)..].to_vec())
        };
        // What these units point to goes first.
        if let Some(ext) = &self.ext {
            ext.write_pending()?;
        }
        let mut position = from * self.layout().unit;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let start = self.file_of(position);
            let room = usize::try_from(start + self.layout().file_size - position).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(rest.len().min(room));
            self.file_to_write(&mut files, start, position)
                .and_then(|file| file.write_all_at(now, (position - start) as u64))
                .map_err(|e| StoreError::io("write", files::path_of(&self.dir(), start), e))?;
            position += now.len() as i64;
            rest = later;
        }
        let mut tail = self.tail.lock();
        tail.written = position / self.layout().unit;
        Ok(tail.written)
    }

    /// The file that starts at `start`, created when the queue ends before it. A queue's first file is filled with
    /// [`FILLER`] up to `position`.
    fn file_to_write(&self, files: &mut FileSet, start: i64, position: i64) -> io::Result<Arc<File>> {
        if !files.is_empty() && start < files.end {
            return self.open_file(start);
        }
        // No topic is deleted meanwhile, or its folder would come back.
        let _folders = self.shared.folders.read();
        if self.tail.lock().dropped {
            return Err(io::Error::new(io::ErrorKind::NotFound, "queue was deleted"));
        }
        let size = self.layout().file_size;
        let file = self.shared.cache.get(self.key(start), || files::create(&self.dir(), start, size as u64))?;
        if files.is_empty() {
            fill(&file, position - start)?;
            files.first = start;
        }
        files.end = start + size;
        files.created = true;
        Ok(file)
    }

    /// Writes what waits and takes the queue off the lists; the counterpart of [`Self::list`]. Returns the index below
    /// which all is written.
    pub(super) fn write_for_flush(self: &Arc<Self>, thorough: bool) -> Result<i64, StoreError> {
        {
            let mut tail = self.tail.lock();
            tail.listed_due = false;
            if thorough {
                tail.listed_dirty = false;
            }
        }
        self.write_pending()
    }

    /// Notes that everything below `written` is on disk, and gives memory back.
    pub(super) fn flushed(self: &Arc<Self>, written: i64, thorough: bool) {
        let mut tail = self.tail.lock();
        tail.synced = tail.synced.max(written.min(tail.written));
        if thorough && tail.cool_down() && !tail.listed_dirty && !tail.dropped {
            tail.listed_dirty = true;
            self.shared.dirty.lock().push(self.clone());
        }
    }

    /// Puts the queue back on the lists after a failed flush.
    pub(super) fn list_again(self: &Arc<Self>) {
        let mut tail = self.tail.lock();
        if !tail.dropped {
            self.list(&mut tail);
        }
    }

    /// Waits until the files written since the last flush, and their folder entries, are on disk.
    pub(super) fn sync(&self, written: i64) -> Result<(), StoreError> {
        let synced = self.tail.lock().synced;
        if synced >= written {
            return Ok(());
        }
        if let Some(ext) = &self.ext {
            ext.sync()?;
        }
        let dir = self.dir();
        let mut start = self.file_of(synced * self.layout().unit);
        while start < written * self.layout().unit {
            let path = || files::path_of(&dir, start);
            match self.open_file(start) {
                Ok(file) => file.sync_data().map_err(|e| StoreError::io("flush", path(), e))?,
                // Expired or deleted with its topic meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(StoreError::io("open", path(), e)),
            }
            start += self.layout().file_size;
        }
        if std::mem::take(&mut self.files.lock().created) {
            // The folders above may be new as well.
            let root = &self.layout().root;
            for folder in [dir.as_path(), dir.parent().unwrap_or(&dir), root, root.parent().unwrap_or(root)] {
                match File::open(folder).and_then(|f| f.sync_all()) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    other => other.map_err(|e| StoreError::io("flush", folder, e))?,
                }
            }
        }
        Ok(())
    }

    /// Stops all writing; the files are about to be deleted.
    pub(super) fn drop_contents(&self) {
        if let Some(ext) = &self.ext {
            ext.drop_contents();
        }
        let files = self.files.lock();
        let mut tail = self.tail.lock();
        tail.dropped = true;
        tail.reset(0);
        tail.bytes = Vec::new();
        let mut start = files.first;
        while start < files.end {
            self.shared.cache.forget(self.key(start));
            start += self.layout().file_size;
        }
        self.serial.store(self.shared.new_serial(), Ordering::Release);
    }

    /// The last entry that points into the commit log. During recovery it may still be a torn one.
    pub(super) fn last_entry(&self) -> Option<QueueEntry> {
        let (first, end) = self.live();
        if first >= end {
            return None;
        }
        self.unit_at(end - 1).ok().map(|placed| placed.entry)
    }

    /// The entry whose record holds the message of a queue offset; `None` before [`Self::min_offset`], from
    /// [`Self::max_offset`] on, and when it cannot be read, which is logged.
    pub fn entry(&self, offset: i64) -> Option<QueueEntry> {
        if offset < self.min_offset() || offset >= self.max_offset() {
            return None;
        }
        let mut found = Vec::with_capacity(1);
        match self.entries(offset, 1, &mut found) {
            Ok(_) => found.first().map(|placed| placed.entry),
            Err(error) => {
                error!(topic = %self.topic, queue = self.queue_id, offset, %error, "cannot read consume queue");
                None
            }
        }
    }

    /// Appends up to `max` entries to `out`, from the one on that holds the message of queue offset `from`; returns how
    /// many. None when `from` is outside the queue. A [`FILLER`] may be among them; it points to no record.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a file cannot be read.
    pub fn entries(&self, from: i64, max: usize, out: &mut Vec<PlacedEntry>) -> Result<usize, StoreError> {
        self.entries_with(Patience::Endless, from, max, out)
    }

    /// The same, with or without waiting for the disk.
    pub(crate) fn entries_with(
        &self,
        patience: Patience,
        from: i64,
        max: usize,
        out: &mut Vec<PlacedEntry>,
    ) -> Result<usize, StoreError> {
        if from < self.min_offset() {
            return Ok(0);
        }
        let index = match self.kind {
            QueueKind::Simple => from,
            QueueKind::Batch => self.index_of(from)?,
        };
        self.units_with(patience, index, max, out)
    }

    /// Appends up to `max` units from `index` on to `out`, expired ones too; returns how many.
    pub(super) fn units(&self, index: i64, max: usize, out: &mut Vec<PlacedEntry>) -> Result<usize, StoreError> {
        self.units_with(Patience::Endless, index, max, out)
    }

    fn units_with(
        &self,
        patience: Patience,
        index: i64,
        max: usize,
        out: &mut Vec<PlacedEntry>,
    ) -> Result<usize, StoreError> {
        let mut at = index;
        let mut left = max;
        while left > 0 {
            let in_files = {
                let tail = self.tail.lock();
                if at >= tail.start {
                    let before = out.len();
                    out.extend(tail.units_from(at).take(left));
                    at += (out.len() - before) as i64;
                    break;
                }
                left.min(usize::try_from(tail.start - at).unwrap_or(usize::MAX))
            };
            let read = self.read_from_files(patience, at, in_files, out)?;
            if read == 0 {
                break;
            }
            at += read as i64;
            left -= read;
        }
        Ok(usize::try_from(at - index).unwrap_or(0))
    }

    /// Reads up to `max` units from the file that holds unit `from`; fewer when the file ends. None when there is no
    /// such file.
    fn read_from_files(
        &self,
        patience: Patience,
        from: i64,
        max: usize,
        out: &mut Vec<PlacedEntry>,
    ) -> Result<usize, StoreError> {
        let unit_size = self.kind.unit_size();
        let position = from * self.layout().unit;
        let start = self.file_of(position);
        let in_file = usize::try_from((start + self.layout().file_size - position) / self.layout().unit);
        let units = max.min(in_file.unwrap_or(usize::MAX)).min(READ_BYTES_MAX / unit_size);
        let mut bytes = vec![0u8; units * unit_size];
        let file = match self.open_file(start) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(StoreError::io("open", files::path_of(&self.dir(), start), e)),
        };
        patience
            .read(&file, &mut bytes, (position - start) as u64)
            .map_err(|e| StoreError::io("read", files::path_of(&self.dir(), start), e))?;
        out.extend(unit::decode_all(self.kind, &bytes, from));
        Ok(units)
    }

    /// Finds the offset of a store time, with the rules of Java's `binarySearchInQueueByTime`: [`Boundary::Lower`] is
    /// the first message not older than `timestamp_ms`, or the end of the queue; [`Boundary::Upper`] the last one not
    /// younger, or the start of the queue. `store_time` answers the store time of an entry's record, `None` when there
    /// is no record; `min_physical` is the first commit-log offset. The result is within min and max offset. A batch
    /// queue knows the store times itself and has rules of its own, see `batch.rs`.
    pub fn offset_by_time(
        &self,
        timestamp_ms: i64,
        boundary: Boundary,
        min_physical: i64,
        mut store_time: impl FnMut(&QueueEntry) -> Option<i64>,
    ) -> i64 {
        if self.kind == QueueKind::Batch {
            return self.batch_offset_by_time(timestamp_ms, boundary).unwrap_or_else(|error| {
                error!(topic = %self.topic, queue = self.queue_id, %error, "cannot search the queue by time");
                self.min_offset()
            });
        }
        let (min, max) = self.live();
        let mut unknown = None;
        let first = self.first_unit(min, max, |&PlacedEntry { entry, .. }| {
            if entry.physical_offset < min_physical {
                return true;
            }
            match (store_time(&entry), boundary) {
                (Some(time), Boundary::Lower) => time < timestamp_ms,
                (Some(time), Boundary::Upper) => time <= timestamp_ms,
                (None, _) => {
                    unknown = Some(entry.physical_offset);
                    false
                }
            }
        });
        let first = match (first, unknown) {
            (Ok(first), None) => first,
            (Ok(_), Some(physical_offset)) => {
                warn!(topic = %self.topic, queue = self.queue_id, physical_offset, "no store time for a queue entry");
                return min;
            }
            (Err(error), _) => {
                error!(topic = %self.topic, queue = self.queue_id, %error, "cannot search the queue by time");
                return min;
            }
        };
        match boundary {
            Boundary::Lower => first,
            Boundary::Upper => (first - 1).max(min),
        }
    }
}

/// Bytes of units read by one call at most.
const READ_BYTES_MAX: usize = 64 << 10;

/// Writes filler over the first `until` bytes of a simple queue's file, the last block first: should the process die
/// halfway, the file still begins with zeroes, that is, it is empty.
fn fill(file: &File, until: i64) -> io::Result<()> {
    let block_size = READ_BYTES_MAX / unit::UNIT_SIZE * unit::UNIT_SIZE;
    let mut block = Vec::with_capacity(block_size);
    let mut end = until;
    while end > 0 {
        let start = (end - block_size as i64).max(0);
        while (block.len() as i64) < end - start {
            unit::encode(QueueKind::Simple, &PlacedEntry::simple(0, FILLER), &mut block);
        }
        file.write_all_at(&block[..(end - start) as usize], start as u64)?;
        end = start;
    }
    Ok(())
}

pub(super) fn remove_if_exists(path: &std::path::Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("delete", path, e)),
        _ => Ok(()),
    }
}
