//! `POST /api/v1/write`: remote write 1.0.
//!
//! The answer comes when ClickHouse has the samples. A sender that goes away before changes nothing: what is queued is
//! stored. 503 asks to send again; 400, 413 and 415 tell that sending again is of no use.

mod accept;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::{debug, warn};

use crate::app::{Live, Shared};
use crate::archive::{ArchiveError, Connection};
use crate::body::{BodyError, discard, header_text, receive};
use crate::metrics::WriteOutcome;
use crate::time;
use crate::wire::{self, WireError, WriteRequest};
use crate::writer::{Rows, SubmitError};
use accept::{Accepted, TimeRange, accept};

const MESSAGE: &str = "prometheus.WriteRequest";
/// Seconds after which the sender should try again. Prometheus backs off from 30 ms to 5 s by itself.
const RETRY_AFTER: &str = "5";

/// Why a request is not answered 204.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("stored {stored} of {received} samples; refused: {refused}")]
    PartlyRefused { stored: usize, received: u64, refused: accept::Refused },
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error("{0}; nothing of this request is acknowledged, send it again")]
    Archive(Arc<ArchiveError>),
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
            Self::Submit(SubmitError::Full { .. }) => (StatusCode::SERVICE_UNAVAILABLE, WriteOutcome::QueueFull),
            Self::Submit(SubmitError::Closed) | Self::Archive(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, WriteOutcome::Unavailable)
            }
        }
    }

    /// What the sender's owner may change.
    fn hint(&self) -> &'static str {
        match self {
            Self::Body(BodyError::TooLarge { .. }) | Self::Wire(WireError::TooLarge { .. }) => {
                "; the limit is ingest.max_body_bytes"
            }
            Self::Wire(WireError::ContentType(_)) => {
                "; in Prometheus' remote_write set `protobuf_message: prometheus.WriteRequest`"
            }
            _ => "",
        }
    }
}

/// The handler.
pub(crate) async fn write(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match store(&shared, request).await {
        Ok(()) => {
            shared.metrics.write_request(WriteOutcome::Stored);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => {
            let (status, outcome) = error.outcome();
            shared.metrics.write_request(outcome);
            if status == StatusCode::SERVICE_UNAVAILABLE {
                debug!(%error, "a write request is put off");
                let headers = [(header::RETRY_AFTER, RETRY_AFTER)];
                return (status, headers, format!("{error}\n")).into_response();
            }
            let text = format!("{error}{}", error.hint());
            warn!(error = text, %status, "a write request is refused");
            (status, text + "\n").into_response()
        }
    }
}

async fn store(shared: &Shared, request: Request) -> Result<(), WriteError> {
    let live = shared.live();
    let (parts, body) = request.into_parts();
    let text = |name| header_text(&parts.headers, name);
    let checked = wire::check_headers(text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING), MESSAGE);
    // Before the body is decoded: while nothing can be stored, nothing needs to be.
    let prepared = || shared.archive.prepared().map_err(|error| WriteError::Archive(Arc::new(error)));
    let connection = match checked.map_err(WriteError::from).and_then(|()| prepared()) {
        Ok(connection) => connection,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    let accepted = decode(&connection, &live, &parts.headers, body).await?;

    shared.metrics.samples_received.inc_by(accepted.received);
    shared.metrics.metadata_ignored.inc_by(accepted.metadata);
    let stored = accepted.samples.len();
    if stored > 0 {
        let rows = Rows { samples: accepted.samples, series: accepted.series, connection };
        let answer = shared.queue.submit(rows, live.config.ingest.max_queued_bytes)?;
        // The writer answers everything that it has taken.
        answer.await.map_err(|_| SubmitError::Closed)?.map_err(WriteError::Archive)?;
    }
    shared.metrics.samples_stored.inc_by(stored as u64);
    // Counted here and not before: a request that is sent again is refused again.
    for (reason, count) in accepted.refused.counts() {
        shared.metrics.refused(reason, count);
    }
    if accepted.refused.is_empty() {
        return Ok(());
    }
    Err(WriteError::PartlyRefused { stored, received: accepted.received, refused: accepted.refused })
}

async fn decode(
    connection: &Arc<Connection>,
    live: &Arc<Live>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Accepted, WriteError> {
    // Held until the request is decoded: so many bodies may be in memory at a time.
    let _memory = live.reserve_body(headers).await;
    let limit = live.config.ingest.max_body_bytes;
    let body = receive(body, limit).await?;
    let (connection, live) = (connection.clone(), live.clone());
    let decoded = tokio::task::spawn_blocking(move || {
        let request: WriteRequest = wire::decode(&body, MESSAGE, limit)?;
        let range = TimeRange {
            now: time::now_millis(),
            retention: live.config.retention,
            max_future: live.config.ingest.max_future,
        };
        Ok(accept(request, range, |series_id, month| connection.knows(series_id, month)))
    });
    decoded.await.map_err(|_| WriteError::Submit(SubmitError::Closed))?
}
