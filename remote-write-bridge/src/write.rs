//! `POST /api/v1/write`: remote write 1.0 and 2.0.
//!
//! The answer comes when the log has the samples and is synced. A sender that goes away before changes nothing: what is
//! accepted is stored. 503 asks to send again; 400, 413 and 415 tell that sending again is of no use.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tracing::{debug, warn};

use crate::app::{Live, Shared};
use crate::body::{BodyError, discard, header_text, receive};
use crate::ingest::{Accepted, Limits, Refused, Version, Written, accept};
use crate::metrics::WriteOutcome;
use crate::time;
use crate::wal::WalError;
use crate::wire::{self, WireError};

/// Seconds after which the sender should try again. Prometheus backs off from 30 ms to 5 s by itself.
const RETRY_AFTER: &str = "5";

/// A body of this size is decoded in a millisecond; larger ones get a thread of their own.
const SMALL_BODY: usize = 128 << 10;

/// What 2.0 wants to know.
const WRITTEN: [HeaderName; 3] = [
    HeaderName::from_static("x-prometheus-remote-write-samples-written"),
    HeaderName::from_static("x-prometheus-remote-write-histograms-written"),
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written"),
];

/// Why a request is not answered 204.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("stored {} of {received} samples; refused: {refused}", written.samples)]
    PartlyRefused { written: Written, received: u64, refused: Refused },
    #[error("{0}; nothing of this request is acknowledged, send it again")]
    Wal(#[from] WalError),
}

impl WriteError {
    fn outcome(&self) -> (StatusCode, WriteOutcome) {
        match self {
            Self::Wire(WireError::ContentType(_) | WireError::ContentEncoding(_)) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, WriteOutcome::Unsupported)
            }
            Self::Body(BodyError::TooLarge { .. }) | Self::Wire(WireError::TooLarge { .. }) => {
                (StatusCode::PAYLOAD_TOO_LARGE, WriteOutcome::TooLarge)
            }
            Self::Wire(WireError::Snappy(_) | WireError::Protobuf { .. }) => {
                (StatusCode::BAD_REQUEST, WriteOutcome::Malformed)
            }
            Self::Body(BodyError::Slow | BodyError::Broken(_)) => {
                (StatusCode::REQUEST_TIMEOUT, WriteOutcome::Incomplete)
            }
            Self::PartlyRefused { .. } => (StatusCode::BAD_REQUEST, WriteOutcome::PartlyRefused),
            Self::Wal(WalError::Full { .. }) => (StatusCode::SERVICE_UNAVAILABLE, WriteOutcome::LogFull),
            Self::Wal(_) => (StatusCode::SERVICE_UNAVAILABLE, WriteOutcome::Unavailable),
        }
    }

    /// What the sender's owner may change.
    fn hint(&self) -> &'static str {
        match self {
            Self::Body(BodyError::TooLarge { .. }) | Self::Wire(WireError::TooLarge { .. }) => {
                "; the limit is ingest.max_body_bytes"
            }
            _ => "",
        }
    }

    /// What is kept all the same.
    fn written(&self) -> Written {
        if let Self::PartlyRefused { written, .. } = self { *written } else { Written::default() }
    }
}

/// The handler.
pub(crate) async fn write(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let version = match version(&parts.headers) {
        Ok(version) => version,
        Err(error) => {
            discard(body).await;
            return refuse(&shared, &error.into());
        }
    };
    let (mut response, written) = match store(&shared, version, &parts.headers, body).await {
        Ok(written) => {
            shared.metrics.write_request(WriteOutcome::Accepted);
            (StatusCode::NO_CONTENT.into_response(), written)
        }
        Err(error) => (refuse(&shared, &error), error.written()),
    };
    // A sender of 1.0 that sees them takes a request for partly written.
    if version == Version::V2 {
        let Written { samples, histograms, exemplars } = written;
        for (name, count) in WRITTEN.into_iter().zip([samples, histograms, exemplars]) {
            response.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
    response
}

fn refuse(shared: &Shared, error: &WriteError) -> Response {
    let (status, outcome) = error.outcome();
    shared.metrics.write_request(outcome);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        debug!(%error, "a write request is put off");
        return (status, [(header::RETRY_AFTER, RETRY_AFTER)], format!("{error}\n")).into_response();
    }
    let text = format!("{error}{}", error.hint());
    warn!(error = text, %status, "a write request is refused");
    (status, text + "\n").into_response()
}

/// The version that the headers name. A 2.0 message parsed as 1.0 would be an empty one, and its samples lost without an
/// error, so only what is known is taken.
fn version(headers: &HeaderMap) -> Result<Version, WireError> {
    let check = |version: Version| {
        let (kind, encoding) =
            (header_text(headers, header::CONTENT_TYPE), header_text(headers, header::CONTENT_ENCODING));
        wire::check_headers(kind, encoding, version.message()).map(|()| version)
    };
    // The type without a parameter is 1.0.
    check(Version::V1).or_else(|error| check(Version::V2).map_err(|_| error))
}

/// What was stored.
async fn store(shared: &Arc<Shared>, version: Version, headers: &HeaderMap, body: Body) -> Result<Written, WriteError> {
    let live = shared.live();
    // Held until the answer: so many bodies may be in memory at a time, packed or as samples.
    let _memory = live.reserve_body(headers).await;
    let limit = live.config.ingest.max_body_bytes;
    let body = receive(body, limit).await?;
    let mut accepted = if body.len() <= SMALL_BODY {
        decode(shared, &live, version, &body)?
    } else {
        let (shared, live) = (shared.clone(), live.clone());
        let decoded = tokio::task::spawn_blocking(move || decode(&shared, &live, version, &body));
        decoded.await.map_err(|_| WalError::Closed)??
    };

    let (received, written, metadata) = (accepted.received, accepted.written(), accepted.metadata.len());
    shared.metrics.samples_received.inc_by(received);
    let (refused, learned) = (std::mem::take(&mut accepted.refused), std::mem::take(&mut accepted.learned));
    if !accepted.is_empty() {
        shared.wal.append(accepted, live.config.wal.max_bytes).await?;
    }
    shared.registry.learn(learned);
    shared.metrics.accepted(written, metadata);
    // Counted here and not before: a request that is sent again is refused again.
    for (reason, count) in refused.counts() {
        shared.metrics.refused(reason, count);
    }
    if refused.is_empty() { Ok(written) } else { Err(WriteError::PartlyRefused { written, received, refused }) }
}

fn decode(shared: &Shared, live: &Live, version: Version, body: &Bytes) -> Result<Accepted, WireError> {
    let unpacked = wire::unpack(body, live.config.ingest.max_body_bytes)?;
    let limits = Limits {
        now: time::now_millis(),
        retention: live.config.retention,
        max_future: live.config.ingest.max_future,
        max_series: live.config.ingest.max_series,
        max_series_per_job: live.config.ingest.max_series_per_job,
    };
    accept(version, &unpacked, &shared.registry, limits)
        .map_err(|error| WireError::Protobuf { name: version.message(), error: error.to_string() })
}
