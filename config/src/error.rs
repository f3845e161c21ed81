//! The crate's error.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::process::uid;

/// Why a configuration cannot be read, used, changed or written.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file or folder cannot be read, created or written.
    #[error("cannot {action} {} as uid {uid}: {error}", path.display())]
    Io {
        /// What was tried, for instance `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The effective user of this process.
        uid: u32,
        /// What the system answered.
        error: io::Error,
    },
    /// Text that is not in the format of a .properties file.
    #[error("{file}:{line}: {reason}")]
    Malformed {
        /// The file, or what the text was.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value that its key cannot have.
    #[error("{file}:{line}: {key} must be {expected}, not {value:?}")]
    IllTyped {
        /// The file, or what the text was.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Name of the key.
        key: String,
        /// What the key takes.
        expected: &'static str,
        /// What was given, cut to 200 characters.
        value: String,
    },
    /// Values that do not fit each other.
    #[error("{0}")]
    Conflict(String),
    /// A change of a key that may not be changed from outside.
    #[error("the key {0} cannot be updated at run time")]
    NotAllowed(String),
    /// More text than a configuration has.
    #[error("{file} is longer than {max} bytes")]
    TooLong {
        /// The file, or what the text was.
        file: String,
        /// The bound.
        max: usize,
    },
}

impl ConfigError {
    /// An [`Self::Io`] that names the current user.
    pub fn io(action: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), uid: uid(), error }
    }
}
