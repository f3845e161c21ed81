//! Lite topics (5.5): many small queues under a parent topic.

use std::collections::BTreeMap;

use super::offset::{OffsetWrapper, TopicOffset};
use crate::{body, json_enum};

json_enum! {
    /// How a set of lite topics changes a client's subscription.
    pub enum LiteSubscriptionAction {
        PartialAdd = "PARTIAL_ADD",
        PartialRemove = "PARTIAL_REMOVE",
        CompleteAdd = "COMPLETE_ADD",
        CompleteRemove = "COMPLETE_REMOVE",
    }

    /// What the value of an [`OffsetOption`] means.
    pub enum OffsetOptionType {
        Policy = "POLICY",
        Offset = "OFFSET",
        TailN = "TAIL_N",
        Timestamp = "TIMESTAMP",
    }
}

body! {
    /// Body of `LITE_SUBSCRIPTION_CTL`.
    #[derive(Eq)]
    pub struct LiteSubscriptionCtlRequestBody {
        /// Changes.
        "subscriptionSet" subscription_set: Option<Vec<LiteSubscriptionDTO>>,
    }

    /// A change of a client's subscription.
    #[derive(Eq)]
    pub struct LiteSubscriptionDTO {
        /// What to do.
        "action" action: Option<LiteSubscriptionAction>,
        /// Client.
        "clientId" client_id: String,
        /// Group.
        "group" group: String,
        /// Lite topics.
        "liteTopicSet" lite_topic_set: Option<Vec<String>>,
        /// Where to start.
        "offsetOption" offset_option: Option<OffsetOption>,
        /// Parent topic.
        "topic" topic: String,
        /// Version; older changes are ignored.
        "version" version: i64,
    }

    /// Where to start on a lite topic.
    #[derive(Eq)]
    pub struct OffsetOption {
        /// Meaning of the value.
        "type" kind: Option<OffsetOptionType>,
        /// Value.
        "value" value: i64,
    }

    /// Answer of `GET_BROKER_LITE_INFO`.
    #[derive(Eq)]
    pub struct GetBrokerLiteInfoResponseBody {
        /// Consume queues.
        "cqTableSize" cq_table_size: i32,
        /// Lite queues.
        "currentLmqNum" current_lmq_num: i32,
        /// Clients with events.
        "eventMapSize" event_map_size: i32,
        /// Group to lite topics.
        "groupMeta" group_meta: Option<BTreeMap<String, Vec<String>>>,
        /// Subscriptions.
        "liteSubscriptionCount" lite_subscription_count: i32,
        /// Lite queues allowed.
        "maxLmqNum" max_lmq_num: i32,
        /// Entries of the offset table.
        "offsetTableSize" offset_table_size: i32,
        /// Entries of the order table.
        "orderInfoCount" order_info_count: i32,
        /// Kind of the store.
        "storeType" store_type: Option<String>,
        /// Parent topic to number of lite topics.
        "topicMeta" topic_meta: Option<BTreeMap<String, i32>>,
    }

    /// Answer of `GET_PARENT_TOPIC_INFO`.
    #[derive(Eq)]
    pub struct GetParentTopicInfoResponseBody {
        /// Groups bound to the topic.
        "groups" groups: Option<Vec<String>>,
        /// Lite topics.
        "liteTopicCount" lite_topic_count: i32,
        /// Lite queues of the broker.
        "lmqNum" lmq_num: i32,
        /// Topic.
        "topic" topic: String,
        /// Minutes until an idle lite topic goes.
        "ttl" ttl: i32,
    }

    /// Answer of `GET_LITE_TOPIC_INFO`.
    #[derive(Eq)]
    pub struct GetLiteTopicInfoResponseBody {
        /// Lite topic.
        "liteTopic" lite_topic: String,
        /// Parent topic.
        "parentTopic" parent_topic: String,
        /// Whether the lite topic lives on this broker.
        "shardingToBroker" sharding_to_broker: bool,
        /// Subscribers.
        "subscriber" subscriber: Option<Vec<ClientGroup>>,
        /// Offsets.
        "topicOffset" topic_offset: Option<TopicOffset>,
    }

    /// A client of a group.
    #[derive(Eq, Hash)]
    pub struct ClientGroup {
        /// Client.
        "clientId" client_id: String,
        /// Group.
        "group" group: String,
    }

    /// Answer of `GET_LITE_CLIENT_INFO`.
    #[derive(Eq)]
    pub struct GetLiteClientInfoResponseBody {
        /// Client.
        "clientId" client_id: String,
        /// Group.
        "group" group: String,
        /// Time of the last request, ms since 1970.
        "lastAccessTime" last_access_time: i64,
        /// Time of the last message, ms since 1970.
        "lastConsumeTime" last_consume_time: i64,
        /// Lite topics in all.
        "liteTopicCount" lite_topic_count: i32,
        /// Lite topics.
        "liteTopicSet" lite_topic_set: Option<Vec<String>>,
        /// Parent topic.
        "parentTopic" parent_topic: String,
    }

    /// Answer of `GET_LITE_GROUP_INFO`.
    #[derive(Eq)]
    pub struct GetLiteGroupInfoResponseBody {
        /// Store time of the oldest message not consumed, ms since 1970; -1 if there is none.
        "earliestUnconsumedTimestamp" earliest_unconsumed_timestamp: i64 = -1,
        /// Group.
        "group" group: String,
        /// Lite topics with most messages not consumed.
        "lagCountTopK" lag_count_top_k: Option<Vec<LiteLagInfo>>,
        /// Lite topics with the oldest messages not consumed.
        "lagTimestampTopK" lag_timestamp_top_k: Option<Vec<LiteLagInfo>>,
        /// Lite topic, if one was asked for.
        "liteTopic" lite_topic: Option<String>,
        /// Its offsets.
        "liteTopicOffsetWrapper" lite_topic_offset_wrapper: Option<OffsetWrapper>,
        /// Parent topic.
        "parentTopic" parent_topic: Option<String>,
        /// Messages not consumed.
        "totalLagCount" total_lag_count: i64,
    }

    /// How far a group is behind on a lite topic.
    #[derive(Eq)]
    pub struct LiteLagInfo {
        /// Store time of the oldest message not consumed, ms since 1970; -1 if there is none.
        "earliestUnconsumedTimestamp" earliest_unconsumed_timestamp: i64 = -1,
        /// Messages not consumed.
        "lagCount" lag_count: i64,
        /// Lite topic.
        "liteTopic" lite_topic: String,
    }
}
