//! Checks what pulls bring: nothing missing, nothing twice, nothing damaged.

use std::collections::HashMap;

use anyhow::{Context, Result};

use super::body::Trailer;
use super::report::Report;

/// Senders and queues whose order is followed; beyond it order is not looked at.
const ORDERS_MAX: usize = 4 << 20;
/// Bit of the system flag: the born host is an IPv6 address.
const BORN_HOST_V6: u32 = 0x10;
/// Bit of the system flag: the store host is an IPv6 address.
const STORE_HOST_V6: u32 = 0x20;

/// A message where it lies in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    size: usize,
    /// Queue id.
    pub queue: u32,
    /// Queue offset.
    pub offset: u64,
    /// Body.
    pub body: &'a [u8],
}

/// The messages of an answer, one after the other; an error ends them when something else is there.
pub fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let record = Record::parse(bytes).context("an answer holds something that is no message");
        bytes = record.as_ref().map_or(&[], |record| &bytes[record.size..]);
        Some(record)
    })
}

impl<'a> Record<'a> {
    /// The record at the front of `bytes`:
    /// `4 size | 4 magic | 4 CRC | 4 queue | 4 flag | 8 queue offset | 8 offset | 4 system flag | 8 born | 8/20 host |
    /// 8 stored | 8/20 host | 4 reconsume times | 8 transaction | 4 + n body | …`.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let size = word(bytes, 0)? as usize;
        let record = bytes.get(..size)?;
        let system = word(record, 36)?;
        let host = |bit| if system & bit != 0 { 20 } else { 8 };
        let length_at = 48 + host(BORN_HOST_V6) + 8 + host(STORE_HOST_V6) + 12;
        let length = word(record, length_at)? as usize;
        let body = record.get(length_at + 4..)?.get(..length)?;
        let offset = u64::from_be_bytes(*record.get(20..)?.first_chunk()?);
        Some(Self { size, queue: word(record, 12)?, offset, body })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Reader {
    /// Messages.
    pub messages: u64,
    /// Next sequence of a run's connection in a queue, at least.
    orders: HashMap<(u64, u32, u32), u64>,
    /// Whether messages may lack in between, because of a filter.
    sparse: bool,
    damaged: u64,
    misplaced: u64,
    /// Messages of a connection that came after later ones of the same queue.
    pub inversions: u64,
}

impl Reader {
    /// For pulls by a filter, if `sparse`: messages may lack in between.
    pub fn new(sparse: bool) -> Self {
        Self { sparse, ..Self::default() }
    }

    /// Goes over the messages of an answer to a pull of `queue` at `offset`; calls `each` with offset, trailer and
    /// length of the body of each good one. Returns the offset behind the last one.
    ///
    /// # Errors
    /// When there is something else than messages in the answer.
    pub fn read(
        &mut self,
        queue: u32,
        mut offset: u64,
        bytes: &[u8],
        mut each: impl FnMut(u64, &Trailer, usize),
    ) -> Result<u64> {
        for record in records(bytes) {
            let record = record?;
            self.messages += 1;
            let follows = if self.sparse { record.offset >= offset } else { record.offset == offset };
            self.misplaced += u64::from(record.queue != queue || !follows);
            offset = record.offset + 1;
            match Trailer::read(record.body) {
                Some(trailer) => {
                    self.follow(queue, &trailer);
                    each(record.offset, &trailer, record.body.len());
                }
                None => self.damaged += 1,
            }
        }
        Ok(offset)
    }

    fn follow(&mut self, queue: u32, trailer: &Trailer) {
        let key = (trailer.run, trailer.connection, queue);
        if self.orders.len() >= ORDERS_MAX && !self.orders.contains_key(&key) {
            return;
        }
        let next = self.orders.entry(key).or_default();
        self.inversions += u64::from(trailer.sequence < *next);
        *next = (*next).max(trailer.sequence + 1);
    }

    /// Tells what was found.
    pub fn report(&self, report: &mut Report) {
        report.found("received", self.messages);
        report.found("damaged", self.damaged);
        report.found("misplaced", self.misplaced);
        // Not a fault: a server may handle requests that a sender did not wait for in any order, and Java does.
        report.found("sender_inversions", self.inversions);
        if self.damaged > 0 {
            report.fail(format!("{} messages are damaged", self.damaged));
        }
        if self.misplaced > 0 {
            report.fail(format!("{} messages are not at the offset that follows", self.misplaced));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::BodyMaker;
    use super::*;

    fn record(queue: u32, offset: u64, sequence: u64) -> Vec<u8> {
        let maker = BodyMaker::new(1, 40);
        let mut body = maker.sample();
        maker.write_trailer(body.last_chunk_mut().unwrap(), 0, sequence, 0);
        let mut bytes = vec![0; 88];
        bytes[12..16].copy_from_slice(&queue.to_be_bytes());
        bytes[20..28].copy_from_slice(&offset.to_be_bytes());
        bytes[84..88].copy_from_slice(&40u32.to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&[1, b'T', 0, 0]);
        let size = bytes.len() as u32;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        bytes
    }

    fn read(answers: &[(u64, Vec<Vec<u8>>)]) -> Reader {
        let mut reader = Reader::default();
        for (offset, records) in answers {
            reader.read(3, *offset, &records.concat(), |_, _, length| assert_eq!(length, 40)).unwrap();
        }
        reader
    }

    #[test]
    fn what_is_in_order_is_fine() {
        let reader = read(&[(5, vec![record(3, 5, 0), record(3, 6, 8)]), (7, vec![record(3, 7, 16)])]);
        assert_eq!((reader.messages, reader.damaged, reader.misplaced, reader.inversions), (3, 0, 0, 0));
    }

    #[test]
    fn gaps_repeats_inversions_and_damage_are_counted() {
        assert_eq!(read(&[(5, vec![record(3, 6, 0)])]).misplaced, 1);
        assert_eq!(read(&[(5, vec![record(3, 5, 0), record(3, 5, 1)])]).misplaced, 1);
        assert_eq!(read(&[(5, vec![record(4, 5, 0)])]).misplaced, 1);
        assert_eq!(read(&[(5, vec![record(3, 5, 1), record(3, 6, 0)])]).inversions, 1);
        let mut damaged = record(3, 5, 0);
        damaged[100] ^= 1;
        assert_eq!(read(&[(5, vec![damaged])]).damaged, 1);
        assert!(Reader::default().read(3, 0, &[0; 20], |_, _, _| ()).is_err());
        assert!(Reader::default().read(3, 0, &record(3, 0, 0)[..60], |_, _, _| ()).is_err());
    }
}
