//! The name server: brokers register here, clients ask where topics are.
//!
//! Read in this order: `dispatch` (every request and who answers it), `registry` (registrations, the only place that
//! changes anything), `topics` (routes, and why they are fast), `handler` (the rest).

mod brokers;
pub mod config;
mod context;
mod dispatch;
mod error;
mod handler;
mod kv_config;
mod notify;
mod registry;
mod route;
mod server;
mod topics;
mod worker;

pub use error::NamesrvError;
pub use server::NameServer;
