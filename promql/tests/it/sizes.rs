//! No query costs more than its length, in time or in stack.

use std::cell::Cell;
use std::time::{Duration, Instant};

use lynceus_promql::limits::{MAX_BYTES, MAX_NESTING, MAX_OPERATORS};
use lynceus_promql::{
    EvalError, Labels, Matcher, MatcherOp, Memory, Options, enforce, parse, query, query_range, selectors,
};

/// Half of what a thread of tokio has.
const STACK: usize = 1 << 20;

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(test).unwrap().join().unwrap();
}

#[test]
fn the_deepest_trees_fit_on_half_a_stack() {
    on_a_small_stack(|| {
        // The operand in the middle takes a level too, and so does the right side of an operator.
        let nested = MAX_NESTING - 2;
        let chain = vec!["up"; MAX_OPERATORS].join(" + ");
        let queries = [
            format!("{}up{}", "(".repeat(nested), ")".repeat(nested)),
            format!("{}up", "-".repeat(nested)),
            format!("{}up{}", "abs(".repeat(nested), ")".repeat(nested)),
            format!("{}{chain}{}", "(".repeat(nested), ")".repeat(nested)),
            format!("up[{}1m{}]", "(".repeat(nested - 1), ")".repeat(nested - 1)),
            format!("{}up{}", "sum(rate(".repeat(60), "[1m:]))".repeat(60)),
        ];
        for query in queries {
            let mut tree = parse(&query).unwrap();
            assert_eq!(tree, tree.clone());
            enforce(&mut tree, &Matcher::new("team", MatcherOp::Equal, "red")).unwrap();
            let again = parse(&tree.to_string()).unwrap();
            assert_eq!(selectors(&again).count(), query.matches("up").count());
            assert_eq!(again.without_spans(), tree.without_spans());
        }
    });
}

#[test]
fn deeper_and_longer_ones_are_refused() {
    on_a_small_stack(|| {
        let deep = 10_000;
        for query in [
            format!("{}up{}", "(".repeat(deep), ")".repeat(deep)),
            "(".repeat(deep),
            "-".repeat(deep),
            "1^".repeat(deep),
            "abs(".repeat(deep),
            format!("up[{}", "(".repeat(deep)),
            "up or ".repeat(deep),
            format!("up{}", "[1m:]".repeat(deep)),
            format!("up[1m{}]", " + 1m".repeat(deep)),
            "x".repeat(MAX_BYTES + 1),
        ] {
            assert!(parse(&query).is_err(), "{}...", &query[..10]);
        }
    });
}

#[test]
fn a_query_of_a_megabyte_is_read_or_refused_in_no_time() {
    let values = |n: usize| (0..n).map(|i| format!("l{i}=~\"value-{i}|other\"")).collect::<Vec<_>>().join(",");
    let queries = [
        format!("up{{{}}}", values(30_000)),
        format!("{{{},a=\"b\"}}", values(30_000)),
        format!("up{{a=\"{}\"}}", "x".repeat(MAX_BYTES - 100)),
        format!("up{{a=~\"{}\"}}", "(a|b)*[^c]{2}".repeat(60_000)),
        " ".repeat(MAX_BYTES),
        "#".repeat(MAX_BYTES),
        format!("label_join(up, {})", vec!["\"a\""; 200_000].join(",")),
        "\"".repeat(MAX_BYTES),
        "[".repeat(MAX_BYTES),
        "a".repeat(MAX_BYTES) + "(",
    ];
    for query in queries {
        let start = Instant::now();
        drop(parse(&query));
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?} for {}...", query.get(..20).unwrap_or_default());
    }
}

#[test]
fn labels_that_double_with_each_call_are_refused() {
    let mut memory = Memory::new();
    memory.push_float(&Labels::new([("__name__", "up"), ("a", "x")]), 0, 1.0, 0);
    for (begin, end, function) in [
        ("label_join(", ", \"a\", \"\", \"a\", \"a\")", "label_join"),
        ("label_replace(", ", \"a\", \"$1$1\", \"a\", \"(.*)\")", "label_replace"),
    ] {
        let nested = format!("{}up{}", begin.repeat(100), end.repeat(100));
        let began = Instant::now();
        let error = query(&parse(&nested).unwrap(), 0, &memory, &Options::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("{function}(): expected a label of up to 1048576 bytes, found more"));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_query_that_is_not_wanted_any_more_ends_within_a_series() {
    let mut memory = Memory::new();
    for at in 0..100_000 {
        memory.push_float(&Labels::new([("__name__", "up")]), at * 1000, 1.0, 0);
    }
    let asked = Cell::new(0);
    let cancelled = || asked.replace(asked.get() + 1) > 10;
    let options = Options { cancelled: &cancelled, ..Options::default() };
    let expr = parse("quantile_over_time(0.5, up[1d])").unwrap();
    let answer = query_range(&expr, (90_000_000, 99_000_000, 1000), &memory, &options);
    assert!(matches!(answer, Err(EvalError::Cancelled)));
}

#[test]
fn what_a_short_query_makes_counts_before_it_takes_room() {
    let mut memory = Memory::new();
    for at in 0..12_000 {
        memory.push_float(&Labels::new([("__name__", "up"), ("le", "+Inf")]), at * 1000, at as f64, 0);
        memory.push_float(&Labels::new([("__name__", "up"), ("le", "1")]), at * 1000, 1.0, 0);
    }
    let nested = format!("last_over_time(vector({}time(){})[40000000s:1s])", "time()+(".repeat(60), ")".repeat(60));
    for text in [
        "max_over_time(count_values(\"v\", vector(time()))[1000000s:1s])",
        "last_over_time(histogram_quantiles(up, \"q\", scalar(vector(time() / 1e5)))[11000s:1s])",
        &nested,
        "last_over_time((hour() + hour())[40000000s:1s])",
    ] {
        let began = Instant::now();
        let answer = query(
            &parse(text).unwrap_or_else(|error| panic!("{text}: {error}")),
            11_500_000,
            &memory,
            &Options::default(),
        );
        assert!(matches!(answer, Err(EvalError::TooManySamples)), "{text}: {answer:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{text}");
    }
}
