//! The extension of a simple queue (`enableConsumeQueueExt`): units that hold what the 8 bytes of a tags code cannot,
//! in files below `consumequeue_ext/<topic>/<queue id>`.
//!
//! ```text
//! 0  2  bytes of the unit
//! 2  8  tags code
//! 10 8  store time of the record, milliseconds since 1970
//! 18 2  bytes of the bit map, 0 when there is none
//! 20    bit map: which registered filters the message matches
//! ```
//! Integers are big-endian. The queue's own unit then has the unit's address in the place of the tags code: its byte
//! position over all files of the extension, plus the smallest i64, so that it is far below any hash of a tag. A unit
//! never crosses files; -1 in two bytes ends a file whose rest is too short. Source: `ConsumeQueueExt.java` of RocketMQ
//! 5.5.0.
//!
//! Units reach the file, and the disk, before those of the queue that point to them. An address whose unit is gone all
//! the same stands for a message that any filter by tag lets pass; the client looks at the tag again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use super::files::{self, FileKey};
use super::queue::{FileSet, remove_if_exists};
use super::unit::{self, PlacedEntry};
use super::{ConsumeQueue, Shared, load_files};
use crate::error::StoreError;
use crate::patience::Patience;

/// Largest address of a unit; hashes of tags are above.
pub const ADDRESS_MAX: i64 = i32::MIN as i64 - 1;
/// Bytes of a unit without a bit map.
pub const UNIT_BYTES_MIN: usize = 20;
/// Bytes of a unit: its size is a signed 16-bit integer.
pub const UNIT_BYTES_MAX: usize = i16::MAX as usize;
/// Bytes left free at the end of a file, for the mark that ends it.
const END_BYTES: i64 = 4;
/// Ends a file before its last byte.
const END_MARK: [u8; 2] = (-1i16).to_be_bytes();
/// Bytes of units that wait in memory at most.
const PENDING_BYTES_MAX: usize = 4096;
/// Bytes of the first read of a unit: enough for a bit map of 108 bytes.
const READ_BYTES_FIRST: usize = 128;
/// Bytes of one read of a scan.
const SCAN_BYTES: usize = 256 << 10;

/// Whether a tags code is the address of a unit.
pub fn is_address(tags_code: i64) -> bool {
    tags_code <= ADDRESS_MAX
}

/// What an extension says of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtUnit {
    /// Tags code, as the queue would hold it without an extension.
    pub tags_code: i64,
    /// Store time of the record, milliseconds since 1970.
    pub store_timestamp: i64,
    /// Bits of the filters that the message matches; empty when none were worked out.
    pub bits: Vec<u8>,
}

impl ExtUnit {
    /// Bytes of the unit in a file.
    pub fn size(&self) -> usize {
        UNIT_BYTES_MIN + self.bits.len()
    }

    /// Appends the unit's bytes to `out`; false, and nothing, when it is too long.
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        let Some(size) = i16::try_from(self.size()).ok() else { return false };
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(&self.tags_code.to_be_bytes());
        out.extend_from_slice(&self.store_timestamp.to_be_bytes());
        out.extend_from_slice(&(self.bits.len() as i16).to_be_bytes());
        out.extend_from_slice(&self.bits);
        true
    }

    /// The unit at the start of `bytes`, when it is whole.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let size = unit_size(bytes)?;
        let unit = bytes.get(..size)?;
        let long = |at: usize| Some(i64::from_be_bytes(*unit.get(at..)?.first_chunk()?));
        let bits = usize::try_from(i16::from_be_bytes(*unit.get(18..)?.first_chunk()?)).unwrap_or(0);
        Some(Self {
            tags_code: long(2)?,
            store_timestamp: long(10)?,
            bits: unit.get(UNIT_BYTES_MIN..UNIT_BYTES_MIN + bits)?.to_vec(),
        })
    }
}

/// Size of the unit at the start of `bytes`; `None` where there is none.
fn unit_size(bytes: &[u8]) -> Option<usize> {
    let size = usize::try_from(i16::from_be_bytes(*bytes.first_chunk()?)).ok()?;
    (size >= UNIT_BYTES_MIN).then_some(size)
}

/// The extension of one queue. Its lock is taken after those of the queue, and held during system calls.
pub struct Ext {
    dir: PathBuf,
    file_size: i64,
    serial: u64,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: FileSet,
    /// Position of the next unit.
    end: i64,
    /// Units before are in the files.
    written: i64,
    /// Units before are on disk.
    synced: i64,
    /// The bytes `written..end`.
    pending: Vec<u8>,
    /// The queue was deleted: nothing may be written any more.
    dropped: bool,
}

impl Ext {
    /// The extension in a folder, which need not exist. [`Ext::recover`] must follow.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] naming a file of another size, or a missing one; [`StoreError::Io`].
    pub(super) fn open(dir: PathBuf, file_size: i64, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let files = load_files(file_size, &dir)?;
        let state = State { end: files.first, written: files.first, synced: files.first, files, ..State::default() };
        Ok(Self { serial: shared.new_serial(), dir, file_size, shared, state: Mutex::new(state) })
    }

    /// Whether there are no units.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.files.is_empty() && state.pending.is_empty()
    }

    /// Bytes of the files.
    pub(super) fn total_size(&self) -> i64 {
        let state = self.state.lock();
        state.files.end - state.files.first
    }

    /// Finds the end. `last` is the newest address that the queue points to: what is behind its unit goes. Where there
    /// is no such unit, the next one begins a new file, so that the address never leads to another message's. Without
    /// an address the units of the last file are counted.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn recover(&self, last: Option<i64>) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let end = match last.map(position_of) {
            None if state.files.is_empty() => return Ok(()),
            None => self.scan_last_file(&state)?,
            Some(position) => match self.unit_in_file(&state, position)? {
                Some(size) => position + size as i64,
                None => {
                    warn!(dir = %self.dir.display(), position, "the queue points to a unit that is not there");
                    self.file_of(position).saturating_add(self.file_size)
                }
            },
        };
        let keep = if end % self.file_size == 0 { end } else { self.file_of(end) + self.file_size };
        // Files are adjacent: those before a gap go, too.
        let gap = keep > state.files.end;
        while !state.files.is_empty() && (state.files.end > keep || gap) {
            let start = state.files.end - self.file_size;
            remove_if_exists(&files::path_of(&self.dir, start))?;
            self.shared.cache.forget(self.key(start));
            state.files.end = start;
        }
        if end < state.files.end {
            let start = self.file_of(end);
            let cleared = self
                .open_file(start)
                .and_then(|file| files::clear_from(&file, (end - start) as u64, self.file_size as u64))
                .map_err(|error| self.error("clear the end of", start, error))?;
            if cleared {
                info!(dir = %self.dir.display(), end, "units behind the last one of the queue were cleared");
            }
        }
        (state.end, state.written, state.synced) = (end, end, end);
        state.pending.clear();
        Ok(())
    }

    /// Size of the unit at a position, if there is one.
    fn unit_in_file(&self, state: &State, position: i64) -> Result<Option<usize>, StoreError> {
        if !(state.files.first..state.files.end).contains(&position) {
            return Ok(None);
        }
        let unit = self.read(position, Patience::Endless).map_err(|error| self.error("read", position, error))?;
        Ok(unit.map(|unit| unit.size()))
    }

    /// End of the units of the last file.
    fn scan_last_file(&self, state: &State) -> Result<i64, StoreError> {
        let start = state.files.end - self.file_size;
        let file = self.open_file(start).map_err(|error| self.error("open", start, error))?;
        let mut bytes = vec![0u8; SCAN_BYTES];
        let mut end = start;
        loop {
            let length = usize::try_from(state.files.end - end).unwrap_or(0).min(SCAN_BYTES);
            let chunk = &mut bytes[..length];
            file.read_exact_at(chunk, (end - start) as u64).map_err(|error| self.error("read", start, error))?;
            let mut at = 0;
            while let Some(size) = chunk.get(at..).and_then(unit_size).filter(|size| at + size <= length) {
                at += size;
            }
            // Whole units are left in the rest only when it was cut off; a unit is shorter than a chunk.
            if at == 0 || length < SCAN_BYTES {
                return Ok(end + at as i64);
            }
            end += at as i64;
        }
    }

    /// Stores a unit and returns its address; `None` when it does not fit a file.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn put(&self, unit: &ExtUnit) -> Result<Option<i64>, StoreError> {
        let size = unit.size() as i64;
        if size > (UNIT_BYTES_MAX as i64).min(self.file_size - END_BYTES) {
            warn!(dir = %self.dir.display(), size, "unit is too long for the extension, its queue keeps the tags code");
            return Ok(None);
        }
        let mut state = self.state.lock();
        if state.dropped {
            return Ok(None);
        }
        let next_file = self.file_of(state.end) + self.file_size;
        if state.end + size > next_file - END_BYTES {
            state.pending.extend_from_slice(&END_MARK);
            self.write(&mut state)?;
            (state.end, state.written) = (next_file, next_file);
        }
        let position = state.end;
        unit.encode(&mut state.pending);
        state.end += size;
        if state.pending.len() >= PENDING_BYTES_MAX {
            self.write(&mut state)?;
        }
        Ok(Some(address_of(position)))
    }

    /// Hands what waits to the operating system.
    ///
    /// # Errors
    /// [`StoreError::Io`]; what waited waits on.
    pub(super) fn write_pending(&self) -> Result<(), StoreError> {
        self.write(&mut self.state.lock())
    }

    /// What waits lies in one file.
    fn write(&self, state: &mut State) -> Result<(), StoreError> {
        if state.pending.is_empty() || state.dropped {
            return Ok(());
        }
        let start = self.file_of(state.written);
        self.file_to_write(state, start)
            .and_then(|file| file.write_all_at(&state.pending, (state.written - start) as u64))
            .map_err(|error| self.error("write", start, error))?;
        state.pending.clear();
        state.written = state.end;
        Ok(())
    }

    fn file_to_write(&self, state: &mut State, start: i64) -> io::Result<Arc<File>> {
        if !state.files.is_empty() && start < state.files.end {
            return self.open_file(start);
        }
        let create = || files::create(&self.dir, start, self.file_size as u64);
        let file = self.shared.cache.get(self.key(start), create)?;
        if state.files.is_empty() {
            state.files.first = start;
        }
        state.files.end = start + self.file_size;
        state.files.created = true;
        Ok(file)
    }

    /// Waits until what was written is on disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let (from, to, created) = {
            let mut state = self.state.lock();
            (state.synced.max(state.files.first), state.written, std::mem::take(&mut state.files.created))
        };
        let mut start = self.file_of(from);
        while start < to {
            match self.open_file(start) {
                Ok(file) => file.sync_data().map_err(|error| self.error("flush", start, error))?,
                // Expired or deleted with its topic meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.error("open", start, error)),
            }
            start += self.file_size;
        }
        if created {
            // The queue's folder, its topic's, that of all extensions and the store's may be new.
            for folder in self.dir.ancestors().take(4) {
                match File::open(folder).and_then(|folder| folder.sync_all()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other.map_err(|error| StoreError::io("flush", folder, error))?,
                }
            }
        }
        let mut state = self.state.lock();
        state.synced = state.synced.max(to);
        Ok(())
    }

    /// The unit at an address; `None` when there is none (any more).
    ///
    /// # Errors
    /// Those of the operating system, and that the disk would have to be waited for.
    pub(super) fn get(&self, address: i64, patience: Patience) -> io::Result<Option<ExtUnit>> {
        let position = position_of(address);
        {
            let state = self.state.lock();
            if position < state.files.first || position >= state.end {
                return Ok(None);
            }
            if let Ok(at) = usize::try_from(position - state.written) {
                return Ok(state.pending.get(at..).and_then(ExtUnit::decode));
            }
        }
        match self.read(position, patience) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other,
        }
    }

    fn read(&self, position: i64, patience: Patience) -> io::Result<Option<ExtUnit>> {
        let start = self.file_of(position);
        let room = usize::try_from(start + self.file_size - position).unwrap_or(0);
        let file = self.open_file(start)?;
        let mut bytes = vec![0u8; room.min(READ_BYTES_FIRST)];
        patience.read(&file, &mut bytes, (position - start) as u64)?;
        match unit_size(&bytes) {
            Some(size) if size > bytes.len() && size <= room => {
                bytes.resize(size, 0);
                patience.read(&file, &mut bytes, (position - start) as u64)?;
            }
            Some(_) => {}
            None => return Ok(None),
        }
        Ok(ExtUnit::decode(&bytes))
    }

    /// Deletes the files before that of the unit at `address`, the first one that is needed.
    ///
    /// # Errors
    /// [`StoreError::Io`]; files already deleted stay so.
    pub(super) fn delete_before(&self, address: i64) -> Result<(), StoreError> {
        let keep = self.file_of(position_of(address));
        let mut state = self.state.lock();
        while state.files.first < keep && state.files.first + self.file_size < state.files.end {
            let start = state.files.first;
            remove_if_exists(&files::path_of(&self.dir, start))?;
            self.shared.cache.forget(self.key(start));
            info!(dir = %self.dir.display(), start, "file of a queue's extension deleted, the queue has lost its units");
            state.files.first = start + self.file_size;
        }
        Ok(())
    }

    /// Stops all writing; the files are about to be deleted.
    pub(super) fn drop_contents(&self) {
        let mut state = self.state.lock();
        state.dropped = true;
        state.pending = Vec::new();
        let mut start = state.files.first;
        while start < state.files.end {
            self.shared.cache.forget(self.key(start));
            start += self.file_size;
        }
        (state.end, state.written) = (state.files.first, state.files.first);
    }

    /// Folder of the files.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn file_of(&self, position: i64) -> i64 {
        position - position % self.file_size
    }

    fn key(&self, start: i64) -> FileKey {
        FileKey { queue: self.serial, start }
    }

    fn open_file(&self, start: i64) -> io::Result<Arc<File>> {
        self.shared.cache.get(self.key(start), || files::open(&self.dir, start))
    }

    fn error(&self, action: &'static str, position: i64, error: io::Error) -> StoreError {
        StoreError::io(action, files::path_of(&self.dir, self.file_of(position)), error)
    }
}

fn address_of(position: i64) -> i64 {
    i64::MIN + position
}

/// Of an address of this process or of a file; never negative.
fn position_of(address: i64) -> i64 {
    address.wrapping_sub(i64::MIN).max(0)
}

impl ConsumeQueue {
    /// The entry with the address of a unit of the extension in the place of its tags code.
    pub(super) fn extended(&self, ext: &Ext, placed: &PlacedEntry, bits: &[u8]) -> Result<PlacedEntry, StoreError> {
        let mut placed = *placed;
        let new = placed.is_valid() && unit::end_of(&placed.entry) > self.max_physical();
        if new {
            let (tags_code, store_timestamp) = (placed.entry.tags_code, placed.store_timestamp);
            let unit = ExtUnit { tags_code, store_timestamp, bits: bits.to_vec() };
            placed.entry.tags_code = ext.put(&unit)?.unwrap_or(tags_code);
        }
        Ok(placed)
    }

    /// What a tags code stands for that is the address of a unit of the extension; `None` when there is no such unit.
    ///
    /// # Errors
    /// Those of the operating system, and that the disk would have to be waited for.
    pub(crate) fn ext_unit(&self, tags_code: i64, patience: Patience) -> io::Result<Option<ExtUnit>> {
        match self.ext.as_ref().filter(|_| is_address(tags_code)) {
            Some(ext) => ext.get(tags_code, patience),
            None => Ok(None),
        }
    }
}
