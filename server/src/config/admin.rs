//! The command line of the admin commands: its doc comments are the `--help`.

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::values;

/// What to do with projects. Works whether or not a server runs on the same database.
#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Create a project, with a write key for its pages and a read token for you
    Create {
        /// What people call it
        name: String,
        #[command(flatten)]
        settings: ProjectOptions,
        /// Print one JSON object: id, name, write_key, token
        #[arg(long)]
        json: bool,
    },
    /// List projects and the write keys that work; as JSON with their settings
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one project's settings
    Show {
        /// The project's id, from `project list`
        id: i32,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Change settings of a project; running collectors follow within seconds
    #[command(after_help = "What is not named stays as it is. Example:\n  \
        tallymark project set 1 --origin https://shop.example --origin 'https://*.shop.example' --quota-per-month 100000")]
    Set {
        /// The project's id, from `project list`
        id: i32,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: ProjectOptions,
        /// Print the project as it is now, as one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Settings of a project. What is not given stays as it is, or is the default.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ProjectOptions {
    /// Pages of this origin may send: `https://shop.example`, `https://*.shop.example` (its subdomains), `*` (any). May be
    /// given several times; together they replace what was there [default: any]
    #[arg(long = "origin", value_name = "URL")]
    pub(crate) origins: Vec<String>,
    /// The zone in which hours and days are counted from now on, like Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<String>,
    /// Minutes without activity after which the server begins a new session [default: 30]
    #[arg(long, value_name = "MINUTES", value_parser = values::minutes, allow_negative_numbers = true)]
    pub(crate) session_timeout_minutes: Option<i64>,
    /// Days for which events and sessions are to be kept, at least 3; 0: for ever. It says how late events may come; nothing
    /// is deleted by it yet [default: 90]
    #[arg(long, value_name = "DAYS", value_parser = values::days, allow_negative_numbers = true)]
    pub(crate) retention_days: Option<i64>,
    /// Days for which hourly numbers are to be kept; 0: for ever. Nothing is deleted by it yet [default: 365]
    #[arg(long, value_name = "DAYS", value_parser = values::days, allow_negative_numbers = true)]
    pub(crate) hourly_retention_days: Option<i64>,
    /// Days for which daily numbers are to be kept; 0: for ever. Nothing is deleted by it yet [default: 1826]
    #[arg(long, value_name = "DAYS", value_parser = values::days, allow_negative_numbers = true)]
    pub(crate) daily_retention_days: Option<i64>,
    /// Events that the project may send in a minute, or none for no limit [default: none]
    #[arg(long, value_name = "EVENTS", value_parser = limit, allow_negative_numbers = true)]
    pub(crate) rate_limit_per_minute: Option<Limit>,
    /// Events that one address may send to the project in a minute, or none for no limit [default: none]
    #[arg(long, value_name = "EVENTS", value_parser = limit, allow_negative_numbers = true)]
    pub(crate) address_rate_limit_per_minute: Option<Limit>,
    /// Events that are counted in a UTC month, or none for no limit [default: none]
    #[arg(long, value_name = "EVENTS", value_parser = limit, allow_negative_numbers = true)]
    pub(crate) quota_per_month: Option<Limit>,
    /// Whether the addresses that events come from are stored with them: true or false [default: false]
    #[arg(long, value_name = "BOOL")]
    pub(crate) keep_addresses: Option<bool>,
}

/// A number of events; `None`: no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(pub(crate) Option<i64>);

fn limit(text: &str) -> Result<Limit, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Limit(None));
    }
    let limit = text.parse().map_err(|_| "write a whole number, or none for no limit".to_owned())?;
    Ok(Limit(Some(limit)))
}

/// What to do with the keys that stand in pages. A project may have several, so that a new one can take over before the
/// old one is revoked.
#[derive(Debug, Subcommand)]
pub(crate) enum WriteKeyCommand {
    /// Create one more write key
    Create {
        /// The project's id
        project: i32,
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        /// Print one JSON object: key, name, created_at, revoked_at
        #[arg(long)]
        json: bool,
    },
    /// List a project's write keys, revoked ones too
    List {
        /// The project's id
        project: i32,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Revoke a write key: collectors refuse it within seconds
    Revoke {
        /// The project's id
        project: i32,
        /// The key, from `write-key list`
        key: String,
        /// Print one JSON object: revoked
        #[arg(long)]
        json: bool,
    },
}

/// What to do with event sources: the apps that send, by the name in their events' `event_source`. All are on unless
/// switched off.
#[derive(Debug, Subcommand)]
pub(crate) enum EventSourceCommand {
    /// List the event sources that were switched on or off
    List {
        /// The project's id
        project: i32,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Take events of this source
    On(EventSourceName),
    /// Take no events of this source: each is answered as `event_source_off`
    Off(EventSourceName),
}

/// Which event source.
#[derive(Args, Debug)]
pub(crate) struct EventSourceName {
    /// The project's id
    pub(crate) project: i32,
    /// The name, as it stands in events
    pub(crate) name: String,
    /// Print one JSON object: name, is_on, created_at
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with shields: traffic that is not to be counted.
#[derive(Debug, Subcommand)]
pub(crate) enum ShieldCommand {
    /// Keep traffic out
    #[command(after_help = "address     203.0.113.7, or a network: 203.0.113.0/24\n\
        hostname    staging.shop.example, or *.shop.example for its subdomains\n\
        path        /admin/*, where * stands for any characters\n\
        user-agent  a part of it, in any case: pingdom")]
    Add {
        /// The project's id
        project: i32,
        /// What it looks at: address, hostname, path or user-agent
        kind: String,
        /// What it keeps out
        pattern: String,
        /// Print one JSON object: id, kind, pattern, created_at
        #[arg(long)]
        json: bool,
    },
    /// List a project's shields
    List {
        /// The project's id
        project: i32,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove a shield
    Remove {
        /// The project's id
        project: i32,
        /// The shield's id, from `shield list`
        #[arg(value_parser = values::shield_id)]
        id: Uuid,
        /// Print one JSON object: removed
        #[arg(long)]
        json: bool,
    },
}

/// What to do with declared properties: those of events that rollups are to hold. Declarations are kept; rollups do not
/// hold them yet.
#[derive(Debug, Subcommand)]
pub(crate) enum PropertyCommand {
    /// Declare a property, for events that come from now on; rollups do not hold it yet
    Declare {
        /// The project's id
        project: i32,
        /// The event's name, a dot, and the property's, which has none itself: feature_used.feature_name
        #[arg(value_name = "EVENT.PROPERTY")]
        property: EventProperty,
        /// What its values are
        #[arg(long, value_enum, default_value_t = ValueKind::Text)]
        kind: ValueKind,
        /// Print one JSON object: event, property, kind, declared_at
        #[arg(long)]
        json: bool,
    },
    /// List a project's declared properties
    List {
        /// The project's id
        project: i32,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Take a declaration back
    Remove {
        /// The project's id
        project: i32,
        /// The event's name, a dot, and the property's
        #[arg(value_name = "EVENT.PROPERTY")]
        property: EventProperty,
        /// Print one JSON object: removed
        #[arg(long)]
        json: bool,
    },
}

/// A property of an event.
#[derive(Clone, Debug)]
pub(crate) struct EventProperty {
    pub(crate) event: String,
    pub(crate) property: String,
}

impl std::str::FromStr for EventProperty {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Names of events have dots more often than names of properties.
        let parts =
            text.rsplit_once('.').filter(|(event, property)| !event.is_empty() && !property.is_empty());
        let (event, property) = parts.ok_or("write EVENT.PROPERTY, like feature_used.feature_name")?;
        Ok(Self { event: event.to_owned(), property: property.to_owned() })
    }
}

/// What the values of a property are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ValueKind {
    /// Counted by value.
    Text,
    /// Added up, too.
    Number,
}

/// What to do with secret tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token; its secret is printed once and kept nowhere
    Create {
        /// What it is for
        name: String,
        /// The project that it is for [default: every project]
        #[arg(long, value_name = "ID")]
        project: Option<i32>,
        /// It may change settings, too, by the management API
        #[arg(long)]
        admin: bool,
        /// Print one JSON object: id, name, project, role, created_at, revoked_at, token
        #[arg(long)]
        json: bool,
    },
    /// List tokens, without their secrets
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token
    Revoke {
        /// The token's id, from `token list`
        #[arg(value_parser = values::token_id)]
        id: Uuid,
        /// Print one JSON object: revoked
        #[arg(long)]
        json: bool,
    },
}
