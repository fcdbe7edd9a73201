//! The files of the queue's directory: their names, and the few things done to them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file that only grows, and can be cut back to what was good.
pub(super) trait LogFile: Send {
    /// Writes all of `bytes` at the end; after an error any part of them may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once everything appended is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl LogFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// How files are opened for appending; tests put a disk that runs full in its place.
pub(super) type OpenLog = Box<dyn Fn(&Path) -> io::Result<Box<dyn LogFile>> + Send>;

/// Opens `path` for appending and makes its name durable.
pub(super) fn open_log(path: &Path) -> io::Result<Box<dyn LogFile>> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    sync_dir(path.parent().expect("a log is a file within the queue's directory"))?;
    Ok(Box::new(file))
}

/// Makes names within `dir` durable: a synced file under a name that is lost with the power is lost.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The file of a segment.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.segment"))
}

/// The file of dead letters.
pub(super) fn dead_letters_path(dir: &Path) -> PathBuf {
    dir.join("dead-letters.log")
}

/// The numbers of the segments in `dir`, ascending.
pub(super) fn segment_numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = numbers_in(dir, |name| name.strip_suffix(".segment"))?;
    numbers.sort_unstable();
    Ok(numbers)
}

/// The numbers of the segments that stretches were quarantined of.
pub(super) fn quarantined_numbers(dir: &Path) -> io::Result<Vec<u64>> {
    numbers_in(dir, |name| Some(name.strip_suffix(".quarantine")?.split_once('-')?.0))
}

fn numbers_in(dir: &Path, number: impl Fn(&str) -> Option<&str>) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(dir)? {
        let name = file?.file_name();
        numbers.extend(name.to_str().and_then(&number).and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

/// Keeps bytes that are no records where an operator can look at them. The same bytes have the same name,
/// so that a damaged stretch that stays in its file is kept once, not at every start.
pub(super) fn quarantine(dir: &Path, of: &Path, stretch: &Range<u64>) -> io::Result<()> {
    let name = of.file_stem().unwrap_or_default().to_string_lossy();
    let mut file = File::create(dir.join(format!("{name}-{}.quarantine", stretch.start)))?;
    let mut from = File::open(of)?;
    from.seek(SeekFrom::Start(stretch.start))?;
    io::copy(&mut from.take(stretch.end - stretch.start), &mut file)?;
    file.sync_all()?;
    sync_dir(dir)
}
