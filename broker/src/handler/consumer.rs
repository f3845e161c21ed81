//! Consumer lists, consumer offsets, queue offsets, queue locks.
