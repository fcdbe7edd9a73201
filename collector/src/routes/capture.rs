//! `POST /capture`: events in.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ORIGIN, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use tallymark_protocol::limits::USER_AGENT_BYTES_MAX;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_protocol::{Arrival, CaptureAnswer, Decoded, EnvelopeError, UnixMs, decode};
use tallymark_queue::{ENTRY_VERSION, QueuedEnvelope};

use crate::envelope_id::uuid_v7;
use crate::refusal::Refusal;
use crate::sender::{Kept, Sender};
use crate::{Collector, body, credentials};

/// Bodies up to this size are decoded on the spot, in well under a millisecond.
const DECODE_INLINE_BYTES_MAX: usize = 64 * 1024;

/// Takes the events of one request.
pub(crate) async fn capture(
    State(collector): State<Collector>,
    request: Request,
) -> Result<(StatusCode, Json<CaptureAnswer>), Refusal> {
    let received_at = collector.now();
    let (head, body) = request.into_parts();
    let admitted = match admit(&collector, &head).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            if !body::is_held_back(&head.headers) {
                body::discard(body).await;
            }
            return Err(refusal);
        }
    };
    let bytes = body::read(body, collector.config().body_timeout).await?;
    let mut decoded = decode_body(bytes, received_at).await?;
    let project = match admitted {
        Some(project) => project,
        None => collector.project(&decoded.write_key.take().ok_or(Refusal::MissingWriteKey)?).await?,
    };
    let kept = collector.judge(sender(&head), &project, received_at, &mut decoded)?;
    let answer =
        CaptureAnswer { accepted: decoded.events.len(), rejected: std::mem::take(&mut decoded.rejections) };
    let envelope = envelope(kept, &project, received_at, decoded);
    if envelope.received > 0 {
        collector.append(envelope).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Everything that can be said before the body is read. `None` when the write key must be in the body.
async fn admit(collector: &Collector, head: &Parts) -> Result<Option<Arc<ProjectSettings>>, Refusal> {
    body::check_type(&head.headers)?;
    match credentials::write_key(head) {
        Some(write_key) => collector.project(&write_key).await.map(Some),
        None => Ok(None),
    }
}

async fn decode_body(bytes: Bytes, received_at: UnixMs) -> Result<Decoded, Refusal> {
    let is_small = bytes.len() <= DECODE_INLINE_BYTES_MAX;
    let decode = move || decode(&bytes, Arrival { received_at, fresh_id: &mut || uuid_v7(received_at) });
    let decoded = if is_small {
        decode()
    } else {
        // Decoding cannot panic; if it did, this body could never work.
        let refused = |_| Refusal::MalformedBody { detail: "the body cannot be decoded".to_owned() };
        tokio::task::spawn_blocking(decode).await.map_err(refused)?
    };
    decoded.map_err(|error| match error {
        EnvelopeError::Malformed(_) => Refusal::MalformedBody { detail: error.to_string() },
        EnvelopeError::TooManyEvents { received } => Refusal::TooManyEvents { received },
    })
}

/// Who sent the request. No proxy is trusted yet: the peer is the client.
fn sender(head: &Parts) -> Sender<'static> {
    let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
    Sender {
        address: peer.map(|ConnectInfo(peer)| peer.ip()),
        user_agent: user_agent(&head.headers),
        from_browser: head.headers.contains_key(ORIGIN) || head.headers.contains_key("sec-fetch-site"),
        proxy_headers: None,
    }
}

/// What goes into the queue. An envelope of which nothing is accepted goes too: its rejections are
/// counted, and its places in the tab's numbering are known.
fn envelope(
    kept: Kept,
    project: &ProjectSettings,
    received_at: UnixMs,
    decoded: Decoded,
) -> QueuedEnvelope {
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

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    let cut = &text[..text.floor_char_boundary(USER_AGENT_BYTES_MAX)];
    (!cut.is_empty()).then(|| cut.to_owned())
}
