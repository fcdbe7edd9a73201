//! The command line: its doc comments are the `--help`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::admin::{
    EventSourceCommand, ProjectCommand, PropertyCommand, ShieldCommand, TokenCommand, WriteKeyCommand,
};
use super::values;

/// Counts what people do on websites, and can prove it.
///
/// `tallymark serve` runs everything in one process and needs nothing beside it. To spread the work, run any number
/// of `collect` and `process` over one Redis and one PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Every option is also read from TALLYMARK_… in the environment or .env, and from \
    tallymark.toml (listen = \"0.0.0.0:8080\"). Flags go over environment, environment over file; what is set to nothing \
    is not set."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// What a process was told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) command: Command,
    /// The options as texts, for `tallymark config`.
    pub(crate) in_force: Vec<super::InForce>,
}

impl From<Arguments> for Settings {
    fn from(arguments: Arguments) -> Self {
        let mut options = arguments.options;
        // Compose files set what they do not use to nothing.
        for text in [&mut options.redis_url, &mut options.database_url, &mut options.public_url] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        Self { options, command: arguments.command, in_force: Vec::new() }
    }
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Options {
    /// Read options from this file [default: tallymark.toml, if it is there]
    #[arg(long, global = true, env = "TALLYMARK_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where to listen for HTTP [default: 127.0.0.1:8080; `process` listens, for its probes, only where this is given]
    #[arg(long, global = true, env = "TALLYMARK_LISTEN", value_name = "ADDR", value_parser = values::listen)]
    pub(crate) listen: Option<SocketAddr>,

    /// How long the oldest event may wait for its processing before /ready says no, in seconds
    #[arg(long, global = true, env = "TALLYMARK_READY_LAG_SECONDS", value_name = "SECONDS", default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) ready_lag_seconds: u64,

    /// The address under which browsers reach this server [default: http:// and what it listens on]
    #[arg(long, global = true, env = "TALLYMARK_PUBLIC_URL", value_name = "URL", value_parser = values::public_url)]
    pub(crate) public_url: Option<String>,

    /// Where the embedded queue and database live, and what waits for a Redis that is away; one server owns it
    #[arg(
        long,
        global = true,
        env = "TALLYMARK_DATA_DIR",
        value_name = "DIR",
        default_value = "tallymark-data"
    )]
    pub(crate) data_dir: PathBuf,

    /// Proxies whose word on a client's address and country is taken: addresses, networks, `loopback`, `private`, with
    /// commas between them; may be given several times, and is a list in tallymark.toml [default: none]
    #[arg(long, global = true, env = "TALLYMARK_TRUSTED_PROXY", value_name = "PROXIES")]
    pub(crate) trusted_proxy: Vec<String>,

    /// Places of addresses: a MaxMind-format file (.mmdb), read again when it changes
    #[arg(long, global = true, env = "TALLYMARK_GEOIP_FILE", value_name = "FILE")]
    pub(crate) geoip_file: Option<PathBuf>,

    /// Queue in Redis 7+ instead of the embedded queue: `redis://[user:password@]host[:port][/db]`; `rediss://` for
    /// TLS
    #[arg(long, global = true, env = "TALLYMARK_REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) redis_url: Option<String>,

    /// What all keys in Redis begin with
    #[arg(
        long,
        global = true,
        env = "TALLYMARK_REDIS_PREFIX",
        value_name = "TEXT",
        default_value = "tallymark:"
    )]
    pub(crate) redis_prefix: String,

    /// A file that holds the password of Redis, which goes over the one in the URL; read at every connect, so that a new
    /// password needs no restart
    #[arg(long, global = true, env = "TALLYMARK_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) redis_password_file: Option<PathBuf>,

    /// Certificates (PEM) of who vouches for a Redis at `rediss://…` [default: the public authorities]
    #[arg(long, global = true, env = "TALLYMARK_REDIS_CA_FILE", value_name = "FILE")]
    pub(crate) redis_ca_file: Option<PathBuf>,

    /// Streams that the queue in Redis is spread over; their number only grows
    #[arg(long, global = true, env = "TALLYMARK_REDIS_PARTITIONS", value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(tallymark_queue::PARTITIONS_MAX)))]
    pub(crate) redis_partitions: u16,

    /// Bytes of envelopes that may wait in the queue before collectors answer 503 [default: 1 GiB]
    #[arg(long, global = true, env = "TALLYMARK_BACKLOG_BYTES_MAX", value_name = "BYTES", value_parser = values::bytes)]
    pub(crate) backlog_bytes_max: Option<u64>,

    /// Bytes of envelopes that may wait on this machine's disk while Redis is away; then collectors answer 503
    /// [default: 1 GiB]
    #[arg(long, global = true, env = "TALLYMARK_SPOOL_BYTES_MAX", value_name = "BYTES", value_parser = values::bytes)]
    pub(crate) spool_bytes_max: Option<u64>,

    /// How long a delivered entry may stay uncommitted before another processor takes it over, in seconds; longer than any
    /// commit takes
    #[arg(long, global = true, env = "TALLYMARK_RECLAIM_IDLE_SECONDS", value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) reclaim_idle_seconds: u64,

    /// A file of at least 32 random bytes, the same for all collectors: what they share through Redis about visitors without
    /// cookies is sealed with it
    #[arg(long, global = true, env = "TALLYMARK_SECRET_FILE", value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    /// Store in PostgreSQL 15+ instead of SQLite: `postgres://user:password@host[:port]/database`
    #[arg(long, global = true, env = "TALLYMARK_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,

    /// Events that the processor commits in one transaction, at most
    #[arg(long, global = true, env = "TALLYMARK_BATCH_MAX", value_name = "EVENTS", default_value_t = 2_000,
        value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) batch_max: u32,

    /// How long the processor waits for the first event of a batch, in milliseconds
    #[arg(long, global = true, env = "TALLYMARK_LINGER_MS", value_name = "MS", default_value_t = 500,
        value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) linger_ms: u64,

    /// What `doctor` demands of Redis: strict (every acknowledged event survives Redis's machine: appendfsync always), or
    /// relaxed (the last second may not)
    #[arg(long, global = true, env = "TALLYMARK_REDIS_DURABILITY", value_enum, default_value_t = RedisDurability::Strict)]
    pub(crate) redis_durability: RedisDurability,

    /// How logs are written
    #[arg(long, global = true, env = "TALLYMARK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// What is logged: error, warn, info, debug or trace, also by crate (info,tallymark_processor=debug)
    #[arg(
        long,
        global = true,
        env = "TALLYMARK_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info,sqlx=warn",
        value_parser = values::log_level
    )]
    pub(crate) log_level: String,
}

/// What is demanded of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RedisDurability {
    /// Nothing acknowledged is lost.
    Strict,
    /// What Redis wrote in its last second may be.
    Relaxed,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process: capture, queue, processor, store, query API
    Serve(RoleOptions),
    /// Run a collector: take events over HTTP into Redis. With --database-url it answers queries too
    Collect(RoleOptions),
    /// Run the query API alone
    Query,
    /// Run a processor: from Redis into the database
    Process,
    /// Bring the database's schema up to this version's
    Migrate,
    /// Create, list and change projects
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Create, list and revoke the keys that stand in a project's pages
    #[command(subcommand)]
    WriteKey(WriteKeyCommand),
    /// Switch the events of an app on or off
    #[command(subcommand)]
    EventSource(EventSourceCommand),
    /// Keep addresses, hosts, paths and user agents out of the numbers
    #[command(subcommand)]
    Shield(ShieldCommand),
    /// Declare properties of events that rollups are to hold; they do not yet
    #[command(subcommand)]
    Property(PropertyCommand),
    /// Create, list and revoke the secret tokens that read and manage
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show what comes in, what waits, and what is amiss
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Check what the promises rest on: data directory, store, queue, Redis's settings. Fails where one is not well
    Doctor {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the options in force and where each comes from; secrets are masked
    Config {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// List, show and replay envelopes that could not be counted
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
}

/// Options of the roles that show pages.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RoleOptions {
    /// Make a demo project and show a small shop at /demo/ whose pages carry the tracker
    #[arg(long)]
    pub(crate) demo: bool,
}

/// What to do with envelopes that were set aside. Works on Redis, on a data directory, and beside its running server.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List them, the oldest first, with the reason of each
    List {
        /// How many, at most
        #[arg(long, value_name = "NUMBER", default_value_t = 100,
            value_parser = values::at_least_one)]
        limit: usize,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one with everything that is in it
    Show {
        /// Its id, from `dead-letter list`
        id: String,
        /// Print it on one line
        #[arg(long)]
        json: bool,
    },
    /// Put them back into the queue, once the cause is gone: each counts once, however often it is replayed
    Replay {
        /// Their ids, from `dead-letter list`
        #[arg(value_name = "ID", conflicts_with = "all")]
        ids: Vec<String>,
        /// Every one that is there now
        #[arg(long)]
        all: bool,
        /// Print one JSON object: replayed
        #[arg(long)]
        json: bool,
    },
}
