//! What administrators ask: KV configuration, configuration, lists of topics. These may touch files or every topic and
//! run on the admin thread, but for the cheap ones.

use hypergol_remoting::RemotingCommand;
use hypergol_remoting::protocol::body::topic::TopicList;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::route::{
    DeleteKVConfigRequestHeader, GetKVConfigRequestHeader, GetKVConfigResponseHeader,
    GetKVListByNamespaceRequestHeader, GetTopicsByClusterRequestHeader, PutKVConfigRequestHeader,
};
use tracing::{info, warn};

use crate::context::Context;
use crate::error::NamesrvError;
use crate::topics::Topic;

/// Keys that can never be changed from outside, whatever `configBlackList` says.
const BLACK_LIST: [&str; 4] = ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];

/// `topicSysFlag` bit: a unit topic.
const SYS_FLAG_UNIT: i32 = 1;
/// `topicSysFlag` bit: has subscriptions of units.
const SYS_FLAG_UNIT_SUB: i32 = 1 << 1;

type Answer = Result<RemotingCommand, NamesrvError>;

/// PUT_KV_CONFIG.
pub(crate) fn put_kv(context: &Context, request: RemotingCommand) -> Answer {
    let header: PutKVConfigRequestHeader = request.header()?;
    context.kv.put(&header.namespace, &header.key, &header.value)?;
    Ok(RemotingCommand::success())
}

/// GET_KV_CONFIG.
pub(crate) fn get_kv(context: &Context, request: &RemotingCommand) -> Answer {
    let header: GetKVConfigRequestHeader = request.header()?;
    match context.kv.get(&header.namespace, &header.key) {
        Some(value) => Ok(RemotingCommand::success().with_header(&GetKVConfigResponseHeader { value: Some(value) })),
        None => Err(NamesrvError::NoKv { namespace: header.namespace, key: Some(header.key) }),
    }
}

/// DELETE_KV_CONFIG.
pub(crate) fn delete_kv(context: &Context, request: RemotingCommand) -> Answer {
    let header: DeleteKVConfigRequestHeader = request.header()?;
    context.kv.delete(&header.namespace, &header.key)?;
    Ok(RemotingCommand::success())
}

/// GET_KVLIST_BY_NAMESPACE.
pub(crate) fn list_kv(context: &Context, request: RemotingCommand) -> Answer {
    let header: GetKVListByNamespaceRequestHeader = request.header()?;
    match context.kv.list(&header.namespace) {
        Some(table) => Ok(RemotingCommand::success().with_body(table)),
        None => Err(NamesrvError::NoKv { namespace: header.namespace, key: None }),
    }
}

/// UPDATE_NAMESRV_CONFIG.
pub(crate) fn update_config(context: &Context, request: RemotingCommand) -> Answer {
    let settings = context.config.load();
    let listed = settings.namesrv.config_black_list.split(';').map(str::trim).filter(|key| !key.is_empty());
    let black_list: Vec<_> = BLACK_LIST.into_iter().chain(listed).collect();
    let report = context.config.update(&request.body, &black_list)?;
    for change in &report.changed {
        info!(key = change.name, from = change.from, to = change.to, live = change.live, "configuration changed");
    }
    if !report.ignored.is_empty() {
        warn!(keys = ?report.ignored, "no such configuration keys, not changed");
    }
    Ok(RemotingCommand::success())
}

/// GET_NAMESRV_CONFIG.
pub(crate) fn get_config(context: &Context) -> RemotingCommand {
    RemotingCommand::success().with_body(context.config.text())
}

/// GET_ALL_TOPIC_LIST_FROM_NAMESERVER.
pub(crate) fn all_topics(context: &Context, _: RemotingCommand) -> Answer {
    if !context.config.load().namesrv.enable_all_topic_list {
        return Err(NamesrvError::Disabled);
    }
    Ok(list(context, |_| true))
}

/// GET_TOPICS_BY_CLUSTER; empty for a cluster that is not there.
pub(crate) fn topics_of_cluster(context: &Context, request: RemotingCommand) -> Answer {
    if_enabled(context)?;
    let header: GetTopicsByClusterRequestHeader = request.header()?;
    let brokers = context.brokers.load();
    let Some(names) = brokers.clusters.get(&header.cluster) else { return Ok(list(context, |_| false)) };
    Ok(list(context, |topic| topic.queues.iter().any(|queues| names.contains(&*queues.broker))))
}

/// GET_UNIT_TOPIC_LIST.
pub(crate) fn unit_topics(context: &Context, _: RemotingCommand) -> Answer {
    if_enabled(context)?;
    Ok(list(context, |topic| sys_flag(topic) & SYS_FLAG_UNIT != 0))
}

/// GET_HAS_UNIT_SUB_TOPIC_LIST.
pub(crate) fn unit_sub_topics(context: &Context, _: RemotingCommand) -> Answer {
    if_enabled(context)?;
    Ok(list(context, |topic| sys_flag(topic) & SYS_FLAG_UNIT_SUB != 0))
}

/// GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST.
pub(crate) fn unit_sub_ununit_topics(context: &Context, _: RemotingCommand) -> Answer {
    if_enabled(context)?;
    Ok(list(context, |topic| sys_flag(topic) & (SYS_FLAG_UNIT | SYS_FLAG_UNIT_SUB) == SYS_FLAG_UNIT_SUB))
}

fn if_enabled(context: &Context) -> Result<(), NamesrvError> {
    if context.config.load().namesrv.enable_topic_list { Ok(()) } else { Err(NamesrvError::Disabled) }
}

/// The flags of a topic on one of its brokers, as in Java.
fn sys_flag(topic: &Topic) -> i32 {
    topic.queues.first().map_or(0, |queues| queues.sys_flag)
}

fn list(context: &Context, wanted: impl Fn(&Topic) -> bool) -> RemotingCommand {
    let list = TopicList { broker_addr: None, topic_list: context.topics.names(wanted) };
    RemotingCommand::success().with_body(list.encode())
}
