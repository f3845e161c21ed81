//! Keys of Java's MessageStoreConfig. A key's text says what it does in RocketMQ; those that the store acts on are in
//! [`StoreConfig`](hypergol_store::StoreConfig).

use hypergol_config::process::below_home;

use super::{BrokerRole, FlushDiskType};

hypergol_config::config_table! {
    /// Java: MessageStoreConfig.
    pub struct StoreKeys {
        /// Store root (~/store).
        store_path_root_dir: String = below_home("store"); "storePathRootDir" restart() important(),
        /// Commitlog dirs, "," separated (default root/commitlog).
        store_path_commit_log: Option<String> = None; "storePathCommitLog" restart() important(),
        /// DLedger log dir.
        store_path_d_ledger_commit_log: Option<String> = None; "storePathDLedgerCommitLog" restart() important(),
        /// Epoch file path.
        store_path_epoch_file: Option<String> = None; "storePathEpochFile" restart() important(),
        /// Broker identity file path.
        store_path_broker_identity: Option<String> = None; "storePathBrokerIdentity" restart() important(),
        /// Dirs only read from.
        read_only_commit_log_store_paths: Option<String> = None; "readOnlyCommitLogStorePaths" restart(),
        /// Commitlog file size.
        mapped_file_size_commit_log: i32 = 1_073_741_824; "mappedFileSizeCommitLog" restart() also(&["mapedFileSizeCommitLog"]),
        /// Compaction log file size.
        compaction_mapped_file_size: i32 = 104_857_600; "compactionMappedFileSize" restart(),
        /// Compaction CQ file size.
        compaction_cq_mapped_file_size: i32 = 10_485_760; "compactionCqMappedFileSize" restart(),
        /// Ms between compactions.
        compaction_schedule_internal: i32 = 900_000; "compactionScheduleInternal" restart(),
        /// Compaction key map bytes.
        max_offset_map_size: i32 = 104_857_600; "maxOffsetMapSize" restart(),
        /// Compaction threads.
        compaction_thread_num: i32 = 6; "compactionThreadNum" restart(),
        /// Support cleanup.policy=COMPACTION.
        enable_compaction: bool = true; "enableCompaction" restart(),
        /// Timerlog file size.
        mapped_file_size_timer_log: i32 = 104_857_600; "mappedFileSizeTimerLog" restart(),
        /// Wheel step.
        timer_precision_ms: i32 = 1000; "timerPrecisionMs" restart(),
        /// Steps before rolling (2 days).
        timer_roll_window_slot: i32 = 172_800; "timerRollWindowSlot" restart(),
        /// Checkpoint flush period.
        timer_flush_interval_ms: i32 = 1000; "timerFlushIntervalMs" live(),
        /// Dequeue read threads.
        timer_get_message_thread_num: i32 = 3; "timerGetMessageThreadNum" restart(),
        /// Dequeue put threads.
        timer_put_message_thread_num: i32 = 3; "timerPutMessageThreadNum" restart(),
        /// Unused `[no setter]`.
        timer_enable_disruptor: bool = false; "timerEnableDisruptor" restart(),
        /// Daily metric check.
        timer_enable_check_metrics: bool = true; "timerEnableCheckMetrics" live(),
        /// Route delay levels through the wheel.
        timer_intercept_delay_level: bool = false; "timerInterceptDelayLevel" restart(),
        /// Max delay (3 days).
        timer_max_delay_sec: i32 = 259_200; "timerMaxDelaySec" live(),
        /// Snapshot instead of mmap flush `[new in 5.4/5.5]`.
        timer_wheel_snapshot_flush: bool = false; "timerWheelSnapshotFlush" restart(),
        /// Timer messages and pop need it.
        timer_wheel_enable: bool = true; "timerWheelEnable" restart(),
        /// S to stay hidden after start, -1 off.
        disappear_time_after_start: i32 = -1; "disappearTimeAfterStart" restart() important(),
        /// Stop reading the timer topic.
        timer_stop_enqueue: bool = false; "timerStopEnqueue" live(),
        /// Hour of the check `[no setter]`.
        timer_check_metrics_when: String = "05".into(); "timerCheckMetricsWhen" live(),
        /// Skip instead of retry.
        timer_skip_unknown_error: bool = false; "timerSkipUnknownError" restart(),
        /// Warm mapped files `[no setter]`.
        timer_warm_enable: bool = false; "timerWarmEnable" restart(),
        /// Stop delivering `[no setter]`.
        timer_stop_dequeue: bool = false; "timerStopDequeue" live(),
        /// Retry failed delivery forever.
        timer_enable_retry_until_success: bool = false; "timerEnableRetryUntilSuccess" restart(),
        /// Flow control per slot.
        timer_congest_num_each_slot: i32 = 2_147_483_647; "timerCongestNumEachSlot" live(),
        /// Metric check size.
        timer_metric_small_threshold: i32 = 1_000_000; "timerMetricSmallThreshold" live(),
        /// Progress log period.
        timer_progress_log_interval_ms: i32 = 10000; "timerProgressLogIntervalMs" restart(),
        /// Snapshot period `[new in 5.4/5.5]`.
        timer_wheel_snapshot_interval_ms: i32 = 10000; "timerWheelSnapshotIntervalMs" restart(),
        /// Max files walked back at recovery `[new in 5.4/5.5]`.
        commit_log_recover_max_num: i32 = 10; "commitLogRecoverMaxNum" restart(),
        /// RocksDB timer engine `[new in 5.4/5.5]`.
        timer_rocks_db_enable: bool = false; "timerRocksDBEnable" restart(),
        /// Pause RocksDB scan `[new in 5.4/5.5]`.
        timer_rocks_db_stop_scan: bool = false; "timerRocksDBStopScan" restart(),
        /// Its precision `[new in 5.4/5.5]`.
        timer_rocks_db_precision_ms: i64 = 1000; "timerRocksDBPrecisionMs" restart(),
        /// Its roll limit `[new in 5.4/5.5]`.
        timer_rocks_db_roll_max_tps: f64 = 8000.0; "timerRocksDBRollMaxTps" restart(),
        /// Its delivery limit `[new in 5.4/5.5]`.
        timer_rocks_db_time_expired_max_tps: f64 = 200000.0; "timerRocksDBTimeExpiredMaxTps" restart(),
        /// Roll period `[new in 5.4/5.5]`.
        timer_rocks_db_roll_interval_hours: i32 = 1; "timerRocksDBRollIntervalHours" restart(),
        /// Roll range `[new in 5.4/5.5]`.
        timer_rocks_db_roll_range_hours: i32 = 2; "timerRocksDBRollRangeHours" restart(),
        /// Recall reaches wheel `[new in 5.4/5.5]`.
        timer_recall_to_time_wheel_enable: bool = true; "timerRecallToTimeWheelEnable" restart(),
        /// Recall reaches RocksDB timeline `[new in 5.4/5.5]`.
        timer_recall_to_timeline_enable: bool = true; "timerRecallToTimelineEnable" restart(),
        /// Pool `[new in 5.4/5.5]`.
        timer_reput_service_core_pool_size: i32 = 6; "timerReputServiceCorePoolSize" restart(),
        /// Pool `[new in 5.4/5.5]`.
        timer_reput_service_max_pool_size: i32 = 6; "timerReputServiceMaxPoolSize" restart(),
        /// Queue `[new in 5.4/5.5]`.
        timer_reput_service_queue_capacity: i32 = 10000; "timerReputServiceQueueCapacity" restart(),
        /// RocksDB half message index `[new in 5.4/5.5]`.
        trans_rocks_db_enable: bool = false; "transRocksDBEnable" restart(),
        /// Still write half topic `[new in 5.4/5.5]`.
        trans_write_origin_trans_half_enable: bool = true; "transWriteOriginTransHalfEnable" restart(),
        /// RocksDB message index `[new in 5.4/5.5]`.
        index_rocks_db_enable: bool = false; "indexRocksDBEnable" restart(),
        /// Query window `[new in 5.4/5.5]`.
        max_rocks_db_index_query_days: i32 = 7; "maxRocksDBIndexQueryDays" restart(),
        /// Write index files `[new in 5.4/5.5]`.
        index_file_write_enable: bool = true; "indexFileWriteEnable" restart(),
        /// Read index files `[new in 5.4/5.5]`.
        index_file_read_enable: bool = true; "indexFileReadEnable" restart(),
        /// Default / defaultRocksDB / combine.
        store_type: String = "default".into(); "storeType" restart() important(),
        /// Range iterator reads `[new in 5.4/5.5]`.
        iterator_when_use_rocksdb_consume_queue: bool = true; "iteratorWhenUseRocksdbConsumeQueue" restart(),
        /// CQ file bytes (300000 units).
        mapped_file_size_consume_queue: i32 = 6_000_000; "mappedFileSizeConsumeQueue" restart() also(&["mapedFileSizeConsumeQueue"]),
        /// Write ext units.
        enable_consume_queue_ext: bool = false; "enableConsumeQueueExt" live(),
        /// Ext file bytes.
        mapped_file_size_consume_queue_ext: i32 = 50_331_648; "mappedFileSizeConsumeQueueExt" restart() also(&["mapedFileSizeConsumeQueueExt"]),
        /// Batch CQ file bytes (300000 units).
        mapper_file_size_batch_consume_queue: i32 = 13_800_000; "mapperFileSizeBatchConsumeQueue" restart(),
        /// Bitmap bits.
        bit_map_length_consume_queue_ext: i32 = 112; "bitMapLengthConsumeQueueExt" restart(),
        /// Ms flush period.
        flush_interval_commit_log: i32 = 500; "flushIntervalCommitLog" live() important(),
        /// Ms commit period (transient pool).
        commit_interval_commit_log: i32 = 200; "commitIntervalCommitLog" restart() important(),
        /// No reader in 5.5.
        max_recovery_commitlog_files: i32 = 30; "maxRecoveryCommitlogFiles" restart(),
        /// Percent, disk-full mark.
        disk_space_warning_level_ratio: i32 = 90; "diskSpaceWarningLevelRatio" live(),
        /// Percent, forced delete.
        disk_space_clean_forcibly_ratio: i32 = 85; "diskSpaceCleanForciblyRatio" live(),
        /// Append lock type.
        use_reentrant_lock_when_put_message: bool = true; "useReentrantLockWhenPutMessage" restart(),
        /// Sleep instead of wait-notify.
        flush_commit_log_timed: bool = true; "flushCommitLogTimed" restart() important(),
        /// Ms CQ flush period.
        flush_interval_consume_queue: i32 = 1000; "flushIntervalConsumeQueue" live(),
        /// Ms cleaner period.
        clean_resource_interval: i32 = 10000; "cleanResourceInterval" restart(),
        /// Ms between file deletes.
        delete_commit_log_files_interval: i32 = 100; "deleteCommitLogFilesInterval" live(),
        /// Ms between CQ deletes.
        delete_consume_queue_files_interval: i32 = 100; "deleteConsumeQueueFilesInterval" restart(),
        /// Ms to wait for readers.
        destroy_maped_file_interval_forcibly: i32 = 120_000; "destroyMapedFileIntervalForcibly" restart(),
        /// Ms retry of stuck deletes.
        redelete_hanged_file_interval: i32 = 120_000; "redeleteHangedFileInterval" restart(),
        /// Hours of day, ";" separated.
        delete_when: String = "04".into(); "deleteWhen" live() important(),
        /// Percent, start deleting.
        disk_max_used_space_ratio: i32 = 75; "diskMaxUsedSpaceRatio" live(),
        /// Hours to keep.
        file_reserved_time: i32 = 72; "fileReservedTime" live() important(),
        /// Files per round.
        delete_file_batch_max: i32 = 10; "deleteFileBatchMax" live() important(),
        /// Unused queue mark.
        put_msg_index_hight_water: i32 = 600_000; "putMsgIndexHightWater" restart(),
        /// Max body bytes.
        max_message_size: i32 = 4_194_304; "maxMessageSize" live(),
        /// CQ bytes scanned per pull.
        max_filter_message_size: i32 = 16000; "maxFilterMessageSize" live(),
        /// CRC check at recovery.
        check_crc_on_recover: bool = true; "checkCRCOnRecover" restart(),
        /// Offset check at recovery `[new in 5.4/5.5]`.
        check_commit_log_offset_on_recover: bool = false; "checkCommitLogOffsetOnRecover" restart(),
        /// Min dirty 4K pages.
        flush_commit_log_least_pages: i32 = 4; "flushCommitLogLeastPages" live(),
        /// Min pages to commit.
        commit_commit_log_least_pages: i32 = 4; "commitCommitLogLeastPages" restart(),
        /// Pages per warm flush.
        flush_least_pages_when_warm_maped_file: i32 = 4096; "flushLeastPagesWhenWarmMapedFile" restart(),
        /// Min pages.
        flush_consume_queue_least_pages: i32 = 2; "flushConsumeQueueLeastPages" live(),
        /// Ms full flush.
        flush_commit_log_thorough_interval: i32 = 10000; "flushCommitLogThoroughInterval" live(),
        /// Ms full commit.
        commit_commit_log_thorough_interval: i32 = 200; "commitCommitLogThoroughInterval" restart(),
        /// Ms full CQ flush.
        flush_consume_queue_thorough_interval: i32 = 60000; "flushConsumeQueueThoroughInterval" live(),
        /// Pull bytes, hot.
        max_transfer_bytes_on_message_in_memory: i32 = 262_144; "maxTransferBytesOnMessageInMemory" live() important(),
        /// Pull count, hot.
        max_transfer_count_on_message_in_memory: i32 = 32; "maxTransferCountOnMessageInMemory" live() important(),
        /// Pull bytes, cold.
        max_transfer_bytes_on_message_in_disk: i32 = 65536; "maxTransferBytesOnMessageInDisk" live() important(),
        /// Pull count, cold.
        max_transfer_count_on_message_in_disk: i32 = 8; "maxTransferCountOnMessageInDisk" live() important(),
        /// Percent of RAM regarded hot.
        access_message_in_memory_max_ratio: i32 = 40; "accessMessageInMemoryMaxRatio" live() important(),
        /// Build index.
        message_index_enable: bool = true; "messageIndexEnable" restart() important(),
        /// Index slots.
        max_hash_slot_num: i32 = 5_000_000; "maxHashSlotNum" restart(),
        /// Index items.
        max_index_num: i32 = 20_000_000; "maxIndexNum" restart(),
        /// Max query results.
        max_msgs_num_batch: i32 = 64; "maxMsgsNumBatch" live(),
        /// Index timestamp counts in recovery.
        message_index_safe: bool = false; "messageIndexSafe" restart() important(),
        /// HA port; only `<=0 derives listenPort+1.
        ha_listen_port: i32 = 0; "haListenPort" restart(),
        /// Ms HA heartbeat.
        ha_send_heartbeat_interval: i32 = 5000; "haSendHeartbeatInterval" restart(),
        /// Ms HA dead link.
        ha_housekeeping_interval: i32 = 20000; "haHousekeepingInterval" restart(),
        /// Bytes per HA block.
        ha_transfer_batch_size: i32 = 32768; "haTransferBatchSize" restart(),
        /// Fixed master HA address.
        ha_master_address: Option<String> = None; "haMasterAddress" restart() important(),
        /// Bytes, slave in-sync limit.
        ha_max_gap_not_in_sync: i32 = 268_435_456; "haMaxGapNotInSync" restart(),
        /// ASYNC_MASTER / SYNC_MASTER / SLAVE.
        broker_role: BrokerRole = BrokerRole::AsyncMaster; "brokerRole" restart() important(),
        /// SYNC_FLUSH / ASYNC_FLUSH.
        flush_disk_type: FlushDiskType = FlushDiskType::Async; "flushDiskType" live() important(),
        /// Ms.
        sync_flush_timeout: i32 = 5000; "syncFlushTimeout" live(),
        /// Ms.
        put_message_timeout: i32 = 8000; "putMessageTimeout" restart(),
        /// Ms wait for replicas.
        slave_timeout: i32 = 3000; "slaveTimeout" restart(),
        /// Delay level table.
        message_delay_level: String = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h".into(); "messageDelayLevel" restart(),
        /// Ms.
        flush_delay_offset_interval: i64 = 10000; "flushDelayOffsetInterval" live(),
        /// Ignore age when disk is critical.
        clean_file_forcibly_enable: bool = true; "cleanFileForciblyEnable" live() important(),
        /// Pre-touch new files.
        warm_maped_file_enable: bool = false; "warmMapedFileEnable" restart(),
        /// Correct offsets on slave too.
        offset_check_in_slave: bool = false; "offsetCheckInSlave" live(),
        /// Log lock stacks.
        debug_lock_enable: bool = false; "debugLockEnable" restart(),
        /// Replication copy mode.
        duplication_enable: bool = false; "duplicationEnable" restart(),
        /// Record consumer lag bytes.
        disk_fall_recorded: bool = true; "diskFallRecorded" restart(),
        /// Append lock time => busy.
        os_page_cache_busy_time_out_mills: i64 = 1000; "osPageCacheBusyTimeOutMills" live(),
        /// Max query count.
        default_query_max_num: i32 = 32; "defaultQueryMaxNum" live(),
        /// Off-heap write buffer (async master only).
        transient_store_pool_enable: bool = false; "transientStorePoolEnable" restart() important(),
        /// Buffers.
        transient_store_pool_size: i32 = 5; "transientStorePoolSize" restart(),
        /// Busy when pool is empty.
        fast_fail_if_no_buffer_in_store_pool: bool = false; "fastFailIfNoBufferInStorePool" restart(),
        /// Write by file channel only.
        write_without_mmap: bool = false; "writeWithoutMmap" restart() important(),
        /// DLedger commitlog.
        enable_d_leger_commit_log: bool = false; "enableDLegerCommitLog" restart(),
        /// DLedger group.
        d_leger_group: Option<String> = None; "dLegerGroup" restart(),
        /// DLedger peers n0-host:port;...
        d_leger_peers: Option<String> = None; "dLegerPeers" restart(),
        /// Own id.
        d_leger_self_id: Option<String> = None; "dLegerSelfId" restart(),
        /// Preferred leader.
        preferred_leader_id: Option<String> = None; "preferredLeaderId" restart(),
        /// DLedger batch push.
        enable_batch_push: bool = false; "enableBatchPush" restart(),
        /// Stats for delay topic.
        enable_schedule_message_stats: bool = true; "enableScheduleMessageStats" restart(),
        /// Light message queues.
        enable_lmq: bool = false; "enableLmq" restart(),
        /// Multi dispatch.
        enable_multi_dispatch: bool = false; "enableMultiDispatch" restart(),
        /// LMQ quota.
        max_lmq_consume_queue_num: i32 = 20000; "maxLmqConsumeQueueNum" restart(),
        /// Enforce quota (code 2017) `[new in 5.4/5.5]`.
        enable_lmq_quota: bool = false; "enableLmqQuota" restart(),
        /// Async delay delivery.
        enable_schedule_async_deliver: bool = false; "enableScheduleAsyncDeliver" live(),
        /// Pending limit.
        schedule_async_deliver_max_pending_limit: i32 = 2000; "scheduleAsyncDeliverMaxPendingLimit" restart(),
        /// Resend before block.
        schedule_async_deliver_max_resend_num2_blocked: i32 = 3; "scheduleAsyncDeliverMaxResendNum2Blocked" restart(),
        /// Max files per manual delete.
        max_batch_delete_files_num: i32 = 50; "maxBatchDeleteFilesNum" restart(),
        /// Multi CQ dispatch threads.
        dispatch_cq_threads: i32 = 10; "dispatchCqThreads" restart(),
        /// Multi CQ cache.
        dispatch_cq_cache_num: i32 = 4096; "dispatchCqCacheNum" restart(),
        /// Separate reput thread.
        enable_async_reput: bool = true; "enableAsyncReput" restart(),
        /// Start reput from CQ max.
        recheck_reput_offset_from_cq: bool = false; "recheckReputOffsetFromCq" restart(),
        /// Deprecated.
        max_topic_length: i32 = 127; "maxTopicLength" restart(),
        /// V2 record for long topics.
        auto_message_version_on_topic_len: bool = true; "autoMessageVersionOnTopicLen" restart(),
        /// Check flags when flushing.
        enable_running_flags_in_flush: bool = false; "enableRunningFlagsInFlush" restart() important(),
        /// Append __CRC32# property.
        enabled_append_prop_crc: bool = false; "enabledAppendPropCRC" restart(),
        /// Verify it.
        force_verify_prop_crc: bool = false; "forceVerifyPropCRC" restart(),
        /// CQ files scanned per pull.
        travel_cq_file_num_when_get_message: i32 = 1; "travelCqFileNumWhenGetMessage" live(),
        /// Ms.
        correct_logic_min_offset_sleep_interval: i32 = 1; "correctLogicMinOffsetSleepInterval" restart(),
        /// Ms.
        correct_logic_min_offset_force_interval: i32 = 300_000; "correctLogicMinOffsetForceInterval" restart(),
        /// Unmap cold files.
        mapped_file_swap_enable: bool = true; "mappedFileSwapEnable" restart(),
        /// Ms.
        commit_log_force_swap_map_interval: i64 = 43_200_000; "commitLogForceSwapMapInterval" restart(),
        /// Ms.
        commit_log_swap_map_interval: i64 = 3_600_000; "commitLogSwapMapInterval" restart(),
        /// Files.
        commit_log_swap_map_reserve_file_num: i32 = 100; "commitLogSwapMapReserveFileNum" restart(),
        /// Ms.
        logic_queue_force_swap_map_interval: i64 = 43_200_000; "logicQueueForceSwapMapInterval" restart(),
        /// Ms.
        logic_queue_swap_map_interval: i64 = 3_600_000; "logicQueueSwapMapInterval" restart(),
        /// Ms.
        clean_swaped_map_interval: i64 = 300_000; "cleanSwapedMapInterval" restart(),
        /// Files.
        logic_queue_swap_map_reserve_file_num: i32 = 20; "logicQueueSwapMapReserveFileNum" restart(),
        /// Batch CQ cache.
        search_bcq_by_cache_enable: bool = true; "searchBcqByCacheEnable" restart(),
        /// Dispatch in send thread.
        dispatch_from_sender_thread: bool = false; "dispatchFromSenderThread" restart() important(),
        /// Wake committer on put.
        wake_commit_when_put_message: bool = true; "wakeCommitWhenPutMessage" restart() important(),
        /// Wake flusher on put.
        wake_flush_when_put_message: bool = false; "wakeFlushWhenPutMessage" restart() important(),
        /// Remove offsets of gone topics.
        enable_clean_expired_offset: bool = false; "enableCleanExpiredOffset" restart() important(),
        /// Pending async puts.
        max_async_put_message_requests: i32 = 5000; "maxAsyncPutMessageRequests" restart(),
        /// DLedger/proxy batch cap.
        pull_batch_max_message_count: i32 = 160; "pullBatchMaxMessageCount" live(),
        /// Replicas in group.
        total_replicas: i32 = 1; "totalReplicas" restart() important(),
        /// Acks needed incl. master.
        in_sync_replicas: i32 = 1; "inSyncReplicas" restart() important(),
        /// Lower bound in auto mode.
        min_in_sync_replicas: i32 = 1; "minInSyncReplicas" restart() important(),
        /// Wait for whole sync state set.
        all_ack_in_sync_state_set: bool = false; "allAckInSyncStateSet" restart() important(),
        /// Shrink to alive replicas.
        enable_auto_in_sync_replicas: bool = false; "enableAutoInSyncReplicas" restart() important(),
        /// Limit HA bandwidth.
        ha_flow_control_enable: bool = false; "haFlowControlEnable" restart() important(),
        /// Bytes/s.
        max_ha_transfer_byte_in_second: i64 = 104_857_600; "maxHaTransferByteInSecond" restart(),
        /// Ms before leaving sync state set.
        ha_max_time_slave_not_catchup: i64 = 15000; "haMaxTimeSlaveNotCatchup" restart(),
        /// Slave truncates to master flush offset.
        sync_master_flush_offset_when_startup: bool = false; "syncMasterFlushOffsetWhenStartup" restart(),
        /// Bytes compared at start.
        max_checksum_range: i64 = 1_073_741_824; "maxChecksumRange" restart(),
        /// Stores per disk.
        replicas_per_disk_partition: i32 = 1; "replicasPerDiskPartition" restart(),
        /// Ratio for shared disks.
        logical_disk_space_clean_forcibly_threshold: f64 = 0.8; "logicalDiskSpaceCleanForciblyThreshold" restart(),
        /// Bytes.
        max_slave_resend_length: i64 = 268_435_456; "maxSlaveResendLength" restart(),
        /// Empty slave starts at last file.
        sync_from_last_file: bool = false; "syncFromLastFile" restart(),
        /// Never joins sync state set.
        async_learner: bool = false; "asyncLearner" restart(),
        /// Lag scan cap.
        max_consume_queue_scan: i32 = 20000; "maxConsumeQueueScan" restart(),
        /// Lag sampling.
        sample_count_threshold: i32 = 5000; "sampleCountThreshold" restart(),
        /// Cold read control.
        cold_data_flow_control_enable: bool = false; "coldDataFlowControlEnable" restart(),
        /// Scan page cache.
        cold_data_scan_enable: bool = false; "coldDataScanEnable" restart(),
        /// Madvise normal.
        data_read_ahead_enable: bool = true; "dataReadAheadEnable" restart(),
        /// Ms.
        timer_cold_data_check_interval_ms: i32 = 60000; "timerColdDataCheckIntervalMs" restart(),
        /// Page sampling.
        sample_steps: i32 = 32; "sampleSteps" restart(),
        /// Percent hot area.
        access_message_in_memory_hot_ratio: i32 = 26; "accessMessageInMemoryHotRatio" restart(),
        /// Parallel dispatch.
        enable_build_consume_queue_concurrently: bool = false; "enableBuildConsumeQueueConcurrently" restart(),
        /// Threads.
        batch_dispatch_request_thread_pool_nums: i32 = 16; "batchDispatchRequestThreadPoolNums" restart(),
        /// Minutes.
        clean_rocks_db_dirty_cq_interval_min: i64 = 60; "cleanRocksDBDirtyCQIntervalMin" restart(),
        /// Seconds.
        stat_rocks_dbcq_interval_sec: i64 = 10; "statRocksDBCQIntervalSec" restart(),
        /// Ms.
        mem_table_flush_interval_ms: i64 = 3_600_000; "memTableFlushIntervalMs" restart(),
        /// Write through metadata.
        real_time_persist_rocks_db_config: bool = true; "realTimePersistRocksDBConfig" restart(),
        /// RocksDB logging.
        enable_rocks_db_log: bool = false; "enableRocksDBLog" restart(),
        /// Lock stripes.
        topic_queue_lock_num: i32 = 32; "topicQueueLockNum" restart(),
        /// Dispatch beyond confirm offset.
        read_un_committed: bool = false; "readUnCommitted" restart(),
        /// CQ writes by file channel.
        put_consume_queue_data_by_file_channel: bool = true; "putConsumeQueueDataByFileChannel" restart(),
        /// Write both CQ kinds.
        rocksdb_cq_double_write_enable: bool = false; "rocksdbCQDoubleWriteEnable" restart(),
        /// Combined CQ store members.
        combine_cq_loading_cq_types: String = "default;defaultRocksDB".into(); "combineCQLoadingCQTypes" restart(),
        /// Read side.
        combine_cq_prefer_cq_type: String = "default".into(); "combineCQPreferCQType" restart(),
        /// Offset side.
        combine_assign_offset_cq_type: String = "default".into(); "combineAssignOffsetCQType" restart(),
        /// Self check.
        combine_cq_enable_check_self: bool = false; "combineCQEnableCheckSelf" restart(),
        /// Files.
        combine_cq_max_extra_search_commit_log_files: i32 = 3; "combineCQMaxExtraSearchCommitLogFiles" restart(),
        /// LMQ in RocksDB `[new in 5.4/5.5]`.
        combine_cq_use_rocksdb_for_lmq: bool = false; "combineCQUseRocksdbForLmq" restart(),
        /// RocksDB.
        bottom_most_compression_type_for_consume_queue_store: String = "zstd".into(); "bottomMostCompressionTypeForConsumeQueueStore" restart(),
        /// RocksDB.
        rocksdb_compression_type: String = "lz4".into(); "rocksdbCompressionType" restart(),
        /// RocksDB.
        rocksdb_flush_wal_frequency: i32 = 1024; "rocksdbFlushWalFrequency" restart(),
        /// RocksDB.
        rocksdb_wal_file_rolling_threshold: i64 = 1_073_741_824; "rocksdbWalFileRollingThreshold" restart(),
        /// Recover from checkpoint offset.
        enable_accelerated_recovery: bool = false; "enableAcceleratedRecovery" restart(),
        /// Shared write buffers `[new in 5.4/5.5]`.
        shared_byte_buffer_num: i32 = 16; "sharedByteBufferNum" restart(),
        /// Own CQ dir `[new in 5.4/5.5]`.
        use_separate_store_path_for_rocksdb_cq: bool = false; "useSeparateStorePathForRocksdbCQ" restart(),
        /// Adaptive lock.
        spin_lock_collision_retreat_optimal_degree: i32 = 1000; "spinLockCollisionRetreatOptimalDegree" restart(),
        /// Adaptive back-off append lock.
        use_abs_lock: bool = false; "useABSLock" restart(),
        /// Log level of rebuild.
        enable_log_consume_queue_repeatedly_build_when_recover: bool = false; "enableLogConsumeQueueRepeatedlyBuildWhenRecover" restart(),
        /// Topic in recall key `[new in 5.4/5.5]`.
        append_topic_for_timer_delete_key: bool = false; "appendTopicForTimerDeleteKey" live(),
    }
}
