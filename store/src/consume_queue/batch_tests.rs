//! Behaviour of batch queues on real files.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::hooks::Arrival;
use crate::read::{Boundary, QueueEntry};

/// Every topic that starts with `B` has batch queues, `S` simple ones; others are not known.
struct Kinds;

impl StoreHooks for Kinds {
    fn messages_arrived(&self, _: &[Arrival<'_>]) {}

    fn deliver_time(&self, _: i32, store_timestamp_ms: i64) -> i64 {
        store_timestamp_ms
    }

    fn queue_kind(&self, topic: &str) -> Option<QueueKind> {
        match topic.as_bytes().first() {
            Some(b'B') => Some(QueueKind::Batch),
            Some(b'S') => Some(QueueKind::Simple),
            _ => None,
        }
    }
}

fn open_in(dir: &Path, batch_file_size: usize) -> Result<QueueTable, StoreError> {
    let (simple, batch) = (dir.join("consumequeue"), dir.join("batchconsumequeue"));
    let config = QueueConfig { file_size: 100, batch_file_size, flush_least_pages: 1, open_files_max: 2 };
    QueueTable::open(QueueFolders { simple: &simple, batch: &batch }, config, Arc::new(Kinds))
}

/// A table whose files hold three units.
fn table(dir: &Path) -> QueueTable {
    let table = open_in(dir, 130).unwrap();
    table.recover().unwrap();
    table
}

/// Batches of the given numbers of messages, in a log in which every record has 100 bytes; batch n is stored at n * 10.
fn batches(from: (i64, i64), messages: &[i16]) -> Vec<PlacedEntry> {
    let (mut record, mut queue_offset) = from;
    let place = |&messages| {
        let entry = QueueEntry { physical_offset: record * 100, size: 100, tags_code: record };
        let placed = PlacedEntry { queue_offset, messages, store_timestamp: record * 10, entry };
        (record, queue_offset) = (record + 1, placed.end());
        placed
    };
    messages.iter().map(place).collect()
}

/// Offsets at which the batches begin that a read from `from` on returns.
fn read(queue: &ConsumeQueue, from: i64, max: usize) -> Vec<i64> {
    let mut found = Vec::new();
    assert_eq!(queue.entries(from, max, &mut found).unwrap(), found.len());
    found.iter().map(|placed| placed.queue_offset).collect()
}

fn bounds(queue: &ConsumeQueue) -> (i64, i64, i64) {
    (queue.min_offset(), queue.max_offset(), queue.max_physical())
}

#[test]
fn a_read_begins_with_the_batch_that_holds_the_offset() {
    let dir = tempfile::tempdir().unwrap();
    let all = batches((0, 0), &[3, 1, 5, 2, 4, 1, 1]);
    {
        let table = table(dir.path());
        let queue = table.get_or_create("B", 3).unwrap();
        assert_eq!(bounds(&queue), (-1, 0, -1));
        assert_eq!((read(&queue, 0, 9), queue.entry(0)), (vec![], None));
        queue.append_batch(&all).unwrap();
        queue.append_batch(&all).unwrap();
        assert_eq!(bounds(&queue), (0, 17, 700));
        assert!(table.flush_all(true, 700).all_durable);
    }
    let mut files: Vec<_> =
        folder(&dir.path().join("batchconsumequeue/B/3")).unwrap().into_iter().map(|(name, _)| name).collect();
    files.sort();
    assert_eq!(files, ["00000000000000000000", "00000000000000000138", "00000000000000000276"]);
    assert!(!dir.path().join("consumequeue").exists());

    let table = table(dir.path());
    let queue = table.get("B", 3).unwrap();
    assert_eq!(queue.next_offset().load(Ordering::Relaxed), 17);
    queue.append_batch(&all).unwrap();
    assert_eq!(bounds(&queue), (0, 17, 700));
    let starts = [0, 3, 4, 9, 11, 15, 16];
    for offset in 0..17 {
        let holds = starts.iter().rposition(|&start| start <= offset).unwrap();
        assert_eq!(read(&queue, offset, 99), starts[holds..], "from {offset}");
        assert_eq!(queue.entry(offset), Some(all[holds].entry));
    }
    assert_eq!((read(&queue, -1, 9), read(&queue, 17, 9), queue.entry(17)), (vec![], vec![], None));
}

#[test]
fn the_head_expires_and_the_tail_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("B", 0).unwrap();
    let all = batches((0, 0), &[3, 1, 5, 2, 4, 1, 1]);
    queue.append_batch(&all).unwrap();
    table.flush_all(true, 0);
    assert_eq!(queue.delete_expired_files(100).unwrap(), 0);
    assert_eq!((bounds(&queue), read(&queue, 2, 9)), ((3, 17, 700), vec![]));
    assert_eq!(queue.delete_expired_files(400).unwrap(), 1);
    assert_eq!((bounds(&queue), read(&queue, 11, 1)), ((11, 17, 700), vec![11]));
    table.truncate_to_physical(600).unwrap();
    assert_eq!((bounds(&queue), queue.next_offset().load(Ordering::Relaxed)), ((11, 16, 600), 16));
    queue.append_batch(&batches((6, 16), &[9])).unwrap();
    assert_eq!((bounds(&queue), read(&queue, 20, 9)), ((11, 25, 700), vec![16]));
    table.flush_all(true, 0);
    // All that the queue points to is gone.
    assert_eq!(queue.delete_expired_files(10_000).unwrap(), 1);
    assert_eq!(bounds(&queue), (25, 25, 700));
    queue.append_batch(&batches((100, 25), &[2])).unwrap();
    assert_eq!((bounds(&queue), read(&queue, 25, 9)), ((25, 27, 10_100), vec![25]));
    table.truncate_to_physical(0).unwrap();
    assert_eq!(bounds(&queue), (-1, 0, -1));
}

#[test]
fn a_gap_is_passed_over_and_a_topic_made_again_counts_from_zero() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("B", 0).unwrap();
    queue.append_batch(&batches((0, 5), &[3, 2])).unwrap();
    queue.append_batch(&batches((2, 20), &[2])).unwrap();
    assert_eq!(bounds(&queue), (5, 22, 300));
    assert_eq!((read(&queue, 9, 9), read(&queue, 10, 9)), (vec![8, 20], vec![20]));
    // An offset that is taken.
    queue.append_batch(&batches((3, 21), &[2])).unwrap();
    assert_eq!(bounds(&queue), (5, 22, 300));
    queue.append_batch(&batches((4, 0), &[2, 1])).unwrap();
    assert_eq!((bounds(&queue), read(&queue, 0, 9)), ((0, 3, 600), vec![0, 2]));
}

#[test]
fn offsets_by_time_are_those_of_batches() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("B", 0).unwrap();
    let find = |time, boundary| queue.offset_by_time(time, boundary, 0, |_| None);
    assert_eq!(find(5, Boundary::Lower), -1);
    let mut all = batches((0, 0), &[3, 1, 5, 2, 4]);
    for (placed, time) in all.iter_mut().zip([10, 20, 20, 20, 30]) {
        placed.store_timestamp = time;
    }
    queue.append_batch(&all).unwrap();
    // Java: with the last batch's time, and beyond, the last batch.
    for (time, lower, upper) in
        [(9, 0, 0), (10, 0, 0), (11, 3, 9), (20, 3, 9), (21, 11, 11), (30, 11, 11), (31, 11, 11)]
    {
        assert_eq!((find(time, Boundary::Lower), find(time, Boundary::Upper)), (lower, upper), "time {time}");
    }
    queue.correct_min(250).unwrap();
    assert_eq!(find(9, Boundary::Lower), 9);
}

#[test]
fn a_topic_has_queues_of_one_kind() {
    let dir = tempfile::tempdir().unwrap();
    {
        let table = table(dir.path());
        for topic in ["B", "S", "unknown"] {
            let queue = table.get_or_create(topic, 0).unwrap();
            queue.append_batch(&batches((0, 0), &[1])).unwrap();
        }
        // Left by a topic of the same name that had batch queues.
        table.get("S", 0).unwrap().append_batch(&batches((1, 1), &[4])).unwrap();
        assert_eq!(table.get("S", 0).unwrap().max_offset(), 1);
        assert_eq!(
            ["B", "S", "unknown"].map(|topic| table.kind_of(topic)),
            [QueueKind::Batch, QueueKind::Simple, QueueKind::Simple]
        );
        table.flush_all(true, 0);
    }
    let (simple, batch) = (dir.path().join("consumequeue"), dir.path().join("batchconsumequeue"));
    fs::rename(simple.join("unknown"), batch.join("unknown")).unwrap();
    fs::remove_dir_all(batch.join("unknown/0")).unwrap();
    fs::create_dir_all(batch.join("unknown/0")).unwrap();
    {
        let table = table(dir.path());
        assert_eq!(table.kind_of("unknown"), QueueKind::Batch, "a topic nobody knows keeps what it has");
        assert!(table.delete_topic("B").unwrap());
        assert!(!batch.join("B").exists() && simple.join("S").exists());
    }
    fs::create_dir_all(batch.join("S/0")).unwrap();
    let error = open_in(dir.path(), 130).err().unwrap().to_string();
    assert!(error.contains("batchconsumequeue/S") && error.contains("Batch queues"), "{error}");
    fs::remove_dir_all(batch.join("S")).unwrap();
    fs::create_dir_all(simple.join("unknown/1")).unwrap();
    assert!(open_in(dir.path(), 130).is_err(), "both kinds");
}

/// What may happen to a queue.
#[derive(Clone, Debug)]
enum Step {
    /// Batches of these sizes.
    Append(Vec<i16>),
    Flush(bool),
    /// Clean end and start.
    Restart,
    /// What is only in memory is lost; the log is dispatched again.
    Kill,
    /// The log loses this share of its records at the end.
    Truncate(f64),
    /// The log loses this share of its records at the start.
    Expire(f64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(1i16..50, 1..200).prop_map(Step::Append),
        6 => prop::collection::vec(1i16..=i16::MAX, 1..4).prop_map(Step::Append),
        3 => any::<bool>().prop_map(Step::Flush),
        1 => Just(Step::Restart),
        2 => Just(Step::Kill),
        1 => (0.0..0.3).prop_map(Step::Truncate),
        2 => (0.0..1.0).prop_map(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_batch_queue_follows_its_log(file_units in 1usize..120, steps in prop::collection::vec(step(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let mut table = open_in(dir.path(), file_units * 46).unwrap();
        let mut queue = table.get_or_create("B", 0).unwrap();
        let mut log: Vec<PlacedEntry> = Vec::new();
        let (mut record, mut next, mut min_physical) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Append(messages) => {
                    let new = batches((record, next), &messages);
                    record += new.len() as i64;
                    next = new.last().unwrap().end();
                    queue.append_batch(&new).unwrap();
                    log.extend(new);
                }
                Step::Flush(thorough) => {
                    prop_assert_eq!(table.flush_all(thorough, record * 100).all_durable, thorough);
                }
                Step::Restart | Step::Kill => {
                    if matches!(step, Step::Restart) {
                        table.flush_all(true, record * 100);
                    }
                    drop((table, queue));
                    table = open_in(dir.path(), file_units * 46).unwrap();
                    table.recover().unwrap();
                    queue = table.get_or_create("B", 0).unwrap();
                    if matches!(step, Step::Kill) {
                        queue.append_batch(&log).unwrap();
                    }
                    table.correct_min(min_physical).unwrap();
                    table.reset_next_offsets();
                    prop_assert_eq!(queue.next_offset().load(Ordering::Relaxed), queue.max_offset());
                }
                Step::Truncate(share) => {
                    let keep = log.len() - (log.len() as f64 * share) as usize;
                    if keep > 0 && keep < log.len() {
                        record = log[keep].entry.physical_offset / 100;
                        log.truncate(keep);
                        table.truncate_to_physical(record * 100).unwrap();
                        next = queue.max_offset();
                    }
                }
                Step::Expire(share) => {
                    let gone = (log.len() as f64 * share) as usize;
                    if gone > 0 && gone < log.len() {
                        log.drain(..gone);
                        min_physical = log[0].entry.physical_offset;
                        queue.delete_expired_files(min_physical).unwrap();
                    }
                }
            }
            let (Some(first), Some(last)) = (log.first(), log.last()) else {
                prop_assert_eq!(bounds(&queue), (-1, 0, -1));
                continue;
            };
            let expected = (first.queue_offset, last.end(), unit::end_of(&last.entry));
            prop_assert_eq!(bounds(&queue), expected);
            let mut found = Vec::new();
            queue.entries(first.queue_offset, usize::MAX, &mut found).unwrap();
            prop_assert_eq!(&found, &log);
            let by_offset: BTreeMap<_, _> = log.iter().map(|placed| (placed.queue_offset, placed)).collect();
            for placed in log.iter().step_by(log.len() / 5 + 1) {
                let inside = placed.queue_offset + i64::from(placed.messages) / 2;
                let (_, wanted) = by_offset.range(..=inside).next_back().unwrap();
                prop_assert_eq!(queue.entry(inside), Some(wanted.entry));
                let found = queue.offset_by_time(placed.store_timestamp, Boundary::Lower, 0, |_| None);
                prop_assert_eq!(found, placed.queue_offset);
            }
        }
    }

    #[test]
    fn arbitrary_files_never_panic(bytes in prop::collection::vec(any::<u8>(), 276)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("batchconsumequeue/B/0");
        fs::create_dir_all(&path).unwrap();
        let mut bytes = bytes;
        for unit in bytes.chunks_mut(46) {
            // Mostly plausible units, or the scan ends at once.
            for at in [0, 8, 28, 36] {
                unit[at] &= 0x7f;
            }
        }
        for (i, part) in bytes.chunks(138).enumerate() {
            fs::write(path.join(format!("{:020}", i * 138)), part).unwrap();
        }
        let table = table(dir.path());
        let queue = table.get("B", 0).unwrap();
        let _ = (read(&queue, queue.min_offset(), 100), read(&queue, queue.max_offset() / 2, 100));
        queue.delete_expired_files(1 << 40).unwrap();
        let _ = (queue.entry(queue.min_offset()), queue.entry(i64::MAX), queue.entry(i64::MIN));
        queue.offset_by_time(5, Boundary::Upper, 0, |_| None);
        queue.offset_by_time(5, Boundary::Lower, 0, |_| None);
        queue.truncate_to_physical(1 << 50).unwrap();
        queue.append_batch(&batches((1, 20), &[3])).unwrap();
    }
}
