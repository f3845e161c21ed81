//! Half messages: what is stored while a transaction is undecided, and what becomes of it.
//!
//! Source: `TransactionalMessageBridge`, `EndTransactionProcessor`, `DefaultTransactionalMessageCheckListener`.

use hypergol_remoting::message::{OffsetMessageId, property, sys_flag};
use hypergol_remoting::protocol::header::transaction::CheckTransactionStateRequestHeader;
use hypergol_remoting::{RemotingCommand, RequestCode};
use hypergol_store::{Appended, NewMessage, Record, record};

use crate::config::StoreKeys;
use crate::names::{self, CHECK_MAX_TIME_TOPIC, HALF_OP_TOPIC, HALF_TOPIC};
use crate::properties::Properties;
use crate::schedule::DelayLevels;
use crate::schedule::levels::{SCHEDULE_TOPIC, real_queue};
use crate::timer::Timers;
use crate::timer::entry::{self, NotTimed};

/// Tag of op messages: their half messages are decided ("deleted"). Java: `TransactionalMessageUtil.REMOVE_TAG`.
pub const DECIDED_TAG: &str = "d";

/// A half message, read from the log.
#[derive(Clone, Copy, Debug)]
pub struct Half<'a> {
    record: Record<'a>,
    /// Topic it is meant for.
    pub real_topic: &'a str,
    /// Queue it is meant for.
    pub real_queue_id: i32,
}

/// A message to store, with a topic and properties of its own.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// Topic it goes to.
    pub topic: &'a str,
    queue_id: i32,
    sys_flag: i32,
    reconsume_times: i32,
    prepared_transaction_offset: i64,
    flag: i32,
    properties: Vec<u8>,
    record: Record<'a>,
}

impl Outcome<'_> {
    /// As the store takes it.
    pub fn message(&self) -> NewMessage<'_> {
        NewMessage {
            topic: self.topic,
            queue_id: self.queue_id,
            flag: self.flag,
            sys_flag: self.sys_flag,
            reconsume_times: self.reconsume_times,
            prepared_transaction_offset: self.prepared_transaction_offset,
            properties: &self.properties,
            ..self.record.message()
        }
    }
}

impl<'a> Half<'a> {
    /// A record of the half topic, or of the topic of those that were given up; `None` for one that does not tell a
    /// legal real queue.
    pub fn of(record: Record<'a>) -> Option<Self> {
        if record.topic() != HALF_TOPIC && record.topic() != CHECK_MAX_TIME_TOPIC {
            return None;
        }
        let (real_topic, real_queue_id) = real_queue(record.properties())?;
        let legal = names::check_topic(real_topic).is_ok() && !names::is_forbidden_to_send(real_topic);
        (legal && real_queue_id >= 0).then_some(Self { record, real_topic, real_queue_id })
    }

    /// The record.
    pub fn record(&self) -> &Record<'a> {
        &self.record
    }

    /// A property.
    pub fn property(&self, name: &str) -> Option<&'a str> {
        record::property(self.record.properties(), name)
    }

    /// The message for consumers. It goes to its real queue, or to the delay topic or the timer topic first: a delay
    /// begins with the commit.
    ///
    /// # Errors
    /// [`NotTimed`].
    pub fn committed(
        &self,
        delay_levels: &DelayLevels,
        timers: Option<&Timers>,
        keys: &StoreKeys,
    ) -> Result<Outcome<'a>, NotTimed> {
        let mut properties = Properties::decode(self.record.properties());
        properties.remove(property::REAL_TOPIC);
        properties.remove(property::REAL_QUEUE_ID);
        let (mut topic, mut queue_id) = (self.real_topic, self.real_queue_id);
        let level = self.property(property::DELAY_TIME_LEVEL).and_then(|level| level.parse().ok()).unwrap_or(0);
        let waits = if level > 0 {
            Some((SCHEDULE_TOPIC, delay_levels.redirect(level, topic, queue_id, &mut properties)))
        } else {
            entry::redirect(timers, keys, topic, queue_id, &mut properties)?
        };
        if let Some(place) = waits {
            // Java encodes the properties once more on this way, after it has dropped the mark.
            properties.remove(property::TRANSACTION_PREPARED);
            (topic, queue_id) = place;
        }
        Ok(Outcome {
            topic,
            queue_id,
            sys_flag: self.record.sys_flag() & !sys_flag::TRANSACTION_MASK | sys_flag::TRANSACTION_COMMIT,
            prepared_transaction_offset: self.record.physical_offset(),
            ..self.as_it_is(topic, queue_id, properties)
        })
    }

    /// A copy for the end of the half queue: the check has counted one more round.
    pub fn checked(&self, times: i32) -> Outcome<'a> {
        let mut properties = Properties::decode(self.record.properties());
        properties.set(property::TRANSACTION_CHECK_TIMES, times.to_string());
        // Java leaves these at their defaults in a copy.
        Outcome { flag: 0, reconsume_times: 0, ..self.as_it_is(HALF_TOPIC, self.record.queue_id(), properties) }
    }

    /// A copy for the end of the half queue: it is too early to check it. It remembers where the half message was first.
    pub fn deferred(&self) -> Outcome<'a> {
        let mut properties = Properties::decode(self.record.properties());
        if properties.get(property::TRANSACTION_PREPARED_QUEUE_OFFSET).is_none() {
            properties.set(property::TRANSACTION_PREPARED_QUEUE_OFFSET, self.record.queue_offset().to_string());
        }
        Outcome { flag: 0, reconsume_times: 0, ..self.as_it_is(HALF_TOPIC, self.record.queue_id(), properties) }
    }

    /// The message for the topic of those that were checked in vain.
    pub fn given_up(&self) -> Outcome<'a> {
        self.as_it_is(CHECK_MAX_TIME_TOPIC, 0, Properties::decode(self.record.properties()))
    }

    /// A half message that is to be checked from the beginning.
    pub fn resumed(&self) -> Outcome<'a> {
        let mut properties = Properties::decode(self.record.properties());
        properties.set(property::TRANSACTION_CHECK_TIMES, "0");
        self.as_it_is(HALF_TOPIC, 0, properties)
    }

    fn as_it_is(&self, topic: &'a str, queue_id: i32, properties: Properties<'_>) -> Outcome<'a> {
        Outcome {
            topic,
            queue_id,
            flag: self.record.flag(),
            sys_flag: self.record.sys_flag(),
            reconsume_times: self.record.reconsume_times(),
            prepared_transaction_offset: 0,
            properties: properties.encode(),
            record: self.record,
        }
    }
}

/// CHECK_TRANSACTION_STATE: asks a producer about `half`, whose copy `copy` was stored at `at`. The body is the message
/// as the producer sent it.
pub fn question(half: &Half<'_>, copy: &Outcome<'_>, at: &Appended, broker_name: &str) -> RemotingCommand {
    let unique_key = half.property(property::UNIQ_KEY).map(str::to_owned);
    let header = CheckTransactionStateRequestHeader {
        topic: Some(HALF_TOPIC.to_owned()),
        tran_state_table_offset: at.queue_offset,
        commit_log_offset: at.physical_offset,
        msg_id: unique_key.clone(),
        transaction_id: unique_key,
        offset_msg_id: Some(OffsetMessageId { host: half.record.store_host(), offset: at.physical_offset }.to_string()),
    };
    let asked = NewMessage {
        topic: half.real_topic,
        queue_id: half.real_queue_id,
        flag: half.record.flag(),
        reconsume_times: half.record.reconsume_times(),
        ..copy.message()
    };
    let mut body = Vec::new();
    record::encode(&mut body, &asked);
    record::patch(&mut body, at.queue_offset, at.physical_offset, half.record.store_timestamp());
    let mut request = RemotingCommand::request_with(RequestCode::CheckTransactionState, &header).with_body(body);
    request.fields.push_str("bname", broker_name);
    request
}

/// The op message of decided half messages: their queue offsets as `text`.
pub fn op_message<'a>(queue_id: i32, text: &'a str, store_host: std::net::SocketAddr, now_ms: i64) -> NewMessage<'a> {
    NewMessage {
        topic: HALF_OP_TOPIC,
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: now_ms,
        born_host: store_host,
        store_host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: text.as_bytes(),
        properties: b"TAGS\x01d\x02WAIT\x01true\x02",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROPERTIES: &[u8] = b"TRAN_MSG\x01true\x02PGROUP\x01g\x02UNIQ_KEY\x01K\x02WAIT\x01true\x02\
        __transactionId__\x01K\x02REAL_TOPIC\x01T\x02REAL_QID\x013\x02";

    fn record(topic: &str, properties: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let message = NewMessage {
            topic,
            queue_id: 0,
            flag: 9,
            sys_flag: sys_flag::COMPRESSED,
            born_timestamp: 11,
            born_host: "10.0.0.1:5".parse().unwrap(),
            store_host: "127.0.0.1:10911".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"x",
            properties,
        };
        record::encode(&mut out, &message);
        record::patch(&mut out, 4, 0x1234, 22);
        out
    }

    fn levels() -> DelayLevels {
        DelayLevels::parse("1s 2s").unwrap()
    }

    #[test]
    fn a_commit_goes_to_the_real_queue() {
        let bytes = record(HALF_TOPIC, PROPERTIES);
        let half = Half::of(Record::parse(&bytes).unwrap()).unwrap();
        let committed = half.committed(&levels(), None, &StoreKeys::default()).unwrap();
        let message = committed.message();
        assert_eq!((message.topic, message.queue_id, message.flag), ("T", 3, 9));
        assert_eq!((message.sys_flag, message.prepared_transaction_offset), (0x9, 0x1234));
        let expected: &[u8] =
            b"TRAN_MSG\x01true\x02PGROUP\x01g\x02UNIQ_KEY\x01K\x02WAIT\x01true\x02__transactionId__\x01K\x02";
        assert_eq!(message.properties, expected);
    }

    #[test]
    fn a_commit_with_a_level_waits_first() {
        let bytes = record(HALF_TOPIC, &[PROPERTIES, b"DELAY\x019\x02"].concat());
        let half = Half::of(Record::parse(&bytes).unwrap()).unwrap();
        let committed = half.committed(&levels(), None, &StoreKeys::default()).unwrap();
        let message = committed.message();
        assert_eq!((message.topic, message.queue_id), (SCHEDULE_TOPIC, 1));
        assert_eq!(real_queue(message.properties), Some(("T", 3)));
        assert_eq!(record::property(message.properties, "TRAN_MSG"), None);
        assert_eq!(record::property(message.properties, "DELAY"), Some("2"));
    }

    #[test]
    fn a_commit_that_must_wait_and_cannot_is_refused() {
        let bytes = record(HALF_TOPIC, &[PROPERTIES, b"TIMER_DELAY_SEC\x019\x02"].concat());
        let half = Half::of(Record::parse(&bytes).unwrap()).unwrap();
        assert_eq!(half.committed(&levels(), None, &StoreKeys::default()).unwrap_err(), NotTimed::NotEnabled);
    }

    #[test]
    fn copies_stay_half_messages() {
        let bytes = record(HALF_TOPIC, PROPERTIES);
        let half = Half::of(Record::parse(&bytes).unwrap()).unwrap();
        let checked = half.checked(3);
        assert_eq!(checked.message().topic, HALF_TOPIC);
        assert_eq!(record::property(&checked.properties, "TRANSACTION_CHECK_TIMES"), Some("3"));
        assert_eq!(real_queue(&checked.properties), Some(("T", 3)));
        let deferred = half.deferred();
        assert_eq!(record::property(&deferred.properties, "TRAN_PREPARED_QUEUE_OFFSET"), Some("4"));
        assert_eq!(record::property(&deferred.properties, "TRANSACTION_CHECK_TIMES"), None, "it was not checked");
        let bytes = record(HALF_TOPIC, &deferred.properties);
        let again = Half::of(Record::parse(&bytes).unwrap()).unwrap().deferred();
        assert_eq!(again.properties, deferred.properties, "the first place counts");
        assert_eq!(half.given_up().message().topic, CHECK_MAX_TIME_TOPIC);
    }

    #[test]
    fn the_question_shows_the_message_as_it_was_sent() {
        let bytes = record(HALF_TOPIC, PROPERTIES);
        let half = Half::of(Record::parse(&bytes).unwrap()).unwrap();
        let copy = half.checked(1);
        let at = Appended { physical_offset: 0x5678, size: 100, queue_offset: 8, store_timestamp: 33 };
        let request = question(&half, &copy, &at, "broker-a");
        let field = |name| request.fields.get(name).unwrap_or_default();
        assert_eq!((field("topic"), field("tranStateTableOffset")), (HALF_TOPIC, "8"));
        assert_eq!((field("commitLogOffset"), field("msgId"), field("transactionId")), ("22136", "K", "K"));
        assert_eq!((field("offsetMsgId"), field("bname")), ("7F00000100002A9F0000000000005678", "broker-a"));
        let shown = Record::parse(&request.body).unwrap();
        assert_eq!((shown.topic(), shown.queue_id(), shown.flag(), shown.body()), ("T", 3, 9, &b"x"[..]));
        assert_eq!((shown.queue_offset(), shown.physical_offset(), shown.store_timestamp()), (8, 0x5678, 22));
        assert_eq!(record::property(shown.properties(), "TRANSACTION_CHECK_TIMES"), Some("1"));
    }

    #[test]
    fn other_records_are_no_half_messages() {
        let none = |topic: &str, properties: &[u8]| {
            assert!(Half::of(Record::parse(&record(topic, properties)).unwrap()).is_none());
        };
        none("T", PROPERTIES);
        none(HALF_TOPIC, b"REAL_TOPIC\x01T\x02");
        none(HALF_TOPIC, b"REAL_TOPIC\x01../x\x02REAL_QID\x010\x02");
        none(HALF_TOPIC, b"REAL_TOPIC\x01RMQ_SYS_TRANS_HALF_TOPIC\x02REAL_QID\x010\x02");
        none(HALF_TOPIC, b"REAL_TOPIC\x01T\x02REAL_QID\x01-1\x02");
    }
}
