//! Consume queues: for each queue of each topic, the commit-log position of its messages in order.
//!
//! Files are Java's: `<topic>/<queue id>/<20-digit byte offset>`, each file sparse at its full size. Simple queues are
//! below `consumequeue`; the unit of queue offset N is at byte `N * 20`, counted over all files of the queue. Topics
//! with the attribute `queue.type=BatchCQ` have batch queues below `batchconsumequeue`, whose units say which queue
//! offsets they cover and are found by bisection. See [`unit`]. Simple queues may have an extension, see [`ext`].
//!
//! Only the dispatcher appends, in commit-log order. Everything here can be rebuilt from the commit log;
//! [`QueueTable::flush_all`] says up to where that is not needed.

mod batch;
#[cfg(test)]
mod batch_tests;
pub mod ext;
#[cfg(test)]
mod ext_tests;
pub mod files;
mod queue;
mod recover;
#[cfg(test)]
mod tests;
pub mod unit;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

use crate::error::StoreError;
use crate::hooks::StoreHooks;
use crate::light;
use crate::read::QueueEntry;
use ext::Ext;
use files::FileCache;
pub use queue::ConsumeQueue;
use queue::FileSet;
pub use unit::{PlacedEntry, QueueKind};

/// Settings of the consume queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// Bytes of a simple queue's file (`mappedFileSizeConsumeQueue`, 6,000,000); rounded up to whole units.
    pub file_size: usize,
    /// Bytes of a batch queue's file (`mapperFileSizeBatchConsumeQueue`, 13,800,000); rounded up to whole units.
    pub batch_file_size: usize,
    /// 4 KiB pages that must wait in a queue before a flush that is not thorough acts on it
    /// (`flushConsumeQueueLeastPages`, 2).
    pub flush_least_pages: usize,
    /// Files held open at most, over all queues.
    pub open_files_max: usize,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig { file_size: 6_000_000, batch_file_size: 13_800_000, flush_least_pages: 2, open_files_max: 512 }
    }
}

/// What a flush achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushOutcome {
    /// Everything appended before a thorough flush began is on disk. Never true for one that is not thorough.
    pub all_durable: bool,
    /// Everything appended whose record starts before this commit-log offset is on disk: the `dispatched` given to the
    /// newest thorough flush that succeeded; -1 before the first.
    pub durable_physical: i64,
}

/// The folders of a store's queues.
#[derive(Clone, Copy, Debug)]
pub struct QueueFolders<'a> {
    /// That of the simple queues.
    pub simple: &'a Path,
    /// That of the batch queues.
    pub batch: &'a Path,
}

/// The extension of simple queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtConfig {
    /// Folder, `consumequeue_ext`.
    pub root: PathBuf,
    /// Bytes of a file (`mappedFileSizeConsumeQueueExt`, 48 MiB).
    pub file_size: usize,
    /// Whether units are written (`enableConsumeQueueExt`); those there are, are read in any case.
    pub write: bool,
}

/// What all queues of a kind share.
pub(crate) struct Layout {
    pub kind: QueueKind,
    pub root: PathBuf,
    /// Bytes of a unit.
    pub unit: i64,
    /// Bytes of a file, a multiple of the unit.
    pub file_size: i64,
    pub units_per_file: i64,
}

impl Layout {
    fn new(kind: QueueKind, root: &Path, config: &QueueConfig) -> Result<Self, StoreError> {
        const FILE_SIZE_MAX: i64 = 1 << 40;
        let (key, size) = match kind {
            QueueKind::Simple => ("mappedFileSizeConsumeQueue", config.file_size),
            QueueKind::Batch => ("mapperFileSizeBatchConsumeQueue", config.batch_file_size),
        };
        let units_per_file = size.div_ceil(kind.unit_size());
        let file_size = units_per_file.checked_mul(kind.unit_size()).and_then(|size| i64::try_from(size).ok());
        let Some(file_size) = file_size.filter(|&size| size > 0 && size <= FILE_SIZE_MAX) else {
            return Err(StoreError::Config { key, reason: format!("{size} is not a usable file size") });
        };
        let unit = kind.unit_size() as i64;
        Ok(Layout { kind, root: root.to_owned(), unit, file_size, units_per_file: file_size / unit })
    }
}

/// What all queues of a table share.
pub(crate) struct Shared {
    layouts: [Layout; QueueKind::ALL.len()],
    least_pages: AtomicUsize,
    /// `None` where extensions are neither written nor there.
    ext: Option<ExtConfig>,
    /// Extensions are written.
    ext_write: AtomicBool,
    pub cache: FileCache,
    /// Queues with units not on disk, or with memory to give back.
    pub dirty: Mutex<Vec<Arc<ConsumeQueue>>>,
    /// Queues with at least [`Self::least_bytes`] not on disk.
    pub due: Mutex<Vec<Arc<ConsumeQueue>>>,
    /// Held for reading to create a file, for writing to delete a topic's folder.
    pub folders: RwLock<()>,
    serials: AtomicU64,
}

impl Shared {
    pub fn layout(&self, kind: QueueKind) -> &Layout {
        &self.layouts[kind as usize]
    }

    pub fn writes_ext(&self) -> bool {
        self.ext_write.load(Ordering::Relaxed)
    }

    pub fn new_serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    pub fn least_bytes(&self) -> i64 {
        const PAGE: usize = 4096;
        i64::try_from(self.least_pages.load(Ordering::Relaxed).saturating_mul(PAGE)).unwrap_or(i64::MAX).max(1)
    }
}

/// The queues of one topic, sorted by id: there are few, and they are looked up far more often than made.
struct TopicQueues {
    topic: Arc<str>,
    kind: QueueKind,
    queues: RwLock<Vec<(i32, Arc<ConsumeQueue>)>>,
}

impl TopicQueues {
    fn get(&self, queue_id: i32) -> Option<Arc<ConsumeQueue>> {
        let queues = self.queues.read();
        let at = queues.binary_search_by_key(&queue_id, |(id, _)| *id).ok()?;
        Some(queues[at].1.clone())
    }
}

/// All consume queues of a store.
pub struct QueueTable {
    shared: Arc<Shared>,
    topics: DashMap<Box<str>, Arc<TopicQueues>>,
    /// Light queues among them.
    light: AtomicUsize,
    /// Knows the kind of a topic's queues.
    hooks: Arc<dyn StoreHooks>,
    /// One flush at a time.
    flushing: Mutex<()>,
    durable_physical: AtomicI64,
    /// A flush to disk failed: the kernel may have dropped what it could not write, so nothing is called durable until
    /// the next start has read the files again.
    sync_failed: AtomicBool,
}

impl QueueTable {
    /// Opens the folders, which need not exist, and registers their queues. [`Self::recover`] must follow.
    ///
    /// # Errors
    /// [`StoreError::Config`] for a file size of 0, [`StoreError::Corrupt`] naming a file with an unexpected size or
    /// start or a missing one, or a topic's folder of the wrong kind; [`StoreError::Io`]. Names that are no queue are
    /// logged and ignored.
    pub fn open(
        folders: QueueFolders<'_>,
        config: QueueConfig,
        hooks: Arc<dyn StoreHooks>,
    ) -> Result<QueueTable, StoreError> {
        Self::open_with_ext(folders, config, None, hooks)
    }

    /// The same, with extensions.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with_ext(
        folders: QueueFolders<'_>,
        config: QueueConfig,
        ext: Option<ExtConfig>,
        hooks: Arc<dyn StoreHooks>,
    ) -> Result<QueueTable, StoreError> {
        let ext = ext.filter(|ext| ext.write || ext.root.exists());
        let table = QueueTable {
            shared: Arc::new(Shared {
                layouts: [
                    Layout::new(QueueKind::Simple, folders.simple, &config)?,
                    Layout::new(QueueKind::Batch, folders.batch, &config)?,
                ],
                least_pages: AtomicUsize::new(config.flush_least_pages),
                ext_write: AtomicBool::new(ext.as_ref().is_some_and(|ext| ext.write)),
                ext,
                cache: FileCache::new(config.open_files_max),
                dirty: Mutex::default(),
                due: Mutex::default(),
                folders: RwLock::new(()),
                serials: AtomicU64::new(0),
            }),
            topics: DashMap::new(),
            light: AtomicUsize::new(0),
            hooks,
            flushing: Mutex::new(()),
            durable_physical: AtomicI64::new(-1),
            sync_failed: AtomicBool::new(false),
        };
        for layout in &table.shared.layouts {
            table.load(layout)?;
        }
        Ok(table)
    }

    fn load(&self, layout: &Layout) -> Result<(), StoreError> {
        let mut count = 0usize;
        for (topic, topic_path) in folder(&layout.root)? {
            if !topic_path.is_dir() {
                warn!(path = %topic_path.display(), "not a topic's folder, ignored");
                continue;
            }
            for (name, path) in folder(&topic_path)? {
                match name.parse::<i32>() {
                    Ok(queue_id) if queue_id >= 0 && path.is_dir() => {
                        self.check_kind(&topic, layout, &topic_path)?;
                        let files = load_files(layout.file_size, &path)?;
                        let ext = self.open_ext(&topic, queue_id, layout.kind)?;
                        self.insert(&topic, queue_id, layout.kind, files, ext);
                        count += 1;
                    }
                    _ => warn!(path = %path.display(), "not a queue's folder, ignored"),
                }
            }
        }
        info!(kind = ?layout.kind, queues = count, topics = self.topics.len(), "consume queues loaded");
        Ok(())
    }

    /// The extension of a queue, where there are any.
    fn open_ext(&self, topic: &str, queue_id: i32, kind: QueueKind) -> Result<Option<Ext>, StoreError> {
        // Units of light queues have none, as in Java.
        let has_ext = kind == QueueKind::Simple && !light::is_light(topic);
        let Some(config) = self.shared.ext.as_ref().filter(|_| has_ext) else { return Ok(None) };
        let dir = config.root.join(topic).join(queue_id.to_string());
        Ext::open(dir, config.file_size as i64, self.shared.clone()).map(Some)
    }

    /// That of a queue that is new, though a folder may have been left behind.
    fn new_ext(&self, topic: &str, queue_id: i32, kind: QueueKind) -> Option<Ext> {
        let ext = self.open_ext(topic, queue_id, kind).and_then(|ext| {
            ext.iter().try_for_each(|ext| ext.recover(None))?;
            Ok(ext)
        });
        ext.unwrap_or_else(|error| {
            error!(topic, queue_id, %error, "the queue goes without its extension");
            None
        })
    }

    /// Refuses queues of another kind than their topic's. A topic that nobody knows any more keeps the kind it has.
    fn check_kind(&self, topic: &str, layout: &Layout, path: &Path) -> Result<(), StoreError> {
        let loaded = self.topics.get(topic).map(|queues| queues.kind);
        match self.hooks.queue_kind(topic).or(loaded) {
            Some(kind) if kind != layout.kind => Err(StoreError::Corrupt {
                path: path.to_owned(),
                reason: format!("these are {:?} queues, but the topic has {kind:?} ones", layout.kind),
            }),
            _ => Ok(()),
        }
    }

    fn insert(
        &self,
        topic: &str,
        queue_id: i32,
        kind: QueueKind,
        files: FileSet,
        ext: Option<Ext>,
    ) -> Arc<ConsumeQueue> {
        let topic_queues = match self.topics.get(topic) {
            Some(found) => found.clone(),
            None => self
                .topics
                .entry(topic.into())
                .or_insert_with(|| Arc::new(TopicQueues { topic: topic.into(), kind, queues: RwLock::default() }))
                .clone(),
        };
        let mut queues = topic_queues.queues.write();
        match queues.binary_search_by_key(&queue_id, |(id, _)| *id) {
            Ok(at) => queues[at].1.clone(),
            Err(at) => {
                let (topic, kind) = (topic_queues.topic.clone(), topic_queues.kind);
                let compacted = self.hooks.is_compacted(&topic);
                let queue = ConsumeQueue::new(topic, queue_id, kind, compacted, self.shared.clone(), files, ext);
                let queue = Arc::new(queue);
                queues.insert(at, (queue_id, queue.clone()));
                if light::is_light(queue.topic()) {
                    self.light.fetch_add(1, Ordering::Relaxed);
                }
                queue
            }
        }
    }

    /// The queue, when it exists. Does not allocate.
    pub fn get(&self, topic: &str, queue_id: i32) -> Option<Arc<ConsumeQueue>> {
        self.topics.get(topic)?.get(queue_id)
    }

    /// The queue, made when it does not exist. Its folder and file appear when its first entries are written.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a topic that cannot be a folder's name (empty, `.`, `..`, with `/` or NUL, over 255
    /// bytes) or a negative queue id.
    pub fn get_or_create(&self, topic: &str, queue_id: i32) -> Result<Arc<ConsumeQueue>, StoreError> {
        if let Some(queue) = self.get(topic, queue_id) {
            return Ok(queue);
        }
        const NAME_MAX: usize = 255;
        let bad =
            topic.is_empty() || topic.len() > NAME_MAX || matches!(topic, "." | "..") || topic.contains(['/', '\0']);
        if bad || queue_id < 0 {
            return Err(StoreError::Corrupt {
                path: self.shared.layout(QueueKind::Simple).root.clone(),
                reason: format!("topic {topic:?} with queue id {queue_id} cannot be stored"),
            });
        }
        let kind = self.kind_of(topic);
        let ext = self.new_ext(topic, queue_id, kind);
        Ok(self.insert(topic, queue_id, kind, FileSet::default(), ext))
    }

    /// Number of light queues.
    pub fn light_queues(&self) -> usize {
        self.light.load(Ordering::Relaxed)
    }

    fn forget_light(&self, topic: &str, queues: usize) {
        if light::is_light(topic) {
            self.light.fetch_sub(queues, Ordering::Relaxed);
        }
    }

    /// The kind that the queues of a topic have, or would have.
    pub fn kind_of(&self, topic: &str) -> QueueKind {
        match self.topics.get(topic) {
            Some(queues) => queues.kind,
            None => self.hooks.queue_kind(topic).unwrap_or_default(),
        }
    }

    /// Every queue.
    pub fn all(&self) -> Vec<Arc<ConsumeQueue>> {
        let mut all = Vec::new();
        for topic in &self.topics {
            all.extend(topic.queues.read().iter().map(|(_, queue)| queue.clone()));
        }
        all
    }

    /// Every topic that has queues, with the ids of these in order.
    pub fn topics(&self) -> Vec<(String, Vec<i32>)> {
        let ids = |topic: &TopicQueues| topic.queues.read().iter().map(|(id, _)| *id).collect();
        self.topics.iter().map(|topic| (topic.topic.to_string(), ids(&topic))).collect()
    }

    /// Largest commit-log offset any queue covers (its end); -1 when none points anywhere.
    pub fn max_physical(&self) -> i64 {
        self.all().iter().map(|queue| queue.max_physical()).max().unwrap_or(-1)
    }

    /// The entry that points farthest into the commit log.
    pub fn last_entry(&self) -> Option<QueueEntry> {
        let queue = self.all().into_iter().max_by_key(|queue| queue.max_physical())?;
        queue.last_entry().filter(|entry| !unit::is_filler(entry))
    }

    /// Bytes of all files (most of them sparse).
    pub fn total_size(&self) -> i64 {
        self.all().iter().map(|queue| queue.total_size()).sum()
    }

    /// Files held open now.
    pub fn open_files(&self) -> usize {
        self.shared.cache.open_files()
    }

    /// Changes `flushConsumeQueueLeastPages`.
    pub fn set_flush_least_pages(&self, pages: usize) {
        self.shared.least_pages.store(pages, Ordering::Relaxed);
    }

    /// Whether extensions are written.
    pub fn writes_ext(&self) -> bool {
        self.shared.writes_ext()
    }

    /// Changes `enableConsumeQueueExt`. Queues that were opened without have no extension before the next start.
    pub fn set_write_ext(&self, write: bool) {
        self.shared.ext_write.store(write && self.shared.ext.is_some(), Ordering::Relaxed);
    }

    /// Finds the end of every queue and removes what is behind it; on several threads when there are many queues.
    ///
    /// # Errors
    /// The first [`StoreError::Io`].
    pub fn recover(&self) -> Result<(), StoreError> {
        self.for_all(|queue| {
            queue.recover()?;
            queue.recover_ext()
        })
    }

    /// [`ConsumeQueue::truncate_to_physical`] for every queue that covers anything from `physical_offset` on.
    ///
    /// # Errors
    /// The first [`StoreError::Io`].
    pub fn truncate_to_physical(&self, physical_offset: i64) -> Result<(), StoreError> {
        self.for_all(|queue| match queue.max_physical() > physical_offset {
            true => queue.truncate_to_physical(physical_offset),
            false => Ok(()),
        })
    }

    /// [`ConsumeQueue::truncate_to_physical`] for every queue, when even the last units are not to be believed.
    ///
    /// # Errors
    /// The first [`StoreError::Io`].
    pub fn forget_from(&self, physical_offset: i64) -> Result<(), StoreError> {
        self.for_all(|queue| queue.truncate_to_physical(physical_offset))
    }

    /// [`ConsumeQueue::correct_min`] for every queue.
    ///
    /// # Errors
    /// The first [`StoreError::Io`].
    pub fn correct_min(&self, min_physical: i64) -> Result<(), StoreError> {
        self.for_all(|queue| queue.correct_min(min_physical))
    }

    /// Sets every queue's next offset to its end; recovery's last step.
    pub fn reset_next_offsets(&self) {
        for queue in self.all() {
            queue.next_offset().store(queue.max_offset(), Ordering::Release);
        }
    }

    fn for_all(&self, work: impl Fn(&ConsumeQueue) -> Result<(), StoreError> + Sync) -> Result<(), StoreError> {
        const QUEUES_PER_THREAD: usize = 64;
        const THREADS_MAX: usize = 8;
        let queues = self.all();
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = (queues.len() / QUEUES_PER_THREAD).min(cores).min(THREADS_MAX);
        if threads < 2 {
            return queues.iter().try_for_each(|queue| work(queue));
        }
        let next = AtomicUsize::new(0);
        let run = || {
            while let Some(queue) = queues.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = work(queue) {
                    next.store(queues.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            let results = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            results.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// Flushes to disk. `thorough`: every queue, otherwise those with at least `flushConsumeQueueLeastPages` waiting.
    /// `dispatched` is a commit-log offset up to which all records had been appended to their queues before the call.
    /// A queue that fails is logged and tried again next time.
    pub fn flush_all(&self, thorough: bool, dispatched: i64) -> FlushOutcome {
        let _one = self.flushing.lock();
        let mut queues = std::mem::take(&mut *self.shared.due.lock());
        if thorough {
            queues.append(&mut self.shared.dirty.lock());
            let mut seen = HashSet::with_capacity(queues.len());
            queues.retain(|queue| seen.insert(Arc::as_ptr(queue)));
        }
        let mut complete = true;
        let mut written = Vec::with_capacity(queues.len());
        for queue in queues {
            match queue.write_for_flush(thorough) {
                Ok(end) => written.push((queue, end)),
                Err(error) => {
                    error!(%error, "cannot write consume queue");
                    queue.list_again();
                    complete = false;
                }
            }
        }
        complete &= self.sync(&written);
        for (queue, end) in written {
            queue.flushed(if complete { end } else { -1 }, thorough);
            if !complete {
                queue.list_again();
            }
        }
        let all_durable = thorough && complete && !self.sync_failed.load(Ordering::Relaxed);
        if all_durable {
            self.durable_physical.fetch_max(dispatched, Ordering::AcqRel);
        }
        FlushOutcome { all_durable, durable_physical: self.durable_physical.load(Ordering::Acquire) }
    }

    /// Waits until the files of these queues are on disk; true when all are.
    fn sync(&self, queues: &[(Arc<ConsumeQueue>, i64)]) -> bool {
        // One flush of the whole file system is cheaper than many flushes of small files.
        const SINGLE_MAX: usize = 64;
        let result = if queues.len() > SINGLE_MAX {
            let ext = self.shared.ext.iter().map(|ext| &ext.root);
            self.shared.layouts.iter().map(|layout| &layout.root).chain(ext).try_for_each(|root| {
                match File::open(root) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                    opened => opened
                        .and_then(|opened| rustix::fs::syncfs(opened).map_err(io::Error::from))
                        .map_err(|e| StoreError::io("flush", root, e)),
                }
            })
        } else {
            queues.iter().try_for_each(|(queue, end)| queue.sync(*end))
        };
        if let Err(error) = &result {
            error!(%error, "consume queues could not be flushed; the checkpoint stays where it is until the next start");
            self.sync_failed.store(true, Ordering::Relaxed);
        }
        result.is_ok()
    }

    /// Drops a topic's queues and deletes its folder. True when it had any queue.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder cannot be deleted; the queues are gone from the table all the same.
    pub fn delete_topic(&self, topic: &str) -> Result<bool, StoreError> {
        let _folders = self.shared.folders.write();
        let Some((_, removed)) = self.topics.remove(topic) else { return Ok(false) };
        let queues = std::mem::take(&mut *removed.queues.write());
        self.forget_light(topic, queues.len());
        for (_, queue) in &queues {
            queue.drop_contents();
        }
        self.remove_folder(&self.shared.layout(removed.kind).root.join(topic))?;
        if let Some(ext) = &self.shared.ext {
            self.remove_folder(&ext.root.join(topic))?;
        }
        info!(topic, queues = queues.len(), "consume queues of a topic deleted");
        Ok(!queues.is_empty())
    }

    /// Deletes whole queues whose last entry points before `min_physical`, except those of topics `keep` accepts.
    /// Returns them.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete_expired_queues(
        &self,
        min_physical: i64,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<(String, i32)>, StoreError> {
        let mut deleted = Vec::new();
        for queue in self.all() {
            let end = queue.max_physical();
            let awaits_dispatch = queue.next_offset().load(Ordering::Acquire) > queue.max_offset();
            if end < 0 || end >= min_physical || awaits_dispatch || keep(queue.topic()) {
                continue;
            }
            let _folders = self.shared.folders.write();
            if let Some(topic) = self.topics.get(queue.topic()) {
                let mut queues = topic.queues.write();
                let before = queues.len();
                queues.retain(|(id, _)| *id != queue.queue_id());
                self.forget_light(queue.topic(), before - queues.len());
            }
            self.topics.remove_if(queue.topic(), |_, topic| topic.queues.read().is_empty());
            queue.drop_contents();
            self.remove_folder(&queue.dir())?;
            if let Some(ext) = &queue.ext {
                self.remove_folder(ext.dir())?;
            }
            deleted.push((queue.topic().to_owned(), queue.queue_id()));
        }
        Ok(deleted)
    }

    /// Deletes every queue; for a store whose commit log is gone.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete_all(&self) -> Result<(), StoreError> {
        for (topic, _) in self.topics() {
            self.delete_topic(&topic)?;
        }
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> Result<(), StoreError> {
        match fs::remove_dir_all(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("delete", path, e)),
            _ => Ok(()),
        }
    }
}

/// The files of a queue's folder; they must be adjacent and of the right size.
fn load_files(size: i64, dir: &Path) -> Result<FileSet, StoreError> {
    let mut starts = Vec::new();
    for (name, path) in folder(dir)? {
        match name.parse::<i64>() {
            Ok(start) if name.len() == 20 && start >= 0 => starts.push((start, path)),
            _ => warn!(path = %path.display(), "not a consume-queue file, ignored"),
        }
    }
    starts.sort_unstable_by_key(|(start, _)| *start);
    let corrupt = |path: &Path, reason| StoreError::Corrupt { path: path.to_owned(), reason };
    let mut files = FileSet::default();
    let count = starts.len();
    for (i, (start, path)) in starts.into_iter().enumerate() {
        let length = fs::metadata(&path).map_err(|e| StoreError::io("inspect", &path, e))?.len();
        if length == 0 && i + 1 == count {
            warn!(path = %path.display(), "empty consume-queue file deleted");
            queue::remove_if_exists(&path)?;
            continue;
        }
        if length != size as u64 {
            return Err(corrupt(
                &path,
                format!("consume-queue file has {length} bytes, the configured size of a file is {size}"),
            ));
        }
        if start % size != 0 {
            return Err(corrupt(&path, format!("consume-queue file does not start at a multiple of {size}")));
        }
        if files.is_empty() {
            files.first = start;
        } else if start != files.end {
            return Err(corrupt(&path, format!("consume-queue file {:020} is missing before it", files.end)));
        }
        files.end = start + size;
    }
    Ok(files)
}

/// Names and paths in a folder; none when it does not exist. Names that are not UTF-8 are logged and left out.
fn folder(path: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| StoreError::io("list", path, e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| StoreError::io("list", path, e))?.path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => found.push((name.to_owned(), path.clone())),
            None => warn!(path = %path.display(), "name is not UTF-8, ignored"),
        }
    }
    Ok(found)
}
