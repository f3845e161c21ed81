//! Static topics: their queues are logical, a fixed number for the whole cluster, and move between brokers.
//!
//! The brokers of the cluster keep, for each logical queue they serve or served, its [`sections`]. The broker of the
//! newest section leads the queue: clients send all requests to it, with logical offsets, and it answers for the older
//! sections too, asking their brokers where they are not its own. The mapping comes from administrators (code 513) and
//! is kept in `config/topicQueueMapping.json`; name servers get the leaders with each registration.

pub mod clean;
pub mod sections;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use hypergol_remoting::protocol::body::topic::{
    DataVersion, LogicQueueMappingItem, TopicQueueMappingDetail, TopicQueueMappingInfo,
    TopicQueueMappingSerializeWrapper,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::fields::ExtFields;
use parking_lot::Mutex;
use thiserror::Error;
use tracing::info;

use crate::error::BrokerError;
use crate::persist::{self, ConfigFile, ConfigWriter, WrittenCallback};
use crate::topics::QUEUES_MAX;

/// Name of the file.
const FILE: &str = "topicQueueMapping.json";

/// The mappings of all static topics that this broker knows.
pub struct StaticTopics {
    table: Arc<Table>,
    file: ConfigFile,
    /// Size of the table: where there is no static topic, no request looks for one.
    count: AtomicUsize,
    /// One change at a time.
    change: Mutex<()>,
}

#[derive(Default)]
struct Table {
    mappings: DashMap<String, Arc<TopicQueueMappingDetail>>,
    version: Mutex<DataVersion>,
}

impl Table {
    fn wrapper(&self) -> TopicQueueMappingSerializeWrapper {
        let data_version = self.version.lock().clone();
        let mappings = self.mappings.iter().map(|entry| (entry.key().clone(), (**entry.value()).clone()));
        TopicQueueMappingSerializeWrapper { data_version, topic_queue_mapping_info_map: Some(mappings.collect()) }
    }
}

impl StaticTopics {
    /// Loads the file.
    ///
    /// # Errors
    /// [`BrokerError::Damaged`], also for a mapping that cannot be: without it messages would go to the wrong queues.
    pub fn load(folder: &Path, writer: &ConfigWriter) -> Result<Self, BrokerError> {
        let table = Arc::new(Table::default());
        if let Some(loaded) = persist::load::<TopicQueueMappingSerializeWrapper>(folder, FILE)? {
            *table.version.lock() = loaded.data_version;
            for (topic, mapping) in loaded.topic_queue_mapping_info_map.unwrap_or_default() {
                check(&mapping).map_err(|reason| BrokerError::Damaged {
                    path: folder.join(FILE),
                    reason: format!("topic {topic}: {reason}"),
                })?;
                table.mappings.insert(topic, Arc::new(mapping));
            }
        }
        let file = writer.file(FILE, {
            let table = table.clone();
            move || table.wrapper().encode_pretty()
        });
        let count = AtomicUsize::new(table.mappings.len());
        Ok(Self { table, file, count, change: Mutex::default() })
    }

    /// Whether there is no static topic.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// The mapping of a topic; `None` for a plain one.
    pub fn get(&self, topic: &str) -> Option<Arc<TopicQueueMappingDetail>> {
        if self.is_empty() {
            return None;
        }
        self.table.mappings.get(topic).map(|mapping| mapping.value().clone())
    }

    /// The mapping that a request is subject to: none for a plain topic, nor where `lo` says that the request names a
    /// physical queue.
    pub fn of_request(&self, topic: &str, fields: &ExtFields) -> Option<Arc<TopicQueueMappingDetail>> {
        let mapping = self.get(topic)?;
        fields.get("lo").is_none_or(|logical| logical.eq_ignore_ascii_case("true")).then_some(mapping)
    }

    /// Names of the topics, in no order.
    pub fn names(&self) -> Vec<String> {
        self.table.mappings.iter().map(|entry| entry.key().clone()).collect()
    }

    /// All mappings with the version of the table: a copy.
    pub fn wrapper(&self) -> TopicQueueMappingSerializeWrapper {
        self.table.wrapper()
    }

    /// What name servers are told of a topic.
    pub fn info(&self, topic: &str) -> Option<TopicQueueMappingInfo> {
        self.get(topic).map(|mapping| mapping.to_info())
    }

    /// What name servers are told of all topics.
    pub fn infos(&self) -> BTreeMap<String, TopicQueueMappingInfo> {
        self.table.mappings.iter().map(|entry| (entry.key().clone(), entry.value().to_info())).collect()
    }

    /// Takes over what an administrator says of a topic. Queues that the mapping lacks keep the sections they had.
    /// `force` does so without comparing it with the mapping before. `then` is called while no other change can come in
    /// between; `written` when the mapping is on disk.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub fn update(
        &self,
        mut new: TopicQueueMappingDetail,
        force: bool,
        then: impl FnOnce(),
        written: WrittenCallback,
    ) -> Result<(), String> {
        check(&new)?;
        let _change = self.change.lock();
        if let Some(old) = self.get(&new.topic) {
            if !force {
                check_change(&old, &new)?;
            }
            for (id, sections) in &old.hosted_queues {
                new.hosted_queues.entry(*id).or_insert_with(|| sections.clone());
            }
        }
        self.put(new);
        then();
        self.file.written(written);
        Ok(())
    }

    /// Replaces a mapping by one that lacks what is no longer needed, unless it has changed since; tells whether it did.
    pub fn clean(&self, old: &Arc<TopicQueueMappingDetail>, new: TopicQueueMappingDetail) -> bool {
        let _change = self.change.lock();
        let unchanged = self.get(&new.topic).is_some_and(|current| Arc::ptr_eq(&current, old));
        if unchanged {
            self.put(new);
            self.file.changed();
        }
        unchanged
    }

    /// Makes a topic a plain one.
    pub fn delete(&self, topic: &str) {
        let _change = self.change.lock();
        if self.table.mappings.remove(topic).is_some() {
            info!(topic, "queue mapping deleted");
            self.changed();
            self.file.changed();
        }
    }

    fn put(&self, mapping: TopicQueueMappingDetail) {
        let (queues, topic) = (mapping.hosted_queues.len(), &mapping.topic);
        info!(topic, mapping.epoch, queues, "queue mapping changed");
        self.table.mappings.insert(mapping.topic.clone(), Arc::new(mapping));
        self.changed();
    }

    fn changed(&self) {
        self.table.version.lock().next_version(0);
        self.count.store(self.table.mappings.len(), Ordering::Relaxed);
    }
}

/// Whether a mapping can be one.
fn check(mapping: &TopicQueueMappingDetail) -> Result<(), String> {
    if !(0..=QUEUES_MAX).contains(&mapping.total_queues) {
        return Err(format!("{} logical queues, 0 to {QUEUES_MAX} are possible", mapping.total_queues));
    }
    for (id, sections) in &mapping.hosted_queues {
        if !(0..QUEUES_MAX).contains(id) {
            return Err(format!("logical queue {id}, 0 to {} are possible", QUEUES_MAX - 1));
        }
        sections::check(sections).map_err(|reason| format!("logical queue {id}: {reason}"))?;
    }
    Ok(())
}

/// Whether a mapping may follow another.
fn check_change(old: &TopicQueueMappingDetail, new: &TopicQueueMappingDetail) -> Result<(), String> {
    if new.epoch < old.epoch {
        return Err(format!("epoch {} is older than {}", new.epoch, old.epoch));
    }
    if new.scope != old.scope {
        return Err(format!("scope {} is not {}", new.scope, old.scope));
    }
    let same_epoch = new.epoch == old.epoch;
    for (id, before) in &old.hosted_queues {
        match new.hosted_queues.get(id) {
            Some(sections) => sections::check_change(before, sections, same_epoch)
                .map_err(|reason| format!("logical queue {id}: {reason}"))?,
            None if same_epoch => return Err(format!("logical queue {id} is missing in the same epoch")),
            None => {}
        }
    }
    Ok(())
}

/// A request for a queue that another broker leads, or nobody.
#[derive(Debug, Error)]
#[error("{topic}-{id} does not exist in request process of current broker {broker}")]
pub struct NotLeader {
    topic: String,
    id: i32,
    broker: String,
}

/// A logical queue that this broker leads.
pub struct LogicalQueue {
    mapping: Arc<TopicQueueMappingDetail>,
    /// Its number within the topic.
    pub id: i32,
}

impl LogicalQueue {
    /// The queue `id` of a topic.
    ///
    /// # Errors
    /// [`NotLeader`]: clients ask name servers anew.
    pub fn led(mapping: Arc<TopicQueueMappingDetail>, id: i32) -> Result<Self, NotLeader> {
        let queue = Self { mapping, id };
        if queue.newest().is_some_and(|section| queue.is_here(section)) {
            return Ok(queue);
        }
        let (topic, broker) = (queue.mapping.topic.clone(), queue.mapping.bname.clone());
        Err(NotLeader { topic, id, broker })
    }

    /// Any queue of a topic, for a sender that leaves the choice to the broker.
    ///
    /// # Errors
    /// [`NotLeader`] where this broker leads none.
    pub fn any_led(mapping: Arc<TopicQueueMappingDetail>) -> Result<Self, NotLeader> {
        let is_led = |sections: &Vec<LogicQueueMappingItem>| {
            sections.last().is_some_and(|section| section.bname == mapping.bname)
        };
        let led: Vec<i32> =
            mapping.hosted_queues.iter().filter(|(_, sections)| is_led(sections)).map(|(id, _)| *id).collect();
        let id = if led.is_empty() { -1 } else { led[rand::random_range(0..led.len())] };
        Self::led(mapping, id)
    }

    /// Its sections, oldest first.
    pub fn sections(&self) -> &[LogicQueueMappingItem] {
        self.mapping.hosted_queues.get(&self.id).map_or(&[], Vec::as_slice)
    }

    /// The section that is written.
    pub fn newest(&self) -> Option<&LogicQueueMappingItem> {
        self.sections().last()
    }

    /// The section that holds a logical offset.
    pub fn section_at(&self, logical: i64) -> Option<&LogicQueueMappingItem> {
        self.sections().get(sections::find(self.sections(), logical)?)
    }

    /// Whether a section lies on this broker.
    pub fn is_here(&self, section: &LogicQueueMappingItem) -> bool {
        section.bname == self.mapping.bname
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(generation: i32, bname: &str, logic_offset: i64) -> LogicQueueMappingItem {
        LogicQueueMappingItem { generation, bname: bname.into(), logic_offset, ..LogicQueueMappingItem::default() }
    }

    fn mapping(epoch: i64, queues: &[(i32, &[LogicQueueMappingItem])]) -> TopicQueueMappingDetail {
        TopicQueueMappingDetail {
            bname: "a".into(),
            epoch,
            hosted_queues: queues.iter().map(|(id, sections)| (*id, sections.to_vec())).collect(),
            topic: "T".into(),
            total_queues: 4,
            ..TopicQueueMappingDetail::default()
        }
    }

    fn update(topics: &StaticTopics, new: TopicQueueMappingDetail, force: bool) -> Result<(), String> {
        topics.update(new, force, || (), Box::new(|_| ()))
    }

    #[test]
    fn mappings_outlive_the_broker() {
        let folder = tempfile::tempdir().unwrap();
        let here = section(0, "a", 0);
        let writer = ConfigWriter::start(folder.path().to_owned());
        let topics = StaticTopics::load(folder.path(), &writer).unwrap();
        assert!(topics.get("T").is_none());
        update(&topics, mapping(1, &[(0, std::slice::from_ref(&here))]), false).unwrap();
        writer.shutdown();

        let writer = ConfigWriter::start(folder.path().to_owned());
        let topics = StaticTopics::load(folder.path(), &writer).unwrap();
        assert_eq!(topics.get("T").unwrap().hosted_queues[&0], [here]);
        assert_eq!(topics.wrapper().data_version.counter, 1);
        assert_eq!(topics.infos()["T"].curr_id_map, [(0, 0)].into());
        topics.delete("T");
        assert!(topics.get("T").is_none() && topics.names().is_empty());
        writer.shutdown();
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(text.contains("\"topicQueueMappingInfoMap\":{}") || !text.contains("hostedQueues"), "{text}");
    }

    #[test]
    fn an_impossible_file_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut bad = mapping(1, &[(0, &[section(0, "a", -1), section(1, "b", 0)])]);
        bad.topic = "T".into();
        let file = TopicQueueMappingSerializeWrapper {
            topic_queue_mapping_info_map: Some([("T".to_owned(), bad)].into()),
            ..Default::default()
        };
        std::fs::write(folder.path().join(FILE), file.encode()).unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let error = StaticTopics::load(folder.path(), &writer).err().unwrap().to_string();
        assert!(error.contains("topic T: logical queue 0: the section of generation 0 is undecided"), "{error}");
    }

    #[test]
    fn changes_are_compared_with_what_was() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let topics = StaticTopics::load(folder.path(), &writer).unwrap();
        let (a, b) = (section(0, "a", 0), section(1, "b", 10));
        let both = [a.clone(), b.clone()];
        update(&topics, mapping(5, &[(0, std::slice::from_ref(&a)), (1, std::slice::from_ref(&a))]), false).unwrap();
        let refused = |new, force| update(&topics, new, force).unwrap_err();
        assert!(refused(mapping(4, &[]), false).contains("older"));
        assert!(refused(mapping(5, &[(0, std::slice::from_ref(&a))]), false).contains("missing"));
        assert!(refused(mapping(5, &[(0, &both), (1, std::slice::from_ref(&a))]), false).contains("same epoch"));
        assert!(refused(mapping(6, &[(-1, &both)]), true).contains("logical queue -1"));
        let scoped = TopicQueueMappingDetail { scope: "other".into(), ..mapping(6, &[]) };
        assert!(refused(scoped, false).contains("scope"));
        // A move; the queue that is not named stays.
        update(&topics, mapping(6, &[(0, &both)]), false).unwrap();
        let now = topics.get("T").unwrap();
        assert_eq!((now.hosted_queues[&0].len(), now.hosted_queues[&1].len()), (2, 1));
        assert!(LogicalQueue::led(now.clone(), 0).is_err(), "broker b leads it");
        assert_eq!(LogicalQueue::any_led(now.clone()).ok().unwrap().id, 1);
        // By force also backwards.
        update(&topics, mapping(1, &[(0, std::slice::from_ref(&a))]), true).unwrap();
        assert!(LogicalQueue::led(topics.get("T").unwrap(), 0).is_ok());
        assert!(!topics.clean(&now, mapping(6, &[])), "it has changed since");
    }
}
