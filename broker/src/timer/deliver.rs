//! Storing a message that has waited, in its real topic or, when it was due beyond the wheel, in the timer topic again.
//! Java: `TimerMessageStore.convert`, `doPut`.

use hypergol_remoting::message::property;
use hypergol_store::{NewMessage, PutError, Record};
use tracing::error;

use super::entry::TIMER_QUEUE;
use super::service::{Delivered, Timers};
use crate::context::now_ms;
use crate::names::{HALF_TOPIC, TIMER_TOPIC};
use crate::properties::Properties;
use crate::schedule::levels::real_queue;
use crate::schedule::service::is_lasting;

/// Value of TIMER_ENQUEUE_MS for a message that was due when it was enqueued and so never was on the wheel.
pub(super) const NEVER_ENQUEUED: i64 = i64::MAX;

impl Timers {
    /// Stores a message. `enqueued_ms` is when it was hung onto the wheel. Returns the end of its record, `None` for one
    /// that can never be delivered.
    ///
    /// # Errors
    /// It may be stored later.
    pub(super) fn deliver(&self, record: &Record<'_>, enqueued_ms: i64, rolls: bool) -> Result<Option<i64>, PutError> {
        let offset = record.physical_offset();
        let (topic, queue_id) = match real_queue(record.properties()).filter(|(topic, _)| *topic != HALF_TOPIC) {
            Some(_) if rolls => (TIMER_TOPIC, TIMER_QUEUE),
            Some(real) => real,
            None => {
                error!(offset, "timer message does not tell its real queue, skipped");
                return Ok(None);
            }
        };
        let mut properties = Properties::decode(record.properties());
        properties.set(property::TIMER_ENQUEUE_MS, enqueued_ms.to_string());
        if rolls {
            let times = properties.get(property::TIMER_ROLL_TIMES).and_then(|times| times.parse::<i32>().ok());
            properties.set(property::TIMER_ROLL_TIMES, times.unwrap_or(0).saturating_add(1).to_string());
        }
        properties.set(property::TIMER_DEQUEUE_MS, now_ms().to_string());
        let encoded = properties.encode();
        let message =
            NewMessage { topic, queue_id, prepared_transaction_offset: 0, properties: &encoded, ..record.message() };
        let stored = match self.store.append(&message) {
            // What is added here may be a few bytes too much. The message counts more.
            Err(PutError::PropertiesTooLong(_)) => {
                self.store.append(&NewMessage { properties: record.properties(), ..message })
            }
            stored => stored,
        };
        match stored {
            Ok(appended) => {
                self.tell(Delivered { topic, queue_id, appended });
                Ok(Some(appended.end()))
            }
            Err(error) if is_lasting(&error) => {
                error!(offset, topic, %error, "timer message cannot be delivered, skipped");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
