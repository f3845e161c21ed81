//! Where a message goes that was consumed in vain: back to the group's retry topic after a delay, or, after too many
//! attempts, to its dead-letter topic.

use hypergol_remoting::message::{OffsetMessageId, property};
use hypergol_store::Record;

use crate::properties::Properties;

/// Prefix of the topic from which a group consumes messages again.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of the topic that takes what a group could not consume.
pub const DEAD_LETTER_PREFIX: &str = "%DLQ%";
/// Queues of a dead-letter topic. Java: DLQ_NUMS_PER_GROUP, 1.
pub const DEAD_LETTER_QUEUES: i32 = 1;
/// First version whose clients may set the number of attempts in a request: the ordinal of V3_4_9.
pub const VERSION_MAX_RECONSUME_TIMES: i32 = 121;
/// Delay level of a first retry where the consumer leaves it to the broker; each further one takes the next level.
const FIRST_RETRY_LEVEL: i32 = 3;

/// The topic from which `group` consumes messages again.
pub fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// The topic that takes what `group` could not consume.
pub fn dead_letter_topic(group: &str) -> String {
    format!("{DEAD_LETTER_PREFIX}{group}")
}

/// What happens to a message that a consumer sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered again after the delay of this level, which may be beyond the last one.
    Retry {
        /// Delay level, from 1.
        delay_level: i32,
    },
    /// It goes to the dead-letter topic.
    Dead,
}

/// How often a message may be sent back: what the request says, where its sender is new enough, or the group's setting.
pub fn attempts_max(group_max: i32, requested: Option<i32>, version: i32) -> i32 {
    requested.filter(|_| version >= VERSION_MAX_RECONSUME_TIMES).unwrap_or(group_max)
}

/// The fate of a message that was sent back `reconsume_times` times before. A negative level asks for the dead-letter
/// topic; level 0 leaves the delay to the broker.
pub fn fate(reconsume_times: i32, attempts_max: i32, delay_level: i32) -> Fate {
    if reconsume_times >= attempts_max || delay_level < 0 {
        Fate::Dead
    } else if delay_level == 0 {
        Fate::Retry { delay_level: reconsume_times.saturating_add(FIRST_RETRY_LEVEL) }
    } else {
        Fate::Retry { delay_level }
    }
}

/// The properties of a record as it is stored anew, before the redirection to the delay topic.
pub fn sent_back_properties<'a>(record: &Record<'a>, fate: Fate) -> Properties<'a> {
    let mut properties = Properties::decode(record.properties());
    if properties.get(property::RETRY_TOPIC).is_none() {
        properties.set(property::RETRY_TOPIC, record.topic());
    }
    properties.set(property::WAIT_STORE_MSG_OK, "false");
    let level = match fate {
        Fate::Retry { delay_level } => delay_level,
        Fate::Dead => 0,
    };
    properties.set(property::DELAY_TIME_LEVEL, level.to_string());
    if properties.get(property::ORIGIN_MESSAGE_ID).is_none_or(|id| id.trim().is_empty()) {
        let id = OffsetMessageId { host: record.store_host(), offset: record.physical_offset() };
        properties.set(property::ORIGIN_MESSAGE_ID, id.to_string());
    }
    properties
}

#[cfg(test)]
mod tests {
    use hypergol_store::NewMessage;
    use hypergol_store::record::{encode, patch};

    use super::*;

    fn record(properties: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(
            &mut out,
            &NewMessage {
                topic: "T",
                queue_id: 0,
                flag: 0,
                sys_flag: 0,
                born_timestamp: 1,
                born_host: "10.0.0.1:5".parse().unwrap(),
                store_host: "127.0.0.1:10911".parse().unwrap(),
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body: b"x",
                properties,
            },
        );
        patch(&mut out, 0, 0x1234, 1);
        out
    }

    #[test]
    fn attempts_come_from_the_request_of_a_new_client() {
        assert_eq!(attempts_max(16, Some(2), 513), 2);
        assert_eq!(attempts_max(16, None, 513), 16);
        assert_eq!(attempts_max(16, Some(2), VERSION_MAX_RECONSUME_TIMES), 2);
        assert_eq!(attempts_max(16, Some(2), VERSION_MAX_RECONSUME_TIMES - 1), 16);
    }

    #[test]
    fn level_grows_until_the_attempts_are_used_up() {
        assert_eq!(fate(0, 16, 0), Fate::Retry { delay_level: 3 });
        assert_eq!(fate(15, 16, 0), Fate::Retry { delay_level: 18 });
        assert_eq!(fate(16, 16, 0), Fate::Dead);
        assert_eq!(fate(0, 16, 5), Fate::Retry { delay_level: 5 });
        assert_eq!(fate(0, 16, -1), Fate::Dead);
        assert_eq!(fate(0, 0, 0), Fate::Dead);
        assert_eq!(fate(i32::MAX - 1, i32::MAX, 0), Fate::Retry { delay_level: i32::MAX });
    }

    #[test]
    fn the_first_way_back_notes_where_the_message_came_from() {
        let bytes = record(b"TAGS\x01A\x02WAIT\x01true\x02");
        let record = Record::parse(&bytes).unwrap();
        let properties = sent_back_properties(&record, Fate::Retry { delay_level: 3 });
        let expected = "TAGS\x01A\x02WAIT\x01false\x02RETRY_TOPIC\x01T\x02DELAY\x013\x02\
            ORIGIN_MESSAGE_ID\x017F00000100002A9F0000000000001234\x02";
        assert_eq!(String::from_utf8(properties.encode()).unwrap(), expected);
    }

    #[test]
    fn later_ways_keep_the_origin() {
        let bytes = record(b"RETRY_TOPIC\x01first\x02ORIGIN_MESSAGE_ID\x01id\x02DELAY\x013\x02");
        let record = Record::parse(&bytes).unwrap();
        let properties = sent_back_properties(&record, Fate::Dead);
        assert_eq!(properties.get("RETRY_TOPIC"), Some("first"));
        assert_eq!(properties.get("ORIGIN_MESSAGE_ID"), Some("id"));
        assert_eq!(properties.get("DELAY"), Some("0"));
    }
}
