//! What clients tell brokers about themselves.

use super::topic::now_ms;
use crate::{body, json_enum};

/// Expression that subscribes to every message of a topic.
pub const SUB_ALL: &str = "*";

/// Expression type of tags.
pub const EXPRESSION_TAG: &str = "TAG";

/// Expression type of SQL92 over properties.
pub const EXPRESSION_SQL92: &str = "SQL92";

json_enum! {
    /// How a consumer gets its messages.
    pub enum ConsumeType {
        ConsumeActively = "CONSUME_ACTIVELY",
        ConsumePassively = "CONSUME_PASSIVELY",
        ConsumePop = "CONSUME_POP",
    }

    /// Who gets a message: every consumer of a group, or one.
    pub enum MessageModel {
        Broadcasting = "BROADCASTING",
        Clustering = "CLUSTERING",
        LiteSelective = "LITE_SELECTIVE",
    }

    /// Where a group without offsets starts.
    pub enum ConsumeFromWhere {
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

body! {
    /// Body of `HEART_BEAT`.
    #[derive(Eq)]
    pub struct HeartbeatData {
        /// Client id, `ip@pid#nanos` or the like.
        "clientID" client_id: String,
        /// The client's consumers.
        "consumerDataSet" consumer_data_set: Vec<ConsumerData>,
        /// Hash of the subscriptions for heartbeat v2; 0 for v1.
        "heartbeatFingerprint" heartbeat_fingerprint: i32,
        /// The client's producers.
        "producerDataSet" producer_data_set: Vec<ProducerData>,
        /// Heartbeat v2: the subscriptions are as before and may be ignored.
        "withoutSub" without_sub: bool,
    }

    /// A consumer of a client.
    #[derive(Eq)]
    pub struct ConsumerData {
        /// Start of a new group.
        "consumeFromWhere" consume_from_where: Option<ConsumeFromWhere>,
        /// Pull, push or pop.
        "consumeType" consume_type: Option<ConsumeType>,
        /// Group.
        "groupName" group_name: String,
        /// Clustering or broadcasting; the Go client sends `Clustering`.
        "messageModel" message_model: Option<MessageModel>,
        /// Subscriptions.
        "subscriptionDataSet" subscription_data_set: Vec<SubscriptionData>,
        /// Unit mode.
        "unitMode" unit_mode: bool,
    }

    /// A producer of a client.
    #[derive(Eq, Hash)]
    pub struct ProducerData {
        /// Group.
        "groupName" group_name: String,
    }

    /// The subscription of a group to a topic.
    #[derive(Eq)]
    pub struct SubscriptionData {
        /// Filter class mode, gone since 5.x.
        "classFilterMode" class_filter_mode: bool,
        /// Hashes of the tags. The Go client hashes UTF-8 bytes, so recompute them from `sub_string`.
        "codeSet" code_set: Vec<i32>,
        /// `TAG` or `SQL92`; null counts as `TAG`.
        "expressionType" expression_type: Option<String> = Some(EXPRESSION_TAG.to_owned()),
        /// Expression: `*`, tags joined by `||`, or SQL.
        "subString" sub_string: Option<String>,
        /// Version; the newest subscription of a group wins.
        "subVersion" sub_version: i64 = now_ms(),
        /// Tags.
        "tagsSet" tags_set: Vec<String>,
        /// Topic.
        "topic" topic: String,
    }
}

impl SubscriptionData {
    /// Whether the expression is one of tags (or `*`), not of another language.
    pub fn is_tag_type(&self) -> bool {
        is_tag_type(self.expression_type.as_deref())
    }

    /// Whether the expression is of this type.
    pub fn has_type(&self, kind: Option<&str>) -> bool {
        self.expression_type.as_deref() == kind || self.is_tag_type() && is_tag_type(kind)
    }
}

/// Whether an expression type means tags: absent, empty or `TAG`.
pub fn is_tag_type(expression_type: Option<&str>) -> bool {
    expression_type.is_none_or(|kind| kind.is_empty() || kind == EXPRESSION_TAG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson::Body;

    #[test]
    fn a_heartbeat_of_the_go_client_is_understood() {
        let body = br#"{"clientID":"10.0.0.1@7","consumerDataSet":[{"groupName":"G","consumeType":"CONSUME_PASSIVELY",
            "messageModel":"Clustering","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[
            {"classFilterMode":false,"topic":"T","subString":"A","tagsSet":["A"],"codeSet":["65"],
            "subVersion":1795219588153000000,"expressionType":"TAG"}],"unitMode":false}],"producerDataSet":[]}"#;
        let heartbeat = HeartbeatData::decode(body).unwrap();
        let consumer = &heartbeat.consumer_data_set[0];
        assert_eq!(consumer.message_model, Some(MessageModel::Clustering));
        assert_eq!(consumer.subscription_data_set[0].code_set, [65]);
        assert_eq!(consumer.subscription_data_set[0].sub_version, 1_795_219_588_153_000_000);
        assert_eq!(heartbeat.heartbeat_fingerprint, 0);
    }

    #[test]
    fn an_unknown_constant_is_null() {
        let consumer = ConsumerData::decode(br#"{"groupName":"G","messageModel":"LATER","consumeType":1}"#).unwrap();
        assert_eq!(consumer.message_model, None);
        assert_eq!(consumer.consume_type, Some(ConsumeType::ConsumePassively));
    }
}
