//! Batch queues built from a commit log that a Java 5.5.0 broker wrote must be byte for byte the files that broker wrote
//! beside it.
//!
//! `golden/java-5.5.0-batch`: 25 batches of 1 to 7 messages, by the Java client, to the two queues of a topic with
//! queue.type=BatchCQ, with mappedFileSizeCommitLog=1048576 and mapperFileSizeBatchConsumeQueue=460, then a clean stop.
//! The commit log is cut off behind its last record.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hypergol_store::record::{FLAG_INNER_BATCH, Record, property};
use hypergol_store::{
    Arrival, Boundary, GetRequest, MatchAll, MessageStore, NewMessage, QueueKind, StoreConfig, StoreHooks,
};

const TOPIC: &str = "BatchT";
const SEGMENT: usize = 1 << 20;

struct Hooks;

impl StoreHooks for Hooks {
    fn messages_arrived(&self, _: &[Arrival<'_>]) {}

    fn deliver_time(&self, _: i32, store_timestamp_ms: i64) -> i64 {
        store_timestamp_ms
    }

    fn queue_kind(&self, topic: &str) -> Option<QueueKind> {
        (topic == TOPIC).then_some(QueueKind::Batch)
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/java-5.5.0-batch")
}

fn log() -> Vec<u8> {
    fs::read(golden().join("commitlog/00000000000000000000")).unwrap()
}

/// Lays Java's commit log into a folder.
fn write_log(root: &Path) {
    let mut log = log();
    log.resize(SEGMENT, 0);
    fs::create_dir_all(root.join("commitlog")).unwrap();
    fs::write(root.join("commitlog/00000000000000000000"), log).unwrap();
}

fn open(root: &Path) -> Arc<MessageStore> {
    let config = StoreConfig {
        mapped_file_size_commit_log: SEGMENT,
        mapper_file_size_batch_consume_queue: 460,
        max_hash_slot_num: 100,
        max_index_num: 400,
        // The golden log is as old as it is.
        file_reserved_time: Duration::from_secs(u64::from(u32::MAX)),
        ..StoreConfig::at(root)
    };
    MessageStore::open(config, Arc::new(Hooks)).unwrap()
}

/// Names of the files of a queue with their bytes.
fn files(root: &Path, queue_id: i32) -> BTreeMap<String, Vec<u8>> {
    let folder = root.join("batchconsumequeue").join(TOPIC).join(queue_id.to_string());
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    fs::read_dir(folder).unwrap().map(file).collect()
}

/// Physical offset, queue offset and messages of each record of a queue.
fn records(queue_id: i32) -> Vec<(i64, i64, i64)> {
    let log = log();
    let mut found = Vec::new();
    let mut rest = &log[..];
    while let Ok(record) = Record::parse(rest) {
        assert_eq!((record.topic(), record.sys_flag() & FLAG_INNER_BATCH), (TOPIC, FLAG_INNER_BATCH));
        let number = |name| property(record.properties(), name).unwrap().parse::<i64>().unwrap();
        assert_eq!(number("INNER_BASE"), record.queue_offset());
        if record.queue_id() == queue_id {
            found.push((record.physical_offset(), record.queue_offset(), number("INNER_NUM")));
        }
        rest = &rest[record.size()..];
    }
    assert!(rest.is_empty());
    found
}

fn check_reads(store: &MessageStore, queue_id: i32) {
    let records = records(queue_id);
    let end = records.last().map(|(_, base, messages)| base + messages).unwrap();
    let bounds = |store: &MessageStore| (store.min_offset(TOPIC, queue_id), store.max_offset(TOPIC, queue_id));
    assert_eq!((bounds(store), store.next_offset(TOPIC, queue_id)), ((0, end), end));
    for offset in 0..end {
        let request = GetRequest { topic: TOPIC, queue_id, offset, max_messages: 12, max_bytes: 1 << 20 };
        let result = store.get(&request, &MatchAll);
        let first = records.iter().rposition(|(_, base, _)| *base <= offset).unwrap();
        let mut count = 0;
        let whole = records[first..].iter().take_while(|(_, _, messages)| {
            count += messages;
            count <= 12
        });
        let expected: Vec<_> = whole.map(|(_, base, _)| *base).collect();
        assert_eq!(result.queue_offsets, expected, "from {offset}");
        let next = records[first + expected.len() - 1];
        assert_eq!(result.next_begin_offset, next.1 + next.2);
        assert_eq!(i64::from(result.count), result.next_begin_offset - expected[0]);
        let entry = store.queue_entry(TOPIC, queue_id, offset).unwrap();
        assert_eq!(entry.physical_offset, records[first].0);
        let time = store.store_time_of(TOPIC, queue_id, offset);
        assert!(store.offset_by_time(TOPIC, queue_id, time, Boundary::Lower) <= offset);
    }
    assert_eq!(store.queue_entries(TOPIC, queue_id, 1, 100).len(), records.len() - usize::from(records[0].2 == 1));
}

#[test]
fn the_same_log_makes_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path());
    for _ in 0..2 {
        let store = open(dir.path());
        assert_eq!(store.topics(), [(TOPIC.to_owned(), vec![0, 1])]);
        (0..2).for_each(|queue_id| check_reads(&store, queue_id));
        store.shutdown();
        for queue_id in 0..2 {
            assert_eq!(files(dir.path(), queue_id), files(&golden(), queue_id));
        }
        // As after a crash: the log is dispatched once more.
        fs::write(dir.path().join("abort"), b"1").unwrap();
    }
}

#[test]
fn java_s_files_are_read_and_continued() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path());
    for queue_id in 0..2 {
        let folder = dir.path().join("batchconsumequeue").join(TOPIC).join(queue_id.to_string());
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files(&golden(), queue_id) {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let store = open(dir.path());
    (0..2).for_each(|queue_id| check_reads(&store, queue_id));
    let (max, next) = (store.max_offset(TOPIC, 1), store.next_offset(TOPIC, 1));
    let log = log();
    let first = Record::parse(&log).unwrap();
    let appended = store
        .put(&NewMessage {
            topic: TOPIC,
            queue_id: 1,
            flag: first.flag(),
            sys_flag: first.sys_flag(),
            born_timestamp: first.born_timestamp(),
            born_host: first.born_host(),
            store_host: first.store_host(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: first.body(),
            properties: b"INNER_BASE\x0177\x02INNER_NUM\x015",
        })
        .unwrap();
    assert_eq!((appended.queue_offset, store.next_offset(TOPIC, 1)), (next, next + 5));
    let bytes = store.record_at_sized(appended.physical_offset, appended.size).unwrap();
    let record = Record::parse(&bytes).unwrap();
    record.validate().unwrap();
    assert_eq!(
        record.properties(),
        format!("INNER_BASE\x0177\x02INNER_NUM\x015\x02INNER_BASE\x01{next}\x02").as_bytes()
    );
    store.shutdown();
    let store = open(dir.path());
    assert_eq!((store.max_offset(TOPIC, 1), store.next_offset(TOPIC, 1)), (max + 5, max + 5));
    for (name, bytes) in files(&golden(), 1) {
        let ours = &files(dir.path(), 1)[&name];
        let units = bytes.chunks(46).take_while(|unit| unit.iter().any(|&byte| byte != 0)).count();
        assert_eq!(ours[..units * 46], bytes[..units * 46]);
    }
}
