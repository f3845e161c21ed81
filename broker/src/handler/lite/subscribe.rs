//! LITE_SUBSCRIPTION_CTL: clients subscribe to lite topics, or no longer. Java: `LiteSubscriptionCtlProcessor`.

use std::sync::Arc;

use hypergol_remoting::protocol::body::lite::{
    LiteSubscriptionAction, LiteSubscriptionCtlRequestBody, LiteSubscriptionDTO, OffsetOption, OffsetOptionType,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::lite::NotifyUnsubscribeLiteRequestHeader;
use hypergol_remoting::{Channel, RemotingCommand, RequestCode, Responder, ResponseCode};
use tracing::{info, warn};

use crate::context::{Broker, now_ms};
use crate::handler::refusal;
use crate::lite::subscriptions::{Subscriber, wildcard_of};
use crate::lite::{attributes, names, sharding};

type Refused = Box<RemotingCommand>;

/// From the first message.
const FROM_FIRST: OffsetOption = OffsetOption { kind: Some(OffsetOptionType::Policy), value: 1 };

/// Changes subscriptions, in the order of the request. Java applies what comes before an entry that it refuses; so it is
/// here.
pub fn control(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    if request.body.is_empty() {
        return responder.error(ResponseCode::IllegalOperation, "Request body is null.");
    }
    let body = match LiteSubscriptionCtlRequestBody::decode(&request.body) {
        Ok(body) => body,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let changes = body.subscription_set.unwrap_or_default();
    if changes.is_empty() {
        return responder.error(ResponseCode::IllegalOperation, "LiteSubscriptionCtlRequestBody is empty.");
    }
    let broker = broker.clone();
    // The route of the parent may have to be asked for.
    tokio::spawn(async move {
        for change in changes {
            if [&change.client_id, &change.group, &change.topic].iter().any(|name| name.trim().is_empty()) {
                warn!(?change, "change of a lite subscription does not say whose, left out");
                continue;
            }
            if let Err(refused) = apply(&broker, &change, responder.channel()).await {
                return responder.send(*refused);
            }
        }
        responder.success();
    });
}

async fn apply(broker: &Broker, change: &LiteSubscriptionDTO, channel: &Channel) -> Result<(), Refused> {
    let lite = &broker.lite;
    match change.action {
        Some(LiteSubscriptionAction::PartialAdd) => add_some(broker, change, channel).await,
        Some(LiteSubscriptionAction::CompleteAdd) => add_all(broker, change, channel).await,
        Some(LiteSubscriptionAction::PartialRemove) => {
            remove_some(broker, change);
            Ok(())
        }
        Some(LiteSubscriptionAction::CompleteRemove) => {
            lite.remove_client(&change.client_id);
            Ok(())
        }
        None => Err(refusal(ResponseCode::SystemError, "the action of a lite subscription is not known")),
    }
}

fn check_group(broker: &Broker, change: &LiteSubscriptionDTO) -> Result<(), Refused> {
    let config = broker.config();
    let group = broker.groups.find_or_create(&config.broker, &change.group);
    match group.is_some_and(|group| group.consume_enable) {
        true => Ok(()),
        false => Err(refusal(ResponseCode::IllegalOperation, "Consumer group is not allowed to consume.")),
    }
}

/// Refuses new subscriptions when there are too many.
fn check_quota(broker: &Broker) -> Result<(), Refused> {
    let max = broker.config().broker.max_lite_subscription_count;
    let lite = &broker.lite.subscriptions;
    // Clients without a subscription take room, too.
    let used = lite.active().max(lite.clients());
    if i64::try_from(used).unwrap_or(i64::MAX) < max {
        return Ok(());
    }
    let remark = format!("lite subscription quota exceeded {max}");
    Err(refusal(ResponseCode::LiteSubscriptionQuotaExceeded, remark))
}

/// The light queues of a change. Names that no lite topic can have are left out.
fn queues(change: &LiteSubscriptionDTO) -> Vec<Arc<str>> {
    let lite = change.lite_topic_set.iter().flatten();
    lite.filter_map(|lite| names::queue_of(&change.topic, lite)).map(Arc::from).collect()
}

/// The queues of a change that belong to this broker, or are on it.
async fn queues_here(broker: &Broker, change: &LiteSubscriptionDTO) -> Vec<Arc<str>> {
    let mut here = Vec::new();
    for queue in queues(change) {
        if broker.store.max_offset(&queue, 0) > 0 || sharding::is_here(broker, &change.topic, &queue).await {
            here.push(queue);
        }
    }
    here
}

async fn add_some(broker: &Broker, change: &LiteSubscriptionDTO, channel: &Channel) -> Result<(), Refused> {
    check_group(broker, change)?;
    check_quota(broker)?;
    let config = broker.groups.get(&change.group);
    if config.as_ref().is_some_and(|group| attributes::is_wildcard(group)) {
        let remark = "subscribe lite operation is not supported for this group";
        return Err(refusal(ResponseCode::IllegalOperation, remark));
    }
    let queues = queues_here(broker, change).await;
    for queue in &queues {
        if let Some(config) = config.as_ref().filter(|group| attributes::is_exclusive(group)) {
            let again = attributes::resets_when_replaced(config);
            replace(broker, change, queue, again);
        }
        if let Some(option) = &change.offset_option {
            broker.lite.begin_at(broker, &change.group, queue, option);
        }
    }
    add(broker, change, channel, &queues);
    Ok(())
}

/// The new subscriber of a lite topic takes the place of the others in its group; they are told.
fn replace(broker: &Broker, change: &LiteSubscriptionDTO, queue: &str, again: bool) {
    let (group, client) = (change.group.as_str(), change.client_id.as_str());
    for replaced in broker.lite.subscriptions.replace(group, queue, client) {
        let member = replaced.member;
        info!(queue, group, from = &*member.client, to = client, again, "lite topic has another subscriber");
        let header = NotifyUnsubscribeLiteRequestHeader {
            lite_topic: names::split(queue).map_or_else(String::new, |(_, lite)| lite.to_owned()),
            consumer_group: member.group.to_string(),
            client_id: member.client.to_string(),
        };
        replaced.channel.oneway(RemotingCommand::request_with(RequestCode::NotifyUnsubscribeLite, &header));
        if again {
            broker.lite.begin_at(broker, group, queue, &FROM_FIRST);
        }
    }
}

async fn add_all(broker: &Broker, change: &LiteSubscriptionDTO, channel: &Channel) -> Result<(), Refused> {
    check_group(broker, change)?;
    let subscriptions = &broker.lite.subscriptions;
    let is_wildcard = broker.groups.get(&change.group).is_some_and(|group| attributes::is_wildcard(&group));
    let wanted = match is_wildcard {
        true => vec![Arc::from(wildcard_of(&change.topic, &change.group))],
        false => queues_here(broker, change).await,
    };
    let known = subscriptions.of_client(&change.client_id);
    // Java has no quota here, so that nothing bounds what a client may claim.
    if known.as_ref().is_none_or(|known| wanted.iter().any(|queue| !known.contains(queue))) {
        check_quota(broker)?;
    }
    let mut gone = known.unwrap_or_default();
    gone.retain(|queue| !wanted.contains(queue));
    subscriptions.remove(&change.client_id, &gone, now_ms());
    add(broker, change, channel, &wanted);
    Ok(())
}

fn add(broker: &Broker, change: &LiteSubscriptionDTO, channel: &Channel, queues: &[Arc<str>]) {
    let subscriber = Subscriber { client: &change.client_id, group: &change.group, parent: &change.topic, channel };
    let (member, new) = broker.lite.subscriptions.add(&subscriber, queues, now_ms());
    for queue in new {
        broker.lite.subscribed(broker, &member, &queue);
    }
}

fn remove_some(broker: &Broker, change: &LiteSubscriptionDTO) {
    let again = broker.groups.get(&change.group).is_some_and(|group| attributes::resets_on_unsubscribe(&group));
    let Some((member, removed)) = broker.lite.subscriptions.remove(&change.client_id, &queues(change), now_ms()) else {
        return;
    };
    for queue in removed.iter().filter(|_| again) {
        broker.lite.begin_at(broker, &member.group, queue, &FROM_FIRST);
    }
}
