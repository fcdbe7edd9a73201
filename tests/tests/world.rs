//! Worlds through the processor's commit: what comes out is what the world expected, and nothing contradicts
//! the raw rows.

use tallymark_store::Store;
use tallymark_tests::world::{Shape, World};
use tallymark_tests::{drive, on_both_stores, oracle};

on_both_stores!(
    a_world_comes_out_as_it_went_in,
    envelopes_of_one_event_come_out_the_same,
    everything_delivered_twice_is_counted_once,
);

async fn through(store: &Store, world: &World, at_once: usize) -> anyhow::Result<Vec<i32>> {
    let projects = drive::create_projects(store, world).await?;
    drive::commit_all(store, world.queued(&projects), at_once).await?;
    oracle::assert_true(store, world, &projects).await?;
    Ok(projects)
}

async fn a_world_comes_out_as_it_went_in(store: Store) -> anyhow::Result<()> {
    for seed in 1..=3 {
        through(&store, &World::generate(seed, &Shape::default()), 25).await?;
    }
    Ok(())
}

async fn envelopes_of_one_event_come_out_the_same(store: Store) -> anyhow::Result<()> {
    let shape = Shape { visitors: 8, envelope_events_max: 1, repeat_percent: 30, ..Shape::default() };
    through(&store, &World::generate(4, &shape), 1).await?;
    Ok(())
}

async fn everything_delivered_twice_is_counted_once(store: Store) -> anyhow::Result<()> {
    let world = World::generate(5, &Shape::default());
    let projects = through(&store, &world, 40).await?;
    let again = drive::commit_all(&store, world.queued(&projects), 15).await?;
    assert_eq!(again, tallymark_processor::Committed::default());
    oracle::assert_true(&store, &world, &projects).await
}
