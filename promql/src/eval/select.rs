//! Selectors: the samples of an instant, and of ranges.

use std::sync::Arc;

use super::answer::Series;
use super::column::{Column, Out, Row, SampleValue, Vector};
use super::error::EvalError;
use super::time::{Grid, Shift};
use super::{Evaluator, ResetHints, bare};
use crate::ast::{Expr, Extension, Matcher, MatcherOp, Subquery, VectorSelector};
use crate::histogram::{Histogram, ResetHint};
use crate::labels::Labels;
use crate::span::Span;
use crate::storage::{Hints, Points, SeriesMatcher, StoredSeries, is_stale};

/// A stored sample that an instant selector has found.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) time: i64,
    /// When the sample's counter began; 0 for unknown.
    pub(super) start: i64,
    pub(super) cell: SampleValue<'a>,
}

/// Series with all samples that the ranges of a grid's steps need, no stale marker among them.
pub(super) struct Ranged {
    pub(super) series: Vec<RangedSeries>,
    pub(super) shift: Shift,
    /// Length in milliseconds.
    pub(super) range: i64,
    pub(super) extension: Option<Extension>,
}

pub(super) struct RangedSeries {
    pub(super) labels: Labels,
    pub(super) data: Arc<StoredSeries>,
}

/// The samples of one range.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) floats: Part<'a, f64>,
    pub(super) histograms: Part<'a, Arc<Histogram>>,
    /// The range is left-open: (start, end].
    pub(super) start: i64,
    pub(super) end: i64,
    /// The time of evaluation.
    pub(super) now: i64,
}

/// A stretch of samples of one kind; `starts` is empty where no sample has one.
pub(super) struct Part<'a, T> {
    pub(super) times: &'a [i64],
    pub(super) values: &'a [T],
    pub(super) starts: &'a [i64],
}

// Not derived: that would ask for `T: Copy`.
impl<T> Clone for Part<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Part<'_, T> {}

impl<T> Part<'_, T> {
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub(super) fn start(&self, at: usize) -> i64 {
        self.starts.get(at).copied().unwrap_or(0)
    }
}

/// Moves along ascending times, so that a grid costs one pass.
#[derive(Default)]
pub(super) struct Cursor {
    from: usize,
    to: usize,
}

impl Cursor {
    /// The samples within (after, until].
    pub(super) fn part<'a, T>(&mut self, points: &'a Points<T>, after: i64, until: i64) -> Part<'a, T> {
        while points.times.get(self.to).is_some_and(|t| *t <= until) {
            self.to += 1;
        }
        while self.from < self.to && points.times[self.from] <= after {
            self.from += 1;
        }
        let range = self.from..self.to;
        let starts = points.starts.get(range.clone()).unwrap_or(&[]);
        Part { times: &points.times[range.clone()], values: &points.values[range], starts }
    }
}

impl Evaluator<'_> {
    pub(super) fn instant_selector(&mut self, selector: &VectorSelector, grid: &Grid) -> Result<Vector, EvalError> {
        match selector.extension {
            None => self.instant_with(selector, grid, |found| Some(found.cell.to_out())),
            // An instant has no range whose borders could be treated in another way.
            Some(Extension::Anchored) => self.instant_with(selector, grid, |found| Some(found.cell.to_out())),
            Some(Extension::Smoothed) => self.smoothed(selector, grid),
        }
    }

    /// What `value` makes of the newest sample of each series and step that is not older than the look-back.
    pub(super) fn instant_with(
        &mut self,
        selector: &VectorSelector,
        grid: &Grid,
        value: impl Fn(Found<'_>) -> Option<Out>,
    ) -> Result<Vector, EvalError> {
        let shift = self.shift(selector.at, selector.offset.as_ref())?;
        self.instant_at(selector, shift, grid, value)
    }

    /// As [`instant_with`](Evaluator::instant_with), at times that the selector does not say itself.
    pub(super) fn instant_at(
        &mut self,
        selector: &VectorSelector,
        shift: Shift,
        grid: &Grid,
        value: impl Fn(Found<'_>) -> Option<Out>,
    ) -> Result<Vector, EvalError> {
        let lookback = self.options.lookback;
        let hints = Hints { newest: true, ..hints(grid, &shift, lookback, 0, 0) };
        let mut out = Vector::new();
        for series in self.fetch(selector, &hints)? {
            let mut column = Column::empty(grid.steps);
            let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
            let mut filled = 0;
            for step in 0..grid.steps {
                let now = shift.time(grid.time(step));
                let after = now.saturating_sub(lookback);
                let floats = floats.part(&series.floats, after, now);
                let histograms = histograms.part(&series.histograms, after, now);
                if let Some(value) = newest(floats, histograms).and_then(&value) {
                    column.set(step, value);
                    filled += 1;
                }
            }
            if filled > 0 {
                self.count_samples(grid.steps)?;
                out.push(Row::new(series.labels.clone(), column));
            }
        }
        Ok(out)
    }

    fn smoothed(&mut self, selector: &VectorSelector, grid: &Grid) -> Result<Vector, EvalError> {
        let shift = self.shift(selector.at, selector.offset.as_ref())?;
        let lookback = self.options.lookback;
        let mut out = Vector::new();
        for series in self.fetch(selector, &hints(grid, &shift, lookback, 0, lookback))? {
            let series = without_stale(series);
            let mut column = Column::empty(grid.steps);
            let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
            for step in 0..grid.steps {
                let now = shift.time(grid.time(step));
                let (after, until) = (now.saturating_sub(lookback), now.saturating_add(lookback));
                let floats = floats.part(&series.floats, after, until);
                let histograms = histograms.part(&series.histograms, after, until);
                let value = match (floats.is_empty(), histograms.is_empty()) {
                    (true, true) => None,
                    (false, false) => {
                        self.annotations.mixed_range(selector.span, series.labels.metric_name());
                        None
                    }
                    (false, true) => super::rate::float_at(&floats, now).map(Out::Float),
                    (true, false) => {
                        let metric = series.labels.metric_name();
                        super::rate::histogram_at(&histograms, now, selector.span, metric, &mut self.annotations)
                            .map(Out::from)
                    }
                };
                if let Some(value) = value {
                    column.set(step, value);
                }
            }
            if !column.is_empty() {
                self.count_samples(grid.steps)?;
                out.push(Row::new(series.labels.clone(), column));
            }
        }
        Ok(out)
    }

    /// The samples for the ranges of a matrix selector or a subquery.
    pub(super) fn ranged(&mut self, expr: &Expr, grid: &Grid) -> Result<Ranged, EvalError> {
        match bare(expr) {
            Expr::Matrix(matrix) => {
                let selector = &matrix.selector;
                let shift = self.shift(selector.at, selector.offset.as_ref())?;
                let range = self.positive(&matrix.range)?;
                let (before, after) = self.margins(selector.extension);
                let hints = hints(grid, &shift, range + before, range, after);
                let fetched = self.fetch(selector, &hints)?;
                let mut series = Vec::with_capacity(fetched.len());
                for stored in fetched {
                    let read = |times: &[i64]| {
                        times.partition_point(|t| *t <= hints.end) - times.partition_point(|t| *t < hints.start)
                    };
                    self.count_samples(read(&stored.floats.times) + read(&stored.histograms.times))?;
                    series.push(RangedSeries { labels: stored.labels.clone(), data: without_stale(stored) });
                }
                Ok(Ranged { series, shift, range, extension: selector.extension })
            }
            Expr::Subquery(subquery) => self.subquery(subquery, grid),
            _ => Err(EvalError::Type { expected: "range vector" }),
        }
    }

    /// How far beyond a range its borders look.
    pub(super) fn margins(&self, extension: Option<Extension>) -> (i64, i64) {
        match extension {
            None => (0, 0),
            Some(Extension::Anchored) => (self.options.lookback, 0),
            Some(Extension::Smoothed) => (self.options.lookback, self.options.lookback),
        }
    }

    /// Evaluates at all multiples of the subquery's step that fall into one of the grid's ranges.
    fn subquery(&mut self, subquery: &Subquery, grid: &Grid) -> Result<Ranged, EvalError> {
        let shift = self.shift(subquery.at, subquery.offset.as_ref())?;
        let range = self.positive(&subquery.range)?;
        let step = subquery.step.as_ref().map_or(Ok(self.options.subquery_step), |step| self.positive(step))?;
        let after = shift.time(grid.start).saturating_sub(range);
        let end = shift.time(grid.end());
        let start = after.div_euclid(step).saturating_add(1).saturating_mul(step);
        if start > end {
            return Ok(Ranged { series: Vec::new(), shift, range, extension: None });
        }
        let steps = usize::try_from((end - start) / step).map_err(|_| EvalError::TooManySamples)? + 1;
        if steps > self.options.max_samples {
            return Err(EvalError::TooManySamples);
        }
        self.count_samples(steps)?;
        let inner = Grid { start, step, steps };
        let value = self.with_hints(ResetHints::AlwaysAsStored, |this| this.eval(&subquery.expr, &inner))?;
        let rows = match value {
            super::Val::Vector(vector) => vector,
            super::Val::Scalar(values) => vec![Row::new(Labels::default(), Column::from_floats(values))],
            super::Val::Text(_) => return Err(EvalError::Type { expected: "instant vector" }),
        };
        let rows = if self.options.delayed_name_removal { rows } else { super::column::merged(rows, true)? };
        Ok(Ranged {
            series: rows.into_iter().map(|row| as_series(row, &inner)).collect(),
            shift,
            range,
            extension: None,
        })
    }

    fn fetch(&mut self, selector: &VectorSelector, hints: &Hints) -> Result<Vec<Arc<StoredSeries>>, EvalError> {
        let matchers = matchers(selector)?;
        self.alive()?;
        let mut found = self.storage.select(&matchers, hints).map_err(EvalError::Storage)?;
        if self.hints == ResetHints::WorkedOut {
            found.iter_mut().for_each(work_out_hints);
        }
        Ok(found)
    }
}

/// All of a selector, with its name.
pub(super) fn matchers(selector: &VectorSelector) -> Result<Vec<SeriesMatcher>, EvalError> {
    let name = selector.name.as_ref().map(|name| Matcher::new("__name__", MatcherOp::Equal, name));
    let all = name.iter().chain(&selector.matchers).map(SeriesMatcher::new);
    Ok(all.collect::<Result<_, _>>()?)
}

/// What a grid reads, `before` each step's time and `after` it.
pub(super) fn hints(grid: &Grid, shift: &Shift, before: i64, range: i64, after: i64) -> Hints {
    let first = shift.time(grid.start);
    let last = shift.time(grid.end());
    Hints {
        // A sample exactly as old as the look-back or the range is too old.
        start: first.saturating_sub(before).saturating_add(1),
        end: last.saturating_add(after),
        step: if grid.steps == 1 { 0 } else { grid.step },
        window: before.saturating_add(after),
        range,
        newest: false,
    }
}

/// The newer of the last samples of either kind, unless it is a stale marker.
fn newest<'a>(floats: Part<'a, f64>, histograms: Part<'a, Arc<Histogram>>) -> Option<Found<'a>> {
    let float = floats.times.last().zip(floats.values.last());
    let histogram = histograms.times.last().zip(histograms.values.last());
    match (float, histogram) {
        (Some((time, value)), other) if other.is_none_or(|(t, _)| t < time) => {
            let found = Found { time: *time, start: floats.start(floats.len() - 1), cell: SampleValue::Float(*value) };
            (!is_stale(*value)).then_some(found)
        }
        (_, Some((time, value))) => {
            let start = histograms.start(histograms.len() - 1);
            (!value.is_stale()).then_some(Found { time: *time, start, cell: SampleValue::Histogram(value) })
        }
        _ => None,
    }
}

fn work_out_hints(series: &mut Arc<StoredSeries>) {
    let is_unknown = |h: &Arc<Histogram>| h.reset_hint == ResetHint::Unknown;
    if !series.histograms.values.iter().any(is_unknown) {
        return;
    }
    let histograms = &mut Arc::make_mut(series).histograms.values;
    for at in 1..histograms.len() {
        if is_unknown(&histograms[at]) && !histograms[at].is_stale() {
            let reset = histograms[at].is_reset_of(&histograms[at - 1]);
            Arc::make_mut(&mut histograms[at]).reset_hint = if reset { ResetHint::Reset } else { ResetHint::NotReset };
        }
    }
}

fn without_stale(series: Arc<StoredSeries>) -> Arc<StoredSeries> {
    let stale_floats = series.floats.values.iter().any(|v| is_stale(*v));
    let stale_histograms = series.histograms.values.iter().any(|h| h.is_stale());
    if !stale_floats && !stale_histograms {
        return series;
    }
    fn kept<T: Clone>(points: &Points<T>, keep: impl Fn(&T) -> bool) -> Points<T> {
        let mut out = Points::default();
        for (at, value) in points.values.iter().enumerate().filter(|(_, v)| keep(v)) {
            out.push(points.times[at], value.clone(), points.starts.get(at).copied().unwrap_or(0));
        }
        out
    }
    Arc::new(StoredSeries {
        labels: series.labels.clone(),
        floats: kept(&series.floats, |v| !is_stale(*v)),
        histograms: kept(&series.histograms, |h| !h.is_stale()),
    })
}

/// What a subquery has evaluated, as if it had been stored. A hint about a reset would count again at each step that
/// shows the same sample, so the counts have to speak.
fn as_series(row: Row, grid: &Grid) -> RangedSeries {
    let labels = if row.drop_name { row.labels.without_metadata() } else { row.labels };
    let mut data = StoredSeries { labels: labels.clone(), ..StoredSeries::default() };
    for step in 0..grid.steps {
        match row.column.get(step) {
            None => {}
            Some(SampleValue::Float(value)) => data.floats.push(grid.time(step), value, 0),
            Some(SampleValue::Histogram(histogram)) => {
                let mut histogram = Arc::clone(histogram);
                if matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
                    Arc::make_mut(&mut histogram).reset_hint = ResetHint::Unknown;
                }
                data.histograms.push(grid.time(step), histogram, 0);
            }
        }
    }
    RangedSeries { labels, data: Arc::new(data) }
}

impl Ranged {
    /// The window of one series at a step's time; its cursors have to be asked in order of time.
    pub(super) fn window<'a>(
        &self,
        data: &'a StoredSeries,
        cursors: &mut (Cursor, Cursor),
        now: i64,
        (before, after): (i64, i64),
    ) -> Window<'a> {
        let end = self.shift.time(now);
        let start = end.saturating_sub(self.range);
        let (from, until) = (start.saturating_sub(before), end.saturating_add(after));
        Window {
            floats: cursors.0.part(&data.floats, from, until),
            histograms: cursors.1.part(&data.histograms, from, until),
            start,
            end,
            now,
        }
    }

    /// The raw samples, for a range selector at the top of a query.
    pub(super) fn into_answer(self, now: i64) -> Vec<Series> {
        let mut out = Vec::new();
        for series in &self.series {
            let window = self.window(&series.data, &mut (Cursor::default(), Cursor::default()), now, (0, 0));
            let floats = window.floats.times.iter().zip(window.floats.values);
            let floats = floats.map(|(time, value)| (*time, Out::Float(*value)));
            let histograms = window.histograms.times.iter().zip(window.histograms.values);
            let histograms = histograms.map(|(time, value)| (*time, Out::Histogram(Arc::clone(value))));
            let mut samples: Vec<(i64, Out)> = floats.chain(histograms).collect();
            samples.sort_by_key(|(time, _)| *time);
            let times: Arc<[i64]> = samples.iter().map(|(time, _)| *time).collect();
            let mut column = Column::empty(samples.len());
            samples.into_iter().enumerate().for_each(|(at, (_, value))| column.set(at, value));
            if !times.is_empty() {
                out.push(Series::new(series.labels.clone(), times, column));
            }
        }
        out
    }
}

/// The span of the n-th argument, without parentheses around it.
pub(super) fn argument_span(args: &[Expr], at: usize) -> Span {
    args.get(at).map(|arg| bare(arg).span()).unwrap_or_default()
}
