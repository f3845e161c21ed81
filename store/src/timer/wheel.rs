//! The timer wheel: for each step of time, which entries of the timer log are due then. Source: `TimerWheel.java`,
//! `Slot.java` of RocketMQ 5.5.0.
//!
//! The file `timerwheel` has [`SLOTS`] slots of 32 bytes, big-endian: 8 time in steps of the precision, 8 position of the
//! first entry, 8 of the last, 4 number of messages, 4 unused. A slot is found by its time in steps modulo [`SLOTS`] and
//! counts only for the time it names. All of it is held in memory, where pages that were never used take no space; a
//! flush writes the pages that changed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::unit::TimerUnit;
use crate::error::StoreError;

/// Slots: twice the steps of seven days with the usual precision of a second.
pub const SLOTS: i64 = 2 * WINDOW_STEPS;
/// Steps that a message may be ahead at most (`TIMER_WHEEL_TTL_DAY`), however long a step is.
pub const WINDOW_STEPS: i64 = 7 * 24 * 3600;
/// Bytes of a slot.
const SLOT_SIZE: usize = 32;
/// Bytes of the file: 38,707,200, which is a whole number of pages.
pub const FILE_SIZE: usize = SLOTS as usize * SLOT_SIZE;
const PAGE: usize = 4096;
const PAGES: usize = FILE_SIZE / PAGE;
const SLOTS_PER_PAGE: usize = PAGE / SLOT_SIZE;
const ZERO_PAGE: [u8; PAGE] = [0; PAGE];
/// Pages copied while the lock is held once.
const PAGES_AT_ONCE: usize = 64;

/// A slot in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its time, ms since 1970, a multiple of the precision.
    pub time_ms: i64,
    /// Position of its first entry in the log.
    pub first: i64,
    /// Position of its last entry, from which the others follow backwards.
    pub last: i64,
    /// Messages: those that wait less those that take one back.
    pub number: i32,
    /// Unused.
    pub magic: i32,
}

/// The slots in memory.
pub struct Wheel {
    precision_ms: i64,
    bytes: Vec<u8>,
    /// A bit for each page that the file has not got yet.
    dirty: Vec<u64>,
}

/// The file, and the slots.
pub struct WheelFile {
    path: PathBuf,
    file: File,
    pub(super) wheel: Mutex<Wheel>,
}

impl Wheel {
    fn new(precision_ms: i64) -> Self {
        Wheel { precision_ms: precision_ms.max(1), bytes: vec![0; FILE_SIZE], dirty: vec![0; PAGES.div_ceil(64)] }
    }

    /// Milliseconds of a step.
    pub fn precision_ms(&self) -> i64 {
        self.precision_ms
    }

    fn index(step: i64) -> usize {
        step.rem_euclid(SLOTS) as usize
    }

    /// The slot at an index, whatever its time; `None` when it was never used.
    fn at(&self, index: usize) -> Option<(i64, Slot)> {
        let bytes = self.bytes.get(index * SLOT_SIZE..(index + 1) * SLOT_SIZE)?;
        let long = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, i64::from_be_bytes);
        let int = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_be_bytes);
        let step = long(0);
        let time_ms = step.checked_mul(self.precision_ms).filter(|time| *time > 0)?;
        Some((step, Slot { time_ms, first: long(8), last: long(16), number: int(24), magic: int(28) }))
    }

    /// The slot of a time.
    pub fn slot(&self, time_ms: i64) -> Option<Slot> {
        let step = time_ms / self.precision_ms;
        self.at(Self::index(step)).filter(|(of, _)| *of == step).map(|(_, slot)| slot)
    }

    /// Sets the slot of `slot.time_ms`.
    pub fn set(&mut self, slot: Slot) {
        let step = slot.time_ms / self.precision_ms;
        let start = Self::index(step) * SLOT_SIZE;
        let Some(bytes) = self.bytes.get_mut(start..start + SLOT_SIZE) else { return };
        bytes[..8].copy_from_slice(&step.to_be_bytes());
        bytes[8..16].copy_from_slice(&slot.first.to_be_bytes());
        bytes[16..24].copy_from_slice(&slot.last.to_be_bytes());
        bytes[24..28].copy_from_slice(&slot.number.to_be_bytes());
        bytes[28..].copy_from_slice(&slot.magic.to_be_bytes());
        self.mark(start / PAGE);
    }

    /// Puts the raw slot of `time_ms` back to what [`Wheel::raw`] gave before.
    pub fn restore(&mut self, time_ms: i64, raw: [u8; SLOT_SIZE]) {
        let start = Self::index(time_ms / self.precision_ms) * SLOT_SIZE;
        if let Some(bytes) = self.bytes.get_mut(start..start + SLOT_SIZE) {
            bytes.copy_from_slice(&raw);
            self.mark(start / PAGE);
        }
    }

    /// The bytes of the slot of a time, whatever time it names.
    pub fn raw(&self, time_ms: i64) -> [u8; SLOT_SIZE] {
        let start = Self::index(time_ms / self.precision_ms) * SLOT_SIZE;
        self.bytes.get(start..start + SLOT_SIZE).and_then(|raw| raw.try_into().ok()).unwrap_or([0; SLOT_SIZE])
    }

    /// Hangs the entry at `position` onto its slot.
    pub fn hang(&mut self, unit: &TimerUnit, position: i64) {
        let time_ms = unit.slot_time_ms / self.precision_ms * self.precision_ms;
        let slot = match self.slot(time_ms) {
            Some(slot) => Slot {
                first: if slot.first < 0 { position } else { slot.first },
                last: position,
                number: slot.number.saturating_add(unit.weight()),
                ..slot
            },
            None => Slot { time_ms, first: position, last: position, number: unit.weight(), magic: 0 },
        };
        self.set(slot);
    }

    /// [`Wheel::hang`] for an entry that the wheel may have already, or that belongs to an earlier round.
    pub fn rehang(&mut self, unit: &TimerUnit, position: i64) {
        let step = unit.slot_time_ms / self.precision_ms;
        let known = match self.at(Self::index(step)) {
            Some((of, slot)) => step < of || (step == of && position <= slot.last),
            None => false,
        };
        if !known {
            self.hang(unit, position);
        }
    }

    /// Every slot in use, in no order of time.
    pub fn each(&self, mut visit: impl FnMut(&Slot)) {
        for (page, bytes) in self.bytes.chunks(PAGE).enumerate() {
            // Most pages of most wheels were never used.
            if bytes == ZERO_PAGE {
                continue;
            }
            for index in page * SLOTS_PER_PAGE..(page + 1) * SLOTS_PER_PAGE {
                if let Some((_, slot)) = self.at(index) {
                    visit(&slot);
                }
            }
        }
    }

    /// Messages in the slots from `from_ms` on.
    pub fn pending(&self, from_ms: i64) -> i64 {
        let mut sum = 0;
        self.each(|slot| {
            if slot.time_ms >= from_ms / self.precision_ms * self.precision_ms {
                sum += i64::from(slot.number);
            }
        });
        sum
    }

    /// Empties every slot.
    pub fn clear(&mut self) {
        self.bytes = vec![0; FILE_SIZE];
        for page in 0..PAGES {
            self.mark(page);
        }
    }

    fn mark(&mut self, page: usize) {
        if let Some(bits) = self.dirty.get_mut(page / 64) {
            *bits |= 1 << (page % 64);
        }
    }

    /// Copies up to [`PAGES_AT_ONCE`] changed pages, from page `from` on, and takes them for written. Returns their
    /// numbers and where to go on.
    fn take_changed(&mut self, from: usize, out: &mut Vec<u8>) -> (Vec<usize>, usize) {
        out.clear();
        let mut taken = Vec::new();
        let mut page = from;
        while page < PAGES && taken.len() < PAGES_AT_ONCE {
            let Some(bits) = self.dirty.get_mut(page / 64) else { break };
            if *bits == 0 {
                page = (page / 64 + 1) * 64;
                continue;
            }
            if *bits & (1 << (page % 64)) != 0 {
                *bits &= !(1 << (page % 64));
                out.extend_from_slice(self.bytes.get(page * PAGE..(page + 1) * PAGE).unwrap_or(&[0; PAGE]));
                taken.push(page);
            }
            page += 1;
        }
        (taken, page)
    }
}

impl WheelFile {
    /// Opens the file; makes it when it is missing or empty, which the answer tells.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] for a file of another size.
    pub fn open(path: &Path, precision_ms: i64) -> Result<(WheelFile, bool), StoreError> {
        let failed = |action| move |source| StoreError::io(action, path, source);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed("open timer wheel"))?;
        let length = file.metadata().map_err(failed("inspect timer wheel"))?.len();
        let is_new = length == 0;
        if is_new {
            file.set_len(FILE_SIZE as u64).map_err(failed("extend timer wheel"))?;
        } else if length != FILE_SIZE as u64 {
            let reason = format!("the timer wheel has {length} bytes, not {FILE_SIZE}");
            return Err(StoreError::Corrupt { path: path.to_owned(), reason });
        }
        let mut wheel = Wheel::new(precision_ms);
        let mut buffer = vec![0; 256 * PAGE];
        let mut at = 0;
        while !is_new && at < FILE_SIZE {
            let length = buffer.len().min(FILE_SIZE - at);
            file.read_exact_at(&mut buffer[..length], at as u64).map_err(failed("read timer wheel"))?;
            for (number, page) in buffer[..length].chunks(PAGE).enumerate() {
                // A page that is not touched takes no memory.
                if page != ZERO_PAGE
                    && let Some(into) = wheel.bytes.get_mut(at + number * PAGE..at + number * PAGE + page.len())
                {
                    into.copy_from_slice(page);
                }
            }
            at += length;
        }
        Ok((WheelFile { path: path.to_owned(), file, wheel: Mutex::new(wheel) }, is_new))
    }

    /// Writes the pages that changed and waits until they are on disk. A page that changes meanwhile may be left for
    /// the next flush.
    ///
    /// # Errors
    /// [`StoreError::Io`]; what was not written counts as changed still.
    pub fn flush(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::io("write timer wheel", &self.path, source);
        let mut buffer = Vec::new();
        let mut from = 0;
        let mut wrote = false;
        while from < PAGES {
            let (pages, next) = self.wheel.lock().take_changed(from, &mut buffer);
            from = next;
            for (at, (page, bytes)) in pages.iter().zip(buffer.chunks(PAGE)).enumerate() {
                if let Err(error) = self.file.write_all_at(bytes, (page * PAGE) as u64) {
                    let mut wheel = self.wheel.lock();
                    for page in pages.iter().skip(at) {
                        wheel.mark(*page);
                    }
                    return Err(failed(error));
                }
                wrote = true;
            }
        }
        if wrote { self.file.sync_data().map_err(failed) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(slot_time_ms: i64, delete: bool) -> TimerUnit {
        TimerUnit {
            previous: -1,
            magic: if delete { 5 } else { 1 },
            write_time_ms: slot_time_ms - 1000,
            slot_time_ms,
            physical_offset: 7,
            size: 100,
            topic_hash: 0,
        }
    }

    #[test]
    fn a_slot_counts_for_its_own_time_only() {
        let mut wheel = Wheel::new(1000);
        let time = 1_700_000_000_000;
        wheel.hang(&unit(time + 999, false), 0);
        wheel.hang(&unit(time, false), 52);
        wheel.hang(&unit(time, true), 104);
        let slot = Slot { time_ms: time, first: 0, last: 104, number: 1, magic: 0 };
        assert_eq!(wheel.slot(time + 500), Some(slot));
        assert_eq!((wheel.slot(time + SLOTS * 1000), wheel.slot(time - 1000)), (None, None));
        assert_eq!((wheel.pending(time), wheel.pending(time + 1000)), (1, 0));
        // The next round of the wheel takes the slot over.
        wheel.hang(&unit(time + SLOTS * 1000, false), 200);
        assert_eq!((wheel.slot(time), wheel.slot(time + SLOTS * 1000).map(|s| s.first)), (None, Some(200)));
        wheel.rehang(&unit(time, false), 300);
        assert_eq!(wheel.slot(time), None, "a round that is over does not come back");
    }

    #[test]
    fn what_is_flushed_is_read_again_in_javas_layout() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timerwheel");
        let (file, is_new) = WheelFile::open(&path, 1000).unwrap();
        assert!(is_new);
        let time = 1_700_000_000_000;
        file.wheel.lock().hang(&unit(time, false), 52);
        file.wheel.lock().hang(&unit(time + 70_000_000, false), 104);
        file.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 38_707_200);
        let start = (time / 1000 % 1_209_600) as usize * 32;
        assert_eq!(bytes[start..start + 8], (time / 1000).to_be_bytes());
        assert_eq!(bytes[start + 24..start + 32], [0, 0, 0, 1, 0, 0, 0, 0]);
        let (again, is_new) = WheelFile::open(&path, 1000).unwrap();
        assert!(!is_new);
        assert_eq!(again.wheel.lock().slot(time), file.wheel.lock().slot(time));
        assert_eq!(again.wheel.lock().pending(0), 2);
        std::fs::write(&path, b"short").unwrap();
        assert!(WheelFile::open(&path, 1000).is_err());
    }
}
