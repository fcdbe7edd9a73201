//! Changing a project: one transaction that holds the project, counts the change and keeps commits out where they
//! depend on what changes.

use tallymark_protocol::settings::OriginPattern;

use super::check::{self, SettingError};
use super::origin::check_origins;
use super::project::Project;

/// The settings of a project by name, as they stand in JSON; the command line's options are called the same.
pub const PROJECT_SETTINGS: [&str; 11] = [
    "name",
    "timezone",
    "origins",
    "session_timeout_minutes",
    "retention_days",
    "hourly_retention_days",
    "daily_retention_days",
    "rate_limit_per_minute",
    "address_rate_limit_per_minute",
    "quota_per_month",
    "keep_addresses",
];

/// What is to change about a project: checked, and valid ever after. What was not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectChange {
    name: Option<String>,
    time_zone: Option<String>,
    pub(super) origins: Option<Vec<OriginPattern>>,
    session_timeout_minutes: Option<i32>,
    retention_days: Option<i32>,
    hourly_retention_days: Option<i32>,
    daily_retention_days: Option<i32>,
    rate_limit_per_minute: Option<Option<i32>>,
    address_rate_limit_per_minute: Option<Option<i32>>,
    quota_per_month: Option<Option<i64>>,
    keep_addresses: Option<bool>,
}

impl ProjectChange {
    /// What people call it.
    ///
    /// # Errors
    /// [`SettingError`], as of all of these.
    pub fn name(&mut self, name: &str) -> Result<(), SettingError> {
        self.name = Some(check::check_name("name", name)?);
        Ok(())
    }

    /// The IANA name of the zone in which hours and days are counted from now on.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn time_zone(&mut self, name: &str) -> Result<(), SettingError> {
        self.time_zone = Some(check::zone(name)?);
        Ok(())
    }

    /// Which pages may send. None, or `*` among them: any.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn origins<T: AsRef<str>>(&mut self, patterns: &[T]) -> Result<(), SettingError> {
        self.origins = Some(check_origins(patterns)?);
        Ok(())
    }

    /// Minutes without activity after which the server begins a new session.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn session_timeout_minutes(&mut self, minutes: i64) -> Result<(), SettingError> {
        self.session_timeout_minutes = Some(check::session_timeout(minutes)?);
        Ok(())
    }

    /// Days for which events and sessions are kept; 0: for ever.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn retention_days(&mut self, days: i64) -> Result<(), SettingError> {
        self.retention_days = Some(check::raw_retention(days)?);
        Ok(())
    }

    /// Days for which hourly numbers are kept; 0: for ever.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn hourly_retention_days(&mut self, days: i64) -> Result<(), SettingError> {
        self.hourly_retention_days = Some(check::retention("hourly_retention_days", days)?);
        Ok(())
    }

    /// Days for which daily numbers are kept; 0: for ever.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn daily_retention_days(&mut self, days: i64) -> Result<(), SettingError> {
        self.daily_retention_days = Some(check::retention("daily_retention_days", days)?);
        Ok(())
    }

    /// Events that the project may send in a minute; `None` or 0: any number.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn rate_limit_per_minute(&mut self, events: Option<i64>) -> Result<(), SettingError> {
        self.rate_limit_per_minute = Some(check::rate("rate_limit_per_minute", events)?);
        Ok(())
    }

    /// Events that one address may send to the project in a minute; `None` or 0: any number.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn address_rate_limit_per_minute(&mut self, events: Option<i64>) -> Result<(), SettingError> {
        self.address_rate_limit_per_minute = Some(check::rate("address_rate_limit_per_minute", events)?);
        Ok(())
    }

    /// Events that are counted in a UTC month; `None` or 0: any number.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn quota_per_month(&mut self, events: Option<i64>) -> Result<(), SettingError> {
        self.quota_per_month = Some(check::quota(events)?);
        Ok(())
    }

    /// Whether the addresses that events come from are stored with them.
    pub fn keep_addresses(&mut self, keep: bool) {
        self.keep_addresses = Some(keep);
    }

    /// Whether nothing was set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether commits count by what changes: they must not be under way meanwhile.
    pub(super) fn touches_counting(&self) -> bool {
        self.time_zone.is_some() || self.session_timeout_minutes.is_some()
    }

    /// The project as it is after the change, but for its origins and version.
    pub(super) fn on(&self, before: &Project) -> Project {
        let mut after = before.clone();
        macro_rules! take {
            ($($field:ident),+) => {
                $(if let Some(value) = &self.$field { after.$field.clone_from(value); })+
            };
        }
        take!(name, time_zone, session_timeout_minutes, retention_days, hourly_retention_days);
        take!(daily_retention_days, rate_limit_per_minute, address_rate_limit_per_minute);
        take!(quota_per_month, keep_addresses);
        after
    }
}

/// By name, what differs between two states of a project.
pub(super) fn differences(before: &Project, after: &Project) -> Vec<&'static str> {
    let differs = [
        ("name", before.name != after.name),
        ("timezone", before.time_zone != after.time_zone),
        ("session_timeout_minutes", before.session_timeout_minutes != after.session_timeout_minutes),
        ("retention_days", before.retention_days != after.retention_days),
        ("hourly_retention_days", before.hourly_retention_days != after.hourly_retention_days),
        ("daily_retention_days", before.daily_retention_days != after.daily_retention_days),
        ("rate_limit_per_minute", before.rate_limit_per_minute != after.rate_limit_per_minute),
        (
            "address_rate_limit_per_minute",
            before.address_rate_limit_per_minute != after.address_rate_limit_per_minute,
        ),
        ("quota_per_month", before.quota_per_month != after.quota_per_month),
        ("keep_addresses", before.keep_addresses != after.keep_addresses),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// What a change came to.
pub(crate) enum Done<T> {
    /// Something changed: it is to be kept, under a new version.
    Changed(T),
    /// Nothing did.
    Same(T),
}

/// How far a change keeps commits out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Not at all.
    Project,
    /// Commits of the project end before it and begin after it: they count by what changes.
    Counting,
}

/// Runs `body` in a transaction that holds the project, and answers what it came to. Where something changed the
/// project's version goes up; where nothing did, nothing is written. Changes of one project wait for each other.
///
/// The body is the same for both databases; `$tx` is a connection of either.
macro_rules! change {
    ($store:expr, $project_id:expr, $hold:expr, |$tx:ident| $body:expr) => {{
        macro_rules! run {
            ($begun:expr) => {{
                let mut begun = $begun;
                let counted = sqlx::query("update project set version = version + 1 where id = $1")
                    .bind($project_id)
                    .execute(&mut *begun)
                    .await?;
                if counted.rows_affected() == 0 {
                    return Err($crate::StoreError::UnknownProject($project_id));
                }
                let $tx = &mut *begun;
                match $body {
                    $crate::projects::Done::Changed(value) => {
                        begun.commit().await?;
                        Ok(value)
                    }
                    $crate::projects::Done::Same(value) => {
                        begun.rollback().await?;
                        Ok(value)
                    }
                }
            }};
        }
        match &$store.backend {
            $crate::Backend::Postgres(store) => run!(store.begin_change($project_id, $hold).await?),
            // The one writer: no commit is under way beside it.
            $crate::Backend::Sqlite(store) => run!(store.begin_write().await?),
        }
    }};
}
pub(crate) use change;
