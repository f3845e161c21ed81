//! Light queues: numbering, recovery, bounds, forged properties.

use super::*;
use crate::light::{PROPERTY_OFFSETS, PROPERTY_QUEUES};
use crate::{BatchChild, PutError, QueueKind, StoreHooks, record};

fn light_config(root: &Path) -> StoreConfig {
    StoreConfig { light_queues: true, ..config(root) }
}

fn naming(queues: &str) -> Vec<u8> {
    format!("TAGS\x01a\x02{PROPERTY_QUEUES}\x01{queues}\x02").into_bytes()
}

/// Bodies and offsets of a light queue; the offset that each message was told is checked against its place.
fn light_bodies(store: &MessageStore, name: &str) -> Vec<(i64, Vec<u8>)> {
    let mut all = Vec::new();
    let mut offset = store.min_offset(name, 0);
    while offset < store.max_offset(name, 0) {
        let result = get(store, name, 0, offset);
        assert!(result.next_begin_offset > offset, "{result:?}");
        for (bytes, at) in result.messages.iter().zip(&result.queue_offsets) {
            let record = Record::parse(bytes).unwrap();
            record.validate().unwrap();
            let value = |name| record::property(record.properties(), name).unwrap();
            let told = crate::light::placed(value(PROPERTY_QUEUES), value(PROPERTY_OFFSETS));
            assert_eq!(told.filter(|(queue, _)| *queue == name).map(|(_, at)| at).next(), Some(*at));
            all.push((*at, record.body().to_vec()));
        }
        offset = result.next_begin_offset;
    }
    all
}

/// Puts `count` messages; message n comes into the light queues 0 and n modulo 7.
fn fill(store: &MessageStore, from: usize, count: usize) {
    for n in from..from + count {
        let queues = format!("%LMQ%0,%LMQ%{}", 1 + n % 7);
        store.put(&message("T", (n % 3) as i32, &n.to_be_bytes(), &naming(&queues))).unwrap();
    }
    wait_dispatched(store);
}

fn check_filled(store: &MessageStore, count: usize) {
    let expected = |keep: &dyn Fn(usize) -> bool| -> Vec<(i64, Vec<u8>)> {
        let bodies = (0..count).filter(|n| keep(*n)).map(|n| n.to_be_bytes().to_vec());
        bodies.enumerate().map(|(at, body)| (at as i64, body)).collect()
    };
    assert_eq!(light_bodies(store, "%LMQ%0"), expected(&|_| true));
    for queue in 0..7 {
        let name = format!("%LMQ%{}", 1 + queue);
        assert_eq!(light_bodies(store, &name), expected(&|n| n % 7 == queue), "{name}");
        assert_eq!(store.next_offset(&name, 0), store.max_offset(&name, 0));
    }
    assert_eq!((0..3).map(|queue| bodies(store, "T", queue).len()).sum::<usize>(), count);
    assert_eq!(store.light_queues(), 8);
}

#[test]
fn light_queues_outlive_stops_and_kills() {
    let folder = tempfile::tempdir().unwrap();
    let config = light_config(folder.path());
    let store = open(&config);
    fill(&store, 0, 500);
    check_filled(&store, 500);
    // A kill: the files as they are, with the abort mark, and with units that were never flushed.
    let killed = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), killed.path());
    assert!(killed.path().join("abort").exists());
    store.shutdown();
    drop(store);
    for (root, what) in [(folder.path(), "stop"), (killed.path(), "kill")] {
        let config = light_config(root);
        let store = open(&config);
        check_filled(&store, 500);
        fill(&store, 500, 50);
        check_filled(&store, 550);
        store.shutdown();
        drop(store);
        // Everything but the log can be made anew from it.
        std::fs::remove_dir_all(root.join("consumequeue")).unwrap();
        std::fs::remove_dir_all(root.join("index")).unwrap();
        std::fs::write(root.join("abort"), b"").unwrap();
        std::fs::remove_file(root.join("checkpoint")).unwrap();
        let store = open(&config);
        check_filled(&store, 550);
        assert_eq!(store.light_queues(), 8, "{what}");
        store.shutdown();
    }
}

#[test]
fn a_queue_that_is_named_twice_or_is_the_own_one_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&light_config(folder.path()));
    for n in 0..3u8 {
        store.put(&message("%LMQ%a", 0, &[n], &naming("%LMQ%b,%LMQ%a,%LMQ%b,other"))).unwrap();
    }
    wait_dispatched(&store);
    let expected: Vec<_> = (0..3u8).map(|n| (i64::from(n), vec![n])).collect();
    assert_eq!(light_bodies(&store, "%LMQ%a"), expected);
    assert_eq!(light_bodies(&store, "%LMQ%b"), expected);
    assert_eq!((store.next_offset("%LMQ%a", 0), store.next_offset("%LMQ%b", 0)), (3, 3));
    assert_eq!(store.topics().len(), 2, "names that are no light queue get none");
}

#[test]
fn forged_offsets_count_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&light_config(folder.path()));
    let forged = |queues: &str, offsets: &str| {
        format!("{PROPERTY_OFFSETS}\x01{offsets}\x02{PROPERTY_QUEUES}\x01{queues}\x02").into_bytes()
    };
    for offsets in ["99", "-5", "x", "9223372036854775807", "1,2,3"] {
        store.put(&message("T", 0, b"x", &forged("%LMQ%a", offsets))).unwrap();
    }
    // Neither legal light queues nor anything else is written to by these.
    for queues in ["T", "%LMQ%../a", "../T", " ", ",,,", "%LMQ%\n"] {
        store.put(&message("T", 0, b"x", &forged(queues, "99,99,99,99"))).unwrap();
    }
    for topic in ["%RETRY%g", "SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC"] {
        store.put(&message(topic, 0, b"x", &forged("%LMQ%c", "99"))).unwrap();
    }
    let properties = forged("%LMQ%a", "99");
    let child = BatchChild { flag: 0, body: b"x", properties: &properties };
    assert_eq!(store.put_batch(&message("T", 0, b"", b""), &[child]), Err(PutError::LightOffsetsGiven));
    let properties = naming("%LMQ%a");
    let child = BatchChild { flag: 0, body: b"x", properties: &properties };
    store.put_batch(&message("T", 0, b"", b""), &[child]).unwrap();
    wait_dispatched(&store);
    assert_eq!(light_bodies(&store, "%LMQ%a").len(), 5);
    assert_eq!((store.min_offset("%LMQ%a", 0), store.light_queues()), (0, 1));
    assert_eq!(bodies(&store, "T", 0).len(), 12);
}

#[test]
fn offsets_that_do_not_fit_refuse_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&light_config(folder.path()));
    let filler = "x".repeat(record::SHORT_MAX - 50);
    let properties = format!("a\x01{filler}\x02{PROPERTY_QUEUES}\x01%LMQ%a\x02");
    assert!(properties.len() <= record::SHORT_MAX);
    let refused = store.put(&message("T", 0, b"x", properties.as_bytes()));
    assert!(matches!(refused, Err(PutError::PropertiesTooLong(_))), "{refused:?}");
    store.put(&message("T", 0, b"y", &naming("%LMQ%a"))).unwrap();
    wait_dispatched(&store);
    assert_eq!(light_bodies(&store, "%LMQ%a"), [(0, b"y".to_vec())]);
    assert_eq!(bodies(&store, "T", 0), [b"y"]);
}

#[test]
fn twenty_thousand_light_queues_and_none_more() {
    const QUEUES: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let config =
        StoreConfig { mapped_file_size_commit_log: 16 << 20, light_queues_max: QUEUES, ..light_config(folder.path()) };
    let store = open(&config);
    for from in (0..QUEUES + 100).step_by(100) {
        let names: Vec<String> = (from..from + 100).map(|n| format!("%LMQ%{n}")).collect();
        store.put(&message("T", 0, b"x", &naming(&names.join(",")))).unwrap();
    }
    store.put(&message("T", 0, b"y", &naming("%LMQ%19999,%LMQ%another"))).unwrap();
    wait_dispatched(&store);
    assert_eq!(store.light_queues(), QUEUES);
    assert!(!store.has_queue("%LMQ%20000", 0) && !store.has_queue("%LMQ%another", 0));
    assert_eq!(light_bodies(&store, "%LMQ%19999"), [(0, b"x".to_vec()), (1, b"y".to_vec())]);
    assert!(store.core.queues.open_files() <= crate::consume_queue::QueueConfig::default().open_files_max);
    store.shutdown();
    drop(store);
    let store = open(&config);
    assert_eq!((store.light_queues(), store.max_offset("%LMQ%777", 0)), (QUEUES, 1));
    assert!(store.delete_topic("%LMQ%777"));
    assert_eq!(store.light_queues(), QUEUES - 1);
    store.put(&message("T", 0, b"z", &naming("%LMQ%another"))).unwrap();
    wait_dispatched(&store);
    assert_eq!(light_bodies(&store, "%LMQ%another"), [(0, b"z".to_vec())]);
}

#[test]
fn light_queues_go_with_the_last_of_their_messages() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&light_config(folder.path()));
    store.put(&message("T", 0, b"old", &naming("%LMQ%old,%LMQ%both"))).unwrap();
    for _ in 0..200 {
        store.put(&message("T", 0, &[7; 1000], b"")).unwrap();
    }
    store.put(&message("T", 0, b"new", &naming("%LMQ%both"))).unwrap();
    wait_dispatched(&store);
    assert!(store.core.log.delete_first().unwrap());
    store.clean_expired_queues();
    assert!(!store.has_queue("%LMQ%old", 0) && !folder.path().join("consumequeue/%LMQ%old").exists());
    assert_eq!(light_bodies(&store, "%LMQ%both"), [(1, b"new".to_vec())]);
    assert_eq!(store.light_queues(), 1);
}

#[test]
fn without_the_switch_names_mean_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&config(folder.path()));
    let forged = format!("{PROPERTY_QUEUES}\x01%LMQ%a\x02{PROPERTY_OFFSETS}\x010\x02");
    store.put(&message("T", 0, b"x", forged.as_bytes())).unwrap();
    wait_dispatched(&store);
    assert_eq!((store.light_queues(), store.topics().len()), (0, 1));
}

/// Waiters for a light queue are told of its messages.
#[test]
fn arrivals_in_light_queues_are_told() {
    #[derive(Default)]
    struct Told(parking_lot::Mutex<Vec<(String, i32, i64)>>);
    impl StoreHooks for Told {
        fn messages_arrived(&self, arrivals: &[crate::Arrival<'_>]) {
            let told = arrivals.iter().map(|one| (one.topic.to_owned(), one.queue_id, one.next_offset));
            self.0.lock().extend(told);
        }
        fn deliver_time(&self, _: i32, store_timestamp_ms: i64) -> i64 {
            store_timestamp_ms
        }
        fn queue_kind(&self, topic: &str) -> Option<QueueKind> {
            assert!(!topic.is_empty());
            None
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(Told::default());
    let store = MessageStore::open(light_config(folder.path()), told.clone()).unwrap();
    store.put(&message("T", 2, b"x", &naming("%LMQ%a"))).unwrap();
    wait_dispatched(&store);
    store.shutdown();
    assert_eq!(*told.0.lock(), [("%LMQ%a".to_owned(), 0, 1), ("T".to_owned(), 2, 1)]);
}
