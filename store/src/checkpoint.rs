//! The checkpoint file: up to where each part of the store is on disk.
//!
//! 4096 bytes, of which the first 48 hold six big-endian 64-bit integers in the order of [`CheckpointValues`]; the rest
//! is zero. Source: `StoreCheckpoint.java` of RocketMQ 5.5.0, which maps the same 4096 bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tracing::warn;

use crate::error::StoreError;

/// Bytes of the file.
const FILE_SIZE: usize = 4096;
const FIELDS: usize = 6;

/// A copy of the checkpoint's fields. Times are milliseconds since 1970, offsets are commit-log offsets; 0 = unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointValues {
    /// Store time of the last record that is on disk.
    pub physic_msg_timestamp: i64,
    /// Store time of the last record whose consume-queue entry is on disk.
    pub logics_msg_timestamp: i64,
    /// Store time of the last record in an index file that is full and on disk.
    pub index_msg_timestamp: i64,
    /// How far a master had flushed, as its slave saw it.
    pub master_flushed_offset: i64,
    /// Offset up to which consumers may read, in controller mode.
    pub confirm_phy_offset: i64,
    /// Every record that starts before this offset has its consume-queue entry on disk. Written by RocketMQ since 5.4.
    pub logics_physical_offset: i64,
}

/// The checkpoint file and the values to write to it next.
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    fields: [AtomicI64; FIELDS],
    /// Values of the last successful flush.
    flushed: Mutex<Option<[i64; FIELDS]>>,
}

macro_rules! field {
    ($index:expr, $get:ident, $set:ident, $what:literal) => {
        #[doc = concat!("See [`CheckpointValues::", stringify!($get), "`].")]
        pub fn $get(&self) -> i64 {
            self.fields[$index].load(Ordering::Acquire)
        }

        #[doc = concat!("Sets ", $what, "; written by the next [`Self::flush`].")]
        pub fn $set(&self, value: i64) {
            self.fields[$index].store(value, Ordering::Release);
        }
    };
}

impl Checkpoint {
    /// Opens the file, which is made when absent. A shorter one is read as if the rest were zero.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Checkpoint, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| StoreError::io("open", path, e))?;
        let mut bytes = [0u8; FIELDS * 8];
        read_some(&file, &mut bytes).map_err(|e| StoreError::io("read", path, e))?;
        let mut values = [0i64; FIELDS];
        for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *value = i64::from_be_bytes(*bytes);
        }
        if values.iter().any(|&value| value < 0) {
            warn!(path = %path.display(), ?values, "checkpoint holds negative values, which count as unknown");
            values = values.map(|value| value.max(0));
        }
        if file.metadata().map_err(|e| StoreError::io("inspect", path, e))?.len() < FILE_SIZE as u64 {
            file.set_len(FILE_SIZE as u64).map_err(|e| StoreError::io("extend", path, e))?;
        }
        Ok(Checkpoint {
            path: path.to_owned(),
            file,
            fields: values.map(AtomicI64::new),
            flushed: Mutex::new(Some(values)),
        })
    }

    field!(0, physic_msg_timestamp, set_physic_msg_timestamp, "the store time of the last record on disk");
    field!(1, logics_msg_timestamp, set_logics_msg_timestamp, "the store time up to which queues are on disk");
    field!(2, index_msg_timestamp, set_index_msg_timestamp, "the store time up to which full index files are on disk");
    field!(3, master_flushed_offset, set_master_flushed_offset, "the master's flushed offset");
    field!(4, confirm_phy_offset, set_confirm_phy_offset, "the confirm offset");
    field!(5, logics_physical_offset, set_logics_physical_offset, "the offset up to which queues are on disk");

    /// All values at once.
    pub fn values(&self) -> CheckpointValues {
        CheckpointValues {
            physic_msg_timestamp: self.physic_msg_timestamp(),
            logics_msg_timestamp: self.logics_msg_timestamp(),
            index_msg_timestamp: self.index_msg_timestamp(),
            master_flushed_offset: self.master_flushed_offset(),
            confirm_phy_offset: self.confirm_phy_offset(),
            logics_physical_offset: self.logics_physical_offset(),
        }
    }

    /// The store time up to which commit log and consume queues are surely on disk: the smaller of both less 3 seconds,
    /// at least 0 (Java's `getMinTimestamp`).
    pub fn min_timestamp(&self) -> i64 {
        const MARGIN_MS: i64 = 3000;
        (self.physic_msg_timestamp().min(self.logics_msg_timestamp()) - MARGIN_MS).max(0)
    }

    /// [`Self::min_timestamp`] that also holds for the index.
    pub fn min_timestamp_with_index(&self) -> i64 {
        self.min_timestamp().min(self.index_msg_timestamp())
    }

    /// Writes the values and waits until they are on disk. Does nothing when they are the ones on disk.
    ///
    /// The 48 bytes lie within one disk sector, so a crash leaves the old or the new ones.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut flushed = self.flushed.lock();
        let values: [i64; FIELDS] = std::array::from_fn(|i| self.fields[i].load(Ordering::Acquire));
        if *flushed == Some(values) {
            return Ok(());
        }
        let mut bytes = [0u8; FIELDS * 8];
        for (bytes, value) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(values) {
            *bytes = value.to_be_bytes();
        }
        *flushed = None;
        self.file
            .write_all_at(&bytes, 0)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| StoreError::io("write", &self.path, e))?;
        *flushed = Some(values);
        Ok(())
    }
}

/// Reads as much of `buffer` as the file has.
fn read_some(file: &File, buffer: &mut [u8]) -> io::Result<()> {
    let mut at = 0;
    while at < buffer.len() {
        match file.read_at(&mut buffer[at..], at as u64) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_at_java_s_places() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.values(), CheckpointValues::default());
        checkpoint.set_physic_msg_timestamp(10_001);
        checkpoint.set_logics_msg_timestamp(10_002);
        checkpoint.set_index_msg_timestamp(3);
        checkpoint.set_master_flushed_offset(4);
        checkpoint.set_confirm_phy_offset(5);
        checkpoint.set_logics_physical_offset(6);
        checkpoint.flush().unwrap();

        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 4096);
        assert_eq!(bytes[40..48], 6i64.to_be_bytes());
        assert!(bytes[48..].iter().all(|&b| b == 0));
        let again = Checkpoint::open(&path).unwrap();
        assert_eq!(again.values(), checkpoint.values());
        assert_eq!(again.physic_msg_timestamp(), 10_001);
        assert_eq!((again.min_timestamp(), again.min_timestamp_with_index()), (7_001, 3));
    }

    #[test]
    fn a_short_file_counts_as_zero_behind_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let mut bytes = 7i64.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 0]);
        std::fs::write(&path, &bytes).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.values(), CheckpointValues { physic_msg_timestamp: 7, ..Default::default() });
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    }

    #[test]
    fn negative_values_count_as_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        std::fs::write(&path, [0xff; 4096]).unwrap();
        assert_eq!(Checkpoint::open(&path).unwrap().values(), CheckpointValues::default());
    }
}
