//! Locks of queues for the time of a pop. They are tried, never waited for: a pop that meets a locked queue goes on to
//! the next. What must have a queue waits on a thread that may.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use super::QueueKey;

/// Pause between two looks at a queue that is locked.
const LOCK_PAUSE: Duration = Duration::from_micros(200);

/// Queues that are being popped.
#[derive(Clone, Default)]
pub struct PopLocks(Arc<DashMap<QueueKey, ()>>);

/// A locked queue; free again when this is dropped.
pub struct PopLock {
    locks: PopLocks,
    key: QueueKey,
}

impl PopLocks {
    /// Locks a queue; `None` when it is locked.
    pub fn try_lock(&self, key: &QueueKey) -> Option<PopLock> {
        match self.0.entry(key.clone()) {
            dashmap::Entry::Occupied(_) => None,
            dashmap::Entry::Vacant(vacant) => {
                vacant.insert(());
                Some(PopLock { locks: self.clone(), key: key.clone() })
            }
        }
    }

    /// Locks a queue, waiting while it is locked; for threads that may wait.
    pub fn lock(&self, key: &QueueKey) -> PopLock {
        loop {
            if let Some(lock) = self.try_lock(key) {
                return lock;
            }
            // Locked for one read of a queue at most.
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// Whether a queue is locked.
    pub fn is_locked(&self, key: &QueueKey) -> bool {
        self.0.contains_key(key)
    }
}

impl Drop for PopLock {
    fn drop(&mut self) {
        self.locks.0.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_has_one_lock() {
        let locks = PopLocks::default();
        let key = QueueKey::new("T", "G", 1);
        let lock = locks.try_lock(&key);
        assert!(lock.is_some() && locks.try_lock(&key).is_none());
        assert!(locks.try_lock(&QueueKey::new("T", "G", 2)).is_some());
        drop(lock);
        assert!(locks.try_lock(&key).is_some());
        assert!(locks.0.is_empty());
    }
}
