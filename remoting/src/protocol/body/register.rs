//! The body of `REGISTER_BROKER`, in its two forms.
//!
//! One form is JSON. The other is a zlib stream of
//! `len dataVersion | topicCount { len topicLine } | len filterServers | mappingCount { len mapping }`,
//! lengths and counts being big-endian `i32`, texts JSON except for the line of [`TopicConfig`]. The
//! mappings are present from V5_0_0 on. Brokers of 5.x send the second form with `compressed=false` in
//! the header, so the body itself is looked at.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::topic::{TopicConfig, TopicConfigAndMappingSerializeWrapper, TopicQueueMappingInfo};
use crate::body;
use crate::protocol::fastjson::{Body, JsonError};

/// Bytes a compressed registration may have when inflated: over a million topics.
const INFLATED_BYTES_MAX: u64 = 128 << 20;

body! {
    /// The topics of a broker, sent to name servers.
    #[derive(Eq)]
    pub struct RegisterBrokerBody {
        /// Filter servers; empty since 5.x.
        "filterServerList" filter_server_list: Vec<String>,
        /// Topics and mappings.
        "topicConfigSerializeWrapper" topic_config_serialize_wrapper: TopicConfigAndMappingSerializeWrapper,
    }
}

/// A registration that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RegisterBodyError {
    /// The JSON is not understood.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The stream is damaged, ends early or exceeds its bound.
    #[error("compressed registration: {0}")]
    Stream(#[from] io::Error),
    /// A topic line is not understood.
    #[error("compressed registration: topic line {0:?} is not understood")]
    Topic(String),
}

impl RegisterBrokerBody {
    /// Decodes either form.
    pub fn decode_any(body: &[u8]) -> Result<Self, RegisterBodyError> {
        if is_zlib(body) { Self::decode_compressed(body) } else { Ok(Self::decode(body)?) }
    }

    /// Decodes the compressed form, with or without mappings.
    pub fn decode_compressed(body: &[u8]) -> Result<Self, RegisterBodyError> {
        let mut input = Input(ZlibDecoder::new(body).take(INFLATED_BYTES_MAX));
        let mut register = Self::default();
        let wrapper = &mut register.topic_config_serialize_wrapper;
        wrapper.data_version = Body::decode(&input.block()?)?;
        for _ in 0..input.length()? {
            let line = input.block()?;
            let line = String::from_utf8_lossy(&line);
            let topic = TopicConfig::decode_line(&line)
                .ok_or_else(|| RegisterBodyError::Topic(line.chars().take(256).collect()))?;
            wrapper.topic_config_table.insert(topic.topic_name.clone(), topic);
        }
        // Java ignores a list it cannot read.
        register.filter_server_list = Body::decode(&input.block()?).unwrap_or_default();
        if let Some(count) = input.length_or_end()? {
            for _ in 0..count {
                let info = TopicQueueMappingInfo::decode(&input.block()?)?;
                wrapper.topic_queue_mapping_info_map.insert(info.topic.clone(), info);
            }
        }
        Ok(register)
    }

    /// Encodes the compressed form, with mappings, at zlib level 9.
    pub fn encode_compressed(&self) -> io::Result<Vec<u8>> {
        let wrapper = &self.topic_config_serialize_wrapper;
        let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
        write_block(&mut out, &wrapper.data_version.encode())?;
        write_length(&mut out, wrapper.topic_config_table.len())?;
        for topic in wrapper.topic_config_table.values() {
            write_block(&mut out, topic.encode_line().as_bytes())?;
        }
        write_block(&mut out, &self.filter_server_list.encode())?;
        write_length(&mut out, wrapper.topic_queue_mapping_info_map.len())?;
        for info in wrapper.topic_queue_mapping_info_map.values() {
            write_block(&mut out, &info.encode())?;
        }
        out.finish()
    }
}

/// Whether the body starts with a zlib header (RFC 1950): method 8, window up to 32 KiB, check bits.
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [first, second, ..] => {
            first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
        }
        _ => false,
    }
}

fn write_length(out: &mut impl Write, length: usize) -> io::Result<()> {
    let length = i32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    out.write_all(&length.to_be_bytes())
}

fn write_block(out: &mut impl Write, block: &[u8]) -> io::Result<()> {
    write_length(out, block.len())?;
    out.write_all(block)
}

/// An inflated stream of bounded length.
struct Input<R>(io::Take<R>);

impl<R: Read> Input<R> {
    fn length(&mut self) -> io::Result<u64> {
        self.length_or_end()?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// A length or count, or `None` if the stream has ended.
    fn length_or_end(&mut self) -> io::Result<Option<u64>> {
        let mut bytes = Vec::with_capacity(4);
        self.0.by_ref().take(4).read_to_end(&mut bytes)?;
        match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(bytes) => {
                let length = u64::try_from(i32::from_be_bytes(bytes))
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "negative length"))?;
                Ok(Some(length))
            }
            Err(_) if bytes.is_empty() => Ok(None),
            Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// A length and that many bytes. Memory grows with what arrives, not with what is announced.
    fn block(&mut self) -> io::Result<Vec<u8>> {
        let length = self.length()?;
        let mut block = Vec::new();
        self.0.by_ref().take(length).read_to_end(&mut block)?;
        if block.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> RegisterBrokerBody {
        let mut register = RegisterBrokerBody::default();
        let wrapper = &mut register.topic_config_serialize_wrapper;
        for name in ["A", "B"] {
            let mut topic = TopicConfig::new(name);
            topic.attributes.insert("message.type".into(), "NORMAL".into());
            wrapper.topic_config_table.insert(name.into(), topic);
        }
        let info = TopicQueueMappingInfo { topic: "A".into(), ..TopicQueueMappingInfo::default() };
        wrapper.topic_queue_mapping_info_map.insert("A".into(), info);
        // The compressed form does not carry the version of the mapping.
        wrapper.mapping_data_version = wrapper.data_version.clone();
        register
    }

    #[test]
    fn both_forms_are_told_apart() {
        let register = sample();
        assert_eq!(RegisterBrokerBody::decode_any(&register.encode()).unwrap(), register);
        let compressed = register.encode_compressed().unwrap();
        let mut decoded = RegisterBrokerBody::decode_any(&compressed).unwrap();
        decoded.topic_config_serialize_wrapper.mapping_data_version =
            register.topic_config_serialize_wrapper.data_version.clone();
        assert_eq!(decoded, register);
    }

    #[test]
    fn a_cut_stream_never_loses_topics_silently() {
        let compressed = sample().encode_compressed().unwrap();
        for length in 0..compressed.len() {
            if let Ok(register) = RegisterBrokerBody::decode_any(&compressed[..length]) {
                // Only the checksum and the end marker were cut off.
                assert_eq!(register.topic_config_serialize_wrapper.topic_config_table.len(), 2, "{length} bytes");
            }
        }
    }

    #[test]
    fn announced_lengths_are_not_believed() {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
        out.write_all(&i32::MAX.to_be_bytes()).unwrap();
        let body = out.finish().unwrap();
        assert!(matches!(RegisterBrokerBody::decode_any(&body), Err(RegisterBodyError::Stream(_))));
    }
}
