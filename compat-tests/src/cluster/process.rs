//! Servers as plain processes on loopback: ours, or Java's from Maven Central.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::config::{self, Flavour, Properties};
use super::{BROKERS, NAMESRV, POLL, Prepared, Server};
use crate::interrupt::{self, Started};

/// Java 17 closes these packages to the reflection that RocketMQ does.
pub const JAVA_OPENS: [&str; 6] = [
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.math=ALL-UNNAMED",
    "--add-opens=java.base/java.net=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
];
const BOOT_LINE: &str = "boot success";

/// What is run.
#[derive(Clone, Debug)]
pub enum Program {
    /// `mqnamesrv` and `mqbroker` of this folder.
    Ours(PathBuf),
    /// The official classes, on this class path.
    Java(String),
}

/// Chooses ports, writes the configuration files, and returns the name server's address and the servers, not started.
pub fn prepare(program: &Program, folder: &Path, flavour: Flavour) -> Result<Prepared> {
    let namesrv_port = free_port(&[0])?;
    let namesrv_addr = format!("127.0.0.1:{namesrv_port}");
    let home = folder.join(NAMESRV);
    let lines = vec![
        ("listenPort".to_owned(), namesrv_port.to_string()),
        ("kvConfigPath".to_owned(), home.join("kvConfig.json").display().to_string()),
        ("configStorePath".to_owned(), home.join("namesrv.properties").display().to_string()),
    ];
    let mut servers = vec![process(program, NAMESRV, home, &lines)?];
    for name in BROKERS {
        // Beside the port itself: P-2 is the fast port, P+1 the replication port.
        let port = free_port(&[-2, 0, 1])?;
        let home = folder.join(name);
        let store = home.join("store");
        let mut lines = config::broker(name, &namesrv_addr, flavour);
        lines.extend([
            ("brokerIP1".to_owned(), "127.0.0.1".to_owned()),
            ("listenPort".to_owned(), port.to_string()),
            ("haListenPort".to_owned(), (port + 1).to_string()),
            ("storePathRootDir".to_owned(), store.display().to_string()),
            ("storePathCommitLog".to_owned(), store.join("commitlog").display().to_string()),
        ]);
        servers.push(process(program, name, home, &lines)?);
    }
    Ok((namesrv_addr, servers))
}

fn process(program: &Program, name: &str, home: PathBuf, lines: &Properties) -> Result<(String, Box<dyn Server>)> {
    config::write(&home, lines)?;
    Ok((name.to_owned(), Box::new(Process { program: program.clone(), name: name.to_owned(), home, child: None })))
}

/// Where ports are looked for: below those that outgoing connections get (Linux: from 32,768), for some servers start long
/// after their port was chosen.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port of which all neighbours named by `offsets` are free.
fn free_port(offsets: &[i32]) -> Result<u16> {
    const ATTEMPTS: usize = 100;
    for _ in 0..ATTEMPTS {
        let port = rand::random_range(PORTS);
        let wanted = offsets.iter().map(|offset| u16::try_from(i32::from(port) + offset));
        let held: Vec<_> = wanted.map(|p| TcpListener::bind(("127.0.0.1", p?)).map_err(anyhow::Error::from)).collect();
        if held.iter().all(Result::is_ok) {
            return Ok(port);
        }
    }
    bail!("no free ports on loopback")
}

struct Process {
    program: Program,
    name: String,
    home: PathBuf,
    child: Option<Child>,
}

impl Process {
    fn command(&self) -> Command {
        let is_namesrv = self.name == NAMESRV;
        let mut command = match &self.program {
            Program::Ours(bin) => Command::new(bin.join(if is_namesrv { "mqnamesrv" } else { "mqbroker" })),
            Program::Java(class_path) => {
                let (heap, main) = if is_namesrv {
                    ("-Xmx256m", "org.apache.rocketmq.namesrv.NamesrvStartup")
                } else {
                    ("-Xmx768m", "org.apache.rocketmq.broker.BrokerStartup")
                };
                let mut java = Command::new("java");
                java.args([heap, "-XX:+UseSerialGC"]).args(JAVA_OPENS);
                java.arg(format!("-Duser.home={}", self.home.display()));
                java.args(["-cp", class_path, main]);
                java
            }
        };
        command.arg("-c").arg(config::file_in(&self.home));
        // Both families put logs, and what has no path of its own, below the home folder.
        command.env("HOME", &self.home).env("ROCKETMQ_HOME", &self.home);
        command.env_remove("NAMESRV_ADDR").env_remove("JAVA_TOOL_OPTIONS").current_dir(&self.home);
        command
    }

    fn output(&self) -> PathBuf {
        self.home.join("output.log")
    }

    fn boot_lines(&self) -> usize {
        std::fs::read(self.output()).map_or(0, |text| String::from_utf8_lossy(&text).matches(BOOT_LINE).count())
    }

    fn ended(&mut self) {
        if let Some(child) = self.child.take() {
            interrupt::forget(&Started::Process(child.id().cast_signed()));
        }
    }
}

impl Server for Process {
    fn start(&mut self, timeout: Duration) -> Result<()> {
        if let Some(child) = &mut self.child {
            if child.try_wait()?.is_none() {
                bail!("it is running already");
            }
            self.ended();
        }
        let boots_before = self.boot_lines();
        let output: File = OpenOptions::new().create(true).append(true).open(self.output())?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        interrupt::remember(Started::Process(child.id().cast_signed()));
        let child = self.child.insert(child);
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = child.try_wait()? {
                self.ended();
                bail!("it ended with {status}, see {}", self.output().display());
            }
            let text = std::fs::read(self.home.join("output.log"))?;
            if String::from_utf8_lossy(&text).matches(BOOT_LINE).count() > boots_before {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("no {BOOT_LINE:?} after {timeout:?}, see {}", self.output().display());
            }
            std::thread::sleep(POLL);
        }
    }

    fn kill(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child {
            child.kill()?;
            child.wait()?;
            self.ended();
        }
        Ok(())
    }

    fn stop(&mut self, timeout: Duration) -> Result<()> {
        let Some(child) = &mut self.child else { bail!("{} is not running", self.name) };
        if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
            kill_process(pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + timeout;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.kill()?;
                bail!("{} did not end within {timeout:?} of SIGTERM", self.name);
            }
            std::thread::sleep(POLL);
        }
        self.ended();
        Ok(())
    }

    fn folder(&self) -> &Path {
        &self.home
    }

    fn save_logs(&mut self) {
        // Already in the folder: output.log and logs/.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_leave_room_for_the_neighbours() {
        let port = free_port(&[-2, 0, 1]).expect("loopback has ports");
        for p in [port - 2, port, port + 1] {
            TcpListener::bind(("127.0.0.1", p)).expect("it was free a moment ago");
        }
    }
}
