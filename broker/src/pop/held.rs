//! Pops and notifications that wait for a message.
//!
//! A waiting request is a row in a table, found by its topic, group and queue (-1: any) when something comes for them,
//! and by its deadline when nothing does. Rows that are due go back to the tasks of their connections, which run the
//! request once more. Each message wakes one request of each group, and one more that wants its queue only, as in Java.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hypergol_remoting::{RemotingCommand, Responder};
use hypergol_store::{Arrival, record};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::QueueKey;
use super::retry::normal_topic;
use crate::deadlines::{self, Deadlines};
use crate::filter::SubscriptionFilter;
use crate::held_bytes::HeldBytes;
use crate::retry::RETRY_PREFIX;

/// Property of a message that came back: the group it comes back to.
pub const ORIGIN_GROUP: &str = "ORIGIN_GROUP";

/// Filter of a request that waits.
pub type HeldFilter = Arc<SubscriptionFilter>;

/// A request that waits.
pub struct HeldPop {
    /// The request as it came; while it waits it has no body.
    pub request: RemotingCommand,
    /// Answers it.
    pub responder: Responder,
    /// What it waits for.
    pub key: QueueKey,
    /// Which messages are wanted; all without.
    pub filter: Option<HeldFilter>,
    /// When it is run for the last time.
    pub deadline: Instant,
}

impl HeldPop {
    fn resume(self: Box<Self>) {
        self.responder.resume(self.request);
    }
}

/// How many requests may wait (`maxPopPollingSize`, `popPollingSize`).
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// In all.
    pub total: usize,
    /// For one topic, group and queue.
    pub each: usize,
}

/// All requests of a kind that wait.
pub struct HeldPops {
    table: Mutex<Table>,
    /// Rows in the table, to be seen without its lock.
    count: AtomicUsize,
    sooner: Notify,
    /// Whether the request that may wait longest is woken first.
    newest_first: bool,
}

#[derive(Default)]
struct Table {
    rows: HashMap<u64, Box<HeldPop>>,
    of_key: HashMap<QueueKey, BTreeSet<(Instant, u64)>>,
    /// Topic to group to number of its rows.
    groups: HashMap<Arc<str>, HashMap<Arc<str>, usize>>,
    deadlines: Deadlines,
    bytes: HeldBytes,
    next_id: u64,
    closed: bool,
}

/// What came for a request.
#[derive(Clone, Copy)]
enum Cause<'a> {
    /// Something that every request wants to know of.
    Any,
    /// A message.
    Message(&'a Arrival<'a>),
}

impl HeldPops {
    /// An empty table.
    pub fn new(newest_first: bool) -> Self {
        Self { table: Mutex::default(), count: AtomicUsize::new(0), sooner: Notify::new(), newest_first }
    }

    /// Number of requests that wait.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of requests that wait for a queue.
    pub fn waiting(&self, key: &QueueKey) -> usize {
        self.table.lock().of_key.get(key).map_or(0, BTreeSet::len)
    }

    /// Has a request wait; gives it back when there is no room. The caller looks afterwards whether something came in
    /// between, and calls [`Self::wake`] then.
    pub fn hold(&self, mut pop: Box<HeldPop>, room: Room) -> Result<(), Box<HeldPop>> {
        pop.request.detach_header();
        let mut table = self.table.lock();
        let waiting = table.of_key.get(&pop.key).map_or(0, BTreeSet::len);
        let full = table.rows.len() >= room.total || waiting > room.each;
        if table.closed || full || !table.bytes.add(&pop.request) {
            return Err(pop);
        }
        let sooner = table.insert(pop);
        self.count.store(table.rows.len(), Ordering::SeqCst);
        drop(table);
        if sooner {
            self.sooner.notify_one();
        }
        Ok(())
    }

    /// Wakes one request that waits for exactly this; false when none does.
    pub fn wake(&self, key: &QueueKey) -> bool {
        self.wake_for(key, Cause::Any)
    }

    /// Wakes one request that waits for any queue, or else one that waits for this queue.
    pub fn wake_any_or(&self, key: &QueueKey) -> bool {
        self.wake(&QueueKey { queue_id: -1, ..key.clone() }) || self.wake(key)
    }

    fn wake_for(&self, key: &QueueKey, cause: Cause<'_>) -> bool {
        if self.count.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let mut table = self.table.lock();
        let woken = table.take(key, cause, self.newest_first);
        self.count.store(table.rows.len(), Ordering::SeqCst);
        drop(table);
        woken.map(HeldPop::resume).is_some()
    }

    /// Wakes requests for messages that have arrived; every `force_interval`-th message of a queue whether they are
    /// wanted or not, so that a group moves on past what it does not want. Called on the store's thread.
    pub fn messages_arrived(&self, arrivals: &[Arrival<'_>], force_interval: i64) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut due = Vec::new();
        let mut table = self.table.lock();
        for arrival in arrivals {
            if arrival.topic.starts_with(RETRY_PREFIX) {
                table.came_back(arrival, self.newest_first, &mut due);
            } else {
                table.arrived(arrival, force_interval, self.newest_first, &mut due);
            }
        }
        self.count.store(table.rows.len(), Ordering::SeqCst);
        drop(table);
        due.into_iter().for_each(HeldPop::resume);
    }

    /// Wakes requests as their deadlines pass; never returns.
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
        due.into_iter().for_each(HeldPop::resume);
    }

    /// Wakes every request and lets none wait any more.
    pub fn close(&self) {
        let mut table = self.table.lock();
        table.closed = true;
        let ids: Vec<u64> = table.rows.keys().copied().collect();
        let due: Vec<_> = ids.into_iter().filter_map(|id| table.remove(id)).collect();
        self.count.store(0, Ordering::SeqCst);
        drop(table);
        due.into_iter().for_each(HeldPop::resume);
    }
}

impl Table {
    /// True when the clock is to be told.
    fn insert(&mut self, pop: Box<HeldPop>) -> bool {
        let id = self.next_id;
        self.next_id += 1;
        let (topic, group) = (pop.key.topic.clone(), pop.key.group.clone());
        *self.groups.entry(topic).or_default().entry(group).or_default() += 1;
        self.of_key.entry(pop.key.clone()).or_default().insert((pop.deadline, id));
        let sooner = self.deadlines.insert(pop.deadline, id);
        self.rows.insert(id, pop);
        sooner
    }

    fn remove(&mut self, id: u64) -> Option<Box<HeldPop>> {
        let pop = self.rows.remove(&id)?;
        self.bytes.remove(&pop.request);
        self.deadlines.remove(pop.deadline, id);
        if let Some(rows) = self.of_key.get_mut(&pop.key) {
            rows.remove(&(pop.deadline, id));
            if rows.is_empty() {
                self.of_key.remove(&pop.key);
            }
        }
        if let Some(groups) = self.groups.get_mut(&pop.key.topic) {
            if let Some(count) = groups.get_mut(&pop.key.group) {
                *count -= 1;
                if *count == 0 {
                    groups.remove(&pop.key.group);
                }
            }
            if groups.is_empty() {
                self.groups.remove(&pop.key.topic);
            }
        }
        Some(pop)
    }

    /// Moves out the first request for a key that is still connected, if it wants what came.
    fn take(&mut self, key: &QueueKey, cause: Cause<'_>, newest_first: bool) -> Option<Box<HeldPop>> {
        loop {
            let rows = self.of_key.get(key)?;
            let (_, id) = *(if newest_first { rows.last() } else { rows.first() })?;
            let row = self.rows.get(&id)?;
            if row.responder.channel().is_closed() {
                self.remove(id);
                continue;
            }
            let wanted = match cause {
                Cause::Any => true,
                Cause::Message(arrival) => row.filter.as_ref().is_none_or(|filter| filter.matches_arrival(arrival)),
            };
            return if wanted { self.remove(id) } else { None };
        }
    }

    #[expect(clippy::vec_box, reason = "a row is large and is not moved before it is run")]
    fn arrived(&mut self, arrival: &Arrival<'_>, force: i64, newest_first: bool, due: &mut Vec<Box<HeldPop>>) {
        let Some((topic, groups)) = self.groups.get_key_value(arrival.topic) else { return };
        let topic = topic.clone();
        let groups: Vec<Arc<str>> = groups.keys().cloned().collect();
        let offset = arrival.next_offset.saturating_sub(1);
        let cause = if force > 0 && offset % force == 0 { Cause::Any } else { Cause::Message(arrival) };
        for group in groups {
            for queue_id in [-1, arrival.queue_id] {
                let key = QueueKey { topic: topic.clone(), group: group.clone(), queue_id };
                due.extend(self.take(&key, cause, newest_first));
            }
        }
    }

    /// A message came back to a group: nobody waits for its retry topic, but for the topic it was popped from.
    #[expect(clippy::vec_box, reason = "a row is large and is not moved before it is run")]
    fn came_back(&mut self, arrival: &Arrival<'_>, newest_first: bool, due: &mut Vec<Box<HeldPop>>) {
        let Some(group) = record::property(arrival.properties, ORIGIN_GROUP) else { return };
        let topic = normal_topic(arrival.topic, group);
        if topic == arrival.topic {
            return;
        }
        for queue_id in [-1, arrival.queue_id] {
            let key = QueueKey::new(topic, group, queue_id);
            due.extend(self.take(&key, Cause::Any, newest_first));
        }
    }
}
