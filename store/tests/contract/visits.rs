//! Visits whose client made no session: what the server makes of them, in any order and from several sides.

use std::time::Duration;

use tallymark_store::model::Dimension::{Country, EntryPage, Source, Total};
use tallymark_store::model::SessionRow;
use tallymark_store::{Batch, ProjectChange, Store};
use tallymark_tests::databases::{TestStore, on_postgres};
use tallymark_tests::{on_both_stores, oracle};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::traffic::{Event, commit, day, envelope, hour, ms, named, outcomes, pageview, project};

on_both_stores!(
    a_pause_of_the_timeout_does_not_end_a_visit_and_a_longer_one_does,
    a_late_event_between_two_visits_makes_one_of_them,
    a_late_event_before_a_visit_moves_its_session,
    three_visits_become_one_in_one_commit,
    a_session_that_takes_another_in_leaves_other_visitors_in_their_rows,
    midnight_in_utc_ends_a_visit,
    events_whose_ids_are_of_other_days_move_along,
    the_sessions_of_clients_stay_as_they_are,
    a_timeout_is_the_projects_own_and_what_it_joined_stays_joined,
    commits_at_once_into_one_visitors_day_come_to_the_same,
    batches_of_clients_sessions_ask_for_no_visitors_day,
    a_repeated_event_moves_nothing,
    a_place_is_the_entrys_and_an_address_is_kept,
);

const PATIENCE: Duration = Duration::from_secs(20);

fn visit(id: u128, at: &'static str) -> Event {
    pageview(id, at).sessionless(7)
}

/// The sessions in the order of their beginnings, of a store that does not contradict itself.
async fn sessions(store: &Store, project_id: i32) -> anyhow::Result<Vec<SessionRow>> {
    oracle::assert_consistent(store, &[project_id]).await?;
    let mut sessions = oracle::raw_rows(store, project_id).await?.sessions;
    sessions.sort_by_key(|session| (session.started_at, session.visitor_id));
    Ok(sessions)
}

async fn events_of_sessions(store: &Store, project_id: i32) -> anyhow::Result<Vec<i32>> {
    Ok(sessions(store, project_id).await?.iter().map(|session| session.events).collect())
}

async fn a_pause_of_the_timeout_does_not_end_a_visit_and_a_longer_one_does(
    test: TestStore,
) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let (first, at_timeout) = (visit(1, "2026-10-27T09:00:00Z"), visit(2, "2026-10-27T09:30:00Z"));
    let beyond = visit(3, "2026-10-27T10:00:00.001Z");
    commit(&test, [envelope(project, 1, &[first, at_timeout, beyond])]).await?;
    let sessions = sessions(&test, project).await?;
    assert_eq!(sessions.iter().map(|session| session.events).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(sessions[0].ended_at, ms("2026-10-27T09:30:00Z"));
    assert_eq!((sessions[0].is_bounce(), sessions[1].is_bounce()), (false, true));
    Ok(())
}

async fn a_late_event_between_two_visits_makes_one_of_them(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let early = [visit(1, "2026-10-27T09:10:00Z").on("/a").from("search.example")];
    let late = [visit(2, "2026-10-27T10:00:00Z").on("/b"), visit(3, "2026-10-27T10:05:00Z").on("/b")];
    commit(&test, [envelope(project, 1, &early)]).await?;
    commit(&test, [envelope(project, 2, &late)]).await?;
    let before = sessions(&test, project).await?;
    assert_eq!(before.len(), 2);
    commit(&test, [envelope(project, 3, &[visit(4, "2026-10-27T09:35:00Z").on("/c")])]).await?;

    let after = sessions(&test, project).await?;
    assert_eq!((after.len(), after[0].events, after[0].session_id), (1, 4, before[0].session_id));
    assert_eq!(after[0].source.as_deref(), Some("search.example"));
    let total = day(&test, project, "2026-10-27T00:00:00Z", (Total, "")).await?.unwrap();
    assert_eq!((total.counts.sessions, total.counts.bounces, total.visitors), (1, 0, 1));
    assert_eq!(total.counts.duration_ms, 55 * 60_000);
    let entry = day(&test, project, "2026-10-27T00:00:00Z", (EntryPage, "/a")).await?.unwrap();
    assert_eq!((entry.counts.sessions, entry.counts.events, entry.visitors), (1, 4, 1));
    assert_eq!(day(&test, project, "2026-10-27T00:00:00Z", (EntryPage, "/b")).await?, None);
    assert_eq!(day(&test, project, "2026-10-27T00:00:00Z", (Source, "(direct)")).await?, None);
    Ok(())
}

async fn a_late_event_before_a_visit_moves_its_session(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    commit(&test, [envelope(project, 1, &[visit(2, "2026-10-27T10:05:00Z")])]).await?;
    let before = sessions(&test, project).await?;
    commit(&test, [envelope(project, 2, &[visit(1, "2026-10-27T09:55:00Z")])]).await?;
    let after = sessions(&test, project).await?;
    assert_eq!((after.len(), after[0].started_at), (1, ms("2026-10-27T09:55:00Z")));
    assert_ne!(after[0].session_id, before[0].session_id);
    assert_eq!(hour(&test, project, "2026-10-27T10:00:00Z", (Source, "(direct)")).await?, None);
    let row = hour(&test, project, "2026-10-27T09:00:00Z", (Source, "(direct)")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.counts.events, row.visitors), (1, 2, 1));
    Ok(())
}

async fn three_visits_become_one_in_one_commit(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let apart = [
        visit(1, "2026-10-27T09:00:00Z"),
        visit(2, "2026-10-27T10:00:00Z"),
        visit(3, "2026-10-27T11:00:00Z"),
        visit(4, "2026-10-27T20:00:00Z"),
    ];
    for (envelope_id, event) in (1..).zip(&apart) {
        commit(&test, [envelope(project, envelope_id, std::slice::from_ref(event))]).await?;
    }
    assert_eq!(events_of_sessions(&test, project).await?, [1, 1, 1, 1]);
    let between = [
        visit(5, "2026-10-27T10:30:00Z"),
        visit(6, "2026-10-27T08:45:00Z"),
        visit(7, "2026-10-27T09:30:00Z"),
    ];
    commit(&test, [envelope(project, 9, &between)]).await?;
    assert_eq!(events_of_sessions(&test, project).await?, [6, 1]);
    Ok(())
}

async fn a_session_that_takes_another_in_leaves_other_visitors_in_their_rows(
    test: TestStore,
) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let at = "2026-10-27T10:00:00Z";
    let others = [pageview(10, at).sessionless(8).on("/b"), pageview(11, at).of(9).on("/b")];
    commit(&test, [envelope(project, 1, &others)]).await?;
    commit(&test, [envelope(project, 2, &[visit(1, "2026-10-27T09:20:00Z").on("/b")])]).await?;
    commit(&test, [envelope(project, 3, &[visit(2, at).on("/b")])]).await?;
    let row = hour(&test, project, at, (EntryPage, "/b")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (3, 3));
    // Folded together with its coming: nothing is compacted between the two.
    commit(&test, [envelope(project, 4, &[visit(3, "2026-10-27T12:00:00Z").on("/b")])]).await?;
    commit(&test, [envelope(project, 5, &[visit(4, "2026-10-27T11:40:00Z").on("/a")])]).await?;
    commit(&test, [envelope(project, 6, &[visit(5, "2026-10-27T09:40:00Z").on("/b")])]).await?;
    let row = hour(&test, project, at, (EntryPage, "/b")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (2, 2));
    assert_eq!(hour(&test, project, "2026-10-27T12:00:00Z", (EntryPage, "/b")).await?, None);
    let row = day(&test, project, "2026-10-27T00:00:00Z", (EntryPage, "/b")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (3, 3));
    Ok(())
}

async fn midnight_in_utc_ends_a_visit(test: TestStore) -> anyhow::Result<()> {
    // Not midnight in the project's own zone.
    let project = project(&test, "Asia/Kolkata").await;
    let events = [visit(1, "2026-10-26T23:59:59.999Z"), visit(2, "2026-10-27T00:00:00Z")];
    commit(&test, [envelope(project, 1, &events)]).await?;
    assert_eq!(events_of_sessions(&test, project).await?, [1, 1]);
    let row = day(&test, project, "2026-10-26T18:30:00Z", (Total, "")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (2, 1));
    Ok(())
}

async fn events_whose_ids_are_of_other_days_move_along(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let at = "2026-10-27T10:00:00Z";
    let clocks = [visit(1, at).days_ahead(2), visit(2, at).days_ahead(-9), visit(3, at)];
    commit(&test, [envelope(project, 1, &clocks)]).await?;
    commit(&test, [envelope(project, 2, &[visit(4, "2026-10-27T09:59:00Z")])]).await?;
    assert_eq!(events_of_sessions(&test, project).await?, [4]);
    Ok(())
}

async fn the_sessions_of_clients_stay_as_they_are(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    // The same visitor, hours apart in a session of its own, and without one between.
    let own = [pageview(1, "2026-10-27T09:00:00Z").of(7), pageview(2, "2026-10-27T12:00:00Z").of(7)];
    commit(&test, [envelope(project, 1, &own)]).await?;
    commit(&test, [envelope(project, 2, &[visit(3, "2026-10-27T09:01:00Z")])]).await?;
    commit(&test, [envelope(project, 3, &[visit(4, "2026-10-27T08:59:00Z")])]).await?;
    assert_eq!(events_of_sessions(&test, project).await?, [2, 2]);
    let row = hour(&test, project, "2026-10-27T09:00:00Z", (Source, "(direct)")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.counts.events, row.visitors), (1, 2, 1));
    Ok(())
}

async fn set_timeout(store: &Store, project_id: i32, minutes: i64) -> anyhow::Result<()> {
    let mut change = ProjectChange::default();
    change.session_timeout_minutes(minutes)?;
    store.change_project(project_id, &change).await?;
    Ok(())
}

async fn a_timeout_is_the_projects_own_and_what_it_joined_stays_joined(
    test: TestStore,
) -> anyhow::Result<()> {
    let (short, long) = (project(&test, "UTC").await, project(&test, "UTC").await);
    set_timeout(&test, short, 1).await?;
    set_timeout(&test, long, 120).await?;
    let events = [visit(1, "2026-10-27T09:00:00Z"), visit(2, "2026-10-27T09:01:00.001Z")];
    let later = visit(3, "2026-10-27T11:00:00Z");
    for project in [short, long] {
        commit(&test, [envelope(project, 1, &events), envelope(project, 2, std::slice::from_ref(&later))])
            .await?;
    }
    assert_eq!(events_of_sessions(&test, short).await?, [1, 1, 1]);
    assert_eq!(events_of_sessions(&test, long).await?, [3]);

    // A longer timeout joins a day's visits with its next event; a shorter one divides nothing. The oracle, which
    // knows one timeout only, is not asked about the latter.
    set_timeout(&test, short, 120).await?;
    commit(&test, [envelope(short, 3, &[visit(4, "2026-10-27T15:00:00Z")])]).await?;
    assert_eq!(events_of_sessions(&test, short).await?, [3, 1]);
    set_timeout(&test, long, 1).await?;
    commit(&test, [envelope(long, 3, &[visit(4, "2026-10-27T10:00:00Z")])]).await?;
    let rows = oracle::raw_rows(&test, long).await?;
    assert_eq!((rows.sessions.len(), rows.sessions[0].events), (1, 4));
    Ok(())
}

/// Twelve commits at once: events five minutes apart, dealt out so that every commit's are far apart, and one event
/// that all of them hold.
async fn commits_at_once_into_one_visitors_day_come_to_the_same(test: TestStore) -> anyhow::Result<()> {
    const COMMITS: u128 = 12;
    let project = project(&test, "UTC").await;
    let mut tasks = JoinSet::new();
    for part in 0..COMMITS {
        let test = test.clone();
        let mut events: Vec<Event> = ["06", "07", "08", "09"]
            .into_iter()
            .zip(0..)
            .map(|(hour, turn)| visit(100 * (turn + 1) + part, minute(hour, part)))
            .collect();
        events.push(visit(1, "2026-10-27T20:00:00Z"));
        events.push(pageview(2 + part, "2026-10-27T07:00:00Z").sessionless(20 + part % 3));
        events.rotate_left(part as usize % 5);
        tasks.spawn(async move { commit(&test, [envelope(project, part, &events)]).await });
    }
    while let Some(done) = timeout(PATIENCE, tasks.join_next()).await? {
        done??;
    }
    let accepted = i64::try_from(COMMITS * 5 + 1)?;
    let duplicates = i64::try_from(COMMITS - 1)?;
    assert_eq!(outcomes(&test, project).await?, named(&[("accepted", accepted), ("duplicate", duplicates)]));
    assert_eq!(events_of_sessions(&test, project).await?, [48, 4, 4, 4, 1]);
    Ok(())
}

fn minute(hour: &str, part: u128) -> &'static str {
    String::leak(format!("2026-10-27T{hour}:{:02}:00Z", part * 5))
}

async fn batches_of_clients_sessions_ask_for_no_visitors_day(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let mut sql = test.sql().await?;
    sql.run("alter table visitor_day rename to visitor_day_elsewhere").await?;
    let nobody = pageview(2, "2026-10-27T10:00:00Z").of(0);
    commit(&test, [envelope(project, 1, &[pageview(1, "2026-10-27T10:00:00Z"), nobody])]).await?;
    assert_eq!(events_of_sessions(&test, project).await?, [1]);
    Ok(())
}

async fn a_repeated_event_moves_nothing(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let (first, second) = (visit(1, "2026-10-27T10:00:00Z"), visit(2, "2026-10-27T11:00:00Z"));
    commit(&test, [envelope(project, 1, &[first.clone(), second])]).await?;
    // The same event, said to have happened between the two: it is a repeat, whatever it says.
    let repeat = Event { at: "2026-10-27T10:30:00Z", ..first };
    commit(&test, [envelope(project, 2, &[repeat])]).await?;
    assert_eq!(events_of_sessions(&test, project).await?, [1, 1]);
    Ok(())
}

async fn a_place_is_the_entrys_and_an_address_is_kept(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let addresses = [Some("192.0.2.255"), Some("2001:db8::ff"), None];
    let later = Event { country: Some("PT"), address: addresses[0], ..visit(2, "2026-10-27T10:10:00Z") };
    commit(&test, [envelope(project, 1, &[later])]).await?;
    let entry = Event { country: Some("DE"), address: addresses[1], ..visit(1, "2026-10-27T10:00:00Z") };
    commit(&test, [envelope(project, 2, &[entry, visit(3, "2026-10-27T10:20:00Z")])]).await?;
    let row = hour(&test, project, "2026-10-27T10:00:00Z", (Country, "DE")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (1, 1));
    assert_eq!(hour(&test, project, "2026-10-27T10:00:00Z", (Country, "PT")).await?, None);
    let mut stored: Vec<Option<String>> = Vec::new();
    for event in oracle::raw_rows(&test, project).await?.events {
        stored.push(event.address.map(|address| address.to_string()));
    }
    stored.sort();
    let mut wanted = addresses.map(|address| address.map(str::to_owned));
    wanted.sort();
    assert_eq!(stored, wanted);
    Ok(())
}

#[tokio::test]
async fn who_comes_second_to_a_visitors_day_sees_what_the_first_made_of_it() {
    on_postgres(async |test| {
        let project = project(&test, "UTC").await;
        test.ensure_days(ms("2026-10-27T10:30:00Z"), &[]).await?;
        let first = Batch { envelopes: vec![envelope(project, 1, &[visit(1, "2026-10-27T10:00:00Z")])] };
        let second = Batch { envelopes: vec![envelope(project, 2, &[visit(2, "2026-10-27T09:50:00Z")])] };
        let mut one = test.begin().await?;
        let claimed = one.claim_envelopes(&first).await?;
        let fresh = one.insert_new_events(&claimed).await?;
        let changed = one.merge_sessions(&fresh).await?;
        let deltas = tallymark_store::deltas(&mut one, &fresh, &changed)?;
        one.append_deltas(&deltas).await?;
        let waits = tallymark_processor::commit(&test, &second);
        tokio::pin!(waits);
        // It cannot be done while the first has the day.
        let early = timeout(Duration::from_millis(300), &mut waits).await;
        anyhow::ensure!(early.is_err(), "the second did not wait: {early:?}");
        one.commit().await?;
        waits.await?;
        assert_eq!(events_of_sessions(&test, project).await?, [2]);
        Ok(())
    })
    .await;
}
