//! The properties of a message on their way into the store.
//!
//! The client's entries are copied as they are, without those that only brokers may set; what the broker adds comes
//! behind. Source: `AbstractSendMessageProcessor.buildMsgContext`, `SendMessageProcessor.sendMessage`.

use hypergol_remoting::message::sys_flag;

use crate::config::BrokerSettings;
use crate::timer::TimerKind;

/// Between name and value.
const NAME_END: char = '\u{1}';
/// After a value.
const VALUE_END: char = '\u{2}';

/// What the client's properties say; texts are slices of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties<'a> {
    /// UNIQ_KEY.
    pub uniq_key: Option<&'a str>,
    /// DELAY.
    pub delay: Option<&'a str>,
    /// The first of TIMER_DELAY_SEC, TIMER_DELAY_MS, TIMER_DELIVER_MS that is there, with its kind.
    pub timer: Option<(TimerKind, &'a str)>,
    /// TIMER_DEL_UNIQKEY is there: the message takes another one back.
    pub takes_back: bool,
    /// TRAN_MSG is true.
    pub is_half: bool,
    /// There are KEYS that are not blank.
    pub has_keys: bool,
    /// WAIT is not false.
    pub waits: bool,
    /// INNER_NUM is there.
    pub has_inner_number: bool,
    /// INNER_MULTI_DISPATCH: light queues.
    pub light_queues: Option<&'a str>,
    /// `__LITE_TOPIC`.
    pub lite_topic: Option<&'a str>,
    has_timer_out: bool,
    has_sharding_key: bool,
    priority: Option<&'a str>,
}

impl<'a> Properties<'a> {
    /// Writes the properties as they are stored into `out`, and says what they mean.
    pub(super) fn rewrite(encoded: &'a str, config: &BrokerSettings, out: &mut Vec<u8>) -> Self {
        let mut found = Self { waits: true, ..Self::default() };
        for entry in encoded.split(VALUE_END) {
            let Some((name, value)) = entry.split_once(NAME_END) else { continue };
            if !name.is_empty() && !value.is_empty() && found.see(name, value) {
                push(out, name, value);
            }
        }
        if found.priority.is_some() && !found.is_by_priority() {
            remove(out, "_SYS_MSG_PRIORITY_");
        }
        Self::append(out, "MSG_REGION", &config.broker.region_id);
        Self::append(out, "TRACE_ON", if config.broker.trace_on { "true" } else { "false" });
        Self::append(out, "CLUSTER", &config.broker.broker_cluster_name);
        found
    }

    /// Takes note of an entry; false when it is not to be stored.
    fn see(&mut self, name: &str, value: &'a str) -> bool {
        let mut timer = |kind| {
            // Java looks at them in this order, whatever theirs.
            if self.timer.is_none_or(|(known, _)| kind <= known) {
                self.timer = Some((kind, value));
            }
        };
        match name {
            // Set by brokers only; what a client sends is left out or replaced.
            "POP_CK" | "MSG_REGION" | "TRACE_ON" | "CLUSTER" | "INNER_MULTI_QUEUE_OFFSET" => return false,
            "INNER_MULTI_DISPATCH" => self.light_queues = Some(value),
            "UNIQ_KEY" => self.uniq_key = Some(value),
            "DELAY" => self.delay = Some(value),
            "WAIT" => self.waits = !value.eq_ignore_ascii_case("false"),
            "KEYS" => self.has_keys = !value.trim().is_empty(),
            "TRAN_MSG" => self.is_half = value.eq_ignore_ascii_case("true"),
            "TIMER_DELAY_SEC" => timer(TimerKind::DelaySeconds),
            "TIMER_DELAY_MS" => timer(TimerKind::DelayMillis),
            "TIMER_DELIVER_MS" => timer(TimerKind::DeliverMillis),
            "TIMER_OUT_MS" => self.has_timer_out = true,
            "TIMER_DEL_UNIQKEY" => self.takes_back = true,
            "INNER_NUM" => self.has_inner_number = true,
            "__LITE_TOPIC" => self.lite_topic = Some(value),
            "__SHARDINGKEY" => self.has_sharding_key = true,
            "_SYS_MSG_PRIORITY_" => self.priority = Some(value),
            _ => {}
        }
        true
    }

    /// Appends an entry.
    pub(super) fn append(out: &mut Vec<u8>, name: &str, value: &str) {
        if !value.is_empty() {
            push(out, name, value);
        }
    }

    /// Replaces DELAY. A message with a level, any level, has no priority.
    pub(super) fn set_delay(&mut self, level: &'static str, out: &mut Vec<u8>) {
        if self.priority.take().is_some() {
            remove(out, "_SYS_MSG_PRIORITY_");
        }
        remove(out, "DELAY");
        push(out, "DELAY", level);
        self.delay = Some(level);
    }

    /// Names the light queue of the lite topic, and no other.
    pub(super) fn set_light_queue(&mut self, queue: &'a str, out: &mut Vec<u8>) {
        remove(out, "INNER_MULTI_DISPATCH");
        push(out, "INNER_MULTI_DISPATCH", queue);
        self.light_queues = Some(queue);
    }

    /// The delivery time that a message asks for, if any. Transactions that are not committed have none, and what was
    /// delivered by a timer before has had it.
    pub(super) fn timer(&self, flag: i32) -> Option<(TimerKind, &'a str)> {
        self.timer.filter(|_| !self.has_timer_out && may_wait(flag))
    }

    /// The delay level that a message waits on, if any.
    pub(super) fn delay_level(&self, flag: i32) -> Result<Option<i32>, String> {
        let Some(text) = self.delay else { return Ok(None) };
        let level: i32 = text.parse().map_err(|_| format!("the property DELAY is not a level: {text:?}"))?;
        Ok((may_wait(flag) && level > 0).then_some(level))
    }

    /// Notes where a message goes once it has waited on `level`. A level overrules timer properties.
    pub(super) fn redirect(&mut self, level: i32, topic: &str, queue_id: i32, out: &mut Vec<u8>) {
        if self.timer.is_some() {
            for name in ["TIMER_DELIVER_MS", "TIMER_DELAY_SEC", "TIMER_DELAY_MS"] {
                remove(out, name);
            }
        }
        let mut text = itoa::Buffer::new();
        let capped = text.format(level);
        if self.delay != Some(capped) {
            remove(out, "DELAY");
            push(out, "DELAY", capped);
        }
        Self::remember_queue(topic, queue_id, out);
    }

    /// Notes where a half message goes once it is committed.
    pub(super) fn make_half(topic: &str, queue_id: i32, uniq_key: &str, out: &mut Vec<u8>) {
        remove(out, "__transactionId__");
        push(out, "__transactionId__", uniq_key);
        // Set when the check puts it back.
        remove(out, "TRANSACTION_CHECK_TIMES");
        remove(out, "TRAN_PREPARED_QUEUE_OFFSET");
        Self::remember_queue(topic, queue_id, out);
    }

    fn remember_queue(topic: &str, queue_id: i32, out: &mut Vec<u8>) {
        remove(out, "REAL_TOPIC");
        remove(out, "REAL_QID");
        push(out, "REAL_TOPIC", topic);
        push(out, "REAL_QID", itoa::Buffer::new().format(queue_id));
    }

    /// Notes when a message is due, and where it goes then.
    pub(super) fn redirect_timer(out_ms: i64, topic: &str, queue_id: i32, out: &mut Vec<u8>) {
        remove(out, "REAL_TOPIC");
        remove(out, "REAL_QID");
        push(out, "TIMER_OUT_MS", itoa::Buffer::new().format(out_ms));
        push(out, "REAL_TOPIC", topic);
        push(out, "REAL_QID", itoa::Buffer::new().format(queue_id));
    }

    /// The queue that a message with a priority goes to.
    pub(super) fn queue_by_priority(&self, write_queues: i32) -> Option<i32> {
        if !self.is_by_priority() {
            return None;
        }
        let priority: i32 = self.priority?.parse().ok()?;
        (priority >= 0 && write_queues > 0).then(|| priority.min(write_queues - 1))
    }

    /// Other kinds of messages have no priority.
    fn is_by_priority(&self) -> bool {
        self.priority.is_some()
            && !(self.is_half || self.delay.is_some() || self.timer.is_some() || self.has_sharding_key)
    }
}

/// Half messages and rolled back ones never wait.
fn may_wait(flag: i32) -> bool {
    matches!(flag & sys_flag::TRANSACTION_MASK, sys_flag::TRANSACTION_NONE | sys_flag::TRANSACTION_COMMIT)
}

fn push(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(NAME_END as u8);
    out.extend_from_slice(value.as_bytes());
    out.push(VALUE_END as u8);
}

/// Removes every entry of `name`; entries end with their separator.
fn remove(out: &mut Vec<u8>, name: &str) {
    let mut at = 0;
    while let Some(length) = out.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == VALUE_END as u8)) {
        let entry = &out[at..at + length];
        let is_name = entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&(NAME_END as u8)));
        if is_name {
            out.drain(at..=at + length);
        } else {
            at += length + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(encoded: &str) -> (String, Properties<'_>) {
        let mut out = Vec::new();
        let properties = Properties::rewrite(encoded, &BrokerSettings::default(), &mut out);
        (String::from_utf8(out).unwrap(), properties)
    }

    const ADDED: &str = "MSG_REGION\u{1}DefaultRegion\u{2}TRACE_ON\u{1}true\u{2}CLUSTER\u{1}DefaultCluster\u{2}";

    #[test]
    fn the_broker_adds_and_removes_its_own() {
        let (text, properties) = rewritten(
            "UNIQ_KEY\u{1}k\u{2}POP_CK\u{1}x\u{2}CLUSTER\u{1}evil\u{2}a\u{1}\u{2}junk\u{2}\
             INNER_MULTI_QUEUE_OFFSET\u{1}9\u{2}WAIT\u{1}false",
        );
        assert_eq!(text, format!("UNIQ_KEY\u{1}k\u{2}WAIT\u{1}false\u{2}{ADDED}"));
        assert_eq!((properties.uniq_key, properties.waits), (Some("k"), false));
        assert_eq!(rewritten("").0, ADDED);
    }

    #[test]
    fn a_delayed_message_remembers_where_it_goes() {
        let mut out = Vec::new();
        let encoded = "DELAY\u{1}99\u{2}TIMER_DELAY_MS\u{1}5\u{2}REAL_QID\u{1}7\u{2}";
        let mut properties = Properties::rewrite(encoded, &BrokerSettings::default(), &mut out);
        assert_eq!(properties.delay_level(0), Ok(Some(99)));
        assert_eq!(properties.delay_level(sys_flag::TRANSACTION_PREPARED), Ok(None));
        properties.redirect(18, "T", 3, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, format!("{ADDED}DELAY\u{1}18\u{2}REAL_TOPIC\u{1}T\u{2}REAL_QID\u{1}3\u{2}"));
    }

    #[test]
    fn levels_that_are_none() {
        for (encoded, level) in [("", Ok(None)), ("DELAY\u{1}0", Ok(None)), ("DELAY\u{1}-1", Ok(None))] {
            assert_eq!(rewritten(encoded).1.delay_level(0), level);
        }
        assert!(rewritten("DELAY\u{1}x").1.delay_level(0).is_err());
    }

    #[test]
    fn delivery_times_in_javas_order() {
        use TimerKind::*;
        let timer = |encoded: &'static str| rewritten(encoded).1.timer(0);
        assert_eq!(timer(""), None);
        assert_eq!(timer("TIMER_DELIVER_MS\u{1}9\u{2}TIMER_DELAY_SEC\u{1}0"), Some((DelaySeconds, "0")));
        assert_eq!(timer("TIMER_DELAY_MS\u{1}5\u{2}TIMER_DELIVER_MS\u{1}x"), Some((DelayMillis, "5")));
        assert_eq!(timer("TIMER_DELIVER_MS\u{1}9\u{2}TIMER_OUT_MS\u{1}9"), None);
        let (_, half) = rewritten("TIMER_DELAY_MS\u{1}5");
        assert_eq!(half.timer(sys_flag::TRANSACTION_PREPARED), None);
        assert_eq!(half.timer(sys_flag::TRANSACTION_COMMIT), Some((DelayMillis, "5")));
    }

    #[test]
    fn a_timed_message_remembers_where_it_goes() {
        let mut out = Vec::new();
        Properties::rewrite("REAL_TOPIC\u{1}evil\u{2}", &BrokerSettings::default(), &mut out);
        Properties::redirect_timer(17_000, "T", 3, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, format!("{ADDED}TIMER_OUT_MS\u{1}17000\u{2}REAL_TOPIC\u{1}T\u{2}REAL_QID\u{1}3\u{2}"));
    }

    #[test]
    fn a_priority_chooses_the_queue_of_ordinary_messages() {
        let (text, properties) = rewritten("_SYS_MSG_PRIORITY_\u{1}5\u{2}");
        assert_eq!((properties.queue_by_priority(8), properties.queue_by_priority(4)), (Some(5), Some(3)));
        assert!(text.starts_with("_SYS_MSG_PRIORITY_"));
        let (text, properties) = rewritten("_SYS_MSG_PRIORITY_\u{1}5\u{2}__SHARDINGKEY\u{1}s\u{2}");
        assert_eq!(properties.queue_by_priority(8), None);
        assert!(!text.contains("PRIORITY"));
    }

    #[test]
    fn a_dead_letter_has_no_priority() {
        let mut out = Vec::new();
        let mut properties = Properties::rewrite("_SYS_MSG_PRIORITY_\u{1}5\u{2}", &BrokerSettings::default(), &mut out);
        properties.set_delay("0", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{ADDED}DELAY\u{1}0\u{2}"));
        assert_eq!(properties.queue_by_priority(8), None);
    }
}
