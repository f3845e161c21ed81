//! Compaction of a log: of all pairs of files but the newest, only the last message of each key is kept, and none
//! without a body.
//!
//! The keys of messages behind the position of the last compaction are gathered with their last queue offset. When their
//! memory is full, those behind are left to the next compaction. All old pairs are then copied into the sub-folder
//! `compacting`, without what a later message of its key, or an empty body, makes void. The new pairs take the place of
//! the old ones: their names are written to the file `swap` first, so that a start after a crash can bring it to its end.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::part::{Folders, Pair, Part};
use super::remove_folder;
use crate::consume_queue::files;
use crate::error::StoreError;
use crate::folder;
use crate::record::{self, PROPERTY_KEYS, Record};

/// Sub-folder of files that are being made.
pub const FOLDER: &str = "compacting";
/// In that sub-folder of the log: what takes the place of what.
const SWAP: &str = "swap";
/// Bytes that a key takes in memory: 16 of hash and 8 of offset, padded, in a table that is half full at worst, and once
/// more as much while that grows.
const KEY_BYTES: usize = 128;
/// Keys that any setting allows. Java: `OffsetMap`.
const KEYS_MIN: usize = 100;

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Queue offset up to which keys were compared.
    pub position: i64,
    /// Messages before.
    pub read: u64,
    /// Messages after.
    pub kept: u64,
}

/// The last queue offset of each key, by a hash of 128 bits under a random key: that two keys of a log share one is
/// beyond all likelihood.
pub struct LastOffsets {
    offsets: HashMap<u128, i64>,
    hashers: [RandomState; 2],
    keys_max: usize,
    /// The last offset that was put; -1 before.
    last: i64,
}

impl LastOffsets {
    /// Room for as many keys as fit `bytes`.
    pub fn new(bytes: usize) -> Self {
        LastOffsets {
            offsets: HashMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
            keys_max: (bytes / KEY_BYTES).max(KEYS_MIN),
            last: -1,
        }
    }

    fn hash(&self, key: &str) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        high << 64 | low
    }

    /// Notes a message; false when there is no room for another key.
    pub fn put(&mut self, key: &str, offset: i64) -> bool {
        let hash = self.hash(key);
        if self.offsets.len() >= self.keys_max && !self.offsets.contains_key(&hash) {
            return false;
        }
        self.offsets.insert(hash, offset);
        self.last = offset;
        true
    }

    /// Whether a message stays. Java: `shouldRetainMsg`.
    pub fn keeps(&self, record: &Record<'_>) -> bool {
        if record.queue_offset() > self.last {
            return true;
        }
        record::property(record.properties(), PROPERTY_KEYS).is_some_and(|key| {
            let is_last = self.offsets.get(&self.hash(key)).is_none_or(|last| record.queue_offset() >= *last);
            is_last && !record.body().is_empty()
        })
    }
}

impl Part {
    /// Compacts all pairs but the newest when some of them have messages behind `position`. `None` when there is nothing
    /// to do, or `stop` says so. One compaction at a time; appends and reads go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; the log is as it was before.
    pub fn compact(
        &self,
        position: i64,
        keys_bytes: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Compacted>, StoreError> {
        let mut old = self.pairs();
        old.pop();
        let mut keys = LastOffsets::new(keys_bytes);
        let mut full = false;
        for pair in old.iter().filter(|pair| pair.last > position) {
            self.scan(pair, &mut |placed, bytes| {
                if placed.queue_offset <= position {
                    return Ok(!stop());
                }
                let key = parse(self, bytes)?;
                full = record::property(key.properties(), PROPERTY_KEYS)
                    .is_some_and(|key| !keys.put(key, placed.queue_offset));
                Ok(!full && !stop())
            })?;
            if full {
                tracing::info!(folder = %self.folders().log.display(), "more keys than maxOffsetMapSize has room for");
                break;
            }
        }
        if keys.last < 0 || stop() {
            return Ok(None);
        }
        let folders = self.folders().below(FOLDER);
        remove(&folders)?;
        let new = Part::open(folders, self.shared().clone(), None)?;
        let (mut read, mut kept) = (0, 0);
        for pair in &old {
            self.scan(pair, &mut |placed, bytes| {
                read += 1;
                if keys.keeps(&parse(self, bytes)?) {
                    kept += 1;
                    new.append([(*placed, bytes)].into_iter())?;
                }
                Ok(!stop())
            })?;
        }
        if stop() {
            new.close();
            remove(new.folders())?;
            return Ok(None);
        }
        new.flush()?;
        self.swap(&old, &new)?;
        Ok(Some(Compacted { position: keys.last, read, kept }))
    }

    /// Puts the pairs of `new` in the place of `old`.
    fn swap(&self, old: &[Pair], new: &Part) -> Result<(), StoreError> {
        let made = new.pairs();
        let _writer = self.lock_writer();
        let mut pairs = self.lock_pairs();
        let count = old.len().min(pairs.len());
        let stay = pairs.split_off(count);
        let unexpected = pairs.iter().map(|pair| pair.base).ne(old.iter().map(|pair| pair.base));
        let overlap = made.last().zip(stay.first()).is_some_and(|(made, stay)| made.base >= stay.base);
        if unexpected || overlap {
            pairs.extend(stay);
            let reason = "files changed while they were compacted".to_owned();
            return Err(StoreError::Corrupt { path: self.folders().log.clone(), reason });
        }
        let names = |what: &'static str, pairs: &[Pair]| -> String {
            pairs.iter().map(|pair| format!("{what} {}\n", pair.base)).collect()
        };
        let text = names("old", old) + &names("new", &made) + "end\n";
        // A log of which nothing is left made no folder.
        folder::create(&new.folders().log)?;
        let swapped =
            write_durably(&new.folders().log.join(SWAP), text.as_bytes()).and_then(|()| finish(self.folders()));
        // Whatever failed: from here on the names belong to the new files, or will at the next start.
        let mut all = made;
        // Their descriptors stay right: a file keeps its content when it is moved.
        all.extend(stay);
        *pairs = all;
        for pair in old {
            self.forget(pair);
        }
        swapped
    }
}

fn parse<'a>(part: &Part, bytes: &'a [u8]) -> Result<Record<'a>, StoreError> {
    Record::parse(bytes).map_err(|reason| StoreError::Corrupt {
        path: part.folders().log.clone(),
        reason: format!("a unit points to no record: {reason}"),
    })
}

/// Brings a swap to its end that was begun, and removes what is left of a compaction otherwise. Harmless when repeated.
///
/// # Errors
/// [`StoreError::Io`].
pub fn finish(folders: &Folders) -> Result<(), StoreError> {
    let below = folders.below(FOLDER);
    let path = below.log.join(SWAP);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return remove(&below),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    if !text.ends_with("end\n") {
        return remove(&below);
    }
    let bases = |what: &str| -> Vec<i64> {
        text.lines().filter_map(|line| line.strip_prefix(what)?.trim().parse().ok()).collect()
    };
    let (old, new) = (bases("old"), bases("new"));
    for (parent, folder) in [(&folders.log, &below.log), (&folders.queue, &below.queue)] {
        for base in &new {
            ignore_missing(std::fs::rename(files::path_of(folder, *base), files::path_of(parent, *base)), folder)?;
        }
        for base in old.iter().filter(|base| !new.contains(base)) {
            ignore_missing(std::fs::remove_file(files::path_of(parent, *base)), parent)?;
        }
        folder::sync(parent)?;
    }
    remove(&below)
}

fn remove(folders: &Folders) -> Result<(), StoreError> {
    remove_folder(&folders.log)?;
    remove_folder(&folders.queue)
}

fn ignore_missing(done: io::Result<()>, path: &Path) -> Result<(), StoreError> {
    match done {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io("replace files in", path, error)),
        _ => Ok(()),
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let written = std::fs::write(path, bytes).and_then(|()| std::fs::File::open(path)?.sync_all());
    written.map_err(|error| StoreError::io("write", path, error))?;
    path.parent().map_or(Ok(()), folder::sync)
}
