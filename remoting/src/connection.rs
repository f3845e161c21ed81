//! One connection: a task that reads frames, hands them on, and writes what was queued meanwhile.
//!
//! The task reads whatever the socket has, handles every whole frame of it, and then writes all answers given so far
//! with one vectored write. An answer given on the task itself costs no wake-up; one given from elsewhere wakes it.
//! Requests that have waited come back to the task, so that they are answered as the others are.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::{Hash, Hasher};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use bytes::BytesMut;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, timeout};
use tracing::{debug, warn};

use crate::opening::{self, Opening};
use crate::outgoing::Outgoing;
use crate::protocol::codec::{self, FrameError};
use crate::protocol::command::RemotingCommand;
use crate::read_ahead::ReadAhead;
use crate::responder::Responder;
use crate::tls::ServerTls;

/// Room asked for before each read: the least, for connections with little to say, and the most, for those that fill
/// it. A frame that is longer grows the buffer as its bytes arrive.
const READ_BYTES_MIN: usize = 16 * 1024;
const READ_BYTES_MAX: usize = 128 * 1024;
/// Growth of the read buffer while a long frame arrives. Bounds what a sender gets reserved ahead of its bytes.
const READ_GROWTH_BYTES_MAX: usize = 1024 * 1024;
/// Capacity above which a buffer is given back once it is empty.
const BUFFER_KEPT_BYTES_MAX: usize = 256 * 1024;
/// Frames handled before the answers so far are written and other connections get their turn.
const FRAMES_PER_TURN: usize = 128;
/// Queued bytes of answers above which no further requests are read from the connection. Requests of ours do not count:
/// with both directions full, whoever asks must go on reading.
const ANSWER_BYTES_HIGH: usize = 4 * 1024 * 1024;
/// Queued bytes above which the peer counts as dead: it asks but does not read.
const QUEUED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Requests of one connection that may wait for their answer; beyond it they are answered SYSTEM_BUSY at once.
pub(crate) const REQUESTS_WAITING_MAX: usize = 65_536;
/// Requests of ours on one connection that may wait for the peer.
const INVOCATIONS_MAX: usize = 65_536;
/// How long the farewell of a TLS connection may take.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Who answers the requests of a connection.
pub trait Handler: Send + Sync + 'static {
    /// Handles one request. Runs on the connection's task: must not block. The responder may be kept and used later.
    fn request(&self, request: RemotingCommand, responder: Responder);

    /// Handles a request once more that has waited ([`Responder::resume`]). Runs on the connection's task, as
    /// [`Self::request`] does, and does the same unless told otherwise.
    fn resumed(&self, request: RemotingCommand, responder: Responder) {
        self.request(request, responder);
    }

    /// The connection's task has handled some requests, and their answers were written as far as the socket took them.
    /// The place for work that several requests can share. Must not block.
    fn turn_ended(&self) {}

    /// A connection was accepted, or made.
    fn connected(&self, _channel: &Channel) {}

    /// A connection is gone; called once, after the last [`Self::request`] of it began.
    fn closed(&self, _channel: &Channel) {}
}

/// What a connection allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Neither read nor write for so long closes the connection. Java: serverChannelMaxIdleTimeSeconds, 120 s.
    pub idle_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle_max: Duration::from_secs(120) }
    }
}

/// Why a request of ours got no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvokeError {
    /// The connection closed first, or had closed before.
    #[error("the connection to {0} is closed")]
    Closed(SocketAddr),
    /// No answer came in time.
    #[error("no answer from {peer} within {timeout:?}")]
    Timeout {
        /// Who was asked.
        peer: SocketAddr,
        /// How long was waited.
        timeout: Duration,
    },
    /// Too many requests wait for this peer.
    #[error("too many requests wait for {0}")]
    Busy(SocketAddr),
}

/// A handle on a connection: sends requests and answers, and tells who the peer is. Clones name the same connection.
#[derive(Clone)]
pub struct Channel(Arc<Shared>);

struct Shared {
    id: u64,
    local: SocketAddr,
    peer: Mutex<SocketAddr>,
    outbox: Mutex<Outbox>,
    wake: AtomicWaker,
    closing: AtomicBool,
    opaque: AtomicI32,
    requests_waiting: AtomicUsize,
    invocations: Mutex<HashMap<i32, oneshot::Sender<RemotingCommand>>>,
}

struct Outbox {
    queued: Outgoing,
    /// Requests that have waited and are to be handled once more.
    resumed: VecDeque<Box<Resumed>>,
    /// The connection's task is handling frames and will look at `queued` before it sleeps.
    attended: bool,
    closed: bool,
}

/// A request that has waited.
struct Resumed {
    request: RemotingCommand,
    responder: Responder,
}

impl Channel {
    fn new(local: SocketAddr, peer: SocketAddr) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            local,
            peer: Mutex::new(peer),
            outbox: Mutex::new(Outbox {
                queued: Outgoing::default(),
                resumed: VecDeque::new(),
                attended: false,
                closed: false,
            }),
            wake: AtomicWaker::new(),
            closing: AtomicBool::new(false),
            opaque: AtomicI32::new(0),
            requests_waiting: AtomicUsize::new(0),
            invocations: Mutex::default(),
        }))
    }

    /// Unique in this process.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Address of the peer; of the client where a proxy announced it.
    pub fn peer(&self) -> SocketAddr {
        *self.0.peer.lock()
    }

    /// Our address.
    pub fn local(&self) -> SocketAddr {
        self.0.local
    }

    /// Whether the connection is gone or about to go.
    pub fn is_closed(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    /// Closes the connection after what is queued was written as far as the socket takes it at once.
    pub fn close(&self) {
        self.0.closing.store(true, Ordering::Release);
        self.0.wake.wake();
    }

    /// Queues a command as it is. Nothing happens when the connection is gone.
    pub fn send(&self, command: &RemotingCommand) {
        let mut outbox = self.0.outbox.lock();
        if outbox.closed {
            return;
        }
        outbox.queued.push(command);
        let overflow = outbox.queued.bytes() > QUEUED_BYTES_MAX;
        let attended = outbox.attended;
        drop(outbox);
        if overflow {
            warn!(peer = %self.peer(), bytes = QUEUED_BYTES_MAX, "peer does not read its answers, closing");
            self.close();
        } else if !attended {
            self.0.wake.wake();
        }
    }

    /// Has the connection's task handle a request once more; forgets it when the connection is gone.
    pub(crate) fn resume(&self, request: RemotingCommand, responder: Responder) {
        let resumed = Box::new(Resumed { request, responder });
        let mut outbox = self.0.outbox.lock();
        if outbox.closed {
            // The responder must not find the lock taken.
            drop(outbox);
            return;
        }
        outbox.resumed.push_back(resumed);
        // Who put the first one there has woken the task.
        let first = outbox.resumed.len() == 1;
        drop(outbox);
        if first {
            self.0.wake.wake();
        }
    }

    fn has_resumed(&self) -> bool {
        !self.0.outbox.lock().resumed.is_empty()
    }

    /// Bytes that wait for the peer to read them.
    pub fn queued_bytes(&self) -> usize {
        self.0.outbox.lock().queued.bytes()
    }

    /// Sends a request that has no answer.
    pub fn oneway(&self, mut request: RemotingCommand) {
        request.opaque = self.next_opaque();
        request.mark_oneway();
        self.send(&request);
    }

    /// Sends a request and waits for its answer.
    pub async fn invoke(
        &self,
        mut request: RemotingCommand,
        timeout: Duration,
    ) -> Result<RemotingCommand, InvokeError> {
        let opaque = self.next_opaque();
        request.opaque = opaque;
        let (sender, receiver) = oneshot::channel();
        {
            let mut invocations = self.0.invocations.lock();
            if self.is_closed() {
                return Err(InvokeError::Closed(self.peer()));
            }
            if invocations.len() >= INVOCATIONS_MAX {
                return Err(InvokeError::Busy(self.peer()));
            }
            invocations.insert(opaque, sender);
        }
        // Forgets the invocation also when the caller stops waiting.
        let _forget = Forget { channel: self, opaque };
        self.send(&request);
        match tokio::time::timeout(timeout, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(InvokeError::Closed(self.peer())),
            Err(_) => Err(InvokeError::Timeout { peer: self.peer(), timeout }),
        }
    }

    /// Says who the peer is, where a proxy stands between.
    pub(crate) fn set_peer(&self, peer: SocketAddr) {
        *self.0.peer.lock() = peer;
    }

    /// Drives a future until the connection is told to close; `None` then.
    async fn while_open<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        poll_fn(|context| {
            self.0.wake.register(context.waker());
            if self.is_closed() { Poll::Ready(None) } else { future.as_mut().poll(context).map(Some) }
        })
        .await
    }

    fn next_opaque(&self) -> i32 {
        self.0.opaque.fetch_add(1, Ordering::Relaxed)
    }

    fn answered(&self, answer: RemotingCommand) {
        let waiting = self.0.invocations.lock().remove(&answer.opaque);
        match waiting {
            Some(sender) => drop(sender.send(answer)),
            None => debug!(peer = %self.peer(), opaque = answer.opaque, "answer to no request of ours, or too late"),
        }
    }

    /// Takes a place among the requests that wait; false when there is none.
    pub(crate) fn begin_request(&self) -> bool {
        self.0.requests_waiting.fetch_add(1, Ordering::Relaxed) < REQUESTS_WAITING_MAX
    }

    /// Gives back the place taken by [`Self::begin_request`].
    pub(crate) fn end_request(&self) {
        self.0.requests_waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn set_attended(&self, attended: bool) {
        self.0.outbox.lock().attended = attended;
    }

    /// Gives up what is queued and everybody who waits for an answer.
    fn finish(&self) {
        self.0.closing.store(true, Ordering::Release);
        let mut outbox = self.0.outbox.lock();
        outbox.closed = true;
        outbox.queued = Outgoing::default();
        let resumed = std::mem::take(&mut outbox.resumed);
        drop(outbox);
        drop(resumed);
        self.0.invocations.lock().clear();
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Channel {}

impl Hash for Channel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({} {} -> {})", self.0.id, self.peer(), self.local())
    }
}

struct Forget<'a> {
    channel: &'a Channel,
    opaque: i32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.channel.0.invocations.lock().remove(&self.opaque);
    }
}

/// Prepares a connection that a client made: the handle, and the future that is the connection's life.
pub(crate) fn accepted(
    stream: TcpStream,
    local: SocketAddr,
    peer: SocketAddr,
    handler: Arc<dyn Handler>,
    limits: Limits,
    tls: Arc<ServerTls>,
) -> (Channel, impl Future<Output = ()> + Send) {
    let channel = Channel::new(local, peer);
    let serving = serve(stream, channel.clone(), handler.clone(), limits, tls);
    (channel.clone(), live(channel, handler, serving))
}

/// Prepares a connection that we made to a server: the handle, and the future that is the connection's life.
pub(crate) fn connected<S>(
    stream: S,
    local: SocketAddr,
    peer: SocketAddr,
    handler: Arc<dyn Handler>,
    limits: Limits,
) -> (Channel, impl Future<Output = ()> + Send)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let channel = Channel::new(local, peer);
    let mut connection = Connection::new(stream, BytesMut::new(), channel.clone(), handler.clone(), limits);
    let serving = async move {
        let end = connection.run().await;
        connection.say_farewell().await;
        end
    };
    (channel.clone(), live(channel, handler, serving))
}

/// Tells the handler of the beginning and the end of a connection.
async fn live(channel: Channel, handler: Arc<dyn Handler>, serving: impl Future<Output = End>) {
    handler.connected(&channel);
    let end = serving.await;
    channel.finish();
    handler.closed(&channel);
    match end {
        End::Closed => debug!(?channel, "connection closed"),
        End::Idle => debug!(?channel, "idle connection closed"),
        End::Failed(error) => debug!(?channel, %error, "connection failed"),
        End::BadFrame(error) => warn!(?channel, %error, "bad frame, connection closed"),
        End::Refused(reason) => warn!(?channel, reason, "connection refused"),
        End::BadHandshake(error) => warn!(?channel, %error, "TLS handshake failed, connection closed"),
    }
}

/// Finds out what the client speaks, and goes on in that.
async fn serve(
    mut stream: TcpStream,
    channel: Channel,
    handler: Arc<dyn Handler>,
    limits: Limits,
    tls: Arc<ServerTls>,
) -> End {
    let mut input = BytesMut::new();
    let opening = timeout(limits.idle_max, opening::read(&mut stream, &mut input, &channel, &tls));
    match channel.while_open(opening).await {
        None => End::Closed,
        Some(Err(_)) => End::Idle,
        Some(Ok(Err(end))) => end,
        Some(Ok(Ok(Opening::Plain))) => Connection::new(stream, input, channel, handler, limits).run().await,
        // On the heap, so that connections in plain text take no room for it.
        Some(Ok(Ok(Opening::Tls))) => {
            let stream = ReadAhead::with_input(stream, input);
            Box::pin(serve_tls(stream, channel, handler, limits, tls)).await
        }
    }
}

async fn serve_tls(
    stream: ReadAhead,
    channel: Channel,
    handler: Arc<dyn Handler>,
    limits: Limits,
    tls: Arc<ServerTls>,
) -> End {
    let stream = match channel.while_open(tls.accept(stream)).await {
        None => return End::Closed,
        Some(Err(error)) => return End::BadHandshake(error),
        Some(Ok(stream)) => stream,
    };
    let mut connection = Connection::new(stream, BytesMut::new(), channel, handler, limits);
    let end = connection.run().await;
    connection.say_farewell().await;
    end
}

struct Connection<S> {
    stream: S,
    input: BytesMut,
    /// Room asked for before the next read.
    room: usize,
    /// What is being written; the outbox fills another meanwhile.
    writing: Outgoing,
    /// The stream, where it is one that buffers (TLS), may hold what was written to it.
    unflushed: bool,
    channel: Channel,
    handler: Arc<dyn Handler>,
    active: Instant,
    idle: Pin<Box<Sleep>>,
    limits: Limits,
    /// Requests were handled in this turn.
    handled: bool,
}

/// Twice the room after a read that filled it, half after one that left most of it empty.
fn next_room(room: usize, length: usize) -> usize {
    if length >= room {
        (room * 2).min(READ_BYTES_MAX)
    } else if length < room / 4 {
        (room / 2).max(READ_BYTES_MIN)
    } else {
        room
    }
}

/// Why a connection ended.
pub(crate) enum End {
    Closed,
    Idle,
    Failed(io::Error),
    BadFrame(FrameError),
    Refused(&'static str),
    BadHandshake(io::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection of which `input` was already read.
    fn new(stream: S, input: BytesMut, channel: Channel, handler: Arc<dyn Handler>, limits: Limits) -> Self {
        Self {
            stream,
            input,
            room: READ_BYTES_MIN,
            writing: Outgoing::default(),
            unflushed: false,
            channel,
            handler,
            active: Instant::now(),
            idle: Box::pin(tokio::time::sleep(limits.idle_max)),
            limits,
            handled: false,
        }
    }

    async fn run(&mut self) -> End {
        poll_fn(|context| self.poll(context)).await
    }

    /// Ends what was written in order: TLS says that there is no more.
    async fn say_farewell(&mut self) {
        // Who does not read any more learns it otherwise.
        let _ = timeout(FAREWELL_MAX, self.stream.shutdown()).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        self.channel.0.wake.register(context.waker());
        match self.turn(context) {
            Ok(Turn::Again) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(Turn::Waiting | Turn::Blocked) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Result<Turn, End> {
        self.channel.set_attended(true);
        let read = self.read(context);
        // From here on a sender wakes the task; what was queued before is written now.
        self.channel.set_attended(false);
        let written = self.write(context);
        // Also when the connection is at its end: what was handled was handled.
        self.end_turn();
        written?;
        let turn = read?;
        // What has waited is answered before the connection goes.
        if self.channel.is_closed() && !(turn == Turn::Again && self.channel.has_resumed()) {
            return Err(End::Closed);
        }
        self.check_idle(context)?;
        // With everything written there is nothing left that would wake the task to read on.
        Ok(if turn == Turn::Blocked && self.writing.is_empty() { Turn::Again } else { turn })
    }

    /// Reads and handles frames until the socket has no more, or it is time to write.
    fn read(&mut self, context: &mut Context<'_>) -> Result<Turn, End> {
        let mut frames = 0;
        loop {
            let mut outbox = self.channel.0.outbox.lock();
            if outbox.queued.answer_bytes() + self.writing.answer_bytes() > ANSWER_BYTES_HIGH {
                return Ok(Turn::Blocked);
            }
            let resumed = outbox.resumed.pop_front();
            drop(outbox);
            if let Some(resumed) = resumed {
                self.resume(*resumed);
                frames += 1;
                if frames >= FRAMES_PER_TURN {
                    return Ok(Turn::Again);
                }
                continue;
            }
            while let Some(command) = self.next_command().map_err(End::BadFrame)? {
                self.handle(command);
                frames += 1;
                if frames >= FRAMES_PER_TURN {
                    return Ok(Turn::Again);
                }
            }
            self.reserve();
            match tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), context, &mut self.input) {
                Poll::Pending => return Ok(Turn::Waiting),
                Poll::Ready(Ok(0)) => return Err(End::Closed),
                Poll::Ready(Ok(length)) => {
                    self.active = Instant::now();
                    self.room = next_room(self.room, length);
                }
                Poll::Ready(Err(error)) => return Err(End::Failed(error)),
            }
        }
    }

    fn reserve(&mut self) {
        if self.input.is_empty() && self.input.capacity() > BUFFER_KEPT_BYTES_MAX {
            self.input = BytesMut::new();
        }
        let missing = codec::missing_bytes(&self.input);
        self.input.reserve(missing.clamp(self.room, READ_GROWTH_BYTES_MAX));
    }

    fn next_command(&mut self) -> Result<Option<RemotingCommand>, FrameError> {
        match codec::cut_frame(&mut self.input)? {
            Some(frame) => codec::decode(frame).map(Some),
            None => Ok(None),
        }
    }

    fn end_turn(&mut self) {
        if !std::mem::take(&mut self.handled) {
            return;
        }
        let handler = &self.handler;
        if catch_unwind(AssertUnwindSafe(|| handler.turn_ended())).is_err() {
            tracing::error!(channel = ?self.channel, "handler panicked at the end of a turn");
        }
    }

    fn handle(&mut self, command: RemotingCommand) {
        if command.is_response() {
            self.channel.answered(command);
            return;
        }
        self.handled = true;
        let Some(responder) = Responder::begin(&self.channel, &command) else { return };
        let code = command.code;
        let handler = &self.handler;
        // A panic is a bug, but one request's: the responder answers as it is dropped, other requests go on.
        if catch_unwind(AssertUnwindSafe(|| handler.request(command, responder))).is_err() {
            tracing::error!(code, channel = ?self.channel, "handler panicked");
        }
    }

    fn resume(&mut self, Resumed { request, responder }: Resumed) {
        self.handled = true;
        let code = request.code;
        let handler = &self.handler;
        if catch_unwind(AssertUnwindSafe(|| handler.resumed(request, responder))).is_err() {
            tracing::error!(code, channel = ?self.channel, "handler panicked");
        }
    }

    /// Writes until nothing is queued or the socket takes no more.
    fn write(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        loop {
            if self.writing.is_empty() {
                self.writing.recycle(BUFFER_KEPT_BYTES_MAX);
                let mut outbox = self.channel.0.outbox.lock();
                if outbox.queued.is_empty() {
                    drop(outbox);
                    return self.flush(context);
                }
                std::mem::swap(&mut outbox.queued, &mut self.writing);
            }
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.writing.slices(&mut slices);
            match Pin::new(&mut self.stream).poll_write_vectored(context, &slices[..count]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(End::Closed),
                Poll::Ready(Ok(written)) => {
                    self.writing.advance(written);
                    self.unflushed = true;
                    self.active = Instant::now();
                }
                Poll::Ready(Err(error)) => return Err(End::Failed(error)),
            }
        }
    }

    /// A stream that buffers must not keep the last answer; while the socket takes no more, this is tried again.
    fn flush(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(End::Failed(error)),
            }
        }
        Ok(())
    }

    /// The timer is not moved at each frame; when it fires it is set anew to what is left.
    fn check_idle(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        while self.idle.as_mut().poll(context).is_ready() {
            let deadline = self.active + self.limits.idle_max;
            if deadline <= Instant::now() {
                return Err(End::Idle);
            }
            self.idle.as_mut().reset(deadline);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// More input may be at hand: come back after the others had their turn.
    Again,
    /// The socket has no more.
    Waiting,
    /// No reading before more is written.
    Blocked,
}
