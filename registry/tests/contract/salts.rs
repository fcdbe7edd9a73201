//! The salts of a process alone, and their file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tallymark_protocol::{DAY_MS, HOUR_MS, UnixMs};
use tallymark_registry::{LocalSalts, Salt, Salts};
use tempfile::TempDir;

use crate::place::{StandingClock, until};

const DAY: i32 = 20_412;

fn hours_into(day: i32, hours: i64) -> UnixMs {
    UnixMs(i64::from(day) * DAY_MS + hours * HOUR_MS)
}

/// A data directory, and what time it is.
struct Kept {
    directory: TempDir,
    clock: StandingClock,
}

impl Kept {
    fn new() -> Self {
        let clock = StandingClock::at(hours_into(DAY, 12));
        Self { directory: tempfile::tempdir().unwrap(), clock }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("salts")
    }

    fn open(&self) -> LocalSalts {
        LocalSalts::open(self.path(), self.clock.asked())
    }

    /// Whether any file holds `salt`, in bytes or in digits.
    fn holds(&self, salt: &Salt) -> bool {
        let digits: String = salt.0.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::read_dir(self.directory.path()).unwrap().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            has(digits.as_bytes()) || has(&salt.0)
        })
    }
}

#[tokio::test]
async fn today_and_tomorrow_have_salts_and_other_days_none() {
    let kept = Kept::new();
    let salts = kept.open();
    let (today, tomorrow) = (salts.salt(DAY).unwrap(), salts.salt(DAY + 1).unwrap());
    assert_ne!(today, tomorrow);
    assert_eq!(salts.salt(DAY - 1), None);
    assert_eq!(salts.salt(DAY + 2), None);
    assert!(kept.holds(&today) && kept.holds(&tomorrow));
    assert_eq!(fs::metadata(kept.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_restart_keeps_salts_and_another_directory_has_others() {
    let kept = Kept::new();
    let before = kept.open();
    let after = kept.open();
    assert!((DAY..=DAY + 1).all(|day| before.salt(day).is_some() && before.salt(day) == after.salt(day)));
    assert_ne!(Kept::new().open().salt(DAY), before.salt(DAY));
}

#[tokio::test]
async fn a_salt_outlives_midnight_by_two_hours_and_is_gone_then_from_memory_and_file() {
    let kept = Kept::new();
    let salts = kept.open();
    let (first, second) = (salts.salt(DAY).unwrap(), salts.salt(DAY + 1).unwrap());
    kept.clock.set(hours_into(DAY + 1, 0));
    assert_eq!(salts.salt(DAY + 1), Some(second.clone()), "made the day before");
    until("the salt of the next day is made", async || salts.salt(DAY + 2).is_some()).await;
    kept.clock.set(UnixMs(hours_into(DAY + 1, 2).0 - 1));
    assert_eq!(salts.salt(DAY), Some(first.clone()));
    kept.clock.set(hours_into(DAY + 1, 2));
    assert_eq!(salts.salt(DAY), None, "at once, whatever the task does");
    until("the file forgets", async || !kept.holds(&first)).await;
    assert_eq!(salts.salt(DAY + 1), Some(second.clone()));
    assert!(kept.holds(&second));
    salts.close().await;
}

#[tokio::test]
async fn a_process_that_slept_over_it_destroys_old_salts_at_its_start() {
    let kept = Kept::new();
    let salts = kept.open();
    let old = [salts.salt(DAY).unwrap(), salts.salt(DAY + 1).unwrap()];
    salts.close().await;
    kept.clock.set(hours_into(DAY + 30, 12));
    let salts = kept.open();
    assert!(salts.salt(DAY + 30).is_some() && salts.salt(DAY).is_none());
    assert!(!old.iter().any(|salt| kept.holds(salt)));
}

#[tokio::test]
async fn a_torn_or_foreign_file_is_replaced_by_new_salts() {
    let kept = Kept::new();
    let first = kept.open().salt(DAY).unwrap();
    let whole = fs::read(kept.path()).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"\x00\xff nothing of ours"] {
        fs::write(kept.path(), damaged).unwrap();
        let salts = kept.open();
        let anew = salts.salt(DAY).unwrap();
        assert_ne!(anew, first);
        assert_eq!(kept.open().salt(DAY), Some(anew), "and kept from then on");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_leaves_salts_in_memory() {
    let kept = Kept::new();
    let path = kept.directory.path().join("missing").join("salts");
    let salts = LocalSalts::open(path.clone(), kept.clock.asked());
    let salt = salts.salt(DAY);
    assert!(salt.is_some());
    fs::create_dir(path.parent().unwrap()).unwrap();
    until("it is written when it can be", async || path.exists()).await;
    assert_eq!(LocalSalts::open(path, kept.clock.asked()).salt(DAY), salt);
}
