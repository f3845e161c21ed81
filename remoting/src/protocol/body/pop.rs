//! Acknowledgements of popped messages, and the checkpoints that brokers keep of pops.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::body;
use crate::protocol::fastjson::{FromJson, JsonError, JsonErrorKind, Reader, ToJson, Writer};

/// Bits that one entry of [`BitSet`] may have; offsets are acknowledged in batches of far less.
const BITS_MAX: usize = 1 << 20;

/// A set of small numbers: Java's `BitSet`, which travels as base64 of its bytes, bit 0 lowest in the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BitSet(Vec<u8>);

impl BitSet {
    /// Whether `bit` is in the set.
    pub fn contains(&self, bit: usize) -> bool {
        self.0.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    }

    /// Adds `bit`; false if it is beyond the bound of 2^20.
    pub fn insert(&mut self, bit: usize) -> bool {
        if bit >= BITS_MAX {
            return false;
        }
        if self.0.len() <= bit / 8 {
            self.0.resize(bit / 8 + 1, 0);
        }
        self.0[bit / 8] |= 1 << (bit % 8);
        true
    }

    /// The members, rising.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(index, byte)| (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| index * 8 + bit))
    }
}

impl FromIterator<usize> for BitSet {
    /// Bits beyond the bound are left out.
    fn from_iter<I: IntoIterator<Item = usize>>(bits: I) -> Self {
        let mut set = Self::default();
        bits.into_iter().for_each(|bit| {
            set.insert(bit);
        });
        set
    }
}

/// Base64; null and an empty text give null.
impl FromJson for BitSet {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        let Some(text) = reader.text()?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let mut bytes = STANDARD.decode(text).map_err(|_| reader.error(JsonErrorKind::Expected("base64")))?;
        if bytes.len() > BITS_MAX / 8 {
            return Err(reader.error(JsonErrorKind::Range));
        }
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Ok(Some(Self(bytes)))
    }
}

impl ToJson for BitSet {
    fn to_json(&self, writer: &mut Writer) {
        writer.string(&STANDARD.encode(&self.0));
    }
}

body! {
    /// Body of `BATCH_ACK_MESSAGE`.
    #[derive(Eq)]
    pub struct BatchAckMessageRequestBody {
        /// Acknowledgements by pop.
        "acks" acks: Option<Vec<BatchAck>>,
        /// Broker that the messages came from.
        "brokerName" broker_name: String,
    }

    /// Acknowledges messages of one pop.
    #[derive(Eq)]
    pub struct BatchAck {
        /// Offsets acknowledged, relative to `start_offset`.
        "b" | "bitSet" bit_set: Option<BitSet>,
        /// Group.
        "c" | "consumerGroup" consumer_group: String,
        /// Invisible time, ms.
        "it" | "invisibleTime" invisible_time: i64,
        /// Time of the pop, ms since 1970.
        "pt" | "popTime" pop_time: i64,
        /// Queue id.
        "q" | "queueId" queue_id: i32,
        /// `1` or `2` for the retry topics, `0` for the topic itself.
        "r" | "retry" retry: Option<String>,
        /// Queue of the revive topic.
        "rq" | "reviveQueueId" revive_queue_id: i32,
        /// First offset of the pop.
        "so" | "startOffset" start_offset: i64,
        /// Topic.
        "t" | "topic" topic: String,
    }

    /// Body of an acknowledgement record in the revive topic.
    #[derive(Eq)]
    pub struct AckMsg {
        /// Offset acknowledged.
        "ao" | "ackOffset" ack_offset: i64,
        /// Broker.
        "bn" | "brokerName" broker_name: Option<String>,
        /// Group.
        "c" | "consumerGroup" consumer_group: String,
        /// Time of the pop, ms since 1970.
        "pt" | "popTime" pop_time: i64,
        /// Queue id.
        "q" | "queueId" queue_id: i32,
        /// First offset of the pop.
        "so" | "startOffset" start_offset: i64,
        /// Topic.
        "t" | "topic" topic: String,
    }

    /// Body of a record in the revive topic that acknowledges several messages.
    #[derive(Eq)]
    pub struct BatchAckMsg {
        /// Unused here.
        "ao" | "ackOffset" ack_offset: i64,
        /// Offsets acknowledged.
        "aol" | "ackOffsetList" ack_offset_list: Vec<i64>,
        /// Broker.
        "bn" | "brokerName" broker_name: Option<String>,
        /// Group.
        "c" | "consumerGroup" consumer_group: String,
        /// Time of the pop, ms since 1970.
        "pt" | "popTime" pop_time: i64,
        /// Queue id.
        "q" | "queueId" queue_id: i32,
        /// First offset of the pop.
        "so" | "startOffset" start_offset: i64,
        /// Topic.
        "t" | "topic" topic: String,
    }
}

/// Checkpoint of a pop in the revive topic: what was handed out, and until when it stays invisible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PopCheckPoint {
    /// Messages acknowledged, by position; `bm`.
    pub bit_map: i32,
    /// Broker; `bn`.
    pub broker_name: Option<String>,
    /// Group; `c`.
    pub consumer_group: String,
    /// Offsets relative to `start_offset`; `d`. Absent: consecutive.
    pub queue_offset_diff: Option<Vec<i32>>,
    /// Invisible time, ms; `it`.
    pub invisible_time: i64,
    /// Messages handed out, a Java byte; `n`.
    pub num: i32,
    /// Time of the pop, ms since 1970; `pt`.
    pub pop_time: i64,
    /// Queue id; `q`.
    pub queue_id: i32,
    /// Offset in the revive topic; `ro`.
    pub revive_offset: i64,
    /// How often the checkpoint was written again, as a text; `rp`.
    pub re_put_times: Option<String>,
    /// First offset of the pop; `so`.
    pub start_offset: i64,
    /// Whether delivery is suspended; `sp`.
    pub suspend: bool,
    /// Topic; `t`.
    pub topic: String,
}

impl PopCheckPoint {
    /// When the messages become visible again, ms since 1970.
    pub fn revive_time(&self) -> i64 {
        self.pop_time.wrapping_add(self.invisible_time)
    }
}

impl FromJson for PopCheckPoint {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        fn take<T: FromJson + Default>(target: &mut T, reader: &mut Reader<'_>) -> Result<(), JsonError> {
            *target = T::from_json(reader)?.unwrap_or_default();
            Ok(())
        }
        let mut point = Self::default();
        let present = reader.object(|reader| {
            let key = reader.key()?;
            reader.colon()?;
            match &*key {
                "bm" => take(&mut point.bit_map, reader),
                "bn" => take(&mut point.broker_name, reader),
                "c" => take(&mut point.consumer_group, reader),
                "d" => take(&mut point.queue_offset_diff, reader),
                "it" => take(&mut point.invisible_time, reader),
                "n" => take(&mut point.num, reader),
                "pt" => take(&mut point.pop_time, reader),
                "q" => take(&mut point.queue_id, reader),
                "ro" => take(&mut point.revive_offset, reader),
                "rp" => take(&mut point.re_put_times, reader),
                "so" => take(&mut point.start_offset, reader),
                "sp" => take(&mut point.suspend, reader),
                "t" => take(&mut point.topic, reader),
                _ => reader.skip(),
            }
        })?;
        Ok(present.then_some(point))
    }
}

impl ToJson for PopCheckPoint {
    fn to_json(&self, writer: &mut Writer) {
        writer.bean(|bean| {
            bean.field("bm", &self.bit_map);
            bean.field("bn", &self.broker_name);
            bean.field("c", &self.consumer_group);
            bean.field("d", &self.queue_offset_diff);
            bean.field("it", &self.invisible_time);
            bean.field("n", &self.num);
            bean.field("pt", &self.pop_time);
            bean.field("q", &self.queue_id);
            bean.field("reviveTime", &self.revive_time());
            bean.field("ro", &self.revive_offset);
            bean.field("rp", &self.re_put_times);
            bean.field("so", &self.start_offset);
            bean.field("sp", &self.suspend);
            bean.field("t", &self.topic);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson::Body;

    #[test]
    fn bits_travel_as_little_endian_bytes() {
        let bits = BitSet::decode(br#""AQI=""#).unwrap();
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 9]);
        assert_eq!([0, 9].into_iter().collect::<BitSet>(), bits);
        assert!(bits.contains(9) && !bits.contains(8) && !bits.contains(1 << 30));
        assert_eq!(bits.encode(), br#""AQI=""#);
    }

    #[test]
    fn bits_beyond_the_bound_are_refused() {
        assert!(!BitSet::default().insert(BITS_MAX));
        let text = format!("\"{}\"", STANDARD.encode(vec![1u8; BITS_MAX / 8 + 1]));
        assert_eq!(BitSet::decode(text.as_bytes()).unwrap_err().kind, JsonErrorKind::Range);
        assert!(BitSet::decode(br#""?""#).is_err());
    }

    #[test]
    fn a_checkpoint_of_java_is_written_back() {
        let text = r#"{"bm":0,"bn":"broker-a","c":"CG","d":[0],"it":30000,"n":1,"pt":1795220338415,"q":3,"reviveTime":1795220368415,"ro":0,"so":3,"sp":false,"t":"T1"}"#;
        assert_eq!(PopCheckPoint::decode(text.as_bytes()).unwrap().encode(), text.as_bytes());
    }
}
