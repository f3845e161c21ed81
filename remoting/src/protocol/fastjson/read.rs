//! The reader: a pull parser over the body's bytes that accepts what fastjson2 accepts.
//!
//! No tree is built: types ask for the value they expect. Strings without escapes are borrowed.

use std::borrow::Cow;

use super::FromJson;

/// Deepest nesting accepted; RocketMQ's own bodies stay below ten.
pub const DEPTH_MAX: usize = 64;

/// Bytes that may be scanned in all to find the targets of `$ref`, per body.
const REF_SCAN_BYTES_MAX: usize = 64 << 20;

/// Input that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("JSON at byte {at}: {kind}")]
pub struct JsonError {
    /// Offset of the byte where reading stopped; for text inside a string key, relative to that text.
    pub at: usize,
    /// What was wrong.
    pub kind: JsonErrorKind,
}

/// What was wrong with the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// The text stops inside a value.
    #[error("unexpected end")]
    End,
    /// Something else was expected here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Text follows the value.
    #[error("text after the value")]
    Trailing,
    /// More than [`DEPTH_MAX`] levels, or a reference that contains itself.
    #[error("nested too deeply")]
    Depth,
    /// A number does not fit its field.
    #[error("number out of range")]
    Range,
    /// A number cannot be parsed.
    #[error("not a number")]
    Number,
    /// A map's key has the wrong type.
    #[error("not a key of this map")]
    Key,
    /// A `$ref` leads nowhere, or there are too many.
    #[error("reference cannot be resolved")]
    Reference,
    /// A value is required but the input is null or empty.
    #[error("no value")]
    Null,
}

/// A value that is neither object nor array.
enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
}

/// Reads JSON text from the front.
pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    depth: usize,
    ref_bytes_left: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`; a byte order mark is skipped.
    pub fn new(input: &'a [u8]) -> Self {
        let at = if input.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { input, at, depth: 0, ref_bytes_left: REF_SCAN_BYTES_MAX }
    }

    /// An error at the present position.
    pub fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { at: self.at, kind }
    }

    /// Makes sure that nothing but whitespace and comments is left.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.blank()?;
        if self.at < self.input.len() {
            return Err(self.error(JsonErrorKind::Trailing));
        }
        Ok(())
    }

    /// Reads an object. `entry` is called at each key and must consume key, colon and value.
    /// Returns false for null (also an empty string, which fastjson takes for null).
    pub fn object(&mut self, mut entry: impl FnMut(&mut Self) -> Result<(), JsonError>) -> Result<bool, JsonError> {
        self.entries(&mut entry)
    }

    fn entries(&mut self, entry: &mut dyn FnMut(&mut Self) -> Result<(), JsonError>) -> Result<bool, JsonError> {
        if self.peek()? != b'{' {
            return self.null_or("an object");
        }
        if let Some(present) = self.referenced(|reader| reader.entries(entry))? {
            return Ok(present);
        }
        self.descend()?;
        self.sequence(b'}', "',' or '}'", entry)?;
        Ok(true)
    }

    /// If the next value is `{"$ref":".."}`, consumes it and calls `read` at the value it names.
    pub(super) fn referenced<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, JsonError>,
    ) -> Result<Option<T>, JsonError> {
        let start = self.at;
        if self.peek()? != b'{' {
            return Ok(None);
        }
        self.descend()?;
        let Some(path) = self.reference()? else {
            self.at = start;
            self.depth -= 1;
            return Ok(None);
        };
        let back = self.at;
        self.seek(&path)?;
        let value = read(self)?;
        self.at = back;
        self.depth -= 1;
        Ok(Some(value))
    }

    /// Reads an array. `item` is called at each item and must consume it. A single object stands for an array of
    /// it. Returns false for null.
    pub fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), JsonError>) -> Result<bool, JsonError> {
        self.items(&mut item)
    }

    fn items(&mut self, item: &mut dyn FnMut(&mut Self) -> Result<(), JsonError>) -> Result<bool, JsonError> {
        if let Some(present) = self.referenced(|reader| reader.items(item))? {
            return Ok(present);
        }
        if self.peek()? == b'{' {
            item(self)?;
            return Ok(true);
        }
        if self.peek()? != b'[' {
            return self.null_or("an array");
        }
        self.descend()?;
        self.sequence(b']', "',' or ']'", item)?;
        Ok(true)
    }

    /// The inside of brackets: parts separated by commas, surplus commas ignored.
    fn sequence(
        &mut self,
        close: u8,
        expected: &'static str,
        part: &mut dyn FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        loop {
            match self.peek()? {
                b',' => self.at += 1,
                byte if byte == close => break,
                _ => {
                    part(self)?;
                    match self.peek()? {
                        b',' => self.at += 1,
                        byte if byte == close => break,
                        _ => return Err(self.error(JsonErrorKind::Expected(expected))),
                    }
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Consumes an opening bracket.
    fn descend(&mut self) -> Result<(), JsonError> {
        if self.depth >= DEPTH_MAX {
            return Err(self.error(JsonErrorKind::Depth));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn null_or(&mut self, expected: &'static str) -> Result<bool, JsonError> {
        let start = self.at;
        let is_null = match self.scalar() {
            Ok(Scalar::Null) => true,
            Ok(Scalar::Text(text)) => text.is_empty() || text == "null",
            _ => false,
        };
        if is_null {
            return Ok(false);
        }
        self.at = start;
        Err(self.error(JsonErrorKind::Expected(expected)))
    }

    /// Reads a key that is a string, a number or a bare word.
    pub fn key(&mut self) -> Result<Cow<'a, str>, JsonError> {
        match self.peek()? {
            quote @ (b'"' | b'\'') => self.quoted(quote),
            _ => {
                let word = self.word();
                if word.is_empty() {
                    return Err(self.error(JsonErrorKind::Expected("a key")));
                }
                Ok(String::from_utf8_lossy(word))
            }
        }
    }

    /// Reads a key that is an object, or a string that holds the object's JSON.
    pub fn object_key<T: FromJson>(&mut self) -> Result<T, JsonError> {
        let key = match self.peek()? {
            quote @ (b'"' | b'\'') => {
                let text = self.quoted(quote)?;
                let mut inner = Reader::new(text.as_bytes());
                inner.depth = self.depth;
                let key = T::from_json(&mut inner)?;
                inner.end()?;
                key
            }
            _ => T::from_json(self)?,
        };
        key.ok_or(self.error(JsonErrorKind::Key))
    }

    /// Consumes the colon between key and value.
    pub fn colon(&mut self) -> Result<(), JsonError> {
        if self.peek()? != b':' {
            return Err(self.error(JsonErrorKind::Expected("':'")));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a string; numbers, booleans, objects and arrays give their text.
    pub fn text(&mut self) -> Result<Option<String>, JsonError> {
        let start = match self.peek()? {
            b'{' | b'[' => self.at,
            _ => {
                return Ok(match self.scalar()? {
                    Scalar::Null => None,
                    Scalar::Bool(value) => Some(value.to_string()),
                    Scalar::Number(text) => Some(text.to_owned()),
                    Scalar::Text(text) => Some(text.into_owned()),
                });
            }
        };
        self.skip()?;
        Ok(Some(String::from_utf8_lossy(&self.input[start..self.at]).into_owned()))
    }

    /// Reads an integer; strings and booleans are converted, a fraction is cut off.
    pub fn integer(&mut self) -> Result<Option<i64>, JsonError> {
        let start = self.at;
        let text = match self.scalar()? {
            Scalar::Null => return Ok(None),
            Scalar::Bool(value) => return Ok(Some(i64::from(value))),
            Scalar::Number(text) => Cow::Borrowed(text),
            Scalar::Text(text) if text.is_empty() || text == "null" => return Ok(None),
            Scalar::Text(text) => text,
        };
        let digits = text.trim();
        if let Ok(value) = digits.parse::<i64>() {
            return Ok(Some(value));
        }
        let fail = |kind| JsonError { at: start, kind };
        let value: f64 = digits.parse().map_err(|_| fail(JsonErrorKind::Number))?;
        // 2^63 is the first double above the range; -2^63 is within.
        if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) {
            return Err(fail(JsonErrorKind::Range));
        }
        Ok(Some(value as i64))
    }

    /// Reads a double; strings are converted.
    pub fn double(&mut self) -> Result<Option<f64>, JsonError> {
        let start = self.at;
        let text = match self.scalar()? {
            Scalar::Null => return Ok(None),
            Scalar::Bool(value) => return Ok(Some(f64::from(u8::from(value)))),
            Scalar::Number(text) => Cow::Borrowed(text),
            Scalar::Text(text) if text.is_empty() || text == "null" => return Ok(None),
            Scalar::Text(text) => text,
        };
        let value = text.trim().parse().map_err(|_| JsonError { at: start, kind: JsonErrorKind::Number })?;
        Ok(Some(value))
    }

    /// Reads a boolean; a number is true unless it is 0, a string is true for `true`, `1`, `Y`, `T`.
    pub fn bool(&mut self) -> Result<Option<bool>, JsonError> {
        Ok(match self.scalar()? {
            Scalar::Null => None,
            Scalar::Bool(value) => Some(value),
            Scalar::Number(text) => Some(text.parse() != Ok(0.0)),
            Scalar::Text(text) if text.is_empty() || text == "null" => None,
            Scalar::Text(text) => Some(text.eq_ignore_ascii_case("true") || matches!(&*text, "1" | "Y" | "T")),
        })
    }

    /// Whether the next value is an object, an array, or neither.
    pub(super) fn kind(&mut self) -> Result<u8, JsonError> {
        self.peek()
    }

    /// Passes over one value.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            b'{' => {
                self.descend()?;
                self.sequence(b'}', "',' or '}'", &mut |reader| {
                    match reader.peek()? {
                        b'{' => reader.skip()?,
                        _ => drop(reader.key()?),
                    }
                    reader.colon()?;
                    reader.skip()
                })
            }
            b'[' => {
                self.descend()?;
                self.sequence(b']', "',' or ']'", &mut |reader| reader.skip())
            }
            _ => self.scalar().map(drop),
        }
    }

    fn scalar(&mut self) -> Result<Scalar<'a>, JsonError> {
        match self.peek()? {
            quote @ (b'"' | b'\'') => self.quoted(quote).map(Scalar::Text),
            b'-' | b'+' | b'.' | b'0'..=b'9' => self.number().map(Scalar::Number),
            _ => {
                let start = self.at;
                let scalar = match self.word() {
                    b"null" | b"NaN" | b"undefined" => Scalar::Null,
                    b"true" => Scalar::Bool(true),
                    b"false" => Scalar::Bool(false),
                    _ => {
                        self.at = start;
                        return Err(self.error(JsonErrorKind::Expected("a value")));
                    }
                };
                Ok(scalar)
            }
        }
    }

    /// A number's text without a leading `+` and without Java's type suffix (`1L`, `1.5D`).
    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        let word = self.word();
        let word = word.strip_prefix(b"+").unwrap_or(word);
        let word = match word.split_last() {
            Some((b'L' | b'S' | b'B' | b'F' | b'D', digits)) => digits,
            _ => word,
        };
        match std::str::from_utf8(word) {
            Ok(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => Ok(text),
            _ => Err(JsonError { at: start, kind: JsonErrorKind::Number }),
        }
    }

    /// Consumes bytes up to the next blank or structural character.
    fn word(&mut self) -> &'a [u8] {
        let rest = &self.input[self.at..];
        let length = rest
            .iter()
            .position(|byte| matches!(byte, 0..=0x20 | b',' | b':' | b'{' | b'}' | b'[' | b']' | b'"' | b'\'' | b'/'))
            .unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// A string in quotes, from its opening quote. Bytes that are not UTF-8 are replaced.
    fn quoted(&mut self, quote: u8) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        while let Some(&byte) = self.input.get(self.at) {
            if byte == quote {
                let text = String::from_utf8_lossy(&self.input[start..self.at]);
                self.at += 1;
                return Ok(text);
            }
            if byte == b'\\' {
                return self.unescape(quote, start).map(Cow::Owned);
            }
            self.at += 1;
        }
        Err(self.error(JsonErrorKind::End))
    }

    /// The rest of a string from its first backslash on; `start` is where the string began.
    fn unescape(&mut self, quote: u8, start: usize) -> Result<String, JsonError> {
        let mut text = self.input[start..self.at].to_vec();
        let mut buffer = [0u8; 4];
        loop {
            let byte = self.next_byte()?;
            if byte == quote {
                return Ok(match String::from_utf8(text) {
                    Ok(text) => text,
                    Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
                });
            }
            if byte != b'\\' {
                text.push(byte);
                continue;
            }
            let character = match self.next_byte()? {
                b'b' => '\u{8}',
                b't' => '\t',
                b'n' => '\n',
                b'v' => '\u{b}',
                b'f' => '\u{c}',
                b'r' => '\r',
                b'u' => self.utf16_escape()?,
                b'x' => char::from_u32(self.hex(2)?).unwrap_or(char::REPLACEMENT_CHARACTER),
                other => {
                    text.push(other);
                    continue;
                }
            };
            text.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }

    /// After `\u`: one UTF-16 unit, or two that form a pair. A lone surrogate is replaced.
    fn utf16_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hex(4)?;
        if !(0xd800..0xdc00).contains(&first) || !self.input[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let back = self.at;
        self.at += 2;
        let second = self.hex(4)?;
        if !(0xdc00..0xe000).contains(&second) {
            self.at = back;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self, digits: usize) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..digits {
            let byte = self.next_byte()?;
            let digit =
                char::from(byte).to_digit(16).ok_or(self.error(JsonErrorKind::Expected("a hexadecimal digit")))?;
            value = value * 16 + digit;
        }
        Ok(value)
    }

    fn next_byte(&mut self) -> Result<u8, JsonError> {
        let byte = *self.input.get(self.at).ok_or(self.error(JsonErrorKind::End))?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte that is neither blank nor part of a comment.
    fn peek(&mut self) -> Result<u8, JsonError> {
        self.blank()?;
        self.input.get(self.at).copied().ok_or(self.error(JsonErrorKind::End))
    }

    /// Passes over whitespace and comments.
    fn blank(&mut self) -> Result<(), JsonError> {
        loop {
            let rest = &self.input[self.at..];
            match rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x08 | 0x0c, ..] => self.at += 1,
                [b'/', b'/', ..] => {
                    self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                }
                [b'/', b'*', inside @ ..] => {
                    let length =
                        inside.windows(2).position(|pair| pair == b"*/").ok_or(self.error(JsonErrorKind::End))?;
                    self.at += length + 4;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Inside a fresh `{`: if the object is `{"$ref":".."}`, consumes it and gives the path.
    fn reference(&mut self) -> Result<Option<Cow<'a, str>>, JsonError> {
        let start = self.at;
        if !matches!(self.peek()?, b'"' | b'\'') || self.key()? != "$ref" {
            self.at = start;
            return Ok(None);
        }
        self.colon()?;
        let Scalar::Text(path) = self.scalar()? else {
            return Err(self.error(JsonErrorKind::Reference));
        };
        if self.peek()? != b'}' {
            return Err(self.error(JsonErrorKind::Expected("'}'")));
        }
        self.at += 1;
        Ok(Some(path))
    }

    /// Moves to the value that `path` names (`$.a.b[0]`), by scanning from the front.
    fn seek(&mut self, path: &str) -> Result<(), JsonError> {
        let unresolved = self.error(JsonErrorKind::Reference);
        self.ref_bytes_left = self.ref_bytes_left.checked_sub(self.input.len()).ok_or(unresolved.clone())?;
        let rest = path.strip_prefix('$').ok_or(unresolved.clone())?;
        let depth = self.depth;
        self.at = 0;
        for step in steps(rest) {
            if !self.step_into(&step)? {
                return Err(unresolved);
            }
        }
        self.depth = depth;
        Ok(())
    }

    /// Moves to a member of the value at hand; false if there is none of that name or index.
    fn step_into(&mut self, step: &str) -> Result<bool, JsonError> {
        let is_object = match self.peek()? {
            b'{' => true,
            b'[' => false,
            _ => return Ok(false),
        };
        self.at += 1;
        let mut index = 0usize;
        loop {
            match self.peek()? {
                b',' => self.at += 1,
                b'}' | b']' => return Ok(false),
                b'{' if is_object => {
                    self.skip()?;
                    self.colon()?;
                    self.skip()?;
                }
                _ if is_object => {
                    let found = self.key()? == step;
                    self.colon()?;
                    if found {
                        return Ok(true);
                    }
                    self.skip()?;
                }
                _ => {
                    if step.parse() == Ok(index) {
                        return Ok(true);
                    }
                    index += 1;
                    self.skip()?;
                }
            }
        }
    }
}

/// Splits `.a.b[0]["c"]` into its steps; a backslash takes the next character literally.
fn steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut step = String::new();
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => step.extend(characters.next()),
            '.' | '[' | ']' => {
                if !step.is_empty() {
                    steps.push(std::mem::take(&mut step));
                }
            }
            '"' | '\'' => step.extend(characters.by_ref().take_while(|&next| next != character)),
            _ => step.push(character),
        }
    }
    if !step.is_empty() {
        steps.push(step);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson::{Body, Value};
    use std::collections::BTreeMap;

    type Table = BTreeMap<String, i64>;

    fn table(text: &str) -> Table {
        Table::decode(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn sloppy_forms_are_accepted() {
        let expected = Table::from([("a".into(), 1), ("b".into(), -2)]);
        for text in [
            r#"{"a":1,"b":-2}"#,
            r#" { "a" : 1 , "b" : -2 } "#,
            "{a:1,b:-2}",
            "{'a':'1','b':'-2'}",
            r#"{"a":1,"b":-2,}"#,
            "{/* first */ a:1, // then\n b:-2}",
            "{\"a\":+1,\"b\":-2.0}",
            "{\"a\":1L,\"b\":-2,\"c\":null}",
            "\u{feff}{\"a\":true,\"b\":-2}",
            r#"{"\u0061":1,"\x62":-2}"#,
        ] {
            assert_eq!(table(text), expected, "{text}");
        }
    }

    #[test]
    fn integer_keys_are_read_with_and_without_quotes() {
        let expected = BTreeMap::from([(0i64, "x".to_owned()), (7, "y".to_owned())]);
        for text in [r#"{0:"x",7:"y"}"#, r#"{"0":"x", '7':"y"}"#] {
            assert_eq!(BTreeMap::<i64, String>::decode(text.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn strings_take_the_text_of_other_values() {
        type Texts = BTreeMap<String, String>;
        let texts = Texts::decode(br#"{"a":1,"b":true,"c":{"d": [1]},"e":null,"f":"\ud83d\ude00\ud83d!"}"#).unwrap();
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = [entry("a", "1"), entry("b", "true"), entry("c", r#"{"d": [1]}"#), entry("f", "😀\u{fffd}!")];
        assert_eq!(texts, Texts::from(expected));
    }

    #[test]
    fn references_lead_to_the_first_appearance() {
        let text = r#"{"a":[{"k":5},{"$ref":"$.a[0]"}],"b":{"$ref":"$.a"},"c.d":[],"e":{"$ref":"$.c\\.d"}}"#;
        let lists = BTreeMap::<String, Vec<Table>>::decode(text.as_bytes()).unwrap();
        let five = table("{k:5}");
        assert_eq!(lists["a"], [five.clone(), five]);
        assert_eq!(lists["b"], lists["a"]);
        assert!(lists["e"].is_empty());
    }

    #[test]
    fn a_reference_to_itself_is_an_error() {
        for text in
            [r#"{"a":{"$ref":"$"}}"#, r#"{"a":{"$ref":"$.a"}}"#, r#"{"a":{"$ref":"$.b"}}"#, r#"{"a":{"$ref":".."}}"#]
        {
            let error = Value::decode(text.as_bytes()).unwrap_err();
            assert!(matches!(error.kind, JsonErrorKind::Depth | JsonErrorKind::Reference), "{text}: {error}");
        }
    }

    #[test]
    fn references_cannot_multiply_work() {
        // Each level refers twice to the one before: 2^40 values if nothing stopped it.
        let mut text = String::from(r#"{"a0":[]"#);
        for level in 1..40 {
            let below = level - 1;
            text += &format!(r#","a{level}":[{{"$ref":"$.a{below}"}},{{"$ref":"$.a{below}"}}]"#);
        }
        text.push('}');
        assert_eq!(Value::decode(text.as_bytes()).unwrap_err().kind, JsonErrorKind::Reference);
    }

    #[test]
    fn nesting_is_bounded() {
        for open in ["[", "{\"a\":", "{a:[", "{{\"a\":1}:"] {
            let bomb = open.repeat(100_000);
            assert_eq!(Value::decode(bomb.as_bytes()).unwrap_err().kind, JsonErrorKind::Depth);
        }
        let deepest = "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX);
        assert!(Value::decode(deepest.as_bytes()).is_ok());
    }

    #[test]
    fn errors_name_the_byte() {
        for (text, at) in [
            (r#"{"a":1"#, 6),
            (r#"{"a" 1}"#, 5),
            (r#"{"a":x}"#, 5),
            (r#"{"a":1} 2"#, 8),
            (r#"{"a":1 "b":2}"#, 7),
            (r#"{"a":9223372036854775808}"#, 5),
            (r#"{"a":"no"}"#, 5),
            ("", 0),
        ] {
            let error = Table::decode(text.as_bytes()).unwrap_err();
            assert_eq!(error.at, at, "{text}: {error}");
        }
        assert_eq!(Table::decode(b"null").unwrap_err().kind, JsonErrorKind::Null);
    }
}
