//! What can go wrong with a store, by what the caller can do about it.

use crate::projects::SettingError;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was at the same rows: the whole transaction may simply be tried again.
    #[error("the store asks to try the transaction again")]
    Conflict(#[source] sqlx::Error),
    /// The store cannot do it now: away, shutting down, read-only, out of space, without a table that is still to be
    /// made. Later the same call may work. Whatever is not known to be [`Refused`](Self::Refused) is this: giving an
    /// event up takes a proof, waiting does not.
    #[error("the store cannot do this now")]
    Unavailable(#[source] sqlx::Error),
    /// The data itself is at fault, a value that the database has no room or no form for: the same call fails each
    /// time.
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
    /// What somebody wants set cannot be so.
    #[error(transparent)]
    Setting(#[from] SettingError),
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

    /// Whether nobody answered, or only to say that it is starting or stopping: what a store is that is away, and
    /// what a wrong address or password is not.
    #[must_use]
    pub fn is_away(&self) -> bool {
        use sqlx::Error as E;
        match self {
            Self::Unavailable(E::Io(_) | E::PoolTimedOut) => true,
            // cannot_connect_now, admin_shutdown, crash_shutdown
            Self::Unavailable(E::Database(error)) => {
                error.code().is_some_and(|code| ["57P03", "57P01", "57P02"].contains(&&*code))
            }
            _ => false,
        }
    }

    /// Whether the same call fails each time, because of what it was given.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::UnknownProject(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Database(database) => match verdict(database.as_ref()) {
                Verdict::Conflict => Self::Conflict(error),
                Verdict::Unavailable => Self::Unavailable(error),
                Verdict::Refused => Self::Refused(error),
            },
            E::Encode(_) => Self::Refused(error),
            _ => Self::Unavailable(error),
        }
    }
}

enum Verdict {
    Conflict,
    Unavailable,
    Refused,
}

fn verdict(error: &dyn sqlx::error::DatabaseError) -> Verdict {
    let Some(code) = error.code() else { return Verdict::Unavailable };
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        // SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
        return match &code[..] {
            "40001" | "40P01" | "23505" | "55P03" => Verdict::Conflict,
            // A check fails in one way only: no partition takes the event's day yet; one is being made.
            "23514" => Verdict::Unavailable,
            // Data exception, integrity constraint, program limit (an index entry that is too large).
            code if ["22", "23", "54"].contains(&&code[..2]) => Verdict::Refused,
            _ => Verdict::Unavailable,
        };
    }
    // SQLite's result code, the extended one's low byte: 5 busy, 6 locked; 18 too big, 19 constraint, 20 mismatch.
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) => Verdict::Conflict,
        Ok(18..=20) => Verdict::Refused,
        _ => Verdict::Unavailable,
    }
}
