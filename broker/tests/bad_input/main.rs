//! Requests and files that nobody sane would make: the broker answers or refuses, and goes on.

#[path = "../common/mod.rs"]
mod common;
mod files;
mod handles;
mod messages;
mod mutation;
mod requests;
mod seeds;
mod watch;
