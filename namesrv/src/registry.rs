//! Who is registered: the only place that changes topics and broker sets, on a thread of its own.
//!
//! Registrations, unregistrations, closed connections and brokers that fell silent come here through one queue and are
//! done in order. What readers need is in [`Context`]; what only the next change needs is in [`Registry`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hypergol_remoting::protocol::body::register::RegisterBrokerBody;
use hypergol_remoting::protocol::body::route::{BrokerData, TopicRouteData};
use hypergol_remoting::protocol::body::topic::{
    DataVersion, TopicConfig, TopicConfigAndMappingSerializeWrapper, TopicConfigSerializeWrapper,
};
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::route::{
    AddWritePermOfBrokerResponseHeader, BrokerHeartbeatRequestHeader, QueryDataVersionRequestHeader,
    QueryDataVersionResponseHeader, RegisterBrokerRequestHeader, RegisterBrokerResponseHeader,
    UnRegisterBrokerRequestHeader, WipeWritePermOfBrokerResponseHeader,
};
use hypergol_remoting::{Channel, RemotingCommand, Responder};
use tracing::{debug, info, warn};

use crate::brokers::{Brokers, MASTER_ID, lacks_master};
use crate::context::Context;
use crate::error::NamesrvError;
use crate::kv_config::ORDER_TOPIC_CONFIG;
use crate::notify::{MinBrokerChange, Notifier};
use crate::topics::{PERM_READ, PERM_WRITE, Queues};

/// Silence after which a broker is gone that did not say how long to wait. Java: 2 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// Version from which on a registration is a `RegisterBrokerBody`; before, it was the topics only. V3_0_11.
const VERSION_REGISTER_BODY: i32 = 37;
/// Brokers that are kept; a bound on what registrations can make this process remember.
const BROKERS_MAX: usize = 1 << 16;

/// What the registry does next.
pub(crate) enum Item {
    /// A request, to be answered when it is done.
    Request(Change, Responder),
    /// The connection with this id is gone.
    Closed(u64),
    /// Time to look for brokers that fell silent.
    Scan,
}

/// A request that changes, or needs, the registry.
pub(crate) enum Change {
    Register(Box<Registration>),
    Unregister(UnRegisterBrokerRequestHeader),
    Heartbeat(BrokerHeartbeatRequestHeader),
    QueryVersion(QueryDataVersionRequestHeader, Bytes),
    /// Of the broker of this name.
    WipeWritePerm(String),
    /// Of the broker of this name.
    AddWritePerm(String),
    /// A topic and its `TopicRouteData`.
    RegisterTopic(String, Bytes),
    /// A topic, and the cluster to delete it from, or all.
    DeleteTopic(String, Option<String>),
}

/// A REGISTER_BROKER request.
pub(crate) struct Registration {
    pub(crate) header: RegisterBrokerRequestHeader,
    pub(crate) zone: Option<String>,
    /// Version of the broker.
    pub(crate) version: i32,
    pub(crate) body: Bytes,
    pub(crate) channel: Channel,
}

/// A broker process: its cluster and address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    cluster: String,
    address: String,
}

/// A broker process that is there.
struct LiveBroker {
    name: String,
    id: i64,
    heard: Instant,
    /// Silence after which it is gone.
    timeout: Duration,
    /// Of the topics it registered last.
    version: DataVersion,
    /// The connection it registered on last.
    channel: Channel,
    ha_address: String,
}

/// The registry's own state.
pub(crate) struct Registry {
    context: Arc<Context>,
    notifier: Notifier,
    live: HashMap<Identity, LiveBroker>,
    /// Connection id to the brokers that registered on it last.
    by_channel: HashMap<u64, HashSet<Identity>>,
    /// Broker name to the topics that have queues there.
    topics_of: HashMap<String, HashSet<Arc<str>>>,
}

impl Registry {
    pub(crate) fn new(context: Arc<Context>, notifier: Notifier) -> Self {
        Self { context, notifier, live: HashMap::new(), by_channel: HashMap::new(), topics_of: HashMap::new() }
    }

    /// Does one item.
    pub(crate) fn apply(&mut self, item: Item) {
        match item {
            Item::Request(change, responder) => match self.change(change) {
                Ok(answer) => responder.send(answer),
                Err(error) => responder.error(error.code(), error.to_string()),
            },
            Item::Closed(channel) => {
                for identity in self.by_channel.remove(&channel).unwrap_or_default() {
                    self.gone(&identity, "its connection closed");
                }
            }
            Item::Scan => self.scan(),
        }
    }

    fn change(&mut self, change: Change) -> Result<RemotingCommand, NamesrvError> {
        match change {
            Change::Register(registration) => return self.register(*registration),
            Change::Unregister(header) => {
                let identity = Identity { cluster: header.cluster_name, address: header.broker_addr };
                info!(broker = header.broker_name, id = header.broker_id, address = identity.address, "unregisters");
                self.unregister(&identity, &header.broker_name, header.broker_id);
            }
            Change::Heartbeat(header) => self.heard(header.cluster_name, header.broker_addr),
            Change::QueryVersion(header, body) => return self.query_version(header, &body),
            Change::WipeWritePerm(broker) => {
                let wipe_topic_count = self.change_perm(&broker, |perm| perm & !PERM_WRITE);
                info!(broker, topics = wipe_topic_count, "write permission wiped");
                let header = WipeWritePermOfBrokerResponseHeader { wipe_topic_count };
                return Ok(RemotingCommand::success().with_header(&header));
            }
            Change::AddWritePerm(broker) => {
                let add_topic_count = self.change_perm(&broker, |_| PERM_READ | PERM_WRITE);
                info!(broker, topics = add_topic_count, "write permission added");
                let header = AddWritePermOfBrokerResponseHeader { add_topic_count };
                return Ok(RemotingCommand::success().with_header(&header));
            }
            Change::RegisterTopic(topic, body) => self.register_topic(&topic, &body)?,
            Change::DeleteTopic(topic, cluster) => self.delete_topic(&topic, cluster),
        }
        Ok(RemotingCommand::success())
    }

    fn register(&mut self, registration: Registration) -> Result<RemotingCommand, NamesrvError> {
        let Registration { header, zone, version, body, channel } = registration;
        if header.body_crc32 != 0 && checksum(&body) != header.body_crc32 {
            return Err(NamesrvError::Checksum);
        }
        let (topics, filter_servers) = decode_registration(version, &body)?;
        let identity = Identity { cluster: header.cluster_name.clone(), address: header.broker_addr.clone() };

        if let Some(live) = self.live.get(&identity)
            && live.name != header.broker_name
        {
            let (name, id) = (live.name.clone(), live.id);
            self.unregister(&identity, &name, id);
        }
        let brokers = self.context.brokers.load_full();
        let known = brokers.sets.get(&header.broker_name);
        let mut set = known.map(|set| BrokerData::clone(set)).unwrap_or_else(|| BrokerData {
            broker_name: header.broker_name.clone(),
            cluster: header.cluster_name.clone(),
            ..BrokerData::default()
        });
        if self.is_stale(&set, &identity, &header, &topics.data_version) {
            self.forget(&identity);
            return Ok(self.registered(None));
        }
        set.enable_acting_master = header.enable_acting_master.unwrap_or(false);
        set.zone_name = zone;
        let lowest_before = set.broker_addrs.keys().next().copied();
        // A slave that became master: an address has one id only.
        set.broker_addrs.retain(|id, address| *address != header.broker_addr || *id == header.broker_id);
        if !set.broker_addrs.contains_key(&header.broker_id) && topics.topic_config_table.len() == 1 {
            warn!(
                broker = header.broker_name,
                id = header.broker_id,
                "a single topic of a broker that is not registered"
            );
            return Err(NamesrvError::NotRegistered);
        }
        if !self.live.contains_key(&identity) && self.live.len() >= BROKERS_MAX {
            return Err(NamesrvError::Full("brokers"));
        }
        let first = set.broker_addrs.insert(header.broker_id, header.broker_addr.clone()).is_none();
        let lowest = set.broker_addrs.keys().next().copied();
        let set = Arc::new(set);
        self.publish_set(&brokers, &set, &identity, filter_servers);

        // Slaves of a 5.x broker register topics when no lower id is there; those of an older one never.
        let is_master = header.broker_id == MASTER_ID;
        let is_prime_slave = header.enable_acting_master.is_some() && !is_master && lowest == Some(header.broker_id);
        let data_version = topics.data_version.clone();
        if is_master || is_prime_slave {
            let changed = first || self.live.get(&identity).is_none_or(|live| live.version != data_version);
            let read_only = is_prime_slave && set.enable_acting_master;
            self.register_topics(&header.broker_name, topics, changed, read_only);
        }
        self.note_live(identity, &header, data_version, channel);
        if lowest_before.is_some_and(|before| header.broker_id < before) {
            self.notify(&set, None, Some(header.ha_server_addr));
        }
        Ok(self.registered((!is_master).then_some(&set)))
    }

    /// Whether another process has the id of the one that registers, and newer state.
    fn is_stale(
        &self,
        set: &BrokerData,
        identity: &Identity,
        header: &RegisterBrokerRequestHeader,
        version: &DataVersion,
    ) -> bool {
        let Some(holder) = set.broker_addrs.get(&header.broker_id).filter(|address| **address != identity.address)
        else {
            return false;
        };
        let holder = Identity { cluster: identity.cluster.clone(), address: holder.clone() };
        let stale = self.live.get(&holder).is_some_and(|live| live.version.state_version > version.state_version);
        if stale {
            warn!(
                broker = header.broker_name,
                id = header.broker_id,
                holder = holder.address,
                address = identity.address,
                "ignored the registration of a broker with older state"
            );
        }
        stale
    }

    /// Shows a set as it is now, with the filter servers of the broker that registers (`None`: as before).
    fn publish_set(
        &self,
        brokers: &Arc<Brokers>,
        set: &Arc<BrokerData>,
        identity: &Identity,
        filter_servers: Option<Vec<String>>,
    ) {
        let filter_key = (identity.cluster.clone(), identity.address.clone());
        let same_filters = match &filter_servers {
            Some(servers) if !servers.is_empty() => brokers.filter_servers.get(&filter_key) == Some(servers),
            Some(_) => !brokers.filter_servers.contains_key(&filter_key),
            None => true,
        };
        let in_cluster = brokers.clusters.get(&identity.cluster).is_some_and(|names| names.contains(&set.broker_name));
        if same_filters && in_cluster && brokers.sets.get(&set.broker_name) == Some(set) {
            return;
        }
        self.publish(brokers, |next| {
            next.sets.insert(set.broker_name.clone(), set.clone());
            next.clusters.entry(identity.cluster.clone()).or_default().insert(set.broker_name.clone());
            match filter_servers {
                Some(servers) if !servers.is_empty() => drop(next.filter_servers.insert(filter_key, servers)),
                Some(_) => drop(next.filter_servers.remove(&filter_key)),
                None => {}
            }
        });
    }

    fn publish(&self, brokers: &Brokers, change: impl FnOnce(&mut Brokers)) {
        let mut next = brokers.clone();
        next.generation += 1;
        change(&mut next);
        self.context.brokers.store(Arc::new(next));
    }

    /// Takes over the topics of a registration. Unless `changed`, only those that are not known yet.
    fn register_topics(
        &mut self,
        broker: &str,
        topics: TopicConfigAndMappingSerializeWrapper,
        changed: bool,
        read_only: bool,
    ) {
        let delete_missing = self.context.config.load().namesrv.delete_topic_with_broker_registration;
        if delete_missing && topics.topic_queue_mapping_info_map.is_empty() {
            self.delete_missing(broker, &topics.topic_config_table);
        }
        let name: Arc<str> = broker.into();
        let mut added = 0;
        for (key, topic) in &topics.topic_config_table {
            let topic_name = if topic.topic_name.is_empty() { key } else { &topic.topic_name };
            if !changed && self.context.topics.has(topic_name, broker) {
                continue;
            }
            let perm = if read_only { topic.perm & !PERM_WRITE } else { topic.perm };
            let queues = Queues {
                broker: name.clone(),
                read: topic.read_queue_nums,
                write: topic.write_queue_nums,
                perm,
                sys_flag: topic.topic_sys_flag,
            };
            match self.put(topic_name, queues) {
                Ok(new) => added += usize::from(new),
                Err(error) => {
                    warn!(broker, %error, "topics of a registration left out");
                    break;
                }
            }
        }
        if changed {
            for (topic, info) in topics.topic_queue_mapping_info_map {
                self.context.topics.set_mapping(&topic, info);
            }
        }
        if added > 0 {
            info!(broker, added, of = topics.topic_config_table.len(), "topics registered");
        }
    }

    fn delete_missing(&mut self, broker: &str, present: &BTreeMap<String, TopicConfig>) {
        let Some(known) = self.topics_of.get_mut(broker) else { return };
        for topic in known.extract_if(|topic| !present.contains_key(&**topic)) {
            info!(broker, %topic, "topic deleted: the broker registered without it");
            self.context.topics.remove_from(&topic, broker);
        }
    }

    /// Sets the queues of a topic on a broker; true when it had none there.
    fn put(&mut self, topic: &str, queues: Queues) -> Result<bool, NamesrvError> {
        let broker = queues.broker.clone();
        let added = self.context.topics.put(topic, queues)?;
        let new = added.is_some();
        if let Some(name) = added {
            debug!(%broker, topic, "new topic");
            match self.topics_of.get_mut(&*broker) {
                Some(topics) => drop(topics.insert(name)),
                None => drop(self.topics_of.insert(broker.to_string(), [name].into())),
            }
        }
        Ok(new)
    }

    fn note_live(
        &mut self,
        identity: Identity,
        header: &RegisterBrokerRequestHeader,
        version: DataVersion,
        channel: Channel,
    ) {
        let timeout = match header.heartbeat_timeout_millis {
            Some(millis) => Duration::from_millis(u64::try_from(millis).unwrap_or(0)),
            None => DEFAULT_TIMEOUT,
        };
        let known = self.forget(&identity);
        if known.is_none() {
            info!(
                broker = header.broker_name,
                id = header.broker_id,
                cluster = identity.cluster,
                address = identity.address,
                ha = header.ha_server_addr,
                "broker registered"
            );
        }
        self.by_channel.entry(channel.id()).or_default().insert(identity.clone());
        let live = LiveBroker {
            name: header.broker_name.clone(),
            id: header.broker_id,
            heard: Instant::now(),
            timeout,
            version,
            channel,
            ha_address: header.ha_server_addr.clone(),
        };
        self.live.insert(identity, live);
    }

    /// Removes what is known of a process, but not its queues and addresses.
    fn forget(&mut self, identity: &Identity) -> Option<LiveBroker> {
        let live = self.live.remove(identity)?;
        if let Some(on_channel) = self.by_channel.get_mut(&live.channel.id()) {
            on_channel.remove(identity);
            if on_channel.is_empty() {
                self.by_channel.remove(&live.channel.id());
            }
        }
        Some(live)
    }

    /// The answer to a registration; a slave gets its master, where that is there.
    fn registered(&self, slave_of: Option<&BrokerData>) -> RemotingCommand {
        let master = slave_of.and_then(|set| {
            let address = set.broker_addrs.get(&MASTER_ID)?.clone();
            let live = self.live.get(&Identity { cluster: set.cluster.clone(), address: address.clone() })?;
            Some((live.ha_address.clone(), address))
        });
        let (ha_server_addr, master_addr) = master.unzip();
        let answer =
            RemotingCommand::success().with_header(&RegisterBrokerResponseHeader { ha_server_addr, master_addr });
        let wanted = self.context.config.load().namesrv.return_order_topic_config_to_broker;
        match self.context.kv.list(ORDER_TOPIC_CONFIG).filter(|_| wanted) {
            Some(order) => answer.with_body(order),
            None => answer,
        }
    }

    fn unregister(&mut self, identity: &Identity, name: &str, id: i64) {
        self.forget(identity);
        let brokers = self.context.brokers.load_full();
        let filter_key = (identity.cluster.clone(), identity.address.clone());
        let Some(known) = brokers.sets.get(name) else {
            if brokers.filter_servers.contains_key(&filter_key) {
                self.publish(&brokers, |next| drop(next.filter_servers.remove(&filter_key)));
            }
            return;
        };
        let was_lowest = known.broker_addrs.keys().next() == Some(&id);
        let mut set = BrokerData::clone(known);
        set.broker_addrs.retain(|_, address| *address != identity.address);
        if set.broker_addrs.len() == known.broker_addrs.len() {
            return;
        }
        let gone = set.broker_addrs.is_empty();
        let set = Arc::new(set);
        self.publish(&brokers, |next| {
            next.filter_servers.remove(&filter_key);
            if !gone {
                next.sets.insert(name.to_owned(), set.clone());
                return;
            }
            next.sets.remove(name);
            for cluster in [&identity.cluster, &set.cluster] {
                if let Some(names) = next.clusters.get_mut(cluster) {
                    names.remove(name);
                    if names.is_empty() {
                        next.clusters.remove(cluster);
                    }
                }
            }
        });
        if gone {
            let topics = self.topics_of.remove(name).unwrap_or_default();
            for topic in &topics {
                self.context.topics.remove_from(topic, name);
            }
            info!(
                broker = name,
                topics = topics.len(),
                left = self.context.topics.len(),
                "the last of a broker set left"
            );
            return;
        }
        if set.enable_acting_master && lacks_master(&set) {
            self.change_perm(name, |perm| perm & !PERM_WRITE);
        }
        if was_lowest && set.enable_acting_master {
            self.notify(&set, Some(identity.address.clone()), None);
        }
    }

    fn notify(&self, set: &BrokerData, offline: Option<String>, ha_address: Option<String>) {
        if self.context.config.load().namesrv.notify_min_broker_id_changed {
            self.notifier.notify(MinBrokerChange { addresses: set.broker_addrs.clone(), offline, ha_address });
        }
    }

    /// A broker left without a word.
    fn gone(&mut self, identity: &Identity, why: &'static str) {
        let Some(live) = self.live.get(identity) else { return };
        let (name, id) = (live.name.clone(), live.id);
        warn!(broker = name, id, address = identity.address, why, "broker gone");
        self.unregister(identity, &name, id);
    }

    fn scan(&mut self) {
        let silent = |live: &LiveBroker| live.heard.elapsed() > live.timeout;
        let expired: Vec<_> = self.live.iter().filter(|(_, live)| silent(live)).map(|(id, _)| id.clone()).collect();
        for identity in expired {
            if let Some(live) = self.live.get(&identity) {
                live.channel.close();
            }
            self.gone(&identity, "it fell silent");
        }
    }

    fn heard(&mut self, cluster: String, address: String) {
        if let Some(live) = self.live.get_mut(&Identity { cluster, address }) {
            live.heard = Instant::now();
        }
    }

    fn query_version(
        &mut self,
        header: QueryDataVersionRequestHeader,
        body: &[u8],
    ) -> Result<RemotingCommand, NamesrvError> {
        let asked = DataVersion::decode(body)?;
        let identity = Identity { cluster: header.cluster_name, address: header.broker_addr };
        let Some(live) = self.live.get_mut(&identity) else {
            let header = QueryDataVersionResponseHeader { changed: true };
            return Ok(RemotingCommand::success().with_header(&header));
        };
        live.heard = Instant::now();
        let header = QueryDataVersionResponseHeader { changed: live.version != asked };
        Ok(RemotingCommand::success().with_header(&header).with_body(live.version.encode()))
    }

    /// Changes the permission of all topics of a broker; returns how many there are.
    fn change_perm(&self, broker: &str, change: impl Fn(i32) -> i32) -> i32 {
        let Some(topics) = self.topics_of.get(broker) else { return 0 };
        topics.iter().for_each(|topic| self.context.topics.set_perm(topic, broker, &change));
        i32::try_from(topics.len()).unwrap_or(i32::MAX)
    }

    fn register_topic(&mut self, topic: &str, body: &[u8]) -> Result<(), NamesrvError> {
        if body.is_empty() {
            return Ok(());
        }
        let route = TopicRouteData::decode(body)?;
        let brokers = self.context.brokers.load_full();
        for queues in &route.queue_datas {
            if !brokers.sets.contains_key(&queues.broker_name) {
                return Err(NamesrvError::UnknownBroker(queues.broker_name.clone()));
            }
        }
        for queues in route.queue_datas {
            self.put(
                topic,
                Queues {
                    broker: queues.broker_name.into(),
                    read: queues.read_queue_nums,
                    write: queues.write_queue_nums,
                    perm: queues.perm,
                    sys_flag: queues.topic_sys_flag,
                },
            )?;
        }
        Ok(())
    }

    fn delete_topic(&mut self, topic: &str, cluster: Option<String>) {
        let removed: Vec<Arc<str>> = match cluster.filter(|cluster| !cluster.is_empty()) {
            None => self.context.topics.remove(topic),
            Some(cluster) => {
                let brokers = self.context.brokers.load();
                let names = brokers.clusters.get(&cluster).into_iter().flatten();
                names
                    .filter(|name| self.context.topics.remove_from(topic, name))
                    .map(|name| name.as_str().into())
                    .collect()
            }
        };
        for broker in &removed {
            if let Some(topics) = self.topics_of.get_mut(&**broker) {
                topics.remove(topic);
            }
        }
        info!(topic, brokers = ?removed, "topic deleted");
    }
}

/// CRC-32 as Java has it: without the sign bit.
fn checksum(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7FFF_FFFF) as i32
}

/// Topics of a registration, and its filter servers where its form has them.
fn decode_registration(
    version: i32,
    body: &[u8],
) -> Result<(TopicConfigAndMappingSerializeWrapper, Option<Vec<String>>), NamesrvError> {
    if body.is_empty() {
        let data_version = DataVersion { counter: 0, state_version: 0, timestamp: 0 };
        let topics = TopicConfigAndMappingSerializeWrapper { data_version, ..Default::default() };
        return Ok((topics, (version >= VERSION_REGISTER_BODY).then(Vec::new)));
    }
    if version >= VERSION_REGISTER_BODY {
        let body = RegisterBrokerBody::decode_any(body)?;
        return Ok((body.topic_config_serialize_wrapper, Some(body.filter_server_list)));
    }
    let TopicConfigSerializeWrapper { data_version, topic_config_table } = TopicConfigSerializeWrapper::decode(body)?;
    Ok((TopicConfigAndMappingSerializeWrapper { data_version, topic_config_table, ..Default::default() }, None))
}
