//! Projects' settings: what is set is what collectors and commits get, and every change moves the version.

use std::time::Duration;

use anyhow::Context;
use tallymark_protocol::UnixMs;
use tallymark_protocol::settings::{Shield, ShieldKind};
use tallymark_store::model::Dimension;
use tallymark_store::{
    Batch, DeclaredProperty, EventSource, NewProject, Project, ProjectChange, PropertyKind, ShieldRow,
    StoreError, WriteKeyRow, check_shield,
};
use tallymark_tests::databases::{TestStore, on_postgres};
use tallymark_tests::on_both_stores;
use tokio::time::timeout;
use uuid::Uuid;

use crate::traffic::{commit, envelope, envelope_at, hour, ms, pageview, project};

on_both_stores!(
    a_new_project_has_the_defaults,
    settings_come_back_as_they_were_set,
    a_project_is_created_with_its_settings,
    what_cannot_be_so_is_refused_and_changes_nothing,
    write_keys_say_what_collectors_need_to_know,
    a_revoked_key_is_unknown_at_once,
    every_change_moves_the_version_once_and_no_change_does_not,
    several_changes_at_once_all_hold,
    a_project_that_is_not_there_cannot_be_changed,
    a_quota_is_marked_when_it_is_used_up_and_cleared_when_raised,
    a_quota_ends_with_its_utc_month,
    a_new_zone_holds_for_what_is_counted_from_then_on,
);

const AT: &str = "2026-10-27T10:05:00Z";
const KEY: &str = "wk_0123456789abcdefghijklmn";

fn new(name: &str) -> NewProject {
    NewProject {
        name: name.to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        sketch_key: [7; 16],
        write_key: KEY.to_owned(),
        created_at: ms(AT),
    }
}

async fn read(test: &TestStore, id: i32) -> anyhow::Result<Project> {
    test.project(id).await?.context("the project is there")
}

async fn version(test: &TestStore) -> anyhow::Result<i64> {
    Ok(test.projects_version().await?.1)
}

/// Everything that differs from the defaults.
fn everything() -> Result<ProjectChange, tallymark_store::SettingError> {
    let mut change = ProjectChange::default();
    change.name("Other")?;
    change.time_zone("asia/kolkata")?;
    change.origins(&["https://b.example", "https://*.a.example/", "https://b.example"])?;
    change.session_timeout_minutes(45)?;
    change.retention_days(10)?;
    change.hourly_retention_days(20)?;
    change.daily_retention_days(0)?;
    change.rate_limit_per_minute(Some(600))?;
    change.address_rate_limit_per_minute(Some(60))?;
    change.quota_per_month(Some(1_000_000))?;
    change.keep_addresses(true);
    Ok(change)
}

async fn a_new_project_has_the_defaults(test: TestStore) -> anyhow::Result<()> {
    let id = test.create_project(&new("shop")).await?;
    let wanted = Project {
        id,
        name: "shop".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        version: 1,
        created_at: ms(AT),
        session_timeout_minutes: 30,
        retention_days: 90,
        hourly_retention_days: 365,
        daily_retention_days: 1826,
        rate_limit_per_minute: None,
        address_rate_limit_per_minute: None,
        quota_per_month: None,
        quota_exceeded_until: None,
        keep_addresses: false,
    };
    assert_eq!(read(&test, id).await?, wanted);
    assert_eq!(test.projects().await?, [wanted]);
    assert!(test.origins(id).await?.is_empty());
    Ok(())
}

async fn settings_come_back_as_they_were_set(test: TestStore) -> anyhow::Result<()> {
    let id = test.create_project(&new("shop")).await?;
    let before = read(&test, id).await?;
    let changed = test.change_project(id, &everything()?).await?;
    let wanted = Project {
        name: "Other".to_owned(),
        time_zone: "Asia/Kolkata".to_owned(),
        version: 2,
        session_timeout_minutes: 45,
        retention_days: 10,
        hourly_retention_days: 20,
        daily_retention_days: 0,
        rate_limit_per_minute: Some(600),
        address_rate_limit_per_minute: Some(60),
        quota_per_month: Some(1_000_000),
        keep_addresses: true,
        ..before
    };
    assert_eq!(changed.project, wanted);
    assert_eq!(read(&test, id).await?, wanted);
    assert_eq!(changed.changed.len(), 11, "{:?}", changed.changed);
    let origins: Vec<String> = test.origins(id).await?.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["https://*.a.example", "https://b.example"]);
    // What is not named stays, and `*` is any.
    let mut change = ProjectChange::default();
    change.origins(&["https://c.example", "*"])?;
    change.quota_per_month(None)?;
    assert_eq!(test.change_project(id, &change).await?.changed, ["quota_per_month", "origins"]);
    assert_eq!(read(&test, id).await?, Project { version: 3, quota_per_month: None, ..wanted });
    assert!(test.origins(id).await?.is_empty());
    Ok(())
}

async fn a_project_is_created_with_its_settings(test: TestStore) -> anyhow::Result<()> {
    let mut settings = everything()?;
    settings.name("By its settings")?;
    let id = test.create_project_with(&new("shop"), &settings).await?;
    let project = read(&test, id).await?;
    assert_eq!((project.version, project.rate_limit_per_minute), (1, Some(600)));
    assert_eq!((project.name.as_str(), project.time_zone.as_str()), ("By its settings", "Asia/Kolkata"));
    assert_eq!(test.all_origins().await?[&id].len(), 2);
    Ok(())
}

async fn what_cannot_be_so_is_refused_and_changes_nothing(test: TestStore) -> anyhow::Result<()> {
    let nameless = NewProject { name: " ".to_owned(), ..new("") };
    assert!(matches!(test.create_project(&nameless).await, Err(StoreError::Setting(_))));
    let zoneless = NewProject { time_zone: "Berlin".to_owned(), ..new("shop") };
    assert!(matches!(test.create_project(&zoneless).await, Err(StoreError::Setting(_))));
    assert!(test.projects().await?.is_empty());

    let id = test.create_project(&new("shop")).await?;
    assert!(matches!(test.add_origin(id, "https://a.example/path").await, Err(StoreError::Setting(_))));
    assert!(test.add_origin(id, "https://a.example").await?);
    assert!(matches!(test.remove_origin(id, "https://a.example").await, Err(StoreError::Setting(_))));
    let as_text = DeclaredProperty::check("e", "p", PropertyKind::Text, ms(AT))?;
    test.declare_property(id, &as_text).await?;
    let as_number = DeclaredProperty { kind: PropertyKind::Number, ..as_text };
    assert!(matches!(test.declare_property(id, &as_number).await, Err(StoreError::Setting(_))));
    assert_eq!(read(&test, id).await?.version, 3);
    assert_eq!(test.origins(id).await?.len(), 1);
    Ok(())
}

async fn write_keys_say_what_collectors_need_to_know(test: TestStore) -> anyhow::Result<()> {
    let id = test.create_project_with(&new("shop"), &everything()?).await?;
    let other = project(&test, "UTC").await;
    for (name, is_on) in [("app", false), ("web", true), ("tv", false), ("tv", true)] {
        let source = EventSource { name: name.to_owned(), is_on, created_at: ms(AT) };
        test.set_event_source(id, &source).await?;
    }
    let shield = ShieldRow {
        id: Uuid::from_u128(1),
        shield: check_shield("user-agent", "Pingdom")?,
        created_at: ms(AT),
    };
    test.add_shield(id, &shield).await?;
    let settings = test.write_key(KEY).await?.context("the key works")?;
    assert_eq!((settings.project_id, settings.version), (id, 6));
    assert_eq!(settings.rate_limit_per_minute, Some(600));
    assert_eq!(settings.address_rate_limit_per_minute, Some(60));
    assert_eq!((settings.late_days_max, settings.keep_addresses), (8, true));
    assert_eq!(settings.event_sources_off, ["app"]);
    assert_eq!(settings.shields, [Shield::parse(ShieldKind::UserAgent, "pingdom")?]);
    assert!(settings.allows_origin("https://b.example") && settings.allows_origin("https://x.a.example"));
    assert!(!settings.allows_origin("https://c.example"));
    let all = test.write_keys().await?;
    assert_eq!((all.len(), &all[0]), (2, &(KEY.to_owned(), settings)));
    let untouched = tallymark_protocol::settings::ProjectSettings::new(other, 1);
    assert_eq!(all[1].1, untouched, "nothing of one project is in another's");
    assert_eq!(test.write_key("wk_nobody").await?, None);
    Ok(())
}

fn key(project_id: i32, key: &str) -> WriteKeyRow {
    WriteKeyRow {
        key: key.to_owned(),
        project_id,
        name: "app".to_owned(),
        created_at: ms("2026-10-28T00:00:00Z"),
        revoked_at: None,
    }
}

async fn a_revoked_key_is_unknown_at_once(test: TestStore) -> anyhow::Result<()> {
    let id = test.create_project(&new("shop")).await?;
    let other = project(&test, "UTC").await;
    let second = key(id, "wk_second");
    test.create_write_key(&second).await?;
    assert_eq!(test.write_key("wk_second").await?.map(|settings| settings.project_id), Some(id));
    let before = version(&test).await?;
    let now = ms("2026-10-29T00:00:00Z");
    assert!(!test.revoke_write_key(other, KEY, now).await?, "another project's key");
    assert!(test.revoke_write_key(id, KEY, now).await?);
    assert_eq!(version(&test).await?, before + 1);
    assert_eq!(test.write_key(KEY).await?, None);
    assert!(test.write_keys().await?.iter().all(|(key, _)| key != KEY));
    assert!(test.write_key("wk_second").await?.is_some());
    assert!(!test.revoke_write_key(id, KEY, now).await?);
    let listed = test.write_keys_of(id).await?;
    assert_eq!((listed[0].key.as_str(), listed[0].revoked_at), (KEY, Some(now)));
    assert_eq!(listed[1], second);
    Ok(())
}

async fn every_change_moves_the_version_once_and_no_change_does_not(test: TestStore) -> anyhow::Result<()> {
    let id = test.create_project(&new("shop")).await?;
    let mut at = version(&test).await?;
    macro_rules! moves {
        ($change:expr) => {{
            $change;
            let now = version(&test).await?;
            assert_eq!(now, at + 1, "{}", stringify!($change));
            at = now;
        }};
    }
    macro_rules! stays {
        ($change:expr) => {{
            $change;
            assert_eq!(version(&test).await?, at, "{}", stringify!($change));
        }};
    }
    let source = EventSource { name: "app".to_owned(), is_on: false, created_at: ms(AT) };
    let shield =
        ShieldRow { id: Uuid::from_u128(1), shield: check_shield("path", "/x")?, created_at: ms(AT) };
    let twin = ShieldRow { id: Uuid::from_u128(2), ..shield.clone() };
    let property = DeclaredProperty::check("e", "p", PropertyKind::Number, ms(AT))?;
    moves!(test.change_project(id, &everything()?).await?);
    stays!(assert_eq!(test.change_project(id, &everything()?).await?.project.version, at));
    moves!(assert!(test.add_origin(id, "https://d.example").await?));
    stays!(assert!(!test.add_origin(id, "https://D.example/").await?));
    moves!(assert!(test.remove_origin(id, "https://d.example").await?));
    stays!(assert!(!test.remove_origin(id, "https://d.example").await?));
    moves!(assert!(test.set_event_source(id, &source).await?.1));
    stays!(assert!(!test.set_event_source(id, &source).await?.1));
    moves!(assert!(test.add_shield(id, &shield).await?.1));
    stays!(assert_eq!(test.add_shield(id, &twin).await?, (shield.clone(), false)));
    moves!(assert!(test.remove_shield(id, shield.id).await?));
    stays!(assert!(!test.remove_shield(id, shield.id).await?));
    moves!(assert!(test.declare_property(id, &property).await?.1));
    stays!(assert!(!test.declare_property(id, &property).await?.1));
    moves!(assert!(test.remove_property(id, "e", "p").await?));
    stays!(assert!(!test.remove_property(id, "e", "p").await?));
    moves!(test.create_write_key(&key(id, "wk_second")).await?);
    moves!(assert!(test.revoke_write_key(id, "wk_second", ms(AT)).await?));
    moves!(test.create_project(&NewProject { write_key: "wk_third".to_owned(), ..new("another") }).await?);
    assert_eq!(at, version(&test).await?);
    Ok(())
}

async fn several_changes_at_once_all_hold(test: TestStore) -> anyhow::Result<()> {
    let id = test.create_project(&new("shop")).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8_i64 {
        let test = test.clone();
        tasks.spawn(async move {
            let mut change = ProjectChange::default();
            match number % 4 {
                0 => change.rate_limit_per_minute(Some(600))?,
                1 => change.retention_days(10)?,
                2 => change.time_zone("Asia/Kolkata")?,
                _ => change.name("Other")?,
            }
            anyhow::Ok(test.change_project(id, &change).await?)
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let project = read(&test, id).await?;
    assert_eq!((project.rate_limit_per_minute, project.retention_days), (Some(600), 10));
    assert_eq!((project.time_zone.as_str(), project.name.as_str()), ("Asia/Kolkata", "Other"));
    assert_eq!(project.version, 5, "each change counts once, its repetition not at all");
    Ok(())
}

async fn a_project_that_is_not_there_cannot_be_changed(test: TestStore) -> anyhow::Result<()> {
    let unknown = |error: Option<StoreError>| matches!(error, Some(StoreError::UnknownProject(99)));
    assert!(unknown(test.change_project(99, &everything()?).await.err()));
    assert!(unknown(test.create_write_key(&key(99, "wk_x")).await.err()));
    assert!(unknown(test.add_origin(99, "https://a.example").await.err()));
    let property = DeclaredProperty::check("e", "p", PropertyKind::Text, ms(AT))?;
    assert!(unknown(test.declare_property(99, &property).await.err()));
    Ok(())
}

async fn quota(test: &TestStore, id: i32, events: Option<i64>) -> anyhow::Result<()> {
    let mut change = ProjectChange::default();
    change.quota_per_month(events)?;
    test.change_project(id, &change).await?;
    Ok(())
}

async fn exceeded_until(test: &TestStore, id: i32) -> anyhow::Result<Option<UnixMs>> {
    Ok(read(test, id).await?.quota_exceeded_until)
}

async fn a_quota_is_marked_when_it_is_used_up_and_cleared_when_raised(test: TestStore) -> anyhow::Result<()> {
    let id = test.create_project(&new("shop")).await?;
    let other = project(&test, "UTC").await;
    let now = ms("2026-10-27T11:00:00Z");
    commit(&test, [envelope(id, 1, &[pageview(1, AT), pageview(2, AT)])]).await?;
    // A repeat does not use the quota up, and another project's events are its own.
    commit(&test, [envelope(id, 2, &[pageview(1, AT)]), envelope(other, 3, &[pageview(3, AT)])]).await?;
    test.compact_all().await?;
    quota(&test, id, Some(3)).await?;
    let before = version(&test).await?;
    assert!(test.refresh_quotas(now).await?.is_empty());
    assert_eq!((exceeded_until(&test, id).await?, version(&test).await?), (None, before));

    commit(&test, [envelope(id, 4, &[pageview(4, AT)])]).await?;
    test.compact_all().await?;
    assert_eq!(test.refresh_quotas(now).await?, [id]);
    let end = Some(ms("2026-11-01T00:00:00Z"));
    assert_eq!((exceeded_until(&test, id).await?, version(&test).await?), (end, before + 1));
    assert_eq!(test.write_key(KEY).await?.context("it works")?.quota_exceeded_until, end);
    assert!(test.refresh_quotas(now).await?.is_empty(), "nothing is written where nothing changed");
    assert_eq!(version(&test).await?, before + 1);

    quota(&test, id, Some(4)).await?;
    assert_eq!(test.refresh_quotas(now).await?, [id]);
    assert_eq!(exceeded_until(&test, id).await?, None);
    quota(&test, id, Some(1)).await?;
    assert_eq!(test.refresh_quotas(now).await?, [id]);
    quota(&test, id, None).await?;
    assert_eq!(test.refresh_quotas(now).await?, [id], "a quota that was removed holds nobody");
    assert_eq!(exceeded_until(&test, id).await?, None);
    Ok(())
}

async fn a_quota_ends_with_its_utc_month(test: TestStore) -> anyhow::Result<()> {
    let id = test.create_project(&new("shop")).await?;
    quota(&test, id, Some(1)).await?;
    let last = "2026-10-31T23:59:00Z";
    commit(&test, [envelope_at(id, 1, last, &[pageview(1, "2026-10-31T23:30:00Z")])]).await?;
    test.compact_all().await?;
    assert_eq!(test.refresh_quotas(ms("2026-10-31T23:59:59.999Z")).await?, [id]);
    assert_eq!(exceeded_until(&test, id).await?, Some(ms("2026-11-01T00:00:00Z")));
    assert_eq!(test.refresh_quotas(ms("2026-11-01T00:00:00Z")).await?, [id]);
    assert_eq!(exceeded_until(&test, id).await?, None);
    let first = "2026-11-01T00:00:00Z";
    commit(&test, [envelope_at(id, 2, first, &[pageview(2, "2026-10-31T23:45:00Z")])]).await?;
    test.compact_all().await?;
    assert_eq!(test.refresh_quotas(ms(first)).await?, [id], "an event counts in the month of its receipt");
    assert_eq!(exceeded_until(&test, id).await?, Some(ms("2026-12-01T00:00:00Z")));
    Ok(())
}

async fn a_new_zone_holds_for_what_is_counted_from_then_on(test: TestStore) -> anyhow::Result<()> {
    let id = project(&test, "UTC").await;
    let mut change = ProjectChange::default();
    change.time_zone("Asia/Kolkata")?; // half an hour beside the full ones
    test.change_project(id, &change).await?;
    commit(&test, [envelope(id, 1, &[pageview(1, AT)])]).await?;
    let row = hour(&test, id, "2026-10-27T09:30:00Z", (Dimension::Total, "")).await?;
    assert_eq!(row.context("the hour of Kolkata")?.counts.pageviews, 1);
    Ok(())
}

#[tokio::test]
async fn a_new_zone_waits_for_the_commit_under_way() {
    on_postgres(async |test| {
        let id = project(&test, "UTC").await;
        let first = Batch { envelopes: vec![envelope(id, 1, &[pageview(1, AT)])] };
        let mut under_way = test.begin().await?;
        under_way.claim_envelopes(&first).await?;
        let changing = {
            let test = test.clone();
            let mut change = ProjectChange::default();
            change.time_zone("Asia/Kolkata")?;
            async move { test.change_project(id, &change).await }
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(changing);
        let mut sql = test.sql().await?;
        let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted
            and database = (select oid from pg_database where datname = current_database())";
        tallymark_tests::patience::until("the change waits", async || Ok(sql.number(waiting).await? == 1))
            .await?;
        assert_eq!(read(&test, id).await?.time_zone, "UTC");
        // What counts by none of it does not wait.
        let mut name = ProjectChange::default();
        name.name("Other")?;
        timeout(Duration::from_secs(10), test.change_project(id, &name)).await??;
        under_way.commit().await?;
        tasks.join_next().await.context("the change was spawned")???;
        assert_eq!(read(&test, id).await?.time_zone, "Asia/Kolkata");
        Ok(())
    })
    .await;
}
