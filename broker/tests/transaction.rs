//! Transactions through the socket: half messages, decisions, the check.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hypergol_broker::config::BrokerSettings;
use hypergol_remoting::{RemotingCommand, RequestCode as R};
use hypergol_store::Record;
use support::{Client, Message, Node, encoded, seen, wait_until};
use tempfile::TempDir;

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
const GIVEN_UP: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
const CHECKER: &str = "CID_RMQ_SYS_TRANS";
const COMMIT: &str = "8";
const ROLLBACK: &str = "12";

fn now_ms() -> i64 {
    hypergol_broker::context::now_ms()
}

/// A broker that checks all the time what is older than a moment.
fn eager(settings: &mut BrokerSettings) {
    settings.broker.transaction_time_out = 0;
    settings.broker.transaction_check_interval = 20;
    settings.broker.transaction_op_batch_interval = 5;
}

/// A broker that never checks within a test.
fn idle(settings: &mut BrokerSettings) {
    settings.broker.transaction_op_batch_interval = 5;
}

/// Where a half message is.
#[derive(Clone, Debug)]
struct Half {
    queue_offset: String,
    commit_log_offset: String,
    key: String,
}

fn send_half(client: &mut Client, key: &str, properties: &[(&str, &str)]) -> Half {
    let answer = try_half(client, key, properties);
    assert_eq!((answer.code, answer.remark.as_deref()), (0, None));
    let field = |name: &str| answer.fields.get(name).unwrap().to_owned();
    assert_eq!((field("queueId").as_str(), field("transactionId").as_str()), ("1", key));
    let offset = i64::from_str_radix(&field("msgId")[16..], 16).unwrap();
    Half { queue_offset: field("queueOffset"), commit_log_offset: offset.to_string(), key: key.to_owned() }
}

fn try_half(client: &mut Client, key: &str, properties: &[(&str, &str)]) -> RemotingCommand {
    let all = [&[("TRAN_MSG", "true"), ("PGROUP", "pg"), ("UNIQ_KEY", key), ("TAGS", "A")], properties].concat();
    let (properties, born) = (encoded(&all), now_ms().to_string());
    let fields = [
        ("a", "pg"),
        ("b", "T"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "1"),
        ("f", "4"),
        ("g", born.as_str()),
        ("h", "7"),
        ("i", properties.as_str()),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ];
    client.call(R::SendMessageV2, &fields, key)
}

fn end(client: &mut Client, half: &Half, decision: &str) -> (i32, Option<String>) {
    end_with(client, half, &[("commitOrRollback", decision)])
}

fn end_with(client: &mut Client, half: &Half, fields: &[(&str, &str)]) -> (i32, Option<String>) {
    let mut request = RemotingCommand::request(R::EndTransaction)
        .with_field("producerGroup", "pg")
        .with_field("tranStateTableOffset", &half.queue_offset)
        .with_field("commitLogOffset", &half.commit_log_offset)
        .with_field("commitOrRollback", COMMIT)
        .with_field("fromTransactionCheck", "false")
        .with_field("msgId", &half.key)
        .with_field("transactionId", &half.key);
    for (name, value) in fields {
        request.fields.set(name, value);
    }
    let answer = client.invoke(request);
    (answer.code, answer.remark)
}

/// A producer of the group that the broker can ask.
fn producer(node: &Node, id: &str) -> Client {
    let mut client = node.connect();
    let body = format!(r#"{{"clientID":"{id}","producerDataSet":[{{"groupName":"pg"}}],"consumerDataSet":[]}}"#);
    assert_eq!(client.call(R::HeartBeat, &[], body).code, 0);
    client
}

/// The broker's next question: which copy it is about, and the message.
fn question(client: &mut Client) -> (Half, Message) {
    let asked = client.pushed();
    assert_eq!(asked.code, R::CheckTransactionState as i32);
    assert!(asked.is_oneway());
    let field = |name: &str| asked.fields.get(name).unwrap().to_owned();
    assert_eq!((field("topic"), field("bname")), (HALF.to_owned(), "broker-a".to_owned()));
    assert_eq!(field("msgId"), field("transactionId"));
    let record = Record::parse(&asked.body).unwrap();
    record.validate().unwrap();
    assert_eq!(record.physical_offset().to_string(), field("commitLogOffset"));
    let half = Half {
        queue_offset: field("tranStateTableOffset"),
        commit_log_offset: field("commitLogOffset"),
        key: field("msgId"),
    };
    (half, Message::parse(&asked.body))
}

fn bodies(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8(message.body.clone()).unwrap()).collect()
}

/// Waits until consumers see everything that is in the log: what a decision stores is answered before.
fn settle(node: &Node) {
    wait_until(|| node.broker.store.dispatched_offset() == node.broker.store.max_physical_offset());
}

fn visible(node: &Node) -> i64 {
    settle(node);
    node.broker.store.max_offset("T", 1)
}

fn checked(node: &Node, topic: &str) -> i64 {
    node.broker.offsets.committed(topic, CHECKER, 0, false).unwrap_or(0)
}

#[test]
fn a_commit_makes_the_message_visible() {
    let node = Node::start_with(idle);
    let mut client = node.connect();
    let half = send_half(&mut client, "K1", &[]);
    let stored = &node.messages(HALF, 0, 1)[0];
    assert_eq!((stored.queue_id, stored.flag), (0, 7));
    let of = |name| stored.property(name);
    assert_eq!((of("REAL_TOPIC"), of("REAL_QID"), of("__transactionId__")), (Some("T"), Some("1"), Some("K1")));
    let entry = node.broker.store.queue_entry(HALF, 0, 0).unwrap();
    let bytes = node.broker.store.record_at(entry.physical_offset).unwrap();
    assert_eq!(Record::parse(&bytes).unwrap().sys_flag() & 0xc, 0, "with the mark it would have no place in a queue");
    assert_eq!((visible(&node), node.broker.transactions.metrics.count("T")), (0, 1));

    assert_eq!(end(&mut client, &half, "0"), (0, None), "undecided");
    assert_eq!(visible(&node), 0);
    assert_eq!(end(&mut client, &half, COMMIT), (0, None));
    let message = &node.messages("T", 1, 1)[0];
    assert_eq!((message.queue_id, message.flag, message.body.as_slice()), (1, 7, &b"K1"[..]));
    let of = |name| message.property(name);
    assert_eq!((of("REAL_TOPIC"), of("REAL_QID"), of("TRAN_MSG")), (None, None, Some("true")));
    assert_eq!((of("__transactionId__"), of("PGROUP"), of("TAGS")), (Some("K1"), Some("pg"), Some("A")));
    let entry = node.broker.store.queue_entry("T", 1, 0).unwrap();
    let bytes = node.broker.store.record_at(entry.physical_offset).unwrap();
    let record = Record::parse(&bytes).unwrap();
    assert_eq!(record.sys_flag() & 0xc, 8);
    assert_eq!(record.prepared_transaction_offset().to_string(), half.commit_log_offset);
    assert_eq!(entry.tags_code, 65);

    settle(&node);
    let op = &node.messages(OP, 0, 1)[0];
    assert_eq!((op.body.as_slice(), op.property("TAGS")), (&b"0,"[..], Some("d")));
    assert_eq!(node.broker.transactions.metrics.count("T"), 0);
}

#[test]
fn a_rolled_back_message_is_never_seen_nor_asked_for() {
    let node = Node::start_with(|settings| {
        eager(settings);
        settings.broker.transaction_time_out = 3_600_000;
    });
    let mut asked = producer(&node, "p1");
    let mut client = node.connect();
    for key in ["K1", "K2", "K3"] {
        let half = send_half(&mut client, key, &[]);
        assert_eq!(end(&mut client, &half, ROLLBACK), (0, None));
        assert_eq!(end(&mut client, &half, ROLLBACK), (0, None), "again");
    }
    // Passed by the check, and so are the op messages.
    wait_until(|| checked(&node, HALF) == 3 && node.broker.transactions.ops.is_empty());
    settle(&node);
    wait_until(|| checked(&node, OP) == node.broker.store.max_offset(OP, 0) && checked(&node, OP) > 0);
    let ops: Vec<u8> = node.messages(OP, 0, 1).into_iter().flat_map(|op| op.body).collect();
    assert_eq!(String::from_utf8(ops).unwrap(), "0,1,2,");
    assert_eq!((visible(&node), asked.pushed_so_far().len()), (0, 0));
    assert_eq!(node.broker.transactions.metrics.count("T"), 0);
}

#[test]
fn decisions_about_something_else_are_refused() {
    let node = Node::start_with(idle);
    let mut client = node.connect();
    let half = send_half(&mut client, "K1", &[]);
    let other = node.store("T", 1, b"no half", &[("PGROUP", "pg"), ("REAL_TOPIC", "T"), ("REAL_QID", "1")]);
    let mut refused = |fields: &[(&str, &str)]| {
        let (code, remark) = end_with(&mut client, &half, fields);
        assert_eq!(code, 1, "{fields:?}");
        remark.unwrap()
    };
    assert_eq!(refused(&[("producerGroup", "other")]), "The producer group wrong");
    assert_eq!(refused(&[("tranStateTableOffset", "1")]), "The transaction state table offset wrong");
    let not_found = "Find prepared transaction message failed";
    for offset in [other.physical_offset, other.physical_offset + 1, -1, 1 << 50, i64::MAX, i64::MIN] {
        assert_eq!(refused(&[("commitLogOffset", &offset.to_string())]), not_found, "{offset}");
    }
    refused(&[("commitOrRollback", "4")]);
    refused(&[("commitOrRollback", "-1")]);
    refused(&[("commitLogOffset", "x")]);
    let answer = client.call(R::EndTransaction, &[], "");
    assert_eq!(answer.code, 1);
    assert_eq!(visible(&node), 1, "only what was stored before");
    assert_eq!(end(&mut client, &half, COMMIT), (0, None));
    assert_eq!(visible(&node), 2);
}

#[test]
fn a_record_inside_a_body_is_no_half_message() {
    let node = Node::start_with(idle);
    let mut client = node.connect();
    let half = send_half(&mut client, "K1", &[]);
    // A copy of the half message's record as the body of the next message, with its offset where it will lie.
    let real = node.broker.store.record_at(half.commit_log_offset.parse().unwrap()).unwrap();
    let mut forged = real.to_vec();
    let body_at = 84;
    let at = node.broker.store.max_physical_offset() + body_at + 4;
    hypergol_store::record::patch(&mut forged, 0, at, now_ms());
    let outer = node.store("T", 0, &forged, &[]);
    let bytes = node.broker.store.record_at(outer.physical_offset).unwrap();
    let shift = bytes.windows(forged.len()).position(|window| window == forged).unwrap() as i64;
    let fields = [("commitLogOffset", (outer.physical_offset + shift).to_string())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(end_with(&mut client, &half, &fields).0, 1);
    assert_eq!(visible(&node), 0);
}

#[test]
fn a_repeated_commit_is_stored_once() {
    let node = Node::start_with(idle);
    let mut client = node.connect();
    let half = send_half(&mut client, "K1", &[]);
    for _ in 0..3 {
        assert_eq!(end(&mut client, &half, COMMIT), (0, None));
    }
    assert_eq!(end(&mut client, &half, ROLLBACK), (0, None), "too late, as in Java");
    let late = send_half(&mut client, "K2", &[]);
    assert_eq!(end(&mut client, &late, ROLLBACK), (0, None));
    assert_eq!(end(&mut client, &late, COMMIT), (0, None), "delivered, as in Java");
    assert_eq!(bodies(&node.messages("T", 1, 2)), ["K1", "K2"]);
}

#[test]
fn an_undecided_message_is_asked_for_until_it_is_decided() {
    let node = Node::start_with(eager);
    let mut first = producer(&node, "p1");
    let half = send_half(&mut first, "K1", &[]);
    let (copy, message) = question(&mut first);
    assert_ne!(copy.queue_offset, half.queue_offset, "a copy is at the end of the queue");
    assert_eq!(copy.key, "K1");
    assert_eq!((message.topic.as_str(), message.queue_id, message.body.as_slice()), ("T", 1, &b"K1"[..]));
    assert_eq!(message.property("TRANSACTION_CHECK_TIMES"), Some("1"));
    assert_eq!(message.property("REAL_TOPIC"), Some("T"));
    assert_eq!(end_with(&mut first, &copy, &[("commitOrRollback", "0"), ("fromTransactionCheck", "true")]).0, 0);
    assert_eq!(visible(&node), 0);
    drop(first);

    // Another producer of the group decides.
    let mut second = producer(&node, "p2");
    let (copy, message) = question(&mut second);
    assert!(message.property("TRANSACTION_CHECK_TIMES").unwrap().parse::<i32>().unwrap() >= 2);
    assert_eq!(end_with(&mut second, &copy, &[("fromTransactionCheck", "true")]), (0, None));
    let delivered = &node.messages("T", 1, 1)[0];
    assert_eq!(delivered.body, b"K1");
    wait_until(|| checked(&node, HALF) == node.broker.store.max_offset(HALF, 0));
    second.pushed_so_far();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(second.pushed_so_far(), [], "nobody is asked any more");
    assert_eq!(visible(&node), 1);
}

#[test]
fn what_is_asked_for_in_vain_is_given_up_and_can_be_resumed() {
    let node = Node::start_with(|settings| {
        eager(settings);
        settings.broker.transaction_check_max = 2;
    });
    let mut client = producer(&node, "p1");
    send_half(&mut client, "K1", &[]);
    let given_up = &node.messages(GIVEN_UP, 0, 1)[0];
    assert_eq!((given_up.body.as_slice(), given_up.property("TRANSACTION_CHECK_TIMES")), (&b"K1"[..], Some("2")));
    assert_eq!(given_up.property("REAL_TOPIC"), Some("T"));
    assert_eq!(client.pushed_so_far().len(), 2);
    let topic = node.broker.topics.get(GIVEN_UP).unwrap();
    assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (1, 1, 6));
    assert_eq!(node.broker.transactions.metrics.count("T"), 0);
    wait_until(|| checked(&node, HALF) == node.broker.store.max_offset(HALF, 0));

    let entry = node.broker.store.queue_entry(GIVEN_UP, 0, 0).unwrap();
    let id = format!("7F00000100002A9F{:016X}", entry.physical_offset);
    assert_eq!(client.call(R::ResumeCheckHalfMessage, &[("topic", "T"), ("msgId", &id)], "").code, 0);
    let (copy, message) = question(&mut client);
    assert_eq!(message.property("TRANSACTION_CHECK_TIMES"), Some("1"), "it begins anew");
    assert_eq!(end_with(&mut client, &copy, &[("fromTransactionCheck", "true")]), (0, None));
    assert_eq!(bodies(&node.messages("T", 1, 1)), ["K1"]);

    let plain = node.store("T", 0, b"x", &[]).physical_offset;
    let far = 1i64 << 50;
    for id in ["", "x", &format!("7F00000100002A9F{plain:016X}"), &format!("7F00000100002A9F{far:016X}")] {
        assert_eq!(client.call(R::ResumeCheckHalfMessage, &[("msgId", id)], "").code, 1, "{id}");
    }
}

#[test]
fn messages_without_a_producer_to_ask_are_given_up_too() {
    let node = Node::start_with(|settings| {
        eager(settings);
        settings.broker.transaction_check_max = 1;
    });
    send_half(&mut node.connect(), "K1", &[]);
    assert_eq!(bodies(&node.messages(GIVEN_UP, 0, 1)), ["K1"]);
    assert_eq!(visible(&node), 0);
}

#[test]
fn a_half_message_without_room_for_a_count_is_asked_for_once_and_holds_up_no_other() {
    let node = Node::start_with(eager);
    let mut asked = producer(&node, "p");
    let mut client = node.connect();
    // The longest that is taken.
    let accepts =
        |length: usize, client: &mut Client| try_half(client, "long", &[("pad", &"x".repeat(length))]).code == 0;
    assert!((31_000..32_767).rev().any(|length| accepts(length, &mut client)));
    assert!((31_000..32_767).rev().any(|length| {
        let immune = [("CHECK_IMMUNITY_TIME_IN_SECONDS", "3600"), ("pad", &"x".repeat(length))];
        try_half(&mut client, "immune", &immune).code == 0
    }));
    send_half(&mut client, "short", &[]);
    let mut keys = std::collections::BTreeSet::new();
    while keys.len() < 3 {
        let (half, _) = question(&mut asked);
        if keys.insert(half.key.clone()) {
            assert_eq!(end(&mut client, &half, COMMIT).0, 0);
        }
    }
    wait_until(|| visible(&node) == 3);
    assert_eq!(node.broker.store.max_offset(GIVEN_UP, 0), 2);
    node.stop();
}

#[test]
fn an_immune_message_is_not_asked_for_and_holds_up_no_other() {
    let node = Node::start_with(eager);
    let mut client = producer(&node, "p1");
    let immune = send_half(&mut client, "K1", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "3600")]);
    send_half(&mut client, "K2", &[]);
    let (copy, message) = question(&mut client);
    assert_eq!(message.body, b"K2");
    assert_eq!(end_with(&mut client, &copy, &[("fromTransactionCheck", "true")]), (0, None));
    // It was put back, with its first place and without being counted.
    let deferred = || {
        let all = node.messages(HALF, 0, 3);
        all.into_iter().rfind(|message| message.property("TRAN_PREPARED_QUEUE_OFFSET").is_some())
    };
    wait_until(|| deferred().is_some());
    let deferred = deferred().unwrap();
    assert_eq!((deferred.body.as_slice(), deferred.property("TRAN_PREPARED_QUEUE_OFFSET")), (&b"K1"[..], Some("0")));
    assert_eq!(deferred.property("TRANSACTION_CHECK_TIMES"), None);
    // Its producer still knows the first place only.
    assert_eq!(end(&mut client, &immune, COMMIT), (0, None));
    assert_eq!(bodies(&node.messages("T", 1, 2)), ["K2", "K1"]);
    wait_until(|| checked(&node, HALF) == node.broker.store.max_offset(HALF, 0));
    assert_eq!(client.pushed_so_far().len(), 0);
}

#[test]
fn after_its_immunity_a_producer_decides_only_when_asked() {
    let node = Node::start_with(|settings| {
        eager(settings);
        settings.broker.transaction_check_interval = 3_600_000;
    });
    let mut client = node.connect();
    let half = send_half(&mut client, "K1", &[("CHECK_IMMUNITY_TIME_IN_SECONDS", "0")]);
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(end(&mut client, &half, COMMIT).0, 604);
    assert_eq!(end(&mut client, &half, ROLLBACK).0, 604);
    assert_eq!(end_with(&mut client, &half, &[("fromTransactionCheck", "true")]), (0, None));
    assert_eq!(bodies(&node.messages("T", 1, 1)), ["K1"]);
}

#[test]
fn a_committed_message_may_wait_on_a_delay_level() {
    let node = Node::start_with(idle);
    let mut client = node.connect();
    let half = send_half(&mut client, "K1", &[("DELAY", "1")]);
    assert_eq!(node.broker.store.max_offset("SCHEDULE_TOPIC_XXXX", 0), 0, "the delay begins with the commit");
    assert_eq!(end(&mut client, &half, COMMIT), (0, None));
    assert_eq!(visible(&node), 0);
    assert_eq!(bodies(&node.messages("T", 1, 1)), ["K1"]);
}

#[test]
fn a_broker_may_refuse_transactions() {
    let node = Node::start_with(|settings| settings.broker.reject_transaction_message = true);
    let answer = try_half(&mut node.connect(), "K1", &[]);
    let remark = "the broker[127.0.0.1] sending transaction message is forbidden";
    assert_eq!(seen(&answer), (16, Some(remark), String::new()));
}

#[test]
fn what_a_client_pretends_about_checks_is_not_believed() {
    let node = Node::start_with(idle);
    let mut client = node.connect();
    let pretended = [
        ("TRANSACTION_CHECK_TIMES", "99"),
        ("TRAN_PREPARED_QUEUE_OFFSET", "0"),
        ("REAL_TOPIC", "SECRET"),
        ("REAL_QID", "9"),
    ];
    let half = send_half(&mut client, "K1", &pretended);
    let stored = &node.messages(HALF, 0, 1)[0];
    let of = |name| stored.property(name);
    assert_eq!((of("REAL_TOPIC"), of("REAL_QID")), (Some("T"), Some("1")));
    assert_eq!((of("TRANSACTION_CHECK_TIMES"), of("TRAN_PREPARED_QUEUE_OFFSET")), (None, None));
    assert_eq!(end(&mut client, &half, COMMIT), (0, None));
    assert_eq!(bodies(&node.messages("T", 1, 1)), ["K1"]);
}

#[test]
fn pending_messages_survive_a_restart() {
    let node = Node::start_with(idle);
    let mut client = node.connect();
    let committed = send_half(&mut client, "K1", &[]);
    send_half(&mut client, "K2", &[]);
    let rolled_back = send_half(&mut client, "K3", &[]);
    let late = send_half(&mut client, "K4", &[]);
    assert_eq!(end(&mut client, &committed, COMMIT), (0, None));
    assert_eq!(end(&mut client, &rolled_back, ROLLBACK), (0, None));
    drop(client);
    let folder = node.stop();
    let metrics = std::fs::read_to_string(folder.path().join("config/transactionMetrics")).unwrap();
    assert!(metrics.contains(r#""transactionCount":{"T":{"count":2,"#), "{metrics}");

    let node = Node::start_in(folder, eager);
    let mut client = producer(&node, "p1");
    // A decision may come after the restart.
    assert_eq!(end(&mut client, &late, COMMIT), (0, None));
    loop {
        let (copy, message) = question(&mut client);
        assert!(message.body == b"K2" || message.body == b"K4", "the others are decided: {message:?}");
        if message.body == b"K2" {
            assert_eq!(end_with(&mut client, &copy, &[("fromTransactionCheck", "true")]), (0, None));
            break;
        }
    }
    let delivered = bodies(&node.messages("T", 1, 3));
    assert!(["K1", "K2", "K4"].iter().all(|key| delivered.iter().any(|body| body == key)), "{delivered:?}");
    assert!(!delivered.iter().any(|body| body == "K3"));
    // What is passed stays passed.
    wait_until(|| checked(&node, HALF) == node.broker.store.max_offset(HALF, 0));
    let passed = checked(&node, HALF);
    let folder = node.stop();
    let node = Node::start_in(folder, eager);
    let mut client = producer(&node, "p1");
    assert_eq!(checked(&node, HALF), passed);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(client.pushed_so_far(), []);
}

/// A copy of a broker's folder as a kill would leave it at this moment.
fn killed(folder: &TempDir) -> Arc<TempDir> {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), &target).unwrap();
            }
        }
    }
    let target = TempDir::new().unwrap();
    copy(folder.path(), target.path());
    Arc::new(target)
}

#[test]
fn a_kill_at_any_point_loses_no_decision_and_no_half_message() {
    let node = Node::start_with(|settings| settings.broker.transaction_op_batch_interval = 3_600_000);
    let mut client = node.connect();
    let committed = send_half(&mut client, "K1", &[]);
    let rolled_back = send_half(&mut client, "K2", &[]);
    send_half(&mut client, "K3", &[]);
    let mut folders = vec![(0, killed(&node.folder))];
    assert_eq!(end(&mut client, &committed, COMMIT), (0, None));
    folders.push((1, killed(&node.folder)));
    assert_eq!(end(&mut client, &rolled_back, ROLLBACK), (0, None));
    folders.push((1, killed(&node.folder)));
    // In order the op messages are stored; all the same nothing may be lost or seen too early.
    folders.push((1, node.stop()));
    for (delivered, folder) in folders {
        let in_order = delivered == 1 && !folder.path().join("abort").exists();
        let node = Node::start_in(folder, eager);
        assert_eq!(visible(&node), delivered, "what was committed, and nothing else");
        let mut client = producer(&node, "p1");
        let mut asked = std::collections::BTreeSet::new();
        let expected: &[&str] = if in_order { &["K3"] } else { &["K1", "K2", "K3"] };
        while asked.len() < expected.len() {
            let (copy, message) = question(&mut client);
            let key = String::from_utf8(message.body).unwrap();
            let decision = if key == "K2" { ROLLBACK } else { COMMIT };
            let fields = [("commitOrRollback", decision), ("fromTransactionCheck", "true")];
            assert_eq!(end_with(&mut client, &copy, &fields), (0, None));
            asked.insert(key);
        }
        assert!(asked.iter().eq(expected.iter()), "{asked:?}");
        let seen = || bodies(&node.messages("T", 1, 2));
        wait_until(|| ["K1", "K3"].iter().all(|key| seen().iter().any(|body| body == key)));
        wait_until(|| checked(&node, HALF) == node.broker.store.max_offset(HALF, 0));
        let seen = seen();
        assert!(!seen.iter().any(|body| body == "K2"), "{seen:?}");
        // Once before the kill and once after it, at most.
        assert!(seen.len() <= 2 + usize::from(!in_order && delivered == 1), "{seen:?}");
    }
}

#[test]
fn many_transactions_are_batched_and_passed() {
    let node = Node::start_with(|settings| {
        eager(settings);
        settings.broker.transaction_time_out = 3_600_000;
        settings.broker.transaction_op_msg_max_size = 64;
        settings.broker.transaction_op_batch_interval = 20;
    });
    let mut client = node.connect();
    for n in 0..300 {
        let half = send_half(&mut client, &format!("K{n}"), &[]);
        assert_eq!(end(&mut client, &half, if n % 3 == 0 { ROLLBACK } else { COMMIT }), (0, None));
    }
    assert_eq!(node.messages("T", 1, 200).len(), 200);
    wait_until(|| node.broker.transactions.ops.is_empty());
    settle(&node);
    wait_until(|| checked(&node, HALF) == 300 && checked(&node, OP) == node.broker.store.max_offset(OP, 0));
    let ops = node.messages(OP, 0, 1);
    assert!(ops.len() < 300 && ops.iter().all(|op| op.body.len() < 64 + 5), "{}", ops.len());
    let told: Vec<u8> = ops.into_iter().flat_map(|op| op.body).collect();
    let expected: String = (0..300).map(|n| format!("{n},")).collect();
    assert_eq!(String::from_utf8(told).unwrap(), expected);
}
