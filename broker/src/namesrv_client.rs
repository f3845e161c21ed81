//! Registers the broker with the name servers.
//!
//! A task for each name server keeps it informed: all topics at once every `registerNameServerPeriod` (with
//! `forceRegister=false` only if it has another version of them), changed topics as soon as they change. One that cannot be reached is tried again after a pause that grows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hypergol_remoting::protocol::body::kv::KVTable;
use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::body::route::{QueueData, TopicRouteData};
use hypergol_remoting::protocol::body::topic::{
    DataVersion, TopicConfig, TopicConfigAndMappingSerializeWrapper, TopicQueueMappingInfo,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::route::{
    QueryDataVersionRequestHeader, QueryDataVersionResponseHeader, RegisterBrokerRequestHeader,
    RegisterTopicRequestHeader, UnRegisterBrokerRequestHeader,
};
use hypergol_remoting::{RemotingCommand, RequestCode, ResponseCode};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::config::{self, BrokerSettings};
use crate::context::Broker;
use crate::topics::{PERM_READ, PERM_WRITE, Pending};

/// First and longest pause before a name server that did not answer is tried again.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Changed topics that wait for one name server; with more everything is registered.
const CHANGED_MAX: usize = 4096;
/// Bounds of `registerNameServerPeriod`, as in Java.
const PERIOD_MIN_MS: i32 = 10_000;
const PERIOD_MAX_MS: i32 = 60_000;
/// How long a name server may take to answer a farewell.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);

/// Keeps the broker registered until the task is aborted. `first` turns true once every name server was tried.
pub async fn keep_registered(broker: Arc<Broker>, first: watch::Sender<bool>) {
    let mut links: HashMap<String, Link> = HashMap::new();
    // Aborts its tasks when this future is dropped.
    let mut tasks = JoinSet::new();
    let first = Arc::new(first);
    loop {
        let addresses = addresses(&broker.config()).await;
        links.retain(|address, link| {
            let kept = addresses.contains(address);
            if !kept {
                link.task.abort();
            }
            kept
        });
        let first_round = links.is_empty();
        let untried = Arc::new(AtomicUsize::new(addresses.len()));
        for address in addresses {
            if !links.contains_key(&address) {
                let first = first_round.then(|| (untried.clone(), first.clone()));
                links.insert(address.clone(), Link::start(&mut tasks, broker.clone(), address, first));
            }
        }
        if links.is_empty() {
            let _ = first.send(true);
        }
        tokio::select! {
            () = tokio::time::sleep(period(&broker.config())) => {}
            () = broker.topics.changes().changed() => {
                let changed = broker.topics.changes().take();
                links.values().for_each(|link| link.news.add(&changed));
            }
        }
        while tasks.try_join_next().is_some() {}
    }
}

/// How many name servers were not tried yet, and who waits for all of them.
type FirstTry = (Arc<AtomicUsize>, Arc<watch::Sender<bool>>);

/// The task that keeps one name server informed. Others do not wait for one that is slow.
struct Link {
    news: Arc<News>,
    task: AbortHandle,
}

/// What one name server has not been told yet.
#[derive(Default)]
struct News {
    pending: Mutex<Pending>,
    added: Notify,
}

impl News {
    fn add(&self, changed: &Pending) {
        let mut pending = self.pending.lock();
        pending.everything |= changed.everything;
        if !pending.everything {
            pending.topics.extend(changed.topics.iter().map(|(name, topic)| (name.clone(), topic.clone())));
            // So much has piled up that one registration of everything is shorter.
            pending.everything = pending.topics.len() > CHANGED_MAX;
        }
        drop(pending);
        self.added.notify_one();
    }
}

impl Link {
    fn start(tasks: &mut JoinSet<()>, broker: Arc<Broker>, address: String, first: Option<FirstTry>) -> Self {
        let news = Arc::new(News::default());
        let task = tasks.spawn(Self::run(broker, address, news.clone(), first));
        Self { news, task }
    }

    async fn run(broker: Arc<Broker>, address: String, news: Arc<News>, mut first: Option<FirstTry>) {
        let mut next_full = Instant::now();
        let mut pause = RETRY_PAUSE_MIN;
        // A full registration has succeeded, and nothing has failed since.
        let mut registered = false;
        loop {
            let pending = std::mem::take(&mut *news.pending.lock());
            let mut full = pending.everything || next_full <= Instant::now();
            if full && !pending.everything && registered && !broker.config().broker.force_register {
                next_full = Instant::now() + period(&broker.config());
                full = !is_up_to_date(&broker, &address).await;
            }
            if full || !pending.topics.is_empty() {
                let done = if full {
                    register(&broker, &address, full_request(&broker)).await
                } else {
                    register_changed(&broker, &address, &pending.topics).await
                };
                registered = done && (full || registered);
                if let Some((untried, first)) = first.take()
                    && untried.fetch_sub(1, Ordering::AcqRel) == 1
                {
                    let _ = first.send(true);
                }
                if done {
                    pause = RETRY_PAUSE_MIN;
                    if full {
                        next_full = Instant::now() + period(&broker.config());
                    }
                } else {
                    // Also where only a change was refused: the name server may have lost the rest.
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                    next_full = Instant::now();
                    continue;
                }
            }
            tokio::select! {
                () = tokio::time::sleep_until(next_full) => {}
                () = news.added.notified() => {}
            }
        }
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

/// Whether the name server has the topics in their present version. The question also keeps the broker alive there.
async fn is_up_to_date(broker: &Broker, address: &str) -> bool {
    let config = broker.config().clone();
    let request = RemotingCommand::request_with(
        RequestCode::QueryDataVersion,
        &QueryDataVersionRequestHeader {
            broker_name: config.broker.broker_name.clone(),
            broker_addr: config.address(),
            cluster_name: config.broker.broker_cluster_name.clone(),
            broker_id: config.broker.broker_id,
        },
    );
    let version = broker.topics.version();
    let request = request.with_body(version.encode());
    match broker.client.invoke(address, request, timeout(&config)).await {
        Ok(answer) if answer.code == ResponseCode::Success as i32 => {
            let changed = answer.header::<QueryDataVersionResponseHeader>().map_or(true, |header| header.changed);
            !changed && (answer.body.is_empty() || DataVersion::decode(&answer.body).is_ok_and(|its| its == version))
        }
        Ok(_) => false,
        Err(error) => {
            debug!(address, %error, "name server does not tell the version it has");
            false
        }
    }
}

fn timeout(config: &BrokerSettings) -> Duration {
    Duration::from_millis(u64::try_from(config.broker.register_broker_timeout_mills).unwrap_or_default())
}

/// Registers the topics that changed: in one registration, or each by itself with `enableSingleTopicRegister`, which
/// leaves the version that the name server has as it was. True when the name server has taken all of them.
async fn register_changed(broker: &Broker, address: &str, changed: &BTreeMap<String, Arc<TopicConfig>>) -> bool {
    if !broker.config().broker.enable_single_topic_register {
        return register(broker, address, changed_request(broker, changed)).await;
    }
    for topic in changed.values() {
        if !register(broker, address, single_topic_request(broker, topic)).await {
            return false;
        }
    }
    true
}

fn single_topic_request(broker: &Broker, topic: &TopicConfig) -> RemotingCommand {
    let config = broker.config();
    let queues = QueueData {
        broker_name: config.broker.broker_name.clone(),
        perm: permitted(&config, topic.perm),
        read_queue_nums: topic.read_queue_nums,
        topic_sys_flag: topic.topic_sys_flag,
        write_queue_nums: topic.write_queue_nums,
    };
    let route = TopicRouteData { queue_datas: vec![queues], ..TopicRouteData::default() };
    let header = RegisterTopicRequestHeader { topic: topic.topic_name.clone() };
    RemotingCommand::request_with(RequestCode::RegisterTopicInNamesrv, &header).with_body(route.encode())
}

/// What a topic's permission comes to under that of the broker.
fn permitted(config: &BrokerSettings, perm: i32) -> i32 {
    let of_broker = config.broker.broker_permission;
    if of_broker & (PERM_READ | PERM_WRITE) == PERM_READ | PERM_WRITE { perm } else { perm & of_broker }
}

/// True when the name server has taken the registration.
async fn register(broker: &Broker, address: &str, request: RemotingCommand) -> bool {
    let timeout = timeout(&broker.config());
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

/// Tells all name servers of a topic, and waits for their answers. One that does not take it is told again by its task.
pub async fn register_now(broker: &Arc<Broker>, topic: Arc<TopicConfig>) {
    let changed = BTreeMap::from([(topic.topic_name.clone(), topic)]);
    let mut told = JoinSet::new();
    for address in addresses(&broker.config().clone()).await {
        let (broker, request) = (broker.clone(), changed_request(broker, &changed));
        told.spawn(async move { register(&broker, &address, request).await });
    }
    while told.join_next().await.is_some() {}
}

fn full_request(broker: &Broker) -> RemotingCommand {
    let wrapper = broker.topics.wrapper();
    request(broker, wrapper.data_version, wrapper.topic_config_table, broker.static_topics.infos())
}

fn changed_request(broker: &Broker, changed: &BTreeMap<String, Arc<TopicConfig>>) -> RemotingCommand {
    let version = broker.topics.version();
    let topics = changed.iter().map(|(name, topic)| (name.clone(), TopicConfig::clone(topic))).collect();
    let mapping = |name: &String| Some((name.clone(), broker.static_topics.info(name)?));
    request(broker, version, topics, changed.keys().filter_map(mapping).collect())
}

fn request(
    broker: &Broker,
    version: DataVersion,
    mut topics: BTreeMap<String, TopicConfig>,
    mappings: BTreeMap<String, TopicQueueMappingInfo>,
) -> RemotingCommand {
    let config = broker.config();
    topics.values_mut().for_each(|topic| topic.perm = permitted(&config, topic.perm));
    let body = RegisterBrokerBody {
        filter_server_list: Vec::new(),
        topic_config_serialize_wrapper: TopicConfigAndMappingSerializeWrapper {
            data_version: version,
            topic_config_table: topics,
            topic_queue_mapping_info_map: mappings,
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
