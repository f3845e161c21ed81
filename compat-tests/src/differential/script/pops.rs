//! Requests of consumers that pop: with checkpoints, and in order.
//!
//! What depends on time is kept out: messages stay invisible beyond the test, or not at all. A group pops in one of the two
//! ways only, because what checkpoints commit is committed a moment later.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::Rng;
use serde_json::json;

use super::{FIFO_TOPIC, Script};
use crate::differential::request::{Known, Popped, Request};

/// Groups that pop.
pub const POPPING_GROUPS: [&str; 2] = ["DiffPoppersA", "DiffPoppersB"];
/// Groups that pop in order.
pub const ORDERED_GROUPS: [&str; 2] = ["DiffOrderedA", "DiffOrderedB"];
/// Attempts of clients that pop in order; a pop of the attempt that popped last gets its messages again.
const ATTEMPTS: [&str; 2] = ["a1", "a2"];
/// Pops in order refer mostly to one of so many messages that came last.
const RECENT: usize = 12;
/// A time that does not end within the test, ms.
const LONG_MS: i64 = 3_600_000;
/// `queueId` of a pop of all queues.
const ANY_QUEUE: &str = "-1";

impl Script {
    pub(super) fn pop_family(&mut self, known: &Known) -> Option<Request> {
        let n = self.rng.random_range(0..known.popped.len().max(1));
        let Some(popped) = known.popped.get(n).filter(|popped| !popped.ordered && self.rng.random_bool(0.5)) else {
            return Some(self.pop());
        };
        let group = if self.rng.random_bool(0.05) { POPPING_GROUPS[0] } else { &popped.group };
        let astray = self.one_of(&[0, 0, 0, 0, 0, 0, 0, 100_000]);
        Some(self.settle(popped, group, n, astray, LONG_MS))
    }

    /// Pops in order, and what is done with their messages.
    pub(super) fn ordered_family(&mut self, known: &Known) -> Option<Request> {
        let ordered: Vec<usize> = (0..known.popped.len()).filter(|n| known.popped[*n].ordered).collect();
        if ordered.is_empty() || self.rng.random_bool(0.4) {
            return Some(self.pop_in_order());
        }
        let first = if self.rng.random_bool(0.8) { ordered.len().saturating_sub(RECENT) } else { 0 };
        let n = ordered[self.rng.random_range(first..ordered.len())];
        let popped = &known.popped[n];
        let group = if self.rng.random_bool(0.05) { ORDERED_GROUPS[0] } else { &popped.group };
        // Handles of one pop with messages of another are illegal, or belong to an older pop.
        let handle = if self.rng.random_bool(0.1) { ordered[self.rng.random_range(0..ordered.len())] } else { n };
        let astray = self.one_of(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 100_000]);
        let invisible_time = self.one_of(&[0, 0, LONG_MS]);
        Some(self.settle(popped, group, handle, astray, invisible_time))
    }

    /// An acknowledgement, or a change of the invisible time, with the handle of message `handle`, `astray` offsets beside
    /// the one that was popped.
    fn settle(&mut self, popped: &Popped, group: &str, handle: usize, astray: i64, invisible_time: i64) -> Request {
        let handle = format!("{{handle.{handle}}}");
        let fields: [(&str, &dyn ToString); 5] = [
            ("consumerGroup", &group),
            ("topic", &popped.topic),
            ("queueId", &popped.queue_id),
            ("extraInfo", &handle),
            ("offset", &(popped.queue_offset + astray)),
        ];
        if self.rng.random_bool(0.6) {
            return Request::new(200_051, "ACK_MESSAGE", &fields);
        }
        let mut request = Request::new(200_053, "CHANGE_MESSAGE_INVISIBLETIME", &fields);
        request.fields.insert("invisibleTime".to_owned(), invisible_time.to_string());
        request
    }

    pub(super) fn batch_ack(&mut self, known: &Known) -> Option<Request> {
        let mut acks = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let n = self.rng.random_range(0..known.popped.len().max(1));
            let popped = known.popped.get(n)?;
            let bit = u32::try_from(popped.queue_offset - popped.start_offset).ok()?;
            let bits = 1_u64.checked_shl(bit)?.to_le_bytes();
            let used = bits.iter().rposition(|byte| *byte != 0)?;
            acks.push(json!({
                "c": popped.group, "t": popped.topic, "r": "0", "q": popped.queue_id, "so": popped.start_offset,
                "pt": format!("{{poptime.{n}}}"), "rq": format!("{{revive.{n}}}"), "it": 3_600_000,
                "b": BASE64_STANDARD.encode(&bits[..=used]),
            }));
        }
        let body = json!({ "brokerName": self.broker, "acks": acks });
        Some(Request::new(200_151, "BATCH_ACK_MESSAGE", &[]).json(&body))
    }

    pub(super) fn notification(&mut self, _: &Known) -> Option<Request> {
        let ordered = self.rng.random_bool(0.5);
        let group = if ordered { self.one_of(&ORDERED_GROUPS) } else { self.one_of(&POPPING_GROUPS) };
        let topic = self.topic();
        let fields: [(&str, &dyn ToString); 6] = [
            ("consumerGroup", &group),
            ("topic", &topic),
            ("queueId", &self.queue_of(&topic)),
            ("pollTime", &0),
            ("bornTime", &0),
            ("order", &ordered),
        ];
        let mut request = Request::new(200_054, "NOTIFICATION", &fields).reads();
        if ordered {
            self.attempt(&mut request);
        }
        Some(request)
    }

    fn pop(&mut self) -> Request {
        let group = match self.rng.random_range(0..30) {
            0 => "bad/group",
            1 => "",
            _ => self.one_of(&POPPING_GROUPS),
        };
        let topic = self.topic();
        // One queue: which of several comes first is random in Java.
        let queue = self.queue_of(&topic);
        self.pop_request(group, &topic, queue, LONG_MS)
    }

    fn pop_in_order(&mut self) -> Request {
        let group = if self.rng.random_bool(0.03) { "DiffNoSuchGroup" } else { self.one_of(&ORDERED_GROUPS) };
        let (topic, queue) = match self.rng.random_bool(0.6) {
            true => (FIFO_TOPIC.to_owned(), self.one_of(&[-1, 0, 0])),
            false => {
                let topic = self.topic();
                let queue = self.queue_of(&topic);
                (topic, queue)
            }
        };
        let invisible_time = self.one_of(&[LONG_MS, 0, 0]);
        let mut request = self.pop_request(group, &topic, queue, invisible_time);
        request.fields.insert("order".to_owned(), "true".to_owned());
        self.attempt(&mut request);
        request
    }

    fn attempt(&mut self, request: &mut Request) {
        if self.rng.random_bool(0.7) {
            request.fields.insert("attemptId".to_owned(), self.one_of(&ATTEMPTS).to_owned());
        }
    }

    /// Nothing is held.
    fn pop_request(&mut self, group: &str, topic: &str, queue: i32, invisible_time: i64) -> Request {
        let fields: [(&str, &dyn ToString); 10] = [
            ("consumerGroup", &group),
            ("topic", &topic),
            ("queueId", &queue),
            ("maxMsgNums", &self.one_of(&[1, 1, 2, 4, 4, 8, 32, 33])),
            ("invisibleTime", &invisible_time),
            ("pollTime", &0),
            ("bornTime", &0),
            ("initMode", &self.one_of(&[0, 0, 1])),
            ("expType", &"TAG"),
            ("exp", &self.one_of(&["*", "*", "A"])),
        ];
        Request::new(200_050, "POP_MESSAGE", &fields)
    }
}

/// What must be alike before a request that cannot be asked again: for a pop how long the queue is, for a change of an
/// offset the offset, because Java commits what was popped a moment later.
pub fn question_before(request: &Request) -> Option<Request> {
    let field = |name| request.fields.get(name);
    let (topic, queue) = (field("topic")?, field("queueId")?);
    let queue = if queue == ANY_QUEUE { "0" } else { queue };
    let of_queue: [(&str, &dyn ToString); 2] = [("topic", topic), ("queueId", &queue)];
    let question = match request.code {
        200_050 => Request::new(30, "GET_MAX_OFFSET", &of_queue),
        15 => {
            let mut question = Request::new(14, "QUERY_CONSUMER_OFFSET", &of_queue);
            question.fields.insert("consumerGroup".to_owned(), field("consumerGroup")?.clone());
            question
        }
        _ => return None,
    };
    Some(question.reads())
}
