//! Producer groups with their connected clients.
