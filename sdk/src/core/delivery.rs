//! What waits to be sent, and when it goes: batching by count and time, retry, and leaving.

use alloc::string::String;
use alloc::vec::Vec;

use tallymark_protocol::limits::{ENVELOPE_EVENTS_MAX, KEEPALIVE_BYTES_MAX};

use super::answer::{Answer, Verdict, backoff_ms};
use super::json::write_u64;
use super::limits::{ANSWER_TIMEOUT_MS, ENVELOPE_BYTES_MAX, KEEPALIVE_STAYING_BYTES_MAX, WAITING_BYTES_MAX};
use super::record::{Envelope, Head, Record, begin_envelope, extend_envelope};

/// The queue of one tracker. It stores and sends nothing itself: [`Delivery::next`] says what to send,
/// and every [`Change`] what to store or delete.
#[derive(Debug)]
pub struct Delivery {
    head: Head,
    /// What keys of records start with; a number follows.
    key_prefix: String,
    keys: u32,
    records: Vec<Record>,
    bytes: usize,
    /// Events of records that are not on their way. Kept, not summed: a `track` costs the same however
    /// many wait.
    waiting: usize,
    /// Records that are on their way.
    flying: usize,
    batch_events: usize,
    batch_interval_ms: u64,
    /// Events of an envelope; smaller than a batch after a 413.
    envelope_events: usize,
    /// When the oldest event began to wait; 0 to send at once.
    waiting_since: u64,
    flights: u32,
    flight_started_at: u64,
    failures: u32,
    /// No request before this, by our own choice …
    not_before: u64,
    /// … and by the collector's, which holds when leaving too.
    not_before_asked: u64,
    stopped: bool,
    dropped: u32,
    dice: u8,
}

/// A point in the life of a page at which something may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The page stays.
    Staying,
    /// The page may be gone in a moment.
    Leaving,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make this request, then ask again.
    Send(Envelope),
    /// Ask again after this many milliseconds, or when something happens.
    Wait(u64),
    /// Nothing to do until something happens.
    Idle,
}

/// What to change in storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Write this text under this key.
    Store(String, String),
    /// Delete the record of this key, if it still has this text.
    Delete(String, String),
}

impl Delivery {
    /// A queue whose records go to, and say of their page load, what `head` says. Their keys in storage
    /// start with `key_prefix`. `dice` is a random byte: pages that failed together come back apart.
    #[must_use]
    pub fn new(
        head: Head,
        key_prefix: String,
        batch_events: usize,
        batch_interval_ms: u64,
        dice: u8,
    ) -> Self {
        let batch_events = batch_events.clamp(1, ENVELOPE_EVENTS_MAX);
        Self {
            head,
            key_prefix,
            keys: 0,
            records: Vec::new(),
            bytes: 0,
            waiting: 0,
            flying: 0,
            batch_events,
            batch_interval_ms,
            envelope_events: batch_events,
            waiting_since: 0,
            flights: 0,
            flight_started_at: 0,
            failures: 0,
            not_before: 0,
            not_before_asked: 0,
            stopped: false,
            dropped: 0,
            dice,
        }
    }

    /// How many events were given up: refused by a full queue, or part of a body that can never work.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Takes an event; gives back key and text of the record that it joined, to be stored. `None` where
    /// the queue is full.
    pub fn push(&mut self, event: &str, now: u64) -> Option<(&str, &str)> {
        if self.bytes + event.len() > WAITING_BYTES_MAX {
            self.dropped += 1;
            return None;
        }
        if self.waiting == 0 {
            self.waiting_since = now;
        }
        if !self.records.last().is_some_and(|record| record.has_room(event.len())) {
            let key = self.fresh_key();
            self.bytes += self.head.0.len();
            self.records.push(Record::new(key, &self.head.0));
        }
        self.bytes += event.len() + 1;
        self.waiting += 1;
        let record = self.records.last_mut()?;
        record.push(event);
        Some((&record.key, &record.text))
    }

    /// Takes a record that another page load left; it is sent at the next occasion. Text that is no
    /// record is to be deleted.
    pub fn adopt(&mut self, key: String, text: String) -> Option<Change> {
        if self.bytes + text.len() > WAITING_BYTES_MAX {
            return None; // stays stored, for a page load that has room
        }
        let bytes = text.len();
        match Record::parse(key, text) {
            Ok(record) => {
                self.bytes += bytes;
                self.waiting += record.events;
                self.records.push(record);
                self.waiting_since = 0;
                None
            }
            Err((key, text)) => Some(Change::Delete(key, text)),
        }
    }

    /// Sends what waits at the next occasion, without waiting for more and in spite of our own backoff:
    /// for `flush`, and when the browser is back online.
    pub fn hurry(&mut self) {
        self.waiting_since = 0;
        self.not_before = 0;
    }

    /// Says what to do at `now`.
    pub fn next(&mut self, moment: Moment, now: u64) -> Step {
        let leaving = moment == Moment::Leaving;
        if self.stopped {
            return Step::Idle;
        }
        if !leaving && let Some(step) = self.wait(now) {
            return step;
        }
        if now < self.not_before_asked {
            return Step::Wait(self.not_before_asked - now);
        }
        self.envelope(leaving, now).map_or(Step::Idle, Step::Send)
    }

    /// Learns what became of a request; says what to change in storage.
    pub fn answered(&mut self, flight: u32, answer: Answer, now: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        if !self.records.iter().any(|record| record.flight == flight) {
            return changes; // given up long ago, or taken over when leaving
        }
        match answer.verdict() {
            Verdict::Forget => {
                self.failures = 0;
                self.envelope_events = self.batch_events.min(self.envelope_events * 2);
                self.settle(flight, &mut changes);
            }
            Verdict::Drop => {
                self.dropped += self.settle(flight, &mut changes);
            }
            Verdict::Halve => self.halve(flight, &mut changes),
            Verdict::Stop => self.stopped = true,
            Verdict::Keep => {
                self.back_off(Some(flight), now);
                let asked_ms = answer.retry_after_ms();
                if asked_ms > 0 {
                    self.not_before_asked = now + asked_ms;
                }
            }
        }
        changes
    }

    fn fresh_key(&mut self) -> String {
        self.keys += 1;
        let mut key = self.key_prefix.clone();
        write_u64(&mut key, u64::from(self.keys));
        key
    }

    /// What to wait for while the page stays; `None` where something is to be sent now.
    fn wait(&mut self, now: u64) -> Option<Step> {
        if self.flying > 0 {
            let until = self.flight_started_at + ANSWER_TIMEOUT_MS;
            if now < until {
                return Some(Step::Wait(until - now));
            }
            self.back_off(None, now);
        }
        let waiting = self.waiting;
        if waiting == 0 {
            return Some(Step::Idle);
        }
        let due = if waiting >= self.batch_events { 0 } else { self.waiting_since + self.batch_interval_ms };
        let due = if self.waiting_since == 0 { 0 } else { due }.max(self.not_before);
        (now < due).then(|| Step::Wait(due - now))
    }

    /// Gathers the next envelope; its records are on their way from then on.
    fn envelope(&mut self, leaving: bool, now: u64) -> Option<Envelope> {
        let in_keepalive: usize =
            self.records.iter().filter(|record| record.keepalive).map(|record| record.text.len()).sum();
        let budget =
            if leaving { KEEPALIVE_BYTES_MAX.saturating_sub(in_keepalive) } else { ENVELOPE_BYTES_MAX };
        let flight = self.flights + 1;
        let (mut events, mut bytes) = (0, 0);
        let (mut head, mut url, mut body) = (String::new(), String::new(), String::new());
        for record in &mut self.records {
            let first = events == 0;
            // A request that would die with the page is made anew when leaving: the server absorbs repeats.
            let on_its_way = record.flight > 0 && (record.keepalive || !leaving);
            let fits = bytes + record.text.len() <= budget || (first && !leaving);
            if on_its_way || !fits || !(first || record.head() == head) {
                continue;
            }
            if !first && events + record.events > self.envelope_events {
                break;
            }
            if first {
                head = record.head().into();
                (url, body) = begin_envelope(&head, now);
            }
            extend_envelope(&mut body, record);
            events += record.events;
            bytes += record.text.len();
            if record.flight == 0 {
                self.waiting -= record.events;
                self.flying += 1;
            }
            record.flight = flight;
            record.open = false;
        }
        if events == 0 {
            return None;
        }
        body.push_str("]}");
        let keepalive =
            leaving || (self.failures == 0 && in_keepalive + bytes <= KEEPALIVE_STAYING_BYTES_MAX);
        for record in self.records.iter_mut().filter(|record| record.flight == flight) {
            record.keepalive = keepalive;
        }
        self.flights = flight;
        self.flight_started_at = now;
        Some(Envelope { flight, url, body, keepalive })
    }

    /// Removes the records of `flight`; returns how many events they held.
    fn settle(&mut self, flight: u32, changes: &mut Vec<Change>) -> u32 {
        let mut events = 0;
        for record in core::mem::take(&mut self.records) {
            if record.flight == flight {
                events += record.events as u32;
                self.flying -= 1;
                self.bytes = self.bytes.saturating_sub(record.text.len());
                changes.push(Change::Delete(record.key, record.text));
            } else {
                self.records.push(record);
            }
        }
        events
    }

    /// Sends the events of `flight` again, fewer at a time; a single one that is too large is given up.
    fn halve(&mut self, flight: u32, changes: &mut Vec<Change>) {
        let events: usize =
            self.records.iter().filter(|record| record.flight == flight).map(|record| record.events).sum();
        if events <= 1 {
            self.dropped += self.settle(flight, changes);
            return;
        }
        self.envelope_events = events / 2;
        for record in core::mem::take(&mut self.records) {
            if record.flight == flight && record.events > self.envelope_events {
                // The halves are stored before the whole is gone: a page that dies here repeats, never loses.
                let halves = record.halves([self.fresh_key(), self.fresh_key()]);
                self.bytes += record.head().len();
                self.flying += 1;
                for half in halves {
                    changes.push(Change::Store(half.key.clone(), half.text.clone()));
                    self.records.push(half);
                }
                changes.push(Change::Delete(record.key, record.text));
            } else {
                self.records.push(record);
            }
        }
        self.release(Some(flight));
    }

    /// Tries the records of `flight` again later, or of every request where none is named.
    fn back_off(&mut self, flight: Option<u32>, now: u64) {
        self.release(flight);
        self.failures += 1;
        self.not_before = now + backoff_ms(self.failures, self.dice);
    }

    fn release(&mut self, flight: Option<u32>) {
        for record in &mut self.records {
            if record.flight > 0 && flight.is_none_or(|flight| flight == record.flight) {
                record.flight = 0;
                record.keepalive = false;
                self.flying -= 1;
                self.waiting += record.events;
            }
        }
        self.waiting_since = 0;
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
