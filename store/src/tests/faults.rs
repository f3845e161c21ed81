use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::segment::allocate::{Disk, OsDisk};
use crate::{FlushDiskType, FlushError, PutError, Writable};

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
    while store.min_physical_offset() < gone || store.min_offset("T", 0) == 0 {
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
