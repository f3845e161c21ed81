//! Which older parts of the log are in the page cache, so that they can be read from the mapping.
//!
//! Reading the mapping costs no system call, but where the page is not in the cache the thread waits for the disk, and with
//! it every connection it serves. So the log is looked at in windows: the first record read from a window is read by a
//! system call; when another follows within a second or two, the kernel is asked whether the whole window is cached, and to
//! map it in one go. For as long its records are read from the mapping. A window that is left alone is asked for again, as
//! the kernel may have dropped it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::segment::Segment;

/// Bytes of a window: as much as the kernel maps around a fault by default (`fault_around_bytes`).
const WINDOW: usize = 64 << 10;

/// Windows remembered at a time, 256 MiB of the log. A power of two: a window's place is its number modulo this.
const PLACES: usize = 4096;

/// Seconds since the log was opened, wrapping.
pub(super) type Second = u16;

/// A fixed table of windows. It only saves work: what it says too much of costs a page fault, never a wrong byte.
pub(super) struct WarmWindows {
    opened: Instant,
    /// Windows must not span files.
    usable: bool,
    /// Per place: number of the window (47 bits), [`Second`] it was last looked at (16), whether it is mapped (1).
    places: Box<[AtomicU64]>,
}

impl WarmWindows {
    /// A table that knows no window, of a log with files of `segment_size` bytes.
    pub fn new(segment_size: usize) -> Self {
        let usable = segment_size.is_multiple_of(WINDOW);
        WarmWindows {
            opened: Instant::now(),
            usable,
            places: (0..if usable { PLACES } else { 0 }).map(|_| AtomicU64::new(u64::MAX)).collect(),
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
        let known = place.load(Ordering::Relaxed);
        let state = |mapped: bool| (window as u64) << 17 | u64::from(now) << 1 | u64::from(mapped);
        let (known_window, looked_at, mapped) = (known >> 17, (known >> 1) as Second, known & 1 == 1);
        let known_lately = known_window == window as u64 && now.wrapping_sub(looked_at) <= 1;
        if known_lately && mapped {
            return true;
        }
        let warm = known_lately && segment.map_cached((window * WINDOW) as i64, WINDOW);
        place.store(state(warm), Ordering::Relaxed);
        warm
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
