//! What is remembered of the last pop of a queue that keeps order: which messages it took, which are acknowledged, and
//! when the others become visible (`QueueLevelConsumerManager.OrderInfo` of 5.5.0).

use std::collections::BTreeMap;

use hypergol_remoting::body;

/// Messages whose acknowledgement the bits can hold.
const BITS: usize = 64;

body! {
    /// The last pop of a queue, as `consumerOrderInfo.json` holds it.
    #[derive(Eq)]
    pub struct OrderInfo {
        /// Attempt that popped; the same attempt may pop the same messages again.
        "a" attempt_id: Option<String>,
        /// Messages acknowledged, by place.
        "cm" commit_offset_bit: i64,
        /// Invisible time of the pop, ms.
        "i" invisible_time: Option<i64>,
        /// Time of the pop at the broker, ms since 1970.
        "l" last_consume_timestamp: i64,
        /// The first queue offset, then differences to it.
        "o" offset_list: Option<Vec<i64>>,
        /// How often a message was popped before, by queue offset; those popped for the first time are left out.
        "oc" offset_consumed_count: Option<BTreeMap<i64, i32>>,
        /// When a message becomes visible, ms since 1970, by queue offset, where that was changed.
        "ot" offset_next_visible_time: Option<BTreeMap<i64, i64>>,
        /// Time of the pop as the answer told it, ms since 1970.
        "popTime" pop_time: i64,
    }
}

/// What an acknowledgement means for the committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// The message is not of the last pop.
    Illegal,
    /// The message is of an older pop: nothing changes.
    Older,
    /// All messages before this offset are done.
    UpTo(i64),
}

impl OrderInfo {
    /// A pop of messages at `offsets`, rising and at least one.
    pub fn new(attempt_id: Option<&str>, pop_time: i64, invisible_time: i64, offsets: &[i64], now: i64) -> Self {
        let first = offsets.first().copied().unwrap_or_default();
        let rest = offsets.iter().skip(1).map(|offset| offset.saturating_sub(first));
        Self {
            attempt_id: attempt_id.map(str::to_owned),
            invisible_time: Some(invisible_time),
            last_consume_timestamp: now,
            offset_list: Some(std::iter::once(first).chain(rest).collect()),
            pop_time,
            ..Self::default()
        }
    }

    /// Takes over from the pop before how often messages were popped: the same attempt does not count.
    pub fn follow(&mut self, before: &Self) {
        let known = before.offset_consumed_count.clone().unwrap_or_default();
        if before.attempt_id.is_some() && before.attempt_id == self.attempt_id {
            self.offset_consumed_count = Some(known);
            return;
        }
        let popped_before: Vec<i64> = before.offsets().collect();
        let counts = self.offsets().filter(|offset| popped_before.contains(offset)).map(|offset| {
            let count = known.get(&offset).map_or(1, |count| count.saturating_add(1));
            (offset, count)
        });
        self.offset_consumed_count = Some(counts.collect());
    }

    /// How often the messages were popped before, and the smallest such figure of all of them.
    pub fn counts(&self) -> (&BTreeMap<i64, i32>, i32) {
        static NONE: BTreeMap<i64, i32> = BTreeMap::new();
        let counts = self.offset_consumed_count.as_ref().unwrap_or(&NONE);
        let all = counts.len() == self.len();
        let least = counts.values().min().copied().filter(|_| all).unwrap_or(0);
        (counts, least)
    }

    /// Queue offsets of the messages.
    pub fn offsets(&self) -> impl Iterator<Item = i64> {
        let list = self.offset_list.as_deref().unwrap_or_default();
        let first = list.first().copied().unwrap_or_default();
        list.iter()
            .enumerate()
            .map(move |(index, value)| if index == 0 { *value } else { first.saturating_add(*value) })
    }

    fn len(&self) -> usize {
        self.offset_list.as_ref().map_or(0, Vec::len)
    }

    fn is_acked(&self, index: usize) -> bool {
        index < BITS && self.commit_offset_bit & (1 << index) != 0
    }

    /// When the messages that are not acknowledged become visible.
    fn visible_times(&self, invisible_time: i64) -> impl Iterator<Item = i64> {
        let default = self.pop_time.saturating_add(invisible_time);
        let changed = self.offset_next_visible_time.as_ref();
        let open = self.offsets().enumerate().filter(|(index, _)| !self.is_acked(*index));
        open.map(move |(_, offset)| changed.and_then(|times| times.get(&offset)).copied().unwrap_or(default))
    }

    /// Whether a pop must wait for messages of this one. `invisible_time` is that of the pop that asks; it is noted where
    /// none is known.
    pub fn blocks(&mut self, attempt_id: Option<&str>, invisible_time: i64, now: i64) -> bool {
        if self.len() == 0 || (self.attempt_id.is_some() && self.attempt_id.as_deref() == attempt_id) {
            return false;
        }
        let known = match self.invisible_time.filter(|time| *time > 0) {
            Some(known) => known,
            None => *self.invisible_time.insert(invisible_time),
        };
        self.visible_times(known).any(|time| now < time)
    }

    /// When the first message that still holds up a pop becomes visible; `now` when none does, `None` where that cannot
    /// be said.
    pub fn free_at(&self, now: i64) -> Option<i64> {
        if self.len() == 0 {
            return None;
        }
        if self.offsets().enumerate().all(|(index, _)| self.is_acked(index)) {
            return Some(now);
        }
        let known = self.invisible_time.filter(|time| *time > 0)?;
        Some(self.visible_times(known).find(|time| now < *time).unwrap_or(now))
    }

    /// When the last message that still holds up a pop becomes visible; `now` when none does, `None` where that cannot be
    /// said.
    pub fn all_free_at(&self, now: i64) -> Option<i64> {
        if self.len() == 0 {
            return None;
        }
        if self.offsets().enumerate().all(|(index, _)| self.is_acked(index)) {
            return Some(now);
        }
        let known = self.invisible_time.filter(|time| *time > 0)?;
        Some(self.visible_times(known).max().unwrap_or(now).max(now))
    }

    /// Has all messages become visible at `time`, and their next pop not counted; false when it is of an older pop.
    pub fn suspend(&mut self, pop_time: i64, time: i64) -> bool {
        if pop_time != self.pop_time {
            return false;
        }
        for count in self.offset_consumed_count.iter_mut().flat_map(BTreeMap::values_mut) {
            *count = (*count - 1).max(0);
        }
        self.offset_next_visible_time = None;
        self.invisible_time = Some(time.saturating_sub(self.pop_time));
        true
    }

    /// Acknowledges a message.
    pub fn ack(&mut self, offset: i64, pop_time: i64) -> Acked {
        if self.len() == 0 {
            return Acked::Illegal;
        }
        if pop_time != self.pop_time {
            return Acked::Older;
        }
        let place = self.offsets().position(|known| known == offset).filter(|index| *index < BITS);
        match place {
            None => Acked::Illegal,
            Some(index) => {
                self.commit_offset_bit |= 1 << index;
                Acked::UpTo(self.next_offset())
            }
        }
    }

    /// The first message that is not acknowledged, or the offset behind the last.
    fn next_offset(&self) -> i64 {
        let open = self.offsets().enumerate().find(|(index, _)| !self.is_acked(*index));
        let behind = self.offsets().last().map_or(0, |last| last.saturating_add(1));
        open.map_or(behind, |(_, offset)| offset)
    }

    /// Sets when a message becomes visible; false when it is of an older pop.
    pub fn set_visible_time(&mut self, offset: i64, pop_time: i64, time: i64) -> bool {
        if pop_time != self.pop_time || !self.offsets().any(|known| known == offset) {
            return false;
        }
        self.offset_next_visible_time.get_or_insert_default().insert(offset, time);
        true
    }
}

#[cfg(test)]
mod tests {
    use hypergol_remoting::protocol::fastjson::Body;
    use proptest::prelude::*;

    use super::*;

    fn popped(attempt: &str, time: i64, offsets: &[i64]) -> OrderInfo {
        OrderInfo::new(Some(attempt), time, 100, offsets, time)
    }

    #[test]
    fn a_pop_holds_up_the_next_until_it_is_acknowledged_or_visible() {
        let mut info = popped("a", 1000, &[5, 6, 9]);
        assert!(info.blocks(Some("b"), 1, 1099) && info.blocks(None, 1, 1099));
        assert!(!info.blocks(Some("a"), 1, 1099), "the same attempt");
        assert!(!info.blocks(Some("b"), 1, 1100));
        assert_eq!(info.ack(6, 1000), Acked::UpTo(5));
        assert_eq!(info.ack(5, 1000), Acked::UpTo(9));
        assert_eq!((info.ack(9, 1), info.ack(7, 1000)), (Acked::Older, Acked::Illegal));
        assert!(info.set_visible_time(9, 1000, 2000) && !info.set_visible_time(9, 999, 2000));
        assert_eq!((info.free_at(1500), info.free_at(2000)), (Some(2000), Some(2000)));
        assert!(info.blocks(Some("b"), 1, 1999));
        assert_eq!(info.ack(9, 1000), Acked::UpTo(10));
        assert!(!info.blocks(Some("b"), 1, 1001));
    }

    #[test]
    fn a_suspended_pop_comes_again_as_if_for_the_first_time() {
        let first = popped("a", 1000, &[5, 6]);
        let mut second = popped("b", 2000, &[5, 6]);
        second.follow(&first);
        assert!(second.set_visible_time(6, 2000, 9000));
        assert_eq!((second.free_at(2000), second.all_free_at(2000)), (Some(2100), Some(9000)));
        assert!(!second.suspend(1000, 5000) && second.suspend(2000, 5000));
        assert_eq!((second.free_at(2000), second.all_free_at(2000)), (Some(5000), Some(5000)));
        assert_eq!(second.counts(), (&[(5, 0), (6, 0)].into(), 0));
        assert_eq!(second.all_free_at(6000), Some(6000));
    }

    #[test]
    fn repeated_messages_are_counted() {
        let first = popped("a", 1, &[5, 6]);
        let mut second = popped("b", 2, &[5, 6, 7]);
        second.follow(&first);
        assert_eq!(second.counts(), (&[(5, 1), (6, 1)].into(), 0));
        let mut same = popped("b", 3, &[5, 6, 7]);
        same.follow(&second);
        assert_eq!(same.counts(), second.counts(), "the same attempt");
        let mut third = popped("c", 4, &[5, 6]);
        third.follow(&same);
        assert_eq!(third.counts(), (&[(5, 2), (6, 2)].into(), 2));
    }

    #[test]
    fn a_file_of_java_is_read_and_written_back() {
        let text = r#"{"a":"x","cm":1,"i":3000,"l":20,"o":[7,1],"oc":{7:1},"ot":{8:50},"popTime":10}"#;
        let info = OrderInfo::decode(text.as_bytes()).unwrap();
        assert_eq!(info.offsets().collect::<Vec<_>>(), [7, 8]);
        assert_eq!(info.encode(), text.as_bytes());
        let mut empty = OrderInfo::decode(b"{}").unwrap();
        assert!(!empty.blocks(None, 1, 1) && empty.free_at(1).is_none());
        assert_eq!(empty.ack(1, 0), Acked::Illegal);
    }

    proptest! {
        #[test]
        fn the_offset_follows_the_first_that_is_open(
            gaps in proptest::collection::btree_set(0i64..100, 1..=32),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 1..64),
        ) {
            let offsets: Vec<i64> = gaps.into_iter().map(|gap| gap + 1000).collect();
            let mut info = popped("a", 1, &offsets);
            let mut open = offsets.clone();
            for index in order {
                let offset = *index.get(&offsets);
                open.retain(|known| *known != offset);
                let expected = open.first().copied().unwrap_or(offsets[offsets.len() - 1] + 1);
                prop_assert_eq!(info.ack(offset, 1), Acked::UpTo(expected));
            }
            prop_assert_eq!(info.blocks(None, 1, 1), !open.is_empty());
        }
    }
}
