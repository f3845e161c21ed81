//! What is no TLS, not all of it, or comes through a proxy.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use hypergol_config::TlsConfig;
use hypergol_remoting::{RemotingCommand, RequestCode};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::{WAIT, client, echo, serve};

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream
}

/// Reads until the server closes; a reset counts as well.
fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_after_the_first_byte_ends_the_connection() {
    let server = serve(&TlsConfig::default());
    let address = server.local_addr();
    let garbage: [&[u8]; 6] = [
        // Records of unknown versions, lengths and types.
        b"\x16\xff\xff\xff\xff\xff",
        b"\x16\x03\x01\x00\x00\x00\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\xaa\xbb\xcc\xdd",
        // A message of 16 MiB announced.
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00",
        b"\x16\x16\x16\x16\x16\x16\x16\x16\x16\x16\x16\x16",
        // An HTTP proxy's idea of a first line.
        b"\x16GET / HTTP/1.1\r\n\r\n",
    ];
    tokio::task::spawn_blocking(move || {
        for bytes in garbage {
            let mut stream = connect(address);
            stream.write_all(bytes).unwrap();
            let answer = read_to_end(stream);
            assert!(answer.is_empty() || answer[0] == 0x15, "an alert at most: {answer:?}");
        }
    })
    .await
    .unwrap();
    echo(&client(&TlsConfig::default()), address, b"others go on").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_hello_ends_with_the_server() {
    let server = serve(&TlsConfig::default());
    let mut stream = connect(server.local_addr());
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").unwrap();
    while server.channels().is_empty() {
        tokio::task::yield_now().await;
    }
    server.shutdown(WAIT).await;
    assert!(server.channels().is_empty());
    let rest = tokio::task::spawn_blocking(move || read_to_end(stream)).await.unwrap();
    assert!(rest.is_empty());
}

/// Frames over TLS with a header of HAProxy before them, each byte of the beginning on its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_header_comes_before_tls() {
    let server = serve(&TlsConfig::default());
    let address = server.local_addr();
    let frame = tokio::task::spawn_blocking(move || {
        let mut tcp = connect(address);
        tcp.set_nodelay(true).unwrap();
        for byte in b"PROXY TCP4 10.1.2.3 10.0.0.1 4711 10911\r\n" {
            tcp.write_all(&[*byte]).unwrap();
        }
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(trusting_config()), name).unwrap();
        let mut tls = StreamOwned::new(session, tcp);
        let request = RemotingCommand::request(RequestCode::HeartBeat).with_body("through a proxy");
        tls.write_all(&request.to_frame()).unwrap();
        let mut length = [0; 4];
        tls.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        tls.read_exact(&mut frame).unwrap();
        (frame, tls)
    });
    let (frame, tls) = frame.await.unwrap();
    assert!(frame.ends_with(b"through a proxy"));
    assert_eq!(server.channels()[0].peer(), "10.1.2.3:4711".parse::<SocketAddr>().unwrap());
    drop(tls);
}

fn trusting_config() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
