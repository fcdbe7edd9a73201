//! The promises, each as a function of a backend.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tallymark_protocol::{Context, Event, Place, UnixMs};
use tallymark_queue::{
    Backlog, BatchLimit, Delivery, ENTRY_VERSION, EncodedEnvelope, Handle, Queue, QueueError, QueuedEnvelope,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::backend::Backend;

pub(crate) const NO_WAIT: Duration = Duration::ZERO;
/// Longer than anything here takes: who waits this long was not woken.
const LONG: Duration = Duration::from_secs(20);
pub(crate) const ALL: BatchLimit =
    BatchLimit { entries_max: 10_000, events_max: 10_000, bytes_max: usize::MAX >> 12 };

pub(crate) fn envelope(number: u128, events: usize) -> QueuedEnvelope {
    let event = |n: usize| Event {
        id: Uuid::from_u128(number << 32 | n as u128),
        key_at: UnixMs(1_763_622_000_000),
        name: "signup".to_owned(),
        occurred_at: UnixMs(1_763_622_000_000),
        anonymous_id: None,
        user_id: Some("ü\u{1F600}\"\\\n".to_owned()),
        session_id: None,
        tab_id: None,
        seq: None,
        url: None,
        title: None,
        referrer: None,
        category: None,
        event_source: None,
        props: Some(serde_json::value::RawValue::from_string(r#"{"n":1e3,"text":"a"}"#.to_owned()).unwrap()),
    };
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(number),
        project_id: 7,
        received_at: UnixMs(1_763_622_005_000 + i64::try_from(number).unwrap()),
        received: u32::try_from(events).unwrap(),
        from_browser: true,
        user_agent: None,
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: Vec::new(),
        events: (0..events).map(event).collect(),
    }
}

pub(crate) async fn append(queue: &Arc<dyn Queue>, numbers: std::ops::Range<u128>) {
    for number in numbers {
        queue.append(&envelope(number, 1)).await.unwrap();
    }
}

pub(crate) fn numbers(deliveries: &[Delivery]) -> BTreeSet<u128> {
    deliveries.iter().map(|delivery| delivery.envelope.as_ref().unwrap().envelope_id.as_u128()).collect()
}

pub(crate) fn handles(deliveries: &[Delivery]) -> Vec<Handle> {
    deliveries.iter().map(|delivery| delivery.handle).collect()
}

pub(crate) async fn read(queue: &Arc<dyn Queue>) -> Vec<Delivery> {
    queue.read(ALL, NO_WAIT).await.unwrap()
}

/// Whatever is not acked, by either way in which it comes again.
pub(crate) async fn take_all(queue: &Arc<dyn Queue>) -> Vec<Delivery> {
    let mut deliveries = queue.reclaim(ALL, Duration::ZERO).await.unwrap();
    deliveries.extend(read(queue).await);
    deliveries
}

pub(crate) fn set(range: std::ops::Range<u128>) -> BTreeSet<u128> {
    range.collect()
}

pub(crate) async fn what_was_appended_is_read_and_acked_for_good(backend: Backend) {
    let queue = backend.open().await;
    let sent = envelope(1, 3);
    queue.append(&sent).await.unwrap();
    let deliveries = read(&queue).await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].tries, 1);
    let got = deliveries[0].envelope.as_ref().unwrap();
    assert_eq!(serde_json::to_string(got).unwrap(), serde_json::to_string(&sent).unwrap());
    queue.ack(&handles(&deliveries)).await.unwrap();
    assert!(take_all(&queue).await.is_empty());
    assert_eq!(queue.backlog().await.unwrap(), Backlog::default());
}

pub(crate) async fn an_unacked_entry_comes_again_after_reopening(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..4).await;
    let limit = BatchLimit { entries_max: 2, ..ALL };
    let first = queue.read(limit, NO_WAIT).await.unwrap();
    assert_eq!(first.len(), 2);
    let queue = backend.reopen(queue).await;
    assert_eq!(numbers(&take_all(&queue).await), set(0..4));
}

pub(crate) async fn an_acked_entry_never_comes_again(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..60).await; // several segments
    let deliveries = read(&queue).await;
    let (odd, even): (Vec<_>, Vec<_>) = deliveries
        .iter()
        .partition(|delivery| delivery.envelope.as_ref().unwrap().envelope_id.as_u128() % 2 == 1);
    queue.ack(&odd.iter().map(|delivery| delivery.handle).collect::<Vec<_>>()).await.unwrap();
    let queue = backend.reopen(queue).await;
    let again = take_all(&queue).await;
    assert_eq!(again.len(), even.len());
    assert_eq!(numbers(&again), (0..60).filter(|n| n % 2 == 0).collect());
    queue.ack(&handles(&again)).await.unwrap();
    append(&queue, 100..101).await;
    let queue = backend.reopen(queue).await;
    assert_eq!(numbers(&take_all(&queue).await), set(100..101));
}

pub(crate) async fn acking_twice_counts_once(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..3).await;
    let deliveries = read(&queue).await;
    let first = &handles(&deliveries)[..1];
    queue.ack(first).await.unwrap();
    let before = queue.backlog().await.unwrap();
    queue.ack(first).await.unwrap();
    queue.ack(first).await.unwrap();
    assert_eq!(queue.backlog().await.unwrap(), before);
    assert_eq!(before.entries, 2);
}

pub(crate) async fn an_entry_goes_to_one_reader_at_a_time(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..200).await;
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let queue = backend.other_consumer(&queue).await;
        readers.spawn(async move {
            let mut seen = Vec::new();
            loop {
                let limit = BatchLimit { entries_max: 7, ..ALL };
                let batch = queue.read(limit, NO_WAIT).await.unwrap();
                if batch.is_empty() {
                    return seen;
                }
                seen.extend(batch.iter().map(|d| d.envelope.as_ref().unwrap().envelope_id.as_u128()));
            }
        });
    }
    let mut seen: Vec<u128> = readers.join_all().await.into_iter().flatten().collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

pub(crate) async fn another_consumer_reclaims_what_was_left_with_tries_counted(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..30).await;
    assert_eq!(read(&queue).await.len(), 30);
    let other = backend.other_consumer(&queue).await;
    assert!(read(&other).await.is_empty(), "a delivered entry is nobody else's yet");
    let reclaimed = other.reclaim(ALL, Duration::ZERO).await.unwrap();
    assert_eq!(numbers(&reclaimed), set(0..30));
    assert!(reclaimed.iter().all(|delivery| delivery.tries == 2));
    let again = other.reclaim(BatchLimit { entries_max: 10, ..ALL }, Duration::ZERO).await.unwrap();
    assert_eq!(again.len(), 10);
    assert!(again.iter().all(|delivery| delivery.tries == 3));
    // Its first consumer may still ack it: what counts is that somebody committed it.
    queue.ack(&handles(&reclaimed)).await.unwrap();
    assert!(take_all(&other).await.is_empty());
    assert_eq!(other.backlog().await.unwrap().bytes, 0);
}

pub(crate) async fn what_is_not_idle_is_not_reclaimed(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..3).await;
    assert_eq!(read(&queue).await.len(), 3);
    let other = backend.other_consumer(&queue).await;
    assert!(other.reclaim(ALL, Duration::from_secs(3600)).await.unwrap().is_empty());
}

pub(crate) async fn concurrent_appends_are_all_there(backend: Backend) {
    let queue = backend.open().await;
    let mut appends = JoinSet::new();
    for number in 0..500 {
        let queue = Arc::clone(&queue);
        appends.spawn(async move { queue.append(&envelope(number, 1)).await.unwrap() });
    }
    appends.join_all().await;
    let queue = backend.reopen(queue).await;
    let deliveries = take_all(&queue).await;
    assert_eq!(deliveries.len(), 500);
    assert_eq!(numbers(&deliveries), set(0..500));
}

pub(crate) async fn a_waiting_reader_is_woken(backend: Backend) {
    let queue = backend.open().await;
    let reader = {
        let queue = backend.other_consumer(&queue).await;
        async move { queue.read(ALL, LONG).await.unwrap() }
    };
    let writer = async {
        tokio::task::yield_now().await;
        append(&queue, 0..1).await;
    };
    let started = tokio::time::Instant::now();
    let (deliveries, ()) = tokio::join!(reader, writer);
    assert_eq!(numbers(&deliveries), set(0..1));
    assert!(started.elapsed() < LONG / 2);
}

pub(crate) async fn a_read_without_entries_ends_after_linger(backend: Backend) {
    let queue = backend.open().await;
    let started = tokio::time::Instant::now();
    assert!(queue.read(ALL, Duration::from_millis(50)).await.unwrap().is_empty());
    assert!(started.elapsed() >= Duration::from_millis(45));
    assert!(started.elapsed() < LONG);
}

pub(crate) async fn a_dropped_read_loses_nothing(backend: Backend) {
    let queue = backend.open().await;
    for number in 0..20 {
        let dropped = queue.read(ALL, LONG);
        let _ = tokio::time::timeout(Duration::from_millis(number % 4), dropped).await;
        append(&queue, u128::from(number)..u128::from(number) + 1).await;
    }
    let mut seen = numbers(&take_all(&queue).await);
    seen.extend(numbers(&take_all(&queue).await));
    assert_eq!(seen, set(0..20));
}

pub(crate) async fn a_batch_ends_at_its_bounds(backend: Backend) {
    let queue = backend.open().await;
    for number in 0..100 {
        queue.append(&envelope(number, 10)).await.unwrap();
    }
    let one = queue.read(BatchLimit { entries_max: 1, ..ALL }, NO_WAIT).await.unwrap();
    assert_eq!(one.len(), 1);
    // A backend may overshoot by a step, never by the whole queue.
    let by_events = queue.read(BatchLimit { events_max: 100, ..ALL }, NO_WAIT).await.unwrap();
    assert!((10..=18).contains(&by_events.len()), "{}", by_events.len());
    let bytes = EncodedEnvelope::encode(&envelope(0, 10)).unwrap().json().len();
    let by_bytes = queue.read(BatchLimit { bytes_max: 10 * bytes, ..ALL }, NO_WAIT).await.unwrap();
    assert!((9..=18).contains(&by_bytes.len()), "{}", by_bytes.len());
    let rest = read(&queue).await;
    assert_eq!(one.len() + by_events.len() + by_bytes.len() + rest.len(), 100);
}

pub(crate) async fn a_full_queue_refuses_and_takes_again_after_acks(backend: Backend) {
    let bytes = EncodedEnvelope::encode(&envelope(10, 1)).unwrap().json().len() as u64;
    let queue = backend.open_bounded(bytes * 6).await;
    append(&queue, 10..16).await;
    let refused = queue.append(&envelope(16, 1)).await;
    assert!(matches!(refused, Err(QueueError::Full { .. })), "{refused:?}");
    assert_eq!(queue.backlog().await.unwrap().entries, 6);
    let deliveries = read(&queue).await;
    assert_eq!(numbers(&deliveries), set(10..16), "nothing unacknowledged was trimmed");
    assert!(queue.append(&envelope(16, 1)).await.is_err(), "delivered is not acked");
    queue.ack(&handles(&deliveries)[..1]).await.unwrap();
    append(&queue, 16..17).await;
    assert!(matches!(queue.append(&envelope(17, 1)).await, Err(QueueError::Full { .. })));
}

pub(crate) async fn the_backlog_is_exact(backend: Backend) {
    let queue = backend.open().await;
    let size = |n: &u128| EncodedEnvelope::encode(&envelope(*n, 1)).unwrap().json().len() as u64;
    append(&queue, 0..10).await;
    let total: u64 = (0..10).map(|n| size(&n)).sum();
    let oldest = |n: i64| Some(UnixMs(1_763_622_005_000 + n));
    let want =
        Backlog { entries: 10, bytes: total, pending: 0, dead_letters: 0, oldest_received_at: oldest(0) };
    assert_eq!(queue.backlog().await.unwrap(), want);

    let deliveries = queue.read(BatchLimit { entries_max: 4, ..ALL }, NO_WAIT).await.unwrap();
    assert_eq!(queue.backlog().await.unwrap(), Backlog { pending: 4, ..want });

    queue.ack(&handles(&deliveries)[..3]).await.unwrap();
    let acked = numbers(&deliveries[..3]);
    let bytes = total - acked.iter().map(size).sum::<u64>();
    let first = (0..10).find(|n| !acked.contains(&u128::try_from(*n).unwrap())).unwrap();
    let want = Backlog { entries: 7, bytes, pending: 1, oldest_received_at: oldest(first), ..want };
    assert_eq!(queue.backlog().await.unwrap(), want);

    let queue = backend.reopen(queue).await;
    let again = queue.backlog().await.unwrap();
    assert_eq!(Backlog { pending: 1, ..again }, want, "the counters survive");
    queue.ack(&handles(&take_all(&queue).await)).await.unwrap();
    assert_eq!(queue.backlog().await.unwrap(), Backlog::default());
}

pub(crate) async fn an_entry_of_a_later_version_is_delivered_as_undecodable(backend: Backend) {
    let queue = backend.open().await;
    let later = QueuedEnvelope { v: ENTRY_VERSION + 1, ..envelope(1, 1) };
    let encoded = EncodedEnvelope::encode(&later).unwrap();
    queue.append_encoded(&encoded).await.unwrap();
    append(&queue, 2..3).await;
    let deliveries = read(&queue).await;
    assert_eq!(deliveries.len(), 2, "it does not stand in the others' way");
    let refused = deliveries.iter().find_map(|delivery| delivery.envelope.as_ref().err()).unwrap();
    assert_eq!(&refused.bytes, encoded.json());
    assert!(refused.error.contains("form 2"), "{}", refused.error);
}

pub(crate) async fn a_closed_queue_refuses(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..1).await;
    queue.close().await;
    queue.close().await;
    assert!(matches!(queue.append(&envelope(1, 1)).await, Err(QueueError::Closed)));
    assert!(matches!(queue.read(ALL, LONG).await, Err(QueueError::Closed)));
    let queue = backend.open().await;
    assert_eq!(numbers(&take_all(&queue).await), set(0..1));
}
