//! Frames that are encoded once and patched where requests of a kind differ.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use hypergol_remoting::RemotingCommand;
use hypergol_remoting::protocol::command::SerializeType;

use super::answer::OPAQUE_MIN;

/// A whole frame and where its opaque lies.
#[derive(Clone, Debug)]
pub struct Template {
    frame: Vec<u8>,
    opaque: Range<usize>,
    form: SerializeType,
}

impl Template {
    /// Encodes `request` in `form`; a code beyond 16 bits always goes as JSON.
    ///
    /// # Errors
    /// When the opaque is not found again, which would be a bug.
    pub fn new(mut request: RemotingCommand, form: SerializeType) -> Result<Self> {
        request.opaque = OPAQUE_MIN as i32;
        let wide = i16::try_from(request.code).is_err();
        let form = if wide { SerializeType::Json } else { form };
        request.serialize_type = form;
        let frame = request.to_frame().to_vec();
        let opaque = match form {
            SerializeType::Json => {
                let key = b"\"opaque\":";
                let at = find(&frame, key).context("no opaque in the header")? + key.len();
                at..at + 10
            }
            // Behind length, header length, code, language and version.
            SerializeType::RocketMq => 13..17,
        };
        Ok(Self { frame, opaque, form })
    }

    /// Bytes of the frame.
    pub fn len(&self) -> usize {
        self.frame.len()
    }

    /// Where the first occurrence of `text` lies.
    ///
    /// # Errors
    /// When there is none.
    pub fn place_of(&self, text: &[u8]) -> Result<Range<usize>> {
        let at = find(&self.frame, text).context("a marker is missing in a frame")?;
        Ok(at..at + text.len())
    }

    /// Where the value of a field lies, which must have `width` bytes.
    ///
    /// # Errors
    /// When the field is not there.
    pub fn place_of_field(&self, key: &str, width: usize) -> Result<Range<usize>> {
        let before = match self.form {
            SerializeType::Json => format!("\"{key}\":\"").into_bytes(),
            SerializeType::RocketMq => {
                let mut before = (u16::try_from(key.len())?).to_be_bytes().to_vec();
                before.extend_from_slice(key.as_bytes());
                before.extend_from_slice(&u32::try_from(width)?.to_be_bytes());
                before
            }
        };
        let at = find(&self.frame, &before).with_context(|| format!("no field {key} in a frame"))? + before.len();
        ensure!(at + width <= self.frame.len(), "the field {key} is too short");
        Ok(at..at + width)
    }

    /// Appends the frame to `out` with this opaque; returns the appended bytes, to be patched further.
    pub fn append<'a>(&self, out: &'a mut Vec<u8>, opaque: u32) -> &'a mut [u8] {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        match self.form {
            SerializeType::Json => write_digits(&mut frame[self.opaque.clone()], opaque.into()),
            SerializeType::RocketMq => frame[self.opaque.clone()].copy_from_slice(&opaque.to_be_bytes()),
        }
        frame
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Decimal, with leading zeros.
pub fn write_digits(place: &mut [u8], mut value: u64) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Upper-case hexadecimal, with leading zeros.
pub fn write_hex(place: &mut [u8], mut value: u64) {
    for byte in place.iter_mut().rev() {
        *byte = b"0123456789ABCDEF"[(value & 15) as usize];
        value >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use hypergol_remoting::RequestCode;
    use hypergol_remoting::protocol::codec;

    use super::*;

    #[test]
    fn patched_frames_decode() {
        for form in [SerializeType::Json, SerializeType::RocketMq] {
            let request = RemotingCommand::request(RequestCode::SendMessageV2)
                .with_field("b", "topic")
                .with_field("e", "00")
                .with_field("i", "UNIQ_KEY\u{1}MARK\u{2}")
                .with_body(&b"body"[..]);
            let template = Template::new(request, form).unwrap();
            let mut out = vec![1, 2, 3];
            let frame = template.append(&mut out, 1_234_567_890);
            write_digits(&mut frame[template.place_of_field("e", 2).unwrap()], 7);
            write_hex(&mut frame[template.place_of(b"MARK").unwrap()], 0x1a2b);
            let frame = codec::cut_frame(&mut BytesMut::from(&out[3..])).unwrap().unwrap();
            let decoded = codec::decode(frame).unwrap();
            assert_eq!(decoded.opaque, 1_234_567_890);
            assert_eq!(decoded.fields.get("e"), Some("07"));
            assert_eq!(decoded.fields.get("i"), Some("UNIQ_KEY\u{1}1A2B\u{2}"));
            assert_eq!(&decoded.body[..], b"body");
            assert!(template.place_of_field("z", 2).is_err());
        }
    }
}
