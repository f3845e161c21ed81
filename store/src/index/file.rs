//! One index file: the newest one, which is written, and older ones, which are only read.
//!
//! The slots of the newest file are in memory, items wait in a small buffer, so a key costs no system call and a full
//! disk is an error rather than a fault in a mapping. Slots follow from the items: a file that was not closed well is
//! rebuilt from these ([`rebuild`]).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::layout::{Dimensions, HEADER_SIZE, Header, ITEM_SIZE, Item, SLOT_SIZE};
use crate::error::StoreError;

/// Bytes of items that wait before they are written.
const PENDING_MAX: usize = 64 * 1024 / ITEM_SIZE * ITEM_SIZE;
/// Slots written by one call, and the grain in which changed slots are remembered: one page.
const SLOTS_PER_PAGE: usize = 4096 / SLOT_SIZE;
/// Pages encoded under the lock at a time while flushing.
const PAGES_PER_STEP: usize = 64;
/// Items fetched by one read while following a slot's items: those of a hot key lie close together.
const ITEMS_PER_BLOCK: u32 = 512;

/// A file that gets no more items.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Where it is.
    pub path: PathBuf,
    /// Its header.
    pub header: Header,
}

/// Reads the header of a file.
///
/// # Errors
/// [`StoreError::Io`], and [`StoreError::Corrupt`] for a wrong size or an impossible header.
pub fn inspect(path: &Path, dimensions: Dimensions) -> Result<Header, StoreError> {
    let corrupt = |reason| StoreError::Corrupt { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
    let length = file.metadata().map_err(|e| StoreError::io("inspect", path, e))?.len();
    if length != dimensions.file_size() {
        return Err(corrupt(format!(
            "index file has {length} bytes, maxHashSlotNum and maxIndexNum make {}",
            dimensions.file_size()
        )));
    }
    let mut bytes = [0; HEADER_SIZE];
    file.read_exact_at(&mut bytes, 0).map_err(|e| StoreError::io("read", path, e))?;
    Header::decode(&bytes, dimensions).map_err(|reason| corrupt(format!("index header is damaged: {reason}")))
}

/// The file that gets the next items.
pub struct Active {
    /// Where it is.
    pub path: PathBuf,
    /// The file, open for reading and writing.
    pub file: Arc<File>,
    /// Its header as it will be; that of the file may be older.
    pub header: Header,
    dimensions: Dimensions,
    /// The slot table; read when the first item comes.
    slots: Option<Box<[u32]>>,
    /// A bit for each page of slots: differs from the file.
    changed: Box<[u64]>,
    /// The newest items, encoded; the last one has number `header.next_item - 1`.
    pending: Vec<u8>,
    /// The header differs from the file.
    header_changed: bool,
}

impl Active {
    fn new(path: PathBuf, file: File, header: Header, dimensions: Dimensions) -> Active {
        let pages = (dimensions.slots as usize).div_ceil(SLOTS_PER_PAGE);
        Active {
            path,
            file: Arc::new(file),
            header,
            dimensions,
            slots: None,
            changed: vec![0; pages.div_ceil(64)].into(),
            pending: Vec::new(),
            header_changed: false,
        }
    }

    /// Makes a new file of the full, sparse size.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create(path: PathBuf, header: Header, dimensions: Dimensions) -> Result<Active, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|file| file.set_len(dimensions.file_size()).map(|()| file))
            .map_err(|e| StoreError::io("create", &path, e))?;
        let mut active = Active::new(path, file, header, dimensions);
        active.slots = Some(vec![0; dimensions.slots as usize].into());
        active.header_changed = true;
        Ok(active)
    }

    /// Goes on with an existing file whose header is known.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn reopen(path: PathBuf, header: Header, dimensions: Dimensions) -> Result<Active, StoreError> {
        let file = open_to_write(&path)?;
        Ok(Active::new(path, file, header, dimensions))
    }

    /// No item fits any more.
    pub fn is_full(&self) -> bool {
        self.header.next_item >= self.dimensions.items
    }

    /// Number of the first item in `pending`.
    fn first_pending(&self) -> u32 {
        self.header.next_item - (self.pending.len() / ITEM_SIZE) as u32
    }

    /// Adds an item; the file is not full.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the item was not added.
    pub fn put(&mut self, hash: i32, physical_offset: i64, timestamp_ms: i64) -> Result<(), StoreError> {
        if self.pending.len() >= PENDING_MAX {
            self.write_items()?;
        }
        let number = self.header.next_item;
        let slot = self.dimensions.slot_of(hash) as usize;
        let slots = match &mut self.slots {
            Some(slots) => slots,
            empty => empty.insert(read_slots(&self.file, &self.path, self.dimensions)?),
        };
        let previous = Some(slots[slot]).filter(|&previous| previous < number).unwrap_or(0);
        let item = Item { hash, physical_offset, seconds: self.header.seconds_until(timestamp_ms), previous };
        if number == 1 {
            // The begin timestamp is the one thing the items do not tell, so it must not be lost.
            let header = self.header.advanced(physical_offset, timestamp_ms, true);
            self.write_header(&Header { next_item: 1, slot_count: 0, ..header })?;
        }
        if let Some(slots) = &mut self.slots {
            slots[slot] = number;
        }
        let page = slot / SLOTS_PER_PAGE;
        self.changed[page / 64] |= 1 << (page % 64);
        self.pending.extend_from_slice(&item.encode());
        self.header = self.header.advanced(physical_offset, timestamp_ms, previous == 0);
        self.header_changed = true;
        Ok(())
    }

    /// Number of the newest item in the slot of a hash, 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn head(&self, hash: i32) -> Result<u32, StoreError> {
        let head = match &self.slots {
            Some(slots) => slots[self.dimensions.slot_of(hash) as usize],
            None => read_slot(&self.file, &self.path, self.dimensions, hash)?,
        };
        Ok(if head < self.header.next_item { head } else { 0 })
    }

    /// Reads items as they are now, without this object.
    pub fn reader(&self) -> ItemReader {
        ItemReader {
            path: self.path.clone(),
            file: self.file.clone(),
            dimensions: self.dimensions,
            pending: self.pending.clone(),
            first_pending: self.first_pending(),
            block: Vec::new(),
            first_in_block: 0,
        }
    }

    /// Hands the waiting items to the operating system.
    ///
    /// # Errors
    /// [`StoreError::Io`]; they still wait.
    pub fn write_items(&mut self) -> Result<(), StoreError> {
        let position = self.dimensions.item_position(self.first_pending());
        self.file.write_all_at(&self.pending, position).map_err(|e| StoreError::io("write", &self.path, e))?;
        self.pending.clear();
        Ok(())
    }

    /// Takes up to [`PAGES_PER_STEP`] pages of changed slots, encoded, with the byte each belongs at.
    pub fn take_changed(&mut self) -> Vec<(u64, Vec<u8>)> {
        let mut taken = Vec::new();
        let Some(slots) = &self.slots else { return taken };
        for (word, bits) in self.changed.iter_mut().enumerate() {
            while *bits != 0 && taken.len() < PAGES_PER_STEP {
                let page = word * 64 + bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                let first = page * SLOTS_PER_PAGE;
                let last = (first + SLOTS_PER_PAGE).min(slots.len());
                let bytes = slots[first..last].iter().flat_map(|slot| slot.to_be_bytes()).collect();
                taken.push((self.dimensions.slot_position(first as u32), bytes));
            }
        }
        taken
    }

    /// Marks pages as changed again that could not be written.
    pub fn give_back(&mut self, pages: &[(u64, Vec<u8>)]) {
        for (position, _) in pages {
            let page = (*position as usize - HEADER_SIZE) / (SLOTS_PER_PAGE * SLOT_SIZE);
            self.changed[page / 64] |= 1 << (page % 64);
        }
    }

    /// Writes the header if it changed. Items and slots must have been written before.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write_changed_header(&mut self) -> Result<(), StoreError> {
        if self.header_changed {
            self.write_header(&self.header)?;
            self.header_changed = false;
        }
        Ok(())
    }

    fn write_header(&self, header: &Header) -> Result<(), StoreError> {
        self.file.write_all_at(&header.encode(), 0).map_err(|e| StoreError::io("write", &self.path, e))
    }

    /// Writes everything.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the call may be repeated.
    pub fn write_all(&mut self) -> Result<(), StoreError> {
        self.write_items()?;
        loop {
            let pages = self.take_changed();
            if pages.is_empty() {
                break;
            }
            if let Err(error) = write_pages(&self.file, &self.path, &pages) {
                self.give_back(&pages);
                return Err(error);
            }
        }
        self.write_changed_header()
    }
}

/// Writes pages taken with [`Active::take_changed`].
///
/// # Errors
/// [`StoreError::Io`].
pub fn write_pages(file: &File, path: &Path, pages: &[(u64, Vec<u8>)]) -> Result<(), StoreError> {
    pages
        .iter()
        .try_for_each(|(position, bytes)| file.write_all_at(bytes, *position))
        .map_err(|e| StoreError::io("write", path, e))
}

fn open_to_write(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|e| StoreError::io("open", path, e))
}

fn read_slots(file: &File, path: &Path, dimensions: Dimensions) -> Result<Box<[u32]>, StoreError> {
    let mut bytes = vec![0; dimensions.slots as usize * SLOT_SIZE];
    file.read_exact_at(&mut bytes, HEADER_SIZE as u64).map_err(|e| StoreError::io("read", path, e))?;
    Ok(bytes.as_chunks::<SLOT_SIZE>().0.iter().map(|slot| u32::from_be_bytes(*slot)).collect())
}

fn read_slot(file: &File, path: &Path, dimensions: Dimensions, hash: i32) -> Result<u32, StoreError> {
    let mut bytes = [0; SLOT_SIZE];
    file.read_exact_at(&mut bytes, dimensions.slot_position(dimensions.slot_of(hash)))
        .map_err(|e| StoreError::io("read", path, e))?;
    Ok(u32::from_be_bytes(bytes))
}

/// Reads items of one file, remembering the block read last.
pub struct ItemReader {
    path: PathBuf,
    file: Arc<File>,
    dimensions: Dimensions,
    /// Items not in the file yet, from number `first_pending` on.
    pending: Vec<u8>,
    first_pending: u32,
    block: Vec<u8>,
    first_in_block: u32,
}

impl ItemReader {
    /// Opens a sealed file and finds the newest item in the slot of `hash` (0 = none).
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(sealed: &Sealed, dimensions: Dimensions, hash: i32) -> Result<(ItemReader, u32), StoreError> {
        let file = File::open(&sealed.path).map_err(|e| StoreError::io("open", &sealed.path, e))?;
        let head = read_slot(&file, &sealed.path, dimensions, hash)?;
        let reader = ItemReader {
            path: sealed.path.clone(),
            file: Arc::new(file),
            dimensions,
            pending: Vec::new(),
            first_pending: dimensions.items,
            block: Vec::new(),
            first_in_block: 0,
        };
        Ok((reader, if head < sealed.header.next_item { head } else { 0 }))
    }

    /// Whether, from item `head` on, there is one for this hash and message. Items are in commit-log order, so only the
    /// newest of the slot are looked at.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn contains(&mut self, head: u32, hash: i32, physical_offset: i64) -> Result<bool, StoreError> {
        let mut number = head;
        while number != 0 {
            let item = self.item(number)?;
            if item.physical_offset < physical_offset {
                break;
            }
            if item.hash == hash && item.physical_offset == physical_offset {
                return Ok(true);
            }
            number = if item.previous < number { item.previous } else { 0 };
        }
        Ok(false)
    }

    /// The item of a number below the file's number of items.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn item(&mut self, number: u32) -> Result<Item, StoreError> {
        if let Some(at) = number.checked_sub(self.first_pending)
            && let Some(bytes) = self.pending.as_chunks::<ITEM_SIZE>().0.get(at as usize)
        {
            return Ok(Item::decode(bytes));
        }
        let in_block = |block: &[u8], first: u32| {
            let at = number.checked_sub(first)? as usize;
            block.as_chunks::<ITEM_SIZE>().0.get(at).map(Item::decode)
        };
        if let Some(item) = in_block(&self.block, self.first_in_block) {
            return Ok(item);
        }
        // The block ends with the wanted item, since one goes on to smaller numbers.
        let first = (number + 1).saturating_sub(ITEMS_PER_BLOCK);
        self.first_in_block = first;
        self.block.resize((number + 1 - first) as usize * ITEM_SIZE, 0);
        let result = self.file.read_exact_at(&mut self.block, self.dimensions.item_position(first));
        if let Err(error) = result {
            self.block.clear();
            return Err(StoreError::io("read", &self.path, error));
        }
        in_block(&self.block, first)
            .ok_or_else(|| StoreError::io("read", &self.path, io::Error::from(io::ErrorKind::UnexpectedEof)))
    }
}

/// Rebuilds a file that may not have been closed well from its items, as far as they belong to messages before
/// `until_physical`; what is behind is cleared. Slots and the items' links are made anew. `None` when nothing is left:
/// the file was deleted.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Corrupt`] when the header cannot be trusted.
pub fn rebuild(path: &Path, dimensions: Dimensions, until_physical: i64) -> Result<Option<Header>, StoreError> {
    let old = inspect(path, dimensions)?;
    let file = open_to_write(path)?;
    let write = |bytes: &[u8], at| file.write_all_at(bytes, at).map_err(|e| StoreError::io("write", path, e));
    let mut slots = vec![0u32; dimensions.slots as usize];
    let mut header = Header::after(old.begin_timestamp, old.begin_physical);
    let mut last_physical = 0;
    let mut block = Vec::new();
    'blocks: while header.next_item < dimensions.items {
        let first = header.next_item;
        let count = (dimensions.items - first).min(64 * ITEMS_PER_BLOCK) as usize;
        block.resize(count * ITEM_SIZE, 0);
        let position = dimensions.item_position(first);
        file.read_exact_at(&mut block, position).map_err(|e| StoreError::io("read", path, e))?;
        let mut relinked = false;
        let mut end = false;
        for bytes in block.as_chunks_mut::<ITEM_SIZE>().0 {
            let mut item = Item::decode(bytes);
            let nothing = bytes.iter().all(|&byte| byte == 0);
            let damaged = item.hash < 0 || item.seconds < 0 || item.physical_offset < last_physical;
            if nothing || damaged || item.physical_offset >= until_physical {
                end = true;
                break;
            }
            last_physical = item.physical_offset;
            let slot = &mut slots[dimensions.slot_of(item.hash) as usize];
            if item.previous != *slot {
                item.previous = *slot;
                *bytes = item.encode();
                relinked = true;
            }
            let new_slot = *slot == 0;
            *slot = header.next_item;
            let timestamp = match header.next_item {
                1 => old.begin_timestamp,
                number if number + 1 == old.next_item => old.end_timestamp,
                _ => old.begin_timestamp.saturating_add(i64::from(item.seconds) * 1000),
            };
            header = header.advanced(item.physical_offset, timestamp.max(header.end_timestamp), new_slot);
        }
        if relinked {
            write(&block, position)?;
        }
        if end {
            break 'blocks;
        }
    }
    if header.next_item == 1 || old.begin_timestamp <= 0 {
        fs::remove_file(path).map_err(|e| StoreError::io("delete", path, e))?;
        return Ok(None);
    }
    clear(&file, dimensions.item_position(header.next_item), dimensions.file_size())
        .map_err(|e| StoreError::io("clear the end of", path, e))?;
    let slots: Vec<u8> = slots.iter().flat_map(|slot| slot.to_be_bytes()).collect();
    write(&slots, HEADER_SIZE as u64)?;
    write(&header.encode(), 0)?;
    file.sync_data().map_err(|e| StoreError::io("flush", path, e))?;
    Ok(Some(header))
}

/// Makes `from..to` zero.
fn clear(file: &File, from: u64, to: u64) -> io::Result<()> {
    if from >= to {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, flags, from, to - from) {
        // Cutting the file off and growing it again clears too; the size is checked at the next start only.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(from).and_then(|()| file.set_len(to)),
        other => other.map_err(io::Error::from),
    }
}
