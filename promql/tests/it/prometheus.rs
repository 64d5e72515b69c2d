//! A running Prometheus as judge: it takes what is printed here, and sees the same tree in a query.

use lynceus_demo::{free_port, parts, tool};
use lynceus_promql::{Expr, Grouping, Sign, parse};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::generate::{Language, scalar, vector};

/// Prometheus' own print of `query`, or its complaint.
async fn format_query(client: &reqwest::Client, port: u16, query: &str) -> Result<String, String> {
    let url = format!("http://127.0.0.1:{port}/api/v1/format_query");
    let answer = client.post(url).form(&[("query", query)]).send().await.unwrap();
    let body: serde_json::Value = answer.json().await.unwrap();
    match body["data"].as_str() {
        Some(formatted) => Ok(formatted.to_owned()),
        None => Err(body["error"].to_string()),
    }
}

/// Prometheus prints matchers in order, and no `by ()`.
fn comparable(expr: Expr) -> Expr {
    fn sort(expr: &mut Expr) {
        match expr {
            Expr::Vector(selector) => selector.matchers.sort_by_key(|m| m.to_string()),
            Expr::Matrix(matrix) => matrix.selector.matchers.sort_by_key(|m| m.to_string()),
            Expr::Subquery(e) => sort(&mut e.expr),
            Expr::Unary(e) => {
                sort(&mut e.expr);
                // 2.42 prints a sign before infinity, which is an operation where a power follows.
                if e.sign == Sign::Plus {
                    *expr = (*e.expr).clone();
                }
            }
            Expr::Paren(e) => sort(&mut e.expr),
            Expr::Call(e) => e.args.iter_mut().for_each(sort),
            Expr::Binary(e) => {
                sort(&mut e.lhs);
                sort(&mut e.rhs);
                // 2.42 prints nothing of a matching that ignores nothing, not even its group.
                if e.matching.on.as_ref().is_some_and(|on| on.ignoring && on.labels.is_empty()) {
                    (e.matching.on, e.matching.group) = (None, None);
                }
            }
            Expr::Aggregate(e) => {
                e.param.iter_mut().for_each(|param| sort(param));
                sort(&mut e.expr);
                e.grouping.take_if(|Grouping { without, labels }| !*without && labels.is_empty());
            }
            Expr::Number(_) | Expr::String(_) => {}
        }
    }
    let mut expr = expr.without_spans();
    sort(&mut expr);
    expr
}

#[tokio::test]
async fn prometheus_reads_queries_and_their_printed_form_alike() {
    if tool("prometheus").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _prometheus = parts::prometheus(dir.path(), "", port, &[]).await.unwrap();
    let client = reqwest::Client::new();
    let queries = proptest::prop_oneof![4 => vector(Language::V2), 1 => scalar(Language::V2)];
    let mut runner = TestRunner::deterministic();
    for _ in 0..400 {
        let query = queries.new_tree(&mut runner).unwrap().current();
        let tree = parse(&query).unwrap();
        let printed = tree.to_string();
        let theirs = match format_query(&client, port, &query).await {
            Ok(theirs) => theirs,
            Err(error) => panic!("Prometheus refuses the query {query}: {error}"),
        };
        let of_printed = format_query(&client, port, &printed).await;
        assert_eq!(of_printed.as_ref(), Ok(&theirs), "printed {printed} of {query}");
        let again = parse(&theirs).unwrap_or_else(|error| panic!("{theirs}: {error}"));
        assert_eq!(comparable(again), comparable(tree), "{query}\nis for Prometheus\n{theirs}");
    }
}

/// Queries on the edge of the language: both accept, or both refuse.
const EDGES: &[&str] = &[
    "a}",
    "{}",
    "{a=\"\"}",
    "{a=~\".*\"}",
    "{a!~\".+\"}",
    "a{,}",
    "a{b=\"c\",}",
    "sum(a,)",
    "sum()",
    "sum by (a,) (b)",
    "sum by (,) (b)",
    "on",
    "bool",
    "ignoring",
    "group_left",
    "atan2",
    "sum",
    "by",
    "offset",
    "start",
    "end",
    "start{}",
    "a offset 5m offset 5m",
    "a @ 1 @ 2",
    "a @ start",
    "a @ (1)",
    "a @ 1e20",
    "a offset 5",
    "a[5]",
    "a[5m] offset 1m",
    "a offset 1m[5m]",
    "a[5m:]",
    "a[5m:1m",
    "a[5m:1m:1m]",
    "a[0s]",
    "a[5m][5m]",
    "a[5m:][5m:]",
    "(a)[5m]",
    "(a)[5m:]",
    "1[5m:]",
    "\"x\"",
    "\"x\" + 1",
    "-\"x\"",
    "1 > 2",
    "1 > bool 2",
    "a > bool 1",
    "a and 1",
    "a + bool b",
    "a or bool b",
    "a + on(b) 1",
    "a + on() 1",
    "1 + on() group_left() a",
    "a and on(b) group_left c",
    "a + on(b) group_left(b) c",
    "a + ignoring(b) group_left(b) c",
    "a + group_left c",
    "rate(a)",
    "rate(a[5m:])",
    "rate(1)",
    "topk(a, b)",
    "topk(b)",
    "count_values(\"x\", a)",
    "count_values(x, a)",
    "round(a)",
    "round(a, 1, 2)",
    "label_join(a, \"b\", \"c\")",
    "label_join(a, \"b\")",
    "day_of_week()",
    "day_of_week(1)",
    "time(1)",
    "nope(a)",
    "RATE(a[5m])",
    "SUM(a)",
    "a OR b",
    "1.",
    ".5",
    "1..2",
    "1e",
    "1e5",
    "0x",
    "0xg",
    "017",
    "09",
    "1_000",
    "Inf",
    "infinity",
    "NAN",
    "+Inf",
    "--1",
    "-+-1",
    "1 2",
    "a b",
    "a:b:c",
    ":a",
    "a{b:c=\"d\"}",
    "sum by (b:c) (a)",
    "5m",
    "a{b=c}",
    "a{b='c'}",
    "a{b=`c`}",
    "a{b=\"\\d\"}",
    "a{b=\"\\x41\"}",
    "a{b=\"\\'\"}",
    "a{b='\\''}",
    "a{b=\"\n\"}",
    "a{b=`\n`}",
    "a{b=\"\u{fffd}\"}",
    "a{b=~\"(\"}",
    "a{b=~\"*\"}",
    "a{b=~\"a**\"}",
    "a{b=~\"a{1001}\"}",
    "a{b=~\"[[:nope:]]\"}",
    "a{b=~\"\\\\pN\"}",
    "a{b=~\"(?i)x\"}",
    "a{b=~\"(?x)x\"}",
    "a{b=~\"\\\\Qx\\\\E\"}",
    "a{b=~\"x{,3}\"}",
    "a{b=~\"\\\\1\"}",
    "a{b=~\"(?=x)\"}",
    "a#c\n+b",
    "# only",
    "",
    " ",
    "a{#}\nb=\"c\"}",
    "a[5m #]\n]",
    "a{__name__=\"b\"}",
    "{__name__=\"a\",__name__=\"b\"}",
    "a ! = b",
    "a !~ b",
    "a =~ b",
    "a = b",
    "(a",
    "a)",
    "((a))",
    "a[5m]+1",
    "-a[5m]",
    "(a[5m])",
    "rate((a[5m]))",
    "a{b=\"1\" or c=\"2\"}",
    "sum without (a) by (b) (c)",
    "sum by (a) (b) by (c)",
    "a\u{a0}+b",
    "a;b",
    "a offset -5m",
    "a offset - 5m",
    "a @ -1",
    "a @ +1",
    "a[1m1h]",
    "a[1h1m]",
    "a[5mm]",
    "a[1y1w1d]",
    "a[-5m]",
    "1 ^ 2 ^ 3",
    "a^-b",
];

/// Where the newer language, or caution, differs from Prometheus 2.42.
const DIFFERENT: &[(&str, &str)] = &[
    ("a offset 5", "a number of seconds is a duration in Prometheus 3"),
    ("a[5]", "a number of seconds is a duration in Prometheus 3"),
    ("5m", "a duration is a number in Prometheus 3"),
    ("1_000", "Prometheus 3 allows underscores in numbers"),
    ("sum by (b:c) (a)", "Prometheus 3 allows any label name"),
];

#[tokio::test]
async fn prometheus_accepts_and_refuses_the_same_edge_cases() {
    if tool("prometheus").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _prometheus = parts::prometheus(dir.path(), "", port, &[]).await.unwrap();
    let client = reqwest::Client::new();
    let mut differences = Vec::new();
    for query in EDGES {
        let ours = parse(query).map(|tree| tree.to_string()).map_err(|error| error.to_string());
        let theirs = format_query(&client, port, query).await;
        let known = DIFFERENT.iter().any(|(different, _)| different == query);
        if (ours.is_ok() == theirs.is_ok()) == known {
            differences.push(format!("{query}\n  here: {ours:?}\n  Prometheus: {theirs:?}\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.concat());
}
