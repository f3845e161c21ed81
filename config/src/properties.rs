//! Java's .properties text: `key=value` lines, `#` and `!` comments, `\` escapes and continued lines.
//!
//! Two differences from `java.util.Properties.load`: the text is UTF-8 rather than Latin-1, and a bad text is an
//! error that names its line.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::ConfigError;
use crate::files;

/// Longest configuration text that is taken. Java's whole set of keys is about 30 KB.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The text behind the separator, unescaped.
    pub value: String,
    /// Line of the key, from 1.
    pub line: usize,
}

/// The keys and values of a text, by key. The last of several values of a key counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// The file, or what else the text was; for messages.
    pub source: String,
    entries: BTreeMap<String, Entry>,
}

impl Properties {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let source = path.display().to_string();
        let bytes = files::read(path, TEXT_BYTES_MAX)?;
        Self::parse(&source, &bytes)
    }

    /// Reads a text; `source` names it in errors.
    pub fn parse(source: &str, text: &[u8]) -> Result<Self, ConfigError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ConfigError::TooLong { file: source.to_owned(), max: TEXT_BYTES_MAX });
        }
        let malformed = |line, reason| ConfigError::Malformed { file: source.to_owned(), line, reason };
        let text = std::str::from_utf8(text).map_err(|error| {
            let before = &text[..error.valid_up_to()];
            malformed(1 + before.iter().filter(|b| **b == b'\n').count(), "not UTF-8")
        })?;
        let mut entries = BTreeMap::new();
        for (line, logical) in LogicalLines::new(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            let (key, value) = split(&logical).map_err(|reason| malformed(line, reason))?;
            entries.insert(key, Entry { value, line });
        }
        Ok(Self { source: source.to_owned(), entries })
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Adds or replaces a value that stands in no file.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.entries.insert(key.into(), Entry { value: value.into(), line: 0 });
    }

    /// All entries, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Writes entries so that [`Properties::parse`], and Java, read the same keys and values.
pub fn write<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (key, value) in entries {
        escape(key, true, &mut out);
        out.push('=');
        escape(value, false, &mut out);
        out.push('\n');
    }
    out
}

fn escape(text: &str, key: bool, out: &mut String) {
    for (i, c) in text.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            ' ' if key || i == 0 => out.push_str("\\ "),
            '=' | ':' if key => out.extend(['\\', c]),
            '#' | '!' if key && i == 0 => out.extend(['\\', c]),
            // Java reads the file as Latin-1.
            c if !c.is_ascii() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
            c => out.push(c),
        }
    }
}

/// Lines with their continuations joined, without comments and blank lines; escapes are still in.
struct LogicalLines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> LogicalLines<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, line: 0 }
    }

    /// The next line of the text, without its end and without white space before it.
    fn natural(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
        let (line, tail) = self.rest.split_at(end);
        self.rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or("");
        Some(line.trim_start_matches(is_blank))
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = (usize, String);

    fn next(&mut self) -> Option<Self::Item> {
        let first = loop {
            let line = self.natural()?;
            if !line.is_empty() && !line.starts_with(['#', '!']) {
                break line;
            }
        };
        let number = self.line;
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            match self.natural() {
                Some(next) => logical.push_str(next),
                None => break,
            }
        }
        Some((number, logical))
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// A line goes on behind an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Cuts a logical line at the first separator that is not escaped: white space, `=`, `:`.
fn split(line: &str) -> Result<(String, String), &'static str> {
    let mut escaped = false;
    let end = line.find(|c| {
        let is_end = !escaped && (is_blank(c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        is_end
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank);
    Ok((unescape(key)?, unescape(value)?))
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(unicode(&mut chars)?),
            Some(other) => out.push(other),
            None => {}
        }
    }
    Ok(out)
}

/// The character of `\uXXXX`, or of two of them that are a surrogate pair.
fn unicode(chars: &mut std::str::Chars<'_>) -> Result<char, &'static str> {
    const BAD: &str = "malformed \\uxxxx escape";
    let high = unit(chars).ok_or(BAD)?;
    if !(0xD800..0xDC00).contains(&high) {
        return char::from_u32(u32::from(high)).ok_or(BAD);
    }
    if chars.next() != Some('\\') || chars.next() != Some('u') {
        return Err(BAD);
    }
    let low = unit(chars).ok_or(BAD)?;
    char::decode_utf16([high, low]).next().and_then(Result::ok).ok_or(BAD)
}

fn unit(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.to_digit(16)?;
    }
    u16::try_from(unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        let properties = Properties::parse("test", text.as_bytes()).unwrap();
        properties.iter().map(|(k, e)| (k.to_owned(), e.value.clone())).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = parsed(text);
        assert_eq!(all.len(), 1, "{text:?} gave {all:?}");
        all.remove(0)
    }

    #[test]
    fn reads_what_java_reads() {
        // Each of these was read by java.util.Properties.
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("  a = b ", "a", "b "),
            ("a:b", "a", "b"),
            ("a b c", "a", "b c"),
            ("a\t:\t=b", "a", "=b"),
            ("a==b", "a", "=b"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("=b", "", "b"),
            ("a\\=b=c", "a=b", "c"),
            ("a\\ b c", "a b", "c"),
            ("a=b\\\n  c\\\r\n\td", "a", "bcd"),
            ("a=b\\\\\n", "a", "b\\"),
            ("a=b\\\n#c", "a", "b#c"),
            ("a=C:\\\\dir\\tx\\q", "a", "C:\\dir\txq"),
            ("a=\\u4E2d\\uD83D\\uDE00", "a", "中😀"),
            ("a=b\\", "a", "b"),
            ("#x=y\\\na=b", "a", "b"),
            ("! x\n\n \t \r a=b", "a", "b"),
            ("a=1\na=2", "a", "2"),
        ] {
            assert_eq!(one(text), (key.to_owned(), value.to_owned()), "{text:?}");
        }
        assert_eq!(parsed("# only\n\n"), []);
    }

    #[test]
    fn errors_name_file_and_line() {
        for (text, message) in [
            (&b"a=1\n\nb=\\u12x4"[..], "conf/x:3: malformed \\uxxxx escape"),
            (&b"a=1\nb=\xff"[..], "conf/x:2: not UTF-8"),
            (&b"a=\\uD83Dx"[..], "conf/x:1: malformed \\uxxxx escape"),
        ] {
            assert_eq!(Properties::parse("conf/x", text).unwrap_err().to_string(), message);
        }
        assert!(matches!(Properties::parse("x", &vec![b'a'; TEXT_BYTES_MAX + 1]), Err(ConfigError::TooLong { .. })));
    }

    #[test]
    fn remembers_the_line_of_a_continued_entry() {
        let properties = Properties::parse("x", b"#\na=1\\\n 2\nb=3").unwrap();
        assert_eq!(properties.get("a").unwrap().line, 2);
        assert_eq!(properties.get("b").unwrap().line, 4);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(entries in prop::collection::btree_map(".{0,12}", ".{0,20}", 0..8)) {
            let text = write(entries.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            let again = parsed(&text);
            prop_assert_eq!(again, entries.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Properties::parse("x", &text);
        }
    }
}
