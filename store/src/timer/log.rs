//! The timer log: entries of messages that wait, in files named by the position of their first byte. Source:
//! `TimerLog.java`, `MappedFileQueue.java` of RocketMQ 5.5.0.
//!
//! Files have their full size from the start and are read and written by system calls: a log of ten million timers
//! takes half a gigabyte, which is not to count as this process' memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::unit::{FILLER_SIZE, NoUnit, TimerUnit, UNIT_SIZE, filler};
use crate::consume_queue::files::{self, FileCache, FileKey};
use crate::error::StoreError;
use crate::folder;
use crate::segment::allocate::Disk;

/// Files held open; a slot's entries lie in few at a time.
const OPEN_FILES: usize = 8;
/// Bytes read at a time where entries are read one after the other.
const SCAN_BYTES: usize = 1 << 20;
/// Smallest file: a few entries and a filler.
const FILE_SIZE_MIN: i64 = 1024;

/// See the module text.
pub struct TimerLog {
    folder: PathBuf,
    file_size: i64,
    disk: Arc<dyn Disk>,
    cache: FileCache,
    has_gap: bool,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Start of the oldest file.
    first: i64,
    /// Behind the last entry.
    end: i64,
    /// Behind the newest file.
    allocated: i64,
    /// On disk up to here.
    synced: i64,
}

impl TimerLog {
    /// Opens the folder. Nothing is known of what the files hold before [`TimerLog::set_end`].
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] when a file has another size than `file_size`.
    pub fn open(folder: &Path, file_size: usize, disk: Arc<dyn Disk>) -> Result<TimerLog, StoreError> {
        let file_size = i64::try_from(file_size).ok().filter(|size| (FILE_SIZE_MIN..=i32::MAX.into()).contains(size));
        let Some(file_size) = file_size else {
            let reason = format!("must be within {FILE_SIZE_MIN}..=2147483647 bytes");
            return Err(StoreError::Config { key: "mappedFileSizeTimerLog", reason });
        };
        folder::create(folder)?;
        let starts = list(folder, file_size)?;
        // Files are deleted from the front; what lies before a gap is not reached from behind it.
        let run = starts.windows(2).rposition(|pair| pair[1] - pair[0] != file_size).map_or(0, |at| at + 1);
        if run > 0 {
            tracing::warn!(folder = %folder.display(), "the timer log has a gap; what lies before it is not used");
        }
        let first = starts.get(run).copied().unwrap_or(0);
        let allocated = starts.last().map_or(0, |last| last + file_size);
        let state = State { first, end: first, allocated, synced: first };
        Ok(TimerLog {
            folder: folder.to_owned(),
            file_size,
            disk,
            cache: FileCache::new(OPEN_FILES),
            has_gap: run > 0,
            state: Mutex::new(state),
        })
    }

    /// Whether files were missing between others when the log was opened: entries of messages that wait may be lost.
    pub fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// Bytes of a file.
    pub fn file_size(&self) -> i64 {
        self.file_size
    }

    /// Position of the oldest entry there may be.
    pub fn first(&self) -> i64 {
        self.state.lock().first
    }

    /// Position behind the last entry.
    pub fn end(&self) -> i64 {
        self.state.lock().end
    }

    /// Behind the newest file.
    pub fn allocated(&self) -> i64 {
        self.state.lock().allocated
    }

    /// Start of the file that holds a position.
    pub fn file_start(&self, position: i64) -> i64 {
        position - position.rem_euclid(self.file_size)
    }

    fn file(&self, start: i64) -> io::Result<Arc<File>> {
        self.cache.get(FileKey { queue: 0, start }, || files::open(&self.folder, start))
    }

    fn failed(&self, action: &'static str, start: i64) -> impl Fn(io::Error) -> StoreError {
        let path = files::path_of(&self.folder, start);
        move |source| StoreError::io(action, &path, source)
    }

    /// Takes the log for ending at `end`: clears the rest of that file and deletes the files behind, so that nothing of
    /// them ever counts again.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn set_end(&self, end: i64) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let mut start = state.allocated - self.file_size;
        while start >= state.first && start > self.file_start(end) {
            tracing::warn!(position = start, end, "dropping a file behind the end of the valid timer log");
            self.cache.forget(FileKey { queue: 0, start });
            std::fs::remove_file(files::path_of(&self.folder, start)).map_err(self.failed("delete", start))?;
            state.allocated = start;
            start -= self.file_size;
        }
        if state.allocated > end {
            let start = self.file_start(end);
            let file = self.file(start).map_err(self.failed("open timer log", start))?;
            let mut head = [0; FILLER_SIZE];
            let length = head.len().min((start + self.file_size - end) as usize);
            file.read_exact_at(&mut head[..length], (end - start) as u64)
                .map_err(self.failed("read timer log", start))?;
            if head.iter().any(|&byte| byte != 0) {
                tracing::warn!(end, "dropping what follows the last valid entry of the timer log");
            }
            files::clear_from(&file, (end - start) as u64, self.file_size as u64)
                .map_err(self.failed("clear timer log", start))?;
        }
        (state.end, state.synced) = (end, end.min(state.synced));
        Ok(())
    }

    /// Appends entries. `link` gives each entry's predecessor once its own position is known, and is called once for
    /// each, in order.
    ///
    /// # Errors
    /// [`StoreError::Io`]; then nothing was appended.
    pub fn append(&self, units: &[TimerUnit], mut link: impl FnMut(&TimerUnit, i64) -> i64) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let mut buffer = Vec::with_capacity(units.len().saturating_mul(UNIT_SIZE));
        // Where the buffer's first byte goes, and its next.
        let (mut start, mut end) = (state.end, state.end);
        for unit in units {
            let left = self.file_start(end) + self.file_size - end;
            if left < (UNIT_SIZE + FILLER_SIZE) as i64 {
                buffer.extend_from_slice(&filler(left));
                self.write(&mut state, start, &buffer)?;
                buffer.clear();
                end += left;
                start = end;
            }
            let previous = link(unit, end);
            buffer.extend_from_slice(&TimerUnit { previous, ..*unit }.encode());
            end += UNIT_SIZE as i64;
        }
        self.write(&mut state, start, &buffer)?;
        state.end = end;
        Ok(())
    }

    /// Writes bytes that lie within one file, which is made when it is missing.
    fn write(&self, state: &mut State, position: i64, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let start = self.file_start(position);
        if start >= state.allocated {
            let path = files::path_of(&self.folder, start);
            self.disk
                .allocate(&path, self.file_size as usize)
                .map_err(|source| StoreError::io("preallocate timer log", &path, source))?;
            if state.allocated <= state.first {
                state.first = start;
            }
            state.allocated = start + self.file_size;
        }
        let file = self.file(start).map_err(self.failed("open timer log", start))?;
        file.write_all_at(bytes, (position - start) as u64).map_err(self.failed("write timer log", start))
    }

    /// Brings everything appended before to disk; returns up to which position.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sync(&self) -> Result<i64, StoreError> {
        let State { first, end, synced, .. } = *self.state.lock();
        let mut start = self.file_start(synced.max(first));
        while start < end {
            let file = self.file(start).map_err(self.failed("open timer log", start))?;
            self.disk.sync(&file).map_err(self.failed("flush timer log", start))?;
            start += self.file_size;
        }
        let mut state = self.state.lock();
        state.synced = state.synced.max(end);
        Ok(end)
    }

    /// Reads `buffer` at `position`, within one file.
    pub(super) fn read(&self, position: i64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let start = self.file_start(position);
        let file = self.file(start).map_err(self.failed("open timer log", start))?;
        file.read_exact_at(buffer, (position - start) as u64).map_err(self.failed("read timer log", start))
    }

    /// Hands every entry from `from` on, which must be the start of a file, to `visit`, up to `to` or the first place
    /// where there is none, or until `visit` says false. Returns that place.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn scan(&self, from: i64, to: i64, mut visit: impl FnMut(&TimerUnit, i64) -> bool) -> Result<i64, StoreError> {
        let mut buffer = vec![0; SCAN_BYTES / UNIT_SIZE * UNIT_SIZE];
        let mut position = from;
        'files: while position < to {
            let file_end = self.file_start(position) + self.file_size;
            while position < file_end.min(to) {
                let length = (file_end - position).min(buffer.len() as i64) as usize;
                self.read(position, &mut buffer[..length])?;
                for bytes in buffer[..length].chunks(UNIT_SIZE) {
                    if position >= to {
                        return Ok(position);
                    }
                    match TimerUnit::decode(bytes, position) {
                        Ok(unit) if visit(&unit, position) => position += UNIT_SIZE as i64,
                        Err(NoUnit::Filler) => {
                            // The log may end just here: a file begins with its first entry.
                            if file_end >= to || !self.begins_with_unit(file_end)? {
                                return Ok(position);
                            }
                            position = file_end;
                            continue 'files;
                        }
                        Ok(_) | Err(NoUnit::End | NoUnit::Damaged) => return Ok(position),
                    }
                }
            }
        }
        Ok(position)
    }

    fn begins_with_unit(&self, start: i64) -> Result<bool, StoreError> {
        let mut bytes = [0; UNIT_SIZE];
        self.read(start, &mut bytes)?;
        Ok(TimerUnit::decode(&bytes, start).is_ok())
    }

    /// Deletes files from the front as long as the last message of a file lies before `min_physical` in the commit log.
    /// The newest file stays. Returns how many went.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete_expired(&self, min_physical: i64) -> Result<usize, StoreError> {
        let mut deleted = 0;
        loop {
            let State { first, end, .. } = *self.state.lock();
            if first + self.file_size >= end {
                return Ok(deleted);
            }
            let mut bytes = [0; UNIT_SIZE];
            let last = first + last_unit(self.file_size);
            self.read(last, &mut bytes)?;
            match TimerUnit::decode(&bytes, last) {
                Ok(unit) if unit.physical_offset < min_physical => {}
                _ => return Ok(deleted),
            }
            self.state.lock().first = first + self.file_size;
            self.cache.forget(FileKey { queue: 0, start: first });
            std::fs::remove_file(files::path_of(&self.folder, first)).map_err(self.failed("delete", first))?;
            deleted += 1;
        }
    }

    /// Deletes all files.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete_all(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let mut start = state.first;
        while start < state.allocated {
            self.cache.forget(FileKey { queue: 0, start });
            std::fs::remove_file(files::path_of(&self.folder, start)).map_err(self.failed("delete", start))?;
            start += self.file_size;
        }
        *state = State { first: 0, end: 0, allocated: 0, synced: 0 };
        Ok(())
    }
}

/// Where the last entry of a full file lies within it.
fn last_unit(file_size: i64) -> i64 {
    let unit = UNIT_SIZE as i64;
    (file_size - FILLER_SIZE as i64) / unit * unit - unit
}

/// Starts of the files, ascending.
fn list(folder: &Path, file_size: i64) -> Result<Vec<i64>, StoreError> {
    let failed = |source| StoreError::io("read folder", folder, source);
    let mut starts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let start = name.to_str().filter(|name| name.len() == 20).and_then(|name| name.parse::<i64>().ok());
        let has_end = |start: i64| start.checked_add(file_size).is_some();
        let Some(start) = start.filter(|start| *start >= 0 && start % file_size == 0 && has_end(*start)) else {
            tracing::warn!(file = %entry.path().display(), "not a file of the timer log, ignored");
            continue;
        };
        let length = entry.metadata().map_err(failed)?.len();
        if length == 0 {
            std::fs::remove_file(entry.path()).map_err(failed)?;
            continue;
        }
        if length != file_size as u64 {
            let reason = format!("has {length} bytes, mappedFileSizeTimerLog says {file_size}");
            return Err(StoreError::Corrupt { path: entry.path(), reason });
        }
        starts.push(start);
    }
    starts.sort_unstable();
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_of_a_file_is_where_java_looks_for_it() {
        // TimerLog.getOffsetForLastUnit of the default size.
        let size = 104_857_600;
        assert_eq!(last_unit(size), size - (size - 16) % 52 - 16 - 52);
    }
}
