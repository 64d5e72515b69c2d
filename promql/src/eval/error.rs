use super::number::go_number;
use crate::ast::ValueType;
use crate::storage::{BadMatcher, StorageError};

/// Why a query has no answer. Where Prometheus has a text for it, this is it.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    #[error(
        "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
        thousands(*max)
    )]
    TooManySteps { max: i64 },
    #[error("zero or negative query resolution step widths are not accepted. Try a positive integer")]
    Step,
    #[error("end timestamp must not be before start time")]
    EndBeforeStart,
    #[error("expected a time within 285,000 years of 1970, found {0} milliseconds")]
    Time(i64),
    #[error("query was cancelled")]
    Cancelled,
    #[error("invalid expression type \"{0}\" for range query, must be Scalar or instant Vector")]
    NoRangeOf(ValueType),
    /// A tree that the parser would not have made.
    #[error("expected a value of type {expected}, found another one")]
    Type { expected: &'static str },
    #[error("vector cannot contain metrics with the same labelset")]
    SameLabels,
    #[error(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{first}, \
         {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    )]
    ManyToMany { group: String, side: &'static str, first: String, second: String },
    #[error("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")]
    ManyToOne,
    #[error("multiple matches for labels: grouping labels must ensure unique matches")]
    GroupNotUnique,
    #[error("{modifier} modifier can only be used with: {functions} - not with {function}")]
    Modifier { modifier: &'static str, functions: &'static str, function: &'static str },
    #[error("invalid {kind} factor. Expected: 0 < {symbol} < 1, got: {found:.6}")]
    Smoothing { kind: &'static str, symbol: &'static str, found: f64 },
    #[error("invalid regular expression in label_replace(): {0}")]
    ReplacePattern(String),
    #[error("invalid {role} label name in {function}(): {name}")]
    LabelName { role: &'static str, function: &'static str, name: String },
    #[error("Parameter value is NaN")]
    NanParameter,
    #[error("Ratio value is NaN")]
    NanRatio,
    #[error("Scalar value {} overflows int64", go_number(*.0))]
    ParameterOverflow(f64),
    #[error("Scalar value {} underflows int64", go_number(*.0))]
    ParameterUnderflow(f64),
    #[error("invalid label name {0:?}")]
    ValueLabel(String),
    #[error("{function}(): expected a label of up to {most} bytes, found more")]
    LabelLength { function: &'static str, most: usize },
    #[error("{0}")]
    Duration(&'static str),
    #[error("info sample should be float")]
    InfoHistogram,
    #[error("conflicting label: {0}")]
    InfoConflict(String),
    #[error("found duplicate series for info metric: existing {first} @ {first_time}, new {second} @ {second_time}")]
    InfoDuplicate { first: String, first_time: i64, second: String, second_time: i64 },
    #[error(transparent)]
    Matcher(#[from] BadMatcher),
    #[error("expanding series")]
    Storage(#[source] StorageError),
}

/// `11,000`, as Prometheus writes its limit.
fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
