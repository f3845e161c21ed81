//! Tells the brokers of a set that its lowest broker id has changed (NOTIFY_MIN_BROKER_ID_CHANGE).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hypergol_remoting::client::NoRequests;
use hypergol_remoting::protocol::header::ha::NotifyMinBrokerIdChangeRequestHeader;
use hypergol_remoting::{Client, ClientTls, Limits, RemotingCommand, RequestCode};
use tokio::runtime::Handle;
use tracing::{info, warn};

/// What a set is now, and why.
pub(crate) struct MinBrokerChange {
    /// Broker id to address, of those that are there.
    pub(crate) addresses: BTreeMap<i64, String>,
    /// The broker that left, if one did.
    pub(crate) offline: Option<String>,
    /// Replication address of the broker that came, if one did.
    pub(crate) ha_address: Option<String>,
}

/// Sends without waiting for anybody.
pub(crate) struct Notifier {
    client: Arc<Client>,
    runtime: Handle,
}

impl Notifier {
    /// Sends from the current runtime; connections without use are closed after `idle_max`.
    pub(crate) fn new(idle_max: Duration, tls: Option<Arc<ClientTls>>) -> Self {
        let client = Client::with_tls(Arc::new(NoRequests), Limits { idle_max }, tls);
        Self { client: Arc::new(client), runtime: Handle::current() }
    }

    /// Tells all brokers of the set, but not one that has just come: it knows.
    pub(crate) fn notify(&self, change: MinBrokerChange) {
        let Some((&lowest, lowest_address)) = change.addresses.first_key_value() else { return };
        let header = NotifyMinBrokerIdChangeRequestHeader {
            min_broker_id: Some(lowest),
            broker_name: None,
            min_broker_addr: Some(lowest_address.clone()),
            offline_broker_addr: change.offline.clone(),
            ha_broker_addr: change.ha_address,
        };
        let everybody = change.offline.is_some() || change.addresses.len() == 1;
        info!(lowest, address = lowest_address, offline = change.offline, "the lowest broker id changed");
        for (id, address) in change.addresses {
            if id == lowest && !everybody {
                continue;
            }
            let request = RemotingCommand::request_with(RequestCode::NotifyMinBrokerIdChange, &header);
            let client = self.client.clone();
            self.runtime.spawn(async move {
                if let Err(error) = client.oneway(&address, request).await {
                    warn!(address, %error, "cannot tell a broker that the lowest id of its set changed");
                    client.close(&address);
                }
            });
        }
    }
}
