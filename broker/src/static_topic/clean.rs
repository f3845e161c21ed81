//! Takes what is no longer needed out of mappings, at the hours at which the store deletes files (`deleteWhen`).
//!
//! The leader of a queue drops the oldest section once all of its messages have expired. A broker that led a queue two
//! moves ago forgets it: the leader after it still knows all sections, and clients have long gone on. Java:
//! `TopicQueueMappingCleanService`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use hypergol_remoting::protocol::body::offset::TopicStatsTable;
use hypergol_remoting::protocol::body::route::TopicRouteData;
use hypergol_remoting::protocol::body::topic::{
    LogicQueueMappingItem, TopicConfigAndQueueMapping, TopicQueueMappingDetail,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{RemotingCommand, RequestCode, ResponseCode};
use hypergol_store::clean::{Hours, local_hour};
use tracing::{info, warn};

use crate::config;
use crate::context::Broker;
use crate::static_topic::sections;
use crate::topic_routes::{self, Told};

/// Pause between two looks at the clock.
const PERIOD: Duration = Duration::from_secs(5 * 60);
/// Pause after each topic.
const PAUSE: Duration = Duration::from_millis(10);

/// Cleans at the hours of `deleteWhen`; never returns.
pub async fn run(broker: &Broker) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let hours = Hours::parse(&broker.config().store.delete_when);
        if hours.is_ok_and(|hours| hours.contains(local_hour(SystemTime::now()))) {
            clean(broker).await;
        }
    }
}

/// Looks at every static topic once.
pub async fn clean(broker: &Broker) {
    for topic in broker.static_topics.names() {
        let expired = without_expired(broker, &topic).await;
        apply(broker, &topic, expired);
        let left = without_left(broker, &topic).await;
        apply(broker, &topic, left);
        tokio::time::sleep(PAUSE).await;
    }
}

fn apply(broker: &Broker, topic: &str, change: Option<Change>) {
    if let Some((before, after)) = change
        && broker.static_topics.clean(&before, after)
    {
        info!(topic, "queue mapping cleaned");
    }
}

/// A mapping, and what is left of it.
type Change = (Arc<TopicQueueMappingDetail>, TopicQueueMappingDetail);

/// The broker of a queue's newest section.
fn newest(sections: &[LogicQueueMappingItem]) -> Option<&str> {
    sections.last().map(|section| section.bname.as_str())
}

/// The mapping without oldest sections that hold nothing, of the queues that this broker leads.
async fn without_expired(broker: &Broker, topic: &str) -> Option<Change> {
    let before = broker.static_topics.get(topic)?;
    let oldest = |queue: &Vec<LogicQueueMappingItem>| {
        // Until the next section is decided, nothing else could be read.
        let may_go = sections::next(queue, 0).is_some() && newest(queue) == Some(before.bname.as_str());
        queue.first().cloned().filter(|_| may_go)
    };
    let brokers: BTreeSet<String> =
        before.hosted_queues.values().filter_map(oldest).map(|section| section.bname).collect();
    let mut stats = BTreeMap::new();
    for name in brokers.into_iter().filter(|name| *name != before.bname) {
        if let Some(of_broker) =
            ask::<TopicStatsTable>(broker, &name, RequestCode::GetTopicStatsInfo, topic, false).await
        {
            stats.insert(name, of_broker);
        }
    }
    let is_empty = |section: &LogicQueueMappingItem| {
        let (min, max) = if section.bname == before.bname {
            let store = &broker.store;
            (store.min_offset(topic, section.queue_id), store.max_offset(topic, section.queue_id))
        } else {
            let queue = MessageQueue::new(topic, section.bname.as_str(), section.queue_id);
            let Some(offsets) = stats.get(&section.bname).and_then(|stats| stats.offset_table.get(&queue)) else {
                return false;
            };
            (offsets.min_offset, offsets.max_offset)
        };
        max == min || max == 0
    };
    let mut after = TopicQueueMappingDetail::clone(&before);
    let mut dropped = 0;
    for sections in after.hosted_queues.values_mut() {
        if oldest(sections).is_some_and(|section| is_empty(&section)) {
            sections.remove(0);
            dropped += 1;
        }
    }
    (dropped > 0).then_some((before, after))
}

/// The mapping without queues that have moved on from the broker to which they went from here.
async fn without_left(broker: &Broker, topic: &str) -> Option<Change> {
    let before = broker.static_topics.get(topic)?;
    let moved = |sections: &Vec<LogicQueueMappingItem>| newest(sections).is_some_and(|name| name != before.bname);
    if !before.hosted_queues.values().any(moved) {
        return None;
    }
    let name_servers = config::name_server_addresses(&broker.config());
    let route = match topic_routes::ask(&broker.client, &name_servers, topic).await {
        Told::Route(route) => route,
        Told::NoSuchTopic | Told::Silence => return None,
    };
    let leaders = leaders(&route, &before.scope);
    let mut mappings = BTreeMap::new();
    let mut gone = Vec::new();
    for (id, sections) in before.hosted_queues.iter().filter(|(_, sections)| moved(sections)) {
        let Some(leader) = leaders.get(id).filter(|leader| Some(leader.as_str()) != newest(sections)) else { continue };
        if !mappings.contains_key(leader) {
            let code = RequestCode::GetTopicConfig;
            let config = ask::<TopicConfigAndQueueMapping>(broker, leader, code, topic, true).await;
            mappings.insert(leader.clone(), config.and_then(|config| config.mapping_detail));
        }
        let Some(Some(of_leader)) = mappings.get(leader) else { continue };
        let agrees = of_leader.total_queues == before.total_queues && of_leader.epoch == before.epoch;
        if agrees && of_leader.hosted_queues.get(id).is_some_and(|its| newest(its) == Some(leader.as_str())) {
            gone.push(*id);
        }
    }
    let mut after = TopicQueueMappingDetail::clone(&before);
    after.hosted_queues.retain(|id, _| !gone.contains(id));
    (!gone.is_empty()).then_some((before, after))
}

/// Who leads each queue, as the name server knows: of several claims that of the newest epoch.
fn leaders(route: &TopicRouteData, scope: &str) -> BTreeMap<i32, String> {
    let mut mappings: Vec<_> = route.topic_queue_mapping_by_broker.iter().flatten().map(|(_, info)| info).collect();
    mappings.retain(|info| info.scope == scope);
    mappings.sort_by_key(|info| info.epoch);
    mappings.into_iter().flat_map(|info| info.curr_id_map.keys().map(|id| (*id, info.bname.clone()))).collect()
}

/// What another broker says of a topic.
async fn ask<B: Body>(broker: &Broker, name: &str, code: RequestCode, topic: &str, logical: bool) -> Option<B> {
    let request = RemotingCommand::request(code)
        .with_field("topic", topic)
        .with_field("bname", name)
        .with_field("lo", if logical { "true" } else { "false" });
    match broker.peers.invoke(broker, name, request).await {
        Ok(answer) if answer.code == ResponseCode::Success as i32 => B::decode(&answer.body)
            .inspect_err(|error| warn!(topic, broker = name, %error, "answer of another broker not understood"))
            .ok(),
        Ok(answer) => {
            warn!(topic, broker = name, code = answer.code, "another broker does not tell of a static topic");
            None
        }
        Err(error) => {
            warn!(topic, broker = name, %error, "another broker cannot be asked of a static topic");
            None
        }
    }
}
