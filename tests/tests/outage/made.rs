//! What the scenarios put into the queue, and the project that it is for.

use tallymark_protocol::{Context, Event, Place, UnixMs};
use tallymark_queue::{ENTRY_VERSION, QueuedEnvelope};
use tallymark_store::NewProject;
use tallymark_tests::databases::TestStore;
use uuid::Uuid;

pub(crate) fn now() -> UnixMs {
    UnixMs(jiff::Timestamp::now().as_millisecond())
}

/// An envelope of one event, which happened when it was received.
pub(crate) fn envelope(project_id: i32, number: u128, name: &str, now: UnixMs) -> QueuedEnvelope {
    let event = Event {
        id: Uuid::from_u128(number),
        key_at: now,
        name: name.to_owned(),
        occurred_at: now,
        anonymous_id: None,
        user_id: None,
        session_id: None,
        tab_id: None,
        seq: None,
        url: None,
        title: None,
        referrer: None,
        category: None,
        event_source: None,
        props: None,
    };
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(number),
        project_id,
        received_at: now,
        received: 1,
        from_browser: false,
        user_agent: None,
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: Vec::new(),
        events: vec![event],
    }
}

/// A project with nothing special about it.
pub(crate) async fn project(test: &TestStore) -> anyhow::Result<i32> {
    let project = NewProject {
        name: "Site".to_owned(),
        time_zone: "UTC".to_owned(),
        sketch_key: [1; 16],
        write_key: "wk_0123456789abcdefghijklmn".to_owned(),
        created_at: UnixMs(0),
    };
    Ok(test.create_project(&project).await?)
}
