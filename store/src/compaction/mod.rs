//! Compacted topics (attribute `cleanup.policy=COMPACTION`): beside their consume queues, each of their queues has a
//! compaction log with copies of its messages, of which in time only the last one of each key remains. Reads go there.
//!
//! Folders and files are Java's. A queue has pairs of files of equal name, the offset at which the first of them begins:
//! ```text
//! compaction/compactionLog/TOPIC/QUEUE/OFFSET   records as in the commit log, the physical offset being the one here
//! compaction/compactionCq/TOPIC/QUEUE/OFFSET    a unit of a batch queue for each of them
//! compaction/position-checkpoint                of each queue, the queue offset up to which keys were compared
//! ```
//! Queue offsets have gaps where messages were dropped. All but the newest pair of a queue are compacted together
//! (`compact.rs`). The dispatcher appends; what it dispatches again is known by its queue offset and skipped.

mod compact;
mod part;
mod positions;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::config::StoreConfig;
use crate::consume_queue::PlacedEntry;
use crate::consume_queue::files::FileCache;
use crate::error::StoreError;
use crate::patience::Patience;
use crate::read::{GetRequest, GetResult, GetStatus};
use part::{Folders, Part, Sizes};
use positions::Positions;

/// Files held open at most, over all logs: two a pair.
const OPEN_FILES_MAX: usize = 128;
/// Added to the pause between two compactions at least; up to an interval more is added at random, so that not all logs
/// are compacted at once. Java: `CompactionStore.loadAndGetClog`.
const PAUSE_MORE: Duration = Duration::from_secs(1);
/// How long a thread that finds nothing to compact sleeps at most.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// What all logs share.
struct Shared {
    sizes: Sizes,
    cache: FileCache,
    serials: AtomicU64,
}

/// The compaction log of a queue.
struct CompactionLog {
    topic: Box<str>,
    queue_id: i32,
    current: Part,
    /// Held while it is compacted or deleted.
    compacting: Mutex<()>,
    deleted: AtomicBool,
    /// When it is to be compacted next.
    due: Mutex<Instant>,
}

/// The logs of a topic, by queue id.
type Queues = HashMap<i32, Arc<CompactionLog>>;

/// All compaction logs of a store.
pub struct CompactionStore {
    root: PathBuf,
    shared: Arc<Shared>,
    logs: RwLock<HashMap<Box<str>, Queues>>,
    positions: Positions,
    interval: Duration,
    threads: usize,
    /// Bytes that the keys of one compaction may take.
    keys_bytes: usize,
    /// A flush failed; nothing is called durable until the next start.
    sync_failed: AtomicBool,
    compactions: AtomicI64,
}

impl CompactionStore {
    /// Opens the folder, which need not exist. After a crash the files written last are checked record by record, and cut
    /// where they stop to be good; `flushed` is the store time up to which everything is known to be on disk, `None` after
    /// a clean stop.
    ///
    /// # Errors
    /// [`StoreError`] for files of another size than configured, and when files cannot be read.
    pub fn open(config: &StoreConfig, flushed: Option<i64>) -> Result<Self, StoreError> {
        let root = config.compaction_dir();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = config.compaction_thread_num.clamp(1, processors);
        let store = CompactionStore {
            shared: Arc::new(Shared {
                sizes: Sizes::new(config.compaction_mapped_file_size, config.compaction_cq_mapped_file_size),
                cache: FileCache::new(OPEN_FILES_MAX),
                serials: AtomicU64::new(0),
            }),
            logs: RwLock::default(),
            positions: Positions::load(&root)?,
            interval: config.compaction_schedule_internal,
            threads,
            keys_bytes: config.max_offset_map_size / threads,
            sync_failed: AtomicBool::new(false),
            compactions: AtomicI64::new(0),
            root,
        };
        store.load(flushed)?;
        Ok(store)
    }

    fn load(&self, flushed: Option<i64>) -> Result<(), StoreError> {
        for (topic, path) in part::folders_in(&self.root.join(part::LOG_FOLDER))? {
            for (name, path) in part::folders_in(&path)? {
                match name.parse::<i32>() {
                    Ok(queue_id) if queue_id >= 0 => {
                        let log = self.open_log(&topic, queue_id, flushed)?;
                        self.logs.write().entry(topic.as_str().into()).or_default().insert(queue_id, log);
                    }
                    _ => tracing::warn!(path = %path.display(), "not a queue's folder, ignored"),
                }
            }
        }
        Ok(())
    }

    fn open_log(&self, topic: &str, queue_id: i32, flushed: Option<i64>) -> Result<Arc<CompactionLog>, StoreError> {
        let folders = Folders::of(&self.root, topic, queue_id);
        compact::finish(&folders)?;
        let current = Part::open(folders, self.shared.clone(), flushed)?;
        Ok(Arc::new(CompactionLog {
            topic: topic.into(),
            queue_id,
            current,
            compacting: Mutex::new(()),
            deleted: AtomicBool::new(false),
            due: Mutex::new(self.next_due()),
        }))
    }

    fn next_due(&self) -> Instant {
        let random = RandomState::new().build_hasher().finish();
        let spread = (self.interval.as_millis() as u64).max(1);
        Instant::now() + self.interval + PAUSE_MORE + Duration::from_millis(random % spread)
    }

    fn get(&self, topic: &str, queue_id: i32) -> Option<Arc<CompactionLog>> {
        self.logs.read().get(topic)?.get(&queue_id).cloned()
    }

    fn all(&self) -> Vec<Arc<CompactionLog>> {
        self.logs.read().values().flat_map(Queues::values).cloned().collect()
    }

    /// Appends records of a queue, in the order of their queue offsets; those that are there already, and those
    /// without keys, are left out. Each comes with its entry in the consume queue. `topic` has been checked to be a
    /// folder's name.
    ///
    /// # Errors
    /// [`StoreError::Io`]; some may have been appended. Calling again with the same records is harmless.
    pub fn append<'a>(
        &self,
        topic: &str,
        queue_id: i32,
        records: impl Iterator<Item = (PlacedEntry, &'a [u8])>,
    ) -> Result<(), StoreError> {
        let log = match self.get(topic, queue_id) {
            Some(log) => log,
            None => {
                let log = self.open_log(topic, queue_id, None)?;
                self.logs.write().entry(topic.into()).or_default().entry(queue_id).or_insert(log).clone()
            }
        };
        log.current.append(records)
    }

    /// Reads a queue. Order of checks, limits and next offsets are those of Java's `CompactionLog.getMessage`, which knows
    /// no filters. `None` when an impatient read would have to wait.
    pub(crate) fn read(
        &self,
        patience: Patience,
        request: &GetRequest<'_>,
        config: &StoreConfig,
        hot_bytes: i64,
    ) -> Option<GetResult> {
        match self.get(request.topic, request.queue_id) {
            Some(log) => log.current.read(patience, request, config, hot_bytes),
            None => Some(GetResult::empty(GetStatus::NoMessageInQueue, 0)),
        }
    }

    /// Brings everything to disk. True when everything appended before is there. A flush that failed is final.
    pub fn flush(&self) -> bool {
        for log in self.all() {
            if let Err(error) = log.current.flush() {
                if log.deleted.load(Ordering::Acquire) {
                    continue;
                }
                tracing::error!(topic = &*log.topic, queue_id = log.queue_id, %error,
                    "compaction log cannot be flushed; the checkpoint stays where it is until the next start");
                self.sync_failed.store(true, Ordering::Relaxed);
            }
        }
        !self.sync_failed.load(Ordering::Relaxed)
    }

    /// Drops messages that the commit log lost in a crash, so that those that get their queue offsets are not taken for
    /// them. `max_offset` tells the end of a queue; queues that hold nothing (0) are left alone.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn truncate(&self, max_offset: impl Fn(&str, i32) -> i64) -> Result<(), StoreError> {
        for log in self.all() {
            let end = max_offset(&log.topic, log.queue_id);
            if end > 0 {
                log.current.truncate(end)?;
            }
        }
        Ok(())
    }

    /// Deletes the logs of a topic. Java leaves them, and takes the messages of a later topic of that name for old ones.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a folder cannot be deleted; the logs are gone from the table all the same.
    pub fn delete_topic(&self, topic: &str) -> Result<(), StoreError> {
        let Some(logs) = self.logs.write().remove(topic) else { return Ok(()) };
        for (queue_id, log) in &logs {
            log.deleted.store(true, Ordering::Release);
            let _compacting = log.compacting.lock();
            log.current.close();
            self.positions.remove(topic, *queue_id)?;
        }
        for folder in [part::LOG_FOLDER, part::QUEUE_FOLDER] {
            remove_folder(&self.root.join(folder).join(topic))?;
        }
        tracing::info!(topic, queues = logs.len(), "compaction logs of a topic deleted");
        Ok(())
    }

    /// Threads that compact.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Body of a thread that compacts what is due.
    pub fn run(&self, stopped: &AtomicBool) {
        while !stopped.load(Ordering::Acquire) {
            let now = Instant::now();
            let due = self.all().into_iter().find(|log| {
                let mut due = log.due.lock();
                let is_due = *due <= now;
                if is_due {
                    *due = self.next_due();
                }
                is_due
            });
            match due {
                Some(log) => self.compact(&log, stopped),
                None => std::thread::park_timeout(IDLE_MAX),
            }
        }
    }

    /// Compacts a log, unless that goes on already.
    fn compact(&self, log: &CompactionLog, stopped: &AtomicBool) {
        let Some(_compacting) = log.compacting.try_lock() else { return };
        let position = self.positions.get(&log.topic, log.queue_id);
        let stop = || stopped.load(Ordering::Acquire) || log.deleted.load(Ordering::Acquire);
        let begin = Instant::now();
        let compacted = log.current.compact(position, self.keys_bytes, &stop).and_then(|compacted| {
            let Some(compacted) = compacted else { return Ok(None) };
            self.positions.set(&log.topic, log.queue_id, compacted.position)?;
            Ok(Some(compacted))
        });
        match compacted {
            Ok(None) => {}
            Ok(Some(compacted)) => {
                self.compactions.fetch_add(1, Ordering::Relaxed);
                tracing::info!(
                    topic = &*log.topic,
                    queue_id = log.queue_id,
                    read = compacted.read,
                    kept = compacted.kept,
                    millis = begin.elapsed().as_millis() as u64,
                    "compacted"
                );
            }
            Err(error) => {
                tracing::error!(topic = &*log.topic, queue_id = log.queue_id, %error, "cannot be compacted");
            }
        }
    }

    /// Compactions that replaced files, since the start.
    pub fn compactions(&self) -> i64 {
        self.compactions.load(Ordering::Relaxed)
    }
}

/// Removes a folder that may be missing.
fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("delete", path, error)),
        _ => Ok(()),
    }
}
