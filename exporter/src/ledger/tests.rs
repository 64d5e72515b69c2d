//! What the books promise.

use proptest::prelude::*;

use super::*;
use crate::catalogue::CounterUnit;
use crate::vsphere::PerfSeries;

const START: i64 = 1_767_225_600_000;

fn ledger() -> Ledger {
    let counter = |name, unit, by_instance| Counter { name, unit, by_instance };
    Ledger::new(vec![
        counter("cpu.ready.summation", CounterUnit::Millisecond, false),
        counter("net.received.average", CounterUnit::KiloBytesPerSecond, false),
        counter("virtualDisk.read.average", CounterUnit::KiloBytesPerSecond, true),
    ])
}

/// Values of the first counter at these multiples of 20 s.
fn answer(samples: &[(i64, i64)]) -> EntityPerformance {
    of(0, "", samples)
}

fn of(counter: i32, instance: &str, samples: &[(i64, i64)]) -> EntityPerformance {
    let values = samples.iter().map(|(_, value)| *value).collect();
    EntityPerformance {
        id: "vm-1".to_owned(),
        times: samples.iter().map(|(slot, _)| START + slot * 20_000).collect(),
        intervals: vec![20; samples.len()],
        series: vec![PerfSeries { counter, instance: instance.to_owned(), values }],
        unpaired: 0,
    }
}

fn place(id: i32, device: bool) -> Option<usize> {
    usize::try_from(id).ok().filter(|place| (*place == 2) == device)
}

fn take(ledger: &mut Ledger, answer: &EntityPerformance) -> Taken {
    ledger.take("u", answer, place, Instant::now())
}

fn cell(ledger: &Ledger) -> Cell {
    *ledger.book("u").unwrap().whole(0).unwrap()
}

fn after(ledger: &mut Ledger, slot: i64) -> Option<i64> {
    ledger.asked("u", START + slot * 20_000);
    ledger.after("u", START + slot * 20_000).map(|after| (after - START) / 20_000)
}

#[test]
fn each_sample_counts_once_in_any_order() {
    let mut ledger = ledger();
    assert_eq!(after(&mut ledger, 1), None);
    assert_eq!(take(&mut ledger, &answer(&[(1, 5)])).samples, 1);
    assert_eq!(after(&mut ledger, 3), Some(1));
    assert_eq!(take(&mut ledger, &answer(&[(3, 30), (2, 2), (1, 5)])).samples, 2);
    assert_eq!(take(&mut ledger, &answer(&[(2, 2), (3, 30)])).samples, 0);
    assert_eq!((cell(&ledger).total, cell(&ledger).newest), (37, 30));
}

#[test]
fn mean_and_peak_are_of_what_came_since_the_collection_before() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 100)]));
    take(&mut ledger, &answer(&[(1, 100), (2, 10), (3, 4)]));
    assert_eq!((cell(&ledger).mean(), cell(&ledger).peak), (7.0, 10));
}

#[test]
fn what_was_long_ago_counts_and_says_nothing_about_now() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 1)]));
    take(&mut ledger, &answer(&[(2, 900), (99, 7), (100, 5)]));
    assert_eq!((cell(&ledger).total, cell(&ledger).mean(), cell(&ledger).peak), (913, 6.0, 7));
}

#[test]
fn minus_one_is_no_sample_and_is_asked_for_again() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 1), (2, -1)]));
    assert_eq!((cell(&ledger).total, after(&mut ledger, 3)), (1, Some(1)));
    take(&mut ledger, &answer(&[(2, 2), (3, 3)]));
    assert_eq!(cell(&ledger).total, 6);
}

#[test]
fn rates_become_amounts_by_the_length_of_the_sample() {
    let mut ledger = ledger();
    take(&mut ledger, &of(1, "", &[(1, 3), (2, 4)]));
    assert_eq!(ledger.book("u").unwrap().whole(1).unwrap().total, 140);
}

#[test]
fn a_hole_is_counted_and_a_pause_is_none() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 1)]));
    assert_eq!(take(&mut ledger, &answer(&[(4, 1)])).missing, 2);
    ledger.pause("u");
    assert_eq!(take(&mut ledger, &answer(&[(9, 1)])).missing, 0);
    assert_eq!(take(&mut ledger, &answer(&[(11, 1)])).missing, 1);
}

#[test]
fn a_host_out_of_step_adds_no_time_twice() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 1)]));
    let shifted = |millis| EntityPerformance { times: vec![START + 20_000 + millis], ..answer(&[(0, 10)]) };
    assert_eq!(take(&mut ledger, &shifted(7_000)).samples, 0);
    assert_eq!(take(&mut ledger, &shifted(13_000)).samples, 1);
}

#[test]
fn a_series_that_lags_is_waited_for_and_then_given_up() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 1)]));
    take(&mut ledger, &of(1, "", &[(3, 1)]));
    assert_eq!(after(&mut ledger, 4), Some(1));
    take(&mut ledger, &of(1, "", &[(30, 1)]));
    assert_eq!(after(&mut ledger, 31), Some(30));
}

#[test]
fn no_more_is_asked_for_than_a_host_keeps() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 1)]));
    assert_eq!(after(&mut ledger, 1000), Some(820));
}

#[test]
fn a_clock_that_goes_back_starts_new_marks_and_keeps_the_total() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(100, 7)]));
    assert_eq!(after(&mut ledger, 50), None);
    let taken = take(&mut ledger, &answer(&[(50, 3)]));
    assert_eq!((taken.samples, taken.missing, cell(&ledger).total), (1, 0, 10));
}

#[test]
fn of_what_came_before_a_clock_went_back_nothing_is_counted_again() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(98, 1), (99, 1), (100, 7)]));
    // The host has written the last samples by its new clock, and keeps the older ones.
    assert_eq!(take(&mut ledger, &answer(&[(48, 1), (49, 1), (50, 3)])).samples, 1);
    assert_eq!((cell(&ledger).total, after(&mut ledger, 51)), (12, Some(50)));
    assert_eq!(take(&mut ledger, &answer(&[(50, 3), (51, 4)])).samples, 1);
    assert_eq!(cell(&ledger).total, 16);
}

#[test]
fn a_server_whose_clock_is_behind_its_hosts_is_asked_for_the_newest() {
    let mut ledger = ledger();
    assert_eq!(ledger.newest("u", START), 1, "of what is new, one");
    take(&mut ledger, &answer(&[(100, 1)]));
    assert_eq!((after(&mut ledger, 70), ledger.newest("u", START + 70 * 20_000)), (None, 180), "not heard of yet");
    take(&mut ledger, &answer(&[(99, 5), (100, 1), (101, 2)]));
    assert_eq!(cell(&ledger).total, 3, "what is in the books already is not taken again");
    assert_eq!((after(&mut ledger, 75), ledger.newest("u", START + 75 * 20_000)), (None, 8));
    assert_eq!((after(&mut ledger, 60), ledger.newest("u", START + 60 * 20_000)), (None, 180), "it went back");
    assert_eq!(after(&mut ledger, 101), Some(101), "it is right again");
}

#[test]
fn devices_are_told_apart_and_a_wildcard_is_none() {
    let mut ledger = ledger();
    for device in ["scsi0:1", "scsi0:0", "*"] {
        take(&mut ledger, &of(2, device, &[(1, 1)]));
    }
    let devices: Vec<_> = ledger.book("u").unwrap().of(2).map(|(device, _)| device.to_owned()).collect();
    assert_eq!(devices, ["scsi0:0", "scsi0:1"]);
    assert_eq!(ledger.book("u").unwrap().whole(2), None);
}

#[test]
fn a_stored_ledger_goes_on_whatever_the_order_of_its_counters() {
    let mut before = ledger();
    take(&mut before, &answer(&[(1, 5)]));
    take(&mut before, &of(2, "scsi0:0", &[(1, 2)]));
    let stored = before.store();
    let mut after = Ledger::new(ledger().counters.into_iter().rev().collect());
    after.restore(stored);
    let book = after.book("u").unwrap();
    assert_eq!(book.whole(2).map(|cell| (cell.total, cell.mark)), Some((5, START + 20_000)));
    assert_eq!(book.of(0).map(|(device, cell)| (device, cell.total)).collect::<Vec<_>>(), [("scsi0:0", 40)]);
    assert!(!book.whole(2).unwrap().is_fresh(Instant::now(), Duration::MAX), "nothing new was seen yet");
}

#[test]
fn what_is_further_on_is_not_overwritten() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 5)]));
    let old = ledger.store();
    take(&mut ledger, &answer(&[(2, 5)]));
    ledger.restore(old);
    assert_eq!(cell(&ledger).total, 10);
}

#[test]
fn the_books_of_what_is_long_gone_are_closed() {
    let mut ledger = ledger();
    take(&mut ledger, &answer(&[(1, 5)]));
    ledger.forget(START + 3_600_000);
    assert_eq!(ledger.len(), 1);
    ledger.forget(START + 25 * 3_600_000);
    assert!(ledger.is_empty());
}

/// What one exporter may have stored: a few objects, some of them with devices.
fn stored() -> impl Strategy<Value = StoredLedger> {
    let device = prop_oneof![Just(Box::from("")), Just(Box::from("disk-1"))];
    let cell = (0..3_u16, device, 0..4_u64, 0..4_i64);
    let id = prop_oneof![Just(Box::from("u")), Just(Box::from("v"))];
    let book = (id, 0..3_i64, prop::collection::vec(cell, 0..5));
    let book = book.prop_map(|(id, seen, cells)| StoredBook { id, seen, cells });
    (prop::collection::vec(book, 0..3), 0..9_u64).prop_map(|(books, samples)| {
        let counters = ledger().store().counters;
        StoredLedger { counters, books, samples, missing: 0 }
    })
}

fn joined(parts: &[&StoredLedger]) -> StoredLedger {
    let mut ledger = ledger();
    parts.iter().for_each(|part| ledger.restore((*part).clone()));
    let mut all = ledger.store();
    all.books.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

proptest! {
    #[test]
    fn ledgers_are_joined_in_any_order_and_twice_and_no_total_goes_back(a in stored(), b in stored()) {
        let both = joined(&[&a, &b]);
        prop_assert_eq!(&both, &joined(&[&b, &a]));
        prop_assert_eq!(&both, &joined(&[&a, &b, &a, &both]));
        for book in joined(&[&a]).books {
            let found = both.books.iter().find(|other| other.id == book.id).unwrap();
            prop_assert!(found.seen >= book.seen);
            for (place, device, total, mark) in &book.cells {
                let cell = found.cells.iter().find(|(p, d, ..)| (p, d) == (place, device)).unwrap();
                prop_assert!((cell.2, cell.3) >= (*total, *mark));
            }
        }
    }
}
