//! Does what a case says, against one deployment.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::flags::{self, Aim};
use super::generator::{Generator, Outcome};
use super::machine;
use super::official;
use super::remoting::Client;
use super::result::{Sample, Side};
use super::sample;
use super::server::{Deployment, End};
use crate::cases::{Case, Durability, QUEUES, Rate, Send, Work};

/// Beyond warm-up and window: connecting, creating a topic of many queues, checking what arrived.
const GENERATOR_GRACE: Duration = Duration::from_secs(120);
/// Reading a backlog takes as long as it takes, but not longer.
const DRAIN_LIMIT: Duration = Duration::from_secs(300);
/// Filling a log takes at most so many sends of [`FILL_SECONDS`].
const FILLS_MAX: u32 = 200;
/// Length of one send that fills a log.
const FILL_SECONDS: u32 = 2;
/// Before memory at rest is read.
const REST: Duration = Duration::from_secs(3);
/// Bytes of the bodies of a backlog.
const BACKLOG_BODY: u32 = 1024;
/// Bytes of the bodies that fill a log for a restart: 2.5 million of them in 10 GiB.
const RESTART_BODY: u32 = 4096;
/// Topic of the backlog that all drains read.
const BACKLOG: &str = "bench-backlog";
/// Topic of the log that is recovered.
const RESTART: &str = "bench-restart";

/// What a case needs beside itself.
pub struct Turn<'a> {
    /// The generator.
    pub generator: &'a Generator,
    /// The servers.
    pub deployment: &'a mut Deployment,
    /// Of the broker.
    pub durability: Durability,
    /// Counted from 1.
    pub round: u32,
    /// Half of what Java reached, when that is known.
    pub half_of_java: Option<f64>,
    /// Instead of the cases' own lengths.
    pub seconds: Option<u32>,
    /// Before each window.
    pub warmup_seconds: u32,
    /// Small logs.
    pub quick: bool,
}

impl Turn<'_> {
    /// Runs one case. The sample also tells failed checks; what cannot be measured at all is an error.
    ///
    /// # Errors
    /// When the generator or the server fails.
    pub fn run(&mut self, case: &Case) -> Result<Sample> {
        let mut sample = Sample::new(&case.name, self.deployment.side(), self.round, self.durability);
        sample.startup_seconds = self.deployment.startup.as_secs_f64();
        let seconds = self.seconds.unwrap_or(case.seconds);
        let topic = topic_of(&case.name);
        match &case.work {
            Work::Send(send) => {
                let outcome = self.send(&mut sample, send, &topic, QUEUES, seconds, || ())?;
                sample.fill(outcome);
            }
            Work::Tail(rate) => {
                let flags = self.aim(&topic, QUEUES, seconds).tail(self.rate(*rate)?);
                let outcome = self.load(&mut sample, "tail", &flags, seconds)?;
                sample.fill(outcome);
            }
            Work::Hold { consumers, rate } => {
                let flags = self.aim(&topic, QUEUES, seconds).hold(*consumers, *rate);
                let outcome = self.load(&mut sample, "hold", &flags, seconds)?;
                sample.fill(outcome);
            }
            Work::Drain { messages, cold, beside } => {
                self.drain(&mut sample, *messages, *cold, beside.as_ref(), &topic, seconds)?;
            }
            Work::Queues(queues) => self.queues(&mut sample, *queues, &topic, seconds)?,
            Work::Route(topics) => {
                let flags = self.aim(&topic, QUEUES, seconds).route(*topics);
                let outcome = self.load(&mut sample, "route", &flags, seconds)?;
                sample.fill(outcome);
            }
            Work::Restart { bytes, killed } => self.restart(&mut sample, *bytes, *killed)?,
            Work::Transactions { in_flight, connections } => {
                let flags = self.aim(&topic, QUEUES, seconds).transactions(*in_flight, *connections);
                let outcome = self.load(&mut sample, "transaction", &flags, seconds)?;
                sample.fill(outcome);
            }
            Work::Filter { messages } => self.backlog(&mut sample, "filter", *messages, &topic)?,
            Work::Orderly(rate) => {
                let flags = self.aim(&topic, QUEUES, seconds).orderly(self.rate(*rate)?);
                let outcome = self.load(&mut sample, "tail", &flags, seconds)?;
                sample.fill(outcome);
            }
            Work::Pop { messages } => self.backlog(&mut sample, "pop", *messages, &topic)?,
            Work::Official(client) => official::run(self, &mut sample, *client, &topic, seconds)?,
        }
        sample.disk_bytes = self.deployment.disk_bytes();
        Ok(sample)
    }

    /// Sends for `seconds` that nobody measures: just-in-time compilers, allocators and page tables settle.
    ///
    /// # Errors
    /// When the generator or the server fails.
    pub fn warm_up(&mut self, seconds: u32) -> Result<()> {
        let send = Send::closed(1024, 64, 16);
        let mut nobody = Sample::new("warm-up", self.deployment.side(), self.round, self.durability);
        self.send(&mut nobody, &send, "bench-warm-up", QUEUES, seconds, || ()).map(drop)
    }

    fn aim<'t>(&self, topic: &'t str, queues: u32, seconds: u32) -> Aim<'t> {
        Aim { address: self.deployment.address(), topic, queues, seconds, warmup_seconds: self.warmup_seconds }
    }

    fn rate(&self, rate: Rate) -> Result<u64> {
        match rate {
            Rate::PerSecond(rate) => Ok(rate.into()),
            Rate::HalfOfJava => {
                let half = self.half_of_java.context("how much Java can do has not been measured")?;
                Ok((half as u64).max(1))
            }
        }
    }

    fn send(
        &self,
        sample: &mut Sample,
        send: &Send,
        topic: &str,
        queues: u32,
        seconds: u32,
        on_measure: impl FnOnce(),
    ) -> Result<Outcome> {
        let rate = send.rate.map(|rate| self.rate(rate)).transpose()?;
        let flags = self.aim(topic, queues, seconds).send(send, rate);
        sample.load = format!("send {}", flags.join(" "));
        self.generator.run("send", &flags, self.deployment.pid()?, self.limit(seconds), on_measure)
    }

    fn load(&self, sample: &mut Sample, kind: &str, flags: &[String], seconds: u32) -> Result<Outcome> {
        sample.load = format!("{kind} {}", flags.join(" "));
        self.generator.run(kind, flags, self.deployment.pid()?, self.limit(seconds), || ())
    }

    fn limit(&self, seconds: u32) -> Duration {
        GENERATOR_GRACE + Duration::from_secs(u64::from(seconds) + u64::from(self.warmup_seconds))
    }

    /// Messages in the topic by the broker's own count.
    pub fn messages_in(&self, topic: &str, queues: u32) -> Result<u64> {
        Ok(Client::connect(self.deployment.address())?.max_offsets(topic, queues)?.iter().sum())
    }

    /// Sends batches to `topic`, with `buckets` or without, until it has `messages`; returns how many it has.
    pub fn fill(&self, sample: &mut Sample, topic: &str, body: u32, messages: u64, buckets: bool) -> Result<u64> {
        let pid = self.deployment.pid()?;
        Client::connect(self.deployment.address())?.create_topic(topic, QUEUES)?;
        let batch = Send { batch: 16, buckets, ..Send::closed(body, 16, 4) };
        for _ in 0..FILLS_MAX {
            let there = self.messages_in(topic, QUEUES)?;
            if there >= messages {
                return Ok(there);
            }
            let seconds = if self.quick { 1 } else { FILL_SECONDS };
            let flags = self.aim(topic, QUEUES, seconds).send(&batch, None);
            let outcome = self.generator.run("send", &flags, pid, self.limit(FILL_SECONDS), || ())?;
            if let Some(failed) = outcome.failed_checks {
                sample.fail(&format!("while {topic} was filled: {failed}"));
            }
            ensure!(outcome.report.messages > 0, "nothing is stored while {topic} is filled");
        }
        self.messages_in(topic, QUEUES)
    }

    fn drain(
        &mut self,
        sample: &mut Sample,
        messages: u64,
        cold: bool,
        beside: Option<&Send>,
        topic: &str,
        seconds: u32,
    ) -> Result<()> {
        let there = self.fill(sample, BACKLOG, BACKLOG_BODY, messages, false)?;
        if cold {
            // Java's clean stop takes 20 s.
            self.deployment.end_broker(if self.quick { End::Killed } else { End::Clean })?;
            let dropped = machine::drop_from_page_cache(&self.deployment.store())?;
            self.deployment.restart_broker()?;
            sample.notes.push(format!("broker restarted, {dropped} bytes of files dropped from the page cache"));
        }
        // Also without a restart: what one drain leaves on its way to disk must not burden the next.
        machine::settle(&self.deployment.store())?;
        let flags = flags::drain(self.deployment.address(), BACKLOG, there);
        let pid = self.deployment.pid()?;
        let drain = || self.generator.run("drain", &flags, pid, DRAIN_LIMIT, || ());
        let Some(send) = beside else {
            sample.load = format!("drain {}", flags.join(" "));
            sample.fill(drain()?);
            return Ok(());
        };
        let (sent, drained) = std::thread::scope(|scope| -> Result<(Outcome, Outcome)> {
            let (begin, begun) = mpsc::channel();
            let drained = scope.spawn(move || begun.recv().ok().map(|()| drain()));
            let sent = self.send(sample, send, topic, QUEUES, seconds, move || {
                let _ = begin.send(());
            })?;
            let drained = drained.join().ok().flatten().context("the drain did not begin")??;
            Ok((sent, drained))
        })?;
        let report = &drained.report;
        sample.notes.push(format!(
            "meanwhile {} messages were read in {:.2} s of the {seconds} s",
            report.messages, report.seconds
        ));
        if let Some(failed) = drained.failed_checks {
            sample.fail(&format!("drain: {failed}"));
        }
        sample.fill(sent);
        Ok(())
    }

    /// Fills a topic with `messages` that have buckets, and has it read by a kind of load that takes the time it takes.
    fn backlog(&self, sample: &mut Sample, kind: &str, messages: u64, topic: &str) -> Result<()> {
        self.fill(sample, topic, BACKLOG_BODY, messages, true)?;
        machine::settle(&self.deployment.store())?;
        let flags = flags::backlog(self.deployment.address(), topic);
        sample.load = format!("{kind} {}", flags.join(" "));
        let outcome = self.generator.run(kind, &flags, self.deployment.pid()?, DRAIN_LIMIT, || ())?;
        sample.fill(outcome);
        Ok(())
    }

    fn queues(&mut self, sample: &mut Sample, queues: u32, topic: &str, seconds: u32) -> Result<()> {
        let send = Send::closed(1024, 64, 16);
        let outcome = self.send(sample, &send, topic, queues, seconds, || ())?;
        sample.fill(outcome);
        sample.queues = Some(queues);
        if self.deployment.side() == Side::Null {
            return Ok(());
        }
        std::thread::sleep(REST);
        sample.anon_at_rest_bytes = Some(sample::usage(self.deployment.pid()?)?.anon_bytes);
        let offsets = Client::connect(self.deployment.address())?.max_offsets(topic, queues)?;
        let (empty, there) = (offsets.iter().filter(|offset| **offset == 0).count(), offsets.iter().sum::<u64>());
        sample.notes.push(format!("{there} messages in {} of {queues} queues", offsets.len() - empty));
        if empty > 0 {
            if there >= u64::from(queues) {
                sample.fail(&format!("{empty} queues are empty"));
            } else {
                sample.notes.push("too few sends in the window to reach every queue".to_owned());
            }
        }
        Ok(())
    }

    fn restart(&mut self, sample: &mut Sample, bytes: u64, killed: bool) -> Result<()> {
        let mut acknowledged = self.fill(sample, RESTART, RESTART_BODY, bytes.div_ceil(RESTART_BODY.into()), false)?;
        let end = if killed { End::Killed } else { End::Clean };
        if killed {
            // So that the log's end is younger than its checkpoint.
            acknowledged = self.fill(sample, RESTART, RESTART_BODY, acknowledged + 1, false)?;
        }
        let stopping = self.deployment.end_broker(end)?;
        let cpu_before = Instant::now();
        let starting = self.deployment.restart_broker()?;
        let usage = sample::usage(self.deployment.pid()?)?;
        sample.recovery_seconds = Some(starting.as_secs_f64());
        sample.server_cpu_seconds = usage.cpu_seconds;
        sample.seconds = cpu_before.elapsed().as_secs_f64();
        sample.anon_bytes = usage.anon_bytes;
        sample.rss_bytes = usage.rss_bytes;
        sample.bytes = acknowledged * u64::from(RESTART_BODY);
        sample.load =
            format!("{acknowledged} messages of {RESTART_BODY} B in the log, in the page cache as far as it fits");
        sample.notes.push(format!("the broker took {:.2} s to end", stopping.as_secs_f64()));
        let there = self.messages_in(RESTART, QUEUES)?;
        sample.notes.push(format!("{there} of {acknowledged} acknowledged messages are there"));
        if there < acknowledged {
            sample.fail(&format!("{} acknowledged messages are lost", acknowledged - there));
        }
        Ok(())
    }
}

/// The topic of a case.
pub fn topic_of(case: &str) -> String {
    let name: String = case.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("bench-{name}")
}
