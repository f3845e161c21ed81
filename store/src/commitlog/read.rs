//! Reading many records for a consumer, on threads that must not wait for the disk.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::warm::Second;
use super::{COPY_MAX, CommitLog, Segments, find};
use crate::error::StoreError;
use crate::patience::Patience;
use crate::record::RECORD_MIN;

/// Bytes a read reserves at a time for the records it copies.
const ARENA: usize = 32 << 10;

/// Bytes at the end of the log that are taken to be in the page cache. What is older may have been dropped, whatever the
/// machine's memory: other processes and a container's limit count, too.
const RESIDENT_BYTES: i64 = 64 << 20;

/// What a [`RecordReader`] found where a consume-queue entry points.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// The whole record.
    Found(Bytes),
    /// A record that is not wanted.
    Unwanted,
    /// No such record.
    Missing,
}

/// One read of many records. Small ones are copied into an arena, so that it makes few allocations.
pub(crate) struct RecordReader<'a> {
    log: &'a CommitLog,
    segments: Segments,
    patience: Patience,
    second: Second,
    arena: BytesMut,
}

impl CommitLog {
    /// Begins a read at the time `now`.
    pub(crate) fn reader(&self, patience: Patience, now: Instant) -> RecordReader<'_> {
        RecordReader {
            log: self,
            segments: self.segments.load(),
            patience,
            second: self.warm.second(now),
            arena: BytesMut::new(),
        }
    }

    /// Whether what lies at `offset` was written so lately, by this process, that reading the mapping is no page fault.
    fn is_resident(&self, offset: i64) -> bool {
        offset >= self.opened_end.max(self.written.get() - RESIDENT_BYTES)
    }
}

impl RecordReader<'_> {
    /// The record of `size` bytes at `offset`, as its consume-queue entry says, when it is `wanted`.
    ///
    /// # Errors
    /// Those of the disk, for a record that may have left the memory.
    pub fn read(&mut self, offset: i64, size: i32, wanted: impl FnOnce(&[u8]) -> bool) -> Result<Lookup, StoreError> {
        let log = self.log;
        let Some(size) = usize::try_from(size).ok().filter(|size| *size >= RECORD_MIN && *size <= log.segment_size)
        else {
            return Ok(Lookup::Missing);
        };
        let Some(segment) = find(&self.segments, log.segment_size, offset) else { return Ok(Lookup::Missing) };
        // The lengths inside were checked when the entry was made; this guards against an entry of another log.
        let head_matches = |record: &[u8]| {
            record.get(..4) == Some(&(size as i32).to_be_bytes()[..])
                && record.get(28..36) == Some(&offset.to_be_bytes()[..])
        };
        let judge = |record: &[u8]| match () {
            () if !head_matches(record) => Some(Lookup::Missing),
            () if !wanted(record) => Some(Lookup::Unwanted),
            () => None,
        };
        // Who may wait has met what is not cached; reading it by system calls also makes the kernel read ahead.
        let may_be_warm = self.patience == Patience::None && size <= COPY_MAX;
        if log.is_resident(offset) || (may_be_warm && log.warm.covers(segment, offset, size, self.second)) {
            let Some(bytes) = segment.bytes(offset, size) else { return Ok(Lookup::Missing) };
            if let Some(refused) = judge(bytes) {
                return Ok(refused);
            }
            if size > COPY_MAX {
                return Ok(segment.shared_bytes(offset, size).map_or(Lookup::Missing, Lookup::Found));
            }
            reserve(&mut self.arena, size);
            self.arena.extend_from_slice(bytes);
        } else {
            reserve(&mut self.arena, size);
            self.arena.resize(size, 0);
            let refused = match segment.read(offset, &mut self.arena, self.patience) {
                None => Some(Ok(Lookup::Missing)),
                Some(Err(error)) => Some(Err(StoreError::io("read", segment.path(), error))),
                Some(Ok(())) => judge(&self.arena).map(Ok),
            };
            if let Some(refused) = refused {
                self.arena.clear();
                return refused;
            }
        }
        Ok(Lookup::Found(self.arena.split().freeze()))
    }
}

/// Makes room for a record of `size` bytes in an arena that holds none.
fn reserve(arena: &mut BytesMut, size: usize) {
    if arena.capacity() < size {
        arena.reserve(if size <= COPY_MAX { ARENA } else { size });
    }
}
