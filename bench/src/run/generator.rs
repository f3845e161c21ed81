//! Starts the load generator (`bench load …`) as a process of its own and reads what it says.
//!
//! It prints lines of JSON: `{"event":"measure"}` when its warm-up ends, `{"event":"measured"}` when the measured window
//! ends, then one `{"event":"result",…}`. The server is sampled at the first two.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::children::Running;
use super::sample::{self, Usage};

/// Longest line that is kept; results are some kilobytes.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// What is kept of the generator's complaints.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// The last line of the generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The kind of load.
    pub kind: String,
    /// Requests answered (one-way: written) within the window.
    pub operations: u64,
    /// Messages in them.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Length of the window.
    pub seconds: f64,
    /// Answers other than success, by code and remark.
    pub errors: BTreeMap<String, u64>,
    /// Latencies of the operations.
    pub latency_us: Latency,
    /// CPU of the generator itself in the window.
    pub client_cpu_seconds: f64,
    /// Findings of its own checks, kept as they are.
    pub checks: Value,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// Percentile 90.
    pub p90: f64,
    /// Percentile 99.
    pub p99: f64,
    /// Percentile 99.9.
    pub p99_9: f64,
    /// Percentile 99.99.
    pub p99_99: f64,
    /// The longest.
    pub max: f64,
}

/// A run of the generator.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it reported.
    pub report: Report,
    /// The server when the window began and when it ended.
    pub window: (Usage, Usage),
    /// Why its checks failed, when they did.
    pub failed_checks: Option<String>,
}

/// How the generator is run.
#[derive(Clone, Debug)]
pub struct Generator {
    /// The program.
    pub program: PathBuf,
    /// What its arguments begin with.
    pub first: Vec<String>,
}

impl Generator {
    /// Runs it to its end, at most for `limit`, while the server `server_pid` is sampled. `on_measure` is called when the
    /// window begins.
    ///
    /// # Errors
    /// When it does not end in time, ends without a result, or the server is gone.
    pub fn run(
        &self,
        kind: &str,
        flags: &[String],
        server_pid: u32,
        limit: Duration,
        on_measure: impl FnOnce(),
    ) -> Result<Outcome> {
        let mut on_measure = Some(on_measure);
        let mut command = Command::new(&self.program);
        command.args(&self.first).arg(kind).args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        let what = || format!("bench load {kind} {}", flags.join(" "));
        let mut running = Running::spawn(&mut command)?;
        let deadline = running.started + limit;
        let mut before = sample::usage(server_pid)?;
        let mut after = None;
        let mut report = None;

        let stdout = running.child().stdout.take().context("no pipe")?;
        let stderr = running.child().stderr.take().context("no pipe")?;
        let complaints = std::thread::spawn(move || last_words(stderr));
        let (sender, lines) = mpsc::sync_channel(64);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            loop {
                let mut line = String::new();
                match reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) if sender.send(line).is_err() => return,
                    Ok(_) => {}
                }
            }
        });
        loop {
            let line = match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("{} does not end within {limit:?}", what()),
            };
            let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
            match value["event"].as_str() {
                Some("measure") => {
                    before = sample::usage(server_pid)?;
                    if let Some(on_measure) = on_measure.take() {
                        on_measure();
                    }
                }
                Some("measured") => after = Some(sample::usage(server_pid)?),
                Some("result") => report = Some(serde_json::from_value::<Report>(value).with_context(what)?),
                _ => {}
            }
        }
        let status = running.wait_until(deadline)?;
        if status.is_none() {
            bail!("{} does not end within {limit:?}", what());
        }
        let complaints = complaints.join().unwrap_or_default();
        let Some(report) = report else { bail!("{} reports nothing: {}", what(), complaints.trim()) };
        let after = match after {
            Some(after) => after,
            None => sample::usage(server_pid)?,
        };
        let passed = status.is_some_and(|status| status.success());
        let failed_checks = (!passed).then(|| format!("{} {}", complaints.trim(), report.checks));
        Ok(Outcome { report, window: (before, after), failed_checks })
    }
}

/// The end of what is written to `stream`, which is read until it closes.
fn last_words(mut stream: impl Read) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        text.extend_from_slice(&chunk[..read]);
        let excess = text.len().saturating_sub(COMPLAINT_BYTES_MAX as usize);
        text.drain(..excess);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A generator that prints `lines` and ends with `status`.
    fn fake(folder: &Path, lines: &str, status: i32) -> Generator {
        script(folder, &format!("cat <<'END'\n{lines}\nEND\nexit {status}\n"))
    }

    fn script(folder: &Path, text: &str) -> Generator {
        let file = folder.join("generator");
        std::fs::write(&file, text).expect("script");
        Generator { program: "sh".into(), first: vec![file.display().to_string()] }
    }

    const LINES: &str = r#"{"event":"measure"}
{"event":"measured"}
{"event":"result","kind":"send","operations":10,"messages":160,"bytes":1600,"seconds":2.0,"rate":80.0,"errors":{"2 busy":3},"latency_us":{"mean":5.5,"p50":5,"p90":6,"p99":7,"p99_9":8,"p99_99":9,"max":10},"client_cpu_seconds":0.5,"checks":{"lost":0}}"#;

    fn run(generator: &Generator, limit: Duration) -> Result<Outcome> {
        generator.run("send", &["--topic".to_owned(), "T".to_owned()], std::process::id(), limit, || ())
    }

    #[test]
    fn a_result_is_read() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let outcome = run(&fake(folder.path(), LINES, 0), Duration::from_secs(60)).expect("it reports");
        assert_eq!(outcome.report.messages, 160);
        assert_eq!(outcome.report.errors["2 busy"], 3);
        assert_eq!(outcome.report.latency_us.p99_99, 9.0);
        assert_eq!(outcome.failed_checks, None);
    }

    #[test]
    fn failed_checks_are_told() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let outcome = run(&fake(folder.path(), LINES, 1), Duration::from_secs(60)).expect("it reports");
        assert!(outcome.failed_checks.expect("exit 1").contains("lost"));
    }

    #[test]
    fn silence_is_an_error() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert!(run(&fake(folder.path(), "not JSON", 0), Duration::from_secs(60)).is_err());
    }

    #[test]
    fn one_that_hangs_is_ended() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let generator = script(folder.path(), "exec sleep 600");
        let error = run(&generator, Duration::from_millis(200)).expect_err("it hangs");
        assert!(error.to_string().contains("does not end"), "{error}");
    }
}
