//! Delay levels: messages wait in SCHEDULE_TOPIC_XXXX, one queue a level, and are delivered when they are due.
//!
//! [`levels`] knows the delays and redirects a message into its queue, [`service`] delivers, [`progress`] keeps how far
//! each level has got.

pub mod levels;
pub mod progress;
pub mod service;

use crate::context::Broker;
use crate::names::SCHEDULE_TOPIC;

pub use levels::{DelayLevelError, DelayLevels};
pub use service::{Delivered, Schedule};

/// Group that Java counts deliveries for.
const SCHEDULE_CONSUMER: &str = "SCHEDULE_CONSUMER";
/// Counts a delivery as Java does: as a pull from the delay topic and a send to the real one.
pub fn count_delivery(broker: &Broker, delivered: Delivered<'_>) {
    if !broker.config().store.enable_schedule_message_stats {
        return;
    }
    let Delivered { level, topic, queue_id, appended } = delivered;
    let bytes = i64::from(appended.size);
    let waited_in = levels::queue_of_level(level);
    broker.stats.get(SCHEDULE_CONSUMER, SCHEDULE_TOPIC, waited_in, 1, bytes, true);
    broker.stats.put(topic, queue_id, 1, bytes, 0, broker.topics.is_system(topic));
}
