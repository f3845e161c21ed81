//! ACK_MESSAGE and CHANGE_MESSAGE_INVISIBLETIME of messages of lite topics: those with `liteTopic`.

use std::sync::Arc;

use hypergol_remoting::pop_handle::PopHandle;
use hypergol_remoting::protocol::header::pop::{
    AckMessageRequestHeader, ChangeInvisibleTimeRequestHeader, ChangeInvisibleTimeResponseHeader,
};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use tracing::warn;

use crate::context::{Broker, now_ms};
use crate::handler::refusal;
use crate::lite::{attributes, names};
use crate::pop::QueueKey;
use crate::pop::locks::PopLock;
use crate::pop::order_info::Acked;
use crate::stats::StatName;

type Refused = Box<RemotingCommand>;

/// The lite topic that a request names.
pub fn lite_topic(given: Option<&str>) -> Option<&str> {
    given.filter(|lite| !lite.trim().is_empty())
}

/// Acknowledges a message; the topic and its queue were checked.
pub fn ack(broker: &Arc<Broker>, header: AckMessageRequestHeader, lite: &str, responder: Responder) {
    match check_ack(broker, &header, lite) {
        Ok((key, handle)) => {
            let work = move |broker: &Broker, key: &QueueKey| acknowledge(broker, key, &header, &handle);
            with_lock(broker, key, responder, work);
        }
        Err(refused) => responder.send(*refused),
    }
}

/// Java's checks in Java's order; the error is the answer.
fn check_ack(broker: &Broker, header: &AckMessageRequestHeader, lite: &str) -> Result<(QueueKey, PopHandle), Refused> {
    let group = broker.groups.find_or_create(&broker.config().broker, &header.consumer_group);
    let is_bound = group.is_some_and(|group| attributes::bind_topic(&group) == Some(&header.topic));
    let queue = names::queue_of(&header.topic, lite)
        .filter(|_| is_bound)
        .ok_or_else(|| refusal(ResponseCode::InvalidParameter, "group type or bind topic not match."))?;
    if header.offset > broker.store.max_offset(&queue, 0) {
        return Err(refusal(ResponseCode::NoMessage, "ack offset illegal."));
    }
    let handle = parse(&header.extra_info)?;
    if header.queue_id != 0 || !handle.is_order() {
        return Err(refusal(ResponseCode::InvalidParameter, "ack queue illegal."));
    }
    Ok((QueueKey::new(&queue, &header.consumer_group, 0), handle))
}

fn parse(extra_info: &str) -> Result<PopHandle, Refused> {
    extra_info.parse().map_err(|error| refusal(ResponseCode::SystemError, format!("extraInfo: {error}")))
}

/// The answer, and whether the lite topic can be popped again.
struct Done {
    answer: RemotingCommand,
    is_free: bool,
}

impl Done {
    fn of(answer: RemotingCommand) -> Self {
        Self { answer, is_free: false }
    }
}

/// Does `work` with a lite topic locked. One that is being popped is waited for on a blocking thread.
fn with_lock(
    broker: &Arc<Broker>,
    key: QueueKey,
    responder: Responder,
    work: impl FnOnce(&Broker, &QueueKey) -> Done + Send + 'static,
) {
    let finish = |broker: &Broker, key: &QueueKey, lock: PopLock, responder: Responder| {
        let done = work(broker, key);
        // Who is woken finds the lite topic unlocked.
        drop(lock);
        if done.is_free {
            broker.lite.available(&key.group, &key.topic, None);
        }
        responder.send(done.answer);
    };
    if let Some(lock) = broker.lite.locks.try_lock(&key) {
        return finish(broker, &key, lock, responder);
    }
    let broker = broker.clone();
    tokio::task::spawn_blocking(move || {
        let lock = broker.lite.locks.lock(&key);
        finish(&broker, &key, lock, responder);
    });
}

fn acknowledge(broker: &Broker, key: &QueueKey, header: &AckMessageRequestHeader, handle: &PopHandle) -> Done {
    let (queue, group) = (&*key.topic, &*key.group);
    let committed = broker.offsets.committed(queue, group, 0, true).unwrap_or(-1);
    let mut done = Done::of(RemotingCommand::success());
    if header.offset < committed {
        return done;
    }
    match broker.lite.orders.ack(key, header.offset, handle.pop_time) {
        Acked::Illegal => {
            warn!(queue, group, offset = header.offset, committed, "acknowledged message was not popped last");
            return Done::of(RemotingCommand::error(ResponseCode::MessageIllegal, "ack offset illegal."));
        }
        Acked::Older => {}
        Acked::UpTo(next) => {
            // As Java's, the checks let the offset of the next message pass, also in a lite topic that has none yet.
            let is_behind = next > broker.store.max_offset(queue, 0);
            if !is_behind && !broker.offsets.has_reset(queue, group, 0) {
                let step = broker.config().broker.consumer_offset_update_version_step;
                broker.offsets.commit(queue, group, 0, next, step);
            }
            done.is_free = !broker.lite.orders.blocks(key, None, handle.invisible_time);
        }
    }
    broker.stats.add_to_cluster(StatName::BrokerAckNums, 1);
    broker.stats.add_to_group(StatName::GroupAckNums, &header.topic, group, 1);
    done
}

/// Changes when a message becomes visible, or with `suspend` all messages of its pop; the topic and its queue were checked.
pub fn change_invisible_time(
    broker: &Arc<Broker>,
    header: ChangeInvisibleTimeRequestHeader,
    lite: &str,
    responder: Responder,
) {
    let Some(queue) = names::queue_of(&header.topic, lite) else {
        return responder.error(ResponseCode::InvalidParameter, "no lite topic can have this name");
    };
    if header.offset > broker.store.max_offset(&queue, 0) {
        return responder.send(RemotingCommand::response(ResponseCode::NoMessage));
    }
    match parse(&header.extra_info) {
        Ok(handle) => {
            let key = QueueKey::new(&queue, &header.consumer_group, 0);
            let work = move |broker: &Broker, key: &QueueKey| Done::of(change(broker, key, &header, &handle));
            with_lock(broker, key, responder, work);
        }
        Err(refused) => responder.send(*refused),
    }
}

fn change(
    broker: &Broker,
    key: &QueueKey,
    header: &ChangeInvisibleTimeRequestHeader,
    handle: &PopHandle,
) -> RemotingCommand {
    let committed = broker.offsets.committed(&key.topic, &key.group, 0, true);
    let mut answer = ChangeInvisibleTimeResponseHeader { pop_time: 0, invisible_time: 0, revive_qid: 0 };
    // Java answers the header as it was made where the message is done.
    if committed.is_none_or(|committed| header.offset >= committed) {
        let visible = now_ms().saturating_add(header.invisible_time);
        match header.suspend {
            true => broker.lite.orders.suspend(key, handle.pop_time, visible),
            false => broker.lite.orders.set_visible_time(key, header.offset, handle.pop_time, visible),
        }
        answer.pop_time = handle.pop_time;
        answer.invisible_time = visible.saturating_sub(handle.pop_time);
        answer.revive_qid = handle.revive_qid;
    }
    RemotingCommand::success().with_header(&answer)
}
