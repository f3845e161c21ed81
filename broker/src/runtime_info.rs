//! What GET_BROKER_RUNTIME_INFO (28) tells: `mqadmin brokerStatus` and `clusterList`, dashboard and exporter read it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use hypergol_remoting::protocol::body::kv::KVTable;
use time::{OffsetDateTime, Time};

use crate::context::Broker;

/// Java's name of the version that this broker stands in for.
const VERSION_DESC: &str = "V5_5_0";

/// Totals at the last two midnights, from which "today" and "yesterday" follow.
#[derive(Debug, Default)]
pub struct DayTotals {
    put_yesterday: AtomicI64,
    put_today: AtomicI64,
    get_yesterday: AtomicI64,
    get_today: AtomicI64,
}

impl DayTotals {
    /// Begins a new day; to be called at midnight.
    pub fn begin_day(&self, put_total: i64, get_total: i64) {
        self.put_yesterday.store(self.put_today.swap(put_total, Relaxed), Relaxed);
        self.get_yesterday.store(self.get_today.swap(get_total, Relaxed), Relaxed);
    }
}

/// How long until the next midnight of this machine's time zone, when [`DayTotals::begin_day`] is due.
pub fn until_midnight() -> Duration {
    let now = OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc());
    let passed = now.time() - Time::MIDNIGHT;
    (time::Duration::DAY - passed).unsigned_abs()
}

/// Everything that is told, by key. Asks the file system: not for a connection's task.
pub fn collect(broker: &Broker) -> KVTable {
    let mut table = BTreeMap::new();
    let mut put = |key: &str, value: String| drop(table.insert(key.to_owned(), value));
    of_store(broker, &mut put);
    of_disks(broker, &mut put);
    of_broker(broker, &mut put);
    for (key, value) in broker.schedule.runtime_info() {
        put(&key, value);
    }
    KVTable { table }
}

fn of_store(broker: &Broker, put: &mut impl FnMut(&str, String)) {
    let stats = broker.store.stats();
    let (messages, bytes) = (stats.put_messages.load(Relaxed), stats.put_bytes.load(Relaxed));
    let uptime = stats.uptime().as_secs();
    put("bootTimestamp", broker.started_ms.to_string());
    put(
        "runtime",
        format!(
            "[ {} days, {} hours, {} minutes, {} seconds ]",
            uptime / 86_400,
            uptime / 3600 % 24,
            uptime / 60 % 60,
            uptime % 60
        ),
    );
    put("putMessageEntireTimeMax", stats.put_entire_time_max_ms.load(Relaxed).to_string());
    put("getMessageEntireTimeMax", stats.get_entire_time_max_ms.load(Relaxed).to_string());
    put("putMessageTimesTotal", messages.max(1).to_string());
    put("putMessageFailedTimes", stats.put_failed.load(Relaxed).to_string());
    put("putMessageSizeTotal", bytes.to_string());
    put("putMessageAverageSize", format!("{:?}", bytes as f64 / messages.max(1) as f64));
    put("putMessageDistributeTime", stats.put_distribution());
    put("putLatency99", format!("{:.2}", stats.put_latency_ms(0.99)));
    put("putLatency999", format!("{:.2}", stats.put_latency_ms(0.999)));
    let rates = stats.throughput();
    let text =
        |rates: [Option<f64>; 3]| rates.map(|rate| rate.map_or_else(String::new, |rate| format!("{rate:?}"))).join(" ");
    let total = [0, 1, 2].map(|i| Some(rates.get_found[i]? + rates.get_missed[i]?));
    put("putTps", text(rates.put));
    put("getFoundTps", text(rates.get_found));
    put("getMissTps", text(rates.get_missed));
    put("getTotalTps", text(total));
    put("getTransferredTps", text(rates.transferred));
    let behind = broker.store.max_physical_offset() - broker.store.dispatched_offset();
    put("dispatchBehindBytes", behind.max(0).to_string());
    put("dispatchMaxBuffer", "0".to_owned());
    put("pageCacheLockTimeMills", broker.store.page_cache_lock_time_ms().to_string());
    put("earliestMessageTimeStamp", broker.store.earliest_store_time().to_string());
    put("commitLogMinOffset", broker.store.min_physical_offset().to_string());
    put("commitLogMaxOffset", broker.store.max_physical_offset().to_string());
    let unflushed = broker.store.max_physical_offset() - broker.store.flushed_offset();
    put("remainHowManyDataToFlush", human_bytes(unflushed.max(0) as u64));
    put("remainTransientStoreBufferNumbs", i32::MAX.to_string());
}

fn of_disks(broker: &Broker, put: &mut impl FnMut(&str, String)) {
    let disk = broker.store.disk_usage();
    let settings = broker.config();
    put("commitLogDiskRatio", format!("{:?}", disk.commit_log_ratio));
    if let Ok(folder) = settings.store_config().commit_log_dir() {
        put(&format!("commitLogDiskRatio_{}", folder.display()), format!("{:?}", disk.commit_log_ratio));
    }
    put("consumeQueueDiskRatio", format!("{:?}", disk.consume_queue_ratio));
    let capacity = format!("Total : {}, Free : {}.", human_bytes(disk.total_bytes), human_bytes(disk.free_bytes));
    put("commitLogDirCapacity", capacity);
}

fn of_broker(broker: &Broker, put: &mut impl FnMut(&str, String)) {
    let keys = &broker.config().broker;
    let (puts, gets) = (broker.stats.put_total_without_system_topics(), broker.stats.get_total_without_system_topics());
    let totals = &broker.admin.day_totals;
    put("brokerActive", "true".to_owned());
    put("brokerVersionDesc", VERSION_DESC.to_owned());
    put("msgPutTotalYesterdayMorning", totals.put_yesterday.load(Relaxed).to_string());
    put("msgPutTotalTodayMorning", totals.put_today.load(Relaxed).to_string());
    put("msgPutTotalTodayNow", puts.to_string());
    put("msgGetTotalYesterdayMorning", totals.get_yesterday.load(Relaxed).to_string());
    put("msgGetTotalTodayMorning", totals.get_today.load(Relaxed).to_string());
    put("msgGetTotalTodayNow", gets.to_string());
    put("startAcceptSendRequestTimeStamp", keys.start_accept_send_request_time_stamp.to_string());
    match &broker.timers {
        Some(timers) => timers.runtime_info().into_iter().for_each(|(key, value)| put(key, value)),
        None => {
            for key in ["timerReadBehind", "timerOffsetBehind", "timerCongestNum"] {
                put(key, "0".to_owned());
            }
            for key in ["timerEnqueueTps", "timerDequeueTps"] {
                put(key, "0.0".to_owned());
            }
        }
    }
    // Requests are handled as they are read; there is no queue in which they could wait.
    for (pool, capacity) in [
        ("send", keys.send_thread_pool_queue_capacity),
        ("pull", keys.pull_thread_pool_queue_capacity),
        ("litePull", keys.lite_pull_thread_pool_queue_capacity),
        ("query", keys.query_thread_pool_queue_capacity),
        ("ack", keys.ack_thread_pool_queue_capacity),
    ] {
        put(&format!("{pool}ThreadPoolQueueSize"), "0".to_owned());
        put(&format!("{pool}ThreadPoolQueueCapacity"), capacity.to_string());
        put(&format!("{pool}ThreadPoolQueueHeadWaitTimeMills"), "0".to_owned());
    }
    put("EndTransactionQueueSize", "0".to_owned());
    put("EndTransactionThreadPoolQueueCapacity", keys.end_transaction_pool_queue_capacity.to_string());
}

/// `1.5 GiB`, as Java's `MixAll.humanReadableByteCount`.
fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_java_prints_them() {
        let texts = [0, 1023, 1024, 1536, 1 << 30, u64::MAX].map(human_bytes);
        assert_eq!(texts, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 GiB", "16.0 EiB"]);
    }

    #[test]
    fn a_new_day_moves_the_totals() {
        let totals = DayTotals::default();
        totals.begin_day(10, 5);
        totals.begin_day(30, 6);
        assert_eq!((totals.put_yesterday.load(Relaxed), totals.put_today.load(Relaxed)), (10, 30));
        assert_eq!(totals.get_yesterday.load(Relaxed), 5);
    }
}
