//! Popping through the socket.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::pops::{Pop, Popped, ack_request, change_request, committed, key, popped, send};
use common::{TestBroker, bodies, field};
use hypergol_remoting::protocol::body::pop::PopCheckPoint;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode as R};
use hypergol_store::{Record, record};

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_those_of_java() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    send(&broker, 3, "", "a").await;
    let message = &popped(&broker.call(Pop::default().request()).await)[0];
    let waiting = |offset| {
        let store = &broker.broker().store;
        let entry = store.queue_entry("rmq_sys_wheel_timer", 0, offset)?;
        store.record_at(entry.physical_offset)
    };
    broker.wait_until(|broker| broker.store.max_offset("rmq_sys_wheel_timer", 0) >= 1).await;
    let bytes = waiting(0).unwrap();
    let stored = Record::parse(&bytes).unwrap();
    let point = PopCheckPoint::decode(stored.body()).unwrap();
    assert_eq!((point.topic.as_str(), point.consumer_group.as_str(), point.queue_id, point.num), ("T", "G", 3, 1));
    assert_eq!((point.start_offset, point.queue_offset_diff.as_deref()), (0, Some(&[0][..])));
    assert_eq!((point.pop_time, point.invisible_time), (message.handle.pop_time, 60_000));
    let property = |name| record::property(stored.properties(), name).unwrap().to_owned();
    let unique = format!("T@3@0@G@{}@broker-a@ck", point.pop_time);
    assert_eq!((property("TAGS"), property("UNIQ_KEY")), ("ck".into(), unique));
    assert_eq!(property("REAL_TOPIC"), "rmq_sys_REVIVE_LOG_DefaultCluster");
    assert_eq!(property("REAL_QID"), message.handle.revive_qid.to_string());
    assert_eq!(property("TIMER_DELIVER_MS"), (point.pop_time + 59_000).to_string());

    assert_eq!(broker.call(ack_request(message)).await.code, 0);
    broker.wait_until(|broker| broker.store.max_offset("rmq_sys_wheel_timer", 0) >= 2).await;
    let bytes = waiting(1).unwrap();
    let ack = Record::parse(&bytes).unwrap();
    let expected = format!(r#"{{"ao":0,"bn":"broker-a","c":"G","pt":{},"q":3,"so":0,"t":"T"}}"#, point.pop_time);
    assert_eq!(String::from_utf8_lossy(ack.body()), expected);
    assert_eq!(
        record::property(ack.properties(), "TIMER_DELIVER_MS"),
        Some((point.pop_time + 60_000).to_string().as_str())
    );
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pop_that_is_acknowledged_soon_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "enablePopBufferMerge=true\n").await;
    send(&broker, 0, "", "a").await;
    send(&broker, 0, "", "b").await;
    let messages = popped(&broker.call(Pop::default().request()).await);
    assert_eq!(broker.broker().pop.buffer.len(), 1);
    assert_eq!(committed(broker.broker(), "T", 0), Some(0));
    assert_eq!(broker.call(Pop::default().request()).await.code, 210, "popped, though not committed");
    for message in &messages {
        assert_eq!(broker.call(ack_request(message)).await.code, 0);
    }
    assert_eq!(committed(broker.broker(), "T", 0), Some(2));
    assert!(broker.broker().pop.buffer.is_empty());
    assert_eq!(broker.broker().store.max_offset("rmq_sys_wheel_timer", 0), 0);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pop_is_woken_by_a_message_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Arc::new(TestBroker::start(folder.path(), "").await);
    send(&broker, 0, "TAGS\u{1}B\u{2}", "unwanted").await;
    let extra = vec![("expType", "TAG"), ("exp", "A")];
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { broker.call(Pop { poll_ms: 20_000, extra, ..Pop::default() }.request()).await }
    });
    broker.wait_until(|broker| broker.pop.held.len() == 1).await;
    let info = RemotingCommand::request(R::PollingInfo)
        .with_field("consumerGroup", "G")
        .with_field("topic", "T")
        .with_field("queueId", "-1");
    assert_eq!(field(&broker.call(info).await, "pollingNum"), "1");
    assert_eq!(committed(broker.broker(), "T", 0), Some(1), "passed over");
    send(&broker, 1, "TAGS\u{1}B\u{2}", "unwanted").await;
    broker.wait_until(|broker| committed(broker, "T", 1) == Some(1) && broker.pop.held.len() == 1).await;
    send(&broker, 1, "TAGS\u{1}B\u{2}", "unwanted").await;
    assert_eq!((broker.broker().pop.held.len(), committed(broker.broker(), "T", 1)), (1, Some(1)));
    send(&broker, 2, "TAGS\u{1}A\u{2}", "wanted").await;
    assert_eq!(bodies(&waiting.await.unwrap()), ["wanted"]);
    let Ok(broker) = Arc::try_unwrap(broker) else { panic!("still used") };
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_popped_by_an_expression() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "enablePropertyFilter=true\n").await;
    for (body, size) in [("small", "1"), ("large", "9"), ("larger", "10")] {
        send(&broker, 0, &format!("size\u{1}{size}\u{2}"), body).await;
    }
    let pop = |exp| Pop { extra: vec![("expType", "SQL92"), ("exp", exp)], ..Pop::default() };
    assert_eq!(bodies(&broker.call(pop("size > 5").request()).await), ["large", "larger"]);
    assert_eq!(committed(broker.broker(), "T", 0), Some(3), "what is not wanted is passed over");
    assert_eq!(broker.call(pop("size > ").request()).await.code, 23);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_tells_of_messages_and_takes_none() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Arc::new(TestBroker::start(folder.path(), "").await);
    send(&broker, 0, "", "a").await;
    let request = |poll: &str| {
        RemotingCommand::request(R::Notification)
            .with_field("consumerGroup", "G")
            .with_field("topic", "T")
            .with_field("queueId", "-1")
            .with_field("pollTime", poll)
            .with_field("bornTime", "0")
    };
    let told = broker.call(request("0")).await;
    assert_eq!((field(&told, "hasMsg"), field(&told, "pollingFull")), ("true", "false"));
    assert_eq!(popped(&broker.call(Pop::default().request()).await).len(), 1);
    assert_eq!(field(&broker.call(request("0")).await, "hasMsg"), "false");
    let waiting = tokio::spawn({
        let broker = broker.clone();
        let request = request("20000");
        async move { broker.call(request).await }
    });
    broker.wait_until(|broker| broker.pop.notifications.len() == 1).await;
    send(&broker, 1, "", "b").await;
    assert_eq!(field(&waiting.await.unwrap(), "hasMsg"), "true");
    let peek = RemotingCommand::request(R::PeekMessage)
        .with_field("consumerGroup", "G")
        .with_field("topic", "T")
        .with_field("queueId", "-1")
        .with_field("maxMsgNums", "5");
    assert_eq!(bodies(&broker.call(peek.clone()).await), ["b"]);
    assert_eq!(bodies(&broker.call(Pop::default().request()).await), ["b"]);
    assert_eq!(broker.call(peek).await.code, 19);
    let Ok(broker) = Arc::try_unwrap(broker) else { panic!("still used") };
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_until_all_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    for body in ["a", "b", "c"] {
        send(&broker, 0, "", body).await;
    }
    let ordered = |attempt, messages| {
        let extra = vec![("order", "true"), ("attemptId", attempt)];
        Pop { messages, invisible_ms: 3000, extra, ..Pop::default() }
    };
    let answer = broker.call(ordered("one", 2).request()).await;
    assert_eq!((field(&answer, "reviveQid"), field(&answer, "orderCountInfo")), ("999", "0 0 0"));
    let first = popped(&answer);
    assert_eq!(first.len(), 2);
    assert_eq!(committed(broker.broker(), "T", 0), Some(0));
    assert_eq!(broker.call(ordered("two", 2).request()).await.code, 210, "held up");
    // The repeated attempt has a time of its own, in milliseconds.
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(popped(&broker.call(ordered("one", 2).request()).await).len(), 2, "the same attempt");
    assert_eq!(broker.call(ack_request(&first[0])).await.code, 0);
    assert_eq!(committed(broker.broker(), "T", 0), Some(0));

    let answer = broker.call(Pop { poll_ms: 20_000, ..ordered("three", 2) }.request()).await;
    assert_eq!(field(&answer, "orderCountInfo"), "0 qo0%0 1;0 qo0%1 1;0 0 1");
    let second = popped(&answer);
    assert_eq!(broker.call(ack_request(&second[1])).await.code, 0);
    assert_eq!(committed(broker.broker(), "T", 0), Some(0));
    assert_eq!(broker.call(ack_request(&second[0])).await.code, 0);
    assert_eq!(committed(broker.broker(), "T", 0), Some(2));
    let third = popped(&broker.call(ordered("four", 2).request()).await);
    assert_eq!(third[0].body, "c");
    let changed = broker.call(change_request(&third[0], 500)).await;
    assert_eq!((changed.code, field(&changed, "reviveQid")), (0, "999"));
    let fourth = popped(&broker.call(Pop { poll_ms: 20_000, ..ordered("five", 2) }.request()).await);
    assert_eq!(fourth[0].body, "c");
    let illegal = Popped { offset: 3, ..fourth[0].clone() };
    assert_eq!(broker.call(ack_request(&illegal)).await.code, 13);
    broker.server.shutdown().await;

    let broker = TestBroker::start(folder.path(), "").await;
    assert_eq!(broker.call(ack_request(&fourth[0])).await.code, 0, "remembered over a restart");
    assert_eq!(committed(broker.broker(), "T", 0), Some(3));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_popped_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    send(&broker, 0, "", "a").await;
    let code = async |pop: Pop<'_>| broker.call(pop.request()).await.code;
    assert_eq!(code(Pop { messages: 33, ..Pop::default() }).await, 29);
    assert_eq!(code(Pop { topic: "nowhere", ..Pop::default() }).await, 17);
    assert_eq!(code(Pop { queue_id: 4, ..Pop::default() }).await, 29);
    assert_eq!(code(Pop { group: "no group", ..Pop::default() }).await, 26);
    assert_eq!(code(Pop { invisible_ms: i64::MAX, ..Pop::default() }).await, 29);
    assert_eq!(code(Pop { extra: vec![("bornTime", "1")], ..Pop::default() }).await, 210);
    assert_eq!(code(Pop { extra: vec![("exp", "||")], ..Pop::default() }).await, 23);
    assert_eq!(code(Pop { extra: vec![("bornTime", "x")], ..Pop::default() }).await, 1);

    let message = &popped(&broker.call(Pop::default().request()).await)[0];
    let code = async |request: RemotingCommand| broker.call(request).await.code;
    let with = |name: &str, value: &str| {
        let mut request = ack_request(message);
        request.fields.set(name, value);
        request
    };
    assert_eq!(code(with("topic", "nowhere")).await, 17);
    assert_eq!(code(with("queueId", "4")).await, 13);
    assert_eq!(code(with("queueId", "-1")).await, 13);
    assert_eq!(code(with("offset", "2")).await, 208);
    assert_eq!(code(with("offset", "-1")).await, 208);
    assert_eq!(code(with("extraInfo", "forged")).await, 1);
    assert_eq!(code(with("extraInfo", "0 1 2 8 0 b 0 0")).await, 13, "a queue of the revive topic that is none");
    let mut change = change_request(message, 1000);
    change.fields.set("offset", "1");
    assert_eq!(code(change).await, 208);
    assert_eq!(code(change_request(message, i64::MAX)).await, 1);
    // Twice is as good as once.
    assert_eq!(code(ack_request(message)).await, 0);
    assert_eq!(code(ack_request(message)).await, 0);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_in_flight_hold_up_further_pops() {
    let folder = tempfile::tempdir().unwrap();
    let extra = "enablePopMessageThreshold=true\npopInflightMessageThreshold=1\n";
    let broker = Arc::new(TestBroker::start(folder.path(), extra).await);
    for body in ["a", "b", "c"] {
        send(&broker, 0, "", body).await;
    }
    let messages = popped(&broker.call(Pop { messages: 2, ..Pop::default() }.request()).await);
    assert_eq!(broker.broker().pop.in_flight.count(&key(0)), 2);
    let held_up = broker.call(Pop::default().request()).await;
    assert_eq!((held_up.code, field(&held_up, "restNum")), (210, "1"));
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { broker.call(Pop { poll_ms: 20_000, ..Pop::default() }.request()).await }
    });
    broker.wait_until(|broker| broker.pop.held.len() == 1).await;
    assert_eq!(broker.call(ack_request(&messages[0])).await.code, 0);
    assert_eq!(bodies(&waiting.await.unwrap()), ["c"]);
    let Ok(broker) = Arc::try_unwrap(broker) else { panic!("still used") };
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_set_anew_is_popped_from() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    for body in ["a", "b"] {
        send(&broker, 0, "", body).await;
    }
    assert_eq!(popped(&broker.call(Pop::default().request()).await).len(), 2);
    broker.broker().offsets.reset("T", "G", 0, 1);
    assert_eq!(bodies(&broker.call(Pop::default().request()).await), ["b"]);
    assert_eq!(committed(broker.broker(), "T", 0), Some(2));
    let latest = Pop { group: "H", extra: vec![("initMode", "1")], ..Pop::default() };
    assert_eq!(popped(&broker.call(latest.request()).await).len(), 2, "all of it is in memory");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_leaves_nothing_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "enablePopBufferMerge=true\n").await;
    send(&broker, 0, "", "a").await;
    assert_eq!(popped(&broker.call(Pop::default().request()).await).len(), 1);
    let delete = RemotingCommand::request(R::DeleteSubscriptionGroup)
        .with_field("groupName", "G")
        .with_field("cleanOffset", "true");
    assert_eq!(broker.call(delete).await.code, 0);
    assert!(broker.broker().pop.buffer.is_empty());
    assert_eq!((broker.broker().pop.in_flight.count(&key(0)), committed(broker.broker(), "T", 0)), (0, None));
    assert_eq!(bodies(&broker.call(Pop::default().request()).await), ["a"], "a new group begins anew");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pops_at_once_hand_out_each_message_once() {
    let folder = tempfile::tempdir().unwrap();
    for extra in ["", "enablePopBufferMerge=true\n"] {
        let broker = Arc::new(TestBroker::start(folder.path(), extra).await);
        let group = if extra.is_empty() { "G" } else { "H" };
        for number in 0..200 {
            send(&broker, number % 4, "", &format!("{group}{number}")).await;
        }
        let expected = broker.broker().store.max_offset("T", 0) * 4;
        let pops = (0..8).map(|_| {
            let broker = broker.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let pop = Pop { group, messages: 3, poll_ms: 2000, ..Pop::default() };
                    let answer = broker.call(pop.request()).await;
                    if answer.code != 0 {
                        return seen;
                    }
                    seen.extend(bodies(&answer));
                }
            })
        });
        let mut seen = Vec::new();
        for pop in pops.collect::<Vec<_>>() {
            seen.extend(pop.await.unwrap());
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len() as i64, count as i64), (expected, expected));
        let Ok(broker) = Arc::try_unwrap(broker) else { panic!("still used") };
        broker.server.shutdown().await;
    }
}
