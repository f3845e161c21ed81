//! Making commit-log files ahead of need, on a thread of its own: allocating a gigabyte and faulting in its pages must
//! not happen under the append lock.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::mmap::Writer;
use super::{Segment, file_name};
use crate::error::StoreError;

/// Bytes kept ready ahead of the append position.
pub const POPULATE_AHEAD: usize = 8 << 20;
/// The window is moved on once this much of it is used.
pub const POPULATE_STEP: usize = 2 << 20;
/// Bytes faulted in by one system call, for less than a millisecond.
const POPULATE_CHUNK: usize = 256 << 10;
/// Bytes of a page.
pub const PAGE: usize = 4096;
/// How much the thread steps back behind those that answer clients; what it does not get done in time they do.
const NICE: i32 = 5;

/// What appending will need soon.
#[derive(Default)]
pub struct Wishes {
    /// Pages to make ready.
    pub pages: Option<Pages>,
    /// Start offset of the next file.
    pub prepare: Option<i64>,
}

/// Pages of a file that appending reaches soon.
pub struct Pages {
    /// The file.
    pub segment: Arc<Segment>,
    /// Bytes of it.
    pub range: Range<usize>,
    /// How ready.
    pub readiness: Readiness,
}

/// What is done to pages before they are appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// In the page cache. The first write to a page faults, shortly.
    Cached,
    /// And faulted in for writing. They count as changed: what a flush finds of them is written as zeros, and once more
    /// when it has been used.
    Writable,
}

/// What the store asks of the disk where asking may fail in ways a test must be able to bring about.
pub trait Disk: Send + Sync {
    /// Makes a new file of `size` zero bytes with its space reserved. Leaves nothing behind on failure.
    fn allocate(&self, path: &Path, size: usize) -> io::Result<File>;

    /// Brings a file's data to the disk.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn allocate(&self, path: &Path, size: usize) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let sync_folder = || path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all());
        let reserved = reserve(&file, size).and_then(|()| file.sync_all()).and_then(|()| sync_folder());
        if let Err(error) = reserved {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(file)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

fn reserve(file: &File, size: usize) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size as u64) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, 0, size),
        Err(error) => Err(error.into()),
    }
}

/// Writes zeros over `length` bytes at `start`; for file systems that cannot reserve or clear ranges themselves.
pub fn write_zeros(file: &File, start: usize, length: usize) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let zeros = vec![0; (1 << 20).min(length)];
    let mut done = 0;
    while done < length {
        let step = zeros.len().min(length - done);
        file.write_all_at(&zeros[..step], (start + done) as u64)?;
        done += step;
    }
    Ok(())
}

/// Hands out the next file of the commit log, usually one made ahead.
pub struct Allocator {
    folder: PathBuf,
    size: usize,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// File to make ahead.
    wanted: Option<i64>,
    /// File being made right now.
    busy: Option<i64>,
    /// File made ahead.
    ready: Option<(Arc<Segment>, Writer)>,
    pages: Option<Pages>,
    stopped: bool,
}

impl Allocator {
    /// For files of `size` bytes in `folder`.
    pub fn new(folder: PathBuf, size: usize, disk: Arc<dyn Disk>) -> Self {
        Allocator { folder, size, disk, state: Mutex::default(), changed: Condvar::new() }
    }

    fn make(&self, base: i64) -> Result<(Arc<Segment>, Writer), StoreError> {
        let path = self.folder.join(file_name(base));
        let file = self
            .disk
            .allocate(&path, self.size)
            .map_err(|source| StoreError::io("preallocate commit-log file", &path, source))?;
        let made = Segment::map(file, &path, base, self.size, 0);
        match &made {
            Ok((segment, _)) => segment.make_ready(0, POPULATE_CHUNK, Readiness::Writable),
            Err(_) => drop(std::fs::remove_file(&path)),
        }
        made
    }

    /// Passes wishes on to the thread. Ranges that follow one another are done one after the other.
    pub fn ask(&self, wishes: Wishes) {
        let Wishes { pages, prepare } = wishes;
        if pages.is_none() && prepare.is_none() {
            return;
        }
        let mut state = self.state.lock();
        if let Some(mut pages) = pages {
            if let Some(waiting) = &state.pages
                && waiting.segment.base() == pages.segment.base()
            {
                pages.range.start = pages.range.start.min(waiting.range.start);
            }
            state.pages = Some(pages);
        }
        if let Some(base) = prepare
            && state.busy != Some(base)
            && state.ready.as_ref().is_none_or(|(segment, _)| segment.base() != base)
        {
            state.wanted = Some(base);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The file that starts at `base`, made ahead or made now.
    ///
    /// # Errors
    /// When it cannot be made; asking again tries again.
    pub fn take(&self, base: i64) -> Result<(Arc<Segment>, Writer), StoreError> {
        let mut state = self.state.lock();
        while state.busy == Some(base) {
            self.changed.wait(&mut state);
        }
        if let Some((segment, writer)) = state.ready.take() {
            if segment.base() == base {
                return Ok((segment, writer));
            }
            // Never happens: files are asked for in order. Not ours to keep, though.
            let _ = std::fs::remove_file(segment.path());
        }
        if state.wanted == Some(base) {
            state.wanted = None;
        }
        drop(state);
        self.make(base)
    }

    /// Body of the allocator thread.
    pub fn run(&self) {
        if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
            tracing::debug!(%error, "the thread that makes files ahead keeps its priority");
        }
        let mut state = self.state.lock();
        while !state.stopped {
            if let Some(base) = state.wanted.take() {
                state.busy = Some(base);
                drop(state);
                let made = self.make(base);
                state = self.state.lock();
                state.busy = None;
                match made {
                    Ok(made) => state.ready = Some(made),
                    Err(error) => {
                        tracing::warn!(%error, "commit-log file could not be made ahead of need")
                    }
                }
                self.changed.notify_all();
            } else if let Some(Pages { segment, range, readiness }) = state.pages.take() {
                let length = range.len().min(POPULATE_CHUNK);
                let rest = range.start + length..range.end;
                if !rest.is_empty() {
                    state.pages = Some(Pages { segment: segment.clone(), range: rest, readiness });
                }
                drop(state);
                segment.make_ready(range.start, length, readiness);
                drop(segment);
                state = self.state.lock();
            } else {
                self.changed.wait(&mut state);
            }
        }
    }

    /// Ends the thread and deletes a file that was made ahead but never used.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        self.changed.notify_all();
        while state.busy.is_some() {
            self.changed.wait(&mut state);
        }
        if let Some((segment, _)) = state.ready.take() {
            let _ = std::fs::remove_file(segment.path());
        }
    }
}
