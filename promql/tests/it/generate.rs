//! Queries that are right by construction, each type apart, as people and machines write them.

use proptest::prelude::*;

/// Which Prometheus has to understand the queries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// Debian's.
    V2,
    /// All that the parser knows.
    V3,
}

fn pick(items: &'static [&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(items).prop_map(str::to_owned).boxed()
}

fn either(v2: &'static [&'static str], more: &'static [&'static str], language: Language) -> BoxedStrategy<String> {
    match language {
        Language::V2 => pick(v2),
        Language::V3 => prop_oneof![3 => pick(v2), 1 => pick(more)].boxed(),
    }
}

fn matcher(language: Language) -> BoxedStrategy<String> {
    either(
        &[
            r#"a="b""#,
            "a!='c'",
            r#"a=~"b|c.*""#,
            r"b!~`\d+\.\w`",
            r#"sum="x""#,
            r#"offset = "\"\\\n""#,
            r#"c="日本""#,
            r#"d=~"[a-c]{2,3}x?""#,
            r#"e!="""#,
        ],
        &[r#""my.label"="x""#, r#"'weird "name'!='y'"#],
        language,
    )
}

fn labels(language: Language) -> BoxedStrategy<String> {
    let label = either(&["a", "b", "vm_id", "on", "by", "group_left", "start"], &[r#""my.label""#], language);
    prop::collection::vec(label, 0..3)
        .prop_map(|mut labels| {
            labels.dedup();
            format!("({})", labels.join(", "))
        })
        .boxed()
}

fn selector(language: Language) -> BoxedStrategy<String> {
    let name = either(
        &["up", "node_cpu_seconds_total", "job:up:sum", "sum", "by", "offset", "and", "start", "_x", "count_values"],
        &["step", "range", "fill", "smoothed", "fill_left"],
        language,
    );
    let matchers = prop::collection::vec(matcher(language), 0..3).prop_map(|m| m.join(", "));
    let nameless = either(
        &[r#"{__name__="up"}"#, r#"{a="b"}"#, r#"{__name__=~"vsphere_.+"}"#],
        &[r#"{"my.metric"}"#, r#"{"my.metric", a="b",}"#],
        language,
    );
    prop_oneof![
        3 => name.clone(),
        3 => (name, matchers).prop_map(|(name, matchers)| format!("{name}{{{matchers}}}")),
        1 => nameless,
    ]
    .boxed()
}

fn modifiers(language: Language) -> BoxedStrategy<String> {
    either(
        &["", "", "", " offset 5m", " offset -1h30m", " @ 1609746000.123", " @ start()", " @ end() offset 1d", " @ -1"],
        &[
            " offset 90",
            " offset (5m * 2) @ 7",
            " offset -(step() + 1m) @ 5",
            " offset step()",
            " offset max_of(1m, step())",
        ],
        language,
    )
}

fn range(language: Language) -> BoxedStrategy<String> {
    either(
        &["5m", "1h", "1w", "90s", "500ms"],
        &["300", "5m + 30s", "-2m ^ 2", "(1h / 2) % 7m", "step() * 4"],
        language,
    )
}

/// A query that gives an instant vector.
pub(crate) fn vector(language: Language) -> BoxedStrategy<String> {
    let leaf = (selector(language), modifiers(language)).prop_map(|(s, m)| format!("{s}{m}"));
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let matrix = prop_oneof![
            (selector(language), range(language), modifiers(language)).prop_map(|(s, r, m)| format!("{s}[{r}]{m}")),
            (inner.clone(), range(language), pick(&["", "1m", "30s"]), modifiers(language))
                .prop_map(|(v, r, step, m)| format!("({v})[{r}:{step}]{m}")),
            (inner.clone(), range(language)).prop_map(|(v, r)| format!("max(rate(({v})[{r}:]))[1h:]")),
        ];
        let function = either(
            &["rate", "increase", "avg_over_time", "last_over_time", "absent_over_time", "changes"],
            &["first_over_time", "mad_over_time"],
            language,
        );
        let grouping = prop_oneof![
            Just(String::new()),
            labels(language).prop_map(|l| format!(" by {l}")),
            labels(language).prop_map(|l| format!(" without {l}")),
        ];
        let operator = pick(&["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<= bool", ">", ">= bool"]);
        let matching = prop_oneof![
            3 => Just(String::new()),
            1 => labels(language).prop_map(|l| format!("on {l}")),
            1 => labels(language).prop_map(|l| format!("ignoring {l}")),
            1 => labels(language).prop_map(|l| format!("on {l} group_left (extra)")),
            1 => labels(language).prop_map(|l| format!("ignoring {l} group_right ()")),
        ];
        let set = (
            pick(&["and", "or", "unless", "AND"]),
            prop_oneof![Just(String::new()), labels(language).prop_map(|l| format!(" on {l}")),],
        );
        prop_oneof![
            (function, matrix.clone()).prop_map(|(f, m)| format!("{f}({m})")),
            (scalar(language), matrix).prop_map(|(s, m)| format!("quantile_over_time({s}, {m})")),
            (pick(&["sum", "avg", "COUNT", "min", "stddev", "group"]), grouping.clone(), inner.clone())
                .prop_map(|(a, g, v)| format!("{a}{g} ({v})")),
            (pick(&["topk", "bottomk", "quantile"]), scalar(language), inner.clone(), grouping.clone())
                .prop_map(|(a, s, v, g)| format!("{a}({s}, {v}){g}")),
            (grouping, inner.clone()).prop_map(|(g, v)| format!("count_values{g} (\"value\", {v})")),
            (inner.clone(), operator.clone(), matching, inner.clone()).prop_map(|(a, o, m, b)| if m.is_empty() {
                format!("{a} {o} {b}")
            } else {
                format!("({a}) {o} {m} ({b})")
            }),
            (inner.clone(), set, inner.clone()).prop_map(|(a, (o, m), b)| format!("({a}) {o}{m} ({b})")),
            (inner.clone(), operator, scalar(language)).prop_map(|(a, o, s)| format!("{a} {o} {s}")),
            inner.clone().prop_map(|v| format!("({v})")),
            inner.clone().prop_map(|v| format!("-{v}")),
            inner.clone().prop_map(|v| format!("label_replace({v}, 'x', '$1', \"y\", `(.*)`)")),
            inner.clone().prop_map(|v| format!("absent({v}) # a comment: }}\"\n")),
            inner.prop_map(|v| format!("histogram_quantile(0.9, {v})")),
            scalar(language).prop_map(|s| format!("vector({s})")),
        ]
    })
    .boxed()
}

/// A query that gives a scalar.
pub(crate) fn scalar(language: Language) -> BoxedStrategy<String> {
    let leaf = either(
        &["1", "0.5", "-3", "1e3", "0x1f", "+Inf", "NaN", "-inf", "017", "1e-9", "123456789012345678901234", "time()"],
        &["1_000", "5m", "-1h30m", "step()", "end()"],
        language,
    );
    leaf.prop_recursive(2, 6, 2, move |inner| {
        prop_oneof![
            (inner.clone(), pick(&["+", "-", "*", "/", "%", "^", "== bool", "atan2"]), inner.clone())
                .prop_map(|(a, o, b)| format!("{a} {o} {b}")),
            inner.clone().prop_map(|s| format!("({s})")),
            inner.prop_map(|s| format!("-{s}")),
            (selector(language)).prop_map(|s| format!("scalar({s})")),
        ]
    })
    .boxed()
}
