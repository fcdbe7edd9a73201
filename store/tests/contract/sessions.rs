//! Sessions, whatever the order in which their events come; and the rollups that follow them.

use tallymark_store::model::Dimension::{EntryPage, ExitPage, Source, Total};
use tallymark_tests::databases::TestStore;
use tallymark_tests::{on_both_stores, oracle};

use crate::traffic::{commit, day, envelope, hour, ms, pageview, project};

on_both_stores!(
    an_earlier_event_moves_its_session_to_the_earlier_bucket,
    a_session_that_moves_leaves_the_other_visitors_of_its_row,
    a_visitor_with_another_session_in_the_row_stays,
    an_earlier_page_becomes_the_entry_and_takes_the_source_along,
    a_session_that_moves_and_comes_back_is_counted_where_it_is,
    a_session_of_two_days_counts_on_the_day_it_began,
    the_repeated_hour_of_a_clock_change_is_two_buckets,
    a_bounce_ends_with_the_second_page_or_a_deed,
    events_of_the_same_millisecond_are_in_the_order_of_their_ids,
    events_without_a_visitor_open_no_session,
);

const DIRECT: &str = "(direct)";

async fn an_earlier_event_moves_its_session_to_the_earlier_bucket(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    commit(&test, [envelope(project, 1, &[pageview(2, "2026-10-27T10:05:00Z")])]).await?;
    let row = hour(&test, project, "2026-10-27T10:00:00Z", (Source, DIRECT)).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (1, 1));

    commit(&test, [envelope(project, 2, &[pageview(1, "2026-10-27T09:55:00Z")])]).await?;
    assert_eq!(hour(&test, project, "2026-10-27T10:00:00Z", (Source, DIRECT)).await?, None);
    let row = hour(&test, project, "2026-10-27T09:00:00Z", (Source, DIRECT)).await?.unwrap();
    assert_eq!((row.counts.sessions, row.counts.duration_ms, row.visitors), (1, 600_000, 1));
    let row = day(&test, project, "2026-10-27T00:00:00Z", (Source, DIRECT)).await?.unwrap();
    assert_eq!((row.counts.sessions, row.counts.bounces, row.visitors), (1, 0, 1));
    // Active visitors stay where they were active.
    let row = hour(&test, project, "2026-10-27T10:00:00Z", (Total, "")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.counts.pageviews, row.visitors), (0, 1, 1));
    Ok(())
}

async fn a_session_that_moves_leaves_the_other_visitors_of_its_row(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let at = "2026-10-27T10:05:00Z";
    commit(&test, [envelope(project, 1, &[pageview(2, at), pageview(3, at).of(2)])]).await?;
    commit(&test, [envelope(project, 2, &[pageview(1, "2026-10-26T22:00:00Z")])]).await?;
    for (bucket, visitors) in [("2026-10-26T00:00:00Z", 1), ("2026-10-27T00:00:00Z", 1)] {
        let row = day(&test, project, bucket, (Source, DIRECT)).await?.unwrap();
        assert_eq!((row.counts.sessions, row.visitors), (1, visitors), "{bucket}");
    }
    Ok(())
}

async fn a_visitor_with_another_session_in_the_row_stays(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let mut other_session = pageview(3, "2026-10-27T10:40:00Z");
    other_session.session = 99;
    commit(&test, [envelope(project, 1, &[pageview(2, "2026-10-27T10:05:00Z"), other_session])]).await?;
    commit(&test, [envelope(project, 2, &[pageview(1, "2026-10-27T09:59:59.999Z")])]).await?;
    let row = hour(&test, project, "2026-10-27T10:00:00Z", (Source, DIRECT)).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (1, 1));
    Ok(())
}

async fn an_earlier_page_becomes_the_entry_and_takes_the_source_along(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let (bucket, later) = ("2026-10-27T10:00:00Z", "2026-10-27T10:20:00Z");
    commit(&test, [envelope(project, 1, &[pageview(2, later).on("/b")])]).await?;
    assert!(hour(&test, project, bucket, (EntryPage, "/b")).await?.is_some());
    let entry = pageview(1, "2026-10-27T10:10:00Z").on("/a").from("search.example");
    commit(&test, [envelope(project, 2, &[entry])]).await?;
    for absent in [(EntryPage, "/b"), (Source, DIRECT), (ExitPage, "/a")] {
        assert_eq!(hour(&test, project, bucket, absent).await?, None, "{absent:?}");
    }
    for (row, visitors) in [((EntryPage, "/a"), 1), ((Source, "search.example"), 1), ((ExitPage, "/b"), 0)] {
        let found = hour(&test, project, bucket, row).await?.unwrap();
        assert_eq!((found.counts.sessions, found.visitors), (1, visitors), "{row:?}");
    }
    Ok(())
}

async fn a_session_that_moves_and_comes_back_is_counted_where_it_is(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    // The entry is /a, then /b, then /a again; nothing is compacted between.
    let pages = [
        (3, "2026-10-27T10:30:00Z", "/a"),
        (2, "2026-10-27T10:20:00Z", "/b"),
        (1, "2026-10-27T10:10:00Z", "/a"),
    ];
    for (id, at, page) in pages {
        commit(&test, [envelope(project, id, &[pageview(id, at).on(page)])]).await?;
    }
    let bucket = "2026-10-27T10:00:00Z";
    let row = hour(&test, project, bucket, (EntryPage, "/a")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (1, 1));
    assert_eq!(hour(&test, project, bucket, (EntryPage, "/b")).await?, None);
    Ok(())
}

async fn a_session_of_two_days_counts_on_the_day_it_began(test: TestStore) -> anyhow::Result<()> {
    // 18:30 UTC is midnight in Kolkata.
    let project = project(&test, "Asia/Kolkata").await;
    let events = [pageview(1, "2026-10-26T18:29:59.999Z"), pageview(2, "2026-10-26T18:30:00Z")];
    commit(&test, [envelope(project, 1, &events)]).await?;
    let before = day(&test, project, "2026-10-25T18:30:00Z", (Total, "")).await?.unwrap();
    assert_eq!((before.counts.sessions, before.counts.pageviews, before.visitors), (1, 1, 1));
    let after = day(&test, project, "2026-10-26T18:30:00Z", (Total, "")).await?.unwrap();
    assert_eq!((after.counts.sessions, after.counts.pageviews, after.visitors), (0, 1, 1));
    assert_eq!(day(&test, project, "2026-10-26T18:30:00Z", (Source, DIRECT)).await?, None);
    Ok(())
}

async fn the_repeated_hour_of_a_clock_change_is_two_buckets(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "Europe/Berlin").await;
    let events = [
        pageview(1, "2026-10-25T00:30:00Z").of(1), // 02:30, summer
        pageview(2, "2026-10-25T01:30:00Z").of(2), // 02:30, winter
        pageview(3, "2026-10-25T22:59:59.999Z").of(3),
        pageview(4, "2026-10-25T23:00:00Z").of(4), // midnight
    ];
    commit(&test, [envelope(project, 1, &events)]).await?;
    for bucket in ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T22:00:00Z"] {
        let row = hour(&test, project, bucket, (Source, DIRECT)).await?.unwrap();
        assert_eq!((row.counts.sessions, row.visitors), (1, 1), "{bucket}");
    }
    // A day of 25 hours; and its session that moves back through the change.
    let row = day(&test, project, "2026-10-24T22:00:00Z", (Source, DIRECT)).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (3, 3));
    commit(&test, [envelope(project, 2, &[pageview(5, "2026-10-24T22:00:00Z").of(4)])]).await?;
    let row = day(&test, project, "2026-10-24T22:00:00Z", (Source, DIRECT)).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (4, 4));
    assert_eq!(day(&test, project, "2026-10-25T23:00:00Z", (Source, DIRECT)).await?, None);
    Ok(())
}

async fn a_bounce_ends_with_the_second_page_or_a_deed(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let at = "2026-10-27T10:05:00Z";
    let bounces = async || {
        let row = hour(&test, project, "2026-10-27T10:00:00Z", (Total, "")).await?;
        anyhow::Ok(row.unwrap().counts.bounces)
    };
    commit(&test, [envelope(project, 1, &[pageview(1, at), pageview(2, at).of(2)])]).await?;
    assert_eq!(bounces().await?, 2);
    let passive = ["$pageleave", "$web_vital", "$gap", "$identify", "$error"];
    for (id, name) in (10..).zip(passive) {
        commit(&test, [envelope(project, id, &[pageview(id, at).named(name)])]).await?;
    }
    assert_eq!(bounces().await?, 2);
    commit(&test, [envelope(project, 20, &[pageview(20, at).named("signup")])]).await?;
    assert_eq!(bounces().await?, 1);
    commit(&test, [envelope(project, 21, &[pageview(21, at).of(2)])]).await?;
    assert_eq!(bounces().await?, 0);
    Ok(())
}

async fn events_of_the_same_millisecond_are_in_the_order_of_their_ids(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let at = "2026-10-27T10:05:00Z";
    for (envelope_id, id, page) in [(1, 5, "/5"), (2, 9, "/9"), (3, 1, "/1"), (4, 7, "/7")] {
        commit(&test, [envelope(project, envelope_id, &[pageview(id, at).on(page)])]).await?;
    }
    oracle::assert_consistent(&test, &[project]).await?;
    let rows = oracle::raw_rows(&test, project).await?;
    let session = &rows.sessions[0];
    assert_eq!(session.entry_page.as_deref(), Some("/1"));
    assert_eq!(session.exit_page.as_deref(), Some("/9"));
    assert_eq!((session.started_at, session.ended_at), (ms(at), ms(at)));
    Ok(())
}

async fn events_without_a_visitor_open_no_session(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let event = pageview(1, "2026-10-27T10:05:00Z").of(0).by("u-1");
    commit(&test, [envelope(project, 1, &[event])]).await?;
    let row = hour(&test, project, "2026-10-27T10:00:00Z", (Total, "")).await?.unwrap();
    assert_eq!((row.counts.events, row.counts.sessions, row.visitors), (1, 0, 0));
    let rows = oracle::raw_rows(&test, project).await?;
    assert!(rows.sessions.is_empty() && rows.identifications.is_empty());
    Ok(())
}
