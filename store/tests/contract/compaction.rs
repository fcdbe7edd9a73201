//! Folding deltas into the rollups.

use tallymark_store::model::Dimension::{Hostname, Source};
use tallymark_tests::databases::{Sql, TestStore};
use tallymark_tests::{on_both_stores, oracle};

use crate::traffic::{commit, envelope, hour, pageview, project};

on_both_stores!(
    compacting_takes_no_more_than_it_is_told,
    compacting_one_by_one_comes_to_the_same,
    a_mark_that_is_folded_before_what_it_is_about_does_no_harm,
    values_of_every_length_and_script_are_rolled_up,
    nothing_to_compact_is_no_error,
);

const AT: &str = "2026-10-27T10:05:00Z";

async fn compacting_takes_no_more_than_it_is_told(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    for id in 0..5 {
        commit(&test, [envelope(project, id, &[pageview(id, AT)])]).await?;
    }
    assert_eq!(test.compact(2).await?.deltas, 2);
    assert_eq!(test.compact_all().await?.deltas, 3);
    oracle::assert_consistent(&test, &[project]).await
}

async fn compacting_one_by_one_comes_to_the_same(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    // Each event is earlier than the one before: the session's start moves every time, over two midnights.
    for id in 0..20_u8 {
        let at = jiff::Timestamp::from_second(1_793_100_000 - i64::from(id) * 9_000)?.to_string();
        let event = pageview(u128::from(id), String::leak(at));
        commit(&test, [envelope(project, u128::from(id), &[event])]).await?;
    }
    while test.compact(1).await?.deltas > 0 {}
    oracle::assert_consistent(&test, &[project]).await
}

/// Deltas lie where there is room: one may lie before others that were committed earlier. When a compaction takes
/// only some, a session's leaving a row can be folded before its coming.
async fn a_mark_that_is_folded_before_what_it_is_about_does_no_harm(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let stays = pageview(9, AT).of(2);
    commit(&test, [envelope(project, 1, &[stays])]).await?;
    commit(&test, [envelope(project, 2, &[pageview(2, AT)])]).await?;
    assert_eq!(test.compact(1).await?.deltas, 1);
    if let Sql::Postgres(_) = test.sql().await? {
        test.sql().await?.run("vacuum rollup_delta").await?; // room at the beginning
    }
    let moves = pageview(1, "2026-10-27T09:05:00Z");
    commit(&test, [envelope(project, 3, &[moves])]).await?;
    while test.compact(1).await?.deltas > 0 {}
    let row = hour(&test, project, "2026-10-27T10:00:00Z", (Source, "(direct)")).await?.unwrap();
    assert_eq!((row.counts.sessions, row.visitors), (1, 1));
    Ok(())
}

async fn values_of_every_length_and_script_are_rolled_up(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let mut dice = tallymark_tests::world::Dice::new(1);
    // Texts that do not compress: the longest that the wire lets through.
    let mut random =
        |len: usize| -> String { (0..len).map(|_| char::from(b'!' + dice.below(94) as u8)).collect() };
    let mut sent = envelope(project, 1, &[pageview(1, AT), pageview(2, AT), pageview(3, AT)]);
    for (event, text) in sent.events.iter_mut().zip([
        "'; drop table event; --",
        "🛒\u{1F1E9}\u{1F1EA} \u{0}".trim_end_matches('\0'),
        "",
    ]) {
        event.row.path = Some(text.to_owned());
        event.row.name = text.to_owned();
        event.row.category = Some(text.to_owned());
    }
    sent.events[2].row.path = Some(random(512));
    sent.events[2].row.name = random(128);
    sent.events[2].row.hostname = Some(random(253));
    sent.events[2].source = Some(random(253));
    let host = sent.events[2].row.hostname.clone().unwrap_or_default();
    commit(&test, [sent]).await?;
    let row = hour(&test, project, "2026-10-27T10:00:00Z", (Hostname, &host)).await?.unwrap();
    assert_eq!(row.counts.events, 1);
    Ok(())
}

async fn nothing_to_compact_is_no_error(test: TestStore) -> anyhow::Result<()> {
    assert_eq!(test.compact(10).await?, tallymark_store::Compacted::default());
    assert_eq!(test.compact(0).await?, tallymark_store::Compacted::default());
    Ok(())
}
