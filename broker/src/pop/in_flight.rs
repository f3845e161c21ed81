//! How many messages of a queue a group has popped and neither acknowledged nor lost to the retry topic.

use dashmap::{DashMap, Entry};

use super::QueueKey;

/// The numbers, by queue. Only what was popped since the broker started counts.
pub struct InFlight {
    counts: DashMap<QueueKey, i64>,
    /// Milliseconds since 1970.
    started_ms: i64,
}

impl InFlight {
    /// No message is in flight; pops before `started_ms` were not counted and so count nothing down.
    pub fn new(started_ms: i64) -> Self {
        Self { counts: DashMap::new(), started_ms }
    }

    /// Counts messages that were popped.
    pub fn add(&self, key: &QueueKey, messages: usize) {
        if messages > 0 {
            *self.counts.entry(key.clone()).or_default() += i64::try_from(messages).unwrap_or(i64::MAX);
        }
    }

    /// Counts messages down that were popped at `pop_time` and are so no longer.
    pub fn subtract(&self, key: &QueueKey, pop_time: i64, messages: usize) {
        if pop_time < self.started_ms {
            return;
        }
        if let Entry::Occupied(mut count) = self.counts.entry(key.clone()) {
            *count.get_mut() -= i64::try_from(messages).unwrap_or(i64::MAX);
            if *count.get() <= 0 {
                count.remove();
            }
        }
    }

    /// The number of a queue.
    pub fn count(&self, key: &QueueKey) -> i64 {
        self.counts.get(key).map_or(0, |count| *count)
    }

    /// Forgets a queue.
    pub fn clear(&self, key: &QueueKey) {
        self.counts.remove(key);
    }

    /// Forgets a group.
    pub fn clear_group(&self, group: &str) {
        self.counts.retain(|key, _| *key.group != *group);
    }

    /// Forgets a topic.
    pub fn clear_topic(&self, topic: &str) {
        self.counts.retain(|key, _| *key.topic != *topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_up_and_down() {
        let counts = InFlight::new(100);
        let (key, other) = (QueueKey::new("T", "G", 0), QueueKey::new("T", "H", 0));
        counts.add(&key, 3);
        counts.add(&other, 1);
        counts.subtract(&key, 99, 3);
        assert_eq!(counts.count(&key), 3, "popped before the start");
        counts.subtract(&key, 100, 2);
        assert_eq!(counts.count(&key), 1);
        counts.subtract(&key, 100, 2);
        assert_eq!(counts.count(&key), 0, "never below zero");
        counts.subtract(&key, 100, 2);
        assert_eq!(counts.counts.len(), 1);
        counts.clear_group("H");
        assert!(counts.counts.is_empty());
        counts.add(&key, 1);
        counts.clear_topic("T");
        assert_eq!(counts.count(&key), 0);
    }
}
