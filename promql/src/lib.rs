//! PromQL, the language of Prometheus 3: text to tree, tree to text, a walk that misses no selector, and evaluation.
//!
//! ```text
//! text ─▶ lexer ─▶ parser (syntax, types) ─▶ Expr ─▶ Display ─▶ text that parses to the same tree
//!                                              ├─▶ selectors(), walk(), enforce()
//!                                              └─▶ query(), query_range() over a Storage ─▶ Answer
//! ```
//!
//! The crate does no I/O, does not panic, and takes time linear in its input: nesting, operators and length have
//! limits ([`limits`]). It never guesses: what it does not know is a [`ParseError`] with its place. Features that
//! Prometheus hides behind `--enable-feature` are parsed and stand in the tree as nodes of their own;
//! experimental functions are marked in [`Function::experimental`].
//!
//! ```
//! let expr = lynceus_promql::parse("sum by (vm) (rate(vsphere_vm_cpu_ready_seconds_total[5m]))")?;
//! let names: Vec<_> = lynceus_promql::selectors(&expr).filter_map(|s| s.metric_name()).collect();
//! assert_eq!(names, ["vsphere_vm_cpu_ready_seconds_total"]);
//! # Ok::<(), lynceus_promql::ParseError>(())
//! ```

mod ast;
mod enforce;
mod error;
mod eval;
mod functions;
mod histogram;
mod labels;
mod lexer;
pub mod limits;
mod literal;
mod parser;
mod printer;
mod regexp;
mod span;
mod storage;
mod walk;

pub use ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, DurationBinary, DurationCompare, DurationExpr,
    DurationFunction, DurationLiteral, DurationOp, DurationParen, DurationUnary, Expr, Extension, Fill, Group,
    Grouping, Label, MatchOn, Matcher, MatcherOp, Matching, MatrixSelector, NumberLiteral, Paren, Side, Sign,
    StringLiteral, Subquery, Unary, ValueType, VectorSelector,
};
pub use enforce::{EnforceError, enforce};
pub use error::ParseError;
pub use eval::{
    Annotation, Answer, EvalError, Options, Sample, SampleValue, Series, Severity, Value, query, query_range,
};
pub use functions::{FUNCTIONS, Function, Variadic, function};
pub use histogram::{Bucket, BucketCounts, CUSTOM_SCHEMA, Histogram, ResetHint};
pub use labels::Labels;
pub use parser::parse;
pub use printer::escape_regex;
pub use span::Span;
pub use storage::{
    BadMatcher, Buckets, Columns, Hints, Memory, Points, STALE, SeriesMatcher, Storage, StorageError, StoredSeries,
    Windows, is_stale,
};
pub use walk::{selectors, walk};
