//! The right, and the duty, to answer one request.

use crate::connection::{Channel, REQUESTS_WAITING_MAX};
use crate::protocol::command::{RemotingCommand, SerializeType};
use crate::protocol::response_code::ResponseCode;

/// Answers one request, now or later, from any thread.
///
/// Dropped unused it answers code 1, so that no client waits for nothing. Nothing is sent for one-way requests.
#[derive(Debug)]
pub struct Responder {
    channel: Channel,
    code: i32,
    opaque: i32,
    version: i32,
    serialize_type: SerializeType,
    oneway: bool,
    answered: bool,
}

impl Responder {
    /// A responder for `request`; `None` when too many requests of this connection wait (answered here).
    pub(crate) fn begin(channel: &Channel, request: &RemotingCommand) -> Option<Self> {
        let admitted = channel.begin_request();
        let responder = Self {
            channel: channel.clone(),
            code: request.code,
            opaque: request.opaque,
            version: request.version,
            serialize_type: request.serialize_type,
            oneway: request.is_oneway(),
            answered: false,
        };
        if !admitted {
            let remark = format!("{REQUESTS_WAITING_MAX} requests of this connection wait for their answer");
            responder.error(ResponseCode::SystemBusy, remark);
            return None;
        }
        Some(responder)
    }

    /// The connection that the request came on.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Whether the sender wants no answer.
    pub fn is_oneway(&self) -> bool {
        self.oneway
    }

    /// Version of the sender.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// Sends the answer.
    pub fn send(mut self, response: RemotingCommand) {
        self.answer(response);
    }

    /// Answers code 0 without more.
    pub fn success(self) {
        self.send(RemotingCommand::success());
    }

    /// Answers that it did not work, and why.
    pub fn error(self, code: ResponseCode, remark: impl Into<String>) {
        self.send(RemotingCommand::error(code, remark));
    }

    /// Answers that nobody here serves this code, in Java's words.
    pub fn unsupported(self) {
        let remark = format!(" request type {} not supported", self.code);
        self.error(ResponseCode::RequestCodeNotSupported, remark);
    }

    /// Has `request`, which has waited, handled once more on its connection's task ([`Handler::resumed`]). Forgotten when
    /// the connection is gone.
    ///
    /// [`Handler::resumed`]: crate::Handler::resumed
    pub fn resume(self, request: RemotingCommand) {
        let channel = self.channel.clone();
        channel.resume(request, self);
    }

    fn answer(&mut self, mut response: RemotingCommand) {
        self.answered = true;
        self.channel.end_request();
        if self.oneway {
            return;
        }
        response.opaque = self.opaque;
        response.serialize_type = self.serialize_type;
        response.mark_response();
        self.channel.send(&response);
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            let remark = format!("request type {} ended without an answer", self.code);
            self.answer(RemotingCommand::error(ResponseCode::SystemError, remark));
        }
    }
}
