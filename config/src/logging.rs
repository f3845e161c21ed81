//! The log: a file in Java's customary folder, warnings also on standard error.
//!
//! `~/logs/rocketmqlogs/NAME.log` is written by a thread of its own. A new file begins when the day changes or the file
//! is full; the old one goes to `otherdays/` as `NAME.1.log`, the one before as `NAME.2.log`, and so on.
//!
//! Environment: `ROCKETMQ_LOG_DIR` for another folder, `RUST_LOG` for another level than `info`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::error::ConfigError;
use crate::process;

/// A file that reached this size is full. Java's logback files: 100 MB.
const FILE_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Old files that are kept.
const OLD_FILES_MAX: u32 = 10;
/// Lines that may wait to be written. More are dropped rather than that a request waits for the disk.
const LINES_WAITING_MAX: usize = 4096;

/// Keeps the log going; what waits is written when it is dropped.
#[must_use]
pub struct LogGuard {
    _writer: WorkerGuard,
    /// The file.
    pub path: PathBuf,
}

/// The folder of the logs.
pub fn folder() -> PathBuf {
    match std::env::var_os("ROCKETMQ_LOG_DIR") {
        Some(folder) if !folder.is_empty() => folder.into(),
        _ => process::home().join("logs/rocketmqlogs"),
    }
}

/// Starts the log of this process; `name` is `namesrv` or `broker`. Call it once.
pub fn start(name: &str) -> Result<LogGuard, ConfigError> {
    start_in(&folder(), name)
}

/// The same, with the log in a folder of the caller's choice.
pub fn start_in(folder: &Path, name: &str) -> Result<LogGuard, ConfigError> {
    let path = folder.join(format!("{name}.log"));
    let file = RollingFile::open(&path, FILE_BYTES_MAX)?;
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES_WAITING_MAX).thread_name("log").finish(file);
    let level = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let to_file = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer).with_filter(level);
    let to_terminal = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(io::stderr)
        .with_filter(LevelFilter::WARN);
    // Fails only when there is a subscriber already: an embedding program's, or a test's.
    let _ = tracing_subscriber::registry().with(to_file).with(to_terminal).try_init();
    Ok(LogGuard { _writer: guard, path })
}

/// A file that is put aside when it is full or a day old.
struct RollingFile {
    path: PathBuf,
    bytes_max: u64,
    file: File,
    bytes: u64,
    /// Day, counted from 1970 in UTC, that the file is of.
    day: u64,
}

impl RollingFile {
    fn open(path: &Path, bytes_max: u64) -> Result<Self, ConfigError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|error| ConfigError::io("create", folder, error))?;
        let (file, bytes, day) = append(path).map_err(|error| ConfigError::io("write", path, error))?;
        Ok(Self { path: path.to_owned(), bytes_max, file, bytes, day })
    }

    fn roll(&mut self) -> io::Result<()> {
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.path.with_file_name("otherdays");
        fs::create_dir_all(&folder)?;
        let old = |n: u32| folder.join(format!("{name}.{n}.log"));
        for n in (1..OLD_FILES_MAX).rev() {
            if old(n).exists() {
                fs::rename(old(n), old(n + 1))?;
            }
        }
        fs::rename(&self.path, old(1))?;
        (self.file, self.bytes, self.day) = append(&self.path)?;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<(File, u64, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let found = file.metadata()?;
    let day = if found.len() == 0 { today() } else { day(found.modified()?) };
    Ok((file, found.len(), day))
}

fn today() -> u64 {
    day(SystemTime::now())
}

fn day(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

impl Write for RollingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.bytes > 0 && (self.bytes + line.len() as u64 > self.bytes_max || self.day != today()) {
            // Where the folder does not allow it the file goes on; it is tried again a file later.
            if self.roll().is_err() {
                (self.bytes, self.day) = (0, today());
            }
        }
        let written = self.file.write(line)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/namesrv.log");
        let mut file = RollingFile::open(&path, 10).unwrap();
        for i in 0..OLD_FILES_MAX + 5 {
            file.write_all(format!("line {i:03}").as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join("a").join(name)).unwrap();
        assert_eq!(read("namesrv.log"), "line 014");
        assert_eq!(read("otherdays/namesrv.1.log"), "line 013");
        assert_eq!(read("otherdays/namesrv.10.log"), "line 004");
        assert_eq!(fs::read_dir(folder.path().join("a/otherdays")).unwrap().count(), OLD_FILES_MAX as usize);
    }

    #[test]
    fn a_file_goes_on_after_a_restart_unless_it_is_of_another_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namesrv.log");
        RollingFile::open(&path, 100).unwrap().write_all(b"a").unwrap();
        let mut again = RollingFile::open(&path, 100).unwrap();
        again.write_all(b"b").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ab");
        again.day -= 1;
        again.write_all(b"c").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"c");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named_with_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = RollingFile::open(&file.join("logs/x.log"), 10).err().unwrap().to_string();
        assert!(error.contains("/file/logs as uid "), "{error}");
    }
}
