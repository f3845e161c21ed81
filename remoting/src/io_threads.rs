//! The threads that connections live on.
//!
//! Each thread runs a scheduler of its own and keeps the connections it was given: a request is read, handled and
//! answered without another thread being woken. A scheduler that shares tasks between threads would wake a second thread
//! for nearly every request of a quiet server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads for work that a connection may not do itself, at most, for each I/O thread.
const BLOCKING_THREADS_MAX: usize = 16;
/// How much they step back: a consumer that reads old messages from the disk is not to slow down those who send.
const BLOCKING_NICE: i32 = 5;

/// Threads that connections are spread over, each to the one with the fewest. The threads end when the last clone is
/// dropped, and with them what is left of their connections.
#[derive(Clone)]
pub struct IoThreads(Arc<[IoThread]>);

struct IoThread {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Ends the thread when dropped; `None` where the runtime is somebody else's.
    _running: Option<Running>,
}

/// Tells the thread to end when it is dropped.
struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl IoThreads {
    /// As many threads as this process may use processors.
    ///
    /// # Errors
    /// When a thread, or what it polls the network with, cannot be made.
    pub fn start() -> io::Result<Self> {
        Self::with_count(std::thread::available_parallelism().map_or(1, Into::into))
    }

    /// `count` threads, at least one.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn with_count(count: usize) -> io::Result<Self> {
        (0..count.max(1)).map(IoThread::start).collect::<io::Result<_>>().map(Self)
    }

    /// No threads of its own: connections live on the runtime that this is called in.
    pub fn current() -> Self {
        Self(Arc::new([IoThread { runtime: Handle::current(), connections: Arc::default(), _running: None }]))
    }

    /// Where the next connection is to live.
    pub(crate) fn place(&self) -> Place {
        // There is always one.
        let thread = self.0.iter().min_by_key(|thread| thread.connections.load(Ordering::Relaxed));
        let thread = thread.unwrap_or(&self.0[0]);
        thread.connections.fetch_add(1, Ordering::Relaxed);
        Place { runtime: thread.runtime.clone(), connections: thread.connections.clone() }
    }
}

/// A connection's place on a thread, given back when it is dropped.
pub(crate) struct Place {
    pub(crate) runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl IoThread {
    fn start(index: usize) -> io::Result<Self> {
        // The hook is for the blocking threads only: the runtime runs on a thread of ours.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .on_thread_start(step_back)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(format!("io-{index}")).spawn(move || {
            // Ends with an error, because the sender is dropped.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        let running = Running { stop: Some(stop), thread: Some(thread) };
        Ok(Self { runtime: handle, connections: Arc::default(), _running: Some(running) })
    }
}

/// Lets the calling thread have the processor only when nobody who answers at once wants it.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), BLOCKING_NICE) {
        tracing::debug!(%error, "a blocking thread keeps its priority");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        // The last clone may be dropped on one of the threads themselves.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}
