//! The key index: hash of `topic#key` to commit-log offset, in files named by their time of creation.
//!
//! Answers hold candidates only: another key may have the same hash, so whoever asks compares topic and key of the
//! message. Files are Java's, see [`layout`].

pub mod file;
pub mod hash;
pub mod layout;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use time::{OffsetDateTime, UtcOffset};
use tracing::{error, info, warn};

use crate::error::StoreError;
use crate::folder;
use crate::read::KeyKind;
use file::{Active, ItemReader, Sealed};
use hash::KeyHash;
use layout::{Dimensions, Header};

/// Settings of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexConfig {
    /// Slots of a file (`maxHashSlotNum`, 5,000,000).
    pub slots: u32,
    /// Items of a file, of which the first is never used (`maxIndexNum`, 20,000,000).
    pub items: u32,
}

impl Default for IndexConfig {
    fn default() -> Self {
        IndexConfig { slots: 5_000_000, items: 20_000_000 }
    }
}

/// The keys of one message.
#[derive(Clone, Copy, Debug)]
pub struct IndexKeys<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Property UNIQ_KEY.
    pub uniq_key: Option<&'a str>,
    /// Property KEYS: keys separated by spaces.
    pub keys: Option<&'a str>,
    /// Property TAGS.
    pub tags: Option<&'a str>,
    /// Commit-log offset of the record.
    pub physical_offset: i64,
    /// Store time, milliseconds since 1970.
    pub store_timestamp: i64,
}

/// What a query found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexHits {
    /// Commit-log offsets of candidates, newest first.
    pub physical_offsets: Vec<i64>,
    /// Store time of the newest indexed message, milliseconds since 1970.
    pub last_update_timestamp: i64,
    /// Commit-log offset of the newest indexed message.
    pub last_update_physical_offset: i64,
}

#[derive(Default)]
struct State {
    /// Files that are full, oldest first.
    sealed: Vec<Arc<Sealed>>,
    /// Those of `sealed` that may not be on disk.
    unsynced: Vec<Arc<Sealed>>,
    /// The newest file, unless that is full.
    active: Option<Active>,
    /// Some keys of the message at this offset may be indexed already.
    resumed: Option<i64>,
}

impl State {
    /// Header of the newest file.
    fn newest(&self) -> Option<Header> {
        let sealed = self.sealed.last().map(|sealed| sealed.header);
        self.active.as_ref().map(|active| active.header).or(sealed)
    }
}

/// All index files of a store.
pub struct IndexService {
    dir: PathBuf,
    dimensions: Dimensions,
    /// Held to write slots; taken before `state`.
    writing: Mutex<()>,
    state: Mutex<State>,
    /// A flush to disk failed: the kernel may have dropped what it could not write, so nothing is called durable until
    /// the next start has read the files again.
    sync_failed: AtomicBool,
}

impl IndexService {
    /// Opens the folder, made when absent. A file that cannot be trusted is renamed to `<name>.damaged` and logged.
    ///
    /// # Errors
    /// [`StoreError::Config`] for impossible settings, [`StoreError::Io`].
    pub fn open(dir: &Path, config: IndexConfig) -> Result<IndexService, StoreError> {
        let config_error = |key, reason: &str| Err(StoreError::Config { key, reason: reason.to_owned() });
        if config.slots == 0 || config.slots > i32::MAX as u32 {
            return config_error("maxHashSlotNum", "must be within 1..=2147483647");
        }
        if config.items < 2 || config.items > i32::MAX as u32 {
            return config_error("maxIndexNum", "must be within 2..=2147483647");
        }
        fs::create_dir_all(dir).map_err(|e| StoreError::io("create", dir, e))?;
        let dimensions = Dimensions { slots: config.slots, items: config.items };
        let mut sealed = Vec::new();
        for path in files(dir)? {
            match file::inspect(&path, dimensions) {
                Ok(header) => sealed.push(Sealed { path, header }),
                Err(error @ StoreError::Corrupt { .. }) => set_aside(&path, &error)?,
                Err(error) => return Err(error),
            }
        }
        let service = IndexService {
            dir: dir.to_owned(),
            dimensions,
            writing: Mutex::new(()),
            state: Mutex::new(State::default()),
            sync_failed: AtomicBool::new(false),
        };
        service.load(sealed)?;
        Ok(service)
    }

    /// Takes over these files, oldest first; goes on with the last one when it has room.
    fn load(&self, mut files: Vec<Sealed>) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        *state = State::default();
        if let Some(last) = files.pop_if(|last| last.header.next_item < self.dimensions.items) {
            state.active = Some(Active::reopen(last.path, last.header, self.dimensions)?);
        }
        state.sealed = files.into_iter().map(Arc::new).collect();
        state.resumed = state.newest().map(|header| header.end_physical);
        info!(files = state.sealed.len() + usize::from(state.active.is_some()), "index loaded");
        Ok(())
    }

    /// Prepares the index after an abnormal end, when the commit log is about to be dispatched again from
    /// `from_physical` on: forgets everything from there on, and rebuilds the files that may not have been on disk,
    /// that is, those newer than `index_timestamp` of the checkpoint. (Java deletes these, see [`Self::delete_after`],
    /// and so loses the keys of messages before `from_physical`.) Nothing else may use the index meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn rebuild(&self, from_physical: i64, index_timestamp: i64) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        let mut kept = Vec::new();
        for Sealed { path, header } in self.files()? {
            if header.end_timestamp <= index_timestamp && header.end_physical < from_physical {
                kept.push(Sealed { path, header });
                continue;
            }
            match file::rebuild(&path, self.dimensions, from_physical) {
                Ok(Some(header)) => {
                    info!(path = %path.display(), items = header.next_item - 1, "index file rebuilt");
                    kept.push(Sealed { path, header });
                }
                Ok(None) => info!(path = %path.display(), "index file deleted, nothing of it is left"),
                Err(error @ StoreError::Corrupt { .. }) => set_aside(&path, &error)?,
                Err(error) => return Err(error),
            }
        }
        self.load(kept)
    }

    /// Deletes the files whose last message is younger than `timestamp_ms`, as Java does after an abnormal end.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete_after(&self, timestamp_ms: i64) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        let mut kept = Vec::new();
        for sealed in self.files()? {
            if sealed.header.end_timestamp > timestamp_ms {
                info!(path = %sealed.path.display(), "index file deleted, it may not have been on disk");
                delete(&sealed.path)?;
            } else {
                kept.push(sealed);
            }
        }
        self.load(kept)
    }

    /// Every file with its header, oldest first; writes the newest one out and lets it go.
    fn files(&self) -> Result<Vec<Sealed>, StoreError> {
        let mut state = self.state.lock();
        if let Some(active) = &mut state.active {
            active.write_all()?;
        }
        let active = state.active.take().map(|active| Sealed { path: active.path, header: active.header });
        let sealed = state.sealed.iter().map(|sealed| Sealed::clone(sealed));
        Ok(sealed.chain(active).collect())
    }

    /// Indexes the keys of a message: `topic#` with the unique key, with each key, and with `T#` and the tag. A message
    /// before the newest one indexed is skipped, so a log may be dispatched again. Allocates nothing per key.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the call may be repeated.
    pub fn put(&self, keys: &IndexKeys<'_>) -> Result<(), StoreError> {
        let offset = keys.physical_offset;
        let mut state = self.state.lock();
        if state.newest().is_some_and(|header| offset < header.end_physical) {
            return Ok(());
        }
        let topic = KeyHash::of_topic(keys.topic);
        let unique = keys.uniq_key.map(|key| topic.then(key));
        let named = keys.keys.into_iter().flat_map(|keys| keys.split(' ')).filter(|key| !key.is_empty());
        let named = named.map(|key| topic.then(key));
        let tag = keys.tags.filter(|tag| !tag.is_empty()).map(|tag| topic.tag(tag));
        // As Java does, even for a message without keys: that there is no file at all means that the index was lost.
        if state.active.is_none() && state.sealed.is_empty() {
            drop(state);
            self.roll()?;
            state = self.state.lock();
        }
        let maybe_there = state.resumed == Some(offset);
        for hash in unique.into_iter().chain(named).chain(tag).map(KeyHash::item_hash) {
            if maybe_there && self.contains(&state, hash, offset)? {
                continue;
            }
            if state.active.as_ref().is_none_or(Active::is_full) {
                drop(state);
                let rolled = self.roll();
                state = self.state.lock();
                if let Err(error) = rolled {
                    state.resumed = Some(offset);
                    return Err(error);
                }
            }
            let Some(active) = &mut state.active else { continue };
            if let Err(error) = active.put(hash, offset, keys.store_timestamp) {
                state.resumed = Some(offset);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether this key of the message at `offset` is indexed. The message's keys may be in several files.
    fn contains(&self, state: &State, hash: i32, offset: i64) -> Result<bool, StoreError> {
        if let Some(active) = &state.active
            && active.reader().contains(active.head(hash)?, hash, offset)?
        {
            return Ok(true);
        }
        for sealed in state.sealed.iter().rev().take_while(|sealed| sealed.header.end_physical >= offset) {
            let (mut reader, head) = ItemReader::open(sealed, self.dimensions, hash)?;
            if reader.contains(head, hash, offset)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Seals the newest file when it is full, and makes a new one when none can be written.
    fn roll(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        let mut state = self.state.lock();
        if state.active.as_ref().is_some_and(|active| !active.is_full()) {
            return Ok(());
        }
        let header = state
            .newest()
            .map_or(Header::after(0, 0), |newest| Header::after(newest.end_timestamp, newest.end_physical));
        let newest = state.active.as_ref().map(|active| &active.path);
        let newest = newest.or(state.sealed.last().map(|sealed| &sealed.path));
        let path = self.dir.join(file_name(now_ms(), newest.and_then(|path| path.file_name()?.to_str())));
        if let Some(active) = &mut state.active {
            active.write_all()?;
        }
        let next = Active::create(path, header, self.dimensions)?;
        if let Some(full) = state.active.replace(next) {
            let sealed = Arc::new(Sealed { path: full.path, header: full.header });
            info!(path = %sealed.path.display(), "index file is full");
            state.sealed.push(sealed.clone());
            state.unsynced.push(sealed);
        }
        Ok(())
    }

    /// Writes everything and waits until it is on disk. Returns the store time up to which full files are on disk, for
    /// the checkpoint's index timestamp; `None` when no file is full. Does not hold up [`Self::put`] for long.
    ///
    /// # Errors
    /// [`StoreError::Io`]. Once waiting for the disk has failed it always fails.
    pub fn flush(&self) -> Result<Option<i64>, StoreError> {
        let writing = self.writing.lock();
        let mut active = None;
        loop {
            let (file, path, pages) = {
                let mut state = self.state.lock();
                let Some(current) = &mut state.active else { break };
                current.write_items()?;
                let pages = current.take_changed();
                if pages.is_empty() {
                    current.write_changed_header()?;
                    active = Some((current.file.clone(), current.path.clone()));
                    break;
                }
                (current.file.clone(), current.path.clone(), pages)
            };
            // Nobody else writes slots, and no file is sealed, while `writing` is held.
            if let Err(error) = file::write_pages(&file, &path, &pages) {
                if let Some(current) = &mut self.state.lock().active {
                    current.give_back(&pages);
                }
                return Err(error);
            }
        }
        let unsynced = self.state.lock().unsynced.clone();
        drop(writing);
        if self.sync_failed.load(Ordering::Relaxed) {
            return Err(StoreError::io("flush", &self.dir, io::Error::other("an earlier flush failed")));
        }
        self.sync(&unsynced, active).inspect_err(|_| self.sync_failed.store(true, Ordering::Relaxed))?;
        let mut state = self.state.lock();
        state.unsynced.retain(|sealed| !unsynced.iter().any(|done| Arc::ptr_eq(done, sealed)));
        let synced = state.sealed.iter().rev().find(|sealed| !state.unsynced.iter().any(|u| Arc::ptr_eq(u, sealed)));
        Ok(synced.map(|sealed| sealed.header.end_timestamp))
    }

    /// Waits until these files and the folder are on disk.
    fn sync(&self, sealed: &[Arc<Sealed>], active: Option<(Arc<fs::File>, PathBuf)>) -> Result<(), StoreError> {
        for sealed in sealed {
            match fs::File::open(&sealed.path).and_then(|file| file.sync_data()) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(|e| StoreError::io("flush", &sealed.path, e))?,
            }
        }
        if let Some((file, path)) = active {
            file.sync_data().map_err(|e| StoreError::io("flush", path, e))?;
            folder::sync(&self.dir)?;
        }
        Ok(())
    }

    /// Candidates for a key, newest first, at most `max`, stored within `begin_ms..=end_ms` to the second. Files are
    /// searched newest first until `max` are found or a file begins before `begin_ms`. A file that cannot be read is
    /// logged and skipped.
    pub fn query(&self, topic: &str, key: &str, kind: KeyKind, max: usize, begin_ms: i64, end_ms: i64) -> IndexHits {
        let hash = KeyHash::of(topic, key, kind).item_hash();
        let mut search = Search { hash, max, begin_ms, end_ms, found: Vec::new() };
        let (newest, active, sealed) = {
            let state = self.state.lock();
            let active = state.active.as_ref().map(|active| (active.header, active.head(hash), active.reader()));
            (state.newest(), active, state.sealed.clone())
        };
        let Some(newest) = newest else { return IndexHits::default() };
        let active = active.into_iter().map(|(header, head, reader)| (header, head.map(|head| (reader, head))));
        let sealed = sealed.iter().rev().map(|s| (s.header, ItemReader::open(s, self.dimensions, hash)));
        for (header, opened) in active.chain(sealed) {
            if header.overlaps(begin_ms, end_ms)
                && let Err(error) = opened.and_then(|(mut reader, head)| search.follow(&header, &mut reader, head))
            {
                error!(%error, "index file skipped in a query");
            }
            if header.begin_timestamp < begin_ms || search.found.len() >= max {
                break;
            }
        }
        IndexHits {
            physical_offsets: search.found,
            last_update_timestamp: newest.end_timestamp,
            last_update_physical_offset: newest.end_physical,
        }
    }

    /// Deletes the files, oldest first and never the last one, that only know messages before `min_physical`. Returns
    /// how many.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete_expired(&self, min_physical: i64) -> Result<usize, StoreError> {
        let mut expired = Vec::new();
        {
            let mut state = self.state.lock();
            let last = usize::from(state.active.is_none());
            while state.sealed.len() > last && state.sealed[0].header.end_physical < min_physical {
                expired.push(state.sealed.remove(0));
            }
            state.unsynced.retain(|sealed| !expired.iter().any(|gone| Arc::ptr_eq(gone, sealed)));
        }
        for sealed in &expired {
            delete(&sealed.path)?;
            info!(path = %sealed.path.display(), min_physical, "index file deleted, the commit log has lost its messages");
        }
        Ok(expired.len())
    }

    /// Deletes every file; for a store whose commit log is gone.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete_all(&self) -> Result<(), StoreError> {
        self.delete_after(i64::MIN)
    }

    /// Bytes of all files (most of them sparse).
    pub fn total_size(&self) -> u64 {
        let state = self.state.lock();
        (state.sealed.len() as u64 + u64::from(state.active.is_some())) * self.dimensions.file_size()
    }

    /// Whether there is no file, as in a store that never had a message, or whose index was deleted.
    pub fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.active.is_none() && state.sealed.is_empty()
    }

    /// Commit-log offset of the newest message indexed; 0 before the first. After an abnormal end it may be too small,
    /// never too large.
    pub fn end_physical(&self) -> i64 {
        let state = self.state.lock();
        // The newest file's header may never have reached the disk.
        let sealed = state.sealed.iter().map(|sealed| sealed.header.end_physical);
        sealed.chain(state.active.as_ref().map(|active| active.header.end_physical)).max().unwrap_or(0)
    }
}

/// A query on its way through the files.
struct Search {
    hash: i32,
    max: usize,
    begin_ms: i64,
    end_ms: i64,
    found: Vec<i64>,
}

impl Search {
    /// Follows the items of a slot from `head` to older ones. Numbers only get smaller, so damage cannot make it loop.
    fn follow(&mut self, header: &Header, reader: &mut ItemReader, head: u32) -> Result<(), StoreError> {
        let mut number = head;
        while number != 0 && self.found.len() < self.max {
            let item = reader.item(number)?;
            if item.seconds < 0 {
                break;
            }
            let time = header.begin_timestamp.saturating_add(i64::from(item.seconds) * 1000);
            if item.hash == self.hash && time >= self.begin_ms && time <= self.end_ms {
                self.found.push(item.physical_offset);
            }
            if item.previous >= number || time < self.begin_ms {
                break;
            }
            number = item.previous;
        }
        Ok(())
    }
}

/// The index files of a folder, oldest first. An empty one, left by a crash while it was made, is deleted.
fn files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| StoreError::io("list", dir, e))? {
        let entry = entry.map_err(|e| StoreError::io("list", dir, e))?;
        let path = entry.path();
        let name = entry.file_name();
        let digits = name.to_str().is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()));
        let metadata = entry.metadata().map_err(|e| StoreError::io("inspect", &path, e))?;
        if !digits || !metadata.is_file() {
            warn!(path = %path.display(), "not an index file, ignored");
        } else if metadata.len() == 0 {
            warn!(path = %path.display(), "empty index file deleted");
            delete(&path)?;
        } else {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn delete(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("delete", path, e)),
        _ => Ok(()),
    }
}

/// Renames a file that cannot be trusted, so that nobody takes it for an index file.
fn set_aside(path: &Path, why: &StoreError) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    warn!(error = %why, renamed = %Path::new(&name).display(), "index file set aside; its messages cannot be found by key");
    fs::rename(path, &name).map_err(|e| StoreError::io("rename", path, e))
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// Name of a file made at `now_ms`: local time as `yyyyMMddHHmmssSSS`. When that is not behind `newest` (several files
/// in a millisecond, a clock or daylight saving time set back), the number behind it, since names give the order.
fn file_name(now_ms: i64, newest: Option<&str>) -> String {
    let utc =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(now_ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let local = utc.to_offset(UtcOffset::local_offset_at(utc).unwrap_or(UtcOffset::UTC));
    let name = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}{:03}",
        local.year(),
        u8::from(local.month()),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        local.millisecond()
    );
    match newest {
        Some(newest) if *newest >= *name => match newest.parse::<u64>() {
            Ok(number) => format!("{:0width$}", number.saturating_add(1), width = newest.len()),
            Err(_) => name,
        },
        _ => name,
    }
}
