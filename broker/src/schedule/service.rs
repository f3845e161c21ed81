//! Delivers what is due: one thread for all levels, which sleeps until the next message of some level is due or a
//! message arrives at a level that had none.
//!
//! All messages of a level wait equally long, so the first of its queue is the first that is due.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hypergol_store::{Appended, MessageStore, NewMessage, PutError, QueueEntry, Record};
use parking_lot::{Condvar, Mutex};
use tracing::{error, info, warn};

use super::levels::{DelayLevels, SCHEDULE_TOPIC, level_of_queue, queue_of_level, real_queue};
use super::progress::Progress;

/// Messages delivered from one level before the others get their turn.
const BATCH: usize = 32;
/// Pause after a message could not be delivered. Java: DELAY_FOR_A_WHILE, 100 ms.
const RETRY_MS: i64 = 100;
/// Longest sleep while a message waits: the system's clock may be moved forward meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How long a stop waits for the last deliveries to reach the disk. Java: WAIT_FOR_SHUTDOWN, 5 s.
const STOP_FLUSH_MAX: Duration = Duration::from_secs(5);
/// Where half messages of transactions lie; nothing is ever delivered there.
const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";

/// A message that reached its real topic.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// Level it waited on.
    pub level: i32,
    /// Topic it reached.
    pub topic: &'a str,
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
        let message = NewMessage {
            topic,
            queue_id,
            flag: record.flag(),
            sys_flag: record.sys_flag(),
            born_timestamp: record.born_timestamp(),
            born_host: record.born_host(),
            store_host: record.store_host(),
            reconsume_times: record.reconsume_times(),
            prepared_transaction_offset: 0,
            body: record.body(),
            properties: record.properties(),
        };
        match self.store.put(&message) {
            Ok(appended) => {
                (self.delivered)(Delivered { level, topic, appended });
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
fn is_lasting(error: &PutError) -> bool {
    match error {
        PutError::TopicTooLong(_)
        | PutError::PropertiesTooLong(_)
        | PutError::BodyTooLarge { .. }
        | PutError::EmptyBatch => true,
        PutError::NotWritable(_) | PutError::DiskFull(_) | PutError::Io(_) => false,
    }
}

fn index_of(level: i32) -> Option<usize> {
    usize::try_from(level).ok()?.checked_sub(1)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
