//! Each function, aggregation and operator over samples of every kind, with the notes that it gives.

use lynceus_promql::{CUSTOM_SCHEMA, FUNCTIONS, Histogram, Labels, Memory, Options, ResetHint, STALE, ValueType};

use super::peer::Prometheus;
use super::{EVERY, SAMPLES, compare, start};

/// Counters and gauges of floats; native histograms that count, that are gauges, and with custom bounds; a series of
/// both kinds; classic histograms, some of them wrong.
fn data(start: i64) -> Memory {
    let mut memory = Memory::new();
    for vm in 0..4_i64 {
        let id = format!("vm-{vm}");
        let labels = |name: &str| {
            Labels::new([("__name__", name), ("vm", id.as_str()), ("pair", &id[..id.len() - (vm % 2) as usize])])
        };
        for at in 0..SAMPLES {
            let time = start + at * EVERY + 1000 * vm + 123;
            let whole = (at * (vm + 1) % 29) as f64;
            let float = match (at + vm * 5) % 31 {
                4 => f64::INFINITY,
                9 => f64::NEG_INFINITY,
                14 => f64::NAN,
                19 => STALE,
                23 => -1.5e300,
                _ => whole - 3.0,
            };
            memory.push_float(&labels("gauge"), time, float, 0);
            let typed = labels("plain");
            let typed = Labels::new(typed.iter().chain([("__type__", "gauge"), ("__unit__", "bytes")]));
            memory.push_float(&typed, time, (at * (vm + 2) % 37) as f64 * 1.25, 0);
            memory.push_float(&labels("count_total"), time, whole * 10.0, 0);
            memory.push_histogram(&labels("native"), time, counter(at, vm), 0);
            let gauge = Histogram { reset_hint: ResetHint::Gauge, ..counter(at % 7 + 3, vm) };
            memory.push_histogram(&labels("native_gauge"), time, gauge, 0);
            memory.push_histogram(&labels("custom"), time, custom(at, vm), 0);
            match (at + vm) % 4 {
                0 => memory.push_float(&labels("mixed"), time, whole, 0),
                1 => memory.push_histogram(&labels("mixed"), time, custom(at, vm), 0),
                _ => memory.push_histogram(&labels("mixed"), time, counter(at, vm), 0),
            }
            for (n, le) in ["0.1", "1", "2.5", "10", "+Inf", "many"].iter().enumerate().skip(usize::from(vm == 3)) {
                let labels = labels("classic_bucket")
                    .iter()
                    .map(|(n, v)| (n.to_owned(), v.to_owned()))
                    .chain([("le".to_owned(), (*le).to_owned())])
                    .collect::<Vec<_>>();
                let falls = if vm == 1 && n == 2 { 9.0 } else { 0.0 };
                let count = (at * (n as i64 + 1) + vm) as f64 - falls;
                if *le != "many" || vm == 2 {
                    memory.push_float(&Labels::new(labels), time, count, 0);
                }
            }
        }
    }
    memory
}

/// Grows, and is reset now and then; that of one machine has seen NaN.
fn counter(at: i64, vm: i64) -> Histogram {
    let n = (at % 23 + 1) as f64;
    let positive: Vec<(i32, f64)> =
        (-1..4).map(|index| (index * (1 + vm as i32 % 2), n * f64::from(index + 2))).collect();
    let negative = if vm == 1 { vec![(0, n), (2, 2.0 * n)] } else { Vec::new() };
    let in_buckets: f64 = positive.iter().chain(&negative).map(|(_, count)| count).sum::<f64>() + n;
    let nan = if vm == 3 { n } else { 0.0 };
    Histogram {
        schema: vm as i32,
        zero_threshold: 1e-3,
        zero_count: n,
        count: in_buckets + nan,
        sum: if vm == 3 { f64::NAN } else { n * 7.25 },
        positive,
        negative,
        ..Histogram::default()
    }
}

/// Of one machine with other bounds.
fn custom(at: i64, vm: i64) -> Histogram {
    let n = (at % 19 + 1) as f64;
    let custom_bounds = if vm == 2 { vec![-1.0, 1.0, 5.0] } else { vec![0.5, 1.0, 2.0, 5.0] };
    let positive: Vec<(i32, f64)> =
        (0..=custom_bounds.len() as i32).map(|index| (index, n * f64::from(index + 1))).collect();
    Histogram {
        schema: CUSTOM_SCHEMA,
        count: positive.iter().map(|(_, count)| count).sum(),
        sum: n * 3.5,
        positive,
        custom_bounds,
        ..Histogram::default()
    }
}

const METRICS: [&str; 8] =
    ["gauge", "plain", "count_total", "native", "native_gauge", "custom", "mixed", "classic_bucket"];
const SCALARS: [&str; 9] = ["0.5", "0", "1", "2", "-1", "3.7", "NaN", "Inf", "-Inf"];

/// Whose order is no part of an answer by time, whose texts or times are those of the query, or which read `info`.
const APART: [&str; 12] = [
    "sort",
    "sort_desc",
    "sort_by_label",
    "sort_by_label_desc",
    "info",
    "label_join",
    "label_replace",
    "time",
    "start",
    "end",
    "step",
    "range",
];

fn calls() -> Vec<String> {
    let mut queries = Vec::new();
    for function in FUNCTIONS.iter().filter(|f| !APART.contains(&f.name)) {
        let (fewest, most) = function.arity();
        let types: Vec<ValueType> = (0..most.unwrap_or(fewest)).filter_map(|at| function.arg(at)).collect();
        let inner: &[&str] =
            if types.iter().any(|t| matches!(t, ValueType::Vector | ValueType::Matrix)) { &METRICS } else { &[""] };
        for metric in inner {
            for scalar in SCALARS.iter().take(if types.contains(&ValueType::Scalar) { 9 } else { 1 }) {
                let arg = |(at, value_type): (usize, &ValueType)| match value_type {
                    ValueType::Vector => (*metric).to_owned(),
                    ValueType::Matrix => format!("{metric}[4m]"),
                    ValueType::String => "\"q\"".to_owned(),
                    ValueType::Scalar if at == 0 => "0.25".to_owned(),
                    ValueType::Scalar => (*scalar).to_owned(),
                };
                for count in [fewest, types.len().min(fewest + 1)] {
                    let args: Vec<String> = types.iter().take(count).enumerate().map(arg).collect();
                    queries.push(format!("{}({})", function.name, args.join(", ")));
                }
            }
            if types.first() == Some(&ValueType::Scalar) && types.len() > 1 {
                queries.extend(SCALARS.iter().map(|scalar| {
                    let rest =
                        if types[1] == ValueType::Matrix { format!("{metric}[4m]") } else { (*metric).to_owned() };
                    match types.len() {
                        3 => format!("{}({scalar}, 2, {rest})", function.name),
                        _ => format!("{}({scalar}, {rest})", function.name),
                    }
                }));
            }
        }
    }
    queries
}

fn aggregations() -> Vec<String> {
    let mut queries = Vec::new();
    for metric in METRICS {
        for grouping in ["", "by (pair) ", "without (vm, le) "] {
            for op in ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"] {
                queries.push(format!("{op} {grouping}({metric})"));
            }
            for scalar in SCALARS {
                for op in ["topk", "bottomk", "limitk", "limit_ratio", "quantile"] {
                    queries.push(format!("{op} {grouping}({scalar}, {metric})"));
                }
            }
            queries.push(format!("count_values {grouping}(\"v\", {metric})"));
        }
        queries.push(format!("quantile(scalar(plain{{vm=\"vm-1\"}}) / 20, {metric})"));
        queries.push(format!("topk(scalar(plain{{vm=\"vm-1\"}}) / 20, {metric})"));
        queries.push(format!("histogram_quantile(0.9, sum by (le, pair) (rate({metric}[4m])))"));
        queries.push(format!("histogram_quantiles({metric}, \"q\", -0, 0, scalar(plain{{vm=\"vm-1\"}}) / 40)"));
        queries.push(format!("histogram_fraction(0, 2, sum without (vm) ({metric}))"));
    }
    queries
}

fn operators() -> Vec<String> {
    let mut queries = Vec::new();
    let ops =
        ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "== bool", "> bool", "</", ">/"];
    for op in ops {
        for metric in METRICS {
            for scalar in ["2", "0", "-1.5", "NaN", "Inf"] {
                queries.push(format!("{metric} {op} {scalar}"));
                queries.push(format!("{scalar} {op} {metric}"));
            }
            for other in METRICS {
                queries.push(format!("{metric} {op} on (vm, le) {other}"));
            }
        }
    }
    for metric in METRICS {
        queries.extend(["and", "or", "unless"].map(|op| format!("{metric} {op} on (vm) mixed")));
        queries.extend(["-", "+"].map(|op| format!("{op}{metric}")));
        queries.extend(["anchored", "smoothed"].iter().flat_map(|how| {
            ["rate", "increase", "delta", "resets", "changes"].map(|f| format!("{f}({metric}[4m] {how})"))
        }));
        queries.push(format!("{metric} smoothed"));
        queries.push(format!("max_over_time(rate({metric}[2m])[4m:1m])"));
    }
    queries
}

async fn all_as(more_features: &str, delayed_name_removal: bool) {
    let dir = tempfile::tempdir().unwrap();
    let Some(peer) = Prometheus::new(dir.path(), more_features).await else { return };
    let start = start();
    let memory = data(start);
    peer.write(&memory).await;
    let options = Options { delayed_name_removal, ..Options::default() };
    let queries: Vec<String> = [calls(), aggregations(), operators()].concat();
    let (mut answered, mut wrong) = (0, Vec::new());
    for text in queries.iter().filter(|text| lynceus_promql::parse(text).is_ok()) {
        match compare(&peer, text, &memory, (start + 600_777, start + 1_500_777), &options, true).await {
            Ok(some) => answered += some,
            Err(reason) => wrong.push(reason),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), queries.len(), wrong.join("\n"));
    assert!(answered > queries.len(), "{answered} answers to {} queries have samples", queries.len());
}

#[tokio::test]
async fn all_of_the_language_gives_what_prometheus_3_gives() {
    all_as("", false).await;
}

#[tokio::test]
async fn all_of_the_language_gives_it_with_names_dropped_late() {
    all_as(",promql-delayed-name-removal", true).await;
}
