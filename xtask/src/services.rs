//! A PostgreSQL and a Redis of our own: fresh, on free ports of the loopback interface, gone when we are done.
//!
//! Nothing that the machine runs already is used or touched.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::children::{Running, Signal, pause, tied};
use crate::run::{exists, step};
use crate::scratch::Scratch;
use crate::setup::{Needed, apt_install, is_root};

/// The oldest PostgreSQL that the product runs on.
const POSTGRES_MAJOR_MIN: u32 = 15;

/// The oldest Redis that the product runs on.
const REDIS_MAJOR_MIN: u32 = 7;

/// How long a server may take to answer its first client.
const READY_MAX: Duration = Duration::from_secs(60);

/// Where Debian and Ubuntu keep PostgreSQL's programs, a folder for each major version.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// PostgreSQL refuses to run as root; its Debian package brings this user.
const POSTGRES_USER: &str = "postgres";

/// The database's superuser.
const ROLE: &str = "tallymark";

const REDIS: Needed = Needed { program: "redis-server", package: "redis-server" };
const POSTGRES: Needed = Needed { program: "postgres", package: "postgresql" };

/// What PostgreSQL does for a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Everything, as in production: a bench measures it, and a demo shows it.
    Full,
    /// Nothing: a test kills processes, never the machine, and waits less.
    None,
}

/// Installs PostgreSQL and Redis, and `others`, where they are missing.
///
/// # Errors
/// Names what is missing where it cannot be installed from here, or is too old.
pub(crate) fn install(others: &[Needed]) -> anyhow::Result<()> {
    let mut needed = others.to_vec();
    needed.push(REDIS);
    if postgres_programs().is_none() {
        needed.push(POSTGRES);
    }
    apt_install(&needed)
}

/// Makes PostgreSQL ready to be started.
///
/// # Errors
/// Like [`install`].
pub(crate) fn install_postgres() -> anyhow::Result<()> {
    if postgres_programs().is_some() { Ok(()) } else { apt_install(&[POSTGRES]) }
}

/// A running PostgreSQL. Dropping it stops it and deletes its data.
pub(crate) struct Postgres {
    /// Its address, with the role and the database `postgres`.
    pub(crate) url: String,
    // Fields are dropped in this order: the server, then its folder.
    _server: Running,
    _scratch: Scratch,
}

impl Postgres {
    /// Starts a fresh PostgreSQL and waits until it answers.
    ///
    /// # Errors
    /// With the end of its log.
    pub(crate) fn start(durability: Durability) -> anyhow::Result<Self> {
        step("starting PostgreSQL", || {
            let programs = postgres_programs().context("PostgreSQL is not installed")?;
            ensure_version(&programs.join("postgres"), POSTGRES_MAJOR_MIN)?;
            let user = is_root().then_some(POSTGRES_USER);
            let owner =
                user.map(|user| Ok::<_, anyhow::Error>((id(user, "-u")?, id(user, "-g")?))).transpose()?;
            let scratch = Scratch::new("postgres", user)?;
            let folder = scratch.folder("postgres", owner)?;
            let log = scratch.path().join("postgres.log");
            let data = folder.join("data");
            init_database(&programs, &data, user, &log)?;
            let port = free_port()?;
            let mut command = postgres_command(&programs, &data, port, user, durability)?;
            log_to(&mut command, &log)?;
            let mut server = Running::start("PostgreSQL", &mut command, Signal::Quit)?;
            wait_ready(&mut server, &log, || postgres_answers(&data))?;
            let url = format!("postgres://{ROLE}@127.0.0.1:{port}/postgres");
            Ok(Self { url, _server: server, _scratch: scratch })
        })
    }
}

fn init_database(programs: &Path, data: &Path, user: Option<&str>, log: &Path) -> anyhow::Result<()> {
    let mut command = tied(programs.join("initdb"), Signal::Term, user)?;
    command.arg("--pgdata").arg(data).args(["--username", ROLE, "--auth", "trust", "--no-sync"]);
    command.args(["--encoding", "UTF8", "--locale", "C"]).current_dir("/");
    log_to(&mut command, log)?;
    let status = command.status().context("cannot start initdb")?;
    ensure!(status.success(), "initdb ended with {status}; {}", tail(log));
    Ok(())
}

fn postgres_command(
    programs: &Path,
    data: &Path,
    port: u16,
    user: Option<&str>,
    durability: Durability,
) -> anyhow::Result<Command> {
    let mut command = tied(programs.join("postgres"), Signal::Quit, user)?;
    command.arg("-D").arg(data).current_dir("/");
    let port = format!("port={port}");
    // No Unix socket: its path would be limited in length, and nobody asks for it.
    let mut settings = vec!["listen_addresses=127.0.0.1", &port, "unix_socket_directories="];
    settings.extend(["shared_buffers=256MB", "max_connections=300", "max_wal_size=4GB"]);
    if durability == Durability::None {
        settings.extend(["fsync=off", "full_page_writes=off"]);
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    Ok(command)
}

/// The server writes into this file where it stands; the last line is its state.
fn postgres_answers(data: &Path) -> bool {
    let state = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    state.lines().nth(7).is_some_and(|state| state.trim() == "ready")
}

/// A running Redis that has each write on disk before it answers. Dropping it stops it and deletes its data.
pub(crate) struct Redis {
    /// Its address.
    pub(crate) url: String,
    _server: Running,
    _scratch: Scratch,
}

impl Redis {
    /// Starts a fresh Redis and waits until it answers.
    ///
    /// # Errors
    /// With the end of its log.
    pub(crate) fn start() -> anyhow::Result<Self> {
        step("starting Redis", || {
            ensure_version(Path::new(REDIS.program), REDIS_MAJOR_MIN)?;
            let scratch = Scratch::new("redis", None)?;
            let log = scratch.path().join("redis.log");
            let port = free_port()?;
            let mut command = tied(REDIS.program, Signal::Term, None)?;
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
            command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(scratch.path());
            log_to(&mut command, &log)?;
            let mut server = Running::start("Redis", &mut command, Signal::Term)?;
            wait_ready(&mut server, &log, || redis_answers(port))?;
            Ok(Self { url: format!("redis://127.0.0.1:{port}"), _server: server, _scratch: scratch })
        })
    }
}

fn redis_answers(port: u16) -> bool {
    let ping = || -> std::io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(1)))?;
        connection.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        connection.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    ping().unwrap_or(false)
}

fn wait_ready(server: &mut Running, log: &Path, answers: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !answers() {
        if let Some(status) = server.poll()? {
            bail!("{} ended with {status}; {}", server.name(), tail(log));
        }
        ensure!(started.elapsed() < READY_MAX, "{} does not answer; {}", server.name(), tail(log));
        pause()?;
    }
    Ok(())
}

/// The newest PostgreSQL's programs.
fn postgres_programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN_POSTGRES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").is_file() && programs.join("postgres").is_file())
        .collect();
    versions.sort();
    if let Some((_, programs)) = versions.pop() {
        return Some(programs);
    }
    // Elsewhere they are found like any program: joined to nothing, a name is searched.
    (exists("postgres") && exists("initdb")).then(PathBuf::new)
}

/// Every program says `… 15.8 …` or `… v=7.0.15 …`.
fn ensure_version(program: &Path, major_min: u32) -> anyhow::Result<()> {
    let answer = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    let major = major(&said).with_context(|| format!("{} says no version: {said}", program.display()))?;
    ensure!(major >= major_min, "version {major_min} or newer is needed, and this is: {said}");
    Ok(())
}

fn major(said: &str) -> Option<u32> {
    let version = said.split_whitespace().map(|word| word.trim_start_matches("v="));
    version.filter_map(|word| word.split_once('.').map_or(word, |(major, _)| major).parse().ok()).next()
}

/// A port that was free a moment ago: a server cannot be told to pick one and say which.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// A number of `user`'s: `-u` its own, `-g` its group's.
fn id(user: &str, which: &str) -> anyhow::Result<u32> {
    let answer = Command::new("id").args([which, user]).output().context("cannot start `id`")?;
    let number = String::from_utf8_lossy(&answer.stdout).trim().parse();
    number.with_context(|| format!("there is no user `{user}`, and PostgreSQL does not run as root"))
}

fn log_to(command: &mut Command, log: &Path) -> anyhow::Result<()> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot write {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("its log ends with:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_answer_where_they_say_and_leave_nothing() {
        let (postgres, redis) = (Postgres::start(Durability::None).unwrap(), Redis::start().unwrap());
        let server = |url: &str| -> SocketAddr {
            let address = url.rsplit_once("//").unwrap().1.rsplit('@').next().unwrap();
            address.split('/').next().unwrap().parse().unwrap()
        };
        let (addresses, folders) = (
            [server(&postgres.url), server(&redis.url)],
            [postgres._scratch.path().to_owned(), redis._scratch.path().to_owned()],
        );
        assert!(addresses.iter().all(|address| TcpStream::connect(address).is_ok()));
        drop((postgres, redis));
        assert!(addresses.iter().all(|address| TcpStream::connect(address).is_err()));
        assert!(!folders.iter().any(|folder| folder.exists()));
    }

    #[test]
    fn the_major_version_is_found_in_what_programs_say() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), None);
        assert_eq!(major("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"), Some(7));
        assert_eq!(major("nothing"), None);
    }
}
