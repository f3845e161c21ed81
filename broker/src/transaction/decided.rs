//! What the op messages say of the half messages that a round of the check looks at.

use std::collections::VecDeque;

/// Half messages that one round looks at, at most; one bit each, 8 MiB in all.
pub const WINDOW: i64 = 64 << 20;
/// Op messages that are remembered one by one; beyond it, neighbours are remembered together.
const OPS_MAX: usize = 64 << 10;
const WORD_BITS: i64 = u64::BITS as i64;

/// The decided half messages from a queue offset on, and where the op messages are that tell it.
#[derive(Debug)]
pub struct Decided {
    base: i64,
    bits: Vec<u64>,
    /// For op messages in order: the queue offset behind one, and the highest half message that it or those before it
    /// since the last entry tell of.
    ops: VecDeque<(i64, i64)>,
}

impl Decided {
    /// Nothing is decided from `base` on.
    pub fn new(base: i64) -> Self {
        Self { base, bits: Vec::new(), ops: VecDeque::new() }
    }

    /// Whether a half message is decided.
    pub fn contains(&self, half: i64) -> bool {
        self.place(half).is_some_and(|(word, bit)| self.bits.get(word).is_some_and(|word| word & bit != 0))
    }

    /// Notes an op message at `op_offset` that tells of these half messages. Those from `end` on do not exist.
    pub fn add(&mut self, op_offset: i64, halves: impl Iterator<Item = i64>, end: i64) {
        let mut highest = -1;
        for half in halves.filter(|half| *half < end) {
            highest = highest.max(half);
            if let Some((word, bit)) = self.place(half) {
                if self.bits.len() <= word {
                    self.bits.resize(word + 1, 0);
                }
                self.bits[word] |= bit;
            }
        }
        self.ops.push_back((op_offset + 1, highest));
        if self.ops.len() > OPS_MAX {
            self.join_neighbours();
        }
    }

    /// Where the op messages begin that tell of half messages from `half` on, or of nothing read so far: all before are
    /// of no more use. `from` is where reading began.
    pub fn op_offset_for(&self, half: i64, from: i64) -> i64 {
        let done = self.ops.iter().take_while(|(_, highest)| *highest < half);
        done.last().map_or(from, |(next, _)| *next)
    }

    fn place(&self, half: i64) -> Option<(usize, u64)> {
        let index = half.checked_sub(self.base).filter(|index| (0..WINDOW).contains(index))?;
        Some((usize::try_from(index / WORD_BITS).ok()?, 1 << (index % WORD_BITS)))
    }

    fn join_neighbours(&mut self) {
        let mut joined = VecDeque::with_capacity(OPS_MAX);
        let mut ops = self.ops.iter();
        while let Some((next, highest)) = ops.next() {
            match ops.next() {
                Some((later, other)) => joined.push_back((*later, *highest.max(other))),
                None => joined.push_back((*next, *highest)),
            }
        }
        self.ops = joined;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const END: i64 = i64::MAX;

    #[test]
    fn op_messages_are_done_when_all_their_halves_are_passed() {
        let mut decided = Decided::new(100);
        decided.add(5, [99, 100].into_iter(), END);
        decided.add(6, [103].into_iter(), END);
        decided.add(7, [101, 102].into_iter(), END);
        decided.add(8, std::iter::empty(), END);
        assert!(decided.contains(100) && decided.contains(103) && !decided.contains(99) && !decided.contains(104));
        assert_eq!(decided.op_offset_for(100, 5), 5);
        assert_eq!(decided.op_offset_for(101, 5), 6, "the first tells of 100 and before");
        assert_eq!(decided.op_offset_for(103, 5), 6);
        assert_eq!(decided.op_offset_for(104, 5), 9, "an empty one needs nothing");
    }

    #[test]
    fn nonsense_takes_no_memory() {
        let mut decided = Decided::new(0);
        decided.add(0, [i64::MAX - 1, WINDOW, 1 << 40].into_iter(), 10);
        assert!(decided.bits.is_empty());
        assert_eq!(decided.op_offset_for(0, 0), 1);
        decided.add(1, [WINDOW].into_iter(), END);
        assert!(decided.bits.is_empty(), "beyond what a round looks at");
        assert_eq!(decided.op_offset_for(WINDOW, 0), 1, "and read again in the next");
    }

    #[test]
    fn many_op_messages_are_joined() {
        let mut decided = Decided::new(0);
        for op in 0..3 * OPS_MAX as i64 {
            decided.add(op, [op].into_iter(), END);
        }
        assert!(decided.ops.len() <= OPS_MAX);
        let half = 2 * OPS_MAX as i64;
        let done = decided.op_offset_for(half, 0);
        assert!(done <= half && done >= half - 8, "{done} of {half}");
    }

    proptest! {
        #[test]
        fn it_says_what_a_set_says(
            base in 0i64..50,
            ops in proptest::collection::vec(proptest::collection::vec(0i64..200, 0..6), 0..40),
            half in 0i64..220,
        ) {
            let mut decided = Decided::new(base);
            let mut set = BTreeSet::new();
            for (op, halves) in ops.iter().enumerate() {
                decided.add(op as i64, halves.iter().copied(), END);
                set.extend(halves.iter().copied().filter(|half| *half >= base));
            }
            for half in 0..220 {
                prop_assert_eq!(decided.contains(half), set.contains(&half));
            }
            let done = ops.iter().take_while(|halves| halves.iter().all(|h| *h < half)).count();
            prop_assert_eq!(decided.op_offset_for(half, 0), done as i64);
        }
    }
}
