//! A broker is killed while popped messages are not acknowledged.

mod common;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use common::TIMEOUT;
use common::pops::{Pop, ack_request, popped};
use common::process::Process;

fn bodies(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("m{number}")).collect()
}

/// Waits until a file of `config/` has `text`, white space aside.
async fn wait_written(folder: &Path, file: &str, text: &str) {
    let path = folder.join("store/config").join(file);
    let deadline = Instant::now() + TIMEOUT;
    let is_written = || {
        let all = std::fs::read_to_string(&path).unwrap_or_default();
        all.split_whitespace().collect::<String>().contains(text)
    };
    while !is_written() {
        assert!(Instant::now() < deadline, "{file} is not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Pops and acknowledges until `wanted` came; everything that came.
async fn consume(broker: &Process, wanted: &[String]) -> Vec<String> {
    let mut missing: HashSet<&String> = wanted.iter().collect();
    let mut came = Vec::new();
    let deadline = Instant::now() + TIMEOUT;
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "did not come: {missing:?}");
        let answer = broker.call(Pop { poll_ms: 500, ..Pop::default() }.request()).await;
        if answer.code != 0 {
            continue;
        }
        for message in popped(&answer) {
            assert_eq!(broker.call(ack_request(&message)).await.code, 0);
            missing.remove(&message.body);
            came.push(message.body);
        }
    }
    came
}

async fn pop_and_kill(extra: &str) {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), extra).await;
    let sent = bodies(0..10);
    broker.send(&sent).await;
    // It is written in the background: a topic that is not, is unknown after the kill.
    wait_written(folder.path(), "topics.json", r#""T":{"#).await;
    let pop = Pop { invisible_ms: 6000, messages: 4, ..Pop::default() };
    let mut acked = Vec::new();
    for number in 0..2 {
        let answer = broker.call(Pop { poll_ms: 1000, ..pop.clone() }.request()).await;
        for message in popped(&answer).iter().skip(number * 2) {
            assert_eq!(broker.call(ack_request(message)).await.code, 0);
            acked.push(message.body.clone());
        }
    }
    broker.kill();

    let broker = Process::start(folder.path(), extra).await;
    let open: Vec<String> = sent.iter().filter(|body| !acked.contains(body)).cloned().collect();
    consume(&broker, &open).await;
    broker.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_after_a_kill() {
    pop_and_kill("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_only_in_memory_comes_after_a_kill() {
    pop_and_kill("enablePopBufferMerge=true\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_the_offset_was_written_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), "").await;
    broker.send(&bodies(0..6)).await;
    let pop = Pop { invisible_ms: 3000, poll_ms: 1000, ..Pop::default() };
    let messages = popped(&broker.call(pop.request()).await);
    assert_eq!(messages.len(), 6);
    for message in &messages[..3] {
        assert_eq!(broker.call(ack_request(message)).await.code, 0);
    }
    wait_written(folder.path(), "consumerOffset.json", r#""T@G":{0:6"#).await;
    broker.kill();

    let broker = Process::start(folder.path(), "").await;
    let mut came = consume(&broker, &bodies(3..6)).await;
    came.sort_unstable();
    assert_eq!(came, bodies(3..6));
    broker.kill();
}
