//! Queries over samples of every kind: no panic, and each step of a range is the instant query at its time.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lynceus_promql::{CUSTOM_SCHEMA, Histogram, Labels, Memory, Options, STALE, Value, parse, query, query_range};

const STEPS: [i64; 4] = [15_000, 60_000, 61_001, 300_000];

/// Floats with gaps, NaN, resets and stale markers, classic histograms, native ones of both kinds, and a mix.
static DATA: LazyLock<Memory> = LazyLock::new(|| {
    let mut memory = Memory::new();
    let names = ["up", "x_total", "b_bucket", "h", "c", "target_info"];
    for (n, name) in names.iter().enumerate() {
        for vm in 0..3_i64 {
            let (id, le) = (vm.to_string(), ["1", "2.5", "+Inf"][vm as usize]);
            let labels = match *name {
                "b_bucket" => Labels::new([("__name__", *name), ("job", "j"), ("le", le)]),
                _ => Labels::new([("__name__", *name), ("instance", "i"), ("job", "j"), ("vm", &id)]),
            };
            for at in 0..40_i64 {
                let (time, number) = (at * 30_000 + vm * 500 + n as i64, ((at * 7) % 40 + vm) as f64);
                match (at + vm + n as i64) % 17 {
                    3 => {}
                    5 => memory.push_float(&labels, time, STALE, 0),
                    8 if n < 2 => memory.push_float(&labels, time, f64::NAN, 0),
                    _ if *name == "h" || (*name == "x_total" && vm == 2 && at > 30) => {
                        let positive = vec![(-1, number), (1 + (at % 3) as i32, 2.0)];
                        let schema = (at % 4) as i32 - 1;
                        let histogram =
                            Histogram { schema, count: number + 2.0, sum: number, positive, ..Histogram::default() };
                        memory.push_histogram(&labels, time, histogram, time - 1000);
                    }
                    _ if *name == "c" => {
                        let custom_bounds = if at % 9 == 0 { vec![1.0, 5.0] } else { vec![1.0, 2.5] };
                        let positive = vec![(0, number), (2, 1.0)];
                        let count = number + 1.0;
                        let schema = CUSTOM_SCHEMA;
                        let histogram =
                            Histogram { schema, count, sum: number, positive, custom_bounds, ..Histogram::default() };
                        memory.push_histogram(&labels, time, histogram, 0);
                    }
                    _ => memory.push_float(&labels, time, number, 0),
                }
            }
        }
    }
    memory
});

fuzz_target!(|input: (u8, i16, &str)| {
    let (flags, start, text) = input;
    let Ok(expr) = parse(text) else { return };
    let options = Options {
        max_samples: 20_000,
        max_steps: 10,
        delayed_name_removal: flags & 1 != 0,
        start_timestamps: flags & 2 != 0,
        type_and_unit_labels: flags & 4 != 0,
        ..Options::default()
    };
    let step = STEPS[usize::from(flags >> 6)];
    let start = i64::from(start) * 100;
    let times = [start, start + step, start + 2 * step];
    let Ok(range) = query_range(&expr, (start, times[2], step), &*DATA, &options) else {
        drop(query(&expr, start, &*DATA, &options));
        return;
    };
    // These are defined by the query's times.
    let words = text.to_lowercase();
    if ["start", "end", "step", "range"].iter().any(|word| words.contains(word)) {
        return;
    }
    let Value::Matrix(series) = range.value else { panic!("{text}: a range is no matrix") };
    for time in times {
        // One step takes less than three.
        let answer = query(&expr, time, &*DATA, &options).unwrap_or_else(|error| panic!("{text} at {time}: {error}"));
        let here = series.iter().flat_map(|one| one.samples()).filter(|sample| sample.time == time).count();
        let expected = match &answer.value {
            Value::Scalar(..) => 1,
            Value::Text(..) => 0,
            Value::Vector(series) | Value::Matrix(series) => series.len(),
        };
        assert_eq!(here, expected, "{text} at {time}");
    }
});
