//! Functions of range vectors that buckets answer, without their samples.
//!
//! The storage gives buckets where each window is made of whole ones; what it cannot give so is evaluated on samples, as
//! is every function that is not here.

use std::ops::ControlFlow;

use super::column::{Column, Row, Vector};
use super::error::EvalError;
use super::number::Kahan;
use super::rate::{DELTA, INCREASE, Kind, RATE, Sampled};
use super::select::matchers;
use super::time::Grid;
use super::{Evaluator, bare};
use crate::ast::{Expr, MatrixSelector};
use crate::storage::{Buckets, Columns, Windows};

/// A function with what it reads.
pub(super) struct Summary {
    columns: Columns,
    value: fn(&Window<'_>) -> Option<f64>,
}

/// The buckets of one range: at least one.
pub(super) struct Window<'a> {
    all: &'a Buckets,
    from: usize,
    to: usize,
    /// The range is (start, end].
    start: i64,
    end: i64,
}

impl Summary {
    pub(super) fn of(function: &str) -> Option<Summary> {
        let none = Columns::default();
        let ends = Columns { count: true, first: true, last: true, ..none };
        let counter = Columns { resets: true, ..ends };
        let (columns, value): (_, fn(&Window<'_>) -> Option<f64>) = match function {
            "count_over_time" => (Columns { count: true, ..none }, |w| Some(w.count())),
            "present_over_time" => (none, |_| Some(1.0)),
            "sum_over_time" => (Columns { sum: true, ..none }, |w| Some(w.sum())),
            "avg_over_time" => (Columns { count: true, sum: true, ..none }, |w| Some(w.sum() / w.count())),
            "min_over_time" => (Columns { min: true, ..none }, |w| w.extreme(&w.all.mins, |new, old| new < old)),
            "max_over_time" => (Columns { max: true, ..none }, |w| w.extreme(&w.all.maxs, |new, old| new > old)),
            "first_over_time" => (Columns { first: true, ..none }, |w| w.first(&w.all.firsts)),
            "last_over_time" => (Columns { last: true, ..none }, |w| w.last(&w.all.lasts)),
            "ts_of_first_over_time" => (Columns { first: true, ..none }, |w| w.first(&w.all.first_times).map(seconds)),
            "ts_of_last_over_time" => (Columns { last: true, ..none }, |w| w.last(&w.all.last_times).map(seconds)),
            "rate" => (counter, |w| w.change(RATE)),
            "increase" => (counter, |w| w.change(INCREASE)),
            "delta" => (ends, |w| w.change(DELTA)),
            _ => return None,
        };
        Some(Summary { columns, value })
    }
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

impl Window<'_> {
    fn slice<'a, T>(&self, column: &'a [T]) -> &'a [T] {
        column.get(self.from..self.to).unwrap_or(&[])
    }

    fn count(&self) -> f64 {
        self.slice(&self.all.counts).iter().map(|count| f64::from(*count)).sum()
    }

    fn sum(&self) -> f64 {
        let mut sum = Kahan::default();
        self.slice(&self.all.sums).iter().for_each(|value| sum.add(*value));
        sum.total()
    }

    /// Any number is better than NaN.
    fn extreme(&self, column: &[f64], better: fn(f64, f64) -> bool) -> Option<f64> {
        let choose = |best: f64, new: f64| if better(new, best) || best.is_nan() { new } else { best };
        self.slice(column).iter().copied().reduce(choose)
    }

    fn first<T: Copy>(&self, column: &[T]) -> Option<T> {
        self.slice(column).first().copied()
    }

    fn last<T: Copy>(&self, column: &[T]) -> Option<T> {
        self.slice(column).last().copied()
    }

    fn change(&self, kind: Kind) -> Option<f64> {
        let all = self.all;
        let (first, last) = (self.first(&all.firsts)?, self.last(&all.lasts)?);
        let samples: usize = self.slice(&all.counts).iter().map(|count| *count as usize).sum();
        let gaps = samples.checked_sub(1).filter(|gaps| *gaps > 0)?;
        let mut change = last - first;
        if kind.counter {
            change += self.slice(&all.resets).iter().sum::<f64>();
            let between = self.slice(&all.lasts).iter().zip(self.slice(&all.firsts).iter().skip(1));
            change += between.filter(|(before, now)| now < before).map(|(before, _)| before).sum::<f64>();
        }
        let times = (self.first(&all.first_times)?, self.last(&all.last_times)?);
        let sampled = Sampled { first: times.0, last: times.1, gaps, began: None };
        let range = self.end.saturating_sub(self.start);
        Some(change * sampled.factor(kind, (self.start, self.end), range, (first, change)))
    }
}

impl Evaluator<'_> {
    /// A function of a range selector by buckets; None where that is not possible.
    pub(super) fn summarized(&mut self, name: &str, arg: &Expr, grid: &Grid) -> Result<Option<Vector>, EvalError> {
        let (Some(summary), Expr::Matrix(matrix)) = (Summary::of(name), bare(arg)) else { return Ok(None) };
        let Some(windows) = self.windows(matrix, grid)? else { return Ok(None) };
        self.alive()?;
        let matchers = matchers(&matrix.selector)?;
        let (storage, mut out) = (self.storage, Ok(Some(Vector::new())));
        let mut each = |series: Buckets| {
            // A sum that overflows may have a mean that does not.
            if name == "avg_over_time" && series.sums.iter().any(|sum| sum.is_infinite()) {
                out = Ok(None);
            } else if let Err(error) = self.count_samples(series.ends.len() + windows.steps) {
                out = Err(error);
            } else if let Ok(Some(rows)) = &mut out {
                rows.extend(row(&summary, &windows, series));
            }
            if matches!(out, Ok(Some(_))) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let is_given = storage.summarize(&matchers, &windows, summary.columns, &mut each);
        if !is_given.map_err(EvalError::Storage)? {
            return Ok(None);
        }
        let mut rows = out?;
        rows.iter_mut().for_each(|rows| rows.sort_by(|a, b| a.labels.cmp(&b.labels)));
        Ok(rows)
    }

    fn windows(&self, matrix: &MatrixSelector, grid: &Grid) -> Result<Option<Windows>, EvalError> {
        let selector = &matrix.selector;
        let shift = self.shift(selector.at, selector.offset.as_ref())?;
        let moves = grid.steps == 1 || !shift.is_fixed();
        // Neither borders of ranges nor starts of counters can be seen in a bucket.
        if !moves || selector.extension.is_some() || self.options.start_timestamps {
            return Ok(None);
        }
        let range = self.positive(&matrix.range)?;
        Ok(Some(Windows { end: shift.time(grid.start), step: grid.step, steps: grid.steps, range }))
    }
}

/// The value of each window that has buckets.
fn row(summary: &Summary, windows: &Windows, series: Buckets) -> Option<Row> {
    let (mut from, mut to) = (0, 0);
    let mut column = Column::empty(windows.steps);
    for (step, cell) in column.floats.iter_mut().enumerate() {
        let end = windows.end.saturating_add(windows.step.saturating_mul(step as i64));
        let start = end.saturating_sub(windows.range);
        to += series.ends.get(to..).map_or(0, |rest| rest.iter().take_while(|e| **e <= end).count());
        from += series.ends.get(from..to).map_or(0, |rest| rest.iter().take_while(|e| **e <= start).count());
        if from < to
            && let Some(value) = (summary.value)(&Window { all: &series, from, to, start, end })
        {
            *cell = value;
        }
    }
    (!column.is_empty()).then(|| Row::new(series.labels, column))
}
