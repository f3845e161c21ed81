//! Popped messages that are not acknowledged in time come back.

mod common;

use common::pops::{Pop, Popped, ack_request, change_request, committed, pop_something, popped, send};
use common::{TestBroker, bodies, field};
use hypergol_remoting::pop_handle::{PopHandle, PopTopic};
use hypergol_remoting::protocol::body::pop::{BatchAck, BatchAckMessageRequestBody, BitSet};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode as R};
use hypergol_store::{Record, record};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_comes_back_and_what_is_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    for body in ["a", "b", "c"] {
        send(&broker, 0, "TAGS\u{1}A\u{2}", body).await;
    }
    let pop = Pop { invisible_ms: 2000, ..Pop::default() };
    let answer = broker.call(pop.request()).await;
    assert_eq!(answer.remark.as_deref(), Some("FOUND"));
    assert_eq!((field(&answer, "startOffsetInfo"), field(&answer, "msgOffsetInfo")), ("0 0 0", "0 0 0,1,2"));
    assert_eq!((field(&answer, "restNum"), field(&answer, "invisibleTime")), ("0", "2000"));
    assert_eq!(answer.fields.get("orderCountInfo"), None);
    let first = popped(&answer);
    assert_eq!(first.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(committed(broker.broker(), "T", 0), Some(3), "the checkpoint is in the log");

    let nothing = broker.call(pop.request()).await;
    assert_eq!((nothing.code, nothing.remark.as_deref()), (210, Some("NO_MESSAGE_IN_QUEUE")));
    for message in [&first[0], &first[2]] {
        assert_eq!(broker.call(ack_request(message)).await.code, 0);
    }
    let second = pop_something(&broker, &pop).await;
    assert_eq!(second.len(), 1);
    let back = &second[0];
    assert_eq!((back.body.as_str(), back.topic.as_str(), back.times), ("b", "T", 1));
    assert_eq!((back.handle.topic, back.handle.broker_name.as_str()), (PopTopic::RetryV1, "broker-a"));
    let stored = broker.broker().store.queue_entry("%RETRY%G_T", 0, 0).unwrap();
    let stored = broker.broker().store.record_at(stored.physical_offset).unwrap();
    let stored = Record::parse(&stored).unwrap();
    let property = |name| record::property(stored.properties(), name).map(str::to_owned);
    assert_eq!(property("1ST_POP_TIME"), Some(first[1].handle.pop_time.to_string()));
    assert_eq!((property("ORIGIN_GROUP"), property("TAGS")), (Some("G".into()), Some("A".into())));
    assert_eq!(broker.call(ack_request(back)).await.code, 0);

    // A message popped later came back, so the others would have as well.
    send(&broker, 0, "", "d").await;
    assert_eq!(pop_something(&broker, &pop).await[0].body, "d");
    let third = pop_something(&broker, &pop).await;
    assert_eq!(third.iter().map(|message| (message.body.as_str(), message.times)).collect::<Vec<_>>(), [("d", 1)]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_time_counts() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    send(&broker, 0, "", "soon").await;
    send(&broker, 0, "", "late").await;
    let messages = popped(&broker.call(Pop::default().request()).await);
    let answer = broker.call(change_request(&messages[0], 1000)).await;
    assert_eq!((answer.code, field(&answer, "invisibleTime")), (0, "1000"));
    assert_eq!(field(&answer, "reviveQid"), messages[0].handle.revive_qid.to_string());
    let back = pop_something(&broker, &Pop::default()).await;
    assert_eq!(back.iter().map(|message| (message.body.as_str(), message.times)).collect::<Vec<_>>(), [("soon", 1)]);
    // Its old checkpoint is acknowledged; the new handle acknowledges the new one.
    let again = broker.call(change_request(&back[0], 1000)).await;
    let handle = PopHandle {
        start_offset: back[0].offset,
        pop_time: field(&again, "popTime").parse().unwrap(),
        invisible_time: 1000,
        ..back[0].handle.clone()
    };
    assert_eq!(broker.call(ack_request(&Popped { handle, ..back[0].clone() })).await.code, 0);
    let suspended = broker.call(change_request(&messages[1], 1000).with_field("suspend", "true")).await;
    assert_eq!(suspended.code, 0);
    let back = pop_something(&broker, &Pop::default()).await;
    assert_eq!(back.iter().map(|message| (message.body.as_str(), message.times)).collect::<Vec<_>>(), [("late", 0)]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_memory_is_written_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "enablePopBufferMerge=true\n").await;
    send(&broker, 0, "", "a").await;
    send(&broker, 0, "", "b").await;
    let pop = Pop { invisible_ms: 6000, ..Pop::default() };
    let messages = popped(&broker.call(pop.request()).await);
    assert_eq!(broker.call(ack_request(&messages[0])).await.code, 0);
    broker.server.shutdown().await;
    let broker = TestBroker::start(folder.path(), "enablePopBufferMerge=true\n").await;
    assert_eq!(committed(broker.broker(), "T", 0), Some(2));
    let back = pop_something(&broker, &pop).await;
    assert_eq!(back.iter().map(|message| (message.body.as_str(), message.times)).collect::<Vec<_>>(), [("b", 1)]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_are_acknowledged_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    for body in ["a", "b", "c"] {
        send(&broker, 0, "", body).await;
    }
    let pop = Pop { invisible_ms: 2000, ..Pop::default() };
    let messages = popped(&broker.call(pop.request()).await);
    let handle = &messages[0].handle;
    let ack = BatchAck {
        bit_set: Some([0, 2, 77].into_iter().collect::<BitSet>()),
        consumer_group: "G".into(),
        invisible_time: handle.invisible_time,
        pop_time: handle.pop_time,
        queue_id: 0,
        retry: Some("0".into()),
        revive_queue_id: handle.revive_qid,
        start_offset: handle.start_offset,
        topic: "T".into(),
    };
    let body = |acks| BatchAckMessageRequestBody { acks: Some(acks), broker_name: "broker-a".into() }.encode();
    let request = |body: Vec<u8>| RemotingCommand::request(R::BatchAckMessage).with_body(body);
    assert_eq!(broker.call(request(body(vec![ack.clone()]))).await.code, 0);
    let back = pop_something(&broker, &pop).await;
    assert_eq!(back.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(broker.call(request(body(vec![]))).await.code, 208);
    assert_eq!(broker.call(request(Vec::new())).await.code, 208);
    let forged = BatchAck { revive_queue_id: 8, ..ack.clone() };
    assert_eq!(broker.call(request(body(vec![forged]))).await.code, 13);
    let nowhere = BatchAck { topic: "nowhere".into(), ..ack };
    assert_eq!(broker.call(request(body(vec![nowhere]))).await.code, 0, "passed over, as in Java");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_topics_of_both_kinds_are_popped() {
    let folder = tempfile::tempdir().unwrap();
    let pop = Pop { invisible_ms: 1000, ..Pop::default() };
    let broker = TestBroker::start(folder.path(), "").await;
    send(&broker, 0, "", "a").await;
    assert_eq!(popped(&broker.call(pop.request()).await).len(), 1);
    broker.wait_until(|broker| broker.store.max_offset("%RETRY%G_T", 0) == 1).await;
    broker.server.shutdown().await;

    let broker = TestBroker::start(folder.path(), "enableRetryTopicV2=true\n").await;
    let first = pop_something(&broker, &Pop::default()).await;
    assert_eq!((first[0].handle.topic, first[0].times), (PopTopic::RetryV1, 1));
    assert_eq!(broker.call(ack_request(&first[0])).await.code, 0);
    send(&broker, 0, "", "b").await;
    assert_eq!(bodies(&broker.call(pop.request()).await), ["b"]);
    let second = pop_something(&broker, &Pop::default()).await;
    assert_eq!((second[0].body.as_str(), second[0].handle.topic), ("b", PopTopic::RetryV2));
    broker.server.shutdown().await;

    let broker = TestBroker::start(folder.path(), "enableRetryTopicV2=true\n").await;
    assert!(broker.broker().topics.contains("%RETRY%G+T"), "the name is legal for a topic that exists");
    assert_eq!(broker.call(ack_request(&second[0])).await.code, 0);
    broker.server.shutdown().await;
}
