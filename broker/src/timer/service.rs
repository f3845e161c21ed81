//! Files, threads and progress of the timers.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hypergol_config::Live;
use hypergol_store::timer::{TimerCheckpointValues, WINDOW_STEPS};
use hypergol_store::{Appended, MessageStore, RecoveredTimers, StoreError, TimerConfig, TimerStore};
use parking_lot::{Condvar, Mutex};
use time::OffsetDateTime;
use tracing::{error, info, warn};

use super::entry::TIMER_QUEUE;
use super::metrics::{METRICS_FILE, TimerMetrics};
use crate::config::BrokerSettings;
use crate::context::now_ms;
use crate::names::TIMER_TOPIC;
use crate::persist::{ConfigFile, ConfigWriter};

/// Steps that stay free between the oldest and the newest slot (`TIMER_BLANK_SLOTS`).
pub(super) const BLANK_STEPS: i64 = 60;
/// Longest sleep while nothing is to do: the system's clock may be moved meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How long a stop waits for the slot that is being delivered.
const STOP_SLOT_MAX: Duration = Duration::from_secs(5);
/// How long is waited for deliveries to reach the disk before their progress is written.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// Period of deleting files of the log. Java: 30 s.
const EXPIRE_PERIOD: Duration = Duration::from_secs(30);
/// Periods of looking whether it is time to count anew, and of doing it. Java: 45 and 70 minutes.
const REVISE_LOOK_PERIOD: Duration = Duration::from_secs(45 * 60);
const REVISE_PERIOD: Duration = Duration::from_secs(70 * 60);
/// How far a message's queue offset may be from the one in its record. Java: `reviseQueueOffset`.
const QUEUE_OFFSET_SEARCH_MAX: i64 = 20_000;

/// From when on timers count as late.
const BEHIND_MS: i64 = 1000;

/// A message that reached its topic.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// Topic it reached.
    pub topic: &'a str,
    /// Queue it reached.
    pub queue_id: i32,
    /// Where it was stored.
    pub appended: Appended,
}

/// Told of each delivery, on the delivering thread; must not block.
pub type DeliveredHook = Box<dyn Fn(Delivered<'_>) + Send + Sync>;

/// Wakes the threads. Made before the store is opened, since the store's hooks hold it.
#[derive(Default)]
pub struct TimerWake {
    signal: Mutex<Signal>,
    enqueue: Condvar,
    dequeue: Condvar,
}

#[derive(Default)]
struct Signal {
    stop_at: Option<Instant>,
    arrived: bool,
}

impl TimerWake {
    /// Tells that a message became readable in the timer topic. Called on the store's dispatch thread.
    pub fn arrived(&self) {
        let mut signal = self.signal.lock();
        if !signal.arrived {
            signal.arrived = true;
            self.enqueue.notify_one();
        }
    }

    fn stop(&self) {
        self.signal.lock().stop_at = Some(Instant::now() + STOP_SLOT_MAX);
        self.enqueue.notify_all();
        self.dequeue.notify_all();
    }

    /// Tells that the write time moved.
    fn ticked(&self) {
        let _signal = self.signal.lock();
        self.dequeue.notify_one();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.signal.lock().stop_at.is_some()
    }

    /// Whether a stop has waited long enough.
    pub(super) fn must_stop(&self) -> bool {
        self.signal.lock().stop_at.is_some_and(|at| Instant::now() >= at)
    }

    /// Sleeps until a message arrives or the time is `next_step_ms`; false to stop.
    pub(super) fn wait_to_enqueue(&self, next_step_ms: i64) -> bool {
        let mut signal = self.signal.lock();
        loop {
            if signal.stop_at.is_some() {
                return false;
            }
            let left = next_step_ms.saturating_sub(now_ms());
            if std::mem::take(&mut signal.arrived) || left <= 0 {
                return true;
            }
            self.enqueue.wait_for(&mut signal, Duration::from_millis(left.unsigned_abs()).min(SLEEP_MAX));
        }
    }

    /// Sleeps until `ready`; false to stop.
    pub(super) fn wait_to_dequeue(&self, ready: impl Fn() -> bool) -> bool {
        let mut signal = self.signal.lock();
        loop {
            if signal.stop_at.is_some() {
                return false;
            }
            if ready() {
                return true;
            }
            self.dequeue.wait_for(&mut signal, SLEEP_MAX);
        }
    }

    /// Sleeps, unless stopping.
    pub(super) fn pause(&self, duration: Duration) {
        let mut signal = self.signal.lock();
        if signal.stop_at.is_none() {
            self.dequeue.wait_for(&mut signal, duration);
        }
    }
}

/// How far the timers have got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Every slot before this time was delivered, ms since 1970.
    pub read_time_ms: i64,
    /// Every message of the timer topic before this offset waits on the wheel or was delivered.
    pub queue_offset: i64,
    /// End of the log that has to be on disk before this may be written.
    pub end: i64,
}

/// What a damaged timer log leaves to be read again: messages that were delivered before are passed over.
#[derive(Clone, Copy, Debug, Default)]
struct DoneBefore {
    queue_offset: i64,
    read_time_ms: i64,
}

/// What a thread runs.
type Body = fn(&Timers);

/// The timers of a broker.
pub struct Timers {
    pub(super) files: TimerStore,
    pub(super) store: Arc<MessageStore>,
    pub(super) settings: Arc<Live<BrokerSettings>>,
    pub(super) wake: Arc<TimerWake>,
    /// What waits for each topic.
    pub metrics: TimerMetrics,
    metrics_file: ConfigFile,
    precision_ms: i64,
    roll_window_steps: i64,
    write_time_ms: AtomicI64,
    progress: Mutex<Progress>,
    done_before: DoneBefore,
    enqueue_behind_ms: AtomicI64,
    enqueued: AtomicU64,
    dequeued: AtomicU64,
    rates: Mutex<Rates>,
    delivered: OnceLock<DeliveredHook>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    flush_stopped: AtomicBool,
}

struct Rates {
    at: Instant,
    enqueued: u64,
    dequeued: u64,
    enqueue_tps: f64,
    dequeue_tps: f64,
}

impl Timers {
    /// Opens and recovers the files. Nothing is delivered before [`Timers::start`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        settings: Arc<Live<BrokerSettings>>,
        store: Arc<MessageStore>,
        wake: Arc<TimerWake>,
        metrics: TimerMetrics,
        config_writer: &ConfigWriter,
    ) -> Result<Self, StoreError> {
        let current = settings.load();
        let keys = &current.store;
        let precision_ms = i64::from(keys.timer_precision_ms);
        let config = TimerConfig {
            root: keys.store_path_root_dir.clone().into(),
            precision_ms,
            log_file_size: usize::try_from(keys.mapped_file_size_timer_log).unwrap_or_default(),
        };
        let (files, recovered) = TimerStore::open(&config, store.max_physical_offset())?;
        let window_max = (WINDOW_STEPS - BLANK_STEPS).min(i64::from(i32::MAX) / precision_ms);
        let window = i64::from(keys.timer_roll_window_slot);
        let roll_window_steps = if (2..=window_max).contains(&window) { window } else { window_max };
        let now_step = now_ms() / precision_ms * precision_ms;
        let read_time_ms = first_read_time(&files, recovered.checkpoint.read_time_ms, now_step);
        let queue_offset = if recovered.incomplete { 0 } else { first_queue_offset(&store, &recovered) };
        let mut done_before = DoneBefore::default();
        if recovered.incomplete {
            warn!("timers may be missing on disk; all of the timer topic is read again");
            done_before = DoneBefore {
                queue_offset: recovered.checkpoint.queue_offset,
                read_time_ms: recovered.checkpoint.read_time_ms,
            };
        }
        let metrics_file = config_writer.file(METRICS_FILE, metrics.encoder());
        drop(current);
        info!(read_time_ms, queue_offset, "timers opened");
        Ok(Self {
            files,
            store,
            settings,
            wake,
            metrics,
            metrics_file,
            precision_ms,
            roll_window_steps,
            write_time_ms: AtomicI64::new(now_step.max(read_time_ms)),
            progress: Mutex::new(Progress { read_time_ms, queue_offset, end: 0 }),
            done_before,
            enqueue_behind_ms: AtomicI64::new(0),
            enqueued: AtomicU64::new(0),
            dequeued: AtomicU64::new(0),
            rates: Mutex::new(Rates {
                at: Instant::now(),
                enqueued: 0,
                dequeued: 0,
                enqueue_tps: 0.0,
                dequeue_tps: 0.0,
            }),
            delivered: OnceLock::new(),
            threads: Mutex::default(),
            flush_stopped: AtomicBool::new(false),
        })
    }

    /// Starts the threads. A second call does nothing.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(self: &Arc<Self>, delivered: DeliveredHook) -> io::Result<()> {
        let mut threads = self.threads.lock();
        if !threads.is_empty() || self.delivered.set(delivered).is_err() {
            return Ok(());
        }
        let bodies: [(&str, Body); 3] = [
            ("timer-enqueue", Timers::run_enqueue),
            ("timer-dequeue", Timers::run_dequeue),
            ("timer-flush", Timers::run_flush),
        ];
        for (name, body) in bodies {
            let timers = self.clone();
            threads.push(std::thread::Builder::new().name(name.into()).spawn(move || body(&timers))?);
        }
        self.wake.arrived();
        Ok(())
    }

    /// Stops the threads and brings files and progress to disk. Must come before the store is shut down.
    pub fn stop(&self) {
        self.wake.stop();
        self.flush_stopped.store(true, Ordering::Release);
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return;
        }
        for thread in threads {
            thread.thread().unpark();
            if thread.join().is_err() {
                error!("a timer thread had panicked");
            }
        }
        self.flush();
        self.metrics_file.changed();
    }

    /// Milliseconds of a step.
    pub fn precision_ms(&self) -> i64 {
        self.precision_ms
    }

    /// Messages in the slot of a time.
    pub fn number_at(&self, time_ms: i64) -> i32 {
        self.files.slot(time_ms).map_or(0, |slot| slot.number)
    }

    /// What the checkpoint on disk holds, as GET_TIMER_CHECK_POINT answers it.
    pub fn checkpoint(&self) -> Vec<u8> {
        self.files.checkpoint().encode().to_vec()
    }

    /// Lines for GET_BROKER_RUNTIME_INFO.
    pub fn runtime_info(&self) -> [(&'static str, String); 5] {
        let progress = self.progress();
        let behind = self.store.max_offset(TIMER_TOPIC, TIMER_QUEUE) - progress.queue_offset;
        let (enqueue_tps, dequeue_tps) = {
            let rates = self.rates.lock();
            (rates.enqueue_tps, rates.dequeue_tps)
        };
        [
            ("timerReadBehind", (now_ms().saturating_sub(progress.read_time_ms) / 1000).to_string()),
            ("timerOffsetBehind", behind.to_string()),
            ("timerCongestNum", self.files.pending(progress.read_time_ms).to_string()),
            ("timerEnqueueTps", format!("{enqueue_tps:?}")),
            ("timerDequeueTps", format!("{dequeue_tps:?}")),
        ]
    }

    /// Whether messages that are due may still be on the wheel, or on the way to it. Java: `getDequeueBehind`,
    /// `getEnqueueBehind`, a second or more.
    pub fn are_behind(&self) -> bool {
        let behind_ms = now_ms().saturating_sub(self.progress().read_time_ms);
        behind_ms >= self.precision_ms.max(BEHIND_MS) || self.enqueue_behind_ms.load(Ordering::Relaxed) >= BEHIND_MS
    }

    /// Notes how old the newest message was when it was enqueued, ms; 0 when none is left.
    pub(super) fn set_enqueue_behind(&self, behind_ms: i64) {
        self.enqueue_behind_ms.store(behind_ms, Ordering::Relaxed);
    }

    /// The key by which a message is taken back.
    pub fn delete_key<'a>(&self, topic: &str, unique_key: &'a str) -> std::borrow::Cow<'a, str> {
        match self.settings.load().store.append_topic_for_timer_delete_key {
            true => format!("{topic}+{unique_key}").into(),
            false => unique_key.into(),
        }
    }

    pub(super) fn write_time_ms(&self) -> i64 {
        self.write_time_ms.load(Ordering::Acquire)
    }

    pub(super) fn roll_window_steps(&self) -> i64 {
        self.roll_window_steps
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    /// Moves the write time to now. Only the enqueuing thread may: what it hangs onto the wheel lies behind.
    pub(super) fn move_write_time(&self) {
        let now_step = now_ms() / self.precision_ms * self.precision_ms;
        if now_step > self.write_time_ms() {
            self.write_time_ms.store(now_step, Ordering::Release);
            self.wake.ticked();
        }
    }

    /// Notes that the topic was read up to `queue_offset`; the log has to be on disk up to `end` for that.
    pub(super) fn enqueued(&self, queue_offset: i64, messages: u64, end: i64) {
        let mut progress = self.progress.lock();
        progress.queue_offset = queue_offset;
        progress.end = progress.end.max(end);
        self.enqueued.fetch_add(messages, Ordering::Relaxed);
    }

    /// Notes that every slot before `read_time_ms` was delivered; the log has to be on disk up to `end` for that.
    pub(super) fn dequeued(&self, read_time_ms: i64, end: i64) {
        let mut progress = self.progress.lock();
        progress.read_time_ms = read_time_ms;
        progress.end = progress.end.max(end);
    }

    pub(super) fn count_dequeued(&self) {
        self.dequeued.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a message was delivered before the timer log was lost.
    pub(super) fn was_delivered(&self, queue_offset: i64, out_ms: i64) -> bool {
        queue_offset < self.done_before.queue_offset && out_ms < self.done_before.read_time_ms
    }

    pub(super) fn tell(&self, delivered: Delivered<'_>) {
        if let Some(hook) = self.delivered.get() {
            hook(delivered);
        }
    }

    /// Waits until the log is on disk up to `end`.
    pub(super) fn wait_flushed(&self, end: i64) -> bool {
        if self.store.flushed_offset() >= end {
            return true;
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        self.store.when_flushed(
            end,
            FLUSH_MAX,
            Box::new(move |flushed| {
                let _ = sender.send(flushed.is_ok());
            }),
        );
        receiver.recv_timeout(FLUSH_MAX * 2).unwrap_or(false)
    }

    /// Brings files and progress to disk: the progress only when all that it says is there.
    pub(super) fn flush(&self) {
        let Progress { read_time_ms, queue_offset, end } = self.progress();
        if !self.wait_flushed(end) {
            warn!("the commit log is not on disk; the timers' progress is not written");
            return;
        }
        let old = self.files.checkpoint();
        let mut values = TimerCheckpointValues { read_time_ms, queue_offset, master_queue_offset: queue_offset, ..old };
        if (values.read_time_ms, values.queue_offset) != (old.read_time_ms, old.queue_offset) {
            values.timestamp = now_ms();
            values.counter = old.counter.saturating_add(1);
        }
        if let Err(error) = self.files.flush(values) {
            error!(%error, "timers cannot be brought to disk");
        }
        if self.metrics.take_changed() {
            self.metrics_file.changed();
        }
    }

    /// Body of the thread that flushes.
    fn run_flush(&self) {
        let mut last_expiry = Instant::now();
        let (mut last_look, mut last_revision) = (Instant::now(), Instant::now());
        while !self.flush_stopped.load(Ordering::Acquire) {
            let period = self.settings.load().store.timer_flush_interval_ms;
            std::thread::park_timeout(Duration::from_millis(period.clamp(10, 60_000).unsigned_abs().into()));
            self.flush();
            self.sample();
            if last_expiry.elapsed() >= EXPIRE_PERIOD {
                last_expiry = Instant::now();
                match self.files.delete_expired(self.store.min_physical_offset()) {
                    Ok(0) => {}
                    Ok(files) => info!(files, "deleted files of the timer log"),
                    Err(error) => error!(%error, "the timer log cannot be shortened"),
                }
            }
            if last_look.elapsed() >= REVISE_LOOK_PERIOD {
                last_look = Instant::now();
                if last_revision.elapsed() >= REVISE_PERIOD && self.is_time_to_revise() {
                    last_revision = Instant::now();
                    self.revise_metrics();
                }
            }
        }
    }

    fn sample(&self) {
        let (enqueued, dequeued) = (self.enqueued.load(Ordering::Relaxed), self.dequeued.load(Ordering::Relaxed));
        let mut rates = self.rates.lock();
        let elapsed = rates.at.elapsed().as_secs_f64();
        if elapsed >= 1.0 {
            let enqueue_tps = (enqueued - rates.enqueued) as f64 / elapsed;
            let dequeue_tps = (dequeued - rates.dequeued) as f64 / elapsed;
            *rates = Rates { at: Instant::now(), enqueued, dequeued, enqueue_tps, dequeue_tps };
        }
    }

    fn is_time_to_revise(&self) -> bool {
        let settings = self.settings.load();
        let keys = &settings.store;
        let hour = OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc()).hour();
        let mut hours = keys.timer_check_metrics_when.split(';').filter_map(|hour| hour.trim().parse::<u8>().ok());
        keys.timer_enable_check_metrics && !keys.timer_stop_enqueue && hours.any(|when| when == hour)
    }

    fn revise_metrics(&self) {
        let threshold = self.settings.load().store.timer_metric_small_threshold;
        match self.metrics.revise(&self.files, self.progress().read_time_ms, threshold.into()) {
            Ok(()) => info!("counted the timers of each topic anew"),
            Err(error) => error!(%error, "the timers of each topic cannot be counted"),
        }
    }
}

/// Which slot is delivered first. Slots further back than the wheel reaches are gone.
fn first_read_time(files: &TimerStore, known_ms: i64, now_step: i64) -> i64 {
    let precision_ms = files.precision_ms();
    if known_ms <= 0 && files.pending(0) == 0 {
        return now_step;
    }
    let oldest = now_step - (2 * WINDOW_STEPS - BLANK_STEPS) * precision_ms;
    if known_ms > now_step + WINDOW_STEPS * precision_ms {
        // From there on nothing would be delivered before that time.
        warn!(
            known_ms,
            oldest, "config/timercheck is of a time to come; what is on the timer wheel is delivered again"
        );
        return oldest.max(precision_ms);
    }
    if known_ms < oldest {
        warn!(known_ms, oldest, "timers due long ago are no longer on the wheel");
    }
    (known_ms / precision_ms * precision_ms).max(oldest).max(precision_ms)
}

/// Which message of the timer topic is enqueued first: the one behind the newest of the timer log where the checkpoint is
/// older.
fn first_queue_offset(store: &MessageStore, recovered: &RecoveredTimers) -> i64 {
    let mut known = recovered.checkpoint.queue_offset;
    let max = store.max_offset(TIMER_TOPIC, TIMER_QUEUE).max(0);
    if known > max {
        // It names what is on disk only.
        warn!(known, max, "config/timercheck tells of messages that the timer topic does not have");
        known = 0;
    }
    let Some(last) = recovered.last else { return known };
    let mut buffer = Vec::new();
    let queue_offset = match store.read_record(last.physical_offset, last.size, &mut buffer) {
        Ok(true) => hypergol_store::Record::parse(&buffer).ok().map(|record| record.queue_offset()),
        Ok(false) => None,
        Err(error) => {
            warn!(%error, "the newest timer cannot be read");
            None
        }
    };
    let Some(queue_offset) = queue_offset else { return known };
    let lowest = (queue_offset - QUEUE_OFFSET_SEARCH_MAX).max(0);
    let is_last = |offset: &i64| {
        store
            .queue_entry(TIMER_TOPIC, TIMER_QUEUE, *offset)
            .is_some_and(|entry| (entry.physical_offset, entry.size) == (last.physical_offset, last.size))
    };
    (lowest..=queue_offset).rev().find(is_last).map_or(known, |offset| {
        let behind_last = offset + 1;
        if recovered.is_cut { behind_last } else { behind_last.max(known) }
    })
}
