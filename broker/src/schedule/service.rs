//! Delivers what is due: one thread for all levels, which sleeps until the next message of some level is due or a
//! message arrives at a level that had none.
//!
//! All messages of a level wait equally long, so the first of its queue is the first that is due.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use hypergol_store::{Appended, MessageStore, NewMessage, PutError, QueueEntry, Record};
use parking_lot::{Condvar, Mutex};
use tracing::{error, info, warn};

use super::levels::{DelayLevels, SCHEDULE_TOPIC, level_of_queue, queue_of_level, real_queue};
use super::progress::Progress;
use crate::context::now_ms;
use crate::names::HALF_TOPIC;

/// Messages delivered from one level before the others get their turn.
const BATCH: usize = 32;
/// Pause after a message could not be delivered. Java: DELAY_FOR_A_WHILE, 100 ms.
const RETRY_MS: i64 = 100;
/// Longest sleep while a message waits: the system's clock may be moved forward meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How long a stop waits for the last deliveries to reach the disk. Java: WAIT_FOR_SHUTDOWN, 5 s.
const STOP_FLUSH_MAX: Duration = Duration::from_secs(5);

/// A message that reached its real topic.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// Level it waited on.
    pub level: i32,
    /// Topic it reached.
    pub topic: &'a str,
    /// Queue it reached.
    pub queue_id: i32,
    /// Where it was stored.
    pub appended: Appended,
}

/// Told of each delivery, on the delivering thread; must not block.
pub type DeliveredHook = Box<dyn Fn(Delivered<'_>) + Send>;

/// The delivery of delayed messages.
pub struct Schedule {
    levels: DelayLevels,
    progress: Mutex<Progress>,
    signal: Mutex<Signal>,
    wake: Condvar,
    running: Mutex<Option<JoinHandle<()>>>,
    store: OnceLock<Arc<MessageStore>>,
}

struct Signal {
    stopping: bool,
    /// Whether a message arrived at level `index + 1` since the thread last looked.
    arrived: Vec<bool>,
}

/// When the delivering thread looks at a level again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// At this time, milliseconds since 1970.
    At(i64),
    /// When a message arrives.
    OnArrival,
}

impl Schedule {
    /// Nothing is delivered before [`Schedule::start`].
    pub fn new(levels: DelayLevels, progress: Progress) -> Self {
        let arrived = vec![false; levels.levels().count()];
        Self {
            levels,
            progress: Mutex::new(progress),
            signal: Mutex::new(Signal { stopping: false, arrived }),
            wake: Condvar::new(),
            running: Mutex::new(None),
            store: OnceLock::new(),
        }
    }

    /// The table of delays.
    pub fn levels(&self) -> &DelayLevels {
        &self.levels
    }

    /// Tells that a message became readable in a queue of [`SCHEDULE_TOPIC`]. Called on the store's dispatch thread.
    pub fn arrived(&self, queue_id: i32) {
        let Some(index) = index_of(level_of_queue(queue_id)) else { return };
        let mut signal = self.signal.lock();
        if let Some(arrived) = signal.arrived.get_mut(index).filter(|arrived| !**arrived) {
            *arrived = true;
            self.wake.notify_one();
        }
    }

    /// Starts to deliver. A second call does nothing.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(self: &Arc<Self>, store: Arc<MessageStore>, delivered: DeliveredHook) -> io::Result<()> {
        let mut running = self.running.lock();
        if running.is_some() {
            return Ok(());
        }
        let _ = self.store.set(store.clone());
        let worker = Worker { schedule: self.clone(), store, delivered };
        *running = Some(std::thread::Builder::new().name("schedule".into()).spawn(move || worker.run())?);
        Ok(())
    }

    /// Stops delivering, and waits until what was delivered is on disk, so that [`Schedule::to_write`] then gives the
    /// last state. Must come before the store is shut down.
    pub fn stop(&self) {
        self.signal.lock().stopping = true;
        self.wake.notify_one();
        let Some(thread) = self.running.lock().take() else { return };
        if thread.join().is_err() {
            error!("the thread that delivers delayed messages had panicked");
        }
        let Some(store) = self.store.get() else { return };
        let (sender, receiver) = std::sync::mpsc::channel();
        let end = self.progress.lock().delivered_end();
        store.when_flushed(
            end,
            STOP_FLUSH_MAX,
            Box::new(move |flushed| {
                let _ = sender.send(flushed);
            }),
        );
        match receiver.recv_timeout(STOP_FLUSH_MAX * 2) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "delayed messages delivered last may be delivered again"),
            Err(_) => warn!("delayed messages delivered last may be delivered again"),
        }
    }

    /// What the file `delayOffset.json` should hold, when that is news; see [`Progress::to_write`].
    pub fn to_write(&self) -> Option<Vec<u8>> {
        let flushed = self.store.get()?.flushed_offset();
        self.progress.lock().to_write(flushed)
    }

    /// Notes that the file holds this.
    pub fn wrote(&self, file: Vec<u8>) {
        self.progress.lock().wrote(file);
    }

    /// The offsets as GET_ALL_DELAY_OFFSET answers them.
    pub fn encode(&self) -> Vec<u8> {
        self.progress.lock().encode()
    }

    /// Lines for GET_BROKER_RUNTIME_INFO: key and `delivered,readable` offsets of each level.
    pub fn runtime_info(&self) -> Vec<(String, String)> {
        let Some(store) = self.store.get() else { return Vec::new() };
        let offsets = self.progress.lock().offsets().clone();
        let line = |(level, offset): (i32, i64)| {
            let readable = store.max_offset(SCHEDULE_TOPIC, queue_of_level(level));
            (format!("scheduleMessageOffset_{level}"), format!("{offset},{readable}"))
        };
        offsets.into_iter().map(line).collect()
    }
}

struct Worker {
    schedule: Arc<Schedule>,
    store: Arc<MessageStore>,
    delivered: DeliveredHook,
}

impl Worker {
    fn run(self) {
        let mut next: Vec<Next> = self.schedule.levels.levels().map(|_| Next::At(0)).collect();
        while self.wait(&mut next) {
            let now = now_ms();
            for (index, next) in next.iter_mut().enumerate() {
                if matches!(*next, Next::At(time) if time <= now) {
                    *next = self.deliver_level(index as i32 + 1);
                }
            }
        }
        info!("delayed messages are no longer delivered");
    }

    /// Sleeps until some level is to be looked at; false to stop.
    fn wait(&self, next: &mut [Next]) -> bool {
        let mut signal = self.schedule.signal.lock();
        loop {
            if signal.stopping {
                return false;
            }
            for (next, arrived) in next.iter_mut().zip(&mut signal.arrived) {
                // Where the first message of a level is known, a later one is due later.
                if std::mem::take(arrived) && *next == Next::OnArrival {
                    *next = Next::At(0);
                }
            }
            let first = next.iter().filter_map(|next| match next {
                Next::At(time) => Some(*time),
                Next::OnArrival => None,
            });
            let Some(first) = first.min() else {
                self.schedule.wake.wait(&mut signal);
                continue;
            };
            let left = first.saturating_sub(now_ms());
            if left <= 0 {
                return true;
            }
            let left = Duration::from_millis(left.unsigned_abs()).min(SLEEP_MAX);
            self.schedule.wake.wait_for(&mut signal, left);
        }
    }

    /// Delivers up to [`BATCH`] messages of a level.
    fn deliver_level(&self, level: i32) -> Next {
        let queue_id = queue_of_level(level);
        let from = self.corrected_offset(level, queue_id);
        let entries = self.store.queue_entries(SCHEDULE_TOPIC, queue_id, from, BATCH);
        if entries.is_empty() {
            let more = from < self.store.max_offset(SCHEDULE_TOPIC, queue_id);
            return if more { Next::At(now_ms() + RETRY_MS) } else { Next::OnArrival };
        }
        let delay_ms = self.schedule.levels.delay_ms(level).unwrap_or(0);
        for (offset, entry) in (from..).zip(&entries) {
            let now = now_ms();
            // A time too far ahead comes from a clock that was wrong, or from another table of delays.
            let due = if entry.tags_code > now.saturating_add(delay_ms) { now } else { entry.tags_code };
            if due > now {
                self.schedule.progress.lock().set(level, offset);
                return Next::At(due);
            }
            match self.deliver(level, entry) {
                Ok(Some(end)) => self.schedule.progress.lock().delivered(level, offset + 1, end),
                Ok(None) => self.schedule.progress.lock().set(level, offset + 1),
                Err(error) => {
                    warn!(level, offset, %error, "delayed message not delivered, trying again");
                    self.schedule.progress.lock().set(level, offset);
                    return Next::At(now_ms() + RETRY_MS);
                }
            }
        }
        Next::At(0)
    }

    /// Where a level goes on, within what its queue still holds.
    fn corrected_offset(&self, level: i32, queue_id: i32) -> i64 {
        let offset = self.schedule.progress.lock().offset(level).unwrap_or(0);
        let min = self.store.min_offset(SCHEDULE_TOPIC, queue_id);
        let max = self.store.max_offset(SCHEDULE_TOPIC, queue_id).max(min);
        let corrected = offset.clamp(min, max);
        if corrected != offset {
            warn!(level, offset, min, max, "offset of a delay level is outside its queue, corrected");
            self.schedule.progress.lock().set(level, corrected);
        }
        corrected
    }

    /// Stores a due message in its real topic. `Ok(None)` for one that can never be delivered.
    fn deliver(&self, level: i32, entry: &QueueEntry) -> Result<Option<i64>, PutError> {
        let Some(bytes) = self.store.record_at_sized(entry.physical_offset, entry.size) else {
            warn!(level, offset = entry.physical_offset, "delayed message is no longer in the log, skipped");
            return Ok(None);
        };
        let Ok(record) = Record::parse(&bytes) else {
            error!(level, offset = entry.physical_offset, "delayed message is damaged, skipped");
            return Ok(None);
        };
        let Some((topic, queue_id)) = real_queue(record.properties()).filter(|(topic, _)| *topic != HALF_TOPIC) else {
            error!(level, offset = entry.physical_offset, "delayed message does not tell its real queue, skipped");
            return Ok(None);
        };
        let message = NewMessage { topic, queue_id, prepared_transaction_offset: 0, ..record.message() };
        match self.store.put(&message) {
            Ok(appended) => {
                (self.delivered)(Delivered { level, topic, queue_id, appended });
                Ok(Some(appended.end()))
            }
            Err(error) if is_lasting(&error) => {
                error!(level, topic, %error, "delayed message cannot be delivered, skipped");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether the store will never take the message.
pub(crate) fn is_lasting(error: &PutError) -> bool {
    match error {
        PutError::TopicTooLong(_)
        | PutError::IllegalQueue(_)
        | PutError::PropertiesTooLong(_)
        | PutError::BodyTooLarge { .. }
        | PutError::EmptyBatch
        | PutError::LightOffsetsGiven
        | PutError::NotBatchQueue(_) => true,
        PutError::NotWritable(_) | PutError::DiskFull(_) | PutError::Io(_) => false,
    }
}

fn index_of(level: i32) -> Option<usize> {
    usize::try_from(level).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc::{Receiver, channel};

    use hypergol_store::{Arrival, StoreConfig, StoreHooks};
    use tempfile::TempDir;

    use super::*;
    use crate::properties::Properties;

    const FILE: &str = "delayOffset.json";
    /// Level 1 is due at once, level 2 after a second, level 3 not within a test.
    const LEVELS: &str = "0s 1s 1h";

    struct Hooks(Arc<Schedule>);

    impl StoreHooks for Hooks {
        fn messages_arrived(&self, arrivals: &[Arrival<'_>]) {
            for arrival in arrivals.iter().filter(|arrival| arrival.topic == SCHEDULE_TOPIC) {
                self.0.arrived(arrival.queue_id);
            }
        }

        fn deliver_time(&self, level: i32, store_timestamp_ms: i64) -> i64 {
            self.0.levels.deliver_time(level, store_timestamp_ms)
        }
    }

    struct Node {
        store: Arc<MessageStore>,
        schedule: Arc<Schedule>,
        file: PathBuf,
        delivered: Receiver<(i32, Appended)>,
    }

    impl Node {
        fn open(folder: &TempDir, levels: &str) -> Self {
            let config_folder = folder.path().join("config");
            std::fs::create_dir_all(&config_folder).unwrap();
            let levels = DelayLevels::parse(levels).unwrap();
            let progress = std::fs::read(config_folder.join(FILE)).ok();
            let progress = progress.map(|file| Progress::decode(&file).unwrap()).unwrap_or_default();
            let schedule = Arc::new(Schedule::new(levels, progress));
            let config = StoreConfig {
                store_path_root_dir: folder.path().to_owned(),
                mapped_file_size_commit_log: 1 << 20,
                ..StoreConfig::default()
            };
            let store = MessageStore::open(config, Arc::new(Hooks(schedule.clone()))).unwrap();
            let (sender, delivered) = channel();
            let hook = move |delivered: Delivered<'_>| {
                let _ = sender.send((delivered.level, delivered.appended));
            };
            schedule.start(store.clone(), Box::new(hook)).unwrap();
            Self { store, schedule, file: config_folder.join(FILE), delivered }
        }

        /// Stores a message that waits on a level; returns its store time.
        fn delay(&self, level: i32, body: &[u8]) -> i64 {
            let mut properties = Properties::decode(b"TAGS\x01A\x02");
            let queue_id = self.schedule.levels.redirect(level, "T", 2, &mut properties);
            self.put(SCHEDULE_TOPIC, queue_id, body, &properties.encode())
        }

        fn put(&self, topic: &str, queue_id: i32, body: &[u8], properties: &[u8]) -> i64 {
            let host = "127.0.0.1:10911".parse().unwrap();
            let message = NewMessage {
                topic,
                queue_id,
                flag: 7,
                sys_flag: 0,
                born_timestamp: 11,
                born_host: host,
                store_host: host,
                reconsume_times: 3,
                prepared_transaction_offset: 0,
                body,
                properties,
            };
            self.store.put(&message).unwrap().store_timestamp
        }

        fn next(&self) -> (i32, Appended) {
            self.delivered.recv_timeout(Duration::from_secs(20)).expect("a delivery")
        }

        fn close(self) {
            self.schedule.stop();
            std::fs::write(&self.file, self.schedule.to_write().expect("news")).unwrap();
            self.store.shutdown();
        }
    }

    #[test]
    fn a_message_is_delivered_whole_and_not_before_it_is_due() {
        let folder = TempDir::new().unwrap();
        let node = Node::open(&folder, LEVELS);
        let stored = node.delay(2, b"later");
        let at_once = node.delay(1, b"now");
        let (level, appended) = node.next();
        assert_eq!(level, 1);
        assert!(appended.store_timestamp >= at_once);
        let (level, appended) = node.next();
        assert_eq!(level, 2);
        assert!(appended.store_timestamp >= stored + 1000, "delivered too early");

        let bytes = node.store.record_at(appended.physical_offset).unwrap();
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.topic(), record.queue_id(), record.body()), ("T", 2, &b"later"[..]));
        assert_eq!((record.flag(), record.born_timestamp(), record.reconsume_times()), (7, 11, 3));
        assert_eq!(record.properties(), b"TAGS\x01A\x02DELAY\x012\x02REAL_TOPIC\x01T\x02REAL_QID\x012\x02");
        node.close();
    }

    #[test]
    fn a_restart_goes_on_where_delivery_ended() {
        let folder = TempDir::new().unwrap();
        let node = Node::open(&folder, LEVELS);
        for n in 0..40 {
            node.delay(1, &[n]);
        }
        for _ in 0..40 {
            node.next();
        }
        node.delay(3, b"waits");
        node.close();

        let file = std::fs::read_to_string(folder.path().join("config/delayOffset.json")).unwrap();
        assert!(file.contains("1:40"), "{file}");
        let node = Node::open(&folder, LEVELS);
        node.delay(1, b"after");
        let (_, appended) = node.next();
        let bytes = node.store.record_at(appended.physical_offset).unwrap();
        assert_eq!(Record::parse(&bytes).unwrap().body(), b"after");
        assert!(node.delivered.try_recv().is_err(), "the others were delivered before");
        node.close();
    }

    #[test]
    fn a_lost_progress_file_repeats_and_loses_nothing() {
        let folder = TempDir::new().unwrap();
        let node = Node::open(&folder, LEVELS);
        node.delay(1, b"x");
        node.next();
        node.close();
        std::fs::remove_dir_all(folder.path().join("config")).unwrap();
        let node = Node::open(&folder, LEVELS);
        assert_eq!(node.next().0, 1);
        node.close();
    }

    #[test]
    fn an_offset_beyond_the_queue_is_corrected() {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir_all(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join("config/delayOffset.json"), b"{\"offsetTable\":{1:1000}}").unwrap();
        let node = Node::open(&folder, LEVELS);
        while node.schedule.progress.lock().offset(1) != Some(0) {
            std::thread::sleep(Duration::from_millis(1));
        }
        node.delay(1, b"x");
        assert_eq!(node.next().0, 1);
        node.close();
    }

    #[test]
    fn a_shorter_table_delivers_at_once_what_waits_too_long() {
        let folder = TempDir::new().unwrap();
        let node = Node::open(&folder, LEVELS);
        node.delay(3, b"an hour");
        node.close();
        let node = Node::open(&folder, "0s 1s 2s");
        assert_eq!(node.next().0, 3);
        node.close();
    }

    #[test]
    fn messages_without_a_real_queue_are_skipped() {
        let folder = TempDir::new().unwrap();
        let node = Node::open(&folder, LEVELS);
        node.put(SCHEDULE_TOPIC, 0, b"x", b"DELAY\x011\x02");
        node.put(SCHEDULE_TOPIC, 0, b"x", b"DELAY\x011\x02REAL_TOPIC\x01RMQ_SYS_TRANS_HALF_TOPIC\x02REAL_QID\x010\x02");
        node.delay(1, b"good");
        let (_, appended) = node.next();
        let bytes = node.store.record_at(appended.physical_offset).unwrap();
        assert_eq!(Record::parse(&bytes).unwrap().body(), b"good");
        node.close();
    }
}
