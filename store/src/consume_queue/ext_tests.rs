//! Extensions of simple queues.

use std::path::Path;
use std::sync::Arc;

use super::ext::{ADDRESS_MAX, ExtUnit, is_address};
use super::{ConsumeQueue, ExtConfig, PlacedEntry, QueueConfig, QueueFolders, QueueTable};
use crate::hooks::NoHooks;
use crate::patience::Patience;
use crate::read::QueueEntry;

/// Three units of 34 bytes to a file: the rest of 26 is too short for another and the mark.
const FILE_SIZE: usize = 128;
const PER_FILE: i64 = 3;

fn open(dir: &Path, write: bool) -> QueueTable {
    let folders = QueueFolders { simple: &dir.join("consumequeue"), batch: &dir.join("batch") };
    let config = QueueConfig { file_size: 200, ..QueueConfig::default() };
    let ext = ExtConfig { root: dir.join("consumequeue_ext"), file_size: FILE_SIZE, write };
    let table = QueueTable::open_with_ext(folders, config, Some(ext), Arc::new(NoHooks)).unwrap();
    table.recover().unwrap();
    table
}

fn placed(offset: i64) -> PlacedEntry {
    let entry = QueueEntry { physical_offset: offset * 100, size: 100, tags_code: 7 * offset };
    PlacedEntry { store_timestamp: 1000 + offset, ..PlacedEntry::simple(offset, entry) }
}

fn bits(offset: i64) -> Vec<u8> {
    vec![offset as u8; 14]
}

fn append(queue: &Arc<ConsumeQueue>, range: std::ops::Range<i64>) {
    let entries: Vec<_> = range.clone().map(placed).collect();
    queue.append_extended(&entries, &range.map(bits).collect::<Vec<_>>()).unwrap();
}

/// The units of a range, by way of the queue.
fn units(queue: &ConsumeQueue, range: std::ops::Range<i64>) -> Vec<Option<ExtUnit>> {
    let unit = |offset| queue.ext_unit(queue.entry(offset).unwrap().tags_code, Patience::Endless).unwrap();
    range.map(unit).collect()
}

fn expected(range: std::ops::Range<i64>) -> Vec<Option<ExtUnit>> {
    let unit = |offset| ExtUnit { tags_code: 7 * offset, store_timestamp: 1000 + offset, bits: bits(offset) };
    range.map(|offset| Some(unit(offset))).collect()
}

fn file(dir: &Path, start: i64) -> std::path::PathBuf {
    dir.join(format!("consumequeue_ext/T/0/{start:020}"))
}

#[test]
fn addresses_are_below_all_hashes() {
    assert!(is_address(i64::MIN) && is_address(ADDRESS_MAX) && ADDRESS_MAX == -2_147_483_649);
    assert!(!is_address(i32::MIN.into()) && !is_address(0) && !is_address(i64::MAX));
}

#[test]
fn files_are_java_s() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), true);
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..4);
    let address = |offset| queue.entry(offset).unwrap().tags_code;
    let expected: Vec<i64> = [0, 34, 68, 128].iter().map(|position| i64::MIN + position).collect();
    assert_eq!((0..4).map(address).collect::<Vec<_>>(), expected);
    assert!(table.flush_all(true, 400).all_durable);
    let bytes = std::fs::read(file(dir.path(), 0)).unwrap();
    assert_eq!(bytes.len(), FILE_SIZE);
    let second = [0, 34, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 3, 233, 0, 14];
    assert_eq!(bytes[34..54], second);
    assert_eq!(bytes[54..68], [1; 14]);
    assert_eq!(bytes[102..], [&[255u8, 255][..], &[0; 24]].concat());
    assert_eq!(std::fs::read(file(dir.path(), 128)).unwrap()[..2], [0, 34]);
}

#[test]
fn units_are_found_before_and_after_they_are_written_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), true);
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..5);
    assert_eq!(units(&queue, 0..5), expected(0..5));
    assert!(table.flush_all(true, 500).all_durable);
    append(&queue, 5..7);
    assert_eq!(units(&queue, 0..7), expected(0..7));
    // Dispatched again: the queue has them.
    append(&queue, 3..7);
    assert_eq!(queue.max_offset(), 7);
    table.flush_all(true, 700);
    drop((queue, table));

    let table = open(dir.path(), true);
    let queue = table.get("T", 0).unwrap();
    assert_eq!(units(&queue, 0..7), expected(0..7));
    append(&queue, 7..20);
    assert_eq!(units(&queue, 0..20), expected(0..20));
    assert_eq!(queue.entry(7).unwrap().tags_code, i64::MIN + 2 * 128 + 34, "no gap, nothing overwritten");
    table.flush_all(true, 2000);
    drop((queue, table));

    // Off: those there are, are still read; new entries have plain tags codes.
    let table = open(dir.path(), false);
    let queue = table.get("T", 0).unwrap();
    append(&queue, 20..21);
    assert_eq!(units(&queue, 0..20), expected(0..20));
    assert_eq!(queue.entry(20).unwrap().tags_code, 140);
}

#[test]
fn an_extension_ends_where_its_queue_does() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), true);
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..10);
    table.flush_all(true, 1000);
    queue.truncate_to_physical(500).unwrap();
    assert_eq!(queue.max_offset(), 5);
    assert!(!file(dir.path(), 2 * FILE_SIZE as i64).exists());
    append(&queue, 5..6);
    assert_eq!(queue.entry(5).unwrap().tags_code, i64::MIN + 128 + 68);
    assert_eq!(units(&queue, 0..6), expected(0..6));
    table.flush_all(true, 600);
    drop((queue, table));

    // Units without a queue that points to them are counted, and what is torn behind them is not.
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let table = open(dir.path(), true);
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..1);
    assert_eq!(queue.entry(0).unwrap().tags_code, i64::MIN + 128 + 102 + 26);
    assert_eq!(units(&queue, 0..1), expected(0..1));
}

#[test]
fn what_nothing_points_to_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), true);
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..30);
    table.flush_all(true, 3000);
    queue.correct_min(100 * (2 * PER_FILE + 1)).unwrap();
    assert!(!file(dir.path(), 0).exists() && !file(dir.path(), 128).exists() && file(dir.path(), 256).exists());
    assert_eq!(units(&queue, 7..30), expected(7..30));
    assert_eq!(queue.delete_expired_files(2500).unwrap(), 2);
    assert!(!file(dir.path(), 256).exists());
    assert_eq!(units(&queue, 25..30), expected(25..30));
    assert!(queue.ext_unit(i64::MIN, Patience::Endless).unwrap().is_none());
    assert!(queue.ext_unit(ADDRESS_MAX, Patience::Endless).unwrap().is_none());
    table.delete_topic("T").unwrap();
    assert!(!dir.path().join("consumequeue_ext/T").exists());
}

#[test]
fn damaged_units_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), true);
    let queue = table.get_or_create("T", 0).unwrap();
    append(&queue, 0..3);
    table.flush_all(true, 300);
    drop((queue, table));
    let mut bytes = std::fs::read(file(dir.path(), 0)).unwrap();
    bytes[0..2].copy_from_slice(&i16::MAX.to_be_bytes());
    bytes[34..36].copy_from_slice(&19i16.to_be_bytes());
    bytes[68 + 18..68 + 20].copy_from_slice(&15i16.to_be_bytes());
    std::fs::write(file(dir.path(), 0), bytes).unwrap();
    let table = open(dir.path(), true);
    let queue = table.get("T", 0).unwrap();
    assert_eq!(units(&queue, 0..3), [None, None, None]);
    append(&queue, 3..4);
    assert_eq!(queue.entry(3).unwrap().tags_code, i64::MIN + 128, "no address is given twice");
    table.flush_all(true, 400);
    drop((queue, table));

    std::fs::remove_dir_all(dir.path().join("consumequeue_ext")).unwrap();
    let table = open(dir.path(), true);
    let queue = table.get("T", 0).unwrap();
    append(&queue, 4..5);
    assert_eq!(queue.entry(4).unwrap().tags_code, i64::MIN + 256);
    assert_eq!(units(&queue, 3..5), [None, expected(4..5)[0].clone()]);
}

#[test]
fn a_unit_that_is_too_long_leaves_the_tags_code() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), true);
    let queue = table.get_or_create("T", 0).unwrap();
    queue.append_extended(&[placed(0), placed(1)], &[vec![0; 105], vec![]]).unwrap();
    assert_eq!(queue.entry(0).unwrap().tags_code, 0);
    assert_eq!(queue.entry(1).unwrap().tags_code, i64::MIN);
    assert_eq!(units(&queue, 1..2)[0].as_ref().unwrap().bits, []);
}
