//! POP_MESSAGE: hands out messages of a topic, or of one of its queues, and of the group's retry topics for it.
//!
//! A pop is a [`Plan`] of queues that are taken one after the other. Reads that would wait for the disk let the rest of
//! the plan go on from a blocking thread. A pop that finds nothing and may wait goes to
//! [`HeldPops`](crate::pop::held::HeldPops) and is run once more.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hypergol_remoting::pop_handle::{ORDER_REVIVE_QUEUE, PopHandle, PopOffsets, PopTopic};
use hypergol_remoting::protocol::body::group::SubscriptionGroupConfig;
use hypergol_remoting::protocol::body::heartbeat::SUB_ALL;
use hypergol_remoting::protocol::body::pop::PopCheckPoint;
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::protocol::header::pop::PopMessageRequestHeader;
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::{GetRequest, GetResult, GetStatus, MatchAll, MessageFilter};
use tracing::warn;

use super::{BYTES_MAX, deadline, first_offset, is_too_late, readable_broker, room, topic_and_group};
use crate::config::BrokerSettings;
use crate::context::{Broker, now_ms};
use crate::filter::{SubscriptionFilter, subscription};
use crate::handler::refusal;
use crate::pop::QueueKey;
use crate::pop::buffer::NewBuffered;
use crate::pop::checkpoint::{MESSAGES_MAX, differences};
use crate::pop::held::{HeldFilter, HeldPop};
use crate::pop::journal::Turn;
use crate::pop::order_info::OrderInfo;
use crate::pop::retry::{retry_topic, under_topic};
use crate::pop::service::Committed;
use crate::retry::RETRY_PREFIX;
use crate::stats::StatName;

/// `initMode`: a queue that was never consumed is begun at its smallest offset.
const INIT_MIN: i32 = 0;
/// A checkpoint stays in memory only when its messages become visible this much after it would have to leave.
const KEEP_MARGIN_MS: i64 = 1500;
/// Remark of an answer without messages.
const NO_MESSAGE: &str = "NO_MESSAGE_IN_QUEUE";
/// Attribute of groups: percentage of pops of a priority topic that heed the priority.
const PRIORITY_FACTOR: &str = "priority.factor";

/// Answers a pop, now or when a message comes; one that has waited comes here again.
pub fn pop(broker: &Arc<Broker>, mut request: RemotingCommand, responder: Responder) {
    let config = Arc::clone(&broker.config());
    let mut header: PopMessageRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    if header.born_time == 0 {
        header.born_time = now_ms();
        request.fields.set("bornTime", &header.born_time.to_string());
    }
    let admitted = match Admitted::check(broker, &config, &header, &responder) {
        Ok(admitted) => admitted,
        Err(refused) => return responder.send(*refused),
    };
    let plan = Plan::new(broker, &config, &header, &admitted);
    let run = Run {
        revive_queue: match header.order {
            true => ORDER_REVIVE_QUEUE,
            false => broker.pop.next_revive_queue(config.broker.revive_queue_num),
        },
        pop_time: now_ms(),
        begun: Instant::now(),
        config,
        header,
        filter: admitted.filter,
        plan,
        at: 0,
        turn: Turn::OfConnection,
        messages: Vec::new(),
        offsets: PopOffsets::default(),
        rest: 0,
        goes_on: false,
        seen: Vec::new(),
    };
    run.go(broker, Call { request, responder });
}

/// What a pop may do.
struct Admitted {
    topic: Arc<TopicConfig>,
    group: Arc<SubscriptionGroupConfig>,
    filter: Option<HeldFilter>,
}

impl Admitted {
    /// Java's checks in Java's order; the error is the answer.
    fn check(
        broker: &Broker,
        config: &BrokerSettings,
        header: &PopMessageRequestHeader,
        responder: &Responder,
    ) -> Result<Self, Box<RemotingCommand>> {
        let ip = &config.broker.broker_ip1;
        if is_too_late(header.born_time, header.poll_time) {
            let remark = format!("the broker[{ip}] pop message is timeout too much");
            return Err(refusal(ResponseCode::PollingTimeout, remark));
        }
        readable_broker(config, "pop message")?;
        if usize::try_from(header.max_msg_nums).is_ok_and(|wanted| wanted > MESSAGES_MAX) {
            let remark = format!("the broker[{ip}] pop message's num is greater than {MESSAGES_MAX}");
            return Err(refusal(ResponseCode::InvalidParameter, remark));
        }
        if !config.store.timer_wheel_enable {
            let remark = format!("the broker[{ip}] pop message is forbidden because timerWheelEnable is false");
            return Err(refusal(ResponseCode::SystemError, remark));
        }
        // Java hands messages out whose checkpoint the wheel then refuses, and keeps trying.
        let invisible_max = i64::from(config.store.timer_max_delay_sec).saturating_mul(1000);
        if header.invisible_time > invisible_max {
            let remark = format!("invisibleTime {} ms is beyond timerMaxDelaySec", header.invisible_time);
            return Err(refusal(ResponseCode::InvalidParameter, remark));
        }
        let (topic, group) =
            topic_and_group(broker, config, &header.topic, &header.consumer_group, header.queue_id, responder)?;
        let filter = subscribe(broker, config, header)?;
        Ok(Self { topic, group, filter })
    }
}

/// Notes what the group subscribes to, for those that ask, and makes the filter; without an expression all is wanted.
fn subscribe(
    broker: &Broker,
    config: &BrokerSettings,
    header: &PopMessageRequestHeader,
) -> Result<Option<HeldFilter>, Box<RemotingCommand>> {
    let (topic, group) = (header.topic.as_str(), header.consumer_group.as_str());
    let expression = header.exp.as_deref().filter(|expression| !expression.is_empty());
    let expression_type = header.exp_type.as_deref().filter(|_| expression.is_some());
    let known = broker.consumers.subscription_or_pulled(group, topic);
    let known = known.filter(|known| known.sub_string.as_deref() == expression && known.has_type(expression_type));
    let subscription = match known {
        Some(known) => known,
        None => {
            let built = subscription::build(topic, expression.or(Some(SUB_ALL)), expression_type);
            let built = built.map_err(|error| {
                warn!(group, topic, %error, "subscription is not understood");
                refusal(ResponseCode::SubscriptionParseFailed, "parse the consumer's subscription failed")
            })?;
            let built = Arc::new(built);
            broker.consumers.note_pull(group, built.clone(), Instant::now());
            let retry = retry_topic(topic, group, config.broker.enable_retry_topic_v2);
            if let Ok(retry) = subscription::build(&retry, Some(SUB_ALL), None) {
                broker.consumers.note_pull(group, Arc::new(retry), Instant::now());
            }
            built
        }
    };
    if expression.is_none() {
        return Ok(None);
    }
    let filter = SubscriptionFilter::of_request(broker, group, &subscription).map_err(|error| {
        warn!(group, topic, %error, "subscription is not understood");
        refusal(ResponseCode::SubscriptionParseFailed, "parse the consumer's subscription failed")
    })?;
    Ok(Some(Arc::new(filter)))
}

/// A queue that a pop takes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    key: QueueKey,
    is_retry: bool,
    /// Only when the pop is not full yet.
    if_room: bool,
}

/// The queues that a pop takes, in this order.
struct Plan(Vec<Target>);

impl Plan {
    /// One kind of retry topic at most is in a plan: their queues look alike in the answer.
    fn new(broker: &Broker, config: &BrokerSettings, header: &PopMessageRequestHeader, admitted: &Admitted) -> Self {
        let keys = &config.broker;
        let chance = rand::random_range(0..100);
        let factor = admitted.group.attributes.get(PRIORITY_FACTOR).and_then(|text| text.parse::<i64>().ok());
        let is_priority = admitted.topic.attributes.get("message.type").is_some_and(|kind| kind == "PRIORITY");
        let by_priority = is_priority && !header.order && i64::from(chance) < factor.unwrap_or(100);
        let retry_first = chance
            < if by_priority { keys.pop_from_retry_probability_for_priority } else { keys.pop_from_retry_probability };
        let old_retry = keys.enable_retry_topic_v2 && keys.retrieve_message_from_pop_retry_topic_v1 && chance % 2 == 0;
        let start = if by_priority { 0 } else { chance };

        let group: Arc<str> = header.consumer_group.as_str().into();
        let targets = |topic: &TopicConfig, is_retry, if_room| {
            let name: Arc<str> = topic.topic_name.as_str().into();
            let group = group.clone();
            let queue_ids = queue_order(topic.read_queue_nums, keys.priority_order_asc, start);
            queue_ids.map(move |queue_id| Target {
                key: QueueKey { topic: name.clone(), group: group.clone(), queue_id },
                is_retry,
                if_room,
            })
        };
        let retry_name = retry_topic(&header.topic, &header.consumer_group, keys.enable_retry_topic_v2 && !old_retry);
        let retry = broker.topics.get(&retry_name).filter(|_| !header.order);
        let mut plan = Vec::new();
        if retry_first {
            plan.extend(retry.iter().flat_map(|topic| targets(topic, true, false)));
        }
        if header.queue_id < 0 {
            plan.extend(targets(&admitted.topic, false, false));
        } else {
            let key = QueueKey { topic: header.topic.as_str().into(), group: group.clone(), queue_id: header.queue_id };
            plan.push(Target { key, is_retry: false, if_room: false });
        }
        if !retry_first {
            plan.extend(retry.iter().flat_map(|topic| targets(topic, true, true)));
        }
        Self(plan)
    }
}

/// Every queue once, from a place that differs each time. Backwards by default, as Java does it for priorities: the
/// highest queue has the highest.
fn queue_order(queues: i32, backwards: bool, start: i32) -> impl Iterator<Item = i32> {
    let queues = queues.max(0);
    (0..queues).map(move |i| {
        let index = i64::from(if backwards { queues - 1 - i } else { i }) + i64::from(start);
        i32::try_from(index % i64::from(queues)).unwrap_or(0)
    })
}

/// How far a queue was seen.
struct Seen {
    target: usize,
    /// Offset behind the last message that there was; `None` where another pop had the queue.
    max_offset: Option<i64>,
    /// Where the next pop goes on.
    next_offset: i64,
}

/// A read would have to wait for the disk.
struct NeedsDisk;

/// A request that is to be answered, or to wait.
struct Call {
    request: RemotingCommand,
    responder: Responder,
}

/// A pop on its way through its plan.
struct Run {
    header: PopMessageRequestHeader,
    config: Arc<BrokerSettings>,
    filter: Option<HeldFilter>,
    plan: Plan,
    at: usize,
    revive_queue: i32,
    pop_time: i64,
    begun: Instant,
    turn: Turn,
    messages: Vec<Bytes>,
    offsets: PopOffsets,
    rest: i64,
    /// Messages were passed over that nobody wants, and there are more: to be run again at once.
    goes_on: bool,
    seen: Vec<Seen>,
}

impl Run {
    fn go(mut self, broker: &Arc<Broker>, call: Call) {
        if self.take_all(broker, false).is_ok() {
            return self.finish(broker, call);
        }
        let broker = broker.clone();
        tokio::task::spawn_blocking(move || {
            self.turn = Turn::Other;
            // With patience a read never needs more.
            let _ = self.take_all(&broker, true);
            self.finish(&broker, call);
        });
    }

    fn take_all(&mut self, broker: &Broker, may_wait: bool) -> Result<(), NeedsDisk> {
        while let Some(target) = self.plan.0.get(self.at) {
            if !(target.if_room && self.room() == 0) {
                let target = target.clone();
                self.take(broker, &target, may_wait)?;
            }
            self.at += 1;
        }
        Ok(())
    }

    fn room(&self) -> usize {
        usize::try_from(self.header.max_msg_nums).unwrap_or(0).saturating_sub(self.messages.len())
    }

    /// Counts messages that are left. Consumers may commit any offset.
    fn leave(&mut self, messages: i64) {
        self.rest = self.rest.saturating_add(messages);
    }

    fn saw(&mut self, max_offset: Option<i64>, next_offset: i64) {
        self.seen.push(Seen { target: self.at, max_offset, next_offset });
    }

    /// Takes messages of one queue.
    fn take(&mut self, broker: &Broker, target: &Target, may_wait: bool) -> Result<(), NeedsDisk> {
        let (pop, key) = (&broker.pop, &target.key);
        let (topic, group, queue_id) = (&*key.topic, &*key.group, key.queue_id);
        let max_offset = broker.store.max_offset(topic, queue_id);
        let Some(_lock) = pop.locks.try_lock(key) else {
            if !self.header.order {
                self.leave(max_offset.saturating_sub(self.begin(broker, key, false)));
            }
            self.saw(None, 0);
            return Ok(());
        };
        if self.config.broker.enable_pop_message_threshold
            && pop.in_flight.count(key) > self.config.broker.pop_inflight_message_threshold
        {
            let begin = self.begin(broker, key, false);
            warn!(topic, group, queue_id, "too many messages are not acknowledged, none is popped");
            self.leave(max_offset.saturating_sub(begin));
            return Ok(());
        }
        let mut offset = match self.take_reset(broker, key) {
            Some(offset) => offset,
            None => self.begin(broker, key, true),
        };
        if self.header.order {
            if pop.orders.blocks(key, self.header.attempt_id.as_deref(), self.header.invisible_time) {
                return Ok(());
            }
            pop.in_flight.clear(key);
        }
        if self.room() == 0 {
            self.leave(max_offset.saturating_sub(offset));
            self.saw(Some(max_offset), offset);
            return Ok(());
        }
        let mut result = self.read(broker, key, offset, may_wait)?;
        if matches!(
            result.status,
            GetStatus::OffsetTooSmall | GetStatus::OffsetOverflowBadly | GetStatus::OffsetFoundNull
        ) {
            warn!(
                topic,
                group,
                queue_id,
                offset,
                next = result.next_begin_offset,
                "offset is outside the queue, corrected"
            );
            offset = result.next_begin_offset;
            pop.buffer.forget_steps(key);
            self.commit(broker, key, offset);
            result = self.read(broker, key, offset, may_wait)?;
        }
        let next = result.next_begin_offset;
        match result.status {
            GetStatus::Found if !self.account_for(broker, target, offset, &result) => {
                self.leave(result.count.into());
                return Ok(());
            }
            GetStatus::Found => self.hand_out(broker, target, offset, &result),
            GetStatus::NoMatchedMessage
            | GetStatus::OffsetFoundNull
            | GetStatus::MessageWasRemoving
            | GetStatus::NoMatchedLogicQueue
                if next > offset =>
            {
                if self.header.order {
                    self.commit(broker, key, next);
                } else {
                    pop.buffer.accounted(key, next, 0, &Committed::of(broker));
                }
                self.goes_on |= result.max_offset > next;
            }
            // An empty queue has no offsets.
            GetStatus::NoMessageInQueue => {
                self.saw(Some(result.max_offset), result.max_offset);
                return Ok(());
            }
            // Tried again when something arrives.
            _ => {}
        }
        self.leave(result.max_offset.saturating_sub(next).max(0));
        self.saw(Some(result.max_offset), next);
        Ok(())
    }

    fn read(&self, broker: &Broker, key: &QueueKey, offset: i64, may_wait: bool) -> Result<GetResult, NeedsDisk> {
        let request = GetRequest {
            topic: &key.topic,
            queue_id: key.queue_id,
            offset,
            max_messages: u32::try_from(self.room()).unwrap_or(0),
            max_bytes: BYTES_MAX,
        };
        let all = MatchAll;
        let filter: &dyn MessageFilter = self.filter.as_ref().map_or(&all, |filter| filter.as_ref());
        match may_wait {
            true => Ok(broker.store.get(&request, filter)),
            false => broker.store.get_now(&request, filter).ok_or(NeedsDisk),
        }
    }

    /// Where the pop of a queue begins. For a queue that was never consumed the offset is committed with `commit`.
    fn begin(&self, broker: &Broker, key: &QueueKey, commit: bool) -> i64 {
        if let Some(position) = broker.pop.position(broker, key) {
            return position;
        }
        let (topic, queue_id) = (&*key.topic, key.queue_id);
        let offset = if self.header.init_mode == INIT_MIN || topic.starts_with(RETRY_PREFIX) {
            broker.store.min_offset(topic, queue_id).max(0)
        } else {
            first_offset(broker, &self.config, topic, queue_id)
        };
        if commit {
            self.commit(broker, key, offset);
        }
        offset
    }

    fn commit(&self, broker: &Broker, key: &QueueKey, offset: i64) {
        let step = self.config.broker.consumer_offset_update_version_step;
        broker.offsets.commit(&key.topic, &key.group, key.queue_id, offset, step);
    }

    /// Takes up an offset that an administrator has set.
    fn take_reset(&self, broker: &Broker, key: &QueueKey) -> Option<i64> {
        let offset = broker.offsets.take_reset(&key.topic, &key.group, key.queue_id)?;
        broker.pop.orders.clear(key);
        broker.pop.buffer.forget_steps(key);
        self.commit(broker, key, offset);
        Some(offset)
    }

    /// Remembers what is handed out; false when that is not possible, and nothing may be handed out.
    fn account_for(&mut self, broker: &Broker, target: &Target, offset: i64, result: &GetResult) -> bool {
        let (pop, key, header) = (&broker.pop, &target.key, &self.header);
        if header.order {
            let info = OrderInfo::new(
                header.attempt_id.as_deref(),
                self.pop_time,
                header.invisible_time,
                &result.queue_offsets,
                now_ms(),
            );
            pop.orders.popped(key, info, &mut self.offsets);
            self.commit(broker, key, offset);
            return true;
        }
        let point = PopCheckPoint {
            bit_map: 0,
            broker_name: Some(self.config.broker.broker_name.clone()),
            consumer_group: header.consumer_group.clone(),
            queue_offset_diff: Some(differences(offset, &result.queue_offsets)),
            invisible_time: header.invisible_time,
            num: i32::try_from(result.messages.len()).unwrap_or(i32::MAX),
            pop_time: self.pop_time,
            queue_id: key.queue_id,
            revive_offset: 0,
            re_put_times: None,
            start_offset: offset,
            suspend: false,
            topic: key.topic.to_string(),
        };
        broker.stats.add_to_cluster(StatName::BrokerCkNums, 1);
        broker.stats.add_to_group(StatName::GroupCkNums, &header.topic, &header.consumer_group, 1);
        let point = match self.keep(broker, key, point, result.next_begin_offset) {
            Ok(()) => return true,
            Err(point) => point,
        };
        match pop.journal.checkpoint(&point, self.revive_queue, self.turn) {
            Ok(appended) => {
                pop.buffer.accounted(key, result.next_begin_offset, appended.end(), &Committed::of(broker));
                pop.wake_writer();
                true
            }
            Err(error) => {
                warn!(topic = &*key.topic, group = &*key.group, %error, "no checkpoint can be written, nothing is popped");
                false
            }
        }
    }

    /// Keeps a checkpoint in memory, where that is allowed and it can stay for a while; else gives it back.
    fn keep(
        &self,
        broker: &Broker,
        key: &QueueKey,
        point: PopCheckPoint,
        next_offset: i64,
    ) -> Result<(), Box<PopCheckPoint>> {
        let keys = &self.config.broker;
        let (pop, now) = (&broker.pop, now_ms());
        let before_visible = point.revive_time().saturating_sub(keys.pop_ck_stay_buffer_time_out.into());
        let keeps = keys.enable_pop_buffer_merge
            && pop.keeps()
            && before_visible.saturating_sub(now) >= KEEP_MARGIN_MS
            && pop.buffer.len() <= usize::try_from(keys.pop_ck_max_buffer_size).unwrap_or(0)
            && pop.buffer.steps_of(key) < usize::try_from(keys.pop_ck_offset_max_queue_size).unwrap_or(0);
        if !keeps {
            return Err(Box::new(point));
        }
        let leave_at = before_visible.min(self.pop_time.saturating_add(keys.pop_ck_stay_buffer_time.into()));
        let kept = pop.buffer.keep(NewBuffered {
            point: point.clone(),
            own_broker: &keys.broker_name,
            revive_queue: self.revive_queue,
            queue: key,
            next_offset,
            leave_at,
        });
        if kept { Ok(()) } else { Err(Box::new(point)) }
    }

    fn hand_out(&mut self, broker: &Broker, target: &Target, offset: i64, result: &GetResult) {
        let (key, header) = (&target.key, &self.header);
        let kind = PopTopic::of(&key.topic);
        let (messages, bytes) = (i64::from(result.count), i64::from(result.bytes));
        let system = broker.topics.is_system(&header.topic);
        broker.stats.get(&key.group, &key.topic, key.queue_id, messages, bytes, system);
        self.offsets.queue(kind, key.queue_id, offset, &result.queue_offsets);
        if !target.is_retry || self.config.broker.pop_response_return_actual_retry_topic {
            self.messages.extend(result.messages.iter().cloned());
        } else {
            for (message, queue_offset) in result.messages.iter().zip(&result.queue_offsets) {
                let handle = PopHandle {
                    start_offset: offset,
                    pop_time: self.pop_time,
                    invisible_time: header.invisible_time,
                    revive_qid: self.revive_queue,
                    topic: kind,
                    broker_name: self.config.broker.broker_name.clone(),
                    queue_id: key.queue_id,
                    queue_offset: Some(*queue_offset),
                };
                self.messages.push(under_topic(message, &header.topic, &handle));
            }
        }
        broker.pop.in_flight.add(key, result.messages.len());
    }

    /// Answers, or waits.
    fn finish(self, broker: &Broker, call: Call) {
        let key = QueueKey::new(&self.header.topic, &self.header.consumer_group, self.header.queue_id);
        if self.messages.is_empty() {
            return self.wait(broker, call, &key);
        }
        let leaves_some = self.rest > 0 || self.missed(broker);
        let (group, topic, queue_id) = (&*key.group, &*key.topic, key.queue_id);
        let latency_ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        broker.stats.get_latency(group, topic, queue_id, latency_ms);
        let mut response = self.response(ResponseCode::Success, "FOUND");
        response.more_body = self.messages;
        call.responder.send(response);
        if leaves_some {
            broker.pop.held.wake(&key);
        }
    }

    fn wait(self, broker: &Broker, call: Call, key: &QueueKey) {
        let header = &self.header;
        let until = if header.poll_time > 0 { deadline(header.born_time, header.poll_time) } else { None };
        let Some(deadline) = until else {
            return call.responder.send(self.response(ResponseCode::PollingTimeout, NO_MESSAGE));
        };
        let Call { request, responder } = call;
        let (key, filter) = (key.clone(), self.filter.clone());
        let held = HeldPop { request, responder, key: key.clone(), filter, deadline };
        match broker.pop.held.hold(Box::new(held), room(&self.config)) {
            Ok(()) if self.goes_on || self.missed(broker) => {
                broker.pop.held.wake(&key);
            }
            Ok(()) => {}
            Err(refused) => refused.responder.send(self.response(ResponseCode::PollingFull, NO_MESSAGE)),
        }
    }

    /// Whether messages came to a queue since it was looked at, or another pop left some that had the queue.
    fn missed(&self, broker: &Broker) -> bool {
        self.seen.iter().any(|seen| {
            let Some(target) = self.plan.0.get(seen.target) else { return false };
            let key = &target.key;
            match seen.max_offset {
                Some(max_offset) => {
                    broker.store.max_offset(&key.topic, key.queue_id) > max_offset.max(seen.next_offset)
                }
                // While another request has the queue, it wakes who waits when it ends.
                None => {
                    let blocked = || {
                        let attempt = self.header.attempt_id.as_deref();
                        self.header.order && broker.pop.orders.blocks(key, attempt, self.header.invisible_time)
                    };
                    !broker.pop.locks.is_locked(key) && broker.pop.unpopped(broker, key) > 0 && !blocked()
                }
            }
        })
    }

    /// The answer, but for the messages.
    fn response(&self, code: ResponseCode, remark: &str) -> RemotingCommand {
        let mut response = RemotingCommand::response(code).with_remark(remark);
        let fields = &mut response.fields;
        fields.push_int("popTime", self.pop_time);
        fields.push_int("invisibleTime", self.header.invisible_time);
        fields.push_int("reviveQid", self.revive_queue.into());
        fields.push_int("restNum", self.rest);
        fields.push_str("startOffsetInfo", self.offsets.start_offset_info());
        fields.push_str("msgOffsetInfo", self.offsets.msg_offset_info());
        if self.header.order {
            fields.push_str("orderCountInfo", self.offsets.order_count_info());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_is_taken_once() {
        for (queues, start) in [(1, 0), (1, 99), (4, 3), (7, 99)] {
            for backwards in [false, true] {
                let mut order: Vec<i32> = queue_order(queues, backwards, start).collect();
                order.sort_unstable();
                assert_eq!(order, (0..queues).collect::<Vec<_>>());
            }
        }
        assert_eq!(queue_order(0, true, 5).count(), 0);
        assert_eq!(queue_order(3, true, 0).collect::<Vec<_>>(), [2, 1, 0], "by priority");
        assert_eq!(queue_order(3, false, 0).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
