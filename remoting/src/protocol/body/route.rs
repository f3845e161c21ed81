//! Routes: which brokers serve a topic, and which brokers make up a cluster.

use std::collections::BTreeMap;

use super::topic::TopicQueueMappingInfo;
use crate::body;

body! {
    /// Answer of `GET_ROUTEINFO_BY_TOPIC`. Integer keys are quoted only for clients that ask for it.
    #[derive(Eq)]
    pub struct TopicRouteData {
        /// Brokers that hold queues of the topic.
        "brokerDatas" broker_datas: Vec<BrokerData>,
        /// Broker address to filter servers; always empty since 5.x.
        "filterServerTable" filter_server_table: BTreeMap<String, Vec<String>>,
        /// Order configuration, `broker-a:4;broker-b:4`.
        "orderTopicConf" order_topic_conf: Option<String>,
        /// Queues by broker.
        "queueDatas" queue_datas: Vec<QueueData>,
        /// Mapping of a static topic by broker name; absent for other topics.
        "topicQueueMappingByBroker" topic_queue_mapping_by_broker: Option<BTreeMap<String, TopicQueueMappingInfo>>,
    }

    /// The queues of a topic on one broker.
    #[derive(Eq, Hash)]
    pub struct QueueData {
        /// Broker.
        "brokerName" broker_name: String,
        /// Permission bits: 1 inherit, 2 write, 4 read, 8 priority.
        "perm" perm: i32,
        /// Queues consumers read.
        "readQueueNums" read_queue_nums: i32,
        /// Bits: 1 unit, 2 unit subscription.
        "topicSysFlag" topic_sys_flag: i32,
        /// Queues producers write.
        "writeQueueNums" write_queue_nums: i32,
    }

    /// A broker set: a master and its slaves.
    #[derive(Eq)]
    pub struct BrokerData {
        /// Broker id (0 is the master) to address.
        "brokerAddrs" broker_addrs: BTreeMap<i64, String>,
        /// Name of the set.
        "brokerName" broker_name: String,
        /// Cluster.
        "cluster" cluster: String,
        /// Whether a slave may act as master.
        "enableActingMaster" enable_acting_master: bool,
        /// Zone, if the broker registered one.
        "zoneName" zone_name: Option<String>,
    }

    /// Answer of `GET_BROKER_CLUSTER_INFO`.
    #[derive(Eq)]
    pub struct ClusterInfo {
        /// Broker name to broker set.
        "brokerAddrTable" broker_addr_table: BTreeMap<String, BrokerData>,
        /// Cluster to broker names.
        "clusterAddrTable" cluster_addr_table: BTreeMap<String, Vec<String>>,
    }

    /// The members of a broker set.
    #[derive(Eq)]
    pub struct BrokerMemberGroup {
        /// Broker id to address.
        "brokerAddrs" broker_addrs: BTreeMap<i64, String>,
        /// Name of the set.
        "brokerName" broker_name: String,
        /// Cluster.
        "cluster" cluster: String,
    }

    /// Answer of `GET_BROKER_MEMBER_GROUP`.
    #[derive(Eq)]
    pub struct GetBrokerMemberGroupResponseBody {
        /// The members; null if the set is not known.
        "brokerMemberGroup" broker_member_group: Option<BrokerMemberGroup>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson::Body;

    const QUOTED: &str = r#"{"brokerDatas":[{"brokerAddrs":{"0":"1.1.1.1:10911","1":"1.1.1.2:10911"},"brokerName":"b","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;

    #[test]
    fn broker_ids_are_quoted_on_request() {
        let route = TopicRouteData::decode(QUOTED.as_bytes()).unwrap();
        assert_eq!(route.encode_quoted_keys(), QUOTED.as_bytes());
        let bare = QUOTED.replace(r#""0":"#, "0:").replace(r#""1":"#, "1:");
        assert_eq!(route.encode(), bare.as_bytes());
        assert_eq!(TopicRouteData::decode(bare.as_bytes()).unwrap(), route);
    }
}
