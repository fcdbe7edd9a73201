//! Configuration: flags over environment over files over defaults, read and checked once.

mod admin;
mod files;
mod options;
mod values;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use serde::Serialize;

pub(crate) use admin::{
    EventSourceCommand, EventSourceName, ProjectCommand, ProjectOptions, PropertyCommand, ShieldCommand,
    TokenCommand, ValueKind, WriteKeyCommand,
};
pub(crate) use options::{
    Command, DeadLetterCommand, LogFormat, Options, RedisDurability, RoleOptions, Settings,
};

/// Reads the configuration of this process. The error says by itself what to change; `--help` is one too.
pub(crate) fn read() -> Result<Settings, clap::Error> {
    #[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
    let environment = |name: &str| std::env::var(name).ok();
    parse(std::env::args_os().collect(), Path::new("."), environment)
}

/// The environment's fallbacks: what other tools of the field call the same thing.
const FALLBACKS: [(&str, &str); 2] = [("redis_url", "REDIS_URL"), ("database_url", "DATABASE_URL")];

fn parse(
    arguments: Vec<OsString>,
    directory: &Path,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Settings, clap::Error> {
    let mut command = options::Arguments::command();
    // Compose files set what they do not use to nothing.
    let is_empty = |id: &str| environment(&own_variable(id)).is_some_and(|value| value.is_empty());
    let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let refuse = |command: &mut clap::Command, detail: String| {
        command.error(clap::error::ErrorKind::ValueValidation, detail)
    };
    let dotenv = files::dotenv(&directory.join(".env")).map_err(|detail| refuse(&mut command, detail))?;
    let named = config_file(&arguments, environment);
    if let Some(missing) = named.as_ref().filter(|file| !file.exists()) {
        return Err(refuse(&mut command, format!("--config: there is no file {}", missing.display())));
    }
    let config_file = named.unwrap_or_else(|| directory.join("tallymark.toml"));
    let id = |argument: &clap::Arg| argument.get_id().to_string();
    let known: Vec<String> = command.get_arguments().map(id).collect();
    let lists: Vec<String> = command.get_arguments().filter(|argument| is_list(argument)).map(id).collect();
    let file = files::toml(&config_file, &known, &lists).map_err(|detail| refuse(&mut command, detail))?;
    let mut below = HashMap::new();
    for id in known.iter().cloned() {
        let own = own_variable(&id);
        if is_empty(&id) {
            command = command.mut_arg(&id, |argument| argument.env(None::<&'static str>));
        }
        let fallback = FALLBACKS.iter().find(|(name, _)| *name == id).map(|(_, variable)| *variable);
        let in_dotenv = |name: &str| Some((dotenv.get(name)?.clone(), format!(".env, {name}")));
        let found = in_dotenv(&own)
            .or_else(|| fallback.and_then(|variable| Some((environment(variable)?, variable.to_owned()))))
            .or_else(|| fallback.and_then(in_dotenv))
            .or_else(|| Some((file.get(&id)?.clone(), config_file.display().to_string())));
        if let Some((value, from)) = found.filter(|(value, _)| !value.is_empty()) {
            below.insert(id.clone(), from);
            command = command.mut_arg(id, |argument| argument.default_value(value));
        }
    }
    let matches = command.try_get_matches_from_mut(arguments)?;
    let arguments =
        options::Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok(Settings { in_force: in_force(&matches, &known, &below), ..arguments.into() })
}

/// The variable in the environment that stands for an option.
fn own_variable(id: &str) -> String {
    format!("TALLYMARK_{}", id.to_uppercase())
}

/// Whether an option may be given several times.
fn is_list(argument: &clap::Arg) -> bool {
    matches!(argument.get_action(), clap::ArgAction::Append)
}

/// An option's value and where it comes from, for people.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct InForce {
    pub(crate) option: String,
    /// `None`: not set. Passwords in URLs are masked.
    pub(crate) value: Option<String>,
    pub(crate) from: String,
}

/// Every option as it is in force. `below` says where those come from that neither flag nor environment gave.
fn in_force(matches: &clap::ArgMatches, known: &[String], below: &HashMap<String, String>) -> Vec<InForce> {
    let options = known.iter().filter(|id| matches.try_contains_id(id).is_ok()).map(|id| {
        let texts = matches.get_raw(id).map(|values| values.map(|value| masked(&value.to_string_lossy())));
        let from = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "flag".to_owned(),
            Some(ValueSource::EnvVariable) => own_variable(id),
            _ => below.get(id).cloned().unwrap_or_else(|| "default".to_owned()),
        };
        let value = texts.map(|texts| texts.collect::<Vec<_>>().join(","));
        InForce { option: format!("--{}", id.replace('_', "-")), value, from }
    });
    options.collect()
}

/// A URL's password is nobody's to read in a terminal, before the host or in the query.
fn masked(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let rest = match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split([':', '/', '?']).next().unwrap_or_default();
            format!("{user}:***@{host}")
        }
        None => rest.to_owned(),
    };
    let Some((place, query)) = rest.split_once('?') else { return format!("{scheme}://{rest}") };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if name.contains("pass") => format!("{name}=***"),
        _ => pair.to_owned(),
    });
    format!("{scheme}://{place}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// The file that `--config` or `TALLYMARK_CONFIG` names: it must be known before the rest is read.
fn config_file(arguments: &[OsString], environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(|path| PathBuf::from(path.as_ref()));
        }
        if let Some(path) = argument.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
    }
    environment("TALLYMARK_CONFIG").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Settings, clap::Error> {
        let arguments =
            std::iter::once("tallymark").chain(arguments.iter().copied()).map(OsString::from).collect();
        let environment = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        parse(arguments, directory, environment)
    }

    #[test]
    fn flags_go_over_environment_over_dotenv_over_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        let listen = |arguments: &[&str], environment: &[(&str, &str)]| {
            let arguments: Vec<&str> = arguments.iter().copied().chain(["serve"]).collect();
            read_in(directory, &arguments, environment)
                .unwrap()
                .options
                .listen
                .map(|listen| listen.to_string())
        };
        assert_eq!(listen(&[], &[]), None);
        std::fs::write(directory.join("tallymark.toml"), "listen = \"127.0.0.1:1\"\n").unwrap();
        assert_eq!(listen(&[], &[]), Some("127.0.0.1:1".to_owned()));
        std::fs::write(directory.join(".env"), "# mine\nTALLYMARK_LISTEN='127.0.0.1:2'\n").unwrap();
        assert_eq!(listen(&[], &[]), Some("127.0.0.1:2".to_owned()));
        // clap itself reads the process's environment; flags go over all.
        assert_eq!(listen(&["--listen", "127.0.0.1:4"], &[]), Some("127.0.0.1:4".to_owned()));
    }

    #[test]
    fn the_fields_usual_names_are_fallbacks() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        let settings = read_in(directory, &["serve"], &[("REDIS_URL", "redis://there")]).unwrap();
        assert_eq!(settings.options.redis_url.as_deref(), Some("redis://there"));
    }

    #[test]
    fn options_in_force_say_where_they_come_from_and_keep_passwords_to_themselves() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tallymark.toml"), "batch-max = 7\n").unwrap();
        let arguments = ["--redis-url", "redis://me:secret@there:1", "config"];
        let settings = read_in(folder.path(), &arguments, &[("DATABASE_URL", "postgres://u:p@h/d")]).unwrap();
        let shown = |option: &str| {
            let found = settings.in_force.iter().find(|in_force| in_force.option == option).unwrap();
            (found.value.clone().unwrap_or_default(), found.from.clone())
        };
        assert_eq!(shown("--redis-url"), ("redis://me:***@there:1".into(), "flag".into()));
        assert_eq!(shown("--database-url"), ("postgres://u:***@h/d".into(), "DATABASE_URL".into()));
        assert!(shown("--batch-max").1.ends_with("tallymark.toml"));
        assert_eq!(shown("--linger-ms"), ("500".into(), "default".into()));
    }

    #[test]
    fn passwords_are_masked_wherever_they_stand_in_a_url() {
        assert_eq!(masked("redis://:p@h/1"), "redis://:***@h/1");
        assert_eq!(masked("postgres://h/d?user=u&password=p"), "postgres://h/d?user=u&password=***");
        assert_eq!(masked("postgres://u:p?q@h/d?a=b"), "postgres://u:***@h/d?a=b");
        assert!(!masked("postgres://h/d?user=u&password=se@cret").contains("se"));
        assert_eq!(masked("unix:///run/redis.sock?db=1&pass=p"), "unix:///run/redis.sock?db=1&pass=***");
        assert_eq!(masked("https://stats.example"), "https://stats.example");
    }

    #[test]
    fn lists_in_the_file_are_what_is_given_several_times() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tallymark.toml");
        std::fs::write(&file, "trusted-proxy = [\"loopback\", \"10.0.0.0/8\"]\n").unwrap();
        let settings = read_in(folder.path(), &["serve"], &[]).unwrap();
        assert_eq!(settings.options.trusted_proxy.join(","), "loopback,10.0.0.0/8");
        std::fs::write(&file, "data-dir = [\"a\", \"b\"]\n").unwrap();
        let error = read_in(folder.path(), &["serve"], &[]).unwrap_err().to_string();
        assert!(error.contains("data-dir"), "{error}");
    }

    #[test]
    fn what_is_set_to_nothing_is_not_set() {
        let folder = tempfile::tempdir().unwrap();
        let dotenv = "TALLYMARK_BATCH_MAX=\nTALLYMARK_GEOIP_FILE=\nTALLYMARK_TRUSTED_PROXY=\nDATABASE_URL=\n";
        std::fs::write(folder.path().join(".env"), dotenv).unwrap();
        std::fs::write(folder.path().join("tallymark.toml"), "secret-file = \"\"\n").unwrap();
        let options = read_in(folder.path(), &["serve"], &[]).unwrap().options;
        assert_eq!((options.geoip_file, options.secret_file, options.database_url), (None, None, None));
        assert!(options.trusted_proxy.is_empty());
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_in(folder.path(), &["--config", "/nowhere.toml", "serve"], &[]).unwrap_err();
        assert!(error.to_string().contains("/nowhere.toml"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        std::fs::write(directory.join("tallymark.toml"), "lissten = \"127.0.0.1:1\"\n").unwrap();
        let error = read_in(directory, &["serve"], &[]).unwrap_err().to_string();
        assert!(error.contains("lissten") && error.contains("listen"), "{error}");
    }
}
