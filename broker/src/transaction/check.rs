//! The check: finds half messages that are undecided for too long, and asks their producers.
//!
//! A round goes through the half queue from where the last ended. A half message that an op message tells of is
//! passed. One that is old enough is put back at the end of the queue, counted once more, and a producer of its group
//! is asked with CHECK_TRANSACTION_STATE; one that was counted `transactionCheckMax` times, or is older than
//! `fileReservedTime`, goes to `TRANS_CHECK_MAX_TIME_TOPIC`. One that is too young ends the round, unless it has an
//! immunity time of its own: then it is put back uncounted. Source: `TransactionalMessageServiceImpl.check`.
//!
//! How far a round came is committed as offsets of [`CHECK_GROUP`] once the log is on disk up to the round's end: the
//! copies count only then.

use std::collections::BTreeMap;
use std::sync::{Weak, mpsc};
use std::time::{Duration, Instant};

use hypergol_remoting::Channel;
use hypergol_remoting::message::property;
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_store::{Appended, GetRequest, GetStatus, MatchAll, PutError, Record};
use tracing::{debug, error, info, warn};

use super::decided::{Decided, WINDOW};
use super::half::{self, DECIDED_TAG, Half, Outcome};
use super::recent::Decision;
use super::{CHECK_GROUP, SLEEP_MAX, Transactions, ops};
use crate::context::{Broker, now_ms};
use crate::names::{CHECK_MAX_TIME_TOPIC, HALF_OP_TOPIC, HALF_TOPIC};
use crate::topics::{PERM_READ, PERM_WRITE};

/// Longest time a round spends on one queue. Java: MAX_PROCESS_TIME_LIMIT, 60 s.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// Op messages read at once. Java: OP_MSG_PULL_NUMS, 32.
const OPS_AT_ONCE: u32 = 32;
/// Bytes read at once.
const BYTES_AT_ONCE: u32 = 1 << 20;
/// Queues of the half topic that are checked at most. There is one, unless somebody has changed the topic.
const QUEUES_MAX: i32 = 1024;
/// How long a round's end may take to reach the disk.
const FLUSH_MAX: Duration = Duration::from_secs(10);
/// Bytes that may wait for a producer before it is asked more, and how long to wait for it.
const QUEUED_BYTES_MAX: usize = 1 << 20;
const ROOM_WAIT: Duration = Duration::from_millis(5);
const ROOM_TRIES: usize = 20;

/// How far the check is in the half and op queues of one queue id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    half: i64,
    op: i64,
}

/// Where a queue's check stands.
#[derive(Clone, Copy, Debug)]
struct Progress {
    reached: Position,
    /// What the offsets of [`CHECK_GROUP`] say, as far as this check has set or seen them.
    committed: Option<Position>,
}

/// Checks at every `transactionCheckInterval`, until the broker ends.
pub(super) fn run(transactions: &Transactions, broker: &Weak<Broker>) {
    let mut checker = Checker { queues: BTreeMap::new() };
    let mut last = Instant::now();
    loop {
        let Some(current) = broker.upgrade() else { return };
        let interval = u64::try_from(current.config().broker.transaction_check_interval).unwrap_or(0);
        let left = Duration::from_millis(interval).saturating_sub(last.elapsed());
        if left.is_zero() {
            checker.round(transactions, &current);
            last = Instant::now();
        }
        drop(current);
        if transactions.sleep(left.clamp(Duration::from_millis(10), SLEEP_MAX)) {
            return;
        }
    }
}

struct Checker {
    queues: BTreeMap<i32, Progress>,
}

impl Checker {
    fn round(&mut self, transactions: &Transactions, broker: &Broker) {
        let queues = broker.topics.get(HALF_TOPIC).map_or(1, |topic| topic.read_queue_nums).clamp(1, QUEUES_MAX);
        for queue_id in 0..queues {
            if transactions.is_stopping() {
                return;
            }
            self.check_queue(transactions, broker, queue_id);
        }
    }

    fn check_queue(&mut self, transactions: &Transactions, broker: &Broker, queue_id: i32) {
        let committed = committed(broker, queue_id);
        let known = self.queues.get(&queue_id).copied().filter(|known| known.committed == committed);
        let from = match known {
            Some(known) => known.reached,
            // The first round, or an administrator has set the offsets.
            None => committed.unwrap_or(Position { half: 0, op: 0 }),
        };
        let from = Position {
            half: within(broker, HALF_TOPIC, queue_id, from.half),
            op: within(broker, HALF_OP_TOPIC, queue_id, from.op),
        };
        let mut pass = Pass::new(transactions, broker, queue_id, from);
        let half = pass.run();
        let reached = Position { half, op: pass.decided.op_offset_for(half, from.op) };
        let mut progress = Progress { reached, committed };
        if committed != Some(reached) && (half > 0 || reached.op > 0) {
            if flushed(broker) {
                commit(broker, queue_id, reached);
                progress.committed = Some(reached);
            }
            debug!(queue_id, ?from, ?reached, "half messages checked");
        }
        self.queues.insert(queue_id, progress);
    }
}

/// What a step decides about the rest of the round.
enum Step {
    /// The next half message is at this offset.
    Next(i64),
    /// The round ends here.
    End,
}

/// One round in one queue.
struct Pass<'a> {
    transactions: &'a Transactions,
    broker: &'a Broker,
    queue_id: i32,
    from: Position,
    decided: Decided,
    next_op: i64,
    /// When the round began, milliseconds since 1970.
    started_ms: i64,
    timeout_ms: i64,
    check_max: i32,
    reserved_ms: i64,
    broker_name: String,
}

impl<'a> Pass<'a> {
    fn new(transactions: &'a Transactions, broker: &'a Broker, queue_id: i32, from: Position) -> Self {
        let config = broker.config();
        Self {
            transactions,
            broker,
            queue_id,
            from,
            decided: Decided::new(from.half),
            next_op: from.op,
            started_ms: now_ms(),
            timeout_ms: config.broker.transaction_time_out,
            check_max: config.broker.transaction_check_max,
            reserved_ms: i64::from(config.store.file_reserved_time).saturating_mul(3_600_000),
            broker_name: config.broker.broker_name.clone(),
        }
    }

    /// Goes through the queue; returns where the next round goes on.
    fn run(&mut self) -> i64 {
        let begun = Instant::now();
        let mut offset = self.from.half;
        while begun.elapsed() < ROUND_MAX && offset - self.from.half < WINDOW && !self.transactions.is_stopping() {
            let step = if self.is_decided(offset) { Step::Next(offset + 1) } else { self.step(offset) };
            match step {
                Step::Next(next) => offset = next,
                Step::End => break,
            }
        }
        offset
    }

    /// Whether an op message tells of the half message; reads on as far as it must.
    fn is_decided(&mut self, offset: i64) -> bool {
        while !self.decided.contains(offset) {
            if !self.read_ops() {
                return false;
            }
        }
        true
    }

    /// Reads some op messages; false when there are no more.
    fn read_ops(&mut self) -> bool {
        let request = GetRequest {
            topic: HALF_OP_TOPIC,
            queue_id: self.queue_id,
            offset: self.next_op,
            max_messages: OPS_AT_ONCE,
            max_bytes: BYTES_AT_ONCE,
        };
        let found = self.broker.store.get(&request, &MatchAll);
        // A half message is readable before any op message that tells of it.
        let end = self.broker.store.max_offset(HALF_TOPIC, self.queue_id);
        for (bytes, op_offset) in found.messages.iter().zip(&found.queue_offsets) {
            let record = Record::parse(bytes).ok().filter(|record| {
                hypergol_store::record::property(record.properties(), property::TAGS) == Some(DECIDED_TAG)
            });
            let Some(record) = record else {
                error!(queue_id = self.queue_id, op_offset, "op message is not understood, skipped");
                self.decided.add(*op_offset, std::iter::empty(), end);
                continue;
            };
            self.decided.add(*op_offset, ops::offsets_in(record.body()), end);
        }
        let moved = found.next_begin_offset > self.next_op && found.status != GetStatus::Unreadable;
        if moved {
            self.next_op = found.next_begin_offset;
        }
        moved
    }

    /// Looks at a half message that no op message tells of.
    fn step(&mut self, offset: i64) -> Step {
        let request = GetRequest {
            topic: HALF_TOPIC,
            queue_id: self.queue_id,
            offset,
            max_messages: 1,
            max_bytes: BYTES_AT_ONCE,
        };
        let found = self.broker.store.get(&request, &MatchAll);
        let Some(bytes) = found.messages.first() else {
            return match found.status {
                // Its file is gone.
                GetStatus::MessageWasRemoving
                | GetStatus::OffsetTooSmall
                | GetStatus::OffsetFoundNull
                | GetStatus::NoMatchedMessage
                    if found.next_begin_offset > offset =>
                {
                    info!(queue_id = self.queue_id, offset, status = ?found.status, "half messages are gone");
                    Step::Next(found.next_begin_offset)
                }
                _ => Step::End,
            };
        };
        let Ok(record) = Record::parse(bytes) else {
            error!(queue_id = self.queue_id, offset, "half message is damaged, skipped");
            return Step::Next(offset + 1);
        };
        let Some(half) = Half::of(record) else {
            error!(queue_id = self.queue_id, offset, "half message does not tell its real queue, skipped");
            return Step::Next(offset + 1);
        };
        self.judge(&half, offset)
    }

    fn judge(&self, half: &Half<'_>, offset: i64) -> Step {
        let next = Step::Next(offset + 1);
        match self.recently(half, offset) {
            Some(Decision::Committing) => return Step::End,
            Some(Decision::Committed | Decision::RolledBack) => return next,
            None => {}
        }
        let record = half.record();
        // Among them are the copies that this round has made.
        if record.store_timestamp() >= self.started_ms {
            return Step::End;
        }
        let times: i32 = match half.property(property::TRANSACTION_CHECK_TIMES) {
            None => 0,
            Some(times) => times.parse().unwrap_or(0),
        };
        let now = now_ms();
        if times >= self.check_max.max(1) || now.saturating_sub(record.born_timestamp()) > self.reserved_ms {
            return self.done(self.give_up(half), next);
        }
        // A producer's clock may be ahead of ours.
        let age = now.saturating_sub(record.born_timestamp().min(record.store_timestamp()));
        let immunity = half.property(property::CHECK_IMMUNITY_TIME_IN_SECONDS);
        match immunity.map(|seconds| seconds.parse::<i64>().ok().filter(|seconds| *seconds != -1)) {
            // Those behind it were sent later.
            None if age <= self.timeout_ms => return Step::End,
            Some(seconds) if age <= seconds.map_or(self.timeout_ms, |seconds| seconds.saturating_mul(1000)) => {
                let put = match self.put_back(&half.deferred(), offset) {
                    Err(PutError::PropertiesTooLong(_)) => self.ask_once(half, offset),
                    put => put.map(drop),
                };
                return self.done(put, next);
            }
            _ => {}
        }
        self.done(self.ask(half, offset, times.saturating_add(1)), next)
    }

    /// What was decided lately about a half message, or about the one that it is a deferred copy of.
    fn recently(&self, half: &Half<'_>, offset: i64) -> Option<Decision> {
        let recent = &self.transactions.recent;
        recent.get((self.queue_id, offset)).or_else(|| {
            let first = half.property(property::TRANSACTION_PREPARED_QUEUE_OFFSET)?.parse().ok()?;
            let told = self.decided.contains(first).then_some(Decision::Committed);
            recent.get((self.queue_id, first)).or(told)
        })
    }

    /// Goes on, or ends the round where the store took nothing: the half message must not be passed.
    fn done(&self, result: Result<(), PutError>, next: Step) -> Step {
        match result {
            Ok(()) => next,
            Err(error) => {
                warn!(queue_id = self.queue_id, %error, "half message not stored anew, the check ends here");
                Step::End
            }
        }
    }

    /// Puts a counted copy back and asks a producer about it.
    fn ask(&self, half: &Half<'_>, offset: i64, times: i32) -> Result<(), PutError> {
        let copy = half.checked(times);
        let at = match self.put_back(&copy, offset) {
            Err(PutError::PropertiesTooLong(_)) => return self.ask_once(half, offset),
            put => put?,
        };
        self.ask_producer(half, &copy, &at);
        Ok(())
    }

    /// Asks a producer about a half message whose properties leave no room to count it, and gives it up. It can still be
    /// decided where it is. Java tries again for good, and checks none behind it.
    fn ask_once(&self, half: &Half<'_>, offset: i64) -> Result<(), PutError> {
        self.give_up(half)?;
        let record = half.record();
        let at = Appended {
            physical_offset: record.physical_offset(),
            size: i32::try_from(record.size()).unwrap_or(i32::MAX),
            queue_offset: offset,
            store_timestamp: record.store_timestamp(),
        };
        self.ask_producer(half, &half.given_up(), &at);
        Ok(())
    }

    /// Asks a producer of the group about the copy of a half message that was stored at `at`.
    fn ask_producer(&self, half: &Half<'_>, copy: &Outcome<'_>, at: &Appended) {
        let group = half.property(property::PRODUCER_GROUP).unwrap_or_default();
        let question = half::question(half, copy, at, &self.broker_name);
        match self.producer(group) {
            Some(producer) => producer.oneway(question),
            None => warn!(group, topic = half.real_topic, "no producer of the group can be asked about a transaction"),
        }
    }

    /// A producer of the group that reads what it is sent.
    fn producer(&self, group: &str) -> Option<Channel> {
        let mut last = None;
        for _ in 0..ROOM_TRIES {
            let producer = self.broker.producers.available_channel(group)?;
            if producer.queued_bytes() <= QUEUED_BYTES_MAX {
                return Some(producer);
            }
            last = Some(producer);
            if self.transactions.sleep(ROOM_WAIT) {
                break;
            }
        }
        warn!(group, peer = ?last.map(|channel| channel.peer()), "no producer of the group reads what it is sent");
        None
    }

    fn give_up(&self, half: &Half<'_>) -> Result<(), PutError> {
        let queues = TopicConfig {
            read_queue_nums: 1,
            write_queue_nums: 1,
            perm: PERM_READ | PERM_WRITE,
            ..TopicConfig::new(CHECK_MAX_TIME_TOPIC)
        };
        if !self.broker.topics.contains(CHECK_MAX_TIME_TOPIC) {
            self.broker.topics.create_if_absent(queues);
        }
        self.put(&half.given_up())?;
        self.transactions.metrics.add(half.real_topic, -1);
        let key = half.property(property::UNIQ_KEY);
        error!(topic = half.real_topic, key, "half message given up, it is in {CHECK_MAX_TIME_TOPIC} now");
        Ok(())
    }

    /// Puts a copy of the half message at `offset` at the end of the queue.
    fn put_back(&self, copy: &Outcome<'_>, offset: i64) -> Result<Appended, PutError> {
        let at = self.put(copy)?;
        self.transactions.recent.copied((self.queue_id, offset), (self.queue_id, at.queue_offset));
        Ok(at)
    }

    fn put(&self, outcome: &Outcome<'_>) -> Result<Appended, PutError> {
        let message = outcome.message();
        let appended = self.broker.store.put(&message)?;
        self.broker.stats.put(message.topic, message.queue_id, 1, i64::from(appended.size), 0, true);
        Ok(appended)
    }
}

fn committed(broker: &Broker, queue_id: i32) -> Option<Position> {
    let offset = |topic| broker.offsets.committed(topic, CHECK_GROUP, queue_id, false);
    let (half, op) = (offset(HALF_TOPIC), offset(HALF_OP_TOPIC));
    (half.is_some() || op.is_some()).then(|| Position { half: half.unwrap_or(0), op: op.unwrap_or(0) })
}

fn commit(broker: &Broker, queue_id: i32, position: Position) {
    let step = broker.config().broker.consumer_offset_update_version_step;
    broker.offsets.commit(HALF_TOPIC, CHECK_GROUP, queue_id, position.half, step);
    broker.offsets.commit(HALF_OP_TOPIC, CHECK_GROUP, queue_id, position.op, step);
}

/// An offset within what a queue holds.
fn within(broker: &Broker, topic: &str, queue_id: i32, offset: i64) -> i64 {
    let min = broker.store.min_offset(topic, queue_id).max(0);
    let max = broker.store.max_offset(topic, queue_id).max(min);
    if !(min..=max).contains(&offset) {
        warn!(topic, queue_id, offset, min, max, "offset of the check is outside its queue, corrected");
    }
    offset.clamp(min, max)
}

/// Waits until everything stored so far is on disk.
fn flushed(broker: &Broker) -> bool {
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |flushed: Result<(), _>| {
        let _ = sender.send(flushed.is_ok());
    });
    broker.store.when_flushed(broker.store.max_physical_offset(), FLUSH_MAX, done);
    receiver.recv_timeout(FLUSH_MAX * 2).unwrap_or(false)
}
