//! The wire protocol of RocketMQ 5.5.0.

pub mod codec;
pub mod command;
pub mod fields;
pub mod header;
mod json_header;
pub mod request_code;
pub mod response_code;
