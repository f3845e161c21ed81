//! A broker is killed while popped messages are not acknowledged.

mod common;

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::pops::{Pop, ack_request, popped};
use common::{TIMEOUT, free_port, send_header, send_with};
use hypergol_remoting::client::NoRequests;
use hypergol_remoting::{Client, Limits, RemotingCommand};

/// A broker in a process of its own.
struct Process {
    child: Child,
    client: Client,
    address: String,
}

impl Process {
    /// Starts one in a folder and waits until it serves.
    async fn start(folder: &Path, extra: &str) -> Self {
        let port = free_port();
        let conf = folder.join("broker.conf");
        let text = format!(
            "brokerName=broker-a\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={port}\nstorePathRootDir={}\n\
             mappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=20000\nmaxHashSlotNum=100\nmaxIndexNum=400\n\
             flushConsumerOffsetInterval=100\n{extra}",
            folder.join("store").display()
        );
        std::fs::write(&conf, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqbroker"));
        command.arg("-c").arg(&conf).env("ROCKETMQ_LOG_DIR", folder.join("logs")).env_remove("NAMESRV_ADDR");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let client = Client::new(Arc::new(NoRequests), Limits::default());
        let started = Self { child, client, address: format!("127.0.0.1:{port}") };
        let deadline = Instant::now() + TIMEOUT;
        let probe = RemotingCommand::request(hypergol_remoting::RequestCode::GetAllDelayOffset);
        while started.client.invoke(&started.address, probe.clone(), TIMEOUT).await.is_err() {
            assert!(Instant::now() < deadline, "the broker does not serve");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        started
    }

    async fn call(&self, request: RemotingCommand) -> RemotingCommand {
        self.client.invoke(&self.address, request, TIMEOUT).await.unwrap()
    }

    /// Sends messages to queue 0.
    async fn send(&self, bodies: &[String]) {
        for body in bodies {
            let answer = self.call(send_with(&send_header("T", ""), body.clone().into_bytes())).await;
            assert_eq!(answer.code, 0, "{answer:?}");
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bodies(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("m{number}")).collect()
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
    let file = folder.path().join("store/config/consumerOffset.json");
    let deadline = Instant::now() + TIMEOUT;
    let is_written = || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let flat: String = text.split_whitespace().collect();
        flat.contains(r#""T@G":{0:6"#)
    };
    while !is_written() {
        assert!(Instant::now() < deadline, "the offset is not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    broker.kill();

    let broker = Process::start(folder.path(), "").await;
    let mut came = consume(&broker, &bodies(3..6)).await;
    came.sort_unstable();
    assert_eq!(came, bodies(3..6));
    broker.kill();
}
