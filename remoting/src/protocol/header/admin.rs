//! Administration: statistics, configuration, inspection.

use crate::header;

header! {
    /// Answer of `GET_BROKER_CONFIG`.
    pub struct GetBrokerConfigResponseHeader {
        /// JSON of the configuration's version.
        pub version: String => "version",
    }

    /// Request of `GET_CONSUME_STATS`.
    pub struct GetConsumeStatsRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: Option<String> => "topic",
        /// Topics joined by `;`.
        pub topic_list: Option<String> => "topicList",
    }

    /// Request of `QUERY_CONSUME_TIME_SPAN`.
    pub struct QueryConsumeTimeSpanRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Consumer group.
        pub group: String => "group",
    }

    /// Request of `VIEW_BROKER_STATS_DATA`.
    pub struct ViewBrokerStatsDataRequestHeader {
        /// Name of the statistics.
        pub stats_name: String => "statsName",
        /// Key of the figure.
        pub stats_key: String => "statsKey",
    }

    /// Request of `GET_BROKER_CONSUME_STATS`.
    pub struct GetConsumeStatsInBrokerHeader {
        /// Whether only orderly groups count.
        pub is_order: bool => "isOrder" or false,
    }

    /// Request of `QUERY_CONSUME_QUEUE`.
    pub struct QueryConsumeQueueRequestHeader {
        /// Topic.
        pub topic: Option<String> => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId" or 0,
        /// Index of the first entry.
        pub index: i64 => "index" or 0,
        /// Entries wanted.
        pub count: i32 => "count" or 0,
        /// Group whose filter is applied.
        pub consumer_group: Option<String> => "consumerGroup",
    }

    /// Request of `CHECK_ROCKSDB_CQ_WRITE_PROGRESS`.
    pub struct CheckRocksdbCqWriteProgressRequestHeader {
        /// Topic; absent or empty for all.
        pub topic: Option<String> => "topic",
        /// Store time from which to check, ms since 1970.
        pub check_store_time: i64 => "checkStoreTime" or 0,
    }

    /// Request of `EXPORT_ROCKSDB_CONFIG_TO_JSON`.
    pub struct ExportRocksDBConfigToJsonRequestHeader {
        /// Tables to export, joined by `;`.
        pub config_type: String => "configType",
    }

    /// Request of `ADD_BROKER`.
    pub struct AddBrokerRequestHeader {
        /// Path of the broker's configuration.
        pub config_path: Option<String> => "configPath",
    }

    /// Request of `REMOVE_BROKER`.
    pub struct RemoveBrokerRequestHeader {
        /// Broker name.
        pub broker_name: String => "brokerName",
        /// Cluster.
        pub broker_cluster_name: String => "brokerClusterName",
        /// Broker id, 0 is the master.
        pub broker_id: i64 => "brokerId",
    }
}
