//! The writer: what fastjson2 2.0.59 emits for RocketMQ's classes, byte for byte.

use super::{JsonKey, ToJson};

/// Largest integer that a double holds exactly, 2^53 - 1.
const JAVASCRIPT_INTEGER_MAX: u64 = (1 << 53) - 1;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// One item a line, indented with tabs (`PrettyFormat`).
    pub pretty: bool,
    /// Integer keys, and integers beyond 2^53 - 1, in quotes (`BrowserCompatible`).
    pub quote_keys: bool,
}

impl Style {
    /// No whitespace, integer keys without quotes.
    pub const COMPACT: Self = Self { pretty: false, quote_keys: false };
    /// No whitespace, integer keys in quotes.
    pub const QUOTED_KEYS: Self = Self { pretty: false, quote_keys: true };
    /// Indented, integer keys without quotes.
    pub const PRETTY: Self = Self { pretty: true, quote_keys: false };
}

/// Appends JSON text to a buffer.
pub struct Writer {
    out: Vec<u8>,
    style: Style,
    depth: usize,
    /// The next value belongs to a bean's field, where an empty list is spread over two lines.
    in_field: bool,
}

impl Writer {
    /// The text of `value`.
    pub fn write<T: ToJson + ?Sized>(value: &T, style: Style) -> Vec<u8> {
        let mut writer = Self { out: Vec::with_capacity(256), style, depth: 0, in_field: false };
        value.to_json(&mut writer);
        writer.out
    }

    /// Appends text as it is.
    pub fn raw(&mut self, text: &str) {
        self.in_field = false;
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends an integer; in quotes where the style asks for standard JSON and JavaScript could not hold it.
    pub fn integer(&mut self, value: i64) {
        let quote = self.style.quote_keys && value.unsigned_abs() > JAVASCRIPT_INTEGER_MAX;
        self.digits(value, quote);
    }

    fn digits(&mut self, value: i64, quote: bool) {
        let mut digits = [0u8; 20];
        let mut start = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            start -= 1;
            digits[start] = b'-';
        }
        let quote: &[u8] = if quote { b"\"" } else { b"" };
        self.out.extend_from_slice(quote);
        self.out.extend_from_slice(&digits[start..]);
        self.out.extend_from_slice(quote);
        self.in_field = false;
    }

    /// Appends an integer that is the key of a map.
    pub fn integer_key(&mut self, value: i64) {
        self.digits(value, self.style.quote_keys);
    }

    /// Appends a double as `Double.toString` writes it: plain for 1e-3 <= |x| < 1e7, else with an
    /// exponent (`1.0E10`). What is not a number or not finite becomes null.
    pub fn double(&mut self, value: f64) {
        if !value.is_finite() {
            return self.raw("null");
        }
        let magnitude = value.abs();
        let text = if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
            format!("{value:?}")
        } else {
            let scientific = format!("{value:E}");
            match scientific.split_once('E') {
                Some((digits, exponent)) if !digits.contains('.') => {
                    format!("{digits}.0E{exponent}")
                }
                _ => scientific,
            }
        };
        self.raw(&text);
    }

    /// Appends a string in quotes. Control characters are escaped, everything else stays UTF-8.
    pub fn string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.in_field = false;
        self.out.push(b'"');
        let bytes = text.as_bytes();
        let mut copied = 0;
        for (i, &byte) in bytes.iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.extend_from_slice(&bytes[copied..i]);
            copied = i + 1;
            self.out.push(b'\\');
            match byte {
                b'"' | b'\\' => self.out.push(byte),
                0x08 => self.out.push(b'b'),
                b'\t' => self.out.push(b't'),
                b'\n' => self.out.push(b'n'),
                0x0c => self.out.push(b'f'),
                b'\r' => self.out.push(b'r'),
                _ => {
                    self.out.extend_from_slice(b"u00");
                    self.out.push(HEX[usize::from(byte >> 4)]);
                    self.out.push(HEX[usize::from(byte & 0xf)]);
                }
            }
        }
        self.out.extend_from_slice(&bytes[copied..]);
        self.out.push(b'"');
    }

    /// Appends an array of integers on one line in every style, as fastjson writes Java's `long[]`.
    pub fn integers(&mut self, values: &[i64]) {
        self.out.push(b'[');
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.integer(*value);
        }
        self.out.push(b']');
        self.in_field = false;
    }

    /// Writes a bean: `fields` names each field in Java's order.
    pub fn bean(&mut self, fields: impl FnOnce(&mut BeanWriter<'_>)) {
        self.open(b'{');
        fields(&mut BeanWriter { writer: self, first: true });
        self.close(b'}');
    }

    /// Writes a map: `entries` gives each entry.
    pub fn map(&mut self, entries: impl FnOnce(&mut MapWriter<'_>)) {
        self.in_field = false;
        let mut map = MapWriter { writer: self, empty: true };
        entries(&mut map);
        let empty = map.empty;
        if empty {
            self.out.extend_from_slice(b"{}");
        } else {
            self.close(b'}');
        }
    }

    /// Writes a list or a set: `items` gives each item.
    pub fn array(&mut self, items: impl FnOnce(&mut ArrayWriter<'_>)) {
        let in_field = std::mem::take(&mut self.in_field);
        let mut array = ArrayWriter { writer: self, empty: true };
        items(&mut array);
        let empty = array.empty;
        if empty && in_field {
            self.open(b'[');
        }
        if empty && !in_field {
            self.out.extend_from_slice(b"[]");
        } else {
            self.close(b']');
        }
    }

    fn open(&mut self, bracket: u8) {
        self.in_field = false;
        self.out.push(bracket);
        self.depth += 1;
        self.line();
    }

    fn close(&mut self, bracket: u8) {
        self.depth -= 1;
        self.line();
        self.out.push(bracket);
        self.in_field = false;
    }

    fn separate(&mut self) {
        self.out.push(b',');
        self.line();
    }

    fn line(&mut self) {
        if self.style.pretty {
            self.out.push(b'\n');
            self.out.extend(std::iter::repeat_n(b'\t', self.depth));
        }
    }
}

/// Writes the fields of a bean.
pub struct BeanWriter<'a> {
    writer: &'a mut Writer,
    first: bool,
}

impl BeanWriter<'_> {
    /// Writes a field unless its value is null.
    pub fn field<T: ToJson + ?Sized>(&mut self, name: &str, value: &T) {
        if value.is_null() {
            return;
        }
        if !std::mem::take(&mut self.first) {
            self.writer.separate();
        }
        self.writer.string(name);
        self.writer.out.push(b':');
        self.writer.in_field = true;
        value.to_json(self.writer);
    }
}

/// Writes the entries of a map.
pub struct MapWriter<'a> {
    writer: &'a mut Writer,
    empty: bool,
}

impl MapWriter<'_> {
    /// Writes an entry, whatever its value.
    pub fn entry<K: JsonKey, V: ToJson + ?Sized>(&mut self, key: &K, value: &V) {
        if std::mem::take(&mut self.empty) {
            self.writer.open(b'{');
        } else {
            self.writer.separate();
        }
        key.write_key(self.writer);
        self.writer.out.push(b':');
        self.writer.in_field = false;
        value.to_json(self.writer);
    }
}

/// Writes the items of a list.
pub struct ArrayWriter<'a> {
    writer: &'a mut Writer,
    empty: bool,
}

impl ArrayWriter<'_> {
    /// Writes an item; null stays `null`.
    pub fn item<T: ToJson + ?Sized>(&mut self, value: &T) {
        if std::mem::take(&mut self.empty) {
            self.writer.open(b'[');
        } else {
            self.writer.separate();
        }
        value.to_json(self.writer);
        self.writer.in_field = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64) -> String {
        String::from_utf8(Writer::write(&value, Style::COMPACT)).unwrap()
    }

    /// Values printed by fastjson2 2.0.59.
    #[test]
    fn doubles_print_as_in_java() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.1, "0.1"),
            (1e6, "1000000.0"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.5e7, "1.5E7"),
            (123_456_789.125, "1.23456789125E8"),
            (1e-3, "0.001"),
            (9.9e-4, "9.9E-4"),
            (1e-4, "1.0E-4"),
            (1.0 / 3.0, "0.3333333333333333"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e23, "1.0E23"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn strings_escape_as_in_java() {
        let text: String = (0u8..0x20).map(char::from).chain("\"\\/'<\u{7f}\u{2028}中😀".chars()).collect();
        let written = String::from_utf8(Writer::write(&text, Style::COMPACT)).unwrap();
        assert_eq!(
            written,
            concat!(
                r#""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#,
                r#"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"#,
                "\\\"\\\\/'<\u{7f}\u{2028}中😀\""
            )
        );
    }

    #[test]
    fn integers_print_at_their_limits() {
        for value in [0, 7, -7, i64::MAX, i64::MIN] {
            assert_eq!(Writer::write(&value, Style::COMPACT), value.to_string().into_bytes());
        }
    }
}
