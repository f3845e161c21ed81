//! Which broker of a cluster a lite topic belongs to: a consistent hash of its name over the queues of its parent that
//! can be written to. Java: `LiteShardingImpl` with Guava's `Hashing.consistentHash`.

use std::sync::Arc;

use hypergol_store::record::java_hash;

use super::names;
use crate::config;
use crate::context::Broker;

/// Whether a lite topic belongs to this broker. Where the route of the parent is not known, it does.
pub async fn is_here(broker: &Broker, parent: &str, queue: &str) -> bool {
    let Some((_, lite)) = names::split(queue) else { return true };
    let settings = Arc::clone(&broker.config());
    let name_servers = config::name_server_addresses(&settings);
    let Some(route) = broker.topic_routes.route(&broker.client, &name_servers, parent).await else { return true };
    let Ok(buckets) = i32::try_from(route.writable.len()) else { return true };
    let bucket = usize::try_from(consistent_hash(i64::from(java_hash(lite)), buckets)).unwrap_or_default();
    route.writable.get(bucket).is_none_or(|queue| queue.broker_name == settings.broker.broker_name)
}

/// Guava's consistent hash: a linear congruential generator decides how far to jump. Every jump goes forward, so there are
/// fewer than buckets; usually about their logarithm.
fn consistent_hash(input: i64, buckets: i32) -> i32 {
    let mut state = input;
    let mut candidate = 0;
    loop {
        state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let random = f64::from(((state as u64 >> 33) as i32).wrapping_add(1)) / f64::from(1u32 << 31);
        let next = (f64::from(candidate + 1) / random) as i32;
        if !(0..buckets).contains(&next) {
            return candidate;
        }
        candidate = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Guava.
    #[test]
    fn buckets_are_guavas() {
        const BUCKETS: [i32; 5] = [1, 4, 8, 16, 1000];
        for (lite, expected) in [
            ("a", [0, 0, 0, 0, 346]),
            ("lite-1", [0, 2, 6, 6, 110]),
            ("lite-2", [0, 1, 1, 1, 465]),
            ("order_9", [0, 0, 0, 13, 483]),
            ("名", [0, 3, 6, 6, 232]),
        ] {
            let found = BUCKETS.map(|buckets| consistent_hash(i64::from(java_hash(lite)), buckets));
            assert_eq!(found, expected, "{lite}");
        }
    }

    #[test]
    fn another_bucket_takes_its_share_only() {
        let moved = (0..10_000).filter(|input| consistent_hash(*input, 10) != consistent_hash(*input, 11)).count();
        assert!((500..1500).contains(&moved), "{moved}");
        let all_to_new = (0..10_000)
            .filter(|input| consistent_hash(*input, 10) != consistent_hash(*input, 11))
            .all(|input| consistent_hash(input, 11) == 10);
        assert!(all_to_new);
    }
}
