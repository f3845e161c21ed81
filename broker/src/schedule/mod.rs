//! Delay levels: messages wait in SCHEDULE_TOPIC_XXXX, one queue a level, and are delivered when they are due.
//!
//! [`levels`] knows the delays and redirects a message into its queue, [`service`] delivers, [`progress`] keeps how far
//! each level has got.

pub mod levels;
pub mod progress;
pub mod service;

pub use levels::{DelayLevelError, DelayLevels, SCHEDULE_TOPIC};
pub use service::{Delivered, Schedule};
