//! PEEK_MESSAGE: shows the messages that a pop would hand out, and hands out none.

use std::sync::Arc;

use bytes::Bytes;
use hypergol_remoting::protocol::header::pop::{PeekMessageRequestHeader, PopMessageResponseHeader};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::{GetRequest, GetStatus, MatchAll};

use super::{BYTES_MAX, readable_broker, topic_and_group};
use crate::context::Broker;
use crate::pop::QueueKey;
use crate::pop::checkpoint::MESSAGES_MAX;
use crate::pop::retry::retry_topic;

/// One of so many peeks looks at the retry topic first. Java: `randomQ % 5`.
const RETRY_FIRST: i32 = 5;

/// Answers a peek. It may have to wait for the disk.
pub fn peek(broker: &Arc<Broker>, request: &RemotingCommand, responder: Responder) {
    let header: PeekMessageRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let config = broker.config();
    let (topic, group, queue_id) = (&header.topic, &header.consumer_group, header.queue_id);
    let checked = readable_broker(&config, "peeking message")
        .and_then(|()| topic_and_group(broker, &config, topic, group, queue_id, &responder));
    let topic = match checked {
        Ok((topic, _)) => topic,
        Err(refused) => return responder.send(*refused),
    };
    let broker = broker.clone();
    tokio::task::spawn_blocking(move || {
        let chance: i32 = rand::random_range(0..100);
        let retry = retry_topic(&header.topic, &header.consumer_group, broker.config().broker.enable_retry_topic_v2);
        let retry_queues = broker.topics.get(&retry).map_or(0, |topic| topic.read_queue_nums);
        let in_turn = |queues: i32| {
            (0..queues.max(0)).map(move |i| i64::from(chance) + i64::from(i)).map(move |i| i % i64::from(queues))
        };
        let mut peek = Peek { broker: &broker, header: &header, messages: Vec::new(), bytes: 0, rest: 0 };
        let retry_first = chance % RETRY_FIRST == 0;
        if retry_first {
            in_turn(retry_queues).for_each(|queue_id| peek.look(&retry, queue_id));
        }
        if header.queue_id < 0 {
            in_turn(topic.read_queue_nums).for_each(|queue_id| peek.look(&header.topic, queue_id));
        } else {
            peek.look(&header.topic, header.queue_id.into());
        }
        if !retry_first && peek.room() > 0 {
            in_turn(retry_queues).for_each(|queue_id| peek.look(&retry, queue_id));
        }
        responder.send(peek.answer());
    });
}

struct Peek<'a> {
    broker: &'a Broker,
    header: &'a PeekMessageRequestHeader,
    messages: Vec<Bytes>,
    bytes: i64,
    rest: i64,
}

impl Peek<'_> {
    fn room(&self) -> usize {
        // Java sets no limit.
        let wanted = usize::try_from(self.header.max_msg_nums).unwrap_or(0).min(MESSAGES_MAX);
        wanted.saturating_sub(self.messages.len())
    }

    fn look(&mut self, topic: &str, queue_id: i64) {
        let Ok(queue_id) = i32::try_from(queue_id) else { return };
        let key = QueueKey::new(topic, &self.header.consumer_group, queue_id);
        let rest = self.broker.pop.unpopped(self.broker, &key);
        // Consumers may commit any offset.
        self.rest = self.rest.saturating_add(rest);
        let max_messages = u32::try_from(self.room()).unwrap_or(0);
        if max_messages == 0 {
            return;
        }
        let offset = self.broker.store.max_offset(topic, queue_id).saturating_sub(rest);
        let request = GetRequest { topic, queue_id, offset, max_messages, max_bytes: BYTES_MAX };
        let mut result = self.broker.store.get(&request, &MatchAll);
        if matches!(result.status, GetStatus::OffsetTooSmall | GetStatus::OffsetOverflowBadly) {
            let request = GetRequest { offset: result.next_begin_offset, ..request };
            result = self.broker.store.get(&request, &MatchAll);
        }
        self.bytes = self.bytes.saturating_add(result.bytes.into());
        self.messages.extend(result.messages);
    }

    fn answer(self) -> RemotingCommand {
        let header = PopMessageResponseHeader {
            pop_time: 0,
            invisible_time: 0,
            revive_qid: 0,
            rest_num: self.rest,
            start_offset_info: None,
            msg_offset_info: None,
            order_count_info: None,
        };
        if self.messages.is_empty() {
            let response = RemotingCommand::response(ResponseCode::PullNotFound).with_remark("NO_MESSAGE_IN_QUEUE");
            return response.with_header(&header);
        }
        let (topic, group) = (&self.header.topic, &self.header.consumer_group);
        let count = i64::try_from(self.messages.len()).unwrap_or(i64::MAX);
        self.broker.stats.get(
            group,
            topic,
            self.header.queue_id,
            count,
            self.bytes,
            self.broker.topics.is_system(topic),
        );
        let mut response = RemotingCommand::success().with_remark("FOUND").with_header(&header);
        response.more_body = self.messages;
        response
    }
}
