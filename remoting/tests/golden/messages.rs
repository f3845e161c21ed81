//! Properties, hashes, ids, batches and subscriptions, as Java makes and reads them.

use std::collections::BTreeMap;

use hypergol_remoting::message::{
    self, BatchPart, OffsetMessageId, RecallHandle, UniqueKey, append_batch_part, split_batch,
};
use hypergol_remoting::pop_handle::{PopHandle, PopOffsets, PopTopic};
use serde_json::Value;

use crate::{hex, lines, text};

fn each(kind: &str, mut check: impl FnMut(&Value)) {
    let lines = lines("messages.jsonl");
    let mut of_kind = lines.iter().filter(|line| line["kind"] == kind).peekable();
    assert!(of_kind.peek().is_some(), "no line of kind {kind}");
    of_kind.for_each(&mut check);
}

#[test]
fn properties() {
    each("properties", |line| {
        let parsed: BTreeMap<_, _> = message::properties(text(line, "text")).collect();
        let expected: BTreeMap<_, _> =
            line["parsed"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        assert_eq!(parsed, expected, "{line}");
        let encoded = message::encode_properties(parsed.iter().map(|(k, v)| (*k, *v)));
        assert_eq!(message::properties(&encoded).collect::<BTreeMap<_, _>>(), parsed);
    });
}

#[test]
fn hashes() {
    each("hash", |line| {
        let tag = text(line, "text");
        assert_eq!(i64::from(message::java_hash(tag)), line["java_hash"].as_i64().unwrap());
        let tag = Some(tag).filter(|tag| !tag.is_empty());
        assert_eq!(message::tags_code(tag), line["tags_code"].as_i64().unwrap());
    });
}

#[test]
fn offset_message_ids() {
    each("message-id", |line| {
        let id =
            OffsetMessageId { host: text(line, "host").parse().unwrap(), offset: line["offset"].as_i64().unwrap() };
        assert_eq!(id.to_string(), text(line, "id"));
        assert_eq!(text(line, "id").parse(), Ok(id));
    });
}

#[test]
fn unique_keys() {
    each("unique-key", |line| {
        let key: UniqueKey = text(line, "key").parse().unwrap();
        assert_eq!(u64::from(key.pid), line["pid"].as_u64().unwrap());
        assert_eq!(key.ip, text(line, "ip").parse::<std::net::IpAddr>().unwrap());
        assert_eq!(key.to_string(), text(line, "key"));
    });
}

#[test]
fn recall_handles() {
    each("recall-handle", |line| {
        let handle: RecallHandle = text(line, "handle").parse().unwrap();
        let parts = [&handle.topic, &handle.broker_name, &handle.timestamp, &handle.message_id];
        assert_eq!(parts, ["topic", "broker_name", "timestamp", "message_id"].map(|field| text(line, field)));
        assert_eq!(handle.to_string(), text(line, "handle"));
    });
}

#[test]
fn batches() {
    each("batch", |line| {
        let batch = hex(text(line, "hex"));
        let messages = line["messages"].as_array().unwrap();
        let bodies: Vec<_> = messages.iter().map(|message| hex(text(message, "body"))).collect();
        let expected: Vec<_> = messages
            .iter()
            .zip(&bodies)
            .map(|(message, body)| BatchPart {
                flag: message["flag"].as_i64().unwrap() as i32,
                body,
                properties: message["properties_string"].as_str().unwrap_or_default().as_bytes(),
            })
            .collect();
        assert_eq!(split_batch(&batch, 1024).unwrap(), expected);
        let mut made = Vec::new();
        assert!(expected.iter().all(|part| append_batch_part(&mut made, part)));
        assert_eq!(made, batch);
    });
}

#[test]
fn subscriptions() {
    each("subscription", |line| {
        let made = message::tag_subscription("T", text(line, "expression"));
        if let Some(error) = line["error"].as_str() {
            assert_eq!(made.unwrap_err().to_string(), error);
            return;
        }
        let made = made.unwrap();
        assert_eq!(made.sub_string.as_deref(), line["sub_string"].as_str());
        assert_eq!(serde_json::json!(made.tags_set), line["tags"]);
        assert_eq!(serde_json::json!(made.code_set), line["codes"]);
    });
}

#[test]
fn pop_handles() {
    each("pop-handle", |line| {
        let kind = PopTopic::of(text(line, "topic"));
        let bare: PopHandle = text(line, "handle").parse().unwrap();
        assert_eq!((bare.topic, bare.queue_offset), (kind, None));
        assert_eq!(bare.to_string(), text(line, "handle"));
        let full = PopHandle { queue_offset: Some(12), ..bare };
        assert_eq!(full.to_string(), text(line, "handle_with_offset"));
        assert_eq!(text(line, "handle_with_offset").parse(), Ok(full));

        let mut offsets = PopOffsets::default();
        offsets.queue(kind, 2, 10, &[10, 11, 13]);
        offsets.queue(kind, 3, 20, &[20]);
        offsets.queue_order_count(kind, 2, 1);
        offsets.message_order_count(kind, 2, 10, 4);
        assert_eq!(offsets.start_offset_info(), text(line, "start_offset_info"));
        assert_eq!(offsets.msg_offset_info(), text(line, "msg_offset_info"));
        assert_eq!(offsets.order_count_info(), text(line, "order_count_info"));
    });
}
