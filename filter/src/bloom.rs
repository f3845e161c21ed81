//! The bloom filter whose bits tell, for each stored message, which registered expressions it matches: RocketMQ's
//! `BloomFilter` and `BitsArray`.
//!
//! For an error rate of `f` percent and `n` names, `k = ceil(log(f/100) / log(0.5))` positions of
//! `m = ceil(n * log2(100/f) * log2(e))` bits, rounded up to whole bytes. Positions come from the two halves of the
//! first 64 bits of a 128-bit MurmurHash3, seed 0, as Guava computes it.

use std::f64::consts::E;

use thiserror::Error;

/// Why there is no filter of this size.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BloomError {
    /// Error rate outside of 1..100 percent.
    #[error("f must be greater or equal than 1 and less than 100")]
    ErrorRate,
    /// No names, or so many that a unit of a consume-queue extension cannot hold the bits.
    #[error("n must be greater than 0, and the filter at most {BITS_MAX} bits")]
    Size,
}

/// Bits that a unit of a consume-queue extension holds at most: 32767 bytes less its 20 others. Java finds out when it
/// writes one.
const BITS_MAX: u32 = (32_767 - 20) * 8;

/// A bloom filter: its size only, not its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BloomFilter {
    hashes: u32,
    bits: u32,
}

impl BloomFilter {
    /// Of an error rate in percent and a number of names.
    ///
    /// # Errors
    /// [`BloomError`].
    pub fn new(error_percent: i32, names: i32) -> Result<Self, BloomError> {
        if !(1..100).contains(&error_percent) {
            return Err(BloomError::ErrorRate);
        }
        if names < 1 {
            return Err(BloomError::Size);
        }
        let log = |base: f64, of: f64| of.ln() / base.ln();
        let error_rate = f64::from(error_percent) / 100.0;
        let hashes = log(0.5, error_rate).ceil();
        let bits = (f64::from(names) * log(2.0, 1.0 / error_rate) * log(2.0, E)).ceil();
        let bits = 8.0 * (bits / 8.0).ceil();
        if bits > f64::from(BITS_MAX) {
            return Err(BloomError::Size);
        }
        // Both are small and positive.
        Ok(Self { hashes: hashes as u32, bits: bits as u32 })
    }

    /// Positions for one name.
    pub fn hashes(&self) -> usize {
        self.hashes as usize
    }

    /// Bits of the filter, a multiple of 8.
    pub fn bits(&self) -> usize {
        self.bits as usize
    }

    /// Positions of a name's bits.
    pub fn positions(&self, name: &str) -> Vec<i32> {
        let hash = murmur3_first_half(name.as_bytes());
        let (low, high) = (hash as i32, (hash >> 32) as i32);
        let position = |i: i32| {
            let combined = low.wrapping_add(i.wrapping_mul(high));
            let positive = if combined < 0 { !combined } else { combined };
            positive % self.bits as i32
        };
        (1..=self.hashes as i32).map(position).collect()
    }

    /// Whether positions, of a file for example, can be this filter's.
    pub fn is_valid(&self, positions: &[i32], bits: i32) -> bool {
        bits == self.bits as i32
            && positions.len() == self.hashes()
            && positions.iter().all(|position| (0..bits).contains(position))
    }
}

/// Sets the bit of a position; one outside is passed over.
pub fn set_bit(bits: &mut [u8], position: i32) {
    if let Ok(position) = usize::try_from(position)
        && let Some(byte) = bits.get_mut(position / 8)
    {
        *byte |= 1 << (position % 8);
    }
}

/// Whether the bit of a position is set; false outside.
pub fn get_bit(bits: &[u8], position: i32) -> bool {
    let Ok(position) = usize::try_from(position) else { return false };
    bits.get(position / 8).is_some_and(|byte| byte & 1 << (position % 8) != 0)
}

/// The first 64 bits of MurmurHash3_x64_128 with seed 0 (Austin Appleby, public domain).
fn murmur3_first_half(data: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = data.chunks_exact(16);
    for block in &mut blocks {
        h1 ^= mix1(word(&block[..8]));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(word(&block[8..]));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let tail = blocks.remainder();
    let (first, second) = tail.split_at(tail.len().min(8));
    h1 ^= mix1(word(first));
    h2 ^= mix2(word(second));
    let length = data.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    let finish = |mut k: u64| {
        k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        k ^ k >> 33
    };
    finish(h1).wrapping_add(finish(h2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_java_s() {
        let default = BloomFilter::new(20, 32).unwrap();
        assert_eq!((default.hashes(), default.bits()), (3, 112));
        assert_eq!(BloomFilter::new(1, 1).map(|filter| (filter.hashes(), filter.bits())), Ok((7, 16)));
        assert_eq!(BloomFilter::new(0, 32), Err(BloomError::ErrorRate));
        assert_eq!(BloomFilter::new(100, 32), Err(BloomError::ErrorRate));
        assert_eq!(BloomFilter::new(20, 0), Err(BloomError::Size));
        assert_eq!(BloomFilter::new(20, i32::MAX), Err(BloomError::Size));
    }

    /// Values of Guava 32 (`Hashing.murmur3_128().hashString(.., UTF_8).asLong()`).
    #[test]
    fn hashes_are_guava_s() {
        assert_eq!(murmur3_first_half(b""), 0);
        assert_eq!(murmur3_first_half(b"hello") as i64, -3_758_069_500_696_749_310);
        let (first, again) = (BloomFilter::new(20, 32).unwrap().positions("g#t"), BloomFilter::new(20, 32).unwrap());
        assert_eq!(first.len(), 3);
        assert!(again.is_valid(&first, 112));
    }

    #[test]
    fn bits_outside_are_passed_over() {
        let mut bits = [0u8; 2];
        for position in [0, 9, 15, 16, -1, i32::MAX, i32::MIN] {
            set_bit(&mut bits, position);
        }
        assert_eq!(bits, [1, 0b1000_0010]);
        assert!(get_bit(&bits, 9) && !get_bit(&bits, 8) && !get_bit(&bits, 16) && !get_bit(&bits, -1));
        assert!(!BloomFilter::new(20, 32).unwrap().is_valid(&[1, 2, 112], 112));
    }
}
