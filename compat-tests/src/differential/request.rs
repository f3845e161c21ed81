//! A request of the script, and what answers have given that later requests refer to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// A request, alike for both servers but for its placeholders.
#[derive(Clone, Debug)]
pub struct Request {
    /// Request code.
    pub code: i32,
    /// Its name in the protocol.
    pub name: &'static str,
    /// Which connection asks.
    pub client: usize,
    /// extFields.
    pub fields: BTreeMap<String, String>,
    /// Body; placeholders count in that of a batch of acknowledgements.
    pub body: Vec<u8>,
    /// Changes nothing, and may see what the broker does a moment later: asked again before it counts as a difference.
    pub reads: bool,
}

impl Request {
    pub(super) fn new(code: i32, name: &'static str, fields: &[(&str, &dyn ToString)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        Self { code, name, client: 0, fields, body: Vec::new(), reads: false }
    }

    pub(super) fn reads(self) -> Self {
        Self { reads: true, ..self }
    }

    pub(super) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// For reports.
    pub fn describe(&self) -> String {
        let mut text = format!("{} {} by client {}", self.code, self.name, self.client);
        for (name, value) in &self.fields {
            let shown: String = value.chars().take(120).collect();
            let _ = write!(text, " {name}={}", shown.escape_debug());
        }
        if !self.body.is_empty() {
            let shown = String::from_utf8_lossy(&self.body[..self.body.len().min(400)]).into_owned();
            let _ = write!(text, " body {}", shown.escape_debug());
        }
        text
    }
}

/// What the answers so far have given; the same on both servers, or the comparison has failed before.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Messages that were stored: topic, queue, half message. Placeholders `{physical.N}`, `{msgid.N}`, `{queueoffset.N}`.
    pub sent: Vec<Sent>,
    /// Messages that were popped. Placeholders `{handle.N}`, and of it `{poptime.N}`, `{revive.N}`.
    pub popped: Vec<Popped>,
    /// Handles to recall by. Placeholder `{recall.N}`.
    pub recalls: Vec<String>,
}

/// A message that was acknowledged.
#[derive(Clone, Debug)]
pub struct Sent {
    /// As the client named it.
    pub topic: String,
    /// Prepared, not committed.
    pub half: bool,
}

/// A message that a pop returned.
#[derive(Clone, Debug)]
pub struct Popped {
    /// Topic.
    pub topic: String,
    /// Group that popped.
    pub group: String,
    /// By a pop that keeps order.
    pub ordered: bool,
    /// Queue.
    pub queue_id: i32,
    /// First offset of its pop.
    pub start_offset: i64,
    /// Offset.
    pub queue_offset: i64,
}
