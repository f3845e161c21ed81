//! Registers the broker with the name servers.
//!
//! One task keeps every name server informed: all topics at once every `registerNameServerPeriod`, changed topics as
//! soon as they change. A name server that cannot be reached is tried again after a pause that grows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hypergol_remoting::protocol::body::kv::KVTable;
use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::body::topic::{DataVersion, TopicConfig, TopicConfigAndMappingSerializeWrapper};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::route::{RegisterBrokerRequestHeader, UnRegisterBrokerRequestHeader};
use hypergol_remoting::{RemotingCommand, RequestCode, ResponseCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::config::{self, BrokerSettings};
use crate::context::Broker;
use crate::topics::{PERM_READ, PERM_WRITE};

/// First and longest pause before a name server that did not answer is tried again.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Bounds of `registerNameServerPeriod`, as in Java.
const PERIOD_MIN_MS: i32 = 10_000;
const PERIOD_MAX_MS: i32 = 60_000;
/// How long a name server may take to answer a farewell.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);

/// Keeps the broker registered until the task is aborted. `first` turns true after the first attempt at each name
/// server, whatever its outcome.
pub async fn keep_registered(broker: Arc<Broker>, first: watch::Sender<bool>) {
    let mut pauses: HashMap<String, Pause> = HashMap::new();
    let mut next_full = Instant::now();
    loop {
        let now = Instant::now();
        let pending = broker.topics.changes().take();
        let full = pending.everything || next_full <= now;
        if full {
            next_full = now + period(&broker.config());
        }
        let addresses = addresses(&broker.config()).await;
        pauses.retain(|address, _| addresses.contains(address));
        let mut registrations = JoinSet::new();
        for address in addresses {
            let retried = pauses.get(&address).map(|pause| pause.until <= now);
            let everything = match retried {
                Some(true) => true,
                Some(false) => continue,
                None if full => true,
                None if pending.topics.is_empty() => continue,
                None => false,
            };
            let request = if everything { full_request(&broker) } else { changed_request(&broker, &pending.topics) };
            let broker = broker.clone();
            registrations.spawn(async move { (register(&broker, &address, request).await, address) });
        }
        while let Some(Ok((done, address))) = registrations.join_next().await {
            if done {
                pauses.remove(&address);
            } else {
                pauses.entry(address).or_default().grow();
            }
        }
        let _ = first.send(true);
        let retry = pauses.values().map(|pause| pause.until).min();
        let wake = retry.map_or(next_full, |retry| retry.min(next_full));
        tokio::select! {
            () = tokio::time::sleep_until(wake) => {}
            () = broker.topics.changes().changed() => {}
        }
    }
}

/// When a name server that failed is tried again.
struct Pause {
    until: Instant,
    length: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self { until: Instant::now(), length: RETRY_PAUSE_MIN / 2 }
    }
}

impl Pause {
    fn grow(&mut self) {
        self.length = (self.length * 2).min(RETRY_PAUSE_MAX);
        self.until = Instant::now() + self.length;
    }
}

/// Says farewell to all name servers.
pub async fn unregister(broker: &Arc<Broker>) {
    let config = broker.config().clone();
    let request = RemotingCommand::request_with(
        RequestCode::UnregisterBroker,
        &UnRegisterBrokerRequestHeader {
            broker_name: config.broker.broker_name.clone(),
            broker_addr: config.address(),
            cluster_name: config.broker.broker_cluster_name.clone(),
            broker_id: config.broker.broker_id,
        },
    );
    let mut farewells = JoinSet::new();
    for address in addresses(&config).await {
        let (broker, request) = (broker.clone(), request.clone());
        farewells.spawn(async move {
            match broker.client.invoke(&address, request, UNREGISTER_TIMEOUT).await {
                Ok(_) => info!(address, "unregistered from name server"),
                Err(error) => warn!(address, %error, "cannot unregister from name server"),
            }
        });
    }
    while farewells.join_next().await.is_some() {}
}

/// The name servers of the configuration. With `fetchNameSrvAddrByDnsLookup` each name stands for all its addresses;
/// otherwise a name is resolved whenever a connection is made.
async fn addresses(config: &BrokerSettings) -> Vec<String> {
    let names = config::name_server_addresses(config);
    if !config.broker.fetch_name_srv_addr_by_dns_lookup {
        return names;
    }
    let mut found = Vec::new();
    for name in names {
        let resolved = tokio::net::lookup_host(&name).await.map(Vec::from_iter);
        match resolved {
            Ok(addresses) => found.extend(addresses.into_iter().map(|address| address.to_string())),
            Err(error) => {
                warn!(name, %error, "name server does not resolve");
                found.push(name);
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn period(config: &BrokerSettings) -> Duration {
    let ms = config.broker.register_name_server_period.clamp(PERIOD_MIN_MS, PERIOD_MAX_MS);
    Duration::from_millis(ms.unsigned_abs().into())
}

/// True when the name server has taken the registration.
async fn register(broker: &Broker, address: &str, request: RemotingCommand) -> bool {
    let timeout_ms = broker.config().broker.register_broker_timeout_mills;
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or_default());
    match broker.client.invoke(address, request, timeout).await {
        Ok(answer) if answer.code == ResponseCode::Success as i32 => {
            debug!(address, "registered with name server");
            take_order_topics(broker, &answer);
            true
        }
        Ok(answer) => {
            warn!(address, code = answer.code, remark = answer.remark, "name server refuses the registration");
            false
        }
        Err(error) => {
            warn!(address, %error, "cannot register with name server");
            false
        }
    }
}

/// The answer names the topics whose messages clients should keep in order.
fn take_order_topics(broker: &Broker, answer: &RemotingCommand) {
    if answer.body.is_empty() {
        return;
    }
    match KVTable::decode(&answer.body) {
        Ok(order) => broker.topics.set_ordered(order.table.keys()),
        Err(error) => warn!(%error, "order configuration of the name server is not understood"),
    }
}

fn full_request(broker: &Broker) -> RemotingCommand {
    let wrapper = broker.topics.wrapper();
    request(broker, wrapper.data_version, wrapper.topic_config_table)
}

fn changed_request(broker: &Broker, changed: &BTreeMap<String, Arc<TopicConfig>>) -> RemotingCommand {
    let version = broker.topics.version();
    let topics = changed.iter().map(|(name, topic)| (name.clone(), TopicConfig::clone(topic))).collect();
    request(broker, version, topics)
}

fn request(broker: &Broker, version: DataVersion, mut topics: BTreeMap<String, TopicConfig>) -> RemotingCommand {
    let config = broker.config();
    let permission = config.broker.broker_permission;
    if permission & (PERM_READ | PERM_WRITE) != PERM_READ | PERM_WRITE {
        topics.values_mut().for_each(|topic| topic.perm &= permission);
    }
    let body = RegisterBrokerBody {
        filter_server_list: Vec::new(),
        topic_config_serialize_wrapper: TopicConfigAndMappingSerializeWrapper {
            data_version: version,
            topic_config_table: topics,
            ..TopicConfigAndMappingSerializeWrapper::default()
        },
    };
    let compressed = config.broker.compressed_register.then(|| body.encode_compressed().ok()).flatten();
    let is_compressed = compressed.is_some();
    let body = compressed.unwrap_or_else(|| body.encode());
    let header = RegisterBrokerRequestHeader {
        broker_name: config.broker.broker_name.clone(),
        broker_addr: config.address(),
        cluster_name: config.broker.broker_cluster_name.clone(),
        ha_server_addr: config.ha_address(),
        broker_id: config.broker.broker_id,
        heartbeat_timeout_millis: None,
        enable_acting_master: Some(false),
        compressed: is_compressed,
        body_crc32: (crc32fast::hash(&body) & 0x7FFF_FFFF) as i32,
    };
    RemotingCommand::request_with(RequestCode::RegisterBroker, &header).with_body(body)
}
