//! Attributes of topics and groups: how an administrator changes them, and what they may be.
//!
//! A change reads `+key=value,-key`; `+` adds or alters, `-` removes. Java: AttributeParser, AttributeUtil,
//! TopicAttributes, SubscriptionGroupAttributes.

use std::collections::BTreeMap;

/// Attributes by name.
pub type Attributes = BTreeMap<String, String>;

/// What a value may be.
enum Domain {
    OneOf(&'static [&'static str]),
    Long { min: i64, max: i64 },
    Bool,
    Text,
}

/// An attribute that there is.
pub struct Attribute {
    name: &'static str,
    changeable: bool,
    domain: Domain,
}

const MESSAGE_TYPES: &[&str] = &["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "PRIORITY", "MIXED", "LITE"];

/// Every attribute that a topic may have. `lite.topic.expiration` is in minutes, at most 30 days.
pub const OF_TOPICS: &[Attribute] = &[
    Attribute { name: "queue.type", changeable: false, domain: Domain::OneOf(&["BatchCQ", "SimpleCQ"]) },
    Attribute { name: "cleanup.policy", changeable: false, domain: Domain::OneOf(&["DELETE", "COMPACTION"]) },
    Attribute { name: "message.type", changeable: true, domain: Domain::OneOf(MESSAGE_TYPES) },
    Attribute { name: "reserve.time", changeable: true, domain: Domain::Long { min: -1, max: i64::MAX } },
    Attribute { name: "lite.topic.expiration", changeable: true, domain: Domain::Long { min: -1, max: 30 * 24 * 60 } },
];

/// Every attribute that a group may have.
pub const OF_GROUPS: &[Attribute] = &[
    Attribute { name: "priority.factor", changeable: true, domain: Domain::Long { min: 0, max: 100 } },
    Attribute { name: "lite.bind.topic", changeable: true, domain: Domain::Text },
    Attribute { name: "lite.sub.model", changeable: true, domain: Domain::OneOf(&["Shared", "Exclusive"]) },
    Attribute { name: "lite.sub.reset.offset.exclusive", changeable: true, domain: Domain::Bool },
    Attribute { name: "lite.sub.reset.offset.unsubscribe", changeable: true, domain: Domain::Bool },
    Attribute { name: "lite.sub.client.quota", changeable: true, domain: Domain::Long { min: -1, max: i64::MAX } },
    Attribute {
        name: "lite.sub.client.max.event.cnt",
        changeable: true,
        domain: Domain::Long { min: 10, max: i64::MAX },
    },
    Attribute { name: "lite.sub.wildcard", changeable: true, domain: Domain::Text },
];

/// Splits `+key=value,-key` into signed keys and values; a removed key has an empty value.
pub fn parse(text: &str) -> Result<Attributes, String> {
    let mut changes = Attributes::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (key, value) = match part.split_once('=') {
            Some((key, _)) if !key.contains('+') => {
                return Err(format!("add/alter attribute format is wrong: {key}"));
            }
            Some((key, value)) => (key, value),
            None if !part.contains('-') => return Err(format!("delete attribute format is wrong: {part}")),
            None => (part, ""),
        };
        if changes.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("key duplication: {key}"));
        }
    }
    Ok(changes)
}

/// The attributes after `changes` (signed keys), of a topic or a group that may have those of `known`; `current` is
/// `None` for one that is being created.
pub fn alter(known: &[Attribute], current: Option<&Attributes>, changes: &Attributes) -> Result<Attributes, String> {
    let mut result = current.cloned().unwrap_or_default();
    for (signed, value) in changes {
        let name = signed.get(1..).unwrap_or_default();
        if name.is_empty() || name.contains(['+', '-']) {
            return Err("kv string format wrong.".to_owned());
        }
        let adds = match (signed.as_bytes().first(), current) {
            (Some(b'+'), _) => true,
            (_, None) => return Err(format!("only add attribute is supported while creating topic. key: {name}")),
            (Some(b'-'), Some(current)) if current.contains_key(name) => false,
            (Some(b'-'), Some(_)) => return Err(format!("attempt to delete a nonexistent key: {name}")),
            _ => return Err(format!("wrong format key: {name}")),
        };
        let attribute =
            known.iter().find(|attribute| attribute.name == name).ok_or_else(|| format!("unsupported key: {name}"))?;
        if current.is_some() && !attribute.changeable {
            return Err(format!("attempt to update an unchangeable attribute. key: {name}"));
        }
        if adds {
            attribute.verify(value)?;
            result.insert(name.to_owned(), value.clone());
        } else {
            result.remove(name);
        }
    }
    Ok(result)
}

impl Attribute {
    fn verify(&self, value: &str) -> Result<(), String> {
        let valid = match &self.domain {
            Domain::OneOf(values) => values.contains(&value),
            Domain::Long { min, max } => value.parse::<i64>().is_ok_and(|value| (*min..=*max).contains(&value)),
            Domain::Bool => ["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)),
            Domain::Text => true,
        };
        if valid { Ok(()) } else { Err(format!("value {value:?} of attribute {} is out of range", self.name)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn parses_changes() {
        assert_eq!(parse("").unwrap(), of(&[]));
        assert_eq!(parse("+a=1,-b").unwrap(), of(&[("+a", "1"), ("-b", "")]));
        for text in ["a=1", "+a", "+a=1,+a=2", ","] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn alters_what_may_be_altered() {
        fn alter(current: Option<&Attributes>, changes: &Attributes) -> Result<Attributes, String> {
            super::alter(OF_TOPICS, current, changes)
        }
        let created = alter(None, &parse("+message.type=FIFO,+queue.type=BatchCQ").unwrap()).unwrap();
        assert_eq!(created, of(&[("message.type", "FIFO"), ("queue.type", "BatchCQ")]));
        let altered = alter(Some(&created), &parse("+message.type=DELAY,+reserve.time=5").unwrap()).unwrap();
        assert_eq!(altered["message.type"], "DELAY");
        assert_eq!(alter(Some(&altered), &parse("-reserve.time").unwrap()).unwrap().len(), 2);
        for (current, changes) in [
            (None, "-message.type"),
            (None, "+message.type=LOUD"),
            (None, "+reserve.time=-2"),
            (None, "+no.such=1"),
            (Some(&created), "+queue.type=SimpleCQ"),
            (Some(&created), "-reserve.time"),
            (Some(&created), "-queue.type"),
            (None, "++message.type=FIFO"),
        ] {
            assert!(alter(current, &parse(changes).unwrap()).is_err(), "{changes}");
        }
    }

    #[test]
    fn groups_have_attributes_of_their_own() {
        for (changes, valid) in [
            ("+priority.factor=100", true),
            ("+priority.factor=101", false),
            ("+lite.sub.model=Exclusive", true),
            ("+lite.sub.reset.offset.exclusive=TRUE", true),
            ("+lite.sub.reset.offset.exclusive=1", false),
            ("+lite.bind.topic=T", true),
            ("+message.type=FIFO", false),
        ] {
            assert_eq!(alter(OF_GROUPS, None, &parse(changes).unwrap()).is_ok(), valid, "{changes}");
        }
    }
}
