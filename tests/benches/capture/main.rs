//! `cargo xtask bench capture`: how fast events are taken, and how fast they are counted.
//!
//! The release build of the product, over a Redis and a PostgreSQL of the bench's own, takes envelopes of 50 events
//! and of one: with nobody processing, and with a processor until all is counted. Beside it, in the same run: a bare
//! axum route that only parses the same bodies, and Redis that only appends them. Who sends is on the same machine.

mod baseline;
mod load;
mod process;
mod report;
mod request;
mod scenario;
mod servers;

use std::time::Duration;

use anyhow::Context;

use crate::scenario::Run;
use crate::servers::{Backends, Fsync, Setup};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events in an envelope of a busy page, in one of a page now and then, and of a backend that sends at once.
const BATCH: u64 = 50;
const FEW: u64 = 10;
const ONE: u64 = 1;

/// What a run with a processor sends for each second that other runs take.
const COUNTED_A_SECOND: u64 = 50_000;

const SETUPS: [Setup; 3] = [Setup::Redis(Fsync::EverySecond), Setup::Redis(Fsync::Always), Setup::Embedded];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == baseline::BARE_ROUTE) {
        return baseline::serve_bare_route().await;
    }
    let seconds: u64 = told("TALLYMARK_BENCH_SECONDS").map_or(Ok(10), |text| text.parse())?;
    let missing = "is not set; run `cargo xtask bench capture`";
    let redis =
        told("TALLYMARK_TEST_REDIS_URL").with_context(|| format!("TALLYMARK_TEST_REDIS_URL {missing}"))?;
    let postgres = told("TALLYMARK_TEST_DATABASE_URL")
        .with_context(|| format!("TALLYMARK_TEST_DATABASE_URL {missing}"))?;
    let backends = Backends::at(redis, postgres).await?;
    let only = told("TALLYMARK_BENCH_ONLY").unwrap_or_default();
    let runs = measure(&backends, seconds, &only).await?;
    println!("\n{}", report::table(&runs));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a bench's length and its servers come from who runs it")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All runs, or those whose kind and setup `only` names: `counted`, `one Redis, everysec`.
async fn measure(backends: &Backends, seconds: u64, only: &str) -> anyhow::Result<Vec<Run>> {
    let time = Duration::from_secs(seconds);
    let wanted = |kind: &str, setup: &str| format!("{kind} {setup}").contains(only);
    let mut runs = Vec::new();
    let mut done = |run: Run| {
        // Each line as it comes; the table at the end has all.
        print!("{}", report::table(std::slice::from_ref(&run)).lines().skip(2).collect::<String>() + "\n");
        runs.push(run);
    };
    for (kind, events) in [("batch", BATCH), ("one", ONE)] {
        if wanted(kind, "baseline") {
            done(scenario::bare_route(events, time).await?);
            for fsync in [Fsync::EverySecond, Fsync::Always] {
                done(scenario::raw_append(backends, fsync, events, time).await?);
            }
        }
        for setup in SETUPS {
            if wanted(kind, &setup.name()) {
                done(scenario::capture(backends, setup, events, time).await?);
            }
        }
    }
    for setup in SETUPS {
        if wanted("counted", &setup.name()) {
            let envelopes = COUNTED_A_SECOND * seconds / BATCH;
            done(scenario::until_counted(backends, setup, BATCH, envelopes).await?);
        }
    }
    for setup in SETUPS {
        if wanted("visible", &setup.name()) {
            done(scenario::visible(backends, setup, FEW, 5_000, time).await?);
        }
    }
    Ok(runs)
}
