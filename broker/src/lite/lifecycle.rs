//! The end of lite topics: those without a new message for `lite.topic.expiration` minutes go, with the positions of the
//! groups in them. Java: `LiteLifecycleManager`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::info;

use super::{attributes, names};
use crate::context::{Broker, now_ms};
use crate::pop::QueueKey;

/// A lite topic that was found without a message so often goes. Java: MAX_INVALID_SCAN_COUNT.
const EMPTY_MAX: u32 = 5;
/// A minute.
const MINUTE_MS: i64 = 60_000;
/// Longest pause before the first look. Java: 20 s.
const FIRST_PAUSE_MAX: Duration = Duration::from_secs(20);

/// What is remembered from one look to the next.
#[derive(Default)]
pub struct Lifecycle {
    /// Lite topics without a message, and how often they were found so.
    empty: Mutex<HashMap<String, u32>>,
}

/// Deletes lite topics that have expired, again and again, until the future is dropped. None goes within `minLiteTTl` of
/// the start.
pub async fn watch(broker: std::sync::Arc<Broker>) {
    loop {
        let keys = &broker.config().broker;
        let protected = broker.started_ms.saturating_add(keys.min_lite_t_tl).saturating_sub(now_ms());
        let pause = Duration::from_millis(u64::try_from(protected).unwrap_or(0)).min(FIRST_PAUSE_MAX);
        let interval = Duration::from_millis(u64::try_from(keys.lite_ttl_check_interval).unwrap_or_default());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
            continue;
        }
        let cleaning = broker.clone();
        // Times are read from the log, and files are deleted.
        let cleaned = tokio::task::spawn_blocking(move || delete_expired(&cleaning, now_ms())).await;
        if let Err(error) = cleaned {
            tracing::error!(%error, "expired lite topics may not have been deleted");
        }
        tokio::time::sleep(interval.max(Duration::from_millis(100))).await;
    }
}

/// Deletes the lite topics that have expired at `now_ms`.
pub fn delete_expired(broker: &Broker, now_ms: i64) {
    let parents = attributes::parents(&broker.topics);
    let groups = attributes::groups_of_parents(&broker.groups);
    for (queue, _) in broker.store.topics() {
        let Some((parent, _)) = names::split(&queue) else { continue };
        let ttl = parents.get(parent).copied();
        if is_expired(broker, &queue, ttl, now_ms) {
            delete(broker, &queue, groups.get(parent).map_or(&[], Vec::as_slice));
        }
    }
    let mut empty = broker.lite.lifecycle.empty.lock();
    empty.retain(|queue, _| broker.store.has_queue(queue, 0));
}

fn is_expired(broker: &Broker, queue: &str, ttl_minutes: Option<i32>, now_ms: i64) -> bool {
    let max = broker.store.max_offset(queue, 0);
    let mut empty = broker.lite.lifecycle.empty.lock();
    if max <= 0 {
        // Its first message may be on its way.
        let count = empty.entry(queue.to_owned()).or_default();
        *count += 1;
        return *count > EMPTY_MAX;
    }
    empty.remove(queue);
    drop(empty);
    let idle_ms = now_ms.saturating_sub(broker.store.store_time_of(queue, 0, max - 1));
    is_idle_too_long(idle_ms, broker.config().broker.min_lite_t_tl, ttl_minutes)
}

/// A lite topic whose parent is not known, or says never, stays.
fn is_idle_too_long(idle_ms: i64, min_ttl_ms: i64, ttl_minutes: Option<i32>) -> bool {
    let Some(minutes) = ttl_minutes.filter(|minutes| *minutes > 0) else { return false };
    idle_ms >= min_ttl_ms && idle_ms > i64::from(minutes) * MINUTE_MS
}

/// Deletes all lite topics of a parent.
pub fn delete_all_of(broker: &Broker, parent: &str) {
    let groups: BTreeMap<String, Vec<String>> = attributes::groups_of_parents(&broker.groups);
    let groups = groups.get(parent).map_or(&[][..], Vec::as_slice);
    for (queue, _) in broker.store.topics().into_iter().filter(|(queue, _)| names::belongs_to(queue, parent)) {
        delete(broker, &queue, groups);
    }
}

fn delete(broker: &Broker, queue: &str, groups: &[String]) {
    for group in groups {
        broker.offsets.remove(queue, group);
        broker.lite.orders.clear(&QueueKey::new(queue, group, 0));
    }
    broker.store.delete_topic(queue);
    broker.lite.subscriptions.forget_queue(queue);
    info!(queue, "lite topic deleted");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_idle_goes_after_both_times() {
        assert!(is_idle_too_long(2 * MINUTE_MS + 1, 0, Some(2)) && !is_idle_too_long(2 * MINUTE_MS, 0, Some(2)));
        assert!(!is_idle_too_long(3 * MINUTE_MS, 15 * MINUTE_MS, Some(2)), "minLiteTTl");
        assert!(!is_idle_too_long(i64::MAX, 0, None) && !is_idle_too_long(i64::MAX, 0, Some(-1)));
        // Java counts in 32 bits, so that 30 days are over at once.
        assert!(!is_idle_too_long(MINUTE_MS, 0, Some(30 * 24 * 60)));
    }
}
