//! The name server as its peers see it: frames in, frames out.

mod administration;
mod common;
mod registration;
