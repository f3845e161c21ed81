//! Settings of the broker: every key of broker.conf.
