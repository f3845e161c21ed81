//! Pulls that wait for a message to arrive.
