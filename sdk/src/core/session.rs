//! One visit, shared by all tabs of a site.

use alloc::string::String;

use tallymark_protocol::limits::{SESSION_HOURS_MAX, SESSION_IDLE_MINUTES};

use super::json::write_u64;

const IDLE_MS: u64 = SESSION_IDLE_MINUTES as u64 * 60_000;
const LENGTH_MS: u64 = SESSION_HOURS_MAX as u64 * 3_600_000;

/// Activity nearer together than this is not written down again: storage is shared with the page.
const NOTED_EVERY_MS: u64 = 1_000;

/// A session as it is stored: its id, when it began and when it was last active, in Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `UUIDv7` of the session.
    pub id: String,
    started_at: u64,
    active_at: u64,
}

impl Session {
    /// A session that begins at `now`.
    #[must_use]
    pub fn begin(id: String, now: u64) -> Self {
        Self { id, started_at: now, active_at: now }
    }

    /// Reads what [`Session::to_text`] wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, times) = (text.get(..36)?, text.get(36..)?);
        let mut numbers = [None; 2];
        let mut read = 0;
        for byte in times.bytes() {
            match byte {
                b' ' => {
                    read += 1;
                    *numbers.get_mut(read - 1)? = Some(0);
                }
                b'0'..=b'9' => {
                    let number = numbers.get_mut(read.checked_sub(1)?)?.as_mut()?;
                    *number = u64::saturating_add(u64::saturating_mul(*number, 10), u64::from(byte - b'0'));
                }
                _ => return None,
            }
        }
        let [started_at, active_at] = numbers;
        Some(Self { id: id.into(), started_at: started_at?, active_at: active_at? })
    }

    /// The session as text, for every tab to read.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.id.clone();
        for number in [self.started_at, self.active_at] {
            text.push(' ');
            write_u64(&mut text, number);
        }
        text
    }

    /// Whether activity at `now` belongs to another session. A clock that was set back ends it too, once
    /// by more than a session's idle time.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        now.abs_diff(self.active_at) >= IDLE_MS || self.is_outlived(now)
    }

    /// Whether the session has reached its greatest length: nothing at `now` can belong to it.
    #[must_use]
    pub fn is_outlived(&self, now: u64) -> bool {
        now.saturating_sub(self.started_at) >= LENGTH_MS
    }

    /// Notes activity at `now`; says whether that is worth writing down.
    pub fn note_activity(&mut self, now: u64) -> bool {
        let worth = now >= self.active_at + NOTED_EVERY_MS;
        if worth {
            self.active_at = now;
        }
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";
    const T: u64 = 1_763_622_000_000;

    #[test]
    fn thirty_idle_minutes_end_a_session() {
        let session = Session::begin(ID.into(), T);
        assert!(!session.is_over(T + 30 * 60_000 - 1));
        assert!(session.is_over(T + 30 * 60_000));
    }

    #[test]
    fn a_day_ends_a_session_however_busy() {
        let mut session = Session::begin(ID.into(), T);
        for minute in 0..24 * 60 {
            assert!(!session.is_over(T + minute * 60_000));
            session.note_activity(T + minute * 60_000);
        }
        assert!(session.is_over(T + 24 * 60 * 60_000));
    }

    #[test]
    fn what_one_tab_writes_another_reads() {
        let mut session = Session::begin(ID.into(), T);
        session.note_activity(T + 5_000);
        assert_eq!(Session::parse(&session.to_text()), Some(session));
    }

    #[test]
    fn text_of_others_is_no_session() {
        for text in ["", "x", "null", "0190163d 1 2", &alloc::format!("{ID} 1"), &alloc::format!("{ID} a b")]
        {
            assert_eq!(Session::parse(text), None, "{text}");
        }
    }

    #[test]
    fn activity_within_the_same_second_is_not_written_again() {
        let mut session = Session::begin(ID.into(), T);
        assert!(!session.note_activity(T + 999));
        assert!(session.note_activity(T + 1_000));
    }

    #[test]
    fn a_clock_set_back_by_an_hour_begins_a_session() {
        assert!(Session::begin(ID.into(), T).is_over(T - 3_600_000));
    }
}
