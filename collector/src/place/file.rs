//! Places by address, from a MaxMind-format file that the operator keeps up to date.
//!
//! The file is held in memory, not mapped: who writes a new one over the old would take the ground from under a
//! mapping, and the process with it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};
use tallymark_protocol::Place;
use tokio::task::JoinSet;

use super::{country, region};

/// How often the file is looked at. A file is read once it has been the same twice: one that is being written changes.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a file gives no places.
#[derive(Debug, thiserror::Error)]
pub enum PlaceFileError {
    /// It is not there, or may not be read.
    #[error("cannot read {path}: name a MaxMind-format file (.mmdb) that this process may read, or none")]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is of another kind, or torn.
    #[error(
        "{path} is no MaxMind-format file: download it again, unpacked (GeoLite2-City.mmdb, dbip-city-lite.mmdb)"
    )]
    NotPlaces {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: MaxMindDbError,
    },
}

type Database = Reader<Vec<u8>>;

/// A file, and whoever looks whether it changes.
pub(super) struct PlaceFile {
    current: Arc<RwLock<Arc<Database>>>,
    /// Ends with this value; there is nothing to finish.
    _following: JoinSet<()>,
}

impl PlaceFile {
    /// Reads the file, and follows its changes from now on.
    pub(super) async fn open(path: &Path) -> Result<Self, PlaceFileError> {
        let read = Read::of(path).await?;
        let current = Arc::new(RwLock::new(Arc::new(read.database)));
        let mut following = JoinSet::new();
        following.spawn(follow(path.to_owned(), read.state, Arc::clone(&current)));
        Ok(Self { current, _following: following })
    }

    /// The place of an address; `None` where the file names no country for it.
    pub(super) fn place(&self, address: IpAddr) -> Option<Place> {
        let database = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let record = database.lookup(address).ok().filter(LookupResult::has_data)?;
        // Country and city editions of MaxMind and those who follow it; then files of one country code a record.
        let nested = text(&record, &["country", "iso_code"]);
        let code =
            nested.or_else(|| text(&record, &["country_code"])).or_else(|| text(&record, &["country"]));
        let country = country(code?)?;
        let subdivision =
            [PathElement::Key("subdivisions"), PathElement::Index(0), PathElement::Key("iso_code")];
        let region =
            record.decode_path::<&str>(&subdivision).ok().flatten().and_then(|code| region(&country, code));
        let city = text(&record, &["city", "names", "en"]).or_else(|| text(&record, &["city"]));
        let city = city.filter(|name| !name.is_empty()).map(str::to_owned);
        Some(Place { country: Some(country), region, city })
    }
}

/// What stands at a place of a record. A file of another form has something else there, or nothing.
fn text<'a>(record: &LookupResult<'a, Vec<u8>>, keys: &[&str]) -> Option<&'a str> {
    let path: Vec<PathElement<'_>> = keys.iter().map(|key| PathElement::Key(key)).collect();
    record.decode_path(&path).ok().flatten()
}

/// A file as it was read.
struct Read {
    database: Database,
    state: State,
}

/// By what a changed file is told from the one before: another file of this name, or another content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    file: (u64, u64),
    bytes: u64,
    written_at: (i64, i64),
    changed_at: (i64, i64),
}

impl State {
    fn of(path: &Path) -> io::Result<Self> {
        let facts = fs::metadata(path)?;
        Ok(Self {
            file: (facts.dev(), facts.ino()),
            bytes: facts.len(),
            written_at: (facts.mtime(), facts.mtime_nsec()),
            changed_at: (facts.ctime(), facts.ctime_nsec()),
        })
    }
}

impl Read {
    async fn of(path: &Path) -> Result<Self, PlaceFileError> {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let unreadable = |source| PlaceFileError::Unreadable { path: path.clone(), source };
            let state = State::of(&path).map_err(unreadable)?;
            let bytes = fs::read(&path).map_err(unreadable)?;
            let database =
                Reader::from_source(bytes).map_err(|source| PlaceFileError::NotPlaces { path, source })?;
            Ok(Self { database, state })
        });
        read.await.expect("reading a file does not panic")
    }
}

/// Looks for changes until it is dropped. A file that cannot be used leaves the one before in place, and is reported
/// once: the next is tried when it is there.
async fn follow(path: PathBuf, mut known: State, current: Arc<RwLock<Arc<Database>>>) {
    let mut seen = Some(known);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let state = State::of(&path).ok();
        let is_settled = state == seen;
        let was_seen = std::mem::replace(&mut seen, state);
        let Some(state) = state.filter(|state| is_settled && *state != known) else {
            if state.is_none() && was_seen.is_some() {
                tracing::warn!(file = %path.display(), "the file of places is gone; places stay those of before");
            }
            continue;
        };
        known = state;
        match Read::of(&path).await {
            Ok(read) => {
                let database = Arc::new(read.database);
                *current.write().unwrap_or_else(PoisonError::into_inner) = database;
                tracing::info!(file = %path.display(), "read the changed file of places");
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, source, "the changed file of places cannot be used; places stay those of before");
            }
        }
    }
}
