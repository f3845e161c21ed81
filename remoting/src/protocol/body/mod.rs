//! JSON bodies of requests and answers, named as in Java.
//!
//! [`Body`](super::fastjson::Body) gives each type `decode`, `encode` and the other encodings. `Default`
//! gives what Java's constructor gives. Sets of Java are `Vec`s here: they keep the order of the wire.

pub mod assignment;
pub mod auth;
pub mod connection;
pub mod filter;
pub mod group;
pub mod ha;
pub mod heartbeat;
pub mod kv;
pub mod lite;
pub mod lock;
pub mod message_queue;
pub mod offset;
pub mod pop;
pub mod register;
pub mod route;
pub mod running;
pub mod stats;
pub mod topic;
