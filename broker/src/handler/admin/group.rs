//! Consumer groups: create, change, delete, list, forbid (200, 201, 207, 225, 352, 353).

use std::sync::Arc;

use hypergol_remoting::protocol::body::group::{
    GroupForbidden, SubscriptionGroupConfig, SubscriptionGroupList, SubscriptionGroupWrapper,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::group::{
    DeleteSubscriptionGroupRequestHeader, GetAllSubscriptionGroupRequestHeader, GetAllSubscriptionGroupResponseHeader,
    GetSubscriptionGroupConfigRequestHeader, UpdateGroupForbiddenRequestHeader,
};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};

use super::{Answer, Refusal, answer, answer_blocking, attributes, json, when_written};
use crate::context::Broker;
use crate::groups::FORBIDDEN_READ;
use crate::names;

/// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP (200).
pub fn update(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    change(
        broker,
        SubscriptionGroupConfig::decode(&request.body).map(|group| vec![group]).map_err(Refusal::from),
        responder,
    );
}

/// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST (225): all or none.
pub fn update_list(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let groups = SubscriptionGroupList::decode(&request.body).map(|list| list.group_config_list);
    change(broker, groups.map_err(Refusal::from), responder);
}

fn change(broker: &Arc<Broker>, groups: Result<Vec<SubscriptionGroupConfig>, Refusal>, responder: Responder) {
    let checked = groups.and_then(|groups| {
        for group in &groups {
            names::check_group(&group.group_name).map_err(Refusal::invalid)?;
        }
        groups.into_iter().map(|group| with_attributes(broker, group)).collect()
    });
    match checked {
        Ok(groups) => broker.groups.update(groups, when_written(responder)),
        Err(refusal) => answer(responder, Err(refusal)),
    }
}

/// Works out the attributes of a group, which are still changes (`+key`, `-key`).
fn with_attributes(broker: &Broker, mut group: SubscriptionGroupConfig) -> Result<SubscriptionGroupConfig, Refusal> {
    let current = broker.groups.get(&group.group_name);
    let current = current.as_ref().map(|group| &group.attributes);
    group.attributes = attributes::alter(attributes::OF_GROUPS, current, &group.attributes).map_err(Refusal::failed)?;
    Ok(group)
}

/// GET_SUBSCRIPTIONGROUP_CONFIG (352).
pub fn one(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let name = request.header::<GetSubscriptionGroupConfigRequestHeader>()?.group;
    let group = broker
        .groups
        .find_or_create(&broker.config().broker, &name)
        .ok_or_else(|| Refusal::new(ResponseCode::SubscriptionGroupNotExist, "No group in this broker"))?;
    json(&*group)
}

/// GET_ALL_SUBSCRIPTIONGROUP_CONFIG (201): the whole table, or a page of it.
pub fn all(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header = match request.header::<GetAllSubscriptionGroupRequestHeader>() {
        Ok(header) => header,
        Err(error) => return answer(responder, Err(error.into())),
    };
    let broker = broker.clone();
    answer_blocking(responder, move || {
        let mut body: SubscriptionGroupWrapper = broker.groups.wrapper();
        let total = body.subscription_group_table.len() as i32;
        let settings = broker.config();
        let paged = header.group_seq.is_some() || header.data_version.is_some() || header.max_group_num.is_some();
        if settings.broker.enable_split_metadata && paged {
            // Another version than the caller's starts again from the first group.
            let same = header
                .data_version
                .as_deref()
                .is_none_or(|version| version.is_empty() || version.as_bytes() == body.data_version.encode());
            let from = if same { header.group_seq.unwrap_or(0).max(0) as usize } else { 0 };
            let count = settings.broker.split_metadata_size.min(header.max_group_num.unwrap_or(i32::MAX)).max(0);
            body.subscription_group_table =
                body.subscription_group_table.into_iter().skip(from).take(count as usize).collect();
            let kept = &body.subscription_group_table;
            body.forbidden_table.retain(|group, _| kept.contains_key(group));
        }
        Ok(json(&body)?.with_header(&GetAllSubscriptionGroupResponseHeader { total_group_num: total }))
    });
}

/// DELETE_SUBSCRIPTIONGROUP (207).
pub fn delete(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header = match request.header::<DeleteSubscriptionGroupRequestHeader>() {
        Ok(header) => header,
        Err(error) => return answer(responder, Err(error.into())),
    };
    broker.pop.in_flight.clear_group(&header.group_name);
    if header.clean_offset {
        broker.offsets.remove_group(&header.group_name);
        broker.pop.forget_group(&header.group_name);
        broker.lite.forget_group(&header.group_name);
    }
    if broker.config().broker.auto_delete_unused_stats {
        broker.stats.forget_group(&header.group_name);
    }
    broker.groups.delete(&header.group_name, when_written(responder));
}

/// UPDATE_AND_GET_GROUP_FORBIDDEN (353): whether a group may read a topic.
pub fn forbidden(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<UpdateGroupForbiddenRequestHeader>()?;
    let (group, topic) = (&header.group, &header.topic);
    if let Some(readable) = header.readable {
        let bits = broker.groups.forbidden(group, topic);
        let bits = if readable { bits & !FORBIDDEN_READ } else { bits | FORBIDDEN_READ };
        broker.groups.set_forbidden(group, topic, bits);
    }
    let readable = !broker.groups.is_forbidden(group, topic, FORBIDDEN_READ);
    let body = GroupForbidden { group: group.clone(), topic: topic.clone(), readable: Some(readable) };
    Ok(json(&body)?.with_remark(""))
}
