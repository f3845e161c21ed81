//! `bench load drain`: reads a backlog from offset 0 of every queue on. What is timed is the pulls.

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::answer::Answer;
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
    let mut links = Links::connect(&common.addr, 1, clock)?;
    let queues: Vec<_> = (0..target.queues).map(|id| Queue { id, offset: 0, asked: 0 }).collect();
    let subject = Subject {
        group: "bench-drain",
        topic: &target.topic,
        batch: *pull_batch,
        form: common.header.serialize_type(),
    };
    let mut puller = Puller::new(subject, vec![queues], clock)?;
    puller.join(&mut links, 0)?;

    let begin = clock.now();
    let window = Window { begin, end: u64::MAX };
    let mut drain = Drain {
        puller,
        ends,
        wanted,
        next_queue: 0,
        meter: Meter::new(window)?,
        announcer: Announcer::new(window),
        reader: Reader::default(),
        last: begin,
        end: None,
    };
    drain.announcer.begin()?;
    for _ in 0..*in_flight {
        drain.next(links.output(0), begin);
    }
    links.run(&mut drain)?;
    let Drain { mut meter, announcer, reader, end, .. } = drain;
    meter.window.end = end.context("the drain has no end")?;
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

struct Drain {
    puller: Puller,
    /// Maximum offsets.
    ends: Vec<u64>,
    wanted: u64,
    /// The first queue that nobody has begun to read.
    next_queue: usize,
    meter: Meter,
    announcer: Announcer,
    reader: Reader,
    /// When the last messages came.
    last: u64,
    end: Option<u64>,
}

impl Drain {
    /// Begins with another queue that is not empty.
    fn next(&mut self, out: &mut Output, now: u64) {
        while let Some(end) = self.ends.get(self.next_queue) {
            let slot = self.next_queue;
            self.next_queue += 1;
            if *end > 0 {
                self.puller.ask(0, slot, out, now);
                return;
            }
        }
    }
}

impl Driver for Drain {
    fn answer(&mut self, _: usize, out: &mut Output, answer: &Answer<'_>, now: u64) -> Result<()> {
        let (slot, pulled) = self.puller.answer(0, answer)?;
        match pulled {
            Pulled::Messages => {
                let queue = self.puller.queue(0, slot);
                let (before, mut bytes) = (self.reader.messages, 0);
                queue.offset =
                    self.reader.read(queue.id, queue.offset, answer.body, |_, length| bytes += length as u64)?;
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
        if self.reader.messages >= self.wanted {
            self.end.get_or_insert(now);
        } else if self.puller.queue(0, slot).offset < self.ends[slot] {
            self.puller.ask(0, slot, out, now);
        } else {
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
            self.announcer.end()?;
            return Ok(Turn::Done);
        }
        Ok(Turn::Until(self.puller.turn(links, 0, now).min(stalled)))
    }
}
