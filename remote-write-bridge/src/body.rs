//! A request's body, read to its end even when it is refused.
//!
//! A connection that is closed with unread data resets, and the answer on it is lost: a sender would take a 413 for a
//! network error and send the same again for ever.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::time::timeout;

/// A sender that takes longer holds memory for nothing; Prometheus gives up after 30 s as well.
const TIMEOUT: Duration = Duration::from_secs(30);
/// More of a refused body than this is not waited for.
const MAX_DISCARDED: usize = 64 << 20;

/// Why a body is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("expected a body of at most {limit} bytes, found {found}")]
    TooLarge { found: usize, limit: usize },
    #[error("the body did not arrive within {TIMEOUT:?}")]
    Slow,
    #[error("the body did not arrive whole: {0}")]
    Broken(#[source] axum::Error),
}

/// The whole body, if it has at most `limit` bytes.
pub(crate) async fn receive(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let collect = async {
        let (mut found, mut kept) = (0, BytesMut::new());
        while found <= MAX_DISCARDED.max(limit) {
            let Some(frame) = body.frame().await else { break };
            let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
            found += data.len();
            if found <= limit {
                kept.extend_from_slice(&data);
            } else {
                kept = BytesMut::new();
            }
        }
        if found > limit { Err(BodyError::TooLarge { found, limit }) } else { Ok(kept.freeze()) }
    };
    timeout(TIMEOUT, collect).await.map_err(|_| BodyError::Slow)?
}

/// Reads a body that is refused for another reason.
pub(crate) async fn discard(body: Body) {
    // Whatever goes wrong with it, the reason for the refusal is the better answer.
    drop(receive(body, 0).await);
}

/// A header as text, empty where it is absent.
pub(crate) fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
