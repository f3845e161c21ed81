//! Heartbeats, unregistering, client configuration checks.

use std::sync::Arc;
use std::time::Instant;

use hypergol_remoting::protocol::body::assignment::CheckClientRequestBody;
use hypergol_remoting::protocol::body::heartbeat::{ConsumeType, ConsumerData, HeartbeatData, SubscriptionData};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};

use crate::clients::{self, ClientInfo};
use crate::consumers::{ConsumeMode, Registration};
use crate::context::{Broker, now_ms};
use crate::filter::registry;
use crate::filter::subscription::{corrected, unsupported};
use crate::retry::retry_topic;

/// Field of the answer: heartbeats without subscriptions are understood.
const SUPPORTS_V2: &str = "IS_SUPPORT_HEART_BEAT_V2";
/// Field of the answer: send the subscriptions next time.
const SUBSCRIPTIONS_CHANGED: &str = "IS_SUB_CHANGE";
/// Bit of a topic's system flag: subscribed to in unit mode. Java: TopicSysFlag.FLAG_UNIT_SUB.
const UNIT_SUBSCRIPTION: i32 = 2;

/// HEART_BEAT: notes what the client produces to and consumes from, and tells the members of a group that changed.
///
/// A fingerprint other than 0 makes it a heartbeat of version 2, which may leave the subscriptions out. A group that
/// is not known and may not be created is passed over, and the answer is still 0.
pub fn heart_beat(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let heartbeat = match HeartbeatData::decode(&request.body) {
        Ok(heartbeat) => heartbeat,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let client = ClientInfo {
        channel: responder.channel().clone(),
        client_id: heartbeat.client_id,
        language: request.language,
        version: request.version,
        seen: Instant::now(),
    };
    let fingerprint = heartbeat.heartbeat_fingerprint;
    let version_2 = fingerprint != 0;
    let reject_pull = broker.config().broker.reject_pull_consumer_enable;
    let mut changed = !version_2;
    for consumer in heartbeat.consumer_data_set {
        if reject_pull && consumer.consume_type == Some(ConsumeType::ConsumeActively) {
            continue;
        }
        changed |= broker.consumers.swap_fingerprint(&consumer.group_name, fingerprint) && version_2;
        register(broker, &client, consumer, version_2 && heartbeat.without_sub);
    }
    for producer in heartbeat.producer_data_set {
        if registers_producers(broker) || broker.producers.contains(&producer.group_name, &client.channel) {
            broker.producers.register(&producer.group_name, &client);
        }
    }
    let changed = if changed { "true" } else { "false" };
    let answer = RemotingCommand::success().with_field(SUPPORTS_V2, "true").with_field(SUBSCRIPTIONS_CHANGED, changed);
    responder.send(answer);
}

fn register(broker: &Arc<Broker>, client: &ClientInfo, consumer: ConsumerData, without_subscriptions: bool) {
    let Some(config) = broker.groups.find_or_create(&broker.config().broker, &consumer.group_name) else { return };
    let system_flag = if consumer.unit_mode { UNIT_SUBSCRIPTION } else { 0 };
    let retry_topic = retry_topic(&consumer.group_name);
    let subscribed = &consumer.subscription_data_set;
    let ordered = (!without_subscriptions).then(|| subscribed.iter().any(|s| broker.topics.is_ordered(&s.topic)));
    broker.topics.create_for_consumers(&retry_topic, config.retry_queue_nums, system_flag, ordered);
    let mode = ConsumeMode {
        consume_type: consumer.consume_type,
        message_model: consumer.message_model,
        consume_from_where: consumer.consume_from_where,
    };
    let subscriptions = (!without_subscriptions)
        .then(|| consumer.subscription_data_set.into_iter().map(corrected).collect::<Vec<SubscriptionData>>());
    // Before the subscription is known: a pull that finds the one finds the other.
    if let Some(subscriptions) = &subscriptions {
        broker.filters.register(&consumer.group_name, subscriptions, now_ms());
    }
    let change = broker.consumers.register(Registration { group: &consumer.group_name, client, mode, subscriptions });
    if let Some(change) = change.filter(|_| config.notify_consumer_ids_changed_enable) {
        clients::tell_members(broker, change);
    }
}

/// Java leaves producers out when they could only be asked about transactions, which are refused.
fn registers_producers(broker: &Broker) -> bool {
    let config = broker.config();
    config.broker.enable_register_producer || !config.broker.reject_transaction_message
}

/// UNREGISTER_CLIENT: forgets the client in the groups named.
pub fn unregister_client(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    // Java ignores the client id, and an absent group means none.
    let group = |field: &str| request.fields.get(field).filter(|group| !group.is_empty());
    let channel = responder.channel();
    if let Some(group) = group("producerGroup") {
        broker.producers.unregister(group, channel);
    }
    if let Some(group) = group("consumerGroup") {
        let config = broker.groups.find_or_create(&broker.config().broker, group);
        let notify = config.is_none_or(|config| config.notify_consumer_ids_changed_enable);
        if let Some(change) = broker.consumers.unregister(group, channel) {
            clients::left(broker, change, notify);
        }
    }
    responder.success();
}

/// CHECK_CLIENT_CONFIG: whether this broker can filter by the client's expression, and if not, what is wrong with it
/// and where.
pub fn check_client_config(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    if request.body.is_empty() {
        return responder.success();
    }
    let checked = match CheckClientRequestBody::decode(&request.body) {
        Ok(body) => body.subscription_data,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let Some(subscription) = checked.filter(|subscription| !subscription.is_tag_type()) else {
        return responder.success();
    };
    if !broker.config().broker.enable_property_filter {
        return responder.error(ResponseCode::SystemError, unsupported(&subscription));
    }
    let kind = subscription.expression_type.as_deref().unwrap_or_default();
    match registry::compile(kind, subscription.sub_string.as_deref()) {
        Ok(_) => responder.success(),
        Err(error) => responder.error(ResponseCode::SubscriptionParseFailed, error.to_string()),
    }
}
