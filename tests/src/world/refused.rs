//! Events that must be refused, each for one reason.

use serde_json::{Value, json};

use super::Shape;
use super::dice::Dice;
use super::fact::{BadEvent, Fact};
use super::ids::DAY_MS;

const REASONS: [&str; 11] = [
    "malformed_event",
    "malformed_event",
    "name_missing",
    "name_too_long",
    "id_too_long",
    "label_too_long",
    "props_invalid",
    "props_too_large",
    "props_too_deep",
    "too_late",
    "clock_out_of_range",
];

/// The event that `fact` would have been, had its sender not spoilt it.
pub(super) fn spoilt(dice: &mut Dice, shape: &Shape, fact: &Fact) -> BadEvent {
    let mut json = fact.json();
    let place = dice.below(REASONS.len());
    let reason = REASONS[place];
    let mut put = |key: &str, value: Value| drop(json.insert(key.to_owned(), value));
    match reason {
        "malformed_event" if place == 0 => {
            return BadEvent { reason, at_ms: fact.at_ms, json: json!("no object"), tab: None };
        }
        "malformed_event" => put("name", json!(["pageview"])),
        "name_missing" => put("name", json!(" ")),
        "name_too_long" => put("name", json!("n".repeat(129))),
        "id_too_long" => put("anonymous_id", json!("ä".repeat(65))),
        "label_too_long" => put("category", json!("c".repeat(129))),
        "props_invalid" => put("props", json!([1])),
        "props_too_large" => put("props", json!({ "text": "x".repeat(16 * 1024) })),
        "props_too_deep" => put("props", (0..9).fold(json!(1), |inner, _| json!({ "a": inner }))),
        "too_late" => put("id", json!(dice.v7(shape.now_ms - 80 * DAY_MS).to_string())),
        _ => put("id", json!(dice.v7(shape.now_ms + 4 * DAY_MS).to_string())),
    }
    BadEvent { reason, at_ms: fact.at_ms, json: Value::Object(json), tab: fact.tab.clone() }
}
