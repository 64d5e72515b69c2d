//! Against chunks that Prometheus' own code wrote, and against damage.

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::wire::{BucketSpan, HistogramZeroCount};

/// Chunks of github.com/prometheus/prometheus v0.316.0, and what its iterators read from them: encoding, bytes, samples.
const GOLDEN: &str = include_str!("golden.txt");

fn numbers<T>(text: &str, parse: impl Fn(&str) -> T) -> Vec<T> {
    text.split(',').filter(|part| !part.is_empty()).map(parse).collect()
}

fn bits(text: &str) -> f64 {
    f64::from_bits(u64::from_str_radix(text, 16).unwrap())
}

fn spans(text: &str) -> Vec<BucketSpan> {
    numbers(text, |span| {
        let (offset, length) = span.split_once(':').unwrap();
        BucketSpan { offset: offset.parse().unwrap(), length: length.parse().unwrap() }
    })
}

fn point(encoding: u8, text: &str) -> Point {
    let parts: Vec<_> = text.split('/').collect();
    let timestamp = parts[0].parse().unwrap();
    if encoding == 1 {
        return Point::Float(Sample { timestamp, value: bits(parts[1]) });
    }
    let mut histogram = Histogram {
        timestamp,
        sum: bits(parts[3]),
        schema: parts[4].parse().unwrap(),
        zero_threshold: bits(parts[5]),
        positive_spans: spans(parts[6]),
        negative_spans: spans(parts[7]),
        custom_values: numbers(parts[10], bits),
        reset_hint: parts[11].parse().unwrap(),
        ..Histogram::default()
    };
    if encoding == 2 {
        histogram.count = Some(HistogramCount::Int(parts[1].parse().unwrap()));
        histogram.zero_count = Some(HistogramZeroCount::Int(parts[2].parse().unwrap()));
        histogram.positive_deltas = numbers(parts[8], |text| text.parse().unwrap());
        histogram.negative_deltas = numbers(parts[9], |text| text.parse().unwrap());
    } else {
        histogram.count = Some(HistogramCount::Float(bits(parts[1])));
        histogram.zero_count = Some(HistogramZeroCount::Float(bits(parts[2])));
        histogram.positive_counts = numbers(parts[8], bits);
        histogram.negative_counts = numbers(parts[9], bits);
    }
    Point::histogram(histogram)
}

/// NaN is equal to itself.
fn exact(point: &Point) -> String {
    match point {
        Point::Float(sample) => format!("{} {:x}", sample.timestamp, sample.value.to_bits()),
        Point::Histogram(histogram) => format!("{} {histogram:?} {:x}", histogram.timestamp, histogram.sum.to_bits()),
    }
}

fn read(encoding: u8, data: &[u8]) -> Result<Vec<Point>, ChunkError> {
    let mut points = Points::new(encoding, data)?;
    let mut all = Vec::new();
    while let Some(point) = points.next()? {
        all.push(point);
    }
    Ok(all)
}

fn write(points: &[Point]) -> Vec<Chunk> {
    let (mut samples, mut histograms) = (Vec::new(), Vec::new());
    for point in points {
        match point {
            Point::Float(sample) => samples.push(*sample),
            Point::Histogram(one) => histograms.push(row(one)),
        }
    }
    Chunks::new(&samples, &histograms).collect::<Result<_, _>>().unwrap()
}

fn row(histogram: &Histogram) -> HistogramRow {
    let timestamp = histogram.timestamp;
    let histogram = Histogram { timestamp: 0, ..histogram.clone() }.encode_to_vec();
    HistogramRow { vm_key: 0, series_id: 0, timestamp, count: 0., sum: 0., histogram }
}

fn golden() -> impl Iterator<Item = (u8, Vec<u8>, Vec<Point>)> {
    GOLDEN.lines().map(|line| {
        let mut parts = line.split(' ');
        let encoding = parts.next().unwrap().parse().unwrap();
        let text = parts.next().unwrap();
        let data = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
        (encoding, data, parts.map(|text| point(encoding, text)).collect())
    })
}

#[test]
fn chunks_of_prometheus_are_read_as_it_reads_them() {
    for (encoding, data, expected) in golden() {
        let found = read(encoding, &data).unwrap();
        assert_eq!(found.iter().map(exact).collect::<Vec<_>>(), expected.iter().map(exact).collect::<Vec<_>>());
    }
}

#[test]
fn the_same_samples_are_written_as_prometheus_writes_them() {
    for (encoding, data, mut points) in golden() {
        let is_gauge = encoding > 1 && Resets::from_flags(data[HEADER]) == Resets::Gauge;
        for point in &mut points {
            // Which stale markers do not tell.
            match point {
                Point::Histogram(histogram) if is_gauge => histogram.reset_hint = 3,
                _ => {}
            }
        }
        let [chunk] = &write(&points)[..] else { panic!("more than one chunk of {points:?}") };
        assert_eq!((chunk.encoding as u8, &chunk.data), (encoding, &data), "{points:?}");
        let last = points.last().unwrap().timestamp();
        assert_eq!((chunk.first, chunk.last, chunk.samples), (points[0].timestamp(), last, points.len()));
    }
}

fn float(timestamp: i64, value: f64) -> Point {
    Point::Float(Sample { value, timestamp })
}

fn whole(timestamp: i64, count: u64) -> Histogram {
    Histogram {
        timestamp,
        count: Some(HistogramCount::Int(count)),
        zero_count: Some(HistogramZeroCount::Int(0)),
        positive_spans: vec![BucketSpan { offset: 1, length: 1 }],
        positive_deltas: vec![count.cast_signed()],
        ..Histogram::default()
    }
}

fn stale(timestamp: i64) -> Histogram {
    let (count, zero_count) = (Some(HistogramCount::Int(0)), Some(HistogramZeroCount::Int(0)));
    Histogram { timestamp, count, zero_count, sum: lynceus_promql::STALE, ..Histogram::default() }
}

/// First time, number of samples and header of each chunk.
fn cut(histograms: &[Histogram]) -> Vec<(i64, usize, Resets)> {
    let points: Vec<_> = histograms.iter().cloned().map(Point::histogram).collect();
    let chunks = write(&points);
    let of = |chunk: &Chunk| (chunk.first, chunk.samples, Resets::from_flags(chunk.data[HEADER]));
    chunks.iter().map(of).collect()
}

#[test]
fn a_chunk_has_at_most_120_samples() {
    let points: Vec<_> = (0..250).map(|at| float(at * 15_000, at as f64)).collect();
    let chunks = write(&points);
    assert_eq!(chunks.iter().map(|chunk| chunk.samples).collect::<Vec<_>>(), [120, 120, 10]);
    let found: Vec<_> = chunks.iter().flat_map(|chunk| read(1, &chunk.data).unwrap()).collect();
    assert_eq!(found, points);
    let histograms: Vec<_> = (0..130).map(|at| whole(at, at as u64)).collect();
    assert_eq!(cut(&histograms), [(0, 120, Resets::Unknown), (120, 10, Resets::NotReset)]);
}

#[test]
fn counters_that_begin_again_begin_a_chunk() {
    let other = |timestamp, count| Histogram { schema: 2, ..whole(timestamp, count) };
    let told = |timestamp, count| Histogram { reset_hint: 1, ..whole(timestamp, count) };
    let gauge = |timestamp, count| Histogram { reset_hint: 3, ..whole(timestamp, count) };
    let moved = Histogram { positive_spans: vec![BucketSpan { offset: 2, length: 1 }], ..whole(1, 5) };
    assert_eq!(cut(&[whole(0, 5), whole(1, 6), whole(2, 4)]), [(0, 2, Resets::Unknown), (2, 1, Resets::Reset)]);
    assert_eq!(cut(&[whole(0, 5), told(1, 6), whole(2, 7)]), [(0, 1, Resets::Unknown), (1, 2, Resets::Reset)]);
    assert_eq!(cut(&[whole(0, 5), other(1, 6)]), [(0, 1, Resets::Unknown), (1, 1, Resets::Unknown)]);
    assert_eq!(cut(&[whole(0, 5), moved]), [(0, 1, Resets::Unknown), (1, 1, Resets::Unknown)]);
    assert_eq!(
        cut(&[whole(0, 5), gauge(1, 9), gauge(2, 3), whole(3, 3)]),
        [(0, 1, Resets::Unknown), (1, 2, Resets::Gauge), (3, 1, Resets::Unknown)]
    );
    // A bucket that lost what the zero bucket won.
    let shifted = Histogram { zero_count: Some(HistogramZeroCount::Int(2)), positive_deltas: vec![3], ..whole(1, 5) };
    assert_eq!(cut(&[whole(0, 5), shifted]), [(0, 1, Resets::Unknown), (1, 1, Resets::Reset)]);
}

#[test]
fn stale_markers_end_a_chunk_and_may_begin_one() {
    let histograms = [stale(0), whole(1, 5), stale(2), stale(3), whole(4, 5)];
    assert_eq!(cut(&histograms), [(0, 1, Resets::Unknown), (1, 3, Resets::Unknown), (4, 1, Resets::Unknown)]);
    let points: Vec<_> = histograms.into_iter().map(Point::histogram).collect();
    let found: Vec<_> = write(&points).iter().flat_map(|chunk| read(2, &chunk.data).unwrap()).collect();
    assert_eq!(found.iter().map(exact).collect::<Vec<_>>(), points.iter().map(exact).collect::<Vec<_>>());
}

#[test]
fn numbers_and_histograms_take_turns() {
    let points =
        [float(0, 1.), Point::histogram(whole(1, 1)), Point::histogram(whole(2, 2)), float(2, 2.), float(3, 3.)];
    let chunks = write(&points);
    let found: Vec<_> = chunks.iter().map(|chunk| (chunk.encoding, chunk.first, chunk.last)).collect();
    assert_eq!(
        found,
        [(Encoding::Xor, 0, 0), (Encoding::Histogram, 1, 1), (Encoding::Xor, 2, 2), (Encoding::Xor, 3, 3)]
    );
}

#[test]
fn large_histograms_make_short_chunks() {
    let large = |timestamp| Histogram {
        positive_spans: vec![BucketSpan { offset: 0, length: 500 }],
        positive_deltas: (0..500).map(|at| at % 2 * 1000).collect(),
        ..whole(timestamp, 1)
    };
    let histograms: Vec<_> = (0..12).map(large).collect();
    assert_eq!(cut(&histograms), [(0, 10, Resets::Unknown), (10, 2, Resets::NotReset)]);
}

#[test]
fn what_is_no_histogram_is_an_error() {
    let wrong = Histogram { positive_deltas: vec![1, 2], ..whole(7, 1) };
    let error = Chunks::new(&[], &[row(&wrong)]).next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "a histogram of the archive has 2 buckets where its spans have 1");
}

#[test]
fn what_is_no_chunk_is_an_error_with_its_place() {
    let error = |encoding, data: &[u8]| read(encoding, data).unwrap_err().to_string();
    let unknown = "expected a chunk of encoding 1 to 3 (XOR, histogram, float histogram), found 4";
    assert_eq!(error(4, &[0, 1, 2]), unknown);
    assert_eq!(error(1, &[0]), "the chunk ends inside a sample, after 1 bytes");
    assert_eq!(error(1, &[0, 2, 0, 1]), "the chunk ends inside a sample, after 4 bytes");
    // Zero threshold 0, schema 0, one span of 2^32 - 1 buckets.
    let mut layout = bits::BitWriter::new(&[0, 1, 0]);
    layout::write(
        &Histogram { positive_spans: vec![BucketSpan { offset: 0, length: u32::MAX }], ..whole(0, 0) },
        &mut layout,
    );
    assert_eq!(error(2, &layout.into_bytes()), "at byte 13 of the chunk: 4294967295 buckets, more than follow");
    let mut layout = bits::BitWriter::new(&[0, 1, 0]);
    layout::write(&Histogram { schema: 53, ..Histogram::default() }, &mut layout);
    assert_eq!(error(2, &layout.into_bytes()), "at byte 4 of the chunk: a schema of histograms that is not known");
}

proptest! {
    #[test]
    fn any_numbers_at_any_time_are_read_back(samples: Vec<(i64, u64)>) {
        let mut points: Vec<_> = samples.iter().map(|(time, bits)| float(*time, f64::from_bits(*bits))).collect();
        points.sort_by_key(Point::timestamp);
        points.dedup_by_key(|point| point.timestamp());
        let found: Vec<_> = write(&points).iter().flat_map(|chunk| read(1, &chunk.data).unwrap()).collect();
        prop_assert_eq!(found.iter().map(exact).collect::<Vec<_>>(), points.iter().map(exact).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(encoding in 0u8..5, data in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(read(encoding, &data));
    }

    #[test]
    fn no_damage_makes_the_decoder_panic(which: prop::sample::Index, at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let all: Vec<_> = golden().collect();
        let (encoding, mut data, _) = all[which.index(all.len())].clone();
        let at = at.index(data.len());
        data[at] = byte;
        data.truncate(cut.index(data.len() * 2).max(1));
        drop(read(encoding, &data));
    }
}
