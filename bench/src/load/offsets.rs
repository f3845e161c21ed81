//! Whether the queue offsets that were acknowledged are exactly those that a topic grew by.
//!
//! Answers on one connection may overtake each other (Java handles sends of a connection on several threads), so their
//! order proves nothing. Count and sum of a hash of the offsets do: they agree with those of the range that a queue
//! grew by only if every offset of it was acknowledged exactly once.

use anyhow::{Result, bail};

/// Acknowledged offsets by queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged(Vec<Queue>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Queue {
    count: u64,
    hash: u64,
}

impl Queue {
    fn add(&mut self, offset: u64) {
        self.count += 1;
        self.hash = self.hash.wrapping_add(mix(offset));
    }
}

/// Spreads bits (the finalizer of SplitMix64).
fn mix(offset: u64) -> u64 {
    let mut z = offset.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Acknowledged {
    /// Nothing yet.
    pub fn new(queues: u32) -> Self {
        Self(vec![Queue::default(); queues as usize])
    }

    /// `count` messages from `offset` on. False when there is no such queue.
    pub fn add(&mut self, queue: u32, offset: u64, count: u32) -> bool {
        let Some(queue) = self.0.get_mut(queue as usize) else { return false };
        (offset..offset + u64::from(count)).for_each(|offset| queue.add(offset));
        true
    }

    /// Adds what another thread saw.
    pub fn merge(&mut self, other: &Self) {
        for (queue, other) in self.0.iter_mut().zip(&other.0) {
            queue.count += other.count;
            queue.hash = queue.hash.wrapping_add(other.hash);
        }
    }

    /// All of them.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|queue| queue.count).sum()
    }

    /// Compares with the maximum offsets before and after.
    ///
    /// # Errors
    /// What is wrong with the first queue that does not agree.
    pub fn check(&self, before: &[u64], after: &[u64]) -> Result<()> {
        for (id, queue) in self.0.iter().enumerate() {
            let (before, after) = (before.get(id).copied().unwrap_or(0), after.get(id).copied().unwrap_or(0));
            let mut grown = Queue::default();
            (before..after).for_each(|offset| grown.add(offset));
            if grown.count != queue.count {
                bail!("queue {id} grew by {} messages, {} were acknowledged", grown.count, queue.count);
            }
            if grown.hash != queue.hash {
                bail!("queue {id}: acknowledged offsets are not those from {before} to {after}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offset_once_in_any_order() {
        let mut seen = Acknowledged::new(2);
        assert!(seen.add(0, 7, 3) && seen.add(0, 5, 2) && seen.add(1, 0, 1));
        assert!(!seen.add(2, 0, 1));
        assert_eq!(seen.count(), 6);
        seen.check(&[5, 0], &[10, 1]).unwrap();
        assert!(seen.check(&[5, 0], &[11, 1]).is_err());
        assert!(seen.check(&[4, 0], &[9, 1]).is_err());

        let mut twice = Acknowledged::new(1);
        assert!(twice.add(0, 1, 1) && twice.add(0, 1, 1) && twice.add(0, 2, 1));
        assert!(twice.check(&[0], &[3]).is_err());
    }
}
