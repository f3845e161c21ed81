//! Consumer lists, consumer offsets, queue locks.

use std::sync::Arc;
use std::time::Instant;

use hypergol_remoting::protocol::body::connection::GetConsumerListByGroupResponseBody;
use hypergol_remoting::protocol::body::lock::{LockBatchRequestBody, LockBatchResponseBody, UnlockBatchRequestBody};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::client::GetConsumerListByGroupRequestHeader;
use hypergol_remoting::protocol::header::offset::{
    QueryConsumerOffsetRequestHeader, QueryConsumerOffsetResponseHeader, UpdateConsumerOffsetRequestHeader,
};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};

use crate::context::Broker;
use crate::topics::QUEUES_MAX;

/// GET_CONSUMER_LIST_BY_GROUP: the client ids of a group, by which its members share the queues.
pub fn consumer_list(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let header: GetConsumerListByGroupRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    match broker.consumers.client_ids(&header.consumer_group) {
        Some(consumer_id_list) => {
            let body = GetConsumerListByGroupResponseBody { consumer_id_list };
            responder.send(RemotingCommand::success().with_body(body.encode()));
        }
        None => {
            let remark = format!("no consumer for this group, {}", header.consumer_group);
            responder.error(ResponseCode::SystemError, remark);
        }
    }
}

/// QUERY_CONSUMER_OFFSET: where a group goes on.
///
/// A group that has no offset starts at 0 where the queue still has its first message and that is in memory: the
/// topic is young, the group saw all of it. Elsewhere the client decides (code 22).
pub fn query_offset(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let header: QueryConsumerOffsetRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let QueryConsumerOffsetRequestHeader { consumer_group: group, topic, queue_id, set_zero_if_not_found } = header;
    let with_reset = broker.config().broker.use_server_side_reset_offset;
    let offset = match broker.offsets.committed(&topic, &group, queue_id, with_reset) {
        Some(offset) if offset >= 0 => offset,
        _ if set_zero_if_not_found == Some(false) => {
            let remark = "Not found, do not set to zero, maybe this group boot first";
            return responder.error(ResponseCode::QueryNotFound, remark);
        }
        _ if is_young(broker, &topic, queue_id) => 0,
        _ => {
            let remark = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
            return responder.error(ResponseCode::QueryNotFound, remark);
        }
    };
    responder.send(RemotingCommand::success().with_header(&QueryConsumerOffsetResponseHeader { offset }));
}

fn is_young(broker: &Broker, topic: &str, queue_id: i32) -> bool {
    let store = &broker.store;
    let first = || store.queue_entry(topic, queue_id, 0);
    store.min_offset(topic, queue_id) <= 0 && first().is_some_and(|entry| store.in_memory(entry.physical_offset))
}

/// UPDATE_CONSUMER_OFFSET: a group has consumed a queue up to an offset. Smaller offsets than before are taken too.
/// While an offset that an administrator set waits to be fetched, what consumers say is passed over.
pub fn update_offset(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let text = |field: &str| request.fields.get(field).unwrap_or_default();
    let (group, topic) = (text("consumerGroup"), text("topic"));
    if broker.groups.get(group).is_none() {
        return responder.error(ResponseCode::SubscriptionGroupNotExist, format!("Group {group} not exist!"));
    }
    if !broker.topics.contains(topic) {
        return responder.error(ResponseCode::TopicNotExist, format!("Topic {topic} not exist!"));
    }
    for (field, name) in [("queueId", "QueueId"), ("commitOffset", "Offset")] {
        if request.fields.get(field).is_none() {
            let remark = format!("{name} is null, topic is {topic}");
            return responder.error(ResponseCode::InvalidParameter, remark);
        }
    }
    let header: UpdateConsumerOffsetRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    // Java takes any; each would stay in consumerOffset.json.
    if !(-1..QUEUES_MAX).contains(&header.queue_id) {
        let remark = format!("QueueId {} is illegal, topic is {topic}", header.queue_id);
        return responder.error(ResponseCode::InvalidParameter, remark);
    }
    let config = broker.config();
    if config.broker.use_server_side_reset_offset && broker.offsets.has_reset(topic, group, header.queue_id) {
        let answer = RemotingCommand::success().with_remark("Offset has been previously reset");
        return responder.send(answer);
    }
    let version_step = config.broker.consumer_offset_update_version_step;
    broker.offsets.commit(topic, group, header.queue_id, header.commit_offset, version_step);
    responder.success();
}

/// LOCK_BATCH_MQ: takes or renews queue locks; the answer lists what the client holds now.
pub fn lock_queues(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let body = match LockBatchRequestBody::decode(&request.body) {
        Ok(body) => body,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let mut held = broker.queue_locks.lock(&body.consumer_group, &body.mq_set, &body.client_id, Instant::now());
    if !body.only_this_broker && !own_lock_suffices(broker) {
        held.clear();
    }
    let body = LockBatchResponseBody { lock_ok_mq_set: held };
    responder.send(RemotingCommand::success().with_body(body.encode()));
}

/// With `lockInStrictMode` most of the `totalReplicas` must give the lock; there is no replica to ask yet, so only a
/// set of one can.
fn own_lock_suffices(broker: &Broker) -> bool {
    let config = broker.config();
    !config.broker.lock_in_strict_mode || config.store.total_replicas / 2 < 1
}

/// UNLOCK_BATCH_MQ: gives queue locks back.
pub fn unlock_queues(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    match UnlockBatchRequestBody::decode(&request.body) {
        Ok(body) => {
            broker.queue_locks.unlock(&body.consumer_group, &body.mq_set, &body.client_id);
            responder.success();
        }
        Err(error) => responder.error(ResponseCode::SystemError, error.to_string()),
    }
}
