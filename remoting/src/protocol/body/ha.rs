//! Replication and master election.

use std::collections::BTreeMap;

use super::route::BrokerMemberGroup;
use crate::body;

body! {
    /// Answer of `GET_BROKER_HA_STATUS`.
    #[derive(Eq)]
    pub struct HARuntimeInfo {
        /// State as a slave.
        "haClientRuntimeInfo" ha_client_runtime_info: Option<HAClientRuntimeInfo> = Some(Default::default()),
        /// Connections of slaves.
        "haConnectionInfo" ha_connection_info: Option<Vec<HAConnectionRuntimeInfo>> = Some(Vec::new()),
        /// Slaves in sync.
        "inSyncSlaveNums" in_sync_slave_nums: i32,
        /// Whether the broker is a master.
        "master" master: bool,
        /// Largest physical offset of the master.
        "masterCommitLogMaxOffset" master_commit_log_max_offset: i64,
    }

    /// A slave's connection, as its master sees it.
    #[derive(Eq)]
    pub struct HAConnectionRuntimeInfo {
        /// Address of the slave.
        "addr" addr: String,
        /// Bytes the slave is behind.
        "diff" diff: i64,
        /// Whether the slave is in sync.
        "inSync" in_sync: bool,
        /// Physical offset acknowledged.
        "slaveAckOffset" slave_ack_offset: i64,
        /// Physical offset sent from.
        "transferFromWhere" transfer_from_where: i64,
        /// Bytes sent per second.
        "transferredByteInSecond" transferred_byte_in_second: i64,
    }

    /// A slave's view of its connection.
    #[derive(Eq)]
    pub struct HAClientRuntimeInfo {
        /// Time of the last read, ms since 1970.
        "lastReadTimestamp" last_read_timestamp: i64,
        /// Time of the last write, ms since 1970.
        "lastWriteTimestamp" last_write_timestamp: i64,
        /// Address of the master.
        "masterAddr" master_addr: Option<String>,
        /// Physical offset the master has flushed.
        "masterFlushOffset" master_flush_offset: i64,
        /// Largest physical offset of the slave.
        "maxOffset" max_offset: i64,
        /// Bytes received per second.
        "transferredByteInSecond" transferred_byte_in_second: i64,
    }

    /// Answer of `GET_BROKER_EPOCH_CACHE`.
    #[derive(Eq)]
    pub struct EpochEntryCache {
        /// Broker id.
        "brokerId" broker_id: i64,
        /// Broker name.
        "brokerName" broker_name: String,
        /// Cluster.
        "clusterName" cluster_name: String,
        /// Epochs, oldest first.
        "epochList" epoch_list: Option<Vec<EpochEntry>>,
        /// Largest physical offset.
        "maxOffset" max_offset: i64,
    }

    /// The part of the log written under one master.
    #[derive(Eq, Hash)]
    pub struct EpochEntry {
        /// End of the part, excluded.
        "endOffset" end_offset: i64 = i64::MAX,
        /// Epoch.
        "epoch" epoch: i32,
        /// Start of the part.
        "startOffset" start_offset: i64,
    }

    /// Brokers that hold everything acknowledged.
    #[derive(Eq)]
    pub struct SyncStateSet {
        /// Broker ids.
        "syncStateSet" sync_state_set: Vec<i64>,
        /// Epoch of the set.
        "syncStateSetEpoch" sync_state_set_epoch: i32,
    }

    /// Answer of `CONTROLLER_ELECT_MASTER`.
    #[derive(Eq)]
    pub struct ElectMasterResponseBody {
        /// Members of the broker set.
        "brokerMemberGroup" broker_member_group: Option<BrokerMemberGroup>,
        /// Broker ids in sync.
        "syncStateSet" sync_state_set: Vec<i64>,
    }

    /// Answer of `CONTROLLER_GET_SYNC_STATE_DATA`.
    #[derive(Eq)]
    pub struct BrokerReplicasInfo {
        /// Broker sets by name.
        "replicasInfoTable" replicas_info_table: BTreeMap<String, ReplicasInfo>,
    }

    /// The replicas of a broker set.
    #[derive(Eq)]
    pub struct ReplicasInfo {
        /// Replicas in sync.
        "inSyncReplicas" in_sync_replicas: Option<Vec<ReplicaIdentity>>,
        /// Address of the master.
        "masterAddress" master_address: Option<String>,
        /// Broker id of the master.
        "masterBrokerId" master_broker_id: Option<i64>,
        /// Epoch of the master.
        "masterEpoch" master_epoch: Option<i32>,
        /// Replicas that lag.
        "notInSyncReplicas" not_in_sync_replicas: Option<Vec<ReplicaIdentity>>,
        /// Epoch of the set.
        "syncStateSetEpoch" sync_state_set_epoch: Option<i32>,
    }

    /// A replica.
    #[derive(Eq)]
    pub struct ReplicaIdentity {
        /// Whether it sends heartbeats.
        "alive" alive: Option<bool>,
        /// Address.
        "brokerAddress" broker_address: Option<String>,
        /// Broker id.
        "brokerId" broker_id: Option<i64>,
        /// Broker name.
        "brokerName" broker_name: String,
    }
}
