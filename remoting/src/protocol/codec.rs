//! Frames and both header forms.
//!
//! ```text
//! 0      4  length of what follows: 4 + H + B
//! 4      1  serialize type: 0 JSON, 1 ROCKETMQ
//! 5      3  H, length of the header
//! 8      H  header
//! 8+H    B  body
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use thiserror::Error;

use super::command::{LanguageCode, RemotingCommand, SerializeType};
use super::fields::{ExtFields, Part};
use super::json_header;

/// Largest frame, its length field included: Java's `com.rocketmq.remoting.frameMaxLength`, 16 MiB.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Fields a header may have; Java's largest has 16, clients add a few.
pub(crate) const FIELDS_MAX: usize = 1024;

/// Why bytes are not a frame. The connection is closed, for nothing after them can be trusted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The frame is longer than [`FRAME_BYTES_MAX`], or negative.
    #[error("frame of {0} bytes, at most {FRAME_BYTES_MAX} are taken")]
    TooLong(i64),
    /// The frame cannot hold the 4 bytes that describe its header.
    #[error("frame of {0} bytes is too short for a header")]
    TooShort(usize),
    /// The header's length exceeds the frame.
    #[error("header of {header} bytes in a frame of {frame}")]
    HeaderTooLong {
        /// Length the frame declares for its header.
        header: usize,
        /// Bytes of the frame after the header length.
        frame: usize,
    },
    /// Byte 4 is neither 0 nor 1.
    #[error("unknown serialize type {0}")]
    UnknownSerializeType(u8),
    /// The header is not UTF-8.
    #[error("header is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// The header is ill-formed.
    #[error("header is ill-formed at byte {at}: {what}")]
    IllFormed {
        /// Byte of the header.
        at: usize,
        /// What was expected there.
        what: &'static str,
    },
}

/// Cuts one frame off the front of `buffer`: header and body behind the length field. `None` while it is incomplete.
///
/// The length is checked before anything is reserved for it.
pub fn cut_frame(buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    if length < 0 || length as usize + 4 > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(i64::from(length) + 4));
    }
    let length = length as usize;
    if length < 4 {
        return Err(FrameError::TooShort(length));
    }
    if buffer.len() < 4 + length {
        // Check what is known of the header before the body is waited for.
        if let Some(descriptor) = buffer.get(4..8) {
            check_descriptor(descriptor, length)?;
        }
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Bytes that the frame at the front of `buffer` lacks, once its length is known.
pub fn missing_bytes(buffer: &BytesMut) -> usize {
    buffer.first_chunk::<4>().map_or(0, |length| {
        let length = i32::from_be_bytes(*length).max(0) as usize;
        (length.min(FRAME_BYTES_MAX) + 4).saturating_sub(buffer.len())
    })
}

fn check_descriptor(descriptor: &[u8], length: usize) -> Result<(SerializeType, usize), FrameError> {
    let &[kind, h0, h1, h2] = descriptor else { return Err(FrameError::TooShort(length)) };
    let header_len = usize::from(h0) << 16 | usize::from(h1) << 8 | usize::from(h2);
    if header_len > length - 4 {
        return Err(FrameError::HeaderTooLong { header: header_len, frame: length - 4 });
    }
    let kind = SerializeType::from_byte(kind).ok_or(FrameError::UnknownSerializeType(kind))?;
    Ok((kind, header_len))
}

/// Decodes what [`cut_frame`] returned.
pub fn decode(mut frame: Bytes) -> Result<RemotingCommand, FrameError> {
    if frame.len() < 4 {
        return Err(FrameError::TooShort(frame.len()));
    }
    let (serialize_type, header_len) = check_descriptor(&frame[..4], frame.len())?;
    let header = frame.slice(4..4 + header_len);
    let body = frame.split_off(4 + header_len);
    let mut command = match serialize_type {
        SerializeType::Json => {
            let header =
                ByteString::try_from(header.clone()).map_err(|_| FrameError::NotUtf8(valid_prefix(&header)))?;
            json_header::decode(header)?
        }
        SerializeType::RocketMq => decode_binary(header)?,
    };
    command.serialize_type = serialize_type;
    command.body = body;
    Ok(command)
}

fn valid_prefix(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len)
}

/// Appends everything of a frame but its body.
pub fn encode_head(command: &RemotingCommand, out: &mut BytesMut) {
    let start = out.len();
    out.put_u64(0);
    // A code beyond 16 bits would be cut off in the binary form.
    let serialize_type = match command.serialize_type {
        SerializeType::RocketMq if i16::try_from(command.code).is_ok() => SerializeType::RocketMq,
        _ => SerializeType::Json,
    };
    match serialize_type {
        SerializeType::Json => json_header::encode(command, out),
        SerializeType::RocketMq => encode_binary(command, out),
    }
    let header_len = out.len() - start - 8;
    let length = 4 + header_len + command.body_len();
    out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&(header_len as u32 & 0xff_ffff).to_be_bytes());
    out[start + 4] = serialize_type as u8;
}

/// Binary header:
/// code 2, language 1, version 2, opaque 4, flag 4, remark 4 + n, fields 4 + (key 2 + n, value 4 + n)*.
fn encode_binary(command: &RemotingCommand, out: &mut BytesMut) {
    out.put_i16(command.code as i16);
    out.put_u8(command.language.0);
    out.put_i16(command.version as i16);
    out.put_i32(command.opaque);
    out.put_i32(command.flag);
    let remark = command.remark.as_deref().unwrap_or_default();
    out.put_u32(remark.len() as u32);
    out.put_slice(remark.as_bytes());
    let at = out.len();
    out.put_u32(0);
    for (key, value) in command.fields.iter() {
        // Keys are names of fields; one beyond 64 KiB cannot be written and is left out.
        let Ok(key_len) = u16::try_from(key.len()) else { continue };
        out.put_u16(key_len);
        out.put_slice(key.as_bytes());
        out.put_u32(value.len() as u32);
        out.put_slice(value.as_bytes());
    }
    let fields_len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&fields_len.to_be_bytes());
}

fn decode_binary(header: Bytes) -> Result<RemotingCommand, FrameError> {
    let mut cursor = Cursor { bytes: &header, at: 0 };
    let code = i16::from_be_bytes(cursor.array("code")?);
    let language = LanguageCode(u8::from_be_bytes(cursor.array("language")?));
    let version = i16::from_be_bytes(cursor.array("version")?);
    let opaque = i32::from_be_bytes(cursor.array("opaque")?);
    let flag = i32::from_be_bytes(cursor.array("flag")?);
    let remark_len = cursor.length("remark length")?;
    let remark = cursor.range(remark_len, "remark")?;
    let remark = match std::str::from_utf8(&header[remark.clone()]) {
        Ok(text) => (!text.is_empty()).then(|| text.to_owned()),
        Err(error) => return Err(FrameError::NotUtf8(remark.start + error.valid_up_to())),
    };
    let fields_len = cursor.length("fields length")?;
    let end = cursor.at + fields_len;
    if end > header.len() {
        return Err(FrameError::IllFormed { at: cursor.at, what: "fields longer than the header" });
    }
    let mut parts = smallvec::SmallVec::<[_; 16]>::new();
    while cursor.at < end {
        if parts.len() == FIELDS_MAX {
            return Err(FrameError::IllFormed { at: cursor.at, what: "too many fields" });
        }
        let key_len = usize::from(u16::from_be_bytes(cursor.array("key length")?));
        let key = cursor.range(key_len, "key")?;
        let value_len = cursor.length("value length")?;
        let value = cursor.range(value_len, "value")?;
        if cursor.at > end {
            return Err(FrameError::IllFormed { at: end, what: "field beyond the fields' length" });
        }
        // Java takes an empty value for null.
        if !value.is_empty() {
            parts.push((key, value));
        }
    }
    let not_utf8 = |at: usize| FrameError::NotUtf8(header_position(&parts, at));
    let text = String::from_utf8(text_of(&header, &parts)).map_err(|e| not_utf8(e.utf8_error().valid_up_to()))?;
    let text = ByteString::from(text);
    let mut fields = ExtFields::over(text.clone());
    let mut at = 0;
    for (key, value) in &parts {
        let key = at..at + key.len();
        let value = key.end..key.end + value.len();
        // All of it is UTF-8, but a character may lie across two texts.
        if let Some(edge) = [key.end, value.end].into_iter().find(|edge| !text.is_char_boundary(*edge)) {
            return Err(not_utf8(edge));
        }
        at = value.end;
        fields.push_parts(Part::Received(key), Part::Received(value));
    }
    let mut command = RemotingCommand::response_raw(i32::from(code));
    command.language = language;
    command.version = i32::from(version);
    command.opaque = opaque;
    command.flag = flag;
    command.remark = remark;
    command.fields = fields;
    Ok(command)
}

/// The texts of all fields in one buffer: the binary header as a whole is not UTF-8, its lengths lie between.
fn text_of(header: &[u8], parts: &[(std::ops::Range<usize>, std::ops::Range<usize>)]) -> Vec<u8> {
    let mut text = Vec::with_capacity(header.len());
    for (key, value) in parts {
        text.extend_from_slice(&header[key.clone()]);
        text.extend_from_slice(&header[value.clone()]);
    }
    text
}

/// Where in the header the byte `at` of [`text_of`] lies.
fn header_position(parts: &[(std::ops::Range<usize>, std::ops::Range<usize>)], mut at: usize) -> usize {
    for range in parts.iter().flat_map(|(key, value)| [key, value]) {
        if at < range.len() {
            return range.start + at;
        }
        at -= range.len();
    }
    0
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FrameError> {
        let array = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        self.at += N;
        array.copied().ok_or(FrameError::IllFormed { at: self.at - N, what })
    }

    /// A 4-byte length that the rest of the header can hold.
    fn length(&mut self, what: &'static str) -> Result<usize, FrameError> {
        let at = self.at;
        let length = i32::from_be_bytes(self.array(what)?);
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.bytes.len() - self.at)
            .ok_or(FrameError::IllFormed { at, what })
    }

    fn range(&mut self, length: usize, what: &'static str) -> Result<std::ops::Range<usize>, FrameError> {
        let range = self.at..self.at + length;
        self.bytes.get(range.clone()).ok_or(FrameError::IllFormed { at: self.at, what })?;
        self.at += length;
        Ok(range)
    }
}
