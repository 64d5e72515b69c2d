//! Prometheus' test scripts: `load`, `clear`, `eval` and what it expects.

use lynceus_promql::Labels;

use crate::notation::{self, Item};

pub(crate) enum Command {
    Clear,
    Load {
        step: i64,
        series: Vec<Loaded>,
    },
    Eval(Box<Eval>),
    /// A line that is not understood: it counts as an `eval` that does not hold.
    Unreadable(usize, String),
}

pub(crate) struct Loaded {
    pub(crate) labels: Labels,
    pub(crate) items: Vec<Item>,
    /// Relative to the sample, in milliseconds.
    pub(crate) starts: Vec<Option<i64>>,
}

#[derive(Default)]
pub(crate) struct Eval {
    pub(crate) line: usize,
    pub(crate) expr: String,
    /// Start, end and step in milliseconds; of an instant query all times are its own, the step is 0.
    pub(crate) times: (i64, i64, i64),
    pub(crate) is_range: bool,
    /// Times of an expected range vector.
    pub(crate) range_vector: Option<(i64, i64, i64)>,
    pub(crate) ordered: bool,
    pub(crate) fail: Option<Pattern>,
    pub(crate) warn: Vec<Pattern>,
    pub(crate) info: Vec<Pattern>,
    pub(crate) no_warn: bool,
    pub(crate) no_info: bool,
    pub(crate) text: Option<String>,
    pub(crate) scalar: Option<f64>,
    pub(crate) series: Vec<(Labels, Vec<Item>)>,
}

pub(crate) enum Pattern {
    Any,
    Message(String),
    Regex(regex::Regex),
}

impl Pattern {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Message(message) => message == text,
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

pub(crate) fn commands(script: &str) -> Vec<Command> {
    // A comment ends a block as an empty line does.
    let clean = |line: &'_ str| -> String {
        let line = line.trim();
        if line.starts_with('#') { String::new() } else { line.to_owned() }
    };
    let lines: Vec<String> = script.lines().map(clean).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let first = at;
        at += 1;
        if lines[first].is_empty() {
            continue;
        }
        let word = lines[first].split_whitespace().next().unwrap_or("").to_lowercase();
        if word == "clear" {
            out.push(Command::Clear);
            continue;
        }
        while at < lines.len() && !lines[at].is_empty() {
            at += 1;
        }
        let block = &lines[first + 1..at];
        let command =
            if word.starts_with("load") { load(&lines[first], block) } else { eval(&lines[first], block, first + 1) };
        out.push(command.unwrap_or_else(|reason| Command::Unreadable(first + 1, reason)));
    }
    out
}

fn load(line: &str, block: &[String]) -> Result<Command, String> {
    let (word, step) = line.split_once(char::is_whitespace).ok_or("expected a step")?;
    let mut series = Vec::new();
    let mut starts = Vec::new();
    for line in block {
        let first = line.split_whitespace().next().unwrap_or("");
        if first.ends_with("@st") {
            starts = notation::starts(line[first.len()..].trim())?;
            continue;
        }
        let (labels, items) = notation::series(line)?;
        series.push(Loaded { labels, items, starts: std::mem::take(&mut starts) });
    }
    if word.ends_with("with_nhcb") {
        let classic: Vec<_> = series.iter().map(|s| (s.labels.clone(), s.items.clone())).collect();
        for (labels, items) in notation::custom_histograms(&classic) {
            series.push(Loaded { labels, items, starts: Vec::new() });
        }
    }
    Ok(Command::Load { step: notation::duration(step.trim())?, series })
}

/// The word at the start of a text, and what follows.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    (word, rest.trim_start())
}

fn eval(line: &str, block: &[String], number: usize) -> Result<Command, String> {
    let mut eval = Eval { line: number, ..Eval::default() };
    let (command, rest) = word(line);
    match command {
        "eval" => {}
        "eval_fail" => eval.fail = Some(Pattern::Any),
        "eval_warn" => eval.warn.push(Pattern::Any),
        "eval_info" => eval.info.push(Pattern::Any),
        "eval_ordered" => eval.ordered = true,
        other => return Err(format!("unknown command `{other}`")),
    }
    let (kind, rest) = word(rest);
    if kind == "range" {
        eval.is_range = true;
        let (mut times, mut rest) = ([0; 3], rest);
        for time in &mut times {
            let (text, after) = word(word(rest).1);
            *time = notation::duration(text)?;
            rest = after;
        }
        eval.times = (times[0], times[1], times[2]);
        eval.expr = rest.to_owned();
    } else {
        let (at, rest) = word(word(rest).1);
        let time = notation::duration(at)?;
        eval.times = (time, time, 0);
        eval.expr = rest.to_owned();
    }
    for line in block {
        expectation(&mut eval, line)?;
    }
    Ok(Command::Eval(Box::new(eval)))
}

fn expectation(eval: &mut Eval, line: &str) -> Result<(), String> {
    if let Some(message) = line.strip_prefix("expected_fail_message") {
        eval.fail = Some(Pattern::Message(message.trim().to_owned()));
        return Ok(());
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
        eval.fail = Some(Pattern::Regex(regex::Regex::new(pattern.trim()).map_err(|e| e.to_string())?));
        return Ok(());
    }
    if let Some(times) = line.strip_prefix("expect range vector") {
        let words: Vec<&str> = times.split_whitespace().collect();
        let [_, from, _, to, _, step] = words[..] else { return Err("expected from, to and step".to_owned()) };
        let time = notation::duration;
        eval.range_vector = Some((time(from)?, time(to)?, time(step)?));
        return Ok(());
    }
    if let Some(text) = line.strip_prefix("expect string") {
        let lynceus_promql::Expr::String(text) = lynceus_promql::parse(text.trim()).map_err(|e| e.to_string())? else {
            return Err("expected a string".to_owned());
        };
        eval.text = Some(text.value);
        return Ok(());
    }
    if word(line).0 == "expect" {
        let (kind, rest) = word(word(line).1);
        let pattern = match rest.split_once(':') {
            None => Pattern::Any,
            Some(("msg", message)) => Pattern::Message(message.trim().to_owned()),
            Some((_, pattern)) => Pattern::Regex(regex::Regex::new(pattern.trim()).map_err(|e| e.to_string())?),
        };
        match kind {
            "fail" => eval.fail = Some(pattern),
            "warn" => eval.warn.push(pattern),
            "info" => eval.info.push(pattern),
            "no_warn" => eval.no_warn = true,
            "no_info" => eval.no_info = true,
            "ordered" => eval.ordered = true,
            other => return Err(format!("unknown expectation `{other}`")),
        }
        return Ok(());
    }
    if let Some(value) = notation::number(line) {
        eval.scalar = Some(value);
        return Ok(());
    }
    eval.series.push(notation::series(line)?);
    Ok(())
}
