//! Writes checkpoints and acknowledgements.
//!
//! Their records come into the revive topic when they are due, through the timer wheel: a checkpoint a second before its
//! messages become visible, an acknowledgement at that time. What is due already goes there directly. Bodies, tags,
//! unique keys and times are those of Java's `PopMessageProcessor`, `AckMessageProcessor` and
//! `ChangeInvisibleTimeProcessor`.

use std::net::SocketAddr;
use std::sync::Arc;

use hypergol_remoting::message::property;
use hypergol_remoting::protocol::body::pop::{AckMsg, BatchAckMsg, PopCheckPoint};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_store::{Appended, MessageStore, NewMessage, PutError};

use super::checkpoint::{self, ACK_TAG, BATCH_ACK_TAG, CHECKPOINT_LEAD_MS, CHECKPOINT_TAG};
use crate::context::now_ms;
use crate::names::TIMER_TOPIC;
use crate::timer::entry::step_before;

/// Who makes a written record known to the rest of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The connection, at the end of its turn.
    OfConnection,
    /// The write itself: it was done by another thread.
    Other,
}

/// The revive topic, to be written.
pub struct Journal {
    store: Arc<MessageStore>,
    topic: String,
    host: SocketAddr,
    /// Step of the timer wheel, ms.
    precision_ms: i64,
}

impl Journal {
    /// The journal of a cluster's revive topic; `host` becomes the host of its records.
    pub fn new(store: Arc<MessageStore>, topic: String, host: SocketAddr, precision_ms: i32) -> Self {
        Self { store, topic, host, precision_ms: i64::from(precision_ms.max(1)) }
    }

    /// The revive topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn checkpoint(&self, point: &PopCheckPoint, revive_queue: i32, turn: Turn) -> Result<Appended, PutError> {
        let due = point.pop_time.saturating_add(point.invisible_time).saturating_sub(CHECKPOINT_LEAD_MS);
        self.write(revive_queue, CHECKPOINT_TAG, &checkpoint::checkpoint_key(point), &point.encode(), due, turn)
    }

    /// Writes an acknowledgement of a message that would become visible at `due`, ms since 1970.
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn ack(&self, ack: &AckMsg, revive_queue: i32, due: i64, turn: Turn) -> Result<Appended, PutError> {
        self.write(revive_queue, ACK_TAG, &checkpoint::ack_key(ack), &ack.encode(), due, turn)
    }

    /// Writes several acknowledgements.
    ///
    /// # Errors
    /// [`PutError`]; nothing was written.
    pub fn batch_ack(&self, ack: &BatchAckMsg, revive_queue: i32, due: i64, turn: Turn) -> Result<Appended, PutError> {
        self.write(revive_queue, BATCH_ACK_TAG, &checkpoint::batch_ack_key(ack), &ack.encode(), due, turn)
    }

    fn write(
        &self,
        queue_id: i32,
        tag: &str,
        key: &str,
        body: &[u8],
        due: i64,
        turn: Turn,
    ) -> Result<Appended, PutError> {
        let now = now_ms();
        let mut properties = format!(
            "{}\u{1}{tag}\u{2}{}\u{1}{due}\u{2}{}\u{1}{key}\u{2}",
            property::TAGS,
            property::TIMER_DELIVER_MS,
            property::UNIQ_KEY
        );
        let mut place = (self.topic.as_str(), queue_id);
        if due > now {
            let (out, topic) = (step_before(due, self.precision_ms), &self.topic);
            for (name, value) in [
                (property::TIMER_OUT_MS, out.to_string()),
                (property::REAL_TOPIC, topic.clone()),
                (property::REAL_QUEUE_ID, queue_id.to_string()),
            ] {
                properties.push_str(name);
                properties.push('\u{1}');
                properties.push_str(&value);
                properties.push('\u{2}');
            }
            place = (TIMER_TOPIC, 0);
        }
        let message = NewMessage {
            topic: place.0,
            queue_id: place.1,
            flag: 0,
            sys_flag: 0,
            born_timestamp: now,
            born_host: self.host,
            store_host: self.host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties: properties.as_bytes(),
        };
        match turn {
            Turn::OfConnection => self.store.append(&message),
            Turn::Other => self.store.put(&message),
        }
    }
}

#[cfg(test)]
mod tests {
    use hypergol_store::{NoHooks, Record, StoreConfig};
    use tempfile::TempDir;

    use super::*;
    use crate::properties::Properties;

    fn journal(folder: &TempDir) -> Journal {
        let config = StoreConfig {
            store_path_root_dir: folder.path().to_owned(),
            mapped_file_size_commit_log: 1 << 20,
            ..StoreConfig::default()
        };
        let store = MessageStore::open(config, Arc::new(NoHooks)).unwrap();
        Journal::new(store, "rmq_sys_REVIVE_LOG_C".into(), "127.0.0.1:10911".parse().unwrap(), 1000)
    }

    #[test]
    fn what_is_due_later_goes_to_the_wheel_and_names_its_queue() {
        let folder = TempDir::new().unwrap();
        let journal = journal(&folder);
        let point = PopCheckPoint {
            topic: "T".into(),
            consumer_group: "G".into(),
            broker_name: Some("b".into()),
            pop_time: now_ms(),
            invisible_time: 60_000,
            num: 1,
            queue_offset_diff: Some(vec![0]),
            ..PopCheckPoint::default()
        };
        let appended = journal.checkpoint(&point, 5, Turn::Other).unwrap();
        let bytes = journal.store.record_at(appended.physical_offset).unwrap();
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.topic(), record.queue_id(), record.body()), (TIMER_TOPIC, 0, &point.encode()[..]));
        let properties = Properties::decode(record.properties());
        let due = point.revive_time() - 1000;
        assert_eq!(properties.get("TIMER_DELIVER_MS"), Some(due.to_string().as_str()));
        assert_eq!(properties.get("TIMER_OUT_MS"), Some(step_before(due, 1000).to_string().as_str()));
        assert_eq!(properties.get("REAL_TOPIC"), Some("rmq_sys_REVIVE_LOG_C"));
        assert_eq!((properties.get("REAL_QID"), properties.get("TAGS")), (Some("5"), Some("ck")));
        assert_eq!(properties.get("UNIQ_KEY"), Some(checkpoint::checkpoint_key(&point).as_str()));
        journal.store.shutdown();
    }

    #[test]
    fn what_is_due_goes_to_the_revive_topic() {
        let folder = TempDir::new().unwrap();
        let journal = journal(&folder);
        let ack = AckMsg { topic: "T".into(), consumer_group: "G".into(), ..AckMsg::default() };
        let appended = journal.ack(&ack, 2, now_ms(), Turn::Other).unwrap();
        let bytes = journal.store.record_at(appended.physical_offset).unwrap();
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.topic(), record.queue_id()), ("rmq_sys_REVIVE_LOG_C", 2));
        assert_eq!(Properties::decode(record.properties()).get("REAL_TOPIC"), None);
        journal.store.shutdown();
    }
}
