//! A disk that runs full, or fails to sync, under the writer.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tallymark_protocol::{Context, Place, UnixMs};
use uuid::Uuid;

use super::disk::{self, LogFile, OpenLog};
use super::{EmbeddedConfig, EmbeddedQueue};
use crate::{BatchLimit, ENTRY_VERSION, Queue as _, QueueError, QueuedEnvelope};

/// What the disk does wrong at the moment.
#[derive(Default)]
struct Disk {
    /// Bytes that still fit.
    room: AtomicU64,
    sync_fails: AtomicBool,
}

/// A file that keeps what fits and refuses the rest, as a real one does.
struct Log {
    file: File,
    disk: Arc<Disk>,
}

impl LogFile for Log {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.disk.room.load(Ordering::Relaxed);
        let fits = bytes.len().min(usize::try_from(room).unwrap());
        LogFile::append(&mut self.file, &bytes[..fits])?;
        self.disk.room.fetch_sub(fits as u64, Ordering::Relaxed);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.disk.sync_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk says no"));
        }
        LogFile::sync(&mut self.file)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        LogFile::cut(&mut self.file, len)
    }
}

fn open_on(disk: &Arc<Disk>, dir: &Path) -> EmbeddedQueue {
    let disk = Arc::clone(disk);
    let open_log: OpenLog = Box::new(move |path| {
        disk::open_log(path)?; // makes the file
        let file = File::options().append(true).open(path)?;
        Ok(Box::new(Log { file, disk: Arc::clone(&disk) }))
    });
    EmbeddedQueue::open_with(EmbeddedConfig::new(dir), open_log).unwrap()
}

fn envelope(number: u128) -> QueuedEnvelope {
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(number),
        project_id: 7,
        received_at: UnixMs(0),
        received: 0,
        from_browser: false,
        user_agent: None,
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: Vec::new(),
        events: Vec::new(),
    }
}

async fn numbers(queue: &EmbeddedQueue) -> Vec<u128> {
    let deliveries = queue.read(BatchLimit::default(), Duration::ZERO).await.unwrap();
    deliveries.into_iter().map(|delivery| delivery.envelope.unwrap().envelope_id.as_u128()).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_and_leaves_nothing_broken_behind() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk { room: AtomicU64::new(700), ..Disk::default() });
    let queue = open_on(&disk, dir.path());
    let mut taken = Vec::new();
    for number in 0..10 {
        match queue.append(&envelope(number)).await {
            Ok(()) => taken.push(number),
            Err(QueueError::Full { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!((2..8).contains(&taken.len()), "{taken:?}");
    assert_eq!(queue.backlog().await.unwrap().entries, taken.len() as u64);

    disk.room.store(1 << 20, Ordering::Relaxed);
    queue.append(&envelope(100)).await.unwrap();
    taken.push(100);
    assert_eq!(numbers(&queue).await, taken, "what was read was answered, and the other way round");
    queue.close().await;

    let queue = open_on(&disk, dir.path());
    assert_eq!(numbers(&queue).await, taken);
    let mut files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
    assert!(files.all(|path| path.extension().unwrap() != "quarantine"), "no half-written record stayed");
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_behind_what_may_be_lost() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk { room: AtomicU64::new(1 << 20), ..Disk::default() });
    let queue = open_on(&disk, dir.path());
    queue.append(&envelope(1)).await.unwrap();
    disk.sync_fails.store(true, Ordering::Relaxed);
    assert!(matches!(queue.append(&envelope(2)).await, Err(QueueError::Unavailable { .. })));
    disk.sync_fails.store(false, Ordering::Relaxed);
    queue.append(&envelope(3)).await.unwrap();
    assert_eq!(numbers(&queue).await, [1, 3]);
    assert_eq!(disk::segment_numbers(dir.path()).unwrap(), [1, 2], "3 is in a segment of its own");
    queue.close().await;
    assert_eq!(numbers(&open_on(&disk, dir.path())).await, [1, 3]);
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_refuses_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    let queue = open_on(&disk, dir.path());
    for number in 0..5 {
        assert!(matches!(queue.append(&envelope(number)).await, Err(QueueError::Full { .. })));
    }
    assert_eq!(disk::segment_numbers(dir.path()).unwrap().len(), 1, "no file is made for each refusal");
    assert!(queue.backlog().await.unwrap().oldest_received_at.is_none());
}
