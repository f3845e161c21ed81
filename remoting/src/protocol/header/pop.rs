//! Popping messages and acknowledging them.

use crate::header;

header! {
    /// Request of `POP_MESSAGE`.
    pub struct PopMessageRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Queue id; -1 for all.
        pub queue_id: i32 => "queueId" or 0,
        /// Messages wanted at most.
        pub max_msg_nums: i32 => "maxMsgNums" or 0,
        /// How long messages stay invisible, ms.
        pub invisible_time: i64 => "invisibleTime" or 0,
        /// How long the request may be held, ms.
        pub poll_time: i64 => "pollTime" or 0,
        /// Time of the request at the client, ms since 1970; 0 means now.
        pub born_time: i64 => "bornTime" or 0,
        /// Start of a new group: 0 smallest, 1 largest offset.
        pub init_mode: i32 => "initMode" or 0,
        /// Type of the filter expression.
        pub exp_type: Option<String> => "expType",
        /// Filter expression.
        pub exp: Option<String> => "exp",
        /// Whether messages come in order.
        pub order: bool => "order" or false,
        /// Marks the attempts of one client call, for orderly pops.
        pub attempt_id: Option<String> => "attemptId",
    }

    /// Answer of `POP_MESSAGE`, `PEEK_MESSAGE`.
    pub struct PopMessageResponseHeader {
        /// Time of the pop, ms since 1970.
        pub pop_time: i64 => "popTime" or 0,
        /// How long messages stay invisible, ms.
        pub invisible_time: i64 => "invisibleTime" or 0,
        /// Queue of the revive topic; 999 for orderly pops.
        pub revive_qid: i32 => "reviveQid" or 0,
        /// Messages left in the queues.
        pub rest_num: i64 => "restNum" or 0,
        /// `retry queueId offset` joined by `;`.
        pub start_offset_info: Option<String> => "startOffsetInfo",
        /// `retry queueId offset,offset..` joined by `;`.
        pub msg_offset_info: Option<String> => "msgOffsetInfo",
        /// `retry queueId count` joined by `;`.
        pub order_count_info: Option<String> => "orderCountInfo",
    }

    /// Request of `ACK_MESSAGE`.
    pub struct AckMessageRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// Handle of the pop (property `POP_CK`).
        pub extra_info: String => "extraInfo",
        /// Offset.
        pub offset: i64 => "offset",
        /// Lite topic.
        pub lite_topic: Option<String> => "liteTopic",
    }

    /// Request of `PEEK_MESSAGE`.
    pub struct PeekMessageRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId" or 0,
        /// Messages wanted at most.
        pub max_msg_nums: i32 => "maxMsgNums" or 0,
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
    }

    /// Request of `CHANGE_MESSAGE_INVISIBLETIME`.
    pub struct ChangeInvisibleTimeRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// Handle of the pop (property `POP_CK`).
        pub extra_info: String => "extraInfo",
        /// Offset.
        pub offset: i64 => "offset",
        /// How long messages stay invisible, ms.
        pub invisible_time: i64 => "invisibleTime",
        /// Lite topic.
        pub lite_topic: Option<String> => "liteTopic",
        /// Whether the message is suspended, not retried.
        pub suspend: bool => "suspend" or false,
    }

    /// Answer of `CHANGE_MESSAGE_INVISIBLETIME`.
    pub struct ChangeInvisibleTimeResponseHeader {
        /// Time of the pop, ms since 1970.
        pub pop_time: i64 => "popTime" or 0,
        /// How long messages stay invisible, ms.
        pub invisible_time: i64 => "invisibleTime" or 0,
        /// Queue of the revive topic; 999 for orderly pops.
        pub revive_qid: i32 => "reviveQid" or 0,
    }

    /// Request of `NOTIFICATION`.
    pub struct NotificationRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId" or 0,
        /// How long the request may be held, ms.
        pub poll_time: i64 => "pollTime" or 0,
        /// Time of the request at the client, ms since 1970; 0 means now.
        pub born_time: i64 => "bornTime" or 0,
        /// Whether messages come in order.
        pub order: bool => "order" or false,
        /// Marks the attempts of one client call, for orderly pops.
        pub attempt_id: Option<String> => "attemptId",
        /// Type of the filter expression.
        pub exp_type: Option<String> => "expType",
        /// Filter expression.
        pub exp: Option<String> => "exp",
    }

    /// Answer of `NOTIFICATION`.
    pub struct NotificationResponseHeader {
        /// Whether there are messages.
        pub has_msg: bool => "hasMsg" or false,
        /// Whether too many requests are held.
        pub polling_full: bool => "pollingFull" or false,
    }

    /// Request of `POLLING_INFO`.
    pub struct PollingInfoRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId" or 0,
    }

    /// Answer of `POLLING_INFO`.
    pub struct PollingInfoResponseHeader {
        /// Requests held.
        pub polling_num: i32 => "pollingNum" or 0,
    }
}
