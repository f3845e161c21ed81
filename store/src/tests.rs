//! Behaviour of the whole store, on real files.

mod basics;
mod faults;
mod light;
mod recovery;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::record::Record;
use crate::{GetRequest, GetResult, MatchAll, MessageStore, NewMessage, NoHooks, StoreConfig};

/// Small files, so that tests roll over many.
pub(crate) fn config(root: &Path) -> StoreConfig {
    StoreConfig {
        mapped_file_size_commit_log: 64 << 10,
        mapped_file_size_consume_queue: 20 * 100,
        max_message_size: 32 << 10,
        max_hash_slot_num: 1000,
        max_index_num: 4000,
        ..StoreConfig::at(root)
    }
}

pub(crate) fn open(config: &StoreConfig) -> Arc<MessageStore> {
    MessageStore::open(config.clone(), Arc::new(NoHooks)).unwrap()
}

pub(crate) fn message<'a>(topic: &'a str, queue_id: i32, body: &'a [u8], properties: &'a [u8]) -> NewMessage<'a> {
    NewMessage {
        topic,
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: SocketAddr::from(([127, 0, 0, 1], 1)),
        store_host: SocketAddr::from(([127, 0, 0, 1], 10911)),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

pub(crate) fn wait_dispatched(store: &MessageStore) {
    let begin = Instant::now();
    while store.dispatched_offset() < store.max_physical_offset() {
        assert!(begin.elapsed() < Duration::from_secs(20), "dispatch does not come to its end");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn get(store: &MessageStore, topic: &str, queue_id: i32, offset: i64) -> GetResult {
    store.get(&GetRequest { topic, queue_id, offset, max_messages: 32, max_bytes: 1 << 20 }, &MatchAll)
}

/// Bodies of a whole queue, with every offset checked on the way.
pub(crate) fn bodies(store: &MessageStore, topic: &str, queue_id: i32) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut offset = store.min_offset(topic, queue_id);
    while offset < store.max_offset(topic, queue_id) {
        let result = get(store, topic, queue_id, offset);
        assert!(result.next_begin_offset > offset, "{result:?}");
        for (bytes, queue_offset) in result.messages.iter().zip(&result.queue_offsets) {
            let record = Record::parse(bytes).unwrap();
            record.validate().unwrap();
            assert_eq!((record.topic(), record.queue_id(), record.queue_offset()), (topic, queue_id, *queue_offset));
            all.push(record.body().to_vec());
        }
        offset = result.next_begin_offset;
    }
    all
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
