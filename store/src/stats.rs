//! Counters of the store for GET_BROKER_RUNTIME_INFO (Java's `StoreStatsService`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Samples kept: one a second for ten minutes, and one more as the start of the longest span.
const SAMPLES: usize = 601;
/// Period after which the distributions shown are replaced.
const DISTRIBUTION_PERIOD: Duration = Duration::from_secs(60);

/// Upper bounds (exclusive, except the first) in milliseconds of the put-time classes, with their names.
const PUT_TIME_CLASSES: [(u64, &str); 13] = [
    (1, "[<=0ms]"),
    (10, "[0~10ms]"),
    (50, "[10~50ms]"),
    (100, "[50~100ms]"),
    (200, "[100~200ms]"),
    (500, "[200~500ms]"),
    (1000, "[500ms~1s]"),
    (2000, "[1~2s]"),
    (3000, "[2~3s]"),
    (4000, "[3~4s]"),
    (5000, "[4~5s]"),
    (10_000, "[5~10s]"),
    (u64::MAX, "[10s~]"),
];

/// Counters since the store was opened. All are monotonic except the maxima.
#[derive(Debug)]
pub struct StoreStats {
    /// Messages appended.
    pub put_messages: AtomicU64,
    /// Bytes appended (whole records).
    pub put_bytes: AtomicU64,
    /// Put calls refused or failed.
    pub put_failed: AtomicU64,
    /// Longest put call, milliseconds.
    pub put_entire_time_max_ms: AtomicI64,
    /// Messages handed out by reads.
    pub get_transferred_messages: AtomicU64,
    /// Reads that found at least one message.
    pub get_found: AtomicU64,
    /// Reads that found nothing.
    pub get_missed: AtomicU64,
    /// Longest read, milliseconds.
    pub get_entire_time_max_ms: AtomicI64,
    put_times: [AtomicU64; PUT_TIME_CLASSES.len()],
    history: Mutex<History>,
}

#[derive(Debug)]
struct History {
    started: Instant,
    samples: VecDeque<Sample>,
    period_began: Instant,
    /// Totals of the classes when the present period began.
    period_base: [u64; PUT_TIME_CLASSES.len()],
    /// Counts of the last whole period.
    last_period: [u64; PUT_TIME_CLASSES.len()],
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    put: u64,
    found: u64,
    missed: u64,
    transferred: u64,
}

/// Messages or calls per second over the last 10 s, 60 s and 600 s; `None` while the store is younger than the span.
pub type Rates = [Option<f64>; 3];

/// Rates by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throughput {
    /// Messages appended.
    pub put: Rates,
    /// Reads that found something.
    pub get_found: Rates,
    /// Reads that found nothing.
    pub get_missed: Rates,
    /// Messages handed out.
    pub transferred: Rates,
}

impl Default for StoreStats {
    fn default() -> Self {
        let now = Instant::now();
        StoreStats {
            put_messages: AtomicU64::new(0),
            put_bytes: AtomicU64::new(0),
            put_failed: AtomicU64::new(0),
            put_entire_time_max_ms: AtomicI64::new(0),
            get_transferred_messages: AtomicU64::new(0),
            get_found: AtomicU64::new(0),
            get_missed: AtomicU64::new(0),
            get_entire_time_max_ms: AtomicI64::new(0),
            put_times: Default::default(),
            history: Mutex::new(History {
                started: now,
                samples: VecDeque::with_capacity(SAMPLES),
                period_began: now,
                period_base: [0; 13],
                last_period: [0; 13],
            }),
        }
    }
}

impl StoreStats {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    pub(crate) fn raise(maximum: &AtomicI64, value: i64) {
        if value > maximum.load(Relaxed) {
            maximum.fetch_max(value, Relaxed);
        }
    }

    pub(crate) fn record_put_time(&self, millis: u64) {
        let class = PUT_TIME_CLASSES.iter().position(|(bound, _)| millis < *bound).unwrap_or(12);
        if let Some(counter) = self.put_times.get(class) {
            counter.fetch_add(1, Relaxed);
        }
        Self::raise(&self.put_entire_time_max_ms, i64::try_from(millis).unwrap_or(i64::MAX));
    }

    /// Takes the sample of this second.
    pub(crate) fn sample(&self) {
        let now = Instant::now();
        let mut history = self.history.lock();
        if history.samples.len() == SAMPLES {
            history.samples.pop_front();
        }
        history.samples.push_back(Sample {
            at: now,
            put: self.put_messages.load(Relaxed),
            found: self.get_found.load(Relaxed),
            missed: self.get_missed.load(Relaxed),
            transferred: self.get_transferred_messages.load(Relaxed),
        });
        if now - history.period_began >= DISTRIBUTION_PERIOD {
            let totals = std::array::from_fn(|class| self.put_times.get(class).map_or(0, |count| count.load(Relaxed)));
            let base = std::mem::replace(&mut history.period_base, totals);
            history.last_period =
                std::array::from_fn(|class| totals.get(class).unwrap_or(&0) - base.get(class).unwrap_or(&0));
            history.period_began = now;
        }
    }

    /// Rates of the last 10, 60 and 600 seconds.
    pub fn throughput(&self) -> Throughput {
        let history = self.history.lock();
        let rate = |value: fn(&Sample) -> u64| {
            [10, 60, 600].map(|seconds: usize| {
                let last = history.samples.back()?;
                let before = history.samples.get(history.samples.len().checked_sub(seconds + 1)?)?;
                let elapsed = (last.at - before.at).as_secs_f64();
                (elapsed > 0.0).then(|| (value(last) - value(before)) as f64 / elapsed)
            })
        };
        Throughput {
            put: rate(|sample| sample.put),
            get_found: rate(|sample| sample.found),
            get_missed: rate(|sample| sample.missed),
            transferred: rate(|sample| sample.transferred),
        }
    }

    /// Put calls by duration during the last whole minute, as Java prints them: `[<=0ms]:12 [0~10ms]:0 …`.
    pub fn put_distribution(&self) -> String {
        let history = self.history.lock();
        PUT_TIME_CLASSES.iter().zip(history.last_period).map(|((_, name), count)| format!("{name}:{count} ")).collect()
    }

    /// Duration in milliseconds that a share `quantile` of the put calls of the last whole minute did not exceed,
    /// interpolated within its class.
    pub fn put_latency_ms(&self, quantile: f64) -> f64 {
        let history = self.history.lock();
        let total: u64 = history.last_period.iter().sum();
        let wanted = (total as f64 * quantile).floor();
        let (mut passed, mut lower) = (0.0, 0.0);
        for ((bound, _), count) in PUT_TIME_CLASSES.iter().zip(history.last_period) {
            let (count, upper) = (count as f64, (*bound).min(10_000) as f64);
            if wanted <= passed + count {
                return if count == 0.0 { lower } else { lower + (upper - lower) * (wanted - passed) / count };
            }
            passed += count;
            lower = upper;
        }
        lower
    }

    /// How long the store has been open.
    pub fn uptime(&self) -> Duration {
        self.history.lock().started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_need_their_span() {
        let stats = StoreStats::default();
        assert_eq!(stats.throughput(), Throughput::default());
        for _ in 0..12 {
            StoreStats::add(&stats.put_messages, 5);
            stats.sample();
            std::thread::sleep(Duration::from_millis(1));
        }
        let rates = stats.throughput();
        assert!(rates.put[0].is_some_and(|rate| rate > 0.0));
        assert_eq!(rates.get_found[0], Some(0.0));
        assert_eq!(rates.put[1], None);
    }

    #[test]
    fn put_times_fall_into_classes() {
        let stats = StoreStats::default();
        for millis in [0, 0, 0, 5, 10_000] {
            stats.record_put_time(millis);
        }
        stats.history.lock().period_began -= DISTRIBUTION_PERIOD;
        stats.sample();
        assert!(stats.put_distribution().starts_with("[<=0ms]:3 [0~10ms]:1 [10~50ms]:0 "));
        assert!(stats.put_distribution().ends_with("[10s~]:1 "));
        assert!(stats.put_latency_ms(0.5) <= 1.0);
        assert_eq!(stats.put_entire_time_max_ms.load(Relaxed), 10_000);
    }
}
