//! Sends requests to servers by address; keeps one connection to each.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use crate::connection::{Channel, Handler, InvokeError, Limits, connected};
use crate::protocol::command::RemotingCommand;
use crate::responder::Responder;
use crate::tls::ClientTls;

/// Why a request got no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The address does not resolve, or nobody accepts there.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// `host:port` as given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Connected, but no answer.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
}

/// A client of any number of servers.
pub struct Client {
    handler: Arc<dyn Handler>,
    limits: Limits,
    tls: Option<Arc<ClientTls>>,
    connect_timeout: Duration,
    /// By address; the inner lock is held while somebody connects, so that all others share the connection.
    servers: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Channel>>>>>,
}

/// Answers requests of servers to which a client has nothing to say.
pub struct NoRequests;

impl Handler for NoRequests {
    fn request(&self, _request: RemotingCommand, responder: Responder) {
        responder.unsupported();
    }
}

impl Client {
    /// A client whose servers' requests `handler` answers. Connecting takes at most 3 s, as Java's.
    pub fn new(handler: Arc<dyn Handler>, limits: Limits) -> Self {
        Self::with_tls(handler, limits, None)
    }

    /// The same, over TLS if it is given.
    pub fn with_tls(handler: Arc<dyn Handler>, limits: Limits, tls: Option<Arc<ClientTls>>) -> Self {
        Self { handler, limits, tls, connect_timeout: Duration::from_secs(3), servers: Mutex::default() }
    }

    /// What its connections are secured with.
    pub fn tls(&self) -> Option<Arc<ClientTls>> {
        self.tls.clone()
    }

    /// Sends a request to `address` (`host:port`) and waits for its answer.
    pub async fn invoke(
        &self,
        address: &str,
        request: RemotingCommand,
        timeout: Duration,
    ) -> Result<RemotingCommand, ClientError> {
        Ok(self.channel(address).await?.invoke(request, timeout).await?)
    }

    /// Sends a request that has no answer.
    pub async fn oneway(&self, address: &str, request: RemotingCommand) -> Result<(), ClientError> {
        self.channel(address).await?.oneway(request);
        Ok(())
    }

    /// The connection to `address`, made now if there is none.
    pub async fn channel(&self, address: &str) -> Result<Channel, ClientError> {
        let server = self.servers.lock().entry(address.to_owned()).or_default().clone();
        let mut slot = server.lock().await;
        if let Some(channel) = slot.as_ref().filter(|channel| !channel.is_closed()) {
            return Ok(channel.clone());
        }
        let channel = self
            .connect(address)
            .await
            .map_err(|source| ClientError::Connect { address: address.to_owned(), source })?;
        *slot = Some(channel.clone());
        Ok(channel)
    }

    async fn connect(&self, address: &str) -> io::Result<Channel> {
        let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
        timeout(self.connect_timeout, self.connect_in_time(address)).await.map_err(timed_out)?
    }

    async fn connect_in_time(&self, address: &str) -> io::Result<Channel> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
        let (handler, limits) = (self.handler.clone(), self.limits.clone());
        let channel = if let Some(tls) = &self.tls {
            let stream = tls.connect(stream, peer).await?;
            let (channel, life) = connected(stream, local, peer, handler, limits);
            tokio::spawn(life);
            channel
        } else {
            let (channel, life) = connected(stream, local, peer, handler, limits);
            tokio::spawn(life);
            channel
        };
        debug!(address, tls = self.tls.is_some(), "connected");
        Ok(channel)
    }

    /// Closes the connection to `address` and forgets it.
    pub fn close(&self, address: &str) {
        if let Some(server) = self.servers.lock().remove(address)
            && let Ok(slot) = server.try_lock()
        {
            slot.iter().for_each(Channel::close);
        }
    }

    /// Closes all connections.
    pub fn shutdown(&self) {
        let addresses: Vec<_> = self.servers.lock().keys().cloned().collect();
        addresses.iter().for_each(|address| self.close(address));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shutdown();
    }
}
