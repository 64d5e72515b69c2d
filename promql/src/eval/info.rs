//! `info`: adds the labels of the info series (`target_info` unless told) that have the same `instance` and `job`.

use std::collections::{BTreeMap, BTreeSet};

use super::column::{Collector, SampleValue, Vector};
use super::error::EvalError;
use super::time::Grid;
use super::{Evaluator, bare};
use crate::ast::{Expr, Matcher, MatcherOp, VectorSelector};
use crate::labels::Labels;
use crate::printer::escape_regex;
use crate::storage::SeriesMatcher;

/// Labels that say which target a series is of.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

impl Evaluator<'_> {
    pub(super) fn info(&mut self, arg: &Expr, wanted: Option<&Expr>, grid: &Grid) -> Result<Vector, EvalError> {
        let base = self.vector(arg, grid)?;
        let mut wanted_matchers: Vec<SeriesMatcher> = Vec::new();
        if let Some(Expr::Vector(selector)) = wanted.map(bare) {
            let name = selector.name.as_ref().map(|name| Matcher::new("__name__", MatcherOp::Equal, name));
            for matcher in name.iter().chain(&selector.matchers) {
                wanted_matchers.push(SeriesMatcher::new(matcher)?);
            }
        }
        let (names, data): (Vec<_>, Vec<_>) = wanted_matchers.into_iter().partition(|m| m.matcher.name == "__name__");
        // What the second argument calls an info series is not itself enriched. Where it only says what is none, those
        // are meant whose names end as those of info series do, and all of the first argument are enriched.
        let says_which = names.iter().any(|m| matches!(m.matcher.op, MatcherOp::Equal | MatcherOp::Regex));
        let default = match (says_which, names.is_empty()) {
            (true, _) => None,
            (false, true) => Some(Matcher::new("__name__", MatcherOp::Equal, "target_info")),
            (false, false) => Some(Matcher::new("__name__", MatcherOp::Regex, ".+_info")),
        };
        let own = match (wanted, says_which) {
            (None, _) => vec![SeriesMatcher::new(&Matcher::new("__name__", MatcherOp::Equal, "target_info"))?],
            (Some(_), true) => names.clone(),
            (Some(_), false) => Vec::new(),
        };
        let is_info = |labels: &Labels| !own.is_empty() && own.iter().all(|m| m.matches(labels.metric_name()));
        let named = names.iter().chain(&data).map(|m| m.matcher.clone()).chain(default).collect();
        let infos = self.info_series(arg, &base, named, &is_info, grid)?;

        let mut out = Collector::new(grid.steps);
        for step in 0..grid.steps {
            let found = newest(&infos, step)?;
            for row in &base {
                let Some(cell) = row.column.get(step) else { continue };
                let labels =
                    if is_info(&row.labels) { Some(row.labels.clone()) } else { enriched(&row.labels, &found, &data)? };
                if let Some(labels) = labels {
                    let place = out.row(&labels);
                    out.put(place, step, cell.to_out(), row.drop_name)?;
                }
            }
        }
        Ok(out.finish())
    }

    /// Info series over the grid; a cell is the time of the sample.
    fn info_series(
        &mut self,
        arg: &Expr,
        base: &Vector,
        named: Vec<Matcher>,
        is_info: &dyn Fn(&Labels) -> bool,
        grid: &Grid,
    ) -> Result<Vector, EvalError> {
        let mut matchers: Vec<Matcher> = Vec::new();
        for label in IDENTIFYING {
            let values: BTreeSet<&str> =
                base.iter().filter(|r| !is_info(&r.labels)).map(|r| r.labels.get(label)).collect();
            let patterns: Vec<String> = values.into_iter().filter(|v| !v.is_empty()).map(escape_regex).collect();
            if !patterns.is_empty() {
                matchers.push(Matcher::new(label, MatcherOp::Regex, patterns.join("|")));
            }
        }
        if matchers.is_empty() {
            return Ok(Vector::new());
        }
        matchers.extend(named);
        let span = bare(arg).span();
        let selector = VectorSelector { name: None, matchers, offset: None, at: None, extension: None, span };
        let shift = match self.first_shift(arg)? {
            Some(shift) => shift,
            None => self.shift(None, None)?,
        };
        self.instant_at(&selector, shift, grid, |found| match found.cell {
            SampleValue::Float(_) => Some(super::column::Out::Float(found.time as f64)),
            SampleValue::Histogram(histogram) => Some(super::column::Out::Histogram(histogram.clone())),
        })
    }
}

impl Evaluator<'_> {
    /// Where the first selector of an expression reads, subqueries around it counted in.
    fn first_shift(&self, expr: &Expr) -> Result<Option<super::time::Shift>, EvalError> {
        let first_of = |exprs: &mut dyn Iterator<Item = &Expr>| {
            for expr in exprs {
                if let Some(shift) = self.first_shift(expr)? {
                    return Ok(Some(shift));
                }
            }
            Ok(None)
        };
        match expr {
            Expr::Number(_) | Expr::String(_) => Ok(None),
            Expr::Vector(selector) => self.shift(selector.at, selector.offset.as_ref()).map(Some),
            Expr::Matrix(matrix) => self.shift(matrix.selector.at, matrix.selector.offset.as_ref()).map(Some),
            Expr::Subquery(subquery) => {
                let outer = self.shift(subquery.at, subquery.offset.as_ref())?;
                Ok(self.first_shift(&subquery.expr)?.map(|inner| inner.within(outer)))
            }
            Expr::Call(call) => first_of(&mut call.args.iter()),
            Expr::Aggregate(aggregate) => {
                first_of(&mut aggregate.param.as_deref().into_iter().chain([aggregate.expr.as_ref()]))
            }
            Expr::Binary(binary) => first_of(&mut [binary.lhs.as_ref(), binary.rhs.as_ref()].into_iter()),
            Expr::Unary(unary) => self.first_shift(&unary.expr),
            Expr::Paren(paren) => self.first_shift(&paren.expr),
        }
    }
}

/// The newest info series of each name and target at a step.
type Found<'a> = BTreeMap<(Labels, &'a str), (&'a Labels, i64)>;

fn newest(infos: &Vector, step: usize) -> Result<Found<'_>, EvalError> {
    let mut found: Found<'_> = BTreeMap::new();
    for row in infos {
        let time = match row.column.get(step) {
            None => continue,
            Some(SampleValue::Float(time)) => time as i64,
            Some(SampleValue::Histogram(_)) => return Err(EvalError::InfoHistogram),
        };
        let key = (target(&row.labels), row.labels.metric_name());
        match found.get(&key) {
            Some((_, other)) if *other > time => {}
            Some((labels, other)) if *other == time => {
                return Err(EvalError::InfoDuplicate {
                    first: labels.to_string(),
                    first_time: *other,
                    second: row.labels.to_string(),
                    second_time: time,
                });
            }
            _ => {
                found.insert(key, (&row.labels, time));
            }
        }
    }
    Ok(found)
}

fn target(labels: &Labels) -> Labels {
    labels.retain(|name| IDENTIFYING.contains(&name))
}

/// The labels with those of the info series, or none where an info series was asked for and is not there.
fn enriched(labels: &Labels, found: &Found<'_>, data: &[SeriesMatcher]) -> Result<Option<Labels>, EvalError> {
    let of = target(labels);
    let mut added: BTreeMap<&str, &str> = BTreeMap::new();
    let mut any = false;
    for ((_, _), (info, _)) in found.iter().filter(|((target, _), _)| *target == of) {
        any = true;
        for (name, value) in info.iter().filter(|(name, _)| *name != "__name__") {
            if !data.is_empty() && !data.iter().any(|m| m.matcher.name == name) {
                continue;
            }
            if added.get(name).is_some_and(|other| *other != value) {
                return Err(EvalError::InfoConflict(name.to_owned()));
            }
            if labels.get(name).is_empty() {
                added.insert(name, value);
            }
        }
    }
    if !any && data.iter().any(|m| !m.matches("")) {
        return Ok(None);
    }
    Ok(Some(added.into_iter().fold(labels.clone(), |labels, (name, value)| labels.with(name, value))))
}
