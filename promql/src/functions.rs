use crate::ast::ValueType;
use crate::ast::ValueType::{Matrix, Scalar, Vector};

/// A name beside the standard library's `String`.
const TEXT: ValueType = ValueType::String;

/// A function of the language.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    /// Types of the arguments; the last one stands for all further ones of a variadic function.
    pub args: &'static [ValueType],
    pub variadic: Variadic,
    pub returns: ValueType,
    /// Prometheus 3 knows it only with `--enable-feature=promql-experimental-functions`.
    pub experimental: bool,
}

/// How many arguments beyond those in [`Function::args`] without the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly `args`.
    No,
    /// The last argument zero times up to this often.
    UpTo(usize),
    /// The last argument any number of times, zero included.
    Any,
}

/// Names are unique, so they are the identity.
impl PartialEq for Function {
    fn eq(&self, other: &Function) -> bool {
        self.name == other.name
    }
}

impl Function {
    /// Fewest and most arguments; none is no limit.
    pub fn arity(&self) -> (usize, Option<usize>) {
        let all = self.args.len();
        match self.variadic {
            Variadic::No => (all, Some(all)),
            Variadic::UpTo(more) => (all - 1, Some(all - 1 + more)),
            Variadic::Any => (all - 1, None),
        }
    }

    /// The type of the argument at `index`.
    pub fn arg(&self, index: usize) -> Option<ValueType> {
        self.args.get(index).or(self.args.last()).copied()
    }
}

/// The function called `name`; names are case-sensitive.
pub fn function(name: &str) -> Option<&'static Function> {
    let at = FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok()?;
    FUNCTIONS.get(at)
}

/// What to write in place of an unknown name.
pub(crate) fn suggestion(name: &str) -> Option<String> {
    if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == name) {
        return Some(format!("Prometheus 3 calls it `{new}`"));
    }
    let lower = name.to_lowercase();
    // Of equally near names the one that was not finished.
    let rank = |f: &&Function| (distance(f.name, &lower), !f.name.starts_with(&lower));
    let near = FUNCTIONS.iter().min_by_key(rank)?;
    (distance(near.name, &lower) <= 1 + name.len() / 4).then(|| format!("did you mean `{}`?", near.name))
}

/// Functions of Prometheus 2 that have another name now.
const RENAMED: [(&str, &str); 1] = [("holt_winters", "double_exponential_smoothing")];

/// How many letters to add, drop or change to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    // Names in a query can be as long as the query; the table's cannot.
    if b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

const fn fixed(name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: Variadic::No, returns: Vector, experimental: false }
}

const fn variadic(name: &'static str, args: &'static [ValueType], variadic: Variadic) -> Function {
    Function { name, args, variadic, returns: Vector, experimental: false }
}

const fn scalar(name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: Variadic::No, returns: Scalar, experimental: false }
}

const fn experimental(function: Function) -> Function {
    Function { experimental: true, ..function }
}

/// Every function of Prometheus 3, ordered by name. Source: `promql/parser/functions.go` of prometheus/prometheus and,
/// for `max_of`, `min_of` and `start_timestamp`, which are newer, the calls in its `promqltest`.
pub static FUNCTIONS: [Function; 91] = [
    fixed("abs", &[Vector]),
    fixed("absent", &[Vector]),
    fixed("absent_over_time", &[Matrix]),
    fixed("acos", &[Vector]),
    fixed("acosh", &[Vector]),
    fixed("asin", &[Vector]),
    fixed("asinh", &[Vector]),
    fixed("atan", &[Vector]),
    fixed("atanh", &[Vector]),
    fixed("avg_over_time", &[Matrix]),
    fixed("ceil", &[Vector]),
    fixed("changes", &[Matrix]),
    fixed("clamp", &[Vector, Scalar, Scalar]),
    fixed("clamp_max", &[Vector, Scalar]),
    fixed("clamp_min", &[Vector, Scalar]),
    fixed("cos", &[Vector]),
    fixed("cosh", &[Vector]),
    fixed("count_over_time", &[Matrix]),
    variadic("day_of_month", &[Vector], Variadic::UpTo(1)),
    variadic("day_of_week", &[Vector], Variadic::UpTo(1)),
    variadic("day_of_year", &[Vector], Variadic::UpTo(1)),
    variadic("days_in_month", &[Vector], Variadic::UpTo(1)),
    fixed("deg", &[Vector]),
    fixed("delta", &[Matrix]),
    fixed("deriv", &[Matrix]),
    experimental(fixed("double_exponential_smoothing", &[Matrix, Scalar, Scalar])),
    experimental(scalar("end", &[])),
    fixed("exp", &[Vector]),
    experimental(fixed("first_over_time", &[Matrix])),
    fixed("floor", &[Vector]),
    fixed("histogram_avg", &[Vector]),
    fixed("histogram_count", &[Vector]),
    fixed("histogram_fraction", &[Scalar, Scalar, Vector]),
    fixed("histogram_quantile", &[Scalar, Vector]),
    experimental(variadic("histogram_quantiles", &[Vector, TEXT, Scalar, Scalar], Variadic::UpTo(9))),
    fixed("histogram_stddev", &[Vector]),
    fixed("histogram_stdvar", &[Vector]),
    fixed("histogram_sum", &[Vector]),
    variadic("hour", &[Vector], Variadic::UpTo(1)),
    fixed("idelta", &[Matrix]),
    fixed("increase", &[Matrix]),
    experimental(variadic("info", &[Vector, Vector], Variadic::UpTo(1))),
    experimental(variadic("integral", &[Matrix, Scalar], Variadic::UpTo(1))),
    fixed("irate", &[Matrix]),
    variadic("label_join", &[Vector, TEXT, TEXT, TEXT], Variadic::Any),
    fixed("label_replace", &[Vector, TEXT, TEXT, TEXT, TEXT]),
    fixed("last_over_time", &[Matrix]),
    fixed("ln", &[Vector]),
    fixed("log10", &[Vector]),
    fixed("log2", &[Vector]),
    experimental(fixed("mad_over_time", &[Matrix])),
    experimental(scalar("max_of", &[Scalar, Scalar])),
    fixed("max_over_time", &[Matrix]),
    experimental(scalar("min_of", &[Scalar, Scalar])),
    fixed("min_over_time", &[Matrix]),
    variadic("minute", &[Vector], Variadic::UpTo(1)),
    variadic("month", &[Vector], Variadic::UpTo(1)),
    scalar("pi", &[]),
    fixed("predict_linear", &[Matrix, Scalar]),
    fixed("present_over_time", &[Matrix]),
    fixed("quantile_over_time", &[Scalar, Matrix]),
    fixed("rad", &[Vector]),
    experimental(scalar("range", &[])),
    fixed("rate", &[Matrix]),
    fixed("resets", &[Matrix]),
    variadic("round", &[Vector, Scalar], Variadic::UpTo(1)),
    scalar("scalar", &[Vector]),
    fixed("sgn", &[Vector]),
    fixed("sin", &[Vector]),
    fixed("sinh", &[Vector]),
    fixed("sort", &[Vector]),
    experimental(variadic("sort_by_label", &[Vector, TEXT], Variadic::Any)),
    experimental(variadic("sort_by_label_desc", &[Vector, TEXT], Variadic::Any)),
    fixed("sort_desc", &[Vector]),
    fixed("sqrt", &[Vector]),
    experimental(scalar("start", &[])),
    experimental(fixed("start_timestamp", &[Vector])),
    fixed("stddev_over_time", &[Matrix]),
    fixed("stdvar_over_time", &[Matrix]),
    experimental(scalar("step", &[])),
    fixed("sum_over_time", &[Matrix]),
    fixed("tan", &[Vector]),
    fixed("tanh", &[Vector]),
    scalar("time", &[]),
    fixed("timestamp", &[Vector]),
    experimental(fixed("ts_of_first_over_time", &[Matrix])),
    experimental(fixed("ts_of_last_over_time", &[Matrix])),
    experimental(fixed("ts_of_max_over_time", &[Matrix])),
    experimental(fixed("ts_of_min_over_time", &[Matrix])),
    fixed("vector", &[Scalar]),
    variadic("year", &[Vector], Variadic::UpTo(1)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_so_that_it_can_be_searched() {
        for pair in FUNCTIONS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} comes before {}", pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn every_function_is_found_by_its_name() {
        for f in &FUNCTIONS {
            assert_eq!(function(f.name), Some(f));
        }
        assert_eq!(function("RATE"), None);
    }

    #[test]
    fn a_near_miss_is_suggested_and_nonsense_is_not() {
        assert_eq!(suggestion("rat").as_deref(), Some("did you mean `rate`?"));
        assert_eq!(suggestion("Increase").as_deref(), Some("did you mean `increase`?"));
        assert_eq!(suggestion("holt_winters").as_deref(), Some("Prometheus 3 calls it `double_exponential_smoothing`"));
        assert_eq!(suggestion("frobnicate"), None);
        assert_eq!(suggestion(&"x".repeat(100_000)), None);
    }
}
