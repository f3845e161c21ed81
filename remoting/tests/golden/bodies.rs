//! Every JSON body: the text is decoded and written again, and must be the same bytes.

use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::fastjson::{Body, JsonError, Style, ToJson, Value, Writer};

use crate::{hex, lines, text};

macro_rules! bodies {
    ($($family:ident: $($body:ident)*;)*) => {
        /// Decodes a body of a class and writes it again; `None` if the class is not known.
        fn copy(class: &str, text: &str, style: Style) -> Option<Result<String, JsonError>> {
            fn through<B: Body>(text: &str, style: Style) -> Result<String, JsonError> {
                Ok(write(&B::decode(text.as_bytes())?, style))
            }
            Some(match class {
                $($(stringify!($body) => {
                    through::<hypergol_remoting::protocol::body::$family::$body>(text, style)
                })*)*
                "TransactionMetrics$TransactionMetricsSerializeWrapper" => {
                    return copy("TransactionMetricsSerializeWrapper", text, style);
                }
                "TimerMetrics$TimerMetricsSerializeWrapper" => {
                    return copy("TimerMetricsSerializeWrapper", text, style);
                }
                "MessageRequestModeManager" => return copy("MessageRequestModeSerializeWrapper", text, style),
                _ => return None,
            })
        }
    };
}

bodies! {
    assignment: QueryAssignmentRequestBody QueryAssignmentResponseBody SetMessageRequestModeRequestBody MessageRequestModeSerializeWrapper CheckClientRequestBody QuerySubscriptionResponseBody;
    auth: UserInfo AclInfo;
    connection: Connection ConsumerConnection ProducerConnection ProducerTableInfo GetConsumerListByGroupResponseBody;
    group: SubscriptionGroupConfig SubscriptionGroupWrapper SubscriptionGroupList GroupList GroupForbidden;
    ha: HARuntimeInfo EpochEntryCache EpochEntry SyncStateSet ElectMasterResponseBody BrokerReplicasInfo;
    heartbeat: HeartbeatData SubscriptionData;
    kv: KVTable KVConfigSerializeWrapper;
    lite: LiteSubscriptionCtlRequestBody GetBrokerLiteInfoResponseBody GetParentTopicInfoResponseBody GetLiteTopicInfoResponseBody GetLiteClientInfoResponseBody GetLiteGroupInfoResponseBody;
    lock: LockBatchRequestBody LockBatchResponseBody UnlockBatchRequestBody;
    message_queue: MessageQueue;
    offset: TopicStatsTable TopicOffset ConsumeStats OffsetWrapper ConsumeStatsList ConsumerOffsetSerializeWrapper DelayOffsetSerializeWrapper ResetOffsetBody ResetOffsetBodyForC GetConsumerStatusBody QueryCorrectionOffsetBody;
    pop: BatchAckMessageRequestBody BatchAck AckMsg BatchAckMsg PopCheckPoint;
    register: RegisterBrokerBody;
    route: TopicRouteData ClusterInfo BrokerMemberGroup GetBrokerMemberGroupResponseBody;
    running: ConsumerRunningInfo ConsumeMessageDirectlyResult;
    stats: BrokerStatsData QueryConsumeTimeSpanBody QueryConsumeQueueResponseBody CheckRocksdbCqWriteResult TimerMetricsSerializeWrapper TransactionMetricsSerializeWrapper OffsetMovedEvent;
    topic: TopicConfig TopicConfigAndQueueMapping DataVersion TopicConfigSerializeWrapper TopicConfigAndMappingSerializeWrapper TopicQueueMappingSerializeWrapper CreateTopicListRequestBody TopicList TopicQueueMappingInfo TopicQueueMappingDetail;
}

/// Classes that only the broker's own files have.
const ELSEWHERE: [&str; 1] = ["ConsumerOffsetManager"];

fn write(value: &impl ToJson, style: Style) -> String {
    String::from_utf8(Writer::write(value, style)).unwrap()
}

/// The text with the entries of every object sorted; where `trim` is set, without what a default brings in: empty
/// lists and objects, and the present time.
fn canonical(text: &str, trim: bool) -> String {
    fn sort(value: &mut Value, trim: bool) {
        match value {
            Value::Object(entries) => {
                entries.iter_mut().for_each(|(_, value)| sort(value, trim));
                entries.retain(|(key, value)| !trim || !(is_empty(value) || key == "timestamp"));
                entries.sort_by(|a, b| a.0.cmp(&b.0));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| sort(item, trim)),
            Value::Null | Value::Scalar { .. } => {}
        }
    }
    fn is_empty(value: &Value) -> bool {
        match value {
            Value::Object(entries) => entries.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Null | Value::Scalar { .. } => false,
        }
    }
    let mut value = Value::decode(text.as_bytes()).unwrap();
    sort(&mut value, trim);
    write(&value, Style::COMPACT)
}

#[test]
fn every_body_of_java_is_read_and_written_as_the_same_bytes() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for line in lines("bodies.jsonl") {
        let (class, variant, form) = (text(&line, "class"), text(&line, "variant"), text(&line, "form"));
        if form == "deflated" || ELSEWHERE.contains(&class) {
            continue;
        }
        let style = if form == "json" { Style::COMPACT } else { Style::QUOTED_KEYS };
        let java = text(&line, "text");
        let ours = copy(class, java, style).unwrap_or_else(|| panic!("{class} is not known"));
        let ours = ours.unwrap_or_else(|error| panic!("{class} {variant}: {error}"));
        seen += 1;
        if ours == java {
            continue;
        }
        // Java's hash maps give their entries in no order; a null may come back as an empty collection.
        let trim = matches!(variant, "default" | "nulls");
        let java = match text(&line, "read_back") {
            read_back if variant == "nulls" && read_back != "same" => read_back,
            _ => java,
        };
        if canonical(&ours, trim) != canonical(java, trim) || !(trim || matches!(variant, "two" | "edge")) {
            wrong.push(format!("{class} {variant}\n ours {ours}\n java {java}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 380, "only {seen} lines");
}

#[test]
fn deflated_registrations_are_read() {
    let mut seen = 0;
    for line in lines("bodies.jsonl").iter().filter(|line| line["form"] == "deflated") {
        let body = hex(text(line, "hex"));
        assert_eq!(crc32fast::hash(&body) & 0x7fff_ffff, line["crc32"].as_u64().unwrap() as u32);
        let register = RegisterBrokerBody::decode_any(&body).unwrap();
        let topics = &register.topic_config_serialize_wrapper.topic_config_table;
        let expected = line["fields"]["topicConfigSerializeWrapper"]["topicConfigTable"].as_object().unwrap();
        assert_eq!(topics.len(), expected.len());
        let again = RegisterBrokerBody::decode_any(&register.encode_compressed().unwrap()).unwrap();
        assert_eq!(again.topic_config_serialize_wrapper.topic_config_table, *topics);
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn what_java_reads_we_read_as_java_does() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for line in lines("tolerance.jsonl").iter().filter(|line| line["kind"] == "body") {
        let (class, what, input) = (text(line, "class"), text(line, "what"), text(line, "text"));
        let Some(expected) = line["reads_as"].as_str() else { continue };
        // Sets are lists here; whoever needs one without doubles makes it so.
        if what == "element twice in a set" {
            continue;
        }
        let ours = copy(class, input, Style::COMPACT).unwrap_or_else(|| panic!("{class} is not known"));
        let ours = ours.unwrap_or_else(|error| format!("\"{error}\""));
        if canonical(&ours, true) != canonical(expected, true) {
            wrong.push(format!("{class} {what}: {input}\n ours {ours}\n java {expected}"));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 30, "only {seen} lines");
}
