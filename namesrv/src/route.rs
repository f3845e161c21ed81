//! What a client is told of a topic: its queues and the brokers that hold them.

use std::collections::{BTreeMap, BTreeSet};

use hypergol_remoting::protocol::body::route::{BrokerData, QueueData, TopicRouteData};
use hypergol_remoting::protocol::body::topic::TopicQueueMappingInfo;

use crate::brokers::{Brokers, MASTER_ID, lacks_master};
use crate::topics::{PERM_WRITE, Queues};

/// Topics with which brokers of a set keep in step; their routes never show an acting master.
const SYNC_MEMBER_GROUP_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

/// The route of `topic`; `None` when none of its brokers is there.
pub(crate) fn compose(
    topic: &str,
    queues: &[Queues],
    mapping: Option<&BTreeMap<String, TopicQueueMappingInfo>>,
    brokers: &Brokers,
    support_acting_master: bool,
) -> Option<TopicRouteData> {
    let mut route = TopicRouteData { topic_queue_mapping_by_broker: mapping.cloned(), ..TopicRouteData::default() };
    for queues in queues {
        let Some(set) = brokers.sets.get(&*queues.broker) else { continue };
        let mut set = BrokerData::clone(set);
        for address in set.broker_addrs.values() {
            if let Some(servers) = brokers.filter_servers.get(&(set.cluster.clone(), address.clone())) {
                route.filter_server_table.insert(address.clone(), servers.clone());
            }
        }
        if support_acting_master && !topic.starts_with(SYNC_MEMBER_GROUP_PREFIX) {
            show_acting_master(&mut set, queues);
        }
        route.broker_datas.push(set);
        route.queue_datas.push(QueueData {
            broker_name: queues.broker.to_string(),
            perm: queues.perm,
            read_queue_nums: queues.read,
            topic_sys_flag: queues.sys_flag,
            write_queue_nums: queues.write,
        });
    }
    (!route.broker_datas.is_empty()).then_some(route)
}

/// Shows the lowest slave under the master's id, once its queues are closed for writing.
fn show_acting_master(set: &mut BrokerData, queues: &Queues) {
    if set.enable_acting_master
        && queues.perm & PERM_WRITE == 0
        && lacks_master(set)
        && let Some((_, address)) = set.broker_addrs.pop_first()
    {
        set.broker_addrs.insert(MASTER_ID, address);
    }
}

/// Leaves the brokers of a zone, and those whose master is gone: their slaves are read from any zone.
pub(crate) fn keep_zone(route: &mut TopicRouteData, zone: &str) {
    let mut removed = BTreeSet::new();
    let filter_servers = &mut route.filter_server_table;
    route.broker_datas.retain(|set| {
        let in_zone = set.zone_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(zone));
        let kept = in_zone || !set.broker_addrs.contains_key(&MASTER_ID);
        if !kept {
            removed.insert(set.broker_name.clone());
            set.broker_addrs.values().for_each(|address| drop(filter_servers.remove(address)));
        }
        kept
    });
    route.queue_datas.retain(|queues| !removed.contains(&queues.broker_name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn set(name: &str, addresses: &[(i64, &str)], acting: bool, zone: Option<&str>) -> (String, Arc<BrokerData>) {
        let data = BrokerData {
            broker_addrs: addresses.iter().map(|(id, address)| (*id, (*address).to_owned())).collect(),
            broker_name: name.into(),
            cluster: "C".into(),
            enable_acting_master: acting,
            zone_name: zone.map(str::to_owned),
        };
        (name.to_owned(), Arc::new(data))
    }

    fn queues(broker: &str, perm: i32) -> Queues {
        Queues { broker: broker.into(), read: 4, write: 4, perm, sys_flag: 0 }
    }

    #[test]
    fn a_slave_acts_only_where_all_agree() {
        let brokers = Brokers {
            sets: [
                set("a", &[(2, "a2"), (3, "a3")], true, None),
                set("b", &[(1, "b1")], false, None),
                set("c", &[(0, "c0"), (1, "c1")], true, None),
                set("d", &[(1, "d1")], true, None),
            ]
            .into(),
            ..Brokers::default()
        };
        let all = [queues("a", 4), queues("b", 4), queues("c", 4), queues("d", 6), queues("gone", 6)];
        let ids = |topic, support| {
            let route = compose(topic, &all, None, &brokers, support).unwrap();
            assert_eq!(route.queue_datas.len(), 4);
            route.broker_datas.iter().map(|set| set.broker_addrs.keys().copied().collect()).collect::<Vec<Vec<_>>>()
        };
        assert_eq!(ids("T", true), [vec![0, 3], vec![1], vec![0, 1], vec![1]]);
        assert_eq!(ids("T", false), [vec![2, 3], vec![1], vec![0, 1], vec![1]]);
        assert_eq!(ids("rmq_sys_SYNC_BROKER_MEMBER_a", true), [vec![2, 3], vec![1], vec![0, 1], vec![1]]);
        assert_eq!(compose("T", &[queues("gone", 6)], None, &brokers, true), None);
    }

    #[test]
    fn a_zone_keeps_its_brokers_and_masterless_ones() {
        let filter_servers = [(("C".to_owned(), "b0".to_owned()), vec!["f".to_owned()])].into();
        let brokers = Brokers {
            sets: [
                set("a", &[(0, "a0")], false, Some("Z1")),
                set("b", &[(0, "b0")], false, Some("Z2")),
                set("c", &[(1, "c1")], false, Some("Z2")),
                set("d", &[(0, "d0")], false, None),
            ]
            .into(),
            filter_servers,
            ..Brokers::default()
        };
        let all = [queues("a", 6), queues("b", 6), queues("c", 6), queues("d", 6)];
        let mut route = compose("T", &all, None, &brokers, false).unwrap();
        assert_eq!(route.filter_server_table.len(), 1);
        keep_zone(&mut route, "z1");
        let names: Vec<_> = route.broker_datas.iter().map(|set| set.broker_name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        let names: Vec<_> = route.queue_datas.iter().map(|queues| queues.broker_name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert!(route.filter_server_table.is_empty());
    }
}
