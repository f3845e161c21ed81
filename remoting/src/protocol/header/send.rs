//! Sending messages and replies.

use crate::header;
use crate::protocol::RequestCode;
use crate::protocol::fields::ExtFields;
use crate::protocol::header::{FieldValue, HeaderError};

/// Request of `SEND_MESSAGE`, `SEND_MESSAGE_V2`, `SEND_BATCH_MESSAGE`, `SEND_REPLY_MESSAGE` and `SEND_REPLY_MESSAGE_V2`.
///
/// Texts are borrowed from the frame. Both sets of field names decode to it: the full ones of V1 and the letters
/// of V2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendMessageRequest<'a> {
    /// Producer group; `a`.
    pub producer_group: &'a str,
    /// Topic; `b`.
    pub topic: &'a str,
    /// Topic whose configuration a new topic inherits; `c`.
    pub default_topic: &'a str,
    /// Queues of a new topic, at most; `d`.
    pub default_topic_queue_nums: i32,
    /// Queue id, negative for any; `e`.
    pub queue_id: i32,
    /// System flag bits; `f`.
    pub sys_flag: i32,
    /// Time of birth at the producer, ms since 1970; `g`.
    pub born_timestamp: i64,
    /// Flag of the message, opaque to brokers; `h`.
    pub flag: i32,
    /// Encoded properties; `i`.
    pub properties: Option<&'a str>,
    /// Deliveries so far; `j`.
    pub reconsume_times: Option<i32>,
    /// Unit mode; `k`.
    pub unit_mode: bool,
    /// Deliveries before the dead letter queue; `l`.
    pub max_reconsume_times: Option<i32>,
    /// Whether the body is a batch; `m`.
    pub batch: bool,
    /// Broker that the client means; `n`, in V1 `bname`.
    pub broker_name: Option<&'a str>,
}

/// The fields of a send, whatever their names.
#[derive(Clone, Copy, PartialEq)]
enum Field {
    ProducerGroup,
    Topic,
    DefaultTopic,
    DefaultTopicQueueNums,
    QueueId,
    SysFlag,
    BornTimestamp,
    Flag,
    Properties,
    ReconsumeTimes,
    UnitMode,
    MaxReconsumeTimes,
    Batch,
    BrokerName,
}

/// Field, name in V1, name in V2. The first eight are required.
const FIELDS: [(Field, &str, &str); 14] = [
    (Field::ProducerGroup, "producerGroup", "a"),
    (Field::Topic, "topic", "b"),
    (Field::DefaultTopic, "defaultTopic", "c"),
    (Field::DefaultTopicQueueNums, "defaultTopicQueueNums", "d"),
    (Field::QueueId, "queueId", "e"),
    (Field::SysFlag, "sysFlag", "f"),
    (Field::BornTimestamp, "bornTimestamp", "g"),
    (Field::Flag, "flag", "h"),
    (Field::Properties, "properties", "i"),
    (Field::ReconsumeTimes, "reconsumeTimes", "j"),
    (Field::UnitMode, "unitMode", "k"),
    (Field::MaxReconsumeTimes, "maxReconsumeTimes", "l"),
    (Field::Batch, "batch", "m"),
    (Field::BrokerName, "bname", "n"),
];
const REQUIRED: usize = 8;

impl<'a> SendMessageRequest<'a> {
    /// Decodes the fields of `code`, by letters for the V2 codes and for batches, else by full names.
    pub fn decode(code: RequestCode, fields: &'a ExtFields) -> Result<Self, HeaderError> {
        match code {
            RequestCode::SendMessageV2 | RequestCode::SendBatchMessage | RequestCode::SendReplyMessageV2 => {
                Self::decode_v2(fields)
            }
            _ => Self::decode_v1(fields),
        }
    }

    /// Decodes the full names of `SendMessageRequestHeader`.
    pub fn decode_v1(fields: &'a ExtFields) -> Result<Self, HeaderError> {
        Self::decode_by("SendMessageRequestHeader", fields, |key| FIELDS.iter().position(|(_, name, _)| *name == key))
    }

    /// Decodes the letters of `SendMessageRequestHeaderV2`.
    pub fn decode_v2(fields: &'a ExtFields) -> Result<Self, HeaderError> {
        Self::decode_by("SendMessageRequestHeaderV2", fields, |key| match key.as_bytes() {
            [letter @ b'a'..=b'n'] => Some(usize::from(letter - b'a')),
            _ => None,
        })
    }

    fn decode_by(
        header: &'static str,
        fields: &'a ExtFields,
        index_of: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, HeaderError> {
        let mut request = Self::default();
        let mut seen = 0u32;
        for (key, value) in fields.iter() {
            let Some(index) = index_of(key) else { continue };
            seen |= 1 << index;
            if let Some(expected) = request.set(FIELDS[index].0, value) {
                return Err(HeaderError::IllTyped {
                    header,
                    field: wire_name(header, index),
                    expected,
                    value: value.chars().take(64).collect(),
                });
            }
        }
        match (0..REQUIRED).find(|index| seen & (1 << index) == 0) {
            Some(index) => Err(HeaderError::Missing { header, field: wire_name(header, index) }),
            None => Ok(request),
        }
    }

    /// Takes a field's text; says what was expected if the text does not fit.
    fn set(&mut self, field: Field, text: &'a str) -> Option<&'static str> {
        fn number<T: FieldValue>(target: &mut T, text: &str) -> Option<&'static str> {
            match T::parse(text) {
                Some(value) => *target = value,
                None => return Some(T::EXPECTED),
            }
            None
        }
        match field {
            Field::ProducerGroup => self.producer_group = text,
            Field::Topic => self.topic = text,
            Field::DefaultTopic => self.default_topic = text,
            Field::DefaultTopicQueueNums => return number(&mut self.default_topic_queue_nums, text),
            Field::QueueId => return number(&mut self.queue_id, text),
            Field::SysFlag => return number(&mut self.sys_flag, text),
            Field::BornTimestamp => return number(&mut self.born_timestamp, text),
            Field::Flag => return number(&mut self.flag, text),
            Field::Properties => self.properties = Some(text),
            Field::ReconsumeTimes => return number(&mut self.reconsume_times, text),
            Field::UnitMode => return number(&mut self.unit_mode, text),
            Field::MaxReconsumeTimes => return number(&mut self.max_reconsume_times, text),
            Field::Batch => return number(&mut self.batch, text),
            Field::BrokerName => self.broker_name = Some(text),
        }
        None
    }

    /// Appends the letters of `SendMessageRequestHeaderV2`.
    pub fn encode_v2(&self, fields: &mut ExtFields) {
        self.encode_by(fields, |(_, _, letter)| letter);
    }

    /// Appends the full names of `SendMessageRequestHeader`.
    pub fn encode_v1(&self, fields: &mut ExtFields) {
        self.encode_by(fields, |(_, name, _)| name);
    }

    fn encode_by(&self, fields: &mut ExtFields, name: fn(&(Field, &'static str, &'static str)) -> &'static str) {
        for entry in &FIELDS {
            let key = name(entry);
            match entry.0 {
                Field::ProducerGroup => fields.push_str(key, self.producer_group),
                Field::Topic => fields.push_str(key, self.topic),
                Field::DefaultTopic => fields.push_str(key, self.default_topic),
                Field::DefaultTopicQueueNums => self.default_topic_queue_nums.write(key, fields),
                Field::QueueId => self.queue_id.write(key, fields),
                Field::SysFlag => self.sys_flag.write(key, fields),
                Field::BornTimestamp => self.born_timestamp.write(key, fields),
                Field::Flag => self.flag.write(key, fields),
                Field::Properties => self.properties.into_iter().for_each(|text| fields.push_str(key, text)),
                Field::ReconsumeTimes => self.reconsume_times.write(key, fields),
                Field::UnitMode => self.unit_mode.write(key, fields),
                Field::MaxReconsumeTimes => self.max_reconsume_times.write(key, fields),
                Field::Batch => self.batch.write(key, fields),
                Field::BrokerName => self.broker_name.into_iter().for_each(|text| fields.push_str(key, text)),
            }
        }
    }
}

fn wire_name(header: &str, index: usize) -> &'static str {
    let (_, name, letter) = FIELDS[index];
    if header.ends_with("V2") { letter } else { name }
}

header! {
    /// Answer of `SEND_MESSAGE`, `SEND_MESSAGE_V2`, `SEND_BATCH_MESSAGE`, `SEND_REPLY_MESSAGE`, `SEND_REPLY_MESSAGE_V2`.
    pub struct SendMessageResponseHeader {
        /// Offset message id; of a batch all of them, joined by `,`.
        pub msg_id: String => "msgId",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// Queue offset of the message, of the first one of a batch.
        pub queue_offset: i64 => "queueOffset",
        /// Unique key of the message.
        pub transaction_id: Option<String> => "transactionId",
        /// Unique key of an inner batch.
        pub batch_uniq_id: Option<String> => "batchUniqId",
        /// Handle for taking a timer message back.
        pub recall_handle: Option<String> => "recallHandle",
    }

    /// Request of `PUSH_REPLY_MESSAGE_TO_CLIENT`.
    pub struct ReplyMessageRequestHeader {
        /// Producer group.
        pub producer_group: String => "producerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Topic whose configuration a new topic inherits.
        pub default_topic: String => "defaultTopic",
        /// Queues of a new topic, at most.
        pub default_topic_queue_nums: i32 => "defaultTopicQueueNums",
        /// Queue id.
        pub queue_id: i32 => "queueId",
        /// System flag bits.
        pub sys_flag: i32 => "sysFlag",
        /// Time of birth at the producer, ms since 1970.
        pub born_timestamp: i64 => "bornTimestamp",
        /// Flag of the message, opaque to brokers.
        pub flag: i32 => "flag",
        /// Encoded properties of the message.
        pub properties: Option<String> => "properties",
        /// Deliveries so far.
        pub reconsume_times: Option<i32> => "reconsumeTimes",
        /// Unit mode.
        pub unit_mode: bool => "unitMode" or false,
        /// Address of the producer, `ip:port`.
        pub born_host: String => "bornHost",
        /// Address of the broker, `ip:port`.
        pub store_host: String => "storeHost",
        /// Store time, ms since 1970.
        pub store_timestamp: i64 => "storeTimestamp" or 0,
    }

    /// Request of `RECALL_MESSAGE`.
    pub struct RecallMessageRequestHeader {
        /// Producer group.
        pub producer_group: Option<String> => "producerGroup",
        /// Topic.
        pub topic: String => "topic",
        /// Handle for taking a timer message back.
        pub recall_handle: String => "recallHandle",
    }

    /// Answer of `RECALL_MESSAGE`.
    pub struct RecallMessageResponseHeader {
        /// Unique key of the message taken back.
        pub msg_id: String => "msgId",
    }
}
