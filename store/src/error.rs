//! What can go wrong with a store, by what the caller can do about it.

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was at the same rows: the whole transaction may simply be tried again.
    #[error("the store asks to try the transaction again")]
    Conflict(#[source] sqlx::Error),
    /// The store cannot be reached, is shutting down or is out of space: later the same call may work.
    #[error("the store cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// The same call fails each time.
    #[error("the store refuses this for good")]
    Refused(#[source] sqlx::Error),
    /// A row that does not hold what the schema promises.
    #[error("{table}.{column} holds what this version cannot read: {detail}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Events of a project that the store does not know.
    #[error("there is no project {0}")]
    UnknownProject(i32),
    /// The address of a store is none that we can open.
    #[error("{0}")]
    Address(String),
    /// The schema could not be brought up to date.
    #[error("the schema cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Whether the same transaction, tried again at once, may well go through.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether waiting may help.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => {
                Self::Unavailable(error)
            }
            E::Database(database) => match verdict(database.as_ref()) {
                Verdict::Conflict => Self::Conflict(error),
                Verdict::Unavailable => Self::Unavailable(error),
                Verdict::Refused => Self::Refused(error),
            },
            _ => Self::Refused(error),
        }
    }
}

enum Verdict {
    Conflict,
    Unavailable,
    Refused,
}

fn verdict(error: &dyn sqlx::error::DatabaseError) -> Verdict {
    let Some(code) = error.code() else { return Verdict::Refused };
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        // SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
        return match &code[..] {
            "40001" | "40P01" | "23505" | "55P03" => Verdict::Conflict,
            // A check fails in one way only: no partition takes the event's day yet; one is being made.
            "23514" => Verdict::Unavailable,
            code if ["08", "53", "57", "58"].contains(&&code[..2]) => Verdict::Unavailable,
            _ => Verdict::Refused,
        };
    }
    // SQLite's result code, the extended one's low byte: 5 busy, 6 locked, 10 I/O, 13 full, 14 cannot open.
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) => Verdict::Conflict,
        Ok(10 | 13 | 14) => Verdict::Unavailable,
        _ => Verdict::Refused,
    }
}
