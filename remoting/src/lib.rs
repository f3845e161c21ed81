//! RocketMQ's remoting protocol: frames, headers, bodies, and the server and client that speak it.
//!
//! This crate knows connections and commands, nothing of topics or storage. Read in this order:
//! [`protocol::request_code`] (the request table), [`protocol::command`] (a frame), [`server`], [`connection`].

pub mod client;
pub mod connection;
pub mod io_threads;
pub mod message;
mod opening;
mod outgoing;
pub mod pop_handle;
pub mod protocol;
mod proxy_protocol;
mod read_ahead;
pub mod responder;
pub mod server;
pub mod tls;

pub use client::{Client, ClientError};
pub use connection::{Channel, Handler, InvokeError, Limits};
pub use io_threads::IoThreads;
pub use protocol::command::RemotingCommand;
pub use protocol::request_code::RequestCode;
pub use protocol::response_code::ResponseCode;
pub use responder::Responder;
pub use server::Server;
pub use tls::{ClientTls, ServerTls, TlsError};
