//! The rules of delivery, as sentences.

use alloc::format;
use alloc::string::ToString;

use super::*;

const T: u64 = 1_763_622_000_000;
const INTERVAL: u64 = 2_000;
const HEAD: &str = "https://h/capture?write_key=k\n\"events\":[";

fn delivery() -> Delivery {
    Delivery::new(Head(HEAD.into()), "q:".into(), 50, INTERVAL, 0)
}

fn with_events(count: usize, bytes: usize) -> Delivery {
    let mut delivery = delivery();
    for n in 0..count {
        let event = format!("{{\"n\":{n},\"p\":\"{}\"}}", "x".repeat(bytes));
        assert!(delivery.push(&event, T).is_some());
    }
    delivery
}

fn sent(step: Step) -> Envelope {
    match step {
        Step::Send(envelope) => envelope,
        other => panic!("expected a request, got {other:?}"),
    }
}

fn events_in(envelope: &Envelope) -> usize {
    envelope.body.matches("\"n\":").count()
}

fn answer(status: u16) -> Answer {
    Answer { status, acknowledged: status == 202, retry_after_s: 0 }
}

#[test]
fn a_batch_leaves_when_it_is_full() {
    let mut delivery = with_events(49, 10);
    assert_eq!(delivery.next(Moment::Staying, T), Step::Wait(INTERVAL));
    delivery.push("{\"n\":49}", T);
    assert_eq!(events_in(&sent(delivery.next(Moment::Staying, T))), 50);
}

#[test]
fn a_batch_leaves_when_its_time_has_come() {
    let mut delivery = with_events(1, 10);
    assert_eq!(delivery.next(Moment::Staying, T + 500), Step::Wait(INTERVAL - 500));
    assert_eq!(events_in(&sent(delivery.next(Moment::Staying, T + INTERVAL))), 1);
}

#[test]
fn the_body_is_an_envelope() {
    let mut delivery = delivery();
    delivery.push("{\"n\":1}", T);
    delivery.push("{\"n\":2}", T);
    let envelope = sent(delivery.next(Moment::Leaving, T + 5));
    assert_eq!(envelope.url, "https://h/capture?write_key=k");
    assert_eq!(envelope.body, format!("{{\"sent_at\":{},\"events\":[{{\"n\":1}},{{\"n\":2}}]}}", T + 5));
}

#[test]
fn one_request_at_a_time_while_the_page_stays() {
    let mut delivery = with_events(120, 10);
    sent(delivery.next(Moment::Staying, T));
    assert_eq!(delivery.next(Moment::Staying, T + 1), Step::Wait(ANSWER_TIMEOUT_MS - 1));
    let changes = delivery.answered(1, answer(202), T + 2);
    assert_eq!(changes.len(), 10, "ten records of five were acknowledged");
    assert_eq!(events_in(&sent(delivery.next(Moment::Staying, T + 2))), 50);
}

#[test]
fn nothing_is_deleted_without_an_acknowledgement() {
    for status in [0, 200, 404, 408, 429, 500, 503] {
        let mut delivery = with_events(3, 10);
        let envelope = sent(delivery.next(Moment::Leaving, T));
        assert_eq!(delivery.answered(envelope.flight, answer(status), T), [], "{status}");
        assert_eq!(delivery.next(Moment::Staying, T), Step::Wait(500), "{status}");
        let again = sent(delivery.next(Moment::Staying, T + 500));
        assert_eq!(events_in(&again), 3, "{status}");
    }
}

#[test]
fn what_can_never_work_is_dropped_and_counted() {
    for status in [400, 415, 422] {
        let mut delivery = with_events(3, 10);
        let envelope = sent(delivery.next(Moment::Leaving, T));
        assert_eq!(delivery.answered(envelope.flight, answer(status), T).len(), 1);
        assert_eq!((delivery.dropped(), delivery.next(Moment::Staying, T)), (3, Step::Idle));
    }
}

#[test]
fn a_wrong_key_stops_this_page_and_deletes_nothing() {
    for status in [401, 403] {
        let mut delivery = with_events(3, 10);
        let envelope = sent(delivery.next(Moment::Leaving, T));
        assert_eq!(delivery.answered(envelope.flight, answer(status), T), []);
        assert_eq!(delivery.next(Moment::Leaving, T + 1_000_000), Step::Idle);
    }
}

#[test]
fn too_large_is_halved_until_the_one_that_is_too_large_is_dropped() {
    let mut delivery = with_events(10, 10);
    delivery.hurry();
    let (mut accepted, mut stored) = (0, 0_i32);
    for round in 0..100 {
        let Step::Send(envelope) = delivery.next(Moment::Staying, T + round) else { break };
        let too_large = envelope.body.contains("\"n\":7,");
        if !too_large {
            accepted += events_in(&envelope);
        }
        let status = if too_large { 413 } else { 202 };
        for change in delivery.answered(envelope.flight, answer(status), T + round) {
            stored += if matches!(change, Change::Store(..)) { 1 } else { -1 };
        }
    }
    assert_eq!((accepted, delivery.dropped()), (9, 1));
    assert_eq!(stored, -2, "every half that was stored is deleted, and the two records they came from");
    assert_eq!(delivery.next(Moment::Staying, T + 200), Step::Idle);
}

#[test]
fn leaving_takes_what_fits_the_keepalive_allowance() {
    let mut delivery = with_events(200, 480);
    let (mut bytes, mut events) = (0, 0);
    while let Step::Send(envelope) = delivery.next(Moment::Leaving, T) {
        assert!(envelope.keepalive);
        assert!(events_in(&envelope) <= 50);
        bytes += envelope.body.len();
        events += events_in(&envelope);
    }
    assert!(bytes <= KEEPALIVE_BYTES_MAX, "{bytes}");
    assert!(events >= 120, "{events} of about 127 that fit");
}

#[test]
fn a_request_that_dies_with_the_page_is_made_anew_when_leaving() {
    let mut delivery = with_events(50, 900);
    let first = sent(delivery.next(Moment::Staying, T));
    assert!(!first.keepalive, "45 KB are more than a staying page takes of the allowance");
    let second = sent(delivery.next(Moment::Leaving, T));
    assert_eq!((second.keepalive, events_in(&second)), (true, 50));
    assert_eq!(delivery.answered(first.flight, answer(0), T), []);
    assert_eq!(delivery.answered(second.flight, answer(202), T).len(), 10);
}

#[test]
fn a_small_request_survives_the_page_anyway_and_is_not_repeated() {
    let mut delivery = with_events(50, 10);
    assert!(sent(delivery.next(Moment::Staying, T)).keepalive);
    assert_eq!(delivery.next(Moment::Leaving, T), Step::Idle);
}

#[test]
fn retry_after_is_obeyed_even_when_leaving() {
    let mut delivery = with_events(3, 10);
    let envelope = sent(delivery.next(Moment::Leaving, T));
    let busy = Answer { status: 503, acknowledged: false, retry_after_s: 10 };
    delivery.answered(envelope.flight, busy, T);
    assert_eq!(delivery.next(Moment::Leaving, T + 4_000), Step::Wait(6_000));
    assert_eq!(delivery.next(Moment::Staying, T + 9_999), Step::Wait(1));
    sent(delivery.next(Moment::Staying, T + 10_000));
}

#[test]
fn no_answer_in_time_is_a_failure_and_a_late_one_still_counts_for_nothing() {
    let mut delivery = with_events(3, 10);
    delivery.hurry();
    let lost = sent(delivery.next(Moment::Staying, T));
    let late = T + ANSWER_TIMEOUT_MS;
    assert_eq!(delivery.next(Moment::Staying, late), Step::Wait(500));
    assert_eq!(delivery.answered(lost.flight, answer(202), late), []);
    assert_eq!(events_in(&sent(delivery.next(Moment::Staying, late + 500))), 3);
}

#[test]
fn being_online_again_ends_the_backoff() {
    let mut delivery = with_events(3, 10);
    delivery.hurry();
    let envelope = sent(delivery.next(Moment::Staying, T));
    delivery.answered(envelope.flight, answer(0), T);
    assert_eq!(delivery.next(Moment::Staying, T), Step::Wait(500));
    delivery.hurry();
    sent(delivery.next(Moment::Staying, T));
}

#[test]
fn leavings_are_adopted_unchanged_and_never_mixed_with_another_context() {
    let mut delivery = delivery();
    let other = "https://h/capture?write_key=k\n\"sdk\":\"old\",\"events\":[\n{\"n\":77}";
    assert_eq!(delivery.adopt("q:other".into(), other.into()), None);
    delivery.push("{\"n\":1}", T);
    let first = sent(delivery.next(Moment::Staying, T));
    assert!(first.body.ends_with("\"sdk\":\"old\",\"events\":[{\"n\":77}]}"), "{}", first.body);
    let deleted = delivery.answered(first.flight, answer(202), T);
    assert_eq!(deleted, [Change::Delete("q:other".into(), other.to_string())]);
}

#[test]
fn torn_leavings_are_deleted() {
    let torn = delivery().adopt("q:torn".into(), "https://h".into());
    assert_eq!(torn, Some(Change::Delete("q:torn".into(), "https://h".into())));
}

#[test]
fn an_event_never_joins_a_record_that_was_on_its_way() {
    let mut delivery = with_events(1, 10);
    let envelope = sent(delivery.next(Moment::Leaving, T));
    delivery.answered(envelope.flight, answer(503), T);
    let (key, text) = delivery.push("{\"n\":2}", T).expect("the queue has room");
    assert_eq!((key, text.matches("\"n\":").count()), ("q:2", 1));
}

#[test]
fn five_thousand_offline_events_all_wait_and_all_leave() {
    let mut delivery = with_events(5_000, 400);
    let mut delivered = 0;
    while let Step::Send(envelope) = delivery.next(Moment::Staying, T + INTERVAL) {
        delivered += events_in(&envelope);
        delivery.answered(envelope.flight, answer(202), T + INTERVAL);
    }
    assert_eq!((delivered, delivery.dropped()), (5_000, 0));
}

#[test]
fn a_full_queue_refuses_and_counts() {
    let mut delivery = delivery();
    let event = "x".repeat(10_000);
    let taken = (0..400).filter(|_| delivery.push(&event, T).is_some()).count();
    assert_eq!(taken + delivery.dropped() as usize, 400);
    assert!(taken * 10_000 <= WAITING_BYTES_MAX && taken > 290);
}
