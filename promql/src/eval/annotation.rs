use std::collections::BTreeMap;

use super::number::go_number;
use crate::literal::quote;
use crate::span::Span;

/// What the reader of an answer should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    pub severity: Severity,
    /// As Prometheus words it, without the place.
    pub message: String,
    /// Where in the query the cause is.
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Info,
    Warning,
}

impl Annotation {
    /// With line and column of the query's text, as Prometheus' API gives it.
    pub fn render(&self, query: &str) -> String {
        let before = query.get(..self.span.start as usize).unwrap_or(query);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        format!("{} ({}:{})", self.message, before.matches('\n').count() + 1, before.len() - line_start + 1)
    }
}

/// Annotations of one evaluation, each text once.
#[derive(Default)]
pub(super) struct Annotations {
    by_message: BTreeMap<String, (Severity, Span)>,
    forced: BTreeMap<String, Forced>,
}

/// Steps at which the buckets of a classic histogram had to be made monotonic.
struct Forced {
    span: Span,
    samples: usize,
    times: (i64, i64),
    buckets: (f64, f64),
    difference: f64,
}

impl Annotations {
    pub(super) fn warn(&mut self, span: Span, text: impl AsRef<str>) {
        self.by_message.insert(format!("PromQL warning: {}", text.as_ref()), (Severity::Warning, span));
    }

    pub(super) fn info(&mut self, span: Span, text: impl AsRef<str>) {
        self.by_message.insert(format!("PromQL info: {}", text.as_ref()), (Severity::Info, span));
    }

    pub(super) fn mixed_range(&mut self, span: Span, metric: &str) {
        self.warn(span, format!("encountered a mix of histograms and floats for metric name {}", quote(metric)));
    }

    pub(super) fn mixed_schemas(&mut self, span: Span, metric: &str) {
        let text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
        self.warn(span, format!("{text} {}", quote(metric)));
    }

    pub(super) fn not_counter(&mut self, span: Span, metric: &str) {
        self.warn(span, format!("this native histogram metric is not a counter: {}", quote(metric)));
    }

    pub(super) fn not_gauge(&mut self, span: Span, metric: &str) {
        self.warn(span, format!("this native histogram metric is not a gauge: {}", quote(metric)));
    }

    pub(super) fn ignored_in_range(&mut self, span: Span, metric: &str) {
        let text = "ignored histograms in a range containing both floats and histograms for metric name";
        self.info(span, format!("{text} {}", quote(metric)));
    }

    pub(super) fn ignored_in_aggregation(&mut self, span: Span, aggregation: &str) {
        self.info(span, format!("ignored histogram in {aggregation} aggregation"));
    }

    /// `operation` is `addition`, `subtraction` or `aggregation`.
    pub(super) fn reconciled(&mut self, span: Span, operation: &str) {
        self.info(span, format!("mismatched custom buckets were reconciled during {operation}"));
    }

    pub(super) fn hint_collision(&mut self, span: Span, operation: &str) {
        self.warn(span, format!("conflicting counter resets during histogram {operation}"));
    }

    pub(super) fn quantile_out_of_range(&mut self, span: Span, q: f64) {
        self.warn(span, format!("quantile value should be between 0 and 1, got {}", go_number(q)));
    }

    pub(super) fn integral_strategy(&mut self, span: Span, found: f64) {
        let text = "strategy should be 0, 1, or 2 (default), using 2, got";
        self.warn(span, format!("{text} {}", go_number(found)));
    }

    pub(super) fn start_overlap(&mut self, span: Span, metric: &str) {
        let text = "sample has start time that overlaps with previous sample timestamp for metric";
        self.warn(span, format!("{text} {}", quote(metric)));
    }

    pub(super) fn forced_monotonic(
        &mut self,
        span: Span,
        metric: &str,
        time: i64,
        (lower, upper, difference): (f64, f64, f64),
    ) {
        let new = || Forced { span, samples: 0, times: (time, time), buckets: (lower, upper), difference };
        let forced = self.forced.entry(metric.to_owned()).or_insert_with(new);
        forced.samples += 1;
        forced.times = (forced.times.0.min(time), forced.times.1.max(time));
        forced.buckets = (forced.buckets.0.min(lower), forced.buckets.1.max(upper));
        forced.difference = forced.difference.max(difference);
    }

    pub(super) fn finish(mut self) -> Vec<Annotation> {
        for (metric, forced) in std::mem::take(&mut self.forced) {
            let of = if metric.is_empty() { String::new() } else { format!(" for metric name {}", quote(&metric)) };
            let (lower, upper) = (go_number(forced.buckets.0), go_number(forced.buckets.1));
            let (difference, samples) = (go_number(forced.difference), forced.samples);
            let (first, last) = (super::date::rfc3339(forced.times.0), super::date::rfc3339(forced.times.1));
            let text = "input to histogram_quantile needed to be fixed for monotonicity (see \
                        https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
            let place = format!("from buckets {lower} to {upper}, with a max diff of {difference}");
            self.info(forced.span, format!("{text}{of}, {place}, over {samples} samples from {first} to {last}"));
        }
        let annotation = |(message, (severity, span))| Annotation { severity, message, span };
        self.by_message.into_iter().map(annotation).collect()
    }
}

/// ` for metric name "x"`, or nothing for no name.
pub(super) fn for_metric(metric: &str) -> String {
    if metric.is_empty() { String::new() } else { format!(" for metric name {}", quote(metric)) }
}
