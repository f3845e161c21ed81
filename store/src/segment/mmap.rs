//! The only unsafe code of the store: a file mapping with one writer and many readers.
//!
//! Bytes below `published` never change and may be read by anyone; bytes at and above it belong to the one [`Writer`].
//! `published` is stored with Release after the bytes and loaded with Acquire before them. No reference to bytes above
//! it ever exists, and none is ever mutable: the writer copies through a raw pointer.
//!
//! The file must keep its length while it is mapped. The store's lock file keeps other processes of this kind away,
//! space is allocated before mapping (a full disk shows there, not as SIGBUS here), and nothing here shortens a file.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};
use smallvec::{SmallVec, smallvec};

/// A mapped file; see the module text.
pub struct Mapping {
    map: MmapRaw,
    published: AtomicUsize,
}

/// The right to append to a [`Mapping`]. There is one for each.
pub struct Writer {
    mapping: Arc<Mapping>,
    /// Everything below has been written, though maybe not published.
    cursor: usize,
}

impl Mapping {
    /// Maps the first `length` bytes of `file`, which has at least that many, and of which the first `published` are
    /// final.
    pub fn open(file: &File, length: usize, published: usize) -> io::Result<(Arc<Mapping>, Writer)> {
        if file.metadata()?.len() < length as u64 || published > length {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "file is shorter than its mapping"));
        }
        let map = MmapOptions::new().len(length).map_raw(file)?;
        if published < length {
            // Appending may overtake the thread that makes pages ready. The kernel would take that for reading in order and
            // make folios of 2 MiB ahead, of which every first write to a page walks the whole folio: 12 us instead of 3.
            let _ = map.advise(memmap2::Advice::Random);
        }
        let mapping = Arc::new(Mapping { map, published: AtomicUsize::new(published) });
        let writer = Writer { mapping: mapping.clone(), cursor: published };
        Ok((mapping, writer))
    }

    /// Bytes readable from the start.
    pub fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// `length` bytes at `start`, when all of them are published.
    pub fn bytes(&self, start: usize, length: usize) -> Option<&[u8]> {
        let end = start.checked_add(length)?;
        if end > self.published() {
            return None;
        }
        // SAFETY: `end <= published <= map.len()`, so the range lies in the mapping, which lives as long as `self`.
        // Published bytes were written before the Release store that the Acquire load above saw, and are never
        // written again: the only writer starts at or above `published`.
        Some(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(start), length) })
    }

    /// The same bytes, keeping the mapping alive.
    pub fn shared_bytes(self: &Arc<Self>, start: usize, length: usize) -> Option<Bytes> {
        self.bytes(start, length)?;
        Some(Bytes::from_owner(SharedRange { mapping: self.clone(), start, length }))
    }

    /// Has the kernel fault in `length` bytes at `start` for writing, so that appending there does not. A kernel before
    /// 5.14 does not know how; then appending faults, which is only slower.
    pub fn populate(&self, start: usize, length: usize) {
        #[cfg(target_os = "linux")]
        if start < self.map.len() {
            let length = length.min(self.map.len() - start);
            let _ = self.map.advise_range(memmap2::Advice::PopulateWrite, start, length);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (start, length);
    }

    /// Nothing is appended any more: the kernel may read ahead of those who read on.
    pub fn sealed(&self) {
        let _ = self.map.advise(memmap2::Advice::Normal);
    }

    /// Has the kernel map `length` bytes at `start`, a multiple of the page size, for reading, if all of them are in the
    /// page cache. False, and nothing done, when they are not, or the kernel cannot tell.
    pub fn map_cached(&self, start: usize, length: usize) -> bool {
        let page = rustix::param::page_size();
        if !start.is_multiple_of(page) || start.checked_add(length).is_none_or(|end| end > self.map.len()) {
            return false;
        }
        let mut pages: SmallVec<[u8; 16]> = smallvec![0; length.div_ceil(page)];
        // SAFETY: `start + length <= map.len()`, so the range lies in the mapping, which lives as long as `self`; `pages`
        // has a byte for each page of it, which is all that mincore writes.
        let result =
            unsafe { libc::mincore(self.map.as_mut_ptr().add(start).cast(), length, pages.as_mut_ptr().cast()) };
        if result != 0 || pages.iter().any(|page| page & 1 == 0) {
            return false;
        }
        // A kernel before 5.14 does not know how; then reading faults, without waiting, which is only slower.
        #[cfg(target_os = "linux")]
        let _ = self.map.advise_range(memmap2::Advice::PopulateRead, start, length);
        true
    }
}

struct SharedRange {
    mapping: Arc<Mapping>,
    start: usize,
    length: usize,
}

impl AsRef<[u8]> for SharedRange {
    fn as_ref(&self) -> &[u8] {
        // Made only after `bytes` answered for this range, and published bytes stay published.
        self.mapping.bytes(self.start, self.length).unwrap_or_default()
    }
}

impl Writer {
    /// Where the next byte goes.
    pub fn position(&self) -> usize {
        self.cursor
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.mapping.map.len() - self.cursor
    }

    /// Copies `bytes` behind what was written before. False, and nothing written, when they do not fit.
    #[must_use]
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.remaining() {
            return false;
        }
        // SAFETY: the target range lies in the mapping by the check above. It starts at `cursor >= published`, so no
        // reader holds a reference into it, and `&mut self` of the mapping's only writer keeps other writes away.
        // `bytes` cannot overlap it, because no reference to unpublished bytes exists.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.mapping.map.as_mut_ptr().add(self.cursor), bytes.len());
        }
        self.cursor += bytes.len();
        true
    }

    /// Makes everything written so far readable.
    pub fn publish(&mut self) {
        self.mapping.published.store(self.cursor, Ordering::Release);
    }

    /// Gives up the rest of the mapping: all of it becomes readable, whatever it holds.
    pub fn publish_rest(mut self) {
        self.cursor = self.mapping.map.len();
        self.publish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_published_bytes_are_readable() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let (mapping, mut writer) = Mapping::open(&file, 8192, 0).unwrap();
        assert!(writer.write(b"hello"));
        assert_eq!(mapping.bytes(0, 5), None);
        writer.publish();
        assert_eq!(mapping.bytes(0, 5), Some(&b"hello"[..]));
        assert_eq!(mapping.bytes(1, 5), None);
        assert_eq!(mapping.bytes(usize::MAX, 2), None);
        assert!(!writer.write(&[0; 8192]));
        let kept = mapping.shared_bytes(1, 4).unwrap();
        drop((mapping, writer));
        assert_eq!(&kept[..], b"ello");
        assert!(Mapping::open(&file, 8193, 0).is_err());
    }
}
