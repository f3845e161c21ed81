//! How far groups are behind (208, 303, 317), and counters (315).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hypergol_remoting::RemotingCommand;
use hypergol_remoting::ResponseCode;
use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use hypergol_remoting::protocol::body::offset::{ConsumeStats, ConsumeStatsList, OffsetWrapper};
use hypergol_remoting::protocol::body::stats::{
    BrokerStatsData, BrokerStatsItem, QueryConsumeTimeSpanBody, QueueTimeSpan,
};
use hypergol_remoting::protocol::header::admin::{
    GetConsumeStatsInBrokerHeader, GetConsumeStatsRequestHeader, QueryConsumeTimeSpanRequestHeader,
    ViewBrokerStatsDataRequestHeader,
};

use super::{Answer, Refusal, broker_name, json};
use crate::context::Broker;
use crate::stats::Snapshot;

/// GET_CONSUME_STATS (208). Reads the log: not for a connection's task.
pub fn of_group(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<GetConsumeStatsRequestHeader>()?;
    let group = &header.consumer_group;
    let listed = header.topic_list.as_deref().unwrap_or_default().split(';').filter(|topic| !topic.is_empty());
    let mut topics: BTreeSet<String> = listed.map(str::to_owned).collect();
    if topics.is_empty() {
        match header.topic.as_deref().filter(|topic| !topic.trim().is_empty()) {
            Some(topic) => topics.extend([topic.to_owned()]),
            None => topics = broker.offsets.topics_of(group),
        }
        topics.retain(|topic| consumes(broker, group, topic));
    }
    let mut stats = ConsumeStats::default();
    for topic in &topics {
        let Some(config) = broker.topics.get(topic) else { continue };
        add_queues(broker, group, topic, config.read_queue_nums, true, &mut stats);
    }
    json(&stats)
}

/// Whether a group subscribes to a topic, or cannot be asked because nobody of it is there.
fn consumes(broker: &Broker, group: &str, topic: &str) -> bool {
    broker.consumers.subscription(group, topic).is_some() || broker.consumers.subscription_count(group) == 0
}

fn add_queues(
    broker: &Broker,
    group: &str,
    topic: &str,
    queues: i32,
    with_pull_offset: bool,
    stats: &mut ConsumeStats,
) {
    // Of a static topic's sections tools take the newest that has an offset.
    let none = if with_pull_offset && broker.static_topics.get(topic).is_some() { -1 } else { 0 };
    for queue_id in 0..queues {
        let consumed = broker.offsets.committed(topic, group, queue_id, false).unwrap_or(none).max(none);
        let pulled = broker.offsets.last_pulled(topic, group, queue_id).unwrap_or(-1);
        let consumed_at = if consumed > 0 { broker.store.store_time_of(topic, queue_id, consumed - 1) } else { 0 };
        let wrapper = OffsetWrapper {
            broker_offset: broker.store.max_offset(topic, queue_id).max(0),
            consumer_offset: consumed,
            pull_offset: if with_pull_offset { consumed.max(pulled) } else { 0 },
            last_timestamp: consumed_at.max(0),
        };
        stats.offset_table.insert(MessageQueue::new(topic, broker_name(broker), queue_id), wrapper);
    }
    stats.consume_tps += broker.stats.group_get_tps(group, topic);
}

/// GET_BROKER_CONSUME_STATS (317): all groups. Reads the log: not for a connection's task.
pub fn of_broker(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let only_ordered = request.header::<GetConsumeStatsInBrokerHeader>()?.is_order;
    let mut body = ConsumeStatsList { broker_addr: Some(broker.store_host.to_string()), ..Default::default() };
    for group in broker.groups.names() {
        let mut of_group = Vec::new();
        for topic in broker.offsets.topics_of(&group) {
            let Some(config) = broker.topics.get(&topic) else { continue };
            if only_ordered && !config.order || !consumes(broker, &group, &topic) {
                continue;
            }
            let mut stats = ConsumeStats::default();
            add_queues(broker, &group, &topic, config.write_queue_nums, false, &mut stats);
            for wrapper in stats.offset_table.values() {
                // Consumers may commit any offset.
                let (behind, in_flight) = (
                    wrapper.broker_offset.saturating_sub(wrapper.consumer_offset),
                    wrapper.pull_offset.saturating_sub(wrapper.consumer_offset),
                );
                body.total_diff = body.total_diff.saturating_add(behind);
                body.total_inflight_diff = body.total_inflight_diff.saturating_add(in_flight);
            }
            of_group.push(stats);
        }
        body.consume_stats_list.push(BTreeMap::from([(group, of_group)]));
    }
    json(&body)
}

/// QUERY_CONSUME_TIME_SPAN (303). Reads the log: not for a connection's task.
pub fn time_span(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let QueryConsumeTimeSpanRequestHeader { topic, group } = request.header()?;
    let config = broker
        .topics
        .get(&topic)
        .ok_or_else(|| Refusal::new(ResponseCode::TopicNotExist, format!("topic[{topic}] not exist")))?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let store = &broker.store;
    let span = |queue_id: i32| {
        let earliest = store.earliest_message_time(&topic, queue_id);
        let max = store.max_offset(&topic, queue_id);
        let consumed = broker.offsets.committed(&topic, &group, queue_id, false).unwrap_or(-1);
        let consumed_at = if consumed > 0 { store.store_time_of(&topic, queue_id, consumed - 1) } else { earliest };
        let delay = if consumed < max { now_ms - store.store_time_of(&topic, queue_id, consumed) } else { 0 };
        let latest = store.store_time_of(&topic, queue_id, max - 1);
        QueueTimeSpan {
            message_queue: Some(MessageQueue::new(&topic, broker_name(broker), queue_id)),
            min_time_stamp: earliest,
            max_time_stamp: latest,
            consume_time_stamp: consumed_at,
            delay_time: delay,
            min_time_stamp_str: readable(earliest),
            max_time_stamp_str: readable(latest),
            consume_time_stamp_str: readable(consumed_at),
        }
    };
    json(&QueryConsumeTimeSpanBody { consume_time_span_set: (0..config.write_queue_nums).map(span).collect() })
}

/// `yyyy-MM-dd#HH:mm:ss:SSS` in the server's time zone. Java: `UtilAll.YYYY_MM_DD_HH_MM_SS_SSS`.
fn readable(timestamp_ms: i64) -> Option<String> {
    let format =
        time::macros::format_description!("[year]-[month]-[day]#[hour]:[minute]:[second]:[subsecond digits:3]");
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp_ms) * 1_000_000).ok()?;
    let offset = time::UtcOffset::local_offset_at(time).unwrap_or(time::UtcOffset::UTC);
    time.to_offset(offset).format(format).ok()
}

/// VIEW_BROKER_STATS_DATA (315).
pub fn view(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header = request.header::<ViewBrokerStatsDataRequestHeader>()?;
    let (name, key) = (&header.stats_name, &header.stats_key);
    let snapshots =
        broker.stats.view(name, key).ok_or_else(|| Refusal::failed(format!("The stats <{name}> <{key}> not exist")))?;
    let item =
        |snapshot: Snapshot| Some(BrokerStatsItem { sum: snapshot.sum, tps: snapshot.tps, avgpt: snapshot.avgpt });
    json(&BrokerStatsData {
        stats_minute: item(snapshots.minute),
        stats_hour: item(snapshots.hour),
        stats_day: item(snapshots.day),
    })
}
