//! RocketMQ's remoting protocol: frames, headers, bodies, and the server and client that speak it.
//!
//! This crate knows connections and commands, nothing of topics or storage. Read in this order:
//! [`protocol::request_code`] (the request table), [`protocol::command`] (a frame), [`server`].

pub mod protocol;
