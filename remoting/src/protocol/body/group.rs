//! Configuration of consumer groups.

use std::collections::BTreeMap;

use super::topic::DataVersion;
use crate::protocol::fastjson::{FromJson, JsonError, Reader, ToJson, Writer};
use crate::{body, json_enum};

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Delays of [`CustomizedRetryPolicy`] unless configured, in ms; the same as the delay levels 1 to 18.
const RETRY_DELAYS_MS: [i64; 18] = [
    SECOND_MS,
    5 * SECOND_MS,
    10 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    2 * MINUTE_MS,
    3 * MINUTE_MS,
    4 * MINUTE_MS,
    5 * MINUTE_MS,
    6 * MINUTE_MS,
    7 * MINUTE_MS,
    8 * MINUTE_MS,
    9 * MINUTE_MS,
    10 * MINUTE_MS,
    20 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
];

json_enum! {
    /// Which of a group's retry policies applies. Java's ordinals: exponential 0, customized 1.
    pub enum GroupRetryPolicyType {
        Exponential = "EXPONENTIAL",
        Customized = "CUSTOMIZED",
    }
}

body! {
    /// Configuration of a consumer group.
    #[derive(Eq)]
    pub struct SubscriptionGroupConfig {
        /// Attributes such as `lite.bind.topic`, without the `+` of the update request.
        "attributes" attributes: BTreeMap<String, String>,
        /// Broker to consume from.
        "brokerId" broker_id: i64,
        /// Whether broadcasting consumers may pull.
        "consumeBroadcastEnable" consume_broadcast_enable: bool = true,
        /// Whether the group may consume at all.
        "consumeEnable" consume_enable: bool = true,
        /// Whether a new group may start at the smallest offset.
        "consumeFromMinEnable" consume_from_min_enable: bool = true,
        /// Whether pop keeps order.
        "consumeMessageOrderly" consume_message_orderly: bool,
        /// Minutes after which a message counts as not consumed.
        "consumeTimeoutMinute" consume_timeout_minute: i32 = 15,
        /// Name.
        "groupName" group_name: String,
        /// How long to wait before a message is delivered again.
        "groupRetryPolicy" group_retry_policy: GroupRetryPolicy,
        /// Bits, as of a topic.
        "groupSysFlag" group_sys_flag: i32,
        /// Whether consumers are told when the group's members change.
        "notifyConsumerIdsChangedEnable" notify_consumer_ids_changed_enable: bool = true,
        /// Deliveries before a message goes to the dead letter queue.
        "retryMaxTimes" retry_max_times: i32 = 16,
        /// Queues of the retry topic.
        "retryQueueNums" retry_queue_nums: i32 = 1,
        /// Fixed subscriptions of the group.
        "subscriptionDataSet" subscription_data_set: Option<Vec<SimpleSubscriptionData>>,
        /// Broker suggested to a consumer that lags far behind.
        "whichBrokerWhenConsumeSlowly" which_broker_when_consume_slowly: i64 = 1,
    }

    /// How long to wait before a message is delivered again.
    #[derive(Eq)]
    pub struct GroupRetryPolicy {
        /// Delays for the type `CUSTOMIZED`; the default ones if absent.
        "customizedRetryPolicy" customized_retry_policy: Option<CustomizedRetryPolicy>,
        /// Delays for the type `EXPONENTIAL`; the customized ones if absent.
        "exponentialRetryPolicy" exponential_retry_policy: Option<ExponentialRetryPolicy>,
        /// Which policy applies.
        "type" kind: GroupRetryPolicyType = GroupRetryPolicyType::Customized,
    }

    /// Delay that grows by a factor with each delivery.
    #[derive(Eq)]
    pub struct ExponentialRetryPolicy {
        /// First delay, ms.
        "initial" initial: i64 = 5 * SECOND_MS,
        /// Longest delay, ms.
        "max" max: i64 = 2 * HOUR_MS,
        /// Factor.
        "multiplier" multiplier: i64 = 2,
    }

    /// A fixed subscription of a group.
    #[derive(Eq)]
    pub struct SimpleSubscriptionData {
        /// Filter expression.
        "expression" expression: Option<String>,
        /// `TAG` or `SQL92`.
        "expressionType" expression_type: Option<String>,
        /// Topic.
        "topic" topic: String,
        /// Version of the subscription.
        "version" version: i64,
    }

    /// The groups of a broker: an answer, and the file `subscriptionGroup.json`.
    #[derive(Eq)]
    pub struct SubscriptionGroupWrapper {
        /// Version of the table.
        "dataVersion" data_version: DataVersion,
        /// Group to topic to bits of what is forbidden (bit 0: read).
        "forbiddenTable" forbidden_table: BTreeMap<String, BTreeMap<String, i32>>,
        /// Groups by name.
        "subscriptionGroupTable" subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
    }

    /// Body of `UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST`.
    #[derive(Eq)]
    pub struct SubscriptionGroupList {
        /// Groups to create or change.
        "groupConfigList" group_config_list: Vec<SubscriptionGroupConfig>,
    }

    /// A list of groups.
    #[derive(Eq)]
    pub struct GroupList {
        /// Group names.
        "groupList" group_list: Vec<String>,
    }

    /// What a group may not do with a topic.
    #[derive(Eq)]
    pub struct GroupForbidden {
        /// Group.
        "group" group: String,
        /// Whether the group may read the topic.
        "readable" readable: Option<bool>,
        /// Topic.
        "topic" topic: String,
    }
}

/// A delay for each delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomizedRetryPolicy {
    /// Delays in ms; the first failed delivery takes the third. Wire name `next`.
    pub next: Vec<i64>,
}

impl Default for CustomizedRetryPolicy {
    fn default() -> Self {
        Self { next: RETRY_DELAYS_MS.to_vec() }
    }
}

impl FromJson for CustomizedRetryPolicy {
    fn from_json(reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
        let mut policy = Self::default();
        let present = reader.object(|reader| {
            let key = reader.key()?;
            reader.colon()?;
            match &*key {
                "next" => policy.next = Vec::from_json(reader)?.unwrap_or_default(),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        Ok(present.then_some(policy))
    }
}

impl ToJson for CustomizedRetryPolicy {
    fn to_json(&self, writer: &mut Writer) {
        writer.bean(|bean| bean.field("next", &LongArray(&self.next)));
    }
}

/// A Java `long[]`, which stays on one line even in files.
struct LongArray<'a>(&'a [i64]);

impl ToJson for LongArray<'_> {
    fn to_json(&self, writer: &mut Writer) {
        writer.integers(self.0);
    }
}

impl SubscriptionGroupConfig {
    /// A group with Java's defaults.
    pub fn new(group_name: impl Into<String>) -> Self {
        Self { group_name: group_name.into(), ..Self::default() }
    }
}

impl GroupRetryPolicy {
    /// Delay in ms before the next delivery of a message that was delivered again `reconsume_times` times.
    pub fn next_delay_ms(&self, reconsume_times: i32) -> i64 {
        match (self.kind, &self.exponential_retry_policy) {
            (GroupRetryPolicyType::Exponential, Some(policy)) => policy.next_delay_ms(reconsume_times),
            (GroupRetryPolicyType::Exponential, None) => {
                CustomizedRetryPolicy::default().next_delay_ms(reconsume_times)
            }
            (GroupRetryPolicyType::Customized, _) => match &self.customized_retry_policy {
                Some(policy) => policy.next_delay_ms(reconsume_times),
                None => CustomizedRetryPolicy::default().next_delay_ms(reconsume_times),
            },
        }
    }
}

impl ExponentialRetryPolicy {
    /// `initial * multiplier ^ reconsume_times`, at most `max`; the exponent is kept within 0..=32.
    pub fn next_delay_ms(&self, reconsume_times: i32) -> i64 {
        let factor = self.multiplier.saturating_pow(reconsume_times.clamp(0, 32).unsigned_abs());
        self.initial.saturating_mul(factor).min(self.max)
    }
}

impl CustomizedRetryPolicy {
    /// The delay at index `reconsume_times + 2`, or the last; 0 if there are none.
    pub fn next_delay_ms(&self, reconsume_times: i32) -> i64 {
        let index = usize::try_from(reconsume_times).unwrap_or(0).saturating_add(2);
        self.next.get(index).or(self.next.last()).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fastjson::Body;

    /// As fastjson2 2.0.59 writes it with `PrettyFormat`.
    #[test]
    fn a_file_is_indented_as_in_java() {
        let mut group = SubscriptionGroupConfig::new("G");
        group.group_retry_policy.customized_retry_policy = Some(CustomizedRetryPolicy { next: vec![1000, 5000] });
        group.subscription_data_set = Some(Vec::new());
        let mut wrapper = SubscriptionGroupWrapper::default();
        wrapper.data_version.timestamp = 5;
        wrapper.forbidden_table.insert("G".into(), BTreeMap::from([("T".into(), 1)]));
        wrapper.subscription_group_table.insert("G".into(), group);
        let expected = r#"{
	"dataVersion":{
		"counter":0,
		"stateVersion":0,
		"timestamp":5
	},
	"forbiddenTable":{
		"G":{
			"T":1
		}
	},
	"subscriptionGroupTable":{
		"G":{
			"attributes":{},
			"brokerId":0,
			"consumeBroadcastEnable":true,
			"consumeEnable":true,
			"consumeFromMinEnable":true,
			"consumeMessageOrderly":false,
			"consumeTimeoutMinute":15,
			"groupName":"G",
			"groupRetryPolicy":{
				"customizedRetryPolicy":{
					"next":[1000,5000]
				},
				"type":"CUSTOMIZED"
			},
			"groupSysFlag":0,
			"notifyConsumerIdsChangedEnable":true,
			"retryMaxTimes":16,
			"retryQueueNums":1,
			"subscriptionDataSet":[
				
			],
			"whichBrokerWhenConsumeSlowly":1
		}
	}
}"#;
        assert_eq!(String::from_utf8(wrapper.encode_pretty()).unwrap(), expected);
        assert_eq!(SubscriptionGroupWrapper::decode(expected.as_bytes()).unwrap(), wrapper);
    }

    #[test]
    fn default_delays_start_at_the_third_level() {
        let policy = GroupRetryPolicy::default();
        let delays: Vec<i64> = [-1, 0, 1, 15, 16, i32::MAX].map(|times| policy.next_delay_ms(times)).into();
        assert_eq!(delays, [10 * SECOND_MS, 10 * SECOND_MS, 30 * SECOND_MS, 2 * HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS]);
    }

    #[test]
    fn exponential_delays_double_up_to_the_maximum() {
        let policy = GroupRetryPolicy {
            kind: GroupRetryPolicyType::Exponential,
            exponential_retry_policy: Some(ExponentialRetryPolicy::default()),
            ..GroupRetryPolicy::default()
        };
        assert_eq!(policy.next_delay_ms(0), 5 * SECOND_MS);
        assert_eq!(policy.next_delay_ms(3), 40 * SECOND_MS);
        assert_eq!(policy.next_delay_ms(i32::MAX), 2 * HOUR_MS);
    }
}
