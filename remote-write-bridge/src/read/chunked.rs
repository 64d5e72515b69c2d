//! Remote read as a stream of frames, each with chunks of one series.
//!
//! Frame: length as a varint, CRC-32C of the message (big-endian), message. What is over a limit was refused before the first
//! frame; what fails later breaks the connection off, so a half answer is never taken for a whole one.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, stream};
use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::archive::ArchiveError;
use crate::chunk::{Chunk, Chunks, StoredError};
use crate::fetch::{FetchedSeries, Scan};
use crate::metrics::{Metrics, ReadOutcome};
use crate::wire::{self, ChunkedReadResponse, ChunkedSeries, Label};

/// A series of more is in several frames. Prometheus itself begins another one at 1 MiB, but as a client it takes each for a
/// series of its own, and then refuses queries that meet the same labels twice. It reads frames of up to 50 MB
/// (`chunked_read_limit`): 5 million samples that change in every bit, or 30 million ordinary ones.
const FRAME_BYTES: usize = 45 << 20;
/// Small frames travel together.
const SEND_BYTES: usize = 64 << 10;
/// Who takes nothing for so long would keep a place for nothing.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a stream breaks off.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Stored(#[from] StoredError),
    #[error("who asked has gone, or took nothing for {SEND_TIMEOUT:?}")]
    Gone,
    #[error("the task that makes the answer has ended early")]
    Ended,
}

/// Nothing is sent as the end, so that a sender that is lost is none.
type Piece = Result<Option<Bytes>, StreamError>;

/// The answer, and the work that makes it, which holds its place until it ends.
pub(super) fn stream(
    scans: Vec<Scan>,
    place: OwnedSemaphorePermit,
    metrics: Metrics,
) -> (Response, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(1);
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(wire::CHUNKED_CONTENT_TYPE))];
    let work = async move {
        let _place = place;
        let mut frames =
            Frames { sender, waiting: BytesMut::new(), query_index: 0, series: ChunkedSeries::default(), size: 0 };
        let Err(error) = frames.answer(scans).await else { return metrics.read_request(ReadOutcome::Streamed) };
        if matches!(error, StreamError::Gone) {
            debug!(%error, "a streamed answer is given up");
            metrics.read_request(ReadOutcome::Abandoned);
        } else {
            warn!(%error, "a streamed answer breaks off");
            metrics.read_request(ReadOutcome::Unavailable);
        }
        // Where it is not heard, the end is missing.
        drop(frames.sender.try_send(Err(error)));
    };
    ((headers, Body::from_stream(pieces(receiver))).into_response(), work)
}

fn pieces(receiver: Receiver<Piece>) -> impl Stream<Item = Result<Bytes, StreamError>> {
    stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await.unwrap_or(Err(StreamError::Ended)) {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(receiver))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// What was made and not sent yet.
struct Frames {
    sender: Sender<Piece>,
    waiting: BytesMut,
    query_index: i64,
    /// The frame that is being filled.
    series: ChunkedSeries,
    size: usize,
}

impl Frames {
    async fn answer(&mut self, scans: Vec<Scan>) -> Result<(), StreamError> {
        for (index, mut scan) in scans.into_iter().enumerate() {
            self.query_index = index as i64;
            while let Some(part) = self.unless_gone(scan.next()).await? {
                for series in part.series() {
                    self.add(&series).await?;
                }
            }
            self.end_frame();
        }
        self.send().await?;
        self.put(None).await
    }

    async fn unless_gone<T>(&self, work: impl Future<Output = Result<T, ArchiveError>>) -> Result<T, StreamError> {
        tokio::select! {
            outcome = work => outcome.map_err(Into::into),
            () = self.sender.closed() => Err(StreamError::Gone),
        }
    }

    async fn add(&mut self, series: &FetchedSeries<'_>) -> Result<(), StreamError> {
        let label = |(name, value): &(&str, &str)| Label { name: (*name).to_owned(), value: (*value).to_owned() };
        let labels: Vec<_> = series.labels.iter().map(label).collect();
        // A large series comes in pieces.
        if self.series.labels != labels {
            self.end_frame();
            self.series.labels = labels;
        }
        for chunk in Chunks::new(series.samples, series.histograms) {
            let chunk = wire_chunk(chunk?);
            if self.size + chunk.data.len() > FRAME_BYTES {
                self.end_frame();
            }
            self.size += chunk.encoded_len() + 8;
            self.series.chunks.push(chunk);
            if self.waiting.len() >= SEND_BYTES {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Labels stay, for the case that more of the series follows.
    fn end_frame(&mut self) {
        self.size = 0;
        if self.series.chunks.is_empty() {
            return;
        }
        let labels = self.series.labels.clone();
        let series = std::mem::replace(&mut self.series, ChunkedSeries { labels, chunks: Vec::new() });
        let message =
            ChunkedReadResponse { chunked_series: vec![series], query_index: self.query_index }.encode_to_vec();
        prost::encoding::encode_varint(message.len() as u64, &mut self.waiting);
        self.waiting.put_u32(crc32c::crc32c(&message));
        self.waiting.put_slice(&message);
    }

    async fn send(&mut self) -> Result<(), StreamError> {
        let frames = self.waiting.split().freeze();
        if frames.is_empty() { Ok(()) } else { self.put(Some(frames)).await }
    }

    async fn put(&self, piece: Option<Bytes>) -> Result<(), StreamError> {
        let sent = timeout(SEND_TIMEOUT, self.sender.send(Ok(piece))).await;
        sent.map_err(|_| StreamError::Gone)?.map_err(|_| StreamError::Gone)
    }
}

fn wire_chunk(chunk: Chunk) -> wire::Chunk {
    let Chunk { encoding, first, last, data, .. } = chunk;
    wire::Chunk { min_time_ms: first, max_time_ms: last, r#type: encoding as i32, data }
}
