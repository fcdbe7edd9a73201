//! Stores to test against, a database for each test, and the shortest way to fill them.

use std::future::Future;
use std::sync::Arc;

use sqlx::Connection;
use tallymark_protocol::{HOUR_MS, UnixMs, names};
use tallymark_store::model::{EnrichedEvent, EventRow, VisitAttributes};
use tallymark_store::{Batch, EnvelopeRow, NewProject, Store, deltas};
use uuid::Uuid;

/// Where a test runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// Runs a test on a migrated store of its own, and removes the store whatever the test did.
pub(crate) async fn with_store<F>(on: On, name: &str, test: impl FnOnce(Store) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    match on {
        On::Sqlite => {
            let folder = tempfile::tempdir().unwrap();
            let address = format!("sqlite:{}", folder.path().join("test.db").display());
            run(&address, test).await.unwrap();
        }
        On::Postgres => {
            let server = postgres_url();
            let database = format!("tallymark_{name}_{}", std::process::id());
            let mut admin = sqlx::PgConnection::connect(&server).await.expect("the test server answers");
            for statement in ["drop database if exists", "create database"] {
                admin_statement(&mut admin, &format!("{statement} {database}")).await;
            }
            let (before, query) = server.split_once('?').unwrap_or((&server, ""));
            let base = before.rsplit_once('/').filter(|(scheme, _)| !scheme.ends_with('/'));
            let base = base.map_or(before, |(base, _)| base);
            let outcome = run(&format!("{base}/{database}?{query}"), test).await;
            admin_statement(&mut admin, &format!("drop database {database} with (force)")).await;
            outcome.unwrap();
        }
    }
}

async fn run<F>(address: &str, test: impl FnOnce(Store) -> F) -> Result<(), tokio::task::JoinError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let store = Store::open(address).await.unwrap();
    store.migrate().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(test(store.clone()));
    let outcome = tasks.join_next().await.expect("one task was spawned");
    store.close().await;
    outcome
}

async fn admin_statement(admin: &mut sqlx::PgConnection, statement: &str) {
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(admin).await.unwrap();
}

#[expect(clippy::disallowed_methods, reason = "where the tests' server is, the tests' runner says")]
fn postgres_url() -> String {
    std::env::var("TALLYMARK_TEST_DATABASE_URL")
        .expect("TALLYMARK_TEST_DATABASE_URL names no PostgreSQL server: run `cargo xtask test`")
}

/// An instant as people write it.
pub(crate) fn ms(text: &str) -> UnixMs {
    UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

pub(crate) async fn project(store: &Store, zone: &str, write_key: &str) -> i32 {
    let project = NewProject {
        name: "shop".to_owned(),
        time_zone: zone.to_owned(),
        sketch_key: [7; 16],
        write_key: write_key.to_owned(),
        created_at: UnixMs(0),
    };
    store.create_project(&project).await.unwrap()
}

/// An event, in few words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) at: UnixMs,
    /// The id; unique.
    pub(crate) id: u128,
    /// 0: none.
    pub(crate) visitor: u128,
    /// 0: none.
    pub(crate) session: u128,
    pub(crate) name: &'static str,
    pub(crate) page: Option<&'static str>,
    pub(crate) hostname: Option<&'static str>,
    pub(crate) category: Option<&'static str>,
    pub(crate) app: Option<&'static str>,
    pub(crate) source: Option<&'static str>,
    pub(crate) browser: Option<&'static str>,
    pub(crate) os: Option<&'static str>,
    pub(crate) device: Option<&'static str>,
    pub(crate) country: Option<&'static str>,
    pub(crate) region: Option<&'static str>,
    pub(crate) city: Option<&'static str>,
    /// Days by which the clock that made the id was wrong.
    pub(crate) day_off: i32,
}

pub(crate) fn pageview(id: u128, at: &str, session: u128, page: &'static str) -> Event {
    Event {
        at: ms(at),
        id,
        visitor: session,
        session,
        name: names::PAGEVIEW,
        page: Some(page),
        ..Event::default()
    }
}

impl Event {
    pub(crate) fn day(&self) -> i32 {
        self.at.utc_day() + self.day_off
    }

    pub(crate) fn enriched(&self, project_id: i32) -> EnrichedEvent {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let id = |id: u128| (id != 0).then(|| Uuid::from_u128(id));
        EnrichedEvent {
            row: EventRow {
                project_id,
                day: self.day(),
                id: Uuid::from_u128(self.id),
                visitor_id: id(self.visitor),
                session_id: id(self.session),
                server_session: false,
                occurred_at: self.at,
                received_at: UnixMs(self.at.0 + HOUR_MS),
                engaged_ms: None,
                name: self.name.to_owned(),
                user_id: None,
                url: None,
                hostname: text(self.hostname),
                path: text(self.page),
                title: None,
                referrer: None,
                category: text(self.category),
                event_source: text(self.app),
                address: None,
                props: None,
            },
            source: text(self.source),
            visit: Arc::new(VisitAttributes {
                browser: text(self.browser),
                os: text(self.os),
                device: text(self.device),
                country: text(self.country),
                region: text(self.region),
                city: text(self.city),
            }),
        }
    }
}

/// Counts events as one envelope in one commit.
pub(crate) async fn commit(store: &Store, project_id: i32, envelope: u128, events: &[Event]) {
    let days: Vec<i32> = events.iter().map(Event::day).collect();
    store.ensure_days(events[0].at, &days).await.unwrap();
    let envelope = EnvelopeRow {
        project_id,
        envelope_id: Uuid::from_u128(envelope),
        received_at: events[0].at,
        received: u32::try_from(events.len()).unwrap(),
        refused: Vec::new(),
        numbered: Vec::new(),
        events: events.iter().map(|event| event.enriched(project_id)).collect(),
    };
    let batch = Batch { envelopes: vec![envelope] };
    let mut tx = store.begin().await.unwrap();
    let claimed = tx.claim_envelopes(&batch).await.unwrap();
    let fresh = tx.insert_new_events(&claimed).await.unwrap();
    let changed = tx.merge_sessions(&fresh).await.unwrap();
    tx.merge_tabs(&claimed).await.unwrap();
    tx.merge_identities(&fresh).await.unwrap();
    let deltas = deltas(&mut tx, &fresh, &changed).unwrap();
    tx.append_deltas(&deltas).await.unwrap();
    tx.commit().await.unwrap();
}
