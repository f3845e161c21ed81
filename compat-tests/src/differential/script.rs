//! The random sequence of requests: what clients ask a broker, right and slightly wrong.
//!
//! A request names what earlier answers gave by placeholders (`{physical.3}`), because offsets in the log, handles and
//! addresses differ from server to server.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::request::{Known, Request};

mod pops;

pub use pops::question_before;
use pops::{ORDERED_GROUPS, POPPING_GROUPS};

/// Topics that are made before the script begins.
pub const TOPICS: [&str; 4] = ["DiffTopicA", "DiffTopicB", "DiffTopicC", FIFO_TOPIC];
/// The one of them for messages in order. It has one queue: which of several a pop begins with is random in Java.
const FIFO_TOPIC: &str = "DiffTopicFifo";
/// Queues of each of the others.
pub const QUEUES: i32 = 4;
/// Groups; they are made by heartbeats and sends.
pub const GROUPS: [&str; 3] = ["DiffGroupA", "DiffGroupB", "DiffGroupC"];
/// Connections to the broker, each a client of its own.
pub const CLIENTS: usize = 3;
/// The connection to the name server.
pub const TO_NAME_SERVER: usize = CLIENTS;
/// Producers' group of half messages.
const PRODUCERS: &str = "DiffProducers";
const TAGS: [&str; 3] = ["A", "B", "C"];
/// One request in so many lacks a field, and one has a word in place of a value.
const SPOILED: f64 = 0.03;
/// A delay that does not end within the test: 2 h.
const DELAY_LEVEL: &str = "18";
const BORN_TIMESTAMP: i64 = 1_700_000_000_000;
const HALF_MESSAGE: i32 = 4;

/// Makes requests.
pub struct Script {
    rng: StdRng,
    broker: String,
    made: u64,
    /// Half messages that were asked to be committed: Java stores a second copy for a second commit, ours does not.
    committed: HashSet<usize>,
}

type Maker = fn(&mut Script, &Known) -> Option<Request>;

/// How often, and what.
const MAKERS: [(u32, Maker); 33] = [
    (24, Script::send_v2),
    (8, Script::send),
    (6, Script::send_batch),
    (16, Script::pull),
    (6, Script::lite_pull),
    (6, Script::query_offset),
    (10, Script::update_offset),
    (4, Script::search_offset),
    (4, Script::max_offset),
    (4, Script::min_offset),
    (2, Script::earliest_time),
    (8, Script::heart_beat),
    (2, Script::unregister),
    (4, Script::consumer_list),
    (4, Script::send_back),
    (3, Script::lock),
    (2, Script::unlock),
    (4, Script::query_message),
    (4, Script::view_message),
    (4, Script::half_message),
    (5, Script::end_transaction),
    (2, Script::check_client),
    (2, Script::reply),
    (1, Script::reply_v1),
    (3, Script::route),
    (3, Script::recall),
    (4, Script::query_assignment),
    (20, Script::pop_family),
    (30, Script::ordered_family),
    (2, Script::batch_ack),
    (5, Script::notification),
    (1, Script::lite_family),
    (2, Script::lite_subscription),
];

impl Script {
    /// The same requests for the same seed and the same answers.
    pub fn new(seed: u64, broker: &str) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), broker: broker.to_owned(), made: 0, committed: HashSet::new() }
    }

    /// What must be there before: the topics, and the groups that consume in order.
    pub fn preparations() -> Vec<Request> {
        let topics = TOPICS.iter().map(|topic| {
            let (queues, attributes) = if *topic == FIFO_TOPIC { (1, "+message.type=FIFO") } else { (QUEUES, "") };
            Request::new(
                17,
                "UPDATE_AND_CREATE_TOPIC",
                &[
                    ("topic", topic),
                    ("defaultTopic", &"TBW102"),
                    ("readQueueNums", &queues),
                    ("writeQueueNums", &queues),
                    ("perm", &6),
                    ("topicFilterType", &"SINGLE_TAG"),
                    ("topicSysFlag", &0),
                    ("order", &false),
                    ("attributes", &attributes),
                ],
            )
        });
        let groups = ORDERED_GROUPS.iter().map(|group| {
            let body = json!({ "groupName": group, "consumeMessageOrderly": true });
            Request::new(200, "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP", &[]).json(&body)
        });
        topics.chain(groups).collect()
    }

    /// Questions whose answers are the state that is left: offsets of queues and groups, and all messages.
    pub fn conclusions() -> Vec<Request> {
        let mut all = Vec::new();
        for topic in TOPICS {
            for queue in 0..QUEUES {
                let of_queue: [(&str, &dyn ToString); 2] = [("topic", &topic), ("queueId", &queue)];
                all.push(Request::new(30, "GET_MAX_OFFSET", &of_queue).reads());
                all.push(Request::new(31, "GET_MIN_OFFSET", &of_queue).reads());
                for group in GROUPS.iter().chain(&ORDERED_GROUPS) {
                    let fields: [(&str, &dyn ToString); 3] =
                        [("consumerGroup", group), ("topic", &topic), ("queueId", &queue)];
                    all.push(Request::new(14, "QUERY_CONSUMER_OFFSET", &fields).reads());
                }
                for offset in (0..320).step_by(32) {
                    all.push(pull_request(11, "PULL_MESSAGE", GROUPS[0], topic, queue, offset, 32, 4, Some("*")));
                }
            }
        }
        for group in GROUPS {
            for kind in ["%RETRY%", "%DLQ%"] {
                let topic = format!("{kind}{group}");
                all.push(Request::new(30, "GET_MAX_OFFSET", &[("topic", &topic), ("queueId", &0)]).reads());
                all.push(pull_request(11, "PULL_MESSAGE", group, &topic, 0, 0, 32, 4, Some("*")));
            }
        }
        all
    }

    /// The next request.
    pub fn next(&mut self, known: &Known) -> Request {
        let total: u32 = MAKERS.iter().map(|(weight, _)| weight).sum();
        loop {
            let mut at = self.rng.random_range(0..total);
            let maker = MAKERS.iter().find(|(weight, _)| {
                let here = at < *weight;
                at = at.saturating_sub(*weight);
                here
            });
            let Some((_, maker)) = maker else { continue };
            let Some(mut request) = maker(self, known) else { continue };
            self.made += 1;
            if request.client == 0 {
                request.client = self.rng.random_range(0..CLIENTS);
            }
            self.spoil(&mut request);
            return request;
        }
    }

    /// Only questions, and not those that commit an offset: Java takes most ill-formed fields for none, so that what it
    /// does and what is refused here would leave different states.
    fn spoil(&mut self, request: &mut Request) {
        let commits =
            request.fields.get("sysFlag").and_then(|flag| flag.parse::<i32>().ok()).is_some_and(|f| f & 1 != 0);
        if !request.reads || commits {
            return;
        }
        let names: Vec<String> = request.fields.keys().cloned().collect();
        let Some(name) = names.choose(&mut self.rng) else { return };
        if self.rng.random_bool(SPOILED) {
            request.fields.remove(name);
        } else if self.rng.random_bool(SPOILED) {
            request.fields.insert(name.clone(), "word".to_owned());
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.random_range(0..all.len())]
    }

    /// Mostly one that is there.
    fn topic(&mut self) -> String {
        match self.rng.random_range(0..40) {
            0 => "DiffNoSuchTopic".to_owned(),
            1 => "bad/topic".to_owned(),
            2 => String::new(),
            3 => "T".repeat(128),
            4 => "SCHEDULE_TOPIC_XXXX".to_owned(),
            5 => format!("%RETRY%{}", self.one_of(&GROUPS)),
            _ => self.one_of(&TOPICS).to_owned(),
        }
    }

    fn group(&mut self) -> String {
        match self.rng.random_range(0..30) {
            0 => "DiffNoSuchGroup".to_owned(),
            1 => "bad/group".to_owned(),
            2 => String::new(),
            _ => self.one_of(&GROUPS).to_owned(),
        }
    }

    fn queue(&mut self) -> i32 {
        match self.rng.random_range(0..30) {
            0 => QUEUES,
            1 => 1000,
            _ => self.rng.random_range(0..QUEUES),
        }
    }

    /// Mostly one of this topic.
    fn queue_of(&mut self, topic: &str) -> i32 {
        let queue = self.queue();
        if topic == FIFO_TOPIC && queue < QUEUES { 0 } else { queue }
    }

    fn offset(&mut self) -> i64 {
        match self.rng.random_range(0..20) {
            0 => -1,
            1 => i64::MAX,
            _ => self.rng.random_range(0..60),
        }
    }

    fn message_body(&mut self) -> Vec<u8> {
        let length = match self.rng.random_range(0..20) {
            0 => 5000,
            _ => self.rng.random_range(1..200),
        };
        let letter = self.rng.random_range(b'a'..=b'z');
        vec![letter; length]
    }

    fn unique_key(&mut self) -> String {
        format!("0A0000010FA018B4AAC2{:012X}", self.made)
    }

    fn properties(&mut self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, value: &str| {
            let _ = write!(text, "{name}\u{1}{value}\u{2}");
        };
        add("UNIQ_KEY", &self.unique_key());
        if self.rng.random_bool(0.7) {
            add("TAGS", self.one_of(&TAGS));
        }
        if self.rng.random_bool(0.5) {
            add("KEYS", &format!("k{} k{}", self.rng.random_range(0..20), self.rng.random_range(0..20)));
        }
        match self.rng.random_range(0..30) {
            0 => add("DELAY", DELAY_LEVEL),
            1 => add("TIMER_DELAY_SEC", "3600"),
            2 => add("TIMER_DELIVER_MS", "99999999999999"),
            3 => add("TIMER_DELAY_SEC", "word"),
            4 => add("DELAY", "-3"),
            5 => add("WAIT", "false"),
            6 => add("POP_CK", "0 1 2"),
            7 => add("long", &"x".repeat(33_000)),
            8 => add("_SYS_MSG_PRIORITY_", "1"),
            _ => {}
        }
        text
    }

    fn send_fields(&mut self, letters: bool, batch: bool) -> BTreeMap<String, String> {
        let topic = self.topic();
        let queue = if self.rng.random_bool(0.02) { 99 } else { self.queue_of(&topic) };
        let properties = if batch { String::new() } else { self.properties() };
        let values: [(&str, &str, String); 13] = [
            ("a", "producerGroup", PRODUCERS.to_owned()),
            ("b", "topic", topic),
            ("c", "defaultTopic", "TBW102".to_owned()),
            ("d", "defaultTopicQueueNums", QUEUES.to_string()),
            ("e", "queueId", queue.to_string()),
            ("f", "sysFlag", self.one_of(&[0, 0, 0, 0, 0, 1]).to_string()),
            ("g", "bornTimestamp", BORN_TIMESTAMP.to_string()),
            ("h", "flag", self.one_of(&[0, 7]).to_string()),
            ("i", "properties", properties),
            ("j", "reconsumeTimes", self.one_of(&[0, 0, 0, 20]).to_string()),
            ("k", "unitMode", self.one_of(&["false", "false", "false", "true"]).to_owned()),
            ("l", "maxReconsumeTimes", "16".to_owned()),
            ("m", "batch", batch.to_string()),
        ];
        values.into_iter().map(|(l, name, value)| ((if letters { l } else { name }).to_owned(), value)).collect()
    }

    fn send_v2(&mut self, _: &Known) -> Option<Request> {
        let fields = self.send_fields(true, false);
        Some(Request { fields, ..Request::new(310, "SEND_MESSAGE_V2", &[]) }.body(self.message_body()))
    }

    fn send(&mut self, _: &Known) -> Option<Request> {
        let fields = self.send_fields(false, false);
        Some(Request { fields, ..Request::new(10, "SEND_MESSAGE", &[]) }.body(self.message_body()))
    }

    fn send_batch(&mut self, _: &Known) -> Option<Request> {
        let mut body = Vec::new();
        for _ in 0..self.rng.random_range(1..6) {
            let child = self.message_body();
            let properties = self.properties();
            if properties.len() > 30_000 || properties.contains("TIMER") || properties.contains("DELAY") {
                continue;
            }
            let size = 4 + 4 + 4 + 4 + 4 + child.len() + 2 + properties.len();
            body.extend(u32::try_from(size).ok()?.to_be_bytes());
            body.extend([0; 12]);
            body.extend(u32::try_from(child.len()).ok()?.to_be_bytes());
            body.extend(&child);
            body.extend(u16::try_from(properties.len()).ok()?.to_be_bytes());
            body.extend(properties.as_bytes());
        }
        if body.is_empty() {
            return None;
        }
        if self.rng.random_bool(SPOILED) {
            body.pop();
        }
        let fields = self.send_fields(true, true);
        Some(Request { fields, ..Request::new(320, "SEND_BATCH_MESSAGE", &[]) }.body(body))
    }

    fn half_message(&mut self, _: &Known) -> Option<Request> {
        let mut fields = self.send_fields(true, false);
        fields.insert("b".to_owned(), self.one_of(&TOPICS).to_owned());
        fields.insert("f".to_owned(), HALF_MESSAGE.to_string());
        let key = self.unique_key();
        let properties =
            format!("UNIQ_KEY\u{1}{key}\u{2}TRAN_MSG\u{1}true\u{2}PGROUP\u{1}{PRODUCERS}\u{2}TAGS\u{1}A\u{2}");
        fields.insert("i".to_owned(), properties);
        Some(Request { fields, ..Request::new(310, "SEND_MESSAGE_V2", &[]) }.body(self.message_body()))
    }

    fn end_transaction(&mut self, known: &Known) -> Option<Request> {
        let n = self.rng.random_range(0..known.sent.len().max(1));
        let halves: Vec<usize> = (0..known.sent.len()).filter(|n| known.sent[*n].half).collect();
        let n = if self.rng.random_bool(0.9) { *halves.choose(&mut self.rng)? } else { n };
        let sent = known.sent.get(n)?;
        if !self.committed.insert(n) {
            return None;
        }
        let group = if self.rng.random_bool(0.05) { "DiffOthers" } else { PRODUCERS };
        Some(Request::new(
            37,
            "END_TRANSACTION",
            &[
                ("topic", &sent.topic),
                ("producerGroup", &group),
                ("tranStateTableOffset", &format!("{{queueoffset.{n}}}")),
                ("commitLogOffset", &format!("{{physical.{n}}}")),
                // Java answers nothing to 0, "not decided".
                ("commitOrRollback", &self.one_of(&[8, 8, 8, 12, 12])),
                ("fromTransactionCheck", &self.one_of(&["false", "true"])),
                ("msgId", &"0A0000010FA018B4AAC2000000000000"),
                ("transactionId", &""),
            ],
        ))
    }

    fn pull(&mut self, _: &Known) -> Option<Request> {
        Some(self.any_pull(11, "PULL_MESSAGE"))
    }

    fn lite_pull(&mut self, _: &Known) -> Option<Request> {
        Some(self.any_pull(361, "LITE_PULL_MESSAGE"))
    }

    fn any_pull(&mut self, code: i32, name: &'static str) -> Request {
        // 1: commits the offset; 4: brings its subscription; not 2: nothing is held.
        let sys_flag = self.one_of(&[4, 4, 4, 5, 0, 1]);
        let subscription = self.one_of(&["*", "*", "A", "A || B", "nothing", ""]);
        let (group, topic) = (self.group(), self.topic());
        let max = self.one_of(&[1, 3, 32, 100]);
        let mut request =
            pull_request(code, name, &group, &topic, self.queue(), self.offset(), max, sys_flag, Some(subscription));
        request.fields.insert("commitOffset".to_owned(), self.rng.random_range(0..20).to_string());
        request.fields.insert("subVersion".to_owned(), self.one_of(&["0", "1"]).to_owned());
        // What it commits is the same when it is asked again.
        request
    }

    fn query_offset(&mut self, _: &Known) -> Option<Request> {
        let (group, topic, queue) = (self.group(), self.topic(), self.queue());
        let mut request = Request::new(
            14,
            "QUERY_CONSUMER_OFFSET",
            &[("consumerGroup", &group), ("topic", &topic), ("queueId", &queue)],
        );
        if self.rng.random_bool(0.3) {
            request.fields.insert("setZeroIfNotFound".to_owned(), "false".to_owned());
        }
        Some(request.reads())
    }

    fn update_offset(&mut self, _: &Known) -> Option<Request> {
        let (mut group, topic, queue, offset) = (self.group(), self.topic(), self.queue(), self.offset());
        match self.rng.random_range(0..10) {
            0..3 => group = self.one_of(&POPPING_GROUPS).to_owned(),
            3 => group = self.one_of(&ORDERED_GROUPS).to_owned(),
            _ => {}
        }
        let fields: [(&str, &dyn ToString); 4] =
            [("consumerGroup", &group), ("topic", &topic), ("queueId", &queue), ("commitOffset", &offset)];
        Some(Request::new(15, "UPDATE_CONSUMER_OFFSET", &fields))
    }

    fn search_offset(&mut self, _: &Known) -> Option<Request> {
        let (topic, queue) = (self.topic(), self.queue());
        let time = self.one_of(&[0, 1, BORN_TIMESTAMP, 4_000_000_000_000]);
        let mut request = Request::new(
            29,
            "SEARCH_OFFSET_BY_TIMESTAMP",
            &[("topic", &topic), ("queueId", &queue), ("timestamp", &time)],
        );
        if self.rng.random_bool(0.5) {
            request.fields.insert("boundaryType".to_owned(), self.one_of(&["lower", "upper"]).to_owned());
        }
        Some(request.reads())
    }

    fn of_queue(&mut self, code: i32, name: &'static str) -> Request {
        let (topic, queue) = (self.topic(), self.queue());
        Request::new(code, name, &[("topic", &topic), ("queueId", &queue)]).reads()
    }

    fn max_offset(&mut self, _: &Known) -> Option<Request> {
        Some(self.of_queue(30, "GET_MAX_OFFSET"))
    }

    fn min_offset(&mut self, _: &Known) -> Option<Request> {
        Some(self.of_queue(31, "GET_MIN_OFFSET"))
    }

    fn earliest_time(&mut self, _: &Known) -> Option<Request> {
        Some(self.of_queue(32, "GET_EARLIEST_MSG_STORETIME"))
    }

    fn heart_beat(&mut self, _: &Known) -> Option<Request> {
        let client = self.rng.random_range(1..CLIENTS);
        let (expression, tags, codes) = self.one_of(&[
            ("*", &[] as &[&str], &[] as &[i32]),
            ("A || B", &["A", "B"] as &[&str], &[65, 66] as &[i32]),
            ("A", &["A"] as &[&str], &[65] as &[i32]),
        ]);
        let body = json!({
            "clientID": format!("diff@{client}"),
            "producerDataSet": [{ "groupName": PRODUCERS }],
            "consumerDataSet": [{
                "groupName": self.one_of(&GROUPS),
                "consumeType": self.one_of(&["CONSUME_PASSIVELY", "CONSUME_ACTIVELY"]),
                "messageModel": self.one_of(&["CLUSTERING", "CLUSTERING", "CLUSTERING", "BROADCASTING"]),
                "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET",
                "unitMode": false,
                "subscriptionDataSet": [{
                    "classFilterMode": false, "topic": self.one_of(&TOPICS), "subString": expression, "tagsSet": tags,
                    "codeSet": codes, "subVersion": self.rng.random_range(0..5), "expressionType": "TAG",
                }],
            }],
            "heartbeatFingerprint": 0, "withoutSub": false,
        });
        let mut request = Request::new(34, "HEART_BEAT", &[]).json(&body);
        request.client = client;
        if self.rng.random_bool(SPOILED) {
            request.body.truncate(20);
        }
        Some(request)
    }

    fn unregister(&mut self, _: &Known) -> Option<Request> {
        let client = self.rng.random_range(1..CLIENTS);
        let mut request = Request::new(
            35,
            "UNREGISTER_CLIENT",
            &[
                ("clientID", &format!("diff@{client}")),
                ("producerGroup", &PRODUCERS),
                ("consumerGroup", &self.one_of(&GROUPS)),
            ],
        );
        request.client = client;
        Some(request)
    }

    fn consumer_list(&mut self, _: &Known) -> Option<Request> {
        let group = self.group();
        Some(Request::new(38, "GET_CONSUMER_LIST_BY_GROUP", &[("consumerGroup", &group)]).reads())
    }

    fn send_back(&mut self, known: &Known) -> Option<Request> {
        let plain: Vec<usize> = (0..known.sent.len()).filter(|n| !known.sent[*n].half).collect();
        let n = *plain.choose(&mut self.rng)?;
        let offset = if self.rng.random_bool(0.05) { "999999999".to_owned() } else { format!("{{physical.{n}}}") };
        let group = self.group();
        Some(Request::new(
            36,
            "CONSUMER_SEND_MSG_BACK",
            &[
                ("offset", &offset),
                ("group", &group),
                // To the dead letters, or delayed beyond the test.
                ("delayLevel", &self.one_of(&[-1, 18])),
                ("originMsgId", &format!("{{msgid.{n}}}")),
                ("originTopic", &known.sent[n].topic),
                ("unitMode", &false),
                ("maxReconsumeTimes", &16),
            ],
        ))
    }

    fn queues_json(&mut self) -> Value {
        let topic = self.one_of(&TOPICS);
        let from = self.rng.random_range(0..QUEUES);
        let queues = (from..QUEUES).map(|queue| json!({ "brokerName": self.broker, "queueId": queue, "topic": topic }));
        Value::Array(queues.collect())
    }

    fn lock_body(&mut self) -> (usize, Value) {
        let client = self.rng.random_range(1..CLIENTS);
        let body = json!({
            "clientId": format!("diff@{client}"), "consumerGroup": self.one_of(&GROUPS), "onlyThisBroker": false,
            "mqSet": self.queues_json(),
        });
        (client, body)
    }

    fn lock(&mut self, _: &Known) -> Option<Request> {
        let (client, body) = self.lock_body();
        Some(Request { client, ..Request::new(41, "LOCK_BATCH_MQ", &[]).json(&body) })
    }

    fn unlock(&mut self, _: &Known) -> Option<Request> {
        let (client, body) = self.lock_body();
        Some(Request { client, ..Request::new(42, "UNLOCK_BATCH_MQ", &[]).json(&body) })
    }

    fn query_message(&mut self, _: &Known) -> Option<Request> {
        let topic = self.topic();
        let fields: [(&str, &dyn ToString); 5] = [
            ("topic", &topic),
            ("key", &format!("k{}", self.rng.random_range(0..25))),
            ("maxNum", &self.one_of(&[1, 32])),
            ("beginTimestamp", &0),
            ("endTimestamp", &self.one_of(&[1, 4_000_000_000_000_i64])),
        ];
        let mut request = Request::new(12, "QUERY_MESSAGE", &fields);
        if self.rng.random_bool(0.3) && self.made > 0 {
            let made = self.rng.random_range(0..self.made);
            request.fields.insert("key".to_owned(), format!("0A0000010FA018B4AAC2{made:012X}"));
            request.fields.insert("_UNIQUE_KEY_QUERY".to_owned(), "true".to_owned());
        }
        Some(request.reads())
    }

    fn view_message(&mut self, known: &Known) -> Option<Request> {
        let n = self.rng.random_range(0..known.sent.len().max(1));
        known.sent.get(n)?;
        let offset = match self.rng.random_range(0..20) {
            0 => "999999999".to_owned(),
            1 => "-1".to_owned(),
            _ => format!("{{physical.{n}}}"),
        };
        Some(Request::new(33, "VIEW_MESSAGE_BY_ID", &[("offset", &offset)]).reads())
    }

    fn check_client(&mut self, _: &Known) -> Option<Request> {
        let (kind, expression) = self.one_of(&[
            ("TAG", "A || B"),
            ("SQL92", "a > 1"),
            ("SQL92", "a > "),
            ("SQL92", "a between 1 and 5 or b is not null"),
            ("WRONG", "A"),
        ]);
        let body = json!({
            "clientId": "diff@1", "group": self.one_of(&GROUPS),
            "subscriptionData": {
                "classFilterMode": false, "topic": TOPICS[0], "subString": expression, "tagsSet": [], "codeSet": [],
                "subVersion": 1, "expressionType": kind,
            },
        });
        Some(Request::new(46, "CHECK_CLIENT_CONFIG", &[]).json(&body))
    }

    fn reply(&mut self, _: &Known) -> Option<Request> {
        let fields = self.reply_fields(true);
        Some(Request { fields, ..Request::new(325, "SEND_REPLY_MESSAGE_V2", &[]) }.body(self.message_body()))
    }

    fn reply_v1(&mut self, _: &Known) -> Option<Request> {
        let fields = self.reply_fields(false);
        Some(Request { fields, ..Request::new(324, "SEND_REPLY_MESSAGE", &[]) }.body(self.message_body()))
    }

    fn reply_fields(&mut self, letters: bool) -> BTreeMap<String, String> {
        let mut fields = self.send_fields(letters, false);
        let (sys_flag, properties) = if letters { ("f", "i") } else { ("sysFlag", "properties") };
        // Java drops the flag of a compressed body when it stores a reply; here it stays.
        fields.insert(sys_flag.to_owned(), "0".to_owned());
        let key = self.unique_key();
        let text = format!(
            "UNIQ_KEY\u{1}{key}\u{2}MSG_TYPE\u{1}reply\u{2}CORRELATION_ID\u{1}c{}\u{2}REPLY_TO_CLIENT\u{1}nobody@1\u{2}",
            self.made
        );
        fields.insert(properties.to_owned(), text);
        fields
    }

    fn route(&mut self, _: &Known) -> Option<Request> {
        let topic = match self.rng.random_range(0..10) {
            0 => "TBW102".to_owned(),
            1 => "DefaultCluster".to_owned(),
            _ => self.topic(),
        };
        let mut request = Request::new(105, "GET_ROUTEINFO_BY_TOPIC", &[("topic", &topic)]).reads();
        if self.rng.random_bool(0.5) {
            request.fields.insert("acceptStandardJsonOnly".to_owned(), self.rng.random_bool(0.5).to_string());
        }
        Some(Request { client: TO_NAME_SERVER, ..request })
    }

    fn recall(&mut self, known: &Known) -> Option<Request> {
        let n = self.rng.random_range(0..known.recalls.len().max(1));
        let (topic, handle) = match known.recalls.get(n) {
            Some(topic) if self.rng.random_bool(0.7) => (topic.clone(), format!("{{recall.{n}}}")),
            _ => (TOPICS[0].to_owned(), self.one_of(&["", "word", "djEgYSBiIDEgYw==", "djI="]).to_owned()),
        };
        let fields: [(&str, &dyn ToString); 3] =
            [("producerGroup", &PRODUCERS), ("topic", &topic), ("recallHandle", &handle)];
        Some(Request::new(370, "RECALL_MESSAGE", &fields))
    }

    fn query_assignment(&mut self, _: &Known) -> Option<Request> {
        let client = self.rng.random_range(1..CLIENTS);
        let body = json!({
            "topic": self.one_of(&TOPICS), "consumerGroup": self.one_of(&GROUPS), "clientId": format!("diff@{client}"),
            "strategyName": self.one_of(&["AVG", "AVG_BY_CIRCLE", "AVG", "WRONG"]), "messageModel": "CLUSTERING",
        });
        Some(Request::new(400, "QUERY_ASSIGNMENT", &[]).json(&body).reads())
    }

    fn lite_family(&mut self, _: &Known) -> Option<Request> {
        let fields: [(&str, &dyn ToString); 7] = [
            ("clientId", &"diff@1"),
            ("consumerGroup", &self.one_of(&GROUPS)),
            ("topic", &self.one_of(&TOPICS)),
            ("maxMsgNum", &8),
            ("invisibleTime", &60_000),
            ("pollTime", &0),
            ("bornTime", &0),
        ];
        Some(Request::new(200_070, "POP_LITE_MESSAGE", &fields))
    }

    /// For topics and groups that are not lite.
    fn lite_subscription(&mut self, _: &Known) -> Option<Request> {
        let change = json!({
            "action": self.one_of(&["PARTIAL_ADD", "PARTIAL_REMOVE", "COMPLETE_ADD", "COMPLETE_REMOVE"]),
            "clientId": "diff@1", "group": self.group(), "topic": self.topic(), "liteTopicSet": ["a", "b"],
            "version": self.made,
        });
        let body = match self.rng.random_range(0..4) {
            0 => json!({ "subscriptionSet": [] }),
            _ => json!({ "subscriptionSet": [change] }),
        };
        let request = Request::new(200_071, "LITE_SUBSCRIPTION_CTL", &[]);
        Some(if self.rng.random_bool(0.2) { request } else { request.json(&body) })
    }
}

#[allow(clippy::too_many_arguments, reason = "the fields of the request")]
fn pull_request(
    code: i32,
    name: &'static str,
    group: &str,
    topic: &str,
    queue_id: i32,
    offset: i64,
    max: i32,
    sys_flag: i32,
    subscription: Option<&str>,
) -> Request {
    let mut request = Request::new(
        code,
        name,
        &[
            ("consumerGroup", &group),
            ("topic", &topic),
            ("queueId", &queue_id),
            ("queueOffset", &offset),
            ("maxMsgNums", &max),
            ("sysFlag", &sys_flag),
            ("commitOffset", &0),
            ("suspendTimeoutMillis", &0),
            ("subVersion", &0),
            ("expressionType", &"TAG"),
        ],
    );
    if let Some(subscription) = subscription {
        request.fields.insert("subscription".to_owned(), subscription.to_owned());
    }
    request.reads()
}
