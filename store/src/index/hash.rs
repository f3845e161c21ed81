//! Hash of an index key: Java's `String.hashCode` over UTF-16 units, fed piece by piece so that `topic#key` need not be
//! put together.

use crate::read::KeyKind;

/// A hash of the characters seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyHash(u32);

/// `31^n`, wrapping.
const fn power(n: u32) -> u32 {
    31u32.wrapping_pow(n)
}

impl KeyHash {
    /// Hash of `topic#`, with which all keys of a message begin.
    pub fn of_topic(topic: &str) -> KeyHash {
        KeyHash::default().then(topic).then("#")
    }

    /// Hash of the whole string indexed for a key of this kind: `topic#key`, or `topic#T#tag` for a tag.
    pub fn of(topic: &str, key: &str, kind: KeyKind) -> KeyHash {
        let topic = KeyHash::of_topic(topic);
        match kind {
            KeyKind::Key | KeyKind::UniqueKey => topic.then(key),
            KeyKind::Tag => topic.tag(key),
        }
    }

    /// This hash, of `topic#`, continued with a tag.
    pub fn tag(self, tag: &str) -> KeyHash {
        self.then("T#").then(tag)
    }

    /// This hash continued with the characters of `text`.
    pub fn then(self, text: &str) -> KeyHash {
        let bytes = text.as_bytes();
        // Eight ASCII characters a step: their products do not wait for each other.
        let (blocks, rest) = bytes.as_chunks::<8>();
        let mut hash = self.0;
        for (i, block) in blocks.iter().enumerate() {
            if u64::from_ne_bytes(*block) & 0x8080_8080_8080_8080 != 0 {
                return slow(hash, text, i * 8);
            }
            let mut sum = hash.wrapping_mul(power(8));
            for (j, &byte) in block.iter().enumerate() {
                sum = sum.wrapping_add(u32::from(byte).wrapping_mul(power(7 - j as u32)));
            }
            hash = sum;
        }
        if !rest.is_ascii() {
            return slow(hash, text, blocks.len() * 8);
        }
        KeyHash(rest.iter().fold(hash, |hash, &byte| hash.wrapping_mul(31).wrapping_add(byte.into())))
    }

    /// The number stored in an item: the absolute value, 0 for `i32::MIN` which has none.
    pub fn item_hash(self) -> i32 {
        (self.0 as i32).checked_abs().unwrap_or(0)
    }
}

/// Continues with the characters from byte `from` on; everything before is ASCII, so `from` is a character's start.
fn slow(hash: u32, text: &str, from: usize) -> KeyHash {
    let rest = text.get(from..).unwrap_or_default();
    KeyHash(rest.encode_utf16().fold(hash, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn java(text: &str) -> i32 {
        text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
    }

    #[test]
    fn known_values() {
        // Written by a Java 5.5.0 broker for topic T1, key k0.
        assert_eq!(KeyHash::of("T1", "k0", KeyKind::Key).item_hash(), 79_072_523);
        assert_eq!(KeyHash::default().then("polygenelubricants").item_hash(), 0, "hashes to i32::MIN");
        assert_eq!(KeyHash::of("T", "a", KeyKind::Tag), KeyHash::default().then("T#T#a"));
    }

    proptest! {
        #[test]
        fn pieces_hash_as_the_whole_does(topic in ".{0,40}", key in "\\PC{0,40}") {
            let whole = java(&format!("{topic}#{key}"));
            let expected = if whole == i32::MIN { 0 } else { whole.abs() };
            prop_assert_eq!(KeyHash::of(&topic, &key, KeyKind::UniqueKey).item_hash(), expected);
            let tag = java(&format!("{topic}#T#{key}"));
            prop_assert_eq!(KeyHash::of(&topic, &key, KeyKind::Tag), KeyHash(tag as u32));
        }
    }
}
