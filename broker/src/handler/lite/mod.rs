//! Lite topics: POP_LITE_MESSAGE, LITE_SUBSCRIPTION_CTL, acknowledgements and changes of invisible times of lite messages,
//! and what administrators ask. What is behind them is in [`crate::lite`].

pub mod ack;
pub mod admin;
pub mod pop;
pub mod subscribe;
