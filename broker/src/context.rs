//! The broker's state, shared by all handlers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hypergol_config::Live;
use hypergol_remoting::client::NoRequests;
use hypergol_remoting::protocol::body::offset::DelayOffsetSerializeWrapper;
use hypergol_remoting::{Client, ClientTls, Limits};
use hypergol_store::{Arrival, MessageStore, QueueKind, StoreHooks};

use crate::admin_state::AdminState;
use crate::clients::LateNotices;
use crate::config::{self, BrokerSettings};
use crate::consumers::Consumers;
use crate::error::BrokerError;
use crate::filter::{self, registry::Filters};
use crate::groups::Groups;
use crate::held_requests::HeldPulls;
use crate::lite::{self, Lite};
use crate::names::TIMER_TOPIC;
use crate::offsets::Offsets;
use crate::peers::Peers;
use crate::persist::{self, ConfigWriter};
use crate::pop::Pop;
use crate::pop::held::HeldPops;
use crate::producers::Producers;
use crate::queue_locks::QueueLocks;
use crate::request_modes::RequestModes;
use crate::schedule::levels::{DelayLevels, SCHEDULE_TOPIC};
use crate::schedule::progress::Progress;
use crate::schedule::service::Schedule;
use crate::static_topic::StaticTopics;
use crate::stats::BrokerStats;
use crate::timer::metrics::{METRICS_FILE, TimerMetrics};
use crate::timer::{TimerWake, Timers};
use crate::topic_routes::TopicRoutes;
use crate::topics::{self, Topics};
use crate::transaction::Transactions;
use crate::transaction::metrics::TransactionMetrics;
use crate::unique_key::UniqueKeys;

/// A broker. Handlers get it as `&Arc<Broker>`; all of it may be used from any thread.
pub struct Broker {
    /// The configuration; changes at run time.
    pub settings: Arc<Live<BrokerSettings>>,
    /// Address that clients reach this broker at; part of every message id.
    pub store_host: SocketAddr,
    /// The message store.
    pub store: Arc<MessageStore>,
    /// Delivers delayed messages.
    pub schedule: Arc<Schedule>,
    /// Delivers messages with a delivery time of their own; `None` where `timerWheelEnable` is false.
    pub timers: Option<Arc<Timers>>,
    /// Transactions: what is pending, and the threads that look after it.
    pub transactions: Arc<Transactions>,
    /// Topics.
    pub topics: Arc<Topics>,
    /// Mappings of static topics' queues.
    pub static_topics: StaticTopics,
    /// Consumer groups' settings.
    pub groups: Arc<Groups>,
    /// Consumer groups' positions.
    pub offsets: Offsets,
    /// Filters that consumer groups have registered.
    pub filters: Arc<Filters>,
    /// Connected producers.
    pub producers: Producers,
    /// Connected consumers.
    pub consumers: Consumers,
    /// Groups whose members are to be told of each other later.
    pub late_notices: LateNotices,
    /// Locks of queues, held by consumers that keep order.
    pub queue_locks: QueueLocks,
    /// Whether groups pull or pop.
    pub request_modes: RequestModes,
    /// Queues of topics in the whole cluster.
    pub topic_routes: TopicRoutes,
    /// Pulls that wait for a message.
    pub held_pulls: Arc<HeldPulls>,
    /// Consumption by popping.
    pub pop: Pop,
    /// Lite topics.
    pub lite: Arc<Lite>,
    /// Statistics of topics and groups.
    pub stats: BrokerStats,
    /// What only administration asks for.
    pub admin: AdminState,
    /// Makes unique keys for messages that have none.
    pub unique_keys: UniqueKeys,
    /// Connections to name servers and other brokers.
    pub client: Client,
    /// Other brokers, by name.
    pub peers: Peers,
    /// Writes the files of `config/`.
    pub config_writer: Arc<ConfigWriter>,
    /// When the broker was opened, milliseconds since 1970.
    pub started_ms: i64,
}

/// How far the delivery of delayed messages has got.
pub const DELAY_OFFSET_FILE: &str = "delayOffset.json";

impl Broker {
    /// Loads the broker's files and opens the store. Nothing is served before the ports are opened.
    ///
    /// # Errors
    /// [`BrokerError`]; nothing is left running.
    pub fn open(settings: Arc<Live<BrokerSettings>>) -> Result<Arc<Self>, BrokerError> {
        let current = settings.load();
        config::check(&current)?;
        config::warn_of_ineffective(&current, |_| true);
        let tls = current.client.use_tls.then(|| ClientTls::new(&current.tls)).transpose()?;
        let held_pulls = Arc::new(HeldPulls::default());
        // Of notifications Java wakes the newest first.
        let held_pops = [Arc::new(HeldPops::new(false)), Arc::new(HeldPops::new(true))];
        let folder = current.config_folder();
        let progress = persist::load::<DelayOffsetSerializeWrapper>(&folder, DELAY_OFFSET_FILE)?;
        let progress = progress.map(Progress::from).unwrap_or_default();
        let schedule = Arc::new(Schedule::new(current.delay_levels()?, progress));
        let config_writer = ConfigWriter::start(folder.clone());
        let transactions = Arc::new(Transactions::new(TransactionMetrics::load(&folder, &config_writer)));
        // The store asks for the kinds of queues while it recovers.
        let topics = Arc::new(Topics::load(&current, &folder, &config_writer)?);
        let filters = Arc::new(Filters::load(&folder, &config_writer, current.bloom_filter()?, now_ms())?);
        let groups = Arc::new(Groups::load(&folder, &config_writer, current.store.enable_lmq)?);
        let lite = Arc::new(Lite::new(settings.clone(), groups.clone(), Arc::new(HeldPops::new(false))));
        let timer_wake = Arc::new(TimerWake::default());
        let hooks = Arc::new(Hooks {
            settings: settings.clone(),
            filters: filters.clone(),
            held_pulls: held_pulls.clone(),
            held_pops: held_pops.clone(),
            schedule: schedule.clone(),
            timer_wake: timer_wake.clone(),
            topics: topics.clone(),
            lite: current.store.enable_lmq.then(|| lite.clone()),
        });
        // The store's lock on its folder also guards the files of `config/`: nothing is written there before.
        let store = MessageStore::open(current.store_config(), hooks)?;
        let ip = current.broker.broker_ip1.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let store_host = SocketAddr::new(ip, current.port());
        let load = || -> Result<_, BrokerError> {
            let timers = match current.store.timer_wheel_enable {
                true => {
                    let metrics = TimerMetrics::new(persist::load(&folder, METRICS_FILE)?);
                    let (settings, store) = (settings.clone(), store.clone());
                    Some(Arc::new(Timers::open(settings, store, timer_wake, metrics, &config_writer)?))
                }
                false => None,
            };
            Ok((
                timers,
                StaticTopics::load(&folder, &config_writer)?,
                Offsets::load(&folder, &config_writer, current.store.enable_lmq)?,
                RequestModes::load(&folder, &config_writer)?,
                Pop::load(&current, &folder, &config_writer, store.clone(), store_host, held_pops)?,
            ))
        };
        let (timers, static_topics, offsets, request_modes, pop) = load().inspect_err(|_| store.shutdown())?;
        let broker = Arc::new(Self {
            store_host,
            store,
            schedule,
            timers,
            transactions,
            topics,
            static_topics,
            groups,
            offsets,
            filters,
            producers: Producers::default(),
            consumers: Consumers::default(),
            late_notices: LateNotices::default(),
            queue_locks: QueueLocks::default(),
            request_modes,
            topic_routes: TopicRoutes::default(),
            held_pulls,
            pop,
            lite,
            stats: BrokerStats::new(
                &current.broker.broker_cluster_name,
                current.broker.enable_detail_stat,
                current.store.enable_lmq && !current.broker.enable_lmq_stats,
            ),
            admin: AdminState::default(),
            unique_keys: UniqueKeys::new(ip),
            client: Client::with_tls(Arc::new(NoRequests), Limits::default(), tls),
            peers: Peers::default(),
            config_writer,
            started_ms: now_ms(),
            settings: settings.clone(),
        });
        Ok(broker)
    }

    /// The delay levels.
    pub fn delay_levels(&self) -> &DelayLevels {
        self.schedule.levels()
    }

    /// Whether the timer wheel may still hold messages that are due.
    pub fn timers_behind(&self) -> bool {
        self.timers.as_ref().is_some_and(|timers| timers.are_behind())
    }

    /// The settings that count now.
    pub fn config(&self) -> arc_swap::Guard<Arc<BrokerSettings>> {
        self.settings.load()
    }
}

/// What the store tells the broker.
struct Hooks {
    settings: Arc<Live<BrokerSettings>>,
    filters: Arc<Filters>,
    held_pulls: Arc<HeldPulls>,
    /// Pops and notifications.
    held_pops: [Arc<HeldPops>; 2],
    schedule: Arc<Schedule>,
    timer_wake: Arc<TimerWake>,
    topics: Arc<Topics>,
    /// Only with `enableLmq`.
    lite: Option<Arc<Lite>>,
}

impl StoreHooks for Hooks {
    fn messages_arrived(&self, arrivals: &[Arrival<'_>]) {
        self.held_pulls.messages_arrived(arrivals);
        for held in self.held_pops.iter().filter(|held| !held.is_empty()) {
            let force = self.settings.load().broker.pop_long_polling_force_notify_interval;
            held.messages_arrived(arrivals, force);
        }
        let mut is_timed = false;
        for arrival in arrivals {
            match arrival.topic {
                SCHEDULE_TOPIC => self.schedule.arrived(arrival.queue_id),
                TIMER_TOPIC => is_timed = true,
                topic => {
                    if let Some(lite) = self.lite.as_ref().filter(|_| lite::names::is_lite(topic)) {
                        lite.arrived(topic);
                    }
                }
            }
        }
        if is_timed {
            self.timer_wake.arrived();
        }
    }

    fn deliver_time(&self, delay_level: i32, store_timestamp_ms: i64) -> i64 {
        self.schedule.levels().deliver_time(delay_level, store_timestamp_ms)
    }

    fn filter_bits(&self, topic: &str, properties: &[u8], bits: &mut Vec<u8>) {
        if self.settings.load().broker.enable_calc_filter_bit_map {
            filter::property::set_bits(&self.filters, topic, properties, bits);
        }
    }

    fn is_compacted(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|topic| topics::is_compacted(&topic))
    }

    fn queue_kind(&self, topic: &str) -> Option<QueueKind> {
        self.topics.get(topic).map(|topic| topics::queue_kind(&topic))
    }
}

/// Milliseconds since 1970; 0 for a clock before that.
pub fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
