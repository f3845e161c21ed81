//! What a message carries so that a reader can check it.
//!
//! A body is filler, then 32 bytes, integers big-endian:
//! `8 run id | 4 connection | 8 sequence on it | 8 ns since the run's zero when it was due | 4 CRC-32 of all before`.
//! The filler is the same in all bodies of a run, so that the CRC of a body costs only that of its last bytes.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// Bytes behind the filler.
pub const TRAILER_BYTES: usize = 32;
const CHECKED_BYTES: usize = TRAILER_BYTES - 4;

/// Makes the bodies of a run.
#[derive(Clone, Debug)]
pub struct BodyMaker {
    filler: Vec<u8>,
    filler_crc: crc32fast::Hasher,
    run: u64,
}

impl BodyMaker {
    /// Bodies of `size` bytes, at least [`TRAILER_BYTES`].
    pub fn new(run: u64, size: usize) -> Self {
        let mut filler = vec![0; size.saturating_sub(TRAILER_BYTES)];
        StdRng::seed_from_u64(run).fill_bytes(&mut filler);
        let mut filler_crc = crc32fast::Hasher::new();
        filler_crc.update(&filler);
        Self { filler, filler_crc, run }
    }

    /// A body of connection, sequence and time 0.
    pub fn sample(&self) -> Vec<u8> {
        let mut body = self.filler.clone();
        body.resize(self.filler.len() + TRAILER_BYTES, 0);
        let at = self.filler.len();
        if let Some(trailer) = body[at..].first_chunk_mut() {
            self.write_trailer(trailer, 0, 0, 0);
        }
        body
    }

    /// Writes what differs from body to body.
    pub fn write_trailer(&self, trailer: &mut [u8; TRAILER_BYTES], connection: u32, sequence: u64, due: u64) {
        trailer[..8].copy_from_slice(&self.run.to_be_bytes());
        trailer[8..12].copy_from_slice(&connection.to_be_bytes());
        trailer[12..20].copy_from_slice(&sequence.to_be_bytes());
        trailer[20..28].copy_from_slice(&due.to_be_bytes());
        let mut crc = self.filler_crc.clone();
        crc.update(&trailer[..CHECKED_BYTES]);
        trailer[28..].copy_from_slice(&crc.finalize().to_be_bytes());
    }
}

/// What the end of a body says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Which run sent it.
    pub run: u64,
    /// On which of its connections.
    pub connection: u32,
    /// As how manieth there.
    pub sequence: u64,
    /// When it was due, in nanoseconds of the run's clock.
    pub due: u64,
}

impl Trailer {
    /// Reads and checks a body; `None` when its checksum is wrong.
    pub fn read(body: &[u8]) -> Option<Self> {
        let (checked, crc) = body.split_last_chunk::<4>()?;
        let (_, trailer) = checked.split_last_chunk::<CHECKED_BYTES>()?;
        if crc32fast::hash(checked) != u32::from_be_bytes(*crc) {
            return None;
        }
        Some(Self {
            run: u64::from_be_bytes(*trailer.first_chunk()?),
            connection: u32::from_be_bytes(*trailer.get(8..)?.first_chunk()?),
            sequence: u64::from_be_bytes(*trailer.get(12..)?.first_chunk()?),
            due: u64::from_be_bytes(*trailer.get(20..)?.first_chunk()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_body_is_noticed() {
        for size in [TRAILER_BYTES, 100] {
            let maker = BodyMaker::new(7, size);
            let mut body = maker.sample();
            assert_eq!(body.len(), size);
            maker.write_trailer(body.last_chunk_mut().unwrap(), 3, 4, 5);
            assert_eq!(Trailer::read(&body), Some(Trailer { run: 7, connection: 3, sequence: 4, due: 5 }));
            for at in 0..size {
                let mut damaged = body.clone();
                damaged[at] ^= 1;
                assert_eq!(Trailer::read(&damaged), None, "byte {at}");
            }
        }
        assert_eq!(Trailer::read(&[0; 31]), None);
    }
}
