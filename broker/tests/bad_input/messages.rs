//! Messages for the broker's own topics, and what they would do there.

use hypergol_broker::context::now_ms;
use hypergol_remoting::message::{BatchPart, append_batch_part};
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{RemotingCommand, RequestCode as R};
use hypergol_store::NewMessage;

use crate::common::{Pull, TestBroker, bodies, field, send_header, send_request, send_with};
use crate::seeds::{ask, properties};
use crate::watch;

const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
const FAST: &str = "timerPrecisionMs=100\n";

/// Properties of a message of the timer topic that is due now.
fn due(topic: &str, queue_id: &str) -> String {
    let now = now_ms().to_string();
    properties(&[("TIMER_OUT_MS", &now), ("REAL_TOPIC", topic), ("REAL_QID", queue_id)])
}

async fn timers_still_go(broker: &TestBroker) {
    let soon = properties(&[("TIMER_DELAY_MS", "300")]);
    assert_eq!(broker.call(send_request("Timed", &soon, "on time")).await.code, 0);
    broker.wait_until(|broker| broker.store.max_offset("Timed", 0) == 1).await;
    let pulled = broker.call(Pull { topic: "Timed", ..Pull::default() }.request()).await;
    assert_eq!(bodies(&pulled), ["on time"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_onto_the_wheel_but_by_its_own_way() {
    watch::panics();
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), FAST).await;
    let marks = due("../../outside", "0");
    let mut body = Vec::new();
    assert!(append_batch_part(&mut body, &BatchPart { flag: 0, body: b"x", properties: marks.as_bytes() }));
    let header = SendMessageRequest { batch: true, ..send_header(TIMER_TOPIC, "") };
    let requests = [
        send_with(&send_header(TIMER_TOPIC, &marks), "x"),
        send_with(&header, body),
        RemotingCommand { code: R::SendReplyMessageV2 as i32, ..send_with(&send_header(TIMER_TOPIC, &marks), "x") },
    ];
    for request in requests {
        let answer = broker.call(request).await;
        assert_eq!(answer.code, 13, "{answer:?}");
    }
    assert_eq!(broker.broker().store.max_offset(TIMER_TOPIC, 0), 0);
    timers_still_go(&broker).await;
    broker.server.shutdown().await;
    watch::no_panics();
}

/// A folder of Java may hold such messages, for there clients can send to the topic.
#[tokio::test(flavor = "multi_thread")]
async fn a_timer_message_for_an_impossible_queue_holds_up_no_other() {
    watch::panics();
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), FAST).await;
    let host = broker.broker().store_host;
    let long = "x".repeat(300);
    for (topic, queue_id) in [("../../outside", "0"), ("a/b", "0"), (".", "0"), (&long, "0"), ("T", "-1"), ("T", "x")] {
        let marks = due(topic, queue_id);
        let message = NewMessage {
            topic: TIMER_TOPIC,
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 0,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"x",
            properties: marks.as_bytes(),
        };
        broker.broker().store.put(&message).unwrap();
    }
    timers_still_go(&broker).await;
    broker.server.shutdown().await;
    watch::no_panics();
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_queues_that_cannot_be_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    assert_eq!(broker.send("T", "", "x").await.code, 0);
    broker.call(Pull { group: "G", ..Pull::default() }.request()).await;
    let commit = |queue_id: &str| {
        let fields = [("consumerGroup", "G"), ("topic", "T"), ("queueId", queue_id), ("commitOffset", "1")];
        ask(R::UpdateConsumerOffset, &fields)
    };
    for queue_id in ["-2", "65535", "2147483647", "-2147483648"] {
        let answer = broker.call(commit(queue_id)).await;
        assert_eq!(answer.code, 29, "{queue_id}: {answer:?}");
    }
    assert_eq!(broker.call(commit("0")).await.code, 0);
    assert_eq!(broker.broker().offsets.of("T", "G"), [(0, 1)].into());
    let asked = ask(R::QueryConsumerOffset, &[("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")]);
    assert_eq!(field(&broker.call(asked).await, "offset"), "1");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_come_whatever_the_timercheck_says() {
    watch::panics();
    for (read_time_ms, queue_offset) in [(i64::MAX, i64::MAX), (now_ms() + (1 << 40), 1 << 40), (i64::MIN, -1)] {
        let folder = tempfile::tempdir().unwrap();
        let broker = TestBroker::start(folder.path(), FAST).await;
        let soon = properties(&[("TIMER_DELAY_MS", "1500")]);
        assert_eq!(broker.call(send_request("Soon", &soon, "soon")).await.code, 0);
        broker.server.shutdown().await;
        let path = folder.path().join("config/timercheck");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[..8].copy_from_slice(&read_time_ms.to_be_bytes());
        bytes[16..24].copy_from_slice(&queue_offset.to_be_bytes());
        std::fs::write(&path, bytes).unwrap();
        let broker = TestBroker::start(folder.path(), FAST).await;
        broker.wait_until(|broker| broker.store.max_offset("Soon", 0) > 0).await;
        timers_still_go(&broker).await;
        broker.server.shutdown().await;
    }
    watch::no_panics();
}
