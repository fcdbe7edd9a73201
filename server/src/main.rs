//! `tallymark`: every role and every admin command in one binary.
//!
//! The only place that picks backends: it reads the configuration once, opens the store, the queue and the
//! registry that it names, and hands them to the stages. It holds no rule of its own about events.

mod admin;
mod backends;
mod clock;
mod config;
mod data_dir;
mod demo;
mod lifecycle;
mod log;
mod operate;
mod out;
mod probes;
mod roles;
mod secrets;
mod web;

use std::process::ExitCode;

use config::{Command, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let settings = match config::read() {
        Ok(settings) => settings,
        Err(error) => error.exit(),
    };
    log::start(&settings.options);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tallymark: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tallymark: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let Settings { options, command, in_force } = settings;
    match command {
        Command::Serve(role) => roles::serve(options, role).await,
        Command::Collect(role) => roles::collect(options, role).await,
        Command::Query => roles::query(options).await,
        Command::Process => roles::process(options).await,
        Command::Migrate => admin::migrate(options).await,
        Command::Project(command) => admin::project(options, command).await,
        Command::WriteKey(command) => admin::write_key(options, command).await,
        Command::EventSource(command) => admin::event_source(options, command).await,
        Command::Shield(command) => admin::shield(options, command).await,
        Command::Property(command) => admin::property(options, command).await,
        Command::Token(command) => admin::token(options, command).await,
        Command::Status { json } => operate::status(options, json).await,
        Command::Doctor { json } => operate::doctor(options, json).await,
        Command::Config { json } => operate::config(&in_force, json),
        Command::DeadLetter(command) => operate::dead_letter(options, command).await,
    }
}
