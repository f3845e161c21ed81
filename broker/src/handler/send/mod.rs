//! SEND_MESSAGE in all its forms.
//!
//! A send is checked ([`check`]), its properties are rewritten ([`properties`]) into a buffer of the thread, and the
//! message is appended. With ASYNC_FLUSH the answer follows at once; with SYNC_FLUSH the store answers through
//! [`when_flushed`](hypergol_store::MessageStore::when_flushed). Nothing is spawned and no lock is held across the
//! append. Consumers see what was appended when the connection's turn ends (see [`crate::dispatch`]).

mod answer;
mod batch;
mod check;
mod properties;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use hypergol_remoting::message::{RecallHandle, sys_flag};
use hypergol_remoting::protocol::body::topic::{TopicConfig, TopicFilterType};
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{RemotingCommand, RequestCode, Responder, ResponseCode};
use hypergol_store::NewMessage;
use tracing::info;

pub(super) use self::answer::response;
use self::answer::{Answer, refuse};
use self::check::Destination;
use self::properties::Properties;
use crate::config::BrokerSettings;
use crate::context::{Broker, now_ms};
use crate::names;
use crate::retry;
use crate::schedule::levels::{SCHEDULE_TOPIC, queue_of_level};
use crate::static_topic::{LogicalQueue, NotLeader};
use crate::timer::TimerKind;
use crate::timer::entry::{self, TIMER_QUEUE};
use crate::topics::{PERM_READ, PERM_WRITE};

/// Why a send is answered without being stored: the answer.
type Refused = Box<RemotingCommand>;

/// Answers a send: 10 with the fields' full names, 310 and 320 with letters.
pub fn send(broker: &Arc<Broker>, code: RequestCode, request: RemotingCommand, responder: Responder) {
    let config = broker.config();
    let mut header = match SendMessageRequest::decode(code, &request.fields) {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let logical = match logical_queue(broker, &mut header, &request) {
        Ok(logical) => logical,
        Err(refused) => return responder.error(ResponseCode::NotLeaderForQueue, refused.to_string()),
    };
    let checked = check::topic(broker, &config, &header, &request, &responder);
    let makes_topic = checked.as_ref().is_ok_and(|destination| destination.is_new);
    let stored = checked.and_then(|Destination { topic, .. }| {
        let is_logical = logical.is_some();
        let send = Send { broker, config: &config, header: &header, request: &request, topic: &topic, is_logical };
        if header.batch { batch::store(&send, &responder) } else { send.store(&responder) }
    });
    match stored.map(|answer| answer.in_logical_queue(logical.as_ref())) {
        // A kill must not leave acknowledged messages of a topic that nobody knows.
        Ok(answer) if makes_topic => {
            let (broker_then, config) = (broker.clone(), Arc::clone(&config));
            broker.topics.when_written(Box::new(move |written| match written {
                Ok(()) => answer.give(&broker_then, &config, responder),
                Err(error) => {
                    responder
                        .error(ResponseCode::SystemError, format!("stored, but its topic is not written: {error}"));
                }
            }));
        }
        Ok(answer) => answer.give(broker, &config, responder),
        Err(refused) => responder.send(*refused),
    }
}

/// The queue of a static topic that a send is for; the header names the physical one from then on.
fn logical_queue(
    broker: &Broker,
    header: &mut SendMessageRequest<'_>,
    request: &RemotingCommand,
) -> Result<Option<LogicalQueue>, NotLeader> {
    let Some(mapping) = broker.static_topics.of_request(header.topic, &request.fields) else { return Ok(None) };
    let queue = match header.queue_id {
        id @ 0.. => LogicalQueue::led(mapping, id)?,
        _ => LogicalQueue::any_led(mapping)?,
    };
    if let Some(section) = queue.newest() {
        header.queue_id = section.queue_id;
    }
    Ok(Some(queue))
}

/// What is checked of a reply before it goes to the client that asked.
pub(super) fn check_reply(
    broker: &Broker,
    config: &BrokerSettings,
    header: &SendMessageRequest<'_>,
    responder: &Responder,
) -> Result<Arc<TopicConfig>, Refused> {
    check::sendable(broker, config, header, responder).map(|destination| destination.topic)
}

/// A send whose topic was checked.
struct Send<'a> {
    broker: &'a Arc<Broker>,
    config: &'a BrokerSettings,
    header: &'a SendMessageRequest<'a>,
    request: &'a RemotingCommand,
    topic: &'a TopicConfig,
    /// To a queue of a static topic: there, no other queue may be chosen, as nobody might read it.
    is_logical: bool,
}

impl Send<'_> {
    /// Appends a single message.
    fn store(&self, responder: &Responder) -> Result<Answer, Refused> {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let mut buffer = BUFFER.take();
        let result = self.store_with(&mut buffer, responder);
        buffer.clear();
        // A header may have any length; properties that are stored have at most 32,767 bytes.
        buffer.shrink_to(64 << 10);
        BUFFER.set(buffer);
        result
    }

    fn store_with(&self, buffer: &mut Vec<u8>, responder: &Responder) -> Result<Answer, Refused> {
        let begun = Instant::now();
        let (broker, config, header) = (self.broker, self.config, self.header);
        let mut asked_queue = self.queue()?;
        let mut properties = Properties::rewrite(header.properties.unwrap_or_default(), config, buffer);
        let dead_letter = self.dead_letter_topic()?;
        if dead_letter.is_some() {
            properties.set_delay("-1", buffer);
        }
        let uniq_key = match properties.uniq_key {
            Some(key) => key.to_owned(),
            None => {
                let key = broker.unique_keys.next().to_string();
                Properties::append(buffer, "UNIQ_KEY", &key);
                key
            }
        };
        check::message(config, header, self.topic, &properties)?;
        let lite_queue = check::lite_queue(config, header.topic, &properties)?;
        if let Some(queue) = &lite_queue {
            properties.set_light_queue(queue, buffer);
        }
        if config.store.enable_lmq {
            check::light_queues(broker, config, header.topic, &properties)?;
        }
        if let Some(priority) = properties.queue_by_priority(self.topic.write_queue_nums).filter(|_| !self.is_logical) {
            asked_queue = priority;
        }
        let (mut topic, mut queue_id) = match &dead_letter {
            Some(topic) => (topic.as_str(), 0),
            None => (header.topic, asked_queue),
        };
        let mut sys_flag = self.sys_flag();
        let is_half = check::is_half(header, &properties);
        let level = properties
            .delay_level(header.sys_flag)
            .map_err(|remark| refuse(config, ResponseCode::SystemError, remark))?;
        let real_topic = topic;
        if is_half {
            // A delay begins with the commit, for whose answer nobody waits: what can never be timed is refused now. Java
            // times the half message instead, which then can no longer be committed.
            if !check::is_delayed(&properties)
                && let Some(asked) = properties.timer(sys_flag::TRANSACTION_NONE)
            {
                self.out_time(asked, properties.takes_back)?;
            }
            Properties::make_half(topic, queue_id, &uniq_key, buffer);
            sys_flag &= !sys_flag::TRANSACTION_MASK;
            (topic, queue_id) = (names::HALF_TOPIC, 0);
        } else if let Some(level) = level {
            let level = level.min(broker.delay_levels().max());
            properties.redirect(level, topic, queue_id, buffer);
            (topic, queue_id) = (SCHEDULE_TOPIC, queue_of_level(level));
        }
        let mut recall_handle = None;
        if !is_half
            && level.is_none()
            && let Some(asked) = properties.timer(header.sys_flag)
            && let Some(out_ms) = self.out_time(asked, properties.takes_back)?
        {
            Properties::redirect_timer(out_ms, topic, queue_id, buffer);
            recall_handle = self.recall_handle(topic, out_ms, &uniq_key);
            (topic, queue_id) = (names::TIMER_TOPIC, TIMER_QUEUE);
        }
        let message = NewMessage {
            topic,
            queue_id,
            flag: header.flag,
            sys_flag,
            born_timestamp: header.born_timestamp,
            born_host: responder.channel().peer(),
            store_host: broker.store_host,
            reconsume_times: header.reconsume_times.unwrap_or_default(),
            prepared_transaction_offset: 0,
            body: &self.request.body,
            properties: buffer,
        };
        let appended = broker.store.append(&message).map_err(|error| answer::put_refused(broker, config, &error))?;
        if is_half {
            broker.transactions.metrics.add(real_topic, 1);
        }
        let latency_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let system = broker.topics.is_system(topic);
        broker.stats.put(topic, queue_id, 1, appended.size.into(), latency_ms, system);
        Ok(Answer {
            physical_offsets: smallvec::smallvec![appended.physical_offset],
            end: appended.end(),
            queue_id: asked_queue,
            queue_offset: appended.queue_offset,
            transaction_id: Some(uniq_key),
            is_inner_batch: false,
            recall_handle,
            waits: properties.waits,
        })
    }

    /// When a message with a delivery time is due; `None` where it is delivered at once.
    fn out_time(&self, asked: (TimerKind, &str), takes_back: bool) -> Result<Option<i64>, Refused> {
        let (timers, keys) = (self.broker.timers.as_deref(), &self.config.store);
        entry::out_time(timers, keys, asked, takes_back, now_ms()).map_err(|why| {
            let (code, remark) = why.answer(keys);
            refuse(self.config, code, remark)
        })
    }

    /// What a producer needs to take the message back.
    fn recall_handle(&self, topic: &str, out_ms: i64, uniq_key: &str) -> Option<String> {
        if topic.starts_with(retry::RETRY_PREFIX) {
            return None;
        }
        let handle = RecallHandle {
            topic: topic.to_owned(),
            broker_name: self.config.broker.broker_name.clone(),
            // The time that this is turned into must fall into the message's slot.
            timestamp: (out_ms + 1).to_string(),
            message_id: uniq_key.to_owned(),
        };
        Some(handle.to_string())
    }

    /// The queue asked for, or any where the client leaves it to the broker.
    fn queue(&self) -> Result<i32, Refused> {
        if self.header.queue_id >= 0 {
            return Ok(self.header.queue_id);
        }
        if self.topic.write_queue_nums <= 0 {
            let remark = format!("the topic[{}] has no queue to write to", self.header.topic);
            return Err(refuse(self.config, ResponseCode::SystemError, remark));
        }
        Ok(rand::random_range(0..self.topic.write_queue_nums))
    }

    fn sys_flag(&self) -> i32 {
        match self.topic.topic_filter_type {
            TopicFilterType::MultiTag => self.header.sys_flag | sys_flag::MULTI_TAGS,
            TopicFilterType::SingleTag => self.header.sys_flag,
        }
    }

    /// Where a message for a retry topic goes that was consumed in vain too often, or by a group that keeps order and
    /// so would be held up by it.
    fn dead_letter_topic(&self) -> Result<Option<String>, Refused> {
        let header = self.header;
        let Some(rest) = header.topic.strip_prefix(retry::RETRY_PREFIX) else { return Ok(None) };
        // The retry topic of pops is `%RETRY%group+topic`; a `+` is legal in neither name, so none gets here.
        let group = self.broker.groups.find_or_create(&self.config.broker, rest).ok_or_else(|| {
            let remark = format!("subscription group not exist, {rest} {}", super::FAQ);
            refuse(self.config, ResponseCode::SubscriptionGroupNotExist, remark)
        })?;
        let max = retry::attempts_max(group.retry_max_times, header.max_reconsume_times, self.request.version);
        let attempts = header.reconsume_times.unwrap_or_default();
        let keeps_order = !self.broker.queue_locks.all_expired(rest, Instant::now());
        if attempts <= max && !keeps_order {
            return Ok(None);
        }
        info!(group = rest, attempts, max, keeps_order, "message goes to the dead-letter topic");
        let topic = retry::dead_letter_topic(rest);
        names::check_topic(&topic).map_err(|remark| refuse(self.config, ResponseCode::InvalidParameter, remark))?;
        self.broker.topics.create_for_group(&topic, retry::DEAD_LETTER_QUEUES, PERM_READ | PERM_WRITE, 0);
        Ok(Some(topic))
    }
}
