//! Timers: messages with a delivery time of their own wait in rmq_sys_wheel_timer.
//!
//! [`entry`] judges the delivery time and redirects a message into the topic; [`service`] owns files, threads and
//! progress. One thread reads the topic and hangs each message onto the wheel (`enqueue`), one delivers slot after slot
//! (`dequeue`, `deliver`), one brings files and progress to disk. [`metrics`] counts what waits by topic.
//!
//! The wheel's write time is the step of time that is now; messages are hung onto it or later. Its read time is the step
//! that is delivered next, always before the write time: a slot is delivered when its step is over, so that nothing is
//! early and everything at most a step late.

mod deliver;
mod dequeue;
mod enqueue;
pub mod entry;
pub mod metrics;
pub mod service;

pub use entry::{NotTimed, TimerKind};
pub use service::{TimerWake, Timers};
