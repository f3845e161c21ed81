//! Requests about the offsets of a logical queue: 14, 15, 29 to 32 for a static topic.
//!
//! Offsets in requests and answers are logical. The broker that leads the queue finds the section that a request is
//! about, does what is asked in the physical queue where that is its own, or has the section's broker do it: the same
//! request with `lo` set to false. Requests for physical queues and plain topics never come here.

use std::sync::Arc;

use hypergol_remoting::protocol::body::topic::LogicQueueMappingItem as Section;
use hypergol_remoting::protocol::header::Header;
use hypergol_remoting::protocol::header::offset::{
    BoundaryType, GetEarliestMsgStoretimeRequestHeader, GetEarliestMsgStoretimeResponseHeader,
    GetMaxOffsetRequestHeader, GetMaxOffsetResponseHeader, GetMinOffsetRequestHeader, GetMinOffsetResponseHeader,
    QueryConsumerOffsetRequestHeader, QueryConsumerOffsetResponseHeader, SearchOffsetRequestHeader,
    SearchOffsetResponseHeader, UpdateConsumerOffsetRequestHeader,
};
use hypergol_remoting::{RemotingCommand, RequestCode, Responder, ResponseCode};

use super::admin::{Answer, Refusal, answer, offset};
use super::consumer;
use crate::context::Broker;
use crate::peers::PeerError;
use crate::static_topic::sections::{self, is_decided, logical, logical_within};
use crate::static_topic::{LogicalQueue, NotLeader};

impl From<NotLeader> for Refusal {
    fn from(error: NotLeader) -> Self {
        Self::new(ResponseCode::NotLeaderForQueue, error.to_string())
    }
}

impl From<PeerError> for Refusal {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Busy => Self::new(ResponseCode::SystemBusy, error.to_string()),
            _ => Self::failed(error.to_string()),
        }
    }
}

/// Whether a request is about a logical queue.
pub fn concerns(broker: &Broker, request: &RemotingCommand) -> bool {
    !broker.static_topics.is_empty()
        && broker.static_topics.of_request(request.fields.get("topic").unwrap_or_default(), &request.fields).is_some()
}

/// Answers a request that [`concerns`] a logical queue.
pub fn serve(broker: &Arc<Broker>, code: RequestCode, request: RemotingCommand, responder: Responder) {
    match code {
        RequestCode::UpdateConsumerOffset => update_consumer_offset(broker, request, responder),
        RequestCode::QueryConsumerOffset => query_consumer_offset(broker, request, responder),
        _ => {
            let broker = broker.clone();
            tokio::spawn(async move { answer(responder, of_queue(&broker, code, &request).await) });
        }
    }
}

/// The queue that a request names.
fn named(broker: &Broker, request: &RemotingCommand, topic: &str, id: i32) -> Result<LogicalQueue, Refusal> {
    let mapping = broker.static_topics.of_request(topic, &request.fields);
    // Gone since `concerns`.
    let mapping = mapping.ok_or_else(|| Refusal::failed(format!("topic {topic} is not a static topic any more")))?;
    Ok(LogicalQueue::led(mapping, id)?)
}

/// A request with the fields of another, for the physical queue of a section.
pub(super) fn for_section(code: RequestCode, request: &RemotingCommand, section: &Section) -> RemotingCommand {
    let mut forwarded = RemotingCommand::request(code);
    forwarded.fields = request.fields.clone();
    forwarded.fields.set("queueId", itoa::Buffer::new().format(section.queue_id));
    forwarded.fields.set("bname", &section.bname);
    forwarded.fields.set("lo", "false");
    forwarded
}

/// Has the broker of a section do what is asked; anything but success, and what `also` names, is an error.
pub(super) async fn ask(
    broker: &Broker,
    section: &Section,
    request: RemotingCommand,
    also: &[ResponseCode],
) -> Result<RemotingCommand, Refusal> {
    let name = &section.bname;
    let answer = broker.peers.invoke(broker, name, request).await?;
    if answer.code == ResponseCode::Success as i32 || also.iter().any(|code| *code as i32 == answer.code) {
        return Ok(answer);
    }
    let remark = answer.remark.as_deref().unwrap_or_default();
    Err(Refusal::failed(format!("broker {name} answers {}: {remark}", answer.code)))
}

/// A section of a queue, to be asked about.
struct Asked<'a> {
    broker: &'a Arc<Broker>,
    section: &'a Section,
    request: &'a RemotingCommand,
    is_here: bool,
}

impl Asked<'_> {
    /// What the section's broker says; this one answers with `here`, which may read the log.
    async fn of<H: Header>(
        &self,
        code: RequestCode,
        here: fn(&Arc<Broker>, &RemotingCommand) -> Answer,
    ) -> Result<H, Refusal> {
        let request = for_section(code, self.request, self.section);
        let answer = if self.is_here {
            let broker = self.broker.clone();
            let done = tokio::task::spawn_blocking(move || here(&broker, &request)).await;
            done.map_err(|error| Refusal::failed(error.to_string()))??
        } else {
            ask(self.broker, self.section, request, &[]).await?
        };
        Ok(answer.header()?)
    }

    async fn earliest_time(&self) -> Result<i64, Refusal> {
        let code = RequestCode::GetEarliestMsgStoreTime;
        let header: GetEarliestMsgStoretimeResponseHeader = self.of(code, offset::earliest_time).await?;
        Ok(header.timestamp)
    }

    async fn by_time(&self) -> Result<i64, Refusal> {
        let header: SearchOffsetResponseHeader = self.of(RequestCode::SearchOffsetByTimestamp, offset::by_time).await?;
        Ok(header.offset)
    }
}

/// Codes 29 to 32.
async fn of_queue(broker: &Arc<Broker>, code: RequestCode, request: &RemotingCommand) -> Answer {
    let section_at = |queue: &LogicalQueue, offset: i64| {
        let section = queue.section_at(offset).cloned();
        let section = section.ok_or_else(|| Refusal::failed("no section of the queue is decided"))?;
        Ok::<_, Refusal>((queue.is_here(&section), section))
    };
    match code {
        RequestCode::GetMaxOffset => {
            let header: GetMaxOffsetRequestHeader = request.header()?;
            let queue = named(broker, request, &header.topic, header.queue_id)?;
            let (is_here, section) = section_at(&queue, i64::MAX)?;
            let asked = Asked { broker, section: &section, request, is_here };
            let max: GetMaxOffsetResponseHeader = asked.of(code, offset::max).await?;
            let header = GetMaxOffsetResponseHeader { offset: logical(&section, max.offset) };
            Ok(RemotingCommand::success().with_header(&header))
        }
        RequestCode::GetMinOffset => {
            let header: GetMinOffsetRequestHeader = request.header()?;
            let queue = named(broker, request, &header.topic, header.queue_id)?;
            let (is_here, section) = section_at(&queue, 0)?;
            let asked = Asked { broker, section: &section, request, is_here };
            let min: GetMinOffsetResponseHeader = asked.of(code, offset::min).await?;
            let header = GetMinOffsetResponseHeader { offset: logical_within(&section, min.offset) };
            Ok(RemotingCommand::success().with_header(&header))
        }
        RequestCode::GetEarliestMsgStoreTime => {
            let header: GetEarliestMsgStoretimeRequestHeader = request.header()?;
            let queue = named(broker, request, &header.topic, header.queue_id)?;
            let (is_here, section) = section_at(&queue, 0)?;
            let timestamp = Asked { broker, section: &section, request, is_here }.earliest_time().await?;
            Ok(RemotingCommand::success().with_header(&GetEarliestMsgStoretimeResponseHeader { timestamp }))
        }
        _ => search_by_time(broker, request).await,
    }
}

/// Code 29: in the newest section that has a message as old as that, else in the oldest. At the end of a section is the
/// start of the next, so a result there is as good as the first message behind it.
async fn search_by_time(broker: &Arc<Broker>, request: &RemotingCommand) -> Answer {
    let header: SearchOffsetRequestHeader = request.header()?;
    let queue = named(broker, request, &header.topic, header.queue_id)?;
    let oldest = queue.sections().iter().position(is_decided);
    for (index, section) in queue.sections().iter().enumerate().rev().filter(|(_, section)| is_decided(section)) {
        let asked = Asked { broker, section, request, is_here: queue.is_here(section) };
        if Some(index) != oldest {
            let first = asked.earliest_time().await?;
            let is_old = match header.boundary_type {
                BoundaryType::Lower => first < header.timestamp,
                BoundaryType::Upper => first <= header.timestamp,
            };
            if first < 0 || !is_old {
                continue;
            }
        }
        let offset = logical(section, asked.by_time().await?);
        return Ok(RemotingCommand::success().with_header(&SearchOffsetResponseHeader { offset }));
    }
    Err(Refusal::failed("no section of the queue is decided"))
}

/// Code 15: the offset is kept where its section is.
fn update_consumer_offset(broker: &Arc<Broker>, mut request: RemotingCommand, responder: Responder) {
    let parsed = request.header::<UpdateConsumerOffsetRequestHeader>().map_err(Refusal::from).and_then(|header| {
        let queue = named(broker, &request, &header.topic, header.queue_id)?;
        let section = queue.section_at(header.commit_offset).cloned();
        let section = section.ok_or_else(|| Refusal::failed("no section of the queue is decided"))?;
        Ok((sections::physical(&section, header.commit_offset), queue.is_here(&section), section))
    });
    let (physical, is_here, section) = match parsed {
        Ok(parsed) => parsed,
        Err(refusal) => return answer(responder, Err(refusal)),
    };
    request.fields.set("commitOffset", itoa::Buffer::new().format(physical));
    let request = for_section(RequestCode::UpdateConsumerOffset, &request, &section);
    if is_here {
        return consumer::update_offset(broker, request, responder);
    }
    let broker = broker.clone();
    tokio::spawn(async move {
        let done = ask(&broker, &section, request, &[]).await;
        answer(responder, done.map(|_| RemotingCommand::success()));
    });
}

/// Code 14: the offset of the newest section in which the group has one. A group that has none asks nowhere for the
/// start of a young topic unless the queue never moved.
fn query_consumer_offset(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let parsed = request
        .header::<QueryConsumerOffsetRequestHeader>()
        .map_err(Refusal::from)
        .and_then(|header| Ok((named(broker, &request, &header.topic, header.queue_id)?, header)));
    let (queue, header) = match parsed {
        Ok(parsed) => parsed,
        Err(refusal) => return answer(responder, Err(refusal)),
    };
    if let [only] = queue.sections()
        && (only.logic_offset, only.start_offset) == (0, 0)
    {
        let request = for_section(RequestCode::QueryConsumerOffset, &request, only);
        return consumer::query_offset(broker, request, responder);
    }
    let broker = broker.clone();
    tokio::spawn(async move { answer(responder, committed(&broker, &queue, &header, request).await) });
}

async fn committed(
    broker: &Broker,
    queue: &LogicalQueue,
    header: &QueryConsumerOffsetRequestHeader,
    mut request: RemotingCommand,
) -> Answer {
    request.fields.set("setZeroIfNotFound", "false");
    for section in queue.sections().iter().rev().filter(|section| is_decided(section)) {
        let offset = if queue.is_here(section) {
            let with_reset = broker.config().broker.use_server_side_reset_offset;
            broker.offsets.committed(&header.topic, &header.consumer_group, section.queue_id, with_reset)
        } else {
            let request = for_section(RequestCode::QueryConsumerOffset, &request, section);
            let answer = ask(broker, section, request, &[ResponseCode::QueryNotFound]).await?;
            match answer.code == ResponseCode::Success as i32 {
                true => Some(answer.header::<QueryConsumerOffsetResponseHeader>()?.offset),
                false => None,
            }
        };
        if let Some(offset) = offset.filter(|offset| *offset >= 0) {
            let header = QueryConsumerOffsetResponseHeader { offset: logical(section, offset) };
            return Ok(RemotingCommand::success().with_header(&header));
        }
    }
    Err(Refusal::new(ResponseCode::QueryNotFound, "Not found, maybe this group consumer boot first"))
}
