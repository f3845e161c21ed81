//! Pops, and what they hand out.

use hypergol_broker::Broker;
use hypergol_broker::pop::QueueKey;
use hypergol_remoting::pop_handle::{PopHandle, PopTopic};
use hypergol_remoting::{RemotingCommand, RequestCode as R};
use hypergol_store::{Record, record};

use super::{TestBroker, field, records, send_header, send_with};

/// A pop of all queues.
#[derive(Clone)]
pub struct Pop<'a> {
    pub topic: &'a str,
    pub group: &'a str,
    pub queue_id: i32,
    pub messages: i32,
    pub invisible_ms: i64,
    pub poll_ms: i64,
    pub extra: Vec<(&'a str, &'a str)>,
}

impl Default for Pop<'_> {
    fn default() -> Self {
        Self { topic: "T", group: "G", queue_id: -1, messages: 32, invisible_ms: 60_000, poll_ms: 0, extra: Vec::new() }
    }
}

impl Pop<'_> {
    pub fn request(&self) -> RemotingCommand {
        let mut request = RemotingCommand::request(R::PopMessage)
            .with_field("consumerGroup", self.group)
            .with_field("topic", self.topic)
            .with_field("queueId", &self.queue_id.to_string())
            .with_field("maxMsgNums", &self.messages.to_string())
            .with_field("invisibleTime", &self.invisible_ms.to_string())
            .with_field("pollTime", &self.poll_ms.to_string())
            .with_field("bornTime", "0")
            .with_field("initMode", "0");
        for (name, value) in &self.extra {
            request.fields.set(name, value);
        }
        request
    }
}

/// A message that was handed out.
#[derive(Clone, Debug)]
pub struct Popped {
    pub body: String,
    pub topic: String,
    /// Queue offset and reconsume times.
    pub offset: i64,
    pub times: i32,
    pub handle: PopHandle,
}

/// The messages of an answer with their handles, built as clients do it.
pub fn popped(answer: &RemotingCommand) -> Vec<Popped> {
    assert_eq!(answer.code, 0, "{answer:?}");
    let number = |name| field(answer, name).parse::<i64>().unwrap();
    let starts: Vec<Vec<&str>> =
        field(answer, "startOffsetInfo").split(';').map(|part| part.split(' ').collect()).collect();
    let message = |record: &Record<'_>| {
        let known = record::property(record.properties(), "POP_CK").map(|handle| handle.parse::<PopHandle>().unwrap());
        let handle = known.unwrap_or_else(|| {
            let start = starts.iter().find(|part| part[0] == "0" && part[1] == record.queue_id().to_string()).unwrap();
            PopHandle {
                start_offset: start[2].parse().unwrap(),
                pop_time: number("popTime"),
                invisible_time: number("invisibleTime"),
                revive_qid: number("reviveQid") as i32,
                topic: PopTopic::Normal,
                broker_name: "broker-a".into(),
                queue_id: record.queue_id(),
                queue_offset: Some(record.queue_offset()),
            }
        });
        Popped {
            body: String::from_utf8_lossy(record.body()).into_owned(),
            topic: record.topic().to_owned(),
            offset: record.queue_offset(),
            times: record.reconsume_times(),
            handle,
        }
    };
    records(answer).iter().map(message).collect()
}

pub fn handle_request(code: R, message: &Popped) -> RemotingCommand {
    let topic = message.handle.topic.real_topic("T", "G");
    RemotingCommand::request(code)
        .with_field("consumerGroup", "G")
        .with_field("topic", &topic)
        .with_field("queueId", &message.handle.queue_id.to_string())
        .with_field("extraInfo", &message.handle.to_string())
        .with_field("offset", &message.offset.to_string())
}

pub fn ack_request(message: &Popped) -> RemotingCommand {
    handle_request(R::AckMessage, message)
}

pub fn change_request(message: &Popped, invisible_ms: i64) -> RemotingCommand {
    handle_request(R::ChangeMessageInvisibleTime, message).with_field("invisibleTime", &invisible_ms.to_string())
}

pub async fn send(broker: &TestBroker, queue_id: i32, properties: &str, body: &str) {
    let mut header = send_header("T", properties);
    header.queue_id = queue_id;
    let before = broker.broker().store.max_offset("T", queue_id);
    let answer = broker.call(send_with(&header, body.as_bytes().to_vec())).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    broker.wait_until(|broker| broker.store.max_offset("T", queue_id) > before).await;
}

/// Pops until something comes.
pub async fn pop_something(broker: &TestBroker, pop: &Pop<'_>) -> Vec<Popped> {
    for _ in 0..60 {
        let answer = broker.call(Pop { poll_ms: 1000, ..pop.clone() }.request()).await;
        if answer.code == 0 {
            return popped(&answer);
        }
        assert_eq!(answer.code, 210, "{answer:?}");
    }
    panic!("nothing came");
}

pub fn key(queue_id: i32) -> QueueKey {
    QueueKey::new("T", "G", queue_id)
}

pub fn committed(broker: &Broker, topic: &str, queue_id: i32) -> Option<i64> {
    broker.offsets.committed(topic, "G", queue_id, false)
}
