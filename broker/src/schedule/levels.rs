//! The table of delays (`messageDelayLevel`) and the way into the delay topic.

use hypergol_remoting::message::property;
use hypergol_store::record;
use thiserror::Error;

pub use crate::names::SCHEDULE_TOPIC;
use crate::properties::Properties;

/// Levels a table may have; Java has no bound, its default has 18.
const LEVELS_MAX: usize = 1024;
/// Delay of a level that the table lacks (`ScheduleMessageService.computeDeliverTimestamp`).
const UNKNOWN_LEVEL_DELAY_MS: i64 = 1000;

/// Delivery times, which a delay level overrules.
const TIMER_PROPERTIES: [&str; 3] = [property::TIMER_DELIVER_MS, property::TIMER_DELAY_SEC, property::TIMER_DELAY_MS];

/// Why `messageDelayLevel` is no table.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DelayLevelError {
    /// A delay is not a number with a unit.
    #[error("{0:?} is not a number followed by s, m, h or d")]
    IllFormed(String),
    /// Too many levels.
    #[error("{0} levels, {LEVELS_MAX} are possible")]
    TooMany(usize),
}

/// The delay of each level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayLevels {
    /// Milliseconds of level 1, 2 and so on; never empty.
    delays_ms: Vec<i64>,
}

impl DelayLevels {
    /// Reads delays such as `1s 5s 2h`, separated by one space each.
    pub fn parse(text: &str) -> Result<Self, DelayLevelError> {
        let delays_ms = text.split(' ').map(parse_delay).collect::<Result<Vec<_>, _>>()?;
        if delays_ms.len() > LEVELS_MAX {
            return Err(DelayLevelError::TooMany(delays_ms.len()));
        }
        Ok(Self { delays_ms })
    }

    /// The highest level.
    pub fn max(&self) -> i32 {
        self.delays_ms.len() as i32
    }

    /// Every level, from 1.
    pub fn levels(&self) -> impl Iterator<Item = i32> + use<> {
        1..=self.max()
    }

    /// Delay of a level in milliseconds.
    pub fn delay_ms(&self, level: i32) -> Option<i64> {
        let index = usize::try_from(level).ok()?.checked_sub(1)?;
        self.delays_ms.get(index).copied()
    }

    /// When a message stored at `store_timestamp_ms` is due; levels beyond the table count as the highest.
    pub fn deliver_time(&self, level: i32, store_timestamp_ms: i64) -> i64 {
        let delay = self.delay_ms(level.min(self.max())).unwrap_or(UNKNOWN_LEVEL_DELAY_MS);
        store_timestamp_ms.saturating_add(delay)
    }

    /// Rewrites the properties of a message that is to wait on `level` (positive) before it reaches `topic` and
    /// `queue_id`. Returns the queue of [`SCHEDULE_TOPIC`] it goes to. A delay level overrules a delivery time.
    pub fn redirect(&self, level: i32, topic: &str, queue_id: i32, properties: &mut Properties<'_>) -> i32 {
        let level = level.clamp(1, self.max());
        for timer in TIMER_PROPERTIES {
            properties.remove(timer);
        }
        properties.set(property::DELAY_TIME_LEVEL, level.to_string());
        properties.set(property::REAL_TOPIC, topic);
        properties.set(property::REAL_QUEUE_ID, queue_id.to_string());
        queue_of_level(level)
    }
}

/// Queue of [`SCHEDULE_TOPIC`] that holds a level.
pub fn queue_of_level(level: i32) -> i32 {
    level - 1
}

/// Level that a queue of [`SCHEDULE_TOPIC`] holds.
pub fn level_of_queue(queue_id: i32) -> i32 {
    queue_id.saturating_add(1)
}

/// Where a due message goes, from its properties.
pub fn real_queue(properties: &[u8]) -> Option<(&str, i32)> {
    let topic = record::property(properties, property::REAL_TOPIC)?;
    let queue_id = record::property(properties, property::REAL_QUEUE_ID)?.parse().ok()?;
    Some((topic, queue_id))
}

fn parse_delay(text: &str) -> Result<i64, DelayLevelError> {
    let error = || DelayLevelError::IllFormed(text.to_owned());
    let unit_ms = match text.chars().next_back() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => return Err(error()),
    };
    let number: i64 = text.get(..text.len() - 1).and_then(|digits| digits.parse().ok()).ok_or_else(error)?;
    number.checked_mul(unit_ms).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAVA_DEFAULT: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";

    #[test]
    fn the_default_table() {
        let levels = DelayLevels::parse(JAVA_DEFAULT).unwrap();
        assert_eq!(levels.max(), 18);
        assert_eq!(levels.delay_ms(1), Some(1_000));
        assert_eq!(levels.delay_ms(18), Some(7_200_000));
        assert_eq!(levels.delay_ms(0), None);
        assert_eq!(levels.delay_ms(19), None);
        assert_eq!(levels.deliver_time(5, 1_000), 61_000);
        assert_eq!(levels.deliver_time(100, 0), 7_200_000);
        assert_eq!(levels.deliver_time(0, 5), 1_005);
    }

    #[test]
    fn ill_formed_tables_are_refused() {
        for text in ["", "1", "s", "1s  2s", "1x", "1.5s", "9223372036854775807d", "1中"] {
            assert!(DelayLevels::parse(text).is_err(), "{text:?}");
        }
        assert!(DelayLevels::parse(&vec!["1s"; 2000].join(" ")).is_err());
        assert_eq!(DelayLevels::parse("1d").unwrap().delay_ms(1), Some(86_400_000));
    }

    #[test]
    fn a_message_is_redirected_and_finds_its_way_back() {
        let levels = DelayLevels::parse(JAVA_DEFAULT).unwrap();
        let mut properties = Properties::decode(b"TAGS\x01A\x02TIMER_DELAY_SEC\x015\x02DELAY\x0199\x02");
        assert_eq!(levels.redirect(99, "T", 3, &mut properties), 17);
        let encoded = properties.encode();
        assert_eq!(encoded, b"TAGS\x01A\x02DELAY\x0118\x02REAL_TOPIC\x01T\x02REAL_QID\x013\x02");
        assert_eq!(real_queue(&encoded), Some(("T", 3)));
        assert_eq!(real_queue(b"REAL_TOPIC\x01T\x02"), None);
        assert_eq!(real_queue(b"REAL_TOPIC\x01T\x02REAL_QID\x01x\x02"), None);
    }
}
