//! Two collectors and two processors over one Redis, to which everything happens that happens to a Redis: under load,
//! and with the numbers held against the world's.

mod cluster;

use anyhow::ensure;
use tallymark_tests::browsers::Browsers;
use tallymark_tests::databases::on_postgres;
use tallymark_tests::world::{Shape, World};
use tallymark_tests::{drive, oracle};

use cluster::Cluster;

/// Requests that are taken during each of the things that happen.
const EACH: usize = 25;

fn world() -> World {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let shape =
        Shape { now_ms, projects: 1, visitors: 90, wrong_clocks: false, located: false, ..Shape::default() };
    World::generate(31, &shape)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_counted_twice_whatever_happens_to_redis() {
    on_postgres(async |test| {
        let world = world();
        let projects = drive::create_projects(&test, &world).await?;
        let (key, _) = test.write_keys().await?.remove(0);
        let browsers = Browsers::of(&world, &key)?;
        let mut cluster = Cluster::start(&test).await?;
        cluster.until_key_is_known(&browsers).await?;

        // Killed: collectors spool meanwhile, so that browsers are answered.
        let sending = browsers.send(&cluster.addresses(), EACH);
        cluster.redis.kill()?;
        ensure!(sending.end().await? >= EACH, "nothing was taken while Redis was away");
        let sending = browsers.send(&cluster.addresses(), EACH);
        cluster.redis.start_again().await?;
        sending.end().await?;
        cluster.until_nothing_is_spooled().await?;

        // Paused: it holds its connections and says nothing.
        cluster.redis.pause()?;
        let taken = browsers.send(&cluster.addresses(), EACH).end().await;
        cluster.redis.resume()?;
        ensure!(taken? >= EACH, "nothing was taken while Redis was silent");
        cluster.until_nothing_is_spooled().await?;

        // Full: nothing can be taken, and nothing that was is thrown away for it.
        cluster.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await?;
        let refusals = browsers.refusals();
        let sending = browsers.send(&cluster.addresses(), EACH);
        cluster.until("a full Redis is refused", || browsers.refusals() > refusals + 3).await?;
        ensure!(sending.answers() == 0, "taken although Redis is full");
        cluster.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await?;
        sending.end().await?;

        // Another password: the file is read anew.
        let sending = browsers.send(&cluster.addresses(), EACH);
        cluster.redis.change_password("second").await?;
        sending.end().await?;

        // And a collector and a processor die at that.
        let sending = browsers.send(&cluster.addresses(), EACH);
        cluster.kill_and_replace_a_processor()?;
        sending.end().await?;
        let sending = browsers.send(&cluster.addresses(), EACH);
        cluster.until("some are taken", || sending.answers() > 2).await?;
        cluster.kill_and_replace_a_collector()?;
        sending.cut_off().await; // half of them send to where nobody is any more

        browsers.send(&cluster.addresses(), usize::MAX).end().await?;
        ensure!(browsers.left().await == 0, "some were never taken");
        cluster.until_all_is_processed().await?;
        cluster.stop()?;
        oracle::assert_true_but_for_retries(&test, &world, &projects).await
    })
    .await;
}
