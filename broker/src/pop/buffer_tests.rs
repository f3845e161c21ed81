use std::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Model {
    committed: RefCell<HashMap<QueueKey, i64>>,
    stored_end: Cell<i64>,
}

impl Model {
    fn stored_up_to(end: i64) -> Self {
        let model = Self::default();
        model.stored_end.set(end);
        model
    }

    fn of(&self, key: &QueueKey) -> Option<i64> {
        self.committed.borrow().get(key).copied()
    }
}

impl Positions for Model {
    fn commit(&self, key: &QueueKey, offset: i64) {
        let mut committed = self.committed.borrow_mut();
        let known = committed.entry(key.clone()).or_insert(offset);
        *known = offset.max(*known);
    }

    fn stored_end(&self) -> i64 {
        self.stored_end.get()
    }
}

fn queue() -> QueueKey {
    QueueKey::new("T", "G", 0)
}

fn point(start_offset: i64, num: i32) -> PopCheckPoint {
    PopCheckPoint {
        topic: "T".into(),
        consumer_group: "G".into(),
        broker_name: Some("b".into()),
        start_offset,
        num,
        pop_time: 1,
        invisible_time: 10,
        queue_offset_diff: Some((0..num).collect()),
        ..PopCheckPoint::default()
    }
}

fn keep(buffer: &Buffer, start: i64, num: i32, leave_at: i64) -> bool {
    buffer.keep(NewBuffered {
        point: point(start, num),
        own_broker: "b",
        revive_queue: 0,
        queue: &queue(),
        next_offset: start + i64::from(num),
        leave_at,
    })
}

fn key(start: i64) -> MergeKey {
    MergeKey::of_checkpoint(&point(start, 1), "b")
}

#[test]
fn a_stored_checkpoint_is_committed_at_once() {
    let (buffer, model) = (Buffer::default(), Model::stored_up_to(100));
    buffer.accounted(&queue(), 7, 100, &model);
    assert_eq!((model.of(&queue()), buffer.latest(&queue())), (Some(7), None));
}

#[test]
fn what_is_not_on_disk_is_not_committed() {
    let (buffer, model) = (Buffer::default(), Model::stored_up_to(100));
    buffer.accounted(&queue(), 7, 101, &model);
    buffer.accounted(&queue(), 9, 150, &model);
    assert_eq!((model.of(&queue()), buffer.latest(&queue()), buffer.has_unstored()), (None, Some(9), true));
    assert_eq!(buffer.steps_of(&queue()), 1);
    model.stored_end.set(149);
    buffer.commit_stored(&model);
    assert_eq!(model.of(&queue()), None);
    model.stored_end.set(150);
    buffer.commit_stored(&model);
    assert_eq!((model.of(&queue()), buffer.has_unstored()), (Some(9), false));
}

#[test]
fn a_pop_in_memory_is_committed_when_all_of_it_is_acknowledged() {
    let (buffer, model) = (Buffer::default(), Model::default());
    assert!(keep(&buffer, 0, 2, 50));
    assert!(!keep(&buffer, 0, 2, 50), "the same once more");
    assert!(keep(&buffer, 2, 1, 50));
    assert_eq!(buffer.latest(&queue()), Some(3));
    assert!(buffer.ack(&key(2), &[2], &model));
    assert_eq!(model.of(&queue()), None, "an older pop is not done");
    assert!(buffer.ack(&key(0), &[0, 99], &model) && buffer.ack(&key(0), &[0], &model));
    assert_eq!(model.of(&queue()), None);
    assert!(buffer.ack(&key(0), &[1], &model));
    assert_eq!((model.of(&queue()), buffer.is_empty(), buffer.next_leave()), (Some(3), true, None));
    assert!(!buffer.ack(&key(0), &[1], &model), "no longer in memory");
}

#[test]
fn what_leaves_is_committed_when_it_is_stored() {
    let (buffer, model) = (Buffer::default(), Model::stored_up_to(1000));
    keep(&buffer, 0, 2, 50);
    keep(&buffer, 2, 2, 60);
    buffer.ack(&key(0), &[1], &model);
    let mut due = buffer.take_due(59);
    assert_eq!((due.len(), due[0].buffered.acked), (1, 2));
    assert!(!buffer.ack(&key(0), &[0], &model));
    buffer.put_back(due.remove(0), 55);
    assert!(buffer.ack(&key(0), &[0], &model), "could not be written, and is there again");
    assert_eq!(model.of(&queue()), Some(2));
    let mut due = buffer.take_due(60);
    buffer.stored(due.remove(0), 900, &model);
    assert_eq!((model.of(&queue()), buffer.latest(&queue())), (Some(4), None));
}

#[test]
fn offsets_set_anew_are_not_overwritten() {
    let (buffer, model) = (Buffer::default(), Model::default());
    keep(&buffer, 0, 1, 50);
    buffer.forget_steps(&queue());
    assert!(buffer.ack(&key(0), &[0], &model));
    assert_eq!(model.of(&queue()), None);
}

#[test]
fn a_group_that_is_gone_is_forgotten() {
    let buffer = Buffer::default();
    keep(&buffer, 0, 1, 50);
    buffer.forget(|topic, _| topic == "U");
    assert_eq!(buffer.len(), 1);
    buffer.forget(|_, group| group == "G");
    assert!(buffer.is_empty() && buffer.next_leave().is_none() && buffer.latest(&queue()).is_none());
}

#[derive(Clone, Debug)]
enum Action {
    Store(i32),
    Keep(i32),
    Ack(usize, usize),
    Leave(usize),
    Flush(i64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (1..5).prop_map(Action::Store),
        (1..5).prop_map(Action::Keep),
        (0usize..10, 0usize..5).prop_map(|(pop, index)| Action::Ack(pop, index)),
        (1usize..4).prop_map(Action::Leave),
        (1i64..40).prop_map(Action::Flush),
    ]
}

proptest! {
    /// Whatever the order: the committed offset passes a message only when it was acknowledged or its checkpoint is
    /// stored, and passes all in the end.
    #[test]
    fn the_committed_offset_passes_only_what_is_accounted_for(actions in proptest::collection::vec(action(), 1..80)) {
        let (buffer, model) = (Buffer::default(), Model::default());
        let (mut next, mut log, mut clock) = (0i64, 0i64, 0i64);
        // Start, number, acknowledged, end of the checkpoint in the log.
        let mut pops: Vec<(i64, i32, u32, Option<i64>)> = Vec::new();
        for action in actions {
            match action {
                Action::Store(num) => {
                    log += 10;
                    buffer.accounted(&queue(), next + i64::from(num), log, &model);
                    pops.push((next, num, 0, Some(log)));
                    next += i64::from(num);
                }
                Action::Keep(num) => {
                    clock += 1;
                    prop_assert!(keep(&buffer, next, num, clock));
                    pops.push((next, num, 0, None));
                    next += i64::from(num);
                }
                Action::Ack(pop, index) => {
                    let Some(known) = pops.get_mut(pop) else { continue };
                    let offset = known.0 + index as i64;
                    if buffer.ack(&key(known.0), &[offset], &model) && index < known.1 as usize {
                        known.2 |= 1 << index;
                    }
                }
                Action::Leave(count) => {
                    let until = buffer.next_leave().map_or(0, |first| first + count as i64 - 1);
                    for leaving in buffer.take_due(until) {
                        log += 10;
                        let start = leaving.buffered.point.start_offset;
                        let known = pops.iter_mut().find(|pop| pop.0 == start).unwrap();
                        prop_assert_eq!(known.2, leaving.buffered.acked);
                        known.3 = Some(log);
                        buffer.stored(leaving, log, &model);
                    }
                }
                Action::Flush(bytes) => {
                    model.stored_end.set((model.stored_end.get() + bytes).min(log));
                    buffer.commit_stored(&model);
                }
            }
            let stored_end = model.stored_end.get();
            let accounted = |pop: &&(i64, i32, u32, Option<i64>)| {
                pop.2.count_ones() as i32 == pop.1 || pop.3.is_some_and(|end| end <= stored_end)
            };
            let committed = model.of(&queue()).unwrap_or(0);
            let may_reach = pops.iter().take_while(accounted).last().map_or(0, |pop| pop.0 + i64::from(pop.1));
            prop_assert!(committed <= may_reach, "{committed} is beyond {may_reach}: {pops:?}");
            prop_assert_eq!(buffer.latest(&queue()).unwrap_or(committed), next);
        }
        for leaving in buffer.take_due(i64::MAX) {
            buffer.stored(leaving, log, &model);
        }
        model.stored_end.set(i64::MAX);
        buffer.commit_stored(&model);
        prop_assert_eq!((model.of(&queue()).unwrap_or(0), buffer.steps_of(&queue())), (next, 0));
    }
}
