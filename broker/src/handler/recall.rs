//! RECALL_MESSAGE: takes back a message that waits on the timer wheel. Java: `RecallMessageProcessor`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_remoting::message::{RecallHandle, property};
use hypergol_remoting::protocol::header::send::{RecallMessageRequestHeader, RecallMessageResponseHeader};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::{Appended, FlushError, NewMessage};
use tracing::warn;

use super::refusal;
use crate::config::{BrokerRole, BrokerSettings, FlushDiskType};
use crate::context::{Broker, now_ms};
use crate::properties::Properties;
use crate::timer::entry;
use crate::topics::PERM_WRITE;

/// Tag and body of the message that takes another one back.
const TAG: &str = "_RECALL_TAG_";
const BODY: &[u8] = b"0";
/// Java's words for a broker that takes nothing.
const NOT_AVAILABLE: &str = "recall failed, broker service not available";
/// Java's words for what was not foreseen.
const FAILED: &str = "recall failed, execute error";

/// Stores a message for the slot of the one that the handle names; when the slot is due, both are dropped.
pub fn recall(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let config = broker.config();
    let mut answer = match prepare(broker, &config, &request, &responder) {
        Ok((appended, msg_id)) => {
            let answer = RemotingCommand::success().with_header(&RecallMessageResponseHeader { msg_id });
            if config.store.flush_disk_type == FlushDiskType::Sync {
                return answer_when_flushed(broker, &config, appended, answer, responder);
            }
            answer
        }
        Err(refused) => *refused,
    };
    answer.fields.push_str("MSG_REGION", &config.broker.region_id);
    responder.send(answer);
}

fn answer_when_flushed(
    broker: &Arc<Broker>,
    config: &BrokerSettings,
    appended: Appended,
    mut answer: RemotingCommand,
    responder: Responder,
) {
    answer.fields.push_str("MSG_REGION", &config.broker.region_id);
    let timeout = Duration::from_millis(u64::try_from(config.store.sync_flush_timeout).unwrap_or_default());
    broker.store.when_flushed(
        appended.end(),
        timeout,
        Box::new(move |flushed| match flushed {
            Ok(()) | Err(FlushError::Timeout) => responder.send(answer),
            Err(FlushError::FlushFailed | FlushError::ShuttingDown) => {
                responder.error(ResponseCode::SystemError, FAILED);
            }
        }),
    );
}

type Refused = Box<RemotingCommand>;

/// Checks the request, in Java's order, and stores the message. Returns where, and the key of the one taken back.
fn prepare(
    broker: &Arc<Broker>,
    config: &BrokerSettings,
    request: &RemotingCommand,
    responder: &Responder,
) -> Result<(Appended, String), Refused> {
    let header: RecallMessageRequestHeader =
        request.header().map_err(|error| refusal(ResponseCode::SystemError, error.to_string()))?;
    let keys = &config.broker;
    if !keys.recall_message_enable {
        return Err(refusal(ResponseCode::NoPermission, "recall failed, operation is forbidden"));
    }
    if config.store.broker_role == BrokerRole::Slave {
        return Err(refusal(ResponseCode::SlaveNotAvailable, NOT_AVAILABLE));
    }
    let is_closed = now_ms() < keys.start_accept_send_request_time_stamp
        || (keys.broker_permission & PERM_WRITE == 0 && !keys.allow_recall_when_broker_not_writeable);
    if is_closed {
        return Err(refusal(ResponseCode::ServiceNotAvailable, NOT_AVAILABLE));
    }
    if !broker.topics.contains(&header.topic) {
        let remark = format!("recall failed, the topic[{}] not exist", header.topic);
        return Err(refusal(ResponseCode::TopicNotExist, remark));
    }
    let illegal = |remark: &str| refusal(ResponseCode::IllegalOperation, remark);
    let handle: RecallHandle = header.recall_handle.parse().map_err(|error| illegal(&format!("{error}")))?;
    // What a separator of properties is in would become properties of its own.
    if handle.message_id.is_empty() || handle.message_id.contains(|c: char| c.is_control()) {
        return Err(illegal("recall handle is invalid"));
    }
    if handle.topic != header.topic {
        return Err(illegal("recall failed, topic not match"));
    }
    if handle.broker_name != keys.broker_name {
        return Err(illegal(NOT_AVAILABLE));
    }
    let left_ms = handle.timestamp.parse::<i64>().unwrap_or(-1).saturating_sub(now_ms());
    if left_ms <= 0 || left_ms >= i64::from(config.store.timer_max_delay_sec) * 1000 {
        return Err(illegal("recall failed, timestamp invalid"));
    }
    let appended = store(broker, &handle, header.producer_group.unwrap_or_default(), responder).map_err(|reason| {
        warn!(reason, topic = handle.topic, "recall not stored");
        refusal(ResponseCode::SystemError, FAILED)
    })?;
    Ok((appended, handle.message_id))
}

fn store(
    broker: &Arc<Broker>,
    handle: &RecallHandle,
    producer_group: String,
    responder: &Responder,
) -> Result<Appended, String> {
    let begun = Instant::now();
    let now = now_ms();
    let timers = broker.timers.as_ref().ok_or("timerWheelEnable is false")?;
    let key = timers.delete_key(&handle.topic, &handle.message_id).into_owned();
    let mut properties = Properties::default();
    properties.set(property::TAGS, TAG);
    properties.set(property::TIMER_DEL_UNIQKEY, key);
    properties.set(property::UNIQ_KEY, handle.message_id.as_str());
    properties.set(property::TIMER_DELIVER_MS, handle.timestamp.as_str());
    properties.set(property::BORN_TIMESTAMP, now.to_string());
    if !producer_group.contains(|c: char| c.is_control()) {
        properties.set(property::PRODUCER_GROUP, producer_group);
    }
    let keys = &broker.config().store;
    let (topic, queue_id) = entry::redirect(Some(timers), keys, &handle.topic, 0, &mut properties)
        .map_err(|why| format!("{why:?}"))?
        .ok_or("the message is due")?;
    let appended = broker
        .store
        .append(&NewMessage {
            topic,
            queue_id,
            flag: 0,
            sys_flag: 0,
            born_timestamp: now,
            born_host: responder.channel().peer(),
            store_host: broker.store_host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: BODY,
            properties: &properties.encode(),
        })
        .map_err(|error| error.to_string())?;
    let latency_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    broker.stats.put(topic, queue_id, 1, appended.size.into(), latency_ms, true);
    Ok(appended)
}
