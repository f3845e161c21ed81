//! One counted thing and its samples.
//!
//! A row of samples holds only those at which the counts had changed, so that an item that nothing is added to any more
//! shrinks to a point a row: a broker has such items for each of its queues.

use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

/// Which samples are taken, and how many of them make the period that figures are about.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Milliseconds between two samples.
    step_ms: i64,
    /// Steps from the oldest sample of the period to the newest.
    steps: i64,
}

/// Java's StatsItem keeps 7, 7 and 25 samples.
const MINUTE: Pace = Pace { step_ms: 10 * 1000, steps: 6 };
const HOUR: Pace = Pace { step_ms: 10 * 60 * 1000, steps: 6 };
const DAY: Pace = Pace { step_ms: 60 * 60 * 1000, steps: 24 };

/// Sum and rates over a period.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// What was added in the period.
    pub sum: i64,
    /// `sum` per second.
    pub tps: f64,
    /// `sum` per addition.
    pub avgpt: f64,
}

/// The three periods of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshots {
    /// About the last minute.
    pub minute: Snapshot,
    /// About the last hour.
    pub hour: Snapshot,
    /// About the last day.
    pub day: Snapshot,
}

/// When the newest samples of the three kinds were taken, milliseconds since 1970.
#[derive(Debug, Default)]
pub struct Clock {
    taken: AtomicI64,
    minute_ms: AtomicI64,
    hour_ms: AtomicI64,
    day_ms: AtomicI64,
}

/// Samples that are due now.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    now_ms: i64,
    hour: bool,
    day: bool,
}

impl Clock {
    /// Which samples are to be taken of every item, at one of the calls that come every 10 s.
    pub fn tick(&self, now_ms: i64) -> Due {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let is_due = |pace: Pace| taken % (pace.step_ms / MINUTE.step_ms) == 0;
        let due = Due { now_ms, hour: is_due(HOUR), day: is_due(DAY) };
        self.minute_ms.store(now_ms, Ordering::Relaxed);
        if due.hour {
            self.hour_ms.store(now_ms, Ordering::Relaxed);
        }
        if due.day {
            self.day_ms.store(now_ms, Ordering::Relaxed);
        }
        due
    }
}

/// `N` sums that are added to together, and the number of additions.
#[derive(Debug)]
pub struct Item<const N: usize> {
    sums: [AtomicI64; N],
    times: AtomicI64,
    samples: Mutex<Samples<N>>,
}

#[derive(Debug, Default)]
struct Samples<const N: usize> {
    minute: Row<N>,
    hour: Row<N>,
    day: Row<N>,
}

#[derive(Clone, Copy, Debug)]
struct Point<const N: usize> {
    ms: i64,
    times: i64,
    sums: [i64; N],
}

/// In order of time: the counts at the start of the period, and each time they had changed.
#[derive(Debug, Default)]
struct Row<const N: usize>(Vec<Point<N>>);

impl<const N: usize> Row<N> {
    fn add(&mut self, now: Point<N>, pace: Pace) {
        let Row(points) = self;
        match points.last() {
            None if now.times == 0 => return,
            None => {
                points.reserve_exact(2);
                points.push(Point { ms: now.ms - pace.step_ms, times: 0, sums: [0; N] });
                points.push(now);
            }
            Some(last) if last.times == now.times && last.sums == now.sums => {}
            Some(_) => points.push(now),
        }
        // Samples are not taken to the millisecond.
        let begin = now.ms - pace.steps * pace.step_ms + pace.step_ms / 2;
        let before = points.iter().skip(1).take_while(|point| point.ms <= begin).count();
        if before > 0 {
            points.drain(..before);
            points.shrink_to(points.len() + 1);
        }
    }

    fn snapshot(&self, which: usize, last_ms: i64, pace: Pace) -> Snapshot {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return Snapshot::default() };
        let sum_of = |point: &Point<N>| point.sums.get(which).copied().unwrap_or_default();
        let (sum, times) = (sum_of(last) - sum_of(first), last.times - first.times);
        let period_ms = last_ms - first.ms.max(last_ms - pace.steps * pace.step_ms);
        Snapshot {
            sum,
            tps: if period_ms > 0 { sum as f64 * 1000.0 / period_ms as f64 } else { 0.0 },
            avgpt: if times > 0 { sum as f64 / times as f64 } else { 0.0 },
        }
    }
}

impl<const N: usize> Default for Item<N> {
    fn default() -> Self {
        Self {
            sums: std::array::from_fn(|_| AtomicI64::new(0)),
            times: AtomicI64::new(0),
            samples: Mutex::new(Samples { minute: Row(Vec::new()), hour: Row(Vec::new()), day: Row(Vec::new()) }),
        }
    }
}

impl<const N: usize> Item<N> {
    /// Adds to each sum, counted as one addition.
    pub fn add(&self, sums: [i64; N]) {
        for (sum, added) in self.sums.iter().zip(sums) {
            sum.fetch_add(added, Ordering::Relaxed);
        }
        self.times.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything added so far to one of the sums.
    pub fn sum(&self, which: usize) -> i64 {
        self.sums.get(which).map_or(0, |sum| sum.load(Ordering::Relaxed))
    }

    /// Additions so far.
    pub fn times(&self) -> i64 {
        self.times.load(Ordering::Relaxed)
    }

    /// Figures of one of the sums, as of the last samples.
    pub fn snapshots(&self, which: usize, clock: &Clock) -> Snapshots {
        let samples = self.samples.lock();
        let at = |ms: &AtomicI64| ms.load(Ordering::Relaxed);
        Snapshots {
            minute: samples.minute.snapshot(which, at(&clock.minute_ms), MINUTE),
            hour: samples.hour.snapshot(which, at(&clock.hour_ms), HOUR),
            day: samples.day.snapshot(which, at(&clock.day_ms), DAY),
        }
    }

    /// Takes the samples that are due.
    pub fn sample(&self, due: Due) {
        let now = Point { ms: due.now_ms, times: self.times(), sums: std::array::from_fn(|which| self.sum(which)) };
        let mut samples = self.samples.lock();
        samples.minute.add(now, MINUTE);
        if due.hour {
            samples.hour.add(now, HOUR);
        }
        if due.day {
            samples.day.add(now, DAY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_with_the_last_sample_and_begins_six_before() {
        let (clock, item) = (Clock::default(), Item::<2>::default());
        for i in 0..20 {
            item.add([10, 1]);
            item.sample(clock.tick(i * 10_000));
        }
        let minute = |which| item.snapshots(which, &clock).minute;
        assert_eq!(minute(0), Snapshot { sum: 60, tps: 1.0, avgpt: 10.0 });
        assert_eq!(minute(1), Snapshot { sum: 6, tps: 0.1, avgpt: 1.0 });
        // Nothing more is added: the period runs out.
        item.sample(clock.tick(200_000));
        assert_eq!(minute(0), Snapshot { sum: 50, tps: 50.0 / 60.0, avgpt: 10.0 });
        for i in 21..30 {
            item.sample(clock.tick(i * 10_000));
        }
        assert_eq!(minute(0), Snapshot::default());
        assert_eq!(item.samples.lock().minute.0.len(), 1, "an idle item is small");
        // And begins again.
        item.add([6, 0]);
        item.sample(clock.tick(300_000));
        assert_eq!(minute(0), Snapshot { sum: 6, tps: 0.1, avgpt: 6.0 });
    }

    #[test]
    fn samples_that_are_late_keep_the_period() {
        let (clock, item) = (Clock::default(), Item::<1>::default());
        for i in 0..10 {
            item.add([10]);
            item.sample(clock.tick(i * 10_200));
        }
        assert_eq!(item.snapshots(0, &clock).minute.sum, 60);
    }
}
