//! The directory that holds what the embedded backends keep. One process owns it.

use std::fs::{File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
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

/// A directory that somebody made beforehand may be open to everybody: events are in it, and the salts.
fn keep_others_out(path: &Path) {
    let open_to_others = |path: &Path| Ok(path.metadata()?.permissions().mode() & 0o077 != 0);
    let kept_out = open_to_others(path).and_then(|is_open: bool| {
        if is_open {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
            tracing::warn!("the data directory was open to other users; it is its owner's alone now");
        }
        Ok::<_, std::io::Error>(())
    });
    if let Err(error) = kept_out {
        tracing::warn!(%error, "other users may read the data directory, and that cannot be changed from here");
    }
}

impl OwnedDataDir {
    /// Takes the directory; fails where another server has it.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        ensure(path)?;
        let lock_path = path.join("lock");
        let lock =
            File::create(&lock_path).with_context(|| format!("cannot write {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {
                keep_others_out(path);
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_open_to_others_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let _owned = OwnedDataDir::take(folder.path()).unwrap();
        assert_eq!(folder.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(OwnedDataDir::take(folder.path()).unwrap_err().to_string().contains("--data-dir"));
    }
}
