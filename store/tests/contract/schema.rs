//! Making the schema, and the days of events.

use std::time::Duration;

use anyhow::Context;
use tallymark_store::{EnvelopeRow, Kind, Store, StoreError};
use tallymark_tests::databases::{TestStore, on_empty_postgres, on_empty_sqlite, on_postgres};
use tallymark_tests::on_both_stores;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::traffic::{RECEIVED, commit, envelope, ms, named, outcomes, pageview, project};

on_both_stores!(
    days_are_made_once_however_many_ask,
    an_event_of_a_day_that_is_not_there_waits_for_it,
    what_is_wrong_with_the_store_gives_no_envelope_up,
    the_first_and_the_last_accepted_day_take_events,
    a_project_in_no_time_zone_is_not_created,
);

async fn days_are_made_once_however_many_ask(test: TestStore) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for asker in 0..16 {
        let test = test.clone();
        tasks.spawn(async move { test.ensure_days(ms(RECEIVED), &[20_000 + asker, 20_000]).await });
    }
    // Fewer seconds than a pool waits: askers must not need each other's connections.
    while let Some(done) = timeout(Duration::from_secs(4), tasks.join_next()).await? {
        done??;
    }
    test.ensure_days(ms(RECEIVED), &[20_000]).await?;
    if test.kind() == Kind::Postgres {
        let partitions = "select count(*) from pg_inherits where inhparent = 'event'::regclass";
        assert_eq!(test.sql().await?.number(partitions).await?, 34 + 16);
    }
    Ok(())
}

/// An envelope is given up for what is wrong with its data alone.
async fn what_is_wrong_with_the_store_gives_no_envelope_up(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let sent = envelope(project, 1, &[pageview(1, "2026-10-27T10:05:00Z")]);
    let batch = tallymark_store::Batch { envelopes: vec![sent.clone()] };
    test.ensure_days(sent.received_at, &[]).await?;
    let mut sql = test.sql().await?;
    sql.run("alter table session rename to session_elsewhere").await?;
    let failed = tallymark_processor::commit(&test, &batch).await.err().context("there is no table")?;
    assert!(!failed.is_final(), "{failed:?}");
    sql.run("alter table session_elsewhere rename to session").await?;
    assert_eq!(commit(&test, [sent]).await?.accepted, 1);
    Ok(())
}

/// Another process brought the schema up to date: this one's statements are prepared, and stay good.
#[tokio::test]
async fn processors_go_on_when_tables_get_columns() {
    on_postgres(async |test| {
        let project = project(&test, "UTC").await;
        let ats =
            ["2026-10-27T09:30:00Z", "2026-10-27T08:59:00Z", "2026-10-27T09:00:00Z", "2026-10-27T08:30:00Z"];
        let sent = |turn: u128, at: &'static str| {
            let visits = [pageview(2 * turn, at).by("ann"), pageview(2 * turn + 1, at).sessionless(7)];
            let numbered =
                u32::try_from(turn).into_iter().map(|seq| (uuid::Uuid::from_u128(1), seq)).collect();
            EnvelopeRow { numbered, ..envelope(project, turn, &visits) }
        };
        for (turn, at) in (1..).zip(ats) {
            commit(&test, [sent(turn, at)]).await?;
        }
        outcomes(&test, project).await?;
        let mut sql = test.sql().await?;
        sql.run("alter table session add column later text").await?;
        sql.run("alter table tab_ledger add column later text").await?;
        sql.run("alter table person_alias add column later text").await?;
        sql.run("alter table visitor_day add column later text").await?;
        sql.run("alter table event add column later text").await?;
        for (turn, at) in (11..).zip(ats.map(|at| at.replace("10-27T", "10-26T"))) {
            commit(&test, [sent(turn, String::leak(at))]).await?;
        }
        let accepted = outcomes(&test, project).await?;
        assert_eq!(accepted, named(&[("accepted", 16)]));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_database_that_only_reads_for_now_gives_no_envelope_up() {
    on_postgres(async |test| {
        let project = project(&test, "UTC").await;
        let sent = envelope(project, 1, &[pageview(1, "2026-10-27T10:05:00Z")]);
        test.ensure_days(sent.received_at, &[]).await?;
        let separator = if test.address.contains('?') { '&' } else { '?' };
        let reading = format!("{}{separator}options=-c%20default_transaction_read_only%3Don", test.address);
        let store = tallymark_store::Store::open(&reading).await?;
        let batch = tallymark_store::Batch { envelopes: vec![sent.clone()] };
        let failed = tallymark_processor::commit(&store, &batch).await.err().context("it took a row")?;
        assert!(matches!(failed, StoreError::Unavailable(_)), "{failed:?}");
        store.close().await;
        assert_eq!(commit(&test, [sent]).await?.accepted, 1);
        Ok(())
    })
    .await;
}

async fn an_event_of_a_day_that_is_not_there_waits_for_it(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let sent = envelope(project, 1, &[pageview(1, "2026-10-27T10:05:00Z")]);
    let batch = tallymark_store::Batch { envelopes: vec![sent.clone()] };
    let early = tallymark_processor::commit(&test, &batch).await;
    match test.kind() {
        Kind::Postgres => assert!(matches!(early, Err(StoreError::Unavailable(_))), "{early:?}"),
        Kind::Sqlite => assert_eq!(early?.accepted, 1),
    }
    commit(&test, [sent]).await?;
    assert_eq!(tallymark_tests::oracle::raw_rows(&test, project).await?.events.len(), 1);
    Ok(())
}

async fn the_first_and_the_last_accepted_day_take_events(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    test.ensure_days(ms(RECEIVED), &[]).await?;
    let events = [pageview(1, "2026-09-27T00:00:00Z"), pageview(2, "2026-10-30T23:59:59.999Z")];
    let batch = tallymark_store::Batch { envelopes: vec![envelope(project, 1, &events)] };
    assert_eq!(tallymark_processor::commit(&test, &batch).await?.accepted, 2);
    Ok(())
}

async fn a_project_in_no_time_zone_is_not_created(test: TestStore) -> anyhow::Result<()> {
    let new = tallymark_store::NewProject {
        name: "shop".to_owned(),
        time_zone: "Europe/Atlantis".to_owned(),
        sketch_key: [7; 16],
        write_key: "wk_0123456789abcdefghijklmn".to_owned(),
        created_at: ms(RECEIVED),
    };
    assert!(test.create_project(&new).await.is_err());
    assert!(test.projects().await?.is_empty());
    Ok(())
}

async fn migrating_at_once_and_again_is_harmless(test: TestStore) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let other = Store::open(&test.address).await?; // as another process would
        tasks.spawn(async move {
            let migrated = other.migrate().await;
            other.close().await;
            migrated
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    test.migrate().await?;
    assert!(test.projects().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn migrating_at_once_and_again_is_harmless_on_sqlite() {
    on_empty_sqlite(migrating_at_once_and_again_is_harmless).await;
}

#[tokio::test]
async fn migrating_at_once_and_again_is_harmless_on_postgres() {
    on_empty_postgres(migrating_at_once_and_again_is_harmless).await;
}
