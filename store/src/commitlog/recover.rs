//! Finding the log's files and its valid end.
//!
//! The end is the first byte that is not a valid record: everything before it is kept, everything behind it is cleared,
//! and what is lost by that is logged. Clearing matters: bytes left behind the end could line up with records written
//! later and come back to life at the next recovery.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::StoreError;
use crate::record::{Record, RecordError};
use crate::segment::allocate::write_zeros;
use crate::segment::mmap::Writer;
use crate::segment::{Segment, file_name};

/// A recovered log, ready to be appended to.
pub struct Recovered {
    /// The files, oldest first.
    pub segments: Vec<Arc<Segment>>,
    /// The last of them with the right to append; `None` for a log without files.
    pub writer: Option<(Arc<Segment>, Writer)>,
    /// Offset of the next record.
    pub end: i64,
    /// Store time of the last record seen, 0 when none was.
    pub last_store_timestamp: i64,
}

/// The log's files as found in the folder, mapped for reading as a whole, valid or not.
pub struct Found {
    folder: PathBuf,
    size: usize,
    segments: Vec<Arc<Segment>>,
}

/// Where reading the log came to its end, and why.
#[derive(Clone, Copy, Debug)]
pub struct ScanEnd {
    /// Offset just past the last valid record.
    pub offset: i64,
    /// What stands there.
    pub reason: RecordError,
    /// Store time of the last valid record, 0 when there was none.
    pub last_store_timestamp: i64,
    /// Valid records seen.
    pub records: u64,
}

/// Lists and maps the log's files.
///
/// # Errors
/// A file of another size than `size`, a name that is not a multiple of it, a gap between files, or an I/O error. An
/// empty (or partly allocated, all zero) last file is deleted, because a process that dies while it allocates leaves
/// one.
pub fn find(folder: &Path, size: usize) -> Result<Found, StoreError> {
    let mut files = list(folder)?;
    if let Some((_, path, length)) = files.last()
        && *length < size as u64
        && is_zero(path)?
    {
        tracing::warn!(file = %path.display(), length, "deleting an unfinished last commit-log file");
        std::fs::remove_file(path).map_err(|source| StoreError::io("delete", path, source))?;
        files.pop();
    }
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(files.len());
    for (base, path, length) in files {
        if length != size as u64 {
            return Err(StoreError::WrongFileSize { path, actual: length, expected: size as u64 });
        }
        if base % size as i64 != 0 {
            let reason = format!("file name is not a multiple of mappedFileSizeCommitLog ({size})");
            return Err(StoreError::Corrupt { path, reason });
        }
        if let Some(before) = segments.last()
            && before.end() != base
        {
            return Err(StoreError::Gap { dir: folder.to_owned(), expected: before.end() as u64, found: base as u64 });
        }
        segments.push(Segment::open(&path, base, size, size)?.0);
    }
    Ok(Found { folder: folder.to_owned(), size, segments })
}

fn list(folder: &Path) -> Result<Vec<(i64, PathBuf, u64)>, StoreError> {
    let failed = |source| StoreError::io("list", folder, source);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(|source| StoreError::io("inspect", &path, source))?;
        if metadata.is_dir() {
            continue;
        }
        let base = path.file_name().and_then(|name| name.to_str()).filter(|name| name.len() == 20);
        match base.and_then(|name| name.parse::<i64>().ok()).filter(|base| *base >= 0) {
            Some(base) => files.push((base, path, metadata.len())),
            None => tracing::warn!(file = %path.display(), "not a commit-log file, left alone"),
        }
    }
    files.sort();
    Ok(files)
}

fn is_zero(path: &Path) -> Result<bool, StoreError> {
    let failed = |source| StoreError::io("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok(first_data(&file, 0, length).map_err(failed)?.is_none())
}

/// Position of the first byte in `from..to` that is not zero. Holes and unwritten ranges are skipped where the file
/// system can name them.
fn first_data(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    // All ranges before any is read: reading reads ahead into unwritten ranges, which count as data once they are cached.
    let mut ranges = Vec::new();
    let mut position = from;
    while position < to {
        let (start, mut end) = data_range(file, position, to)?;
        if ranges.len() == DATA_RANGES_MAX {
            end = to;
        }
        ranges.push(start..end);
        position = end;
    }
    let mut buffer = vec![0; 1 << 20];
    for range in ranges {
        let mut position = range.start;
        while position < range.end {
            let step = buffer.len().min((range.end - position) as usize);
            file.read_exact_at(&mut buffer[..step], position)?;
            if let Some(found) = buffer[..step].iter().position(|&byte| byte != 0) {
                return Ok(Some(position + found as u64));
            }
            position += step as u64;
        }
    }
    Ok(None)
}

/// The next range within `from..to` that may hold data; empty at `to` when there is none.
fn data_range(file: &File, from: u64, to: u64) -> io::Result<(u64, u64)> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    let start = match seek(file, SeekFrom::Data(from)) {
        Ok(start) => start.clamp(from, to),
        Err(Errno::NXIO) => return Ok((to, to)),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((from, to)),
        Err(error) => return Err(error.into()),
    };
    let end = seek(file, SeekFrom::Hole(start)).map_or(to, |end| end.clamp(start, to));
    Ok((start, end))
}

impl Found {
    /// The files, oldest first, readable as a whole.
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// The record at `offset`, when there is a valid one.
    pub fn record(&self, offset: i64) -> Option<Record<'_>> {
        let segment = self.segments.iter().find(|segment| segment.base() <= offset && offset < segment.end())?;
        valid_record(segment, offset, true).ok()
    }

    /// Reads records from the one at offset `first` on, handing each valid one to `visit`, until one is not.
    pub fn scan(
        &self,
        first: i64,
        check_crc: bool,
        mut visit: impl FnMut(&Record<'_>) -> Result<(), StoreError>,
    ) -> Result<ScanEnd, StoreError> {
        let mut end = ScanEnd { offset: first, reason: RecordError::End, last_store_timestamp: 0, records: 0 };
        for segment in self.segments.iter().filter(|segment| segment.end() > first) {
            // The file before ended with a filler, so this one follows it.
            let mut offset = segment.base().max(first);
            end.offset = offset;
            loop {
                match valid_record(segment, offset, check_crc) {
                    Ok(record) => {
                        visit(&record)?;
                        offset += record.size() as i64;
                        end.offset = offset;
                        end.last_store_timestamp = record.store_timestamp();
                        end.records += 1;
                    }
                    Err(RecordError::Blank) => {
                        end.reason = RecordError::Blank;
                        break;
                    }
                    Err(reason) => {
                        end.reason = reason;
                        return Ok(end);
                    }
                }
            }
        }
        Ok(end)
    }

    /// Cuts the log off at `end`: clears the rest of the file that holds it and deletes the files behind. With `sync`,
    /// brings the others to disk, too. Then opens the log for appending.
    pub fn truncate(self, end: &ScanEnd, sync: bool) -> Result<Recovered, StoreError> {
        let Found { folder, size, segments } = self;
        let mut kept = Vec::with_capacity(segments.len());
        let mut writer = None;
        for segment in segments {
            let path = segment.path().to_owned();
            let failed = |source| StoreError::io("truncate", &path, source);
            if segment.base() > end.offset || (segment.base() == end.offset && writer.is_some()) {
                if let Some(data) = first_data(segment.file(), 0, size as u64).map_err(failed)? {
                    tracing::warn!(file = %path.display(), offset = segment.base() + data as i64,
                        "dropping a commit-log file behind the end of the valid log");
                }
                std::fs::remove_file(&path).map_err(failed)?;
                continue;
            }
            if segment.end() <= end.offset {
                if sync {
                    segment.file().sync_data().map_err(failed)?;
                }
                kept.push(segment);
                continue;
            }
            let position = (end.offset - segment.base()) as usize;
            if let Some(data) = first_data(segment.file(), position as u64, size as u64).map_err(failed)? {
                tracing::warn!(file = %path.display(), offset = end.offset, data_at = segment.base() + data as i64,
                    reason = %end.reason, "dropping what follows the last valid record of the commit log");
                clear(segment.file(), position, size - position).map_err(failed)?;
            }
            segment.file().sync_data().map_err(failed)?;
            let base = segment.base();
            // The mapping that showed the whole file as readable goes before the one that does not comes.
            drop(segment);
            let (segment, opened) = Segment::open(&folder.join(file_name(base)), base, size, position)?;
            kept.push(segment.clone());
            writer = Some((segment, opened));
        }
        Ok(Recovered { segments: kept, writer, end: end.offset, last_store_timestamp: end.last_store_timestamp })
    }
}

/// Ranges that are told apart; what lies behind so many is read as one.
const DATA_RANGES_MAX: usize = 4096;

fn valid_record(segment: &Segment, offset: i64, check_crc: bool) -> Result<Record<'_>, RecordError> {
    let record = Record::parse(segment.bytes_from(offset).ok_or(RecordError::Short)?)?;
    if record.physical_offset() != offset {
        return Err(RecordError::Length);
    }
    if check_crc {
        record.validate()?;
    }
    Ok(record)
}

/// Makes a range read as zeros while its space stays reserved.
fn clear(file: &File, start: usize, length: usize) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, start as u64, length as u64) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, start, length),
        Err(error) => Err(error.into()),
    }
}
