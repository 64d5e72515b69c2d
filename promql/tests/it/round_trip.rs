//! What is printed reads back as the same tree, before and after a rewrite.

use lynceus_promql::{Matcher, MatcherOp, enforce, parse, selectors};
use proptest::prelude::*;

use crate::generate::{Language, scalar, vector};

fn check(query: &str) -> Result<(), TestCaseError> {
    let tree = parse(query).map_err(|error| TestCaseError::fail(format!("{query}: {error}")))?;
    let printed = tree.to_string();
    let again = parse(&printed).map_err(|error| TestCaseError::fail(format!("{query} as {printed}: {error}")))?;
    prop_assert_eq!(tree.without_spans(), again.without_spans(), "{} as {}", query, printed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_parses_to_the_same_tree(query in prop_oneof![vector(Language::V3), scalar(Language::V3)]) {
        check(&query)?;
    }

    #[test]
    fn after_enforcement_every_selector_of_the_text_has_the_matcher(query in vector(Language::V3)) {
        let matcher = Matcher::new("team", MatcherOp::Regex, "red|a\\.b");
        let mut tree = parse(&query).map_err(|error| TestCaseError::fail(format!("{query}: {error}")))?;
        let before = selectors(&tree).count();
        enforce(&mut tree, &matcher).unwrap();
        let again = parse(&tree.to_string()).unwrap();
        prop_assert_eq!(selectors(&again).count(), before);
        for selector in selectors(&again) {
            let last = selector.matchers.last().cloned().unwrap();
            prop_assert_eq!(Matcher::new(last.name, last.op, last.value), matcher.clone());
        }
    }

    #[test]
    fn no_input_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..24)) {
        let query = words.concat();
        match parse(&query) {
            Ok(_) => check(&query)?,
            Err(error) => {
                prop_assert!(query.get(error.span.clone()).is_some(), "{}: {:?}", query, error);
                prop_assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
            }
        }
    }

    #[test]
    fn no_text_panics(query in any::<String>()) {
        if let Ok(tree) = parse(&query) {
            prop_assert!(parse(&tree.to_string()).is_ok());
        }
    }
}

const WORDS: &[&str] = &[
    "up",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "5m",
    "1",
    ":",
    ",",
    "=",
    "=~",
    "!=",
    "!~",
    "\"a\"",
    "'",
    "`b`",
    "#x\n",
    " ",
    "offset",
    " offset ",
    "@",
    " @ ",
    "start",
    "()",
    "-",
    "+",
    "^",
    "*",
    " or ",
    " and ",
    " bool ",
    " on ",
    " by ",
    "sum",
    "topk",
    "rate",
    "info",
    " group_left ",
    " fill(",
    ">/",
    "</",
    "\\",
    "日",
    "\u{fffd}",
    "0x",
    "1e",
    "NaN",
    "step()",
    "max(",
    " smoothed ",
    "::",
    "== ",
    "\n",
];

#[track_caller]
fn prints(query: &str, expected: &str) {
    assert_eq!(parse(query).unwrap().to_string(), expected);
}

#[test]
fn operators_bind_as_in_prometheus() {
    let bound = |query: &str| {
        fn show(expr: &lynceus_promql::Expr) -> String {
            match expr {
                lynceus_promql::Expr::Binary(b) => format!("[{} {} {}]", show(&b.lhs), b.op.as_str(), show(&b.rhs)),
                lynceus_promql::Expr::Unary(u) => format!("[{}{}]", u.sign.as_str(), show(&u.expr)),
                other => other.to_string(),
            }
        }
        show(&parse(query).unwrap())
    };
    assert_eq!(bound("1 + 2 * 3 ^ 4 ^ 5"), "[1 + [2 * [3 ^ [4 ^ 5]]]]");
    assert_eq!(bound("a - b - c"), "[[a - b] - c]");
    assert_eq!(bound("-2 ^ 2"), "[-[2 ^ 2]]");
    assert_eq!(bound("2 ^ -3 * 4"), "[[2 ^ -3] * 4]");
    assert_eq!(bound("-a * b"), "[[-a] * b]");
    assert_eq!(bound("a or b and c unless d"), "[a or [[b and c] unless d]]");
    assert_eq!(bound("a == b + c > bool d"), "[[a == [b + c]] > d]");
    assert_eq!(bound("a % b atan2 c"), "[[a % b] atan2 c]");
    assert_eq!(bound("a offset 5m + b"), "[a offset 5m + b]");
    assert_eq!(bound("a offset -2 ^ 2"), "[a offset -2s ^ 2]");
}

#[test]
fn the_text_is_plain_and_known_to_prometheus_2_where_it_can_be() {
    prints("SUM(x)BY(a,b)", "sum by (a, b) (x)");
    prints("x[300]", "x[5m]");
    prints("x offset 0s", "x");
    prints(r#"{"up", 'a b'='c'}"#, r#"{__name__="up","a b"="c"}"#);
    prints(r"x{a=~`\d`}", r#"x{a=~"\\d"}"#);
    prints("1e3 + 0x10 + 1e300", "1000 + 16 + 1e300");
    prints("a+ignoring(b)group_left c", "a + ignoring (b) group_left () c");
    prints("a + fill(1) b", "a + fill_left (1) fill_right (1) b");
    prints("1 + on() 2", "1 + 2");
    prints("x @ 1.5 offset 1m", "x offset 1m @ 1.500");
}

#[test]
fn nodes_know_where_they_stand() {
    let query = "sum by (a) (rate(x{b=\"c\"}[5m] offset 1m)) / 2";
    let at = |text: &str| query.find(text).unwrap();
    let tree = parse(query).unwrap();
    let mut seen = Vec::new();
    lynceus_promql::walk(&tree, &mut |expr| seen.push(&query[expr.span().range()]));
    assert_eq!(
        seen,
        [
            query,
            "sum by (a) (rate(x{b=\"c\"}[5m] offset 1m))",
            "rate(x{b=\"c\"}[5m] offset 1m)",
            "x{b=\"c\"}[5m] offset 1m",
            "2",
        ]
    );
    let selector = selectors(&tree).next().unwrap();
    assert_eq!(selector.metric_name(), Some("x"));
    assert_eq!(selector.matchers[0].span.range(), at("b=")..at("}"));
}
