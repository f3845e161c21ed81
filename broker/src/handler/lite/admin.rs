//! What administrators ask of lite topics (200074 to 200079). Java: `LiteManagerProcessor`.

use std::sync::Arc;

use hypergol_remoting::protocol::body::group::SubscriptionGroupConfig;
use hypergol_remoting::protocol::body::lite::{
    ClientGroup, GetBrokerLiteInfoResponseBody, GetLiteClientInfoResponseBody, GetLiteGroupInfoResponseBody,
    GetLiteTopicInfoResponseBody, GetParentTopicInfoResponseBody,
};
use hypergol_remoting::protocol::body::offset::{OffsetWrapper, TopicOffset};
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::protocol::header::lite::{
    GetLiteClientInfoRequestHeader, GetLiteGroupInfoRequestHeader, GetLiteTopicInfoRequestHeader,
    GetParentTopicInfoRequestHeader, TriggerLiteDispatchRequestHeader,
};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};

use crate::context::Broker;
use crate::handler::admin::{Answer, Refusal, answer, answer_blocking, json};
use crate::lite::{attributes, lag, names, sharding};

/// Entries of one answer. Java: MAX_RETURN_COUNT.
const ENTRIES_MAX: usize = 10_000;

/// GET_BROKER_LITE_INFO (200074).
pub fn of_broker(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let store = &broker.config().store;
    json(&GetBrokerLiteInfoResponseBody {
        store_type: Some(store.store_type.clone()),
        max_lmq_num: store.max_lmq_consume_queue_num,
        current_lmq_num: count(broker.store.light_queues()),
        lite_subscription_count: count(broker.lite.subscriptions.active()),
        order_info_count: count(broker.lite.orders.len()),
        cq_table_size: count(broker.store.topics().len()),
        offset_table_size: count(broker.offsets.committed_pairs()),
        event_map_size: count(broker.lite.events.clients()),
        topic_meta: Some(attributes::parents(&broker.topics)),
        group_meta: Some(attributes::groups_of_parents(&broker.groups)),
    })
}

/// The settings of a parent topic.
fn parent(broker: &Broker, name: &str) -> Result<Arc<TopicConfig>, Refusal> {
    let not_there = || Refusal::new(ResponseCode::TopicNotExist, format!("Topic [{name}] not exist."));
    let topic = broker.topics.get(name).ok_or_else(not_there)?;
    if !attributes::is_parent(&topic) {
        return Err(Refusal::invalid(format!("Topic [{name}] type not match.")));
    }
    Ok(topic)
}

fn existing_group(broker: &Broker, name: &str) -> Result<Arc<SubscriptionGroupConfig>, Refusal> {
    let not_there = || Refusal::new(ResponseCode::SubscriptionGroupNotExist, format!("Group [{name}] not exist."));
    broker.groups.find_or_create(&broker.config().broker, name).ok_or_else(not_there)
}

/// A group and the parent topic that it is bound to.
fn bound_group(broker: &Broker, name: &str) -> Result<String, Refusal> {
    let group = existing_group(broker, name)?;
    let parent = attributes::bind_topic(&group).map(str::to_owned);
    parent.ok_or_else(|| Refusal::invalid(format!("Group [{name}] is not a LITE group.")))
}

/// GET_PARENT_TOPIC_INFO (200075).
pub fn of_parent(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let name = request.header::<GetParentTopicInfoRequestHeader>()?.topic;
    let topic = parent(broker, &name)?;
    let queues = broker.store.topics();
    let lite = queues.iter().filter(|(queue, _)| names::belongs_to(queue, &name)).count();
    json(&GetParentTopicInfoResponseBody {
        ttl: attributes::ttl_minutes(&topic),
        lmq_num: i32::try_from(broker.store.light_queues()).unwrap_or(i32::MAX),
        lite_topic_count: i32::try_from(lite).unwrap_or(i32::MAX),
        groups: attributes::groups_of_parents(&broker.groups).remove(&name),
        topic: name,
    })
}

/// GET_LITE_TOPIC_INFO (200076).
pub fn of_lite_topic(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header = match request.header::<GetLiteTopicInfoRequestHeader>() {
        Ok(header) => header,
        Err(error) => return answer(responder, Err(error.into())),
    };
    let broker = broker.clone();
    // The route of the parent may have to be asked for.
    tokio::spawn(async move {
        let (name, lite) = (header.parent_topic.unwrap_or_default(), header.lite_topic.unwrap_or_default());
        let queue = names::queue_of(&name, &lite);
        let is_here = match &queue {
            Some(queue) => sharding::is_here(&broker, &name, queue).await,
            None => true,
        };
        answer_blocking(responder, move || lite_topic_info(&broker, name, lite, queue.as_deref(), is_here));
    });
}

fn lite_topic_info(broker: &Broker, name: String, lite: String, queue: Option<&str>, is_here: bool) -> Answer {
    parent(broker, &name)?;
    let max = queue.map_or(0, |queue| broker.store.max_offset(queue, 0)).max(0);
    let offset = match queue.filter(|_| max > 0) {
        Some(queue) => TopicOffset {
            min_offset: broker.store.min_offset(queue, 0).max(0),
            max_offset: max,
            last_update_timestamp: broker.store.store_time_of(queue, 0, max - 1),
        },
        None => TopicOffset::default(),
    };
    let mut subscribers = Vec::new();
    for (group, members) in queue.map(|queue| broker.lite.subscriptions.members_by_group(queue)).unwrap_or_default() {
        let is_wildcard = broker.groups.get(&group).is_some_and(|group| attributes::is_wildcard(&group));
        let of = |client: &str| ClientGroup { client_id: client.to_owned(), group: group.to_string() };
        match is_wildcard {
            true => subscribers.push(of("*")),
            false => subscribers.extend(members.iter().map(|member| of(&member.client))),
        }
    }
    json(&GetLiteTopicInfoResponseBody {
        parent_topic: name,
        lite_topic: lite,
        sharding_to_broker: is_here,
        subscriber: Some(subscribers),
        topic_offset: Some(offset),
    })
}

/// GET_LITE_CLIENT_INFO (200077).
pub fn of_client(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<GetLiteClientInfoRequestHeader>()?;
    let parent_topic = header.parent_topic.unwrap_or_default();
    let group = header.group.unwrap_or_default();
    let client_id = header.client_id.unwrap_or_default();
    parent(broker, &parent_topic)?;
    if attributes::bind_topic(&*existing_group(broker, &group)?) != Some(&parent_topic) {
        return Err(Refusal::invalid(format!("Subscription [{group}]-[{parent_topic}] not match.")));
    }
    let subscribed = broker.lite.subscriptions.of_client(&client_id);
    let count = subscribed.as_ref().map_or(-1, |queues| i32::try_from(queues.len()).unwrap_or(i32::MAX));
    let max = usize::try_from(header.max_count).unwrap_or(0).min(ENTRIES_MAX);
    let names = |queues: Vec<Arc<str>>| queues.iter().take(max).map(|queue| queue.to_string()).collect();
    json(&GetLiteClientInfoResponseBody {
        last_access_time: broker.lite.events.last_pop_ms(&client_id),
        last_consume_time: 0,
        lite_topic_count: count,
        lite_topic_set: subscribed.map(names),
        parent_topic,
        group,
        client_id,
    })
}

/// GET_LITE_GROUP_INFO (200078). Reads the log: not for a connection's task.
pub fn of_group(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<GetLiteGroupInfoRequestHeader>()?;
    let group = header.group;
    let parent_topic = bound_group(broker, &group)?;
    let mut body = GetLiteGroupInfoResponseBody {
        parent_topic: Some(parent_topic.clone()),
        lite_topic: header.lite_topic.clone(),
        ..Default::default()
    };
    match header.lite_topic.filter(|lite| !lite.is_empty()) {
        None => {
            let count = usize::try_from(header.top_k).unwrap_or(0).min(ENTRIES_MAX);
            let (most, total) = lag::most(broker, &group, count);
            let oldest = broker.lite.lags.oldest(broker, &group, count);
            body.total_lag_count = total;
            body.earliest_unconsumed_timestamp = oldest.first().map_or(-1, |lag| lag.earliest_unconsumed_timestamp);
            body.lag_count_top_k = Some(most);
            body.lag_timestamp_top_k = Some(oldest);
        }
        Some(lite) => of_one(broker, &group, names::queue_of(&parent_topic, &lite).as_deref(), &mut body),
    }
    body.group = group;
    json(&body)
}

fn of_one(broker: &Broker, group: &str, queue: Option<&str>, body: &mut GetLiteGroupInfoResponseBody) {
    let Some((queue, max)) = queue.map(|queue| (queue, broker.store.max_offset(queue, 0))).filter(|(_, max)| *max > 0)
    else {
        body.total_lag_count = -1;
        body.earliest_unconsumed_timestamp = -1;
        return;
    };
    let Some(committed) = broker.offsets.committed(queue, group, 0, true) else { return };
    let time = |offset| broker.store.store_time_of(queue, 0, offset);
    body.total_lag_count = max.saturating_sub(committed);
    body.earliest_unconsumed_timestamp = time(committed);
    body.lite_topic_offset_wrapper = Some(OffsetWrapper {
        broker_offset: max,
        consumer_offset: committed,
        last_timestamp: if committed > 0 { time(committed - 1) } else { 0 },
        ..OffsetWrapper::default()
    });
}

/// TRIGGER_LITE_DISPATCH (200079): looks at all lite topics of a client, or of all clients of a group.
pub fn trigger_dispatch(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<TriggerLiteDispatchRequestHeader>()?;
    bound_group(broker, &header.group)?;
    match header.client_id.filter(|client| !client.is_empty()) {
        Some(client) => broker.lite.look_at(broker, &client, &header.group),
        None => broker.lite.look_at_group(broker, &header.group),
    }
    Ok(RemotingCommand::success())
}
