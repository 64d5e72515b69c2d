//! `QueryPerf`: the request for a batch of objects, and its answer in either of vSphere's formats.

use std::fmt::Write;

use jiff::Timestamp;

use super::methods::this;
use super::xml::{Xml, XmlError, escape};
use super::{CounterIds, MoRef};
use crate::catalogue::Counter;

/// ESXi keeps an hour of its samples of 20 s.
const SAMPLES_KEPT: u32 = 180;

/// How samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An element a sample: shortest for one or two of them.
    Normal,
    /// All samples of a series in one text: a quarter of the size for many of them, and zeros are never left out.
    Csv,
}

/// A request for samples of a set of counters. All that does not depend on the objects is written once: the counters
/// are repeated for each object, and make almost all of the body.
#[derive(Debug, Clone)]
pub struct PerfRequest {
    head: String,
    before_id: String,
    tail: String,
    /// Place in the list of counters, id in this vCenter, whether it is asked of devices.
    counters: Vec<(usize, i32, bool)>,
}

/// What to ask of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct PerfQuery<'a> {
    /// Its id.
    pub id: &'a str,
    /// Samples later than this, in Unix milliseconds; without it the newest.
    pub after: Option<i64>,
    /// How many of the newest.
    pub newest: u32,
    /// In this format.
    pub format: Format,
}

impl PerfRequest {
    /// For objects of one type, with those of the counters that the vCenter has. `interval` is that of the samples.
    pub fn new(perf_manager: &MoRef, kind: &str, counters: &[Counter], ids: &CounterIds, interval: u32) -> Self {
        let resolved = ids.resolve(counters);
        let mut metrics = String::new();
        for (place, id) in &resolved {
            let instance = if counters[*place].by_instance { "*" } else { "" };
            // Writing to a String cannot fail.
            let _infallible =
                write!(metrics, "<metricId><counterId>{id}</counterId><instance>{instance}</instance></metricId>");
        }
        Self {
            head: format!(r#"<QueryPerf xmlns="urn:vim25">{}"#, this(perf_manager)),
            before_id: format!(r#"<querySpec><entity type="{kind}">"#),
            tail: format!("{metrics}<intervalId>{interval}</intervalId>"),
            counters: resolved.into_iter().map(|(place, id)| (place, id, counters[place].by_instance)).collect(),
        }
    }

    /// How many counters are asked for.
    pub fn len(&self) -> usize {
        self.counters.len()
    }

    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// The place of a counter in the list that the request was made from; of a device or of the object as a whole.
    pub fn place(&self, counter_id: i32, of_device: bool) -> Option<usize> {
        let found = self.counters.iter().find(|(_, id, by_instance)| *id == counter_id && *by_instance == of_device);
        found.map(|(place, ..)| *place)
    }

    /// The body for these objects.
    pub fn body<'a>(&self, queries: impl ExactSizeIterator<Item = PerfQuery<'a>>) -> String {
        const TAIL: &str = "</QueryPerf>";
        let one = self.before_id.len() + self.tail.len() + 160;
        let mut body = String::with_capacity(self.head.len() + queries.len() * one + TAIL.len());
        body.push_str(&self.head);
        for query in queries {
            body.push_str(&self.before_id);
            body.push_str(&escape(query.id));
            body.push_str("</entity>");
            let samples = match query.after.and_then(|after| Timestamp::from_millisecond(after).ok()) {
                // The start is exclusive.
                Some(after) => {
                    let _infallible = write!(body, "<startTime>{after}</startTime>");
                    SAMPLES_KEPT
                }
                None => query.newest,
            };
            let _infallible = write!(body, "<maxSample>{samples}</maxSample>");
            body.push_str(&self.tail);
            body.push_str(match query.format {
                Format::Normal => "<format>normal</format></querySpec>",
                Format::Csv => "<format>csv</format></querySpec>",
            });
        }
        body.push_str(TAIL);
        body
    }
}

/// What vCenter knows of one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityPerformance {
    /// The object's id.
    pub id: String,
    /// The ends of the samples' intervals, by the host's clock, in Unix milliseconds; in any order.
    pub times: Vec<i64>,
    /// The length of each interval, in seconds.
    pub intervals: Vec<u32>,
    /// The series that are as long as `times`.
    pub series: Vec<PerfSeries>,
    /// Series with another number of values than of times. Which value is whose cannot be known.
    pub unpaired: usize,
}

/// The samples of one counter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PerfSeries {
    /// The counter's id in this vCenter.
    pub counter: i32,
    /// The device; empty for the object as a whole.
    pub instance: String,
    /// In vSphere's unit; negative where there is no sample.
    pub values: Vec<i64>,
}

/// Reads the children of a `QueryPerfResponse`.
pub fn decode_performance(mut xml: Xml<'_>) -> Result<Vec<EntityPerformance>, XmlError> {
    let mut entities = Vec::new();
    while let Some(element) = xml.child()? {
        if element.name() != "returnval" {
            xml.skip()?;
            continue;
        }
        // What was asked for is not always what comes: vcsim of Debian 12 does not know CSV.
        let format = match element.xsi_type().as_deref() {
            Some("PerfEntityMetric") | None => Format::Normal,
            Some("PerfEntityMetricCSV") => Format::Csv,
            Some(other) => {
                let expected = "PerfEntityMetric or PerfEntityMetricCSV".to_owned();
                return Err(XmlError::Unexpected { expected, found: format!("`{other}`") });
            }
        };
        entities.push(entity(&mut xml, format)?);
    }
    Ok(entities)
}

fn entity(xml: &mut Xml<'_>, format: Format) -> Result<EntityPerformance, XmlError> {
    let mut found = EntityPerformance::default();
    while let Some(element) = xml.child()? {
        match element.name() {
            "entity" => found.id = xml.text()?.into_owned(),
            "sampleInfo" => sample_info(xml, &mut found)?,
            "sampleInfoCSV" => sample_info_csv(&xml.text()?, &mut found)?,
            "value" => {
                let series = series(xml, format, found.times.len())?;
                found.series.push(series);
            }
            _ => xml.skip()?,
        }
    }
    let (samples, all) = (found.times.len(), found.series.len());
    found.series.retain(|series| series.values.len() == samples);
    found.unpaired = all - found.series.len();
    Ok(found)
}

fn sample_info(xml: &mut Xml<'_>, found: &mut EntityPerformance) -> Result<(), XmlError> {
    let (mut time, mut interval) = (None, None);
    while let Some(element) = xml.child()? {
        match element.name() {
            "timestamp" => time = Some(self::time(&xml.text()?, "timestamp")?),
            "interval" => interval = Some(xml.parse(&element, "a whole number")?),
            _ => xml.skip()?,
        }
    }
    let missing = |element: &str| XmlError::Unexpected { expected: element.to_owned(), found: "nothing".to_owned() };
    found.times.push(time.ok_or_else(|| missing("timestamp"))?);
    found.intervals.push(interval.ok_or_else(|| missing("interval"))?);
    Ok(())
}

/// `20,2026-01-01T00:00:00Z,20,2026-01-01T00:00:20Z`
fn sample_info_csv(text: &str, found: &mut EntityPerformance) -> Result<(), XmlError> {
    let mut words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    while let Some(interval) = words.next() {
        found.intervals.push(number(interval, "sampleInfoCSV")?);
        found.times.push(time(words.next().unwrap_or_default(), "sampleInfoCSV")?);
    }
    Ok(())
}

fn series(xml: &mut Xml<'_>, format: Format, samples: usize) -> Result<PerfSeries, XmlError> {
    let mut series = PerfSeries { values: Vec::with_capacity(samples), ..PerfSeries::default() };
    while let Some(element) = xml.child()? {
        match element.name() {
            "value" if format == Format::Normal => series.values.push(sample(xml.text()?.trim())),
            "value" => {
                let text = xml.text()?;
                series.values.extend(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(sample));
            }
            "id" => {
                while let Some(element) = xml.child()? {
                    match element.name() {
                        "counterId" => series.counter = xml.parse(&element, "a whole number")?,
                        "instance" => series.instance = xml.text()?.into_owned(),
                        _ => xml.skip()?,
                    }
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(series)
}

/// What is no number is no sample, as -1: the ledger counts it as missing, and the others of its batch go on.
fn sample(text: &str) -> i64 {
    text.parse().unwrap_or(-1)
}

fn number<T: std::str::FromStr>(text: &str, element: &str) -> Result<T, XmlError> {
    text.parse().map_err(|_| value_error(text, element, "a whole number"))
}

/// An `xsd:dateTime`. Without a zone it is UTC, which is what vCenter's clock shows.
fn time(text: &str, element: &str) -> Result<i64, XmlError> {
    let text = text.trim();
    let parsed = text.parse::<Timestamp>().ok().or_else(|| format!("{text}Z").parse().ok());
    let time = parsed.ok_or_else(|| value_error(text, element, "a time such as `2026-01-31T12:00:00Z`"))?;
    Ok(time.as_millisecond())
}

fn value_error(text: &str, element: &str, expected: &'static str) -> XmlError {
    XmlError::Value { element: element.to_owned(), expected, found: text.chars().take(100).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::CounterUnit;

    fn decode(answer: &str) -> Result<Vec<EntityPerformance>, XmlError> {
        let mut xml = Xml::new(answer);
        xml.expect("R").unwrap();
        decode_performance(xml)
    }

    /// One object with samples at these seconds of an hour and these values of one counter.
    fn normal(seconds: &[&str], values: &[i64]) -> EntityPerformance {
        let times = seconds.iter().map(|time| {
            format!("<sampleInfo><timestamp>2026-01-01T10:00:{time}Z</timestamp><interval>20</interval></sampleInfo>")
        });
        let values: String = values.iter().map(|value| format!("<value>{value}</value>")).collect();
        let times: String = times.collect();
        let answer = format!(
            r#"<R><returnval xmlns:x="y" x:type="PerfEntityMetric"><entity type="VirtualMachine">vm-1</entity>{times}
               <value x:type="PerfMetricIntSeries"><id><counterId>2</counterId><instance></instance></id>{values}</value>
               </returnval></R>"#
        );
        decode(&answer).unwrap().remove(0)
    }

    #[test]
    fn each_value_has_its_time() {
        let found = normal(&["40", "20"], &[3, -1]);
        assert_eq!((found.id.as_str(), found.intervals.as_slice()), ("vm-1", &[20, 20][..]));
        assert_eq!(found.times, [1_767_261_640_000, 1_767_261_620_000]);
        assert_eq!(found.series[0].values, [3, -1]);
    }

    #[test]
    fn values_and_times_that_differ_in_number_are_not_paired() {
        for values in [&[3, 2][..], &[]] {
            let found = normal(&["40", "20", "00"], values);
            assert_eq!((found.series.len(), found.unpaired), (0, 1));
        }
    }

    #[test]
    fn the_second_format_says_the_same() {
        let answer = r#"<R><returnval xmlns:x="y" x:type="PerfEntityMetricCSV"><entity type="VirtualMachine">vm-1</entity>
            <sampleInfoCSV>20,2026-01-01T10:00:40Z,20,2026-01-01T10:00:20Z</sampleInfoCSV>
            <value x:type="PerfMetricSeriesCSV"><id><counterId>2</counterId><instance></instance></id><value>3,-1</value></value>
            </returnval></R>"#;
        assert_eq!(decode(answer).unwrap()[0], normal(&["40", "20"], &[3, -1]));
    }

    #[test]
    fn an_object_without_samples_has_none() {
        let answer = r#"<R><returnval xmlns:x="y" x:type="PerfEntityMetricCSV"><entity type="VirtualMachine">vm-1</entity>
            <sampleInfoCSV></sampleInfoCSV></returnval></R>"#;
        assert_eq!(decode(answer).unwrap()[0].times, Vec::<i64>::new());
    }

    #[test]
    fn what_is_no_time_is_named() {
        let answer = r#"<R><returnval xmlns:x="y" x:type="PerfEntityMetricCSV"><sampleInfoCSV>20</sampleInfoCSV>
            </returnval></R>"#;
        let error = decode(answer).unwrap_err().to_string();
        assert_eq!(error, "expected a time such as `2026-01-31T12:00:00Z` in `sampleInfoCSV`, found ``");
    }

    #[test]
    fn what_is_no_number_is_no_sample_and_costs_no_other() {
        let times: Vec<_> = (0..6).map(|place| format!("20,2026-01-01T10:00:{:02}Z", place * 2)).collect();
        let answer = format!(
            r#"<R><returnval xmlns:x="y" x:type="PerfEntityMetricCSV"><sampleInfoCSV>{}</sampleInfoCSV>
               <value><id><counterId>2</counterId></id><value>1,x,NaN,1e300,99999999999999999999,6</value></value>
               </returnval></R>"#,
            times.join(",")
        );
        assert_eq!(decode(&answer).unwrap()[0].series[0].values, [1, -1, -1, -1, -1, 6]);
    }

    #[test]
    fn an_answer_in_an_unknown_format_is_an_error() {
        let error = decode(r#"<R><returnval xmlns:x="y" x:type="PerfBinary"></returnval></R>"#).unwrap_err();
        let expected = "expected the element `PerfEntityMetric or PerfEntityMetricCSV`, found `PerfBinary`";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_request_repeats_its_counters_for_each_object() {
        let manager = MoRef { kind: "PerformanceManager".to_owned(), id: "PerfMgr".to_owned() };
        let counters = [Counter { name: "cpu.usage.average", unit: CounterUnit::Percent, by_instance: false }];
        let request = PerfRequest::new(&manager, "VirtualMachine", &counters, &CounterIds::default(), 20);
        assert!(request.is_empty());
        let body = request.body(
            [
                PerfQuery { id: "vm-1", after: None, newest: 1, format: Format::Normal },
                PerfQuery { id: "vm<2", after: Some(1_767_261_620_000), newest: 1, format: Format::Csv },
            ]
            .into_iter(),
        );
        assert_eq!(body.matches("<querySpec>").count(), 2);
        assert!(
            body.contains(">vm&lt;2</entity><startTime>2026-01-01T10:00:20Z</startTime><maxSample>180</maxSample>")
        );
        assert!(body.contains(">vm-1</entity><maxSample>1</maxSample>"), "{body}");
    }
}
