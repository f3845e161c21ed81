//! Lite topics, through the socket.

mod common;
mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use common::process::Process;
use common::{Pull, TIMEOUT, TestBroker, bodies, field, records, send_request};
use hypergol_broker::context::now_ms;
use hypergol_broker::lite::lifecycle;
use hypergol_remoting::pop_handle::{PopHandle, PopTopic};
use hypergol_remoting::protocol::body::lite::{
    GetLiteClientInfoResponseBody, GetLiteGroupInfoResponseBody, GetParentTopicInfoResponseBody,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode as R};
use hypergol_store::record::property;

/// Looks that come soon, so that tests do not wait.
const CONF: &str = "enableLmq=true\nenableMultiDispatch=true\nliteEventCheckInterval=100\n\
                    liteEventFullDispatchDelayTime=100\n";
const LONG_MS: i64 = TIMEOUT.as_millis() as i64;

fn ask(code: R, fields: &[(&str, &str)]) -> RemotingCommand {
    fields.iter().fold(RemotingCommand::request(code), |request, (name, value)| request.with_field(name, value))
}

fn create_topic(name: &str, attributes: &str) -> RemotingCommand {
    ask(
        R::UpdateAndCreateTopic,
        &[
            ("topic", name),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "1"),
            ("writeQueueNums", "1"),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
            ("attributes", attributes),
        ],
    )
}

fn create_group(name: &str, attributes: &str) -> RemotingCommand {
    let body = format!(r#"{{"groupName":"{name}","attributes":{{{attributes}}}}}"#);
    RemotingCommand::request(R::UpdateAndCreateSubscriptionGroup).with_body(body.into_bytes())
}

/// The parent topic P, and groups that are bound to it: G, X that is exclusive, W that takes everything.
fn setup() -> Vec<RemotingCommand> {
    let bound = r#""+lite.bind.topic":"P""#;
    vec![
        create_topic("P", "+message.type=LITE,+lite.topic.expiration=60"),
        create_topic("N", "+message.type=NORMAL"),
        create_group("G", bound),
        create_group(
            "X",
            &format!(r#"{bound},"+lite.sub.model":"Exclusive","+lite.sub.reset.offset.exclusive":"true""#),
        ),
        create_group("W", &format!(r#"{bound},"+lite.sub.wildcard":"true""#)),
        create_group("S", &format!(r#"{bound},"+lite.sub.client.max.event.cnt":"10""#)),
    ]
}

async fn start(folder: &std::path::Path, extra: &str) -> TestBroker {
    let broker = TestBroker::start(folder, &format!("{CONF}{extra}")).await;
    for request in setup() {
        let answer = broker.call(request).await;
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    broker
}

fn subscribe(action: &str, client: &str, group: &str, lite: &[&str], more: &str) -> RemotingCommand {
    let lite: Vec<String> = lite.iter().map(|lite| format!("{lite:?}")).collect();
    let body = format!(
        r#"{{"subscriptionSet":[{{"action":"{action}","clientId":"{client}","group":"{group}","topic":"P","liteTopicSet":[{}]{more}}}]}}"#,
        lite.join(",")
    );
    RemotingCommand::request(R::LiteSubscriptionCtl).with_body(body.into_bytes())
}

fn lite_message(lite: &str, body: &str) -> RemotingCommand {
    send_request("P", &format!("__LITE_TOPIC\u{1}{lite}\u{2}"), body)
}

/// A pop of a client.
#[derive(Clone)]
struct Pop<'a> {
    client: &'a str,
    group: &'a str,
    messages: i32,
    invisible_ms: i64,
    poll_ms: i64,
}

impl Default for Pop<'_> {
    fn default() -> Self {
        Self { client: "c", group: "G", messages: 32, invisible_ms: 60_000, poll_ms: LONG_MS / 2 }
    }
}

impl Pop<'_> {
    fn request(&self) -> RemotingCommand {
        ask(
            R::PopLiteMessage,
            &[
                ("clientId", self.client),
                ("consumerGroup", self.group),
                ("topic", "P"),
                ("maxMsgNum", &self.messages.to_string()),
                ("invisibleTime", &self.invisible_ms.to_string()),
                ("pollTime", &self.poll_ms.to_string()),
                ("bornTime", "0"),
            ],
        )
    }
}

/// A request about the message at a place in an answer.
fn about(code: R, answer: &RemotingCommand, at: usize, group: &str) -> RemotingCommand {
    let records = records(answer);
    let value = |name| property(records[at].properties(), name).unwrap();
    let offset: i64 = value("INNER_MULTI_QUEUE_OFFSET").parse().unwrap();
    let handle = PopHandle {
        start_offset: offset,
        pop_time: field(answer, "popTime").parse().unwrap(),
        invisible_time: field(answer, "invisibleTime").parse().unwrap(),
        revive_qid: field(answer, "reviveQid").parse().unwrap(),
        topic: PopTopic::Normal,
        broker_name: "broker-a".into(),
        queue_id: 0,
        queue_offset: Some(offset),
    };
    ask(
        code,
        &[
            ("consumerGroup", group),
            ("topic", "P"),
            ("queueId", "0"),
            ("extraInfo", &handle.to_string()),
            ("offset", &offset.to_string()),
            ("liteTopic", value("__LITE_TOPIC")),
        ],
    )
}

fn ack(answer: &RemotingCommand, at: usize) -> RemotingCommand {
    about(R::AckMessage, answer, at, "G")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_subscribed_lite_topics_are_popped_in_order_and_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    assert_eq!(broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a", "b"], "")).await.code, 0);
    for (lite, body) in [("a", "a0"), ("b", "b0"), ("a", "a1"), ("other", "o0")] {
        assert_eq!(broker.call(lite_message(lite, body)).await.code, 0);
    }
    broker.wait_until(|broker| broker.store.max_offset("%LMQ%$P$other", 0) == 1).await;
    let answer = broker.call(Pop { messages: 2, ..Pop::default() }.request()).await;
    assert_eq!((answer.code, bodies(&answer)), (0, vec!["a0".to_owned(), "a1".to_owned()]), "{answer:?}");
    assert_eq!((field(&answer, "reviveQid"), field(&answer, "orderCountInfo")), ("999", "0;0"));
    let second = broker.call(Pop::default().request()).await;
    assert_eq!(bodies(&second), ["b0"]);
    // The last message of a lite topic does not acknowledge those before it.
    let committed = || broker.broker().offsets.committed("%LMQ%$P$a", "G", 0, false);
    assert_eq!((broker.call(ack(&answer, 1)).await.code, committed()), (0, Some(0)));
    broker.call(lite_message("a", "a2")).await;
    let answer_empty = broker.call(Pop { poll_ms: 200, ..Pop::default() }.request()).await;
    assert_eq!(answer_empty.code, 210, "the lite topic waits for its first message");
    assert_eq!((broker.call(ack(&answer, 0)).await.code, committed()), (0, Some(2)));
    let answer = broker.call(Pop::default().request()).await;
    assert_eq!(bodies(&answer), ["a2"]);
    let info = broker.call(ask(R::GetLiteGroupInfo, &[("group", "G"), ("topK", "9")])).await;
    let info = GetLiteGroupInfoResponseBody::decode(&info.body).unwrap();
    assert_eq!((info.total_lag_count, info.lag_count_top_k.unwrap().len()), (2, 2));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a"], "")).await;
    broker.call(lite_message("a", "a0")).await;
    let pop = Pop { invisible_ms: 300, ..Pop::default() };
    assert_eq!(bodies(&broker.call(pop.request()).await), ["a0"]);
    // A pop that waits is woken when the message becomes visible.
    let again = broker.call(Pop::default().request()).await;
    assert_eq!((bodies(&again), field(&again, "orderCountInfo")), (vec!["a0".to_owned()], "0 qo0%0 1"));
    let sooner = about(R::ChangeMessageInvisibleTime, &again, 0, "G").with_field("invisibleTime", "200");
    let answer = broker.call(sooner).await;
    assert_eq!((answer.code, field(&answer, "reviveQid")), (0, "999"), "{answer:?}");
    let again = broker.call(Pop::default().request()).await;
    assert_eq!(field(&again, "orderCountInfo"), "0 qo0%0 2");
    // A suspended message does not count as popped once more.
    let suspended = about(R::ChangeMessageInvisibleTime, &again, 0, "G").with_field("invisibleTime", "200");
    assert_eq!(broker.call(suspended.with_field("suspend", "true")).await.code, 0);
    let again = broker.call(Pop::default().request()).await;
    assert_eq!(field(&again, "orderCountInfo"), "0 qo0%0 2");
    assert_eq!(broker.call(ack(&again, 0)).await.code, 0);
    assert_eq!(broker.broker().offsets.committed("%LMQ%$P$a", "G", 0, false), Some(1));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_consume_leaves_its_lite_topic() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a"], "")).await;
    broker.call(lite_message("a", "a0")).await;
    let answer = broker.call(Pop::default().request()).await;
    // As a proxy does when a client has tried often enough.
    let offset = records(&answer)[0].physical_offset().to_string();
    let give_up = [("offset", offset.as_str()), ("group", "G"), ("delayLevel", "-1"), ("originTopic", "P")];
    assert_eq!(broker.call(ask(R::ConsumerSendMsgBack, &give_up)).await.code, 0);
    broker.wait_until(|broker| broker.store.max_offset("%DLQ%G", 0) == 1).await;
    assert_eq!(broker.call(ack(&answer, 0)).await.code, 0);
    broker.call(lite_message("a", "a1")).await;
    assert_eq!(bodies(&broker.call(Pop::default().request()).await), ["a1"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_those_of_the_parent_topic() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a", "b"], "")).await;
    for (lite, body) in [("a", "a0"), ("b", "b0"), ("a", "a1")] {
        broker.call(lite_message(lite, body)).await;
    }
    let answer = broker.call(Pop::default().request()).await;
    assert_eq!(records(&answer).len(), 3);
    broker.call(ack(&answer, 0)).await;
    broker.broker().stats.sample(now_ms());
    let view = |name: &'static str, key: &'static str| {
        let request = ask(R::ViewBrokerStatsData, &[("statsName", name), ("statsKey", key)]);
        let broker = &broker;
        async move { broker.call(request).await }
    };
    for (name, key, sum) in [
        ("TOPIC_PUT_NUMS", "P", 3),
        ("GROUP_GET_NUMS", "P@G", 3),
        ("GROUP_ACK_NUMS", "P@G", 1),
        ("BROKER_GET_NUMS", "DefaultCluster", 3),
        ("BROKER_ACK_NUMS", "DefaultCluster", 1),
    ] {
        let answer = view(name, key).await;
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(answer.code == 0 && body.contains(&format!("\"sum\":{sum},")), "{name} {body}");
    }
    for (name, key) in [
        ("TOPIC_PUT_NUMS", "%LMQ%"),
        ("TOPIC_PUT_NUMS", "%LMQ%$P$a"),
        ("GROUP_GET_NUMS", "%LMQ%$P$a@G"),
        ("QUEUE_GET_NUMS", "P@0@G"),
    ] {
        assert_eq!(view(name, key).await.code, 1, "{name} {key}");
    }
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pop_is_woken_by_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    broker.call(subscribe("COMPLETE_ADD", "c", "G", &["a"], "")).await;
    let sending = async {
        broker.wait_until(|broker| broker.lite.held.len() == 1).await;
        broker.call(lite_message("other", "no")).await;
        broker.call(lite_message("a", "yes")).await;
    };
    let (answer, ()) = tokio::join!(broker.call(Pop::default().request()), sending);
    assert_eq!(bodies(&answer), ["yes"]);
    assert!(broker.broker().lite.held.is_empty());
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lite_topic_is_pulled_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    broker.call(lite_message("b", "b0")).await;
    broker.call(lite_message("a", "a0")).await;
    broker.wait_until(|broker| broker.store.max_offset("%LMQ%$P$a", 0) == 1).await;
    let pull = |offset, wait_ms| {
        let pull = Pull { group: "G", topic: "P", offset, flags: 6, wait_ms, ..Pull::default() };
        pull.request().with_field("liteTopic", "a")
    };
    assert_eq!(bodies(&broker.call(pull(0, 0)).await), ["a0"]);
    let sending = async {
        broker.wait_until(|broker| broker.held_pulls.len() == 1).await;
        broker.call(lite_message("b", "b1")).await;
        broker.call(lite_message("a", "a1")).await;
    };
    let (answer, ()) = tokio::join!(broker.call(pull(1, LONG_MS)), sending);
    assert_eq!(bodies(&answer), ["a1"]);
    let by_time = [("topic", "P"), ("liteTopic", "a"), ("queueId", "0"), ("timestamp", "1")];
    assert_eq!(field(&broker.call(ask(R::SearchOffsetByTimestamp, &by_time)).await, "offset"), "0");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_lite_topic_goes_to_its_newest_subscriber() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    let address: SocketAddr = ([127, 0, 0, 1], broker.port).into();
    let mut first = tokio::task::spawn_blocking(move || {
        let mut client = support::Client::connect(address);
        assert_eq!(client.invoke(subscribe("PARTIAL_ADD", "one", "X", &["a", "b"], "")).code, 0);
        client
    })
    .await
    .unwrap();
    broker.call(lite_message("a", "a0")).await;
    let answer = broker.call(Pop { client: "one", group: "X", ..Pop::default() }.request()).await;
    assert_eq!(broker.call(about(R::AckMessage, &answer, 0, "X")).await.code, 0);
    assert_eq!(broker.call(subscribe("PARTIAL_ADD", "two", "X", &["a"], "")).await.code, 0);
    let notice = tokio::task::spawn_blocking(move || first.pushed()).await.unwrap();
    assert_eq!(notice.code, R::NotifyUnsubscribeLite as i32);
    let told = ["liteTopic", "consumerGroup", "clientId"].map(|name| field(&notice, name).to_owned());
    assert_eq!(told, ["a", "X", "one"]);
    // The group begins again, as it is set to.
    let answer = broker.call(Pop { client: "two", group: "X", ..Pop::default() }.request()).await;
    assert_eq!(bodies(&answer), ["a0"]);
    let info =
        ask(R::GetLiteClientInfo, &[("parentTopic", "P"), ("group", "X"), ("clientId", "one"), ("maxCount", "9")]);
    let info = GetLiteClientInfoResponseBody::decode(&broker.call(info).await.body).unwrap();
    assert_eq!(info.lite_topic_set.unwrap(), ["%LMQ%$P$b"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_group_gets_everything() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    let refused = broker.call(subscribe("PARTIAL_ADD", "w", "W", &["a"], "")).await;
    assert_eq!(refused.code, 604, "{refused:?}");
    assert_eq!(broker.call(subscribe("COMPLETE_ADD", "w", "W", &[], "")).await.code, 0);
    for n in 0..20 {
        broker.call(lite_message(&format!("l{n}"), "x")).await;
    }
    let mut came = 0;
    while came < 20 {
        let answer = broker.call(Pop { client: "w", group: "W", ..Pop::default() }.request()).await;
        assert_eq!(answer.code, 0);
        came += records(&answer).len();
    }
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_lite_topics_than_a_client_has_room_for_are_looked_at_later() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    let lite: Vec<String> = (0..100).map(|n| format!("l{n}")).collect();
    let lite: Vec<&str> = lite.iter().map(String::as_str).collect();
    assert_eq!(broker.call(subscribe("COMPLETE_ADD", "s", "S", &lite, "")).await.code, 0);
    for lite in &lite {
        broker.call(lite_message(lite, lite)).await;
    }
    let mut came = std::collections::BTreeSet::new();
    while came.len() < 100 {
        let answer = broker.call(Pop { client: "s", group: "S", ..Pop::default() }.request()).await;
        assert_eq!(answer.code, 0, "{} came", came.len());
        for (at, body) in bodies(&answer).into_iter().enumerate() {
            assert_eq!(broker.call(about(R::AckMessage, &answer, at, "S")).await.code, 0);
            assert!(came.insert(body), "twice");
        }
    }
    broker.server.shutdown().await;
}

/// An event that is lost would be found only by a look at all queues, for which nothing here waits.
#[tokio::test(flavor = "multi_thread")]
async fn many_clients_share_lite_topics_and_each_message_comes_once_in_order() {
    const LITE: usize = 20;
    const EACH: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let broker = Arc::new(start(folder.path(), "").await);
    let lite: Vec<String> = (0..LITE).map(|n| format!("l{n}")).collect();
    let lite: Vec<&str> = lite.iter().map(String::as_str).collect();
    let clients = ["c0", "c1", "c2", "c3"];
    for client in clients {
        assert_eq!(broker.call(subscribe("COMPLETE_ADD", client, "G", &lite, "")).await.code, 0);
    }
    // Half of them get no message later: only acknowledgements make them events again.
    let send_to = async |lite: &[&str]| {
        for number in 0..EACH {
            for lite in lite {
                assert_eq!(broker.call(lite_message(lite, &format!("{lite} {number}"))).await.code, 0);
            }
        }
    };
    send_to(&lite[..LITE / 2]).await;
    let came: Arc<Mutex<Vec<(String, usize)>>> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    for client in clients {
        let (broker, came) = (broker.clone(), came.clone());
        tasks.spawn(async move {
            while came.lock().unwrap().len() < LITE * EACH {
                let pop = Pop { client, messages: 5, poll_ms: 1000, ..Pop::default() };
                let answer = broker.call(pop.request()).await;
                if answer.code != 0 {
                    assert_eq!(answer.code, 210, "{answer:?}");
                    continue;
                }
                for body in bodies(&answer) {
                    let (lite, number) = body.split_once(' ').unwrap();
                    came.lock().unwrap().push((lite.to_owned(), number.parse().unwrap()));
                }
                for at in 0..records(&answer).len() {
                    assert_eq!(broker.call(ack(&answer, at)).await.code, 0);
                }
            }
        });
    }
    send_to(&lite[LITE / 2..]).await;
    let all =
        async { while tasks.join_next().await.is_some_and(|ended| ended.map_or_else(|e| panic!("{e}"), |()| true)) {} };
    tokio::time::timeout(TIMEOUT, all).await.unwrap_or_else(|_| panic!("{} came", came.lock().unwrap().len()));
    let came = came.lock().unwrap();
    for lite in lite {
        let numbers: Vec<usize> = came.iter().filter(|(of, _)| of == lite).map(|(_, number)| *number).collect();
        assert_eq!(numbers, (0..EACH).collect::<Vec<_>>(), "{lite}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_have_a_quota() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "maxLiteSubscriptionCount=3\n").await;
    assert_eq!(broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a", "b", "d"], "")).await.code, 0);
    for action in ["PARTIAL_ADD", "COMPLETE_ADD"] {
        let answer = broker.call(subscribe(action, "e", "G", &["a"], "")).await;
        assert_eq!((answer.code, answer.remark.as_deref()), (2018, Some("lite subscription quota exceeded 3")));
    }
    // What a client has already it may say again.
    assert_eq!(broker.call(subscribe("COMPLETE_ADD", "c", "G", &["a", "b"], "")).await.code, 0);
    assert_eq!(broker.call(subscribe("PARTIAL_ADD", "e", "G", &["a"], "")).await.code, 0);
    assert_eq!(broker.call(subscribe("COMPLETE_REMOVE", "c", "G", &[], "")).await.code, 0);
    assert_eq!(broker.broker().lite.subscriptions.active(), 1);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_are_forgotten_and_others_get_their_events() {
    let folder = tempfile::tempdir().unwrap();
    let extra = "liteSubscriptionCheckInterval=100\nliteSubscriptionCheckTimeoutMills=1500\n";
    let broker = start(folder.path(), extra).await;
    broker.call(subscribe("PARTIAL_ADD", "gone", "G", &["a"], "")).await;
    broker.call(lite_message("a", "a0")).await;
    broker.wait_until(|broker| broker.lite.events.has_any("gone")).await;
    broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a"], "")).await;
    let staying = async {
        // It keeps saying so, as clients do.
        while broker.broker().lite.subscriptions.clients() > 1 {
            broker.call(subscribe("COMPLETE_ADD", "c", "G", &["a"], "")).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let (answer, ()) = tokio::join!(broker.call(Pop::default().request()), staying);
    assert_eq!(bodies(&answer), ["a0"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_parent_takes_its_lite_topics_along() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a"], "")).await;
    broker.call(lite_message("a", "a0")).await;
    let answer = broker.call(Pop::default().request()).await;
    broker.call(ack(&answer, 0)).await;
    let info = broker.call(ask(R::GetParentTopicInfo, &[("topic", "P")])).await;
    let info = GetParentTopicInfoResponseBody::decode(&info.body).unwrap();
    assert_eq!((info.lite_topic_count, info.lmq_num, info.ttl), (1, 1, 60));
    assert_eq!(broker.call(ask(R::DeleteTopicInBroker, &[("topic", "P")])).await.code, 0);
    let state = broker.broker();
    assert_eq!((state.store.light_queues(), state.lite.subscriptions.active()), (0, 0));
    assert_eq!(state.offsets.committed("%LMQ%$P$a", "G", 0, false), None);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_lite_topics_go_with_what_was_known_of_them() {
    const MINUTE_MS: i64 = 60_000;
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a"], "")).await;
    broker.call(lite_message("a", "a0")).await;
    broker.call(send_request("N", "INNER_MULTI_DISPATCH\u{1}%LMQ%plain\u{2}", "x")).await;
    let answer = broker.call(Pop::default().request()).await;
    broker.call(ack(&answer, 0)).await;
    broker.wait_until(|broker| broker.store.light_queues() == 2).await;
    let state = broker.broker();
    lifecycle::delete_expired(state, now_ms() + 59 * MINUTE_MS);
    assert_eq!(state.store.light_queues(), 2);
    lifecycle::delete_expired(state, now_ms() + 61 * MINUTE_MS);
    assert!(!state.store.has_queue("%LMQ%$P$a", 0) && state.store.has_queue("%LMQ%plain", 0));
    assert_eq!(state.offsets.committed("%LMQ%$P$a", "G", 0, false), None);
    assert_eq!((state.lite.subscriptions.active(), state.lite.orders.len()), (0, 0));
    // It begins anew with its next message.
    broker.call(subscribe("COMPLETE_ADD", "c", "G", &["a"], "")).await;
    broker.call(lite_message("a", "again")).await;
    let answer = broker.call(Pop::default().request()).await;
    assert_eq!(bodies(&answer), ["again"]);
    assert_eq!(property(records(&answer)[0].properties(), "INNER_MULTI_QUEUE_OFFSET"), Some("0"));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_to_begin_at() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    for n in 0..5 {
        broker.call(lite_message("a", &format!("a{n}"))).await;
    }
    broker.wait_until(|broker| broker.store.max_offset("%LMQ%$P$a", 0) == 5).await;
    for (kind, value, first) in [("OFFSET", 3, "a3"), ("TAIL_N", 1, "a2"), ("POLICY", 1, "a0")] {
        let option = format!(r#","offsetOption":{{"type":"{kind}","value":{value}}}"#);
        assert_eq!(broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a"], &option)).await.code, 0);
        let look = broker.call(ask(R::TriggerLiteDispatch, &[("group", "G"), ("clientId", "c")])).await;
        assert_eq!(look.code, 0);
        let answer = broker.call(Pop { messages: 1, ..Pop::default() }.request()).await;
        assert_eq!(bodies(&answer), [first], "{kind}");
    }
    let option = r#","offsetOption":{"type":"OFFSET","value":-7}"#;
    assert_eq!(broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a"], option)).await.code, 0);
    assert_eq!(broker.broker().offsets.committed("%LMQ%$P$a", "G", 0, true), Some(0), "no such offset");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_requests_are_answered_and_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "").await;
    for lite in ["a,%LMQ%b", "a$b", "../x", "a/b", &"x".repeat(300)] {
        assert_eq!(broker.call(lite_message(lite, "x")).await.code, 13, "{lite}");
        assert_eq!(broker.call(subscribe("PARTIAL_ADD", "c", "G", &[lite], "")).await.code, 0);
    }
    assert_eq!(broker.broker().lite.subscriptions.active(), 0);
    assert_eq!(broker.broker().store.light_queues(), 0);
    for body in ["", "{}", "[]", "{\"subscriptionSet\":[]}", "{\"subscriptionSet\":[{\"action\":\"x\"", "\u{0}"] {
        let request = RemotingCommand::request(R::LiteSubscriptionCtl).with_body(body.as_bytes().to_vec());
        assert_ne!(broker.call(request).await.code, 0, "{body}");
    }
    broker.call(subscribe("PARTIAL_ADD", "c", "G", &["a"], "")).await;
    broker.call(lite_message("a", "a0")).await;
    let popped = broker.call(Pop::default().request()).await;
    for (name, value, code) in [
        ("offset", "-9223372036854775808", 0),
        ("offset", "9223372036854775807", 208),
        ("offset", "1", 13),
        ("extraInfo", "x", 1),
        ("extraInfo", "0 1 1 3 0 broker-a 0 0", 29),
        ("consumerGroup", "nobody", 29),
        ("topic", "N", 29),
        ("queueId", "7", 13),
        ("liteTopic", "a$b", 29),
    ] {
        let mut request = ack(&popped, 0);
        request.fields.set(name, value);
        assert_eq!(broker.call(request).await.code, code, "{name}={value}");
    }
    for (messages, invisible_ms) in [(-1, 1), (i32::MIN, 1), (0, i64::MAX), (32, i64::MIN)] {
        let pop = Pop { messages, invisible_ms, poll_ms: 0, ..Pop::default() };
        assert_eq!(broker.call(pop.request()).await.code, 210);
    }
    assert_eq!(broker.call(ack(&popped, 0)).await.code, 0);
    broker.server.shutdown().await;
    // Without light queues there are none.
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    broker.call(create_topic("P", "+message.type=LITE")).await;
    let answer = broker.call(lite_message("a", "a0")).await;
    assert_eq!(answer.code, 13, "{answer:?}");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lite_topics_and_their_positions_outlive_kills() {
    let folder = tempfile::tempdir().unwrap();
    let conf = format!("{CONF}flushConsumerOffsetInterval=50\n");
    let broker = Process::start(folder.path(), &conf).await;
    for request in setup() {
        assert_eq!(broker.call(request).await.code, 0);
    }
    broker.call(subscribe("COMPLETE_ADD", "c", "G", &["a"], "")).await;
    for n in 0..4 {
        broker.call(lite_message("a", &format!("a{n}"))).await;
    }
    let mut answer = broker.call(Pop { messages: 2, ..Pop::default() }.request()).await;
    for at in 0..records(&answer).len() {
        assert_eq!(broker.call(ack(&answer, at)).await.code, 0);
    }
    let done = records(&answer).len() as i64;
    let file = folder.path().join("store/config/lmqConsumerOffset.json");
    let written = format!("\"%LMQ%$P$a@G\":{{0:{done}}}");
    support::wait_until(|| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.split_whitespace().collect::<String>().contains(&written)
    });
    broker.kill();
    let broker = Process::start(folder.path(), &conf).await;
    broker.call(subscribe("COMPLETE_ADD", "c", "G", &["a"], "")).await;
    let mut came = Vec::new();
    while came.len() < 4 - done as usize {
        answer = broker.call(Pop::default().request()).await;
        came.extend(bodies(&answer));
    }
    let expected: Vec<String> = (done..4).map(|n| format!("a{n}")).collect();
    assert_eq!(came, expected);
}
