//! Behaviour of the table on real files.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::NoHooks;
use crate::read::{Boundary, QueueEntry};

/// The simple queues of a folder.
fn open_in(dir: &Path, config: QueueConfig) -> Result<QueueTable, StoreError> {
    QueueTable::open(QueueFolders { simple: dir, batch: Path::new("/nonexistent") }, config, Arc::new(NoHooks))
}

/// A table whose files hold five units.
fn table(dir: &Path) -> QueueTable {
    let table = open_in(dir, QueueConfig { file_size: 95, ..QueueConfig::default() }).unwrap();
    table.recover().unwrap();
    table
}

/// The entry at queue offset `n` of a log in which every record has 100 bytes.
fn placed(n: i64) -> PlacedEntry {
    PlacedEntry::simple(n, QueueEntry { physical_offset: n * 100, size: 100, tags_code: n })
}

fn append(queue: &Arc<ConsumeQueue>, range: std::ops::Range<i64>) {
    queue.append_batch(&range.map(placed).collect::<Vec<_>>()).unwrap();
}

fn read(queue: &ConsumeQueue, from: i64, max: usize) -> Vec<i64> {
    let mut entries = Vec::new();
    let count = queue.entries(from, max, &mut entries).unwrap();
    assert_eq!(count, entries.len());
    entries.iter().map(|placed| placed.entry.tags_code).collect()
}

#[test]
fn entries_survive_a_clean_end() {
    let dir = tempfile::tempdir().unwrap();
    {
        let table = table(dir.path());
        let queue = table.get_or_create("T", 3).unwrap();
        append(&queue, 0..12);
        assert_eq!((queue.min_offset(), queue.max_offset(), queue.max_physical()), (0, 12, 1200));
        assert_eq!(table.flush_all(true, 1200), FlushOutcome { all_durable: true, durable_physical: 1200 });
    }
    let names: Vec<_> = folder(&dir.path().join("T/3")).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 3);
    assert!(names.contains(&"00000000000000000200".to_owned()));
    let table = table(dir.path());
    let queue = table.get("T", 3).unwrap();
    assert_eq!((queue.min_offset(), queue.max_offset(), queue.max_physical()), (0, 12, 1200));
    assert_eq!(read(&queue, 0, 100), (0..12).collect::<Vec<_>>());
    assert_eq!((read(&queue, 4, 3), read(&queue, 12, 1), read(&queue, -1, 1)), (vec![4, 5, 6], vec![], vec![]));
    assert_eq!(table.topics(), [("T".to_owned(), vec![3])]);
}

#[test]
fn only_a_thorough_flush_makes_everything_durable() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let (busy, idle) = (table.get_or_create("T", 0).unwrap(), table.get_or_create("T", 1).unwrap());
    append(&busy, 0..1000);
    append(&idle, 0..1);
    assert_eq!(table.flush_all(false, 100), FlushOutcome { all_durable: false, durable_physical: -1 });
    assert!(busy.dir().exists() && !idle.dir().exists());
    assert_eq!(table.flush_all(true, 200), FlushOutcome { all_durable: true, durable_physical: 200 });
    assert!(idle.dir().exists());
}

#[test]
fn a_failed_write_is_reported_and_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("T", 0).unwrap();
    // A file where the topic's folder should be.
    fs::write(dir.path().join("T"), b"").unwrap();
    append(&queue, 0..204);
    let error = queue.append_batch(&[placed(204)]).unwrap_err();
    assert!(error.to_string().contains("/T/0/00000000000000000000"), "{error}");
    assert_eq!(table.flush_all(true, 7), FlushOutcome { all_durable: false, durable_physical: -1 });
    fs::remove_file(dir.path().join("T")).unwrap();
    append(&queue, 200..210);
    assert_eq!(read(&queue, 0, 1000), (0..210).collect::<Vec<_>>());
    assert_eq!(table.flush_all(true, 8), FlushOutcome { all_durable: true, durable_physical: 8 });
}

#[test]
fn a_log_dispatched_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..10);
    append(&queue, 3..12);
    // A record that claims an offset which is taken.
    let entry = QueueEntry { physical_offset: 5000, size: 100, tags_code: -1 };
    queue.append_batch(&[PlacedEntry::simple(4, entry)]).unwrap();
    assert_eq!(read(&queue, 0, 100), (0..12).collect::<Vec<_>>());
    assert_eq!(queue.max_physical(), 1200);
}

#[test]
fn a_topic_made_again_counts_from_zero() {
    let dir = tempfile::tempdir().unwrap();
    let renumbered = |n: i64, physical: i64| PlacedEntry::simple(n, placed(physical).entry);
    {
        let table = table(dir.path());
        let queue = table.get_or_create("T", 0).unwrap();
        append(&queue, 7..19);
        table.flush_all(true, 0);
        queue.append_batch(&[renumbered(0, 19), renumbered(1, 20)]).unwrap();
        assert_eq!((queue.min_offset(), read(&queue, 0, 9)), (0, vec![19, 20]));
        table.flush_all(true, 0);
    }
    let table = table(dir.path());
    let queue = table.get("T", 0).unwrap();
    append(&queue, 7..19);
    queue.append_batch(&[renumbered(0, 19), renumbered(1, 20), renumbered(2, 21)]).unwrap();
    assert_eq!((queue.min_offset(), read(&queue, 0, 9)), (0, vec![19, 20, 21]));
}

#[test]
fn a_queue_may_start_above_zero() {
    let dir = tempfile::tempdir().unwrap();
    let queue_path = {
        let table = table(dir.path());
        let queue = table.get_or_create("T", 0).unwrap();
        append(&queue, 13..17);
        assert_eq!((queue.min_offset(), queue.max_offset()), (13, 17));
        table.flush_all(true, 0);
        queue.dir()
    };
    // Two files of five; the first begins with filler as Java writes it.
    let first = fs::read(queue_path.join("00000000000000000200")).unwrap();
    let filler = [0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(first[..60], [filler; 3].concat());
    assert_eq!(fs::read_dir(&queue_path).unwrap().count(), 2);

    let table = table(dir.path());
    let queue = table.get("T", 0).unwrap();
    assert_eq!((queue.min_offset(), queue.max_offset(), queue.max_physical()), (13, 17, 1700));
    assert_eq!(read(&queue, 13, 9), [13, 14, 15, 16]);
    assert_eq!(read(&queue, 12, 9), []);
    table.truncate_to_physical(0).unwrap();
    assert_eq!((queue.min_offset(), queue.max_offset(), queue.max_physical()), (13, 13, -1));
    append(&queue, 13..15);
    assert_eq!(read(&queue, 13, 9), [13, 14]);
}

#[test]
fn stale_units_behind_the_end_never_come_back() {
    let dir = tempfile::tempdir().unwrap();
    {
        let table = table(dir.path());
        append(&table.get_or_create("T", 0).unwrap(), 0..20);
        table.flush_all(true, 0);
        table.truncate_to_physical(700).unwrap();
        let queue = table.get("T", 0).unwrap();
        assert_eq!((queue.max_offset(), queue.max_physical()), (7, 700));
        append(&queue, 7..8);
        table.flush_all(true, 0);
    }
    {
        let table = table(dir.path());
        assert_eq!(table.get("T", 0).unwrap().max_offset(), 8);
    }
    // As after a power failure: a hole in the middle.
    let file = fs::OpenOptions::new().write(true).open(dir.path().join("T/0/00000000000000000000")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 20], 40).unwrap();
    {
        let table = table(dir.path());
        let queue = table.get("T", 0).unwrap();
        assert_eq!((queue.max_offset(), queue.max_physical()), (2, 200));
        append(&queue, 2..3);
        table.flush_all(true, 0);
    }
    assert_eq!(table(dir.path()).get("T", 0).unwrap().max_offset(), 3);
}

#[test]
fn files_expire_but_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..13);
    table.flush_all(true, 0);
    assert_eq!(queue.delete_expired_files(400).unwrap(), 0);
    assert_eq!(queue.min_offset(), 4);
    assert_eq!(queue.delete_expired_files(700).unwrap(), 1);
    assert_eq!((queue.min_offset(), read(&queue, 7, 2)), (7, vec![7, 8]));
    assert_eq!(read(&queue, 6, 2), []);
    assert_eq!(queue.delete_expired_files(9_999).unwrap(), 1);
    assert_eq!((queue.min_offset(), queue.max_offset()), (13, 13));
    append(&queue, 13..14);
    assert_eq!(read(&queue, 13, 9), [13]);
    queue.correct_min(0).unwrap();
    assert_eq!(queue.min_offset(), 13);
}

#[test]
fn a_hole_does_not_hide_what_is_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..2);
    append(&queue, 3..6);
    assert_eq!(read(&queue, 0, 9), [0, 1, 0, 3, 4, 5]);
    queue.correct_min(100).unwrap();
    assert_eq!(queue.min_offset(), 1);
    let by_time = |time| queue.offset_by_time(time, Boundary::Lower, 0, |e| Some(e.tags_code));
    assert_eq!((by_time(1), by_time(2), by_time(3)), (1, 3, 3));
    queue.correct_min(200).unwrap();
    assert_eq!(queue.min_offset(), 3);
}

#[test]
fn offsets_by_time_follow_java_s_rules() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("T", 0).unwrap();
    let find = |time, boundary| {
        queue.offset_by_time(time, boundary, 0, |e| Some([10, 10, 10, 30, 30][e.tags_code as usize % 5]))
    };
    assert_eq!(find(1, Boundary::Lower), 0);
    append(&queue, 0..5);
    let cases = [(9, 0, 0), (10, 0, 2), (20, 3, 2), (30, 3, 4), (31, 5, 4)];
    for (time, lower, upper) in cases {
        assert_eq!((find(time, Boundary::Lower), find(time, Boundary::Upper)), (lower, upper), "time {time}");
    }
    // Entries whose record is gone count as older.
    let found = queue.offset_by_time(5, Boundary::Lower, 200, |_| Some(10));
    assert_eq!(found, 2);
    assert_eq!(queue.offset_by_time(5, Boundary::Upper, 0, |_| None), 0);
}

#[test]
fn topics_are_deleted_with_their_folder() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..8);
    append(&table.get_or_create("U", 1).unwrap(), 0..1);
    table.flush_all(true, 0);
    append(&queue, 8..9);
    assert!(table.delete_topic("T").unwrap());
    assert!(!table.delete_topic("T").unwrap());
    append(&queue, 9..10);
    table.flush_all(true, 0);
    assert!(!dir.path().join("T").exists() && dir.path().join("U").exists());
    assert!(table.get("T", 0).is_none() && table.get("U", 1).is_some());
    let again = table.get_or_create("T", 0).unwrap();
    append(&again, 0..1);
    assert_eq!(read(&again, 0, 9), [0]);
    table.flush_all(true, 0);
    assert_eq!(table.delete_expired_queues(100, &|topic| topic == "T").unwrap(), []);
    assert_eq!(table.delete_expired_queues(101, &|topic| topic == "T").unwrap(), [("U".to_owned(), 1)]);
    assert!(dir.path().join("T/0").exists() && !dir.path().join("U/1").exists());
    table.delete_all().unwrap();
    assert!(table.all().is_empty());
}

#[test]
fn names_that_are_no_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = table(dir.path());
    for topic in ["", ".", "..", "../T", "a/b", "a\0", &"x".repeat(256)] {
        assert!(table.get_or_create(topic, 0).is_err(), "{topic}");
    }
    assert!(table.get_or_create("T", -1).is_err());
    let queue = table.get_or_create("%LMQ%T", 0).unwrap();
    let entry = QueueEntry { physical_offset: 0, size: 0, tags_code: 0 };
    queue.append_batch(&[PlacedEntry::simple(0, entry)]).unwrap();
    queue.append_batch(&[PlacedEntry { queue_offset: i64::MAX, ..placed(1) }]).unwrap();
    assert_eq!(queue.max_offset(), 0, "entries that cannot be stored are left out");
}

#[test]
fn files_of_another_size_stop_the_start_and_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let open = || open_in(dir.path(), QueueConfig { file_size: 100, ..QueueConfig::default() });
    let queue = dir.path().join("T/0");
    fs::create_dir_all(&queue).unwrap();
    fs::create_dir_all(dir.path().join("T/x")).unwrap();
    fs::write(dir.path().join("stray"), b"").unwrap();
    fs::write(queue.join("stray"), b"").unwrap();
    fs::write(queue.join(format!("{:020}", 0)), [0; 100]).unwrap();
    fs::write(queue.join(format!("{:020}", 100)), b"").unwrap();
    assert_eq!(open().unwrap().all().len(), 1);
    assert!(!queue.join(format!("{:020}", 100)).exists(), "a file made just before a crash goes");
    for (start, length, reason) in [(100, 99, "99 bytes"), (300, 100, "is missing"), (110, 100, "multiple")] {
        let path = queue.join(format!("{start:020}"));
        fs::write(&path, vec![0; length]).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains(reason) && error.contains(path.to_str().unwrap()), "{error}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn many_queues_need_few_descriptors() {
    const QUEUES: i32 = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let open_files = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        links.filter(|path| path.starts_with(dir.path())).count()
    };
    let config = QueueConfig { open_files_max: 64, ..QueueConfig::default() };
    {
        let table = open_in(dir.path(), config).unwrap();
        for n in 0..QUEUES {
            append(&table.get_or_create("T", n).unwrap(), 0..1);
        }
        assert!(table.flush_all(true, 0).all_durable);
        assert!(table.open_files() <= 64 && open_files() <= 64, "{} files open", open_files());
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains(dir.path().to_str().unwrap()), "no queue file is mapped");
    }
    let table = open_in(dir.path(), config).unwrap();
    table.recover().unwrap();
    for n in 0..QUEUES {
        assert_eq!(read(&table.get("T", n).unwrap(), 0, 9), [0]);
    }
    assert!(table.open_files() <= 64 && open_files() <= 64, "{} files open", open_files());
}

#[test]
fn an_idle_queue_gives_its_memory_back() {
    let dir = tempfile::tempdir().unwrap();
    let table = open_in(dir.path(), QueueConfig::default()).unwrap();
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..5_000);
    assert!(queue.tail.lock().bytes.capacity() <= 16 * 1024);
    for _ in 0..2 {
        table.flush_all(true, 0);
    }
    let memory = queue.tail.lock().bytes.capacity() + size_of::<ConsumeQueue>();
    assert!(memory <= 1024, "{memory} bytes");
    assert!(table.shared.dirty.lock().is_empty() && table.shared.due.lock().is_empty());
    // The newest units are still read from memory.
    assert_eq!(queue.tail.lock().start, 5_000 - 16);
}

/// What may happen to a queue.
#[derive(Clone, Debug)]
enum Step {
    /// This many messages.
    Append(u16),
    /// The next message's offset is this much too high.
    Skip(u8),
    Flush(bool),
    /// Clean end and start.
    Restart,
    /// What is only in memory is lost; the log is dispatched again.
    Kill,
    /// The log loses this share of its entries at the end.
    Truncate(f64),
    /// The log loses this share of its entries at the start.
    Expire(f64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u16..500).prop_map(Step::Append),
        6 => (1u16..8).prop_map(Step::Append),
        1 => (1u8..9).prop_map(Step::Skip),
        3 => any::<bool>().prop_map(Step::Flush),
        1 => Just(Step::Restart),
        2 => Just(Step::Kill),
        1 => (0.0..0.3).prop_map(Step::Truncate),
        2 => (0.0..1.0).prop_map(Step::Expire),
    ]
}

/// The log as the queue should reflect it.
#[derive(Default)]
struct Model {
    /// Every entry of the log that still exists, in log order.
    log: Vec<PlacedEntry>,
    min_physical: i64,
    end_physical: i64,
    next: i64,
}

impl Model {
    fn append(&mut self, count: u16) -> Vec<PlacedEntry> {
        let from = self.log.len();
        for _ in 0..count {
            let size = 91 + (self.end_physical % 37) as i32;
            let entry = QueueEntry { physical_offset: self.end_physical, size, tags_code: self.next * 7 };
            self.log.push(PlacedEntry::simple(self.next, entry));
            self.end_physical += i64::from(size);
            self.next += 1;
        }
        self.log[from..].to_vec()
    }

    /// The entries a consumer can read.
    fn visible(&self) -> BTreeMap<i64, QueueEntry> {
        self.log.iter().map(|placed| (placed.queue_offset, placed.entry)).collect()
    }
}

fn check(queue: &ConsumeQueue, model: &Model) {
    let visible = model.visible();
    let (Some((&first, _)), Some((&last, newest))) = (visible.first_key_value(), visible.last_key_value()) else {
        assert_eq!(queue.min_offset(), queue.max_offset());
        return;
    };
    assert_eq!(queue.min_offset(), first, "minimum");
    assert_eq!(queue.max_offset(), last + 1, "maximum");
    assert_eq!(queue.max_physical(), unit::end_of(newest));
    let mut entries = Vec::new();
    queue.entries(first, usize::MAX, &mut entries).unwrap();
    let entry = |n| PlacedEntry::simple(n, visible.get(&n).copied().unwrap_or(unit::FILLER));
    let expected: Vec<_> = (first..=last).map(entry).collect();
    assert_eq!(entries, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]
    #[test]
    fn a_queue_follows_its_log(file_units in 3usize..400, steps in prop::collection::vec(step(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let config = QueueConfig { file_size: file_units * 20, flush_least_pages: 1, open_files_max: 2, ..QueueConfig::default() };
        let units_per_file = file_units as i64;
        let mut table = open_in(dir.path(), config).unwrap();
        let mut queue = table.get_or_create("T", 0).unwrap();
        let mut model = Model::default();
        let mut skipped = 0i64;
        for step in steps {
            match step {
                Step::Append(count) => queue.append_batch(&model.append(count)).unwrap(),
                // Never two holes in a row, whose sum the model would have to tell apart.
                Step::Skip(by) if skipped != model.next && !model.log.is_empty() => {
                    let far = if by == 8 { units_per_file } else { 0 };
                    model.next += (i64::from(by) + far).min(far + units_per_file);
                    if far > 0 {
                        // The queue forgets what was before.
                        model.log.clear();
                    }
                    queue.append_batch(&model.append(1)).unwrap();
                    skipped = model.next;
                }
                Step::Skip(_) => {}
                Step::Flush(thorough) => {
                    let outcome = table.flush_all(thorough, model.end_physical);
                    prop_assert_eq!(outcome.all_durable, thorough);
                }
                Step::Restart | Step::Kill => {
                    if matches!(step, Step::Restart) {
                        table.flush_all(true, model.end_physical);
                    }
                    drop((table, queue));
                    table = open_in(dir.path(), config).unwrap();
                    table.recover().unwrap();
                    queue = table.get_or_create("T", 0).unwrap();
                    if matches!(step, Step::Kill) {
                        queue.append_batch(&model.log).unwrap();
                    }
                    table.correct_min(model.min_physical).unwrap();
                    table.reset_next_offsets();
                    prop_assert_eq!(queue.next_offset().load(Ordering::Relaxed), queue.max_offset());
                }
                Step::Truncate(share) => {
                    let keep = model.log.len() - (model.log.len() as f64 * share) as usize;
                    if keep > 0 && keep < model.log.len() {
                        model.end_physical = model.log[keep].entry.physical_offset;
                        model.log.truncate(keep);
                        table.truncate_to_physical(model.end_physical).unwrap();
                        model.next = queue.max_offset();
                        skipped = model.next;
                    }
                }
                Step::Expire(share) => {
                    let gone = (model.log.len() as f64 * share) as usize;
                    if gone > 0 && gone < model.log.len() {
                        model.log.drain(..gone);
                        model.min_physical = model.log[0].entry.physical_offset;
                        queue.delete_expired_files(model.min_physical).unwrap();
                    }
                }
            }
            check(&queue, &model);
        }
    }

    #[test]
    fn arbitrary_files_never_panic(bytes in prop::collection::vec(any::<u8>(), 200), filler in 0usize..10) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("T/0");
        fs::create_dir_all(&path).unwrap();
        let mut bytes = bytes;
        for unit in bytes.chunks_mut(20) {
            // Mostly plausible units, or the scan ends at once.
            unit[0] = 0;
            unit[8] &= 0x7f;
        }
        let mut start = Vec::new();
        (0..filler).for_each(|_| unit::encode(QueueKind::Simple, &PlacedEntry::simple(0, unit::FILLER), &mut start));
        bytes[..start.len()].copy_from_slice(&start);
        for (i, part) in bytes.chunks(100).enumerate() {
            fs::write(path.join(format!("{:020}", i * 100)), part).unwrap();
        }
        let table = table(dir.path());
        let queue = table.get("T", 0).unwrap();
        queue.delete_expired_files(1 << 40).unwrap();
        read(&queue, 0, 100);
        queue.offset_by_time(5, Boundary::Upper, 0, |e| Some(e.tags_code));
        queue.truncate_to_physical(1 << 50).unwrap();
        append(&queue, 20..22);
    }
}
