//! A broker whose ports speak TLS, registered with a name server that speaks nothing else.

mod common;

use std::sync::Arc;

use common::{Pull, TIMEOUT, TestBroker, bodies, send_request};
use hypergol_config::{Properties, TlsConfig, settings};
use hypergol_namesrv::NameServer;
use hypergol_namesrv::config::NamesrvSettings;
use hypergol_remoting::client::NoRequests;
use hypergol_remoting::{Client, ClientError, ClientTls, IoThreads, Limits, RemotingCommand, RequestCode};

fn tls_client() -> Client {
    let tls = ClientTls::new(&TlsConfig::default()).unwrap();
    Client::with_tls(Arc::new(NoRequests), Limits::default(), Some(tls))
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_speak_tls_and_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "").await;
    let tls = tls_client();
    for port in [broker.port, broker.port - 2] {
        let address = format!("127.0.0.1:{port}");
        for client in [&tls, &broker.client] {
            let answer = client.invoke(&address, send_request("T", "", "hello"), TIMEOUT).await.unwrap();
            assert_eq!(answer.code, 0, "{:?}", answer.remark);
        }
    }
    broker.wait_until(|broker| broker.store.max_offset("T", 0) == 4).await;
    let address = format!("127.0.0.1:{}", broker.port);
    let answer = tls.invoke(&address, Pull::default().request(), TIMEOUT).await.unwrap();
    assert_eq!(bodies(&answer), ["hello"; 4]);
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcing_broker_refuses_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let broker = TestBroker::start(folder.path(), "tls.server.mode=enforcing\n").await;
    let tls = tls_client();
    for port in [broker.port, broker.port - 2] {
        let address = format!("127.0.0.1:{port}");
        let answer = tls.invoke(&address, send_request("T", "", "hello"), TIMEOUT).await.unwrap();
        assert_eq!(answer.code, 0, "{:?}", answer.remark);
        let refused = broker.client.invoke(&address, send_request("T", "", "hello"), TIMEOUT).await;
        assert!(matches!(refused, Err(ClientError::Invoke(_))));
    }
    broker.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_registers_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let text = format!(
        "bindAddress=127.0.0.1\nlistenPort=0\nkvConfigPath={path}/kv.json\nconfigStorePath={path}/n.properties\n\
         tls.server.mode=enforcing\n"
    );
    let file = Properties::parse("namesrv.conf", text.as_bytes()).unwrap();
    let mut namesrv = NamesrvSettings::default();
    settings::apply(&mut namesrv, &file).unwrap();
    let namesrv = NameServer::start(namesrv, &file, IoThreads::current()).unwrap();
    let address = namesrv.local_addr().to_string();

    let extra = format!("namesrvAddr={address}\nuseTLS=true\n");
    let broker = TestBroker::start(folder.path(), &extra).await;
    let request = RemotingCommand::request(RequestCode::GetBrokerClusterInfo);
    let answer = tls_client().invoke(&address, request, TIMEOUT).await.unwrap();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(body.contains(&format!("127.0.0.1:{}", broker.port)), "{body}");
    broker.server.shutdown().await;
    namesrv.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_fails_the_start_and_a_password_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let extra = "tls.test.mode.enable=false\ntls.server.certPath=/nowhere.pem\ntls.server.keyPath=/nowhere.key\n";
    let error = TestBroker::try_start(folder.path(), extra).await.err().unwrap().to_string();
    assert!(error.starts_with("tls.server.certPath=/nowhere.pem: cannot be read"), "{error}");

    let broker = TestBroker::start(folder.path(), "tls.server.keyPassword=s3cret\ntls.server.keyPath=/k\n").await;
    let shown = broker.call(RemotingCommand::request(RequestCode::GetBrokerConfig)).await;
    let shown = String::from_utf8(shown.body.to_vec()).unwrap();
    assert!(shown.contains("tls.server.keyPath=/k\n") && !shown.contains("s3cret"), "{shown}");
    let change = RemotingCommand::request(RequestCode::UpdateBrokerConfig).with_body("tls.server.keyPath=/other");
    assert_ne!(broker.call(change).await.code, 0, "no key of TLS is changed from outside");
    broker.server.shutdown().await;
}
