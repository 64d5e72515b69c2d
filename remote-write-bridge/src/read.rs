//! `POST /api/v1/read`: remote read, as a stream of chunks or as samples.
//!
//! The answer is what was written, bit for bit: stale markers included, nothing thinned, series sorted by their labels. Both
//! limits of the config hold for all queries of a request together. Of the types that a client accepts the first one that is
//! known here is taken; samples are built in memory. A client that disconnects ends it.

mod chunked;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lynceus_promql::{Matcher, MatcherOp};
use prost::Message as _;
use tokio::time::timeout;
use tracing::warn;

use crate::app::Shared;
use crate::archive::{ArchiveError, HistogramRow};
use crate::body::{BodyError, discard, header_text, receive};
use crate::fetch::{Budget, FetchedSeries};
use crate::metrics::ReadOutcome;
use crate::select::Selection;
use crate::wire::{
    self, Histogram, Label, LabelMatcher, MatcherType, Query, QueryResult, ReadRequest, ReadResponse, ResponseType,
    TimeSeries, WireError,
};

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
    #[error("expected 0 (SAMPLES) or 1 (STREAMED_XOR_CHUNKS) among the accepted response types, found {0:?}")]
    ResponseType(Vec<i32>),
    #[error("matcher of label `{label}`: expected one of the types 0 to 3 (=, !=, =~, !~), found {found}")]
    Matcher { label: String, found: i32 },
    #[error("all {limit} places for reading were taken for too long (read.max_concurrent)")]
    Busy { limit: usize },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("a histogram of the archive is no message: {0}")]
    Histogram(#[from] prost::DecodeError),
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
            Self::Histogram(_) => (StatusCode::INTERNAL_SERVER_ERROR, ReadOutcome::Unavailable),
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, ReadOutcome::Unavailable),
            Self::Body(_)
            | Self::Wire(_)
            | Self::ResponseType(_)
            | Self::Matcher { .. }
            | Self::Archive(_)
            | Self::Pack(_) => (StatusCode::BAD_REQUEST, ReadOutcome::Refused),
        }
    }
}

/// The handler.
pub(crate) async fn read(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answer(&shared, request).await.unwrap_or_else(|error| {
        let (status, outcome) = error.outcome();
        shared.metrics.read_request(outcome);
        warn!(%error, %status, "a read request is refused");
        (status, format!("{error}\n")).into_response()
    })
}

async fn answer(shared: &Shared, request: Request) -> Result<Response, ReadError> {
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
    let response_type = response_type(request.accepted_response_types)?;
    // Prometheus asks for its own replica; what is stored has no such label.
    let replica_label = &live.config.ingest.replica_label;
    let selection = |query: &Query| {
        let matchers = query.matchers.iter().filter(|matcher| matcher.name != *replica_label);
        let matchers = matchers.map(matcher).collect::<Result<_, _>>()?;
        Ok(Selection::new(query.start_timestamp_ms, query.end_timestamp_ms, &[matchers]))
    };
    let selections: Vec<Selection> = request.queries.iter().map(selection).collect::<Result<_, ReadError>>()?;
    let connection = shared.archive.prepared()?;

    let limit = live.config.read.max_concurrent;
    let place = timeout(live.config.clickhouse.request_timeout, live.reads.clone().acquire_owned()).await;
    // The semaphore is never closed.
    let Ok(Ok(place)) = place else { return Err(ReadError::Busy { limit }) };
    let mut budget = Budget::new(live.config.read.clone());
    if response_type == ResponseType::StreamedXorChunks {
        let mut scans = Vec::new();
        for selection in selections {
            scans.push(budget.scan(connection.clone(), selection, &shared.metrics).await?);
        }
        let (response, work) = chunked::stream(scans, place, shared.metrics.clone());
        shared.host.spawn("read", work);
        return Ok(response);
    }
    let mut response = ReadResponse::default();
    for selection in selections {
        let fetched = budget.fetch(&connection, &selection, &shared.metrics).await?;
        let timeseries = fetched.series().into_iter().map(time_series).collect::<Result<_, _>>()?;
        response.results.push(QueryResult { timeseries });
    }
    // Packing a large answer takes a second of CPU.
    let packed = tokio::task::spawn_blocking(move || wire::encode(&response));
    let body = packed.await.map_err(|_| ReadError::Busy { limit })??;
    shared.metrics.read_request(ReadOutcome::Answered);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(wire::CONTENT_TYPE)),
        (header::CONTENT_ENCODING, HeaderValue::from_static("snappy")),
    ];
    Ok((headers, body).into_response())
}

/// The first that is known; samples where nothing is said.
fn response_type(accepted: Vec<i32>) -> Result<ResponseType, ReadError> {
    if accepted.is_empty() {
        return Ok(ResponseType::Samples);
    }
    let known = accepted.iter().find_map(|number| ResponseType::try_from(*number).ok());
    known.ok_or(ReadError::ResponseType(accepted))
}

fn matcher(matcher: &LabelMatcher) -> Result<Matcher, ReadError> {
    let LabelMatcher { r#type, name, value } = matcher;
    let op = match MatcherType::try_from(*r#type) {
        Ok(MatcherType::Equal) => MatcherOp::Equal,
        Ok(MatcherType::NotEqual) => MatcherOp::NotEqual,
        Ok(MatcherType::Regex) => MatcherOp::Regex,
        Ok(MatcherType::NotRegex) => MatcherOp::NotRegex,
        Err(_) => return Err(ReadError::Matcher { label: name.clone(), found: *r#type }),
    };
    Ok(Matcher::new(name.as_str(), op, value.as_str()))
}

fn time_series(series: FetchedSeries<'_>) -> Result<TimeSeries, prost::DecodeError> {
    let label = |(name, value): (&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
    Ok(TimeSeries {
        labels: series.labels.into_iter().map(label).collect(),
        samples: series.samples.to_vec(),
        histograms: series.histograms.iter().map(histogram).collect::<Result<_, _>>()?,
        exemplars: Vec::new(),
    })
}

fn histogram(row: &HistogramRow) -> Result<Histogram, prost::DecodeError> {
    Ok(Histogram { timestamp: row.timestamp, ..Histogram::decode(row.histogram.as_slice())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_response_type_that_is_known_is_taken() {
        let of = |accepted: &[i32]| response_type(accepted.to_vec()).ok();
        assert_eq!(of(&[]), Some(ResponseType::Samples));
        assert_eq!(of(&[0, 1]), Some(ResponseType::Samples));
        assert_eq!(of(&[7, 1, 0]), Some(ResponseType::StreamedXorChunks));
        let text = "expected 0 (SAMPLES) or 1 (STREAMED_XOR_CHUNKS) among the accepted response types, found [7]";
        assert_eq!(response_type(vec![7]).unwrap_err().to_string(), text);
    }

    #[test]
    fn an_unknown_type_of_matcher_is_an_error() {
        let error = matcher(&LabelMatcher { r#type: 4, name: "a".into(), value: "b".into() }).unwrap_err();
        let text = "matcher of label `a`: expected one of the types 0 to 3 (=, !=, =~, !~), found 4";
        assert_eq!(error.to_string(), text);
    }
}
