//! Lite topics (5.5): any number of small topics below a parent topic of the type LITE. A lite topic is a light queue,
//! `%LMQ%$parent$lite`; it begins with its first message and goes when it has been idle for long enough.
//!
//! Clients of a group that is bound to the parent (`lite.bind.topic`) subscribe to lite topics one by one
//! ([`subscriptions`]). A message, or one that becomes visible again, is an event for one client of each group
//! ([`events`], [`dispatch`]); a client that pops gets the messages of the lite topics that it has events for, in order,
//! one batch of each lite topic at a time. [`lifecycle`] deletes what is idle, [`sharding`] tells which broker of a cluster
//! a lite topic belongs to, [`lag`] how far groups are behind.
//!
//! Nothing here outlives a restart but messages and committed offsets: clients subscribe anew.

pub mod attributes;
pub mod dispatch;
pub mod events;
pub mod lag;
pub mod lifecycle;
pub mod names;
pub mod sharding;
pub mod subscriptions;

use std::sync::Arc;

use hypergol_config::Live;

use self::events::Events;
use self::lag::OldestLags;
use self::lifecycle::Lifecycle;
use self::subscriptions::Subscriptions;
use crate::config::BrokerSettings;
use crate::groups::Groups;
use crate::pop::QueueKey;
use crate::pop::held::HeldPops;
use crate::pop::locks::PopLocks;
use crate::pop::order::Orders;

/// All of lite topics.
pub struct Lite {
    settings: Arc<Live<BrokerSettings>>,
    groups: Arc<Groups>,
    /// Who subscribes to what.
    pub subscriptions: Subscriptions,
    /// Lite topics that clients find messages in.
    pub events: Events,
    /// Pops that wait, each by the name of its client.
    pub held: Arc<HeldPops>,
    /// Lite topics that are being popped or acknowledged.
    pub locks: PopLocks,
    /// The last pop of each lite topic by each group.
    pub orders: Orders,
    /// Lite topics that groups are behind with for longest.
    pub lags: OldestLags,
    /// What expires.
    pub lifecycle: Lifecycle,
}

impl Lite {
    /// Nobody subscribes yet.
    pub fn new(settings: Arc<Live<BrokerSettings>>, groups: Arc<Groups>, held: Arc<HeldPops>) -> Self {
        Self {
            settings,
            groups,
            subscriptions: Subscriptions::default(),
            events: Events::default(),
            held,
            locks: PopLocks::default(),
            orders: Orders::in_memory(),
            lags: OldestLags::default(),
            lifecycle: Lifecycle::default(),
        }
    }

    /// Forgets what a group that is deleted has popped. Its clients find out by their next request.
    pub fn forget_group(&self, group: &str) {
        self.orders.forget(|key| &*key.group == group);
        self.lags.forget_group(group);
    }
}

/// What the pops of a client wait for.
pub fn held_key(client: &str) -> QueueKey {
    QueueKey::new(client, "", -1)
}
