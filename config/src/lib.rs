//! What both servers do before they serve: read a configuration file, set up the log, mind the process.
//!
//! A configuration key is declared once, in a [`config_table!`]; the typed struct, reading a file, `-p` and `-m`,
//! the answer to GET_*_CONFIG and the effect of UPDATE_*_CONFIG all follow from that row. Read in this order:
//! [`table`] (a row), [`properties`] (the file format), [`settings`] (a file onto tables), [`live`] (changes at run
//! time), then [`logging`] and [`process`].

pub mod error;
pub mod files;
pub mod live;
pub mod logging;
pub mod netty;
pub mod process;
pub mod properties;
pub mod settings;
pub mod table;
pub mod tls;

pub use error::ConfigError;
pub use live::{Live, UpdateReport};
pub use netty::{NettyClientConfig, NettyServerConfig};
pub use properties::Properties;
pub use settings::{Settings, UnknownKey};
pub use table::{Apply, ConfigValue, Key, Table};
pub use tls::TlsConfig;
