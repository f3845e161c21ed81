//! Which older parts of the log are in the page cache, so that they can be read from the mapping.
//!
//! Reading the mapping costs no system call, but where the page is not in the cache the thread waits for the disk, and with
//! it every connection it serves. So the log is looked at in windows: the first record read from a window is read by a
//! system call; when another follows within a second or two, the kernel is asked whether the whole window is cached, and to
//! map it in one go. For as long its records are read from the mapping. Where the window is not cached the kernel is asked
//! more and more rarely. A window that is left alone starts anew, as the kernel may have dropped it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::segment::Segment;

/// Bytes of a window: as much as the kernel maps around a fault by default (`fault_around_bytes`).
const WINDOW: usize = 64 << 10;

/// Windows remembered at a time, 256 MiB of the log. A power of two: a window's place is its number modulo this.
const PLACES: usize = 4096;

/// Seconds since the log was opened, wrapping.
pub(super) type Second = u16;

/// What is known of a window: its number (47 bits), the [`Second`] of its last read (12 bits), and how often it was read
/// (5 bits) or [`MAPPED`].
#[derive(Clone, Copy)]
struct Known(u64);

const SECONDS: u64 = (1 << 12) - 1;
const READS: u64 = (1 << 5) - 1;
/// In place of the number of reads: the window is mapped.
const MAPPED: u64 = READS;
/// Where counting ends, to go on at half of it.
const READS_MAX: u64 = 16;

impl Known {
    /// That of no window: there is none of this number.
    const NOTHING: Known = Known(u64::MAX);

    fn new(window: usize, now: Second, reads: u64) -> Self {
        Known((window as u64) << 17 | (u64::from(now) & SECONDS) << 5 | reads & READS)
    }

    /// Reads of `window` so far, or [`MAPPED`]; 0 when it was left alone.
    fn reads(self, window: usize, now: Second) -> u64 {
        let age = u64::from(now).wrapping_sub(self.0 >> 5) & SECONDS;
        if self.0 >> 17 == window as u64 && age <= 1 { self.0 & READS } else { 0 }
    }
}

/// A fixed table of windows. It only saves work: what it says too much of costs a page fault, never a wrong byte.
pub(super) struct WarmWindows {
    opened: Instant,
    /// Windows must not span files.
    usable: bool,
    /// A [`Known`] each.
    places: Box<[AtomicU64]>,
}

impl WarmWindows {
    /// A table that knows no window, of a log with files of `segment_size` bytes.
    pub fn new(segment_size: usize) -> Self {
        let usable = segment_size.is_multiple_of(WINDOW);
        WarmWindows {
            opened: Instant::now(),
            usable,
            places: (0..if usable { PLACES } else { 0 }).map(|_| AtomicU64::new(Known::NOTHING.0)).collect(),
        }
    }

    /// The time `now` as the table counts it.
    pub fn second(&self, now: Instant) -> Second {
        now.duration_since(self.opened).as_secs() as Second
    }

    /// Whether the `size` bytes at `offset` of the log, in `segment`, can be read from the mapping without waiting.
    pub fn covers(&self, segment: &Segment, offset: i64, size: usize, now: Second) -> bool {
        let (Ok(start), true) = (usize::try_from(offset), self.usable) else { return false };
        let last = start.saturating_add(size.saturating_sub(1)) / WINDOW;
        (start / WINDOW..=last).all(|window| self.is_warm(segment, window, now))
    }

    fn is_warm(&self, segment: &Segment, window: usize, now: Second) -> bool {
        let Some(place) = self.places.get(window % PLACES) else { return false };
        let reads = match Known(place.load(Ordering::Relaxed)).reads(window, now) {
            MAPPED => return true,
            // Not from the first read on, and while it is not cached at every second, fourth, eighth.
            reads if reads > 0 && (reads + 1).is_power_of_two() => {
                if segment.map_cached((window * WINDOW) as i64, WINDOW) { MAPPED } else { reads + 1 }
            }
            READS_MAX => READS_MAX / 2,
            reads => reads + 1,
        };
        place.store(Known::new(window, now, reads).0, Ordering::Relaxed);
        reads == MAPPED
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::segment::file_name;

    /// A file of two windows, of which only the first was ever written: the second is not in the page cache.
    fn half_cached(folder: &std::path::Path) -> Arc<Segment> {
        let base = 2 * WINDOW;
        let path = folder.join(file_name(base as i64));
        std::fs::write(&path, vec![7; WINDOW]).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2 * WINDOW as u64).unwrap();
        Segment::open(&path, base as i64, 2 * WINDOW, 2 * WINDOW).unwrap().0
    }

    #[test]
    fn a_window_is_mapped_when_a_second_read_follows() {
        let folder = tempfile::tempdir().unwrap();
        let segment = half_cached(folder.path());
        let windows = WarmWindows::new(2 * WINDOW);
        let covers = |offset: usize, size, now| windows.covers(&segment, (2 * WINDOW + offset) as i64, size, now);
        assert!(!covers(10, 100, 7));
        assert!(covers(500, 100, 8));
        assert!(covers(WINDOW - 100, 100, 9));
        // Forgotten after two seconds, and when the seconds wrap.
        assert!(!covers(10, 100, 11));
        assert!(covers(10, 100, 12));
        assert!(!covers(10, 100, Second::MAX));
        assert!(covers(10, 100, 0));
    }

    #[test]
    fn what_is_not_cached_is_never_covered() {
        let folder = tempfile::tempdir().unwrap();
        let segment = half_cached(folder.path());
        let windows = WarmWindows::new(2 * WINDOW);
        for _ in 0..3 {
            assert!(!windows.covers(&segment, 3 * WINDOW as i64, 1, 7));
            assert!(!windows.covers(&segment, 3 * WINDOW as i64 - 1, 2, 7), "reaches into the second window");
        }
        assert!(windows.covers(&segment, 3 * WINDOW as i64 - 1, 1, 7));
        // Nothing beyond the file, and no file of a broken window.
        assert!(!(0..3).any(|_| windows.covers(&segment, 4 * WINDOW as i64, 1, 7)));
        assert!(!(0..3).any(|_| windows.covers(&segment, -1, 1, 7)));
        let broken = WarmWindows::new(2 * WINDOW + 1);
        assert!(!(0..3).any(|_| broken.covers(&segment, 2 * WINDOW as i64, 1, 7)));
    }
}
