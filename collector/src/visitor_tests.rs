use std::collections::BTreeMap;
use std::sync::Mutex;

use tallymark_protocol::{Arrival, DAY_MS, decode};
use uuid::Uuid;

use super::*;

/// Midnight between two UTC days.
const MIDNIGHT: UnixMs = UnixMs(19_900 * DAY_MS);
const YESTERDAY: i32 = 19_899;
const TODAY: i32 = 19_900;

/// Salts that die when they are told to.
struct Alive(Mutex<BTreeMap<i32, Salt>>);

impl Alive {
    fn on(days: impl IntoIterator<Item = i32>) -> Self {
        let salt = |day: i32| (day, Salt([u8::try_from(day % 251).unwrap(); 32]));
        Self(Mutex::new(days.into_iter().map(salt).collect()))
    }

    fn destroy(&self, day: i32) {
        self.0.lock().unwrap().remove(&day);
    }
}

impl Salts for Alive {
    fn salt(&self, day: i32) -> Option<Salt> {
        self.0.lock().unwrap().get(&day).cloned()
    }
}

fn sender(address: &str) -> Sender<'static> {
    Sender {
        address: Some(address.parse().unwrap()),
        user_agent: Some("Mozilla/5.0 (X11)".to_owned()),
        from_browser: true,
        proxy_headers: None,
    }
}

fn events(body: &str, received_at: UnixMs) -> Vec<Event> {
    let arrival = Arrival { received_at, fresh_id: &mut || Uuid::from_u128(1) };
    decode(body.as_bytes(), arrival).unwrap().events
}

struct Case<'a> {
    sender: Sender<'a>,
    project_id: i32,
    occurred_at: UnixMs,
    received_at: UnixMs,
}

impl Case<'_> {
    /// The visitor of one event without ids.
    fn visitor(&self, salts: &dyn Salts) -> Result<Option<String>, NoSalt> {
        let body = format!(r#"{{"name":"a","occurred_at":{}}}"#, self.occurred_at.0);
        let mut events = events(&body, self.received_at);
        let (project_id, received_at) = (self.project_id, self.received_at);
        name(salts, &Occasion { sender: &self.sender, project_id, received_at }, &mut events)?;
        Ok(events.remove(0).anonymous_id)
    }
}

fn noon() -> Case<'static> {
    let noon = UnixMs(MIDNIGHT.0 + DAY_MS / 2);
    Case { sender: sender("203.0.113.77"), project_id: 7, occurred_at: noon, received_at: noon }
}

#[test]
fn project_address_user_agent_and_day_make_the_visitor() {
    let salts = Alive::on([YESTERDAY, TODAY, TODAY + 1]);
    let visitor = |case: &Case<'_>| case.visitor(&salts).unwrap().unwrap();
    let first = visitor(&noon());
    assert_eq!(visitor(&noon()), first);
    assert_eq!(Uuid::try_parse(&first).unwrap().get_version_num(), 8);
    let later = UnixMs(noon().received_at.0 + 3_600_000);
    assert_eq!(visitor(&Case { occurred_at: later, received_at: later, ..noon() }), first);
    let mapped = Case { sender: sender("::ffff:203.0.113.77"), ..noon() };
    assert_eq!(visitor(&mapped), first, "an IPv4 address in IPv6's clothes");

    let tomorrow = UnixMs(noon().received_at.0 + DAY_MS);
    let mut others = vec![
        visitor(&Case { project_id: 8, ..noon() }),
        visitor(&Case { sender: sender("203.0.113.78"), ..noon() }),
        visitor(&Case { sender: sender("2001:db8::7"), ..noon() }),
        visitor(&Case {
            sender: Sender { user_agent: Some("curl".to_owned()), ..sender("203.0.113.77") },
            ..noon()
        }),
        visitor(&Case { sender: Sender { user_agent: None, ..sender("203.0.113.77") }, ..noon() }),
        visitor(&Case { occurred_at: tomorrow, received_at: tomorrow, ..noon() }),
        first,
    ];
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), 7);
}

#[test]
fn collectors_with_the_same_salts_name_the_same_visitor_and_others_do_not() {
    let case = noon();
    assert_eq!(case.visitor(&Alive::on([TODAY])), case.visitor(&Alive::on([TODAY])));
    let another = Alive(Mutex::new([(TODAY, Salt([9; 32]))].into()));
    assert_ne!(case.visitor(&Alive::on([TODAY])), case.visitor(&another));
}

#[test]
fn an_event_of_before_midnight_is_yesterdays_visitors_while_yesterdays_salt_lives() {
    let salts = Alive::on([YESTERDAY, TODAY]);
    let before = UnixMs(MIDNIGHT.0 - 10_000);
    let after = UnixMs(MIDNIGHT.0 + 5_000);
    let at = |occurred_at, received_at| Case { occurred_at, received_at, ..noon() }.visitor(&salts).unwrap();
    let yesterdays = at(before, before);
    let todays = at(after, after);
    assert_ne!(yesterdays, todays);
    assert_eq!(at(before, after), yesterdays);
    salts.destroy(YESTERDAY);
    assert_eq!(at(before, after), todays, "too late for yesterday's: it counts for the day of its receipt");
}

#[test]
fn events_of_both_days_in_one_envelope_have_a_visitor_each() {
    let salts = Alive::on([YESTERDAY, TODAY]);
    let (before, after) = (MIDNIGHT.0 - 10_000, MIDNIGHT.0 + 5_000);
    let body = format!(
        r#"[{{"name":"a","occurred_at":{before}}},{{"name":"b","occurred_at":{after}}},{{"name":"c","occurred_at":{before}}}]"#
    );
    let mut events = events(&body, UnixMs(after));
    let sender = sender("203.0.113.77");
    let occasion = Occasion { sender: &sender, project_id: 7, received_at: UnixMs(after) };
    assert_eq!(name(&salts, &occasion, &mut events), Ok(true));
    assert_eq!(events[0].anonymous_id, events[2].anonymous_id);
    assert_ne!(events[0].anonymous_id, events[1].anonymous_id);
}

#[test]
fn without_a_salt_only_those_who_need_one_are_refused() {
    let none = Alive::on([]);
    assert_eq!(noon().visitor(&none), Err(NoSalt));
    let with_ids = r#"[{"name":"a","anonymous_id":"v-1"},{"name":"b","user_id":"u-1"}]"#;
    let mut named = events(with_ids, MIDNIGHT);
    let sender = sender("203.0.113.77");
    let occasion = Occasion { sender: &sender, project_id: 7, received_at: MIDNIGHT };
    assert_eq!(name(&none, &occasion, &mut named), Ok(false));
    let ids: Vec<_> = named.iter().map(|event| event.anonymous_id.as_deref()).collect();
    assert_eq!(ids, [Some("v-1"), None], "who has a name keeps it; a person is no visitor");
    assert_eq!(name(&none, &occasion, &mut []), Ok(false));
}

#[test]
fn a_backend_and_a_sender_without_address_name_nobody() {
    let none = Alive::on([]);
    let backend = Case { sender: Sender { from_browser: false, ..sender("203.0.113.77") }, ..noon() };
    assert_eq!(backend.visitor(&none), Ok(None));
    let nowhere = Case { sender: Sender { address: None, ..sender("203.0.113.77") }, ..noon() };
    assert_eq!(nowhere.visitor(&none), Ok(None));
}
