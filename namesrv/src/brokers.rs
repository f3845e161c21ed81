//! The broker sets, as one immutable picture that is replaced whole when a broker comes, changes or goes.
//!
//! There are few brokers and they change rarely: replacing the picture costs little and readers never wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hypergol_remoting::protocol::body::route::{BrokerData, BrokerMemberGroup, ClusterInfo};
use hypergol_remoting::protocol::body::topic::TopicList;

/// Broker id of a master.
pub(crate) const MASTER_ID: i64 = 0;

/// All broker sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brokers {
    /// Grows with every change; routes made with another number are out of date.
    pub(crate) generation: u64,
    /// Broker name to broker set.
    pub(crate) sets: BTreeMap<String, Arc<BrokerData>>,
    /// Cluster to broker names.
    pub(crate) clusters: BTreeMap<String, BTreeSet<String>>,
    /// Cluster and broker address to filter servers. Brokers since 5.0 have none.
    pub(crate) filter_servers: BTreeMap<(String, String), Vec<String>>,
}

impl Brokers {
    /// The answer to GET_BROKER_CLUSTER_INFO.
    pub(crate) fn cluster_info(&self) -> ClusterInfo {
        ClusterInfo {
            broker_addr_table: self.sets.iter().map(|(name, set)| (name.clone(), set.as_ref().clone())).collect(),
            cluster_addr_table: self
                .clusters
                .iter()
                .map(|(cluster, names)| (cluster.clone(), names.iter().cloned().collect()))
                .collect(),
        }
    }

    /// The answer to GET_BROKER_MEMBER_GROUP; without addresses when the set is not known.
    pub(crate) fn member_group(&self, cluster: String, broker_name: String) -> BrokerMemberGroup {
        let broker_addrs = self.sets.get(&broker_name).map(|set| set.broker_addrs.clone()).unwrap_or_default();
        BrokerMemberGroup { broker_addrs, broker_name, cluster }
    }

    /// The answer to GET_SYSTEM_TOPIC_LIST_FROM_NS: clusters and brokers have a topic of their name; and some broker.
    pub(crate) fn system_topics(&self) -> TopicList {
        let names = self.clusters.iter().flat_map(|(cluster, names)| std::iter::once(cluster).chain(names));
        let broker_addr = self.sets.values().find_map(|set| set.broker_addrs.values().next().cloned());
        TopicList { broker_addr, topic_list: names.cloned().collect::<BTreeSet<_>>().into_iter().collect() }
    }
}

/// Whether a set has brokers, but no master.
pub(crate) fn lacks_master(set: &BrokerData) -> bool {
    set.broker_addrs.keys().next().is_some_and(|lowest| *lowest > MASTER_ID)
}
