//! Lite topics.

use crate::header;

header! {
    /// Request of `POP_LITE_MESSAGE`.
    pub struct PopLiteMessageRequestHeader {
        /// Client id.
        pub client_id: String => "clientId",
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Messages wanted at most.
        pub max_msg_num: i32 => "maxMsgNum" or 0,
        /// How long messages stay invisible, ms.
        pub invisible_time: i64 => "invisibleTime" or 0,
        /// How long the request may be held, ms.
        pub poll_time: i64 => "pollTime" or 0,
        /// Time of the request at the client, ms since 1970; 0 means now.
        pub born_time: i64 => "bornTime" or 0,
        /// Marks the attempts of one client call, for orderly pops.
        pub attempt_id: Option<String> => "attemptId",
    }

    /// Answer of `POP_LITE_MESSAGE`.
    pub struct PopLiteMessageResponseHeader {
        /// Time of the pop, ms since 1970.
        pub pop_time: i64 => "popTime" or 0,
        /// How long messages stay invisible, ms.
        pub invisible_time: i64 => "invisibleTime" or 0,
        /// Queue of the revive topic; 999 for orderly pops.
        pub revive_qid: i32 => "reviveQid" or 0,
        /// `retry queueId offset` joined by `;`.
        pub start_offset_info: Option<String> => "startOffsetInfo",
        /// `retry queueId offset,offset..` joined by `;`.
        pub msg_offset_info: Option<String> => "msgOffsetInfo",
        /// `retry queueId count` joined by `;`.
        pub order_count_info: Option<String> => "orderCountInfo",
    }

    /// Request of `NOTIFY_UNSUBSCRIBE_LITE`.
    pub struct NotifyUnsubscribeLiteRequestHeader {
        /// Lite topic.
        pub lite_topic: String => "liteTopic",
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Client id.
        pub client_id: String => "clientId",
    }

    /// Request of `GET_PARENT_TOPIC_INFO`.
    pub struct GetParentTopicInfoRequestHeader {
        /// Topic.
        pub topic: String => "topic",
    }

    /// Request of `GET_LITE_TOPIC_INFO`.
    pub struct GetLiteTopicInfoRequestHeader {
        /// Parent of the lite topics.
        pub parent_topic: Option<String> => "parentTopic",
        /// Lite topic.
        pub lite_topic: Option<String> => "liteTopic",
    }

    /// Request of `GET_LITE_CLIENT_INFO`.
    pub struct GetLiteClientInfoRequestHeader {
        /// Parent of the lite topics.
        pub parent_topic: Option<String> => "parentTopic",
        /// Consumer group.
        pub group: Option<String> => "group",
        /// Client id.
        pub client_id: Option<String> => "clientId",
        /// Entries wanted at most.
        pub max_count: i32 => "maxCount" or 1000,
    }

    /// Request of `GET_LITE_GROUP_INFO`.
    pub struct GetLiteGroupInfoRequestHeader {
        /// Consumer group.
        pub group: String => "group",
        /// Lite topic.
        pub lite_topic: Option<String> => "liteTopic",
        /// Entries wanted at most.
        pub top_k: i32 => "topK" or 0,
    }

    /// Request of `TRIGGER_LITE_DISPATCH`.
    pub struct TriggerLiteDispatchRequestHeader {
        /// Consumer group.
        pub group: String => "group",
        /// Client id.
        pub client_id: Option<String> => "clientId",
    }
}
