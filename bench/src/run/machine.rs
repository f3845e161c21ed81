//! What the results say of the machine and of the versions, and the page cache.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::fs::{Advice, fadvise};
use serde::Serialize;

use super::java::{self, Java};

/// Folders deeper than this are not looked into; a store has four levels.
const DEPTH_MAX: usize = 16;

/// Memory touched before a case, at most: what a send case of some seconds writes. A host that is told of free memory (free
/// page reporting) takes more than about this back within moments.
const TOUCHED_BYTES_MAX: u64 = 2 << 30;

/// Where and with what a run was made.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// UTC.
    pub date: String,
    /// As the kernel names it.
    pub processor: String,
    /// That this process may use.
    pub cores: usize,
    /// Of the machine.
    pub memory_bytes: u64,
    /// Release.
    pub kernel: String,
    /// Device and type of the file system with the stores.
    pub file_system: String,
    /// `vm.max_map_count`.
    pub max_map_count: String,
    /// Of this repository, with "+" where something is changed.
    pub commit: String,
    /// RocketMQ's version.
    pub rocketmq: String,
    /// `java -version`.
    pub java: String,
    /// Flags of each Java program.
    pub java_flags: Vec<(String, String)>,
    /// One-minute load average before the run: on a machine that is not idle the figures are worth less.
    pub load_before: String,
}

impl Machine {
    /// Looks around; what cannot be seen stays empty.
    pub fn look(workspace: &Path, stores: &Path, java: Option<&Java>) -> Self {
        let first = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let processor = first("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()))
            .unwrap_or_default();
        let git = |arguments: &[&str]| {
            let output = Command::new("git").arg("-C").arg(workspace).args(arguments).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
        };
        let changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
        Self {
            date: now(),
            processor,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_bytes().unwrap_or(0),
            kernel: first("/proc/sys/kernel/osrelease"),
            file_system: file_system(&first("/proc/self/mounts"), stores).unwrap_or_default(),
            max_map_count: first("/proc/sys/vm/max_map_count"),
            commit: git(&["rev-parse", "--short=12", "HEAD"]) + if changed { "+" } else { "" },
            rocketmq: java::VERSION.to_owned(),
            java: java.and_then(|_| java::version().ok()).unwrap_or_default(),
            java_flags: java.map(Java::described).unwrap_or_default(),
            load_before: first("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

fn now() -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    time::OffsetDateTime::now_utc().format(format).unwrap_or_default()
}

/// Touches half of the free memory, [`TOUCHED_BYTES_MAX`] at most, and gives it back, in a process of its own (`bench`). The
/// first touch of a page costs a virtual machine ten to twenty times what later ones do when its host has to find the page
/// (measured: 12 µs and 0.6 µs). A machine that has run for long recycles its page cache and does not pay this.
pub fn touch_memory(bench: &Path) -> Result<()> {
    let bytes = (meminfo("MemAvailable:")? / 2).min(TOUCHED_BYTES_MAX);
    let status = Command::new(bench)
        .arg("touch-memory")
        .arg(bytes.to_string())
        .status()
        .with_context(|| format!("{} cannot be started", bench.display()))?;
    ensure!(status.success(), "touching {bytes} B of memory ended with {status}");
    Ok(())
}

/// MemTotal.
///
/// # Errors
/// When /proc is not there.
pub fn memory_bytes() -> Result<u64> {
    meminfo("MemTotal:")
}

/// A value of `/proc/meminfo`, bytes.
fn meminfo(key: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

/// The mount with the longest path that `folder` is below.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let (device, _, kind) = mounts.filter(|(_, at, _)| folder.starts_with(at)).max_by_key(|(_, at, _)| at.len())?;
    Some(format!("{device}, {kind}"))
}

/// Brings everything of the file system with `folder` to disk, so that one case's writes do not burden the next.
pub fn settle(folder: &Path) -> Result<()> {
    rustix::fs::syncfs(File::open(folder)?)?;
    Ok(())
}

/// Drops the files below `folder` from the page cache. They must not be mapped, and must have been brought to disk;
/// works for every user, and for no other files. Returns the bytes of the files.
pub fn drop_from_page_cache(folder: &Path) -> Result<u64> {
    settle(folder)?;
    drop_folder(folder, DEPTH_MAX)
}

fn drop_folder(folder: &Path, depth: usize) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 {
            bytes += drop_folder(&entry.path(), depth - 1)?;
        } else if kind.is_file() {
            let file = File::open(entry.path())?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
            bytes += file.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0";
        assert_eq!(file_system(mounts, Path::new("/tmp/x/y")).as_deref(), Some("/dev/b, xfs"));
        assert_eq!(file_system(mounts, Path::new("/home")).as_deref(), Some("/dev/a, ext4"));
    }

    #[test]
    fn files_are_dropped_through_all_levels() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir(folder.path().join("deep")).expect("folder");
        std::fs::write(folder.path().join("deep/file"), [1; 100]).expect("file");
        std::fs::write(folder.path().join("file"), [1; 10]).expect("file");
        assert_eq!(drop_from_page_cache(folder.path()).expect("dropped"), 110);
    }
}
