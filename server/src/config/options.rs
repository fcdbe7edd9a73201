//! The command line: its doc comments are the `--help`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::admin::{
    EventSourceCommand, ProjectCommand, PropertyCommand, ShieldCommand, TokenCommand, WriteKeyCommand,
};

/// Counts what people do on websites, and can prove it.
///
/// `tallymark serve` runs everything in one process and needs nothing beside it. To spread the work, run any number
/// of `collect` and `process` over one Redis and one PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Every option is also read from TALLYMARK_… in the environment or .env, and from \
    tallymark.toml (listen = \"0.0.0.0:8080\"). Flags go over environment, environment over file."
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
}

impl From<Arguments> for Settings {
    fn from(arguments: Arguments) -> Self {
        let mut options = arguments.options;
        // Compose files set what they do not use to nothing.
        for text in [&mut options.redis_url, &mut options.database_url, &mut options.public_url] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        Self { options, command: arguments.command }
    }
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Read options from this file [default: tallymark.toml, if it is there]
    #[arg(long, global = true, env = "TALLYMARK_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where to listen for HTTP [default: 127.0.0.1:8080; `process` listens, for its probes, only where this is given]
    #[arg(long, global = true, env = "TALLYMARK_LISTEN", value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// How long the oldest event may wait for its processing before /ready says no, in seconds
    #[arg(long, global = true, env = "TALLYMARK_READY_LAG_SECONDS", value_name = "SECONDS", default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) ready_lag_seconds: u64,

    /// The address under which browsers reach this server [default: http:// and what it listens on]
    #[arg(long, global = true, env = "TALLYMARK_PUBLIC_URL", value_name = "URL")]
    pub(crate) public_url: Option<String>,

    /// Where the embedded queue and database live; one server owns it
    #[arg(
        long,
        global = true,
        env = "TALLYMARK_DATA_DIR",
        value_name = "DIR",
        default_value = "tallymark-data"
    )]
    pub(crate) data_dir: PathBuf,

    /// Places of addresses: a MaxMind-format file (.mmdb), read again when it changes
    #[arg(long, global = true, env = "TALLYMARK_GEOIP_FILE", value_name = "FILE")]
    pub(crate) geoip_file: Option<PathBuf>,

    /// Queue in Redis 7+ instead of the embedded queue: `redis://[user:password@]host[:port][/db]`
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

    /// A file of at least 32 random bytes, the same for all collectors: what they share through Redis about visitors without
    /// cookies is sealed with it
    #[arg(long, global = true, env = "TALLYMARK_SECRET_FILE", value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    /// Store in PostgreSQL 15+ instead of SQLite: `postgres://user:password@host[:port]/database`
    #[arg(long, global = true, env = "TALLYMARK_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,

    /// Events that the processor commits in one transaction, at most
    #[arg(long, global = true, env = "TALLYMARK_BATCH_MAX", value_name = "EVENTS", default_value_t = 5_000,
        value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) batch_max: u32,

    /// How long the processor waits for the first event of a batch, in milliseconds
    #[arg(long, global = true, env = "TALLYMARK_LINGER_MS", value_name = "MS", default_value_t = 500,
        value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) linger_ms: u64,

    /// How logs are written
    #[arg(long, global = true, env = "TALLYMARK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// What is logged: error, warn, info, debug or trace, also by crate (info,tallymark_processor=debug)
    #[arg(
        long,
        global = true,
        env = "TALLYMARK_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info,sqlx=warn"
    )]
    pub(crate) log_level: String,
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
    /// Declare properties of events, so that rollups hold them
    #[command(subcommand)]
    Property(PropertyCommand),
    /// Create, list and revoke the secret tokens that read and manage
    #[command(subcommand)]
    Token(TokenCommand),
}

/// Options of the roles that show pages.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RoleOptions {
    /// Make a demo project and show a small shop at /demo/ whose pages carry the tracker
    #[arg(long)]
    pub(crate) demo: bool,
}

