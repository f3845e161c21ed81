//! What goes into the store and what comes back from an append.

use std::net::SocketAddr;

/// A message to append. Lengths are checked by [`crate::MessageStore::put`], names are not: the broker refuses illegal
/// topics before they get here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewMessage<'a> {
    /// Topic, at most 32,767 bytes; beyond 127 bytes the record is written in version 2.
    pub topic: &'a str,
    /// Queue of the topic.
    pub queue_id: i32,
    /// The client's own flag, stored as given.
    pub flag: i32,
    /// System flag; the address bits 0x10 and 0x20 are set here from the two hosts, whatever the caller gave.
    pub sys_flag: i32,
    /// Client's clock at the time of sending, milliseconds since 1970.
    pub born_timestamp: i64,
    /// Client's address.
    pub born_host: SocketAddr,
    /// Address clients reach this broker at; part of the message id.
    pub store_host: SocketAddr,
    /// How often the message has been consumed in vain.
    pub reconsume_times: i32,
    /// Commit-log offset of the half message for a committed transaction, otherwise 0.
    pub prepared_transaction_offset: i64,
    /// Body as sent (possibly compressed).
    pub body: &'a [u8],
    /// Properties, already encoded as `name 0x01 value 0x02`, at most 32,767 bytes.
    pub properties: &'a [u8],
}

/// One message of a batch; everything else comes from the batch's template.
#[derive(Clone, Copy, Debug)]
pub struct BatchChild<'a> {
    /// The client's own flag.
    pub flag: i32,
    /// Body.
    pub body: &'a [u8],
    /// Encoded properties.
    pub properties: &'a [u8],
}

/// Where a message landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Commit-log offset of the record's first byte.
    pub physical_offset: i64,
    /// Bytes of the record.
    pub size: i32,
    /// Position in its queue (0 for records that get none: prepared and rolled-back transactions).
    pub queue_offset: i64,
    /// Store time, milliseconds since 1970.
    pub store_timestamp: i64,
}

impl Appended {
    /// Offset just past the record.
    pub fn end(&self) -> i64 {
        self.physical_offset + i64::from(self.size)
    }
}

/// Where a batch landed: its records are adjacent, with consecutive queue offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// Commit-log offset of each child, in order.
    pub physical_offsets: Vec<i64>,
    /// Bytes of all records together.
    pub size: i32,
    /// Queue position of the first child.
    pub queue_offset: i64,
    /// Store time shared by all children, milliseconds since 1970.
    pub store_timestamp: i64,
    /// Offset just past the last record.
    pub end_offset: i64,
}

impl AppendedBatch {
    /// Offset just past the last record.
    pub fn end(&self) -> i64 {
        self.end_offset
    }
}

/// Whether the store takes messages, and if not, why.
#[derive(Clone, Debug, PartialEq)]
pub enum Writable {
    /// It does.
    Ok,
    /// The disk is fuller than `diskSpaceWarningLevelRatio`, or a file could not be allocated. Ends by itself.
    DiskFull {
        /// Used share of the disk, 0.0..=1.0.
        ratio: f64,
    },
    /// A flush failed; what the disk holds is unknown, so the store takes nothing more until it is opened anew.
    FlushFailed {
        /// The operating system's answer.
        reason: String,
    },
    /// [`crate::MessageStore::shutdown`] was called.
    ShuttingDown,
}

impl Writable {
    /// True for [`Writable::Ok`].
    pub fn is_ok(&self) -> bool {
        matches!(self, Writable::Ok)
    }
}

impl std::fmt::Display for Writable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Writable::Ok => f.write_str("writable"),
            Writable::DiskFull { ratio } => write!(f, "disk is full ({:.1} % used)", ratio * 100.0),
            Writable::FlushFailed { reason } => {
                write!(f, "a flush to disk failed ({reason}), restart after repair")
            }
            Writable::ShuttingDown => f.write_str("shutting down"),
        }
    }
}
