//! Servers in containers: a network of their own, no address in any broker's configuration.
//!
//! The name server is reached through a mapped port, which stays the same over restarts; the brokers at the addresses
//! that they advertise themselves, which a Linux host can reach.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testcontainers::core::{IntoContainerPort, Mount};
use testcontainers::runners::SyncRunner;
use testcontainers::{Container, GenericImage, ImageExt};

use super::config::{self, Flavour};
use super::{BROKERS, NAMESRV, POLL, Prepared, Server};
use crate::interrupt::{self, Started};

/// Where the folder of a server is seen inside its container.
pub const MOUNT: &str = "/compat";
const NAMESRV_PORT: u16 = 9876;
const BOOT_LINE: &str = "boot success";
/// Uid of root.
const ROOT: u32 = 0;
/// What `docker` answers as exit code of a container ended by SIGKILL.
const EXIT_CODE_OF_SIGKILL: i64 = 137;

/// The images of the servers, `NAME:TAG`.
#[derive(Clone, Debug)]
pub struct Images {
    /// Its command is `mqnamesrv …`.
    pub namesrv: String,
    /// Its command is `mqbroker …`.
    pub broker: String,
}

impl Images {
    /// # Errors
    /// When the engine cannot be reached or does not have the images.
    pub fn check(&self) -> Result<()> {
        for image in [&self.namesrv, &self.broker] {
            docker(&["image", "inspect", image]).with_context(|| format!("image {image} is needed"))?;
        }
        Ok(())
    }
}

/// Writes the configuration files and returns the name server's address and the servers, not started.
pub fn prepare(images: &Images, folder: &Path, flavour: Flavour) -> Result<Prepared> {
    static CLUSTERS: AtomicUsize = AtomicUsize::new(0);
    let network = format!("compat-{}-{}", std::process::id(), CLUSTERS.fetch_add(1, Ordering::Relaxed));
    let host_port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();

    let namesrv_host = format!("{network}-{NAMESRV}");
    let mut servers = vec![server(&images.namesrv, &network, folder, NAMESRV, &Vec::new(), Some(host_port))?];
    for name in BROKERS {
        let lines = config::broker(name, &format!("{namesrv_host}:{NAMESRV_PORT}"), flavour);
        servers.push(server(&images.broker, &network, folder, name, &lines, None)?);
    }
    Ok((format!("127.0.0.1:{host_port}"), servers))
}

fn server(
    image: &str,
    network: &str,
    folder: &Path,
    name: &str,
    lines: &config::Properties,
    host_port: Option<u16>,
) -> Result<(String, Box<dyn Server>)> {
    let home = folder.join(name);
    let file = config::write(&home, lines)?;
    // The server may run as another user there, and keeps a changed configuration in this folder.
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o777))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666))?;
    let server = InContainer {
        image: image.to_owned(),
        network: network.to_owned(),
        name: name.to_owned(),
        host_port,
        home,
        container: None,
    };
    Ok((name.to_owned(), Box::new(server)))
}

struct InContainer {
    image: String,
    network: String,
    name: String,
    /// Where the name server is reached from outside; brokers have none.
    host_port: Option<u16>,
    home: PathBuf,
    container: Option<Container<GenericImage>>,
}

impl InContainer {
    fn create(&self, timeout: Duration) -> Result<Container<GenericImage>> {
        let (image, tag) = self.image.rsplit_once(':').unwrap_or((&self.image, "latest"));
        let program = if self.name == NAMESRV { "mqnamesrv" } else { "mqbroker" };
        let mut request = GenericImage::new(image, tag)
            .with_cmd([program, "-c", &format!("{MOUNT}/server.conf")])
            .with_container_name(format!("{}-{}", self.network, self.name))
            .with_network(&self.network)
            .with_mount(Mount::bind_mount(self.home.display().to_string(), MOUNT))
            .with_startup_timeout(timeout);
        // What another user writes there, only he and root can delete.
        let owner = std::fs::metadata(&self.home)?;
        if owner.uid() != ROOT {
            request = request.with_user(format!("{}:{}", owner.uid(), owner.gid()));
        }
        if let Some(host_port) = self.host_port {
            request = request.with_mapped_port(host_port, NAMESRV_PORT.tcp());
        }
        Ok(request.start()?)
    }

    fn running(&self) -> Result<&Container<GenericImage>> {
        match &self.container {
            Some(container) if container.is_running()? => Ok(container),
            _ => bail!("{} is not running", self.name),
        }
    }
}

fn log_of(container: &Container<GenericImage>) -> Result<String> {
    let mut log = container.stdout_to_vec()?;
    log.extend(container.stderr_to_vec()?);
    Ok(String::from_utf8_lossy(&log).into_owned())
}

impl Server for InContainer {
    fn start(&mut self, timeout: Duration) -> Result<()> {
        let mut boots_before = 0;
        if let Some(container) = &self.container {
            ensure!(!container.is_running()?, "it is running already");
            boots_before = log_of(container)?.matches(BOOT_LINE).count();
            container.start()?;
        } else {
            let container = self.create(timeout)?;
            interrupt::remember(Started::Container(container.id().to_owned()));
            self.container = Some(container);
        }
        let container = self.container.as_ref().context("just created")?;
        let deadline = Instant::now() + timeout;
        loop {
            let log = log_of(container)?;
            if log.matches(BOOT_LINE).count() > boots_before {
                return Ok(());
            }
            ensure!(container.is_running()?, "it ended: {log}");
            ensure!(Instant::now() < deadline, "no {BOOT_LINE:?} after {timeout:?}: {log}");
            std::thread::sleep(POLL);
        }
    }

    fn kill(&mut self) -> Result<()> {
        if let Ok(container) = self.running() {
            docker(&["kill", "--signal", "KILL", container.id()])?;
            while container.is_running()? {
                std::thread::sleep(POLL);
            }
        }
        Ok(())
    }

    fn stop(&mut self, timeout: Duration) -> Result<()> {
        let container = self.running()?;
        container.stop_with_timeout(Some(i32::try_from(timeout.as_secs())?))?;
        if container.exit_code()? == Some(EXIT_CODE_OF_SIGKILL) {
            bail!("{} did not end within {timeout:?} of SIGTERM", self.name);
        }
        Ok(())
    }

    fn folder(&self) -> &Path {
        &self.home
    }

    fn save_logs(&mut self) {
        if let Some(log) = self.container.as_ref().and_then(|container| log_of(container).ok()) {
            let _ = std::fs::write(self.home.join("output.log"), log);
        }
    }
}

impl Drop for InContainer {
    fn drop(&mut self) {
        if let Some(container) = self.container.take() {
            interrupt::forget(&Started::Container(container.id().to_owned()));
        }
    }
}

fn docker(arguments: &[&str]) -> Result<()> {
    let Output { status, stderr, .. } =
        Command::new("docker").args(arguments).output().context("the docker command cannot be run")?;
    ensure!(status.success(), "docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&stderr).trim());
    Ok(())
}
