//! What the disk gives: groups of records written and made durable, without a server.
//!
//! With N sends in flight a server can at best make N records durable by one fdatasync: that is done here, one group
//! after the other, into a preallocated file as both servers' commit logs are.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::{FallocateFlags, fallocate, fdatasync};

/// Length of the file; it is written again from its start when it is full.
const FILE_BYTES: u64 = 1 << 30;
/// A record beside its body: 91 bytes of fields (store layout), and about 90 of topic and properties.
pub const RECORD_OVERHEAD_BYTES: u64 = 180;

/// What was reached.
#[derive(Clone, Copy, Debug)]
pub struct Raw {
    /// Records made durable.
    pub records: u64,
    /// In this time.
    pub seconds: f64,
}

/// Writes groups of `group` records with bodies of `body_bytes` for `duration` into a file in `folder`.
///
/// # Errors
/// When the disk is full or fails.
pub fn run(folder: &Path, group: u32, body_bytes: u32, duration: Duration) -> Result<Raw> {
    let path = folder.join("raw-fdatasync");
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path)?;
    let result = write_groups(&file, group, body_bytes, duration);
    std::fs::remove_file(&path)?;
    result
}

fn write_groups(file: &File, group: u32, body_bytes: u32, duration: Duration) -> Result<Raw> {
    fallocate(file, FallocateFlags::empty(), 0, FILE_BYTES)?;
    file.sync_all()?;
    let bytes = u64::from(group) * (u64::from(body_bytes) + RECORD_OVERHEAD_BYTES);
    let data = vec![0xA5; usize::try_from(bytes)?];
    let (mut position, mut records) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < duration {
        if position + bytes > FILE_BYTES {
            position = 0;
        }
        file.write_all_at(&data, position)?;
        fdatasync(file)?;
        position += bytes;
        records += u64::from(group);
    }
    Ok(Raw { records, seconds: start.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_groups_are_counted_and_the_file_is_removed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let raw = run(folder.path(), 16, 1024, Duration::from_millis(20)).expect("there is a disk");
        assert!(raw.records > 0 && raw.records.is_multiple_of(16));
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0);
    }
}
