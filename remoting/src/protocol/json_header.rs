//! The JSON form of a header.
//!
//! A single pass over the text that keeps every field as a range of it. The form is strict JSON (Java does not take
//! unquoted keys here); types are taken loosely as Java takes them: numbers given as text, and text given as numbers.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{BufMut, BytesMut};
use bytestring::ByteString;

use super::codec::{FIELDS_MAX, FrameError};
use super::command::{LanguageCode, RemotingCommand};
use super::fields::{ExtFields, Part};

/// Room made at once for a string with escapes; Java's properties always have some.
const ESCAPED_BYTES: usize = 1024;
/// Depth of values that are skipped because nobody reads them.
const DEPTH_MAX: usize = 32;

/// Appends the header as Java writes it: keys in alphabetical order, null left out.
pub(super) fn encode(command: &RemotingCommand, out: &mut BytesMut) {
    let mut number = itoa::Buffer::new();
    out.put_slice(b"{\"code\":");
    out.put_slice(number.format(command.code).as_bytes());
    if !command.fields.is_empty() {
        out.put_slice(b",\"extFields\":{");
        for (i, (key, value)) in command.fields.iter().enumerate() {
            if i > 0 {
                out.put_u8(b',');
            }
            put_text(key, out);
            out.put_u8(b':');
            put_text(value, out);
        }
        out.put_u8(b'}');
    }
    out.put_slice(b",\"flag\":");
    out.put_slice(number.format(command.flag).as_bytes());
    out.put_slice(b",\"language\":\"");
    out.put_slice(command.language.name().as_bytes());
    out.put_slice(b"\",\"opaque\":");
    out.put_slice(number.format(command.opaque).as_bytes());
    if let Some(remark) = &command.remark {
        out.put_slice(b",\"remark\":");
        put_text(remark, out);
    }
    out.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    out.put_slice(number.format(command.version).as_bytes());
    out.put_u8(b'}');
}

/// Appends a JSON string. Control characters are escaped as fastjson2 does.
fn put_text(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    let mut bytes = text.as_bytes();
    while let Some(at) = bytes.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        out.put_slice(&bytes[..at]);
        let byte = bytes[at];
        bytes = &bytes[at + 1..];
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            0x08 => out.put_slice(b"\\b"),
            0x0c => out.put_slice(b"\\f"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.put_slice(b"\\u00");
                out.put_u8(HEX[usize::from(byte >> 4)]);
                out.put_u8(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.put_slice(bytes);
    out.put_u8(b'"');
}

/// Reads a header.
pub(super) fn decode(header: ByteString) -> Result<RemotingCommand, FrameError> {
    let mut command = RemotingCommand::response_raw(0);
    command.language = LanguageCode::OTHER;
    command.version = 0;
    let mut fields = ExtFields::over(header.clone());
    let mut parser = Parser { text: &header, at: 0 };
    parser.object(|parser, key| {
        match key {
            "code" => command.code = parser.integer()?,
            "flag" => command.flag = parser.integer()?,
            "opaque" => command.opaque = parser.integer()?,
            "version" => command.version = parser.integer()?,
            "language" => command.language = parser.language()?,
            "remark" => command.remark = parser.scalar()?.map(|part| part.text(&header).into_owned()),
            "extFields" => parser.ext_fields(&mut fields)?,
            _ => parser.skip(0)?,
        }
        Ok(())
    })?;
    parser.end()?;
    command.fields = fields;
    Ok(command)
}

/// A scalar: a range of the header, or text that was escaped there.
enum Scalar {
    Plain(Range<usize>),
    Unescaped(String),
}

impl Scalar {
    fn text<'a>(&'a self, header: &'a str) -> Cow<'a, str> {
        match self {
            Self::Plain(range) => Cow::Borrowed(header.get(range.clone()).unwrap_or_default()),
            Self::Unescaped(text) => Cow::Borrowed(text),
        }
    }

    fn part(&self) -> Part<'_> {
        match self {
            Self::Plain(range) => Part::Received(range.clone()),
            Self::Unescaped(text) => Part::Owned(text),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn error<T>(&self, what: &'static str) -> Result<T, FrameError> {
        Err(FrameError::IllFormed { at: self.at, what })
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn end(&mut self) -> Result<(), FrameError> {
        if self.peek().is_some() { self.error("text after the header") } else { Ok(()) }
    }

    /// Calls `member` at each value of an object; it must consume the value.
    fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<(), FrameError>) -> Result<(), FrameError> {
        if !self.eat(b'{') {
            return self.error("expected {");
        }
        if self.eat(b'}') {
            return Ok(());
        }
        let text = self.text;
        loop {
            let key = self.string()?;
            if !self.eat(b':') {
                return self.error("expected :");
            }
            member(self, &key.text(text))?;
            if self.eat(b'}') {
                return Ok(());
            }
            if !self.eat(b',') {
                return self.error("expected , or }");
            }
        }
    }

    fn ext_fields(&mut self, fields: &mut ExtFields) -> Result<(), FrameError> {
        if self.peek() == Some(b'n') {
            self.literal()?;
            return Ok(());
        }
        if !self.eat(b'{') {
            return self.error("expected { after extFields");
        }
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            if fields.len() == FIELDS_MAX {
                return self.error("too many fields");
            }
            // The common case first: two strings without an escape.
            let begin = self.at;
            if let Some(key) = self.plain_string()
                && self.eat(b':')
                && let Some(value) = self.plain_string()
            {
                fields.push_parts(Part::Received(key), Part::Received(value));
            } else {
                self.at = begin;
                let key = self.string()?;
                if !self.eat(b':') {
                    return self.error("expected :");
                }
                // Null values are dropped, as in Java.
                if let Some(value) = self.scalar()? {
                    fields.push_parts(key.part(), value.part());
                }
            }
            if self.eat(b'}') {
                return Ok(());
            }
            if !self.eat(b',') {
                return self.error("expected , or }");
            }
        }
    }

    /// A string without an escape; otherwise `None`, with the position anywhere.
    fn plain_string(&mut self) -> Option<Range<usize>> {
        if !self.eat(b'"') {
            return None;
        }
        let start = self.at;
        let rest = self.text.as_bytes().get(start..)?;
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        self.at = start + length + 1;
        (rest.get(length) == Some(&b'"')).then_some(start..start + length)
    }

    fn string(&mut self) -> Result<Scalar, FrameError> {
        if !self.eat(b'"') {
            return self.error("expected a string");
        }
        let start = self.at;
        self.at -= 1;
        if let Some(range) = self.plain_string() {
            return Ok(Scalar::Plain(range));
        }
        match self.text.as_bytes().get(start..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
            Some(length) => {
                self.at = start + length;
                self.escaped(start)
            }
            None => {
                self.at = self.text.len();
                self.error("string without end")
            }
        }
    }

    /// The rest of a string whose first escape is here.
    fn escaped(&mut self, start: usize) -> Result<Scalar, FrameError> {
        let mut out = String::with_capacity((self.text.len() - start).min(ESCAPED_BYTES));
        out.push_str(self.text.get(start..self.at).unwrap_or_default());
        loop {
            // Stops at ASCII bytes only, so every cut is between characters.
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(length) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')) else {
                self.at = self.text.len();
                return self.error("string without end");
            };
            let (run, rest) = rest.split_at(length);
            out.push_str(run);
            self.at += length + 1;
            let mut rest = rest.chars();
            if rest.next() == Some('"') {
                return Ok(Scalar::Unescaped(out));
            }
            let c = match rest.next() {
                Some('u') => Some(unicode(&mut rest)),
                Some('n') => Some('\n'),
                Some('r') => Some('\r'),
                Some('t') => Some('\t'),
                Some('b') => Some('\u{8}'),
                Some('f') => Some('\u{c}'),
                // Java's escapes of vertical tab and NUL.
                Some('v') => Some('\u{b}'),
                Some('0') => Some('\0'),
                Some(c @ ('"' | '\\' | '/' | '\'')) => Some(c),
                _ => None,
            };
            self.at = self.text.len() - rest.as_str().len();
            let Some(c) = c else { return self.error("unknown escape") };
            out.push(c);
        }
    }

    /// The text of a string, number or boolean; `None` for null.
    fn scalar(&mut self) -> Result<Option<Scalar>, FrameError> {
        match self.peek() {
            Some(b'"') => self.string().map(Some),
            Some(b'{' | b'[') => self.error("expected a scalar"),
            _ => {
                let range = self.literal()?;
                Ok((self.text.get(range.clone()) != Some("null")).then_some(Scalar::Plain(range)))
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&mut self) -> Result<Range<usize>, FrameError> {
        self.peek();
        let start = self.at;
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        if self.at == start { self.error("expected a value") } else { Ok(start..self.at) }
    }

    fn integer(&mut self) -> Result<i32, FrameError> {
        let at = self.at;
        let text = self.text;
        match self.scalar()? {
            Some(value) => value
                .text(text)
                .trim()
                .parse()
                .map_err(|_| FrameError::IllFormed { at, what: "expected a 32-bit integer" }),
            None => Ok(0),
        }
    }

    fn language(&mut self) -> Result<LanguageCode, FrameError> {
        let text = self.text;
        Ok(self.scalar()?.map_or(LanguageCode::OTHER, |value| {
            let value = value.text(text);
            LanguageCode::from_name(&value)
                .or_else(|| value.parse().ok().map(LanguageCode))
                .unwrap_or(LanguageCode::OTHER)
        }))
    }

    /// Passes over a value that nobody reads.
    fn skip(&mut self, depth: usize) -> Result<(), FrameError> {
        if depth == DEPTH_MAX {
            return self.error("nested too deeply");
        }
        match self.peek() {
            Some(b'{') => self.object(|parser, _| parser.skip(depth + 1)),
            Some(b'[') => {
                self.at += 1;
                if self.eat(b']') {
                    return Ok(());
                }
                loop {
                    self.skip(depth + 1)?;
                    if self.eat(b']') {
                        return Ok(());
                    }
                    if !self.eat(b',') {
                        return self.error("expected , or ]");
                    }
                }
            }
            _ => self.scalar().map(drop),
        }
    }
}

/// The character of the four hex digits ahead, joined with a following low surrogate; U+FFFD for what is none.
fn unicode(rest: &mut std::str::Chars<'_>) -> char {
    let Some(unit) = hex_unit(rest) else { return char::REPLACEMENT_CHARACTER };
    if !(0xd800..0xdc00).contains(&unit) {
        return char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let mut ahead = rest.clone();
    if ahead.next() == Some('\\')
        && ahead.next() == Some('u')
        && let Some(low @ 0xdc00..0xe000) = hex_unit(&mut ahead)
    {
        *rest = ahead;
        return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
            .unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::REPLACEMENT_CHARACTER
}

fn hex_unit(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    let digits = rest.as_str().get(..4)?;
    let unit = u32::from_str_radix(digits, 16).ok()?;
    *rest = rest.as_str().get(4..)?.chars();
    Some(unit)
}
