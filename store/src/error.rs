//! What can go wrong in the store. Opening, putting and flushing each have their own type, because their callers
//! answer differently: an open error ends the process, a put error becomes a response code, a flush error answers
//! the sends that wait for the disk.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Failure to open or recover a store folder, or to do file work on behalf of the whole store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {action} {} as uid {uid}: {error}", path.display())]
    Io {
        /// What was attempted, as a verb phrase ("open", "preallocate").
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The effective user of this process: most often the reason.
        uid: u32,
        /// The operating system's answer.
        error: io::Error,
    },
    /// Another process holds the lock file.
    #[error("store folder {} is in use by another process (its file `lock` is locked)", .0.display())]
    Locked(PathBuf),
    /// `storePathCommitLog` names more than one folder.
    #[error(
        "storePathCommitLog names several folders ({0}); a commit log spread over folders is not supported, name one"
    )]
    MultiPathCommitLog(String),
    /// A configuration value the store cannot work with.
    #[error("configuration key {key}: {reason}")]
    Config {
        /// Key as in broker.conf.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A commit-log file has another size than `mappedFileSizeCommitLog`.
    #[error(
        "commit-log file {} has {actual} bytes, mappedFileSizeCommitLog says {expected}; \
         set mappedFileSizeCommitLog to the size this store was written with", path.display()
    )]
    WrongFileSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        actual: u64,
        /// The configured size in bytes.
        expected: u64,
    },
    /// A file is missing between two commit-log files.
    #[error("commit log {} has a gap: file {expected:020} is missing before {found:020}", dir.display())]
    Gap {
        /// Folder of the commit log.
        dir: PathBuf,
        /// Start offset that should follow.
        expected: u64,
        /// Start offset that follows.
        found: u64,
    },
    /// Content that cannot be repaired without losing data silently.
    #[error("{}: {reason}", path.display())]
    Corrupt {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    /// Whether a read gave up because it would have had to wait for the disk.
    pub(crate) fn is_would_block(&self) -> bool {
        matches!(self, StoreError::Io { error, .. } if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// An I/O error with the action and the path it happened on.
    pub fn io(action: &'static str, path: impl AsRef<Path>, error: io::Error) -> Self {
        let uid = rustix::process::geteuid().as_raw();
        StoreError::Io { action, path: path.as_ref().to_owned(), uid, error }
    }
}

/// Why a message was not appended. Nothing of it is in the log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PutError {
    /// Topic longer than the record format can hold (32,767 bytes), or empty.
    #[error("topic length {0} is illegal")]
    TopicTooLong(usize),
    /// No queue can have this topic or number: see [`crate::MessageStore::append`].
    #[error("{0}")]
    IllegalQueue(String),
    /// Encoded properties longer than 32,767 bytes.
    #[error("message properties length {0} exceeds 32767")]
    PropertiesTooLong(usize),
    /// Body longer than `maxMessageSize`, or the record (batch) longer than `maxMessageSize` + 64 KiB or a file.
    #[error("message size {size} exceeds the limit of {limit} bytes")]
    BodyTooLarge {
        /// Bytes of the body or record.
        size: usize,
        /// The limit that was hit.
        limit: usize,
    },
    /// A batch without children.
    #[error("batch holds no message")]
    EmptyBatch,
    /// An inner batch for a topic without batch queues.
    #[error("topic {0} has no batch queues and takes no inner batch")]
    NotBatchQueue(String),
    /// A message of a batch brings offsets in light queues, which only the store gives out.
    #[error("message of a batch has offsets in light queues")]
    LightOffsetsGiven,
    /// The store refuses writes; see [`crate::MessageStore::writable`].
    #[error("store is not writable: {0}")]
    NotWritable(String),
    /// The next commit-log file could not be allocated for want of space.
    #[error("disk is full: {0}")]
    DiskFull(String),
    /// The next commit-log file could not be made for another reason.
    #[error("commit log: {0}")]
    Io(String),
}

/// Why something waiting for the disk was not confirmed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FlushError {
    /// The flush failed; the bytes may or may not be on disk and the store takes no more writes.
    #[error("flush to disk failed")]
    FlushFailed,
    /// Not flushed within the time given.
    #[error("flush to disk timed out")]
    Timeout,
    /// The store was shut down first.
    #[error("store is shutting down")]
    ShuttingDown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_file_operation_names_path_and_user() {
        let error = StoreError::io("open", "/store/lock", io::Error::from(io::ErrorKind::PermissionDenied));
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(error.to_string(), format!("cannot open /store/lock as uid {uid}: permission denied"));
        assert!(std::error::Error::source(&error).is_none(), "the cause is not told twice");
    }
}
