//! Topic configuration, its version, and the queue mapping of static topics.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::protocol::fastjson::Body;
use crate::{body, json_enum};

/// Scope of a static topic unless said otherwise.
pub const METADATA_SCOPE_GLOBAL: &str = "__global__";

/// `perm` of a topic that may be read and written: 4 read, 2 write.
const PERM_READ_WRITE: i32 = 6;

json_enum! {
    /// Whether a message of the topic has one tag or several.
    pub enum TopicFilterType {
        SingleTag = "SINGLE_TAG",
        MultiTag = "MULTI_TAG",
    }
}

body! {
    /// Configuration of a topic on one broker.
    #[derive(Eq)]
    pub struct TopicConfig {
        /// Attributes such as `message.type`, without the `+` of the create request.
        "attributes" attributes: BTreeMap<String, String>,
        /// Whether clients should keep order between queues.
        "order" order: bool,
        /// Permission bits: 1 inherit, 2 write, 4 read, 8 priority.
        "perm" perm: i32 = PERM_READ_WRITE,
        /// Queues consumers read.
        "readQueueNums" read_queue_nums: i32 = 16,
        /// Tag type.
        "topicFilterType" topic_filter_type: TopicFilterType,
        /// Name.
        "topicName" topic_name: String,
        /// Bits: 1 unit, 2 unit subscription.
        "topicSysFlag" topic_sys_flag: i32,
        /// Queues producers write.
        "writeQueueNums" write_queue_nums: i32 = 16,
    }

    /// Answer of `GET_TOPIC_CONFIG`: a [`TopicConfig`] and, for a static topic, its mapping.
    #[derive(Eq)]
    pub struct TopicConfigAndQueueMapping {
        /// See [`TopicConfig::attributes`].
        "attributes" attributes: BTreeMap<String, String>,
        /// Queue mapping of a static topic.
        "mappingDetail" mapping_detail: Option<TopicQueueMappingDetail>,
        /// See [`TopicConfig::order`].
        "order" order: bool,
        /// See [`TopicConfig::perm`].
        "perm" perm: i32 = PERM_READ_WRITE,
        /// See [`TopicConfig::read_queue_nums`].
        "readQueueNums" read_queue_nums: i32 = 16,
        /// See [`TopicConfig::topic_filter_type`].
        "topicFilterType" topic_filter_type: TopicFilterType,
        /// See [`TopicConfig::topic_name`].
        "topicName" topic_name: String,
        /// See [`TopicConfig::topic_sys_flag`].
        "topicSysFlag" topic_sys_flag: i32,
        /// See [`TopicConfig::write_queue_nums`].
        "writeQueueNums" write_queue_nums: i32 = 16,
    }

    /// Version of a table: grows with every change and is compared to find out who is newer.
    #[derive(Eq, Hash)]
    pub struct DataVersion {
        /// Number of changes.
        "counter" counter: i64,
        /// Epoch of the master that made the change.
        "stateVersion" state_version: i64,
        /// Time of the last change, ms since 1970.
        "timestamp" timestamp: i64 = now_ms(),
    }

    /// The topics of a broker.
    #[derive(Eq)]
    pub struct TopicConfigSerializeWrapper {
        /// Version of the table.
        "dataVersion" data_version: DataVersion,
        /// Topics by name.
        "topicConfigTable" topic_config_table: BTreeMap<String, TopicConfig>,
    }

    /// The topics of a broker and the mapping of its static topics.
    #[derive(Eq)]
    pub struct TopicConfigAndMappingSerializeWrapper {
        /// Version of the topic table.
        "dataVersion" data_version: DataVersion,
        /// Version of the mapping.
        "mappingDataVersion" mapping_data_version: DataVersion,
        /// Topics by name.
        "topicConfigTable" topic_config_table: BTreeMap<String, TopicConfig>,
        /// Mapping details by topic.
        "topicQueueMappingDetailMap" topic_queue_mapping_detail_map: BTreeMap<String, TopicQueueMappingDetail>,
        /// Mapping summaries by topic, which the name server puts into routes.
        "topicQueueMappingInfoMap" topic_queue_mapping_info_map: BTreeMap<String, TopicQueueMappingInfo>,
    }

    /// The file `topicQueueMapping.json`.
    #[derive(Eq)]
    pub struct TopicQueueMappingSerializeWrapper {
        /// Version of the table.
        "dataVersion" data_version: DataVersion,
        /// Mapping details by topic; absent when null.
        "topicQueueMappingInfoMap" topic_queue_mapping_info_map: Option<BTreeMap<String, TopicQueueMappingDetail>>,
    }

    /// Body of `UPDATE_AND_CREATE_TOPIC_LIST`.
    #[derive(Eq)]
    pub struct CreateTopicListRequestBody {
        /// Topics to create or change.
        "topicConfigList" topic_config_list: Vec<TopicConfig>,
    }

    /// A list of topics.
    #[derive(Eq)]
    pub struct TopicList {
        /// Address of a broker; set only in the answer of `GET_SYSTEM_TOPIC_LIST_FROM_NS`.
        "brokerAddr" broker_addr: Option<String>,
        /// Topic names.
        "topicList" topic_list: Vec<String>,
    }

    /// Which queues of a static topic a broker hosts, as the name server knows it.
    #[derive(Eq)]
    pub struct TopicQueueMappingInfo {
        /// Hosting broker.
        "bname" bname: String,
        /// Logical queue id to physical queue id, current leaders only.
        "currIdMap" curr_id_map: BTreeMap<i32, i32>,
        /// Whether the data is known to be wrong.
        "dirty" dirty: bool,
        /// Fences older data.
        "epoch" epoch: i64,
        /// Scope of the logical queues.
        "scope" scope: String = METADATA_SCOPE_GLOBAL.to_owned(),
        /// Topic.
        "topic" topic: String,
        /// Logical queues in all.
        "totalQueues" total_queues: i32,
    }

    /// [`TopicQueueMappingInfo`] with the history of every hosted queue.
    #[derive(Eq)]
    pub struct TopicQueueMappingDetail {
        /// Hosting broker.
        "bname" bname: String,
        /// Logical queue id to physical queue id.
        "currIdMap" curr_id_map: BTreeMap<i32, i32>,
        /// Whether the data is known to be wrong.
        "dirty" dirty: bool,
        /// Fences older data.
        "epoch" epoch: i64,
        /// Logical queue id to its sections, oldest first.
        "hostedQueues" hosted_queues: BTreeMap<i32, Vec<LogicQueueMappingItem>>,
        /// Scope of the logical queues.
        "scope" scope: String = METADATA_SCOPE_GLOBAL.to_owned(),
        /// Topic.
        "topic" topic: String,
        /// Logical queues in all.
        "totalQueues" total_queues: i32,
    }

    /// A section of a logical queue that lies in one physical queue.
    #[derive(Eq, Hash)]
    pub struct LogicQueueMappingItem {
        /// Broker of the physical queue.
        "bname" bname: String,
        /// End of the physical offsets, excluded; -1 while open.
        "endOffset" end_offset: i64 = -1,
        /// Generation, from 0.
        "gen" generation: i32,
        /// Logical offset at which the section starts; -1 while unknown.
        "logicOffset" logic_offset: i64,
        /// Physical queue.
        "queueId" queue_id: i32,
        /// Physical offset at which the section starts.
        "startOffset" start_offset: i64,
        /// Reserved, -1.
        "timeOfEnd" time_of_end: i64 = -1,
        /// Reserved, -1.
        "timeOfStart" time_of_start: i64 = -1,
    }
}

/// Milliseconds since 1970; 0 for a clock before that.
pub(super) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

impl TopicConfig {
    /// A topic with Java's defaults: 16 queues, readable and writable.
    pub fn new(topic_name: impl Into<String>) -> Self {
        Self { topic_name: topic_name.into(), ..Self::default() }
    }

    /// The line of the compressed registration: `name read write perm filterType attributes`.
    pub fn encode_line(&self) -> String {
        format!(
            "{} {} {} {} {} {}",
            self.topic_name,
            self.read_queue_nums,
            self.write_queue_nums,
            self.perm,
            self.topic_filter_type.name(),
            String::from_utf8_lossy(&self.attributes.encode()),
        )
    }

    /// Reads the line that [`encode_line`](Self::encode_line) writes; the attributes may be missing, and
    /// are ignored when they cannot be read. `None` if another part is missing or not understood.
    pub fn decode_line(line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        Some(Self {
            topic_name: parts.next().filter(|name| !name.is_empty())?.to_owned(),
            read_queue_nums: parts.next()?.parse().ok()?,
            write_queue_nums: parts.next()?.parse().ok()?,
            perm: parts.next()?.parse().ok()?,
            topic_filter_type: TopicFilterType::parse(parts.next()?)?,
            attributes: parts.next().and_then(|json| BTreeMap::decode(json.as_bytes()).ok()).unwrap_or_default(),
            ..Self::default()
        })
    }
}

impl TopicConfigAndQueueMapping {
    /// The answer for `config` and its mapping.
    pub fn new(config: TopicConfig, mapping_detail: Option<TopicQueueMappingDetail>) -> Self {
        Self {
            attributes: config.attributes,
            mapping_detail,
            order: config.order,
            perm: config.perm,
            read_queue_nums: config.read_queue_nums,
            topic_filter_type: config.topic_filter_type,
            topic_name: config.topic_name,
            topic_sys_flag: config.topic_sys_flag,
            write_queue_nums: config.write_queue_nums,
        }
    }
}

impl From<TopicConfigAndMappingSerializeWrapper> for TopicConfigSerializeWrapper {
    fn from(wrapper: TopicConfigAndMappingSerializeWrapper) -> Self {
        Self { data_version: wrapper.data_version, topic_config_table: wrapper.topic_config_table }
    }
}

impl DataVersion {
    /// Marks a change made now under `state_version`.
    pub fn next_version(&mut self, state_version: i64) {
        self.timestamp = now_ms();
        self.state_version = state_version;
        self.counter = self.counter.wrapping_add(1);
    }

    /// Which of two versions is newer: by state version, then counter, then time.
    pub fn compare(&self, other: &Self) -> Ordering {
        let order = |version: &Self| (version.state_version, version.counter, version.timestamp);
        order(self).cmp(&order(other))
    }
}

impl TopicQueueMappingDetail {
    /// The summary of this mapping, as it is sent to the name server. Current ids are those of the
    /// queues whose newest section this broker hosts (`TopicQueueMappingDetail.cloneAsMappingInfo`).
    pub fn to_info(&self) -> TopicQueueMappingInfo {
        let leader = |(&id, items): (&i32, &Vec<LogicQueueMappingItem>)| {
            let newest = items.last().filter(|item| item.bname == self.bname)?;
            Some((id, newest.queue_id))
        };
        TopicQueueMappingInfo {
            bname: self.bname.clone(),
            curr_id_map: self.hosted_queues.iter().filter_map(leader).collect(),
            dirty: false,
            epoch: self.epoch,
            scope: METADATA_SCOPE_GLOBAL.to_owned(),
            topic: self.topic.clone(),
            total_queues: self.total_queues,
        }
    }
}
