//! Pops that keep order: the last pop of each queue, kept in `config/consumerOrderInfo.json`, and the times at which
//! queues become free. Those of lite topics are in memory only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use hypergol_remoting::body;
use hypergol_remoting::pop_handle::{PopOffsets, PopTopic};
use hypergol_remoting::protocol::fastjson::Body;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::QueueKey;
use super::order_info::{Acked, OrderInfo};
use crate::context::now_ms;
use crate::error::BrokerError;
use crate::persist::{self, ConfigFile, ConfigWriter};

/// Name of the file.
const FILE: &str = "consumerOrderInfo.json";
/// A queue that was not popped for this long is forgotten. Java: CLEAN_SPAN_FROM_LAST.
const FORGET_AFTER_MS: i64 = 24 * 3600 * 1000;

body! {
    /// The file.
    pub struct OrderFile {
        /// Entries of the table.
        "orderInfoCount" order_info_count: i32,
        /// Always `QUEUE`.
        "orderedConsumptionLevel" ordered_consumption_level: Option<String>,
        /// `topic@group` to queue to its last pop.
        "table" table: BTreeMap<String, BTreeMap<i32, OrderInfo>>,
    }
}

/// The last pop of every queue that is popped in order.
pub struct Orders {
    table: Arc<DashMap<QueueKey, OrderInfo>>,
    changed: AtomicBool,
    /// `None` for pops of lite topics, as in Java.
    file: Option<ConfigFile>,
    wakes: Mutex<Wakes>,
    sooner: Notify,
}

/// When queues become free, ms since 1970.
#[derive(Default)]
struct Wakes {
    by_time: BTreeSet<(i64, QueueKey)>,
    of_queue: HashMap<QueueKey, i64>,
}

impl Orders {
    /// Loads the file of `folder`.
    ///
    /// # Errors
    /// [`BrokerError::Damaged`].
    pub fn load(folder: &Path, writer: &ConfigWriter) -> Result<Self, BrokerError> {
        let table = Arc::new(DashMap::new());
        let loaded = persist::load::<OrderFile>(folder, FILE)?.map(|file| file.table).unwrap_or_default();
        for (key, queues) in loaded {
            let Some((topic, group)) = key.split_once('@') else { continue };
            for (queue_id, info) in queues {
                table.insert(QueueKey::new(topic, group, queue_id), info);
            }
        }
        let file = writer.file(FILE, {
            let table = table.clone();
            move || contents(&table).encode_pretty()
        });
        let orders = Self::new(table, Some(file));
        let now = now_ms();
        for entry in orders.table.iter() {
            orders.wake_at(entry.key(), entry.value().free_at(now).filter(|time| *time > now));
        }
        Ok(orders)
    }

    /// For lite topics: nothing is kept in a file, and a queue counts as free once all its messages are visible.
    pub fn in_memory() -> Self {
        Self::new(Arc::default(), None)
    }

    fn new(table: Arc<DashMap<QueueKey, OrderInfo>>, file: Option<ConfigFile>) -> Self {
        Self { table, changed: AtomicBool::new(false), file, wakes: Mutex::default(), sooner: Notify::new() }
    }

    fn free_at(&self, info: &OrderInfo) -> Option<i64> {
        if self.file.is_some() { info.free_at(now_ms()) } else { info.all_free_at(now_ms()) }
    }

    /// Notes a pop of `offsets`, and appends to the answer how often they were popped before.
    pub fn popped(&self, key: &QueueKey, mut info: OrderInfo, answer: &mut PopOffsets) {
        let mut entry = self.table.entry(key.clone()).or_default();
        if entry.offset_list.is_some() {
            info.follow(&entry);
        }
        let kind = PopTopic::of(&key.topic);
        let (counts, least) = info.counts();
        for (offset, count) in counts {
            answer.message_order_count(kind, key.queue_id, *offset, *count);
        }
        // For clients that know no finer figure.
        answer.queue_order_count(kind, key.queue_id, least);
        let free_at = self.free_at(&info);
        *entry = info;
        drop(entry);
        self.note_change();
        self.wake_at(key, free_at);
    }

    /// Whether a pop of a queue must wait.
    pub fn blocks(&self, key: &QueueKey, attempt_id: Option<&str>, invisible_time: i64) -> bool {
        self.table.get_mut(key).is_some_and(|mut info| info.blocks(attempt_id, invisible_time, now_ms()))
    }

    /// Acknowledges a message; without a pop that is known, everything up to it.
    pub fn ack(&self, key: &QueueKey, offset: i64, pop_time: i64) -> Acked {
        let Some(mut info) = self.table.get_mut(key) else { return Acked::UpTo(offset.saturating_add(1)) };
        let acked = info.ack(offset, pop_time);
        let free_at = self.free_at(&info);
        drop(info);
        if matches!(acked, Acked::UpTo(_)) {
            self.note_change();
            // The caller wakes who waits for a queue that is free now.
            self.wake_at(key, free_at.filter(|time| *time > now_ms()));
        }
        acked
    }

    /// Sets when a message becomes visible.
    pub fn set_visible_time(&self, key: &QueueKey, offset: i64, pop_time: i64, time: i64) {
        let Some(mut info) = self.table.get_mut(key) else { return };
        if !info.set_visible_time(offset, pop_time, time) {
            return;
        }
        let free_at = self.free_at(&info);
        drop(info);
        self.note_change();
        self.wake_at(key, free_at);
    }

    /// Keeps all messages of a pop that are not acknowledged invisible until a time; they do not count as popped once more
    /// when they come then.
    pub fn suspend(&self, key: &QueueKey, pop_time: i64, until: i64) {
        let Some(mut info) = self.table.get_mut(key) else { return };
        if !info.suspend(pop_time, until) {
            return;
        }
        let free_at = self.free_at(&info);
        drop(info);
        self.wake_at(key, free_at);
    }

    /// Forgets the last pop of a queue: its offset was set anew.
    pub fn clear(&self, key: &QueueKey) {
        if self.table.remove(key).is_some() {
            self.note_change();
        }
    }

    /// Forgets what fits.
    pub fn forget(&self, fits: impl Fn(&QueueKey) -> bool) {
        self.table.retain(|key, _| !fits(key));
        self.note_change();
    }

    /// Forgets queues that do not exist any more, by `exists`, or were not popped for a day; has the file written when
    /// something changed since the last call.
    pub fn persist(&self, exists: impl Fn(&QueueKey) -> bool) {
        let now = now_ms();
        let before = self.table.len();
        self.table
            .retain(|key, info| exists(key) && now.saturating_sub(info.last_consume_timestamp) <= FORGET_AFTER_MS);
        let changed = self.changed.swap(false, Ordering::AcqRel);
        if let Some(file) = self.file.as_ref().filter(|_| changed || self.table.len() != before) {
            file.changed();
        }
    }

    /// Number of queues.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no queue is popped in order.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn note_change(&self) {
        self.changed.store(true, Ordering::Release);
    }

    fn wake_at(&self, key: &QueueKey, time: Option<i64>) {
        let Some(time) = time else { return };
        let mut wakes = self.wakes.lock();
        if let Some(before) = wakes.of_queue.insert(key.clone(), time) {
            wakes.by_time.remove(&(before, key.clone()));
        }
        wakes.by_time.insert((time, key.clone()));
        let first = wakes.by_time.first().is_some_and(|(first, _)| *first == time);
        drop(wakes);
        if first {
            self.sooner.notify_one();
        }
    }

    /// Calls `free` for each queue that has become free; never returns.
    pub async fn watch(&self, free: impl Fn(&QueueKey)) {
        loop {
            let first = self.wakes.lock().by_time.first().map(|(time, _)| *time);
            let left = first.map(|time| time.saturating_sub(now_ms()));
            match left {
                None => self.sooner.notified().await,
                Some(left) if left > 0 => {
                    // The clock may be moved meanwhile.
                    let pause = Duration::from_millis(left.unsigned_abs().min(1000));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.sooner.notified() => {}
                    }
                }
                Some(_) => {
                    let due = self.take_free(now_ms());
                    due.iter().for_each(&free);
                }
            }
        }
    }

    fn take_free(&self, now: i64) -> Vec<QueueKey> {
        let mut wakes = self.wakes.lock();
        let mut due = Vec::new();
        while let Some((time, key)) = wakes.by_time.pop_first() {
            if time > now {
                wakes.by_time.insert((time, key));
                break;
            }
            wakes.of_queue.remove(&key);
            due.push(key);
        }
        due
    }
}

fn contents(table: &DashMap<QueueKey, OrderInfo>) -> OrderFile {
    let mut file = OrderFile { ordered_consumption_level: Some("QUEUE".to_owned()), ..OrderFile::default() };
    for entry in table {
        let key = entry.key();
        let queues = file.table.entry(format!("{}@{}", key.topic, key.group)).or_default();
        queues.insert(key.queue_id, entry.value().clone());
    }
    file.order_info_count = i32::try_from(file.table.len()).unwrap_or(i32::MAX);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pop(attempt: &str, offsets: &[i64]) -> OrderInfo {
        let now = now_ms();
        OrderInfo::new(Some(attempt), now, 3_600_000, offsets, now)
    }

    #[test]
    fn the_answer_tells_counts_as_java_does() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let orders = Orders::load(folder.path(), &writer).unwrap();
        let key = QueueKey::new("T", "G", 3);
        let mut answer = PopOffsets::default();
        orders.popped(&key, pop("a", &[7, 8]), &mut answer);
        assert_eq!(answer.order_count_info(), "0 3 0");
        let mut answer = PopOffsets::default();
        orders.popped(&key, pop("b", &[7, 8]), &mut answer);
        assert_eq!(answer.order_count_info(), "0 qo3%7 1;0 qo3%8 1;0 3 1");
        assert!(orders.blocks(&key, Some("c"), 1) && !orders.blocks(&key, Some("b"), 1));
        assert!(!orders.blocks(&QueueKey::new("T", "G", 4), Some("c"), 1));
        assert_eq!(orders.ack(&QueueKey::new("T", "G", 4), 5, 0), Acked::UpTo(6), "nothing is known of it");
        orders.clear(&key);
        assert!(orders.is_empty());
    }

    #[test]
    fn the_file_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        {
            let writer = ConfigWriter::start(folder.path().to_owned());
            let orders = Orders::load(folder.path(), &writer).unwrap();
            orders.popped(&QueueKey::new("T", "G", 3), pop("a", &[7]), &mut PopOffsets::default());
            orders.popped(&QueueKey::new("U", "G", 0), pop("a", &[7]), &mut PopOffsets::default());
            orders.persist(|key| &*key.topic == "T");
            writer.shutdown();
        }
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        let flat: String = text.split_whitespace().collect();
        assert!(
            flat.starts_with(r#"{"orderInfoCount":1,"orderedConsumptionLevel":"QUEUE","table":{"T@G":{3:{"#),
            "{flat}"
        );
        let writer = ConfigWriter::start(folder.path().to_owned());
        let orders = Orders::load(folder.path(), &writer).unwrap();
        assert!(orders.blocks(&QueueKey::new("T", "G", 3), Some("b"), 1));
        assert_eq!((orders.len(), orders.wakes.lock().by_time.len()), (1, 1));
    }

    #[test]
    fn queues_become_free_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let orders = Orders::load(folder.path(), &writer).unwrap();
        let keys: Vec<QueueKey> = (0..3).map(|id| QueueKey::new("T", "G", id)).collect();
        orders.wake_at(&keys[0], Some(30));
        orders.wake_at(&keys[1], Some(20));
        orders.wake_at(&keys[2], Some(40));
        orders.wake_at(&keys[0], Some(10));
        assert_eq!(orders.take_free(20), [keys[0].clone(), keys[1].clone()]);
        assert_eq!((orders.take_free(20).len(), orders.take_free(40).len()), (0, 1));
        assert!(orders.wakes.lock().of_queue.is_empty());
    }
}
