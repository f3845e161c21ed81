//! Pulls, through the socket.

mod common;

use common::{Pull, TIMEOUT, TestBroker, bodies, field};

const LONG_MS: i64 = TIMEOUT.as_millis() as i64;

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pull_is_woken_by_a_message_that_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    broker.send("T", "TAGS\u{1}A\u{2}", "first").await;
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 1).await;
    let pull = Pull { offset: 1, flags: 6, wait_ms: LONG_MS, subscription: "A || C", ..Pull::default() };
    let waiting = broker.call(pull.request());
    let sending = async {
        broker.wait_until(|broker| broker.held_pulls.len() == 1).await;
        broker.send("T", "TAGS\u{1}B\u{2}", "unwanted").await;
        broker.wait_until(|broker| broker.store.max_offset("T", 0) == 2).await;
        assert_eq!(broker.broker().held_pulls.len(), 1, "not for this one");
        broker.send("T", "TAGS\u{1}C\u{2}", "wanted").await;
    };
    let (answer, ()) = tokio::join!(waiting, sending);
    assert_eq!((answer.code, bodies(&answer)), (0, vec!["wanted".to_owned()]));
    assert_eq!((field(&answer, "nextBeginOffset"), field(&answer, "maxOffset")), ("3", "3"));
    assert!(broker.broker().held_pulls.is_empty());
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pull_ends_with_nothing_when_its_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    broker.send("T", "", "first").await;
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 1).await;
    let answer = broker.call(Pull { offset: 1, flags: 6, wait_ms: 50, ..Pull::default() }.request()).await;
    assert_eq!((answer.code, answer.remark.as_deref()), (19, Some("OFFSET_OVERFLOW_ONE")));
    assert_eq!((field(&answer, "nextBeginOffset"), field(&answer, "minOffset")), ("1", "0"));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pulls_of_one_queue_all_get_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    broker.send("T", "", "first").await;
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 1).await;
    let groups: Vec<_> = (0..100).map(|n| format!("g{n}")).collect();
    let requests =
        groups.iter().map(|group| Pull { group, offset: 1, flags: 6, wait_ms: LONG_MS, ..Pull::default() }.request());
    let mut waiting: tokio::task::JoinSet<_> = requests
        .map(|request| {
            let client = hypergol_remoting::Client::new(
                std::sync::Arc::new(hypergol_remoting::client::NoRequests),
                hypergol_remoting::Limits::default(),
            );
            let address = format!("127.0.0.1:{}", broker.port);
            async move { client.invoke(&address, request, TIMEOUT).await.unwrap() }
        })
        .collect();
    broker.wait_until(|broker| broker.held_pulls.len() == 100).await;
    broker.send("T", "", "for all").await;
    while let Some(answer) = waiting.join_next().await {
        assert_eq!(bodies(&answer.unwrap()), ["for all"]);
    }
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_polling_does_not_wait_long() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "longPollingEnable=false\nshortPollingTimeMills=20\n").await;
    broker.send("T", "", "first").await;
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 1).await;
    // Would outlast the test's patience if the client's wish counted.
    let answer = broker.call(Pull { offset: 1, flags: 6, wait_ms: LONG_MS * 2, ..Pull::default() }.request()).await;
    assert_eq!(answer.code, 19);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_committed_once_and_pulls_noted_always() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    for text in ["a", "b"] {
        broker.send("T", "", text).await;
    }
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 2).await;
    let first = broker.call(Pull { flags: 5, commit: 1, ..Pull::default() }.request()).await;
    assert_eq!(bodies(&first), ["a", "b"]);
    let offsets = &broker.broker().offsets;
    assert_eq!(offsets.committed("T", "cg", 0, true), Some(1));
    assert_eq!(offsets.last_pulled("T", "cg", 0), Some(2));
    // An administrator sets the offset while a pull waits: waking must not commit the old one again.
    let pull = Pull { offset: 2, flags: 7, commit: 2, wait_ms: LONG_MS, ..Pull::default() };
    let waiting = broker.call(pull.request());
    let resetting = async {
        broker.wait_until(|broker| broker.held_pulls.len() == 1).await;
        offsets.reset("T", "cg", 0, 0);
        broker.send("T", "", "c").await;
    };
    let (answer, ()) = tokio::join!(waiting, resetting);
    assert_eq!((answer.code, answer.remark.as_deref()), (21, Some("OFFSET_RESET")));
    assert_eq!(field(&answer, "nextBeginOffset"), "0");
    assert_eq!(offsets.committed("T", "cg", 0, true), Some(0));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_says_what_forbids() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    broker.send("T", "", "x").await;
    let sync_topic = "rmq_sys_SYNC_BROKER_MEMBER_broker-a";
    let answer = broker.call(Pull { topic: sync_topic, ..Pull::default() }.request()).await;
    assert_eq!((answer.code, field(&answer, "forbiddenType")), (16, "3"));
    let answer = broker.call(Pull { queue_id: 4, ..Pull::default() }.request()).await;
    assert_eq!(answer.code, 29);
    let answer = broker.call(Pull { flags: 0, ..Pull::default() }.request()).await;
    assert_eq!(answer.code, 24, "nobody has said what the group wants");
    let answer = broker.call(Pull { subscription: "||", ..Pull::default() }.request()).await;
    assert_eq!(answer.code, 23);
    let mut group = (*broker.broker().groups.get("cg").unwrap()).clone();
    group.consume_enable = false;
    broker.broker().groups.update(vec![group], Box::new(|_| ()));
    let answer = broker.call(Pull::default().request()).await;
    assert_eq!((answer.code, field(&answer, "forbiddenType")), (16, "2"));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_missing_or_wrong_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let mut request = Pull::default().request();
    request.fields.remove("topic");
    let answer = broker.call(request).await;
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("the custom field <topic> is null")));
    let mut request = Pull::default().request();
    request.fields.set("queueOffset", "99999999999999999999");
    assert_eq!(broker.call(request).await.code, 1);
    broker.server.shutdown().await;
}
