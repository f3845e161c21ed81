//! Sends, through the socket.

mod common;

use common::{Pull, TIMEOUT, TestBroker, bodies, field, records, send_header, send_request, send_with};
use hypergol_remoting::message::{BatchPart, append_batch_part};
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{RemotingCommand, RequestCode};
use hypergol_store::record::property;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_back_as_java_stores_it() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let sent = broker.send("T", "UNIQ_KEY\u{1}K1\u{2}TAGS\u{1}A\u{2}POP_CK\u{1}x\u{2}", "hello").await;
    assert_eq!(sent.code, 0, "{sent:?}");
    assert_eq!((field(&sent, "queueId"), field(&sent, "queueOffset")), ("0", "0"));
    assert_eq!((field(&sent, "transactionId"), field(&sent, "MSG_REGION")), ("K1", "DefaultRegion"));
    let id = format!("7F000001{:08X}{:016X}", broker.port, 0);
    assert_eq!(field(&sent, "msgId"), id);
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 1).await;
    let pulled = broker.call(Pull::default().request()).await;
    assert_eq!((pulled.code, pulled.remark.as_deref()), (0, Some("FOUND")));
    let records = records(&pulled);
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].topic(), records[0].body()), ("T", &b"hello"[..]));
    assert_eq!(records[0].store_host().port(), broker.port);
    assert_eq!(records[0].born_timestamp(), 1_700_000_000_000);
    let get = |name| property(records[0].properties(), name);
    assert_eq!((get("CLUSTER"), get("TRACE_ON"), get("POP_CK")), (Some("DefaultCluster"), Some("true"), None));
    assert_eq!((get("TAGS"), get("UNIQ_KEY")), (Some("A"), Some("K1")));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_unique_key_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let sent = broker.send("T", "", "hello").await;
    assert_eq!(field(&sent, "transactionId").len(), 32);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_chooses_a_queue_where_the_client_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let mut queues = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let header = SendMessageRequest { queue_id: -1, ..send_header("T", "") };
        let sent = broker.call(send_with(&header, &b"x"[..])).await;
        queues.insert(field(&sent, "queueId").to_owned());
    }
    assert_eq!(queues.into_iter().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_on_disk_before_the_send_that_makes_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    for number in 0..20 {
        let topic = format!("New{number}");
        assert_eq!(broker.call(send_with(&send_header(&topic, ""), &b"x"[..])).await.code, 0);
        let text = std::fs::read_to_string(folder.path().join("config/topics.json")).unwrap();
        assert!(text.contains(&format!("\"{topic}\"")), "{text}");
    }
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oneway_send_that_makes_its_topic_is_stored_though_its_client_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let mut request = send_with(&send_header("New", ""), &b"x"[..]);
    request.mark_oneway();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", broker.port)).unwrap();
    std::io::Write::write_all(&mut stream, &request.to_frame()).unwrap();
    drop(stream);
    broker.wait_until(|broker| broker.store.max_offset("New", 0) == 1).await;
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_paths_touch_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(&folder.path().join("store"), "").await;
    for topic in ["../evil", "a/b", "..", "/tmp/evil", "e\0vil", "%RETRY%../evil"] {
        let sent = broker.send(topic, "", "x").await;
        assert_eq!(sent.code, 29, "{topic:?}");
        let pulled = broker.call(Pull { topic, ..Pull::default() }.request()).await;
        assert_eq!(pulled.code, 17, "{topic:?}");
    }
    assert_eq!(broker.send("%RETRY%a b", "", "x").await.code, 29);
    let pulled = broker.call(Pull { group: "../evil", topic: "TBW102", ..Pull::default() }.request()).await;
    assert_eq!(pulled.code, 26);
    broker.server.shutdown().await;
    let entries: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, ["store"]);
    let queues = std::fs::read_dir(folder.path().join("store/consumequeue")).map_or(0, Iterator::count);
    assert_eq!(queues, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_stored_whole_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let mut body = Vec::new();
    for (text, properties) in [("a", "TAGS\u{1}A\u{2}"), ("b", "TAGS\u{1}B"), ("c", "")] {
        let part = BatchPart { flag: 7, body: text.as_bytes(), properties: properties.as_bytes() };
        assert!(append_batch_part(&mut body, &part));
    }
    let header = SendMessageRequest { batch: true, ..send_header("T", "UNIQ_KEY\u{1}BATCH\u{2}") };
    let mut request = RemotingCommand::request(RequestCode::SendBatchMessage).with_body(body.clone());
    header.encode_v2(&mut request.fields);
    let sent = broker.call(request.clone()).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    assert_eq!(field(&sent, "msgId").split(',').count(), 3);
    assert_eq!(field(&sent, "transactionId"), "BATCH");
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 3).await;
    let pulled = broker.call(Pull::default().request()).await;
    assert_eq!(bodies(&pulled), ["a", "b", "c"]);
    let records = records(&pulled);
    // Exactly what the client gave: nothing is added to the messages of a batch.
    assert_eq!((records[0].flag(), records[0].properties()), (7, &b"TAGS\x01A\x02"[..]));
    assert_eq!(records[2].properties(), b"");
    request.body = request.body.slice(..body.len() - 1);
    assert_eq!(broker.call(request).await.code, 1, "cut short");
    assert_eq!(broker.broker().store.next_offset("T", 0), 3);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_refused_in_javas_words() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "maxMessageSize=1000\n").await;
    let big = broker.send("T", "", &"x".repeat(1001)).await;
    assert_eq!(big.code, 13);
    assert!(
        big.remark.unwrap().starts_with("the message is illegal, maybe msg body or properties length not matched.")
    );
    assert_eq!(broker.send("T", "", &"x".repeat(1000)).await.code, 0);
    let properties = format!("P\u{1}{}\u{2}", "x".repeat(32_768));
    assert_eq!(broker.send("T", &properties, "x").await.code, 13);
    assert_eq!(broker.send("T", "DELAY\u{1}x\u{2}", "x").await.code, 1);
    assert_eq!(broker.broker().store.next_offset("T", 0), 1, "nothing refused is stored");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fast_port_takes_messages_and_refuses_pulls() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let sent = broker.call_port(broker.port - 2, send_request("T", "", "x")).await;
    assert_eq!(sent.code, 0);
    let pulled = broker.call_port(broker.port - 2, Pull::default().request()).await;
    assert_eq!((pulled.code, pulled.remark.as_deref()), (3, Some(" request type 11 not supported")));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn synchronous_flush_answers_when_the_disk_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "flushDiskType=SYNC_FLUSH\n").await;
    let sends = (0..50).map(|n| async move { n });
    for n in sends {
        let n = n.await;
        let sent = broker.send("T", "", &format!("m{n}")).await;
        assert_eq!(sent.code, 0);
        let store = &broker.broker().store;
        assert!(store.flushed_offset() >= store.max_physical_offset(), "answered before it was on disk");
    }
    assert_eq!(broker.send("T", "WAIT\u{1}false\u{2}", "x").await.code, 0);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_oneway_send_is_stored_and_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let address = format!("127.0.0.1:{}", broker.port);
    broker.client.oneway(&address, send_request("T", "", "x")).await.unwrap();
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 1).await;
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_goes_to_the_dead_letter_topic_after_the_last_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let send = |attempts, max| {
        let header = SendMessageRequest {
            reconsume_times: Some(attempts),
            max_reconsume_times: Some(max),
            ..send_header("%RETRY%g", "DELAY\u{1}3\u{2}")
        };
        send_with(&header, &b"x"[..])
    };
    assert_eq!(broker.call(send(2, 2)).await.code, 0);
    assert_eq!(broker.broker().store.next_offset("SCHEDULE_TOPIC_XXXX", 2), 1);
    assert!(!broker.broker().topics.contains("%DLQ%g"));
    assert_eq!(broker.call(send(3, 2)).await.code, 0);
    broker.wait_until(|broker| broker.store.max_offset("%DLQ%g", 0) == 1).await;
    assert_eq!(broker.broker().topics.get("%DLQ%g").unwrap().perm, 6);
    let pulled = broker.call(Pull { topic: "%DLQ%g", ..Pull::default() }.request()).await;
    assert_eq!(property(records(&pulled)[0].properties(), "DELAY"), Some("-1"));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_is_delivered_when_it_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "messageDelayLevel=1s 2h\n").await;
    let sent = broker.send("T", "DELAY\u{1}1\u{2}TAGS\u{1}A\u{2}", "later").await;
    assert_eq!((sent.code, field(&sent, "queueId")), (0, "0"));
    assert_eq!(broker.broker().store.next_offset("T", 0), 0);
    let waiting = Pull { flags: 6, wait_ms: TIMEOUT.as_millis() as i64, ..Pull::default() };
    let pulled = broker.call(waiting.request()).await;
    assert_eq!(bodies(&pulled), ["later"]);
    assert_eq!(broker.send("T", "DELAY\u{1}99\u{2}", "capped").await.code, 0);
    assert_eq!(broker.broker().store.next_offset("SCHEDULE_TOPIC_XXXX", 1), 1);
    broker.server.shutdown().await;
}
