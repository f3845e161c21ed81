//! What the broker knows of a client that sent a heartbeat.

use std::time::{Duration, Instant};

use hypergol_remoting::Channel;
use hypergol_remoting::protocol::command::LanguageCode;

/// Groups one connection may register as producer, and again as consumer. Java has no bound; a client process has one
/// or two groups, a proxy some hundreds.
pub const GROUPS_PER_CHANNEL_MAX: usize = 10_000;

/// A client on one connection, as its heartbeats describe it.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The connection.
    pub channel: Channel,
    /// Id the client gave itself, `ip@pid#nanos` or the like.
    pub client_id: String,
    /// Language of the client.
    pub language: LanguageCode,
    /// Version of the client, an ordinal of MQVersion.
    pub version: i32,
    /// When its last heartbeat arrived.
    pub seen: Instant,
}

impl ClientInfo {
    /// Whether the last heartbeat is longer ago than `timeout`.
    pub fn expired(&self, now: Instant, timeout: Duration) -> bool {
        now.saturating_duration_since(self.seen) > timeout
    }

    /// When the last heartbeat arrived, milliseconds since 1970, given the present time in both clocks.
    pub fn seen_ms(&self, now: Instant, now_ms: i64) -> i64 {
        let ago = now.saturating_duration_since(self.seen).as_millis();
        now_ms - i64::try_from(ago).unwrap_or(i64::MAX)
    }
}

/// Connections for unit tests: real ones, because a channel cannot be made up.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;

    use hypergol_remoting::{Channel, Handler, Limits, RemotingCommand, Responder, Server};
    use parking_lot::Mutex;
    use tokio::net::TcpStream;

    use super::*;

    #[derive(Default)]
    struct Collect(Mutex<Vec<Channel>>);

    impl Handler for Collect {
        fn request(&self, _: RemotingCommand, responder: Responder) {
            responder.unsupported();
        }

        fn connected(&self, channel: &Channel) {
            self.0.lock().push(channel.clone());
        }
    }

    /// Open connections and what keeps them open.
    pub struct Channels {
        pub channels: Vec<Channel>,
        _server: Server,
        _clients: Vec<TcpStream>,
    }

    /// Makes `count` connections to a server of this process.
    pub async fn channels(count: usize) -> Channels {
        let collect = Arc::new(Collect::default());
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), collect.clone(), Limits::default()).unwrap();
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(TcpStream::connect(server.local_addr()).await.unwrap());
        }
        while collect.0.lock().len() < count {
            tokio::task::yield_now().await;
        }
        let channels = collect.0.lock().clone();
        Channels { channels, _server: server, _clients: clients }
    }

    /// A client with this id on this connection, seen now.
    pub fn client(channel: &Channel, id: &str) -> ClientInfo {
        ClientInfo {
            channel: channel.clone(),
            client_id: id.to_owned(),
            language: LanguageCode::JAVA,
            version: 513,
            seen: Instant::now(),
        }
    }
}
