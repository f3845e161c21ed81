//! What is counted in the measured window, and the lines that mark its begin and end.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::answer::Answer;
use super::clock::{self, Clock};

/// The longest latency that is told apart, ns.
const LATENCY_NS_MAX: u64 = 600_000_000_000;
/// Digits of latencies.
const LATENCY_DIGITS: u8 = 3;
/// Kinds of errors that are told apart.
const ERRORS_MAX: usize = 100;
/// What is kept of a remark.
const REMARK_CHARS_MAX: usize = 100;

/// The measured time, ns of the [`Clock`].
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// First moment.
    pub begin: u64,
    /// First moment after it.
    pub end: u64,
}

impl Window {
    /// A window of `seconds` after a warm-up from now on.
    pub fn after(clock: Clock, warmup: f64, seconds: f64) -> Self {
        let begin = clock.now() + clock::nanos(warmup);
        Self { begin, end: begin + clock::nanos(seconds) }
    }

    /// Whether a moment lies in it.
    pub fn has(&self, moment: u64) -> bool {
        (self.begin..self.end).contains(&moment)
    }

    /// Its length.
    pub fn seconds(&self) -> f64 {
        (self.end - self.begin) as f64 / 1e9
    }
}

/// Counts of a window.
pub struct Meter {
    /// What is measured.
    pub window: Window,
    /// Latencies, ns, of what was due (closed loop: sent) in the window.
    pub latencies: Histogram<u64>,
    /// Requests answered with success in the window.
    pub operations: u64,
    /// Messages in them.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Other answers, at any time.
    pub errors: BTreeMap<String, u64>,
}

impl Meter {
    /// # Errors
    /// Never with these bounds.
    pub fn new(window: Window) -> Result<Self> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_DIGITS)?;
        Ok(Self { window, latencies, operations: 0, messages: 0, bytes: 0, errors: BTreeMap::new() })
    }

    /// Counts a request that was due then and has succeeded now.
    pub fn success(&mut self, due: u64, now: u64, messages: u64, bytes: u64) {
        if self.window.has(due) {
            self.latency(due, now);
        }
        if self.window.has(now) {
            self.operations += 1;
            self.messages += messages;
            self.bytes += bytes;
        }
    }

    /// Records a latency.
    pub fn latency(&mut self, due: u64, now: u64) {
        self.latencies.saturating_record(now.saturating_sub(due).max(1));
    }

    /// Counts an answer that is no success, by code and remark.
    pub fn error(&mut self, answer: &Answer<'_>) {
        let name = error_name(answer);
        if self.errors.len() < ERRORS_MAX || self.errors.contains_key(&name) {
            *self.errors.entry(name).or_default() += 1;
        } else {
            *self.errors.entry("others".to_owned()).or_default() += 1;
        }
    }

    /// Adds what another thread counted.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.latencies.add(&other.latencies)?;
        self.operations += other.operations;
        self.messages += other.messages;
        self.bytes += other.bytes;
        for (name, count) in &other.errors {
            *self.errors.entry(name.clone()).or_default() += count;
        }
        Ok(())
    }
}

/// Code and remark, with `#` for every number in it so that equal errors look equal.
fn error_name(answer: &Answer<'_>) -> String {
    let mut name = answer.code.to_string();
    let mut number = false;
    let remark = String::from_utf8_lossy(answer.remark);
    for (index, c) in remark.chars().take(REMARK_CHARS_MAX).enumerate() {
        if index == 0 {
            name.push(' ');
        }
        if c.is_ascii_digit() {
            if !number {
                name.push('#');
            }
        } else {
            name.push(c);
        }
        number = c.is_ascii_digit();
    }
    name
}

/// Prints the lines at which whoever started the generator samples the server, and knows the generator's own CPU.
#[derive(Debug)]
pub struct Announcer {
    window: Window,
    begun: Option<f64>,
    ended: Option<f64>,
}

impl Announcer {
    /// For a window.
    pub fn new(window: Window) -> Self {
        Self { window, begun: None, ended: None }
    }

    /// To be called in each turn; returns the next moment at which it has something to say.
    ///
    /// # Errors
    /// When nobody reads standard output.
    pub fn turn(&mut self, now: u64) -> Result<u64> {
        if self.begun.is_none() {
            if now < self.window.begin {
                return Ok(self.window.begin);
            }
            self.begin()?;
        }
        if self.ended.is_none() {
            if now < self.window.end {
                return Ok(self.window.end);
            }
            self.end()?;
        }
        Ok(u64::MAX)
    }

    /// Says that the window begins.
    ///
    /// # Errors
    /// When nobody reads standard output.
    pub fn begin(&mut self) -> Result<()> {
        self.begun = Some(clock::process_cpu_seconds());
        print_line(r#"{"event":"measure"}"#)
    }

    /// Says that the window ends.
    ///
    /// # Errors
    /// When nobody reads standard output.
    pub fn end(&mut self) -> Result<()> {
        self.ended = Some(clock::process_cpu_seconds());
        print_line(r#"{"event":"measured"}"#)
    }

    /// CPU seconds of the generator between the two lines.
    pub fn cpu_seconds(&self) -> f64 {
        self.begun.zip(self.ended).map_or(0.0, |(begun, ended)| ended - begun)
    }
}

/// Prints a line at once.
///
/// # Errors
/// When nobody reads it.
pub fn print_line(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_counts() {
        let mut meter = Meter::new(Window { begin: 100, end: 200 }).unwrap();
        meter.success(90, 110, 2, 20);
        meter.success(120, 130, 2, 20);
        meter.success(190, 5000, 2, 20);
        meter.success(200, 210, 2, 20);
        assert_eq!((meter.operations, meter.messages, meter.bytes), (2, 4, 40));
        assert_eq!((meter.latencies.len(), meter.latencies.min()), (2, 10));
        assert!(meter.latencies.max() >= 4800);
    }

    #[test]
    fn errors_are_told_apart_without_their_numbers() {
        let mut meter = Meter::new(Window { begin: 0, end: 1 }).unwrap();
        for ms in [12, 345] {
            let remark = format!("busy for {ms} ms");
            meter.error(&Answer { code: 2, remark: remark.as_bytes(), ..Answer::default() });
        }
        meter.error(&Answer { code: 1, ..Answer::default() });
        assert_eq!(meter.errors, [("1".to_owned(), 1), ("2 busy for # ms".to_owned(), 2)].into());
    }
}
