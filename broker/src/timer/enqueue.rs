//! The thread that reads the timer topic and hangs each message onto the wheel. Java: `TimerEnqueueGetService`,
//! `TimerEnqueuePutService`.

use std::time::Duration;

use hypergol_remoting::message::property;
use hypergol_store::record::{self, java_hash};
use hypergol_store::timer::{MAGIC_DEFAULT, MAGIC_DELETE, MAGIC_ROLL, TimerUnit, WINDOW_STEPS};
use hypergol_store::{QueueEntry, Record};
use tracing::{error, warn};

use super::deliver::NEVER_ENQUEUED;
use super::entry::TIMER_QUEUE;
use super::service::{BLANK_STEPS, Timers};
use crate::context::now_ms;
use crate::names::TIMER_TOPIC;

/// Messages enqueued before the time is looked at again.
const BATCH: usize = 1024;
/// Pause after the disk failed.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What a batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// There may be more.
    More,
    /// Nothing is left, or may be enqueued now.
    Idle,
    /// Something failed; try again in a while.
    Failed,
}

/// What becomes of a message.
enum Place {
    /// It waits.
    Hang(TimerUnit),
    /// It is due.
    Due,
    /// It is none of ours.
    Skip,
}

/// What a timer message says of itself.
#[derive(Default)]
pub(super) struct Marks<'a> {
    /// TIMER_OUT_MS.
    pub out_ms: Option<i64>,
    /// REAL_TOPIC.
    pub real_topic: Option<&'a str>,
    /// UNIQ_KEY.
    pub unique_key: Option<&'a str>,
    /// TIMER_DEL_UNIQKEY: it takes the message with this key back.
    pub takes_back: Option<&'a str>,
}

impl<'a> Marks<'a> {
    /// Looks at every property once; of repeated ones the last counts.
    pub fn read(properties: &'a [u8]) -> Self {
        let mut marks = Self::default();
        for (name, value) in record::properties(properties) {
            let field = match std::str::from_utf8(name) {
                Ok(property::TIMER_OUT_MS) => {
                    marks.out_ms = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    continue;
                }
                Ok(property::REAL_TOPIC) => &mut marks.real_topic,
                Ok(property::UNIQ_KEY) => &mut marks.unique_key,
                Ok(property::TIMER_DEL_UNIQKEY) => &mut marks.takes_back,
                _ => continue,
            };
            *field = std::str::from_utf8(value).ok();
        }
        marks
    }
}

impl Timers {
    /// Body of the thread.
    pub(super) fn run_enqueue(&self) {
        let mut buffer = Vec::new();
        while self.wake.wait_to_enqueue(self.write_time_ms() + self.precision_ms()) {
            loop {
                let outcome = self.enqueue_batch(&mut buffer);
                self.move_write_time();
                match outcome {
                    Outcome::More if !self.wake.is_stopping() => {}
                    Outcome::Failed => {
                        self.wake.pause(RETRY_PAUSE);
                        self.wake.arrived();
                        break;
                    }
                    Outcome::More | Outcome::Idle => break,
                }
            }
        }
    }

    fn enqueue_batch(&self, buffer: &mut Vec<u8>) -> Outcome {
        if self.settings.load().store.timer_stop_enqueue {
            return Outcome::Idle;
        }
        let write_time_ms = self.write_time_ms();
        let progress = self.progress();
        // The wheel is round: what lies so far behind would be overwritten.
        if write_time_ms - progress.read_time_ms >= (WINDOW_STEPS - BLANK_STEPS) * self.precision_ms() {
            return Outcome::Idle;
        }
        let from = self.corrected(progress.queue_offset);
        let entries = self.store.queue_entries(TIMER_TOPIC, TIMER_QUEUE, from, BATCH);
        let mut units = Vec::with_capacity(entries.len());
        let mut hung: Vec<(String, i64)> = Vec::new();
        let mut next = from;
        // End of the log behind all messages of this batch, and behind those of them that were delivered.
        let (mut end, mut delivered_end) = (0, None);
        let mut stored_ms = i64::MAX;
        let mut outcome = if entries.is_empty() { Outcome::Idle } else { Outcome::More };
        for entry in &entries {
            match self.store.read_record(entry.physical_offset, entry.size, buffer) {
                Ok(true) => {}
                Ok(false) => {
                    warn!(queue_offset = next, ?entry, "timer message is not in the log, skipped");
                    next += 1;
                    continue;
                }
                Err(error) => {
                    error!(queue_offset = next, %error, "timer message cannot be read, trying again");
                    outcome = Outcome::Failed;
                    break;
                }
            }
            let Ok(record) = Record::parse(buffer) else {
                next += 1;
                continue;
            };
            let marks = Marks::read(record.properties());
            match self.place(&marks, entry, next, write_time_ms) {
                Place::Hang(unit) => {
                    let topic = marks.real_topic.unwrap_or_default();
                    match hung.last_mut().filter(|(last, _)| last == topic) {
                        Some((_, weight)) => *weight += i64::from(unit.weight()),
                        None => hung.push((topic.to_owned(), unit.weight().into())),
                    }
                    units.push(unit);
                }
                Place::Due => match self.deliver(&record, NEVER_ENQUEUED, false) {
                    Ok(stored) => delivered_end = stored.or(delivered_end),
                    Err(error) => {
                        warn!(queue_offset = next, %error, "timer message not delivered, trying again");
                        outcome = Outcome::Failed;
                        break;
                    }
                },
                Place::Skip => {}
            }
            end = entry.physical_offset + i64::from(entry.size);
            stored_ms = record.store_timestamp();
            next += 1;
        }
        if let Some(delivered) = delivered_end {
            self.store.dispatch();
            end = end.max(delivered);
            // A later message in the timer log says after a crash that all before it are done with.
            if !units.is_empty() && !self.wait_flushed(delivered) {
                return Outcome::Failed;
            }
        }
        if let Err(error) = self.files.append(&units) {
            error!(%error, "timers cannot be written, trying again");
            return Outcome::Failed;
        }
        for (topic, weight) in hung {
            self.metrics.add(&topic, weight);
        }
        self.enqueued(next, (next - from).unsigned_abs(), end);
        self.set_enqueue_behind(now_ms().saturating_sub(stored_ms).max(0));
        outcome
    }

    /// Where the topic is read on, within what it still holds.
    fn corrected(&self, offset: i64) -> i64 {
        let min = self.store.min_offset(TIMER_TOPIC, TIMER_QUEUE).max(0);
        let max = self.store.max_offset(TIMER_TOPIC, TIMER_QUEUE).max(min);
        let corrected = offset.clamp(min, max);
        if corrected != offset {
            warn!(offset, min, max, "timers' queue offset is outside the queue, corrected");
            self.enqueued(corrected, 0, 0);
        }
        corrected
    }

    fn place(&self, marks: &Marks<'_>, entry: &QueueEntry, queue_offset: i64, write_time_ms: i64) -> Place {
        let Some(out_ms) = marks.out_ms.filter(|out_ms| *out_ms > 0) else {
            error!(queue_offset, "timer message does not tell its time, skipped");
            return Place::Skip;
        };
        if self.was_delivered(queue_offset, out_ms) {
            return Place::Skip;
        }
        let takes_back = marks.takes_back.is_some();
        if out_ms < write_time_ms && out_ms + self.precision_ms() <= now_ms() {
            return if takes_back { Place::Skip } else { Place::Due };
        }
        // The clock was put back: late is better than early.
        let out_ms = out_ms.max(write_time_ms);
        let (slot_time_ms, rolls) = slot_time(out_ms, write_time_ms, self.roll_window_steps(), self.precision_ms());
        let mut magic = MAGIC_DEFAULT;
        if rolls {
            magic |= MAGIC_ROLL;
        }
        if takes_back {
            magic |= MAGIC_DELETE;
        }
        Place::Hang(TimerUnit {
            previous: -1,
            magic,
            write_time_ms,
            slot_time_ms,
            physical_offset: entry.physical_offset,
            size: entry.size,
            topic_hash: java_hash(marks.real_topic.unwrap_or_default()),
        })
    }
}

/// Where a message goes that is due at `out_ms`, and whether it has to go on from there.
fn slot_time(out_ms: i64, write_time_ms: i64, window_steps: i64, precision_ms: i64) -> (i64, bool) {
    let window_ms = window_steps * precision_ms;
    let excess = out_ms - write_time_ms - window_ms;
    if excess < 0 {
        (out_ms, false)
    } else if excess < window_steps / 3 * precision_ms {
        // Time enough is left for the next round.
        (write_time_ms + window_steps / 2 * precision_ms, true)
    } else {
        (write_time_ms + window_ms, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_beyond_the_window_goes_on_from_within() {
        let place = |out_s: i64| slot_time(out_s * 1000, 0, 30, 1000);
        assert_eq!(place(29), (29_000, false));
        assert_eq!(place(30), (15_000, true));
        assert_eq!(place(39), (15_000, true));
        assert_eq!(place(40), (30_000, true));
    }

    #[test]
    fn marks_are_read_in_one_go() {
        let marks = Marks::read(b"REAL_TOPIC\x01a\x02TIMER_OUT_MS\x015\x02UNIQ_KEY\x01k\x02REAL_TOPIC\x01T\x02");
        assert_eq!((marks.out_ms, marks.real_topic, marks.unique_key), (Some(5), Some("T"), Some("k")));
        assert!(marks.takes_back.is_none());
        assert_eq!(Marks::read(b"TIMER_OUT_MS\x01x\x02TIMER_DEL_UNIQKEY\x01k").out_ms, None);
    }
}
