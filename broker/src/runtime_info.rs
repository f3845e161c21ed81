//! The key-value table of GET_BROKER_RUNTIME_INFO.
