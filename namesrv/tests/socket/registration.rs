//! Brokers come, change and go; what clients are told of it.

use std::sync::Arc;

use crate::common::{Broker, Namesrv, client, request, topic};
use hypergol_remoting::protocol::body::route::{ClusterInfo, TopicRouteData};
use hypergol_remoting::protocol::body::topic::{DataVersion, TopicConfigSerializeWrapper, TopicQueueMappingInfo};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode, Responder, connection};
use tokio::sync::mpsc;

fn ids(route: &TopicRouteData) -> Vec<i64> {
    route.broker_datas[0].broker_addrs.keys().copied().collect()
}

#[tokio::test]
async fn a_route_is_written_as_the_client_reads_it() {
    let namesrv = Namesrv::start("");
    let answer = namesrv.ask(Broker::new("b", 0, &["T", "U"]).registration()).await;
    assert_eq!((answer.code, answer.remark.as_deref(), answer.body.len()), (0, None, 0));

    let unquoted = r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"b","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;
    let quoted = unquoted.replace("{0:", "{\"0\":");
    for (version, standard, expected) in [
        (513, None, &*quoted),
        (401, None, &quoted),
        (400, None, unquoted),
        (317, Some("true"), &quoted),
        (317, Some("false"), unquoted),
    ] {
        for _ in 0..2 {
            let mut request = request(RequestCode::GetRouteInfoByTopic, &[("topic", "T")]);
            request.version = version;
            if let Some(standard) = standard {
                request = request.with_field("acceptStandardJsonOnly", standard);
            }
            let answer = namesrv.ask(request).await;
            assert_eq!(std::str::from_utf8(&answer.body).unwrap(), expected, "version {version}");
        }
    }
    let answer = namesrv.ask(request(RequestCode::GetRouteInfoByTopic, &[("topic", "none")])).await;
    assert_eq!(answer.code, 17);
    let remark = "No topic route info in name server for the topic: none\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";
    assert_eq!(answer.remark.as_deref(), Some(remark));
    assert_eq!(namesrv.ask(request(RequestCode::GetRouteInfoByTopic, &[])).await.code, 1);
}

#[tokio::test]
async fn every_form_of_registration_is_read() {
    let namesrv = Namesrv::start("");
    // Deflated, said so or not, with the right checksum.
    for (name, said) in [("b1", "true"), ("b2", "false")] {
        let broker = Broker::new(name, 0, &["T", "U"]);
        let body = broker.body().encode_compressed().unwrap();
        let crc = (crc32fast::hash(&body) & 0x7fff_ffff).to_string();
        let request = broker.with("compressed", said).with("bodyCrc32", crc).registration().with_body(body);
        assert_eq!(namesrv.ask(request).await.code, 0);
    }
    // Before V3_0_11: the topics only.
    let broker = Broker::new("b3", 0, &["T", "U"]);
    let old =
        TopicConfigSerializeWrapper { data_version: broker.version.clone(), topic_config_table: broker.topics.clone() };
    let mut request = broker.registration().with_body(old.encode());
    request.version = 36;
    assert_eq!(namesrv.ask(request).await.code, 0);
    // Without a body: no topics.
    assert_eq!(namesrv.ask(Broker::new("b4", 0, &[]).registration().with_body("")).await.code, 0);

    let route = namesrv.route("T").await.unwrap();
    let names: Vec<_> = route.broker_datas.iter().map(|set| set.broker_name.as_str()).collect();
    assert_eq!(names, ["b1", "b2", "b3"]);
    let info = ClusterInfo::decode(&namesrv.done(RequestCode::GetBrokerClusterInfo, &[]).await.body).unwrap();
    assert_eq!(info.cluster_addr_table["C"], ["b1", "b2", "b3", "b4"]);
    assert_eq!(info.broker_addr_table["b4"].broker_addrs[&0], "10.0.0.5:10911");
}

#[tokio::test]
async fn what_cannot_be_right_is_refused_and_leaves_nothing() {
    let namesrv = Namesrv::start("");
    let broker = Broker::new("b", 0, &["T", "U"]);
    let wrong_crc = namesrv.ask(broker.clone().with("bodyCrc32", 7).registration()).await;
    assert_eq!((wrong_crc.code, wrong_crc.remark.as_deref()), (1, Some("crc32 not match")));
    let garbage = namesrv.ask(broker.registration().with_body("{\"topicConfig")).await;
    assert_eq!(garbage.code, 1);
    assert!(garbage.remark.unwrap().starts_with("Failed to decode RegisterBrokerBody"));
    let mut deflated = broker.body().encode_compressed().unwrap();
    deflated.truncate(20);
    assert_eq!(namesrv.ask(broker.registration().with_body(deflated)).await.code, 1);
    // One topic of a broker that is not there: an update that came too early.
    let single = namesrv.ask(Broker::new("b", 0, &["T"]).registration()).await;
    assert_eq!((single.code, single.remark.as_deref()), (1, Some("register broker failed")));
    assert_eq!(namesrv.ask(request(RequestCode::RegisterBroker, &[("brokerName", "b")])).await.code, 1);

    let info = namesrv.done(RequestCode::GetBrokerClusterInfo, &[]).await;
    assert_eq!(&info.body[..], br#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#);

    // Once it is there, single topics are taken.
    namesrv.ask(broker.registration()).await;
    let mut update = Broker::new("b", 0, &["V"]);
    update.version.counter = 2;
    assert_eq!(namesrv.ask(update.registration()).await.code, 0);
    assert_eq!(namesrv.topics(RequestCode::GetAllTopicListFromNameServer, &[]).await, ["T", "U", "V"]);
}

#[tokio::test]
async fn topics_follow_their_version() {
    let namesrv = Namesrv::start("");
    let mut broker = Broker::new("b", 0, &["T", "U"]);
    let version = |broker: &Broker| broker.request(RequestCode::QueryDataVersion).with_body(broker.version.encode());
    let answer = namesrv.ask(version(&broker)).await;
    assert_eq!((answer.fields.get("changed"), answer.body.len()), (Some("true"), 0));
    namesrv.ask(broker.registration()).await;
    let answer = namesrv.ask(version(&broker)).await;
    assert_eq!(answer.fields.get("changed"), Some("false"));
    assert_eq!(DataVersion::decode(&answer.body).unwrap(), broker.version);

    // The same version: known topics stay as they are, unknown ones are added.
    broker.topics.get_mut("T").unwrap().perm = 4;
    broker.topics.insert("V".into(), topic("V"));
    assert_eq!(namesrv.ask(version(&broker)).await.fields.get("changed"), Some("false"));
    namesrv.ask(broker.registration()).await;
    assert_eq!(namesrv.route("T").await.unwrap().queue_datas[0].perm, 6);
    assert!(namesrv.route("V").await.is_some());

    broker.version.counter += 1;
    assert_eq!(namesrv.ask(version(&broker)).await.fields.get("changed"), Some("true"));
    namesrv.ask(broker.registration()).await;
    assert_eq!(namesrv.route("T").await.unwrap().queue_datas[0].perm, 4);

    // Topics that a registration lacks stay, unless told otherwise.
    broker.topics.remove("U");
    broker.version.counter += 1;
    namesrv.ask(broker.registration()).await;
    assert!(namesrv.route("U").await.is_some());
    let update = RemotingCommand::request(RequestCode::UpdateNamesrvConfig);
    namesrv.ask(update.with_body("deleteTopicWithBrokerRegistration=true")).await;
    namesrv.ask(broker.registration()).await;
    assert!(namesrv.route("U").await.is_none());
    assert!(namesrv.route("T").await.is_some());
}

#[tokio::test]
async fn static_topics_carry_their_mapping() {
    let namesrv = Namesrv::start("");
    let broker = Broker::new("b", 0, &["T", "U"]);
    let mut body = broker.body();
    let info = TopicQueueMappingInfo {
        bname: "b".into(),
        curr_id_map: [(0, 2)].into(),
        topic: "T".into(),
        total_queues: 1,
        ..TopicQueueMappingInfo::default()
    };
    body.topic_config_serialize_wrapper.topic_queue_mapping_info_map.insert("T".into(), info.clone());
    namesrv.ask(broker.registration().with_body(body.encode_compressed().unwrap())).await;
    let mapping = namesrv.route("T").await.unwrap().topic_queue_mapping_by_broker;
    assert_eq!(mapping.unwrap(), [("b".to_owned(), info)].into());
    assert_eq!(namesrv.route("U").await.unwrap().topic_queue_mapping_by_broker, None);
}

#[tokio::test]
async fn a_queue_of_a_static_topic_moves() {
    let namesrv = Namesrv::start("deleteTopicWithBrokerRegistration=true");
    let (mut b, mut b1) = (Broker::new("b", 0, &["T", "U"]), Broker::new("b1", 0, &["T", "V"]));
    let mapping = |broker: &Broker, epoch: i64, queues: &[(i32, i32)]| {
        let mut body = broker.body();
        let info = TopicQueueMappingInfo {
            bname: broker.name.into(),
            curr_id_map: queues.iter().copied().collect(),
            epoch,
            topic: "T".into(),
            total_queues: 1,
            ..TopicQueueMappingInfo::default()
        };
        body.topic_config_serialize_wrapper.topic_queue_mapping_info_map.insert("T".into(), info);
        broker.registration().with_body(body.encode())
    };
    namesrv.ask(mapping(&b, 1, &[(0, 2)])).await;
    namesrv.ask(mapping(&b1, 1, &[])).await;
    // Each tells of the topic alone; its other topics stay.
    for (broker, queues) in [(&mut b1, &[(0, 3)][..]), (&mut b, &[])] {
        broker.version.counter += 1;
        broker.topics.retain(|name, _| name == "T");
        let answer = namesrv.ask(mapping(broker, 2, queues)).await;
        assert_eq!(answer.code, 0, "{:?}", answer.remark);
    }
    let mapped = namesrv.route("T").await.unwrap().topic_queue_mapping_by_broker.unwrap();
    let facts = mapped.iter().map(|(name, info)| (name.as_str(), info.epoch, info.curr_id_map.get(&0).copied()));
    assert_eq!(facts.collect::<Vec<_>>(), [("b", 2, None), ("b1", 2, Some(3))]);
    assert!(namesrv.route("U").await.is_some() && namesrv.route("V").await.is_some());
    for (standard, expected) in [("false", "\"currIdMap\":{0:3}"), ("true", "\"currIdMap\":{\"0\":3}")] {
        let fields = [("topic", "T"), ("acceptStandardJsonOnly", standard)];
        let mut route = request(RequestCode::GetRouteInfoByTopic, &fields);
        // From V4_9_4 on the keys are quoted in any case.
        route.version = 400;
        let answer = namesrv.ask(route).await;
        assert!(std::str::from_utf8(&answer.body).unwrap().contains(expected), "{standard}: {:?}", answer.body);
    }
    // With the topic goes its mapping: one of that name may be a plain one.
    namesrv.done(RequestCode::DeleteTopicInNamesrv, &[("topic", "T")]).await;
    b.version.counter += 1;
    b.topics.insert("U".into(), topic("U"));
    namesrv.ask(b.registration()).await;
    assert_eq!(namesrv.route("T").await.unwrap().topic_queue_mapping_by_broker, None);
}

#[tokio::test]
async fn slaves_get_their_master_and_bring_no_topics() {
    let namesrv = Namesrv::start("");
    let master = Broker::new("b", 0, &["T", "U"]);
    let slave = Broker::new("b", 1, &["S", "U"]);
    let answer = namesrv.ask(slave.registration()).await;
    assert_eq!(answer.fields.get("masterAddr"), None);
    namesrv.ask(master.registration()).await;
    let answer = namesrv.ask(slave.registration()).await;
    assert_eq!(answer.fields.get("masterAddr"), Some("10.0.0.1:10911"));
    assert_eq!(answer.fields.get("haServerAddr"), Some("10.0.0.1:109111"));
    assert!(namesrv.route("S").await.is_none());
    assert_eq!(ids(&namesrv.route("T").await.unwrap()), [0, 1]);

    // The slave becomes the master of its own address, the old master is gone.
    namesrv.ask(master.request(RequestCode::UnregisterBroker)).await;
    assert_eq!(ids(&namesrv.route("T").await.unwrap()), [1]);
    let promoted = Broker { id: 0, address: slave.address.clone(), ..slave.clone() };
    namesrv.ask(promoted.registration()).await;
    let addresses = &namesrv.route("T").await.unwrap().broker_datas[0].broker_addrs;
    assert_eq!(addresses, &[(0, slave.address.clone())].into());
    let group = namesrv.done(RequestCode::GetBrokerMemberGroup, &[("clusterName", "C"), ("brokerName", "b")]).await;
    let expected = r#"{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10912"},"brokerName":"b","cluster":"C"}}"#;
    assert_eq!(std::str::from_utf8(&group.body).unwrap(), expected);
}

#[tokio::test]
async fn older_state_does_not_displace_newer() {
    let namesrv = Namesrv::start("");
    let mut first = Broker::new("b", 0, &["T", "U"]);
    first.version.state_version = 2;
    namesrv.ask(first.registration()).await;
    let mut other = Broker { address: "10.0.0.2:1".into(), ..first.clone() };
    other.version.state_version = 1;
    let answer = namesrv.ask(other.registration()).await;
    assert_eq!(answer.code, 0, "ignored, but not refused");
    assert_eq!(namesrv.route("T").await.unwrap().broker_datas[0].broker_addrs[&0], first.address);
    other.version.state_version = 3;
    namesrv.ask(other.registration()).await;
    assert_eq!(namesrv.route("T").await.unwrap().broker_datas[0].broker_addrs[&0], "10.0.0.2:1");
    // The displaced one leaves: nothing of the other goes with it.
    namesrv.ask(first.request(RequestCode::UnregisterBroker)).await;
    assert_eq!(namesrv.route("T").await.unwrap().broker_datas[0].broker_addrs[&0], "10.0.0.2:1");
}

#[tokio::test]
async fn a_closed_connection_takes_its_brokers_along() {
    let namesrv = Namesrv::start("");
    let (one, two) = (client(), client());
    namesrv.ask_by(&one, Broker::new("b1", 0, &["T", "U"]).registration()).await;
    namesrv.ask_by(&one, Broker::new("b2", 0, &["T", "V"]).registration()).await;
    namesrv.ask_by(&two, Broker::new("b3", 0, &["T", "W"]).registration()).await;
    // b2 moves to another connection; the first one means nothing for it any more.
    namesrv.ask_by(&two, Broker::new("b2", 0, &["T", "V"]).registration()).await;
    one.shutdown();
    namesrv.wait_route("U", |route| route.is_none()).await;
    assert_eq!(namesrv.route("T").await.unwrap().broker_datas.len(), 2);
    two.shutdown();
    namesrv.wait_route("T", |route| route.is_none()).await;
    assert_eq!(namesrv.topics(RequestCode::GetAllTopicListFromNameServer, &[]).await, Vec::<String>::new());
    let info = namesrv.done(RequestCode::GetBrokerClusterInfo, &[]).await;
    assert_eq!(&info.body[..], br#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#);
}

#[tokio::test]
async fn a_broker_that_comes_under_another_name_leaves_the_old_one() {
    let namesrv = Namesrv::start("");
    let broker = Broker::new("b", 0, &["T", "U"]);
    namesrv.ask(broker.registration()).await;
    namesrv.ask(Broker { name: "c", ..broker }.registration()).await;
    let route = namesrv.route("T").await.unwrap();
    assert_eq!(route.broker_datas.len(), 1);
    assert_eq!(route.broker_datas[0].broker_name, "c");
}

#[tokio::test]
async fn a_silent_broker_goes_and_one_that_is_heard_stays() {
    let namesrv = Namesrv::start("scanNotActiveBrokerInterval=20");
    let silent = Broker::new("b1", 0, &["T", "U"]).with("heartbeatTimeoutMillis", 300);
    let heard = Broker { name: "b2", address: "10.0.0.2:1".into(), ..silent.clone() };
    let (by_silent, by_heard) = (client(), client());
    namesrv.ask_by(&by_silent, silent.registration()).await;
    namesrv.ask_by(&by_heard, heard.registration()).await;
    let beat = async {
        loop {
            namesrv.ask_by(&by_heard, heard.request(RequestCode::BrokerHeartbeat)).await;
            let version = heard.request(RequestCode::QueryDataVersion).with_body(heard.version.encode());
            namesrv.ask_by(&by_heard, version).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = beat => {}
        () = namesrv.wait_route("T", |route| route.is_some_and(|route| route.broker_datas.len() == 1)) => {}
    }
    assert_eq!(namesrv.route("T").await.unwrap().broker_datas[0].broker_name, "b2");
    // Its connection was closed, too.
    let channel = by_silent.channel(&namesrv.address()).await.unwrap();
    let answer = channel.invoke(silent.registration(), std::time::Duration::from_secs(30)).await;
    assert!(answer.is_ok(), "a new connection is made and it may come again: {answer:?}");
}

/// Keeps the requests that a name server sends to a broker.
struct Listening(mpsc::UnboundedSender<RemotingCommand>);

impl connection::Handler for Listening {
    fn request(&self, request: RemotingCommand, _responder: Responder) {
        self.0.send(request).unwrap();
    }
}

#[tokio::test]
async fn the_lowest_slave_acts_and_all_are_told() {
    let namesrv = Namesrv::start("supportActingMaster=true\nnotifyMinBrokerIdChanged=true");
    let (told, mut notices) = mpsc::unbounded_channel();
    let listener =
        hypergol_remoting::Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Listening(told)), Default::default())
            .unwrap();
    let master = Broker::new("b", 0, &["T", "U"]).with("enableActingMaster", true);
    let slave = Broker { address: listener.local_addr().to_string(), ..Broker::new("b", 2, &["T", "U"]) };
    let slave = slave.with("enableActingMaster", true);
    let (by_master, by_slave) = (client(), client());
    namesrv.ask_by(&by_master, master.registration()).await;
    namesrv.ask_by(&by_slave, slave.registration()).await;
    assert_eq!(ids(&namesrv.route("T").await.unwrap()), [0, 2]);

    by_master.shutdown();
    namesrv.wait_route("T", |route| route.is_some_and(|route| ids(route) == [0])).await;
    let route = namesrv.route("T").await.unwrap();
    assert_eq!(route.broker_datas[0].broker_addrs[&0], slave.address, "the slave is shown as master");
    assert_eq!(route.queue_datas[0].perm, 4, "and cannot be written");
    let notice = notices.recv().await.unwrap();
    assert_eq!(notice.code, RequestCode::NotifyMinBrokerIdChange as i32);
    assert!(notice.is_oneway());
    assert_eq!(notice.fields.get("minBrokerId"), Some("2"));
    assert_eq!(notice.fields.get("minBrokerAddr"), Some(&*slave.address));
    assert_eq!(notice.fields.get("offlineBrokerAddr"), Some(&*master.address));

    // Registering again as the prime slave does not open it for writing.
    let mut again = slave.clone();
    again.version.counter += 1;
    namesrv.ask_by(&by_slave, again.registration()).await;
    assert_eq!(namesrv.route("T").await.unwrap().queue_datas[0].perm, 4);

    // The master comes back: the slave is told, the master's topics open again.
    namesrv.ask_by(&client(), master.registration()).await;
    let notice = notices.recv().await.unwrap();
    assert_eq!(notice.fields.get("minBrokerId"), Some("0"));
    assert_eq!(notice.fields.get("haBrokerAddr"), Some("10.0.0.1:109111"));
    assert_eq!(notice.fields.get("offlineBrokerAddr"), None);
}

#[tokio::test]
async fn fifty_thousand_topics_are_as_good_as_five() {
    let namesrv = Namesrv::start("");
    let names: Vec<_> = (0..50_000).map(|i| format!("topic-{i:05}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut broker = Broker::new("b", 0, &names);
    let connection = client();
    for round in 0..3 {
        broker.version.counter = round;
        let registration = broker.registration();
        let registered = namesrv.ask_by(&connection, registration);
        tokio::pin!(registered);
        // Routes are answered while the registration is worked on.
        let mut routes = 0;
        let answer = loop {
            tokio::select! {
                answer = &mut registered => break answer,
                _ = namesrv.route("topic-00007") => routes += 1,
            }
        };
        assert_eq!(answer.code, 0);
        println!("round {round}: {routes} routes answered during the registration");
    }
    assert_eq!(namesrv.topics(RequestCode::GetAllTopicListFromNameServer, &[]).await.len(), 50_000);
    assert_eq!(namesrv.topics(RequestCode::GetTopicsByCluster, &[("cluster", "C")]).await.len(), 50_000);
    let wiped = namesrv.done(RequestCode::WipeWritePermOfBroker, &[("brokerName", "b")]).await;
    assert_eq!(wiped.fields.get("wipeTopicCount"), Some("50000"));
    connection.shutdown();
    namesrv.wait_route("topic-49999", |route| route.is_none()).await;
}
