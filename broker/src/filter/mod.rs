//! Decides which messages of a queue a subscription wants.

pub mod property;
pub mod registry;
pub mod subscription;
pub mod tag;

use std::sync::Arc;

use hypergol_remoting::protocol::body::heartbeat::SubscriptionData;
use hypergol_store::{Arrival, ExtUnit, MessageFilter};

use property::PropertyFilter;
use registry::{FilterData, FilterError, Filters};
use tag::TagFilter;

use crate::context::Broker;

/// The filter of a subscription, by tags or by an expression over properties.
#[derive(Clone, Debug)]
pub enum SubscriptionFilter {
    /// By tags, or none.
    Tags(TagFilter),
    /// By an expression.
    Properties(PropertyFilter),
}

impl SubscriptionFilter {
    /// The filter of a subscription. `data` is what is registered or was compiled for it, needed unless it is by tags;
    /// with `retry` messages of retry topics are filtered as those of the topics they come from.
    pub fn new(
        subscription: &Arc<SubscriptionData>,
        data: Option<Arc<FilterData>>,
        filters: &Arc<Filters>,
        retry: bool,
    ) -> Self {
        if subscription.is_tag_type() || subscription.class_filter_mode {
            Self::Tags(TagFilter::new(subscription))
        } else {
            Self::Properties(PropertyFilter::new(subscription, data, filters, retry))
        }
    }

    /// The filter of a subscription that a pop brings: compiled unless it is known, and not registered.
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn of_request(broker: &Broker, group: &str, subscription: &Arc<SubscriptionData>) -> Result<Self, FilterError> {
        let data = match subscription.is_tag_type() {
            true => None,
            false => Some(broker.filters.build(group, subscription)?),
        };
        Ok(Self::new(subscription, data, &broker.filters, false))
    }

    /// Whether consume-queue entries tell what is wanted.
    pub fn is_by_tags(&self) -> bool {
        matches!(self, Self::Tags(_))
    }

    /// Whether a message that has just arrived is wanted.
    pub fn matches_arrival(&self, arrival: &Arrival<'_>) -> bool {
        match self {
            Self::Tags(filter) => filter.matches_queue_entry(arrival.tags_code),
            Self::Properties(filter) => filter.matches_properties(arrival.properties),
        }
    }
}

impl MessageFilter for SubscriptionFilter {
    fn matches_queue_entry(&self, tags_code: i64) -> bool {
        match self {
            Self::Tags(filter) => filter.matches_queue_entry(tags_code),
            Self::Properties(_) => true,
        }
    }

    fn matches_extended(&self, unit: Option<&ExtUnit>) -> bool {
        match self {
            Self::Tags(filter) => filter.matches_extended(unit),
            Self::Properties(filter) => filter.matches_unit(unit),
        }
    }

    fn matches_record(&self, record: &[u8]) -> bool {
        match self {
            Self::Tags(_) => true,
            Self::Properties(filter) => filter.matches_record(record),
        }
    }
}
