//! What the operating system says of a process and of a folder.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

/// Bytes of a block in `st_blocks`, whatever the file system (stat(2)).
const STAT_BLOCK_BYTES: u64 = 512;
/// Folders deeper than this are not looked into; a store has four levels.
const DEPTH_MAX: usize = 16;

/// A process at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    /// User and system time of all its threads since its start. Resolution: one clock tick, 10 ms.
    pub cpu_seconds: f64,
    /// RssAnon: memory of its own.
    pub anon_bytes: u64,
    /// VmRSS: with the mapped files.
    pub rss_bytes: u64,
    /// When.
    #[serde(skip)]
    pub at: Instant,
}

/// Reads `/proc/PID`.
///
/// # Errors
/// When the process is gone.
pub fn usage(pid: u32) -> Result<Usage> {
    let stat =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Usage {
        cpu_seconds: cpu_ticks(&stat).context("/proc/PID/stat")? as f64
            / rustix::param::clock_ticks_per_second() as f64,
        anon_bytes: status_bytes(&status, "RssAnon:").unwrap_or(0),
        rss_bytes: status_bytes(&status, "VmRSS:").unwrap_or(0),
        at: Instant::now(),
    })
}

/// utime + stime, the 14th and 15th field of /proc/PID/stat (proc(5)). The second field, in brackets, may hold blanks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let utime: u64 = fields.nth(11)?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some(utime + stime)
}

fn status_bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Bytes that files below `folder` occupy on disk: allocated blocks, not lengths, as stores have sparse files.
pub fn disk_bytes(folder: &Path) -> u64 {
    blocks(folder, DEPTH_MAX) * STAT_BLOCK_BYTES
}

fn blocks(folder: &Path, depth: usize) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.metadata().ok().map(|data| (entry.path(), data)))
        .map(|(path, data)| match depth.checked_sub(1) {
            Some(depth) if data.is_dir() => data.blocks() + blocks(&path, depth),
            _ => data.blocks(),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 100 1 2";
        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    fn status_is_in_kib() {
        assert_eq!(status_bytes("VmRSS:\t  12 kB\nRssAnon:\t       3 kB\n", "RssAnon:"), Some(3072));
    }

    #[test]
    fn this_process_has_memory() {
        let usage = usage(std::process::id()).expect("it runs");
        assert!(usage.anon_bytes > 0 && usage.rss_bytes >= usage.anon_bytes);
    }

    #[test]
    fn holes_are_not_counted() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = std::fs::File::create(folder.path().join("sparse")).expect("file");
        file.set_len(1 << 30).expect("sparse file");
        assert!(disk_bytes(folder.path()) < 1 << 20);
        std::fs::create_dir(folder.path().join("deep")).expect("folder");
        std::fs::write(folder.path().join("deep/full"), vec![1; 1 << 20]).expect("file");
        file.sync_all().expect("sync");
        std::fs::File::open(folder.path().join("deep/full")).and_then(|f| f.sync_all()).expect("sync");
        assert!(disk_bytes(folder.path()) >= 1 << 20);
    }
}
