//! Who is connected and who consumes what (203, 204, 300, 328, 343, 345).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hypergol_remoting::protocol::body::assignment::QuerySubscriptionResponseBody;
use hypergol_remoting::protocol::body::connection::{
    Connection, ConsumerConnection, ProducerConnection, ProducerInfo, ProducerTableInfo,
};
use hypergol_remoting::protocol::body::group::GroupList;
use hypergol_remoting::protocol::body::topic::TopicList;
use hypergol_remoting::protocol::header::client::{
    GetConsumerConnectionListRequestHeader, GetProducerConnectionListRequestHeader,
};
use hypergol_remoting::protocol::header::group::QuerySubscriptionByConsumerRequestHeader;
use hypergol_remoting::protocol::header::topic::{
    QueryTopicConsumeByWhoRequestHeader, QueryTopicsByConsumerRequestHeader,
};
use hypergol_remoting::{RemotingCommand, ResponseCode};

use super::{Answer, Refusal, json};
use crate::clients::ClientInfo;
use crate::context::Broker;

fn connection(client: &ClientInfo) -> Connection {
    Connection {
        client_addr: client.channel.peer().to_string(),
        client_id: client.client_id.clone(),
        language: Some(client.language),
        version: client.version,
    }
}

/// GET_CONSUMER_CONNECTION_LIST (203).
pub fn of_consumers(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let group = request.header::<GetConsumerConnectionListRequestHeader>()?.consumer_group;
    let view = broker.consumers.view(&group).ok_or_else(|| {
        Refusal::new(ResponseCode::ConsumerNotOnline, format!("the consumer group[{group}] not online"))
    })?;
    let subscriptions =
        view.subscriptions.iter().map(|subscription| (subscription.topic.clone(), (**subscription).clone()));
    json(&ConsumerConnection {
        connection_set: view.members.iter().map(connection).collect(),
        consume_from_where: view.mode.consume_from_where,
        consume_type: view.mode.consume_type,
        message_model: view.mode.message_model,
        subscription_table: subscriptions.collect(),
    })
}

/// GET_PRODUCER_CONNECTION_LIST (204).
pub fn of_producers(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let group = request.header::<GetProducerConnectionListRequestHeader>()?.producer_group;
    let members = broker
        .producers
        .members(&group)
        .ok_or_else(|| Refusal::failed(format!("the producer group[{group}] not exist")))?;
    json(&ProducerConnection { connection_set: members.iter().map(connection).collect() })
}

/// GET_ALL_PRODUCER_INFO (328).
pub fn all_producers(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    let now = Instant::now();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let info = |client: ClientInfo| ProducerInfo {
        last_update_timestamp: client.seen_ms(now, now_ms),
        // As Java writes a socket address: no host name before the slash.
        remote_ip: format!("/{}", client.channel.peer()),
        language: Some(client.language),
        version: client.version,
        client_id: client.client_id,
    };
    let groups = broker.producers.all().into_iter();
    json(&ProducerTableInfo {
        data: groups.map(|(group, clients)| (group, clients.into_iter().map(info).collect())).collect(),
    })
}

/// QUERY_TOPIC_CONSUME_BY_WHO (300): groups that subscribe now or have an offset.
pub fn groups_of_topic(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let topic = request.header::<QueryTopicConsumeByWhoRequestHeader>()?.topic;
    let mut groups: BTreeSet<String> = broker.offsets.groups_of(&topic);
    groups.extend(broker.consumers.groups_of_topic(&topic));
    json(&GroupList { group_list: groups.into_iter().collect() })
}

/// QUERY_TOPICS_BY_CONSUMER (343): topics in which a group has an offset.
pub fn topics_of_group(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let group = request.header::<QueryTopicsByConsumerRequestHeader>()?.group;
    let topics = broker.offsets.topics_of(&group);
    json(&TopicList { topic_list: topics.into_iter().collect(), broker_addr: Some(broker.store_host.to_string()) })
}

/// QUERY_SUBSCRIPTION_BY_CONSUMER (345).
pub fn subscription(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<QuerySubscriptionByConsumerRequestHeader>()?;
    let topic = header.topic.unwrap_or_default();
    let subscription = broker.consumers.subscription(&header.group, &topic);
    json(&QuerySubscriptionResponseBody {
        subscription_data: subscription.map(|subscription| (*subscription).clone()),
        group: header.group,
        topic,
    })
}
