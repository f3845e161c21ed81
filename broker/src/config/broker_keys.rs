//! Keys of Java's BrokerConfig. A key's text says what it does in RocketMQ; which keys this broker refuses or does not
//! act on is in [`super::check`].

use super::{MessageRequestMode, env, host_name, processors};
use crate::network;

hypergol_config::config_table! {
    /// Java: BrokerConfig and BrokerIdentity.
    pub struct BrokerKeys {
        /// Broker set name; default hostname.
        broker_name: String = host_name(); "brokerName" restart() important(),
        /// Cluster name.
        broker_cluster_name: String = "DefaultCluster".into(); "brokerClusterName" restart() important(),
        /// Forced 0 for masters; slaves need >0.
        broker_id: i64 = 0; "brokerId" restart() important(),
        /// Internal `[no setter]`.
        is_broker_container: bool = false; "isBrokerContainer" restart(),
        /// Internal.
        is_in_broker_container: bool = false; "isInBrokerContainer" restart(),
        /// Path of the loaded config file (not settable at runtime).
        broker_config_path: Option<String> = None; "brokerConfigPath" fixed(),
        /// Install dir (env ROCKETMQ_HOME / -Drocketmq.home.dir).
        rocketmq_home: Option<String> = hypergol_config::process::rocketmq_home(); "rocketmqHome" restart(),
        /// Name servers, ";" separated (env NAMESRV_ADDR).
        namesrv_addr: Option<String> = env("NAMESRV_ADDR"); "namesrvAddr" live() important(),
        /// Address registered and put in message ids; default first local IP.
        broker_ip1: String = network::local_address(); "brokerIP1" restart() important(),
        /// Address of the HA service; default first local IP.
        broker_ip2: String = network::local_address(); "brokerIP2" restart(),
        /// Recover consume queues in parallel.
        recover_concurrently: bool = false; "recoverConcurrently" restart() important(),
        /// Broker-wide perm bits 2 write / 4 read.
        broker_permission: i32 = 6; "brokerPermission" live(),
        /// Queue count of TBW102, upper bound for auto-created topics.
        default_topic_queue_nums: i32 = 8; "defaultTopicQueueNums" live(),
        /// Keep TBW102 and auto-create topics on send.
        auto_create_topic_enable: bool = true; "autoCreateTopicEnable" live() important(),
        /// Cluster-named topic readable/writable.
        cluster_topic_enable: bool = true; "clusterTopicEnable" restart(),
        /// Broker-named topic readable/writable.
        broker_topic_enable: bool = true; "brokerTopicEnable" restart(),
        /// Auto-create consumer groups.
        auto_create_subscription_group: bool = true; "autoCreateSubscriptionGroup" live() important(),
        /// Store plug-in class names, "," separated.
        message_store_plug_in: String = String::new(); "messageStorePlugIn" restart(),
        /// Trace topic name.
        msg_trace_topic_name: String = "RMQ_SYS_TRACE_TOPIC".into(); "msgTraceTopicName" restart() important(),
        /// Create the trace topic on this broker.
        trace_topic_enable: bool = false; "traceTopicEnable" restart() important(),
        /// Send pool size (min(cores,4)).
        send_message_thread_pool_nums: i32 = processors().min(4); "sendMessageThreadPoolNums" live(),
        /// Put callback pool (min(cores,4)).
        put_message_future_thread_pool_nums: i32 = processors().min(4); "putMessageFutureThreadPoolNums" live(),
        /// Pull pool (16+2*cores).
        pull_message_thread_pool_nums: i32 = 16 + processors() * 2; "pullMessageThreadPoolNums" live(),
        /// Lite pull pool (16+2*cores).
        lite_pull_message_thread_pool_nums: i32 = 16 + processors() * 2; "litePullMessageThreadPoolNums" live(),
        /// Ack pool.
        ack_message_thread_pool_nums: i32 = 16; "ackMessageThreadPoolNums" live(),
        /// Reply pool (16+2*cores).
        process_reply_message_thread_pool_nums: i32 = 16 + processors() * 2; "processReplyMessageThreadPoolNums" live(),
        /// Query pool (8+cores).
        query_message_thread_pool_nums: i32 = 8 + processors(); "queryMessageThreadPoolNums" live(),
        /// Admin pool.
        admin_broker_thread_pool_nums: i32 = 16; "adminBrokerThreadPoolNums" live(),
        /// Client manage pool.
        client_manage_thread_pool_nums: i32 = 32; "clientManageThreadPoolNums" live(),
        /// Consumer offset/list pool.
        consumer_manage_thread_pool_nums: i32 = 32; "consumerManageThreadPoolNums" live(),
        /// Query assignment pool.
        load_balance_processor_thread_pool_nums: i32 = 32; "loadBalanceProcessorThreadPoolNums" live(),
        /// Heartbeat pool (min(32,cores)).
        heartbeat_thread_pool_nums: i32 = processors().min(32); "heartbeatThreadPoolNums" live(),
        /// CQ recovery pool.
        recover_thread_pool_nums: i32 = 32; "recoverThreadPoolNums" live(),
        /// End transaction pool.
        end_transaction_thread_pool_nums: i32 = (8 + processors() * 2).max(processors().min(4) * 4); "endTransactionThreadPoolNums" live(),
        /// Ms between consumer offset persists.
        flush_consumer_offset_interval: i32 = 5000; "flushConsumerOffsetInterval" restart(),
        /// Ms, history offset flush (unused by default store).
        flush_consumer_offset_history_interval: i32 = 60000; "flushConsumerOffsetHistoryInterval" live(),
        /// Refuse transactional sends with 16.
        reject_transaction_message: bool = false; "rejectTransactionMessage" live() important(),
        /// Resolve namesrvAddr as DNS name periodically.
        fetch_name_srv_addr_by_dns_lookup: bool = false; "fetchNameSrvAddrByDnsLookup" restart() important(),
        /// Get name servers from HTTP address server.
        fetch_namesrv_addr_by_address_server: bool = false; "fetchNamesrvAddrByAddressServer" restart() important(),
        /// Send queue bound, full => SYSTEM_BUSY.
        send_thread_pool_queue_capacity: i32 = 10000; "sendThreadPoolQueueCapacity" live(),
        /// Put callback queue bound.
        put_thread_pool_queue_capacity: i32 = 10000; "putThreadPoolQueueCapacity" live(),
        /// Pull queue bound.
        pull_thread_pool_queue_capacity: i32 = 100_000; "pullThreadPoolQueueCapacity" live(),
        /// Lite pull queue bound.
        lite_pull_thread_pool_queue_capacity: i32 = 100_000; "litePullThreadPoolQueueCapacity" live(),
        /// Ack queue bound.
        ack_thread_pool_queue_capacity: i32 = 100_000; "ackThreadPoolQueueCapacity" live(),
        /// Reply queue bound.
        reply_thread_pool_queue_capacity: i32 = 10000; "replyThreadPoolQueueCapacity" live(),
        /// Query queue bound.
        query_thread_pool_queue_capacity: i32 = 20000; "queryThreadPoolQueueCapacity" live(),
        /// Client manage queue bound.
        client_manager_thread_pool_queue_capacity: i32 = 1_000_000; "clientManagerThreadPoolQueueCapacity" live(),
        /// Consumer manage queue bound.
        consumer_manager_thread_pool_queue_capacity: i32 = 1_000_000; "consumerManagerThreadPoolQueueCapacity" live(),
        /// Heartbeat queue bound.
        heartbeat_thread_pool_queue_capacity: i32 = 50000; "heartbeatThreadPoolQueueCapacity" live(),
        /// End transaction queue bound.
        end_transaction_pool_queue_capacity: i32 = 100_000; "endTransactionPoolQueueCapacity" live(),
        /// Admin queue bound.
        admin_broker_thread_pool_queue_capacity: i32 = 10000; "adminBrokerThreadPoolQueueCapacity" live(),
        /// Assignment queue bound.
        load_balance_thread_pool_queue_capacity: i32 = 100_000; "loadBalanceThreadPoolQueueCapacity" live(),
        /// Hold empty pulls.
        long_polling_enable: bool = true; "longPollingEnable" live(),
        /// Poll period when long polling is off.
        short_polling_time_mills: i64 = 1000; "shortPollingTimeMills" live(),
        /// Push code 40 on membership change.
        notify_consumer_ids_changed_enable: bool = true; "notifyConsumerIdsChangedEnable" live(),
        /// Busy wait flag, unused.
        high_speed_mode: bool = false; "highSpeedMode" live(),
        /// Commercial stats.
        commercial_base_count: i32 = 1; "commercialBaseCount" live(),
        /// Commercial stats.
        commercial_size_per_msg: i32 = 4096; "commercialSizePerMsg" live(),
        /// Account statistics logging.
        account_stats_enable: bool = true; "accountStatsEnable" live(),
        /// Log zero account stats.
        account_stats_print_zero_values: bool = true; "accountStatsPrintZeroValues" live(),
        /// Drop idle stats items, -1 never.
        max_stats_idle_time_in_minutes: i32 = -1; "maxStatsIdleTimeInMinutes" live(),
        /// Copy messages to heap for pull answers (false = zero copy).
        transfer_msg_by_heap: bool = true; "transferMsgByHeap" live(),
        /// Value of MSG_REGION.
        region_id: String = "DefaultRegion".into(); "regionId" live(),
        /// Register timeout.
        register_broker_timeout_mills: i32 = 24000; "registerBrokerTimeoutMills" live(),
        /// Broker heartbeat rpc timeout.
        send_heartbeat_timeout_millis: i32 = 1000; "sendHeartbeatTimeoutMillis" live(),
        /// Suggest slave when consumer lags.
        slave_read_enable: bool = false; "slaveReadEnable" live(),
        /// Disable a group that lags too much.
        disable_consume_if_consumer_read_slowly: bool = false; "disableConsumeIfConsumerReadSlowly" live(),
        /// Bytes of lag for the above (16 GiB).
        consumer_fallbehind_threshold: i64 = 17_179_869_184; "consumerFallbehindThreshold" live(),
        /// Drop requests waiting too long, page-cache busy check.
        broker_fast_failure_enable: bool = true; "brokerFastFailureEnable" live(),
        /// Max queue wait ms, then SYSTEM_BUSY.
        wait_time_mills_in_send_queue: i64 = 200; "waitTimeMillsInSendQueue" live(),
        /// Same for pull.
        wait_time_mills_in_pull_queue: i64 = 5000; "waitTimeMillsInPullQueue" live(),
        /// Same for lite pull.
        wait_time_mills_in_lite_pull_queue: i64 = 5000; "waitTimeMillsInLitePullQueue" live(),
        /// Same for heartbeat.
        wait_time_mills_in_heartbeat_queue: i64 = 31000; "waitTimeMillsInHeartbeatQueue" live(),
        /// Same for end transaction.
        wait_time_mills_in_transaction_queue: i64 = 3000; "waitTimeMillsInTransactionQueue" live(),
        /// Same for ack.
        wait_time_mills_in_ack_queue: i64 = 3000; "waitTimeMillsInAckQueue" live(),
        /// Same for admin.
        wait_time_mills_in_admin_broker_queue: i64 = 5000; "waitTimeMillsInAdminBrokerQueue" live(),
        /// Refuse sends before this epoch ms.
        start_accept_send_request_time_stamp: i64 = 0; "startAcceptSendRequestTimeStamp" live(),
        /// Value of TRACE_ON returned to clients.
        trace_on: bool = true; "traceOn" live(),
        /// Compute bloom bitmap at dispatch for SQL filters.
        enable_calc_filter_bit_map: bool = false; "enableCalcFilterBitMap" live(),
        /// Refuse unregistered pull consumers.
        reject_pull_consumer_enable: bool = false; "rejectPullConsumerEnable" live(),
        /// Bloom filter sizing.
        expect_consumer_num_use_filter: i32 = 32; "expectConsumerNumUseFilter" live(),
        /// Bloom filter false positive percent.
        max_error_rate_of_bloom_filter: i32 = 20; "maxErrorRateOfBloomFilter" live(),
        /// Ms to keep dead filter data.
        filter_data_clean_time_span: i64 = 86_400_000; "filterDataCleanTimeSpan" live(),
        /// Apply filter to retry topic by origin topic.
        filter_support_retry: bool = false; "filterSupportRetry" live(),
        /// Allow SQL92 filters.
        enable_property_filter: bool = false; "enablePropertyFilter" live(),
        /// Zlib register body.
        compressed_register: bool = false; "compressedRegister" live(),
        /// Register without data version check.
        force_register: bool = true; "forceRegister" live(),
        /// Ms, clamped 10..60 s.
        register_name_server_period: i32 = 30000; "registerNameServerPeriod" restart(),
        /// Ms between address refreshes.
        update_name_server_addr_period: i32 = 120_000; "updateNameServerAddrPeriod" restart(),
        /// Ms, slave-acting-master/controller heartbeats to name server.
        broker_heartbeat_interval: i32 = 1000; "brokerHeartbeatInterval" restart(),
        /// Heartbeat timeout announced.
        broker_not_active_timeout_millis: i64 = 10000; "brokerNotActiveTimeoutMillis" live(),
        /// Network flow control.
        enable_net_work_flow_control: bool = false; "enableNetWorkFlowControl" live(),
        /// Store broadcast progress for proxy clients.
        enable_broadcast_offset_store: bool = true; "enableBroadcastOffsetStore" live(),
        /// Expiry of that progress.
        broadcast_offset_expire_second: i64 = 120; "broadcastOffsetExpireSecond" live(),
        /// Max expiry.
        broadcast_offset_expire_max_second: i64 = 300; "broadcastOffsetExpireMaxSecond" live(),
        /// Waiting pops per topic-group-queue.
        pop_polling_size: i32 = 1024; "popPollingSize" live(),
        /// Max polling keys.
        pop_polling_map_size: i32 = 100_000; "popPollingMapSize" live(),
        /// Idle expiry of polling keys.
        pop_polling_map_expire_time_seconds: i32 = 600; "popPollingMapExpireTimeSeconds" live(),
        /// Total waiting pops, above => POLLING_FULL.
        max_pop_polling_size: i64 = 100_000; "maxPopPollingSize" live(),
        /// Revive topic queue count.
        revive_queue_num: i32 = 8; "reviveQueueNum" restart(),
        /// Ms between revive rounds.
        revive_interval: i64 = 1000; "reviveInterval" live(),
        /// Rounds a revive queue may be behind.
        revive_max_slow: i64 = 3; "reviveMaxSlow" live(),
        /// Ms per revive scan.
        revive_scan_time: i64 = 10000; "reviveScanTime" live(),
        /// Mock CK for lonely acks.
        enable_skip_long_awaiting_ack: bool = false; "enableSkipLongAwaitingAck" live(),
        /// Wait before mocking.
        revive_ack_wait_ms: i64 = 180_000; "reviveAckWaitMs" live(),
        /// Verbose pop log.
        enable_pop_log: bool = false; "enablePopLog" live(),
        /// Keep CK/ACK in memory first.
        enable_pop_buffer_merge: bool = false; "enablePopBufferMerge" live(),
        /// Ms CK may stay in buffer.
        pop_ck_stay_buffer_time: i32 = 10000; "popCkStayBufferTime" live(),
        /// Ms before expiry to write out.
        pop_ck_stay_buffer_time_out: i32 = 3000; "popCkStayBufferTimeOut" live(),
        /// Max buffered CKs.
        pop_ck_max_buffer_size: i32 = 200_000; "popCkMaxBufferSize" live(),
        /// Max pending offset commits per queue.
        pop_ck_offset_max_queue_size: i32 = 20000; "popCkOffsetMaxQueueSize" live(),
        /// Write batch ack records.
        enable_pop_batch_ack: bool = false; "enablePopBatchAck" live(),
        /// Ms forced wake of pops.
        pop_long_polling_force_notify_interval: i64 = 800; "popLongPollingForceNotifyInterval" live(),
        /// Notify before lag computing.
        enable_notify_before_pop_calculate_lag: bool = true; "enableNotifyBeforePopCalculateLag" live(),
        /// Wake next orderly pop on unlock.
        enable_notify_after_pop_order_lock_release: bool = true; "enableNotifyAfterPopOrderLockRelease" live(),
        /// Start from 0 if the first message is in memory.
        init_pop_offset_by_check_msg_in_mem: bool = true; "initPopOffsetByCheckMsgInMem" live(),
        /// Read v1 retry topics too when v2 is on.
        retrieve_message_from_pop_retry_topic_v1: bool = true; "retrieveMessageFromPopRetryTopicV1" live(),
        /// Retry topic with "+" separator.
        enable_retry_topic_v2: bool = false; "enableRetryTopicV2" live(),
        /// Percent of pops that read retry first.
        pop_from_retry_probability: i32 = 20; "popFromRetryProbability" live(),
        /// Same for priority topics `[new in 5.4/5.5]`.
        pop_from_retry_probability_for_priority: i32 = 0; "popFromRetryProbabilityForPriority" live(),
        /// Priority queue order `[new in 5.4/5.5]`.
        priority_order_asc: bool = true; "priorityOrderAsc" live(),
        /// Start file-based revive services.
        pop_consumer_fs_service_init: bool = true; "popConsumerFSServiceInit" live(),
        /// Verbose KV pop log.
        pop_consumer_kv_service_log: bool = false; "popConsumerKVServiceLog" live(),
        /// Open RocksDB pop store.
        pop_consumer_kv_service_init: bool = false; "popConsumerKVServiceInit" live(),
        /// Use RocksDB pop store.
        pop_consumer_kv_service_enable: bool = false; "popConsumerKVServiceEnable" live(),
        /// KV revive read bytes.
        pop_revive_max_return_size_per_read: i32 = 16384; "popReviveMaxReturnSizePerRead" live(),
        /// KV revive threads `[new in 5.4/5.5]`.
        pop_revive_concurrency: i32 = 32; "popReviveConcurrency" live(),
        /// KV revive max retries.
        pop_revive_max_attempt_times: i32 = 16; "popReviveMaxAttemptTimes" live(),
        /// Drop revive when group is gone `[new in 5.4/5.5]`.
        pop_revive_skip_if_group_absent: bool = true; "popReviveSkipIfGroupAbsent" live(),
        /// Retry queue count follows topic `[new in 5.4/5.5]`.
        use_separate_retry_queue: bool = false; "useSeparateRetryQueue" live(),
        /// Notify on every change.
        real_time_notify_consumer_change: bool = true; "realTimeNotifyConsumerChange" live(),
        /// Filter before notifying pops `[new in 5.4/5.5]`.
        use_message_filter_for_notification: bool = true; "useMessageFilterForNotification" live(),
        /// Filter cap for that `[new in 5.4/5.5]`.
        max_message_filter_num_for_notification: i32 = 64; "maxMessageFilterNumForNotification" live(),
        /// Allow code 361.
        lite_pull_message_enable: bool = true; "litePullMessageEnable" live(),
        /// Ms member group sync.
        sync_broker_member_group_period: i32 = 1000; "syncBrokerMemberGroupPeriod" live(),
        /// Ms, topic route refresh for assignment.
        load_balance_poll_name_server_interval: i64 = 30000; "loadBalancePollNameServerInterval" live(),
        /// Ms.
        clean_offline_broker_interval: i32 = 30000; "cleanOfflineBrokerInterval" live(),
        /// Broker computes assignment.
        server_load_balancer_enable: bool = true; "serverLoadBalancerEnable" live(),
        /// Default PULL/POP.
        default_message_request_mode: MessageRequestMode = MessageRequestMode::Pull; "defaultMessageRequestMode" live(),
        /// Shared queues in pop mode, -1 all.
        default_pop_share_queue_num: i32 = -1; "defaultPopShareQueueNum" live(),
        /// Ms before first check.
        transaction_time_out: i64 = 6000; "transactionTimeOut" live() important(),
        /// Max checks.
        transaction_check_max: i32 = 15; "transactionCheckMax" live() important(),
        /// Ms between check rounds.
        transaction_check_interval: i64 = 30000; "transactionCheckInterval" live() important(),
        /// Ms persist of transactionMetrics.
        transaction_metric_flush_interval: i64 = 10000; "transactionMetricFlushInterval" live(),
        /// RocksDB transaction check pool `[new in 5.4/5.5]`.
        transaction_check_rocksdb_core_threads: i32 = 2; "transactionCheckRocksdbCoreThreads" live(),
        /// Same, max `[new in 5.4/5.5]`.
        transaction_check_rocksdb_max_threads: i32 = 5; "transactionCheckRocksdbMaxThreads" live(),
        /// Same, queue `[new in 5.4/5.5]`.
        transaction_check_rocksdb_queue_capacity: i32 = 2000; "transactionCheckRocksdbQueueCapacity" live(),
        /// Bytes per op record.
        transaction_op_msg_max_size: i32 = 4096; "transactionOpMsgMaxSize" live(),
        /// Ms op batching.
        transaction_op_batch_interval: i32 = 3000; "transactionOpBatchInterval" live(),
        /// ACL 1.0 switch (kept for compatibility; auth 2.0 replaces it).
        acl_enable: bool = false; "aclEnable" restart() important(),
        /// Also store reply messages.
        store_reply_message_enable: bool = true; "storeReplyMessageEnable" live(),
        /// Per-queue statistics.
        enable_detail_stat: bool = true; "enableDetailStat" live(),
        /// Drop stats of deleted topics/groups.
        auto_delete_unused_stats: bool = true; "autoDeleteUnusedStats" live(),
        /// Separate logs per broker in container.
        isolate_log_enable: bool = false; "isolateLogEnable" restart(),
        /// Ms static topic / escape rpc.
        forward_timeout: i64 = 3000; "forwardTimeout" live(),
        /// Slave serves reads/timers when master is gone.
        enable_slave_acting_master: bool = false; "enableSlaveActingMaster" restart(),
        /// Escape writes to other brokers.
        enable_remote_escape: bool = false; "enableRemoteEscape" restart(),
        /// Skip pre-online sync.
        skip_pre_online: bool = false; "skipPreOnline" live(),
        /// Asynchronous put path.
        async_send_enable: bool = true; "asyncSendEnable" live(),
        /// Reset offset handled on broker.
        use_server_side_reset_offset: bool = true; "useServerSideResetOffset" live(),
        /// Commits per dataVersion bump.
        consumer_offset_update_version_step: i64 = 500; "consumerOffsetUpdateVersionStep" live(),
        /// Same for delay offsets.
        delay_offset_update_version_step: i64 = 200; "delayOffsetUpdateVersionStep" live(),
        /// Lock queues on all members of the group.
        lock_in_strict_mode: bool = false; "lockInStrictMode" live(),
        /// Register also without acting-master info.
        compatible_with_old_name_srv: bool = true; "compatibleWithOldNameSrv" live(),
        /// Controller based HA.
        enable_controller_mode: bool = false; "enableControllerMode" restart(),
        /// Controllers ";" separated.
        controller_addr: String = String::new(); "controllerAddr" live(),
        /// Resolve controllerAddr by DNS.
        fetch_controller_addr_by_dns_lookup: bool = false; "fetchControllerAddrByDnsLookup" live(),
        /// Ms.
        sync_broker_metadata_period: i64 = 5000; "syncBrokerMetadataPeriod" live(),
        /// Ms.
        check_sync_state_set_period: i64 = 5000; "checkSyncStateSetPeriod" live(),
        /// Ms.
        sync_controller_metadata_period: i64 = 10000; "syncControllerMetadataPeriod" live(),
        /// Ms.
        controller_heart_beat_timeout_mills: i64 = 10000; "controllerHeartBeatTimeoutMills" live(),
        /// Refuse create/delete of system topics.
        validate_system_topic_when_update_topic: bool = true; "validateSystemTopicWhenUpdateTopic" live(),
        /// Lower wins.
        broker_election_priority: i32 = 2_147_483_647; "brokerElectionPriority" live(),
        /// Use subscriptionDataSet of the group config.
        use_static_subscription: bool = false; "useStaticSubscription" live(),
        /// DISABLE / OTLP_GRPC / PROM / LOG (or 0..3).
        metrics_exporter_type: String = "DISABLE".into(); "metricsExporterType" live(),
        /// Max series per metric.
        metrics_otel_cardinality_limit: i32 = 50000; "metricsOtelCardinalityLimit" live(),
        /// OTLP endpoint.
        metrics_grpc_exporter_target: String = String::new(); "metricsGrpcExporterTarget" live(),
        /// OTLP headers k:v,k:v.
        metrics_grpc_exporter_header: String = String::new(); "metricsGrpcExporterHeader" live(),
        /// OTLP timeout.
        metric_grpc_exporter_time_out_in_mills: i64 = 3000; "metricGrpcExporterTimeOutInMills" live(),
        /// OTLP period.
        metric_grpc_exporter_interval_in_mills: i64 = 60000; "metricGrpcExporterIntervalInMills" live(),
        /// Log exporter period.
        metric_logging_exporter_interval_in_mills: i64 = 10000; "metricLoggingExporterIntervalInMills" live(),
        /// Prometheus port.
        metrics_prom_exporter_port: i32 = 5557; "metricsPromExporterPort" live(),
        /// Prometheus bind host, empty = brokerIP1.
        metrics_prom_exporter_host: String = String::new(); "metricsPromExporterHost" live(),
        /// Extra labels k:v,k:v.
        metrics_label: String = String::new(); "metricsLabel" live(),
        /// Split exports into batches `[new in 5.4/5.5]`.
        metrics_export_batch_max_data_points: i32 = 1000; "metricsExportBatchMaxDataPoints" live(),
        /// Delta temporality.
        metrics_in_delta: bool = false; "metricsInDelta" live(),
        /// Rpc latency metrics.
        enable_remoting_metrics: bool = true; "enableRemotingMetrics" live(),
        /// Store metrics.
        enable_message_store_metrics: bool = true; "enableMessageStoreMetrics" live(),
        /// Pop metrics.
        enable_pop_metrics: bool = true; "enablePopMetrics" live(),
        /// Connection metrics.
        enable_connection_metrics: bool = true; "enableConnectionMetrics" live(),
        /// Transaction metrics.
        enable_transaction_metrics: bool = true; "enableTransactionMetrics" live(),
        /// Topic/group number metrics.
        enable_stats_metrics: bool = true; "enableStatsMetrics" live(),
        /// Message in/out metrics.
        enable_request_metrics: bool = true; "enableRequestMetrics" live(),
        /// Lag and DLQ metrics.
        enable_lag_and_dlq_metrics: bool = true; "enableLagAndDlqMetrics" live(),
        /// Ms without heartbeat before a client is dropped.
        channel_expired_timeout: i64 = 120_000; "channelExpiredTimeout" live(),
        /// Ms before a gone topic subscription is removed.
        subscription_expired_timeout: i64 = 600_000; "subscriptionExpiredTimeout" live(),
        /// Estimate lag for filtered groups.
        estimate_accumulation: bool = true; "estimateAccumulation" live(),
        /// Cold read control.
        cold_ctr_strategy_enable: bool = false; "coldCtrStrategyEnable" live(),
        /// PID strategy.
        use_pid_cold_ctr_strategy: bool = true; "usePIDColdCtrStrategy" live(),
        /// Bytes/s per group.
        cg_cold_read_threshold: i64 = 3_145_728; "cgColdReadThreshold" live(),
        /// Bytes/s total.
        global_cold_read_threshold: i64 = 104_857_600; "globalColdReadThreshold" live(),
        /// Ms.
        fetch_namesrv_addr_interval: i64 = 10000; "fetchNamesrvAddrInterval" live(),
        /// Do not rewrite retry topic in pop answers.
        pop_response_return_actual_retry_topic: bool = false; "popResponseReturnActualRetryTopic" live(),
        /// Register only the changed topic (code 217).
        enable_single_topic_register: bool = false; "enableSingleTopicRegister" live(),
        /// Allow MIXED message.type.
        enable_mixed_message_type: bool = false; "enableMixedMessageType" live(),
        /// Split register into pages.
        enable_split_registration: bool = false; "enableSplitRegistration" live(),
        /// Page codes 21/201.
        enable_split_metadata: bool = true; "enableSplitMetadata" live(),
        /// Page size.
        split_metadata_size: i32 = 2000; "splitMetadataSize" live(),
        /// Max inflight per queue.
        pop_inflight_message_threshold: i64 = 10000; "popInflightMessageThreshold" live(),
        /// Enforce it.
        enable_pop_message_threshold: bool = false; "enablePopMessageThreshold" live(),
        /// Skip unneeded channel work on close.
        enable_fast_channel_event_process: bool = false; "enableFastChannelEventProcess" live(),
        /// Log channel groups.
        print_channel_groups: bool = false; "printChannelGroups" live(),
        /// Threshold for that log.
        print_channel_groups_min_num: i32 = 5; "printChannelGroupsMinNum" live(),
        /// Topics per register page.
        split_registration_size: i32 = 800; "splitRegistrationSize" live(),
        /// Keys not changeable by mqadmin, ";" separated.
        config_black_list: String = "configBlackList;brokerConfigPath".into(); "configBlackList" fixed(),
        /// Drop CK after max re-puts.
        skip_when_ck_re_put_reach_max_times: bool = false; "skipWhenCKRePutReachMaxTimes" live(),
        /// Async ack append.
        append_ack_async: bool = false; "appendAckAsync" live(),
        /// Async CK append.
        append_ck_async: bool = false; "appendCkAsync" live(),
        /// Delete pop retry topics with the topic.
        clear_retry_topic_when_delete_topic: bool = true; "clearRetryTopicWhenDeleteTopic" live(),
        /// Stats for LMQ.
        enable_lmq_stats: bool = false; "enableLmqStats" live(),
        /// V1 JSON or RocksDB v1/v2 managers.
        config_manager_version: String = "v1".into(); "configManagerVersion" restart(),
        /// One RocksDB for all metadata `[new in 5.4/5.5]`.
        use_single_rocks_db_for_all_configs: bool = false; "useSingleRocksDBForAllConfigs" restart(),
        /// Allow recall on read-only broker.
        allow_recall_when_broker_not_writeable: bool = true; "allowRecallWhenBrokerNotWriteable" live(),
        /// Enable code 370.
        recall_message_enable: bool = false; "recallMessageEnable" live(),
        /// Track producers.
        enable_register_producer: bool = true; "enableRegisterProducer" live(),
        /// Auto-create CID_RMQ_SYS_* groups.
        enable_create_sys_group: bool = true; "enableCreateSysGroup" live(),
        /// Event driven lite dispatch `[new in 5.4/5.5]`.
        enable_lite_event_mode: bool = true; "enableLiteEventMode" live(),
        /// Ms `[new in 5.4/5.5]`.
        lite_event_check_interval: i64 = 10000; "liteEventCheckInterval" live(),
        /// Ms `[new in 5.4/5.5]`.
        lite_ttl_check_interval: i64 = 120_000; "liteTtlCheckInterval" live(),
        /// Ms, min lite topic ttl `[new in 5.4/5.5]`.
        min_lite_t_tl: i64 = 900_000; "minLiteTTl" live(),
        /// Ms `[new in 5.4/5.5]`.
        lite_subscription_check_interval: i64 = 120_000; "liteSubscriptionCheckInterval" live(),
        /// Ms client timeout `[new in 5.4/5.5]`.
        lite_subscription_check_timeout_mills: i64 = 180_000; "liteSubscriptionCheckTimeoutMills" live(),
        /// Write only changed offsets (RocksDB) `[new in 5.4/5.5]`.
        persist_consumer_offset_incrementally: bool = false; "persistConsumerOffsetIncrementally" live(),
        /// Quota, code 2018 `[new in 5.4/5.5]`.
        max_lite_subscription_count: i64 = 100_000; "maxLiteSubscriptionCount" live(),
        /// Verbose log `[new in 5.4/5.5]`.
        enable_lite_pop_log: bool = false; "enableLitePopLog" live(),
        /// Events per lite client `[new in 5.4/5.5]`.
        max_client_event_count: i32 = 100; "maxClientEventCount" live(),
        /// Ms `[new in 5.4/5.5]`.
        lite_event_full_dispatch_delay_time: i64 = 10000; "liteEventFullDispatchDelayTime" live(),
        /// Ms `[new in 5.4/5.5]`.
        lite_event_full_dispatch_delay_time_for_wildcard_group: i64 = 10000; "liteEventFullDispatchDelayTimeForWildcardGroup" live(),
        /// Collect lite lag `[new in 5.4/5.5]`.
        lite_lag_latency_collect_enable: bool = false; "liteLagLatencyCollectEnable" live(),
        /// Export lite lag latency `[new in 5.4/5.5]`.
        lite_lag_latency_metrics_enable: bool = false; "liteLagLatencyMetricsEnable" live(),
        /// Export lite lag count `[new in 5.4/5.5]`.
        lite_lag_count_metrics_enable: bool = false; "liteLagCountMetricsEnable" live(),
        /// Top K in reports `[new in 5.4/5.5]`.
        lite_lag_latency_top_k: i32 = 50; "liteLagLatencyTopK" live(),
    }
}
