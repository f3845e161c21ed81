//! Sends of several messages at once: code 320, or 310 with the batch flag.

use std::time::Instant;

use hypergol_remoting::message::{find_property, property, split_batch, sys_flag};
use hypergol_remoting::{Responder, ResponseCode};
use hypergol_store::{BatchChild, NewMessage};

use super::answer::{self, Answer, refuse};
use super::check::illegal_message;
use super::{Refused, Send};
use crate::retry::RETRY_PREFIX;

/// Messages of one batch. The smallest takes 22 bytes, so a body of 4 MiB has fewer.
const MESSAGES_MAX: usize = 200_000;
/// Longest topic that a batch may have.
const TOPIC_MAX: usize = 127;

/// Appends the messages of a batch: all or none. They keep exactly the properties that the client gave them.
pub(super) fn store(send: &Send<'_>, responder: &Responder) -> Result<Answer, Refused> {
    let begun = Instant::now();
    let (broker, config, header, body) = (send.broker, send.config, send.header, &send.request.body);
    let illegal = |remark: String| refuse(config, ResponseCode::MessageIllegal, remark);
    let queue_id = send.queue()?;
    let topic = header.topic;
    if topic.len() > TOPIC_MAX {
        return Err(illegal(format!("message topic length too long {}", topic.len())));
    }
    if topic.starts_with(RETRY_PREFIX) {
        return Err(illegal(format!("batch request does not support retry group {topic}")));
    }
    if send.topic.attributes.get("queue.type").is_some_and(|kind| kind == "BatchCQ") {
        return Err(illegal("topics with queue.type=BatchCQ are not supported yet".to_owned()));
    }
    let properties = header.properties.unwrap_or_default();
    let delay = find_property(properties, property::DELAY_TIME_LEVEL).and_then(|level| level.parse::<i32>().ok());
    if header.sys_flag & sys_flag::TRANSACTION_MASK != 0 || delay.is_some_and(|level| level > 0) {
        return Err(illegal(illegal_message(config)));
    }
    if body.len() > usize::try_from(config.store.max_message_size).unwrap_or_default() {
        return Err(refuse(config, ResponseCode::SystemError, "message body size exceeded"));
    }
    let parts = split_batch(body, MESSAGES_MAX)
        .map_err(|error| refuse(config, ResponseCode::SystemError, error.to_string()))?;
    let children: Vec<_> =
        parts.iter().map(|part| BatchChild { flag: part.flag, body: part.body, properties: part.properties }).collect();
    let template = NewMessage {
        topic,
        queue_id,
        flag: header.flag,
        sys_flag: send.sys_flag(),
        born_timestamp: header.born_timestamp,
        born_host: responder.channel().peer(),
        store_host: broker.store_host,
        reconsume_times: header.reconsume_times.unwrap_or_default(),
        prepared_transaction_offset: 0,
        body: &[],
        properties: &[],
    };
    let appended =
        broker.store.put_batch(&template, &children).map_err(|error| answer::put_refused(broker, config, &error))?;
    let latency_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    let system = broker.topics.is_system(topic);
    broker.stats.put(topic, queue_id, children.len() as i64, appended.size.into(), latency_ms, system);
    let waits = find_property(properties, property::WAIT_STORE_MSG_OK);
    Ok(Answer {
        end: appended.end(),
        physical_offsets: appended.physical_offsets.into(),
        queue_id,
        queue_offset: appended.queue_offset,
        transaction_id: find_property(properties, property::UNIQ_KEY).map(str::to_owned),
        waits: !waits.is_some_and(|waits| waits.eq_ignore_ascii_case("false")),
    })
}
