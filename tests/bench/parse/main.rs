//! Parsing, beside the crate promql-parser. Ends with 0 only when the goal, a third of its time, is held.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

const ROUNDS: usize = 31;
const GOAL: f64 = 1. / 3.;

fn main() -> ExitCode {
    let boards: Vec<String> =
        lynceus_dashboards::queries().map(|query| query.expr.replace("$vcenter", ".*").replace("$team", ".+")).collect();
    let long = (0..200)
        .map(|at| format!("sum by (team) (rate(metric_{at}_total{{vcenter=~\"a|b\", vm!=\"x{at}\"}}[5m] offset 1h))"))
        .collect::<Vec<_>>()
        .join(" + ");
    println!("{:<32} {:>10} {:>14} {:>8}", "parsing, us a query", "lynceus", "promql-parser", "ratio");
    let mut held = true;
    for (what, queries) in [("queries of our boards", boards), ("a sum of 200 rates", vec![long])] {
        let (own, peer) = measure(&queries);
        held &= own / peer <= GOAL;
        println!("{what:<32} {own:>10.2} {peer:>14.2} {:>8.3}", own / peer);
    }
    println!("bench-parse: the goal, {GOAL:.2}, is {}", if held { "held" } else { "MISSED" });
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Medians, in microseconds a query.
fn measure(queries: &[String]) -> (f64, f64) {
    for query in queries {
        lynceus_promql::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        promql_parser::parser::parse(query).unwrap_or_else(|error| panic!("promql-parser: {query}: {error}"));
    }
    let repeats = 2000 / queries.len().max(1) + 1;
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    // By turns, so that what disturbs one disturbs the other.
    for _ in 0..ROUNDS {
        own.push(round(queries, repeats, |query| drop(black_box(lynceus_promql::parse(query)))));
        peer.push(round(queries, repeats, |query| drop(black_box(promql_parser::parser::parse(query)))));
    }
    (median(own), median(peer))
}

fn round(queries: &[String], repeats: usize, parse: impl Fn(&str)) -> f64 {
    let start = Instant::now();
    for _ in 0..repeats {
        queries.iter().for_each(|query| parse(black_box(query)));
    }
    start.elapsed().as_secs_f64() * 1e6 / (repeats * queries.len()) as f64
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
