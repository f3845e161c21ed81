//! Settings of the broker: every key of broker.conf.
//!
//! The keys are those of Java's BrokerConfig, MessageStoreConfig, NettyServerConfig, NettyClientConfig and AuthConfig.
//! All of them are read, shown and stored. What this broker cannot do is refused by [`check`] where running on would
//! lose data, open a door or surprise clients; otherwise it warns.

pub mod auth_keys;
pub mod broker_keys;
pub mod store_keys;

use std::path::PathBuf;
use std::time::Duration;

use hypergol_config::{
    ConfigError, NettyClientConfig, NettyServerConfig, Properties, Settings, Table, TlsConfig, UnknownKey, config_enum,
};
use hypergol_filter::{BloomError, BloomFilter};
use hypergol_store::StoreConfig;
use tracing::warn;

pub use auth_keys::AuthKeys;
pub use broker_keys::BrokerKeys;
pub use store_keys::StoreKeys;

use crate::error::BrokerError;
use crate::schedule::levels::DelayLevels;

/// Port of a broker without a configuration.
pub const DEFAULT_PORT: i32 = 10911;

/// Longest step of the timer wheel: what is a step late is not on time any more.
const TIMER_PRECISION_MAX_MS: i32 = 60_000;

config_enum! {
    /// Part of this broker in its set.
    pub enum BrokerRole {
        /// Takes messages; does not wait for slaves.
        AsyncMaster = "ASYNC_MASTER",
        /// Takes messages; waits until `inSyncReplicas` have them.
        SyncMaster = "SYNC_MASTER",
        /// Copies a master.
        Slave = "SLAVE",
    }
}

config_enum! {
    /// When a message counts as stored.
    pub enum FlushDiskType {
        /// In the page cache.
        Async = "ASYNC_FLUSH",
        /// On disk.
        Sync = "SYNC_FLUSH",
    }
}

config_enum! {
    /// How consumers that ask the broker for their queues get messages.
    pub enum MessageRequestMode {
        /// By pulling a queue of their own.
        Pull = "PULL",
        /// By popping from all queues.
        Pop = "POP",
    }
}

/// Light queues without `enableLmqQuota`. Java has no bound then; each takes about a kilobyte of memory and a sparse
/// file.
const LIGHT_QUEUES_MAX: usize = 1_000_000;

/// The whole configuration of a broker.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSettings {
    /// Java: BrokerConfig.
    pub broker: BrokerKeys,
    /// Java: NettyServerConfig.
    pub server: NettyServerConfig,
    /// Java: NettyClientConfig.
    pub client: NettyClientConfig,
    /// Java: MessageStoreConfig.
    pub store: StoreKeys,
    /// Java: AuthConfig.
    pub auth: AuthKeys,
    /// Java: TlsSystemConfig.
    pub tls: TlsConfig,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            broker: BrokerKeys::default(),
            server: NettyServerConfig { listen_port: DEFAULT_PORT, ..NettyServerConfig::default() },
            client: NettyClientConfig::default(),
            store: StoreKeys::default(),
            auth: AuthKeys::default(),
            tls: TlsConfig::default(),
        }
    }
}

impl Settings for BrokerSettings {
    fn tables(&self) -> Vec<&dyn Table> {
        vec![&self.broker, &self.server, &self.client, &self.store, &self.auth, &self.tls]
    }

    fn tables_mut(&mut self) -> Vec<&mut dyn Table> {
        vec![&mut self.broker, &mut self.server, &mut self.client, &mut self.store, &mut self.auth, &mut self.tls]
    }

    /// Java registers the keys of access control and TLS with no configuration request.
    fn shown_tables(&self) -> Vec<&dyn Table> {
        vec![&self.broker, &self.server, &self.client, &self.store]
    }

    fn check(&self) -> Result<(), String> {
        check(self).map_err(|error| error.to_string())
    }
}

impl BrokerSettings {
    /// Takes the TLS keys from everywhere they may stand; to be called before the keys of `start_file` are applied.
    /// Returns the keys that have no effect where they stand.
    ///
    /// # Errors
    /// A value that its key cannot have, or a file that cannot be read.
    pub fn load_tls(&mut self, start_file: &Properties) -> Result<Vec<UnknownKey>, ConfigError> {
        let (tls, unknown) = TlsConfig::load(start_file)?;
        self.client.use_tls = tls.used_by_clients();
        self.tls = tls;
        Ok(unknown)
    }

    /// Port for everything.
    pub fn port(&self) -> u16 {
        u16::try_from(self.server.listen_port).unwrap_or_default()
    }

    /// Port without pulls and pops, `listenPort - 2`; `None` where there is no such port.
    pub fn fast_port(&self) -> Option<u16> {
        self.port().checked_sub(2).filter(|port| *port > 0)
    }

    /// `ip:port` that clients reach this broker at.
    pub fn address(&self) -> String {
        crate::network::join(&self.broker.broker_ip1, self.port())
    }

    /// `ip:port` that slaves would copy from. Registered, as clients of the name server expect it; not served yet.
    pub fn ha_address(&self) -> String {
        crate::network::join(&self.broker.broker_ip2, self.ha_port())
    }

    /// `haListenPort`, or the port after `listenPort` where it is not set.
    pub fn ha_port(&self) -> u16 {
        u16::try_from(self.store.ha_listen_port)
            .ok()
            .filter(|port| *port > 0)
            .unwrap_or_else(|| self.port().saturating_add(1))
    }

    /// Folder of the broker's own files.
    pub fn config_folder(&self) -> PathBuf {
        PathBuf::from(&self.store.store_path_root_dir).join("config")
    }

    /// The delay levels.
    ///
    /// # Errors
    /// [`BrokerError::Config`].
    pub fn delay_levels(&self) -> Result<DelayLevels, BrokerError> {
        DelayLevels::parse(&self.store.message_delay_level)
            .map_err(|error| refused("messageDelayLevel", error.to_string()))
    }

    /// The bloom filter that the filters of consumers have bits of.
    ///
    /// # Errors
    /// [`BrokerError::Config`].
    pub fn bloom_filter(&self) -> Result<BloomFilter, BrokerError> {
        let keys = &self.broker;
        BloomFilter::new(keys.max_error_rate_of_bloom_filter, keys.expect_consumer_num_use_filter).map_err(|error| {
            let key = match error {
                BloomError::ErrorRate => "maxErrorRateOfBloomFilter",
                BloomError::Size => "expectConsumerNumUseFilter",
            };
            refused(key, error.to_string())
        })
    }

    /// How many light queues there may be.
    pub fn light_queues_max(&self) -> usize {
        let keys = &self.store;
        match keys.enable_lmq_quota {
            true => usize::try_from(keys.max_lmq_consume_queue_num).unwrap_or_default(),
            false => LIGHT_QUEUES_MAX,
        }
    }

    /// The store's part of the settings.
    pub fn store_config(&self) -> StoreConfig {
        let keys = &self.store;
        let bytes = |n: i32| usize::try_from(n).unwrap_or_default();
        let percent = |n: i32| u32::try_from(n).unwrap_or_default();
        let count = |n: i32| u32::try_from(n).unwrap_or_default();
        let millis = |n: i64| Duration::from_millis(u64::try_from(n).unwrap_or_default());
        let defaults = StoreConfig::at(PathBuf::from(&keys.store_path_root_dir));
        StoreConfig {
            store_path_commit_log: keys.store_path_commit_log.clone(),
            mapped_file_size_commit_log: bytes(keys.mapped_file_size_commit_log),
            mapped_file_size_consume_queue: bytes(keys.mapped_file_size_consume_queue),
            mapper_file_size_batch_consume_queue: bytes(keys.mapper_file_size_batch_consume_queue),
            enable_consume_queue_ext: keys.enable_consume_queue_ext,
            mapped_file_size_consume_queue_ext: bytes(keys.mapped_file_size_consume_queue_ext),
            light_queues: keys.enable_lmq && keys.enable_multi_dispatch,
            light_queues_max: self.light_queues_max(),
            enable_compaction: keys.enable_compaction,
            compaction_mapped_file_size: bytes(keys.compaction_mapped_file_size),
            compaction_cq_mapped_file_size: bytes(keys.compaction_cq_mapped_file_size),
            compaction_schedule_internal: millis(keys.compaction_schedule_internal.into()),
            max_offset_map_size: bytes(keys.max_offset_map_size),
            compaction_thread_num: bytes(keys.compaction_thread_num),
            max_message_size: bytes(keys.max_message_size),
            flush_disk_type: match keys.flush_disk_type {
                FlushDiskType::Async => hypergol_store::FlushDiskType::AsyncFlush,
                FlushDiskType::Sync => hypergol_store::FlushDiskType::SyncFlush,
            },
            sync_flush_timeout: millis(keys.sync_flush_timeout.into()),
            flush_interval_commit_log: millis(keys.flush_interval_commit_log.into()),
            flush_commit_log_least_pages: bytes(keys.flush_commit_log_least_pages),
            flush_commit_log_thorough_interval: millis(keys.flush_commit_log_thorough_interval.into()),
            flush_interval_consume_queue: millis(keys.flush_interval_consume_queue.into()),
            flush_consume_queue_least_pages: bytes(keys.flush_consume_queue_least_pages),
            flush_consume_queue_thorough_interval: millis(keys.flush_consume_queue_thorough_interval.into()),
            clean_resource_interval: millis(keys.clean_resource_interval.into()),
            delete_commit_log_files_interval: millis(keys.delete_commit_log_files_interval.into()),
            delete_file_batch_max: bytes(keys.delete_file_batch_max),
            delete_when: keys.delete_when.clone(),
            file_reserved_time: Duration::from_secs(u64::from(count(keys.file_reserved_time)) * 3600),
            disk_max_used_space_ratio: percent(keys.disk_max_used_space_ratio),
            disk_space_clean_forcibly_ratio: percent(keys.disk_space_clean_forcibly_ratio),
            disk_space_warning_level_ratio: percent(keys.disk_space_warning_level_ratio),
            clean_file_forcibly_enable: keys.clean_file_forcibly_enable,
            max_transfer_bytes_on_message_in_memory: bytes(keys.max_transfer_bytes_on_message_in_memory),
            max_transfer_count_on_message_in_memory: bytes(keys.max_transfer_count_on_message_in_memory),
            max_transfer_bytes_on_message_in_disk: bytes(keys.max_transfer_bytes_on_message_in_disk),
            max_transfer_count_on_message_in_disk: bytes(keys.max_transfer_count_on_message_in_disk),
            access_message_in_memory_max_ratio: percent(keys.access_message_in_memory_max_ratio),
            max_filter_message_size: bytes(keys.max_filter_message_size),
            message_index_enable: keys.message_index_enable,
            max_hash_slot_num: count(keys.max_hash_slot_num),
            max_index_num: count(keys.max_index_num),
            max_msgs_num_batch: bytes(keys.max_msgs_num_batch),
            message_index_safe: keys.message_index_safe,
            check_crc_on_recover: keys.check_crc_on_recover,
            commit_log_recover_max_num: bytes(keys.commit_log_recover_max_num),
            ..defaults
        }
    }
}

fn refused(key: &str, reason: impl Into<String>) -> BrokerError {
    BrokerError::Config { key: key.to_owned(), reason: reason.into() }
}

/// Refuses what this broker cannot do.
///
/// # Errors
/// [`BrokerError::Config`] naming the first key.
pub fn check(settings: &BrokerSettings) -> Result<(), BrokerError> {
    let (broker, store, auth) = (&settings.broker, &settings.store, &settings.auth);
    let not_supported = [
        ("storeType", store.store_type != "default", "only the type default is supported"),
        ("enableDLegerCommitLog", store.enable_d_leger_commit_log, "DLedger is not supported"),
        ("enableControllerMode", broker.enable_controller_mode, "controller mode is not supported yet"),
        ("brokerRole", store.broker_role == BrokerRole::Slave, "replication is not supported yet, so no SLAVE"),
        (
            "inSyncReplicas",
            store.broker_role == BrokerRole::SyncMaster && store.in_sync_replicas > 1,
            "replication is not supported yet: nothing would ever confirm a message to this SYNC_MASTER",
        ),
        ("messageStorePlugIn", !broker.message_store_plug_in.is_empty(), "plug-ins are not supported"),
        (
            "readOnlyCommitLogStorePaths",
            store.read_only_commit_log_store_paths.as_ref().is_some_and(|paths| !paths.is_empty()),
            "a commit log spread over folders is not supported",
        ),
        ("timerRocksDBEnable", store.timer_rocks_db_enable, "RocksDB timers are not supported, the timer wheel is"),
        ("configManagerVersion", broker.config_manager_version != "v1", "settings are kept in files only, as by v1"),
        (
            "aclEnable",
            broker.acl_enable,
            "access control is not supported yet; running without it would open the broker",
        ),
        (
            "authenticationEnabled",
            auth.authentication_enabled,
            "access control is not supported yet; running without it would open the broker",
        ),
        (
            "authorizationEnabled",
            auth.authorization_enabled,
            "access control is not supported yet; running without it would open the broker",
        ),
    ];
    for (key, set, reason) in not_supported {
        if set {
            return Err(refused(key, reason));
        }
    }
    if store.store_path_commit_log.as_ref().is_some_and(|paths| paths.contains(',')) {
        return Err(refused(
            "storePathCommitLog",
            "a commit log spread over folders is not supported, name one folder",
        ));
    }
    for (key, name) in [("brokerName", &broker.broker_name), ("brokerClusterName", &broker.broker_cluster_name)] {
        let bad = |c: char| c.is_control() || c.is_whitespace() || c == '/' || c == '\\';
        if name.is_empty() || name.len() > 127 || name.contains(bad) {
            return Err(refused(key, "must have 1 to 127 bytes and no white space, `/` or `\\`"));
        }
    }
    if settings.port() == 0 {
        return Err(refused("listenPort", "must be within 1..=65535"));
    }
    if broker.broker_ip1.parse::<std::net::IpAddr>().is_err() {
        return Err(refused("brokerIP1", "must be an IP address: it is part of every message id"));
    }
    if let Some(bad) = name_server_addresses(settings).into_iter().find(|address| !is_host_and_port(address)) {
        return Err(refused("namesrvAddr", format!("{bad:?} is not like 127.0.0.1:9876; several are joined by `;`")));
    }
    if !(1..=TIMER_PRECISION_MAX_MS).contains(&store.timer_precision_ms) {
        return Err(refused("timerPrecisionMs", format!("must be within 1..={TIMER_PRECISION_MAX_MS}")));
    }
    settings.delay_levels()?;
    settings.bloom_filter()?;
    settings.store_config().check()?;
    Ok(())
}

/// Settles what follows from other keys, and checks. Java: `BrokerStartup.buildBrokerController`.
///
/// # Errors
/// [`BrokerError::Config`].
pub fn prepare(settings: &mut BrokerSettings) -> Result<(), BrokerError> {
    if settings.store.broker_role != BrokerRole::Slave {
        settings.broker.broker_id = 0;
    }
    settings.store.ha_listen_port = settings.ha_port().into();
    check(settings)?;
    let bits = settings.bloom_filter()?.bits();
    settings.store.bit_map_length_consume_queue_ext = i32::try_from(bits).unwrap_or(i32::MAX);
    Ok(())
}

/// Warns of keys that are set to what this broker does not do, where `told` lets it: at the start of all of them.
pub fn warn_of_ineffective(settings: &BrokerSettings, told: impl Fn(&str) -> bool) {
    let (broker, store) = (&settings.broker, &settings.store);
    let ineffective = [
        ("transientStorePoolEnable", store.transient_store_pool_enable),
        ("duplicationEnable", store.duplication_enable),
        ("enabledAppendPropCRC", store.enabled_append_prop_crc),
        ("forceVerifyPropCRC", store.force_verify_prop_crc),
        ("enableLmq", store.enable_lmq && !store.enable_multi_dispatch),
        ("enableMultiDispatch", store.enable_multi_dispatch && !store.enable_lmq),
        ("combineCQUseRocksdbForLmq", store.combine_cq_use_rocksdb_for_lmq),
        ("enableSlaveActingMaster", broker.enable_slave_acting_master),
        ("enableRemoteEscape", broker.enable_remote_escape),
        ("timerWheelSnapshotFlush", store.timer_wheel_snapshot_flush),
        ("timerInterceptDelayLevel", store.timer_intercept_delay_level),
        ("slaveReadEnable", broker.slave_read_enable),
        ("metricsExporterType", broker.metrics_exporter_type != "DISABLE" && broker.metrics_exporter_type != "0"),
        ("fetchNamesrvAddrByAddressServer", broker.fetch_namesrv_addr_by_address_server),
    ];
    for (key, set) in ineffective {
        if set && told(key) {
            warn!(key, "this key has no effect yet");
        }
    }
}

/// The addresses of `namesrvAddr`, which are separated by `;`.
pub fn name_server_addresses(settings: &BrokerSettings) -> Vec<String> {
    let text = settings.broker.namesrv_addr.as_deref().unwrap_or_default();
    text.split(';').map(str::trim).filter(|address| !address.is_empty()).map(str::to_owned).collect()
}

fn is_host_and_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "DEFAULT_BROKER".to_owned() } else { name }
}

fn processors() -> i32 {
    std::thread::available_parallelism().map_or(1, |n| i32::try_from(n.get()).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypergol_config::{Properties, settings};

    fn applied(text: &str) -> Result<BrokerSettings, String> {
        let mut broker = BrokerSettings::default();
        broker.broker.broker_name = "broker-a".into();
        let properties = Properties::parse("broker.conf", text.as_bytes()).map_err(|e| e.to_string())?;
        let unknown = settings::apply(&mut broker, &properties).map_err(|e| e.to_string())?;
        assert!(unknown.is_empty(), "{unknown:?}");
        Ok(broker)
    }

    #[test]
    fn a_usual_file_is_understood() {
        let settings = applied(
            "brokerClusterName=C\nbrokerName=b\nbrokerIP1=10.0.0.1\nlistenPort=20911\nflushDiskType=SYNC_FLUSH\n\
             mapedFileSizeCommitLog=1048576\nnamesrvAddr=a:9876; 10.0.0.2:9876;\nstorePathRootDir=/x\n",
        )
        .unwrap();
        assert_eq!((settings.address(), settings.fast_port()), ("10.0.0.1:20911".to_owned(), Some(20909)));
        assert_eq!(settings.ha_port(), 20912);
        assert_eq!(name_server_addresses(&settings), ["a:9876", "10.0.0.2:9876"]);
        let store = settings.store_config();
        assert_eq!(store.mapped_file_size_commit_log, 1 << 20);
        assert_eq!(store.flush_disk_type, hypergol_store::FlushDiskType::SyncFlush);
        assert_eq!(store.store_path_root_dir, PathBuf::from("/x"));
    }

    #[test]
    fn the_store_has_javas_defaults() {
        let settings = BrokerSettings::default();
        let root = PathBuf::from(&settings.store.store_path_root_dir);
        assert_eq!(settings.store_config(), StoreConfig::at(root));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for line in [
            "storeType=defaultRocksDB",
            "enableDLegerCommitLog=true",
            "enableControllerMode=true",
            "brokerRole=SLAVE",
            "storePathCommitLog=/a,/b",
            "messageStorePlugIn=x",
            "aclEnable=true",
            "timerRocksDBEnable=true",
            "timerPrecisionMs=0",
            "authenticationEnabled=true",
            "messageDelayLevel=1x",
            "brokerName=a/b",
            "brokerIP1=nowhere",
            "namesrvAddr=localhost",
            "listenPort=0",
            "maxErrorRateOfBloomFilter=100",
            "expectConsumerNumUseFilter=0",
        ] {
            let key = line.split('=').next().unwrap();
            let error = applied(line).unwrap_err();
            assert!(error.contains(key), "{line}: {error}");
        }
        assert!(applied("brokerRole=SYNC_MASTER").is_ok(), "waits for nobody with one replica in sync");
        assert!(applied("brokerRole=SYNC_MASTER\ninSyncReplicas=2").is_err());
    }
}
