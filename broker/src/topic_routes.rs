//! The queues of a topic on all brokers of the cluster, as name servers tell them; for assignments, and for lite topics,
//! which are spread over the brokers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_remoting::protocol::body::message_queue::MessageQueue;
use hypergol_remoting::protocol::body::route::TopicRouteData;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_remoting::protocol::header::route::GetRouteInfoRequestHeader;
use hypergol_remoting::{Client, RemotingCommand, RequestCode, ResponseCode};
use parking_lot::Mutex;
use tracing::debug;

use crate::retry::RETRY_PREFIX;
use crate::topics::{PERM_READ, PERM_WRITE};

/// How long a route is trusted. Java: loadBalancePollNameServerInterval, 30 s.
const FRESH: Duration = Duration::from_secs(30);
/// Wait for one name server. Java: GET_TOPIC_ROUTE_TIMEOUT, 3 s.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Topics kept; beyond it routes that are no longer fresh are forgotten, then new ones not kept.
const TOPICS_MAX: usize = 50_000;
/// Queues of a topic on one broker that are taken from a route.
const QUEUES_MAX: i32 = 65_536;
/// Broker id of a master.
const MASTER_ID: i64 = 0;

/// Routes asked for lately.
#[derive(Default)]
pub struct TopicRoutes {
    routes: Mutex<HashMap<String, Known>>,
}

struct Known {
    route: Arc<Route>,
    asked: Instant,
}

/// The queues of a topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Those that consumers read, in order.
    pub readable: Vec<MessageQueue>,
    /// Those that producers write to: of masters, in order.
    pub writable: Vec<MessageQueue>,
}

/// What name servers say of a topic.
pub enum Told {
    /// Its route.
    Route(TopicRouteData),
    /// The first that answered does not know it.
    NoSuchTopic,
    /// None answered.
    Silence,
}

impl TopicRoutes {
    /// The queues of `topic`; `None` where no name server knows it.
    pub async fn route(&self, client: &Client, name_servers: &[String], topic: &str) -> Option<Arc<Route>> {
        let known = self.routes.lock().get(topic).map(|known| (known.route.clone(), known.asked));
        if let Some((route, asked)) = &known
            && asked.elapsed() < FRESH
            && !route.readable.is_empty()
        {
            return Some(route.clone());
        }
        match ask(client, name_servers, topic).await {
            Told::Route(route) => Some(self.keep(topic, Route::new(topic, &route))),
            // The route of a retry topic comes and goes with its group; what was known is kept, as in Java.
            Told::NoSuchTopic if !topic.starts_with(RETRY_PREFIX) => {
                self.routes.lock().remove(topic);
                None
            }
            Told::NoSuchTopic | Told::Silence => known.map(|(route, _)| route),
        }
    }

    fn keep(&self, topic: &str, route: Route) -> Arc<Route> {
        let route = Arc::new(route);
        let mut routes = self.routes.lock();
        if routes.len() >= TOPICS_MAX && !routes.contains_key(topic) {
            routes.retain(|_, known| known.asked.elapsed() < FRESH);
        }
        if routes.len() < TOPICS_MAX {
            routes.insert(topic.to_owned(), Known { route: route.clone(), asked: Instant::now() });
        }
        route
    }
}

/// Asks name servers of a topic, one after another.
pub async fn ask(client: &Client, name_servers: &[String], topic: &str) -> Told {
    let header = GetRouteInfoRequestHeader { topic: topic.to_owned(), accept_standard_json_only: None };
    for address in name_servers {
        let request = RemotingCommand::request_with(RequestCode::GetRouteInfoByTopic, &header);
        let answer = match client.invoke(address, request, TIMEOUT).await {
            Ok(answer) => answer,
            Err(error) => {
                debug!(topic, address, %error, "no route");
                continue;
            }
        };
        if answer.code == ResponseCode::TopicNotExist as i32 {
            return Told::NoSuchTopic;
        }
        match TopicRouteData::decode(&answer.body) {
            Ok(route) if answer.code == ResponseCode::Success as i32 => return Told::Route(route),
            _ => debug!(topic, address, code = answer.code, "no route"),
        }
    }
    Told::Silence
}

impl Route {
    fn new(topic: &str, route: &TopicRouteData) -> Self {
        let has_master = |name: &str| {
            let mut brokers = route.broker_datas.iter();
            brokers.any(|broker| broker.broker_name == name && broker.broker_addrs.contains_key(&MASTER_ID))
        };
        let readable = route.queue_datas.iter().filter(|queues| queues.perm & PERM_READ != 0);
        let writable = route.queue_datas.iter().filter(|queues| queues.perm & PERM_WRITE != 0);
        let writable = writable.filter(|queues| has_master(&queues.broker_name));
        Self {
            readable: in_order(topic, readable.map(|queues| (queues.broker_name.as_str(), queues.read_queue_nums))),
            writable: in_order(topic, writable.map(|queues| (queues.broker_name.as_str(), queues.write_queue_nums))),
        }
    }
}

/// Queues of brokers that have so many.
fn in_order<'a>(topic: &str, brokers: impl Iterator<Item = (&'a str, i32)>) -> Vec<MessageQueue> {
    let of_broker = |(broker, count): (&'a str, i32)| {
        (0..count.min(QUEUES_MAX)).map(move |id| MessageQueue::new(topic, broker, id))
    };
    let mut queues: Vec<MessageQueue> = brokers.flat_map(of_broker).collect();
    queues.sort_unstable();
    queues.dedup();
    queues
}

#[cfg(test)]
mod tests {
    use hypergol_remoting::client::NoRequests;
    use hypergol_remoting::protocol::body::route::QueueData;
    use hypergol_remoting::{Handler, Limits, Responder, Server};

    use super::*;

    fn queues_of(broker: &str, count: i32, perm: i32) -> QueueData {
        QueueData { broker_name: broker.into(), read_queue_nums: count, perm, ..QueueData::default() }
    }

    #[test]
    fn readable_queues_in_order() {
        let route = TopicRouteData {
            queue_datas: vec![queues_of("b", 2, 6), queues_of("c", 1, 2), queues_of("a", 1, 4)],
            ..TopicRouteData::default()
        };
        let expected = [MessageQueue::new("T", "a", 0), MessageQueue::new("T", "b", 0), MessageQueue::new("T", "b", 1)];
        assert_eq!(Route::new("T", &route).readable, expected);
        assert!(Route::new("T", &route).writable.is_empty(), "no broker has a master");
    }

    /// Knows the topic `T` once, then nothing.
    struct ForgetfulNameServer(Mutex<bool>);

    impl Handler for ForgetfulNameServer {
        fn request(&self, request: RemotingCommand, responder: Responder) {
            let known = std::mem::replace(&mut *self.0.lock(), false);
            if known && request.fields.get("topic") == Some("T") {
                let route = TopicRouteData { queue_datas: vec![queues_of("b", 1, 6)], ..TopicRouteData::default() };
                responder.send(RemotingCommand::success().with_body(route.encode()));
            } else {
                responder.error(ResponseCode::TopicNotExist, "no such topic");
            }
        }
    }

    #[tokio::test]
    async fn a_fresh_route_is_not_asked_for_again() {
        let handler = Arc::new(ForgetfulNameServer(Mutex::new(true)));
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), handler, Limits::default()).unwrap();
        let client = Client::new(Arc::new(NoRequests), Limits::default());
        let silent = "127.0.0.1:1".to_owned();
        let name_servers = [silent, server.local_addr().to_string()];
        let routes = TopicRoutes::default();
        let expected = vec![MessageQueue::new("T", "b", 0)];
        for _ in 0..2 {
            assert_eq!(routes.route(&client, &name_servers, "T").await.unwrap().readable, expected);
        }
        assert!(routes.route(&client, &name_servers, "unknown").await.is_none());
        routes.routes.lock().get_mut("T").unwrap().asked -= FRESH;
        assert!(routes.route(&client, &name_servers, "T").await.is_none(), "the topic is gone");
    }
}
