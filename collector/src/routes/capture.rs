//! `POST /capture`: events in.

use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use tallymark_protocol::CaptureAnswer;

use super::open_to_any_page;
use crate::admit::Admitted;
use crate::decompress::Coding;
use crate::intake::Arrived;
use crate::refusal::Refusal;
use crate::{Collector, body, credentials};

/// Takes the events of one request.
pub(crate) async fn capture(State(collector): State<Collector>, request: Request) -> Response {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let answer = take(&collector, &head, body).await;
    collector.measures().answered(&answer, began.elapsed());
    open_to_any_page(match answer {
        Ok(answer) => (StatusCode::ACCEPTED, Json(answer)).into_response(),
        Err(refusal) => refusal.into_response(),
    })
}

async fn take(collector: &Collector, head: &Parts, body: Body) -> Result<CaptureAnswer, Refusal> {
    let arrived = collector.arrived(head);
    let early = match let_in_by_headers(collector, &arrived, head).await {
        Ok(early) => early,
        Err(refusal) => {
            if !body::is_held_back(&head.headers) {
                body::discard(body).await;
            }
            return Err(refusal);
        }
    };
    let mut held = collector.held();
    let bytes = body::read(body, collector.config().body_timeout, &mut held, collector.busy()).await?;
    collector.measures().body(bytes.len());
    let mut decoded = collector.unpack(bytes, early.coding, &mut held, arrived.received_at).await?;
    let admitted = match early.admitted {
        Some(admitted) => admitted,
        None => {
            let write_key = decoded.write_key.take().ok_or(Refusal::MissingWriteKey)?;
            collector.admit(&arrived, &write_key, 1).await?
        }
    };
    collector.take_in(&arrived, admitted, decoded, held).await
}

/// What the headers said.
struct Early {
    /// `None` when the write key must be in the body.
    admitted: Option<Admitted>,
    coding: Option<Coding>,
}

/// Everything that can be said before the body is read.
async fn let_in_by_headers(
    collector: &Collector,
    arrived: &Arrived<'_>,
    head: &Parts,
) -> Result<Early, Refusal> {
    let admitted = match credentials::write_key(head) {
        Some(write_key) => Some(collector.admit(arrived, &write_key, 1).await?),
        None => None,
    };
    Ok(Early { admitted, coding: body::declared(&head.headers)? })
}
