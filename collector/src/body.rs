//! Reading a body, and reading away one that is not wanted.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tallymark_protocol::limits::BODY_BYTES_MAX;

use crate::refusal::Refusal;

/// How much of an unwanted body is read away. A server that answers and closes while the client still
/// sends makes the client see a broken connection instead of the answer; so small excess is read first.
const DISCARD_BYTES_MAX: usize = 8 * BODY_BYTES_MAX;

/// How long reading an unwanted body away may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the whole of `body` within `timeout`.
///
/// # Errors
/// [`Refusal::BodyTooLarge`], after reading the excess away; [`Refusal::BodyIncomplete`].
pub(crate) async fn read(mut body: Body, timeout: Duration) -> Result<Bytes, Refusal> {
    let whole = tokio::time::timeout(timeout, collect(&mut body)).await;
    match whole.unwrap_or(Err(Refusal::BodyIncomplete)) {
        Err(Refusal::BodyTooLarge) => {
            discard(body).await;
            Err(Refusal::BodyTooLarge)
        }
        read => read,
    }
}

async fn collect(body: &mut Body) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    while let Some(piece) = next_piece(body).await.map_err(|_| Refusal::BodyIncomplete)? {
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return Err(Refusal::BodyTooLarge);
        }
        if whole.is_empty() && body_ended(body) {
            return Ok(piece); // the usual case: one piece, no copy
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// Reads `body` away, within bounds.
pub(crate) async fn discard(mut body: Body) {
    let read_away = async {
        let mut bytes = 0;
        while let Ok(Some(piece)) = next_piece(&mut body).await {
            bytes += piece.len();
            if bytes > DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, read_away).await;
}

/// Whether the client waits for leave to send its body: then refusing costs neither side the body.
pub(crate) fn is_held_back(headers: &HeaderMap) -> bool {
    headers.contains_key(EXPECT)
}

async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, axum::Error> {
    while let Some(frame) = body.frame().await.transpose()? {
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

fn body_ended(body: &Body) -> bool {
    axum::body::HttpBody::is_end_stream(body)
}

/// Refuses what can surely not hold JSON. Everything else is tried: `curl -d` calls JSON a form, browsers
/// call it text, so that there is no preflight.
///
/// # Errors
/// [`Refusal::UnsupportedContentType`], [`Refusal::UnsupportedContentEncoding`].
pub(crate) fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    const UNUSABLE: [&str; 6] = ["multipart/", "image/", "audio/", "video/", "font/", "model/"];
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let content_type = text(CONTENT_TYPE).to_ascii_lowercase();
    if UNUSABLE.iter().any(|unusable| content_type.starts_with(unusable)) {
        return Err(Refusal::UnsupportedContentType);
    }
    let encoding = text(CONTENT_ENCODING);
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
        Ok(())
    } else {
        Err(Refusal::UnsupportedContentEncoding)
    }
}
