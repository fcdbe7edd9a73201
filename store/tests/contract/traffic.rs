//! Events in few words, and what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tallymark_processor::Committed;
use tallymark_protocol::{DiscardReason, UnixMs, names};
use tallymark_store::model::{Dimension, EnrichedEvent, EventRow, RollupKey, VisitAttributes};
use tallymark_store::{Batch, EnvelopeRow, NewProject, RollupCounts, Store};
use tallymark_tests::{drive, oracle};
use uuid::Uuid;

/// An instant as people write it.
pub(crate) fn ms(text: &str) -> UnixMs {
    UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

pub(crate) async fn project(store: &Store, time_zone: &str) -> i32 {
    let new = NewProject {
        name: "shop".to_owned(),
        time_zone: time_zone.to_owned(),
        sketch_key: [7; 16],
        write_key: format!("wk_{}", Uuid::from_u128(u128::from(getrandom::u64().unwrap())).simple()),
        created_at: UnixMs(0),
    };
    store.create_project(&new).await.unwrap()
}

/// A pageview of visitor 1 in session 1, unless said otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: u128,
    pub(crate) at: &'static str,
    pub(crate) name: &'static str,
    /// 0: none, and no session either.
    pub(crate) visitor: u128,
    /// 0: none of its client's.
    pub(crate) session: u128,
    pub(crate) page: &'static str,
    pub(crate) source: Option<&'static str>,
    pub(crate) user_id: Option<&'static str>,
    pub(crate) country: Option<&'static str>,
    pub(crate) address: Option<&'static str>,
    pub(crate) days_ahead: i32,
}

pub(crate) fn pageview(id: u128, at: &'static str) -> Event {
    Event {
        id,
        at,
        name: names::PAGEVIEW,
        visitor: 1,
        session: 1,
        page: "/",
        source: None,
        user_id: None,
        country: None,
        address: None,
        days_ahead: 0,
    }
}

impl Event {
    /// Of another visitor, in its session.
    pub(crate) fn of(self, visitor: u128) -> Self {
        Self { visitor, session: visitor, ..self }
    }

    /// Of another visitor, whose client makes no sessions.
    pub(crate) fn sessionless(self, visitor: u128) -> Self {
        Self { visitor, session: 0, ..self }
    }

    /// By a clock that is so many days ahead: it is the id's day that is wrong.
    pub(crate) fn days_ahead(self, days: i32) -> Self {
        Self { days_ahead: days, ..self }
    }

    pub(crate) fn on(self, page: &'static str) -> Self {
        Self { page, ..self }
    }

    pub(crate) fn from(self, source: &'static str) -> Self {
        Self { source: Some(source), ..self }
    }

    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    pub(crate) fn by(self, user_id: &'static str) -> Self {
        Self { user_id: Some(user_id), ..self }
    }

    pub(crate) fn enriched(&self, project_id: i32, received_at: UnixMs) -> EnrichedEvent {
        let (at, visited) = (ms(self.at), self.visitor != 0);
        EnrichedEvent {
            row: EventRow {
                project_id,
                day: at.utc_day() + self.days_ahead,
                id: Uuid::from_u128(self.id),
                visitor_id: visited.then(|| Uuid::from_u128(self.visitor)),
                session_id: (visited && self.session != 0).then(|| Uuid::from_u128(self.session)),
                server_session: false,
                occurred_at: at,
                received_at,
                engaged_ms: None,
                name: self.name.to_owned(),
                user_id: self.user_id.map(str::to_owned),
                url: None,
                hostname: Some("shop.example".to_owned()),
                path: Some(self.page.to_owned()),
                title: None,
                referrer: None,
                category: None,
                event_source: None,
                address: self.address.map(|address| address.parse().unwrap()),
                props: None,
            },
            source: self.source.map(str::to_owned),
            visit: Arc::new(VisitAttributes {
                country: self.country.map(str::to_owned),
                ..VisitAttributes::default()
            }),
        }
    }
}

/// When envelopes arrive, unless said otherwise.
pub(crate) const RECEIVED: &str = "2026-10-27T10:30:00Z";

pub(crate) fn envelope(project_id: i32, id: u128, events: &[Event]) -> EnvelopeRow {
    envelope_at(project_id, id, RECEIVED, events)
}

pub(crate) fn envelope_at(project_id: i32, id: u128, received_at: &str, events: &[Event]) -> EnvelopeRow {
    let received_at = ms(received_at);
    EnvelopeRow {
        project_id,
        envelope_id: Uuid::from_u128(id),
        received_at,
        received: u32::try_from(events.len()).unwrap(),
        refused: Vec::new(),
        numbered: Vec::new(),
        events: events.iter().map(|event| event.enriched(project_id, received_at)).collect(),
    }
}

/// An envelope in which nothing but refused events came.
pub(crate) fn refused(project_id: i32, id: u128, reasons: &[DiscardReason]) -> EnvelopeRow {
    let received = u32::try_from(reasons.len()).unwrap();
    EnvelopeRow { received, refused: reasons.to_vec(), ..envelope(project_id, id, &[]) }
}

pub(crate) async fn commit(
    store: &Store,
    envelopes: impl IntoIterator<Item = EnvelopeRow>,
) -> anyhow::Result<Committed> {
    Ok(drive::commit_one(store, &Batch { envelopes: envelopes.into_iter().collect() }).await?)
}

/// Compacts, checks that rollups are a recount, and answers the outcomes by name.
pub(crate) async fn outcomes(store: &Store, project_id: i32) -> anyhow::Result<BTreeMap<String, i64>> {
    oracle::assert_consistent(store, &[project_id]).await?;
    let mut outcomes = BTreeMap::new();
    for (_, outcome, events) in store.outcomes_by_hour(project_id).await? {
        *outcomes.entry(outcome).or_default() += events;
    }
    Ok(outcomes)
}

pub(crate) fn named(outcomes: &[(&str, i64)]) -> BTreeMap<String, i64> {
    outcomes.iter().map(|(name, events)| ((*name).to_owned(), *events)).collect()
}

/// Compacts, checks that rollups are a recount, and answers a row of `rollup_hour`.
pub(crate) async fn hour(
    store: &Store,
    project_id: i32,
    bucket: &str,
    (dimension, value): (Dimension, &str),
) -> anyhow::Result<Option<RollupCounts>> {
    oracle::assert_consistent(store, &[project_id]).await?;
    let key = RollupKey { dimension, bucket: ms(bucket), value: value.to_owned() };
    Ok(store.rollups(project_id).await?.hours.remove(&key))
}

/// The same of `rollup_day`.
pub(crate) async fn day(
    store: &Store,
    project_id: i32,
    bucket: &str,
    (dimension, value): (Dimension, &str),
) -> anyhow::Result<Option<RollupCounts>> {
    oracle::assert_consistent(store, &[project_id]).await?;
    let key = RollupKey { dimension, bucket: ms(bucket), value: value.to_owned() };
    Ok(store.rollups(project_id).await?.days.remove(&key))
}
