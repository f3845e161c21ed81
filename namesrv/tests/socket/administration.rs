//! What administrators ask: permissions, KV configuration, configuration, lists; and what is not for a name server.

use std::fs;

use crate::common::{Broker, Namesrv, request, topic};
use hypergol_remoting::protocol::body::route::{QueueData, TopicRouteData};
use hypergol_remoting::protocol::body::topic::TopicList;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::request_code::Answerers;
use hypergol_remoting::{IoThreads, RemotingCommand, RequestCode};

#[tokio::test]
async fn every_code_is_answered_and_those_of_others_with_three() {
    let namesrv = Namesrv::start("");
    for code in RequestCode::ALL {
        let answer = namesrv.ask(RemotingCommand::request(*code)).await;
        if code.answerers().contains(Answerers::NAMESRV) {
            assert_ne!(answer.code, 3, "{code:?}");
        } else {
            assert_eq!(answer.code, 3, "{code:?}");
            assert_eq!(answer.remark, Some(format!(" request type {} not supported", *code as i32)));
        }
    }
    let mut unknown = RemotingCommand::request(RequestCode::GetNamesrvConfig);
    unknown.code = 99_999;
    assert_eq!(namesrv.ask(unknown).await.code, 3);
}

#[tokio::test]
async fn write_permission_is_wiped_until_the_topics_change() {
    let namesrv = Namesrv::start("");
    let mut broker = Broker::new("b", 0, &["T", "U"]);
    broker.topics.get_mut("U").unwrap().perm = 7;
    namesrv.ask(broker.registration()).await;
    namesrv.ask(Broker { address: "10.0.0.2:1".into(), ..Broker::new("other", 0, &["T", "V"]) }.registration()).await;
    let perms = async |topic| {
        let route = namesrv.route(topic).await.unwrap();
        route.queue_datas.iter().map(|queues| (queues.broker_name.clone(), queues.perm)).collect::<Vec<_>>()
    };
    let wiped = namesrv.done(RequestCode::WipeWritePermOfBroker, &[("brokerName", "b")]).await;
    assert_eq!(wiped.fields.get("wipeTopicCount"), Some("2"));
    assert_eq!(perms("T").await, [("b".to_owned(), 4), ("other".to_owned(), 6)]);
    assert_eq!(perms("U").await, [("b".to_owned(), 5)]);
    namesrv.ask(broker.registration()).await;
    assert_eq!(perms("U").await, [("b".to_owned(), 5)], "the same version changes nothing");
    let added = namesrv.done(RequestCode::AddWritePermOfBroker, &[("brokerName", "b")]).await;
    assert_eq!(added.fields.get("addTopicCount"), Some("2"));
    assert_eq!(perms("U").await, [("b".to_owned(), 6)], "as in Java: read and write, nothing else");
    broker.version.counter += 1;
    namesrv.ask(broker.registration()).await;
    assert_eq!(perms("U").await, [("b".to_owned(), 7)]);
    let none = namesrv.done(RequestCode::WipeWritePermOfBroker, &[("brokerName", "none")]).await;
    assert_eq!(none.fields.get("wipeTopicCount"), Some("0"));
}

#[tokio::test]
async fn topics_are_registered_and_deleted_alone() {
    let namesrv = Namesrv::start("");
    namesrv.ask(Broker::new("b", 0, &["T", "U"]).registration()).await;
    let other = Broker { cluster: "D", address: "10.0.0.2:1".into(), ..Broker::new("d", 0, &["T", "W"]) };
    namesrv.ask(other.registration()).await;
    let route = |broker: &str| {
        let queues = QueueData {
            broker_name: broker.into(),
            perm: 6,
            read_queue_nums: 2,
            topic_sys_flag: 0,
            write_queue_nums: 3,
        };
        TopicRouteData { queue_datas: vec![queues], ..TopicRouteData::default() }.encode()
    };
    let register = |broker| request(RequestCode::RegisterTopicInNamesrv, &[("topic", "X")]).with_body(route(broker));
    let refused = namesrv.ask(register("none")).await;
    assert_eq!((refused.code, refused.remark.as_deref()), (1, Some("the broker none is not registered")));
    assert_eq!(namesrv.ask(register("b")).await.code, 0);
    assert_eq!(namesrv.route("X").await.unwrap().queue_datas[0].write_queue_nums, 3);

    let delete = RequestCode::DeleteTopicInNamesrv;
    namesrv.done(delete, &[("topic", "T"), ("clusterName", "none")]).await;
    assert_eq!(namesrv.route("T").await.unwrap().queue_datas.len(), 2);
    namesrv.done(delete, &[("topic", "T"), ("clusterName", "D")]).await;
    assert_eq!(namesrv.route("T").await.unwrap().queue_datas[0].broker_name, "b");
    namesrv.done(delete, &[("topic", "U")]).await;
    namesrv.done(delete, &[("topic", "none")]).await;
    assert_eq!(namesrv.topics(RequestCode::GetAllTopicListFromNameServer, &[]).await, ["T", "W", "X"]);
    // A broker that has it still brings it back.
    namesrv.ask(other.registration()).await;
    assert_eq!(namesrv.route("T").await.unwrap().queue_datas.len(), 2);
}

#[tokio::test]
async fn lists_say_what_is_there() {
    let namesrv = Namesrv::start("");
    let mut broker = Broker::new("b", 0, &["T"]);
    for (name, flag) in [("unit", 1), ("sub", 2), ("both", 3)] {
        let mut config = topic(name);
        config.topic_sys_flag = flag;
        broker.topics.insert(name.into(), config);
    }
    namesrv.ask(broker.registration()).await;
    assert_eq!(namesrv.topics(RequestCode::GetAllTopicListFromNameServer, &[]).await, ["T", "both", "sub", "unit"]);
    assert_eq!(namesrv.topics(RequestCode::GetTopicsByCluster, &[("cluster", "C")]).await.len(), 4);
    assert_eq!(namesrv.topics(RequestCode::GetTopicsByCluster, &[("cluster", "none")]).await.len(), 0);
    assert_eq!(namesrv.topics(RequestCode::GetUnitTopicList, &[]).await, ["both", "unit"]);
    assert_eq!(namesrv.topics(RequestCode::GetHasUnitSubTopicList, &[]).await, ["both", "sub"]);
    assert_eq!(namesrv.topics(RequestCode::GetHasUnitSubUnunitTopicList, &[]).await, ["sub"]);
    let system = namesrv.done(RequestCode::GetSystemTopicListFromNs, &[]).await;
    let system = TopicList::decode(&system.body).unwrap();
    assert_eq!(
        (system.topic_list, system.broker_addr.as_deref()),
        (vec!["C".into(), "b".into()], Some("10.0.0.1:10911"))
    );

    let update = RemotingCommand::request(RequestCode::UpdateNamesrvConfig);
    assert_eq!(namesrv.ask(update.with_body("enableTopicList=false\nenableAllTopicList=false")).await.code, 0);
    for code in [
        RequestCode::GetAllTopicListFromNameServer,
        RequestCode::GetTopicsByCluster,
        RequestCode::GetUnitTopicList,
        RequestCode::GetHasUnitSubTopicList,
        RequestCode::GetHasUnitSubUnunitTopicList,
    ] {
        let answer = namesrv.ask(request(code, &[("cluster", "C")])).await;
        assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("disable")), "{code:?}");
    }
}

#[tokio::test]
async fn kv_configuration_lives_in_its_file_and_orders_topics() {
    let namesrv = Namesrv::start("orderMessageEnable=true");
    let broker = Broker::new("b", 0, &["T", "U"]);
    assert_eq!(namesrv.ask(broker.registration()).await.body.len(), 0, "no namespace, no body");
    let key = [("namespace", "ORDER_TOPIC_CONFIG"), ("key", "T")];
    let missing = namesrv.ask(request(RequestCode::GetKvConfig, &key)).await;
    assert_eq!(
        (missing.code, missing.remark.as_deref()),
        (22, Some("No config item, Namespace: ORDER_TOPIC_CONFIG Key: T"))
    );
    let missing = namesrv.ask(request(RequestCode::GetKvListByNamespace, &key)).await;
    assert_eq!((missing.code, missing.remark.as_deref()), (22, Some("No config item, Namespace: ORDER_TOPIC_CONFIG")));
    assert_eq!(namesrv.ask(request(RequestCode::PutKvConfig, &key)).await.code, 1, "no value");
    assert!(!namesrv.folder.path().join("kvConfig.json").exists());
    assert_eq!(namesrv.route("T").await.unwrap().order_topic_conf, None);

    namesrv.done(RequestCode::PutKvConfig, &[key[0], key[1], ("value", "b:4")]).await;
    assert_eq!(namesrv.route("T").await.unwrap().order_topic_conf.as_deref(), Some("b:4"));
    assert_eq!(namesrv.route("U").await.unwrap().order_topic_conf, None);
    assert_eq!(namesrv.done(RequestCode::GetKvConfig, &key).await.fields.get("value"), Some("b:4"));
    let list = namesrv.done(RequestCode::GetKvListByNamespace, &key).await;
    assert_eq!(&list.body[..], br#"{"table":{"T":"b:4"}}"#);
    assert_eq!(&namesrv.ask(broker.registration()).await.body[..], br#"{"table":{"T":"b:4"}}"#);
    let file = fs::read_to_string(namesrv.folder.path().join("kvConfig.json")).unwrap();
    assert_eq!(file, r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"b:4"}}}"#);

    namesrv.done(RequestCode::DeleteKvConfig, &key).await;
    assert_eq!(namesrv.ask(request(RequestCode::GetKvConfig, &key)).await.code, 22);
    assert_eq!(namesrv.route("T").await.unwrap().order_topic_conf, None);
}

#[tokio::test]
async fn configuration_is_shown_and_changed_behind_a_black_list() {
    let namesrv = Namesrv::start("configBlackList=productEnvName;foo\nfoo=bar");
    let shown = async || {
        let answer = namesrv.done(RequestCode::GetNamesrvConfig, &[]).await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let text = shown().await;
    assert!(text.lines().is_sorted());
    for line in ["foo=bar", "waitSecondsForService=45", "serverChannelMaxIdleTimeSeconds=120", "bindAddress=127.0.0.1"]
    {
        assert!(text.lines().any(|shown| shown == line), "{line}");
    }
    let update = async |body: &str| {
        let request = RemotingCommand::request(RequestCode::UpdateNamesrvConfig).with_body(body.to_owned());
        let answer = namesrv.ask(request).await;
        (answer.code, answer.remark)
    };
    for key in ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome", "productEnvName", "foo"] {
        let refused = update(&format!("enableTopicList=false\n{key}=x")).await;
        assert_eq!(refused, (16, Some("Can not update config in black list.".into())), "{key}");
    }
    assert_eq!(update("waitSecondsForService=x").await.0, 1);
    assert_eq!(update("a=\\u1").await.0, 1);
    assert_eq!(shown().await, text, "refused as a whole");
    assert!(!namesrv.folder.path().join("namesrv.properties").exists());

    assert_eq!(update("needWaitForService=true\nnew=1").await, (0, None));
    let text = shown().await;
    assert!(text.contains("needWaitForService=true\n") && !text.contains("new="));
    let answer = namesrv.ask(request(RequestCode::GetRouteInfoByTopic, &[("topic", "T")])).await;
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("name server not ready")));
    let file = fs::read_to_string(namesrv.folder.path().join("namesrv.properties")).unwrap();
    assert!(file.contains("needWaitForService=true\n") && file.contains("foo=bar\n"), "{file}");
}

#[tokio::test]
async fn zones_see_their_brokers() {
    let namesrv = Namesrv::start("");
    namesrv.ask(Broker::new("b1", 0, &["T", "U"]).with("__ZONE_NAME", "z1").registration()).await;
    let other = Broker { address: "10.0.0.2:1".into(), ..Broker::new("b2", 0, &["T", "U"]) };
    namesrv.ask(other.with("__ZONE_NAME", "z2").registration()).await;
    let names = async |fields: &[(&str, &str)]| {
        let request = fields
            .iter()
            .fold(request(RequestCode::GetRouteInfoByTopic, &[("topic", "T")]), |request, (key, value)| {
                request.with_field(key, value)
            });
        let route = TopicRouteData::decode(&namesrv.ask(request).await.body).unwrap();
        assert_eq!(route.queue_datas.len(), route.broker_datas.len());
        route.broker_datas.into_iter().map(|set| (set.broker_name, set.zone_name.unwrap())).collect::<Vec<_>>()
    };
    let (one, two) = (("b1".to_owned(), "z1".to_owned()), ("b2".to_owned(), "z2".to_owned()));
    assert_eq!(names(&[]).await, [one.clone(), two.clone()]);
    assert_eq!(names(&[("__ZONE_MODE", "TRUE"), ("__ZONE_NAME", "Z1")]).await, std::slice::from_ref(&one));
    assert_eq!(names(&[("__ZONE_MODE", "false"), ("__ZONE_NAME", "z1")]).await, [one.clone(), two.clone()]);
    assert_eq!(names(&[("__ZONE_MODE", "true"), ("__ZONE_NAME", " ")]).await, [one, two]);
}

#[tokio::test]
async fn a_second_name_server_on_the_port_is_refused_with_a_word() {
    let first = Namesrv::start("");
    let mut settings = hypergol_namesrv::config::NamesrvSettings::default();
    settings.namesrv.kv_config_path = first.folder.path().join("kv.json").display().to_string();
    settings.server.bind_address = "127.0.0.1".into();
    settings.server.listen_port = i32::from(first.server.local_addr().port());
    let error =
        hypergol_namesrv::NameServer::start(settings, &hypergol_config::Properties::default(), IoThreads::current())
            .err()
            .unwrap();
    assert!(error.to_string().starts_with(&format!("cannot listen on {}", first.address())), "{error}");
    first.server.shutdown().await;
}
