//! What the broker counts by topic, group and queue, and answers to VIEW_BROKER_STATS_DATA (315).
//!
//! An item counts a sum and the number of additions. It is sampled every 10 s, 10 min and 1 h; the figures of the last
//! minute, hour and day are differences between the newest and the oldest sample kept (7, 7 and 25), as in Java's
//! StatsItem. Counting costs a look-up and a few relaxed additions; the items of a topic are found at once.

mod item;

use std::fmt::Write as _;
use std::sync::Arc;

use dashmap::DashMap;
use hypergol_store::light;
use parking_lot::RwLock;

use self::item::{Clock, Item};
pub use self::item::{Snapshot, Snapshots};

/// Queues of one topic whose items are kept by index; RocketMQ refuses queue ids beyond a topic's queue count.
const QUEUES_MAX: usize = 65_536;

/// Statistics that are found by their key alone; those of sends lie in [`TopicStats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum StatName {
    /// Messages pulled; key `topic@group`.
    GroupGetNums,
    /// Bytes pulled; key `topic@group`.
    GroupGetSize,
    /// Milliseconds that reads took; key `queueId@topic@group`.
    GroupGetLatency,
    /// Messages acknowledged by pop consumers; key `topic@group`.
    GroupAckNums,
    /// Checkpoints written for pop consumers; key `topic@group`.
    GroupCkNums,
    /// Messages pulled from disk; key `topic@group`.
    GroupGetFromDiskNums,
    /// Bytes pulled from disk; key `topic@group`.
    GroupGetFromDiskSize,
    /// Messages pulled; key `topic@queueId@group`.
    QueueGetNums,
    /// Bytes pulled; key `topic@queueId@group`.
    QueueGetSize,
    /// Messages sent back; key `topic@group`.
    SndbckPutNums,
    /// Messages moved to a dead-letter topic; key `topic@group`-like, as the caller builds it.
    DlqPutNums,
    /// Messages that ended in a dead-letter topic; key `owner@topic@group@type`.
    Sndbck2DlqTimes,
    /// Messages put; key cluster name.
    BrokerPutNums,
    /// Messages pulled; key cluster name.
    BrokerGetNums,
    /// As [`Self::BrokerPutNums`], system topics left out.
    BrokerPutNumsWithoutSystemTopic,
    /// As [`Self::BrokerGetNums`], system topics left out.
    BrokerGetNumsWithoutSystemTopic,
    /// Messages acknowledged; key cluster name.
    BrokerAckNums,
    /// Checkpoints; key cluster name.
    BrokerCkNums,
    /// Messages pulled from disk; key cluster name.
    BrokerGetFromDiskNums,
    /// Bytes pulled from disk; key cluster name.
    BrokerGetFromDiskSize,
    /// Milliseconds that registering a consumer took; key cluster name.
    ConsumerRegisterTime,
    /// Milliseconds that registering a producer took; key cluster name.
    ProducerRegisterTime,
    /// Connections opened and closed; key `CONNECT`, `CLOSE`, `IDLE`, `EXCEPTION`.
    ChannelActivity,
    /// Sends; key `owner@topic@group@type`.
    CommercialSendTimes,
    /// Bytes sent; key as above.
    CommercialSendSize,
    /// Messages sent back; key as above.
    CommercialSndbckTimes,
    /// Pulls that found something; key as above.
    CommercialRcvTimes,
    /// Bytes pulled; key as above.
    CommercialRcvSize,
    /// Pulls that found nothing; key as above.
    CommercialRcvEpolls,
    /// Refusals for want of permission; key as above.
    CommercialPermFailures,
}

impl StatName {
    /// All names with their text on the wire, in the order of the variants.
    const TABLE: [(Self, &'static str); 30] = [
        (Self::GroupGetNums, "GROUP_GET_NUMS"),
        (Self::GroupGetSize, "GROUP_GET_SIZE"),
        (Self::GroupGetLatency, "GROUP_GET_LATENCY"),
        (Self::GroupAckNums, "GROUP_ACK_NUMS"),
        (Self::GroupCkNums, "GROUP_CK_NUMS"),
        (Self::GroupGetFromDiskNums, "GROUP_GET_FROM_DISK_NUMS"),
        (Self::GroupGetFromDiskSize, "GROUP_GET_FROM_DISK_SIZE"),
        (Self::QueueGetNums, "QUEUE_GET_NUMS"),
        (Self::QueueGetSize, "QUEUE_GET_SIZE"),
        (Self::SndbckPutNums, "SNDBCK_PUT_NUMS"),
        (Self::DlqPutNums, "DLQ_PUT_NUMS"),
        (Self::Sndbck2DlqTimes, "SNDBCK2DLQ_TIMES"),
        (Self::BrokerPutNums, "BROKER_PUT_NUMS"),
        (Self::BrokerGetNums, "BROKER_GET_NUMS"),
        (Self::BrokerPutNumsWithoutSystemTopic, "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC"),
        (Self::BrokerGetNumsWithoutSystemTopic, "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC"),
        (Self::BrokerAckNums, "BROKER_ACK_NUMS"),
        (Self::BrokerCkNums, "BROKER_CK_NUMS"),
        (Self::BrokerGetFromDiskNums, "BROKER_GET_FROM_DISK_NUMS"),
        (Self::BrokerGetFromDiskSize, "BROKER_GET_FROM_DISK_SIZE"),
        (Self::ConsumerRegisterTime, "CONSUMER_REGISTER_TIME"),
        (Self::ProducerRegisterTime, "PRODUCER_REGISTER_TIME"),
        (Self::ChannelActivity, "CHANNEL_ACTIVITY"),
        (Self::CommercialSendTimes, "COMMERCIAL_SEND_TIMES"),
        (Self::CommercialSendSize, "COMMERCIAL_SEND_SIZE"),
        (Self::CommercialSndbckTimes, "COMMERCIAL_SNDBCK_TIMES"),
        (Self::CommercialRcvTimes, "COMMERCIAL_RCV_TIMES"),
        (Self::CommercialRcvSize, "COMMERCIAL_RCV_SIZE"),
        (Self::CommercialRcvEpolls, "COMMERCIAL_RCV_EPOLLS"),
        (Self::CommercialPermFailures, "COMMERCIAL_PERM_FAILURES"),
    ];

    fn from_text(text: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, name)| *name == text).map(|(stat, _)| *stat)
    }
}

/// One sum.
type StatsItem = Item<1>;

/// What is counted at each send to a topic.
#[derive(Debug, Default)]
pub struct TopicStats {
    /// [`NUMS`] and [`SIZE`].
    put: Item<2>,
    queues: RwLock<Vec<Arc<QueueStats>>>,
}

/// [`NUMS`], [`SIZE`] and [`LATENCY`].
type QueueStats = Item<3>;

/// Messages put.
const NUMS: usize = 0;
/// Bytes put.
const SIZE: usize = 1;
/// Milliseconds that puts took.
const LATENCY: usize = 2;

impl TopicStats {
    fn queue(&self, queue_id: i32) -> Option<Arc<QueueStats>> {
        let index = usize::try_from(queue_id).ok().filter(|index| *index < QUEUES_MAX)?;
        if let Some(queue) = self.queues.read().get(index) {
            return Some(queue.clone());
        }
        let mut queues = self.queues.write();
        while queues.len() <= index {
            queues.push(Arc::default());
        }
        queues.get(index).cloned()
    }
}

type ItemSet = DashMap<Box<str>, Arc<StatsItem>>;

/// All statistics of a broker.
pub struct BrokerStats {
    cluster: String,
    /// `enableDetailStat`: count by queue too.
    by_queue: bool,
    /// What belongs to light queues is counted under their prefix: there may be very many (`enableLmqStats`).
    merges_light: bool,
    topics: DashMap<Box<str>, Arc<TopicStats>>,
    sets: [ItemSet; StatName::TABLE.len()],
    clock: Clock,
}

impl BrokerStats {
    /// Counts for a broker of `cluster`; by queue too where `enable_detail_stat` says so, and all light queues as one
    /// where `merges_light` does.
    pub fn new(cluster: &str, enable_detail_stat: bool, merges_light: bool) -> Self {
        Self {
            cluster: cluster.to_owned(),
            by_queue: enable_detail_stat,
            merges_light,
            topics: DashMap::new(),
            // One shard would do for most sets, but the number of shards is a matter of the machine, not of the set.
            sets: std::array::from_fn(|_| DashMap::with_shard_amount(2)),
            clock: Clock::default(),
        }
    }

    /// Counts a send: `messages` of `bytes` in all, stored within `latency_ms`.
    pub fn put(&self, topic: &str, queue_id: i32, messages: i64, bytes: i64, latency_ms: i64, system_topic: bool) {
        let stats = self.topic(self.name(topic));
        stats.put.add([messages, bytes]);
        if let Some(queue) = stats.queue(queue_id) {
            queue.add([messages, bytes, latency_ms]);
        }
        self.add_to_cluster(StatName::BrokerPutNums, messages);
        if !system_topic {
            self.add_to_cluster(StatName::BrokerPutNumsWithoutSystemTopic, messages);
        }
    }

    /// Counts a pull that found `messages` of `bytes` in all.
    pub fn get(&self, group: &str, topic: &str, queue_id: i32, messages: i64, bytes: i64, system_topic: bool) {
        self.get_of_queues(group, topic, messages, bytes, system_topic);
        if self.by_queue {
            let (group, topic) = (self.name(group), self.name(topic));
            with_key(|key| {
                let _ = write!(key, "{topic}@{queue_id}@{group}");
                self.add(StatName::QueueGetNums, key, messages);
                self.add(StatName::QueueGetSize, key, bytes);
            });
        }
    }

    /// Counts a read that found `messages` of `bytes` in all, of more than one queue.
    pub fn get_of_queues(&self, group: &str, topic: &str, messages: i64, bytes: i64, system_topic: bool) {
        let (group, topic) = (self.name(group), self.name(topic));
        with_key(|key| {
            let _ = write!(key, "{topic}@{group}");
            self.add(StatName::GroupGetNums, key, messages);
            self.add(StatName::GroupGetSize, key, bytes);
        });
        self.add_to_cluster(StatName::BrokerGetNums, messages);
        if !system_topic {
            self.add_to_cluster(StatName::BrokerGetNumsWithoutSystemTopic, messages);
        }
    }

    /// Counts how long a pull's read took.
    pub fn get_latency(&self, group: &str, topic: &str, queue_id: i32, latency_ms: i64) {
        let (group, topic) = (self.name(group), self.name(topic));
        with_key(|key| {
            let _ =
                if self.by_queue { write!(key, "{queue_id}@{topic}@{group}") } else { write!(key, "{topic}@{group}") };
            self.add(StatName::GroupGetLatency, key, latency_ms);
        });
    }

    /// Counts a message sent back for a retry.
    pub fn send_back(&self, group: &str, topic: &str) {
        self.add_to_group(StatName::SndbckPutNums, topic, group, 1);
    }

    /// Adds to the item of a topic and a group, as one addition.
    pub fn add_to_group(&self, name: StatName, topic: &str, group: &str, sum: i64) {
        with_key(|key| {
            let _ = write!(key, "{}@{}", self.name(topic), self.name(group));
            self.add(name, key, sum);
        });
    }

    /// Adds to the item of `key`, as one addition.
    pub fn add(&self, name: StatName, key: &str, sum: i64) {
        self.item(name, key).add([sum]);
    }

    /// Adds to the item that counts for the whole broker.
    pub fn add_to_cluster(&self, name: StatName, sum: i64) {
        self.add(name, &self.cluster, sum);
    }

    /// Messages put, those of system topics left out, since start.
    pub fn put_total_without_system_topics(&self) -> i64 {
        self.total(StatName::BrokerPutNumsWithoutSystemTopic)
    }

    /// Messages pulled, those of system topics left out, since start.
    pub fn get_total_without_system_topics(&self) -> i64 {
        self.total(StatName::BrokerGetNumsWithoutSystemTopic)
    }

    /// Messages per second sent to `topic` in about the last minute.
    pub fn topic_put_tps(&self, topic: &str) -> f64 {
        self.topics.get(topic).map_or(0.0, |stats| stats.put.snapshots(NUMS, &self.clock).minute.tps)
    }

    /// Messages per second pulled by `group` from `topic` in about the last minute.
    pub fn group_get_tps(&self, group: &str, topic: &str) -> f64 {
        let key = format!("{}@{}", self.name(topic), self.name(group));
        self.sets[StatName::GroupGetNums as usize]
            .get(key.as_str())
            .map_or(0.0, |item| item.snapshots(0, &self.clock).minute.tps)
    }

    /// The figures of the item that Java names `stats_name` and `key`; `None` where nothing was counted.
    pub fn view(&self, stats_name: &str, key: &str) -> Option<Snapshots> {
        if let Some(name) = StatName::from_text(stats_name) {
            return self.sets[name as usize].get(key).map(|item| item.snapshots(0, &self.clock));
        }
        let of_queue = |key: &str, topic_first: bool, which: usize| {
            let (topic, queue_id) = if topic_first {
                key.rsplit_once('@')?
            } else {
                key.split_once('@').map(|(queue_id, topic)| (topic, queue_id))?
            };
            let queue_id: usize = queue_id.parse().ok()?;
            let topic = self.topics.get(topic)?;
            let queue = topic.queues.read().get(queue_id)?.clone();
            (queue.times() > 0 && (self.by_queue || which == LATENCY)).then(|| queue.snapshots(which, &self.clock))
        };
        match stats_name {
            "TOPIC_PUT_NUMS" => self.topics.get(key).map(|stats| stats.put.snapshots(NUMS, &self.clock)),
            "TOPIC_PUT_SIZE" => self.topics.get(key).map(|stats| stats.put.snapshots(SIZE, &self.clock)),
            "QUEUE_PUT_NUMS" => of_queue(key, true, NUMS),
            "QUEUE_PUT_SIZE" => of_queue(key, true, SIZE),
            "TOPIC_PUT_LATENCY" => of_queue(key, false, LATENCY),
            _ => None,
        }
    }

    /// Forgets what was counted for a deleted topic.
    pub fn forget_topic(&self, topic: &str) {
        self.topics.remove(topic);
        for set in &self.sets {
            set.retain(|key, _| !key.split('@').any(|part| part == topic));
        }
    }

    /// Forgets what was counted for a deleted group.
    pub fn forget_group(&self, group: &str) {
        for set in &self.sets {
            set.retain(|key, _| key.rsplit_once('@').is_none_or(|(_, last)| last != group));
        }
    }

    /// Takes a sample of every item; to be called every 10 s.
    pub fn sample(&self, now_ms: i64) {
        let due = self.clock.tick(now_ms);
        for topic in &self.topics {
            topic.put.sample(due);
            topic.queues.read().iter().for_each(|queue| queue.sample(due));
        }
        for item in self.sets.iter().flatten() {
            item.sample(due);
        }
    }

    /// The name that a topic or a group is counted under.
    fn name<'a>(&self, name: &'a str) -> &'a str {
        if self.merges_light && light::is_light(name) { light::PREFIX } else { name }
    }

    fn topic(&self, topic: &str) -> Arc<TopicStats> {
        if let Some(stats) = self.topics.get(topic) {
            return stats.clone();
        }
        self.topics.entry(topic.into()).or_default().clone()
    }

    fn item(&self, name: StatName, key: &str) -> Arc<StatsItem> {
        let set = &self.sets[name as usize];
        if let Some(item) = set.get(key) {
            return item.clone();
        }
        set.entry(key.into()).or_default().clone()
    }

    fn total(&self, name: StatName) -> i64 {
        self.sets[name as usize].get(self.cluster.as_str()).map_or(0, |item| item.sum(0))
    }
}

/// Lends an empty text that keeps its capacity from one key to the next.
fn with_key(build: impl FnOnce(&mut String)) {
    thread_local! {
        static KEY: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
    }
    KEY.with_borrow_mut(|key| {
        key.clear();
        build(key);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_their_variants() {
        for (i, (name, text)) in StatName::TABLE.into_iter().enumerate() {
            assert_eq!(name as usize, i, "{text}");
            assert_eq!(StatName::from_text(text), Some(name));
        }
    }

    #[test]
    fn counts_sends_by_topic_queue_and_cluster() {
        let stats = BrokerStats::new("C", true, false);
        stats.put("T", 3, 2, 100, 7, false);
        stats.put("T", 3, 1, 50, 1, false);
        stats.put("SYS", 0, 1, 1, 0, true);
        stats.sample(1_000_000);
        let minute = |name: &str, key: &str| stats.view(name, key).unwrap().minute;
        assert_eq!(minute("TOPIC_PUT_NUMS", "T"), Snapshot { sum: 3, tps: 0.3, avgpt: 1.5 });
        assert_eq!(minute("TOPIC_PUT_SIZE", "T").sum, 150);
        assert_eq!(minute("QUEUE_PUT_NUMS", "T@3").sum, 3);
        assert_eq!(minute("TOPIC_PUT_LATENCY", "3@T").avgpt, 4.0);
        assert_eq!(minute("BROKER_PUT_NUMS", "C").sum, 4);
        assert_eq!(stats.put_total_without_system_topics(), 3);
        for (name, key) in
            [("TOPIC_PUT_NUMS", "U"), ("QUEUE_PUT_NUMS", "T@2"), ("NO_SUCH", "T"), ("QUEUE_PUT_NUMS", "T")]
        {
            assert_eq!(stats.view(name, key), None, "{name} {key}");
        }
    }

    #[test]
    fn counts_pulls_by_group_and_queue() {
        let stats = BrokerStats::new("C", true, false);
        stats.get("G", "T", 1, 32, 4096, false);
        stats.get_latency("G", "T", 1, 5);
        stats.send_back("G", "T");
        stats.sample(0);
        for (name, key, sum) in [
            ("GROUP_GET_NUMS", "T@G", 32),
            ("QUEUE_GET_SIZE", "T@1@G", 4096),
            ("GROUP_GET_LATENCY", "1@T@G", 5),
            ("SNDBCK_PUT_NUMS", "T@G", 1),
            ("BROKER_GET_NUMS", "C", 32),
        ] {
            assert_eq!(stats.view(name, key).unwrap().hour.sum, sum, "{name}");
        }
        stats.forget_group("G");
        assert_eq!(stats.view("GROUP_GET_NUMS", "T@G"), None);
        assert_eq!(stats.view("QUEUE_GET_NUMS", "T@1@G"), None);
        assert!(stats.view("BROKER_GET_NUMS", "C").is_some());
    }

    #[test]
    fn a_period_is_the_span_of_the_samples_kept() {
        let stats = BrokerStats::new("C", false, false);
        for i in 0..20 {
            stats.put("T", 0, 10, 10, 0, false);
            stats.sample(i * 10_000);
        }
        let view = stats.view("TOPIC_PUT_NUMS", "T").unwrap();
        assert_eq!((view.minute.sum, view.minute.tps), (60, 1.0));
        // One sample so far, at the start, against the nought before it.
        assert_eq!(view.hour.sum, 10);
        assert_eq!(stats.view("QUEUE_PUT_NUMS", "T@0"), None, "not counted by queue");
        stats.forget_topic("T");
        assert_eq!(stats.view("TOPIC_PUT_NUMS", "T"), None);
    }
}
