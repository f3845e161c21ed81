//! What clients are to look at: for each client the light queues in which it finds messages, each once, in the order of
//! their arrival; and clients whose queues must all be looked at, because there was no room. Java: `LiteEventDispatcher`.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::context::now_ms;

/// A client with events that does not pop for so long is passed over. Java: CLIENT_INACTIVE_INTERVAL.
const INACTIVE: Duration = Duration::from_secs(10);
/// A client that does not pop for so long is gone. Java: CLIENT_LONG_POLLING_INTERVAL.
const GONE: Duration = Duration::from_secs(35);
/// A client that popped within this time is at work. Java: ACTIVE_CONSUMING_WINDOW.
const ACTIVE: Duration = Duration::from_secs(5);
/// How long others come before a client that was passed over. Java: BLACKLIST_EXPIRE_SECONDS.
const AVOIDED_FOR: Duration = Duration::from_secs(10);
/// All queues of a client are looked at only while less than one in this many places is taken. Java: LOW_WATER_MARK.
const LOW_WATER: usize = 5;
/// Events that a client may have, whatever its group says.
pub const ROOM_MAX: usize = 100_000;
/// Shortest delay of such a look.
const DELAY_MIN: Duration = Duration::from_millis(50);

/// The events of all clients.
#[derive(Default)]
pub struct Events(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    clients: HashMap<Arc<str>, ClientEvents>,
    avoided: HashMap<Arc<str>, Instant>,
    /// Who is to be looked at when, with its group.
    looks: BTreeSet<(Instant, Arc<str>, Arc<str>)>,
    look_of: HashSet<Arc<str>>,
}

struct ClientEvents {
    group: Arc<str>,
    queues: VecDeque<Arc<str>>,
    known: HashSet<Arc<str>>,
    room: usize,
    popped: Instant,
    popped_ms: i64,
}

/// Events of a client that is gone.
pub struct Orphans {
    /// The client.
    pub client: Arc<str>,
    /// Its group.
    pub group: Arc<str>,
    /// Its events.
    pub queues: VecDeque<Arc<str>>,
}

/// Whether all queues of a client may be looked at now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They may.
    Ready,
    /// It does not pop.
    Inactive,
    /// It has much to do.
    Busy,
}

impl ClientEvents {
    fn new(group: Arc<str>, room: usize) -> Self {
        let (queues, known) = (VecDeque::new(), HashSet::new());
        Self { group, queues, known, room: room.max(1), popped: Instant::now(), popped_ms: now_ms() }
    }

    fn offer(&mut self, queue: &Arc<str>) -> bool {
        if self.known.contains(queue) {
            return true;
        }
        if self.queues.len() >= self.room {
            return false;
        }
        self.known.insert(queue.clone());
        self.queues.push_back(queue.clone());
        true
    }

    fn is_inactive(&self, now: Instant) -> bool {
        let idle = now.saturating_duration_since(self.popped);
        idle > GONE || (!self.queues.is_empty() && idle > INACTIVE)
    }
}

impl Events {
    /// Adds an event; false when the client has no room for it. `room` is how many a client of the group may have.
    pub fn offer(&self, client: &Arc<str>, group: &Arc<str>, queue: &Arc<str>, room: impl FnOnce() -> usize) -> bool {
        let mut tables = self.0.lock();
        if let Some(events) = tables.clients.get_mut(client) {
            return events.offer(queue);
        }
        let mut events = ClientEvents::new(group.clone(), room());
        let taken = events.offer(queue);
        tables.clients.insert(client.clone(), events);
        taken
    }

    /// Takes the oldest event of a client, which pops.
    pub fn next(&self, client: &str) -> Option<Arc<str>> {
        let mut tables = self.0.lock();
        let events = tables.clients.get_mut(client)?;
        (events.popped, events.popped_ms) = (Instant::now(), now_ms());
        let queue = events.queues.pop_front()?;
        events.known.remove(&queue);
        Some(queue)
    }

    /// Whether a client has events.
    pub fn has_any(&self, client: &str) -> bool {
        self.0.lock().clients.get(client).is_some_and(|events| !events.queues.is_empty())
    }

    /// When a client last popped, ms since 1970; -1 for one without events so far.
    pub fn last_pop_ms(&self, client: &str) -> i64 {
        self.0.lock().clients.get(client).map_or(-1, |events| events.popped_ms)
    }

    /// Number of clients that have had events.
    pub fn clients(&self) -> usize {
        self.0.lock().clients.len()
    }

    /// Forgets a client; its events are for others.
    pub fn remove(&self, client: &str) -> Option<Orphans> {
        let (client, events) = self.0.lock().clients.remove_entry(client)?;
        Some(Orphans { client, group: events.group, queues: events.queues })
    }

    /// Forgets clients that do not pop; others come before them for a while.
    pub fn remove_inactive(&self, now: Instant) -> Vec<Orphans> {
        let mut tables = self.0.lock();
        tables.avoided.retain(|_, until| *until > now);
        let gone: Vec<Arc<str>> =
            tables.clients.iter().filter(|(_, events)| events.is_inactive(now)).map(|(name, _)| name.clone()).collect();
        let mut orphans = Vec::new();
        for client in gone {
            if let Some(events) = tables.clients.remove(&client) {
                tables.avoided.insert(client.clone(), now + AVOIDED_FOR);
                orphans.push(Orphans { client, group: events.group, queues: events.queues });
            }
        }
        orphans
    }

    /// Whether others come before a client.
    pub fn is_avoided(&self, client: &str) -> bool {
        self.0.lock().avoided.get(client).is_some_and(|until| *until > Instant::now())
    }

    /// Whether all queues of a client may be looked at.
    pub fn readiness(&self, client: &str, now: Instant) -> Readiness {
        match self.0.lock().clients.get(client) {
            Some(events) if events.is_inactive(now) => Readiness::Inactive,
            Some(events) if events.queues.len() * LOW_WATER >= events.room => Readiness::Busy,
            _ => Readiness::Ready,
        }
    }

    /// Whether a client has just popped.
    pub fn is_active(&self, client: &str, now: Instant) -> bool {
        let tables = self.0.lock();
        tables.clients.get(client).is_some_and(|events| now.saturating_duration_since(events.popped) < ACTIVE)
    }

    /// Has all queues of a client, or of a wildcard group, looked at after a delay.
    pub fn look_later(&self, who: Arc<str>, group: Arc<str>, delay: Duration) {
        let mut tables = self.0.lock();
        if tables.look_of.insert(who.clone()) {
            tables.looks.insert((Instant::now() + delay.max(DELAY_MIN), who, group));
        }
    }

    /// Who is due to be looked at, with its group.
    pub fn due_look(&self, now: Instant) -> Option<(Arc<str>, Arc<str>)> {
        let mut tables = self.0.lock();
        if tables.looks.first()?.0 > now {
            return None;
        }
        let (_, who, group) = tables.looks.pop_first()?;
        tables.look_of.remove(&who);
        Some((who, group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn an_event_is_there_once_and_there_is_room_for_some() {
        let events = Events::default();
        let offer = |queue: &str| events.offer(&name("c"), &name("g"), &name(queue), || 2);
        assert!(offer("1") && offer("2") && offer("1") && !offer("3"));
        assert_eq!(events.readiness("c", Instant::now()), Readiness::Busy);
        assert_eq!(events.next("c").as_deref(), Some("1"));
        assert!(offer("3") && events.has_any("c"));
        assert_eq!((events.next("c").as_deref(), events.next("c").as_deref()), (Some("2"), Some("3")));
        assert!(events.next("c").is_none() && events.next("nobody").is_none());
        assert_eq!(events.readiness("c", Instant::now()), Readiness::Ready);
        assert_eq!(events.readiness("nobody", Instant::now()), Readiness::Ready);
        let soon = Instant::now() + Duration::from_secs(1);
        assert!(events.is_active("c", soon) && !events.is_active("c", soon + ACTIVE));
    }

    #[test]
    fn clients_that_do_not_pop_lose_their_events() {
        let events = Events::default();
        events.offer(&name("busy"), &name("g"), &name("1"), || 9);
        events.offer(&name("idle"), &name("g"), &name("1"), || 9);
        events.next("idle");
        let now = Instant::now();
        assert!(events.remove_inactive(now).is_empty());
        let orphans = events.remove_inactive(now + INACTIVE + Duration::from_secs(1));
        assert_eq!(orphans.iter().map(|gone| (&*gone.client, gone.queues.len())).collect::<Vec<_>>(), [("busy", 1)]);
        assert!(events.is_avoided("busy") && !events.is_avoided("idle"));
        assert_eq!(events.remove_inactive(now + GONE + Duration::from_secs(1)).len(), 1);
        assert_eq!(events.clients(), 0);
    }

    #[test]
    fn a_look_is_due_once() {
        let events = Events::default();
        events.look_later(name("c"), name("g"), Duration::ZERO);
        events.look_later(name("c"), name("g"), Duration::ZERO);
        assert!(events.due_look(Instant::now()).is_none());
        let later = Instant::now() + Duration::from_secs(1);
        assert_eq!(events.due_look(later), Some((name("c"), name("g"))));
        assert!(events.due_look(later).is_none());
    }
}
