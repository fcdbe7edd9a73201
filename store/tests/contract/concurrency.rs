//! Several at the same rows.

use std::time::Duration;

use tallymark_store::{Batch, StoreError};
use tallymark_tests::databases::{Sql, TestStore, on_postgres};
use tallymark_tests::{on_both_stores, oracle};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::traffic::{Event, RECEIVED, commit, envelope, ms, named, outcomes, pageview, project};

on_both_stores!(
    the_same_envelope_in_ten_commits_at_once_counts_once,
    ten_commits_into_one_session_all_count,
    several_compactors_at_once_fold_each_delta_once,
    a_long_reader_holds_nobody_up,
);

const AT: &str = "2026-10-27T10:05:00Z";
const PATIENCE: Duration = Duration::from_secs(10);

async fn the_same_envelope_in_ten_commits_at_once_counts_once(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let test = test.clone();
        let events: Vec<Event> = (0..50).map(|id| pageview(id, AT).of(id % 7 + 1)).collect();
        tasks.spawn(async move { commit(&test, [envelope(project, 1, &events)]).await });
    }
    let mut accepted = 0;
    while let Some(done) = timeout(PATIENCE, tasks.join_next()).await? {
        accepted += done??.accepted;
    }
    assert_eq!(accepted, 50);
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 50)]));
    Ok(())
}

async fn ten_commits_into_one_session_all_count(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let mut tasks = JoinSet::new();
    for part in 0..10 {
        let test = test.clone();
        // Each part holds some events of its own and one that all of them hold.
        let own = (1..=5).map(|n| pageview(part * 10 + n, AT).named("signup"));
        let mut events: Vec<Event> = own.chain([pageview(1_000, "2026-10-27T09:05:00Z")]).collect();
        events.rotate_left(part as usize % 6);
        tasks.spawn(async move { commit(&test, [envelope(project, part, &events)]).await });
    }
    while let Some(done) = timeout(PATIENCE, tasks.join_next()).await? {
        done??;
    }
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 51), ("duplicate", 9)]));
    let rows = oracle::raw_rows(&test, project).await?;
    assert_eq!((rows.sessions.len(), rows.sessions[0].events), (1, 51));
    Ok(())
}

async fn several_compactors_at_once_fold_each_delta_once(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    for id in 0..30 {
        commit(&test, [envelope(project, id, &[pageview(id, AT).of(id + 1)])]).await?;
    }
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let test = test.clone();
        tasks.spawn(async move { test.compact(7).await });
    }
    while let Some(done) = timeout(PATIENCE, tasks.join_next()).await? {
        done??;
    }
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 30)]));
    Ok(())
}

async fn a_long_reader_holds_nobody_up(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    commit(&test, [envelope(project, 1, &[pageview(1, AT)])]).await?;
    let mut reader = test.sql().await?;
    match &reader {
        Sql::Postgres(_) => reader.run("begin isolation level repeatable read").await?,
        Sql::Sqlite(_) => reader.run("begin").await?,
    }
    let counted = "select (select count(*) from event) + (select count(*) from rollup_hour)
        + (select count(*) from session) + (select count(*) from rollup_delta)";
    let before = reader.number(counted).await?;
    let meanwhile = async {
        // Days that are not there yet, too.
        test.ensure_days(ms("2026-12-24T00:00:00Z"), &[]).await?;
        for id in 2..6 {
            commit(
                &test,
                [envelope(project, id, &[pageview(id, AT), pageview(id + 50, "2026-12-24T10:00:00Z")])],
            )
            .await?;
            test.compact_all().await?;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, meanwhile).await??;
    assert_eq!(reader.number(counted).await?, before);
    reader.run("commit").await?;
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", 9)]));
    Ok(())
}

#[tokio::test]
async fn who_comes_second_with_an_event_is_asked_to_try_again() {
    on_postgres(async |test| {
        let project = project(&test, "UTC").await;
        test.ensure_days(ms(RECEIVED), &[]).await?;
        let first = Batch { envelopes: vec![envelope(project, 1, &[pageview(1, AT)])] };
        let second = Batch { envelopes: vec![envelope(project, 2, &[pageview(1, AT), pageview(2, AT)])] };
        let mut one = test.begin().await?;
        let claimed = one.claim_envelopes(&first).await?;
        let fresh = one.insert_new_events(&claimed).await?;
        assert_eq!(fresh.events.len(), 1);
        let mut other = test.begin().await?;
        let claimed = other.claim_envelopes(&second).await?;
        let waits = other.insert_new_events(&claimed);
        let commits = async {
            tokio::time::sleep(Duration::from_millis(200)).await; // until the other waits
            one.commit().await
        };
        let (refused, committed) = tokio::join!(waits, commits);
        committed?;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        drop(other);
        assert_eq!(commit(&test, second.envelopes).await?.duplicates, 1);
        Ok(())
    })
    .await;
}
