//! Waits until a server answers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use hypergol_remoting::{RemotingCommand, RequestCode};

use super::control::Control;
use super::meter::print_line;

/// An answer that takes longer is not waited for; the server is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Pause between attempts: the resolution of the result.
const PAUSE: Duration = Duration::from_millis(1);

/// Flags of `bench probe`.
#[derive(Args)]
pub struct Options {
    /// Server, HOST:PORT
    #[arg(long)]
    addr: String,
    /// Seconds after which it is given up
    #[arg(long, default_value_t = 60.0)]
    timeout: f64,
}

/// Asks until any answer comes, and prints how long that took.
///
/// # Errors
/// When none comes in time.
pub fn run(options: &Options) -> Result<()> {
    let start = Instant::now();
    let limit = Duration::from_secs_f64(options.timeout.clamp(0.0, 86_400.0));
    // A broker answers with an offset or an error, a name server that it does not know the code: either will do.
    let request =
        RemotingCommand::request(RequestCode::GetMaxOffset).with_field("topic", "bench").with_field("queueId", "0");
    while Control::connect_within(&options.addr, ANSWER_MAX).and_then(|mut control| control.ask(&request)).is_err() {
        ensure!(start.elapsed() < limit, "{} does not answer within {limit:?}", options.addr);
        std::thread::sleep(PAUSE);
    }
    print_line(&serde_json::json!({"event": "answer", "seconds": start.elapsed().as_secs_f64()}).to_string())
}
