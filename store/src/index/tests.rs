//! Behaviour of the index on real files.

use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;

const CONFIG: IndexConfig = IndexConfig { slots: 7, items: 10 };
const ALWAYS: (i64, i64) = (0, i64::MAX);

fn open(dir: &Path) -> IndexService {
    IndexService::open(dir, CONFIG).unwrap()
}

/// Message `n`: at offset `n * 100`, stored at second `n`, with key `k<n % 3>`.
fn put(index: &IndexService, n: i64) {
    let key = format!("k{}", n % 3);
    let keys = IndexKeys {
        topic: "T",
        uniq_key: None,
        keys: Some(&key),
        tags: None,
        physical_offset: n * 100,
        store_timestamp: 1_000_000 + n * 1000,
    };
    index.put(&keys).unwrap();
}

fn query(index: &IndexService, key: &str, (begin, end): (i64, i64)) -> Vec<i64> {
    index.query("T", key, KeyKind::Key, 100, begin, end).physical_offsets.iter().map(|o| o / 100).collect()
}

fn expect(range: std::ops::Range<i64>, key: i64) -> Vec<i64> {
    range.rev().filter(|n| n % 3 == key).collect()
}

#[test]
fn finds_keys_over_several_files_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    assert_eq!(index.query("T", "k0", KeyKind::Key, 10, 0, i64::MAX), IndexHits::default());
    (1..50).for_each(|n| put(&index, n));
    assert_eq!(index.total_size(), 6 * Dimensions { slots: 7, items: 10 }.file_size());
    for key in 0..3 {
        assert_eq!(query(&index, &format!("k{key}"), ALWAYS), expect(1..50, key));
    }
    assert_eq!(query(&index, "k3", ALWAYS), []);
    assert_eq!(query(&index, "k1", (1_022_000, 1_030_000)), [28, 25, 22]);
    // As in Java, a file's first item counts its seconds from the end of the file before: 19 seems a second younger.
    assert_eq!(query(&index, "k1", (1_020_000, 1_021_000)), [19]);
    let hits = index.query("T", "k0", KeyKind::Key, 2, 0, i64::MAX);
    assert_eq!(hits.physical_offsets, [4800, 4500]);
    assert_eq!((hits.last_update_timestamp, hits.last_update_physical_offset), (1_049_000, 4900));
    assert_eq!(index.flush().unwrap(), Some(1_045_000));

    let index = open(dir.path());
    assert_eq!(index.end_physical(), 4900);
    // Dispatched again: nothing is doubled.
    (1..60).for_each(|n| put(&index, n));
    for key in 0..3 {
        assert_eq!(query(&index, &format!("k{key}"), ALWAYS), expect(1..60, key));
    }
}

#[test]
fn a_message_whose_keys_are_in_two_files_is_not_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let config = IndexConfig { slots: 1, items: 4 };
    for _ in 0..2 {
        let index = IndexService::open(dir.path(), config).unwrap();
        (0..3).for_each(|n| put_rich(&index, n));
        let hits = index.query("T", "id2", KeyKind::UniqueKey, 10, 0, i64::MAX);
        assert_eq!(hits.physical_offsets, [200]);
        index.flush().unwrap();
    }
}

#[test]
fn every_kind_of_key_is_found_by_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    let index = IndexService::open(dir.path(), IndexConfig { slots: 1000, items: 1000 }).unwrap();
    let keys = IndexKeys {
        topic: "T",
        uniq_key: Some("id"),
        keys: Some(" a  b "),
        tags: Some("red"),
        physical_offset: 0,
        store_timestamp: 5,
    };
    index.put(&keys).unwrap();
    index.put(&IndexKeys { tags: Some(""), keys: Some(""), uniq_key: None, physical_offset: 9, ..keys }).unwrap();
    let found = |key, kind| index.query("T", key, kind, 10, 0, 10).physical_offsets;
    assert_eq!(found("id", KeyKind::UniqueKey), [0]);
    assert_eq!(found("a", KeyKind::Key), [0]);
    assert_eq!(found("b", KeyKind::Key), [0]);
    assert_eq!(found("red", KeyKind::Tag), [0]);
    assert_eq!(found("red", KeyKind::Key), [0i64; 0]);
    assert_eq!(found("", KeyKind::Key), [0i64; 0]);
    assert_eq!(index.end_physical(), 0);
}

#[test]
fn a_killed_index_is_rebuilt_from_its_items() {
    for resume in [1, 5, 12, 29, 44] {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path());
        (1..30).for_each(|n| put(&index, n));
        index.flush().unwrap();
        (30..45).for_each(|n| put(&index, n));
        // Slots and header of the newest file, and some items, are lost with the process.
        drop(index);
        let index = open(dir.path());
        index.rebuild(resume * 100, 0).unwrap();
        (resume..50).for_each(|n| put(&index, n));
        // The newest file holds 37..=44, none of them written.
        let lost = 37..resume.max(37);
        for key in 0..3 {
            let mut expected = expect(1..50, key);
            expected.retain(|n| !lost.contains(n));
            assert_eq!(query(&index, &format!("k{key}"), ALWAYS), expected, "resumed at {resume}");
        }
    }
}

#[test]
fn files_expire_but_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    (1..=27).for_each(|n| put(&index, n));
    assert_eq!(index.delete_expired(900).unwrap(), 0);
    assert_eq!(index.delete_expired(901).unwrap(), 1);
    assert_eq!(index.delete_expired(1_000_000).unwrap(), 1);
    assert_eq!(query(&index, "k0", ALWAYS), expect(19..28, 0));
    index.delete_after(1_027_000).unwrap();
    assert_eq!(query(&index, "k0", ALWAYS), expect(19..28, 0));
    index.delete_after(1_026_999).unwrap();
    assert_eq!((query(&index, "k0", ALWAYS), index.total_size()), (vec![], 0));
}

#[test]
fn damaged_files_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    (1..=12).for_each(|n| put(&index, n));
    index.flush().unwrap();
    let paths = files(dir.path()).unwrap();
    fs::OpenOptions::new().write(true).open(&paths[0]).unwrap().write_all_at(&99u32.to_be_bytes(), 36).unwrap();
    fs::write(dir.path().join("20200101000000000"), b"short").unwrap();
    fs::write(dir.path().join("20200101000000001"), b"").unwrap();
    fs::write(dir.path().join("notes"), b"short").unwrap();
    let index = open(dir.path());
    assert_eq!(query(&index, "k0", ALWAYS), [12]);
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let newest = paths[1].file_name().unwrap();
    let damaged = format!("{}.damaged", paths[0].file_name().unwrap().to_str().unwrap());
    assert_eq!(names, ["20200101000000000.damaged", &damaged, newest.to_str().unwrap(), "notes"]);
}

#[test]
fn a_loop_of_items_ends() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    (1..=4).for_each(|n| put(&index, n * 3));
    index.flush().unwrap();
    let dimensions = Dimensions { slots: 7, items: 10 };
    let path = &files(dir.path()).unwrap()[0];
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&4u32.to_be_bytes(), dimensions.item_position(2) + 16).unwrap();
    assert_eq!(query(&open(dir.path()), "k0", ALWAYS), [12, 9, 6]);
}

#[test]
fn names_only_grow() {
    assert_eq!(file_name(0, None).len(), 17);
    assert_eq!(file_name(0, Some("99999999999999990")), "99999999999999991");
    let name = file_name(0, None);
    assert!(file_name(0, Some(&name)) > name);
}

/// What may happen to an index.
#[derive(Clone, Debug)]
enum Step {
    /// This many messages, each with a key of its own, one of a few keys, and sometimes a tag.
    Put(u8),
    Flush,
    /// Clean end and start, then a part of the log is dispatched again.
    Restart(u8),
    /// What is only in memory is lost; the log is dispatched again from this many messages before what is covered.
    Kill(u8),
    /// The log loses this many messages at the start.
    Expire(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1u8..60).prop_map(Step::Put),
        2 => Just(Step::Flush),
        1 => (0u8..30).prop_map(Step::Restart),
        2 => (0u8..30).prop_map(Step::Kill),
        1 => (0u8..30).prop_map(Step::Expire),
    ]
}

fn put_rich(index: &IndexService, n: i64) {
    let keys = format!("u{n} k{}", n % 3);
    let id = format!("id{n}");
    index
        .put(&IndexKeys {
            topic: "T",
            uniq_key: Some(&id),
            keys: Some(&keys),
            tags: (n % 4 == 0).then_some("tag"),
            physical_offset: n * 100,
            store_timestamp: 1_000_000 + n * 300,
        })
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_message_is_found_whatever_happens(
        slots in 1u32..50,
        items in 2u32..200,
        steps in prop::collection::vec(step(), 1..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let open = || IndexService::open(dir.path(), IndexConfig { slots, items }).unwrap();
        let mut index = open();
        let (mut first, mut next, mut flushed) = (0i64, 0i64, 0i64);
        for step in steps {
            match step {
                Step::Put(count) => {
                    (next..next + i64::from(count)).for_each(|n| put_rich(&index, n));
                    next += i64::from(count);
                }
                Step::Flush => {
                    index.flush().unwrap();
                    flushed = next;
                }
                Step::Restart(again) => {
                    index.flush().unwrap();
                    flushed = next;
                    index = open();
                    ((next - i64::from(again)).max(first)..next).for_each(|n| put_rich(&index, n));
                }
                Step::Kill(again) => {
                    index = open();
                    let covered = flushed.min(index.end_physical() / 100);
                    let from = (covered - i64::from(again)).max(first);
                    index.rebuild(from * 100, 0).unwrap();
                    (from..next).for_each(|n| put_rich(&index, n));
                }
                Step::Expire(count) => {
                    first = (first + i64::from(count)).min((next - 1).max(first));
                    index.delete_expired(first * 100).unwrap();
                }
            }
            let find = |key: &str, kind| {
                let mut found = index.query("T", key, kind, usize::MAX, 0, i64::MAX).physical_offsets;
                found.retain(|&offset| offset >= first * 100);
                found
            };
            let among = |wanted: &dyn Fn(i64) -> bool| -> Vec<i64> {
                (first..next).rev().filter(|&n| wanted(n)).map(|n| n * 100).collect()
            };
            for n in (first..next).step_by(7) {
                prop_assert_eq!(find(&format!("u{n}"), KeyKind::Key), [n * 100]);
                prop_assert_eq!(find(&format!("id{n}"), KeyKind::UniqueKey), [n * 100]);
            }
            prop_assert_eq!(find("k1", KeyKind::Key), among(&|n| n % 3 == 1));
            prop_assert_eq!(find("tag", KeyKind::Tag), among(&|n| n % 4 == 0));
        }
    }

    #[test]
    fn arbitrary_files_never_panic(bytes in prop::collection::vec(any::<u8>(), 40 + 7 * 4 + 10 * 20), plausible: bool) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = bytes;
        if plausible {
            let header = Header { next_item: 10, slot_count: 5, ..Header::after(1, 1) };
            bytes[..40].copy_from_slice(&header.encode());
        }
        fs::write(dir.path().join("20200101000000000"), &bytes).unwrap();
        for rebuild in [false, true] {
            let index = open(dir.path());
            if rebuild {
                index.rebuild(i64::MAX, 0).unwrap();
            }
            query(&index, "k0", ALWAYS);
            put(&index, 1 << 40);
            query(&index, "k0", ALWAYS);
        }
    }
}
