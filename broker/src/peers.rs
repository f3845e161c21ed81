//! Requests to other brokers of the cluster, by name.
//!
//! Addresses come from the name servers, asked when they are needed and not more often than every few seconds. Requests
//! under way are counted: a broker that hangs costs a bounded number of tasks for `forwardTimeout`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hypergol_remoting::protocol::body::route::ClusterInfo;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::{ClientError, InvokeError, RemotingCommand, RequestCode, ResponseCode};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::config;
use crate::context::Broker;

/// How long addresses are trusted. Java refreshes them at this interval.
const FRESH: Duration = Duration::from_secs(5);
/// The same for a broker that the name servers did not know: it may have come in the meantime.
const FRESH_UNKNOWN: Duration = Duration::from_millis(500);
/// Requests under way to all brokers.
const UNDER_WAY_MAX: usize = 4096;
/// Id of a master.
const MASTER_ID: i64 = 0;

/// Why a broker was not asked, or did not answer.
#[derive(Debug, Error)]
pub enum PeerError {
    /// No name server knows a master of this name.
    #[error("cannot find addr for broker {0}")]
    Unknown(String),
    /// Too many requests wait for other brokers.
    #[error("{UNDER_WAY_MAX} requests wait for other brokers")]
    Busy,
    /// No answer within `forwardTimeout`.
    #[error("broker {broker} did not answer within {timeout_ms} ms")]
    Timeout {
        /// Name of the broker.
        broker: String,
        /// `forwardTimeout`.
        timeout_ms: u128,
    },
    /// The connection failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// The other brokers.
pub struct Peers {
    known: Mutex<Known>,
    /// Held by who asks the name servers.
    asking: tokio::sync::Mutex<()>,
    under_way: Semaphore,
}

#[derive(Default)]
struct Known {
    /// Broker name to the master's address.
    masters: BTreeMap<String, String>,
    asked: Option<Instant>,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            under_way: Semaphore::new(UNDER_WAY_MAX),
        }
    }
}

impl Peers {
    /// Sends a request to the master of a broker set and waits for its answer, `forwardTimeout` at most.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn invoke(
        &self,
        broker: &Broker,
        name: &str,
        request: RemotingCommand,
    ) -> Result<RemotingCommand, PeerError> {
        let _one = self.under_way.try_acquire().map_err(|_| PeerError::Busy)?;
        let limit = timeout(broker);
        let exchange = async {
            let address = self.address(broker, name).await.ok_or_else(|| PeerError::Unknown(name.to_owned()))?;
            Ok(broker.client.invoke(&address, request, limit).await?)
        };
        let late = || PeerError::Timeout { broker: name.to_owned(), timeout_ms: limit.as_millis() };
        match tokio::time::timeout(limit, exchange).await {
            // Both clocks may run out at once.
            Err(_) | Ok(Err(PeerError::Client(ClientError::Invoke(InvokeError::Timeout { .. })))) => Err(late()),
            Ok(done) => done,
        }
    }

    async fn address(&self, broker: &Broker, name: &str) -> Option<String> {
        let current = || {
            let known = self.known.lock();
            let address = known.masters.get(name).cloned();
            let trusted = if address.is_some() { FRESH } else { FRESH_UNKNOWN };
            (address, known.asked.is_some_and(|asked| asked.elapsed() < trusted))
        };
        let (address, fresh) = current();
        if fresh {
            return address;
        }
        let _asking = self.asking.lock().await;
        // Another may have asked meanwhile.
        let (address, fresh) = current();
        if fresh {
            return address;
        }
        let masters = ask(broker).await;
        let mut known = self.known.lock();
        if let Some(masters) = masters {
            known.masters = masters;
        }
        // Also after a failure: the addresses of before are used until the next try.
        known.asked = Some(Instant::now());
        known.masters.get(name).cloned()
    }
}

/// `forwardTimeout`.
fn timeout(broker: &Broker) -> Duration {
    Duration::from_millis(u64::try_from(broker.config().broker.forward_timeout).unwrap_or_default())
}

/// The masters of all clusters, as the first name server tells that answers.
async fn ask(broker: &Broker) -> Option<BTreeMap<String, String>> {
    let name_servers = config::name_server_addresses(&broker.config());
    // One that hangs leaves time for the others, and for the request itself.
    let limit = timeout(broker) / (u32::try_from(name_servers.len()).unwrap_or(u32::MAX).saturating_add(1));
    for address in name_servers {
        let request = RemotingCommand::request(RequestCode::GetBrokerClusterInfo);
        match broker.client.invoke(&address, request, limit).await {
            Ok(answer) if answer.code == ResponseCode::Success as i32 => match ClusterInfo::decode(&answer.body) {
                Ok(cluster) => return Some(masters(cluster)),
                Err(error) => debug!(address, %error, "cluster info is not understood"),
            },
            Ok(answer) => debug!(address, code = answer.code, "no cluster info"),
            Err(error) => debug!(address, %error, "no cluster info"),
        }
    }
    None
}

fn masters(cluster: ClusterInfo) -> BTreeMap<String, String> {
    let sets = cluster.broker_addr_table.into_iter();
    sets.filter_map(|(name, mut set)| Some((name, set.broker_addrs.remove(&MASTER_ID)?))).collect()
}
