//! Requests that are under way when a broker is killed, and what must have come of them.
//!
//! One after another, until the broker is gone: plain messages, timers, half messages that are committed, rolled back or
//! left, pops of which some messages are acknowledged. What the broker has said yes to counts: such a message must
//! come at least once, and be popped until it is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::client::{Client, Question, Stored, now_ms};

/// Topic of plain messages, which are popped.
const PLAIN: &str = "ExchangeRush";
/// Topic of timers.
const TIMED: &str = "ExchangeRushTimed";
/// Topic of half messages.
const DECIDED: &str = "ExchangeRushDecided";
/// Group that pops.
const POPPERS: &str = "ExchangeRushPoppers";
/// How long a popped message is hidden.
const INVISIBLE_MS: i64 = 10_000;
/// Delays go up to this, so that some end while the folder passes on and some at the next station.
const DELAY_MAX_S: i64 = 30;
/// So long all that is still to come may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// Between requests.
const BREATH: Duration = Duration::from_millis(3);

/// What was asked of the brokers of a folder, and what they have acknowledged.
#[derive(Default)]
pub struct Rush {
    sent: BTreeSet<String>,
    /// By the group that pops.
    acknowledged: BTreeSet<String>,
    /// When they are due at the earliest, ms since 1970.
    timers: BTreeMap<String, i64>,
    halves: BTreeSet<String>,
    /// Half messages that are to be committed; whether the broker has said yes.
    committed: BTreeMap<String, bool>,
    rolled_back: BTreeSet<String>,
    asked: BTreeSet<String>,
}

impl Rush {
    /// Makes the topics.
    pub fn prepare(client: &mut Client) -> Result<()> {
        [PLAIN, TIMED, DECIDED].iter().try_for_each(|topic| client.create_topic(topic))
    }

    /// Asks and asks, until a request fails; the error of that.
    pub fn go(&mut self, client: &mut Client, station: usize) -> anyhow::Error {
        let mut n = 0;
        loop {
            if let Err(error) = self.ask(client, station, n) {
                return error;
            }
            n += 1;
            sleep(BREATH);
        }
    }

    fn ask(&mut self, client: &mut Client, station: usize, n: i64) -> Result<()> {
        let body = |kind: &str| format!("{kind}{station}.{n}");
        client.send(PLAIN, &body("plain"), &[])?;
        self.sent.insert(body("plain"));
        match n % 4 {
            0 => {
                let (body, delay) = (body("timer"), n % DELAY_MAX_S + 1);
                let due = now_ms() + delay * 1000;
                client.send(TIMED, &body, &[("TIMER_DELAY_SEC", &delay.to_string())])?;
                self.timers.insert(body, due);
            }
            1 => {
                let body = body("half");
                let half = client.send_half(DECIDED, &body)?;
                self.halves.insert(body.clone());
                self.decide(client, body, &half, n)?;
            }
            // All of a pop are acknowledged, or every second, or none.
            2 => match n / 4 % 3 {
                0 => self.pop(client, |_| true)?,
                1 => self.pop(client, |place| place % 2 == 0)?,
                _ => self.pop(client, |_| false)?,
            },
            _ => {}
        }
        Ok(())
    }

    fn decide(&mut self, client: &mut Client, body: String, half: &Stored, n: i64) -> Result<()> {
        match n / 4 % 3 {
            0 => {
                self.committed.insert(body.clone(), false);
                client.end_transaction(half, true, false)?;
                self.committed.insert(body, true);
            }
            1 => {
                client.end_transaction(half, false, false)?;
                self.rolled_back.insert(body);
            }
            _ => {}
        }
        Ok(())
    }

    fn pop(&mut self, client: &mut Client, acknowledges: impl Fn(usize) -> bool) -> Result<()> {
        for (place, message) in client.pop(POPPERS, PLAIN, INVISIBLE_MS)?.into_iter().enumerate() {
            if acknowledges(place) {
                client.acknowledge(POPPERS, &message.handle)?;
                self.acknowledged.insert(message.body);
            }
        }
        Ok(())
    }

    /// Answers a question about a half message, if it is one of these: with the decision that was made, else with no.
    pub fn answer(&mut self, client: &mut Client, question: &Question) -> Result<bool> {
        let body = &question.body;
        // The broker may have stored it without saying so.
        if !body.starts_with("half") {
            return Ok(false);
        }
        self.asked.insert(body.clone());
        client.end_transaction(&question.stored, self.committed.contains_key(body), true)?;
        if let Some(confirmed) = self.committed.get_mut(body) {
            *confirmed = true;
        }
        Ok(true)
    }

    /// Half messages that were not decided, and not asked for.
    pub fn forgotten(&self) -> Vec<&String> {
        let decided = |body: &String| {
            self.committed.get(body) == Some(&true) || self.rolled_back.contains(body) || self.asked.contains(body)
        };
        self.halves.iter().filter(|body| !decided(body)).collect()
    }

    /// Pops what is not acknowledged yet; what did not come of the plain messages.
    pub fn lost(&mut self, client: &mut Client) -> Result<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        while !self.sent.is_subset(&self.acknowledged) && Instant::now() < deadline {
            self.pop(client, |_| true)?;
            sleep(PAUSE);
        }
        let open = self.sent.difference(&self.acknowledged);
        let mut wrong: Vec<String> = open.map(|body| format!("{body} did not come to be acknowledged")).collect();
        if self.timers.is_empty() || self.halves.is_empty() || self.acknowledged.is_empty() {
            wrong.push("no requests were under way".to_owned());
        }
        let there = bodies(client, PLAIN)?;
        wrong.extend(self.sent.difference(&there).map(|body| format!("{body} is not in its queue")));
        Ok(wrong)
    }

    /// What is wrong with the timers: those that did not come, and those that came early.
    pub fn timers_astray(&self, client: &mut Client) -> Result<Vec<String>> {
        let wanted: BTreeSet<String> = self.timers.keys().cloned().collect();
        let missing = missing(client, TIMED, &wanted)?;
        let mut wrong: Vec<String> = missing.iter().map(|body| format!("{body} did not come")).collect();
        for record in client.messages(TIMED)? {
            let due = self.timers.get(&record.body());
            if let Some(due) = due.filter(|due| record.store_timestamp < **due) {
                wrong.push(format!("{} came {} ms early", record.body(), due - record.store_timestamp));
            }
        }
        Ok(wrong)
    }

    /// What is wrong with the half messages: committed ones that did not come, and others that did.
    pub fn halves_astray(&self, client: &mut Client) -> Result<Vec<String>> {
        let confirmed = self.committed.iter().filter(|(_, confirmed)| **confirmed);
        let wanted = confirmed.map(|(body, _)| body.clone()).collect();
        let missing = missing(client, DECIDED, &wanted)?;
        let mut wrong: Vec<String> =
            missing.iter().map(|body| format!("{body} was committed, and did not come")).collect();
        let there = bodies(client, DECIDED)?;
        let visible = there.iter().filter(|body| !self.committed.contains_key(*body));
        wrong.extend(visible.map(|body| format!("{body} came, though it was not committed")));
        Ok(wrong)
    }
}

fn bodies(client: &mut Client, topic: &str) -> Result<BTreeSet<String>> {
    Ok(client.messages(topic)?.iter().map(|record| record.body()).collect())
}

/// Those that do not come into a topic.
fn missing(client: &mut Client, topic: &str, wanted: &BTreeSet<String>) -> Result<Vec<String>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let there = bodies(client, topic)?;
        let missing: Vec<String> = wanted.difference(&there).cloned().collect();
        if missing.is_empty() || Instant::now() > deadline {
            return Ok(missing);
        }
        sleep(PAUSE);
    }
}
