//! Requests handed on to a consumer, and its answer handed back (307, 309). Bodies pass through byte for byte: the
//! clients' JSON differs from language to language.

use std::sync::Arc;
use std::time::Duration;

use hypergol_remoting::message::OffsetMessageId;
use hypergol_remoting::protocol::header::HeaderError;
use hypergol_remoting::protocol::header::client::{
    ConsumeMessageDirectlyResultRequestHeader, GetConsumerRunningInfoRequestHeader,
};
use hypergol_remoting::{InvokeError, RemotingCommand, RequestCode, Responder, ResponseCode};

use super::{Answer, Refusal, answer, broker_name};
use crate::context::Broker;

/// Ordinal of V3_1_8_SNAPSHOT, the first version whose clients take these calls.
const VERSION_CALLED: i32 = 62;
/// How long the client may take: Java's `Broker2Client.callClient`.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// GET_CONSUMER_RUNNING_INFO (307).
pub fn running_info(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let header: Result<GetConsumerRunningInfoRequestHeader, HeaderError> = request.header();
    match header {
        Ok(header) => {
            let code = RequestCode::GetConsumerRunningInfo;
            call(broker, code, request, header.consumer_group, header.client_id, responder);
        }
        Err(error) => answer(responder, Err(error.into())),
    }
}

/// CONSUME_MESSAGE_DIRECTLY (309): the broker adds the message and what the client needs to know of it.
pub fn consume_directly(broker: &Arc<Broker>, mut request: RemotingCommand, responder: Responder) {
    let header = match request.header::<ConsumeMessageDirectlyResultRequestHeader>() {
        Ok(header) => header,
        Err(error) => return answer(responder, Err(error.into())),
    };
    request.fields.set("brokerName", &broker_name(broker));
    if let Some(topic) = header.topic.as_deref().and_then(|topic| broker.topics.get(topic)) {
        request.fields.set("topicSysFlag", &topic.topic_sys_flag.to_string());
    }
    if let Some(group) = broker.groups.get(&header.consumer_group) {
        request.fields.set("groupSysFlag", &group.group_sys_flag.to_string());
    }
    let message_id = header.msg_id.unwrap_or_default();
    let Ok(id) = message_id.parse::<OffsetMessageId>() else {
        return answer(responder, Err(Refusal::failed(format!("{message_id:?} is not a message id"))));
    };
    let broker = broker.clone();
    tokio::task::spawn_blocking(move || {
        let Some(record) = broker.store.record_at(id.offset) else {
            return answer(responder, Err(Refusal::failed(format!("no message at {}", id.offset))));
        };
        request.body = record;
        let client_id = header.client_id.unwrap_or_default();
        let code = RequestCode::ConsumeMessageDirectly;
        call(&broker, code, request, header.consumer_group, client_id, responder);
    });
}

fn call(
    broker: &Arc<Broker>,
    code: RequestCode,
    request: RemotingCommand,
    group: String,
    client_id: String,
    responder: Responder,
) {
    let Some(client) = broker.consumers.channel_of(&group, &client_id) else {
        let remark = format!("The Consumer <{group}> <{client_id}> not online");
        return answer(responder, Err(Refusal::failed(remark)));
    };
    if client.version < VERSION_CALLED {
        let remark = format!(
            "The Consumer <{client_id}> Version <{}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT",
            client.version
        );
        return answer(responder, Err(Refusal::failed(remark)));
    }
    let mut relayed = RemotingCommand::request(code);
    relayed.fields = request.fields;
    relayed.body = request.body;
    tokio::spawn(async move {
        let told: Answer = match client.channel.invoke(relayed, CALL_TIMEOUT).await {
            Ok(told) => Ok(told),
            Err(error @ InvokeError::Timeout { .. }) => Err(Refusal::new(
                ResponseCode::ConsumeMsgTimeout,
                format!("consumer <{group}> <{client_id}> Timeout: {error}"),
            )),
            Err(error) => Err(Refusal::failed(format!("invoke consumer <{group}> <{client_id}> Exception: {error}"))),
        };
        answer(responder, told);
    });
}
