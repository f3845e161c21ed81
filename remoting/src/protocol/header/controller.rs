//! Controllers, which elect masters.

use crate::header;

header! {
    /// Request of `CONTROLLER_ALTER_SYNC_STATE_SET`.
    pub struct AlterSyncStateSetRequestHeader {
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
        /// Broker id of the master.
        pub master_broker_id: Option<i64> => "masterBrokerId",
        /// Epoch of the master.
        pub master_epoch: Option<i32> => "masterEpoch",
        /// Time of the call, ms since 1970.
        pub invoke_time: i64 => "invokeTime" or 0,
    }

    /// Answer of `CONTROLLER_ALTER_SYNC_STATE_SET`.
    pub struct AlterSyncStateSetResponseHeader {
        /// Epoch of the new set.
        pub new_sync_state_set_epoch: i32 => "newSyncStateSetEpoch" or 0,
    }

    /// Request of `CONTROLLER_ELECT_MASTER`.
    pub struct ElectMasterRequestHeader {
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
        /// Broker id, 0 is the master.
        pub broker_id: i64 => "brokerId" or -1,
        /// Whether an operator names the master.
        pub designate_elect: bool => "designateElect" or false,
        /// Time of the call, ms since 1970.
        pub invoke_time: Option<i64> => "invokeTime",
    }

    /// Answer of `CONTROLLER_ELECT_MASTER`.
    pub struct ElectMasterResponseHeader {
        /// Broker id of the master.
        pub master_broker_id: Option<i64> => "masterBrokerId",
        /// Address of the master.
        pub master_address: Option<String> => "masterAddress",
        /// Epoch of the master.
        pub master_epoch: Option<i32> => "masterEpoch",
        /// Epoch of the set of brokers in sync.
        pub sync_state_set_epoch: Option<i32> => "syncStateSetEpoch",
    }

    /// Request of `CONTROLLER_REGISTER_BROKER`.
    pub struct RegisterBrokerToControllerRequestHeader {
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
        /// Broker id, 0 is the master.
        pub broker_id: Option<i64> => "brokerId",
        /// Broker address, `ip:port`.
        pub broker_address: Option<String> => "brokerAddress",
        /// Time of the call, ms since 1970.
        pub invoke_time: i64 => "invokeTime" or 0,
    }

    /// Answer of `CONTROLLER_REGISTER_BROKER`.
    pub struct RegisterBrokerToControllerResponseHeader {
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
        /// Broker id of the master.
        pub master_broker_id: Option<i64> => "masterBrokerId",
        /// Address of the master.
        pub master_address: Option<String> => "masterAddress",
        /// Epoch of the master.
        pub master_epoch: Option<i32> => "masterEpoch",
        /// Epoch of the set of brokers in sync.
        pub sync_state_set_epoch: Option<i32> => "syncStateSetEpoch",
    }

    /// Request of `CONTROLLER_GET_REPLICA_INFO`.
    pub struct GetReplicaInfoRequestHeader {
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
    }

    /// Answer of `CONTROLLER_GET_REPLICA_INFO`.
    pub struct GetReplicaInfoResponseHeader {
        /// Broker id of the master.
        pub master_broker_id: Option<i64> => "masterBrokerId",
        /// Address of the master.
        pub master_address: Option<String> => "masterAddress",
        /// Epoch of the master.
        pub master_epoch: Option<i32> => "masterEpoch",
    }

    /// Answer of `CONTROLLER_GET_METADATA_INFO`.
    pub struct GetMetaDataResponseHeader {
        /// Consumer group.
        pub group: Option<String> => "group",
        /// Id of the leader.
        pub controller_leader_id: Option<String> => "controllerLeaderId",
        /// Address of the leader.
        pub controller_leader_address: Option<String> => "controllerLeaderAddress",
        /// Whether this controller leads.
        pub is_leader: bool => "isLeader" or false,
        /// All controllers.
        pub peers: Option<String> => "peers",
    }

    /// Request of `CLEAN_BROKER_DATA`.
    pub struct CleanControllerBrokerDataRequestHeader {
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
        /// Broker name.
        pub broker_name: String => "brokerName",
        /// Broker ids to forget, joined by `;`; absent means all.
        pub broker_controller_ids_to_clean: Option<String> => "brokerControllerIdsToClean",
        /// Whether living brokers may be forgotten.
        pub is_clean_living_broker: bool => "isCleanLivingBroker" or false,
        /// Time of the call, ms since 1970.
        pub invoke_time: i64 => "invokeTime" or 0,
    }

    /// Request of `CONTROLLER_GET_NEXT_BROKER_ID`.
    pub struct GetNextBrokerIdRequestHeader {
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
    }

    /// Answer of `CONTROLLER_GET_NEXT_BROKER_ID`.
    pub struct GetNextBrokerIdResponseHeader {
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
        /// Next free broker id.
        pub next_broker_id: Option<i64> => "nextBrokerId",
    }

    /// Request of `CONTROLLER_APPLY_BROKER_ID`.
    pub struct ApplyBrokerIdRequestHeader {
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
        /// Broker id asked for.
        pub applied_broker_id: Option<i64> => "appliedBrokerId",
        /// Code that ties a broker to its id.
        pub register_check_code: Option<String> => "registerCheckCode",
    }

    /// Answer of `CONTROLLER_APPLY_BROKER_ID`.
    pub struct ApplyBrokerIdResponseHeader {
        /// Cluster.
        pub cluster_name: Option<String> => "clusterName",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
    }
}
