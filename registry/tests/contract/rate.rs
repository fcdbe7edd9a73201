//! What buckets promise, whoever keeps them.

use std::time::Duration;

use tallymark_protocol::UnixMs;
use tallymark_registry::{
    Bucket, DEBT_MINUTES_MAX, LocalRateTokens, RateTokens, RedisRateTokens, Taken, Tokens,
};

use crate::place::{Place, StandingClock};

/// One test for each backend, of the same name.
macro_rules! contract {
    ($($promise:ident)*) => {
        mod alone {
            $(#[tokio::test] async fn $promise() { super::$promise(super::Buckets::local()).await; })*
        }
        mod over_redis {
            $(#[tokio::test] async fn $promise() { super::$promise(super::Buckets::redis()).await; })*
        }
    };
}

contract! {
    a_bucket_holds_a_minutes_worth_and_then_says_how_long_to_wait
    a_bucket_fills_evenly_and_never_beyond_a_minutes_worth
    an_envelope_is_let_in_whole_and_owed_for
    a_debt_is_bounded
    an_empty_bucket_takes_nothing_from_the_others
    charging_does_not_ask
    projects_and_addresses_have_buckets_of_their_own
    a_limit_of_zero_lets_nothing_in
    a_changed_limit_holds_at_once
    nothing_wanted_is_nothing_refused
}

/// Slow enough that the time a test takes does not count: a token comes every ten seconds.
const SLOW: u32 = 6;
const ONE_TOKEN: Duration = Duration::from_secs(10);

/// Buckets, and time that passes when it is told to. In Redis, whose own clock counts, buckets are made older instead.
struct Buckets {
    tokens: Box<dyn RateTokens>,
    place: Option<Place>,
    clock: StandingClock,
}

impl Buckets {
    fn local() -> Self {
        Self::over(Box::new(LocalRateTokens::new()), None)
    }

    fn redis() -> Self {
        let place = Place::new();
        let tokens = RedisRateTokens::deciding_within(place.config(), Duration::from_secs(10)).unwrap();
        Self::over(Box::new(tokens), Some(place))
    }

    fn over(tokens: Box<dyn RateTokens>, place: Option<Place>) -> Self {
        Self { tokens, place, clock: StandingClock::at(UnixMs(1_763_622_005_000)) }
    }

    async fn take(&self, wanted: &[Tokens]) -> Taken {
        self.tokens.take(wanted, self.clock.now()).await
    }

    async fn charge(&self, wanted: &[Tokens]) {
        self.tokens.charge(wanted, self.clock.now()).await;
    }

    /// How long to wait for one of `wanted`.
    async fn wait_for(&self, wanted: Tokens) -> Duration {
        match self.take(&[wanted]).await {
            Taken::Yes => Duration::ZERO,
            Taken::Limited { retry_after } => retry_after,
        }
    }

    /// How many single events are let in, one after the other.
    async fn let_in(&self, wanted: Tokens) -> u32 {
        let mut let_in = 0;
        while self.take(&[Tokens { tokens: 1, ..wanted }]).await == Taken::Yes {
            let_in += 1;
        }
        let_in
    }

    async fn pass(&self, time: Duration) {
        self.clock.set(UnixMs(self.clock.now().0 + i64::try_from(time.as_millis()).unwrap()));
        let Some(place) = &self.place else { return };
        for key in place.keys().await {
            let left: i64 = place.ask(redis::cmd("PTTL").arg(&key)).await;
            let left = left - i64::try_from(time.as_millis()).unwrap();
            let level: Option<String> = place.ask(redis::cmd("GET").arg(&key)).await;
            let Some(level) = level.filter(|_| left > 0) else {
                let () = place.ask(redis::cmd("DEL").arg(&key)).await;
                continue;
            };
            let (tokens, at) = level.split_once(' ').unwrap();
            let at = at.parse::<u128>().unwrap() - time.as_micros();
            let mut older = redis::cmd("SET");
            let () = place.ask(older.arg(&key).arg(format!("{tokens} {at}")).arg("PX").arg(left)).await;
        }
    }
}

fn of(bucket: Bucket, tokens: u32) -> Tokens {
    Tokens { bucket, per_minute: SLOW, tokens }
}

fn project(tokens: u32) -> Tokens {
    of(Bucket::Project(7), tokens)
}

fn address(hash: u64, tokens: u32) -> Tokens {
    of(Bucket::Address { project_id: 7, hash }, tokens)
}

/// As long as was expected, less what the test itself took.
fn assert_about(waited: Duration, expected: Duration) {
    let least = expected.saturating_sub(ONE_TOKEN - Duration::from_millis(1));
    assert!(waited > least && waited <= expected, "{waited:?} is not about {expected:?}");
}

async fn a_bucket_holds_a_minutes_worth_and_then_says_how_long_to_wait(buckets: Buckets) {
    assert_eq!(buckets.let_in(project(1)).await, SLOW);
    assert_about(buckets.wait_for(project(1)).await, ONE_TOKEN);
}

async fn a_bucket_fills_evenly_and_never_beyond_a_minutes_worth(buckets: Buckets) {
    assert_eq!(buckets.let_in(project(1)).await, SLOW);
    buckets.pass(ONE_TOKEN).await;
    assert_eq!(buckets.let_in(project(1)).await, 1);
    buckets.pass(ONE_TOKEN * 3).await;
    assert_eq!(buckets.let_in(project(1)).await, 3);
    buckets.pass(Duration::from_secs(3_600)).await;
    assert_eq!(buckets.let_in(project(1)).await, SLOW);
}

async fn an_envelope_is_let_in_whole_and_owed_for(buckets: Buckets) {
    assert_eq!(buckets.take(&[project(SLOW + 12)]).await, Taken::Yes);
    assert_about(buckets.wait_for(project(1)).await, ONE_TOKEN * 13);
    buckets.pass(ONE_TOKEN * 12).await;
    assert_about(buckets.wait_for(project(1)).await, ONE_TOKEN);
    buckets.pass(ONE_TOKEN).await;
    assert_eq!(buckets.let_in(project(1)).await, 1);
}

async fn a_debt_is_bounded(buckets: Buckets) {
    assert_eq!(buckets.take(&[project(1_000_000)]).await, Taken::Yes);
    buckets.charge(&[project(1_000_000)]).await;
    let longest = Duration::from_secs(60) * DEBT_MINUTES_MAX + ONE_TOKEN;
    assert_about(buckets.wait_for(project(1)).await, longest);
    buckets.pass(longest).await;
    assert_eq!(buckets.let_in(project(1)).await, 1);
}

async fn an_empty_bucket_takes_nothing_from_the_others(buckets: Buckets) {
    assert_eq!(buckets.let_in(address(1, 1)).await, SLOW);
    for both in [[project(1), address(1, 1)], [address(1, 1), project(1)]] {
        for _ in 0..SLOW {
            assert!(matches!(buckets.take(&both).await, Taken::Limited { .. }));
        }
    }
    assert_eq!(buckets.take(&[project(2), address(2, 2)]).await, Taken::Yes);
    assert_eq!(buckets.let_in(project(1)).await, SLOW - 2);
    assert_eq!(buckets.let_in(address(2, 1)).await, SLOW - 2);
}

async fn charging_does_not_ask(buckets: Buckets) {
    buckets.charge(&[project(SLOW - 1), address(1, SLOW)]).await;
    assert_eq!(buckets.let_in(address(1, 1)).await, 0);
    assert_eq!(buckets.let_in(project(1)).await, 1);
    buckets.charge(&[project(2)]).await;
    assert_about(buckets.wait_for(project(1)).await, ONE_TOKEN * 3);
}

async fn projects_and_addresses_have_buckets_of_their_own(buckets: Buckets) {
    assert_eq!(buckets.let_in(project(1)).await, SLOW);
    let others = [
        of(Bucket::Project(8), 1),
        address(1, 1),
        address(2, 1),
        of(Bucket::Address { project_id: 8, hash: 1 }, 1),
        address(u64::MAX, 1),
    ];
    for other in others {
        assert_eq!(buckets.let_in(other).await, SLOW, "{other:?}");
    }
}

async fn a_limit_of_zero_lets_nothing_in(buckets: Buckets) {
    let never = Tokens { per_minute: 0, ..project(1) };
    buckets.charge(&[never]).await;
    assert_eq!(buckets.let_in(never).await, 0);
    assert_eq!(buckets.wait_for(never).await, Duration::from_secs(60));
    buckets.pass(Duration::from_secs(3_600)).await;
    assert_eq!(buckets.let_in(never).await, 0);
}

async fn a_changed_limit_holds_at_once(buckets: Buckets) {
    let high = Tokens { per_minute: 1_000, ..project(1) };
    assert_eq!(buckets.take(&[high]).await, Taken::Yes);
    assert_eq!(buckets.let_in(project(1)).await, SLOW, "no more than the new limit's worth");
    buckets.pass(ONE_TOKEN).await;
    assert!(buckets.let_in(high).await >= 166, "the time that passed counts at the new limit");
}

async fn nothing_wanted_is_nothing_refused(buckets: Buckets) {
    assert_eq!(buckets.take(&[]).await, Taken::Yes);
    buckets.charge(&[]).await;
    buckets.charge(&[project(0)]).await;
    assert_eq!(buckets.let_in(project(1)).await, SLOW);
}
