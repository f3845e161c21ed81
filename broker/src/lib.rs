//! RocketMQ broker: takes messages from producers, keeps them in a store, hands them to consumers.
//!
//! Read in this order: [`context`] (the broker's state), [`dispatch`] (which handler answers which request), then a
//! handler, such as [`handler::send`].

pub mod admin_state;
pub mod assignment;
pub mod clients;
pub mod config;
pub mod consumers;
pub mod context;
pub mod deadlines;
pub mod dispatch;
pub mod error;
pub mod filter;
pub mod groups;
pub mod handler;
pub mod held_bytes;
pub mod held_requests;
pub mod lite;
pub mod names;
pub mod namesrv_client;
pub mod network;
pub mod offsets;
pub mod peers;
pub mod persist;
pub mod pop;
pub mod producers;
pub mod properties;
pub mod queue_locks;
pub mod request_modes;
pub mod retry;
pub mod runtime_info;
pub mod schedule;
pub mod server;
pub mod static_topic;
pub mod stats;
pub mod timer;
pub mod topic_routes;
pub mod topics;
pub mod transaction;
pub mod unique_key;

pub use context::Broker;
pub use error::BrokerError;
