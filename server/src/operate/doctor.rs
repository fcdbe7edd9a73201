//! `tallymark doctor`: whether everything that the promises rest on is as it must be.
//!
//! Each check says what it found and, where that is not well, what to do. A failed check fails the command.

use std::time::Duration;

use serde::Serialize;
use tallymark_collector::Places;
use tallymark_queue::{Durability, Queue as _, RedisFacts, RedisQueue};
use tallymark_registry::{RedisRegistry, Secret};

use super::socket::Server;
use super::table::bytes;
use crate::backends::{open_redis, reach_store, registry_redis};
use crate::clock;
use crate::config::{Options, RedisDurability};
use crate::out::say;

/// How long each check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Clocks that differ by more than this put events into wrong days.
const CLOCKS_APART_MS: i64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Failure,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// Findings in the making.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding { check, verdict: Verdict::Ok, found: found.into(), advice: None });
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.not_well(check, Verdict::Warning, found.into(), advice.into());
    }

    fn fail(&mut self, check: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.not_well(check, Verdict::Failure, found.into(), advice.into());
    }

    fn not_well(&mut self, check: &'static str, verdict: Verdict, found: String, advice: String) {
        self.0.push(Finding { check, verdict, found, advice: Some(advice) });
    }
}

/// Runs every check; fails where one does.
pub(crate) async fn doctor(options: Options, json: bool) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    check_data_dir(&options, &mut findings).await;
    check_store(&options, &mut findings).await;
    check_queue(&options, &mut findings).await;
    check_files(&options, &mut findings).await;
    let Findings(findings) = findings;
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Failure).count();
    if json {
        let printed = serde_json::json!({ "is_well": failed == 0, "findings": findings });
        say!("{printed}");
    } else {
        print(&findings);
    }
    anyhow::ensure!(failed == 0, "{failed} of {} checks failed", findings.len());
    Ok(())
}

fn print(findings: &[Finding]) {
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warning => "warn",
            Verdict::Failure => "FAIL",
        };
        say!("{mark}  {:<12}{}", finding.check, finding.found);
        if let Some(advice) = &finding.advice {
            say!("      {:<12}→ {advice}", "");
        }
    }
}

async fn check_data_dir(options: &Options, findings: &mut Findings) {
    const CHECK: &str = "data";
    let dir = &options.data_dir;
    if let Some(live) = Server::of(dir).live().await {
        let found = format!("{} is owned by the running {} (pid {})", dir.display(), live.role, live.pid);
        return findings.ok(CHECK, found);
    }
    if !dir.is_dir() {
        let found = format!("{} is not there", dir.display());
        let advice = "a server makes it when it starts; give the server's --data-dir to look into that one";
        return findings.warn(CHECK, found, advice);
    }
    match tempfile_in(dir) {
        Ok(()) => findings.ok(CHECK, format!("{} can be written; no server owns it", dir.display())),
        Err(error) => findings.fail(
            CHECK,
            format!("{} cannot be written: {error}", dir.display()),
            "give it to the user that the server runs as, with mode 0700",
        ),
    }
}

fn tempfile_in(dir: &std::path::Path) -> std::io::Result<()> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    std::fs::write(&path, b"x")?;
    std::fs::remove_file(&path)
}

async fn check_store(options: &Options, findings: &mut Findings) {
    const CHECK: &str = "store";
    if options.database_url.is_none() && !options.data_dir.join("tallymark.db").is_file() {
        let found = "there is no SQLite database in the data directory yet, and no --database-url";
        return findings.warn(CHECK, found, "`tallymark serve` or `tallymark migrate` makes it");
    }
    let store = match reach_store(options).await {
        Ok(store) => store,
        Err(error) => {
            return findings.fail(CHECK, format!("{error:#}"), "check --database-url");
        }
    };
    match tokio::time::timeout(CHECK_TIMEOUT, store.facts()).await {
        Ok(Ok(facts)) => {
            findings.ok(CHECK, format!("{} answers", facts.server));
            if facts.pending_migrations > 0 {
                let found =
                    format!("the schema is {} migrations behind this version", facts.pending_migrations);
                findings.warn("schema", found, "run: tallymark migrate");
            } else {
                findings.ok("schema", "up to date");
            }
            let apart_ms = (facts.now.0 - clock::now().0).abs();
            if apart_ms > CLOCKS_APART_MS {
                let found = format!("the database's clock is {apart_ms} ms from this machine's");
                findings.warn("clock", found, "let both follow NTP");
            }
            match store.projects().await {
                Ok(projects) if projects.is_empty() => findings.warn(
                    "projects",
                    "there are none: every write key is unknown",
                    "tallymark project create NAME",
                ),
                Ok(projects) => findings.ok("projects", projects.len().to_string()),
                Err(error) => findings.warn("projects", error.to_string(), "run: tallymark migrate"),
            }
        }
        Ok(Err(error)) => findings.fail(
            CHECK,
            format!("{:#}", anyhow::Error::from(error)),
            "is the database running, and may this user connect? check --database-url",
        ),
        Err(_) => findings.fail(CHECK, "no answer", "is the database running, and reachable from here?"),
    }
    store.close().await;
}

async fn check_queue(options: &Options, findings: &mut Findings) {
    const CHECK: &str = "queue";
    if options.redis_url.is_none() {
        return findings.ok(CHECK, "embedded: acknowledged after fsync");
    }
    let queue = match open_redis(options) {
        Ok(queue) => queue,
        Err(error) => return findings.fail(CHECK, format!("{error:#}"), "check --redis-url"),
    };
    match tokio::time::timeout(CHECK_TIMEOUT, queue.facts()).await {
        Ok(Ok(facts)) => {
            check_redis(options, &facts, findings);
            check_backlog(&queue, findings).await;
            check_published(options, findings).await;
        }
        Ok(Err(error)) => {
            findings.fail(
                CHECK,
                format!("{:#}", anyhow::Error::from(error)),
                "is Redis running, and are address and password right? check --redis-url",
            );
        }
        Err(_) => findings.fail(CHECK, "Redis does not answer", "is it reachable from here?"),
    }
    queue.close().await;
}

fn check_redis(options: &Options, facts: &RedisFacts, findings: &mut Findings) {
    const CHECK: &str = "redis";
    let found = format!("Redis {}", facts.version);
    if facts.is_supported {
        findings.ok(CHECK, found);
    } else {
        findings.fail(CHECK, found, "the queue needs 7.0 or newer");
    }
    if facts.is_replica {
        let advice = "give the address of the primary, or one that follows it, in --redis-url";
        findings.fail("role", "it is a replica, which takes no writes", advice);
    }
    if facts.is_cluster {
        findings.fail("role", "it is a node of a Redis Cluster", "use a Redis that is no cluster");
    }
    check_eviction(facts, findings);
    check_durability(options.redis_durability, facts.durability(), findings);
    let (used, max) = (facts.memory_used_bytes, facts.memory_bytes_max);
    if max > 0 && used > max / 10 * 8 {
        let found = format!("Redis uses {} of {}", bytes(used), bytes(max));
        findings.warn(
            "memory",
            found,
            "raise maxmemory, or run more processors; when it is full, capture answers 503",
        );
    }
}

fn check_eviction(facts: &RedisFacts, findings: &mut Findings) {
    const CHECK: &str = "eviction";
    const ADVICE: &str =
        "set maxmemory-policy to noeviction: CONFIG SET maxmemory-policy noeviction, and in redis.conf";
    if facts.evicts() {
        let found =
            format!("{}: Redis throws acknowledged events away when memory is short", facts.memory_policy);
        findings.fail(CHECK, found, ADVICE);
    } else if facts.evicts_expiring() {
        let found =
            format!("{}: Redis throws salts and rate limits away when memory is short", facts.memory_policy);
        findings.warn(CHECK, found, ADVICE);
    } else {
        findings.ok(CHECK, "Redis throws nothing away");
    }
}

fn check_durability(wanted: RedisDurability, found: Durability, findings: &mut Findings) {
    const CHECK: &str = "durability";
    const ALWAYS: &str =
        "set appendonly yes and appendfsync always; or accept it with --redis-durability relaxed";
    match found {
        Durability::Kept => findings.ok(CHECK, "appendfsync always: nothing acknowledged is lost"),
        Durability::LosesAll => findings.fail(
            CHECK,
            "no append-only file is written: a restart of Redis loses what was acknowledged",
            "set appendonly yes and appendfsync always, in redis.conf too; if it is set, look whether its disk is full",
        ),
        Durability::LosesASecond if wanted == RedisDurability::Relaxed => {
            findings.ok(CHECK, "appendfsync everysec: about the last second may be lost, which is accepted");
        }
        Durability::LosesASecond => {
            let found = "appendfsync everysec: about the last acknowledged second is lost when Redis's machine fails";
            findings.fail(CHECK, found, ALWAYS);
        }
        Durability::LosesWhatIsNotWritten => {
            let found = "appendfsync no: half a minute of acknowledged events is lost when Redis's machine fails";
            findings.fail(CHECK, found, "set appendfsync always, or at least everysec");
        }
        Durability::Unknown if wanted == RedisDurability::Relaxed => {
            findings.ok(CHECK, "it writes an append-only file; when it syncs that is not told");
        }
        Durability::Unknown => findings.warn(
            CHECK,
            "it writes an append-only file; when it syncs that is not told (CONFIG is forbidden here)",
            "ask its provider for appendfsync always, or accept the loss of a second with --redis-durability relaxed",
        ),
    }
}

async fn check_backlog(queue: &RedisQueue, findings: &mut Findings) {
    match queue.backlog().await {
        Ok(backlog) if backlog.dead_letters > 0 => findings.warn(
            "letters",
            format!("{} envelopes could not be counted", backlog.dead_letters),
            "tallymark dead-letter list",
        ),
        Ok(backlog) => findings.ok("backlog", format!("{} envelopes wait", backlog.entries)),
        Err(error) => findings.fail("backlog", error.to_string(), "look at Redis's own log"),
    }
}

async fn check_published(options: &Options, findings: &mut Findings) {
    const CHECK: &str = "registry";
    let Some(redis) = registry_redis(options) else { return };
    let Ok(registry) = RedisRegistry::new(redis, None) else { return };
    match registry.published_version().await {
        Ok(Some(_)) => findings.ok(CHECK, "projects are published to the collectors"),
        Ok(None) => findings.fail(
            CHECK,
            "no projects are published: collectors answer 503",
            "start `tallymark process` or `tallymark serve`: it publishes within a second",
        ),
        Err(error) => findings.fail(CHECK, error.to_string(), "look at Redis's own log"),
    }
    registry.close().await;
}

/// Files that options name: each is read as the server would.
async fn check_files(options: &Options, findings: &mut Findings) {
    const CHECK: &str = "files";
    const ADVICE: &str = "let the user that the server runs as read it, or name another";
    if let Some(path) = &options.secret_file {
        match Secret::read(path) {
            Ok(_) => findings.ok(CHECK, format!("--secret-file {} is one", path.display())),
            Err(error) => {
                findings.fail(CHECK, format!("--secret-file: {:#}", anyhow::Error::from(error)), ADVICE);
            }
        }
    }
    if let Some(path) = &options.geoip_file {
        match Places::by_file(path).await {
            Ok(_) => findings.ok(CHECK, format!("--geoip-file {} can be used", path.display())),
            Err(error) => {
                findings.fail(CHECK, format!("--geoip-file: {:#}", anyhow::Error::from(error)), ADVICE);
            }
        }
    }
    if options.redis_url.is_some() && options.secret_file.is_none() {
        findings.warn(
            "salts",
            "no --secret-file: visits without any id (persistence: none) are refused by collectors on Redis",
            "head -c 32 /dev/urandom > FILE; give every collector the same --secret-file FILE",
        );
    }
}
