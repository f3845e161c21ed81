//! The topics with their queues, and the encoded routes.
//!
//! Read by every connection, changed by the registry's thread only. A lookup locks one of many shards for the time of a
//! hash lookup, so that a registration of many topics holds up no route.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use hypergol_remoting::protocol::body::route::TopicRouteData;
use hypergol_remoting::protocol::body::topic::TopicQueueMappingInfo;
use hypergol_remoting::protocol::fastjson::Body;
use parking_lot::Mutex;

use crate::brokers::Brokers;
use crate::error::NamesrvError;
use crate::route;

/// Permission bit: may be written.
pub(crate) const PERM_WRITE: i32 = 1 << 1;
/// Permission bit: may be read.
pub(crate) const PERM_READ: i32 = 1 << 2;

/// Topics that are kept, of all brokers; a bound on what registrations can make this process remember.
const TOPICS_MAX: usize = 1 << 22;

/// The queues of a topic on one broker set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queues {
    /// Broker name.
    pub(crate) broker: Arc<str>,
    /// Queues to read.
    pub(crate) read: i32,
    /// Queues to write.
    pub(crate) write: i32,
    /// Permission bits.
    pub(crate) perm: i32,
    /// Bits: 1 unit, 2 unit subscription.
    pub(crate) sys_flag: i32,
}

/// A topic; it has queues on one broker at least.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    /// Sorted by broker name.
    pub(crate) queues: Vec<Queues>,
    /// Mapping of a static topic, by broker name.
    mapping: Option<BTreeMap<String, TopicQueueMappingInfo>>,
    routes: Mutex<Option<Box<Routes>>>,
}

/// The encoded routes of a topic; `None` where nobody asked for the form since the last change.
#[derive(Debug, Default)]
struct Routes {
    quoted: Option<(Stamp, Bytes)>,
    unquoted: Option<(Stamp, Bytes)>,
}

/// What a route was made from, besides its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    brokers: u64,
    acting_master: bool,
    /// Generation of the KV configuration, where the order configuration is in the route.
    order: Option<u64>,
}

/// How a route is asked for.
pub(crate) struct RouteForm<'a> {
    /// Whether integer keys are quoted.
    pub(crate) quoted: bool,
    /// Whether a slave may be shown as master.
    pub(crate) acting_master: bool,
    /// Generation of the order configurations and a look into them, where routes carry them.
    pub(crate) order: Option<(u64, &'a dyn Fn() -> Option<String>)>,
}

impl Topic {
    fn queues_of(&self, broker: &str) -> Result<usize, usize> {
        self.queues.binary_search_by(|queues| (*queues.broker).cmp(broker))
    }

    fn changed(&mut self) {
        *self.routes.get_mut() = None;
    }

    fn compose(&self, name: &str, brokers: &Brokers, form: &RouteForm<'_>) -> Option<TopicRouteData> {
        let mut route = route::compose(name, &self.queues, self.mapping.as_ref(), brokers, form.acting_master)?;
        if let Some((_, order)) = form.order {
            route.order_topic_conf = order();
        }
        Some(route)
    }
}

/// All topics.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    topics: DashMap<Arc<str>, Topic>,
}

impl Topics {
    /// The encoded route of a topic; made once and kept until topic or brokers change.
    pub(crate) fn route(&self, name: &str, brokers: &Brokers, form: &RouteForm<'_>) -> Option<Bytes> {
        let topic = self.topics.get(name)?;
        let stamp = Stamp {
            brokers: brokers.generation,
            acting_master: form.acting_master,
            order: form.order.map(|(generation, _)| generation),
        };
        let mut routes = topic.routes.lock();
        let slot = routes.get_or_insert_default();
        let slot = if form.quoted { &mut slot.quoted } else { &mut slot.unquoted };
        if let Some((made_from, route)) = slot
            && *made_from == stamp
        {
            return Some(route.clone());
        }
        let route = topic.compose(name, brokers, form)?;
        let route = Bytes::from(if form.quoted { route.encode_quoted_keys() } else { route.encode() });
        *slot = Some((stamp, route.clone()));
        Some(route)
    }

    /// The route of a topic, to be filtered.
    pub(crate) fn route_data(&self, name: &str, brokers: &Brokers, form: &RouteForm<'_>) -> Option<TopicRouteData> {
        self.topics.get(name)?.compose(name, brokers, form)
    }

    /// The names of the topics that `wanted` takes, sorted.
    pub(crate) fn names(&self, wanted: impl Fn(&Topic) -> bool) -> Vec<String> {
        let mut names: Vec<_> =
            self.topics.iter().filter(|topic| wanted(topic.value())).map(|topic| topic.key().to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Whether a topic has queues on a broker.
    pub(crate) fn has(&self, name: &str, broker: &str) -> bool {
        self.topics.get(name).is_some_and(|topic| topic.queues_of(broker).is_ok())
    }

    /// Sets the queues of a topic on a broker. Gives the shared name of the topic when it had none there.
    pub(crate) fn put(&self, name: &str, queues: Queues) -> Result<Option<Arc<str>>, NamesrvError> {
        if let Some(topic) = self.topics.get(name)
            && let Ok(at) = topic.queues_of(&queues.broker)
            && topic.queues[at] == queues
        {
            return Ok(None);
        }
        let key = match self.topics.get(name) {
            Some(topic) => topic.key().clone(),
            None if self.topics.len() >= TOPICS_MAX => return Err(NamesrvError::Full("topics")),
            None => name.into(),
        };
        let mut topic = self.topics.entry(key.clone()).or_default();
        topic.changed();
        match topic.queues_of(&queues.broker) {
            Ok(at) => {
                topic.queues[at] = queues;
                Ok(None)
            }
            Err(at) => {
                topic.queues.insert(at, queues);
                Ok(Some(key))
            }
        }
    }

    /// Changes the permission of a topic on a broker.
    pub(crate) fn set_perm(&self, name: &str, broker: &str, change: impl FnOnce(i32) -> i32) {
        let Some(mut topic) = self.topics.get_mut(name) else { return };
        let Ok(at) = topic.queues_of(broker) else { return };
        let perm = change(topic.queues[at].perm);
        if topic.queues[at].perm != perm {
            topic.queues[at].perm = perm;
            topic.changed();
        }
    }

    /// Sets the part of a static topic that a broker hosts, if the topic is known.
    pub(crate) fn set_mapping(&self, name: &str, info: TopicQueueMappingInfo) {
        let Some(mut topic) = self.topics.get_mut(name) else { return };
        let mapping = topic.mapping.get_or_insert_default();
        if mapping.get(&info.bname) != Some(&info) {
            mapping.insert(info.bname.clone(), info);
            topic.changed();
        }
    }

    /// Takes a topic from a broker; the topic goes with its last broker. Tells whether it was there.
    pub(crate) fn remove_from(&self, name: &str, broker: &str) -> bool {
        let Some(mut topic) = self.topics.get_mut(name) else { return false };
        let Ok(at) = topic.queues_of(broker) else { return false };
        topic.queues.remove(at);
        topic.changed();
        let last = topic.queues.is_empty();
        drop(topic);
        if last {
            self.topics.remove(name);
        }
        true
    }

    /// Takes a topic from all brokers; returns which.
    pub(crate) fn remove(&self, name: &str) -> Vec<Arc<str>> {
        let removed = self.topics.remove(name);
        removed.map(|(_, topic)| topic.queues.into_iter().map(|queues| queues.broker).collect()).unwrap_or_default()
    }

    /// Number of topics.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypergol_remoting::protocol::body::route::BrokerData;

    fn brokers(generation: u64, address: &str) -> Brokers {
        let set = BrokerData {
            broker_addrs: [(0, address.to_owned())].into(),
            broker_name: "b".into(),
            cluster: "C".into(),
            ..BrokerData::default()
        };
        Brokers { generation, sets: [("b".to_owned(), Arc::new(set))].into(), ..Brokers::default() }
    }

    fn queues(broker: &str, perm: i32) -> Queues {
        Queues { broker: broker.into(), read: 4, write: 4, perm, sys_flag: 0 }
    }

    const QUOTED: RouteForm<'_> = RouteForm { quoted: true, acting_master: false, order: None };

    fn text(topics: &Topics, brokers: &Brokers, form: &RouteForm<'_>) -> String {
        String::from_utf8(topics.route("T", brokers, form).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_route_is_made_once_and_again_after_each_change() {
        let topics = Topics::default();
        let first = brokers(1, "1.1.1.1:1");
        assert_eq!(topics.route("T", &first, &QUOTED), None);
        assert_eq!(topics.put("T", queues("b", 6)).unwrap().as_deref(), Some("T"));
        let one = topics.route("T", &first, &QUOTED).unwrap();
        assert_eq!(topics.put("T", queues("b", 6)).unwrap(), None);
        let same = topics.route("T", &first, &QUOTED).unwrap();
        assert_eq!(one.as_ptr(), same.as_ptr(), "the same bytes, not made again");

        let unquoted = RouteForm { quoted: false, ..QUOTED };
        assert!(text(&topics, &first, &unquoted).contains("{0:\"1.1.1.1:1\"}"));
        assert!(text(&topics, &first, &QUOTED).contains("{\"0\":\"1.1.1.1:1\"}"));
        assert!(text(&topics, &brokers(2, "1.1.1.1:2"), &QUOTED).contains("1.1.1.1:2"));
        topics.set_perm("T", "b", |perm| perm & !PERM_WRITE);
        assert!(text(&topics, &first, &QUOTED).contains("\"perm\":4"));
        assert_eq!(topics.put("T", Queues { write: 9, ..queues("b", 6) }).unwrap(), None);
        assert!(text(&topics, &first, &QUOTED).contains("\"writeQueueNums\":9"));
        let info = TopicQueueMappingInfo { bname: "b".into(), topic: "T".into(), ..TopicQueueMappingInfo::default() };
        topics.set_mapping("T", info);
        assert!(text(&topics, &first, &QUOTED).contains("\"topicQueueMappingByBroker\":{\"b\":{"));
        let order = || Some("b:4".to_owned());
        let ordered = RouteForm { order: Some((3, &order)), ..QUOTED };
        assert!(text(&topics, &first, &ordered).contains("\"orderTopicConf\":\"b:4\""));
        assert!(!text(&topics, &first, &QUOTED).contains("orderTopicConf"));
    }

    #[test]
    fn a_topic_goes_with_its_last_broker() {
        let topics = Topics::default();
        topics.put("T", queues("c", 6)).unwrap();
        topics.put("T", queues("b", 6)).unwrap();
        assert!(topics.has("T", "b") && !topics.has("T", "a"));
        assert!(topics.remove_from("T", "b"));
        assert!(!topics.remove_from("T", "b"));
        assert_eq!(topics.len(), 1);
        assert!(topics.remove_from("T", "c"));
        assert_eq!(topics.len(), 0);
        topics.put("T", queues("b", 6)).unwrap();
        assert_eq!(topics.remove("T"), ["b".into()]);
        assert_eq!(topics.names(|_| true), Vec::<String>::new());
    }
}
