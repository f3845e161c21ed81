//! Administration through the socket.

mod support;

use hypergol_remoting::protocol::body::kv::KVTable;
use hypergol_remoting::protocol::body::topic::{TopicConfig, TopicConfigAndMappingSerializeWrapper};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode as R, ResponseCode};
use support::{Client, Node, seen, wait_until};

fn create(client: &mut Client, topic: &str, queues: &str, attributes: &str) -> RemotingCommand {
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", queues),
        ("writeQueueNums", queues),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
        ("attributes", attributes),
    ];
    client.call(R::UpdateAndCreateTopic, &fields, "")
}

fn topic(client: &mut Client, name: &str) -> Option<TopicConfig> {
    let answer = client.call(R::GetTopicConfig, &[("topic", name)], "");
    (answer.code == 0).then(|| TopicConfig::decode(&answer.body).unwrap())
}

#[test]
fn topics_are_created_changed_listed_and_deleted() {
    let node = Node::start();
    let mut client = node.connect();
    assert_eq!(seen(&create(&mut client, "T", "4", "+message.type=FIFO")), (0, None, String::new()));
    let created = topic(&mut client, "T").unwrap();
    assert_eq!((created.read_queue_nums, created.attributes["message.type"].as_str()), (4, "FIFO"));
    // The same again changes nothing but is no error; the attribute is altered, then removed.
    assert_eq!(create(&mut client, "T", "4", "+message.type=FIFO").code, 0);
    assert_eq!(create(&mut client, "T", "8", "-message.type").code, 0);
    let changed = topic(&mut client, "T").unwrap();
    assert_eq!((changed.write_queue_nums, changed.attributes.len()), (8, 0));

    let all = client.call(R::GetAllTopicConfig, &[], "");
    let table = TopicConfigAndMappingSerializeWrapper::decode(&all.body).unwrap();
    assert_eq!(table.topic_config_table["T"], changed);
    assert_eq!(all.fields.get("totalTopicNum"), Some(table.topic_config_table.len().to_string().as_str()));

    node.store("T", 3, b"body", &[]);
    wait_until(|| node.broker.store.max_offset("T", 3) == 1);
    let stats = seen(&client.call(R::GetTopicStatsInfo, &[("topic", "T")], "")).2;
    let queue = r#"{"brokerName":"broker-a","queueId":3,"topic":"T"}:{"lastUpdateTimestamp":"#;
    assert!(stats.contains(queue) && stats.contains(r#","maxOffset":1,"minOffset":0}"#), "{stats}");

    assert_eq!(client.call(R::DeleteTopicInBroker, &[("topic", "T")], "").code, 0);
    assert!(topic(&mut client, "T").is_none());
    assert_eq!(node.broker.store.max_offset("T", 3), 0, "its queues are gone");
    let answer = client.call(R::GetTopicStatsInfo, &[("topic", "T")], "");
    assert_eq!(seen(&answer), (17, Some("topic[T] not exist"), String::new()));
}

#[test]
fn what_a_topic_cannot_be_is_refused_before_a_file_is_touched() {
    let node = Node::start();
    let mut client = node.connect();
    let long = "t".repeat(128);
    for (name, queues, attributes, code) in [
        ("../../etc", "4", "", ResponseCode::InvalidParameter),
        ("a/b", "4", "", ResponseCode::InvalidParameter),
        ("", "4", "", ResponseCode::InvalidParameter),
        (long.as_str(), "4", "", ResponseCode::InvalidParameter),
        ("SCHEDULE_TOPIC_XXXX", "4", "", ResponseCode::InvalidParameter),
        ("TBW102", "4", "", ResponseCode::InvalidParameter),
        ("T", "-1", "", ResponseCode::InvalidParameter),
        ("T", "2000000000", "", ResponseCode::InvalidParameter),
        ("T", "many", "", ResponseCode::SystemError),
        ("T", "4", "+message.type=MIXED", ResponseCode::InvalidParameter),
        ("T", "4", "+no.such=1", ResponseCode::SystemError),
        ("T", "4", "-message.type", ResponseCode::SystemError),
    ] {
        let answer = create(&mut client, name, queues, attributes);
        assert_eq!(answer.code, code as i32, "{name:?} {queues} {attributes} {:?}", answer.remark);
        assert!(answer.remark.is_some());
    }
    let fields = [
        ("topic", "T"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "4"),
        ("writeQueueNums", "4"),
        ("perm", "6"),
        ("topicFilterType", "NO_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    let answer = client.call(R::UpdateAndCreateTopic, &fields, "");
    assert_eq!(seen(&answer), (1, Some("topicFilterType = [NO_TAG] value invalid"), String::new()));
    assert!(topic(&mut client, "T").is_none());
    let list = r#"{"topicConfigList":[{"topicName":"U"},{"topicName":"a/b"}]}"#;
    assert_eq!(client.call(R::UpdateAndCreateTopicList, &[], list).code, 29);
    assert!(topic(&mut client, "U").is_none(), "all or none");
    assert_eq!(client.call(R::UpdateAndCreateTopicList, &[], "[not json").code, 1);
    for name in ["TBW102", "SCHEDULE_TOPIC_XXXX", "  "] {
        assert_eq!(client.call(R::DeleteTopicInBroker, &[("topic", name)], "").code, 29, "{name}");
    }
}

#[test]
fn groups_are_created_forbidden_and_deleted() {
    let node = Node::start();
    let mut client = node.connect();
    let answer = client.call(R::UpdateAndCreateSubscriptionGroup, &[], r#"{"groupName":"G","retryMaxTimes":3}"#);
    assert_eq!(seen(&answer), (0, None, String::new()));
    let group = seen(&client.call(R::GetSubscriptionGroupConfig, &[("group", "G")], "")).2;
    assert!(group.contains(r#""retryMaxTimes":3"#), "{group}");
    let answer = client.call(R::UpdateAndCreateSubscriptionGroup, &[], r#"{"groupName":"a/b"}"#);
    assert_eq!(answer.code, 29);

    let forbid = |client: &mut Client, readable: &str| {
        let fields = [("group", "G"), ("topic", "T"), ("readable", readable)];
        seen(&client.call(R::UpdateAndGetGroupForbidden, &fields, "")).2
    };
    assert_eq!(forbid(&mut client, "false"), r#"{"group":"G","readable":false,"topic":"T"}"#);
    assert!(node.broker.groups.is_forbidden("G", "T", hypergol_broker::groups::FORBIDDEN_READ));
    assert_eq!(forbid(&mut client, "true"), r#"{"group":"G","readable":true,"topic":"T"}"#);

    node.broker.offsets.commit("T", "G", 0, 5, 500);
    let fields = [("groupName", "G"), ("cleanOffset", "true")];
    assert_eq!(client.call(R::DeleteSubscriptionGroup, &fields, "").code, 0);
    assert!(node.broker.groups.get("G").is_none());
    assert!(node.broker.offsets.topics_of("G").is_empty());
}

#[test]
fn attributes_of_a_group_are_altered_not_replaced() {
    let node = Node::start();
    let mut client = node.connect();
    let mut update = |attributes: &str| {
        let body = format!(r#"{{"groupName":"G","attributes":{{{attributes}}}}}"#);
        let answer = client.call(R::UpdateAndCreateSubscriptionGroup, &[], body);
        let kept = node.broker.groups.get("G").map(|group| group.attributes.clone());
        let kept: Vec<String> = kept.into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
        (answer.code, kept.join(","))
    };
    assert_eq!(update(r#""+no.such":"1""#), (1, String::new()), "not created either");
    assert_eq!(update(r#""+priority.factor":"101""#), (1, String::new()));
    assert_eq!(update(r#""+priority.factor":"50""#), (0, "priority.factor=50".to_owned()));
    assert_eq!(update(""), (0, "priority.factor=50".to_owned()), "no change of attributes");
    assert_eq!(update(r#""+lite.sub.wildcard":"x""#), (0, "lite.sub.wildcard=x,priority.factor=50".to_owned()));
    assert_eq!(update(r#""-priority.factor":"""#), (0, "lite.sub.wildcard=x".to_owned()));
}

#[test]
fn offsets_are_told_reset_and_cloned() {
    let node = Node::start();
    let mut client = node.connect();
    create(&mut client, "T", "2", "");
    client.call(R::UpdateAndCreateSubscriptionGroup, &[], r#"{"groupName":"G"}"#);
    let times: Vec<i64> = (0..5).map(|_| node.store("T", 0, b"x", &[]).store_timestamp).collect();
    wait_until(|| node.broker.store.max_offset("T", 0) == 5);
    let queue = [("topic", "T"), ("queueId", "0")];
    let offset = |answer: RemotingCommand| answer.fields.get("offset").map(str::to_owned);
    assert_eq!(offset(client.call(R::GetMaxOffset, &queue, "")).as_deref(), Some("5"));
    assert_eq!(offset(client.call(R::GetMinOffset, &queue, "")).as_deref(), Some("0"));
    let time = times[0].to_string();
    let by_time = [("topic", "T"), ("queueId", "0"), ("timestamp", time.as_str())];
    assert_eq!(offset(client.call(R::SearchOffsetByTimestamp, &by_time, "")).as_deref(), Some("0"));
    let earliest = client.call(R::GetEarliestMsgStoreTime, &queue, "");
    assert_eq!(earliest.fields.get("timestamp"), Some(time.as_str()));

    node.broker.offsets.commit("T", "G", 0, 4, 500);
    let reset = [("topic", "T"), ("group", "G"), ("timestamp", "-1"), ("isForce", "true")];
    let body = seen(&client.call(R::InvokeBrokerToResetOffset, &reset, "")).2;
    let expected = concat!(
        r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:5,"#,
        r#"{"brokerName":"broker-a","queueId":1,"topic":"T"}:0}}"#
    );
    assert_eq!(body, expected);
    assert_eq!(node.broker.offsets.take_reset("T", "G", 0), Some(5), "the next pull takes it up");
    for (field, value, code) in [("topic", "nowhere", 17), ("group", "nobody", 26)] {
        let fields: Vec<_> = reset.iter().map(|(k, v)| (*k, if *k == field { value } else { *v })).collect();
        assert_eq!(client.call(R::InvokeBrokerToResetOffset, &fields, "").code, code);
    }

    node.broker.offsets.pulled("T", "G", 0, 5);
    let all = seen(&client.call(R::GetAllConsumerOffset, &[], "")).2;
    let tables = r#""groupTopicMap":{"G":["T"]},"offsetTable":{"T@G":{0:5,1:0}},"pullOffsetTable":{"T@G":{0:5}}}"#;
    assert!(all.ends_with(tables), "{all}");

    let clone = [("srcGroup", "G"), ("destGroup", "H"), ("topic", "T")];
    assert_eq!(client.call(R::CloneGroupOffset, &clone, "").code, 0);
    assert_eq!(node.broker.offsets.of("T", "H"), node.broker.offsets.of("T", "G"));
    let groups = seen(&client.call(R::QueryTopicConsumeByWho, &[("topic", "T")], "")).2;
    assert_eq!(groups, r#"{"groupList":["G","H"]}"#);
    let stats = seen(&client.call(R::GetConsumeStats, &[("consumerGroup", "G")], "")).2;
    assert!(stats.contains(r#""brokerOffset":5"#), "{stats}");
    let units =
        client.call(R::QueryConsumeQueue, &[("topic", "T"), ("queueId", "0"), ("index", "3"), ("count", "9")], "");
    let body = seen(&units).2;
    assert_eq!(body.matches("physicOffset").count(), 2, "{body}");
}

#[test]
fn the_configuration_is_told_and_changed() {
    let node = Node::start();
    let mut client = node.connect();
    let answer = client.call(R::GetBrokerConfig, &[], "");
    let text = seen(&answer).2;
    assert!(text.lines().any(|line| line == "brokerName=broker-a"), "{text}");
    assert!(text.lines().is_sorted());
    // As in Java, access control is no part of what is told.
    assert!(!text.contains("authenticationEnabled") && !text.contains("\nbrokerConfigPath="), "{text}");
    let version = answer.fields.get("version").unwrap().to_owned();

    assert_eq!(client.call(R::UpdateBrokerConfig, &[], "longPollingEnable=false\nnoSuchKey=1\n").code, 0);
    assert!(!node.broker.config().broker.long_polling_enable);
    let answer = client.call(R::GetBrokerConfig, &[], "");
    assert!(seen(&answer).2.lines().any(|line| line == "longPollingEnable=false"));
    assert_ne!(answer.fields.get("version"), Some(version.as_str()));

    for (body, code) in [
        ("configBlackList=x", 16),
        ("brokerConfigPath=/etc/passwd", 16),
        ("rocketmqHome=/", 16),
        ("longPollingEnable=perhaps", 1),
    ] {
        let answer = client.call(R::UpdateBrokerConfig, &[], body);
        assert_eq!(answer.code, code, "{body}: {:?}", answer.remark);
    }
    assert!(!node.broker.config().broker.long_polling_enable);
}

#[test]
fn runtime_figures_have_every_key_that_tools_read() {
    let node = Node::start();
    let mut client = node.connect();
    let answer = client.call(R::GetBrokerRuntimeInfo, &[], "");
    let table = KVTable::decode(&answer.body).unwrap().table;
    // What mqadmin clusterList and brokerStatus, dashboard and exporter look up.
    for key in "brokerVersionDesc brokerActive putTps getTransferredTps getTotalTps getFoundTps getMissTps \
        sendThreadPoolQueueSize pullThreadPoolQueueSize ackThreadPoolQueueSize sendThreadPoolQueueHeadWaitTimeMills \
        pullThreadPoolQueueHeadWaitTimeMills queryThreadPoolQueueHeadWaitTimeMills \
        ackThreadPoolQueueHeadWaitTimeMills sendThreadPoolQueueCapacity EndTransactionQueueSize \
        pageCacheLockTimeMills earliestMessageTimeStamp commitLogDiskRatio consumeQueueDiskRatio timerReadBehind \
        timerOffsetBehind timerCongestNum timerEnqueueTps timerDequeueTps msgPutTotalYesterdayMorning \
        msgPutTotalTodayMorning msgPutTotalTodayNow msgGetTotalYesterdayMorning msgGetTotalTodayMorning \
        msgGetTotalTodayNow dispatchBehindBytes dispatchMaxBuffer commitLogMinOffset commitLogMaxOffset \
        commitLogDirCapacity runtime bootTimestamp startAcceptSendRequestTimeStamp remainHowManyDataToFlush \
        remainTransientStoreBufferNumbs putMessageEntireTimeMax getMessageEntireTimeMax putMessageTimesTotal \
        putMessageFailedTimes putMessageSizeTotal putMessageAverageSize putMessageDistributeTime putLatency99 \
        putLatency999"
        .split_whitespace()
    {
        assert!(table.contains_key(key), "{key}");
    }
}

#[test]
fn times_and_addresses_look_like_javas() {
    let node = Node::start();
    let mut client = node.connect();
    create(&mut client, "T", "1", "");
    let span = seen(&client.call(R::QueryConsumeTimeSpan, &[("topic", "T"), ("group", "G")], "")).2;
    let time = span.split(r#""minTimeStampStr":""#).nth(1).unwrap().split('"').next().unwrap();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00#00:00:00:000");

    let heartbeat = r#"{"clientID":"c","producerDataSet":[{"groupName":"P"}]}"#;
    assert_eq!(client.call(R::HeartBeat, &[], heartbeat).code, 0);
    let producers = seen(&client.call(R::GetAllProducerInfo, &[], "")).2;
    assert!(producers.contains(r#""remoteIP":"/127.0.0.1:"#), "{producers}");
}

#[test]
fn a_master_without_slaves_tells_its_replication() {
    let node = Node::start();
    let mut client = node.connect();
    create(&mut client, "T", "1", "");
    node.store("T", 0, b"body", &[]);
    let end = node.broker.store.max_physical_offset();
    let answer = client.call(R::GetBrokerHaStatus, &[], "");
    let expected = concat!(
        r#"{"haClientRuntimeInfo":{"lastReadTimestamp":0,"lastWriteTimestamp":0,"masterFlushOffset":0,"maxOffset":0,"#,
        r#""transferredByteInSecond":0},"haConnectionInfo":[],"inSyncSlaveNums":0,"master":true,"#,
        r#""masterCommitLogMaxOffset":"#
    );
    assert!(end > 0);
    assert_eq!(seen(&answer), (0, None, format!("{expected}{end}}}")));
    let epochs = client.call(R::GetBrokerEpochCache, &[], "");
    assert_eq!(seen(&epochs), (1, Some("this request only for controllerMode "), String::new()));
}

#[test]
fn a_consumer_that_is_not_there_cannot_be_asked() {
    let node = Node::start();
    let mut client = node.connect();
    let fields = [("consumerGroup", "G"), ("clientId", "c"), ("jstackEnable", "false")];
    let answer = client.call(R::GetConsumerRunningInfo, &fields, "");
    assert_eq!(seen(&answer), (1, Some("The Consumer <G> <c> not online"), String::new()));
    let answer = client.call(R::GetConsumerConnectionList, &[("consumerGroup", "G")], "");
    assert_eq!(seen(&answer), (206, Some("the consumer group[G] not online"), String::new()));
    let answer = client.call(R::GetProducerConnectionList, &[("producerGroup", "P")], "");
    assert_eq!(seen(&answer), (1, Some("the producer group[P] not exist"), String::new()));
    let answer = client.call(R::ConsumeMessageDirectly, &[("consumerGroup", "G"), ("msgId", "zz")], "");
    assert_eq!(answer.code, 1);
    let answer = client.call(R::ViewBrokerStatsData, &[("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "T")], "");
    assert_eq!(seen(&answer), (1, Some("The stats <TOPIC_PUT_NUMS> <T> not exist"), String::new()));
}

#[test]
fn what_is_not_built_is_refused() {
    let node = Node::start();
    let mut client = node.connect();
    for code in [R::PopRollback, R::AuthCreateUser] {
        let answer = client.call(code, &[], "");
        assert_eq!(answer.code, ResponseCode::RequestCodeNotSupported as i32, "{code:?}");
    }
}
