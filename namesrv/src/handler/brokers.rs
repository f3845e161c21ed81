//! What is asked of the broker sets.

use hypergol_remoting::RemotingCommand;
use hypergol_remoting::protocol::body::route::GetBrokerMemberGroupResponseBody;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::route::GetBrokerMemberGroupRequestHeader;

use crate::context::Context;
use crate::error::NamesrvError;

/// GET_BROKER_CLUSTER_INFO.
pub(crate) fn cluster_info(context: &Context) -> RemotingCommand {
    RemotingCommand::success().with_body(context.brokers.load().cluster_info().encode())
}

/// GET_BROKER_MEMBER_GROUP.
pub(crate) fn member_group(context: &Context, request: &RemotingCommand) -> Result<RemotingCommand, NamesrvError> {
    let header: GetBrokerMemberGroupRequestHeader = request.header()?;
    let group = context.brokers.load().member_group(header.cluster_name, header.broker_name);
    let body = GetBrokerMemberGroupResponseBody { broker_member_group: Some(group) };
    Ok(RemotingCommand::success().with_body(body.encode()))
}

/// GET_SYSTEM_TOPIC_LIST_FROM_NS.
pub(crate) fn system_topics(context: &Context) -> RemotingCommand {
    RemotingCommand::success().with_body(context.brokers.load().system_topics().encode())
}
