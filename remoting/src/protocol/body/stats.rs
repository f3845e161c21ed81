//! Statistics and inspection.

use std::collections::BTreeMap;

use super::heartbeat::SubscriptionData;
use super::message_queue::MessageQueue;
use super::topic::DataVersion;
use crate::body;

body! {
    /// Answer of `VIEW_BROKER_STATS_DATA`.
    pub struct BrokerStatsData {
        /// Last day.
        "statsDay" stats_day: Option<BrokerStatsItem>,
        /// Last hour.
        "statsHour" stats_hour: Option<BrokerStatsItem>,
        /// Last minute.
        "statsMinute" stats_minute: Option<BrokerStatsItem>,
    }

    /// A figure over a period.
    pub struct BrokerStatsItem {
        /// Average per call.
        "avgpt" avgpt: f64,
        /// Sum.
        "sum" sum: i64,
        /// Per second.
        "tps" tps: f64,
    }

    /// Answer of `QUERY_CONSUME_TIME_SPAN`.
    #[derive(Eq)]
    pub struct QueryConsumeTimeSpanBody {
        /// Spans by queue.
        "consumeTimeSpanSet" consume_time_span_set: Vec<QueueTimeSpan>,
    }

    /// Store times of a queue. Times are ms since 1970; the `str` fields are the same times as
    /// `yyyy-MM-dd#HH:mm:ss:SSS` in local time, which Java derives and ignores on input.
    #[derive(Eq)]
    pub struct QueueTimeSpan {
        /// Store time of the message at the group's offset.
        "consumeTimeStamp" consume_time_stamp: i64,
        /// `consume_time_stamp` as text.
        "consumeTimeStampStr" consume_time_stamp_str: Option<String>,
        /// How far the group is behind, ms.
        "delayTime" delay_time: i64,
        /// Store time of the newest message.
        "maxTimeStamp" max_time_stamp: i64,
        /// `max_time_stamp` as text.
        "maxTimeStampStr" max_time_stamp_str: Option<String>,
        /// Queue.
        "messageQueue" message_queue: Option<MessageQueue>,
        /// Store time of the oldest message.
        "minTimeStamp" min_time_stamp: i64,
        /// `min_time_stamp` as text.
        "minTimeStampStr" min_time_stamp_str: Option<String>,
    }

    /// Answer of `QUERY_CONSUME_QUEUE`.
    #[derive(Eq)]
    pub struct QueryConsumeQueueResponseBody {
        /// Text of the group's SQL filter.
        "filterData" filter_data: Option<String>,
        /// Largest index of the queue.
        "maxQueueIndex" max_queue_index: i64,
        /// Smallest index of the queue.
        "minQueueIndex" min_queue_index: i64,
        /// Entries.
        "queueData" queue_data: Option<Vec<ConsumeQueueData>>,
        /// Subscription of the group.
        "subscriptionData" subscription_data: Option<SubscriptionData>,
    }

    /// An entry of a consume queue.
    #[derive(Eq)]
    pub struct ConsumeQueueData {
        /// Filter bit map as text.
        "bitMap" bit_map: Option<String>,
        /// Whether the filter matches.
        "eval" eval: bool,
        /// Extension entry as JSON.
        "extendDataJson" extend_data_json: Option<String>,
        /// What went wrong.
        "msg" msg: Option<String>,
        /// Physical offset.
        "physicOffset" physic_offset: i64,
        /// Size of the record.
        "physicSize" physic_size: i32,
        /// Hash of the tag, or what the queue keeps in its place.
        "tagsCode" tags_code: i64,
    }

    /// Answer of `CHECK_ROCKSDB_CQ_WRITE_PROGRESS`.
    #[derive(Eq)]
    pub struct CheckRocksdbCqWriteResult {
        /// Text.
        "checkResult" check_result: Option<String>,
        /// 0 equal, 1 not equal, 2 in progress, 3 error.
        "checkStatus" check_status: i32,
    }

    /// Answer of `GET_TIMER_METRICS` and the file `timermetrics`.
    #[derive(Eq)]
    pub struct TimerMetricsSerializeWrapper {
        /// Version of the table.
        "dataVersion" data_version: DataVersion,
        /// Timer messages pending by topic.
        "timingCount" timing_count: BTreeMap<String, Metric>,
    }

    /// The file `transactionMetrics`.
    #[derive(Eq)]
    pub struct TransactionMetricsSerializeWrapper {
        /// Version of the table.
        "dataVersion" data_version: DataVersion,
        /// Half messages pending by topic.
        "transactionCount" transaction_count: BTreeMap<String, Metric>,
    }

    /// A count and when it last changed.
    #[derive(Eq)]
    pub struct Metric {
        /// Count.
        "count" count: i64,
        /// Time of the last change, ms since 1970.
        "timeStamp" time_stamp: i64,
    }

    /// Event that an offset was corrected.
    #[derive(Eq)]
    pub struct OffsetMovedEvent {
        /// Group.
        "consumerGroup" consumer_group: String,
        /// Queue.
        "messageQueue" message_queue: Option<MessageQueue>,
        /// Offset given.
        "offsetNew" offset_new: i64,
        /// Offset asked for.
        "offsetRequest" offset_request: i64,
    }
}
