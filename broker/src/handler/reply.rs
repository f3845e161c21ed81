//! SEND_REPLY_MESSAGE: the answer of a consumer to a message that asked for one, handed to the producer that asked.
//!
//! Source: `ReplyMessageProcessor`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hypergol_remoting::message::{
    OffsetMessageId, append_property, find_property, property, remove_property, sys_flag,
};
use hypergol_remoting::protocol::header::send::{ReplyMessageRequestHeader, SendMessageRequest};
use hypergol_remoting::{Channel, RemotingCommand, RequestCode, Responder, ResponseCode};
use hypergol_store::NewMessage;
use tracing::warn;

use super::send;
use crate::config::BrokerSettings;
use crate::context::{Broker, now_ms};

/// How long the requester may take to acknowledge. Java: `Broker2Client.callClient`.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// A reply that was checked, with what it needs to be stored.
struct Reply {
    topic: String,
    queue_id: i32,
    flag: i32,
    sys_flag: i32,
    born_timestamp: i64,
    born_host: SocketAddr,
    reconsume_times: i32,
    properties: String,
    request: RemotingCommand,
}

/// Every message that is sent to a broker is marked with its region, and whether it is to be traced.
fn with_region(properties: &str, config: &BrokerSettings) -> String {
    let mut properties = remove_property(properties, property::MSG_REGION);
    properties = remove_property(&properties, property::TRACE_SWITCH);
    append_property(&mut properties, property::MSG_REGION, &config.broker.region_id);
    append_property(&mut properties, property::TRACE_SWITCH, if config.broker.trace_on { "true" } else { "false" });
    properties
}

/// Pushes the reply to the client that its property REPLY_TO_CLIENT names, on whichever connection that has registered
/// as a producer; then stores it, if `storeReplyMessageEnable`. The answer tells whether the push succeeded.
pub fn reply(broker: &Arc<Broker>, code: RequestCode, request: RemotingCommand, responder: Responder) {
    let config = broker.config();
    let header = match SendMessageRequest::decode(code, &request.fields) {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let topic = match send::check_reply(broker, &config, &header, &responder) {
        Ok(topic) => topic,
        Err(refused) => return responder.send(*refused),
    };
    let queue_id =
        if header.queue_id >= 0 { header.queue_id } else { rand::random_range(0..topic.write_queue_nums.max(1)) };
    let properties = with_region(header.properties.unwrap_or_default(), &config);
    let target = match find_property(&properties, property::MESSAGE_REPLY_TO_CLIENT) {
        None => Err(format!("reply message properties[{}] is null", property::MESSAGE_REPLY_TO_CLIENT)),
        Some(client) => match broker.producers.channel_of(client) {
            None => Err(format!("push reply message fail, channel of <{client}> not found.")),
            Some(channel) => Ok((client.to_owned(), channel)),
        },
    };
    let push = push_request(broker, &header, &properties, responder.channel().peer());
    let reply = Reply {
        topic: header.topic.to_owned(),
        queue_id,
        flag: header.flag,
        // A reply is neither part of a transaction nor a batch, whatever its flag says.
        sys_flag: header.sys_flag & !(sys_flag::TRANSACTION_MASK | sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP),
        born_timestamp: header.born_timestamp,
        born_host: responder.channel().peer(),
        reconsume_times: header.reconsume_times.unwrap_or_default(),
        properties,
        request,
    };
    drop(config);
    match target {
        Err(remark) => finish(broker, &reply, Err(remark), responder),
        Ok((client, channel)) => {
            let broker = broker.clone();
            let push = push.with_body(reply.request.body.clone());
            tokio::spawn(async move {
                let pushed = push_to(&channel, &client, push).await;
                finish(&broker, &reply, pushed, responder);
            });
        }
    }
}

/// PUSH_REPLY_MESSAGE_TO_CLIENT, without the body.
fn push_request(
    broker: &Broker,
    header: &SendMessageRequest<'_>,
    properties: &str,
    born_host: SocketAddr,
) -> RemotingCommand {
    let now = now_ms();
    let mut properties = remove_property(properties, property::PUSH_REPLY_TIME);
    append_property(&mut properties, property::PUSH_REPLY_TIME, &now.to_string());
    let pushed = ReplyMessageRequestHeader {
        producer_group: header.producer_group.to_owned(),
        topic: header.topic.to_owned(),
        default_topic: header.default_topic.to_owned(),
        default_topic_queue_nums: header.default_topic_queue_nums,
        queue_id: header.queue_id,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        flag: header.flag,
        properties: Some(properties),
        reconsume_times: header.reconsume_times,
        unit_mode: header.unit_mode,
        born_host: address(born_host),
        store_host: address(broker.store_host),
        store_timestamp: now,
    };
    RemotingCommand::request_with(RequestCode::PushReplyMessageToClient, &pushed)
}

/// `ip:port`, without the brackets that an IPv6 address would get.
fn address(host: SocketAddr) -> String {
    format!("{}:{}", host.ip(), host.port())
}

async fn push_to(channel: &Channel, client: &str, push: RemotingCommand) -> Result<(), String> {
    match channel.invoke(push, PUSH_TIMEOUT).await {
        Ok(answer) if answer.code == ResponseCode::Success as i32 => return Ok(()),
        Ok(answer) => warn!(client, code = answer.code, remark = answer.remark, "the client does not take its reply"),
        Err(error) => warn!(client, %error, "reply not pushed"),
    }
    Err(format!("push reply message to {client}fail."))
}

/// Stores the reply where that is wanted, and answers.
fn finish(broker: &Arc<Broker>, reply: &Reply, pushed: Result<(), String>, responder: Responder) {
    let mut response = send::response(&broker.config(), ResponseCode::Success);
    // Clients read these fields of a success, so they are there also when nothing is stored.
    let mut stored = pushed.is_ok().then(|| ("0".to_owned(), 0));
    if let Err(remark) = pushed {
        response.code = ResponseCode::SystemError as i32;
        response.remark = Some(remark);
    }
    if broker.config().broker.store_reply_message_enable
        && let Some(appended) = store(broker, reply)
    {
        let id = OffsetMessageId { host: broker.store_host, offset: appended.physical_offset };
        stored = Some((id.to_string(), appended.queue_offset));
    }
    if let Some((id, queue_offset)) = stored {
        response.fields.push_str("msgId", &id);
        response.fields.push_int("queueId", reply.queue_id.into());
        response.fields.push_int("queueOffset", queue_offset);
    }
    responder.send(response);
}

/// A reply that cannot be stored is none the less answered.
fn store(broker: &Broker, reply: &Reply) -> Option<hypergol_store::Appended> {
    if reply.request.body.is_empty() {
        return None;
    }
    let message = NewMessage {
        topic: &reply.topic,
        queue_id: reply.queue_id,
        flag: reply.flag,
        sys_flag: reply.sys_flag,
        born_timestamp: reply.born_timestamp,
        born_host: reply.born_host,
        store_host: broker.store_host,
        reconsume_times: reply.reconsume_times,
        prepared_transaction_offset: 0,
        body: &reply.request.body,
        properties: reply.properties.as_bytes(),
    };
    match broker.store.put(&message) {
        Ok(appended) => {
            let system = broker.topics.is_system(&reply.topic);
            broker.stats.put(&reply.topic, reply.queue_id, 1, i64::from(appended.size), 0, system);
            Some(appended)
        }
        Err(error) => {
            warn!(topic = reply.topic, %error, "reply not stored");
            None
        }
    }
}
