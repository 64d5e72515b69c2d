//! Quantiles and fractions of histograms, classic ones (a series for each bucket, with its bound in `le`) and native.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::annotation::for_metric;
use super::column::{Column, Out, Row, SampleValue, Vector};
use super::error::EvalError;
use super::number::go_number;
use super::select::argument_span;
use super::time::Grid;
use super::{Evaluator, Options, bare};
use crate::ast::Expr;
use crate::histogram::NanNote;
use crate::labels::Labels;
use crate::literal::quote;
use crate::span::Span;
use crate::storage::is_stale;

/// The series of a vector that make up one classic histogram: (upper bound, index).
type Buckets = Vec<(f64, usize)>;

/// Bound and cumulative count.
type Counts = Vec<(f64, f64)>;

struct Split {
    classic: Vec<(Labels, Buckets)>,
    /// Rows with native histograms, and the classic one of the same labels.
    native: Vec<(usize, Option<usize>)>,
}

/// What made a classic histogram's counts monotonic: lowest and highest bound, and by how much at most.
type Forced = Option<(f64, f64, f64)>;

impl Evaluator<'_> {
    pub(super) fn histogram_quantile(
        &mut self,
        qs: &[f64],
        arg: &Expr,
        grid: &Grid,
        q_span: Span,
    ) -> Result<Vector, EvalError> {
        let vector = self.vector(arg, grid)?;
        let out = self.quantile_rows(qs, &vector, grid, q_span, bare(arg).span());
        self.renamed(out, true)
    }

    pub(super) fn histogram_quantiles(
        &mut self,
        arg: &Expr,
        label: &Expr,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Vector, EvalError> {
        let label = self.text(label)?;
        let vector = self.vector(arg, grid)?;
        let mut out = Vector::new();
        for (at, arg_of_q) in args.iter().enumerate() {
            let qs = self.scalar(arg_of_q, grid)?;
            let span = argument_span(args, at);
            let vector_span = bare(arg).span();
            for row in self.quantile_rows(&qs, &vector, grid, span, vector_span) {
                // A quantile that changes from step to step is another series at each.
                let mut by_value: Vec<(u64, Column)> = Vec::new();
                for (step, q) in qs.iter().enumerate() {
                    let Some(cell) = row.column.get(step) else { continue };
                    // Both zeros are one.
                    let bits = (q + 0.0).to_bits();
                    let at = by_value.iter().position(|(b, _)| *b == bits).unwrap_or(by_value.len());
                    if at == by_value.len() {
                        self.count_samples(grid.steps)?;
                        by_value.push((bits, Column::empty(grid.steps)));
                    }
                    by_value[at].1.set(step, cell.to_out());
                }
                for (bits, column) in by_value {
                    let labels = row.labels.with(&label, &open_metrics(f64::from_bits(bits)));
                    out.push(Row { labels, column, drop_name: true });
                }
            }
        }
        let out = super::column::merged(out, true)?;
        self.renamed(out, true)
    }

    fn quantile_rows(&mut self, qs: &[f64], vector: &Vector, grid: &Grid, q_span: Span, vector_span: Span) -> Vector {
        for q in qs.iter().filter(|q| q.is_nan() || !(0.0..=1.0).contains(*q)) {
            self.annotations.quantile_out_of_range(q_span, *q);
        }
        self.histogram_rows(
            vector,
            grid,
            vector_span,
            |this, step, histogram, metric| {
                let (value, note) = histogram.quantile(qs[step]);
                let of = for_metric(metric);
                match note {
                    None => {}
                    Some(NanNote::Result) => this.annotations.info(
                        vector_span,
                        format!("input to histogram_quantile has NaN observations, result is NaN{of}"),
                    ),
                    Some(NanNote::Skew) => this.annotations.info(
                        vector_span,
                        format!("input to histogram_quantile has NaN observations, result is skewed higher{of}"),
                    ),
                }
                value
            },
            |this, step, counts, metric| {
                let (value, forced) = bucket_quantile(qs[step], counts);
                if let Some(forced) = forced {
                    this.annotations.forced_monotonic(vector_span, metric, grid.time(step), forced);
                }
                value
            },
        )
    }

    pub(super) fn histogram_fraction(
        &mut self,
        lower: &[f64],
        upper: &[f64],
        arg: &Expr,
        grid: &Grid,
    ) -> Result<Vector, EvalError> {
        let vector = self.vector(arg, grid)?;
        let span = bare(arg).span();
        let out = self.histogram_rows(
            &vector,
            grid,
            span,
            |this, step, histogram, metric| {
                let (value, has_nan) = histogram.fraction(lower[step], upper[step]);
                if has_nan {
                    let text =
                        "input to histogram_fraction has NaN observations, which are excluded from all fractions";
                    this.annotations.info(span, format!("{text}{}", for_metric(metric)));
                }
                value
            },
            |_, step, counts, _| bucket_fraction(lower[step], upper[step], counts),
        );
        self.renamed(out, true)
    }

    fn histogram_rows(
        &mut self,
        vector: &Vector,
        grid: &Grid,
        span: Span,
        native: impl Fn(&mut Self, usize, &crate::histogram::Histogram, &str) -> f64,
        classic: impl Fn(&mut Self, usize, Counts, &str) -> f64,
    ) -> Vector {
        let split = self.split(vector, span);
        let counts = |buckets: &Buckets, step: usize| -> Counts {
            let count = |(bound, at): &(f64, usize)| {
                let value = vector[*at].column.floats.get(step).copied()?;
                (!is_stale(value)).then_some((*bound, value))
            };
            buckets.iter().filter_map(count).collect()
        };
        let mut conflicts = vec![Vec::new(); split.classic.len()];
        let mut out = Vector::new();
        for (at, same) in &split.native {
            let row = &vector[*at];
            let mut column = Column::empty(grid.steps);
            for step in 0..grid.steps {
                let Some(SampleValue::Histogram(histogram)) = row.column.get(step) else { continue };
                let metric = noted_name(&row.labels, self.options);
                if let Some(same) = same.filter(|same| !counts(&split.classic[*same].1, step).is_empty()) {
                    let text = "vector contains a mix of classic and native histograms";
                    self.annotations.warn(span, format!("{text}{}", for_metric(metric)));
                    conflicts[same].push(step);
                    continue;
                }
                let value = native(self, step, histogram, metric);
                column.set(step, Out::Float(value));
            }
            out.push(Row { labels: row.labels.clone(), column, drop_name: true });
        }
        for ((labels, buckets), conflicts) in split.classic.iter().zip(&conflicts) {
            let mut column = Column::empty(grid.steps);
            for step in (0..grid.steps).filter(|step| conflicts.binary_search(step).is_err()) {
                let counts = counts(buckets, step);
                if !counts.is_empty() {
                    let value = classic(self, step, counts, noted_name(labels, self.options));
                    column.set(step, Out::Float(value));
                }
            }
            out.push(Row { labels: labels.clone(), column, drop_name: true });
        }
        out.retain(|row| !row.column.is_empty());
        out
    }

    fn split(&mut self, vector: &Vector, span: Span) -> Split {
        let mut index: HashMap<Labels, usize> = HashMap::new();
        let mut classic: Vec<(Labels, Buckets)> = Vec::new();
        for (at, row) in vector.iter().enumerate() {
            if row.column.floats.iter().all(|v| is_stale(*v)) {
                continue;
            }
            let le = row.labels.get("le");
            let Some(bound) = bound(le) else {
                let of = for_metric(noted_name(&row.labels, self.options));
                let text = "bucket label \"le\" is missing or has a malformed value of";
                self.annotations.warn(span, format!("{text} {}{of}", quote(le)));
                continue;
            };
            let labels = row.labels.retain(|name| name != "le");
            let place = *index.entry(labels).or_insert_with_key(|labels| {
                classic.push((labels.clone(), Vec::new()));
                classic.len() - 1
            });
            classic[place].1.push((bound, at));
        }
        let with_histograms = vector.iter().enumerate().filter(|(_, row)| row.column.has_histograms());
        let native = with_histograms.map(|(at, row)| (at, index.get(&row.labels).copied())).collect();
        Split { classic, native }
    }
}

/// The name that notes have: none where names are dropped at once.
fn noted_name<'a>(labels: &'a Labels, options: &Options<'_>) -> &'a str {
    if options.delayed_name_removal { labels.metric_name() } else { "" }
}

/// What `le` says; no number is too large for it but infinity.
fn bound(le: &str) -> Option<f64> {
    let bound: f64 = le.parse().ok()?;
    let is_too_large = bound.is_infinite() && le.contains(|c: char| c.is_ascii_digit());
    (!bound.is_nan() && !is_too_large).then_some(bound)
}

/// A number as OpenMetrics writes it: with a point.
fn open_metrics(value: f64) -> String {
    let text = go_number(value);
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// Ordered by bound, each once. None without a bucket that has all.
fn ordered(mut counts: Counts) -> Option<Counts> {
    counts.sort_by(|a, b| a.0.total_cmp(&b.0));
    if counts.last()?.0 != f64::INFINITY {
        return None;
    }
    let mut merged: Counts = Vec::with_capacity(counts.len());
    for (bound, count) in counts {
        match merged.last_mut().filter(|last| last.0 == bound) {
            Some(last) => last.1 += count,
            None => merged.push((bound, count)),
        }
    }
    Some(merged)
}

/// Takes away what falls.
fn make_monotonic(merged: &mut Counts) -> Forced {
    let mut forced: Forced = None;
    let mut before = merged[0].1;
    for (bound, count) in merged.iter_mut().skip(1) {
        let difference = before - *count;
        if difference == 0.0 {
            continue;
        }
        // Sums and rates round; that is no reason for a note.
        if difference.abs() <= 1e-12 * (before.abs() + count.abs()).min(f64::MAX) {
            *count = before;
        } else if difference > 0.0 {
            let (low, high, most) = forced.unwrap_or((*bound, *bound, difference));
            forced = Some((low.min(*bound), high.max(*bound), most.max(difference)));
            *count = before;
        } else {
            before = *count;
        }
    }
    forced
}

/// Observations within a bucket are taken to be spread evenly; those of the first one above 0.
fn bucket_quantile(q: f64, counts: Counts) -> (f64, Forced) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    let Some(mut buckets) = ordered(counts) else { return (f64::NAN, None) };
    let forced = make_monotonic(&mut buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].1;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, forced);
    }
    let rank = q * observations;
    // Nothing is known of NaN, so the search goes on.
    let at = buckets[..last].partition_point(|(_, count)| count.partial_cmp(&rank).is_none_or(Ordering::is_lt));
    if at == last {
        return (buckets[last - 1].0, forced);
    }
    let (bound, count) = buckets[at];
    if at == 0 && bound <= 0.0 {
        return (bound, forced);
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    (start + (bound - start) * ((rank - below) / (count - below)), forced)
}

fn bucket_fraction(lower: f64, upper: f64, counts: Counts) -> f64 {
    let Some(buckets) = ordered(counts) else { return f64::NAN };
    let total = buckets.last().map_or(0.0, |b| b.1);
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |value: f64| {
        let mut below = 0.0;
        let mut start = if buckets[0].0 > 0.0 { 0.0 } else { f64::NEG_INFINITY };
        for &(bound, count) in &buckets {
            if start >= value {
                return below;
            }
            if value < bound {
                // Where in an endless bucket they are cannot be known: all are taken to be at its one end.
                let part = match (start.is_infinite(), bound.is_infinite()) {
                    (true, _) => 1.0,
                    (false, true) => 0.0,
                    (false, false) => (value - start) / (bound - start),
                };
                return below + (count - below) * part;
            }
            (start, below) = (bound, count);
        }
        total
    };
    (rank(upper) - rank(lower)) / total
}
