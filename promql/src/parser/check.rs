//! Types and the rules of operators and calls, as Prometheus checks them.

use super::Typed;
use crate::ast::{Binary, BinaryOp, Call, Expr, Fill, Matching, ValueType};
use crate::error::Fault;
use crate::functions::{Function, Variadic};
use crate::span::Span;

pub(super) fn mismatch(span: Span, expected: &str, found: ValueType) -> Fault {
    let article = if found == ValueType::Vector { "an" } else { "a" };
    Fault::expected(span, expected, &format!("{article} {found}"))
}

pub(super) fn expect_type(operand: &Typed, wanted: ValueType, place: &str) -> Result<(), Fault> {
    if operand.value_type == wanted {
        return Ok(());
    }
    let article = if wanted == ValueType::Vector { "an" } else { "a" };
    let fault = mismatch(operand.expr.span(), &format!("{article} {wanted} {place}"), operand.value_type);
    Err(match (wanted, operand.value_type) {
        (ValueType::Matrix, ValueType::Vector) => fault.hint("add a range: `[5m]`"),
        (ValueType::Vector, ValueType::Scalar) => fault.hint("make one with `vector(...)`"),
        (ValueType::Scalar, ValueType::Vector) => fault.hint("make one with `scalar(...)`"),
        _ => fault,
    })
}

pub(super) fn binary(
    op: BinaryOp,
    op_span: Span,
    lhs: Typed,
    rhs: Typed,
    return_bool: bool,
    mut matching: Matching,
) -> Result<Typed, Fault> {
    let word = op.as_str();
    let fault = |message: String| Err(Fault::new(op_span, message));
    for side in [&lhs, &rhs] {
        if !matches!(side.value_type, ValueType::Scalar | ValueType::Vector) {
            let expected = format!("a scalar or an instant vector beside `{word}`");
            return Err(mismatch(side.expr.span(), &expected, side.value_type));
        }
    }
    if return_bool && !op.is_comparison() {
        return fault(format!("expected `bool` behind comparisons only, found it behind `{word}`"));
    }
    let scalars = lhs.value_type == ValueType::Scalar && rhs.value_type == ValueType::Scalar;
    let vectors = lhs.value_type == ValueType::Vector && rhs.value_type == ValueType::Vector;
    if scalars && op.is_comparison() && !return_bool {
        return fault(format!("expected `{word} bool` between scalars, found `{word}`"));
    }
    if let (Some(on), Some(group)) = (&matching.on, &matching.group)
        && !on.ignoring
        && let Some(twice) = group.include.iter().find(|l| on.labels.iter().any(|other| other.name == l.name))
    {
        let message = format!("expected label `{}` in `on` or in the group, found it in both", twice.name);
        return Err(Fault::new(twice.span, message));
    }
    let fills = matching.fill != Fill::default();
    if op.is_set() {
        if !vectors {
            return fault(format!("expected instant vectors on both sides of `{word}`, found a scalar"));
        }
        if matching.group.is_some() {
            return fault(format!("expected no `group_left` and no `group_right` behind `{word}`"));
        }
        if fills {
            return fault(format!("expected no fill value behind `{word}`"));
        }
    }
    if !vectors {
        if matching.on.as_ref().is_some_and(|on| !on.labels.is_empty()) || fills {
            return fault("expected instant vectors on both sides of a matching, found a scalar".to_owned());
        }
        // Prometheus drops an empty one silently.
        matching = Matching::default();
    }
    let value_type = if scalars { ValueType::Scalar } else { ValueType::Vector };
    let span = lhs.expr.span().to(rhs.expr.span());
    let (lhs, rhs) = (Box::new(lhs.expr), Box::new(rhs.expr));
    Ok(Typed { expr: Expr::Binary(Binary { op, lhs, rhs, return_bool, matching, op_span, span }), value_type })
}

pub(super) fn call(function: &'static Function, args: Vec<Typed>, span: Span) -> Result<Typed, Fault> {
    let name = function.name;
    let (least, most) = function.arity();
    let found = args.len();
    if found < least || most.is_some_and(|most| found > most) {
        let expected = match (function.variadic, most) {
            (Variadic::No, _) => format!("{least}"),
            (_, Some(most)) => format!("{least} to {most}"),
            (_, None) => format!("{least} or more"),
        };
        return Err(Fault::expected(
            span,
            &format!("{expected} arguments in the call to `{name}`"),
            &found.to_string(),
        ));
    }
    for (index, arg) in args.iter().enumerate() {
        if let Some(wanted) = function.arg(index) {
            expect_type(arg, wanted, &format!("as argument {} of `{name}`", index + 1))?;
        }
    }
    if name == "info"
        && let Some(labels) = args.get(1)
    {
        let plain = matches!(&labels.expr, Expr::Vector(selector) if selector.name.is_none());
        if !plain {
            let expected = "label matchers between braces as argument 2 of `info`";
            return Err(Fault::expected(labels.expr.span(), expected, "something else"));
        }
    }
    let args = args.into_iter().map(|arg| arg.expr).collect();
    Ok(Typed { expr: Expr::Call(Call { function, args, span }), value_type: function.returns })
}
