use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::segment::allocate::{Disk, OsDisk};
use crate::{Arrival, FlushDiskType, FlushError, KeyKind, PutError, StoreHooks, Writable};

#[derive(Default)]
struct Faulty {
    full: AtomicBool,
    broken: AtomicBool,
}

impl Disk for Faulty {
    fn allocate(&self, path: &Path, size: usize) -> io::Result<File> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => OsDisk.allocate(path, size),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(io::Error::other("injected")),
            false => OsDisk.sync(file),
        }
    }
}

#[test]
fn a_full_disk_refuses_messages_until_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let store = MessageStore::open_on(config(folder.path()), Arc::new(NoHooks), disk.clone()).unwrap();
    store.put(&message("T", 0, &[1; 1000], b"")).unwrap();
    disk.full.store(true, Ordering::SeqCst);
    let mut accepted = 1;
    let error = loop {
        match store.put(&message("T", 0, &[1; 1000], b"")) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1000, "the disk never gets full");
    };
    assert!(matches!(error, PutError::DiskFull(_)), "{error}");
    wait_dispatched(&store);
    assert_eq!(bodies(&store, "T", 0).len(), accepted);
    disk.full.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(600));
    store.put(&message("T", 0, &[2; 1000], b"")).unwrap();
    wait_dispatched(&store);
    assert_eq!(bodies(&store, "T", 0).len(), accepted + 1);
}

#[test]
fn a_failed_flush_is_final() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let config = StoreConfig { flush_disk_type: FlushDiskType::SyncFlush, ..config(folder.path()) };
    let store = MessageStore::open_on(config.clone(), Arc::new(NoHooks), disk.clone()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let put = || {
        let end = store.put(&message("T", 0, b"x", b""))?.end();
        let sender = sender.clone();
        store.when_flushed(end, Duration::from_secs(20), Box::new(move |answer| sender.send(answer).unwrap()));
        Ok::<_, PutError>(())
    };
    put().unwrap();
    assert_eq!(receiver.recv().unwrap(), Ok(()));
    wait_dispatched(&store);
    disk.broken.store(true, Ordering::SeqCst);
    put().unwrap();
    assert_eq!(receiver.recv().unwrap(), Err(FlushError::FlushFailed));
    // The disk works again, but nobody may believe it.
    disk.broken.store(false, Ordering::SeqCst);
    assert!(matches!(put(), Err(PutError::NotWritable(_))));
    assert!(matches!(store.writable(), Writable::FlushFailed { reason } if reason.contains("injected")));
    assert_eq!((store.max_offset("T", 0), bodies(&store, "T", 0).len()), (1, 1));
    store.shutdown();
    assert!(folder.path().join("abort").exists());
    drop(store);
    // What the disk really holds decides at the next start: the message was written, only its flush failed.
    let store = open(&config);
    assert_eq!(bodies(&store, "T", 0).len(), 2);
}

#[test]
fn expired_files_go_and_readers_keep_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        delete_commit_log_files_interval: Duration::from_millis(1),
        clean_resource_interval: Duration::from_millis(50),
        // No disk is fuller than that, so only age and request decide.
        disk_max_used_space_ratio: 100,
        delete_when: String::new(),
        ..config(folder.path())
    };
    let store = open(&config);
    let mut first = None;
    for n in 0..400u32 {
        let appended = store.put(&message("T", 0, &vec![n as u8; 20 << 10], b"KEYS\x01k\x02")).unwrap();
        first.get_or_insert(appended);
    }
    wait_dispatched(&store);
    let held = store.record_at(first.unwrap().physical_offset).unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(100 * 3600);
    for offset in 0..30 {
        let path = folder.path().join("commitlog").join(format!("{:020}", offset * (64 << 10)));
        File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(store.min_physical_offset(), 0, "nobody asked yet");
    store.delete_expired_commit_log();
    let gone = 30 * (64 << 10);
    let begin = Instant::now();
    // Files go in several rounds, and the queue follows each of them.
    let queue_begins_at =
        || store.queue_entry("T", 0, store.min_offset("T", 0)).map_or(0, |entry| entry.physical_offset);
    while store.min_physical_offset() < gone || queue_begins_at() < gone {
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    Record::parse(&held).unwrap().validate().unwrap();
    assert!(store.record_at(first.unwrap().physical_offset).is_none());
    let result = get(&store, "T", 0, 0);
    assert_eq!((result.status, result.next_begin_offset), (crate::GetStatus::OffsetTooSmall, result.min_offset));
    assert_eq!(bodies(&store, "T", 0).len() as i64, 400 - result.min_offset);
    drop(store);
    let store = open(&config);
    assert_eq!((store.min_physical_offset(), store.min_offset("T", 0)), (gone, result.min_offset));
    assert_eq!(bodies(&store, "T", 0).len() as i64, 400 - result.min_offset);
    assert_eq!(store.next_offset("T", 0), 400);
    assert_eq!(store.put(&message("T", 0, b"x", b"")).unwrap().queue_offset, 400);
}

#[test]
fn a_stop_that_could_not_write_everything_is_no_clean_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let queues = folder.path().join("consumequeue");
    let store = open(&config);
    // A file where the topic's folder is to be.
    std::fs::write(queues.join("T"), "").unwrap();
    store.put(&message("T", 0, b"x", b"")).unwrap();
    store.put(&message("U", 0, b"y", b"")).unwrap();
    wait_dispatched(&store);
    store.shutdown();
    drop(store);
    assert!(folder.path().join("abort").exists());
    assert_eq!(Checkpoint::open(&folder.path().join("checkpoint")).unwrap().logics_physical_offset(), 0);
    std::fs::remove_file(queues.join("T")).unwrap();
    let store = open(&config);
    assert_eq!((bodies(&store, "T", 0).len(), bodies(&store, "U", 0).len()), (1, 1));
    store.shutdown();
    assert!(!folder.path().join("abort").exists());
}

#[test]
fn the_checkpoint_waits_for_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let store = open(&config);
    store.put(&message("T", 0, b"x", b"KEYS\x01k\x02")).unwrap();
    wait_dispatched(&store);
    std::fs::rename(folder.path().join("index"), folder.path().join("lost")).unwrap();
    store.shutdown();
    drop(store);
    assert!(folder.path().join("abort").exists());
    assert_eq!(Checkpoint::open(&folder.path().join("checkpoint")).unwrap().logics_physical_offset(), 0);
    let store = open(&config);
    assert_eq!(store.query("T", "k", KeyKind::Key, 10, 0, i64::MAX).messages.len(), 1);
}

/// An owner that cannot cope with messages.
struct Panics;

impl StoreHooks for Panics {
    fn messages_arrived(&self, _: &[Arrival<'_>]) {
        panic!("injected");
    }

    fn deliver_time(&self, _: i32, store_timestamp_ms: i64) -> i64 {
        store_timestamp_ms
    }
}

#[test]
fn without_one_of_its_threads_the_store_takes_no_messages() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let store = MessageStore::open(config.clone(), Arc::new(Panics)).unwrap();
    store.put(&message("T", 0, b"x", b"")).unwrap();
    let begin = Instant::now();
    while store.writable() == Writable::Ok {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(
        matches!(store.put(&message("T", 0, b"x", b"")), Err(PutError::NotWritable(why)) if why.contains("panicked"))
    );
    drop(store);
    assert!(folder.path().join("abort").exists());
    assert_eq!(bodies(&open(&config), "T", 0).len(), 1);
}

/// A closed store of 550 messages in queue 0 of topic T, 100 entries to a file.
fn closed(config: &StoreConfig) {
    let store = open(config);
    for n in 0..550u32 {
        store.put(&message("T", 0, &n.to_be_bytes(), b"")).unwrap();
    }
    wait_dispatched(&store);
}

#[test]
fn an_entry_that_points_nowhere_hides_no_other_message() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    closed(&config);
    let path = folder.path().join("consumequeue/T/0/00000000000000000000");
    let file = File::options().write(true).open(path).unwrap();
    // A physical offset between two records, and one that no arithmetic survives.
    file.write_all_at(&7i64.to_be_bytes(), 5 * 20).unwrap();
    file.write_all_at(&i64::MIN.to_be_bytes(), 7 * 20).unwrap();
    let store = open(&config);
    let all = bodies(&store, "T", 0);
    assert_eq!(all.len(), 548);
    let result = get(&store, "T", 0, 5);
    assert_eq!((result.status, result.queue_offsets.get(..2)), (crate::GetStatus::Found, Some(&[6, 8][..])));
}

#[test]
fn what_cannot_be_read_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    closed(&config);
    let store = open(&config);
    let path = folder.path().join("consumequeue/T/0/00000000000000002000");
    std::fs::rename(&path, folder.path().join("away")).unwrap();
    // Opening a folder for writing fails.
    std::fs::create_dir(&path).unwrap();
    let result = get(&store, "T", 0, 90);
    assert_eq!((result.status, result.count, result.next_begin_offset), (crate::GetStatus::Found, 10, 100));
    let result = get(&store, "T", 0, 150);
    assert_eq!((result.status, result.next_begin_offset), (crate::GetStatus::Unreadable, 150));
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(folder.path().join("away"), &path).unwrap();
    let result = get(&store, "T", 0, 150);
    assert_eq!((result.status, result.next_begin_offset), (crate::GetStatus::Found, 182));
}
