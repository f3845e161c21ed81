//! Delivers delayed messages when they are due.
