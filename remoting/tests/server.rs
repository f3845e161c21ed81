//! Behaviour of server and client over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hypergol_remoting::{
    Channel, Client, ClientError, Handler, InvokeError, Limits, RemotingCommand, RequestCode, Responder, ResponseCode,
    Server,
};
use parking_lot::Mutex;

const WAIT: Duration = Duration::from_secs(20);

/// Answers with the request's body; a few remarks ask for something else.
#[derive(Default)]
struct Echo {
    held: Mutex<Vec<Responder>>,
    waiting: Mutex<Vec<(RemotingCommand, Responder)>>,
    closed: Mutex<Vec<Channel>>,
}

impl Handler for Echo {
    fn request(&self, request: RemotingCommand, responder: Responder) {
        match request.remark.as_deref() {
            Some("hold") => self.held.lock().push(responder),
            Some("wait") => self.waiting.lock().push((request, responder)),
            Some("drop") => drop(responder),
            Some("panic") => panic!("asked to"),
            Some("ask back") => {
                let channel = responder.channel().clone();
                tokio::spawn(async move {
                    let mut question = RemotingCommand::request(RequestCode::NotifyConsumerIdsChanged);
                    question.body = request.body;
                    let answer = channel.invoke(question, WAIT).await.expect("the client answers");
                    responder.send(RemotingCommand::success().with_body(answer.body));
                });
            }
            _ => responder.send(RemotingCommand::success().with_body(request.body)),
        }
    }

    fn resumed(&self, request: RemotingCommand, responder: Responder) {
        responder.send(RemotingCommand::success().with_remark("resumed").with_body(request.body));
    }

    fn closed(&self, channel: &Channel) {
        self.closed.lock().push(channel.clone());
    }
}

fn start(limits: Limits) -> (Server, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), echo.clone(), limits).unwrap();
    (server, echo)
}

fn client() -> Client {
    Client::new(Arc::new(Echo::default()), Limits::default())
}

fn request(remark: &str, body: &'static [u8]) -> RemotingCommand {
    RemotingCommand::request(RequestCode::HeartBeat).with_remark(remark).with_body(Bytes::from_static(body))
}

async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + WAIT;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "condition not met in {WAIT:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_each_get_their_own_answer() {
    let (server, _) = start(Limits::default());
    let client = Arc::new(client());
    let address = server.local_addr().to_string();
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (client, address) = (client.clone(), address.clone());
            tokio::spawn(async move {
                for size in [0, 1, 100, 4096, 4097, 300_000] {
                    let body = Bytes::from(vec![n as u8; size]);
                    let question = RemotingCommand::request(RequestCode::HeartBeat).with_body(body.clone());
                    let answer = client.invoke(&address, question, WAIT).await.unwrap();
                    assert!(answer.is_response());
                    assert_eq!(answer.body, body);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.channels().len(), 1, "one connection serves them all");
}

/// Both directions full at once: a client that stopped to read answers while its requests wait would never go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_and_answers_do_not_block_each_other() {
    let (server, _) = start(Limits::default());
    let client = Arc::new(client());
    let address = server.local_addr().to_string();
    let body = Bytes::from(vec![7; 1024 * 1024]);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (client, address, body) = (client.clone(), address.clone(), body.clone());
            tokio::spawn(async move {
                let question = RemotingCommand::request(RequestCode::HeartBeat).with_body(body.clone());
                assert_eq!(client.invoke(&address, question, WAIT).await.unwrap().body, body);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_request_is_answered_later_and_others_pass_it() {
    let (server, echo) = start(Limits::default());
    let client = Arc::new(client());
    let address = server.local_addr().to_string();
    let held = tokio::spawn({
        let (client, address) = (client.clone(), address.clone());
        async move { client.invoke(&address, request("hold", b""), WAIT).await }
    });
    until(|| echo.held.lock().len() == 1).await;
    assert_eq!(client.invoke(&address, request("", b"x"), WAIT).await.unwrap().body, "x");
    let responder = echo.held.lock().pop().unwrap();
    responder.error(ResponseCode::PullNotFound, "late");
    let answer = held.await.unwrap().unwrap();
    assert_eq!((answer.code, answer.remark.as_deref()), (19, Some("late")));
}

/// More than are handled in one turn of the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_waited_are_all_answered_before_their_connection_closes() {
    const REQUESTS: usize = 1000;
    let (server, echo) = start(Limits::default());
    let client = Arc::new(client());
    let address = server.local_addr().to_string();
    let waiting: Vec<_> = (0..=REQUESTS)
        .map(|_| {
            let (client, address) = (client.clone(), address.clone());
            tokio::spawn(async move { client.invoke(&address, request("wait", b"body"), WAIT).await })
        })
        .collect();
    until(|| echo.waiting.lock().len() == REQUESTS + 1).await;
    let mut resumed = std::mem::take(&mut *echo.waiting.lock());
    let (late_request, late) = resumed.pop().unwrap();
    let channel = late.channel().clone();
    resumed.into_iter().for_each(|(request, responder)| responder.resume(request));
    channel.close();
    let mut answered = 0;
    for answer in waiting {
        match answer.await.unwrap() {
            Ok(answer) => {
                assert_eq!((answer.remark.as_deref(), &answer.body[..]), (Some("resumed"), &b"body"[..]));
                answered += 1;
            }
            Err(error) => assert!(matches!(error, ClientError::Invoke(InvokeError::Closed(_))), "{error}"),
        }
    }
    assert_eq!(answered, REQUESTS);
    until(|| !echo.closed.lock().is_empty()).await;
    late.resume(late_request);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_responder_and_a_panic_answer_system_error() {
    let (server, _) = start(Limits::default());
    let client = client();
    let address = server.local_addr().to_string();
    for remark in ["drop", "panic"] {
        let answer = client.invoke(&address, request(remark, b""), WAIT).await.unwrap();
        assert_eq!(answer.code, ResponseCode::SystemError as i32, "{remark}");
    }
    assert_eq!(client.invoke(&address, request("", b"still here"), WAIT).await.unwrap().body, "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_flow_both_ways_on_one_connection() {
    let (server, _) = start(Limits::default());
    let answer = client().invoke(&server.local_addr().to_string(), request("ask back", b"?"), WAIT).await.unwrap();
    assert_eq!(answer.body, "?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unanswered_request_times_out_and_a_lost_connection_says_so() {
    let (server, echo) = start(Limits::default());
    let client = Arc::new(client());
    let address = server.local_addr().to_string();
    let error = client.invoke(&address, request("hold", b""), Duration::from_millis(20)).await.unwrap_err();
    assert!(error.to_string().contains("no answer from"), "{error}");
    let waiting = tokio::spawn({
        let (client, address) = (client.clone(), address.clone());
        async move { client.channel(&address).await.unwrap().invoke(request("hold", b""), WAIT).await }
    });
    until(|| echo.held.lock().len() == 2).await;
    server.shutdown(WAIT).await;
    assert!(matches!(waiting.await.unwrap(), Err(InvokeError::Closed(_))));
    assert_eq!(echo.closed.lock().len(), 1);
    assert!(client.invoke(&address, request("", b""), WAIT).await.is_err());
}

/// Sends raw bytes, half-closes nothing, and returns whatever comes back before the server closes.
fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => answer,
        Err(error) => panic!("the server did not close: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_frames_close_the_connection() {
    let (server, _) = start(Limits::default());
    let address = server.local_addr();
    let bad: [&[u8]; 9] = [
        &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], // negative length
        &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], // beyond 16 MiB
        &[0, 0, 0, 3, 0, 0, 0],                // no room for a header length
        &[0, 0, 1, 0, 0, 0xff, 0xff, 0xff],    // header longer than frame, body not yet here
        &[0, 0, 0, 6, 7, 0, 0, 2, b'{', b'}'], // unknown serialization
        &[0, 0, 0, 6, 0, 0, 0, 2, 0xc3, 0x28], // not UTF-8
        &[0, 0, 0, 6, 0, 0, 0, 2, b'{', b'{'], // not JSON
        &[0, 0, 0, 6, 1, 0, 0, 2, 0, 0],       // binary header cut short
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc],    // TLS hello's first bytes
    ];
    for bytes in bad {
        let bytes = bytes.to_vec();
        let answer = tokio::task::spawn_blocking(move || raw(address, &bytes)).await.unwrap();
        assert_eq!(answer, b"", "nothing can be answered");
    }
    until(|| server.channels().is_empty()).await;
    assert_eq!(client().invoke(&address.to_string(), request("", b"ok"), WAIT).await.unwrap().body, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_frame_and_silence_is_closed_as_idle() {
    let (server, _) = start(Limits { idle_max: Duration::from_millis(50) });
    let address = server.local_addr();
    let frame = request("", b"body").to_frame();
    let answer = tokio::task::spawn_blocking(move || raw(address, &frame[..frame.len() - 1])).await.unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_header_tells_the_client_address() {
    let (server, echo) = start(Limits { idle_max: Duration::from_millis(200) });
    let address = server.local_addr();
    let mut bytes = b"PROXY TCP4 10.1.2.3 10.0.0.1 4711 10911\r\n".to_vec();
    bytes.extend_from_slice(&request("", b"behind a proxy").to_frame());
    let answer = tokio::task::spawn_blocking(move || raw(address, &bytes)).await.unwrap();
    assert!(answer.ends_with(b"behind a proxy"));
    until(|| !echo.closed.lock().is_empty()).await;
    assert_eq!(echo.closed.lock()[0].peer(), "10.1.2.3:4711".parse().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_not_read_from() {
    let (server, _) = start(Limits::default());
    let address = server.local_addr();
    let big = RemotingCommand::request(RequestCode::HeartBeat).with_body(Bytes::from(vec![7; 1024 * 1024])).to_frame();
    let total = 40;
    let received = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || (0..total).for_each(|_| writer.write_all(&big).unwrap()));
        // The sender fills both directions; reading drains them and all answers arrive.
        std::thread::sleep(Duration::from_millis(100));
        let mut received = 0;
        let mut buffer = vec![0; 1024 * 1024];
        while received < total * 1024 * 1024 {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                n => received += n,
            }
        }
        sender.join().unwrap();
        received
    })
    .await
    .unwrap();
    assert!(received >= total * 1024 * 1024, "{received}");
}
