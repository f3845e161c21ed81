//! Sends of several messages at once: code 320, or 310 with the batch flag.
//!
//! Their messages are stored one by one, except in a topic with batch queues: there the batch becomes one record, an
//! inner batch, which consumers take apart.

use std::time::Instant;

use hypergol_remoting::message::{find_property, property, split_batch, sys_flag};
use hypergol_remoting::{Responder, ResponseCode};
use hypergol_store::{AppendedBatch, BatchChild, NewMessage, PutError, QueueKind};

use super::answer::{self, Answer, refuse};
use super::check::illegal_message;
use super::{Refused, Send};
use crate::config::BrokerSettings;
use crate::properties::Properties;
use crate::retry::RETRY_PREFIX;
use crate::topics;

/// Messages of one batch. The smallest takes 22 bytes, so a body of 4 MiB has fewer.
const MESSAGES_MAX: usize = 200_000;
/// Properties that ask for a later delivery.
const TIMER_PROPERTIES: [&str; 3] = ["TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS"];
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
    let properties = header.properties.unwrap_or_default();
    let delay = find_property(properties, property::DELAY_TIME_LEVEL).and_then(|level| level.parse::<i32>().ok());
    if header.sys_flag & sys_flag::TRANSACTION_MASK != 0 || delay.is_some_and(|level| level > 0) {
        return Err(illegal(illegal_message(config)));
    }
    // Java would put such a batch into the timer topic, where none of its messages tells when it is due.
    if TIMER_PROPERTIES.iter().any(|name| find_property(properties, name).is_some()) {
        return Err(illegal(illegal_message(config)));
    }
    if body.len() > usize::try_from(config.store.max_message_size).unwrap_or_default() {
        return Err(refuse(config, ResponseCode::SystemError, "message body size exceeded"));
    }
    let parts = split_batch(body, MESSAGES_MAX)
        .map_err(|error| refuse(config, ResponseCode::SystemError, error.to_string()))?;
    let uniq_key = find_property(properties, property::UNIQ_KEY);
    let waits = find_property(properties, property::WAIT_STORE_MSG_OK);
    let waits = !waits.is_some_and(|waits| waits.eq_ignore_ascii_case("false"));
    let as_inner = uniq_key.filter(|_| topics::queue_kind(send.topic) == QueueKind::Batch);
    // One offset each, counted in 16 bits.
    if as_inner.is_some() && i16::try_from(parts.len()).is_err() {
        return Err(illegal(illegal_message(config)));
    }
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
    let put_refused = |error: PutError| answer::put_refused(broker, config, &error);
    let appended = match as_inner {
        Some(_) => {
            let properties = inner_properties(properties, children.len(), config);
            let sys_flag = template.sys_flag | sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
            let record = NewMessage { sys_flag, body, properties: &properties, ..template };
            let appended = broker.store.append(&record).map_err(put_refused)?;
            AppendedBatch {
                physical_offsets: vec![appended.physical_offset],
                size: appended.size,
                queue_offset: appended.queue_offset,
                store_timestamp: appended.store_timestamp,
                end_offset: appended.end(),
            }
        }
        None => broker.store.append_batch(&template, &children).map_err(put_refused)?,
    };
    let latency_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    let system = broker.topics.is_system(topic);
    broker.stats.put(topic, queue_id, children.len() as i64, appended.size.into(), latency_ms, system);
    Ok(Answer {
        end: appended.end(),
        physical_offsets: appended.physical_offsets.into(),
        queue_id,
        queue_offset: appended.queue_offset,
        transaction_id: uniq_key.map(str::to_owned),
        is_inner_batch: as_inner.is_some(),
        recall_handle: None,
        waits,
    })
}

/// The properties of an inner batch: the client's, those that brokers add, and how many messages it holds.
fn inner_properties(given: &str, messages: usize, config: &BrokerSettings) -> Vec<u8> {
    let mut properties = Properties::decode(given.as_bytes());
    properties.remove(property::INNER_BASE);
    properties.set(property::MSG_REGION, config.broker.region_id.as_str());
    properties.set(property::TRACE_SWITCH, if config.broker.trace_on { "true" } else { "false" });
    properties.set(property::CLUSTER, config.broker.broker_cluster_name.as_str());
    properties.set(property::INNER_NUM, messages.to_string());
    properties.encode()
}
