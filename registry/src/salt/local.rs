//! The salts of a process alone, in a file of its data directory.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use super::alive::Alive;
use super::{LOOK_EVERY, Now, Salt, Salts};
use crate::disk::{Previous, PrivateFile};

/// Salts that no other process needs.
///
/// A file that cannot be written, or is damaged, does not keep events out: salts are then in memory alone, or made anew,
/// and whoever comes again on that day counts as another visitor.
pub struct LocalSalts {
    kept: Arc<Kept>,
    tasks: TaskTracker,
    /// Ends the looking when the salts are dropped.
    shutdown: DropGuard,
}

struct Kept {
    alive: Alive,
    file: PrivateFile,
    /// Whether the file holds what is in memory, and nothing else.
    is_written: AtomicBool,
    is_well: AtomicBool,
}

impl LocalSalts {
    /// The salts of the file at `path`, where today's are made if they are not there. Reads and writes before it
    /// returns; must be called within a Tokio runtime, where a task makes and destroys salts until they are closed or
    /// dropped.
    #[must_use]
    pub fn open(path: PathBuf, now: Now) -> Self {
        let kept = Arc::new(Kept {
            alive: Alive::new(now),
            file: PrivateFile::new(path, "salts"),
            is_written: AtomicBool::new(false),
            is_well: AtomicBool::new(true),
        });
        kept.read();
        kept.look();
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(look_for_ever(Arc::clone(&kept))));
        tasks.close();
        Self { kept, tasks, shutdown: shutdown.drop_guard() }
    }

    /// Ends the looking and waits until it has ended.
    pub async fn close(self) {
        drop(self.shutdown);
        self.tasks.wait().await;
    }
}

impl Salts for LocalSalts {
    fn salt(&self, day: i32) -> Option<Salt> {
        self.kept.alive.salt(day)
    }
}

async fn look_for_ever(kept: Arc<Kept>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let kept = Arc::clone(&kept);
        // Syncing a file takes milliseconds.
        let looked = tokio::task::spawn_blocking(move || kept.look());
        if let Err(panicked) = looked.await {
            tracing::error!(%panicked, "could not look after the salts");
        }
    }
}

impl Kept {
    fn read(&self) {
        let salts = self.file.read().and_then(|body| {
            body.map_or(Ok(Vec::new()), |body| {
                decode(&body).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no salts"))
            })
        });
        match salts {
            Ok(salts) => {
                for (day, salt) in salts {
                    self.alive.learn(day, salt);
                }
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    file = %self.file.path().display(),
                    "the salts of cookieless visitors cannot be read, and are made anew: those of today count again"
                );
            }
        }
    }

    /// Destroys what is to be dead, makes what is missing, and writes what changed.
    fn look(&self) {
        if !self.alive.forget_dead().is_empty() {
            self.is_written.store(false, Ordering::Relaxed);
        }
        let today = self.alive.today();
        for day in [today, today.saturating_add(1)] {
            if self.alive.salt(day).is_some() {
                continue;
            }
            match Salt::random() {
                Ok(salt) => {
                    self.alive.learn(day, salt);
                    self.is_written.store(false, Ordering::Relaxed);
                }
                Err(error) => tracing::error!(%error, "the system gives no random bytes for a salt"),
            }
        }
        if self.is_written.load(Ordering::Relaxed) {
            return;
        }
        let written = self.file.replace(&encode(&self.alive.all()), Previous::Overwritten);
        self.is_written.store(written.is_ok(), Ordering::Relaxed);
        let was_well = self.is_well.swap(written.is_ok(), Ordering::Relaxed);
        match written {
            Err(error) if was_well => tracing::error!(
                %error,
                file = %self.file.path().display(),
                "cannot keep the salts of cookieless visitors; a restart makes new ones"
            ),
            Ok(()) if !was_well => tracing::info!("the salts of cookieless visitors are kept again"),
            _ => {}
        }
    }
}

/// A line each: the day, and the salt in hexadecimal.
fn encode(salts: &[(i32, Salt)]) -> Zeroizing<Vec<u8>> {
    const LINE_BYTES_MAX: usize = 11 + 1 + 64 + 1;
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Room for all of it: growing would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(salts.len() * LINE_BYTES_MAX));
    for (day, salt) in salts {
        text.extend(day.to_string().bytes());
        text.push(b' ');
        text.extend(
            salt.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)]),
        );
        text.push(b'\n');
    }
    text
}

fn decode(body: &[u8]) -> Option<Vec<(i32, Salt)>> {
    let line = |line: &str| {
        let (day, digits) = line.split_once(' ')?;
        let mut salt = Salt([0; 32]);
        if digits.len() != 2 * salt.0.len() {
            return None;
        }
        for (at, byte) in salt.0.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some((day.parse().ok()?, salt))
    };
    std::str::from_utf8(body).ok()?.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_survive_their_file() {
        let salts = vec![(20_412, Salt([0xa7; 32])), (-1, Salt([0; 32]))];
        assert_eq!(decode(&encode(&salts)), Some(salts));
        assert_eq!(decode(b""), Some(Vec::new()));
        assert_eq!(decode(b"20412 a7\n"), None);
    }
}
