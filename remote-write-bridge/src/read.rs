//! `POST /api/v1/read`: remote read, with samples as response type.
//!
//! The answer is what was written, bit for bit: stale markers included, nothing thinned, series sorted by their labels.
//! It is built in memory, so both limits of the config hold for all queries of a request together. A client that
//! disconnects ends it.

mod query;

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::app::Shared;
use crate::archive::{ArchiveError, Connection, SampleRow, SeriesRow};
use crate::body::{BodyError, discard, header_text, receive};
use crate::config::ReadLimits;
use crate::labels::METRIC_NAME;
use crate::metrics::{Metrics, ReadOutcome};
use crate::wire::{self, Label, QueryResult, ReadRequest, ReadResponse, ResponseType, Sample, TimeSeries, WireError};
use query::{Selection, UnknownMatcher};

const MESSAGE: &str = "prometheus.ReadRequest";
/// A request is a few matchers; some are lists of thousands of names.
const MAX_BODY_BYTES: usize = 4 << 20;

/// Why a request is not answered with samples.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("expected SAMPLES among the accepted response types, found {0:?}")]
    ResponseType(Vec<i32>),
    #[error(transparent)]
    Matcher(#[from] UnknownMatcher),
    #[error("all {limit} places for reading were taken for too long (read.max_concurrent)")]
    Busy { limit: usize },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("failed to pack the answer: {0}")]
    Pack(#[from] snap::Error),
}

impl ReadError {
    fn outcome(&self) -> (StatusCode, ReadOutcome) {
        match self {
            Self::Wire(WireError::ContentType(_) | WireError::ContentEncoding(_)) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, ReadOutcome::Refused)
            }
            Self::Archive(error) if !error.is_askers_fault() => {
                (StatusCode::SERVICE_UNAVAILABLE, ReadOutcome::Unavailable)
            }
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, ReadOutcome::Unavailable),
            Self::Body(_)
            | Self::Wire(_)
            | Self::ResponseType(_)
            | Self::Matcher(_)
            | Self::Archive(_)
            | Self::Pack(_) => (StatusCode::BAD_REQUEST, ReadOutcome::Refused),
        }
    }
}

/// The handler.
pub(crate) async fn read(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match answer(&shared, request).await {
        Ok(body) => {
            shared.metrics.read_request(ReadOutcome::Answered);
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(wire::CONTENT_TYPE)),
                (header::CONTENT_ENCODING, HeaderValue::from_static("snappy")),
            ];
            (headers, body).into_response()
        }
        Err(error) => {
            let (status, outcome) = error.outcome();
            shared.metrics.read_request(outcome);
            warn!(%error, %status, "a read request is refused");
            (status, format!("{error}\n")).into_response()
        }
    }
}

async fn answer(shared: &Shared, request: Request) -> Result<Vec<u8>, ReadError> {
    let live = shared.live();
    let (parts, body) = request.into_parts();
    let text = |name| header_text(&parts.headers, name);
    let checked = wire::check_headers(text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING), MESSAGE);
    if let Err(error) = checked {
        discard(body).await;
        return Err(error.into());
    }
    let body = receive(body, MAX_BODY_BYTES).await?;
    let request: ReadRequest = wire::decode(&body, MESSAGE, MAX_BODY_BYTES)?;
    let types = request.accepted_response_types;
    if !types.is_empty() && !types.contains(&(ResponseType::Samples as i32)) {
        return Err(ReadError::ResponseType(types));
    }
    let connection = shared.archive.prepared()?;

    let limit = live.config.read.max_concurrent;
    let Ok(_place) = timeout(live.config.clickhouse.request_timeout, live.reads.acquire()).await else {
        return Err(ReadError::Busy { limit });
    };
    let mut left = live.config.read.clone();
    let mut response = ReadResponse::default();
    for query in &request.queries {
        let selection = Selection::of(query)?;
        let timeseries = select(&connection, &selection, &live.config.read, &mut left, &shared.metrics).await?;
        response.results.push(QueryResult { timeseries });
    }
    // Packing a large answer takes a second of CPU.
    tokio::task::spawn_blocking(move || wire::encode(&response))
        .await
        .map_err(|_| ReadError::Busy { limit })?
        .map_err(Into::into)
}

/// The answer to one query. `left` is what the limits still allow.
async fn select(
    connection: &Connection,
    selection: &Selection,
    limits: &ReadLimits,
    left: &mut ReadLimits,
    metrics: &Metrics,
) -> Result<Vec<TimeSeries>, ArchiveError> {
    let named = |error| match error {
        // The limit that the user knows, not what is left of it.
        ArchiveError::TooMany { what, .. } => {
            let limit = if what == "series" { limits.max_series } else { limits.max_samples };
            ArchiveError::TooMany { what, limit }
        }
        other => other,
    };
    let (max_series, max_samples) = (left.max_series, left.max_samples);
    let series: Vec<SeriesRow> = connection
        .fetch(|client| selection.series(client, max_series + 1), "series", max_series)
        .await
        .map_err(named)?;
    if series.is_empty() {
        return Ok(Vec::new());
    }
    let samples: Vec<SampleRow> = connection
        .fetch(|client| selection.samples(client, max_samples + 1), "samples", max_samples)
        .await
        .map_err(named)?;
    left.max_series -= series.len();
    left.max_samples -= samples.len();
    metrics.read_samples.inc_by(samples.len() as u64);
    let found = assemble(series, &samples);
    metrics.read_series.inc_by(found.len() as u64);
    debug!(series = found.len(), samples = samples.len(), "read");
    Ok(found)
}

/// Series with their samples, sorted by labels; those without samples in the range are left out.
fn assemble(series: Vec<SeriesRow>, samples: &[SampleRow]) -> Vec<TimeSeries> {
    let mut by_id: HashMap<u128, &[SampleRow]> =
        samples.chunk_by(|a, b| a.series_id == b.series_id).map(|rows| (rows[0].series_id, rows)).collect();
    let mut found: Vec<TimeSeries> = series
        .into_iter()
        .filter_map(|row| {
            let samples = by_id.remove(&row.series_id)?;
            let mut labels: Vec<_> = row.labels.into_iter().map(|(name, value)| Label { name, value }).collect();
            if !row.metric_name.is_empty() {
                labels.push(Label { name: METRIC_NAME.into(), value: row.metric_name });
            }
            labels.sort_unstable();
            let samples = samples.iter().map(|row| Sample { value: row.value, timestamp: row.timestamp }).collect();
            Some(TimeSeries { labels, samples, ..TimeSeries::default() })
        })
        .collect();
    found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    found
}
