//! The directory that holds what the embedded backends keep. One process owns it.

use std::fs::{File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A data directory that this process owns until the value is dropped.
#[derive(Debug)]
pub(crate) struct OwnedDataDir {
    path: PathBuf,
    _lock: File,
}

/// Makes the directory if it is missing, readable by its owner alone.
pub(crate) fn ensure(path: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the data directory {}", path.display()))
}

impl OwnedDataDir {
    /// Takes the directory; fails where another server has it.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        ensure(path)?;
        let lock_path = path.join("lock");
        let lock =
            File::create(&lock_path).with_context(|| format!("cannot write {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "another tallymark server uses {}; stop it, or give this one its own with --data-dir",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", lock_path.display()))
            }
        }
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}
