//! Consumer offsets, kept in `config/consumerOffset.json`, or with `enableLmq` in `config/lmqConsumerOffset.json`.
//!
//! For each topic and group: the offset committed for each queue, the offset behind what was last pulled, and offsets
//! that an administrator has set and the group has not taken up yet. The last ones live in memory only, as in Java.
//!
//! A group that has the name of a light queue has one position in each topic, whatever the queue; the file keeps these
//! apart (`LmqConsumerOffsetManager`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use hypergol_remoting::body;
use hypergol_remoting::protocol::body::topic::DataVersion;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_store::light;
use parking_lot::Mutex;

use crate::error::BrokerError;
use crate::persist::{self, ConfigFile, ConfigWriter, WrittenCallback};

/// Name of the file.
const FILE: &str = "consumerOffset.json";
/// Its name with `enableLmq`.
const LIGHT_FILE: &str = "lmqConsumerOffset.json";
/// Between topic and group in a key; legal in neither.
const SEPARATOR: char = '@';

body! {
    /// The file `consumerOffset.json`, and the answer of `GET_ALL_CONSUMER_OFFSET`.
    #[derive(Eq)]
    pub struct ConsumerOffsetFile {
        /// Version of the table.
        "dataVersion" data_version: DataVersion,
        /// Derived from the offset table, for people; not read.
        "groupTopicMap" group_topic_map: BTreeMap<String, Vec<String>>,
        /// `topic@group` to committed offset, of groups that have the name of a light queue; only with `enableLmq`.
        "lmqOffsetTable" lmq_offset_table: Option<BTreeMap<String, i64>>,
        /// `topic@group` to queue to committed offset.
        "offsetTable" offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
        /// `topic@group` to queue to the offset behind what was last pulled.
        "pullOffsetTable" pull_offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
    }
}

/// Positions of all groups.
pub struct Offsets {
    table: Arc<Table>,
    file: ConfigFile,
}

#[derive(Default)]
struct Table {
    /// `enableLmq`.
    light: bool,
    positions: DashMap<String, Mutex<Positions>>,
    version: Mutex<DataVersion>,
    commits: AtomicU64,
    /// Something changed since the file was last asked to be written.
    changed: AtomicBool,
}

/// Positions of one group in one topic, by queue.
#[derive(Clone, Debug, Default)]
struct Positions {
    committed: BTreeMap<i32, i64>,
    pulled: BTreeMap<i32, i64>,
    reset: BTreeMap<i32, i64>,
}

impl Table {
    /// Every commit comes here, so the flag is not written where it stands already.
    fn note_change(&self) {
        if !self.changed.load(Ordering::Acquire) {
            self.changed.store(true, Ordering::Release);
        }
    }

    fn contents(&self) -> ConsumerOffsetFile {
        let mut file = ConsumerOffsetFile { data_version: self.version.lock().clone(), ..Default::default() };
        let mut light = BTreeMap::new();
        for entry in &self.positions {
            let positions = entry.value().lock();
            if self.is_light(split(entry.key()).map_or("", |(_, group)| group)) {
                light.extend(positions.committed.get(&light::QUEUE_ID).map(|offset| (entry.key().clone(), *offset)));
            } else if !positions.committed.is_empty() {
                if let Some((topic, group)) = split(entry.key()) {
                    file.group_topic_map.entry(group.to_owned()).or_default().push(topic.to_owned());
                }
                file.offset_table.insert(entry.key().clone(), positions.committed.clone());
            }
            if !positions.pulled.is_empty() {
                file.pull_offset_table.insert(entry.key().clone(), positions.pulled.clone());
            }
        }
        file.lmq_offset_table = self.light.then_some(light);
        file
    }

    fn is_light(&self, group: &str) -> bool {
        self.light && light::is_light(group)
    }
}

impl Offsets {
    /// Loads the file of `folder`. `light` is `enableLmq`; where its file does not exist yet, the other one is taken,
    /// so that no group starts anew when the switch is turned on.
    ///
    /// # Errors
    /// [`BrokerError::Damaged`].
    pub fn load(folder: &Path, writer: &ConfigWriter, light: bool) -> Result<Self, BrokerError> {
        let table = Arc::new(Table { light, ..Table::default() });
        let name = if light { LIGHT_FILE } else { FILE };
        let loaded = match persist::load::<ConsumerOffsetFile>(folder, name)? {
            None if light => persist::load(folder, FILE)?,
            loaded => loaded,
        };
        if let Some(loaded) = loaded {
            for (key, offset) in loaded.lmq_offset_table.unwrap_or_default() {
                table.positions.entry(key).or_default().lock().committed.insert(light::QUEUE_ID, offset);
            }
            *table.version.lock() = loaded.data_version;
            for (key, committed) in loaded.offset_table {
                table.positions.entry(key).or_default().lock().committed = committed;
            }
            for (key, pulled) in loaded.pull_offset_table {
                table.positions.entry(key).or_default().lock().pulled = pulled;
            }
        }
        let file = writer.file(name, {
            let table = table.clone();
            move || table.contents().encode_pretty()
        });
        Ok(Self { table, file })
    }

    /// Commits an offset. Every `version_step` commits the version of the table rises (`consumerOffsetUpdateVersionStep`).
    pub fn commit(&self, topic: &str, group: &str, queue_id: i32, offset: i64, version_step: i64) {
        let queue_id = self.queue(group, queue_id);
        self.change(topic, group, |positions| {
            positions.committed.insert(queue_id, offset);
        });
        let commits = self.table.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if u64::try_from(version_step).is_ok_and(|step| step > 0 && commits.is_multiple_of(step)) {
            self.table.version.lock().next_version(0);
        }
    }

    /// Notes how far a group has pulled.
    pub fn pulled(&self, topic: &str, group: &str, queue_id: i32, next_offset: i64) {
        self.change(topic, group, |positions| {
            positions.pulled.insert(queue_id, next_offset);
        });
    }

    /// The committed offset, or with `with_reset` the one an administrator has set and the group has not taken up.
    pub fn committed(&self, topic: &str, group: &str, queue_id: i32, with_reset: bool) -> Option<i64> {
        let queue_id = self.queue(group, queue_id);
        self.look(topic, group, |positions| {
            let reset = positions.reset.get(&queue_id).filter(|_| with_reset);
            reset.or_else(|| positions.committed.get(&queue_id)).copied()
        })
        .flatten()
    }

    /// How far a group has pulled; where that is not known, its committed offset.
    pub fn last_pulled(&self, topic: &str, group: &str, queue_id: i32) -> Option<i64> {
        let pulled = self.look(topic, group, |positions| positions.pulled.get(&queue_id).copied()).flatten();
        pulled.or_else(|| self.committed(topic, group, queue_id, true))
    }

    /// Sets an offset that the group takes up with its next pull.
    pub fn reset(&self, topic: &str, group: &str, queue_id: i32, offset: i64) {
        self.change(topic, group, |positions| {
            positions.reset.insert(queue_id, offset);
            positions.committed.insert(queue_id, offset);
        });
    }

    /// Whether an offset that was set waits for the group.
    pub fn has_reset(&self, topic: &str, group: &str, queue_id: i32) -> bool {
        self.look(topic, group, |positions| positions.reset.contains_key(&queue_id)).unwrap_or(false)
    }

    /// Takes up an offset that was set.
    pub fn take_reset(&self, topic: &str, group: &str, queue_id: i32) -> Option<i64> {
        if !self.has_reset(topic, group, queue_id) {
            return None;
        }
        self.look_mut(topic, group, |positions| positions.reset.remove(&queue_id)).flatten()
    }

    /// The committed offsets of a group in a topic, by queue.
    pub fn of(&self, topic: &str, group: &str) -> BTreeMap<i32, i64> {
        self.look(topic, group, |positions| positions.committed.clone()).unwrap_or_default()
    }

    /// Topics in which a group has committed offsets.
    pub fn topics_of(&self, group: &str) -> BTreeSet<String> {
        let keys = self.committed_keys();
        keys.iter().filter_map(|key| split(key)).filter(|(_, g)| *g == group).map(|(t, _)| t.to_owned()).collect()
    }

    /// Groups that have committed offsets in a topic.
    pub fn groups_of(&self, topic: &str) -> BTreeSet<String> {
        let keys = self.committed_keys();
        keys.iter().filter_map(|key| split(key)).filter(|(t, _)| *t == topic).map(|(_, g)| g.to_owned()).collect()
    }

    fn committed_keys(&self) -> Vec<String> {
        let table = &self.table.positions;
        table.iter().filter(|e| !e.value().lock().committed.is_empty()).map(|e| e.key().clone()).collect()
    }

    /// Forgets a group.
    pub fn remove_group(&self, group: &str) {
        self.table.note_change();
        self.table.positions.retain(|key, _| split(key).is_none_or(|(_, g)| g != group));
    }

    /// Forgets a group in a topic.
    pub fn remove(&self, topic: &str, group: &str) {
        self.table.note_change();
        with_key(topic, group, |key| self.table.positions.remove(key));
    }

    /// Number of pairs of a topic and a group that has committed offsets in it.
    pub fn committed_pairs(&self) -> usize {
        self.committed_keys().len()
    }

    /// Forgets a topic.
    pub fn remove_topic(&self, topic: &str) {
        self.table.note_change();
        self.table.positions.retain(|key, _| split(key).is_none_or(|(t, _)| t != topic));
    }

    /// Forgets how far a group has pulled a topic.
    pub fn clear_pulled(&self, topic: &str, group: &str) {
        self.look_mut(topic, group, |positions| positions.pulled.clear());
    }

    /// Gives a group the committed offsets that another has in a topic.
    pub fn clone_group(&self, topic: &str, from: &str, to: &str) {
        if let Some(committed) = self.look(topic, from, |positions| positions.committed.clone()) {
            self.change(topic, to, |positions| positions.committed = committed);
        }
    }

    /// All positions with the version of the table, as the file has them: a copy.
    pub fn contents(&self) -> ConsumerOffsetFile {
        self.table.contents()
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.table.version.lock().clone()
    }

    /// Has the file written soon, if anything changed.
    pub fn persist(&self) {
        if self.table.changed.swap(false, Ordering::AcqRel) {
            self.file.changed();
        }
    }

    /// Has the file written, and calls `done` after.
    pub fn persist_then(&self, done: WrittenCallback) {
        self.file.written(done);
    }

    /// The queue that a group's position in a queue is that of.
    fn queue(&self, group: &str, queue_id: i32) -> i32 {
        if self.table.is_light(group) { light::QUEUE_ID } else { queue_id }
    }

    fn look<T>(&self, topic: &str, group: &str, look: impl FnOnce(&Positions) -> T) -> Option<T> {
        with_key(topic, group, |key| self.table.positions.get(key).map(|entry| look(&entry.lock())))
    }

    fn look_mut<T>(&self, topic: &str, group: &str, change: impl FnOnce(&mut Positions) -> T) -> Option<T> {
        self.table.note_change();
        with_key(topic, group, |key| self.table.positions.get(key).map(|entry| change(&mut entry.lock())))
    }

    fn change(&self, topic: &str, group: &str, change: impl FnOnce(&mut Positions)) {
        self.table.note_change();
        with_key(topic, group, |key| {
            if let Some(entry) = self.table.positions.get(key) {
                change(&mut entry.lock());
                return;
            }
            let entry = self.table.positions.entry(key.to_owned()).or_default();
            change(&mut entry.lock());
        });
    }
}

/// Makes the key of a topic and a group without allocating each time.
fn with_key<T>(topic: &str, group: &str, use_key: impl FnOnce(&str) -> T) -> T {
    thread_local! {
        static KEY: RefCell<String> = const { RefCell::new(String::new()) };
    }
    // Taken out while it is used, so that a nested call cannot meet it borrowed.
    let mut key = KEY.take();
    key.clear();
    key.push_str(topic);
    key.push(SEPARATOR);
    key.push_str(group);
    let result = use_key(&key);
    KEY.set(key);
    result
}

/// Topic and group of a key.
fn split(key: &str) -> Option<(&str, &str)> {
    key.split_once(SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn offsets(folder: &Path) -> (Offsets, Arc<ConfigWriter>) {
        let writer = ConfigWriter::start(folder.to_owned());
        (Offsets::load(folder, &writer, false).unwrap(), writer)
    }

    #[test]
    fn a_reset_counts_until_it_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let (offsets, _writer) = offsets(folder.path());
        assert_eq!(offsets.committed("T", "g", 0, true), None);
        offsets.commit("T", "g", 0, 5, 500);
        offsets.reset("T", "g", 0, 2);
        offsets.commit("T", "g", 0, 6, 500);
        assert_eq!(offsets.committed("T", "g", 0, true), Some(2));
        assert_eq!(offsets.committed("T", "g", 0, false), Some(6));
        assert_eq!(offsets.take_reset("T", "g", 1), None);
        assert_eq!(offsets.take_reset("T", "g", 0), Some(2));
        assert_eq!(offsets.take_reset("T", "g", 0), None);
        assert_eq!(offsets.committed("T", "g", 0, true), Some(6));
    }

    #[test]
    fn groups_and_topics_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let (offsets, _writer) = offsets(folder.path());
        for (topic, group) in [("T", "g"), ("T", "gg"), ("TT", "g"), ("%RETRY%g", "g")] {
            offsets.commit(topic, group, 3, 1, 2);
        }
        offsets.pulled("P", "g", 0, 9);
        assert_eq!(offsets.version().counter, 2);
        assert_eq!(offsets.topics_of("g"), ["%RETRY%g", "T", "TT"].map(str::to_owned).into());
        assert_eq!(offsets.groups_of("T"), ["g", "gg"].map(str::to_owned).into());
        offsets.clone_group("T", "g", "h");
        assert_eq!(offsets.of("T", "h"), [(3, 1)].into());
        offsets.remove_topic("T");
        assert!(offsets.groups_of("T").is_empty() && !offsets.groups_of("TT").is_empty());
        offsets.remove_group("g");
        assert!(offsets.topics_of("g").is_empty());
        assert_eq!(offsets.last_pulled("P", "g", 0), None);
    }

    #[test]
    fn groups_of_light_queues_have_one_position_and_a_table_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let (before, writer) = offsets(folder.path());
        before.commit("T", "g", 3, 5, 0);
        let (done, wait) = mpsc::channel();
        before.persist_then(Box::new(move |result| done.send(result).unwrap()));
        wait.recv().unwrap().unwrap();
        let offsets = Offsets::load(folder.path(), &writer, true).unwrap();
        assert_eq!(offsets.committed("T", "g", 3, false), Some(5), "the switch was turned on");
        offsets.commit("%LMQ%a", "%LMQ%a", 7, 11, 0);
        assert_eq!(offsets.committed("%LMQ%a", "%LMQ%a", 2, true), Some(11));
        assert_eq!(offsets.of("%LMQ%a", "%LMQ%a"), [(0, 11)].into());
        offsets.commit("%LMQ%a", "g", 0, 9, 0);
        let (done, wait) = mpsc::channel();
        offsets.persist_then(Box::new(move |result| done.send(result).unwrap()));
        wait.recv().unwrap().unwrap();
        let text = std::fs::read_to_string(folder.path().join(LIGHT_FILE)).unwrap();
        let flat: String = text.split_whitespace().collect();
        assert!(
            flat.contains(
                r#""lmqOffsetTable":{"%LMQ%a@%LMQ%a":11},"offsetTable":{"%LMQ%a@g":{0:9},"T@g":{3:5}},"pullOffset"#
            ),
            "{flat}"
        );
        let again = Offsets::load(folder.path(), &writer, true).unwrap();
        let tables = |offsets: &Offsets| (offsets.contents().lmq_offset_table, offsets.contents().offset_table);
        assert_eq!(tables(&again), tables(&offsets));
    }

    #[test]
    fn the_file_has_javas_shape_and_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (first, writer) = offsets(folder.path());
        first.commit("T", "g", 0, 5, 1);
        first.commit("T", "g", 10, 7, 0);
        first.pulled("T", "g", 0, 6);
        let (done, wait) = mpsc::channel();
        first.persist_then(Box::new(move |result| done.send(result).unwrap()));
        wait.recv().unwrap().unwrap();
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        let flat: String = text.split_whitespace().collect();
        assert!(
            flat.contains(
                r#""groupTopicMap":{"g":["T"]},"offsetTable":{"T@g":{0:5,10:7}},"pullOffsetTable":{"T@g":{0:6}}"#
            ),
            "{flat}"
        );
        writer.shutdown();
        let (second, _writer) = offsets(folder.path());
        assert_eq!(second.contents(), first.contents());
        assert_eq!(second.last_pulled("T", "g", 0), Some(6));
        assert_eq!(second.last_pulled("T", "g", 10), Some(7));
    }
}
