//! Filter by tag.
