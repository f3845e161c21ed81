//! The thread that delivers slot after slot, once its step of time is over. Java: `TimerMessageStore.dequeue` and the
//! services behind it.

use std::collections::HashSet;
use std::time::Duration;

use hypergol_store::timer::{Slot, TimerUnit};
use hypergol_store::{PutError, Record, StoreError};
use thiserror::Error;
use tracing::{error, warn};

use super::enqueue::Marks;
use super::service::Timers;
use crate::names::TIMER_TOPIC;

/// Entries of a slot that are held in memory at a time, 64 bytes each.
const UNITS_MAX: usize = 1 << 17;
/// Messages of a slot that take others back; what is beyond is not taken back.
const DELETES_MAX: usize = 1 << 20;
/// Messages delivered before consumers are told.
const DISPATCH_BATCH: usize = 64;

/// Why a slot is not done yet.
#[derive(Debug, Error)]
enum NotYet {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Put(#[from] PutError),
}

/// What is known of a slot's messages.
#[derive(Default)]
struct Round {
    /// Keys of messages that were taken back, once they were read.
    taken_back: Option<HashSet<Box<str>>>,
    /// Position up to which its entries are done with.
    behind: i64,
    /// End of the log behind what was delivered.
    end: i64,
    /// Messages delivered since consumers were told.
    untold: usize,
    /// Messages that went with files of the commit log before they were due.
    missing: u64,
    buffer: Vec<u8>,
}

impl Timers {
    /// Body of the thread.
    pub(super) fn run_dequeue(&self) {
        // Seconds after a failure. Java: 500 ms for each second of precision.
        let pause = Duration::from_millis((self.precision_ms() / 2).clamp(10, 5000).unsigned_abs());
        while self.wake.wait_to_dequeue(|| self.is_behind()) {
            while self.is_behind() && !self.wake.is_stopping() {
                let time_ms = self.files.next_slot_time(self.progress().read_time_ms, self.write_time_ms());
                let Some(slot) = self.files.slot(time_ms).filter(|slot| slot.time_ms < self.write_time_ms()) else {
                    self.dequeued(time_ms, 0);
                    continue;
                };
                let mut round = Round { behind: -1, ..Round::default() };
                while let Err(error) = self.deliver_slot(&slot, &mut round) {
                    warn!(slot = slot.time_ms, %error, "timers not delivered, trying again");
                    self.store.dispatch();
                    if self.wake.must_stop() {
                        return;
                    }
                    self.wake.pause(pause);
                }
                if self.wake.must_stop() && round.behind != i64::MAX {
                    return;
                }
                self.dequeued(slot.time_ms + self.precision_ms(), round.end);
            }
        }
    }

    /// Whether a slot may be due.
    fn is_behind(&self) -> bool {
        self.progress().read_time_ms < self.write_time_ms() && !self.settings.load().store.timer_stop_dequeue
    }

    /// Delivers what is left of a slot: oldest first, [`UNITS_MAX`] at a time. Leaves `behind` at its highest value when
    /// nothing is left.
    fn deliver_slot(&self, slot: &Slot, round: &mut Round) -> Result<(), NotYet> {
        let mut deletes = Vec::new();
        loop {
            let is_first = round.taken_back.is_none();
            let part = self.files.slot_units(slot, round.behind, UNITS_MAX, |unit| {
                let takes_back = unit.is_delete() && !unit.is_rolled();
                if takes_back && is_first && deletes.len() < DELETES_MAX {
                    deletes.push((unit.physical_offset, unit.size));
                }
                !takes_back
            })?;
            if is_first {
                round.taken_back = Some(self.read_deletes(&deletes, &mut round.buffer)?);
                deletes = Vec::new();
            }
            for (position, unit) in &part.units {
                self.deliver_unit(slot, unit, round)?;
                round.behind = *position;
                if round.untold >= DISPATCH_BATCH {
                    round.untold = 0;
                    self.store.dispatch();
                }
                if self.wake.must_stop() {
                    self.store.dispatch();
                    return Ok(());
                }
            }
            if part.complete {
                self.store.dispatch();
                round.behind = i64::MAX;
                if round.missing > 0 {
                    warn!(slot = slot.time_ms, messages = round.missing, "timer messages are no longer in the log");
                }
                return Ok(());
            }
        }
    }

    /// Reads the messages that take others of their slot back; returns the keys of those.
    fn read_deletes(&self, deletes: &[(i64, i32)], buffer: &mut Vec<u8>) -> Result<HashSet<Box<str>>, StoreError> {
        if deletes.len() >= DELETES_MAX {
            error!(DELETES_MAX, "too many messages of one slot take others back; some are not taken back");
        }
        let mut keys = HashSet::new();
        let mut topics = Vec::new();
        for &(offset, size) in deletes.iter().rev() {
            if !self.store.read_record(offset, size, buffer)? {
                continue;
            }
            let Ok(record) = Record::parse(buffer) else { continue };
            let marks = Marks::read(record.properties());
            if let (Some(key), true) = (marks.takes_back, record.topic() == TIMER_TOPIC) {
                keys.insert(key.into());
                topics.push(marks.real_topic.unwrap_or_default().to_owned());
            }
        }
        // Each was counted as one less; the message that it takes back counts that when it goes.
        for topic in topics {
            self.metrics.add(&topic, 1);
        }
        Ok(keys)
    }

    fn deliver_unit(&self, slot: &Slot, unit: &TimerUnit, round: &mut Round) -> Result<(), NotYet> {
        if !self.store.read_record(unit.physical_offset, unit.size, &mut round.buffer)? {
            round.missing += 1;
            return Ok(());
        }
        let Ok(record) = Record::parse(&round.buffer) else { return Ok(()) };
        let marks = Marks::read(record.properties());
        let is_due = marks.out_ms.is_some_and(|out_ms| out_ms < slot.time_ms + self.precision_ms());
        if record.topic() != TIMER_TOPIC || !(is_due || unit.is_rolled()) {
            error!(offset = unit.physical_offset, "another message lies where a timer message was, skipped");
            return Ok(());
        }
        let topic = marks.real_topic.unwrap_or_default();
        if let Some(taken_back) = round.taken_back.as_ref().filter(|keys| !keys.is_empty())
            && let Some(key) = marks.unique_key
            && taken_back.contains(&*self.delete_key(topic, key))
        {
            self.metrics.add(topic, -1);
            return Ok(());
        }
        let stored = self.deliver(&record, unit.write_time_ms, unit.is_rolled())?;
        // What is put back counts again when it is enqueued.
        self.metrics.add(topic, -i64::from(unit.weight()));
        round.end = round.end.max(stored.unwrap_or(0));
        round.untold += 1;
        self.count_dequeued();
        Ok(())
    }
}
