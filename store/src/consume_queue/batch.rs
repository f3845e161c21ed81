//! What is particular to batch queues: which offsets the units cover, and finding a unit by an offset or a time.
//!
//! Source: `BatchConsumeQueue.java` of RocketMQ 5.5.0. Other than there, bisection spans all files, and a record that is
//! no inner batch gets a unit of one message (Java stores it and never delivers it).

use std::sync::atomic::{AtomicI64, Ordering};

use super::queue::ConsumeQueue;
use super::unit::{self, PlacedEntry, QueueKind};
use crate::error::StoreError;
use crate::read::Boundary;

/// The offsets that the units of a batch queue cover.
pub(super) struct Covered {
    /// First offset that still points into the commit log; -1 while there is no unit.
    min: AtomicI64,
    /// Offset behind the last message; 0 while there is no unit.
    max: AtomicI64,
}

impl Default for Covered {
    fn default() -> Self {
        Covered { min: AtomicI64::new(-1), max: AtomicI64::new(0) }
    }
}

impl Covered {
    pub fn min(&self) -> i64 {
        self.min.load(Ordering::Acquire)
    }

    pub fn max(&self) -> i64 {
        self.max.load(Ordering::Acquire)
    }

    /// A unit was added at the end.
    pub fn append(&self, placed: &PlacedEntry) {
        if self.min() < 0 {
            self.min.store(placed.queue_offset, Ordering::Release);
        }
        self.max.store(placed.end(), Ordering::Release);
    }

    pub fn set_empty(&self) {
        self.max.store(0, Ordering::Release);
        self.min.store(-1, Ordering::Release);
    }
}

impl ConsumeQueue {
    /// Reads from the units which offsets they cover. The files hold the units from index `in_files` on, expired ones
    /// too. Nothing may append meanwhile.
    pub(super) fn find_covered(&self, in_files: i64) -> Result<(), StoreError> {
        if self.kind() != QueueKind::Batch {
            return Ok(());
        }
        let (_, end) = self.live();
        if end <= in_files {
            self.covered.set_empty();
            return Ok(());
        }
        self.covered.max.store(self.unit_at(end - 1)?.end(), Ordering::Release);
        self.raise_covered_min()
    }

    /// Takes the first offset from the first unit that points into the commit log.
    pub(super) fn raise_covered_min(&self) -> Result<(), StoreError> {
        if self.kind() != QueueKind::Batch {
            return Ok(());
        }
        // In this order: a unit that is appended meanwhile begins at this maximum.
        let max = self.max_offset();
        let (first, end) = self.live();
        let min = if first < end { self.unit_at(first)?.queue_offset } else { max };
        self.covered.min.store(min, Ordering::Release);
        Ok(())
    }

    /// Index of the unit that covers a queue offset, or of the next one where none does.
    pub(super) fn index_of(&self, offset: i64) -> Result<i64, StoreError> {
        let (mut low, mut high) = self.live();
        {
            // Most reads are near the end.
            let tail = self.tail.lock();
            let mut units = tail.units_from(tail.start);
            match units.next() {
                Some(unit) if unit.queue_offset <= offset => low = low.max(tail.start),
                Some(_) => high = high.min(tail.start),
                None => {}
            }
        }
        self.first_unit(low, high.max(low), |placed| placed.end() <= offset)
    }

    /// The first message of the first batch not older than `timestamp_ms` ([`Boundary::Lower`]), or of the last batch
    /// stored at the same time as that one ([`Boundary::Upper`]); of the last batch when all are older. The queue's
    /// first offset when there is none.
    pub(super) fn batch_offset_by_time(&self, timestamp_ms: i64, boundary: Boundary) -> Result<i64, StoreError> {
        let (first, end) = self.live();
        if first >= end {
            return Ok(self.min_offset());
        }
        let mut found = self.unit_at(end - 1)?;
        if timestamp_ms < found.store_timestamp {
            let mut at = self.first_unit(first, end, |placed| placed.store_timestamp < timestamp_ms)?;
            if boundary == Boundary::Upper {
                let time = self.unit_at(at)?.store_timestamp;
                at = self.first_unit(at, end, |placed| placed.store_timestamp <= time)? - 1;
            }
            found = self.unit_at(at)?;
        }
        // A file may have been deleted meanwhile.
        if unit::is_filler(&found.entry) {
            return Ok(self.min_offset());
        }
        Ok(found.queue_offset.min(self.max_offset()).max(self.min_offset()))
    }
}
