//! Prometheus' own test scripts through remote write, the engine and the bridge's API: each `eval` holds, or stands in
//! `promqltest-ledger.txt` with the reason. The scripts are read by the code that reads them for the evaluator alone.

use lynceus_promql::{Hints, Histogram, Labels, Matcher, MatcherOp, Memory, ResetHint, SeriesMatcher, Storage};
use serde_json::Value;

use crate::notation::Item;
use crate::script::{Command, Eval, Loaded, Pattern, commands};
use crate::suite::{self, Outcome};
use crate::support::{Archive, PROCESSOR, has_tools};
use crate::wire::{self, Series, double, number, packed_doubles, span};

/// The scripts begin in 1970.
const CONFIG: &str = "retention:\n  samples: 21900d\n";

#[tokio::test]
async fn every_eval_of_prometheus_scripts_holds_in_the_archive_or_stands_in_the_ledger() {
    if !has_tools(&["python"]) {
        return;
    }
    let Some(scripts) = suite::scripts() else { return };
    let _processor = PROCESSOR.lock().await;
    let archive = Archive::start_with(CONFIG).await;
    let mut outcome = Outcome::default();
    for (name, script) in scripts {
        let mut data = Data::new(&archive);
        for command in commands(&script) {
            match command {
                Command::Clear => data = Data::new(&archive),
                Command::Load { step, series } => data.load(step, series),
                Command::Unreadable(line, reason) => outcome.add(&name, line, Err(reason)),
                Command::Eval(eval) => {
                    data.write().await;
                    let found = check(&eval, &archive).await;
                    outcome.add(&name, eval.line, found.map_err(|reason| format!("{}\n    {reason}", eval.expr)));
                }
            }
        }
    }
    outcome.check(include_str!("../../promqltest-ledger.txt"));
}

/// What a script has loaded. It is written when something is asked of it, since each writing takes its time.
struct Data<'a> {
    archive: &'a Archive,
    memory: Memory,
    is_written: bool,
    is_new: bool,
}

impl<'a> Data<'a> {
    fn new(archive: &'a Archive) -> Self {
        Self { archive, memory: Memory::new(), is_written: false, is_new: true }
    }

    /// The memory knows which histograms are reset, as the head of Prometheus does that writes them.
    fn load(&mut self, step: i64, series: Vec<Loaded>) {
        self.is_written = false;
        for one in series {
            for (at, item) in one.items.into_iter().enumerate() {
                let time = step * at as i64;
                match item {
                    Item::Nothing => {}
                    Item::Float(value) => self.memory.push_float(&one.labels, time, value, 0),
                    Item::Histogram(value, _) => self.memory.push_histogram(&one.labels, time, value, 0),
                }
            }
        }
    }

    async fn write(&mut self) {
        if self.is_new {
            // The bridge remembers which series are stored; one without samples is in no answer.
            for table in ["samples", "histograms"] {
                self.archive.sql(&format!("TRUNCATE TABLE {table}")).await;
            }
            self.is_new = false;
        }
        if self.is_written {
            return;
        }
        let all = SeriesMatcher::new(&Matcher::new("", MatcherOp::Equal, "")).unwrap();
        let hints = Hints { start: 0, end: i64::MAX, step: 0, window: i64::MAX, range: 0, newest: false };
        let series: Vec<Series> = self.memory.select(&[all], &hints).unwrap().iter().map(|one| sent(one)).collect();
        if !series.is_empty() {
            self.archive.store(&series).await;
        }
        self.is_written = true;
    }
}

fn sent(stored: &lynceus_promql::StoredSeries) -> Series {
    let labels = stored.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let floats = stored.floats.times.iter().zip(&stored.floats.values);
    let histograms = stored.histograms.times.iter().zip(&stored.histograms.values);
    Series {
        labels,
        samples: floats.map(|(time, value)| (*time, value.to_bits())).collect(),
        histograms: histograms.map(|(time, value)| message(value, *time)).collect(),
    }
}

/// With float counts.
fn message(histogram: &Histogram, time: i64) -> wire::Histogram {
    let zigzag = |number: i32| u64::from((number << 1 ^ number >> 31).cast_unsigned());
    let mut fields = vec![double(2, histogram.count), double(3, histogram.sum), number(4, zigzag(histogram.schema))];
    fields.extend([double(5, histogram.zero_threshold), double(7, histogram.zero_count)]);
    for (tag, buckets) in [(8, &histogram.negative), (11, &histogram.positive)] {
        let mut next = 0;
        for (index, _) in buckets {
            fields.push(span(tag, zigzag(index - next), 1));
            next = index + 1;
        }
        let counts: Vec<f64> = buckets.iter().map(|(_, count)| *count).collect();
        fields.push(packed_doubles(tag + 2, &counts));
    }
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    fields.extend([number(14, hint), number(15, time.cast_unsigned()), packed_doubles(16, &histogram.custom_bounds)]);
    fields
}

/// An answer's sample.
#[derive(Debug)]
enum Found {
    Float(f64),
    /// Count, sum, and lower bound, upper bound and count of each bucket that is not empty.
    Histogram(Vec<f64>),
}

async fn check(eval: &Eval, archive: &Archive) -> Result<(), String> {
    let seconds = |millis: i64| (millis as f64 / 1000.).to_string();
    let (start, end, step) = eval.times;
    let mut params = vec![("query", eval.expr.clone()), ("rollups", "false".to_owned())];
    let path = if eval.is_range {
        params.extend([("start", seconds(start)), ("end", seconds(end)), ("step", seconds(step))]);
        "query_range"
    } else {
        params.push(("time", seconds(eval.range_vector.map_or(start, |times| times.1))));
        "query"
    };
    let url = format!("{}/api/v1/{path}", archive.url);
    let body: Value = archive.http.post(url).form(&params).send().await.unwrap().json().await.unwrap();
    match (&eval.fail, body["status"] == "success") {
        (None, true) => {}
        (Some(pattern), false) => {
            let error = body["error"].as_str().unwrap();
            // The parser's texts are its own.
            let is_known = pattern.matches(error) || error.starts_with("invalid parameter \"query\"");
            return if is_known { Ok(()) } else { Err(format!("failed: {error}")) };
        }
        (Some(_), true) => return Err("expected a failure, found an answer".to_owned()),
        (None, false) => return Err(format!("failed: {}", body["error"])),
    }
    for (kind, expected, none) in [("warnings", &eval.warn, eval.no_warn), ("infos", &eval.info, eval.no_info)] {
        let texts: Vec<&str> = body[kind].as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect();
        let is_missing = expected.iter().any(|pattern| !texts.iter().any(|text| pattern.matches(text)));
        let is_extra =
            !expected.is_empty() && texts.iter().any(|text| !expected.iter().any(|p: &Pattern| p.matches(text)));
        if is_missing || is_extra || (none && !texts.is_empty()) {
            return Err(format!("{kind}: {texts:?}"));
        }
    }
    compare(eval, &body["data"])
}

fn compare(eval: &Eval, data: &Value) -> Result<(), String> {
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let wrong = || Err(format!("found {data}"));
    let result = &data["result"];
    match data["resultType"].as_str().unwrap() {
        "string" => return if eval.text.as_deref() == result[1].as_str() { Ok(()) } else { wrong() },
        "scalar" => {
            return if eval.scalar.is_some_and(|expected| near(expected, number(&result[1]))) {
                Ok(())
            } else {
                wrong()
            };
        }
        // A scalar over many times.
        _ if eval.scalar.is_some() => return wrong(),
        _ => {}
    }
    let (start, _, step) = eval.range_vector.unwrap_or(eval.times);
    let mut expected: Vec<(&Labels, Vec<(i64, &Item)>)> = Vec::new();
    for (labels, items) in &eval.series {
        let items = items.iter().enumerate().filter(|(_, item)| !matches!(item, Item::Nothing));
        let items: Vec<_> = items.map(|(at, item)| (start + step * at as i64, item)).collect();
        if !items.is_empty() {
            expected.push((labels, items));
        }
    }
    let found = result.as_array().unwrap();
    if found.len() != expected.len() {
        return wrong();
    }
    for (place, one) in found.iter().enumerate() {
        let pairs = one["metric"].as_object().unwrap().iter();
        let labels = Labels::new(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        let Some(at) = expected.iter().position(|(expected, _)| **expected == labels) else { return wrong() };
        if eval.ordered && at != place {
            return wrong();
        }
        let samples = samples(one);
        let items = &expected[at].1;
        let is_same = |((time, item), (found_time, found)): (&(i64, &Item), &(i64, Found))| {
            time == found_time
                && match (item, found) {
                    (Item::Float(a), Found::Float(b)) => near(*a, *b),
                    (Item::Histogram(a, _), Found::Histogram(b)) => {
                        let a = rendered(a);
                        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(*a, *b))
                    }
                    _ => false,
                }
        };
        if items.len() != samples.len() || !items.iter().zip(&samples).all(is_same) {
            return Err(format!("expected {items:?}, found {samples:?}"));
        }
    }
    Ok(())
}

/// By time, floats and histograms.
fn samples(series: &Value) -> Vec<(i64, Found)> {
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let many = |one: &str, many: &str| -> Vec<Value> {
        series[many].as_array().cloned().unwrap_or_else(|| series.get(one).cloned().into_iter().collect())
    };
    let time = |pair: &Value| (pair[0].as_f64().unwrap() * 1000.).round() as i64;
    let mut all: Vec<(i64, Found)> = Vec::new();
    all.extend(many("value", "values").iter().map(|pair| (time(pair), Found::Float(number(&pair[1])))));
    all.extend(many("histogram", "histograms").iter().map(|pair| {
        let histogram = &pair[1];
        let mut numbers = vec![number(&histogram["count"]), number(&histogram["sum"])];
        for bucket in histogram["buckets"].as_array().into_iter().flatten() {
            numbers.extend([&bucket[1], &bucket[2], &bucket[3]].map(number));
        }
        (time(pair), Found::Histogram(numbers))
    }));
    all.sort_by_key(|(time, _)| *time);
    all
}

/// As the API gives it: a schema is to be seen in bounds only.
fn rendered(histogram: &Histogram) -> Vec<f64> {
    let mut numbers = vec![histogram.count, histogram.sum];
    for bucket in histogram.all_buckets().into_iter().filter(|bucket| bucket.count != 0.) {
        numbers.extend([bucket.lower, bucket.upper, bucket.count]);
    }
    numbers
}

/// To one in a million, as Prometheus' own runner.
fn near(a: f64, b: f64) -> bool {
    let (difference, sum) = ((a - b).abs(), a.abs() + b.abs());
    (a.is_nan() && b.is_nan()) || a == b || (a != 0. && b != 0. && difference / sum.min(f64::MAX) < 1e-6)
}
