//! Which requests of a link wait for their answer.

use super::answer::OPAQUE_MIN;

/// Requests of a link that wait for their answer, with what has to be known about each then.
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    generation: u32,
    generations: u32,
}

#[derive(Clone, Copy)]
struct Slot<T> {
    /// 0 for a free one.
    opaque: u32,
    request: T,
}

impl<T: Copy + Default> Slots<T> {
    /// Room for `count` requests.
    pub fn new(count: u32) -> Self {
        let empty = Slot { opaque: 0, request: T::default() };
        Self {
            slots: vec![empty; count as usize],
            free: (0..count).collect(),
            generation: 0,
            // An opaque is OPAQUE_MIN + generation * count + slot, below 2^31.
            generations: (i32::MAX as u32 - OPAQUE_MIN) / count.max(1),
        }
    }

    /// Whether another may be sent.
    pub fn any_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Takes room for a request and gives it an opaque.
    pub fn take(&mut self, request: T) -> Option<u32> {
        let slot = self.free.pop()?;
        self.generation = (self.generation + 1) % self.generations;
        let opaque = OPAQUE_MIN + self.generation * self.slots.len() as u32 + slot;
        self.slots[slot as usize] = Slot { opaque, request };
        Some(opaque)
    }

    /// Gives back the room of the request with that opaque, if there is one.
    pub fn give(&mut self, opaque: u32) -> Option<T> {
        let index = opaque.checked_sub(OPAQUE_MIN)? % self.slots.len() as u32;
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.opaque == opaque)?;
        slot.opaque = 0;
        self.free.push(index);
        Some(slot.request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opaque_is_answered_once() {
        let mut slots = Slots::new(3);
        let taken: Vec<u32> = (0..3).map(|queue| slots.take((queue, 10)).unwrap()).collect();
        assert_eq!(slots.take((3, 10)), None);
        assert!(!slots.any_free());
        assert_eq!(slots.give(taken[1]), Some((1, 10)));
        assert!(slots.give(taken[1]).is_none());
        let again = slots.take((9, 20)).unwrap();
        assert!(!taken.contains(&again));
        assert!(slots.give(5).is_none() && slots.give(u32::MAX).is_none());
        assert!(taken.iter().all(|opaque| (OPAQUE_MIN..=i32::MAX as u32).contains(opaque)));
    }

    #[test]
    fn opaques_keep_ten_digits_when_they_wrap() {
        let mut slots = Slots::new(1 << 20);
        for _ in 0..3000 {
            let opaque = slots.take(()).unwrap();
            assert!((OPAQUE_MIN..=i32::MAX as u32).contains(&opaque));
            assert!(slots.give(opaque).is_some());
        }
    }
}
