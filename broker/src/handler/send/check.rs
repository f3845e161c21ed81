//! What is checked before a message is stored: Java's checks, in Java's order and words.

use std::sync::Arc;

use hypergol_remoting::message::sys_flag;
use hypergol_remoting::protocol::body::topic::{TopicConfig, TopicFilterType};
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::light;
use tracing::warn;

use super::answer::refuse;
use super::properties::Properties;
use super::{Refused, names};
use crate::config::BrokerSettings;
use crate::context::{Broker, now_ms};
use crate::handler::FAQ;
use crate::lite;
use crate::retry::RETRY_PREFIX;
use crate::topics::{self, PERM_READ, PERM_WRITE};

/// Longest topic of a message that is not a retry, in bytes; the longest retry topic.
const TOPIC_MAX: usize = 127;
const RETRY_TOPIC_MAX: usize = 255;
/// Lock times above this are nonsense, such as from a clock that was moved. Java: `isOSPageCacheBusy`.
const LOCK_TIME_MAX_MS: i64 = 10_000_000;
/// `topicSysFlag` of topics of unit mode, and of their retry topics.
const UNIT: i32 = 1;
const UNIT_SUBSCRIPTION: i32 = 2;

/// Where a message goes.
pub(super) struct Destination {
    /// The topic's settings.
    pub topic: Arc<TopicConfig>,
    /// This send created it.
    pub is_new: bool,
}

/// The topic's settings; it is created where that is allowed.
pub(super) fn topic(
    broker: &Broker,
    config: &BrokerSettings,
    header: &SendMessageRequest<'_>,
    request: &RemotingCommand,
    responder: &Responder,
) -> Result<Destination, Refused> {
    if is_busy(broker, config) {
        let remark = "[REJECTREQUEST]system busy, start flow control for a while";
        return Err(refuse(config, ResponseCode::SystemBusy, remark));
    }
    if request.body.is_empty() {
        return Err(refuse(config, ResponseCode::SystemError, "the message has no body"));
    }
    sendable(broker, config, header, responder)
}

/// What is checked of replies, too. They may be empty.
pub(super) fn sendable(
    broker: &Broker,
    config: &BrokerSettings,
    header: &SendMessageRequest<'_>,
    responder: &Responder,
) -> Result<Destination, Refused> {
    let keys = &config.broker;
    let start = keys.start_accept_send_request_time_stamp;
    if start > 0 && now_ms() < start {
        let remark = format!("broker unable to service, until {start} ms since 1970");
        return Err(refuse(config, ResponseCode::SystemError, remark));
    }
    let name = header.topic;
    let known = broker.topics.get(name);
    if keys.broker_permission & PERM_WRITE == 0 && known.as_ref().is_some_and(|topic| topic.order) {
        let remark = format!("the broker[{}] sending message is forbidden", keys.broker_ip1);
        return Err(refuse(config, ResponseCode::NoPermission, remark));
    }
    // A topic that is known has a legal name; every light queue is known.
    if known.is_none() || light::is_light(name) {
        names::check_topic(name).map_err(|remark| refuse(config, ResponseCode::InvalidParameter, remark))?;
    }
    if names::is_forbidden_to_send(name) {
        let remark = format!("Sending message to topic[{name}] is forbidden.");
        return Err(refuse(config, ResponseCode::NoPermission, remark));
    }
    // What is in it must tell where it goes and when, as only the broker can say.
    if name == names::TIMER_TOPIC {
        let remark = "the topic of the timer wheel is the broker's own; send with a delivery time instead";
        return Err(refuse(config, ResponseCode::MessageIllegal, remark));
    }
    let is_new = known.is_none();
    let Some(topic) = known.or_else(|| create(broker, config, header, responder)) else {
        let remark = format!("topic[{name}] not exist, apply first please!{FAQ}");
        return Err(refuse(config, ResponseCode::TopicNotExist, remark));
    };
    if header.queue_id >= topic.write_queue_nums.max(topic.read_queue_nums) {
        let remark = format!(
            "request queueId[{}] is illegal, {} Producer: {}",
            header.queue_id,
            describe(&topic),
            responder.channel().peer()
        );
        warn!(remark, "send refused");
        return Err(refuse(config, ResponseCode::InvalidParameter, remark));
    }
    Ok(Destination { topic, is_new })
}

/// Whether the append lock has been held for so long that more messages would only queue up.
fn is_busy(broker: &Broker, config: &BrokerSettings) -> bool {
    let held_ms = broker.store.page_cache_lock_time_ms();
    held_ms > config.store.os_page_cache_busy_time_out_mills && held_ms < LOCK_TIME_MAX_MS
}

fn create(
    broker: &Broker,
    config: &BrokerSettings,
    header: &SendMessageRequest<'_>,
    responder: &Responder,
) -> Option<Arc<TopicConfig>> {
    let name = header.topic;
    let retry = name.starts_with(RETRY_PREFIX);
    let flag = match (header.unit_mode, retry) {
        (false, _) => 0,
        (true, true) => UNIT_SUBSCRIPTION,
        (true, false) => UNIT,
    };
    let auto = config.broker.auto_create_topic_enable;
    let (default, queues) = (header.default_topic, header.default_topic_queue_nums);
    let created = broker.topics.create_by_sending(auto, name, default, queues, flag);
    let created =
        created.or_else(|| retry.then(|| broker.topics.create_for_group(name, 1, PERM_READ | PERM_WRITE, flag)));
    if created.is_none() {
        warn!(topic = name, default, producer = %responder.channel().peer(), "topic does not exist");
    }
    created
}

/// The text of Java's `TopicConfig.toString`.
fn describe(topic: &TopicConfig) -> String {
    let bit = |bit, letter| if topic.perm & bit == 0 { '-' } else { letter };
    let kind = match topic.topic_filter_type {
        TopicFilterType::SingleTag => "SINGLE_TAG",
        TopicFilterType::MultiTag => "MULTI_TAG",
    };
    let attributes: Vec<_> = topic.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}{}{}, topicFilterType={kind}, \
         topicSysFlag={}, order={}, attributes={{{}}}]",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        bit(4, 'R'),
        bit(2, 'W'),
        bit(1, 'X'),
        topic.topic_sys_flag,
        topic.order,
        attributes.join(", ")
    )
}

/// What a single message says of itself.
pub(super) fn message(
    config: &BrokerSettings,
    header: &SendMessageRequest<'_>,
    topic: &TopicConfig,
    properties: &Properties<'_>,
) -> Result<(), Refused> {
    let illegal = |remark: &str| Err(refuse(config, ResponseCode::MessageIllegal, remark));
    if topics::is_compacted(topic) && !properties.has_keys {
        return illegal("Required message key is missing");
    }
    let is_half = is_half(header, properties);
    if is_half && config.broker.reject_transaction_message {
        let remark = format!("the broker[{}] sending transaction message is forbidden", config.broker.broker_ip1);
        return Err(refuse(config, ResponseCode::NoPermission, remark));
    }
    if properties.has_inner_number && header.sys_flag & sys_flag::INNER_BATCH == 0 {
        return illegal(&illegal_message(config));
    }
    let longest = if header.topic.starts_with(RETRY_PREFIX) { RETRY_TOPIC_MAX } else { TOPIC_MAX };
    if header.topic.len() > longest {
        return illegal(&illegal_message(config));
    }
    Ok(())
}

/// The light queue of the lite topic that a message is for, if it is for one.
pub(super) fn lite_queue(
    config: &BrokerSettings,
    parent: &str,
    properties: &Properties<'_>,
) -> Result<Option<String>, Refused> {
    let Some(lite) = properties.lite_topic else { return Ok(None) };
    let illegal = |remark: String| refuse(config, ResponseCode::MessageIllegal, remark);
    if !(config.store.enable_lmq && config.store.enable_multi_dispatch) {
        // Java stores it where no consumer of lite topics finds it.
        return Err(illegal("lite topics need enableLmq and enableMultiDispatch".to_owned()));
    }
    let queue = lite::names::queue_of(parent, lite);
    queue.map(Some).ok_or_else(|| illegal(format!("{lite:?} cannot be the name of a lite topic")))
}

/// The light queues that a message comes into, its topic or those that it names: whether there can be such, and room for
/// those that do not exist yet. Where there is none, Java refuses only with `enableLmqQuota`.
pub(super) fn light_queues(
    broker: &Broker,
    config: &BrokerSettings,
    topic: &str,
    properties: &Properties<'_>,
) -> Result<(), Refused> {
    let named = properties.light_queues.filter(|_| config.store.enable_multi_dispatch);
    let own = light::is_light(topic).then_some(topic);
    let max = config.light_queues_max();
    for name in own.into_iter().chain(named.into_iter().flat_map(light::names)).filter(|name| light::is_light(name)) {
        if !light::is_legal(name) {
            let remark = format!("{name:?} cannot be the name of a light queue");
            return Err(refuse(config, ResponseCode::MessageIllegal, remark));
        }
        if broker.store.light_queues() >= max && !broker.store.has_queue(name, light::QUEUE_ID) {
            let remark = "[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]lmq consume queue num exceeded.";
            return Err(refuse(config, ResponseCode::LmqQuotaExceeded, remark));
        }
    }
    Ok(())
}

/// Whether a message is stored as a half message. Clients before 4.6.1 leave the mark on messages that they send back.
pub(super) fn is_half(header: &SendMessageRequest<'_>, properties: &Properties<'_>) -> bool {
    let is_sent_back = || header.reconsume_times.unwrap_or_default() > 0 && is_delayed(properties);
    properties.is_half && !is_sent_back()
}

pub(super) fn is_delayed(properties: &Properties<'_>) -> bool {
    properties.delay.is_some_and(|level| level.parse::<i32>().is_ok_and(|level| level > 0))
}

/// Java's words for a message that the store does not take.
pub(super) fn illegal_message(config: &BrokerSettings) -> String {
    format!(
        "the message is illegal, maybe msg body or properties length not matched. msg body length limit {}B, msg \
         properties length limit 32KB.",
        config.store.max_message_size
    )
}
