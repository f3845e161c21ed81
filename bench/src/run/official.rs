//! RocketMQ's own benchmark clients: what its users would measure with.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::children::Running;
use super::java::Program;
use super::remoting::Client;
use super::result::Sample;
use super::sample::{self, Usage};
use super::work::Turn;
use crate::cases::{Official, QUEUES};

/// Before the window: the client's JVM starts and compiles.
const WARM_UP: Duration = Duration::from_secs(6);
/// The same when everything is quick.
const WARM_UP_QUICK: Duration = Duration::from_secs(3);
/// The consumer prints the average of so many seconds (it keeps ten snapshots, one a second).
const CONSUMER_WINDOW: Duration = Duration::from_secs(9);
/// A consumer that has read nothing by then never will. It may begin 30 s late: with a heartbeat under way when it takes its
/// queues, the client tells the broker of them by the next one only, and its pulls are refused until then
/// (SUBSCRIPTION_NOT_LATEST, here as by Java).
const CONSUMER_LIMIT: Duration = Duration::from_secs(75);
/// Lines of the consumer, once it reads, that are waited for.
const CONSUMER_LINES: usize = 4;
/// Messages of 128 B that the consumer finds.
const CONSUMER_BACKLOG: u64 = 2_000_000;
/// The same when everything is quick.
const CONSUMER_BACKLOG_QUICK: u64 = 50_000;
/// A broker registers a new topic at once, or with its next registration within 30 s.
const ROUTE_LIMIT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(100);

/// Runs the client against the turn's deployment.
pub fn run(turn: &Turn<'_>, sample: &mut Sample, client: Official, topic: &str, seconds: u32) -> Result<()> {
    let consumer_topic = "bench-official-backlog";
    let namesrv = turn.deployment.namesrv_address().to_string();
    let (class, topic, mut arguments) = match client {
        Official::Producer(threads) => {
            ("Producer", topic, vec!["-w".to_owned(), threads.to_string(), "-s".to_owned(), "1024".to_owned()])
        }
        Official::BatchProducer => {
            ("BatchProducer", topic, ["-w", "16", "-s", "128", "-b", "16"].map(str::to_owned).to_vec())
        }
        Official::Consumer => ("Consumer", consumer_topic, ["-g", "bench-official"].map(str::to_owned).to_vec()),
    };
    arguments.extend(["-t", topic, "-n", &namesrv, "-ri", "1000"].map(str::to_owned));
    sample.load = format!("org.apache.rocketmq.example.benchmark.{class} {}", arguments.join(" "));
    Client::connect(turn.deployment.address())?.create_topic(topic, QUEUES)?;
    Client::connect(turn.deployment.namesrv_address())?.await_route(topic, ROUTE_LIMIT)?;
    if client == Official::Consumer {
        let backlog = if turn.quick { CONSUMER_BACKLOG_QUICK } else { CONSUMER_BACKLOG };
        turn.fill(sample, topic, 128, backlog, false)?;
    }
    let home = turn.deployment.store().with_file_name(format!("client-{class}"));
    std::fs::create_dir_all(&home)?;
    let java = turn.deployment.java().context("the official clients need Java")?;
    let mut command = java.command(Program::Benchmark(class), &home);
    command.args(arguments);
    let output = home.join("output.log");
    // Each run of a client has its own; the folder may be that of an earlier one.
    std::fs::write(&output, "")?;
    match client {
        Official::Consumer => consume(turn, sample, &mut command, &output),
        _ => produce(turn, sample, &mut command, &output, topic, seconds),
    }
}

/// Counts what is stored within the window by the queues' offsets, whatever the client prints.
fn produce(
    turn: &Turn<'_>,
    sample: &mut Sample,
    command: &mut Command,
    output: &Path,
    topic: &str,
    seconds: u32,
) -> Result<()> {
    let pid = turn.deployment.pid()?;
    let mut client = Client::connect(turn.deployment.address())?;
    let mut running = Running::start(command, output)?;
    let mut look = |running: &Running| -> Result<(Usage, Usage, u64)> {
        let there = client.max_offsets(topic, QUEUES)?.iter().sum();
        Ok((sample::usage(pid)?, sample::usage(running.pid())?, there))
    };
    std::thread::sleep(if turn.quick { WARM_UP_QUICK } else { WARM_UP });
    let before = look(&running)?;
    std::thread::sleep(Duration::from_secs(seconds.into()));
    let after = look(&running)?;
    ensure!(running.ended()?.is_none(), "the client ended, see {}", output.display());
    running.kill();
    let elapsed = after.0.at - before.0.at;
    sample.measured(after.2 - before.2, elapsed.as_secs_f64(), after.0.cpu_seconds - before.0.cpu_seconds);
    sample.client_cpu_seconds = after.1.cpu_seconds - before.1.cpu_seconds;
    sample.anon_bytes = after.0.anon_bytes;
    sample.rss_bytes = after.0.rss_bytes;
    ensure!(sample.messages > 0, "the client sends nothing, see {}", output.display());
    Ok(())
}

/// Takes the best of the first lines that the consumer prints once it reads, with the server's CPU in the seconds it is about.
fn consume(turn: &Turn<'_>, sample: &mut Sample, command: &mut Command, output: &Path) -> Result<()> {
    let pid = turn.deployment.pid()?;
    let mut running = Running::start(command, output)?;
    let mut history = vec![sample::usage(pid)?];
    // Messages per second, and the server's usage when it was printed.
    let mut lines: Vec<(f64, Usage)> = Vec::new();
    let reads = |lines: &[(f64, Usage)]| lines.iter().filter(|(tps, _)| *tps > 0.0).count();
    while reads(&lines) < CONSUMER_LINES && running.started.elapsed() < CONSUMER_LIMIT {
        std::thread::sleep(POLL);
        let now = sample::usage(pid)?;
        history.push(now);
        let text = std::fs::read_to_string(output)?;
        lines.extend(text.lines().filter_map(consume_tps).skip(lines.len()).map(|tps| (tps, now)));
        ensure!(running.ended()?.is_none(), "the client ended, see {}", output.display());
    }
    let client = sample::usage(running.pid())?;
    running.kill();
    let (tps, end) = lines
        .into_iter()
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .with_context(|| format!("the consumer reports nothing, see {}", output.display()))?;
    ensure!(tps > 0.0, "the consumer reads nothing, see {}", output.display());
    let from: Instant = end.at.checked_sub(CONSUMER_WINDOW).unwrap_or(end.at);
    let begin = history.iter().find(|usage| usage.at >= from).copied().unwrap_or(end);
    let seconds = (end.at - begin.at).as_secs_f64();
    sample.measured((tps * seconds) as u64, seconds, end.cpu_seconds - begin.cpu_seconds);
    sample.client_cpu_seconds = client.cpu_seconds;
    sample.anon_bytes = end.anon_bytes;
    sample.rss_bytes = end.rss_bytes;
    sample.notes.push("client CPU is of its whole life; the backlog may end before the nine seconds do".to_owned());
    Ok(())
}

/// `… | Consume TPS: 12345 | …`
fn consume_tps(line: &str) -> Option<f64> {
    line.split_once("Consume TPS:")?.1.split('|').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::consume_tps;

    #[test]
    fn lines_of_the_consumer() {
        let line = "Current Time: 1 | Consume TPS: 4711 | AVG(B2C) RT(ms):   1.2 | Consume Fail: 0";
        assert_eq!(consume_tps(line), Some(4711.0));
        assert_eq!(consume_tps("Consumer Started."), None);
    }
}
