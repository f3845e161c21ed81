//! The delay levels: `messageDelayLevel`, such as `1s 5s 10s 30s 1m`.

use std::time::Duration;

/// Delays by level; level 1 is the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayLevels(Vec<Duration>);

impl DelayLevels {
    /// Parses numbers with a unit (`s`, `m`, `h`, `d`) between spaces.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let delays = text.split_ascii_whitespace().map(parse_delay).collect::<Result<Vec<_>, _>>()?;
        if delays.is_empty() || i32::try_from(delays.len()).is_err() {
            return Err("must have at least one delay".to_owned());
        }
        Ok(Self(delays))
    }

    /// The last level.
    pub fn max(&self) -> i32 {
        self.0.len() as i32
    }

    /// Delay of a level; one beyond the last counts as the last, one below 1 as none.
    pub fn delay(&self, level: i32) -> Duration {
        let Some(index) = usize::try_from(level).ok().and_then(|level| level.checked_sub(1)) else {
            return Duration::ZERO;
        };
        self.0.get(index).or(self.0.last()).copied().unwrap_or_default()
    }

    /// When a message of `level` stored at `store_timestamp_ms` is due, milliseconds since 1970.
    pub fn deliver_time(&self, level: i32, store_timestamp_ms: i64) -> i64 {
        store_timestamp_ms.saturating_add(i64::try_from(self.delay(level).as_millis()).unwrap_or(i64::MAX))
    }
}

/// Queue of SCHEDULE_TOPIC_XXXX that holds messages of `level`.
pub fn queue_of(level: i32) -> i32 {
    level - 1
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a number and one of the units s m h d");
    let unit = text.chars().last().ok_or_else(bad)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(bad()),
    };
    let number: u32 = text.get(..text.len() - 1).and_then(|number| number.parse().ok()).ok_or_else(bad)?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_beyond_the_table_are_capped() {
        let levels = DelayLevels::parse("1s 5s 1m  2h 1d").unwrap();
        assert_eq!(levels.max(), 5);
        let seconds = |level| levels.delay(level).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, i32::MAX, -1, i32::MIN].map(seconds),
            [0, 1, 5, 60, 7200, 86400, 86400, 86400, 0, 0]
        );
        assert_eq!(levels.deliver_time(2, 1000), 6000);
        assert_eq!(levels.deliver_time(2, i64::MAX), i64::MAX);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "1", "s", "1x", "-1s", "1s 2", "é", "1.5s", "99999999999s"] {
            assert!(DelayLevels::parse(text).is_err(), "{text:?}");
        }
    }
}
