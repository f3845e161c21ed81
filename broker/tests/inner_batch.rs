//! Topics with batch queues (`queue.type=BatchCQ`): batches are stored as one record and read whole.

mod common;

use std::path::Path;

use bytes::Bytes;
use common::*;
use hypergol_remoting::message::{BatchPart, append_batch_part, split_batch};
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{RemotingCommand, RequestCode};
use hypergol_store::record::property;

fn create_topic(broker: &TestBroker, name: &str) {
    broker.broker().topics.create_if_absent(TopicConfig {
        topic_name: name.to_owned(),
        read_queue_nums: 1,
        write_queue_nums: 1,
        attributes: [("queue.type".to_owned(), "BatchCQ".to_owned())].into(),
        ..TopicConfig::default()
    });
}

fn batch(topic: &str, properties: &str, texts: &[&str]) -> RemotingCommand {
    let mut body = Vec::new();
    for text in texts {
        assert!(append_batch_part(&mut body, &BatchPart { flag: 0, body: text.as_bytes(), properties: b"" }));
    }
    let header = SendMessageRequest { batch: true, ..send_header(topic, properties) };
    let mut request = RemotingCommand::request(RequestCode::SendBatchMessage).with_body(body);
    header.encode_v2(&mut request.fields);
    request
}

async fn offset(broker: &TestBroker, code: RequestCode) -> String {
    let mut request = RemotingCommand::request(code);
    request.fields.push_str("topic", "B");
    request.fields.push_int("queueId", 0);
    field(&broker.call(request).await, "offset").to_owned()
}

fn unit_count(folder: &Path) -> usize {
    let file = std::fs::read(folder.join("batchconsumequeue/B/0/00000000000000000000")).unwrap();
    file.chunks(46).take_while(|unit| unit.iter().any(|&byte| byte != 0)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_record_and_is_pulled_whole() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    create_topic(&broker, "B");
    assert_eq!(offset(&broker, RequestCode::GetMinOffset).await, "-1");
    assert_eq!(offset(&broker, RequestCode::GetMaxOffset).await, "0");
    let empty = broker.call(Pull { topic: "B", ..Pull::default() }.request()).await;
    assert_eq!((empty.code, field(&empty, "minOffset"), field(&empty, "maxOffset")), (19, "-1", "0"));

    let sent = broker.call(batch("B", "UNIQ_KEY\u{1}U1\u{2}INNER_BASE\u{1}9\u{2}", &["a", "b", "c"])).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    assert_eq!((field(&sent, "batchUniqId"), field(&sent, "transactionId")), ("U1", "U1"));
    assert_eq!((field(&sent, "queueOffset"), field(&sent, "msgId").len()), ("0", 32));
    let sent = broker.call(batch("B", "UNIQ_KEY\u{1}U2\u{2}", &["d", "e"])).await;
    assert_eq!(field(&sent, "queueOffset"), "3");
    // What is no inner batch has offsets and is delivered as well.
    let sent = broker.call(batch("B", "", &["f", "g"])).await;
    assert_eq!((field(&sent, "queueOffset"), field(&sent, "msgId").split(',').count()), ("5", 2));
    assert!(sent.fields.get("batchUniqId").is_none());
    let sent = broker.send("B", "", "h").await;
    assert_eq!(field(&sent, "queueOffset"), "7");
    broker.wait_until(|broker| broker.store.max_offset("B", 0) == 8).await;
    assert_eq!(offset(&broker, RequestCode::GetMinOffset).await, "0");
    assert_eq!(offset(&broker, RequestCode::GetMaxOffset).await, "8");

    let pulled = broker.call(Pull { topic: "B", offset: 4, ..Pull::default() }.request()).await;
    assert_eq!((pulled.code, field(&pulled, "nextBeginOffset"), field(&pulled, "maxOffset")), (0, "8", "8"));
    let found = records(&pulled);
    assert_eq!(found.iter().map(|record| record.queue_offset()).collect::<Vec<_>>(), [3, 5, 6, 7]);
    assert_eq!(found[0].sys_flag() & 0xC0, 0xC0);
    let inner = split_batch(&Bytes::copy_from_slice(found[0].body()), 10)
        .unwrap()
        .iter()
        .map(|part| String::from_utf8(part.body.to_vec()).unwrap())
        .collect::<Vec<_>>();
    assert_eq!(inner, ["d", "e"]);
    let text = |name| property(found[0].properties(), name);
    assert_eq!((text("INNER_NUM"), text("INNER_BASE"), text("UNIQ_KEY")), (Some("2"), Some("3"), Some("U2")));

    broker.server.shutdown().await;
    assert_eq!(unit_count(folder.path()), 5);
    assert!(!folder.path().join("consumequeue/B").exists());
    // After a crash the log is dispatched again, with the kinds of queues known.
    std::fs::write(folder.path().join("abort"), "1").unwrap();
    std::fs::remove_dir_all(folder.path().join("batchconsumequeue")).unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let pulled = broker.call(Pull { topic: "B", offset: 1, ..Pull::default() }.request()).await;
    let offsets: Vec<_> = records(&pulled).iter().map(|record| record.queue_offset()).collect();
    assert_eq!(offsets, [0, 3, 5, 6, 7]);
    let sent = broker.call(batch("B", "UNIQ_KEY\u{1}U3\u{2}", &["i"])).await;
    assert_eq!(field(&sent, "queueOffset"), "8");
    broker.server.shutdown().await;
    assert_eq!(unit_count(folder.path()), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_inner_batch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    create_topic(&broker, "B");
    for properties in ["UNIQ_KEY\u{1}U\u{2}TIMER_DELAY_SEC\u{1}5\u{2}", "UNIQ_KEY\u{1}U\u{2}DELAY\u{1}1\u{2}"] {
        assert_eq!(broker.call(batch("B", properties, &["a"])).await.code, 13, "{properties:?}");
    }
    let many = vec!["x"; 32_768];
    assert_eq!(broker.call(batch("B", "UNIQ_KEY\u{1}U\u{2}", &many)).await.code, 13);
    // A topic with simple queues takes no inner batch made elsewhere.
    let header = SendMessageRequest { sys_flag: 0xC0, ..send_header("T", "INNER_NUM\u{1}2\u{2}") };
    assert_eq!(broker.call(send_with(&header, "x")).await.code, 13);
    assert_eq!(broker.send("B", "INNER_NUM\u{1}2\u{2}", "x").await.code, 13);
    let header = SendMessageRequest { topic: "B", ..header };
    assert_eq!(broker.call(send_with(&header, "x")).await.code, 0);
    let store = &broker.broker().store;
    assert_eq!((store.next_offset("B", 0), store.next_offset("T", 0)), (2, 0));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_may_have_other_queues() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    create_topic(&broker, "B");
    broker.call(batch("B", "UNIQ_KEY\u{1}U1\u{2}", &["a", "b", "c"])).await;
    broker.wait_until(|broker| broker.store.max_offset("B", 0) == 3).await;
    let mut request = RemotingCommand::request(RequestCode::DeleteTopicInBroker);
    request.fields.push_str("topic", "B");
    assert_eq!(broker.call(request).await.code, 0);
    assert!(!folder.path().join("batchconsumequeue/B").exists());
    assert_eq!(field(&broker.send("B", "", "simple").await, "queueOffset"), "0");
    broker.server.shutdown().await;
    std::fs::write(folder.path().join("abort"), "1").unwrap();
    // The log still holds the inner batch of the topic before.
    let broker = TestBroker::start(folder.path(), "").await;
    let pulled = broker.call(Pull { topic: "B", ..Pull::default() }.request()).await;
    assert_eq!(bodies(&pulled), ["simple"]);
    broker.server.shutdown().await;
}
