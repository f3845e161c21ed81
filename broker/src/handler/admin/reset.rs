//! Resetting the offsets of a group (222), and asking its members for theirs (223).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use hypergol_remoting::protocol::body::offset::{
    GetConsumerStatusBody, MessageQueueForC, ResetOffsetBody, ResetOffsetBodyForC,
};
use hypergol_remoting::protocol::command::LanguageCode;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::offset::{GetConsumerStatusRequestHeader, ResetOffsetRequestHeader};
use hypergol_remoting::{RemotingCommand, RequestCode, Responder, ResponseCode};
use hypergol_store::Boundary;

use super::{Answer, Refusal, answer, answer_blocking, broker_name, json};
use crate::context::Broker;

/// Ordinal of V3_0_7_SNAPSHOT, the first version whose clients take these calls.
const VERSION_CALLED: i32 = 29;
/// How long a member may take to tell its offsets.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// INVOKE_BROKER_TO_RESET_OFFSET (222): on the broker, where the next pull takes it up, or by a call to the members
/// when `useServerSideResetOffset` is off.
pub fn reset(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header = match request.header::<ResetOffsetRequestHeader>() {
        Ok(header) => header,
        Err(error) => return answer(responder, Err(error.into())),
    };
    let (broker, language) = (broker.clone(), request.language);
    answer_blocking(responder, move || {
        if broker.config().broker.use_server_side_reset_offset {
            on_broker(&broker, &header)
        } else {
            by_members(&broker, &header, language)
        }
    });
}

fn on_broker(broker: &Broker, header: &ResetOffsetRequestHeader) -> Answer {
    let (topic, group) = (&header.topic, &header.group);
    let config = broker
        .topics
        .get(topic)
        .ok_or_else(|| Refusal::new(ResponseCode::TopicNotExist, format!("Topic {topic} does not exist")))?;
    if broker.groups.get(group).is_none() {
        let remark = format!("Group {group} does not exist");
        return Err(Refusal::new(ResponseCode::SubscriptionGroupNotExist, remark));
    }
    let mut offsets = BTreeMap::new();
    if header.queue_id >= 0 {
        let offset = match header.offset.filter(|offset| *offset != -1) {
            Some(offset) => {
                let min = broker.store.min_offset(topic, header.queue_id);
                let max = broker.store.max_offset(topic, header.queue_id);
                if min >= 0 && offset < min || offset > max + 1 {
                    let remark = format!("Target offset {offset} not in consume queue range [{min}-{max}]");
                    return Err(Refusal::failed(remark));
                }
                offset
            }
            None => at_time(broker, topic, header.queue_id, header.timestamp),
        };
        offsets.insert(header.queue_id, offset);
    } else {
        for queue_id in 0..config.read_queue_nums {
            offsets.insert(queue_id, at_time(broker, topic, queue_id, header.timestamp));
        }
    }
    if offsets.is_empty() {
        return Err(Refusal::failed("No queues to reset."));
    }
    let mut body = ResetOffsetBody::default();
    for (queue_id, offset) in offsets {
        broker.offsets.reset(topic, group, queue_id, offset);
        body.offset_table.insert(MessageQueue::new(topic, broker_name(broker), queue_id), offset);
    }
    json(&body)
}

/// Offset of the first message at `timestamp` or later; a negative time means the end of the queue.
fn at_time(broker: &Broker, topic: &str, queue_id: i32, timestamp: i64) -> i64 {
    if timestamp < 0 {
        broker.store.max_offset(topic, queue_id)
    } else {
        broker.store.offset_by_time(topic, queue_id, timestamp, Boundary::Lower)
    }
}

fn by_members(broker: &Broker, header: &ResetOffsetRequestHeader, language: LanguageCode) -> Answer {
    let (topic, group) = (&header.topic, &header.group);
    let config = broker.topics.get(topic).ok_or_else(|| {
        let remark = format!("[reset-offset] reset offset failed, no topic in this broker. topic={topic}");
        Refusal::new(ResponseCode::TopicNotExist, remark)
    })?;
    let mut offsets = ResetOffsetBody::default();
    for queue_id in 0..config.write_queue_nums {
        let committed = broker
            .offsets
            .committed(topic, group, queue_id, false)
            .ok_or_else(|| Refusal::failed(format!("THe consumer group <{group}> not exist")))?;
        let wanted = at_time(broker, topic, queue_id, header.timestamp).max(0);
        let offset = if header.is_force { wanted } else { wanted.min(committed) };
        offsets.offset_table.insert(MessageQueue::new(topic, broker_name(broker), queue_id), offset);
    }
    let members = broker.consumers.view(group).map(|view| view.members).unwrap_or_default();
    if members.is_empty() {
        let remark = format!(
            "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {}",
            header.timestamp
        );
        return Err(Refusal::new(ResponseCode::ConsumerNotOnline, remark));
    }
    if let Some(old) = members.iter().find(|member| member.version < VERSION_CALLED) {
        return Err(Refusal::failed(format!("the client does not support this feature. version={}", old.version)));
    }
    let call_header = ResetOffsetRequestHeader { queue_id: -1, offset: None, is_force: false, ..header.clone() };
    let call_body = if language == LanguageCode::CPP { for_c(&offsets).encode() } else { offsets.encode() };
    for member in members {
        let call = RemotingCommand::request_with(RequestCode::ResetConsumerClientOffset, &call_header);
        member.channel.oneway(call.with_body(call_body.clone()));
    }
    json(&offsets)
}

fn for_c(body: &ResetOffsetBody) -> ResetOffsetBodyForC {
    let offsets = body.offset_table.iter().map(|(queue, offset)| MessageQueueForC {
        topic: queue.topic.clone(),
        broker_name: queue.broker_name.clone(),
        queue_id: queue.queue_id,
        offset: *offset,
    });
    ResetOffsetBodyForC { offset_table: offsets.collect() }
}

/// INVOKE_BROKER_TO_GET_CONSUMER_STATUS (223): asks each member, or the one named, for its offsets of a topic.
pub fn status(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header = match request.header::<GetConsumerStatusRequestHeader>() {
        Ok(header) => header,
        Err(error) => return answer(responder, Err(error.into())),
    };
    let broker = broker.clone();
    tokio::spawn(async move { answer(responder, ask_members(&broker, &header).await) });
}

async fn ask_members(broker: &Broker, header: &GetConsumerStatusRequestHeader) -> Answer {
    let group = &header.group;
    let members = broker.consumers.view(group).map(|view| view.members).unwrap_or_default();
    if members.is_empty() {
        return Err(Refusal::failed(format!("No Any Consumer online in the consumer group: [{group}]")));
    }
    let wanted = header.client_addr.as_deref().filter(|client| !client.trim().is_empty());
    let mut body = GetConsumerStatusBody::default();
    for member in members {
        if member.version < VERSION_CALLED {
            let remark = format!("the client does not support this feature. version={}", member.version);
            return Err(Refusal::failed(remark));
        }
        if wanted.is_some_and(|wanted| wanted != member.client_id) {
            continue;
        }
        let call_header =
            GetConsumerStatusRequestHeader { topic: header.topic.clone(), group: group.clone(), client_addr: None };
        let call = RemotingCommand::request_with(RequestCode::GetConsumerStatusFromClient, &call_header);
        match member.channel.invoke(call, CALL_TIMEOUT).await {
            Ok(told) if told.code == ResponseCode::Success as i32 => {
                if let Ok(status) = GetConsumerStatusBody::decode(&told.body) {
                    body.consumer_table.insert(member.client_id.to_string(), status.message_queue_table);
                }
            }
            Ok(told) => tracing::warn!(group, client = %member.client_id, code = told.code, "consumer tells no status"),
            Err(error) => tracing::warn!(group, client = %member.client_id, %error, "consumer tells no status"),
        }
    }
    json(&body)
}
