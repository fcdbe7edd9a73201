//! The ids that clients' texts become. Namespaces and recipes are promises: rows of years hang on them,
//! so they stand here a second time, and a change of the others is noticed.

use uuid::Uuid;

const PROJECTS: Uuid = Uuid::from_u128(0x9c3e_0f52_7a41_4e0d_8b60_1f5d_2a97_c3b4);
const SESSIONS: Uuid = Uuid::from_u128(0x2f6b_81d0_93c7_4a5e_a1f4_70be_5d38_e612);
const SERVER_SESSIONS: Uuid = Uuid::from_u128(0xb7d4_6a19_0e53_4c8f_9a26_d81b_43f0_7c5e);
const EVENTS: Uuid = Uuid::from_u128(0x5a0d_9a3e_52f1_4c08_9d6b_7c1e_0b8a_4e21);
pub(super) const DAY_MS: i64 = 86_400_000;

/// A visitor's or tab's id: the text itself where it is a UUID.
pub(super) fn within_project(project_id: i32, text: &str) -> Uuid {
    let namespace = Uuid::new_v5(&PROJECTS, &project_id.to_be_bytes());
    text.parse().unwrap_or_else(|_| Uuid::new_v5(&namespace, text.as_bytes()))
}

/// An event's id.
pub(super) fn event(text: &str) -> Uuid {
    text.parse().unwrap_or_else(|_| Uuid::new_v5(&EVENTS, text.as_bytes()))
}

/// The id of a session that the server makes: by its first event's time.
pub(super) fn server_session(project_id: i32, visitor: Uuid, began_ms: i64) -> Uuid {
    let mut name = project_id.to_be_bytes().to_vec();
    name.extend(visitor.as_bytes());
    name.extend(began_ms.to_be_bytes());
    Uuid::new_v5(&SERVER_SESSIONS, &name)
}

/// A session as a client knows it.
#[derive(Clone, Debug)]
pub(super) struct ClientSession {
    pub(super) text: String,
    /// When the client began it, by its own clock, where the text tells.
    pub(super) began_client_ms: Option<i64>,
}

impl ClientSession {
    /// The id of the piece of this session that an event is of: sessions are cut each 24 hours.
    pub(super) fn id(&self, project_id: i32, visitor: Uuid, at_ms: i64, client_ms: i64) -> Uuid {
        let piece = match self.began_client_ms {
            Some(began_ms) => (client_ms - began_ms) / DAY_MS,
            None => at_ms.div_euclid(DAY_MS),
        };
        let mut name = project_id.to_be_bytes().to_vec();
        name.extend(visitor.as_bytes());
        name.extend(piece.to_be_bytes());
        name.extend(self.text.as_bytes());
        Uuid::new_v5(&SESSIONS, &name)
    }
}
