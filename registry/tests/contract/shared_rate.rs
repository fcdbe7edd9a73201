//! Buckets that collectors share, and what each does while Redis is away.

use std::time::Duration;

use tallymark_protocol::UnixMs;
use tallymark_registry::{Bucket, DECIDED_WITHIN, RateTokens, RedisRateTokens, Taken, Tokens};
use tokio::time::Instant;

use crate::place::{Place, Wire, until};

const NOW: UnixMs = UnixMs(1_763_622_005_000);

/// A token every ten seconds: what a test takes in time does not count.
const LIMIT: u32 = 6;

fn project(project_id: i32) -> Tokens {
    Tokens { bucket: Bucket::Project(project_id), per_minute: LIMIT, tokens: 1 }
}

/// Waits for Redis as long as a busy machine may need.
fn patient(place: &Place) -> RedisRateTokens {
    RedisRateTokens::deciding_within(place.config(), Duration::from_secs(10)).unwrap()
}

async fn let_in(tokens: &RedisRateTokens, wanted: Tokens) -> u32 {
    let mut let_in = 0;
    while tokens.take(&[wanted], NOW).await == Taken::Yes {
        let_in += 1;
    }
    let_in
}

#[tokio::test]
async fn two_collectors_together_let_in_what_one_bucket_holds() {
    let place = Place::new();
    let (one, other) = (patient(&place), patient(&place));
    let wanted = [Tokens { per_minute: 30, ..project(7) }];
    let started = Instant::now();
    let mut let_in = 0;
    for _ in 0..60 {
        // At once, from both.
        let (first, second) = tokio::join!(one.take(&wanted, NOW), other.take(&wanted, NOW));
        let_in += [first, second].iter().filter(|taken| **taken == Taken::Yes).count();
    }
    let refilled = usize::try_from(started.elapsed().as_secs() / 2 + 1).unwrap();
    assert!(let_in >= 30 && let_in <= 30 + refilled, "{let_in} of 30, {refilled} refilled");
    assert!(!one.is_alone() && !other.is_alone());
}

#[tokio::test]
async fn collectors_whose_clocks_differ_by_a_day_share_all_the_same() {
    let place = Place::new();
    let (one, other) = (patient(&place), patient(&place));
    let mut let_in = 0;
    for _ in 0..LIMIT {
        for (tokens, now) in [(&one, NOW), (&other, UnixMs(NOW.0 + 86_400_000))] {
            let_in += u32::from(tokens.take(&[project(7)], now).await == Taken::Yes);
        }
    }
    assert_eq!(let_in, LIMIT);
}

#[tokio::test]
async fn buckets_expire_when_they_are_full_again() {
    let place = Place::new();
    let tokens = patient(&place);
    let address = Tokens { bucket: Bucket::Address { project_id: 7, hash: 0xabc }, tokens: 60, ..project(7) };
    assert_eq!(tokens.take(&[project(7), address], NOW).await, Taken::Yes);
    // 1 of 6 is back in 10 s; all 6 and a debt of 5 minutes' worth in 360.
    let ends = [("rate:7", 10_000), ("rate:7:0000000000000abc", 360_000)];
    for (name, full_in_ms) in ends {
        let left_ms: i64 = place.ask(redis::cmd("PTTL").arg(place.key(name))).await;
        assert!(left_ms > full_in_ms - 10_000 && left_ms <= full_in_ms, "{name}: {left_ms}");
    }
    assert_eq!(place.keys().await.len(), ends.len());
    let fast = Tokens { per_minute: 60_000, ..project(8) };
    assert_eq!(tokens.take(&[fast], NOW).await, Taken::Yes);
    until("a bucket that is full again has no key", async || place.keys().await.len() == ends.len()).await;
}

#[tokio::test]
async fn a_redis_that_forgot_the_script_is_told_again() {
    let place = Place::new();
    let tokens = patient(&place);
    assert_eq!(tokens.take(&[project(7)], NOW).await, Taken::Yes);
    let () = place.ask(redis::cmd("SCRIPT").arg("FLUSH")).await;
    assert_eq!(let_in(&tokens, project(7)).await, LIMIT - 1);
    assert!(!tokens.is_alone());
}

#[tokio::test]
async fn a_redis_that_dies_leaves_each_collector_to_itself_until_it_is_back() {
    let place = Place::new();
    let mut wire = Wire::to(&place).await;
    let tokens = RedisRateTokens::deciding_within(place.config_over(&wire), Duration::from_secs(10)).unwrap();
    assert_eq!(let_in(&tokens, project(7)).await, LIMIT);
    wire.cut().await;
    assert_eq!(let_in(&tokens, project(7)).await, LIMIT, "its own bucket is full");
    assert!(tokens.is_alone());
    tokens.charge(&[project(7)], NOW).await;
    assert_eq!(let_in(&tokens, project(7)).await, 0);
    wire.mend().await;
    until("limits are shared again", async || !tokens.is_alone()).await;
    let other = patient(&place);
    let both = let_in(&tokens, project(9)).await + let_in(&other, project(9)).await;
    assert_eq!(both, LIMIT);
    tokens.close().await;
}

#[tokio::test]
async fn nobody_waits_long_for_a_redis_that_fell_silent() {
    let place = Place::new();
    let mut wire = Wire::to(&place).await;
    let tokens = RedisRateTokens::new(place.config_over(&wire)).unwrap();
    wire.fall_silent().await;
    let started = Instant::now();
    let at_once = (0..20).map(|_| async { let_in(&tokens, project(7)).await });
    let let_in = futures_util::future::join_all(at_once).await.into_iter().sum::<u32>();
    assert_eq!(let_in, LIMIT);
    let took = started.elapsed();
    assert!(took >= DECIDED_WITHIN, "it was asked");
    assert!(took < DECIDED_WITHIN * 4, "{took:?}");
    assert!(tokens.is_alone());
    wire.mend().await;
    until("limits are shared again", async || !tokens.is_alone()).await;
}
