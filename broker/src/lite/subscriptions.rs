//! Which clients subscribe to which lite topics. Java: `LiteSubscriptionRegistryImpl`.
//!
//! A client belongs to one group: that of its first subscription. A client of a wildcard group has the one subscription
//! `parent@group`, which stands for all lite topics of the parent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hypergol_remoting::Channel;
use parking_lot::Mutex;

use super::names;

/// A client of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Client id.
    pub client: Arc<str>,
    /// Consumer group.
    pub group: Arc<str>,
}

/// Who subscribes to what.
#[derive(Default)]
pub struct Subscriptions(Mutex<State>);

#[derive(Default)]
struct State {
    clients: HashMap<Arc<str>, Client>,
    /// Light queue, or what stands for all of a parent, to its subscribers.
    members: HashMap<Arc<str>, BTreeSet<Member>>,
    /// Parent topic to wildcard groups that have clients.
    wildcards: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Pairs of a client and what it subscribes to.
    active: usize,
}

struct Client {
    group: Arc<str>,
    parent: Arc<str>,
    queues: BTreeSet<Arc<str>>,
    channel: Channel,
    /// When it last changed its subscriptions, ms since 1970.
    updated_ms: i64,
}

/// A subscriber that had to make way for another.
pub struct Replaced {
    /// Who it was.
    pub member: Member,
    /// Its connection, to tell it.
    pub channel: Channel,
}

/// A client that subscribes.
pub struct Subscriber<'a> {
    /// Client id.
    pub client: &'a str,
    /// Consumer group.
    pub group: &'a str,
    /// Parent topic.
    pub parent: &'a str,
    /// Its connection.
    pub channel: &'a Channel,
}

/// What stands for all lite topics of a parent.
pub fn wildcard_of(parent: &str, group: &str) -> String {
    format!("{parent}@{group}")
}

impl Subscriptions {
    /// Adds subscriptions of a client; returns those that are new, with the client as their member.
    pub fn add(&self, subscriber: &Subscriber<'_>, queues: &[Arc<str>], now_ms: i64) -> (Member, Vec<Arc<str>>) {
        let mut state = self.0.lock();
        let client = match state.clients.get_key_value(subscriber.client) {
            Some((known, _)) => known.clone(),
            None => subscriber.client.into(),
        };
        let entry = state.clients.entry(client.clone()).or_insert_with(|| Client {
            group: subscriber.group.into(),
            parent: subscriber.parent.into(),
            queues: BTreeSet::new(),
            channel: subscriber.channel.clone(),
            updated_ms: now_ms,
        });
        entry.updated_ms = now_ms;
        entry.channel = subscriber.channel.clone();
        entry.queues.extend(queues.iter().cloned());
        let (parent, member) = (entry.parent.clone(), Member { client, group: entry.group.clone() });
        let mut new = Vec::new();
        for queue in queues {
            if state.members.entry(queue.clone()).or_default().insert(member.clone()) {
                new.push(queue.clone());
            }
            if !names::is_lite(queue) {
                state.wildcards.entry(parent.clone()).or_default().insert(member.group.clone());
            }
        }
        state.active += new.len();
        (member, new)
    }

    /// Removes subscriptions of a client; returns those that it had, with the client as their member.
    pub fn remove(&self, client: &str, queues: &[Arc<str>], now_ms: i64) -> Option<(Member, Vec<Arc<str>>)> {
        let mut state = self.0.lock();
        let (known, entry) = state.clients.get_key_value(client)?;
        let member = Member { client: known.clone(), group: entry.group.clone() };
        if let Some(entry) = state.clients.get_mut(client) {
            entry.updated_ms = now_ms;
            queues.iter().for_each(|queue| {
                entry.queues.remove(queue);
            });
        }
        let removed = queues.iter().filter(|queue| state.leave(queue, &member)).cloned().collect();
        Some((member, removed))
    }

    /// Removes a client; returns its group.
    pub fn remove_client(&self, client: &str) -> Option<Arc<str>> {
        let mut state = self.0.lock();
        let (client, entry) = state.clients.remove_entry(client)?;
        let member = Member { client, group: entry.group };
        for queue in entry.queues {
            state.leave(&queue, &member);
        }
        Some(member.group)
    }

    /// Removes the subscribers of a group to a light queue, other than `client`.
    pub fn replace(&self, group: &str, queue: &str, client: &str) -> Vec<Replaced> {
        let mut state = self.0.lock();
        let members: Vec<Member> = state.members.get(queue).into_iter().flatten().cloned().collect();
        let mut replaced = Vec::new();
        for member in members.into_iter().filter(|member| &*member.group == group && &*member.client != client) {
            if let Some(entry) = state.clients.get_mut(&member.client) {
                entry.queues.remove(queue);
                let (channel, is_idle) = (entry.channel.clone(), entry.queues.is_empty());
                if is_idle {
                    state.clients.remove(&member.client);
                }
                replaced.push(Replaced { member: member.clone(), channel });
            }
            state.leave(queue, &member);
        }
        replaced
    }

    /// Removes everybody's subscription to a light queue.
    pub fn forget_queue(&self, queue: &str) {
        let mut state = self.0.lock();
        for member in state.members.remove(queue).unwrap_or_default() {
            state.active -= 1;
            if let Some(entry) = state.clients.get_mut(&member.client) {
                entry.queues.remove(queue);
            }
        }
    }

    /// What a client subscribes to; `None` for a client that is not known.
    pub fn of_client(&self, client: &str) -> Option<Vec<Arc<str>>> {
        self.0.lock().clients.get(client).map(|client| client.queues.iter().cloned().collect())
    }

    /// The clients of a group.
    pub fn clients_of(&self, group: &str) -> Vec<Arc<str>> {
        let state = self.0.lock();
        let of_group = state.clients.iter().filter(|(_, client)| &*client.group == group);
        of_group.map(|(client, _)| client.clone()).collect()
    }

    /// Subscribers of one group to a light queue.
    pub fn members(&self, group: &str, queue: &str) -> Vec<Member> {
        let state = self.0.lock();
        let members = state.members.get(queue).into_iter().flatten();
        members.filter(|member| &*member.group == group).cloned().collect()
    }

    /// Subscribers to a light queue, by group; those of wildcard groups among them.
    pub fn members_by_group(&self, queue: &str) -> BTreeMap<Arc<str>, Vec<Member>> {
        let state = self.0.lock();
        let mut found: BTreeMap<Arc<str>, Vec<Member>> = BTreeMap::new();
        for member in state.members.get(queue).into_iter().flatten() {
            found.entry(member.group.clone()).or_default().push(member.clone());
        }
        let parent = names::split(queue).map(|(parent, _)| parent);
        let wildcards = parent.and_then(|parent| state.wildcards.get_key_value(parent));
        for (parent, group) in
            wildcards.into_iter().flat_map(|(parent, groups)| groups.iter().map(move |g| (parent, g)))
        {
            let members = state.members.get(wildcard_of(parent, group).as_str()).into_iter().flatten();
            found.entry(group.clone()).or_insert_with(|| members.cloned().collect());
        }
        found
    }

    /// Clients that did not change their subscriptions since `since_ms`.
    pub fn silent(&self, since_ms: i64) -> Vec<Arc<str>> {
        let state = self.0.lock();
        state.clients.iter().filter(|(_, client)| client.updated_ms < since_ms).map(|(name, _)| name.clone()).collect()
    }

    /// Number of pairs of a client and what it subscribes to.
    pub fn active(&self) -> usize {
        self.0.lock().active
    }

    /// Number of clients.
    pub fn clients(&self) -> usize {
        self.0.lock().clients.len()
    }
}

impl State {
    /// Takes a member from a queue; false when it is none.
    fn leave(&mut self, queue: &str, member: &Member) -> bool {
        let Some(members) = self.members.get_mut(queue) else { return false };
        let left = members.remove(member);
        if left {
            self.active -= 1;
        }
        if members.is_empty() {
            self.members.remove(queue);
            if let Some((parent, group)) = queue.split_once('@').filter(|_| !names::is_lite(queue))
                && let Some(groups) = self.wildcards.get_mut(parent)
            {
                groups.remove(group);
                if groups.is_empty() {
                    self.wildcards.remove(parent);
                }
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::testing::channels;

    fn names_of(queues: &[&str]) -> Vec<Arc<str>> {
        queues.iter().map(|queue| Arc::from(*queue)).collect()
    }

    #[tokio::test]
    async fn subscriptions_come_and_go_and_are_counted() {
        let channels = channels(1).await;
        let channel = &channels.channels[0];
        let subscriptions = Subscriptions::default();
        let add = |client, group, queues: &[&str]| {
            let subscriber = Subscriber { client, group, parent: "p", channel };
            subscriptions.add(&subscriber, &names_of(queues), 10).1.len()
        };
        assert_eq!(add("a", "g", &["%LMQ%$p$1", "%LMQ%$p$2"]), 2);
        assert_eq!(add("a", "other", &["%LMQ%$p$1"]), 0, "a client keeps its group");
        assert_eq!(add("b", "g", &["%LMQ%$p$1"]), 1);
        assert_eq!(add("w", "wg", &["p@wg"]), 1);
        assert_eq!((subscriptions.active(), subscriptions.clients()), (4, 3));
        let by_group = subscriptions.members_by_group("%LMQ%$p$1");
        let counts: Vec<_> = by_group.iter().map(|(group, members)| (&**group, members.len())).collect();
        assert_eq!(counts, [("g", 2), ("wg", 1)]);
        assert_eq!(subscriptions.replace("g", "%LMQ%$p$1", "b").len(), 1);
        assert_eq!(subscriptions.of_client("a").unwrap(), names_of(&["%LMQ%$p$2"]));
        subscriptions.forget_queue("%LMQ%$p$2");
        assert_eq!(subscriptions.of_client("a").unwrap(), names_of(&[]));
        assert_eq!(subscriptions.remove("b", &names_of(&["%LMQ%$p$1", "%LMQ%$p$9"]), 20).unwrap().1.len(), 1);
        assert_eq!(subscriptions.remove_client("w").as_deref(), Some("wg"));
        assert_eq!(subscriptions.active(), 0);
        assert!(subscriptions.members_by_group("%LMQ%$p$1").is_empty());
        assert_eq!(subscriptions.silent(15), names_of(&["a"]));
        assert!(subscriptions.0.lock().wildcards.is_empty() && subscriptions.0.lock().members.is_empty());
    }
}
