//! The broker's configuration at run time (25, 26).

use std::sync::Arc;

use hypergol_config::ConfigError;
use hypergol_remoting::protocol::header::admin::GetBrokerConfigResponseHeader;
use hypergol_remoting::{RemotingCommand, ResponseCode};

use super::{Answer, Refusal};
use crate::context::Broker;

/// Keys that nobody may change over the network, beside those of `configBlackList`.
const BLACK_LIST: [&str; 3] = ["brokerConfigPath", "rocketmqHome", "configBlackList"];

/// UPDATE_BROKER_CONFIG (25). Writes a file: not for a connection's task.
pub fn update(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    if request.body.is_empty() {
        return Ok(RemotingCommand::success());
    }
    let settings = broker.config();
    let configured = settings.broker.config_black_list.split(';').filter(|key| !key.is_empty());
    let black_list: Vec<&str> = BLACK_LIST.into_iter().chain(configured).collect();
    let report = broker.settings.update(&request.body, &black_list).map_err(|error| match error {
        ConfigError::NotAllowed(_) => Refusal::new(ResponseCode::NoPermission, "Can not update config in black list."),
        error => Refusal::failed(error.to_string()),
    })?;
    broker.admin.config_changed(broker, &report);
    Ok(RemotingCommand::success())
}

/// GET_BROKER_CONFIG (26).
pub fn get(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    let header = GetBrokerConfigResponseHeader { version: broker.admin.config_version() };
    Ok(RemotingCommand::success().with_header(&header).with_body(broker.settings.text()))
}
