//! Every expression of Prometheus' own test scripts is read, or stands in the ledger with the reason.

use std::collections::BTreeMap;

use lynceus_promql::parse;

use crate::suite;

/// What is refused on purpose. An expression that is read and still stands here fails the test.
const LEDGER: [(&str, &str); 2] = [
    (r#"count_values("a\xc5z", version)"#, "a label name that is not UTF-8; Prometheus refuses it when it evaluates"),
    (
        r#"label_replace(testmetric, "\xff", "", "src", "(.*)")"#,
        "a label name that is not UTF-8; Prometheus refuses it when it evaluates",
    ),
];

/// The expressions of a script, and whether each has to fail; where it fails, parsing may be the reason.
fn expressions(script: &str) -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for line in script.lines() {
        let (word, rest) = first_word(line);
        if word == "eval" || word.starts_with("eval_") {
            // `instant at 5m`, `range from 0 to 10m step 1m`
            let before = if rest.starts_with("range") { 7 } else { 3 };
            let expression = (0..before).fold(rest, |rest, _| first_word(rest).1);
            found.push((expression.to_owned(), word == "eval_fail"));
        } else if word == "expect"
            && first_word(rest).0 == "fail"
            && let Some(last) = found.last_mut()
        {
            last.1 = true;
        }
    }
    found
}

fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    (word, rest.trim_start())
}

#[test]
fn every_expression_of_prometheus_scripts_is_read() {
    let Some(scripts) = suite::scripts() else { return };
    let ledger: BTreeMap<_, _> = LEDGER.into();
    let mut refused = BTreeMap::new();
    let mut read = 0;
    for script in scripts.values() {
        for (expression, fails) in expressions(script) {
            match parse(&expression) {
                Ok(tree) => {
                    read += 1;
                    let printed = tree.to_string();
                    let again = parse(&printed).unwrap_or_else(|error| panic!("{expression} as {printed}: {error}"));
                    assert_eq!(tree.without_spans(), again.without_spans(), "{expression} as {printed}");
                }
                Err(error) => {
                    let kind = if fails { "which may fail" } else { "which must not fail" };
                    refused.insert(expression, format!("{kind}: {error}"));
                }
            }
        }
    }
    eprintln!("{read} expressions read, {} refused", refused.len());
    assert!(read > 1500, "{read} expressions are too few to be all");
    let unexpected: Vec<_> = refused.iter().filter(|(e, _)| !ledger.contains_key(e.as_str())).collect();
    assert!(unexpected.is_empty(), "refused: {unexpected:#?}");
    let held: Vec<_> = ledger.keys().filter(|e| !refused.contains_key(**e)).collect();
    assert!(held.is_empty(), "in the ledger, but read: {held:#?}");
}
