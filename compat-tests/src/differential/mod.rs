//! The same random requests to a Java broker and to the broker under test; every answer is compared, and at the end what
//! is left in queues and offsets.
//!
//! Both get a request before the next one is made, so that what the next one refers to is known. [`script`] makes the
//! requests, [`compare`] says what of two answers must be alike and which differences are meant.

pub mod compare;
pub mod connection;
pub mod records;
pub mod request;
pub mod script;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::connection::{Answer, Connection};
use self::request::{Known, Popped, Request, Sent};
use self::script::{CLIENTS, Script};
use crate::report::{Outcome, Test};

const SUITE: &str = "differential";
const SUCCESS: i64 = 0;
const BATCH_ACK: i32 = 200_151;
/// Acknowledged, with something still open (`FLUSH_DISK_TIMEOUT`, `SLAVE_NOT_AVAILABLE`, `FLUSH_SLAVE_TIMEOUT`).
const STORED: [i64; 4] = [0, 10, 11, 12];
/// Questions are asked again for so long before different answers count: queues and index follow the log in a moment.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);
/// Pops in order are told apart by their time in ms.
const POP_PAUSE: Duration = Duration::from_millis(2);
/// Differences shown for a request code.
const SHOWN: usize = 3;

/// Where the two servers of a side are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Of the name server.
    pub name_server: SocketAddr,
    /// Of its broker.
    pub broker: SocketAddr,
}

/// One of the two sides.
struct Side {
    connections: Vec<Connection>,
    /// Values of placeholders.
    values: BTreeMap<String, String>,
}

impl Side {
    fn open(servers: Addresses) -> Result<Self> {
        let mut connections = (0..CLIENTS).map(|_| Connection::open(servers.broker)).collect::<Result<Vec<_>>>()?;
        connections.push(Connection::open(servers.name_server)?);
        Ok(Self { connections, values: BTreeMap::new() })
    }

    fn ask(&mut self, request: &Request) -> Result<Answer> {
        let fields = request.fields.iter().map(|(name, value)| (name.clone(), self.resolve(value))).collect();
        let body = if request.code == BATCH_ACK { self.resolve_in(&request.body) } else { request.body.clone() };
        self.connections[request.client].ask(request.code, &fields, &body)
    }

    /// A body of JSON whose placeholders stand for numbers.
    fn resolve_in(&self, body: &[u8]) -> Vec<u8> {
        let mut text = String::from_utf8_lossy(body).into_owned();
        for (name, value) in
            self.values.iter().filter(|(name, _)| name.starts_with("poptime") || name.starts_with("rev"))
        {
            text = text.replace(&format!("\"{{{name}}}\""), value);
        }
        text.into_bytes()
    }

    fn resolve(&self, text: &str) -> String {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) => self.values.get(name).cloned().unwrap_or_default(),
            None => text.to_owned(),
        }
    }

    /// Keeps what later requests refer to. `known` is what was known before this answer.
    fn remember(&mut self, request: &Request, answer: &Answer, known: &Known, broker: &str) {
        if let Some(id) = answer.fields.get("msgId").filter(|_| sends_one(request) && STORED.contains(&answer.code)) {
            let n = known.sent.len();
            let physical = id.len().checked_sub(16).and_then(|at| i64::from_str_radix(id.get(at..)?, 16).ok());
            let queue_offset = answer.fields.get("queueOffset").cloned().unwrap_or_default();
            self.values.insert(format!("physical.{n}"), physical.unwrap_or(-1).to_string());
            self.values.insert(format!("msgid.{n}"), id.clone());
            self.values.insert(format!("queueoffset.{n}"), queue_offset);
        }
        if let Some(handle) = answer.fields.get("recallHandle") {
            self.values.insert(format!("recall.{}", known.recalls.len()), handle.clone());
        }
        for (n, handle) in (known.popped.len()..).zip(handles(request, answer, broker)) {
            let mut parts = handle.split(' ').skip(1);
            self.values.insert(format!("poptime.{n}"), parts.next().unwrap_or_default().to_owned());
            self.values.insert(format!("revive.{n}"), parts.nth(1).unwrap_or_default().to_owned());
            self.values.insert(format!("handle.{n}"), handle);
        }
    }
}

/// A pop that keeps order.
fn in_order(request: &Request) -> bool {
    request.fields.get("order").is_some_and(|order| order == "true")
}

/// A single message; batches answer many ids.
fn sends_one(request: &Request) -> bool {
    matches!(request.code, 10 | 310)
}

/// The handles that clients make from the answer to a pop, in the order of its messages (`ExtraInfoUtil`).
fn handles(request: &Request, answer: &Answer, broker: &str) -> Vec<String> {
    if request.code != 200_050 || answer.code != SUCCESS {
        return Vec::new();
    }
    let field = |name: &str| answer.fields.get(name).cloned().unwrap_or_default();
    let start = field("startOffsetInfo").split(';').find_map(|entry| {
        let mut parts = entry.split(' ');
        (parts.next()? == "0").then(|| parts.nth(1)).flatten().map(str::to_owned)
    });
    let start = start.unwrap_or_default();
    let (time, invisible, revive) = (field("popTime"), field("invisibleTime"), field("reviveQid"));
    let records = records::parse_all(&answer.body).unwrap_or_default();
    records
        .iter()
        .map(|r| format!("{start} {time} {invisible} {revive} 0 {broker} {} {}", r.queue_id, r.queue_offset))
        .collect()
}

/// Adds what an answer gives that both sides gave.
fn learn(known: &mut Known, request: &Request, answer: &Answer, broker: &str) {
    let field = |letter: &str, name: &str| {
        request.fields.get(letter).or_else(|| request.fields.get(name)).cloned().unwrap_or_default()
    };
    if answer.fields.contains_key("recallHandle") {
        known.recalls.push(field("b", "topic"));
    }
    if sends_one(request) && STORED.contains(&answer.code) && answer.fields.contains_key("msgId") {
        let half = field("i", "properties").contains("TRAN_MSG");
        known.sent.push(Sent { topic: field("b", "topic"), half });
    }
    let handles = handles(request, answer, broker);
    if let Some(start_offset) = handles.first().and_then(|handle| handle.split(' ').next()?.parse().ok()) {
        let group = field("consumerGroup", "consumerGroup");
        for record in records::parse_all(&answer.body).unwrap_or_default() {
            known.popped.push(Popped {
                topic: record.topic,
                group: group.clone(),
                ordered: in_order(request),
                queue_id: record.queue_id,
                start_offset,
                queue_offset: record.queue_offset,
            });
        }
    }
}

/// What came of all requests of one code.
#[derive(Default)]
struct Tally {
    requests: usize,
    differences: Vec<String>,
    meant: BTreeMap<&'static str, usize>,
    time: Duration,
}

/// Sends `steps` requests made from `seed` to both brokers, which are both called `broker`; a test for every code.
///
/// # Errors
/// When a broker cannot be reached or closes a connection.
pub fn run(java: Addresses, ours: Addresses, broker: &str, seed: u64, steps: usize) -> Result<Vec<Test>> {
    let mut sides = [Side::open(java)?, Side::open(ours)?];
    let mut script = Script::new(seed, broker);
    let mut known = Known::default();
    let mut tallies: BTreeMap<(&'static str, &'static str), Tally> = BTreeMap::new();
    for request in Script::preparations() {
        for side in &mut sides {
            let answer = side.ask(&request)?;
            ensure!(answer.code == SUCCESS, "{}: {} {}", request.describe(), answer.code, answer.remark);
        }
    }
    for step in 0..steps {
        let request = script.next(&known);
        let tally = tallies.entry(("answers", request.name)).or_default();
        let [java, ours] = ask_both(&mut sides, &request, step, tally)?;
        for (side, answer) in sides.iter_mut().zip([&java, &ours]) {
            side.remember(&request, answer, &known, broker);
        }
        if compare::essence(&request, &java) == compare::essence(&request, &ours) {
            learn(&mut known, &request, &java, broker);
        }
    }
    for (step, request) in Script::conclusions().into_iter().enumerate() {
        let tally = tallies.entry(("what is left", request.name)).or_default();
        ask_both(&mut sides, &request, steps + step, tally)?;
    }
    Ok(tallies.into_iter().map(|((class, name), tally)| test(class, name, tally, seed)).collect())
}

fn ask_both(sides: &mut [Side; 2], request: &Request, step: usize, tally: &mut Tally) -> Result<[Answer; 2]> {
    let begun = Instant::now();
    if let Some(question) = script::question_before(request) {
        let mut answers = ask(sides, &question, step)?;
        while begun.elapsed() < PATIENCE && !alike(&question, &answers) {
            std::thread::sleep(PAUSE);
            answers = ask(sides, &question, step)?;
        }
    }
    if in_order(request) {
        std::thread::sleep(POP_PAUSE);
    }
    let mut answers = ask(sides, request, step)?;
    // A code that differs anyway is not waited for again and again.
    let waits = request.reads && tally.differences.len() < SHOWN;
    while waits && begun.elapsed() < PATIENCE && !alike(request, &answers) {
        if compare::known(request, &answers[0], &answers[1]).is_some() {
            break;
        }
        std::thread::sleep(PAUSE);
        answers = ask(sides, request, step)?;
    }
    tally.requests += 1;
    tally.time += begun.elapsed();
    if !alike(request, &answers) {
        match compare::known(request, &answers[0], &answers[1]) {
            Some(reason) => *tally.meant.entry(reason).or_default() += 1,
            None => tally.differences.push(format!(
                "step {step}: {}\n  Java: {} [{}]\n  here: {} [{}]",
                request.describe(),
                compare::essence(request, &answers[0]),
                answers[0].remark,
                compare::essence(request, &answers[1]),
                answers[1].remark,
            )),
        }
    }
    Ok(answers)
}

fn ask([java, ours]: &mut [Side; 2], request: &Request, step: usize) -> Result<[Answer; 2]> {
    let failed = |who: &str| format!("step {step}: {who} and {}", request.describe());
    Ok([
        java.ask(request).with_context(|| failed("Java"))?,
        ours.ask(request).with_context(|| failed("the broker under test"))?,
    ])
}

fn alike(request: &Request, [java, ours]: &[Answer; 2]) -> bool {
    compare::essence(request, java) == compare::essence(request, ours)
}

fn test(class: &str, name: &str, tally: Tally, seed: u64) -> Test {
    let outcome = if tally.differences.is_empty() {
        let meant: Vec<String> = tally.meant.iter().map(|(reason, n)| format!("{n} × {reason}")).collect();
        Outcome::Passed(
            (!meant.is_empty()).then(|| format!("{} requests; meant: {}", tally.requests, meant.join("; "))),
        )
    } else {
        let shown = &tally.differences[..tally.differences.len().min(SHOWN)];
        Outcome::Failed {
            message: format!(
                "{} of {} answers differ from Java's, seed {seed}",
                tally.differences.len(),
                tally.requests
            ),
            detail: shown.join("\n"),
        }
    };
    Test { suite: SUITE.to_owned(), class: class.to_owned(), name: name.to_owned(), time: tally.time, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_requests() {
        let requests = |seed| {
            let mut script = Script::new(seed, "b");
            (0..200).map(|_| script.next(&Known::default()).describe()).collect::<Vec<_>>()
        };
        assert_eq!(requests(1), requests(1));
        assert_ne!(requests(1), requests(2));
    }

    #[test]
    fn handles_are_made_as_clients_make_them() {
        let request = Request {
            code: 200_050,
            name: "POP_MESSAGE",
            client: 0,
            fields: BTreeMap::new(),
            body: Vec::new(),
            reads: false,
        };
        let answer = Answer { code: 0, remark: String::new(), fields: BTreeMap::new(), body: Vec::new() };
        assert!(handles(&request, &answer, "b").is_empty());
    }
}
