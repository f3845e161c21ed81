//! The generator's last line.

use std::collections::BTreeMap;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Map, Value};

use super::meter::{Announcer, Meter, print_line};

/// What came of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    event: &'static str,
    /// Kind of load.
    pub kind: &'static str,
    /// Requests answered with success in the window.
    pub operations: u64,
    /// Messages in them.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Length of the window.
    pub seconds: f64,
    /// Messages per second; operations where there are no messages.
    pub rate: f64,
    /// Answers that were no success.
    pub errors: BTreeMap<String, u64>,
    /// Microseconds.
    pub latency_us: Latency,
    /// CPU of this process in the window.
    pub client_cpu_seconds: f64,
    /// What was checked and found.
    pub checks: Map<String, Value>,
    /// What is wrong.
    #[serde(skip)]
    pub failures: Vec<String>,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    p99_99: f64,
    max: f64,
}

impl Report {
    /// From what was counted in a window.
    pub fn new(kind: &'static str, meter: &Meter, announcer: &Announcer) -> Self {
        let mut report = Self {
            event: "result",
            kind,
            operations: meter.operations,
            messages: meter.messages,
            bytes: meter.bytes,
            seconds: meter.window.seconds(),
            rate: 0.0,
            errors: meter.errors.clone(),
            latency_us: latency(&meter.latencies),
            client_cpu_seconds: announcer.cpu_seconds(),
            checks: Map::new(),
            failures: Vec::new(),
        };
        report.set_rate();
        report
    }

    /// Computes the rate anew.
    pub fn set_rate(&mut self) {
        let count = if self.messages > 0 { self.messages } else { self.operations };
        self.rate = if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 };
    }

    /// Notes a finding.
    pub fn found(&mut self, name: &str, value: impl Into<Value>) {
        self.checks.insert(name.to_owned(), value.into());
    }

    /// Notes that a check failed.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    /// Prints the line.
    ///
    /// # Errors
    /// When nobody reads it.
    pub fn print(&self) -> Result<()> {
        let mut value = serde_json::to_value(self)?;
        value["checks"]["failures"] = self.failures.clone().into();
        print_line(&value.to_string())
    }
}

fn latency(ns: &Histogram<u64>) -> Latency {
    let at = |quantile: f64| ns.value_at_quantile(quantile) as f64 / 1000.0;
    Latency {
        mean: ns.mean() / 1000.0,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: ns.max() as f64 / 1000.0,
    }
}
