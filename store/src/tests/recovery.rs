use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::StoreError;
use crate::checkpoint::Checkpoint;

struct Logged {
    offset: i64,
    topic: String,
    queue_id: i32,
    queue_offset: i64,
    body: Vec<u8>,
}

/// Every valid record of the log's files, read without the store's help, up to the first invalid byte.
fn log_prefix(folder: &Path, size: usize) -> Vec<Logged> {
    let mut files: Vec<_> = std::fs::read_dir(folder.join("commitlog")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut records = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let bytes = std::fs::read(path).unwrap();
        let mut at = 0;
        while let Ok(record) = Record::parse(&bytes[at..]) {
            let offset = (index * size + at) as i64;
            if record.validate().is_err() || record.physical_offset() != offset {
                break;
            }
            let (topic, body) = (record.topic().to_owned(), record.body().to_vec());
            let (queue_id, queue_offset) = (record.queue_id(), record.queue_offset());
            records.push(Logged { offset, topic, queue_id, queue_offset, body });
            at += record.size();
        }
        let blank = bytes.get(at + 4..at + 8).is_some_and(|m| m == crate::record::MAGIC_BLANK.to_be_bytes());
        if !blank {
            break;
        }
    }
    records
}

/// Opens the folder and checks that it holds exactly the valid prefix of the log it held before.
fn check_recovery(config: &StoreConfig) {
    let size = config.mapped_file_size_commit_log;
    let records = log_prefix(&config.store_path_root_dir, size);
    let store = open(config);
    let mut queues: BTreeMap<(String, i32), Vec<Vec<u8>>> = BTreeMap::new();
    for Logged { offset, topic, queue_id, queue_offset, body } in &records {
        let queue = queues.entry((topic.clone(), *queue_id)).or_default();
        assert_eq!(*queue_offset, queue.len() as i64);
        queue.push(body.clone());
        assert!(store.record_at(*offset).is_some(), "record at {offset} is lost");
    }
    for ((topic, queue_id), wanted) in &queues {
        assert_eq!(&bodies(&store, topic, *queue_id), wanted, "queue {topic} {queue_id}");
        assert_eq!(store.next_offset(topic, *queue_id), wanted.len() as i64);
    }
    for (topic, ids) in store.topics() {
        for id in ids {
            let wanted = queues.get(&(topic.clone(), id)).map_or(0, Vec::len) as i64;
            assert_eq!(store.max_offset(&topic, id), wanted, "queue {topic} {id} has entries of lost records");
        }
    }
    // It goes on where it stopped, and that survives a clean stop.
    let appended = store.put(&message("T0", 0, b"after", b"")).unwrap();
    assert_eq!(appended.queue_offset, queues.get(&("T0".to_owned(), 0)).map_or(0, Vec::len) as i64);
    wait_dispatched(&store);
    drop(store);
    let store = open(config);
    assert_eq!(bodies(&store, "T0", 0).last().unwrap(), b"after");
}

#[derive(Clone, Debug)]
enum Damage {
    None,
    /// Flip a bit in the body of the record at this share of the written log.
    Flip(f64),
    /// Zero everything from this share of the written log on, in its file and all later ones.
    Cut(f64),
    /// Delete the consume queues.
    Queues,
    /// Delete the checkpoint.
    Checkpoint,
    /// Zero the last bytes of some consume-queue file.
    QueueTail(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::None),
        (0.0..1.0).prop_map(Damage::Flip),
        (0.0..1.0).prop_map(Damage::Cut),
        Just(Damage::Queues),
        Just(Damage::Checkpoint),
        (0usize..2000).prop_map(Damage::QueueTail),
    ]
}

fn apply(damage: &Damage, root: &Path, size: usize, written: i64) {
    let file_at = |offset: i64| {
        let path = root.join("commitlog").join(format!("{:020}", offset / size as i64 * size as i64));
        (OpenOptions::new().read(true).write(true).open(path), offset as u64 % size as u64)
    };
    match damage {
        Damage::None => {}
        Damage::Flip(share) => {
            // Only the body is under a checksum; a changed topic or queue id makes another, valid record.
            let (file, wanted) = file_at((written as f64 * share) as i64);
            let Ok(file) = file else { return };
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, 0).unwrap();
            let mut at = 0;
            while let Ok(record) = Record::parse(&bytes[at..]) {
                if at + record.size() > wanted as usize {
                    let inside = if record.body().is_empty() { 4 } else { 88 + wanted as usize % record.body().len() };
                    file.write_all_at(&[bytes[at + inside] ^ 0x10], (at + inside) as u64).unwrap();
                    return;
                }
                at += record.size();
            }
        }
        Damage::Cut(share) => {
            let mut offset = (written as f64 * share) as i64;
            while let (Ok(file), at) = file_at(offset) {
                file.write_all_at(&vec![0; size - at as usize], at).unwrap();
                offset = (offset / size as i64 + 1) * size as i64;
            }
        }
        Damage::Queues => drop(std::fs::remove_dir_all(root.join("consumequeue"))),
        Damage::Checkpoint => drop(std::fs::remove_file(root.join("checkpoint"))),
        Damage::QueueTail(length) => {
            let Ok(topics) = std::fs::read_dir(root.join("consumequeue").join("T0")) else {
                return;
            };
            for queue in topics {
                for file in std::fs::read_dir(queue.unwrap().path()).unwrap() {
                    let file = OpenOptions::new().write(true).open(file.unwrap().path()).unwrap();
                    let size = file.metadata().unwrap().len() as usize;
                    file.write_all_at(&vec![0; *length.min(&size)], (size - *length.min(&size)) as u64).unwrap();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_longest_good_prefix_is_kept(sizes in proptest::collection::vec((0usize..3000, 0u8..3, 0i32..3), 1..250),
        damages in proptest::collection::vec(damage(), 1..3), clean in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let live = config(&folder.path().join("live"));
        let store = open(&live);
        for (length, topic, queue) in &sizes {
            store.put(&message(&format!("T{topic}"), *queue, &vec![*topic; *length], b"KEYS\x01k\x02")).unwrap();
        }
        wait_dispatched(&store);
        let written = store.max_physical_offset();
        let root = folder.path().join("crashed");
        if clean {
            store.shutdown();
        }
        copy_folder(&live.store_path_root_dir, &root);
        drop(store);
        let crashed = config(&root);
        for damage in &damages {
            apply(damage, &root, crashed.mapped_file_size_commit_log, written);
        }
        // After a clean stop only what the last files hold is looked at, so damage must be announced by the mark.
        if clean && !matches!(damages.as_slice(), [Damage::None]) {
            std::fs::write(root.join("abort"), "1").unwrap();
            let _ = std::fs::remove_file(root.join("checkpoint"));
        }
        check_recovery(&crashed);
    }
}

fn filled(folder: &Path) -> StoreConfig {
    let config = config(folder);
    let store = open(&config);
    for n in 0..300u32 {
        store.put(&message("T0", 0, &vec![n as u8; 700], b"")).unwrap();
    }
    wait_dispatched(&store);
    config
}

#[test]
fn a_gap_and_a_wrong_size_fail_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = filled(folder.path());
    let file = |n: usize| folder.path().join("commitlog").join(format!("{:020}", n * (64 << 10)));
    std::fs::rename(file(1), folder.path().join("away")).unwrap();
    let error = MessageStore::open(config.clone(), Arc::new(NoHooks)).err().unwrap();
    assert!(matches!(error, StoreError::Gap { expected: 65536, found: 131072, .. }), "{error}");
    std::fs::rename(folder.path().join("away"), file(1)).unwrap();
    OpenOptions::new().write(true).open(file(1)).unwrap().set_len(1000).unwrap();
    let error = MessageStore::open(config.clone(), Arc::new(NoHooks)).err().unwrap();
    assert!(matches!(error, StoreError::WrongFileSize { actual: 1000, .. }), "{error}");
    let other = StoreConfig { mapped_file_size_commit_log: 128 << 10, ..config };
    assert!(matches!(MessageStore::open(other, Arc::new(NoHooks)), Err(StoreError::WrongFileSize { .. })));
}

#[test]
fn an_unfinished_last_file_is_deleted_and_strangers_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = filled(folder.path());
    let log = folder.path().join("commitlog");
    let next = log.join(format!("{:020}", 100 * (64 << 10)));
    std::fs::write(&next, "").unwrap();
    std::fs::write(log.join("notes.txt"), "mine").unwrap();
    std::fs::write(folder.path().join("abort.bak"), "1").unwrap();
    let store = open(&config);
    assert_eq!(bodies(&store, "T0", 0).len(), 300);
    assert!(!next.exists() && log.join("notes.txt").exists() && folder.path().join("abort.bak").exists());
}

#[test]
fn without_a_log_the_queues_go() {
    let folder = tempfile::tempdir().unwrap();
    let config = filled(folder.path());
    std::fs::remove_dir_all(folder.path().join("commitlog")).unwrap();
    let store = open(&config);
    assert!(store.topics().is_empty());
    assert_eq!(store.put(&message("T0", 0, b"x", b"")).unwrap().queue_offset, 0);
}

#[test]
fn bytes_behind_the_end_do_not_come_back() {
    // Records of equal size: what follows a damaged one lines up with what is written in its place.
    let folder = tempfile::tempdir().unwrap();
    let config = filled(folder.path());
    let path = folder.path().join("commitlog").join(format!("{:020}", 0));
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let size = Record::parse(&std::fs::read(&path).unwrap()).unwrap().size() as u64;
    file.write_all_at(&[0xFF], 10 * size + 100).unwrap();
    std::fs::write(folder.path().join("abort"), "1").unwrap();
    let _ = std::fs::remove_file(folder.path().join("checkpoint"));
    let store = open(&config);
    assert_eq!(store.max_offset("T0", 0), 10);
    store.put(&message("T0", 0, &[9; 700], b"")).unwrap();
    wait_dispatched(&store);
    let crashed = folder.path().join("crashed");
    copy_folder(&folder.path().join("commitlog"), &crashed.join("commitlog"));
    let store = open(&StoreConfig { store_path_root_dir: crashed, ..config });
    assert_eq!(store.max_offset("T0", 0), 11);
}

#[test]
fn a_start_reads_only_the_end_of_the_log() {
    // Without keys there is no index that could say how far it got.
    for clean in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let config = filled(folder.path());
        let path = folder.path().join("commitlog").join(format!("{:020}", 0));
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        // Damage at the start of the log shows whether it was read: the log would be cut off there.
        file.write_all_at(&[0xFF], 100).unwrap();
        if !clean {
            std::fs::write(folder.path().join("abort"), "1").unwrap();
        }
        let store = open(&config);
        assert_eq!(store.max_offset("T0", 0), 300, "clean: {clean}");
    }
}

#[test]
fn a_start_without_messages_keeps_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let config = filled(folder.path());
    let checkpoint = || Checkpoint::open(&folder.path().join("checkpoint")).unwrap().values();
    let before = checkpoint();
    assert!(before.logics_msg_timestamp > 0 && before.physic_msg_timestamp > 0);
    drop(open(&config));
    assert_eq!(checkpoint(), before);
    std::fs::write(folder.path().join("abort"), "1").unwrap();
    drop(open(&config));
    assert_eq!(checkpoint(), before);
}

#[test]
fn a_torn_unit_of_a_queue_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder.path().join("live"));
    let store = open(&config);
    for n in 0..7u8 {
        // Each record is longer than 256 bytes, so that its size has two bytes that are not zero.
        store.put(&message("T0", 0, &[n + 1; 300], b"TAGS\x01tag\x02")).unwrap();
    }
    wait_dispatched(&store);
    let entry = store.queue_entry("T0", 0, 6).unwrap();
    store.shutdown();
    drop(store);
    for (start, end) in (1..20).map(|cut| (cut, 20)).chain((1..20).map(|cut| (0, cut))) {
        let root = folder.path().join(format!("crashed-{start}-{end}"));
        copy_folder(&config.store_path_root_dir, &root);
        std::fs::write(root.join("abort"), "1").unwrap();
        std::fs::remove_file(root.join("checkpoint")).unwrap();
        let queue = root.join("consumequeue/T0/0/00000000000000000000");
        let file = OpenOptions::new().write(true).open(queue).unwrap();
        file.write_all_at(&vec![0; end - start], (6 * 20 + start) as u64).unwrap();
        let store = open(&StoreConfig { store_path_root_dir: root, ..config.clone() });
        assert_eq!(bodies(&store, "T0", 0).len(), 7, "bytes {start}..{end} lost");
        assert_eq!(store.queue_entry("T0", 0, 6), Some(entry), "bytes {start}..{end} lost");
    }
}

#[test]
fn a_record_with_a_damaged_head_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let store = open(&config);
    let at: Vec<_> =
        (0..4u8).map(|n| store.put(&message("T0", 0, &[n; 100], b"")).unwrap().physical_offset as u64).collect();
    drop(store);
    let log = folder.path().join("commitlog").join(format!("{:020}", 0));
    let file = OpenOptions::new().write(true).open(log).unwrap();
    // The sign of a queue id, and the sign of a queue offset.
    file.write_all_at(&[0x80], at[1] + 12).unwrap();
    file.write_all_at(&[0x80], at[2] + 20).unwrap();
    std::fs::remove_dir_all(folder.path().join("consumequeue")).unwrap();
    let store = open(&config);
    assert_eq!(bodies(&store, "T0", 0), [[0; 100], [3; 100]]);
    assert_eq!(store.next_offset("T0", 0), 4);
}
