//! `bench load pop`: pops a backlog and acknowledges each message by a request of its own, as official consumers do. What
//! is timed is a pop with the acknowledgements of all that it brought.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use clap::Args;
use hypergol_remoting::pop_handle::{PopHandle, PopTopic};
use hypergol_remoting::protocol::command::SerializeType;
use hypergol_remoting::protocol::header::pop::{AckMessageRequestHeader, PopMessageRequestHeader};
use hypergol_remoting::{RemotingCommand, RequestCode};

use super::answer::{Answer, OPAQUE_MIN, integer};
use super::body::Trailer;
use super::clock::{self, Clock, SECOND};
use super::control::Control;
use super::flags::{CONNECTIONS_MAX, Common, Target};
use super::links::{Driver, Links, Output, Turn};
use super::meter::{Announcer, Meter, Window};
use super::offsets::Acknowledged;
use super::reader;
use super::report::Report;
use super::template::{Template, write_digits};

/// Group that pops.
const GROUP: &str = "bench-pop";
/// How long a message stays invisible that is not acknowledged (`popInvisibleTime` of the official consumer).
const INVISIBLE_MS: u32 = 60_000;
/// How long a pop may be held (`brokerSuspendMaxTimeMillis`).
const POLL_MS: u32 = 15_000;
/// Opaque of acknowledgements; that of pops is [`OPAQUE_MIN`].
const ACK_OPAQUE: u32 = OPAQUE_MIN + 1;
/// Without a message for so long the backlog does not come any more: more than a held pop.
const STALL_MAX: u64 = 60 * SECOND;
/// Widths of numbers in handles. Servers read numbers with leading zeros.
const OFFSET_DIGITS: usize = 15;
const TIME_DIGITS: usize = 13;
const QUEUE_DIGITS: usize = 7;
/// Time with [`TIME_DIGITS`] digits.
const SOME_TIME: i64 = 1_700_000_000_000;

const FOUND: i32 = 0;
const NOT_FOUND: i32 = 19;
const POLLING_FULL: i32 = 209;
const POLLING_TIMEOUT: i32 = 210;

/// Flags of `bench load pop`. It takes the time it takes: `--seconds` and `--warmup` mean nothing.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: Target,
    /// Messages a pop, at most
    #[arg(long, default_value_t = 32)]
    pop_batch: u32,
    /// Connections, each with one pop at a time
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// Name of the broker, a part of the handles of messages
    #[arg(long, default_value = "broker-a")]
    broker: String,
}

/// Pops.
///
/// # Errors
/// When the server is not there, refuses, or answers what makes no sense.
pub fn run(options: &Options) -> Result<Report> {
    let Options { common, target, pop_batch, connections, broker } = options;
    target.check()?;
    ensure!((1..=32).contains(pop_batch), "--pop-batch is not within 1 and 32, the broker's limit");
    ensure!((1..=CONNECTIONS_MAX).contains(connections), "--connections is not within 1 and 20,000");
    let clock = Clock::start();
    let ends = Control::connect(&common.addr)?.max_offsets(&target.topic, target.queues)?;
    let there: u64 = ends.iter().sum();
    ensure!(there > 0, "{} has no messages", target.topic);
    let form = common.header.serialize_type();
    let mut links = Links::connect(&common.addr, *connections as usize, clock)?;
    let begin = clock.now();
    let window = Window { begin, end: u64::MAX };
    let mut driver = Pops {
        pop: Pop::new(&target.topic, *pop_batch, form)?,
        ack: Ack::new(&target.topic, broker, form)?,
        clients: vec![Client::default(); *connections as usize],
        epoch_ms: clock::unix_ms() - clock.now() / 1_000_000,
        there,
        popped: Acknowledged::new(target.queues),
        acknowledged: 0,
        damaged: 0,
        meter: Meter::new(window)?,
        announcer: Announcer::new(window),
        last: begin,
        end: None,
    };
    driver.announcer.begin()?;
    for link in 0..*connections as usize {
        driver.ask(link, links.output(link), begin);
    }
    links.run(&mut driver)?;
    let Pops { mut meter, announcer, popped, acknowledged, damaged, end, .. } = driver;
    meter.window.end = end.context("the pops have no end")?;
    let mut report = Report::new("pop", &meter, &announcer);
    report.found("wanted", there);
    report.found("popped", popped.count());
    report.found("acknowledged", acknowledged);
    report.found("damaged", damaged);
    match popped.check(&vec![0; ends.len()], &ends) {
        Ok(()) => report.found("offsets", "each popped once"),
        Err(error) => report.fail(format!("popped: {error}")),
    }
    if acknowledged != popped.count() {
        report.fail(format!("{acknowledged} of {} popped messages are acknowledged", popped.count()));
    }
    if damaged > 0 {
        report.fail(format!("{damaged} messages are damaged"));
    }
    if !report.errors.is_empty() {
        report.fail("pops or acknowledgements were refused");
    }
    Ok(report)
}

/// Frames of pops.
struct Pop {
    template: Template,
    born: Range<usize>,
}

impl Pop {
    fn new(topic: &str, batch: u32, form: SerializeType) -> Result<Self> {
        let header = PopMessageRequestHeader {
            consumer_group: GROUP.to_owned(),
            topic: topic.to_owned(),
            queue_id: -1,
            max_msg_nums: i32::try_from(batch)?,
            invisible_time: INVISIBLE_MS.into(),
            poll_time: POLL_MS.into(),
            born_time: SOME_TIME,
            init_mode: 0,
            exp_type: Some("TAG".to_owned()),
            exp: Some("*".to_owned()),
            order: false,
            attempt_id: None,
        };
        let template = Template::new(RemotingCommand::request_with(RequestCode::PopMessage, &header), form)?;
        Ok(Self { born: template.place_of_field("bornTime", TIME_DIGITS)?, template })
    }
}

/// Frames of acknowledgements.
struct Ack {
    template: Template,
    queue: Range<usize>,
    offset: Range<usize>,
    /// Within the handle.
    start: Range<usize>,
    pop_time: Range<usize>,
    revive: Range<usize>,
    handle_queue: Range<usize>,
    handle_offset: Range<usize>,
}

impl Ack {
    fn new(topic: &str, broker: &str, form: SerializeType) -> Result<Self> {
        let handle = PopHandle {
            start_offset: 0,
            pop_time: SOME_TIME,
            invisible_time: INVISIBLE_MS.into(),
            revive_qid: 0,
            topic: PopTopic::Normal,
            broker_name: broker.to_owned(),
            queue_id: 0,
            queue_offset: None,
        };
        let text = handle.to_string();
        let mut parts: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let (offset, queue) = ("0".repeat(OFFSET_DIGITS), "0".repeat(QUEUE_DIGITS));
        let [start, _, _, revive, _, _, queue_part] = &mut parts[..] else {
            anyhow::bail!("a broker's name with spaces");
        };
        (*start, *revive, *queue_part) = (offset.clone(), queue.clone(), queue.clone());
        parts.push(offset.clone());
        let handle = parts.join(" ");
        let header = AckMessageRequestHeader {
            consumer_group: GROUP.to_owned(),
            topic: topic.to_owned(),
            queue_id: 0,
            extra_info: handle.clone(),
            offset: 0,
            lite_topic: None,
        };
        let mut request = RemotingCommand::request_with(RequestCode::AckMessage, &header);
        request.fields.set("queueId", &queue);
        request.fields.set("offset", &offset);
        let template = Template::new(request, form)?;
        let at = template.place_of_field("extraInfo", handle.len())?.start;
        let place = |part: usize| {
            let begin = at + parts[..part].iter().map(|part| part.len() + 1).sum::<usize>();
            begin..begin + parts[part].len()
        };
        Ok(Self {
            queue: template.place_of_field("queueId", QUEUE_DIGITS)?,
            offset: template.place_of_field("offset", OFFSET_DIGITS)?,
            start: place(0),
            pop_time: place(1),
            revive: place(3),
            handle_queue: place(6),
            handle_offset: place(7),
            template,
        })
    }

    fn append(&self, out: &mut Vec<u8>, popped: &Popped, queue: u32, offset: u64) {
        let frame = self.template.append(out, ACK_OPAQUE);
        write_digits(&mut frame[self.queue.clone()], queue.into());
        write_digits(&mut frame[self.offset.clone()], offset);
        write_digits(&mut frame[self.start.clone()], popped.start);
        write_digits(&mut frame[self.pop_time.clone()], popped.pop_time);
        write_digits(&mut frame[self.revive.clone()], popped.revive);
        write_digits(&mut frame[self.handle_queue.clone()], queue.into());
        write_digits(&mut frame[self.handle_offset.clone()], offset);
    }
}

/// What the messages of a queue in one answer have in common.
struct Popped {
    start: u64,
    pop_time: u64,
    revive: u64,
}

/// First offset of a pop in a queue, from `0 queue offset;0 queue offset…`; none for retry topics, which begin with
/// another mark and must not occur.
fn start_offset(list: &[u8], queue: u32) -> Option<u64> {
    list.split(|byte| *byte == b';').find_map(|part| {
        let mut parts = part.split(|byte| *byte == b' ');
        (parts.next()? == PopTopic::Normal.mark().as_bytes() && integer(parts.next()?)? == i64::from(queue))
            .then(|| integer(parts.next()?)?.try_into().ok())?
    })
}

#[derive(Clone, Copy, Default)]
struct Client {
    /// When the pop was sent.
    asked: u64,
    /// Messages and bytes of bodies that it brought.
    messages: u64,
    bytes: u64,
    /// Acknowledgements without answer.
    open: u64,
}

struct Pops {
    pop: Pop,
    ack: Ack,
    /// Per link.
    clients: Vec<Client>,
    /// Milliseconds since 1970 at zero of the clock.
    epoch_ms: u64,
    there: u64,
    popped: Acknowledged,
    acknowledged: u64,
    damaged: u64,
    meter: Meter,
    announcer: Announcer,
    /// When the last messages came.
    last: u64,
    end: Option<u64>,
}

impl Pops {
    fn ask(&mut self, link: usize, out: &mut Output, now: u64) {
        self.clients[link] = Client { asked: now, ..Client::default() };
        let frame = self.pop.template.append(out.always(), OPAQUE_MIN);
        write_digits(&mut frame[self.pop.born.clone()], self.epoch_ms + now / 1_000_000);
    }

    /// Acknowledges what a pop brought.
    fn found(&mut self, link: usize, out: &mut Output, answer: &Answer<'_>) -> Result<()> {
        let client = &mut self.clients[link];
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let pop_time = number(answer.pop_time).context("an answer to a pop without its time")?;
        let revive = number(answer.revive_qid).context("an answer to a pop without its revive queue")?;
        for record in reader::records(answer.body) {
            let record = record?;
            let start = start_offset(answer.start_offset_info, record.queue);
            let start = start.context("a message of a queue that the answer does not name")?;
            self.damaged += u64::from(Trailer::read(record.body).is_none());
            ensure!(self.popped.add(record.queue, record.offset, 1), "a message of no queue");
            self.ack.append(out.always(), &Popped { start, pop_time, revive }, record.queue, record.offset);
            client.messages += 1;
            client.bytes += record.body.len() as u64;
            client.open += 1;
        }
        ensure!(client.open > 0, "a pop found nothing and says it did");
        Ok(())
    }
}

impl Driver for Pops {
    fn answer(&mut self, link: usize, out: &mut Output, answer: &Answer<'_>, now: u64) -> Result<()> {
        if answer.opaque == ACK_OPAQUE {
            let client = &mut self.clients[link];
            client.open = client.open.checked_sub(1).context("an answer to no acknowledgement")?;
            if answer.code == 0 {
                self.acknowledged += 1;
            } else {
                self.meter.error(answer);
            }
            if client.open > 0 {
                return Ok(());
            }
            self.meter.success(client.asked, now, client.messages, client.bytes);
            if self.acknowledged >= self.there {
                self.end.get_or_insert(now);
                return Ok(());
            }
            self.ask(link, out, now);
            return Ok(());
        }
        match answer.code {
            FOUND => {
                self.last = now;
                self.found(link, out, answer)?;
            }
            NOT_FOUND | POLLING_FULL | POLLING_TIMEOUT => self.ask(link, out, now),
            _ => {
                self.meter.error(answer);
                self.end = Some(now);
            }
        }
        Ok(())
    }

    fn fill(&mut self, _: usize, _: &mut Output, _: u64) {}

    fn turn(&mut self, _: &mut Links, now: u64) -> Result<Turn> {
        let stalled = self.last + STALL_MAX;
        if self.end.is_none() && now >= stalled {
            self.end = Some(now);
        }
        if self.end.is_some() {
            self.announcer.end()?;
            return Ok(Turn::Done);
        }
        Ok(Turn::Until(stalled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_offsets_are_found_by_queue() {
        let list = b"0 3 12;0 13 1;1 4 9";
        assert_eq!(start_offset(list, 3), Some(12));
        assert_eq!(start_offset(list, 13), Some(1));
        assert_eq!((start_offset(list, 4), start_offset(list, 1), start_offset(b"", 0)), (None, None, None));
    }

    #[test]
    fn a_patched_handle_is_read_back() {
        let ack = Ack::new("T", "broker-a", SerializeType::Json).unwrap();
        let mut out = Vec::new();
        ack.append(&mut out, &Popped { start: 7, pop_time: 1_700_000_000_123, revive: 5 }, 3, 9);
        let frame = hypergol_remoting::protocol::codec::cut_frame(&mut bytes::BytesMut::from(&out[..])).unwrap();
        let command = hypergol_remoting::protocol::codec::decode(frame.unwrap()).unwrap();
        let handle: PopHandle = command.fields.get("extraInfo").unwrap().parse().unwrap();
        assert_eq!((handle.start_offset, handle.pop_time, handle.revive_qid), (7, 1_700_000_000_123, 5));
        assert_eq!((handle.queue_id, handle.queue_offset, handle.broker_name.as_str()), (3, Some(9), "broker-a"));
        assert_eq!(command.fields.get("queueId"), Some("0000003"));
        assert_eq!(command.fields.get("offset"), Some("000000000000009"));
    }
}
