//! Child processes that must not outlive the runner, however it ends.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often an ending process is looked at.
const POLL: Duration = Duration::from_millis(2);

static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// From now on SIGINT and SIGTERM kill every child, by its pid, and end the runner with 130.
pub fn end_with_us() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            // Held until the end: nothing is started while the rest is killed.
            let Ok(running) = RUNNING.lock() else { return };
            for pid in running.iter() {
                signal_process(*pid, Signal::KILL);
            }
            std::process::exit(130);
        });
    })?;
    Ok(())
}

fn signal_process(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// A running child. Dropping it kills it.
pub struct Running {
    child: Child,
    /// When it was started.
    pub started: Instant,
}

impl Running {
    /// Starts `command` without input; what it says is appended to `output`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(command: &mut Command, output: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(output)?;
        command.stdout(file.try_clone()?).stderr(file);
        Self::spawn(command)
    }

    /// Starts `command` without input; its output goes where the command says.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null());
        let Ok(mut running) = RUNNING.lock() else { bail!("a thread died while it started a process") };
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        running.insert(child.id());
        Ok(Self { child, started })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The pipes, for a child started with pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            forget(self.pid());
        }
        Ok(status)
    }

    /// Waits for its end, at most until `deadline`; `None` when it still runs then.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn wait_until(&mut self, deadline: Instant) -> Result<Option<ExitStatus>> {
        loop {
            let status = self.ended()?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
    }

    /// SIGTERM, and waits for the end; returns how long that took.
    ///
    /// # Errors
    /// When it has not ended after `limit`; it is killed then.
    pub fn stop(&mut self, limit: Duration) -> Result<Duration> {
        let asked = Instant::now();
        if self.ended()?.is_none() {
            signal_process(self.pid(), Signal::TERM);
        }
        if self.wait_until(asked + limit)?.is_none() {
            self.kill();
            bail!("it did not end within {limit:?} of SIGTERM");
        }
        Ok(asked.elapsed())
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        forget(self.pid());
    }
}

fn forget(pid: u32) {
    if let Ok(mut running) = RUNNING.lock() {
        running.remove(&pid);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.ended(), Ok(Some(_))) {
            self.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Running {
        Running::spawn(Command::new("sleep").arg("60")).expect("sleep can be started")
    }

    #[test]
    fn what_is_dropped_is_gone() {
        let pid = sleeper().pid();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        assert!(!RUNNING.lock().expect("no thread died").contains(&pid));
    }

    #[test]
    fn stop_ends_by_sigterm() {
        let mut running = sleeper();
        running.stop(Duration::from_secs(30)).expect("sleep ends on SIGTERM");
        assert!(running.ended().expect("it is ours").is_some());
    }

    #[test]
    fn what_ignores_sigterm_is_killed_and_told() {
        let mut running = Running::spawn(
            Command::new("sh")
                .args(["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
                .stdout(Stdio::piped()),
        )
        .expect("sh can be started");
        let mut ready = [0; 6];
        std::io::Read::read_exact(running.child().stdout.as_mut().expect("piped"), &mut ready).expect("it says ready");
        assert!(running.stop(Duration::from_millis(100)).is_err());
        assert!(running.ended().expect("it is ours").is_some());
    }
}
