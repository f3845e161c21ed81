//! CHANGE_MESSAGE_INVISIBLETIME: a popped message is to become visible sooner or later than it was to. It gets a
//! checkpoint of its own, and only then counts as acknowledged in the one it was popped with.

use std::sync::Arc;

use hypergol_remoting::pop_handle::PopHandle;
use hypergol_remoting::protocol::body::pop::PopCheckPoint;
use hypergol_remoting::protocol::header::pop::{
    AckMessageRequestHeader, ChangeInvisibleTimeRequestHeader, ChangeInvisibleTimeResponseHeader,
};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use tracing::warn;

use super::ack::{Checked, check_revive_queue, note_ack};
use super::{existing_topic, illegal_queue};
use crate::context::{Broker, now_ms};
use crate::handler::{lite, refusal};
use crate::pop::QueueKey;
use crate::pop::journal::Turn;
use crate::stats::StatName;

type Header = ChangeInvisibleTimeRequestHeader;

/// Answers a change.
pub fn change(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header: Header = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    match check(broker, &header, &responder) {
        Ok(Checked::Lite(lite)) => lite::ack::change_invisible_time(broker, header, &lite, responder),
        Ok(Checked::Popped(handle)) if handle.is_order() => in_order(broker, header, handle, responder),
        Ok(Checked::Popped(handle)) => responder.send(change_checkpoint(broker, &header, &handle)),
        Err(refused) => responder.send(*refused),
    }
}

/// Java's checks in Java's order; the error is the answer.
fn check(broker: &Broker, header: &Header, responder: &Responder) -> Result<Checked, Box<RemotingCommand>> {
    let (topic, queue_id, offset) = (header.topic.as_str(), header.queue_id, header.offset);
    let config = existing_topic(broker, topic)?;
    if queue_id < 0 || queue_id >= config.read_queue_nums {
        return Err(refusal(ResponseCode::MessageIllegal, illegal_queue(&config, queue_id, responder)));
    }
    if let Some(lite) = lite::ack::lite_topic(header.lite_topic.as_deref()) {
        return Ok(Checked::Lite(lite.to_owned()));
    }
    if offset < broker.store.min_offset(topic, queue_id) || offset >= broker.store.max_offset(topic, queue_id) {
        return Err(Box::new(RemotingCommand::response(ResponseCode::NoMessage)));
    }
    let handle: PopHandle =
        header.extra_info.parse().map_err(|error| refusal(ResponseCode::SystemError, format!("extraInfo: {error}")))?;
    check_revive_queue(broker, handle.revive_qid)?;
    let invisible_max = i64::from(broker.config().store.timer_max_delay_sec).saturating_mul(1000);
    if header.invisible_time > invisible_max {
        let remark = format!("invisibleTime {} ms is beyond timerMaxDelaySec", header.invisible_time);
        return Err(refusal(ResponseCode::SystemError, remark));
    }
    Ok(Checked::Popped(handle))
}

fn change_checkpoint(broker: &Broker, header: &Header, handle: &PopHandle) -> RemotingCommand {
    let now = now_ms();
    let point = PopCheckPoint {
        bit_map: 0,
        broker_name: Some(handle.broker_name.clone()),
        consumer_group: header.consumer_group.clone(),
        queue_offset_diff: Some(vec![0]),
        invisible_time: header.invisible_time,
        num: 1,
        pop_time: now,
        queue_id: header.queue_id,
        revive_offset: 0,
        re_put_times: None,
        start_offset: header.offset,
        suspend: header.suspend,
        topic: header.topic.clone(),
    };
    if let Err(error) = broker.pop.journal.checkpoint(&point, handle.revive_qid, Turn::OfConnection) {
        warn!(topic = header.topic, group = header.consumer_group, %error, "new checkpoint cannot be written");
        return RemotingCommand::error(ResponseCode::SystemError, error.to_string());
    }
    broker.stats.add_to_cluster(StatName::BrokerCkNums, 1);
    broker.stats.add_to_group(StatName::GroupCkNums, &header.topic, &header.consumer_group, 1);
    let acked = AckMessageRequestHeader {
        consumer_group: header.consumer_group.clone(),
        topic: header.topic.clone(),
        queue_id: header.queue_id,
        extra_info: String::new(),
        offset: header.offset,
        lite_topic: None,
    };
    if let Err(error) = note_ack(broker, &acked, handle, Turn::OfConnection) {
        // The message will come at both times.
        warn!(topic = header.topic, group = header.consumer_group, %error, "old checkpoint cannot be acknowledged");
    }
    // It is in flight as before.
    let key = QueueKey::new(&header.topic, &header.consumer_group, header.queue_id);
    broker.pop.in_flight.add(&key, 1);
    answer(now, header.invisible_time, handle)
}

fn answer(pop_time: i64, invisible_time: i64, handle: &PopHandle) -> RemotingCommand {
    let header = ChangeInvisibleTimeResponseHeader { pop_time, invisible_time, revive_qid: handle.revive_qid };
    RemotingCommand::success().with_header(&header)
}

fn in_order(broker: &Arc<Broker>, header: Header, handle: PopHandle, responder: Responder) {
    let key = QueueKey::new(&header.topic, &header.consumer_group, header.queue_id);
    if let Some(lock) = broker.pop.locks.try_lock(&key) {
        let response = change_in_order(broker, &key, &header, &handle);
        drop(lock);
        return responder.send(response);
    }
    let broker = broker.clone();
    tokio::task::spawn_blocking(move || {
        let lock = broker.pop.locks.lock(&key);
        let response = change_in_order(&broker, &key, &header, &handle);
        drop(lock);
        responder.send(response);
    });
}

/// Changes a message of a queue that is locked.
fn change_in_order(broker: &Broker, key: &QueueKey, header: &Header, handle: &PopHandle) -> RemotingCommand {
    let committed = broker.offsets.committed(&key.topic, &key.group, key.queue_id, false);
    if committed.is_some_and(|committed| header.offset < committed) {
        // Java answers the header as it was made.
        return answer(0, 0, &PopHandle { revive_qid: 0, ..handle.clone() });
    }
    let visible = now_ms().saturating_add(header.invisible_time);
    broker.pop.orders.set_visible_time(key, header.offset, handle.pop_time, visible);
    answer(handle.pop_time, visible.saturating_sub(handle.pop_time), handle)
}
