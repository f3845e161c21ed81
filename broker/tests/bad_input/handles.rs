//! Forged and repeated handles of popped messages: whoever acknowledges what is not there, or not theirs, changes nothing.

use hypergol_broker::context::now_ms;
use hypergol_remoting::RequestCode as R;
use hypergol_remoting::pop_handle::{ORDER_REVIVE_QUEUE, PopHandle};

use crate::common::pops::{
    Pop, Popped, ack_request, change_request, committed, handle_request, pop_something, popped, send,
};
use crate::common::{TestBroker, records};
use crate::seeds::ask;
use crate::watch;

const CONF: &str = "timerPrecisionMs=100\nenableLmq=true\nenableMultiDispatch=true\n";
const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

fn with(message: &Popped, change: impl FnOnce(&mut PopHandle)) -> Popped {
    let mut message = message.clone();
    change(&mut message.handle);
    message
}

/// Sends two messages and pops them.
async fn pop_two(broker: &TestBroker, invisible_ms: i64) -> Vec<Popped> {
    for body in ["a", "b"] {
        send(broker, 0, "", body).await;
    }
    pop_something(broker, &Pop { queue_id: 0, invisible_ms, ..Pop::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_of_what_cannot_be_are_refused() {
    watch::panics();
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), CONF).await;
    let found = pop_two(&broker, 3_000).await;
    let [_, b] = &found[..] else { panic!("{found:?}") };
    for revive_qid in [-1, 8, 998, 1000, i32::MAX] {
        let forged = with(b, |handle| handle.revive_qid = revive_qid);
        assert_eq!(broker.call(ack_request(&forged)).await.code, 13, "{revive_qid}");
        assert_eq!(broker.call(change_request(&forged, 1000)).await.code, 13, "{revive_qid}");
    }
    for (offset, code) in [("3", 208), ("-1", 208), ("9223372036854775807", 208), ("-9223372036854775808", 208)] {
        let mut request = ack_request(b);
        request.fields.set("offset", offset);
        assert_eq!(broker.call(request).await.code, code, "{offset}");
    }
    for invisible_ms in [i64::MAX, 3 * 24 * 3600 * 1000 + 1] {
        assert_eq!(broker.call(change_request(b, invisible_ms)).await.code, 1);
    }
    broker.server.shutdown().await;
    watch::no_panics();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_not_acknowledged_comes_back() {
    watch::panics();
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), CONF).await;
    let found = pop_two(&broker, 2_000).await;
    let [a, b] = &found[..] else { panic!("{found:?}") };
    // Twice is once; another group's, and another pop's, is nobody's.
    for _ in 0..2 {
        assert_eq!(broker.call(ack_request(a)).await.code, 0);
    }
    let mut other_group = ack_request(b);
    other_group.fields.set("consumerGroup", "other");
    assert_eq!(broker.call(other_group).await.code, 0);
    assert_eq!(broker.call(ack_request(&with(b, |handle| handle.pop_time += 1))).await.code, 0);
    let back = pop_something(&broker, &Pop { queue_id: 0, ..Pop::default() }).await;
    assert_eq!(back.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["b"]);
    broker.server.shutdown().await;
    watch::no_panics();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_room_for_another_property_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), CONF).await;
    let mut length = 32_700;
    while broker.send("T", &format!("pad\u{1}{}\u{2}", "x".repeat(length)), "long").await.code != 0 {
        length -= 1;
    }
    let pop = Pop { queue_id: 0, invisible_ms: 1_500, ..Pop::default() };
    assert_eq!(pop_something(&broker, &pop).await.len(), 1);
    // There is no room for its handle either: clients make one.
    let waits = Pop { poll_ms: 10_000, ..pop };
    let answer = broker.call(waits.request()).await;
    let back = records(&answer);
    assert_eq!((back[0].body(), back[0].reconsume_times()), (&b"long"[..], 1));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_acknowledgement_does_not_stay_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), CONF).await;
    send(&broker, 0, "", "a").await;
    let handle = PopHandle {
        start_offset: 0,
        pop_time: now_ms(),
        invisible_time: i64::MAX,
        revive_qid: 0,
        topic: Default::default(),
        broker_name: "broker-a".into(),
        queue_id: 0,
        queue_offset: Some(0),
    };
    let message = Popped { body: "a".into(), topic: "T".into(), offset: 0, times: 0, handle };
    assert_eq!(broker.call(ack_request(&message)).await.code, 0, "as Java");
    let body = format!(
        r#"{{"acks":[{{"b":"AQ==","c":"G","it":{},"pt":{},"q":0,"r":"0","rq":0,"so":0,"t":"T"}}],"brokerName":"broker-a"}}"#,
        i64::MAX,
        now_ms()
    );
    assert_eq!(broker.call(ask(R::BatchAckMessage, &[]).with_body(body.into_bytes())).await.code, 0);
    assert_eq!(broker.broker().store.max_offset(TIMER_TOPIC, 0), 0);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_behind_the_queue_does_not_pass_the_next_message() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), CONF).await;
    send(&broker, 0, "", "a").await;
    let handle = PopHandle {
        start_offset: 0,
        pop_time: now_ms(),
        invisible_time: 1_000,
        revive_qid: ORDER_REVIVE_QUEUE,
        topic: Default::default(),
        broker_name: "broker-a".into(),
        queue_id: 0,
        queue_offset: Some(1),
    };
    let message = Popped { body: String::new(), topic: "T".into(), offset: 1, times: 0, handle };
    assert_eq!(broker.call(ack_request(&message)).await.code, 0, "as Java");
    assert_eq!(committed(broker.broker(), "T", 0), Some(1));
    send(&broker, 0, "", "b").await;
    let order = Pop { queue_id: 0, extra: vec![("order", "true")], ..Pop::default() };
    let found = pop_something(&broker, &order).await;
    assert_eq!(found.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["b"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_far_below_the_queue_is_popped_from() {
    watch::panics();
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), CONF).await;
    for queue_id in 0..4 {
        send(&broker, queue_id, "", "x").await;
    }
    assert_eq!(pop_something(&broker, &Pop { queue_id: 0, ..Pop::default() }).await.len(), 1);
    for queue_id in ["0", "1", "2", "3"] {
        let fields =
            [("consumerGroup", "G"), ("topic", "T"), ("queueId", queue_id), ("commitOffset", "-9223372036854775808")];
        assert_eq!(broker.call(ask(R::UpdateConsumerOffset, &fields)).await.code, 0);
    }
    let answer = broker.call(Pop { messages: 1, ..Pop::default() }.request()).await;
    assert_eq!(popped(&answer).len(), 1);
    broker.server.shutdown().await;
    watch::no_panics();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_exist_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), CONF).await;
    crate::seeds::prepare(&broker).await;
    let before = broker.broker().offsets.committed_pairs();
    for n in 0..50 {
        let lite = format!("l{n}");
        let handle = "0 1700000000000 1000 999 0 broker-a 0 0";
        let fields = [
            ("consumerGroup", "L"),
            ("topic", "P"),
            ("queueId", "0"),
            ("extraInfo", handle),
            ("offset", "0"),
            ("liteTopic", lite.as_str()),
        ];
        let answer = broker.call(ask(R::AckMessage, &fields)).await;
        assert_eq!(answer.code, 0, "as Java: {answer:?}");
    }
    assert_eq!(broker.broker().offsets.committed_pairs(), before);
    // Statistics of groups that nobody made.
    send(&broker, 0, "", "a").await;
    let found = pop_something(&broker, &Pop { queue_id: 0, ..Pop::default() }).await;
    let mut forged = handle_request(R::AckMessage, &found[0]);
    forged.fields.set("consumerGroup", "nobody");
    assert_eq!(broker.call(forged).await.code, 0, "as Java");
    assert!(broker.broker().stats.view("GROUP_ACK_NUMS", "T@nobody").is_none());
    broker.server.shutdown().await;
}
