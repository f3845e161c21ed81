//! Pulls as a push consumer of Java makes them: its group has a heartbeat, each pull commits what came before and may be
//! held.

use std::ops::Range;

use anyhow::{Result, ensure};
use hypergol_remoting::protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, SubscriptionData,
};
use hypergol_remoting::protocol::command::SerializeType;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode};

use super::answer::{Answer, OPAQUE_MIN};
use super::clock::{Clock, SECOND};
use super::links::{Driver, Links, Output, Turn};
use super::template::{Template, write_digits};

/// Opaque of heartbeats; those of pulls are below.
const HEARTBEAT_OPAQUE: u32 = 2_000_000_000;
/// Between two heartbeats of a client (`heartbeatBrokerInterval`).
const HEARTBEAT_PERIOD: u64 = 30 * SECOND;
/// For the first heartbeats of all clients. Java makes a topic for each new group.
const JOIN_WAIT: u64 = 120 * SECOND;
/// Heartbeats that wait for their answer while clients join.
const JOINS_AT_ONCE: usize = 64;
/// How long a pull may be held (`brokerSuspendMaxTimeMillis`).
const SUSPEND_MS: u32 = 15_000;
/// Digits of an offset.
const OFFSET_DIGITS: usize = 15;
/// Digits of the number of a group.
const GROUP_DIGITS: usize = 5;
/// Commits an offset; may be held.
const SYS_FLAG: u32 = 1 | 2;

const FOUND: i32 = 0;
const NOT_FOUND: i32 = 19;
const RETRY_IMMEDIATELY: i32 = 20;
const OFFSET_MOVED: i32 = 21;

/// What is pulled.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Groups have this name and a number.
    pub group: &'a str,
    /// Topic.
    pub topic: &'a str,
    /// Messages an answer, at most.
    pub batch: u32,
    /// Form of headers.
    pub form: SerializeType,
    /// By what messages are selected; all of them without.
    pub sql: Option<&'a str>,
}

/// Pulls on some links.
pub struct Puller {
    template: Template,
    group: Range<usize>,
    queue: Range<usize>,
    offset: Range<usize>,
    commit: Range<usize>,
    /// Per link.
    heartbeats: Vec<Template>,
    clients: Vec<Vec<Queue>>,
    next_heartbeat: u64,
    joining: Joining,
    clock: Clock,
}

/// The way of all clients to their first heartbeat.
#[derive(Clone, Copy, Debug, Default)]
struct Joining {
    begun: usize,
    done: usize,
}

/// A queue that a client reads.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// Queue id.
    pub id: u32,
    /// Offset of the next pull.
    pub offset: u64,
    /// When the pull that waits was sent.
    pub asked: u64,
}

/// What came of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Messages; the caller reads them and asks again.
    Messages,
    /// Nothing new in all the time that it was held.
    Nothing,
    /// An answer to a heartbeat, not to a pull.
    Heartbeat,
    /// Refused.
    Refused,
}

impl Puller {
    /// Client `i` is the only member of group number `i` and reads `clients[i]`.
    ///
    /// # Errors
    /// When the requests cannot be encoded.
    pub fn new(subject: Subject<'_>, clients: Vec<Vec<Queue>>, clock: Clock) -> Result<Self> {
        ensure!(clients.len() < 10usize.pow(GROUP_DIGITS as u32), "more clients than numbers for their groups");
        let group = |number: usize| numbered(subject.group, number);
        let version = super::clock::unix_ms() as i64;
        let digits = clients.iter().flatten().map(|queue| queue.id).max().unwrap_or(0).max(1).ilog10() as usize + 1;
        let request = RemotingCommand::request(RequestCode::PullMessage)
            .with_field("consumerGroup", &group(0))
            .with_field("topic", subject.topic)
            .with_field("queueId", &"0".repeat(digits))
            .with_field("queueOffset", &"0".repeat(OFFSET_DIGITS))
            .with_field("maxMsgNums", &subject.batch.to_string())
            .with_field("sysFlag", &SYS_FLAG.to_string())
            .with_field("commitOffset", &"0".repeat(OFFSET_DIGITS))
            .with_field("suspendTimeoutMillis", &SUSPEND_MS.to_string())
            .with_field("subVersion", &version.to_string())
            .with_field("expressionType", expression_type(subject.sql))
            .with_field("maxMsgBytes", "2147483647");
        let template = Template::new(request, subject.form)?;
        let group_value = template.place_of_field("consumerGroup", subject.group.len() + 1 + GROUP_DIGITS)?;
        let heartbeats = (0..clients.len())
            .map(|number| {
                let body = heartbeat(&group(number), subject.topic, subject.sql, version).encode();
                let request = RemotingCommand::request(RequestCode::HeartBeat).with_body(body);
                Template::new(request, subject.form)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            group: group_value.end - GROUP_DIGITS..group_value.end,
            queue: template.place_of_field("queueId", digits)?,
            offset: template.place_of_field("queueOffset", OFFSET_DIGITS)?,
            commit: template.place_of_field("commitOffset", OFFSET_DIGITS)?,
            template,
            heartbeats,
            clients,
            next_heartbeat: 0,
            joining: Joining::default(),
            clock,
        })
    }

    /// Brings every client into its group, on links of its own that begin at `first`.
    ///
    /// # Errors
    /// When a heartbeat is refused, or answers take too long.
    pub fn join(&mut self, links: &mut Links, first: usize) -> Result<()> {
        let deadline = self.clock.now() + JOIN_WAIT;
        links.run(&mut Join { puller: self, first, deadline })?;
        self.next_heartbeat = self.clock.now() + HEARTBEAT_PERIOD;
        Ok(())
    }

    /// Clients.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// A queue of a client.
    pub fn queue(&mut self, client: usize, slot: usize) -> &mut Queue {
        &mut self.clients[client][slot]
    }

    /// Queues of a client.
    pub fn queues(&self, client: usize) -> usize {
        self.clients[client].len()
    }

    /// Pulls a queue of a client at its offset, in the output of its link.
    pub fn ask(&mut self, client: usize, slot: usize, out: &mut Output, now: u64) {
        let queue = &mut self.clients[client][slot];
        queue.asked = now;
        let frame = self.template.append(out.always(), OPAQUE_MIN + slot as u32);
        write_digits(&mut frame[self.group.clone()], client as u64);
        write_digits(&mut frame[self.queue.clone()], queue.id.into());
        write_digits(&mut frame[self.offset.clone()], queue.offset);
        write_digits(&mut frame[self.commit.clone()], queue.offset);
    }

    /// Takes an answer on the link of a client: which queue of it, and what it is.
    ///
    /// # Errors
    /// When it answers no request, or moves the offset elsewhere.
    pub fn answer(&mut self, client: usize, answer: &Answer<'_>) -> Result<(usize, Pulled)> {
        if answer.opaque == HEARTBEAT_OPAQUE {
            return Ok((0, Pulled::Heartbeat));
        }
        let slot = answer.opaque.wrapping_sub(OPAQUE_MIN) as usize;
        ensure!(slot < self.clients[client].len(), "an answer to no pull, opaque {}", answer.opaque);
        Ok(match answer.code {
            FOUND => (slot, Pulled::Messages),
            NOT_FOUND | RETRY_IMMEDIATELY => (slot, Pulled::Nothing),
            OFFSET_MOVED => {
                let Queue { id, offset, .. } = self.clients[client][slot];
                // Asked for at the very end: nothing there yet.
                let moved = answer.next_begin_offset.unwrap_or(-1);
                ensure!(i64::try_from(offset) == Ok(moved), "queue {id} moved from offset {offset} to {moved}");
                (slot, Pulled::Nothing)
            }
            _ => (slot, Pulled::Refused),
        })
    }

    /// Sends heartbeats when it is time; returns when it is next.
    pub fn turn(&mut self, links: &mut Links, first: usize, now: u64) -> u64 {
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + HEARTBEAT_PERIOD;
            for client in 0..self.clients.len() {
                self.heartbeats[client].append(links.output(first + client).always(), HEARTBEAT_OPAQUE);
            }
        }
        self.next_heartbeat
    }
}

/// What the only member of a group is known by.
pub fn client_id(group: &str) -> String {
    format!("127.0.0.1@{group}")
}

fn expression_type(sql: Option<&str>) -> &'static str {
    if sql.is_some() { "SQL92" } else { "TAG" }
}

/// A group with its number.
pub fn numbered(group: &str, number: usize) -> String {
    format!("{group}-{number:0GROUP_DIGITS$}")
}

fn heartbeat(group: &str, topic: &str, sql: Option<&str>, version: i64) -> HeartbeatData {
    let subscription = |topic: String, sql: Option<&str>| SubscriptionData {
        topic,
        sub_string: Some(sql.unwrap_or("*").to_owned()),
        expression_type: Some(expression_type(sql).to_owned()),
        sub_version: version,
        ..SubscriptionData::default()
    };
    HeartbeatData {
        client_id: client_id(group),
        consumer_data_set: vec![ConsumerData {
            consume_from_where: Some(ConsumeFromWhere::LastOffset),
            consume_type: Some(ConsumeType::ConsumePassively),
            group_name: group.to_owned(),
            message_model: Some(MessageModel::Clustering),
            subscription_data_set: vec![
                subscription(topic.to_owned(), sql),
                subscription(format!("%RETRY%{group}"), None),
            ],
            unit_mode: false,
        }],
        ..HeartbeatData::default()
    }
}

/// First heartbeats. A pull that comes before its group is known is refused, so they are waited for.
struct Join<'a> {
    puller: &'a mut Puller,
    first: usize,
    deadline: u64,
}

impl Driver for Join<'_> {
    fn answer(&mut self, _: usize, _: &mut Output, answer: &Answer<'_>, _: u64) -> Result<()> {
        ensure!(answer.code == 0, "a heartbeat is answered {} {}", answer.code, String::from_utf8_lossy(answer.remark));
        self.puller.joining.done += 1;
        Ok(())
    }

    fn fill(&mut self, _: usize, _: &mut Output, _: u64) {}

    fn turn(&mut self, links: &mut Links, now: u64) -> Result<Turn> {
        let Puller { joining, heartbeats, .. } = &mut *self.puller;
        ensure!(now < self.deadline, "{} of {} clients got into their group", joining.done, heartbeats.len());
        if joining.done == heartbeats.len() {
            return Ok(Turn::Done);
        }
        while joining.begun < heartbeats.len() && joining.begun - joining.done < JOINS_AT_ONCE {
            let out = links.output(self.first + joining.begun);
            heartbeats[joining.begun].append(out.always(), HEARTBEAT_OPAQUE);
            joining.begun += 1;
        }
        Ok(Turn::Until(self.deadline))
    }
}
