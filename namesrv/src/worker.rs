//! A thread that does one thing after the other, fed by a bounded queue.
//!
//! What must not run on a connection's task (inflating a large registration, syncing a file) runs here, and in order.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tracing::error;

use crate::error::NamesrvError;

/// Least weight of an item, in bytes: what a waiting request costs besides its body.
const ITEM_BYTES_MIN: usize = 1024;

/// A thread and what waits for it.
pub(crate) struct Worker<T> {
    queue: Arc<Queue<T>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
    items_max: usize,
    bytes_max: usize,
}

struct Waiting<T> {
    /// Items with their weight in bytes.
    items: VecDeque<(usize, T)>,
    bytes: usize,
    closed: bool,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread that calls `work` for each item.
    pub(crate) fn start(
        name: &'static str,
        items_max: usize,
        bytes_max: usize,
        mut work: impl FnMut(T) + Send + 'static,
    ) -> Result<Self, NamesrvError> {
        let waiting = Waiting { items: VecDeque::new(), bytes: 0, closed: false };
        let queue = Arc::new(Queue { waiting: Mutex::new(waiting), changed: Condvar::new(), items_max, bytes_max });
        let taken = queue.clone();
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                while let Some(item) = taken.take() {
                    // A fault in one request must not end the service of all others.
                    if catch_unwind(AssertUnwindSafe(|| work(item))).is_err() {
                        error!(thread = name, "a request ended in a panic");
                    }
                }
            })
            .map_err(|error| NamesrvError::Thread(name, error))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Queues an item of `bytes`; gives it back when too much waits or the worker has been closed.
    pub(crate) fn push(&self, bytes: usize, item: T) -> Result<(), T> {
        let bytes = bytes.max(ITEM_BYTES_MIN);
        let mut waiting = self.queue.waiting.lock();
        let full = waiting.items.len() >= self.queue.items_max
            // An item that is alone too large for the bound is taken when nothing else waits.
            || (waiting.bytes + bytes > self.queue.bytes_max && !waiting.items.is_empty());
        if full || waiting.closed {
            return Err(item);
        }
        waiting.push(bytes, item);
        self.queue.changed.notify_one();
        Ok(())
    }

    /// Queues an item that must not get lost. The caller bounds their number.
    pub(crate) fn push_always(&self, item: T) {
        let mut waiting = self.queue.waiting.lock();
        if !waiting.closed {
            waiting.push(0, item);
            self.queue.changed.notify_one();
        }
    }

    /// Takes no more, and waits until what was queued is done.
    pub(crate) fn close(&self) {
        self.queue.waiting.lock().closed = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic was caught and logged within.
            let _ = thread.join();
        }
    }
}

impl<T> Waiting<T> {
    fn push(&mut self, bytes: usize, item: T) {
        self.items.push_back((bytes, item));
        self.bytes += bytes;
    }
}

impl<T> Queue<T> {
    /// The next item; `None` at the end.
    fn take(&self) -> Option<T> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some((bytes, item)) = waiting.items.pop_front() {
                waiting.bytes -= bytes;
                return Some(item);
            }
            if waiting.closed {
                return None;
            }
            self.changed.wait(&mut waiting);
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.queue.waiting.lock().closed = true;
        self.queue.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn works_in_order_within_bounds_and_survives_a_panic() {
        let (go, wait) = mpsc::channel::<()>();
        let (done, results) = mpsc::channel();
        let worker = Worker::start("test", 3, 10 * ITEM_BYTES_MIN, move |n: u32| {
            if n == 0 {
                wait.recv().unwrap();
            }
            assert_ne!(n, 2, "a panic on purpose");
            done.send(n).unwrap();
        })
        .unwrap();
        assert!(worker.push(0, 0).is_ok());
        // Item 0 is held by the thread, or about to be.
        while !worker.queue.waiting.lock().items.is_empty() {
            std::thread::yield_now();
        }
        assert!(worker.push(0, 1).is_ok());
        assert_eq!(worker.push(20 * ITEM_BYTES_MIN, 9), Err(9), "too many bytes");
        assert!(worker.push(0, 2).is_ok());
        assert!(worker.push(0, 3).is_ok());
        assert_eq!(worker.push(0, 9), Err(9), "too many items");
        worker.push_always(4);
        go.send(()).unwrap();
        worker.close();
        assert_eq!(worker.push(0, 9), Err(9), "closed");
        assert_eq!(results.iter().collect::<Vec<_>>(), [0, 1, 3, 4]);
    }

    #[test]
    fn a_large_item_gets_through_alone() {
        let worker = Worker::start("test", 3, 1, |_: u32| {}).unwrap();
        assert!(worker.push(usize::MAX / 2, 1).is_ok());
        worker.close();
    }
}
