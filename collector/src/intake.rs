//! The way of a request's events, from its headers to the queue.

use axum::http::HeaderMap;
use axum::http::header::{ORIGIN, USER_AGENT};
use axum::http::request::Parts;
use tallymark_protocol::limits::USER_AGENT_BYTES_MAX;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_protocol::{CaptureAnswer, Decoded, UnixMs};
use tallymark_queue::{ENTRY_VERSION, QueuedEnvelope};

use crate::Collector;
use crate::address::{self, Whence};
use crate::admit::Admitted;
use crate::budget::Held;
use crate::envelope_id::uuid_v7;
use crate::refusal::Refusal;
use crate::sender::{Kept, Sender};

/// What is known of a request from its headers alone.
pub(crate) struct Arrived<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) whence: Whence,
    pub(crate) received_at: UnixMs,
    /// Whether a browser sent it, else a backend.
    pub(crate) from_browser: bool,
}

impl Collector {
    /// A request arrives now.
    pub(crate) fn arrived<'a>(&self, head: &'a Parts) -> Arrived<'a> {
        Arrived {
            headers: &head.headers,
            whence: address::of(head, &self.config().trusted_proxies),
            received_at: self.now(),
            from_browser: head.headers.contains_key(ORIGIN) || head.headers.contains_key("sec-fetch-site"),
        }
    }

    /// Judges the events of a request that was let in, charges for them, and appends them. Returns once the queue has
    /// them durably. An envelope of which nothing is accepted is appended too: its rejections are counted, and its places
    /// in the tab's numbering are known.
    pub(crate) async fn take_in(
        &self,
        arrived: &Arrived<'_>,
        mut admitted: Admitted,
        mut decoded: Decoded,
        held: Held,
    ) -> Result<CaptureAnswer, Refusal> {
        let project = &admitted.project;
        let kept = self.judge(arrived.sender(), project, arrived.received_at, &mut decoded)?;
        let received = decoded.events.len() + decoded.rejected.len();
        let answer = CaptureAnswer {
            accepted: decoded.events.len(),
            rejected: std::mem::take(&mut decoded.rejections),
        };
        if received == 0 {
            return Ok(answer);
        }
        let envelope = envelope(kept, project, arrived.received_at, decoded);
        self.charge_rest(&mut admitted, received, arrived.received_at).await;
        self.append(envelope, held).await?;
        Ok(answer)
    }
}

impl<'a> Arrived<'a> {
    fn sender(&self) -> Sender<'a> {
        Sender {
            address: self.whence.address,
            user_agent: user_agent(self.headers),
            from_browser: self.from_browser,
            proxy_headers: self.whence.is_proxied.then_some(self.headers),
        }
    }
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    let cut = &text[..text.floor_char_boundary(USER_AGENT_BYTES_MAX)];
    (!cut.is_empty()).then(|| cut.to_owned())
}

/// What goes into the queue.
fn envelope(kept: Kept, project: &ProjectSettings, received_at: UnixMs, decoded: Decoded) -> QueuedEnvelope {
    let received = decoded.events.len() + decoded.rejected.len();
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: uuid_v7(received_at),
        project_id: project.project_id,
        received_at,
        received: u32::try_from(received).expect("an envelope has at most a thousand events"),
        from_browser: kept.from_browser,
        user_agent: kept.user_agent,
        place: kept.place,
        address: kept.address,
        context: decoded.context,
        rejected: decoded.rejected,
        events: decoded.events,
    }
}
