//! Decides which messages of a queue a subscription wants.

pub mod subscription;
pub mod tag;
