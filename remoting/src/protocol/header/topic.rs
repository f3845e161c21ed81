//! Topic configuration.

use crate::header;

header! {
    /// Request of `UPDATE_AND_CREATE_TOPIC`, `UPDATE_AND_CREATE_STATIC_TOPIC`.
    pub struct CreateTopicRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Topic whose configuration a new topic inherits.
        pub default_topic: Option<String> => "defaultTopic",
        /// Queues consumers read.
        pub read_queue_nums: i32 => "readQueueNums",
        /// Queues producers write.
        pub write_queue_nums: i32 => "writeQueueNums",
        /// Permission bits: 1 inherit, 2 write, 4 read, 8 priority.
        pub perm: i32 => "perm",
        /// `SINGLE_TAG` or `MULTI_TAG`.
        pub topic_filter_type: String => "topicFilterType",
        /// System flag of the topic.
        pub topic_sys_flag: i32 => "topicSysFlag" or 0,
        /// Whether clients should keep order between queues.
        pub order: bool => "order" or false,
        /// Changes to attributes: `+key=value,-key`.
        pub attributes: Option<String> => "attributes",
        /// Whether to skip checks.
        pub force: bool => "force" or false,
    }

    /// Request of `DELETE_TOPIC_IN_BROKER`.
    pub struct DeleteTopicRequestHeader {
        /// Topic.
        pub topic: String => "topic",
    }

    /// Request of `GET_TOPIC_CONFIG`.
    pub struct GetTopicConfigRequestHeader {
        /// Topic.
        pub topic: String => "topic",
    }

    /// Request of `GET_TOPIC_STATS_INFO`.
    pub struct GetTopicStatsInfoRequestHeader {
        /// Topic.
        pub topic: String => "topic",
    }

    /// Request of `GET_ALL_TOPIC_CONFIG`.
    pub struct GetAllTopicConfigRequestHeader {
        /// Index of the first topic wanted.
        pub topic_seq: Option<i32> => "topicSeq",
        /// JSON of the table's version that the caller has.
        pub data_version: Option<String> => "dataVersion",
        /// Topics wanted at most.
        pub max_topic_num: Option<i32> => "maxTopicNum",
    }

    /// Answer of `GET_ALL_TOPIC_CONFIG`.
    pub struct GetAllTopicConfigResponseHeader {
        /// Topics in all.
        pub total_topic_num: Option<i32> => "totalTopicNum",
    }

    /// Request of `QUERY_TOPIC_CONSUME_BY_WHO`.
    pub struct QueryTopicConsumeByWhoRequestHeader {
        /// Topic.
        pub topic: String => "topic",
    }

    /// Request of `QUERY_TOPICS_BY_CONSUMER`.
    pub struct QueryTopicsByConsumerRequestHeader {
        /// Consumer group.
        pub group: String => "group",
    }
}
