//! Requests that waited and are due: lanes to the tasks that run them once more, and the clock that finds them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use hypergol_remoting::Responder;
use parking_lot::RwLock;
use tokio::sync::{Notify, mpsc};

/// A request that can wait.
pub trait Waiting {
    /// Requests that agree in this are run one after the other.
    fn lane(&self) -> impl Hash;

    /// Answers it.
    fn responder(&self) -> &Responder;
}

/// Ways to the tasks. Unbounded, but never with more than the table of those that wait may hold.
pub struct Lanes<T> {
    /// Empty once closed, so that the tasks come to their end.
    senders: RwLock<Vec<mpsc::UnboundedSender<Box<T>>>>,
}

/// Where requests go that are due; each belongs to one task.
pub type Due<T> = mpsc::UnboundedReceiver<Box<T>>;

impl<T: Waiting> Lanes<T> {
    /// So many lanes, at least one, and their ends.
    pub fn new(count: usize) -> (Self, Vec<Due<T>>) {
        let (senders, ends) = (0..count.max(1)).map(|_| mpsc::unbounded_channel()).unzip();
        (Self { senders: RwLock::new(senders) }, ends)
    }

    /// Has a request run once more, if its client is still there.
    pub fn send(&self, request: Box<T>) {
        if request.responder().channel().is_closed() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        request.lane().hash(&mut hasher);
        let senders = self.senders.read();
        // Without lanes, or with one whose task is gone, the responder answers as it is dropped.
        if let Some(lane) = (hasher.finish() as usize).checked_rem(senders.len()).and_then(|lane| senders.get(lane)) {
            let _ = lane.send(request);
        }
    }

    /// Ends the lanes after what is in them.
    pub fn close(&self) {
        self.senders.write().clear();
    }
}

/// Calls `expire` whenever the `first` deadline has passed; never returns. `earlier` tells that there is an earlier one.
pub async fn expire(earlier: &Notify, first: impl Fn() -> Option<Instant>, expire: impl Fn(Instant)) {
    loop {
        match first() {
            None => earlier.notified().await,
            Some(deadline) if deadline > Instant::now() => {
                tokio::select! {
                    () = tokio::time::sleep_until(deadline.into()) => {}
                    () = earlier.notified() => {}
                }
            }
            Some(_) => expire(Instant::now()),
        }
    }
}
