//! The properties of a message, to be changed and encoded again.

use std::borrow::Cow;

use hypergol_store::record;

/// Between name and value.
const NAME_END: u8 = 1;
/// After a value.
const VALUE_END: u8 = 2;

/// Decoded properties in stored order; a repeated name keeps its first place and its last value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    entries: Vec<(&'a [u8], Cow<'a, [u8]>)>,
}

impl<'a> Properties<'a> {
    /// Reads encoded properties; malformed entries are left out, as in Java.
    pub fn decode(encoded: &'a [u8]) -> Self {
        let mut properties = Self::default();
        for (name, value) in record::properties(encoded) {
            properties.put(name, Cow::Borrowed(value));
        }
        properties
    }

    /// Value of a property that is UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.entries.iter().find(|(known, _)| *known == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// Sets a property. An empty value, which cannot be encoded, removes it.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        if value.is_empty() {
            self.remove(name);
        } else {
            self.put(name.as_bytes(), Cow::Owned(value.into_bytes()));
        }
    }

    /// Removes a property.
    pub fn remove(&mut self, name: &str) {
        self.entries.retain(|(known, _)| *known != name.as_bytes());
    }

    /// Encodes them as records hold them.
    pub fn encode(&self) -> Vec<u8> {
        let length = self.entries.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut out = Vec::with_capacity(length);
        for (name, value) in &self.entries {
            out.extend_from_slice(name);
            out.push(NAME_END);
            out.extend_from_slice(value);
            out.push(VALUE_END);
        }
        out
    }

    fn put(&mut self, name: &'a [u8], value: Cow<'a, [u8]>) {
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.entries.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_changed_and_written() {
        let mut properties = Properties::decode(b"TAGS\x01A\x02\x01x\x02E\x01\x02WAIT\x01true\x02TAGS\x01B");
        assert_eq!(properties.get("TAGS"), Some("B"));
        properties.set("WAIT", "false");
        properties.set("NEW", "1");
        assert_eq!(properties.encode(), b"TAGS\x01B\x02WAIT\x01false\x02NEW\x011\x02");
        properties.remove("TAGS");
        properties.set("NEW", "");
        assert_eq!(properties.encode(), b"WAIT\x01false\x02");
    }
}
