//! Settings of the store: the keys of RocketMQ's `MessageStoreConfig` that this store honours.
//!
//! Names follow broker.conf (`flushIntervalCommitLog` is [`StoreConfig::flush_interval_commit_log`]); defaults are
//! those of RocketMQ 5.5.0 (`MessageStoreConfig.java`). A duration given in milliseconds or hours there is a
//! [`Duration`] here. Fields marked *live* may change at run time through [`crate::MessageStore::apply_config`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::StoreError;

/// When a put counts as done (`flushDiskType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushDiskType {
    /// Answered once the bytes are in the page cache; flushed in the background.
    AsyncFlush,
    /// Answered, and shown to consumers, only after the bytes are on disk.
    SyncFlush,
}

/// Everything the store can be told. See the module text for names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// `storePathRootDir`: the store folder. Default `~/store`.
    pub store_path_root_dir: PathBuf,
    /// `storePathCommitLog`: folder of the commit log, `<root>/commitlog` when absent. Several folders (joined by
    /// `,`) are refused at open.
    pub store_path_commit_log: Option<String>,
    /// `mappedFileSizeCommitLog`: bytes of one commit-log file. Default 1 GiB. Existing files must have this size.
    pub mapped_file_size_commit_log: usize,
    /// `mappedFileSizeConsumeQueue`: bytes of one consume-queue file. Default 6,000,000 (300,000 units of 20 bytes).
    pub mapped_file_size_consume_queue: usize,
    /// `mapperFileSizeBatchConsumeQueue`: bytes of one file of a batch queue. Default 13,800,000 (300,000 units of 46
    /// bytes).
    pub mapper_file_size_batch_consume_queue: usize,
    /// `enableConsumeQueueExt`: whether simple queues write an extension, see [`crate::consume_queue::ext`]. Default
    /// false. *live* as far as off goes, and on again; a store opened without has none before the next start.
    pub enable_consume_queue_ext: bool,
    /// `mappedFileSizeConsumeQueueExt`: bytes of one file of an extension. Default 48 MiB.
    pub mapped_file_size_consume_queue_ext: usize,
    /// `enableLmq` and `enableMultiDispatch`: whether messages come into the light queues that they name, see
    /// [`crate::light`]. Default false.
    pub light_queues: bool,
    /// Light queues that messages may make at most; those that the log holds are made in any case. Default 1,000,000.
    pub light_queues_max: usize,
    /// `enableCompaction`: whether compacted topics have compaction logs. Default true.
    pub enable_compaction: bool,
    /// `compactionMappedFileSize`: bytes of a file of a compaction log, about. Default 100 MiB.
    pub compaction_mapped_file_size: usize,
    /// `compactionCqMappedFileSize`: bytes of a file of its queue, rounded down to units. Default 10 MiB.
    pub compaction_cq_mapped_file_size: usize,
    /// `compactionScheduleInternal`: pause between two compactions of a log. Default 15 minutes.
    pub compaction_schedule_internal: Duration,
    /// `maxOffsetMapSize`: bytes that the keys of all compactions that run at once may take. Default 100 MiB.
    pub max_offset_map_size: usize,
    /// `compactionThreadNum`: compactions at once, at most as many as there are processors. Default 6.
    pub compaction_thread_num: usize,
    /// `maxMessageSize`: largest body in bytes. Default 4 MiB. A record may be 64 KiB larger. *live*
    pub max_message_size: usize,
    /// `flushDiskType`. Default [`FlushDiskType::AsyncFlush`]. *live*
    pub flush_disk_type: FlushDiskType,
    /// `syncFlushTimeout`: longest wait for a flush. Default 5 s. *live*
    pub sync_flush_timeout: Duration,
    /// `flushIntervalCommitLog`: period of the background flush. Default 500 ms. *live*
    pub flush_interval_commit_log: Duration,
    /// `flushCommitLogLeastPages`: 4 KiB pages that must be dirty before the background flush acts. Default 4. *live*
    pub flush_commit_log_least_pages: usize,
    /// `flushCommitLogThoroughInterval`: period after which any dirty byte is flushed. Default 10 s. *live*
    pub flush_commit_log_thorough_interval: Duration,
    /// `flushIntervalConsumeQueue`: period of the consume-queue flush. Default 1 s. *live*
    pub flush_interval_consume_queue: Duration,
    /// `flushConsumeQueueLeastPages`: 4 KiB pages that must be dirty in a queue before it is flushed. Default 2. *live*
    pub flush_consume_queue_least_pages: usize,
    /// `flushConsumeQueueThoroughInterval`: period of the full consume-queue flush that moves the checkpoint.
    /// Default 60 s. *live*
    pub flush_consume_queue_thorough_interval: Duration,
    /// `cleanResourceInterval`: period of expiry and disk checks. Default 10 s.
    pub clean_resource_interval: Duration,
    /// `deleteCommitLogFilesInterval`: pause between two file deletions. Default 100 ms. *live*
    pub delete_commit_log_files_interval: Duration,
    /// `deleteFileBatchMax`: commit-log files deleted in one round at most. Default 10. *live*
    pub delete_file_batch_max: usize,
    /// `deleteWhen`: hours of the day at which expired files go, joined by `;`. Default `04`. *live*
    pub delete_when: String,
    /// `fileReservedTime`: age (by last modification) after which a commit-log file may go. Default 72 h. *live*
    pub file_reserved_time: Duration,
    /// `diskMaxUsedSpaceRatio`: percent of the disk above which expired files go at any hour. Default 75. *live*
    pub disk_max_used_space_ratio: u32,
    /// `diskSpaceCleanForciblyRatio`: percent above which age is ignored. Default 85, kept within 30..=85. *live*
    pub disk_space_clean_forcibly_ratio: u32,
    /// `diskSpaceWarningLevelRatio`: percent above which puts are refused. Default 90, kept within 35..=90. *live*
    pub disk_space_warning_level_ratio: u32,
    /// `cleanFileForciblyEnable`: whether age may be ignored at all. Default true. *live*
    pub clean_file_forcibly_enable: bool,
    /// `maxTransferBytesOnMessageInMemory`: bytes of one read near the end of the log. Default 262,144. *live*
    pub max_transfer_bytes_on_message_in_memory: usize,
    /// `maxTransferCountOnMessageInMemory`: messages of one read near the end of the log. Default 32. *live*
    pub max_transfer_count_on_message_in_memory: usize,
    /// `maxTransferBytesOnMessageInDisk`: bytes of one read far behind the end of the log. Default 65,536. *live*
    pub max_transfer_bytes_on_message_in_disk: usize,
    /// `maxTransferCountOnMessageInDisk`: messages of one read far behind the end of the log. Default 8. *live*
    pub max_transfer_count_on_message_in_disk: usize,
    /// `accessMessageInMemoryMaxRatio`: percent of physical memory regarded as holding the end of the log.
    /// Default 40. *live*
    pub access_message_in_memory_max_ratio: u32,
    /// `maxFilterMessageSize`: consume-queue bytes scanned by one read at most. Default 16,000. *live*
    pub max_filter_message_size: usize,
    /// `messageIndexEnable`: whether messages are indexed by key. Default true.
    pub message_index_enable: bool,
    /// `maxHashSlotNum`: hash slots of an index file. Default 5,000,000.
    pub max_hash_slot_num: u32,
    /// `maxIndexNum`: items of an index file. Default 20,000,000.
    pub max_index_num: u32,
    /// `maxMsgsNumBatch`: results of one key query at most. Default 64. *live*
    pub max_msgs_num_batch: usize,
    /// `messageIndexSafe`: whether the index's timestamp counts when the start of an abnormal recovery is chosen.
    /// Default false.
    pub message_index_safe: bool,
    /// `checkCRCOnRecover`: whether recovery checks body CRCs. Default true.
    pub check_crc_on_recover: bool,
    /// `commitLogRecoverMaxNum`: files recovery is expected to walk back at most. Default 10. Java stops there, which
    /// can leave queues with holes; this store says so in its log and goes on.
    pub commit_log_recover_max_num: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        StoreConfig::at(home.join("store"))
    }
}

impl StoreConfig {
    /// RocketMQ's defaults with the store folder at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        StoreConfig {
            store_path_root_dir: root.into(),
            store_path_commit_log: None,
            mapped_file_size_commit_log: 1 << 30,
            mapped_file_size_consume_queue: 300_000 * 20,
            mapper_file_size_batch_consume_queue: 300_000 * 46,
            enable_consume_queue_ext: false,
            mapped_file_size_consume_queue_ext: 48 << 20,
            light_queues: false,
            light_queues_max: 1_000_000,
            enable_compaction: true,
            compaction_mapped_file_size: 100 << 20,
            compaction_cq_mapped_file_size: 10 << 20,
            compaction_schedule_internal: Duration::from_secs(15 * 60),
            max_offset_map_size: 100 << 20,
            compaction_thread_num: 6,
            max_message_size: 4 << 20,
            flush_disk_type: FlushDiskType::AsyncFlush,
            sync_flush_timeout: Duration::from_secs(5),
            flush_interval_commit_log: Duration::from_millis(500),
            flush_commit_log_least_pages: 4,
            flush_commit_log_thorough_interval: Duration::from_secs(10),
            flush_interval_consume_queue: Duration::from_secs(1),
            flush_consume_queue_least_pages: 2,
            flush_consume_queue_thorough_interval: Duration::from_secs(60),
            clean_resource_interval: Duration::from_secs(10),
            delete_commit_log_files_interval: Duration::from_millis(100),
            delete_file_batch_max: 10,
            delete_when: "04".to_owned(),
            file_reserved_time: Duration::from_secs(72 * 3600),
            disk_max_used_space_ratio: 75,
            disk_space_clean_forcibly_ratio: 85,
            disk_space_warning_level_ratio: 90,
            clean_file_forcibly_enable: true,
            max_transfer_bytes_on_message_in_memory: 256 << 10,
            max_transfer_count_on_message_in_memory: 32,
            max_transfer_bytes_on_message_in_disk: 64 << 10,
            max_transfer_count_on_message_in_disk: 8,
            access_message_in_memory_max_ratio: 40,
            max_filter_message_size: 16_000,
            message_index_enable: true,
            max_hash_slot_num: 5_000_000,
            max_index_num: 20_000_000,
            max_msgs_num_batch: 64,
            message_index_safe: false,
            check_crc_on_recover: true,
            commit_log_recover_max_num: 10,
        }
    }

    /// Folder of the commit log.
    ///
    /// # Errors
    /// [`StoreError::MultiPathCommitLog`] when `storePathCommitLog` names several folders.
    pub fn commit_log_dir(&self) -> Result<PathBuf, StoreError> {
        match &self.store_path_commit_log {
            None => Ok(self.store_path_root_dir.join("commitlog")),
            Some(paths) if paths.contains(',') => Err(StoreError::MultiPathCommitLog(paths.clone())),
            Some(path) if path.trim().is_empty() => Ok(self.store_path_root_dir.join("commitlog")),
            Some(path) => Ok(PathBuf::from(path.trim())),
        }
    }

    /// Folder of the consume queues, `<root>/consumequeue`.
    pub fn consume_queue_dir(&self) -> PathBuf {
        self.store_path_root_dir.join("consumequeue")
    }

    /// Folder of the batch queues, `<root>/batchconsumequeue`.
    pub fn batch_consume_queue_dir(&self) -> PathBuf {
        self.store_path_root_dir.join("batchconsumequeue")
    }

    /// Folder of the extensions of consume queues, `<root>/consumequeue_ext`.
    pub fn consume_queue_ext_dir(&self) -> PathBuf {
        self.store_path_root_dir.join("consumequeue_ext")
    }

    /// Folder of the compaction logs, `<root>/compaction`.
    pub fn compaction_dir(&self) -> PathBuf {
        self.store_path_root_dir.join("compaction")
    }

    /// Folder of the index files, `<root>/index`.
    pub fn index_dir(&self) -> PathBuf {
        self.store_path_root_dir.join("index")
    }

    /// A file directly below the store folder (`lock`, `abort`, `checkpoint`).
    pub fn root_file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.store_path_root_dir.join(name)
    }

    /// Refuses values the store cannot work with.
    ///
    /// # Errors
    /// [`StoreError::Config`] naming the key.
    pub fn check(&self) -> Result<(), StoreError> {
        let bad = |key: &'static str, reason: &str| Err(StoreError::Config { key, reason: reason.to_owned() });
        self.commit_log_dir()?;
        if self.mapped_file_size_commit_log < 4096 || self.mapped_file_size_commit_log > i32::MAX as usize {
            return bad("mappedFileSizeCommitLog", "must be within 4096..=2147483647 bytes");
        }
        if self.mapped_file_size_consume_queue < 20 || self.mapped_file_size_consume_queue > i32::MAX as usize {
            return bad("mappedFileSizeConsumeQueue", "must be within 20..=2147483647 bytes");
        }
        let batch_file_size = self.mapper_file_size_batch_consume_queue;
        if batch_file_size < 46 || batch_file_size > i32::MAX as usize {
            return bad("mapperFileSizeBatchConsumeQueue", "must be within 46..=2147483647 bytes");
        }
        let ext_file_size = self.mapped_file_size_consume_queue_ext;
        if ext_file_size < 128 || ext_file_size > i32::MAX as usize {
            return bad("mappedFileSizeConsumeQueueExt", "must be within 128..=2147483647 bytes");
        }
        if self.compaction_cq_mapped_file_size < 46 || self.compaction_cq_mapped_file_size > i32::MAX as usize / 8 {
            return bad("compactionCqMappedFileSize", "must be within 46..=268435455 bytes");
        }
        if self.compaction_mapped_file_size < 46 || self.compaction_mapped_file_size > i32::MAX as usize / 2 {
            return bad("compactionMappedFileSize", "must be within 46..=1073741823 bytes");
        }
        crate::clean::Hours::parse(&self.delete_when)?;
        if self.max_message_size > (i32::MAX as usize) - (1 << 20) {
            return bad("maxMessageSize", "must leave room for a record below 2 GiB");
        }
        if self.max_hash_slot_num == 0 || self.max_index_num < 2 {
            return bad("maxIndexNum", "maxHashSlotNum must be at least 1 and maxIndexNum at least 2");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_commit_log_folders_are_refused() {
        let mut config = StoreConfig::at("/tmp/x");
        assert_eq!(config.commit_log_dir().unwrap(), PathBuf::from("/tmp/x/commitlog"));
        config.store_path_commit_log = Some("/a,/b".to_owned());
        assert!(matches!(config.check(), Err(StoreError::MultiPathCommitLog(_))));
        config.store_path_commit_log = Some(" /a ".to_owned());
        assert_eq!(config.commit_log_dir().unwrap(), PathBuf::from("/a"));
    }
}
