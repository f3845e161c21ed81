//! Producers that are connected: who may be asked about a transaction, and who is shown to administrators.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hypergol_remoting::Channel;
use parking_lot::Mutex;

use crate::clients::{ClientInfo, GROUPS_PER_CHANNEL_MAX};

/// All producers, by group.
#[derive(Default)]
pub struct Producers {
    table: Mutex<Table>,
    /// Counts choices of a channel, so that the members of a group take turns.
    turn: AtomicUsize,
}

#[derive(Default)]
struct Table {
    /// Group to connection id to client.
    groups: HashMap<String, HashMap<u64, ClientInfo>>,
    /// Connection of a client id: the newest one.
    clients: HashMap<String, Channel>,
    /// Connection id to its groups.
    channels: HashMap<u64, HashSet<String>>,
}

impl Producers {
    /// Notes a heartbeat. True when the client is new in the group.
    pub fn register(&self, group: &str, client: &ClientInfo) -> bool {
        let mut table = self.table.lock();
        let id = client.channel.id();
        if let Some(known) = table.groups.get_mut(group).and_then(|members| members.get_mut(&id)) {
            known.seen = client.seen;
            return false;
        }
        let groups = table.channels.entry(id).or_default();
        if groups.len() >= GROUPS_PER_CHANNEL_MAX {
            return false;
        }
        groups.insert(group.to_owned());
        table.groups.entry(group.to_owned()).or_default().insert(id, client.clone());
        table.clients.insert(client.client_id.clone(), client.channel.clone());
        true
    }

    /// Whether this connection is a member of the group.
    pub fn contains(&self, group: &str, channel: &Channel) -> bool {
        self.table.lock().groups.get(group).is_some_and(|members| members.contains_key(&channel.id()))
    }

    /// Forgets a producer that says goodbye.
    pub fn unregister(&self, group: &str, channel: &Channel) {
        self.table.lock().remove(group, channel.id());
    }

    /// Forgets everything on a connection that is gone.
    pub fn closed(&self, channel: &Channel) {
        let mut table = self.table.lock();
        for group in table.channels.remove(&channel.id()).unwrap_or_default() {
            table.remove(&group, channel.id());
        }
    }

    /// Forgets clients without a heartbeat for `timeout`; returns their connections, to be closed.
    pub fn expire(&self, now: Instant, timeout: Duration) -> Vec<Channel> {
        let mut table = self.table.lock();
        let expired: Vec<(String, Channel)> = table
            .groups
            .iter()
            .flat_map(|(group, members)| members.values().map(move |client| (group, client)))
            .filter(|(_, client)| client.expired(now, timeout))
            .map(|(group, client)| (group.clone(), client.channel.clone()))
            .collect();
        for (group, channel) in &expired {
            table.remove(group, channel.id());
        }
        expired.into_iter().map(|(_, channel)| channel).collect()
    }

    /// Whether the group has a member.
    pub fn is_online(&self, group: &str) -> bool {
        self.table.lock().groups.contains_key(group)
    }

    /// A connection to some member of the group; members take turns.
    pub fn available_channel(&self, group: &str) -> Option<Channel> {
        let table = self.table.lock();
        let members = table.groups.get(group)?;
        let open: Vec<&Channel> =
            members.values().map(|client| &client.channel).filter(|channel| !channel.is_closed()).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        open.get(turn.checked_rem(open.len())?).map(|channel| (*channel).clone())
    }

    /// The connection of a client.
    pub fn channel_of(&self, client_id: &str) -> Option<Channel> {
        self.table.lock().clients.get(client_id).cloned()
    }

    /// Members of a group; `None` when there are none.
    pub fn members(&self, group: &str) -> Option<Vec<ClientInfo>> {
        self.table.lock().groups.get(group).map(|members| members.values().cloned().collect())
    }

    /// Every group with its members.
    pub fn all(&self) -> BTreeMap<String, Vec<ClientInfo>> {
        let table = self.table.lock();
        table.groups.iter().map(|(group, members)| (group.clone(), members.values().cloned().collect())).collect()
    }

    /// Distinct connections with their clients.
    pub fn connections(&self) -> Vec<ClientInfo> {
        let table = self.table.lock();
        let by_channel: HashMap<u64, &ClientInfo> =
            table.groups.values().flatten().map(|(id, client)| (*id, client)).collect();
        by_channel.into_values().cloned().collect()
    }
}

impl Table {
    fn remove(&mut self, group: &str, channel: u64) {
        if let Some(groups) = self.channels.get_mut(&channel) {
            groups.remove(group);
            if groups.is_empty() {
                self.channels.remove(&channel);
            }
        }
        let Some(members) = self.groups.get_mut(group) else { return };
        let Some(client) = members.remove(&channel) else { return };
        if members.is_empty() {
            self.groups.remove(group);
        }
        let elsewhere = self.channels.contains_key(&channel);
        // The client may have come back on another connection before this one was seen to end.
        let newest = self.clients.get(&client.client_id).is_some_and(|newest| newest.id() == channel);
        if newest && !elsewhere {
            self.clients.remove(&client.client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::testing::{channels, client};

    #[tokio::test]
    async fn members_come_take_turns_and_go() {
        let made = channels(2).await;
        let (a, b) = (&made.channels[0], &made.channels[1]);
        let producers = Producers::default();
        assert!(producers.register("G", &client(a, "a")));
        assert!(!producers.register("G", &client(a, "a")), "a second heartbeat is nothing new");
        assert!(producers.register("G", &client(b, "b")));
        assert!(producers.register("H", &client(a, "a")));

        let first = producers.available_channel("G").unwrap();
        assert_ne!(producers.available_channel("G").unwrap(), first);
        assert_eq!(producers.available_channel("unknown"), None);
        assert_eq!(producers.connections().len(), 2);

        producers.unregister("G", a);
        assert_eq!(producers.members("G").unwrap().len(), 1);
        assert_eq!(producers.channel_of("a").as_ref(), Some(a), "still a member of H");
        producers.closed(a);
        assert!(!producers.is_online("H"));
        assert_eq!(producers.channel_of("a"), None);
        producers.closed(b);
        assert!(producers.all().is_empty());
        assert!(producers.table.lock().channels.is_empty());
    }

    #[tokio::test]
    async fn the_end_of_an_old_connection_leaves_the_new_one() {
        let made = channels(2).await;
        let producers = Producers::default();
        producers.register("G", &client(&made.channels[0], "same"));
        producers.register("G", &client(&made.channels[1], "same"));
        producers.closed(&made.channels[0]);
        assert_eq!(producers.channel_of("same").as_ref(), Some(&made.channels[1]));
    }

    #[tokio::test]
    async fn silent_clients_expire() {
        let made = channels(2).await;
        let producers = Producers::default();
        let silent = client(&made.channels[0], "silent");
        let timeout = Duration::from_secs(120);
        producers.register("G", &silent);
        let later = silent.seen + timeout + Duration::from_millis(1);
        producers.register("G", &ClientInfo { seen: later, ..client(&made.channels[1], "busy") });
        assert!(producers.expire(silent.seen + timeout, timeout).is_empty());
        assert_eq!(producers.expire(later, timeout), [made.channels[0].clone()]);
        assert_eq!(producers.members("G").unwrap().len(), 1);
    }
}
