//! QUERY_MESSAGE and VIEW_MESSAGE_BY_ID.

use std::sync::Arc;

use bytes::Bytes;
use hypergol_remoting::protocol::header::pull::{
    QueryMessageRequestHeader, QueryMessageResponseHeader, ViewMessageRequestHeader,
};
use hypergol_remoting::{RemotingCommand, Responder, ResponseCode};
use hypergol_store::record::{PROPERTY_KEYS, PROPERTY_TAGS, PROPERTY_UNIQ_KEY, property};
use hypergol_store::{KeyKind, Record};

use crate::context::Broker;

/// Extra field that says the key is a unique key.
const UNIQUE_KEY_QUERY: &str = "_UNIQUE_KEY_QUERY";
/// `indexType` of unique keys and of tags; anything else is a client's key.
const INDEX_TYPE_UNIQUE: &str = "U";
const INDEX_TYPE_TAG: &str = "T";
/// Messages of one answer at most. Java: maxMsgsNumBatch, 64.
const MESSAGES_MAX: usize = 64;
/// Messages of a query by unique key. Java: defaultQueryMaxNum, 32.
const UNIQUE_KEY_MESSAGES: i32 = 32;
/// Bytes of one answer at most: clients refuse frames above 16 MiB. At least one message is always answered.
const ANSWER_BYTES_MAX: usize = 15 * 1024 * 1024;

/// QUERY_MESSAGE: messages by key, unique key or tag, oldest first; the newest ones where there are too many.
pub fn query_message(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let mut header: QueryMessageRequestHeader = match request.header() {
        Ok(header) => header,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let by_unique_key = request.fields.get(UNIQUE_KEY_QUERY).is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
    let kind = match header.index_type.as_deref() {
        _ if by_unique_key => KeyKind::UniqueKey,
        Some(INDEX_TYPE_UNIQUE) => KeyKind::UniqueKey,
        Some(INDEX_TYPE_TAG) => KeyKind::Tag,
        _ => KeyKind::Key,
    };
    if by_unique_key {
        header.max_num = UNIQUE_KEY_MESSAGES;
    }
    let Ok(max) = usize::try_from(header.max_num) else {
        return responder.error(ResponseCode::SystemError, format!("maxNum is negative: {}", header.max_num));
    };
    let broker = broker.clone();
    // Index and messages may lie on disk only.
    tokio::task::spawn_blocking(move || responder.send(find(&broker, &header, kind, max.min(MESSAGES_MAX))));
}

fn find(broker: &Broker, header: &QueryMessageRequestHeader, kind: KeyKind, max: usize) -> RemotingCommand {
    let (topic, key) = (header.topic.as_str(), header.key.as_str());
    let result = broker.store.query(topic, key, kind, max, header.begin_timestamp, header.end_timestamp);
    let mut bytes = 0;
    let newest_first = result.messages.into_iter().filter(|message| matches(message, topic, key, kind));
    let mut messages: Vec<Bytes> = newest_first
        .take_while(|message| {
            let first = bytes == 0;
            bytes += message.len();
            first || bytes <= ANSWER_BYTES_MAX
        })
        .collect();
    if messages.is_empty() {
        let remark = "can not find message, maybe time range not correct";
        let nothing = QueryMessageResponseHeader { index_last_update_timestamp: 0, index_last_update_phyoffset: 0 };
        return RemotingCommand::error(ResponseCode::QueryNotFound, remark).with_header(&nothing);
    }
    messages.sort_by_key(|message| Record::parse(message).map_or(0, |record| record.physical_offset()));
    let mut answer = RemotingCommand::success().with_header(&QueryMessageResponseHeader {
        index_last_update_timestamp: result.index_last_update_timestamp,
        index_last_update_phyoffset: result.index_last_update_physical_offset,
    });
    answer.more_body = messages;
    answer
}

/// The index knows hashes only. Keys and unique keys share one space of hashes, so both are found as either.
fn matches(message: &[u8], topic: &str, key: &str, kind: KeyKind) -> bool {
    let Ok(record) = Record::parse(message) else { return false };
    if record.topic() != topic {
        return false;
    }
    let value = |name| property(record.properties(), name);
    match kind {
        KeyKind::Tag => value(PROPERTY_TAGS) == Some(key),
        KeyKind::Key | KeyKind::UniqueKey => {
            value(PROPERTY_UNIQ_KEY) == Some(key)
                || value(PROPERTY_KEYS).is_some_and(|keys| keys.split(' ').any(|known| known == key))
        }
    }
}

/// VIEW_MESSAGE_BY_ID: the message at a commit-log offset.
pub fn view_message(broker: &Arc<Broker>, request: RemotingCommand, responder: Responder) {
    let offset = match request.header::<ViewMessageRequestHeader>() {
        Ok(header) => header.offset,
        Err(error) => return responder.error(ResponseCode::SystemError, error.to_string()),
    };
    let broker = broker.clone();
    tokio::task::spawn_blocking(move || match broker.store.record_at(offset) {
        Some(record) => responder.send(RemotingCommand::success().with_body(record)),
        None => {
            let remark = format!("can not find message by the offset, {offset}");
            responder.error(ResponseCode::SystemError, remark);
        }
    });
}
