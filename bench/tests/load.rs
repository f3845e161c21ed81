//! The load generator, as a process, against our own servers in this one.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use hypergol_broker::BrokerError;
use hypergol_broker::config::{self, BrokerSettings};
use hypergol_broker::server::BrokerServer;
use hypergol_config::{Live, Properties, settings};
use hypergol_namesrv::NameServer;
use hypergol_namesrv::config::NamesrvSettings;
use hypergol_remoting::IoThreads;
use serde_json::Value;

/// Starts a broker with small files in `folder`; returns it with its address.
async fn broker(folder: &Path) -> (BrokerServer, String) {
    // Another process may take a port in between; then another is tried.
    for _ in 0..20 {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        match BrokerServer::start(broker_settings(folder, port), IoThreads::current()).await {
            Ok(server) => return (server, format!("127.0.0.1:{port}")),
            Err(BrokerError::Listen { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no free port");
}

fn broker_settings(folder: &Path, port: u16) -> Arc<Live<BrokerSettings>> {
    let text = format!(
        "brokerName=broker-a\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={port}\nstorePathRootDir={}\n\
         mappedFileSizeCommitLog=16777216\nmappedFileSizeConsumeQueue=200000\nmaxHashSlotNum=100\nmaxIndexNum=400\n\
         enablePropertyFilter=true\n",
        folder.display()
    );
    let properties = Properties::parse("test", text.as_bytes()).unwrap();
    let mut broker = BrokerSettings::default();
    broker.broker.namesrv_addr = None;
    settings::apply(&mut broker, &properties).unwrap();
    config::prepare(&mut broker).unwrap();
    Arc::new(Live::new(broker, &properties, folder.join("broker.properties")))
}

/// Runs `bench load`.
async fn load(address: &str, flags: &str) -> Output {
    let arguments = format!("load {flags} --addr {address}");
    tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments.split(' ')).output().unwrap()
    })
    .await
    .unwrap()
}

/// Runs `bench load` and wants it to succeed with the three lines in order; returns the last.
async fn result(address: &str, flags: &str) -> Value {
    let output = load(address, flags).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{flags}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["measure", "measured", "result"], "{flags}");
    lines[2].clone()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_sending_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    let ways = [
        ("a", "--in-flight 64 --connections 4 --queues 12"),
        ("b", "--rate 300 --in-flight 512 --connections 3 --header rocketmq"),
        ("c", "--batch 16 --in-flight 4 --connections 2 --size 100"),
        ("d", "--batch 3 --header rocketmq --queues 1"),
        ("e", "--threads 2 --connections 3 --in-flight 7 --size 32"),
        ("f", "--delay-level 1 --in-flight 4"),
        ("g", "--timer-delay-ms 1000 --rate 300"),
    ];
    for (topic, flags) in ways {
        let flags = format!("send --topic {topic} --create-topic --seconds 0.3 --warmup 0.1 {flags}");
        let result = result(&address, &flags).await;
        let checks = &result["checks"];
        assert!(count(&result["messages"]) > 0, "{flags}: {result}");
        assert_eq!(checks["sent"], checks["acknowledged"], "{flags}: {result}");
        assert_eq!(result["errors"], serde_json::json!({}), "{flags}");
        assert!(result["latency_us"]["p50"].as_f64().unwrap() > 0.0, "{flags}");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_way_sends_are_counted_in_the_topic() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    let flags = "send --create-topic --oneway --connections 2 --size 64 --seconds 0.3 --warmup 0.1 --rate 2000";
    let result = result(&address, flags).await;
    assert!(count(&result["messages"]) > 0);
    assert_eq!(result["checks"]["sent"], result["checks"]["stored"]);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    let sent =
        result(&address, "send --topic T --create-topic --queues 5 --seconds 0.3 --warmup 0 --batch 8 --in-flight 4")
            .await;
    let there = count(&sent["checks"]["acknowledged"]);
    for flags in ["--in-flight 8", "--in-flight 2 --pull-batch 7 --header rocketmq"] {
        let drained = result(&address, &format!("drain --topic T --queues 5 --messages {there} {flags}")).await;
        assert_eq!(count(&drained["messages"]), there);
        assert_eq!(count(&drained["bytes"]), there * 1024);
        assert_eq!(drained["checks"]["received"], there);
    }
    let beyond = load(&address, &format!("drain --topic T --queues 5 --messages {}", there + 1)).await;
    assert!(!beyond.status.success());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_received_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    for topic in ["--topic T", "--topic T", "--topic R --header rocketmq --connections 3"] {
        let flags = format!("tail {topic} --create-topic --rate 500 --seconds 0.4 --warmup 0.1");
        let result = result(&address, &flags).await;
        // 200 are due in the window; those around its edges may fall on either side.
        assert!(count(&result["messages"]) > 100, "{result}");
        assert_eq!(result["checks"]["received"], result["checks"]["acknowledged"]);
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orderly_consumers_hold_locks_and_see_order() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    let flags = "tail --topic T --create-topic --orderly --rate 500 --in-flight 4 --connections 4 --queues 3 \
                 --seconds 1.5 --warmup 0.1";
    let result = result(&address, flags).await;
    assert!(count(&result["messages"]) > 100, "{result}");
    assert_eq!(result["checks"]["received"], result["checks"]["acknowledged"]);
    assert_eq!(count(&result["checks"]["sender_inversions"]), 0);
    assert!(count(&result["checks"]["renewals"]) > 0);
    // Without it nothing could be said about order.
    let flags = "tail --topic T --orderly --rate 500 --in-flight 5 --connections 4";
    assert!(!load(&address, flags).await.status.success());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_messages_are_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    for flags in ["--in-flight 8 --connections 3", "--header rocketmq --queues 1"] {
        let flags = format!("transaction --topic T --create-topic --seconds 0.3 --warmup 0.1 {flags}");
        let result = result(&address, &flags).await;
        let checks = &result["checks"];
        assert!(count(&result["messages"]) > 0, "{result}");
        assert_eq!(checks["half_messages"], checks["committed"], "{result}");
        assert_eq!(checks["stored"], checks["committed"], "{result}");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_selects_what_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    for (topic, flags) in [("T", "--batch 8 --in-flight 4"), ("S", "--header rocketmq --in-flight 4")] {
        let flags = format!("send --topic {topic} --create-topic --buckets --seconds 0.3 --warmup 0 {flags}");
        let there = count(&result(&address, &flags).await["checks"]["acknowledged"]);
        let result = result(&address, &format!("filter --topic {topic} --pull-batch 7 --in-flight 3")).await;
        assert_eq!(result["checks"]["examined"], there);
        assert_eq!(result["checks"]["selected"], result["messages"]);
        // 49 of each hundred, but for the last hundred that was begun.
        let rest = (count(&result["messages"]) * 100).abs_diff(there * 49);
        assert!(rest <= 100 * 50, "{result}");
    }
    // Messages without the property: none is selected, but the sequences say that some should be.
    let flags = "send --topic U --create-topic --seconds 0.3 --warmup 0 --batch 64";
    result(&address, flags).await;
    assert!(!load(&address, "filter --topic U").await.status.success());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_popped_and_acknowledged_once() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    for (topic, flags) in [("T", "--connections 3"), ("S", "--header rocketmq --pop-batch 5")] {
        let flags_of_send = "--create-topic --seconds 0.3 --warmup 0 --batch 8 --size 100";
        let sent = result(&address, &format!("send --topic {topic} {flags_of_send}")).await;
        let there = count(&sent["checks"]["acknowledged"]);
        let result = result(&address, &format!("pop --topic {topic} {flags}")).await;
        assert_eq!(count(&result["messages"]), there);
        assert_eq!((count(&result["checks"]["popped"]), count(&result["checks"]["acknowledged"])), (there, there));
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_are_held_beside_sends() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = broker(folder.path()).await;
    let flags = "hold --topic T --create-topic --consumers 70 --rate 400 --seconds 0.4 --warmup 0.1";
    let result = result(&address, flags).await;
    assert!(count(&result["messages"]) > 0);
    assert_eq!((count(&result["checks"]["consumers"]), count(&result["checks"]["received"])), (70, 0));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let text = format!(
        "bindAddress=127.0.0.1\nlistenPort=0\nkvConfigPath={path}/kvConfig.json\n\
         configStorePath={path}/namesrv.properties\n"
    );
    let file = Properties::parse("test.conf", text.as_bytes()).unwrap();
    let mut named = NamesrvSettings::default();
    settings::apply(&mut named, &file).unwrap();
    let server = NameServer::start(named, &file, IoThreads::current()).unwrap();
    let address = server.local_addr().to_string();
    assert!(!load(&address, "route --topics 2 --connections 2 --in-flight 1").await.status.success());
    for header in ["json", "rocketmq"] {
        let flags = format!(
            "route --topics 300 --register --in-flight 9 --connections 2 --seconds 0.3 --warmup 0.1 --header {header}"
        );
        let result = result(&address, &flags).await;
        assert!(count(&result["operations"]) > 0);
        assert!(count(&result["checks"]["route_bytes"]) > 0);
    }
    server.shutdown().await;
}

/// The null server answers the generator's checks, and a run against a server that is not there fails.
#[test]
fn the_null_server_passes_the_checks() {
    use std::io::BufRead as _;

    let mut server = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["null-server", "--addr", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap();
    let run = |flags: &str| {
        let flags = format!("load send --create-topic --seconds 0.2 --warmup 0 --addr {address} {flags}");
        Command::new(env!("CARGO_BIN_EXE_bench")).args(flags.split(' ')).output().unwrap()
    };
    let outputs =
        [run("--in-flight 16 --connections 4"), run("--batch 16 --header rocketmq"), run("--oneway --connections 2")];
    server.kill().unwrap();
    server.wait().unwrap();
    for output in outputs {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        // Nothing is left behind in an output buffer when the run ends.
        assert!(text.contains(r#""errors":{}"#), "{text}");
    }
    assert!(!run("--in-flight 1").status.success());
}
