//! Writes the files of `config/`: durably, with the version before as `.bak`.
//!
//! One thread writes them all. Whoever changes a table says so and goes on; changes that come while a file is being
//! written are written together, so that creating many topics does not write the whole table for each of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hypergol_config::files;
use hypergol_remoting::protocol::fastjson::Body;
use parking_lot::{Condvar, Mutex};
use tracing::{error, warn};

use crate::error::BrokerError;

/// Largest configuration file that is read. 50,000 topics take some 12 MB.
const FILE_BYTES_MAX: usize = 1 << 30;
/// Pause after a failed write before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Called when the state at the time of the call is on disk, or could not be written. Runs on the writer's thread.
pub type WrittenCallback = Box<dyn FnOnce(Result<(), String>) + Send>;

type Encode = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

/// Reads a file of `config/`, or its `.bak` where the file is missing, empty or damaged; `None` when there is neither.
///
/// # Errors
/// [`BrokerError::Damaged`] when what there is cannot be read: starting without it would lose settings or offsets.
pub fn load<B: Body>(folder: &Path, name: &str) -> Result<Option<B>, BrokerError> {
    let path = folder.join(name);
    let mut damage = None;
    for candidate in [path.clone(), folder.join(format!("{name}.bak"))] {
        let Ok(metadata) = fs::metadata(&candidate) else { continue };
        if metadata.len() == 0 {
            continue;
        }
        let parsed = files::read(&candidate, FILE_BYTES_MAX)
            .map_err(|error| error.to_string())
            .and_then(|bytes| B::decode(&bytes).map_err(|error| error.to_string()));
        match parsed {
            Ok(value) => {
                if damage.is_some() {
                    warn!(file = %candidate.display(), "read the backup instead of a damaged file");
                }
                return Ok(Some(value));
            }
            Err(reason) => {
                warn!(file = %candidate.display(), reason, "damaged configuration file");
                damage.get_or_insert(reason);
            }
        }
    }
    match damage {
        None => Ok(None),
        Some(reason) => Err(BrokerError::Damaged { path, reason }),
    }
}

/// The thread that writes, and what waits for it.
pub struct ConfigWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    files: BTreeMap<&'static str, FileState>,
    stopping: bool,
}

struct FileState {
    encode: Arc<Encode>,
    dirty: bool,
    waiting: Vec<WrittenCallback>,
}

/// The right to have one file written.
#[derive(Clone)]
pub struct ConfigFile {
    shared: Arc<Shared>,
    name: &'static str,
}

impl ConfigWriter {
    /// Starts the thread; files go to `folder`.
    pub fn start(folder: PathBuf) -> Arc<Self> {
        let shared = Arc::new(Shared { folder, state: Mutex::default(), changed: Condvar::new() });
        let thread = std::thread::Builder::new().name("config-writer".into()).spawn({
            let shared = shared.clone();
            move || shared.run()
        });
        if let Err(error) = &thread {
            error!(%error, "cannot start the thread that writes the configuration");
        }
        Arc::new(Self { shared, thread: Mutex::new(thread.ok()) })
    }

    /// Declares a file; `encode` gives its content at the time of a write.
    pub fn file(&self, name: &'static str, encode: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> ConfigFile {
        let state = FileState { encode: Arc::new(Box::new(encode)), dirty: false, waiting: Vec::new() };
        self.shared.state.lock().files.insert(name, state);
        ConfigFile { shared: self.shared.clone(), name }
    }

    /// Writes what is left, once, and ends the thread. Idempotent.
    pub fn shutdown(&self) {
        self.shared.state.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            error!("the thread that writes the configuration panicked");
        }
    }
}

impl Drop for ConfigWriter {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl ConfigFile {
    /// Has the file written soon.
    pub fn changed(&self) {
        self.mark(None);
    }

    /// Has the file written, and calls `done` after.
    pub fn written(&self, done: WrittenCallback) {
        self.mark(Some(done));
    }

    fn mark(&self, done: Option<WrittenCallback>) {
        let mut state = self.shared.state.lock();
        if state.stopping {
            drop(state);
            if let Some(done) = done {
                done(Err("the broker is shutting down".to_owned()));
            }
            return;
        }
        if let Some(file) = state.files.get_mut(self.name) {
            file.dirty = true;
            file.waiting.extend(done);
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        let mut retry_at: Option<Instant> = None;
        loop {
            let mut state = self.state.lock();
            while !state.stopping && (retry_at.is_some() || !state.files.values().any(|file| file.dirty)) {
                match retry_at {
                    // A failed file stays dirty; others wait with it, the disk is the same.
                    Some(at) if Instant::now() < at => {
                        self.changed.wait_until(&mut state, at);
                    }
                    Some(_) => retry_at = None,
                    None => self.changed.wait(&mut state),
                }
            }
            let stopping = state.stopping;
            let mut due = Vec::new();
            for (name, file) in &mut state.files {
                if std::mem::take(&mut file.dirty) {
                    due.push((*name, file.encode.clone(), std::mem::take(&mut file.waiting)));
                }
            }
            drop(state);
            for (name, encode, waiting) in due {
                let result = files::replace(&self.folder.join(name), &encode(), true).map_err(|e| e.to_string());
                if let Err(reason) = &result {
                    error!(file = name, reason, "cannot write configuration");
                    retry_at = Some(Instant::now() + RETRY_PAUSE);
                    if let Some(file) = self.state.lock().files.get_mut(name) {
                        file.dirty = true;
                    }
                }
                for done in waiting {
                    done(result.clone());
                }
            }
            if stopping {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypergol_remoting::protocol::body::kv::KVTable;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    fn table(value: &str) -> KVTable {
        KVTable { table: [("k".to_owned(), value.to_owned())].into() }
    }

    #[test]
    fn the_backup_stands_in_for_a_damaged_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(load::<KVTable>(path, "x.json").unwrap().is_none());
        fs::write(path.join("x.json.bak"), table("old").encode_pretty()).unwrap();
        assert_eq!(load::<KVTable>(path, "x.json").unwrap(), Some(table("old")));
        fs::write(path.join("x.json"), b"").unwrap();
        assert_eq!(load::<KVTable>(path, "x.json").unwrap(), Some(table("old")));
        fs::write(path.join("x.json"), b"{\"table\":{\"k\"").unwrap();
        assert_eq!(load::<KVTable>(path, "x.json").unwrap(), Some(table("old")));
        fs::write(path.join("x.json.bak"), b"[").unwrap();
        assert!(matches!(load::<KVTable>(path, "x.json"), Err(BrokerError::Damaged { .. })));
        fs::write(path.join("x.json"), table("new").encode_pretty()).unwrap();
        assert_eq!(load::<KVTable>(path, "x.json").unwrap(), Some(table("new")));
    }

    #[test]
    fn what_was_changed_is_written_before_the_callback() {
        let folder = tempfile::tempdir().unwrap();
        let writer = ConfigWriter::start(folder.path().join("config"));
        let value = Arc::new(AtomicU32::new(0));
        let file = writer.file("x.json", {
            let value = value.clone();
            move || table(&value.load(Ordering::SeqCst).to_string()).encode_pretty()
        });
        let (done, wait) = mpsc::channel();
        for n in 1..=50 {
            value.store(n, Ordering::SeqCst);
            let done = done.clone();
            file.written(Box::new(move |result| done.send(result).unwrap()));
        }
        for _ in 0..50 {
            wait.recv().unwrap().unwrap();
        }
        let read = || load::<KVTable>(&folder.path().join("config"), "x.json").unwrap();
        assert_eq!(read(), Some(table("50")));
        value.store(51, Ordering::SeqCst);
        file.changed();
        writer.shutdown();
        assert_eq!(read(), Some(table("51")));
        file.written(Box::new(move |result| done.send(result).unwrap()));
        assert!(wait.recv().unwrap().is_err());
    }
}
