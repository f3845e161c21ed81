//! Offsets of queues and consumer groups.

use crate::header;
use crate::protocol::fields::ExtFields;
use crate::protocol::header::FieldValue;

/// Which offset to take when several messages have the time searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoundaryType {
    /// The smallest.
    #[default]
    Lower,
    /// The largest.
    Upper,
}

impl FieldValue for BoundaryType {
    const EXPECTED: &'static str = "a boundary";

    /// Everything but `upper` means lower; case does not count.
    fn parse(text: &str) -> Option<Self> {
        Some(if text.eq_ignore_ascii_case("upper") { Self::Upper } else { Self::Lower })
    }

    fn write(&self, key: &'static str, fields: &mut ExtFields) {
        fields.push_str(key, if *self == Self::Upper { "UPPER" } else { "LOWER" });
    }
}

header! {
    /// Request of `QUERY_CONSUMER_OFFSET`.
    pub struct QueryConsumerOffsetRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// Whether an absent offset reads as 0.
        pub set_zero_if_not_found: Option<bool> => "setZeroIfNotFound",
    }

    /// Answer of `QUERY_CONSUMER_OFFSET`.
    pub struct QueryConsumerOffsetResponseHeader {
        /// Offset.
        pub offset: i64 => "offset",
    }

    /// Request of `UPDATE_CONSUMER_OFFSET`.
    pub struct UpdateConsumerOffsetRequestHeader {
        /// Consumer group.
        pub consumer_group: String => "consumerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// Consumer offset to commit.
        pub commit_offset: i64 => "commitOffset",
    }

    /// Request of `SEARCH_OFFSET_BY_TIMESTAMP`.
    pub struct SearchOffsetRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Lite topic.
        pub lite_topic: Option<String> => "liteTopic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// Time, ms since 1970.
        pub timestamp: i64 => "timestamp",
        /// Which offset to take among messages of equal time.
        pub boundary_type: BoundaryType => "boundaryType" or BoundaryType::Lower,
    }

    /// Answer of `SEARCH_OFFSET_BY_TIMESTAMP`.
    pub struct SearchOffsetResponseHeader {
        /// Offset.
        pub offset: i64 => "offset",
    }

    /// Request of `GET_MAX_OFFSET`.
    pub struct GetMaxOffsetRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// Whether only committed messages count.
        pub committed: bool => "committed" or true,
    }

    /// Answer of `GET_MAX_OFFSET`.
    pub struct GetMaxOffsetResponseHeader {
        /// Offset.
        pub offset: i64 => "offset",
    }

    /// Request of `GET_MIN_OFFSET`.
    pub struct GetMinOffsetRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
    }

    /// Answer of `GET_MIN_OFFSET`.
    pub struct GetMinOffsetResponseHeader {
        /// Offset.
        pub offset: i64 => "offset",
    }

    /// Request of `GET_EARLIEST_MSG_STORETIME`.
    pub struct GetEarliestMsgStoretimeRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Queue id.
        pub queue_id: i32 => "queueId",
    }

    /// Answer of `GET_EARLIEST_MSG_STORETIME`.
    pub struct GetEarliestMsgStoretimeResponseHeader {
        /// Time, ms since 1970.
        pub timestamp: i64 => "timestamp",
    }

    /// Request of `RESET_CONSUMER_CLIENT_OFFSET`, `INVOKE_BROKER_TO_RESET_OFFSET`.
    pub struct ResetOffsetRequestHeader {
        /// Consumer group.
        pub group: String => "group",
        /// Topic.
        pub topic: String => "topic",
        /// Queue id; -1 for all.
        pub queue_id: i32 => "queueId" or -1,
        /// Offset to go to instead of a time.
        pub offset: Option<i64> => "offset",
        /// Store time to go to, ms since 1970; -1 for now.
        pub timestamp: i64 => "timestamp" or 0,
        /// Whether offsets may also move forward.
        pub is_force: bool => "isForce" or false,
    }

    /// Request of `GET_CONSUMER_STATUS_FROM_CLIENT`, `INVOKE_BROKER_TO_GET_CONSUMER_STATUS`.
    pub struct GetConsumerStatusRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Consumer group.
        pub group: String => "group",
        /// Client id; absent means every client.
        pub client_addr: Option<String> => "clientAddr",
    }

    /// Request of `QUERY_CORRECTION_OFFSET`.
    pub struct QueryCorrectionOffsetHeader {
        /// Groups to leave out, joined by `,`.
        pub filter_groups: Option<String> => "filterGroups",
        /// Group to compare with.
        pub compare_group: String => "compareGroup",
        /// Topic.
        pub topic: String => "topic",
    }

    /// Request of `CLONE_GROUP_OFFSET`.
    pub struct CloneGroupOffsetRequestHeader {
        /// Group whose offsets are copied.
        pub src_group: String => "srcGroup",
        /// Group that receives the offsets.
        pub dest_group: String => "destGroup",
        /// Topic.
        pub topic: Option<String> => "topic",
        /// Whether the group is offline.
        pub offline: bool => "offline" or false,
    }
}
