//! Store folders that pass between Java's broker and the broker under test, both ways, in the middle of everything that
//! a broker does by itself later: half messages that are not decided, popped messages that are not acknowledged (with
//! checkpoints in the log and in memory), retries, delays, timers. Nothing may be lost, and nothing may come twice but
//! what was not acknowledged.
//!
//! Two folders make three stations each, at the same time: one begins and ends with Java's broker, one with ours.
//! `journey.rs` says what happens at a station.

mod client;
mod folder;
mod journey;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use self::journey::{Journey, STATIONS};
use crate::cluster::config::Flavour;
use crate::cluster::{BROKERS, Cluster, Servers, container};
use crate::probe;
use crate::report::{Outcome, Test};

const SUITE: &str = "exchange";

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
        }
        Ok(Self { folder, cluster })
    }

    fn store_of(&self, broker: &str) -> PathBuf {
        self.folder.join(broker).join("store")
    }
}

/// Runs both journeys; tests by what was done with the folder.
///
/// # Errors
/// When a server does not start or end, or does not answer.
pub fn run(java: &Servers, subject: &Servers, folder: &Path) -> Result<Vec<Test>> {
    let begun = Instant::now();
    let mut sides = [Side::start("java", java, folder)?, Side::start("subject", subject, folder)?];
    let mut journeys = [Journey::new(BROKERS[0]), Journey::new(BROKERS[1])];
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
            journey.arrive(probe::broker_address(side.cluster.namesrv_addr(), broker)?)?;
        }
        std::thread::scope(|scope| {
            let stays: Vec<_> = journeys.iter_mut().map(|journey| scope.spawn(move || journey.stay(station))).collect();
            stays.into_iter().try_for_each(|stay| stay.join().map_err(|_| anyhow!("a journey has panicked"))?)
        })
        .with_context(|| format!("at station {station}"))?;
        for (first, journey) in journeys.iter_mut().enumerate() {
            sides[(first + station) % 2].cluster.stop_server(journey.broker)?;
        }
    }
    let time = begun.elapsed() / 2;
    let names = [["java", "subject", "java"], ["subject", "java", "subject"]];
    let tests = journeys.into_iter().zip(names).flat_map(|(journey, names)| tests(journey, &names.join("-"), time));
    Ok(tests.collect())
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
