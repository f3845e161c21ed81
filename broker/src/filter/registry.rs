//! The expressions that groups filter topics by, compiled once, kept in `config/consumerFilter.json`. Java:
//! `ConsumerFilterManager`.
//!
//! A filter is registered by a heartbeat, replaced by one of a newer version, dead once its group has no member or no
//! longer subscribes to the topic, and forgotten when it has been dead for `filterDataCleanTimeSpan`.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hypergol_filter::{BloomFilter, CompileError, Expression};
use hypergol_remoting::protocol::body::filter::{
    BloomFilterData, ConsumerFilterData, ConsumerFilterWrapper, TopicFilters,
};
use hypergol_remoting::protocol::body::heartbeat::{EXPRESSION_SQL92, SubscriptionData};
use hypergol_remoting::protocol::fastjson::Body;
use parking_lot::{Mutex, RwLock};
use thiserror::Error;
use tracing::{info, warn};

use crate::error::BrokerError;
use crate::persist::{self, ConfigFile, ConfigWriter};

/// Name of the file.
const FILE: &str = "consumerFilter.json";
/// Filters kept at most, and bytes of all their expressions. Beyond it a new one is not registered, and its pulls are
/// answered FILTER_DATA_NOT_EXIST. Java has no bound.
const FILTERS_MAX: usize = 100_000;
const EXPRESSION_BYTES_MAX: usize = 64 << 20;
/// Expressions of pulls kept compiled; each has at most 64 KiB. Java: 100.
const COMPILED_MAX: usize = 128;
/// A filter whose group is not seen at the start is taken for dead since this long. Java: 30 s.
const DEAD_BEFORE_START_MS: i64 = 30_000;

/// Why there is no filter for an expression.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FilterError {
    /// Only SQL92 is known, beside tags.
    #[error("The expression type {0} is not known")]
    Type(String),
    /// Nothing to compile.
    #[error("Expression can't be null! {0}")]
    NoExpression(String),
    /// Not SQL92.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// Compiles an expression of a type other than tags.
///
/// # Errors
/// [`FilterError`].
pub fn compile(kind: &str, expression: Option<&str>) -> Result<Arc<Expression>, FilterError> {
    if kind != EXPRESSION_SQL92 {
        return Err(FilterError::Type(kind.to_owned()));
    }
    let expression = expression.ok_or_else(|| FilterError::NoExpression(kind.to_owned()))?;
    Ok(Arc::new(Expression::compile(expression)?))
}

/// A group's filter for a topic.
#[derive(Clone, Debug)]
pub struct FilterData {
    /// As it is written.
    pub data: ConsumerFilterData,
    /// What `data.expression` compiles to; `None` for one of the file that does not: everything passes then.
    pub expression: Option<Arc<Expression>>,
}

impl FilterData {
    /// Dead since its time of death, which is at least that of its birth.
    pub fn is_dead(&self) -> bool {
        self.data.dead_time >= self.data.born_time
    }

    /// Positions of its bits, if they are of this bloom filter.
    pub fn bits(&self, bloom: BloomFilter) -> Option<&[i32]> {
        let own = self.data.bloom_filter_data.as_ref()?;
        bloom.is_valid(&own.bit_pos, own.bit_num).then_some(&own.bit_pos)
    }

    /// As it is written.
    pub fn body(&self) -> ConsumerFilterData {
        ConsumerFilterData { dead: self.is_dead(), ..self.data.clone() }
    }
}

/// All filters of this broker.
pub struct Filters {
    table: Arc<RwLock<Table>>,
    /// Expressions of pulls that bring their own.
    compiled: Mutex<HashMap<String, Arc<Expression>>>,
    bloom: BloomFilter,
    file: ConfigFile,
}

#[derive(Default)]
struct Table {
    /// Topic to group.
    topics: HashMap<String, HashMap<String, Arc<FilterData>>>,
    /// Group to topics.
    groups: HashMap<String, BTreeSet<String>>,
    count: usize,
    expression_bytes: usize,
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters").finish_non_exhaustive()
    }
}

impl Filters {
    /// Loads `config/consumerFilter.json` of `folder`. All filters are dead until their groups are heard of. Those of a
    /// bloom filter of another size are left out, all of them, as in Java.
    ///
    /// # Errors
    /// [`BrokerError::Damaged`].
    pub fn load(folder: &Path, writer: &ConfigWriter, bloom: BloomFilter, now_ms: i64) -> Result<Self, BrokerError> {
        let loaded = persist::load::<ConsumerFilterWrapper>(folder, FILE)?.unwrap_or_default();
        let table = Arc::new(RwLock::new(Table::of(loaded, bloom, now_ms)));
        let file = writer.file(FILE, {
            let table = table.clone();
            move || table.read().wrapper().encode_pretty()
        });
        Ok(Self { table, compiled: Mutex::default(), bloom, file })
    }

    /// The bloom filter of the bits in [`FilterData`].
    pub fn bloom(&self) -> BloomFilter {
        self.bloom
    }

    /// The filter of a group for a topic, dead or not.
    pub fn get(&self, topic: &str, group: &str) -> Option<Arc<FilterData>> {
        self.table.read().topics.get(topic)?.get(group).cloned()
    }

    /// Calls `look` with each filter of a topic.
    pub fn for_each(&self, topic: &str, look: impl FnMut(&Arc<FilterData>)) {
        if let Some(groups) = self.table.read().topics.get(topic) {
            groups.values().for_each(look);
        }
    }

    /// Whether a topic has filters.
    pub fn has_topic(&self, topic: &str) -> bool {
        self.table.read().topics.contains_key(topic)
    }

    /// A filter that is not registered, for a pull that brings its subscription.
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn build(&self, group: &str, subscription: &SubscriptionData) -> Result<Arc<FilterData>, FilterError> {
        let kind = subscription.expression_type.clone().unwrap_or_default();
        let text = subscription.sub_string.clone().ok_or_else(|| FilterError::NoExpression(kind.clone()))?;
        let known = self.compiled.lock().get(&text).filter(|_| kind == EXPRESSION_SQL92).cloned();
        let expression = match known {
            Some(expression) => expression,
            None => {
                let expression = compile(&kind, Some(&text))?;
                let mut compiled = self.compiled.lock();
                if compiled.len() >= COMPILED_MAX {
                    compiled.clear();
                }
                compiled.insert(text.clone(), expression.clone());
                expression
            }
        };
        let data = ConsumerFilterData {
            consumer_group: group.to_owned(),
            topic: subscription.topic.clone(),
            expression: text,
            expression_type: kind,
            client_version: subscription.sub_version,
            ..ConsumerFilterData::default()
        };
        Ok(Arc::new(FilterData { data, expression: Some(expression) }))
    }

    /// Registers what a group's heartbeat subscribes to; its filters for other topics are dead from now on.
    pub fn register(&self, group: &str, subscriptions: &[SubscriptionData], now_ms: i64) {
        let by_expression = |subscription: &&SubscriptionData| !subscription.is_tag_type();
        let any = subscriptions.iter().any(|subscription| by_expression(&subscription));
        if !any && !self.table.read().groups.contains_key(group) {
            return;
        }
        let mut table = self.table.write();
        let mut changed = false;
        for subscription in subscriptions.iter().filter(by_expression) {
            changed |= table.register(group, subscription, self.bloom, now_ms);
        }
        let gone = |topic: &String| !subscriptions.iter().any(|subscription| subscription.topic == *topic);
        changed |= table.bury(group, gone, now_ms);
        drop(table);
        if changed {
            self.file.changed();
        }
    }

    /// A group has no members any more.
    pub fn unregister(&self, group: &str, now_ms: i64) {
        if self.table.read().groups.contains_key(group) && self.table.write().bury(group, |_| true, now_ms) {
            self.file.changed();
        }
    }

    /// Forgets filters that have been dead for `span_ms`.
    pub fn clean(&self, span_ms: i64, now_ms: i64) {
        let over = |data: &FilterData| data.is_dead() && now_ms.saturating_sub(data.data.dead_time) >= span_ms;
        let due = {
            let table = self.table.read();
            let all = table.topics.values().flat_map(HashMap::values).filter(|data| over(data));
            all.map(|data| (data.data.topic.clone(), data.data.consumer_group.clone())).collect::<Vec<_>>()
        };
        if due.is_empty() {
            return;
        }
        let mut table = self.table.write();
        for (topic, group) in due {
            if table.get(&topic, &group).is_some_and(|data| over(data)) {
                info!(topic, group, "filter forgotten, its group is gone for long");
                table.remove(&topic, &group);
            }
        }
        drop(table);
        self.file.changed();
    }
}

impl Table {
    fn of(loaded: ConsumerFilterWrapper, bloom: BloomFilter, now_ms: i64) -> Self {
        let mut table = Self::default();
        for (topic, filters) in loaded.filter_data_by_topic {
            for (group, mut data) in filters.group_filter_data {
                let valid = |bits: &BloomFilterData| bloom.is_valid(&bits.bit_pos, bits.bit_num);
                if !data.bloom_filter_data.as_ref().is_some_and(valid) {
                    info!("the bloom filter has another size than that of {FILE}, all its filters are left out");
                    return Self::default();
                }
                let compiled = compile(&data.expression_type, Some(&data.expression))
                    .inspect_err(|error| warn!(topic, group, %error, "filter of {FILE} does not compile"));
                if data.dead_time == 0 {
                    data.dead_time = data.born_time.max(now_ms - DEAD_BEFORE_START_MS);
                }
                (data.topic, data.consumer_group) = (topic.clone(), group);
                table.insert(FilterData { data, expression: compiled.ok() });
            }
        }
        table
    }

    fn wrapper(&self) -> ConsumerFilterWrapper {
        let filters = |(topic, groups): (&String, &HashMap<String, Arc<FilterData>>)| {
            let group_filter_data = groups.iter().map(|(group, data)| (group.clone(), data.body())).collect();
            (topic.clone(), TopicFilters { group_filter_data, topic: topic.clone() })
        };
        ConsumerFilterWrapper { filter_data_by_topic: self.topics.iter().map(filters).collect() }
    }

    fn get(&self, topic: &str, group: &str) -> Option<&Arc<FilterData>> {
        self.topics.get(topic)?.get(group)
    }

    /// Java's `FilterDataMapByTopic.register`; true when something changed.
    fn register(&mut self, group: &str, subscription: &SubscriptionData, bloom: BloomFilter, now_ms: i64) -> bool {
        let SubscriptionData { topic, sub_version, .. } = subscription;
        let (kind, text) = (subscription.expression_type.as_deref(), subscription.sub_string.as_deref());
        let (Some(kind), Some(text)) = (kind, text.filter(|text| !text.is_empty())) else { return false };
        let bits =
            BloomFilterData { bit_num: bloom.bits() as i32, bit_pos: bloom.positions(&format!("{group}#{topic}")) };
        if let Some(known) = self.topics.get_mut(topic).and_then(|groups| groups.get_mut(group)) {
            let old = &known.data;
            let same_text = old.expression == text && old.expression_type == kind;
            if *sub_version <= old.client_version {
                if !same_text {
                    info!(topic, group, "filter of an older subscription ignored");
                }
                if *sub_version == old.client_version && known.is_dead() {
                    Arc::make_mut(known).data.dead_time = 0;
                    return true;
                }
                return false;
            }
            if same_text && old.bloom_filter_data.as_ref() == Some(&bits) {
                let known = Arc::make_mut(known);
                known.data.client_version = *sub_version;
                known.data.dead_time = if known.is_dead() { 0 } else { known.data.dead_time };
                return true;
            }
        }
        let expression = match compile(kind, Some(text)) {
            Ok(expression) => Some(expression),
            Err(error) => {
                warn!(topic, group, %error, "filter does not compile");
                // The client shall learn of it.
                return self.remove(topic, group);
            }
        };
        let replaced = self.get(topic, group).map_or((0, 0), |old| (1, old.data.expression.len()));
        if self.count - replaced.0 >= FILTERS_MAX
            || self.expression_bytes - replaced.1 + text.len() > EXPRESSION_BYTES_MAX
        {
            warn!(topic, group, "too many filters, this one is not registered");
            return self.remove(topic, group);
        }
        let data = ConsumerFilterData {
            bloom_filter_data: Some(bits),
            born_time: now_ms,
            client_version: *sub_version,
            consumer_group: group.to_owned(),
            dead: false,
            dead_time: 0,
            expression: text.to_owned(),
            expression_type: kind.to_owned(),
            topic: topic.clone(),
        };
        info!(?data, "filter registered");
        self.insert(FilterData { data, expression });
        true
    }

    fn insert(&mut self, filter: FilterData) {
        let (topic, group) = (filter.data.topic.clone(), filter.data.consumer_group.clone());
        self.remove(&topic, &group);
        self.count += 1;
        self.expression_bytes += filter.data.expression.len();
        self.groups.entry(group.clone()).or_default().insert(topic.clone());
        self.topics.entry(topic).or_default().insert(group, Arc::new(filter));
    }

    fn remove(&mut self, topic: &str, group: &str) -> bool {
        let Some(groups) = self.topics.get_mut(topic) else { return false };
        let Some(removed) = groups.remove(group) else { return false };
        if groups.is_empty() {
            self.topics.remove(topic);
        }
        if let Some(topics) = self.groups.get_mut(group) {
            topics.remove(topic);
            if topics.is_empty() {
                self.groups.remove(group);
            }
        }
        self.count -= 1;
        self.expression_bytes -= removed.data.expression.len();
        true
    }

    /// Makes those filters of a group dead that still live; true when there were any.
    fn bury(&mut self, group: &str, which: impl Fn(&String) -> bool, now_ms: i64) -> bool {
        let mut any = false;
        for topic in self.groups.get(group).into_iter().flatten().filter(|topic| which(topic)) {
            let Some(known) = self.topics.get_mut(topic).and_then(|groups| groups.get_mut(group)) else { continue };
            if !known.is_dead() {
                info!(topic, group, "filter is dead");
                let data = &mut Arc::make_mut(known).data;
                data.dead_time = now_ms.max(data.born_time);
                any = true;
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(topic: &str, expression: &str, version: i64) -> SubscriptionData {
        SubscriptionData {
            topic: topic.into(),
            sub_string: Some(expression.into()),
            expression_type: Some(EXPRESSION_SQL92.into()),
            sub_version: version,
            ..SubscriptionData::default()
        }
    }

    fn bloom() -> BloomFilter {
        BloomFilter::new(20, 32).unwrap()
    }

    struct Fixture {
        folder: tempfile::TempDir,
        writer: Arc<ConfigWriter>,
        filters: Filters,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let filters = Filters::load(folder.path(), &writer, bloom(), 0).unwrap();
        Fixture { folder, writer, filters }
    }

    fn state(filters: &Filters) -> Option<(String, i64, i64)> {
        filters
            .get("T", "G")
            .map(|found| (found.data.expression.clone(), found.data.client_version, found.data.dead_time))
    }

    #[test]
    fn a_newer_version_replaces_an_older_one_is_ignored() {
        let Fixture { filters, .. } = fixture();
        filters.register("G", &[SubscriptionData::default()], 100);
        assert!(filters.table.read().groups.is_empty());
        filters.register("G", &[sql("T", "a > 1", 5)], 100);
        assert_eq!(state(&filters), Some(("a > 1".into(), 5, 0)));
        filters.register("G", &[sql("T", "a > 2", 5)], 200);
        filters.register("G", &[sql("T", "a > 3", 4)], 200);
        assert_eq!(state(&filters), Some(("a > 1".into(), 5, 0)));
        let before = filters.get("T", "G").unwrap();
        filters.register("G", &[sql("T", "a > 1", 6)], 300);
        let after = filters.get("T", "G").unwrap();
        assert_eq!((after.data.client_version, after.data.born_time), (6, 100));
        assert!(Arc::ptr_eq(before.expression.as_ref().unwrap(), after.expression.as_ref().unwrap()), "compiled once");
        filters.register("G", &[sql("T", "a > 2", 7)], 400);
        assert_eq!(filters.get("T", "G").unwrap().data.born_time, 400);
        filters.register("G", &[sql("T", "a >", 8)], 500);
        assert!(filters.get("T", "G").is_none(), "the client is to learn that it does not compile");
        assert_eq!((filters.table.read().count, filters.table.read().expression_bytes), (0, 0));
        assert!(filters.table.read().groups.is_empty() && !filters.has_topic("T"));
        filters.register("G", &[SubscriptionData { expression_type: Some("OTHER".into()), ..sql("T", "a", 9) }], 600);
        assert!(filters.get("T", "G").is_none());
    }

    #[test]
    fn filters_die_come_back_and_are_forgotten() {
        let Fixture { filters, .. } = fixture();
        filters.register("G", &[sql("T", "a > 1", 5), sql("U", "b > 1", 5)], 100);
        filters.register("G", &[sql("T", "a > 1", 5)], 200);
        assert_eq!(filters.get("U", "G").unwrap().data.dead_time, 200);
        assert_eq!(state(&filters).unwrap().2, 0);
        filters.unregister("G", 300);
        filters.unregister("nobody", 300);
        assert_eq!(state(&filters).unwrap().2, 300);
        assert_eq!(filters.get("U", "G").unwrap().data.dead_time, 200, "it died before");
        filters.register("G", &[sql("T", "a > 1", 5)], 400);
        assert_eq!(state(&filters).unwrap().2, 0);
        filters.clean(1000, 1199);
        assert!(filters.get("U", "G").is_some());
        filters.clean(1000, 1200);
        assert!(filters.get("U", "G").is_none() && filters.get("T", "G").is_some());
    }

    #[test]
    fn the_file_outlives_a_restart() {
        let Fixture { folder, writer, filters } = fixture();
        filters.register("G", &[sql("T", "a > 1", 5)], 100_000);
        writer.shutdown();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let again = Filters::load(folder.path(), &writer, bloom(), 500_000).unwrap();
        let data = again.get("T", "G").unwrap();
        assert_eq!((data.data.dead_time, data.is_dead()), (470_000, true));
        assert_eq!(data.data.bloom_filter_data.as_ref().unwrap().bit_pos, bloom().positions("G#T"));
        assert!(data.expression.is_some());
        let other = Filters::load(folder.path(), &writer, BloomFilter::new(10, 32).unwrap(), 500_000).unwrap();
        assert!(other.get("T", "G").is_none());
    }

    #[test]
    fn pulls_bring_their_own() {
        let Fixture { filters, .. } = fixture();
        let first = filters.build("G", &sql("T", "a = 1", 0)).unwrap();
        let again = filters.build("H", &sql("U", "a = 1", 0)).unwrap();
        assert!(Arc::ptr_eq(first.expression.as_ref().unwrap(), again.expression.as_ref().unwrap()));
        assert!(matches!(filters.build("G", &sql("T", "a = ", 0)), Err(FilterError::Compile(_))));
        let other = SubscriptionData { expression_type: Some("OTHER".into()), ..sql("T", "a = 1", 0) };
        assert_eq!(filters.build("G", &other).unwrap_err(), FilterError::Type("OTHER".into()));
        for n in 0..2 * COMPILED_MAX {
            filters.build("G", &sql("T", &format!("a = {n}"), 0)).unwrap();
        }
        assert!(filters.compiled.lock().len() <= COMPILED_MAX);
    }
}
