//! Subscription groups: their settings, kept in `config/subscriptionGroup.json`.
