//! Appending under the lock. Everything that can be done before it is done before: records arrive encoded, their queue
//! resolved. Inside remain the clock, the offsets, the copy and, once per file, taking a file made ahead.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::{CommitLog, now_ms};
use crate::error::{PutError, StoreError};
use crate::light::{self, LightNext};
use crate::record::{self, END_FILE_MIN_BLANK, INNER_BASE_MAX, MAGIC_BLANK, SHORT_MAX};
use crate::segment::Segment;
use crate::segment::allocate::{PAGE, POPULATE_AHEAD, POPULATE_STEP, Pages, Readiness, Wishes};
use crate::segment::mmap::Writer;

/// A clock that steps back less than this is ignored, so that store times rise in log order.
const CLOCK_SLACK_MS: i64 = 1000;
/// After a file could not be made, puts fail without trying again for this long.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Where an append landed.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Commit-log offset of the first byte.
    pub physical_offset: i64,
    /// Queue offset of the first record.
    pub queue_offset: i64,
    /// Store time of all records.
    pub store_timestamp: i64,
}

/// How records get their queue offsets.
#[derive(Clone, Copy, Debug)]
pub enum Numbering<'a> {
    /// They have no place in a queue: offset 0.
    None,
    /// Each takes the next offset of a queue.
    Each(&'a AtomicI64),
    /// A single record takes as many of the next offsets as it holds messages, and is told the first of them.
    InnerBatch {
        /// The queue's next offset.
        next: &'a AtomicI64,
        /// Messages in the record.
        messages: i16,
        /// Bytes of its properties.
        properties_length: usize,
    },
    /// A single record takes the next offset of its queue and of light queues, and is told the latter.
    Light {
        /// The queue's next offset.
        next: &'a AtomicI64,
        /// Those of the light queues, in the order in which the message names them.
        light: &'a [Option<LightNext<'a>>],
        /// Bytes of its properties.
        properties_length: usize,
    },
}

impl Numbering<'_> {
    fn next(&self) -> i64 {
        match self {
            Numbering::None => 0,
            Numbering::Each(next) | Numbering::InnerBatch { next, .. } | Numbering::Light { next, .. } => {
                next.load(Ordering::Relaxed)
            }
        }
    }

    /// Bytes that the record grows by at most as it gets its offsets.
    fn room(&self) -> usize {
        match self {
            Numbering::None | Numbering::Each(_) => 0,
            Numbering::InnerBatch { .. } => INNER_BASE_MAX,
            Numbering::Light { light, .. } => light::offsets_max(light.len()),
        }
    }
}

/// What the append lock guards.
pub(super) struct Tail {
    segment: Option<(Arc<Segment>, Writer)>,
    /// Offset of the next record.
    end: i64,
    last_timestamp: i64,
    /// Position in the file up to which pages were asked to be made ready.
    populated: usize,
    /// Whether the file after this one was asked for.
    next_asked: bool,
    /// The last failure to make a file.
    failure: Option<(Instant, PutError)>,
    /// What the allocator is to be asked for once the lock is free: a thread that is woken may take the processor from
    /// the one that wakes it.
    wishes: Wishes,
}

impl Tail {
    pub(super) fn new(segment: Option<(Arc<Segment>, Writer)>, end: i64, last_timestamp: i64) -> Self {
        Tail { segment, end, last_timestamp, populated: 0, next_asked: false, failure: None, wishes: Wishes::default() }
    }
}

impl CommitLog {
    /// Appends encoded records, which start in `buffer` at `starts` and fill it: adjacent, in one file, all or none.
    /// Queue offsets are taken as `numbering` says. Wakes nobody: notifying those who wait for *written* is the
    /// caller's part.
    ///
    /// # Errors
    /// When the next file cannot be made, the records would not fit an empty one, or a record's properties are too long
    /// with the offsets that it is told.
    pub fn append(
        &self,
        buffer: &mut Vec<u8>,
        starts: &[usize],
        numbering: Numbering<'_>,
    ) -> Result<Written, PutError> {
        let room = numbering.room();
        let limit = (self.segment_size - END_FILE_MIN_BLANK).saturating_sub(room);
        buffer.reserve(room);
        if buffer.len() > limit {
            return Err(PutError::BodyTooLarge { size: buffer.len(), limit });
        }
        let mut tail = self.tail.lock();
        let now = now_ms();
        self.locked_since_ms.store(now, Ordering::Relaxed);
        let result = self.append_locked(&mut tail, buffer, starts, numbering, now);
        self.locked_since_ms.store(0, Ordering::Relaxed);
        let wishes = std::mem::take(&mut tail.wishes);
        drop(tail);
        self.allocator.ask(wishes);
        if let Ok(written) = &result {
            // Raising outside the lock and so out of order is harmless: the watermark only rises, and bytes below any
            // value raised here were published before their lock was released.
            self.written.advance(written.physical_offset + buffer.len() as i64);
        }
        result
    }

    fn append_locked(
        &self,
        tail: &mut Tail,
        buffer: &mut Vec<u8>,
        starts: &[usize],
        numbering: Numbering<'_>,
        now: i64,
    ) -> Result<Written, PutError> {
        // Checked again here: shutdown closes the gate and then takes this lock once, after which nothing is appended.
        if !self.gate.is_open() {
            return Err(PutError::NotWritable(self.gate.state().to_string()));
        }
        let queue_offset = numbering.next();
        if let Numbering::InnerBatch { properties_length, .. } = numbering {
            record::push_inner_base(buffer, properties_length, queue_offset);
        }
        if let Numbering::Light { light, properties_length, .. } = numbering {
            let length = light::push_offsets(buffer, properties_length, light);
            if length > SHORT_MAX {
                return Err(PutError::PropertiesTooLong(length));
            }
        }
        let needed = buffer.len() + END_FILE_MIN_BLANK;
        if tail.segment.as_ref().is_none_or(|(_, writer)| writer.remaining() < needed) {
            self.roll(tail)?;
        }
        let Some((segment, writer)) = &mut tail.segment else {
            return Err(PutError::Io("no commit-log file to append to".to_owned()));
        };
        let store_timestamp = if now < tail.last_timestamp && tail.last_timestamp - now < CLOCK_SLACK_MS {
            tail.last_timestamp
        } else {
            now
        };
        let physical_offset = tail.end;
        for (index, &start) in starts.iter().enumerate() {
            let own_offset = match numbering {
                Numbering::Each(_) => queue_offset + index as i64,
                Numbering::None | Numbering::InnerBatch { .. } | Numbering::Light { .. } => queue_offset,
            };
            if let Some(encoded) = buffer.get_mut(start..) {
                record::patch(encoded, own_offset, physical_offset + start as i64, store_timestamp);
            }
        }
        if !writer.write(buffer) {
            return Err(PutError::Io("record does not fit its file".to_owned()));
        }
        writer.publish();
        match numbering {
            Numbering::None => {}
            Numbering::Each(next) => next.store(queue_offset + starts.len() as i64, Ordering::Release),
            Numbering::InnerBatch { next, messages, .. } => {
                next.store(queue_offset + i64::from(messages), Ordering::Release);
            }
            Numbering::Light { next, light, .. } => {
                next.store(queue_offset + 1, Ordering::Release);
                light.iter().flatten().for_each(LightNext::take);
            }
        }
        tail.end = physical_offset + buffer.len() as i64;
        tail.last_timestamp = store_timestamp;
        self.last_store_timestamp.store(store_timestamp, Ordering::Release);

        let position = writer.position();
        let wanted = (position + POPULATE_AHEAD).min(self.segment_size);
        let step = wanted.saturating_sub(tail.populated);
        if step >= POPULATE_STEP || (step > 0 && wanted == self.segment_size) {
            // Not the page that is being written.
            let from = tail.populated.max(position + PAGE) & !(PAGE - 1);
            // Under SYNC_FLUSH pages that are faulted in for writing would only be written twice.
            let readiness = if self.is_sync_flush() { Readiness::Cached } else { Readiness::Writable };
            tail.wishes.pages = Some(Pages { segment: segment.clone(), range: from..wanted, readiness });
            tail.populated = wanted;
        }
        if !tail.next_asked && position >= self.segment_size / 2 {
            tail.wishes.prepare = Some(segment.end());
            tail.next_asked = true;
        }
        Ok(Written { physical_offset, queue_offset, store_timestamp })
    }

    /// Goes on to the next file: ends the present one with a filler once the next is there.
    #[cold]
    fn roll(&self, tail: &mut Tail) -> Result<(), PutError> {
        if let Some((since, error)) = &tail.failure
            && since.elapsed() < RETRY_AFTER
        {
            return Err(error.clone());
        }
        let base = tail.segment.as_ref().map_or(tail.end, |(segment, _)| segment.end());
        let (segment, writer) = match self.allocator.take(base) {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(%error, "commit log cannot grow, refusing messages");
                let error = put_error(&error);
                tail.failure = Some((Instant::now(), error.clone()));
                return Err(error);
            }
        };
        tail.failure = None;
        if let Some((_, mut full)) = tail.segment.take() {
            let mut blank = [0; END_FILE_MIN_BLANK];
            blank[..4].copy_from_slice(&(full.remaining() as i32).to_be_bytes());
            blank[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
            if !full.write(&blank) {
                tracing::error!(base, "no room for the filler of the file before");
            }
            full.publish_rest();
        }
        let mut list = self.segments.load().to_vec();
        list.push(segment.clone());
        self.segments.store(Arc::new(list));
        tail.segment = Some((segment, writer));
        tail.end = base;
        tail.populated = 0;
        tail.next_asked = false;
        Ok(())
    }

    /// Waits until no append is under way. After the gate was closed none will follow.
    pub fn drain(&self) {
        drop(self.tail.lock());
    }
}

fn put_error(error: &StoreError) -> PutError {
    match error {
        StoreError::Io { error: source, .. }
            if matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            ) =>
        {
            PutError::DiskFull(error.to_string())
        }
        _ => PutError::Io(error.to_string()),
    }
}
