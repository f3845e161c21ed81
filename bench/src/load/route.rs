//! `bench load route`: asks a name server for the routes of many topics in a closed loop.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::body::topic::TopicConfig;
use hypergol_remoting::protocol::header::route::RegisterBrokerRequestHeader;
use hypergol_remoting::{RemotingCommand, RequestCode};

use super::answer::Answer;
use super::clock::{Clock, SECOND};
use super::control::Control;
use super::flags::{CONNECTIONS_MAX, Common};
use super::links::{Driver, Links, Output, Turn};
use super::meter::{Announcer, Meter, Window};
use super::report::Report;
use super::slots::Slots;
use super::template::{Template, write_digits};

/// Topics are called so, with a number behind it.
const PREFIX: &str = "bench-route-";
/// Digits of that number.
const DIGITS: usize = 6;
/// Step from one topic to the next: far enough that neighbours in a table are not asked for in turn.
const STRIDE: u64 = 7919;
/// Queues of each topic.
const QUEUES: i32 = 8;
/// For a registration to be seen.
const REGISTERED_WAIT: Duration = Duration::from_secs(60);
/// How long answers are waited for after the window.
const ANSWERS_WAIT: u64 = 15 * SECOND;
/// Silence after which the name server may forget the broker.
const BROKER_TIMEOUT_MS: i64 = 3_600_000;

/// Flags of `bench load route`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Topics that are asked for in turn
    #[arg(long, default_value_t = 10)]
    topics: u32,
    /// Register a broker that has those topics first
    #[arg(long)]
    register: bool,
    /// Requests without answer, over all connections
    #[arg(long, default_value_t = 64)]
    in_flight: u32,
    /// Connections
    #[arg(long, default_value_t = 4)]
    connections: u32,
}

/// Asks.
///
/// # Errors
/// When the server is not there, refuses, or answers what makes no sense.
pub fn run(options: &Options) -> Result<Report> {
    let Options { common, topics, register, in_flight, connections } = options;
    common.check()?;
    ensure!((2..=1_000_000).contains(topics), "--topics is not within 2 and a million");
    ensure!((1..=CONNECTIONS_MAX).contains(connections), "--connections is not within 1 and 20,000");
    ensure!((*connections..=1 << 20).contains(in_flight), "--in-flight is below --connections or above 1,048,576");
    let clock = Clock::start();
    // The name server forgets a broker whose connection closes: it stays open until the end.
    let mut control = Control::connect(&common.addr)?;
    if *register {
        register_topics(&mut control, *topics)?;
    }
    let route = await_route(&mut control, *topics - 1)?;
    let topic = format!("{PREFIX}{:0DIGITS$}", 0);
    let request = RemotingCommand::request(RequestCode::GetRouteInfoByTopic).with_field("topic", &topic);
    let template = Template::new(request, common.header.serialize_type())?;
    let value = template.place_of_field("topic", topic.len())?;
    let mut links = Links::connect(&common.addr, *connections as usize, clock)?;
    let window = Window::after(clock, common.warmup, common.seconds);
    let mut routes = Routes {
        number: value.end - DIGITS..value.end,
        template,
        topics: (*topics).into(),
        next: 0,
        expected: route,
        slots: (0..*connections)
            .map(|link| Slots::new(in_flight / connections + u32::from(link < in_flight % connections)))
            .collect(),
        in_flight: 0,
        meter: Meter::new(window)?,
        announcer: Announcer::new(window),
        sent: 0,
        different: 0,
    };
    links.run(&mut routes)?;
    let mut report = Report::new("route", &routes.meter, &routes.announcer);
    report.found("sent", routes.sent);
    report.found("unanswered", routes.in_flight);
    report.found("route_bytes", routes.expected.len());
    if routes.in_flight > 0 {
        report.fail(format!("{} requests were not answered", routes.in_flight));
    }
    if routes.different > 0 {
        report.fail(format!("{} routes are not as expected", routes.different));
    }
    if !report.errors.is_empty() {
        report.fail("routes were refused");
    }
    Ok(report)
}

fn register_topics(control: &mut Control, topics: u32) -> Result<()> {
    let mut register = RegisterBrokerBody::default();
    let table = &mut register.topic_config_serialize_wrapper.topic_config_table;
    for number in 0..topics {
        let topic_name = format!("{PREFIX}{number:0DIGITS$}");
        let config = TopicConfig {
            topic_name: topic_name.clone(),
            read_queue_nums: QUEUES,
            write_queue_nums: QUEUES,
            ..TopicConfig::default()
        };
        table.insert(topic_name, config);
    }
    let body = register.encode_compressed()?;
    let header = RegisterBrokerRequestHeader {
        broker_name: "bench-broker".to_owned(),
        broker_addr: "127.0.0.1:10911".to_owned(),
        cluster_name: "bench-cluster".to_owned(),
        ha_server_addr: "127.0.0.1:10912".to_owned(),
        broker_id: 0,
        heartbeat_timeout_millis: Some(BROKER_TIMEOUT_MS),
        enable_acting_master: Some(false),
        compressed: true,
        // 31 bits of it; the cast keeps them.
        body_crc32: (crc32fast::hash(&body) & 0x7fff_ffff) as i32,
    };
    let request = RemotingCommand::request_with(RequestCode::RegisterBroker, &header).with_body(body);
    let answer = control.ask(&request)?;
    ensure!(answer.code == 0, "the registration is refused: {} {:?}", answer.code, answer.remark);
    Ok(())
}

/// The route of a topic, as soon as there is one. All topics have the same: a route does not name its topic.
fn await_route(control: &mut Control, number: u32) -> Result<Vec<u8>> {
    let topic = format!("{PREFIX}{number:0DIGITS$}");
    let request = RemotingCommand::request(RequestCode::GetRouteInfoByTopic).with_field("topic", &topic);
    let start = Instant::now();
    loop {
        let answer = control.ask(&request)?;
        if answer.code == 0 {
            return Ok(answer.body.to_vec());
        }
        ensure!(start.elapsed() < REGISTERED_WAIT, "no route of {topic}: {} {:?}", answer.code, answer.remark);
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Routes {
    template: Template,
    number: Range<usize>,
    topics: u64,
    next: u64,
    expected: Vec<u8>,
    /// When each was asked.
    slots: Vec<Slots<u64>>,
    in_flight: u64,
    meter: Meter,
    announcer: Announcer,
    sent: u64,
    different: u64,
}

impl Driver for Routes {
    fn answer(&mut self, link: usize, _: &mut Output, answer: &Answer<'_>, now: u64) -> Result<()> {
        let asked = self.slots[link].give(answer.opaque);
        let asked = asked.with_context(|| format!("an answer to no request, opaque {}", answer.opaque))?;
        self.in_flight -= 1;
        if answer.code != 0 {
            self.meter.error(answer);
            return Ok(());
        }
        self.different += u64::from(answer.body != self.expected);
        self.meter.success(asked, now, 0, answer.body.len() as u64);
        Ok(())
    }

    fn fill(&mut self, link: usize, out: &mut Output, now: u64) {
        if now >= self.meter.window.end {
            return;
        }
        while let Some(out) = out.room() {
            let Some(opaque) = self.slots[link].take(now) else { return };
            self.in_flight += 1;
            self.sent += 1;
            let frame = self.template.append(out, opaque);
            write_digits(&mut frame[self.number.clone()], self.next);
            // With a multiple of the stride some topics would never be asked for.
            let stride = if self.topics.is_multiple_of(STRIDE) { 1 } else { STRIDE };
            self.next = (self.next + stride) % self.topics;
        }
    }

    fn turn(&mut self, _: &mut Links, now: u64) -> Result<Turn> {
        let announce = self.announcer.turn(now)?;
        let end = self.meter.window.end;
        if now < end {
            return Ok(Turn::Until(announce.min(end)));
        }
        let waiting = self.in_flight > 0 && now < end + ANSWERS_WAIT;
        Ok(if waiting { Turn::Until(end + ANSWERS_WAIT) } else { Turn::Done })
    }
}
