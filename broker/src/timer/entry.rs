//! The way into the timer topic. Java: `HookUtils.handleScheduleMessage`, `transformTimerMessage`.

use hypergol_remoting::ResponseCode;
use hypergol_remoting::message::property;

use super::service::Timers;
use crate::config::StoreKeys;
use crate::context::now_ms;
use crate::names::TIMER_TOPIC;
use crate::properties::Properties;

/// Queue of the timer topic.
pub const TIMER_QUEUE: i32 = 0;

/// How a timer property counts, in the order in which Java looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// TIMER_DELAY_SEC: seconds from now.
    DelaySeconds,
    /// TIMER_DELAY_MS: milliseconds from now.
    DelayMillis,
    /// TIMER_DELIVER_MS: milliseconds since 1970.
    DeliverMillis,
}

impl TimerKind {
    /// Every kind with its property.
    pub const PROPERTIES: [(Self, &'static str); 3] = [
        (Self::DelaySeconds, property::TIMER_DELAY_SEC),
        (Self::DelayMillis, property::TIMER_DELAY_MS),
        (Self::DeliverMillis, property::TIMER_DELIVER_MS),
    ];

    /// The time that a property's text asks for, ms since 1970; `None` for no number.
    fn time_ms(self, text: &str, now_ms: i64) -> Option<i64> {
        let number: i64 = text.parse().ok()?;
        Some(match self {
            Self::DelaySeconds => now_ms.saturating_add(number.saturating_mul(1000)),
            Self::DelayMillis => now_ms.saturating_add(number),
            Self::DeliverMillis => number,
        })
    }
}

/// Why a message cannot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTimed {
    /// `timerWheelEnable` is false.
    NotEnabled,
    /// No time, or one too far ahead; or the message is to take another one back that is due.
    Illegal,
    /// Too many messages are due at that time.
    FlowControl,
}

impl NotTimed {
    /// Code and text that a send is answered.
    pub fn answer(self, keys: &StoreKeys) -> (ResponseCode, String) {
        match self {
            Self::NotEnabled => (
                ResponseCode::SystemError,
                format!("accurate timer message is not enabled, timerWheelEnable is {}", keys.timer_wheel_enable),
            ),
            Self::Illegal => (
                ResponseCode::MessageIllegal,
                format!(
                    "timer message illegal, the delay time should not be bigger than the max delay {}ms; or if set \
                     del msg, the delay time should be bigger than the current time",
                    i64::from(keys.timer_max_delay_sec) * 1000
                ),
            ),
            Self::FlowControl => {
                let limit = i64::from(keys.timer_congest_num_each_slot);
                let remark = format!(
                    "timer message is under flow control, max num limit is {} or the current value is greater than \
                     {limit} and less than {}, trigger random flow control",
                    limit * 2,
                    limit * 2
                );
                (ResponseCode::SystemError, remark)
            }
        }
    }
}

/// The step of time at whose end a message is due, ms since 1970, as its property TIMER_OUT_MS gets it; `None` for one
/// that is due now. `takes_back` says that it only takes another one back.
///
/// # Errors
/// [`NotTimed`].
pub fn out_time(
    timers: Option<&Timers>,
    keys: &StoreKeys,
    (kind, text): (TimerKind, &str),
    takes_back: bool,
    now_ms: i64,
) -> Result<Option<i64>, NotTimed> {
    let timers = timers.ok_or(NotTimed::NotEnabled)?;
    let deliver_ms = kind.time_ms(text, now_ms).ok_or(NotTimed::Illegal)?;
    if deliver_ms <= now_ms {
        return if takes_back { Err(NotTimed::Illegal) } else { Ok(None) };
    }
    if deliver_ms.saturating_sub(now_ms) > i64::from(keys.timer_max_delay_sec) * 1000 {
        return Err(NotTimed::Illegal);
    }
    let out_ms = step_before(deliver_ms, timers.precision_ms());
    if is_congested(timers, keys, out_ms) {
        return Err(NotTimed::FlowControl);
    }
    Ok(Some(out_ms))
}

/// The start of the wheel's step that ends at `deliver_ms` or within a step after it. Java:
/// `HookUtils.transformTimerMessage`.
pub fn step_before(deliver_ms: i64, precision_ms: i64) -> i64 {
    (deliver_ms - 1) / precision_ms * precision_ms
}

/// Whether a message is not to join those of a slot. Between one and two times the limit chance decides.
fn is_congested(timers: &Timers, keys: &StoreKeys, out_ms: i64) -> bool {
    let limit = keys.timer_congest_num_each_slot;
    if limit == i32::MAX {
        return false;
    }
    let (number, limit) = (i64::from(timers.number_at(out_ms)), i64::from(limit));
    if number <= limit {
        return false;
    }
    // The higher the number the rarer the refusal: so Java has it.
    let share = 1000.0 * (number - limit) as f64 / (limit as f64 + 0.1);
    number >= limit.saturating_mul(2) || f64::from(rand::random_range(0..1000)) > share
}

/// Redirects a message of a service or a committed transaction into the timer topic when its properties ask for it;
/// delay levels come first, and are the caller's. Returns topic and queue to store it in, `None` to store it as it is.
///
/// # Errors
/// [`NotTimed`].
pub fn redirect(
    timers: Option<&Timers>,
    keys: &StoreKeys,
    topic: &str,
    queue_id: i32,
    properties: &mut Properties<'_>,
) -> Result<Option<(&'static str, i32)>, NotTimed> {
    if topic == TIMER_TOPIC || properties.get(property::TIMER_OUT_MS).is_some() {
        return Ok(None);
    }
    let level = properties.get(property::DELAY_TIME_LEVEL).and_then(|level| level.parse::<i32>().ok());
    if level.is_some_and(|level| level > 0) {
        return Ok(None);
    }
    let asked =
        TimerKind::PROPERTIES.into_iter().find_map(|(kind, name)| properties.get(name).map(|text| (kind, text)));
    let Some(asked) = asked else { return Ok(None) };
    let takes_back = properties.get(property::TIMER_DEL_UNIQKEY).is_some();
    let out = out_time(timers, keys, asked, takes_back, now_ms())?;
    let Some(out_ms) = out else { return Ok(None) };
    properties.set(property::TIMER_OUT_MS, out_ms.to_string());
    properties.set(property::REAL_TOPIC, topic);
    properties.set(property::REAL_QUEUE_ID, queue_id.to_string());
    Ok(Some((TIMER_TOPIC, TIMER_QUEUE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_becomes_the_step_before_it() {
        assert_eq!(
            (step_before(10_001, 1000), step_before(10_999, 1000), step_before(11_000, 1000)),
            (10_000, 10_000, 10_000)
        );
        assert_eq!((step_before(11_001, 1000), step_before(1, 1000), step_before(10_050, 100)), (11_000, 0, 10_000));
    }

    #[test]
    fn times_of_the_three_properties() {
        use TimerKind::*;
        assert_eq!(DelaySeconds.time_ms("5", 1000), Some(6000));
        assert_eq!(DelayMillis.time_ms("5", 1000), Some(1005));
        assert_eq!(DeliverMillis.time_ms("5", 1000), Some(5));
        assert_eq!(DelaySeconds.time_ms("9223372036854775807", 1000), Some(i64::MAX));
        assert_eq!(DelaySeconds.time_ms("-9223372036854775808", 1000), Some(i64::MIN + 1000));
        for text in ["", "x", "1.5", "9223372036854775808"] {
            assert_eq!(DelayMillis.time_ms(text, 0), None, "{text}");
        }
    }
}
