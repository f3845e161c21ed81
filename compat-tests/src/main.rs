//! `compat-tests`: starts servers, or finds them, and runs other people's tests against them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use hypergol_compat_tests::cluster::config::Flavour;
use hypergol_compat_tests::cluster::container::Images;
use hypergol_compat_tests::cluster::{BROKERS, Cluster, Servers};
use hypergol_compat_tests::official::fork::Fork;
use hypergol_compat_tests::official::table::{self, Set};
use hypergol_compat_tests::official::{self, Plan};
use hypergol_compat_tests::report::{Report, Test};
use hypergol_compat_tests::suite::{Environment, Suite};
use hypergol_compat_tests::{control, differential, exchange, interrupt, probe};

/// Runs official RocketMQ tests and clients against a name server and brokers.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Which servers to start
    #[arg(long, value_enum, required_unless_present = "namesrv")]
    servers: Option<Mode>,
    /// A running deployment to test instead: HOST:PORT of its name server
    #[arg(long, conflicts_with = "servers")]
    namesrv: Option<String>,
    /// What to run
    #[arg(long, value_enum, default_value_t = Which::All)]
    suite: Which,
    /// Only tests whose class#method (Go: name) contains this
    #[arg(long)]
    filter: Option<String>,
    /// How much of the official tests
    #[arg(long, value_enum, default_value_t = Set::Ci)]
    set: Set,
    /// Also run the official tests that are known to fail
    #[arg(long)]
    known_failing: bool,
    /// Requests of the differential test
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// What the differential test's requests are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clusters, and virtual machines with tests, at the same time
    #[arg(long, default_value_t = 2)]
    forks: usize,
    /// Where report.txt, junit/, logs and the servers' files go
    #[arg(long, default_value = "target/compat-report")]
    report_dir: PathBuf,
    /// Folder of mqnamesrv and mqbroker; by default that of this executable
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Image whose command is mqnamesrv
    #[arg(long, default_value = "hypergol/namesrv:latest")]
    namesrv_image: String,
    /// Image whose command is mqbroker
    #[arg(long, default_value = "hypergol/broker:latest")]
    broker_image: String,
    /// Cluster name of the running deployment
    #[arg(long, default_value = "DefaultCluster")]
    cluster: String,
    /// This crate's folder, with java/, go/ and official-tests.csv
    #[arg(long, default_value = env!("CARGO_MANIFEST_DIR"), value_parser = absolute)]
    tests_dir: PathBuf,
}

/// A folder that is there; the programs that run in it have working folders of their own.
fn absolute(folder: &str) -> std::io::Result<PathBuf> {
    Path::new(folder).canonicalize()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Our executables
    Process,
    /// Our images
    Container,
    /// Apache RocketMQ 5.5.0 from Maven Central
    Java,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Official,
    JavaClient,
    GoClient,
    Differential,
    Exchange,
    All,
}

impl Which {
    fn has(self, part: Which) -> bool {
        self == Which::All || self == part
    }
}

const EXIT_FAILED: u8 = 1;
const EXIT_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(e) => {
            eprintln!("compat-tests: {e:#}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}

/// Whether everything went as expected.
fn run(arguments: &Arguments) -> Result<bool> {
    interrupt::install()?;
    let started = Instant::now();
    let report_dir = fresh_folder(&arguments.report_dir)?;
    let target = Target::find(arguments, &report_dir)?;
    let mut report = Report { headline: vec![target.describe()], tests: Vec::new() };
    if arguments.suite.has(Which::Official) {
        report.tests.extend(run_official(arguments, &target)?);
    }
    if arguments.suite.has(Which::Differential) {
        report.tests.extend(run_differential(arguments, &target, &report_dir)?);
    }
    if arguments.suite.has(Which::Exchange) {
        report.tests.extend(run_exchange(arguments, &target, &report_dir)?);
    }
    report.tests.extend(run_clients(arguments, &target)?);
    report.headline.push(format!("took {:.0} s", started.elapsed().as_secs_f32()));
    report.write(&report_dir)?;
    print!("{}", report.text());
    println!("report: {}", report_dir.display());
    Ok(report.is_success())
}

/// Makes the report folder and removes what an earlier run left in it, and nothing else.
fn fresh_folder(folder: &Path) -> Result<PathBuf> {
    for left in ["junit", "servers", "logs"] {
        let left = folder.join(left);
        if left.exists() {
            std::fs::remove_dir_all(&left).with_context(|| left.display().to_string())?;
        }
    }
    std::fs::create_dir_all(folder.join("logs")).with_context(|| folder.display().to_string())?;
    Ok(folder.canonicalize()?)
}

/// What is tested.
enum Target {
    /// A deployment that runs already.
    Running { namesrv: String, cluster: String, report_dir: PathBuf },
    /// Clusters that we start, one per fork or suite.
    Started { servers: Servers, mode: Mode, report_dir: PathBuf },
}

/// Servers for one fork or suite; dropping it ends those that we started.
struct Lease {
    environment: Environment,
    _cluster: Option<Arc<Mutex<Cluster>>>,
}

impl Target {
    fn find(arguments: &Arguments, report_dir: &Path) -> Result<Self> {
        let report_dir = report_dir.to_owned();
        if let Some(namesrv) = &arguments.namesrv {
            let masters = probe::masters(namesrv).with_context(|| format!("name server {namesrv}"))?;
            if masters.is_empty() {
                bail!("name server {namesrv} knows no master broker");
            }
            if arguments.suite.has(Which::Official) && masters.len() != 3 {
                bail!(
                    "the official tests need three master brokers, {namesrv} knows {masters:?}; --suite java-client does not"
                );
            }
            return Ok(Self::Running { namesrv: namesrv.clone(), cluster: arguments.cluster.clone(), report_dir });
        }
        let mode = arguments.servers.context("--servers or --namesrv")?;
        let servers = match mode {
            Mode::Process => Servers::Process(bin_dir(arguments.bin_dir.as_deref())?),
            Mode::Java => Servers::Java(official::build(&official_folder(arguments))?),
            Mode::Container => {
                let images =
                    Images { namesrv: arguments.namesrv_image.clone(), broker: arguments.broker_image.clone() };
                images.check()?;
                Servers::Container(images)
            }
        };
        Ok(Self::Started { servers, mode, report_dir })
    }

    fn describe(&self) -> String {
        match self {
            Self::Running { namesrv, .. } => format!("servers: running deployment at {namesrv}"),
            Self::Started { servers: Servers::Process(bin), .. } => format!("servers: processes of {}", bin.display()),
            Self::Started { servers: Servers::Java(_), .. } => "servers: Apache RocketMQ 5.5.0".to_owned(),
            Self::Started { servers: Servers::Container(images), .. } => {
                format!("servers: containers of {} and {}", images.namesrv, images.broker)
            }
        }
    }

    /// Whether the expectation is what Java's servers do. Of a deployment we do not know what it is: it is measured by Java.
    fn is_judged_as_java(&self) -> bool {
        !matches!(self, Self::Started { mode: Mode::Process | Mode::Container, .. })
    }

    fn report_dir(&self) -> &Path {
        match self {
            Self::Running { report_dir, .. } | Self::Started { report_dir, .. } => report_dir,
        }
    }

    fn lease(&self, name: &str, flavour: Flavour, filter: Option<String>) -> Result<Lease> {
        match self {
            Self::Running { namesrv, cluster, .. } => Ok(Lease {
                environment: Environment { namesrv: namesrv.clone(), cluster: cluster.clone(), control: None, filter },
                _cluster: None,
            }),
            Self::Started { servers, report_dir, .. } => {
                let folder = report_dir.join("servers").join(name);
                let cluster =
                    Cluster::start(servers, &folder, flavour).with_context(|| format!("cluster for {name}"))?;
                let namesrv = cluster.namesrv_addr().to_owned();
                let cluster = Arc::new(Mutex::new(cluster));
                let control = control::serve(&cluster)?;
                Ok(Lease {
                    environment: Environment {
                        namesrv,
                        cluster: "DefaultCluster".to_owned(),
                        control: Some(control.to_string()),
                        filter,
                    },
                    _cluster: Some(cluster),
                })
            }
        }
    }
}

fn official_folder(arguments: &Arguments) -> PathBuf {
    arguments.tests_dir.join("java/official")
}

fn bin_dir(given: Option<&Path>) -> Result<PathBuf> {
    let dir = match given {
        Some(dir) => dir.to_owned(),
        None => std::env::current_exe()?.parent().context("an executable lies in a folder")?.to_owned(),
    };
    for program in ["mqnamesrv", "mqbroker"] {
        if !dir.join(program).exists() {
            bail!(
                "{} is not there; build it: cargo build --release -p hypergol-namesrv -p hypergol-broker",
                dir.join(program).display()
            );
        }
    }
    Ok(dir.canonicalize()?)
}

fn run_official(arguments: &Arguments, target: &Target) -> Result<Vec<Test>> {
    let plan = Plan {
        rows: table::read(&arguments.tests_dir.join("official-tests.csv"))?,
        as_java: target.is_judged_as_java(),
        set: arguments.set,
        filter: arguments.filter.clone(),
        known_failing: arguments.known_failing,
    };
    let mut tests = plan.not_run();
    // A running deployment is one cluster: two forks would change its settings under each other.
    let forks = if matches!(target, Target::Running { .. }) { 1 } else { arguments.forks };
    let forks = forks.clamp(1, plan.jobs().len().max(1));
    if plan.jobs().is_empty() {
        return Ok(tests);
    }
    let class_path = official::build(&official_folder(arguments))?;
    let mut leases = Vec::new();
    for n in 0..forks {
        leases.push(target.lease(&format!("official-{n}"), Flavour::Official, None)?);
    }
    let mut virtual_machines: Vec<Fork> = leases
        .iter()
        .enumerate()
        .map(|(n, lease)| {
            let folder = target.report_dir().join("logs").join(format!("official-{n}"));
            Fork::new(class_path.clone(), lease.environment.clone(), &folder)
        })
        .collect();
    tests.extend(official::run(&plan, &mut virtual_machines));
    Ok(tests)
}

/// The same requests to a Java broker and to one of ours. A running deployment is left out: it has settings of its own.
fn run_differential(arguments: &Arguments, target: &Target, report_dir: &Path) -> Result<Vec<Test>> {
    let Target::Started { servers, .. } = target else { return Ok(Vec::new()) };
    eprintln!("differential, --seed {} --steps {} …", arguments.seed, arguments.steps);
    let java = Servers::Java(official::build(&official_folder(arguments))?);
    let broker = BROKERS[0];
    let mut sides = Vec::new();
    for (name, servers) in [("java", &java), ("subject", servers)] {
        let folder = report_dir.join("servers").join(format!("differential-{name}"));
        let cluster = Cluster::start_some(servers, &folder, Flavour::Differential, &[broker])?;
        let addresses = differential::Addresses {
            name_server: cluster.namesrv_addr().parse()?,
            broker: probe::broker_address(cluster.namesrv_addr(), broker)?,
        };
        sides.push((addresses, cluster));
    }
    differential::run(sides[0].0, sides[1].0, broker, arguments.seed, arguments.steps)
}

/// Store folders that pass between Java's broker and ours. The files of a running deployment are out of reach.
fn run_exchange(arguments: &Arguments, target: &Target, report_dir: &Path) -> Result<Vec<Test>> {
    let Target::Started { servers, .. } = target else { return Ok(Vec::new()) };
    eprintln!("exchange …");
    let java = Servers::Java(official::build(&official_folder(arguments))?);
    exchange::run(&java, servers, &report_dir.join("servers"))
}

fn run_clients(arguments: &Arguments, target: &Target) -> Result<Vec<Test>> {
    let suite = |name: &str, folder: &str, version: &[&str]| Suite {
        name: name.to_owned(),
        folder: arguments.tests_dir.join(folder),
        arguments: version.iter().map(|v| (*v).to_owned()).collect(),
    };
    let mut suites = Vec::new();
    if arguments.suite.has(Which::JavaClient) {
        suites.push(suite("java-client-4.9.8", "java/clients", &["4.9.8"]));
        suites.push(suite("java-client-5.5.0", "java/clients", &["5.5.0"]));
    }
    if arguments.suite.has(Which::GoClient) {
        suites.push(suite("go-client", "go", &[]));
    }
    let mut tests = Vec::new();
    for suite in suites {
        eprintln!("{} …", suite.name);
        let lease = target.lease(&suite.name, Flavour::Clients, arguments.filter.clone())?;
        let report_dir = target.report_dir();
        let log = report_dir.join("logs").join(format!("{}.log", suite.name));
        tests.extend(suite.run(&lease.environment, &report_dir.join("servers").join(&suite.name).join("xml"), &log));
    }
    Ok(tests)
}
