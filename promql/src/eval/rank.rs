//! `topk`, `bottomk`, `limitk`, `limit_ratio`: some of a group's series, as they are.

use super::aggregate::groups;
use super::call::{go_max, go_min};
use super::column::{Column, Row, SampleValue, Vector};
use super::error::EvalError;
use super::number::go_number;
use super::time::Grid;
use super::{Evaluator, bare};
use crate::ast::{Aggregate, AggregateOp};
use crate::labels::Labels;

impl Evaluator<'_> {
    pub(super) fn ranked(&mut self, aggregate: &Aggregate, grid: &Grid) -> Result<Vector, EvalError> {
        let param = aggregate.param.as_deref().ok_or(EvalError::Type { expected: "scalar" })?;
        let params = self.scalar(param, grid)?;
        let is_ratio = aggregate.op == AggregateOp::LimitRatio;
        let vector = self.vector(&aggregate.expr, grid)?;
        let limits = if is_ratio { params.clone() } else { counts(&params, vector.len())? };
        if is_ratio {
            self.check_ratios(&params, param)?;
        }
        let groups = groups(&vector, aggregate.grouping.as_ref());
        let mut keep: Vec<Vec<bool>> = vec![Vec::new(); vector.len()];
        // Of an instant query the order is part of the answer.
        let mut order: Vec<usize> = Vec::with_capacity(vector.len());
        for (_, members) in &groups {
            self.alive()?;
            for step in 0..grid.steps {
                let present = members.iter().copied().filter(|at| vector[*at].column.has(step));
                let chosen = match aggregate.op {
                    AggregateOp::Limitk => present.take(limits[step] as usize).collect(),
                    AggregateOp::LimitRatio => {
                        let ratio = limits[step].clamp(-1.0, 1.0);
                        present.filter(|at| is_sampled(ratio, &vector[*at].labels)).collect()
                    }
                    op => self.best(op, &vector, members, step, limits[step] as usize, aggregate),
                };
                for at in chosen {
                    if keep[at].is_empty() {
                        keep[at] = vec![false; grid.steps];
                        order.push(at);
                    }
                    keep[at][step] = true;
                }
            }
        }
        let mut rows: Vec<Option<Row>> = vector.into_iter().map(Some).collect();
        let mut out = Vector::with_capacity(order.len());
        for at in order {
            let Some(mut row) = rows[at].take() else { continue };
            let mut column = Column::empty(grid.steps);
            for step in (0..grid.steps).filter(|step| keep[at][*step]) {
                if let Some(cell) = row.column.get(step) {
                    column.set(step, cell.to_out());
                }
            }
            row.column = column;
            out.push(row);
        }
        Ok(out)
    }

    /// The `count` floats that are largest or smallest, best first, NaN last. Which of equals are taken is up to the heap
    /// that Prometheus keeps them in.
    fn best(
        &mut self,
        op: AggregateOp,
        vector: &Vector,
        members: &[usize],
        step: usize,
        count: usize,
        aggregate: &Aggregate,
    ) -> Vec<usize> {
        if count == 0 {
            return Vec::new();
        }
        let mut best = Best { largest: op == AggregateOp::Topk, count, heap: Vec::with_capacity(count) };
        let mut has_histograms = false;
        for at in members {
            match vector[*at].column.get(step) {
                None => {}
                Some(SampleValue::Float(value)) => best.add((value, *at)),
                Some(SampleValue::Histogram(_)) => has_histograms = true,
            }
        }
        if has_histograms {
            self.annotations.ignored_in_aggregation(aggregate.span, op.as_str());
        }
        best.sorted()
    }

    fn check_ratios(&mut self, ratios: &[f64], param: &crate::ast::Expr) -> Result<(), EvalError> {
        if ratios.iter().any(|ratio| ratio.is_nan()) {
            return Err(EvalError::NanRatio);
        }
        let (largest, smallest) = (largest(ratios), smallest(ratios));
        for (found, is_beyond, capped) in [(largest, largest > 1.0, 1), (smallest, smallest < -1.0, -1)] {
            if is_beyond {
                let text = "ratio value should be between -1 and 1";
                let message = format!("{text}, got {}, capping to {capped}", go_number(found));
                self.annotations.warn(bare(param).span(), message);
            }
        }
        Ok(())
    }
}

/// A heap with the worst on top, as Go's `container/heap` keeps it.
struct Best {
    largest: bool,
    count: usize,
    /// Values, and places in the vector.
    heap: Vec<(f64, usize)>,
}

impl Best {
    /// NaN is worse than all, itself too.
    fn is_worse(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.heap[a].0, self.heap[b].0);
        a.is_nan() || if self.largest { a < b } else { a > b }
    }

    fn add(&mut self, new: (f64, usize)) {
        if self.heap.len() < self.count {
            self.heap.push(new);
            return self.rise();
        }
        let worst = self.heap[0].0;
        let is_better = if self.largest { worst < new.0 } else { worst > new.0 };
        if is_better || (worst.is_nan() && !new.0.is_nan()) {
            self.heap[0] = new;
            self.sink();
        }
    }

    /// The last one, to its place.
    fn rise(&mut self) {
        let mut at = self.heap.len() - 1;
        while at > 0 && self.is_worse(at, (at - 1) / 2) {
            self.heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    /// The first one, to its place.
    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.heap.len() {
                return;
            }
            let worse = if right < self.heap.len() && self.is_worse(right, left) { right } else { left };
            if !self.is_worse(worse, at) {
                return;
            }
            self.heap.swap(at, worse);
            at = worse;
        }
    }

    /// Best first; of equals in the order of the heap.
    fn sorted(mut self) -> Vec<usize> {
        let largest = self.largest;
        self.heap.sort_by(|(a, _), (b, _)| {
            let ascending = a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
            a.is_nan().cmp(&b.is_nan()).then(if largest { ascending.reverse() } else { ascending })
        });
        self.heap.into_iter().map(|(_, at)| at).collect()
    }
}

/// NaN is none, unless an infinity is.
pub(super) fn largest(params: &[f64]) -> f64 {
    params.iter().copied().fold(f64::NEG_INFINITY, go_max)
}

pub(super) fn smallest(params: &[f64]) -> f64 {
    params.iter().copied().fold(f64::INFINITY, go_min)
}

/// Parameters as numbers of series, at most all of them.
fn counts(params: &[f64], all: usize) -> Result<Vec<f64>, EvalError> {
    // The doubles next to the limits of 64 bits.
    const LIMIT: f64 = 9_223_372_036_854_775_807.0;
    // Nothing is taken at any step: it does not matter how little that is.
    if params.iter().all(|param| *param < 1.0) {
        return Ok(vec![0.0; params.len()]);
    }
    if params.iter().any(|param| param.is_nan()) {
        return Err(EvalError::NanParameter);
    }
    let (smallest, largest) = (smallest(params), largest(params));
    if smallest <= -LIMIT {
        return Err(EvalError::ParameterUnderflow(smallest));
    }
    if largest >= LIMIT {
        return Err(EvalError::ParameterOverflow(largest));
    }
    Ok(params.iter().map(|param| param.trunc().clamp(0.0, all as f64)).collect())
}

/// A positive ratio takes the series whose hash is in the lower part of all hashes, a negative one those in the upper
/// part, so that `r` and `r - 1` have each series once.
fn is_sampled(ratio: f64, labels: &Labels) -> bool {
    let offset = hash(labels) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio }
}

/// xxHash (64 bits, seed 0) of what Prometheus' default build keeps labels in: each name and value behind its length,
/// one byte, or 0xff and three bytes from 255 on.
fn hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(256);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        let length = (text.len() as u32).to_le_bytes();
        if text.len() < 255 {
            bytes.push(length[0]);
        } else {
            bytes.push(0xff);
            bytes.extend_from_slice(&length[..3]);
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0)
}
