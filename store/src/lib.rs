//! RocketMQ message store: commit log, consume queues, index, checkpoint. Knows nothing of the network.
//!
//! Read in this order: [`record`] (what a message looks like on disk), [`commitlog`] (where it goes), [`dispatch`] (how
//! queues and index follow), `put.rs` and [`read`] (the two ways in), `open.rs` (opening, recovering, closing).
//!
//! [`compaction`] keeps the last message of each key of a topic for longer than the commit log does.
//!
//! Invariants:
//! - The commit log alone is the truth. Queue offsets, consume queues, index and checkpoint follow from it.
//! - A record is in the mapping before anybody hears of it, and on disk before it is called durable.
//! - Under SYNC_FLUSH consumers see only what is durable.
//! - `unsafe` occurs in `segment/mmap.rs` and nowhere else.

pub mod checkpoint;
pub mod clean;
pub mod commitlog;
pub mod compaction;
pub mod config;
pub mod consume_queue;
pub mod dispatch;
pub mod error;
mod folder;
mod gate;
pub mod hooks;
mod housekeeping;
pub mod index;
pub mod light;
pub mod message;
mod open;
mod patience;
mod put;
mod query;
pub mod read;
pub mod record;
pub mod segment;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod timer;
pub mod watermark;

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

pub use config::{FlushDiskType, StoreConfig};
pub use consume_queue::QueueKind;
pub use consume_queue::ext::ExtUnit;
pub use error::{FlushError, PutError, StoreError};
pub use hooks::{Arrival, NoHooks, StoreHooks};
pub use message::{Appended, AppendedBatch, BatchChild, NewMessage, Writable};
pub use read::{
    Boundary, DiskUsage, GetRequest, GetResult, GetStatus, KeyKind, MatchAll, MessageFilter, QueryResult, QueueEntry,
};
pub use record::{Record, RecordError};
pub use stats::StoreStats;
pub use timer::{Recovered as RecoveredTimers, TimerConfig, TimerStore};

/// Callback of [`MessageStore::when_flushed`].
pub type FlushCallback = Box<dyn FnOnce(Result<(), FlushError>) + Send>;

/// A store folder, opened. Shared as `Arc<MessageStore>`; every method may be called from any thread. Dropping it shuts
/// it down.
pub struct MessageStore {
    core: Arc<open::Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}
