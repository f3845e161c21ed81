//! A name server that runs: start, address, end.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hypergol_config::{Live, NettyServerConfig, Properties};
use hypergol_remoting::{ClientTls, IoThreads, Limits, Server, ServerTls};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tracing::info;

use crate::brokers::Brokers;
use crate::config::NamesrvSettings;
use crate::context::Context;
use crate::dispatch::Dispatcher;
use crate::error::NamesrvError;
use crate::kv_config::KvConfig;
use crate::topics::Topics;

/// Time until the first look for brokers that fell silent, unless they are looked for more often. Java: 5 s.
const FIRST_SCAN: Duration = Duration::from_secs(5);
/// How long connections may take to end at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// A running name server. It stops when it is dropped, and better by [`Self::shutdown`].
pub struct NameServer {
    server: Server,
    dispatcher: Arc<Dispatcher>,
    scanning: JoinHandle<()>,
    /// Follow the files of certificates.
    following: JoinSet<()>,
}

impl NameServer {
    /// Starts a name server in the current tokio runtime; it listens when this returns. Connections live on `threads`.
    ///
    /// `start_file` is what `settings` were read from; its unknown keys are shown with the others.
    pub fn start(settings: NamesrvSettings, start_file: &Properties, threads: IoThreads) -> Result<Self, NamesrvError> {
        let kv = KvConfig::load(PathBuf::from(&settings.namesrv.kv_config_path))?;
        let store_path = PathBuf::from(&settings.namesrv.config_store_path);
        let interval = u64::try_from(settings.namesrv.scan_not_active_broker_interval).unwrap_or(0).max(1);
        let idle = u64::try_from(settings.server.server_channel_max_idle_time_seconds).unwrap_or(0).max(1);
        let listen = settings.server.clone();
        let tls = ServerTls::new(&settings.tls)?;
        let client_tls = settings.client.use_tls.then(|| ClientTls::new(&settings.tls)).transpose()?;
        let context = Arc::new(Context {
            config: Live::new(settings, start_file, store_path),
            kv,
            topics: Topics::default(),
            brokers: ArcSwap::from_pointee(Brokers::default()),
            started: Instant::now(),
        });
        let dispatcher = Arc::new(Dispatcher::start(context, client_tls.clone())?);
        let limits = Limits { idle_max: Duration::from_secs(idle) };
        let server = bind(&listen, |address| {
            Server::bind_with(threads.clone(), address, dispatcher.clone(), limits.clone(), tls.clone())
        })?;
        info!(address = %server.local_addr(), "name server started");
        let scanning = tokio::spawn(scan(dispatcher.clone(), Duration::from_millis(interval)));
        let mut following = JoinSet::new();
        following.spawn(tls.follow_files());
        if let Some(tls) = client_tls {
            following.spawn(tls.follow_files());
        }
        Ok(Self { server, dispatcher, scanning, following })
    }

    /// The address that is listened on, with the port the system chose where 0 was configured.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Stops listening, closes all connections, and finishes what was begun.
    pub async fn shutdown(mut self) {
        self.scanning.abort();
        self.following.abort_all();
        self.server.shutdown(SHUTDOWN_GRACE).await;
        let dispatcher = self.dispatcher.clone();
        // The threads may still write a file. The task is not aborted, so an error can only be a panic of ours.
        let _ = tokio::task::spawn_blocking(move || dispatcher.close()).await;
        info!("name server stopped");
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.scanning.abort();
    }
}

async fn scan(dispatcher: Arc<Dispatcher>, interval: Duration) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + FIRST_SCAN.min(interval), interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        dispatcher.scan();
    }
}

/// Listens on the configured address; on both families where that is the wildcard, as Java does.
fn bind(
    config: &NettyServerConfig,
    bind_at: impl Fn(SocketAddr) -> io::Result<Server>,
) -> Result<Server, NamesrvError> {
    let port = u16::try_from(config.listen_port).unwrap_or(0);
    let failed = |error| NamesrvError::Listen { address: format!("{}:{port}", config.bind_address), error };
    let mut addresses: Vec<SocketAddr> =
        (config.bind_address.as_str(), port).to_socket_addrs().map_err(failed)?.collect();
    if addresses.first().is_some_and(|address| address.ip() == Ipv4Addr::UNSPECIFIED) {
        addresses.insert(0, (Ipv6Addr::UNSPECIFIED, port).into());
    }
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match bind_at(address) {
            Ok(server) => return Ok(server),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}
