//! Bodies under arbitrary input: what is written is read back, and no bytes do harm.

use std::collections::BTreeMap;

use hypergol_remoting::message::{BatchPart, OffsetMessageId, RecallHandle, UniqueKey};
use hypergol_remoting::message::{append_batch_part, properties, split_batch, tag_subscription};
use hypergol_remoting::protocol::body::group::SubscriptionGroupWrapper;
use hypergol_remoting::protocol::body::heartbeat::{ConsumerData, HeartbeatData, MessageModel};
use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use hypergol_remoting::protocol::body::offset::{ConsumeStats, OffsetWrapper, ResetOffsetBody};
use hypergol_remoting::protocol::body::pop::BatchAckMessageRequestBody;
use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::body::route::{BrokerData, ClusterInfo, TopicRouteData};
use hypergol_remoting::protocol::body::running::ConsumerRunningInfo;
use hypergol_remoting::protocol::body::topic::{TopicConfig, TopicConfigAndMappingSerializeWrapper};
use hypergol_remoting::protocol::fastjson::{Body, Style, Value, Writer};
use proptest::prelude::*;

fn queue() -> impl Strategy<Value = MessageQueue> {
    (".{1,8}", ".{1,8}", any::<i32>()).prop_map(|(topic, broker, id)| MessageQueue::new(topic, broker, id))
}

fn stats() -> impl Strategy<Value = ConsumeStats> {
    let wrapper = any::<(i64, i64, i64, i64)>().prop_map(|(a, b, c, d)| OffsetWrapper {
        broker_offset: a,
        consumer_offset: b,
        last_timestamp: c,
        pull_offset: d,
    });
    let tps = any::<f64>().prop_filter("fastjson writes others as null", |tps| tps.is_finite());
    (tps, prop::collection::btree_map(queue(), wrapper, 0..5))
        .prop_map(|(consume_tps, offset_table)| ConsumeStats { consume_tps, offset_table })
}

fn heartbeat() -> impl Strategy<Value = HeartbeatData> {
    let subscription = (".{1,8}", "([a-zäß😀]{1,4}( ?\\|\\| ?[A-Z]{1,3}){0,3})?")
        .prop_map(|(topic, tags)| tag_subscription(&topic, &tags).unwrap());
    let consumer = (".{1,8}", prop::collection::vec(subscription, 0..4), any::<bool>(), 0..4usize).prop_map(
        |(group_name, subscription_data_set, unit_mode, model)| ConsumerData {
            group_name,
            subscription_data_set,
            unit_mode,
            message_model: MessageModel::ALL.get(model).copied(),
            ..ConsumerData::default()
        },
    );
    (".{1,20}", prop::collection::vec(consumer, 0..4), any::<i32>()).prop_map(
        |(client_id, consumer_data_set, heartbeat_fingerprint)| HeartbeatData {
            client_id,
            consumer_data_set,
            heartbeat_fingerprint,
            ..HeartbeatData::default()
        },
    )
}

fn cluster() -> impl Strategy<Value = ClusterInfo> {
    let broker = (
        prop::collection::btree_map(any::<i64>(), ".{0,12}", 0..4),
        ".{1,8}",
        any::<bool>(),
        prop::option::of(".{0,6}"),
    )
        .prop_map(|(broker_addrs, broker_name, enable_acting_master, zone_name)| BrokerData {
            broker_addrs,
            broker_name,
            enable_acting_master,
            zone_name,
            ..BrokerData::default()
        });
    (
        prop::collection::btree_map(".{0,8}", broker, 0..4),
        prop::collection::btree_map(".{0,8}", prop::collection::vec(".{0,8}", 0..3), 0..3),
    )
        .prop_map(|(broker_addr_table, cluster_addr_table)| ClusterInfo { broker_addr_table, cluster_addr_table })
}

/// Every style is read back as the same value.
fn round_trip<B: Body + PartialEq + std::fmt::Debug>(body: &B) -> Result<(), TestCaseError> {
    for style in [Style::COMPACT, Style::QUOTED_KEYS, Style::PRETTY] {
        let text = Writer::write(body, style);
        let read = B::decode(&text)
            .map_err(|error| TestCaseError::fail(format!("{error} in {}", String::from_utf8_lossy(&text))))?;
        prop_assert_eq!(&read, body);
    }
    Ok(())
}

/// Reads `input` as whatever it may be.
fn read_all(input: &[u8]) {
    let _ = Value::decode(input).map(|value| value.encode());
    let _ = HeartbeatData::decode(input).map(|body| body.encode());
    let _ = TopicRouteData::decode(input).map(|body| body.encode());
    let _ = ConsumeStats::decode(input).map(|body| body.encode());
    let _ = ConsumerRunningInfo::decode(input).map(|body| body.encode());
    let _ = ResetOffsetBody::decode(input).map(|body| body.encode_pretty());
    let _ = SubscriptionGroupWrapper::decode(input).map(|body| body.encode_pretty());
    let _ = TopicConfigAndMappingSerializeWrapper::decode(input).map(|body| body.encode_pretty());
    let _ = BatchAckMessageRequestBody::decode(input).map(|body| body.encode());
    let _ = RegisterBrokerBody::decode_any(input);
    let _ = RegisterBrokerBody::decode_compressed(input);
}

proptest! {
    #[test]
    fn statistics_come_back(body in stats()) {
        round_trip(&body)?;
    }

    #[test]
    fn heartbeats_come_back(body in heartbeat()) {
        round_trip(&body)?;
    }

    #[test]
    fn clusters_come_back(body in cluster()) {
        round_trip(&body)?;
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read(input in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&input);
        let _ = split_batch(&input, 8);
    }

    #[test]
    fn near_json_is_refused_or_read(
        input in r#"([\{\}\[\]:,"'\\/*$. 0-9a-z]|"\$ref"|"\$\.a\[0\]"|null|true|\\u[0-9a-f]{4}|"offsetTable"|"table"|-?[0-9]{1,20}){0,60}"#
    ) {
        read_all(input.as_bytes());
    }

    /// A body that was written, with a piece of it repeated, removed or replaced.
    #[test]
    fn damaged_bodies_are_refused_or_read(
        body in heartbeat(),
        stats in stats(),
        cut in any::<prop::sample::Index>(),
        length in 0..20usize,
        insert in "[\\{\\}\\[\\]:,\"0-9a-z]{0,5}",
    ) {
        for mut text in [body.encode(), stats.encode()] {
            let start = cut.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, insert.bytes());
            read_all(&text);
        }
    }

    #[test]
    fn compressed_registrations_come_back(
        names in prop::collection::btree_set("[%|a-zA-Z0-9_-]{1,20}", 0..30),
        queues in any::<i32>(),
        damage in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut register = RegisterBrokerBody::default();
        let table: BTreeMap<_, _> = names
            .into_iter()
            .map(|name| (name.clone(), TopicConfig { read_queue_nums: queues, ..TopicConfig::new(name) }))
            .collect();
        register.topic_config_serialize_wrapper.topic_config_table = table;
        let mut stream = register.encode_compressed().unwrap();
        let read = RegisterBrokerBody::decode_any(&stream).unwrap();
        prop_assert_eq!(
            &read.topic_config_serialize_wrapper.topic_config_table,
            &register.topic_config_serialize_wrapper.topic_config_table
        );
        let at = damage.index(stream.len());
        stream[at] ^= byte;
        read_all(&stream);
    }

    #[test]
    fn batches_come_back(parts in prop::collection::vec((any::<i32>(), prop::collection::vec(any::<u8>(), 0..50), "[a-z\u{1}\u{2}]{0,20}"), 0..6)) {
        let parts: Vec<_> = parts
            .iter()
            .map(|(flag, body, properties)| BatchPart { flag: *flag, body, properties: properties.as_bytes() })
            .collect();
        let mut batch = Vec::new();
        for part in &parts {
            prop_assert!(append_batch_part(&mut batch, part));
        }
        prop_assert_eq!(split_batch(&batch, parts.len()).unwrap(), parts);
    }

    #[test]
    fn texts_of_clients_do_no_harm(text in ".{0,80}", digits in "[0-9A-Fa-f+ ]{0,60}") {
        properties(&text).for_each(|(key, value)| assert!(!key.is_empty() && !value.is_empty()));
        let _ = tag_subscription("T", &text);
        let _ = text.parse::<RecallHandle>();
        for id in [&text, &digits] {
            let _ = id.parse::<OffsetMessageId>();
            let _ = id.parse::<UniqueKey>();
        }
    }
}
