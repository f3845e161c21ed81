use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::*;
use crate::{
    Arrival, BatchChild, Boundary, FlushDiskType, FlushError, GetStatus, KeyKind, MessageFilter, PutError, StoreError,
    StoreHooks, record,
};

#[test]
fn what_is_put_is_read_across_files_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let store = open(&config);
    let mut expected = vec![Vec::new(); 3];
    for n in 0..700usize {
        let body = vec![n as u8; 50 + n * 7 % 900];
        let queue = n % 3;
        let appended = store.put(&message("T", queue as i32, &body, b"TAGS\x01a\x02")).unwrap();
        assert_eq!(appended.queue_offset, expected[queue].len() as i64);
        assert_eq!(store.next_offset("T", queue as i32), appended.queue_offset + 1);
        expected[queue].push(body);
        let bytes = store.record_at(appended.physical_offset).unwrap();
        assert_eq!(bytes.len(), appended.size as usize);
        assert!(store.record_at(appended.physical_offset + 1).is_none());
        assert!(store.record_at_sized(appended.physical_offset, appended.size - 1).is_none());
    }
    wait_dispatched(&store);
    for round in 0..3 {
        let store = if round == 0 { store.clone() } else { open(&config) };
        for (queue, wanted) in expected.iter().enumerate() {
            assert_eq!(&bodies(&store, "T", queue as i32), wanted);
            assert_eq!(store.next_offset("T", queue as i32), wanted.len() as i64);
        }
        assert_eq!(store.topics(), [("T".to_owned(), vec![0, 1, 2])]);
        store.shutdown();
        assert!(!folder.path().join("abort").exists());
        drop(store);
    }
}

#[test]
fn statuses_and_next_offsets_are_java_s() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&config(folder.path()));
    let check = |offset, status, next| {
        let result = get(&store, "T", 0, offset);
        assert_eq!((result.status, result.next_begin_offset), (status, next), "at {offset}");
    };
    check(3, GetStatus::NoMessageInQueue, 0);
    for _ in 0..10 {
        store.put(&message("T", 0, b"x", b"TAGS\x01a\x02")).unwrap();
    }
    wait_dispatched(&store);
    check(0, GetStatus::Found, 10);
    check(10, GetStatus::OffsetOverflowOne, 10);
    check(11, GetStatus::OffsetOverflowBadly, 10);
    check(-1, GetStatus::OffsetTooSmall, 0);

    struct None;
    impl MessageFilter for None {
        fn matches_queue_entry(&self, _: i64) -> bool {
            false
        }
    }
    let request = GetRequest { topic: "T", queue_id: 0, offset: 2, max_messages: 4, max_bytes: 1 << 20 };
    let result = store.get(&request, &None);
    assert_eq!((result.status, result.next_begin_offset, result.count), (GetStatus::NoMatchedMessage, 10, 0));
    let result = store.get(&request, &MatchAll);
    assert_eq!((result.count, result.next_begin_offset, result.queue_offsets), (4, 6, vec![2, 3, 4, 5]));
    let result = store.get(&GetRequest { max_bytes: 0, ..request }, &MatchAll);
    assert_eq!((result.status, result.count), (GetStatus::Found, 1));
    // A queue entry filter that accepts and a record filter that refuses.
    struct Odd;
    impl MessageFilter for Odd {
        fn matches_queue_entry(&self, tags_code: i64) -> bool {
            tags_code == record::tags_code("a")
        }
        fn matches_record(&self, record: &[u8]) -> bool {
            Record::parse(record).unwrap().queue_offset() % 2 == 1
        }
    }
    let result = store.get(&request, &Odd);
    assert_eq!((result.queue_offsets, result.filtered, result.next_begin_offset), (vec![3, 5, 7, 9], 4, 10));
}

#[test]
fn a_batch_is_adjacent_and_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&config(folder.path()));
    let body = vec![7; 20 << 10];
    store.put(&message("T", 1, &body, b"")).unwrap();
    let children: Vec<_> = (0..3).map(|flag| BatchChild { flag, body: &body, properties: b"KEYS\x01k\x02" }).collect();
    // Three children do not fit the rest of the 64 KiB file, so all go to the next.
    let batch = store.put_batch(&message("T", 1, b"", b""), &children).unwrap();
    assert_eq!(batch.physical_offsets[0], 64 << 10);
    assert_eq!(batch.queue_offset, 1);
    assert_eq!(batch.end(), batch.physical_offsets[0] + i64::from(batch.size));
    for (n, offset) in batch.physical_offsets.iter().enumerate() {
        let bytes = store.record_at(*offset).unwrap();
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.queue_offset(), record.flag()), (1 + n as i64, n as i32));
    }
    wait_dispatched(&store);
    assert_eq!(bodies(&store, "T", 1), vec![body.clone(); 4]);
    let too_many = vec![children[0]; 4];
    let end = store.max_physical_offset();
    assert!(matches!(store.put_batch(&message("T", 1, b"", b""), &too_many), Err(PutError::BodyTooLarge { .. })));
    assert_eq!(store.put_batch(&message("T", 1, b"", b""), &[]), Err(PutError::EmptyBatch));
    assert_eq!((store.max_physical_offset(), store.next_offset("T", 1)), (end, 4));
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&config(folder.path()));
    let long = vec![b'x'; 40 << 10];
    let refused = |message: NewMessage<'_>| store.put(&message).unwrap_err();
    assert!(matches!(refused(message("T", 0, &long, b"")), PutError::BodyTooLarge { .. }));
    assert!(matches!(refused(message("T", 0, b"", &long)), PutError::PropertiesTooLong(_)));
    assert!(matches!(refused(message("", 0, b"", b"")), PutError::TopicTooLong(0)));
    let topic = String::from_utf8(long.clone()).unwrap();
    assert!(matches!(refused(message(&topic, 0, b"", b"")), PutError::TopicTooLong(_)));
    assert!(matches!(refused(message("a/b", 0, b"", b"")), PutError::IllegalQueue(_)));
    assert!(matches!(refused(message("T", -1, b"", b"")), PutError::IllegalQueue(_)));
    assert_eq!(store.max_physical_offset(), 0);
    // A topic beyond 127 bytes makes a version 2 record.
    let topic = &topic[..200];
    store.put(&message(topic, 0, b"body", b"")).unwrap();
    wait_dispatched(&store);
    assert_eq!(bodies(&store, topic, 0), [b"body".to_vec()]);
}

#[test]
fn transaction_records_without_a_place_get_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&config(folder.path()));
    for (sys_flag, offset) in [(0, 0), (4, 0), (12, 0), (8, 1)] {
        let appended = store.put(&NewMessage { sys_flag, ..message("T", 0, b"x", b"") }).unwrap();
        assert_eq!(appended.queue_offset, offset);
    }
    wait_dispatched(&store);
    assert_eq!(bodies(&store, "T", 0).len(), 2);
}

#[test]
fn arrivals_and_deliver_times_pass_through_the_hooks() {
    struct Hooks(parking_lot::Mutex<Vec<(String, i32, i64, i64)>>);
    impl StoreHooks for Hooks {
        fn messages_arrived(&self, arrivals: &[Arrival<'_>]) {
            let seen = arrivals.iter().map(|a| (a.topic.to_owned(), a.queue_id, a.next_offset, a.tags_code));
            self.0.lock().extend(seen);
        }
        fn deliver_time(&self, level: i32, _: i64) -> i64 {
            1_000_000 + i64::from(level)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let hooks = Arc::new(Hooks(Default::default()));
    let store = MessageStore::open(config.clone(), hooks.clone()).unwrap();
    store.put(&message("T", 2, b"", b"TAGS\x01A\x02DELAY\x013\x02")).unwrap();
    store.put(&message("SCHEDULE_TOPIC_XXXX", 2, b"", b"TAGS\x01A\x02DELAY\x013\x02")).unwrap();
    wait_dispatched(&store);
    let seen = std::mem::take(&mut *hooks.0.lock());
    assert_eq!(seen, [("T".to_owned(), 2, 1, 65), ("SCHEDULE_TOPIC_XXXX".to_owned(), 2, 1, 1_000_003)]);
    assert_eq!(store.queue_entry("SCHEDULE_TOPIC_XXXX", 2, 0).unwrap().tags_code, 1_000_003);
}

#[test]
fn synchronous_flush_confirms_and_then_shows() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.flush_disk_type = FlushDiskType::SyncFlush;
    let store = open(&config);
    let (sender, receiver) = mpsc::channel();
    for _ in 0..100 {
        let appended = store.put(&message("T", 0, &[1; 500], b"")).unwrap();
        let sender = sender.clone();
        let end = appended.end();
        store.when_flushed(end, Duration::from_secs(20), Box::new(move |answer| sender.send((end, answer)).unwrap()));
    }
    for _ in 0..100 {
        let (end, answer) = receiver.recv().unwrap();
        assert_eq!(answer, Ok(()));
        assert!(store.flushed_offset() >= end);
    }
    wait_dispatched(&store);
    assert_eq!(store.max_offset("T", 0), 100);
    // Beyond the end nothing will ever be flushed.
    let wait = |timeout| {
        let sender = sender.clone();
        let done = Box::new(move |answer| sender.send((0, answer)).unwrap());
        store.when_flushed(i64::MAX, timeout, done);
        receiver.recv_timeout(Duration::from_secs(20)).unwrap().1
    };
    assert_eq!(wait(Duration::ZERO), Err(FlushError::Timeout));
    store.shutdown();
    assert_eq!(wait(Duration::ZERO), Err(FlushError::ShuttingDown));
    assert!(matches!(store.put(&message("T", 0, b"", b"")), Err(PutError::NotWritable(_))));
}

#[test]
fn a_wait_under_background_flush_brings_the_flush_about() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.flush_interval_commit_log = Duration::from_secs(3600);
    let store = open(&config);
    let end = store.put(&message("T", 0, b"x", b"")).unwrap().end();
    let (sender, receiver) = mpsc::channel();
    store.when_flushed(end, Duration::from_secs(60), Box::new(move |answer| sender.send(answer).unwrap()));
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)).unwrap(), Ok(()));
}

#[test]
fn offsets_by_time_follow_both_boundaries() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&config(folder.path()));
    assert_eq!(store.offset_by_time("T", 0, 5, Boundary::Lower), 0);
    let mut times = Vec::new();
    for n in 0..300 {
        times.push(store.put(&message("T", 0, &[0; 300], b"")).unwrap().store_timestamp);
        if n % 20 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    wait_dispatched(&store);
    for time in times[0] - 1..=times[299] + 1 {
        let lower = times.iter().filter(|t| **t < time).count() as i64;
        let upper = (times.iter().filter(|t| **t <= time).count() as i64 - 1).max(0);
        assert_eq!(store.offset_by_time("T", 0, time, Boundary::Lower), lower);
        assert_eq!(store.offset_by_time("T", 0, time, Boundary::Upper), upper);
    }
    assert_eq!(store.store_time_of("T", 0, 7), times[7]);
    assert_eq!(store.store_time_of("T", 0, 300), -1);
    assert_eq!((store.earliest_message_time("T", 0), store.earliest_store_time()), (times[0], times[0]));
}

#[test]
fn many_threads_put_without_loss_or_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.mapped_file_size_commit_log = 256 << 10;
    let store = open(&config);
    let total = AtomicI64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, total) = (&store, &total);
            scope.spawn(move || {
                for n in 0..1000usize {
                    let body = [thread as u8; 200];
                    let size = store.put(&message("T", (n % 5) as i32, &body[..n % 200], b"")).unwrap().size;
                    total.fetch_add(i64::from(size), Ordering::Relaxed);
                }
            });
        }
    });
    wait_dispatched(&store);
    assert!(store.max_physical_offset() >= total.load(Ordering::Relaxed));
    let counts: Vec<_> = (0..5).map(|queue| bodies(&store, "T", queue).len()).collect();
    assert_eq!(counts, [800; 5]);
}

#[test]
fn a_second_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let store = open(&config);
    let refused = MessageStore::open(config.clone(), Arc::new(NoHooks));
    assert!(matches!(refused, Err(StoreError::Locked(path)) if path == folder.path()));
    drop(store);
    open(&config);
}

#[test]
fn keys_are_found_also_after_the_index_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let found = |store: &MessageStore, key: &str, kind| -> Vec<i64> {
        let result = store.query("T", key, kind, 32, 0, i64::MAX);
        result.messages.iter().map(|bytes| Record::parse(bytes).unwrap().queue_offset()).collect()
    };
    let check = |store: &MessageStore| {
        assert_eq!(found(store, "k7", KeyKind::Key), [7]);
        assert_eq!(found(store, "common", KeyKind::Key), (168..200).collect::<Vec<_>>());
        assert_eq!(found(store, "U9", KeyKind::UniqueKey), [9]);
        assert_eq!(found(store, "odd", KeyKind::Tag).len(), 32);
        assert_eq!(found(store, "k7", KeyKind::Tag), [0i64; 0]);
    };
    let store = open(&config);
    for n in 0..200 {
        let tag = if n % 2 == 1 { "odd" } else { "even" };
        let properties = format!("KEYS\x01k{n} common\x02UNIQ_KEY\x01U{n}\x02TAGS\x01{tag}\x02");
        store.put(&message("T", 0, &[0; 900], properties.as_bytes())).unwrap();
    }
    // A rolled-back transaction is not indexed.
    store.put(&NewMessage { sys_flag: 12, ..message("T", 0, b"", b"KEYS\x01gone\x02") }).unwrap();
    wait_dispatched(&store);
    check(&store);
    assert!(found(&store, "gone", KeyKind::Key).is_empty());
    let elsewhere = tempfile::tempdir().unwrap();
    let crashed = elsewhere.path().join("crashed");
    copy_folder(folder.path(), &crashed);
    drop(store);
    check(&open(&config));
    check(&open(&StoreConfig { store_path_root_dir: crashed, ..config.clone() }));
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    check(&open(&config));
}

#[test]
fn whoever_appended_dispatches() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&config(folder.path()));
    std::thread::scope(|scope| {
        for queue in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..500u32 {
                    store.append(&message("T", queue, &n.to_be_bytes(), b"")).unwrap();
                    if n % 3 == 0 {
                        store.dispatch();
                    }
                }
                store.dispatch();
            });
        }
    });
    wait_dispatched(&store);
    let expected: Vec<_> = (0..500u32).map(|n| n.to_be_bytes().to_vec()).collect();
    for queue in 0..4 {
        assert_eq!(bodies(&store, "T", queue), expected);
    }
}

#[test]
fn a_read_that_may_not_wait_gives_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let store = open(&config);
    let expected: Vec<_> = (0..200u8).map(|n| vec![n; 3000]).collect();
    for body in &expected {
        store.put(&message("T", 0, body, b"")).unwrap();
    }
    wait_dispatched(&store);
    store.shutdown();
    drop(store);
    for entry in std::fs::read_dir(folder.path().join("commitlog")).unwrap() {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    }
    // What this start reads of the log is its end. Whether the rest is in memory is up to the system.
    let store = open(&config);
    let request = |offset| crate::GetRequest { topic: "T", queue_id: 0, offset, max_messages: 32, max_bytes: 1 << 20 };
    let (mut offset, mut waited, mut found) = (0, 0, Vec::new());
    while offset < 200 {
        let result = store.get_now(&request(offset), &crate::MatchAll).unwrap_or_else(|| {
            waited += 1;
            store.get(&request(offset), &crate::MatchAll)
        });
        assert_eq!(result.status, GetStatus::Found);
        assert_eq!(result.next_begin_offset, offset + i64::from(result.count));
        found.extend(result.messages.iter().map(|bytes| crate::Record::parse(bytes).unwrap().body().to_vec()));
        offset = result.next_begin_offset;
    }
    assert_eq!(found, expected);
    println!("waited for the disk {waited} times");
}
