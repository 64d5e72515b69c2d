//! `QueryPerf`: the request for a batch of objects, and its answer.

use std::fmt::Write;

use jiff::Timestamp;

use super::methods::this;
use super::xml::{Xml, XmlError, escape};
use super::{CounterIds, MoRef};
use crate::catalogue::Counter;

/// ESXi's own sampling: from the host's memory, without vCenter's database.
const REAL_TIME_INTERVAL: u32 = 20;

/// A request for the newest real-time sample of a set of counters. All that does not depend on the objects is written
/// once: the counters are repeated for each object, and make almost all of the body.
#[derive(Debug, Clone)]
pub struct PerfRequest {
    head: String,
    before_id: String,
    after_id: String,
    counters: Vec<(usize, i32)>,
    unavailable: usize,
}

impl PerfRequest {
    /// For objects of one type, with those of the counters that the vCenter has.
    pub fn new(perf_manager: &MoRef, kind: &str, counters: &[Counter], ids: &CounterIds) -> Self {
        let resolved = ids.resolve(counters);
        let metrics: String = resolved
            .iter()
            .map(|(_, id)| format!("<metricId><counterId>{id}</counterId><instance></instance></metricId>"))
            .collect();
        Self {
            head: format!(r#"<QueryPerf xmlns="urn:vim25">{}"#, this(perf_manager)),
            before_id: format!(r#"<querySpec><entity type="{kind}">"#),
            after_id: format!(
                "</entity><maxSample>1</maxSample>{metrics}<intervalId>{REAL_TIME_INTERVAL}</intervalId><format>normal</format></querySpec>"
            ),
            unavailable: counters.len() - resolved.len(),
            counters: resolved,
        }
    }

    /// How many counters the vCenter does not have.
    pub fn unavailable(&self) -> usize {
        self.unavailable
    }

    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// The place of a counter in the list that the request was made from.
    pub fn place(&self, counter_id: i32) -> Option<usize> {
        self.counters.iter().find(|(_, id)| *id == counter_id).map(|(place, _)| *place)
    }

    /// The body for these objects.
    pub fn body(&self, ids: &[String]) -> String {
        const TAIL: &str = "</QueryPerf>";
        let one = self.before_id.len() + self.after_id.len() + 16;
        let mut body = String::with_capacity(self.head.len() + ids.len() * one + TAIL.len());
        body.push_str(&self.head);
        for id in ids {
            // Writing to a String cannot fail.
            let _infallible = write!(body, "{}{}{}", self.before_id, escape(id), self.after_id);
        }
        body.push_str(TAIL);
        body
    }
}

/// What vCenter knows of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityPerformance {
    /// The object's id.
    pub id: String,
    /// The newest sample of each counter that has one.
    pub samples: Vec<(i32, Sample)>,
    /// Series with another number of values than of timestamps. Which value is whose cannot be known.
    pub unpaired: usize,
}

/// One sample, in vSphere's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The end of the interval it is of, by the host's clock.
    pub time: Timestamp,
    /// Length of that interval, in seconds.
    pub interval: u32,
    /// The value.
    pub value: i64,
}

/// Reads the children of a `QueryPerfResponse`.
pub fn decode_performance(mut xml: Xml<'_>) -> Result<Vec<EntityPerformance>, XmlError> {
    let mut entities = Vec::new();
    while let Some(element) = xml.child()? {
        if element.name() != "returnval" {
            xml.skip()?;
            continue;
        }
        match element.xsi_type().as_deref() {
            Some("PerfEntityMetric") | None => entities.push(entity(&mut xml)?),
            Some(other) => {
                let expected = "PerfEntityMetric".to_owned();
                return Err(XmlError::Unexpected { expected, found: format!("`{other}`") });
            }
        }
    }
    Ok(entities)
}

struct RawSeries {
    counter: i32,
    instance: String,
    values: Vec<i64>,
}

fn entity(xml: &mut Xml<'_>) -> Result<EntityPerformance, XmlError> {
    let (mut id, mut times, mut raw) = (String::new(), Vec::new(), Vec::new());
    while let Some(element) = xml.child()? {
        match element.name() {
            "entity" => id = xml.text()?.into_owned(),
            "sampleInfo" => times.push(sample_info(xml)?),
            "value" => raw.push(series(xml)?),
            _ => xml.skip()?,
        }
    }
    let (mut samples, mut unpaired) = (Vec::with_capacity(raw.len()), 0);
    for series in raw.into_iter().filter(|series| series.instance.is_empty()) {
        if series.values.len() != times.len() {
            unpaired += 1;
            continue;
        }
        // The order is not promised (newest first, in the simulator), and -1 stands for "no sample".
        let pairs = times.iter().zip(&series.values).filter(|(_, value)| **value >= 0);
        if let Some(((time, interval), value)) = pairs.max_by_key(|((time, _), _)| *time) {
            samples.push((series.counter, Sample { time: *time, interval: *interval, value: *value }));
        }
    }
    Ok(EntityPerformance { id, samples, unpaired })
}

fn sample_info(xml: &mut Xml<'_>) -> Result<(Timestamp, u32), XmlError> {
    let (mut time, mut interval) = (None, None);
    while let Some(element) = xml.child()? {
        match element.name() {
            "timestamp" => time = Some(xml.parse(&element, "a time such as `2026-01-31T12:00:00Z`")?),
            "interval" => interval = Some(xml.parse(&element, "a whole number")?),
            _ => xml.skip()?,
        }
    }
    let missing = |element: &str| XmlError::Unexpected { expected: element.to_owned(), found: "nothing".to_owned() };
    Ok((time.ok_or_else(|| missing("timestamp"))?, interval.ok_or_else(|| missing("interval"))?))
}

fn series(xml: &mut Xml<'_>) -> Result<RawSeries, XmlError> {
    let mut series = RawSeries { counter: 0, instance: String::new(), values: Vec::new() };
    while let Some(element) = xml.child()? {
        match element.name() {
            "id" => {
                while let Some(element) = xml.child()? {
                    match element.name() {
                        "counterId" => series.counter = xml.parse(&element, "a whole number")?,
                        "instance" => series.instance = xml.text()?.into_owned(),
                        _ => xml.skip()?,
                    }
                }
            }
            "value" => series.values.push(xml.parse(&element, "a whole number")?),
            _ => xml.skip()?,
        }
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::CounterUnit;

    /// Samples at these times with these values, as `value@time` of the one that is taken.
    fn check(times: &[&str], values: &[i64], expected: Result<&str, usize>) {
        let times: String = times
            .iter()
            .map(|time| {
                format!("<sampleInfo><timestamp>2026-01-01T{time}Z</timestamp><interval>20</interval></sampleInfo>")
            })
            .collect();
        let values: String = values.iter().map(|value| format!("<value>{value}</value>")).collect();
        let answer = format!(
            r#"<R><returnval xmlns:x="y" x:type="PerfEntityMetric"><entity type="VirtualMachine">vm-1</entity>{times}
               <value x:type="PerfMetricIntSeries"><id><counterId>2</counterId><instance></instance></id>{values}</value>
               </returnval></R>"#
        );
        let mut xml = Xml::new(&answer);
        xml.expect("R").unwrap();
        let found = decode_performance(xml).unwrap();
        let found = match found[0].samples.first() {
            Some((2, sample)) => Ok(format!("{}@{}", sample.value, sample.time.strftime("%T"))),
            _ => Err(found[0].unpaired),
        };
        assert_eq!(found.as_deref(), expected.as_ref().map(|text| *text));
    }

    #[test]
    fn the_newest_sample_is_taken_in_any_order() {
        check(&["10:00:40", "10:00:20", "10:00:00"], &[3, 2, 1], Ok("3@10:00:40"));
        check(&["10:00:00", "10:00:20", "10:00:40"], &[1, 2, 3], Ok("3@10:00:40"));
    }

    #[test]
    fn minus_one_is_no_sample() {
        check(&["10:00:40", "10:00:20"], &[-1, 2], Ok("2@10:00:20"));
        check(&["10:00:40"], &[-1], Err(0));
    }

    #[test]
    fn values_and_times_that_differ_in_number_are_not_paired() {
        check(&["10:00:40", "10:00:20", "10:00:00"], &[3, 2], Err(1));
        check(&["10:00:40"], &[], Err(1));
        check(&[], &[], Err(0));
    }

    #[test]
    fn only_the_aggregate_of_an_object_is_read() {
        let answer = r#"<R><returnval><entity type="VirtualMachine">vm-1</entity>
            <sampleInfo><timestamp>2026-01-01T00:00:00Z</timestamp><interval>20</interval></sampleInfo>
            <value><id><counterId>2</counterId><instance>*</instance></id><value>7</value></value></returnval></R>"#;
        let mut xml = Xml::new(answer);
        xml.expect("R").unwrap();
        assert_eq!(decode_performance(xml).unwrap()[0].samples, []);
    }

    #[test]
    fn an_answer_in_a_format_that_was_not_asked_for_is_an_error() {
        let mut xml = Xml::new(r#"<R><returnval xmlns:x="y" x:type="PerfEntityMetricCSV"></returnval></R>"#);
        xml.expect("R").unwrap();
        let error = decode_performance(xml).unwrap_err();
        assert_eq!(error.to_string(), "expected the element `PerfEntityMetric`, found `PerfEntityMetricCSV`");
    }

    #[test]
    fn the_request_repeats_its_counters_for_each_object() {
        let manager = MoRef { kind: "PerformanceManager".to_owned(), id: "PerfMgr".to_owned() };
        let counters = [Counter { name: "cpu.usage.average", unit: CounterUnit::Percent }];
        let request = PerfRequest::new(&manager, "VirtualMachine", &counters, &CounterIds::default());
        assert_eq!((request.unavailable(), request.is_empty()), (1, true));
        let body = request.body(&["vm-1".to_owned(), "vm<2".to_owned()]);
        assert_eq!(body.matches("<querySpec>").count(), 2);
        assert!(body.contains(">vm&lt;2</entity>"), "{body}");
    }
}
