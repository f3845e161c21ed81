//! Filter by an expression over properties.

use std::sync::Arc;

use hypergol_filter::{Expression, Properties, get_bit, set_bit};
use hypergol_remoting::message::property::RETRY_TOPIC;
use hypergol_remoting::protocol::body::heartbeat::SubscriptionData;
use hypergol_store::{ExtUnit, Record, record};

use super::registry::{FilterData, Filters};
use crate::retry::RETRY_PREFIX;

/// Between a group and a topic in the name of a pop retry topic of version 2. Java: KeyBuilder.
const POP_RETRY_SEPARATOR: char = '+';

/// Lets pass what an expression holds for. Nothing is held back where there is no compiled expression, as in Java.
#[derive(Clone, Debug)]
pub struct PropertyFilter {
    expression: Option<Arc<Expression>>,
    /// Where the filter is registered, with the bits that stand for it.
    registered: Option<Arc<FilterData>>,
    /// The subscription is to the retry topic of a group, whose messages have their filters elsewhere.
    retry: Option<Retry>,
}

#[derive(Clone, Debug)]
struct Retry {
    group: String,
    filters: Arc<Filters>,
}

impl PropertyFilter {
    /// The filter of a subscription. Java: `ExpressionMessageFilter`, and with `retry`
    /// `ExpressionForRetryMessageFilter`.
    pub fn new(
        subscription: &SubscriptionData,
        data: Option<Arc<FilterData>>,
        filters: &Arc<Filters>,
        retry: bool,
    ) -> Self {
        let group = subscription.topic.strip_prefix(RETRY_PREFIX).filter(|_| retry);
        let retry = group.map(|group| Retry {
            group: group.split_once(POP_RETRY_SEPARATOR).map_or(group, |(group, _)| group).to_owned(),
            filters: filters.clone(),
        });
        let expression = data.as_ref().and_then(|data| data.expression.clone());
        let bloom = filters.bloom();
        let registered = data.filter(|data| expression.is_some() && data.bits(bloom).is_some());
        Self { expression, registered, retry }
    }

    /// Whether the bits of a message leave it possible that it is wanted. A message that was stored before the filter
    /// was registered says nothing.
    pub fn matches_unit(&self, unit: Option<&ExtUnit>) -> bool {
        let (Some(filter), Some(unit)) = (&self.registered, unit) else { return true };
        let Some(own) = &filter.data.bloom_filter_data else { return true };
        if unit.store_timestamp <= filter.data.born_time || unit.bits.len() * 8 != own.bit_num as usize {
            return true;
        }
        own.bit_pos.iter().all(|position| get_bit(&unit.bits, *position))
    }

    /// Whether a record is wanted.
    pub fn matches_record(&self, record: &[u8]) -> bool {
        Record::parse(record).is_ok_and(|record| self.matches_properties(record.properties()))
    }

    /// Whether a message with these encoded properties is wanted.
    pub fn matches_properties(&self, encoded: &[u8]) -> bool {
        let holds = |expression: &Option<Arc<Expression>>| {
            expression.as_ref().is_none_or(|expression| expression.matches(&Encoded(encoded)))
        };
        match &self.retry {
            None => holds(&self.expression),
            Some(retry) => record::property(encoded, RETRY_TOPIC)
                .and_then(|topic| retry.filters.get(topic, &retry.group))
                .is_none_or(|data| holds(&data.expression)),
        }
    }
}

/// Appends the bits of a topic's filters that hold for a message; nothing when the topic has no filters. Java:
/// `CommitLogDispatcherCalcBitMap`.
pub fn set_bits(filters: &Filters, topic: &str, encoded: &[u8], bits: &mut Vec<u8>) {
    let bloom = filters.bloom();
    let start = bits.len();
    filters.for_each(topic, |filter| {
        bits.resize(start + bloom.bits() / 8, 0);
        let holds = filter.expression.as_ref().is_some_and(|expression| expression.matches(&Encoded(encoded)));
        if let (true, Some(positions)) = (holds, filter.bits(bloom)) {
            positions.iter().for_each(|position| set_bit(&mut bits[start..], *position));
        }
    });
}

/// Properties as records hold them: `name 0x01 value 0x02`, the last 0x02 optional.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a>(pub &'a [u8]);

impl Properties for Encoded<'_> {
    /// From the end: of duplicates the last counts.
    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut rest = self.0;
        loop {
            let (before, entry) = match memchr::memrchr(2, rest) {
                Some(end) => (Some(&rest[..end]), &rest[end + 1..]),
                None => (None, rest),
            };
            if let Some([1, value @ ..]) = entry.strip_prefix(name.as_bytes())
                && !value.is_empty()
            {
                return Some(value);
            }
            rest = before?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::ConfigWriter;
    use hypergol_filter::BloomFilter;
    use hypergol_remoting::protocol::body::heartbeat::EXPRESSION_SQL92;
    use proptest::prelude::*;

    #[test]
    fn the_last_of_a_name_counts() {
        let encoded = Encoded(b"a\x011\x02ab\x012\x02a\x013\x02b\x01\x02\x01x\x02c\x014");
        assert_eq!(encoded.get("a"), Some(&b"3"[..]));
        assert_eq!(encoded.get("ab"), Some(&b"2"[..]));
        assert_eq!(encoded.get("c"), Some(&b"4"[..]));
        for absent in ["b", "x", "d", "abc"] {
            assert_eq!(encoded.get(absent), None);
        }
        assert_eq!(Encoded(b"").get("a"), None);
    }

    #[test]
    fn bits_hold_back_what_came_after_the_filter_only() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().to_owned());
        let bloom = BloomFilter::new(20, 32).unwrap();
        let filters = Arc::new(Filters::load(folder.path(), &writer, bloom, 0).unwrap());
        let subscription = SubscriptionData {
            topic: "T".into(),
            sub_string: Some("a = 1".into()),
            expression_type: Some(EXPRESSION_SQL92.into()),
            ..SubscriptionData::default()
        };
        let mut none = Vec::new();
        set_bits(&filters, "T", b"a\x011", &mut none);
        assert!(none.is_empty(), "no filters, no bits");
        filters.register("G", std::slice::from_ref(&subscription), 100);
        let bits_of = |properties: &[u8]| {
            let mut bits = Vec::new();
            set_bits(&filters, "T", properties, &mut bits);
            bits
        };
        let (matching, other) = (bits_of(b"a\x011"), bits_of(b"a\x012"));
        assert_eq!((matching.len(), other.as_slice()), (14, &[0; 14][..]));

        let unit = |store_timestamp, bits: &[u8]| ExtUnit { tags_code: 0, store_timestamp, bits: bits.to_vec() };
        let filter = PropertyFilter::new(&subscription, filters.get("T", "G"), &filters, false);
        assert!(filter.matches_unit(Some(&unit(101, &matching))));
        assert!(!filter.matches_unit(Some(&unit(101, &other))));
        assert!(filter.matches_unit(Some(&unit(100, &other))), "stored before the filter was there");
        assert!(filter.matches_unit(Some(&unit(101, &other[1..]))), "bits of another size");
        assert!(filter.matches_unit(Some(&unit(101, &[]))) && filter.matches_unit(None));
        // One that is not registered has no bits.
        let own = PropertyFilter::new(&subscription, Some(filters.build("G", &subscription).unwrap()), &filters, false);
        assert!(own.matches_unit(Some(&unit(101, &other))));
        assert!(own.matches_properties(b"a\x011") && !own.matches_properties(b"a\x012"));
    }

    proptest! {
        #[test]
        fn it_is_what_decoding_finds(block in proptest::collection::vec(prop_oneof![Just(1u8), Just(2), Just(b'a'), Just(b'b')], 0..40)) {
            for name in ["a", "b", "ab", "ba"] {
                let decoded = record::properties(&block).filter(|(key, _)| *key == name.as_bytes()).last();
                let encoded = Encoded(&block);
                prop_assert_eq!(encoded.get(name), decoded.map(|(_, value)| value));
            }
        }
    }
}
