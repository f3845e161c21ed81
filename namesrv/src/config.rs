//! The name server's configuration.

use hypergol_config::process::{below_home, rocketmq_home};
use hypergol_config::{
    ConfigError, NettyClientConfig, NettyServerConfig, Properties, Settings, Table, TlsConfig, UnknownKey, config_table,
};

/// Port that clients look for a name server at.
pub const DEFAULT_PORT: i32 = 9876;

config_table! {
    /// Keys of the name server's own. Java: `NamesrvConfig`.
    pub struct NamesrvConfig {
        /// Where RocketMQ is installed; nothing here needs it.
        rocketmq_home: Option<String> = rocketmq_home(); "rocketmqHome" fixed(),
        /// The file that holds the KV configuration.
        kv_config_path: String = below_home("namesrv/kvConfig.json"); "kvConfigPath" fixed(),
        /// The file that changed keys are written to; the start file where there is one.
        config_store_path: String = below_home("namesrv/namesrv.properties"); "configStorePath" fixed(),
        /// A label.
        product_env_name: String = "center".into(); "productEnvName" restart(),
        /// Not served: asking another environment's name server for topics that are unknown here.
        cluster_test: bool = false; "clusterTest" restart(),
        /// Whether routes carry the order configuration of their topic.
        order_message_enable: bool = false; "orderMessageEnable" live(),
        /// Whether brokers get all order configurations in the answer to their registration.
        return_order_topic_config_to_broker: bool = true; "returnOrderTopicConfigToBroker" live(),
        /// No effect: routes are answered where they are asked for.
        client_request_thread_pool_nums: i32 = 8; "clientRequestThreadPoolNums" restart(),
        /// No effect: one thread keeps the registry.
        default_thread_pool_nums: i32 = 16; "defaultThreadPoolNums" restart(),
        /// No effect: routes do not queue.
        client_request_thread_pool_queue_capacity: i32 = 50_000; "clientRequestThreadPoolQueueCapacity" restart(),
        /// Requests that may wait for the registry.
        default_thread_pool_queue_capacity: i32 = 10_000; "defaultThreadPoolQueueCapacity" restart(),
        /// Milliseconds between two looks for brokers that fell silent.
        scan_not_active_broker_interval: i64 = 5000; "scanNotActiveBrokerInterval" restart(),
        /// No effect: unregistrations wait among the other requests.
        un_register_broker_queue_capacity: i32 = 3000; "unRegisterBrokerQueueCapacity" restart(),
        /// Whether routes show the lowest slave as master where the master is gone and the brokers agreed to that.
        support_acting_master: bool = false; "supportActingMaster" live(),
        /// Whether the list of all topics is given.
        enable_all_topic_list: bool = true; "enableAllTopicList" live(),
        /// Whether the other lists of topics are given.
        enable_topic_list: bool = true; "enableTopicList" live(),
        /// Whether brokers are told when the lowest broker id of their set changes.
        notify_min_broker_id_changed: bool = false; "notifyMinBrokerIdChanged" live(),
        /// Not served: a controller in this process.
        enable_controller_in_namesrv: bool = false; "enableControllerInNamesrv" restart(),
        /// Whether routes are refused for a while after the start.
        need_wait_for_service: bool = false; "needWaitForService" live(),
        /// Seconds of that while.
        wait_seconds_for_service: i32 = 45; "waitSecondsForService" live(),
        /// Whether topics that a registration lacks are taken from the broker that registers.
        delete_topic_with_broker_registration: bool = false; "deleteTopicWithBrokerRegistration" live(),
        /// Keys that cannot be changed from outside, separated by `;`.
        config_black_list: String = "configBlackList;configStorePath;kvConfigPath".into(); "configBlackList" fixed(),
    }
}

/// Everything that a name server's configuration file can set.
#[derive(Clone, Debug, PartialEq)]
pub struct NamesrvSettings {
    /// The name server's own.
    pub namesrv: NamesrvConfig,
    /// The listening side.
    pub server: NettyServerConfig,
    /// The side that notifies brokers.
    pub client: NettyClientConfig,
    /// TLS of both.
    pub tls: TlsConfig,
}

impl NamesrvSettings {
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
}

impl Default for NamesrvSettings {
    fn default() -> Self {
        Self {
            namesrv: NamesrvConfig::default(),
            server: NettyServerConfig { listen_port: DEFAULT_PORT, ..NettyServerConfig::default() },
            client: NettyClientConfig::default(),
            tls: TlsConfig::default(),
        }
    }
}

impl Settings for NamesrvSettings {
    fn tables(&self) -> Vec<&dyn Table> {
        vec![&self.namesrv, &self.server, &self.client, &self.tls]
    }

    fn tables_mut(&mut self) -> Vec<&mut dyn Table> {
        vec![&mut self.namesrv, &mut self.server, &mut self.client, &mut self.tls]
    }

    fn shown_tables(&self) -> Vec<&dyn Table> {
        vec![&self.namesrv, &self.server]
    }

    fn check(&self) -> Result<(), String> {
        if self.namesrv.enable_controller_in_namesrv {
            return Err("enableControllerInNamesrv=true: there is no controller in this name server".into());
        }
        if self.namesrv.cluster_test {
            return Err("clusterTest=true: routes of another environment are not served".into());
        }
        if self.namesrv.scan_not_active_broker_interval <= 0 {
            return Err("scanNotActiveBrokerInterval must be above 0 ms".into());
        }
        if u16::try_from(self.server.listen_port).is_err() {
            return Err(format!("listenPort={} is not a port", self.server.listen_port));
        }
        if self.server.server_channel_max_idle_time_seconds <= 0 {
            return Err("serverChannelMaxIdleTimeSeconds must be above 0 s".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypergol_config::{Live, Properties, settings};

    #[test]
    fn what_is_not_served_is_refused_with_a_word() {
        for (text, word) in [
            ("enableControllerInNamesrv=true", "no controller"),
            ("clusterTest=true", "not served"),
            ("listenPort=70000", "not a port"),
            ("scanNotActiveBrokerInterval=0", "above 0"),
        ] {
            let properties = Properties::parse("namesrv.conf", text.as_bytes()).unwrap();
            let error = settings::apply(&mut NamesrvSettings::default(), &properties).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn client_keys_are_known_but_not_shown_unless_given() {
        let properties = Properties::parse("x", b"connectTimeoutMillis=7\nlistenPort=1\nfoo=2").unwrap();
        let mut settings = NamesrvSettings::default();
        let unknown = settings::apply(&mut settings, &properties).unwrap();
        assert_eq!(unknown.len(), 1);
        assert_eq!(settings.client.connect_timeout_millis, 7);
        let text = Live::new(settings, &properties, "/x".into()).text();
        assert!(text.contains("connectTimeoutMillis=7\n") && text.contains("foo=2\n") && !text.contains("useTLS"));
    }
}
