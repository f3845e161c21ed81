//! Messages sent back, delayed and queried, through the socket. What is stored is what Java 5.5.0 stored for the same
//! requests.

mod support;

use hypergol_remoting::{RemotingCommand, RequestCode as R};
use hypergol_store::Appended;
use support::{Client, Message, Node, seen};

const SENT: [(&str, &str); 5] =
    [("TAGS", "A"), ("KEYS", "k1 k2"), ("UNIQ_KEY", "U1"), ("TIMER_DELAY_SEC", "5"), ("WAIT", "true")];

fn send_back(client: &mut Client, offset: i64, fields: &[(&str, &str)]) -> (i32, Option<String>) {
    let answer = client.invoke(request(offset, fields));
    (answer.code, answer.remark)
}

fn request(offset: i64, fields: &[(&str, &str)]) -> RemotingCommand {
    let mut request = RemotingCommand::request(R::ConsumerSendMsgBack);
    let defaults = [("group", "G"), ("delayLevel", "1"), ("originTopic", "T"), ("maxReconsumeTimes", "16")];
    request.fields.push_int("offset", offset);
    for (name, value) in defaults.iter().chain(fields) {
        request.fields.set(name, value);
    }
    request
}

fn stored(node: &Node) -> Appended {
    node.store("T", 0, b"hello", &SENT)
}

#[test]
fn a_message_comes_back_to_its_group_after_a_delay() {
    let node = Node::start();
    let mut client = node.connect();
    let sent = stored(&node);
    assert_eq!(send_back(&mut client, sent.physical_offset, &[]), (0, None));

    let waiting = &node.messages("SCHEDULE_TOPIC_XXXX", 0, 1)[0];
    let id = node.messages("%RETRY%G", 0, 1);
    let back = &id[0];
    assert_eq!((back.topic.as_str(), back.queue_id, back.flag), ("%RETRY%G", 0, 7));
    assert_eq!((back.reconsume_times, back.body.as_slice()), (1, &b"hello"[..]));
    let origin = format!("7F00000100002A9F{:016X}", sent.physical_offset);
    let expected = [
        ("DELAY", "1"),
        ("KEYS", "k1 k2"),
        ("ORIGIN_MESSAGE_ID", origin.as_str()),
        ("REAL_QID", "0"),
        ("REAL_TOPIC", "%RETRY%G"),
        ("RETRY_TOPIC", "T"),
        ("TAGS", "A"),
        ("UNIQ_KEY", "U1"),
        ("WAIT", "false"),
    ];
    let properties: Vec<(&str, &str)> =
        back.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(properties, expected);
    assert_eq!(waiting.properties, back.properties);

    // Consumed in vain again: the way is noted once.
    let entry = node.broker.store.queue_entry("%RETRY%G", 0, 0).unwrap();
    assert_eq!(send_back(&mut client, entry.physical_offset, &[("delayLevel", "2")]).0, 0);
    let again = &node.messages("SCHEDULE_TOPIC_XXXX", 1, 1)[0];
    assert_eq!(again.reconsume_times, 2);
    assert_eq!(again.property("ORIGIN_MESSAGE_ID"), Some(origin.as_str()));
    assert_eq!(again.property("RETRY_TOPIC"), Some("T"));
    assert_eq!(node.broker.stats.view("SNDBCK_PUT_NUMS", "T@G").map(|_| ()), Some(()));
}

#[test]
fn the_broker_chooses_the_level_and_caps_it() {
    let node = Node::start();
    let mut client = node.connect();
    let sent = stored(&node);
    assert_eq!(send_back(&mut client, sent.physical_offset, &[("delayLevel", "0")]).0, 0);
    assert_eq!(send_back(&mut client, sent.physical_offset, &[("delayLevel", "99")]).0, 0);
    // The table of this broker has three levels, the first retry takes the third.
    let waiting = node.messages("SCHEDULE_TOPIC_XXXX", 2, 2);
    assert!(waiting.iter().all(|message| message.property("DELAY") == Some("3")));
}

#[test]
fn what_cannot_be_consumed_ends_in_the_dead_letter_topic() {
    let node = Node::start();
    let mut client = node.connect();
    let sent = stored(&node);
    assert_eq!(send_back(&mut client, sent.physical_offset, &[("delayLevel", "-1")]).0, 0);
    assert_eq!(send_back(&mut client, sent.physical_offset, &[("maxReconsumeTimes", "0")]).0, 0);
    let mut old = request(sent.physical_offset, &[("maxReconsumeTimes", "0")]);
    old.version = 120;
    assert_eq!(client.invoke(old).code, 0);
    let dead = node.messages("%DLQ%G", 0, 2);
    assert_eq!(dead.len(), 2, "an old client cannot set the number of attempts");
    for message in dead {
        assert_eq!(message.reconsume_times, 1);
        assert_eq!(message.property("DELAY"), Some("0"));
        assert_eq!(message.property("RETRY_TOPIC"), Some("T"));
        assert_eq!(message.property("REAL_TOPIC"), None);
    }
    let topic = node.broker.topics.get("%DLQ%G").unwrap();
    assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (1, 1, 6));
}

#[test]
fn refusals_of_messages_sent_back() {
    let node = Node::start();
    let mut client = node.connect();
    let offset = stored(&node).physical_offset;
    let unknown = "subscription group not exist, G/x \nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for \
        further details.";
    assert_eq!(send_back(&mut client, offset, &[("group", "G/x")]), (26, Some(unknown.to_owned())));
    let far = 1 << 50;
    let lost = format!("look message by offset failed, {far}");
    assert_eq!(send_back(&mut client, far, &[]), (1, Some(lost)));
    assert_eq!(send_back(&mut client, offset + 1, &[]).0, 1);
    assert_eq!(send_back(&mut client, -1, &[]).0, 1);
    assert_eq!(client.call(R::ConsumerSendMsgBack, &[], "").code, 1);
}

#[test]
fn a_delayed_message_survives_a_restart_and_comes_once() {
    let node = Node::start();
    let mut client = node.connect();
    let offset = stored(&node).physical_offset;
    send_back(&mut client, offset, &[("delayLevel", "2")]);
    send_back(&mut client, offset, &[("delayLevel", "1")]);
    node.messages("%RETRY%G", 0, 1);
    drop(client);
    let node = Node::start_in(node.stop(), |_| {});
    let back = node.messages("%RETRY%G", 0, 2);
    let levels: Vec<_> = back.iter().map(|message| message.property("DELAY").unwrap()).collect();
    assert_eq!(levels, ["1", "2"]);
    let progress = seen(&node.connect().call(R::GetAllDelayOffset, &[], "")).2;
    assert!(progress.contains("\"offsetTable\":{1:1"), "{progress}");
}

fn query(client: &mut Client, fields: &[(&str, &str)]) -> (i32, Vec<Message>) {
    let defaults = [("topic", "T"), ("maxNum", "32"), ("beginTimestamp", "0"), ("endTimestamp", "4000000000000")];
    let mut request = RemotingCommand::request(R::QueryMessage);
    for (name, value) in defaults.iter().chain(fields) {
        request.fields.set(name, value);
    }
    let answer = client.invoke(request);
    if answer.code == 22 {
        assert_eq!(answer.remark.as_deref(), Some("can not find message, maybe time range not correct"));
    }
    if matches!(answer.code, 0 | 22) {
        assert!(answer.fields.get("indexLastUpdateTimestamp").is_some());
        assert!(answer.fields.get("indexLastUpdatePhyoffset").is_some());
    }
    let mut messages = Vec::new();
    let mut rest = &answer.body[..];
    while let Ok(record) = hypergol_store::Record::parse(rest) {
        messages.push(Message::parse(record.bytes()));
        rest = &rest[record.size()..];
    }
    (answer.code, messages)
}

#[test]
fn messages_are_found_by_key_unique_key_and_tag() {
    let node = Node::start();
    let mut client = node.connect();
    stored(&node);
    let second = node.store("T", 1, b"second", &[("KEYS", "k2"), ("TAGS", "B"), ("UNIQ_KEY", "U2")]);
    node.store("other", 0, b"other", &[("KEYS", "k2")]);
    node.messages("other", 0, 1);
    support::wait_until(|| node.broker.store.dispatched_offset() >= second.end());

    let bodies = |found: (i32, Vec<Message>)| -> Vec<String> {
        assert_eq!(found.0, 0);
        found.1.into_iter().map(|message| String::from_utf8(message.body).unwrap()).collect()
    };
    assert_eq!(bodies(query(&mut client, &[("key", "k1")])), ["hello"]);
    assert_eq!(bodies(query(&mut client, &[("key", "k2")])), ["hello", "second"]);
    assert_eq!(bodies(query(&mut client, &[("key", "k2"), ("maxNum", "1")])), ["second"], "the newest");
    assert_eq!(bodies(query(&mut client, &[("key", "U1"), ("_UNIQUE_KEY_QUERY", "true")])), ["hello"]);
    assert_eq!(bodies(query(&mut client, &[("key", "U1")])), ["hello"]);
    assert_eq!(bodies(query(&mut client, &[("key", "B"), ("indexType", "T")])), ["second"]);
    for nothing in [
        [("key", "k9"), ("maxNum", "32")],
        [("key", "A"), ("indexType", "K")],
        [("key", "k1"), ("endTimestamp", "1")],
        [("key", "k1"), ("maxNum", "0")],
        [("key", "k1"), ("topic", "nope")],
    ] {
        assert_eq!(query(&mut client, &nothing), (22, Vec::new()), "{nothing:?}");
    }
    assert_eq!(query(&mut client, &[("key", "k1"), ("maxNum", "-1")]).0, 1);
    assert_eq!(client.call(R::QueryMessage, &[("topic", "T")], "").code, 1);
}

#[test]
fn a_message_is_viewed_by_its_offset() {
    let node = Node::start();
    let mut client = node.connect();
    let offset = stored(&node).physical_offset;
    let answer = client.call(R::ViewMessageById, &[("offset", &offset.to_string())], "");
    assert_eq!(answer.code, 0);
    assert_eq!(Message::parse(&answer.body).body, b"hello");
    for wrong in ["-1", "1125899906842624"] {
        let remark = format!("can not find message by the offset, {wrong}");
        let answer = client.call(R::ViewMessageById, &[("offset", wrong)], "");
        assert_eq!(seen(&answer), (1, Some(remark.as_str()), String::new()));
    }
    assert_eq!(client.call(R::ViewMessageById, &[("offset", &(offset + 5).to_string())], "").code, 1);
    assert_eq!(client.call(R::ViewMessageById, &[], "").code, 1);
}
