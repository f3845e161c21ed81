//! Compaction logs made from a commit log that a Java 5.5.0 broker wrote must be byte for byte the files that broker wrote
//! beside it, and so must they be after a compaction.
//!
//! `golden/java-5.5.0-compaction`: 60 messages of up to 700 bytes with seven keys, sent to the two queues of a topic with
//! cleanup.policy=COMPACTION, among some to a plain topic; mappedFileSizeCommitLog=1048576, compactionMappedFileSize=2300,
//! compactionCqMappedFileSize=460. `before` is the folder `compaction` after a clean stop, `after` the same once the
//! broker was started again with compactionScheduleInternal=2000 and had compacted both queues. The commit log is cut off
//! behind its last record.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_store::{Arrival, GetRequest, MatchAll, MessageStore, Record, StoreConfig, StoreHooks};

const TOPIC: &str = "C";
const SEGMENT: usize = 1 << 20;

struct Hooks;

impl StoreHooks for Hooks {
    fn messages_arrived(&self, _: &[Arrival<'_>]) {}

    fn deliver_time(&self, _: i32, store_timestamp_ms: i64) -> i64 {
        store_timestamp_ms
    }

    fn is_compacted(&self, topic: &str) -> bool {
        topic == TOPIC
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/java-5.5.0-compaction").join(name)
}

/// Lays Java's commit log into a folder.
fn write_log(root: &Path) {
    let mut log = fs::read(golden("commitlog/00000000000000000000")).unwrap();
    log.resize(SEGMENT, 0);
    fs::create_dir_all(root.join("commitlog")).unwrap();
    fs::write(root.join("commitlog/00000000000000000000"), log).unwrap();
}

fn open(root: &Path, interval: Duration) -> Arc<MessageStore> {
    let config = StoreConfig {
        mapped_file_size_commit_log: SEGMENT,
        compaction_mapped_file_size: 2300,
        compaction_cq_mapped_file_size: 460,
        compaction_schedule_internal: interval,
        max_hash_slot_num: 100,
        max_index_num: 400,
        // The golden log is as old as it is.
        file_reserved_time: Duration::from_secs(u64::from(u32::MAX)),
        ..StoreConfig::at(root)
    };
    MessageStore::open(config, Arc::new(Hooks)).unwrap()
}

/// Files of a folder and those below it, by their path there; positions left out.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "position-checkpoint") {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn assert_same(ours: &BTreeMap<PathBuf, Vec<u8>>, java: &BTreeMap<PathBuf, Vec<u8>>) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), java.keys().collect::<Vec<_>>());
    for (path, bytes) in ours {
        assert!(*bytes == java[path], "{} differs", path.display());
    }
}

/// Queue offsets of all messages of a queue.
fn offsets(store: &MessageStore, queue_id: i32) -> Vec<i64> {
    let (mut all, mut offset) = (Vec::new(), 0);
    loop {
        let request = GetRequest { topic: TOPIC, queue_id, offset, max_messages: 32, max_bytes: 1 << 20 };
        let result = store.get(&request, &MatchAll);
        if result.messages.is_empty() {
            return all;
        }
        for bytes in &result.messages {
            let record = Record::parse(bytes).unwrap();
            record.validate().unwrap();
            all.push(record.queue_offset());
        }
        offset = result.next_begin_offset;
    }
}

fn copy(from: &Path, to: &Path) {
    for path in files(from).keys() {
        fs::create_dir_all(to.join(path).parent().unwrap()).unwrap();
        fs::copy(from.join(path), to.join(path)).unwrap();
    }
}

#[test]
fn logs_are_made_as_java_makes_them() {
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path());
    let store = open(folder.path(), Duration::from_secs(3600));
    assert_eq!([0, 1].map(|queue| offsets(&store, queue).len()), [30, 30]);
    store.shutdown();
    assert_same(&files(&folder.path().join("compaction")), &files(&golden("before")));
}

#[test]
fn logs_are_compacted_as_java_compacts_them() {
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path());
    let compaction = folder.path().join("compaction");
    copy(&golden("before"), &compaction);
    let store = open(folder.path(), Duration::from_millis(1));
    let positions = compaction.join("position-checkpoint");
    let begin = Instant::now();
    // Written last.
    while !fs::read_to_string(&positions).is_ok_and(|text| text.contains("\"C_0\":26") && text.contains("\"C_1\":27")) {
        assert!(begin.elapsed() < Duration::from_secs(60), "not compacted");
        std::thread::sleep(Duration::from_millis(20));
    }
    let there = [0, 1].map(|queue| offsets(&store, queue));
    store.shutdown();
    assert_same(&files(&compaction), &files(&golden("after")));

    // Java's files and positions are read: the same messages, and nothing is left to do.
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path());
    let compaction = folder.path().join("compaction");
    copy(&golden("after"), &compaction);
    fs::copy(golden("after/position-checkpoint"), compaction.join("position-checkpoint")).unwrap();
    let store = open(folder.path(), Duration::from_secs(3600));
    assert_eq!([0, 1].map(|queue| offsets(&store, queue)), there);
    store.shutdown();
    assert_same(&files(&compaction), &files(&golden("after")));
}
