//! `GET /capture.gif`: one event from where nothing but an image can be had, as in a mail or without scripts.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tallymark_protocol::CaptureAnswer;

use super::open_to_any_page;
use crate::intake::Arrived;
use crate::refusal::Refusal;
use crate::{Collector, credentials, pixel, unpack};

/// One transparent pixel.
const GIF: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\
                     \x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01\x44\x00\x3b";

/// Says in a word why the event is not counted: an image has no other place for it.
const WHY: HeaderName = HeaderName::from_static("tallymark-error");

/// Takes the event in the query. The answer is an image whatever becomes of it, so that no page shows a broken one.
pub(crate) async fn pixel(State(collector): State<Collector>, request: Request) -> Response {
    let began = Instant::now();
    let (head, _) = request.into_parts();
    let answer = take(&collector, &head).await;
    collector.measures().answered(&answer, began.elapsed());
    open_to_any_page(image(answer))
}

/// Answers who looks whether there is something, and does not want it: nothing is counted.
pub(crate) async fn head() -> Response {
    open_to_any_page(image(Ok(CaptureAnswer { accepted: 0, rejected: Vec::new() })))
}

async fn take(collector: &Collector, head: &Parts) -> Result<CaptureAnswer, Refusal> {
    // An image is asked for by a browser, or by a mail program that shows one.
    let arrived = Arrived { from_browser: true, ..collector.arrived(head) };
    let write_key = credentials::write_key(head).ok_or(Refusal::MissingWriteKey)?;
    let admitted = collector.admit(&arrived, &write_key, 1).await?;
    let event = pixel::event(head.uri.query().unwrap_or_default(), &head.headers);
    let decoded = unpack::decode(&event, arrived.received_at)?;
    collector.take_in(&arrived, admitted, decoded, collector.held()).await
}

fn image(answer: Result<CaptureAnswer, Refusal>) -> Response {
    let (mut response, why) = match answer {
        Ok(answer) => match answer.rejected.first() {
            None => (StatusCode::OK.into_response(), None),
            Some(rejection) => {
                (StatusCode::UNPROCESSABLE_ENTITY.into_response(), Some(rejection.reason.as_str()))
            }
        },
        Err(refusal) => {
            let why = refusal.name();
            (refusal.into_response(), Some(why)) // its status and Retry-After
        }
    };
    let headers = response.headers_mut();
    headers.remove(axum::http::header::CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/gif"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    if let Some(why) = why {
        headers.insert(WHY, HeaderValue::from_static(why));
    }
    *response.body_mut() = GIF.into();
    response
}
