//! Our servers: built in release mode, started with the same keys as Java's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The executables.
#[derive(Clone, Debug)]
pub struct Ours {
    folder: PathBuf,
}

impl Ours {
    /// Those in `folder`, when one is given; else builds them where this program is built.
    ///
    /// # Errors
    /// When they cannot be built, or one is missing.
    pub fn prepare(folder: Option<PathBuf>, workspace: &Path) -> Result<Self> {
        let folder = match folder {
            Some(folder) => folder,
            None => build(workspace)?,
        };
        for name in ["mqnamesrv", "mqbroker"] {
            ensure!(folder.join(name).is_file(), "there is no {name} in {}", folder.display());
        }
        Ok(Self { folder: folder.canonicalize()? })
    }

    /// The command line of a server whose files all stay below `home`.
    pub fn command(&self, name: &str, home: &Path) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.env("HOME", home).env("ROCKETMQ_HOME", home).env_remove("NAMESRV_ADDR").env_remove("RUST_LOG");
        command.current_dir(home);
        command
    }
}

/// Builds the servers in release mode; the folder they are in.
fn build(workspace: &Path) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let release = own.parent().context("this program has no folder")?;
    let target = release.parent().context("this program is not in a target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "-p", "hypergol-broker", "-p", "hypergol-namesrv"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace)
        .status()
        .context("cargo cannot be run; name a folder with mqnamesrv and mqbroker by --bin")?;
    ensure!(status.success(), "cargo build ended with {status}");
    Ok(target.join("release"))
}
