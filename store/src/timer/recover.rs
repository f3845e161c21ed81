//! Bringing wheel and log together at the start.
//!
//! The log is read from one file before the position that the checkpoint names, as `TimerMessageStore.recover` does; it
//! ends at the first place where no sound entry is, or where the entry's message is not in the commit log. Entries that
//! the wheel lacks are hung onto it. Slots that point behind the end of the log are made anew from the log.

use super::checkpoint::TimerCheckpointValues;
use super::log::TimerLog;
use super::unit::TimerUnit;
use super::wheel::{Slot, Wheel};
use crate::error::StoreError;

/// Slots whose last entry is compared with the log.
const SAMPLES: usize = 64;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// What the checkpoint said.
    pub checkpoint: TimerCheckpointValues,
    /// The newest entry of the log.
    pub last: Option<TimerUnit>,
    /// The log ends before the position that the checkpoint names: its queue offset is not to be trusted.
    pub is_cut: bool,
    /// Some message that waits may not be in the log: the timer topic has to be read anew from its start.
    pub incomplete: bool,
}

/// See the module text.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn recover(
    wheel: &mut Wheel,
    log: &TimerLog,
    checkpoint: &TimerCheckpointValues,
    is_new: bool,
    physical_end: i64,
) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered { checkpoint: *checkpoint, incomplete: log.has_gap(), ..Recovered::default() };
    if is_of_other_precision(wheel, log)? {
        // Its chains join other messages than slots of this length do.
        tracing::warn!(precision_ms = wheel.precision_ms(), "the timer wheel is of another precision, made anew");
        wheel.clear();
        log.delete_all()?;
        log.set_end(0)?;
        recovered.incomplete = true;
        return Ok(recovered);
    }
    let first = log.first();
    let from = match is_new {
        true => first,
        false => log.file_start((checkpoint.log_flush_position - log.file_size()).max(first)),
    };
    let from = from.min(log.allocated());
    let end = log.scan(from, log.allocated(), |unit, _| {
        let sound = unit.physical_offset.saturating_add(unit.size.into()) <= physical_end;
        if sound {
            recovered.last = Some(*unit);
        }
        sound
    })?;
    log.set_end(end)?;
    recovered.is_cut = end < checkpoint.log_flush_position;

    let mut from = from;
    let mut damaged = Vec::new();
    wheel.each(|slot| {
        if slot.last >= end {
            damaged.push(*slot);
        }
    });
    for slot in &damaged {
        from = from.min(log.file_start(slot.first.max(first)));
        // What follows the last entry is found in the timer topic again, as it was enqueued in that order.
        recovered.incomplete |= slot.first < first || recovered.last.is_none();
        wheel.set(Slot { first: -1, last: -1, number: 0, ..*slot });
    }
    if !damaged.is_empty() {
        tracing::warn!(slots = damaged.len(), from, end, "slots of the timer wheel point behind the timer log");
    }
    log.scan(from, end, |unit, position| {
        wheel.rehang(unit, position);
        true
    })?;
    tracing::info!(
        end,
        read_time_ms = checkpoint.read_time_ms,
        queue_offset = checkpoint.queue_offset,
        incomplete = recovered.incomplete,
        "timers recovered"
    );
    Ok(recovered)
}

/// Whether slots name other times than the entries they point to.
fn is_of_other_precision(wheel: &Wheel, log: &TimerLog) -> Result<bool, StoreError> {
    let mut samples = Vec::new();
    let (first, allocated) = (log.first(), log.allocated());
    wheel.each(|slot| {
        if samples.len() < SAMPLES && slot.last >= first && slot.last < allocated {
            samples.push(*slot);
        }
    });
    let (mut same, mut other) = (0, 0);
    for slot in samples {
        let mut bytes = [0; super::UNIT_SIZE];
        if slot.last + bytes.len() as i64 > log.file_start(slot.last) + log.file_size() {
            continue;
        }
        log.read(slot.last, &mut bytes)?;
        match TimerUnit::decode(&bytes, slot.last) {
            Ok(unit) if unit.slot_time_ms / wheel.precision_ms() == slot.time_ms / wheel.precision_ms() => same += 1,
            Ok(_) => other += 1,
            Err(_) => {}
        }
    }
    Ok(other > same)
}
