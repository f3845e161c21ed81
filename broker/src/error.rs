//! What can go wrong in the broker, apart from single requests.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Failure to start or to keep the broker's own files.
#[derive(Debug, Error)]
pub enum BrokerError {
    /// A setting that this broker cannot honour.
    #[error("configuration key {key}: {reason}")]
    Config {
        /// Key as in broker.conf.
        key: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        error: io::Error,
    },
    /// A file of `config/` and its `.bak` are both unreadable.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A port could not be opened.
    #[error("cannot listen on port {port}: {error}")]
    Listen {
        /// The port.
        port: u16,
        /// The operating system's answer.
        error: io::Error,
    },
    /// TLS cannot be used as configured.
    #[error(transparent)]
    Tls(#[from] hypergol_remoting::TlsError),
    /// A bug, or the system has no thread left.
    #[error("internal: {0}")]
    Internal(String),
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] hypergol_store::StoreError),
}
