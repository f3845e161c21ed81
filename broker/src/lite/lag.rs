//! How far groups are behind with lite topics. Java: `LiteConsumerLagCalculator`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hypergol_remoting::protocol::body::lite::LiteLagInfo;
use parking_lot::Mutex;

use super::names;
use crate::context::Broker;

/// Light queue to the store time of its oldest message that was not popped, ms since 1970.
type Oldest = BTreeMap<Arc<str>, i64>;

/// For each group the lite topics whose oldest message that is not popped is oldest (`liteLagLatencyTopK`), noted by pops
/// while `liteLagLatencyCollectEnable` is on.
#[derive(Default)]
pub struct OldestLags(Mutex<HashMap<Arc<str>, Oldest>>);

impl OldestLags {
    /// Notes the store time of the oldest message that `group` has not popped; `None` when there is none.
    pub fn note(&self, group: &str, queue: &Arc<str>, oldest_ms: Option<i64>, keep: usize) {
        let mut groups = self.0.lock();
        let Some(oldest_ms) = oldest_ms else {
            if let Some(queues) = groups.get_mut(group) {
                queues.remove(queue);
                if queues.is_empty() {
                    groups.remove(group);
                }
            }
            return;
        };
        let queues = groups.entry(group.into()).or_default();
        queues.insert(queue.clone(), oldest_ms);
        while queues.len() > keep.max(1) {
            let Some(newest) = queues.iter().max_by_key(|(_, time)| **time).map(|(queue, _)| queue.clone()) else {
                break;
            };
            queues.remove(&newest);
        }
    }

    /// Forgets a group.
    pub fn forget_group(&self, group: &str) {
        self.0.lock().remove(group);
    }

    /// The `count` oldest of a group, oldest first.
    pub fn oldest(&self, broker: &Broker, group: &str, count: usize) -> Vec<LiteLagInfo> {
        let known = self.0.lock().get(group).cloned().unwrap_or_default();
        let by_time: BTreeSet<(i64, Arc<str>)> = known.into_iter().map(|(queue, time)| (time, queue)).collect();
        let oldest = by_time.into_iter().take(count);
        oldest.map(|(time, queue)| info(&queue, count_behind(broker, group, &queue), time)).collect()
    }
}

/// How many messages a group is behind with all lite topics, and the `count` lite topics with most of them, most first.
/// Reads the log: not for a connection's task.
pub fn most(broker: &Broker, group: &str, count: usize) -> (Vec<LiteLagInfo>, i64) {
    let mut total = 0i64;
    let mut behind = BTreeSet::new();
    for queue in broker.offsets.topics_of(group).into_iter().filter(|queue| names::is_lite(queue)) {
        let lag = count_behind(broker, group, &queue);
        if lag > 0 {
            total = total.saturating_add(lag);
            behind.insert((lag, queue));
            if behind.len() > count {
                behind.pop_first();
            }
        }
    }
    let most = behind.into_iter().rev().map(|(lag, queue)| {
        let offset = broker.offsets.committed(&queue, group, 0, true).unwrap_or_default();
        info(&queue, lag, broker.store.store_time_of(&queue, 0, offset))
    });
    (most.collect(), total)
}

fn count_behind(broker: &Broker, group: &str, queue: &str) -> i64 {
    let committed = broker.offsets.committed(queue, group, 0, true);
    committed.map_or(0, |offset| broker.store.max_offset(queue, 0).saturating_sub(offset).max(0))
}

fn info(queue: &str, lag: i64, oldest_ms: i64) -> LiteLagInfo {
    LiteLagInfo {
        earliest_unconsumed_timestamp: oldest_ms,
        lag_count: lag,
        lite_topic: names::split(queue).map_or_else(String::new, |(_, lite)| lite.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_kept() {
        let lags = OldestLags::default();
        for (queue, time) in [("%LMQ%$p$a", 30), ("%LMQ%$p$b", 10), ("%LMQ%$p$c", 20)] {
            lags.note("g", &queue.into(), Some(time), 2);
        }
        let kept: Vec<i64> = lags.0.lock()["g"].values().copied().collect();
        assert_eq!(kept, [10, 20]);
        lags.note("g", &"%LMQ%$p$b".into(), None, 2);
        lags.note("g", &"%LMQ%$p$c".into(), None, 2);
        assert!(lags.0.lock().is_empty());
    }
}
