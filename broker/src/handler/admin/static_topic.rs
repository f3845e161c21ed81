//! UPDATE_AND_CREATE_STATIC_TOPIC (513): queues and mapping of a static topic on this broker.
//!
//! Tools move a queue by several of these requests to several brokers; each counts on the one before being known to the
//! name servers, so the answer waits for them.

use std::sync::Arc;

use hypergol_remoting::protocol::body::topic::{TopicConfig, TopicQueueMappingDetail};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::topic::CreateTopicRequestHeader;
use hypergol_remoting::{RemotingCommand, Responder};
use tokio::sync::oneshot;

use super::topic::{check, settings};
use super::{Refusal, answer, broker_name};
use crate::context::Broker;
use crate::namesrv_client;
use crate::persist::WrittenCallback;

type Written = oneshot::Receiver<Result<(), String>>;

/// Changes nothing when any of it is refused.
pub fn update(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let (topic, written) = match change(broker, request) {
        Ok(changed) => changed,
        Err(refusal) => return answer(responder, Err(refusal)),
    };
    let broker = broker.clone();
    tokio::spawn(async move {
        for file in written {
            if let Ok(Err(error)) = file.await {
                return answer(responder, Err(Refusal::failed(format!("changed, but not written: {error}"))));
            }
        }
        if let Some(topic) = broker.topics.get(&topic) {
            namesrv_client::register_now(&broker, topic).await;
        }
        responder.success();
    });
}

/// The name of the topic, and when its two files are written.
fn change(broker: &Arc<Broker>, request: &RemotingCommand) -> Result<(String, [Written; 2]), Refusal> {
    let header: CreateTopicRequestHeader = request.header()?;
    let mapping = TopicQueueMappingDetail::decode(&request.body)?;
    let topic: TopicConfig = check(broker, settings(&header)?)?;
    let name = topic.topic_name.clone();
    if mapping.topic != name {
        return Err(Refusal::failed(format!("the mapping is of topic {}, not {name}", mapping.topic)));
    }
    let broker_name = broker_name(broker);
    if mapping.bname != broker_name {
        return Err(Refusal::failed(format!("the mapping is for broker {}, not {broker_name}", mapping.bname)));
    }
    let queues = topic.write_queue_nums.max(topic.read_queue_nums);
    let here = mapping.hosted_queues.values().flatten().filter(|section| section.bname == broker_name);
    if let Some(section) = here.into_iter().find(|section| section.queue_id >= queues) {
        let remark = format!("a section is in queue {} of {queues} on this broker", section.queue_id);
        return Err(Refusal::failed(remark));
    }
    let (mapping_done, mapping_written) = written();
    let (topic_done, topic_written) = written();
    let then = || broker.topics.update(vec![topic], topic_done);
    broker.static_topics.update(mapping, header.force, then, mapping_done).map_err(Refusal::failed)?;
    Ok((name, [mapping_written, topic_written]))
}

fn written() -> (WrittenCallback, Written) {
    let (sender, receiver) = oneshot::channel();
    (Box::new(move |result| drop(sender.send(result))), receiver)
}
