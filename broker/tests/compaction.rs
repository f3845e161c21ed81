//! Compacted topics through the socket: what is refused, what pulls bring before and after a compaction, after a clean
//! stop, after a kill, and after the topic is deleted.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::process::Process;
use common::{Pull, TIMEOUT, TestBroker, bodies, field, send_request};
use hypergol_remoting::{RemotingCommand, RequestCode, ResponseCode};

/// Pairs of ten messages at most; a compaction after a second or little more.
const SMALL: &str = "compactionMappedFileSize=2300\ncompactionCqMappedFileSize=460\ncompactionScheduleInternal=1\nmaxOffsetMapSize=4096\n";
/// The same without compactions in the time that a test takes.
const SLOW: &str = "compactionMappedFileSize=2300\ncompactionCqMappedFileSize=460\n";

fn create(topic: &str, attributes: &str) -> RemotingCommand {
    RemotingCommand::request(RequestCode::UpdateAndCreateTopic)
        .with_field("topic", topic)
        .with_field("defaultTopic", "TBW102")
        .with_field("readQueueNums", "1")
        .with_field("writeQueueNums", "1")
        .with_field("perm", "6")
        .with_field("topicFilterType", "SINGLE_TAG")
        .with_field("topicSysFlag", "0")
        .with_field("order", "false")
        .with_field("attributes", attributes)
}

fn keyed(number: usize) -> RemotingCommand {
    send_request("C", &format!("KEYS\u{1}k{}\u{2}TAGS\u{1}even\u{2}", number % 4), &format!("m{number}"))
}

fn names(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(|number| format!("m{number}")).collect()
}

/// Bodies of all messages from an offset on, by pulls one after the other.
async fn pull(ask: &mut impl AsyncFnMut(RemotingCommand) -> RemotingCommand, mut offset: i64) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let answer = ask(Pull { topic: "C", offset, ..Pull::default() }.request()).await;
        if answer.code != ResponseCode::Success as i32 {
            return all;
        }
        all.extend(bodies(&answer));
        offset = field(&answer, "nextBeginOffset").parse().unwrap();
    }
}

async fn pull_all(broker: &TestBroker) -> Vec<String> {
    pull(&mut async |request| broker.call(request).await, 0).await
}

async fn await_visible(broker: &TestBroker, count: i64) {
    broker.wait_until(|broker| broker.store.max_offset("C", 0) == count).await;
}

async fn start(folder: &Path, extra: &str) -> TestBroker {
    TestBroker::start(folder, extra).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_message_of_each_key_stays() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), SMALL).await;
    let answer = broker.call(create("C", "+cleanup.policy=COMPACTION")).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    let answer = broker.send("C", "", "no key").await;
    assert_eq!(answer.code, ResponseCode::MessageIllegal as i32);
    assert_eq!(answer.remark.as_deref(), Some("Required message key is missing"));

    for number in 0..40 {
        assert_eq!(broker.call(keyed(number)).await.code, 0);
    }
    await_visible(&broker, 40).await;
    // The newest pair of files is not compacted: the last of each key before it stays as well.
    let expected = names(32..40);
    let deadline = Instant::now() + TIMEOUT;
    while pull_all(&broker).await != expected {
        assert!(Instant::now() < deadline, "not compacted: {:?}", pull_all(&broker).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // As in Java filters are the client's in these topics, and an answer comes from one pair of files.
    let answer = broker.call(Pull { topic: "C", subscription: "odd", ..Pull::default() }.request()).await;
    assert_eq!(bodies(&answer), names(32..36));
    let answer = broker.call(Pull { topic: "C", offset: 35, ..Pull::default() }.request()).await;
    assert_eq!((field(&answer, "minOffset"), field(&answer, "maxOffset")), ("32", "40"));
    broker.server.shutdown().await;

    let broker = start(folder.path(), SMALL).await;
    assert_eq!(pull_all(&broker).await, expected);
    // What a consumer waits for comes at once.
    let waiting = Pull { topic: "C", offset: 40, flags: 6, wait_ms: 20_000, ..Pull::default() }.request();
    let (answer, sent) = tokio::join!(broker.call(waiting), broker.call(keyed(40)));
    assert_eq!((sent.code, bodies(&answer)), (0, vec!["m40".to_owned()]));

    // A topic of the same name begins anew.
    let delete = RemotingCommand::request(RequestCode::DeleteTopicInBroker).with_field("topic", "C");
    assert_eq!(broker.call(delete).await.code, 0);
    let logs = folder.path().join("compaction/compactionLog/C");
    broker.wait_until(|_| !logs.exists()).await;
    broker.call(create("C", "+cleanup.policy=COMPACTION")).await;
    assert_eq!(broker.call(keyed(0)).await.code, 0);
    await_visible(&broker, 1).await;
    assert_eq!(pull_all(&broker).await, ["m0"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_compaction_they_are_topics_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), "enableCompaction=false\n").await;
    broker.call(create("C", "+cleanup.policy=COMPACTION")).await;
    for number in 0..10 {
        assert_eq!(broker.call(keyed(number)).await.code, 0);
    }
    await_visible(&broker, 10).await;
    assert_eq!(pull_all(&broker).await, names(0..10));
    assert!(!folder.path().join("compaction").exists());
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Process::start(folder.path(), SLOW).await;
    assert_eq!(broker.call(create("C", "+cleanup.policy=COMPACTION")).await.code, 0);
    for round in 0..3 {
        for number in round * 25..(round + 1) * 25 {
            assert_eq!(broker.call(keyed(number)).await.code, 0);
        }
        broker.kill();
        broker = Process::start(folder.path(), SLOW).await;
        let all = pull(&mut async |request| broker.call(request).await, 0).await;
        assert_eq!(all, names(0..(round + 1) * 25));
    }
    broker.kill();
}

/// Wherever compactions are when it comes: messages are in order, and the last of each key is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_among_compactions_loses_nothing() {
    const ROUND: usize = 80;
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Process::start(folder.path(), SMALL).await;
    assert_eq!(broker.call(create("C", "+cleanup.policy=COMPACTION")).await.code, 0);
    for round in 1..=3 {
        let sent = round * ROUND;
        for number in sent - ROUND..sent {
            assert_eq!(broker.call(keyed(number)).await.code, 0);
            // Long enough for compactions to begin among them.
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        broker.kill();
        broker = Process::start(folder.path(), SMALL).await;
        let all = pull(&mut async |request| broker.call(request).await, 0).await;
        let numbers: Vec<usize> = all.iter().map(|name| name[1..].parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        assert!(numbers.ends_with(&[sent - 4, sent - 3, sent - 2, sent - 1]), "{numbers:?}");
        assert!(round == 1 || numbers.len() < sent, "never compacted");
    }
    broker.kill();
}
