//! Static topics on several brokers, through sockets: queues that move, reads across the seam, bad mappings.

mod common;

use std::path::Path;

use common::{Pull, TIMEOUT, TestBroker, bodies, field, send_header, send_with};
use hypergol_broker::static_topic::clean;
use hypergol_config::Properties;
use hypergol_namesrv::NameServer;
use hypergol_namesrv::config::NamesrvSettings;
use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::body::route::TopicRouteData;
use hypergol_remoting::protocol::body::topic::{
    LogicQueueMappingItem as Section, TopicConfigAndMappingSerializeWrapper, TopicConfigAndQueueMapping,
    TopicQueueMappingDetail,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{IoThreads, RemotingCommand, RequestCode as R};
use tempfile::TempDir;

/// Codes of answers.
const NOT_LEADER: i32 = 501;
const NOT_FOUND: i32 = 19;
const RETRY: i32 = 20;
const MOVED: i32 = 21;

/// A name server and brokers, named as asked.
struct Cluster<const N: usize> {
    namesrv: NameServer,
    brokers: [TestBroker; N],
    _folders: Vec<TempDir>,
}

impl<const N: usize> Cluster<N> {
    async fn start(names: [&str; N]) -> Self {
        let mut settings = NamesrvSettings::default();
        settings.server.bind_address = "127.0.0.1".into();
        settings.server.listen_port = 0;
        let folder = TempDir::new().unwrap();
        settings.namesrv.kv_config_path = folder.path().join("kvConfig.json").to_str().unwrap().to_owned();
        let namesrv = NameServer::start(settings, &Properties::default(), IoThreads::current()).unwrap();
        let mut folders = vec![folder];
        let mut brokers = Vec::new();
        for name in names {
            let folder = TempDir::new().unwrap();
            brokers.push(start(folder.path(), name, &namesrv).await);
            folders.push(folder);
        }
        Self { namesrv, brokers: brokers.try_into().ok().unwrap(), _folders: folders }
    }

    async fn route(&self, topic: &str) -> TopicRouteData {
        let request = RemotingCommand::request(R::GetRouteInfoByTopic).with_field("topic", topic);
        let address = self.namesrv.local_addr().to_string();
        let answer = self.brokers[0].client.invoke(&address, request, TIMEOUT).await.unwrap();
        TopicRouteData::decode(&answer.body).unwrap()
    }

    /// The broker that the name server says leads a queue.
    async fn leader(&self, topic: &str, id: i32) -> Option<String> {
        let route = self.route(topic).await;
        let leads = route.topic_queue_mapping_by_broker.unwrap().into_values();
        leads.filter(|info| info.curr_id_map.contains_key(&id)).max_by_key(|info| info.epoch).map(|info| info.bname)
    }

    /// Queue 7 of `T` on broker-a; broker-b knows of the topic. Three messages in it.
    async fn with_messages() -> Self {
        let cluster = Self::start(std::array::from_fn(|n| ["broker-a", "broker-b", "broker-c"][n])).await;
        let first = [section(0, "broker-a", 2, 0)];
        for (n, broker) in cluster.brokers.iter().enumerate() {
            let queues: &[Section] = if n == 0 { &first } else { &[] };
            done(map(broker, &mapping(NAMES[n], 1, &[(7, queues)]), false).await);
        }
        for body in ["a0", "a1", "a2"] {
            done(send(&cluster.brokers[0], 7, body).await);
        }
        cluster.brokers[0].wait_until(|broker| broker.store.max_offset("T", 2) == 3).await;
        cluster
    }

    /// Moves queue 7 from one broker to another as `mqadmin remappingStaticTopic` does.
    async fn remap(&self, from: usize, to: usize, before: &[Section], next: Section, epoch: i64) {
        let undecided: Vec<_> = before.iter().cloned().chain([Section { logic_offset: -1, ..next.clone() }]).collect();
        done(map(&self.brokers[to], &mapping(NAMES[to], epoch, &[(7, &undecided)]), false).await);
        done(map(&self.brokers[from], &mapping(NAMES[from], epoch, &[(7, &undecided)]), false).await);
        let decided: Vec<_> = before.iter().cloned().chain([next]).collect();
        done(map(&self.brokers[to], &mapping(NAMES[to], epoch, &[(7, &decided)]), false).await);
    }

    async fn stop(self) {
        for broker in self.brokers {
            broker.server.shutdown().await;
        }
        self.namesrv.shutdown().await;
    }
}

const NAMES: [&str; 3] = ["broker-a", "broker-b", "broker-c"];

async fn start(folder: &Path, name: &str, namesrv: &NameServer) -> TestBroker {
    let extra = format!("brokerName={name}\nnamesrvAddr={}\nforwardTimeout=2000\n", namesrv.local_addr());
    TestBroker::start(folder, &extra).await
}

fn section(generation: i32, bname: &str, queue_id: i32, logic_offset: i64) -> Section {
    Section { generation, bname: bname.into(), queue_id, logic_offset, ..Section::default() }
}

/// A mapping of `T`; queues without sections are left out.
fn mapping(bname: &str, epoch: i64, queues: &[(i32, &[Section])]) -> TopicQueueMappingDetail {
    let queues = queues.iter().filter(|(_, sections)| !sections.is_empty());
    TopicQueueMappingDetail {
        bname: bname.into(),
        epoch,
        hosted_queues: queues.map(|(id, sections)| (*id, sections.to_vec())).collect(),
        topic: "T".into(),
        total_queues: 8,
        ..TopicQueueMappingDetail::default()
    }
}

fn map_request(body: impl Into<Vec<u8>>, force: bool) -> RemotingCommand {
    let fields = [
        ("topic", "T"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "4"),
        ("writeQueueNums", "4"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
        ("force", if force { "true" } else { "false" }),
    ];
    let request = RemotingCommand::request(R::UpdateAndCreateStaticTopic).with_body(body.into());
    fields.iter().fold(request, |request, (key, value)| request.with_field(key, value))
}

async fn map(broker: &TestBroker, mapping: &TopicQueueMappingDetail, force: bool) -> RemotingCommand {
    broker.call(map_request(mapping.encode(), force)).await
}

async fn send(broker: &TestBroker, queue_id: i32, body: &str) -> RemotingCommand {
    let mut header = send_header("T", "");
    header.queue_id = queue_id;
    broker.call(send_with(&header, body.as_bytes().to_vec())).await
}

async fn pull(broker: &TestBroker, offset: i64) -> RemotingCommand {
    broker.call(Pull { queue_id: 7, offset, ..Pull::default() }.request()).await
}

/// A request about queue 7.
async fn ask(broker: &TestBroker, code: R, fields: &[(&str, &str)]) -> RemotingCommand {
    let request = RemotingCommand::request(code).with_field("topic", "T").with_field("queueId", "7");
    broker.call(fields.iter().fold(request, |request, (key, value)| request.with_field(key, value))).await
}

#[track_caller]
fn done(answer: RemotingCommand) -> RemotingCommand {
    assert_eq!(answer.code, 0, "{:?}", answer.remark);
    answer
}

/// Code, next, smallest and largest offset, difference, bodies.
fn read(answer: &RemotingCommand) -> (i32, [i64; 4], Vec<String>) {
    let names = ["nextBeginOffset", "minOffset", "maxOffset", "offsetDelta"];
    (answer.code, names.map(|name| field(answer, name).parse().unwrap()), bodies(answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_never_moved() {
    let cluster = Cluster::<2>::with_messages().await;
    let [a, b] = &cluster.brokers;
    assert_eq!(cluster.leader("T", 7).await.unwrap(), "broker-a");
    assert_eq!(cluster.leader("T", 3).await, None);
    // Any queue that this broker leads.
    let answer = done(send(a, -1, "a3").await);
    assert_eq!((field(&answer, "queueId"), field(&answer, "queueOffset")), ("7", "3"));
    a.wait_until(|broker| broker.store.max_offset("T", 2) == 4).await;
    assert_eq!(send(a, 2, "x").await.code, NOT_LEADER, "2 is the physical queue");
    // A priority would choose a queue that is of no logical one.
    let mut header = send_header("T", "_SYS_MSG_PRIORITY_\u{1}0\u{2}");
    header.queue_id = 7;
    let answer = done(a.call(send_with(&header, "p")).await);
    assert_eq!((field(&answer, "queueId"), field(&answer, "queueOffset")), ("7", "4"));
    a.wait_until(|broker| broker.store.max_offset("T", 2) == 5).await;
    assert_eq!(a.broker().store.max_offset("T", 0), 0);
    for queue in [7, -1] {
        assert_eq!(send(b, queue, "x").await.code, NOT_LEADER);
    }
    assert_eq!(pull(b, 0).await.code, NOT_LEADER);
    let all = ["a1", "a2", "a3", "p"].map(String::from).to_vec();
    assert_eq!(read(&pull(a, 1).await), (0, [5, 0, 5, 0], all));
    assert_eq!(read(&pull(a, 5).await), (NOT_FOUND, [5, 0, 5, 0], vec![]));
    assert_eq!(read(&pull(a, 99).await), (MOVED, [5, 0, 5, 0], vec![]));
    // A request that says that it means the physical queue.
    let physical = Pull { queue_id: 2, ..Pull::default() }.request().with_field("lo", "false");
    assert_eq!(bodies(&a.call(physical).await).len(), 5);
    // A new group starts where a young topic starts.
    assert_eq!(field(&ask(a, R::QueryConsumerOffset, &[("consumerGroup", "cg")]).await, "offset"), "0");
    for code in [R::GetMaxOffset, R::GetMinOffset, R::QueryConsumerOffset, R::SearchOffsetByTimestamp] {
        let answer = ask(b, code, &[("consumerGroup", "cg"), ("timestamp", "0")]).await;
        assert_eq!(answer.code, NOT_LEADER, "{code:?}");
    }
    let topic = ask(a, R::GetTopicConfig, &[("lo", "true")]).await;
    let topic = TopicConfigAndQueueMapping::decode(&topic.body).unwrap();
    assert_eq!((topic.write_queue_nums, topic.mapping_detail.unwrap().hosted_queues.len()), (4, 1));
    let topic = ask(a, R::GetTopicConfig, &[]).await;
    assert_eq!(TopicConfigAndQueueMapping::decode(&topic.body).unwrap().mapping_detail, None);
    let all = a.call(RemotingCommand::request(R::GetAllTopicConfig)).await;
    // Java's clients do not know the mappings, and fastjson2 cannot skip what is no standard JSON.
    serde_json::from_slice::<serde_json::Value>(&all.body).unwrap();
    let all = TopicConfigAndMappingSerializeWrapper::decode(&all.body).unwrap();
    assert_eq!(all.topic_queue_mapping_detail_map.keys().collect::<Vec<_>>(), ["T"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_reads_across_the_seam() {
    let cluster = Cluster::<2>::with_messages().await;
    let [a, b] = &cluster.brokers;
    let first = section(0, "broker-a", 2, 0);
    let undecided = [first.clone(), section(1, "broker-b", 1, -1)];
    done(map(b, &mapping("broker-b", 2, &[(7, &undecided)]), false).await);
    done(map(a, &mapping("broker-a", 2, &[(7, &undecided)]), false).await);
    assert_eq!(send(a, 7, "late").await.code, NOT_LEADER);
    // Written before its place is known; not yet read.
    assert_eq!(field(&done(send(b, 7, "b0").await), "queueOffset"), "-1");
    assert_eq!(field(&ask(b, R::GetMaxOffset, &[]).await, "offset"), "3");
    assert_eq!(read(&pull(b, 3).await), (NOT_FOUND, [3, 0, 3, 0], vec![]));

    let decided = [first, section(1, "broker-b", 1, 1000)];
    done(map(b, &mapping("broker-b", 2, &[(7, &decided)]), false).await);
    assert_eq!(cluster.leader("T", 7).await.unwrap(), "broker-b");
    assert_eq!(field(&done(send(b, 7, "b1").await), "queueOffset"), "1001");
    b.wait_until(|broker| broker.store.max_offset("T", 1) == 2).await;
    let mut offset = 0;
    let mut found = Vec::new();
    let mut codes = Vec::new();
    while offset < 1002 {
        let (code, [next, min, max, _], bodies) = read(&pull(b, offset).await);
        assert!(next > offset && max >= 1000 && min <= next, "{code} {next} {min} {max}");
        offset = next;
        codes.push(code);
        found.extend(bodies);
    }
    assert_eq!((found, codes), (["a0", "a1", "a2", "b0", "b1"].map(String::from).to_vec(), vec![0, RETRY, 0]));
    assert_eq!(read(&pull(b, 1001).await), (0, [1002, 1000, 1002, 1000], vec!["b1".into()]));

    let number = |answer: RemotingCommand| field(&done(answer), "offset").parse::<i64>().unwrap();
    assert_eq!(number(ask(b, R::GetMinOffset, &[]).await), 0);
    assert_eq!(number(ask(b, R::GetMaxOffset, &[]).await), 1002);
    // Of all times: before the first, between the two brokers, after the last.
    let time_of = |broker: &TestBroker, queue, offset| broker.broker().store.store_time_of("T", queue, offset);
    let (first_a, first_b, last_b) = (time_of(a, 2, 0), time_of(b, 1, 0), time_of(b, 1, 1));
    let earliest = done(ask(b, R::GetEarliestMsgStoreTime, &[]).await);
    assert_eq!(field(&earliest, "timestamp"), first_a.to_string());
    for (time, boundary, expected) in
        [(0, "LOWER", 0), (first_a, "LOWER", 0), (last_b + 1, "LOWER", 1002), (last_b + 1, "UPPER", 1001)]
    {
        let fields = [("timestamp", time.to_string()), ("boundaryType", boundary.to_owned())];
        let fields = fields.each_ref().map(|(key, value)| (*key, value.as_str()));
        assert_eq!(number(ask(b, R::SearchOffsetByTimestamp, &fields).await), expected, "{time} {boundary}");
    }
    let between = ask(b, R::SearchOffsetByTimestamp, &[("timestamp", &first_b.to_string())]).await;
    assert!((0..=1000).contains(&number(between)));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_behind_the_noted_end_of_a_section_are_read_once() {
    let cluster = Cluster::<2>::with_messages().await;
    let first = Section { end_offset: 2, ..section(0, "broker-a", 2, 0) };
    cluster.remap(0, 1, &[first], section(1, "broker-b", 1, 1000), 2).await;
    let b = &cluster.brokers[1];
    assert_eq!(read(&pull(b, 2).await), (0, [3, 0, 1000, 0], vec!["a2".into()]));
    assert_eq!(read(&pull(b, 3).await), (RETRY, [1000, 1000, 1000, 1000], vec![]));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_stays_in_the_queue_it_was_sent_to() {
    let cluster = Cluster::<2>::with_messages().await;
    let [a, b] = &cluster.brokers;
    let mut header = send_header("T", "DELAY\u{1}1\u{2}");
    header.queue_id = 7;
    let answer = done(a.call(send_with(&header, "late")).await);
    assert_eq!(field(&answer, "queueId"), "7");
    cluster.remap(0, 1, &[section(0, "broker-a", 2, 0)], section(1, "broker-b", 1, 1000), 2).await;
    a.wait_until(|broker| broker.store.max_offset("T", 2) == 4).await;
    // Who has not gone on reads it; who has, does not.
    assert_eq!(read(&pull(b, 3).await), (0, [4, 0, 1000, 0], vec!["late".into()]));
    assert_eq!(read(&pull(b, 1000).await), (NOT_FOUND, [1000, 1000, 1000, 1000], vec![]));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumer_offsets_are_kept_where_their_section_is() {
    let cluster = Cluster::<2>::with_messages().await;
    let [a, b] = &cluster.brokers;
    cluster.remap(0, 1, &[section(0, "broker-a", 2, 0)], section(1, "broker-b", 1, 1000), 2).await;
    done(send(b, 7, "b0").await);
    // Brokers know the group by its first pull.
    for (broker, queue_id) in [(a, 2), (b, 1)] {
        broker.call(Pull { queue_id, ..Pull::default() }.request().with_field("lo", "false")).await;
    }
    let query = [("consumerGroup", "cg")];
    assert_eq!(ask(b, R::QueryConsumerOffset, &query).await.code, 22, "nowhere");
    let commit = async |offset: &str| ask(b, R::UpdateConsumerOffset, &[query[0], ("commitOffset", offset)]).await;
    done(commit("2").await);
    assert_eq!(a.broker().offsets.committed("T", "cg", 2, false), Some(2));
    assert_eq!(field(&ask(b, R::QueryConsumerOffset, &query).await, "offset"), "2");
    done(commit("1001").await);
    assert_eq!(b.broker().offsets.committed("T", "cg", 1, false), Some(1));
    assert_eq!(field(&ask(b, R::QueryConsumerOffset, &query).await, "offset"), "1001");
    assert_eq!(a.broker().offsets.committed("T", "cg", 2, false), Some(2), "as it was");
    // With a pull: the offset of the queue that is read, not the logical one.
    let with_commit = Pull { queue_id: 7, offset: 1000, flags: 5, commit: 1000, ..Pull::default() };
    done(b.call(with_commit.request()).await);
    assert_eq!(b.broker().offsets.committed("T", "cg", 1, false), Some(0));
    let of_another = Pull { commit: 2, ..with_commit };
    done(b.call(of_another.request()).await);
    assert_eq!(b.broker().offsets.committed("T", "cg", 1, false), Some(0), "not 2");
    // A group that is nowhere: the answer of the section's broker comes through.
    let answer = ask(b, R::UpdateConsumerOffset, &[("consumerGroup", "nobody"), ("commitOffset", "1")]).await;
    assert_eq!(answer.code, 1);
    assert!(answer.remark.unwrap().contains("broker broker-a answers 26"));
    assert_eq!(ask(a, R::UpdateConsumerOffset, &[query[0], ("commitOffset", "1")]).await.code, NOT_LEADER);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pull_is_answered_with_logical_offsets() {
    let cluster = Cluster::<2>::with_messages().await;
    let [_, b] = &cluster.brokers;
    cluster.remap(0, 1, &[section(0, "broker-a", 2, 0)], section(1, "broker-b", 1, 1000), 2).await;
    done(send(b, 7, "b0").await);
    b.wait_until(|broker| broker.store.max_offset("T", 1) == 1).await;
    let wait_ms = TIMEOUT.as_millis() as i64;
    let waiting = Pull { queue_id: 7, offset: 1001, flags: 6, wait_ms, ..Pull::default() };
    let sending = async {
        b.wait_until(|broker| broker.held_pulls.len() == 1).await;
        done(send(b, 7, "b1").await);
    };
    let (answer, ()) = tokio::join!(b.call(waiting.request()), sending);
    assert_eq!(read(&answer), (0, [1002, 1000, 1002, 1000], vec!["b1".into()]));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_offsets_and_brokers_that_are_gone() {
    let cluster = Cluster::<2>::with_messages().await;
    cluster.remap(0, 1, &[section(0, "broker-a", 2, 0)], section(1, "broker-b", 1, 1000), 2).await;
    let [_, b] = &cluster.brokers;
    done(send(b, 7, "b0").await);
    b.wait_until(|broker| broker.store.max_offset("T", 1) == 1).await;
    let at = async |offset| {
        let (code, [next, ..], bodies) = read(&pull(b, offset).await);
        assert!(bodies.is_empty());
        (code, next)
    };
    assert_eq!(at(i64::MIN).await, (MOVED, 0));
    assert_eq!(at(-1).await, (MOVED, 0));
    assert_eq!(at(500).await, (RETRY, 1000), "between the sections");
    assert_eq!(at(1500).await, (MOVED, 1001));
    assert_eq!(at(i64::MAX).await, (MOVED, 1001));
    for queue in ["-1", "8", "2147483647"] {
        let request = RemotingCommand::request(R::GetMaxOffset).with_field("topic", "T").with_field("queueId", queue);
        assert_eq!(b.call(request).await.code, NOT_LEADER, "{queue}");
    }
    assert_eq!(b.call(RemotingCommand::request(R::GetMaxOffset).with_field("topic", "T")).await.code, 1);
    assert_eq!(ask(b, R::UpdateConsumerOffset, &[("consumerGroup", "cg"), ("commitOffset", "x")]).await.code, 1);

    let Cluster { namesrv, brokers: [a, b], _folders } = cluster;
    a.server.shutdown().await;
    assert_eq!(pull(&b, 0).await.code, 1, "broker-a cannot be asked");
    assert_eq!(read(&pull(&b, 1000).await).2, ["b0"], "what is here is read on");
    b.server.shutdown().await;
    namesrv.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_costs_no_more_than_the_forward_timeout() {
    let cluster = Cluster::<1>::with_messages().await;
    let [a] = &cluster.brokers;
    // It accepts connections and says nothing; the name server knows it as broker-z.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let register = [
        ("brokerName", "broker-z"),
        ("brokerAddr", &silent.local_addr().unwrap().to_string()),
        ("clusterName", "DefaultCluster"),
        ("haServerAddr", ""),
        ("brokerId", "0"),
    ];
    let request = RemotingCommand::request(R::RegisterBroker).with_body(RegisterBrokerBody::default().encode());
    let request = register.iter().fold(request, |request, (key, value)| request.with_field(key, value));
    done(a.client.invoke(&cluster.namesrv.local_addr().to_string(), request, TIMEOUT).await.unwrap());
    let sections = [section(0, "broker-z", 0, 0), section(1, "broker-a", 2, 1000)];
    done(map(a, &mapping("broker-a", 2, &[(7, &sections)]), true).await);
    let answer = pull(a, 0).await;
    assert_eq!(answer.code, 1);
    assert!(answer.remark.unwrap().contains("broker-z did not answer within 2000 ms"));
    assert_eq!(read(&pull(a, 1000).await).2, ["a0", "a1", "a2"], "what is here is read on");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_mappings_change_nothing() {
    let cluster = Cluster::<1>::with_messages().await;
    let [a] = &cluster.brokers;
    let first = section(0, "broker-a", 2, 0);
    let good = mapping("broker-a", 1, &[(7, std::slice::from_ref(&first))]);
    let refused = async |body: Vec<u8>, force: bool| {
        let answer = a.call(map_request(body, force)).await;
        assert_eq!(answer.code, 1);
        answer.remark.unwrap()
    };
    for body in ["", "null", "[]", "{", "{\"hostedQueues\":7}", "{\"hostedQueues\":{\"x\":[]}}"] {
        refused(body.into(), true).await;
    }
    let of = |change: fn(&mut TopicQueueMappingDetail)| {
        let mut mapping = good.clone();
        change(&mut mapping);
        mapping.encode()
    };
    assert!(refused(of(|m| m.topic = "U".into()), true).await.contains("of topic U"));
    assert!(refused(of(|m| m.bname = "broker-b".into()), true).await.contains("for broker broker-b"));
    assert!(refused(of(|m| m.epoch = 0), false).await.contains("older"));
    assert!(refused(of(|m| m.hosted_queues.clear()), false).await.contains("missing"));
    assert!(refused(of(|m| m.total_queues = 1 << 20), true).await.contains("possible"));
    let section_of = |change: fn(&mut Section)| {
        let mut changed = first.clone();
        change(&mut changed);
        mapping("broker-a", 2, &[(7, &[changed])]).encode()
    };
    assert!(refused(section_of(|s| s.queue_id = 4), true).await.contains("queue 4 of 4"));
    assert!(refused(section_of(|s| s.queue_id = 3), false).await.contains("not what it was"));
    assert!(refused(section_of(|s| s.logic_offset = i64::MAX), true).await.contains("impossible"));
    let gap = [first.clone(), section(1, "broker-b", 0, -1), section(2, "broker-a", 3, -1)];
    assert!(refused(mapping("broker-a", 2, &[(7, &gap)]).encode(), true).await.contains("undecided"));
    let back = [section(1, "broker-b", 0, 0), first.clone()];
    assert!(refused(mapping("broker-a", 2, &[(7, &back)]).encode(), true).await.contains("follows"));
    let answer = a.call(map_request(good.encode(), true).with_field("topic", "rmq_sys_x")).await;
    assert_eq!(answer.code, 29, "{:?}", answer.remark);
    assert_eq!(*a.broker().static_topics.get("T").unwrap(), good);
    done(send(a, 7, "a3").await);
    // By force an epoch may go back.
    done(map(a, &TopicQueueMappingDetail { epoch: 0, ..good }, true).await);
    assert_eq!(a.broker().static_topics.get("T").unwrap().epoch, 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_survive_a_restart_and_go_with_the_topic() {
    let cluster = Cluster::<1>::with_messages().await;
    let Cluster { namesrv, brokers: [a], _folders } = cluster;
    a.server.shutdown().await;
    let a = start(_folders[1].path(), "broker-a", &namesrv).await;
    assert_eq!(field(&done(send(&a, 7, "a3").await), "queueOffset"), "3");
    let delete = RemotingCommand::request(R::DeleteTopicInBroker).with_field("topic", "T");
    done(a.call(delete).await);
    assert!(a.broker().static_topics.is_empty());
    assert_eq!(field(&done(send(&a, 2, "plain").await), "queueId"), "2");
    a.server.shutdown().await;
    namesrv.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_needed_is_cleaned() {
    let cluster = Cluster::<3>::with_messages().await;
    let [a, b, c] = &cluster.brokers;
    // An empty queue 6 moves from a to b; queue 7, with messages, from a over b to c.
    let empty = [section(0, "broker-a", 3, 0), section(1, "broker-b", 3, 1000)];
    // An empty queue 5 is on its way from a to b.
    let under_way = [section(0, "broker-a", 1, 0), section(1, "broker-b", 2, -1)];
    let (first, second) = (section(0, "broker-a", 2, 0), section(1, "broker-b", 1, 1000));
    cluster.remap(0, 1, std::slice::from_ref(&first), second.clone(), 2).await;
    let all = [first, second, section(2, "broker-c", 0, 2000)];
    for (n, broker) in cluster.brokers.iter().enumerate() {
        let of_a = &all[..2];
        let queues: [(i32, &[Section]); 3] = match n {
            0 => [(5, &[]), (6, &empty), (7, of_a)],
            1 => [(5, &under_way), (6, &empty), (7, &all)],
            _ => [(5, &[]), (6, &[]), (7, &all)],
        };
        done(map(broker, &mapping(NAMES[n], 3, &queues), false).await);
    }
    assert_eq!(cluster.leader("T", 7).await.unwrap(), "broker-c");
    for broker in [a, b, c] {
        clean::clean(broker.broker()).await;
    }
    let kept = |broker: &TestBroker| {
        let mapping = broker.broker().static_topics.get("T").unwrap();
        let facts = mapping.hosted_queues.iter().map(|(id, sections)| (*id, sections.len()));
        facts.collect::<Vec<_>>()
    };
    assert_eq!(kept(a), [(6, 2)], "a forgets the queue that left two moves ago");
    assert_eq!(kept(b), [(5, 2), (6, 1), (7, 3)], "b, the leader of 6, drops a's empty section");
    assert_eq!(kept(c), [(7, 3)], "a's section of 7 holds messages");
    // Asked again, all stays.
    clean::clean(b.broker()).await;
    assert_eq!(kept(b), [(5, 2), (6, 1), (7, 3)]);
    cluster.stop().await;
}
