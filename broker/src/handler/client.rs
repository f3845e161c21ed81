//! Heartbeats, unregistering, client configuration checks.
