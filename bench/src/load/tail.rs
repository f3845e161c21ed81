//! `bench load tail`: sends at a rate and receives by long polling. Latency is from when a message was due to be sent
//! until it was received.

use anyhow::{Result, ensure};
use clap::Args;

use super::beside::Beside;
use super::clock::Clock;
use super::control::{Control, STILL};
use super::flags::{Common, Sends, Target};
use super::links::Links;
use super::locks::{self, Locks};
use super::meter::Window;
use super::pulls::{self, Puller, Queue, Subject};
use super::report::Report;
use super::sender::{Plan, Sender, Share};

/// Messages an answer, at most (`pullBatchSize`).
const PULL_BATCH: u32 = 32;
/// Group that receives.
const GROUP: &str = "bench-tail";

/// Flags of `bench load tail`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    sends: Sends,
    /// Messages per second
    #[arg(long)]
    rate: f64,
    /// As an orderly consumer: with locks on all queues, and messages that a connection sends one after the other
    #[arg(long)]
    orderly: bool,
    /// Name of the broker, which locks are asked for by
    #[arg(long, default_value = "broker-a")]
    broker: String,
}

/// Sends and receives.
///
/// # Errors
/// When the server is not there, refuses, or answers what makes no sense.
pub fn run(options: &Options) -> Result<Report> {
    let Options { common, target, sends, rate, orderly, broker } = options;
    common.check()?;
    target.check()?;
    sends.check_one_thread()?;
    // What is sent before an earlier message is acknowledged may overtake it.
    let alone = sends.in_flight == Some(sends.connections);
    ensure!(!orderly || alone, "--orderly wants as many --in-flight as --connections");
    let clock = Clock::start();
    let mut control = Control::connect(&common.addr)?;
    control.prepare(target)?;
    let before = control.max_offsets(&target.topic, target.queues)?;
    let form = common.header.serialize_type();
    let sending_links = sends.connections as usize;
    let mut links = Links::connect(&common.addr, sending_links + 1, clock)?;
    let queues = (0..).zip(&before).map(|(id, offset)| Queue { id, offset: *offset, asked: 0 }).collect();
    let subject = Subject { group: GROUP, topic: &target.topic, batch: PULL_BATCH, form, sql: None };
    let mut puller = Puller::new(subject, vec![queues], clock)?;
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
    let group = pulls::numbered(GROUP, 0);
    let ask_for_locks = |client: &str| locks::request(client, &group, &target.topic, broker, target.queues);
    let locks = match orderly {
        true => {
            let request = ask_for_locks(&pulls::client_id(&group))?;
            let granted = locks::ask(&mut control, &request)?;
            ensure!(granted == target.queues as usize, "{granted} of {} locks are granted", target.queues);
            Some(Locks::new(request, form, target.queues, clock.now())?)
        }
        false => None,
    };
    let beside = Beside::new(sender, sending_links, puller, run, true)?.with_locks(locks);
    let outcome = beside.run(&mut links, clock.now())?;
    let mut meter = outcome.received;
    meter.errors.extend(outcome.sender.meter.errors.clone());
    let mut report = Report::new("tail", &meter, &outcome.announcer);
    outcome.sender.report(&mut report);
    outcome.reader.report(&mut report);
    let (acknowledged, received) = (outcome.sender.acknowledged.count(), outcome.reader.messages);
    if received != acknowledged {
        report.fail(format!("{received} messages were received, {acknowledged} were acknowledged"));
    }
    if let Some(locks) = outcome.locks {
        report.found("renewals", locks.renewed);
        if locks.refused > 0 {
            report.fail(format!("{} renewals of locks were not granted", locks.refused));
        }
        let stolen = locks::ask(&mut control, &ask_for_locks("another client")?)?;
        if stolen > 0 {
            report.fail(format!("{stolen} locked queues are granted to another client"));
        }
        if outcome.reader.inversions > 0 {
            report.fail(format!("{} messages came after later ones", outcome.reader.inversions));
        }
    }
    if outcome.refused > 0 {
        report.fail(format!("{} pulls were refused", outcome.refused));
    }
    let expected = outcome.sender.acknowledged.count();
    let after = control.await_growth(target, &before, expected, STILL)?;
    outcome.sender.report_offsets(&mut report, &before, &after);
    Ok(report)
}
