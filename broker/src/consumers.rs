//! Consumer groups with their connected clients and subscriptions.
