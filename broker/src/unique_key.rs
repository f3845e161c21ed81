//! Unique keys for messages whose producer gave them none.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use hypergol_remoting::message::UniqueKey;
use time::{OffsetDateTime, Time};

/// Makes keys in the form of Java's `MessageClientIDSetter`.
pub struct UniqueKeys {
    ip: IpAddr,
    /// Takes the place of Java's class-loader hash: tells apart processes with the same address and pid.
    hash: u32,
    counter: AtomicU64,
}

impl UniqueKeys {
    /// Keys made at `ip`.
    pub fn new(ip: IpAddr) -> Self {
        Self { ip, hash: rand::random(), counter: AtomicU64::new(0) }
    }

    /// The next key. Keys differ as long as no more than 65,536 are made in a millisecond.
    pub fn next(&self) -> UniqueKey {
        let now = OffsetDateTime::now_utc();
        let month_start = now.replace_time(Time::MIDNIGHT).replace_day(1).unwrap_or(now);
        UniqueKey {
            ip: self.ip,
            pid: std::process::id() as u16,
            hash: self.hash,
            month_ms: (now - month_start).whole_milliseconds() as u32,
            counter: self.counter.fetch_add(1, Ordering::Relaxed) as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_have_javas_length() {
        let keys = UniqueKeys::new("10.0.0.1".parse().unwrap());
        let (a, b) = (keys.next().to_string(), keys.next().to_string());
        assert_eq!((a.len(), &a[..8]), (32, "0A000001"));
        assert_ne!(a, b);
    }
}
