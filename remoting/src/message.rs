//! What clients put into a message, see of one, or compute from one: properties, tags, ids, batches, flags.
//!
//! Encodings are those of `MessageDecoder`, `MessageClientIDSetter`, `FilterAPI` and `RecallMessageHandle` of 5.5.0.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::protocol::body::heartbeat::{SUB_ALL, SubscriptionData};

/// Bits of a message's system flag.
pub mod sys_flag {
    /// The body is compressed.
    pub const COMPRESSED: i32 = 0x1;
    /// The message has several tags.
    pub const MULTI_TAGS: i32 = 0x2;
    /// Mask of the transaction type.
    pub const TRANSACTION_MASK: i32 = 0xc;
    /// Transaction type: no transaction.
    pub const TRANSACTION_NONE: i32 = 0;
    /// Transaction type: half message.
    pub const TRANSACTION_PREPARED: i32 = 0x4;
    /// Transaction type: committed.
    pub const TRANSACTION_COMMIT: i32 = 0x8;
    /// Transaction type: rolled back.
    pub const TRANSACTION_ROLLBACK: i32 = 0xc;
    /// The born host is an IPv6 address.
    pub const BORN_HOST_V6: i32 = 0x10;
    /// The store host is an IPv6 address.
    pub const STORE_HOST_V6: i32 = 0x20;
    /// A batch that a consumer must unwrap.
    pub const NEED_UNWRAP: i32 = 0x40;
    /// A batch stored as one record.
    pub const INNER_BATCH: i32 = 0x80;
    /// Mask of the compression: 0x100 LZ4, 0x200 ZSTD, 0x300 or 0 ZLIB.
    pub const COMPRESSION_MASK: i32 = 0x700;
}

/// Keys of the properties that brokers read or write.
pub mod property {
    /// Application keys, separated by spaces.
    pub const KEYS: &str = "KEYS";
    /// Tag.
    pub const TAGS: &str = "TAGS";
    /// Whether the sender waits for flush and replication.
    pub const WAIT_STORE_MSG_OK: &str = "WAIT";
    /// Delay level.
    pub const DELAY_TIME_LEVEL: &str = "DELAY";
    /// Topic of a message that was sent back.
    pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
    /// Topic behind a system topic.
    pub const REAL_TOPIC: &str = "REAL_TOPIC";
    /// Queue id behind a system topic.
    pub const REAL_QUEUE_ID: &str = "REAL_QID";
    /// `true` for half messages.
    pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
    /// Producer group.
    pub const PRODUCER_GROUP: &str = "PGROUP";
    /// Id of the message that was sent back.
    pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
    /// Deliveries so far, of messages that consumers send back.
    pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
    /// Deliveries before the dead letter queue.
    pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
    /// Region.
    pub const MSG_REGION: &str = "MSG_REGION";
    /// Whether traces are wanted.
    pub const TRACE_SWITCH: &str = "TRACE_ON";
    /// Unique key.
    pub const UNIQ_KEY: &str = "UNIQ_KEY";
    /// Unique key of the extension.
    pub const EXTEND_UNIQ_INFO: &str = "EXTEND_UNIQ_INFO";
    /// Messages of an inner batch.
    pub const INNER_NUM: &str = "INNER_NUM";
    /// First queue offset of an inner batch.
    pub const INNER_BASE: &str = "INNER_BASE";
    /// Deduplication by the producer.
    pub const DUP_INFO: &str = "DUP_INFO";
    /// Seconds before a half message is checked.
    pub const CHECK_IMMUNITY_TIME_IN_SECONDS: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
    /// Queue offset of the half message.
    pub const TRANSACTION_PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
    /// Transaction id.
    pub const TRANSACTION_ID: &str = "__transactionId__";
    /// Checks so far.
    pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
    /// Priority.
    pub const PRIORITY: &str = "_SYS_MSG_PRIORITY_";
    /// Request-reply: correlation id.
    pub const CORRELATION_ID: &str = "CORRELATION_ID";
    /// Request-reply: client to answer.
    pub const MESSAGE_REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
    /// Request-reply: time to live, ms.
    pub const MESSAGE_TTL: &str = "TTL";
    /// Request-reply: arrival of the reply at the client.
    pub const REPLY_MESSAGE_ARRIVE_TIME: &str = "ARRIVE_TIME";
    /// Request-reply: when the broker pushed the reply.
    pub const PUSH_REPLY_TIME: &str = "PUSH_REPLY_TIME";
    /// Cluster of the broker.
    pub const CLUSTER: &str = "CLUSTER";
    /// `reply` for replies.
    pub const MESSAGE_TYPE: &str = "MSG_TYPE";
    /// Handle of a pop.
    pub const POP_CK: &str = "POP_CK";
    /// Offset of a pop's checkpoint.
    pub const POP_CK_OFFSET: &str = "POP_CK_OFFSET";
    /// Time of the first pop.
    pub const FIRST_POP_TIME: &str = "1ST_POP_TIME";
    /// Sharding key.
    pub const SHARDING_KEY: &str = "__SHARDINGKEY";
    /// Lite topic.
    pub const LITE_TOPIC: &str = "__LITE_TOPIC";
    /// Queue to forward to.
    pub const FORWARD_QUEUE_ID: &str = "PROPERTY_FORWARD_QUEUE_ID";
    /// Queues a message is dispatched to beside its own.
    pub const INNER_MULTI_DISPATCH: &str = "INNER_MULTI_DISPATCH";
    /// Offsets in those queues.
    pub const INNER_MULTI_QUEUE_OFFSET: &str = "INNER_MULTI_QUEUE_OFFSET";
    /// Trace context.
    pub const TRACE_CONTEXT: &str = "TRACE_CONTEXT";
    /// Timer: delay, seconds.
    pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
    /// Timer: delivery time, ms since 1970.
    pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
    /// Timer: delay, ms.
    pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
    /// Timer: when the message entered the wheel.
    pub const TIMER_ENQUEUE_MS: &str = "TIMER_ENQUEUE_MS";
    /// Timer: when the message left the wheel.
    pub const TIMER_DEQUEUE_MS: &str = "TIMER_DEQUEUE_MS";
    /// Timer: times the message was put back.
    pub const TIMER_ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
    /// Timer: delivery time that the broker computed.
    pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
    /// Timer: unique key of the message to take back.
    pub const TIMER_DEL_UNIQKEY: &str = "TIMER_DEL_UNIQKEY";
    /// Timer: label of a message that was put back.
    pub const TIMER_ROLL_LABEL: &str = "TIMER_ROLL_LABEL";
    /// Timer: delay level.
    pub const TIMER_DELAY_LEVEL: &str = "TIMER_DELAY_LEVEL";
    /// Born host.
    pub const BORN_HOST: &str = "__BORNHOST";
    /// Born time.
    pub const BORN_TIMESTAMP: &str = "BORN_TIMESTAMP";
    /// Checksum of the record.
    pub const CRC32: &str = "__CRC32#";
    /// Topic of a message in a dead letter queue.
    pub const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
    /// Id of a message in a dead letter queue.
    pub const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
}

/// Between the key and the value of a property.
pub const NAME_VALUE_SEPARATOR: char = '\u{1}';

/// After each property.
pub const PROPERTY_SEPARATOR: char = '\u{2}';

/// The entries of encoded properties, in order. Entries without a key, a separator or a value are left out;
/// where a key occurs twice, the last one counts.
pub fn properties(encoded: &str) -> impl Iterator<Item = (&str, &str)> {
    encoded
        .split(PROPERTY_SEPARATOR)
        .filter_map(|entry| entry.split_once(NAME_VALUE_SEPARATOR))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
}

/// The value of a property in its encoded form.
pub fn find_property<'a>(encoded: &'a str, key: &str) -> Option<&'a str> {
    properties(encoded).filter(|(name, _)| *name == key).last().map(|(_, value)| value)
}

/// Encodes properties.
pub fn encode_properties<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut encoded = String::new();
    for (key, value) in entries {
        append_property(&mut encoded, key, value);
    }
    encoded
}

/// Appends a property to encoded ones; a missing last separator is added first.
pub fn append_property(encoded: &mut String, key: &str, value: &str) {
    if !encoded.is_empty() && !encoded.ends_with(PROPERTY_SEPARATOR) {
        encoded.push(PROPERTY_SEPARATOR);
    }
    encoded.push_str(key);
    encoded.push(NAME_VALUE_SEPARATOR);
    encoded.push_str(value);
    encoded.push(PROPERTY_SEPARATOR);
}

/// Encoded properties without the entries of `key`; the rest stays as it is.
pub fn remove_property(encoded: &str, key: &str) -> String {
    let mut kept = String::with_capacity(encoded.len());
    for entry in encoded.split_inclusive(PROPERTY_SEPARATOR) {
        if entry.split_once(NAME_VALUE_SEPARATOR).is_none_or(|(name, _)| name != key) {
            kept.push_str(entry);
        }
    }
    kept
}

/// `String.hashCode` of Java: over UTF-16 units, wrapping.
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// What a consume queue keeps of a tag: its hash, 0 if there is none.
pub fn tags_code(tag: Option<&str>) -> i64 {
    tag.map_or(0, |tag| i64::from(java_hash(tag)))
}

/// A subscription by tags is no expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("subString split error")]
pub struct TagExpressionError;

/// The subscription that an expression of tags makes (`*`, or tags joined by `||`). An empty expression means `*`;
/// one of separators only is an error.
pub fn tag_subscription(topic: &str, expression: &str) -> Result<SubscriptionData, TagExpressionError> {
    let mut subscription = SubscriptionData { topic: topic.to_owned(), ..SubscriptionData::default() };
    if expression.is_empty() || expression == SUB_ALL {
        subscription.sub_string = Some(SUB_ALL.to_owned());
        return Ok(subscription);
    }
    if expression.split("||").all(str::is_empty) {
        return Err(TagExpressionError);
    }
    subscription.sub_string = Some(expression.to_owned());
    for tag in expression.split("||").map(str::trim).filter(|tag| !tag.is_empty()) {
        let code = java_hash(tag);
        if !subscription.tags_set.iter().any(|known| known == tag) {
            subscription.tags_set.push(tag.to_owned());
        }
        if !subscription.code_set.contains(&code) {
            subscription.code_set.push(code);
        }
    }
    Ok(subscription)
}

/// A text that is not an id of the kind wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message id")]
pub struct MessageIdError;

/// An offset message id: where a message is stored. As text, upper-case hexadecimal digits of the store host's
/// address (4 or 16 bytes), its port (4) and the physical offset (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    /// Address of the broker.
    pub host: SocketAddr,
    /// Physical offset.
    pub offset: i64,
}

impl fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ip(f, self.host.ip())?;
        write!(f, "{:08X}{:016X}", self.host.port(), self.offset)
    }
}

impl FromStr for OffsetMessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let (ip, rest) = split_ip(text, 24)?;
        let (port, offset) = rest.split_at(8);
        let port = u32::from_str_radix(port, 16).map_err(|_| MessageIdError)?;
        let port = u16::try_from(port).map_err(|_| MessageIdError)?;
        let offset = u64::from_str_radix(offset, 16).map_err(|_| MessageIdError)?;
        Ok(Self { host: SocketAddr::new(ip, port), offset: offset.cast_signed() })
    }
}

/// A unique key: who made a message, and when. As text, upper-case hexadecimal digits of the address (4 or 16
/// bytes), the process id (2), a hash (4), the milliseconds since the start of the month (4) and a counter (2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UniqueKey {
    /// Address of the maker.
    pub ip: IpAddr,
    /// Lowest bits of the process id.
    pub pid: u16,
    /// Tells processes of the same id apart; Java takes the hash of its class loader.
    pub hash: u32,
    /// Milliseconds since the start of the month in the maker's time zone.
    pub month_ms: u32,
    /// Counter.
    pub counter: u16,
}

impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ip(f, self.ip)?;
        write!(f, "{:04X}{:08X}{:08X}{:04X}", self.pid, self.hash, self.month_ms, self.counter)
    }
}

impl FromStr for UniqueKey {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let (ip, rest) = split_ip(text, 24)?;
        let number = |digits: &str| u32::from_str_radix(digits, 16).map_err(|_| MessageIdError);
        let low = |digits: &str| u16::from_str_radix(digits, 16).map_err(|_| MessageIdError);
        Ok(Self {
            ip,
            pid: low(&rest[..4])?,
            hash: number(&rest[4..12])?,
            month_ms: number(&rest[12..20])?,
            counter: low(&rest[20..])?,
        })
    }
}

fn write_ip(f: &mut fmt::Formatter<'_>, ip: IpAddr) -> fmt::Result {
    match ip {
        IpAddr::V4(ip) => write!(f, "{:08X}", u32::from(ip)),
        IpAddr::V6(ip) => write!(f, "{:032X}", u128::from(ip)),
    }
}

/// Splits an id of hexadecimal digits into its address and the last `rest` digits.
fn split_ip(text: &str, rest: usize) -> Result<(IpAddr, &str), MessageIdError> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(MessageIdError);
    }
    let ip_digits = text.len().checked_sub(rest).ok_or(MessageIdError)?;
    let (ip, rest) = text.split_at(ip_digits);
    let ip = match ip_digits {
        8 => u32::from_str_radix(ip, 16).map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
        32 => u128::from_str_radix(ip, 16).map(|bits| IpAddr::from(Ipv6Addr::from(bits))),
        _ => return Err(MessageIdError),
    };
    Ok((ip.map_err(|_| MessageIdError)?, rest))
}

/// Handle for taking a timer message back: URL-safe base64 of `v1 topic broker timestamp uniqueKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallHandle {
    /// Topic of the message.
    pub topic: String,
    /// Broker that holds it.
    pub broker_name: String,
    /// Delivery time and one, ms since 1970, as text.
    pub timestamp: String,
    /// Unique key of the message.
    pub message_id: String,
}

impl fmt::Display for RecallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("v1 {} {} {} {}", self.topic, self.broker_name, self.timestamp, self.message_id);
        f.write_str(&URL_SAFE.encode(text))
    }
}

/// A text that is not a recall handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("recall handle is invalid")]
pub struct RecallHandleError;

impl FromStr for RecallHandle {
    type Err = RecallHandleError;

    fn from_str(text: &str) -> Result<Self, RecallHandleError> {
        let text = URL_SAFE.decode(text).map_err(|_| RecallHandleError)?;
        let text = String::from_utf8(text).map_err(|_| RecallHandleError)?;
        match text.split(' ').collect::<Vec<_>>()[..] {
            ["v1", topic, broker_name, timestamp, message_id, ..] => Ok(Self {
                topic: topic.to_owned(),
                broker_name: broker_name.to_owned(),
                timestamp: timestamp.to_owned(),
                message_id: message_id.to_owned(),
            }),
            _ => Err(RecallHandleError),
        }
    }
}

/// A message of a batch body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPart<'a> {
    /// Flag, opaque to brokers.
    pub flag: i32,
    /// Body.
    pub body: &'a [u8],
    /// Encoded properties; UTF-8 is not checked.
    pub properties: &'a [u8],
}

/// A batch body that cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The body ends inside a message, or a length points outside of its message.
    #[error("batch is damaged at byte {0}")]
    Damaged(usize),
    /// The body holds more messages than allowed.
    #[error("batch of more than {0} messages")]
    TooMany(usize),
}

/// Bytes of a message of a batch beside body and properties: total size, magic, CRC, flag, body length,
/// properties length.
const BATCH_PART_FIXED: usize = 4 + 4 + 4 + 4 + 4 + 2;

/// Splits the body of a batch send into at most `max` messages. Each is
/// `4 total size | 4 magic | 4 crc | 4 flag | 4 + n body | 2 + n properties`; magic and crc are not read.
pub fn split_batch(batch: &[u8], max: usize) -> Result<Vec<BatchPart<'_>>, BatchError> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < batch.len() {
        if parts.len() == max {
            return Err(BatchError::TooMany(max));
        }
        let (part, size) = batch_part(&batch[at..]).ok_or(BatchError::Damaged(at))?;
        parts.push(part);
        at += size;
    }
    Ok(parts)
}

/// The first message and its size.
fn batch_part(batch: &[u8]) -> Option<(BatchPart<'_>, usize)> {
    let size = read_i32(batch, 0)?;
    let size = usize::try_from(size).ok().filter(|size| *size >= BATCH_PART_FIXED)?;
    let message = batch.get(..size)?;
    let body_length = usize::try_from(read_i32(message, 16)?).ok()?;
    let (body, rest) = message.get(20..)?.split_at_checked(body_length)?;
    let (length, properties) = rest.split_first_chunk::<2>()?;
    let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
    if properties.len() != length {
        return None;
    }
    Some((BatchPart { flag: read_i32(message, 12)?, body, properties }, size))
}

fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|chunk| i32::from_be_bytes(*chunk))
}

/// Appends a message to the body of a batch send. False, and nothing appended, if a length exceeds its field:
/// properties 32767 bytes, the whole message 2^31 - 1.
pub fn append_batch_part(batch: &mut Vec<u8>, part: &BatchPart<'_>) -> bool {
    let size = BATCH_PART_FIXED + part.body.len() + part.properties.len();
    let (Ok(size), Ok(properties_length)) = (i32::try_from(size), i16::try_from(part.properties.len())) else {
        return false;
    };
    batch.extend_from_slice(&size.to_be_bytes());
    batch.extend_from_slice(&[0; 8]);
    batch.extend_from_slice(&part.flag.to_be_bytes());
    // Not longer than `size`, which fits.
    batch.extend_from_slice(&(part.body.len() as i32).to_be_bytes());
    batch.extend_from_slice(part.body);
    batch.extend_from_slice(&properties_length.to_be_bytes());
    batch.extend_from_slice(part.properties);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_appended_and_removed_in_place() {
        let mut encoded = String::from("a\u{1}1\u{2}b\u{1}2");
        append_property(&mut encoded, "c", "3");
        assert_eq!(properties(&encoded).collect::<Vec<_>>(), [("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(remove_property(&encoded, "b"), "a\u{1}1\u{2}c\u{1}3\u{2}");
        assert_eq!(find_property("a\u{1}1\u{2}a\u{1}2\u{2}", "a"), Some("2"));
    }

    #[test]
    fn a_batch_is_split_as_it_was_made() {
        let parts = [
            BatchPart { flag: 7, body: b"one", properties: b"" },
            BatchPart { flag: -1, body: b"", properties: b"k\x01v\x02" },
        ];
        let mut batch = Vec::new();
        assert!(parts.iter().all(|part| append_batch_part(&mut batch, part)));
        assert_eq!(split_batch(&batch, 2).unwrap(), parts);
        assert_eq!(split_batch(&batch, 1), Err(BatchError::TooMany(1)));
        for length in 1..batch.len() {
            let whole_first = length == BATCH_PART_FIXED + 3;
            assert_eq!(split_batch(&batch[..length], 2).is_ok(), whole_first, "{length} bytes");
        }
        let long = vec![b'x'; 32768];
        assert!(!append_batch_part(&mut batch, &BatchPart { flag: 0, body: b"", properties: &long }));
    }

    #[test]
    fn lengths_of_a_batch_are_not_believed() {
        for (at, value) in [(0, -1), (0, 21), (0, i32::MAX), (16, -1), (16, 1), (16, i32::MAX)] {
            let mut batch = Vec::new();
            assert!(append_batch_part(&mut batch, &BatchPart { flag: 0, body: b"", properties: b"" }));
            batch[at..at + 4].copy_from_slice(&value.to_be_bytes());
            assert_eq!(split_batch(&batch, 9), Err(BatchError::Damaged(0)), "{value} at {at}");
        }
    }

    #[test]
    fn ids_that_are_none_are_refused() {
        for text in [
            "",
            "7F",
            "7F00000100002A9F000000000000000",
            "7F00000100012A9F0000000000000000",
            "+F00000100002A9F0000000000000000",
        ] {
            assert_eq!(text.parse::<OffsetMessageId>(), Err(MessageIdError), "{text}");
        }
        assert!("7F000001C0DE5674340F0A1B2C3D000".parse::<UniqueKey>().is_err());
        assert!("ä7F000001C0DE5674340F0A1B2C3D00".parse::<UniqueKey>().is_err());
        for text in ["", "?", "djI=", "djEgYSBi"] {
            assert_eq!(text.parse::<RecallHandle>(), Err(RecallHandleError), "{text}");
        }
    }
}
