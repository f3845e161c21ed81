//! Decisions about half messages of the last minutes, in memory.
//!
//! An op message is stored up to `transactionOpBatchInterval` after a decision; until then this tells the check what is
//! decided. It also knows which half messages are copies of one another: a decision about one counts for all, so that a
//! producer that commits twice, or answers two questions about the same transaction, has its message stored once. Java
//! stores it each time; both answer the same.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

/// Entries of one generation; two are kept. At 40,000 transactions a second that is some seconds.
const GENERATION_MAX: usize = 128 << 10;

/// What was decided about a half message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its commit is being stored.
    Committing,
    /// It is stored in its real topic.
    Committed,
    /// It is given up.
    RolledBack,
}

/// Queue and queue offset of a half message.
pub type HalfPlace = (i32, i64);

/// What is known of half messages and their copies.
#[derive(Default)]
pub struct Recent(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Decision, by the first place of a half message.
    decisions: Generations<HalfPlace, Decision>,
    /// First place, by that of a copy.
    first: Generations<HalfPlace, HalfPlace>,
    /// Place of the newest copy, by the first place.
    newest: Generations<HalfPlace, HalfPlace>,
}

/// A map that forgets what was put into it long ago.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Generations<K, V> {
    fn get(&self, key: K) -> Option<V> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn set(&mut self, key: K, value: V) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: K) {
        self.young.remove(&key);
        self.old.remove(&key);
    }
}

impl Known {
    fn first_of(&self, half: HalfPlace) -> HalfPlace {
        self.first.get(half).unwrap_or(half)
    }

    fn decision(&self, half: HalfPlace) -> Option<Decision> {
        self.decisions.get(self.first_of(half))
    }
}

impl Recent {
    /// What was decided, if it was lately.
    pub fn get(&self, half: HalfPlace) -> Option<Decision> {
        self.0.lock().decision(half)
    }

    /// Notes that a half message was put at the end of its queue once more.
    pub fn copied(&self, half: HalfPlace, copy: HalfPlace) {
        let mut known = self.0.lock();
        let first = known.first_of(half);
        known.first.set(copy, first);
        known.newest.set(first, copy);
    }

    /// The newest copy of a half message, if it is another.
    pub fn newest_copy(&self, half: HalfPlace) -> Option<HalfPlace> {
        let known = self.0.lock();
        known.newest.get(known.first_of(half)).filter(|newest| *newest != half)
    }

    /// Notes that a commit begins; false when one has begun or been made before. A commit after a rollback is one, as
    /// in Java.
    pub fn begin_commit(&self, half: HalfPlace) -> bool {
        let mut known = self.0.lock();
        let first = known.first_of(half);
        if matches!(known.decisions.get(first), Some(Decision::Committing | Decision::Committed)) {
            return false;
        }
        known.decisions.set(first, Decision::Committing);
        true
    }

    /// Notes that the message is stored in its real topic.
    pub fn committed(&self, half: HalfPlace) {
        let mut known = self.0.lock();
        let first = known.first_of(half);
        known.decisions.set(first, Decision::Committed);
    }

    /// Notes that the commit could not be stored.
    pub fn commit_failed(&self, half: HalfPlace) {
        let mut known = self.0.lock();
        let first = known.first_of(half);
        known.decisions.remove(first);
    }

    /// Notes a rollback; false when it is known, or comes after a commit.
    pub fn rolled_back(&self, half: HalfPlace) -> bool {
        let mut known = self.0.lock();
        let first = known.first_of(half);
        if known.decisions.get(first).is_some() {
            return false;
        }
        known.decisions.set(first, Decision::RolledBack);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_made_once() {
        let recent = Recent::default();
        assert!(recent.begin_commit((0, 1)));
        assert!(!recent.begin_commit((0, 1)), "it has begun");
        assert_eq!(recent.get((0, 1)), Some(Decision::Committing));
        recent.commit_failed((0, 1));
        assert!(recent.begin_commit((0, 1)));
        recent.committed((0, 1));
        assert!(!recent.begin_commit((0, 1)));
        assert!(!recent.rolled_back((0, 1)), "too late");
        assert_eq!(recent.get((0, 1)), Some(Decision::Committed));
        assert_eq!(recent.get((1, 1)), None);
    }

    #[test]
    fn a_commit_after_a_rollback_counts() {
        let recent = Recent::default();
        assert!(recent.rolled_back((0, 1)));
        assert!(!recent.rolled_back((0, 1)));
        assert!(recent.begin_commit((0, 1)));
    }

    #[test]
    fn a_decision_counts_for_all_copies() {
        let recent = Recent::default();
        recent.copied((0, 1), (0, 5));
        recent.copied((0, 5), (0, 9));
        assert!(recent.begin_commit((0, 5)));
        recent.committed((0, 5));
        for offset in [1, 5, 9] {
            assert_eq!(recent.get((0, offset)), Some(Decision::Committed));
            assert!(!recent.begin_commit((0, offset)));
        }
        assert_eq!(recent.newest_copy((0, 5)), Some((0, 9)));
        assert_eq!(recent.newest_copy((0, 9)), None);
        assert_eq!(recent.newest_copy((0, 2)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::default();
        for offset in 0..4 * GENERATION_MAX as i64 {
            recent.rolled_back((0, offset));
        }
        let known = recent.0.lock();
        assert!(known.decisions.young.len() <= GENERATION_MAX && known.decisions.old.len() <= GENERATION_MAX);
        assert_eq!(known.decision((0, 0)), None);
    }
}
