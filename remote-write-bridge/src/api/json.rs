//! Answers as text, number for number as Prometheus writes them.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use lynceus_promql::{Answer, Histogram, Sample, SampleValue, Series, Severity, Value};

/// An answer with data that is JSON already.
pub(super) fn success(data: &str) -> Response {
    let body = format!("{{\"status\":\"success\",\"data\":{data}}}");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The answer to a query, with what else is to be said of it.
pub(super) fn answer(answer: &Answer, query: &str, notes: &[String]) -> Response {
    let mut body = String::from("{\"status\":\"success\",\"data\":{\"resultType\":");
    let (kind, series, is_range) = match &answer.value {
        Value::Scalar(..) => ("scalar", None, false),
        Value::Text(..) => ("string", None, false),
        Value::Vector(series) => ("vector", Some(series), false),
        Value::Matrix(series) => ("matrix", Some(series), true),
    };
    push_text(&mut body, kind);
    body.push_str(",\"result\":");
    match &answer.value {
        Value::Scalar(time, value) => push_pair(&mut body, *time, |out| push_number(out, *value)),
        Value::Text(time, text) => push_pair(&mut body, *time, |out| push_text(out, text)),
        Value::Vector(_) | Value::Matrix(_) => {
            push_list(&mut body, series.into_iter().flatten(), |out, one| push_series(out, one, is_range));
        }
    }
    body.push('}');
    for (name, severity) in [("warnings", Severity::Warning), ("infos", Severity::Info)] {
        let annotations = answer.annotations.iter().filter(|one| one.severity == severity);
        let mut texts: Vec<String> = annotations.map(|one| one.render(query)).collect();
        if severity == Severity::Info {
            texts.extend_from_slice(notes);
        }
        if !texts.is_empty() {
            body.push_str(&format!(",\"{name}\":"));
            push_list(&mut body, texts, |out, text: String| push_text(out, &text));
        }
    }
    body.push('}');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn push_series(out: &mut String, series: &Series, is_range: bool) {
    out.push_str("{\"metric\":");
    push_map(out, series.labels.iter());
    for (one, many, wanted) in [("value", "values", false), ("histogram", "histograms", true)] {
        let is_wanted = |sample: &Sample<'_>| matches!(sample.value, SampleValue::Histogram(_)) == wanted;
        let mut samples = series.samples().filter(is_wanted).peekable();
        if samples.peek().is_none() {
            continue;
        }
        if is_range {
            out.push_str(&format!(",\"{many}\":"));
            push_list(out, samples, push_sample);
        } else {
            out.push_str(&format!(",\"{one}\":"));
            samples.for_each(|sample| push_sample(out, sample));
        }
    }
    out.push('}');
}

fn push_sample(out: &mut String, sample: Sample<'_>) {
    push_pair(out, sample.time, |out| match sample.value {
        SampleValue::Float(value) => push_number(out, value),
        SampleValue::Histogram(histogram) => push_histogram(out, histogram),
    });
}

fn push_pair(out: &mut String, time: i64, value: impl FnOnce(&mut String)) {
    out.push('[');
    push_time(out, time);
    out.push(',');
    value(out);
    out.push(']');
}

fn push_histogram(out: &mut String, histogram: &Histogram) {
    out.push_str("{\"count\":");
    push_number(out, histogram.count);
    out.push_str(",\"sum\":");
    push_number(out, histogram.sum);
    let mut buckets = histogram.all_buckets().into_iter().filter(|bucket| bucket.count != 0.0).peekable();
    if buckets.peek().is_some() {
        out.push_str(",\"buckets\":");
        push_list(out, buckets, |out, bucket| {
            // Which of its bounds belong to it.
            let bounds = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            out.push_str(&format!("[{bounds}"));
            for number in [bucket.lower, bucket.upper, bucket.count] {
                out.push(',');
                push_number(out, number);
            }
            out.push(']');
        });
    }
    out.push('}');
}

pub(super) fn push_list<T>(out: &mut String, items: impl IntoIterator<Item = T>, push: impl Fn(&mut String, T)) {
    out.push('[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

pub(super) fn push_map<'a>(out: &mut String, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    for (place, (name, value)) in pairs.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        push_text(out, value);
    }
    out.push('}');
}

pub(super) fn push_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Seconds, with three digits behind the point unless they are 0.
pub(super) fn push_time(out: &mut String, millis: i64) {
    let (sign, millis) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    out.push_str(sign);
    out.push_str(itoa::Buffer::new().format(millis / 1000));
    if !millis.is_multiple_of(1000) {
        // Writing to a string cannot fail.
        _ = write!(out, ".{:03}", millis % 1000);
    }
}

/// A number as text, since JSON has no infinity.
pub(super) fn push_number(out: &mut String, value: f64) {
    out.push('"');
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0. { "+Inf" } else { "-Inf" });
    } else if value == 0. || (1e-6..1e21).contains(&value.abs()) {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        // It has fewer numbers without exponent than Go.
        match text.contains('e') {
            false => out.push_str(text.strip_suffix(".0").unwrap_or(text)),
            true => _ = write!(out, "{value}"),
        }
    } else {
        let text = format!("{value:e}");
        // Go writes the sign of an exponent always.
        out.push_str(&if text.contains("e-") { text } else { text.replace('e', "e+") });
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_as_go_writes_them() {
        let text = |value: f64| {
            let mut out = String::new();
            push_number(&mut out, value);
            out
        };
        let cases = [
            (0., "0"),
            (-0., "-0"),
            (1.5, "1.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.25e300, "-1.25e+300"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-7"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), format!("\"{expected}\""));
        }
    }

    proptest! {
        #[test]
        fn any_number_is_written_in_full(value in prop_oneof![any::<f64>(), -1e22..1e22, -1e6..1e6, -1e-4..1e-4]) {
            let mut out = String::new();
            push_number(&mut out, value);
            let text = out.trim_matches('"');
            if value == 0. || (1e-6..1e21).contains(&value.abs()) {
                prop_assert_eq!(text, value.to_string());
            } else if value.is_finite() {
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
            }
        }
    }

    #[test]
    fn times_have_no_empty_fraction() {
        let text = |millis: i64| {
            let mut out = String::new();
            push_time(&mut out, millis);
            out
        };
        assert_eq!([1000, 1001, 1100, -1500, 0].map(text), ["1", "1.001", "1.100", "-1.500", "0"]);
    }
}
