//! How far each group has come with each queue it pops, and checkpoints that are kept in memory for a while
//! (`enablePopBufferMerge`): of a pop that is acknowledged soon nothing is ever written.
//!
//! A pop of a queue is a [`Step`] in the queue's list; the committed offset follows the steps at the front that are
//! done. Next pops go on behind the last step. What is in memory only is forgotten by a crash, and then popped again,
//! because the committed offset did not pass it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hypergol_remoting::protocol::body::pop::PopCheckPoint;
use parking_lot::Mutex;

use super::QueueKey;
use super::checkpoint::{MergeKey, all_bits, index_of};

/// Committed offsets, and what of the log is safe.
pub trait Positions {
    /// Commits an offset unless a larger one is committed.
    fn commit(&self, key: &QueueKey, offset: i64);

    /// Commit-log offset below which records count as stored.
    fn stored_end(&self) -> i64;
}

/// Where a step stands: not done, or done once the log is stored up to an offset.
#[derive(Clone, Debug)]
struct StepState(Arc<AtomicI64>);

impl StepState {
    const WAITS: i64 = -1;

    fn waiting() -> Self {
        Self(Arc::new(AtomicI64::new(Self::WAITS)))
    }

    fn done(end: i64) -> Self {
        Self(Arc::new(AtomicI64::new(end.max(0))))
    }

    fn finish(&self, end: i64) {
        self.0.store(end.max(0), Ordering::Release);
    }

    /// The end of the log that must be stored; `None` while not done.
    fn end(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Acquire)).filter(|end| *end != Self::WAITS)
    }
}

/// One pop of a queue.
struct Step {
    next_offset: i64,
    state: StepState,
}

/// A checkpoint in memory.
pub struct Buffered {
    /// The checkpoint.
    pub point: PopCheckPoint,
    /// Queue of the revive topic.
    pub revive_queue: i32,
    /// Messages acknowledged, by place.
    pub acked: u32,
    queue: QueueKey,
    state: StepState,
    leave_at: i64,
}

/// What [`Buffer::take_due`] hands out to be written; goes back through [`Buffer::stored`] or [`Buffer::put_back`].
pub struct Leaving {
    key: MergeKey,
    /// The checkpoint and its acknowledgements.
    pub buffered: Buffered,
}

#[derive(Default)]
struct Inner {
    checkpoints: HashMap<MergeKey, Buffered>,
    /// When checkpoints leave, ms since 1970.
    leave: BTreeMap<i64, Vec<MergeKey>>,
    steps: HashMap<QueueKey, VecDeque<Step>>,
    /// Queues whose first step is done but not stored.
    unstored: BTreeSet<QueueKey>,
}

/// All steps and buffered checkpoints of a broker.
#[derive(Default)]
pub struct Buffer {
    inner: Mutex<Inner>,
}

impl Buffer {
    /// Where the next pop of a queue begins, if there are steps that are not committed. Must be asked before the
    /// committed offset: a step is committed before it is forgotten.
    pub fn latest(&self, key: &QueueKey) -> Option<i64> {
        let inner = self.inner.lock();
        inner.steps.get(key).and_then(|steps| steps.back()).map(|step| step.next_offset)
    }

    /// Number of checkpoints in memory.
    pub fn len(&self) -> usize {
        self.inner.lock().checkpoints.len()
    }

    /// Whether no checkpoint is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of steps of a queue.
    pub fn steps_of(&self, key: &QueueKey) -> usize {
        self.inner.lock().steps.get(key).map_or(0, VecDeque::len)
    }

    /// Notes a pop whose checkpoint ends in the log at `end`, or that needs none (0): the messages up to `next_offset`
    /// are accounted for.
    pub fn accounted(&self, key: &QueueKey, next_offset: i64, end: i64, positions: &impl Positions) {
        let mut inner = self.inner.lock();
        let steps = inner.steps.entry(key.clone()).or_default();
        match steps.back_mut() {
            // Steps that are done are as one, which bounds the list by the checkpoints in memory.
            Some(last) if last.state.end().is_some() => {
                last.state.finish(end.max(last.state.end().unwrap_or(0)));
                last.next_offset = next_offset;
            }
            _ => steps.push_back(Step { next_offset, state: StepState::done(end) }),
        }
        inner.commit(key, positions);
    }

    /// Keeps a checkpoint in memory until `leave_at`, ms since 1970; false, and nothing kept, when one with the same key
    /// is there.
    pub fn keep(&self, buffered: NewBuffered<'_>) -> bool {
        let NewBuffered { point, own_broker, revive_queue, queue, next_offset, leave_at } = buffered;
        let key = MergeKey::of_checkpoint(&point, own_broker);
        let mut inner = self.inner.lock();
        if inner.checkpoints.contains_key(&key) {
            return false;
        }
        let state = StepState::waiting();
        inner.steps.entry(queue.clone()).or_default().push_back(Step { next_offset, state: state.clone() });
        inner.leave.entry(leave_at).or_default().push(key.clone());
        inner
            .checkpoints
            .insert(key, Buffered { point, revive_queue, acked: 0, queue: queue.clone(), state, leave_at });
        true
    }

    /// Acknowledges messages of a checkpoint in memory; false when it is not there. Offsets that are not of the
    /// checkpoint are left out.
    pub fn ack(&self, key: &MergeKey, offsets: &[i64], positions: &impl Positions) -> bool {
        let mut inner = self.inner.lock();
        let Some(buffered) = inner.checkpoints.get_mut(key) else { return false };
        for index in offsets.iter().filter_map(|offset| index_of(&buffered.point, *offset)) {
            buffered.acked |= 1 << index;
        }
        if buffered.acked == all_bits(&buffered.point) {
            inner.finish(key, 0, positions);
        }
        true
    }

    /// Checkpoints that must leave by `now`. Acknowledgements that come meanwhile do not find them.
    pub fn take_due(&self, now: i64) -> Vec<Leaving> {
        let mut inner = self.inner.lock();
        let mut due = Vec::new();
        while let Some(entry) = inner.leave.first_entry().filter(|entry| *entry.key() <= now) {
            for key in entry.remove() {
                if let Some(buffered) = inner.checkpoints.remove(&key) {
                    due.push(Leaving { key, buffered });
                }
            }
        }
        due
    }

    /// A checkpoint that left is in the log, with its acknowledgements, up to `end`.
    pub fn stored(&self, leaving: Leaving, end: i64, positions: &impl Positions) {
        leaving.buffered.state.finish(end);
        self.inner.lock().commit(&leaving.buffered.queue, positions);
    }

    /// A checkpoint that left could not be written; it is to leave again at `leave_at`.
    pub fn put_back(&self, leaving: Leaving, leave_at: i64) {
        let Leaving { key, mut buffered } = leaving;
        buffered.leave_at = leave_at;
        let mut inner = self.inner.lock();
        inner.leave.entry(leave_at).or_default().push(key.clone());
        inner.checkpoints.insert(key, buffered);
    }

    /// Commits what has been stored meanwhile.
    pub fn commit_stored(&self, positions: &impl Positions) {
        let mut inner = self.inner.lock();
        for key in std::mem::take(&mut inner.unstored) {
            inner.commit(&key, positions);
        }
    }

    /// Whether steps wait for the log to be stored.
    pub fn has_unstored(&self) -> bool {
        !self.inner.lock().unstored.is_empty()
    }

    /// When the next checkpoint leaves, ms since 1970.
    pub fn next_leave(&self) -> Option<i64> {
        self.inner.lock().leave.first_key_value().map(|(at, _)| *at)
    }

    /// Forgets the steps of a queue: its offset was set anew. Checkpoints in memory stay, so that their messages come
    /// back unless they are acknowledged.
    pub fn forget_steps(&self, key: &QueueKey) {
        let mut inner = self.inner.lock();
        inner.steps.remove(key);
        inner.unstored.remove(key);
    }

    /// Forgets what fits: a topic or a group is gone.
    pub fn forget(&self, fits: impl Fn(&str, &str) -> bool) {
        let mut inner = self.inner.lock();
        inner.checkpoints.retain(|key, _| !fits(key.topic(), key.group()));
        let Inner { checkpoints, leave, .. } = &mut *inner;
        leave.retain(|_, keys| {
            keys.retain(|key| checkpoints.contains_key(key));
            !keys.is_empty()
        });
        inner.steps.retain(|key, _| !fits(&key.topic, &key.group));
        inner.unstored.retain(|key| !fits(&key.topic, &key.group));
    }
}

/// A checkpoint to keep in memory.
pub struct NewBuffered<'a> {
    /// The checkpoint.
    pub point: PopCheckPoint,
    /// This broker.
    pub own_broker: &'a str,
    /// Queue of the revive topic.
    pub revive_queue: i32,
    /// The queue that was popped.
    pub queue: &'a QueueKey,
    /// Where the next pop begins.
    pub next_offset: i64,
    /// When the checkpoint is to be written, ms since 1970.
    pub leave_at: i64,
}

impl Inner {
    /// A checkpoint needs to be kept no longer.
    fn finish(&mut self, key: &MergeKey, end: i64, positions: &impl Positions) {
        let Some(buffered) = self.checkpoints.remove(key) else { return };
        if let Some(keys) = self.leave.get_mut(&buffered.leave_at) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.leave.remove(&buffered.leave_at);
            }
        }
        buffered.state.finish(end);
        self.commit(&buffered.queue, positions);
    }

    /// Commits the steps at the front that are done and stored. Under the lock, so that an offset set anew is not
    /// overwritten by a step that was forgotten.
    fn commit(&mut self, key: &QueueKey, positions: &impl Positions) {
        let Some(steps) = self.steps.get_mut(key) else { return };
        let stored_end = positions.stored_end();
        let mut commit = None;
        let mut done = 0;
        let mut unstored = false;
        for step in steps.iter() {
            match step.state.end() {
                Some(end) if end <= stored_end => {
                    commit = Some(step.next_offset);
                    done += 1;
                }
                Some(_) => {
                    unstored = true;
                    break;
                }
                None => break,
            }
        }
        if let Some(offset) = commit {
            positions.commit(key, offset);
        }
        steps.drain(..done);
        if steps.is_empty() {
            self.steps.remove(key);
        }
        if unstored {
            self.unstored.insert(key.clone());
        } else {
            self.unstored.remove(key);
        }
    }
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
