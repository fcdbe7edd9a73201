//! Worlds through the processor's commit: what comes out is what the world expected, and nothing contradicts
//! the raw rows.

use anyhow::Context;
use tallymark_processor::Committed;
use tallymark_queue::QueuedEnvelope;
use tallymark_store::Store;
use tallymark_tests::databases::{TestStore, on_postgres};
use tallymark_tests::world::{Shape, World};
use tallymark_tests::{drive, on_both_stores, oracle};
use tokio::task::JoinSet;

on_both_stores!(
    a_world_comes_out_as_it_went_in,
    envelopes_of_one_event_come_out_the_same,
    more_visitors_than_a_sketch_holds_exactly,
    everything_delivered_twice_is_counted_once,
    compacting_while_commits_append_loses_nothing,
);

async fn through(store: &Store, world: &World, at_once: usize) -> anyhow::Result<Vec<i32>> {
    let projects = drive::create_projects(store, world).await?;
    drive::commit_all(store, world.queued(&projects), at_once).await?;
    oracle::assert_true(store, world, &projects).await?;
    Ok(projects)
}

async fn a_world_comes_out_as_it_went_in(test: TestStore) -> anyhow::Result<()> {
    for seed in 1..=3 {
        through(&test, &World::generate(seed, &Shape::default()), 25).await?;
    }
    Ok(())
}

async fn envelopes_of_one_event_come_out_the_same(test: TestStore) -> anyhow::Result<()> {
    let shape = Shape { visitors: 3, envelope_events_max: 1, repeat_percent: 30, ..Shape::default() };
    through(&test, &World::generate(4, &shape), 1).await?;
    Ok(())
}

async fn more_visitors_than_a_sketch_holds_exactly(test: TestStore) -> anyhow::Result<()> {
    let shape = Shape {
        projects: 1,
        visitors: 600,
        sessions_max: 1,
        pages_max: 2,
        days: 4,
        bad_percent: 0,
        ..Shape::default()
    };
    through(&test, &World::generate(6, &shape), 100).await?;
    Ok(())
}

async fn everything_delivered_twice_is_counted_once(test: TestStore) -> anyhow::Result<()> {
    let world = World::generate(5, &Shape::default());
    let projects = through(&test, &world, 40).await?;
    let again = drive::commit_all(&test, world.queued(&projects), 15).await?;
    assert_eq!(again, Committed::default());
    oracle::assert_true(&test, &world, &projects).await
}

async fn compacting_while_commits_append_loses_nothing(test: TestStore) -> anyhow::Result<()> {
    let world = World::generate(7, &Shape { visitors: 12, ..Shape::default() });
    let projects = drive::create_projects(&test, &world).await?;
    let entries = world.queued(&projects);
    let mut tasks = JoinSet::new();
    tasks.spawn(commit_all(test.store.clone(), entries));
    let mut done = None;
    while done.is_none() {
        test.compact(3).await?; // a few at a time, so that marks and what they are about are folded apart
        done = tasks.try_join_next();
    }
    done.context("the commits ended")???;
    oracle::assert_true(&test, &world, &projects).await
}

async fn commit_all(store: Store, entries: Vec<QueuedEnvelope>) -> anyhow::Result<Committed> {
    Ok(drive::commit_all(&store, entries, 5).await?)
}

/// Four processors at once, each with every fourth entry, one more that is given the same as the first, and a
/// compactor that takes a few deltas at a time.
#[tokio::test(flavor = "multi_thread")]
async fn processors_side_by_side_come_to_the_same() {
    on_postgres(async |test| {
        let world = World::generate(8, &Shape { visitors: 20, repeat_percent: 40, ..Shape::default() });
        let projects = drive::create_projects(&test, &world).await?;
        let entries = world.queued(&projects);
        let mut tasks = JoinSet::new();
        for processor in 0..5 {
            let part = entries.iter().skip(processor % 4).step_by(4).cloned().collect();
            tasks.spawn(commit_all(test.store.clone(), part));
        }
        while !tasks.is_empty() {
            test.compact(3).await?;
            if let Some(done) = tasks.try_join_next() {
                done??;
            }
        }
        oracle::assert_true(&test, &world, &projects).await
    })
    .await;
}
