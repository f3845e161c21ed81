//! ACK_MESSAGE and BATCH_ACK_MESSAGE: popped messages were consumed.

use std::sync::Arc;

use hypergol_remoting::pop_handle::{ORDER_REVIVE_QUEUE, PopHandle, PopTopic};
use hypergol_remoting::protocol::body::pop::{AckMsg, BatchAck, BatchAckMessageRequestBody, BatchAckMsg};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::pop::AckMessageRequestHeader;
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::PutError;
use tracing::warn;

use super::{existing_topic, illegal_queue};
use crate::context::{Broker, now_ms};
use crate::handler::{lite, refusal};
use crate::pop::QueueKey;
use crate::pop::checkpoint::{MESSAGES_MAX, MergeKey};
use crate::pop::journal::Turn;
use crate::pop::order_info::Acked;
use crate::pop::service::Committed;
use crate::stats::StatName;

/// Acknowledgements of one request; clients send a few for each pop.
const ACKS_MAX: usize = 10_000;

type Refused = Box<RemotingCommand>;

/// ACK_MESSAGE: one message.
pub fn ack(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header: AckMessageRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    match check(broker, &header, &responder) {
        Ok(Checked::Lite(lite)) => lite::ack::ack(broker, header, &lite, responder),
        Ok(Checked::Popped(handle)) if handle.is_order() => {
            let ack = OrderAck {
                key: QueueKey::new(&header.topic, &header.consumer_group, header.queue_id),
                offsets: vec![header.offset],
                pop_time: handle.pop_time,
                invisible_time: handle.invisible_time,
            };
            in_order(broker, vec![ack], responder);
        }
        Ok(Checked::Popped(handle)) => {
            let acked = note_ack(broker, &header, &handle, Turn::OfConnection);
            // Java says yes in any case; the message then comes again.
            if let Err(error) = acked {
                warn!(topic = header.topic, group = header.consumer_group, %error, "acknowledgement cannot be written");
            }
            responder.success();
        }
        Err(refused) => responder.send(*refused),
    }
}

/// What a request is about.
pub(super) enum Checked {
    /// A message that was popped.
    Popped(PopHandle),
    /// A message of this lite topic.
    Lite(String),
}

/// Java's checks in Java's order; the error is the answer.
fn check(broker: &Broker, header: &AckMessageRequestHeader, responder: &Responder) -> Result<Checked, Refused> {
    let (topic, queue_id, offset) = (header.topic.as_str(), header.queue_id, header.offset);
    let config = existing_topic(broker, topic)?;
    if queue_id < 0 || queue_id >= config.read_queue_nums {
        return Err(refusal(ResponseCode::MessageIllegal, illegal_queue(&config, queue_id, responder)));
    }
    if let Some(lite) = lite::ack::lite_topic(header.lite_topic.as_deref()) {
        return Ok(Checked::Lite(lite.to_owned()));
    }
    let (min, max) = (broker.store.min_offset(topic, queue_id), broker.store.max_offset(topic, queue_id));
    if offset < min || offset > max {
        let remark = format!("offset is illegal, key:{topic}@{queue_id}, commit:{offset}, store:{min}~{max}");
        warn!(remark, "acknowledgement refused");
        return Err(refusal(ResponseCode::NoMessage, remark));
    }
    let handle: PopHandle =
        header.extra_info.parse().map_err(|error| refusal(ResponseCode::SystemError, format!("extraInfo: {error}")))?;
    check_revive_queue(broker, handle.revive_qid)?;
    Ok(Checked::Popped(handle))
}

/// A handle names the queue of the revive topic; nothing may be written to others.
pub(super) fn check_revive_queue(broker: &Broker, queue_id: i32) -> Result<(), Refused> {
    let queues = broker.topics.get(broker.pop.journal.topic()).map_or(0, |topic| topic.write_queue_nums);
    if queue_id == ORDER_REVIVE_QUEUE || (0..queues).contains(&queue_id) {
        return Ok(());
    }
    Err(refusal(ResponseCode::MessageIllegal, format!("reviveQid {queue_id} is illegal, there are {queues} queues")))
}

/// Acknowledges one message, in memory where its checkpoint is there.
pub(super) fn note_ack(
    broker: &Broker,
    header: &AckMessageRequestHeader,
    handle: &PopHandle,
    turn: Turn,
) -> Result<(), PutError> {
    let ack = AckMsg {
        ack_offset: header.offset,
        broker_name: Some(handle.broker_name.clone()),
        consumer_group: header.consumer_group.clone(),
        pop_time: handle.pop_time,
        queue_id: header.queue_id,
        start_offset: handle.start_offset,
        topic: header.topic.clone(),
    };
    count(broker, &ack.topic, &ack.consumer_group, 1);
    let key = QueueKey::new(&ack.topic, &ack.consumer_group, ack.queue_id);
    let merge_key = MergeKey::of_ack(&ack, &broker.config().broker.broker_name);
    let due = handle.pop_time.saturating_add(handle.invisible_time);
    let written =
        if broker.pop.buffer.ack(&merge_key, &[ack.ack_offset], &Committed::of(broker)) || is_impossible(broker, due) {
            Ok(())
        } else {
            broker.pop.journal.ack(&ack, handle.revive_qid, due, turn).map(drop)
        };
    left_flight(broker, &key, handle.pop_time, 1);
    written
}

/// Whether no message can become visible at `due`, ms since 1970: the handle is forged. Its acknowledgement would stay on
/// the timer wheel for good. Java's store refuses it, and the answer is success all the same.
fn is_impossible(broker: &Broker, due: i64) -> bool {
    let delay_max = i64::from(broker.config().store.timer_max_delay_sec).saturating_mul(1000);
    let impossible = due.saturating_sub(now_ms()) > delay_max;
    if impossible {
        warn!(due, "acknowledgement of a message that becomes visible beyond timerMaxDelaySec, passed over");
    }
    impossible
}

fn count(broker: &Broker, topic: &str, group: &str, messages: usize) {
    let messages = i64::try_from(messages).unwrap_or(i64::MAX);
    broker.stats.add_to_cluster(StatName::BrokerAckNums, messages);
    // Whoever acknowledges may name any group; the table is to have rows for those that there are.
    if broker.groups.get(group).is_some() {
        broker.stats.add_to_group(StatName::GroupAckNums, topic, group, messages);
    }
}

/// Messages are in flight no longer; a pop that waits because there were too many goes on.
fn left_flight(broker: &Broker, key: &QueueKey, pop_time: i64, messages: usize) {
    let config = broker.config();
    let threshold = config.broker.pop_inflight_message_threshold;
    let was_full = config.broker.enable_pop_message_threshold && broker.pop.in_flight.count(key) > threshold;
    broker.pop.in_flight.subtract(key, pop_time, messages);
    if was_full && broker.pop.in_flight.count(key) <= threshold {
        broker.pop.wake_if_any(broker, key);
    }
}

/// BATCH_ACK_MESSAGE: messages of several pops. What is illegal in it is passed over, as in Java.
pub fn batch_ack(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let body = match BatchAckMessageRequestBody::decode(&request.body) {
        _ if request.body.is_empty() => None,
        Ok(body) => Some(body),
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let Some((acks, broker_name)) = body.and_then(|body| Some((body.acks?, body.broker_name))) else {
        return responder.send(RemotingCommand::response(ResponseCode::NoMessage));
    };
    if acks.is_empty() {
        return responder.send(RemotingCommand::response(ResponseCode::NoMessage));
    }
    if acks.len() > ACKS_MAX {
        let remark = format!("{} acknowledgements in one request, {ACKS_MAX} are possible", acks.len());
        return responder.error(ResponseCode::InvalidParameter, remark);
    }
    let mut ordered = Vec::new();
    for ack in &acks {
        match batch_part(broker, ack, &broker_name) {
            Ok(order) => ordered.extend(order),
            Err(refused) => return responder.send(*refused),
        }
    }
    if ordered.is_empty() { responder.success() } else { in_order(broker, ordered, responder) }
}

/// Acknowledgements of one pop of a queue: no more than that can have taken.
fn batch_part(broker: &Broker, ack: &BatchAck, broker_name: &str) -> Result<Option<OrderAck>, Refused> {
    let mark = ack.retry.as_deref().unwrap_or_default();
    let kind = PopTopic::from_mark(mark)
        .ok_or_else(|| refusal(ResponseCode::SystemError, "getRetry fail, format is wrong"))?;
    check_revive_queue(broker, ack.revive_queue_id)?;
    let topic = kind.real_topic(&ack.topic, &ack.consumer_group);
    // Queues of topics that do not exist have no offsets.
    if broker.topics.get(&topic).is_none_or(|topic| ack.queue_id < 0 || ack.queue_id >= topic.read_queue_nums) {
        warn!(topic, queue_id = ack.queue_id, "acknowledgements of a queue that does not exist");
        return Ok(None);
    }
    let (min, max) = (broker.store.min_offset(&topic, ack.queue_id), broker.store.max_offset(&topic, ack.queue_id));
    let bits = ack.bit_set.iter().flat_map(|bits| bits.iter());
    let offsets = bits.filter_map(|bit| ack.start_offset.checked_add(i64::try_from(bit).ok()?));
    let offsets: Vec<i64> = offsets.filter(|offset| (min..=max).contains(offset)).take(MESSAGES_MAX).collect();
    if offsets.is_empty() {
        return Ok(None);
    }
    let key = QueueKey::new(&topic, &ack.consumer_group, ack.queue_id);
    if ack.revive_queue_id == ORDER_REVIVE_QUEUE {
        let (pop_time, invisible_time) = (ack.pop_time, ack.invisible_time);
        return Ok(Some(OrderAck { key, offsets, pop_time, invisible_time }));
    }
    count(broker, &topic, &ack.consumer_group, offsets.len());
    let record = BatchAckMsg {
        ack_offset: -1,
        ack_offset_list: offsets,
        broker_name: Some(broker_name.to_owned()).filter(|name| !name.is_empty()),
        consumer_group: ack.consumer_group.clone(),
        pop_time: ack.pop_time,
        queue_id: ack.queue_id,
        start_offset: ack.start_offset,
        topic,
    };
    let merge_key = MergeKey::of_batch_ack(&record, &broker.config().broker.broker_name);
    let offsets = &record.ack_offset_list;
    let due = ack.pop_time.saturating_add(ack.invisible_time);
    if !broker.pop.buffer.ack(&merge_key, offsets, &Committed::of(broker))
        && !is_impossible(broker, due)
        && let Err(error) = broker.pop.journal.batch_ack(&record, ack.revive_queue_id, due, Turn::OfConnection)
    {
        warn!(topic = record.topic, group = record.consumer_group, %error, "acknowledgements cannot be written");
    }
    left_flight(broker, &key, ack.pop_time, offsets.len());
    Ok(None)
}

/// Acknowledgements of messages that were popped in order.
struct OrderAck {
    key: QueueKey,
    offsets: Vec<i64>,
    pop_time: i64,
    invisible_time: i64,
}

/// Acknowledges messages that were popped in order. Queues that are being popped are waited for on a blocking thread.
fn in_order(broker: &Arc<Broker>, acks: Vec<OrderAck>, responder: Responder) {
    let locks: Option<Vec<_>> = acks.iter().map(|ack| broker.pop.locks.try_lock(&ack.key)).collect();
    if let Some(locks) = locks {
        let done = acks.iter().map(|ack| acknowledge(broker, ack)).collect();
        drop(locks);
        return finish(broker, &acks, done, responder);
    }
    let broker = broker.clone();
    tokio::task::spawn_blocking(move || {
        let done = acks.iter().map(|ack| {
            let _lock = broker.pop.locks.lock(&ack.key);
            acknowledge(&broker, ack)
        });
        let done = done.collect();
        finish(&broker, &acks, done, responder);
    });
}

/// Whether a queue became free, or what is wrong.
type Done = Result<bool, String>;

fn finish(broker: &Broker, acks: &[OrderAck], done: Vec<Done>, responder: Responder) {
    let mut response = RemotingCommand::success();
    // Queues are unlocked by now, so that who is woken finds them so.
    for (ack, done) in acks.iter().zip(done) {
        match done {
            Ok(true) => broker.pop.wake_if_any(broker, &ack.key),
            Ok(false) => {}
            Err(remark) => {
                let peer = responder.channel().peer();
                response = RemotingCommand::error(ResponseCode::MessageIllegal, format!("{remark}, /{peer}"));
            }
        }
    }
    responder.send(response);
}

/// Acknowledges messages of a queue that is locked.
fn acknowledge(broker: &Broker, ack: &OrderAck) -> Done {
    let (key, pop) = (&ack.key, &broker.pop);
    let (topic, group, queue_id) = (&*key.topic, &*key.group, key.queue_id);
    count(broker, topic, group, ack.offsets.len());
    let max_offset = broker.store.max_offset(topic, queue_id);
    let mut wrong = None;
    let mut moved = false;
    for offset in &ack.offsets {
        let old = broker.offsets.committed(topic, group, queue_id, false).unwrap_or(-1);
        if *offset < old {
            continue;
        }
        match pop.orders.ack(key, *offset, ack.pop_time) {
            Acked::Illegal => {
                wrong = Some(format!("offset is illegal, key:{key}, old:{old}, commit:{offset}, next:-1"));
                continue;
            }
            Acked::Older => {}
            Acked::UpTo(next) => {
                moved = true;
                if !broker.offsets.has_reset(topic, group, queue_id) {
                    let step = broker.config().broker.consumer_offset_update_version_step;
                    // As Java's, the checks let the offset of the next message pass, which is not to be lost.
                    broker.offsets.commit(topic, group, queue_id, next.min(max_offset), step);
                }
            }
        }
        left_flight(broker, key, ack.pop_time, 1);
    }
    match wrong {
        Some(remark) => Err(remark),
        None => Ok(moved && !pop.orders.blocks(key, None, ack.invisible_time)),
    }
}
