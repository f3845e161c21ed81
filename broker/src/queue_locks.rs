//! Locks of orderly consumers: one client of a group at a time consumes a queue.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use parking_lot::Mutex;

/// How long a lock lives after it was last taken. Java: rocketmq.broker.rebalance.lockMaxLiveTime, 60 s.
pub const LOCK_LIFE: Duration = Duration::from_secs(60);
/// Locks held at a time over all groups; further ones are refused until some expire.
const LOCKS_MAX: usize = 1_000_000;

/// All locks, by group.
#[derive(Default)]
pub struct QueueLocks {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    groups: HashMap<String, HashMap<MessageQueue, Lock>>,
    count: usize,
}

struct Lock {
    client_id: String,
    taken: Instant,
}

impl Lock {
    fn expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.taken) > LOCK_LIFE
    }
}

impl QueueLocks {
    /// Takes or renews the locks of `queues` for a client; returns those that it holds now. A lock of another client
    /// counts until it expires.
    pub fn lock(&self, group: &str, queues: &[MessageQueue], client_id: &str, now: Instant) -> Vec<MessageQueue> {
        let mut held = Vec::with_capacity(queues.len());
        let mut table = self.table.lock();
        for queue in queues {
            if table.lock(group, queue, client_id, now) {
                held.push(queue.clone());
            }
        }
        held
    }

    /// Gives back the locks of `queues` that the client holds, expired or not.
    pub fn unlock(&self, group: &str, queues: &[MessageQueue], client_id: &str) {
        let mut table = self.table.lock();
        let Some(locks) = table.groups.get_mut(group) else { return };
        let before = locks.len();
        for queue in queues {
            if locks.get(queue).is_some_and(|lock| lock.client_id == client_id) {
                locks.remove(queue);
            }
        }
        let (removed, empty) = (before - locks.len(), locks.is_empty());
        table.count -= removed;
        if empty {
            table.groups.remove(group);
        }
    }

    /// Whether nobody of the group holds a live lock: the group does not consume in order.
    pub fn all_expired(&self, group: &str, now: Instant) -> bool {
        let table = self.table.lock();
        table.groups.get(group).is_none_or(|locks| locks.values().all(|lock| lock.expired(now)))
    }

    /// Forgets expired locks, which count for nothing.
    pub fn forget_expired(&self, now: Instant) {
        let mut table = self.table.lock();
        table.groups.retain(|_, locks| {
            locks.retain(|_, lock| !lock.expired(now));
            !locks.is_empty()
        });
        table.count = table.groups.values().map(HashMap::len).sum();
    }
}

impl Table {
    fn lock(&mut self, group: &str, queue: &MessageQueue, client_id: &str, now: Instant) -> bool {
        if let Some(lock) = self.groups.get_mut(group).and_then(|locks| locks.get_mut(queue)) {
            if lock.client_id != client_id {
                if !lock.expired(now) {
                    return false;
                }
                lock.client_id = client_id.to_owned();
            }
            lock.taken = now;
            return true;
        }
        if self.count >= LOCKS_MAX {
            return false;
        }
        let lock = Lock { client_id: client_id.to_owned(), taken: now };
        self.groups.entry(group.to_owned()).or_default().insert(queue.clone(), lock);
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: i32) -> MessageQueue {
        MessageQueue { topic: "T".into(), broker_name: "b".into(), queue_id: id }
    }

    #[test]
    fn a_queue_has_one_holder_until_the_lock_expires() {
        let locks = QueueLocks::default();
        let start = Instant::now();
        let queues = [queue(0), queue(1)];
        assert_eq!(locks.lock("G", &queues, "a", start), queues);
        assert_eq!(locks.lock("G", &[queue(1), queue(2)], "b", start), [queue(2)]);
        assert_eq!(locks.lock("other", &queues, "b", start), queues, "groups do not disturb each other");

        let renewed = start + LOCK_LIFE;
        assert_eq!(locks.lock("G", &[queue(0)], "a", renewed), [queue(0)]);
        let later = renewed + Duration::from_millis(1);
        assert_eq!(locks.lock("G", &queues, "b", later), [queue(1)], "queue 0 was renewed, queue 1 was not");
    }

    #[test]
    fn only_the_holder_unlocks() {
        let locks = QueueLocks::default();
        let now = Instant::now();
        locks.lock("G", &[queue(0)], "a", now);
        locks.unlock("G", &[queue(0), queue(5)], "b");
        assert!(locks.lock("G", &[queue(0)], "b", now).is_empty());
        locks.unlock("G", &[queue(0)], "a");
        assert_eq!(locks.lock("G", &[queue(0)], "b", now), [queue(0)]);
        locks.unlock("no such group", &[queue(0)], "a");
    }

    #[test]
    fn expired_locks_do_not_count_and_are_forgotten() {
        let locks = QueueLocks::default();
        let now = Instant::now();
        assert!(locks.all_expired("G", now));
        locks.lock("G", &[queue(0)], "a", now);
        assert!(!locks.all_expired("G", now + LOCK_LIFE));
        let later = now + LOCK_LIFE + Duration::from_millis(1);
        assert!(locks.all_expired("G", later));
        locks.lock("H", &[queue(0)], "a", later);
        locks.forget_expired(later);
        let table = locks.table.lock();
        assert_eq!(table.groups.len(), 1);
        assert_eq!(table.count, 1);
    }
}
