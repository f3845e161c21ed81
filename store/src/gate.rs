//! Whether the store takes messages. Read by every put, changed by the flush thread, the cleaner and shutdown.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::message::Writable;

const DISK_FULL: u8 = 1;
const FLUSH_FAILED: u8 = 2;
const SHUTTING_DOWN: u8 = 4;

/// See the module text. Several reasons may hold at once; the gravest is shown.
#[derive(Default)]
pub struct WriteGate {
    reasons: AtomicU8,
    /// Used share of the disk as the bits of an f64.
    disk_ratio: AtomicU64,
    flush_error: Mutex<String>,
}

impl WriteGate {
    /// True when nothing stands against writing.
    pub fn is_open(&self) -> bool {
        self.reasons.load(Ordering::Acquire) == 0
    }

    /// The state in words.
    pub fn state(&self) -> Writable {
        let reasons = self.reasons.load(Ordering::Acquire);
        if reasons & FLUSH_FAILED != 0 {
            Writable::FlushFailed { reason: self.flush_error.lock().clone() }
        } else if reasons & SHUTTING_DOWN != 0 {
            Writable::ShuttingDown
        } else if reasons & DISK_FULL != 0 {
            Writable::DiskFull { ratio: f64::from_bits(self.disk_ratio.load(Ordering::Relaxed)) }
        } else {
            Writable::Ok
        }
    }

    /// Closes or opens the gate for want of disk space. Returns whether that changed anything.
    pub fn set_disk_full(&self, full: bool, ratio: f64) -> bool {
        self.disk_ratio.store(ratio.to_bits(), Ordering::Relaxed);
        let before = if full {
            self.reasons.fetch_or(DISK_FULL, Ordering::AcqRel)
        } else {
            self.reasons.fetch_and(!DISK_FULL, Ordering::AcqRel)
        };
        (before & DISK_FULL != 0) != full
    }

    /// Closes the gate for good after a failed flush.
    pub fn set_flush_failed(&self, reason: String) {
        *self.flush_error.lock() = reason;
        self.reasons.fetch_or(FLUSH_FAILED, Ordering::AcqRel);
    }

    /// Whether a flush has failed.
    pub fn is_flush_failed(&self) -> bool {
        self.reasons.load(Ordering::Acquire) & FLUSH_FAILED != 0
    }

    /// Closes the gate for good. Returns false when that had been done before.
    pub fn set_shutting_down(&self) -> bool {
        self.reasons.fetch_or(SHUTTING_DOWN, Ordering::AcqRel) & SHUTTING_DOWN == 0
    }
}
