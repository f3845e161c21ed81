//! Subscription groups: their settings, kept in `config/subscriptionGroup.json`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dashmap::DashMap;
use hypergol_remoting::protocol::body::group::{SubscriptionGroupConfig, SubscriptionGroupWrapper};
use hypergol_remoting::protocol::body::topic::DataVersion;
use hypergol_remoting::protocol::fastjson::Body;
use hypergol_store::light;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::config::BrokerKeys;
use crate::error::BrokerError;
use crate::names;
use crate::persist::{self, ConfigFile, ConfigWriter, WrittenCallback};

/// Name of the file.
const FILE: &str = "subscriptionGroup.json";
/// Groups that a broker has from its first start. Java: `SubscriptionGroupManager.init`.
const SYSTEM_GROUPS: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];
/// Bit of the forbidden table: reading. Java: `PermName.INDEX_PERM_READ`.
pub const FORBIDDEN_READ: i32 = 1 << 2;

/// All groups of this broker.
pub struct Groups {
    table: Arc<Table>,
    file: ConfigFile,
    /// `enableLmq`: every name of a light queue is a group with the settings of a new one, without being kept.
    light: bool,
    change: Mutex<()>,
}

struct Table {
    groups: DashMap<String, Arc<SubscriptionGroupConfig>>,
    /// Group to topic to bits of what is forbidden.
    forbidden: Mutex<BTreeMap<String, BTreeMap<String, i32>>>,
    version: Mutex<DataVersion>,
}

impl Table {
    fn wrapper(&self) -> SubscriptionGroupWrapper {
        let data_version = self.version.lock().clone();
        let groups = self.groups.iter().map(|e| (e.key().clone(), SubscriptionGroupConfig::clone(e.value())));
        SubscriptionGroupWrapper {
            data_version,
            subscription_group_table: groups.collect(),
            forbidden_table: self.forbidden.lock().clone(),
        }
    }
}

impl Groups {
    /// Loads `config/subscriptionGroup.json` of `folder` over the system's groups. `light`: names of light queues are
    /// groups, too.
    ///
    /// # Errors
    /// [`BrokerError::Damaged`].
    pub fn load(folder: &Path, writer: &ConfigWriter, light: bool) -> Result<Self, BrokerError> {
        let groups = DashMap::new();
        for name in SYSTEM_GROUPS {
            groups.insert(name.to_owned(), Arc::new(SubscriptionGroupConfig::new(name)));
        }
        let mut version = DataVersion::default();
        let mut forbidden = BTreeMap::new();
        if let Some(loaded) = persist::load::<SubscriptionGroupWrapper>(folder, FILE)? {
            version = loaded.data_version;
            forbidden = loaded.forbidden_table;
            for (name, mut group) in loaded.subscription_group_table {
                if let Err(reason) = names::check_group(&name) {
                    warn!(group = name, reason, "group of an illegal name left out");
                    continue;
                }
                group.group_name.clone_from(&name);
                groups.insert(name, Arc::new(group));
            }
        }
        let table = Arc::new(Table { groups, forbidden: Mutex::new(forbidden), version: Mutex::new(version) });
        let file = writer.file(FILE, {
            let table = table.clone();
            move || table.wrapper().encode_pretty()
        });
        Ok(Self { table, file, light, change: Mutex::default() })
    }

    /// The settings of a group, if there is one.
    pub fn get(&self, name: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        if self.is_light(name) {
            return light::is_legal(name).then(|| Arc::new(SubscriptionGroupConfig::new(name)));
        }
        self.table.groups.get(name).map(|group| group.value().clone())
    }

    fn is_light(&self, name: &str) -> bool {
        self.light && light::is_light(name)
    }

    /// The settings of a group, which is created where the configuration allows it and the name is legal.
    pub fn find_or_create(&self, config: &BrokerKeys, name: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(group) = self.get(name) {
            return Some(group);
        }
        let allowed =
            config.auto_create_subscription_group || (config.enable_create_sys_group && names::is_system_group(name));
        if !allowed || names::check_group(name).is_err() {
            return None;
        }
        let _change = self.change.lock();
        if let Some(group) = self.get(name) {
            return Some(group);
        }
        let group = self.insert(SubscriptionGroupConfig::new(name));
        self.file.changed();
        Some(group)
    }

    /// Creates groups or replaces their settings; `written` is called when they are on disk. The caller has checked
    /// the names and worked out the attributes. Settings of light queues are passed over, as in Java.
    pub fn update(&self, groups: Vec<SubscriptionGroupConfig>, written: WrittenCallback) {
        let change = self.change.lock();
        for group in groups.into_iter().filter(|group| !self.is_light(&group.group_name)) {
            self.insert(group);
        }
        drop(change);
        self.file.written(written);
    }

    /// Removes a group; false when there is none. `written` is called when that is on disk.
    pub fn delete(&self, name: &str, written: WrittenCallback) -> bool {
        let change = self.change.lock();
        let removed = self.table.groups.remove(name).is_some();
        if removed {
            info!(group = name, "group deleted");
            self.table.version.lock().next_version(0);
        }
        drop(change);
        self.file.written(written);
        removed
    }

    /// Whether all bits of `what` are forbidden to a group for a topic.
    pub fn is_forbidden(&self, group: &str, topic: &str, what: i32) -> bool {
        self.forbidden(group, topic) & what == what
    }

    /// Bits of what is forbidden to a group for a topic.
    pub fn forbidden(&self, group: &str, topic: &str) -> i32 {
        let forbidden = self.table.forbidden.lock();
        forbidden.get(group).and_then(|topics| topics.get(topic)).copied().unwrap_or(0).max(0)
    }

    /// Sets the bits of what is forbidden to a group for a topic; without any the group's whole entry goes, as in
    /// Java.
    pub fn set_forbidden(&self, group: &str, topic: &str, bits: i32) {
        {
            let mut forbidden = self.table.forbidden.lock();
            if bits <= 0 {
                forbidden.remove(group);
                return;
            }
            forbidden.entry(group.to_owned()).or_default().insert(topic.to_owned(), bits);
        }
        self.table.version.lock().next_version(0);
        self.file.changed();
    }

    /// All groups with the version of the table: a copy.
    pub fn wrapper(&self) -> SubscriptionGroupWrapper {
        self.table.wrapper()
    }

    /// Names of all groups, in no order.
    pub fn names(&self) -> Vec<String> {
        self.table.groups.iter().map(|entry| entry.key().clone()).collect()
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.table.groups.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.table.groups.is_empty()
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.table.version.lock().clone()
    }

    fn insert(&self, group: SubscriptionGroupConfig) -> Arc<SubscriptionGroupConfig> {
        let group = Arc::new(group);
        let old = self.table.groups.insert(group.group_name.clone(), group.clone());
        self.table.version.lock().next_version(0);
        info!(?group, new = old.is_none(), "group created or changed");
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn groups_are_created_where_that_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let groups = Groups::load(folder.path(), &writer, false).unwrap();
        assert_eq!(groups.len(), 8);
        let mut config = BrokerKeys { auto_create_subscription_group: false, ..BrokerKeys::default() };
        assert!(groups.find_or_create(&config, "TOOLS_CONSUMER").is_some());
        assert!(groups.find_or_create(&config, "g").is_none());
        assert!(groups.find_or_create(&config, "CID_RMQ_SYS_x").is_some());
        config.auto_create_subscription_group = true;
        assert!(groups.find_or_create(&config, "../g").is_none());
        let group = groups.find_or_create(&config, "g").unwrap();
        assert_eq!((group.retry_max_times, group.consume_enable), (16, true));
        assert_eq!(groups.version().counter, 2);
    }

    #[test]
    fn light_queues_are_groups_that_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        assert!(Groups::load(folder.path(), &writer, false).unwrap().get("%LMQ%a").is_none());
        let groups = Groups::load(folder.path(), &writer, true).unwrap();
        assert!(groups.get("%LMQ%a").unwrap().consume_enable && groups.get("%LMQ%a/b").is_none());
        groups.update(vec![SubscriptionGroupConfig::new("%LMQ%a")], Box::new(|_| ()));
        assert_eq!(groups.len(), 8);
    }

    #[test]
    fn groups_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let groups = Groups::load(folder.path(), &writer, false).unwrap();
        let (done, wait) = mpsc::channel();
        let config = SubscriptionGroupConfig { retry_max_times: 3, ..SubscriptionGroupConfig::new("g") };
        groups.update(vec![config.clone()], Box::new(move |result| done.send(result).unwrap()));
        wait.recv().unwrap().unwrap();
        groups.set_forbidden("g", "T", FORBIDDEN_READ);
        assert!(groups.is_forbidden("g", "T", FORBIDDEN_READ));
        assert!(!groups.is_forbidden("g", "U", FORBIDDEN_READ));
        writer.shutdown();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let again = Groups::load(folder.path(), &writer, false).unwrap();
        assert_eq!(again.wrapper(), groups.wrapper());
        again.set_forbidden("g", "T", 0);
        assert_eq!(again.forbidden("g", "T"), 0);
    }
}
