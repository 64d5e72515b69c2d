//! Every node, and no way round one: each `match` names each variant and each field, so that a new one does not
//! compile until it is visited. (Peers' walks skip an aggregation's parameter, which is a leak where labels are
//! enforced.)

use crate::ast::{
    Aggregate, Binary, Call, DurationBinary, DurationCompare, DurationExpr, DurationLiteral, DurationParen,
    DurationUnary, Expr, MatrixSelector, NumberLiteral, Paren, StringLiteral, Subquery, Unary, VectorSelector,
};
use crate::span::Span;

/// Calls `visit` for `expr` and every expression in it, parents first, in the order of the text.
pub fn walk<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        visit(expr);
        let first = open.len();
        children(expr, &mut |child| open.push(child));
        open[first..].reverse();
    }
}

/// Every selector of `expr`, those of ranges included, in the order of the text.
pub fn selectors(expr: &Expr) -> impl Iterator<Item = &VectorSelector> {
    let mut found = Vec::new();
    walk(expr, &mut |expr| found.extend(selector(expr)));
    found.into_iter()
}

/// The selector that this node itself is.
fn selector(expr: &Expr) -> Option<&VectorSelector> {
    match expr {
        Expr::Vector(selector) => Some(selector),
        Expr::Matrix(MatrixSelector { selector, range: _, span: _ }) => Some(selector),
        Expr::Number(_)
        | Expr::String(_)
        | Expr::Subquery(_)
        | Expr::Call(_)
        | Expr::Aggregate(_)
        | Expr::Binary(_)
        | Expr::Unary(_)
        | Expr::Paren(_) => None,
    }
}

fn children<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    match expr {
        Expr::Number(NumberLiteral { value: _, duration: _, span: _ }) => {}
        Expr::String(StringLiteral { value: _, span: _ }) => {}
        Expr::Vector(VectorSelector { name: _, matchers: _, offset: _, at: _, extension: _, span: _ }) => {}
        Expr::Matrix(MatrixSelector { selector: _, range: _, span: _ }) => {}
        Expr::Subquery(Subquery { expr, range: _, step: _, offset: _, at: _, span: _ }) => visit(expr),
        Expr::Call(Call { function: _, args, span: _ }) => args.iter().for_each(visit),
        Expr::Aggregate(Aggregate { op: _, param, expr, grouping: _, span: _ }) => {
            param.iter().for_each(|param| visit(param));
            visit(expr);
        }
        Expr::Binary(Binary { op: _, lhs, rhs, return_bool: _, matching: _, op_span: _, span: _ }) => {
            visit(lhs);
            visit(rhs);
        }
        Expr::Unary(Unary { sign: _, expr, span: _ }) => visit(expr),
        Expr::Paren(Paren { expr, span: _ }) => visit(expr),
    }
}

/// Calls `visit` for every selector of `expr`, those of ranges included.
pub(crate) fn selectors_mut(expr: &mut Expr, visit: &mut dyn FnMut(&mut VectorSelector)) {
    match expr {
        Expr::Number(NumberLiteral { value: _, duration: _, span: _ }) => {}
        Expr::String(StringLiteral { value: _, span: _ }) => {}
        Expr::Vector(selector) => visit(selector),
        Expr::Matrix(MatrixSelector { selector, range: _, span: _ }) => visit(selector),
        Expr::Subquery(Subquery { expr, range: _, step: _, offset: _, at: _, span: _ }) => selectors_mut(expr, visit),
        Expr::Call(Call { function: _, args, span: _ }) => {
            args.iter_mut().for_each(|arg| selectors_mut(arg, visit));
        }
        Expr::Aggregate(Aggregate { op: _, param, expr, grouping: _, span: _ }) => {
            param.iter_mut().for_each(|param| selectors_mut(param, visit));
            selectors_mut(expr, visit);
        }
        Expr::Binary(Binary { op: _, lhs, rhs, return_bool: _, matching: _, op_span: _, span: _ }) => {
            selectors_mut(lhs, visit);
            selectors_mut(rhs, visit);
        }
        Expr::Unary(Unary { sign: _, expr, span: _ }) => selectors_mut(expr, visit),
        Expr::Paren(Paren { expr, span: _ }) => selectors_mut(expr, visit),
    }
}

impl Expr {
    /// The same tree, standing nowhere: for comparing trees of different texts.
    pub fn without_spans(mut self) -> Expr {
        clear_spans(&mut self);
        self
    }
}

fn clear_spans(expr: &mut Expr) {
    match expr {
        Expr::Number(NumberLiteral { value: _, duration: _, span }) => *span = Span::default(),
        Expr::String(StringLiteral { value: _, span }) => *span = Span::default(),
        Expr::Vector(selector) => clear_selector(selector),
        Expr::Matrix(MatrixSelector { selector, range, span }) => {
            clear_selector(selector);
            clear_duration(range);
            *span = Span::default();
        }
        Expr::Subquery(Subquery { expr, range, step, offset, at: _, span }) => {
            clear_spans(expr);
            clear_duration(range);
            step.iter_mut().for_each(clear_duration);
            offset.iter_mut().for_each(clear_duration);
            *span = Span::default();
        }
        Expr::Call(Call { function: _, args, span }) => {
            args.iter_mut().for_each(clear_spans);
            *span = Span::default();
        }
        Expr::Aggregate(Aggregate { op: _, param, expr, grouping, span }) => {
            param.iter_mut().for_each(|param| clear_spans(param));
            clear_spans(expr);
            grouping.iter_mut().flat_map(|g| &mut g.labels).for_each(|label| label.span = Span::default());
            *span = Span::default();
        }
        Expr::Binary(Binary { op: _, lhs, rhs, return_bool: _, matching, op_span, span }) => {
            clear_spans(lhs);
            clear_spans(rhs);
            matching.on.iter_mut().flat_map(|on| &mut on.labels).for_each(|label| label.span = Span::default());
            matching.group.iter_mut().flat_map(|g| &mut g.include).for_each(|label| label.span = Span::default());
            *op_span = Span::default();
            *span = Span::default();
        }
        Expr::Unary(Unary { sign: _, expr, span }) => {
            clear_spans(expr);
            *span = Span::default();
        }
        Expr::Paren(Paren { expr, span }) => {
            clear_spans(expr);
            *span = Span::default();
        }
    }
}

fn clear_selector(selector: &mut VectorSelector) {
    let VectorSelector { name: _, matchers, offset, at: _, extension: _, span } = selector;
    matchers.iter_mut().for_each(|matcher| matcher.span = Span::default());
    offset.iter_mut().for_each(clear_duration);
    *span = Span::default();
}

fn clear_duration(duration: &mut DurationExpr) {
    match duration {
        DurationExpr::Literal(DurationLiteral { seconds: _, span })
        | DurationExpr::Step(span)
        | DurationExpr::Range(span) => *span = Span::default(),
        DurationExpr::Unary(DurationUnary { sign: _, expr, span })
        | DurationExpr::Paren(DurationParen { expr, span }) => {
            clear_duration(expr);
            *span = Span::default();
        }
        DurationExpr::Binary(DurationBinary { op: _, lhs, rhs, span })
        | DurationExpr::Compare(DurationCompare { function: _, lhs, rhs, span }) => {
            clear_duration(lhs);
            clear_duration(rhs);
            *span = Span::default();
        }
    }
}
