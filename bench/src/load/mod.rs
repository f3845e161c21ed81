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
mod beside;
mod body;
mod clock;
mod control;
mod drain;
mod filter;
mod flags;
mod hold;
mod links;
mod locks;
mod meter;
mod offsets;
mod pop;
pub mod probe;
mod pulls;
mod reader;
mod report;
mod route;
mod send;
mod sender;
mod slots;
mod tail;
mod template;
mod transaction;

use anyhow::{Result, bail};
use clap::Subcommand;

use report::Report;

/// Kinds of load.
#[derive(Subcommand)]
pub enum Kind {
    /// Sends messages, in a closed loop or at a rate
    Send(send::Options),
    /// Reads a backlog from the start
    Drain(drain::Options),
    /// Sends at a rate and receives by long polling; latency is end to end
    Tail(tail::Options),
    /// Holds long polls of consumers that get nothing, beside sends
    Hold(hold::Options),
    /// Sends half messages and commits them
    Transaction(transaction::Options),
    /// Reads a backlog through an SQL92 expression
    Filter(filter::Options),
    /// Pops a backlog and acknowledges each message
    Pop(pop::Options),
    /// Asks a name server for routes
    Route(route::Options),
}

/// Runs a kind of load to its end and prints its result.
///
/// # Errors
/// When it cannot be run, or when its checks fail (after the result was printed).
pub fn run(kind: Kind) -> Result<()> {
    let report = match kind {
        Kind::Send(options) => send::run(&options),
        Kind::Drain(options) => drain::run(&options),
        Kind::Tail(options) => tail::run(&options),
        Kind::Hold(options) => hold::run(&options),
        Kind::Transaction(options) => transaction::run(&options),
        Kind::Filter(options) => filter::run(&options),
        Kind::Pop(options) => pop::run(&options),
        Kind::Route(options) => route::run(&options),
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
