//! Topics: their settings, kept in `config/topics.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use dashmap::DashMap;
use hypergol_remoting::protocol::body::topic::{DataVersion, TopicConfig, TopicConfigSerializeWrapper};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_store::{QueueKind, light};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::config::BrokerSettings;
use crate::error::BrokerError;
use crate::names;
use crate::persist::{self, ConfigFile, ConfigWriter, WrittenCallback};

/// Permission bit: a new topic may inherit this topic's settings.
pub const PERM_INHERIT: i32 = 1;
/// Permission bit: writing.
pub const PERM_WRITE: i32 = 2;
/// Permission bit: reading.
pub const PERM_READ: i32 = 4;

/// Name of the file.
const FILE: &str = "topics.json";
/// Queues of SCHEDULE_TOPIC_XXXX in Java, whatever the delay table.
const SCHEDULE_QUEUES: i32 = 18;
/// Queues of the topic of the benchmark tools in Java.
const BENCHMARK_QUEUES: i32 = 1024;
/// Changed topics that may wait to be registered; beyond it a full registration is made instead.
const CHANGED_MAX: usize = 4096;
/// Most queues that a topic may have; Java sets no limit and fails where it runs out of files.
pub const QUEUES_MAX: i32 = 65_535;

/// Whether a topic keeps the last message of each key only, by its attribute `cleanup.policy`.
pub fn is_compacted(topic: &TopicConfig) -> bool {
    topic.attributes.get("cleanup.policy").is_some_and(|policy| policy == "COMPACTION")
}

/// The kind of queues a topic has, by its attribute `queue.type`.
pub fn queue_kind(topic: &TopicConfig) -> QueueKind {
    match topic.attributes.get("queue.type").map(String::as_str) {
        Some("BatchCQ") => QueueKind::Batch,
        _ => QueueKind::Simple,
    }
}

/// All topics of this broker.
pub struct Topics {
    table: Arc<Table>,
    file: ConfigFile,
    /// `enableLmq`: every name of a light queue is a topic of one queue, without being kept.
    light: bool,
    /// Names that the configuration makes system topics.
    system: BTreeSet<String>,
    /// One creation or change at a time, so that a topic is created once.
    change: Mutex<()>,
    changes: TopicChanges,
}

struct Table {
    topics: DashMap<String, Arc<TopicConfig>>,
    version: Mutex<DataVersion>,
}

impl Table {
    fn wrapper(&self) -> TopicConfigSerializeWrapper {
        // The version is taken first: content that is newer than its version is registered once more, not missed.
        let data_version = self.version.lock().clone();
        let topics = self.topics.iter().map(|entry| (entry.key().clone(), TopicConfig::clone(entry.value())));
        TopicConfigSerializeWrapper { data_version, topic_config_table: topics.collect() }
    }
}

/// What a name server does not know yet.
#[derive(Default)]
pub struct TopicChanges {
    pending: Mutex<Pending>,
    notify: Notify,
}

/// Topics that were created or changed.
#[derive(Default)]
pub struct Pending {
    /// By name, as they are now.
    pub topics: BTreeMap<String, Arc<TopicConfig>>,
    /// So much changed, or a topic was deleted: everything must be registered.
    pub everything: bool,
}

impl TopicChanges {
    fn add(&self, topic: Arc<TopicConfig>) {
        let mut pending = self.pending.lock();
        if pending.topics.len() >= CHANGED_MAX {
            pending.everything = true;
        } else {
            pending.topics.insert(topic.topic_name.clone(), topic);
        }
        drop(pending);
        self.notify.notify_one();
    }

    /// Asks for a full registration.
    pub fn add_everything(&self) {
        self.pending.lock().everything = true;
        self.notify.notify_one();
    }

    /// Waits until something changed.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }

    /// Takes what changed.
    pub fn take(&self) -> Pending {
        std::mem::take(&mut self.pending.lock())
    }
}

impl Topics {
    /// Loads `config/topics.json` of `folder` over the system's topics.
    ///
    /// # Errors
    /// [`BrokerError::Damaged`].
    pub fn load(settings: &BrokerSettings, folder: &Path, writer: &ConfigWriter) -> Result<Self, BrokerError> {
        let topics = DashMap::new();
        let mut system = BTreeSet::new();
        for topic in system_topics(settings) {
            system.insert(topic.topic_name.clone());
            topics.insert(topic.topic_name.clone(), Arc::new(topic));
        }
        let mut version = DataVersion::default();
        if let Some(loaded) = persist::load::<TopicConfigSerializeWrapper>(folder, FILE)? {
            version = loaded.data_version;
            for (name, mut topic) in loaded.topic_config_table {
                if let Err(reason) = names::check_existing_topic(&name) {
                    warn!(topic = name, reason, "topic of an illegal name left out");
                    continue;
                }
                topic.topic_name.clone_from(&name);
                topics.insert(name, Arc::new(topic));
            }
        }
        let table = Arc::new(Table { topics, version: Mutex::new(version) });
        let file = writer.file(FILE, {
            let table = table.clone();
            move || table.wrapper().encode_pretty()
        });
        let light = settings.store.enable_lmq;
        Ok(Self { table, file, light, system, change: Mutex::default(), changes: TopicChanges::default() })
    }

    /// The settings of a topic.
    pub fn get(&self, name: &str) -> Option<Arc<TopicConfig>> {
        if self.is_light(name) {
            return light::is_legal(name).then(|| Arc::new(light_topic(name)));
        }
        self.table.topics.get(name).map(|topic| topic.value().clone())
    }

    /// Whether there is such a topic.
    pub fn contains(&self, name: &str) -> bool {
        if self.is_light(name) { light::is_legal(name) } else { self.table.topics.contains_key(name) }
    }

    /// Whether this is a light queue, which has no settings of its own.
    pub fn is_light(&self, name: &str) -> bool {
        self.light && light::is_light(name)
    }

    /// Number of topics.
    pub fn len(&self) -> usize {
        self.table.topics.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.table.topics.is_empty()
    }

    /// All topics with the version of the table: a copy.
    pub fn wrapper(&self) -> TopicConfigSerializeWrapper {
        self.table.wrapper()
    }

    /// Names of all topics, in no order.
    pub fn names(&self) -> Vec<String> {
        self.table.topics.iter().map(|entry| entry.key().clone()).collect()
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.table.version.lock().clone()
    }

    /// Whether a topic belongs to the system: it can neither be created nor deleted from outside.
    pub fn is_system(&self, name: &str) -> bool {
        name.starts_with(names::SYSTEM_TOPIC_PREFIX)
            || names::SYSTEM_TOPICS.contains(&name)
            || self.system.contains(name)
    }

    /// Every name that [`Self::is_system`] without its prefix making it so, whether it exists or not.
    pub fn system_names(&self) -> BTreeSet<String> {
        names::SYSTEM_TOPICS.iter().map(|name| (*name).to_owned()).chain(self.system.iter().cloned()).collect()
    }

    /// Creates a topic because somebody sends to it; its settings come from `default_topic`. `None` where that topic
    /// does not exist or its settings cannot be inherited. The caller has checked the name.
    pub fn create_by_sending(
        &self,
        auto_create: bool,
        name: &str,
        default_topic: &str,
        queues_wanted: i32,
        sys_flag: i32,
    ) -> Option<Arc<TopicConfig>> {
        let _change = self.change.lock();
        if let Some(topic) = self.get(name) {
            return Some(topic);
        }
        let template = self.get(default_topic)?;
        let mut perm = template.perm;
        if default_topic == names::AUTO_CREATE_TOPIC && !auto_create {
            perm = PERM_READ | PERM_WRITE;
        }
        if perm & PERM_INHERIT == 0 {
            return None;
        }
        let queues = queues_wanted.min(template.write_queue_nums).max(0);
        Some(self.insert(TopicConfig {
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm: perm & !PERM_INHERIT,
            topic_sys_flag: sys_flag,
            topic_filter_type: template.topic_filter_type,
            ..TopicConfig::new(name)
        }))
    }

    /// Creates a retry or dead-letter topic unless it exists. The caller has checked the name.
    pub fn create_for_group(&self, name: &str, queues: i32, perm: i32, sys_flag: i32) -> Arc<TopicConfig> {
        if let Some(topic) = self.get(name) {
            return topic;
        }
        self.create_if_absent(TopicConfig {
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm,
            topic_sys_flag: sys_flag,
            ..TopicConfig::new(name)
        })
    }

    /// Creates the retry topic of a group whose consumers are there, or sets its order flag; `ordered` is `None` where
    /// they did not say what they subscribe to. The caller has checked the name.
    pub fn create_for_consumers(&self, name: &str, queues: i32, sys_flag: i32, ordered: Option<bool>) {
        let differs = |topic: &TopicConfig| ordered.is_some_and(|ordered| topic.order != ordered);
        if self.get(name).is_some_and(|topic| !differs(&topic)) {
            return;
        }
        let _change = self.change.lock();
        let changed = match self.get(name) {
            None => TopicConfig {
                read_queue_nums: queues,
                write_queue_nums: queues,
                perm: PERM_READ | PERM_WRITE,
                topic_sys_flag: sys_flag,
                order: ordered.unwrap_or_default(),
                ..TopicConfig::new(name)
            },
            Some(topic) if differs(&topic) => TopicConfig { order: !topic.order, ..TopicConfig::clone(&topic) },
            Some(_) => return,
        };
        self.insert(changed);
    }

    /// Whether a topic's messages are kept in order.
    pub fn is_ordered(&self, name: &str) -> bool {
        self.get(name).is_some_and(|topic| topic.order)
    }

    /// Creates a topic unless it exists. The caller has checked the name.
    pub fn create_if_absent(&self, topic: TopicConfig) -> Arc<TopicConfig> {
        let _change = self.change.lock();
        match self.get(&topic.topic_name) {
            Some(existing) => existing,
            None => self.insert(topic),
        }
    }

    /// Creates topics or replaces their settings; `written` is called when they are on disk. The caller has checked
    /// the names and worked out the attributes. Settings of light queues are passed over, as in Java.
    pub fn update(&self, topics: Vec<TopicConfig>, written: WrittenCallback) {
        let change = self.change.lock();
        for topic in topics.into_iter().filter(|topic| !self.is_light(&topic.topic_name)) {
            self.insert(topic);
        }
        drop(change);
        self.file.written(written);
    }

    /// Calls `written` when all that was changed so far is on disk.
    pub fn when_written(&self, written: WrittenCallback) {
        self.file.written(written);
    }

    /// Removes a topic; false when there is none. `written` is called when that is on disk.
    pub fn delete(&self, name: &str, written: WrittenCallback) -> bool {
        let change = self.change.lock();
        let removed = self.table.topics.remove(name).is_some();
        if removed {
            info!(topic = name, "topic deleted");
            self.table.version.lock().next_version(0);
        }
        drop(change);
        self.file.written(written);
        removed
    }

    /// Sets the order flag of topics, as the name server's order configuration wants it.
    pub fn set_ordered<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let _change = self.change.lock();
        for name in names {
            if let Some(topic) = self.get(name)
                && !topic.order
            {
                self.insert(TopicConfig { order: true, ..TopicConfig::clone(&topic) });
            }
        }
    }

    /// What name servers do not know yet.
    pub fn changes(&self) -> &TopicChanges {
        &self.changes
    }

    /// Puts a topic, has the file written and the topic registered. Under `change`.
    fn insert(&self, topic: TopicConfig) -> Arc<TopicConfig> {
        let topic = Arc::new(topic);
        let old = self.table.topics.insert(topic.topic_name.clone(), topic.clone());
        self.table.version.lock().next_version(0);
        info!(?topic, new = old.is_none(), "topic created or changed");
        self.file.changed();
        self.changes.add(topic.clone());
        topic
    }
}

/// The settings of every light queue. Java: `LmqTopicConfigManager`.
fn light_topic(name: &str) -> TopicConfig {
    let perm = PERM_READ | PERM_WRITE;
    TopicConfig { read_queue_nums: 1, write_queue_nums: 1, perm, ..TopicConfig::new(name) }
}

/// The topics that a broker has from its first start. Java: `TopicConfigManager.init`.
fn system_topics(settings: &BrokerSettings) -> Vec<TopicConfig> {
    let broker = &settings.broker;
    let topic = |name: &str, queues: i32, perm: i32| TopicConfig {
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm,
        ..TopicConfig::new(name)
    };
    let read_write = PERM_READ | PERM_WRITE;
    let inherit_if = |enabled: bool| PERM_INHERIT | if enabled { read_write } else { 0 };
    let cluster = &broker.broker_cluster_name;
    let mut topics = vec![
        topic(names::SELF_TEST_TOPIC, 1, read_write),
        topic(names::BENCHMARK_TOPIC, BENCHMARK_QUEUES, read_write),
        topic(cluster, 16, inherit_if(broker.cluster_topic_enable)),
        topic(&broker.broker_name, 1, inherit_if(broker.broker_topic_enable)),
        topic(names::OFFSET_MOVED_TOPIC, 1, read_write),
        topic(names::SCHEDULE_TOPIC, SCHEDULE_QUEUES, read_write),
        topic(&format!("{cluster}_REPLY_TOPIC"), 1, read_write),
        topic(&format!("rmq_sys_REVIVE_LOG_{cluster}"), broker.revive_queue_num, read_write),
        topic(&format!("rmq_sys_SYNC_BROKER_MEMBER_{}", broker.broker_name), 1, PERM_INHERIT),
        topic(names::HALF_TOPIC, 1, read_write),
        topic(names::HALF_OP_TOPIC, 1, read_write),
        topic(names::ROCKSDB_HALF_TOPIC, 1, read_write),
        topic(names::ROCKSDB_HALF_OP_TOPIC, 1, read_write),
    ];
    if broker.auto_create_topic_enable {
        topics.push(topic(names::AUTO_CREATE_TOPIC, broker.default_topic_queue_nums, PERM_INHERIT | read_write));
    }
    if broker.trace_topic_enable {
        topics.push(topic(&broker.msg_trace_topic_name, 1, read_write));
    }
    if settings.store.timer_wheel_enable {
        topics.push(topic(names::TIMER_TOPIC, 1, read_write));
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn topics(folder: &Path, settings: &BrokerSettings) -> (Topics, Arc<ConfigWriter>) {
        let writer = ConfigWriter::start(folder.to_owned());
        (Topics::load(settings, folder, &writer).unwrap(), writer)
    }

    fn settings() -> BrokerSettings {
        let mut settings = BrokerSettings::default();
        settings.broker.broker_name = "broker-a".into();
        settings
    }

    #[test]
    fn topics_of_the_system_are_there_at_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let (topics, _writer) = topics(folder.path(), &settings());
        let facts = |name: &str| topics.get(name).map(|t| (t.read_queue_nums, t.write_queue_nums, t.perm));
        assert_eq!(facts("TBW102"), Some((8, 8, 7)));
        assert_eq!(facts("DefaultCluster"), Some((16, 16, 7)));
        assert_eq!(facts("broker-a"), Some((1, 1, 7)));
        assert_eq!(facts("SCHEDULE_TOPIC_XXXX"), Some((18, 18, 6)));
        assert_eq!(facts("rmq_sys_REVIVE_LOG_DefaultCluster"), Some((8, 8, 6)));
        assert_eq!(facts("rmq_sys_SYNC_BROKER_MEMBER_broker-a"), Some((1, 1, 1)));
        assert_eq!(topics.len(), 15);
        assert!(topics.is_system("DefaultCluster_REPLY_TOPIC") && topics.is_system("rmq_sys_x"));
        assert!(!topics.is_system("T"));
    }

    #[test]
    fn a_topic_inherits_from_the_default_topic() {
        let folder = tempfile::tempdir().unwrap();
        let (topics, _writer) = topics(folder.path(), &settings());
        assert!(topics.create_by_sending(false, "T", "TBW102", 4, 0).is_none());
        assert!(topics.create_by_sending(true, "T", "nowhere", 4, 0).is_none());
        assert!(topics.create_by_sending(true, "T", "BenchmarkTest", 4, 0).is_none(), "not inheritable");
        let created = topics.create_by_sending(true, "T", "TBW102", 4, 1).unwrap();
        assert_eq!((created.write_queue_nums, created.perm, created.topic_sys_flag), (4, 6, 1));
        assert_eq!(topics.create_by_sending(true, "U", "TBW102", 99, 0).unwrap().read_queue_nums, 8);
        assert_eq!(topics.create_by_sending(true, "V", "TBW102", -1, 0).unwrap().read_queue_nums, 0);
        assert!(topics.create_by_sending(false, "T", "nowhere", 4, 0).is_some(), "it exists");
        assert_eq!(topics.version().counter, 3);
        assert_eq!(topics.changes().take().topics.len(), 3);
    }

    #[test]
    fn light_queues_are_topics_that_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings();
        assert!(topics(folder.path(), &settings).0.get("%LMQ%a").is_none());
        settings.store.enable_lmq = true;
        let (topics, _writer) = topics(folder.path(), &settings);
        let light = topics.get("%LMQ%a").unwrap();
        assert_eq!((light.read_queue_nums, light.write_queue_nums, light.perm), (1, 1, 6));
        assert!(topics.contains("%LMQ%$p$l") && !topics.contains("%LMQ%../a") && topics.get("%LMQ%a/b").is_none());
        let count = topics.len();
        topics.update(vec![TopicConfig { read_queue_nums: 8, ..TopicConfig::new("%LMQ%a") }], Box::new(|_| ()));
        topics.create_by_sending(true, "%LMQ%b", "TBW102", 4, 0).unwrap();
        assert_eq!((topics.len(), topics.get("%LMQ%a").unwrap().read_queue_nums), (count, 1));
    }

    #[test]
    fn topics_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (first, writer) = topics(folder.path(), &settings());
        first.create_by_sending(true, "T", "TBW102", 4, 0).unwrap();
        let (done, wait) = mpsc::channel();
        let mut config = TopicConfig::new("U");
        config.attributes.insert("message.type".into(), "FIFO".into());
        first.update(vec![config.clone()], Box::new(move |result| done.send(result).unwrap()));
        wait.recv().unwrap().unwrap();
        writer.shutdown();
        let (second, _writer) = topics(folder.path(), &settings());
        assert_eq!(second.version(), first.version());
        assert_eq!(*second.get("U").unwrap(), config);
        assert_eq!(second.get("T").unwrap().read_queue_nums, 4);
    }
}
