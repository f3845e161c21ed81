//! The file `consumerFilter.json`: filters by expression that consumers have registered.

use std::collections::BTreeMap;

use crate::body;

body! {
    /// Java's `ConsumerFilterManager`.
    #[derive(Eq)]
    pub struct ConsumerFilterWrapper {
        /// Topic to its filters.
        "filterDataByTopic" filter_data_by_topic: BTreeMap<String, TopicFilters>,
    }

    /// Java's `FilterDataMapByTopic`.
    #[derive(Eq)]
    pub struct TopicFilters {
        /// Group to its filter.
        "groupFilterData" group_filter_data: BTreeMap<String, ConsumerFilterData>,
        /// Topic.
        "topic" topic: String,
    }

    /// The filter of a group for a topic.
    #[derive(Eq)]
    pub struct ConsumerFilterData {
        /// Bits that stand for the filter.
        "bloomFilterData" bloom_filter_data: Option<BloomFilterData>,
        /// When it was registered, ms since 1970.
        "bornTime" born_time: i64,
        /// Version of the subscription.
        "clientVersion" client_version: i64,
        /// Group.
        "consumerGroup" consumer_group: String,
        /// Whether `dead_time` counts; a getter of Java's, ignored on input.
        "dead" dead: bool,
        /// When the group's last member left, ms since 1970; 0 while it is there.
        "deadTime" dead_time: i64,
        /// Expression.
        "expression" expression: String,
        /// `SQL92`.
        "expressionType" expression_type: String,
        /// Topic.
        "topic" topic: String,
    }

    /// Bits of a bloom filter.
    #[derive(Eq)]
    pub struct BloomFilterData {
        /// Bits of the whole filter.
        "bitNum" bit_num: i32,
        /// Those that are set.
        "bitPos" bit_pos: Vec<i32>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson::Body;

    /// As Java 5.5.0 wrote it.
    #[test]
    fn the_file_is_java_s() {
        let text = r#"{"filterDataByTopic":{"T":{"groupFilterData":{"G":{"bloomFilterData":{"bitNum":112,"bitPos":[42,23,4]},"bornTime":1700000000000,"clientVersion":1700000000001,"consumerGroup":"G","dead":false,"deadTime":0,"expression":"a > 1","expressionType":"SQL92","topic":"T"}},"topic":"T"}}}"#;
        let wrapper = ConsumerFilterWrapper::decode(text.as_bytes()).unwrap();
        assert_eq!(wrapper.filter_data_by_topic["T"].group_filter_data["G"].expression, "a > 1");
        assert_eq!(String::from_utf8(wrapper.encode()).unwrap(), text);
    }
}
