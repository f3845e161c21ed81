//! Files of consume queues: names, creation, and a bounded cache of open ones.
//!
//! A store may hold 50,000 queues while a process may open 1,024 files, so no queue owns a descriptor. Whoever wants to
//! read or write a file asks the [`FileCache`], which keeps the recently used ones open.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

/// A file of a queue: the queue's serial number and the byte position, within the queue, at which the file starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Serial number of the queue, unique within the process.
    pub queue: u64,
    /// Start of the file, bytes.
    pub start: i64,
}

struct Slot {
    key: FileKey,
    file: Arc<File>,
    /// Used since the hand passed.
    referenced: bool,
}

#[derive(Default)]
struct Slots {
    index: HashMap<FileKey, usize>,
    slots: Vec<Slot>,
    hand: usize,
}

impl Slots {
    /// Position of a slot to reuse: the first one, from the hand on, that was not used since the hand last passed it.
    /// Ends after at most two rounds, since the first clears every mark.
    fn victim(&mut self) -> usize {
        loop {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            if !std::mem::take(&mut self.slots[at].referenced) {
                return at;
            }
        }
    }

    fn remove(&mut self, key: FileKey) {
        if let Some(at) = self.index.remove(&key) {
            self.slots.swap_remove(at);
            if let Some(moved) = self.slots.get(at) {
                self.index.insert(moved.key, at);
            }
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
        }
    }
}

/// At most `capacity` open files, the least recently used (by the clock rule) closed first. A file that is being read
/// or written while it is closed here stays open until that ends.
pub struct FileCache {
    capacity: usize,
    slots: Mutex<Slots>,
}

impl FileCache {
    /// A cache of `capacity` files, at least one.
    pub fn new(capacity: usize) -> Self {
        FileCache { capacity: capacity.max(1), slots: Mutex::default() }
    }

    /// The file `key`, opened with `open` when it is not in the cache.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn get(&self, key: FileKey, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<File>> {
        {
            let mut slots = self.slots.lock();
            if let Some(&at) = slots.index.get(&key) {
                let slot = &mut slots.slots[at];
                slot.referenced = true;
                return Ok(slot.file.clone());
            }
        }
        // Opened outside the lock; a second thread doing the same costs one descriptor for a moment.
        let file = Arc::new(open()?);
        let slot = Slot { key, file: file.clone(), referenced: true };
        let mut slots = self.slots.lock();
        if let Some(&at) = slots.index.get(&key) {
            return Ok(slots.slots[at].file.clone());
        }
        if slots.slots.len() < self.capacity {
            let at = slots.slots.len();
            slots.slots.push(slot);
            slots.index.insert(key, at);
        } else {
            let at = slots.victim();
            let old = std::mem::replace(&mut slots.slots[at], slot);
            slots.index.remove(&old.key);
            slots.index.insert(key, at);
        }
        Ok(file)
    }

    /// Forgets a file that is about to be deleted.
    pub fn forget(&self, key: FileKey) {
        self.slots.lock().remove(key);
    }

    /// Number of files held open.
    pub fn open_files(&self) -> usize {
        self.slots.lock().slots.len()
    }
}

/// Path of the file that starts at byte `start` of a queue: 20 digits.
pub fn path_of(dir: &Path, start: i64) -> PathBuf {
    dir.join(format!("{start:020}"))
}

/// Opens an existing queue file.
///
/// # Errors
/// Those of the operating system.
pub fn open(dir: &Path, start: i64) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path_of(dir, start))
}

/// Creates a queue file of `size` bytes, all zero and taking no space yet; Java maps a queue file at its full size.
/// An existing file is kept. The queue's folder is made when missing.
///
/// # Errors
/// Those of the operating system.
pub fn create(dir: &Path, start: i64, size: u64) -> io::Result<File> {
    let path = path_of(dir, start);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(dir)?;
            options.open(&path)?
        }
        other => other?,
    };
    if file.metadata()?.len() < size {
        file.set_len(size)?;
    }
    Ok(file)
}

/// Makes a file zero from `from` to `size`, keeping its length. True when there was anything to clear.
///
/// # Errors
/// Those of the operating system.
pub fn clear_from(file: &File, from: u64, size: u64) -> io::Result<bool> {
    if from >= size || !has_data(file, from, size)? {
        return Ok(false);
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, flags, from, size - from) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeroes = vec![0u8; 64 * 1024];
            let mut at = from;
            while at < size {
                let n = usize::try_from(size - at).unwrap_or(usize::MAX).min(zeroes.len());
                file.write_all_at(&zeroes[..n], at)?;
                at += n as u64;
            }
        }
        Err(errno) => return Err(errno.into()),
    }
    file.sync_data()?;
    Ok(true)
}

/// Whether any byte from `from` to `size` may be other than zero: the rest of the page is read, beyond it the file
/// system is asked for its extents.
fn has_data(file: &File, from: u64, size: u64) -> io::Result<bool> {
    const PAGE: u64 = 4096;
    let page_end = (from / PAGE + 1) * PAGE;
    let mut page = [0u8; PAGE as usize];
    let n = usize::try_from(page_end.min(size) - from).unwrap_or(0).min(page.len());
    file.read_exact_at(&mut page[..n], from)?;
    if page[..n].iter().any(|&byte| byte != 0) {
        return Ok(true);
    }
    if page_end >= size {
        return Ok(false);
    }
    match rustix::fs::seek(file, SeekFrom::Data(page_end)) {
        Ok(at) => Ok(at < size),
        Err(Errno::NXIO) => Ok(false),
        // A file system without extents: assume the worst.
        Err(Errno::INVAL) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_to_its_bound_and_to_the_files_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::new(4);
        let key = |n| FileKey { queue: n, start: 0 };
        let get = |n: u64| cache.get(key(n), || create(&dir.path().join(n.to_string()), 0, 40)).unwrap();
        for n in 0..20 {
            get(1000);
            get(n);
            assert!(cache.open_files() <= 4);
        }
        // The file used between all others was never closed.
        cache.get(key(1000), || panic!("was closed")).unwrap();
        cache.forget(key(1000));
        cache.forget(key(1000));
        assert_eq!(cache.open_files(), 3);
        for n in 0..20 {
            get(n);
        }
        assert_eq!(cache.open_files(), 4);
    }

    #[test]
    fn clearing_leaves_what_is_before_and_keeps_the_length() {
        let dir = tempfile::tempdir().unwrap();
        let file = create(dir.path(), 0, 20_000).unwrap();
        assert!(!clear_from(&file, 0, 20_000).unwrap());
        file.write_all_at(&[7; 16_000], 0).unwrap();
        assert!(clear_from(&file, 30, 20_000).unwrap());
        let mut bytes = vec![1; 20_000];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes[..30].iter().all(|&b| b == 7) && bytes[30..].iter().all(|&b| b == 0));
        assert_eq!(file.metadata().unwrap().len(), 20_000);
        assert!(!clear_from(&file, 30, 20_000).unwrap());
        file.write_all_at(&[7], 19_999).unwrap();
        assert!(clear_from(&file, 30, 20_000).unwrap());
        assert!(!clear_from(&file, 20_000, 20_000).unwrap());
    }
}
