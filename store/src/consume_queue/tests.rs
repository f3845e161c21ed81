//! Behaviour of the table on real files.

use super::*;
use crate::read::QueueEntry;

fn table(dir: &Path) -> QueueTable {
    let table = QueueTable::open(dir, QueueConfig { file_size: 100, ..QueueConfig::default() }).unwrap();
    table.recover().unwrap();
    table
}

/// The entry at queue offset `n` of a log in which every record has 100 bytes.
fn placed(n: i64) -> PlacedEntry {
    PlacedEntry { queue_offset: n, entry: QueueEntry { physical_offset: n * 100, size: 100, tags_code: n } }
}

#[test]
fn entries_survive_a_clean_end() {
    let dir = tempfile::tempdir().unwrap();
    let batch: Vec<_> = (0..12).map(placed).collect();
    {
        let table = table(dir.path());
        let queue = table.get_or_create("T", 3).unwrap();
        queue.append_batch(&batch).unwrap();
        assert_eq!((queue.min_offset(), queue.max_offset(), queue.max_physical()), (0, 12, 1200));
        assert_eq!(table.flush_all(true, 1200), FlushOutcome { all_durable: true, durable_physical: 1200 });
    }
    let table = table(dir.path());
    let queue = table.get("T", 3).unwrap();
    assert_eq!((queue.min_offset(), queue.max_offset(), queue.max_physical()), (0, 12, 1200));
    let mut entries = Vec::new();
    assert_eq!(queue.entries(0, 100, &mut entries).unwrap(), 12);
    assert!(entries.iter().zip(&batch).all(|(a, b)| *a == b.entry));
}
