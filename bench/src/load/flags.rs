//! Flags that several kinds of load share.

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use hypergol_remoting::protocol::command::SerializeType;

/// Threads, each with an event loop and its share of the connections, at most.
const THREADS_MAX: u32 = 64;
/// Connections at most: what the ports of one address allow, less a margin.
pub const CONNECTIONS_MAX: u32 = 20_000;

/// The server and the length.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Server, HOST:PORT
    #[arg(long)]
    pub addr: String,
    /// Length of the measured window in seconds
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of load before the window
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Form of request headers; official Java clients send JSON
    #[arg(long, value_enum, default_value_t = HeaderForm::Json)]
    pub header: HeaderForm,
    /// What the run id and the bytes of bodies are derived from; random by default
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Form of request headers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum HeaderForm {
    /// `JSON`, Java's default
    Json,
    /// `ROCKETMQ`, binary
    Rocketmq,
}

impl HeaderForm {
    /// As on the wire.
    pub fn serialize_type(self) -> SerializeType {
        match self {
            Self::Json => SerializeType::Json,
            Self::Rocketmq => SerializeType::RocketMq,
        }
    }
}

impl Common {
    /// # Errors
    /// When a length is not one.
    pub fn check(&self) -> Result<()> {
        ensure!(self.seconds > 0.0 && self.seconds <= 86_400.0, "--seconds is not within a day");
        ensure!(self.warmup >= 0.0 && self.warmup <= 86_400.0, "--warmup is not within a day");
        Ok(())
    }

    /// What identifies this run in the bodies of its messages.
    pub fn run_id(&self) -> u64 {
        self.seed.unwrap_or_else(rand::random)
    }
}

/// The topic that is sent to or read.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Topic
    #[arg(long, default_value = "bench")]
    pub topic: String,
    /// Queues of the topic, used in turn
    #[arg(long, default_value_t = 8)]
    pub queues: u32,
    /// Create the topic, or change it to that many queues, first
    #[arg(long)]
    pub create_topic: bool,
}

impl Target {
    /// # Errors
    /// When the broker could not have such a topic.
    pub fn check(&self) -> Result<()> {
        ensure!((1..=1_000_000).contains(&self.queues), "--queues is not within 1 and a million");
        Ok(())
    }
}

/// Sends.
#[derive(Args, Clone, Debug)]
pub struct Sends {
    /// Bytes of a body, at least 32
    #[arg(long, default_value_t = 1024)]
    pub size: u32,
    /// Requests without answer at most, over all connections; 1 in a closed loop, 4096 at a rate
    #[arg(long)]
    pub in_flight: Option<u32>,
    /// Connections
    #[arg(long, default_value_t = 1)]
    pub connections: u32,
    /// Threads of the generator
    #[arg(long, default_value_t = 1)]
    pub threads: u32,
    /// Messages per request; above 1 they are sent by code 320
    #[arg(long, default_value_t = 1)]
    pub batch: u32,
    /// Delay level of the messages
    #[arg(long)]
    pub delay_level: Option<u8>,
    /// Milliseconds that the messages wait on the timer wheel
    #[arg(long, conflicts_with = "delay_level")]
    pub timer_delay_ms: Option<u32>,
    /// Give the messages a property `bucket` from 00 to 99, in turn
    #[arg(long)]
    pub buckets: bool,
}

impl Sends {
    /// # Errors
    /// When a flag is out of bounds, or two exclude each other.
    pub fn check(&self) -> Result<()> {
        ensure!(self.size as usize >= super::body::TRAILER_BYTES, "--size is less than the 32 bytes that checks need");
        ensure!(self.size <= 4 << 20, "--size is above 4 MiB, the broker's maxMessageSize");
        ensure!((1..=CONNECTIONS_MAX).contains(&self.connections), "--connections is not within 1 and 20,000");
        ensure!((1..=THREADS_MAX).contains(&self.threads), "--threads is not within 1 and 64");
        ensure!((1..=4096).contains(&self.batch), "--batch is not within 1 and 4096");
        ensure!(self.in_flight.is_none_or(|n| (1..=1 << 20).contains(&n)), "--in-flight is not within 1 and 1,048,576");
        ensure!(u64::from(self.batch) * u64::from(self.size) <= 12 << 20, "a batch of that size exceeds a frame");
        ensure!(!self.is_delayed() || self.batch == 1, "a batch cannot be delayed");
        Ok(())
    }

    /// The same for kinds that have one event loop.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_one_thread(&self) -> Result<()> {
        ensure!(self.threads == 1, "this kind of load has one thread");
        ensure!(!self.is_delayed(), "this kind of load has no delay");
        self.check()
    }

    /// Whether the messages reach their queues some time after they were sent.
    pub fn is_delayed(&self) -> bool {
        self.delay_level.is_some() || self.timer_delay_ms.is_some()
    }
}
