//! `bench load transaction`: half messages, each committed as soon as it is acknowledged, in a closed loop. What is timed
//! is a half message and its commit together.
//!
//! Official clients commit without waiting for an answer; here it is waited for, so that a server cannot put the work off
//! until after the window.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use clap::Args;
use hypergol_remoting::protocol::command::SerializeType;
use hypergol_remoting::protocol::header::transaction::EndTransactionRequestHeader;
use hypergol_remoting::{RemotingCommand, RequestCode};

use super::answer::Answer;
use super::clock::{self, Clock, SECOND};
use super::control::{Control, STILL, growth_of};
use super::drain::Backlog;
use super::flags::{Common, Sends, Target};
use super::links::{Driver, Links, Output, Turn};
use super::meter::{Announcer, Meter, Window};
use super::report::Report;
use super::sender::{Frame, PRODUCER_GROUP, Plan, STORED, SYSTEM_BUSY};
use super::slots::Slots;
use super::template::{Template, write_digits};

/// How long answers are waited for after the window.
const ANSWERS_WAIT: u64 = 15 * SECOND;
/// Digits of an offset.
const OFFSET_DIGITS: usize = 15;
/// `MessageSysFlag.TRANSACTION_COMMIT_TYPE`
const COMMIT: i32 = 8;
/// Messages an answer and queues at a time when the topic is read afterwards.
const READ: (u32, u32) = (32, 8);

/// Flags of `bench load transaction`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    sends: Sends,
}

/// Sends, commits, and reads what is there then.
///
/// # Errors
/// When the server is not there, refuses, or answers what makes no sense.
pub fn run(options: &Options) -> Result<Report> {
    let Options { common, target, sends } = options;
    common.check()?;
    target.check()?;
    sends.check_one_thread()?;
    ensure!(sends.batch == 1, "there are no batches of half messages");
    let in_flight = sends.in_flight.unwrap_or(sends.connections);
    ensure!(in_flight >= sends.connections, "fewer transactions in flight than connections");
    let clock = Clock::start();
    let mut control = Control::connect(&common.addr)?;
    control.prepare(target)?;
    let before = control.max_offsets(&target.topic, target.queues)?;
    let mut links = Links::connect(&common.addr, sends.connections as usize, clock)?;
    let plan = Plan {
        topic: target.topic.clone(),
        queues: target.queues,
        sends: sends.clone(),
        rate: None,
        oneway: false,
        half: true,
        form: common.header.serialize_type(),
        run: common.run_id(),
        window: Window::after(clock, common.warmup, common.seconds),
        clock,
    };
    let share = |link| in_flight / sends.connections + u32::from(link < in_flight % sends.connections);
    let mut driver = Transactions {
        frame: Frame::new(&plan)?,
        commit: Commit::new(&target.topic, plan.form)?,
        links: (0..sends.connections).map(|id| Link { id, sequence: 0, slots: Slots::new(share(id)) }).collect(),
        queues: target.queues,
        next_queue: 0,
        size: sends.size,
        epoch_ms: clock::unix_ms() - clock.now() / 1_000_000,
        meter: Meter::new(plan.window)?,
        announcer: Announcer::new(plan.window),
        in_flight: 0,
        halves: 0,
        committed: 0,
        unexpected: 0,
    };
    links.run(&mut driver)?;
    let mut report = Report::new("transaction", &driver.meter, &driver.announcer);
    report.found("half_messages", driver.halves);
    report.found("committed", driver.committed);
    report.found("unanswered", driver.in_flight);
    if driver.in_flight > 0 {
        report.fail(format!("{} requests were not answered", driver.in_flight));
    }
    if driver.unexpected > 0 {
        report.fail(format!("{} answers are neither success nor flow control", driver.unexpected));
    }
    let after = control.await_growth(target, &before, driver.committed, STILL)?;
    report.found("stored", growth_of(&before, &after));
    let (mut seen, mut foreign) = (HashSet::new(), 0u64);
    let backlog = Backlog {
        addr: &common.addr,
        topic: &target.topic,
        wanted: u64::MAX,
        begins: before,
        ends: after,
        sql: None,
        pull_batch: READ.0,
        in_flight: READ.1,
        form: plan.form,
        announced: false,
    };
    let read = backlog.read(clock, &mut |_, _, trailer| {
        let new = trailer.run == plan.run && seen.insert((trailer.connection, trailer.sequence));
        foreign += u64::from(!new);
    })?;
    read.reader.report(&mut report);
    if foreign > 0 || seen.len() as u64 != driver.committed {
        report.fail(format!(
            "{} committed messages are there and {foreign} others, {} were committed",
            seen.len(),
            driver.committed
        ));
    }
    Ok(report)
}

/// Frames of commits.
struct Commit {
    template: Template,
    queue_offset: std::ops::Range<usize>,
    physical_offset: std::ops::Range<usize>,
}

impl Commit {
    fn new(topic: &str, form: SerializeType) -> Result<Self> {
        let header = EndTransactionRequestHeader {
            topic: Some(topic.to_owned()),
            producer_group: PRODUCER_GROUP.to_owned(),
            tran_state_table_offset: 0,
            commit_log_offset: 0,
            commit_or_rollback: COMMIT,
            from_transaction_check: false,
            msg_id: None,
            transaction_id: None,
        };
        let mut request = RemotingCommand::request_with(RequestCode::EndTransaction, &header);
        request.fields.set("tranStateTableOffset", &"0".repeat(OFFSET_DIGITS));
        request.fields.set("commitLogOffset", &"0".repeat(OFFSET_DIGITS));
        let template = Template::new(request, form)?;
        Ok(Self {
            queue_offset: template.place_of_field("tranStateTableOffset", OFFSET_DIGITS)?,
            physical_offset: template.place_of_field("commitLogOffset", OFFSET_DIGITS)?,
            template,
        })
    }

    fn append(&self, out: &mut Vec<u8>, opaque: u32, queue_offset: u64, physical_offset: u64) {
        let frame = self.template.append(out, opaque);
        write_digits(&mut frame[self.queue_offset.clone()], queue_offset);
        write_digits(&mut frame[self.physical_offset.clone()], physical_offset);
    }
}

struct Transactions {
    frame: Frame,
    commit: Commit,
    links: Vec<Link>,
    queues: u32,
    next_queue: u32,
    size: u32,
    /// Milliseconds since 1970 at zero of the clock.
    epoch_ms: u64,
    meter: Meter,
    announcer: Announcer,
    in_flight: u64,
    halves: u64,
    committed: u64,
    /// Answers that neither are success nor flow control.
    unexpected: u64,
}

struct Link {
    id: u32,
    sequence: u64,
    slots: Slots<Step>,
}

/// A request of a transaction that was begun at `begun`.
#[derive(Clone, Copy, Default)]
struct Step {
    begun: u64,
    committing: bool,
}

/// The physical offset in an offset message id: the last 16 hexadecimal digits, behind address and port.
fn physical_offset(id: &[u8]) -> Option<u64> {
    let digits = id.get(id.len().checked_sub(16)?..)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

impl Driver for Transactions {
    fn answer(&mut self, link: usize, out: &mut Output, answer: &Answer<'_>, now: u64) -> Result<()> {
        let slots = &mut self.links[link].slots;
        let step = slots.give(answer.opaque);
        let Step { begun, committing } =
            step.with_context(|| format!("an answer to no request, opaque {}", answer.opaque))?;
        self.in_flight -= 1;
        let success = if committing { answer.code == 0 } else { STORED.contains(&answer.code) };
        if !success {
            self.unexpected += u64::from(answer.code != SYSTEM_BUSY);
            self.meter.error(answer);
        } else if committing {
            self.committed += 1;
            self.meter.success(begun, now, 1, self.size.into());
        } else {
            self.halves += 1;
            let queue_offset = answer.queue_offset.and_then(|offset| u64::try_from(offset).ok());
            let queue_offset = queue_offset.context("a half message was acknowledged without a queue offset")?;
            let offset = physical_offset(answer.msg_id).context("a half message was acknowledged without an id")?;
            let opaque = slots.take(Step { begun, committing: true }).context("no room for a commit")?;
            self.in_flight += 1;
            self.commit.append(out.always(), opaque, queue_offset, offset);
        }
        Ok(())
    }

    fn fill(&mut self, link: usize, out: &mut Output, now: u64) {
        if now >= self.meter.window.end {
            return;
        }
        while let Some(out) = out.room() {
            let Link { id, sequence, slots } = &mut self.links[link];
            let Some(opaque) = slots.take(Step { begun: now, committing: false }) else { return };
            self.in_flight += 1;
            self.frame.append(out, opaque, self.next_queue, self.epoch_ms + now / 1_000_000, (*id, *sequence, now));
            *sequence += 1;
            self.next_queue = (self.next_queue + 1) % self.queues;
        }
    }

    fn turn(&mut self, _: &mut Links, now: u64) -> Result<Turn> {
        let announce = self.announcer.turn(now)?;
        let end = self.meter.window.end;
        if now < end {
            return Ok(Turn::Until(announce.min(end)));
        }
        let waiting = self.in_flight > 0 && now < end + ANSWERS_WAIT;
        Ok(if waiting { Turn::Until(end + ANSWERS_WAIT) } else { Turn::Done })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_physical_offset_is_the_end_of_the_id() {
        assert_eq!(physical_offset(b"7F00000100002A9F00000000000001C8"), Some(0x1c8));
        assert_eq!(physical_offset(b"01C8"), None);
        assert_eq!(physical_offset(b"7F00000100002A9F0000000000000xyz"), None);
    }
}
