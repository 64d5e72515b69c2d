//! What buckets give is what their samples give.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;

use lynceus_promql::{
    Buckets, Columns, Hints, Labels, Memory, Options, STALE, SampleValue, SeriesMatcher, Storage, StorageError,
    StoredSeries, Value, Windows, is_stale, parse, query, query_range,
};

const BUCKET: i64 = 60_000;

/// A storage that knows its samples by the minute.
struct Rolled {
    samples: Memory,
    used: Cell<usize>,
}

impl Storage for Rolled {
    fn select(&self, matchers: &[SeriesMatcher], hints: &Hints) -> Result<Vec<Arc<StoredSeries>>, StorageError> {
        self.samples.select(matchers, hints)
    }

    fn summarize(
        &self,
        matchers: &[SeriesMatcher],
        windows: &Windows,
        columns: Columns,
        each: &mut dyn FnMut(Buckets) -> ControlFlow<()>,
    ) -> Result<bool, StorageError> {
        let step = if windows.steps == 1 { 0 } else { windows.step };
        if [windows.end, windows.range, step].iter().any(|time| time % BUCKET != 0) {
            return Ok(false);
        }
        self.used.set(self.used.get() + 1);
        let (start, end) = (windows.start() + 1, windows.last());
        let hints = Hints { start, end, step, window: windows.range, range: windows.range, newest: false };
        let series = self.samples.select(matchers, &hints)?;
        // In another order than that of labels.
        for series in series.iter().rev() {
            if each(buckets(series, (start, end), columns)).is_break() {
                break;
            }
        }
        Ok(true)
    }
}

fn buckets(series: &StoredSeries, (start, end): (i64, i64), columns: Columns) -> Buckets {
    let mut out = Buckets { labels: series.labels.clone(), ..Buckets::default() };
    let samples: Vec<(i64, f64)> =
        series.floats.times.iter().copied().zip(series.floats.values.iter().copied()).collect();
    let samples: Vec<_> = samples.into_iter().filter(|(t, v)| (start..=end).contains(t) && !is_stale(*v)).collect();
    for bucket in samples.chunk_by(|a, b| (a.0 - 1).div_euclid(BUCKET) == (b.0 - 1).div_euclid(BUCKET)) {
        let values: Vec<f64> = bucket.iter().map(|(_, value)| *value).collect();
        let numbers = || values.iter().copied().filter(|value| !value.is_nan());
        out.ends.push(((bucket[0].0 - 1).div_euclid(BUCKET) + 1) * BUCKET);
        if columns.count {
            out.counts.push(values.len() as u32);
        }
        if columns.sum {
            out.sums.push(values.iter().sum());
        }
        if columns.min {
            out.mins.push(numbers().reduce(f64::min).unwrap_or(f64::NAN));
        }
        if columns.max {
            out.maxs.push(numbers().reduce(f64::max).unwrap_or(f64::NAN));
        }
        if columns.first {
            out.firsts.push(values[0]);
            out.first_times.push(bucket[0].0);
        }
        if columns.last {
            out.lasts.push(values[values.len() - 1]);
            out.last_times.push(bucket[bucket.len() - 1].0);
        }
        if columns.resets {
            out.resets.push(values.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]).sum());
        }
    }
    out
}

/// Counters with resets, gaps, stale markers and NaN; one that is NaN only, one that overflows.
fn data() -> Memory {
    let mut memory = Memory::new();
    for (n, name) in ["x_total", "nan", "huge"].iter().enumerate() {
        for vm in 0..3_i64 {
            let id = format!("{name}-{vm}");
            let labels = Labels::new([("__name__", *name), ("vm", &id)]);
            let mut counter = 0.0;
            for at in 1..400_i64 {
                let time = at * 15_000 - 14_000 * i64::from(at % 7 == 3) + vm;
                counter = if at % (37 + vm) == 0 { 1.5 } else { counter + (at % 11) as f64 * 1.25 };
                let value = match (at + vm) % 23 {
                    5 | 6 => continue,
                    _ if (100..120).contains(&at) => continue,
                    7 => STALE,
                    8 => f64::NAN,
                    _ if n == 1 => f64::NAN,
                    _ if n == 2 => 1e308 * (1.0 + (at % 5) as f64 / 10.0),
                    _ => counter,
                };
                memory.push_float(&labels, time, value, 0);
            }
        }
    }
    memory
}

fn numbers(value: &Value) -> Vec<(&Labels, i64, f64)> {
    let (Value::Vector(series) | Value::Matrix(series)) = value else { panic!("{value}") };
    let sample = |one: lynceus_promql::Sample<'_>| match one.value {
        SampleValue::Float(value) => (one.time, value),
        SampleValue::Histogram(_) => panic!("a histogram"),
    };
    series.iter().flat_map(|s| s.samples().map(sample).map(|(t, v)| (&s.labels, t, v))).collect()
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

const FUNCTIONS: [&str; 12] = [
    "count_over_time",
    "present_over_time",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "first_over_time",
    "last_over_time",
    "ts_of_last_over_time",
    "rate",
    "increase",
    "delta",
];

#[test]
fn every_function_gives_the_same_from_buckets_and_from_samples() {
    let samples = data();
    let rolled = Rolled { samples: data(), used: Cell::new(0) };
    let options = Options::default();
    let mut answers = 0;
    for function in FUNCTIONS {
        for range in ["1m", "2m", "5m", "45m"] {
            for modifier in ["", " offset 3m", " offset -2m", " @ 1800"] {
                let texts = [
                    format!("{function}({{vm!=\"\"}}[{range}]{modifier})"),
                    format!("max_over_time({function}(x_total[{range}]{modifier})[10m:2m])"),
                ];
                for text in texts {
                    let expr = parse(&text).unwrap();
                    for (start, end, step) in [(600_000, 5_400_000, 60_000), (1_200_000, 3_000_000, 300_000)] {
                        let expected = query_range(&expr, (start, end, step), &samples, &options).unwrap();
                        let found = query_range(&expr, (start, end, step), &rolled, &options).unwrap();
                        assert_eq!(expected.annotations, found.annotations, "{text}");
                        let (expected, found) = (numbers(&expected.value), numbers(&found.value));
                        assert_eq!(expected.len(), found.len(), "{text}");
                        for (expected, found) in expected.iter().zip(&found) {
                            assert_eq!((expected.0, expected.1), (found.0, found.1), "{text}");
                            assert!(same(expected.2, found.2), "{text}: expected {expected:?}, found {found:?}");
                        }
                        answers += found.len();
                    }
                }
            }
        }
    }
    assert!(answers > 100_000 && rolled.used.get() > 500, "{answers} answers, {} times buckets", rolled.used.get());
}

#[test]
fn what_buckets_cannot_say_is_asked_of_samples() {
    let rolled = Rolled { samples: data(), used: Cell::new(0) };
    let ask = |text: &str, options: &Options<'_>| {
        rolled.used.set(0);
        query(&parse(text).unwrap(), 1_800_000, &rolled, options).unwrap();
        rolled.used.get()
    };
    let defaults = Options::default();
    assert_eq!(ask("rate(x_total[5m])", &defaults), 1);
    for text in [
        "rate(x_total[90s])",
        "rate(x_total[5m] offset 1s)",
        "rate(x_total[5m] anchored)",
        "increase(x_total[5m] smoothed)",
        "irate(x_total[5m])",
        "stddev_over_time(x_total[5m])",
        "x_total",
    ] {
        assert_eq!(ask(text, &defaults), 0, "{text}");
    }
    assert_eq!(ask("rate(x_total[5m])", &Options { start_timestamps: true, ..defaults }), 0);
}
