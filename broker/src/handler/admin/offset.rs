//! Offsets of queues and groups (29, 30, 31, 32, 43, 45, 308, 314, 321).

use std::collections::BTreeSet;
use std::sync::Arc;

use hypergol_remoting::RemotingCommand;
use hypergol_remoting::protocol::body::offset::QueryCorrectionOffsetBody;
use hypergol_remoting::protocol::body::stats::{ConsumeQueueData, QueryConsumeQueueResponseBody};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::admin::QueryConsumeQueueRequestHeader;
use hypergol_remoting::protocol::header::offset::{
    BoundaryType, CloneGroupOffsetRequestHeader, GetEarliestMsgStoretimeRequestHeader,
    GetEarliestMsgStoretimeResponseHeader, GetMaxOffsetRequestHeader, GetMaxOffsetResponseHeader,
    GetMinOffsetRequestHeader, GetMinOffsetResponseHeader, QueryCorrectionOffsetHeader, SearchOffsetRequestHeader,
    SearchOffsetResponseHeader,
};
use hypergol_store::consume_queue::ext::is_address;
use hypergol_store::{Boundary, ExtUnit, MessageFilter as _};

use super::{Answer, Refusal, json};
use crate::context::Broker;
use crate::filter::SubscriptionFilter;
use crate::lite;

/// Units of a consume queue shown at most in one answer.
const UNITS_MAX: i32 = 10_000;

/// SEARCH_OFFSET_BY_TIMESTAMP (29). Reads the log: not for a connection's task.
pub fn by_time(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<SearchOffsetRequestHeader>()?;
    let boundary = match header.boundary_type {
        BoundaryType::Lower => Boundary::Lower,
        BoundaryType::Upper => Boundary::Upper,
    };
    let by_time = |topic: &str| broker.store.offset_by_time(topic, header.queue_id, header.timestamp, boundary);
    let offset = match header.lite_topic.as_deref().filter(|lite| !lite.trim().is_empty()) {
        None => by_time(&header.topic),
        // One that does not exist has no offset but 0.
        Some(lite) => lite::names::queue_of(&header.topic, lite).map_or(0, |queue| by_time(&queue)),
    };
    Ok(RemotingCommand::success().with_header(&SearchOffsetResponseHeader { offset }))
}

/// GET_MAX_OFFSET (30).
pub fn max(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<GetMaxOffsetRequestHeader>()?;
    let offset = broker.store.max_offset(&header.topic, header.queue_id);
    Ok(RemotingCommand::success().with_header(&GetMaxOffsetResponseHeader { offset }))
}

/// GET_MIN_OFFSET (31).
pub fn min(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<GetMinOffsetRequestHeader>()?;
    let offset = broker.store.min_offset(&header.topic, header.queue_id);
    Ok(RemotingCommand::success().with_header(&GetMinOffsetResponseHeader { offset }))
}

/// GET_EARLIEST_MSG_STORETIME (32). Reads the log: not for a connection's task.
pub fn earliest_time(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<GetEarliestMsgStoretimeRequestHeader>()?;
    let timestamp = broker.store.earliest_message_time(&header.topic, header.queue_id);
    Ok(RemotingCommand::success().with_header(&GetEarliestMsgStoretimeResponseHeader { timestamp }))
}

/// GET_ALL_CONSUMER_OFFSET (43): the content of consumerOffset.json.
pub fn all_of_consumers(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    json(&broker.offsets.contents())
}

/// GET_ALL_DELAY_OFFSET (45): the content of delayOffset.json.
pub fn all_of_delay_levels(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    Ok(RemotingCommand::success().with_body(broker.schedule.encode()))
}

/// QUERY_CORRECTION_OFFSET (308): by queue the least offset of all groups but `filterGroups`; where the compared group
/// is behind that, the largest number.
pub fn correction(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<QueryCorrectionOffsetHeader>()?;
    let left_out: BTreeSet<&str> = header.filter_groups.as_deref().unwrap_or_default().split(',').collect();
    let mut body = QueryCorrectionOffsetBody::default();
    for group in broker.offsets.groups_of(&header.topic) {
        if left_out.contains(group.as_str()) {
            continue;
        }
        for (queue_id, offset) in broker.offsets.of(&header.topic, &group) {
            let min_offset = broker.store.min_offset(&header.topic, queue_id);
            if offset >= min_offset {
                let least = body.correction_offsets.entry(queue_id).or_insert(offset);
                *least = offset.min(*least);
            }
        }
    }
    for (queue_id, offset) in broker.offsets.of(&header.topic, &header.compare_group) {
        let least = body.correction_offsets.entry(queue_id).or_insert(offset);
        if *least > offset {
            *least = i64::MAX;
        }
    }
    json(&body)
}

/// CLONE_GROUP_OFFSET (314).
pub fn clone_group(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<CloneGroupOffsetRequestHeader>()?;
    let topics = match header.topic.as_deref().filter(|topic| !topic.trim().is_empty()) {
        Some(topic) => BTreeSet::from([topic.to_owned()]),
        None => broker.offsets.topics_of(&header.src_group),
    };
    for topic in topics.iter().filter(|topic| broker.topics.contains(topic)) {
        let subscribes = broker.consumers.subscription(&header.src_group, topic).is_some()
            || broker.consumers.subscription_count(&header.src_group) == 0;
        if header.offline || subscribes {
            broker.offsets.clone_group(topic, &header.src_group, &header.dest_group);
        }
    }
    Ok(RemotingCommand::success())
}

/// QUERY_CONSUME_QUEUE (321): units of a consume queue as they are.
pub fn consume_queue(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<QueryConsumeQueueRequestHeader>()?;
    let topic = header.topic.as_deref().unwrap_or_default();
    let queue_id = header.queue_id;
    let (min, max) = (broker.store.min_offset(topic, queue_id), broker.store.max_offset(topic, queue_id));
    if max <= 0 {
        return Err(Refusal::failed(format!("{queue_id}@{topic} is not exist!")));
    }
    let mut body = QueryConsumeQueueResponseBody {
        min_queue_index: min,
        max_queue_index: max,
        ..QueryConsumeQueueResponseBody::default()
    };
    let mut filter = None;
    if let Some(group) = &header.consumer_group {
        match broker.consumers.subscription(group, topic) {
            Some(subscription) => {
                let registered = broker.filters.get(topic, group);
                filter = Some(SubscriptionFilter::new(&subscription, registered.clone(), &broker.filters, false));
                body.subscription_data = Some((*subscription).clone());
                let json = registered.map(|filter| filter.body().encode_pretty());
                body.filter_data = Some(json.map_or("null".to_owned(), |json| String::from_utf8_lossy(&json).into()));
            }
            None => body.filter_data = Some(format!("{group}@{topic} is not online!")),
        }
    }
    if !(min..max).contains(&header.index) {
        let remark = format!("Index {} of {queue_id}@{topic} is not exist!", header.index);
        return Ok(RemotingCommand::success().with_remark(remark));
    }
    let count = header.count.clamp(0, UNITS_MAX) as usize;
    let units = broker.store.queue_units(topic, queue_id, header.index, count);
    let data = units.into_iter().map(|(entry, unit)| {
        let mut data = ConsumeQueueData {
            physic_offset: entry.physical_offset,
            physic_size: entry.size,
            tags_code: entry.tags_code,
            ..ConsumeQueueData::default()
        };
        match unit {
            Some(unit) => {
                data.eval = filter.as_ref().is_some_and(|filter| filter.matches_extended(Some(&unit)));
                data.bit_map = (!unit.bits.is_empty()).then(|| bits_text(&unit.bits));
                data.extend_data_json = Some(unit_json(&unit));
            }
            None if is_address(entry.tags_code) => {
                data.msg = Some(format!("Cq extend not exist!addr: {}", entry.tags_code));
            }
            None => {}
        }
        data
    });
    body.queue_data = Some(data.collect());
    json(&body)
}

/// A bit map as Java prints it: the last byte first, its highest bit first, a line for eight bytes.
fn bits_text(bits: &[u8]) -> String {
    let mut text = String::new();
    for (index, byte) in bits.iter().enumerate().rev() {
        text.push_str(&format!("{byte:08b}"));
        if index % 8 == 0 {
            text.push('\n');
        }
    }
    text
}

/// A unit of an extension as Java prints it: bytes are signed.
fn unit_json(unit: &ExtUnit) -> String {
    let mut map = String::new();
    if !unit.bits.is_empty() {
        let bytes: Vec<String> = unit.bits.iter().map(|byte| (*byte as i8).to_string()).collect();
        map = format!("\"filterBitMap\":[{}],", bytes.join(","));
    }
    let ExtUnit { tags_code, store_timestamp, .. } = unit;
    format!("{{{map}\"msgStoreTime\":{store_timestamp},\"size\":{},\"tagsCode\":{tags_code}}}", unit.size())
}
