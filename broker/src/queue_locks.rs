//! Locks of queues held by the clients of orderly consumer groups.
