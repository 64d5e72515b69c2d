//! Prometheus' text format 0.0.4, written line by line and compressed metric by metric.
//!
//! By hand because a page of a large vCenter has some hundred thousand lines, and the registry of a metrics library
//! would keep each of them as an object between two collections. Compressed at once because the text of all pages is
//! ten times as large, and hardly anyone asks for it.

use std::fmt::Write as _;
use std::io::{Read, Write};

use bytes::{Buf, Bytes};
use flate2::read::GzDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use xxhash_rust::xxh3::xxh3_64;

use crate::catalogue::{Kind, Metric};

/// Longer than any name or path of vSphere. On each line of a VM, a value without a limit would multiply.
const MAX_LABEL_VALUE: usize = 1024;

/// How much of a longer one is shown.
const SHOWN_OF_LONG: usize = 200;

/// Fast: the page is read once. A better level takes five times the time for a tenth less.
const LEVEL: u32 = 1;

/// RFC 1952, section 2.3: deflate, no name, no time, fast, an unknown system. What comes after is its trailer: the CRC and
/// the length.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// Of a page that is not wanted compressed so much is in memory at a time.
const PART: usize = 64 << 10;

/// A page.
#[derive(Debug, Clone)]
pub struct Page {
    /// Compressed.
    pub gzip: Bytes,
    /// How long the text is.
    pub length: usize,
    /// How many series are on it.
    pub series: usize,
}

impl Page {
    /// As it is without compression.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.length);
        // What this module wrote into memory it can read from there.
        let _infallible = GzDecoder::new(&*self.gzip).read_to_string(&mut text);
        text
    }

    /// The same, part by part: it is ten times as long as what is kept.
    pub fn parts(&self) -> impl Iterator<Item = std::io::Result<Bytes>> + use<> {
        let mut text = GzDecoder::new(self.gzip.clone().reader());
        std::iter::from_fn(move || {
            let mut part = vec![0; PART];
            let read = text.read(&mut part);
            read.map(|length| {
                part.truncate(length);
                (length > 0).then(|| Bytes::from(part))
            })
            .transpose()
        })
    }
}

/// A page whose end is written when it is served.
#[derive(Debug)]
pub struct Unfinished {
    /// Up to the boundary of a block, after which any other may stand.
    gzip: Bytes,
    crc: Crc,
    series: usize,
}

impl Unfinished {
    /// The page, with this at its end.
    pub fn finish(&self, end: &End) -> Page {
        let mut crc = Crc::new();
        crc.combine(&self.crc);
        let deflate = DeflateEncoder::new(self.gzip.to_vec(), Compression::new(LEVEL));
        let series = self.series + end.series;
        let mut page = Writer { text: String::new(), deflate, crc, series, samples: None };
        page.compress(&end.text);
        page.finish()
    }
}

/// The end of such a page.
#[derive(Debug, Default)]
pub struct End {
    text: String,
    series: usize,
}

impl End {
    /// A family of one sample, whose help text has nothing to be escaped.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        // Writing to a String cannot fail.
        let _infallible = write!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        self.series += 1;
    }
}

/// A page while it is written.
#[derive(Debug)]
pub struct Writer {
    /// The metric that is being written.
    text: String,
    deflate: DeflateEncoder<Vec<u8>>,
    /// Of all that was compressed, with its length.
    crc: Crc,
    series: usize,
    /// In place of the text, where samples are wanted.
    samples: Option<Vec<Sample>>,
}

impl Default for Writer {
    fn default() -> Self {
        let deflate = DeflateEncoder::new(GZIP_HEAD.to_vec(), Compression::new(LEVEL));
        Self { text: String::new(), deflate, crc: Crc::new(), series: 0, samples: None }
    }
}

/// A sample that is not text: for what is not a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Labels beside those that identify the object.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

/// The samples of one metric and one object.
pub struct Series<'a> {
    page: &'a mut Writer,
    name: &'a str,
    identity: &'a str,
}

/// A state that is shown as one series for each possible value.
pub trait State: Copy + PartialEq + 'static {
    /// All values.
    const ALL: &'static [Self];
    /// The value of the label `state`.
    fn as_str(self) -> &'static str;
}

impl Writer {
    /// Writes a metric of the catalogue.
    pub fn metric(&mut self, metric: &Metric, samples: impl FnOnce(&mut Samples<'_>)) {
        self.family(metric.name, metric.kind, &metric.full_help(), samples);
    }

    /// Writes a family: its head, then what `samples` adds. Nothing where there are no samples.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str, samples: impl FnOnce(&mut Samples<'_>)) {
        let before = self.series;
        self.text.push_str("# HELP ");
        self.text.push_str(name);
        self.text.push(' ');
        escape(&mut self.text, help, false);
        self.text.push_str("\n# TYPE ");
        self.text.push_str(name);
        self.text.push(' ');
        self.text.push_str(kind.as_str());
        self.text.push('\n');
        samples(&mut Samples { page: self, name });
        if self.series > before {
            let text = std::mem::take(&mut self.text);
            self.compress(&text);
            self.text = text;
        }
        self.text.clear();
    }

    fn compress(&mut self, text: &str) {
        // Writing to memory cannot fail.
        let _infallible = self.deflate.write_all(text.as_bytes());
        self.crc.update(text.as_bytes());
    }

    /// The samples of one metric and one object, in place of text.
    pub fn samples(samples: impl FnOnce(&mut Series<'_>)) -> Vec<Sample> {
        let mut page = Self { samples: Some(Vec::new()), ..Self::default() };
        samples(&mut Series { page: &mut page, name: "", identity: "" });
        page.samples.unwrap_or_default()
    }

    /// The page up to here.
    pub fn pause(mut self) -> Unfinished {
        // Writing to memory cannot fail.
        let _infallible = self.deflate.flush();
        Unfinished { gzip: Bytes::copy_from_slice(self.deflate.get_ref()), crc: self.crc, series: self.series }
    }

    /// The page.
    pub fn finish(self) -> Page {
        let mut gzip = self.deflate.finish().unwrap_or_default();
        gzip.extend(self.crc.sum().to_le_bytes());
        gzip.extend(self.crc.amount().to_le_bytes());
        // It lives until the next one, while the room that it grew into is of use to nobody.
        gzip.shrink_to_fit();
        Page { gzip: Bytes::from(gzip), length: self.crc.amount() as usize, series: self.series }
    }
}

/// The samples of one metric.
pub struct Samples<'a> {
    page: &'a mut Writer,
    name: &'a str,
}

impl Samples<'_> {
    /// Those of the object with these labels, which [`labels`] wrote.
    pub fn of<'b>(&'b mut self, identity: &'b str) -> Series<'b> {
        Series { page: self.page, name: self.name, identity }
    }
}

impl Series<'_> {
    /// One sample.
    pub fn value(&mut self, value: f64) {
        self.labelled(&[], value);
    }

    /// One sample, or none.
    pub fn maybe(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.value(value);
        }
    }

    /// One sample with more labels. A label without a value is left out: to Prometheus it is the same.
    pub fn labelled(&mut self, more: &[(&str, &str)], value: f64) {
        if let Some(samples) = &mut self.page.samples {
            let more = more.iter().filter(|(_, value)| !value.is_empty());
            let labels = more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            samples.push(Sample { labels, value });
            return;
        }
        let text = &mut self.page.text;
        text.push_str(self.name);
        text.push('{');
        text.push_str(self.identity);
        let mut first = self.identity.is_empty();
        for (name, value) in more.iter().filter(|(_, value)| !value.is_empty()) {
            push_label(text, name, value, &mut first);
        }
        text.push('}');
        if text.ends_with("{}") {
            text.truncate(text.len() - 2);
        }
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, " {value}");
        self.page.series += 1;
    }

    /// A state set, or nothing where the state is not known.
    pub fn states<S: State>(&mut self, present: Option<S>) {
        if let Some(present) = present {
            self.labelled_states(&[], present);
        }
    }

    /// A state set with more labels.
    pub fn labelled_states<S: State>(&mut self, more: &[(&str, &str)], present: S) {
        for state in S::ALL {
            let value = if *state == present { 1.0 } else { 0.0 };
            self.labelled(&[more, &[("state", state.as_str())]].concat(), value);
        }
    }
}

/// Labels as they stand between the braces.
pub fn labels(labels: &[(&str, &str)]) -> String {
    let (mut text, mut first) = (String::new(), true);
    for (name, value) in labels {
        push_label(&mut text, name, value, &mut first);
    }
    text
}

fn push_label(text: &mut String, name: &str, value: &str, first: &mut bool) {
    if !std::mem::take(first) {
        text.push(',');
    }
    text.push_str(name);
    text.push_str("=\"");
    if value.len() <= MAX_LABEL_VALUE {
        escape(text, value, true);
    } else {
        escape(text, &value[..value.floor_char_boundary(SHOWN_OF_LONG)], true);
        // What is cut off still tells one series from another.
        let _infallible = write!(text, "…{:016x}", xxh3_64(value.as_bytes()));
    }
    text.push('"');
}

fn escape(text: &mut String, value: &str, quotes: bool) {
    let mut rest = value;
    while let Some(at) = rest.find(|c| matches!(c, '\\' | '\n') || (quotes && c == '"')) {
        text.push_str(&rest[..at]);
        text.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            _ => "\\\"",
        });
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::metrics;
    use crate::inventory::VmPower;

    #[test]
    fn a_page_may_get_its_end_when_it_is_served() {
        let mut page = Writer::default();
        page.family("a", Kind::Gauge, "help", |out| out.of("").value(1.0));
        let page = page.pause();
        for value in [2.0, 3.0] {
            let mut end = End::default();
            end.gauge("b", "help", value);
            let page = page.finish(&end);
            let expected = format!("# HELP a help\n# TYPE a gauge\na 1\n# HELP b help\n# TYPE b gauge\nb {value}\n");
            assert_eq!((page.text(), page.length, page.series), (expected.clone(), expected.len(), 2));
        }
    }

    fn check(name: &str, samples: impl FnOnce(&mut Samples<'_>), expected: &str) {
        let mut page = Writer::default();
        page.metric(metrics().find(|metric| metric.name == name).unwrap(), samples);
        let text = page.finish().text();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn a_metric_without_samples_leaves_no_trace() {
        let mut page = Writer::default();
        page.metric(metrics().next().unwrap(), |_| {});
        let page = page.finish();
        assert_eq!((page.text().as_str(), page.length, page.series), ("", 0, 0));
    }

    #[test]
    fn labels_are_escaped() {
        let identity = labels(&[("vm", "a\"b\\c\nd")]);
        check("vsphere_vm_cpus", |out| out.of(&identity).value(2.0), r#"vsphere_vm_cpus{vm="a\"b\\c\nd"} 2"#);
    }

    #[test]
    fn a_label_without_end_is_cut_and_stays_unique() {
        let (a, b) = (format!("{}1", "ä".repeat(5_000_000)), format!("{}2", "ä".repeat(5_000_000)));
        let (a, b) = (labels(&[("vm", &a)]), labels(&[("vm", &b)]));
        assert!(a.len() < 300 && a.starts_with("vm=\"ää") && a != b, "{a} {b}");
        let longest = "x".repeat(MAX_LABEL_VALUE);
        assert_eq!(labels(&[("vm", &longest)]), format!("vm=\"{longest}\""));
    }

    #[test]
    fn a_sample_without_labels_has_no_braces() {
        check("vsphere_vm_cpus", |out| out.of("").value(0.5), "vsphere_vm_cpus 0.5");
    }

    #[test]
    fn empty_labels_are_left_out() {
        let samples = |out: &mut Samples<'_>| out.of("").labelled(&[("a", ""), ("b", "x")], 1.0);
        check("vsphere_vm_info", samples, r#"vsphere_vm_info{b="x"} 1"#);
    }

    #[test]
    fn a_state_set_has_one_series_for_each_state() {
        let expected = "vsphere_vm_power_state{state=\"on\"} 0\n\
                        vsphere_vm_power_state{state=\"off\"} 1\n\
                        vsphere_vm_power_state{state=\"suspended\"} 0";
        check("vsphere_vm_power_state", |out| out.of("").states(Some(VmPower::Off)), expected);
        check("vsphere_vm_power_state", |out| out.of("").states(None::<VmPower>), "");
    }
}
