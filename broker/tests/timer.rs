//! Messages with a delivery time of their own, through the socket: delivery, refusals, recall, restart, kill.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Pull, TIMEOUT, TestBroker, field, free_port, records, send_header, send_request, send_with};
use hypergol_broker::Broker;
use hypergol_remoting::client::NoRequests;
use hypergol_remoting::message::RecallHandle;
use hypergol_remoting::protocol::header::send::SendMessageRequest;
use hypergol_remoting::{Client, Limits, RemotingCommand, RequestCode as R};
use hypergol_store::{Record, record};

/// Short steps, so that tests are.
const FAST: &str = "timerPrecisionMs=100\nmappedFileSizeTimerLog=4096\n";
const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn properties(entries: &[(&str, &str)]) -> String {
    entries.iter().map(|(name, value)| format!("{name}\u{1}{value}\u{2}")).collect()
}

/// A message as it was delivered.
#[derive(Debug)]
struct Message {
    body: String,
    properties: BTreeMap<String, String>,
    stored_ms: i64,
}

impl Message {
    fn of(record: &Record<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            body: text(record.body()),
            properties: record::properties(record.properties()).map(|(n, v)| (text(n), text(v))).collect(),
            stored_ms: record.store_timestamp(),
        }
    }

    fn property(&self, name: &str) -> &str {
        self.properties.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

impl Timed for TestBroker {
    async fn call_broker(&self, request: RemotingCommand) -> RemotingCommand {
        self.call(request).await
    }
}

/// What tests do with a broker, in this process or another.
trait Timed {
    async fn call_broker(&self, request: RemotingCommand) -> RemotingCommand;

    /// Sends a message to queue 0 of T that is due at a time.
    async fn send_at(&self, deliver_ms: i64, body: &str) -> RemotingCommand {
        let key = format!("key-{body}");
        let properties = properties(&[("UNIQ_KEY", &key), ("TIMER_DELIVER_MS", &deliver_ms.to_string())]);
        let answer = self.call_broker(send_request("T", &properties, body)).await;
        assert_eq!(answer.code, 0, "{:?}", answer.remark);
        answer
    }

    /// All messages of queue 0 of T, once there are `count`.
    async fn delivered(&self, count: usize) -> Vec<Message> {
        let deadline = std::time::Instant::now() + TIMEOUT;
        loop {
            let mut found = Vec::new();
            loop {
                let pull = Pull { offset: found.len() as i64, ..Pull::default() };
                let answer = self.call_broker(pull.request()).await;
                let page: Vec<_> = records(&answer).iter().map(Message::of).collect();
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            if found.len() >= count {
                return found;
            }
            assert!(std::time::Instant::now() < deadline, "{} of {count} were delivered", found.len());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn recall(&self, topic: &str, handle: &str) -> RemotingCommand {
        let request = RemotingCommand::request(R::RecallMessage)
            .with_field("producerGroup", "pg")
            .with_field("topic", topic)
            .with_field("recallHandle", handle);
        self.call_broker(request).await
    }

    async fn set(&self, line: &str) {
        let request = RemotingCommand::request(R::UpdateBrokerConfig).with_body(line.as_bytes().to_vec());
        assert_eq!(self.call_broker(request).await.code, 0);
    }
}

fn waiting(broker: &Broker) -> i64 {
    broker.timers.as_ref().unwrap().metrics.count("T")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_when_its_time_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let sent = now_ms();
    let texts = [
        [("TIMER_DELAY_SEC", "2")].as_slice(),
        &[("TIMER_DELAY_MS", "1100"), ("TIMER_DELIVER_MS", "1")],
        &[("TIMER_DELIVER_MS", &(sent + 1500).to_string())],
    ]
    .map(properties);
    let asked = [2000, 1100, 1500];
    for (n, text) in texts.iter().enumerate() {
        let answer = broker.send("T", text, &n.to_string()).await;
        assert_eq!((answer.code, field(&answer, "queueId")), (0, "0"));
        let handle: RecallHandle = field(&answer, "recallHandle").parse().unwrap();
        assert_eq!((handle.topic.as_str(), handle.broker_name.as_str()), ("T", "broker-a"));
        assert_eq!(handle.message_id, field(&answer, "transactionId"));
    }
    assert_eq!(broker.broker().store.max_offset("T", 0), 0);
    let mut messages = broker.delivered(3).await;
    messages.sort_by(|a, b| a.body.cmp(&b.body));
    for (message, delay_ms) in messages.iter().zip(asked) {
        assert!(message.stored_ms >= sent + delay_ms, "{message:?} is early");
        let out_ms: i64 = message.property("TIMER_OUT_MS").parse().unwrap();
        assert!(out_ms % 1000 == 0 && out_ms < message.stored_ms, "{message:?}");
        assert_eq!((message.property("REAL_TOPIC"), message.property("REAL_QID")), ("T", "0"));
        for name in ["TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS"] {
            assert!(message.property(name).parse::<i64>().unwrap() > sent - 1000, "{message:?}");
        }
    }
    broker.wait_until(|broker| waiting(broker) == 0).await;
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_message_waits_from_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), FAST).await;
    let half = |body: &'static str, timer: (&str, &str)| {
        let text = properties(&[("TRAN_MSG", "true"), ("PGROUP", "pg"), ("UNIQ_KEY", body), timer]);
        let broker = &broker;
        async move { broker.send("T", &text, body).await }
    };
    let commit = |half: RemotingCommand| {
        let offset = i64::from_str_radix(&field(&half, "msgId")[16..], 16).unwrap();
        let request = RemotingCommand::request(R::EndTransaction)
            .with_field("producerGroup", "pg")
            .with_field("tranStateTableOffset", field(&half, "queueOffset"))
            .with_field("commitLogOffset", &offset.to_string())
            .with_field("commitOrRollback", "8")
            .with_field("fromTransactionCheck", "false");
        let broker = &broker;
        async move { broker.call(request).await }
    };
    let soon = half("soon", ("TIMER_DELAY_MS", "700")).await;
    let past = half("past", ("TIMER_DELIVER_MS", "1")).await;
    assert_eq!((soon.code, past.code, soon.fields.get("recallHandle")), (0, 0, None));
    // Nobody would hear of it at the commit.
    assert_eq!(half("never", ("TIMER_DELAY_SEC", "99999999")).await.code, 13);

    assert_eq!(broker.broker().store.max_offset(TIMER_TOPIC, 0), 0, "the delay begins with the commit");
    let committed_ms = now_ms();
    assert_eq!((commit(soon).await.code, commit(past).await.code), (0, 0));
    let messages = broker.delivered(2).await;
    assert_eq!((messages[0].body.as_str(), messages[1].body.as_str()), ("past", "soon"));
    assert!(messages[1].stored_ms >= committed_ms + 700, "{messages:?} is early");
    assert_eq!(messages[1].properties.get("TRAN_MSG"), None, "it is no half message any more");

    let late = half("late", ("TIMER_DELAY_MS", "700")).await;
    broker.set("timerMaxDelaySec=0").await;
    let refused = commit(late.clone()).await;
    assert_eq!(refused.code, 13, "it stays undecided");
    broker.set("timerMaxDelaySec=100").await;
    assert_eq!(commit(late).await.code, 0);
    assert_eq!(broker.delivered(3).await[2].body, "late");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), FAST).await;
    let past = (now_ms() - 1).to_string();
    for entries in [
        [("TIMER_DELAY_SEC", "0")],
        [("TIMER_DELAY_MS", "-5")],
        [("TIMER_DELIVER_MS", &past)],
        [("TIMER_DELAY_SEC", "-9223372036854775808")],
        [("TIMER_OUT_MS", "99999999999999")],
    ] {
        let answer = broker.send("T", &properties(&entries), "now").await;
        assert_eq!((answer.code, answer.fields.get("recallHandle")), (0, None));
    }
    broker.delivered(5).await;
    assert_eq!(broker.broker().store.max_offset(TIMER_TOPIC, 0), 0);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_wait_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), FAST).await;
    let illegal = "timer message illegal, the delay time should not be bigger than the max delay 259200000ms; or if \
                   set del msg, the delay time should be bigger than the current time";
    for entries in [
        [("TIMER_DELAY_SEC", "x"), ("a", "b")],
        [("TIMER_DELAY_SEC", "259201"), ("a", "b")],
        [("TIMER_DELAY_SEC", "9223372036854775807"), ("a", "b")],
        [("TIMER_DELIVER_MS", "9223372036854775807"), ("a", "b")],
        [("TIMER_DELIVER_MS", "1"), ("TIMER_DEL_UNIQKEY", "k")],
        [("TIMER_DELAY_MS", "1"), ("TIMER_DELAY_SEC", "1.5")],
    ] {
        let answer = broker.send("T", &properties(&entries), "x").await;
        assert_eq!((answer.code, answer.remark.as_deref()), (13, Some(illegal)), "{entries:?}");
    }
    assert_eq!(broker.send(TIMER_TOPIC, "", "x").await.code, 13);
    let timed = properties(&[("TIMER_DELAY_SEC", "5")]);
    let header = SendMessageRequest { batch: true, ..send_header("T", &timed) };
    assert_eq!(broker.call(send_with(&header, vec![0; 22])).await.code, 13);
    broker.set("timerMaxDelaySec=5").await;
    let answer = broker.send("T", &properties(&[("TIMER_DELAY_SEC", "6")]), "x").await;
    assert!(answer.remark.unwrap().contains("max delay 5000ms"));
    broker.server.shutdown().await;
    let broker = TestBroker::start(folder.path(), "timerWheelEnable=false\n").await;
    let answer = broker.send("T", &timed, "x").await;
    let off = "accurate timer message is not enabled, timerWheelEnable is false";
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some(off)));
    for code in [R::GetTimerCheckPoint, R::GetTimerMetrics] {
        assert_eq!(broker.call(RemotingCommand::request(code)).await.code, 1);
    }
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_takes_no_more_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), &format!("{FAST}timerCongestNumEachSlot=2\n")).await;
    let due = (now_ms() + 60_000).to_string();
    let timed = properties(&[("TIMER_DELIVER_MS", &due)]);
    for _ in 0..3 {
        assert_eq!(broker.send("T", &timed, "x").await.code, 0);
    }
    broker.wait_until(|broker| waiting(broker) == 3).await;
    // Between two and four chance decides.
    let mut refused = None;
    for _ in 0..1000 {
        let answer = broker.send("T", &timed, "x").await;
        if answer.code != 0 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a full slot takes everything");
    assert_eq!(refused.code, 1);
    assert!(refused.remark.unwrap().contains("max num limit is 4 or the current value is greater than 2"));
    let later = properties(&[("TIMER_DELAY_MS", "90000")]);
    assert_eq!(broker.send("T", &later, "x").await.code, 0, "another slot has room");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_beyond_the_wheel_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), &format!("{FAST}timerRollWindowSlot=12\n")).await;
    let due = now_ms() + 2600;
    let handle = broker.send_at(due, "taken-back").await;
    broker.send_at(due, "far").await;
    broker.set("recallMessageEnable=true").await;
    assert_eq!(broker.recall("T", field(&handle, "recallHandle")).await.code, 0);
    let messages = broker.delivered(1).await;
    assert_eq!((messages.len(), messages[0].body.as_str()), (1, "far"));
    assert!(messages[0].stored_ms >= due);
    let rolls: i32 = messages[0].property("TIMER_ROLL_TIMES").parse().unwrap();
    assert!((1..=9).contains(&rolls), "{rolls}");
    assert!(broker.broker().store.max_offset(TIMER_TOPIC, 0) > 4);
    broker.wait_until(|broker| waiting(broker) == 0).await;
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), &format!("{FAST}recallMessageEnable=true\n")).await;
    let due = now_ms() + 1000;
    let first = broker.send_at(due, "first").await;
    broker.send_at(due, "second").await;
    let handle = field(&first, "recallHandle");
    let recalled = broker.recall("T", handle).await;
    assert_eq!((recalled.code, field(&recalled, "msgId")), (0, "key-first"));
    assert_eq!(broker.recall("T", handle).await.code, 0, "twice does not harm");
    let last = broker.send_at(due + 500, "last").await;
    let messages = broker.delivered(2).await;
    let bodies: Vec<_> = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["second", "last"]);
    broker.wait_until(|broker| waiting(broker) == 0).await;
    let late = broker.recall("T", field(&last, "recallHandle")).await;
    assert_eq!((late.code, late.remark.as_deref()), (604, Some("recall failed, timestamp invalid")));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_handles_take_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), FAST).await;
    let sent = broker.send_at(now_ms() + 1500, "kept").await;
    let good: RecallHandle = field(&sent, "recallHandle").parse().unwrap();
    let refused = broker.recall("T", &good.to_string()).await;
    assert_eq!((refused.code, refused.remark.as_deref()), (16, Some("recall failed, operation is forbidden")));
    broker.set("recallMessageEnable=true").await;
    let refused = broker.recall("nope", &good.to_string()).await;
    assert_eq!((refused.code, refused.remark.as_deref()), (17, Some("recall failed, the topic[nope] not exist")));
    let with = |change: fn(&mut RecallHandle)| {
        let mut handle = good.clone();
        change(&mut handle);
        handle.to_string()
    };
    for (handle, remark) in [
        ("%%%".to_owned(), "recall handle is invalid"),
        ("djI=".to_owned(), "recall handle is invalid"),
        (with(|handle| handle.message_id = "k\u{2}DELAY\u{1}1".to_owned()), "recall handle is invalid"),
        (with(|handle| handle.message_id.clear()), "recall handle is invalid"),
        (with(|handle| handle.topic = "TBW102".to_owned()), "recall failed, topic not match"),
        (with(|handle| handle.broker_name = "other".to_owned()), "recall failed, broker service not available"),
        (with(|handle| handle.timestamp = "x".to_owned()), "recall failed, timestamp invalid"),
        (with(|handle| handle.timestamp = i64::MAX.to_string()), "recall failed, timestamp invalid"),
        (with(|handle| handle.timestamp = "1".to_owned()), "recall failed, timestamp invalid"),
    ] {
        let refused = broker.recall("T", &handle).await;
        assert_eq!((refused.code, refused.remark.as_deref()), (604, Some(remark)));
    }
    let empty = RemotingCommand::request(R::RecallMessage);
    assert_eq!(broker.call(empty).await.code, 1);
    // The right key at another time meets nothing there.
    let elsewhere = with(|handle| handle.timestamp = (handle.timestamp.parse::<i64>().unwrap() + 1000).to_string());
    assert_eq!(broker.recall("T", &elsewhere).await.code, 0);
    assert_eq!(broker.delivered(1).await[0].body, "kept");
    broker.server.shutdown().await;
}

/// Messages sent before an end, some due while nothing runs, all delivered by the next start; `between` may damage what
/// lies on disk.
async fn over_a_restart(extra: &str, between: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), extra).await;
    let due = now_ms();
    // More than one file of the log, and of several slots.
    for n in 0..200 {
        broker.send_at(due + 300 + n % 20 * 100, &n.to_string()).await;
    }
    broker.delivered(10).await;
    broker.server.shutdown().await;
    between(folder.path());
    let broker = TestBroker::start(folder.path(), extra).await;
    let messages = broker.delivered(200).await;
    for message in &messages {
        let n: i64 = message.body.parse().unwrap();
        assert!(message.stored_ms >= due + 300 + n % 20 * 100, "{message:?} is early");
    }
    let mut bodies: Vec<i64> = messages.iter().map(|message| message.body.parse().unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..200).collect::<Vec<_>>(), "each came once");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_go_on_after_a_restart() {
    over_a_restart(FAST, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_wheel_is_made_from_the_log() {
    over_a_restart(FAST, |folder| std::fs::remove_file(folder.join("timerwheel")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_is_made_from_the_topic() {
    over_a_restart(FAST, |folder| std::fs::remove_dir_all(folder.join("timerlog")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueuing_and_delivering_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), FAST).await;
    broker.set("timerStopDequeue=true").await;
    broker.send_at(now_ms() + 200, "a").await;
    broker.wait_until(|broker| waiting(broker) == 1).await;
    broker.set("timerStopEnqueue=true").await;
    broker.send_at(now_ms() + 200, "b").await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(broker.broker().store.max_offset("T", 0), 0);
    assert_eq!(waiting(broker.broker()), 1);
    broker.set("timerStopDequeue=false").await;
    assert_eq!(broker.delivered(1).await[0].body, "a");
    broker.set("timerStopEnqueue=false").await;
    let messages = broker.delivered(2).await;
    // It was due when it was read from the topic.
    assert_eq!(messages[1].property("TIMER_ENQUEUE_MS"), i64::MAX.to_string());
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_how_far_timers_are() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), FAST).await;
    broker.send_at(now_ms() + 60_000, "a").await;
    broker.wait_until(|broker| waiting(broker) == 1).await;
    let metrics = broker.call(RemotingCommand::request(R::GetTimerMetrics)).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("\"timingCount\":{\"T\":{\"count\":1,"), "{text}");
    let deadline = std::time::Instant::now() + TIMEOUT;
    loop {
        let checkpoint = broker.call(RemotingCommand::request(R::GetTimerCheckPoint)).await;
        assert_eq!((checkpoint.code, checkpoint.body.len()), (0, 56));
        if checkpoint.body[23] == 1 && checkpoint.body[15] == 52 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the checkpoint stays behind");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let info = broker.call(RemotingCommand::request(R::GetBrokerRuntimeInfo)).await;
    let info = String::from_utf8(info.body.to_vec()).unwrap();
    assert!(info.contains("\"timerCongestNum\":\"1\"") && info.contains("\"timerOffsetBehind\":\"0\""), "{info}");
    let switch = |engine: &str| RemotingCommand::request(R::SwitchTimerEngine).with_field("E_T", engine);
    assert_eq!(broker.call(switch("F")).await.code, 0);
    assert_eq!(broker.call(switch("R")).await.code, 29);
    assert_eq!(broker.call(switch("x")).await.code, 29);
    broker.server.shutdown().await;
    assert!(folder.path().join("config/timermetrics").exists());
}

/// A broker in a process of its own.
struct Process {
    child: std::process::Child,
    client: Client,
    port: u16,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let port = free_port();
        let conf = folder.join("broker.conf");
        let text = format!(
            "brokerName=broker-a\nbrokerIP1=127.0.0.1\nlistenPort={port}\nstorePathRootDir={}\n\
             mappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=20000\nmaxHashSlotNum=100\n\
             maxIndexNum=400\n{FAST}timerFlushIntervalMs=50\n",
            folder.display()
        );
        std::fs::write(&conf, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mqbroker"))
            .arg("-c")
            .arg(&conf)
            .env("ROCKETMQ_LOG_DIR", folder.join("logs"))
            .env_remove("NAMESRV_ADDR")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains("boot success"))));
        Self { child, client: Client::new(std::sync::Arc::new(NoRequests), Limits::default()), port }
    }
}

impl Timed for Process {
    async fn call_broker(&self, request: RemotingCommand) -> RemotingCommand {
        self.client.invoke(&format!("127.0.0.1:{}", self.port), request, TIMEOUT).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_no_timer_and_makes_none_early() {
    let folder = tempfile::tempdir().unwrap();
    let due = now_ms();
    let mut sent = 0;
    for round in 0..3 {
        let mut broker = Process::start(folder.path());
        for _ in 0..150 {
            broker.send_at(due + 500 + sent % 40 * 100, &sent.to_string()).await;
            sent += 1;
        }
        // Somewhere between enqueuing and delivering.
        tokio::time::sleep(std::time::Duration::from_millis(100 * round)).await;
        broker.child.kill().unwrap();
        broker.child.wait().unwrap();
    }
    let broker = TestBroker::start(folder.path(), FAST).await;
    let deadline = std::time::Instant::now() + TIMEOUT;
    loop {
        let messages = broker.delivered(sent as usize).await;
        let mut seen = vec![0; sent as usize];
        for message in &messages {
            let n: i64 = message.body.parse().unwrap();
            assert!(message.stored_ms >= due + 500 + n % 40 * 100, "{message:?} is early");
            seen[n as usize] += 1;
        }
        // Some may come twice, so their number alone says little.
        if seen.iter().all(|times| *times > 0) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "some are lost: {seen:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    broker.server.shutdown().await;
}
