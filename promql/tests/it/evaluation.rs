//! The evaluator against Prometheus' own test scripts: each `eval` holds, or stands in `promqltest-ledger.txt` with
//! the reason. As Prometheus' own runner does, each instant query is also asked with `@` at other times, and as the
//! middle step of a range query.

use lynceus_promql::{
    Annotation, Answer, At, Expr, Histogram, Memory, Options, Sample, SampleValue, Series, Severity, Value, parse,
    query, query_range,
};

use crate::notation::Item;
use crate::script::{Command, Eval, Pattern, commands};
use crate::suite::{self, Outcome};

fn options() -> Options<'static> {
    Options { delayed_name_removal: true, start_timestamps: true, max_samples: 1_000_000, ..Options::default() }
}

#[test]
fn every_eval_of_prometheus_scripts_holds_or_stands_in_the_ledger() {
    let Some(scripts) = suite::scripts() else { return };
    let mut outcome = Outcome::default();
    for (name, script) in scripts {
        let mut memory = Memory::new();
        for command in commands(&script) {
            match command {
                Command::Clear => memory = Memory::new(),
                Command::Load { step, series } => load(&mut memory, step, series),
                Command::Unreadable(line, reason) => outcome.add(&name, line, Err(reason)),
                Command::Eval(eval) => {
                    let found = check(&eval, &memory).map_err(|reason| format!("{}\n    {reason}", eval.expr));
                    outcome.add(&name, eval.line, found);
                }
            }
        }
    }
    outcome.check(include_str!("../../promqltest-ledger.txt"));
}

fn load(memory: &mut Memory, step: i64, series: Vec<crate::script::Loaded>) {
    for series in series {
        for (at, item) in series.items.into_iter().enumerate() {
            let time = step * at as i64;
            let start = series.starts.get(at).copied().flatten().map_or(0, |start| time + start);
            match item {
                Item::Nothing => {}
                Item::Float(value) => memory.push_float(&series.labels, time, value, start),
                Item::Histogram(value, _) => memory.push_histogram(&series.labels, time, value, start),
            }
        }
    }
}

fn check(eval: &Eval, memory: &Memory) -> Result<(), String> {
    let expr = match parse(&eval.expr) {
        Ok(expr) => expr,
        // The parser's texts are its own.
        Err(_) if matches!(&eval.fail, Some(Pattern::Any)) => return Ok(()),
        Err(error) => return Err(format!("not parsed: {error}")),
    };
    if eval.is_range {
        let answer = query_range(&expr, eval.times, memory, &options()).map_err(|e| e.to_string());
        let Some(answer) = expected_failure(eval, answer)? else { return Ok(()) };
        annotations(eval, &answer.annotations)?;
        return compare(eval, &answer.value, eval.times, |_| true);
    }
    let time = eval.range_vector.map_or(eval.times.0, |times| times.1);
    instant(eval, &expr, time, memory)?;
    for (expr, time) in at_other_times(&expr, eval.times.0) {
        instant(eval, &expr, time, memory).map_err(|reason| format!("as {expr} at {time}: {reason}"))?;
    }
    Ok(())
}

fn expected_failure(eval: &Eval, answer: Result<Answer, String>) -> Result<Option<Answer>, String> {
    match (answer, &eval.fail) {
        (Ok(answer), None) => Ok(Some(answer)),
        (Ok(_), Some(_)) => Err("expected a failure, found an answer".to_owned()),
        (Err(error), Some(pattern)) if pattern.matches(&error) => Ok(None),
        (Err(error), _) => Err(format!("failed: {error}")),
    }
}

fn instant(eval: &Eval, expr: &Expr, time: i64, memory: &Memory) -> Result<(), String> {
    let answer = query(expr, time, memory, &options()).map_err(|e| e.to_string());
    let Some(answer) = expected_failure(eval, answer)? else { return Ok(()) };
    annotations(eval, &answer.annotations)?;
    let times = eval.range_vector.unwrap_or((time, time, 0));
    compare(eval, &answer.value, times, |_| true)?;
    let of_query = ["start()", "end()", "range()", "step()"].iter().any(|call| eval.expr.contains(call));
    if eval.range_vector.is_some() || eval.text.is_some() || of_query {
        return Ok(());
    }
    let around = (time - 60_000, time + 60_000, 60_000);
    let answer = query_range(expr, around, memory, &options()).map_err(|e| format!("as a range: {e}"))?;
    let Value::Matrix(series) = &answer.value else { return Err("expected a matrix".to_owned()) };
    if eval.ordered {
        return Ok(());
    }
    let here = |sample: &Sample<'_>| sample.time == time;
    let outcome = match (eval.scalar, series.first().and_then(|one| one.samples().find(here))) {
        (Some(_), Some(Sample { value: SampleValue::Float(value), .. })) => {
            compare(eval, &Value::Scalar(time, value), times, here)
        }
        (Some(_), Some(Sample { value: SampleValue::Histogram(_), .. })) => Err("a histogram".to_owned()),
        _ => compare(eval, &answer.value, times, here),
    };
    outcome.map_err(|reason| format!("as a range: {reason}"))
}

/// The same answer has to come at any time when each selector says its own.
fn at_other_times(expr: &Expr, time: i64) -> Vec<(Expr, i64)> {
    const OF_TIME: [&str; 13] = [
        "days_in_month",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "end",
        "hour",
        "minute",
        "month",
        "year",
        "predict_linear",
        "start",
        "time",
        "timestamp",
    ];
    let mut depends = false;
    lynceus_promql::walk(expr, &mut |e| {
        depends |= matches!(e, Expr::Call(call) if OF_TIME.contains(&call.function.name));
    });
    if depends {
        return Vec::new();
    }
    let mut fixed = expr.clone();
    set_at(&mut fixed, time);
    let times = if time == 0 { vec![-1000, 0, 1000] } else { vec![-10 * time, 0, time / 5, time, 10 * time] };
    times.into_iter().map(|time| (fixed.clone(), time)).collect()
}

fn set_at(expr: &mut Expr, time: i64) {
    let at = Some(At::Timestamp(time));
    match expr {
        Expr::Vector(selector) => selector.at = selector.at.or(at),
        Expr::Matrix(matrix) => matrix.selector.at = matrix.selector.at.or(at),
        Expr::Subquery(subquery) => subquery.at = subquery.at.or(at),
        Expr::Call(call) => call.args.iter_mut().for_each(|arg| set_at(arg, time)),
        Expr::Aggregate(aggregate) => {
            set_at(&mut aggregate.expr, time);
            aggregate.param.iter_mut().for_each(|param| set_at(param, time));
        }
        Expr::Binary(binary) => {
            set_at(&mut binary.lhs, time);
            set_at(&mut binary.rhs, time);
        }
        Expr::Unary(unary) => set_at(&mut unary.expr, time),
        Expr::Paren(paren) => set_at(&mut paren.expr, time),
        Expr::Number(_) | Expr::String(_) => {}
    }
}

fn annotations(eval: &Eval, found: &[Annotation]) -> Result<(), String> {
    for (severity, expected, none) in
        [(Severity::Warning, &eval.warn, eval.no_warn), (Severity::Info, &eval.info, eval.no_info)]
    {
        let of_kind = found.iter().filter(|a| a.severity == severity);
        let texts: Vec<String> = of_kind.map(|a| a.render(&eval.expr)).collect();
        if none && !texts.is_empty() {
            return Err(format!("expected no such annotation, found {texts:?}"));
        }
        if expected.is_empty() {
            continue;
        }
        if let Some(missing) = expected.iter().find(|e| !texts.iter().any(|t| e.matches(t))) {
            let missing = match missing {
                Pattern::Any => "any",
                Pattern::Message(text) => text,
                Pattern::Regex(regex) => regex.as_str(),
            };
            return Err(format!("expected annotation {missing}, found {texts:?}"));
        }
        if let Some(extra) = texts.iter().find(|t| !expected.iter().any(|e| e.matches(t))) {
            return Err(format!("unexpected annotation {extra}"));
        }
    }
    Ok(())
}

/// With some of the samples.
fn compare(
    eval: &Eval,
    value: &Value,
    (start, end, step): (i64, i64, i64),
    is_wanted: impl Fn(&Sample<'_>) -> bool,
) -> Result<(), String> {
    match value {
        Value::Text(_, text) => {
            if eval.text.as_ref() == Some(text) {
                Ok(())
            } else {
                Err(format!("found text {text:?}"))
            }
        }
        Value::Scalar(_, found) => match eval.scalar {
            Some(expected) if near(expected, *found) => Ok(()),
            expected => Err(format!("expected scalar {expected:?}, found {found}")),
        },
        Value::Vector(_) | Value::Matrix(_) if eval.scalar.is_some() => {
            Err(format!("expected a scalar, found {value}"))
        }
        Value::Matrix(_) if eval.ordered => Err("expected order of a matrix".to_owned()),
        Value::Vector(series) | Value::Matrix(series) => {
            let sorted = |s: &[Series]| s.windows(2).all(|pair| pair[0].labels <= pair[1].labels);
            if matches!(value, Value::Matrix(_)) && !sorted(series) {
                return Err("expected series ordered by labels".to_owned());
            }
            let wanted = |one: &Series| one.samples().any(|sample| is_wanted(&sample));
            let series: Vec<&Series> = series.iter().filter(|one| wanted(one)).collect();
            for (position, found) in series.iter().enumerate() {
                let samples: Vec<Sample<'_>> = found.samples().filter(&is_wanted).collect();
                let Some(at) = eval.series.iter().position(|(labels, _)| *labels == found.labels) else {
                    return Err(format!("unexpected series in\n{value}"));
                };
                if eval.ordered && at != position {
                    return Err(format!("expected {} at {at}, found it at {position}", found.labels));
                }
                let items = &eval.series[at].1;
                let expected: Vec<(i64, &Item)> = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| (start + step * at as i64, item))
                    .filter(|(_, item)| !matches!(item, Item::Nothing))
                    .collect();
                if expected.len() != samples.len() || expected.iter().any(|(time, _)| *time > end) {
                    return Err(format!("expected {} samples of {}, found\n{value}", expected.len(), found.labels));
                }
                for ((time, item), sample) in expected.iter().zip(&samples) {
                    let same = *time == sample.time
                        && match (item, sample.value) {
                            (Item::Float(a), SampleValue::Float(b)) => near(*a, b),
                            (Item::Histogram(a, hinted), SampleValue::Histogram(b)) => alike(a, b, *hinted),
                            _ => false,
                        };
                    if !same {
                        return Err(format!("expected {item:?} at {time} of {}, found {sample:?}", found.labels));
                    }
                }
            }
            let missing = eval.series.iter().find(|(labels, items)| {
                let any = items.iter().any(|item| !matches!(item, Item::Nothing));
                any && !series.iter().any(|s| s.labels == *labels)
            });
            match missing {
                Some((labels, _)) => Err(format!("expected {labels}, found\n{value}")),
                None => Ok(()),
            }
        }
    }
}

fn alike(a: &Histogram, b: &Histogram, hinted: bool) -> bool {
    let same = |a: &[(i32, f64)], b: &[(i32, f64)]| {
        let filled = |v: &[(i32, f64)]| v.iter().filter(|x| x.1 != 0.0).copied().collect::<Vec<_>>();
        let (a, b) = (filled(a), filled(b));
        a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| x.0 == y.0 && near(x.1, y.1))
    };
    a.schema == b.schema
        && near(a.count, b.count)
        && near(a.sum, b.sum)
        && a.custom_bounds == b.custom_bounds
        && a.zero_threshold == b.zero_threshold
        && near(a.zero_count, b.zero_count)
        && same(&a.positive, &b.positive)
        && same(&a.negative, &b.negative)
        && (!hinted || a.reset_hint == b.reset_hint)
}

/// To one in a million, as Prometheus' own runner.
fn near(a: f64, b: f64) -> bool {
    const EPSILON: f64 = 1e-6;
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (difference, sum) = ((a - b).abs(), a.abs() + b.abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}
