//! The wire protocol of RocketMQ 5.5.0.

pub mod body;
pub mod codec;
pub mod command;
pub mod fastjson;
pub mod fields;
pub mod header;
mod json_header;
pub mod request_code;
pub mod response_code;

pub use request_code::RequestCode;
pub use response_code::ResponseCode;
