//! One module a family of requests. A handler is `fn(&Arc<Broker>, RemotingCommand, Responder)`: it must not block, and
//! may keep the responder to answer later.

pub mod admin;
pub mod assignment;
pub mod client;
pub mod consumer;
pub mod end_transaction;
pub mod lite;
mod logical_pull;
pub mod logical_queue;
pub mod pop;
pub mod pull;
pub mod query;
pub mod recall;
pub mod reply;
pub mod send;
pub mod send_back;

use hypergol_remoting::{RemotingCommand, ResponseCode};

/// What Java adds to remarks about missing topics and groups; tools look for it.
pub(crate) const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/// An answer that says no, and why.
pub(crate) fn refusal(code: ResponseCode, remark: impl Into<String>) -> Box<RemotingCommand> {
    Box::new(RemotingCommand::error(code, remark))
}
