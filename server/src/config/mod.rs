//! Configuration: flags over environment over files over defaults, read and checked once.

mod admin;
mod files;
mod options;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches};

pub(crate) use admin::{
    EventSourceCommand, EventSourceName, ProjectCommand, ProjectOptions, PropertyCommand, ShieldCommand,
    TokenCommand, ValueKind, WriteKeyCommand,
};
pub(crate) use options::{Command, LogFormat, Options, RoleOptions, Settings};

/// Reads the configuration of this process. The error says by itself what to change; `--help` is one too.
pub(crate) fn read() -> Result<Settings, clap::Error> {
    #[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
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
    let refuse = |command: &mut clap::Command, detail: String| {
        command.error(clap::error::ErrorKind::ValueValidation, detail)
    };
    let dotenv = files::dotenv(&directory.join(".env")).map_err(|detail| refuse(&mut command, detail))?;
    let named = config_file(&arguments, &environment);
    if let Some(missing) = named.as_ref().filter(|file| !file.exists()) {
        return Err(refuse(&mut command, format!("--config: there is no file {}", missing.display())));
    }
    let config_file = named.unwrap_or_else(|| directory.join("tallymark.toml"));
    let known: Vec<String> = command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    let file = files::toml(&config_file, &known).map_err(|detail| refuse(&mut command, detail))?;
    for id in known {
        let own = format!("TALLYMARK_{}", id.to_uppercase());
        let fallback = FALLBACKS.iter().find(|(name, _)| *name == id).map(|(_, variable)| *variable);
        let value = dotenv
            .get(&own)
            .cloned()
            .or_else(|| fallback.and_then(&environment))
            .or_else(|| fallback.and_then(|variable| dotenv.get(variable).cloned()))
            .or_else(|| file.get(&id).cloned());
        if let Some(value) = value {
            command = command.mut_arg(id, |argument| argument.default_value(value));
        }
    }
    let matches = command.try_get_matches_from_mut(arguments)?;
    options::Arguments::from_arg_matches(&matches).map(Into::into).map_err(|error| error.format(&mut command))
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
