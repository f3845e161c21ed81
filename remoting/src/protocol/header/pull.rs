//! Pulling, querying and sending back messages.

use crate::header;

header! {
    /// Request of `PULL_MESSAGE`, `LITE_PULL_MESSAGE`.
    pub struct PullMessageRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Lite topic.
        pub lite_topic: Option<String> => "liteTopic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// Queue offset.
        pub queue_offset: i64 => "queueOffset",
        /// Messages wanted at most.
        pub max_msg_nums: i32 => "maxMsgNums",
        /// Bits: 1 commit offset present, 2 may be held, 4 subscription present, 8 class filter, 16 lite pull.
        pub sys_flag: i32 => "sysFlag",
        /// Consumer offset to commit.
        pub commit_offset: i64 => "commitOffset",
        /// How long the request may be held, ms.
        pub suspend_timeout_millis: i64 => "suspendTimeoutMillis",
        /// Subscription expression.
        pub subscription: Option<String> => "subscription",
        /// Version of the subscription.
        pub sub_version: i64 => "subVersion",
        /// `TAG` or `SQL92`.
        pub expression_type: Option<String> => "expressionType",
        /// Bytes of messages wanted at most.
        pub max_msg_bytes: Option<i32> => "maxMsgBytes",
        /// -1 SDK, 0 proxy for pop over pull and the like.
        pub request_source: Option<i32> => "requestSource",
        /// Client id behind a proxy (spelled so on the wire).
        pub proxy_forward_client_id: Option<String> => "proxyFrowardClientId",
    }

    /// Answer of `PULL_MESSAGE`, `LITE_PULL_MESSAGE`.
    pub struct PullMessageResponseHeader {
        /// Broker id to pull from next.
        pub suggest_which_broker_id: i64 => "suggestWhichBrokerId",
        /// Offset of the next pull.
        pub next_begin_offset: i64 => "nextBeginOffset",
        /// Offset of the oldest message.
        pub min_offset: i64 => "minOffset",
        /// Offset of the next message.
        pub max_offset: i64 => "maxOffset",
        /// Difference between logical and physical offsets of a static topic.
        pub offset_delta: Option<i64> => "offsetDelta",
        /// System flag of the topic.
        pub topic_sys_flag: Option<i32> => "topicSysFlag",
        /// System flag of the group.
        pub group_sys_flag: Option<i32> => "groupSysFlag",
        /// What forbids: 1 broker, 2 group, 3 topic, 4 broadcasting, 5 subscription.
        pub forbidden_type: Option<i32> => "forbiddenType",
    }

    /// Request of `QUERY_MESSAGE`.
    pub struct QueryMessageRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Key, or the unique key with `_UNIQUE_KEY_QUERY`.
        pub key: String => "key",
        /// Messages wanted at most.
        pub max_num: i32 => "maxNum",
        /// Start of the store time range, ms since 1970.
        pub begin_timestamp: i64 => "beginTimestamp",
        /// End of the store time range, ms since 1970.
        pub end_timestamp: i64 => "endTimestamp",
        /// Kind of the index.
        pub index_type: Option<String> => "indexType",
        /// Key at which the last page ended.
        pub last_key: Option<String> => "lastKey",
    }

    /// Answer of `QUERY_MESSAGE`.
    pub struct QueryMessageResponseHeader {
        /// Store time up to which the index reaches, ms since 1970.
        pub index_last_update_timestamp: i64 => "indexLastUpdateTimestamp",
        /// Physical offset up to which the index reaches.
        pub index_last_update_phyoffset: i64 => "indexLastUpdatePhyoffset",
    }

    /// Request of `VIEW_MESSAGE_BY_ID`.
    pub struct ViewMessageRequestHeader {
        /// Topic.
        pub topic: Option<String> => "topic",
        /// Physical offset.
        pub offset: i64 => "offset",
    }

    /// Request of `CONSUMER_SEND_MSG_BACK`.
    pub struct ConsumerSendMsgBackRequestHeader {
        /// Physical offset of the message.
        pub offset: i64 => "offset",
        /// Consumer group.
        pub group: String => "group",
        /// Delay level; negative: dead letter queue, 0: by reconsume times.
        pub delay_level: i32 => "delayLevel",
        /// Id of the original message.
        pub origin_msg_id: Option<String> => "originMsgId",
        /// Topic of the original message.
        pub origin_topic: Option<String> => "originTopic",
        /// Unit mode.
        pub unit_mode: bool => "unitMode" or false,
        /// Deliveries before the dead letter queue.
        pub max_reconsume_times: Option<i32> => "maxReconsumeTimes",
    }
}
