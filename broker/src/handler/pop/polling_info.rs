//! POLLING_INFO: how many pops wait for a queue.

use std::sync::Arc;

use hypergol_remoting::protocol::header::pop::{PollingInfoRequestHeader, PollingInfoResponseHeader};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};

use super::{readable_broker, topic_and_group};
use crate::context::Broker;
use crate::pop::QueueKey;

/// Answers the number.
pub fn polling_info(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header: PollingInfoRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let config = broker.config();
    let (topic, group, queue_id) = (&header.topic, &header.consumer_group, header.queue_id);
    let checked = readable_broker(&config, "peeking message")
        .and_then(|()| topic_and_group(broker, &config, topic, group, queue_id, &responder));
    if let Err(refused) = checked {
        return responder.send(*refused);
    }
    let waiting = broker.pop.held.waiting(&QueueKey::new(topic, group, queue_id));
    let header = PollingInfoResponseHeader { polling_num: i32::try_from(waiting).unwrap_or(i32::MAX) };
    responder.send(RemotingCommand::success().with_header(&header));
}
