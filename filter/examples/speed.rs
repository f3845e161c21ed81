//! How long a message takes to be filtered: `cargo run --release -p hypergol-filter --example speed`.

use std::hint::black_box;
use std::time::Instant;

use hypergol_filter::{Expression, Properties};

/// Properties as records hold them, looked up as the broker does.
struct Encoded(String);

impl Properties for Encoded {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut rest = self.0.as_bytes();
        loop {
            let (before, entry) = match memchr::memrchr(2, rest) {
                Some(end) => (Some(&rest[..end]), &rest[end + 1..]),
                None => (None, rest),
            };
            match entry.strip_prefix(name.as_bytes()) {
                Some([1, value @ ..]) if !value.is_empty() => return Some(value),
                _ => rest = before?,
            }
        }
    }
}

fn main() {
    const ROUNDS: usize = 2_000_000;
    let message = Encoded(
        [
            ("UNIQ_KEY", "7F0000010B2C18B4AAC27D2C8A3E0001"),
            ("CLUSTER", "DefaultCluster"),
            ("TAGS", "TagA"),
            ("KEYS", "order-4711"),
            ("WAIT", "true"),
            ("region", "hangzhou"),
            ("amount", "199"),
            ("price", "12.75"),
            ("TRACE_ON", "true"),
        ]
        .map(|(name, value)| format!("{name}\u{1}{value}\u{2}"))
        .concat(),
    );
    for text in [
        "amount > 100",
        "amount > 100 AND price BETWEEN 10.5 AND 20.0 AND region IN ('hangzhou', 'shanghai')",
        "amount > 500 OR region = 'beijing' OR missing IS NULL",
        "region CONTAINS 'gz' AND TAGS = 'TagA' AND NOT (price < 1.5)",
    ] {
        let expression = Expression::compile(text).expect("these compile");
        let begin = Instant::now();
        let matched = (0..ROUNDS).filter(|_| expression.matches(black_box(&message))).count();
        let nanos = begin.elapsed().as_nanos() as f64 / ROUNDS as f64;
        println!("{nanos:6.0} ns  {text}  ({})", if matched == ROUNDS { "matches" } else { "does not match" });
    }
}
