//! A broker of its own for each test, and a client that speaks frames.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod pops;
pub mod process;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hypergol_broker::config::{self, BrokerSettings};
use hypergol_broker::server::BrokerServer;
use hypergol_broker::{Broker, BrokerError};
use hypergol_config::{Live, Properties, settings};
use hypergol_remoting::client::NoRequests;
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{Client, Limits, RemotingCommand, RequestCode};
use hypergol_store::Record;

/// Longer than anything takes here; a test that waits so long has failed.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A broker in a folder.
pub struct TestBroker {
    pub server: BrokerServer,
    pub client: Client,
    pub port: u16,
}

impl TestBroker {
    /// Starts a broker with small files; `extra` are further lines of broker.conf.
    pub async fn start(folder: &Path, extra: &str) -> Self {
        Self::try_start(folder, extra).await.unwrap()
    }

    pub async fn try_start(folder: &Path, extra: &str) -> Result<Self, BrokerError> {
        // Another process may take the port in between; then another is tried.
        for _ in 0..20 {
            let port = free_port();
            match BrokerServer::start(live(folder, port, extra), hypergol_remoting::IoThreads::with_count(1).unwrap())
                .await
            {
                Ok(server) => {
                    let client = Client::new(Arc::new(NoRequests), Limits::default());
                    return Ok(Self { server, client, port });
                }
                Err(BrokerError::Listen { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        panic!("no free port");
    }

    pub fn broker(&self) -> &Arc<Broker> {
        self.server.broker()
    }

    pub async fn call(&self, request: RemotingCommand) -> RemotingCommand {
        self.call_port(self.port, request).await
    }

    pub async fn call_port(&self, port: u16, request: RemotingCommand) -> RemotingCommand {
        self.client.invoke(&format!("127.0.0.1:{port}"), request, TIMEOUT).await.unwrap()
    }

    /// Sends a message to queue 0.
    pub async fn send(&self, topic: &str, properties: &str, body: &str) -> RemotingCommand {
        self.call(send_request(topic, properties, body)).await
    }

    /// Asks whether `done` until it is.
    pub async fn wait_until(&self, done: impl Fn(&Broker) -> bool) {
        let deadline = std::time::Instant::now() + TIMEOUT;
        while !done(self.broker()) {
            assert!(std::time::Instant::now() < deadline, "waited in vain");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The settings of a test broker.
pub fn live(folder: &Path, port: u16, extra: &str) -> Arc<Live<BrokerSettings>> {
    let text = format!(
        "brokerName=broker-a\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort={port}\nstorePathRootDir={}\n\
         mappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=20000\nmaxHashSlotNum=100\nmaxIndexNum=400\n\
         {extra}",
        folder.display()
    );
    let properties = Properties::parse("test", text.as_bytes()).unwrap();
    let mut broker = BrokerSettings::default();
    broker.broker.namesrv_addr = None;
    let unknown = settings::apply(&mut broker, &properties).unwrap();
    assert!(unknown.is_empty(), "{unknown:?}");
    config::prepare(&mut broker).unwrap();
    Arc::new(Live::new(broker, &properties, folder.join("broker.properties")))
}

/// A port that is free, as is the one two below.
pub fn free_port() -> u16 {
    for _ in 0..100 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if TcpListener::bind(("127.0.0.1", port - 2)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// A send with Java's defaults.
pub fn send_header<'a>(topic: &'a str, properties: &'a str) -> SendMessageRequest<'a> {
    SendMessageRequest {
        producer_group: "pg",
        topic,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        born_timestamp: 1_700_000_000_000,
        properties: Some(properties),
        reconsume_times: Some(0),
        ..SendMessageRequest::default()
    }
}

pub fn send_with(header: &SendMessageRequest<'_>, body: impl Into<Bytes>) -> RemotingCommand {
    let mut request = RemotingCommand::request(RequestCode::SendMessageV2).with_body(body);
    header.encode_v2(&mut request.fields);
    request
}

pub fn send_request(topic: &str, properties: &str, body: &str) -> RemotingCommand {
    send_with(&send_header(topic, properties), body.as_bytes().to_vec())
}

/// A pull with a subscription of its own.
pub struct Pull<'a> {
    pub group: &'a str,
    pub topic: &'a str,
    pub queue_id: i32,
    pub offset: i64,
    /// Bits: 1 commit, 2 wait, 4 subscription.
    pub flags: i32,
    pub commit: i64,
    pub wait_ms: i64,
    pub subscription: &'a str,
}

impl Default for Pull<'_> {
    fn default() -> Self {
        Self { group: "cg", topic: "T", queue_id: 0, offset: 0, flags: 4, commit: 0, wait_ms: 0, subscription: "*" }
    }
}

impl Pull<'_> {
    pub fn request(&self) -> RemotingCommand {
        RemotingCommand::request(RequestCode::PullMessage)
            .with_field("consumerGroup", self.group)
            .with_field("topic", self.topic)
            .with_field("queueId", &self.queue_id.to_string())
            .with_field("queueOffset", &self.offset.to_string())
            .with_field("maxMsgNums", "32")
            .with_field("sysFlag", &self.flags.to_string())
            .with_field("commitOffset", &self.commit.to_string())
            .with_field("suspendTimeoutMillis", &self.wait_ms.to_string())
            .with_field("subscription", self.subscription)
            .with_field("subVersion", "0")
    }
}

/// The bodies of the messages in an answer.
pub fn bodies(answer: &RemotingCommand) -> Vec<String> {
    records(answer).iter().map(|record| String::from_utf8(record.body().to_vec()).unwrap()).collect()
}

/// The messages in an answer.
pub fn records(answer: &RemotingCommand) -> Vec<Record<'_>> {
    let mut rest = &answer.body[..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let record = Record::parse(rest).unwrap();
        record.validate().unwrap();
        rest = &rest[record.size()..];
        found.push(record);
    }
    found
}

pub fn field<'a>(answer: &'a RemotingCommand, name: &str) -> &'a str {
    answer.fields.get(name).unwrap_or_else(|| panic!("no {name} in {answer:?}"))
}
