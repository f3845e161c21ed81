//! Listens on a port and runs a [`connection`](crate::connection) for each client.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::connection::{Channel, Handler, Limits, accepted};
use crate::io_threads::{IoThreads, Place};
use crate::tls::ServerTls;

/// Connections that may wait to be accepted. Java: serverSocketBacklog, 1024.
const BACKLOG: i32 = 1024;
/// Pause after a failed accept, usually for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listening port.
pub struct Server {
    local: SocketAddr,
    channels: Arc<Channels>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Channels {
    open: Mutex<HashMap<u64, Channel>>,
}

impl Server {
    /// Binds `address` and starts to accept plain text; connections live on the runtime that this is called in.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind(address: SocketAddr, handler: Arc<dyn Handler>, limits: Limits) -> io::Result<Self> {
        Self::bind_on(IoThreads::current(), address, handler, limits)
    }

    /// The same, with connections that live on `threads`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind_on(
        threads: IoThreads,
        address: SocketAddr,
        handler: Arc<dyn Handler>,
        limits: Limits,
    ) -> io::Result<Self> {
        Self::bind_with(threads, address, handler, limits, ServerTls::disabled())
    }

    /// The same, with TLS as configured.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind_with(
        threads: IoThreads,
        address: SocketAddr,
        handler: Arc<dyn Handler>,
        limits: Limits,
        tls: Arc<ServerTls>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // One socket for both families, as Java's.
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let local = listener.local_addr()?;
        let channels = Arc::new(Channels::default());
        let (stop, stopped) = watch::channel(false);
        let accepting = Accepting { threads, handler, limits, tls, channels: channels.clone() };
        let accepting = tokio::spawn(accepting.accept(listener, stopped));
        Ok(Self { local, channels, stop, accepting })
    }

    /// The address that is listened on, with the port the system chose where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// All connections that are open now.
    pub fn channels(&self) -> Vec<Channel> {
        self.channels.open.lock().values().cloned().collect()
    }

    /// Stops accepting, closes every connection after its queued answers are on the way, and waits at most `grace`
    /// for their end.
    pub async fn shutdown(&self, grace: Duration) {
        let _ = self.stop.send(true);
        self.accepting.abort();
        let deadline = tokio::time::Instant::now() + grace;
        loop {
            let open = self.channels();
            if open.is_empty() {
                return;
            }
            open.iter().for_each(Channel::close);
            if tokio::time::Instant::now() >= deadline {
                warn!(port = self.local.port(), open = open.len(), "connections left open at shutdown");
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        for channel in self.channels() {
            channel.close();
        }
    }
}

/// What every accepted connection gets.
struct Accepting {
    threads: IoThreads,
    handler: Arc<dyn Handler>,
    limits: Limits,
    tls: Arc<ServerTls>,
    channels: Arc<Channels>,
}

impl Accepting {
    async fn accept(self, listener: TcpListener, stopped: watch::Receiver<bool>) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            if *stopped.borrow() {
                return;
            }
            if let Err(error) = self.serve(stream, peer, self.threads.place()) {
                info!(%peer, %error, "connection lost while it was accepted");
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, place: Place) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (local, peer) = (unmapped(stream.local_addr()?), unmapped(peer));
        let entered = place.runtime.enter();
        let stream = TcpStream::from_std(stream.into_std()?)?;
        let (handler, limits, tls) = (self.handler.clone(), self.limits.clone(), self.tls.clone());
        let (channel, life) = accepted(stream, local, peer, handler, limits, tls);
        let id = channel.id();
        self.channels.open.lock().insert(id, channel);
        drop(entered);
        let channels = self.channels.clone();
        place.runtime.clone().spawn(async move {
            life.await;
            channels.open.lock().remove(&id);
            drop(place);
        });
        Ok(())
    }
}

/// An IPv4 peer of an IPv6 socket as IPv4.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
