//! The store: figures (28) and cleaning by hand (306, 316, 329). All of it works on files: not for a connection's task.

use std::sync::Arc;

use hypergol_remoting::RemotingCommand;
use hypergol_store::light;

use super::{Answer, json};
use crate::context::Broker;
use crate::runtime_info;

/// GET_BROKER_RUNTIME_INFO (28).
pub fn runtime_info(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    json(&runtime_info::collect(broker))
}

/// CLEAN_EXPIRED_CONSUMEQUEUE (306).
pub fn clean_expired_queues(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    broker.store.clean_expired_queues();
    Ok(RemotingCommand::success())
}

/// DELETE_EXPIRED_COMMITLOG (329).
pub fn delete_expired_commit_log(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    broker.store.delete_expired_commit_log();
    Ok(RemotingCommand::success())
}

/// CLEAN_UNUSED_TOPIC (316): drops the queues of topics that have no settings, but never light queues.
pub fn clean_unused_topics(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    let dropped = broker.store.clean_unused_topics(&|topic| light::is_light(topic) || broker.topics.contains(topic));
    tracing::info!(?dropped, "queues of unused topics dropped");
    Ok(RemotingCommand::success())
}
