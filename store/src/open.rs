//! Opening and closing a store folder: lock, load, recover, threads, and all of it backwards.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::checkpoint::Checkpoint;
use crate::commitlog::recover::{self, Found, Recovered};
use crate::commitlog::{CommitLog, FlushPolicy};
use crate::compaction::CompactionStore;
use crate::config::{FlushDiskType, StoreConfig};
use crate::consume_queue::{ExtConfig, QueueConfig, QueueFolders, QueueTable};
use crate::dispatch::Dispatcher;
use crate::error::{FlushError, StoreError};
use crate::folder::{self, AbortMark, FolderLock};
use crate::gate::WriteGate;
use crate::hooks::StoreHooks;
use crate::housekeeping::Cleaner;
use crate::index::{IndexConfig, IndexService};
use crate::segment::allocate::{Disk, OsDisk};
use crate::stats::StoreStats;
use crate::{FlushCallback, MessageStore};

/// How often waits for the disk are checked for their deadline.
const EXPIRE_PERIOD: Duration = Duration::from_millis(100);
/// How often rates are sampled; [`StoreStats`] counts on it.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);
/// Bytes of records recovery hands to the dispatcher at a time.
const RECOVER_BATCH: usize = 1 << 20;

/// What all threads of a store share.
pub(crate) struct Core {
    pub(crate) config: ArcSwap<StoreConfig>,
    pub(crate) log: CommitLog,
    pub(crate) queues: Arc<QueueTable>,
    pub(crate) index: Option<Arc<IndexService>>,
    pub(crate) compaction: Option<Arc<CompactionStore>>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) gate: Arc<WriteGate>,
    pub(crate) stats: StoreStats,
    /// Bytes of memory this process may use.
    memory: u64,
    abort: AbortMark,
    lock: Mutex<Option<FolderLock>>,
    /// Ends the flush, queue-flush, ticker and cleaner threads.
    stopped: AtomicBool,
    /// Ends the dispatch thread once it has caught up.
    dispatch_stopped: AtomicBool,
    /// Somebody waits for a flush although the mode is ASYNC_FLUSH.
    flush_wanted: AtomicBool,
    flush_thread: Mutex<Option<Thread>>,
    ticker_thread: Mutex<Option<Thread>>,
    pub(crate) cleaner: Cleaner,
}

impl Core {
    /// Bytes at the end of the log that are regarded as being in memory.
    pub(crate) fn hot_bytes(&self, config: &StoreConfig) -> i64 {
        let share = self.memory as f64 * f64::from(config.access_message_in_memory_max_ratio) / 100.0;
        share as i64
    }

    /// Whether the store is being closed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn flush_policy(&self) -> FlushPolicy {
        let config = self.config.load();
        FlushPolicy {
            interval: config.flush_interval_commit_log,
            least_pages: config.flush_commit_log_least_pages,
            thorough_interval: config.flush_commit_log_thorough_interval,
        }
    }

    /// Runs the body of a store thread. Without one of them messages would be taken that are never flushed, or never
    /// seen by a consumer; should it panic, the store takes no more.
    fn run_thread(&self, name: &'static str, body: Box<dyn FnOnce(&Core) + Send>) {
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| body(self)));
        if outcome.is_err() {
            tracing::error!(thread = name, "store thread panicked, the store takes no more messages");
            self.gate.set_flush_failed(format!("thread {name} panicked"));
            self.log.flushed().fail(FlushError::FlushFailed);
        }
    }

    /// Body of the thread that flushes the consume queues and moves the checkpoint.
    fn run_queue_flush(&self) {
        let mut last_thorough = Instant::now();
        while !self.stopped.load(Ordering::Acquire) {
            let config = self.config.load_full();
            std::thread::park_timeout(config.flush_interval_consume_queue);
            let thorough = last_thorough.elapsed() >= config.flush_consume_queue_thorough_interval;
            if thorough {
                last_thorough = Instant::now();
            }
            self.flush_queues(thorough);
        }
    }

    /// Flushes consume queues; a thorough flush also flushes the index and, when all of it succeeds, moves the
    /// checkpoint. True when everything dispatched before is on disk.
    fn flush_queues(&self, thorough: bool) -> bool {
        // Read before the flush begins: what is dispatched later may not be covered by it. Nor may the checkpoint run
        // ahead of the log on disk: recovery reads only what is behind it.
        let dispatched = self.dispatcher.dispatched().get();
        let flushed = self.log.flushed().get();
        let point = self.dispatcher.point();
        if !thorough {
            self.queues.flush_all(false, dispatched);
            return false;
        }
        let index = self.index.as_ref().map_or(Ok(None), |index| index.flush());
        let compacted = self.compaction.as_ref().is_none_or(|compaction| compaction.flush());
        let queues = self.queues.flush_all(true, dispatched);
        let durable = queues.all_durable && index.is_ok() && compacted;
        if durable {
            self.checkpoint.set_logics_physical_offset(dispatched.min(flushed));
            if point.store_timestamp > 0 {
                self.checkpoint.set_logics_msg_timestamp(point.store_timestamp);
            }
        }
        match index {
            Ok(Some(timestamp)) => self.checkpoint.set_index_msg_timestamp(timestamp),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "index cannot be flushed; the checkpoint stays where it is"),
        }
        let last = self.log.last_store_timestamp();
        if self.log.flushed().get() == self.log.max_offset() && last > 0 {
            self.checkpoint.set_physic_msg_timestamp(last);
        }
        if let Err(error) = self.checkpoint.flush() {
            tracing::error!(%error, "checkpoint cannot be written; a later crash is recovered from further back");
        }
        durable
    }

    /// Body of the thread that times out waits for the disk and samples rates.
    fn run_ticker(&self) {
        let mut last_sample = Instant::now();
        let mut waiting = 0;
        while !self.stopped.load(Ordering::Acquire) {
            let until_sample = SAMPLE_PERIOD.saturating_sub(last_sample.elapsed());
            let pause = if waiting > 0 { until_sample.min(EXPIRE_PERIOD) } else { until_sample };
            std::thread::park_timeout(pause.max(Duration::from_millis(1)));
            waiting = self.log.flushed().expire(Instant::now());
            if last_sample.elapsed() >= SAMPLE_PERIOD {
                last_sample = Instant::now();
                self.stats.sample();
            }
        }
    }
}

/// Bytes of memory this process may use: the machine's, or its control group's limit when that is lower.
fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit.max(1)));
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(machine).min(machine)
}

/// Where recovery starts to read the log: an offset at which a record starts. Queues and index hold every record before
/// it.
///
/// After a clean stop everything is on disk, so the last record of the queues is near enough. After any other end it is
/// the start of a file whose first record the checkpoint covers; the checkpoint never runs ahead of the index. An index
/// without any file was lost and is made anew from the start of the log.
fn first_offset(
    found: &Found,
    normal: bool,
    queues: &QueueTable,
    index: Option<&IndexService>,
    checkpoint: &Checkpoint,
    config: &StoreConfig,
) -> i64 {
    let segments = found.segments();
    if index.is_some_and(IndexService::is_empty) {
        return segments.first().map_or(0, |segment| segment.base());
    }
    if normal
        && let Some(entry) = queues.last_entry()
        && found.record(entry.physical_offset).is_some_and(|record| record.size() == entry.size as usize)
    {
        return entry.physical_offset;
    }
    let covered = if normal { queues.max_physical() } else { checkpoint.logics_physical_offset() };
    // Stores written before RocketMQ 5.4 have no offset in their checkpoint, only a time.
    let by_time = !normal && covered <= 0;
    let timestamp = match config.message_index_enable && config.message_index_safe {
        true => checkpoint.min_timestamp_with_index(),
        false => checkpoint.min_timestamp(),
    };
    let first = segments.iter().rposition(|segment| {
        found.record(segment.base()).is_some_and(|record| match by_time {
            true => record.store_timestamp() <= timestamp,
            false => record.physical_offset() <= covered,
        })
    });
    let first = first.unwrap_or(0);
    let files = segments.len() - first;
    if files > config.commit_log_recover_max_num {
        tracing::warn!(files, "consume queues are far behind the commit log; this start takes longer");
    }
    segments.get(first).map_or(0, |segment| segment.base())
}

/// Reads the log from the record at `first` on, brings queues and index up to it, cuts off what is not valid.
fn recover_log(
    found: Found,
    first: i64,
    normal: bool,
    config: &StoreConfig,
    queues: &QueueTable,
    dispatcher: &Dispatcher,
) -> Result<Recovered, StoreError> {
    let begin = Instant::now();
    let mut batch: Option<(usize, usize, usize)> = None;
    let dispatch = |(file, start, length): (usize, usize, usize)| -> Result<(), StoreError> {
        let Some(segment) = found.segments().get(file) else {
            return Ok(());
        };
        let (mut start, end) = (segment.base() + start as i64, segment.base() + (start + length) as i64);
        while let Some(bytes) = segment.bytes(start, (end - start) as usize).filter(|bytes| !bytes.is_empty()) {
            let (consumed, _) = dispatcher.dispatch(bytes, false)?;
            if consumed == 0 {
                break;
            }
            start += consumed as i64;
        }
        Ok(())
    };
    let size = config.mapped_file_size_commit_log as i64;
    let first_base = found.segments().first().map_or(0, |segment| segment.base());
    let end = found.scan(first, config.check_crc_on_recover, |record| {
        let distance = record.physical_offset() - first_base;
        let (file, start) = ((distance / size) as usize, (distance % size) as usize);
        match &mut batch {
            Some((at, _, length)) if *at == file && *length < RECOVER_BATCH => *length += record.size(),
            _ => {
                if let Some(full) = batch.replace((file, start, record.size())) {
                    dispatch(full)?;
                }
            }
        }
        Ok(())
    })?;
    if let Some(rest) = batch {
        dispatch(rest)?;
    }
    queues.truncate_to_physical(end.offset)?;
    let files = found.segments().len();
    // After a clean stop everything was flushed; after a crash of the process alone it may be in the page cache only.
    let recovered = found.truncate(&end, !normal)?;
    tracing::info!(normal, files, first, records = end.records, end = end.offset, reason = %end.reason,
        millis = begin.elapsed().as_millis() as u64, "commit log recovered");
    Ok(recovered)
}

impl MessageStore {
    /// Locks the folder, loads and recovers it, starts the store's threads.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is left running.
    pub fn open(config: StoreConfig, hooks: Arc<dyn StoreHooks>) -> Result<Arc<MessageStore>, StoreError> {
        Self::open_on(config, hooks, Arc::new(OsDisk))
    }

    /// [`MessageStore::open`] on a disk that may be made to fail.
    pub(crate) fn open_on(
        config: StoreConfig,
        hooks: Arc<dyn StoreHooks>,
        disk: Arc<dyn Disk>,
    ) -> Result<Arc<MessageStore>, StoreError> {
        config.check()?;
        let root = config.store_path_root_dir.clone();
        let lock = FolderLock::acquire(&root)?;
        let abort = AbortMark::new(&root);
        let normal = !abort.exists();
        tracing::info!(folder = %root.display(), normal, "opening store");

        let log_folder = config.commit_log_dir()?;
        for folder in [log_folder.as_path(), &config.consume_queue_dir(), &config.index_dir()] {
            folder::create(folder)?;
        }
        let found = recover::find(&log_folder, config.mapped_file_size_commit_log)?;
        if found.segments().is_empty() {
            delete_queues(&config.consume_queue_dir())?;
            delete_queues(&config.batch_consume_queue_dir())?;
            delete_queues(&config.consume_queue_ext_dir())?;
        }
        let queues = Arc::new(QueueTable::open_with_ext(
            QueueFolders { simple: &config.consume_queue_dir(), batch: &config.batch_consume_queue_dir() },
            QueueConfig {
                file_size: config.mapped_file_size_consume_queue,
                batch_file_size: config.mapper_file_size_batch_consume_queue,
                flush_least_pages: config.flush_consume_queue_least_pages,
                ..QueueConfig::default()
            },
            Some(ExtConfig {
                root: config.consume_queue_ext_dir(),
                file_size: config.mapped_file_size_consume_queue_ext,
                write: config.enable_consume_queue_ext,
            }),
            hooks.clone(),
        )?);
        queues.recover()?;
        let checkpoint = Checkpoint::open(&config.root_file("checkpoint"))?;
        let index = match config.message_index_enable {
            true => {
                let settings = IndexConfig { slots: config.max_hash_slot_num, items: config.max_index_num };
                Some(Arc::new(IndexService::open(&config.index_dir(), settings)?))
            }
            false => None,
        };

        let compaction = match config.enable_compaction {
            true => {
                Some(Arc::new(CompactionStore::open(&config, (!normal).then(|| checkpoint.logics_msg_timestamp()))?))
            }
            false => None,
        };

        abort.set()?;
        let dispatcher =
            Dispatcher::new(queues.clone(), index.clone(), compaction.clone(), hooks, config.light_queues, 0);
        let first = first_offset(&found, normal, &queues, index.as_deref(), &checkpoint, &config);
        if !normal {
            // Units that were being written may be torn; they are dispatched again.
            queues.forget_from(first)?;
        }
        if let Some(index) = &index {
            if found.segments().is_empty() {
                index.delete_all()?;
            } else if !normal {
                index.rebuild(first, checkpoint.index_msg_timestamp())?;
            }
        }
        let recovered = recover_log(found, first, normal, &config, &queues, &dispatcher)?;
        dispatcher.dispatched().raise(recovered.end);
        let min_physical = recovered.segments.first().map_or(recovered.end, |segment| segment.base());
        if !normal && let Some(compaction) = &compaction {
            let end = |topic: &str, queue_id| queues.get(topic, queue_id).map_or(0, |queue| queue.max_offset());
            compaction.truncate(end)?;
        }
        queues.correct_min(min_physical)?;
        queues.reset_next_offsets();

        let gate = Arc::new(WriteGate::default());
        let sync_flush = config.flush_disk_type == FlushDiskType::SyncFlush;
        let size = config.mapped_file_size_commit_log;
        let log = CommitLog::new(log_folder, size, disk, gate.clone(), recovered, sync_flush);
        let core = Arc::new(Core {
            config: ArcSwap::from_pointee(config),
            log,
            queues,
            index,
            compaction,
            checkpoint,
            dispatcher,
            gate,
            stats: StoreStats::default(),
            memory: memory_bytes(),
            abort,
            lock: Mutex::new(Some(lock)),
            stopped: AtomicBool::new(false),
            dispatch_stopped: AtomicBool::new(false),
            flush_wanted: AtomicBool::new(false),
            flush_thread: Mutex::new(None),
            ticker_thread: Mutex::new(None),
            cleaner: Cleaner::default(),
        });
        let store = Arc::new(MessageStore { core: core.clone(), threads: Mutex::default() });
        if !normal {
            // What was just rebuilt is to be on disk before anything is added.
            core.flush_queues(true);
        }
        // Once, before the first put is taken, so that a disk that is full already is noticed.
        core.clean_round(false);
        store.start_threads()?;
        Ok(store)
    }

    fn start_threads(&self) -> Result<(), StoreError> {
        let spawn = |name: &'static str, body: Box<dyn FnOnce(&Core) + Send>| -> Result<Thread, StoreError> {
            let core = self.core.clone();
            let handle = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || core.run_thread(name, body))
                .map_err(|source| StoreError::io("start thread", name, source))?;
            let thread = handle.thread().clone();
            self.threads.lock().push(handle);
            Ok(thread)
        };
        spawn("store-allocate", Box::new(|core| core.log.allocator().clone().run()))?;
        spawn("store-dispatch", Box::new(|core| core.dispatcher.run(&core.log, &core.dispatch_stopped)))?;
        let flush = spawn(
            "store-flush",
            Box::new(|core| core.log.run_flush(&core.stopped, &core.flush_wanted, || core.flush_policy())),
        )?;
        *self.core.flush_thread.lock() = Some(flush);
        spawn("store-cq-flush", Box::new(Core::run_queue_flush))?;
        let ticker = spawn("store-ticker", Box::new(Core::run_ticker))?;
        *self.core.ticker_thread.lock() = Some(ticker);
        spawn("store-clean", Box::new(Core::run_clean))?;
        for _ in 0..self.core.compaction.as_ref().map_or(0, |compaction| compaction.threads()) {
            let compact = |core: &Core| {
                if let Some(compaction) = &core.compaction {
                    compaction.run(&core.stopped);
                }
            };
            spawn("store-compact", Box::new(compact))?;
        }
        Ok(())
    }

    /// Stops the threads, flushes everything, removes `abort` when everything was dispatched and is on
    /// disk. Idempotent.
    pub fn shutdown(&self) {
        let core = &*self.core;
        if !core.gate.set_shutting_down() {
            return;
        }
        core.log.drain();
        core.stopped.store(true, Ordering::Release);
        core.log.written().wake();
        core.log.allocator().stop();
        let mut threads = std::mem::take(&mut *self.threads.lock());
        let dispatch = threads.iter().position(|thread| thread.thread().name() == Some("store-dispatch"));
        let dispatch = dispatch.map(|at| threads.swap_remove(at));
        join(threads);
        core.log.flush();
        core.log.flushed().fail(FlushError::ShuttingDown);

        // Everything that will ever be readable is readable now, so the dispatch thread can come to its end.
        core.dispatch_stopped.store(true, Ordering::Release);
        core.log.written().wake();
        join(dispatch.into_iter().collect());
        let queues_durable = core.flush_queues(true);

        let (dispatched, written) = (core.dispatcher.dispatched().get(), core.log.max_offset());
        let durable = queues_durable && core.log.flushed().get() == written;
        if durable && dispatched == written {
            core.abort.clear();
            tracing::info!(end = written, "store closed");
        } else {
            tracing::warn!(
                written,
                dispatched,
                durable,
                "store closed in disorder; the next start recovers as after a crash"
            );
        }
        core.lock.lock().take();
    }

    /// Calls `done` once everything below `end_offset` is on disk, or flushing failed, or `timeout` passed. Runs on a
    /// store thread, or inline when the answer is already known; must not block.
    pub fn when_flushed(&self, end_offset: i64, timeout: Duration, done: FlushCallback) {
        let core = &*self.core;
        let deadline = Instant::now() + timeout;
        let first = core.log.flushed().when_reached(end_offset, deadline, done);
        if first && let Some(ticker) = &*core.ticker_thread.lock() {
            ticker.unpark();
        }
        if !core.log.is_sync_flush() && core.log.flushed().get() < end_offset {
            core.flush_wanted.store(true, Ordering::Release);
            if let Some(flush) = &*core.flush_thread.lock() {
                flush.unpark();
            }
        }
    }
}

impl Drop for MessageStore {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.thread().unpark();
        let name = thread.thread().name().unwrap_or_default().to_owned();
        // The last handle to the store may be dropped on one of its own threads (by a hook); that thread ends by itself.
        if thread.thread().id() == std::thread::current().id() {
            continue;
        }
        if thread.join().is_err() {
            tracing::error!(thread = name, "store thread panicked");
        }
    }
}

/// Without a commit log the queues point nowhere.
fn delete_queues(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("empty folder", path, source);
    let is_empty = match std::fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        entries => entries.map_err(failed)?.next().is_none(),
    };
    if is_empty {
        return Ok(());
    }
    tracing::warn!(folder = %path.display(), "there is no commit log: deleting all consume queues");
    std::fs::remove_dir_all(path).map_err(failed)?;
    folder::create(path)
}
