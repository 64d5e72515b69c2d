//! Performance answers, as XML and as CSV, and the books that take them in: samples that came twice count once.

#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use lynceus_exporter::catalogue::Class;
use lynceus_exporter::ledger::Ledger;
use lynceus_exporter::vsphere::{Answer, decode_performance, open};

fuzz_target!(|text: &str| {
    let Ok(Answer::Response(xml)) = open(text, "QueryPerfResponse") else { return };
    let Ok(answers) = decode_performance(xml) else { return };
    let counters = Class::Vm.counters();
    let place = |id: i32, _of_device: bool| usize::try_from(id).ok().filter(|place| *place < counters.len());
    let mut ledger = Ledger::new(counters.clone());
    for answer in &answers {
        for series in &answer.series {
            assert_eq!(series.values.len(), answer.times.len());
        }
        ledger.take(&answer.id, answer, place, Instant::now());
        // A mark of 0 is none: nothing was sampled in 1970.
        if !answer.times.contains(&0) {
            let again = ledger.take(&answer.id, answer, place, Instant::now());
            assert_eq!(again.samples, 0);
        }
    }
});
