//! Timers on disk: which messages of the timer topic are due when. RocketMQ's own files.
//!
//! [`wheel`] has a slot for each step of time, [`log`] an entry for each message, chained backwards from its slot,
//! [`checkpoint`] tells how far both go; [`recover`] brings them together at the start. The messages themselves lie in
//! the commit log. Who enqueues and delivers them is the store's owner.
//!
//! Invariants:
//! - An entry is in the log before its slot points to it.
//! - The log alone decides: a slot that says otherwise is made anew from it.
//! - What the checkpoint says is on disk before the checkpoint is.

pub mod checkpoint;
pub mod log;
pub mod recover;
#[cfg(test)]
mod tests;
pub mod unit;
pub mod wheel;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use self::checkpoint::TimerCheckpoint;
pub use self::checkpoint::TimerCheckpointValues;
use self::log::TimerLog;
pub use self::recover::Recovered;
use self::unit::UNIT_SIZE;
pub use self::unit::{MAGIC_DEFAULT, MAGIC_DELETE, MAGIC_ROLL, TimerUnit};
use self::wheel::WheelFile;
pub use self::wheel::{SLOTS, Slot, WINDOW_STEPS};
use crate::error::StoreError;
use crate::folder;
use crate::segment::allocate::{Disk, OsDisk};

/// Bytes read at once where a slot's entries lie close together.
const NEAR_BYTES: i64 = 64 << 10;
/// Distance of two entries of a slot up to which the ones before are expected within [`NEAR_BYTES`].
const NEAR_GAP: i64 = 4 << 10;

/// Where the timers' files are and what they look like.
#[derive(Clone, Debug)]
pub struct TimerConfig {
    /// Store folder: holds `timerwheel`, `timerlog` and `config/timercheck`.
    pub root: PathBuf,
    /// `timerPrecisionMs`: milliseconds of a slot.
    pub precision_ms: i64,
    /// `mappedFileSizeTimerLog`: bytes of a file of the log.
    pub log_file_size: usize,
}

/// The timers' files.
pub struct TimerStore {
    precision_ms: i64,
    wheel: WheelFile,
    log: TimerLog,
    checkpoint: TimerCheckpoint,
    /// What the checkpoint holds.
    written: Mutex<TimerCheckpointValues>,
}

/// Some entries of a slot.
#[derive(Debug, Default)]
pub struct SlotUnits {
    /// Oldest first.
    pub units: Vec<(i64, TimerUnit)>,
    /// No other entry of the slot is wanted.
    pub complete: bool,
}

impl TimerStore {
    /// Opens and recovers the files. `physical_end` is the end of the commit log: entries beyond it belong to messages
    /// that a crash took back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(config: &TimerConfig, physical_end: i64) -> Result<(TimerStore, Recovered), StoreError> {
        Self::open_on(config, physical_end, Arc::new(OsDisk))
    }

    /// [`TimerStore::open`] on a disk that may be made to fail.
    pub(crate) fn open_on(
        config: &TimerConfig,
        physical_end: i64,
        disk: Arc<dyn Disk>,
    ) -> Result<(TimerStore, Recovered), StoreError> {
        if config.precision_ms < 1 {
            let reason = "must be at least 1".to_owned();
            return Err(StoreError::Config { key: "timerPrecisionMs", reason });
        }
        folder::create(&config.root.join("config"))?;
        let (checkpoint, values) = TimerCheckpoint::open(&config.root.join("config").join("timercheck"))?;
        let (wheel, is_new) = WheelFile::open(&config.root.join("timerwheel"), config.precision_ms)?;
        let log = TimerLog::open(&config.root.join("timerlog"), config.log_file_size, disk)?;
        let recovered = recover::recover(&mut wheel.wheel.lock(), &log, &values, is_new, physical_end)?;
        let store =
            TimerStore { precision_ms: config.precision_ms, wheel, log, checkpoint, written: Mutex::new(values) };
        Ok((store, recovered))
    }

    /// Milliseconds of a slot.
    pub fn precision_ms(&self) -> i64 {
        self.precision_ms
    }

    /// Hangs messages onto their slots; [`TimerUnit::previous`] is found here. Nothing is on disk before
    /// [`TimerStore::flush`].
    ///
    /// # Errors
    /// [`StoreError::Io`]; then none of them waits.
    pub fn append(&self, units: &[TimerUnit]) -> Result<(), StoreError> {
        if units.is_empty() {
            return Ok(());
        }
        let mut wheel = self.wheel.wheel.lock();
        let mut before = Vec::with_capacity(units.len());
        let appended = self.log.append(units, |unit, position| {
            before.push((unit.slot_time_ms, wheel.raw(unit.slot_time_ms)));
            let previous = wheel.slot(unit.slot_time_ms).map_or(-1, |slot| slot.last);
            wheel.hang(unit, position);
            previous
        });
        if appended.is_err() {
            for (time_ms, raw) in before.into_iter().rev() {
                wheel.restore(time_ms, raw);
            }
        }
        appended
    }

    /// The slot of a time.
    pub fn slot(&self, time_ms: i64) -> Option<Slot> {
        self.wheel.wheel.lock().slot(time_ms)
    }

    /// The first time from `from_ms` on and before `to_ms` whose slot is in use, or `to_ms`. Both are multiples of the
    /// precision.
    pub fn next_slot_time(&self, from_ms: i64, to_ms: i64) -> i64 {
        let wheel = self.wheel.wheel.lock();
        let mut time_ms = from_ms;
        while time_ms < to_ms && wheel.slot(time_ms).is_none() {
            time_ms += self.precision_ms;
        }
        time_ms.min(to_ms)
    }

    /// Messages in the slots from `from_ms` on.
    pub fn pending(&self, from_ms: i64) -> i64 {
        self.wheel.wheel.lock().pending(from_ms)
    }

    /// Up to `max` of a slot's entries, the oldest of those behind position `behind` (-1 for all) for which `wanted`
    /// says true. `wanted` sees all of them, newest first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn slot_units(
        &self,
        slot: &Slot,
        behind: i64,
        max: usize,
        mut wanted: impl FnMut(&TimerUnit) -> bool,
    ) -> Result<SlotUnits, StoreError> {
        let mut units = VecDeque::new();
        let mut complete = true;
        let mut chain = Chain::new(&self.log, slot, self.precision_ms);
        while let Some((position, unit)) = chain.next()? {
            if position <= behind {
                break;
            }
            if wanted(&unit) {
                units.push_back((position, unit));
                if units.len() > max.max(1) {
                    units.pop_front();
                    complete = false;
                }
            }
        }
        Ok(SlotUnits { units: units.into_iter().rev().collect(), complete })
    }

    /// Hands every entry in the log, oldest first, to `visit`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn each_unit(&self, mut visit: impl FnMut(&TimerUnit)) -> Result<(), StoreError> {
        let (first, end) = (self.log.first(), self.log.end());
        self.log.scan(first, end, |unit, _| {
            visit(unit);
            true
        })?;
        Ok(())
    }

    /// Brings everything appended before to disk, then the checkpoint with `values`, whose position in the log is set
    /// here. What `values` says must be on disk.
    ///
    /// # Errors
    /// [`StoreError::Io`]; then the checkpoint is the one before.
    pub fn flush(&self, values: TimerCheckpointValues) -> Result<(), StoreError> {
        let log_flush_position = self.log.sync()?;
        self.wheel.flush()?;
        let values = TimerCheckpointValues { log_flush_position, ..values };
        let mut written = self.written.lock();
        if *written != values {
            self.checkpoint.write(&values)?;
            *written = values;
        }
        Ok(())
    }

    /// What the checkpoint on disk holds.
    pub fn checkpoint(&self) -> TimerCheckpointValues {
        *self.written.lock()
    }

    /// Deletes files of the log whose messages are no longer in the commit log, which begins at `min_physical`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete_expired(&self, min_physical: i64) -> Result<usize, StoreError> {
        self.log.delete_expired(min_physical)
    }
}

/// Walks the entries of a slot, newest first.
struct Chain<'a> {
    log: &'a TimerLog,
    precision_ms: i64,
    time_ms: i64,
    next: i64,
    /// Bytes of the log from `start` on.
    window: Vec<u8>,
    start: i64,
    /// The last two entries were close together.
    near: bool,
}

impl<'a> Chain<'a> {
    fn new(log: &'a TimerLog, slot: &Slot, precision_ms: i64) -> Self {
        Chain { log, precision_ms, time_ms: slot.time_ms, next: slot.last, window: Vec::new(), start: 0, near: false }
    }

    fn next(&mut self) -> Result<Option<(i64, TimerUnit)>, StoreError> {
        let position = self.next;
        if position < 0 {
            return Ok(None);
        }
        let end = position + UNIT_SIZE as i64;
        if position < self.log.first() || end > self.log.end() {
            // Files go only when none of their messages is left.
            return Ok(None);
        }
        if position < self.start || end > self.start + self.window.len() as i64 {
            let from = match self.near {
                true => (end - NEAR_BYTES).max(self.log.file_start(position)).max(self.log.first()),
                false => position,
            };
            self.window.resize((end - from) as usize, 0);
            self.start = from;
            if let Err(error) = self.log.read(from, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
        }
        let bytes = self.window.get((position - self.start) as usize..).unwrap_or_default();
        let unit = match TimerUnit::decode(bytes, position) {
            Ok(unit) if unit.slot_time_ms / self.precision_ms == self.time_ms / self.precision_ms => unit,
            found => {
                tracing::error!(position, slot = self.time_ms, ?found, "timer log is damaged, a slot is cut short");
                return Ok(None);
            }
        };
        self.near = position - unit.previous <= NEAR_GAP;
        self.next = unit.previous;
        Ok(Some((position, unit)))
    }
}
