//! Claiming envelopes and inserting events: everything once.

use std::time::Duration;

use tallymark_processor::Committed;
use tallymark_protocol::DiscardReason;
use tallymark_store::{Batch, StoreError};
use tallymark_tests::databases::TestStore;
use tallymark_tests::{on_both_stores, oracle};

use crate::traffic::{commit, envelope, envelope_at, named, outcomes, pageview, project, refused};

on_both_stores!(
    a_redelivered_envelope_falls_out_whole,
    an_envelope_twice_in_one_batch_counts_once,
    a_repeat_in_another_envelope_is_a_duplicate,
    repeats_within_one_envelope_are_duplicates,
    of_repeats_in_one_batch_the_one_received_first_stays,
    one_event_id_in_two_projects_is_two_events,
    one_envelope_id_in_two_projects_is_two_envelopes,
    one_id_on_two_days_is_two_events,
    events_of_pruned_days_are_too_late,
    refused_events_are_counted_by_reason,
    an_empty_batch_changes_nothing,
    an_envelope_without_events_leaves_its_receipt,
    a_batch_with_an_unknown_project_is_refused_whole,
    a_dropped_transaction_leaves_nothing,
    a_thousand_events_in_each_of_five_envelopes,
);

const AT: &str = "2026-10-27T10:05:00Z";
const LATER: &str = "2026-10-27T10:06:00Z";

async fn a_redelivered_envelope_falls_out_whole(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let sent = || envelope(project, 1, &[pageview(1, AT), pageview(2, LATER)]);
    let first = commit(&test, [sent()]).await?;
    assert_eq!(first, Committed { envelopes: 1, accepted: 2, ..Committed::default() });
    let new = envelope(project, 2, &[pageview(3, LATER)]);
    let second = commit(&test, [sent(), new]).await?;
    assert_eq!(second, Committed { envelopes: 1, accepted: 1, ..Committed::default() });
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 3)]));
    Ok(())
}

async fn an_envelope_twice_in_one_batch_counts_once(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let sent = || envelope(project, 1, &[pageview(1, AT)]);
    commit(&test, [sent(), sent()]).await?;
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 1)]));
    Ok(())
}

async fn a_repeat_in_another_envelope_is_a_duplicate(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    commit(&test, [envelope(project, 1, &[pageview(1, AT), pageview(2, AT)])]).await?;
    commit(&test, [envelope(project, 2, &[pageview(2, AT), pageview(3, AT)])]).await?;
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 3), ("duplicate", 1)]));
    Ok(())
}

async fn repeats_within_one_envelope_are_duplicates(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let events = [pageview(1, AT), pageview(2, AT), pageview(1, AT), pageview(1, AT)];
    commit(&test, [envelope(project, 1, &events)]).await?;
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 2), ("duplicate", 2)]));
    Ok(())
}

async fn of_repeats_in_one_batch_the_one_received_first_stays(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let late = envelope_at(project, 1, "2026-10-27T12:00:00Z", &[pageview(1, AT)]);
    let early = envelope_at(project, 2, "2026-10-27T11:00:00Z", &[pageview(1, AT)]);
    let received_at = early.received_at;
    commit(&test, [late, early]).await?;
    let rows = oracle::raw_rows(&test, project).await?;
    assert_eq!(rows.events[0].received_at, received_at);
    Ok(())
}

async fn one_event_id_in_two_projects_is_two_events(test: TestStore) -> anyhow::Result<()> {
    let (here, there) = (project(&test, "UTC").await, project(&test, "Europe/Berlin").await);
    let envelopes =
        [envelope(here, 1, &[pageview(1, AT)]), envelope(there, 2, &[pageview(1, AT), pageview(2, AT)])];
    commit(&test, envelopes).await?;
    commit(&test, [envelope(here, 3, &[pageview(2, AT)])]).await?;
    assert_eq!(outcomes(&test, here).await?, named(&[("accepted", 2)]));
    assert_eq!(outcomes(&test, there).await?, named(&[("accepted", 2)]));
    Ok(())
}

async fn one_envelope_id_in_two_projects_is_two_envelopes(test: TestStore) -> anyhow::Result<()> {
    let (here, there) = (project(&test, "UTC").await, project(&test, "UTC").await);
    commit(&test, [envelope(here, 1, &[pageview(1, AT)])]).await?;
    let both = [envelope(here, 1, &[pageview(1, AT)]), envelope(there, 1, &[pageview(1, AT)])];
    commit(&test, both).await?;
    assert_eq!(outcomes(&test, here).await?, named(&[("accepted", 1)]));
    assert_eq!(outcomes(&test, there).await?, named(&[("accepted", 1)]));
    Ok(())
}

async fn one_id_on_two_days_is_two_events(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let events = [pageview(1, "2026-10-26T23:59:59.999Z"), pageview(1, "2026-10-27T00:00:00Z")];
    commit(&test, [envelope(project, 1, &events)]).await?;
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 2)]));
    Ok(())
}

async fn events_of_pruned_days_are_too_late(test: TestStore) -> anyhow::Result<()> {
    let (pruned, whole) = (project(&test, "UTC").await, project(&test, "UTC").await);
    let mut sql = test.sql().await?;
    sql.run("update project set horizon = '2026-10-20' where id = (select min(id) from project)").await?;
    let events = [pageview(1, "2026-10-19T23:59:59.999Z"), pageview(2, "2026-10-20T00:00:00Z")];
    commit(&test, [envelope(pruned, 1, &events), envelope(whole, 2, &events)]).await?;
    assert_eq!(outcomes(&test, pruned).await?, named(&[("accepted", 1), ("too_late", 1)]));
    assert_eq!(outcomes(&test, whole).await?, named(&[("accepted", 2)]));
    Ok(())
}

async fn refused_events_are_counted_by_reason(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let mut mixed = envelope(project, 1, &[pageview(1, AT)]);
    mixed.refused = DiscardReason::ALL.to_vec();
    mixed.received = u32::try_from(1 + DiscardReason::ALL.len())?;
    let done = commit(&test, [mixed, refused(project, 2, &[DiscardReason::NameTooLong])]).await?;
    assert_eq!(done.discarded.values().sum::<usize>(), DiscardReason::ALL.len() + 1);
    let mut wanted = named(&[("accepted", 1)]);
    wanted.extend(DiscardReason::ALL.iter().map(|reason| (reason.as_str().to_owned(), 1)));
    wanted.insert("name_too_long".to_owned(), 2);
    assert_eq!(outcomes(&test, project).await?, wanted);
    Ok(())
}

async fn an_empty_batch_changes_nothing(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    assert_eq!(commit(&test, []).await?, Committed::default());
    assert_eq!(test.compact_all().await?.deltas, 0);
    assert_eq!(outcomes(&test, project).await?, named(&[]));
    Ok(())
}

async fn an_envelope_without_events_leaves_its_receipt(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let first = commit(&test, [envelope(project, 1, &[])]).await?;
    let again = commit(&test, [envelope(project, 1, &[])]).await?;
    assert_eq!((first.envelopes, again.envelopes), (1, 0));
    assert_eq!(outcomes(&test, project).await?, named(&[]));
    Ok(())
}

async fn a_batch_with_an_unknown_project_is_refused_whole(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let known = || envelope(project, 1, &[pageview(1, AT)]);
    let batch = Batch { envelopes: vec![known(), envelope(4_711, 2, &[pageview(2, AT)])] };
    test.ensure_days(known().received_at, &[]).await?;
    let refused = tallymark_processor::commit(&test, &batch).await;
    assert!(matches!(refused, Err(StoreError::UnknownProject(4_711))), "{refused:?}");
    assert_eq!(commit(&test, [known()]).await?.accepted, 1);
    Ok(())
}

async fn a_dropped_transaction_leaves_nothing(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let batch = Batch { envelopes: vec![envelope(project, 1, &[pageview(1, AT)])] };
    test.ensure_days(batch.envelopes[0].received_at, &[]).await?;
    for steps in 0..3 {
        let mut tx = test.begin().await?;
        let claimed = tx.claim_envelopes(&batch).await?;
        if steps > 0 {
            let fresh = tx.insert_new_events(&claimed).await?;
            tx.merge_sessions(&fresh).await?;
        }
        drop(tx);
    }
    // What was begun and dropped must hold nobody up either.
    let done = tokio::time::timeout(Duration::from_secs(5), commit(&test, batch.envelopes)).await??;
    assert_eq!(done.accepted, 1);
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 1)]));
    Ok(())
}

async fn a_thousand_events_in_each_of_five_envelopes(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let envelopes = (0..5).map(|number| {
        // Every envelope repeats 100 events of the one before.
        let ids = number * 900..number * 900 + 1_000;
        let events: Vec<_> = ids.map(|id| pageview(id, AT).of(id % 700 + 1)).collect();
        envelope(project, number, &events)
    });
    let done = commit(&test, envelopes).await?;
    assert_eq!((done.accepted, done.duplicates), (4_600, 400));
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 4_600), ("duplicate", 400)]));
    Ok(())
}
