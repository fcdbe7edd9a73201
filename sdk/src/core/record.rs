//! What waits: small batches of events, each with all that is needed to send it.
//!
//! A record is text, so that whoever finds it in storage can send it unchanged:
//!
//! ```text
//! https://HOST/capture?write_key=wk_…        where to
//! "sdk":"…","context":{…},"events":[         the envelope up to its events, without `{` and `sent_at`
//! {…}                                        one event a line
//! {…}
//! ```
//!
//! JSON has no raw line breaks within a value, so lines are boundaries. The loader writes the same.

use alloc::string::String;

use super::json::write_u64;
use super::limits::{RECORD_BYTES_MAX, RECORD_EVENTS_MAX};

/// The first two lines of a record: where it goes, and the context of the page load that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head(pub String);

/// A record that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key in storage.
    pub key: String,
    /// As above.
    pub text: String,
    /// How many events it holds.
    pub events: usize,
    /// Length of the first two lines, without the line break after them.
    head_bytes: usize,
    /// The request that carries it; 0 for none.
    pub(crate) flight: u32,
    /// Whether that request survives the page.
    pub(crate) keepalive: bool,
    /// Events may still join. Closed for good once it was on its way: another tab may have adopted it.
    pub(crate) open: bool,
}

/// A request to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The number by which the answer is told apart.
    pub flight: u32,
    /// Where to.
    pub url: String,
    /// JSON.
    pub body: String,
    /// Whether it has to survive the page.
    pub keepalive: bool,
}

impl Record {
    /// An empty record that events may join.
    #[must_use]
    pub(crate) fn new(key: String, head: &str) -> Self {
        Self {
            key,
            text: head.into(),
            events: 0,
            head_bytes: head.len(),
            flight: 0,
            keepalive: false,
            open: true,
        }
    }

    /// Reads a record that another page load wrote.
    ///
    /// # Errors
    /// Gives back what is not whole.
    pub fn parse(key: String, text: String) -> Result<Self, (String, String)> {
        let Some(head_bytes) = line_end(&text, 1) else { return Err((key, text)) };
        let events = text.bytes().filter(|byte| *byte == b'\n').count() - 1;
        Ok(Self { key, text, events, head_bytes, flight: 0, keepalive: false, open: false })
    }

    /// Where it goes and in which context.
    pub(crate) fn head(&self) -> &str {
        self.text.get(..self.head_bytes).unwrap_or_default()
    }

    /// Its events, each a line that starts with a line break.
    pub(crate) fn lines(&self) -> &str {
        self.text.get(self.head_bytes..).unwrap_or_default()
    }

    pub(crate) fn has_room(&self, event_bytes: usize) -> bool {
        self.open
            && self.events < RECORD_EVENTS_MAX
            && (self.events == 0 || self.text.len() + event_bytes <= RECORD_BYTES_MAX)
    }

    pub(crate) fn push(&mut self, event: &str) {
        self.text.push('\n');
        self.text.push_str(event);
        self.events += 1;
    }

    /// Two records under `keys` that hold half of its events each, and travel as it does.
    pub(crate) fn halves(&self, keys: [String; 2]) -> [Self; 2] {
        let first_events = self.events / 2;
        let cut = line_end(&self.text, first_events + 1).unwrap_or(self.text.len()) - self.head_bytes;
        let half = |key: String, events: usize, lines: Option<&str>| {
            let mut half = Self::new(key, self.head());
            half.text.push_str(lines.unwrap_or_default());
            Self { events, flight: self.flight, open: false, ..half }
        };
        let [first, second] = keys;
        [
            half(first, first_events, self.lines().get(..cut)),
            half(second, self.events - first_events, self.lines().get(cut..)),
        ]
    }
}

/// Where line `line` of `text` ends, counted from 0; `None` where it is the last one.
///
/// Here and below texts are cut by `get`: a slice that may panic links `core::fmt`.
fn line_end(text: &str, line: usize) -> Option<usize> {
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').nth(line).map(|(at, _)| at)
}

/// The address in the first line of `head`, and the body of an envelope that is sent at `now`, up to its
/// events.
pub(crate) fn begin_envelope(head: &str, now: u64) -> (String, String) {
    let url_bytes = line_end(head, 0).unwrap_or(head.len());
    let mut body = String::from("{\"sent_at\":");
    write_u64(&mut body, now);
    body.push(',');
    body.push_str(head.get(url_bytes + 1..).unwrap_or_default());
    (head.get(..url_bytes).unwrap_or_default().into(), body)
}

/// Appends the events of `record` to the body of an envelope.
pub(crate) fn extend_envelope(body: &mut String, record: &Record) {
    // Every event is a line break and a line; the envelope wants commas between.
    let mut separator = if body.ends_with('[') { "" } else { "," };
    for letter in record.lines().chars() {
        if letter == '\n' {
            body.push_str(separator);
            separator = ",";
        } else {
            body.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const HEAD: &str = "https://h/capture?write_key=k\n\"sdk\":\"x\",\"events\":[";

    fn record(events: &[&str]) -> Record {
        let mut record = Record::new("key".into(), HEAD);
        for event in events {
            record.push(event);
        }
        record
    }

    #[test]
    fn what_one_page_wrote_the_next_one_reads() {
        let written = record(&["{1}", "{2}"]);
        let read = Record::parse("key".into(), written.text.clone()).expect("whole");
        assert_eq!((read.events, read.head(), read.open), (2, HEAD, false));
        assert_eq!(read.lines(), written.lines());
    }

    #[test]
    fn text_of_others_is_no_record() {
        for text in ["", "x", "a\nb"] {
            assert!(Record::parse("key".into(), text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_envelope_is_the_context_and_the_events() {
        let (url, mut body) = begin_envelope(HEAD, 7);
        extend_envelope(&mut body, &record(&["{1}", "{2}"]));
        extend_envelope(&mut body, &record(&["{3}"]));
        assert_eq!(url, "https://h/capture?write_key=k");
        assert_eq!(body, r#"{"sent_at":7,"sdk":"x","events":[{1},{2},{3}"#);
    }

    #[test]
    fn halves_hold_every_event_once() {
        for count in 2..9 {
            let names: alloc::vec::Vec<String> = (0..count).map(|n| alloc::format!("{{{n}}}")).collect();
            let whole = record(&names.iter().map(String::as_str).collect::<alloc::vec::Vec<_>>());
            let [first, second] = whole.halves(["a".into(), "b".into()]);
            assert_eq!(first.events + second.events, count);
            assert_eq!(first.lines().to_string() + second.lines(), whole.lines());
            assert_eq!(second.lines().matches('\n').count(), second.events);
        }
    }

    #[test]
    fn a_full_record_takes_no_more() {
        let mut full = record(&["{}"]);
        assert!(full.has_room(10));
        assert!(!full.has_room(RECORD_BYTES_MAX));
        for _ in 1..RECORD_EVENTS_MAX {
            full.push("{}");
        }
        assert!(!full.has_room(1));
    }
}
