//! What a setting may be. Everything that comes from outside passes here once.

use tallymark_protocol::limits::LABEL_BYTES_MAX;
use tallymark_protocol::settings::PatternError;

use crate::model::parse_zone;

/// Days of a century: whoever wants more wants for ever.
const RETENTION_DAYS_MAX: i64 = 36_500;
/// Raw rows are kept for at least this: events may come late by up to two days less, and by one at least.
pub(crate) const RAW_RETENTION_DAYS_MIN: i64 = 3;
/// A session without activity for a day is none.
const SESSION_TIMEOUT_MINUTES_MAX: i64 = 24 * 60;
/// Counts cross JSON, whose readers hold no larger whole number exactly.
const QUOTA_MAX: i64 = 1 << 53;

/// A setting that cannot be so; says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {detail}")]
pub struct SettingError {
    /// Which setting, by its name in JSON; the command line's option is called the same.
    pub setting: &'static str,
    /// What is wrong with it, and what to write.
    pub detail: String,
}

impl SettingError {
    /// `detail` is wrong with `setting`.
    pub fn new(setting: &'static str, detail: impl Into<String>) -> Self {
        Self { setting, detail: detail.into() }
    }

    pub(crate) fn pattern(setting: &'static str, error: &PatternError) -> Self {
        Self::new(setting, error.to_string())
    }
}

/// A name that people give, without the space around it.
///
/// # Errors
/// [`SettingError`] for one that is empty, too long, or not in one line.
pub fn check_name(setting: &'static str, text: &str) -> Result<String, SettingError> {
    let name = text.trim();
    if name.is_empty() || name.len() > LABEL_BYTES_MAX || name.chars().any(char::is_control) {
        let detail = format!("{name:?} is no name: write 1 to {LABEL_BYTES_MAX} bytes of text in one line");
        return Err(SettingError::new(setting, detail));
    }
    Ok(name.to_owned())
}

/// The zone's own name.
pub(crate) fn zone(name: &str) -> Result<String, SettingError> {
    let zone = parse_zone(name.trim());
    let own_name = zone.as_ref().and_then(jiff::tz::TimeZone::iana_name);
    own_name.map(str::to_owned).ok_or_else(|| {
        SettingError::new("timezone", format!("{name:?} is no time zone; write one like Europe/Berlin"))
    })
}

pub(crate) fn session_timeout(minutes: i64) -> Result<i32, SettingError> {
    let within = (1..=SESSION_TIMEOUT_MINUTES_MAX).contains(&minutes);
    narrow(minutes).filter(|_| within).ok_or_else(|| {
        let detail = format!("{minutes} minutes; write 1 to {SESSION_TIMEOUT_MINUTES_MAX}");
        SettingError::new("session_timeout_minutes", detail)
    })
}

pub(crate) fn raw_retention(days: i64) -> Result<i32, SettingError> {
    if days > 0 && days < RAW_RETENTION_DAYS_MIN {
        let detail = format!("{days} days; write at least {RAW_RETENTION_DAYS_MIN}, or 0 for ever");
        return Err(SettingError::new("retention_days", detail));
    }
    retention("retention_days", days)
}

pub(crate) fn retention(setting: &'static str, days: i64) -> Result<i32, SettingError> {
    let within = (0..=RETENTION_DAYS_MAX).contains(&days);
    narrow(days).filter(|_| within).ok_or_else(|| {
        let detail = format!("{days} days; write at most {RETENTION_DAYS_MAX}, or 0 for ever");
        SettingError::new(setting, detail)
    })
}

/// Events in a minute; 0 is no limit.
pub(crate) fn rate(setting: &'static str, events: Option<i64>) -> Result<Option<i32>, SettingError> {
    let Some(events) = events.filter(|events| *events != 0) else { return Ok(None) };
    narrow(events).filter(|events| *events > 0).map(Some).ok_or_else(|| {
        SettingError::new(setting, format!("{events} events; write 1 to {}, or 0 for no limit", i32::MAX))
    })
}

/// Events in a month; 0 is no limit.
pub(crate) fn quota(events: Option<i64>) -> Result<Option<i64>, SettingError> {
    match events {
        None | Some(0) => Ok(None),
        Some(events) if (1..=QUOTA_MAX).contains(&events) => Ok(Some(events)),
        Some(events) => Err(SettingError::new(
            "quota_per_month",
            format!("{events} events; write 1 to {QUOTA_MAX}, or 0 for no limit"),
        )),
    }
}

fn narrow(number: i64) -> Option<i32> {
    i32::try_from(number).ok()
}
