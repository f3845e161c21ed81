//! Sends messages over links and accounts for every one of them: used by all kinds of load that send.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use hypergol_remoting::message::{self, BatchPart};
use hypergol_remoting::protocol::command::SerializeType;
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{RemotingCommand, RequestCode};

use super::answer::{Answer, OPAQUE_MIN};
use super::body::{BodyMaker, TRAILER_BYTES};
use super::clock::{self, Clock, SECOND};
use super::control::growth_of;
use super::flags::Sends;
use super::links::{Links, Output};
use super::meter::{Meter, Window};
use super::offsets::Acknowledged;
use super::report::Report;
use super::slots::Slots;
use super::template::{Template, write_digits, write_hex};

/// How long answers are waited for after the window.
const ANSWERS_WAIT: u64 = 15 * SECOND;
/// Requests in flight at a rate, unless told otherwise: more than any server should let wait.
const OPEN_IN_FLIGHT: u32 = 4096;
/// Stands where UNIQ_KEY has its sequence.
const KEY_MARK: &str = "A1B2C3D4E5F60718";
/// First half of every UNIQ_KEY: an address, a process, a class loader.
const KEY_PREFIX: &str = "7F00000100011B69";
/// Group that sends.
pub const PRODUCER_GROUP: &str = "bench-producer";
/// Property by which messages are told apart by expressions; its value is [`bucket_of`] its sequence.
pub const BUCKET: &str = "bucket";
/// Stands where that property has its value, of as many digits.
const BUCKET_MARK: &str = "#?";
/// Values of that property.
const BUCKETS: u64 = 100;

/// System flag of a half message (`MessageSysFlag.TRANSACTION_PREPARED_TYPE`).
const PREPARED: i32 = 4;
/// Flow control of a broker that is busy.
pub const SYSTEM_BUSY: i32 = 2;
/// Stored: success; flush timed out; no slave; slave timed out.
pub const STORED: [i32; 4] = [0, 10, 11, 12];

/// What is sent, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Topic.
    pub topic: String,
    /// Its queues.
    pub queues: u32,
    /// Bodies, loops, connections.
    pub sends: Sends,
    /// Messages per second over all threads; a closed loop without.
    pub rate: Option<f64>,
    /// Without answers.
    pub oneway: bool,
    /// Half messages of transactions.
    pub half: bool,
    /// Form of headers.
    pub form: SerializeType,
    /// Run id.
    pub run: u64,
    /// Measured time.
    pub window: Window,
    /// Of all times.
    pub clock: Clock,
}

/// The bucket that a message of this sequence has.
pub const fn bucket_of(sequence: u64) -> u64 {
    sequence % BUCKETS
}

/// Which part of a [`Plan`] a thread does.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Counted from 0.
    pub thread: u32,
    /// All of them.
    pub threads: u32,
}

impl Share {
    /// This thread's part of `whole`; parts differ by 1 at most.
    pub fn of(self, whole: u32) -> u32 {
        whole / self.threads + u32::from(self.thread < whole % self.threads)
    }
}

/// A sending part of a run. Its links are the first ones.
pub struct Sender {
    plan: Plan,
    frame: Frame,
    links: Vec<SendLink>,
    pace: Option<Pace>,
    next_queue: u32,
    /// Milliseconds since 1970 at zero of the clock.
    epoch_ms: u64,
    in_flight: u64,
    /// Counts of the window.
    pub meter: Meter,
    /// Offsets of all messages that were stored.
    pub acknowledged: Acknowledged,
    /// Messages written, answered or not.
    pub sent: u64,
    /// Answers that neither are success nor flow control.
    unexpected: u64,
}

struct SendLink {
    id: u32,
    sequence: u64,
    slots: Slots<Waiting>,
}

/// A send that waits for its answer.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    queue: u32,
    due: u64,
}

/// Moments at which requests are due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    start: u64,
    interval_ns: f64,
    count: u64,
    /// The link that is next.
    link: usize,
}

impl Pace {
    fn due(&self) -> u64 {
        self.start + (self.count as f64 * self.interval_ns) as u64
    }
}

impl Sender {
    /// # Errors
    /// When the plan cannot be encoded, or has fewer requests in flight than connections.
    pub fn new(plan: &Plan, share: Share) -> Result<Self> {
        let sends = &plan.sends;
        let connections = share.of(sends.connections);
        let total = sends.in_flight.unwrap_or(if plan.rate.is_some() { OPEN_IN_FLIGHT } else { sends.connections });
        ensure!(total >= sends.connections, "fewer requests in flight than connections");
        let first: u32 = (0..share.thread).map(|thread| Share { thread, ..share }.of(sends.connections)).sum();
        let links = (first..first + connections)
            .map(|id| {
                let limit = Share { thread: id, threads: sends.connections }.of(total);
                SendLink { id, sequence: 0, slots: Slots::new(limit) }
            })
            .collect();
        let pace = match plan.rate {
            Some(rate) => {
                ensure!(rate > 0.0 && rate <= 1e8, "--rate is not within 0 and a hundred million");
                let whole_ns = 1e9 * f64::from(sends.batch) / rate;
                let interval_ns = whole_ns * f64::from(share.threads);
                let start = plan.clock.now() + (whole_ns * f64::from(share.thread)) as u64;
                Some(Pace { start, interval_ns, count: 0, link: 0 })
            }
            None => None,
        };
        Ok(Self {
            frame: Frame::new(plan)?,
            links,
            pace,
            next_queue: (u64::from(plan.queues) * u64::from(share.thread) / u64::from(share.threads)) as u32,
            epoch_ms: clock::unix_ms() - plan.clock.now() / 1_000_000,
            in_flight: 0,
            meter: Meter::new(plan.window)?,
            acknowledged: Acknowledged::new(plan.queues),
            sent: 0,
            unexpected: 0,
            plan: plan.clone(),
        })
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// When it answers no request.
    pub fn answer(&mut self, link: usize, answer: &Answer<'_>, now: u64) -> Result<()> {
        // Java answers one-way messages, too, when it drops them for flow control.
        if self.plan.oneway && answer.opaque == OPAQUE_MIN && answer.code != 0 {
            self.unexpected += u64::from(answer.code != SYSTEM_BUSY);
            self.meter.error(answer);
            return Ok(());
        }
        let slot = self.links[link].slots.give(answer.opaque);
        let slot = slot.with_context(|| format!("an answer to no request, opaque {}", answer.opaque))?;
        self.in_flight -= 1;
        if !STORED.contains(&answer.code) {
            self.unexpected += u64::from(answer.code != SYSTEM_BUSY);
            self.meter.error(answer);
            return Ok(());
        }
        if answer.code != 0 {
            self.meter.error(answer);
        }
        let batch = self.plan.sends.batch;
        self.meter.success(slot.due, now, batch.into(), u64::from(batch) * u64::from(self.plan.sends.size));
        let offset = answer.queue_offset.and_then(|offset| u64::try_from(offset).ok());
        let offset = offset.context("a send was acknowledged without a queue offset")?;
        let queue = answer.queue_id.and_then(|queue| u32::try_from(queue).ok());
        // A delayed message has its offset in the queue of its delay level, where those of all queues meet.
        let own = if self.plan.sends.is_delayed() { 0 } else { slot.queue };
        ensure!(queue == Some(slot.queue), "queue {queue:?} acknowledged instead of {}", slot.queue);
        ensure!(self.acknowledged.add(own, offset, batch), "an offset of no queue");
        Ok(())
    }

    /// Puts into the output of a link what may be sent now in a closed loop.
    pub fn fill(&mut self, link: usize, out: &mut Output, now: u64) {
        if self.pace.is_some() {
            return;
        }
        while now < self.plan.window.end && self.send(link, out, now, now) {}
    }

    /// Sends what is due in an open loop; returns when it wants to be called again, `None` when everything was sent and
    /// answered, or waited for long enough.
    pub fn turn(&mut self, links: &mut Links, now: u64) -> Option<u64> {
        let end = self.plan.window.end;
        let mut wake = end;
        if let Some(mut pace) = self.pace {
            while pace.due() <= now.min(end - 1) {
                let count = self.links.len();
                let start = pace.link;
                let free = (0..count).map(|i| (start + i) % count).find(|link| self.links[*link].slots.any_free());
                let sent = free.is_some_and(|link| {
                    pace.link = (link + 1) % count;
                    self.send(link, links.output(link), pace.due(), now)
                });
                if !sent {
                    break;
                }
                pace.count += 1;
            }
            self.pace = Some(pace);
            if pace.due() < end {
                // Those that are due and found no room go when there is an answer, which wakes the loop anyway.
                wake = if pace.due() > now { pace.due() } else { end.max(now + SECOND / 1000) };
                if now < end + ANSWERS_WAIT {
                    return Some(wake);
                }
            }
        }
        if now < end {
            return Some(wake);
        }
        // One-way messages may still be in an output when nothing is in flight.
        let open = self.in_flight > 0 || !links.written();
        (open && now < end + ANSWERS_WAIT).then_some(end + ANSWERS_WAIT)
    }

    /// False when there is no room.
    fn send(&mut self, link: usize, out: &mut Output, due: u64, now: u64) -> bool {
        let Some(out) = out.room() else { return false };
        let state = &mut self.links[link];
        let opaque = if self.plan.oneway {
            OPAQUE_MIN
        } else {
            let Some(opaque) = state.slots.take(Waiting { queue: self.next_queue, due }) else { return false };
            self.in_flight += 1;
            opaque
        };
        let born = self.epoch_ms + now / 1_000_000;
        self.frame.append(out, opaque, self.next_queue, born, (state.id, state.sequence, due));
        state.sequence += u64::from(self.plan.sends.batch);
        self.sent += u64::from(self.plan.sends.batch);
        self.next_queue = (self.next_queue + 1) % self.plan.queues;
        true
    }

    /// Adds what another thread did.
    ///
    /// # Errors
    /// Never: the histograms are of one kind.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.meter.merge(&other.meter)?;
        self.acknowledged.merge(&other.acknowledged);
        self.sent += other.sent;
        self.in_flight += other.in_flight;
        self.unexpected += other.unexpected;
        Ok(())
    }

    /// Tells how the answers were.
    pub fn report(&self, report: &mut Report) {
        report.found("sent", self.sent);
        report.found("acknowledged", self.acknowledged.count());
        report.found("unanswered", self.in_flight);
        if self.in_flight > 0 {
            report.fail(format!("{} requests were not answered", self.in_flight));
        }
        if self.unexpected > 0 {
            report.fail(format!("{} answers are neither success nor flow control", self.unexpected));
        }
    }

    /// Tells whether exactly the acknowledged messages are in the topic.
    pub fn report_offsets(&self, report: &mut Report, before: &[u64], after: &[u64]) {
        report.found("stored", growth_of(before, after));
        match self.acknowledged.check(before, after) {
            Ok(()) => report.found("offsets", "each acknowledged once"),
            Err(error) => report.fail(error.to_string()),
        }
    }
}

/// The frame of a send and where it differs from the next.
pub struct Frame {
    template: Template,
    bodies: BodyMaker,
    queue: Range<usize>,
    born: Range<usize>,
    messages: Vec<Places>,
}

/// Where a message in a frame differs from others.
struct Places {
    /// First byte of the trailer of the body.
    trailer: usize,
    /// Sequence in UNIQ_KEY.
    key: Range<usize>,
    /// Value of the property [`BUCKET`], if it has one.
    bucket: Option<Range<usize>>,
}

impl Places {
    fn behind(self, start: usize) -> Self {
        let moved = |range: Range<usize>| start + range.start..start + range.end;
        Self { trailer: start + self.trailer, key: moved(self.key), bucket: self.bucket.map(moved) }
    }
}

impl Frame {
    /// # Errors
    /// When the plan cannot be encoded.
    pub fn new(plan: &Plan) -> Result<Self> {
        let sends = &plan.sends;
        let size = sends.size as usize;
        let bodies = BodyMaker::new(plan.run, size);
        let mut properties = format!("UNIQ_KEY\u{1}{KEY_PREFIX}{KEY_MARK}\u{2}WAIT\u{1}true\u{2}");
        if let Some(level) = sends.delay_level {
            message::append_property(&mut properties, "DELAY", &level.to_string());
        }
        if let Some(delay) = sends.timer_delay_ms {
            message::append_property(&mut properties, "TIMER_DELAY_MS", &delay.to_string());
        }
        if sends.buckets {
            message::append_property(&mut properties, BUCKET, BUCKET_MARK);
        }
        if plan.half {
            message::append_property(&mut properties, "TRAN_MSG", "true");
            message::append_property(&mut properties, "PGROUP", PRODUCER_GROUP);
        }
        let key_at = "UNIQ_KEY\u{1}".len() + KEY_PREFIX.len();
        let bucket_at = properties.find(BUCKET_MARK);
        let mut body = Vec::new();
        // Of a batch, with places in the body.
        let mut messages = Vec::new();
        for _ in 0..sends.batch {
            let sample = bodies.sample();
            if sends.batch == 1 {
                body = sample;
                break;
            }
            let start = body.len();
            let part = BatchPart { flag: 0, body: &sample, properties: properties.as_bytes() };
            ensure!(message::append_batch_part(&mut body, &part), "a message too long for a batch");
            let properties_at = body.len() - properties.len();
            let place = |at: usize, mark: &str| properties_at + at..properties_at + at + mark.len();
            messages.push(Places {
                // 20 bytes before the body: total size, magic, CRC, flag, body length.
                trailer: start + 20 + size - TRAILER_BYTES,
                key: place(key_at, KEY_MARK),
                bucket: bucket_at.map(|at| place(at, BUCKET_MARK)),
            });
        }
        let queue_width = (plan.queues - 1).max(1).ilog10() as usize + 1;
        let queue = "0".repeat(queue_width);
        let code = if sends.batch > 1 { RequestCode::SendBatchMessage } else { RequestCode::SendMessageV2 };
        let header = SendMessageRequest {
            producer_group: PRODUCER_GROUP,
            topic: &plan.topic,
            default_topic: "TBW102",
            default_topic_queue_nums: i32::try_from(plan.queues)?.min(8),
            queue_id: 0,
            sys_flag: if plan.half { PREPARED } else { 0 },
            born_timestamp: 1_700_000_000_000,
            flag: 0,
            properties: Some(&properties),
            reconsume_times: Some(0),
            unit_mode: false,
            max_reconsume_times: None,
            batch: sends.batch > 1,
            broker_name: None,
        };
        let mut request = RemotingCommand::request(code).with_body(body);
        header.encode_v2(&mut request.fields);
        request.fields.set("e", &queue);
        if plan.oneway {
            request.mark_oneway();
        }
        let body_len = request.body_len();
        let template = Template::new(request, plan.form)?;
        let body_at = template.len() - body_len;
        let messages = if sends.batch > 1 {
            messages.into_iter().map(|places: Places| places.behind(body_at)).collect()
        } else {
            vec![Places {
                trailer: body_at + size - TRAILER_BYTES,
                key: template.place_of(KEY_MARK.as_bytes())?,
                bucket: bucket_at.map(|_| template.place_of(BUCKET_MARK.as_bytes())).transpose()?,
            }]
        };
        Ok(Self {
            queue: template.place_of_field("e", queue_width)?,
            born: template.place_of_field("g", 13)?,
            template,
            bodies,
            messages,
        })
    }

    /// Appends the frame of a request; `first` is connection, sequence and due time of its first message.
    pub fn append(&self, out: &mut Vec<u8>, opaque: u32, queue: u32, born: u64, first: (u32, u64, u64)) {
        let frame = self.template.append(out, opaque);
        write_digits(&mut frame[self.queue.clone()], queue.into());
        write_digits(&mut frame[self.born.clone()], born);
        let (connection, mut sequence, due) = first;
        for places in &self.messages {
            // 16 bits of connection, 48 of sequence: unique within a run.
            write_hex(&mut frame[places.key.clone()], u64::from(connection) << 48 | sequence);
            if let Some(bucket) = &places.bucket {
                write_digits(&mut frame[bucket.clone()], bucket_of(sequence));
            }
            if let Some(trailer) = frame[places.trailer..].first_chunk_mut() {
                self.bodies.write_trailer(trailer, connection, sequence, due);
            }
            sequence += 1;
        }
    }
}
