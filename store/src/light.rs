//! Light queues, RocketMQ's LMQ: a message is found in its topic's queue and in any number of light queues besides.
//!
//! The message names them in its property INNER_MULTI_DISPATCH, separated by commas; each name is a topic `%LMQ%...` with
//! the one queue 0. As it is appended, it is told its offset in each of them by the property INNER_MULTI_QUEUE_OFFSET, in
//! the same order. Dispatch and recovery believe that property alone, so a light queue made anew from the commit log has
//! the offsets that were given out. Source: `LmqDispatch.java`, `MultiDispatchUtils.java`, `ConsumeQueue.java` of 5.5.0.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::consume_queue::{ConsumeQueue, QueueTable};
use crate::dispatch::SCHEDULE_TOPIC;
use crate::record;

/// How names of light queues start.
pub const PREFIX: &str = "%LMQ%";
/// The queue of a light queue's topic.
pub const QUEUE_ID: i32 = 0;
/// Property that names the light queues of a message.
pub const PROPERTY_QUEUES: &str = "INNER_MULTI_DISPATCH";
/// Property that tells the message's offset in each of them.
pub const PROPERTY_OFFSETS: &str = "INNER_MULTI_QUEUE_OFFSET";
/// Between two names, and between two offsets.
const SEPARATOR: char = ',';
/// Longest name: it is that of a folder.
const NAME_MAX: usize = 255;
/// Decimal digits of the largest offset.
const DIGITS_MAX: usize = 19;
/// Topics whose messages come into no light queue: they wait there, or come back from one.
const TOPICS_WITHOUT: [&str; 5] = ["%RETRY%", "%DLQ%", "rmq_sys_", "RMQ_SYS_TRANS_", SCHEDULE_TOPIC];

/// Whether this is meant to be a light queue.
pub fn is_light(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Whether a light queue can have this name.
pub fn is_legal(name: &str) -> bool {
    is_light(name) && name.len() <= NAME_MAX && !name.contains(|c: char| c == '/' || c.is_control())
}

/// The names in a value of [`PROPERTY_QUEUES`].
pub fn names(value: &str) -> impl Iterator<Item = &str> {
    value.split(SEPARATOR)
}

/// Whether messages of a topic may come into light queues.
pub fn topic_allows(topic: &str) -> bool {
    !TOPICS_WITHOUT.iter().any(|prefix| topic.starts_with(prefix))
}

/// The light queues of a message that has been appended, with its offset in each, by its two properties.
pub(crate) fn placed<'a>(queues: &'a str, offsets: &'a str) -> impl Iterator<Item = (&'a str, i64)> {
    let pairs = names(queues).zip(offsets.split(SEPARATOR));
    pairs.filter(|(name, _)| is_legal(name)).filter_map(|(name, offset)| Some((name, offset.parse().ok()?)))
}

/// Bytes that [`push_offsets`] adds at most for `count` names: a separator, the name, a separator, and the offsets, each
/// with a separator behind.
pub(crate) const fn offsets_max(count: usize) -> usize {
    1 + PROPERTY_OFFSETS.len() + 1 + count * (DIGITS_MAX + 1)
}

/// The next offset of a light queue that a message is about to take.
#[derive(Clone, Copy, Debug)]
pub struct LightNext<'a> {
    next: &'a AtomicI64,
    /// The message does not name the queue before.
    first: bool,
}

impl LightNext<'_> {
    /// Takes the offset. Only for the holder of the commit log's append lock.
    pub(crate) fn take(&self) {
        if self.first {
            self.next.store(self.next.load(Ordering::Relaxed) + 1, Ordering::Release);
        }
    }
}

/// Appends [`PROPERTY_OFFSETS`] to a record, as Java does: with an empty place where a name is that of no light queue.
/// Returns how long its properties are now.
pub(crate) fn push_offsets(encoded: &mut Vec<u8>, properties_length: usize, light: &[Option<LightNext<'_>>]) -> usize {
    record::push_property(encoded, properties_length, PROPERTY_OFFSETS, |out| {
        let before = out.len();
        for (at, queue) in light.iter().enumerate() {
            if at > 0 {
                out.push(SEPARATOR as u8);
            }
            if let Some(queue) = queue {
                out.extend_from_slice(itoa::Buffer::new().format(queue.next.load(Ordering::Relaxed)).as_bytes());
            }
        }
        if out.len() == before {
            // A property without a value is none, and one of the same name before it would count.
            out.push(b' ');
        }
    })
}

/// The light queues that a message names, in that order.
#[derive(Default)]
pub(crate) struct LightQueues(Vec<Option<Arc<ConsumeQueue>>>);

impl LightQueues {
    /// Those of a message for `topic`. They are made where they do not exist; names that can be no light queue, or for
    /// which there is no room, are left out, and the latter reported.
    pub(crate) fn of(table: &QueueTable, topic: &str, properties: &[u8], max: usize) -> Self {
        if !topic_allows(topic) {
            return Self::default();
        }
        let Some(value) = record::property(properties, PROPERTY_QUEUES).filter(|value| !value.trim().is_empty()) else {
            return Self::default();
        };
        let find = |name: &str| -> Option<Arc<ConsumeQueue>> {
            if !is_legal(name) {
                return None;
            }
            if let Some(queue) = table.get(name, QUEUE_ID) {
                return Some(queue);
            }
            if table.light_queues() >= max {
                tracing::error!(name, topic, max, "no room for another light queue; message left out of it");
                return None;
            }
            table.get_or_create(name, QUEUE_ID).ok()
        };
        Self(names(value).map(find).collect())
    }

    /// Their next offsets; `own` is the queue of the message's topic, which may be one of them. None where the message
    /// names no queue.
    pub(crate) fn next<'a>(&'a self, own: &'a Arc<ConsumeQueue>) -> Vec<Option<LightNext<'a>>> {
        let mut seen = HashSet::from([Arc::as_ptr(own)]);
        let next = self.0.iter().map(|queue| {
            let queue = queue.as_ref()?;
            Some(LightNext { next: queue.next_offset(), first: seen.insert(Arc::as_ptr(queue)) })
        });
        next.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_folders_are_no_light_queues() {
        for name in ["%LMQ%", "%LMQ%a", "%LMQ%$parent$child", "%LMQ%名", "%LMQ%.."] {
            assert!(is_legal(name), "{name}");
        }
        for name in ["", "T", "%LMQ", "x%LMQ%a", "%LMQ%a/b", "%LMQ%../x", "%LMQ%a\0", "%LMQ%a\u{1}b"] {
            assert!(!is_legal(name), "{name:?}");
        }
        assert!(is_legal(&format!("%LMQ%{}", "a".repeat(250))));
        assert!(!is_legal(&format!("%LMQ%{}", "a".repeat(251))));
    }

    #[test]
    fn topics_in_which_messages_wait_have_none() {
        for topic in ["%RETRY%g", "%DLQ%g", "rmq_sys_wheel_timer", "SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC"] {
            assert!(!topic_allows(topic), "{topic}");
        }
        assert!(topic_allows("T") && topic_allows("%LMQ%a"));
    }

    #[test]
    fn what_does_not_fit_together_is_left_out() {
        let all = |queues, offsets| placed(queues, offsets).collect::<Vec<_>>();
        assert_eq!(all("%LMQ%a,%LMQ%b", "7,0"), [("%LMQ%a", 7), ("%LMQ%b", 0)]);
        assert_eq!(all("T,%LMQ%b,%LMQ%c", ",3,"), [("%LMQ%b", 3)]);
        assert_eq!(all("%LMQ%a,%LMQ%b", "7"), [("%LMQ%a", 7)]);
        assert_eq!(all("%LMQ%a/b", "7"), []);
        assert_eq!(all("%LMQ%a", "x"), []);
    }

    #[test]
    fn the_room_for_offsets_suffices() {
        let next = AtomicI64::new(i64::MAX - 1);
        let light: Vec<_> = (0..9).map(|at| Some(LightNext { next: &next, first: at == 0 })).collect();
        let message = crate::tests::message("T", 0, b"x", b"a\x01b");
        let mut encoded = Vec::new();
        record::encode(&mut encoded, &message);
        let before = encoded.len();
        let length = push_offsets(&mut encoded, message.properties.len(), &light);
        assert_eq!(encoded.len() - before, length - message.properties.len());
        assert!(encoded.len() - before <= 1 + offsets_max(light.len()));
        let parsed = record::Record::parse(&encoded).unwrap();
        let offsets = record::property(parsed.properties(), PROPERTY_OFFSETS).unwrap();
        assert_eq!(offsets.split(',').filter(|text| *text == (i64::MAX - 1).to_string()).count(), 9);
        light.iter().flatten().for_each(LightNext::take);
        assert_eq!(next.load(Ordering::Relaxed), i64::MAX, "a queue that is named more than once is counted once");
    }
}
