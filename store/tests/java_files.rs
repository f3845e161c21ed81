//! Consume queues and index, built from a commit log that a Java 5.5.0 broker wrote, must be byte for byte the files
//! that broker wrote beside it.
//!
//! `golden/java-5.5.0`: `mqadmin sendMessage` (keys, tags, text beyond ASCII, none of these) and the benchmark producer
//! with keys and tags, with mappedFileSizeConsumeQueue=400, maxHashSlotNum=16, maxIndexNum=60, then a clean stop. The
//! commit log is cut off behind its last record.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypergol_store::checkpoint::Checkpoint;
use hypergol_store::consume_queue::{PlacedEntry, QueueConfig, QueueFolders, QueueTable};
use hypergol_store::index::{IndexConfig, IndexKeys, IndexService};
use hypergol_store::record::{Record, property, tags_code};
use hypergol_store::{KeyKind, NoHooks, QueueEntry, StoreHooks};

const QUEUES: QueueConfig =
    QueueConfig { file_size: 400, batch_file_size: 460, flush_least_pages: 2, open_files_max: 4 };
const INDEX: IndexConfig = IndexConfig { slots: 16, items: 60 };

/// The queues below a store folder.
fn open_queues(root: &Path, hooks: Arc<dyn StoreHooks>) -> QueueTable {
    let (simple, batch) = (root.join("consumequeue"), root.join("batchconsumequeue"));
    let queues = QueueTable::open(QueueFolders { simple: &simple, batch: &batch }, QUEUES, hooks).unwrap();
    queues.recover().unwrap();
    queues
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/java-5.5.0")
}

fn log() -> Vec<u8> {
    fs::read(golden().join("commitlog/00000000000000000000")).unwrap()
}

fn records(log: &[u8]) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    let mut rest = log;
    while !rest.is_empty() {
        let record = Record::parse(rest).unwrap();
        record.validate().unwrap();
        rest = &rest[record.size()..];
        records.push(record);
    }
    records
}

fn dispatch(record: &Record<'_>, queues: &QueueTable, index: &IndexService) {
    let tag = property(record.properties(), "TAGS");
    let entry = QueueEntry {
        physical_offset: record.physical_offset(),
        size: record.size() as i32,
        tags_code: tag.map_or(0, tags_code),
    };
    let placed = PlacedEntry::simple(record.queue_offset(), entry);
    queues.get_or_create(record.topic(), record.queue_id()).unwrap().append_batch(&[placed]).unwrap();
    let keys = IndexKeys {
        topic: record.topic(),
        uniq_key: property(record.properties(), "UNIQ_KEY"),
        keys: property(record.properties(), "KEYS"),
        tags: tag,
        physical_offset: record.physical_offset(),
        store_timestamp: record.store_timestamp(),
    };
    index.put(&keys).unwrap();
}

/// Paths below a folder with the bytes of each file.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    files
}

fn copy_tree(from: &Path, to: &Path) {
    for (path, bytes) in tree(from) {
        let to = to.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
}

#[test]
fn the_same_log_makes_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let (queue_dir, index_dir) = (dir.path().join("consumequeue"), dir.path().join("index"));
    let log = log();
    // The second round goes on half way, after a flush and a restart.
    let records = records(&log);
    let (first, second) = records.split_at(records.len() / 2);
    for part in [first, second] {
        let queues = open_queues(dir.path(), Arc::new(NoHooks));
        let index = IndexService::open(&index_dir, INDEX).unwrap();
        part.iter().for_each(|record| dispatch(record, &queues, &index));
        assert!(queues.flush_all(true, 0).all_durable);
        index.flush().unwrap();
    }
    assert_eq!(tree(&queue_dir), tree(&golden().join("consumequeue")));
    // Index files are named by the time of their creation: compare them in order.
    let (ours, java) = (tree(&index_dir), tree(&golden().join("index")));
    assert_eq!(ours.len(), java.len());
    for (ours, (name, java)) in ours.values().zip(&java) {
        assert!(ours == java, "index file {} differs", name.display());
    }
}

#[test]
fn java_s_files_are_read_and_continued() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&golden(), dir.path());
    let log = log();
    let records = records(&log);
    let queues = open_queues(dir.path(), Arc::new(NoHooks));
    let index = IndexService::open(&dir.path().join("index"), INDEX).unwrap();
    let before = tree(dir.path());

    assert_eq!(queues.max_physical(), log.len() as i64);
    assert_eq!(index.end_physical(), records.last().unwrap().physical_offset());
    for record in &records {
        let queue = queues.get(record.topic(), record.queue_id()).unwrap();
        let entry = queue.entry(record.queue_offset()).unwrap();
        assert_eq!((entry.physical_offset, entry.size as usize), (record.physical_offset(), record.size()));
        let found = |key, kind| {
            let hits = index.query(record.topic(), key, kind, 1000, 0, i64::MAX);
            hits.physical_offsets.contains(&record.physical_offset())
        };
        let properties = record.properties();
        assert!(property(properties, "UNIQ_KEY").is_none_or(|key| found(key, KeyKind::UniqueKey)));
        assert!(property(properties, "KEYS").is_none_or(|keys| keys.split(' ').all(|key| found(key, KeyKind::Key))));
        assert!(property(properties, "TAGS").is_none_or(|tag| found(tag, KeyKind::Tag)));
        // Dispatched again, nothing changes.
        dispatch(record, &queues, &index);
    }
    queues.flush_all(true, 0);
    index.flush().unwrap();
    assert!(tree(dir.path()) == before, "files changed");
}

#[test]
fn rebuilding_java_s_index_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&golden().join("index"), dir.path());
    let index = IndexService::open(dir.path(), INDEX).unwrap();
    index.rebuild(i64::MAX, 0).unwrap();
    drop(index);
    let (ours, java) = (tree(dir.path()), tree(&golden().join("index")));
    for ((name, ours), java) in ours.iter().zip(java.values()) {
        // Header, slots, items; the counts and all links were made anew.
        assert!(ours == java, "index file {} differs", name.display());
    }
    assert_eq!(ours.len(), java.len());
}

#[test]
fn java_s_checkpoint_is_read_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint");
    let java = fs::read(golden().join("checkpoint")).unwrap();
    fs::write(&path, &java).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let log = log();
    let last = *records(&log).last().unwrap();
    assert_eq!(checkpoint.physic_msg_timestamp(), last.store_timestamp());
    assert_eq!(checkpoint.logics_msg_timestamp(), last.store_timestamp());
    assert_eq!(checkpoint.logics_physical_offset(), last.physical_offset());
    fs::remove_file(&path).unwrap();
    let again = Checkpoint::open(&path).unwrap();
    let values = checkpoint.values();
    again.set_physic_msg_timestamp(values.physic_msg_timestamp);
    again.set_logics_msg_timestamp(values.logics_msg_timestamp);
    again.set_index_msg_timestamp(values.index_msg_timestamp);
    again.set_logics_physical_offset(values.logics_physical_offset);
    again.flush().unwrap();
    assert!(fs::read(&path).unwrap() == java);
}
