use std::path::Path;

use proptest::prelude::*;

use super::*;

const T0: i64 = 1_700_000_000_000;

fn config(root: &Path) -> TimerConfig {
    // 19 entries and a filler a file.
    TimerConfig { root: root.to_owned(), precision_ms: 1000, log_file_size: 1024 }
}

fn open(root: &Path) -> (TimerStore, Recovered) {
    TimerStore::open(&config(root), i64::MAX).unwrap()
}

fn unit(number: i64, slot: i64) -> TimerUnit {
    TimerUnit {
        previous: -1,
        magic: MAGIC_DEFAULT,
        write_time_ms: T0,
        slot_time_ms: T0 + slot * 1000,
        physical_offset: number * 100,
        size: 100,
        topic_hash: 7,
    }
}

/// Commit-log offsets of a slot's messages, oldest first.
fn offsets(store: &TimerStore, slot: i64) -> Vec<i64> {
    let Some(slot) = store.slot(T0 + slot * 1000) else { return Vec::new() };
    let found = store.slot_units(&slot, -1, usize::MAX - 1, |_| true).unwrap();
    found.units.iter().map(|(_, unit)| unit.physical_offset).collect()
}

#[test]
fn entries_are_chained_by_slot_over_files() {
    let folder = tempfile::tempdir().unwrap();
    let (store, recovered) = open(folder.path());
    assert_eq!(recovered, Recovered::default());
    let units: Vec<_> = (0..100).map(|n| unit(n, n % 3)).collect();
    store.append(&units[..1]).unwrap();
    store.append(&units[1..]).unwrap();
    for slot in 0..3 {
        assert_eq!(offsets(&store, slot), (0..100).filter(|n| n % 3 == slot).map(|n| n * 100).collect::<Vec<_>>());
        assert_eq!(store.slot(T0 + slot * 1000).unwrap().number, [34, 33, 33][slot as usize]);
    }
    assert_eq!(store.pending(T0 + 1000), 66);
    assert_eq!(store.next_slot_time(T0 - 5000, T0 + 9000), T0);
    assert_eq!(store.next_slot_time(T0 + 3000, T0 + 9000), T0 + 9000);
    assert_eq!(std::fs::read_dir(folder.path().join("timerlog")).unwrap().count(), 6);
}

#[test]
fn a_slot_is_read_in_bounded_parts() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path());
    store.append(&(0..50).map(|n| unit(n, 0)).collect::<Vec<_>>()).unwrap();
    let slot = store.slot(T0).unwrap();
    let (mut behind, mut seen) = (-1, Vec::new());
    loop {
        let part = store.slot_units(&slot, behind, 7, |unit| unit.physical_offset % 200 == 0).unwrap();
        assert!(part.units.len() <= 7);
        seen.extend(part.units.iter().map(|(_, unit)| unit.physical_offset));
        behind = part.units.last().map_or(behind, |(position, _)| *position);
        if part.complete {
            break;
        }
    }
    assert_eq!(seen, (0..50).step_by(2).map(|n| n * 100).collect::<Vec<_>>());
}

#[test]
fn files_go_when_their_messages_have_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path());
    store.append(&(0..60).map(|n| unit(n, n % 2)).collect::<Vec<_>>()).unwrap();
    // The first file ends with number 18, the second with 37.
    assert_eq!(store.delete_expired(0).unwrap(), 0);
    assert_eq!(store.delete_expired(2000).unwrap(), 1);
    assert_eq!(store.delete_expired(2000).unwrap(), 0);
    assert_eq!(store.delete_expired(i64::MAX).unwrap(), 2, "the newest stays");
    let left = offsets(&store, 0);
    assert!(!left.is_empty() && left.iter().all(|offset| *offset > 5000), "{left:?}");
    store.flush(TimerCheckpointValues::default()).unwrap();
    drop(store);
    let (store, recovered) = open(folder.path());
    assert!(!recovered.incomplete);
    assert_eq!(offsets(&store, 0), left);
}

#[test]
fn what_a_crash_took_from_the_commit_log_is_no_timer() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path());
    store.append(&(0..10).map(|n| unit(n, 0)).collect::<Vec<_>>()).unwrap();
    store.flush(TimerCheckpointValues::default()).unwrap();
    drop(store);
    let (store, recovered) = TimerStore::open(&config(folder.path()), 550).unwrap();
    assert_eq!(offsets(&store, 0), [0, 100, 200, 300, 400]);
    assert_eq!(recovered.last.map(|unit| unit.physical_offset), Some(400));
    // What was dropped never comes back.
    store.append(&[unit(77, 0)]).unwrap();
    drop(store);
    let (store, _) = open(folder.path());
    assert_eq!(offsets(&store, 0), [0, 100, 200, 300, 400, 7700]);
    assert_eq!(store.slot(T0).unwrap().number, 6);
}

#[test]
fn a_lost_log_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path());
    store.append(&[unit(1, 0)]).unwrap();
    store.flush(TimerCheckpointValues::default()).unwrap();
    drop(store);
    std::fs::remove_dir_all(folder.path().join("timerlog")).unwrap();
    let (store, recovered) = open(folder.path());
    assert!(recovered.incomplete);
    assert_eq!(offsets(&store, 0), [] as [i64; 0]);
    store.append(&[unit(2, 0)]).unwrap();
    assert_eq!(offsets(&store, 0), [200]);
}

#[test]
fn another_precision_makes_all_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(folder.path());
    store.append(&[unit(1, 0), unit(2, 5)]).unwrap();
    store.flush(TimerCheckpointValues::default()).unwrap();
    drop(store);
    let other = TimerConfig { precision_ms: 100, ..config(folder.path()) };
    let (store, recovered) = TimerStore::open(&other, i64::MAX).unwrap();
    assert!(recovered.incomplete);
    assert_eq!(store.pending(0), 0);
}

proptest! {
    // Each case reads and writes wheels of 38 MB.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However much of wheel and log got to disk: what is left of the log is what the wheel shows, each entry once.
    #[test]
    fn the_wheel_always_shows_the_log(
        slots in proptest::collection::vec((0i64..6, any::<bool>()), 1..120),
        flushed in 0usize..120,
        checkpointed in 0usize..120,
        wheel_is_lost in any::<bool>(),
        cut in proptest::option::of(0usize..120),
        torn in 0usize..40,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(folder.path());
        let units: Vec<_> = slots
            .iter()
            .enumerate()
            .map(|(n, (slot, delete))| TimerUnit { magic: if *delete { 5 } else { 1 }, ..unit(n as i64, *slot) })
            .collect();
        let mut checkpoint = None;
        for (n, unit) in units.iter().enumerate() {
            store.append(std::slice::from_ref(unit)).unwrap();
            if n == checkpointed.min(flushed) {
                store.flush(TimerCheckpointValues { read_time_ms: 5, ..Default::default() }).unwrap();
                checkpoint = Some(store.checkpoint());
            }
            if n == flushed {
                // The wheel may be ahead of the checkpoint.
                store.wheel.flush().unwrap();
            }
        }
        drop(store);
        if wheel_is_lost {
            std::fs::remove_file(folder.path().join("timerwheel")).unwrap();
        }
        // A power cut takes what was not flushed; a part of an entry may stay.
        let mut left = units.len();
        if let Some(cut) = cut.filter(|cut| *cut < units.len() && *cut > checkpointed.min(flushed)) {
            left = cut;
            let start = cut / 19 * 1024;
            let file = folder.path().join("timerlog").join(format!("{start:020}"));
            let mut bytes = std::fs::read(&file).unwrap();
            let end = cut % 19 * 52 + torn;
            bytes[end.min(1024)..].fill(0);
            std::fs::write(&file, bytes).unwrap();
        }
        let (store, recovered) = open(folder.path());
        prop_assert_eq!(recovered.checkpoint, checkpoint.unwrap_or_default());
        prop_assert_eq!(recovered.last.map(|unit| unit.physical_offset), left.checked_sub(1).map(|n| n as i64 * 100));
        prop_assert!(!recovered.incomplete);
        for slot in 0..6 {
            let time_ms = T0 + slot * 1000;
            let of_slot = units[..left].iter().filter(|unit| unit.slot_time_ms == time_ms);
            let number: i32 = of_slot.clone().map(TimerUnit::weight).sum();
            let expected: Vec<_> = of_slot.map(|unit| unit.physical_offset).collect();
            prop_assert_eq!(store.slot(T0 + slot * 1000).map_or(0, |slot| slot.number), number);
            prop_assert_eq!(offsets(&store, slot), expected);
        }
        // And goes on from there.
        store.append(&[unit(1000, 3)]).unwrap();
        let after = offsets(&store, 3);
        prop_assert_eq!(after.last(), Some(&100_000));
    }
}
