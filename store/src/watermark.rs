//! A counter that only grows, and those who wait for it. One primitive serves *written*, *flushed* and *dispatched*.
//!
//! Raising it costs an atomic exchange and one load unless somebody waits. Callbacks run on the raising thread, after
//! the lock was released. Once failed, a watermark stays where it is: nothing beyond its value will ever be confirmed.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::FlushCallback;
use crate::error::FlushError;

/// See the module text.
pub struct Watermark {
    value: AtomicI64,
    /// Whether anybody waits. Set under the lock before a waiter looks at `value` a last time; read by `raise` after it
    /// stored `value`. Both sides use sequentially consistent operations, so one of them sees the other.
    awaited: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    callbacks: BinaryHeap<Waiter>,
    sleepers: usize,
    /// Calls of `wake`.
    wakes: u64,
    failed: Option<FlushError>,
}

struct Waiter {
    target: i64,
    deadline: Instant,
    done: FlushCallback,
}

// The heap yields the greatest first; the waiter to serve first is the one with the smallest target.
impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.target.cmp(&self.target)
    }
}
impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}
impl Eq for Waiter {}

impl Watermark {
    /// Starts at `value`.
    pub fn new(value: i64) -> Self {
        Watermark {
            value: AtomicI64::new(value),
            awaited: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Present value. What was done before the value was raised is visible to whoever reads it here.
    pub fn get(&self) -> i64 {
        self.value.load(SeqCst)
    }

    /// Raises the value to at least `to`, wakes sleepers, runs the callbacks it satisfies. Does nothing once failed.
    pub fn raise(&self, to: i64) {
        if self.advance(to) {
            self.notify();
        }
    }

    /// Raises the value to at least `to` and leaves the rest to a later [`Watermark::notify`]. Returns whether it rose.
    pub fn advance(&self, to: i64) -> bool {
        self.value.fetch_max(to, SeqCst) < to
    }

    /// Wakes sleepers and runs the callbacks that the present value satisfies.
    pub fn notify(&self) {
        if self.awaited.load(SeqCst) {
            self.serve();
        }
    }

    #[cold]
    fn serve(&self) {
        let mut state = self.state.lock();
        if state.failed.is_some() {
            return;
        }
        let value = self.get();
        let mut ready = Vec::new();
        while state.callbacks.peek().is_some_and(|waiter| waiter.target <= value) {
            ready.extend(state.callbacks.pop());
        }
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        self.awaited.store(!state.callbacks.is_empty(), SeqCst);
        drop(state);
        for waiter in ready {
            (waiter.done)(Ok(()));
        }
    }

    /// Waits until the value is above `than`, `wake` is called, or `timeout` passes. Returns the value then. A failure
    /// does not end it: whoever loops over this would spin.
    pub fn wait_above(&self, than: i64, timeout: Duration) -> i64 {
        let value = self.get();
        if value > than {
            return value;
        }
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        let wakes = state.wakes;
        state.sleepers += 1;
        loop {
            // Every round: `serve` takes the mark away when it wakes the sleepers.
            self.awaited.store(true, SeqCst);
            if self.get() > than || state.wakes != wakes {
                break;
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.sleepers -= 1;
        self.get()
    }

    /// Ends every `wait_above` now.
    pub fn wake(&self) {
        self.state.lock().wakes += 1;
        self.changed.notify_all();
    }

    /// Calls `done` once the value reaches `target`, the watermark fails, or somebody calls [`Watermark::expire`] after
    /// `deadline`. Inline when the answer is known. Returns true when the caller became the only one waiting by
    /// callback.
    pub fn when_reached(&self, target: i64, deadline: Instant, done: FlushCallback) -> bool {
        if self.get() >= target {
            done(Ok(()));
            return false;
        }
        let mut state = self.state.lock();
        self.awaited.store(true, SeqCst);
        if self.get() >= target {
            drop(state);
            done(Ok(()));
            return false;
        }
        if let Some(error) = state.failed {
            drop(state);
            done(Err(error));
            return false;
        }
        let first = state.callbacks.is_empty();
        state.callbacks.push(Waiter { target, deadline, done });
        first
    }

    /// Answers [`FlushError::Timeout`] to callbacks whose deadline has passed. Returns how many still wait.
    pub fn expire(&self, now: Instant) -> usize {
        let mut state = self.state.lock();
        if !state.callbacks.iter().any(|waiter| waiter.deadline <= now) {
            return state.callbacks.len();
        }
        let (late, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.callbacks).into_iter().partition(|waiter| waiter.deadline <= now);
        let left = waiting.len();
        state.callbacks = waiting.into();
        drop(state);
        for waiter in late {
            (waiter.done)(Err(FlushError::Timeout));
        }
        left
    }

    /// Answers `error` to everybody, now and later, and stops rising for waiters. Only the first failure counts.
    pub fn fail(&self, error: FlushError) {
        let mut state = self.state.lock();
        if state.failed.is_none() {
            state.failed = Some(error);
        }
        let waiting = std::mem::take(&mut state.callbacks);
        self.changed.notify_all();
        drop(state);
        for waiter in waiting {
            (waiter.done)(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;

    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    #[test]
    fn callbacks_are_served_in_order_of_target() {
        let mark = Watermark::new(0);
        let (sender, receiver) = mpsc::channel();
        for target in [30, 10, 20] {
            let sender = sender.clone();
            mark.when_reached(target, far(), Box::new(move |answer| sender.send((target, answer)).unwrap()));
        }
        mark.raise(25);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [(10, Ok(())), (20, Ok(()))]);
        mark.raise(30);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [(30, Ok(()))]);
        mark.raise(5);
        assert_eq!(mark.get(), 30);
    }

    #[test]
    fn failure_and_deadline_answer_errors() {
        let mark = Watermark::new(0);
        let (sender, receiver) = mpsc::channel();
        let wait = |target, deadline| {
            let sender = sender.clone();
            mark.when_reached(target, deadline, Box::new(move |answer| sender.send((target, answer)).unwrap()));
        };
        wait(10, Instant::now());
        wait(20, far());
        assert_eq!(mark.expire(Instant::now()), 1);
        assert_eq!(receiver.try_recv().unwrap(), (10, Err(FlushError::Timeout)));
        mark.fail(FlushError::FlushFailed);
        assert_eq!(receiver.try_recv().unwrap(), (20, Err(FlushError::FlushFailed)));
        wait(30, far());
        assert_eq!(receiver.try_recv().unwrap(), (30, Err(FlushError::FlushFailed)));
        wait(0, far());
        assert_eq!(receiver.try_recv().unwrap(), (0, Ok(())));
    }

    #[test]
    fn no_wake_up_is_lost() {
        let mark = Arc::new(Watermark::new(0));
        let raiser = {
            let mark = mark.clone();
            std::thread::spawn(move || (1..=20_000).for_each(|to| mark.raise(to)))
        };
        let mut seen = 0;
        while seen < 20_000 {
            let next = mark.wait_above(seen, Duration::from_secs(60));
            assert!(next > seen, "a raise was missed at {seen}");
            seen = next;
        }
        raiser.join().unwrap();
    }
}
