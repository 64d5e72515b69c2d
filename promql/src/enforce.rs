//! Label enforcement: what a query may see is narrowed, never what it asks for replaced.

use crate::ast::{Call, Expr, Matcher};
use crate::span::Span;
use crate::walk::{selectors_mut, walk};

/// Why a query cannot be narrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnforceError {
    /// The function reads series that no selector in the text names.
    HiddenSelector { function: &'static str, span: Span },
}

impl std::fmt::Display for EnforceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EnforceError::HiddenSelector { function, span: _ } => write!(
                f,
                "expected functions that read only what their arguments select, found `{function}()` \
                 (join the info metric with `* on (...) group_left (...)`)"
            ),
        }
    }
}

impl std::error::Error for EnforceError {}

/// Adds `matcher` to every selector of `expr`: those in subqueries, aggregation parameters, `absent()` and both sides
/// of every operator too. The query's own matchers stay, so a query for what it may not see is empty, not answered
/// with something else.
pub fn enforce(expr: &mut Expr, matcher: &Matcher) -> Result<(), EnforceError> {
    let mut refused = None;
    walk(expr, &mut |expr| {
        if let Expr::Call(Call { function, args: _, span }) = expr
            && function.name == "info"
        {
            // `info(x)` joins `target_info`, a selector that is not in the text.
            refused.get_or_insert(EnforceError::HiddenSelector { function: function.name, span: *span });
        }
    });
    if let Some(refused) = refused {
        return Err(refused);
    }
    selectors_mut(expr, &mut |selector| selector.matchers.push(matcher.clone()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MatcherOp, parse};

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let mut expr = parse(query).unwrap();
        enforce(&mut expr, &Matcher::new("team", MatcherOp::Equal, "red")).unwrap();
        assert_eq!(expr.to_string(), expected);
    }

    #[test]
    fn a_plain_selector_gets_the_matcher() {
        check("up", r#"up{team="red"}"#);
        check(r#"{__name__=~".+"}"#, r#"{__name__=~".+",team="red"}"#);
        check(r#"{"up"}"#, r#"{__name__="up",team="red"}"#);
    }

    #[test]
    fn the_query_s_own_matcher_on_the_label_stays() {
        check(r#"up{team="blue"}"#, r#"up{team="blue",team="red"}"#);
        check(r#"up{team!="red"}"#, r#"up{team!="red",team="red"}"#);
        check(r#"up{team="red"}"#, r#"up{team="red",team="red"}"#);
    }

    #[test]
    fn a_selector_in_an_aggregation_parameter_gets_the_matcher() {
        check(
            r#"topk(scalar(secret{team="blue"}), up)"#,
            r#"topk(scalar(secret{team="blue",team="red"}), up{team="red"})"#,
        );
        check(r#"quantile(scalar(a) / 1000, b)"#, r#"quantile(scalar(a{team="red"}) / 1000, b{team="red"})"#);
    }

    #[test]
    fn selectors_under_every_kind_of_node_get_the_matcher() {
        check("max_over_time(rate(a[1m])[5m:])", r#"max_over_time(rate(a{team="red"}[1m])[5m:])"#);
        check("absent(a) or -b", r#"absent(a{team="red"}) or -b{team="red"}"#);
        check("(a @ 1 offset 5m) > bool b", r#"(a{team="red"} offset 5m @ 1) > bool b{team="red"}"#);
        check(r#"label_replace(a, "team", "red", "", "")"#, r#"label_replace(a{team="red"}, "team", "red", "", "")"#);
        check("a # {team=`red`}\n + b", r#"a{team="red"} + b{team="red"}"#);
    }

    #[test]
    fn a_function_that_selects_by_itself_is_refused() {
        let mut expr = parse("1 + info(up)").unwrap();
        let error = enforce(&mut expr, &Matcher::new("team", MatcherOp::Equal, "red")).unwrap_err();
        assert_eq!(error, EnforceError::HiddenSelector { function: "info", span: Span { start: 4, end: 12 } });
        assert_eq!(expr, parse("1 + info(up)").unwrap());
    }
}
