//! TLS, as a server and as a client, from the keys of Java's `TlsSystemConfig`.
//!
//! A [`ServerTls`] or [`ClientTls`] is made once from the configuration and shared by all ports or connections. Both read
//! their files anew when these change ([`ServerTls::follow_files`]); connections that exist keep what they began with.
//!
//! What differs from Java: TLS 1.2 and 1.3 only; RSA keys from 2048 bits; a configuration that cannot be used fails the
//! start, where Java serves plain text or refuses every client; one file that changed is enough to read all of them anew.

mod encrypted_key;
mod files;
mod identity;
mod peer;
mod suites;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use hypergol_config::TlsConfig;
use hypergol_config::tls::{ClientAuth, TlsMode};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tracing::{error, info, warn};

use crate::read_ahead::ReadAhead;
use files::Watched;
use identity::{CLIENT_FILES, SERVER_FILES, SideFiles};
use peer::PeerVerifier;

/// How long a handshake may take. Netty: 10 s.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Handshakes of a process at once. Each holds up to 80 KiB: what was read ahead, and the longest message that rustls
/// puts together.
const HANDSHAKES_MAX: usize = 8192;
/// Pause between two looks at the files. Java: FileWatchService, 500 ms.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// Why TLS cannot be used as configured.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A key that others need.
    #[error("{key} is not set: {reason}")]
    Missing {
        /// Name of the key.
        key: &'static str,
        /// Who needs it.
        reason: &'static str,
    },
    /// A file that cannot be read or does not hold what it should.
    #[error("{key}={path}: {reason}", path = path.display())]
    File {
        /// Name of the key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A private key that is not that of the certificate.
    #[error("{}={} is not the private key of the certificate in {}={}", key.0, key.1.display(), certificate.0, certificate.1.display())]
    Mismatch {
        /// Name of the key and file of the private key.
        key: (&'static str, PathBuf),
        /// Name of the key and file of the certificate.
        certificate: (&'static str, PathBuf),
    },
    /// A value that cannot be used.
    #[error("{key}={value}: {reason}")]
    Value {
        /// Name of the key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What the library says of values that each look right.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
    /// No self-signed certificate for tests.
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// TLS of listening ports.
pub struct ServerTls {
    mode: TlsMode,
    current: Option<Current<ServerConfig>>,
    handshake_max: Duration,
    handshakes: AtomicUsize,
}

/// TLS of connections that are made.
pub struct ClientTls {
    current: Current<ClientConfig>,
}

/// What is in use, and the files it was read from.
struct Current<T> {
    config: TlsConfig,
    library: ArcSwap<T>,
    watched: Watched,
}

impl ServerTls {
    /// Plain text only.
    pub fn disabled() -> Arc<Self> {
        Self::with(TlsMode::Disabled, None)
    }

    fn with(mode: TlsMode, current: Option<Current<ServerConfig>>) -> Arc<Self> {
        Arc::new(Self { mode, current, handshake_max: HANDSHAKE_MAX, handshakes: AtomicUsize::new(0) })
    }

    /// As configured. Reads files.
    ///
    /// # Errors
    /// [`TlsError`]; nothing is tried where the mode is `disabled`.
    pub fn new(config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        if config.mode == TlsMode::Disabled {
            return Ok(Self::disabled());
        }
        let current = Current::new(config, &SERVER_FILES, server_config)?;
        info!(mode = ?config.mode, test_mode = config.test_mode, "TLS is served");
        Ok(Self::with(config.mode, Some(current)))
    }

    /// Whether plain text is refused.
    pub(crate) fn is_enforced(&self) -> bool {
        self.mode == TlsMode::Enforcing
    }

    /// Whether there is no TLS.
    pub(crate) fn is_disabled(&self) -> bool {
        self.current.is_none()
    }

    /// Makes the handshake of a client.
    pub(crate) async fn accept(&self, stream: ReadAhead) -> io::Result<server::TlsStream<ReadAhead>> {
        let Some(current) = &self.current else { return Err(io::Error::other("TLS is disabled")) };
        let _counted = Handshake::begin(&self.handshakes)?;
        let accepting = TlsAcceptor::from(current.library.load_full()).accept(stream);
        timeout(self.handshake_max, accepting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Reads the files anew whenever they change, until the future is dropped. What cannot be used is said and left.
    pub async fn follow_files(self: Arc<Self>) {
        let follow = |tls: &Self| {
            if let Some(current) = &tls.current {
                current.refresh(server_config);
            }
        };
        if self.current.as_ref().is_some_and(|current| !current.watched.is_empty()) {
            follow_files(self, follow).await;
        }
    }
}

impl ClientTls {
    /// As configured. Reads files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { current: Current::new(config, &CLIENT_FILES, client_config)? }))
    }

    /// Makes the handshake with a server.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<client::TlsStream<ReadAhead>> {
        // Only names the peer among remembered sessions: as with Java, a certificate need not bear the server's name.
        let name = ServerName::IpAddress(peer.ip().into());
        TlsConnector::from(self.current.library.load_full()).connect(name, ReadAhead::new(stream)).await
    }

    /// Reads the files anew whenever they change, until the future is dropped. What cannot be used is said and left.
    pub async fn follow_files(self: Arc<Self>) {
        if !self.current.watched.is_empty() {
            follow_files(self, |tls: &Self| tls.current.refresh(client_config)).await;
        }
    }
}

async fn follow_files<T: Send + Sync + 'static>(tls: Arc<T>, refresh: impl Fn(&T) + Send + Copy + 'static) {
    loop {
        tokio::time::sleep(WATCH_PERIOD).await;
        let tls = tls.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || refresh(&tls)).await {
            error!(%error, "looking at TLS files failed");
        }
    }
}

type Build<T> = fn(&TlsConfig) -> Result<T, TlsError>;

impl<T> Current<T> {
    fn new(config: &TlsConfig, files: &SideFiles, build: Build<T>) -> Result<Self, TlsError> {
        // Before they are read: a change meanwhile is seen afterwards.
        let watched = Watched::new(if config.test_mode { Vec::new() } else { files.paths(config) });
        let library = ArcSwap::from_pointee(build(config)?);
        Ok(Self { config: config.clone(), library, watched })
    }

    fn refresh(&self, build: Build<T>) {
        if !self.watched.changed() {
            return;
        }
        match build(&self.config) {
            Ok(library) => {
                self.library.store(Arc::new(library));
                info!("TLS files changed and are in use");
            }
            // Certificate and key are seldom replaced at the same moment.
            Err(error) => warn!(%error, "TLS files changed and cannot be used yet; those read before stay in use"),
        }
    }
}

/// A place among the handshakes of a process.
struct Handshake<'a>(&'a AtomicUsize);

impl<'a> Handshake<'a> {
    fn begin(handshakes: &'a AtomicUsize) -> io::Result<Self> {
        let this = Self(handshakes);
        if handshakes.fetch_add(1, Ordering::Relaxed) >= HANDSHAKES_MAX {
            return Err(io::Error::other(format!("{HANDSHAKES_MAX} handshakes are under way")));
        }
        Ok(this)
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn server_config(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let provider = suites::provider(config)?;
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&suites::versions(config)?)?;
    let identity = if config.test_mode {
        identity::self_signed(&provider)?
    } else {
        let reason = "tls.test.mode.enable=false, so that clients are shown a certificate of yours";
        SERVER_FILES.identity(config, &provider)?.ok_or(TlsError::Missing { key: SERVER_FILES.certificate, reason })?
    };
    let builder = if config.test_mode || config.server_need_client_auth == ClientAuth::None {
        builder.with_no_client_auth()
    } else {
        let trust = config.server_auth_client.then(|| SERVER_FILES.trust(config)).transpose()?;
        let mandatory = config.server_need_client_auth == ClientAuth::Require;
        builder.with_client_cert_verifier(Arc::new(PeerVerifier::new(trust, mandatory, &provider)?))
    };
    Ok(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity))))
}

fn client_config(config: &TlsConfig) -> Result<ClientConfig, TlsError> {
    let provider = suites::provider(config)?;
    let verified = !config.test_mode && config.client_auth_server;
    let trust = verified.then(|| CLIENT_FILES.trust(config)).transpose()?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&suites::versions(config)?)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PeerVerifier::new(trust, false, &provider)?));
    let identity = if config.test_mode { None } else { CLIENT_FILES.identity(config, &provider)? };
    let mut library = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        None => builder.with_no_client_auth(),
    };
    // Java sends no name either; servers have one certificate.
    library.enable_sni = false;
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::NoRequests;
    use crate::{IoThreads, Limits, Server};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// The connection ends by the bound on handshakes: its other bound, on silence, is two minutes.
    #[tokio::test]
    async fn an_unfinished_handshake_is_given_up() {
        let mut tls = ServerTls::new(&TlsConfig::default()).unwrap();
        Arc::get_mut(&mut tls).unwrap().handshake_max = Duration::from_millis(50);
        let address = "127.0.0.1:0".parse().unwrap();
        let server =
            Server::bind_with(IoThreads::current(), address, Arc::new(NoRequests), Limits::default(), tls.clone());
        let mut stream = TcpStream::connect(server.unwrap().local_addr()).await.unwrap();
        stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
        let mut rest = Vec::new();
        let read = timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.expect("closed in time");
        assert!(read.is_err() || rest.is_empty());
        assert_eq!(tls.handshakes.load(Ordering::Relaxed), 0);
    }
}
