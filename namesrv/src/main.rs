//! `mqnamesrv`: the name server as a process.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use hypergol_config::{Properties, logging, process, settings};
use hypergol_namesrv::NameServer;
use hypergol_namesrv::config::NamesrvSettings;
use hypergol_remoting::IoThreads;
use tracing::{info, warn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// RocketMQ name server
#[derive(Parser)]
#[command(name = "mqnamesrv", version)]
struct Arguments {
    /// Name server config properties file
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<PathBuf>,

    /// Name server address list; accepted and not used, as in Java
    #[arg(short = 'n', long = "namesrvAddr", value_name = "ADDRESSES")]
    _namesrv_addr: Option<String>,

    /// Print all config items
    #[arg(short = 'p', long = "printConfigItem")]
    print_all: bool,

    /// Print important config items
    #[arg(short = 'm', long = "printImportantConfig")]
    print_important: bool,
}

fn main() -> ExitCode {
    process::use_small_pages();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done where even this cannot be written.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mqnamesrv: {error:#}");
            // Java's -1.
            ExitCode::from(255)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut settings = NamesrvSettings::default();
    let mut file = Properties::default();
    let mut unknown = Vec::new();
    if let Some(path) = &arguments.config_file {
        file = Properties::read(path)?;
    }
    unknown.extend(settings.load_tls(&file)?);
    unknown.extend(settings::apply(&mut settings, &file)?);
    if let Some(path) = &arguments.config_file {
        settings.namesrv.config_store_path = path.to_string_lossy().into_owned();
        say(&format!("load config properties file OK, {}\n", path.display()))?;
    }
    if arguments.print_all || arguments.print_important {
        return say(&settings::print(&settings, !arguments.print_all));
    }
    let log = logging::start("namesrv")?;
    for key in unknown {
        warn!("{}:{}: {} is not a key of the name server", key.file, key.line, key.name);
    }
    process::raise_open_files();
    let threads = IoThreads::start().context("I/O threads")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("tokio runtime")?;
    let served = runtime.block_on(serve(settings, &file, threads));
    drop(log);
    served
}

async fn serve(settings: NamesrvSettings, file: &Properties, threads: IoThreads) -> anyhow::Result<()> {
    let bind_address = settings.server.bind_address.clone();
    let server = NameServer::start(settings, file, threads)?;
    // Scripts wait for this line.
    say(&format!(
        "The Name Server boot success. serializeType=JSON, address {bind_address}:{}\n",
        server.local_addr().port()
    ))?;
    let signal = process::shutdown_signal().await.context("signal handling")?;
    info!(signal, "told to end");
    server.shutdown().await;
    Ok(())
}

/// Writes to standard output. A reader that went away (`mqnamesrv -p | head`) is no failure.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}
