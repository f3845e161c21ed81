//! The executables, run as processes.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Pull, TIMEOUT, bodies, free_port, send_request};
use hypergol_remoting::client::NoRequests;
use hypergol_remoting::{Client, Limits, RemotingCommand, RequestCode};

/// Ends the process when a test fails.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Reads lines until one holds `text`.
    fn read_until(&mut self, text: &str) -> String {
        let mut lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let mut seen = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("ended after {seen}")).unwrap();
            seen.push_str(&line);
            seen.push('\n');
            if line.contains(text) {
                return seen;
            }
        }
    }

    fn terminate(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_serves_as_name_server_and_broker() {
    let folder = tempfile::tempdir().unwrap();
    let (namesrv_port, broker_port) = (free_port(), free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypergol"));
    let conf = folder.path().join("broker.conf");
    std::fs::write(
        &conf,
        "mappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=20000\nmaxHashSlotNum=100\nmaxIndexNum=400\n",
    )
    .unwrap();
    command.current_dir(folder.path()).env_remove("ROCKETMQ_LOG_DIR").env_remove("NAMESRV_ADDR");
    command.args(["--namesrv-port", &namesrv_port.to_string(), "--broker-port", &broker_port.to_string()]);
    command.arg("-c").arg(&conf);
    let mut process = Process::start(&mut command);
    let hello = process.read_until("Ctrl-C");
    assert!(hello.contains("hypergol-data") && hello.contains("mqadmin sendMessage"), "{hello}");
    let client = Client::new(Arc::new(NoRequests), Limits::default());
    let call = |port: u16, request: RemotingCommand| {
        let (client, address) = (&client, format!("127.0.0.1:{port}"));
        async move { client.invoke(&address, request, TIMEOUT).await.unwrap() }
    };
    let route = RemotingCommand::request(RequestCode::GetRouteInfoByTopic).with_field("topic", "TBW102");
    let answer = call(namesrv_port, route).await;
    assert_eq!(answer.code, 0);
    let route = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(route.contains(&format!(":{broker_port}\"")) && !route.contains("127.0.0.1"), "{route}");
    assert_eq!(call(broker_port, send_request("Hello", "", "world")).await.code, 0);
    let pull = Pull { topic: "Hello", flags: 6, wait_ms: TIMEOUT.as_millis() as i64, ..Pull::default() };
    assert_eq!(bodies(&call(broker_port, pull.request()).await), ["world"]);
    assert!(process.terminate(), "a clean end");
    let store = folder.path().join("hypergol-data/store");
    assert!(store.join("commitlog").exists() && !store.join("abort").exists());
}

#[test]
fn mqbroker_says_which_key_it_cannot_honour() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("broker.conf");
    std::fs::write(&conf, "brokerName=a\nenableDLegerCommitLog=true\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqbroker"));
    command.arg("-c").arg(&conf).env("ROCKETMQ_LOG_DIR", folder.path());
    let mut process = Process::start(&mut command);
    assert!(!process.0.wait().unwrap().success());
    let mut said = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("enableDLegerCommitLog"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqbroker_warns_of_keys_without_effect() {
    let folder = tempfile::tempdir().unwrap();
    let broker = common::process::Process::start(folder.path(), "metricsExporterType=PROM\n").await;
    let times_told = || {
        let logs = std::fs::read_dir(folder.path().join("logs")).unwrap();
        let texts = logs.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let is_warning = |line: &str| line.contains("no effect yet") && line.contains("metricsExporterType");
        texts.map(|text| text.lines().filter(|line| is_warning(line)).count()).sum::<usize>()
    };
    let wait_until_told = async |times| {
        let deadline = Instant::now() + TIMEOUT;
        while times_told() < times {
            assert!(Instant::now() < deadline, "told {} times, not {times}", times_told());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(times_told(), times);
    };
    wait_until_told(1).await;
    for (line, times) in
        [("traceOn=false\n", 1), ("metricsExporterType=LOG\n", 2), ("metricsExporterType=DISABLE\n", 2)]
    {
        let update = RemotingCommand::request(RequestCode::UpdateBrokerConfig).with_body(line.as_bytes().to_vec());
        assert_eq!(broker.call(update).await.code, 0);
        wait_until_told(times).await;
    }
}

#[test]
fn mqbroker_prints_its_keys() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqbroker"));
    let all = command.arg("-p").output().unwrap();
    let all = String::from_utf8(all.stdout).unwrap();
    for line in ["brokerClusterName=DefaultCluster", "listenPort=10911", "sendThreadPoolQueueCapacity=10000"] {
        assert!(all.lines().any(|printed| printed == line), "{line}");
    }
    let important = Command::new(env!("CARGO_BIN_EXE_mqbroker")).arg("-m").output().unwrap();
    let important = String::from_utf8(important.stdout).unwrap();
    assert!(important.contains("brokerName=") && important.lines().count() < all.lines().count());
}
