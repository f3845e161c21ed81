//! Damages each file of a store folder in turn and starts a broker with it: it serves, or says which file is in the way.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hypergol_broker::Broker;
use hypergol_store::Record;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng as _, SeedableRng as _};

use crate::common::pops::{Pop, pop_something};
use crate::common::{Pull, TestBroker, send_header, send_request, send_with};
use crate::seeds::{self, properties};
use crate::watch;

const CONF: &str = "enableLmq=true\nenableMultiDispatch=true\nenablePropertyFilter=true\nenableConsumeQueueExt=true\n\
                    enableCalcFilterBitMap=true\ntimerPrecisionMs=100\nmappedFileSizeTimerLog=4096\n\
                    mappedFileSizeConsumeQueueExt=65536\ncompactionMappedFileSize=65536\n\
                    compactionCqMappedFileSize=4600\n";
/// Part of a file that nothing was written to.
const PAGE: [u8; 4096] = [0; 4096];
/// Plain messages.
const KEPT: usize = 30;
/// Damages of each file; BAD_INPUT_ROUNDS asks for more.
const DAMAGES: usize = 1;

#[derive(Clone, Copy, Debug)]
enum Damage {
    Empty,
    Half,
    /// Some bytes are others.
    Flipped,
    /// All bytes are 255: lengths and offsets of -1.
    Ones,
    /// All of it is zero.
    Zeroes,
    /// Longer than it should be.
    Grown,
    /// Numbers are at their limits.
    Extreme,
    Missing,
}

const ALL: [Damage; 8] = [
    Damage::Empty,
    Damage::Half,
    Damage::Flipped,
    Damage::Ones,
    Damage::Zeroes,
    Damage::Grown,
    Damage::Extreme,
    Damage::Missing,
];

fn damage(path: &Path, damage: Damage, rng: &mut StdRng) {
    let mut bytes = fs::read(path).unwrap();
    let pages = bytes.chunks(PAGE.len()).enumerate().filter(|(_, page)| **page != PAGE[..page.len()]);
    let used: Vec<usize> = pages
        .flat_map(|(number, page)| (0..page.len()).filter(|at| page[*at] != 0).map(move |at| number * PAGE.len() + at))
        .collect();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    match damage {
        Damage::Empty => file.set_len(0).unwrap(),
        Damage::Half => file.set_len(bytes.len() as u64 / 2).unwrap(),
        Damage::Grown => file.set_len(bytes.len() as u64 + 4097).unwrap(),
        Damage::Missing => fs::remove_file(path).unwrap(),
        Damage::Flipped => {
            for _ in 0..8 {
                let Some(&at) = used.choose(rng) else { return };
                file.write_all_at(&[rng.random()], at as u64).unwrap();
            }
        }
        Damage::Ones | Damage::Zeroes => {
            let byte = if matches!(damage, Damage::Ones) { 255 } else { 0 };
            for at in used {
                file.write_all_at(&[byte], at as u64).unwrap();
            }
        }
        Damage::Extreme if bytes.starts_with(b"{") => {
            let extremes = ["9223372036854775807", "-9223372036854775808", "2147483647", "-1", "1e400"];
            let mut text = String::new();
            let mut rest = std::str::from_utf8(&bytes).unwrap();
            while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
                let end = rest[at..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| at + end);
                text.push_str(&rest[..at]);
                text.push_str(if rng.random_bool(0.5) { extremes.choose(rng).unwrap() } else { &rest[at..end] });
                rest = &rest[end..];
            }
            text.push_str(rest);
            fs::write(path, text).unwrap();
        }
        Damage::Extreme => {
            let extremes = [i64::MAX, i64::MIN, -1, 1 << 62, 1];
            let end = used.last().map_or(0, |last| last + 1).min(4096);
            for place in bytes[..end / 8 * 8].chunks_mut(8) {
                if rng.random_bool(0.3) {
                    place.copy_from_slice(&extremes.choose(rng).unwrap().to_be_bytes());
                }
            }
            file.write_all_at(&bytes[..end], 0).unwrap();
        }
    }
}

/// A folder with something in every file that a broker keeps.
async fn fill(folder: &Path) {
    let broker = TestBroker::start(folder, CONF).await;
    seeds::prepare(&broker).await;
    for request in seeds::valid(&broker).await {
        broker.call(request).await;
    }
    for n in 0..KEPT {
        assert_eq!(broker.send("Keep", "KEYS\u{1}k\u{2}", &format!("{n}")).await.code, 0);
    }
    for n in 0..100 {
        let marks = properties(&[("TIMER_DELAY_SEC", &(3600 + n).to_string()), ("UNIQ_KEY", &n.to_string())]);
        assert_eq!(broker.call(send_request("Later", &marks, "later")).await.code, 0);
    }
    assert_eq!(broker.call(send_request("Later", "DELAY\u{1}18\u{2}", "later")).await.code, 0);
    let marks = properties(&[("TRAN_MSG", "true"), ("PGROUP", "others"), ("UNIQ_KEY", "hidden")]);
    let mut half = send_header("Later", &marks);
    half.sys_flag = 4;
    assert_eq!(broker.call(send_with(&half, "hidden")).await.code, 0);
    let order = Pop { group: "O", extra: vec![("order", "true")], messages: 1, ..Pop::default() };
    pop_something(&broker, &order).await;
    let commits = Pull { group: "reader", topic: "Keep", offset: 3, flags: 5, commit: 3, ..Pull::default() };
    broker.call(commits.request()).await;
    broker.wait_until(|broker| broker.store.max_offset("rmq_sys_wheel_timer", 0) >= 100).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    broker.server.shutdown().await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { copy_sparse(&entry.path(), &target) }
    }
}

/// Most files are as long as they may become, and empty from somewhere on.
fn copy_sparse(from: &Path, to: &Path) {
    let bytes = fs::read(from).unwrap();
    let file = fs::File::create(to).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (number, page) in bytes.chunks(PAGE.len()).enumerate() {
        if *page != PAGE[..page.len()] {
            file.write_all_at(page, (number * PAGE.len()) as u64).unwrap();
        }
    }
}

fn files(folder: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder.join(below)).unwrap().map(Result::unwrap) {
        let path = below.join(entry.file_name());
        if entry.path().is_dir() { files(folder, &path, found) } else { found.push(path) }
    }
}

/// The bodies of all plain messages, whatever the topics' settings say.
fn kept(broker: &Broker) -> Vec<String> {
    let entries = broker.store.queue_entries("Keep", 0, 0, 1000);
    let records = entries.iter().filter_map(|entry| broker.store.record_at(entry.physical_offset));
    records.map(|bytes| String::from_utf8(Record::parse(&bytes).unwrap().body().to_vec()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_named_or_made_good() {
    watch::panics();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("BAD_INPUT_SEED").unwrap_or_else(rand::random);
    println!("BAD_INPUT_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let whole = tempfile::tempdir().unwrap();
    fill(whole.path()).await;
    let mut paths = Vec::new();
    files(whole.path(), Path::new(""), &mut paths);
    paths.sort();
    let rounds = number("BAD_INPUT_ROUNDS").map_or(DAMAGES, |rounds| rounds as usize);
    for path in paths {
        let name = path.to_str().unwrap();
        let chosen = ["Keep/0", "%LMQ%a/0", "rmq_sys_wheel_timer/0"].iter().any(|queue| name.contains(queue));
        let is_like_others = name.starts_with("consumequeue") && !chosen;
        if name.ends_with(".bak") || name == "lock" || is_like_others {
            continue;
        }
        for kind in ALL.choose_multiple(&mut rng, rounds).copied().collect::<Vec<_>>() {
            let folder = tempfile::tempdir().unwrap();
            copy(whole.path(), folder.path());
            let _ = fs::remove_file(folder.path().join(format!("{name}.bak")));
            damage(&folder.path().join(&path), kind, &mut rng);
            let began = std::time::Instant::now();
            let started = TestBroker::try_start(folder.path(), CONF).await;
            let broker = match started {
                Ok(broker) => broker,
                Err(error) => {
                    let text = error.to_string();
                    println!("{name} {kind:?}: {text}");
                    // Of files that belong together the folder may be named.
                    let folder_name = path.parent().and_then(Path::to_str).unwrap();
                    assert!(text.contains(name) || text.contains(folder_name), "{name} {kind:?}: {text}");
                    watch::no_panics();
                    continue;
                }
            };
            println!("{name} {kind:?}: serves after {:?}", began.elapsed());
            let sent = broker.send("Keep", "", "after").await;
            assert!(sent.code == 0 || name.ends_with("topics.json"), "{sent:?}");
            // Positions in the log are in the log and in the queues only.
            let is_derived = !(name.starts_with("commitlog") || name.starts_with("consumequeue/"));
            if is_derived {
                let mut expected: Vec<String> = (0..KEPT).map(|n| n.to_string()).collect();
                if sent.code == 0 {
                    expected.push("after".to_owned());
                }
                broker.wait_until(|broker| broker.store.max_offset("Keep", 0) >= expected.len() as i64).await;
                assert_eq!(kept(broker.broker()), expected, "{name} {kind:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert_eq!(broker.broker().store.max_offset("Later", 0), 0, "{name} {kind:?}: delivered early");
            }
            tokio::time::timeout(Duration::from_secs(30), broker.server.shutdown()).await.expect(name);
            watch::no_panics();
        }
    }
}
