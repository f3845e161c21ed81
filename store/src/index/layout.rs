//! Bytes of an index file.
//!
//! ```text
//!  0  8  begin timestamp            40             4 a slot   slots: number of the newest item, 0 = none
//!  8  8  end timestamp              40 + 4*slots  20 an item  items; number 0 is never used
//! 16  8  begin commit-log offset
//! 24  8  end commit-log offset      item: +0  4  key hash
//! 32  4  slots in use                     +4  8  commit-log offset
//! 36  4  number of the next item         +12  4  seconds since the begin timestamp
//!                                        +16  4  number of the slot's previous item
//! ```
//! Integers are big-endian. Source: `IndexFile.java` and `IndexHeader.java` of RocketMQ 5.5.0.

/// Bytes of the header.
pub const HEADER_SIZE: usize = 40;
/// Bytes of a slot.
pub const SLOT_SIZE: usize = 4;
/// Bytes of an item.
pub const ITEM_SIZE: usize = 20;

/// How many slots and items a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Slots.
    pub slots: u32,
    /// Item numbers; number 0 is among them and never used.
    pub items: u32,
}

impl Dimensions {
    /// Bytes of a file.
    pub fn file_size(self) -> u64 {
        self.item_position(self.items)
    }

    /// Byte at which a slot is.
    pub fn slot_position(self, slot: u32) -> u64 {
        HEADER_SIZE as u64 + u64::from(slot) * SLOT_SIZE as u64
    }

    /// Byte at which an item is.
    pub fn item_position(self, item: u32) -> u64 {
        self.slot_position(self.slots) + u64::from(item) * ITEM_SIZE as u64
    }

    /// Slot of a hash, which is not negative.
    pub fn slot_of(self, hash: i32) -> u32 {
        hash.unsigned_abs() % self.slots
    }
}

/// The first 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Store time of the first message, milliseconds since 1970; before the first, the previous file's end.
    pub begin_timestamp: i64,
    /// Store time of the last message.
    pub end_timestamp: i64,
    /// Commit-log offset of the first message; before the first, the previous file's end.
    pub begin_physical: i64,
    /// Commit-log offset of the last message.
    pub end_physical: i64,
    /// Slots that are not empty.
    pub slot_count: u32,
    /// Number of the next item, at least 1.
    pub next_item: u32,
}

impl Header {
    /// Header of a new file that continues after one that ended so; zeroes for the first file.
    pub fn after(end_timestamp: i64, end_physical: i64) -> Header {
        Header {
            begin_timestamp: end_timestamp,
            end_timestamp,
            begin_physical: end_physical,
            end_physical,
            slot_count: 0,
            next_item: 1,
        }
    }

    /// The bytes.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..8].copy_from_slice(&self.begin_timestamp.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.end_timestamp.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.begin_physical.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.end_physical.to_be_bytes());
        bytes[32..36].copy_from_slice(&self.slot_count.to_be_bytes());
        bytes[36..].copy_from_slice(&self.next_item.to_be_bytes());
        bytes
    }

    /// Reads a header; a next item of 0, as in a file without items, becomes 1.
    ///
    /// # Errors
    /// What is impossible about it.
    pub fn decode(bytes: &[u8; HEADER_SIZE], dimensions: Dimensions) -> Result<Header, String> {
        let long = |at: usize| i64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        let int = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        let header = Header {
            begin_timestamp: long(0),
            end_timestamp: long(8),
            begin_physical: long(16),
            end_physical: long(24),
            slot_count: int(32),
            next_item: int(36).max(1),
        };
        if header.next_item > dimensions.items {
            return Err(format!("next item {} of {} items", header.next_item as i32, dimensions.items));
        }
        if header.slot_count > dimensions.slots || header.slot_count >= header.next_item {
            return Err(format!("{} slots in use by {} items", header.slot_count as i32, header.next_item - 1));
        }
        if header.begin_timestamp < 0 || header.begin_timestamp > header.end_timestamp {
            return Err(format!("timestamps {}..{}", header.begin_timestamp, header.end_timestamp));
        }
        if header.begin_physical < 0 || header.begin_physical > header.end_physical {
            return Err(format!("commit-log offsets {}..{}", header.begin_physical, header.end_physical));
        }
        Ok(header)
    }

    /// Whether messages stored within `begin_ms..=end_ms` may be in the file (Java's `isTimeMatched`).
    pub fn overlaps(&self, begin_ms: i64, end_ms: i64) -> bool {
        begin_ms <= self.end_timestamp && end_ms >= self.begin_timestamp
    }

    /// Seconds to store in an item: since the begin timestamp, within `0..=i32::MAX`, and 0 while that is unset.
    pub fn seconds_until(&self, timestamp_ms: i64) -> i32 {
        if self.begin_timestamp <= 0 {
            return 0;
        }
        let seconds = timestamp_ms.saturating_sub(self.begin_timestamp) / 1000;
        i32::try_from(seconds.max(0)).unwrap_or(i32::MAX)
    }

    /// The header after one more item, for a message with this offset and store time.
    pub fn advanced(mut self, physical_offset: i64, timestamp_ms: i64, new_slot: bool) -> Header {
        if self.next_item == 1 {
            self.begin_physical = physical_offset;
            self.begin_timestamp = timestamp_ms;
        }
        self.slot_count += u32::from(new_slot);
        self.next_item += 1;
        self.end_physical = physical_offset;
        self.end_timestamp = timestamp_ms;
        self
    }
}

/// An item: one key of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Hash of the key, not negative.
    pub hash: i32,
    /// Commit-log offset of the message.
    pub physical_offset: i64,
    /// Store time, seconds since the file's begin timestamp.
    pub seconds: i32,
    /// Number of the previous item in the slot, 0 = none.
    pub previous: u32,
}

impl Item {
    /// The bytes.
    pub fn encode(&self) -> [u8; ITEM_SIZE] {
        let mut bytes = [0; ITEM_SIZE];
        bytes[..4].copy_from_slice(&self.hash.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.physical_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[16..].copy_from_slice(&self.previous.to_be_bytes());
        bytes
    }

    /// Reads an item; any bytes are one.
    pub fn decode(bytes: &[u8; ITEM_SIZE]) -> Item {
        let int = |at: usize| i32::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        Item {
            hash: int(0),
            physical_offset: i64::from_be_bytes(std::array::from_fn(|i| bytes[4 + i])),
            seconds: int(12),
            previous: int(16) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Dimensions = Dimensions { slots: 10, items: 20 };

    #[test]
    fn a_default_file_has_java_s_size() {
        assert_eq!(Dimensions { slots: 5_000_000, items: 20_000_000 }.file_size(), 420_000_040);
    }

    #[test]
    fn impossible_headers_are_refused() {
        let good = Header { slot_count: 3, next_item: 5, end_timestamp: 9, ..Header::after(0, 0) };
        assert_eq!(Header::decode(&good.encode(), SMALL), Ok(good));
        assert_eq!(Header::decode(&[0; 40], SMALL).unwrap().next_item, 1);
        for bad in [
            Header { next_item: 21, ..good },
            Header { next_item: u32::MAX, ..good },
            Header { slot_count: 11, next_item: 20, ..good },
            Header { slot_count: 5, ..good },
            Header { begin_timestamp: 10, ..good },
            Header { begin_timestamp: -1, ..good },
            Header { begin_physical: 1, ..good },
        ] {
            assert!(Header::decode(&bad.encode(), SMALL).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn seconds_are_clamped() {
        let header = Header::after(10_000, 0);
        assert_eq!(header.seconds_until(12_999), 2);
        assert_eq!(header.seconds_until(1), 0);
        assert_eq!(header.seconds_until(i64::MAX), i32::MAX);
        assert_eq!(Header::after(0, 0).seconds_until(5_000), 0);
    }
}
