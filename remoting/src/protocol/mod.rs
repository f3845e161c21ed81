//! The wire protocol of RocketMQ 5.5.0.
