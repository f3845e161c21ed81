//! Retry topics of pops: `%RETRY%group_topic`, or `%RETRY%group+topic` with `enableRetryTopicV2`.

use bytes::Bytes;
use hypergol_remoting::message::property;
use hypergol_remoting::pop_handle::{PopHandle, PopTopic};
use hypergol_store::record::{self, SHORT_MAX};
use hypergol_store::{NewMessage, Record};

use crate::context::Broker;
use crate::properties::Properties;
use crate::retry::RETRY_PREFIX;
use crate::topics::{PERM_READ, PERM_WRITE};

/// Queues of a retry topic. Java: `PopAckConstants.retryQueueNum`.
const RETRY_QUEUES: i32 = 1;

/// The retry topic of a group for a topic that a broker writes to.
pub fn retry_topic(topic: &str, group: &str, version_2: bool) -> String {
    let kind = if version_2 { PopTopic::RetryV2 } else { PopTopic::RetryV1 };
    kind.real_topic(topic, group)
}

/// The topic that a retry topic of `group` belongs to; other topics are their own.
pub fn normal_topic<'a>(topic: &'a str, group: &str) -> &'a str {
    let rest = topic.strip_prefix(RETRY_PREFIX).and_then(|rest| rest.strip_prefix(group));
    rest.and_then(|rest| rest.strip_prefix('+').or_else(|| rest.strip_prefix('_')))
        .filter(|topic| !topic.is_empty())
        .unwrap_or(topic)
}

/// Creates the retry topic unless it exists; a new one is consumed from its start. With `useSeparateRetryQueue` it has
/// as many queues as the topic it belongs to, and gets more when that does.
pub fn ensure_retry_topic(broker: &Broker, retry_topic: &str, group: &str) {
    let known = broker.topics.get(retry_topic);
    let mut queues = RETRY_QUEUES;
    if broker.config().broker.use_separate_retry_queue {
        if let Some(normal) = broker.topics.get(normal_topic(retry_topic, group)) {
            queues = normal.write_queue_nums.max(RETRY_QUEUES);
        }
        if let Some(known) = &known
            && known.write_queue_nums != queues
        {
            let mut changed = hypergol_remoting::protocol::body::topic::TopicConfig::clone(known);
            changed.read_queue_nums = queues;
            changed.write_queue_nums = queues;
            broker.topics.update(vec![changed], Box::new(|_| ()));
            begin_at_start(broker, retry_topic, group, queues);
            return;
        }
    }
    if known.is_none() {
        broker.topics.create_for_group(retry_topic, queues, PERM_READ | PERM_WRITE, 0);
        begin_at_start(broker, retry_topic, group, queues);
    }
}

fn begin_at_start(broker: &Broker, retry_topic: &str, group: &str, queues: i32) {
    let step = broker.config().broker.consumer_offset_update_version_step;
    for queue_id in 0..queues {
        if broker.offsets.committed(retry_topic, group, queue_id, false).is_none() {
            broker.offsets.commit(retry_topic, group, queue_id, 0, step);
        }
    }
}

/// Queue of the retry topic for a message from a queue.
pub fn retry_queue(broker: &Broker, retry_topic: &str, queue_id: i32) -> i32 {
    let queues = broker.topics.get(retry_topic).map_or(0, |topic| topic.write_queue_nums);
    if broker.config().broker.use_separate_retry_queue && (0..queues).contains(&queue_id) { queue_id } else { 0 }
}

/// A record of a retry topic as it is handed out: under the topic that was asked for, with its handle. A record that
/// cannot be changed is handed out as it is.
pub fn under_topic(bytes: &Bytes, topic: &str, handle: &PopHandle) -> Bytes {
    let Ok(record) = Record::parse(bytes) else { return bytes.clone() };
    let mut properties = Properties::decode(record.properties());
    if properties.get(property::POP_CK).is_none() {
        properties.set(property::POP_CK, handle.to_string());
    }
    let properties = properties.encode();
    if properties.len() > SHORT_MAX || topic.len() > SHORT_MAX {
        return bytes.clone();
    }
    let message = NewMessage { topic, properties: &properties, ..record.message() };
    let mut out = Vec::with_capacity(record::encoded_size(&message));
    record::encode(&mut out, &message);
    record::patch(&mut out, record.queue_offset(), record.physical_offset(), record.store_timestamp());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_topics_lead_back_to_their_topic() {
        for version_2 in [false, true] {
            assert_eq!(normal_topic(&retry_topic("a_b", "G_1", version_2), "G_1"), "a_b");
        }
        for topic in ["T", "%RETRY%G", "%RETRY%G_", "%RETRY%H_T", ""] {
            assert_eq!(normal_topic(topic, "G"), topic);
        }
    }

    #[test]
    fn a_message_that_comes_back_bears_its_topic_and_handle() {
        let host = "127.0.0.1:10911".parse().unwrap();
        let message = NewMessage {
            topic: "%RETRY%G_T",
            queue_id: 0,
            flag: 7,
            sys_flag: 0,
            born_timestamp: 11,
            born_host: host,
            store_host: host,
            reconsume_times: 3,
            prepared_transaction_offset: 0,
            body: b"body",
            properties: b"TAGS\x01A\x02",
        };
        let mut bytes = Vec::new();
        record::encode(&mut bytes, &message);
        record::patch(&mut bytes, 5, 600, 70);
        let handle = PopHandle {
            start_offset: 4,
            pop_time: 1,
            invisible_time: 2,
            revive_qid: 3,
            topic: PopTopic::RetryV1,
            broker_name: "b".into(),
            queue_id: 0,
            queue_offset: Some(5),
        };
        let changed = under_topic(&bytes.into(), "T", &handle);
        let record = Record::parse(&changed).unwrap();
        record.validate().unwrap();
        assert_eq!((record.topic(), record.queue_offset(), record.physical_offset()), ("T", 5, 600));
        assert_eq!((record.store_timestamp(), record.reconsume_times(), record.body()), (70, 3, &b"body"[..]));
        assert_eq!(record.properties(), b"TAGS\x01A\x02POP_CK\x014 1 2 3 1 b 0 5\x02");
        let other = PopHandle { start_offset: 9, ..handle };
        assert_eq!(under_topic(&changed, "T", &other), changed, "a handle that is there stays");
        assert_eq!(under_topic(&Bytes::from_static(b"x"), "T", &other), "x");
    }
}
