//! TLS over real sockets: modes, certificates of both sides, reload, and what comes wrong.

mod authority;
mod bad_input;
mod configuration;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use authority::Authority;
use bytes::Bytes;
use hypergol_config::TlsConfig;
use hypergol_config::tls::{ClientAuth, TlsMode};
use hypergol_remoting::client::NoRequests;
use hypergol_remoting::{
    Client, ClientError, ClientTls, Handler, IoThreads, Limits, RemotingCommand, RequestCode, Responder, Server,
    ServerTls,
};
use tempfile::TempDir;

const WAIT: Duration = Duration::from_secs(30);

/// Answers with the request's body; to a remark, asks back first.
struct Echo;

impl Handler for Echo {
    fn request(&self, request: RemotingCommand, responder: Responder) {
        if request.remark.is_none() {
            return responder.send(RemotingCommand::success().with_body(request.body));
        }
        let channel = responder.channel().clone();
        tokio::spawn(async move {
            let question = RemotingCommand::request(RequestCode::NotifyConsumerIdsChanged).with_body(request.body);
            let answer = channel.invoke(question, WAIT).await.expect("the client answers");
            responder.send(RemotingCommand::success().with_body(answer.body));
        });
    }
}

fn serve(config: &TlsConfig) -> Server {
    serve_with(ServerTls::new(config).unwrap())
}

fn serve_with(tls: Arc<ServerTls>) -> Server {
    let address = "127.0.0.1:0".parse().unwrap();
    Server::bind_with(IoThreads::current(), address, Arc::new(Echo), Limits::default(), tls).unwrap()
}

fn plain_client() -> Client {
    Client::new(Arc::new(NoRequests), Limits::default())
}

fn client(config: &TlsConfig) -> Client {
    Client::with_tls(Arc::new(Echo), Limits::default(), Some(ClientTls::new(config).unwrap()))
}

async fn echo(client: &Client, server: SocketAddr, body: &'static [u8]) -> Result<(), ClientError> {
    let request = RemotingCommand::request(RequestCode::HeartBeat).with_body(Bytes::from_static(body));
    let answer = client.invoke(&server.to_string(), request, WAIT).await?;
    assert_eq!(answer.body, body);
    Ok(())
}

fn path(folder: &TempDir, name: &str) -> Option<String> {
    Some(folder.path().join(name).to_str().unwrap().to_owned())
}

/// Keys of a side whose files lie in `folder` as `NAME.pem` and `NAME.key`.
fn server_files(folder: &TempDir, name: &str) -> TlsConfig {
    TlsConfig {
        test_mode: false,
        server_cert_path: path(folder, &format!("{name}.pem")),
        server_key_path: path(folder, &format!("{name}.key")),
        ..TlsConfig::default()
    }
}

fn client_files(folder: &TempDir, name: &str) -> TlsConfig {
    TlsConfig {
        test_mode: false,
        client_cert_path: path(folder, &format!("{name}.pem")),
        client_key_path: path(folder, &format!("{name}.key")),
        ..TlsConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permissive_port_speaks_both() {
    let server = serve(&TlsConfig::default());
    let tls = Arc::new(client(&TlsConfig::default()));
    let plain = Arc::new(plain_client());
    let tasks: Vec<_> = [&tls, &plain]
        .into_iter()
        .cloned()
        .flat_map(|client| std::iter::repeat_n(client, 8))
        .enumerate()
        .map(|(n, client)| {
            let address = server.local_addr().to_string();
            tokio::spawn(async move {
                for size in [0, 1, 100, 4097, 16_384, 300_000, 3_000_000] {
                    let body = Bytes::from(vec![n as u8; size]);
                    let request = RemotingCommand::request(RequestCode::HeartBeat).with_body(body.clone());
                    assert_eq!(client.invoke(&address, request, WAIT).await.unwrap().body, body);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.channels().len(), 2);
}

/// Neither side waits for the other to read: what TLS holds back is written as soon as the socket takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_frames_both_ways_at_once() {
    let server = serve(&TlsConfig::default());
    let client = Arc::new(client(&TlsConfig::default()));
    let body = Bytes::from(vec![7; 1024 * 1024]);
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (client, address, body) = (client.clone(), server.local_addr().to_string(), body.clone());
            tokio::spawn(async move {
                let mut request = RemotingCommand::request(RequestCode::HeartBeat).with_body(body.clone());
                // Few: a side with more than 4 MiB of answers to write reads no requests.
                if n % 32 == 0 {
                    request = request.with_remark("ask back");
                }
                assert_eq!(client.invoke(&address, request, WAIT).await.unwrap().body, body);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modes_refuse_what_they_do_not_speak() {
    let mode = |mode| serve(&TlsConfig { mode, ..TlsConfig::default() });
    let (enforcing, disabled) = (mode(TlsMode::Enforcing), mode(TlsMode::Disabled));
    let tls = client(&TlsConfig::default());
    echo(&tls, enforcing.local_addr(), b"x").await.unwrap();
    echo(&plain_client(), disabled.local_addr(), b"x").await.unwrap();
    assert!(matches!(echo(&plain_client(), enforcing.local_addr(), b"x").await, Err(ClientError::Invoke(_))));
    assert!(matches!(echo(&tls, disabled.local_addr(), b"x").await, Err(ClientError::Connect { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_wanted_protocols_and_suites_are_spoken() {
    let only = |protocols: &str, ciphers: Option<&str>| TlsConfig {
        protocols: Some(protocols.into()),
        ciphers: ciphers.map(Into::into),
        ..TlsConfig::default()
    };
    let server = serve(&only("TLSv1.2", Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")));
    let address = server.local_addr();
    echo(&client(&TlsConfig::default()), address, b"x").await.unwrap();
    echo(&client(&only("TLSv1.2", None)), address, b"x").await.unwrap();
    assert!(echo(&client(&only("TLSv1.3", None)), address, b"x").await.is_err());
    let other = only("TLSv1.2", Some("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"));
    assert!(echo(&client(&other), address, b"x").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_show_their_certificates() {
    let folder = TempDir::new().unwrap();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    ours.write(folder.path(), "ca");
    ours.issue(folder.path(), "server");
    ours.issue(folder.path(), "client");
    theirs.issue(folder.path(), "stranger");
    let none = TlsConfig { test_mode: false, ..TlsConfig::default() };
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        for (auth, verified, expected) in [
            // With a certificate of ours, of a stranger, without one.
            (ClientAuth::None, true, [true, true, true]),
            (ClientAuth::Optional, true, [true, false, true]),
            (ClientAuth::Require, true, [true, false, false]),
            (ClientAuth::Optional, false, [true, true, true]),
            (ClientAuth::Require, false, [true, true, false]),
        ] {
            let server = serve(&TlsConfig {
                server_need_client_auth: auth,
                server_auth_client: verified,
                server_trust_cert_path: path(&folder, "ca.pem"),
                protocols: Some(protocols.into()),
                ..server_files(&folder, "server")
            });
            for (config, served) in [client_files(&folder, "client"), client_files(&folder, "stranger"), none.clone()]
                .into_iter()
                .zip(expected)
            {
                let answer = echo(&client(&config), server.local_addr(), b"x").await;
                assert_eq!(answer.is_ok(), served, "{protocols} {auth:?} {verified} {:?}", config.client_cert_path);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_verify_servers_where_they_are_to() {
    let folder = TempDir::new().unwrap();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    ours.write(folder.path(), "ours");
    theirs.write(folder.path(), "theirs");
    ours.issue(folder.path(), "server");
    let server = serve(&server_files(&folder, "server"));
    let verifying = |trust: &str, auth| TlsConfig {
        test_mode: false,
        client_auth_server: auth,
        client_trust_cert_path: path(&folder, trust),
        ..TlsConfig::default()
    };
    echo(&client(&verifying("ours.pem", true)), server.local_addr(), b"x").await.unwrap();
    echo(&client(&verifying("theirs.pem", false)), server.local_addr(), b"x").await.unwrap();
    // The certificate itself may be what is trusted.
    echo(&client(&verifying("server.pem", true)), server.local_addr(), b"x").await.unwrap();
    let error = echo(&client(&verifying("theirs.pem", true)), server.local_addr(), b"x").await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_version_1_are_verified() {
    let folder = TempDir::new().unwrap();
    let v1 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/v1");
    for (from, to) in [("ca.pem", "ca.pem"), ("leaf.pem", "leaf.pem"), ("leaf.key", "leaf.key")] {
        std::fs::copy(v1.join(from), folder.path().join(to)).unwrap();
    }
    let stranger = Authority::new("stranger");
    stranger.write(folder.path(), "other-ca");
    for (trust, served) in [("ca.pem", true), ("other-ca.pem", false)] {
        for protocols in ["TLSv1.2", "TLSv1.3"] {
            let server = serve(&TlsConfig {
                server_need_client_auth: ClientAuth::Require,
                server_auth_client: true,
                server_trust_cert_path: path(&folder, trust),
                protocols: Some(protocols.into()),
                ..server_files(&folder, "leaf")
            });
            let verifying = TlsConfig {
                client_auth_server: true,
                client_trust_cert_path: path(&folder, "ca.pem"),
                ..client_files(&folder, "leaf")
            };
            let answer = echo(&client(&verifying), server.local_addr(), b"x").await;
            assert_eq!(answer.is_ok(), served, "{trust} {protocols} {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_files_are_used_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    old.write(folder.path(), "old");
    new.write(folder.path(), "new");
    old.issue(folder.path(), "server");
    let tls = ServerTls::new(&server_files(&folder, "server")).unwrap();
    let server = serve_with(tls.clone());
    let following = tokio::spawn(tls.follow_files());
    let trusting = |trust: &str| {
        client(&TlsConfig {
            test_mode: false,
            client_auth_server: true,
            client_trust_cert_path: path(&folder, trust),
            ..TlsConfig::default()
        })
    };
    let connected_before = trusting("old.pem");
    echo(&connected_before, server.local_addr(), b"x").await.unwrap();
    assert!(echo(&trusting("new.pem"), server.local_addr(), b"x").await.is_err());

    // A certificate whose key has not come yet changes nothing.
    let (certificate, key) = new.pair("server");
    std::fs::write(folder.path().join("server.pem"), certificate).unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    echo(&trusting("old.pem"), server.local_addr(), b"x").await.unwrap();

    std::fs::write(folder.path().join("server.key"), key).unwrap();
    let deadline = tokio::time::Instant::now() + WAIT;
    while echo(&trusting("new.pem"), server.local_addr(), b"x").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the new certificate is not in use");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(echo(&trusting("old.pem"), server.local_addr(), b"x").await.is_err());
    echo(&connected_before, server.local_addr(), b"still the same connection").await.unwrap();
    following.abort();
}
