//! OpenMetrics: metric by metric, since the samples of one stand together.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use lynceus_promql::is_stale;

use super::{ExportError, Source, Summary, named, progress};
use crate::labels::METRIC_NAME;

pub(super) async fn write(source: &Source, place: &str) -> Result<Summary, ExportError> {
    let io = |error| ExportError::Io { place: place.to_owned(), error };
    let mut out = Out::create(place).map_err(io)?;
    let metrics = source.metrics().await?;
    let progress = progress(metrics.len() as u64, "metrics");
    let (mut samples, mut stale, mut histograms, mut nameless) = (0, 0, 0, 0);
    for metric in metrics {
        let mut scan = source.scan((source.from, source.to - 1), Some(named(&metric))).await?;
        while let Some(part) = scan.next().await? {
            for series in part.series() {
                if metric.is_empty() {
                    nameless += series.samples.len() + series.histograms.len();
                    continue;
                }
                let head = head(&metric, &series.labels);
                for sample in series.samples {
                    if is_stale(sample.value) {
                        stale += 1;
                        continue;
                    }
                    writeln!(out.writer, "{head} {} {}", value(sample.value), seconds(sample.timestamp)).map_err(io)?;
                    samples += 1;
                }
                histograms += series.histograms.len();
            }
            progress.set_message(format!("{samples} samples"));
        }
        progress.inc(1);
    }
    out.finish().map_err(io)?;
    progress.finish_and_clear();
    let mut lines = vec![format!("{samples} samples")];
    let left_out =
        [(stale, "stale markers"), (histograms, "native histograms"), (nameless, "samples of series without a name")];
    let left_out: Vec<_> = left_out.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if !left_out.is_empty() {
        lines.push(format!("left out, since OpenMetrics cannot carry them: {}", left_out.join(", ")));
    }
    Ok(Summary { lines, is_refused: false })
}

/// The name and labels of a sample.
fn head(metric: &str, labels: &[(&str, &str)]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let is_plain = |name: &str, also: &str| {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || also.contains(c);
        !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_fine)
    };
    let others = labels.iter().filter(|(name, _)| *name != METRIC_NAME).map(|(name, value)| {
        let name = if is_plain(name, "") { (*name).to_owned() } else { quoted(name) };
        format!("{name}={}", quoted(value))
    });
    if is_plain(metric, ":") {
        let others: Vec<_> = others.collect();
        if others.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", others.join(",")) }
    } else {
        // As Prometheus 3 writes names that are none to others.
        let all: Vec<_> = std::iter::once(quoted(metric)).chain(others).collect();
        format!("{{{}}}", all.join(","))
    }
}

fn value(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        // The shortest text that is read as the same number.
        _ => format!("{value:?}"),
    }
}

/// From 1970 on.
fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// A file that has its name when it is whole, or the terminal.
struct Out {
    writer: Box<dyn Write + Send>,
    file: Option<Unfinished>,
}

struct Unfinished {
    beside: PathBuf,
    name: PathBuf,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Whatever it is that failed, its reason is the better answer.
        drop(std::fs::remove_file(&self.beside));
    }
}

impl Out {
    fn create(place: &str) -> io::Result<Self> {
        if place == "-" {
            return Ok(Self { writer: Box::new(BufWriter::new(io::stdout())), file: None });
        }
        let file = Unfinished { beside: PathBuf::from(format!("{place}.tmp")), name: PathBuf::from(place) };
        let writer = Box::new(BufWriter::with_capacity(1 << 20, File::create(&file.beside)?));
        Ok(Self { writer, file: Some(file) })
    }

    fn finish(mut self) -> io::Result<()> {
        writeln!(self.writer, "# EOF")?;
        self.writer.flush()?;
        let Some(file) = self.file else { return Ok(()) };
        File::open(&file.beside)?.sync_all()?;
        std::fs::rename(&file.beside, &file.name)?;
        let parent = file.name.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_names_are_quoted_where_they_must_be() {
        assert_eq!(head("up", &[("__name__", "up")]), "up");
        let labels = [("__name__", "a:b"), ("x", "1"), ("y", "\"\\\n")];
        assert_eq!(head("a:b", &labels), "a:b{x=\"1\",y=\"\\\"\\\\\\n\"}");
        assert_eq!(head("http.requests", &[("a.b", "1")]), "{\"http.requests\",\"a.b\"=\"1\"}");
    }

    #[test]
    fn numbers_are_those_of_go() {
        let texts = [1.0, -0.0, 1e300, 5e-324, 0.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(value);
        assert_eq!(texts, ["1.0", "-0.0", "1e300", "5e-324", "0.1", "NaN", "+Inf", "-Inf"]);
        assert_eq!(seconds(1_700_000_000_005), "1700000000.005");
    }
}
