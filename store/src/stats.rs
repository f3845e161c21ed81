//! Counters of the store for GET_BROKER_RUNTIME_INFO (Java's `StoreStatsService`).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Counters since the store was opened. All are monotonic except the maxima.
#[derive(Debug, Default)]
pub struct StoreStats {
    /// Messages appended.
    pub put_messages: AtomicU64,
    /// Bytes appended (whole records).
    pub put_bytes: AtomicU64,
    /// Put calls refused or failed.
    pub put_failed: AtomicU64,
    /// Longest put call, milliseconds.
    pub put_entire_time_max_ms: AtomicI64,
    /// Messages handed out by reads.
    pub get_transferred_messages: AtomicU64,
    /// Reads that found at least one message.
    pub get_found: AtomicU64,
    /// Reads that found nothing.
    pub get_missed: AtomicU64,
    /// Longest read, milliseconds.
    pub get_entire_time_max_ms: AtomicI64,
}

impl StoreStats {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }
}
