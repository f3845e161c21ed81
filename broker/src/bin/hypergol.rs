//! `hypergol`: a name server and a broker in one process, to try RocketMQ on a fresh machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use hypergol_broker::config::{self, BrokerSettings};
use hypergol_broker::network;
use hypergol_broker::server::{BLOCKING_THREADS_MAX, BrokerServer};
use hypergol_config::{Live, Properties, logging, process, settings};
use hypergol_namesrv::NameServer;
use hypergol_namesrv::config::NamesrvSettings;
use hypergol_remoting::IoThreads;
use tracing::{info, warn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// RocketMQ's name server and broker in one process, with everything they store in one folder.
#[derive(Parser)]
#[command(name = "hypergol", version)]
struct Arguments {
    /// Folder of messages, settings and logs
    #[arg(long, value_name = "FOLDER", default_value = "./hypergol-data")]
    data: PathBuf,
    /// Port of the name server
    #[arg(long, value_name = "PORT", default_value_t = 9876)]
    namesrv_port: u16,
    /// Port of the broker; the port two below is used as well
    #[arg(long, value_name = "PORT", default_value_t = 10911)]
    broker_port: u16,
    /// Address that clients reach the broker at, where the one found is not right
    #[arg(long, value_name = "IP")]
    address: Option<String>,
    /// broker.conf with further settings
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    process::use_small_pages();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hypergol: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let cannot_use = || format!("cannot use {} as uid {}", arguments.data.display(), process::uid());
    std::fs::create_dir_all(&arguments.data).with_context(cannot_use)?;
    let data = arguments.data.canonicalize().with_context(cannot_use)?;
    let logs = match std::env::var_os("ROCKETMQ_LOG_DIR") {
        Some(_) => logging::folder(),
        None => data.join("logs"),
    };
    let _log = logging::start_in(&logs, "hypergol")?;
    process::raise_open_files();
    let broker = broker_settings(arguments, &data)?;
    let mut namesrv = namesrv_settings(arguments, &data);
    // One process, one set of certificates.
    namesrv.tls = broker.load().tls.clone();
    namesrv.client.use_tls = broker.load().client.use_tls;
    let threads = IoThreads::start().context("cannot start the I/O threads")?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(namesrv, broker, threads, &data))
}

fn namesrv_settings(arguments: &Arguments, data: &std::path::Path) -> NamesrvSettings {
    let mut settings = NamesrvSettings::default();
    let path = |name: &str| data.join(name).to_string_lossy().into_owned();
    settings.server.listen_port = arguments.namesrv_port.into();
    settings.namesrv.kv_config_path = path("namesrv/kvConfig.json");
    settings.namesrv.config_store_path = path("namesrv/namesrv.properties");
    settings
}

fn broker_settings(arguments: &Arguments, data: &std::path::Path) -> anyhow::Result<Arc<Live<BrokerSettings>>> {
    let mut broker = BrokerSettings::default();
    let update_file = data.join("broker.properties");
    broker.broker.broker_name = "broker-a".into();
    broker.store.store_path_root_dir = data.join("store").to_string_lossy().into_owned();
    // What was changed at run time counts again after a restart; a file given now counts more.
    let mut start_file = match &arguments.config_file {
        Some(path) => Properties::read(path)?,
        None => Properties::default(),
    };
    for key in broker.load_tls(&start_file)? {
        warn!(key = key.name, file = key.file, line = key.line, "configuration key without effect here");
    }
    for path in [Some(&update_file).filter(|path| path.exists()), arguments.config_file.as_ref()].into_iter().flatten()
    {
        start_file = Properties::read(path)?;
        for key in settings::apply(&mut broker, &start_file)? {
            warn!(key = key.name, file = key.file, line = key.line, "unknown configuration key");
        }
    }
    broker.server.listen_port = arguments.broker_port.into();
    // Found anew at each start: machines move between networks.
    let given = start_file.get("brokerIP1").filter(|_| arguments.config_file.is_some());
    if given.is_none() {
        broker.broker.broker_ip1 = arguments.address.clone().unwrap_or_else(network::local_address);
    }
    broker.broker.namesrv_addr = Some(format!("127.0.0.1:{}", arguments.namesrv_port));
    config::prepare(&mut broker)?;
    Ok(Arc::new(Live::new(broker, &start_file, update_file)))
}

async fn serve(
    namesrv: NamesrvSettings,
    broker: Arc<Live<BrokerSettings>>,
    threads: IoThreads,
    data: &std::path::Path,
) -> anyhow::Result<()> {
    let signal = process::shutdown_signal();
    let namesrv_port = namesrv.server.listen_port;
    let namesrv = NameServer::start(namesrv, &Properties::default(), threads.clone())?;
    let server = BrokerServer::start(broker, threads).await?;
    say_hello(&server, namesrv_port, data);
    info!("{}", server.boot_line());
    let name = signal.await.context("cannot wait for signals")?;
    info!(signal = name, "told to end");
    server.shutdown().await;
    namesrv.shutdown().await;
    Ok(())
}

fn say_hello(server: &BrokerServer, namesrv_port: i32, data: &std::path::Path) {
    let config = server.broker().config();
    let ip = &config.broker.broker_ip1;
    println!(
        "Hypergol serves RocketMQ 5.5.0's protocol.\n\n  \
         name server  {ip}:{namesrv_port}  (also 127.0.0.1:{namesrv_port}; from containers {ip}:{namesrv_port})\n  \
         broker       {}\n  \
         data         {}\n\n\
         Try it, with RocketMQ's mqadmin or any client:\n\n  \
         mqadmin sendMessage -n {ip}:{namesrv_port} -t Hello -p world\n  \
         mqadmin consumeMessage -n {ip}:{namesrv_port} -t Hello\n\n\
         Ctrl-C ends it.",
        config.address(),
        data.display(),
    );
}
