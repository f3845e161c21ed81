//! Connections and the event loop that drives them: one thread, one epoll, buffers that stay.
//!
//! The loop sleeps until a socket is ready or a [`Driver`] wants to be woken. A timer descriptor wakes it, because the
//! timeout of `epoll_wait` is in milliseconds, far too coarse for latencies counted from when a message was due.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

use super::answer::{self, Answer};
use super::clock::{Clock, SECOND};

/// Size of a read buffer at first; it doubles when one read fills it, or a frame does not fit.
const INPUT_BYTES_MIN: usize = 16 << 10;
/// Bytes of one read at most, so that links get their turn.
const INPUT_BYTES_MAX: usize = 1 << 20;
/// Bytes that may wait for the socket before nothing more is put into an output buffer.
const OUTPUT_BYTES_MAX: usize = 256 << 10;
/// How often a link is filled and written before others get their turn.
const PUMPS_PER_TURN: usize = 8;
/// Events taken by one wait.
const EVENTS_MAX: usize = 256;
/// What the timer is known by; links are known by their number.
const TIMER: u64 = u64::MAX;

/// What a kind of load does on its links.
pub trait Driver {
    /// An answer arrived on `link` at `now`.
    ///
    /// # Errors
    /// When the run makes no sense any more.
    fn answer(&mut self, link: usize, out: &mut Output, answer: &Answer<'_>, now: u64) -> Result<()>;

    /// Appends what is to be sent on `link` now. Called again when that was written.
    fn fill(&mut self, link: usize, out: &mut Output, now: u64);

    /// Called in each turn of the loop, before it sleeps. May put something into outputs of `links`.
    ///
    /// # Errors
    /// When the run makes no sense any more.
    fn turn(&mut self, links: &mut Links, now: u64) -> Result<Turn>;
}

/// What [`Driver::turn`] wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// To be called again at this time at the latest.
    Until(u64),
    /// The run is over.
    Done,
}

/// Bytes that wait for the socket.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    /// Where to append a frame; `None` when enough waits already.
    pub fn room(&mut self) -> Option<&mut Vec<u8>> {
        (self.bytes.len() - self.written < OUTPUT_BYTES_MAX).then_some(&mut self.bytes)
    }

    /// Where to append a frame that must go, however much waits.
    pub fn always(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }
}

struct Link {
    stream: TcpStream,
    out: Output,
    input: Vec<u8>,
    /// The part of `input` that was received and not looked at.
    start: usize,
    end: usize,
}

/// Connections to one server.
pub struct Links {
    epoll: OwnedFd,
    timer: OwnedFd,
    armed: u64,
    links: Vec<Link>,
    /// Links whose output is to be pumped before the next sleep.
    dirty: Vec<usize>,
    clock: Clock,
}

impl Links {
    /// Connects `count` times to `server`, HOST:PORT.
    ///
    /// # Errors
    /// When that is refused, or there are not enough descriptors.
    pub fn connect(server: &str, count: usize, clock: Clock) -> Result<Self> {
        raise_open_files();
        let address = resolve(server)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), edge)?;
        let mut links = Vec::with_capacity(count);
        for index in 0..count {
            let stream = TcpStream::connect(address).with_context(|| format!("connection {index} to {server}"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &stream, data, edge | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP)?;
            links.push(Link { stream, out: Output::default(), input: vec![0; INPUT_BYTES_MIN], start: 0, end: 0 });
        }
        Ok(Self { epoll, timer, armed: 0, links, dirty: (0..count).collect(), clock })
    }

    /// The output of a link, which is written before the loop sleeps.
    pub fn output(&mut self, link: usize) -> &mut Output {
        if self.dirty.last() != Some(&link) {
            self.dirty.push(link);
        }
        &mut self.links[link].out
    }

    /// Whether everything was given to the sockets.
    pub fn written(&self) -> bool {
        self.links.iter().all(|link| link.out.is_empty())
    }

    /// Runs `driver` until it is done.
    ///
    /// # Errors
    /// When a connection is lost, or the driver gives up.
    pub fn run<D: Driver>(&mut self, driver: &mut D) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            let deadline = match driver.turn(self, self.clock.now())? {
                Turn::Until(deadline) => deadline,
                Turn::Done => return Ok(()),
            };
            for link in std::mem::take(&mut self.dirty) {
                self.pump(link, driver)?;
            }
            self.wait(deadline, &mut events)?;
            for event in events.drain(..) {
                let data = event.data.u64();
                if data == TIMER {
                    continue;
                }
                let link = data as usize;
                let flags = event.flags;
                if flags.intersects(!epoll::EventFlags::OUT) {
                    self.read(link, driver)?;
                }
                self.pump(link, driver)?;
            }
        }
    }

    /// Sleeps until a socket is ready or `deadline`; does not sleep when there is work left.
    fn wait(&mut self, deadline: u64, events: &mut Vec<epoll::Event>) -> Result<()> {
        let now = self.clock.now();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at_once = deadline <= now || !self.dirty.is_empty();
        if !at_once && self.armed != deadline {
            let left = deadline - now;
            let value = Timespec { tv_sec: (left / SECOND) as i64, tv_nsec: (left % SECOND) as _ };
            timerfd_settime(
                &self.timer,
                TimerfdTimerFlags::empty(),
                &Itimerspec { it_interval: none, it_value: value },
            )?;
            self.armed = deadline;
        }
        match epoll::wait(&self.epoll, spare_capacity(events), at_once.then_some(&none)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("epoll_wait"),
        }
    }

    /// Reads what the socket has and hands on every whole frame.
    fn read<D: Driver>(&mut self, index: usize, driver: &mut D) -> Result<()> {
        let link = &mut self.links[index];
        loop {
            if link.end == link.input.len() {
                link.make_room();
            }
            let length = match link.stream.read(&mut link.input[link.end..]) {
                Ok(0) => bail!("the server closed connection {index}"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).with_context(|| format!("connection {index}")),
            };
            let now = self.clock.now();
            link.end += length;
            let filled = link.end == link.input.len();
            while let Some(frame) = answer::frame_length(&link.input[link.start..link.end])? {
                let end = link.start + frame;
                if end > link.end {
                    break;
                }
                let answer = answer::parse(&link.input[link.start..end])?;
                // Requests of the server, such as news about a group, need no answer from a generator.
                if answer.response {
                    driver.answer(index, &mut link.out, &answer, now)?;
                }
                link.start = end;
            }
            if link.start == link.end {
                (link.start, link.end) = (0, 0);
            }
            if !filled {
                return Ok(());
            }
        }
    }

    /// Fills the output of a link and writes it until the socket takes no more or there is nothing more.
    fn pump<D: Driver>(&mut self, index: usize, driver: &mut D) -> Result<()> {
        for _ in 0..PUMPS_PER_TURN {
            let link = &mut self.links[index];
            driver.fill(index, &mut link.out, self.clock.now());
            if link.out.is_empty() {
                return Ok(());
            }
            if !link.write().with_context(|| format!("connection {index}"))? {
                return Ok(());
            }
        }
        self.dirty.push(index);
        Ok(())
    }
}

impl Link {
    /// Moves what was not looked at to the front; grows the buffer when that is most of it.
    fn make_room(&mut self) {
        if self.start > self.input.len() / 2 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            return;
        }
        let waiting = answer::frame_length(&self.input[self.start..self.end]).ok().flatten().unwrap_or(0);
        let wanted = (self.input.len() * 2).min(INPUT_BYTES_MAX).max(self.start + waiting).max(self.end + 1);
        self.input.resize(wanted, 0);
    }

    /// False when the socket takes no more.
    fn write(&mut self) -> std::io::Result<bool> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out.bytes[self.out.written..]) {
                Ok(length) => self.out.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.bytes.clear();
        self.out.written = 0;
        Ok(true)
    }
}

/// The first address of HOST:PORT.
///
/// # Errors
/// When there is none.
pub fn resolve(server: &str) -> Result<SocketAddr> {
    let mut addresses = server.to_socket_addrs().with_context(|| format!("{server} is not HOST:PORT"))?;
    addresses.next().with_context(|| format!("{server} has no address"))
}

/// Raises the soft limit of open files to the hard one, as far as the system lets it.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
