//! A broker of this process on a real port, and a client that speaks frames to it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hypergol_broker::config::BrokerSettings;
use hypergol_broker::dispatch::{Dispatcher, Port};
use hypergol_broker::{Broker, clients};
use hypergol_config::{Live, Properties};
use hypergol_remoting::protocol::codec;
use hypergol_remoting::{Limits, RemotingCommand, RequestCode, Server};
use hypergol_store::{Appended, NewMessage, Record};
use tempfile::TempDir;

/// A running broker.
pub struct Node {
    pub broker: Arc<Broker>,
    pub address: SocketAddr,
    pub folder: Arc<TempDir>,
    server: Server,
    runtime: tokio::runtime::Runtime,
}

impl Node {
    /// A broker in an empty folder.
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// The same, with changed settings.
    pub fn start_with(change: impl FnOnce(&mut BrokerSettings)) -> Self {
        Self::start_in(Arc::new(TempDir::new().unwrap()), change)
    }

    /// A broker in a folder that another has left.
    pub fn start_in(folder: Arc<TempDir>, change: impl FnOnce(&mut BrokerSettings)) -> Self {
        let mut settings = BrokerSettings::default();
        settings.broker.broker_ip1 = "127.0.0.1".to_owned();
        settings.broker.broker_name = "broker-a".to_owned();
        settings.broker.namesrv_addr = None;
        settings.store.store_path_root_dir = folder.path().to_str().unwrap().to_owned();
        settings.store.mapped_file_size_commit_log = 4 << 20;
        settings.store.message_delay_level = "1s 2s 1h".to_owned();
        change(&mut settings);
        let live = Live::new(settings, &Properties::default(), folder.path().join("broker.conf"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = runtime.enter();
        let broker = Broker::open(Arc::new(live)).unwrap();
        for held in [broker.pop.held.clone(), broker.pop.notifications.clone()] {
            runtime.spawn(async move { held.expire().await });
        }
        broker.pop.start(&broker).unwrap();
        broker.schedule.start(broker.store.clone(), Box::new(|_| {})).unwrap();
        broker.transactions.start(&broker).unwrap();
        runtime.spawn(clients::watch(broker.clone()));
        let dispatcher = Arc::new(Dispatcher::new(broker.clone(), Port::Main));
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), dispatcher, Limits::default()).unwrap();
        drop(entered);
        Self { address: server.local_addr(), broker, folder, server, runtime }
    }

    /// A connection to the broker.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Stores a message as if it had been sent.
    pub fn store(&self, topic: &str, queue_id: i32, body: &[u8], properties: &[(&str, &str)]) -> Appended {
        let host = self.broker.store_host;
        let properties = encoded(properties);
        let message = NewMessage {
            topic,
            queue_id,
            flag: 7,
            sys_flag: 0,
            born_timestamp: 1_700_000_000_000,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties: properties.as_bytes(),
        };
        self.broker.store.put(&message).unwrap()
    }

    /// The messages of a queue once there are `count`.
    pub fn messages(&self, topic: &str, queue_id: i32, count: i64) -> Vec<Message> {
        let store = &self.broker.store;
        wait_until(|| store.max_offset(topic, queue_id) >= count);
        let entries = store.queue_entries(topic, queue_id, 0, 1000);
        entries.iter().map(|entry| Message::parse(&store.record_at(entry.physical_offset).unwrap())).collect()
    }

    /// Ends the broker in order and gives its folder back.
    pub fn stop(self) -> Arc<TempDir> {
        self.runtime.block_on(self.server.shutdown(Duration::from_secs(5)));
        self.broker.pop.stop(&self.broker);
        self.broker.transactions.stop();
        self.broker.transactions.metrics.persist();
        self.broker.offsets.persist();
        self.broker.schedule.stop();
        if let Some(file) = self.broker.schedule.to_write() {
            std::fs::write(self.folder.path().join("config/delayOffset.json"), file).unwrap();
        }
        self.broker.config_writer.shutdown();
        self.broker.store.shutdown();
        self.folder
    }
}

/// A stored message.
#[derive(Debug, PartialEq)]
pub struct Message {
    pub topic: String,
    pub queue_id: i32,
    pub flag: i32,
    pub reconsume_times: i32,
    pub body: Vec<u8>,
    pub properties: BTreeMap<String, String>,
}

impl Message {
    pub fn parse(record: &[u8]) -> Self {
        let record = Record::parse(record).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let properties = hypergol_store::record::properties(record.properties());
        Self {
            topic: record.topic().to_owned(),
            queue_id: record.queue_id(),
            flag: record.flag(),
            reconsume_times: record.reconsume_times(),
            body: record.body().to_vec(),
            properties: properties.map(|(name, value)| (text(name), text(value))).collect(),
        }
    }

    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }
}

/// Encodes properties as records hold them.
pub fn encoded(properties: &[(&str, &str)]) -> String {
    properties.iter().map(|(name, value)| format!("{name}\u{1}{value}\u{2}")).collect()
}

/// Waits for a condition that must come true.
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("condition did not come true");
}

/// A connection that writes and reads whole frames.
pub struct Client {
    stream: TcpStream,
    input: BytesMut,
    opaque: i32,
    /// Requests that the broker sent meanwhile.
    pushed: Vec<RemotingCommand>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, input: BytesMut::new(), opaque: 0, pushed: Vec::new() }
    }

    /// Sends a request with these fields and waits for its answer.
    pub fn call(&mut self, code: RequestCode, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> RemotingCommand {
        let mut request = RemotingCommand::request(code).with_body(body.as_ref().to_vec());
        for (name, value) in fields {
            request = request.with_field(name, value);
        }
        self.invoke(request)
    }

    pub fn invoke(&mut self, mut request: RemotingCommand) -> RemotingCommand {
        self.opaque += 1;
        request.opaque = self.opaque;
        self.stream.write_all(&request.to_frame()).unwrap();
        loop {
            let command = self.read();
            if command.is_response() {
                assert_eq!(command.opaque, self.opaque);
                return command;
            }
            self.pushed.push(command);
        }
    }

    /// The next request of the broker.
    pub fn pushed(&mut self) -> RemotingCommand {
        if self.pushed.is_empty() { self.read() } else { self.pushed.remove(0) }
    }

    /// Answers a request of the broker.
    pub fn answer(&mut self, request: &RemotingCommand, code: i32) {
        let mut answer = RemotingCommand::success();
        answer.code = code;
        answer.opaque = request.opaque;
        self.stream.write_all(&answer.to_frame()).unwrap();
    }

    /// Requests that the broker sent before it answered a request that is sent now.
    pub fn pushed_so_far(&mut self) -> Vec<RemotingCommand> {
        self.call(RequestCode::GetAllDelayOffset, &[], "");
        std::mem::take(&mut self.pushed)
    }

    fn read(&mut self) -> RemotingCommand {
        loop {
            if let Some(frame) = codec::cut_frame(&mut self.input).unwrap() {
                return codec::decode(frame).unwrap();
            }
            let mut chunk = [0; 65_536];
            let count = self.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "the broker closed the connection");
            self.input.extend_from_slice(&chunk[..count]);
        }
    }
}

/// Code, remark and body of an answer.
pub fn seen(answer: &RemotingCommand) -> (i32, Option<&str>, String) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    (answer.code, answer.remark.as_deref(), body)
}
