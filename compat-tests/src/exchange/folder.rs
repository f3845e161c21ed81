//! Copies of store folders.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Bytes that are looked at together: holes of files are made of such blocks of zeros.
const BLOCK: usize = 64 << 10;
/// Depth of a store folder: store/consumequeue/TOPIC/QUEUE/FILE.
const DEPTH_MAX: usize = 8;

/// Copies a folder to where none is. Zeros take no space, and every user may write what comes out: the server that takes
/// it over may run as another one.
///
/// # Errors
/// When something cannot be read or written, or `to` exists.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    copy_below(from, to, DEPTH_MAX)
}

fn copy_below(from: &Path, to: &Path, depth: usize) -> Result<()> {
    ensure!(depth > 0, "{} is no store", from.display());
    fs::create_dir(to).with_context(|| to.display().to_string())?;
    fs::set_permissions(to, Permissions::from_mode(0o777))?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_below(&entry.path(), &to, depth - 1)?;
        } else {
            copy_file(&entry.path(), &to).with_context(|| to.display().to_string())?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let (mut from, mut file) = (File::open(from)?, File::create_new(to)?);
    file.set_permissions(Permissions::from_mode(0o666))?;
    let length = from.metadata()?.len();
    let mut block = vec![0; BLOCK];
    loop {
        let read = from.read(&mut block)?;
        match block.get(..read).unwrap_or_default() {
            [] => break,
            zeros if zeros.iter().all(|byte| *byte == 0) => {
                file.seek(SeekFrom::Current(i64::try_from(read)?))?;
            }
            bytes => file.write_all(bytes)?,
        }
    }
    Ok(file.set_len(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_bytes_and_length() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        fs::create_dir_all(from.join("x/y")).unwrap();
        let mut bytes = vec![0; 3 * BLOCK];
        bytes[BLOCK + 1] = 7;
        fs::write(from.join("x/y/file"), &bytes).unwrap();
        fs::write(from.join("empty"), b"").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!((fs::read(to.join("x/y/file")).unwrap(), fs::read(to.join("empty")).unwrap()), (bytes, vec![]));
        assert!(copy(&from, &to).is_err(), "it is there already");
    }
}
