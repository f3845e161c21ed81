//! Server-side assignment of queues to the consumers of a group.
