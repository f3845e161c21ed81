//! How many messages wait for each topic: the file `config/timermetrics` and GET_TIMER_METRICS. Java: `TimerMetrics`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hypergol_remoting::protocol::body::stats::{Metric, TimerMetricsSerializeWrapper};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_store::record::java_hash;
use hypergol_store::timer::TimerUnit;
use hypergol_store::{StoreError, TimerStore};
use parking_lot::Mutex;

use crate::context::now_ms;

/// Name of the file.
pub const METRICS_FILE: &str = "timermetrics";
/// Topics that are counted; a broker has no more than so many.
const TOPICS_MAX: usize = 1 << 20;

/// See the module text.
#[derive(Default)]
pub struct TimerMetrics {
    table: Arc<Mutex<TimerMetricsSerializeWrapper>>,
    changed: AtomicBool,
}

impl TimerMetrics {
    /// Goes on from what the file holds.
    pub fn new(read: Option<TimerMetricsSerializeWrapper>) -> Self {
        Self { table: Arc::new(Mutex::new(read.unwrap_or_default())), changed: AtomicBool::new(false) }
    }

    /// Counts `number` more messages that wait for `topic`.
    pub fn add(&self, topic: &str, number: i64) {
        let now = now_ms();
        let mut table = self.table.lock();
        let timing = &mut table.timing_count;
        if !timing.contains_key(topic) && timing.len() < TOPICS_MAX {
            timing.insert(topic.to_owned(), Metric { count: 0, time_stamp: now });
        }
        if let Some(metric) = timing.get_mut(topic) {
            metric.count = metric.count.saturating_add(number);
            metric.time_stamp = now;
        }
        let state_version = table.data_version.state_version;
        table.data_version.next_version(state_version);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Messages that wait for a topic.
    pub fn count(&self, topic: &str) -> i64 {
        self.table.lock().timing_count.get(topic).map_or(0, |metric| metric.count)
    }

    /// Forgets a topic that was deleted.
    pub fn remove(&self, topic: &str) {
        if self.table.lock().timing_count.remove(topic).is_some() {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// The table as JSON.
    pub fn encode(&self) -> Vec<u8> {
        self.table.lock().encode()
    }

    /// What writes the file: gives its content whenever it is called.
    pub fn encoder(&self) -> impl Fn() -> Vec<u8> + Send + Sync + use<> {
        let table = self.table.clone();
        move || table.lock().encode()
    }

    /// Whether anything changed since the last call.
    pub fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// Counts topics with fewer than `below` messages anew from the log: messages that are due at `from_ms` or later.
    /// Topics whose hash is another's, too, stay as they are.
    ///
    /// # Errors
    /// [`StoreError::Io`]; nothing is changed.
    pub fn revise(&self, files: &TimerStore, from_ms: i64, below: i64) -> Result<(), StoreError> {
        let mut counts: HashMap<i32, Option<(String, i64)>> = HashMap::new();
        for (topic, metric) in &self.table.lock().timing_count {
            let small = (metric.count < below).then(|| (topic.clone(), 0));
            counts.entry(java_hash(topic)).and_modify(|known| *known = None).or_insert(small);
        }
        files.each_unit(|unit: &TimerUnit| {
            if unit.slot_time_ms >= from_ms
                && let Some(Some((_, count))) = counts.get_mut(&unit.topic_hash)
            {
                *count = i64::saturating_add(*count, unit.weight().into());
            }
        })?;
        let mut table = self.table.lock();
        for (topic, count) in counts.into_values().flatten() {
            if let Some(metric) = table.timing_count.get_mut(&topic) {
                metric.count = count;
            }
        }
        self.changed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_javas_form() {
        let metrics = TimerMetrics::default();
        metrics.add("T", 2);
        metrics.add("T", -1);
        metrics.add("U", 1);
        metrics.remove("U");
        assert!(metrics.take_changed() && !metrics.take_changed());
        assert_eq!((metrics.count("T"), metrics.count("U")), (1, 0));
        let read = TimerMetricsSerializeWrapper::decode(&metrics.encode()).unwrap();
        assert_eq!((read.timing_count.len(), read.data_version.counter), (1, 3));
        assert_eq!(TimerMetrics::new(Some(read)).count("T"), 1);
    }
}
