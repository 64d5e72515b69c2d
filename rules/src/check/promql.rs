//! Every expression is PromQL, and gives what a rule can use.

use lynceus_promql::ValueType;

use super::Context;
use crate::finding::Finding;

pub(crate) const NAME: &str = "promql";

pub(super) fn run(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for rule in context.file.rules() {
        let text = &rule.value.expr;
        match lynceus_promql::parse(&text.value) {
            Ok(expr) => {
                // Prometheus accepts a scalar, which becomes one series without labels.
                if !matches!(expr.value_type(), ValueType::Vector | ValueType::Scalar) {
                    let place = context.source.place_in(text, expr.span().range());
                    let message = format!("a rule needs an instant vector or a scalar, found {}", expr.value_type());
                    findings.push(Finding::new(place, message));
                }
            }
            Err(error) => {
                let place = context.source.place_in(text, error.span);
                let mut finding = Finding::new(place, error.message);
                finding.help = error.hint;
                findings.push(finding);
            }
        }
    }
}
