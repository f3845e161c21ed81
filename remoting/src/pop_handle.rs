//! Handles of popped messages and the offset lists of pop answers (`ExtraInfoUtil` of 5.5.0).
//!
//! A pop answer names the queues and offsets it hands out in three texts; clients build a handle for each message
//! from them and give it back when they acknowledge the message or change its invisible time.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Revive queue id of pops that keep order: they have no checkpoint.
pub const ORDER_REVIVE_QUEUE: i32 = 999;

const RETRY_PREFIX: &str = "%RETRY%";

/// Whether a message comes from the topic itself or from one of the group's retry topics for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PopTopic {
    /// The topic itself; `0`.
    #[default]
    Normal,
    /// `%RETRY%group_topic`; `1`.
    RetryV1,
    /// `%RETRY%group+topic`; `2`.
    RetryV2,
}

impl PopTopic {
    /// The kind of a topic, by its name.
    pub fn of(topic: &str) -> Self {
        match topic.strip_prefix(RETRY_PREFIX) {
            None => Self::Normal,
            Some(rest) if rest.contains('+') => Self::RetryV2,
            Some(_) => Self::RetryV1,
        }
    }

    /// The mark that stands for this kind in handles and lists.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Normal => "0",
            Self::RetryV1 => "1",
            Self::RetryV2 => "2",
        }
    }

    /// The kind of a mark.
    pub fn from_mark(mark: &str) -> Option<Self> {
        [Self::Normal, Self::RetryV1, Self::RetryV2].into_iter().find(|kind| kind.mark() == mark)
    }

    /// The topic that a message of this kind is stored under.
    pub fn real_topic(self, topic: &str, group: &str) -> String {
        match self {
            Self::Normal => topic.to_owned(),
            Self::RetryV1 => format!("{RETRY_PREFIX}{group}_{topic}"),
            Self::RetryV2 => format!("{RETRY_PREFIX}{group}+{topic}"),
        }
    }
}

/// The handle of a popped message (property `POP_CK`): numbers and names separated by spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopHandle {
    /// First offset of the pop on this queue.
    pub start_offset: i64,
    /// Time of the pop, ms since 1970.
    pub pop_time: i64,
    /// Invisible time, ms.
    pub invisible_time: i64,
    /// Queue of the revive topic, or [`ORDER_REVIVE_QUEUE`].
    pub revive_qid: i32,
    /// Where the message comes from.
    pub topic: PopTopic,
    /// Broker that holds the message.
    pub broker_name: String,
    /// Queue id.
    pub queue_id: i32,
    /// Queue offset of the message; absent in the property that brokers store.
    pub queue_offset: Option<i64>,
}

impl PopHandle {
    /// Whether the pop keeps order.
    pub fn is_order(&self) -> bool {
        self.revive_qid == ORDER_REVIVE_QUEUE
    }
}

impl fmt::Display for PopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start_offset, pop_time, invisible_time, revive_qid, topic, broker_name, queue_id, queue_offset } =
            self;
        let mark = topic.mark();
        write!(f, "{start_offset} {pop_time} {invisible_time} {revive_qid} {mark} {broker_name} {queue_id}")?;
        queue_offset.map_or(Ok(()), |offset| write!(f, " {offset}"))
    }
}

/// A text that is not the handle of a pop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a pop handle")]
pub struct PopHandleError;

impl FromStr for PopHandle {
    type Err = PopHandleError;

    /// Reads a handle of seven or more parts; a mark that is not known counts as the topic itself, as in Java.
    fn from_str(text: &str) -> Result<Self, PopHandleError> {
        fn number<T: FromStr>(text: Option<&str>) -> Result<T, PopHandleError> {
            text.and_then(|text| text.parse().ok()).ok_or(PopHandleError)
        }
        let mut parts = text.split(' ');
        Ok(Self {
            start_offset: number(parts.next())?,
            pop_time: number(parts.next())?,
            invisible_time: number(parts.next())?,
            revive_qid: number(parts.next())?,
            topic: parts.next().map(PopTopic::from_mark).ok_or(PopHandleError)?.unwrap_or_default(),
            broker_name: parts.next().ok_or(PopHandleError)?.to_owned(),
            queue_id: number(parts.next())?,
            queue_offset: parts.next().map(|offset| number(Some(offset))).transpose()?,
        })
    }
}

/// Collects the three lists of a pop answer: `startOffsetInfo`, `msgOffsetInfo`, `orderCountInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PopOffsets {
    start_offsets: String,
    msg_offsets: String,
    order_counts: String,
}

impl PopOffsets {
    /// Adds the messages handed out of a queue: first offset of the pop, and the offset of each message.
    pub fn queue(&mut self, topic: PopTopic, queue_id: i32, start_offset: i64, msg_offsets: &[i64]) {
        part(&mut self.start_offsets, format_args!("{} {queue_id} {start_offset}", topic.mark()));
        part(&mut self.msg_offsets, format_args!("{} {queue_id} ", topic.mark()));
        for (i, offset) in msg_offsets.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            append(&mut self.msg_offsets, format_args!("{comma}{offset}"));
        }
    }

    /// Adds how often the messages of a queue were consumed, for clients that know no finer figure.
    pub fn queue_order_count(&mut self, topic: PopTopic, queue_id: i32, count: i32) {
        part(&mut self.order_counts, format_args!("{} {queue_id} {count}", topic.mark()));
    }

    /// Adds how often one message was consumed.
    pub fn message_order_count(&mut self, topic: PopTopic, queue_id: i32, offset: i64, count: i32) {
        part(&mut self.order_counts, format_args!("{} qo{queue_id}%{offset} {count}", topic.mark()));
    }

    /// `retry queueId offset` joined by `;`.
    pub fn start_offset_info(&self) -> &str {
        &self.start_offsets
    }

    /// `retry queueId offset,offset..` joined by `;`.
    pub fn msg_offset_info(&self) -> &str {
        &self.msg_offsets
    }

    /// `retry queueId count` and `retry qo<queueId>%<offset> count` joined by `;`.
    pub fn order_count_info(&self) -> &str {
        &self.order_counts
    }
}

fn part(list: &mut String, text: fmt::Arguments<'_>) {
    if !list.is_empty() {
        list.push(';');
    }
    append(list, text);
}

fn append(list: &mut String, text: fmt::Arguments<'_>) {
    // Writing numbers to a String does not fail.
    let _ = list.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_topics_are_named_and_recognised() {
        for kind in [PopTopic::Normal, PopTopic::RetryV1, PopTopic::RetryV2] {
            assert_eq!(PopTopic::of(&kind.real_topic("T", "G")), kind);
            assert_eq!(PopTopic::from_mark(kind.mark()), Some(kind));
        }
    }

    #[test]
    fn handles_that_are_none_are_refused() {
        for text in ["", "1 2 3 4 0 b", "1 2 3 4 0 b x", "1 2 3 99999999999 0 b 1", "1 2 3 4 0 b 1 x"] {
            assert_eq!(text.parse::<PopHandle>(), Err(PopHandleError), "{text}");
        }
    }
}
