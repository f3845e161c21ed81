//! Transactions: messages whose producer decides later whether consumers may see them.
//!
//! A half message lies in `RMQ_SYS_TRANS_HALF_TOPIC` ([`half`]) until its producer commits or rolls it back
//! (`handler/end_transaction.rs`). A commit stores it in its real topic; then, and for a rollback only, its queue offset
//! goes into an op message in `RMQ_SYS_TRANS_OP_HALF_TOPIC` ([`ops`]). Half messages without one are checked again and
//! again ([`check`], with [`decided`] for what the op messages say): a copy is put at the end of the half queue and some
//! producer of the group is asked. [`recent`] knows decisions before their op message is stored, [`metrics`] counts.
//!
//! Everything is Java's on disk: topics, properties, op messages, and how far the check has got as consumer offsets of
//! the group `CID_RMQ_SYS_TRANS` in both topics. A commit is in the log before its op message, so no crash leaves an op
//! message of a commit that is lost; a crash between the two makes the check ask once more.

pub mod check;
pub mod decided;
pub mod half;
pub mod metrics;
pub mod ops;
pub mod recent;

use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::error;

use self::metrics::TransactionMetrics;
use self::ops::PendingOps;
use self::recent::Recent;
use crate::context::Broker;

/// Group whose offsets tell how far the check has got. Java: `MixAll.CID_SYS_RMQ_TRANS`.
pub const CHECK_GROUP: &str = "CID_RMQ_SYS_TRANS";

/// Longest sleep of a thread, so that changed settings and a broker that is gone are noticed.
const SLEEP_MAX: Duration = Duration::from_millis(500);

/// The state of transactions, and the threads that work on it.
pub struct Transactions {
    /// Half messages pending, by real topic.
    pub metrics: TransactionMetrics,
    /// What was decided lately.
    pub recent: Recent,
    /// Decisions that no op message tells yet.
    pub ops: PendingOps,
    stop: Stop,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Ends the sleep of the threads.
#[derive(Default)]
struct Stop {
    stopping: Mutex<bool>,
    changed: Condvar,
}

impl Transactions {
    /// Nothing is checked and no op message written before [`Transactions::start`].
    pub fn new(metrics: TransactionMetrics) -> Self {
        Self {
            metrics,
            recent: Recent::default(),
            ops: PendingOps::default(),
            stop: Stop::default(),
            threads: Mutex::default(),
        }
    }

    /// Starts the threads. They end by [`Transactions::stop`], or when the broker is dropped.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(self: &Arc<Self>, broker: &Arc<Broker>) -> io::Result<()> {
        let spawn = |name: &str, work: fn(&Self, &Weak<Broker>)| {
            let (transactions, broker) = (self.clone(), Arc::downgrade(broker));
            std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&transactions, &broker))
        };
        let mut threads = self.threads.lock();
        threads.push(spawn("transaction-op", ops::run)?);
        threads.push(spawn("transaction-check", check::run)?);
        Ok(())
    }

    /// Ends the threads; op messages of all decisions are stored then. Must come before the store is shut down.
    pub fn stop(&self) {
        *self.stop.stopping.lock() = true;
        self.stop.changed.notify_all();
        self.ops.wake();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // The last handle to the broker may be dropped on one of these threads; it ends by itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                error!("a thread that works on transactions had panicked");
            }
        }
    }

    /// Whether the threads are to end.
    fn is_stopping(&self) -> bool {
        *self.stop.stopping.lock()
    }

    /// Sleeps for `pause` or until the threads are to end; true when they are.
    fn sleep(&self, pause: Duration) -> bool {
        let mut stopping = self.stop.stopping.lock();
        if !*stopping {
            self.stop.changed.wait_for(&mut stopping, pause);
        }
        *stopping
    }
}
