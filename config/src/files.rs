//! Small files that must never be half written.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::ConfigError;

/// Reads a file of at most `bytes_max`.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, ConfigError> {
    let failed = |error| ConfigError::io("read", path, error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > bytes_max {
        return Err(ConfigError::TooLong { file: path.display().to_string(), max: bytes_max });
    }
    Ok(bytes)
}

/// Replaces a file: after a crash it has the old content or the new one, whole. Creates its folder.
///
/// With `backup` the old content is kept beside it as `NAME.bak`, as Java does.
pub fn replace(path: &Path, content: &[u8], backup: bool) -> Result<(), ConfigError> {
    let failed = |error| ConfigError::io("write", path, error);
    let folder = folder(path);
    fs::create_dir_all(folder).map_err(|error| ConfigError::io("create", folder, error))?;
    // The name of the process keeps two that share a folder by mistake from writing into each other's.
    let next = with_suffix(path, &format!(".{}.tmp", std::process::id()));
    if backup && path.exists() {
        // Replaced and not written into: it may be another user's, as in a folder that a server of root has left.
        let kept = fs::read(path).and_then(|old| fs::write(&next, old));
        kept.and_then(|()| fs::rename(&next, with_suffix(path, ".bak"))).map_err(failed)?;
    }
    let written = write_synced(&next, content).and_then(|()| fs::rename(&next, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&next);
        // A single file mounted into a container can be written but not replaced.
        return if error.kind() == io::ErrorKind::ResourceBusy {
            write_synced(path, content).map_err(failed)
        } else {
            Err(failed(error))
        };
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_keeps_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.json");
        replace(&path, b"1", true).unwrap();
        replace(&path, b"2", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::read(folder.path().join("a/b.json.bak")).unwrap(), b"1");
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn a_backup_is_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let [path, backup, foreign] = ["x", "x.bak", "foreign"].map(|name| folder.path().join(name));
        fs::write(&path, b"1").unwrap();
        fs::write(&foreign, b"foreign").unwrap();
        fs::hard_link(&foreign, &backup).unwrap();
        replace(&path, b"2", true).unwrap();
        assert_eq!((fs::read(&backup).unwrap(), fs::read(&foreign).unwrap()), (b"1".to_vec(), b"foreign".to_vec()));
    }

    #[test]
    fn errors_name_path_and_user() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        let error = replace(&folder.path().join("file/x"), b"", false).unwrap_err().to_string();
        assert!(error.contains("file as uid "), "{error}");
    }

    #[test]
    fn reads_no_more_than_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(matches!(read(&path, 4), Err(ConfigError::TooLong { max: 4, .. })));
    }
}
