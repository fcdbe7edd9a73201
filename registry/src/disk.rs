//! Files in the data directory that are replaced whole: after any crash either the old or the new one is there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A file that its owner alone may read, with a checksum in its first line.
#[derive(Debug)]
pub(crate) struct PrivateFile {
    path: PathBuf,
    holds: &'static str,
}

/// What becomes of the bytes that a file held before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Previous {
    /// They stay on the disk until something else is written there.
    Left,
    /// They are written over. A disk that writes elsewhere than where it was told keeps them all the same.
    Overwritten,
}

impl PrivateFile {
    /// The file at `path`, which `holds` something: a word for its first line.
    pub(crate) fn new(path: PathBuf, holds: &'static str) -> Self {
        Self { path, holds }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; `None` where there is no file.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] where it is not what was written.
    pub(crate) fn read(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |line| line + 1);
        let (first_line, body) = bytes.split_at(end);
        if first_line == self.first_line(body).as_bytes() {
            Ok(Some(Zeroizing::new(body.to_vec())))
        } else {
            Err(io::Error::new(ErrorKind::InvalidData, "its checksum is not that of what it holds"))
        }
    }

    /// Replaces what it holds, and returns once that is on the disk.
    pub(crate) fn replace(&self, body: &[u8], previous: Previous) -> io::Result<()> {
        let next = self.next();
        // A crash may have left one, with whatever rights.
        remove(&next, previous)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(self.first_line(body).as_bytes())?;
        file.write_all(body)?;
        file.sync_all()?;
        let old = match previous {
            Previous::Overwritten => open_existing(&self.path)?,
            Previous::Left => None,
        };
        fs::rename(&next, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        // Its name is the new one's by now; what is overwritten is what nobody can open any more.
        old.map_or(Ok(()), overwrite)
    }

    fn first_line(&self, body: &[u8]) -> String {
        let sum = Sha256::digest(body);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("tallymark {} 1 {sum}\n", self.holds)
    }

    fn next(&self) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(".new");
        name.into()
    }
}

fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path, previous: Previous) -> io::Result<()> {
    let Some(file) = open_existing(path)? else { return Ok(()) };
    if previous == Previous::Overwritten {
        overwrite(file)?;
    }
    fs::remove_file(path)
}

fn overwrite(mut file: File) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    file.rewind()?;
    file.write_all(&zeros)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file_in(directory: &tempfile::TempDir) -> PrivateFile {
        PrivateFile::new(directory.path().join("file"), "things")
    }

    #[test]
    fn what_was_written_is_read_and_nobody_else_may() {
        let directory = tempfile::tempdir().unwrap();
        let file = file_in(&directory);
        assert!(file.read().unwrap().is_none());
        for body in [&b"one"[..], b"", b"two\nlines\n"] {
            file.replace(body, Previous::Left).unwrap();
            assert_eq!(&file.read().unwrap().unwrap()[..], body);
        }
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn any_cut_and_any_changed_byte_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = file_in(&directory);
        file.replace(b"something", Previous::Left).unwrap();
        let whole = fs::read(file.path()).unwrap();
        let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
        let changed = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        for bytes in cut.chain(changed) {
            fs::write(file.path(), &bytes).unwrap();
            assert_eq!(file.read().unwrap_err().kind(), ErrorKind::InvalidData, "{bytes:?}");
        }
    }

    #[test]
    fn another_kind_of_file_is_not_taken_for_this_one() {
        let directory = tempfile::tempdir().unwrap();
        PrivateFile::new(directory.path().join("file"), "others").replace(b"x", Previous::Left).unwrap();
        assert!(file_in(&directory).read().is_err());
    }

    #[test]
    fn what_a_crash_left_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = file_in(&directory);
        fs::write(directory.path().join("file.new"), "half a f").unwrap();
        file.replace(b"whole", Previous::Overwritten).unwrap();
        assert_eq!(&file.read().unwrap().unwrap()[..], b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn previous_bytes_are_overwritten_where_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let file = file_in(&directory);
        file.replace(b"secret", Previous::Overwritten).unwrap();
        let mut still_open = File::open(file.path()).unwrap();
        file.replace(b"other", Previous::Overwritten).unwrap();
        let mut bytes = Vec::new();
        still_open.read_to_end(&mut bytes).unwrap();
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 0), "{bytes:?}");
    }
}
