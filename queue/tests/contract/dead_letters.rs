//! The promises about entries that cannot be processed.

use std::collections::BTreeSet;
use std::sync::Arc;

use tallymark_protocol::UnixMs;
use tallymark_queue::{BatchLimit, DeadLetterId, Delivery, EncodedEnvelope, Queue, QueueError};
use uuid::Uuid;

use crate::backend::Backend;
use crate::promises::{ALL, append, envelope, handles, numbers, read, set, take_all};

const NOW: UnixMs = UnixMs(1_763_622_010_000);

/// Appends and sets all of them aside.
async fn bury(queue: &Arc<dyn Queue>, range: std::ops::Range<u128>) {
    append(queue, range).await;
    for delivery in read(queue).await {
        queue.dead_letter(delivery.handle, "no good", NOW).await.unwrap();
    }
}

async fn one(queue: &Arc<dyn Queue>) -> Delivery {
    let limit = BatchLimit { entries_max: 1, ..ALL };
    let mut deliveries = queue.reclaim(limit, std::time::Duration::ZERO).await.unwrap();
    deliveries.extend(queue.read(limit, std::time::Duration::ZERO).await.unwrap());
    assert_eq!(deliveries.len(), 1);
    deliveries.remove(0)
}

pub(crate) async fn a_dead_letter_keeps_the_entry_and_frees_the_queue(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..2).await;
    let sent = EncodedEnvelope::encode(&envelope(0, 1)).unwrap();
    let deliveries = read(&queue).await;
    let bad = deliveries.iter().find(|d| d.envelope.as_ref().unwrap().envelope_id.is_nil()).unwrap();
    queue.dead_letter(bad.handle, "the store refuses it: \"numeric\nfield\"", NOW).await.unwrap();
    queue.dead_letter(bad.handle, "once more", NOW).await.unwrap();
    let backlog = queue.backlog().await.unwrap();
    assert_eq!((backlog.entries, backlog.dead_letters, backlog.pending), (1, 1, 1));

    let queue = backend.reopen(queue).await;
    assert_eq!(numbers(&take_all(&queue).await), set(1..2), "the dead one does not come again");
    assert_eq!(queue.backlog().await.unwrap().dead_letters, 1);
    let letters = queue.dead_letters(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].project_id, letters[0].received), (Some(7), Some(1)));
    assert_eq!((letters[0].envelope_id, letters[0].at), (Some(Uuid::nil()), Some(NOW)));
    assert_eq!(letters[0].reason, "the store refuses it: \"numeric\nfield\"");
    assert_eq!(&letters[0].bytes, sent.json());
}

/// Every page, from the first to the one that is empty.
async fn all_ids(queue: &Arc<dyn Queue>, limit: usize) -> Vec<DeadLetterId> {
    let mut ids: Vec<DeadLetterId> = Vec::new();
    loop {
        let page = queue.dead_letters(ids.last().copied(), limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return ids;
        }
        ids.extend(page.iter().map(|letter| letter.id));
    }
}

pub(crate) async fn dead_letters_come_in_pages(backend: Backend) {
    let queue = backend.open().await;
    bury(&queue, 0..10).await;
    let queue = backend.reopen(queue).await;
    let ids = all_ids(&queue, 3).await;
    assert_eq!(ids.len(), 10);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 10);
    for id in ids {
        let found = queue.find_dead_letter(id.to_string().parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((found.id, found.received), (id, Some(1)));
        assert_eq!(found.envelope().unwrap().envelope_id, found.envelope_id.unwrap());
    }
    let nothing: DeadLetterId = "0:1-99999".parse().unwrap();
    assert!(queue.find_dead_letter(nothing).await.unwrap().is_none());
}

pub(crate) async fn a_replayed_dead_letter_is_an_entry_again_and_counts_as_new(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..3).await;
    for delivery in read(&queue).await {
        queue.begin_alone(delivery.handle).await.unwrap();
        queue.dead_letter(delivery.handle, "no good", NOW).await.unwrap();
    }
    let ids = all_ids(&queue, 10).await;
    let nothing: DeadLetterId = "0:1-99999".parse().unwrap();
    assert_eq!(queue.replay(&[ids[0], nothing, ids[1]]).await.unwrap(), 2);
    assert_eq!(queue.replay(&[ids[0], ids[1]]).await.unwrap(), 0, "they are there no more");
    let backlog = queue.backlog().await.unwrap();
    assert_eq!((backlog.entries, backlog.dead_letters), (2, 1));

    let queue = backend.reopen(queue).await;
    assert_eq!(all_ids(&queue, 10).await, [ids[2]]);
    let again = read(&queue).await;
    assert_eq!(again.len(), 2);
    for delivery in &again {
        let got = delivery.envelope.as_ref().unwrap();
        let sent = envelope(got.envelope_id.as_u128(), 1);
        assert_eq!(serde_json::to_string(got).unwrap(), serde_json::to_string(&sent).unwrap());
        assert_eq!(delivery.tries, 1);
        assert_eq!(queue.begin_alone(delivery.handle).await.unwrap(), 1, "no try is counted any more");
    }
    queue.ack(&handles(&again)).await.unwrap();
    assert_eq!(queue.backlog().await.unwrap().bytes, 0);
}

pub(crate) async fn dead_letters_have_a_bound_and_beyond_it_entries_stay_pending(backend: Backend) {
    // Room for one in each of three partitions, or for a few more in one, with what stands beside the entry.
    let bytes_max = 3 * (EncodedEnvelope::encode(&envelope(10, 1)).unwrap().json().len() as u64 + 150);
    let queue = backend.open_with(1 << 20, bytes_max).await;
    append(&queue, 10..20).await;
    let mut refused = 0;
    for delivery in read(&queue).await {
        match queue.dead_letter(delivery.handle, "no good", NOW).await {
            Err(QueueError::Full { .. }) => refused += 1,
            set_aside => set_aside.unwrap(),
        }
    }
    let backlog = queue.backlog().await.unwrap();
    assert!((5..10).contains(&refused), "{refused} of 10");
    assert_eq!((backlog.entries, backlog.pending, backlog.dead_letters), (refused, refused, 10 - refused));

    let queue = backend.reopen_with(queue, 1 << 20, bytes_max).await;
    let left = take_all(&queue).await;
    assert_eq!(left.len() as u64, refused, "nothing is thrown away");
    assert!(
        queue.dead_letter(left[0].handle, "no good", NOW).await.is_err(),
        "the bound outlives the process"
    );
    queue.replay(&all_ids(&queue, 10).await).await.unwrap();
    queue.dead_letter(left[0].handle, "no good", NOW).await.unwrap();
}

pub(crate) async fn a_full_queue_takes_no_dead_letters_back(backend: Backend) {
    let bytes = EncodedEnvelope::encode(&envelope(10, 1)).unwrap().json().len() as u64;
    let queue = backend.open_bounded(bytes * 3).await;
    bury(&queue, 10..13).await;
    append(&queue, 13..15).await;
    let ids = all_ids(&queue, 10).await;
    assert_eq!(queue.replay(&ids).await.unwrap(), 1, "as many as fit");
    assert!(matches!(queue.replay(&ids).await, Err(QueueError::Full { .. })));
    let backlog = queue.backlog().await.unwrap();
    assert_eq!((backlog.entries, backlog.dead_letters), (3, 2));
}

pub(crate) async fn a_try_alone_is_written_down_until_the_ack(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..1).await;
    let delivery = one(&queue).await;
    assert_eq!(queue.begin_alone(delivery.handle).await.unwrap(), 1);
    assert_eq!(queue.begin_alone(delivery.handle).await.unwrap(), 2);
    queue.withdraw_alone(delivery.handle).await.unwrap();

    let queue = backend.reopen(queue).await;
    let delivery = one(&queue).await;
    assert_eq!(queue.begin_alone(delivery.handle).await.unwrap(), 2, "it outlives the process");
    queue.withdraw_alone(delivery.handle).await.unwrap();
    queue.withdraw_alone(delivery.handle).await.unwrap();
    queue.withdraw_alone(delivery.handle).await.unwrap();
    assert_eq!(queue.begin_alone(delivery.handle).await.unwrap(), 1, "there are no fewer than none");
    queue.ack(&[delivery.handle]).await.unwrap();
    assert_eq!(queue.begin_alone(delivery.handle).await.unwrap(), 0, "what is acked is not tried");
    queue.withdraw_alone(delivery.handle).await.unwrap();
}

pub(crate) async fn tries_of_dead_letters_are_forgotten(backend: Backend) {
    let queue = backend.open().await;
    append(&queue, 0..1).await;
    let delivery = one(&queue).await;
    queue.begin_alone(delivery.handle).await.unwrap();
    queue.dead_letter(delivery.handle, "no good", NOW).await.unwrap();
    assert_eq!(queue.begin_alone(delivery.handle).await.unwrap(), 0);
    queue.replay(&all_ids(&queue, 1).await).await.unwrap();
    let again = one(&queue).await;
    assert_eq!(numbers(std::slice::from_ref(&again)), set(0..1));
    assert_eq!(queue.begin_alone(again.handle).await.unwrap(), 1);
}
