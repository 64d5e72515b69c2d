//! What a person reads whose query is wrong.

use lynceus_promql::parse;

/// The message, and what of the query it points to.
#[track_caller]
fn check(query: &str, message: &str, pointed: &str) {
    let error = parse(query).expect_err(query);
    assert_eq!((error.to_string().as_str(), &query[error.span.clone()]), (message, pointed));
}

#[test]
fn syntax_errors_say_what_is_expected_and_found_where() {
    check("", "1:1: expected an expression, found the end of the query", "");
    check("sum(", "1:5: expected an expression, found the end of the query", "");
    check("sum(up", "1:7: expected an operator, `,` or `)`, found the end of the query", "");
    check("up}", "1:3: expected an operator or the end of the query, found `}`", "}");
    check("up{job}", "1:7: expected `=`, `!=`, `=~` or `!~`, found `}`", "}");
    check("up{job=api}", "1:8: expected a string, found `api`", "api");
    check("up{job=\"a\" env=\"b\"}", "1:12: expected `,` or `}`, found `env`", "env");
    check("rate(up[])", "1:9: expected a duration, found `]`", "]");
    check("up[5m", "1:6: expected `:` or `]`, found the end of the query", "");
    check("up offset", "1:10: expected a duration, found the end of the query", "");
    check("up @ now", "1:6: expected a timestamp, `start()` or `end()`, found `now`", "now");
    check("sum by job (up)", "1:8: expected `(`, found `job`", "job");
    check("sum(up,)", "1:8: expected an expression, found `)`", ")");
    check("a group_left b", "1:3: expected an operator or the end of the query, found `group_left`", "group_left");
    check("a + group_left b", "1:5: expected `on (...)` or `ignoring (...)`, found `group_left` alone", "group_left");
    check("a\n+ # why\n  ) b", "3:3: expected an expression, found `)`", ")");
    check("日本 + )", "1:1: unexpected character '日'", "日");
    check("\"日本\" + )", "1:8: expected an expression, found `)`", ")");
    check("on", "1:1: expected an expression, found `on`", "on");
}

#[test]
fn literals_that_are_none_are_named() {
    check("up{a=\"b}", "1:6: expected \" at the end of the string, found none", "\"b}");
    check(
        r#"up{a=~"\d"}"#,
        r"1:8: unknown escape sequence `\d` (write \\ for a backslash, or quote the string with `)",
        r"\d",
    );
    check("up[5q]", "1:4: expected a unit out of ms, s, m, h, d, w, y, found `5q`", "5q");
    check("up[1m1h]", "1:4: expected units from long to short, each once, found `1m1h`", "1m1h");
    check(
        "up[1.5m]",
        "1:4: expected a number or a duration, found `1.5m` (a duration has whole numbers: 1m30s, not 1.5m)",
        "1.5m",
    );
    check("up[0s]", "1:4: expected a duration greater than 0, found `0s`", "0s");
    check("up[-5m]", "1:4: expected a duration greater than 0, found `-5m`", "-5m");
    check("up[300y]", "1:4: expected less than 292 years, found `300y`", "300y");
    check("1..2", "1:1: expected a number or a duration, found `1..2`", "1..2");
    check(
        "0xfffffffffffffffff",
        "1:1: expected a number within the range of 64 bits, found `0xfffffffffffffffff`",
        "0xfffffffffffffffff",
    );
    check("up{a=~\"(\"}", "1:7: bad regular expression: missing closing `)`", "\"(\"");
    check("up @ 1e300", "1:6: expected a timestamp in seconds since 1970, found one out of range", "1e300");
    check("“x”", "1:1: unexpected character '“' (quotes are \", ' and `)", "“");
}

#[test]
fn types_are_checked() {
    check(
        "rate(up)",
        "1:6: expected a range vector as argument 1 of `rate`, found an instant vector (add a range: `[5m]`)",
        "up",
    );
    check(
        "sum(1)",
        "1:5: expected an instant vector as argument of `sum`, found a scalar (make one with `vector(...)`)",
        "1",
    );
    check(
        "topk(up, up)",
        "1:6: expected a scalar as parameter of `topk`, found an instant vector (make one with `scalar(...)`)",
        "up",
    );
    check("topk(up)", "1:1: expected 2 arguments of `topk`, found 1", "topk(up)");
    check("count_values(1, up)", "1:14: expected a string as parameter of `count_values`, found a scalar", "1");
    check("up[5m] + 1", "1:1: expected a scalar or an instant vector beside `+`, found a range vector", "up[5m]");
    check("-up[5m]", "1:2: expected a scalar or an instant vector behind the sign, found a range vector", "up[5m]");
    check("1 and up", "1:3: expected instant vectors on both sides of `and`, found a scalar", "and");
    check("1 > 2", "1:3: expected `> bool` between scalars, found `>`", ">");
    check("a + bool b", "1:3: expected `bool` behind comparisons only, found it behind `+`", "+");
    check("a and on (x) group_left b", "1:3: expected no `group_left` and no `group_right` behind `and`", "and");
    check("a + on (x) group_left (x) b", "1:24: expected label `x` in `on` or in the group, found it in both", "x");
    check("a + on (x) 1", "1:3: expected instant vectors on both sides of a matching, found a scalar", "+");
    check("round(up, 1, 2)", "1:1: expected 1 to 2 arguments in the call to `round`, found 3", "round(up, 1, 2)");
    check("pi(1)", "1:1: expected 0 arguments in the call to `pi`, found 1", "pi(1)");
    check(
        "sum(up)[5m]",
        "1:8: expected a range behind a selector, found it behind an expression (a subquery has a colon: `[5m:]`)",
        "[5m]",
    );
    check("up offset 5m[5m]", "1:13: expected the range before `offset` and `@`, found it behind them", "[5m]");
    check("up offset 5m offset 1m", "1:14: expected one `offset`, found a second one", "offset 1m");
    check("sum(up) @ 1", "1:9: expected `@` behind a selector or a subquery only", "@");
}

#[test]
fn what_is_not_known_is_refused_with_a_suggestion() {
    check("rat(up[5m])", "1:1: unknown function `rat` (did you mean `rate`?)", "rat");
    check("frobnicate(up)", "1:1: unknown function `frobnicate`", "frobnicate");
    check(
        "holt_winters(up[5m], 0.1, 0.1)",
        "1:1: unknown function `holt_winters` (Prometheus 3 calls it `double_exponential_smoothing`)",
        "holt_winters",
    );
    check(
        "up{a=\"1\" or b=\"2\"}",
        "1:10: expected `,` or `}`, found `or` (`or` between matchers is not PromQL)",
        "or",
    );
    check(
        "a + b >/ 1",
        "1:7: expected parentheses around an operation beside `</` or `>/` (how tightly these operators bind is not documented)",
        ">/",
    );
}

#[test]
fn a_selector_of_everything_is_refused() {
    let message = "1:1: expected a metric name or a matcher that does not match the empty string, found none";
    for query in ["{}", "{a=\"\"}", "{a!=\"b\"}", "{a=~\".*\"}", "{a!~\".+\"}", "{a=~\"b|\"}"] {
        check(query, message, query);
    }
    for query in ["{a=~\".+\"}", "{a!~\".*\"}", "{a!=\"\"}", "{a=\"b\", c=\"\"}", "{a=\"\", b=~\"c\"}"] {
        assert!(parse(query).is_ok(), "{query}");
    }
    check("up{__name__=\"x\"}", "1:4: expected the metric name once, found it twice", "__name__=\"x\"");
}
