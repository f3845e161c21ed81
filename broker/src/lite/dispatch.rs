//! Which client is told of a lite topic with messages: one of each group that subscribes to it, with room for it, that
//! pops. Java: `LiteEventDispatcher`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hypergol_remoting::protocol::body::lite::{OffsetOption, OffsetOptionType};

use super::events::{Orphans, Readiness};
use super::subscriptions::Member;
use super::{Lite, attributes, held_key, names};
use crate::context::{Broker, now_ms};
use crate::pop::QueueKey;

/// Delay of a look at all lite topics for a new client of a wildcard group. Java: 5 s.
const WILDCARD_DELAY: Duration = Duration::from_secs(5);
/// Random addition to a delay, so that clients are not looked at all at once. Java: 15 s.
const SPREAD_MS: u64 = 15_000;
/// The same for one that has much to do. Java: 10 s.
const BUSY_SPREAD_MS: u64 = 10_000;
/// While a client is looked at, it is woken after so many events. Java: 10.
const WAKE_EVERY: usize = 10;
/// Value of an offset option of the kind POLICY: from the first message.
const POLICY_MIN: i64 = 1;
/// The same: from the next message.
const POLICY_MAX: i64 = 2;

impl Lite {
    /// Messages came to a lite topic. Runs on the store's thread.
    pub fn arrived(&self, queue: &str) {
        if !self.settings.load().broker.enable_lite_event_mode {
            return;
        }
        let groups = self.subscriptions.members_by_group(queue);
        if groups.is_empty() {
            return;
        }
        let queue: Arc<str> = queue.into();
        for members in groups.values() {
            self.tell_one(&queue, members, None);
        }
    }

    /// A group may find messages in a lite topic again; `not_to` had its chance.
    pub fn available(&self, group: &str, queue: &str, not_to: Option<&str>) {
        if !self.settings.load().broker.enable_lite_event_mode {
            return;
        }
        let members = match names::split(queue) {
            Some((parent, _)) if self.is_wildcard(group) => {
                self.subscriptions.members(group, &super::subscriptions::wildcard_of(parent, group))
            }
            _ => self.subscriptions.members(group, queue),
        };
        self.tell_one(&queue.into(), &members, not_to);
    }

    /// Gives an event to one of the members of a group; false when none has room.
    fn tell_one(&self, queue: &Arc<str>, members: &[Member], not_to: Option<&str>) -> bool {
        let Some(first) = members.first() else { return true };
        let group = &first.group;
        let is_wildcard = self.is_wildcard(group);
        let start = rand::random_range(0..members.len());
        let (tail, head) = members.split_at(start);
        let mut later = Vec::new();
        let mut told = None;
        for member in head.iter().chain(tail) {
            let avoided = self.events.is_avoided(&member.client);
            if not_to == Some(&*member.client) || (avoided && !is_wildcard) {
                later.push(member);
            } else if !avoided && self.offer(queue, member, !is_wildcard) {
                told = Some(member);
                break;
            }
        }
        let told = told.or_else(|| later.into_iter().find(|member| self.offer(queue, member, !is_wildcard)));
        match told {
            Some(member) => {
                self.held.wake(&held_key(&member.client));
            }
            None if is_wildcard => {
                let delay = self.settings.load().broker.lite_event_full_dispatch_delay_time_for_wildcard_group;
                self.look_at_wildcard_later(group, millis(delay));
            }
            None => {}
        }
        told.is_some()
    }

    fn offer(&self, queue: &Arc<str>, member: &Member, looks_later: bool) -> bool {
        let room = || self.events_max(&member.group);
        if self.events.offer(&member.client, &member.group, queue, room) {
            return true;
        }
        if looks_later {
            let avoided = self.events.is_avoided(&member.client);
            self.look_later(member, if avoided { SPREAD_MS } else { 0 });
        }
        false
    }

    fn look_later(&self, member: &Member, spread_ms: u64) {
        let delay = millis(self.settings.load().broker.lite_event_full_dispatch_delay_time);
        let spread = Duration::from_millis(rand::random_range(0..=spread_ms));
        self.events.look_later(member.client.clone(), member.group.clone(), delay + spread);
    }

    fn look_at_wildcard_later(&self, group: &Arc<str>, delay: Duration) {
        // No client has this name: `$` stands in none.
        self.events.look_later(format!("${group}$").into(), group.clone(), delay);
    }

    /// A client subscribed to something.
    pub fn subscribed(&self, broker: &Broker, member: &Member, queue: &str) {
        if self.is_wildcard(&member.group) {
            self.look_at_wildcard_later(&member.group, WILDCARD_DELAY);
        } else if broker.store.max_offset(queue, 0) > 0 {
            self.available(&member.group, queue, None);
        }
    }

    /// Forgets a client. Others get its events.
    pub fn remove_client(&self, client: &str) {
        if self.subscriptions.remove_client(client).is_some()
            && let Some(orphans) = self.events.remove(client)
        {
            self.adopt(orphans);
        }
    }

    fn adopt(&self, orphans: Orphans) {
        for queue in orphans.queues {
            self.available(&orphans.group, &queue, Some(&orphans.client));
        }
    }

    /// Passes on the events of clients that do not pop, and looks at clients that are due.
    pub fn scan(&self, broker: &Broker) {
        let now = Instant::now();
        for orphans in self.events.remove_inactive(now) {
            self.adopt(orphans);
        }
        while let Some((client, group)) = self.events.due_look(now) {
            if self.is_wildcard(&group) {
                self.look_at_wildcard(broker, &group);
            } else {
                self.look_at(broker, &client, &group);
            }
        }
    }

    /// Looks at all clients of a group.
    pub fn look_at_group(&self, broker: &Broker, group: &str) {
        if self.is_wildcard(group) {
            return self.look_at_wildcard(broker, group);
        }
        for client in self.subscriptions.clients_of(group) {
            self.look_at(broker, &client, group);
        }
    }

    /// Gives a client events for all of its lite topics in which it finds messages.
    pub fn look_at(&self, broker: &Broker, client: &str, group: &str) {
        let queues = self.subscriptions.of_client(client).unwrap_or_default();
        if queues.is_empty() || !self.settings.load().broker.enable_lite_event_mode {
            return;
        }
        let member = Member { client: client.into(), group: group.into() };
        let now = Instant::now();
        let is_active = self.events.is_active(client, now);
        match self.events.readiness(client, now) {
            Readiness::Ready => {}
            Readiness::Inactive => return self.look_later(&member, SPREAD_MS),
            Readiness::Busy => return self.look_later(&member, if is_active { 0 } else { BUSY_SPREAD_MS }),
        }
        let mut told = 0;
        for queue in queues.iter().filter(|queue| is_behind(broker, group, queue)) {
            if !self.events.offer(&member.client, &member.group, queue, || self.events_max(group)) {
                self.look_later(&member, if is_active { 0 } else { SPREAD_MS });
                break;
            }
            told += 1;
            if told % WAKE_EVERY == 1 {
                self.held.wake(&held_key(client));
            }
        }
        self.held.wake(&held_key(client));
    }

    /// Gives the clients of a wildcard group events for all lite topics of its parent in which it finds messages.
    fn look_at_wildcard(&self, broker: &Broker, group: &str) {
        let Some(config) = self.groups.get(group).filter(|config| attributes::is_wildcard(config)) else { return };
        let Some(parent) = attributes::bind_topic(&config) else { return };
        let members = self.subscriptions.members(group, &super::subscriptions::wildcard_of(parent, group));
        if members.is_empty() || !self.settings.load().broker.enable_lite_event_mode {
            return;
        }
        for (queue, _) in broker.store.topics().into_iter().filter(|(queue, _)| names::belongs_to(queue, parent)) {
            if is_behind(broker, group, &queue) && !self.tell_one(&queue.into(), &members, None) {
                return;
            }
        }
    }

    /// Has a group begin a lite topic where a client wants it to; what it has popped counts no more.
    pub fn begin_at(&self, broker: &Broker, group: &str, queue: &str, option: &OffsetOption) {
        let current = broker.offsets.committed(queue, group, 0, true).unwrap_or(-1);
        let target = match (option.kind, option.value) {
            (Some(OffsetOptionType::Policy), POLICY_MIN) => Some(0),
            (Some(OffsetOptionType::Policy), POLICY_MAX) => Some(broker.store.max_offset(queue, 0)),
            (Some(OffsetOptionType::Offset), offset) => Some(offset),
            (Some(OffsetOptionType::TailN), count) if current >= 0 => Some(current.saturating_sub(count).max(0)),
            // Java passes over times, too.
            _ => None,
        };
        if let Some(target) = target.filter(|target| *target >= 0 && *target != current) {
            broker.offsets.reset(queue, group, 0, target);
            self.orders.clear(&QueueKey::new(queue, group, 0));
        }
    }

    /// Forgets clients that have been silent for too long (`liteSubscriptionCheckTimeoutMills`).
    pub fn expire_clients(&self) {
        let timeout = self.settings.load().broker.lite_subscription_check_timeout_mills;
        for client in self.subscriptions.silent(now_ms().saturating_sub(timeout)) {
            self.remove_client(&client);
        }
    }

    fn is_wildcard(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| attributes::is_wildcard(&group))
    }

    fn events_max(&self, group: &str) -> usize {
        let of_group = self.groups.get(group).and_then(|group| attributes::events_max(&group));
        let default = || usize::try_from(self.settings.load().broker.max_client_event_count).unwrap_or(1);
        of_group.unwrap_or_else(default).min(super::events::ROOM_MAX)
    }
}

fn is_behind(broker: &Broker, group: &str, queue: &str) -> bool {
    let max = broker.store.max_offset(queue, 0);
    max > 0 && broker.offsets.committed(queue, group, 0, true).is_none_or(|offset| offset < max)
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}
