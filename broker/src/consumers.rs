//! Consumers that are connected: members of groups and what the groups subscribe to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_remoting::Channel;
use hypergol_remoting::protocol::body::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use parking_lot::RwLock;

use crate::clients::{ClientInfo, GROUPS_PER_CHANNEL_MAX};

/// Subscriptions of one group; further topics of a heartbeat are left out. Java has no bound.
const SUBSCRIPTIONS_PER_GROUP_MAX: usize = 10_000;
/// Groups that are known only from their pulls; beyond it new ones are not noted.
const PULLING_GROUPS_MAX: usize = 100_000;
/// Fingerprints kept; beyond it those of groups without members are forgotten.
const FINGERPRINTS_MAX: usize = 100_000;

/// All consumer groups with connected members.
#[derive(Default)]
pub struct Consumers {
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    groups: HashMap<String, Group>,
    /// Connection id to its groups.
    channels: HashMap<u64, HashSet<String>>,
    /// Last heartbeat fingerprint of each group; 0 for heartbeats of version 1. Kept when the group goes, as in Java,
    /// so that a client that comes back learns whether its subscriptions are still the known ones.
    fingerprints: HashMap<String, i32>,
    /// Subscriptions of clients that pull without heartbeats, with when each was seen.
    pulling: HashMap<String, HashMap<String, (Arc<SubscriptionData>, Instant)>>,
}

/// How a group consumes; the last heartbeat of any member decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumeMode {
    /// Pull, push or pop.
    pub consume_type: Option<ConsumeType>,
    /// Clustering or broadcasting.
    pub message_model: Option<MessageModel>,
    /// Where a queue without offset is begun.
    pub consume_from_where: Option<ConsumeFromWhere>,
}

impl ConsumeMode {
    /// Whether every member gets every message.
    pub fn is_broadcasting(&self) -> bool {
        self.message_model == Some(MessageModel::Broadcasting)
    }
}

struct Group {
    mode: ConsumeMode,
    members: HashMap<u64, ClientInfo>,
    subscriptions: HashMap<String, Arc<SubscriptionData>>,
}

/// A group as administrators see it.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// How it consumes.
    pub mode: ConsumeMode,
    /// Its members.
    pub members: Vec<ClientInfo>,
    /// Its subscriptions.
    pub subscriptions: Vec<Arc<SubscriptionData>>,
}

/// A group whose members or subscriptions changed.
#[derive(Clone, Debug)]
pub struct GroupChange {
    /// Name of the group.
    pub group: String,
    /// How it consumes.
    pub mode: ConsumeMode,
    /// Connections of the members it has now.
    pub members: Vec<Channel>,
}

/// What a heartbeat says about one group.
#[derive(Debug)]
pub struct Registration<'a> {
    /// Name of the group.
    pub group: &'a str,
    /// The member.
    pub client: &'a ClientInfo,
    /// How it consumes.
    pub mode: ConsumeMode,
    /// All subscriptions of the group; `None` leaves them as they are (heartbeat v2 without subscriptions).
    pub subscriptions: Option<Vec<SubscriptionData>>,
}

impl Consumers {
    /// Notes a heartbeat. Returns the group when its members or the set of its topics changed.
    pub fn register(&self, registration: Registration<'_>) -> Option<GroupChange> {
        let Registration { group, client, mode, subscriptions } = registration;
        let id = client.channel.id();
        let mut table = self.table.write();
        let groups = table.channels.entry(id).or_default();
        if groups.len() >= GROUPS_PER_CHANNEL_MAX && !groups.contains(group) {
            return None;
        }
        groups.insert(group.to_owned());
        let entry = table.groups.entry(group.to_owned()).or_insert_with(|| Group::new(mode));
        entry.mode = mode;
        let joined = entry.members.insert(id, client.clone()).is_none();
        let resubscribed = subscriptions.is_some_and(|subscriptions| entry.subscribe(subscriptions));
        (joined || resubscribed).then(|| entry.change(group))
    }

    /// Replaces the fingerprint of a group; true when another one was known.
    pub fn swap_fingerprint(&self, group: &str, fingerprint: i32) -> bool {
        let mut table = self.table.write();
        match table.fingerprints.get_mut(group) {
            Some(known) => std::mem::replace(known, fingerprint) != fingerprint,
            None => {
                let Table { groups, fingerprints, .. } = &mut *table;
                if fingerprints.len() >= FINGERPRINTS_MAX {
                    fingerprints.retain(|known, _| groups.contains_key(known));
                }
                if fingerprints.len() < FINGERPRINTS_MAX {
                    fingerprints.insert(group.to_owned(), fingerprint);
                }
                false
            }
        }
    }

    /// Forgets a member that says goodbye; returns what is left of its group. Like Java, also when it was no member.
    pub fn unregister(&self, group: &str, channel: &Channel) -> Option<GroupChange> {
        self.table.write().remove(group, channel.id())
    }

    /// Forgets everything on a connection that is gone; returns what is left of its groups.
    pub fn closed(&self, channel: &Channel) -> Vec<GroupChange> {
        let mut table = self.table.write();
        let groups = table.channels.remove(&channel.id()).unwrap_or_default();
        groups.iter().filter_map(|group| table.remove(group, channel.id())).collect()
    }

    /// Connections without a heartbeat for `timeout`, to be closed; their members go with [`Consumers::closed`].
    pub fn expired(&self, now: Instant, timeout: Duration) -> Vec<Channel> {
        let table = self.table.read();
        let members = table.groups.values().flat_map(|group| group.members.values());
        members.filter(|client| client.expired(now, timeout)).map(|client| client.channel.clone()).collect()
    }

    /// The subscription of a group to a topic, as its heartbeats say.
    pub fn subscription(&self, group: &str, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.table.read().groups.get(group)?.subscriptions.get(topic).cloned()
    }

    /// The same, or else what clients that pull without heartbeats asked for.
    pub fn subscription_or_pulled(&self, group: &str, topic: &str) -> Option<Arc<SubscriptionData>> {
        let table = self.table.read();
        let known = table.groups.get(group).and_then(|group| group.subscriptions.get(topic));
        known.or_else(|| Some(&table.pulling.get(group)?.get(topic)?.0)).cloned()
    }

    /// How a group consumes; `None` without members.
    pub fn mode(&self, group: &str) -> Option<ConsumeMode> {
        self.table.read().groups.get(group).map(|group| group.mode)
    }

    /// Client ids of a group's members in order, each once; `None` without members.
    ///
    /// Java repeats the id of a client with two connections, which leaves queues to nobody while the older connection
    /// of a client that came back has not yet been seen to end.
    pub fn client_ids(&self, group: &str) -> Option<Vec<String>> {
        let table = self.table.read();
        let members = table.groups.get(group)?.members.values();
        let ids: BTreeSet<&String> = members.map(|client| &client.client_id).collect();
        Some(ids.into_iter().cloned().collect())
    }

    /// The connection of a member.
    pub fn channel_of(&self, group: &str, client_id: &str) -> Option<ClientInfo> {
        let table = self.table.read();
        table.groups.get(group)?.members.values().find(|client| client.client_id == client_id).cloned()
    }

    /// The member on a connection.
    pub fn member(&self, group: &str, channel: &Channel) -> Option<ClientInfo> {
        self.table.read().groups.get(group)?.members.get(&channel.id()).cloned()
    }

    /// A group in full; `None` without members.
    pub fn view(&self, group: &str) -> Option<GroupView> {
        let table = self.table.read();
        let group = table.groups.get(group)?;
        Some(GroupView {
            mode: group.mode,
            members: group.members.values().cloned().collect(),
            subscriptions: group.subscriptions.values().cloned().collect(),
        })
    }

    /// Number of topics that a group subscribes to.
    pub fn subscription_count(&self, group: &str) -> usize {
        self.table.read().groups.get(group).map_or(0, |group| group.subscriptions.len())
    }

    /// Names of the groups with members.
    pub fn groups(&self) -> Vec<String> {
        self.table.read().groups.keys().cloned().collect()
    }

    /// Groups with members that subscribe to a topic.
    pub fn groups_of_topic(&self, topic: &str) -> Vec<String> {
        let table = self.table.read();
        let groups = table.groups.iter().filter(|(_, group)| group.subscriptions.contains_key(topic));
        groups.map(|(name, _)| name.clone()).collect()
    }

    /// Notes the subscription of a client that pulls without heartbeats.
    pub fn note_pull(&self, group: &str, subscription: Arc<SubscriptionData>, now: Instant) {
        let mut table = self.table.write();
        if table.pulling.len() >= PULLING_GROUPS_MAX && !table.pulling.contains_key(group) {
            return;
        }
        let topics = table.pulling.entry(group.to_owned()).or_default();
        if topics.len() < SUBSCRIPTIONS_PER_GROUP_MAX || topics.contains_key(&subscription.topic) {
            topics.insert(subscription.topic.clone(), (subscription, now));
        }
    }

    /// Forgets what was noted by [`Consumers::note_pull`] longer than `timeout` ago.
    pub fn forget_pulled(&self, now: Instant, timeout: Duration) {
        self.table.write().pulling.retain(|_, topics| {
            topics.retain(|_, (_, seen)| now.saturating_duration_since(*seen) <= timeout);
            !topics.is_empty()
        });
    }
}

impl Table {
    fn remove(&mut self, group: &str, channel: u64) -> Option<GroupChange> {
        if let Some(groups) = self.channels.get_mut(&channel) {
            groups.remove(group);
            if groups.is_empty() {
                self.channels.remove(&channel);
            }
        }
        let entry = self.groups.get_mut(group)?;
        entry.members.remove(&channel);
        let change = entry.change(group);
        if entry.members.is_empty() {
            self.groups.remove(group);
        }
        Some(change)
    }
}

impl Group {
    fn new(mode: ConsumeMode) -> Self {
        Self { mode, members: HashMap::new(), subscriptions: HashMap::new() }
    }

    fn change(&self, group: &str) -> GroupChange {
        let members = self.members.values().map(|client| client.channel.clone()).collect();
        GroupChange { group: group.to_owned(), mode: self.mode, members }
    }

    /// Takes over the subscriptions: topics that are missing are dropped, known ones replaced by a newer version. True
    /// when the set of topics changed; a changed expression alone is no change (`ConsumerGroupInfo.updateSubscription`).
    fn subscribe(&mut self, subscriptions: Vec<SubscriptionData>) -> bool {
        let mut changed = false;
        let mut topics = HashSet::new();
        for subscription in subscriptions.into_iter().take(SUBSCRIPTIONS_PER_GROUP_MAX) {
            topics.insert(subscription.topic.clone());
            match self.subscriptions.get_mut(&subscription.topic) {
                None => {
                    self.subscriptions.insert(subscription.topic.clone(), Arc::new(subscription));
                    changed = true;
                }
                Some(known) if subscription.sub_version > known.sub_version => *known = Arc::new(subscription),
                Some(_) => {}
            }
        }
        let before = self.subscriptions.len();
        self.subscriptions.retain(|topic, _| topics.contains(topic));
        changed || self.subscriptions.len() != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::testing::{channels, client};

    const CLUSTERING: ConsumeMode = ConsumeMode {
        consume_type: Some(ConsumeType::ConsumePassively),
        message_model: Some(MessageModel::Clustering),
        consume_from_where: Some(ConsumeFromWhere::LastOffset),
    };

    fn subscription(topic: &str, expression: &str, version: i64) -> SubscriptionData {
        SubscriptionData {
            topic: topic.into(),
            sub_string: Some(expression.into()),
            sub_version: version,
            ..SubscriptionData::default()
        }
    }

    fn register(
        consumers: &Consumers,
        client: &ClientInfo,
        subscriptions: Option<Vec<SubscriptionData>>,
    ) -> Option<GroupChange> {
        consumers.register(Registration { group: "G", client, mode: CLUSTERING, subscriptions })
    }

    #[tokio::test]
    async fn members_join_and_leave() {
        let made = channels(2).await;
        let (a, b) = (client(&made.channels[0], "a"), client(&made.channels[1], "b"));
        let consumers = Consumers::default();
        let topics = || Some(vec![subscription("T", "*", 1)]);
        assert_eq!(register(&consumers, &a, topics()).unwrap().members.len(), 1);
        assert!(register(&consumers, &a, topics()).is_none(), "nothing new");
        assert_eq!(register(&consumers, &b, topics()).unwrap().members.len(), 2);
        assert_eq!(consumers.client_ids("G").unwrap(), ["a", "b"]);
        assert_eq!(consumers.groups_of_topic("T"), ["G"]);

        assert_eq!(consumers.unregister("G", &b.channel).unwrap().members, std::slice::from_ref(&a.channel));
        assert!(consumers.unregister("unknown", &b.channel).is_none());
        let left = consumers.closed(&a.channel);
        assert_eq!(left.len(), 1);
        assert!(left[0].members.is_empty());
        assert_eq!(consumers.client_ids("G"), None);
        assert!(consumers.subscription("G", "T").is_none());
        assert!(consumers.table.read().channels.is_empty());
        assert!(consumers.closed(&a.channel).is_empty());
    }

    #[tokio::test]
    async fn a_client_with_two_connections_is_listed_once() {
        let made = channels(2).await;
        let consumers = Consumers::default();
        register(&consumers, &client(&made.channels[0], "same"), None);
        register(&consumers, &client(&made.channels[1], "same"), None);
        assert_eq!(consumers.client_ids("G").unwrap(), ["same"]);
        assert_eq!(consumers.view("G").unwrap().members.len(), 2);
    }

    #[tokio::test]
    async fn a_newer_version_replaces_and_a_missing_topic_is_dropped() {
        let made = channels(1).await;
        let a = client(&made.channels[0], "a");
        let consumers = Consumers::default();
        register(&consumers, &a, Some(vec![subscription("T", "A", 5), subscription("U", "*", 5)]));

        assert!(register(&consumers, &a, Some(vec![subscription("T", "old", 4), subscription("U", "*", 5)])).is_none());
        assert_eq!(consumers.subscription("G", "T").unwrap().sub_string.as_deref(), Some("A"));

        let newer = vec![subscription("T", "B", 6), subscription("U", "*", 5)];
        assert!(register(&consumers, &a, Some(newer)).is_none(), "the set of topics is the same");
        assert_eq!(consumers.subscription("G", "T").unwrap().sub_string.as_deref(), Some("B"));

        assert!(register(&consumers, &a, Some(vec![subscription("T", "B", 6)])).is_some());
        assert!(consumers.subscription("G", "U").is_none());
        assert!(register(&consumers, &a, None).is_none());
        assert!(consumers.subscription("G", "T").is_some(), "a heartbeat without subscriptions keeps them");
    }

    #[test]
    fn a_changed_fingerprint_is_noticed() {
        let consumers = Consumers::default();
        assert!(!consumers.swap_fingerprint("G", 7), "none was known");
        assert!(!consumers.swap_fingerprint("G", 7));
        assert!(consumers.swap_fingerprint("G", 8));
    }

    #[tokio::test]
    async fn silent_members_expire() {
        let made = channels(1).await;
        let a = client(&made.channels[0], "a");
        let consumers = Consumers::default();
        register(&consumers, &a, None);
        let timeout = Duration::from_secs(120);
        assert!(consumers.expired(a.seen + timeout, timeout).is_empty());
        let later = a.seen + timeout + Duration::from_millis(1);
        assert_eq!(consumers.expired(later, timeout), std::slice::from_ref(&a.channel));
    }

    #[test]
    fn pulls_without_heartbeat_leave_a_subscription_for_a_while() {
        let consumers = Consumers::default();
        let now = Instant::now();
        consumers.note_pull("G", Arc::new(subscription("T", "A", 1)), now);
        assert!(consumers.subscription("G", "T").is_none());
        assert!(consumers.subscription_or_pulled("G", "T").is_some());
        let timeout = Duration::from_secs(600);
        consumers.forget_pulled(now + timeout, timeout);
        assert!(consumers.subscription_or_pulled("G", "T").is_some());
        consumers.forget_pulled(now + timeout + Duration::from_millis(1), timeout);
        assert!(consumers.subscription_or_pulled("G", "T").is_none());
    }
}
