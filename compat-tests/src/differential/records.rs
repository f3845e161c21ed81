//! Stored messages as bodies carry them, read field by field so that what must differ can be left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const MAGIC_V1: u32 = 0xDAA3_20A7;
const MAGIC_V2: u32 = 0xDAA3_20AB;
const BORN_IPV6: i32 = 0x10;
const STORE_IPV6: i32 = 0x20;

/// A stored message.
#[derive(Clone, Debug)]
pub struct Record {
    /// Topic as stored.
    pub topic: String,
    /// Queue.
    pub queue_id: i32,
    /// Offset in the queue.
    pub queue_offset: i64,
    /// Offset in the commit log.
    pub physical_offset: i64,
    /// Properties by name.
    pub properties: BTreeMap<String, String>,
    /// How often it was consumed again.
    pub reconsume_times: i32,
    /// When it was stored, ms since 1970.
    pub store_timestamp: i64,
    size: u32,
    magic: u32,
    crc: u32,
    flag: i32,
    sys_flag: i32,
    born_timestamp: i64,
    prepared_offset: i64,
    body: Vec<u8>,
}

impl Record {
    /// The body as text.
    pub fn body(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// All that does not depend on the time, the ports, and where in the log the message lies.
    pub fn describe(&self, volatile_properties: &[&str]) -> String {
        // Checkpoints of pops lie between the timer messages, and when they are written is a matter of time.
        let queue_offset = match self.topic.as_str() {
            "rmq_sys_wheel_timer" => "…".to_owned(),
            _ => self.queue_offset.to_string(),
        };
        let mut text = format!(
            "{}/{}@{queue_offset} size {} magic {:x} crc {:x} flag {} sys {:#x} born {} reconsumed {} prepared {} body {:?}",
            self.topic,
            self.queue_id,
            self.size,
            self.magic,
            self.crc,
            self.flag,
            self.sys_flag,
            self.born_timestamp,
            self.reconsume_times,
            self.prepared_offset != 0,
            String::from_utf8_lossy(&self.body[..self.body.len().min(64)]),
        );
        for (name, value) in &self.properties {
            let value = if volatile_properties.contains(&name.as_str()) { "…" } else { value };
            let _ = write!(text, " {name}={value}");
        }
        text
    }
}

/// The records of a body; `None` when it is not whole records.
pub fn parse_all(mut body: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let size = u32::from_be_bytes(body.get(..4)?.try_into().ok()?) as usize;
        let record = body.get(..size)?;
        records.push(parse(record)?);
        body = &body[size..];
    }
    Some(records)
}

fn parse(bytes: &[u8]) -> Option<Record> {
    let mut at = Cursor(bytes);
    let size = at.u32()?;
    let magic = at.u32()?;
    if magic != MAGIC_V1 && magic != MAGIC_V2 {
        return None;
    }
    let crc = at.u32()?;
    let queue_id = at.i32()?;
    let flag = at.i32()?;
    let queue_offset = at.i64()?;
    let physical_offset = at.i64()?;
    let sys_flag = at.i32()?;
    let born_timestamp = at.i64()?;
    at.take(if sys_flag & BORN_IPV6 == 0 { 8 } else { 20 })?;
    let store_timestamp = at.i64()?;
    at.take(if sys_flag & STORE_IPV6 == 0 { 8 } else { 20 })?;
    let reconsume_times = at.i32()?;
    let prepared_offset = at.i64()?;
    let length = at.u32()? as usize;
    let body = at.take(length)?.to_vec();
    let length = if magic == MAGIC_V1 { at.take(1)?[0].into() } else { usize::from(at.u16()?) };
    let topic = String::from_utf8_lossy(at.take(length)?).into_owned();
    let length = usize::from(at.u16()?);
    let properties = String::from_utf8_lossy(at.take(length)?).into_owned();
    let properties = properties
        .split('\u{2}')
        .filter_map(|property| property.split_once('\u{1}'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Some(Record {
        topic,
        queue_id,
        queue_offset,
        physical_offset,
        properties,
        store_timestamp,
        size,
        magic,
        crc,
        flag,
        sys_flag,
        born_timestamp,
        reconsume_times,
        prepared_offset,
        body,
    })
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(body: &[u8], properties: &str) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.extend(MAGIC_V1.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(2i32.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(7i64.to_be_bytes());
        bytes.extend(4096i64.to_be_bytes());
        bytes.extend([0; 4 + 8 + 8 + 8 + 8 + 4 + 8]);
        bytes.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
        bytes.extend(body);
        bytes.extend(b"\x01T");
        bytes.extend(u16::try_from(properties.len()).expect("short").to_be_bytes());
        bytes.extend(properties.as_bytes());
        let size = u32::try_from(bytes.len()).expect("short");
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        bytes
    }

    #[test]
    fn records_are_read() {
        let two = [record(b"ab", "TAGS\u{1}A\u{2}KEYS\u{1}k"), record(b"", "")].concat();
        let records = parse_all(&two).expect("two records");
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].queue_id, records[0].queue_offset, records[0].physical_offset), (2, 7, 4096));
        assert_eq!(records[0].properties["TAGS"], "A");
        assert!(records[0].describe(&["KEYS"]).ends_with("KEYS=… TAGS=A"));
    }

    #[test]
    fn half_a_record_is_none() {
        let bytes = record(b"ab", "");
        assert!(parse_all(&bytes[..bytes.len() - 1]).is_none());
        assert!(parse_all(b"[{}]").is_none());
    }
}
