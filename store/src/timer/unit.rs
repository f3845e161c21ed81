//! One entry of the timer log: 52 bytes, big-endian. Source: `TimerLog.java` of RocketMQ 5.5.0.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | 52 |
//! | 4 | 8 | position of the slot's entry before this one, -1 for none |
//! | 12 | 4 | magic: 1, plus 2 for a message that has to be put back, plus 4 for one that takes another back |
//! | 16 | 8 | the wheel's time when the message entered it, ms since 1970 |
//! | 24 | 4 | the slot's time less that, ms |
//! | 28 | 8 | commit-log offset of the message |
//! | 36 | 4 | bytes of its record |
//! | 40 | 4 | Java's hash of its real topic |
//! | 44 | 8 | 0 |
//!
//! What is left of a file that has no room for an entry and a filler is a filler: its length in 4 bytes, 8 bytes of 0,
//! [`BLANK_MAGIC`].

/// Bytes of an entry.
pub const UNIT_SIZE: usize = 52;
/// Bytes of a filler's head.
pub const FILLER_SIZE: usize = 16;
/// Magic of a filler.
pub const BLANK_MAGIC: i32 = 0xCBD4_3194_u32 as i32;
/// Bit of every entry's magic.
pub const MAGIC_DEFAULT: i32 = 1;
/// Bit of an entry whose message is due later than the wheel reaches: it goes back to the timer topic.
pub const MAGIC_ROLL: i32 = 1 << 1;
/// Bit of an entry whose message takes another one back.
pub const MAGIC_DELETE: i32 = 1 << 2;
/// Bits that a magic may have.
const MAGIC_BITS: i32 = 0xF;

/// An entry; see the module text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerUnit {
    /// Position of the slot's entry before this one, -1 for none.
    pub previous: i64,
    /// Sum of `MAGIC_` bits.
    pub magic: i32,
    /// The wheel's time when the message entered it, ms since 1970.
    pub write_time_ms: i64,
    /// The slot's time, ms since 1970.
    pub slot_time_ms: i64,
    /// Commit-log offset of the message.
    pub physical_offset: i64,
    /// Bytes of its record.
    pub size: i32,
    /// Java's hash of its real topic.
    pub topic_hash: i32,
}

/// What lies at a place of the log where no entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoUnit {
    /// Nothing was written there.
    End,
    /// The file ends here; the log goes on with the next one.
    Filler,
    /// Something else.
    Damaged,
}

impl TimerUnit {
    /// Whether the message goes back to the timer topic.
    pub fn is_rolled(&self) -> bool {
        self.magic & MAGIC_ROLL != 0
    }

    /// Whether the message takes another one back.
    pub fn is_delete(&self) -> bool {
        self.magic & MAGIC_DELETE != 0
    }

    /// What the entry adds to its slot's number of messages.
    pub fn weight(&self) -> i32 {
        if self.is_delete() { -1 } else { 1 }
    }

    /// Writes the entry. The slot's time must not be further than [`i32::MAX`] ms from the write time.
    pub fn encode(&self) -> [u8; UNIT_SIZE] {
        let mut bytes = [0; UNIT_SIZE];
        let delay = (self.slot_time_ms - self.write_time_ms) as i32;
        bytes[..4].copy_from_slice(&(UNIT_SIZE as i32).to_be_bytes());
        bytes[4..12].copy_from_slice(&self.previous.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.magic.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.write_time_ms.to_be_bytes());
        bytes[24..28].copy_from_slice(&delay.to_be_bytes());
        bytes[28..36].copy_from_slice(&self.physical_offset.to_be_bytes());
        bytes[36..40].copy_from_slice(&self.size.to_be_bytes());
        bytes[40..44].copy_from_slice(&self.topic_hash.to_be_bytes());
        bytes
    }

    /// Reads the entry that starts `bytes` and lies at `position` of the log.
    ///
    /// # Errors
    /// [`NoUnit`] when there is none.
    pub fn decode(bytes: &[u8], position: i64) -> Result<TimerUnit, NoUnit> {
        let Some(head) = bytes.get(..FILLER_SIZE) else { return Err(NoUnit::Damaged) };
        let size = int(head, 0);
        let magic = int(head, 12);
        if magic == BLANK_MAGIC {
            return Err(NoUnit::Filler);
        }
        if head.iter().all(|&byte| byte == 0) {
            return Err(NoUnit::End);
        }
        let Some(bytes) = bytes.get(..UNIT_SIZE) else { return Err(NoUnit::Damaged) };
        let write_time_ms = long(bytes, 16);
        let unit = TimerUnit {
            previous: long(bytes, 4),
            magic,
            write_time_ms,
            slot_time_ms: write_time_ms.saturating_add(int(bytes, 24).into()),
            physical_offset: long(bytes, 28),
            size: int(bytes, 36),
            topic_hash: int(bytes, 40),
        };
        let sound = size == UNIT_SIZE as i32
            && magic & !MAGIC_BITS == 0
            && magic & MAGIC_DEFAULT != 0
            && (-1..position).contains(&unit.previous)
            && unit.slot_time_ms > 0
            && unit.physical_offset >= 0
            && unit.size > 0;
        if sound { Ok(unit) } else { Err(NoUnit::Damaged) }
    }
}

/// The head of a filler over `length` bytes.
pub fn filler(length: i64) -> [u8; FILLER_SIZE] {
    let mut bytes = [0; FILLER_SIZE];
    bytes[..4].copy_from_slice(&(length as i32).to_be_bytes());
    bytes[12..].copy_from_slice(&BLANK_MAGIC.to_be_bytes());
    bytes
}

fn int(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes)
}

fn long(bytes: &[u8], at: usize) -> i64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_has_javas_layout() {
        let unit = TimerUnit {
            previous: 52,
            magic: MAGIC_DEFAULT | MAGIC_ROLL,
            write_time_ms: 1_700_000_000_000,
            slot_time_ms: 1_700_000_005_000,
            physical_offset: 0x1122,
            size: 300,
            topic_hash: -1,
        };
        let bytes = unit.encode();
        assert_eq!(&bytes[..16], &[0, 0, 0, 52, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0, 0, 3]);
        assert_eq!(&bytes[24..40], &[0, 0, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0x11, 0x22, 0, 0, 1, 44]);
        assert_eq!(&bytes[40..], &[255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(TimerUnit::decode(&bytes, 104), Ok(unit));
        assert_eq!(TimerUnit::decode(&bytes, 52), Err(NoUnit::Damaged), "points to itself");
    }

    #[test]
    fn places_without_an_entry() {
        assert_eq!(TimerUnit::decode(&[0; 60], 0), Err(NoUnit::End));
        assert_eq!(TimerUnit::decode(&filler(40), 0), Err(NoUnit::Filler));
        assert_eq!(TimerUnit::decode(&[0; 15], 0), Err(NoUnit::Damaged));
        assert_eq!(TimerUnit::decode(&[1; 52], 0), Err(NoUnit::Damaged));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), at: i64) {
            let _ = TimerUnit::decode(&bytes, at);
        }
    }
}
