//! Consumer offsets, kept in `config/consumerOffset.json`.
