//! The requests that change nothing in the registry, by who asks.

pub(crate) mod admin;
pub(crate) mod brokers;
pub(crate) mod route;
