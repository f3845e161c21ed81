//! The process: its user, its home, its limits, its end.

use std::io;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit};
use tracing::{debug, warn};

/// Open files that a server with this soft limit or more is content with.
const OPEN_FILES_WANTED: u64 = 1 << 20;

/// The effective user of this process.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Java's `user.home`: `$HOME`, else the home of the user in the system's list, else the root.
pub fn home() -> PathBuf {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).unwrap_or_else(|| "/".into())
}

/// `~/RELATIVE` as text, the default of keys that are paths.
pub fn below_home(relative: &str) -> String {
    home().join(relative).to_string_lossy().into_owned()
}

/// The folder where RocketMQ is installed, by the environment. Java does not start without; here nothing needs it.
pub fn rocketmq_home() -> Option<String> {
    std::env::var("ROCKETMQ_HOME").ok().filter(|home| !home.is_empty())
}

/// Keeps the heap on small pages; to be called first. The allocator asks for pages of 2 MiB, of which a server that holds
/// little of everything fills a fraction: with 1,000 connections 15 MiB became 54. And whoever first touches one waits
/// until all of it is cleared.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        debug!(%error, "the heap may take pages of 2 MiB");
    }
}

/// Raises the soft limit of open files as far as the hard one allows. Returns the limit that holds.
pub fn raise_open_files() -> Option<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES_WANTED, |hard| hard.min(OPEN_FILES_WANTED));
    let Some(current) = limit.current.filter(|soft| *soft < wanted) else { return limit.current };
    match rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => {
            debug!(from = current, to = wanted, "raised the limit of open files");
            Some(wanted)
        }
        Err(error) => {
            warn!(%error, current, "cannot raise the limit of open files");
            Some(current)
        }
    }
}

/// Waits until the process is told to end; returns the name of the signal.
pub async fn shutdown_signal() -> io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_never_falls() {
        let before = rustix::process::getrlimit(Resource::Nofile).current;
        let after = raise_open_files();
        assert!(after.unwrap_or(u64::MAX) >= before.unwrap_or(u64::MAX));
    }
}
