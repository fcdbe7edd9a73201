//! What only a queue in files can suffer: a torn tail, damage in the middle, a crash between any two steps.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tallymark_protocol::{Context, Place, UnixMs};
use tallymark_queue::{
    BatchLimit, Delivery, ENTRY_VERSION, EmbeddedConfig, EmbeddedQueue, Handle, Queue, QueueError,
    QueuedEnvelope,
};
use uuid::Uuid;

const ALL: BatchLimit = BatchLimit { entries_max: 10_000, events_max: 10_000, bytes_max: usize::MAX >> 12 };

const NOW: UnixMs = UnixMs(1_763_622_010_000);

fn envelope(number: u128) -> QueuedEnvelope {
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(number),
        project_id: 7,
        received_at: UnixMs(1_763_622_005_000),
        received: 0,
        from_browser: false,
        user_agent: Some("a reasonably long user agent, so that there is something to tear".to_owned()),
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: Vec::new(),
        events: Vec::new(),
    }
}

async fn open(dir: &Path) -> EmbeddedQueue {
    let config = EmbeddedConfig { segment_bytes: 1_500, ..EmbeddedConfig::new(dir) };
    EmbeddedQueue::open(config).await.unwrap()
}

async fn append(queue: &EmbeddedQueue, numbers: std::ops::Range<u128>) {
    for number in numbers {
        queue.append(&envelope(number)).await.unwrap();
    }
}

async fn read(queue: &EmbeddedQueue) -> Vec<Delivery> {
    queue.read(ALL, Duration::ZERO).await.unwrap()
}

fn numbers(deliveries: &[Delivery]) -> BTreeSet<u128> {
    deliveries.iter().map(|delivery| delivery.envelope.as_ref().unwrap().envelope_id.as_u128()).collect()
}

fn handles(deliveries: &[Delivery]) -> Vec<Handle> {
    deliveries.iter().map(|delivery| delivery.handle).collect()
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = all.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

/// The directory as a crash at this instant would leave it: what was synced, and nothing more to come.
fn crashed_copy(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for path in files(dir, "") {
        match std::fs::copy(&path, copy.path().join(path.file_name().unwrap())) {
            // A segment whose entries are all acked, or a checkpoint on its way: gone between two looks.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => assert!(copied.is_ok(), "{copied:?}"),
        }
    }
    copy
}

#[tokio::test]
async fn a_torn_tail_is_set_aside_and_everything_before_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..3).await;
    let copy = crashed_copy(dir.path());
    let segment = files(copy.path(), ".segment").pop().unwrap();
    let whole = std::fs::read(&segment).unwrap();
    // The third record, torn at every byte.
    let third = whole.len() / 3 * 2;
    for end in (third + 1..whole.len()).step_by(7) {
        std::fs::write(&segment, &whole[..end]).unwrap();
        let queue = open(copy.path()).await;
        assert_eq!(numbers(&read(&queue).await), (0..2).collect(), "torn at {end}");
        queue.close().await;
        let set_aside = files(copy.path(), ".quarantine");
        assert_eq!(set_aside.len(), 1);
        assert_eq!(std::fs::read(&set_aside[0]).unwrap(), &whole[third..end], "not a byte is dropped");
        std::fs::remove_file(&set_aside[0]).unwrap();
    }
}

#[tokio::test]
async fn appending_goes_on_after_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..3).await;
    queue.close().await;
    let segment = files(dir.path(), ".segment").pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend_from_slice(&[0; 5_000]);
    std::fs::write(&segment, bytes).unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 3..6).await;
    queue.close().await;
    assert_eq!(numbers(&read(&open(dir.path()).await).await), (0..6).collect());
}

#[tokio::test]
async fn damage_in_the_middle_costs_one_entry_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..4).await;
    queue.close().await;
    let segment = files(dir.path(), ".segment").pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let second = bytes.len() / 4;
    bytes[second + 40] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    for _ in 0..2 {
        let queue = open(dir.path()).await;
        assert_eq!(numbers(&read(&queue).await), BTreeSet::from([0, 2, 3]));
        queue.close().await;
        assert_eq!(files(dir.path(), ".quarantine").len(), 1, "kept once, not at every start");
    }
}

#[tokio::test]
async fn damage_while_running_is_delivered_as_undecodable_with_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..2).await;
    let segment = files(dir.path(), ".segment").pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[40] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    let deliveries = read(&queue).await;
    let damaged = deliveries[0].envelope.as_ref().unwrap_err();
    assert!(damaged.error.contains("checksum"), "{}", damaged.error);
    assert_eq!(deliveries[1].envelope.as_ref().unwrap().envelope_id, Uuid::from_u128(1));
    queue.dead_letter(deliveries[0].handle, &damaged.error, NOW).await.unwrap();
    assert_eq!(queue.dead_letters(None, 1).await.unwrap()[0].bytes, damaged.bytes);
}

#[tokio::test]
async fn after_a_crash_at_any_step_nothing_acknowledged_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    let (mut appended, mut acked) = (0..0, BTreeSet::new());
    for step in 0..12 {
        append(&queue, appended.end..appended.end + 5).await;
        appended.end += 5;
        if step % 3 == 2 {
            let deliveries = read(&queue).await;
            let done = &deliveries[..deliveries.len() / 2];
            queue.ack(&handles(done)).await.unwrap();
            acked.extend(numbers(done));
        }
        let copy = crashed_copy(dir.path());
        let again = numbers(&read(&open(copy.path()).await).await);
        let missing: Vec<u128> =
            appended.clone().filter(|n| !again.contains(n) && !acked.contains(n)).collect();
        assert_eq!(missing, [0; 0], "after step {step}");
    }
}

/// Else an entry that ends the process again and again would take the one before it along.
#[tokio::test]
async fn what_was_acked_before_a_try_alone_is_acked_after_a_kill_in_that_try() {
    let (dir, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let queue = open(dir.path()).await;
    append(&queue, 0..4).await;
    let deliveries = read(&queue).await;
    for delivery in &deliveries {
        assert_eq!(queue.begin_alone(delivery.handle).await.unwrap(), 1);
        // What a kill at this moment would leave behind.
        for file in std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
            std::fs::copy(&file, left.path().join(file.file_name().unwrap())).unwrap();
        }
        queue.ack(&[delivery.handle]).await.unwrap();
    }
    assert_eq!(numbers(&read(&open(left.path()).await).await), BTreeSet::from([3]));
}

#[tokio::test]
async fn segments_whose_entries_are_acked_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..40).await;
    assert!(files(dir.path(), ".segment").len() > 3);
    queue.ack(&handles(&read(&queue).await)).await.unwrap();
    queue.close().await;
    assert_eq!(files(dir.path(), ".segment").len(), 1, "all but the one being written");
    let queue = open(dir.path()).await;
    assert!(read(&queue).await.is_empty());
    append(&queue, 40..41).await;
    queue.close().await;
    assert_eq!(files(dir.path(), ".segment").len(), 1, "the old one went at opening");
    assert_eq!(numbers(&read(&open(dir.path()).await).await), BTreeSet::from([40]));
}

#[tokio::test]
async fn a_dead_letter_is_not_replaced_by_a_later_entry_that_stood_in_the_same_place() {
    for checkpoint_is_lost in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..3 {
            let queue = open(dir.path()).await;
            append(&queue, number..number + 1).await;
            let handle = read(&queue).await[0].handle;
            queue.dead_letter(handle, "no good", NOW).await.unwrap();
            queue.close().await;
            open(dir.path()).await.close().await; // nothing comes in: no segment is left
            if checkpoint_is_lost {
                std::fs::remove_file(dir.path().join("acks.checkpoint")).unwrap();
            }
        }
        let kept = open(dir.path()).await.dead_letters(None, 10).await.unwrap();
        assert_eq!(kept.len(), 3, "checkpoint lost: {checkpoint_is_lost}");
    }
}

#[tokio::test]
async fn what_waits_in_another_directory_is_taken_over_and_what_does_not_fit_stays_there() {
    let (dir, left_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let left = open(left_dir.path()).await;
    append(&left, 0..1_500).await;
    left.ack(&handles(&read(&left).await)[..100]).await.unwrap();
    left.close().await;
    let small = EmbeddedConfig { backlog_bytes_max: 2_000, ..EmbeddedConfig::new(dir.path().join("small")) };
    let small = EmbeddedQueue::open(small).await.unwrap();
    assert!(matches!(small.take_over(left_dir.path()).await, Err(QueueError::Full { .. })));

    let queue = open(dir.path()).await;
    assert_eq!(queue.take_over(left_dir.path()).await.unwrap(), 1_400);
    assert_eq!(numbers(&read(&queue).await), (100..1_500).collect());
    assert_eq!(queue.take_over(left_dir.path()).await.unwrap(), 0, "nothing is left there");
    assert_eq!(queue.take_over(&dir.path().join("nowhere")).await.unwrap(), 0);
    assert!(!dir.path().join("nowhere").exists());
}

#[tokio::test]
async fn a_lost_checkpoint_means_redelivery_and_never_loss() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..4).await;
    queue.ack(&handles(&read(&queue).await)[..2]).await.unwrap();
    queue.close().await;
    std::fs::remove_file(dir.path().join("acks.checkpoint")).unwrap();
    assert_eq!(numbers(&read(&open(dir.path()).await).await), (0..4).collect());
}

#[tokio::test]
async fn a_dead_letter_file_with_a_torn_tail_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..2).await;
    let deliveries = read(&queue).await;
    queue.dead_letter(deliveries[0].handle, "first", NOW).await.unwrap();
    queue.close().await;
    let path = dir.path().join("dead-letters.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"TMQ1 and then the power went");
    std::fs::write(&path, bytes).unwrap();
    let queue = open(dir.path()).await;
    queue.dead_letter(read(&queue).await[0].handle, "second", NOW).await.unwrap();
    let reasons: Vec<String> =
        queue.dead_letters(None, 10).await.unwrap().into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, ["first", "second"]);
    assert_eq!(queue.backlog().await.unwrap().dead_letters, 2);
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_keeps_nobody_waiting_and_is_read_later() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..20).await;
    let segments = files(dir.path(), ".segment");
    assert!(segments.len() > 3);
    // A directory in its place cannot be read as a file, whoever asks.
    let (hidden, place) = (dir.path().join("hidden"), &segments[1]);
    std::fs::rename(place, &hidden).unwrap();
    std::fs::create_dir(place).unwrap();
    let seen = numbers(&read(&queue).await);
    assert!(seen.len() > 10 && seen.len() < 20, "{seen:?}");
    assert_eq!(queue.backlog().await.unwrap().entries, 20, "nothing is given up");
    let still_hidden = queue.reclaim(ALL, Duration::ZERO).await.unwrap();
    assert_eq!(numbers(&still_hidden), seen);

    std::fs::remove_dir(place).unwrap();
    std::fs::rename(&hidden, place).unwrap();
    let all = queue.reclaim(ALL, Duration::ZERO).await.unwrap();
    assert_eq!(numbers(&all), (0..20).collect());
    let tries: BTreeSet<u32> =
        all.iter().filter(|entry| !seen.contains(&number(entry))).map(|entry| entry.tries).collect();
    assert_eq!(tries, BTreeSet::from([1]), "what was never delivered was never tried");
}

fn number(delivery: &Delivery) -> u128 {
    delivery.envelope.as_ref().unwrap().envelope_id.as_u128()
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_at_opening_is_read_later_with_its_acks() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..20).await;
    queue.ack(&handles(&read(&queue).await)[..2]).await.unwrap();
    queue.close().await;
    let place = files(dir.path(), ".segment")[0].clone();
    let hidden = dir.path().join("hidden");
    std::fs::rename(&place, &hidden).unwrap();
    std::fs::create_dir(&place).unwrap();
    for start in [20, 21] {
        let queue = open(dir.path()).await;
        let seen = numbers(&read(&queue).await);
        assert!(seen.len() > 10 && seen.is_subset(&(3..21).collect()), "{seen:?}");
        append(&queue, start..start + 1).await;
        queue.close().await; // writes down the acks that it could not look at
    }
    let queue = open(dir.path()).await;
    let seen = numbers(&read(&queue).await);
    std::fs::remove_dir(&place).unwrap();
    std::fs::rename(&hidden, &place).unwrap();
    assert!(queue.reclaim(ALL, Duration::from_secs(3600)).await.unwrap().is_empty());
    let found = numbers(&read(&queue).await);
    assert!(!found.is_empty() && found.is_disjoint(&seen), "{found:?}");
    assert_eq!(&found | &seen, (2..22).collect(), "without a restart, and without what was acked");
}

#[tokio::test]
async fn deliveries_are_counted_over_deaths_of_the_process_and_forgotten_when_it_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..3).await;
    let mut copy = crashed_copy(dir.path());
    for deaths in 0..4 {
        let queue = open(copy.path()).await;
        let deliveries = read(&queue).await;
        assert!(deliveries.iter().all(|delivery| delivery.tries == deaths + 1), "{deliveries:?}");
        copy = crashed_copy(copy.path());
    }
    let queue = open(copy.path()).await;
    assert_eq!(queue.begin_alone(read(&queue).await[0].handle).await.unwrap(), 1);
    queue.close().await;
    let queue = open(copy.path()).await;
    let deliveries = read(&queue).await;
    assert_eq!(deliveries.iter().map(|delivery| delivery.tries).collect::<Vec<_>>(), [6, 1, 1]);
    let copy = crashed_copy(copy.path());
    let queue = open(copy.path()).await;
    assert_eq!(queue.begin_alone(read(&queue).await[0].handle).await.unwrap(), 2);
}

#[tokio::test]
async fn dead_letters_that_were_put_back_do_not_stay_in_the_file_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    let large = QueuedEnvelope { user_agent: Some("a".repeat(200_000)), ..envelope(1) };
    queue.append(&large).await.unwrap();
    append(&queue, 2..3).await;
    for round in 0..20 {
        for delivery in read(&queue).await {
            queue.dead_letter(delivery.handle, "no good", NOW).await.unwrap();
        }
        let letters = queue.dead_letters(None, 10).await.unwrap();
        assert_eq!(letters.len(), 2, "round {round}");
        let large = letters.iter().find(|letter| letter.envelope_id == Some(Uuid::from_u128(1))).unwrap();
        let small = letters.iter().find(|letter| letter.id != large.id).unwrap();
        assert_eq!(small.envelope().unwrap().envelope_id, Uuid::from_u128(2));
        queue.replay(&[large.id]).await.unwrap();
        let len = std::fs::metadata(dir.path().join("dead-letters.log")).unwrap().len();
        assert!(len < 1_500_000, "{len} bytes after round {round}");
    }
    queue.close().await;
    let queue = open(dir.path()).await;
    assert_eq!(queue.dead_letters(None, 10).await.unwrap().len(), 1);
    assert_eq!(numbers(&read(&queue).await), BTreeSet::from([1]));
}

/// The same entry is set aside again when the ack of its first time was lost with the process.
#[tokio::test]
async fn an_entry_that_is_set_aside_twice_is_one_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..1).await;
    queue.dead_letter(read(&queue).await[0].handle, "first", NOW).await.unwrap();
    let copy = crashed_copy(dir.path());
    let _ = std::fs::remove_file(copy.path().join("acks.checkpoint"));
    let queue = open(copy.path()).await;
    queue.dead_letter(read(&queue).await[0].handle, "second", NOW).await.unwrap();
    let letters = queue.dead_letters(None, 10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.reason.as_str()).collect::<Vec<_>>(), ["second"]);
    assert_eq!(queue.backlog().await.unwrap().dead_letters, 1);
}

#[tokio::test]
async fn a_dead_letter_of_the_first_version_is_shown_and_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path()).await;
    append(&queue, 0..1).await;
    queue.dead_letter(read(&queue).await[0].handle, "no good", NOW).await.unwrap();
    queue.close().await;
    // As the first version wrote it: a line without a time.
    let path = dir.path().join("dead-letters.log");
    let record = std::fs::read(&path).unwrap();
    let entry = record[record.iter().position(|&byte| byte == b'\n').unwrap() + 1..].to_vec();
    let payload = [br#"{"id":"0:1-0","reason":"no good"}"#, &b"\n"[..], &entry].concat();
    let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let label = [0; 12];
    let crc = [&len[..], &label, &payload].iter().fold(crc32fast::Hasher::new(), |mut crc, part| {
        crc.update(part);
        crc
    });
    let header = [b"TMQ1", &len, &crc.finalize().to_le_bytes(), &label[..]].concat();
    std::fs::write(&path, [header, payload].concat()).unwrap();

    let queue = open(dir.path()).await;
    let letters = queue.dead_letters(None, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].at, letters[0].project_id), (1, None, Some(7)));
    assert_eq!(queue.replay(&[letters[0].id]).await.unwrap(), 1);
    assert_eq!(numbers(&read(&queue).await), BTreeSet::from([0]));
}
