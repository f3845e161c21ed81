//! Consumer groups.

use crate::header;

header! {
    /// Request of `GET_SUBSCRIPTIONGROUP_CONFIG`.
    pub struct GetSubscriptionGroupConfigRequestHeader {
        /// Consumer group.
        pub group: String => "group",
    }

    /// Request of `GET_ALL_SUBSCRIPTIONGROUP_CONFIG`.
    pub struct GetAllSubscriptionGroupRequestHeader {
        /// Index of the first group wanted.
        pub group_seq: Option<i32> => "groupSeq",
        /// JSON of the table's version that the caller has.
        pub data_version: Option<String> => "dataVersion",
        /// Groups wanted at most.
        pub max_group_num: Option<i32> => "maxGroupNum",
    }

    /// Answer of `GET_ALL_SUBSCRIPTIONGROUP_CONFIG`.
    pub struct GetAllSubscriptionGroupResponseHeader {
        /// Groups in all.
        pub total_group_num: i32 => "totalGroupNum",
    }

    /// Request of `DELETE_SUBSCRIPTIONGROUP`.
    pub struct DeleteSubscriptionGroupRequestHeader {
        /// Consumer group.
        pub group_name: String => "groupName",
        /// Whether the group's offsets go, too.
        pub clean_offset: bool => "cleanOffset" or false,
    }

    /// Request of `UPDATE_AND_GET_GROUP_FORBIDDEN`.
    pub struct UpdateGroupForbiddenRequestHeader {
        /// Consumer group.
        pub group: String => "group",
        /// Topic.
        pub topic: String => "topic",
        /// Whether the group may read the topic.
        pub readable: Option<bool> => "readable",
    }

    /// Request of `QUERY_SUBSCRIPTION_BY_CONSUMER`.
    pub struct QuerySubscriptionByConsumerRequestHeader {
        /// Consumer group.
        pub group: String => "group",
        /// Topic.
        pub topic: Option<String> => "topic",
    }
}
