//! Looks into, fills and checks a store folder. For trying things out and for round trips with Java's broker.
//!
//! ```text
//! store_tool write  FOLDER TOPIC COUNT [BODY_BYTES]   put COUNT messages with keys into queues 0..4
//! store_tool verify FOLDER                            read every message of every queue, check CRCs and offsets
//! store_tool query  FOLDER TOPIC KEY                  messages whose key has this hash
//! store_tool bench  FOLDER THREADS SECONDS BODY_BYTES [sync]   appends per second and CPU per message
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hypergol_store::{
    FlushDiskType, GetRequest, KeyKind, MatchAll, MessageStore, NewMessage, NoHooks, Record, StoreConfig, record,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["write", folder, topic, count] => write(folder, topic, count, "100"),
        ["write", folder, topic, count, size] => write(folder, topic, count, size),
        ["verify", folder] => verify(folder),
        ["query", folder, topic, key] => query(folder, topic, key),
        ["bench", folder, threads, seconds, size, flush @ ..] => bench(folder, threads, seconds, size, flush),
        _ => Err("usage: see the head of store_tool.rs".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn open(folder: &str) -> Result<Arc<MessageStore>, Failure> {
    Ok(MessageStore::open(StoreConfig::at(folder), Arc::new(NoHooks))?)
}

fn message<'a>(topic: &'a str, queue_id: i32, body: &'a [u8], properties: &'a [u8]) -> NewMessage<'a> {
    let host = SocketAddr::from(([127, 0, 0, 1], 10911));
    NewMessage {
        topic,
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: now_ms(),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64)
}

fn write(folder: &str, topic: &str, count: &str, size: &str) -> Result<(), Failure> {
    let (count, size): (u64, usize) = (count.parse()?, size.parse()?);
    let store = open(folder)?;
    for n in 0..count {
        let mut body = format!("message {n} ").into_bytes();
        body.resize(size.max(body.len()), b'.');
        let properties = format!("KEYS\x01key{n}\x02UNIQ_KEY\x01{n:032X}\x02TAGS\x01tag{}\x02WAIT\x01true\x02", n % 3);
        let appended = store.put(&message(topic, (n % 4) as i32, &body, properties.as_bytes()))?;
        if n < 4 {
            println!("{topic} queue {} offset {} at {}", n % 4, appended.queue_offset, appended.physical_offset);
        }
    }
    store.shutdown();
    println!("wrote {count} messages, log ends at {}", store.max_physical_offset());
    Ok(())
}

fn verify(folder: &str) -> Result<(), Failure> {
    let store = open(folder)?;
    let mut total = 0u64;
    for (topic, queues) in store.topics() {
        for queue_id in queues {
            let (min, max) = (store.min_offset(&topic, queue_id), store.max_offset(&topic, queue_id));
            let mut offset = min;
            while offset < max {
                let request = GetRequest { topic: &topic, queue_id, offset, max_messages: 32, max_bytes: 1 << 20 };
                let result = store.get(&request, &MatchAll);
                for (bytes, queue_offset) in result.messages.iter().zip(&result.queue_offsets) {
                    let record = Record::parse(bytes)?;
                    record.validate()?;
                    if (record.topic(), record.queue_id(), record.queue_offset())
                        != (topic.as_str(), queue_id, *queue_offset)
                    {
                        return Err(format!("{topic} {queue_id} {queue_offset} holds {record:?}").into());
                    }
                    let entry = store.queue_entry(&topic, queue_id, *queue_offset).ok_or("no entry")?;
                    let tags_code = record::property(record.properties(), "TAGS").map_or(0, record::tags_code);
                    if !topic.starts_with("SCHEDULE_TOPIC") && entry.tags_code != tags_code {
                        return Err(format!("{topic} {queue_id} {queue_offset}: tags code {}", entry.tags_code).into());
                    }
                    total += 1;
                }
                if result.next_begin_offset <= offset || result.count == 0 {
                    return Err(format!("{topic} {queue_id} stops at {offset}: {:?}", result.status).into());
                }
                offset = result.next_begin_offset;
            }
            println!("{topic} queue {queue_id}: {min}..{max}");
        }
    }
    println!("{total} messages, log {}..{}", store.min_physical_offset(), store.max_physical_offset());
    Ok(())
}

fn query(folder: &str, topic: &str, key: &str) -> Result<(), Failure> {
    let store = open(folder)?;
    for kind in [KeyKind::Key, KeyKind::UniqueKey, KeyKind::Tag] {
        let found = store.query(topic, key, kind, 32, 0, i64::MAX);
        for bytes in &found.messages {
            let record = Record::parse(bytes)?;
            println!("{kind:?}: queue {} offset {}", record.queue_id(), record.queue_offset());
        }
        println!("{kind:?}: {} found", found.messages.len());
    }
    Ok(())
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime are fields 14 and 15 of the line, in ticks of 10 ms.
    (ticks(11) + ticks(12)) / 100.0
}

fn bench(folder: &str, threads: &str, seconds: &str, size: &str, flush: &[&str]) -> Result<(), Failure> {
    let (threads, seconds, size): (usize, u64, usize) = (threads.parse()?, seconds.parse()?, size.parse()?);
    let sync = flush == ["sync"];
    let mut config = StoreConfig::at(folder);
    config.flush_disk_type = if sync { FlushDiskType::SyncFlush } else { FlushDiskType::AsyncFlush };
    let store = MessageStore::open(config, Arc::new(NoHooks))?;
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (store, stop, done) = (&store, &stop, &done);
            scope.spawn(move || {
                let body = vec![b'x'; size];
                let mut n = 0u64;
                let (sender, receiver) = std::sync::mpsc::sync_channel(1);
                while !stop.load(Ordering::Relaxed) {
                    let queue = ((n + thread as u64) % 4) as i32;
                    let Ok(appended) = store.put(&message("BENCH", queue, &body, b"TAGS\x01t\x02")) else { break };
                    if sync {
                        let sender = sender.clone();
                        let answer = Box::new(move |answer| sender.send(answer).unwrap_or_default());
                        store.when_flushed(appended.end(), Duration::from_secs(5), answer);
                        if !matches!(receiver.recv(), Ok(Ok(()))) {
                            break;
                        }
                    }
                    n += 1;
                }
                done.fetch_add(n, Ordering::Relaxed);
            });
        }
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
    });
    let elapsed = begin.elapsed().as_secs_f64();
    while store.dispatched_offset() < store.max_physical_offset() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (behind, count) = (begin.elapsed().as_secs_f64() - elapsed, done.load(Ordering::Relaxed));
    println!(
        "{threads} threads, {size} B bodies: {:.0} messages/s, {:.2} µs CPU each, dispatch {:.3} s behind",
        count as f64 / elapsed,
        (cpu_seconds() - cpu) * 1e6 / count as f64,
        behind
    );
    Ok(())
}
