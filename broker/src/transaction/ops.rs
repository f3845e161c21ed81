//! Op messages: which half messages are decided, told in batches.
//!
//! An op message lies in the queue of `RMQ_SYS_TRANS_OP_HALF_TOPIC` that its half messages' queue has; its body is their
//! queue offsets as decimal text, each followed by `,`. It is stored once it has `transactionOpMsgMaxSize` bytes, or
//! `transactionOpBatchInterval` after the first decision in it. Source: `TransactionalMessageServiceImpl`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Weak;
use std::time::{Duration, Instant};

use hypergol_store::PutError;
use parking_lot::{Condvar, Mutex};
use tracing::{error, warn};

use super::half::op_message;
use super::{SLEEP_MAX, Transactions};
use crate::context::{Broker, now_ms};
use crate::names::HALF_OP_TOPIC;

/// Decisions that wait at most. Beyond it (the store takes nothing, so no commits come either) they are forgotten, and
/// the check asks once more.
const PENDING_MAX: usize = 1 << 20;
/// Bounds of the size of an op message's body, whatever is configured.
const BODY_MIN: usize = 1;
const BODY_MAX: usize = 1 << 20;
/// Digits of the longest offset, and a comma.
const ENTRY_MAX: usize = 20;
/// Pause after an op message could not be stored.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Decisions that no op message tells yet.
#[derive(Default)]
pub struct PendingOps {
    pending: Mutex<Pending>,
    wake: Condvar,
}

#[derive(Default)]
struct Pending {
    queues: BTreeMap<i32, QueueOps>,
    total: usize,
    /// Somebody wants the thread to look.
    woken: bool,
}

struct QueueOps {
    offsets: VecDeque<i64>,
    /// Bytes of text that they make.
    bytes: usize,
    /// When the first of them came.
    since: Instant,
}

impl PendingOps {
    /// Notes that a half message is decided.
    pub fn add(&self, queue_id: i32, queue_offset: i64, body_max: usize) {
        let mut pending = self.pending.lock();
        if pending.total >= PENDING_MAX {
            warn!(queue_id, queue_offset, "too many decided half messages wait for an op message, one is forgotten");
            return;
        }
        pending.total += 1;
        let queue = pending.queues.entry(queue_id).or_insert_with(|| QueueOps {
            offsets: VecDeque::new(),
            bytes: 0,
            since: Instant::now(),
        });
        let first = queue.offsets.is_empty();
        if first {
            queue.since = Instant::now();
        }
        queue.offsets.push_back(queue_offset);
        let before = queue.bytes;
        queue.bytes += text_length(queue_offset);
        if first || (before < body_max && queue.bytes >= body_max) {
            pending.woken = true;
            self.wake.notify_one();
        }
    }

    /// Decisions that wait.
    pub fn len(&self) -> usize {
        self.pending.lock().total
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has the thread look.
    pub(super) fn wake(&self) {
        self.pending.lock().woken = true;
        self.wake.notify_one();
    }

    /// Sleeps until something may be due, [`SLEEP_MAX`] at most.
    fn wait(&self, interval: Duration) {
        let mut pending = self.pending.lock();
        if !std::mem::take(&mut pending.woken) {
            let due = pending.queues.values().filter(|queue| !queue.offsets.is_empty());
            let due = due.map(|queue| interval.saturating_sub(queue.since.elapsed())).min();
            self.wake.wait_for(&mut pending, due.unwrap_or(SLEEP_MAX).min(SLEEP_MAX));
            pending.woken = false;
        }
    }

    /// Takes the text of the next op message that is due: of any that there is, with `all`. What is taken waits no
    /// longer; [`PendingOps::put_back`] undoes it.
    fn take(&self, interval: Duration, body_max: usize, all: bool) -> Option<(i32, Vec<i64>)> {
        let mut pending = self.pending.lock();
        let is_due = |queue: &QueueOps| all || queue.bytes >= body_max || queue.since.elapsed() >= interval;
        let (queue_id, queue) =
            pending.queues.iter_mut().find(|(_, queue)| !queue.offsets.is_empty() && is_due(queue))?;
        let queue_id = *queue_id;
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < body_max
            && let Some(offset) = queue.offsets.pop_front()
        {
            bytes += text_length(offset);
            taken.push(offset);
        }
        queue.bytes = queue.bytes.saturating_sub(bytes);
        queue.since = Instant::now();
        pending.total = pending.total.saturating_sub(taken.len());
        Some((queue_id, taken))
    }

    fn put_back(&self, queue_id: i32, offsets: &[i64]) {
        let mut pending = self.pending.lock();
        pending.total += offsets.len();
        let queue = pending.queues.entry(queue_id).or_insert_with(|| QueueOps {
            offsets: VecDeque::new(),
            bytes: 0,
            since: Instant::now(),
        });
        for offset in offsets.iter().rev() {
            queue.offsets.push_front(*offset);
            queue.bytes += text_length(*offset);
        }
    }
}

fn text_length(offset: i64) -> usize {
    itoa::Buffer::new().format(offset).len() + 1
}

fn text(offsets: &[i64]) -> String {
    let mut text = String::with_capacity(offsets.len() * ENTRY_MAX / 2);
    for offset in offsets {
        text.push_str(itoa::Buffer::new().format(*offset));
        text.push(',');
    }
    text
}

/// The queue offsets that an op message's body tells. Entries that are no offsets are left out; 4.x wrote a single
/// number without a comma.
pub fn offsets_in(body: &[u8]) -> impl Iterator<Item = i64> {
    let entries = body.split(|byte| *byte == b',');
    entries.filter_map(|entry| std::str::from_utf8(entry).ok()?.parse().ok()).filter(|offset| *offset >= 0)
}

/// Size of an op message's body from which it is stored.
pub fn body_max(broker: &Broker) -> usize {
    usize::try_from(broker.config().broker.transaction_op_msg_max_size).unwrap_or(0).clamp(BODY_MIN, BODY_MAX)
}

/// Stores op messages, until the broker ends.
pub(super) fn run(transactions: &Transactions, broker: &Weak<Broker>) {
    loop {
        let stopping = transactions.is_stopping();
        let Some(current) = broker.upgrade() else { return };
        let interval = u64::try_from(current.config().broker.transaction_op_batch_interval).unwrap_or(0);
        let interval = Duration::from_millis(interval);
        let stored = store_due(transactions, &current, interval, stopping);
        drop(current);
        if stopping {
            if let Err(error) = stored {
                error!(%error, "op messages not stored; transactions that were decided will be checked again");
            }
            return;
        }
        match stored {
            Ok(()) => transactions.ops.wait(interval),
            Err(error) => {
                warn!(%error, "op message not stored, trying again");
                transactions.sleep(RETRY_PAUSE);
            }
        }
    }
}

/// Stores the op messages that are due, or all.
fn store_due(transactions: &Transactions, broker: &Broker, interval: Duration, all: bool) -> Result<(), PutError> {
    let body_max = body_max(broker);
    while let Some((queue_id, offsets)) = transactions.ops.take(interval, body_max, all) {
        let body = text(&offsets);
        match broker.store.put(&op_message(queue_id, &body, broker.store_host, now_ms())) {
            Ok(appended) => broker.stats.put(HALF_OP_TOPIC, queue_id, 1, i64::from(appended.size), 0, true),
            Err(error) => {
                transactions.ops.put_back(queue_id, &offsets);
                return Err(error);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_batch_is_due_by_size_or_time() {
        let ops = PendingOps::default();
        for offset in [0, 7, 10] {
            ops.add(0, offset, 8);
        }
        assert_eq!(ops.take(LONG, 8, false), None, "7 bytes");
        assert_eq!(ops.take(Duration::ZERO, 8, false), Some((0, vec![0, 7, 10])));
        for offset in [100, 101, 102] {
            ops.add(2, offset, 8);
        }
        assert_eq!(ops.take(LONG, 8, false), Some((2, vec![100, 101])));
        assert_eq!(ops.take(LONG, 8, false), None);
        assert_eq!(ops.len(), 1);
        assert_eq!(ops.take(LONG, 8, true), Some((2, vec![102])));
        assert_eq!((ops.take(LONG, 8, true), ops.is_empty()), (None, true));
    }

    #[test]
    fn what_could_not_be_stored_comes_first_again() {
        let ops = PendingOps::default();
        for offset in [1, 2, 3] {
            ops.add(0, offset, 4);
        }
        let (queue_id, taken) = ops.take(LONG, 4, false).unwrap();
        assert_eq!(taken, [1, 2]);
        ops.put_back(queue_id, &taken);
        assert_eq!(ops.take(LONG, 100, true), Some((0, vec![1, 2, 3])));
        assert!(ops.is_empty());
    }

    #[test]
    fn bodies_are_written_and_read_as_java_does() {
        assert_eq!(text(&[0, 1, 234]), "0,1,234,");
        let read = |body: &[u8]| offsets_in(body).collect::<Vec<_>>();
        assert_eq!(read(b"0,1,234,"), [0, 1, 234]);
        assert_eq!(read(b"17"), [17], "as 4.x wrote it");
        assert_eq!(read(b""), []);
        assert_eq!(read(b",,x,-1,99999999999999999999,5"), [5]);
        assert_eq!(read(&[0xff, b',', b'3']), [3]);
    }

    #[test]
    fn memory_is_bounded() {
        let ops = PendingOps::default();
        for offset in 0..PENDING_MAX as i64 + 10 {
            ops.add(0, offset, 4096);
        }
        assert_eq!(ops.len(), PENDING_MAX);
    }
}
