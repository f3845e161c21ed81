//! The `extFields` of a command: text keys and values in wire order.

use std::fmt;
use std::ops::Range;

use bytestring::ByteString;
use smallvec::SmallVec;

/// Entries that fit without a heap allocation; SEND has 14, PULL 13.
const INLINE_ENTRIES: usize = 16;

/// Text of a key or value: a range of the received header, or of [`ExtFields::added`]. A command is moved a few times on
/// its way, so the fields are kept small.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// First byte, with [`ADDED`] for a range of what was added.
    start: u32,
    end: u32,
}

/// Mark of a range of [`ExtFields::added`]. A header has less than 2^24 bytes.
const ADDED: u32 = 1 << 31;

impl Span {
    fn received(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    fn added(range: Range<usize>) -> Self {
        Self { start: range.start as u32 | ADDED, end: range.end as u32 }
    }
}

/// The `extFields` of a command, in wire order.
///
/// Values that were received stay slices of the frame's header; only values that needed unescaping and values
/// added by this process are stored apart, all in one buffer. A key that occurs twice counts with its last value,
/// as in Java.
#[derive(Clone, Default)]
pub struct ExtFields {
    received: ByteString,
    added: String,
    entries: SmallVec<[(Span, Span); INLINE_ENTRIES]>,
}

impl ExtFields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields yet; ranges given to [`Self::push_received`] refer to `header`.
    pub(crate) fn over(header: ByteString) -> Self {
        Self { received: header, ..Self::default() }
    }

    /// Copies the fields out of the frame they came in, which is freed.
    pub(crate) fn detach(&mut self) {
        self.received = ByteString::from(&*self.received);
    }

    /// Bytes of the header they lie in, and of what was added.
    pub(crate) fn bytes(&self) -> usize {
        self.received.len() + self.added.len() + self.entries.len() * size_of::<(Span, Span)>()
    }

    /// Number of entries, duplicates included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`, the last one where the sender repeated it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().rev().find(|(k, _)| self.text(k) == key).map(|(_, v)| self.text(v))
    }

    /// All entries in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(k, v)| (self.text(k), self.text(v)))
    }

    /// Appends an entry.
    pub fn push(&mut self, key: &str, value: impl fmt::Display) {
        use fmt::Write as _;
        let key = self.add(key);
        let start = self.added.len();
        // Writing to a String cannot fail unless the Display implementation does; then the value ends there.
        let _ = write!(self.added, "{value}");
        self.entries.push((key, Span::added(start..self.added.len())));
    }

    /// Appends a text entry; cheaper than [`Self::push`].
    pub fn push_str(&mut self, key: &str, value: &str) {
        let key = self.add(key);
        let value = self.add(value);
        self.entries.push((key, value));
    }

    /// Appends an integer entry; cheaper than [`Self::push`].
    pub fn push_int(&mut self, key: &str, value: i64) {
        self.push_str(key, itoa::Buffer::new().format(value));
    }

    /// Replaces every entry of `key` by one.
    pub fn set(&mut self, key: &str, value: &str) {
        self.remove(key);
        self.push_str(key, value);
    }

    /// Removes every entry of `key`.
    pub fn remove(&mut self, key: &str) {
        let (received, added) = (&self.received, &self.added);
        self.entries.retain(|(k, _)| text(received, added, k) != key);
    }

    /// Appends an entry whose texts are ranges of the header given to [`Self::over`] or owned text.
    pub(crate) fn push_parts(&mut self, key: Part<'_>, value: Part<'_>) {
        let key = self.part(key);
        let value = self.part(value);
        self.entries.push((key, value));
    }

    fn part(&mut self, part: Part<'_>) -> Span {
        match part {
            Part::Received(range) => Span::received(range),
            Part::Owned(text) => self.add(text),
        }
    }

    fn add(&mut self, value: &str) -> Span {
        let start = self.added.len();
        self.added.push_str(value);
        Span::added(start..self.added.len())
    }

    fn text<'a>(&'a self, span: &Span) -> &'a str {
        text(&self.received, &self.added, span)
    }
}

fn text<'a>(received: &'a str, added: &'a str, span: &Span) -> &'a str {
    // Spans are made from validated positions only; an empty text is the harmless answer to a broken invariant.
    let of = if span.start & ADDED == 0 { received } else { added };
    of.get((span.start & !ADDED) as usize..span.end as usize).unwrap_or_default()
}

/// A text met by a header decoder.
pub(crate) enum Part<'a> {
    /// Byte range of the header.
    Received(Range<usize>),
    /// Text that had to be unescaped or converted.
    Owned(&'a str),
}

impl fmt::Debug for ExtFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for ExtFields {
    /// Same keys with the same (last) values, whatever the order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().all(|(k, _)| self.get(k) == other.get(k)) && other.iter().all(|(k, _)| self.get(k).is_some())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut fields = Self::new();
        for (key, value) in pairs {
            fields.push_str(key, value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_of_a_repeated_key_counts() {
        let fields: ExtFields = [("a", "1"), ("b", "2"), ("a", "3")].into_iter().collect();
        assert_eq!(fields.get("a"), Some("3"));
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn set_replaces_and_remove_removes() {
        let mut fields: ExtFields = [("a", "1"), ("a", "2")].into_iter().collect();
        fields.set("a", "3");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("a", "3")]);
        fields.push_int("n", i64::MIN);
        fields.push("d", 1.5);
        fields.remove("a");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("n", "-9223372036854775808"), ("d", "1.5")]);
    }
}
