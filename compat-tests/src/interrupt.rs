//! Ends what the runner started when somebody interrupts the runner.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// Something that must not outlive the runner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Started {
    /// A child process.
    Process(i32),
    /// A container, by id.
    Container(String),
}

static STARTED: Mutex<BTreeSet<Started>> = Mutex::new(BTreeSet::new());

/// Remembers something to be ended on an interrupt.
pub fn remember(what: Started) {
    if let Ok(mut started) = STARTED.lock() {
        started.insert(what);
    }
}

/// Forgets something that has ended.
pub fn forget(what: &Started) {
    if let Ok(mut started) = STARTED.lock() {
        started.remove(what);
    }
}

/// From now on SIGINT and SIGTERM first end everything remembered; the runner then exits with 130.
pub fn install() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        runtime.block_on(async {
            let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
                return;
            };
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
            end_all();
            std::process::exit(130);
        });
    })?;
    Ok(())
}

fn end_all() {
    let Ok(started) = STARTED.lock() else { return };
    for what in started.iter() {
        match what {
            Started::Process(pid) => {
                if let Some(pid) = Pid::from_raw(*pid) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            Started::Container(id) => {
                let _ = Command::new("docker").args(["rm", "-f", "-v", id]).output();
            }
        }
    }
}
