//! Whole store folders that a Java 5.5.0 broker left behind, one after SIGTERM and one after SIGKILL while messages were
//! being sent, are opened, checked against their manifests, written to, closed and opened again.
//!
//! Folders and manifests: `compat-tests/golden/store`, described in the README there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_store::record::{Record, property, sys_flag_is_queued};
use hypergol_store::timer::{MAGIC_DEFAULT, TimerUnit};
use hypergol_store::{
    GetRequest, GetStatus, KeyKind, MatchAll, MessageStore, NewMessage, NoHooks, StoreConfig, TimerConfig, TimerStore,
};
use serde_json::Value;

/// Topic of the messages added here; Java knows it, with four queues.
const TOPIC: &str = "Orders";
const KEY: &str = "added-by-hypergol";

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../compat-tests/golden/store").join(file)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, path) = entry.map(|entry| (entry.file_type().unwrap(), entry.path())).unwrap();
        let target = to.join(path.file_name().unwrap());
        match entry.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(fs::copy(&path, target).unwrap()),
        }
    }
}

struct Folder {
    manifest: Value,
    config: StoreConfig,
}

impl Folder {
    fn unpack(name: &str, root: &Path) -> Self {
        fs::create_dir(root).unwrap();
        let archive = golden(&format!("{name}.tar.gz"));
        let unpacked = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(root).output().unwrap();
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
        let manifest: Value = serde_json::from_slice(&fs::read(golden(&format!("{name}.json"))).unwrap()).unwrap();
        let setting = |key: &str| manifest["settings"][key].as_str().unwrap().parse::<u64>().unwrap();
        let config = StoreConfig {
            mapped_file_size_commit_log: setting("mappedFileSizeCommitLog") as usize,
            mapped_file_size_consume_queue: setting("mappedFileSizeConsumeQueue") as usize,
            max_hash_slot_num: setting("maxHashSlotNum") as u32,
            max_index_num: setting("maxIndexNum") as u32,
            max_msgs_num_batch: 10_000,
            ..StoreConfig::at(root)
        };
        Folder { manifest, config }
    }

    fn open(&self) -> Arc<MessageStore> {
        MessageStore::open(self.config.clone(), Arc::new(NoHooks)).unwrap()
    }

    /// Everything Java wrote is there, and `added` messages in each queue of [`TOPIC`] behind it.
    fn check(&self, store: &MessageStore, added: i64) {
        let messages = self.manifest["messages"].as_array().unwrap();
        assert!(messages.len() > 250);
        for message in messages {
            check_message(store, message);
        }
        let mut queues = Vec::new();
        for queue in self.manifest["topics"].as_array().unwrap() {
            let topic = queue["topic"].as_str().unwrap();
            let id = queue["queue_id"].as_i64().unwrap() as i32;
            let more = if topic == TOPIC { added } else { 0 };
            assert_eq!(store.min_offset(topic, id), queue["min_offset"].as_i64().unwrap(), "{topic} {id}");
            assert_eq!(store.max_offset(topic, id), queue["max_offset"].as_i64().unwrap() + more, "{topic} {id}");
            assert_eq!(store.next_offset(topic, id), store.max_offset(topic, id), "{topic} {id}");
            queues.push((topic.to_owned(), id));
        }
        for (topic, ids) in store.topics() {
            for id in ids.into_iter().filter(|id| store.max_offset(&topic, *id) > 0) {
                assert!(queues.contains(&(topic.clone(), id)), "{topic} {id} is no queue of Java's");
            }
        }
        let found = store.query(TOPIC, KEY, KeyKind::Key, 10_000, 0, i64::MAX);
        assert_eq!(found.messages.len() as i64, added * 4);
    }

    /// Adds `count` messages to each queue of [`TOPIC`].
    fn add(&self, store: &MessageStore, count: i64) {
        let properties = format!("KEYS\x01{KEY}\x02");
        for n in 0..count * 4 {
            let queue_id = (n % 4) as i32;
            let next = store.next_offset(TOPIC, queue_id);
            let message = NewMessage {
                topic: TOPIC,
                queue_id,
                flag: 0,
                sys_flag: 0,
                born_timestamp: n,
                born_host: ([127, 0, 0, 1], 1).into(),
                store_host: ([127, 0, 0, 1], 2).into(),
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body: &[n as u8; 500],
                properties: properties.as_bytes(),
            };
            assert_eq!(store.put(&message).unwrap().queue_offset, next);
        }
        let begin = Instant::now();
        while store.dispatched_offset() < store.max_physical_offset() {
            assert!(begin.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn check_message(store: &MessageStore, message: &Value) {
    let number = |key: &str| message[key].as_i64().unwrap();
    let text = |key: &str| message[key].as_str();
    let (topic, offset, size) = (text("topic").unwrap(), number("physical_offset"), number("size") as i32);
    let bytes = store.record_at_sized(offset, size).unwrap_or_else(|| panic!("no record at {offset}"));
    let record = Record::parse(&bytes).unwrap();
    record.validate().unwrap();
    assert_eq!((record.topic(), i64::from(record.queue_id())), (topic, number("queue_id")));
    assert_eq!(record.queue_offset(), number("queue_offset"));
    assert_eq!(i64::from(record.sys_flag()), number("sys_flag"));
    assert_eq!(record.store_timestamp(), number("store_timestamp"));
    assert_eq!(i64::from(record.reconsume_times()), number("reconsume_times"));
    assert_eq!(record.prepared_transaction_offset(), number("prepared_transaction_offset"));
    assert_eq!(i64::from(record.body_crc()), number("body_crc"));
    for (key, name) in [("tags", "TAGS"), ("keys", "KEYS"), ("unique_key", "UNIQ_KEY")] {
        assert_eq!(property(record.properties(), name), text(key), "at {offset}");
    }
    if sys_flag_is_queued(record.sys_flag()) {
        let entry = store.queue_entry(topic, record.queue_id(), record.queue_offset());
        let entry = entry.unwrap_or_else(|| panic!("no entry of the record at {offset}"));
        assert_eq!((entry.physical_offset, entry.size), (offset, size));
        let request = GetRequest {
            topic,
            queue_id: record.queue_id(),
            offset: record.queue_offset(),
            max_messages: 1,
            max_bytes: 1 << 20,
        };
        let result = store.get(&request, &MatchAll);
        assert_eq!((result.status, result.messages), (GetStatus::Found, vec![bytes.clone()]));
    }
    let found = |key: &str, kind| {
        let hits = store.query(topic, key, kind, 10_000, 0, i64::MAX);
        assert!(hits.messages.contains(&bytes), "{kind:?} {key} does not find the record at {offset}");
    };
    text("unique_key").into_iter().for_each(|key| found(key, KeyKind::UniqueKey));
    text("keys").into_iter().flat_map(|keys| keys.split(' ')).for_each(|key| found(key, KeyKind::Key));
    text("tags").into_iter().for_each(|tag| found(tag, KeyKind::Tag));
}

fn round(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::unpack(name, &dir.path().join("store"));
    let root = &folder.config.store_path_root_dir;
    assert_eq!(root.join("abort").exists(), name == "killed");
    let store = folder.open();
    folder.check(&store, 0);
    folder.add(&store, 40);
    folder.check(&store, 40);
    // As a kill would leave it.
    let crashed = dir.path().join("crashed");
    copy_folder(root, &crashed);
    drop(store);
    assert!(!root.join("abort").exists());
    folder.check(&folder.open(), 40);

    let config = StoreConfig { store_path_root_dir: crashed, ..folder.config.clone() };
    let crashed = Folder { config, ..folder };
    let store = crashed.open();
    crashed.check(&store, 40);
    crashed.add(&store, 1);
    drop(store);
    crashed.check(&crashed.open(), 41);
}

#[test]
fn a_broker_that_was_stopped() {
    round("clean");
}

#[test]
fn a_broker_that_was_killed() {
    round("killed");
}

/// The timer that waits in both folders is found, and stays when another one joins it.
#[test]
fn timers_of_java_go_on() {
    for name in ["clean", "killed"] {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::unpack(name, &scratch.path().join(name));
        let messages = folder.manifest["messages"].as_array().unwrap();
        let message = messages.iter().find(|message| message["topic"] == "rmq_sys_wheel_timer").unwrap();
        let setting = folder.manifest["settings"]["mappedFileSizeTimerLog"].as_str().unwrap();
        let config = TimerConfig {
            root: scratch.path().join(name),
            precision_ms: 1000,
            log_file_size: setting.parse().unwrap(),
        };
        let (timers, recovered) = TimerStore::open(&config, i64::MAX).unwrap();
        assert!(!recovered.incomplete && !recovered.is_cut);
        assert_eq!((recovered.checkpoint.queue_offset, recovered.checkpoint.log_flush_position), (1, 52));
        let unit = recovered.last.unwrap();
        assert_eq!(unit.physical_offset, message["physical_offset"].as_i64().unwrap());
        assert_eq!(i64::from(unit.size), message["size"].as_i64().unwrap());
        assert_eq!(unit.topic_hash, hypergol_store::record::java_hash("Orders"));
        // It was sent to wait for a day.
        let waits_ms = unit.slot_time_ms - message["store_timestamp"].as_i64().unwrap();
        assert!((86_398_000..=86_400_000).contains(&waits_ms), "{waits_ms}");
        let slot = timers.slot(unit.slot_time_ms).unwrap();
        assert_eq!((slot.first, slot.last, slot.number), (0, 0, 1));

        let other = TimerUnit { magic: MAGIC_DEFAULT, physical_offset: 5, ..unit };
        timers.append(&[other]).unwrap();
        timers.flush(recovered.checkpoint).unwrap();
        drop(timers);
        let (timers, _) = TimerStore::open(&config, i64::MAX).unwrap();
        let slot = timers.slot(unit.slot_time_ms).unwrap();
        let found = timers.slot_units(&slot, -1, 10, |_| true).unwrap();
        let offsets: Vec<_> = found.units.iter().map(|(_, unit)| unit.physical_offset).collect();
        assert_eq!(offsets, [unit.physical_offset, 5]);
    }
}
