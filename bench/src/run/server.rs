//! The servers of one side: started on an empty folder, stopped, killed, started again on what they left.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::children::Running;
use super::java::{Java, Program};
use super::ours::Ours;
use super::remoting::{self, Probe};
use super::result::Side;
use super::sample;
use crate::cases::{Durability, Subject};

/// From the start of a server to its first answer; recovery of 10 GB by Java takes a minute on slow disks.
const START_LIMIT: Duration = Duration::from_secs(300);
/// From SIGTERM to the end; a broker brings gigabytes of its page cache to disk.
const STOP_LIMIT: Duration = Duration::from_secs(300);
/// Pulled from to see whether a broker answers; it does not exist.
const PROBE_TOPIC: &str = "bench-probe";

/// What the servers of all sides are started from.
pub struct Programs {
    /// RocketMQ; absent when only ours are measured.
    pub java: Option<Java>,
    /// Ours.
    pub ours: Ours,
    /// This program, for the null server.
    pub bench: PathBuf,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM.
    Clean,
    /// SIGKILL.
    Killed,
}

/// Running servers of one side. Dropping it kills them; the folder stays.
pub struct Deployment {
    programs: Arc<Programs>,
    side: Side,
    subject: Subject,
    home: PathBuf,
    namesrv: Option<Running>,
    broker: Option<Running>,
    namesrv_address: SocketAddr,
    broker_address: SocketAddr,
    /// From the start of the measured server until its first answer, on an empty folder.
    pub startup: Duration,
}

impl Deployment {
    /// Starts a name server and, where it is the subject, a broker on the empty folder `home`.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(
        programs: Arc<Programs>,
        side: Side,
        subject: Subject,
        durability: Durability,
        home: &Path,
    ) -> Result<Self> {
        std::fs::create_dir_all(home)?;
        let home = home.canonicalize()?;
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut deployment = Self {
            programs,
            side,
            subject,
            namesrv_address: loopback(free_port(0, 0)?),
            // Beside the port itself: the fast port two below, the replication port one above.
            broker_address: loopback(free_port(2, 1)?),
            home,
            namesrv: None,
            broker: None,
            startup: Duration::ZERO,
        };
        deployment.write_settings(durability)?;
        if side != Side::Null {
            deployment.startup = deployment.start_namesrv()?;
        }
        if subject == Subject::Broker {
            deployment.startup = deployment.start_broker()?;
        }
        Ok(deployment)
    }

    fn write_settings(&self, durability: Durability) -> Result<()> {
        let (namesrv, broker) = (self.folder("namesrv"), self.folder("broker"));
        std::fs::create_dir_all(&namesrv)?;
        std::fs::create_dir_all(&broker)?;
        let store = self.store();
        let namesrv_keys = format!(
            "listenPort={}\nkvConfigPath={}\nconfigStorePath={}\n",
            self.namesrv_address.port(),
            namesrv.join("kvConfig.json").display(),
            namesrv.join("namesrv.properties").display(),
        );
        std::fs::write(namesrv.join("server.conf"), namesrv_keys)?;
        let port = self.broker_address.port();
        let broker_keys = format!(
            "brokerClusterName=bench\nbrokerName=broker-a\nbrokerId=0\nbrokerIP1=127.0.0.1\nnamesrvAddr={}\n\
             listenPort={port}\nfastListenPort={}\nhaListenPort={}\nflushDiskType={}\n\
             storePathRootDir={}\nstorePathCommitLog={}\nenablePropertyFilter=true\n",
            self.namesrv_address,
            port - 2,
            port + 1,
            durability.key_value(),
            store.display(),
            store.join("commitlog").display(),
        );
        std::fs::write(broker.join("server.conf"), broker_keys)?;
        Ok(())
    }

    fn folder(&self, server: &str) -> PathBuf {
        self.home.join(server)
    }

    /// Where the broker keeps its files.
    pub fn store(&self) -> PathBuf {
        self.folder("broker").join("store")
    }

    fn start_namesrv(&mut self) -> Result<Duration> {
        let home = self.folder("namesrv");
        let program = match self.subject {
            Subject::Namesrv => Program::NamesrvMeasured,
            Subject::Broker => Program::Namesrv,
        };
        let mut command = self.server_command("mqnamesrv", program, &home)?;
        let running = self.namesrv.insert(Running::start(&mut command, &home.join("output.log"))?);
        remoting::await_answer(running, self.namesrv_address, Probe::Topics, START_LIMIT)
            .with_context(|| format!("the name server of {}, see {}", self.side.name(), home.display()))
    }

    fn start_broker(&mut self) -> Result<Duration> {
        let home = self.folder("broker");
        let mut command = match self.side {
            Side::Null => {
                let mut command = Command::new(&self.programs.bench);
                command.args(["null-server", "--addr", &self.broker_address.to_string()]);
                command
            }
            _ => self.server_command("mqbroker", Program::Broker, &home)?,
        };
        let running = self.broker.insert(Running::start(&mut command, &home.join("output.log"))?);
        remoting::await_answer(running, self.broker_address, Probe::Pull(PROBE_TOPIC), START_LIMIT)
            .with_context(|| format!("the broker of {}, see {}", self.side.name(), home.display()))
    }

    fn server_command(&self, ours: &str, java: Program, home: &Path) -> Result<Command> {
        let mut command = match self.side {
            Side::Java => self.programs.java.as_ref().context("Java is left out")?.command(java, home),
            Side::Ours => self.programs.ours.command(ours, home),
            Side::Null | Side::Raw => bail!("{} has no {ours}", self.side.name()),
        };
        command.arg("-c").arg(home.join("server.conf"));
        Ok(command)
    }

    /// Who this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The server that is measured.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pid(&self) -> Result<u32> {
        let running = match self.subject {
            Subject::Broker => &self.broker,
            Subject::Namesrv => &self.namesrv,
        };
        running.as_ref().map(Running::pid).context("the server is not running")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self.subject {
            Subject::Broker => self.broker_address,
            Subject::Namesrv => self.namesrv_address,
        }
    }

    /// Where the name server listens, which is there whatever is measured.
    pub fn namesrv_address(&self) -> SocketAddr {
        self.namesrv_address
    }

    /// RocketMQ's programs, whoever this is.
    pub fn java(&self) -> Option<&Java> {
        self.programs.java.as_ref()
    }

    /// What the store occupies on disk.
    pub fn disk_bytes(&self) -> u64 {
        sample::disk_bytes(&self.store())
    }

    /// Whether the measured server has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        let running = match self.subject {
            Subject::Broker => &mut self.broker,
            Subject::Namesrv => &mut self.namesrv,
        };
        running.as_mut().is_some_and(|running| matches!(running.ended(), Ok(None)))
    }

    /// Ends the broker; returns how long that took.
    ///
    /// # Errors
    /// When it is not running, or does not end cleanly within five minutes.
    pub fn end_broker(&mut self, end: End) -> Result<Duration> {
        let mut broker = self.broker.take().context("the broker is not running")?;
        match end {
            End::Clean => broker.stop(STOP_LIMIT),
            End::Killed => {
                let asked = std::time::Instant::now();
                broker.kill();
                Ok(asked.elapsed())
            }
        }
    }

    /// Starts the broker again on the files it left; the time until its first answer.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart_broker(&mut self) -> Result<Duration> {
        self.start_broker()
    }
}

/// A free port of which `below` and `above` neighbours are free as well.
fn free_port(below: u16, above: u16) -> Result<u16> {
    const ATTEMPTS: usize = 100;
    for _ in 0..ATTEMPTS {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = probe.local_addr()?.port();
        drop(probe);
        let (Some(first), Some(last)) = (port.checked_sub(below), port.checked_add(above)) else { continue };
        let held: Vec<_> = (first..=last).map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).collect();
        if held.iter().all(Result::is_ok) {
            return Ok(port);
        }
    }
    bail!("no free ports")
}
