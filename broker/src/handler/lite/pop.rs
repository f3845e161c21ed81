//! POP_LITE_MESSAGE: hands out messages of the lite topics that a client has events for. Java: `PopLiteMessageProcessor`.
//!
//! A lite topic whose last pop is not acknowledged is passed over; it is an event again when it can be popped. What would
//! have to wait, for the disk or for an acknowledgement of the lite topic, goes on from a blocking thread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hypergol_remoting::pop_handle::{ORDER_REVIVE_QUEUE, PopOffsets};
use hypergol_remoting::protocol::header::lite::{PopLiteMessageRequestHeader, PopLiteMessageResponseHeader};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::{GetRequest, GetResult, GetStatus, MatchAll};

use crate::config::BrokerSettings;
use crate::context::{Broker, now_ms};
use crate::handler::pop::{BYTES_MAX, deadline, existing_topic, first_offset, is_too_late, readable_broker, room};
use crate::handler::{FAQ, refusal};
use crate::lite::{attributes, held_key};
use crate::pop::QueueKey;
use crate::pop::checkpoint::MESSAGES_MAX;
use crate::pop::held::HeldPop;
use crate::pop::order_info::OrderInfo;
use crate::topics::PERM_READ;

type Refused = Box<RemotingCommand>;
type Header = PopLiteMessageRequestHeader;

/// Answers a pop, now or when one of the client's lite topics has messages.
pub fn pop(broker: &Arc<Broker>, mut request: RemotingCommand, responder: Responder) {
    let config = Arc::clone(&broker.config());
    let mut header: Header = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    if header.born_time == 0 {
        header.born_time = now_ms();
        request.fields.set("bornTime", &header.born_time.to_string());
    }
    if let Err(refused) = check(broker, &config, &header) {
        return responder.send(*refused);
    }
    let looks_at_all = !config.broker.enable_lite_event_mode;
    let subscribed = if looks_at_all { broker.lite.subscriptions.of_client(&header.client_id) } else { None };
    let run = Run {
        pop_time: now_ms(),
        begun: Instant::now(),
        subscribed: subscribed.map(|queues| queues.into_iter()),
        config,
        header,
        seen: BTreeSet::new(),
        unfinished: None,
        messages: Vec::new(),
        count: 0,
        order_counts: Vec::new(),
    };
    run.go(broker, request, responder);
}

/// Java's checks in Java's order; the error is the answer.
fn check(broker: &Broker, config: &BrokerSettings, header: &Header) -> Result<(), Refused> {
    let ip = &config.broker.broker_ip1;
    let (topic, group) = (header.topic.as_str(), header.consumer_group.as_str());
    if is_too_late(header.born_time, header.poll_time) {
        return Err(refusal(ResponseCode::PollingTimeout, format!("the broker[{ip}] pop message is timeout too much")));
    }
    readable_broker(config, "pop message")?;
    if usize::try_from(header.max_msg_num).is_ok_and(|wanted| wanted > MESSAGES_MAX) {
        let remark = format!("the broker[{ip}] pop message's num is greater than {MESSAGES_MAX}");
        return Err(refusal(ResponseCode::InvalidParameter, remark));
    }
    let topic_config = existing_topic(broker, topic)?;
    if topic_config.perm & PERM_READ == 0 {
        return Err(refusal(ResponseCode::NoPermission, format!("the topic [{topic}] peeking message is forbidden")));
    }
    if !attributes::is_parent(&topic_config) {
        return Err(refusal(ResponseCode::InvalidParameter, format!("the topic [{topic}] message type not match")));
    }
    let group_config = broker.groups.find_or_create(&config.broker, group).ok_or_else(|| {
        refusal(ResponseCode::SubscriptionGroupNotExist, format!("subscription group [{group}] not exist, {FAQ}"))
    })?;
    if !group_config.consume_enable {
        return Err(refusal(ResponseCode::NoPermission, format!("subscription group no permission, {group}")));
    }
    if attributes::bind_topic(&group_config) != Some(topic) {
        let remark = format!("subscription bind topic not match, {group}");
        return Err(refusal(ResponseCode::InvalidParameter, remark));
    }
    Ok(())
}

/// The disk, or another request, would have to be waited for.
struct MustWait;

/// A pop on its way through the events of its client.
struct Run {
    config: Arc<BrokerSettings>,
    header: Header,
    pop_time: i64,
    begun: Instant,
    /// Without events: what the client subscribes to and was not looked at.
    subscribed: Option<std::vec::IntoIter<Arc<str>>>,
    /// Lite topics that were looked at.
    seen: BTreeSet<Arc<str>>,
    /// One that must be waited for.
    unfinished: Option<Arc<str>>,
    messages: Vec<Bytes>,
    count: usize,
    /// How often messages were popped before, a text for each lite topic.
    order_counts: Vec<String>,
}

impl Run {
    fn go(mut self, broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
        if self.take_all(broker, false).is_ok() {
            return self.finish(broker, request, responder);
        }
        let broker = broker.clone();
        tokio::task::spawn_blocking(move || {
            // With patience nothing must be waited for.
            let _ = self.take_all(&broker, true);
            self.finish(&broker, request, responder);
        });
    }

    fn room(&self) -> usize {
        usize::try_from(self.header.max_msg_num).unwrap_or(0).saturating_sub(self.count)
    }

    fn next_queue(&mut self, broker: &Broker) -> Option<Arc<str>> {
        if let Some(queue) = self.unfinished.take() {
            return Some(queue);
        }
        match &mut self.subscribed {
            Some(queues) => queues.next(),
            None if self.config.broker.enable_lite_event_mode => broker.lite.events.next(&self.header.client_id),
            None => None,
        }
    }

    fn take_all(&mut self, broker: &Broker, may_wait: bool) -> Result<(), MustWait> {
        while self.room() > 0
            && let Some(queue) = self.next_queue(broker)
        {
            if self.seen.contains(&queue) {
                // It became an event again meanwhile: for the next pop.
                broker.lite.available(&self.header.consumer_group, &queue, None);
                break;
            }
            if self.take(broker, &queue, may_wait).is_err() {
                self.unfinished = Some(queue);
                return Err(MustWait);
            }
            self.seen.insert(queue);
        }
        Ok(())
    }

    /// Takes messages of one lite topic.
    fn take(&mut self, broker: &Broker, queue: &Arc<str>, may_wait: bool) -> Result<(), MustWait> {
        let lite = &broker.lite;
        let key = QueueKey::new(queue, &self.header.consumer_group, 0);
        if broker.store.max_offset(queue, 0) <= 0 {
            return Ok(());
        }
        let _lock = match may_wait {
            true => lite.locks.lock(&key),
            false => lite.locks.try_lock(&key).ok_or(MustWait)?,
        };
        if lite.orders.blocks(&key, self.header.attempt_id.as_deref(), self.header.invisible_time) {
            return Ok(());
        }
        let offset = self.begin(broker, &key);
        let mut result = self.read(broker, queue, offset, may_wait)?;
        let is_elsewhere = matches!(
            result.status,
            GetStatus::OffsetTooSmall
                | GetStatus::OffsetOverflowBadly
                | GetStatus::OffsetFoundNull
                | GetStatus::NoMatchedMessage
                | GetStatus::MessageWasRemoving
        );
        if is_elsewhere {
            let next = result.next_begin_offset;
            self.commit(broker, &key, next);
            result = self.read(broker, queue, next, may_wait)?;
        }
        if result.status == GetStatus::Found {
            self.hand_out(broker, &key, result);
        }
        Ok(())
    }

    /// Where the group goes on.
    fn begin(&self, broker: &Broker, key: &QueueKey) -> i64 {
        let (queue, group) = (&*key.topic, &*key.group);
        if let Some(offset) = broker.offsets.take_reset(queue, group, 0) {
            broker.lite.orders.clear(key);
            self.commit(broker, key, offset);
            return offset;
        }
        broker.offsets.committed(queue, group, 0, false).unwrap_or_else(|| {
            let offset = first_offset(broker, &self.config, queue, 0);
            self.commit(broker, key, offset);
            offset
        })
    }

    fn commit(&self, broker: &Broker, key: &QueueKey, offset: i64) {
        let step = self.config.broker.consumer_offset_update_version_step;
        broker.offsets.commit(&key.topic, &key.group, 0, offset, step);
    }

    fn read(&self, broker: &Broker, queue: &str, offset: i64, may_wait: bool) -> Result<GetResult, MustWait> {
        let max_messages = u32::try_from(self.room()).unwrap_or(0);
        let request = GetRequest { topic: queue, queue_id: 0, offset, max_messages, max_bytes: BYTES_MAX };
        match may_wait {
            true => Ok(broker.store.get(&request, &MatchAll)),
            false => broker.store.get_now(&request, &MatchAll).ok_or(MustWait),
        }
    }

    fn hand_out(&mut self, broker: &Broker, key: &QueueKey, result: GetResult) {
        let attempt = self.header.attempt_id.as_deref();
        let (pop_time, invisible_time) = (self.pop_time, self.header.invisible_time);
        let info = OrderInfo::new(attempt, pop_time, invisible_time, &result.queue_offsets, now_ms());
        let mut counts = PopOffsets::default();
        broker.lite.orders.popped(key, info, &mut counts);
        self.order_counts.push(order_counts(counts.order_count_info(), result.messages.len()));
        self.count += result.messages.len();
        self.messages.extend(result.messages);
        if self.config.broker.lite_lag_latency_collect_enable {
            let left = (self.room() == 0 && result.next_begin_offset < result.max_offset)
                .then(|| broker.store.store_time_of(&key.topic, 0, result.next_begin_offset));
            let keep = usize::try_from(self.config.broker.lite_lag_latency_top_k).unwrap_or(0);
            broker.lite.lags.note(&key.group, &key.topic, left.filter(|time| *time > 0), keep);
        }
    }

    fn finish(self, broker: &Broker, request: RemotingCommand, responder: Responder) {
        let (group, topic) = (self.header.consumer_group.as_str(), self.header.topic.as_str());
        if self.count == 0 {
            return self.wait(broker, request, responder);
        }
        let bytes: usize = self.messages.iter().map(Bytes::len).sum();
        let latency_ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        broker.stats.get_latency(group, topic, 0, latency_ms);
        let (messages, bytes) = (i64::try_from(self.count).unwrap_or(0), i64::try_from(bytes).unwrap_or(0));
        broker.stats.get_of_queues(group, topic, messages, bytes, broker.topics.is_system(topic));
        let mut response = self.response(ResponseCode::Success, "FOUND");
        response.more_body = self.messages;
        responder.send(response);
    }

    fn wait(self, broker: &Broker, request: RemotingCommand, responder: Responder) {
        const NO_MESSAGE: &str = "NO_MESSAGE_IN_QUEUE";
        let header = &self.header;
        let until = if header.poll_time > 0 { deadline(header.born_time, header.poll_time) } else { None };
        let Some(deadline) = until else {
            return responder.send(self.response(ResponseCode::PollingTimeout, NO_MESSAGE));
        };
        let key = held_key(&header.client_id);
        let held = HeldPop { request, responder, key: key.clone(), filter: None, deadline };
        match broker.lite.held.hold(Box::new(held), room(&self.config)) {
            // Something came in between.
            Ok(()) if broker.lite.events.has_any(&header.client_id) => {
                broker.lite.held.wake(&key);
            }
            Ok(()) => {}
            Err(refused) => refused.responder.send(self.response(ResponseCode::PollingFull, NO_MESSAGE)),
        }
    }

    fn response(&self, code: ResponseCode, remark: &str) -> RemotingCommand {
        let header = PopLiteMessageResponseHeader {
            pop_time: self.pop_time,
            invisible_time: self.header.invisible_time,
            revive_qid: ORDER_REVIVE_QUEUE,
            start_offset_info: None,
            msg_offset_info: None,
            order_count_info: Some(self.order_counts.join(";")),
        };
        RemotingCommand::response(code).with_remark(remark).with_header(&header)
    }
}

/// The text for the messages of a lite topic: what `counts` says of each that was popped before, or a count for each.
fn order_counts(counts: &str, messages: usize) -> String {
    match counts.rsplit_once(';') {
        // The last part is that of the queue.
        Some((of_messages, _)) => of_messages.to_owned(),
        None => vec![counts.rsplit(' ').next().filter(|count| !count.is_empty()).unwrap_or("0"); messages].join(";"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_as_java_does() {
        assert_eq!(order_counts("0 0 0", 3), "0;0;0");
        assert_eq!(order_counts("0 qo0%5 1;0 qo0%6 2;0 0 1", 2), "0 qo0%5 1;0 qo0%6 2");
        assert_eq!(order_counts("", 2), "0;0");
    }
}
