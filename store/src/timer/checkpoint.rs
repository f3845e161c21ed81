//! How far the timers have got: the file `config/timercheck`. Source: `TimerCheckpoint.java` of RocketMQ 5.5.0, which
//! maps 4096 bytes, of which the first 56 hold seven big-endian 64-bit integers; the rest is zero.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Bytes of the file.
const FILE_SIZE: u64 = 4096;
/// Bytes in use.
pub const ENCODED_SIZE: usize = 56;

/// The values, in the order of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerCheckpointValues {
    /// Everything due before this time was delivered, ms since 1970.
    pub read_time_ms: i64,
    /// The timer log is on disk up to this position.
    pub log_flush_position: i64,
    /// Queue offset of the timer topic's first message that may not be in the timer log.
    pub queue_offset: i64,
    /// The master's queue offset, as its slave knows it; on a master its own.
    pub master_queue_offset: i64,
    /// Version: epoch of the master.
    pub state_version: i64,
    /// Version: time of the last change, ms since 1970.
    pub timestamp: i64,
    /// Version: number of changes.
    pub counter: i64,
}

impl TimerCheckpointValues {
    /// The bytes of the file and of the answer to GET_TIMER_CHECK_POINT.
    pub fn encode(&self) -> [u8; ENCODED_SIZE] {
        let values = [
            self.read_time_ms,
            self.log_flush_position,
            self.queue_offset,
            self.master_queue_offset,
            self.state_version,
            self.timestamp,
            self.counter,
        ];
        let mut bytes = [0; ENCODED_SIZE];
        for (into, value) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(values) {
            *into = value.to_be_bytes();
        }
        bytes
    }

    /// Reads what [`TimerCheckpointValues::encode`] wrote; negative values count as 0.
    pub fn decode(bytes: &[u8; ENCODED_SIZE]) -> Self {
        let mut values = bytes.as_chunks::<8>().0.iter().map(|value| i64::from_be_bytes(*value).max(0));
        let mut next = || values.next().unwrap_or(0);
        Self {
            read_time_ms: next(),
            log_flush_position: next(),
            queue_offset: next(),
            master_queue_offset: next(),
            state_version: next(),
            timestamp: next(),
            counter: next(),
        }
    }
}

/// The file.
pub struct TimerCheckpoint {
    path: PathBuf,
    file: File,
}

impl TimerCheckpoint {
    /// Opens the file, which is made when absent, and reads it. A shorter one is read as if the rest were zero.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<(TimerCheckpoint, TimerCheckpointValues), StoreError> {
        let failed = |source| StoreError::io("open timer checkpoint", path, source);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() < FILE_SIZE {
            file.set_len(FILE_SIZE).map_err(failed)?;
        }
        let mut bytes = [0; ENCODED_SIZE];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(failed(error)),
            _ => {}
        }
        Ok((TimerCheckpoint { path: path.to_owned(), file }, TimerCheckpointValues::decode(&bytes)))
    }

    /// Writes the values and waits until they are on disk. They lie within one disk sector, so that a crash leaves the
    /// old or the new ones.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write(&self, values: &TimerCheckpointValues) -> Result<(), StoreError> {
        self.file
            .write_all_at(&values.encode(), 0)
            .and_then(|()| self.file.sync_data())
            .map_err(|source| StoreError::io("write timer checkpoint", &self.path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_at_javas_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timercheck");
        let (file, values) = TimerCheckpoint::open(&path).unwrap();
        assert_eq!(values, TimerCheckpointValues::default());
        let values = TimerCheckpointValues {
            read_time_ms: 1,
            log_flush_position: 2,
            queue_offset: 3,
            master_queue_offset: 4,
            state_version: 5,
            timestamp: 6,
            counter: 7,
        };
        file.write(&values).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len(), bytes[7], bytes[15], bytes[23], bytes[55]), (4096, 1, 2, 3, 7));
        assert_eq!(TimerCheckpoint::open(&path).unwrap().1, values);
        std::fs::write(&path, [255; 20]).unwrap();
        assert_eq!(TimerCheckpoint::open(&path).unwrap().1, TimerCheckpointValues::default());
    }
}
