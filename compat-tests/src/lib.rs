//! Runs official RocketMQ tests and clients against a name server and brokers.
//!
//! Reading order: `main.rs` (what is asked) → [`cluster`] (the servers) → [`official`], [`suite`],
//! [`differential`] and [`exchange`] (the tests) → [`report`] (what came of it). `README.md` holds the contract with the suites written in Java and Go.

pub mod cluster;
pub mod control;
pub mod differential;
pub mod exchange;
pub mod interrupt;
pub mod official;
pub mod probe;
pub mod report;
pub mod suite;
