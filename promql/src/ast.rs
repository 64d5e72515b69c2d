//! The tree. Fields are public for reading and rewriting; a tree that was not made by [`parse`](crate::parse) prints
//! to the same tree only where its parts bind as the text would: put operands into [`Paren`].

use crate::functions::Function;
use crate::span::Span;

/// A PromQL expression.
///
/// Not `non_exhaustive`: who handles every node must hear of a new one from the compiler.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Number(NumberLiteral),
    String(StringLiteral),
    Vector(VectorSelector),
    Matrix(MatrixSelector),
    Subquery(Subquery),
    Call(Call),
    Aggregate(Aggregate),
    Binary(Binary),
    Unary(Unary),
    Paren(Paren),
}

impl Expr {
    pub fn span(&self) -> Span {
        match self {
            Expr::Number(e) => e.span,
            Expr::String(e) => e.span,
            Expr::Vector(e) => e.span,
            Expr::Matrix(e) => e.span,
            Expr::Subquery(e) => e.span,
            Expr::Call(e) => e.span,
            Expr::Aggregate(e) => e.span,
            Expr::Binary(e) => e.span,
            Expr::Unary(e) => e.span,
            Expr::Paren(e) => e.span,
        }
    }

    pub fn value_type(&self) -> ValueType {
        match self {
            Expr::Number(_) => ValueType::Scalar,
            Expr::String(_) => ValueType::String,
            Expr::Vector(_) | Expr::Aggregate(_) => ValueType::Vector,
            Expr::Matrix(_) | Expr::Subquery(_) => ValueType::Matrix,
            Expr::Call(e) => e.function.returns,
            Expr::Unary(e) => e.expr.value_type(),
            Expr::Paren(e) => e.expr.value_type(),
            Expr::Binary(e) => match (e.lhs.value_type(), e.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
        }
    }
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    Scalar,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
    String,
}

/// `42`, `0x1f`, `Inf`, `5m` (which is 300).
#[derive(Clone, Copy, Debug)]
pub struct NumberLiteral {
    pub value: f64,
    /// Written as a duration.
    pub duration: bool,
    pub span: Span,
}

/// Bitwise, so that a tree with `NaN` equals itself and `-0` is not `0`.
impl PartialEq for NumberLiteral {
    fn eq(&self, other: &NumberLiteral) -> bool {
        self.value.to_bits() == other.value.to_bits() && self.duration == other.duration && self.span == other.span
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringLiteral {
    pub value: String,
    pub span: Span,
}

/// `name{label="value"} offset 5m @ end()`
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The name before the braces; a name inside them is a matcher on `__name__`.
    pub name: Option<String>,
    pub matchers: Vec<Matcher>,
    pub offset: Option<DurationExpr>,
    pub at: Option<At>,
    pub extension: Option<Extension>,
    pub span: Span,
}

impl VectorSelector {
    /// The one metric that this can select, or none when it is not fixed.
    pub fn metric_name(&self) -> Option<&str> {
        let by_matcher = || self.matchers.iter().find(|m| m.name == "__name__" && m.op == MatcherOp::Equal);
        self.name.as_deref().or_else(|| by_matcher().map(|m| m.value.as_str()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matcher {
    pub name: String,
    pub op: MatcherOp,
    pub value: String,
    pub span: Span,
}

impl Matcher {
    /// A matcher that stands in no text.
    pub fn new(name: impl Into<String>, op: MatcherOp, value: impl Into<String>) -> Matcher {
        Matcher { name: name.into(), op, value: value.into(), span: Span::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatcherOp {
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}

impl MatcherOp {
    pub fn as_str(self) -> &'static str {
        match self {
            MatcherOp::Equal => "=",
            MatcherOp::NotEqual => "!=",
            MatcherOp::Regex => "=~",
            MatcherOp::NotRegex => "!~",
        }
    }
}

/// The `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Milliseconds since 1970, as Prometheus rounds them.
    Timestamp(i64),
    Start,
    End,
}

/// Experimental modifiers of how a range treats the samples at its borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    Anchored,
    Smoothed,
}

/// `selector[5m]`; the modifiers written behind the bracket belong to the selector.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    pub selector: VectorSelector,
    pub range: DurationExpr,
    pub span: Span,
}

/// `expr[1h:5m]`
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    pub expr: Box<Expr>,
    pub range: DurationExpr,
    /// None is the evaluation interval of the rule or server.
    pub step: Option<DurationExpr>,
    pub offset: Option<DurationExpr>,
    pub at: Option<At>,
    pub span: Span,
}

/// A length of time: nearly always a literal, by an experimental feature an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    Literal(DurationLiteral),
    /// `step()`: the step of the query.
    Step(Span),
    /// `range()`: its end minus its start.
    Range(Span),
    Unary(DurationUnary),
    Binary(DurationBinary),
    Compare(DurationCompare),
    Paren(DurationParen),
}

impl DurationExpr {
    pub fn span(&self) -> Span {
        match self {
            DurationExpr::Literal(e) => e.span,
            DurationExpr::Step(span) | DurationExpr::Range(span) => *span,
            DurationExpr::Unary(e) => e.span,
            DurationExpr::Binary(e) => e.span,
            DurationExpr::Compare(e) => e.span,
            DurationExpr::Paren(e) => e.span,
        }
    }

    /// The length in seconds where it does not depend on the query.
    pub fn as_seconds(&self) -> Option<f64> {
        match self {
            DurationExpr::Literal(e) => Some(e.seconds),
            DurationExpr::Step(_)
            | DurationExpr::Range(_)
            | DurationExpr::Unary(_)
            | DurationExpr::Binary(_)
            | DurationExpr::Compare(_)
            | DurationExpr::Paren(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DurationLiteral {
    pub seconds: f64,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DurationUnary {
    pub sign: Sign,
    pub expr: Box<DurationExpr>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DurationBinary {
    pub op: DurationOp,
    pub lhs: Box<DurationExpr>,
    pub rhs: Box<DurationExpr>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DurationOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

/// `min_of(a, b)` or `max_of(a, b)`
#[derive(Clone, Debug, PartialEq)]
pub struct DurationCompare {
    pub function: DurationFunction,
    pub lhs: Box<DurationExpr>,
    pub rhs: Box<DurationExpr>,
    pub span: Span,
}

/// Which of two durations; before 3.13 Prometheus called them as the aggregations, and knew these names only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationFunction {
    MaxOf,
    MinOf,
    Max,
    Min,
}

impl DurationFunction {
    pub fn as_str(self) -> &'static str {
        match self {
            DurationFunction::MaxOf => "max_of",
            DurationFunction::MinOf => "min_of",
            DurationFunction::Max => "max",
            DurationFunction::Min => "min",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DurationParen {
    pub expr: Box<DurationExpr>,
    pub span: Span,
}

/// `rate(...)`
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub function: &'static Function,
    pub args: Vec<Expr>,
    pub span: Span,
}

/// `topk by (vm) (3, ...)`
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub op: AggregateOp,
    /// Any expression of the right type, selectors included: a rewrite must not forget it.
    pub param: Option<Box<Expr>>,
    pub expr: Box<Expr>,
    pub grouping: Option<Grouping>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    pub without: bool,
    pub labels: Vec<Label>,
}

/// A label's name in `by`, `on`, `group_left` and their like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub name: String,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// The type of the parameter, for those that take one.
    pub fn param(self) -> Option<ValueType> {
        match self {
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Quantile
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio => Some(ValueType::Scalar),
            AggregateOp::CountValues => Some(ValueType::String),
            AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::Count
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::Group
            | AggregateOp::Stddev
            | AggregateOp::Stdvar => None,
        }
    }

    /// Prometheus 3 runs it only with `--enable-feature=promql-experimental-functions`.
    pub fn experimental(self) -> bool {
        matches!(self, AggregateOp::Limitk | AggregateOp::LimitRatio)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }
}

/// `a / on (vm) group_left (host) b`
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    pub op: BinaryOp,
    pub lhs: Box<Expr>,
    pub rhs: Box<Expr>,
    /// `bool`: 0 and 1 in place of a filter.
    pub return_bool: bool,
    /// Always the default unless both sides are vectors.
    pub matching: Matching,
    pub op_span: Span,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `</`: trims a native histogram from above.
    TrimUpper,
    /// `>/`: trims a native histogram from below.
    TrimLower,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
        )
    }

    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }
}

/// Which series of two vectors belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    pub on: Option<MatchOn>,
    pub group: Option<Group>,
    pub fill: Fill,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchOn {
    /// `ignoring` in place of `on`.
    pub ignoring: bool,
    pub labels: Vec<Label>,
}

/// `group_left` or `group_right`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The side with many series.
    pub many: Side,
    pub include: Vec<Label>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Left,
    Right,
}

/// Experimental: values that stand in for series that one side lacks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fill {
    pub left: Option<f64>,
    pub right: Option<f64>,
}

impl PartialEq for Fill {
    fn eq(&self, other: &Fill) -> bool {
        let bits = |fill: &Fill| (fill.left.map(f64::to_bits), fill.right.map(f64::to_bits));
        bits(self) == bits(other)
    }
}

/// `-expr`, `+expr`; a sign before a number is part of the number.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    pub sign: Sign,
    pub expr: Box<Expr>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sign {
    Plus,
    Minus,
}

impl Sign {
    pub fn as_str(self) -> &'static str {
        match self {
            Sign::Plus => "+",
            Sign::Minus => "-",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    pub expr: Box<Expr>,
    pub span: Span,
}
