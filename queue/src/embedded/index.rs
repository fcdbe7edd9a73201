//! What the segments hold, in memory: where each entry stands, and whether it waits, is delivered or acked.
//! Payloads stay in the files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::{Acked, Checkpoint};
use super::frame::Label;
use super::open::OldSegment;
use super::tries::{Known, Tries};
use crate::{Backlog, BatchLimit, Handle};

/// Names an entry: its segment, and the byte offset of its record there. Both only grow; neither is ever
/// used twice, so that a stale ack can never hit another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// One entry's place and label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) label: Label,
}

/// An entry taken for delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) position: Position,
    pub(super) bytes: u32,
    pub(super) tries: u32,
}

impl Taken {
    pub(super) const fn handle(self) -> Handle {
        Handle { partition: 0, major: self.position.segment, minor: self.position.offset, bytes: self.bytes }
    }
}

#[derive(Debug, Default)]
struct Segment {
    records: Vec<(Record, bool)>, // with: acked
    unacked: usize,
    sealed: bool,
}

/// All segments' entries.
#[derive(Debug, Default)]
pub(super) struct Index {
    segments: BTreeMap<u64, Segment>,
    /// Everything before was delivered at least once.
    next: (u64, usize),
    /// Taken by a read that was dropped before it could deliver.
    given_back: BTreeSet<Position>,
    /// Delivered, and when.
    pending: BTreeMap<Position, Instant>,
    /// Of entries that are pending, or were in a process that died.
    tries: Known,
    entries: u64,
    bytes: u64,
    /// Bytes of appends on their way to the disk.
    reserved: u64,
    dead_letters: u64,
    /// Segments whose entries are all acked, for the writer to delete.
    finished: Vec<u64>,
    dirty: bool,
}

impl Index {
    /// An index of nothing, that knows how often some entries were tried.
    pub(super) fn new(tries: Known) -> Self {
        Self { tries, ..Self::default() }
    }

    /// Adds a segment as it was found; nothing is appended to it again.
    pub(super) fn add_old(&mut self, found: OldSegment) {
        let OldSegment { number, records, acked } = found;
        self.begin(number);
        // One that could not be read until now lies behind what was delivered since.
        if number < self.next.0 {
            self.given_back.extend(unacked_positions(number, &records, &acked));
        }
        for record in records {
            self.push(number, record);
            if acked.holds(record.offset) {
                self.ack(Position { segment: number, offset: record.offset });
            }
        }
        self.seal(number);
    }

    /// Begins a new segment.
    pub(super) fn begin(&mut self, number: u64) {
        self.segments.insert(number, Segment::default());
    }

    /// Makes a durable entry visible to readers.
    pub(super) fn push(&mut self, number: u64, record: Record) {
        let segment = self.segments.get_mut(&number).expect("a segment is begun before it is pushed to");
        segment.records.push((record, false));
        segment.unacked += 1;
        self.entries += 1;
        self.bytes += u64::from(record.bytes);
    }

    /// Ends a segment: once all of its entries are acked, it may go.
    pub(super) fn seal(&mut self, number: u64) {
        let segment = self.segments.get_mut(&number).expect("a segment is begun before it is sealed");
        segment.sealed = true;
        self.drop_if_finished(number);
    }

    fn drop_if_finished(&mut self, number: u64) {
        let finished = |segment: &Segment| segment.sealed && segment.unacked == 0;
        if self.segments.get(&number).is_some_and(finished) {
            self.segments.remove(&number);
            self.finished.push(number);
        }
    }

    /// Holds room for an append of `bytes`; `false` when the backlog would pass `bytes_max`.
    pub(super) fn reserve(&mut self, bytes: u64, bytes_max: u64) -> bool {
        let fits = self.bytes + self.reserved + bytes <= bytes_max;
        if fits {
            self.reserved += bytes;
        }
        fits
    }

    /// Gives up the room: the append is visible now, or failed.
    pub(super) fn release(&mut self, bytes: u64) {
        self.reserved -= bytes;
    }

    /// Takes entries that were never delivered, or never reached who took them.
    pub(super) fn take_new(&mut self, limit: BatchLimit, now: Instant) -> Vec<Taken> {
        let mut filling = Filling::new(limit);
        while !filling.full {
            let Some(position) = self.given_back.pop_first().or_else(|| self.advance()) else { break };
            let Some(record) = self.unacked(position) else { continue };
            self.pending.insert(position, now);
            filling.take(position, record, self.count_delivery(position));
        }
        filling.taken
    }

    /// Takes entries that were delivered at least `idle` ago.
    pub(super) fn take_idle(&mut self, limit: BatchLimit, idle: Duration, now: Instant) -> Vec<Taken> {
        let mut filling = Filling::new(limit);
        let idle_ones: Vec<Position> = self
            .pending
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= idle)
            .map(|(&position, _)| position)
            .take(limit.entries_max)
            .collect();
        for position in idle_ones {
            if filling.full {
                break;
            }
            let Some(record) = self.unacked(position) else { continue };
            self.pending.insert(position, now);
            filling.take(position, record, self.count_delivery(position));
        }
        filling.taken
    }

    fn count_delivery(&mut self, position: Position) -> u32 {
        let tries = self.tries.entry(position).or_default();
        tries.deliveries = tries.deliveries.saturating_add(1);
        tries.deliveries
    }

    /// Undoes [`Index::take_new`] for entries that did not reach a reader.
    pub(super) fn give_back(&mut self, taken: &[Taken]) {
        for taken in taken {
            if self.pending.remove(&taken.position).is_some() {
                self.uncount_delivery(taken.position);
                self.given_back.insert(taken.position);
            }
        }
    }

    /// Forgets that entries were delivered, since they could not be read. They stay pending, so that they are
    /// tried again later and keep nobody waiting.
    pub(super) fn postpone(&mut self, taken: &[Taken]) {
        for taken in taken {
            self.uncount_delivery(taken.position);
        }
    }

    fn uncount_delivery(&mut self, position: Position) {
        if let Some(tries) = self.tries.get_mut(&position) {
            tries.deliveries = tries.deliveries.saturating_sub(1);
        }
    }

    /// Counts a try alone; `None` for an entry that is gone.
    pub(super) fn begin_alone(&mut self, position: Position) -> Option<Tries> {
        self.unacked(position)?;
        let tries = self.tries.entry(position).or_default();
        tries.alone = tries.alone.saturating_add(1);
        Some(*tries)
    }

    /// Takes a try alone back; `None` where none is counted.
    pub(super) fn withdraw_alone(&mut self, position: Position) -> Option<Tries> {
        let tries = self.tries.get_mut(&position).filter(|tries| tries.alone > 0)?;
        tries.alone -= 1;
        Some(*tries)
    }

    /// What is known of these entries.
    pub(super) fn tries_of(&self, taken: &[Taken]) -> Vec<(Position, Tries)> {
        let known = |taken: &Taken| Some((taken.position, *self.tries.get(&taken.position)?));
        taken.iter().filter_map(known).collect()
    }

    /// What is known of all entries.
    pub(super) const fn tries(&self) -> &Known {
        &self.tries
    }

    /// The position of the next entry that was never delivered.
    fn advance(&mut self) -> Option<Position> {
        loop {
            let (number, at) = self.next;
            let (&number, segment) = self.segments.range(number..).next()?;
            let at = if number == self.next.0 { at } else { 0 };
            if let Some((record, _)) = segment.records.get(at) {
                self.next = (number, at + 1);
                return Some(Position { segment: number, offset: record.offset });
            }
            if !segment.sealed {
                return None;
            }
            self.next = (number + 1, 0);
        }
    }

    fn find(&self, position: Position) -> Option<(&Segment, usize)> {
        let segment = self.segments.get(&position.segment)?;
        let at = segment.records.binary_search_by_key(&position.offset, |(record, _)| record.offset).ok()?;
        Some((segment, at))
    }

    fn unacked(&self, position: Position) -> Option<Record> {
        let (segment, at) = self.find(position)?;
        let (record, acked) = segment.records[at];
        (!acked).then_some(record)
    }

    /// The bytes of an entry that is not acked.
    pub(super) fn bytes_of(&self, position: Position) -> Option<u32> {
        self.unacked(position).map(|record| record.bytes)
    }

    /// Forgets an entry. A second time changes nothing.
    pub(super) fn ack(&mut self, position: Position) {
        self.pending.remove(&position);
        self.tries.remove(&position);
        let Some((_, at)) = self.find(position) else { return };
        let segment = self.segments.get_mut(&position.segment).expect("the segment was found just now");
        let (record, acked) = &mut segment.records[at];
        if *acked {
            return;
        }
        *acked = true;
        segment.unacked -= 1;
        self.entries -= 1;
        self.bytes -= u64::from(record.bytes);
        self.dirty = true;
        self.drop_if_finished(position.segment);
    }

    /// Says how many dead letters there are.
    pub(super) const fn set_dead_letters(&mut self, count: u64) {
        self.dead_letters = count;
    }

    /// Entries and bytes that wait.
    pub(super) const fn waiting(&self) -> (u64, u64) {
        (self.entries, self.bytes)
    }

    /// What waits. Looks for the oldest entry, so not for each append.
    pub(super) fn backlog(&self) -> Backlog {
        let oldest =
            self.segments.values().find_map(|segment| segment.records.iter().find(|(_, acked)| !acked));
        Backlog {
            entries: self.entries,
            bytes: self.bytes,
            pending: self.pending.len() as u64,
            dead_letters: self.dead_letters,
            oldest_received_at: oldest.map(|(record, _)| record.label.received_at),
        }
    }

    /// Segments to delete, each named once.
    pub(super) fn take_finished(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.finished)
    }

    /// Whether acks came since the last checkpoint.
    pub(super) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The acks as they are now.
    pub(super) fn take_checkpoint(&mut self) -> Checkpoint {
        self.dirty = false;
        let mut checkpoint = Checkpoint::default();
        for (&number, segment) in &self.segments {
            if segment.unacked == segment.records.len() {
                continue; // most of a long backlog, which is not to be walked through for each checkpoint
            }
            let first_unacked = segment.records.iter().position(|(_, acked)| !acked);
            let at = first_unacked.unwrap_or(segment.records.len());
            let (done, rest) = segment.records.split_at(at);
            let before = done.last().map_or(0, |(record, _)| record.offset + 1);
            let at = rest.iter().filter(|(_, acked)| *acked).map(|(record, _)| record.offset).collect();
            checkpoint.segments.insert(number, Acked { before, at });
        }
        checkpoint
    }
}

fn unacked_positions<'a>(
    segment: u64,
    records: &'a [Record],
    acked: &'a Acked,
) -> impl Iterator<Item = Position> + 'a {
    let unacked = records.iter().filter(|record| !acked.holds(record.offset));
    unacked.map(move |record| Position { segment, offset: record.offset })
}

/// A batch being taken: at least one entry, none after a bound is reached.
struct Filling {
    limit: BatchLimit,
    taken: Vec<Taken>,
    events: usize,
    bytes: usize,
    full: bool,
}

impl Filling {
    const fn new(limit: BatchLimit) -> Self {
        Self { limit, taken: Vec::new(), events: 0, bytes: 0, full: false }
    }

    fn take(&mut self, position: Position, record: Record, tries: u32) {
        self.taken.push(Taken { position, bytes: record.bytes, tries });
        self.events += record.label.events as usize;
        self.bytes += record.bytes as usize;
        self.full = self.taken.len() >= self.limit.entries_max
            || self.events >= self.limit.events_max
            || self.bytes >= self.limit.bytes_max;
    }
}
