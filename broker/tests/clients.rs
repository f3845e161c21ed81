//! Heartbeats, consumer lists, change notices, offsets, locks and assignments through the socket. Codes, remarks and
//! bodies are those that Java 5.5.0 gave to the same requests.

mod support;

use std::sync::Arc;

use hypergol_broker::clients;
use hypergol_remoting::protocol::body::assignment::{
    MessageQueueAssignment, MessageRequestMode, QueryAssignmentResponseBody,
};
use hypergol_remoting::protocol::body::route::{QueueData, TopicRouteData};
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{Handler, Limits, RemotingCommand, RequestCode as R, Responder, ResponseCode, Server};
use support::{Client, Node, seen, wait_until};

fn heartbeat(client_id: &str, groups: &[&str]) -> String {
    heartbeat_with(client_id, groups, 0, "CLUSTERING", 1)
}

fn heartbeat_with(client_id: &str, groups: &[&str], fingerprint: i32, model: &str, version: i64) -> String {
    let consumers: Vec<String> = groups
        .iter()
        .map(|group| {
            format!(
                r#"{{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY",
                "groupName":"{group}","messageModel":"{model}","subscriptionDataSet":[{{"classFilterMode":false,
                "codeSet":["-1"],"expressionType":"TAG","subString":"A || 中","subVersion":{version},"tagsSet":["A"],
                "topic":"T"}}],"unitMode":false}}"#
            )
        })
        .collect();
    let consumers = consumers.join(",");
    format!(
        r#"{{"clientID":"{client_id}","consumerDataSet":[{consumers}],"heartbeatFingerprint":{fingerprint},
        "producerDataSet":[{{"groupName":"P"}}],"withoutSub":false}}"#
    )
}

fn beat(client: &mut Client, body: impl AsRef<[u8]>) -> (i32, String) {
    let answer = client.call(R::HeartBeat, &[], body);
    assert_eq!(answer.fields.get("IS_SUPPORT_HEART_BEAT_V2"), Some("true"));
    (answer.code, answer.fields.get("IS_SUB_CHANGE").unwrap().to_owned())
}

fn notices(client: &mut Client) -> Vec<String> {
    let pushed = client.pushed_so_far();
    let groups = pushed.iter().map(|notice| {
        assert_eq!(notice.code, R::NotifyConsumerIdsChanged as i32);
        assert!(notice.is_oneway());
        notice.fields.get("consumerGroup").unwrap().to_owned()
    });
    groups.collect()
}

fn list(client: &mut Client, group: &str) -> (i32, Option<String>, String) {
    let answer = client.call(R::GetConsumerListByGroup, &[("consumerGroup", group)], "");
    let (code, remark, body) = seen(&answer);
    (code, remark.map(str::to_owned), body)
}

#[test]
fn members_of_a_group_learn_of_each_other() {
    let node = Node::start();
    let (mut a, mut b) = (node.connect(), node.connect());
    let remark = Some("no consumer for this group, G".to_owned());
    assert_eq!(list(&mut a, "G"), (1, remark, String::new()));

    assert_eq!(beat(&mut a, heartbeat("a", &["G"])), (0, "true".to_owned()));
    assert_eq!(notices(&mut a), ["G"]);
    beat(&mut b, heartbeat("b", &["G"]));
    assert_eq!(notices(&mut a), ["G"]);
    assert_eq!(notices(&mut b), ["G"]);
    assert_eq!(list(&mut a, "G"), (0, None, r#"{"consumerIdList":["a","b"]}"#.to_owned()));
    beat(&mut b, heartbeat("b", &["G"]));
    assert!(notices(&mut a).is_empty(), "nothing changed");

    let answer = b.call(R::UnregisterClient, &[("clientID", "b"), ("consumerGroup", "G"), ("producerGroup", "P")], "");
    assert_eq!(seen(&answer), (0, None, String::new()));
    assert_eq!(notices(&mut a), ["G"]);
    assert!(notices(&mut b).is_empty());
    assert_eq!(node.broker.producers.members("P").unwrap().len(), 1);

    beat(&mut b, heartbeat("b", &["G"]));
    assert_eq!(notices(&mut a), ["G"]);
    drop(b);
    let notice: RemotingCommand = a.pushed();
    assert_eq!(notice.fields.get("consumerGroup"), Some("G"));
    assert_eq!(list(&mut a, "G").2, r#"{"consumerIdList":["a"]}"#);
    drop(a);
    wait_until(|| node.broker.consumers.groups().is_empty() && !node.broker.producers.is_online("P"));
}

#[test]
fn the_retry_topic_of_a_group_is_ordered_as_what_it_subscribes_to() {
    let node = Node::start();
    let mut client = node.connect();
    let ordered = || node.broker.topics.get("%RETRY%G").map(|topic| topic.order);
    let set = |order: bool| {
        let topic = TopicConfig { order, ..TopicConfig::new("T") };
        node.broker.topics.update(vec![topic], Box::new(|_| ()));
    };
    set(true);
    beat(&mut client, heartbeat("a", &["G"]));
    assert_eq!(ordered(), Some(true));
    // A heartbeat that leaves the subscriptions out says nothing of it.
    let short =
        heartbeat_with("a", &["G"], 7, "CLUSTERING", 1).replace(r#""withoutSub":false"#, r#""withoutSub":true"#);
    beat(&mut client, short);
    assert_eq!(ordered(), Some(true));
    let version = node.broker.topics.version();
    beat(&mut client, heartbeat("a", &["G"]));
    assert_eq!(node.broker.topics.version(), version, "nothing changed");
    set(false);
    beat(&mut client, heartbeat("a", &["G"]));
    assert_eq!(ordered(), Some(false));
}

#[test]
fn broadcasting_groups_and_quiet_brokers_send_no_notices() {
    let node = Node::start();
    let (mut a, mut b) = (node.connect(), node.connect());
    beat(&mut a, heartbeat_with("a", &["G"], 0, "BROADCASTING", 1));
    beat(&mut b, heartbeat_with("b", &["G"], 0, "BroadCasting", 1));
    drop(b);
    wait_until(|| node.broker.consumers.client_ids("G").unwrap() == ["a"]);
    assert!(notices(&mut a).is_empty());

    let node = Node::start_with(|settings| settings.broker.notify_consumer_ids_changed_enable = false);
    let mut a = node.connect();
    beat(&mut a, heartbeat("a", &["G"]));
    assert!(notices(&mut a).is_empty());
}

#[test]
fn a_group_that_changes_often_can_be_told_once() {
    let node = Node::start_with(|settings| settings.broker.real_time_notify_consumer_change = false);
    let (mut a, mut b) = (node.connect(), node.connect());
    beat(&mut a, heartbeat("a", &["G", "H"]));
    beat(&mut b, heartbeat("b", &["G"]));
    assert!(notices(&mut a).is_empty());
    clients::send_late_notices(&node.broker);
    let mut told = notices(&mut a);
    told.sort();
    assert_eq!((told, notices(&mut b)), (vec!["G".to_owned(), "H".to_owned()], vec!["G".to_owned()]));
    clients::send_late_notices(&node.broker);
    assert!(notices(&mut a).is_empty());
}

#[test]
fn a_lone_broker_gives_no_strict_lock_where_a_set_must() {
    let lock = |node: &Node, only_this: bool| {
        let queue = r#"{"brokerName":"broker-a","queueId":0,"topic":"T"}"#;
        let body = format!(r#"{{"clientId":"a","consumerGroup":"G","mqSet":[{queue}],"onlyThisBroker":{only_this}}}"#);
        let answer = node.connect().call(R::LockBatchMq, &[], body);
        seen(&answer).2.contains("queueId")
    };
    for (strict, replicas, given) in [(false, 3, true), (true, 1, true), (true, 2, false), (true, 3, false)] {
        let node = Node::start_with(|settings| {
            settings.broker.lock_in_strict_mode = strict;
            settings.store.total_replicas = replicas;
        });
        assert_eq!(lock(&node, false), given, "{strict} {replicas}");
        assert!(lock(&node, true), "asked for itself");
    }
}

#[test]
fn heartbeats_of_version_2_tell_whether_subscriptions_changed() {
    let node = Node::start();
    let mut a = node.connect();
    let version_2 = |fingerprint| heartbeat_with("a", &["G"], fingerprint, "CLUSTERING", 1);
    assert_eq!(beat(&mut a, version_2(77)).1, "false", "a new group");
    assert_eq!(beat(&mut a, version_2(77)).1, "false");
    let without = r#"{"clientID":"a","consumerDataSet":[{"groupName":"G","consumeType":"CONSUME_PASSIVELY",
        "messageModel":"CLUSTERING","subscriptionDataSet":[]}],"heartbeatFingerprint":77,"withoutSub":true}"#;
    assert_eq!(beat(&mut a, without).1, "false");
    assert!(node.broker.consumers.subscription("G", "T").is_some(), "they are still known");
    assert_eq!(beat(&mut a, version_2(78)).1, "true");
    assert_eq!(beat(&mut a, heartbeat("a", &["G"])).1, "true", "version 1 always says so");
    assert_eq!(beat(&mut a, version_2(78)).1, "true");
}

#[test]
fn a_heartbeat_makes_group_and_retry_topic_where_it_may() {
    let node = Node::start();
    let mut a = node.connect();
    beat(&mut a, heartbeat("a", &["G", "../G"]));
    assert!(node.broker.groups.get("G").is_some());
    let topic = node.broker.topics.get("%RETRY%G").unwrap();
    assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (1, 1, 6));
    assert_eq!(node.broker.consumers.groups(), ["G"], "the illegal name is passed over");

    let node = Node::start_with(|settings| settings.broker.auto_create_subscription_group = false);
    let mut a = node.connect();
    assert_eq!(beat(&mut a, heartbeat("a", &["G"])).0, 0);
    assert!(node.broker.consumers.groups().is_empty());
    assert!(node.broker.producers.is_online("P"));
}

#[test]
fn tags_are_hashed_anew_as_java_does() {
    let node = Node::start();
    let mut a = node.connect();
    beat(&mut a, heartbeat("a", &["G"]));
    assert_eq!(node.broker.consumers.subscription("G", "T").unwrap().code_set, [65, 20_013]);
}

#[test]
fn ill_formed_heartbeats_are_refused() {
    let node = Node::start();
    let mut a = node.connect();
    for body in ["", "{{{", "[]", "\u{0}", r#"{"consumerDataSet":7}"#] {
        assert_eq!(a.call(R::HeartBeat, &[], body).code, 1, "{body:?}");
    }
    assert_eq!(beat(&mut a, "{}").0, 0);
}

#[test]
fn silent_clients_are_dropped() {
    let node = Node::start_with(|settings| settings.broker.channel_expired_timeout = 5_000);
    let (mut a, mut b) = (node.connect(), node.connect());
    beat(&mut a, heartbeat("a", &["G"]));
    beat(&mut b, heartbeat("b", &["G"]));
    let later = std::time::Instant::now() + std::time::Duration::from_secs(6);
    hypergol_broker::clients::expire(&node.broker, later);
    assert!(node.broker.consumers.groups().is_empty());
    wait_until(|| !node.broker.producers.is_online("P"));
}

#[test]
fn client_configurations_are_checked() {
    let node = Node::start();
    let mut a = node.connect();
    let mut check = |kind: &str| {
        let body = format!(
            r#"{{"clientId":"c","group":"G","subscriptionData":{{"topic":"T","subString":"a > 1",
            "expressionType":"{kind}","subVersion":1}}}}"#
        );
        let answer = a.call(R::CheckClientConfig, &[], body);
        (answer.code, answer.remark)
    };
    assert_eq!(check("TAG"), (0, None));
    assert_eq!(check(""), (0, None));
    let remark = "The broker does not support consumer to filter message by SQL92".to_owned();
    assert_eq!(check("SQL92"), (1, Some(remark)));
    assert_eq!(a.call(R::CheckClientConfig, &[], "").code, 0);
}

#[test]
fn offsets_of_new_and_known_groups() {
    let node = Node::start();
    let mut a = node.connect();
    node.store("T", 0, b"first", &[]);
    node.messages("T", 0, 1);
    let mut query = |group: &str, topic: &str, queue: &str, extra: &[(&str, &str)]| {
        let mut fields = vec![("consumerGroup", group), ("topic", topic), ("queueId", queue)];
        fields.extend_from_slice(extra);
        let answer = a.call(R::QueryConsumerOffset, &fields, "");
        (answer.code, answer.fields.get("offset").map(str::to_owned), answer.remark)
    };
    let zero = (0, Some("0".to_owned()), None);
    assert_eq!(query("G", "T", "0", &[]), zero, "the queue is young");
    let boot_first = Some("Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first".to_owned());
    assert_eq!(query("G", "T", "3", &[]), (22, None, boot_first.clone()), "an empty queue");
    assert_eq!(query("G", "nope", "0", &[]), (22, None, boot_first.clone()));
    let not_zero = Some("Not found, do not set to zero, maybe this group boot first".to_owned());
    assert_eq!(query("G", "T", "0", &[("setZeroIfNotFound", "false")]), (22, None, not_zero));

    let mut b = node.connect();
    let mut update = |fields: &[(&str, &str)]| {
        let answer = b.call(R::UpdateConsumerOffset, fields, "");
        (answer.code, answer.remark)
    };
    let of = |group: &'static str, topic: &'static str| [("consumerGroup", group), ("topic", topic)];
    let full = |group, topic, queue, offset| {
        [of(group, topic).as_slice(), &[("queueId", queue), ("commitOffset", offset)]].concat()
    };
    assert_eq!(update(&full("G", "T", "0", "1")), (26, Some("Group G not exist!".to_owned())));
    beat(&mut node.connect(), heartbeat("a", &["G"]));
    assert_eq!(update(&full("G", "T", "0", "1")), (17, Some("Topic T not exist!".to_owned())));
    node.broker.topics.create_for_group("T", 4, 6, 0);
    assert_eq!(update(&of("G", "T")), (29, Some("QueueId is null, topic is T".to_owned())));
    let no_offset = [of("G", "T").as_slice(), &[("queueId", "1")]].concat();
    assert_eq!(update(&no_offset), (29, Some("Offset is null, topic is T".to_owned())));
    assert_eq!(update(&full("G", "T", "x", "1")).0, 1);
    for offset in ["1", "0", "7"] {
        assert_eq!(update(&full("G", "T", "0", offset)), (0, None));
        assert_eq!(query("G", "T", "0", &[]).1.as_deref(), Some(offset), "smaller offsets count too");
    }
    assert_eq!(update(&full("G", "T", "-1", "-5")), (0, None));
    assert_eq!(query("G", "T", "-1", &[]), (22, None, boot_first));

    node.broker.offsets.reset("T", "G", 0, 3);
    assert_eq!(update(&full("G", "T", "0", "8")), (0, Some("Offset has been previously reset".to_owned())));
    assert_eq!(query("G", "T", "0", &[]).1.as_deref(), Some("3"));
}

#[test]
fn queue_locks_have_one_holder() {
    let node = Node::start();
    let mut a = node.connect();
    let body = |client: &str, queues: &[i32]| {
        let queue = |id: &i32| format!(r#"{{"brokerName":"broker-a","queueId":{id},"topic":"T"}}"#);
        let queues = queues.iter().map(queue).collect::<Vec<_>>().join(",");
        format!(r#"{{"clientId":"{client}","consumerGroup":"G","mqSet":[{queues}],"onlyThisBroker":false}}"#)
    };
    let held = |queues: &str| (0, None, format!(r#"{{"lockOKMQSet":[{queues}]}}"#));
    let queue_1 = r#"{"brokerName":"broker-a","queueId":1,"topic":"T"}"#;
    let queue_2 = r#"{"brokerName":"broker-a","queueId":2,"topic":"T"}"#;
    assert_eq!(seen(&a.call(R::LockBatchMq, &[], body("c1", &[1]))), held(queue_1));
    assert_eq!(seen(&a.call(R::LockBatchMq, &[], body("c2", &[1, 2]))), held(queue_2));
    assert_eq!(seen(&a.call(R::UnlockBatchMq, &[], body("c2", &[1]))), (0, None, String::new()));
    assert_eq!(seen(&a.call(R::LockBatchMq, &[], body("c2", &[1]))), held(""));
    a.call(R::UnlockBatchMq, &[], body("c1", &[1]));
    assert_eq!(seen(&a.call(R::LockBatchMq, &[], body("c2", &[1]))), held(queue_1));
    assert_eq!(a.call(R::LockBatchMq, &[], "").code, 1);
    assert_eq!(a.call(R::UnlockBatchMq, &[], "{").code, 1);
}

#[test]
fn request_modes_are_set_for_known_topics_and_groups() {
    let node = Node::start();
    let mut a = node.connect();
    let mut set = |topic: &str, group: &str| {
        let body = format!(r#"{{"consumerGroup":"{group}","mode":"POP","popShareQueueNum":1,"topic":"{topic}"}}"#);
        let answer = a.call(R::SetMessageRequestMode, &[], body);
        (answer.code, answer.remark)
    };
    assert_eq!(set("%RETRY%G", "G"), (16, Some("retry topic is not allowed to set mode".to_owned())));
    assert_eq!(set("nope", "G"), (17, Some("topic[nope] not exist".to_owned())));
    node.broker.topics.create_for_group("T", 4, 6, 0);
    assert_eq!(set("T", "G/9"), (26, Some("subscription group does not exist".to_owned())));
    assert_eq!(set("T", "G"), (0, None));
    let expected =
        r#"{"messageRequestModeMap":{"T":{"G":{"consumerGroup":"G","mode":"POP","popShareQueueNum":1,"topic":"T"}}}}"#;
    assert_eq!(seen(&a.call(R::GetAllMessageRequestMode, &[], "")).2, expected);
    drop(a);
    let node = Node::start_in(node.stop(), |_| {});
    assert_eq!(seen(&node.connect().call(R::GetAllMessageRequestMode, &[], "")).2, expected);
}

#[test]
fn without_a_route_there_is_no_assignment() {
    let node = Node::start();
    let mut a = node.connect();
    let body = |model: &str| {
        format!(r#"{{"clientId":"a","consumerGroup":"G","messageModel":"{model}","strategyName":"AVG","topic":"T"}}"#)
    };
    assert_eq!(seen(&a.call(R::QueryAssignment, &[], body("CLUSTERING"))), (0, None, "{}".to_owned()));
    assert_eq!(seen(&a.call(R::QueryAssignment, &[], body("BROADCASTING"))), (0, None, "{}".to_owned()));
    assert_eq!(seen(&a.call(R::QueryAssignment, &[], body("LITE_SELECTIVE"))), (0, None, "{}".to_owned()));
    assert_eq!(a.call(R::QueryAssignment, &[], body("?")).code, 1);
    assert_eq!(a.call(R::QueryAssignment, &[], "").code, 1);
}

/// A name server that knows the topic `T` with four queues on `broker-a`.
struct OneTopic;

impl Handler for OneTopic {
    fn request(&self, request: RemotingCommand, responder: Responder) {
        if request.fields.get("topic") == Some("T") {
            let queues =
                QueueData { broker_name: "broker-a".into(), read_queue_nums: 4, perm: 6, ..QueueData::default() };
            let route = TopicRouteData { queue_datas: vec![queues], ..TopicRouteData::default() };
            responder.send(RemotingCommand::success().with_body(route.encode()));
        } else {
            responder.error(ResponseCode::TopicNotExist, "no such topic");
        }
    }
}

#[test]
fn queues_are_assigned_as_java_assigns_them() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let entered = runtime.enter();
    let name_server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(OneTopic), Limits::default()).unwrap();
    drop(entered);
    let address = name_server.local_addr().to_string();
    let node = Node::start_with(|settings| settings.broker.namesrv_addr = Some(address));
    node.broker.topics.create_for_group("T", 4, 6, 0);
    let (mut a, mut b) = (node.connect(), node.connect());
    beat(&mut a, heartbeat("c1", &["G"]));
    beat(&mut b, heartbeat("c2", &["G"]));

    let mut ask = |client_id: &str, topic: &str, strategy: &str, model: &str| -> Option<Vec<(i32, bool)>> {
        let body = format!(
            r#"{{"clientId":"{client_id}","consumerGroup":"G","messageModel":"{model}","strategyName":"{strategy}",
            "topic":"{topic}"}}"#
        );
        let answer = a.call(R::QueryAssignment, &[], body);
        assert_eq!(answer.code, 0);
        let assigned = QueryAssignmentResponseBody::decode(&answer.body).unwrap().message_queue_assignments?;
        let queue = |one: &MessageQueueAssignment| {
            (one.message_queue.as_ref().unwrap().queue_id, one.mode == MessageRequestMode::Pop)
        };
        Some(assigned.iter().map(queue).collect())
    };
    assert_eq!(ask("c1", "T", "AVG", "CLUSTERING").unwrap(), [(0, false), (1, false)]);
    assert_eq!(ask("c2", "T", "AVG", "CLUSTERING").unwrap(), [(2, false), (3, false)]);
    assert_eq!(ask("c2", "T", "AVG_BY_CIRCLE", "CLUSTERING").unwrap(), [(1, false), (3, false)]);
    assert_eq!(ask("c2", "T", "AVG", "BROADCASTING").unwrap().len(), 4);
    assert_eq!(ask("stranger", "T", "AVG", "CLUSTERING").unwrap(), []);
    for (client_id, topic, strategy) in [("c1", "T", "CONSISTENT_HASH"), ("c1", "nope", "AVG"), ("", "T", "AVG")] {
        assert_eq!(ask(client_id, topic, strategy, "CLUSTERING"), None);
    }
    let pop = r#"{"consumerGroup":"G","mode":"POP","popShareQueueNum":0,"topic":"T"}"#;
    assert_eq!(b.call(R::SetMessageRequestMode, &[], pop).code, 0);
    assert_eq!(ask("c2", "T", "AVG", "CLUSTERING").unwrap(), [(-1, true)]);
}
