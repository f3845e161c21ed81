//! Store folders that pass between Java's broker and the broker under test, both ways, in the middle of everything that
//! a broker does by itself later: half messages that are not decided, popped messages that are not acknowledged (with
//! checkpoints in the log and in memory), retries, delays, timers. Nothing may be lost, and nothing may come twice but
//! what was not acknowledged.
//!
//! Two folders make three stations each, at the same time: one begins and ends with Java's broker, one with ours.
//! `journey.rs` says what happens at a station. Two more go the same way, and their brokers are killed in the middle of
//! requests (`rush.rs`): everything that was acknowledged must come, be it twice. Under ASYNC_FLUSH: what a broker wrote is
//! in the page cache, which outlives it.

mod client;
mod folder;
mod journey;
mod rush;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use self::journey::{Ending, Journey, STATIONS};
use crate::cluster::config::Flavour;
use crate::cluster::{BROKERS, Cluster, Servers, container};
use crate::probe;
use crate::report::{Outcome, Test};

const SUITE: &str = "exchange";
/// How long requests go on before a broker is killed.
const RUSH: Duration = Duration::from_secs(2);

/// The servers of one kind.
struct Side {
    folder: PathBuf,
    cluster: Cluster,
}

impl Side {
    fn start(name: &str, servers: &Servers, folder: &Path) -> Result<Self> {
        let folder = folder.join(format!("{SUITE}-{name}"));
        let mut cluster = Cluster::start_some(servers, &folder, Flavour::Differential, &[])?;
        for broker in BROKERS {
            if let Servers::Container(_) = servers {
                cluster.configure(broker, "storePathRootDir", &format!("{}/store", container::MOUNT))?;
            }
            // Decisions are in the log, and not only in memory, when a broker ends.
            cluster.configure(broker, "transactionOpBatchInterval", "200")?;
            // Offsets are written often, so that a kill finds them as far ahead of the rest as they ever are.
            cluster.configure(broker, "flushConsumerOffsetInterval", "500")?;
            cluster.configure(broker, "flushDelayOffsetInterval", "500")?;
        }
        Ok(Self { folder, cluster })
    }

    fn store_of(&self, broker: &str) -> PathBuf {
        self.folder.join(broker).join("store")
    }
}

/// Runs all journeys; tests by what was done with the folder.
///
/// # Errors
/// When a server does not start or end, or does not answer.
pub fn run(java: &Servers, subject: &Servers, folder: &Path) -> Result<Vec<Test>> {
    let mut tests = run_with(Ending::Stop, java, subject, &folder.join("stop"))?;
    tests.extend(run_with(Ending::Kill, java, subject, &folder.join("kill"))?);
    Ok(tests)
}

/// Runs the two journeys of an ending.
fn run_with(ending: Ending, java: &Servers, subject: &Servers, folder: &Path) -> Result<Vec<Test>> {
    let begun = Instant::now();
    let mut sides = [Side::start("java", java, folder)?, Side::start("subject", subject, folder)?];
    let mut journeys = [Journey::new(BROKERS[0], ending), Journey::new(BROKERS[1], ending)];
    for station in 0..STATIONS {
        for (first, journey) in journeys.iter_mut().enumerate() {
            let (here, before) = ((first + station) % 2, (first + station + 1) % 2);
            let broker = journey.broker;
            let store = sides[here].store_of(broker);
            if station > 0 {
                if store.exists() {
                    std::fs::remove_dir_all(&store).with_context(|| store.display().to_string())?;
                }
                folder::copy(&sides[before].store_of(broker), &store)?;
            }
            let side = &mut sides[here];
            for (key, value) in Journey::settings(station) {
                side.cluster.configure(broker, key, value)?;
            }
            side.cluster.start_server(broker)?;
            journey.arrive(probe::broker_address(side.cluster.namesrv_addr(), broker)?);
        }
        std::thread::scope(|scope| {
            let stays: Vec<_> = journeys.iter_mut().map(|journey| scope.spawn(move || journey.stay(station))).collect();
            stays.into_iter().try_for_each(|stay| stay.join().map_err(|_| anyhow!("a journey has panicked"))?)
        })
        .with_context(|| format!("at station {station}"))?;
        for (first, journey) in journeys.iter_mut().enumerate() {
            let cluster = &mut sides[(first + station) % 2].cluster;
            if ending == Ending::Kill && station + 1 < STATIONS {
                kill_amid_requests(cluster, journey, station)?;
            } else {
                cluster.stop_server(journey.broker)?;
            }
        }
    }
    let time = begun.elapsed() / 2;
    let names = [["java", "subject", "java"], ["subject", "java", "subject"]];
    let names = names.map(|names| names.join(if ending == Ending::Kill { "-killed-" } else { "-" }));
    Ok(journeys.into_iter().zip(names).flat_map(|(journey, name)| tests(journey, &name, time)).collect())
}

fn kill_amid_requests(cluster: &mut Cluster, journey: &mut Journey, station: usize) -> Result<()> {
    let broker = journey.broker;
    std::thread::scope(|scope| {
        let rush = scope.spawn(|| journey.rush(station));
        std::thread::sleep(RUSH);
        let was_asked = !rush.is_finished();
        cluster.kill_server(broker)?;
        let error = rush.join().map_err(|_| anyhow!("requests have panicked"))?;
        if was_asked { Ok(()) } else { Err(error.context("before the broker was killed")) }
    })
}

fn tests(journey: Journey, class: &str, time: Duration) -> Vec<Test> {
    let results = journey.results();
    let time = time / u32::try_from(results.len()).unwrap_or(1).max(1);
    let test = |(name, wrong): (&str, Vec<String>)| Test {
        suite: SUITE.to_owned(),
        class: class.to_owned(),
        name: name.to_owned(),
        time,
        outcome: match wrong.first() {
            None => Outcome::Passed(None),
            Some(first) => Outcome::Failed { message: first.clone(), detail: wrong.join("\n") },
        },
    };
    results.into_iter().map(test).collect()
}
