//! Facts about the store, settings that change at run time, and the removal of what has expired.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::MessageStore;
use crate::clean::{self, CleanConfig, CleanPolicy, DiskFull, Usage};
use crate::config::{FlushDiskType, StoreConfig};
use crate::error::StoreError;
use crate::light;
use crate::message::Writable;
use crate::open::Core;
use crate::read::DiskUsage;
use crate::stats::StoreStats;

/// Longest wait for the dispatch thread before a topic's queues are dropped.
const DISPATCH_WAIT: Duration = Duration::from_secs(1);

/// Pause between two looks at the clock while the cleaner waits for its next round.
const CLEAN_TICK: Duration = Duration::from_millis(500);

/// What the cleaner remembers from round to round.
#[derive(Default)]
pub(crate) struct Cleaner {
    policy: Mutex<CleanPolicy>,
    /// Somebody wants a round now.
    wanted: AtomicBool,
    /// Start of the log that the queues were last cleaned for: most rounds find it where it was.
    queues_follow: AtomicI64,
}

impl Core {
    fn usage(&self, what: &str, folder: &Path) -> Option<Usage> {
        Usage::of(folder).inspect_err(|error| tracing::warn!(what, %error, "disk usage is unknown")).ok()
    }

    /// One round: judges the disks, opens or closes the gate, deletes what has expired.
    pub(crate) fn clean_round(&self, delete: bool) {
        let config = match CleanConfig::new(&self.config.load()) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "nothing can expire");
                return;
            }
        };
        let shares = || {
            let log = self.usage("commit log", self.log.folder()).map(|usage| usage.ratio);
            let queues = self.usage("consume queues", &self.config.load().consume_queue_dir()).map(|usage| usage.ratio);
            (log, queues)
        };
        let (log, queues) = shares();
        let hour = clean::local_hour(SystemTime::now());
        let round = self.cleaner.policy.lock().round(&config, hour, clean::judge_space(&config, log, queues));
        let ratio = log.unwrap_or(0.0).max(queues.unwrap_or(0.0));
        let changed = match round.disk_full {
            DiskFull::Set => self.gate.set_disk_full(true, ratio),
            DiskFull::Clear => self.gate.set_disk_full(false, ratio),
            DiskFull::Keep => false,
        };
        if changed {
            tracing::warn!(ratio, writable = self.gate.is_open(), "disk usage decides whether messages are taken");
        }
        if !delete {
            return;
        }
        if round.deletes() {
            self.delete_expired(&config, round.ignore_age);
        }
        self.clean_queues();
    }

    fn delete_expired(&self, config: &CleanConfig, ignore_age: bool) {
        let modified: Vec<SystemTime> = self
            .log
            .segments()
            .iter()
            // A file whose age is unknown is young.
            .map(|segment| segment.file().metadata().and_then(|facts| facts.modified()).unwrap_or(SystemTime::now()))
            .collect();
        let count = clean::expired(config, ignore_age, &modified, SystemTime::now());
        for deleted in 0..count {
            if deleted > 0 {
                std::thread::sleep(self.config.load().delete_commit_log_files_interval);
            }
            let first = self.log.min_offset();
            match self.log.delete_first() {
                Ok(true) => tracing::info!(first, ignore_age, "expired commit-log file deleted"),
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(first, %error, "expired commit-log file cannot be deleted");
                    return;
                }
            }
        }
    }

    /// Body of the cleaner thread.
    pub(crate) fn run_clean(&self) {
        let mut last = Instant::now();
        while !self.is_stopped() {
            std::thread::park_timeout(CLEAN_TICK);
            let due = last.elapsed() >= self.config.load().clean_resource_interval;
            if due || self.cleaner.wanted.swap(false, Ordering::AcqRel) {
                last = Instant::now();
                self.clean_round(true);
            }
        }
    }

    /// Has consume queues and index follow the start of the log. Light queues go when they hold nothing more, others
    /// stay until their topic is deleted.
    fn clean_queues(&self) {
        let min = self.log.min_offset();
        if let Some(index) = &self.index
            && let Err(error) = index.delete_expired(min)
        {
            tracing::error!(%error, "index cannot be cleaned");
        }
        if self.cleaner.queues_follow.swap(min, Ordering::AcqRel) == min {
            return;
        }
        match self.queues.delete_expired_queues(min, &|topic| !light::is_light(topic)) {
            Ok(expired) if expired.is_empty() => {}
            Ok(expired) => {
                tracing::info!(queues = expired.len(), min, "light queues deleted, all their messages expired")
            }
            Err(error) => tracing::error!(%error, "expired light queues cannot be deleted"),
        }
        for queue in self.queues.all() {
            if let Err(error) = queue.delete_expired_files(min) {
                tracing::error!(topic = queue.topic(), queue_id = queue.queue_id(), %error, "queue cannot be cleaned");
            }
        }
    }
}

impl MessageStore {
    /// First offset the log still holds; -1 for an empty log.
    pub fn min_physical_offset(&self) -> i64 {
        self.core.log.min_offset()
    }

    /// Offset behind the last record.
    pub fn max_physical_offset(&self) -> i64 {
        self.core.log.max_offset()
    }

    /// Everything below is on disk.
    pub fn flushed_offset(&self) -> i64 {
        self.core.log.flushed().get()
    }

    /// Everything below is in the consume queues and the index.
    pub fn dispatched_offset(&self) -> i64 {
        self.core.dispatcher.dispatched().get()
    }

    /// Whether the store takes messages, and if not, why.
    pub fn writable(&self) -> Writable {
        self.core.gate.state()
    }

    /// For how long the append lock has been held by its present holder, milliseconds; 0 when it is free.
    pub fn page_cache_lock_time_ms(&self) -> i64 {
        self.core.log.lock_time_ms()
    }

    /// Counters.
    pub fn stats(&self) -> &StoreStats {
        &self.core.stats
    }

    /// How full the disks are; a ratio that cannot be measured is -1.
    pub fn disk_usage(&self) -> DiskUsage {
        let log = self.core.usage("commit log", self.core.log.folder());
        let queues = self.core.usage("consume queues", &self.core.config.load().consume_queue_dir());
        DiskUsage {
            commit_log_ratio: log.map_or(-1.0, |usage| usage.ratio),
            consume_queue_ratio: queues.map_or(-1.0, |usage| usage.ratio),
            total_bytes: log.map_or(0, |usage| usage.total_bytes),
            free_bytes: log.map_or(0, |usage| usage.free_bytes),
        }
    }

    /// Drops a topic's consume queues, its compaction logs and their folders. True when there were any.
    ///
    /// Waits up to a second for the dispatch of what was put before, so that queues do not come back with old entries.
    pub fn delete_topic(&self, topic: &str) -> bool {
        let core = &*self.core;
        let target = core.log.readable().get();
        let deadline = Instant::now() + DISPATCH_WAIT;
        let mut dispatched = core.dispatcher.dispatched().get();
        while dispatched < target && Instant::now() < deadline {
            dispatched = core.dispatcher.dispatched().wait_above(dispatched, deadline - Instant::now());
        }
        let deleted = core.queues.delete_topic(topic).unwrap_or_else(|error| {
            tracing::error!(topic, %error, "topic's consume queues cannot be deleted from disk");
            true
        });
        if let Some(compaction) = &core.compaction
            && let Err(error) = compaction.delete_topic(topic)
        {
            tracing::error!(topic, %error, "topic's compaction logs cannot be deleted from disk");
        }
        deleted
    }

    /// Number of light queues.
    pub fn light_queues(&self) -> usize {
        self.core.queues.light_queues()
    }

    /// Whether there is such a queue.
    pub fn has_queue(&self, topic: &str, queue_id: i32) -> bool {
        self.core.queues.get(topic, queue_id).is_some()
    }

    /// Drops the consume queues of every topic for which `live` is false; returns the topics dropped.
    pub fn clean_unused_topics(&self, live: &dyn Fn(&str) -> bool) -> Vec<String> {
        let unused = self.topics().into_iter().map(|(topic, _)| topic).filter(|topic| !live(topic));
        unused.filter(|topic| self.delete_topic(topic)).collect()
    }

    /// Every topic that has consume queues, with its queue ids in order.
    pub fn topics(&self) -> Vec<(String, Vec<i32>)> {
        self.core.queues.topics()
    }

    /// Switches between synchronous and background flushing.
    pub fn set_flush_mode(&self, mode: FlushDiskType) {
        let mut config = StoreConfig::clone(&self.core.config.load());
        config.flush_disk_type = mode;
        self.core.config.store(Arc::new(config));
        self.core.log.set_sync_flush(mode == FlushDiskType::SyncFlush);
    }

    /// Takes over the *live* settings of `config`; the others keep the values the store was opened with.
    ///
    /// # Errors
    /// [`StoreError::Config`] for values the store cannot work with; nothing changes then.
    pub fn apply_config(&self, config: &StoreConfig) -> Result<(), StoreError> {
        config.check()?;
        let old = self.core.config.load();
        let merged = StoreConfig {
            store_path_root_dir: old.store_path_root_dir.clone(),
            store_path_commit_log: old.store_path_commit_log.clone(),
            mapped_file_size_commit_log: old.mapped_file_size_commit_log,
            mapped_file_size_consume_queue: old.mapped_file_size_consume_queue,
            mapper_file_size_batch_consume_queue: old.mapper_file_size_batch_consume_queue,
            enable_compaction: old.enable_compaction,
            compaction_mapped_file_size: old.compaction_mapped_file_size,
            compaction_cq_mapped_file_size: old.compaction_cq_mapped_file_size,
            compaction_schedule_internal: old.compaction_schedule_internal,
            max_offset_map_size: old.max_offset_map_size,
            compaction_thread_num: old.compaction_thread_num,
            mapped_file_size_consume_queue_ext: old.mapped_file_size_consume_queue_ext,
            light_queues: old.light_queues,
            light_queues_max: old.light_queues_max,
            message_index_enable: old.message_index_enable,
            max_hash_slot_num: old.max_hash_slot_num,
            max_index_num: old.max_index_num,
            message_index_safe: old.message_index_safe,
            check_crc_on_recover: old.check_crc_on_recover,
            commit_log_recover_max_num: old.commit_log_recover_max_num,
            ..config.clone()
        };
        self.core.queues.set_flush_least_pages(merged.flush_consume_queue_least_pages);
        self.core.queues.set_write_ext(merged.enable_consume_queue_ext);
        self.core.config.store(Arc::new(merged));
        self.core.log.set_sync_flush(config.flush_disk_type == FlushDiskType::SyncFlush);
        Ok(())
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<StoreConfig> {
        self.core.config.load_full()
    }

    /// Deletes consume-queue and index files that point before the log's first offset.
    pub fn clean_expired_queues(&self) {
        self.core.clean_queues();
    }

    /// Has expired commit-log files deleted now and in the rounds to come (Java: 20), whatever the hour. Returns at
    /// once; the cleaner thread does it.
    pub fn delete_expired_commit_log(&self) {
        self.core.cleaner.policy.lock().request();
        self.core.cleaner.wanted.store(true, Ordering::Release);
    }
}
