//! `bench run`: starts Java's and our servers in turn, A B A B, and puts what the generator and the operating system say
//! side by side.

mod children;
mod flags;
mod generator;
mod java;
mod machine;
mod official;
mod ours;
mod plot;
mod raw_sync;
mod remoting;
mod result;
mod sample;
mod server;
mod table;
mod verdict;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;

use crate::cases::{self, Case, Durability, Group, Rate, SATURATED, Subject, Work};
use generator::Generator;
use java::Java;
use machine::Machine;
use ours::Ours;
use result::{Sample, Samples, Side};
use server::{Deployment, Programs};
use verdict::Verdict;
use work::Turn;

/// Sends before the first case of a started server, seconds: Java compiles its hot paths.
const WARM_UP_SECONDS: u32 = 8;
/// Sends before each measured window, seconds.
const CASE_WARM_UP_SECONDS: u32 = 1;
/// Records of SYNC_FLUSH cases, of which raw fdatasync writes as many.
const RAW_BODY_BYTES: u32 = 1024;

/// What `bench run` is told.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Only cases whose names begin so; several separated by commas
    #[arg(long, value_name = "PATTERN")]
    cases: Option<String>,
    /// Measured seconds of every case, instead of each case's own
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: Option<u32>,
    /// Rounds, A B each (groups that take minutes have one)
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=9))]
    rounds: u32,
    /// A second a case, one round, each server started once where possible, small logs: proves that it works
    #[arg(long)]
    quick: bool,
    /// Where results.json, results.md, the plots and meanwhile the stores go; needs 30 GB on the disk to be measured
    #[arg(long, value_name = "DIR", default_value = "bench-results")]
    out: PathBuf,
    /// Folder with mqnamesrv and mqbroker, instead of building them
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
    /// Only our servers: no Java is needed
    #[arg(long)]
    no_java: bool,
    /// A generator to use instead of this program's own; its arguments are those of `bench load`
    #[arg(long, value_name = "PROGRAM", hide = true)]
    generator: Option<PathBuf>,
    /// Print the names of the cases, and do nothing
    #[arg(long)]
    list: bool,
}

/// `results.json`.
#[derive(Serialize)]
struct Results<'a> {
    machine: &'a Machine,
    quick: bool,
    samples: &'a [Sample],
    verdicts: &'a [Verdict],
}

/// Runs what is asked for.
///
/// # Errors
/// When nothing can be measured, or a correctness check of ours failed. A missed goal is a result, not an error.
pub fn run(options: &Options) -> Result<()> {
    let groups = cases::select(cases::groups(options.quick), options.cases.as_deref());
    ensure!(!groups.is_empty(), "no case begins with {:?}; --list shows them", options.cases);
    if options.list {
        groups.iter().flat_map(|group| &group.cases).for_each(|case| println!("{}", case.name));
        return Ok(());
    }
    children::end_with_us()?;
    std::fs::create_dir_all(&options.out).with_context(|| options.out.display().to_string())?;
    remove(&options.out.join("servers"))?;
    let mut runner = Runner::new(options)?;
    let rounds = if options.quick { 1 } else { options.rounds };
    // In a quick run all cases share a store, and so each server is started once for each of its settings.
    let shared = if options.quick { merged(&groups) } else { groups.clone() };
    for group in &shared {
        for round in 1..=rounds.min(group.rounds_max) {
            for side in [Side::Java, Side::Ours, Side::Null] {
                runner.turn(group, side, round)?;
            }
            if group.durability == Durability::Sync {
                runner.raw(group, round)?;
            }
        }
        runner.write(&groups)?;
        for verdict in group.cases.iter().flat_map(|case| verdict::judge(case, &runner.samples)) {
            println!("          {:<28} {}", verdict.case, verdict.text());
        }
    }
    println!("\n{}", runner.document(&groups));
    println!("written to {}", options.out.display());
    let wrong = runner.samples.0.iter().filter(|s| s.failed_checks.is_some() && s.side != Side::Java).count();
    ensure!(wrong == 0, "{wrong} results of ours are not correct, see {}/results.md", options.out.display());
    Ok(())
}

/// Groups of the same settings as one.
fn merged(groups: &[Group]) -> Vec<Group> {
    let mut merged: Vec<Group> = Vec::new();
    for group in groups {
        let same = |other: &&mut Group| (other.durability, other.subject) == (group.durability, group.subject);
        match merged.iter_mut().find(same) {
            Some(other) => other.cases.extend(group.cases.iter().cloned()),
            None => merged.push(group.clone()),
        }
    }
    merged
}

struct Runner<'a> {
    options: &'a Options,
    programs: Arc<Programs>,
    generator: Generator,
    machine: Machine,
    samples: Samples,
    started: Instant,
}

impl<'a> Runner<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = manifest.parent().context("the crate is not in a workspace")?;
        let memory = machine::memory_bytes()?;
        let java = match options.no_java {
            true => None,
            false => Some(Java::prepare(&manifest.join("java/pom.xml"), memory)?),
        };
        let bench = std::env::current_exe()?;
        let out = options.out.canonicalize()?;
        let machine = Machine::look(workspace, &out, java.as_ref());
        let ours = Ours::prepare(options.bin.clone(), workspace)?;
        Ok(Self {
            options,
            generator: match &options.generator {
                Some(program) => Generator { program: program.clone(), first: Vec::new() },
                None => Generator { program: bench.clone(), first: vec!["load".to_owned()] },
            },
            programs: Arc::new(Programs { java, ours, bench }),
            machine,
            samples: Samples::default(),
            started: Instant::now(),
        })
    }

    /// All cases of a group against one side, from an empty store.
    fn turn(&mut self, group: &Group, side: Side, round: u32) -> Result<()> {
        let mut cases: Vec<&Case> = group.cases.iter().filter(|case| side != Side::Null || case.null).collect();
        if cases.is_empty() || (side == Side::Java && self.programs.java.is_none()) {
            return Ok(());
        }
        cases.retain(|case| side == Side::Java || self.possible(case));
        let name = format!("{}-{}-{round}", group.name, side.name());
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let home = self.options.out.join("servers").join(name);
        remove(&home)?;
        machine::settle(&self.options.out)?;
        if let Err(error) = self.turn_in(group, &cases, side, round, &home) {
            // The other side, and the other groups, are worth measuring all the same.
            for case in cases {
                if !self.samples.of(&case.name, side).any(|sample| sample.round == round) {
                    self.keep(Sample::failed(case, side, round, group.durability, &error));
                }
            }
            return remove_stores(&home);
        }
        if self.samples.0.iter().any(|s| s.failed_checks.is_some() && s.round == round && s.side == side) {
            return remove_stores(&home);
        }
        remove(&home)
    }

    /// Whether what the case needs beside itself is there.
    fn possible(&self, case: &Case) -> bool {
        let java = self.programs.java.is_some();
        match &case.work {
            Work::Official(_) => java,
            work => java || !needs_java_rate(work),
        }
    }

    fn turn_in(&mut self, group: &Group, cases: &[&Case], side: Side, round: u32, home: &Path) -> Result<()> {
        let mut deployment: Option<Deployment> = None;
        for (number, case) in cases.iter().enumerate() {
            if deployment.as_mut().is_some_and(|deployment| !deployment.is_running()) {
                deployment = None;
                std::fs::rename(home, home.with_extension(format!("ended-before-{number}")))?;
            }
            let deployment = match &mut deployment {
                Some(running) => running,
                None => {
                    let new = Deployment::start(self.programs.clone(), side, group.subject, group.durability, home)?;
                    let new = deployment.insert(new);
                    if group.subject == Subject::Broker {
                        let seconds = if self.options.quick { 1 } else { WARM_UP_SECONDS };
                        self.prepare(new, group, round).warm_up(seconds)?;
                    }
                    new
                }
            };
            if side == Side::Java && needs_java_rate(&case.work) && self.java_rate().is_none() {
                let saturated = cases::select(cases::groups(self.options.quick), Some(SATURATED));
                let case = saturated.first().and_then(|group| group.cases.first()).context("no saturating case")?;
                let sample = self.prepare(deployment, group, round).run(case)?;
                self.keep(sample);
            }
            if side == Side::Ours && needs_java_rate(&case.work) && self.java_rate().is_none() {
                continue;
            }
            machine::settle(home)?;
            if !self.options.quick {
                machine::touch_memory(&self.programs.bench)?;
            }
            let sample = self.prepare(deployment, group, round).run(case);
            self.keep(sample.unwrap_or_else(|error| Sample::failed(case, side, round, group.durability, &error)));
        }
        Ok(())
    }

    fn prepare<'t>(&'t self, deployment: &'t mut Deployment, group: &Group, round: u32) -> Turn<'t> {
        Turn {
            generator: &self.generator,
            deployment,
            durability: group.durability,
            round,
            half_of_java: self.java_rate().map(|rate| rate / 2.0),
            seconds: if self.options.quick { Some(1) } else { self.options.seconds },
            warmup_seconds: if self.options.quick { 0 } else { CASE_WARM_UP_SECONDS },
            quick: self.options.quick,
        }
    }

    fn java_rate(&self) -> Option<f64> {
        self.samples.median(SATURATED, Side::Java, |sample| Some(sample.rate).filter(|rate| *rate > 0.0))
    }

    /// What the disk gives to the groups of each SYNC_FLUSH case.
    fn raw(&mut self, group: &Group, round: u32) -> Result<()> {
        for case in &group.cases {
            let Work::Send(send) = &case.work else { continue };
            let seconds = if self.options.quick { 1 } else { self.options.seconds.unwrap_or(case.seconds) };
            let duration = Duration::from_secs(seconds.into());
            machine::settle(&self.options.out)?;
            let raw = raw_sync::run(&self.options.out, send.in_flight, RAW_BODY_BYTES, duration)?;
            let mut sample = Sample::new(&case.name, Side::Raw, round, group.durability);
            sample.load = format!(
                "write and fdatasync of {} records of {RAW_BODY_BYTES} + {} B at a time",
                send.in_flight,
                raw_sync::RECORD_OVERHEAD_BYTES
            );
            sample.measured(raw.records, raw.seconds, 0.0);
            self.keep(sample);
        }
        Ok(())
    }

    fn keep(&mut self, sample: Sample) {
        println!("{:>6.0} s  {}", self.started.elapsed().as_secs_f64(), table::progress(&sample));
        self.samples.0.push(sample);
    }

    fn verdicts(&self, groups: &[Group]) -> Vec<Verdict> {
        groups.iter().flat_map(|group| &group.cases).flat_map(|case| verdict::judge(case, &self.samples)).collect()
    }

    fn document(&self, groups: &[Group]) -> String {
        table::markdown(&self.machine, groups, &self.samples, &self.verdicts(groups), self.options.quick)
    }

    /// Writes everything measured so far, so that an interrupted run is not lost.
    fn write(&self, groups: &[Group]) -> Result<()> {
        let out = &self.options.out;
        let verdicts = self.verdicts(groups);
        let quick = self.options.quick;
        let results = Results { machine: &self.machine, quick, samples: &self.samples.0, verdicts: &verdicts };
        std::fs::write(out.join("results.json"), serde_json::to_vec_pretty(&results)?)?;
        let plots = plot::write_all(out, groups, &self.samples)?;
        let links: String = plots.iter().map(|name| format!("\n![{name}]({name})\n")).collect();
        std::fs::write(out.join("results.md"), self.document(groups) + &links)?;
        Ok(())
    }
}

fn needs_java_rate(work: &Work) -> bool {
    match work {
        Work::Tail(rate) => *rate == Rate::HalfOfJava,
        Work::Send(send) => send.rate == Some(Rate::HalfOfJava),
        _ => false,
    }
}

/// Leaves logs and settings, for whoever looks for the reason of a failure.
fn remove_stores(home: &Path) -> Result<()> {
    remove(&home.join("broker").join("store"))
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", folder.display())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Goal;

    #[test]
    fn raw_is_measured_where_a_goal_wants_it() {
        for group in cases::groups(false) {
            let wants = group.cases.iter().any(|case| case.goals.iter().any(|goal| matches!(goal, Goal::RateOfRaw(_))));
            assert!(!wants || group.durability == Durability::Sync, "{}", group.name);
        }
    }

    #[test]
    fn quick_runs_start_a_server_once_for_each_settings() {
        let groups = cases::groups(true);
        let merged = merged(&groups);
        assert_eq!(merged.len(), 3);
        let count = |groups: &[Group]| groups.iter().map(|group| group.cases.len()).sum::<usize>();
        assert_eq!(count(&merged), count(&groups));
    }
}
