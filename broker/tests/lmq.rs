//! Light queues, through the socket: `enableLmq` and `enableMultiDispatch`.

mod common;

use common::process::Process;
use common::{Pull, TIMEOUT, TestBroker, bodies, field, records, send_header, send_request, send_with};
use hypergol_remoting::{RemotingCommand, RequestCode};
use hypergol_store::record::property;

const LMQ: &str = "enableLmq=true\nenableMultiDispatch=true\n";
const LONG_MS: i64 = TIMEOUT.as_millis() as i64;

fn naming(queues: &str) -> String {
    format!("TAGS\u{1}a\u{2}INNER_MULTI_DISPATCH\u{1}{queues}\u{2}")
}

fn pull<'a>(group: &'a str, topic: &'a str, offset: i64) -> Pull<'a> {
    Pull { group, topic, offset, ..Pull::default() }
}

fn ask(code: RequestCode, fields: &[(&str, &str)]) -> RemotingCommand {
    fields.iter().fold(RemotingCommand::request(code), |request, (name, value)| request.with_field(name, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_in_its_queue_and_in_the_light_queues_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), LMQ).await;
    for (queues, body) in [("%LMQ%a", "1"), ("%LMQ%a,%LMQ%b", "2"), ("%LMQ%b", "3")] {
        let answer = broker.send("T", &naming(queues), body).await;
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    broker.wait_until(|broker| broker.store.max_offset("%LMQ%b", 0) == 2).await;
    for (topic, group, expected) in [("%LMQ%a", "%LMQ%a", ["1", "2"]), ("%LMQ%b", "cg", ["2", "3"])] {
        let answer = broker.call(pull(group, topic, 0).request()).await;
        assert_eq!((answer.code, bodies(&answer)), (0, expected.map(str::to_owned).to_vec()), "{answer:?}");
        assert_eq!((field(&answer, "nextBeginOffset"), field(&answer, "maxOffset")), ("2", "2"));
    }
    let answer = broker.call(pull("cg", "T", 0).request()).await;
    assert_eq!(bodies(&answer), ["1", "2", "3"]);
    let told = |at: usize| property(records(&answer)[at].properties(), "INNER_MULTI_QUEUE_OFFSET").unwrap().to_owned();
    assert_eq!([told(0), told(1), told(2)], ["0", "1,0", "1"]);
    // Offsets, as admin tools and clients ask for them.
    let of = |code| ask(code, &[("topic", "%LMQ%a"), ("queueId", "0")]);
    assert_eq!(field(&broker.call(of(RequestCode::GetMaxOffset)).await, "offset"), "2");
    assert_eq!(field(&broker.call(of(RequestCode::GetMinOffset)).await, "offset"), "0");
    let by_time = of(RequestCode::SearchOffsetByTimestamp).with_field("timestamp", "1");
    assert_eq!(field(&broker.call(by_time).await, "offset"), "0");
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_pull_of_a_light_queue_is_woken() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), LMQ).await;
    broker.send("T", &naming("%LMQ%a"), "first").await;
    broker.wait_until(|broker| broker.store.max_offset("%LMQ%a", 0) == 1).await;
    let waiting = Pull { flags: 6, wait_ms: LONG_MS, ..pull("%LMQ%a", "%LMQ%a", 1) };
    let sending = async {
        broker.wait_until(|broker| broker.held_pulls.len() == 1).await;
        broker.send("T", &naming("%LMQ%b"), "for another").await;
        broker.send("T", &naming("%LMQ%b,%LMQ%a"), "wanted").await;
    };
    let (answer, ()) = tokio::join!(broker.call(waiting.request()), sending);
    assert_eq!((answer.code, bodies(&answer)), (0, vec!["wanted".to_owned()]));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_light_queues_keep_one_position() {
    let folder = tempfile::tempdir().unwrap();
    let update = |topic: &str, group: &str, offset: &str| {
        let fields = [("topic", topic), ("consumerGroup", group), ("queueId", "0"), ("commitOffset", offset)];
        ask(RequestCode::UpdateConsumerOffset, &fields)
    };
    let query = |topic: &str, group: &str| {
        ask(RequestCode::QueryConsumerOffset, &[("topic", topic), ("consumerGroup", group), ("queueId", "0")])
    };
    for round in 0..2 {
        let broker = TestBroker::start(folder.path(), LMQ).await;
        if round == 0 {
            for _ in 0..9 {
                broker.send("T", &naming("%LMQ%a"), "x").await;
            }
            broker.wait_until(|broker| broker.store.max_offset("%LMQ%a", 0) == 9).await;
            // An ordinary group is made by its first pull.
            broker.call(pull("cg", "T", 0).request()).await;
            for (topic, group, offset) in [("%LMQ%a", "%LMQ%a", "7"), ("%LMQ%a", "cg", "5"), ("T", "cg", "3")] {
                let answer = broker.call(update(topic, group, offset)).await;
                assert_eq!(answer.code, 0, "{answer:?}");
            }
        }
        for (topic, group, offset) in [("%LMQ%a", "%LMQ%a", "7"), ("%LMQ%a", "cg", "5"), ("T", "cg", "3")] {
            assert_eq!(field(&broker.call(query(topic, group)).await, "offset"), offset, "round {round}");
        }
        broker.server.shutdown().await;
    }
    let file = std::fs::read_to_string(folder.path().join("config/lmqConsumerOffset.json")).unwrap();
    let flat: String = file.split_whitespace().collect();
    assert!(flat.contains(r#""lmqOffsetTable":{"%LMQ%a@%LMQ%a":7}"#), "{flat}");
    assert!(!folder.path().join("config/consumerOffset.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_refuses_new_light_queues_only() {
    let folder = tempfile::tempdir().unwrap();
    let extra = format!("{LMQ}enableLmqQuota=true\nmaxLmqConsumeQueueNum=3\n");
    let broker = TestBroker::start(folder.path(), &extra).await;
    for queues in ["%LMQ%a", "%LMQ%b,%LMQ%c", "%LMQ%a,%LMQ%c"] {
        assert_eq!(broker.send("T", &naming(queues), "x").await.code, 0);
    }
    for (topic, queues) in [("T", "%LMQ%d"), ("T", "%LMQ%a,%LMQ%d"), ("%LMQ%e", "")] {
        let answer = broker.send(topic, &naming(queues), "x").await;
        assert_eq!(answer.code, 2017, "{queues}");
        let remark = "[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]lmq consume queue num exceeded.";
        assert_eq!(answer.remark.as_deref(), Some(remark));
    }
    // A delayed message is asked when it comes, not when it is due.
    assert_eq!(broker.send("T", &format!("{}DELAY\u{1}1\u{2}", naming("%LMQ%d")), "x").await.code, 2017);
    assert_eq!(broker.broker().store.light_queues(), 3);
    assert_eq!(broker.send("%LMQ%b", "", "direct").await.code, 0);
    broker.wait_until(|broker| broker.store.max_offset("%LMQ%b", 0) == 2).await;
    assert_eq!(bodies(&broker.call(pull("cg", "%LMQ%b", 1).request()).await), ["direct"]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_names_and_offsets_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), LMQ).await;
    let forged = format!("INNER_MULTI_QUEUE_OFFSET\u{1}500\u{2}{}", naming("%LMQ%a"));
    assert_eq!(broker.send("T", &forged, "x").await.code, 0);
    for queues in ["%LMQ%../../x", "%LMQ%a/b", "%LMQ%a\n"] {
        let answer = broker.send("T", &naming(queues), "x").await;
        assert_eq!(answer.code, 13, "{queues:?}: {answer:?}");
    }
    for topic in ["%LMQ%../x", "%LMQ%$p$l"] {
        assert_ne!(broker.send(topic, "", "x").await.code, 0, "{topic}");
    }
    // Queues of ordinary topics are written by nobody else.
    assert_eq!(broker.send("T", &naming("U,,T"), "y").await.code, 0);
    let mut batch = Vec::new();
    let properties = naming("%LMQ%a") + "INNER_MULTI_QUEUE_OFFSET\u{1}7\u{2}";
    batch.extend_from_slice(&((22 + 1 + properties.len()) as i32).to_be_bytes());
    batch.extend_from_slice(&[0; 12]);
    batch.extend_from_slice(&1i32.to_be_bytes());
    batch.push(b'z');
    batch.extend_from_slice(&(properties.len() as i16).to_be_bytes());
    batch.extend_from_slice(properties.as_bytes());
    let mut header = send_header("T", "");
    header.batch = true;
    assert_eq!(broker.call(send_with(&header, batch)).await.code, 13);
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 2).await;
    let store = &broker.broker().store;
    assert_eq!((store.min_offset("%LMQ%a", 0), store.max_offset("%LMQ%a", 0), store.light_queues()), (0, 1, 1));
    assert!(!store.has_queue("U", 0));
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_and_returned_messages_come_into_light_queues_once() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), &format!("{LMQ}messageDelayLevel=1s 1h\n")).await;
    let delayed = format!("{}DELAY\u{1}1\u{2}", naming("%LMQ%a"));
    assert_eq!(broker.send("T", &delayed, "late").await.code, 0);
    assert_eq!(broker.send("T", &naming("%LMQ%a"), "now").await.code, 0);
    broker.wait_until(|broker| broker.store.max_offset("%LMQ%a", 0) == 2).await;
    let answer = broker.call(pull("cg", "%LMQ%a", 0).request()).await;
    assert_eq!(bodies(&answer), ["now", "late"]);
    // A consumer could not handle it: it comes back by the retry topic of the group alone.
    let offset = records(&answer)[0].physical_offset().to_string();
    let back = ask(
        RequestCode::ConsumerSendMsgBack,
        &[("offset", &offset), ("group", "cg"), ("delayLevel", "1"), ("originTopic", "%LMQ%a"), ("unitMode", "false")],
    );
    assert_eq!(broker.call(back).await.code, 0);
    broker.wait_until(|broker| broker.store.max_offset("%RETRY%cg", 0) == 1).await;
    assert_eq!(broker.broker().store.max_offset("%LMQ%a", 0), 2);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn light_queues_and_their_offsets_outlive_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut sent = Vec::new();
    for round in 0..3 {
        let broker = Process::start(folder.path(), LMQ).await;
        let mut offset = 0;
        let mut came = Vec::new();
        while came.len() < sent.len() {
            let answer = broker.call(pull("%LMQ%a", "%LMQ%a", offset).request()).await;
            assert_eq!(answer.code, 0, "round {round}: {answer:?}");
            for (at, record) in records(&answer).iter().enumerate() {
                let told = property(record.properties(), "INNER_MULTI_QUEUE_OFFSET").unwrap();
                assert_eq!(told.split(',').next(), Some((offset + at as i64).to_string().as_str()));
            }
            came.extend(bodies(&answer));
            offset = field(&answer, "nextBeginOffset").parse().unwrap();
        }
        assert_eq!(came, sent, "round {round}");
        for n in 0..50 {
            let body = format!("{round}-{n}");
            let queues = format!("%LMQ%a,%LMQ%{}", n % 5);
            assert_eq!(broker.call(send_request("T", &naming(&queues), &body)).await.code, 0);
            sent.push(body);
        }
        broker.kill();
    }
}
