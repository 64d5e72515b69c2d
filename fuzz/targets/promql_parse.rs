//! Queries as text: no panic, what is printed is the same query, and enforcement leaves no selector out.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_promql::{Matcher, MatcherOp, enforce, parse, selectors};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(mut tree) = parse(text) else { return };
    let printed = tree.to_string();
    let again = parse(&printed).unwrap_or_else(|error| panic!("printed as {printed}: {error}"));
    assert_eq!(tree.clone().without_spans(), again.without_spans(), "printed as {printed}");
    let matcher = Matcher::new("team", MatcherOp::Equal, "red");
    if enforce(&mut tree, &matcher).is_ok() {
        assert!(selectors(&tree).all(|selector| selector.matchers.contains(&matcher)), "{printed}");
    }
});
