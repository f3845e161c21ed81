//! SQL92 filter expressions over the properties of messages, as RocketMQ 5.5.0's `rocketmq-filter` understands them.
//!
//! [`Expression::compile`] reads a text once (`lexer.rs`, `parser.rs`); [`Expression::evaluate`] walks the tree for each
//! message and allocates nothing (`expression.rs`, `value.rs`, `number.rs`). What an expression accepts, means and
//! refuses at evaluation is Java's to the letter, its oddities included; the crate's tests name them. What Java leaves
//! to its memory and stack is bounded here: [`EXPRESSION_BYTES_MAX`], [`DEPTH_MAX`].
//!
//! [`BloomFilter`] is the one that consume-queue extensions hold bits of.

mod bloom;
mod expression;
mod lexer;
mod number;
mod parser;
mod value;

pub use bloom::{BloomError, BloomFilter, get_bit, set_bit};
pub use expression::{EvaluationError, Expression, Properties};
pub use parser::{CompileError, DEPTH_MAX, EXPRESSION_BYTES_MAX};
