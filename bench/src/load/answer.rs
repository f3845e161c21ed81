//! Answers, looked at where they lie in the read buffer: no copy, no allocation.

use anyhow::{Context, Result, bail, ensure};

/// Opaque of the first request. All have ten digits, so that JSON frames of a kind have one length.
pub const OPAQUE_MIN: u32 = 1_000_000_000;
/// What a frame may have at most (`com.rocketmq.remoting.frameMaxLength`).
const FRAME_BYTES_MAX: usize = 16 << 20;

/// What the generator looks at in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Response code.
    pub code: i32,
    /// Of the request.
    pub opaque: u32,
    /// False for requests of the server.
    pub response: bool,
    /// As on the wire; escapes of JSON stay.
    pub remark: &'a [u8],
    /// Field `queueId`.
    pub queue_id: Option<i64>,
    /// Field `queueOffset`.
    pub queue_offset: Option<i64>,
    /// Field `nextBeginOffset`.
    pub next_begin_offset: Option<i64>,
    /// Field `msgId`.
    pub msg_id: &'a [u8],
    /// Field `popTime`.
    pub pop_time: Option<i64>,
    /// Field `reviveQid`.
    pub revive_qid: Option<i64>,
    /// Field `startOffsetInfo`.
    pub start_offset_info: &'a [u8],
    /// Body.
    pub body: &'a [u8],
}

/// Length of the frame at the front of `input` with its length field; `None` while that is not there.
///
/// # Errors
/// When it is longer than any frame.
pub fn frame_length(input: &[u8]) -> Result<Option<usize>> {
    let Some(length) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    ensure!((4..=FRAME_BYTES_MAX - 4).contains(&length), "a frame of {length} bytes");
    Ok(Some(length + 4))
}

/// Reads a whole frame, length field included.
///
/// # Errors
/// When it is not one.
pub fn parse(frame: &[u8]) -> Result<Answer<'_>> {
    let [_, _, _, _, kind, h0, h1, h2, rest @ ..] = frame else { bail!("a frame of {} bytes", frame.len()) };
    let header = usize::from(*h0) << 16 | usize::from(*h1) << 8 | usize::from(*h2);
    let (header, body) = rest.split_at_checked(header).context("a header longer than its frame")?;
    let mut answer = Answer { body, ..Answer::default() };
    match kind {
        0 => json(header, &mut answer).context("an ill-formed JSON header")?,
        1 => binary(header, &mut answer).context("an ill-formed binary header")?,
        kind => bail!("serialize type {kind}"),
    }
    Ok(answer)
}

impl<'a> Answer<'a> {
    fn field(&mut self, key: &[u8], value: &'a [u8]) {
        match key {
            b"queueId" => self.queue_id = integer(value),
            b"queueOffset" => self.queue_offset = integer(value),
            b"nextBeginOffset" => self.next_begin_offset = integer(value),
            b"msgId" => self.msg_id = value,
            b"popTime" => self.pop_time = integer(value),
            b"reviveQid" => self.revive_qid = integer(value),
            b"startOffsetInfo" => self.start_offset_info = value,
            _ => {}
        }
    }

    fn flag(&mut self, flag: i64) {
        self.response = flag & 1 != 0;
    }
}

/// A decimal number of at most 18 digits.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        value = value * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some(if negative { -value } else { value })
}

/// Walks over `{"key":value,…}` with `extFields` as the only object within.
fn json<'a>(header: &'a [u8], answer: &mut Answer<'a>) -> Option<()> {
    let mut at = 0;
    let mut depth = 0;
    let mut key: &[u8] = &[];
    while at < header.len() {
        match header[at] {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                key = &[];
            }
            b'"' => {
                let end = string_end(header, at + 1)?;
                let text = &header[at + 1..end];
                at = end;
                if header.get(end + 1) == Some(&b':') {
                    key = text;
                    at += 1;
                } else if depth == 1 {
                    scalar(key, text, answer);
                } else {
                    answer.field(key, text);
                }
            }
            b',' | b' ' => {}
            _ => {
                let length = header[at..].iter().position(|byte| matches!(byte, b',' | b'}' | b' '))?;
                let text = &header[at..at + length];
                if depth == 1 {
                    scalar(key, text, answer);
                } else {
                    answer.field(key, text);
                }
                at += length - 1;
            }
        }
        at += 1;
    }
    (depth == 0).then_some(())
}

fn scalar<'a>(key: &[u8], text: &'a [u8], answer: &mut Answer<'a>) {
    match key {
        b"code" => answer.code = integer(text).unwrap_or(-1) as i32,
        b"opaque" => answer.opaque = integer(text).unwrap_or(0) as u32,
        b"flag" => answer.flag(integer(text).unwrap_or(0)),
        b"remark" if text != b"null" => answer.remark = text,
        _ => {}
    }
}

fn string_end(header: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match header.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// `2 code | 1 language | 2 version | 4 opaque | 4 flag | 4 + n remark | 4 + fields of 2 + n key, 4 + n value`.
fn binary<'a>(header: &'a [u8], answer: &mut Answer<'a>) -> Option<()> {
    answer.code = i16::from_be_bytes(*header.first_chunk()?).into();
    answer.opaque = u32::from_be_bytes(*header.get(5..)?.first_chunk()?);
    answer.flag(i32::from_be_bytes(*header.get(9..)?.first_chunk()?).into());
    let (remark, rest) = block(header.get(13..)?)?;
    answer.remark = remark;
    let (mut fields, _) = block(rest)?;
    while let Some((length, rest)) = fields.split_first_chunk::<2>() {
        let (key, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (value, rest) = block(rest)?;
        answer.field(key, value);
        fields = rest;
    }
    Some(())
}

fn block(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use hypergol_remoting::RemotingCommand;
    use hypergol_remoting::protocol::command::SerializeType;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let mut command = RemotingCommand::response_raw(2)
            .with_remark("busy \"x\\\" {}, \u{1}")
            .with_field("queueId", "3")
            .with_field("msgId", "code")
            .with_field("queueOffset", "123456789012")
            .with_field("nextBeginOffset", "-1")
            .with_field("popTime", "1700000000000")
            .with_field("reviveQid", "4")
            .with_field("startOffsetInfo", "0 3 12;0 2 1")
            .with_body(&b"body"[..]);
        command.opaque = 1_000_000_007;
        for form in [SerializeType::Json, SerializeType::RocketMq] {
            command.serialize_type = form;
            let frame = command.to_frame();
            assert_eq!(frame_length(&frame).unwrap(), Some(frame.len()));
            let answer = parse(&frame).unwrap();
            assert_eq!((answer.code, answer.opaque, answer.response), (2, 1_000_000_007, true));
            assert!(answer.remark.starts_with(b"busy "));
            assert_eq!((answer.queue_id, answer.queue_offset), (Some(3), Some(123_456_789_012)));
            assert_eq!((answer.next_begin_offset, answer.body), (Some(-1), &b"body"[..]));
            assert_eq!((answer.pop_time, answer.revive_qid), (Some(1_700_000_000_000), Some(4)));
            assert_eq!((answer.msg_id, answer.start_offset_info), (&b"code"[..], &b"0 3 12;0 2 1"[..]));
            for length in 8..frame.len() - 5 {
                let _ = parse(&frame[..length]);
            }
        }
    }

    #[test]
    fn javas_answer_is_read() {
        let header = br#"{"code":0,"extFields":{"queueId":"1","TRACE_ON":"true","MSG_REGION":"DefaultRegion","msgId":"7F","queueOffset":"42"},"flag":1,"language":"JAVA","opaque":1000000001,"serializeTypeCurrentRPC":"JSON","version":513}"#;
        let mut answer = Answer::default();
        json(header, &mut answer).unwrap();
        assert_eq!((answer.code, answer.opaque, answer.queue_id), (0, 1_000_000_001, Some(1)));
        assert_eq!(answer.queue_offset, Some(42));
        assert!(answer.response);
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        assert!(frame_length(&[255; 4]).is_err());
        assert!(frame_length(&[0, 0, 0, 3]).is_err());
        assert!(parse(&[0, 0, 0, 4, 0, 0, 0, 9]).is_err());
        assert!(parse(&[0, 0, 0, 5, 0, 0, 0, 1, b'{']).is_err());
    }
}
