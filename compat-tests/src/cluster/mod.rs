//! The servers under test: one name server and three brokers, in processes or containers.

pub mod config;
pub mod container;
pub mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::probe;
use config::Flavour;

/// How long a server may take from its start to its boot line, and then to be registered.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a server may take to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// The name of the name server among [`Cluster::names`].
pub const NAMESRV: &str = "namesrv";
/// The brokers of a cluster.
pub const BROKERS: [&str; 3] = ["broker-a", "broker-b", "broker-c"];

/// Which programs are the servers.
#[derive(Clone, Debug)]
pub enum Servers {
    /// Executables of this folder: `mqnamesrv`, `mqbroker`.
    Process(PathBuf),
    /// Apache RocketMQ from Maven Central: the class path.
    Java(String),
    /// Images.
    Container(container::Images),
}

/// One server that can be killed and started again on the same files.
pub trait Server: Send {
    /// Starts it and returns when its boot line is seen.
    fn start(&mut self, timeout: Duration) -> Result<()>;
    /// SIGKILL; returns when it is gone.
    fn kill(&mut self) -> Result<()>;
    /// SIGTERM; returns when it has ended by itself, an error when it had to be killed.
    fn stop(&mut self, timeout: Duration) -> Result<()>;
    /// Folder with its configuration file `server.conf`.
    fn folder(&self) -> &Path;
    /// Writes what is worth keeping next to the process's own log.
    fn save_logs(&mut self);
}

/// Address of the name server, and all servers by name, the name server first; none is started yet.
type Prepared = (String, Vec<(String, Box<dyn Server>)>);

/// A running cluster. Dropping it ends its servers.
pub struct Cluster {
    namesrv_addr: String,
    /// The name server first, then the brokers.
    servers: Vec<(String, Box<dyn Server>)>,
}

impl Cluster {
    /// Starts one name server and three brokers with fresh stores below `folder`.
    ///
    /// # Errors
    /// When a server does not say that it is up, or a broker does not register, within a minute each.
    pub fn start(servers: &Servers, folder: &Path, flavour: Flavour) -> Result<Self> {
        Self::start_some(servers, folder, flavour, &BROKERS)
    }

    /// The same, but only these of the three brokers; the others may be started later.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_some(servers: &Servers, folder: &Path, flavour: Flavour, brokers: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = &folder.canonicalize()?;
        let (namesrv_addr, servers) = match servers {
            Servers::Process(bin) => process::prepare(&process::Program::Ours(bin.clone()), folder, flavour)?,
            Servers::Java(class_path) => {
                process::prepare(&process::Program::Java(class_path.clone()), folder, flavour)?
            }
            Servers::Container(images) => container::prepare(images, folder, flavour)?,
        };
        let mut cluster = Self { namesrv_addr, servers };
        for name in std::iter::once(NAMESRV).chain(brokers.iter().copied()) {
            cluster.start_server(name)?;
        }
        Ok(cluster)
    }

    /// A cluster of one server, for tests of who uses a cluster.
    #[cfg(test)]
    pub(crate) fn of_namesrv(server: Box<dyn Server>) -> Self {
        Self { namesrv_addr: String::new(), servers: vec![(NAMESRV.to_owned(), server)] }
    }

    /// `HOST:PORT` of the name server, reachable from this machine.
    pub fn namesrv_addr(&self) -> &str {
        &self.namesrv_addr
    }

    /// Names of the servers, as the control socket takes them.
    pub fn names(&self) -> Vec<String> {
        self.servers.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Starts a server on the files it left behind; a broker is also awaited at the name server.
    pub fn start_server(&mut self, name: &str) -> Result<()> {
        self.server(name)?.start(START_TIMEOUT).with_context(|| format!("{name} does not start"))?;
        if name == NAMESRV {
            return Ok(());
        }
        let deadline = Instant::now() + START_TIMEOUT;
        while !probe::has_route(&self.namesrv_addr, name).unwrap_or(false) {
            if Instant::now() > deadline {
                bail!(
                    "{name} says that it is up, and is not registered at {} after {START_TIMEOUT:?}",
                    self.namesrv_addr
                );
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// SIGKILL.
    pub fn kill_server(&mut self, name: &str) -> Result<()> {
        self.server(name)?.kill()
    }

    /// SIGTERM.
    pub fn stop_server(&mut self, name: &str) -> Result<()> {
        self.server(name)?.stop(STOP_TIMEOUT)
    }

    /// Adds a line to a server's configuration file; the last line for a key counts.
    pub fn configure(&mut self, name: &str, key: &str, value: &str) -> Result<()> {
        let file = config::file_in(self.server(name)?.folder());
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(&file, format!("{}\n{key}={value}\n", text.trim_end()))?;
        Ok(())
    }

    fn server(&mut self, name: &str) -> Result<&mut Box<dyn Server>> {
        self.servers
            .iter_mut()
            .find_map(|(n, server)| (n == name).then_some(server))
            .with_context(|| format!("there is no server {name:?}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (name, server) in self.servers.iter_mut().rev() {
            server.save_logs();
            if let Err(e) = server.kill() {
                eprintln!("{name} cannot be ended: {e:#}");
            }
        }
    }
}
