//! Folders, and the files that say who owns a store folder and how its last owner left: `lock` and `abort`.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, fcntl_lock};

use crate::error::StoreError;

/// Makes a folder and those above it, when they are missing; they are on disk on return.
///
/// # Errors
/// [`StoreError::Io`].
pub fn create(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create(parent)?;
    }
    match std::fs::create_dir(folder) {
        Err(source) if !folder.is_dir() => Err(StoreError::io("create folder", folder, source)),
        _ => sync(parent.unwrap_or(Path::new("."))),
    }
}

/// Brings the entries of a folder to disk: a file that was flushed may still be without its name.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| StoreError::io("flush", folder, source))
}

/// Folders locked by this process. A process never conflicts with its own record locks, and loses them all when it
/// closes any descriptor of the file, so it must not even open the file a second time.
static LOCKED_HERE: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

/// The lock on a store folder, held until dropped.
pub struct FolderLock {
    root: PathBuf,
    file: Option<File>,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        let mut locked = LOCKED_HERE.lock();
        self.file.take();
        if let Some(locked) = locked.as_mut() {
            locked.remove(&self.root);
        }
    }
}

impl FolderLock {
    /// Locks the folder, making it when it is missing.
    ///
    /// Java locks byte 0 of `lock` with a POSIX record lock. This is a record lock on the whole file, so either
    /// program refuses a folder the other one uses.
    ///
    /// # Errors
    /// [`StoreError::Locked`], or an I/O error naming the path.
    pub fn acquire(root: &Path) -> Result<FolderLock, StoreError> {
        create(root)?;
        let canonical = root.canonicalize().map_err(|source| StoreError::io("open store folder", root, source))?;
        let mut locked = LOCKED_HERE.lock();
        let locked = locked.get_or_insert_default();
        if locked.contains(&canonical) {
            return Err(StoreError::Locked(root.to_owned()));
        }
        let path = root.join("lock");
        let failed = |source| StoreError::io("lock", &path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| StoreError::io("open", &path, source))?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                return Err(StoreError::Locked(root.to_owned()));
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.write_all(b"lock").and_then(|()| file.sync_all()).map_err(failed)?;
        locked.insert(canonical.clone());
        Ok(FolderLock { root: canonical, file: Some(file) })
    }
}

/// The `abort` file: there while the store is open, and after it was not closed in good order.
pub struct AbortMark {
    path: PathBuf,
}

impl AbortMark {
    /// For the store folder `root`.
    pub fn new(root: &Path) -> Self {
        AbortMark { path: root.join("abort") }
    }

    /// Whether the last owner left without closing.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Leaves the mark, with this process's id in it.
    pub fn set(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::io("write", &self.path, source);
        let mut file = File::create(&self.path).map_err(failed)?;
        write!(file, "{}", std::process::id()).and_then(|()| file.sync_all()).map_err(failed)?;
        // Lost to a power cut, it would make the next start believe in a clean stop.
        self.path.parent().map_or(Ok(()), sync)
    }

    /// Takes the mark away: the store was closed in good order.
    pub fn clear(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "cannot delete; the next start recovers as after a crash");
        }
    }
}
