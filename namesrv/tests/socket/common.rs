//! A name server on a port of its own, and frames to ask it with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hypergol_config::{Properties, settings};
use hypergol_namesrv::NameServer;
use hypergol_namesrv::config::NamesrvSettings;
use hypergol_remoting::client::NoRequests;
use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::body::route::TopicRouteData;
use hypergol_remoting::protocol::body::topic::{DataVersion, TopicConfig, TopicList};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{Client, Limits, RemotingCommand, RequestCode};
use tempfile::TempDir;

/// Long enough for a busy machine; nothing waits for it where all is well.
const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Namesrv {
    pub server: NameServer,
    pub folder: TempDir,
    client: Client,
}

impl Namesrv {
    /// Starts one with further configuration.
    pub fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let text = format!(
            "bindAddress=127.0.0.1\nlistenPort=0\nkvConfigPath={path}/kvConfig.json\nconfigStorePath={path}/namesrv.properties\n{config}"
        );
        let file = Properties::parse("test.conf", text.as_bytes()).unwrap();
        let mut settings = NamesrvSettings::default();
        settings::apply(&mut settings, &file).unwrap();
        let server = NameServer::start(settings, &file, hypergol_remoting::IoThreads::current()).unwrap();
        Self { server, folder, client: client() }
    }

    pub fn address(&self) -> String {
        self.server.local_addr().to_string()
    }

    /// Asks on a connection that is shared by all calls.
    pub async fn ask(&self, request: RemotingCommand) -> RemotingCommand {
        self.ask_by(&self.client, request).await
    }

    /// Asks on the connection of `client`.
    pub async fn ask_by(&self, client: &Client, request: RemotingCommand) -> RemotingCommand {
        client.invoke(&self.address(), request, TIMEOUT).await.unwrap()
    }

    /// Asks with fields, and wants code 0.
    pub async fn done(&self, code: RequestCode, fields: &[(&str, &str)]) -> RemotingCommand {
        let answer = self.ask(request(code, fields)).await;
        assert_eq!(answer.code, 0, "{:?}", answer.remark);
        answer
    }

    pub async fn route(&self, topic: &str) -> Option<TopicRouteData> {
        let answer = self.ask(request(RequestCode::GetRouteInfoByTopic, &[("topic", topic)])).await;
        match answer.code {
            0 => Some(TopicRouteData::decode(&answer.body).unwrap()),
            17 => None,
            code => panic!("{code} {:?}", answer.remark),
        }
    }

    pub async fn topics(&self, code: RequestCode, fields: &[(&str, &str)]) -> Vec<String> {
        TopicList::decode(&self.done(code, fields).await.body).unwrap().topic_list
    }

    /// Waits until `reached` holds of the route of a topic.
    pub async fn wait_route(&self, topic: &str, reached: impl Fn(Option<&TopicRouteData>) -> bool) {
        let all = async {
            while !reached(self.route(topic).await.as_ref()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, all).await.expect("the route never became as expected");
    }
}

/// A client with connections of its own.
pub fn client() -> Client {
    Client::new(Arc::new(NoRequests), Limits::default())
}

pub fn request(code: RequestCode, fields: &[(&str, &str)]) -> RemotingCommand {
    fields.iter().fold(RemotingCommand::request(code), |request, (key, value)| request.with_field(key, value))
}

/// A broker that registers.
#[derive(Clone)]
pub struct Broker {
    pub cluster: &'static str,
    pub name: &'static str,
    pub address: String,
    pub id: i64,
    pub version: DataVersion,
    pub topics: BTreeMap<String, TopicConfig>,
    pub fields: Vec<(&'static str, String)>,
}

impl Broker {
    pub fn new(name: &'static str, id: i64, topics: &[&str]) -> Self {
        Self {
            cluster: "C",
            name,
            // b has 10.0.0.1, b1 10.0.0.2, and so on.
            address: format!("10.0.0.{}:{}", 1 + name[1..].parse().unwrap_or(0), 10911 + id),
            id,
            version: DataVersion { counter: 1, state_version: 0, timestamp: 1 },
            topics: topics.iter().map(|name| ((*name).to_owned(), topic(name))).collect(),
            fields: Vec::new(),
        }
    }

    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.fields.push((key, value.to_string()));
        self
    }

    pub fn identity(&self) -> Vec<(&'static str, String)> {
        vec![
            ("brokerName", self.name.to_owned()),
            ("brokerAddr", self.address.clone()),
            ("clusterName", self.cluster.to_owned()),
            ("brokerId", self.id.to_string()),
        ]
    }

    pub fn body(&self) -> RegisterBrokerBody {
        let mut body = RegisterBrokerBody::default();
        body.topic_config_serialize_wrapper.data_version = self.version.clone();
        body.topic_config_serialize_wrapper.topic_config_table = self.topics.clone();
        body
    }

    /// The request with the JSON body.
    pub fn registration(&self) -> RemotingCommand {
        let request = RemotingCommand::request(RequestCode::RegisterBroker).with_body(self.body().encode());
        let ha = format!("{}1", self.address);
        let fields = self.identity().into_iter().chain([("haServerAddr", ha)]).chain(self.fields.iter().cloned());
        fields.fold(request, |request, (key, value)| request.with_field(key, &value))
    }

    /// A request that names the broker.
    pub fn request(&self, code: RequestCode) -> RemotingCommand {
        self.identity()
            .iter()
            .fold(RemotingCommand::request(code), |request, (key, value)| request.with_field(key, value))
    }
}

pub fn topic(name: &str) -> TopicConfig {
    TopicConfig { read_queue_nums: 4, write_queue_nums: 4, ..TopicConfig::new(name) }
}
