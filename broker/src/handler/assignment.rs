//! QUERY_ASSIGNMENT and SET_MESSAGE_REQUEST_MODE.

use std::sync::Arc;

use hypergol_remoting::protocol::body::assignment::{
    MessageQueueAssignment, MessageRequestMode, QueryAssignmentRequestBody, QueryAssignmentResponseBody,
    SetMessageRequestModeRequestBody,
};
use hypergol_remoting::protocol::body::heartbeat::MessageModel;
use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::light;
use tracing::debug;

use crate::assignment::{AssignmentError, Strategy, allocate, allocate_for_pop};
use crate::config::{self, MessageRequestMode as ConfiguredMode};
use crate::context::Broker;
use crate::retry::RETRY_PREFIX;

/// QUERY_ASSIGNMENT: which queues a client of a group consumes, and whether it pulls or pops them. The answer is `{}`
/// where that cannot be said; the client then keeps what it has.
pub fn query_assignment(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let query = match QueryAssignmentRequestBody::decode(&request.body) {
        Ok(query) => query,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let Some(model) = query.message_model else {
        return responder.error(ResponseCode::SystemError, "messageModel is null");
    };
    let broker = broker.clone();
    // The route may have to be asked for.
    tokio::spawn(async move {
        let mode = mode(&broker, &query);
        let message_queue_assignments = match queues(&broker, &query, model, &mode).await {
            Ok(queues) => queues.map(|queues| queues.into_iter().map(|queue| assign(queue, mode.mode)).collect()),
            Err(error) => {
                debug!(group = query.consumer_group, topic = query.topic, %error, "no assignment");
                None
            }
        };
        let body = QueryAssignmentResponseBody { message_queue_assignments };
        responder.send(RemotingCommand::success().with_body(body.encode()));
    });
}

fn assign(queue: MessageQueue, mode: MessageRequestMode) -> MessageQueueAssignment {
    MessageQueueAssignment { attachments: None, message_queue: Some(queue), mode }
}

/// What was set for group and topic, else the broker's default; retry topics are pulled.
fn mode(broker: &Broker, query: &QueryAssignmentRequestBody) -> SetMessageRequestModeRequestBody {
    if let Some(mode) = broker.request_modes.get(&query.topic, &query.consumer_group) {
        return mode;
    }
    let settings = broker.config();
    let pops =
        settings.broker.default_message_request_mode == ConfiguredMode::Pop && !query.topic.starts_with(RETRY_PREFIX);
    SetMessageRequestModeRequestBody {
        consumer_group: query.consumer_group.clone(),
        mode: if pops { MessageRequestMode::Pop } else { MessageRequestMode::Pull },
        pop_share_queue_num: if pops { settings.broker.default_pop_share_queue_num } else { 0 },
        topic: query.topic.clone(),
    }
}

async fn queues(
    broker: &Broker,
    query: &QueryAssignmentRequestBody,
    model: MessageModel,
    mode: &SetMessageRequestModeRequestBody,
) -> Result<Option<Vec<MessageQueue>>, AssignmentError> {
    let topic = query.topic.as_str();
    let all = match model {
        MessageModel::LiteSelective => return Ok(None),
        // Light queues have no route.
        MessageModel::Clustering if light::is_light(topic) => {
            let broker_name = broker.config().broker.broker_name.clone();
            Some(vec![MessageQueue::new(topic, broker_name, light::QUEUE_ID)])
        }
        MessageModel::Clustering | MessageModel::Broadcasting => topic_queues(broker, topic).await,
    };
    let Some(all) = all else { return Ok(None) };
    if model == MessageModel::Broadcasting || !broker.config().broker.server_load_balancer_enable {
        return Ok(Some(all));
    }
    let Some(members) = broker.consumers.client_ids(&query.consumer_group) else { return Ok(None) };
    let strategy = Strategy::from_name(query.strategy_name.as_deref().unwrap_or_default())?;
    let client_id = query.client_id.as_str();
    if mode.mode == MessageRequestMode::Pop {
        allocate_for_pop(strategy, client_id, &all, &members, mode.pop_share_queue_num).map(Some)
    } else {
        allocate(strategy, client_id, &all, &members).map(Some)
    }
}

async fn topic_queues(broker: &Broker, topic: &str) -> Option<Vec<MessageQueue>> {
    let name_servers = config::name_server_addresses(&broker.config());
    broker.topic_routes.route(&broker.client, &name_servers, topic).await.map(|route| route.readable.clone())
}

/// SET_MESSAGE_REQUEST_MODE: has a group pull or pop a topic from now on. Answered when that is on disk.
pub fn set_request_mode(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let mode = match SetMessageRequestModeRequestBody::decode(&request.body) {
        Ok(mode) => mode,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    if mode.topic.starts_with(RETRY_PREFIX) {
        return responder.error(ResponseCode::NoPermission, "retry topic is not allowed to set mode");
    }
    if !broker.topics.contains(&mode.topic) {
        return responder.error(ResponseCode::TopicNotExist, format!("topic[{}] not exist", mode.topic));
    }
    if broker.groups.find_or_create(&broker.config().broker, &mode.consumer_group).is_none() {
        return responder.error(ResponseCode::SubscriptionGroupNotExist, "subscription group does not exist");
    }
    let written = move |result| match result {
        Ok(()) => responder.success(),
        Err(reason) => responder.error(ResponseCode::SystemError, reason),
    };
    broker.request_modes.set(mode, Box::new(written));
}

/// GET_ALL_MESSAGE_REQUEST_MODE: every mode that was set.
pub fn all_request_modes(broker: &Arc<Broker>, _request: RemotingCommand, responder: Responder) {
    responder.send(RemotingCommand::success().with_body(broker.request_modes.encode()));
}
