//! What happens to one store folder at its stations, and what must have come of it at the end.
//!
//! | | first station | second | last |
//! |---|---|---|---|
//! | half messages | h0 … h3 are sent | h0 is committed, h1 rolled back, h4 and h5 are sent | questions: h2, h4 are committed, h3, h5 rolled back |
//! | pops, by two groups | w0 … w5 are popped, w0 and w1 acknowledged | w2 is acknowledged by its old handle, w3 when it comes again; w6, w7 are popped | all else comes and is acknowledged |
//! | timers, delays | t0 (due while the folder passes on), t1 (due at the end), d0, d1 alike | t2 is sent | all have come once |
//! | retry of a push consumer | w0 is sent back with a delay | | it has come once |
//!
//! Where brokers are killed, these may come more than once; and requests of every kind are under way then, see `rush.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::client::{Client, Handle, Stored, now_ms};
use super::rush::Rush;

/// Stations of a folder.
pub const STATIONS: usize = 3;
/// Topic of half messages, timers and delays.
const MAIL: &str = "ExchangeMail";
/// Topic that is popped.
const WORK: &str = "ExchangeWork";
/// Groups that pop, and whether their checkpoints stay in memory for a while (`enablePopBufferMerge`).
const POPPERS: [(&str, bool); 2] = [("ExchangePoppers", false), ("ExchangeMergers", true)];
/// Group of a push consumer.
const PUSHERS: &str = "ExchangePushers";
/// How long a popped message is hidden that another broker is to hear of: two brokers start meanwhile.
const LONG_MS: i64 = 40_000;
/// How long others are.
const INVISIBLE_MS: i64 = 15_000;
/// An acknowledgement so close to the end of that time may come too late.
const IN_TIME_MS: i64 = 3000;
/// So long after that time a message has come again at the latest. Java looks every second, and waits 3 s more.
const REVIVED_MS: i64 = 8000;
/// How long something may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

const HALF_MESSAGES: &str = "half messages";
const POPS: &str = "pops";
const TIMERS: &str = "timers and delays";
const RETRIES: &str = "retries";
const PLAIN: &str = "plain messages";

/// How a broker leaves a folder for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM, when nobody asks anything of it. Nothing may come twice but what was not acknowledged.
    Stop,
    /// SIGKILL, in the middle of requests. Everything must come, be it twice.
    Kill,
}

/// One folder under way.
pub struct Journey {
    /// Name of the brokers that have the folder.
    pub broker: &'static str,
    ending: Ending,
    address: Option<SocketAddr>,
    rush: Rush,
    halves: BTreeMap<&'static str, Stored>,
    decided: BTreeSet<String>,
    groups: [Group; 2],
    /// When what was acknowledged at an earlier station would have come again at the latest; ms since 1970.
    quiet_at: i64,
    wrong: BTreeMap<&'static str, Vec<String>>,
}

/// What a group has popped.
#[derive(Default)]
struct Group {
    deliveries: BTreeMap<String, i32>,
    acknowledged: BTreeSet<String>,
    handles: BTreeMap<String, Handle>,
}

impl Journey {
    /// A folder that is not there yet.
    pub fn new(broker: &'static str, ending: Ending) -> Self {
        Self {
            broker,
            ending,
            address: None,
            rush: Rush::default(),
            halves: BTreeMap::new(),
            decided: BTreeSet::new(),
            groups: Default::default(),
            quiet_at: 0,
            wrong: [HALF_MESSAGES, POPS, TIMERS, RETRIES].map(|name| (name, Vec::new())).into(),
        }
    }

    /// Settings of the broker at a station: half messages are only asked for at the last.
    pub fn settings(station: usize) -> &'static [(&'static str, &'static str)] {
        match station {
            2 => {
                &[("transactionTimeOut", "1000"), ("transactionCheckInterval", "1000"), ("transactionCheckMax", "1000")]
            }
            _ => &[("transactionTimeOut", "3600000"), ("transactionCheckInterval", "3600000")],
        }
    }

    /// A broker has started on the folder.
    pub fn arrive(&mut self, broker: SocketAddr) {
        self.address = Some(broker);
    }

    fn client(&self) -> Result<Client> {
        Client::open(self.address.context("the journey has not arrived")?, self.broker)
    }

    /// Everything that is done at a station.
    pub fn stay(&mut self, station: usize) -> Result<()> {
        let mut client = self.client()?;
        match station {
            0 => self.begin(&mut client),
            1 => self.pass_through(&mut client),
            _ => self.end(&mut client),
        }
    }

    /// Asks the broker until it is killed; the error is that of the request that failed.
    pub fn rush(&mut self, station: usize) -> anyhow::Error {
        match self.client() {
            Ok(mut client) => self.rush.go(&mut client, station),
            Err(error) => error,
        }
    }

    /// What went wrong, by what was done.
    pub fn results(self) -> BTreeMap<&'static str, Vec<String>> {
        self.wrong
    }

    fn complain(&mut self, of: &'static str, what: String) {
        self.wrong.entry(of).or_default().push(what);
    }

    fn begin(&mut self, client: &mut Client) -> Result<()> {
        client.create_topic(MAIL)?;
        client.create_topic(WORK)?;
        Rush::prepare(client)?;
        let sent = [client.send(WORK, "w0", &[])?, client.send(WORK, "w1", &[])?, client.send(WORK, "w2", &[])?];
        client.send_back(PUSHERS, WORK, &sent[0], "3")?;
        self.send_halves(client, &["h0", "h1", "h2", "h3"])?;
        for (body, property) in [
            ("t0", ("TIMER_DELAY_SEC", "6")),
            ("t1", ("TIMER_DELAY_SEC", "30")),
            ("d0", ("DELAY", "2")),
            ("d1", ("DELAY", "4")),
        ] {
            client.send(MAIL, body, &[property])?;
        }
        self.pop_until(client, LONG_MS, &["w0", "w1"], |group| group.deliveries.len() == 3)?;
        for body in ["w3", "w4", "w5"] {
            client.send(WORK, body, &[])?;
        }
        self.pop_until(client, INVISIBLE_MS, &[], |group| group.deliveries.len() == 6)
    }

    fn pass_through(&mut self, client: &mut Client) -> Result<()> {
        for (group, (name, _)) in self.groups.iter_mut().zip(POPPERS) {
            // With the handle that the other broker gave.
            let handle = group.handles.get("w2").context("w2 was not popped")?;
            if now_ms() + IN_TIME_MS < handle.visible_at {
                client.acknowledge(name, handle)?;
                group.acknowledged.insert("w2".to_owned());
            }
        }
        for (body, commit) in [("h0", true), ("h1", false)] {
            let half = self.halves.get(body).context("it was sent")?;
            client.end_transaction(half, commit, false)?;
            self.decided.insert(body.to_owned());
        }
        self.send_halves(client, &["h4", "h5"])?;
        client.send(MAIL, "t2", &[("TIMER_DELAY_SEC", "5")])?;
        client.send(WORK, "w6", &[])?;
        client.send(WORK, "w7", &[])?;
        let come = [("w3", 2), ("w4", 2), ("w5", 2), ("w6", 1), ("w7", 1)];
        self.pop_until(client, INVISIBLE_MS, &["w3", "w6"], |group| {
            come.iter().all(|(body, times)| group.deliveries.get(*body).is_some_and(|known| known >= times))
        })
    }

    fn end(&mut self, client: &mut Client) -> Result<()> {
        let quiet_at = self.quiet_at;
        let all: [&str; 8] = ["w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7"];
        self.pop_until(client, INVISIBLE_MS, &all, |group| {
            group.acknowledged.len() == all.len() && now_ms() > quiet_at
        })?;
        self.answer_questions(client)?;
        self.check_mail(client)?;
        let back = came(client, &format!("%RETRY%{PUSHERS}"), &["w0"])?;
        if back.len() != 1 || !back.get("w0").is_some_and(|times| self.may_come(*times)) {
            self.complain(RETRIES, format!("what was sent back, and how often it came: {back:?}"));
        }
        if self.ending == Ending::Kill {
            let wrong = self.rush.lost(client)?;
            self.wrong.insert(PLAIN, wrong);
            let wrong = self.rush.timers_astray(client)?;
            wrong.into_iter().for_each(|wrong| self.complain(TIMERS, wrong));
            let wrong = self.rush.halves_astray(client)?;
            wrong.into_iter().for_each(|wrong| self.complain(HALF_MESSAGES, wrong));
        }
        Ok(())
    }

    fn may_come(&self, times: usize) -> bool {
        times == 1 || (times > 1 && self.ending == Ending::Kill)
    }

    fn send_halves(&mut self, client: &mut Client, bodies: &[&'static str]) -> Result<()> {
        for body in bodies {
            self.halves.insert(body, client.send_half(MAIL, body)?);
        }
        Ok(())
    }

    /// Pops by each group, and acknowledges `consumed`, until it is `enough` for both.
    fn pop_until(
        &mut self,
        client: &mut Client,
        invisible_ms: i64,
        consumed: &[&str],
        enough: impl Fn(&Group) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for n in 0..POPPERS.len() {
                self.pop(client, n, invisible_ms, consumed)?;
            }
            if self.groups.iter().all(&enough) {
                return Ok(());
            }
            if Instant::now() > deadline {
                for (group, (name, _)) in self.groups.iter().zip(POPPERS) {
                    let state = format!("{:?}, acknowledged {:?}", group.deliveries, group.acknowledged);
                    self.wrong.entry(POPS).or_default().push(format!("{name}, not enough has come: {state}"));
                }
                return Ok(());
            }
            sleep(PAUSE);
        }
    }

    fn pop(&mut self, client: &mut Client, n: usize, invisible_ms: i64, consumed: &[&str]) -> Result<()> {
        let (name, merges) = POPPERS[n];
        client.configure(&format!("enablePopBufferMerge={merges}"))?;
        for message in client.pop(name, WORK, invisible_ms)? {
            let group = &mut self.groups[n];
            let body = message.body;
            let before = group.deliveries.entry(body.clone()).or_default();
            let mut wrong = Vec::new();
            let strict = self.ending == Ending::Stop;
            if strict && group.acknowledged.contains(&body) {
                wrong.push(format!("{name}: {body} came again, though it was acknowledged"));
            }
            if message.reconsume_times > *before || (strict && message.reconsume_times < *before) {
                wrong.push(format!("{name}: {body} came {before} times, and says {}", message.reconsume_times));
            }
            *before += 1;
            self.quiet_at = self.quiet_at.max(message.handle.visible_at + REVIVED_MS);
            if consumed.contains(&body.as_str()) {
                client.acknowledge(name, &message.handle)?;
                group.acknowledged.insert(body);
            } else {
                group.handles.insert(body, message.handle);
            }
            wrong.into_iter().for_each(|wrong| self.complain(POPS, wrong));
        }
        Ok(())
    }

    fn answer_questions(&mut self, client: &mut Client) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let earlier = self.decided.clone();
        while (self.decided.len() < 6 || !self.rush.forgotten().is_empty()) && Instant::now() < deadline {
            for question in client.questions()? {
                if self.rush.answer(client, &question)? {
                    continue;
                }
                let body = question.body;
                if self.ending == Ending::Stop && earlier.contains(&body) {
                    self.complain(HALF_MESSAGES, format!("{body} was asked for, though it was decided"));
                } else if self.decided.insert(body.clone()) || earlier.contains(&body) {
                    client.end_transaction(&question.stored, matches!(body.as_str(), "h0" | "h2" | "h4"), true)?;
                }
            }
            sleep(PAUSE);
        }
        let forgotten: Vec<String> = self.rush.forgotten().into_iter().cloned().collect();
        for body in forgotten {
            self.complain(HALF_MESSAGES, format!("{body} was neither decided nor asked for"));
        }
        if self.decided.len() < 6 {
            self.complain(HALF_MESSAGES, format!("only these were decided or asked for: {:?}", self.decided));
        }
        Ok(())
    }

    fn check_mail(&mut self, client: &mut Client) -> Result<()> {
        let committed = ["h0", "h2", "h4"];
        let timed = ["t0", "t1", "t2", "d0", "d1"];
        let came = came(client, MAIL, &[&committed[..], &timed].concat())?;
        for (of, wanted) in [(HALF_MESSAGES, &committed[..]), (TIMERS, &timed)] {
            for body in wanted {
                match came.get(*body) {
                    Some(times) if self.may_come(*times) => {}
                    times => self.complain(of, format!("{body} came {} times", times.unwrap_or(&0))),
                }
            }
        }
        for body in ["h1", "h3", "h5"] {
            if came.contains_key(body) {
                self.complain(HALF_MESSAGES, format!("{body} came, though it was rolled back"));
            }
        }
        Ok(())
    }
}

/// How often each message has come into a topic, once all that are `wanted` have.
fn came(client: &mut Client, topic: &str, wanted: &[&str]) -> Result<BTreeMap<String, usize>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut times = BTreeMap::new();
        for message in client.messages(topic)? {
            *times.entry(message.body()).or_default() += 1;
        }
        if wanted.iter().all(|body| times.contains_key(*body)) || Instant::now() > deadline {
            return Ok(times);
        }
        sleep(PAUSE);
    }
}
