//! Name server: routes, KV configuration, registration of brokers.

use crate::header;

header! {
    /// Request of `GET_ROUTEINFO_BY_TOPIC`.
    pub struct GetRouteInfoRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Whether integer keys of the answer must be quoted.
        pub accept_standard_json_only: Option<bool> => "acceptStandardJsonOnly",
    }

    /// Request of `PUT_KV_CONFIG`.
    pub struct PutKVConfigRequestHeader {
        /// Namespace of the key.
        pub namespace: String => "namespace",
        /// Key.
        pub key: String => "key",
        /// Value.
        pub value: String => "value",
    }

    /// Request of `GET_KV_CONFIG`.
    pub struct GetKVConfigRequestHeader {
        /// Namespace of the key.
        pub namespace: String => "namespace",
        /// Key.
        pub key: String => "key",
    }

    /// Answer of `GET_KV_CONFIG`.
    pub struct GetKVConfigResponseHeader {
        /// Value.
        pub value: Option<String> => "value",
    }

    /// Request of `DELETE_KV_CONFIG`.
    pub struct DeleteKVConfigRequestHeader {
        /// Namespace of the key.
        pub namespace: String => "namespace",
        /// Key.
        pub key: String => "key",
    }

    /// Request of `GET_KVLIST_BY_NAMESPACE`.
    pub struct GetKVListByNamespaceRequestHeader {
        /// Namespace of the key.
        pub namespace: String => "namespace",
    }

    /// Request of `REGISTER_BROKER`.
    pub struct RegisterBrokerRequestHeader {
        /// Broker name.
        pub broker_name: String => "brokerName",
        /// Broker address, `ip:port`.
        pub broker_addr: String => "brokerAddr",
        /// Cluster.
        pub cluster_name: String => "clusterName",
        /// Address for replication, `ip:port`.
        pub ha_server_addr: String => "haServerAddr",
        /// Broker id, 0 is the master.
        pub broker_id: i64 => "brokerId",
        /// Silence after which the broker counts as gone, ms.
        pub heartbeat_timeout_millis: Option<i64> => "heartbeatTimeoutMillis",
        /// Whether a slave may act as master.
        pub enable_acting_master: Option<bool> => "enableActingMaster",
        /// Whether the body is deflated; 5.x brokers say false even when it is.
        pub compressed: bool => "compressed" or false,
        /// CRC-32 of the body, lowest 31 bits; 0 disables the check.
        pub body_crc32: i32 => "bodyCrc32" or 0,
    }

    /// Answer of `REGISTER_BROKER`.
    pub struct RegisterBrokerResponseHeader {
        /// Address for replication, `ip:port`.
        pub ha_server_addr: Option<String> => "haServerAddr",
        /// Address of the master.
        pub master_addr: Option<String> => "masterAddr",
    }

    /// Request of `UNREGISTER_BROKER`.
    pub struct UnRegisterBrokerRequestHeader {
        /// Broker name.
        pub broker_name: String => "brokerName",
        /// Broker address, `ip:port`.
        pub broker_addr: String => "brokerAddr",
        /// Cluster.
        pub cluster_name: String => "clusterName",
        /// Broker id, 0 is the master.
        pub broker_id: i64 => "brokerId",
    }

    /// Request of `QUERY_DATA_VERSION`.
    pub struct QueryDataVersionRequestHeader {
        /// Broker name.
        pub broker_name: String => "brokerName",
        /// Broker address, `ip:port`.
        pub broker_addr: String => "brokerAddr",
        /// Cluster.
        pub cluster_name: String => "clusterName",
        /// Broker id, 0 is the master.
        pub broker_id: i64 => "brokerId",
    }

    /// Answer of `QUERY_DATA_VERSION`.
    pub struct QueryDataVersionResponseHeader {
        /// Whether the broker's data differ from those of the name server.
        pub changed: bool => "changed",
    }

    /// Request of `REGISTER_TOPIC_IN_NAMESRV`.
    pub struct RegisterTopicRequestHeader {
        /// Topic.
        pub topic: String => "topic",
    }

    /// Request of `DELETE_TOPIC_IN_NAMESRV`.
    pub struct DeleteTopicFromNamesrvRequestHeader {
        /// Topic.
        pub topic: String => "topic",
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
    }

    /// Request of `GET_TOPICS_BY_CLUSTER`.
    pub struct GetTopicsByClusterRequestHeader {
        /// Cluster.
        pub cluster: String => "cluster",
    }

    /// Request of `WIPE_WRITE_PERM_OF_BROKER`.
    pub struct WipeWritePermOfBrokerRequestHeader {
        /// Broker name.
        pub broker_name: String => "brokerName",
    }

    /// Answer of `WIPE_WRITE_PERM_OF_BROKER`.
    pub struct WipeWritePermOfBrokerResponseHeader {
        /// Topics changed.
        pub wipe_topic_count: i32 => "wipeTopicCount",
    }

    /// Request of `ADD_WRITE_PERM_OF_BROKER`.
    pub struct AddWritePermOfBrokerRequestHeader {
        /// Broker name.
        pub broker_name: String => "brokerName",
    }

    /// Answer of `ADD_WRITE_PERM_OF_BROKER`.
    pub struct AddWritePermOfBrokerResponseHeader {
        /// Topics changed.
        pub add_topic_count: i32 => "addTopicCount",
    }

    /// Request of `GET_BROKER_MEMBER_GROUP`.
    pub struct GetBrokerMemberGroupRequestHeader {
        /// Cluster.
        pub cluster_name: String => "clusterName",
        /// Broker name.
        pub broker_name: String => "brokerName",
    }

    /// Request of `BROKER_HEARTBEAT`.
    pub struct BrokerHeartbeatRequestHeader {
        /// Cluster.
        pub cluster_name: String => "clusterName",
        /// Broker address, `ip:port`.
        pub broker_addr: String => "brokerAddr",
        /// Broker name.
        pub broker_name: String => "brokerName",
        /// Broker id, 0 is the master.
        pub broker_id: Option<i64> => "brokerId",
        /// Epoch of the master.
        pub epoch: Option<i32> => "epoch",
        /// Largest physical offset.
        pub max_offset: Option<i64> => "maxOffset",
        /// Confirmed physical offset.
        pub confirm_offset: Option<i64> => "confirmOffset",
        /// Silence after which the broker counts as gone, ms.
        pub heartbeat_timeout_mills: Option<i64> => "heartbeatTimeoutMills",
        /// Smaller wins.
        pub election_priority: Option<i32> => "electionPriority",
    }
}
