//! What the suite asks of a broker: single requests of producers and consumers, each of which must succeed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::differential::connection::{Answer, Connection};
use crate::differential::records::{self, Record};

/// Producers' group of half messages.
const PRODUCERS: &str = "ExchangeProducers";
/// `ResponseCode`: nothing to pop, or to pull.
const NOTHING: [i64; 4] = [19, 20, 21, 210];
const CHECK_TRANSACTION_STATE: i64 = 39;
/// `MessageSysFlag.TRANSACTION_PREPARED_TYPE`.
const PREPARED: i32 = 4;

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// A connection to a broker.
pub struct Client {
    connection: Connection,
    broker: String,
}

/// Where a message was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    message_id: String,
    physical_offset: String,
    queue_offset: String,
}

/// What a popped message is acknowledged by.
#[derive(Clone, Debug)]
pub struct Handle {
    topic: String,
    text: String,
    queue_id: String,
    offset: String,
    /// When the message is handed out again unless it is acknowledged; ms since 1970.
    pub visible_at: i64,
}

/// A message that was popped.
#[derive(Debug)]
pub struct Popped {
    /// Its body.
    pub body: String,
    /// How often it has come back.
    pub reconsume_times: i32,
    /// Acknowledges it.
    pub handle: Handle,
}

/// A question about a half message.
#[derive(Debug)]
pub struct Question {
    /// The body of the half message.
    pub body: String,
    /// Where it is now.
    pub stored: Stored,
}

impl Client {
    /// Connects to the broker of this name.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(address: SocketAddr, broker: &str) -> Result<Self> {
        Ok(Self { connection: Connection::open(address)?, broker: broker.to_owned() })
    }

    /// Makes a topic of one queue.
    pub fn create_topic(&mut self, topic: &str) -> Result<()> {
        let fields = [
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "1"),
            ("writeQueueNums", "1"),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
        ];
        self.succeed(17, &fields, b"").map(drop)
    }

    /// Changes a setting of the running broker.
    pub fn configure(&mut self, line: &str) -> Result<()> {
        self.succeed(25, &[], line.as_bytes()).map(drop)
    }

    /// Sends a message whose body is its unique key.
    pub fn send(&mut self, topic: &str, body: &str, properties: &[(&str, &str)]) -> Result<Stored> {
        self.send_flagged(topic, body, properties, 0)
    }

    /// Sends a half message.
    pub fn send_half(&mut self, topic: &str, body: &str) -> Result<Stored> {
        self.send_flagged(topic, body, &[("TRAN_MSG", "true"), ("PGROUP", PRODUCERS)], PREPARED)
    }

    fn send_flagged(&mut self, topic: &str, body: &str, properties: &[(&str, &str)], sys_flag: i32) -> Result<Stored> {
        let mut text = format!("UNIQ_KEY\u{1}{body}\u{2}");
        for (name, value) in properties {
            let _ = write!(text, "{name}\u{1}{value}\u{2}");
        }
        let (sys_flag, born) = (sys_flag.to_string(), now_ms().to_string());
        let fields = [
            ("a", PRODUCERS),
            ("b", topic),
            ("c", "TBW102"),
            ("d", "1"),
            ("e", "0"),
            ("f", &sys_flag),
            ("g", &born),
            ("h", "0"),
            ("i", &text),
            ("j", "0"),
            ("k", "false"),
            ("m", "false"),
        ];
        let answer = self.succeed(310, &fields, body.as_bytes())?;
        let message_id = field(&answer, "msgId")?;
        let offset =
            message_id.len().checked_sub(16).and_then(|at| i64::from_str_radix(message_id.get(at..)?, 16).ok());
        let physical_offset = offset.with_context(|| format!("message id {message_id}"))?.to_string();
        Ok(Stored { queue_offset: field(&answer, "queueOffset")?, physical_offset, message_id })
    }

    /// Commits a half message, or rolls it back.
    pub fn end_transaction(&mut self, half: &Stored, commit: bool, is_answer: bool) -> Result<()> {
        let fields = [
            ("producerGroup", PRODUCERS),
            ("tranStateTableOffset", &half.queue_offset),
            ("commitLogOffset", &half.physical_offset),
            ("commitOrRollback", if commit { "8" } else { "12" }),
            ("fromTransactionCheck", if is_answer { "true" } else { "false" }),
            ("msgId", &half.message_id),
        ];
        self.succeed(37, &fields, b"").map(drop)
    }

    /// Says that this is a producer, who can be asked; returns what was asked so far.
    pub fn questions(&mut self) -> Result<Vec<Question>> {
        let body = json!({
            "clientID": "exchange@1", "producerDataSet": [{ "groupName": PRODUCERS }], "consumerDataSet": [],
        });
        self.succeed(34, &[], body.to_string().as_bytes())?;
        let asked = self.connection.take_asked();
        asked.iter().filter(|request| request.code == CHECK_TRANSACTION_STATE).map(question).collect()
    }

    /// Has a message come back to a group after a delay.
    pub fn send_back(&mut self, group: &str, topic: &str, message: &Stored, delay_level: &str) -> Result<()> {
        let fields = [
            ("offset", message.physical_offset.as_str()),
            ("group", group),
            ("delayLevel", delay_level),
            ("originMsgId", &message.message_id),
            ("originTopic", topic),
            ("unitMode", "false"),
            ("maxReconsumeTimes", "16"),
        ];
        self.succeed(36, &fields, b"").map(drop)
    }

    /// All messages in queue 0 of a topic.
    pub fn messages(&mut self, topic: &str) -> Result<Vec<Record>> {
        let mut messages = Vec::new();
        loop {
            let offset = messages.len().to_string();
            let fields = [
                ("consumerGroup", "ExchangeReaders"),
                ("topic", topic),
                ("queueId", "0"),
                ("queueOffset", &offset),
                ("maxMsgNums", "32"),
                ("sysFlag", "4"),
                ("commitOffset", "0"),
                ("suspendTimeoutMillis", "0"),
                ("subscription", "*"),
                ("subVersion", "0"),
                ("expressionType", "TAG"),
            ];
            let Some(answer) = self.find(11, &fields)? else { return Ok(messages) };
            let page = parse(&answer)?;
            ensure!(!page.is_empty(), "{topic}: messages without messages");
            messages.extend(page);
        }
    }

    /// Pops what there is of a topic, also what has come back.
    pub fn pop(&mut self, group: &str, topic: &str, invisible_ms: i64) -> Result<Vec<Popped>> {
        let (invisible, born) = (invisible_ms.to_string(), now_ms().to_string());
        let fields = [
            ("consumerGroup", group),
            ("topic", topic),
            ("queueId", "-1"),
            ("maxMsgNums", "32"),
            ("invisibleTime", &invisible),
            ("pollTime", "0"),
            ("bornTime", &born),
            ("initMode", "0"),
            ("expType", "TAG"),
            ("exp", "*"),
            ("order", "false"),
        ];
        let Some(answer) = self.find(200_050, &fields)? else { return Ok(Vec::new()) };
        let records = parse(&answer)?;
        records.into_iter().map(|record| self.popped(group, topic, &answer, &record)).collect()
    }

    /// The handle of a message that came back is with it; those of others are made by clients (`ExtraInfoUtil`).
    fn popped(&self, group: &str, topic: &str, answer: &Answer, record: &Record) -> Result<Popped> {
        let text = match record.properties.get("POP_CK") {
            Some(text) => text.clone(),
            None => {
                let starts = field(answer, "startOffsetInfo")?;
                let start = starts.split(';').find_map(|entry| entry.strip_prefix("0 0 "));
                let start = start.with_context(|| format!("startOffsetInfo {starts}"))?;
                let (time, invisible) = (field(answer, "popTime")?, field(answer, "invisibleTime")?);
                let (revive, broker) = (field(answer, "reviveQid")?, &self.broker);
                format!("{start} {time} {invisible} {revive} 0 {broker} 0 {}", record.queue_offset)
            }
        };
        let parts: Vec<&str> = text.split(' ').collect();
        let &[_, time, invisible, _, mark, _, queue_id, offset] = parts.as_slice() else {
            anyhow::bail!("handle {text:?}");
        };
        let topic = if mark == "0" { topic.to_owned() } else { format!("%RETRY%{group}_{topic}") };
        let visible_at = time.parse::<i64>()? + invisible.parse::<i64>()?;
        let (queue_id, offset) = (queue_id.to_owned(), offset.to_owned());
        let handle = Handle { topic, queue_id, offset, visible_at, text };
        Ok(Popped { body: record.body(), reconsume_times: record.reconsume_times, handle })
    }

    /// Acknowledges a popped message.
    pub fn acknowledge(&mut self, group: &str, handle: &Handle) -> Result<()> {
        let fields = [
            ("consumerGroup", group),
            ("topic", &handle.topic),
            ("queueId", &handle.queue_id),
            ("extraInfo", &handle.text),
            ("offset", &handle.offset),
        ];
        self.succeed(200_051, &fields, b"").map(drop)
    }

    /// Messages, if there are any.
    fn find(&mut self, code: i32, fields: &[(&str, &str)]) -> Result<Option<Answer>> {
        let answer = self.ask(code, fields, b"")?;
        ensure!(answer.code == 0 || NOTHING.contains(&answer.code), "{code}: {} {}", answer.code, answer.remark);
        Ok((answer.code == 0).then_some(answer))
    }

    fn succeed(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let answer = self.ask(code, fields, body)?;
        ensure!(answer.code == 0, "request {code} {fields:?}: {} {}", answer.code, answer.remark);
        Ok(answer)
    }

    fn ask(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let fields: BTreeMap<_, _> = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.connection.ask(code, &fields, body)
    }
}

fn field(answer: &Answer, name: &str) -> Result<String> {
    answer.fields.get(name).cloned().with_context(|| format!("no {name} in {:?}", answer.fields))
}

fn parse(answer: &Answer) -> Result<Vec<Record>> {
    records::parse_all(&answer.body).context("a body that is not records")
}

fn question(request: &Answer) -> Result<Question> {
    let records = parse(request)?;
    let body = records.first().context("a question without its message")?.body();
    let stored = Stored {
        message_id: field(request, "msgId")?,
        physical_offset: field(request, "commitLogOffset")?,
        queue_offset: field(request, "tranStateTableOffset")?,
    };
    Ok(Question { body, stored })
}
