//! `bench load hold`: many consumers with nothing to read hold a long poll each, beside sends to another topic. What is
//! timed is the sends.

use anyhow::{Result, ensure};
use clap::Args;

use super::beside::Beside;
use super::clock::Clock;
use super::control::{Control, STILL};
use super::flags::{CONNECTIONS_MAX, Common, Sends, Target};
use super::links::Links;
use super::meter::Window;
use super::pulls::{Puller, Queue, Subject};
use super::report::Report;
use super::sender::{Plan, Sender, Share};

/// Messages an answer, at most.
const PULL_BATCH: u32 = 32;
/// Queues of the topic that nobody sends to.
const IDLE_QUEUES: u32 = 8;

/// Flags of `bench load hold`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    sends: Sends,
    /// Consumers, each on a connection of its own, the only member of its group, with one held pull
    #[arg(long, default_value_t = 10)]
    consumers: u32,
    /// Messages per second to the topic that they do not read
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
}

/// Holds and sends.
///
/// # Errors
/// When the server is not there, refuses, or answers what makes no sense.
pub fn run(options: &Options) -> Result<Report> {
    let Options { common, target, sends, consumers, rate } = options;
    common.check()?;
    target.check()?;
    sends.check_one_thread()?;
    ensure!((1..=CONNECTIONS_MAX).contains(consumers), "--consumers is not within 1 and 20,000");
    let clock = Clock::start();
    let mut control = Control::connect(&common.addr)?;
    control.prepare(target)?;
    let idle = format!("{}-idle", target.topic);
    control.create_topic(&idle, IDLE_QUEUES)?;
    let before = control.max_offsets(&target.topic, target.queues)?;
    let idle_offsets = control.max_offsets(&idle, IDLE_QUEUES)?;
    let form = common.header.serialize_type();
    let sending_links = sends.connections as usize;
    let mut links = Links::connect(&common.addr, sending_links + *consumers as usize, clock)?;
    let clients = (0..*consumers)
        .map(|client| {
            let id = client % IDLE_QUEUES;
            vec![Queue { id, offset: idle_offsets[id as usize], asked: 0 }]
        })
        .collect();
    let subject = Subject { group: "bench-hold", topic: &idle, batch: PULL_BATCH, form, sql: None };
    let mut puller = Puller::new(subject, clients, clock)?;
    puller.join(&mut links, sending_links)?;
    let run = common.run_id();
    let plan = Plan {
        topic: target.topic.clone(),
        queues: target.queues,
        sends: sends.clone(),
        rate: Some(*rate),
        oneway: false,
        half: false,
        form,
        run,
        window: Window::after(clock, common.warmup, common.seconds),
        clock,
    };
    let sender = Sender::new(&plan, Share { thread: 0, threads: 1 })?;
    let outcome = Beside::new(sender, sending_links, puller, run, false)?.run(&mut links, clock.now())?;
    let mut report = Report::new("hold", &outcome.sender.meter, &outcome.announcer);
    report.errors.extend(outcome.received.errors);
    outcome.sender.report(&mut report);
    report.found("consumers", *consumers);
    report.found("received", outcome.reader.messages);
    if outcome.reader.messages > 0 {
        report.fail(format!("{} messages came out of a topic that nobody sends to", outcome.reader.messages));
    }
    if outcome.refused > 0 {
        report.fail(format!("{} pulls were refused", outcome.refused));
    }
    let expected = outcome.sender.acknowledged.count();
    let after = control.await_growth(target, &before, expected, STILL)?;
    outcome.sender.report_offsets(&mut report, &before, &after);
    Ok(report)
}
