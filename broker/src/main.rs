//! `mqbroker`: a RocketMQ broker.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use hypergol_broker::config::{self, BrokerSettings};
use hypergol_broker::server::BrokerServer;
use hypergol_config::{Live, Properties, logging, process, settings};
use hypergol_remoting::IoThreads;
use tracing::{info, warn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A RocketMQ broker.
#[derive(Parser)]
#[command(name = "mqbroker", version)]
struct Arguments {
    /// Broker config properties file
    #[arg(short = 'c', long = "configFile", value_name = "arg")]
    config_file: Option<PathBuf>,
    /// Name server address list, eg: '192.168.0.1:9876;192.168.0.2:9876'
    #[arg(short = 'n', long = "namesrvAddr", value_name = "arg")]
    namesrv_addr: Option<String>,
    /// Print all config item
    #[arg(short = 'p', long = "printConfigItem")]
    print_config_item: bool,
    /// Print important config item
    #[arg(short = 'm', long = "printImportantConfig")]
    print_important_config: bool,
}

fn main() -> ExitCode {
    process::use_small_pages();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mqbroker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut start_file = Properties::default();
    let mut broker = BrokerSettings::default();
    let mut unknown = Vec::new();
    if let Some(path) = &arguments.config_file {
        start_file = Properties::read(path)?;
    }
    unknown.extend(broker.load_tls(&start_file)?);
    unknown.extend(settings::apply(&mut broker, &start_file)?);
    if arguments.print_config_item || arguments.print_important_config {
        print!("{}", settings::print(&broker, arguments.print_important_config));
        return Ok(());
    }
    if let Some(addresses) = &arguments.namesrv_addr {
        broker.broker.namesrv_addr = Some(addresses.clone());
    }
    config::prepare(&mut broker)?;
    let _log = logging::start("broker")?;
    for key in unknown {
        warn!(key = key.name, file = key.file, line = key.line, "unknown configuration key");
    }
    process::raise_open_files();
    let update_file =
        arguments.config_file.clone().unwrap_or_else(|| process::home().join("store/config/broker.properties"));
    let live = Arc::new(Live::new(broker, &start_file, update_file));
    let threads = IoThreads::start().context("cannot start the I/O threads")?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(hypergol_broker::server::BLOCKING_THREADS_MAX)
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(live, threads))
}

async fn serve(settings: Arc<Live<BrokerSettings>>, threads: IoThreads) -> anyhow::Result<()> {
    let signal = process::shutdown_signal();
    let server = BrokerServer::start(settings, threads).await?;
    println!("{}", server.boot_line());
    info!("{}", server.boot_line());
    let name = signal.await.context("cannot wait for signals")?;
    info!(signal = name, "told to end");
    server.shutdown().await;
    Ok(())
}
