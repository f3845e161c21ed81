//! What is measured, and what becomes of several rounds.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::generator::{Latency, Outcome};
use crate::cases::{Case, Durability};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Apache RocketMQ.
    Java,
    /// Our servers.
    Ours,
    /// Our network layer, storing nothing.
    Null,
    /// No server: grouped writes and fdatasync of the same bytes.
    Raw,
}

impl Side {
    /// As shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Java => "Java",
            Self::Ours => "ours",
            Self::Null => "null server",
            Self::Raw => "raw fdatasync",
        }
    }
}

/// One case, one side, one round.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Its name.
    pub case: String,
    /// Who.
    pub side: Side,
    /// Counted from 1.
    pub round: u32,
    /// Of the broker.
    pub durability: Durability,
    /// What was asked of the generator.
    pub load: String,
    /// Length of the window.
    pub seconds: f64,
    /// Messages in it; queries, where there are no messages.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Messages per second.
    pub rate: f64,
    /// Of requests; absent where nothing is timed.
    pub latency_us: Option<Latency>,
    /// CPU of the server in the window.
    pub server_cpu_seconds: f64,
    /// The same per million messages.
    pub cpu_per_million: f64,
    /// CPU of the client in the window.
    pub client_cpu_seconds: f64,
    /// Memory of the server's own at the end of the window.
    pub anon_bytes: u64,
    /// The same with mapped files.
    pub rss_bytes: u64,
    /// Anonymous memory some seconds after the load, where that is the question.
    pub anon_at_rest_bytes: Option<u64>,
    /// Queues there were, where that is the question.
    pub queues: Option<u32>,
    /// What the store occupies on disk after the case, with all cases before it on the same store.
    pub disk_bytes: u64,
    /// From the start of the process until its first answer, on an empty store.
    pub startup_seconds: f64,
    /// The same on the store that the case is about.
    pub recovery_seconds: Option<f64>,
    /// Answers other than success.
    pub errors: BTreeMap<String, u64>,
    /// Why correctness checks failed, when they did.
    pub failed_checks: Option<String>,
    /// What the checks found.
    pub checks: Value,
    /// Anything else worth knowing: conditions that did not hold, phases beside the window.
    pub notes: Vec<String>,
}

impl Sample {
    /// An empty one.
    pub fn new(case: &str, side: Side, round: u32, durability: Durability) -> Self {
        Self {
            case: case.to_owned(),
            side,
            round,
            durability,
            load: String::new(),
            seconds: 0.0,
            messages: 0,
            bytes: 0,
            rate: 0.0,
            latency_us: None,
            server_cpu_seconds: 0.0,
            cpu_per_million: 0.0,
            client_cpu_seconds: 0.0,
            anon_bytes: 0,
            rss_bytes: 0,
            anon_at_rest_bytes: None,
            queues: None,
            disk_bytes: 0,
            startup_seconds: 0.0,
            recovery_seconds: None,
            errors: BTreeMap::new(),
            failed_checks: None,
            checks: Value::Null,
            notes: Vec::new(),
        }
    }

    /// One of a case that could not be measured.
    pub fn failed(case: &Case, side: Side, round: u32, durability: Durability, error: &anyhow::Error) -> Self {
        Self { failed_checks: Some(format!("{error:#}")), ..Self::new(&case.name, side, round, durability) }
    }

    /// Takes over what the generator and the system said.
    pub fn fill(&mut self, outcome: Outcome) {
        let Outcome { report, window: (before, after), failed_checks } = outcome;
        // Route queries are no messages.
        let count = if report.messages > 0 { report.messages } else { report.operations };
        self.measured(count, report.seconds, after.cpu_seconds - before.cpu_seconds);
        self.bytes = report.bytes;
        self.latency_us = Some(report.latency_us);
        self.client_cpu_seconds = report.client_cpu_seconds;
        self.anon_bytes = after.anon_bytes;
        self.rss_bytes = after.rss_bytes;
        self.errors = report.errors;
        self.checks = report.checks;
        if let Some(failed) = failed_checks {
            self.fail(&failed);
        }
    }

    /// Messages in a window and what they cost the server.
    pub fn measured(&mut self, messages: u64, seconds: f64, server_cpu_seconds: f64) {
        self.messages = messages;
        self.seconds = seconds;
        self.rate = if seconds > 0.0 { messages as f64 / seconds } else { 0.0 };
        self.server_cpu_seconds = server_cpu_seconds;
        self.cpu_per_million = if messages > 0 { server_cpu_seconds * 1e6 / messages as f64 } else { 0.0 };
    }

    /// Adds a reason why the case is not correct.
    pub fn fail(&mut self, reason: &str) {
        let before = self.failed_checks.take().map_or(String::new(), |text| text + "; ");
        self.failed_checks = Some(before + reason);
    }
}

/// Median of the rounds, with the extremes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Mean of the two middle ones where their number is even.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// `None` for no values.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let upper = values[values.len() / 2];
    let median = if values.len().is_multiple_of(2) { (values[values.len() / 2 - 1] + upper) / 2.0 } else { upper };
    Some(Spread { median, min, max })
}

/// All samples of a run.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Those of a case and a side.
    pub fn of(&self, case: &str, side: Side) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.case == case && sample.side == side)
    }

    /// Median and extremes of a figure that every round has.
    pub fn spread(&self, case: &str, side: Side, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        spread(self.of(case, side).filter_map(figure))
    }

    /// The median alone.
    pub fn median(&self, case: &str, side: Side, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        self.spread(case, side, figure).map(|spread| spread.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(spread([]), None);
        assert_eq!(spread([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread([4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn a_window_without_messages_costs_nothing_per_message() {
        let mut sample = Sample::new("c", Side::Ours, 1, Durability::Async);
        sample.measured(0, 0.0, 1.0);
        assert_eq!((sample.rate, sample.cpu_per_million), (0.0, 0.0));
    }
}
