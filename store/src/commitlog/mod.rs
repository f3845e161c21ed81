//! The commit log: one sequence of bytes over files of equal size, appended to under one short lock.

pub mod append;
mod flush;
mod read;
pub mod recover;
mod warm;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::error::StoreError;
use crate::gate::WriteGate;
use crate::record::{RECORD_MIN, Record};
use crate::segment::Segment;
use crate::segment::allocate::{Allocator, Disk};
use crate::watermark::Watermark;
use append::Tail;
pub use append::Written;
pub use flush::FlushPolicy;
pub(crate) use read::Lookup;
use warm::WarmWindows;

/// Records up to this size are copied out of the mapping; larger ones are handed out as slices that keep it alive.
/// Copying is level with slicing at 4 KiB and loses clearly at 32 KiB (measured with vectored socket writes).
const COPY_MAX: usize = 8 << 10;

/// Loaded list of the log's files, oldest first; base offsets rise in steps of the file size.
pub type Segments = Guard<Arc<Vec<Arc<Segment>>>>;

/// See the module text.
pub struct CommitLog {
    folder: PathBuf,
    segment_size: usize,
    segments: ArcSwap<Vec<Arc<Segment>>>,
    tail: Mutex<Tail>,
    /// When the present holder took the append lock, milliseconds since 1970; 0 when it is free.
    locked_since_ms: AtomicI64,
    /// Store time of the last record appended, milliseconds since 1970.
    last_store_timestamp: AtomicI64,
    allocator: Arc<Allocator>,
    disk: Arc<dyn Disk>,
    gate: Arc<WriteGate>,
    /// Everything below is in the mapping.
    written: Watermark,
    /// Everything below is on disk.
    flushed: Watermark,
    sync_flush: AtomicBool,
    /// End of the log when it was opened.
    opened_end: i64,
    /// Which older parts were found in the page cache just now.
    warm: WarmWindows,
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

impl CommitLog {
    /// Takes over a recovered log: `segments` as found by [`recover`], appends go on at `recovered.end`.
    pub fn new(
        folder: PathBuf,
        segment_size: usize,
        disk: Arc<dyn Disk>,
        gate: Arc<WriteGate>,
        recovered: recover::Recovered,
        sync_flush: bool,
    ) -> Self {
        let end = recovered.end;
        CommitLog {
            allocator: Arc::new(Allocator::new(folder.clone(), segment_size, disk.clone())),
            folder,
            segment_size,
            segments: ArcSwap::from_pointee(recovered.segments),
            tail: Mutex::new(Tail::new(recovered.writer, end, recovered.last_store_timestamp)),
            locked_since_ms: AtomicI64::new(0),
            last_store_timestamp: AtomicI64::new(recovered.last_store_timestamp),
            disk,
            gate,
            written: Watermark::new(end),
            flushed: Watermark::new(end),
            sync_flush: AtomicBool::new(sync_flush),
            opened_end: end,
            warm: WarmWindows::new(segment_size),
        }
    }

    /// The thread that makes files ahead runs on this.
    pub fn allocator(&self) -> &Arc<Allocator> {
        &self.allocator
    }

    /// Watermark of appended bytes.
    pub fn written(&self) -> &Watermark {
        &self.written
    }

    /// Watermark of durable bytes.
    pub fn flushed(&self) -> &Watermark {
        &self.flushed
    }

    /// What consumers may see rises with this: *flushed* under SYNC_FLUSH, otherwise *written*.
    pub fn readable(&self) -> &Watermark {
        if self.sync_flush.load(Ordering::Acquire) { &self.flushed } else { &self.written }
    }

    /// Switches between SYNC_FLUSH and ASYNC_FLUSH.
    pub fn set_sync_flush(&self, sync: bool) {
        self.sync_flush.store(sync, Ordering::Release);
        self.written.wake();
        self.flushed.wake();
    }

    /// Whether SYNC_FLUSH is in force.
    pub fn is_sync_flush(&self) -> bool {
        self.sync_flush.load(Ordering::Acquire)
    }

    /// First offset the log still holds, -1 when it has no file.
    pub fn min_offset(&self) -> i64 {
        self.segments.load().first().map_or(-1, |segment| segment.base())
    }

    /// Offset behind the last byte appended.
    pub fn max_offset(&self) -> i64 {
        self.written.get()
    }

    /// Bytes of one file.
    pub fn segment_size(&self) -> usize {
        self.segment_size
    }

    /// Folder of the files.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Store time of the last record, milliseconds since 1970; 0 for an empty log.
    pub fn last_store_timestamp(&self) -> i64 {
        self.last_store_timestamp.load(Ordering::Acquire)
    }

    /// How long the append lock has been held by its present holder, milliseconds.
    pub fn lock_time_ms(&self) -> i64 {
        match self.locked_since_ms.load(Ordering::Relaxed) {
            0 => 0,
            since => (now_ms() - since).max(0),
        }
    }

    /// The files, oldest first.
    pub fn segments(&self) -> Segments {
        self.segments.load()
    }

    /// The file that holds `offset`.
    pub fn segment_at(&self, offset: i64) -> Option<Arc<Segment>> {
        find(&self.segments.load(), self.segment_size, offset).cloned()
    }

    /// The record at `offset`, of `size` bytes when that is known. With `cold` it is read by a system call.
    /// `None` when it is not, or not yet, or no longer there, or not a record.
    pub fn record(&self, offset: i64, size: Option<usize>, cold: bool) -> Option<Bytes> {
        let segments = self.segments.load();
        let segment = find(&segments, self.segment_size, offset)?;
        let limit = self.readable().get();
        let size = match size {
            Some(size) => size,
            None if cold => {
                let mut head = [0; 4];
                segment.read_at(offset, &mut head)?.ok()?;
                usize::try_from(i32::from_be_bytes(head)).ok()?
            }
            None => usize::try_from(i32::from_be_bytes(segment.bytes(offset, 4)?.try_into().ok()?)).ok()?,
        };
        // A size read from disk is checked against the file before anything is allocated.
        if size > self.segment_size || offset.checked_add(size as i64)? > limit {
            return None;
        }
        let bytes = if cold {
            let mut buffer = vec![0; size];
            if let Err(error) = segment.read_at(offset, &mut buffer)? {
                tracing::error!(file = %segment.path().display(), offset, size, %error, "commit log cannot be read");
                return None;
            }
            Bytes::from(buffer)
        } else if size <= COPY_MAX {
            Bytes::copy_from_slice(segment.bytes(offset, size)?)
        } else {
            segment.shared_bytes(offset, size)?
        };
        let record = Record::parse(&bytes).ok()?;
        (record.size() == size && record.physical_offset() == offset).then_some(())?;
        Some(bytes)
    }

    /// Copies the record of `size` bytes at `offset` into `buffer`, by a system call. False when it is not, or not yet,
    /// or no longer there.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn read_record(&self, offset: i64, size: i32, buffer: &mut Vec<u8>) -> Result<bool, StoreError> {
        let Some(size) = usize::try_from(size).ok().filter(|size| *size >= RECORD_MIN && *size <= self.segment_size)
        else {
            return Ok(false);
        };
        if offset.checked_add(size as i64).is_none_or(|end| end > self.readable().get()) {
            return Ok(false);
        }
        let segments = self.segments.load();
        let Some(segment) = find(&segments, self.segment_size, offset) else { return Ok(false) };
        buffer.resize(size, 0);
        match segment.read_at(offset, buffer) {
            None => return Ok(false),
            Some(Err(error)) => return Err(StoreError::io("read", segment.path(), error)),
            Some(Ok(())) => {}
        }
        let record = Record::parse(buffer).ok();
        Ok(record.is_some_and(|record| record.size() == size && record.physical_offset() == offset))
    }

    /// Store time of the record at `offset`, -1 when it is not there. Looks at the record's head only.
    pub fn store_time(&self, offset: i64, size: i32) -> i64 {
        let read = || {
            let segments = self.segments.load();
            let segment = find(&segments, self.segment_size, offset)?;
            let size = usize::try_from(size).ok()?;
            (offset + size as i64 <= self.readable().get()).then_some(())?;
            Record::parse(segment.bytes(offset, size)?).ok().map(|record| record.store_timestamp())
        };
        read().unwrap_or(-1)
    }

    /// Deletes the oldest file and takes it out of the log. Readers that hold it keep its bytes. The newest file is
    /// never deleted.
    pub fn delete_first(&self) -> std::io::Result<bool> {
        let first = match self.segments.load().as_slice() {
            [first, _, ..] => first.clone(),
            _ => return Ok(false),
        };
        std::fs::remove_file(first.path())?;
        // The append lock keeps the list from growing meanwhile. The file's last reference, whose end unmaps a
        // gigabyte, is not dropped under it.
        let tail = self.tail.lock();
        let before = self.segments.load_full();
        let rest = before.iter().filter(|segment| !Arc::ptr_eq(segment, &first)).cloned().collect();
        self.segments.store(Arc::new(rest));
        drop(tail);
        Ok(true)
    }
}

/// The file of `list` that holds `offset`.
fn find(list: &[Arc<Segment>], segment_size: usize, offset: i64) -> Option<&Arc<Segment>> {
    let distance = usize::try_from(offset.checked_sub(list.first()?.base())?).ok()?;
    list.get(distance / segment_size)
}
