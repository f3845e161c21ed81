//! Thousands of spoilt requests of every code that clients send, against a broker that also serves sane clients.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use hypergol_broker::context::now_ms;
use hypergol_remoting::protocol::codec;
use hypergol_remoting::{RemotingCommand, RequestCode as R};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::common::{Pull, TIMEOUT, TestBroker, bodies, send_header, send_request, send_with};
use crate::{mutation, seeds, watch};

/// Everything that a broker may have switched on; times short enough that services run among the requests.
const CONF: &str = "enableLmq=true\nenableMultiDispatch=true\nenablePropertyFilter=true\nenableConsumeQueueExt=true\n\
                    enableCalcFilterBitMap=true\nenablePopBufferMerge=true\ntransactionTimeOut=0\n\
                    transactionCheckInterval=50\ntimerPrecisionMs=100\nliteEventCheckInterval=100\n";
/// Requests for each valid one in each round.
const VARIANTS: usize = 60;
/// Rounds; BAD_INPUT_ROUNDS asks for more.
const ROUNDS: usize = 4;
/// What the process may grow by: thousands of requests leave small things in many tables, which have bounds of their own.
const GROWTH_MAX: usize = 128 << 20;
/// Messages of sane clients in each round.
const KEPT: usize = 50;

/// Sends requests on one connection without waiting; returns how many were answered once the broker has answered a last
/// one, which it does after it has seen all others.
fn send_all(port: u16, requests: &[RemotingCommand]) -> BTreeMap<i32, BTreeMap<i32, usize>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut reading = stream.try_clone().unwrap();
    reading.set_read_timeout(Some(TIMEOUT)).unwrap();
    let last = i32::MAX;
    let codes: Vec<i32> = requests.iter().map(|request| request.code).collect();
    let reader = std::thread::spawn(move || {
        let (mut input, mut chunk, mut answered) = (BytesMut::new(), [0; 65_536], BTreeMap::new());
        loop {
            while let Some(frame) = codec::cut_frame(&mut input).unwrap() {
                let command = codec::decode(frame).unwrap();
                if command.is_response() && command.opaque == last {
                    return answered;
                }
                if command.is_response() {
                    let of_code: &mut BTreeMap<i32, usize> =
                        answered.entry(codes[command.opaque as usize]).or_default();
                    *of_code.entry(command.code).or_default() += 1;
                }
            }
            let count = reading.read(&mut chunk).unwrap();
            assert!(count > 0, "the broker closed the connection");
            input.extend_from_slice(&chunk[..count]);
        }
    });
    for (opaque, request) in (0..).zip(requests) {
        let mut request = request.clone();
        request.opaque = opaque;
        stream.write_all(&request.to_frame()).unwrap();
    }
    let mut end = RemotingCommand::request(R::GetBrokerRuntimeInfo);
    end.opaque = last;
    stream.write_all(&end.to_frame()).unwrap();
    let answered = reader.join().unwrap();
    let _ = stream.shutdown(Shutdown::Both);
    answered
}

async fn kept(broker: &TestBroker) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let pull = Pull { topic: "Keep", group: "reader", offset: found.len() as i64, ..Pull::default() };
        let answer = broker.call(pull.request()).await;
        let page = bodies(&answer);
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spoilt_requests_harm_nobody() {
    watch::panics();
    let seed = std::env::var("BAD_INPUT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("BAD_INPUT_SEED={seed}");
    let rounds = std::env::var("BAD_INPUT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), CONF).await;
    seeds::prepare(&broker).await;
    // What must stay unseen: a half message of another group, and a message that is due later.
    let marks = seeds::properties(&[("TRAN_MSG", "true"), ("PGROUP", "others"), ("UNIQ_KEY", "hidden")]);
    let mut half = send_header("Later", &marks);
    half.sys_flag = 4;
    assert_eq!(broker.call(send_with(&half, "hidden")).await.code, 0);
    let due = (now_ms() + 3_600_000).to_string();
    let marks = seeds::properties(&[("TIMER_DELIVER_MS", &due), ("UNIQ_KEY", "later")]);
    assert_eq!(broker.call(send_request("Later", &marks, "later")).await.code, 0);

    let mut expected = Vec::new();
    let mut before = 0;
    for round in 0..rounds {
        let valid = seeds::valid(&broker).await;
        let mut requests = Vec::new();
        for seed in &valid {
            requests.push(seed.clone());
            for _ in 0..VARIANTS {
                let mut spoilt = mutation::spoil(seed, &mut rng);
                if rng.random_bool(0.02) {
                    spoilt.mark_oneway();
                }
                if rng.random_bool(0.1) {
                    requests.push(spoilt.clone());
                }
                requests.push(spoilt);
            }
        }
        let (port, sent) = (broker.port, requests.len());
        let sending = tokio::task::spawn_blocking(move || send_all(port, &requests));
        for n in 0..KEPT {
            let body = format!("{round}-{n}");
            assert_eq!(broker.send("Keep", "", &body).await.code, 0);
            expected.push(body);
        }
        let answered = sending.await.unwrap();
        println!("round {round}: {sent} requests, {answered:?}, {} MiB", watch::resident() >> 20);
        if round == 0 {
            before = watch::resident();
        }
        watch::no_panics();
    }
    let grown = watch::resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "grown by {grown} bytes");
    assert_eq!(kept(&broker).await, expected);
    assert_eq!(broker.broker().store.max_offset("Later", 0), 0, "delivered early");
    tokio::time::timeout(Duration::from_secs(30), broker.server.shutdown()).await.unwrap();

    let broker = TestBroker::start(folder.path(), CONF).await;
    assert_eq!(kept(&broker).await, expected);
    assert_eq!(broker.broker().store.max_offset("Later", 0), 0, "delivered early");
    broker.server.shutdown().await;
    watch::no_panics();
}
