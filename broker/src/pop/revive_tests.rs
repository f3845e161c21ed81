use proptest::prelude::*;

use super::*;

fn point(pop_time: i64, num: i32) -> PopCheckPoint {
    PopCheckPoint {
        topic: "T".into(),
        consumer_group: "G".into(),
        broker_name: Some("b".into()),
        start_offset: 100,
        num,
        pop_time,
        invisible_time: 10_000,
        queue_offset_diff: Some((0..num).collect()),
        ..PopCheckPoint::default()
    }
}

fn ack(pop_time: i64, offset: i64) -> AckMsg {
    AckMsg {
        topic: "T".into(),
        consumer_group: "G".into(),
        broker_name: None,
        start_offset: 100,
        ack_offset: offset,
        pop_time,
        ..AckMsg::default()
    }
}

/// A queue with what tests put into it.
struct Queue {
    queue: ReviveQueue,
    next: i64,
}

impl Queue {
    fn new() -> Self {
        Self { queue: ReviveQueue::new("b", -1), next: 0 }
    }

    fn take(&mut self, tag: &str, body: &[u8], deliver_time: i64) {
        self.take_stored(tag, body, deliver_time, deliver_time);
    }

    fn take_stored(&mut self, tag: &str, body: &[u8], deliver_time: i64, stored_time: i64) {
        self.queue.take(&ReviveRecord { offset: self.next, tag, body, deliver_time, stored_time });
        self.next += 1;
    }

    fn checkpoint(&mut self, point: &PopCheckPoint) {
        self.take("ck", &point.encode(), point.revive_time() - CHECKPOINT_LEAD_MS);
    }

    fn ack(&mut self, ack: &AckMsg, time: i64) {
        self.take("ack", &ack.encode(), time);
    }

    fn open(&self) -> Option<Vec<usize>> {
        self.queue.due().map(|waiting| open_places(&waiting.point).collect())
    }
}

#[test]
fn a_checkpoint_is_due_when_its_acknowledgements_have_come() {
    let mut queue = Queue::new();
    queue.checkpoint(&point(0, 3));
    queue.ack(&ack(0, 101), 10_000);
    assert_eq!(queue.open(), None);
    queue.ack(&ack(5_000, 100), 12_000);
    assert_eq!(queue.open(), None);
    queue.checkpoint(&point(3_000, 1));
    assert_eq!(queue.open(), None, "a checkpoint comes a second early");
    queue.ack(&ack(5_000, 100), 12_001);
    assert_eq!(queue.open(), Some(vec![0, 2]));
    queue.queue.mark_done(0);
    assert_eq!(queue.open(), Some(vec![2]));
    queue.queue.done();
    assert_eq!((queue.queue.commit_offset(), queue.queue.waiting()), (0, 1));
}

#[test]
fn in_quiet_times_the_clock_decides() {
    let mut queue = Queue::new();
    queue.queue.quiet(50_000, false, 1);
    queue.checkpoint(&point(0, 1));
    queue.queue.quiet(12_000, false, 1);
    assert_eq!(queue.open(), None, "something came three seconds ago");
    queue.queue.quiet(12_001, true, 1);
    assert_eq!(queue.open(), None, "the wheel is behind");
    queue.queue.quiet(12_001, false, 1);
    assert_eq!(queue.open(), Some(vec![0]));
    queue.queue.done();
    assert_eq!(queue.queue.commit_offset(), 0);
}

#[test]
fn an_acknowledgement_may_come_first() {
    let mut queue = Queue::new();
    queue.ack(&ack(0, 100), 9_000);
    queue.checkpoint(&point(0, 2));
    queue.queue.quiet(20_000, false, 60_000);
    assert_eq!(queue.open(), Some(vec![1]));
    queue.queue.done();
    assert_eq!(queue.queue.commit_offset(), 1, "read again after a restart, as it is not known what it belongs to");
    queue.queue.quiet(70_000, false, 60_000);
    queue.ack(&ack(7, 100), 70_000);
    assert_eq!((queue.queue.early.len(), queue.queue.early_offsets.len()), (1, 1));
    queue.queue.quiet(200_000, false, 60_000);
    assert_eq!((queue.queue.early.len(), queue.queue.early_offsets.len()), (0, 0));
    assert_eq!(queue.queue.commit_offset(), 2);
}

#[test]
fn batches_and_nonsense_are_read() {
    let mut queue = Queue::new();
    queue.checkpoint(&point(0, 4));
    let batch = BatchAckMsg {
        topic: "T".into(),
        consumer_group: "G".into(),
        broker_name: Some("b".into()),
        start_offset: 100,
        ack_offset_list: vec![100, 103, 104, -1],
        ..BatchAckMsg::default()
    };
    queue.take("bAck", &batch.encode(), 10_000);
    for tag in ["ck", "ack", "bAck", "", "x"] {
        queue.take(tag, b"{", 0);
        queue.take(tag, b"null", 0);
        queue.take(tag, b"3-5", 0);
    }
    queue.queue.quiet(20_000, false, 1);
    assert_eq!(queue.open(), Some(vec![1, 2]));
    assert_eq!(queue.queue.next_offset(), queue.next);
}

#[test]
fn checkpoints_of_one_pop_that_were_written_again_share_acknowledgements() {
    let mut queue = Queue::new();
    queue.checkpoint(&point(0, 2));
    queue.checkpoint(&PopCheckPoint { num: 1, queue_offset_diff: Some(vec![0]), ..point(0, 2) });
    queue.ack(&ack(0, 100), 10_000);
    queue.queue.quiet(20_000, false, 1);
    assert_eq!(queue.open(), Some(vec![1]));
    queue.queue.done();
    assert_eq!(queue.open(), Some(vec![]));
    queue.queue.done();
    assert!(queue.queue.by_key.is_empty());
}

proptest! {
    /// Records in the order of their times, from a restart at any committed offset on: what was not acknowledged is
    /// open, what was acknowledged in time is not.
    #[test]
    fn nothing_is_lost_over_restarts(
        pops in proptest::collection::vec((0i64..60_000, 1i32..5, any::<u8>()), 1..30),
        restart_at in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut records: Vec<(i64, &str, Vec<u8>)> = Vec::new();
        for (place, (time, num, acked)) in pops.iter().enumerate() {
            // The place makes pops distinct.
            let point = PopCheckPoint { queue_id: place as i32, ..point(*time, *num) };
            records.push((point.revive_time() - CHECKPOINT_LEAD_MS, "ck", point.encode()));
            for index in (0..*num).filter(|index| acked & (1 << index) != 0) {
                let ack = AckMsg { queue_id: place as i32, ..ack(*time, 100 + i64::from(index)) };
                records.push((point.revive_time(), "ack", ack.encode()));
            }
        }
        records.sort_by_key(|(time, ..)| *time);
        let restarts: Vec<usize> = restart_at.iter().map(|index| index.index(records.len())).collect();

        let mut queue = ReviveQueue::new("b", -1);
        let mut came_back: HashMap<(i32, usize), usize> = HashMap::new();
        let mut settle = |queue: &mut ReviveQueue| {
            while let Some(due) = queue.due().cloned() {
                for index in open_places(&due.point) {
                    *came_back.entry((due.point.queue_id, index)).or_default() += 1;
                }
                queue.done();
            }
        };
        let mut at = 0;
        let mut restarted = vec![false; records.len()];
        while at < records.len() {
            if restarts.contains(&at) && !restarted[at] {
                restarted[at] = true;
                queue = ReviveQueue::new("b", queue.commit_offset());
                at = queue.next_offset() as usize;
                continue;
            }
            let (deliver_time, tag, body) = &records[at];
            queue.take(&ReviveRecord { offset: at as i64, tag, body, deliver_time: *deliver_time, stored_time: *deliver_time });
            settle(&mut queue);
            at += 1;
        }
        queue.quiet(1_000_000, false, 1);
        settle(&mut queue);
        for (place, (_, num, acked)) in pops.iter().enumerate() {
            for index in 0..*num as usize {
                let expected = usize::from(acked & (1 << index) == 0);
                let count = came_back.get(&(place as i32, index)).copied().unwrap_or(0);
                prop_assert_eq!(count, expected, "message {} of pop {}", index, place);
            }
        }
    }
}

#[test]
fn forged_records_neither_make_others_due_nor_hold_them_up() {
    let mut queue = Queue::new();
    let forged = PopCheckPoint { pop_time: i64::MAX - 10_000, ..point(0, 1) };
    queue.take_stored("ck", &forged.encode(), 0, 1_000);
    queue.checkpoint(&point(1_000, 1));
    queue.take_stored("x", b"", i64::MAX, 10_500);
    assert_eq!(queue.open(), None, "its messages become visible at 11,000");
    queue.take("x", b"", 13_001);
    assert_eq!(queue.open(), Some(vec![0]));
}

#[test]
fn acknowledgements_without_a_checkpoint_take_little_memory() {
    let mut queue = Queue::new();
    let ack = BatchAckMsg {
        topic: "T".into(),
        consumer_group: "G".into(),
        start_offset: 100,
        ack_offset_list: (100..100_000).chain([100; 9]).collect(),
        ..BatchAckMsg::default()
    };
    for _ in 0..3 {
        queue.take("bAck", &ack.encode(), 20_000);
    }
    let kept: usize = queue.queue.early_offsets.values().map(Vec::capacity).sum();
    assert!(kept <= 2 * MESSAGES_MAX, "{kept} offsets");
    let long = PopCheckPoint { queue_offset_diff: Some(vec![7; 100_000]), ..point(20_000, 100) };
    queue.checkpoint(&long);
    let waiting = queue.queue.waiting.values().next().unwrap();
    assert_eq!(waiting.point.queue_offset_diff.as_ref().unwrap().len(), MESSAGES_MAX);
}
