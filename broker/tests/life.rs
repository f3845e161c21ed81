//! A broker's life: start, restart, end, and its name servers.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Pull, TIMEOUT, TestBroker, bodies};
use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::body::route::{QueueData, TopicRouteData};
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{Handler, Limits, RemotingCommand, RequestCode, Responder, ResponseCode, Server};
use parking_lot::Mutex;

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    broker.send("T", "", "kept").await;
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 1).await;
    broker.call(Pull { flags: 5, commit: 1, ..Pull::default() }.request()).await;
    broker.server.shutdown().await;
    assert!(!folder.path().join("abort").exists(), "a clean end leaves no trace");
    let broker = TestBroker::start(folder.path(), "").await;
    assert_eq!(broker.broker().topics.get("T").unwrap().write_queue_nums, 4);
    assert!(broker.broker().groups.get("cg").is_some());
    assert_eq!(broker.broker().offsets.committed("T", "cg", 0, true), Some(1));
    assert_eq!(bodies(&broker.call(Pull::default().request()).await), ["kept"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pull_is_answered_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let TestBroker { server, client, port } = TestBroker::start(folder.path(), "").await;
    let broker = server.broker().clone();
    let pull = Pull { topic: "TBW102", flags: 6, wait_ms: TIMEOUT.as_millis() as i64, ..Pull::default() };
    let waiting = async { client.invoke(&format!("127.0.0.1:{port}"), pull.request(), TIMEOUT).await };
    let ending = async {
        while broker.held_pulls.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.shutdown().await;
    };
    let (answer, ()) = tokio::join!(waiting, ending);
    assert_eq!(answer.unwrap().code, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_broker_on_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let error = TestBroker::try_start(folder.path(), "").await.err().unwrap();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_settings_are_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/topics.json"), b"{\"topicConfigTable\":{").unwrap();
    let error = TestBroker::try_start(folder.path(), "").await.err().unwrap();
    assert!(error.to_string().contains("topics.json is damaged"), "{error}");
}

/// Notes what a broker says.
#[derive(Default)]
struct NameServer {
    requests: Mutex<Vec<RemotingCommand>>,
    refuse: Mutex<u32>,
    /// Says that it has other topics than the broker.
    forgets: AtomicBool,
}

impl Handler for NameServer {
    fn request(&self, request: RemotingCommand, responder: Responder) {
        let version = (request.code == RequestCode::QueryDataVersion as i32).then(|| request.body.clone());
        self.requests.lock().push(request);
        if let Some(version) = version {
            let changed = self.forgets.load(Ordering::SeqCst).to_string();
            return responder.send(RemotingCommand::success().with_field("changed", &changed).with_body(version));
        }
        let mut refuse = self.refuse.lock();
        if *refuse > 0 {
            *refuse -= 1;
            return responder.error(ResponseCode::SystemError, "not now");
        }
        responder.success();
    }
}

impl NameServer {
    /// Topics of the registrations so far.
    fn registered(&self) -> Vec<Vec<String>> {
        let requests = self.requests.lock();
        let registrations = requests.iter().filter(|request| request.code == RequestCode::RegisterBroker as i32);
        registrations
            .map(|request| {
                let crc = (crc32fast::hash(&request.body) & 0x7FFF_FFFF).to_string();
                assert_eq!(request.fields.get("bodyCrc32"), Some(&*crc));
                let body = RegisterBrokerBody::decode_any(&request.body).unwrap();
                body.topic_config_serialize_wrapper.topic_config_table.into_keys().collect()
            })
            .collect()
    }

    fn said(&self, code: RequestCode) -> bool {
        self.count(code) > 0
    }

    fn count(&self, code: RequestCode) -> usize {
        self.requests.lock().iter().filter(|request| request.code == code as i32).count()
    }

    fn last(&self, code: RequestCode) -> RemotingCommand {
        self.requests.lock().iter().rfind(|request| request.code == code as i32).unwrap().clone()
    }

    fn listen(self: &Arc<Self>) -> Server {
        Server::bind("127.0.0.1:0".parse().unwrap(), self.clone(), Limits::default()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_servers_learn_of_the_broker_and_of_each_new_topic() {
    let folder = tempfile::tempdir().unwrap();
    let servers: Vec<_> = (0..2).map(|_| Arc::new(NameServer::default())).collect();
    // The second refuses at first, as one that has just been started and was told of a single topic.
    *servers[1].refuse.lock() = 2;
    let ports: Vec<_> = servers.iter().map(|server| server.listen()).collect();
    let addresses: Vec<_> = ports.iter().map(|port| port.local_addr().to_string()).collect();
    let extra = format!("namesrvAddr={};127.0.0.1:1\n", addresses.join(";"));
    let broker = TestBroker::start(folder.path(), &extra).await;
    let knows = |server: &Arc<NameServer>, topic: &str| server.registered().iter().flatten().any(|name| name == topic);
    broker.wait_until(|_| servers.iter().all(|server| knows(server, "TBW102"))).await;
    broker.wait_until(|_| servers[1].registered().len() >= 3).await;
    broker.send("NewTopic", "", "x").await;
    broker.wait_until(|_| servers.iter().all(|server| knows(server, "NewTopic"))).await;
    assert!(servers[0].registered().contains(&vec!["NewTopic".to_owned()]), "the change alone");
    broker.server.shutdown().await;
    assert!(servers.iter().all(|server| server.said(RequestCode::UnregisterBroker)));
}

/// `registerNameServerPeriod` is at least 10 s, so this test takes two of them.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_broker_registers_again_only_where_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(NameServer::default());
    let port = server.listen();
    let extra = format!("namesrvAddr={}\nforceRegister=false\nregisterNameServerPeriod=10000\n", port.local_addr());
    let broker = TestBroker::start(folder.path(), &extra).await;
    let (register, query) = (RequestCode::RegisterBroker, RequestCode::QueryDataVersion);
    assert_eq!((server.count(register), server.count(query)), (1, 0), "the first is always made");
    broker.wait_until(|_| server.count(query) == 1).await;
    server.forgets.store(true, Ordering::SeqCst);
    broker.wait_until(|_| server.count(register) == 2).await;
    assert_eq!(server.count(query), 2, "the first question was answered and no registration followed");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_topic_can_be_registered_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(NameServer::default());
    let port = server.listen();
    let extra = format!("namesrvAddr={}\nenableSingleTopicRegister=true\nbrokerPermission=4\n", port.local_addr());
    let broker = TestBroker::start(folder.path(), &extra).await;
    let topic = TopicConfig { read_queue_nums: 3, write_queue_nums: 2, ..TopicConfig::new("NewTopic") };
    broker.broker().topics.update(vec![topic], Box::new(|_| ()));
    broker.wait_until(|_| server.said(RequestCode::RegisterTopicInNamesrv)).await;
    let request = server.last(RequestCode::RegisterTopicInNamesrv);
    assert_eq!(request.fields.get("topic"), Some("NewTopic"));
    let route = TopicRouteData::decode(&request.body).unwrap();
    let queues = QueueData {
        broker_name: broker.broker().config().broker.broker_name.clone(),
        perm: 4,
        read_queue_nums: 3,
        topic_sys_flag: 0,
        write_queue_nums: 2,
    };
    assert_eq!(route.queue_datas, [queues]);
    assert_eq!(server.count(RequestCode::RegisterBroker), 1);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_of_delayed_messages_is_written_in_the_period_set() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let rarely = TestBroker::start(folders[0].path(), "flushDelayOffsetInterval=3600000\n").await;
    let often = TestBroker::start(folders[1].path(), "flushDelayOffsetInterval=100\n").await;
    for broker in [&rarely, &often] {
        broker.send("T", "DELAY\u{1}1\u{2}", "x").await;
        broker.wait_until(|broker| broker.store.max_offset("T", 0) == 1).await;
    }
    let written = |folder: &tempfile::TempDir| folder.path().join("config/delayOffset.json").exists();
    often.wait_until(|_| written(&folders[1])).await;
    assert!(!written(&folders[0]), "the other's hour is not over");
    rarely.server.shutdown().await;
    assert!(written(&folders[0]), "at the end at the latest");
    often.server.shutdown().await;
}
