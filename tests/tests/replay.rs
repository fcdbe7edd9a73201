//! Any split, order and repetition of a queue's entries gives the same events, sessions and rollups: those that
//! the world expected.

use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tallymark_store::Store;
use tallymark_tests::databases::{TestStore, on_postgres, on_sqlite};
use tallymark_tests::world::{Dice, Shape, World};
use tallymark_tests::{drive, oracle};
use tokio::runtime::Handle;

/// How one world is delivered.
#[derive(Clone, Debug)]
struct Replay {
    world: u64,
    /// Decides the entries' order, and which of them come again.
    chance: u64,
    repeated_percent: usize,
    /// Entries of each batch, in turn.
    batches: Vec<usize>,
    /// Deltas of the compaction after each batch, in turn; 0 for none.
    compactions: Vec<u32>,
}

fn replays() -> impl Strategy<Value = Replay> {
    let batches = prop::collection::vec(1_usize..30, 1..6);
    let compactions = prop::collection::vec(0_u32..6, 1..4);
    let replay = (any::<u64>(), any::<u64>(), 0_usize..60, batches, compactions);
    replay.prop_map(|(world, chance, repeated_percent, batches, compactions)| Replay {
        world,
        chance,
        repeated_percent,
        batches,
        compactions,
    })
}

async fn deliver(store: &Store, replay: &Replay) -> anyhow::Result<()> {
    let world = World::generate(replay.world, &Shape::small());
    let projects = drive::create_projects(store, &world).await?;
    let mut entries = world.queued(&projects);
    let mut dice = Dice::new(replay.chance);
    let again: Vec<_> = entries.iter().filter(|_| dice.percent(replay.repeated_percent)).cloned().collect();
    entries.extend(again);
    dice.shuffle(&mut entries);
    let mut entries = entries.into_iter().peekable();
    let mut turns = replay.batches.iter().cycle().zip(replay.compactions.iter().cycle());
    while entries.peek().is_some() {
        let (entries_max, deltas_max) = turns.next().expect("both cycle for ever");
        let part = entries.by_ref().take(*entries_max);
        drive::commit_one(store, &drive::batch(part)).await?;
        if *deltas_max > 0 {
            store.compact(*deltas_max).await?;
        }
    }
    oracle::assert_true(store, &world, &projects).await
}

/// Every case is a few projects of its own, in the same database.
async fn check(test: TestStore, cases: u32) -> anyhow::Result<()> {
    tokio::task::block_in_place(|| {
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
        let verdict = TestRunner::new(config).run(&replays(), |replay| {
            let delivered = Handle::current().block_on(deliver(&test, &replay));
            delivered.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        });
        verdict.map_err(|failure| anyhow::anyhow!("{failure}"))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn any_replay_comes_to_the_same_on_sqlite() {
    on_sqlite(|test| check(test, 150)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_replay_comes_to_the_same_on_postgres() {
    on_postgres(|test| check(test, 30)).await;
}
