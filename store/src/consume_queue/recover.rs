//! What happens to a queue at start and when the commit log loses its head: finding the end, truncating, correcting the
//! minimum offset, deleting files.

use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use tracing::{info, warn};

use super::ext;
use super::files;
use super::queue::{ConsumeQueue, remove_if_exists};
use super::unit::{self, PlacedEntry};
use crate::error::StoreError;

/// Files that are scanned for the end of the valid units: the newest three.
const FILES_SCANNED: i64 = 3;
/// Bytes of the first read of a scan. Most queues are short.
const SCAN_BYTES_FIRST: usize = 4096;
/// Bytes of a later read at most; each is twice the one before.
const SCAN_BYTES_MAX: usize = 256 * 1024;
/// Units of one step of a scan towards the start.
const BACKWARD_UNITS: i64 = 250;

/// What a scan for the end of a queue found.
struct Scan {
    /// Byte position behind the last valid unit.
    end: i64,
    /// Byte position behind the last valid unit that is not filler; the start of the scan when there is none.
    end_of_entries: i64,
    /// Commit-log offset behind the record of the last valid unit that is not filler; -1 when there is none.
    max_physical: i64,
}

impl ConsumeQueue {
    /// Finds the end of the valid units, as Java does from the third last file on, clears what is behind it, and sets
    /// the offsets. To be called before anything else.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn recover(&self) -> Result<(), StoreError> {
        let mut files = self.files.lock();
        if files.is_empty() {
            return Ok(());
        }
        let from = files.first.max(files.end - FILES_SCANNED * self.layout().file_size);
        let mut scan = self.scan(from, files.end)?;
        if scan.max_physical >= 0 {
            // Filler at the end was written for an entry that did not follow. A queue of nothing but filler starts
            // behind it.
            scan.end = scan.end_of_entries;
        }
        self.cut(&mut files, scan.end)?;
        let end = scan.end / self.layout().unit;
        self.tail.lock().reset(end);
        self.end.store(end, Ordering::Release);
        let first = files.first / self.layout().unit;
        drop(files);

        if scan.max_physical < 0 && end > first {
            scan.max_physical = self.last_physical(first, end)?;
        }
        self.max_physical.store(scan.max_physical, Ordering::Release);
        self.first.store(self.skip_filler(first, end)?, Ordering::Release);
        self.find_covered(first)?;
        self.next_offset().store(self.max_offset(), Ordering::Release);
        Ok(())
    }

    /// Finds the end of the extension: behind the newest unit that the queue points to.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn recover_ext(&self) -> Result<(), StoreError> {
        let Some(ext) = &self.ext else { return Ok(()) };
        let (_, end) = self.live();
        let first = self.files.lock().first / self.layout().unit;
        // Without files there is nothing to look for, unless somebody deleted them.
        let scanned = if ext.is_empty() { 1 } else { FILES_SCANNED * self.layout().units_per_file };
        let from = first.max(end - scanned);
        let last = self.find_last(from, end, |placed| ext::is_address(placed.entry.tags_code))?;
        ext.recover(last.map(|(_, placed)| placed.entry.tags_code))
    }

    /// Deletes the files of the extension that nothing points to any more.
    fn delete_ext_files(&self) -> Result<(), StoreError> {
        let Some(ext) = self.ext.as_ref().filter(|ext| !ext.is_empty()) else { return Ok(()) };
        let (first, end) = self.live();
        let first = if first < end { Some(self.unit_at(first)?.entry.tags_code) } else { None };
        match first.filter(|tags_code| ext::is_address(*tags_code)) {
            Some(address) => ext.delete_before(address),
            None => Ok(()),
        }
    }

    /// Reads units from byte `from` on up to the first invalid one.
    fn scan(&self, from: i64, end: i64) -> Result<Scan, StoreError> {
        let mut scan = Scan { end: from, end_of_entries: from, max_physical: -1 };
        let (kind, unit_size) = (self.kind(), self.kind().unit_size());
        let mut buffer = vec![0u8; SCAN_BYTES_FIRST / unit_size * unit_size];
        while scan.end < end {
            let start = self.file_of(scan.end);
            let room = usize::try_from(start + self.layout().file_size - scan.end).unwrap_or(usize::MAX);
            let length = buffer.len().min(room);
            let bytes = &mut buffer[..length];
            self.open_file(start)
                .and_then(|file| file.read_exact_at(bytes, (scan.end - start) as u64))
                .map_err(|e| StoreError::io("read", files::path_of(&self.dir(), start), e))?;
            for placed in unit::decode_all(kind, bytes, scan.end / self.layout().unit) {
                if !placed.is_valid() {
                    return Ok(scan);
                }
                scan.end += self.layout().unit;
                if !unit::is_filler(&placed.entry) {
                    scan.end_of_entries = scan.end;
                    scan.max_physical = unit::end_of(&placed.entry);
                }
            }
            let longer = (buffer.len() * 2).min(SCAN_BYTES_MAX / unit_size * unit_size);
            buffer.resize(longer, 0);
        }
        Ok(scan)
    }

    /// Removes everything from byte `end` on: stale units would be taken for valid ones once the queue has grown up to
    /// them. Keeps the file that `end` is in, even when nothing is left in it.
    fn cut(&self, files: &mut super::queue::FileSet, end: i64) -> Result<(), StoreError> {
        let keep = if end == files.end { end } else { self.file_of(end) + self.layout().file_size };
        if keep < files.end {
            warn!(
                topic = self.topic(),
                queue = self.queue_id(),
                end = end / self.layout().unit,
                "files behind the last valid unit of the queue are deleted"
            );
            self.delete_files(files, keep)?;
        }
        if end < files.end {
            let start = self.file_of(end);
            let cleared = self
                .open_file(start)
                .and_then(|file| files::clear_from(&file, (end - start) as u64, self.layout().file_size as u64))
                .map_err(|e| StoreError::io("clear the end of", files::path_of(&self.dir(), start), e))?;
            if cleared {
                warn!(
                    topic = self.topic(),
                    queue = self.queue_id(),
                    end = end / self.layout().unit,
                    "units behind the last valid unit of the queue were cleared"
                );
            }
        }
        Ok(())
    }

    /// Commit-log offset behind the newest record that units `first..end` point to; -1 when all are filler.
    fn last_physical(&self, first: i64, end: i64) -> Result<i64, StoreError> {
        let last = self.find_last(first, end, |placed| !unit::is_filler(&placed.entry))?;
        Ok(last.map_or(-1, |(_, placed)| unit::end_of(&placed.entry)))
    }

    /// The last unit of `first..end` that `wanted` accepts, looked for from the end.
    fn find_last(
        &self,
        first: i64,
        end: i64,
        wanted: impl Fn(&PlacedEntry) -> bool,
    ) -> Result<Option<(i64, PlacedEntry)>, StoreError> {
        let mut entries = Vec::new();
        let mut high = end;
        while high > first {
            let low = (high - BACKWARD_UNITS).max(first);
            entries.clear();
            let count = self.units(low, (high - low) as usize, &mut entries)?;
            if let Some(at) = entries.iter().take(count).rposition(&wanted) {
                return Ok(Some((low + at as i64, entries[at])));
            }
            high = low;
        }
        Ok(None)
    }

    /// Index of the first unit that points to `physical_offset` or beyond, looked for from the end; `end` when there is
    /// none. After a power cut a unit across two pages of a file may be half new and half zero and so point anywhere.
    /// Therefore the search ends only with a whole step, longer than a page, of units that point below.
    fn first_beyond(&self, first: i64, end: i64, physical_offset: i64) -> Result<i64, StoreError> {
        let beyond = |PlacedEntry { entry, .. }: &PlacedEntry| {
            !unit::is_filler(entry) && entry.physical_offset >= physical_offset
        };
        let mut entries = Vec::new();
        let (mut found, mut high) = (end, end);
        while high > first {
            let low = (high - BACKWARD_UNITS).max(first);
            entries.clear();
            let count = self.units(low, (high - low) as usize, &mut entries)?;
            match entries.iter().take(count).position(beyond) {
                Some(at) => found = low + at as i64,
                // The newest units, where a torn one would be, do not count.
                None if high < end => break,
                None => {}
            }
            high = low;
        }
        Ok(found)
    }

    /// Index of the first unit of `first..end` that is not filler, or `end`.
    fn skip_filler(&self, first: i64, end: i64) -> Result<i64, StoreError> {
        let mut entries = Vec::new();
        let (mut at, mut step) = (first, 1);
        while at < end {
            entries.clear();
            let count = self.units(at, step.min((end - at) as usize), &mut entries)?;
            if count == 0 {
                break;
            }
            if let Some(found) = entries.iter().position(|placed| !unit::is_filler(&placed.entry)) {
                return Ok(at + found as i64);
            }
            at += count as i64;
            step = (step * 8).min(SCAN_BYTES_MAX / self.kind().unit_size());
        }
        Ok(end)
    }

    /// Removes the entries at the end that point to `physical_offset` or beyond: where the commit log ends, or from where
    /// it is dispatched again. Only for recovery: nothing may read or append meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn truncate_to_physical(&self, physical_offset: i64) -> Result<(), StoreError> {
        self.write_pending()?;
        let (_, max) = self.live();
        let mut files = self.files.lock();
        if files.is_empty() {
            return Ok(());
        }
        let first = files.first / self.layout().unit;
        let end = self.first_beyond(first, max, physical_offset)?;
        let stays = |PlacedEntry { entry, .. }: &PlacedEntry| {
            !unit::is_filler(entry) && entry.physical_offset < physical_offset
        };
        let end = match self.find_last(first, end, stays)? {
            Some((index, _)) => index + 1,
            None => self.skip_filler(first, max)?,
        };
        if end == max {
            return Ok(());
        }
        info!(
            topic = self.topic(),
            queue = self.queue_id(),
            physical_offset,
            from = max,
            to = end,
            "entries beyond the end of the commit log are removed"
        );
        self.cut(&mut files, end * self.layout().unit)?;
        // Reads must not find the removed units in the tail.
        self.tail.lock().reset(end);
        self.end.store(end, Ordering::Release);
        self.first.fetch_min(end, Ordering::AcqRel);
        drop(files);
        self.find_covered(first)?;
        self.next_offset().store(self.max_offset(), Ordering::Release);
        self.max_physical.store(self.last_physical(first, end)?, Ordering::Release);
        self.recover_ext()
    }

    /// Raises the minimum offset to the first entry that points to `min_physical` or beyond; to the maximum offset when
    /// there is none. Never lowers it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn correct_min(&self, min_physical: i64) -> Result<(), StoreError> {
        let (low, high) = self.live();
        let gone =
            |PlacedEntry { entry, .. }: &PlacedEntry| unit::is_filler(entry) || entry.physical_offset < min_physical;
        if low >= high || !gone(&self.unit_at(low)?) {
            return Ok(());
        }
        // Most queues whose first entry is gone are no longer used: look at the last one before searching.
        let first = if gone(&self.unit_at(high - 1)?) {
            high
        } else {
            self.first_unit(low, high, |placed| placed.entry.physical_offset < min_physical)?
        };
        self.first.fetch_max(first, Ordering::AcqRel);
        self.raise_covered_min()?;
        self.delete_ext_files()
    }

    /// Index of the first unit of `low..high` that is not `before` what is looked for, by bisection; `high` when there
    /// is none. Filler, of which there is little, is passed over.
    pub(super) fn first_unit(
        &self,
        mut low: i64,
        mut high: i64,
        mut before: impl FnMut(&PlacedEntry) -> bool,
    ) -> Result<i64, StoreError> {
        let end = high;
        while low < high {
            let middle = low + (high - low) / 2;
            let mut at = middle;
            let mut placed = self.unit_at(at)?;
            if unit::is_filler(&placed.entry) {
                at = self.skip_filler(middle, high)?;
                if at >= high {
                    high = middle;
                    continue;
                }
                placed = self.unit_at(at)?;
            }
            if before(&placed) {
                low = at + 1;
            } else {
                high = middle;
            }
        }
        self.skip_filler(low, end)
    }

    /// The unit of an index; filler when its file is gone.
    pub(super) fn unit_at(&self, index: i64) -> Result<PlacedEntry, StoreError> {
        let mut found = Vec::with_capacity(1);
        self.units(index, 1, &mut found)?;
        Ok(found.first().copied().unwrap_or(PlacedEntry::simple(index, unit::FILLER)))
    }

    /// Deletes the files, oldest first, whose last entry points before `min_physical`, but never the last file, and
    /// corrects the minimum offset. Returns how many files were deleted.
    ///
    /// # Errors
    /// [`StoreError::Io`]; files already deleted stay so.
    pub fn delete_expired_files(&self, min_physical: i64) -> Result<usize, StoreError> {
        let mut deleted = 0;
        {
            let mut files = self.files.lock();
            while files.first + self.layout().file_size < files.end {
                let next = files.first + self.layout().file_size;
                if self.unit_at(next / self.layout().unit - 1)?.entry.physical_offset >= min_physical {
                    break;
                }
                // Raised first, so that no reader looks for the deleted file.
                self.first.fetch_max(next / self.layout().unit, Ordering::AcqRel);
                self.raise_covered_min()?;
                remove_if_exists(&files::path_of(&self.dir(), files.first))?;
                self.shared.cache.forget(self.key(files.first));
                info!(
                    topic = self.topic(),
                    queue = self.queue_id(),
                    start = files.first / self.layout().unit,
                    min_physical,
                    "consume-queue file deleted, the commit log has lost what it points to"
                );
                files.first = next;
                deleted += 1;
            }
        }
        self.correct_min(min_physical)?;
        if deleted > 0 {
            self.delete_ext_files()?;
        }
        Ok(deleted)
    }
}
