//! What an event means: ids, page, source, browser. Pure, but for the memory of what was parsed before.

mod source;
mod user_agent;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use tallymark_protocol::page::Page;
use tallymark_protocol::{Event, Place, UnixMs, names, uuid_from_text};
use tallymark_queue::QueuedEnvelope;
use tallymark_store::EnvelopeRow;
use tallymark_store::model::{EnrichedEvent, EventRow, VisitAttributes};
use uuid::Uuid;

use crate::sessionize::{project_namespace, session_id};

/// User agents that are remembered: real traffic has some thousands.
const USER_AGENTS_MAX: usize = 4_096;

/// Turns queued envelopes into rows ready to commit.
#[derive(Debug, Default)]
pub struct Enricher {
    user_agents: HashMap<String, Arc<VisitAttributes>>,
}

impl Enricher {
    /// The rows of one envelope. The same envelope always gives the same rows.
    pub fn enrich(&mut self, envelope: QueuedEnvelope) -> EnvelopeRow {
        let namespace = project_namespace(envelope.project_id);
        let tab = |tab_id: &Option<String>, seq| Some((uuid_from_text(namespace, tab_id.as_deref()?), seq?));
        let refused = envelope.rejected.iter().filter_map(|event| tab(&event.tab_id, event.seq));
        let accepted = envelope.events.iter().filter_map(|event| tab(&event.tab_id, event.seq));
        let numbered: Vec<(Uuid, u32)> = accepted.chain(refused).collect();
        let visit = self.visit(envelope.user_agent.as_deref(), envelope.place);
        let (project_id, received_at) = (envelope.project_id, envelope.received_at);
        let arrival = Arrival { project_id, namespace, received_at, address: envelope.address };
        let events = envelope.events.into_iter().map(|event| {
            let (row, source) = event_row(arrival, event);
            EnrichedEvent { row, source, visit: Arc::clone(&visit) }
        });
        EnvelopeRow {
            project_id,
            envelope_id: envelope.envelope_id,
            received_at,
            received: envelope.received,
            refused: envelope.rejected.iter().map(|event| event.reason).collect(),
            numbered,
            events: events.collect(),
        }
    }

    /// What all events of an envelope share. Where the place is known it is put beside what the user agent says; what is
    /// remembered is of user agents alone.
    fn visit(&mut self, user_agent: Option<&str>, place: Place) -> Arc<VisitAttributes> {
        let agent = self.agent(user_agent);
        if place.is_unknown() {
            return agent;
        }
        let Place { country, region, city } = place;
        Arc::new(VisitAttributes { country, region, city, ..VisitAttributes::clone(&agent) })
    }

    fn agent(&mut self, user_agent: Option<&str>) -> Arc<VisitAttributes> {
        let user_agent = user_agent.unwrap_or("");
        if let Some(known) = self.user_agents.get(user_agent) {
            return Arc::clone(known);
        }
        if self.user_agents.len() >= USER_AGENTS_MAX {
            self.user_agents.clear();
        }
        let agent = Arc::new(user_agent::parse(user_agent));
        self.user_agents.insert(user_agent.to_owned(), Arc::clone(&agent));
        agent
    }
}

/// What is known of an envelope and holds for each of its events.
#[derive(Clone, Copy)]
struct Arrival {
    project_id: i32,
    namespace: Uuid,
    received_at: UnixMs,
    address: Option<IpAddr>,
}

fn event_row(arrival: Arrival, event: Event) -> (EventRow, Option<String>) {
    let visitor_id = event.anonymous_id.as_deref().map(|id| uuid_from_text(arrival.namespace, id));
    let session_id = visitor_id.zip(event.session_id.as_deref()).map(|(visitor_id, session)| {
        session_id(arrival.project_id, visitor_id, session, event.key_at, event.occurred_at)
    });
    let page = event.url.as_deref().map_or_else(Page::default, Page::of);
    let source =
        event.referrer.as_deref().and_then(|referrer| source::of(referrer, page.hostname.as_deref()));
    let row = EventRow {
        project_id: arrival.project_id,
        day: event.key_at.utc_day(),
        id: event.id,
        visitor_id,
        session_id,
        server_session: false,
        occurred_at: event.occurred_at,
        received_at: arrival.received_at,
        engaged_ms: engaged_ms(&event),
        name: event.name,
        user_id: event.user_id,
        url: event.url,
        hostname: page.hostname,
        path: page.path,
        title: event.title,
        referrer: event.referrer.filter(|_| source.is_some()),
        category: event.category,
        event_source: event.event_source,
        address: arrival.address,
        props: event.props,
    };
    (row, source)
}

/// What `$pageleave` says, within a day.
fn engaged_ms(event: &Event) -> Option<i32> {
    #[derive(serde::Deserialize)]
    struct Engaged {
        engaged_ms: f64,
    }
    if event.name != names::PAGELEAVE {
        return None;
    }
    let engaged: Engaged = serde_json::from_str(event.props.as_ref()?.get()).ok()?;
    let day_ms = 86_400_000.0;
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a day")]
    Some(engaged.engaged_ms.clamp(0.0, day_ms) as i32)
}
