//! The queue of a topic on a broker.

use std::cmp::Ordering;

use crate::{body, object_key};

body! {
    /// Names one queue; the key of the maps that fastjson writes as `{{"brokerName":..}:..}`.
    #[derive(Eq, Hash)]
    pub struct MessageQueue {
        /// Broker that holds the queue, or a pseudo name for a static topic.
        "brokerName" broker_name: String,
        /// Queue id, from 0.
        "queueId" queue_id: i32,
        /// Topic.
        "topic" topic: String,
    }
}

object_key!(MessageQueue);

impl MessageQueue {
    /// A queue of `topic` on `broker_name`.
    pub fn new(topic: impl Into<String>, broker_name: impl Into<String>, queue_id: i32) -> Self {
        Self { broker_name: broker_name.into(), queue_id, topic: topic.into() }
    }

    fn order(&self) -> (&str, &str, i32) {
        (&self.topic, &self.broker_name, self.queue_id)
    }
}

/// By topic, broker name, queue id, as `MessageQueue.compareTo`.
impl Ord for MessageQueue {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for MessageQueue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
