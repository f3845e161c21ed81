//! All of popping, and its two threads: one writes checkpoints that have been in memory long enough, one brings messages
//! back that were not acknowledged in time.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hypergol_remoting::message::property;
use hypergol_remoting::protocol::body::pop::{AckMsg, BatchAckMsg, PopCheckPoint};
use hypergol_store::{GetRequest, GetStatus, MatchAll, MessageStore, NewMessage, PutError, Record};
use parking_lot::{Condvar, Mutex};
use tracing::{error, info, warn};

use super::QueueKey;
use super::buffer::{Buffer, Leaving, Positions};
use super::checkpoint::{self, REVIVE_GROUP, offset_at};
use super::held::{HeldPops, ORIGIN_GROUP};
use super::in_flight::InFlight;
use super::journal::{Journal, Turn};
use super::locks::PopLocks;
use super::order::Orders;
use super::retry::{ensure_retry_topic, normal_topic, retry_queue, retry_topic};
use super::revive::{ReviveQueue, ReviveRecord, open_places};
use crate::config::{BrokerSettings, FlushDiskType};
use crate::context::{Broker, now_ms};
use crate::error::BrokerError;
use crate::persist::ConfigWriter;
use crate::properties::Properties;
use crate::retry::RETRY_PREFIX;
use crate::schedule::service::is_lasting;

/// Records of the revive topic that are read at a time. Java: 32.
const READ_MESSAGES: u32 = 32;
/// Bytes of one read of the revive topic.
const READ_BYTES: u32 = 4 << 20;
/// Reads of one queue of the revive topic before the others get their turn.
const READS_MAX: usize = 1024;
/// Shortest pause between two looks at the revive topic.
const REVIVE_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause of the thread that writes checkpoints: none leaves sooner after it was made.
const BUFFER_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pause of that thread while steps wait for the disk. Java scans every 5 ms.
const BUFFER_PAUSE_MIN: Duration = Duration::from_millis(5);
/// How long a stop waits for the last checkpoints to reach the disk.
const STOP_FLUSH_MAX: Duration = Duration::from_secs(5);
/// After this a checkpoint that could not be written is tried again.
const WRITE_AGAIN_MS: i64 = 500;
/// Additional invisible time of a checkpoint that is written again, seconds, by how often it was. Java:
/// `PopReviveService.ckRewriteIntervalsInSeconds`.
const AGAIN_AFTER_S: [i64; 17] = [10, 20, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

/// All of popping.
pub struct Pop {
    /// Writes checkpoints and acknowledgements.
    pub journal: Journal,
    /// How far groups have come.
    pub buffer: Buffer,
    /// Messages in flight.
    pub in_flight: InFlight,
    /// Queues that are being popped.
    pub locks: PopLocks,
    /// Pops that keep order.
    pub orders: Orders,
    /// Pops that wait.
    pub held: Arc<HeldPops>,
    /// Notifications that wait.
    pub notifications: Arc<HeldPops>,
    next_revive_queue: AtomicU32,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stopping: Mutex<bool>,
    wake: Condvar,
    /// Checkpoints are kept in memory; no longer once the broker stops.
    keeps: AtomicBool,
}

impl Pop {
    /// Nothing comes back before [`Pop::start`].
    ///
    /// # Errors
    /// [`BrokerError::Damaged`].
    pub fn load(
        settings: &BrokerSettings,
        folder: &Path,
        writer: &ConfigWriter,
        store: Arc<MessageStore>,
        host: std::net::SocketAddr,
        held: [Arc<HeldPops>; 2],
    ) -> Result<Self, BrokerError> {
        let topic = checkpoint::revive_topic(&settings.broker.broker_cluster_name);
        let [held, notifications] = held;
        Ok(Self {
            journal: Journal::new(store, topic, host, settings.store.timer_precision_ms),
            buffer: Buffer::default(),
            in_flight: InFlight::new(now_ms()),
            locks: PopLocks::default(),
            orders: Orders::load(folder, writer)?,
            held,
            notifications,
            next_revive_queue: AtomicU32::new(0),
            threads: Mutex::default(),
            stopping: Mutex::new(false),
            wake: Condvar::new(),
            keeps: AtomicBool::new(true),
        })
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(&self, broker: &Arc<Broker>) -> io::Result<()> {
        let mut threads = self.threads.lock();
        if !threads.is_empty() {
            return Ok(());
        }
        let writing = broker.clone();
        threads.push(std::thread::Builder::new().name("pop-buffer".into()).spawn(move || write_checkpoints(&writing))?);
        let reviving = broker.clone();
        threads
            .push(std::thread::Builder::new().name("pop-revive".into()).spawn(move || Reviver::new(reviving).run())?);
        Ok(())
    }

    /// Ends the threads and writes the checkpoints that are in memory. No pop may come any more; must come before the
    /// store is shut down.
    pub fn stop(&self, broker: &Broker) {
        self.keeps.store(false, Ordering::Release);
        *self.stopping.lock() = true;
        self.wake.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                error!("a thread of popping had panicked");
            }
        }
        let positions = Committed::of(broker);
        for leaving in self.buffer.take_due(i64::MAX) {
            self.write_out(broker, leaving, &positions);
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = Box::new(move |flushed: Result<(), _>| {
            let _ = sender.send(flushed.is_ok());
        });
        broker.store.when_flushed(broker.store.max_physical_offset(), STOP_FLUSH_MAX, done);
        if receiver.recv_timeout(STOP_FLUSH_MAX * 2).unwrap_or(false) {
            self.buffer.commit_stored(&Committed { stored_end: i64::MAX, ..positions });
        } else {
            warn!("checkpoints written last may not be on disk; their messages may be popped again");
        }
    }

    /// Whether new checkpoints may stay in memory.
    pub fn keeps(&self) -> bool {
        self.keeps.load(Ordering::Acquire)
    }

    /// The queue of the revive topic for the next pop.
    pub fn next_revive_queue(&self, queues: i32) -> i32 {
        let queues = u32::try_from(queues).unwrap_or(1).max(1);
        i32::try_from(self.next_revive_queue.fetch_add(1, Ordering::Relaxed) % queues).unwrap_or(0)
    }

    /// Where the next pop of a queue begins: behind what was popped, or at the committed offset; `None` for a queue that
    /// the group never consumed.
    pub fn position(&self, broker: &Broker, key: &QueueKey) -> Option<i64> {
        // In this order: a step is committed before it is forgotten.
        let latest = self.buffer.latest(key);
        let committed = broker.offsets.committed(&key.topic, &key.group, key.queue_id, false);
        latest.max(committed)
    }

    /// Messages of a queue that a group has not popped.
    pub fn unpopped(&self, broker: &Broker, key: &QueueKey) -> i64 {
        let position =
            self.position(broker, key).unwrap_or_else(|| broker.store.min_offset(&key.topic, key.queue_id).max(0));
        broker.store.max_offset(&key.topic, key.queue_id).saturating_sub(position)
    }

    /// Wakes a request that waits for a queue in which a group finds messages again.
    pub fn wake_if_any(&self, broker: &Broker, key: &QueueKey) {
        if self.held.is_empty() && self.notifications.is_empty() {
            return;
        }
        if self.unpopped(broker, key) > 0 {
            self.held.wake_any_or(key);
            self.notifications.wake_any_or(key);
        }
    }

    /// Wakes the thread that writes checkpoints, where steps wait for the disk.
    pub fn wake_writer(&self) {
        if self.buffer.has_unstored() {
            self.wake.notify_all();
        }
    }

    /// Forgets a topic that is deleted.
    pub fn forget_topic(&self, topic: &str) {
        self.buffer.forget(|known, _| known == topic);
        self.in_flight.clear_topic(topic);
        self.orders.forget(|key| &*key.topic == topic);
    }

    /// Forgets a group that is deleted.
    pub fn forget_group(&self, group: &str) {
        self.buffer.forget(|_, known| known == group);
        self.in_flight.clear_group(group);
        self.orders.forget(|key| &*key.group == group);
    }

    /// Writes a checkpoint that leaves memory, and its acknowledgements.
    fn write_out(&self, broker: &Broker, leaving: Leaving, positions: &impl Positions) {
        let buffered = &leaving.buffered;
        match self.write_checkpoint_and_acks(broker, &buffered.point, buffered.revive_queue, buffered.acked) {
            Ok(end) => self.buffer.stored(leaving, end, positions),
            Err(error) => {
                warn!(topic = buffered.point.topic, group = buffered.point.consumer_group, %error,
                    "a checkpoint in memory cannot be written yet");
                self.buffer.put_back(leaving, now_ms() + WRITE_AGAIN_MS);
            }
        }
    }

    fn write_checkpoint_and_acks(
        &self,
        broker: &Broker,
        point: &PopCheckPoint,
        revive_queue: i32,
        acked: u32,
    ) -> Result<i64, PutError> {
        let mut end = self.journal.checkpoint(point, revive_queue, Turn::Other)?.end();
        let due = point.revive_time();
        let places = (0..checkpoint::message_count(point)).filter(|index| acked & (1 << index) != 0);
        let offsets: Vec<i64> = places.filter_map(|index| offset_at(point, index)).collect();
        if offsets.is_empty() {
            return Ok(end);
        }
        if broker.config().broker.enable_pop_batch_ack {
            let ack = BatchAckMsg {
                ack_offset: 0,
                ack_offset_list: offsets,
                broker_name: None,
                consumer_group: point.consumer_group.clone(),
                pop_time: point.pop_time,
                queue_id: point.queue_id,
                start_offset: point.start_offset,
                topic: point.topic.clone(),
            };
            return Ok(self.journal.batch_ack(&ack, revive_queue, due, Turn::Other)?.end());
        }
        for offset in offsets {
            let ack = AckMsg {
                ack_offset: offset,
                broker_name: point.broker_name.clone(),
                consumer_group: point.consumer_group.clone(),
                pop_time: point.pop_time,
                queue_id: point.queue_id,
                start_offset: point.start_offset,
                topic: point.topic.clone(),
            };
            end = self.journal.ack(&ack, revive_queue, due, Turn::Other)?.end();
        }
        Ok(end)
    }

    /// Waits, until `pause` is over or something is to be done; false to stop.
    fn pause(&self, pause: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        if !*stopping {
            self.wake.wait_for(&mut stopping, pause);
        }
        !*stopping
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.lock()
    }
}

/// The committed offsets of a broker.
#[derive(Clone, Copy)]
pub struct Committed<'a> {
    broker: &'a Broker,
    version_step: i64,
    stored_end: i64,
}

impl<'a> Committed<'a> {
    /// The offsets of a broker. Under SYNC_FLUSH only what is on disk counts as stored.
    pub fn of(broker: &'a Broker) -> Self {
        let config = broker.config();
        let sync = config.store.flush_disk_type == FlushDiskType::Sync;
        let stored_end = if sync { broker.store.flushed_offset() } else { i64::MAX };
        Self { broker, version_step: config.broker.consumer_offset_update_version_step, stored_end }
    }
}

impl Positions for Committed<'_> {
    fn commit(&self, key: &QueueKey, offset: i64) {
        let (topic, group, queue_id) = (&key.topic, &key.group, key.queue_id);
        if self.broker.offsets.committed(topic, group, queue_id, false).is_none_or(|known| known < offset) {
            self.broker.offsets.commit(topic, group, queue_id, offset, self.version_step);
        }
    }

    fn stored_end(&self) -> i64 {
        self.stored_end
    }
}

/// Writes checkpoints when they have been in memory long enough.
fn write_checkpoints(broker: &Broker) {
    let pop = &broker.pop;
    loop {
        let positions = Committed::of(broker);
        for leaving in pop.buffer.take_due(now_ms()) {
            pop.write_out(broker, leaving, &positions);
        }
        pop.buffer.commit_stored(&Committed::of(broker));
        let left = pop.buffer.next_leave().map(|at| at.saturating_sub(now_ms()).max(0).unsigned_abs());
        let pause = match left {
            _ if pop.buffer.has_unstored() => BUFFER_PAUSE_MIN,
            Some(left) => Duration::from_millis(left).clamp(BUFFER_PAUSE_MIN, BUFFER_PAUSE_MAX),
            None => BUFFER_PAUSE_MAX,
        };
        if !pop.pause(pause) {
            return;
        }
    }
}

/// What became of a message that was not acknowledged.
enum Revived {
    /// It is in the retry topic.
    Stored,
    /// It is gone from the log.
    Gone,
    /// It must be tried again.
    Failed(String),
}

/// Brings messages back that were not acknowledged in time.
struct Reviver {
    broker: Arc<Broker>,
    queues: Vec<ReviveQueue>,
}

impl Reviver {
    fn new(broker: Arc<Broker>) -> Self {
        let config = broker.config();
        let topic = broker.pop.journal.topic();
        let queue = |queue_id| {
            let done = broker.offsets.committed(topic, REVIVE_GROUP, queue_id, false).unwrap_or(-1);
            ReviveQueue::new(&config.broker.broker_name, done)
        };
        let queues = (0..config.broker.revive_queue_num.max(1)).map(queue).collect();
        drop(config);
        Self { broker, queues }
    }

    fn run(mut self) {
        loop {
            let pause = self.broker.config().broker.revive_interval;
            let pause = Duration::from_millis(u64::try_from(pause).unwrap_or_default()).max(REVIVE_PAUSE_MIN);
            if !self.broker.pop.pause(pause) {
                info!("messages that are not acknowledged come back no longer");
                return;
            }
            for queue_id in 0..self.queues.len() {
                self.round(queue_id);
                if self.broker.pop.is_stopping() {
                    break;
                }
            }
        }
    }

    /// Reads what has come to a queue and deals with what is due.
    fn round(&mut self, index: usize) {
        let broker = self.broker.clone();
        let Some(queue) = self.queues.get_mut(index) else { return };
        let queue_id = i32::try_from(index).unwrap_or(i32::MAX);
        let before = queue.commit_offset();
        // Asked before the read: what the wheel delivers after it is not missed.
        let behind = broker.timers_behind();
        let read_all = read(&broker, queue, queue_id);
        if read_all {
            queue.quiet(now_ms(), behind, broker.config().broker.revive_ack_wait_ms);
        }
        while let Some(due) = queue.due() {
            let point = due.point.clone();
            if broker.pop.is_stopping() || !revive(&broker, queue, queue_id, &point) {
                break;
            }
            queue.done();
        }
        let offset = queue.commit_offset();
        if offset > before {
            let step = broker.config().broker.consumer_offset_update_version_step;
            broker.offsets.commit(broker.pop.journal.topic(), REVIVE_GROUP, queue_id, offset, step);
        }
    }
}

/// Reads the records of a queue of the revive topic; true when none is left.
fn read(broker: &Broker, queue: &mut ReviveQueue, queue_id: i32) -> bool {
    let topic = broker.pop.journal.topic();
    for _ in 0..READS_MAX {
        if broker.pop.is_stopping() {
            return false;
        }
        let offset = queue.next_offset();
        if broker.store.max_offset(topic, queue_id) <= offset {
            return true;
        }
        let request = GetRequest { topic, queue_id, offset, max_messages: READ_MESSAGES, max_bytes: READ_BYTES };
        let result = broker.store.get(&request, &MatchAll);
        match result.status {
            GetStatus::Found => {
                for (bytes, offset) in result.messages.iter().zip(&result.queue_offsets) {
                    take(queue, bytes, *offset);
                }
                queue.skip_to(result.next_begin_offset.max(queue.next_offset()));
            }
            GetStatus::OffsetTooSmall | GetStatus::OffsetFoundNull | GetStatus::MessageWasRemoving => {
                warn!(queue_id, offset, next = result.next_begin_offset, "revive topic begins later than its offset");
                if result.next_begin_offset <= offset {
                    return false;
                }
                queue.skip_to(result.next_begin_offset);
            }
            GetStatus::Unreadable => {
                warn!(queue_id, offset, "revive topic cannot be read, trying again");
                return false;
            }
            _ => return true,
        }
    }
    false
}

fn take(queue: &mut ReviveQueue, bytes: &[u8], offset: i64) {
    let Ok(record) = Record::parse(bytes) else {
        error!(offset, "record of the revive topic is damaged, passed over");
        return;
    };
    let properties = Properties::decode(record.properties());
    let deliver_time: i64 = properties.get(property::TIMER_DELIVER_MS).and_then(|time| time.parse().ok()).unwrap_or(0);
    let tag = properties.get(property::TAGS).unwrap_or_default();
    queue.take(&ReviveRecord { offset, tag, body: record.body(), deliver_time, stored_time: record.store_timestamp() });
}

/// Brings the messages of a checkpoint back that are not acknowledged; false when the checkpoint must stay.
fn revive(broker: &Arc<Broker>, queue: &mut ReviveQueue, queue_id: i32, point: &PopCheckPoint) -> bool {
    let topic = normal_topic(&point.topic, &point.consumer_group);
    if !broker.topics.contains(topic) {
        warn!(topic, "topic of a checkpoint does not exist, its messages are forgotten");
        return true;
    }
    if broker.groups.find_or_create(&broker.config().broker, &point.consumer_group).is_none() {
        warn!(group = point.consumer_group, "group of a checkpoint does not exist, its messages are forgotten");
        return true;
    }
    for place in open_places(point) {
        let Some(offset) = offset_at(point, place) else { continue };
        match revive_message(broker, point, offset) {
            Revived::Stored => {}
            Revived::Gone => {
                info!(topic = point.topic, queue_id = point.queue_id, offset, "message to come back is gone")
            }
            Revived::Failed(reason) => {
                warn!(topic = point.topic, queue_id = point.queue_id, offset, reason, "message cannot come back yet");
                if !put_again(broker, point, offset, queue_id) {
                    return false;
                }
            }
        }
        queue.mark_done(place);
    }
    true
}

/// Writes a checkpoint for one message that could not come back; false when not even that is possible.
fn put_again(broker: &Broker, old: &PopCheckPoint, offset: i64, queue_id: i32) -> bool {
    let times = checkpoint::re_put_times(old);
    let index = usize::try_from(times).unwrap_or(0);
    if index >= AGAIN_AFTER_S.len() && broker.config().broker.skip_when_ck_re_put_reach_max_times {
        warn!(
            topic = old.topic,
            group = old.consumer_group,
            offset,
            times,
            "message was tried to bring back too often"
        );
        return true;
    }
    let mut point = PopCheckPoint {
        bit_map: 0,
        num: 1,
        start_offset: offset,
        queue_offset_diff: Some(vec![0]),
        re_put_times: Some(times.saturating_add(1).to_string()),
        revive_offset: 0,
        suspend: false,
        ..old.clone()
    };
    if old.revive_time() <= now_ms() {
        let more = AGAIN_AFTER_S.get(index).or(AGAIN_AFTER_S.last()).copied().unwrap_or(0) * 1000;
        point.invisible_time = old.invisible_time.saturating_add(more);
    }
    let written = broker.pop.journal.checkpoint(&point, queue_id, Turn::Other);
    written.inspect_err(|error| warn!(%error, "checkpoint cannot be written again")).is_ok()
}

/// Stores a message of a checkpoint in the retry topic.
fn revive_message(broker: &Broker, point: &PopCheckPoint, offset: i64) -> Revived {
    let (topic, queue_id) = (point.topic.as_str(), point.queue_id);
    let request = GetRequest { topic, queue_id, offset, max_messages: 1, max_bytes: READ_BYTES };
    let result = broker.store.get(&request, &MatchAll);
    if result.status == GetStatus::Unreadable {
        return Revived::Failed("the disk cannot be read".to_owned());
    }
    // A read goes on behind messages that are gone.
    let found = result.messages.first().filter(|_| result.queue_offsets.first() == Some(&offset));
    let Some(record) = found.and_then(|bytes| Record::parse(bytes).ok()) else { return Revived::Gone };

    let group = point.consumer_group.as_str();
    let version_2 = broker.config().broker.enable_retry_topic_v2;
    let back = if topic.starts_with(RETRY_PREFIX) { topic.to_owned() } else { retry_topic(topic, group, version_2) };
    ensure_retry_topic(broker, &back, group);
    let mut properties = Properties::decode(record.properties());
    if record.reconsume_times() == 0 || properties.get(property::FIRST_POP_TIME).is_none() {
        properties.set(property::FIRST_POP_TIME, point.pop_time.to_string());
    }
    properties.set(ORIGIN_GROUP, group);
    let queue_id = retry_queue(broker, &back, record.queue_id());
    let message = NewMessage {
        topic: &back,
        queue_id,
        born_host: broker.store_host,
        store_host: broker.store_host,
        reconsume_times: record.reconsume_times().saturating_add(i32::from(!point.suspend)),
        prepared_transaction_offset: 0,
        properties: &properties.encode(),
        ..record.message()
    };
    let stored = match broker.store.put(&message) {
        // What is added here may be a few bytes too much. The message counts more.
        Err(PutError::PropertiesTooLong(_)) => {
            broker.store.put(&NewMessage { properties: record.properties(), ..message })
        }
        stored => stored,
    };
    match stored {
        Ok(appended) => {
            let key = QueueKey::new(topic, group, point.queue_id);
            broker.pop.in_flight.subtract(&key, point.pop_time, 1);
            broker.stats.put(&back, queue_id, 1, i64::from(appended.size), 0, false);
            Revived::Stored
        }
        // Nothing that is tried again makes it fit.
        Err(error) if is_lasting(&error) => {
            error!(topic, group, offset, %error, "message can never come back");
            Revived::Gone
        }
        Err(error) => Revived::Failed(error.to_string()),
    }
}
