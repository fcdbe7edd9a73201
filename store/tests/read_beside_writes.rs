//! Reading while commits and the compactor are at work: whatever moment a read falls into, it sees every
//! committed event once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use support::{On, commit, ms, pageview, project, with_store};
use tallymark_store::model::Dimension;
use tallymark_store::{Measure, Plan, Route, Source, Store};
use tokio::task::JoinSet;

const COMMITS: u128 = 120;

async fn a_read_sees_every_committed_event_once(store: Store) {
    let project_id = project(&store, "UTC", "wk_1").await;
    let begun = Arc::new(AtomicI64::new(0));
    let committed = Arc::new(AtomicI64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    {
        let (store, begun, committed, done) = (store.clone(), begun.clone(), committed.clone(), done.clone());
        tasks.spawn(async move {
            for id in 1..=COMMITS {
                begun.fetch_add(1, Ordering::SeqCst);
                commit(&store, project_id, id, &[pageview(id, "2026-03-01T10:00:00Z", id % 9 + 1, "/")])
                    .await;
                committed.fetch_add(1, Ordering::SeqCst);
            }
            done.store(true, Ordering::SeqCst);
        });
    }
    {
        let (store, done) = (store.clone(), done.clone());
        tasks.spawn(async move {
            while !done.load(Ordering::SeqCst) {
                store.compact(3).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
    }
    let plan = |dimensions| Plan {
        project_id,
        edges: vec![ms("2026-03-01T00:00:00Z"), ms("2026-03-02T00:00:00Z")],
        dimensions,
        filters: Vec::new(),
        measures: vec![Measure::Visitors, Measure::Pageviews],
        route: Route::Best,
    };
    let plans = [plan(Vec::new()), plan(vec![Dimension::Page]), plan(vec![Dimension::Source])];
    let mut reads = 0;
    while !done.load(Ordering::SeqCst) {
        for plan in &plans {
            let at_least = committed.load(Ordering::SeqCst);
            let reading = store.read(plan).await.unwrap();
            let at_most = begun.load(Ordering::SeqCst);
            assert_eq!(reading.source, Source::Rollups);
            let pageviews: i64 = reading.groups.iter().map(|group| group.counts.pageviews).sum();
            assert!((at_least..=at_most).contains(&pageviews), "{pageviews} of {at_least} to {at_most}");
            let visitors: u64 = reading.groups.iter().map(|group| group.visitors).sum();
            assert!(visitors <= 9 && (visitors == 9 || pageviews < 9), "{visitors} visitors");
            reads += 1;
        }
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap();
    }
    assert!(reads > 10, "only {reads} reads fell beside the commits");
}

#[tokio::test]
async fn a_read_sees_every_committed_event_once_on_sqlite() {
    with_store(On::Sqlite, "read_beside", a_read_sees_every_committed_event_once).await;
}

#[tokio::test]
async fn a_read_sees_every_committed_event_once_on_postgres() {
    with_store(On::Postgres, "read_beside", a_read_sees_every_committed_event_once).await;
}
