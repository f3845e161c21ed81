//! Topics: their settings, kept in `config/topics.json`.
