//! Values of a series over the steps of a grid.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::EvalError;
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::storage::{STALE, is_stale};

/// Series with a column each; their order is that of an instant query's answer.
pub(super) type Vector = Vec<Row>;

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) labels: Labels,
    pub(super) column: Column,
    /// The metric's name no longer says what the values are; it is dropped in the end.
    pub(super) drop_name: bool,
}

impl Row {
    pub(super) fn new(labels: Labels, column: Column) -> Row {
        Row { labels, column, drop_name: false }
    }
}

/// One cell for each step. A step without a float holds the stale marker, which is never a result; one with a
/// histogram, too.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) floats: Vec<f64>,
    /// Empty where there is no histogram at all.
    histograms: Vec<Option<Arc<Histogram>>>,
}

/// A value at one time.
#[derive(Clone, Copy, Debug)]
pub enum SampleValue<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// A value that is about to become a cell.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl From<Histogram> for Out {
    fn from(histogram: Histogram) -> Out {
        Out::Histogram(Arc::new(histogram))
    }
}

impl SampleValue<'_> {
    pub(super) fn to_out(self) -> Out {
        match self {
            SampleValue::Float(value) => Out::Float(value),
            SampleValue::Histogram(histogram) => Out::Histogram(Arc::clone(histogram)),
        }
    }
}

impl Column {
    pub(super) fn empty(steps: usize) -> Column {
        Column { floats: vec![STALE; steps], histograms: Vec::new() }
    }

    pub(super) fn from_floats(floats: Vec<f64>) -> Column {
        Column { floats, histograms: Vec::new() }
    }

    pub(super) fn steps(&self) -> usize {
        self.floats.len()
    }

    pub(super) fn get(&self, step: usize) -> Option<SampleValue<'_>> {
        let value = *self.floats.get(step)?;
        if !is_stale(value) {
            return Some(SampleValue::Float(value));
        }
        self.histograms.get(step)?.as_ref().map(SampleValue::Histogram)
    }

    pub(super) fn has(&self, step: usize) -> bool {
        self.get(step).is_some()
    }

    pub(super) fn set(&mut self, step: usize, value: Out) {
        match value {
            Out::Float(value) => {
                if let Some(cell) = self.floats.get_mut(step) {
                    *cell = value;
                }
            }
            Out::Histogram(histogram) => {
                if self.histograms.is_empty() {
                    self.histograms = vec![None; self.floats.len()];
                }
                if let Some(cell) = self.histograms.get_mut(step) {
                    *cell = Some(histogram);
                }
            }
        }
    }

    pub(super) fn clear(&mut self, step: usize) {
        if let Some(cell) = self.floats.get_mut(step) {
            *cell = STALE;
        }
        if let Some(cell) = self.histograms.get_mut(step) {
            *cell = None;
        }
    }

    /// Whether each step has a cell.
    pub(super) fn is_full(&self) -> bool {
        let is_missing = |(step, value): (usize, &f64)| is_stale(*value) && !self.has(step);
        !self.floats.iter().enumerate().any(is_missing)
    }

    /// Its cells, one after the other.
    pub(super) fn without_gaps(mut self) -> Column {
        let kept: Vec<bool> = (0..self.steps()).map(|step| self.has(step)).collect();
        let mut keep = kept.iter().copied();
        self.floats.retain(|_| keep.next() == Some(true));
        let mut keep = kept.iter().copied();
        self.histograms.retain(|_| keep.next() == Some(true));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.floats.iter().all(|v| is_stale(*v)) && self.histograms.iter().all(Option::is_none)
    }

    pub(super) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    pub(super) fn drop_histograms(&mut self) {
        self.histograms.clear();
    }

    pub(super) fn map_floats(&mut self, change: impl Fn(f64) -> f64) {
        for value in self.floats.iter_mut().filter(|v| !is_stale(**v)) {
            *value = change(*value);
        }
    }

    pub(super) fn map_histograms(&mut self, change: impl Fn(&Histogram) -> Option<Histogram>) {
        for cell in &mut self.histograms {
            *cell = cell.as_ref().and_then(|h| change(h)).map(Arc::new);
        }
    }

    /// Its first cell at each of so many steps.
    pub(super) fn repeated(&self, steps: usize) -> Column {
        let histogram = self.histograms.first().cloned().flatten();
        Column {
            floats: vec![self.floats.first().copied().unwrap_or(STALE); steps],
            histograms: if histogram.is_some() { vec![histogram; steps] } else { Vec::new() },
        }
    }

    /// Takes over the other's cells; false where both have one.
    fn absorb(&mut self, other: &Column) -> bool {
        for step in 0..other.steps() {
            if let Some(cell) = other.get(step) {
                if self.has(step) {
                    return false;
                }
                self.set(step, cell.to_out());
            }
        }
        true
    }
}

/// One row for each label set. Rows of the same are merged where `merge` allows it and no step has both.
pub(super) fn merged(vector: Vector, merge: bool) -> Result<Vector, EvalError> {
    let mut index: HashMap<Labels, usize> = HashMap::with_capacity(vector.len());
    let mut out: Vector = Vec::with_capacity(vector.len());
    for row in vector {
        match index.get(&row.labels) {
            None => {
                index.insert(row.labels.clone(), out.len());
                out.push(row);
            }
            Some(&at) => {
                if row.column.is_empty() {
                    continue;
                }
                if out[at].column.is_empty() {
                    out[at] = row;
                } else if !merge || !out[at].column.absorb(&row.column) {
                    return Err(EvalError::SameLabels);
                }
            }
        }
    }
    Ok(out)
}

/// Collects cells by label set, in the order in which the sets come up.
#[derive(Default)]
pub(super) struct Collector {
    index: HashMap<Labels, usize>,
    rows: Vector,
    steps: usize,
}

impl Collector {
    pub(super) fn new(steps: usize) -> Collector {
        Collector { steps, ..Collector::default() }
    }

    /// The row of a label set.
    pub(super) fn row(&mut self, labels: &Labels) -> usize {
        if let Some(&at) = self.index.get(labels) {
            return at;
        }
        let at = self.rows.len();
        self.index.insert(labels.clone(), at);
        self.rows.push(Row::new(labels.clone(), Column::empty(self.steps)));
        at
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn put(&mut self, row: usize, step: usize, value: Out, drop_name: bool) -> Result<(), EvalError> {
        let row = &mut self.rows[row];
        if row.column.has(step) {
            return Err(EvalError::SameLabels);
        }
        row.column.set(step, value);
        row.drop_name |= drop_name;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Vector {
        self.rows.retain(|row| !row.column.is_empty());
        self.rows
    }
}
