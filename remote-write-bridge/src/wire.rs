//! Prometheus' remote protocols, version 1.0, as they are on the wire: snappy blocks of protobuf messages.
//!
//! The messages are those of prometheus/prompb/{remote,types}.proto, with the fields that are used here.

use bytes::Bytes;
use prost::Message;

pub(crate) const CONTENT_TYPE: &str = "application/x-protobuf";

/// Sent by the audit; what comes in has a decoder of its own, which is compared with this.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(int32, tag = "1")]
    pub(crate) r#type: i32,
    #[prost(string, tag = "2")]
    pub(crate) metric_family_name: String,
    #[prost(string, tag = "4")]
    pub(crate) help: String,
    #[prost(string, tag = "5")]
    pub(crate) unit: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Sample {
    /// "Required" is what makes prost write -0.0, which it else takes for the default and leaves out.
    #[prost(double, required, tag = "1")]
    pub(crate) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(double, required, tag = "2")]
    pub(crate) value: f64,
    #[prost(int64, tag = "3")]
    pub(crate) timestamp: i64,
}

/// A native histogram, the same in both versions of remote write and in remote read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(oneof = "HistogramCount", tags = "1, 2")]
    pub(crate) count: Option<HistogramCount>,
    #[prost(double, required, tag = "3")]
    pub(crate) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(crate) schema: i32,
    #[prost(double, required, tag = "5")]
    pub(crate) zero_threshold: f64,
    #[prost(oneof = "HistogramZeroCount", tags = "6, 7")]
    pub(crate) zero_count: Option<HistogramZeroCount>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub(crate) negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub(crate) negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub(crate) positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub(crate) positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(crate) reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub(crate) timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub(crate) custom_values: Vec<f64>,
    /// Milliseconds since 1970; 0 where it is not known. In 2.0 only.
    #[prost(int64, tag = "17")]
    pub(crate) start_timestamp: i64,
}

/// Count and sum of a histogram that was checked.
pub(crate) fn count_and_sum(histogram: &[u8]) -> (f64, f64) {
    let histogram = Histogram::decode(histogram).unwrap_or_default();
    let count = match histogram.count {
        Some(HistogramCount::Int(count)) => count as f64,
        Some(HistogramCount::Float(count)) => count,
        None => 0.0,
    };
    (count, histogram.sum)
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum HistogramCount {
    #[prost(uint64, tag = "1")]
    Int(u64),
    #[prost(double, tag = "2")]
    Float(f64),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(crate) enum HistogramZeroCount {
    #[prost(uint64, tag = "6")]
    Int(u64),
    #[prost(double, tag = "7")]
    Float(f64),
}

/// Buckets that follow one another.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct BucketSpan {
    /// Buckets between it and the span before; of the first, where it begins.
    #[prost(sint32, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) length: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) queries: Vec<Query>,
    #[prost(enumeration = "ResponseType", repeated, tag = "2")]
    pub(crate) accepted_response_types: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ResponseType {
    Samples = 0,
    StreamedXorChunks = 1,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Query {
    #[prost(int64, tag = "1")]
    pub(crate) start_timestamp_ms: i64,
    #[prost(int64, tag = "2")]
    pub(crate) end_timestamp_ms: i64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) matchers: Vec<LabelMatcher>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelMatcher {
    #[prost(enumeration = "MatcherType", tag = "1")]
    pub(crate) r#type: i32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum MatcherType {
    Equal = 0,
    NotEqual = 1,
    Regex = 2,
    NotRegex = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    pub(crate) timeseries: Vec<TimeSeries>,
}

pub(crate) const CHUNKED_CONTENT_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// A frame of a streamed answer: whole series, or a piece of one.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChunkedReadResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) chunked_series: Vec<ChunkedSeries>,
    #[prost(int64, tag = "2")]
    pub(crate) query_index: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChunkedSeries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) chunks: Vec<Chunk>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Chunk {
    #[prost(int64, tag = "1")]
    pub(crate) min_time_ms: i64,
    #[prost(int64, tag = "2")]
    pub(crate) max_time_ms: i64,
    #[prost(int32, tag = "3")]
    pub(crate) r#type: i32,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) data: Vec<u8>,
}

const SENDER: &str = "check that the sender is a Prometheus or speaks its remote protocols";

/// Why a body is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("expected `content-type: {CONTENT_TYPE}` with a message that is known here, found `{0}`; {SENDER}")]
    ContentType(String),
    #[error("expected `content-encoding: snappy`, found `{0}`; {SENDER}")]
    ContentEncoding(String),
    #[error("expected a body of at most {limit} bytes when unpacked, found {found}")]
    TooLarge { found: usize, limit: usize },
    #[error("expected a body packed as a snappy block: {0}; {SENDER}")]
    Snappy(#[source] snap::Error),
    #[error("expected a protobuf message {name}: {error}; {SENDER}")]
    Protobuf { name: &'static str, error: String },
}

/// Checks what the headers say about a body. A 2.0 message parsed as 1.0 would be an empty one, and its samples lost
/// without an error, so whatever is not known to be 1.0 is refused.
pub(crate) fn check_headers(content_type: &str, content_encoding: &str, message: &str) -> Result<(), WireError> {
    let mut parts = content_type.split(';').map(str::trim);
    let known = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(CONTENT_TYPE))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) => !name.eq_ignore_ascii_case("proto") || value.trim_matches('"') == message,
            None => parameter.is_empty(),
        });
    if !known {
        return Err(WireError::ContentType(content_type.to_owned()));
    }
    if !content_encoding.eq_ignore_ascii_case("snappy") {
        return Err(WireError::ContentEncoding(content_encoding.to_owned()));
    }
    Ok(())
}

/// Unpacks a body. The size that it claims is checked before memory is taken for it.
pub(crate) fn unpack(body: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
    let found = snap::raw::decompress_len(body).map_err(WireError::Snappy)?;
    if found > limit {
        return Err(WireError::TooLarge { found, limit });
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(WireError::Snappy)
}

/// Unpacks and decodes a body.
pub(crate) fn decode<M: Message + Default>(body: &Bytes, name: &'static str, limit: usize) -> Result<M, WireError> {
    let unpacked = unpack(body, limit)?;
    M::decode(unpacked.as_slice()).map_err(|error| WireError::Protobuf { name, error: error.to_string() })
}

/// Encodes and packs a message.
pub(crate) fn encode(message: &impl Message) -> Result<Vec<u8>, snap::Error> {
    snap::raw::Encoder::new().compress_vec(&message.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn headers(content_type: &str, encoding: &str) -> bool {
        check_headers(content_type, encoding, "prometheus.WriteRequest").is_ok()
    }

    #[test]
    fn only_known_content_is_taken() {
        assert!(headers("application/x-protobuf", "snappy"));
        assert!(headers("application/x-protobuf;proto=prometheus.WriteRequest", "snappy"));
        assert!(headers("Application/X-Protobuf; proto=\"prometheus.WriteRequest\"; charset=utf-8", "Snappy"));
        assert!(!headers("application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy"));
        assert!(!headers("application/x-protobuf; proto", "snappy"));
        assert!(!headers("application/json", "snappy"));
        assert!(!headers("", "snappy"));
        assert!(!headers("application/x-protobuf", ""));
        assert!(!headers("application/x-protobuf", "zstd"));
    }

    #[test]
    fn a_claimed_size_is_checked_before_it_is_believed() {
        // A snappy block that claims 4 GB - 1 and holds nothing.
        let body = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        let error = decode::<WriteRequest>(&body, "WriteRequest", LIMIT).unwrap_err();
        assert!(matches!(error, WireError::TooLarge { found: 4_294_967_295, limit: LIMIT }), "{error}");
    }

    #[test]
    fn what_is_not_snappy_or_not_protobuf_is_said() {
        let error = decode::<WriteRequest>(&Bytes::from_static(b"\x05hello"), "WriteRequest", LIMIT).unwrap_err();
        assert!(error.to_string().starts_with("expected a body packed as a snappy block: "), "{error}");
        let packed = snap::raw::Encoder::new().compress_vec(b"\x0a\x05hello").unwrap();
        let error = decode::<WriteRequest>(&packed.into(), "WriteRequest", LIMIT).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("expected a protobuf message WriteRequest: ") && text.ends_with(SENDER), "{text}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>, packed: bool) {
            let body = if packed { snap::raw::Encoder::new().compress_vec(&bytes).unwrap() } else { bytes };
            let body = Bytes::from(body);
            drop(decode::<WriteRequest>(&body, "WriteRequest", LIMIT));
            drop(decode::<ReadRequest>(&body, "ReadRequest", LIMIT));
        }

        #[test]
        fn no_damage_to_a_message_makes_the_decoder_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let label = Label { name: "__name__".into(), value: "up".into() };
            let sample = Sample { value: f64::NAN, timestamp: i64::MIN };
            let series = TimeSeries { labels: vec![label], samples: vec![sample], ..TimeSeries::default() };
            let mut bytes = WriteRequest { timeseries: vec![series; 3], metadata: vec![] }.encode_to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len()) + 1);
            drop(WriteRequest::decode(bytes.as_slice()));
        }
    }
}
