//! A temporary folder that goes away with us, and takes along those of runs that were killed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};

use crate::children::{Signal, tied};

/// How the folders' names begin.
const PREFIX: &str = "tallymark-xtask-";

/// The file that a living owner holds locked.
const LOCK: &str = "lock";

/// A temporary folder; dropping it deletes it.
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes a folder for `name`, into which `user`, if given, can reach too.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn new(name: &str, user: Option<&str>) -> anyhow::Result<Self> {
        let place = place(user)?;
        sweep(&place);
        let path = place.join(format!("{PREFIX}{}-{name}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let mode = if user.is_some() { 0o711 } else { 0o700 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        // Locked before it has its name: nobody ever finds it unlocked while we live.
        let (unnamed, named) = (path.join("lock.new"), path.join(LOCK));
        let lock = File::create(&unnamed).with_context(|| format!("cannot make {}", unnamed.display()))?;
        lock.lock()?;
        fs::rename(&unnamed, &named)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder `name` in it, which only `owner` (a user's and a group's id) or we may open.
    ///
    /// # Errors
    /// When it cannot be made or given away.
    pub(crate) fn folder(&self, name: &str, owner: Option<(u32, u32)>) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&path, Some(user), Some(group))
                .with_context(|| format!("cannot give away {}", path.display()))?;
        }
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("  cannot delete {}: {error}", self.path.display());
        }
    }
}

/// The first usual place for temporary files that `user` can reach: a private `TMPDIR` may lie in a closed home.
fn place(user: Option<&str>) -> anyhow::Result<PathBuf> {
    let places = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    for place in places {
        let mut test = tied("test", Signal::Term, user)?;
        let test = test.arg("-x").arg(&place).stderr(Stdio::null());
        if test.status().is_ok_and(|status| status.success()) {
            return Ok(place);
        }
    }
    bail!("there is no folder for temporary files that {} can reach", user.unwrap_or("we"))
}

/// Deletes what runs that were killed left in `place`: folders whose lock nobody holds.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if !ours {
            continue;
        }
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(&path)
            && error.kind() != ErrorKind::NotFound
        {
            eprintln!("  a killed run left {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_deleted_and_what_is_in_use_is_not() {
        let place = std::env::temp_dir().join(format!("scratch-test-{}", std::process::id()));
        let (left, used) = (place.join(format!("{PREFIX}1")), place.join(format!("{PREFIX}2")));
        for folder in [&left, &used] {
            fs::create_dir_all(folder).unwrap();
            File::create(folder.join(LOCK)).unwrap();
        }
        let held = File::open(used.join(LOCK)).unwrap();
        held.lock().unwrap();
        sweep(&place);
        assert!(!left.exists());
        assert!(used.exists());
        fs::remove_dir_all(&place).unwrap();
    }
}
