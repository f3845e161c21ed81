//! The load generator: one process, one kind of load, one line of JSON with what came of it.
//!
//! It must cost much less than the servers it measures, so it has its own event loop ([`links`]) instead of a runtime:
//! frames are templates that are patched in place ([`template`]), one write sends many of them, one read takes many
//! answers, which are looked at where they lie ([`answer`]). Nothing is allocated per message.
//!
//! A closed loop keeps a number of requests in flight and times each from the moment it is put into the output buffer.
//! An open loop sends at a rate and times each message from when it was *due*, whether or not it could be sent then: a
//! server that stalls is charged for all that waited (no coordinated omission).

mod answer;
mod body;
mod clock;
mod control;
mod flags;
mod links;
mod meter;
mod offsets;
pub mod probe;
mod report;
mod send;
mod sender;
mod template;

use anyhow::{Result, bail};
use clap::Subcommand;

use report::Report;

/// Kinds of load.
#[derive(Subcommand)]
pub enum Kind {
    /// Sends messages, in a closed loop or at a rate
    Send(send::Options),
}

/// Runs a kind of load to its end and prints its result.
///
/// # Errors
/// When it cannot be run, or when its checks fail (after the result was printed).
pub fn run(kind: Kind) -> Result<()> {
    let report = match kind {
        Kind::Send(options) => send::run(&options),
    }?;
    finish(&report)
}

fn finish(report: &Report) -> Result<()> {
    report.print()?;
    if report.failures.is_empty() {
        return Ok(());
    }
    bail!("checks failed: {}", report.failures.join("; "));
}
