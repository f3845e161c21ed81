//! What the broker knows of a client that sent a heartbeat, and what it tells clients of their groups.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_remoting::protocol::command::LanguageCode;
use hypergol_remoting::protocol::header::client::NotifyConsumerIdsChangedRequestHeader;
use hypergol_remoting::{Channel, RemotingCommand, RequestCode};
use parking_lot::Mutex;
use tracing::info;

use crate::consumers::GroupChange;
use crate::context::{Broker, now_ms};

/// Groups one connection may register as producer, and again as consumer. Java has no bound; a client process has one
/// or two groups, a proxy some hundreds.
pub const GROUPS_PER_CHANNEL_MAX: usize = 10_000;

/// Time between scans for clients that went silent. Java: ClientHousekeepingService, 10 s.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);
/// Time between notices of `realTimeNotifyConsumerChange=false`. Java: DefaultConsumerIdsChangeListener, 15 s.
const LATE_NOTICES_PERIOD: Duration = Duration::from_secs(15);
/// Silence after which a producer is gone. Java: ProducerManager.CHANNEL_EXPIRED_TIMEOUT, 120 s.
const PRODUCER_TIMEOUT: Duration = Duration::from_secs(120);

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

/// Tells the members of a group that it changed, so that they share its queues anew. Not for broadcasting groups,
/// whose members share nothing.
pub fn tell_members(broker: &Broker, change: GroupChange) {
    if change.mode.is_broadcasting() || !broker.config().broker.notify_consumer_ids_changed_enable {
        return;
    }
    if broker.config().broker.real_time_notify_consumer_change {
        notify(change.group, &change.members);
    } else {
        broker.late_notices.0.lock().insert(change.group, change.members);
    }
}

fn notify(group: String, members: &[Channel]) {
    let header = NotifyConsumerIdsChangedRequestHeader { consumer_group: group };
    for member in members {
        member.oneway(RemotingCommand::request_with(RequestCode::NotifyConsumerIdsChanged, &header));
    }
}

/// Groups that changed and were not told yet, with their members now: with `realTimeNotifyConsumerChange=false` a group
/// is told once in a period, however often it changes. No larger than the groups that changed within the period.
#[derive(Default)]
pub struct LateNotices(Mutex<HashMap<String, Vec<Channel>>>);

/// Tells groups of late notices, until the future is dropped.
pub async fn tell_late(broker: Arc<Broker>) {
    loop {
        tokio::time::sleep(LATE_NOTICES_PERIOD).await;
        send_late_notices(&broker);
    }
}

/// Tells every group that changed since the last call.
pub fn send_late_notices(broker: &Broker) {
    let groups = std::mem::take(&mut *broker.late_notices.0.lock());
    if broker.config().broker.notify_consumer_ids_changed_enable {
        groups.into_iter().for_each(|(group, members)| notify(group, &members));
    }
}

/// Forgets the clients of a connection that is gone.
pub fn closed(broker: &Broker, channel: &Channel) {
    broker.producers.closed(channel);
    for change in broker.consumers.closed(channel) {
        left(broker, change, true);
    }
}

/// A member has left a group: without any its filters are dead; others are told unless the group is not to be.
pub fn left(broker: &Broker, change: GroupChange, notify: bool) {
    if change.members.is_empty() {
        broker.filters.unregister(&change.group, now_ms());
    }
    if notify {
        tell_members(broker, change);
    }
}

/// Looks for silent clients, until the future is dropped.
pub async fn watch(broker: Arc<Broker>) {
    loop {
        tokio::time::sleep(SCAN_INTERVAL).await;
        expire(&broker, Instant::now());
    }
}

/// Closes the connections of clients that no longer send heartbeats, and forgets what has expired.
pub fn expire(broker: &Broker, now: Instant) {
    let settings = broker.config();
    let timeout = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    let mut expired = broker.producers.expire(now, PRODUCER_TIMEOUT);
    expired.extend(broker.consumers.expired(now, timeout(settings.broker.channel_expired_timeout)));
    for channel in expired {
        info!(?channel, "no heartbeat from this client, closing its connection");
        closed(broker, &channel);
        channel.close();
    }
    broker.consumers.forget_pulled(now, timeout(settings.broker.subscription_expired_timeout));
    broker.queue_locks.forget_expired(now);
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
