//! Filter by tag.

use std::sync::Arc;

use hypergol_remoting::protocol::body::heartbeat::{SUB_ALL, SubscriptionData};
use hypergol_store::MessageFilter;
use hypergol_store::consume_queue::ext::is_address;

/// Lets pass what has one of the tags of a subscription, compared by hash, as the consume queue holds them. The client
/// compares the tags themselves.
#[derive(Clone, Debug)]
pub struct TagFilter {
    /// `None` when everything passes.
    tags: Option<Arc<SubscriptionData>>,
}

impl TagFilter {
    /// The filter of a subscription by tags.
    pub fn new(subscription: &Arc<SubscriptionData>) -> Self {
        let all = subscription.class_filter_mode || subscription.sub_string.as_deref() == Some(SUB_ALL);
        Self { tags: (!all).then(|| subscription.clone()) }
    }
}

impl MessageFilter for TagFilter {
    fn matches_queue_entry(&self, tags_code: i64) -> bool {
        // Java compares the lower 32 bits: a tags code is a hash, unless the queue is that of delayed messages.
        // The address of an extension that is gone says nothing.
        let Some(tags) = &self.tags else { return true };
        tags.code_set.contains(&(tags_code as i32)) || is_address(tags_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypergol_store::record::tags_code;

    fn filter(expression: &str, codes: &[i32]) -> TagFilter {
        TagFilter::new(&Arc::new(SubscriptionData {
            sub_string: Some(expression.to_owned()),
            code_set: codes.to_vec(),
            ..SubscriptionData::default()
        }))
    }

    #[test]
    fn tags_are_compared_by_hash() {
        assert!(filter("*", &[]).matches_queue_entry(7));
        let a_or_b = filter("A || B", &[65, 66]);
        assert!(a_or_b.matches_queue_entry(tags_code("A")));
        assert!(!a_or_b.matches_queue_entry(tags_code("C")));
        assert!(!a_or_b.matches_queue_entry(0), "without a tag");
        assert!(a_or_b.matches_queue_entry(i64::MIN + 7), "an address");
        let negative = filter("polygenelubricants", &[i32::MIN]);
        assert!(negative.matches_queue_entry(tags_code("polygenelubricants")));
    }
}
