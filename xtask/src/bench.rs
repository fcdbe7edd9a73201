//! `cargo xtask bench`: measurements, against servers of their own where they need some.

use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::children::{Running, Signal, catch_signals, tied};
use crate::run::{cargo, run, step};
use crate::services::{self, Durability, Postgres, Redis};
use crate::{product, root};

struct Bench {
    name: &'static str,
    package: &'static str,
    about: &'static str,
    needs: &'static [Need],
}

/// What a bench is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Postgres,
    Redis,
    /// The release build, with the tracker inside.
    Product,
}

const BENCHES: [Bench; 3] = [
    Bench {
        name: "commit",
        package: "tallymark-processor",
        about: "Events a second, CPU and bytes an event of the full commit, beside plain COPY or insert of the same rows",
        needs: &[Need::Postgres],
    },
    Bench {
        name: "capture",
        package: "tallymark-tests",
        about: "Events a second, latency, CPU and memory from POST /capture to the queue, and until they are counted",
        needs: &[Need::Postgres, Need::Redis, Need::Product],
    },
    Bench {
        name: "decode",
        package: "tallymark-collector",
        about: "CPU of decoding a body and encoding what is queued, alone",
        needs: &[],
    },
];

/// Prints what can be measured.
pub(crate) fn list() {
    println!(
        "Usage: cargo xtask bench NAME\n\nBenches, over fresh servers that write to disk as in production:"
    );
    for bench in &BENCHES {
        println!("  {:<12} {}", bench.name, bench.about);
    }
    println!(
        "\nTALLYMARK_BENCH_EVENTS=N sets how many events `commit` measures, TALLYMARK_BENCH_SECONDS=N how long"
    );
    println!(
        "each run of `capture` takes, TALLYMARK_BENCH_ONLY=TEXT which of them: batch, one, counted, visible; then the"
    );
    println!("setup, as in \"one Redis, everysec\".");
}

/// Runs the bench called `name`.
///
/// # Errors
/// When there is none, or it fails.
pub(crate) fn bench(name: &str) -> anyhow::Result<ExitCode> {
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        bail!("there is no bench `{name}`; there is: {}", names.join(", "));
    };
    let needs = |need| bench.needs.contains(&need);
    eprintln!("Bench {name}");
    if needs(Need::Redis) {
        services::install(&[])?;
    } else if needs(Need::Postgres) {
        services::install_postgres()?;
    }
    let binary = if needs(Need::Product) { Some(product::build()?) } else { None };
    let arguments = ["bench", "--package", bench.package, "--bench", bench.name];
    step("compiling in release mode", || run(cargo().args(arguments).arg("--no-run").current_dir(root()?)))?;
    catch_signals()?;
    let postgres = if needs(Need::Postgres) { Some(Postgres::start(Durability::Full)?) } else { None };
    let redis = if needs(Need::Redis) { Some(Redis::start()?) } else { None };
    let mut cargo = tied("cargo", Signal::Term, None)?;
    cargo.args(arguments).current_dir(root()?);
    cargo.envs(postgres.iter().map(|postgres| ("TALLYMARK_TEST_DATABASE_URL", &postgres.url)));
    cargo.envs(redis.iter().map(|redis| ("TALLYMARK_TEST_REDIS_URL", &redis.url)));
    cargo.envs(binary.iter().map(|binary| ("TALLYMARK_TEST_BINARY", binary)));
    let status = Running::start("cargo bench", &mut cargo, Signal::Term)?.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.with_context(|| format!("cargo bench ended with {status}"))?))
}
