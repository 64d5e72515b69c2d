//! Samples as a request of remote write 1.0, which writes float counts of histograms only.

use lynceus_promql::{
    BucketCounts, Hints, Histogram, Matcher, MatcherOp, Memory, ResetHint, SeriesMatcher, Storage as _,
};

fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn zigzag(number: i32) -> u64 {
    u64::from((number << 1 ^ number >> 31).cast_unsigned())
}

fn number(tag: u64, value: u64, into: &mut Vec<u8>) {
    varint(tag << 3, into);
    varint(value, into);
}

fn double(tag: u64, value: f64, into: &mut Vec<u8>) {
    varint(tag << 3 | 1, into);
    into.extend(value.to_bits().to_le_bytes());
}

fn field(tag: u64, content: &[u8], into: &mut Vec<u8>) {
    varint(tag << 3 | 2, into);
    varint(content.len() as u64, into);
    into.extend_from_slice(content);
}

fn doubles(tag: u64, values: &[f64], into: &mut Vec<u8>) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect();
    field(tag, &bytes, into);
}

/// Each bucket is a span of its own.
fn buckets(spans: u64, counts: u64, buckets: &BucketCounts, into: &mut Vec<u8>) {
    let mut next = 0;
    for (index, _) in buckets {
        let mut span = Vec::new();
        number(1, zigzag(index - next), &mut span);
        number(2, 1, &mut span);
        field(spans, &span, into);
        next = index + 1;
    }
    let values: Vec<f64> = buckets.iter().map(|(_, count)| *count).collect();
    doubles(counts, &values, into);
}

fn histogram(time: i64, histogram: &Histogram) -> Vec<u8> {
    let mut message = Vec::new();
    double(2, histogram.count, &mut message);
    double(3, histogram.sum, &mut message);
    number(4, zigzag(histogram.schema), &mut message);
    double(5, histogram.zero_threshold, &mut message);
    double(7, histogram.zero_count, &mut message);
    buckets(8, 10, &histogram.negative, &mut message);
    buckets(11, 13, &histogram.positive, &mut message);
    number(14, if histogram.reset_hint == ResetHint::Gauge { 3 } else { 0 }, &mut message);
    number(15, time.cast_unsigned(), &mut message);
    doubles(16, &histogram.custom_bounds, &mut message);
    message
}

/// All that is in memory.
pub(super) fn of(memory: &Memory) -> Vec<u8> {
    let all = SeriesMatcher::new(&Matcher::new("", MatcherOp::Equal, "")).unwrap();
    let hints = Hints { start: 0, end: i64::MAX, step: 0, window: i64::MAX, range: 0, newest: false };
    let mut request = Vec::new();
    for series in memory.select(&[all], &hints).unwrap() {
        let mut labels = Vec::new();
        for (name, value) in series.labels.iter() {
            let mut label = Vec::new();
            field(1, name.as_bytes(), &mut label);
            field(2, value.as_bytes(), &mut label);
            field(1, &label, &mut labels);
        }
        let floats = series.floats.times.iter().zip(&series.floats.values).map(|(time, value)| {
            let mut sample = Vec::new();
            double(1, *value, &mut sample);
            number(2, time.cast_unsigned(), &mut sample);
            (*time, 2, sample)
        });
        let histograms = series.histograms.times.iter().zip(&series.histograms.values);
        let histograms = histograms.map(|(time, value)| (*time, 4, histogram(*time, value)));
        let mut samples: Vec<(i64, u64, Vec<u8>)> = floats.chain(histograms).collect();
        samples.sort_by_key(|(time, ..)| *time);
        // Of one message Prometheus takes floats first, so that older histograms would come too late.
        for samples in samples.chunk_by(|a, b| a.1 == b.1) {
            let mut message = labels.clone();
            samples.iter().for_each(|(_, tag, sample)| field(*tag, sample, &mut message));
            field(1, &message, &mut request);
        }
    }
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}
