use std::sync::Arc;

use tallymark_protocol::settings::{Shield, ShieldKind};
use tallymark_protocol::{Arrival, DAY_MS, decode};
use tallymark_queue::{EmbeddedConfig, EmbeddedQueue};
use tallymark_registry::{LocalRateTokens, LocalRegistry, NoSalts, Salt, Salts};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{CollectorConfig, ManualClock, Surroundings};

const NOW: UnixMs = UnixMs(19_900 * DAY_MS + 3_600_000);

/// Every day has a salt.
struct Always;

impl Salts for Always {
    fn salt(&self, _day: i32) -> Option<Salt> {
        Some(Salt([7; 32]))
    }
}

/// A collector that nothing is sent to: it is only asked to judge.
async fn collector(salts: Arc<dyn Salts>) -> (Collector, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let surroundings = Surroundings {
        queue: Arc::new(EmbeddedQueue::open(EmbeddedConfig::new(dir.path())).await.unwrap()),
        registry: Arc::new(LocalRegistry::new(None, async |_| Ok(None))),
        tokens: Arc::new(LocalRateTokens::new()),
        salts,
        places: Arc::default(),
        clock: Arc::new(ManualClock::new(NOW)),
    };
    (Collector::new(CollectorConfig::default(), surroundings), dir)
}

fn sender() -> Sender<'static> {
    Sender {
        address: Some("::ffff:203.0.113.77".parse().unwrap()),
        user_agent: Some("Mozilla/5.0".to_owned()),
        from_browser: true,
        proxy_headers: None,
    }
}

fn decoded(body: &str) -> Decoded {
    let arrival = Arrival { received_at: NOW, fresh_id: &mut || Uuid::from_u128(1) };
    decode(body.as_bytes(), arrival).unwrap()
}

const PAGEVIEW: &str = r#"{"context":{"timezone":"Europe/Oslo"},"events":[{"name":"a"}]}"#;

#[tokio::test]
async fn an_address_becomes_a_visitor_and_a_place_and_is_gone() {
    let (collector, _dir) = collector(Arc::new(Always)).await;
    let mut events = decoded(PAGEVIEW);
    let kept = collector.judge(sender(), &ProjectSettings::new(7, 1), NOW, &mut events).unwrap();
    assert_eq!((kept.address, kept.from_browser), (None, true));
    assert_eq!(kept.user_agent.as_deref(), Some("Mozilla/5.0"));
    assert_eq!(kept.place.country.as_deref(), Some("NO"));
    assert!(events.events[0].anonymous_id.is_some());
}

#[tokio::test]
async fn an_owner_who_keeps_addresses_gets_those_of_events_that_are_counted() {
    let (collector, _dir) = collector(Arc::new(Always)).await;
    let mut project = ProjectSettings::new(7, 1);
    project.keep_addresses = true;
    let kept = collector.judge(sender(), &project, NOW, &mut decoded(PAGEVIEW)).unwrap();
    assert_eq!(kept.address.map(|address| address.to_string()).as_deref(), Some("203.0.113.77"));

    project.shields.push(Shield::parse(ShieldKind::Address, "203.0.113.0/24").unwrap());
    let mut shielded = decoded(PAGEVIEW);
    let kept = collector.judge(sender(), &project, NOW, &mut shielded).unwrap();
    assert_eq!((kept.address, shielded.rejected.len()), (None, 1));
    assert!(kept.place.is_unknown());
}

#[tokio::test]
async fn without_salts_a_request_is_refused_only_where_an_event_needs_one() {
    let (collector, _dir) = collector(Arc::new(NoSalts)).await;
    let project = ProjectSettings::new(7, 1);
    let refused = collector.judge(sender(), &project, NOW, &mut decoded(PAGEVIEW)).err();
    let retry_after = CollectorConfig::default().retry_after;
    assert_eq!(refused, Some(Refusal::CookielessUnavailable { retry_after }));
    let mut named = decoded(r#"[{"name":"a","anonymous_id":"v-1"}]"#);
    assert!(collector.judge(sender(), &project, NOW, &mut named).is_ok());

    let mut shielding = project;
    shielding.shields.push(Shield::parse(ShieldKind::UserAgent, "mozilla").unwrap());
    let taken = collector.judge(sender(), &shielding, NOW, &mut decoded(PAGEVIEW));
    assert!(taken.is_ok(), "what is not counted needs no visitor");
}
