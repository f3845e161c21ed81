//! END_TRANSACTION and RESUME_CHECK_HALF_MESSAGE.
//!
//! Source: `EndTransactionProcessor`; `AdminBrokerProcessor.resumeCheckHalfMessage`.

use std::sync::Arc;
use std::time::Instant;

use hypergol_remoting::message::{OffsetMessageId, property, sys_flag};
use hypergol_remoting::protocol::header::transaction::{
    EndTransactionRequestHeader, ResumeCheckHalfMessageRequestHeader,
};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::{Appended, NewMessage, PutError, Record};
use tracing::{info, warn};

use super::admin::{Answer, Refusal, answer, answer_blocking};
use crate::context::{Broker, now_ms};
use crate::names::HALF_TOPIC;
use crate::transaction::half::Half;
use crate::transaction::ops;

/// END_TRANSACTION: the producer commits a half message or rolls it back. One that does not know says so, which
/// changes nothing.
pub fn end(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let header: EndTransactionRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let commit = match header.commit_or_rollback {
        sys_flag::TRANSACTION_COMMIT => true,
        sys_flag::TRANSACTION_ROLLBACK => false,
        sys_flag::TRANSACTION_NONE => {
            info!(?header, producer = %responder.channel().peer(), "the producer does not know yet");
            // Java answers nothing; nobody waits, for clients send this one-way.
            return responder.success();
        }
        other => {
            let remark = format!("commitOrRollback is {other}, not 8, 12 or 0");
            return responder.error(ResponseCode::SystemError, remark);
        }
    };
    let store = &broker.store;
    if store.in_memory(header.commit_log_offset) {
        // Consumers see it when the connection's turn ends.
        answer(responder, decide(broker, &header, commit, |message| store.append(message)));
    } else {
        let broker = broker.clone();
        answer_blocking(responder, move || decide(&broker, &header, commit, |message| broker.store.put(message)));
    }
}

fn decide(
    broker: &Broker,
    header: &EndTransactionRequestHeader,
    commit: bool,
    put: impl FnOnce(&NewMessage<'_>) -> Result<Appended, PutError>,
) -> Answer {
    let not_found = || Refusal::failed("Find prepared transaction message failed");
    let bytes = broker.store.record_at(header.commit_log_offset).ok_or_else(not_found)?;
    let record = Record::parse(&bytes).map_err(|_| not_found())?;
    let half = Half::of(record).filter(|half| half.record().topic() == HALF_TOPIC).ok_or_else(not_found)?;
    if is_too_late(broker, header, &half) {
        warn!(?header, "too late for a decision, it will be asked for");
        return Err(Refusal::new(ResponseCode::IllegalOperation, ""));
    }
    check(broker, header, &half)?;
    if commit {
        commit_half(broker, &half, put)?
    } else {
        roll_back(broker, &half)
    };
    Ok(RemotingCommand::success())
}

/// A half message with an immunity time may be decided by its producer until that is over, and then only when asked.
fn is_too_late(broker: &Broker, header: &EndTransactionRequestHeader, half: &Half<'_>) -> bool {
    if header.from_transaction_check {
        return false;
    }
    let Some(immunity) = half.property(property::CHECK_IMMUNITY_TIME_IN_SECONDS) else { return false };
    let immunity_ms = immunity.parse::<i64>().unwrap_or(0).saturating_mul(1000);
    let immunity_ms = immunity_ms.max(broker.config().broker.transaction_time_out);
    now_ms().saturating_sub(half.record().born_timestamp()) > immunity_ms
}

/// Whether the request means this half message.
fn check(broker: &Broker, header: &EndTransactionRequestHeader, half: &Half<'_>) -> Result<(), Refusal> {
    let record = half.record();
    if half.property(property::PRODUCER_GROUP) != Some(header.producer_group.as_str()) {
        return Err(Refusal::failed("The producer group wrong"));
    }
    if record.queue_offset() != header.tran_state_table_offset {
        return Err(Refusal::failed("The transaction state table offset wrong"));
    }
    // A body may hold what looks like a record. The queue knows where records begin, as soon as it has them.
    let entry = broker.store.queue_entry(HALF_TOPIC, record.queue_id(), record.queue_offset());
    let is_elsewhere = entry.is_some_and(|entry| entry.physical_offset != header.commit_log_offset);
    if record.physical_offset() != header.commit_log_offset || is_elsewhere {
        return Err(Refusal::failed("The commit log offset wrong"));
    }
    Ok(())
}

/// Stores the message for consumers, and only then notes that the half message is decided.
fn commit_half(
    broker: &Broker,
    half: &Half<'_>,
    put: impl FnOnce(&NewMessage<'_>) -> Result<Appended, PutError>,
) -> Result<(), Refusal> {
    let begun = Instant::now();
    let record = half.record();
    let place = (record.queue_id(), record.queue_offset());
    let keys = &broker.config().store;
    let committed = half.committed(broker.delay_levels(), broker.timers.as_deref(), keys).map_err(|why| {
        warn!(?place, ?why, "committed message cannot wait for its time");
        let (code, remark) = why.answer(keys);
        Refusal::new(code, remark)
    })?;
    let recent = &broker.transactions.recent;
    if !recent.begin_commit(place) {
        info!(?place, "committed before");
        return Ok(());
    }
    let message = committed.message();
    let appended = match put(&message) {
        Ok(appended) => appended,
        Err(error) => {
            recent.commit_failed(place);
            return Err(put_refused(broker, &error));
        }
    };
    recent.committed(place);
    decided(broker, half);
    let latency_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    let system = broker.topics.is_system(message.topic);
    broker.stats.put(message.topic, message.queue_id, 1, i64::from(appended.size), latency_ms, system);
    Ok(())
}

fn roll_back(broker: &Broker, half: &Half<'_>) {
    let place = (half.record().queue_id(), half.record().queue_offset());
    if broker.transactions.recent.rolled_back(place) {
        decided(broker, half);
    }
}

/// Has an op message tell that the half message, and the copy of it that the check will meet, is decided.
fn decided(broker: &Broker, half: &Half<'_>) {
    let place = (half.record().queue_id(), half.record().queue_offset());
    let body_max = ops::body_max(broker);
    broker.transactions.ops.add(place.0, place.1, body_max);
    if let Some((queue_id, queue_offset)) = broker.transactions.recent.newest_copy(place) {
        broker.transactions.ops.add(queue_id, queue_offset, body_max);
    }
    broker.transactions.metrics.add(half.real_topic, -1);
}

/// Java's answers to a commit that the store does not take.
fn put_refused(broker: &Broker, error: &PutError) -> Refusal {
    warn!(%error, "committed message not stored");
    match error {
        PutError::TopicTooLong(_)
        | PutError::IllegalQueue(_)
        | PutError::PropertiesTooLong(_)
        | PutError::BodyTooLarge { .. }
        | PutError::EmptyBatch
        | PutError::LightOffsetsGiven
        | PutError::NotBatchQueue(_) => {
            let size = broker.config().store.max_message_size;
            let remark = format!(
                "The message is illegal, maybe msg body or properties length not matched. msg body length limit \
                 {size}B, msg properties length limit 32KB."
            );
            Refusal::new(ResponseCode::MessageIllegal, remark)
        }
        PutError::NotWritable(_) | PutError::DiskFull(_) => {
            Refusal::new(ResponseCode::ServiceNotAvailable, "Service not available now.")
        }
        PutError::Io(_) => Refusal::failed("Create mapped file failed."),
    }
}

/// RESUME_CHECK_HALF_MESSAGE: a half message that was given up is checked from the beginning.
pub fn resume_check(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let broker = broker.clone();
    answer_blocking(responder, move || {
        let header: ResumeCheckHalfMessageRequestHeader = request.header()?;
        let id = header.msg_id.unwrap_or_default();
        let id: OffsetMessageId =
            id.parse().map_err(|_| Refusal::failed(format!("{id:?} is not an offset message id")))?;
        let none = || Refusal::failed(format!("there is no half message at {}", id.offset));
        let bytes = broker.store.record_at(id.offset).ok_or_else(none)?;
        let half = Half::of(Record::parse(&bytes).map_err(|_| none())?).ok_or_else(none)?;
        let resumed = half.resumed();
        broker.store.put(&resumed.message()).map_err(|error| {
            Refusal::failed(format!("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed. {error}"))
        })?;
        broker.transactions.metrics.add(half.real_topic, 1);
        info!(topic = half.real_topic, offset = id.offset, "half message is checked again");
        Ok(RemotingCommand::success())
    });
}
