//! Compaction logs within whole stores.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::part::{Folders, Sizes};
use super::{CompactionStore, compact};
use crate::record::{PROPERTY_KEYS, Record, property};
use crate::tests::{config, copy_folder, get, message, wait_dispatched};
use crate::{Arrival, GetStatus, MessageStore, StoreConfig, StoreHooks};

/// Topics whose name begins with `C` are compacted.
struct Hooks;

impl StoreHooks for Hooks {
    fn messages_arrived(&self, _: &[Arrival<'_>]) {}

    fn deliver_time(&self, _: i32, store_timestamp_ms: i64) -> i64 {
        store_timestamp_ms
    }

    fn is_compacted(&self, topic: &str) -> bool {
        topic.starts_with('C')
    }
}

/// Pairs of 10 units in 2,300 bytes.
fn small(root: &Path) -> StoreConfig {
    StoreConfig { compaction_mapped_file_size: 2300, compaction_cq_mapped_file_size: 46 * 10, ..config(root) }
}

fn open(config: &StoreConfig) -> Arc<MessageStore> {
    MessageStore::open(config.clone(), Arc::new(Hooks)).unwrap()
}

fn put(store: &MessageStore, topic: &str, key: &str, body: &str) {
    let properties = format!("{PROPERTY_KEYS}\u{1}{key}\u{2}");
    store.put(&message(topic, 0, body.as_bytes(), properties.as_bytes())).unwrap();
}

fn compaction(store: &MessageStore) -> &CompactionStore {
    store.core.compaction.as_deref().unwrap()
}

/// Compacts the log of queue 0 now.
fn run(store: &MessageStore, topic: &str) {
    let log = compaction(store).get(topic, 0).unwrap();
    compaction(store).compact(&log, &AtomicBool::new(false));
}

/// Queue offset, key and body of every message that pulls from `offset` on bring.
fn pull(store: &MessageStore, topic: &str, mut offset: i64) -> Vec<(i64, String, String)> {
    let mut all = Vec::new();
    loop {
        let result = get(store, topic, 0, offset);
        match result.status {
            GetStatus::Found => {}
            GetStatus::OffsetOverflowOne | GetStatus::NoMessageInQueue => return all,
            status => panic!("{status:?} at {offset}"),
        }
        for (bytes, queue_offset) in result.messages.iter().zip(&result.queue_offsets) {
            let record = Record::parse(bytes).unwrap();
            record.validate().unwrap();
            assert_eq!(record.queue_offset(), *queue_offset);
            let key = property(record.properties(), PROPERTY_KEYS).unwrap().to_owned();
            all.push((*queue_offset, key, String::from_utf8(record.body().to_vec()).unwrap()));
        }
        assert!(result.next_begin_offset > offset);
        offset = result.next_begin_offset;
    }
}

fn offsets(messages: &[(i64, String, String)]) -> Vec<i64> {
    messages.iter().map(|(offset, ..)| *offset).collect()
}

#[test]
fn sizes_are_java_s() {
    assert_eq!(Sizes::new(104_857_600, 10_485_760), Sizes { log: 104_857_460, queue: 10_485_746 });
    assert_eq!(Sizes::new(1000, 1000), Sizes { log: 966 * 5, queue: 966 });
    assert_eq!(Sizes::new(46 * 7 + 40, 50), Sizes { log: 46 * 8, queue: 46 });
}

#[test]
fn only_the_last_message_of_a_key_stays_and_others_topics_are_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&small(folder.path()));
    for i in 0..40 {
        put(&store, "C", &format!("k{}", i % 4), &format!("body {i}"));
        put(&store, "P", &format!("k{}", i % 4), &format!("body {i}"));
    }
    wait_dispatched(&store);
    assert_eq!(offsets(&pull(&store, "C", 0)), (0..40).collect::<Vec<_>>());
    run(&store, "C");
    let after = pull(&store, "C", 0);
    // 9 messages a pair; the newest pair is left alone, and so are the last of each key before it.
    assert_eq!(offsets(&after), (32..40).collect::<Vec<_>>());
    assert!(
        after
            .iter()
            .all(|(offset, key, body)| { *key == format!("k{}", offset % 4) && *body == format!("body {offset}") })
    );
    assert_eq!(offsets(&pull(&store, "C", 37)), [37, 38, 39]);
    assert_eq!(get(&store, "P", 0, 0).messages.len(), 32);
    assert_eq!(store.max_offset("C", 0), 40);
    assert_eq!(compaction(&store).positions.get("C", 0), 35);
    // Nothing new in the old pairs: nothing is done.
    run(&store, "C");
    assert_eq!(compaction(&store).compactions(), 1);
    store.shutdown();
    let store = open(&small(folder.path()));
    assert_eq!(pull(&store, "C", 0), after);
    put(&store, "C", "k0", "more");
    wait_dispatched(&store);
    assert_eq!(pull(&store, "C", 40), [(40, "k0".to_owned(), "more".to_owned())]);
}

#[test]
fn offsets_outside_are_answered_as_java_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&small(folder.path()));
    let look = |offset| {
        let result = get(&store, "C", 0, offset);
        (result.status, result.next_begin_offset)
    };
    assert_eq!(look(5), (GetStatus::NoMessageInQueue, 0));
    (0..30).for_each(|i| put(&store, "C", &i.to_string(), ""));
    wait_dispatched(&store);
    assert_eq!(look(30), (GetStatus::OffsetOverflowOne, 30));
    assert_eq!(look(31), (GetStatus::OffsetOverflowBadly, 0));
    run(&store, "C");
    // Messages without a body say that their key is gone; those of the newest pair are still there.
    assert_eq!(offsets(&pull(&store, "C", 0)), [27, 28, 29]);
    assert_eq!(look(31), (GetStatus::OffsetOverflowBadly, 30));
    assert_eq!(get(&store, "C", 0, 0).min_offset, 27);
}

#[test]
fn what_has_no_key_or_fits_no_file_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&small(folder.path()));
    put(&store, "C", "a", "1");
    store.put(&message("C", 0, b"no key", b"")).unwrap();
    put(&store, "C", " ", "blank key");
    put(&store, "C", "a", &"x".repeat(3000));
    put(&store, "C", "b", "2");
    wait_dispatched(&store);
    assert_eq!(offsets(&pull(&store, "C", 0)), [0, 4]);
}

#[test]
fn a_compaction_that_runs_out_of_room_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    // Room for the least that is ever given, 100 keys.
    let store = open(&StoreConfig { max_offset_map_size: 1, ..small(folder.path()) });
    for round in 0..2 {
        (0..150).for_each(|i| put(&store, "C", &i.to_string(), &round.to_string()));
    }
    wait_dispatched(&store);
    run(&store, "C");
    assert_eq!(compaction(&store).positions.get("C", 0), 99);
    for _ in 0..10 {
        run(&store, "C");
    }
    let left = pull(&store, "C", 0);
    let last: BTreeMap<_, _> = left.iter().map(|(offset, key, _)| (key.clone(), *offset)).collect();
    assert_eq!(last.len(), 150);
    assert!(last.iter().all(|(key, offset)| *offset == 150 + key.parse::<i64>().unwrap()));
    assert!(left.len() < 300);
}

#[test]
fn a_topic_that_is_deleted_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&small(folder.path()));
    (0..30).for_each(|i| put(&store, "C", "k", &i.to_string()));
    wait_dispatched(&store);
    run(&store, "C");
    assert!(store.delete_topic("C"));
    assert!(!folder.path().join("compaction/compactionLog/C").exists());
    assert!(!folder.path().join("compaction/compactionCq/C").exists());
    put(&store, "C", "k", "new");
    wait_dispatched(&store);
    assert_eq!(pull(&store, "C", 0), [(0, "k".to_owned(), "new".to_owned())]);
    assert_eq!(compaction(&store).positions.get("C", 0), -1);
}

/// Messages are there after every kind of end; the process is killed while the store is open.
#[test]
fn a_crash_loses_nothing_that_the_commit_log_has() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let store = open(&small(&live));
    (0..50).for_each(|i| put(&store, "C", &format!("k{}", i % 7), &i.to_string()));
    wait_dispatched(&store);
    let expected = pull(&store, "C", 0);
    for damage in 0..5 {
        let copy = folder.path().join(damage.to_string());
        copy_folder(&live, &copy);
        std::fs::write(copy.join("abort"), "").unwrap();
        let _ = std::fs::remove_file(copy.join("lock"));
        let folders = Folders::of(&copy.join("compaction"), "C", 0);
        let newest = |folder: &Path| {
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            files.max().unwrap()
        };
        let (log, queue) = (newest(&folders.log), newest(&folders.queue));
        match damage {
            0 => {}
            // The newest units never reached the disk; those before did.
            1 => {
                let mut bytes = std::fs::read(&queue).unwrap();
                bytes[46..].fill(0);
                std::fs::write(&queue, bytes).unwrap();
            }
            // Units did, their records did not.
            2 => {
                let mut bytes = std::fs::read(&log).unwrap();
                bytes[10..].fill(0);
                std::fs::write(&log, bytes).unwrap();
            }
            // Of older files nothing of this is known to be on disk either.
            3 => {
                let first = folders.log.join("00000000000000000000");
                let mut bytes = std::fs::read(&first).unwrap();
                bytes[300..600].fill(0);
                std::fs::write(&first, bytes).unwrap();
            }
            // One of two files was made.
            _ => std::fs::remove_file(&queue).unwrap(),
        }
        let store = open(&small(&copy));
        assert_eq!(pull(&store, "C", 0), expected, "damage {damage}");
        put(&store, "C", "k", "more");
        wait_dispatched(&store);
        assert_eq!(pull(&store, "C", 0).len(), expected.len() + 1, "damage {damage}");
    }
}

/// Damage in what was flushed costs that message, not those behind it: the commit log may have none of them.
#[test]
fn old_damage_costs_what_it_hits() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(folder.path());
    let store = open(&config);
    (0..20).for_each(|i| put(&store, "C", &i.to_string(), "x"));
    wait_dispatched(&store);
    store.shutdown();
    drop(store);
    let log = Folders::of(&config.compaction_dir(), "C", 0).log.join("00000000000000000000");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[300..600].fill(0);
    std::fs::write(&log, bytes).unwrap();
    let store = open(&config);
    let mut left = Vec::new();
    let mut offset = 0;
    while offset < 20 {
        let result = get(&store, "C", 0, offset);
        left.extend(result.queue_offsets);
        assert!(result.next_begin_offset > offset);
        offset = result.next_begin_offset;
    }
    assert!(
        left.starts_with(&[0, 1]) && left.ends_with(&[6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]),
        "{left:?}"
    );
    assert!(left.len() < 20);
    store.shutdown();
    drop(store);
    let compaction = CompactionStore::open(&config, Some(i64::MAX)).unwrap();
    let pairs = compaction.get("C", 0).unwrap().current.pairs();
    assert_eq!(pairs.iter().map(|pair| pair.last).collect::<Vec<_>>(), [8, 17, 19]);
    let compaction = CompactionStore::open(&config, Some(0)).unwrap();
    assert_eq!(compaction.get("C", 0).unwrap().current.pairs().len(), 1);
}

#[test]
fn what_the_commit_log_lost_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&small(folder.path()));
    (0..25).for_each(|i| put(&store, "C", &i.to_string(), "x"));
    wait_dispatched(&store);
    compaction(&store).truncate(|_, _| 0).unwrap();
    assert_eq!(pull(&store, "C", 0).len(), 25);
    compaction(&store).truncate(|_, _| 12).unwrap();
    assert_eq!(offsets(&pull(&store, "C", 0)), (0..12).collect::<Vec<_>>());
    let log = compaction(&store).get("C", 0).unwrap();
    assert_eq!(log.current.pairs().len(), 2);
}

/// A start after a crash at any step of a swap brings it to its end.
#[test]
fn a_swap_is_brought_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let store = open(&small(&live));
    (0..60).for_each(|i| put(&store, "C", &format!("k{}", i % 25), &i.to_string()));
    wait_dispatched(&store);
    store.shutdown();
    drop(store);

    // What a swap finds: new files in their sub-folder.
    let made = folder.path().join("made");
    copy_folder(&live, &made);
    let store = open(&small(&made));
    run(&store, "C");
    let expected = pull(&store, "C", 0);
    store.shutdown();
    drop(store);
    assert!(expected.len() < 60);

    let names = |root: &Path, side: &str| -> Vec<String> {
        let folder = root.join("compaction").join(side).join("C/0");
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let (old, new) = (names(&live, "compactionLog"), names(&made, "compactionLog"));
    let replaced: Vec<&String> = old[..old.len() - 1].iter().collect();
    let fresh: Vec<&String> = new[..new.len() - 1].iter().collect();
    assert!(!fresh.is_empty() && fresh.len() < replaced.len());
    let steps = 2 * (fresh.len() + replaced.len());
    for step in 0..=steps {
        let root = folder.path().join(format!("step{step}"));
        copy_folder(&live, &root);
        let (folders, from) =
            (Folders::of(&root.join("compaction"), "C", 0), Folders::of(&made.join("compaction"), "C", 0));
        let below = folders.below(compact::FOLDER);
        let mut done = 0;
        for (parent, sub, source) in
            [(&folders.log, &below.log, &from.log), (&folders.queue, &below.queue, &from.queue)]
        {
            std::fs::create_dir_all(sub).unwrap();
            for name in &fresh {
                let target = if done < step { parent } else { sub };
                std::fs::copy(source.join(name), target.join(name)).unwrap();
                done += 1;
            }
            for name in &replaced {
                if done < step && !fresh.contains(name) {
                    std::fs::remove_file(parent.join(name)).unwrap();
                }
                done += 1;
            }
        }
        let lines = |what: &str, names: &[&String]| -> String {
            names.iter().map(|name| format!("{what} {}\n", name.parse::<i64>().unwrap())).collect()
        };
        std::fs::write(below.log.join("swap"), lines("old", &replaced) + &lines("new", &fresh) + "end\n").unwrap();
        let store = open(&small(&root));
        assert_eq!(pull(&store, "C", 0), expected, "step {step}");
        assert!(!below.log.exists() && !below.queue.exists());
    }

    // One that was only being prepared is forgotten.
    let root = folder.path().join("prepared");
    copy_folder(&live, &root);
    let below = Folders::of(&root.join("compaction"), "C", 0).below(compact::FOLDER);
    std::fs::create_dir_all(&below.log).unwrap();
    std::fs::write(below.log.join("swap"), "old 0\nnew 0\n").unwrap();
    std::fs::write(below.log.join("00000000000000000000"), vec![0; 2300]).unwrap();
    assert_eq!(pull(&open(&small(&root)), "C", 0).len(), 60);
}

/// Reads see whole files, old or new, whatever is put and compacted meanwhile.
#[test]
fn reads_go_on_while_files_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&small(folder.path()));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    while !ended.load(Ordering::Relaxed) {
                        let there = pull(&store, "C", 0);
                        assert!(there.windows(2).all(|two| two[0].0 < two[1].0));
                        assert!(there.iter().all(|(offset, key, body)| {
                            *key == format!("k{}", offset % 5) && *body == format!("body {offset}")
                        }));
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        for i in 0..600 {
            put(&store, "C", &format!("k{}", i % 5), &format!("body {i}"));
            if i % 20 == 19 {
                wait_dispatched(&store);
                run(&store, "C");
            }
        }
        ended.store(true, Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
    assert!(compaction(&store).compactions() > 20);
    assert!(pull(&store, "C", 0).len() < 30);
}

#[test]
fn other_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&small(folder.path()));
    put(&store, "C", "a", "1");
    wait_dispatched(&store);
    store.shutdown();
    drop(store);
    let other = StoreConfig { compaction_cq_mapped_file_size: 46 * 11, ..small(folder.path()) };
    let error = MessageStore::open(other, Arc::new(Hooks)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("compactionCqMappedFileSize"), "{error}");
}

#[test]
fn it_runs_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&StoreConfig { compaction_schedule_internal: Duration::from_millis(1), ..small(folder.path()) });
    (0..40).for_each(|_| put(&store, "C", "k", "x"));
    wait_dispatched(&store);
    let begin = std::time::Instant::now();
    while compaction(&store).compactions() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(offsets(&pull(&store, "C", 0)), [35, 36, 37, 38, 39]);
}

#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, body: Option<u8> },
    Compact,
    Restart { crash: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..12u8, proptest::option::weighted(0.8, 0..200u8)).prop_map(|(key, body)| Step::Put { key, body }),
        1 => Just(Step::Compact),
        1 => any::<bool>().prop_map(|crash| Step::Restart { crash }),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens: the log holds messages in order, each as it was sent, and the last one of each key; what it
    /// lacks is behind a later message of its key, or has no body. After a compaction that read everything but the
    /// newest pair no key is there twice before it.
    #[test]
    fn the_last_of_each_key_is_there_in_order(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let config = small(folder.path());
        let mut store = open(&config);
        let mut sent: Vec<(String, String)> = Vec::new();
        for step in steps {
            match step {
                Step::Put { key, body } => {
                    let (key, body) = (format!("k{key}"), body.map_or(String::new(), |n| "b".repeat(n.into())));
                    put(&store, "C", &key, &body);
                    sent.push((key, body));
                }
                Step::Compact => {
                    wait_dispatched(&store);
                    if compaction(&store).get("C", 0).is_some() {
                        run(&store, "C");
                        let log = compaction(&store).get("C", 0).unwrap();
                        let newest = log.current.pairs().last().map_or(0, |pair| pair.base);
                        let position = compaction(&store).positions.get("C", 0);
                        let mut keys = std::collections::HashSet::new();
                        for pair in log.current.pairs().iter().filter(|pair| pair.base < newest) {
                            log.current.scan(pair, &mut |placed, bytes| {
                                let record = Record::parse(bytes).unwrap();
                                assert!(placed.queue_offset <= position);
                                assert!(keys.insert(property(record.properties(), PROPERTY_KEYS).unwrap().to_owned()));
                                Ok(true)
                            }).unwrap();
                        }
                    }
                }
                Step::Restart { crash } => {
                    wait_dispatched(&store);
                    store.shutdown();
                    drop(store);
                    if crash {
                        std::fs::write(folder.path().join("abort"), "").unwrap();
                    }
                    store = open(&config);
                }
            }
        }
        wait_dispatched(&store);
        let there = pull(&store, "C", 0);
        prop_assert!(there.windows(2).all(|two| two[0].0 < two[1].0));
        for (offset, key, body) in &there {
            prop_assert_eq!((key, body), (&sent[*offset as usize].0, &sent[*offset as usize].1));
        }
        let left: BTreeMap<i64, ()> = there.iter().map(|(offset, ..)| (*offset, ())).collect();
        for (offset, (key, body)) in sent.iter().enumerate() {
            let superseded = sent[offset + 1..].iter().any(|(later, _)| later == key);
            prop_assert!(left.contains_key(&(offset as i64)) || superseded || body.is_empty(), "{offset} is missing");
        }
    }
}
