//! A process that is killed loses nothing it acknowledged, under either way of flushing; and while it lives, nobody else
//! gets its folder.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hypergol_store::{FlushDiskType, MessageStore, NewMessage, NoHooks, Record, StoreConfig, StoreError};

const FOLDER: &str = "HYPERGOL_TEST_STORE";
const FLUSH: &str = "HYPERGOL_TEST_FLUSH";
const QUEUES: i32 = 3;

fn config(folder: &Path, flush_disk_type: FlushDiskType) -> StoreConfig {
    StoreConfig {
        mapped_file_size_commit_log: 256 << 10,
        mapped_file_size_consume_queue: 20 * 500,
        max_message_size: 64 << 10,
        max_hash_slot_num: 1000,
        max_index_num: 5000,
        flush_disk_type,
        ..StoreConfig::at(folder)
    }
}

fn body(n: u64) -> Vec<u8> {
    format!("{n};").into_bytes().into_iter().cycle().take(20 + (n as usize * 37) % 700).collect()
}

/// Not a test of its own: the process that gets killed. Puts messages and prints each one it may call stored.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let sync = std::env::var_os(FLUSH).is_some();
    let mode = if sync { FlushDiskType::SyncFlush } else { FlushDiskType::AsyncFlush };
    let store = MessageStore::open(config(Path::new(&folder), mode), Arc::new(NoHooks)).unwrap();
    let host = SocketAddr::from(([127, 0, 0, 1], 1));
    let (sender, receiver) = mpsc::channel();
    for n in 0.. {
        let message = NewMessage {
            topic: "T",
            queue_id: (n % QUEUES as u64) as i32,
            flag: 0,
            sys_flag: 0,
            born_timestamp: n as i64,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: &body(n),
            properties: b"KEYS\x01k\x02",
        };
        let appended = store.put(&message).unwrap();
        if sync {
            let sender = sender.clone();
            let done = Box::new(move |answer| sender.send(answer).unwrap());
            store.when_flushed(appended.end(), Duration::from_secs(60), done);
            receiver.recv().unwrap().unwrap();
        }
        let line = format!("ack {n} {}\n", appended.queue_offset);
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

fn killed(flush: FlushDiskType, enough: usize) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), flush);
    let mut acknowledged = Vec::new();
    // The second round starts from what the first left behind.
    for round in 1..=2 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--ignored", "--nocapture"]).env(FOLDER, folder.path());
        if flush == FlushDiskType::SyncFlush {
            command.env(FLUSH, "1");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            // The last line may have been cut short by the kill.
            let Ok(line) = line else { break };
            let Some((n, offset)) = line.strip_prefix("ack ").and_then(|rest| rest.split_once(' ')) else { continue };
            let (Ok(n), Ok(offset)) = (n.parse::<u64>(), offset.parse::<i64>()) else { continue };
            acknowledged.push((n, offset));
            seen += 1;
            if seen == 1 {
                let refused = MessageStore::open(config.clone(), Arc::new(NoHooks));
                assert!(matches!(refused, Err(StoreError::Locked(path)) if path == folder.path()));
            }
            if seen == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= enough && folder.path().join("abort").exists(), "round {round} ended by itself");

        let store = MessageStore::open(config.clone(), Arc::new(NoHooks)).unwrap();
        for &(n, offset) in &acknowledged {
            let queue_id = (n % QUEUES as u64) as i32;
            let entry = store.queue_entry("T", queue_id, offset).unwrap_or_else(|| panic!("message {n} is lost"));
            let bytes = store.record_at_sized(entry.physical_offset, entry.size).unwrap();
            let record = Record::parse(&bytes).unwrap();
            record.validate().unwrap();
            assert_eq!((record.queue_offset(), record.body()), (offset, body(n).as_slice()));
        }
        for queue_id in 0..QUEUES {
            assert_eq!(store.next_offset("T", queue_id), store.max_offset("T", queue_id));
        }
        // The next round must also work from a folder that was not closed: leave it as after a kill.
        let left = round == 1;
        drop(store);
        if left {
            std::fs::write(folder.path().join("abort"), "1").unwrap();
        }
    }
}

#[test]
fn with_asynchronous_flush() {
    killed(FlushDiskType::AsyncFlush, 5000);
}

#[test]
fn with_synchronous_flush() {
    killed(FlushDiskType::SyncFlush, 500);
}
