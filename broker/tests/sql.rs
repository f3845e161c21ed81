//! Consumers that filter by SQL92, through the socket.

mod common;

use common::pops::Pop;
use common::{Pull, TIMEOUT, TestBroker, bodies, field};
use hypergol_remoting::protocol::body::filter::ConsumerFilterWrapper;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode};

const ENABLED: &str = "enablePropertyFilter=true\n";
const LONG_MS: i64 = TIMEOUT.as_millis() as i64;

/// A heartbeat of a push consumer.
fn heartbeat(group: &str, topic: &str, expression: &str, version: i64) -> RemotingCommand {
    let body = format!(
        r#"{{"clientID":"c@1","consumerDataSet":[{{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",
        "consumeType":"CONSUME_PASSIVELY","groupName":"{group}","messageModel":"CLUSTERING","subscriptionDataSet":[
        {{"classFilterMode":false,"codeSet":[],"expressionType":"SQL92","subString":"{expression}",
        "subVersion":{version},"tagsSet":[],"topic":"{topic}"}}],"unitMode":false}}],"heartbeatFingerprint":0,
        "producerDataSet":[],"withoutSub":false}}"#
    );
    RemotingCommand::request(RequestCode::HeartBeat).with_body(body)
}

fn check(kind: &str, expression: &str) -> RemotingCommand {
    let body = format!(
        r#"{{"clientId":"c@1","group":"cg","subscriptionData":{{"expressionType":"{kind}","subString":"{expression}",
        "subVersion":1,"topic":"T"}}}}"#
    );
    RemotingCommand::request(RequestCode::CheckClientConfig).with_body(body)
}

/// A pull whose subscription is that of the heartbeats, of a version.
fn known(version: i64, offset: i64, flags: i32) -> RemotingCommand {
    let mut request = Pull { offset, flags, wait_ms: LONG_MS, ..Pull::default() }.request();
    request.fields.set("subVersion", &version.to_string());
    request
}

/// A pull that brings its expression.
fn own(expression: &str) -> RemotingCommand {
    Pull { subscription: expression, ..Pull::default() }.request().with_field("expressionType", "SQL92")
}

fn seen(answer: &RemotingCommand) -> (i32, &str) {
    (answer.code, answer.remark.as_deref().unwrap_or_default())
}

/// Three messages to topic T, with `n` from 1 to 3; the last has `name`, too.
async fn send_three(broker: &TestBroker) {
    broker.send("T", "n\u{1}1\u{2}TAGS\u{1}A\u{2}", "one").await;
    broker.send("T", "n\u{1}2\u{2}", "two").await;
    broker.send("T", "n\u{1}3\u{2}name\u{1}it's\u{2}", "three").await;
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_gets_what_its_expression_holds_for() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), ENABLED).await;
    send_three(&broker).await;
    broker.call(heartbeat("cg", "T", "n > 1 AND name IS NULL", 5)).await;
    let answer = broker.call(known(5, 0, 0)).await;
    assert_eq!((answer.code, bodies(&answer)), (0, vec!["two".to_owned()]));
    assert_eq!(field(&answer, "nextBeginOffset"), "3");

    broker.call(heartbeat("cg", "T", "n > 7", 6)).await;
    let answer = broker.call(known(6, 0, 0)).await;
    assert_eq!(seen(&answer), (20, "NO_MATCHED_MESSAGE"));
    assert_eq!(field(&answer, "nextBeginOffset"), "3");
    // What has no value does not match.
    broker.call(heartbeat("cg", "T", "name > 7 OR n > 0", 7)).await;
    assert_eq!(bodies(&broker.call(known(7, 0, 0)).await), ["one", "two"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_may_bring_its_expression() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), ENABLED).await;
    send_three(&broker).await;
    for _ in 0..2 {
        assert_eq!(bodies(&broker.call(own("name CONTAINS '''' OR n = 1")).await), ["one", "three"]);
    }
    assert_eq!(bodies(&broker.call(own("n BETWEEN 2 AND 3")).await), ["two", "three"]);
    assert_eq!(bodies(&broker.call(Pull { subscription: "A", ..Pull::default() }.request()).await), ["one"]);
    let failed = (23, "parse the consumer's subscription failed");
    assert_eq!(seen(&broker.call(own("n >")).await), failed);
    assert_eq!(seen(&broker.call(own("")).await), failed);
    let other = Pull { subscription: "n > 1", ..Pull::default() }.request().with_field("expressionType", "OTHER");
    assert_eq!(seen(&broker.call(other).await), failed);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_are_not_there_or_older_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), ENABLED).await;
    send_three(&broker).await;
    broker.call(heartbeat("cg", "T", "n >", 5)).await;
    let missing = "The broker's consumer filter data is not exist!Your expression may be wrong!";
    assert_eq!(seen(&broker.call(known(5, 0, 0)).await), (27, missing));
    assert_eq!(seen(&broker.call(known(6, 0, 0)).await), (25, "the consumer's subscription not latest"));
    broker.call(heartbeat("cg", "T", "n > 1", 6)).await;
    assert_eq!(bodies(&broker.call(known(6, 0, 0)).await), ["two", "three"]);
    broker.broker().filters.clean(0, i64::MAX);
    assert_eq!(bodies(&broker.call(known(6, 0, 0)).await), ["two", "three"], "a filter that lives is kept");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_are_refused_unless_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    send_three(&broker).await;
    let refused = (1, "The broker does not support consumer to filter message by SQL92");
    broker.call(heartbeat("cg", "T", "n > 1", 5)).await;
    assert_eq!(seen(&broker.call(known(5, 0, 0)).await), refused);
    assert_eq!(seen(&broker.call(own("n > 1")).await), refused);
    assert_eq!(seen(&broker.call(check("SQL92", "n >")).await), refused);
    assert_eq!(seen(&broker.call(check("TAG", "A")).await), (0, ""));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_learns_what_is_wrong_with_its_expression() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), ENABLED).await;
    assert_eq!(seen(&broker.call(check("SQL92", "n > 1 AND name IN ('a', 'b')")).await), (0, ""));
    let wrong = "Encountered \"1)\", was expecting a string, at line 1, column 11";
    assert_eq!(seen(&broker.call(check("SQL92", "n IN ('', 1)")).await), (23, wrong));
    assert_eq!(seen(&broker.call(check("OTHER", "n > 1")).await), (23, "The expression type OTHER is not known"));
    let deep = format!("{}n = 1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(broker.call(check("SQL92", &deep)).await.code, 23);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pull_is_woken_by_what_its_expression_holds_for() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), ENABLED).await;
    send_three(&broker).await;
    broker.call(heartbeat("cg", "T", "n > 1", 5)).await;
    let waiting = broker.call(known(5, 3, 2));
    let sending = async {
        broker.wait_until(|broker| broker.held_pulls.len() == 1).await;
        broker.send("T", "n\u{1}1\u{2}", "unwanted").await;
        broker.wait_until(|broker| broker.store.max_offset("T", 0) == 4).await;
        assert_eq!(broker.broker().held_pulls.len(), 1, "not for this one");
        broker.send("T", "n\u{1}9\u{2}", "wanted").await;
    };
    let (answer, ()) = tokio::join!(waiting, sending);
    assert_eq!((answer.code, bodies(&answer)), (0, vec!["wanted".to_owned()]));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_are_filtered_as_the_topic_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), &format!("{ENABLED}filterSupportRetry=true\n")).await;
    broker.call(heartbeat("cg", "T", "n > 1", 5)).await;
    let retry = "%RETRY%cg";
    broker.send(retry, "n\u{1}1\u{2}RETRY_TOPIC\u{1}T\u{2}", "one").await;
    broker.send(retry, "n\u{1}2\u{2}RETRY_TOPIC\u{1}T\u{2}", "two").await;
    broker.send(retry, "n\u{1}1\u{2}RETRY_TOPIC\u{1}U\u{2}", "of another topic").await;
    broker.send(retry, "n\u{1}1\u{2}", "of no topic").await;
    broker.wait_until(|broker| broker.store.max_offset(retry, 0) == 4).await;
    let pull = |expression| Pull { topic: retry, subscription: expression, ..Pull::default() }.request();
    let by_sql = broker.call(pull("n > 7").with_field("expressionType", "SQL92")).await;
    assert_eq!(bodies(&by_sql), ["two", "of another topic", "of no topic"]);
    assert_eq!(bodies(&broker.call(pull("*")).await).len(), 4);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), ENABLED).await;
    broker.call(heartbeat("cg", "T", "n > 1", 5)).await;
    let unregister = RemotingCommand::request(RequestCode::UnregisterClient)
        .with_field("clientID", "c@1")
        .with_field("consumerGroup", "cg");
    assert!(!broker.broker().filters.get("T", "cg").unwrap().is_dead());
    broker.call(unregister).await;
    assert!(broker.broker().filters.get("T", "cg").unwrap().is_dead());
    broker.server.shutdown().await;
    let file = std::fs::read(folder.path().join("config/consumerFilter.json")).unwrap();
    let written = ConsumerFilterWrapper::decode(&file).unwrap();
    let filter = &written.filter_data_by_topic["T"].group_filter_data["cg"];
    assert_eq!((filter.expression.as_str(), filter.client_version, filter.dead), ("n > 1", 5, true));
    assert_eq!(filter.bloom_filter_data.as_ref().map(|bloom| (bloom.bit_num, bloom.bit_pos.len())), Some((112, 3)));

    let broker = TestBroker::start(folder.path(), ENABLED).await;
    assert!(broker.broker().filters.get("T", "cg").unwrap().is_dead());
    broker.call(heartbeat("cg", "T", "n > 1", 5)).await;
    assert!(!broker.broker().filters.get("T", "cg").unwrap().is_dead());
    // A connection that ends takes the group's last member with it.
    broker.client.shutdown();
    broker.wait_until(|broker| broker.filters.get("T", "cg").unwrap().is_dead()).await;
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_hold_which_filters_match() {
    let folder = tempfile::tempdir().unwrap();
    let extended = format!("{ENABLED}enableCalcFilterBitMap=true\nenableConsumeQueueExt=true\n");
    let broker = TestBroker::start(folder.path(), &extended).await;
    broker.call(heartbeat("cg", "T", "n = 2 OR n = 7", 5)).await;
    send_three(&broker).await;
    assert_eq!(bodies(&broker.call(known(5, 0, 0)).await), ["two"]);
    assert_eq!(bodies(&broker.call(Pull { subscription: "A", ..Pull::default() }.request()).await), ["one"]);
    let units = broker.broker().store.queue_units("T", 0, 0, 10);
    let own = broker.broker().filters.get("T", "cg").unwrap();
    let positions = &own.data.bloom_filter_data.as_ref().unwrap().bit_pos;
    for (index, (entry, unit)) in units.iter().enumerate() {
        let unit = unit.as_ref().unwrap();
        assert_eq!(entry.tags_code, unit.tags_code);
        assert_eq!(entry.tags_code, if index == 0 { 65 } else { 0 });
        let set: u32 = unit.bits.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(unit.bits.len() * 8, 112);
        let distinct: std::collections::BTreeSet<_> = positions.iter().collect();
        assert_eq!(set as usize, if index == 1 { distinct.len() } else { 0 });
    }
    let query = RemotingCommand::request(RequestCode::QueryConsumeQueue)
        .with_field("topic", "T")
        .with_field("queueId", "0")
        .with_field("index", "1")
        .with_field("count", "1")
        .with_field("consumerGroup", "cg");
    let shown = String::from_utf8(broker.call(query).await.body.to_vec()).unwrap();
    let expected = r#""extendDataJson":"{\"filterBitMap\":["#;
    assert!(shown.contains(expected) && shown.contains(r#"\"size\":34,\"tagsCode\":0}"#), "{shown}");
    assert!(shown.contains(r#"\"expression\":\"n = 2 OR n = 7\""#), "{shown}");

    // Delayed messages have the time they are due where others have a tag.
    let delayed = broker.send("T", "n\u{1}7\u{2}DELAY\u{1}1\u{2}", "late").await;
    assert_eq!(delayed.code, 0);
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 4).await;
    assert_eq!(bodies(&broker.call(known(5, 2, 0)).await), ["late"]);
    broker.server.shutdown().await;

    // Without extensions those there are, are read on.
    let broker = TestBroker::start(folder.path(), ENABLED).await;
    broker.send("T", "TAGS\u{1}A\u{2}", "five").await;
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 5).await;
    assert_eq!(bodies(&broker.call(Pull { subscription: "A", ..Pull::default() }.request()).await), ["one", "five"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pop_is_woken_by_what_its_expression_holds_for() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    send_three(&broker).await;
    let pop = |expression| {
        let extra = vec![("expType", "SQL92"), ("exp", expression)];
        Pop { poll_ms: 20_000, extra, ..Pop::default() }.request()
    };
    assert_eq!(bodies(&broker.call(pop("n = 2 OR n = 3")).await), ["two", "three"]);
    let waiting = broker.call(pop("n > 7"));
    let sending = async {
        broker.wait_until(|broker| broker.pop.held.len() == 1).await;
        broker.send("T", "n\u{1}1\u{2}", "unwanted").await;
        broker.wait_until(|broker| broker.store.max_offset("T", 0) == 4).await;
        assert_eq!(broker.broker().pop.held.len(), 1, "not for this one");
        broker.send("T", "n\u{1}9\u{2}", "wanted").await;
    };
    let (answer, ()) = tokio::join!(waiting, sending);
    assert_eq!(bodies(&answer), ["wanted"]);
    assert_eq!(broker.call(pop("n >")).await.code, 23);
    broker.server.shutdown().await;
}
