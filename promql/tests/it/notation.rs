//! The notation of series in Prometheus' test scripts: `metric{label="value"} 1+2x3 _ stale {{sum:1 count:2}}`.

use lynceus_promql::{CUSTOM_SCHEMA, Expr, Histogram, Labels, ResetHint, STALE, parse};

#[derive(Clone, Debug)]
pub(crate) enum Item {
    Nothing,
    Float(f64),
    /// And whether its counter reset hint was written.
    Histogram(Histogram, bool),
}

/// A series and its values, one for each step.
pub(crate) fn series(line: &str) -> Result<(Labels, Vec<Item>), String> {
    let (labels, rest) = metric(line)?;
    Ok((labels, items(rest)?))
}

/// The metric at the start of a line, and what follows it.
pub(crate) fn metric(line: &str) -> Result<(Labels, &str), String> {
    let line = line.trim();
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace() || c == '@').unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let (inner, rest) = match rest.strip_prefix('{') {
        Some(inner) => {
            let end = closing_brace(inner).ok_or("expected `}`")?;
            (&inner[..end], &inner[end + 1..])
        }
        None => ("", rest),
    };
    let selector = parse(&format!(r#"{{not_narrow="1",{inner}}}"#)).map_err(|error| error.to_string())?;
    let Expr::Vector(selector) = selector else { return Err("expected a metric".to_owned()) };
    let labels = selector.matchers.into_iter().filter(|m| m.name != "not_narrow").map(|m| (m.name, m.value));
    Ok((
        Labels::new(labels.chain([("__name__".to_owned(), name.to_owned())].into_iter().filter(|n| !n.1.is_empty()))),
        rest,
    ))
}

fn closing_brace(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(q), '\\') if q != '`' => escaped = true,
            (Some(q), _) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '}') => return Some(at),
            (None, _) => {}
        }
    }
    None
}

fn items(mut text: &str) -> Result<Vec<Item>, String> {
    let mut out = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Ok(out);
        }
        // Blanks within a histogram do not end an item.
        let mut end = 0;
        while let Some(c) = text[end..].chars().next().filter(|c| !c.is_whitespace()) {
            end += match text[end..].strip_prefix("{{") {
                Some(inner) => inner.find("}}").ok_or("expected `}}`")? + 4,
                None => c.len_utf8(),
            };
        }
        item(&text[..end], &mut out).map_err(|reason| format!("{}: {reason}", &text[..end]))?;
        text = &text[end..];
    }
}

fn item(text: &str, out: &mut Vec<Item>) -> Result<(), String> {
    let (text, times) = match text.rfind('x').filter(|at| !text[*at..].contains('}')) {
        Some(at) => (&text[..at], Some(text[at + 1..].parse::<usize>().map_err(|e| e.to_string())?)),
        None => (text, None),
    };
    if text == "_" {
        out.extend(std::iter::repeat_n(Item::Nothing, times.unwrap_or(1)));
        return Ok(());
    }
    let count = times.map_or(1, |times| times + 1);
    if text == "stale" {
        out.extend(std::iter::repeat_n(Item::Float(STALE), count));
        return Ok(());
    }
    if let Some(rest) = text.strip_prefix("{{") {
        let (first, rest) = rest.split_once("}}").ok_or("expected `}}`")?;
        let (mut value, hinted) = histogram(first)?;
        let step = match rest.get(..1) {
            None => None,
            Some(sign) => {
                let inner = rest[1..].strip_prefix("{{").and_then(|r| r.strip_suffix("}}")).ok_or("expected `{{`")?;
                Some((histogram(inner)?.0, if sign == "-" { -1.0 } else { 1.0 }))
            }
        };
        for at in 0..count {
            if at > 0
                && let Some((step, sign)) = &step
            {
                value = combined(&value, step, *sign);
            }
            out.push(Item::Histogram(value.clone(), hinted));
        }
        return Ok(());
    }
    let (mut value, step) = match number(text) {
        Some(value) => (value, 0.0),
        None => {
            let sign = |at: &usize| matches!(&text[*at..=*at], "+" | "-") && !matches!(&text[*at - 1..*at], "e" | "E");
            let at = (1..text.len()).find(sign).ok_or("expected a number")?;
            (number(&text[..at]).ok_or("expected a number")?, number(&text[at..]).ok_or("expected a step")?)
        }
    };
    for _ in 0..count {
        out.push(Item::Float(value));
        value += step;
    }
    Ok(())
}

pub(crate) fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// The scripts add histograms of the same layout, or of a finer or coarser schema.
fn combined(a: &Histogram, b: &Histogram, sign: f64) -> Histogram {
    let mut memory = lynceus_promql::Memory::new();
    let gauge = |h: &Histogram| Histogram { reset_hint: ResetHint::Gauge, ..h.clone() };
    memory.push_histogram(&Labels::new([("__name__", "a")]), 0, gauge(a), 0);
    memory.push_histogram(&Labels::new([("__name__", "b")]), 0, gauge(b), 0);
    let operator = if sign < 0.0 { "a - ignoring() b" } else { "a + ignoring() b" };
    let expr = parse(operator).unwrap();
    let answer = lynceus_promql::query(&expr, 0, &memory, &lynceus_promql::Options::default()).unwrap();
    let lynceus_promql::Value::Vector(series) = answer.value else { panic!("expected a vector") };
    let lynceus_promql::SampleValue::Histogram(sum) = series[0].samples().next().unwrap().value else {
        panic!("a histogram")
    };
    Histogram { reset_hint: a.reset_hint, ..sum.as_ref().clone() }
}

fn histogram(text: &str) -> Result<(Histogram, bool), String> {
    let mut out = Histogram::default();
    let mut hinted = false;
    let (mut offset, mut n_offset) = (0, 0);
    let (mut buckets, mut n_buckets) = (Vec::new(), Vec::new());
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').ok_or("expected `key:value`")?;
        let (value, after) = match after.strip_prefix('[') {
            Some(list) => list.split_once(']').ok_or("expected `]`")?,
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        rest = after.trim_start();
        let float = || number(value).ok_or_else(|| format!("expected a number, found `{value}`"));
        let list = || -> Result<Vec<f64>, String> {
            value
                .split_whitespace()
                .map(|v| number(v).ok_or_else(|| format!("expected a number, found `{v}`")))
                .collect()
        };
        match key {
            "schema" => out.schema = float()? as i32,
            "sum" => out.sum = float()?,
            "count" => out.count = float()?,
            "z_bucket" => out.zero_count = float()?,
            "z_bucket_w" => out.zero_threshold = float()?,
            "custom_values" => out.custom_bounds = list()?,
            "buckets" => buckets = list()?,
            "n_buckets" => n_buckets = list()?,
            "offset" => offset = float()? as i32,
            "n_offset" => n_offset = float()? as i32,
            "counter_reset_hint" => {
                hinted = true;
                out.reset_hint = match value {
                    "gauge" => ResetHint::Gauge,
                    "reset" => ResetHint::Reset,
                    "not_reset" => ResetHint::NotReset,
                    "unknown" => ResetHint::Unknown,
                    other => return Err(format!("unknown hint `{other}`")),
                };
            }
            other => return Err(format!("unknown key `{other}`")),
        }
    }
    out.positive = buckets.into_iter().enumerate().map(|(at, v)| (at as i32 + offset, v)).collect();
    out.negative = n_buckets.into_iter().enumerate().map(|(at, v)| (at as i32 + n_offset, v)).collect();
    Ok((out, hinted))
}

/// Start times relative to the samples', in milliseconds: `-1mx2 _ 30s-1mx4`.
pub(crate) fn starts(text: &str) -> Result<Vec<Option<i64>>, String> {
    let mut out = Vec::new();
    for item in text.split_whitespace() {
        let (text, times) = match item.rfind('x') {
            Some(at) => (&item[..at], Some(item[at + 1..].parse::<usize>().map_err(|e| e.to_string())?)),
            None => (item, None),
        };
        if text == "_" {
            out.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
            continue;
        }
        let at = text[1..].find(['+', '-']).map_or(text.len(), |at| at + 1);
        let mut value = duration(&text[..at])?;
        let step = if at < text.len() { duration(&text[at..])? } else { 0 };
        for _ in 0..times.map_or(1, |times| times + 1) {
            out.push(Some(value));
            value += step;
        }
    }
    Ok(out)
}

/// `1m30s`, with a sign or not, in milliseconds.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    if let Some(rest) = text.strip_prefix('-') {
        return Ok(-duration(rest)?);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let expr = parse(text).map_err(|error| error.to_string())?;
    match expr {
        Expr::Number(number) => Ok((number.value * 1000.0).round() as i64),
        _ => Err(format!("expected a duration, found `{text}`")),
    }
}

/// Native histograms with custom buckets, one for each step at which classic buckets have a value.
pub(crate) fn custom_histograms(series: &[(Labels, Vec<Item>)]) -> Vec<(Labels, Vec<Item>)> {
    use std::collections::BTreeMap;
    #[derive(Default)]
    struct Classic {
        buckets: Vec<(f64, f64)>,
        sum: f64,
        count: Option<f64>,
    }
    let mut all: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for (labels, items) in series {
        let name = labels.metric_name();
        let (suffix, base) = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| Some((*suffix, name.strip_suffix(suffix)?)))
            .unwrap_or(("", name));
        let bound = match (suffix, labels.get("le").parse::<f64>()) {
            ("", _) => continue,
            ("_bucket", Err(_)) => continue,
            (_, bound) => bound.unwrap_or(f64::NAN),
        };
        let kept = labels.iter().filter(|(n, _)| !matches!(*n, "le" | "__name__"));
        let key = Labels::new(kept.chain([("__name__", base)]));
        let steps = all.entry(key).or_default();
        for (step, item) in items.iter().enumerate() {
            let Item::Float(value) = item else { continue };
            let classic = steps.entry(step).or_default();
            match suffix {
                "_bucket" => classic.buckets.push((bound, *value)),
                "_sum" => classic.sum = *value,
                _ => classic.count = Some(*value),
            }
        }
    }
    let convert = |mut classic: Classic| {
        classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Prometheus passes over a bound that it has already.
        classic.buckets.dedup_by_key(|bucket| bucket.0);
        let infinite = classic.buckets.last().filter(|b| b.0 == f64::INFINITY).map(|b| b.1);
        let count = infinite.or(classic.count).or(classic.buckets.last().map(|b| b.1))?;
        if infinite.is_none() {
            classic.buckets.push((f64::INFINITY, count));
        }
        let mut before = 0.0;
        let mut positive = Vec::new();
        for (at, (_, cumulative)) in classic.buckets.iter().enumerate() {
            if *cumulative < before {
                return None;
            }
            positive.push((at as i32, cumulative - before));
            before = *cumulative;
        }
        let custom_bounds = classic.buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect();
        positive.retain(|b| b.1 != 0.0);
        Some(Histogram {
            schema: CUSTOM_SCHEMA,
            count,
            sum: classic.sum,
            positive,
            custom_bounds,
            ..Histogram::default()
        })
    };
    let one = |(labels, steps): (Labels, BTreeMap<usize, Classic>)| {
        let length = steps.keys().last().map_or(0, |last| last + 1);
        let mut items = vec![Item::Nothing; length];
        for (step, classic) in steps {
            if let Some(histogram) = convert(classic) {
                items[step] = Item::Histogram(histogram, false);
            }
        }
        (labels, items)
    };
    all.into_iter().map(one).collect()
}
