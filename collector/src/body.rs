//! Reading a body, and reading away one that is not wanted.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tallymark_protocol::limits::BODY_BYTES_MAX;

use crate::budget::{Exhausted, Held};
use crate::decompress::Coding;
use crate::refusal::Refusal;

/// How much of an unwanted body is read away. A server that answers and closes while the client still
/// sends makes the client see a broken connection instead of the answer; so small excess is read first.
const DISCARD_BYTES_MAX: usize = 8 * BODY_BYTES_MAX;

/// How long reading an unwanted body away may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a body was not read whole.
enum Unread {
    TooLarge,
    Incomplete,
    Exhausted,
}

/// Reads the whole of `body` within `timeout`. What is read is added to `held` as it comes.
///
/// # Errors
/// [`Refusal::BodyTooLarge`], and `busy` where too much is held already, after reading the rest away; [`Refusal::BodyIncomplete`].
pub(crate) async fn read(
    mut body: Body,
    timeout: Duration,
    held: &mut Held,
    busy: Refusal,
) -> Result<Bytes, Refusal> {
    let whole = tokio::time::timeout(timeout, collect(&mut body, held)).await;
    let refusal = match whole.unwrap_or(Err(Unread::Incomplete)) {
        Ok(bytes) => return Ok(bytes),
        Err(Unread::Incomplete) => return Err(Refusal::BodyIncomplete),
        Err(Unread::TooLarge) => Refusal::BodyTooLarge,
        Err(Unread::Exhausted) => busy,
    };
    held.release();
    discard(body).await;
    Err(refusal)
}

async fn collect(body: &mut Body, held: &mut Held) -> Result<Bytes, Unread> {
    let Some(first) = next_piece(body).await.map_err(|_| Unread::Incomplete)? else {
        return Ok(Bytes::new());
    };
    hold(held, first.len(), 0).await?;
    if body_ended(body) {
        return Ok(first); // the usual case: one piece, no copy
    }
    let slow = held.comes_slowly();
    let mut whole = BytesMut::from(first);
    loop {
        let piece = tokio::select! {
            biased;
            () = slow.gives_way() => return Err(Unread::Exhausted),
            piece = next_piece(body) => piece.map_err(|_| Unread::Incomplete)?,
        };
        let Some(piece) = piece else { return Ok(whole.freeze()) };
        hold(held, piece.len(), whole.len()).await?;
        whole.extend_from_slice(&piece);
    }
}

async fn hold(held: &mut Held, bytes: usize, before: usize) -> Result<(), Unread> {
    if before + bytes > BODY_BYTES_MAX {
        return Err(Unread::TooLarge);
    }
    held.add_before_slow_ones(bytes).await.map_err(|Exhausted| Unread::Exhausted)
}

/// Reads `body` away, within bounds.
pub(crate) async fn discard(mut body: Body) {
    if body_ended(&body) {
        return;
    }
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

/// How the body is compressed, as its headers say it. Refuses what can surely not hold JSON. Everything else is tried:
/// `curl -d` calls JSON a form, browsers call it text, so that there is no preflight.
///
/// # Errors
/// [`Refusal::UnsupportedContentType`], [`Refusal::UnsupportedContentEncoding`].
pub(crate) fn declared(headers: &HeaderMap) -> Result<Option<Coding>, Refusal> {
    const UNUSABLE: [&str; 6] = ["multipart/", "image/", "audio/", "video/", "font/", "model/"];
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        let content_type = content_type.as_bytes().trim_ascii_start();
        let begins = |with: &&str| {
            content_type.get(..with.len()).is_some_and(|front| front.eq_ignore_ascii_case(with.as_bytes()))
        };
        if UNUSABLE.iter().any(begins) {
            return Err(Refusal::UnsupportedContentType);
        }
    }
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    match (encodings.next().map(|encoding| encoding.to_str().map(str::trim)), encodings.next()) {
        (None, _) => Ok(None),
        (Some(Ok(encoding)), None) if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") => {
            Ok(None)
        }
        (Some(Ok(encoding)), None) => {
            Coding::from_name(encoding).map(Some).ok_or(Refusal::UnsupportedContentEncoding)
        }
        (Some(_), _) => Err(Refusal::UnsupportedContentEncoding),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::HttpBody;
    use http_body_util::combinators::BoxBody;
    use hyper::body::Frame;

    use super::*;
    use crate::budget::Budget;

    /// Pieces that come, and no end.
    struct Endless(Vec<&'static [u8]>);

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let piece = self.0.pop();
            piece.map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece))))))
        }
    }

    #[tokio::test]
    async fn what_is_read_away_takes_nothing_from_others() {
        let budget = Budget::new(100);
        let mut held = budget.share();
        let body = Body::new(BoxBody::new(Endless(vec![&[b' '; 60], &[b' '; 60]])));
        let busy = Refusal::Busy { retry_after: Duration::ZERO };
        let mut reading = std::pin::pin!(read(body, DISCARD_TIMEOUT, &mut held, busy));
        let polled = std::future::poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await;
        assert!(polled.is_pending(), "it is being read away");
        assert_eq!(budget.share().add(100), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_gives_way_to_one_that_comes_at_once() {
        let budget = Budget::new(100);
        let read_of = async |pieces| {
            let body = Body::new(BoxBody::new(Endless(pieces)));
            let busy = Refusal::Busy { retry_after: Duration::ZERO };
            read(body, Duration::from_secs(30), &mut budget.share(), busy).await
        };
        let mut slow = std::pin::pin!(read_of(vec![&[b' '; 60]]));
        assert!(futures_poll(&mut slow).await.is_pending());
        let mut held = budget.share();
        assert_eq!(held.add_before_slow_ones(60).await, Err(Exhausted), "it may yet come");
        tokio::time::advance(Duration::from_secs(2)).await;
        let quick = async { held.add_before_slow_ones(60).await };
        let (quick, slow) = tokio::join!(quick, slow);
        assert_eq!(quick, Ok(()));
        assert!(matches!(slow, Err(Refusal::Busy { .. })));
    }

    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
    }
}
