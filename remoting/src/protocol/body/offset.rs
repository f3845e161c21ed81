//! Offsets of queues and consumer groups.

use std::collections::BTreeMap;

use super::message_queue::MessageQueue;
use super::topic::DataVersion;
use crate::body;

body! {
    /// Answer of `GET_TOPIC_STATS_INFO`.
    pub struct TopicStatsTable {
        /// Offsets of each queue.
        "offsetTable" offset_table: BTreeMap<MessageQueue, TopicOffset>,
        /// Messages put per second.
        "topicPutTps" topic_put_tps: f64,
    }

    /// Offsets of a queue.
    #[derive(Eq)]
    pub struct TopicOffset {
        /// Store time of the newest message, ms since 1970; 0 if there is none.
        "lastUpdateTimestamp" last_update_timestamp: i64,
        /// Offset of the next message.
        "maxOffset" max_offset: i64,
        /// Offset of the oldest message.
        "minOffset" min_offset: i64,
    }

    /// Answer of `GET_CONSUME_STATS`.
    pub struct ConsumeStats {
        /// Messages consumed per second.
        "consumeTps" consume_tps: f64,
        /// Progress on each queue.
        "offsetTable" offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
    }

    /// Progress of a group on a queue.
    #[derive(Eq)]
    pub struct OffsetWrapper {
        /// Offset of the next message of the queue.
        "brokerOffset" broker_offset: i64,
        /// Offset the group has committed.
        "consumerOffset" consumer_offset: i64,
        /// Store time of the last message consumed, ms since 1970.
        "lastTimestamp" last_timestamp: i64,
        /// Offset the group has pulled.
        "pullOffset" pull_offset: i64,
    }

    /// Answer of `GET_BROKER_CONSUME_STATS`.
    pub struct ConsumeStatsList {
        /// Address of the broker.
        "brokerAddr" broker_addr: Option<String>,
        /// One map per group: group to its statistics by topic.
        "consumeStatsList" consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
        /// Messages not yet consumed, over all groups.
        "totalDiff" total_diff: i64,
        /// Messages pulled but not yet consumed, over all groups.
        "totalInflightDiff" total_inflight_diff: i64,
    }

    /// Consumer offsets of a broker.
    #[derive(Eq)]
    pub struct ConsumerOffsetSerializeWrapper {
        /// Version of the table.
        "dataVersion" data_version: Option<DataVersion>,
        /// `topic@group` to queue id to offset.
        "offsetTable" offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
    }

    /// The file `delayOffset.json`: progress of the delay levels.
    #[derive(Eq)]
    pub struct DelayOffsetSerializeWrapper {
        /// Version of the table.
        "dataVersion" data_version: Option<DataVersion>,
        /// Delay level (from 1) to queue offset.
        "offsetTable" offset_table: BTreeMap<i32, i64>,
    }

    /// New offsets for a consumer.
    #[derive(Eq)]
    pub struct ResetOffsetBody {
        /// Offset of each queue.
        "offsetTable" offset_table: BTreeMap<MessageQueue, i64>,
    }

    /// [`ResetOffsetBody`] for C++ clients.
    #[derive(Eq)]
    pub struct ResetOffsetBodyForC {
        /// Offset of each queue.
        "offsetTable" offset_table: Vec<MessageQueueForC>,
    }

    /// A queue and its offset.
    #[derive(Eq)]
    pub struct MessageQueueForC {
        /// Broker.
        "brokerName" broker_name: String,
        /// New offset.
        "offset" offset: i64,
        /// Queue id.
        "queueId" queue_id: i32,
        /// Topic.
        "topic" topic: String,
    }

    /// Offsets that consumers report.
    #[derive(Eq)]
    pub struct GetConsumerStatusBody {
        /// Client id to queue to offset; filled by the broker.
        "consumerTable" consumer_table: BTreeMap<String, BTreeMap<MessageQueue, i64>>,
        /// Queue to offset; filled by a client.
        "messageQueueTable" message_queue_table: BTreeMap<MessageQueue, i64>,
    }

    /// Answer of `QUERY_CORRECTION_OFFSET`.
    #[derive(Eq)]
    pub struct QueryCorrectionOffsetBody {
        /// Queue id to offset.
        "correctionOffsets" correction_offsets: BTreeMap<i32, i64>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson::Body;

    const STATS: &str = r#"{"consumeTps":0.0,"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"brokerOffset":0,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0}}}"#;

    #[test]
    fn queues_are_keys_as_objects() {
        let stats = ConsumeStats::decode(STATS.as_bytes()).unwrap();
        assert!(stats.offset_table.contains_key(&MessageQueue::new("T", "b", 0)));
        assert_eq!(stats.encode(), STATS.as_bytes());
    }

    #[test]
    fn a_key_in_a_string_and_a_reference_are_understood() {
        let text = r#"{"messageQueueTable":{"{\"brokerName\":\"b\",\"queueId\":3,\"topic\":\"T\"}":5},
            "consumerTable":{"c":{"$ref":"$.messageQueueTable"}}}"#;
        let body = GetConsumerStatusBody::decode(text.as_bytes()).unwrap();
        assert_eq!(body.message_queue_table[&MessageQueue::new("T", "b", 3)], 5);
        assert_eq!(body.consumer_table["c"], body.message_queue_table);
    }
}
