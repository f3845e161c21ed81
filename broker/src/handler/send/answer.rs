//! What a send is answered.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::{FlushError, PutError};
use smallvec::SmallVec;
use tracing::warn;

use super::Refused;
use super::check::illegal_message;
use crate::config::{BrokerSettings, FlushDiskType};
use crate::context::Broker;
use crate::static_topic::{LogicalQueue, sections};

/// A message, or a batch, that was appended.
pub(super) struct Answer {
    /// Commit-log offset of each message.
    pub physical_offsets: SmallVec<[i64; 1]>,
    /// Commit-log offset behind the last.
    pub end: i64,
    /// The queue that the client meant.
    pub queue_id: i32,
    /// Queue offset of the first message.
    pub queue_offset: i64,
    /// Unique key.
    pub transaction_id: Option<String>,
    /// Whether this is an inner batch, whose unique key stands for all its messages.
    pub is_inner_batch: bool,
    /// With what a message that waits can be taken back.
    pub recall_handle: Option<String>,
    /// Whether the client wants to wait until the message is safe.
    pub waits: bool,
}

impl Answer {
    /// The same, for a client that knows the logical queue.
    pub(super) fn in_logical_queue(mut self, queue: Option<&LogicalQueue>) -> Self {
        if let Some(queue) = queue {
            self.queue_id = queue.id;
            self.queue_offset =
                queue.newest().map_or(-1, |section| sections::logical_within(section, self.queue_offset));
        }
        self
    }

    /// Answers as soon as the message is as safe as the configuration wants it.
    pub(super) fn give(self, broker: &Arc<Broker>, config: &BrokerSettings, responder: Responder) {
        let end = self.end;
        let waits = self.waits && config.store.flush_disk_type == FlushDiskType::Sync;
        let mut response = response(config, ResponseCode::Success);
        self.fill(broker.store_host, &mut response);
        if !waits {
            return responder.send(response);
        }
        let timeout = Duration::from_millis(u64::try_from(config.store.sync_flush_timeout).unwrap_or_default());
        broker.store.when_flushed(
            end,
            timeout,
            Box::new(move |flushed| {
                match flushed {
                    Ok(()) => {}
                    // Stored, but not known to be on disk: clients take it for sent.
                    Err(FlushError::Timeout) => response.code = ResponseCode::FlushDiskTimeout as i32,
                    Err(error @ (FlushError::FlushFailed | FlushError::ShuttingDown)) => {
                        response.code = ResponseCode::ServiceNotAvailable as i32;
                        response.remark = Some(error.to_string());
                    }
                }
                responder.send(response);
            }),
        );
    }

    fn fill(&self, host: SocketAddr, response: &mut RemotingCommand) {
        let fields = &mut response.fields;
        match self.physical_offsets.as_slice() {
            [offset] => fields.push_str("msgId", MessageId::new(host, *offset).as_str()),
            offsets => {
                let mut ids = String::with_capacity(offsets.len() * (MessageId::LENGTH_MAX + 1));
                for offset in offsets {
                    if !ids.is_empty() {
                        ids.push(',');
                    }
                    ids.push_str(MessageId::new(host, *offset).as_str());
                }
                fields.push_str("msgId", &ids);
            }
        }
        fields.push_int("queueId", self.queue_id.into());
        fields.push_int("queueOffset", self.queue_offset);
        if let Some(handle) = &self.recall_handle {
            fields.push_str("recallHandle", handle);
        }
        if let Some(transaction_id) = &self.transaction_id {
            fields.push_str("transactionId", transaction_id);
            if self.is_inner_batch {
                fields.push_str("batchUniqId", transaction_id);
            }
        }
    }
}

/// The id of a message by its place: address, port and offset as upper-case hexadecimal.
struct MessageId {
    text: [u8; Self::LENGTH_MAX],
    length: usize,
}

impl MessageId {
    /// Digits with an IPv6 address.
    const LENGTH_MAX: usize = 56;

    fn new(host: SocketAddr, offset: i64) -> Self {
        let mut id = Self { text: [0; Self::LENGTH_MAX], length: 0 };
        match host.ip() {
            IpAddr::V4(ip) => id.push(&ip.octets()),
            IpAddr::V6(ip) => id.push(&ip.octets()),
        }
        id.push(&u32::from(host.port()).to_be_bytes());
        id.push(&offset.to_be_bytes());
        id
    }

    fn push(&mut self, bytes: &[u8]) {
        const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                self.text[self.length] = DIGITS[usize::from(digit)];
                self.length += 1;
            }
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

/// An answer with what every answer to a send has.
pub(in crate::handler) fn response(config: &BrokerSettings, code: ResponseCode) -> RemotingCommand {
    let mut response = RemotingCommand::response(code);
    response.fields.push_str("MSG_REGION", &config.broker.region_id);
    response.fields.push_str("TRACE_ON", if config.broker.trace_on { "true" } else { "false" });
    response
}

/// An answer that says no.
pub(super) fn refuse(config: &BrokerSettings, code: ResponseCode, remark: impl Into<String>) -> Refused {
    Box::new(response(config, code).with_remark(remark))
}

/// The answer to a message that the store did not take.
pub(super) fn put_refused(broker: &Broker, config: &BrokerSettings, error: &PutError) -> Refused {
    warn!(%error, "message not stored");
    match error {
        PutError::TopicTooLong(_)
        | PutError::IllegalQueue(_)
        | PutError::PropertiesTooLong(_)
        | PutError::BodyTooLarge { .. }
        | PutError::NotBatchQueue(_)
        | PutError::LightOffsetsGiven => refuse(config, ResponseCode::MessageIllegal, illegal_message(config)),
        PutError::EmptyBatch => refuse(config, ResponseCode::SystemError, error.to_string()),
        PutError::NotWritable(_) | PutError::DiskFull(_) => {
            let usage = broker.store.disk_usage();
            let remark = format!(
                "service not available now. It may be caused by one of the following reasons: the broker's disk is \
                 full [CL: {:5.2} CQ: {:5.2} INDEX: {:5.2}], messages are put to the slave, message store has been \
                 shut down, etc. ({error})",
                usage.commit_log_ratio, usage.consume_queue_ratio, usage.consume_queue_ratio
            );
            refuse(config, ResponseCode::ServiceNotAvailable, remark)
        }
        PutError::Io(_) => {
            refuse(config, ResponseCode::SystemError, "create mapped file failed, server is busy or broken.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_of_both_families() {
        let id = |host: &str, offset| MessageId::new(host.parse().unwrap(), offset).as_str().to_owned();
        assert_eq!(id("127.0.0.1:10911", 0x1234), "7F00000100002A9F0000000000001234");
        assert_eq!(id("[2001:db8::1]:10911", 5), "20010DB800000000000000000000000100002A9F0000000000000005");
    }
}
