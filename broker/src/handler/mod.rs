//! One module a family of requests. A handler is `fn(&Arc<Broker>, RemotingCommand, Responder)`: it must not block, and
//! may keep the responder to answer later.

pub mod admin;
pub mod assignment;
pub mod client;
pub mod consumer;
pub mod pull;
pub mod query;
pub mod send;
pub mod send_back;
