//! Popping: POP_MESSAGE, PEEK_MESSAGE, ACK_MESSAGE, BATCH_ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME, NOTIFICATION,
//! POLLING_INFO. What is behind them is in [`crate::pop`].

pub mod ack;
pub mod invisible_time;
pub mod notification;
pub mod peek;
pub mod polling_info;
pub mod take;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_remoting::protocol::body::group::SubscriptionGroupConfig;
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};

use super::{FAQ, refusal};
use crate::config::BrokerSettings;
use crate::context::{Broker, now_ms};
use crate::pop::held::Room;
use crate::topics::PERM_READ;

/// A request is answered this long before its client gives up. Java: `PopRequest.isTimeout`.
const ANSWER_BEFORE_MS: i64 = 50;
/// A request that reaches the broker this much after its client gave up is not served. Java: `isTimeoutTooMuch`.
const LATE_MAX_MS: i64 = 500;
/// Longest wait that is granted, whatever the client asks: the idle limit of connections.
const WAIT_MAX_MS: i64 = 120_000;
/// Bytes of one answer. Java: MAX_PULL_MSG_SIZE.
pub(super) const BYTES_MAX: u32 = 128 * 1024 * 1024;

/// Topic and group of a request that reads; the error is the answer. Java's checks in Java's order.
fn topic_and_group(
    broker: &Broker,
    config: &BrokerSettings,
    topic: &str,
    group: &str,
    queue_id: i32,
    responder: &Responder,
) -> Result<(Arc<TopicConfig>, Arc<SubscriptionGroupConfig>), Box<RemotingCommand>> {
    let topic_config = existing_topic(broker, topic)?;
    if topic_config.perm & PERM_READ == 0 {
        let remark = format!("the topic[{topic}] peeking message is forbidden");
        return Err(refusal(ResponseCode::NoPermission, remark));
    }
    if queue_id >= topic_config.read_queue_nums {
        let remark = illegal_queue(&topic_config, queue_id, responder);
        return Err(refusal(ResponseCode::InvalidParameter, remark));
    }
    let group_config = broker.groups.find_or_create(&config.broker, group).ok_or_else(|| {
        refusal(ResponseCode::SubscriptionGroupNotExist, format!("subscription group [{group}] does not exist, {FAQ}"))
    })?;
    if !group_config.consume_enable {
        return Err(refusal(ResponseCode::NoPermission, format!("subscription group no permission, {group}")));
    }
    Ok((topic_config, group_config))
}

pub(super) fn existing_topic(broker: &Broker, topic: &str) -> Result<Arc<TopicConfig>, Box<RemotingCommand>> {
    broker.topics.get(topic).ok_or_else(|| {
        refusal(ResponseCode::TopicNotExist, format!("topic[{topic}] not exist, apply first please! {FAQ}"))
    })
}

fn illegal_queue(topic: &TopicConfig, queue_id: i32, responder: &Responder) -> String {
    format!(
        "queueId[{queue_id}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}] consumer:[/{}]",
        topic.topic_name,
        topic.read_queue_nums,
        responder.channel().peer()
    )
}

/// Refuses where the broker itself may not be read from.
pub(super) fn readable_broker(config: &BrokerSettings, doing: &str) -> Result<(), Box<RemotingCommand>> {
    if config.broker.broker_permission & PERM_READ != 0 {
        return Ok(());
    }
    let remark = format!("the broker[{}] {doing} is forbidden", config.broker.broker_ip1);
    Err(refusal(ResponseCode::NoPermission, remark))
}

/// Whether the client of a request gave up so long ago that it is not served. Java: `isTimeoutTooMuch`.
pub(super) fn is_too_late(born_time: i64, poll_time: i64) -> bool {
    now_ms().saturating_sub(born_time.saturating_add(poll_time)) > LATE_MAX_MS
}

/// Where a group begins a queue that it never consumed, when it is not to begin at the smallest offset.
pub(super) fn first_offset(broker: &Broker, config: &BrokerSettings, topic: &str, queue_id: i32) -> i64 {
    let first_in_memory = || {
        let first = broker.store.queue_entry(topic, queue_id, 0);
        first.is_some_and(|entry| broker.store.in_memory(entry.physical_offset))
    };
    let min = broker.store.min_offset(topic, queue_id).max(0);
    if config.broker.init_pop_offset_by_check_msg_in_mem && min == 0 && first_in_memory() {
        0
    } else {
        // The last message is popped, so that there is an offset to commit.
        broker.store.max_offset(topic, queue_id).saturating_sub(1).max(0)
    }
}

/// Until when a request of `born_time` may wait for `poll_time`, both ms; `None` when that is over.
pub(super) fn deadline(born_time: i64, poll_time: i64) -> Option<Instant> {
    let left = born_time.saturating_add(poll_time).saturating_sub(now_ms()).saturating_sub(ANSWER_BEFORE_MS);
    let left = u64::try_from(left.min(WAIT_MAX_MS)).ok()?;
    Some(Instant::now() + Duration::from_millis(left))
}

pub(super) fn room(config: &BrokerSettings) -> Room {
    Room {
        total: usize::try_from(config.broker.max_pop_polling_size).unwrap_or(0),
        each: usize::try_from(config.broker.pop_polling_size).unwrap_or(0),
    }
}
