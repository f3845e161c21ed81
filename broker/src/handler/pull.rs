//! PULL_MESSAGE and LITE_PULL_MESSAGE.
//!
//! [`pull`] checks the request and reads; a pull that finds nothing and may wait goes to
//! [`HeldPulls`](crate::held_requests::HeldPulls) and comes back through [`resume`], which does the same once more but
//! answers in any case. Reads that would wait for the disk run on a blocking thread. A pull from a static topic reads
//! a physical queue, here or on another broker ([`super::logical_pull`]); its request stays as it came.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_remoting::protocol::body::group::SubscriptionGroupConfig;
use hypergol_remoting::protocol::body::heartbeat::SubscriptionData;
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::protocol::fields::ExtFields;
use hypergol_remoting::{RemotingCommand, RequestCode, Responder, ResponseCode};
use hypergol_store::{GetRequest, GetResult, GetStatus};
use tracing::warn;

use super::admin::Refusal;
use super::logical_pull::{LogicalPull, Positions};
use super::{FAQ, refusal};
use crate::config::BrokerSettings;
use crate::context::Broker;
use crate::filter::registry::FilterData;
use crate::filter::{SubscriptionFilter, subscription};
use crate::groups::FORBIDDEN_READ;
use crate::held_requests::HeldPull;
use crate::static_topic::LogicalQueue;
use crate::topics::PERM_READ;
use crate::{lite, names};

/// `sysFlag`: the offset in `commitOffset` is to be committed.
pub(super) const FLAG_COMMIT_OFFSET: i32 = 1;
/// `sysFlag`: the request may wait for a message.
pub(super) const FLAG_SUSPEND: i32 = 2;
/// `sysFlag`: the request has a subscription.
const FLAG_SUBSCRIPTION: i32 = 4;

/// Bytes of one answer, where the request says nothing. Java: MAX_PULL_MSG_SIZE.
const BYTES_MAX: u32 = 128 * 1024 * 1024;
/// Longest wait that is granted, whatever the client asks: the idle limit of connections.
const SUSPEND_MAX: Duration = Duration::from_secs(120);

/// `forbiddenType` in a refusal.
#[derive(Clone, Copy)]
enum Forbidden {
    Broker = 1,
    Group = 2,
    Topic = 3,
    Broadcasting = 4,
    Subscription = 5,
}

/// Answers a pull, now or when a message arrives.
pub fn pull(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    run(broker, request, responder, Attempt::First);
}

/// Answers a pull that has waited.
pub fn resume(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    run(broker, request, responder, Attempt::AfterWait);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    AfterWait,
}

fn run(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder, attempt: Attempt) {
    let config = broker.config();
    let admitted = match Fields::parse(&request.fields)
        .and_then(|fields| Admitted::check(broker, &config, &request, fields, &responder))
    {
        Ok(admitted) => admitted,
        Err(refusal) => return responder.send(*refusal),
    };
    let Admitted { topic, group, filter, logical } = match admitted {
        Admission::Here(admitted) => admitted,
        Admission::Elsewhere(logical, sys_flag) => return logical.forward(broker, request, sys_flag, responder),
    };
    let pull = Pull { request, responder, attempt, topic, group, filter, logical, begun: Instant::now() };
    if let Err(pull) = pull.read_and_answer(broker, false) {
        let broker = broker.clone();
        tokio::task::spawn_blocking(move || pull.read_and_answer(&broker, true).map_err(drop));
    }
}

/// The fields of a pull's header, borrowed from the frame.
#[derive(Default)]
struct Fields<'a> {
    group: &'a str,
    topic: &'a str,
    queue_id: i32,
    queue_offset: i64,
    max_messages: i32,
    sys_flag: i32,
    commit_offset: i64,
    suspend_timeout_ms: i64,
    sub_version: i64,
    subscription: Option<&'a str>,
    expression_type: Option<&'a str>,
    lite_topic: Option<&'a str>,
    max_bytes: Option<i32>,
}

impl<'a> Fields<'a> {
    /// Names that Java requires, in its order; a bit each.
    const REQUIRED: [&'static str; 9] = [
        "consumerGroup",
        "topic",
        "queueId",
        "queueOffset",
        "maxMsgNums",
        "sysFlag",
        "commitOffset",
        "suspendTimeoutMillis",
        "subVersion",
    ];

    fn parse(fields: &'a ExtFields) -> Result<Self, Box<RemotingCommand>> {
        let mut parsed = Self::default();
        let mut seen = 0u32;
        for (key, value) in fields.iter() {
            let (bit, ok) = match key {
                "consumerGroup" => (0, set_text(&mut parsed.group, value)),
                "topic" => (1, set_text(&mut parsed.topic, value)),
                "queueId" => (2, set(&mut parsed.queue_id, value)),
                "queueOffset" => (3, set(&mut parsed.queue_offset, value)),
                "maxMsgNums" => (4, set(&mut parsed.max_messages, value)),
                "sysFlag" => (5, set(&mut parsed.sys_flag, value)),
                "commitOffset" => (6, set(&mut parsed.commit_offset, value)),
                "suspendTimeoutMillis" => (7, set(&mut parsed.suspend_timeout_ms, value)),
                "subVersion" => (8, set(&mut parsed.sub_version, value)),
                "subscription" => (9, set_option(&mut parsed.subscription, value)),
                "expressionType" => (10, set_option(&mut parsed.expression_type, value)),
                "liteTopic" => (12, set_option(&mut parsed.lite_topic, value)),
                "maxMsgBytes" => {
                    let mut bytes = 0;
                    let ok = set(&mut bytes, value);
                    parsed.max_bytes = Some(bytes);
                    (11, ok)
                }
                _ => continue,
            };
            if !ok {
                let value: String = value.chars().take(64).collect();
                return Err(refusal(ResponseCode::SystemError, format!("the field {key} is not a number: {value:?}")));
            }
            seen |= 1 << bit;
        }
        match (0..Self::REQUIRED.len()).find(|bit| seen & (1 << bit) == 0) {
            None => Ok(parsed),
            Some(missing) => Err(refusal(
                ResponseCode::SystemError,
                format!("the custom field <{}> is null", Self::REQUIRED[missing]),
            )),
        }
    }

    /// The same pull, from the physical queue of a logical one.
    fn in_section(mut self, logical: &LogicalPull) -> Self {
        self.queue_id = logical.queue_id;
        self.queue_offset = logical.offset;
        self.max_messages = logical.max_messages;
        match logical.commit(self.commit_offset) {
            Some((queue_id, offset)) if queue_id == logical.queue_id => self.commit_offset = offset,
            // Consumers commit apart from pulls, too; that goes to the right queue.
            _ => self.sys_flag &= !FLAG_COMMIT_OFFSET,
        }
        self
    }

    fn has(&self, flag: i32) -> bool {
        self.sys_flag & flag != 0
    }

    /// The topic whose queue is read: that of the lite topic, if the request names one. No queue has an empty name.
    fn stored_topic(&self) -> Cow<'a, str> {
        match super::lite::ack::lite_topic(self.lite_topic) {
            None => Cow::Borrowed(self.topic),
            Some(lite) => Cow::Owned(lite::names::queue_of(self.topic, lite).unwrap_or_default()),
        }
    }

    fn get_request<'t>(&self, topic: &'t str) -> GetRequest<'t> {
        GetRequest {
            topic,
            queue_id: self.queue_id,
            offset: self.queue_offset,
            max_messages: u32::try_from(self.max_messages).unwrap_or_default(),
            max_bytes: self
                .max_bytes
                .and_then(|bytes| u32::try_from(bytes).ok())
                .filter(|bytes| *bytes > 0)
                .map_or(BYTES_MAX, |bytes| bytes.min(BYTES_MAX)),
        }
    }
}

fn set<T: std::str::FromStr>(target: &mut T, text: &str) -> bool {
    text.parse().map(|value| *target = value).is_ok()
}

fn set_text<'a>(target: &mut &'a str, text: &'a str) -> bool {
    *target = text;
    true
}

fn set_option<'a>(target: &mut Option<&'a str>, text: &'a str) -> bool {
    *target = Some(text);
    true
}

/// Who reads for a pull.
enum Admission {
    Here(Admitted),
    /// The broker of the section, with the `sysFlag` of the request.
    Elsewhere(Box<LogicalPull>, i32),
}

/// What a pull may read.
struct Admitted {
    topic: Arc<TopicConfig>,
    group: Arc<SubscriptionGroupConfig>,
    filter: SubscriptionFilter,
    logical: Option<Box<LogicalPull>>,
}

impl Admitted {
    /// Java's checks in Java's order; the error is the answer.
    fn check(
        broker: &Broker,
        config: &BrokerSettings,
        request: &RemotingCommand,
        mut fields: Fields<'_>,
        responder: &Responder,
    ) -> Result<Admission, Box<RemotingCommand>> {
        let keys = &config.broker;
        if keys.broker_permission & PERM_READ == 0 {
            return Err(forbidden(
                Forbidden::Broker,
                format!("the broker[{}] pulling message is forbidden", keys.broker_ip1),
            ));
        }
        if request.code == RequestCode::LitePullMessage as i32 && !keys.lite_pull_message_enable {
            return Err(forbidden(
                Forbidden::Broker,
                format!("the broker[{}] for lite pull consumer is forbidden", keys.broker_ip1),
            ));
        }
        let group = broker.groups.find_or_create(keys, fields.group).ok_or_else(|| {
            refusal(
                ResponseCode::SubscriptionGroupNotExist,
                format!("subscription group [{}] does not exist, {FAQ}", fields.group),
            )
        })?;
        if !group.consume_enable {
            return Err(forbidden(Forbidden::Group, format!("subscription group no permission, {}", fields.group)));
        }
        let topic = broker.topics.get(fields.topic).ok_or_else(|| {
            refusal(
                ResponseCode::TopicNotExist,
                format!("topic[{}] not exist, apply first please! {FAQ}", fields.topic),
            )
        })?;
        if topic.perm & PERM_READ == 0 {
            return Err(forbidden(
                Forbidden::Topic,
                format!("the topic[{}] pulling message is forbidden", fields.topic),
            ));
        }
        let mut logical = None;
        if let Some(mapping) = broker.static_topics.of_request(fields.topic, &request.fields) {
            let at = LogicalQueue::led(mapping, fields.queue_id)
                .map_err(Refusal::from)
                .and_then(|queue| LogicalPull::at(queue, fields.queue_offset, fields.max_messages))
                .map_err(|why| refusal(why.code, why.remark))?;
            if at.is_elsewhere() {
                return Ok(Admission::Elsewhere(Box::new(at), fields.sys_flag));
            }
            fields = fields.in_section(&at);
            logical = Some(Box::new(at));
        }
        if fields.queue_id < 0 || fields.queue_id >= topic.read_queue_nums {
            let remark = format!(
                "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}] consumer:[/{}]",
                fields.queue_id,
                fields.topic,
                topic.read_queue_nums,
                responder.channel().peer()
            );
            return Err(refusal(ResponseCode::InvalidParameter, remark));
        }
        let (subscription, filter_data) = if fields.has(FLAG_SUBSCRIPTION) {
            requested_subscription(broker, &fields, keys.enable_property_filter)?
        } else {
            known_subscription(broker, &fields, &group)?
        };
        if !subscription.is_tag_type() && !keys.enable_property_filter {
            return Err(refusal(ResponseCode::SystemError, subscription::unsupported(&subscription)));
        }
        if keys.reject_pull_consumer_enable && is_rejected_pull_consumer(broker, fields.group, responder) {
            let remark =
                format!("the consumer's group info not exist, or the pull consumer is rejected by server.{FAQ}");
            return Err(refusal(ResponseCode::SubscriptionNotExist, remark));
        }
        let retry = keys.filter_support_retry;
        let filter = SubscriptionFilter::new(&subscription, filter_data, &broker.filters, retry);
        Ok(Admission::Here(Self { topic, group, filter, logical }))
    }
}

/// A subscription and, unless it is by tags, its filter.
type Subscribed = (Arc<SubscriptionData>, Option<Arc<FilterData>>);

/// The subscription that the request itself has. One that equals what is known already is not parsed again. Java lets
/// everything pass an expression that does not compile; here it is refused.
fn requested_subscription(
    broker: &Broker,
    fields: &Fields<'_>,
    by_expression: bool,
) -> Result<Subscribed, Box<RemotingCommand>> {
    let failed = |error: &dyn std::fmt::Display| {
        warn!(group = fields.group, topic = fields.topic, %error, "subscription is not understood");
        refusal(ResponseCode::SubscriptionParseFailed, "parse the consumer's subscription failed")
    };
    let same = |known: &Arc<SubscriptionData>| {
        known.sub_string.as_deref() == fields.subscription && known.has_type(fields.expression_type)
    };
    let known = broker.consumers.subscription_or_pulled(fields.group, fields.topic).filter(same);
    let subscription = match known {
        Some(known) => known,
        None => {
            let built = subscription::build(fields.topic, fields.subscription, fields.expression_type);
            Arc::new(built.map_err(|error| failed(&error))?)
        }
    };
    broker.consumers.note_pull(fields.group, subscription.clone(), Instant::now());
    let filter = match by_expression && !subscription.is_tag_type() {
        true => Some(broker.filters.build(fields.group, &subscription).map_err(|error| failed(&error))?),
        false => None,
    };
    Ok((subscription, filter))
}

/// The subscription of the group's heartbeats.
fn known_subscription(
    broker: &Broker,
    fields: &Fields<'_>,
    group: &SubscriptionGroupConfig,
) -> Result<Subscribed, Box<RemotingCommand>> {
    let Some(mode) = broker.consumers.mode(fields.group) else {
        return Err(refusal(ResponseCode::SubscriptionNotExist, format!("the consumer's group info not exist{FAQ}")));
    };
    if !group.consume_broadcast_enable && mode.is_broadcasting() {
        return Err(forbidden(
            Forbidden::Broadcasting,
            format!("the consumer group[{}] can not consume by broadcast way", fields.group),
        ));
    }
    if broker.groups.is_forbidden(&group.group_name, fields.topic, FORBIDDEN_READ) {
        return Err(forbidden(
            Forbidden::Subscription,
            format!("the consumer group[{}] is forbidden for topic[{}]", fields.group, fields.topic),
        ));
    }
    let Some(subscription) = broker.consumers.subscription(fields.group, fields.topic) else {
        return Err(refusal(ResponseCode::SubscriptionNotExist, format!("the consumer's subscription not exist{FAQ}")));
    };
    if subscription.sub_version < fields.sub_version {
        return Err(refusal(ResponseCode::SubscriptionNotLatest, "the consumer's subscription not latest"));
    }
    if subscription.is_tag_type() {
        return Ok((subscription, None));
    }
    let Some(filter) = broker.filters.get(fields.topic, fields.group) else {
        let remark = "The broker's consumer filter data is not exist!Your expression may be wrong!";
        return Err(refusal(ResponseCode::FilterDataNotExist, remark));
    };
    if filter.data.client_version < fields.sub_version {
        return Err(refusal(ResponseCode::FilterDataNotLatest, "the consumer's consumer filter data not latest"));
    }
    Ok((subscription, Some(filter)))
}

fn is_rejected_pull_consumer(broker: &Broker, group: &str, responder: &Responder) -> bool {
    use hypergol_remoting::protocol::body::heartbeat::ConsumeType;
    let active =
        broker.consumers.mode(group).is_none_or(|mode| mode.consume_type == Some(ConsumeType::ConsumeActively));
    let own = group == "TOOLS_CONSUMER" || names::is_system_group(group);
    active && !own && broker.consumers.member(group, responder.channel()).is_none()
}

/// A pull that was admitted.
struct Pull {
    request: RemotingCommand,
    responder: Responder,
    attempt: Attempt,
    topic: Arc<TopicConfig>,
    group: Arc<SubscriptionGroupConfig>,
    filter: SubscriptionFilter,
    /// Where in a static topic it reads.
    logical: Option<Box<LogicalPull>>,
    begun: Instant,
}

impl Pull {
    /// The fields, for the physical queue. They were parsed before; parsing again keeps the borrow of `request` short.
    fn fields(&self) -> Option<Fields<'_>> {
        let fields = Fields::parse(&self.request.fields).ok()?;
        Some(match &self.logical {
            None => fields,
            Some(logical) => fields.in_section(logical),
        })
    }

    /// Gives itself back when it would have to wait for the disk and may not.
    fn read_and_answer(self, broker: &Arc<Broker>, may_wait: bool) -> Result<(), Box<Self>> {
        let Some(fields) = self.fields() else { return Ok(()) };
        let config = broker.config();
        let reset = broker.offsets.take_reset(fields.topic, fields.group, fields.queue_id);
        let mut outcome = match reset.filter(|_| config.broker.use_server_side_reset_offset) {
            Some(offset) => Outcome::reset(broker, &fields, offset),
            None => {
                let topic = fields.stored_topic();
                let request = fields.get_request(&topic);
                let result = match may_wait {
                    true => broker.store.get(&request, &self.filter),
                    false => match broker.store.get_now(&request, &self.filter) {
                        Some(result) => result,
                        None => return Err(Box::new(self)),
                    },
                };
                Outcome::read(result, fields.queue_offset)
            }
        };
        self.note_offsets(broker, &config, &fields, &outcome);
        if let Some(logical) = &self.logical {
            outcome.translate(logical);
        }
        let waits =
            outcome.code == ResponseCode::PullNotFound && self.attempt == Attempt::First && fields.has(FLAG_SUSPEND);
        if waits {
            self.wait(broker, outcome);
        } else {
            self.answer(broker, outcome);
        }
        Ok(())
    }

    /// The commit is done with the first attempt only, whatever its outcome; how far was pulled is noted each time.
    fn note_offsets(&self, broker: &Broker, config: &BrokerSettings, fields: &Fields<'_>, outcome: &Outcome) {
        let (topic, group, queue_id) = (fields.topic, fields.group, fields.queue_id);
        broker.offsets.pulled(topic, group, queue_id, outcome.next_begin_offset);
        if self.attempt == Attempt::First && fields.has(FLAG_COMMIT_OFFSET) {
            let step = config.broker.consumer_offset_update_version_step;
            broker.offsets.commit(topic, group, queue_id, fields.commit_offset, step);
        }
    }

    fn wait(self, broker: &Arc<Broker>, outcome: Outcome) {
        let config = broker.config();
        let Some(fields) = self.fields() else { return };
        let wanted = if config.broker.long_polling_enable {
            fields.suspend_timeout_ms
        } else {
            config.broker.short_polling_time_mills
        };
        let patience = Duration::from_millis(u64::try_from(wanted).unwrap_or_default()).min(SUSPEND_MAX);
        let (topic, queue_id, offset) = (fields.stored_topic().into_owned(), fields.queue_id, fields.queue_offset);
        let Self { request, responder, filter, topic: topic_config, group, logical, begun, .. } = self;
        let deadline = Instant::now() + patience;
        let held = Box::new(HeldPull { request, responder, topic, queue_id, offset, filter, deadline });
        if let Err(refused) = broker.held_pulls.hold(held, |topic, queue| broker.store.max_offset(topic, queue)) {
            let HeldPull { request, responder, filter, .. } = *refused;
            let attempt = Attempt::AfterWait;
            let pull = Self { request, responder, attempt, topic: topic_config, group, filter, logical, begun };
            pull.answer(broker, outcome);
        }
    }

    fn answer(self, broker: &Broker, outcome: Outcome) {
        let config = broker.config();
        let Some(fields) = self.fields() else { return };
        let mut response = RemotingCommand::response(outcome.code).with_remark(outcome.remark);
        // A master without slaves serves even those that lag far behind, unless reading from slaves is allowed.
        let suggested = match (config.broker.slave_read_enable, outcome.suggest_slave) {
            (false, _) => 0,
            (true, true) => self.group.which_broker_when_consume_slowly,
            (true, false) => self.group.broker_id,
        };
        let header = &mut response.fields;
        header.push_int("suggestWhichBrokerId", suggested);
        header.push_int("nextBeginOffset", outcome.next_begin_offset);
        header.push_int("minOffset", outcome.min_offset);
        header.push_int("maxOffset", outcome.max_offset);
        if let Some(delta) = outcome.offset_delta {
            header.push_int("offsetDelta", delta);
        }
        header.push_int("topicSysFlag", self.topic.topic_sys_flag.into());
        header.push_int("groupSysFlag", self.group.group_sys_flag.into());
        if outcome.code == ResponseCode::Success {
            let (group, topic, queue_id) = (fields.group, fields.topic, fields.queue_id);
            let (messages, bytes) = (i64::from(outcome.count), i64::from(outcome.bytes));
            broker.stats.get(group, topic, queue_id, messages, bytes, broker.topics.is_system(topic));
            let latency_ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
            broker.stats.get_latency(group, topic, queue_id, latency_ms);
            response.more_body = outcome.messages;
        }
        self.responder.send(response);
    }
}

/// What a pull is answered.
struct Outcome {
    code: ResponseCode,
    remark: &'static str,
    next_begin_offset: i64,
    min_offset: i64,
    max_offset: i64,
    /// Of a static topic: difference of logical offsets from those in the messages.
    offset_delta: Option<i64>,
    suggest_slave: bool,
    messages: Vec<bytes::Bytes>,
    count: u32,
    bytes: u32,
}

impl Outcome {
    fn read(result: GetResult, offset: i64) -> Self {
        let (remark, code) = match result.status {
            GetStatus::Found => ("FOUND", ResponseCode::Success),
            GetStatus::NoMatchedMessage => ("NO_MATCHED_MESSAGE", ResponseCode::PullRetryImmediately),
            GetStatus::MessageWasRemoving => ("MESSAGE_WAS_REMOVING", ResponseCode::PullRetryImmediately),
            GetStatus::NoMatchedLogicQueue => ("NO_MATCHED_LOGIC_QUEUE", empty_queue(offset)),
            GetStatus::NoMessageInQueue => ("NO_MESSAGE_IN_QUEUE", empty_queue(offset)),
            GetStatus::OffsetFoundNull => ("OFFSET_FOUND_NULL", ResponseCode::PullNotFound),
            GetStatus::OffsetOverflowOne => ("OFFSET_OVERFLOW_ONE", ResponseCode::PullNotFound),
            GetStatus::OffsetOverflowBadly => ("OFFSET_OVERFLOW_BADLY", ResponseCode::PullOffsetMoved),
            GetStatus::OffsetTooSmall => ("OFFSET_TOO_SMALL", ResponseCode::PullOffsetMoved),
            // Clients try again later at the same offset.
            GetStatus::Unreadable => ("the broker cannot read its disk", ResponseCode::SystemError),
        };
        Self {
            code,
            remark,
            next_begin_offset: result.next_begin_offset,
            min_offset: result.min_offset,
            max_offset: result.max_offset,
            offset_delta: None,
            suggest_slave: result.suggest_slave,
            messages: result.messages,
            count: result.count,
            bytes: result.bytes,
        }
    }

    /// Turns physical positions into logical ones.
    fn translate(&mut self, logical: &LogicalPull) {
        let physical = Positions {
            code: self.code,
            next_begin: self.next_begin_offset,
            min: self.min_offset,
            max: self.max_offset,
        };
        let (positions, delta) = logical.meaning(physical);
        self.code = positions.code;
        self.next_begin_offset = positions.next_begin;
        self.min_offset = positions.min;
        self.max_offset = positions.max;
        self.offset_delta = Some(delta);
    }

    /// An administrator has set the offset.
    fn reset(broker: &Broker, fields: &Fields<'_>, offset: i64) -> Self {
        Self {
            code: ResponseCode::PullOffsetMoved,
            remark: "OFFSET_RESET",
            next_begin_offset: offset,
            min_offset: broker.store.min_offset(fields.topic, fields.queue_id),
            max_offset: broker.store.max_offset(fields.topic, fields.queue_id),
            offset_delta: None,
            suggest_slave: false,
            messages: Vec::new(),
            count: 0,
            bytes: 0,
        }
    }
}

/// A consumer that asks an empty queue for anything but its start has an offset of a queue that is gone.
fn empty_queue(offset: i64) -> ResponseCode {
    if offset == 0 { ResponseCode::PullNotFound } else { ResponseCode::PullOffsetMoved }
}

fn forbidden(what: Forbidden, remark: String) -> Box<RemotingCommand> {
    let mut response = refusal(ResponseCode::NoPermission, remark);
    response.fields.push_int("forbiddenType", what as i64);
    response
}
