//! One file of the commit log: preallocated to its full size, mapped, named by the offset of its first byte.

pub mod allocate;
pub mod mmap;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::StoreError;
use crate::patience::Patience;
use allocate::Readiness;
use mmap::{Mapping, Writer};

/// See the module text.
pub struct Segment {
    base: i64,
    size: usize,
    path: PathBuf,
    file: File,
    mapping: Arc<Mapping>,
}

/// Name of the file that starts at `base`: 20 digits.
pub fn file_name(base: i64) -> String {
    format!("{base:020}")
}

impl Segment {
    /// Maps an existing file of `size` bytes whose first `published` bytes are final.
    pub fn open(path: &Path, base: i64, size: usize, published: usize) -> Result<(Arc<Segment>, Writer), StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|source| StoreError::io("open commit-log file", path, source))?;
        Self::map(file, path, base, size, published)
    }

    pub(crate) fn map(
        file: File,
        path: &Path,
        base: i64,
        size: usize,
        published: usize,
    ) -> Result<(Arc<Segment>, Writer), StoreError> {
        let (mapping, writer) = Mapping::open(&file, size, published)
            .map_err(|source| StoreError::io("map commit-log file", path, source))?;
        Ok((Arc::new(Segment { base, size, path: path.to_owned(), file, mapping }), writer))
    }

    /// Commit-log offset of the first byte.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// Commit-log offset just past the file.
    pub fn end(&self) -> i64 {
        self.base + self.size as i64
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The mapping.
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Has the kernel make `length` bytes at `start` of the file ready, so that appending there need not wait for it.
    pub fn make_ready(&self, start: usize, length: usize, readiness: Readiness) {
        // A fault of a page that is not in the cache makes the kernel read ahead as much as the device likes, 8 MiB on
        // some, and clear all of it without a pause: 20 ms that whoever waits for this processor waits, too. Asked for
        // like this it also makes single pages: of pages in large folios every first write walks the whole folio.
        let _ = rustix::fs::fadvise(
            &self.file,
            start as u64,
            std::num::NonZeroU64::new(length as u64),
            rustix::fs::Advice::WillNeed,
        );
        if readiness == Readiness::Writable {
            self.mapping.populate(start, length);
        }
    }

    /// Has the kernel map `length` bytes at commit-log offset `offset` for reading, if all of them are in the page cache.
    /// False, and nothing done, when they are not.
    pub(crate) fn map_cached(&self, offset: i64, length: usize) -> bool {
        self.position(offset).is_some_and(|position| self.mapping.map_cached(position, length))
    }

    fn position(&self, offset: i64) -> Option<usize> {
        usize::try_from(offset.checked_sub(self.base)?).ok().filter(|&position| position < self.size)
    }

    /// `length` readable bytes at commit-log offset `offset`.
    pub fn bytes(&self, offset: i64, length: usize) -> Option<&[u8]> {
        self.mapping.bytes(self.position(offset)?, length)
    }

    /// All readable bytes from commit-log offset `offset` on.
    pub fn bytes_from(&self, offset: i64) -> Option<&[u8]> {
        let position = self.position(offset)?;
        self.mapping.bytes(position, self.mapping.published().checked_sub(position)?)
    }

    /// The same bytes as [`Segment::bytes`], keeping the mapping alive even when the file is deleted.
    pub fn shared_bytes(&self, offset: i64, length: usize) -> Option<Bytes> {
        self.mapping.shared_bytes(self.position(offset)?, length)
    }

    /// Reads into `buffer` with a system call instead of a page fault, so that waiting for the disk and its errors
    /// happen there. Only published bytes are read.
    pub fn read_at(&self, offset: i64, buffer: &mut [u8]) -> Option<io::Result<()>> {
        self.read(offset, buffer, Patience::Endless)
    }

    /// The same, with or without waiting for the disk.
    pub(crate) fn read(&self, offset: i64, buffer: &mut [u8], patience: Patience) -> Option<io::Result<()>> {
        let position = self.position(offset)?;
        if position + buffer.len() > self.mapping.published() {
            return None;
        }
        Some(patience.read(&self.file, buffer, position as u64))
    }
}
