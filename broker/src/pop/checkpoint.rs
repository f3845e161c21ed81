//! Checkpoints of pops and acknowledgements: which message stands where in them, what they are found by, and the unique
//! keys of their records (`PopCheckPoint`, `PopMessageProcessor.gen*UniqueId` of 5.5.0).

use hypergol_remoting::protocol::body::pop::{AckMsg, BatchAckMsg, PopCheckPoint};

/// Group that the revive topic's offsets are committed for.
pub const REVIVE_GROUP: &str = "CID_RMQ_SYS_REVIVE_GROUP";
/// Tag of a checkpoint's record.
pub const CHECKPOINT_TAG: &str = "ck";
/// Tag of the record of one acknowledgement.
pub const ACK_TAG: &str = "ack";
/// Tag of the record of several acknowledgements.
pub const BATCH_ACK_TAG: &str = "bAck";
/// A checkpoint comes into the revive topic this much before its messages become visible, so that it is there before
/// its acknowledgements. Java: `PopAckConstants.ackTimeInterval`.
pub const CHECKPOINT_LEAD_MS: i64 = 1000;
/// Messages of one pop; also the bits of a checkpoint's bit map. Java refuses pops of more than 32.
pub const MESSAGES_MAX: usize = 32;

/// The topic that checkpoints and acknowledgements of a cluster come back through.
pub fn revive_topic(cluster: &str) -> String {
    format!("rmq_sys_REVIVE_LOG_{cluster}")
}

/// What a checkpoint and its acknowledgements have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MergeKey {
    topic: Box<str>,
    group: Box<str>,
    queue_id: i32,
    start_offset: i64,
    pop_time: i64,
    broker_name: Box<str>,
}

impl MergeKey {
    /// The key of a checkpoint.
    pub fn of_checkpoint(point: &PopCheckPoint, own_broker: &str) -> Self {
        let (start, broker) = ((point.start_offset, point.pop_time), point.broker_name.as_deref());
        Self::new(&point.topic, &point.consumer_group, point.queue_id, start, broker, own_broker)
    }

    /// The key of the checkpoint that an acknowledgement belongs to.
    pub fn of_ack(ack: &AckMsg, own_broker: &str) -> Self {
        let (start, broker) = ((ack.start_offset, ack.pop_time), ack.broker_name.as_deref());
        Self::new(&ack.topic, &ack.consumer_group, ack.queue_id, start, broker, own_broker)
    }

    /// The same for several acknowledgements.
    pub fn of_batch_ack(ack: &BatchAckMsg, own_broker: &str) -> Self {
        let (start, broker) = ((ack.start_offset, ack.pop_time), ack.broker_name.as_deref());
        Self::new(&ack.topic, &ack.consumer_group, ack.queue_id, start, broker, own_broker)
    }

    /// What was popped at (offset, time). A record without a broker's name belongs to `own_broker`.
    fn new(
        topic: &str,
        group: &str,
        queue_id: i32,
        (start_offset, pop_time): (i64, i64),
        broker_name: Option<&str>,
        own_broker: &str,
    ) -> Self {
        let broker_name = broker_name.filter(|name| !name.trim().is_empty()).unwrap_or(own_broker).into();
        Self { topic: topic.into(), group: group.into(), queue_id, start_offset, pop_time, broker_name }
    }

    /// Topic that was popped.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Group that popped.
    pub fn group(&self) -> &str {
        &self.group
    }
}

/// Number of messages of a checkpoint; what a record says beyond [`MESSAGES_MAX`] is not believed.
pub fn message_count(point: &PopCheckPoint) -> usize {
    usize::try_from(point.num).unwrap_or(0).min(MESSAGES_MAX)
}

/// The bits of all messages of a checkpoint.
pub fn all_bits(point: &PopCheckPoint) -> u32 {
    match message_count(point) {
        0 => 0,
        count => u32::MAX >> (MESSAGES_MAX - count),
    }
}

/// Place of the message at a queue offset in a checkpoint.
pub fn index_of(point: &PopCheckPoint, offset: i64) -> Option<usize> {
    let difference = offset.checked_sub(point.start_offset).filter(|difference| *difference >= 0)?;
    let index = match point.queue_offset_diff.as_deref().filter(|list| !list.is_empty()) {
        // Brokers before 4.9.3 wrote no list: the offsets are consecutive.
        None => usize::try_from(difference).ok()?,
        Some(list) => list.iter().position(|known| i64::from(*known) == difference)?,
    };
    (index < message_count(point)).then_some(index)
}

/// Queue offset of the message at a place of a checkpoint.
pub fn offset_at(point: &PopCheckPoint, index: usize) -> Option<i64> {
    if index >= message_count(point) {
        return None;
    }
    let difference = match point.queue_offset_diff.as_deref().filter(|list| !list.is_empty()) {
        None => i64::try_from(index).ok()?,
        Some(list) => i64::from(*list.get(index)?),
    };
    point.start_offset.checked_add(difference)
}

/// The offsets of a pop as a checkpoint keeps them: differences to the first.
pub fn differences(start_offset: i64, offsets: &[i64]) -> Vec<i32> {
    offsets.iter().map(|offset| i32::try_from(offset.saturating_sub(start_offset)).unwrap_or(i32::MAX)).collect()
}

/// How often a checkpoint was written again because its messages could not be stored for a retry. A text that is no
/// number counts as 127, as in Java.
pub fn re_put_times(point: &PopCheckPoint) -> i32 {
    match point.re_put_times.as_deref() {
        None => 0,
        Some(text) => text.parse().unwrap_or(i32::from(i8::MAX)),
    }
}

/// Unique key of a checkpoint's record.
pub fn checkpoint_key(point: &PopCheckPoint) -> String {
    format!(
        "{}@{}@{}@{}@{}@{}@{CHECKPOINT_TAG}",
        point.topic,
        point.queue_id,
        point.start_offset,
        point.consumer_group,
        point.pop_time,
        point.broker_name.as_deref().unwrap_or("null"),
    )
}

/// Unique key of an acknowledgement's record.
pub fn ack_key(ack: &AckMsg) -> String {
    format!(
        "{}@{}@{}@{}@{}@{}@{ACK_TAG}",
        ack.topic,
        ack.queue_id,
        ack.ack_offset,
        ack.consumer_group,
        ack.pop_time,
        ack.broker_name.as_deref().unwrap_or("null"),
    )
}

/// Unique key of the record of several acknowledgements.
pub fn batch_ack_key(ack: &BatchAckMsg) -> String {
    let offsets: Vec<String> = ack.ack_offset_list.iter().map(i64::to_string).collect();
    format!(
        "{}@{}@[{}]@{}@{}@{BATCH_ACK_TAG}",
        ack.topic,
        ack.queue_id,
        offsets.join(", "),
        ack.consumer_group,
        ack.pop_time
    )
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn point(start_offset: i64, num: i32, differences: Option<Vec<i32>>) -> PopCheckPoint {
        PopCheckPoint { start_offset, num, queue_offset_diff: differences, ..PopCheckPoint::default() }
    }

    #[test]
    fn unique_keys_are_those_of_java() {
        let point = PopCheckPoint {
            topic: "T1".into(),
            queue_id: 3,
            start_offset: 3,
            consumer_group: "CG".into(),
            pop_time: 1_795_220_338_415,
            broker_name: Some("broker-a".into()),
            ..PopCheckPoint::default()
        };
        assert_eq!(checkpoint_key(&point), "T1@3@3@CG@1795220338415@broker-a@ck");
        let batch = BatchAckMsg {
            topic: "T".into(),
            consumer_group: "G".into(),
            queue_id: 1,
            pop_time: 5,
            ack_offset_list: vec![7, 9],
            ..BatchAckMsg::default()
        };
        assert_eq!(batch_ack_key(&batch), "T@1@[7, 9]@G@5@bAck");
    }

    #[test]
    fn old_checkpoints_have_consecutive_offsets() {
        let old = point(10, 3, None);
        assert_eq!(
            (0..4).map(|index| offset_at(&old, index)).collect::<Vec<_>>(),
            [Some(10), Some(11), Some(12), None]
        );
        assert_eq!((index_of(&old, 9), index_of(&old, 12), index_of(&old, 13)), (None, Some(2), None));
    }

    #[test]
    fn what_a_record_says_is_not_believed() {
        let lying = point(i64::MAX, 100, Some(vec![1]));
        assert_eq!(message_count(&lying), MESSAGES_MAX);
        assert_eq!((offset_at(&lying, 0), offset_at(&lying, 1)), (None, None));
        assert_eq!(all_bits(&lying), u32::MAX);
        assert_eq!(
            (all_bits(&point(0, 0, None)), all_bits(&point(0, -1, None)), all_bits(&point(0, 2, None))),
            (0, 0, 3)
        );
        assert_eq!(index_of(&point(i64::MIN, 1, None), i64::MAX), None);
        assert_eq!(re_put_times(&PopCheckPoint { re_put_times: Some("x".into()), ..point(0, 0, None) }), 127);
    }

    proptest! {
        #[test]
        fn offsets_and_places_agree(start in -5i64..1 << 40, gaps in btree_set(0i64..1000, 1..=MESSAGES_MAX)) {
            let offsets: Vec<i64> = gaps.iter().map(|gap| start + gap).collect();
            let point = point(start, offsets.len() as i32, Some(differences(start, &offsets)));
            for (index, offset) in offsets.iter().enumerate() {
                prop_assert_eq!(offset_at(&point, index), Some(*offset));
                prop_assert_eq!(index_of(&point, *offset), Some(index));
            }
            prop_assert_eq!(all_bits(&point).count_ones() as usize, offsets.len());
            prop_assert!(index_of(&point, start + 1000).is_none());
        }
    }
}
