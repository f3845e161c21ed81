//! Masters and slaves.

use crate::header;

header! {
    /// Request of `NOTIFY_MIN_BROKER_ID_CHANGE`.
    pub struct NotifyMinBrokerIdChangeRequestHeader {
        /// Smallest broker id alive.
        pub min_broker_id: Option<i64> => "minBrokerId",
        /// Broker name.
        pub broker_name: Option<String> => "brokerName",
        /// Address of the smallest broker id.
        pub min_broker_addr: Option<String> => "minBrokerAddr",
        /// Address of the broker that went.
        pub offline_broker_addr: Option<String> => "offlineBrokerAddr",
        /// Address for replication.
        pub ha_broker_addr: Option<String> => "haBrokerAddr",
    }

    /// Request of `EXCHANGE_BROKER_HA_INFO`.
    pub struct ExchangeHAInfoRequestHeader {
        /// Address of the master for replication.
        pub master_ha_address: Option<String> => "masterHaAddress",
        /// Physical offset up to which the master has flushed.
        pub master_flush_offset: Option<i64> => "masterFlushOffset",
        /// Address of the master.
        pub master_address: Option<String> => "masterAddress",
    }

    /// Answer of `EXCHANGE_BROKER_HA_INFO`.
    pub struct ExchangeHAInfoResponseHeader {
        /// Address of the master for replication.
        pub master_ha_address: Option<String> => "masterHaAddress",
        /// Physical offset up to which the master has flushed.
        pub master_flush_offset: Option<i64> => "masterFlushOffset",
        /// Address of the master.
        pub master_address: Option<String> => "masterAddress",
    }

    /// Request of `RESET_MASTER_FLUSH_OFFSET`.
    pub struct ResetMasterFlushOffsetHeader {
        /// Physical offset up to which the master has flushed.
        pub master_flush_offset: i64 => "masterFlushOffset",
    }

    /// Request of `NOTIFY_BROKER_ROLE_CHANGED`.
    pub struct NotifyBrokerRoleChangedRequestHeader {
        /// Address of the master.
        pub master_address: Option<String> => "masterAddress",
        /// Epoch of the master.
        pub master_epoch: Option<i32> => "masterEpoch",
        /// Epoch of the set of brokers in sync.
        pub sync_state_set_epoch: Option<i32> => "syncStateSetEpoch",
        /// Broker id of the master.
        pub master_broker_id: Option<i64> => "masterBrokerId",
    }
}
