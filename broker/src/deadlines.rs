//! Deadlines of requests that wait, and the clock that follows them.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio::sync::Notify;

/// Deadlines of the rows of a table, kept under the table's lock.
#[derive(Default)]
pub struct Deadlines {
    ordered: BTreeSet<(Instant, u64)>,
    /// When the clock looks next; at nothing when `None`.
    looks_at: Option<Instant>,
}

impl Deadlines {
    /// Adds that of row `id`. True when the clock would be late for it, and is to be told.
    #[must_use]
    pub fn insert(&mut self, deadline: Instant, id: u64) -> bool {
        self.ordered.insert((deadline, id));
        let sooner = self.looks_at.is_none_or(|looks_at| deadline < looks_at);
        if sooner {
            // So that it is told once.
            self.looks_at = Some(deadline);
        }
        sooner
    }

    /// Removes that of row `id`.
    pub fn remove(&mut self, deadline: Instant, id: u64) {
        self.ordered.remove(&(deadline, id));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.ordered.clear();
    }

    /// The row with the first deadline, if that has passed.
    pub fn passed(&self, now: Instant) -> Option<u64> {
        self.ordered.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }

    /// The first deadline, at which the clock is going to look.
    pub fn next_look(&mut self) -> Option<Instant> {
        self.looks_at = self.ordered.first().map(|(deadline, _)| *deadline);
        self.looks_at
    }
}

/// Calls `expire` whenever the deadline has passed that `next_look` tells; never returns. `sooner` tells that there is
/// an earlier one.
pub async fn follow(sooner: &Notify, next_look: impl Fn() -> Option<Instant>, expire: impl Fn(Instant)) {
    loop {
        match next_look() {
            None => sooner.notified().await,
            Some(deadline) if deadline > Instant::now() => {
                tokio::select! {
                    () = tokio::time::sleep_until(deadline.into()) => {}
                    () = sooner.notified() => {}
                }
            }
            Some(_) => expire(Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_clock_is_told_of_deadlines_only_that_it_would_miss() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(deadlines.insert(after(5), 1));
        assert!(!deadlines.insert(after(6), 2), "later than the first");
        assert!(deadlines.insert(after(4), 3));
        assert_eq!(deadlines.next_look(), Some(after(4)));
        deadlines.remove(after(4), 3);
        deadlines.remove(after(5), 1);
        assert!(!deadlines.insert(after(5), 4), "it looks before that, though for a row that is gone");
        assert_eq!((deadlines.passed(after(4)), deadlines.passed(after(5))), (None, Some(4)));
        assert_eq!(deadlines.next_look(), Some(after(5)));
        deadlines.clear();
        assert_eq!(deadlines.next_look(), None);
        assert!(deadlines.insert(after(9), 5), "it sleeps without end");
    }
}
