//! Request and reply through the socket.

mod support;

use hypergol_remoting::{RemotingCommand, RequestCode as R};
use support::{Client, Node, encoded};

const REPLY_TOPIC: &str = "DefaultCluster_REPLY_TOPIC";

/// A producer that asks, under a client id.
fn requester(node: &Node, id: &str) -> Client {
    let mut client = node.connect();
    let body = format!(r#"{{"clientID":"{id}","producerDataSet":[{{"groupName":"asks"}}],"consumerDataSet":[]}}"#);
    assert_eq!(client.call(R::HeartBeat, &[], body).code, 0);
    client
}

fn reply(to: Option<&str>, body: &str) -> RemotingCommand {
    let mut properties = vec![("CORRELATION_ID", "c1"), ("MSG_TYPE", "reply")];
    properties.extend(to.map(|to| ("REPLY_TO_CLIENT", to)));
    let properties = encoded(&properties);
    let fields = [
        ("a", "answers"),
        ("b", REPLY_TOPIC),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "0"),
        ("f", "0"),
        ("g", "1700000000000"),
        ("h", "5"),
        ("i", properties.as_str()),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ];
    let request = RemotingCommand::request(R::SendReplyMessageV2).with_body(body.as_bytes().to_vec());
    fields.iter().fold(request, |request, (name, value)| request.with_field(name, value))
}

/// Sends a reply while the requester acknowledges it with `code`; returns the answer and what was pushed.
fn exchange(
    node: &Node,
    requester: &mut Client,
    reply: RemotingCommand,
    code: i32,
) -> (RemotingCommand, RemotingCommand) {
    let mut replier = node.connect();
    let answer = std::thread::spawn(move || replier.invoke(reply));
    let pushed = requester.pushed();
    requester.answer(&pushed, code);
    (answer.join().unwrap(), pushed)
}

#[test]
fn a_reply_reaches_the_client_that_asked() {
    let node = Node::start();
    let mut other = requester(&node, "other");
    let mut asks = requester(&node, "10.0.0.1@7");
    let (answer, pushed) = exchange(&node, &mut asks, reply(Some("10.0.0.1@7"), "forty-two"), 0);
    assert_eq!((pushed.code, &pushed.body[..]), (R::PushReplyMessageToClient as i32, &b"forty-two"[..]));
    let field = |name: &str| pushed.fields.get(name).unwrap_or_default().to_owned();
    assert_eq!((field("topic"), field("producerGroup")), (REPLY_TOPIC.to_owned(), "answers".to_owned()));
    assert_eq!((field("queueId"), field("flag")), ("0".to_owned(), "5".to_owned()));
    assert_eq!(field("bornTimestamp"), "1700000000000");
    assert!(field("bornHost").starts_with("127.0.0.1:") && field("storeHost") == "127.0.0.1:10911");
    assert!(field("properties").contains("CORRELATION_ID\u{1}c1\u{2}"));
    assert!(field("properties").contains("PUSH_REPLY_TIME\u{1}"));
    assert!(field("properties").contains("MSG_REGION\u{1}DefaultRegion\u{2}TRACE_ON\u{1}true\u{2}"));

    assert_eq!((answer.code, answer.remark.as_deref()), (0, None));
    let stored = &node.messages(REPLY_TOPIC, 0, 1)[0];
    assert_eq!((stored.body.as_slice(), stored.flag), (&b"forty-two"[..], 5));
    assert_eq!(stored.property("PUSH_REPLY_TIME"), None);
    let entry = node.broker.store.queue_entry(REPLY_TOPIC, 0, 0).unwrap();
    assert_eq!(answer.fields.get("msgId"), Some(format!("7F00000100002A9F{:016X}", entry.physical_offset).as_str()));
    assert_eq!((answer.fields.get("queueId"), answer.fields.get("queueOffset")), (Some("0"), Some("0")));
    assert_eq!(answer.fields.get("MSG_REGION"), Some("DefaultRegion"));
    assert_eq!(other.pushed_so_far(), []);
}

#[test]
fn a_client_is_found_on_its_newest_connection() {
    let node = Node::start();
    let old = requester(&node, "same");
    let mut new = requester(&node, "same");
    drop(old);
    let (answer, pushed) = exchange(&node, &mut new, reply(Some("same"), "x"), 0);
    assert_eq!((answer.code, &pushed.body[..]), (0, &b"x"[..]));
}

#[test]
fn an_empty_reply_is_pushed_and_not_stored() {
    let node = Node::start();
    let mut asks = requester(&node, "p");
    let (answer, pushed) = exchange(&node, &mut asks, reply(Some("p"), ""), 0);
    assert_eq!((answer.code, pushed.body.len()), (0, 0));
    let field = |name| answer.fields.get(name);
    assert_eq!((field("msgId"), field("queueId"), field("queueOffset")), (Some("0"), Some("0"), Some("0")));
    assert_eq!(node.broker.store.max_offset(REPLY_TOPIC, 0), 0);
}

#[test]
fn replies_need_not_be_stored() {
    let node = Node::start_with(|settings| settings.broker.store_reply_message_enable = false);
    let mut asks = requester(&node, "p");
    let (answer, _) = exchange(&node, &mut asks, reply(Some("p"), "x"), 0);
    assert_eq!((answer.code, answer.fields.get("msgId")), (0, Some("0")));
    assert_eq!(node.broker.store.max_offset(REPLY_TOPIC, 0), 0);
}

#[test]
fn a_reply_that_cannot_be_pushed_is_answered_so_and_stored() {
    let node = Node::start();
    let mut client = node.connect();
    let answer = client.invoke(reply(Some("gone"), "x"));
    assert_eq!(answer.code, 1);
    assert_eq!(answer.remark.as_deref(), Some("push reply message fail, channel of <gone> not found."));
    assert_eq!(answer.fields.get("queueOffset"), Some("0"), "stored all the same");
    let answer = client.invoke(reply(None, "x"));
    assert_eq!(answer.remark.as_deref(), Some("reply message properties[REPLY_TO_CLIENT] is null"));
    assert_eq!(answer.fields.get("queueOffset"), Some("1"));

    let mut asks = requester(&node, "p");
    let (answer, _) = exchange(&node, &mut asks, reply(Some("p"), "x"), 1);
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("push reply message to pfail.")));
}

#[test]
fn a_requester_that_goes_away_fails_the_push() {
    let node = Node::start();
    let mut asks = requester(&node, "p");
    let mut replier = node.connect();
    let answer = std::thread::spawn(move || replier.invoke(reply(Some("p"), "x")));
    asks.pushed();
    drop(asks);
    let answer = answer.join().unwrap();
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("push reply message to pfail.")));
}

#[test]
fn ill_formed_replies_are_refused() {
    let node = Node::start();
    let mut client = node.connect();
    assert_eq!(client.call(R::SendReplyMessageV2, &[], "x").code, 1);
    let mut to_nowhere = reply(Some("p"), "x");
    to_nowhere.fields.set("b", "../x");
    to_nowhere.fields.set("c", "nowhere");
    assert_eq!(client.invoke(to_nowhere).code, 29);
    let mut bad_queue = reply(Some("p"), "x");
    bad_queue.fields.set("e", "9");
    assert_eq!(client.invoke(bad_queue).code, 29);
    let mut forbidden = reply(Some("p"), "x");
    forbidden.fields.set("b", "RMQ_SYS_TRANS_HALF_TOPIC");
    assert_eq!(client.invoke(forbidden).code, 16);
}
