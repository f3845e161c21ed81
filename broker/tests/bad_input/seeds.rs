//! A valid request of each code that clients send, as far as possible about something that is there.

use bytes::Bytes;
use hypergol_remoting::message::{BatchPart, RecallHandle, append_batch_part};
use hypergol_remoting::{RemotingCommand, RequestCode as R};

use crate::common::pops::{Pop, handle_request, popped};
use crate::common::{Pull, TestBroker, field, send_header, send_with};

/// Properties as they travel.
pub fn properties(entries: &[(&str, &str)]) -> String {
    entries.iter().map(|(name, value)| format!("{name}\u{1}{value}\u{2}")).collect()
}

pub fn ask(code: R, fields: &[(&str, &str)]) -> RemotingCommand {
    fields.iter().fold(RemotingCommand::request(code), |request, (name, value)| request.with_field(name, value))
}

fn with_body(code: R, body: &str) -> RemotingCommand {
    RemotingCommand::request(code).with_body(body.as_bytes().to_vec())
}

/// The group L, which is bound to the parent topic P.
const GROUP: &str = r#"{"groupName":"L","attributes":{"+lite.bind.topic":"P"}}"#;

fn topic(name: &str, attributes: &str) -> RemotingCommand {
    let fields = [
        ("topic", name),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "4"),
        ("writeQueueNums", "4"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
        ("attributes", attributes),
    ];
    ask(R::UpdateAndCreateTopic, &fields)
}

fn static_topic() -> RemotingCommand {
    let mapping = concat!(
        r#"{"bname":"broker-a","epoch":1,"hostedQueues":{0:[{"bname":"broker-a","gen":0,"logicOffset":0,"queueId":0,"#,
        r#""startOffset":0,"endOffset":-1}]},"scope":"__global__","topic":"S","totalQueues":1,"dirty":false}"#
    );
    let mut request = topic("S", "").with_field("force", "false").with_body(mapping);
    request.code = R::UpdateAndCreateStaticTopic as i32;
    request
}

/// Makes topics of each kind: T, the priority topic Q, the batch topic B, the compacted topic C, the parent P of lite
/// topics, and the static topic S.
pub async fn prepare(broker: &TestBroker) {
    let requests = [
        topic("T", ""),
        topic("Keep", ""),
        topic("Later", ""),
        topic("Q", "+message.type=PRIORITY"),
        topic("B", "+queue.type=BatchCQ"),
        topic("C", "+cleanup.policy=COMPACTION"),
        topic("P", "+message.type=LITE,+lite.topic.expiration=60"),
        with_body(R::UpdateAndCreateSubscriptionGroup, GROUP),
        static_topic(),
    ];
    for request in requests {
        let answer = broker.call(request).await;
        assert_eq!(answer.code, 0, "{answer:?}");
    }
}

/// Valid requests of all codes; some of them are sent once to learn handles.
pub async fn valid(broker: &TestBroker) -> Vec<RemotingCommand> {
    let mut seeds = sends();
    seeds.extend(offsets());
    seeds.extend(clients());
    seeds.extend(administration());
    seeds.extend(pops(broker).await);
    seeds.extend(lite(broker).await);
    seeds.push(transaction(broker).await);
    seeds.push(recall(broker).await);
    seeds
}

fn sends() -> Vec<RemotingCommand> {
    let mut seeds = Vec::new();
    for (topic, marks) in [
        ("T", vec![("TAGS", "a"), ("UNIQ_KEY", "u"), ("KEYS", "k1 k2")]),
        ("T", vec![("TIMER_DELAY_SEC", "3600"), ("UNIQ_KEY", "u")]),
        ("T", vec![("DELAY", "18")]),
        ("T", vec![("TRAN_MSG", "true"), ("PGROUP", "pg"), ("UNIQ_KEY", "u")]),
        ("T", vec![("INNER_MULTI_DISPATCH", "%LMQ%a,%LMQ%b")]),
        ("%RETRY%G", vec![("RETRY_TOPIC", "T"), ("UNIQ_KEY", "u")]),
        ("Q", vec![("_SYS_MSG_PRIORITY_", "2")]),
        ("B", vec![("UNIQ_KEY", "u")]),
        ("C", vec![("KEYS", "k")]),
        ("P", vec![("__LITE_TOPIC", "l")]),
        ("S", vec![("UNIQ_KEY", "u")]),
    ] {
        let marks = properties(&marks);
        let header = send_header(topic, &marks);
        seeds.push(send_with(&header, "body"));
        let mut one = RemotingCommand::request(R::SendMessage).with_body("body");
        let names = [
            "producerGroup",
            "topic",
            "defaultTopic",
            "defaultTopicQueueNums",
            "queueId",
            "sysFlag",
            "bornTimestamp",
            "flag",
            "properties",
            "reconsumeTimes",
            "unitMode",
            "consumeRetryTimes",
            "batch",
        ];
        let values = ["pg", topic, "TBW102", "4", "0", "0", "1700000000000", "0", &marks, "0", "false", "3", "false"];
        for (name, value) in names.iter().zip(values) {
            one.fields.push_str(name, value);
        }
        seeds.push(one);
    }
    for topic in ["T", "B"] {
        let mut body = Vec::new();
        for text in ["x", "y", "z"] {
            let marks = properties(&[("KEYS", text)]);
            assert!(append_batch_part(
                &mut body,
                &BatchPart { flag: 1, body: text.as_bytes(), properties: marks.as_bytes() }
            ));
        }
        let marks = properties(&[("UNIQ_KEY", "u"), ("INNER_NUM", "3")]);
        let header =
            hypergol_remoting::protocol::header::send::SendMessageRequest { batch: true, ..send_header(topic, &marks) };
        let mut batch = send_with(&header, Bytes::from(body));
        batch.code = R::SendBatchMessage as i32;
        seeds.push(batch);
    }
    let marks = properties(&[("CORRELATION_ID", "c"), ("REPLY_TO_CLIENT", "client"), ("UNIQ_KEY", "u")]);
    let mut reply = send_with(&send_header("DefaultCluster_REPLY_TOPIC", &marks), "reply");
    reply.code = R::SendReplyMessageV2 as i32;
    seeds.push(reply);
    seeds.push(ask(
        R::ConsumerSendMsgBack,
        &[
            ("offset", "0"),
            ("group", "G"),
            ("delayLevel", "18"),
            ("originMsgId", "7F00000100002A9F0000000000000000"),
            ("originTopic", "T"),
            ("unitMode", "false"),
            ("maxReconsumeTimes", "16"),
        ],
    ));
    seeds
}

fn offsets() -> Vec<RemotingCommand> {
    let mut seeds = Vec::new();
    for (topic, expression, kind) in [
        ("T", "*", "TAG"),
        ("T", "a in ('x', 'y') and b between 1 and 3", "SQL92"),
        ("B", "*", "TAG"),
        ("C", "*", "TAG"),
        ("S", "*", "TAG"),
        ("%LMQ%a", "*", "TAG"),
    ] {
        let pull = Pull { group: "G", topic, flags: 5, subscription: expression, ..Pull::default() };
        let pull = pull.request().with_field("expressionType", kind).with_field("maxMsgBytes", "1000");
        let mut lite = pull.clone();
        lite.code = R::LitePullMessage as i32;
        seeds.push(pull.with_field("lo", "true"));
        seeds.push(lite);
    }
    for topic in ["T", "B", "C", "S", "P"] {
        let place = [("topic", topic), ("queueId", "0"), ("consumerGroup", "G")];
        for code in [R::GetMaxOffset, R::GetMinOffset, R::GetEarliestMsgStoreTime, R::QueryConsumerOffset] {
            seeds.push(ask(code, &place).with_field("committed", "true").with_field("setZeroIfNotFound", "true"));
        }
        seeds.push(ask(R::UpdateConsumerOffset, &place).with_field("commitOffset", "1"));
        let search = ask(R::SearchOffsetByTimestamp, &place).with_field("timestamp", "1700000000000");
        seeds.push(search.with_field("boundaryType", "upper"));
    }
    seeds.push(ask(
        R::QueryMessage,
        &[
            ("topic", "T"),
            ("key", "k1"),
            ("maxNum", "32"),
            ("beginTimestamp", "0"),
            ("endTimestamp", "9999999999999"),
            ("indexType", "K"),
            ("_UNIQUE_KEY_QUERY", "false"),
        ],
    ));
    seeds.push(ask(R::ViewMessageById, &[("topic", "T"), ("offset", "0")]));
    seeds
}

/// What administrators ask, and change.
fn administration() -> Vec<RemotingCommand> {
    let names = [
        ("topic", "T"),
        ("consumerGroup", "G"),
        ("group", "G"),
        ("compareGroup", "G"),
        ("filterGroups", "H"),
        ("topicList", "T;B"),
        ("isOrder", "false"),
        ("queueId", "0"),
        ("index", "0"),
        ("count", "10"),
        ("timestamp", "1700000000000"),
        ("offset", "1"),
        ("isForce", "true"),
        ("srcGroup", "G"),
        ("destGroup", "H"),
        ("offline", "false"),
        ("statsName", "TOPIC_PUT_NUMS"),
        ("statsKey", "T"),
    ];
    let codes = [
        R::GetConsumeStats,
        R::GetBrokerConsumeStats,
        R::QueryConsumeTimeSpan,
        R::GetTopicStatsInfo,
        R::QueryConsumeQueue,
        R::QueryCorrectionOffset,
        R::CloneGroupOffset,
        R::InvokeBrokerToResetOffset,
        R::GetAllConsumerOffset,
        R::GetAllDelayOffset,
        R::GetTimerCheckPoint,
        R::GetTimerMetrics,
        R::ViewBrokerStatsData,
    ];
    let mut seeds: Vec<_> = codes.into_iter().map(|code| ask(code, &names)).collect();
    seeds.push(topic("made", "+message.type=NORMAL"));
    seeds.push(static_topic());
    seeds.push(with_body(R::UpdateAndCreateSubscriptionGroup, GROUP));
    let mode = r#"{"consumerGroup":"M","mode":"POP","popShareQueueNum":1,"topic":"T"}"#;
    seeds.push(with_body(R::SetMessageRequestMode, mode));
    seeds.push(ask(R::ResumeCheckHalfMessage, &[("topic", "T"), ("msgId", "7F00000100002A9F0000000000000000")]));
    seeds
}

fn clients() -> Vec<RemotingCommand> {
    let subscription = |text: &str, kind: &str| {
        format!(
            r#"{{"classFilterMode":false,"codeSet":[1],"expressionType":"{kind}","subString":"{text}","subVersion":7,"tagsSet":["x"],"topic":"T"}}"#
        )
    };
    let consumer = |group: &str, subscription: &str| {
        format!(
            r#"{{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"{group}","messageModel":"CLUSTERING","subscriptionDataSet":[{subscription}],"unitMode":false}}"#
        )
    };
    let heartbeat = format!(
        r#"{{"clientID":"client","consumerDataSet":[{},{}],"heartbeatFingerprint":0,"producerDataSet":[{{"groupName":"pg"}}],"withoutSub":false}}"#,
        consumer("G", &subscription("x", "TAG")),
        consumer("H", &subscription("a > 1 and (b is null or c contains 'x')", "SQL92"))
    );
    let queues =
        r#"[{"brokerName":"broker-a","queueId":0,"topic":"T"},{"brokerName":"broker-a","queueId":1,"topic":"T"}]"#;
    let lock = format!(r#"{{"clientId":"client","consumerGroup":"G","mqSet":{queues},"onlyThisBroker":true}}"#);
    vec![
        with_body(R::HeartBeat, &heartbeat),
        ask(R::UnregisterClient, &[("clientID", "client"), ("producerGroup", "pg"), ("consumerGroup", "H")]),
        ask(R::GetConsumerListByGroup, &[("consumerGroup", "G")]),
        with_body(R::LockBatchMq, &lock),
        with_body(R::UnlockBatchMq, &lock),
        with_body(
            R::CheckClientConfig,
            &format!(
                r#"{{"clientId":"client","group":"G","namespace":"","subscriptionData":{}}}"#,
                subscription("a between 1 and 3 or not (b like '%')", "SQL92")
            ),
        ),
        with_body(
            R::QueryAssignment,
            r#"{"clientId":"client","consumerGroup":"G","messageModel":"CLUSTERING","strategyName":"AVG","topic":"T"}"#,
        ),
        ask(R::GetRouteInfoByTopic, &[("topic", "T"), ("acceptStandardJsonOnly", "true")]),
    ]
}

async fn pops(broker: &TestBroker) -> Vec<RemotingCommand> {
    let mut seeds = Vec::new();
    for order in ["false", "true"] {
        let extra = vec![("order", order), ("attemptId", "a"), ("expType", "TAG"), ("exp", "*")];
        let pop = Pop { invisible_ms: 30_000, messages: 2, extra, ..Pop::default() };
        for n in 0..4 {
            let mut header = send_header("T", "");
            header.queue_id = n;
            broker.call(send_with(&header, "popped")).await;
        }
        seeds.push(pop.request());
        let answer = broker.call(Pop { poll_ms: 200, ..pop }.request()).await;
        if answer.code != 0 || field(&answer, "startOffsetInfo").is_empty() {
            continue;
        }
        let mut acks = Vec::new();
        for message in popped(&answer) {
            seeds.push(handle_request(R::AckMessage, &message));
            let change = handle_request(R::ChangeMessageInvisibleTime, &message);
            seeds.push(change.with_field("invisibleTime", "20000").with_field("suspend", "false"));
            let handle = &message.handle;
            acks.push(format!(
                r#"{{"b":"BQ==","c":"G","it":{},"pt":{},"q":{},"r":"0","rq":{},"so":{},"t":"T"}}"#,
                handle.invisible_time, handle.pop_time, handle.queue_id, handle.revive_qid, handle.start_offset
            ));
        }
        let body = format!(r#"{{"acks":[{}],"brokerName":"broker-a"}}"#, acks.join(","));
        seeds.push(with_body(R::BatchAckMessage, &body));
    }
    let place = [("topic", "T"), ("consumerGroup", "G"), ("queueId", "-1"), ("bornTime", "0")];
    let notification = ask(R::Notification, &place).with_field("pollTime", "100").with_field("order", "false");
    seeds.push(notification.with_field("attemptId", "a").with_field("expType", "TAG").with_field("exp", "*"));
    seeds.push(ask(R::PollingInfo, &place));
    let peek = ask(R::PeekMessage, &place).with_field("maxMsgNums", "8");
    seeds.push(peek);
    seeds
}

async fn lite(broker: &TestBroker) -> Vec<RemotingCommand> {
    let subscribe = with_body(
        R::LiteSubscriptionCtl,
        r#"{"subscriptionSet":[{"action":"PARTIAL_ADD","clientId":"lc","group":"L","topic":"P","liteTopicSet":["l","m"],"version":1,"offsetOption":{"type":"POLICY","value":0}}]}"#,
    );
    broker.call(subscribe.clone()).await;
    broker.call(send_with(&send_header("P", &properties(&[("__LITE_TOPIC", "l")])), "lite")).await;
    let fields = [
        ("clientId", "lc"),
        ("consumerGroup", "L"),
        ("topic", "P"),
        ("maxMsgNum", "4"),
        ("invisibleTime", "1000"),
        ("pollTime", "500"),
        ("bornTime", "0"),
        ("attemptId", "a"),
    ];
    let pop = ask(R::PopLiteMessage, &fields);
    let answer = broker.call(pop.clone()).await;
    let mut seeds = vec![subscribe, pop];
    let handle = format!(
        "0 {} 1000 {} 0 broker-a 0 0",
        answer.fields.get("popTime").unwrap_or("1700000000000"),
        answer.fields.get("reviveQid").unwrap_or("999")
    );
    let about = [
        ("consumerGroup", "L"),
        ("topic", "P"),
        ("queueId", "0"),
        ("extraInfo", handle.as_str()),
        ("offset", "0"),
        ("liteTopic", "l"),
    ];
    seeds.push(ask(R::AckMessage, &about));
    seeds.push(
        ask(R::ChangeMessageInvisibleTime, &about).with_field("invisibleTime", "2000").with_field("suspend", "true"),
    );
    let names = [
        ("parentTopic", "P"),
        ("topic", "P"),
        ("liteTopic", "l"),
        ("group", "L"),
        ("clientId", "lc"),
        ("maxCount", "9"),
        ("topK", "3"),
    ];
    for code in [
        R::GetBrokerLiteInfo,
        R::GetParentTopicInfo,
        R::GetLiteTopicInfo,
        R::GetLiteClientInfo,
        R::GetLiteGroupInfo,
        R::TriggerLiteDispatch,
    ] {
        seeds.push(ask(code, &names));
    }
    seeds
}

/// Sends a half message and returns its commit.
async fn transaction(broker: &TestBroker) -> RemotingCommand {
    let marks = properties(&[("TRAN_MSG", "true"), ("PGROUP", "pg"), ("UNIQ_KEY", "half")]);
    let mut header = send_header("T", &marks);
    header.sys_flag = 4;
    let answer = broker.call(send_with(&header, "half")).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    let offset = i64::from_str_radix(&field(&answer, "msgId")[16..], 16).unwrap().to_string();
    ask(
        R::EndTransaction,
        &[
            ("topic", "T"),
            ("producerGroup", "pg"),
            ("tranStateTableOffset", field(&answer, "queueOffset")),
            ("commitLogOffset", &offset),
            ("commitOrRollback", "8"),
            ("fromTransactionCheck", "false"),
            ("msgId", "half"),
            ("transactionId", "half"),
        ],
    )
}

/// Sends a message that is due in an hour and returns the request that takes it back.
async fn recall(broker: &TestBroker) -> RemotingCommand {
    let marks = properties(&[("TIMER_DELAY_SEC", "3600"), ("UNIQ_KEY", "recalled")]);
    let answer = broker.call(send_with(&send_header("T", &marks), "recalled")).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    let handle = field(&answer, "recallHandle");
    assert!(handle.parse::<RecallHandle>().is_ok());
    ask(R::RecallMessage, &[("producerGroup", "pg"), ("topic", "T"), ("recallHandle", handle)])
}
