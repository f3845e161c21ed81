//! Pulls that wait for a message to arrive.
//!
//! A waiting pull is a row in a table, found by its queue when messages arrive and by its deadline when none do. Rows
//! that are due go back to the tasks of their connections, which run the pull once more; neither the store's thread nor
//! a timer ever reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hypergol_remoting::{RemotingCommand, Responder};
use hypergol_store::Arrival;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::deadlines::{self, Deadlines};
use crate::filter::SubscriptionFilter;
use crate::held_bytes::HeldBytes;

/// Pulls that may wait at a time. One takes about 1.5 KB, so the table stays below 400 MB; longer ones are counted by
/// [`HeldBytes`].
const HELD_MAX: usize = 262_144;
/// Messages that a waiting pull does not want make it wake within this time, so that its consumer moves on. Java looks
/// at all waiting pulls at this interval.
const SKIP_DELAY: Duration = Duration::from_secs(5);

/// A pull that waits.
pub struct HeldPull {
    /// The request as it came; while it waits it has no body.
    pub request: RemotingCommand,
    /// Answers it.
    pub responder: Responder,
    /// Topic.
    pub topic: String,
    /// Queue.
    pub queue_id: i32,
    /// First offset wanted.
    pub offset: i64,
    /// Which messages are wanted.
    pub filter: SubscriptionFilter,
    /// When it is answered without a message.
    pub deadline: Instant,
}

impl HeldPull {
    fn resume(self: Box<Self>) {
        self.responder.resume(self.request);
    }
}

/// All pulls that wait.
#[derive(Default)]
pub struct HeldPulls {
    table: Mutex<Table>,
    /// Rows in the table, to be seen without its lock.
    count: AtomicUsize,
    sooner: Notify,
}

#[derive(Default)]
struct Table {
    queues: HashMap<String, HashMap<i32, Vec<u64>>>,
    rows: HashMap<u64, Row>,
    deadlines: Deadlines,
    bytes: HeldBytes,
    next_id: u64,
    closed: bool,
}

struct Row {
    pull: Box<HeldPull>,
    /// A message came that the pull does not want.
    skipped: bool,
}

impl HeldPulls {
    /// Number of pulls that wait.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether no pull waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has a pull wait. `readable` is asked once it waits: messages may have arrived since it was found that there are
    /// none. Returns the pull when the table is full or closed.
    pub fn hold(&self, mut pull: Box<HeldPull>, readable: impl FnOnce(&str, i32) -> i64) -> Result<(), Box<HeldPull>> {
        pull.request.detach_header();
        let (topic, queue_id, offset) = (pull.topic.clone(), pull.queue_id, pull.offset);
        let mut table = self.table.lock();
        if table.closed || table.rows.len() >= HELD_MAX || !table.bytes.add(&pull.request) {
            return Err(pull);
        }
        let (id, sooner) = table.insert(pull);
        self.count.store(table.rows.len(), Ordering::SeqCst);
        drop(table);
        if sooner {
            self.sooner.notify_one();
        }
        if readable(&topic, queue_id) > offset {
            let mut table = self.table.lock();
            let row = table.remove(id);
            self.count.store(table.rows.len(), Ordering::SeqCst);
            drop(table);
            // It may have been woken in between.
            if let Some(row) = row {
                row.resume();
            }
        }
        Ok(())
    }

    /// Wakes pulls that want one of the messages. Called on the store's thread.
    pub fn messages_arrived(&self, arrivals: &[Arrival<'_>]) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let now = Instant::now();
        let mut due = Vec::new();
        let mut sooner = false;
        let mut table = self.table.lock();
        for arrival in arrivals {
            sooner |= table.arrived(arrival, now, &mut due);
        }
        self.count.store(table.rows.len(), Ordering::SeqCst);
        drop(table);
        if sooner {
            self.sooner.notify_one();
        }
        due.into_iter().for_each(HeldPull::resume);
    }

    /// Wakes pulls as their deadlines pass; never returns.
    pub async fn expire(&self) {
        let next_look = || self.table.lock().deadlines.next_look();
        deadlines::follow(&self.sooner, next_look, |now| self.expire_due(now)).await;
    }

    fn expire_due(&self, now: Instant) {
        let mut due = Vec::new();
        let mut table = self.table.lock();
        while let Some(id) = table.deadlines.passed(now) {
            due.extend(table.remove(id));
        }
        self.count.store(table.rows.len(), Ordering::SeqCst);
        drop(table);
        due.into_iter().for_each(HeldPull::resume);
    }

    /// Wakes every pull and lets none wait any more.
    pub fn close(&self) {
        let mut table = self.table.lock();
        table.closed = true;
        let due: Vec<_> = table.rows.drain().map(|(_, row)| row.pull).collect();
        table.queues.clear();
        table.deadlines.clear();
        self.count.store(0, Ordering::SeqCst);
        drop(table);
        due.into_iter().for_each(HeldPull::resume);
    }
}

impl Table {
    /// Returns the number of the row, and whether the clock is to be told.
    fn insert(&mut self, pull: Box<HeldPull>) -> (u64, bool) {
        let id = self.next_id;
        self.next_id += 1;
        let queue = match self.queues.get_mut(&pull.topic) {
            Some(queues) => queues.entry(pull.queue_id).or_default(),
            None => self.queues.entry(pull.topic.clone()).or_default().entry(pull.queue_id).or_default(),
        };
        queue.push(id);
        let sooner = self.deadlines.insert(pull.deadline, id);
        self.rows.insert(id, Row { pull, skipped: false });
        (id, sooner)
    }

    fn remove(&mut self, id: u64) -> Option<Box<HeldPull>> {
        let pull = self.rows.remove(&id)?.pull;
        self.bytes.remove(&pull.request);
        self.deadlines.remove(pull.deadline, id);
        if let Some(queues) = self.queues.get_mut(&pull.topic) {
            if let Some(queue) = queues.get_mut(&pull.queue_id) {
                queue.retain(|held| *held != id);
                if queue.is_empty() {
                    queues.remove(&pull.queue_id);
                }
            }
            if queues.is_empty() {
                self.queues.remove(&pull.topic);
            }
        }
        Some(pull)
    }

    /// Moves out the pulls that want a message. True when a deadline was moved forward and the clock is to be told.
    #[expect(clippy::vec_box, reason = "a row is large and is not moved before it is run")]
    fn arrived(&mut self, arrival: &Arrival<'_>, now: Instant, due: &mut Vec<Box<HeldPull>>) -> bool {
        let Some(ids) = self.queues.get(arrival.topic).and_then(|queues| queues.get(&arrival.queue_id)) else {
            return false;
        };
        let mut wanted = Vec::new();
        let mut sooner = false;
        for id in ids {
            let Some(row) = self.rows.get_mut(id) else { continue };
            if arrival.next_offset <= row.pull.offset {
                continue;
            }
            if row.pull.filter.matches_arrival(arrival) {
                wanted.push(*id);
            } else if !row.skipped {
                row.skipped = true;
                let deadline = row.pull.deadline.min(now + SKIP_DELAY);
                self.deadlines.remove(row.pull.deadline, *id);
                sooner |= self.deadlines.insert(deadline, *id);
                row.pull.deadline = deadline;
            }
        }
        due.extend(wanted.into_iter().filter_map(|id| self.remove(id)));
        sooner
    }
}
