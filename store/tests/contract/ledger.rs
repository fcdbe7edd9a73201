//! Numbers of tabs, and who visitors are.

use tallymark_protocol::DiscardReason;
use tallymark_tests::databases::TestStore;
use tallymark_tests::{on_both_stores, oracle};
use uuid::Uuid;

use crate::traffic::{commit, envelope, envelope_at, ms, pageview, project, refused};

on_both_stores!(
    numbers_of_a_tab_join_over_envelopes,
    numbers_of_refused_and_repeated_events_are_seen,
    a_redelivered_envelope_does_not_move_the_ledger,
    a_visitor_belongs_to_its_earliest_person,
    of_two_persons_in_one_millisecond_the_smaller_event_id_decides,
);

const AT: &str = "2026-10-27T10:05:00Z";
const TAB: Uuid = Uuid::from_u128(77);

async fn seen(test: &TestStore, project: i32) -> anyhow::Result<Vec<String>> {
    let rows = oracle::raw_rows(test, project).await?;
    Ok(rows.tabs.iter().map(|tab| tab.seen.to_string()).collect())
}

async fn numbers_of_a_tab_join_over_envelopes(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    for (id, numbers) in [(1, &[4, 5][..]), (2, &[0]), (3, &[2, 1, 9]), (4, &[u32::MAX])] {
        let mut envelope = envelope(project, id, &[]);
        envelope.numbered = numbers.iter().map(|seq| (TAB, *seq)).collect();
        commit(&test, [envelope]).await?;
    }
    assert_eq!(seen(&test, project).await?, ["0-2,4-5,9,4294967295"]);
    Ok(())
}

async fn numbers_of_refused_and_repeated_events_are_seen(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let mut first = envelope(project, 1, &[pageview(1, AT)]);
    first.numbered = vec![(TAB, 0)];
    let mut again = envelope(project, 2, &[pageview(1, AT)]);
    again.numbered = vec![(TAB, 1)]; // not what a tracker does; the number was sent all the same
    let mut bad = refused(project, 3, &[DiscardReason::PropsTooLarge]);
    bad.numbered = vec![(TAB, 3), (Uuid::from_u128(78), 0)];
    commit(&test, [first, again, bad]).await?;
    assert_eq!(seen(&test, project).await?, ["0-1,3", "0"]);
    Ok(())
}

async fn a_redelivered_envelope_does_not_move_the_ledger(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let numbered = |id, received_at, seq| {
        let mut envelope = envelope_at(project, id, received_at, &[]);
        envelope.numbered = vec![(TAB, seq)];
        envelope
    };
    let (early, late) = ("2026-10-27T11:00:00Z", "2026-10-27T12:00:00Z");
    commit(&test, [numbered(1, late, 1)]).await?;
    commit(&test, [numbered(2, early, 0), numbered(1, late, 1)]).await?;
    let rows = oracle::raw_rows(&test, project).await?;
    assert_eq!((rows.tabs[0].first_at, rows.tabs[0].last_at), (ms(early), ms(late)));
    assert_eq!(rows.tabs[0].seen.to_string(), "0-1");
    Ok(())
}

async fn persons(test: &TestStore, project: i32) -> anyhow::Result<Vec<String>> {
    oracle::assert_consistent(test, &[project]).await?;
    let rows = oracle::raw_rows(test, project).await?;
    Ok(rows.identifications.into_iter().map(|row| row.user_id).collect())
}

async fn a_visitor_belongs_to_its_earliest_person(test: TestStore) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    let events = [
        (1, "2026-10-27T10:20:00Z", "second"),
        (2, "2026-10-27T10:30:00Z", "third"),
        (3, "2026-10-27T10:10:00Z", "first"),
    ];
    for ((id, at, user), now) in events.into_iter().zip(["second", "second", "first"]) {
        commit(&test, [envelope(project, id, &[pageview(id, at).by(user)])]).await?;
        assert_eq!(persons(&test, project).await?, [now]);
    }
    Ok(())
}

async fn of_two_persons_in_one_millisecond_the_smaller_event_id_decides(
    test: TestStore,
) -> anyhow::Result<()> {
    let project = project(&test, "UTC").await;
    // The larger id first, so that it has to give way; bytes above 127 must not count as negative.
    for (id, user, now) in [(0xff << 120, "b", "b"), (0x01 << 120, "a", "a"), (0x80 << 120, "c", "a")] {
        commit(&test, [envelope(project, id, &[pageview(id, AT).by(user)])]).await?;
        assert_eq!(persons(&test, project).await?, [now]);
    }
    Ok(())
}
