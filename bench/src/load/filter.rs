//! `bench load filter`: reads a backlog through an SQL92 expression of three terms. What is timed is those pulls.
//!
//! The messages have a property [`BUCKET`] that follows from their sequence, so that what the expression selects is
//! known: the backlog is read without a filter first.

use anyhow::{Result, ensure};
use clap::Args;

use super::clock::Clock;
use super::control::Control;
use super::drain::{Backlog, Outcome};
use super::flags::{Common, Target};
use super::offsets::Acknowledged;
use super::report::Report;
use super::sender::{BUCKET, bucket_of};

/// The bounds of the buckets that are selected.
const SELECTED: std::ops::Range<u64> = 20..70;
/// A bucket within them that is not.
const LEFT_OUT: u64 = 40;

/// Flags of `bench load filter`. It takes the time it takes: `--seconds` and `--warmup` mean nothing.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: Target,
    /// Messages an answer, at most
    #[arg(long, default_value_t = 32)]
    pull_batch: u32,
    /// Queues that are read at a time
    #[arg(long, default_value_t = 8)]
    in_flight: u32,
}

fn is_selected(sequence: u64) -> bool {
    let bucket = bucket_of(sequence);
    SELECTED.contains(&bucket) && bucket != LEFT_OUT
}

/// Reads all, then what is selected.
///
/// # Errors
/// When the server is not there, refuses, or answers what makes no sense.
pub fn run(options: &Options) -> Result<Report> {
    let Options { common, target, pull_batch, in_flight } = options;
    target.check()?;
    ensure!((1..=1024).contains(pull_batch), "--pull-batch is not within 1 and 1024");
    ensure!(*in_flight > 0, "--in-flight is 0");
    let clock = Clock::start();
    let ends = Control::connect(&common.addr)?.max_offsets(&target.topic, target.queues)?;
    let there: u64 = ends.iter().sum();
    ensure!(there > 0, "{} has no messages", target.topic);
    let expression =
        format!("{BUCKET} >= {} AND {BUCKET} < {} AND {BUCKET} <> {LEFT_OUT}", SELECTED.start, SELECTED.end);
    let backlog = |sql, announced| Backlog {
        addr: &common.addr,
        topic: &target.topic,
        begins: vec![0; ends.len()],
        ends: ends.clone(),
        wanted: u64::MAX,
        sql,
        pull_batch: *pull_batch,
        in_flight: *in_flight,
        form: common.header.serialize_type(),
        announced,
    };
    let mut expected = Acknowledged::new(target.queues);
    let all = backlog(None, false).read(clock, &mut |queue, offset, trailer| {
        if is_selected(trailer.sequence) {
            expected.add(queue, offset, 1);
        }
    })?;
    let (mut received, mut wrong) = (Acknowledged::new(target.queues), 0u64);
    let Outcome { meter, announcer, reader } =
        backlog(Some(&expression), true).read(clock, &mut |queue, offset, trailer| {
            received.add(queue, offset, 1);
            wrong += u64::from(!is_selected(trailer.sequence));
        })?;
    let mut report = Report::new("filter", &meter, &announcer);
    report.found("expression", expression.as_str());
    report.found("examined", there);
    report.found("selected", expected.count());
    reader.report(&mut report);
    if all.reader.messages != there {
        report.fail(format!("{} of {there} messages came without a filter", all.reader.messages));
    }
    if wrong > 0 {
        report.fail(format!("{wrong} messages came that the expression does not select"));
    }
    if received != expected {
        let (received, expected) = (received.count(), expected.count());
        report.fail(format!("{received} messages came, not the {expected} that the expression selects"));
    }
    if !report.errors.is_empty() {
        report.fail("pulls were refused");
    }
    Ok(report)
}
