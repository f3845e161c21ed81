//! Files of certificates and keys: read within bounds, and watched.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

/// Longest file that is read. The certificates of all public authorities together take about 200 KB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a whole file; says what is wrong otherwise.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let text = (|| {
        if fs::metadata(path)?.len() > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
        }
        fs::read(path)
    })();
    text.map_err(|error| format!("cannot be read as uid {}: {error}", hypergol_config::process::uid()))
}

/// What the first section of this label holds, without its PEM armour.
pub(super) fn section(pem: &[u8], label: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let begin = format!("-----BEGIN {label}-----");
    let from = text.find(&begin)? + begin.len();
    let length = text[from..].find(&format!("-----END {label}-----"))?;
    let base64: String = text[from..from + length].chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(base64).ok()
}

/// Files, and how they looked.
pub(super) struct Watched {
    seen: Mutex<Vec<(PathBuf, Option<Looks>)>>,
}

/// Changes whenever a file is written or replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Looks {
    modified: Option<SystemTime>,
    inode: u64,
    bytes: u64,
}

impl Looks {
    fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self { modified: data.modified().ok(), inode: data.ino(), bytes: data.len() })
    }
}

impl Watched {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = paths.into_iter().map(|path| (path.clone(), Looks::of(&path))).collect();
        Self { seen: Mutex::new(seen) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen.lock().is_empty()
    }

    /// Whether a file looks different from the last time this was asked. One that is gone for the moment is about to be
    /// replaced.
    pub(super) fn changed(&self) -> bool {
        let mut changed = false;
        for (path, seen) in self.seen.lock().iter_mut() {
            let now = Looks::of(path);
            if now.is_some() && now != *seen {
                *seen = now;
                changed = true;
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_and_an_absence_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        fs::write(&a, "1").unwrap();
        let watched = Watched::new(vec![a.clone(), b.clone()]);
        assert!(!watched.changed());
        fs::write(&a, "22").unwrap();
        assert!(watched.changed() && !watched.changed());
        fs::rename(&a, folder.path().join("c")).unwrap();
        assert!(!watched.changed());
        fs::rename(folder.path().join("c"), &a).unwrap();
        assert!(!watched.changed(), "it is back as it was");
        fs::write(&b, "new").unwrap();
        assert!(watched.changed());
    }

    #[test]
    fn a_section_is_found_among_others() {
        let pem =
            b"Bag Attributes\n-----BEGIN A-----\r\nAQI=\r\n-----END A-----\n-----BEGIN B-----\nAw==\n-----END B-----";
        assert_eq!(section(pem, "A").unwrap(), [1, 2]);
        assert_eq!(section(pem, "B").unwrap(), [3]);
        assert_eq!(section(pem, "C"), None);
        assert_eq!(section(b"-----BEGIN A-----\n*\n-----END A-----", "A"), None);
    }
}
