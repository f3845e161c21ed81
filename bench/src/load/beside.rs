//! Sends at a rate with consumers beside them: what `tail` and `hold` have in common.

use anyhow::Result;

use super::answer::Answer;
use super::clock::SECOND;
use super::links::{Driver, Links, Output, Turn};
use super::locks::{LOCK_OPAQUE, Locks};
use super::meter::{Announcer, Meter};
use super::pulls::{Pulled, Puller};
use super::reader::Reader;
use super::sender::Sender;

/// How long messages that were acknowledged are waited for.
const RECEIVE_WAIT: u64 = 15 * SECOND;

/// Sends on the first links, pulls on those behind them.
pub struct Beside {
    sender: Sender,
    sending_links: usize,
    puller: Puller,
    announcer: Announcer,
    run: u64,
    /// Whether the consumers read what is sent.
    receiving: bool,
    /// Of the first consumer.
    locks: Option<Locks>,
    /// Counts of what was received.
    received: Meter,
    reader: Reader,
    refused: u64,
}

/// What is left of a run.
pub struct Outcome {
    /// With its counts.
    pub sender: Sender,
    /// With the CPU of the window.
    pub announcer: Announcer,
    /// Counts of what was received; latencies are end to end.
    pub received: Meter,
    /// What was found in it.
    pub reader: Reader,
    /// Pulls that were refused.
    pub refused: u64,
    /// Of the first consumer.
    pub locks: Option<Locks>,
}

impl Beside {
    /// All parts; `sending_links` belong to `sender`.
    ///
    /// # Errors
    /// Never.
    pub fn new(sender: Sender, sending_links: usize, puller: Puller, run: u64, receiving: bool) -> Result<Self> {
        let window = sender.meter.window;
        Ok(Self {
            sender,
            sending_links,
            puller,
            announcer: Announcer::new(window),
            run,
            receiving,
            locks: None,
            received: Meter::new(window)?,
            reader: Reader::default(),
            refused: 0,
        })
    }

    /// The same with locks that the first consumer holds.
    pub fn with_locks(self, locks: Option<Locks>) -> Self {
        Self { locks, ..self }
    }

    /// Runs to the end. The clients have joined their groups.
    ///
    /// # Errors
    /// When a connection is lost or the server answers what makes no sense.
    pub fn run(mut self, links: &mut Links, now: u64) -> Result<Outcome> {
        for client in 0..self.puller.clients() {
            for slot in 0..self.puller.queues(client) {
                self.puller.ask(client, slot, links.output(self.sending_links + client), now);
            }
        }
        links.run(&mut self)?;
        let Self { sender, announcer, received, reader, refused, locks, .. } = self;
        Ok(Outcome { sender, announcer, received, reader, refused, locks })
    }
}

impl Driver for Beside {
    fn answer(&mut self, link: usize, out: &mut Output, answer: &Answer<'_>, now: u64) -> Result<()> {
        let Some(client) = link.checked_sub(self.sending_links) else {
            return self.sender.answer(link, answer, now);
        };
        if let (LOCK_OPAQUE, Some(locks)) = (answer.opaque, &mut self.locks) {
            return locks.answer(answer);
        }
        let (slot, pulled) = self.puller.answer(client, answer)?;
        match pulled {
            Pulled::Messages => {
                let queue = self.puller.queue(client, slot);
                let (received, run) = (&mut self.received, self.run);
                queue.offset = self.reader.read(queue.id, queue.offset, answer.body, |_, trailer, length| {
                    if trailer.run == run {
                        received.success(trailer.due, now, 1, length as u64);
                    }
                })?;
            }
            Pulled::Nothing => {}
            Pulled::Heartbeat => return Ok(()),
            Pulled::Refused => {
                self.refused += 1;
                self.received.error(answer);
                return Ok(());
            }
        }
        self.puller.ask(client, slot, out, now);
        Ok(())
    }

    fn fill(&mut self, link: usize, out: &mut Output, now: u64) {
        if link < self.sending_links {
            self.sender.fill(link, out, now);
        }
    }

    fn turn(&mut self, links: &mut Links, now: u64) -> Result<Turn> {
        let announce = self.announcer.turn(now)?;
        let heartbeat = self.puller.turn(links, self.sending_links, now);
        let renewal = self.locks.as_mut().map_or(u64::MAX, |locks| locks.turn(links, self.sending_links, now));
        let heartbeat = heartbeat.min(renewal);
        if let Some(wake) = self.sender.turn(links, now) {
            return Ok(Turn::Until(wake.min(announce).min(heartbeat)));
        }
        let wait_end = self.received.window.end + RECEIVE_WAIT;
        let missing = self.receiving && self.refused == 0 && self.reader.messages < self.sender.acknowledged.count();
        Ok(if missing && now < wait_end { Turn::Until(wait_end.min(heartbeat)) } else { Turn::Done })
    }
}
