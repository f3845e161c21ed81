//! Putting messages: checks, encoding into a buffer of the calling thread, append, counters.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use crate::commitlog::append::Numbering;
use crate::consume_queue::{ConsumeQueue, QueueKind};
use crate::error::PutError;
use crate::light::{self, LightQueues};
use crate::message::{Appended, AppendedBatch, BatchChild, NewMessage};
use crate::record::{self, FLAG_INNER_BATCH, INNER_BASE_MAX, PROPERTY_INNER_NUM, SHORT_MAX};
use crate::stats::StoreStats;
use crate::{MessageStore, StoreConfig};

/// Bytes a record may have beyond `maxMessageSize` (`MessageExtEncoder.java`).
const RECORD_OVERHEAD: usize = 64 << 10;
/// A thread keeps an encode buffer of at most this size between two messages.
const KEPT_BUFFER: usize = 256 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with this thread's encode buffer, empty.
fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    BUFFER.with(|buffer| {
        let mut buffer = buffer.take();
        let result = work(&mut buffer);
        buffer.clear();
        buffer.shrink_to(KEPT_BUFFER);
        BUFFER.replace(buffer);
        result
    })
}

impl MessageStore {
    /// Appends a message and wakes the dispatch thread. Otherwise as [`Self::append`].
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn put(&self, message: &NewMessage<'_>) -> Result<Appended, PutError> {
        let result = self.append(message);
        self.core.log.written().notify();
        result
    }

    /// Appends a message. On return its bytes are in the mapping (they outlive the process), not yet on disk, and
    /// is neither visible to consumers nor flushed (SYNC_FLUSH) before the caller has called [`Self::dispatch`], or up
    /// to a second has passed.
    ///
    /// A message with [`record::FLAG_INNER_BATCH`] takes as many queue offsets as its property INNER_NUM says, and gets
    /// the property INNER_BASE with the first of them. Only topics with batch queues take such.
    ///
    /// Where light queues are on, a message that names some comes into these, too, see [`crate::light`]; inner batches
    /// and batches do not.
    ///
    /// The topic becomes the name of a folder: one that cannot be, and a negative queue id, are refused.
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn append(&self, message: &NewMessage<'_>) -> Result<Appended, PutError> {
        let begin = Instant::now();
        let result = self.append_inner(message);
        let bytes = result.as_ref().map_or(0, |appended| appended.size as u64);
        self.count_put(begin, result.is_ok() as u64, bytes);
        result
    }

    fn append_inner(&self, message: &NewMessage<'_>) -> Result<Appended, PutError> {
        let core = &*self.core;
        let config = core.config.load();
        self.check(&config, message.topic, message.properties, message.body)?;
        let size = record::encoded_size(message);
        let limit = config.max_message_size.saturating_add(RECORD_OVERHEAD);
        if size > limit {
            return Err(PutError::BodyTooLarge { size, limit });
        }
        let is_inner_batch = message.sys_flag & FLAG_INNER_BATCH != 0;
        if is_inner_batch {
            if message.properties.len() > SHORT_MAX - INNER_BASE_MAX {
                return Err(PutError::PropertiesTooLong(message.properties.len()));
            }
            if core.queues.kind_of(message.topic) != QueueKind::Batch {
                return Err(PutError::NotBatchQueue(message.topic.to_owned()));
            }
        }
        let queue = self.queue_of(message)?;
        let light = match config.light_queues && queue.is_some() && !is_inner_batch {
            true => LightQueues::of(&core.queues, message.topic, message.properties, config.light_queues_max),
            false => LightQueues::default(),
        };
        let light = queue.as_ref().map(|queue| light.next(queue)).unwrap_or_default();
        let (written, size) = with_buffer(|buffer| {
            record::encode(buffer, message);
            let numbering = match &queue {
                None => Numbering::None,
                Some(queue) if !light.is_empty() => Numbering::Light {
                    next: queue.next_offset(),
                    light: &light,
                    properties_length: message.properties.len(),
                },
                Some(queue) if is_inner_batch => Numbering::InnerBatch {
                    next: queue.next_offset(),
                    messages: record::property(message.properties, PROPERTY_INNER_NUM).map_or(1, record::inner_number),
                    properties_length: message.properties.len(),
                },
                Some(queue) => Numbering::Each(queue.next_offset()),
            };
            let written = core.log.append(buffer, &[0], numbering)?;
            Ok((written, buffer.len()))
        })?;
        Ok(Appended {
            physical_offset: written.physical_offset,
            size: size as i32,
            queue_offset: written.queue_offset,
            store_timestamp: written.store_timestamp,
        })
    }

    /// Appends messages and wakes the dispatch thread. Otherwise as [`Self::append_batch`].
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn put_batch(&self, template: &NewMessage<'_>, children: &[BatchChild<'_>]) -> Result<AppendedBatch, PutError> {
        let result = self.append_batch(template, children);
        self.core.log.written().notify();
        result
    }

    /// Appends messages that share everything but flag, body and properties with `template`: all or none, adjacent,
    /// with consecutive queue offsets. The template's own body, properties and flag are not used.
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn append_batch(
        &self,
        template: &NewMessage<'_>,
        children: &[BatchChild<'_>],
    ) -> Result<AppendedBatch, PutError> {
        let begin = Instant::now();
        let result = self.append_batch_inner(template, children);
        let (messages, bytes) =
            result.as_ref().map_or((0, 0), |batch| (batch.physical_offsets.len() as u64, batch.size as u64));
        self.count_put(begin, messages, bytes);
        result
    }

    fn append_batch_inner(
        &self,
        template: &NewMessage<'_>,
        children: &[BatchChild<'_>],
    ) -> Result<AppendedBatch, PutError> {
        let core = &*self.core;
        let config = core.config.load();
        if children.is_empty() {
            return Err(PutError::EmptyBatch);
        }
        let template = &NewMessage { sys_flag: template.sys_flag & !FLAG_INNER_BATCH, ..*template };
        let limit = core.log.segment_size();
        let mut size = 0usize;
        for child in children {
            self.check(&config, template.topic, child.properties, child.body)?;
            if config.light_queues && record::property(child.properties, light::PROPERTY_OFFSETS).is_some() {
                return Err(PutError::LightOffsetsGiven);
            }
            size = size.saturating_add(record::encoded_size(&NewMessage {
                body: child.body,
                properties: child.properties,
                ..*template
            }));
            if size > limit {
                return Err(PutError::BodyTooLarge { size, limit });
            }
        }
        let queue = self.queue_of(template)?;
        let mut starts = Vec::with_capacity(children.len());
        let written = with_buffer(|buffer| {
            for child in children {
                starts.push(buffer.len());
                let BatchChild { flag, body, properties } = *child;
                record::encode(buffer, &NewMessage { flag, body, properties, ..*template });
            }
            let numbering = queue.as_ref().map_or(Numbering::None, |queue| Numbering::Each(queue.next_offset()));
            core.log.append(buffer, &starts, numbering)
        })?;
        Ok(AppendedBatch {
            physical_offsets: starts.iter().map(|&start| written.physical_offset + start as i64).collect(),
            size: size as i32,
            queue_offset: written.queue_offset,
            store_timestamp: written.store_timestamp,
            end_offset: written.physical_offset + size as i64,
        })
    }

    /// Has what was appended go its way: under ASYNC_FLUSH it is made visible to consumers, on this thread as far as
    /// that is quickly done, otherwise by waking the dispatch thread; under SYNC_FLUSH the flush thread is woken. To be
    /// called after a turn of [`Self::append`]s; costs two loads when there is nothing to do.
    /// Runs [`StoreHooks::messages_arrived`](crate::StoreHooks::messages_arrived).
    pub fn dispatch(&self) {
        let core = &*self.core;
        if core.log.is_sync_flush() {
            // Once it is on disk the flush thread wakes the dispatch thread.
            core.log.written().notify();
        } else {
            core.dispatcher.assist(&core.log);
        }
    }

    /// The queue that numbers this message; `None` for records without a place in a queue.
    fn queue_of(&self, message: &NewMessage<'_>) -> Result<Option<Arc<ConsumeQueue>>, PutError> {
        if !record::sys_flag_is_queued(message.sys_flag) {
            return Ok(None);
        }
        match self.core.queues.get_or_create(message.topic, message.queue_id) {
            Ok(queue) => Ok(Some(queue)),
            Err(error) => Err(PutError::IllegalQueue(error.to_string())),
        }
    }

    fn check(&self, config: &StoreConfig, topic: &str, properties: &[u8], body: &[u8]) -> Result<(), PutError> {
        if !self.core.gate.is_open() {
            return Err(PutError::NotWritable(self.core.gate.state().to_string()));
        }
        if topic.is_empty() || topic.len() > SHORT_MAX {
            return Err(PutError::TopicTooLong(topic.len()));
        }
        if properties.len() > SHORT_MAX {
            return Err(PutError::PropertiesTooLong(properties.len()));
        }
        if body.len() > config.max_message_size {
            return Err(PutError::BodyTooLarge { size: body.len(), limit: config.max_message_size });
        }
        Ok(())
    }

    fn count_put(&self, begin: Instant, messages: u64, bytes: u64) {
        let stats = self.stats();
        if messages == 0 {
            StoreStats::add(&stats.put_failed, 1);
        } else {
            StoreStats::add(&stats.put_messages, messages);
            StoreStats::add(&stats.put_bytes, bytes);
        }
        stats.record_put_time(begin.elapsed().as_millis() as u64);
    }
}
