//! Topics: create, change, delete, list (17, 18, 21, 202, 215, 305, 351).

use std::sync::Arc;

use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use hypergol_remoting::protocol::body::offset::{TopicOffset, TopicStatsTable};
use hypergol_remoting::protocol::body::topic::{
    CreateTopicListRequestBody, TopicConfig, TopicConfigAndMappingSerializeWrapper, TopicConfigAndQueueMapping,
    TopicFilterType, TopicList,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::rpc::RpcFields;
use hypergol_remoting::protocol::header::topic::{
    CreateTopicRequestHeader, DeleteTopicRequestHeader, GetAllTopicConfigRequestHeader,
    GetAllTopicConfigResponseHeader, GetTopicConfigRequestHeader, GetTopicStatsInfoRequestHeader,
};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};

use super::attributes::{self, Attributes};
use super::{Answer, Refusal, answer, answer_blocking, broker_name, json, when_written};
use crate::context::Broker;
use crate::topics::QUEUES_MAX;
use crate::{lite, names};

/// UPDATE_AND_CREATE_TOPIC (17).
pub fn update(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let wanted = request.header::<CreateTopicRequestHeader>().map_err(Refusal::from).and_then(|header| {
        let attributes = attributes::parse(header.attributes.as_deref().unwrap_or_default());
        Ok(TopicConfig { order: header.order, attributes: attributes.map_err(Refusal::failed)?, ..settings(&header)? })
    });
    change(broker, wanted.map(|topic| vec![topic]), responder);
}

/// The settings that a request has, but for order flag and attributes.
pub(super) fn settings(header: &CreateTopicRequestHeader) -> Result<TopicConfig, Refusal> {
    let topic_filter_type = match header.topic_filter_type.as_str() {
        "SINGLE_TAG" => TopicFilterType::SingleTag,
        "MULTI_TAG" => TopicFilterType::MultiTag,
        other => return Err(Refusal::failed(format!("topicFilterType = [{other}] value invalid"))),
    };
    Ok(TopicConfig {
        read_queue_nums: header.read_queue_nums,
        write_queue_nums: header.write_queue_nums,
        perm: header.perm,
        topic_filter_type,
        topic_sys_flag: header.topic_sys_flag,
        ..TopicConfig::new(&header.topic)
    })
}

/// UPDATE_AND_CREATE_TOPIC_LIST (18): all or none.
pub fn update_list(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let wanted = CreateTopicListRequestBody::decode(&request.body).map_err(Refusal::from);
    change(broker, wanted.map(|body| body.topic_config_list), responder);
}

/// Applies settings whose attributes are still changes (`+key`, `-key`).
fn change(broker: &Arc<Broker>, wanted: Result<Vec<TopicConfig>, Refusal>, responder: Responder) {
    let checked = wanted.and_then(|topics| topics.into_iter().map(|topic| check(broker, topic)).collect());
    let topics: Vec<TopicConfig> = match checked {
        Ok(topics) => topics,
        Err(refusal) => return answer(responder, Err(refusal)),
    };
    let unchanged = |topic: &TopicConfig| broker.topics.get(&topic.topic_name).is_some_and(|old| *old == *topic);
    if topics.iter().all(unchanged) {
        return responder.success();
    }
    broker.topics.update(topics, when_written(responder));
}

/// Settings as they are kept, from those that are wanted.
pub(super) fn check(broker: &Broker, mut topic: TopicConfig) -> Result<TopicConfig, Refusal> {
    let name = &topic.topic_name;
    names::check_topic(name).map_err(Refusal::invalid)?;
    refuse_system_topic(broker, name)?;
    for queues in [topic.read_queue_nums, topic.write_queue_nums] {
        if !(0..=QUEUES_MAX).contains(&queues) {
            return Err(Refusal::invalid(format!("topic {name}: {queues} queues, 0 to {QUEUES_MAX} are possible")));
        }
    }
    let mixed = topic.attributes.get("+message.type").is_some_and(|value| value == "MIXED");
    if mixed && !broker.config().broker.enable_mixed_message_type {
        return Err(Refusal::invalid("MIXED message type is not supported."));
    }
    let current = broker.topics.get(name);
    let current: Option<&Attributes> = current.as_ref().map(|topic| &topic.attributes);
    topic.attributes = attributes::alter(attributes::OF_TOPICS, current, &topic.attributes).map_err(Refusal::failed)?;
    Ok(topic)
}

fn refuse_system_topic(broker: &Broker, name: &str) -> Result<(), Refusal> {
    if broker.config().broker.validate_system_topic_when_update_topic && broker.topics.is_system(name) {
        return Err(Refusal::invalid(format!("The topic[{name}] is conflict with system topic.")));
    }
    Ok(())
}

/// DELETE_TOPIC_IN_BROKER (215): settings, offsets, statistics and queues of the topic and of its pop retry topics.
pub fn delete(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let checked = request.header::<DeleteTopicRequestHeader>().map_err(Refusal::from).and_then(|header| {
        if header.topic.trim().is_empty() {
            return Err(Refusal::invalid("The specified topic is blank."));
        }
        refuse_system_topic(broker, &header.topic)?;
        Ok(header.topic)
    });
    let topic = match checked {
        Ok(topic) => topic,
        Err(refusal) => return answer(responder, Err(refusal)),
    };
    let broker = broker.clone();
    tokio::task::spawn_blocking(move || {
        if broker.config().broker.clear_retry_topic_when_delete_topic {
            for group in broker.offsets.groups_of(&topic) {
                for retry in [format!("%RETRY%{group}+{topic}"), format!("%RETRY%{group}_{topic}")] {
                    if broker.topics.contains(&retry) {
                        broker.topics.delete(&retry, Box::new(|_| ()));
                        forget(&broker, &retry);
                    }
                }
            }
        }
        if broker.topics.get(&topic).is_some_and(|topic| lite::attributes::is_parent(&topic)) {
            lite::lifecycle::delete_all_of(&broker, &topic);
        }
        forget(&broker, &topic);
        broker.topics.delete(&topic, when_written(responder));
    });
}

fn forget(broker: &Broker, topic: &str) {
    broker.static_topics.delete(topic);
    broker.offsets.remove_topic(topic);
    broker.pop.forget_topic(topic);
    broker.store.delete_topic(topic);
    if let Some(timers) = &broker.timers {
        timers.metrics.remove(topic);
    }
    if broker.config().broker.auto_delete_unused_stats {
        broker.stats.forget_topic(topic);
    }
}

/// GET_ALL_TOPIC_CONFIG (21): the whole table, or a page of it.
pub fn all(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header = match request.header::<GetAllTopicConfigRequestHeader>() {
        Ok(header) => header,
        Err(error) => return answer(responder, Err(error.into())),
    };
    let broker = broker.clone();
    answer_blocking(responder, move || {
        let mut topics = broker.topics.wrapper();
        let total = topics.topic_config_table.len() as i32;
        let settings = broker.config();
        let paged = header.topic_seq.is_some() || header.data_version.is_some() || header.max_topic_num.is_some();
        if settings.broker.enable_split_metadata && paged {
            // Another version than the caller's starts again from the first topic.
            let same = header
                .data_version
                .as_deref()
                .is_none_or(|version| version.is_empty() || version.as_bytes() == topics.data_version.encode());
            let from = if same { header.topic_seq.unwrap_or(0).max(0) as usize } else { 0 };
            let count = settings.broker.split_metadata_size.min(header.max_topic_num.unwrap_or(i32::MAX)).max(0);
            topics.topic_config_table = topics.topic_config_table.into_iter().skip(from).take(count as usize).collect();
        }
        let mappings = broker.static_topics.wrapper();
        let mut details = mappings.topic_queue_mapping_info_map.unwrap_or_default();
        details.retain(|topic, _| topics.topic_config_table.contains_key(topic));
        let body = TopicConfigAndMappingSerializeWrapper {
            data_version: topics.data_version,
            mapping_data_version: mappings.data_version,
            topic_config_table: topics.topic_config_table,
            topic_queue_mapping_detail_map: details,
            ..Default::default()
        };
        let header = GetAllTopicConfigResponseHeader { total_topic_num: Some(total) };
        // Clients pass over the mappings, which fastjson2 can only where keys are quoted: Java's mqadmin fails with Java's
        // own brokers.
        Ok(RemotingCommand::success().with_body(body.encode_quoted_keys()).with_header(&header))
    });
}

/// GET_TOPIC_CONFIG (351); with the mapping of a static topic where `lo` asks for it.
pub fn one(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let name = request.header::<GetTopicConfigRequestHeader>()?.topic;
    let topic = broker
        .topics
        .get(&name)
        .ok_or_else(|| Refusal::new(ResponseCode::TopicNotExist, format!("No topic in this broker. topic: {name}")))?;
    let wants_mapping = request.header::<RpcFields>()?.lo == Some(true);
    let mapping = broker.static_topics.get(&name).filter(|_| wants_mapping);
    json(&TopicConfigAndQueueMapping::new(TopicConfig::clone(&topic), mapping.map(|mapping| (*mapping).clone())))
}

/// GET_TOPIC_STATS_INFO (202): offsets and last store time of every queue.
pub fn stats(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header = match request.header::<GetTopicStatsInfoRequestHeader>() {
        Ok(header) => header,
        Err(error) => return answer(responder, Err(error.into())),
    };
    let broker = broker.clone();
    answer_blocking(responder, move || {
        let name = &header.topic;
        let topic = broker
            .topics
            .get(name)
            .ok_or_else(|| Refusal::new(ResponseCode::TopicNotExist, format!("topic[{name}] not exist")))?;
        let mut table = TopicStatsTable { topic_put_tps: broker.stats.topic_put_tps(name), ..Default::default() };
        for queue_id in 0..topic.write_queue_nums.max(topic.read_queue_nums) {
            let max = broker.store.max_offset(name, queue_id).max(0);
            let offset = TopicOffset {
                min_offset: broker.store.min_offset(name, queue_id).max(0),
                max_offset: max,
                last_update_timestamp: if max > 0 { broker.store.store_time_of(name, queue_id, max - 1) } else { 0 },
            };
            table.offset_table.insert(MessageQueue::new(name, broker_name(&broker), queue_id), offset);
        }
        json(&table)
    });
}

/// GET_SYSTEM_TOPIC_LIST_FROM_BROKER (305).
pub fn system(broker: &Arc<Broker>, _: &RemotingCommand) -> Answer {
    json(&TopicList { topic_list: broker.topics.system_names().into_iter().collect(), broker_addr: None })
}
