//! Reading: both routes against each other, and raw rows against what the events themselves say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::{Event, On, commit, ms, pageview, project, with_store};
use tallymark_protocol::{HOUR_MS, UnixMs, names};
use tallymark_store::model::{Counts, Dimension, Scope, SessionRow, fold_sessions};
use tallymark_store::{
    Filter, Group, Measure, Operator, Plan, ProjectChange, ReadError, Route, Source, Store, StoreError,
};
use uuid::Uuid;

const MEASURES: [Measure; 6] = [
    Measure::Visitors,
    Measure::Pageviews,
    Measure::Events,
    Measure::Sessions,
    Measure::Bounces,
    Measure::Duration,
];

/// Random numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// Visits around a change of the clocks, out of order, from clocks that are wrong, and what backends send.
fn events(dice: &mut Dice) -> Vec<Event> {
    let from = ms("2026-03-26T00:00:00Z");
    let mut events = Vec::new();
    for session in 1..=90_u128 {
        let began = from.0 + i64::try_from(dice.below(7 * 24 * 60)).unwrap() * 60_000;
        for step in 0..=dice.below(6) {
            let minutes = i64::try_from(step * 25 + dice.below(25)).unwrap();
            let name = dice.of(&[names::PAGEVIEW, names::PAGEVIEW, names::PAGELEAVE, names::CLICK, "signup"]);
            events.push(Event {
                at: UnixMs(began + minutes * 60_000 + 123),
                visitor: 1 + session % 40,
                session,
                name,
                page: dice.of(&[Some("/"), Some("/pricing"), Some("/docs/a"), Some("/docs/b"), None]),
                hostname: dice.of(&[Some("shop.example"), Some("docs.example")]),
                category: dice.of(&[None, None, Some("shop")]),
                app: dice.of(&[Some("web"), None]),
                source: dice.of(&[None, Some("search.example"), Some("news.example")]),
                browser: dice.of(&[Some("Firefox"), Some("Chrome"), None]),
                os: dice.of(&[Some("Linux"), None]),
                device: dice.of(&[Some("desktop"), Some("mobile")]),
                country: dice.of(&[Some("DE"), Some("PT"), None]),
                region: dice.of(&[Some("DE-BE"), None]),
                city: dice.of(&[Some("Berlin"), Some("Lisbon"), None]),
                day_off: dice.of(&[0, 0, 0, -20, 2]),
                ..Event::default()
            });
        }
    }
    for hour in 0..30 {
        let at = UnixMs(from.0 + hour * 5 * HOUR_MS + 7);
        events.push(Event { at, name: "invoice_paid", category: Some("shop"), ..Event::default() });
    }
    for index in (1..events.len()).rev() {
        let other = usize::try_from(dice.below(index as u64 + 1)).unwrap();
        events.swap(index, other);
    }
    for (index, event) in events.iter_mut().enumerate() {
        event.id = index as u128 + 1;
    }
    events
}

fn filter(operator: Operator, dimension: Dimension, values: &[&str]) -> Filter {
    Filter { operator, dimension, values: values.iter().map(|value| (*value).to_owned()).collect() }
}

/// Ranges and buckets: hours, days in several zones, cut days, and edges that are no hours.
fn edges() -> Vec<Vec<UnixMs>> {
    let hourly = (0..=30).map(|hour| UnixMs(ms("2026-03-28T20:00:00Z").0 + hour * HOUR_MS)).collect();
    let list = |edges: &[&str]| edges.iter().map(|edge| ms(edge)).collect::<Vec<_>>();
    vec![
        list(&["2026-03-25T23:00:00Z", "2026-04-02T22:00:00Z"]),
        list(&[
            "2026-03-27T23:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "2026-03-30T22:00:00Z",
        ]),
        list(&[
            "2026-03-28T00:00:00Z",
            "2026-03-29T00:00:00Z",
            "2026-03-30T00:00:00Z",
            "2026-03-31T00:00:00Z",
        ]),
        list(&["2026-03-26T05:00:00Z", "2026-03-30T17:00:00Z"]),
        list(&["2026-03-27T18:30:00Z", "2026-03-28T18:30:00Z", "2026-03-29T18:30:00Z"]),
        list(&["2026-03-27T10:10:10.010Z", "2026-03-29T01:02:03Z"]),
        hourly,
    ]
}

fn plans(project_id: i32) -> Vec<Plan> {
    let named: Vec<Dimension> = Dimension::ALL.into_iter().filter(|one| *one != Dimension::Total).collect();
    let filters = [
        filter(Operator::Is, Dimension::Page, &["/", "/pricing"]),
        filter(Operator::Contains, Dimension::Page, &["docs", "/p"]),
        filter(Operator::IsNot, Dimension::Source, &["(direct)"]),
        filter(Operator::ContainsNot, Dimension::Browser, &["fox"]),
        filter(Operator::IsNot, Dimension::Category, &["other"]),
        filter(Operator::Is, Dimension::ExitPage, &["(none)", "/"]),
    ];
    let mut shapes: Vec<(Vec<Dimension>, Vec<Filter>)> = vec![(Vec::new(), Vec::new())];
    for one in &named {
        shapes.push((vec![*one], Vec::new()));
        let related = filters.iter().filter(|filter| filter.dimension.scope() == one.scope());
        shapes.extend(related.map(|filter| (vec![*one], vec![filter.clone()])));
    }
    shapes.extend(filters.iter().map(|filter| (Vec::new(), vec![filter.clone()])));
    shapes.push((vec![Dimension::Page, Dimension::Source], vec![filters[3].clone()]));
    shapes.push((vec![Dimension::Source], vec![filters[0].clone()]));
    shapes.push((vec![Dimension::EventName], vec![filters[5].clone()]));
    shapes.push((vec![Dimension::Browser, Dimension::Os], Vec::new()));
    shapes.push((vec![Dimension::Page, Dimension::EventName], Vec::new()));
    shapes.push((Vec::new(), vec![filters[1].clone(), filters[2].clone()]));
    let mut plans = Vec::new();
    for edges in edges() {
        for (dimensions, filters) in &shapes {
            for measures in [&MEASURES[..], &MEASURES[..3], &MEASURES[3..]] {
                plans.push(Plan {
                    project_id,
                    edges: edges.clone(),
                    dimensions: dimensions.clone(),
                    filters: filters.clone(),
                    measures: measures.to_vec(),
                    route: Route::Best,
                });
            }
        }
    }
    plans
}

/// What a plan's groups hold of what it asked for, in order.
fn asked(plan: &Plan, groups: Vec<Group>) -> Rows {
    let total = plan.dimensions.is_empty();
    let mut rows: Vec<_> = groups
        .into_iter()
        .map(|group| {
            let counts = group.counts;
            let all = [
                i64::try_from(group.visitors).unwrap(),
                counts.pageviews,
                counts.events,
                counts.sessions,
                counts.bounces,
                counts.duration_ms,
            ];
            let mut kept = [0; 6];
            for (place, measure) in MEASURES.iter().enumerate() {
                kept[place] = if plan.measures.contains(measure) { all[place] } else { 0 };
            }
            (group.bucket, group.values, kept)
        })
        .filter(|(.., kept)| !total || *kept != [0; 6]) // where buckets are all known, empty ones are none
        .collect();
    rows.sort();
    rows
}

/// The value of a dimension, from the event or its session.
fn value(dimension: Dimension, event: Option<&Event>, session: Option<&SessionRow>) -> Option<String> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let stored = match dimension {
        Dimension::Total => None,
        Dimension::Page => text(event?.page),
        Dimension::Hostname => text(event?.hostname),
        Dimension::EventName => text(Some(event?.name)),
        Dimension::Category => text(event?.category),
        Dimension::EventSource => text(event?.app),
        Dimension::EntryPage => session?.entry_page.clone(),
        Dimension::ExitPage => session?.exit_page.clone(),
        Dimension::Source => session?.source.clone(),
        Dimension::Browser => session?.browser.clone(),
        Dimension::Os => session?.os.clone(),
        Dimension::Device => session?.device.clone(),
        Dimension::Country => session?.country.clone(),
        Dimension::Region => session?.region.clone(),
        Dimension::City => session?.city.clone(),
    };
    stored.or_else(|| text(dimension.missing()))
}

fn meets(filter: &Filter, value: &str) -> bool {
    let any = |test: &dyn Fn(&str) -> bool| filter.values.iter().any(|wanted| test(wanted));
    match filter.operator {
        Operator::Is => any(&|wanted| wanted == value),
        Operator::IsNot => !any(&|wanted| wanted == value),
        Operator::Contains => any(&|wanted| value.contains(wanted)),
        Operator::ContainsNot => !any(&|wanted| value.contains(wanted)),
    }
}

/// The group that an event or session is of, if the plan is about it.
fn place(
    plan: &Plan,
    at: UnixMs,
    event: Option<&Event>,
    session: Option<&SessionRow>,
) -> Option<(usize, Vec<String>)> {
    let bucket = plan.edges.windows(2).position(|edges| edges[0] <= at && at < edges[1])?;
    for filter in &plan.filters {
        value(filter.dimension, event, session).filter(|value| meets(filter, value))?;
    }
    let values = plan.dimensions.iter().map(|dimension| value(*dimension, event, session));
    Some((bucket, values.collect::<Option<_>>()?))
}

#[derive(Default)]
struct Tally {
    visitors: BTreeSet<Uuid>,
    sessions: BTreeSet<Uuid>,
    counts: Counts,
}

/// What the documented meaning of the measures says, straight from the events.
fn by_hand(plan: &Plan, events: &[Event]) -> Vec<Group> {
    let enriched: Vec<_> = events.iter().map(|event| event.enriched(plan.project_id)).collect();
    let sessions = fold_sessions(enriched.iter().filter_map(SessionRow::of));
    let session_of: BTreeMap<Uuid, &SessionRow> = sessions.iter().map(|row| (row.session_id, row)).collect();
    let mentioned =
        || plan.dimensions.iter().copied().chain(plan.filters.iter().map(|filter| filter.dimension));
    let by_event = mentioned().any(|dimension| dimension.scope() == Scope::Event);
    let whole = mentioned().next().is_none();
    let mut groups: BTreeMap<(usize, Vec<String>), Tally> = BTreeMap::new();
    for (event, row) in events.iter().zip(&enriched) {
        let session = row.row.session_id.and_then(|id| session_of.get(&id).copied());
        if mentioned().any(|dimension| dimension.scope() == Scope::Visit) && session.is_none() {
            continue;
        }
        let Some(group) = place(plan, event.at, Some(event), session) else { continue };
        if by_event || whole {
            let tally = groups.entry(group).or_default();
            tally.visitors.extend(row.row.visitor_id);
            tally.counts.events += 1;
            tally.counts.pageviews += i64::from(row.row.is_pageview());
            if let Some(session) =
                session.filter(|session| by_event && tally.sessions.insert(session.session_id))
            {
                add_session(&mut tally.counts, session);
            }
        }
    }
    for session in sessions.iter().filter(|_| !by_event) {
        let Some(group) = place(plan, session.started_at, None, Some(session)) else { continue };
        let tally = groups.entry(group).or_default();
        add_session(&mut tally.counts, session);
        if !whole {
            tally.visitors.insert(session.visitor_id);
            tally.counts.events += i64::from(session.events);
            tally.counts.pageviews += i64::from(session.pageviews);
        }
    }
    let group = |((bucket, values), tally): ((usize, Vec<String>), Tally)| Group {
        bucket,
        values,
        visitors: tally.visitors.len() as u64,
        counts: tally.counts,
    };
    groups.into_iter().map(group).collect()
}

fn add_session(counts: &mut Counts, session: &SessionRow) {
    counts.sessions += 1;
    counts.bounces += i64::from(session.is_bounce());
    counts.duration_ms += session.duration_ms();
}

type Rows = Vec<(usize, Vec<String>, [i64; 6])>;

/// Asks every plan on the way that it takes and on the long one; both have to say what the events say.
/// Answers those that took the short one, with what they said.
async fn compare(store: &Store, project_id: i32, events: &[Event]) -> Vec<(Plan, Rows)> {
    let mut short = Vec::new();
    let mut truth = (String::new(), Vec::new());
    for plan in plans(project_id) {
        // Plans that differ only in their measures stand side by side.
        let about = format!("{:?} {:?} {:?}", plan.edges, plan.dimensions, plan.filters);
        if truth.0 != about {
            truth = (about, by_hand(&plan, events));
        }
        let wanted = asked(&plan, truth.1.clone());
        let best = store.read(&plan).await.unwrap();
        assert_eq!(asked(&plan, best.groups), wanted, "{:?} {plan:?}", best.source);
        if best.source == Source::Rollups {
            let raw = store.read(&Plan { route: Route::Raw, ..plan.clone() }).await.unwrap();
            assert_eq!(raw.source, Source::Raw);
            assert_eq!(asked(&plan, raw.groups), wanted, "raw {plan:?}");
            short.push((plan, wanted));
        }
    }
    short
}

async fn both_routes_agree_with_the_events(store: Store) {
    // Another project's rows are in the way everywhere.
    let other = project(&store, "UTC", "wk_other").await;
    let project_id = project(&store, "Europe/Berlin", "wk_1").await;
    let mut dice = Dice(1);
    let events = events(&mut dice);
    commit(&store, other, 9_999, &events[..50]).await;
    let (mut counted, mut envelope) = (0, 0);
    for part in [events.len() / 3, events.len() * 2 / 3, events.len()] {
        while counted < part {
            let next = (counted + 1 + usize::try_from(dice.below(12)).unwrap()).min(part);
            envelope += 1;
            commit(&store, project_id, envelope, &events[counted..next]).await;
            counted = next;
        }
        store.compact(9).await.unwrap();
    }
    // The last commits are not folded yet.
    let short = compare(&store, project_id, &events).await;
    assert!(short.len() > 200, "only {} plans were answered from rollups", short.len());
    store.compact_all().await.unwrap();
    for (plan, wanted) in short {
        let folded = store.read(&plan).await.unwrap();
        assert_eq!(asked(&plan, folded.groups), wanted, "folded {plan:?}");
    }
}

#[tokio::test]
async fn both_routes_agree_with_the_events_on_sqlite() {
    with_store(On::Sqlite, "read_agree", both_routes_agree_with_the_events).await;
}

#[tokio::test]
async fn both_routes_agree_with_the_events_on_postgres() {
    with_store(On::Postgres, "read_agree", both_routes_agree_with_the_events).await;
}

/// A session whose source changes leaves a visitor behind in the old source's sketch: until the compactor
/// counts again, reads have to look at the sessions.
async fn a_visitor_that_left_a_row_is_not_counted_there(store: Store) {
    let project_id = project(&store, "UTC", "wk_1").await;
    let of = |source, event: Event| Event { source: Some(source), ..event };
    let at = ["2026-03-01T10:20:00Z", "2026-03-01T10:10:00Z", "2026-03-01T10:30:00Z"];
    commit(&store, project_id, 1, &[of("old.example", pageview(1, at[0], 5, "/b"))]).await;
    store.compact_all().await.unwrap();
    // The earlier pageview comes later, and is from somewhere else. Another visitor stays.
    commit(&store, project_id, 2, &[of("new.example", pageview(2, at[1], 5, "/a"))]).await;
    commit(&store, project_id, 3, &[of("old.example", pageview(3, at[2], 6, "/b"))]).await;
    let plan = Plan {
        project_id,
        edges: vec![ms("2026-03-01T00:00:00Z"), ms("2026-03-02T00:00:00Z")],
        dimensions: vec![Dimension::Source],
        filters: Vec::new(),
        measures: vec![Measure::Visitors],
        route: Route::Best,
    };
    for folded in [false, true] {
        if folded {
            store.compact_all().await.unwrap();
        }
        let reading = store.read(&plan).await.unwrap();
        assert_eq!(reading.source, Source::Rollups);
        let mut visitors: Vec<_> =
            reading.groups.into_iter().map(|group| (group.values[0].clone(), group.visitors)).collect();
        visitors.sort();
        assert_eq!(visitors, [("new.example".to_owned(), 1), ("old.example".to_owned(), 1)]);
    }
}

#[tokio::test]
async fn a_visitor_that_left_a_row_is_not_counted_there_on_sqlite() {
    with_store(On::Sqlite, "read_left", a_visitor_that_left_a_row_is_not_counted_there).await;
}

#[tokio::test]
async fn a_visitor_that_left_a_row_is_not_counted_there_on_postgres() {
    with_store(On::Postgres, "read_left", a_visitor_that_left_a_row_is_not_counted_there).await;
}

/// Where the zone was changed, a day of the new one holds rows of both: who is in two of them is one visitor.
async fn a_visitor_of_both_zones_days_is_one(store: Store) {
    let project_id = project(&store, "UTC", "wk_1").await;
    commit(&store, project_id, 1, &[pageview(1, "2026-03-05T10:00:00Z", 5, "/")]).await;
    store.compact_all().await.unwrap();
    let mut change = ProjectChange::default();
    change.time_zone("Europe/Berlin").unwrap();
    store.change_project(project_id, &change).await.unwrap();
    commit(&store, project_id, 2, &[pageview(2, "2026-03-05T11:00:00Z", 5, "/")]).await;
    let plan = Plan {
        project_id,
        edges: vec![ms("2026-03-04T23:00:00Z"), ms("2026-03-05T23:00:00Z"), ms("2026-03-06T23:00:00Z")],
        dimensions: Vec::new(),
        filters: Vec::new(),
        measures: vec![Measure::Visitors, Measure::Pageviews],
        route: Route::Best,
    };
    for folded in [false, true] {
        if folded {
            store.compact_all().await.unwrap();
        }
        for dimensions in [Vec::new(), vec![Dimension::Page]] {
            let reading = store.read(&Plan { dimensions, ..plan.clone() }).await.unwrap();
            assert_eq!(reading.source, Source::Rollups);
            let counted: Vec<_> =
                reading.groups.iter().map(|group| (group.visitors, group.counts.pageviews)).collect();
            assert_eq!(counted, [(1, 2)], "{folded}");
        }
    }
}

#[tokio::test]
async fn a_visitor_of_both_zones_days_is_one_on_sqlite() {
    with_store(On::Sqlite, "read_zones", a_visitor_of_both_zones_days_is_one).await;
}

#[tokio::test]
async fn a_visitor_of_both_zones_days_is_one_on_postgres() {
    with_store(On::Postgres, "read_zones", a_visitor_of_both_zones_days_is_one).await;
}

/// Text that means something to SQL or to patterns is only text.
async fn filters_take_every_text_as_it_is(store: Store) {
    let project_id = project(&store, "UTC", "wk_1").await;
    let pages = ["/100%", "/1000", "/a_b", "/aXb", "/it's\"", "/ümlaut", "/Ümlaut", "/\\"];
    let events: Vec<Event> =
        pages.iter().zip(1..).map(|(page, id)| pageview(id, "2026-03-01T10:00:00Z", id, page)).collect();
    commit(&store, project_id, 1, &events).await;
    for route in [Route::Best, Route::Raw] {
        for page in pages {
            for operator in [Operator::Is, Operator::Contains] {
                let plan = Plan {
                    project_id,
                    edges: vec![ms("2026-03-01T00:00:00Z"), ms("2026-03-02T00:00:00Z")],
                    dimensions: vec![Dimension::Page],
                    filters: vec![filter(operator, Dimension::Page, &[page])],
                    measures: vec![Measure::Pageviews],
                    route,
                };
                let groups = store.read(&plan).await.unwrap().groups;
                let found: Vec<&str> = groups.iter().map(|group| group.values[0].as_str()).collect();
                assert_eq!(found, [page], "{operator:?} {route:?}");
            }
        }
    }
}

#[tokio::test]
async fn filters_take_every_text_as_it_is_on_sqlite() {
    with_store(On::Sqlite, "read_text", filters_take_every_text_as_it_is).await;
}

#[tokio::test]
async fn filters_take_every_text_as_it_is_on_postgres() {
    with_store(On::Postgres, "read_text", filters_take_every_text_as_it_is).await;
}

async fn the_first_day_is_found_folded_or_not(store: Store) {
    let project_id = project(&store, "Europe/Berlin", "wk_1").await;
    assert_eq!(store.first_day(project_id).await.unwrap(), None);
    commit(&store, project_id, 1, &[pageview(1, "2026-03-05T10:00:00Z", 1, "/")]).await;
    store.compact_all().await.unwrap();
    assert_eq!(store.first_day(project_id).await.unwrap(), Some(ms("2026-03-04T23:00:00Z")));
    commit(&store, project_id, 2, &[pageview(2, "2026-03-03T10:00:00Z", 2, "/")]).await;
    assert_eq!(store.first_day(project_id).await.unwrap(), Some(ms("2026-03-02T23:00:00Z")));
    let missing = store.read(&Plan { project_id: 77, ..plans(project_id).remove(0) }).await.unwrap_err();
    assert!(matches!(missing, ReadError::Store(StoreError::UnknownProject(77))));
}

#[tokio::test]
async fn the_first_day_is_found_folded_or_not_on_sqlite() {
    with_store(On::Sqlite, "read_first", the_first_day_is_found_folded_or_not).await;
}

#[tokio::test]
async fn the_first_day_is_found_folded_or_not_on_postgres() {
    with_store(On::Postgres, "read_first", the_first_day_is_found_folded_or_not).await;
}
