//! Pulls from a logical queue: in which section they read, and what its positions mean to the consumer.

use std::sync::Arc;

use hypergol_remoting::protocol::header::pull::PullMessageResponseHeader;
use hypergol_remoting::{RemotingCommand, RequestCode, Responder, ResponseCode};

use super::admin::{Answer, Refusal, answer};
use super::logical_queue::{ask, for_section};
use super::pull::{FLAG_COMMIT_OFFSET, FLAG_SUSPEND};
use crate::context::Broker;
use crate::static_topic::LogicalQueue;
use crate::static_topic::sections::{self, is_decided, logical, physical};

/// A pull from a logical queue, at one of its sections.
pub(super) struct LogicalPull {
    queue: LogicalQueue,
    /// Index of the section.
    section: usize,
    /// Physical queue.
    pub queue_id: i32,
    /// Physical offset.
    pub offset: i64,
    /// Messages wanted at most: none of the next section.
    pub max_messages: i32,
}

/// Positions in an answer: physical ones of a section, or what they mean in the logical queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Positions {
    /// Code of the answer.
    pub code: ResponseCode,
    /// Offset of the next pull.
    pub next_begin: i64,
    /// Offset of the oldest message.
    pub min: i64,
    /// Offset of the next message.
    pub max: i64,
}

impl LogicalPull {
    /// A pull of `max_messages` from a logical offset.
    ///
    /// # Errors
    /// No section can be read yet.
    pub fn at(queue: LogicalQueue, offset: i64, max_messages: i32) -> Result<Self, Refusal> {
        let sections = queue.sections();
        let found = sections::find(sections, offset).and_then(|index| Some((index, sections.get(index)?)));
        let (index, section) = found.ok_or_else(|| Refusal::failed("no section of the queue is decided"))?;
        let left = sections::next(sections, index).map_or(i64::MAX, |next| next.logic_offset.saturating_sub(offset));
        Ok(Self {
            section: index,
            queue_id: section.queue_id,
            offset: physical(section, offset),
            max_messages: i32::try_from(left).map_or(max_messages, |left| left.min(max_messages)),
            queue,
        })
    }

    /// Whether the section is on another broker.
    pub fn is_elsewhere(&self) -> bool {
        self.queue.sections().get(self.section).is_some_and(|section| !self.queue.is_here(section))
    }

    /// Physical queue and offset for a logical offset to be committed, where that is on this broker.
    pub fn commit(&self, offset: i64) -> Option<(i32, i64)> {
        let section = self.queue.section_at(offset).filter(|section| self.queue.is_here(section))?;
        Some((section.queue_id, physical(section, offset)))
    }

    /// The logical positions of an answer, and the difference of its messages' logical offsets from their physical ones.
    ///
    /// At the end of a section the consumer goes on with the next; before its start, in a queue that is shorter than it
    /// was, it goes to what is left. Java: `rewriteResponseForStaticTopic`.
    pub fn meaning(&self, physical: Positions) -> (Positions, i64) {
        let sections = self.queue.sections();
        let Some(mut section) = sections.get(self.section) else { return (physical, 0) };
        let Positions { mut code, mut next_begin, mut min, mut max } = physical;
        let is_newest = self.section + 1 == sections.len();
        let is_oldest = sections.iter().position(is_decided) == Some(self.section);
        if matches!(
            code,
            ResponseCode::PullNotFound | ResponseCode::PullRetryImmediately | ResponseCode::PullOffsetMoved
        ) {
            if self.offset < min {
                next_begin = min;
                code = if is_oldest { ResponseCode::PullOffsetMoved } else { ResponseCode::PullRetryImmediately };
            } else if self.offset >= max && !is_newest {
                match sections::next(sections, self.section) {
                    Some(next) => {
                        section = next;
                        (next_begin, min, max) = (next.start_offset, next.start_offset, next.start_offset);
                        code = ResponseCode::PullRetryImmediately;
                    }
                    // It is being moved: what comes next will be known soon.
                    None => (next_begin, code) = (self.offset.min(max), ResponseCode::PullNotFound),
                }
            }
        }
        let next_logical = sections.last().map_or(-1, |newest| sections::logical_within(newest, newest.end_offset));
        let positions = Positions {
            code,
            next_begin: logical(section, next_begin),
            min: logical(section, min.max(section.start_offset)),
            max: logical(section, max).max(next_logical),
        };
        (positions, section.logic_offset - section.start_offset)
    }

    /// Has the section's broker answer. It may neither hold the pull nor commit an offset: both are for the leader.
    pub fn forward(self, broker: &Arc<Broker>, request: RemotingCommand, sys_flag: i32, responder: Responder) {
        let broker = broker.clone();
        tokio::spawn(async move { answer(responder, self.forwarded(&broker, &request, sys_flag).await) });
    }

    async fn forwarded(&self, broker: &Broker, request: &RemotingCommand, sys_flag: i32) -> Answer {
        let sections = self.queue.sections();
        let section = sections.get(self.section).ok_or_else(|| Refusal::failed("the section is gone"))?;
        let mut forwarded = for_section(RequestCode::PullMessage, request, section);
        let mut digits = itoa::Buffer::new();
        forwarded.fields.set("queueOffset", digits.format(self.offset));
        forwarded.fields.set("maxMsgNums", digits.format(self.max_messages));
        forwarded.fields.set("sysFlag", digits.format(sys_flag & !(FLAG_SUSPEND | FLAG_COMMIT_OFFSET)));
        let nothing = [ResponseCode::PullNotFound, ResponseCode::PullRetryImmediately, ResponseCode::PullOffsetMoved];
        let mut answer = ask(broker, section, forwarded, &nothing).await?;
        let header: PullMessageResponseHeader = answer.header()?;
        let code = nothing.into_iter().find(|code| *code as i32 == answer.code).unwrap_or(ResponseCode::Success);
        let found =
            Positions { code, next_begin: header.next_begin_offset, min: header.min_offset, max: header.max_offset };
        let (positions, delta) = self.meaning(found);
        let mut response = RemotingCommand::response(positions.code);
        response.remark = answer.remark.take();
        response.body = answer.body;
        Ok(response.with_header(&PullMessageResponseHeader {
            next_begin_offset: positions.next_begin,
            min_offset: positions.min,
            max_offset: positions.max,
            offset_delta: Some(delta),
            ..header
        }))
    }
}

#[cfg(test)]
mod tests {
    use hypergol_remoting::protocol::body::topic::{LogicQueueMappingItem, TopicQueueMappingDetail};

    use super::*;

    /// Sections at 0 (broker b), 1000 (broker a) and, undecided or at 2000, the newest (broker a).
    fn queue(newest: i64) -> LogicalQueue {
        let section = |generation: i32, bname: &str, logic_offset: i64| LogicQueueMappingItem {
            generation,
            bname: bname.into(),
            logic_offset,
            queue_id: 10 + generation,
            ..LogicQueueMappingItem::default()
        };
        let sections = vec![section(0, "b", 0), section(1, "a", 1000), section(2, "a", newest)];
        let mapping = TopicQueueMappingDetail {
            bname: "a".into(),
            hosted_queues: [(3, sections)].into(),
            topic: "T".into(),
            total_queues: 4,
            ..TopicQueueMappingDetail::default()
        };
        LogicalQueue::led(Arc::new(mapping), 3).ok().unwrap()
    }

    fn pull(newest: i64, offset: i64) -> LogicalPull {
        LogicalPull::at(queue(newest), offset, 32).ok().unwrap()
    }

    fn means(pull: &LogicalPull, code: ResponseCode, next_begin: i64, min: i64, max: i64) -> (ResponseCode, [i64; 4]) {
        let (positions, delta) = pull.meaning(Positions { code, next_begin, min, max });
        (positions.code, [positions.next_begin, positions.min, positions.max, delta])
    }

    use ResponseCode::{PullNotFound, PullOffsetMoved, PullRetryImmediately, Success};

    #[test]
    fn a_pull_reads_one_section() {
        let seam = pull(2000, 995);
        assert!(seam.is_elsewhere());
        assert_eq!((seam.queue_id, seam.offset, seam.max_messages), (10, 995, 5));
        let middle = pull(2000, 1000);
        assert!(!middle.is_elsewhere());
        assert_eq!((middle.queue_id, middle.offset, middle.max_messages), (11, 0, 32));
        assert_eq!(means(&middle, Success, 32, 0, 40), (Success, [1032, 1000, 2000, 1000]));
        assert_eq!(middle.commit(5), None, "on broker b");
        assert_eq!(middle.commit(2007), Some((12, 7)));
    }

    #[test]
    fn a_section_that_is_read_leads_to_the_next() {
        let end = pull(2000, 40);
        assert_eq!(means(&end, PullNotFound, 40, 0, 40), (PullRetryImmediately, [1000, 1000, 2000, 1000]));
        let gap = pull(2000, 500);
        assert_eq!(means(&gap, PullOffsetMoved, 40, 0, 40), (PullRetryImmediately, [1000, 1000, 2000, 1000]));
        let newest = pull(2000, 2007);
        assert_eq!(means(&newest, PullNotFound, 7, 0, 7), (PullNotFound, [2007, 2000, 2007, 2000]));
        let beyond = pull(2000, i64::MAX);
        assert_eq!(means(&beyond, PullOffsetMoved, 7, 0, 7), (PullOffsetMoved, [2007, 2000, 2007, 2000]));
        let undecided = pull(-1, 1040);
        assert_eq!(means(&undecided, PullNotFound, 40, 0, 40), (PullNotFound, [1040, 1000, 1040, 1000]));
    }

    #[test]
    fn what_has_expired_is_passed_over() {
        let oldest = pull(2000, 5);
        assert_eq!(means(&oldest, PullOffsetMoved, 20, 20, 40), (PullOffsetMoved, [20, 20, 2000, 0]));
        let before = pull(2000, -7);
        assert_eq!(means(&before, PullOffsetMoved, 0, 0, 40).0, PullOffsetMoved);
        let middle = pull(2000, 1005);
        assert_eq!(means(&middle, PullOffsetMoved, 20, 20, 40), (PullRetryImmediately, [1020, 1020, 2000, 1000]));
        let all_gone = pull(2000, 5);
        assert_eq!(means(&all_gone, PullOffsetMoved, 40, 40, 40), (PullOffsetMoved, [40, 40, 2000, 0]));
    }
}
