//! Visitors whose clients make no sessions: a browser that keeps nothing, a backend that names devices. What sets their
//! visits apart is time alone.

use super::dice::Dice;
use super::fact::Fact;
use super::ids::DAY_MS;
use super::plan::Sender;
use super::scenery::{BACKEND, DEEDS, DEVICES, NOWHERE, ORIGINS, PAGES, PASSIVE};
use super::{HOUR_MS, Shape};

/// Who makes no sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sessionless {
    pub(super) project: usize,
    pub(super) number: usize,
    /// The project's.
    pub(super) timeout_ms: i64,
}

/// Plans a visitor without sessions: one event after the other, with pauses about as long as the timeout, on days that
/// follow each other and over their midnights.
pub(super) fn visitor(shape: &Shape, mut dice: Dice, who: Sessionless) -> Sender {
    let from_browser = dice.percent(70);
    let (device, spot) =
        if from_browser { (dice.pick(&DEVICES), shape.spot(&mut dice)) } else { (&BACKEND, &NOWHERE) };
    let wrong_clock = from_browser && shape.wrong_clocks && dice.percent(25);
    let skew_ms = if wrong_clock { 26 * HOUR_MS } else { 0 };
    let mut sender = Sender { device, spot, from_browser, skew_ms, facts: Vec::new(), bad: Vec::new() };
    let name = if dice.percent(70) { dice.v4().to_string() } else { format!("sessionless {}", who.number) };
    let latest_ms = shape.now_ms - 2 * HOUR_MS;
    let mut at_ms = shape.now_ms - 3 * HOUR_MS - dice.below_ms(shape.span_ms());
    for _ in 0..=dice.below(shape.visits_events_max) {
        at_ms += pause(&mut dice, who.timeout_ms, at_ms);
        if at_ms >= latest_ms {
            break;
        }
        let fact = fact(&mut dice, who, &sender, at_ms);
        sender.facts.push(Fact { visitor: Some(name.clone()), ..fact });
    }
    sender
}

/// How long until the next event: a moment, the timeout or a little beside it, a while, until midnight.
fn pause(dice: &mut Dice, timeout_ms: i64, at_ms: i64) -> i64 {
    match dice.below(12) {
        0 => 0,
        1 => timeout_ms - 1,
        2 | 3 => timeout_ms,
        4 | 5 => timeout_ms + 1,
        6 => timeout_ms + dice.below_ms(6 * timeout_ms),
        7 => DAY_MS - at_ms.rem_euclid(DAY_MS) - 1 + dice.below_ms(3), // about the UTC day's last millisecond
        _ => dice.below_ms(timeout_ms),
    }
}

fn fact(dice: &mut Dice, who: Sessionless, sender: &Sender, at_ms: i64) -> Fact {
    let (event, category) = match dice.below(4) {
        0 => *dice.pick(&DEEDS),
        1 => (*dice.pick(&PASSIVE), None),
        _ => ("$pageview", None),
    };
    let client_ms = at_ms + sender.skew_ms;
    let host = format!("shop{}.example", who.project);
    let page = dice.pick(&PAGES);
    let origin = Some(*dice.pick(&ORIGINS)).filter(|_| dice.percent(40));
    Fact {
        sent_id: dice.v7(client_ms).to_string(),
        name: event.to_owned(),
        at_ms,
        client_ms,
        visitor: None,
        session: None,
        tab: None,
        user_id: None,
        url: Some(format!("https://{host}{}", page.sent)),
        hostname: Some(host),
        path: Some(page.stored.to_owned()),
        referrer: origin.map(|origin| origin.referrer.to_owned()),
        source: origin.and_then(|origin| origin.source).map(str::to_owned),
        category: category.map(str::to_owned),
        event_source: None,
        engaged_ms: None,
        props: None,
        device: sender.device,
        spot: sender.spot,
        time_as_text: dice.percent(10),
    }
}
