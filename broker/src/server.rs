//! A broker that serves: its ports, its periodic work, its start and end.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use hypergol_config::Live;
use hypergol_remoting::{IoThreads, Limits, Server, ServerTls};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::config::BrokerSettings;
use crate::context::{Broker, DELAY_OFFSET_FILE, now_ms};
use crate::dispatch::{Dispatcher, Port};
use crate::error::BrokerError;
use crate::pop::QueueKey;
use crate::{clients, lite, namesrv_client, runtime_info, schedule, static_topic};

/// Period of a sample of the statistics. Java: 10 s.
const STATS_PERIOD: Duration = Duration::from_secs(10);
/// How long open connections may take to end.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(2);
/// How long the start waits for the name servers' first answers.
const FIRST_REGISTRATION_MAX: Duration = Duration::from_secs(3);

/// Threads for reads that wait for the disk and for writing small files.
pub const BLOCKING_THREADS_MAX: usize = 16;

/// A broker with open ports. It ends by [`BrokerServer::shutdown`]; dropping it leaves the store's `abort` file behind,
/// as a crash does.
pub struct BrokerServer {
    broker: Arc<Broker>,
    ports: Vec<Server>,
    tasks: JoinSet<()>,
    /// The name servers may know the broker.
    registered: bool,
}

impl BrokerServer {
    /// Opens store and ports and registers with the name servers. Must be called within a tokio runtime; connections
    /// live on `threads`.
    ///
    /// # Errors
    /// [`BrokerError`]; nothing is left running.
    pub async fn start(settings: Arc<Live<BrokerSettings>>, threads: IoThreads) -> Result<Self, BrokerError> {
        let tls = ServerTls::new(&settings.load().tls)?;
        let opening = settings.clone();
        // Recovery reads files; other work of the process goes on meanwhile.
        let broker = tokio::task::spawn_blocking(move || Broker::open(opening))
            .await
            .map_err(|error| BrokerError::Internal(error.to_string()))??;
        let mut server = Self { broker: broker.clone(), ports: Vec::new(), tasks: JoinSet::new(), registered: false };
        if let Err(error) = server.listen(&threads, &tls) {
            server.shutdown().await;
            return Err(error);
        }
        server.tasks.spawn(tls.follow_files());
        if let Some(tls) = broker.client.tls() {
            server.tasks.spawn(tls.follow_files());
        }
        server.start_periodic_work()?;
        let (first, mut registered) = watch::channel(false);
        server.registered = true;
        server.tasks.spawn(namesrv_client::keep_registered(broker, first));
        let _ = tokio::time::timeout(FIRST_REGISTRATION_MAX, registered.wait_for(|done| *done)).await;
        Ok(server)
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// What is said once the broker serves; scripts wait for it. Java: `BrokerStartup`.
    pub fn boot_line(&self) -> String {
        let config = self.broker.config();
        let mut line =
            format!("The broker[{}, {}] boot success. serializeType=JSON", config.broker.broker_name, config.address());
        if let Some(addresses) = &config.broker.namesrv_addr {
            line.push_str(&format!(" and name server is {addresses}"));
        }
        line
    }

    fn listen(&mut self, threads: &IoThreads, tls: &Arc<ServerTls>) -> Result<(), BrokerError> {
        let config = self.broker.config();
        let idle = u64::try_from(config.server.server_channel_max_idle_time_seconds).unwrap_or_default().max(1);
        let limits = Limits { idle_max: Duration::from_secs(idle) };
        let ports = [(Some(config.port()), Port::Main), (config.fast_port(), Port::Fast)];
        for (port, kind) in ports {
            let Some(port) = port else { continue };
            let handler = Arc::new(Dispatcher::new(self.broker.clone(), kind));
            let bound = bind_address(&config.server.bind_address, port)
                .and_then(|address| Server::bind_with(threads.clone(), address, handler, limits.clone(), tls.clone()));
            self.ports.push(bound.map_err(|error| BrokerError::Listen { port, error })?);
        }
        Ok(())
    }

    fn start_periodic_work(&mut self) -> Result<(), BrokerError> {
        let broker = &self.broker;
        let held = broker.held_pulls.clone();
        self.tasks.spawn(async move { held.expire().await });
        for held in [broker.pop.held.clone(), broker.pop.notifications.clone(), broker.lite.held.clone()] {
            self.tasks.spawn(async move { held.expire().await });
        }
        let popping = broker.clone();
        self.tasks.spawn(async move { watch_orders(&popping).await });
        self.tasks.spawn(clients::watch(broker.clone()));
        let mapped = broker.clone();
        self.tasks.spawn(async move { static_topic::clean::run(&mapped).await });
        self.tasks.spawn(clients::tell_late(broker.clone()));
        let stats = broker.clone();
        self.tasks.spawn(every(move |_| STATS_PERIOD, broker.clone(), move || stats.stats.sample(now_ms())));
        let totals = broker.clone();
        self.tasks.spawn(every(
            |_| runtime_info::until_midnight(),
            broker.clone(),
            move || {
                let stats = &totals.stats;
                totals
                    .admin
                    .day_totals
                    .begin_day(stats.put_total_without_system_topics(), stats.get_total_without_system_topics());
            },
        ));
        let offsets = broker.clone();
        self.tasks.spawn(every(
            |config| Duration::from_millis(u64::try_from(config.broker.flush_consumer_offset_interval).unwrap_or(5000)),
            broker.clone(),
            move || {
                persist_offsets(&offsets);
                offsets.filters.clean(offsets.config().broker.filter_data_clean_time_span, now_ms());
            },
        ));
        broker.pop.start(broker).map_err(|error| BrokerError::Internal(error.to_string()))?;
        self.start_schedule()?;
        self.start_timers()?;
        self.start_lite();
        self.start_transactions()
    }

    fn start_lite(&mut self) {
        let period = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or_default());
        let (broker, scanning, expiring) = (&self.broker, self.broker.clone(), self.broker.clone());
        self.tasks.spawn(every(
            move |config| period(config.broker.lite_event_check_interval),
            broker.clone(),
            move || scanning.lite.scan(&scanning),
        ));
        self.tasks.spawn(every(
            move |config| period(config.broker.lite_subscription_check_interval),
            broker.clone(),
            move || expiring.lite.expire_clients(),
        ));
        self.tasks.spawn(lite::lifecycle::watch(broker.clone()));
        let popping = broker.clone();
        self.tasks.spawn(async move {
            let free = |key: &QueueKey| {
                if popping.config().broker.enable_notify_after_pop_order_lock_release {
                    popping.lite.available(&key.group, &key.topic, None);
                }
            };
            popping.lite.orders.watch(free).await;
        });
    }

    fn start_timers(&self) -> Result<(), BrokerError> {
        let Some(timers) = &self.broker.timers else { return Ok(()) };
        let broker = Arc::downgrade(&self.broker);
        timers
            .start(Box::new(move |delivered| {
                if let Some(broker) = broker.upgrade() {
                    let bytes = i64::from(delivered.appended.size);
                    let system = broker.topics.is_system(delivered.topic);
                    broker.stats.put(delivered.topic, delivered.queue_id, 1, bytes, 0, system);
                }
            }))
            .map_err(|error| BrokerError::Internal(error.to_string()))
    }

    fn start_schedule(&mut self) -> Result<(), BrokerError> {
        let broker = self.broker.clone();
        let counted = broker.clone();
        broker
            .schedule
            .start(broker.store.clone(), Box::new(move |delivered| schedule::count_delivery(&counted, delivered)))
            .map_err(|error| BrokerError::Internal(error.to_string()))?;
        let writing = broker.clone();
        self.tasks.spawn(every(
            |config| Duration::from_millis(u64::try_from(config.store.flush_delay_offset_interval).unwrap_or(10_000)),
            broker,
            move || write_delay_offsets(&writing),
        ));
        Ok(())
    }

    fn start_transactions(&mut self) -> Result<(), BrokerError> {
        let broker = &self.broker;
        broker.transactions.start(broker).map_err(|error| BrokerError::Internal(error.to_string()))?;
        let writing = broker.clone();
        self.tasks.spawn(every(
            |config| {
                Duration::from_millis(u64::try_from(config.broker.transaction_metric_flush_interval).unwrap_or(10_000))
            },
            broker.clone(),
            move || writing.transactions.metrics.persist(),
        ));
        Ok(())
    }

    /// Stops accepting, answers what waits, says farewell to the name servers, writes everything and closes the store.
    pub async fn shutdown(mut self) {
        info!("shutting down");
        // No registration may come after the farewell.
        self.tasks.abort_all();
        if self.registered {
            namesrv_client::unregister(&self.broker).await;
        }
        self.broker.held_pulls.close();
        self.broker.pop.held.close();
        self.broker.pop.notifications.close();
        self.broker.lite.held.close();
        for port in &self.ports {
            port.shutdown(CONNECTIONS_GRACE).await;
        }
        self.broker.client.shutdown();
        let broker = self.broker.clone();
        let closed = tokio::task::spawn_blocking(move || {
            broker.pop.stop(&broker);
            broker.transactions.stop();
            broker.transactions.metrics.persist();
            if let Some(timers) = &broker.timers {
                timers.stop();
            }
            broker.schedule.stop();
            write_delay_offsets(&broker);
            persist_offsets(&broker);
            broker.config_writer.shutdown();
            broker.store.shutdown();
        });
        if let Err(error) = closed.await {
            error!(%error, "the store may not have been closed");
        }
        info!("shut down");
    }
}

/// Wakes who waits for a queue that is popped in order, when its messages become visible again.
async fn watch_orders(broker: &Broker) {
    let free = |key: &QueueKey| {
        if broker.config().broker.enable_notify_after_pop_order_lock_release {
            broker.pop.wake_if_any(broker, key);
        }
    };
    broker.pop.orders.watch(free).await;
}

fn persist_offsets(broker: &Broker) {
    broker.offsets.persist();
    broker.pop.orders.persist(|key| {
        let has_queue = broker.topics.get(&key.topic).is_some_and(|topic| key.queue_id < topic.read_queue_nums);
        has_queue && broker.groups.get(&key.group).is_some()
    });
    broker.lite.orders.persist(|key| broker.store.has_queue(&key.topic, 0) && broker.groups.get(&key.group).is_some());
}

fn write_delay_offsets(broker: &Broker) {
    let Some(file) = broker.schedule.to_write() else { return };
    let path = broker.config().config_folder().join(DELAY_OFFSET_FILE);
    match hypergol_config::files::replace(&path, &file, true) {
        Ok(()) => broker.schedule.wrote(file),
        Err(error) => error!(%error, "cannot write the progress of delayed messages"),
    }
}

/// Does `work` again and again; the pause follows the configuration. The work may write a small file.
async fn every(
    period: impl Fn(&BrokerSettings) -> Duration + Send,
    broker: Arc<Broker>,
    work: impl Fn() + Send + Sync + 'static,
) {
    let work = Arc::new(work);
    loop {
        let pause = period(&broker.config()).max(Duration::from_millis(100));
        tokio::time::sleep(pause).await;
        let work = work.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || work()).await {
            error!(%error, "periodic work failed");
        }
    }
}

/// `0.0.0.0` means every address of both families, as Java's dual-stack socket; where there is no IPv6, IPv4 only.
fn bind_address(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    if host == "0.0.0.0" && std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        return Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
    }
    (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::AddrNotAvailable, format!("{host} does not resolve")))
}
