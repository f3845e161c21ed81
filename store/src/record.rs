//! The commit-log record: its layout, written and read in this one place. Message answers carry the same bytes.
//!
//! ```text
//!  0  4  total size            36  4  system flag                  +0  4  reconsume times
//!  4  4  magic (version)       40  8  born timestamp               +4  8  prepared transaction offset
//!  8  4  body CRC              48  b  born host (8 or 20 bytes)   +12  4+n body
//! 12  4  queue id            48+b  8  store timestamp                  1+n topic (2+n in version 2)
//! 16  4  flag                56+b  s  store host (8 or 20 bytes)       2+n properties
//! 20  8  queue offset
//! 28  8  physical offset
//! ```
//! Integers are big-endian; a host is 4 or 16 address bytes and a 4-byte port, the longer form announced by a bit of
//! the system flag. Source: `MessageExtEncoder.java` and `MessageDecoder.java` of RocketMQ 5.5.0.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

use crate::message::NewMessage;

/// Magic of a version 1 record (topic length in one byte).
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of a version 2 record (topic length in two bytes).
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic of the filler that ends a commit-log file.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// Bytes at the end of a commit-log file that never belong to a record: room for a filler's size and magic.
pub const END_FILE_MIN_BLANK: usize = 8;
/// Longest topic a version 1 record holds.
pub const TOPIC_MAX_V1: usize = 127;
/// Longest topic and longest properties: both lengths are signed 16-bit integers.
pub const SHORT_MAX: usize = i16::MAX as usize;
/// Bytes of the smallest record (version 1, IPv4 hosts, nothing in it).
pub const RECORD_MIN: usize = 91;

/// System flag: body is compressed.
pub const FLAG_COMPRESSED: i32 = 0x1;
/// System flag: the two transaction bits.
pub const FLAG_TRANSACTION_MASK: i32 = 0xC;
/// System flag, transaction bits: prepared.
pub const FLAG_TRANSACTION_PREPARED: i32 = 0x4;
/// System flag, transaction bits: committed.
pub const FLAG_TRANSACTION_COMMIT: i32 = 0x8;
/// System flag, transaction bits: rolled back.
pub const FLAG_TRANSACTION_ROLLBACK: i32 = 0xC;
/// System flag: born host is an IPv6 address.
pub const FLAG_BORN_HOST_V6: i32 = 0x10;
/// System flag: store host is an IPv6 address.
pub const FLAG_STORE_HOST_V6: i32 = 0x20;

/// System flag: the body is to be taken apart by the consumer.
pub const FLAG_NEED_UNWRAP: i32 = 0x40;
/// System flag: the record is an inner batch, that is, its body holds several messages.
pub const FLAG_INNER_BATCH: i32 = 0x80;

/// Property that holds the tag.
pub const PROPERTY_TAGS: &str = "TAGS";
/// Property that holds the client's keys, separated by spaces.
pub const PROPERTY_KEYS: &str = "KEYS";
/// Property that holds the client's unique id.
pub const PROPERTY_UNIQ_KEY: &str = "UNIQ_KEY";
/// Property of an inner batch: how many messages it holds.
pub const PROPERTY_INNER_NUM: &str = "INNER_NUM";
/// Property of an inner batch: queue offset of its first message.
pub const PROPERTY_INNER_BASE: &str = "INNER_BASE";
/// Bytes that [`push_inner_base`] adds at most: a separator, the name, a separator, 19 digits, a separator.
pub const INNER_BASE_MAX: usize = 1 + PROPERTY_INNER_BASE.len() + 1 + 19 + 1;
/// Property that holds the delay level.
pub const PROPERTY_DELAY: &str = "DELAY";

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// Size or magic is zero: nothing was ever written here.
    #[error("end of the log")]
    End,
    /// The filler at the end of a file; the next record starts at the next file.
    #[error("end of the file")]
    Blank,
    /// Fewer bytes than the record's size says.
    #[error("record cut short")]
    Short,
    /// Unknown magic.
    #[error("unknown magic {0:#010x}")]
    Magic(u32),
    /// Size and the lengths inside do not add up.
    #[error("record lengths do not add up")]
    Length,
    /// Topic is not UTF-8.
    #[error("topic is not UTF-8")]
    Topic,
    /// Body CRC differs.
    #[error("body CRC differs")]
    Crc,
}

/// A record's bytes with the places of its variable parts known. Lengths were checked, the CRC was not
/// (see [`Record::validate`]).
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    bytes: &'a [u8],
    topic: &'a str,
    after_store_host: u32,
    body_length: u32,
    properties_at: u32,
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn length(bytes: &[u8], at: usize) -> Result<usize, RecordError> {
    int(bytes, at).and_then(|n| usize::try_from(n).ok()).ok_or(RecordError::Length)
}

fn short_length(bytes: &[u8], at: usize) -> Result<usize, RecordError> {
    let raw = bytes.get(at..at + 2).ok_or(RecordError::Length)?;
    usize::try_from(i16::from_be_bytes([raw[0], raw[1]])).map_err(|_| RecordError::Length)
}

const fn born_host_length(sys_flag: i32) -> usize {
    if sys_flag & FLAG_BORN_HOST_V6 == 0 { 8 } else { 20 }
}

const fn store_host_length(sys_flag: i32) -> usize {
    if sys_flag & FLAG_STORE_HOST_V6 == 0 { 8 } else { 20 }
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// Every [`RecordError`] except `Crc`.
    pub fn parse(bytes: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let total = int(bytes, 0).ok_or(RecordError::Short)?;
        let magic = int(bytes, 4).ok_or(RecordError::Short)? as u32;
        match magic {
            MAGIC_V1 | MAGIC_V2 => {}
            MAGIC_BLANK => return Err(RecordError::Blank),
            0 => return Err(RecordError::End),
            other => return Err(RecordError::Magic(other)),
        }
        let total = match usize::try_from(total) {
            Ok(0) => return Err(RecordError::End),
            Ok(total) if total >= RECORD_MIN => total,
            _ => return Err(RecordError::Length),
        };
        let bytes = bytes.get(..total).ok_or(RecordError::Short)?;
        let sys_flag = int(bytes, 36).ok_or(RecordError::Length)?;
        let after_store_host = 56 + born_host_length(sys_flag) + store_host_length(sys_flag);
        let body_length = length(bytes, after_store_host + 12)?;
        let topic_length_at = after_store_host + 16 + body_length;
        let (topic_at, topic_length) = if magic == MAGIC_V1 {
            let raw = *bytes.get(topic_length_at).ok_or(RecordError::Length)?;
            if raw > i8::MAX as u8 {
                return Err(RecordError::Length);
            }
            (topic_length_at + 1, usize::from(raw))
        } else {
            (topic_length_at + 2, short_length(bytes, topic_length_at)?)
        };
        let properties_length_at = topic_at + topic_length;
        let properties_length = short_length(bytes, properties_length_at)?;
        let properties_at = properties_length_at + 2;
        if properties_at + properties_length != total {
            return Err(RecordError::Length);
        }
        let topic = bytes.get(topic_at..properties_length_at).ok_or(RecordError::Length)?;
        let topic = std::str::from_utf8(topic).map_err(|_| RecordError::Topic)?;
        Ok(Record {
            bytes,
            topic,
            after_store_host: after_store_host as u32,
            body_length: body_length as u32,
            properties_at: properties_at as u32,
        })
    }

    /// Checks the body's CRC.
    ///
    /// # Errors
    /// [`RecordError::Crc`].
    pub fn validate(&self) -> Result<(), RecordError> {
        // An empty body is stored with CRC 0, and CRC-32 of nothing is 0 as well.
        if body_crc(self.body()) == self.body_crc() { Ok(()) } else { Err(RecordError::Crc) }
    }

    /// The whole record.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of the record.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    // `parse` proved that the fixed part is there, so the fallbacks below are never taken.
    fn int_at(&self, at: usize) -> i32 {
        int(self.bytes, at).unwrap_or_default()
    }

    fn long_at(&self, at: usize) -> i64 {
        long(self.bytes, at).unwrap_or_default()
    }

    /// Stored CRC of the body.
    pub fn body_crc(&self) -> u32 {
        self.int_at(8) as u32
    }

    /// Queue of the topic.
    pub fn queue_id(&self) -> i32 {
        self.int_at(12)
    }

    /// The client's own flag.
    pub fn flag(&self) -> i32 {
        self.int_at(16)
    }

    /// Position in the queue.
    pub fn queue_offset(&self) -> i64 {
        self.long_at(20)
    }

    /// Commit-log offset of the record.
    pub fn physical_offset(&self) -> i64 {
        self.long_at(28)
    }

    /// System flag.
    pub fn sys_flag(&self) -> i32 {
        self.int_at(36)
    }

    /// Client's clock at the time of sending, milliseconds since 1970.
    pub fn born_timestamp(&self) -> i64 {
        self.long_at(40)
    }

    /// Client's address.
    pub fn born_host(&self) -> SocketAddr {
        self.host_at(48, born_host_length(self.sys_flag()))
    }

    /// Store time, milliseconds since 1970.
    pub fn store_timestamp(&self) -> i64 {
        self.long_at(48 + born_host_length(self.sys_flag()))
    }

    /// Address of the broker that stored it.
    pub fn store_host(&self) -> SocketAddr {
        let sys_flag = self.sys_flag();
        self.host_at(56 + born_host_length(sys_flag), store_host_length(sys_flag))
    }

    /// How often the message has been consumed in vain.
    pub fn reconsume_times(&self) -> i32 {
        self.int_at(self.after_store_host as usize)
    }

    /// Commit-log offset of the half message, or 0.
    pub fn prepared_transaction_offset(&self) -> i64 {
        self.long_at(self.after_store_host as usize + 4)
    }

    /// Body as stored.
    pub fn body(&self) -> &'a [u8] {
        let at = self.after_store_host as usize + 16;
        self.bytes.get(at..at + self.body_length as usize).unwrap_or_default()
    }

    /// Topic.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// Encoded properties.
    pub fn properties(&self) -> &'a [u8] {
        self.bytes.get(self.properties_at as usize..).unwrap_or_default()
    }

    /// The message as it was stored, to be stored or encoded again.
    pub fn message(&self) -> NewMessage<'a> {
        NewMessage {
            topic: self.topic(),
            queue_id: self.queue_id(),
            flag: self.flag(),
            sys_flag: self.sys_flag(),
            born_timestamp: self.born_timestamp(),
            born_host: self.born_host(),
            store_host: self.store_host(),
            reconsume_times: self.reconsume_times(),
            prepared_transaction_offset: self.prepared_transaction_offset(),
            body: self.body(),
            properties: self.properties(),
        }
    }

    /// Whether the record has a place in its queue (prepared and rolled-back transactions have none).
    pub fn is_queued(&self) -> bool {
        sys_flag_is_queued(self.sys_flag())
    }

    fn host_at(&self, at: usize, length: usize) -> SocketAddr {
        let port = self.int_at(at + length - 4) as u16;
        let address = self.bytes.get(at..at + length - 4).unwrap_or_default();
        let ip = match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
            (Ok(four), _) => IpAddr::V4(Ipv4Addr::from(four)),
            (_, Ok(sixteen)) => IpAddr::V6(Ipv6Addr::from(sixteen)),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        SocketAddr::new(ip, port)
    }
}

/// Whether records with this system flag have a place in their queue.
pub const fn sys_flag_is_queued(sys_flag: i32) -> bool {
    !matches!(sys_flag & FLAG_TRANSACTION_MASK, FLAG_TRANSACTION_PREPARED | FLAG_TRANSACTION_ROLLBACK)
}

/// CRC-32 (IEEE) without its top bit, as RocketMQ stores it.
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

fn put_host(out: &mut Vec<u8>, host: SocketAddr) {
    match host.ip().to_canonical() {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
    out.extend_from_slice(&i32::from(host.port()).to_be_bytes());
}

/// System flag of a message with the two address bits set as its hosts need it.
pub fn stored_sys_flag(message: &NewMessage<'_>) -> i32 {
    let mut sys_flag = message.sys_flag & !(FLAG_BORN_HOST_V6 | FLAG_STORE_HOST_V6);
    if message.born_host.ip().to_canonical().is_ipv6() {
        sys_flag |= FLAG_BORN_HOST_V6;
    }
    if message.store_host.ip().to_canonical().is_ipv6() {
        sys_flag |= FLAG_STORE_HOST_V6;
    }
    sys_flag
}

/// Bytes the record of this message takes.
pub fn encoded_size(message: &NewMessage<'_>) -> usize {
    let sys_flag = stored_sys_flag(message);
    let topic_length_bytes = if message.topic.len() > TOPIC_MAX_V1 { 2 } else { 1 };
    56 + born_host_length(sys_flag)
        + store_host_length(sys_flag)
        + 16
        + message.body.len()
        + topic_length_bytes
        + message.topic.len()
        + 2
        + message.properties.len()
}

/// Appends the record to `out`, with queue offset, physical offset and store timestamp still 0 (see [`patch`]).
/// The caller has checked that topic and properties fit 15 bits of length and the record 31.
pub fn encode(out: &mut Vec<u8>, message: &NewMessage<'_>) {
    let size = encoded_size(message);
    debug_assert!(message.topic.len() <= SHORT_MAX && message.properties.len() <= SHORT_MAX);
    let start = out.len();
    out.reserve(size);
    let version_2 = message.topic.len() > TOPIC_MAX_V1;
    out.extend_from_slice(&(size as i32).to_be_bytes());
    out.extend_from_slice(&(if version_2 { MAGIC_V2 } else { MAGIC_V1 }).to_be_bytes());
    out.extend_from_slice(&body_crc(message.body).to_be_bytes());
    out.extend_from_slice(&message.queue_id.to_be_bytes());
    out.extend_from_slice(&message.flag.to_be_bytes());
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&stored_sys_flag(message).to_be_bytes());
    out.extend_from_slice(&message.born_timestamp.to_be_bytes());
    put_host(out, message.born_host);
    out.extend_from_slice(&[0; 8]);
    put_host(out, message.store_host);
    out.extend_from_slice(&message.reconsume_times.to_be_bytes());
    out.extend_from_slice(&message.prepared_transaction_offset.to_be_bytes());
    out.extend_from_slice(&(message.body.len() as i32).to_be_bytes());
    out.extend_from_slice(message.body);
    if version_2 {
        out.extend_from_slice(&(message.topic.len() as u16).to_be_bytes());
    } else {
        out.push(message.topic.len() as u8);
    }
    out.extend_from_slice(message.topic.as_bytes());
    out.extend_from_slice(&(message.properties.len() as u16).to_be_bytes());
    out.extend_from_slice(message.properties);
    debug_assert_eq!(out.len() - start, size);
}

/// Fills in what is only known inside the append lock. `record` starts with a record made by [`encode`].
pub fn patch(record: &mut [u8], queue_offset: i64, physical_offset: i64, store_timestamp: i64) {
    let store_timestamp_at = 48 + born_host_length(int(record, 36).unwrap_or_default());
    let fields = [(20, queue_offset), (28, physical_offset), (store_timestamp_at, store_timestamp)];
    for (at, value) in fields {
        if let Some(field) = record.get_mut(at..at + 8) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// Appends the property INNER_BASE to a record made by [`encode`], which fills `record` and whose properties leave
/// room for [`INNER_BASE_MAX`] bytes.
pub fn push_inner_base(record: &mut Vec<u8>, properties_length: usize, queue_offset: i64) {
    push_property(record, properties_length, PROPERTY_INNER_BASE, |out| {
        out.extend_from_slice(queue_offset.to_string().as_bytes());
    });
}

/// Appends a property to a record made by [`encode`], which fills `record`. Returns how long its properties are now;
/// beyond [`SHORT_MAX`] the record is no longer one.
pub fn push_property(
    record: &mut Vec<u8>,
    properties_length: usize,
    name: &str,
    value: impl FnOnce(&mut Vec<u8>),
) -> usize {
    let before = record.len();
    if properties_length > 0 && record.last() != Some(&2) {
        record.push(2);
    }
    record.extend_from_slice(name.as_bytes());
    record.push(1);
    value(record);
    record.push(2);
    let properties_length = properties_length + record.len() - before;
    let fields: [(usize, &[u8]); 2] = [
        (0, &(record.len() as i32).to_be_bytes()),
        (record.len() - properties_length - 2, &(properties_length as u16).to_be_bytes()),
    ];
    for (at, value) in fields {
        if let Some(field) = record.get_mut(at..at + value.len()) {
            field.copy_from_slice(value);
        }
    }
    properties_length
}

/// Messages in an inner batch by its property INNER_NUM: at least 1, whatever it says.
pub fn inner_number(text: &str) -> i16 {
    text.parse().unwrap_or(1).max(1)
}

/// Iterates over the well-formed entries of encoded properties: `name 0x01 value 0x02`, the last 0x02 optional,
/// entries with an empty name or value skipped (`MessageDecoder.string2messageProperties`).
pub fn properties(encoded: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    encoded.split(|&byte| byte == 2).filter_map(|entry| {
        let separator = entry.iter().position(|&byte| byte == 1)?;
        let (name, value) = (entry.get(..separator)?, entry.get(separator + 1..)?);
        (!name.is_empty() && !value.is_empty()).then_some((name, value))
    })
}

/// Value of a property, when present and UTF-8. Of duplicates the last counts, as in Java.
pub fn property<'a>(encoded: &'a [u8], name: &str) -> Option<&'a str> {
    let (_, value) = properties(encoded).filter(|(key, _)| *key == name.as_bytes()).last()?;
    std::str::from_utf8(value).ok()
}

/// Java's `String.hashCode`.
pub fn java_hash(text: &str) -> i32 {
    if text.is_ascii() {
        text.bytes().fold(0i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)))
    } else {
        text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
    }
}

/// Consume-queue tags code of a tag: its Java hash, sign-extended. No tag has code 0.
pub fn tags_code(tag: &str) -> i64 {
    i64::from(java_hash(tag))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(v6: bool, port: u16) -> SocketAddr {
        let ip: IpAddr = if v6 { "2001:db8::7".parse().unwrap() } else { "10.1.2.3".parse().unwrap() };
        SocketAddr::new(ip, port)
    }

    fn message<'a>(topic: &'a str, body: &'a [u8], properties: &'a [u8]) -> NewMessage<'a> {
        NewMessage {
            topic,
            queue_id: 3,
            flag: 5,
            sys_flag: 0,
            born_timestamp: 1_700_000_000_001,
            born_host: host(false, 4000),
            store_host: host(false, 10911),
            reconsume_times: 2,
            prepared_transaction_offset: 77,
            body,
            properties,
        }
    }

    #[test]
    fn known_values() {
        // Golden samples of a 5.5.0 broker.
        assert_eq!(body_crc(b"hello0"), 0x7036_E992);
        assert_eq!(tags_code("A"), 65);
        assert_eq!(tags_code("TM2"), 83161);
        assert_eq!(java_hash("T1#k0"), 79_072_523);
        let mut out = Vec::new();
        encode(&mut out, &message("T", b"", b""));
        assert_eq!(out.len(), RECORD_MIN + 1);
        assert_eq!(&out[84..88], &[0; 4]);
    }

    #[test]
    fn property_rules() {
        let encoded = b"TAGS\x01A\x02\x01x\x02EMPTY\x01\x02junk\x02TAGS\x01B\x02KEYS\x01k1 k2";
        assert_eq!(property(encoded, "TAGS"), Some("B"));
        assert_eq!(property(encoded, "KEYS"), Some("k1 k2"));
        assert_eq!(property(encoded, "EMPTY"), None);
        assert_eq!(properties(encoded).count(), 3);
    }

    #[test]
    fn damage_is_named() {
        let mut out = Vec::new();
        encode(&mut out, &message("Topic", b"hello", b"A\x01B\x02"));
        assert_eq!(Record::parse(&out[..50]).unwrap_err(), RecordError::Short);
        assert_eq!(Record::parse(&[0; 100]).unwrap_err(), RecordError::End);
        let mut bad = out.clone();
        bad[89] ^= 1;
        assert_eq!(Record::parse(&bad).unwrap().validate(), Err(RecordError::Crc));
        bad = out.clone();
        bad[87] = 200;
        assert_eq!(Record::parse(&bad).unwrap_err(), RecordError::Length);
    }

    proptest! {
        #[test]
        fn encode_then_parse(topic in "[a-zA-Z0-9_%|-]{1,300}", body in proptest::collection::vec(any::<u8>(), 0..600),
            props in proptest::collection::vec(any::<u8>(), 0..200), v6 in any::<(bool, bool)>(), sys_flag in any::<i32>(),
            offsets in any::<(i64, i64, i64)>(), tail in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut wanted = message(&topic, &body, &props);
            wanted.born_host = host(v6.0, 1);
            wanted.store_host = host(v6.1, 65535);
            wanted.sys_flag = sys_flag;
            let mut out = Vec::new();
            encode(&mut out, &wanted);
            patch(&mut out, offsets.0, offsets.1, offsets.2);
            prop_assert_eq!(out.len(), encoded_size(&wanted));
            let size = out.len();
            out.extend_from_slice(&tail);
            let record = Record::parse(&out).unwrap();
            record.validate().unwrap();
            prop_assert_eq!(record.size(), size);
            prop_assert_eq!((record.queue_offset(), record.physical_offset(), record.store_timestamp()), offsets);
            wanted.sys_flag = stored_sys_flag(&wanted);
            prop_assert_eq!(record.message(), wanted);
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), version in 0..3u8, total in 0..400i32) {
            if bytes.len() >= 8 && version > 0 {
                bytes[..4].copy_from_slice(&total.to_be_bytes());
                bytes[4..8].copy_from_slice(&(if version == 1 { MAGIC_V1 } else { MAGIC_V2 }).to_be_bytes());
            }
            if let Ok(record) = Record::parse(&bytes) {
                let _ = (record.validate(), record.body(), record.born_host(), record.store_host(), record.properties());
                let _ = property(record.properties(), "TAGS");
            }
        }
    }
}
