//! What one queue of the revive topic tells: which checkpoints there are, what of them is acknowledged, and which are
//! due (`PopReviveService` of 5.5.0). What is then done with them is in `service.rs`.
//!
//! Records come in the order of their times, but for those that were late already when they were written. A checkpoint
//! comes a second before its messages become visible, an acknowledgement not before. So a checkpoint is due once records
//! of two seconds after that time have come, or none comes any more and the timer wheel is not behind.
//!
//! Java reads all that is not done again in each round; here it stays in memory, and acknowledgements that come before
//! their checkpoint are kept for a while, where Java passes them over.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hypergol_remoting::protocol::body::pop::{AckMsg, BatchAckMsg, PopCheckPoint};
use hypergol_remoting::protocol::fastjson::Body;
use smallvec::SmallVec;
use tracing::warn;

use super::checkpoint::{ACK_TAG, BATCH_ACK_TAG, CHECKPOINT_LEAD_MS, CHECKPOINT_TAG, MESSAGES_MAX, MergeKey, index_of};

/// A checkpoint is due when records this much younger than its messages have come. Java: ackTimeInterval + SECOND.
const DUE_AFTER_MS: i64 = CHECKPOINT_LEAD_MS + 1000;
/// The clock counts as the youngest record when none has come for this long. Java: 3 * SECOND.
const QUIET_MS: i64 = 3000;
/// Checkpoints that wait in memory: those of three seconds at 300,000 pops a second. Beyond it the first is due at once,
/// at the price of messages that come again though they are acknowledged.
const WAITING_MAX: usize = 1_000_000;
/// How much earlier than [`CHECKPOINT_LEAD_MS`] before its messages become visible a checkpoint may come: Java's wheel
/// rounds times, and clocks are moved. One that comes sooner is not the broker's, and would hold up all behind it.
const EARLY_CHECKPOINT_MS: i64 = 60_000;
/// Acknowledgements without a checkpoint that are kept.
const EARLY_MAX: usize = 100_000;

/// A record of the revive topic.
#[derive(Clone, Copy, Debug)]
pub struct ReviveRecord<'a> {
    /// Its queue offset.
    pub offset: i64,
    /// Its tag.
    pub tag: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// When it was to come, ms since 1970.
    pub deliver_time: i64,
    /// When it came, ms since 1970.
    pub stored_time: i64,
}

/// A checkpoint whose messages are not all accounted for.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The checkpoint; its bit map says what is accounted for.
    pub point: PopCheckPoint,
}

/// State of one queue of the revive topic.
pub struct ReviveQueue {
    own_broker: String,
    /// Offset of the next record to read.
    next_offset: i64,
    /// Offset of the last record that needs not be read again.
    done_offset: i64,
    /// By offset.
    waiting: BTreeMap<i64, Waiting>,
    by_key: HashMap<MergeKey, SmallVec<[i64; 1]>>,
    /// Acknowledgements without a checkpoint, oldest first.
    early: VecDeque<(i64, MergeKey)>,
    early_offsets: HashMap<MergeKey, Vec<i64>>,
    /// Time of the youngest record, or of the clock in quiet times; ms since 1970, 0 before the first record.
    end_time: i64,
}

impl ReviveQueue {
    /// A queue of which the records up to `done_offset` were dealt with; -1 before the first.
    pub fn new(own_broker: &str, done_offset: i64) -> Self {
        Self {
            own_broker: own_broker.to_owned(),
            next_offset: done_offset.saturating_add(1).max(0),
            done_offset,
            waiting: BTreeMap::new(),
            by_key: HashMap::new(),
            early: VecDeque::new(),
            early_offsets: HashMap::new(),
            end_time: 0,
        }
    }

    /// Offset of the next record to read.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The queue begins later than was thought.
    pub fn skip_to(&mut self, offset: i64) {
        self.next_offset = offset;
    }

    /// Number of checkpoints that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a record in. What cannot be read is passed over.
    pub fn take(&mut self, record: &ReviveRecord<'_>) {
        self.next_offset = record.offset.saturating_add(1);
        // Clients can send to the topic: one that says it comes from the future would make all checkpoints due.
        let deliver_time = record.deliver_time.min(record.stored_time);
        self.end_time = self.end_time.max(deliver_time);
        match record.tag {
            CHECKPOINT_TAG => match PopCheckPoint::decode(record.body) {
                Ok(point) if !point.topic.is_empty() && !point.consumer_group.is_empty() => {
                    if point.revive_time().saturating_sub(record.stored_time) > EARLY_CHECKPOINT_MS {
                        warn!(offset = record.offset, ?point, "checkpoint from the future, passed over");
                    } else {
                        self.checkpoint(record.offset, point);
                    }
                }
                Ok(_) => {}
                Err(error) => warn!(offset = record.offset, %error, "checkpoint cannot be read, passed over"),
            },
            ACK_TAG => match AckMsg::decode(record.body) {
                Ok(ack) => self.ack(MergeKey::of_ack(&ack, &self.own_broker), &[ack.ack_offset], deliver_time),
                Err(error) => warn!(offset = record.offset, %error, "acknowledgement cannot be read, passed over"),
            },
            BATCH_ACK_TAG => match BatchAckMsg::decode(record.body) {
                Ok(ack) => {
                    let key = MergeKey::of_batch_ack(&ack, &self.own_broker);
                    self.ack(key, &ack.ack_offset_list, deliver_time);
                }
                Err(error) => warn!(offset = record.offset, %error, "acknowledgements cannot be read, passed over"),
            },
            _ => {}
        }
    }

    fn checkpoint(&mut self, offset: i64, mut point: PopCheckPoint) {
        point.revive_offset = offset;
        if let Some(differences) = &mut point.queue_offset_diff {
            differences.truncate(MESSAGES_MAX);
        }
        let key = MergeKey::of_checkpoint(&point, &self.own_broker);
        for early in self.early_offsets.get(&key).into_iter().flatten() {
            mark(&mut point, *early);
        }
        self.by_key.entry(key).or_default().push(offset);
        self.waiting.insert(offset, Waiting { point });
    }

    fn ack(&mut self, key: MergeKey, offsets: &[i64], deliver_time: i64) {
        if let Some(places) = self.by_key.get(&key) {
            for place in places {
                if let Some(waiting) = self.waiting.get_mut(place) {
                    offsets.iter().for_each(|offset| mark(&mut waiting.point, *offset));
                }
            }
            return;
        }
        if self.early.len() >= EARLY_MAX
            && let Some((_, oldest)) = self.early.pop_front()
        {
            self.early_offsets.remove(&oldest);
        }
        self.early.push_back((deliver_time, key.clone()));
        let known = self.early_offsets.entry(key).or_default();
        for offset in offsets {
            // A checkpoint has no more messages; what is beyond was never popped.
            if known.len() < MESSAGES_MAX && !known.contains(offset) {
                known.push(*offset);
            }
        }
    }

    /// All records that there are have been read. `timer_behind` says that the timer wheel may still hold some that are
    /// due. Acknowledgements that have waited longer than `ack_wait_ms` for a checkpoint are forgotten.
    pub fn quiet(&mut self, now: i64, timer_behind: bool, ack_wait_ms: i64) {
        if self.end_time != 0 && now.saturating_sub(self.end_time) > QUIET_MS && !timer_behind {
            self.end_time = now;
        }
        while let Some((time, _)) = self.early.front() {
            if now.saturating_sub(*time) <= ack_wait_ms {
                break;
            }
            if let Some((_, key)) = self.early.pop_front() {
                self.early_offsets.remove(&key);
            }
        }
    }

    /// The first checkpoint, if it is due.
    pub fn due(&self) -> Option<&Waiting> {
        let (_, first) = self.waiting.first_key_value()?;
        let late = self.end_time.saturating_sub(first.point.revive_time()) > DUE_AFTER_MS;
        (late || self.waiting.len() > WAITING_MAX).then_some(first)
    }

    /// The first checkpoint was dealt with.
    pub fn done(&mut self) {
        let Some((offset, first)) = self.waiting.pop_first() else { return };
        self.done_offset = offset;
        let key = MergeKey::of_checkpoint(&first.point, &self.own_broker);
        if let Some(places) = self.by_key.get_mut(&key) {
            places.retain(|place| *place != offset);
            if places.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// A message of the first checkpoint was dealt with, by its place.
    pub fn mark_done(&mut self, index: usize) {
        if let Some(mut first) = self.waiting.first_entry() {
            set_bit(&mut first.get_mut().point, index);
        }
    }

    /// Offset of the last record that needs not be read again, to be committed.
    pub fn commit_offset(&self) -> i64 {
        if self.waiting.is_empty() && self.early.is_empty() {
            self.next_offset.saturating_sub(1).max(self.done_offset)
        } else {
            self.done_offset
        }
    }

    /// When the messages of the first checkpoint became visible, ms since 1970.
    pub fn first_revive_time(&self) -> Option<i64> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting.point.revive_time())
    }
}

fn mark(point: &mut PopCheckPoint, offset: i64) {
    if let Some(index) = index_of(point, offset) {
        set_bit(point, index);
    }
}

fn set_bit(point: &mut PopCheckPoint, index: usize) {
    // An index of a checkpoint is below 32.
    point.bit_map |= 1i32.checked_shl(u32::try_from(index).unwrap_or(u32::MAX)).unwrap_or(0);
}

/// Places of the messages of a checkpoint that are not accounted for.
pub fn open_places(point: &PopCheckPoint) -> impl Iterator<Item = usize> {
    let bits = point.bit_map as u32;
    (0..super::checkpoint::message_count(point)).filter(move |index| bits & (1 << index) == 0)
}

#[cfg(test)]
#[path = "revive_tests.rs"]
mod tests;
