//! Who does what, when: the traffic of each sender, before anything is sent.

use serde_json::json;

use super::dice::Dice;
use super::fact::{BadEvent, Fact};
use super::ids::{ClientSession, DAY_MS};
use super::scenery::{BACKEND, DEEDS, DEVICES, Device, NOWHERE, ORIGINS, Origin, PAGES, PASSIVE, Page, Spot};
use super::{HOUR_MS, Shape, refused};

/// All that one sender does: its events are sent together, other senders' never with them.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) device: &'static Device,
    pub(super) spot: &'static Spot,
    pub(super) from_browser: bool,
    /// How far its clock is ahead.
    pub(super) skew_ms: i64,
    pub(super) facts: Vec<Fact>,
    pub(super) bad: Vec<BadEvent>,
}

/// How far clocks are ahead: most are right; the wrong ones are wrong enough to be corrected.
const SKEWS_MS: [i64; 6] = [0, 0, 0, 0, -5 * HOUR_MS - 17_000, 26 * HOUR_MS];

struct Visitor<'s> {
    shape: &'s Shape,
    dice: Dice,
    name: String,
    host: String,
    person: Option<String>,
    sender: Sender,
}

/// A session that is under way.
struct Visit {
    session: ClientSession,
    tabs: Vec<(String, u32)>,
    at_ms: i64,
    page: Page,
    referrer: Option<Origin>,
}

/// Plans one visitor: its sessions one after the other.
pub(super) fn visitor(shape: &Shape, mut dice: Dice, project: usize, number: usize) -> Sender {
    let skew_ms = if shape.wrong_clocks { *dice.pick(&SKEWS_MS) } else { 0 };
    let device = dice.pick(&DEVICES);
    let name = if dice.percent(80) { dice.v4().to_string() } else { format!("visitor {number}") };
    let spot = shape.spot(&mut dice);
    let sender = Sender { device, spot, from_browser: true, skew_ms, facts: Vec::new(), bad: Vec::new() };
    let host = format!("shop{project}.example");
    let mut visitor = Visitor { shape, dice, name, host, person: None, sender };
    visitor.live();
    visitor.sender
}

impl Visitor<'_> {
    fn live(&mut self) {
        let latest_ms = self.shape.now_ms - 2 * HOUR_MS;
        let mut at_ms = self.shape.now_ms - self.dice.below_ms(self.shape.span_ms());
        if self.dice.percent(30) {
            at_ms = self.shape.focus_ms() - HOUR_MS + self.dice.below_ms(2 * HOUR_MS);
        }
        for number in 0..=self.dice.below(self.shape.sessions_max) {
            if at_ms >= latest_ms {
                break;
            }
            if self.dice.percent(20) {
                at_ms = self.before_midnight(at_ms);
            }
            if self.dice.percent(15) {
                self.person = Some(format!("person-{}@example.org", self.dice.below(9)));
            }
            let end_ms = self.session(number, at_ms);
            at_ms = end_ms + HOUR_MS + self.dice.below_ms(2 * DAY_MS);
        }
    }

    /// Some minutes before the next midnight of one of the world's zones.
    fn before_midnight(&mut self, at_ms: i64) -> i64 {
        let midnight_ms = *self.dice.pick(&[0, HOUR_MS, 2 * HOUR_MS, 5 * HOUR_MS + HOUR_MS / 2]);
        let next_ms = ((at_ms + midnight_ms).div_euclid(DAY_MS) + 1) * DAY_MS - midnight_ms;
        (next_ms - self.dice.below_ms(HOUR_MS / 6)).min(self.shape.now_ms - 3 * HOUR_MS).max(at_ms)
    }

    fn session(&mut self, number: usize, began_ms: i64) -> i64 {
        let began_client_ms = Some(began_ms + self.sender.skew_ms).filter(|_| self.dice.percent(85));
        let text = began_client_ms
            .map_or_else(|| format!("session {number}"), |began_ms| self.dice.v7(began_ms).to_string());
        let first_tab = if self.dice.percent(80) {
            self.dice.v4().to_string()
        } else {
            format!("tab of {} in {number}", self.name)
        };
        let mut tabs = vec![(first_tab, 0)];
        tabs.extend((0..self.dice.below(3)).map(|_| (self.dice.v4().to_string(), 0)));
        let mut visit = Visit {
            session: ClientSession { text, began_client_ms },
            tabs,
            at_ms: began_ms,
            page: *self.dice.pick(&PAGES),
            referrer: Some(*self.dice.pick(&ORIGINS)).filter(|_| self.dice.percent(75)),
        };
        let pages = self.dice.below(self.shape.pages_max + 1);
        if pages == 0 {
            self.deed(&mut visit);
        }
        for page in 0..pages {
            self.page(&mut visit);
            // A broken client that never begins another session: it is cut for it.
            if page == 0 && self.dice.percent(8) && visit.at_ms < self.shape.now_ms - 3 * DAY_MS {
                visit.at_ms += 18 * HOUR_MS + self.dice.below_ms(14 * HOUR_MS);
            }
        }
        visit.at_ms
    }

    fn page(&mut self, visit: &mut Visit) {
        visit.page = *self.dice.pick(&PAGES);
        self.happens(visit, "$pageview", None);
        if self.person.is_some() && self.dice.percent(20) {
            self.happens(visit, "$identify", None);
        }
        for _ in 0..self.dice.below(3) {
            if self.dice.percent(50) {
                let name = *self.dice.pick(&PASSIVE);
                self.happens(visit, name, None);
            } else {
                self.deed(visit);
            }
        }
        if self.dice.percent(70) {
            self.happens(visit, "$pageleave", None);
        }
        // The next page was reached from this one.
        visit.referrer = Some(Origin { referrer: "https://www.SELF/", source: None });
    }

    fn deed(&mut self, visit: &mut Visit) {
        let (name, category) = *self.dice.pick(&DEEDS);
        self.happens(visit, name, category);
    }

    fn happens(&mut self, visit: &mut Visit, name: &str, category: Option<&str>) {
        // Often within the same millisecond: then ids decide what was first.
        if self.dice.percent(75) {
            visit.at_ms += self.dice.below_ms(90_000);
        }
        let tab = self.dice.below(visit.tabs.len());
        if self.dice.percent(self.shape.lost_percent) {
            visit.tabs[tab].1 += 1; // numbered, and never sent
        }
        let fact = self.fact(visit, tab, name, category);
        if self.dice.percent(self.shape.bad_percent) {
            self.sender.bad.push(refused::spoilt(&mut self.dice, self.shape, &fact));
            visit.tabs[tab].1 += 1;
            return;
        }
        visit.tabs[tab].1 += 1;
        self.sender.facts.push(fact);
    }

    fn fact(&mut self, visit: &Visit, tab: usize, name: &str, category: Option<&str>) -> Fact {
        let client_ms = visit.at_ms + self.sender.skew_ms;
        let (sent_tab, seq) = &visit.tabs[tab];
        let referrer = visit.referrer.map(|origin| origin.referrer.replace("SELF", &self.host));
        let props = self.dice.percent(30).then(|| json!({ "plan": "pro", "n": self.dice.below(1_000) }));
        Fact {
            sent_id: self.dice.v7(client_ms).to_string(),
            name: name.to_owned(),
            at_ms: visit.at_ms,
            client_ms,
            visitor: Some(self.name.clone()),
            session: Some(visit.session.clone()),
            tab: Some((sent_tab.clone(), *seq)),
            user_id: self.person.clone(),
            url: Some(format!("https://{}{}", self.host, visit.page.sent)),
            hostname: Some(self.host.clone()),
            path: Some(visit.page.stored.to_owned()),
            referrer,
            source: visit.referrer.and_then(|origin| origin.source).map(str::to_owned),
            category: category.map(str::to_owned),
            event_source: Some("web".to_owned()).filter(|_| self.dice.percent(80)),
            engaged_ms: (name == "$pageleave").then(|| self.dice.below_ms(60_000)),
            props,
            device: self.sender.device,
            spot: self.sender.spot,
            time_as_text: self.dice.percent(10),
        }
    }
}

/// Plans a backend: events of nobody, or of a person without a device.
pub(super) fn backend(shape: &Shape, mut dice: Dice, number: usize) -> Sender {
    let mut sender = Sender {
        device: &BACKEND,
        spot: &NOWHERE,
        from_browser: false,
        skew_ms: 0,
        facts: Vec::new(),
        bad: Vec::new(),
    };
    for order in 0..=dice.below(shape.backend_events_max) {
        let at_ms = shape.now_ms - HOUR_MS - dice.below_ms(shape.span_ms());
        let with_path = dice.percent(50);
        sender.facts.push(Fact {
            sent_id: if dice.percent(60) {
                format!("order-{number}-{order}")
            } else {
                dice.v7(at_ms).to_string()
            },
            name: "order_paid".to_owned(),
            at_ms,
            client_ms: at_ms,
            visitor: None,
            session: None,
            tab: None,
            user_id: Some(format!("person-{order}@example.org")).filter(|_| dice.percent(60)),
            url: with_path.then(|| "/orders/paid?id=1".to_owned()),
            hostname: None,
            path: with_path.then(|| "/orders/paid".to_owned()),
            referrer: None,
            source: None,
            category: Some("billing".to_owned()),
            event_source: Some("backend".to_owned()),
            engaged_ms: None,
            props: Some(json!({ "amount": 12.5, "items": ["a", {"b": null}] })),
            device: &BACKEND,
            spot: &NOWHERE,
            time_as_text: dice.percent(50),
        });
    }
    sender
}
