//! Attributes of topics and groups that make them lite. Java: `LiteMetadataUtil`, `SubscriptionGroupConfig`.

use std::collections::BTreeMap;

use hypergol_remoting::protocol::body::group::SubscriptionGroupConfig;
use hypergol_remoting::protocol::body::topic::TopicConfig;

use crate::groups::Groups;
use crate::topics::Topics;

/// Whether a topic is a parent of lite topics.
pub fn is_parent(topic: &TopicConfig) -> bool {
    topic.attributes.get("message.type").is_some_and(|kind| kind == "LITE")
}

/// Minutes after which an idle lite topic of a parent goes; -1 for never.
pub fn ttl_minutes(topic: &TopicConfig) -> i32 {
    topic.attributes.get("lite.topic.expiration").and_then(|text| text.parse().ok()).unwrap_or(-1)
}

/// The parent topic whose lite topics a group consumes.
pub fn bind_topic(group: &SubscriptionGroupConfig) -> Option<&str> {
    group.attributes.get("lite.bind.topic").map(String::as_str).filter(|topic| !topic.is_empty())
}

/// Whether a lite topic has one subscriber in a group: the newest.
pub fn is_exclusive(group: &SubscriptionGroupConfig) -> bool {
    group.attributes.get("lite.sub.model").is_some_and(|model| model == "Exclusive")
}

/// Whether a group begins a lite topic again when its subscriber is replaced.
pub fn resets_when_replaced(group: &SubscriptionGroupConfig) -> bool {
    is_true(group, "lite.sub.reset.offset.exclusive")
}

/// Whether a group begins a lite topic again after a subscriber left it.
pub fn resets_on_unsubscribe(group: &SubscriptionGroupConfig) -> bool {
    is_true(group, "lite.sub.reset.offset.unsubscribe")
}

/// Whether a group's clients consume all lite topics of the parent.
pub fn is_wildcard(group: &SubscriptionGroupConfig) -> bool {
    group.attributes.contains_key("lite.sub.wildcard")
}

/// Events that a client of a group may have; `None` where the group does not say.
pub fn events_max(group: &SubscriptionGroupConfig) -> Option<usize> {
    group.attributes.get("lite.sub.client.max.event.cnt")?.parse().ok().filter(|count| *count > 0)
}

/// Every parent topic with its [`ttl_minutes`].
pub fn parents(topics: &Topics) -> BTreeMap<String, i32> {
    let all = topics.names().into_iter().filter_map(|name| topics.get(&name));
    all.filter(|topic| is_parent(topic)).map(|topic| (topic.topic_name.clone(), ttl_minutes(&topic))).collect()
}

/// Every parent topic that groups are bound to, with these in order.
pub fn groups_of_parents(groups: &Groups) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for group in groups.names().into_iter().filter_map(|name| groups.get(&name)) {
        if let Some(parent) = bind_topic(&group) {
            found.entry(parent.to_owned()).or_default().push(group.group_name.clone());
        }
    }
    found.values_mut().for_each(|groups| groups.sort_unstable());
    found
}

fn is_true(group: &SubscriptionGroupConfig, name: &str) -> bool {
    group.attributes.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
