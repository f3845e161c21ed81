//! `bench load send`: sends in a closed loop or at a rate.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::answer::Answer;
use super::clock::Clock;
use super::control::{Control, STILL, growth_of};
use super::flags::{Common, Sends, Target};
use super::links::{Driver, Links, Output, Turn};
use super::meter::{Announcer, Window};
use super::report::Report;
use super::sender::{Plan, Sender, Share};

/// One-way and delayed messages are stored some time after they were sent; how long a topic is watched for them.
const STORED_WAIT: Duration = Duration::from_secs(15);
/// Delay of the lowest levels.
const DELAY_SECONDS: [u64; 3] = [1, 5, 10];
/// Longest delay whose end is waited for.
const DELAY_WAITED: Duration = Duration::from_secs(10);

/// Flags of `bench load send`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    sends: Sends,
    /// Messages per second: an open loop, each is timed from when it was due
    #[arg(long)]
    rate: Option<f64>,
    /// Send without answers; the rate is that at which the topic grows
    #[arg(long)]
    oneway: bool,
}

/// Sends.
///
/// # Errors
/// When the server is not there, refuses, or answers what makes no sense.
pub fn run(options: &Options) -> Result<Report> {
    let Options { common, target, sends, rate, oneway } = options;
    common.check()?;
    target.check()?;
    sends.check()?;
    let clock = Clock::start();
    let mut control = Control::connect(&common.addr)?;
    control.prepare(target)?;
    let before = control.max_offsets(&target.topic, target.queues)?;
    let threads = sends.threads.min(sends.connections);
    // Connections first, so that making them is no part of the warm-up.
    let links = (0..threads)
        .map(|thread| Links::connect(&common.addr, Share { thread, threads }.of(sends.connections) as usize, clock))
        .collect::<Result<Vec<_>>>()?;
    let window = Window::after(clock, common.warmup, common.seconds);
    let plan = Plan {
        topic: target.topic.clone(),
        queues: target.queues,
        sends: sends.clone(),
        rate: *rate,
        oneway: *oneway,
        half: false,
        form: common.header.serialize_type(),
        run: common.run_id(),
        window,
        clock,
    };
    let (sender, announcer, growth) = thread::scope(|scope| -> Result<_> {
        let watch = oneway.then(|| scope.spawn(|| watch(options, window, clock)));
        let mut running = Vec::new();
        for (thread, mut links) in links.into_iter().enumerate() {
            let share = Share { thread: thread as u32, threads };
            let announcer = (thread == 0 && !oneway).then(|| Announcer::new(window));
            let mut driver = Sending { sender: Sender::new(&plan, share)?, announcer };
            running.push(scope.spawn(move || links.run(&mut driver).map(|()| driver)));
        }
        let mut all: Option<Sending> = None;
        for thread in running {
            let driver = thread.join().ok().context("a thread of the generator panicked")??;
            match &mut all {
                Some(all) => all.sender.merge(&driver.sender)?,
                None => all = Some(driver),
            }
        }
        let Sending { sender, announcer } = all.context("no threads")?;
        match watch {
            Some(watch) => {
                let (announcer, growth) = watch.join().ok().context("the watching thread panicked")??;
                Ok((sender, announcer, Some(growth)))
            }
            None => Ok((sender, announcer.context("no announcer")?, None)),
        }
    })?;
    let mut report = Report::new("send", &sender.meter, &announcer);
    if let Some(growth) = growth {
        growth.fill(&mut report, sends.size);
    }
    sender.report(&mut report);
    check_stored(&mut report, options, &sender, &mut control, &before)?;
    Ok(report)
}

/// How long the messages wait; `None` for a level that is not known here.
fn delay_of(sends: &Sends) -> Option<Duration> {
    match (sends.timer_delay_ms, sends.delay_level) {
        (Some(delay), _) => Some(Duration::from_millis(delay.into())),
        (None, Some(level)) => usize::from(level)
            .checked_sub(1)
            .and_then(|level| DELAY_SECONDS.get(level))
            .copied()
            .map(Duration::from_secs),
        (None, None) => None,
    }
}

fn check_stored(
    report: &mut Report,
    options: &Options,
    sender: &Sender,
    control: &mut Control,
    before: &[u64],
) -> Result<()> {
    let Options { target, sends, oneway, .. } = options;
    let expected = if *oneway { sender.sent } else { sender.acknowledged.count() };
    if sends.is_delayed() {
        let Some(delay) = delay_of(sends).filter(|delay| *delay <= DELAY_WAITED) else {
            report.found("stored", "not waited for");
            return Ok(());
        };
        let still = delay + STORED_WAIT;
        let after = control.await_growth(target, before, expected, still)?;
        report.found("delivered", growth_of(before, &after));
        if growth_of(before, &after) != expected {
            report.fail(format!("{} of {expected} delayed messages were delivered", growth_of(before, &after)));
        }
        return Ok(());
    }
    if !*oneway {
        let after = control.await_growth(target, before, expected, STILL)?;
        sender.report_offsets(report, before, &after);
        return Ok(());
    }
    let stored = growth_of(before, &control.await_growth(target, before, expected, STILL)?);
    report.found("stored", stored);
    if stored < expected {
        // Nobody promised to store them: what flow control is for sends with answers.
        report.errors.insert("one-way and not stored".to_owned(), expected - stored);
    } else if stored > expected {
        report.fail(format!("{stored} messages are stored, {expected} were sent"));
    }
    Ok(())
}

/// How much a topic grew in the window.
struct Growth {
    messages: u64,
    seconds: f64,
}

impl Growth {
    fn fill(&self, report: &mut Report, size: u32) {
        report.operations = self.messages;
        report.messages = self.messages;
        report.bytes = self.messages * u64::from(size);
        report.seconds = self.seconds;
        report.set_rate();
    }
}

/// Looks at the topic when the window begins and when it ends: all that one-way sends tell about themselves.
fn watch(options: &Options, window: Window, clock: Clock) -> Result<(Announcer, Growth)> {
    let mut control = Control::connect(&options.common.addr)?;
    let mut announcer = Announcer::new(window);
    let mut look = |moment: u64| -> Result<(Vec<u64>, u64)> {
        thread::sleep(Duration::from_nanos(moment.saturating_sub(clock.now())));
        let offsets = control.max_offsets(&options.target.topic, options.target.queues)?;
        Ok((offsets, clock.now()))
    };
    let (before, begin) = look(window.begin)?;
    announcer.begin()?;
    let (after, end) = look(window.end)?;
    announcer.end()?;
    Ok((announcer, Growth { messages: growth_of(&before, &after), seconds: (end - begin) as f64 / 1e9 }))
}

/// A thread that sends.
struct Sending {
    sender: Sender,
    announcer: Option<Announcer>,
}

impl Driver for Sending {
    fn answer(&mut self, link: usize, _: &mut Output, answer: &Answer<'_>, now: u64) -> Result<()> {
        self.sender.answer(link, answer, now)
    }

    fn fill(&mut self, link: usize, out: &mut Output, now: u64) {
        self.sender.fill(link, out, now);
    }

    fn turn(&mut self, links: &mut Links, now: u64) -> Result<Turn> {
        let announce = self.announcer.as_mut().map_or(Ok(u64::MAX), |announcer| announcer.turn(now))?;
        Ok(match self.sender.turn(links, now) {
            Some(wake) => Turn::Until(wake.min(announce)),
            None => Turn::Done,
        })
    }
}
