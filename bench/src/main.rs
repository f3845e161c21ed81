//! `bench`: a load generator for RocketMQ servers, and a runner that measures Java's and our servers side by side.

mod cases;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures RocketMQ servers.
#[derive(Parser)]
#[command(name = "bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts Java's and our servers in turn and prints a table
    Run(run::Options),
}

fn main() -> ExitCode {
    let result = match &Arguments::parse().command {
        Command::Run(options) => run::run(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
