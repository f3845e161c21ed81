//! Bringing the log to disk, on one thread: group commit under SYNC_FLUSH, a period otherwise.
//!
//! After a failed flush the kernel may have dropped the dirty pages and forgotten the error, so a second attempt that
//! succeeds proves nothing. Therefore a failure is final: nothing more is confirmed, the store takes no more messages,
//! and the next start reads what the disk really holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::CommitLog;
use crate::error::FlushError;

const PAGE: i64 = 4096;

/// When the background flush acts (ASYNC_FLUSH).
#[derive(Clone, Copy, Debug)]
pub struct FlushPolicy {
    /// Period.
    pub interval: Duration,
    /// Dirty 4 KiB pages needed to act.
    pub least_pages: usize,
    /// Period after which one dirty byte is enough.
    pub thorough_interval: Duration,
}

impl CommitLog {
    /// Flushes everything written so far and raises *flushed*. Called by the flush thread, and by shutdown after that
    /// thread has ended.
    pub fn flush(&self) {
        if self.gate.is_flush_failed() {
            return;
        }
        let target = self.written.get();
        let from = self.flushed.get();
        if target <= from {
            return;
        }
        let segments = self.segments.load_full();
        for segment in segments.iter().filter(|segment| segment.end() > from && segment.base() < target) {
            if let Err(error) = self.disk.sync(segment.file()) {
                let reason = format!("{}: {error}", segment.path().display());
                tracing::error!(file = %segment.path().display(), %error, from, target,
                    "flush failed: no message beyond the offset is confirmed, the store takes no more messages");
                self.gate.set_flush_failed(reason);
                self.flushed.fail(FlushError::FlushFailed);
                return;
            }
            if segment.end() <= target {
                segment.mapping().sealed();
            }
        }
        self.flushed.raise(target);
    }

    /// Body of the flush thread. `policy` is asked before every wait, so that settings may change.
    pub fn run_flush(&self, stopped: &AtomicBool, wanted: &AtomicBool, policy: impl Fn() -> FlushPolicy) {
        let mut last_thorough = Instant::now();
        while !stopped.load(Ordering::Acquire) {
            let FlushPolicy { interval, least_pages, thorough_interval } = policy();
            if self.gate.is_flush_failed() {
                std::thread::park_timeout(interval);
                continue;
            }
            if self.is_sync_flush() {
                self.written.wait_above(self.flushed.get(), interval);
                self.flush();
                continue;
            }
            // `wanted` is set by a caller that waits for the disk although the mode is ASYNC_FLUSH.
            if !wanted.load(Ordering::Acquire) {
                std::thread::park_timeout(interval);
            }
            let asked = wanted.swap(false, Ordering::AcqRel);
            let dirty_pages = (self.written.get() + PAGE - 1) / PAGE - self.flushed.get() / PAGE;
            let thorough = last_thorough.elapsed() >= thorough_interval;
            if thorough {
                last_thorough = Instant::now();
            }
            if asked || thorough || dirty_pages >= least_pages as i64 {
                self.flush();
            }
        }
    }
}
