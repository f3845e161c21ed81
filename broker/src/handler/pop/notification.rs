//! NOTIFICATION: tells a client, now or when there are some, that a group finds messages.

use std::sync::Arc;

use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::protocol::header::pop::{NotificationRequestHeader, NotificationResponseHeader};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::MessageFilter as _;
use tracing::warn;

use super::{deadline, readable_broker, room, topic_and_group};
use crate::config::BrokerSettings;
use crate::context::{Broker, now_ms};
use crate::filter::{SubscriptionFilter, subscription};
use crate::handler::refusal;
use crate::pop::QueueKey;
use crate::pop::held::{HeldFilter, HeldPop};
use crate::pop::retry::retry_topic;

/// Entries of a queue that are looked at for one that is wanted. Java: 32.
const ENTRIES: usize = 32;

type Header = NotificationRequestHeader;

/// Answers a notification, now or later; one that has waited comes here again.
pub fn notify(broker: &Arc<Broker>, mut request: RemotingCommand, responder: Responder) {
    let config = broker.config();
    let mut header: Header = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    if header.born_time == 0 {
        header.born_time = now_ms();
        request.fields.set("bornTime", &header.born_time.to_string());
    }
    let (topic, filter) = match check(broker, &config, &header, &responder) {
        Ok(checked) => checked,
        Err(refused) => return responder.send(*refused),
    };
    let looking = Looking { broker, config: &config, header: &header, topic: &topic, filter: filter.as_ref() };
    let mut answer = NotificationResponseHeader { has_msg: looking.finds(), polling_full: false };
    if !answer.has_msg
        && header.poll_time > 0
        && let Some(deadline) = deadline(header.born_time, header.poll_time)
    {
        let key = QueueKey::new(&header.topic, &header.consumer_group, header.queue_id);
        let held = HeldPop { request, responder, key: key.clone(), filter: filter.clone(), deadline };
        let refused = match broker.pop.notifications.hold(Box::new(held), room(&config)) {
            Err(refused) => refused,
            Ok(()) => {
                // Something may have come in between.
                if looking.finds() {
                    broker.pop.notifications.wake(&key);
                }
                return;
            }
        };
        answer.polling_full = true;
        return refused.responder.send(RemotingCommand::success().with_header(&answer));
    }
    responder.send(RemotingCommand::success().with_header(&answer));
}

type Checked = (Arc<TopicConfig>, Option<HeldFilter>);

fn check(
    broker: &Broker,
    config: &BrokerSettings,
    header: &Header,
    responder: &Responder,
) -> Result<Checked, Box<RemotingCommand>> {
    readable_broker(config, "peeking message")?;
    let (topic, _) =
        topic_and_group(broker, config, &header.topic, &header.consumer_group, header.queue_id, responder)?;
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if !config.broker.use_message_filter_for_notification || !given(&header.exp) || !given(&header.exp_type) {
        return Ok((topic, None));
    }
    let not_understood = || refusal(ResponseCode::SubscriptionParseFailed, "parse the consumer's subscription failed");
    let built = subscription::build(&header.topic, header.exp.as_deref(), header.exp_type.as_deref());
    let built = built.map_err(|error| {
        warn!(group = header.consumer_group, topic = header.topic, %error, "subscription is not understood");
        not_understood()
    })?;
    let filter = SubscriptionFilter::of_request(broker, &header.consumer_group, &Arc::new(built));
    let filter = filter.map_err(|error| {
        warn!(group = header.consumer_group, topic = header.topic, %error, "subscription is not understood");
        not_understood()
    })?;
    Ok((topic, Some(Arc::new(filter))))
}

/// A look at the queues of a notification.
struct Looking<'a> {
    broker: &'a Broker,
    config: &'a BrokerSettings,
    header: &'a Header,
    topic: &'a TopicConfig,
    filter: Option<&'a HeldFilter>,
}

impl Looking<'_> {
    fn finds(&self) -> bool {
        let header = self.header;
        let in_topic = if header.queue_id < 0 {
            self.finds_in(self.topic, self.filter)
        } else {
            self.finds_in_queue(&header.topic, header.queue_id, self.filter)
        };
        in_topic || self.finds_in_retry(false)
    }

    fn finds_in_retry(&self, old: bool) -> bool {
        let keys = &self.config.broker;
        let version_2 = keys.enable_retry_topic_v2 && !old;
        let retry = retry_topic(&self.header.topic, &self.header.consumer_group, version_2);
        let found = self.broker.topics.get(&retry).is_some_and(|topic| self.finds_in(&topic, None));
        found || (version_2 && keys.retrieve_message_from_pop_retry_topic_v1 && self.finds_in_retry(true))
    }

    fn finds_in(&self, topic: &TopicConfig, filter: Option<&HeldFilter>) -> bool {
        (0..topic.read_queue_nums).any(|queue_id| self.finds_in_queue(&topic.topic_name, queue_id, filter))
    }

    fn finds_in_queue(&self, topic: &str, queue_id: i32, filter: Option<&HeldFilter>) -> bool {
        let (broker, header) = (self.broker, self.header);
        if header.order {
            let key = QueueKey::new(&header.topic, &header.consumer_group, queue_id);
            if broker.pop.orders.blocks(&key, header.attempt_id.as_deref(), 0) {
                return false;
            }
        }
        let key = QueueKey::new(topic, &header.consumer_group, queue_id);
        let rest = broker.pop.unpopped(broker, &key);
        if rest <= 0 {
            return false;
        }
        let few = rest < self.config.broker.max_message_filter_num_for_notification.into();
        // What an expression makes of them only reading the messages would tell.
        let Some(filter) = filter.filter(|filter| few && filter.is_by_tags()) else { return true };
        let offset = broker.store.max_offset(topic, queue_id).saturating_sub(rest);
        let entries = broker.store.queue_entries(topic, queue_id, offset, ENTRIES);
        entries.iter().any(|entry| filter.matches_queue_entry(entry.tags_code))
    }
}
