//! Administration: what `mqadmin`, dashboard and exporter ask for, and what clients ask of single queues.
//!
//! A handler takes the request and returns the answer or a [`Refusal`]; what reads much or waits for a disk runs on the
//! blocking pool.

pub mod attributes;
pub mod config;
pub mod connections;
pub mod consume_stats;
pub mod group;
pub mod ha;
pub mod offset;
pub mod relay;
pub mod reset;
pub mod static_topic;
pub mod store;
pub mod timer;
pub mod topic;

use std::sync::Arc;

use hypergol_remoting::protocol::fastjson::{Body, JsonError};
use hypergol_remoting::protocol::header::HeaderError;
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};

use crate::context::Broker;
use crate::persist::WrittenCallback;

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Code of the answer.
    pub code: ResponseCode,
    /// Text of the answer.
    pub remark: String,
}

impl Refusal {
    /// A refusal with a code and a text.
    pub fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }

    /// Java's answer to whatever it did not foresee: code 1.
    pub fn failed(remark: impl Into<String>) -> Self {
        Self::new(ResponseCode::SystemError, remark)
    }

    /// A parameter that cannot be.
    pub fn invalid(remark: impl Into<String>) -> Self {
        Self::new(ResponseCode::InvalidParameter, remark)
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        Self::failed(format!("the body is not what this request takes: {error}"))
    }
}

/// What a handler returns.
pub type Answer = Result<RemotingCommand, Refusal>;

/// Answers a request.
pub fn answer(responder: Responder, answer: Answer) {
    match answer {
        Ok(response) => responder.send(response),
        Err(refusal) => responder.error(refusal.code, refusal.remark),
    }
}

/// Answers a request with what `work` returns from the blocking pool.
pub fn answer_blocking(responder: Responder, work: impl FnOnce() -> Answer + Send + 'static) {
    tokio::task::spawn_blocking(move || answer(responder, work()));
}

/// An answer with code 0 and a JSON body.
pub fn json<B: Body>(body: &B) -> Answer {
    Ok(RemotingCommand::success().with_body(body.encode()))
}

/// Answers once a change is on disk, or says that it is not.
pub fn when_written(responder: Responder) -> WrittenCallback {
    Box::new(move |written| match written {
        Ok(()) => responder.success(),
        Err(error) => responder.error(ResponseCode::SystemError, format!("changed, but not written: {error}")),
    })
}

/// Name of this broker, as it stands in message queues.
fn broker_name(broker: &Broker) -> String {
    broker.config().broker.broker_name.clone()
}

/// Answers on the connection's task: for handlers that only look into memory.
pub fn at_once(
    broker: &Arc<Broker>,
    request: &RemotingCommand,
    responder: Responder,
    handler: fn(&Arc<Broker>, &RemotingCommand) -> Answer,
) {
    answer(responder, handler(broker, request));
}

/// Answers from the blocking pool: for handlers that may read files.
pub fn blocking(
    broker: &Arc<Broker>,
    request: RemotingCommand,
    responder: Responder,
    handler: fn(&Arc<Broker>, &RemotingCommand) -> Answer,
) {
    let broker = broker.clone();
    answer_blocking(responder, move || handler(&broker, &request));
}
