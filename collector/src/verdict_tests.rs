use tallymark_protocol::{Arrival, DAY_MS, decode};
use uuid::Uuid;

use super::*;

const NOW: UnixMs = UnixMs(1_719_000_000_000);

fn sender() -> Sender<'static> {
    Sender {
        address: Some("203.0.113.77".parse().unwrap()),
        user_agent: Some("Mozilla/5.0 Pingdom.com_bot".to_owned()),
        from_browser: true,
        proxy_headers: None,
    }
}

fn decoded(body: &str) -> Decoded {
    let mut ids = 0;
    let mut fresh_id = || {
        ids += 1;
        Uuid::from_u128(ids)
    };
    decode(body.as_bytes(), Arrival { received_at: NOW, fresh_id: &mut fresh_id }).unwrap()
}

fn project(change: impl FnOnce(&mut ProjectSettings)) -> ProjectSettings {
    let mut project = ProjectSettings::new(7, 1);
    change(&mut project);
    project
}

fn shield(kind: ShieldKind, pattern: &str) -> Shield {
    Shield::parse(kind, pattern).unwrap()
}

/// What a project's rules say of one event.
fn verdict(project: &ProjectSettings, event: &str) -> Option<DiscardReason> {
    let mut decoded = decoded(event);
    assert_eq!(decoded.events.len(), 1, "{event}");
    apply(project, &sender(), NOW, &mut decoded);
    assert_eq!(decoded.events.len() + decoded.rejected.len(), 1);
    let reason = decoded.rejected.first().map(|rejected| rejected.reason);
    assert_eq!(decoded.rejections.first().map(|rejection| rejection.reason), reason);
    reason
}

const EVENT: &str =
    r#"{"name":"a","url":"https://Shop.example/admin/users?x=1","event_source":"ios","tab_id":"t","seq":3}"#;

#[test]
fn rules_and_what_they_keep_out() {
    use DiscardReason as Reason;
    let with = |kind, pattern| project(|project| project.shields.push(shield(kind, pattern)));
    let cases = [
        (project(|_| {}), None),
        (with(ShieldKind::Address, "203.0.113.0/24"), Some(Reason::ShieldedAddress)),
        (with(ShieldKind::Address, "203.0.112.0/24"), None),
        (with(ShieldKind::Hostname, "shop.example"), Some(Reason::ShieldedHostname)),
        (with(ShieldKind::Hostname, "*.shop.example"), None),
        (with(ShieldKind::Path, "/admin/*"), Some(Reason::ShieldedPath)),
        (with(ShieldKind::Path, "/admin"), None),
        (with(ShieldKind::UserAgent, "pingdom"), Some(Reason::ShieldedUserAgent)),
        (with(ShieldKind::UserAgent, "uptime"), None),
        (project(|project| project.event_sources_off.push("ios".to_owned())), Some(Reason::EventSourceOff)),
        (project(|project| project.event_sources_off.push("web".to_owned())), None),
        (
            project(|project| project.quota_exceeded_until = Some(UnixMs(NOW.0 + 1))),
            Some(Reason::QuotaExceeded),
        ),
        (project(|project| project.quota_exceeded_until = Some(NOW)), None),
    ];
    for (project, reason) in cases {
        assert_eq!(verdict(&project, EVENT), reason, "{project:?}");
    }
}

#[test]
fn an_event_without_page_or_event_source_is_met_by_no_rule_for_them() {
    let project = project(|project| {
        project.shields = vec![shield(ShieldKind::Hostname, "*"), shield(ShieldKind::Path, "*")];
        project.event_sources_off.push("ios".to_owned());
    });
    assert_eq!(verdict(&project, r#"{"name":"a"}"#), None);
    assert_eq!(verdict(&project, r#"{"name":"a","url":"no url"}"#), None);
    assert_eq!(verdict(&project, r#"{"name":"a","url":"/x"}"#), Some(DiscardReason::ShieldedPath));
}

#[test]
fn a_sender_without_address_or_user_agent_is_met_by_no_rule_for_them() {
    let project = project(|project| {
        project.shields = vec![shield(ShieldKind::Address, "0.0.0.0/0"), shield(ShieldKind::UserAgent, "a")];
    });
    let nobody = Sender { address: None, user_agent: None, from_browser: false, proxy_headers: None };
    let mut decoded = decoded(EVENT);
    apply(&project, &nobody, NOW, &mut decoded);
    assert_eq!(decoded.events.len(), 1);
}

#[test]
fn a_projects_own_days_count() {
    let project = project(|project| project.late_days_max = 1);
    let event = |at: i64| format!(r#"{{"name":"a","occurred_at":{at}}}"#);
    assert_eq!(verdict(&project, &event(NOW.0 - DAY_MS)), None);
    assert_eq!(verdict(&project, &event(NOW.0 - 2 * DAY_MS)), Some(DiscardReason::TooLate));
}

#[test]
fn the_first_reason_is_the_one_that_is_given() {
    let mut project = project(|project| {
        project.late_days_max = 1;
        project.event_sources_off.push("ios".to_owned());
        project.shields = vec![
            shield(ShieldKind::UserAgent, "pingdom"),
            shield(ShieldKind::Path, "/admin/*"),
            shield(ShieldKind::Hostname, "shop.example"),
            shield(ShieldKind::Address, "203.0.113.77"),
        ];
        project.quota_exceeded_until = Some(UnixMs(NOW.0 + 1));
    });
    let old = EVENT.replace(r#""name":"a""#, &format!(r#""name":"a","occurred_at":{}"#, NOW.0 - 2 * DAY_MS));
    assert_eq!(verdict(&project, &old), Some(DiscardReason::TooLate));
    assert_eq!(verdict(&project, EVENT), Some(DiscardReason::EventSourceOff));
    project.event_sources_off.clear();
    let next = [
        DiscardReason::ShieldedAddress,
        DiscardReason::ShieldedHostname,
        DiscardReason::ShieldedPath,
        DiscardReason::ShieldedUserAgent,
    ];
    for reason in next {
        assert_eq!(verdict(&project, EVENT), Some(reason));
        project.shields.pop();
    }
    assert_eq!(verdict(&project, EVENT), Some(DiscardReason::QuotaExceeded));
}

#[test]
fn the_refused_stand_in_the_order_of_the_envelope_and_keep_their_numbers() {
    let body = r#"{"events":[
        {"name":"","tab_id":"t","seq":0},
        {"name":"a","tab_id":"t","seq":1,"url":"/admin/x"},
        {"name":"b","tab_id":"t","seq":2,"url":"/shop"},
        {"nome":"c","tab_id":"t","seq":3},
        {"name":"d","tab_id":"t","seq":4,"url":"/admin/y"},
        {"name":"e"}]}"#;
    let project = project(|project| project.shields.push(shield(ShieldKind::Path, "/admin/*")));
    let mut decoded = decoded(body);
    apply(&project, &sender(), NOW, &mut decoded);
    let names: Vec<_> = decoded.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["b", "e"]);
    let answered: Vec<_> = decoded.rejections.iter().map(|one| (one.index, one.reason)).collect();
    assert_eq!(
        answered,
        [
            (0, DiscardReason::NameMissing),
            (1, DiscardReason::ShieldedPath),
            (3, DiscardReason::NameMissing),
            (4, DiscardReason::ShieldedPath)
        ]
    );
    let numbers: Vec<_> = decoded.rejected.iter().map(|one| (one.tab_id.as_deref(), one.seq)).collect();
    assert_eq!(
        numbers,
        [(Some("t"), Some(0)), (Some("t"), Some(1)), (Some("t"), Some(3)), (Some("t"), Some(4))]
    );
}

#[test]
fn the_detail_tells_nothing_of_a_shield() {
    let project = project(|project| project.shields.push(shield(ShieldKind::Address, "203.0.113.0/24")));
    let mut decoded = decoded(EVENT);
    apply(&project, &sender(), NOW, &mut decoded);
    assert_eq!(decoded.rejections[0].detail, "this project does not count events from this address");
}
