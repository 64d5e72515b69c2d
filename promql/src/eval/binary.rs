//! Operators between scalars and vectors.

use std::collections::HashMap;

use super::annotation::Annotations;
use super::column::{Collector, Column, Out, Row, SampleValue, Vector, merged};
use super::error::EvalError;
use super::matching::{pair, signature};
use super::time::Grid;
use super::{Evaluator, Val};
use crate::ast::{Binary, BinaryOp, MatchOn, Side};
use crate::histogram::ResetHint;
use crate::labels::{Labels, METADATA};
use crate::span::Span;

impl Evaluator<'_> {
    pub(super) fn binary(&mut self, binary: &Binary, grid: &Grid) -> Result<Val, EvalError> {
        let (left, right) = (self.eval(&binary.lhs, grid)?, self.eval(&binary.rhs, grid)?);
        match (left, right) {
            (Val::Scalar(left), Val::Scalar(right)) => {
                Ok(Val::Scalar(left.iter().zip(&right).map(|(a, b)| scalars(binary.op, *a, *b)).collect()))
            }
            (Val::Vector(left), Val::Scalar(right)) => self.with_scalar(binary, left, &right, false).map(Val::Vector),
            (Val::Scalar(left), Val::Vector(right)) => self.with_scalar(binary, right, &left, true).map(Val::Vector),
            (Val::Vector(left), Val::Vector(right)) if binary.op.is_set() => {
                set(binary, left, right, grid).map(Val::Vector)
            }
            (Val::Vector(left), Val::Vector(right)) => self.vectors(binary, left, right, grid).map(Val::Vector),
            (Val::Text(_), _) | (_, Val::Text(_)) => Err(EvalError::Type { expected: "scalar or instant vector" }),
        }
    }

    fn with_scalar(
        &mut self,
        binary: &Binary,
        mut vector: Vector,
        scalar: &[f64],
        swapped: bool,
    ) -> Result<Vector, EvalError> {
        let op = binary.op;
        // Of a step Prometheus tells the last one only.
        let mut notes: Vec<Option<Note>> = vec![None; scalar.len()];
        for row in &mut vector {
            self.alive()?;
            let mut column = Column::empty(scalar.len());
            for (step, scalar) in scalar.iter().enumerate() {
                let Some(cell) = row.column.get(step) else { continue };
                let scalar = SampleValue::Float(*scalar);
                let (left, right) = if swapped { (scalar, cell) } else { (cell, scalar) };
                let (value, note) = element(op, left, right);
                notes[step] = note.or(notes[step]);
                let Some((value, keep)) = value else { continue };
                if binary.return_bool {
                    column.set(step, Out::Float(f64::from(u8::from(keep))));
                } else if keep {
                    // A comparison filters the vector, whichever side it stands on.
                    column.set(step, if op.is_comparison() { cell.to_out() } else { value });
                }
            }
            row.column = column;
            row.drop_name |= changes_meaning(op) || binary.return_bool;
        }
        for note in notes.into_iter().flatten() {
            note.write(op, binary.span, &mut self.annotations);
        }
        vector.retain(|row| !row.column.is_empty());
        self.renamed(vector, true)
    }

    fn vectors(&mut self, binary: &Binary, left: Vector, right: Vector, grid: &Grid) -> Result<Vector, EvalError> {
        let matching = &binary.matching;
        let pairing = pair(&left, &right, matching);
        // The side of which many series may match one stands on the left from here on.
        let swapped = matching.group.as_ref().is_some_and(|group| group.many == Side::Right);
        let (many, one) = if swapped { (&right, &left) } else { (&left, &right) };
        // `group_right` turns the sides round but not the fill values, so `fill_left` fills the side with many there.
        let (fill_many, fill_one) = (matching.fill.left, matching.fill.right);
        let fills = fill_many.is_some() || fill_one.is_some();
        let present = |vector: &Vector, step: usize| vector.iter().any(|row| row.column.has(step));
        // Where a side is empty nothing is matched, so nothing can be a duplicate.
        let matched_steps: Vec<bool> =
            (0..grid.steps).map(|step| fills || (present(many, step) && present(one, step))).collect();
        let mut out = Collector::new(grid.steps);
        // The last one only, by the place of its series.
        let mut notes: Vec<Option<(usize, Note)>> = vec![None; grid.steps];
        for (lefts, rights) in &pairing.groups {
            self.alive()?;
            let (manys, ones) = if swapped { (rights, lefts) } else { (lefts, rights) };
            self.count_samples((manys.len() + 1).saturating_mul(ones.len() + 1))?;
            let mut pairs: Vec<Vec<Option<Pair>>> = vec![vec![None; ones.len() + 1]; manys.len() + 1];
            // Results with the same labels have the same number; where that was last seen.
            let mut numbers: HashMap<Labels, usize> = HashMap::new();
            let mut seen: Vec<Option<usize>> = Vec::new();
            for step in (0..grid.steps).filter(|step| matched_steps[*step]) {
                let mut single = None;
                for (at, &index) in ones.iter().enumerate() {
                    if !one[index].column.has(step) {
                        continue;
                    }
                    if let Some((_, other)) = single.replace((at, index)) {
                        let other: usize = other;
                        let (a, b) = (&one[index].labels, &one[other].labels);
                        return Err(EvalError::ManyToMany {
                            group: signature(a, matching).to_string(),
                            side: if swapped { "left" } else { "right" },
                            first: a.min(b).to_string(),
                            second: a.max(b).to_string(),
                        });
                    }
                }
                let mut matched = 0;
                let mut operate = |many_at: Option<(usize, usize)>,
                                   one_at: Option<(usize, usize)>,
                                   last: &mut Option<(usize, Note)>,
                                   out: &mut Collector|
                 -> Result<(), EvalError> {
                    let (many_cell, drops) = match (many_at, fill_many) {
                        (Some((_, index)), _) => (many[index].column.get(step), many[index].drop_name),
                        (None, fill) => (fill.map(SampleValue::Float), false),
                    };
                    let one_cell = match (one_at, fill_one) {
                        (Some((_, index)), _) => one[index].column.get(step),
                        (None, fill) => fill.map(SampleValue::Float),
                    };
                    let (Some(many_cell), Some(one_cell)) = (many_cell, one_cell) else { return Ok(()) };
                    let (a, b) = if swapped { (one_cell, many_cell) } else { (many_cell, one_cell) };
                    let (value, note) = element(binary.op, a, b);
                    let place = many_at.map_or(usize::MAX, |(_, index)| index);
                    if let Some(note) = note.filter(|_| last.is_none_or(|(before, _)| before <= place)) {
                        *last = Some((place, note));
                    }
                    let Some((value, keep)) = value else { return Ok(()) };
                    let slot = &mut pairs[many_at.map_or(manys.len(), |m| m.0)][one_at.map_or(ones.len(), |o| o.0)];
                    let pair = slot.get_or_insert_with(|| {
                        let of = |at: Option<(usize, usize)>, vector: &Vector| Some(vector[at?.1].labels.clone());
                        let of_group = |labels: &Labels| signature(labels, matching);
                        let (many, one) = match (of(many_at, many), of(one_at, one)) {
                            (Some(many), Some(one)) => (many, one),
                            (Some(many), None) => (many.clone(), of_group(&many)),
                            (None, one) => {
                                let one = one.unwrap_or_default();
                                (of_group(&one), one)
                            }
                        };
                        let labels = result_labels(binary, &many, &one);
                        let next = numbers.len();
                        Pair { number: *numbers.entry(labels.clone()).or_insert(next), labels, row: None }
                    });
                    matched += 1;
                    if matching.group.is_none() {
                        if matched > 1 {
                            return Err(EvalError::ManyToOne);
                        }
                    } else {
                        seen.resize(seen.len().max(pair.number + 1), None);
                        if seen[pair.number].replace(step) == Some(step) {
                            return Err(EvalError::GroupNotUnique);
                        }
                    }
                    let value = match (binary.return_bool, keep) {
                        (true, keep) => Out::Float(f64::from(u8::from(keep))),
                        (false, true) => value,
                        (false, false) => return Ok(()),
                    };
                    let row = *pair.row.get_or_insert_with(|| out.row(&pair.labels));
                    out.put(row, step, value, drops || binary.return_bool)
                };
                for (at, &index) in manys.iter().enumerate() {
                    if many[index].column.has(step) && (single.is_some() || fill_one.is_some()) {
                        operate(Some((at, index)), single, &mut notes[step], &mut out)?;
                    }
                }
                let none_of_many = !manys.iter().any(|index| many[*index].column.has(step));
                if none_of_many && single.is_some() && fill_many.is_some() {
                    operate(None, single, &mut notes[step], &mut out)?;
                }
            }
        }
        for (_, note) in notes.into_iter().flatten() {
            note.write(binary.op, binary.span, &mut self.annotations);
        }
        let out = out.finish();
        self.count_samples(out.len() * grid.steps)?;
        self.renamed(out, false)
    }
}

/// A series of each side, or of one where the other is filled.
#[derive(Clone)]
struct Pair {
    labels: Labels,
    number: usize,
    /// Of the results, once there is one.
    row: Option<usize>,
}

/// The labels of a match: those of the side with many series, by the matching labels where each side has one.
fn result_labels(binary: &Binary, many: &Labels, one: &Labels) -> Labels {
    let matching = &binary.matching;
    let mut labels = many.clone();
    if changes_meaning(binary.op) {
        labels = labels.retain(|name| !METADATA.contains(&name));
    }
    let Some(group) = &matching.group else {
        return match &matching.on {
            Some(MatchOn { ignoring: false, labels: on }) => labels.retain(|name| on.iter().any(|l| l.name == name)),
            Some(MatchOn { ignoring: true, labels: ignored }) => {
                labels.retain(|name| !ignored.iter().any(|l| l.name == name))
            }
            None => labels,
        };
    };
    for label in &group.include {
        labels = labels.with(&label.name, one.get(&label.name));
    }
    labels
}

/// Whether a result is no longer what the metric's name says.
fn changes_meaning(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow | BinaryOp::Atan2
    )
}

fn scalars(op: BinaryOp, a: f64, b: f64) -> f64 {
    match arithmetic(op, a, b) {
        Some(value) => value,
        None => f64::from(u8::from(compare(op, a, b))),
    }
}

fn arithmetic(op: BinaryOp, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        _ => return None,
    })
}

fn compare(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEqual => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEqual => a >= b,
        _ => false,
    }
}

/// What is wrong with a pair.
#[derive(Clone, Copy)]
enum Note {
    /// The operator does not know it; kinds of both sides.
    Kinds(&'static str, &'static str),
    Layout,
    Collision,
    Reconciled,
}

impl Note {
    fn write(self, op: BinaryOp, span: Span, notes: &mut Annotations) {
        let word = op.as_str();
        let operation = if op == BinaryOp::Add { "addition" } else { "subtraction" };
        match self {
            Note::Kinds(a, b) => {
                let text = "incompatible sample types encountered for binary operator";
                notes.info(span, format!("{text} \"{word}\": {a} {word} {b}"));
            }
            Note::Layout => {
                notes.warn(span, format!("incompatible bucket layout encountered for binary operator {word}"));
            }
            Note::Collision => notes.hint_collision(span, operation),
            Note::Reconciled => notes.reconciled(span, operation),
        }
    }
}

/// The value, and whether a comparison holds; none where the operator does not know such a pair.
type Element = (Option<(Out, bool)>, Option<Note>);

fn element(op: BinaryOp, left: SampleValue<'_>, right: SampleValue<'_>) -> Element {
    let known = |value: Out| (Some((value, true)), None);
    let unknown = |a, b| (None, Some(Note::Kinds(a, b)));
    match (left, right) {
        (SampleValue::Float(a), SampleValue::Float(b)) => match arithmetic(op, a, b) {
            Some(value) => known(Out::Float(value)),
            None if op.is_comparison() => (Some((Out::Float(a), compare(op, a, b))), None),
            None => unknown("float", "float"),
        },
        (SampleValue::Float(a), SampleValue::Histogram(h)) => match op {
            BinaryOp::Mul => known(h.scaled(a).compact().into()),
            _ => unknown("float", "histogram"),
        },
        (SampleValue::Histogram(h), SampleValue::Float(b)) => match op {
            BinaryOp::Mul => known(h.scaled(b).compact().into()),
            BinaryOp::Div => known(h.divided(b).compact().into()),
            BinaryOp::TrimUpper | BinaryOp::TrimLower => known(h.trimmed(b, op == BinaryOp::TrimUpper).into()),
            _ => unknown("histogram", "float"),
        },
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => {
            match op {
                BinaryOp::Add | BinaryOp::Sub => {}
                BinaryOp::Equal => return (Some((left.to_out(), a.same_as(b))), None),
                BinaryOp::NotEqual => return (Some((left.to_out(), !a.same_as(b))), None),
                _ => return unknown("histogram", "histogram"),
            }
            let mut value = a.as_ref().clone();
            let combined = if op == BinaryOp::Add { value.add(b) } else { value.sub(b) };
            let Ok(combined) = combined else { return (None, Some(Note::Layout)) };
            if op == BinaryOp::Sub {
                value.reset_hint = ResetHint::Gauge;
            }
            let note = if combined.hint_collision {
                Some(Note::Collision)
            } else {
                combined.bounds_reconciled.then_some(Note::Reconciled)
            };
            (Some((value.compact().into(), true)), note)
        }
    }
}

/// `and`, `or`, `unless`: a series stays or goes at each step by whether the other side has a match there.
fn set(binary: &Binary, mut left: Vector, mut right: Vector, grid: &Grid) -> Result<Vector, EvalError> {
    let pairing = pair(&left, &right, &binary.matching);
    for (lefts, rights) in &pairing.groups {
        // Presence is that before anything is cleared.
        let present = |vector: &Vector, indices: &[usize]| -> Vec<bool> {
            (0..grid.steps).map(|step| indices.iter().any(|at| vector[*at].column.has(step))).collect()
        };
        let (clear, rows, when) = match binary.op {
            BinaryOp::Or => (present(&left, lefts), rights, true),
            BinaryOp::And => (present(&right, rights), lefts, false),
            _ => (present(&right, rights), lefts, true),
        };
        let vector = if binary.op == BinaryOp::Or { &mut right } else { &mut left };
        for &at in rows {
            for step in (0..grid.steps).filter(|step| clear[*step] == when) {
                vector[at].column.clear(step);
            }
        }
    }
    left.retain(|row: &Row| !row.column.is_empty());
    if binary.op != BinaryOp::Or {
        return Ok(left);
    }
    right.retain(|row| !row.column.is_empty());
    left.extend(right);
    // A series that is on the left at some steps and on the right at others is one.
    merged(left, true)
}
