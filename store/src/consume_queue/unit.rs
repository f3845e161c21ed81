//! The units of consume-queue files.
//!
//! ```text
//! Simple, 20 bytes                          Batch, 46 bytes
//!  0  8  commit-log offset of the record     0  8  commit-log offset of the record
//!  8  4  bytes of the record                 8  4  bytes of the record
//! 12  8  tags code                          12  8  tags code
//!                                           20  8  store time, milliseconds since 1970
//!                                           28  8  queue offset of the record's first message
//!                                           36  2  messages in the record
//!                                           38  4  compacted offset, -1
//!                                           42  4  0
//! ```
//! Integers are big-endian. Source: `ConsumeQueue.java` and `BatchConsumeQueue.java` of RocketMQ 5.5.0.

use crate::read::QueueEntry;

/// Bytes of a simple unit.
pub const UNIT_SIZE: usize = 20;
/// Bytes of a batch unit.
pub const BATCH_UNIT_SIZE: usize = 46;

/// Largest queue offset: positions in bytes, of 46 for each, stay far from the end of an i64.
const OFFSET_MAX: i64 = 1 << 55;

/// The unit that stands for "nothing was ever here": it fills a simple queue's first file up to the offset the queue
/// starts at, and a hole between two entries. Batch queues have none.
pub const FILLER: QueueEntry = QueueEntry { physical_offset: 0, size: i32::MAX, tags_code: 0 };

/// What the units of a queue are; a topic's attribute `queue.type` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueKind {
    /// `SimpleCQ`: one unit for each message, so that the place of a unit is the message's queue offset.
    #[default]
    Simple,
    /// `BatchCQ`: one unit for each record, which may hold several messages (an inner batch). A unit says which queue
    /// offsets it covers.
    Batch,
}

impl QueueKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [QueueKind; 2] = [QueueKind::Simple, QueueKind::Batch];

    /// Bytes of a unit.
    pub const fn unit_size(self) -> usize {
        match self {
            QueueKind::Simple => UNIT_SIZE,
            QueueKind::Batch => BATCH_UNIT_SIZE,
        }
    }
}

/// An entry and the queue offsets it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedEntry {
    /// Queue offset of the first message. In a simple queue the unit goes to byte `queue_offset * 20`.
    pub queue_offset: i64,
    /// Messages in the record, at least 1; always 1 in a simple queue.
    pub messages: i16,
    /// Store time of the record, milliseconds since 1970; 0 where it comes from a simple queue, which does not hold it.
    pub store_timestamp: i64,
    /// Where the record is.
    pub entry: QueueEntry,
}

impl PlacedEntry {
    /// An entry of a simple queue.
    pub const fn simple(queue_offset: i64, entry: QueueEntry) -> Self {
        PlacedEntry { queue_offset, messages: 1, store_timestamp: 0, entry }
    }

    /// Queue offset behind the last message; saturates on damaged input.
    pub fn end(&self) -> i64 {
        self.queue_offset.saturating_add(i64::from(self.messages))
    }

    /// Whether this unit belongs to the valid part of a queue; the first one that does not ends it.
    pub fn is_valid(&self) -> bool {
        let placed = self.messages > 0 && (0..=OFFSET_MAX).contains(&self.queue_offset);
        placed && self.entry.physical_offset >= 0 && self.entry.size > 0
    }
}

/// Appends the bytes of a unit to `out`.
pub fn encode(kind: QueueKind, placed: &PlacedEntry, out: &mut Vec<u8>) {
    let PlacedEntry { queue_offset, messages, store_timestamp, entry } = placed;
    let mut unit = [0u8; BATCH_UNIT_SIZE];
    unit[..8].copy_from_slice(&entry.physical_offset.to_be_bytes());
    unit[8..12].copy_from_slice(&entry.size.to_be_bytes());
    unit[12..20].copy_from_slice(&entry.tags_code.to_be_bytes());
    unit[20..28].copy_from_slice(&store_timestamp.to_be_bytes());
    unit[28..36].copy_from_slice(&queue_offset.to_be_bytes());
    unit[36..38].copy_from_slice(&messages.to_be_bytes());
    unit[38..42].copy_from_slice(&(-1i32).to_be_bytes());
    out.extend_from_slice(&unit[..kind.unit_size()]);
}

/// The whole units in `bytes`, in order; a rest shorter than a unit is ignored. `first` is the number, within the queue,
/// of the first of them.
pub fn decode_all(kind: QueueKind, bytes: &[u8], first: i64) -> impl ExactSizeIterator<Item = PlacedEntry> + '_ {
    bytes.chunks_exact(kind.unit_size()).enumerate().map(move |(i, unit)| {
        let long = |at: usize| i64::from_be_bytes(field(unit, at));
        let entry =
            QueueEntry { physical_offset: long(0), size: i32::from_be_bytes(field(unit, 8)), tags_code: long(12) };
        match kind {
            QueueKind::Simple => PlacedEntry::simple(first + i as i64, entry),
            QueueKind::Batch => PlacedEntry {
                queue_offset: long(28),
                messages: i16::from_be_bytes(field(unit, 36)),
                store_timestamp: long(20),
                entry,
            },
        }
    })
}

fn field<const N: usize>(unit: &[u8], at: usize) -> [u8; N] {
    unit.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_have_java_s_layout() {
        let entry = QueueEntry { physical_offset: 0x0102_0304_0506_0708, size: 0x1122_3344, tags_code: -2 };
        let placed = PlacedEntry { queue_offset: 0x2122_2324, messages: 0x3132, store_timestamp: 0x4142_4344, entry };
        let common = [1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x22, 0x33, 0x44, 255, 255, 255, 255, 255, 255, 255, 254];
        let mut bytes = Vec::new();
        encode(QueueKind::Simple, &placed, &mut bytes);
        assert_eq!(bytes, common);
        bytes.extend_from_slice(&[0; 7]);
        let decoded: Vec<_> = decode_all(QueueKind::Simple, &bytes, 9).collect();
        assert_eq!(decoded, [PlacedEntry::simple(9, entry)]);

        bytes.clear();
        encode(QueueKind::Batch, &placed, &mut bytes);
        assert_eq!(bytes[..20], common);
        assert_eq!(bytes[20..36], [0, 0, 0, 0, 0x41, 0x42, 0x43, 0x44, 0, 0, 0, 0, 0x21, 0x22, 0x23, 0x24]);
        assert_eq!(bytes[36..], [0x31, 0x32, 255, 255, 255, 255, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[0; 45]);
        assert_eq!(decode_all(QueueKind::Batch, &bytes, 9).collect::<Vec<_>>(), [placed]);
    }

    #[test]
    fn zeroes_and_negative_values_end_a_queue_and_filler_does_not() {
        let entry = |physical_offset, size| QueueEntry { physical_offset, size, tags_code: 0 };
        let simple = |physical_offset, size| PlacedEntry::simple(0, entry(physical_offset, size));
        assert!(!simple(0, 0).is_valid());
        assert!(!simple(-1, 10).is_valid());
        assert!(!simple(5, -1).is_valid());
        assert!(simple(0, 91).is_valid());
        assert!(PlacedEntry::simple(0, FILLER).is_valid() && is_filler(&FILLER));
        assert!(!PlacedEntry { queue_offset: -1, ..simple(0, 91) }.is_valid());
        assert!(!PlacedEntry { messages: 0, ..simple(0, 91) }.is_valid());
    }

    proptest! {
        #[test]
        fn batch_units_survive(fields in any::<(i64, i16, i64, i64, i32, i64)>()) {
            let (queue_offset, messages, store_timestamp, physical_offset, size, tags_code) = fields;
            let entry = QueueEntry { physical_offset, size, tags_code };
            let placed = PlacedEntry { queue_offset, messages, store_timestamp, entry };
            let mut bytes = Vec::new();
            encode(QueueKind::Batch, &placed, &mut bytes);
            prop_assert_eq!(decode_all(QueueKind::Batch, &bytes, 0).collect::<Vec<_>>(), vec![placed]);
            let _ = (placed.end(), placed.is_valid(), end_of(&placed.entry));
        }
    }
}
