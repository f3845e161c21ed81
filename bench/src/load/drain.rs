//! `bench load drain`: reads a backlog from offset 0 of every queue on. What is timed is the pulls.

use anyhow::{Context, Result, ensure};
use clap::Args;
use hypergol_remoting::protocol::command::SerializeType;

use super::answer::Answer;
use super::body::Trailer;
use super::clock::{Clock, SECOND};
use super::control::Control;
use super::flags::{Common, Target};
use super::links::{Driver, Links, Output, Turn};
use super::meter::{Announcer, Meter, Window};
use super::pulls::{Pulled, Puller, Queue, Subject};
use super::reader::Reader;
use super::report::Report;

/// Without a message for so long the backlog does not come any more.
const STALL_MAX: u64 = 60 * SECOND;

/// Flags of `bench load drain`. It takes the time it takes: `--seconds` and `--warmup` mean nothing.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: Target,
    /// Messages to read; all that are there by default
    #[arg(long)]
    messages: Option<u64>,
    /// Messages an answer, at most
    #[arg(long, default_value_t = 32)]
    pull_batch: u32,
    /// Queues that are read at a time
    #[arg(long, default_value_t = 8)]
    in_flight: u32,
}

/// Reads.
///
/// # Errors
/// When the server is not there, refuses, or answers what makes no sense.
pub fn run(options: &Options) -> Result<Report> {
    let Options { common, target, messages, pull_batch, in_flight } = options;
    target.check()?;
    ensure!((1..=1024).contains(pull_batch), "--pull-batch is not within 1 and 1024");
    ensure!(*in_flight > 0, "--in-flight is 0");
    let clock = Clock::start();
    let mut control = Control::connect(&common.addr)?;
    control.prepare(target)?;
    let ends = control.max_offsets(&target.topic, target.queues)?;
    let there: u64 = ends.iter().sum();
    let wanted = messages.unwrap_or(there);
    ensure!(wanted > 0 && wanted <= there, "{there} messages are there, {wanted} are wanted");
    let backlog = Backlog {
        addr: &common.addr,
        topic: &target.topic,
        begins: vec![0; target.queues as usize],
        ends,
        wanted,
        sql: None,
        pull_batch: *pull_batch,
        in_flight: *in_flight,
        form: common.header.serialize_type(),
        announced: true,
    };
    let Outcome { meter, announcer, reader } = backlog.read(clock, &mut |_, _, _| ())?;
    let mut report = Report::new("drain", &meter, &announcer);
    report.found("wanted", wanted);
    reader.report(&mut report);
    if reader.messages < wanted {
        report.fail(format!("{} of {wanted} messages came", reader.messages));
    }
    if !report.errors.is_empty() {
        report.fail("pulls were refused");
    }
    Ok(report)
}

/// What is read, and how.
pub struct Backlog<'a> {
    /// Server, HOST:PORT.
    pub addr: &'a str,
    /// Topic.
    pub topic: &'a str,
    /// Of each queue, the offset to begin at.
    pub begins: Vec<u64>,
    /// Of each queue, the offset to end before.
    pub ends: Vec<u64>,
    /// With so many messages it is over, whatever the ends are.
    pub wanted: u64,
    /// By what messages are selected.
    pub sql: Option<&'a str>,
    /// Messages an answer, at most.
    pub pull_batch: u32,
    /// Queues that are read at a time.
    pub in_flight: u32,
    /// Form of headers.
    pub form: SerializeType,
    /// Whether this is what is measured.
    pub announced: bool,
}

/// What came of reading.
pub struct Outcome {
    /// Pulls; its window is the time that it took.
    pub meter: Meter,
    /// With the CPU of that time.
    pub announcer: Announcer,
    /// What was found.
    pub reader: Reader,
}

/// Called with queue, offset and trailer of a message.
pub type Each<'a> = dyn FnMut(u32, u64, &Trailer) + 'a;

impl Backlog<'_> {
    /// Reads to the end, or until nothing comes any more.
    ///
    /// # Errors
    /// When the server is not there, or answers what makes no sense.
    pub fn read(self, clock: Clock, each: &mut Each<'_>) -> Result<Outcome> {
        let mut links = Links::connect(self.addr, 1, clock)?;
        let queues = (0..).zip(&self.begins).map(|(id, offset)| Queue { id, offset: *offset, asked: 0 }).collect();
        let group = if self.sql.is_some() { "bench-filter" } else { "bench-drain" };
        let subject = Subject { group, topic: self.topic, batch: self.pull_batch, form: self.form, sql: self.sql };
        let mut puller = Puller::new(subject, vec![queues], clock)?;
        puller.join(&mut links, 0)?;
        let begin = clock.now();
        let window = Window { begin, end: u64::MAX };
        let mut drain = Drain {
            puller,
            wanted: self.wanted,
            next_queue: 0,
            reading: 0,
            meter: Meter::new(window)?,
            announcer: Announcer::new(window),
            reader: Reader::new(self.sql.is_some()),
            each,
            last: begin,
            end: None,
            backlog: &self,
        };
        if self.announced {
            drain.announcer.begin()?;
        }
        for _ in 0..self.in_flight {
            drain.next(links.output(0), begin);
        }
        links.run(&mut drain)?;
        let Drain { mut meter, mut announcer, reader, end, .. } = drain;
        if self.announced {
            announcer.end()?;
        }
        meter.window.end = end.context("the drain has no end")?;
        Ok(Outcome { meter, announcer, reader })
    }
}

struct Drain<'a, 'e> {
    backlog: &'a Backlog<'a>,
    puller: Puller,
    wanted: u64,
    /// The first queue that nobody has begun to read.
    next_queue: usize,
    /// Queues that are being read.
    reading: usize,
    meter: Meter,
    announcer: Announcer,
    reader: Reader,
    each: &'a mut Each<'e>,
    /// When the last messages came.
    last: u64,
    end: Option<u64>,
}

impl Drain<'_, '_> {
    /// Begins with another queue that is not empty.
    fn next(&mut self, out: &mut Output, now: u64) {
        while let Some(end) = self.backlog.ends.get(self.next_queue) {
            let slot = self.next_queue;
            self.next_queue += 1;
            if *end > self.puller.queue(0, slot).offset {
                self.reading += 1;
                self.puller.ask(0, slot, out, now);
                return;
            }
        }
        if self.reading == 0 {
            self.end.get_or_insert(now);
        }
    }
}

impl Driver for Drain<'_, '_> {
    fn answer(&mut self, _: usize, out: &mut Output, answer: &Answer<'_>, now: u64) -> Result<()> {
        let (slot, pulled) = self.puller.answer(0, answer)?;
        match pulled {
            Pulled::Messages => {
                let queue = self.puller.queue(0, slot);
                let (before, mut bytes) = (self.reader.messages, 0);
                let (id, each) = (queue.id, &mut self.each);
                queue.offset = self.reader.read(id, queue.offset, answer.body, |offset, trailer, length| {
                    each(id, offset, trailer);
                    bytes += length as u64;
                })?;
                self.meter.success(queue.asked, now, self.reader.messages - before, bytes);
                self.last = now;
            }
            Pulled::Nothing => {}
            Pulled::Heartbeat => return Ok(()),
            Pulled::Refused => {
                self.meter.error(answer);
                self.end = Some(now);
                return Ok(());
            }
        }
        if self.backlog.sql.is_some() {
            // Also what does not match was looked at.
            let next = answer.next_begin_offset.and_then(|offset| u64::try_from(offset).ok());
            let queue = self.puller.queue(0, slot);
            let next = next.context("an answer to a pull without the next offset")?;
            self.last = if next > queue.offset { now } else { self.last };
            queue.offset = next;
        }
        if self.reader.messages >= self.wanted {
            self.end.get_or_insert(now);
        } else if self.puller.queue(0, slot).offset < self.backlog.ends[slot] {
            self.puller.ask(0, slot, out, now);
        } else {
            self.reading -= 1;
            self.next(out, now);
        }
        Ok(())
    }

    fn fill(&mut self, _: usize, _: &mut Output, _: u64) {}

    fn turn(&mut self, links: &mut Links, now: u64) -> Result<Turn> {
        let stalled = self.last + STALL_MAX;
        if self.end.is_none() && now >= stalled {
            self.end = Some(now);
        }
        if self.end.is_some() {
            return Ok(Turn::Done);
        }
        Ok(Turn::Until(self.puller.turn(links, 0, now).min(stalled)))
    }
}
