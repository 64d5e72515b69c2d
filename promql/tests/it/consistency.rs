//! Laws of the evaluator, on generated queries over data with gaps, stale markers, resets, NaN and histograms.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lynceus_promql::{
    EvalError, Histogram, Labels, Memory, Options, STALE, SampleValue, Value, parse, query, query_range,
};
use proptest::prelude::*;

use crate::generate::{Language, scalar, vector};

static DATA: LazyLock<Memory> = LazyLock::new(|| {
    let names = ["up", "node_cpu_seconds_total", "job:up:sum", "sum", "by", "and", "_x", "vsphere_cpu", "my.metric"];
    let mut memory = Memory::new();
    for (n, name) in names.iter().enumerate() {
        for (m, (a, b)) in [("b", ""), ("b", "1.x"), ("cc", ""), ("d", "2.y")].iter().enumerate() {
            let labels = Labels::new([("__name__", *name), ("a", *a), ("b", *b), ("vm_id", "7"), ("e", "x")]);
            for at in 0..60_i64 {
                let time = at * 30_000 + 1000 * (n as i64 + m as i64);
                match (at + n as i64 * 3 + m as i64) % 17 {
                    3 => {}
                    5 => memory.push_float(&labels, time, STALE, 0),
                    8 => memory.push_float(&labels, time, f64::NAN, 0),
                    11 if m == 3 => {
                        let count = at as f64;
                        let histogram =
                            Histogram { count, sum: 2.0 * count, positive: vec![(1, count)], ..Histogram::default() };
                        memory.push_histogram(&labels, time, histogram, 0);
                    }
                    _ => memory.push_float(&labels, time, ((at * 7) % 40 + n as i64) as f64, time - 1000),
                }
            }
        }
    }
    memory
});

type Row = BTreeMap<Labels, String>;

fn shown(value: SampleValue<'_>) -> String {
    match value {
        SampleValue::Float(value) if value.is_nan() => "NaN".to_owned(),
        SampleValue::Float(value) => format!("{value:e}"),
        SampleValue::Histogram(histogram) => histogram.to_string(),
    }
}

/// What each series has at one time.
fn at(value: &Value, time: i64) -> Row {
    match value {
        Value::Scalar(_, value) => Row::from([(Labels::default(), shown(SampleValue::Float(*value)))]),
        Value::Text(..) => Row::new(),
        Value::Vector(series) | Value::Matrix(series) => {
            let sample = |s: &lynceus_promql::Series| {
                let found = s.samples().find(|sample| sample.time == time)?;
                Some((s.labels.clone(), shown(found.value)))
            };
            series.iter().filter_map(sample).collect()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// All steps at once, or one after the other: it is the same. Both ways of dropping names are tried.
    #[test]
    fn a_step_of_a_range_is_the_instant_query_at_its_time(
        text in prop_oneof![4 => vector(Language::V3), 1 => scalar(Language::V3)],
        delayed_name_removal: bool,
        start_timestamps: bool,
    ) {
        let options =
            Options { max_samples: 100_000, delayed_name_removal, start_timestamps, ..Options::default() };
        let expr = parse(&text).unwrap();
        let (start, end, step) = (300_000, 1_500_000, 150_000);
        let Ok(range) = query_range(&expr, (start, end, step), &*DATA, &options) else { return Ok(()) };
        // These are defined by the query's times.
        if ["start", "end", "step", "range"].iter().any(|word| text.contains(word)) {
            return Ok(());
        }
        for time in (start..=end).step_by(step as usize) {
            let instant = query(&expr, time, &*DATA, &options);
            let instant = instant.map_err(|error| TestCaseError::fail(format!("{text} at {time}: {error}")))?;
            prop_assert_eq!(at(&range.value, time), at(&instant.value, time), "{} at {}", text, time);
        }
    }

    /// No time, however far out, overflows.
    #[test]
    fn no_time_panics(text in vector(Language::V3), start: i64, length in 0..i64::MAX, step: i64) {
        let options = Options { max_samples: 10_000, max_steps: 10, ..Options::default() };
        let expr = parse(&text).unwrap();
        for start in [start, start % (1 << 53), 0] {
            drop(query(&expr, start, &*DATA, &options));
            drop(query_range(&expr, (start, start.saturating_add(length), step), &*DATA, &options));
        }
    }
}

#[track_caller]
fn check_error(text: &str, options: &Options<'_>, expected: &str) {
    let error = query_range(&parse(text).unwrap(), (0, 600_000, 60_000), &*DATA, options).unwrap_err();
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn limits_and_cancellation_end_a_query() {
    let few = Options { max_samples: 50, ..Options::default() };
    check_error("up + up", &few, "query processing would load too many samples into memory in query execution");
    check_error(
        "sum_over_time(vector(1)[1y:1ms])",
        &Options::default(),
        "query processing would load too many samples into memory in query execution",
    );
    check_error("topk(Inf, up)", &Options::default(), "Scalar value +Inf overflows int64");
    // Where any of them takes something.
    check_error(
        "topk(5 - 1e300 * (time() > bool 60), up)",
        &Options::default(),
        "Scalar value -1e+300 underflows int64",
    );
    assert!(query_range(&parse("topk(-Inf, up)").unwrap(), (0, 60_000, 60_000), &*DATA, &Options::default()).is_ok());
    let stopped = Options { cancelled: &|| true, ..Options::default() };
    check_error("up", &stopped, "query was cancelled");
    let steps = Options { max_steps: 9, ..Options::default() };
    let text = "exceeded maximum resolution of 9 points per timeseries. Try decreasing the query resolution (?step=XX)";
    check_error("1", &steps, text);
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    let run = |range| query_range(&parse("1").unwrap(), range, &*DATA, &Options::default());
    assert!(matches!(run((0, 10, 0)), Err(EvalError::Step)));
    assert!(matches!(run((10, 0, 1)), Err(EvalError::EndBeforeStart)));
    let text = run((0, 11_001, 1)).unwrap_err().to_string();
    assert!(text.starts_with("exceeded maximum resolution of 11,000 points per timeseries"), "{text}");
    assert!(run((0, 11_000, 1)).is_ok());
}

#[test]
fn series_that_become_the_same_without_their_names_are_refused() {
    let text = r#"ceil({__name__=~"up|_x"})"#;
    check_error(text, &Options::default(), "vector cannot contain metrics with the same labelset");
    let delayed = Options { delayed_name_removal: true, ..Options::default() };
    check_error(text, &delayed, "vector cannot contain metrics with the same labelset");
    let kept = r#"label_replace(ceil({__name__=~"up|_x"}), "was", "$1", "__name__", "(.*)")"#;
    assert!(query_range(&parse(kept).unwrap(), (0, 60_000, 60_000), &*DATA, &delayed).is_ok());
}

/// A series that `or` takes from its left at some steps and from its right at others.
#[test]
fn a_series_from_both_sides_of_an_or_is_one_for_a_subquery() {
    for delayed_name_removal in [false, true] {
        let options = Options { delayed_name_removal, ..Options::default() };
        let run = |text: &str| {
            let answer = query(&parse(text).unwrap(), 1_500_000, &*DATA, &options).unwrap();
            at(&answer.value, 1_500_000)
        };
        let split = run("changes((up > 20 or up)[10m:30s])");
        assert_eq!(split.len(), 4);
        assert_eq!(split, run("changes(up[10m:30s])"));
    }
}
