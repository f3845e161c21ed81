//! The crate's error.

use std::io;

use hypergol_config::ConfigError;
use hypergol_remoting::ResponseCode;
use hypergol_remoting::protocol::body::register::RegisterBodyError;
use hypergol_remoting::protocol::fastjson::JsonError;
use hypergol_remoting::protocol::header::HeaderError;
use thiserror::Error;

/// Why a name server does not start, or a request is not done.
#[derive(Debug, Error)]
pub enum NamesrvError {
    /// The header lacks something.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The JSON of a body is not understood.
    #[error("the body is not understood: {0}")]
    Body(#[from] JsonError),
    /// The body of a registration is not understood.
    #[error("Failed to decode RegisterBrokerBody: {0}")]
    RegisterBody(#[from] RegisterBodyError),
    /// The body is not the one whose checksum the header has.
    #[error("crc32 not match")]
    Checksum,
    /// A broker's first registration has one topic only: it is an update that came too early.
    #[error("register broker failed")]
    NotRegistered,
    /// A topic was registered for a broker that is not there.
    #[error("the broker {0} is not registered")]
    UnknownBroker(String),
    /// The topic has no route.
    #[error(
        "No topic route info in name server for the topic: {0}\n\
         See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
    )]
    TopicNotExist(String),
    /// The namespace, or the key in it, has no value.
    #[error("No config item, Namespace: {namespace}{}", key.as_ref().map(|key| format!(" Key: {key}")).unwrap_or_default())]
    NoKv {
        /// Of the KV configuration.
        namespace: String,
        /// In the namespace; absent when the whole namespace was asked for.
        key: Option<String>,
    },
    /// The service was switched off by configuration.
    #[error("disable")]
    Disabled,
    /// Routes are held back for a while after the start.
    #[error("name server not ready")]
    NotReady,
    /// Too many requests wait.
    #[error("too many requests wait for the registry")]
    Busy,
    /// A table is as large as it may become.
    #[error("no room for more {0}")]
    Full(&'static str),
    /// Changing this key is not allowed.
    #[error("Can not update config in black list.")]
    BlackList,
    /// Reading or writing a configuration.
    #[error(transparent)]
    Config(ConfigError),
    /// Listening failed.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// What was to be listened on.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// TLS cannot be used as configured.
    #[error(transparent)]
    Tls(#[from] hypergol_remoting::TlsError),
    /// A thread could not be started.
    #[error("cannot start the {0} thread: {1}")]
    Thread(&'static str, io::Error),
}

impl From<ConfigError> for NamesrvError {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::NotAllowed(_) => Self::BlackList,
            error => Self::Config(error),
        }
    }
}

impl NamesrvError {
    /// The code that a request is answered with.
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::TopicNotExist(_) => ResponseCode::TopicNotExist,
            Self::NoKv { .. } => ResponseCode::QueryNotFound,
            Self::BlackList => ResponseCode::NoPermission,
            Self::Busy => ResponseCode::SystemBusy,
            Self::Header(_)
            | Self::Body(_)
            | Self::RegisterBody(_)
            | Self::Checksum
            | Self::NotRegistered
            | Self::UnknownBroker(_)
            | Self::Disabled
            | Self::NotReady
            | Self::Full(_)
            | Self::Config(_)
            | Self::Listen { .. }
            | Self::Tls(_)
            | Self::Thread(..) => ResponseCode::SystemError,
        }
    }
}
