//! The 20-byte unit of a consume-queue file.
//!
//! ```text
//!  0  8  commit-log offset of the record
//!  8  4  bytes of the record
//! 12  8  tags code
//! ```
//! Integers are big-endian. Source: `ConsumeQueue.java` of RocketMQ 5.5.0.

use crate::read::QueueEntry;

/// Bytes of a unit.
pub const UNIT_SIZE: usize = 20;

/// The unit that stands for "nothing was ever here": it fills a queue's first file up to the offset the queue starts
/// at, and a hole between two entries.
pub const FILLER: QueueEntry = QueueEntry { physical_offset: 0, size: i32::MAX, tags_code: 0 };

/// An entry and the queue offset it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedEntry {
    /// Offset in the queue: the unit goes to byte `queue_offset * 20`.
    pub queue_offset: i64,
    /// The unit.
    pub entry: QueueEntry,
}

/// Appends the bytes of `entry` to `out`.
pub fn encode(entry: &QueueEntry, out: &mut Vec<u8>) {
    let mut unit = [0u8; UNIT_SIZE];
    unit[..8].copy_from_slice(&entry.physical_offset.to_be_bytes());
    unit[8..12].copy_from_slice(&entry.size.to_be_bytes());
    unit[12..].copy_from_slice(&entry.tags_code.to_be_bytes());
    out.extend_from_slice(&unit);
}

/// Reads one unit.
pub fn decode(unit: &[u8; UNIT_SIZE]) -> QueueEntry {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = *unit;
    QueueEntry {
        physical_offset: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        size: i32::from_be_bytes([i, j, k, l]),
        tags_code: i64::from_be_bytes([m, n, o, p, q, r, s, t]),
    }
}

/// The whole units in `bytes`, in order; a rest shorter than a unit is ignored.
pub fn decode_all(bytes: &[u8]) -> impl ExactSizeIterator<Item = QueueEntry> + '_ {
    bytes.as_chunks::<UNIT_SIZE>().0.iter().map(decode)
}

/// Whether this unit belongs to the valid part of a queue; the first one that does not ends it.
pub fn is_valid(entry: &QueueEntry) -> bool {
    entry.physical_offset >= 0 && entry.size > 0
}

/// Whether this unit is [`FILLER`], that is valid but points nowhere.
pub fn is_filler(entry: &QueueEntry) -> bool {
    *entry == FILLER
}

/// Commit-log offset behind the record an entry points to; saturates on damaged input.
pub fn end_of(entry: &QueueEntry) -> i64 {
    entry.physical_offset.saturating_add(i64::from(entry.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_java_s_layout() {
        let entry = QueueEntry { physical_offset: 0x0102_0304_0506_0708, size: 0x1122_3344, tags_code: -2 };
        let mut bytes = Vec::new();
        encode(&entry, &mut bytes);
        assert_eq!(bytes[..12], [1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x22, 0x33, 0x44]);
        assert_eq!(bytes[12..], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
        bytes.extend_from_slice(&[0; 7]);
        assert_eq!(decode_all(&bytes).collect::<Vec<_>>(), [entry]);
    }

    #[test]
    fn zeroes_and_negative_values_end_a_queue_and_filler_does_not() {
        let entry = |physical_offset, size| QueueEntry { physical_offset, size, tags_code: 0 };
        assert!(!is_valid(&entry(0, 0)));
        assert!(!is_valid(&entry(-1, 10)));
        assert!(!is_valid(&entry(5, -1)));
        assert!(is_valid(&entry(0, 91)));
        assert!(is_valid(&FILLER) && is_filler(&FILLER));
    }
}
