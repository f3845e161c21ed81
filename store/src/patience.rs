//! Reading files on threads that must not wait for the disk.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Only what is in the page cache; otherwise the error is [`io::ErrorKind::WouldBlock`].
    None,
    /// As long as it takes.
    Endless,
}

impl Patience {
    /// Fills `buffer` from byte `at` of the file on.
    ///
    /// # Errors
    /// Those of the operating system; `UnexpectedEof` when the file ends before.
    pub fn read(self, file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Patience::Endless => file.read_exact_at(buffer, at),
            Patience::None => {
                let wanted = buffer.len();
                match preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
                    Ok(read) if read == wanted => Ok(()),
                    // Part of it is not in the cache, or beyond the end: the patient read will tell.
                    Ok(_) => Err(io::ErrorKind::WouldBlock.into()),
                    // Nothing of it is in the cache, or file system or kernel cannot tell.
                    Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                        Err(io::ErrorKind::WouldBlock.into())
                    }
                    Err(errno) => Err(errno.into()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = File::open(&path).unwrap();
        let mut buffer = [0; 4];
        for patience in [Patience::Endless, Patience::None] {
            match patience.read(&file, &mut buffer, 3) {
                Err(error) if patience == Patience::None => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                result => {
                    result.unwrap();
                    assert_eq!(&buffer, b"3456");
                }
            }
            let beyond = patience.read(&file, &mut buffer, 8).unwrap_err().kind();
            assert!(matches!(beyond, io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock));
        }
    }
}
