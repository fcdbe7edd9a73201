//! Salts on which collectors agree through Redis.

use std::io::Write as _;

use tallymark_protocol::{DAY_MS, HOUR_MS, UnixMs};
use tallymark_registry::{RedisSalts, Salt, Salts, Secret};

use crate::place::{Place, StandingClock, Wire, until};

const DAY: i32 = 20_412;

fn hours_into(day: i32, hours: i64) -> UnixMs {
    UnixMs(i64::from(day) * DAY_MS + hours * HOUR_MS)
}

fn secret(byte: u8) -> Secret {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[byte; 32]).unwrap();
    Secret::read(file.path()).unwrap()
}

fn noon() -> StandingClock {
    StandingClock::at(hours_into(DAY, 12))
}

fn collector(place: &Place, clock: &StandingClock) -> RedisSalts {
    RedisSalts::new(place.config(), secret(1), clock.asked()).unwrap()
}

async fn known(salts: &RedisSalts, day: i32) -> Salt {
    until("the salt is known", async || salts.salt(day).is_some()).await;
    salts.salt(day).unwrap()
}

async fn agreed(one: &RedisSalts, other: &RedisSalts, day: i32) -> Salt {
    let salt = known(one, day).await;
    assert_eq!(known(other, day).await, salt);
    salt
}

fn key(place: &Place, day: i32) -> String {
    place.key(&format!("salt:{day}"))
}

async fn exists(place: &Place, day: i32) -> bool {
    place.ask(redis::cmd("EXISTS").arg(key(place, day))).await
}

#[tokio::test]
async fn two_collectors_agree_on_every_day_across_midnights() {
    let (place, clock) = (Place::new(), noon());
    let (one, other) = (collector(&place, &clock), collector(&place, &clock));
    let mut salts = vec![agreed(&one, &other, DAY).await];
    for day in DAY + 1..DAY + 4 {
        let tomorrows = agreed(&one, &other, day).await;
        clock.set(hours_into(day, 0));
        assert_eq!(one.salt(day), Some(tomorrows.clone()), "there when the day begins");
        assert_eq!(one.salt(day - 1), salts.last().cloned(), "yesterday's lives on");
        assert!(!salts.contains(&tomorrows));
        salts.push(tomorrows);
        clock.set(hours_into(day, 2));
        for collector in [&one, &other] {
            assert_eq!(collector.salt(day - 1), None, "and no longer than two hours");
        }
    }
    let late = collector(&place, &clock);
    assert_eq!(known(&late, DAY + 3).await, *salts.last().unwrap(), "who comes late takes what is there");
}

#[tokio::test]
async fn many_that_start_at_once_agree() {
    let (place, clock) = (Place::new(), noon());
    let all: Vec<RedisSalts> = (0..8).map(|_| collector(&place, &clock)).collect();
    for day in [DAY, DAY + 1] {
        let first = known(&all[0], day).await;
        for other in &all {
            assert_eq!(known(other, day).await, first);
        }
    }
}

#[tokio::test]
async fn redis_holds_salts_sealed_until_they_die_and_not_longer() {
    let (place, clock) = (Place::new(), noon());
    let salts = collector(&place, &clock);
    let salt = known(&salts, DAY).await;
    known(&salts, DAY + 1).await;
    let sealed: Vec<u8> = place.ask(redis::cmd("GET").arg(key(&place, DAY))).await;
    assert!(!sealed.windows(8).any(|window| salt.0.windows(8).any(|part| part == window)));
    for (day, hours) in [(DAY, 14), (DAY + 1, 38)] {
        let left_ms: i64 = place.ask(redis::cmd("PTTL").arg(key(&place, day))).await;
        let full_ms = hours * HOUR_MS;
        assert!(left_ms > full_ms - 60_000 && left_ms <= full_ms, "{day}: {left_ms}");
    }
    assert_eq!(place.keys().await.len(), 2);
}

#[tokio::test]
async fn after_two_hours_nobody_has_it_not_even_redis() {
    let (place, clock) = (Place::new(), noon());
    let salts = collector(&place, &clock);
    let first = known(&salts, DAY).await;
    clock.set(UnixMs(hours_into(DAY + 1, 2).0 - 1_500));
    let () = place.ask(redis::cmd("DEL").arg(key(&place, DAY))).await;
    until("who knows it puts it back", async || exists(&place, DAY).await).await;
    assert_eq!(salts.salt(DAY), Some(first));
    clock.set(hours_into(DAY + 1, 2));
    assert_eq!(salts.salt(DAY), None);
    until("it expires", async || !exists(&place, DAY).await).await;
    let late = collector(&place, &clock);
    known(&late, DAY + 1).await;
    assert_eq!(late.salt(DAY), None);
    assert!(!exists(&place, DAY).await, "nobody makes one for a day that is over");
}

#[tokio::test]
async fn another_secret_opens_nothing_and_spoils_nothing() {
    let (place, clock) = (Place::new(), noon());
    let ours = collector(&place, &clock);
    let salt = known(&ours, DAY).await;
    known(&ours, DAY + 1).await;
    ours.close().await;
    let () = place.ask(redis::cmd("DEL").arg(key(&place, DAY + 1))).await;
    let theirs = RedisSalts::new(place.config(), secret(2), clock.asked()).unwrap();
    known(&theirs, DAY + 1).await; // it has looked at both days by now
    assert_eq!(theirs.salt(DAY), None);
    assert_eq!(known(&collector(&place, &clock), DAY).await, salt, "what was there is still there");
}

#[tokio::test]
async fn a_redis_that_lost_its_memory_is_given_back_what_a_collector_knows() {
    let (place, clock) = (Place::new(), noon());
    let one = collector(&place, &clock);
    let salt = known(&one, DAY).await;
    let () = place.ask(redis::cmd("DEL").arg(key(&place, DAY))).await;
    until("it is put back", async || exists(&place, DAY).await).await;
    assert_eq!(known(&collector(&place, &clock), DAY).await, salt);
}

#[tokio::test]
async fn collectors_that_differ_take_what_redis_holds() {
    let (place, clock) = (Place::new(), noon());
    let one = collector(&place, &clock);
    let before = known(&one, DAY).await;
    // Another one was faster in a Redis that had forgotten.
    let elsewhere = Place::new();
    let other = collector(&elsewhere, &clock);
    let theirs = known(&other, DAY).await;
    let sealed: Vec<u8> = place.ask(redis::cmd("GET").arg(key(&elsewhere, DAY))).await;
    let () = place.ask(redis::cmd("SET").arg(key(&place, DAY)).arg(sealed)).await;
    assert_ne!(before, theirs);
    until("it is taken over", async || one.salt(DAY).as_ref() == Some(&theirs)).await;
}

#[tokio::test]
async fn while_redis_is_away_known_salts_stay_and_unknown_ones_are_none() {
    let (place, clock) = (Place::new(), noon());
    let mut wire = Wire::to(&place).await;
    let over_wire = |wire: &Wire| RedisSalts::new(place.config_over(wire), secret(1), clock.asked()).unwrap();
    let one = over_wire(&wire);
    let (today, tomorrow) = (known(&one, DAY).await, known(&one, DAY + 1).await);
    wire.cut().await;
    let fresh = over_wire(&wire);
    clock.set(hours_into(DAY + 1, 1));
    assert_eq!(one.salt(DAY), Some(today), "for its day and two hours");
    assert_eq!(one.salt(DAY + 1), Some(tomorrow.clone()), "over midnight, too");
    clock.set(hours_into(DAY + 1, 2));
    assert_eq!(one.salt(DAY), None);
    assert_eq!(fresh.salt(DAY + 1), None);
    wire.mend().await;
    assert_eq!(known(&fresh, DAY + 1).await, tomorrow);
    known(&one, DAY + 2).await;
}
