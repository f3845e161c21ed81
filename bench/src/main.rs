//! `bench`: a load generator for RocketMQ servers, and a runner that measures Java's and our servers side by side.

mod cases;
mod load;
mod null_server;
mod run;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The servers' own, so that the null server differs from them only in what it does not do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Puts one kind of load on a server and prints what came of it
    Load {
        #[command(subcommand)]
        kind: load::Kind,
    },
    /// Answers sends with success and stores nothing: the ceiling of the network layer and of the generator
    NullServer {
        /// Address to listen on
        #[arg(long)]
        addr: SocketAddr,
    },
    /// Touches memory and gives it back; what the runner does before a server starts
    #[command(hide = true)]
    TouchMemory {
        /// How much
        bytes: usize,
    },
    /// Waits until a server answers
    Probe(load::probe::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Load { kind } => load::run(kind),
        Command::NullServer { addr } => null_server::run(addr),
        Command::TouchMemory { bytes } => {
            std::hint::black_box(vec![1u8; bytes]);
            Ok(())
        }
        Command::Probe(options) => load::probe::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
