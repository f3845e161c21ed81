//! CONSUMER_SEND_MSG_BACK.

use std::sync::Arc;

use hypergol_remoting::message::property;
use hypergol_remoting::protocol::header::pull::ConsumerSendMsgBackRequestHeader;
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::{NewMessage, PutError, Record};

use crate::context::Broker;
use crate::handler::FAQ;
use crate::names::SCHEDULE_TOPIC;
use crate::retry::{self, Fate};
use crate::stats::StatName;

/// Bit of a permission: read.
const PERM_READ: i32 = 4;
/// Bit of a permission: write.
const PERM_WRITE: i32 = 2;
/// Bit of a topic's system flag: subscribed to in unit mode.
const UNIT_SUBSCRIPTION: i32 = 2;
/// Field that a hosted service adds, counted with.
const OWNER: &str = "Owner";

/// A consumer could not consume a message: it is stored anew, for its group only, to be delivered after a delay, or,
/// when that was tried too often, to lie in the group's dead-letter topic.
pub fn send_back(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let header: ConsumerSendMsgBackRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let owner = request.fields.get(OWNER).unwrap_or("null").to_owned();
    let broker = broker.clone();
    let version = request.version;
    // The message may lie on disk only.
    tokio::task::spawn_blocking(move || match store_again(&broker, &header, version, &owner) {
        Ok(()) => responder.success(),
        Err((code, remark)) => responder.error(code, remark),
    });
}

type Refusal = (ResponseCode, String);

fn store_again(
    broker: &Broker,
    header: &ConsumerSendMsgBackRequestHeader,
    version: i32,
    owner: &str,
) -> Result<(), Refusal> {
    let group = header.group.as_str();
    let config = broker.groups.find_or_create(&broker.config().broker, group).ok_or_else(|| {
        (ResponseCode::SubscriptionGroupNotExist, format!("subscription group not exist, {group} {FAQ}"))
    })?;
    let settings = broker.config();
    if settings.broker.broker_permission & PERM_WRITE == 0 {
        let remark = format!("the broker[{}] sending message is forbidden", settings.broker.broker_ip1);
        return Err((ResponseCode::NoPermission, remark));
    }
    if config.retry_queue_nums <= 0 {
        return Ok(());
    }
    let system_flag = if header.unit_mode { UNIT_SUBSCRIPTION } else { 0 };
    let retry_topic = topic(broker, retry::retry_topic(group), config.retry_queue_nums, system_flag)?;

    let not_found = || (ResponseCode::SystemError, format!("look message by offset failed, {}", header.offset));
    let bytes = broker.store.record_at(header.offset).ok_or_else(not_found)?;
    let record = Record::parse(&bytes).map_err(|_| not_found())?;
    if record.body().is_empty() {
        return Err((ResponseCode::SystemError, "MESSAGE_ILLEGAL".to_owned()));
    }

    let attempts_max = retry::attempts_max(config.retry_max_times, header.max_reconsume_times, version);
    let fate = retry::fate(record.reconsume_times(), attempts_max, header.delay_level);
    let mut properties = retry::sent_back_properties(&record, fate);
    let (topic, queue_id) = match fate {
        Fate::Retry { delay_level } => {
            let queue_id = rand::random_range(0..config.retry_queue_nums);
            let queue_id = broker.delay_levels().redirect(delay_level, &retry_topic, queue_id, &mut properties);
            (SCHEDULE_TOPIC.to_owned(), queue_id)
        }
        Fate::Dead => (topic(broker, retry::dead_letter_topic(group), retry::DEAD_LETTER_QUEUES, 0)?, 0),
    };
    let appended = broker
        .store
        .put(&NewMessage {
            topic: &topic,
            queue_id,
            store_host: broker.store_host,
            reconsume_times: record.reconsume_times().saturating_add(1),
            prepared_transaction_offset: 0,
            properties: &properties.encode(),
            ..record.message()
        })
        .map_err(|error| (ResponseCode::SystemError, java_status(&error).to_owned()))?;

    let origin = properties.get(property::RETRY_TOPIC).unwrap_or(record.topic());
    if fate != Fate::Dead {
        broker.stats.put(SCHEDULE_TOPIC, queue_id, 1, i64::from(appended.size), 0, true);
    }
    broker.stats.send_back(group, origin);
    if fate == Fate::Dead {
        let origin_topic = header.origin_topic.as_deref().unwrap_or("null");
        let key = format!("{owner}@{origin_topic}@{group}@SEND_BACK_TO_DLQ");
        broker.stats.add(StatName::Sndbck2DlqTimes, &key, 1);
    }
    Ok(())
}

/// Finds or makes a topic to store into.
fn topic(broker: &Broker, name: String, queues: i32, system_flag: i32) -> Result<String, Refusal> {
    let config = broker.topics.create_for_group(&name, queues, PERM_READ | PERM_WRITE, system_flag);
    // Java asks for the permission of the retry topic only.
    if name.starts_with(retry::RETRY_PREFIX) && config.perm & PERM_WRITE == 0 {
        return Err((ResponseCode::NoPermission, format!("the topic[{name}] sending message is forbidden")));
    }
    Ok(name)
}

/// The name of Java's PutMessageStatus, which is the remark of the answer.
fn java_status(error: &PutError) -> &'static str {
    match error {
        PutError::PropertiesTooLong(_) => "PROPERTIES_SIZE_EXCEEDED",
        PutError::TopicTooLong(_)
        | PutError::IllegalQueue(_)
        | PutError::BodyTooLarge { .. }
        | PutError::EmptyBatch
        | PutError::LightOffsetsGiven
        | PutError::NotBatchQueue(_) => "MESSAGE_ILLEGAL",
        PutError::NotWritable(_) => "SERVICE_NOT_AVAILABLE",
        PutError::DiskFull(_) | PutError::Io(_) => "CREATE_MAPPED_FILE_FAILED",
    }
}
