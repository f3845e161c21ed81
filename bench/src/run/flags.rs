//! What of a case becomes flags of the generator.

use std::net::SocketAddr;

use crate::cases::{QUEUES, Send};

/// Requests in flight of route queries: enough that the name server never waits.
const ROUTE_IN_FLIGHT: u32 = 64;
/// Connections of route queries.
const ROUTE_CONNECTIONS: u32 = 4;
/// Connections that send to an orderly consumer.
const ORDERLY_CONNECTIONS: u32 = 16;
/// Bytes of a body where a case does not name any.
const BODY: u32 = 1024;

/// Where a load goes and how long it takes.
#[derive(Clone, Copy, Debug)]
pub struct Aim<'a> {
    /// Broker or name server.
    pub address: SocketAddr,
    /// Topic; created first.
    pub topic: &'a str,
    /// Queues of the topic.
    pub queues: u32,
    /// Measured.
    pub seconds: u32,
    /// Before that.
    pub warmup_seconds: u32,
}

impl Aim<'_> {
    fn common(&self) -> Vec<String> {
        let mut flags = pair("--addr", self.address).to_vec();
        flags.extend(pair("--topic", self.topic));
        flags.extend(pair("--queues", self.queues));
        flags.push("--create-topic".to_owned());
        flags.extend(self.lengths());
        flags
    }

    fn lengths(&self) -> Vec<String> {
        [pair("--seconds", self.seconds), pair("--warmup", self.warmup_seconds)].concat()
    }

    /// `bench load send`; `rate` is what the open loop of `send` comes to.
    pub fn send(&self, send: &Send, rate: Option<u64>) -> Vec<String> {
        let mut flags = self.common();
        flags.extend(pair("--size", send.size));
        flags.extend(pair("--connections", send.connections));
        if send.batch > 1 {
            flags.extend(pair("--batch", send.batch));
        }
        match rate {
            Some(rate) => flags.extend(pair("--rate", rate)),
            None => flags.extend(pair("--in-flight", send.in_flight)),
        }
        if send.oneway {
            flags.push("--oneway".to_owned());
        }
        if let Some(level) = send.delay_level {
            flags.extend(pair("--delay-level", level));
        }
        if let Some(delay) = send.timer_delay_ms {
            flags.extend(pair("--timer-delay-ms", delay));
        }
        if send.buckets {
            flags.push("--buckets".to_owned());
        }
        flags
    }

    /// `bench load tail`
    pub fn tail(&self, rate: u64) -> Vec<String> {
        let mut flags = self.common();
        flags.extend(pair("--rate", rate));
        flags.extend(pair("--size", BODY));
        flags
    }

    /// `bench load tail`, orderly
    pub fn orderly(&self, rate: u64) -> Vec<String> {
        let mut flags = self.tail(rate);
        flags.push("--orderly".to_owned());
        // A connection sends one message after the other, so that there is an order.
        flags.extend(pair("--in-flight", ORDERLY_CONNECTIONS));
        flags.extend(pair("--connections", ORDERLY_CONNECTIONS));
        flags
    }

    /// `bench load transaction`
    pub fn transactions(&self, in_flight: u32, connections: u32) -> Vec<String> {
        let mut flags = self.common();
        flags.extend(pair("--in-flight", in_flight));
        flags.extend(pair("--connections", connections));
        flags.extend(pair("--size", BODY));
        flags
    }

    /// `bench load hold`
    pub fn hold(&self, consumers: u32, rate: u32) -> Vec<String> {
        let mut flags = self.common();
        flags.extend(pair("--consumers", consumers));
        flags.extend(pair("--rate", rate));
        flags.extend(pair("--size", BODY));
        flags
    }

    /// `bench load route`
    pub fn route(&self, topics: u32) -> Vec<String> {
        let mut flags = pair("--addr", self.address).to_vec();
        flags.extend(pair("--topics", topics));
        flags.push("--register".to_owned());
        flags.extend(pair("--in-flight", ROUTE_IN_FLIGHT));
        flags.extend(pair("--connections", ROUTE_CONNECTIONS));
        flags.extend(self.lengths());
        flags
    }
}

/// `bench load filter` and `bench load pop`: all of a topic, whatever the time.
pub fn backlog(address: SocketAddr, topic: &str) -> Vec<String> {
    [pair("--addr", address), pair("--topic", topic), pair("--queues", QUEUES)].concat()
}

/// `bench load drain`: all of it, whatever the time.
pub fn drain(address: SocketAddr, topic: &str, messages: u64) -> Vec<String> {
    let flags = [
        pair("--addr", address),
        pair("--topic", topic),
        pair("--queues", QUEUES),
        pair("--messages", messages),
        pair("--in-flight", QUEUES),
        pair("--warmup", 0),
    ];
    flags.concat()
}

/// A flag and its value.
fn pair(flag: &str, value: impl ToString) -> [String; 2] {
    [flag.to_owned(), value.to_string()]
}
