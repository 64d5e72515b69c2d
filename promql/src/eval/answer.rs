use std::fmt;
use std::sync::Arc;

use super::annotation::Annotation;
use super::column::{Column, Row, SampleValue};
use super::number::plain_number;
use super::time::Grid;
use crate::labels::Labels;

/// What a query evaluates to.
#[derive(Clone, Debug)]
pub struct Answer {
    pub value: Value,
    /// Ordered by text, each once.
    pub annotations: Vec<Annotation>,
}

#[derive(Clone, Debug)]
pub enum Value {
    /// Milliseconds since 1970, and the number.
    Scalar(i64, f64),
    /// Milliseconds since 1970, and the text.
    Text(i64, String),
    /// One sample for each series, in the order of the expression.
    Vector(Vec<Series>),
    /// Series ordered by their labels.
    Matrix(Vec<Series>),
}

/// A series of an answer. Those with a sample at each step share their times.
#[derive(Clone, Debug)]
pub struct Series {
    pub labels: Labels,
    times: Arc<[i64]>,
    /// A cell for each time.
    column: Column,
}

#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Milliseconds since 1970.
    pub time: i64,
    pub value: SampleValue<'a>,
}

impl Series {
    pub(super) fn new(labels: Labels, times: Arc<[i64]>, column: Column) -> Series {
        Series { labels, times, column }
    }

    /// Ordered by time.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        let sample = |(at, time): (usize, &i64)| Some(Sample { time: *time, value: self.column.get(at)? });
        self.times.iter().enumerate().filter_map(sample)
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}

/// Series that have a sample.
pub(super) fn series(rows: Vec<Row>, grid: &Grid) -> Vec<Series> {
    let all_times: Arc<[i64]> = (0..grid.steps).map(|step| grid.time(step)).collect();
    let series = |row: Row| {
        if row.column.is_full() {
            return Series::new(row.labels, Arc::clone(&all_times), row.column);
        }
        let times = all_times.iter().enumerate().filter(|(step, _)| row.column.has(*step));
        Series::new(row.labels, times.map(|(_, time)| *time).collect(), row.column.without_gaps())
    };
    let mut all: Vec<Series> = rows.into_iter().map(series).collect();
    all.retain(|series| !series.is_empty());
    all
}

/// One line for each series: its labels, then its samples.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Scalar(time, value) => write!(f, "{} @[{time}]", plain_number(*value)),
            Value::Text(time, text) => write!(f, "{text} @[{time}]"),
            Value::Vector(series) | Value::Matrix(series) => {
                for (at, one) in series.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "\n" };
                    write!(f, "{separator}{}", one.labels)?;
                    for sample in one.samples() {
                        match sample.value {
                            SampleValue::Float(value) => write!(f, " {}", plain_number(value))?,
                            SampleValue::Histogram(histogram) => write!(f, " {histogram}")?,
                        }
                        write!(f, " @[{}]", sample.time)?;
                    }
                }
                Ok(())
            }
        }
    }
}
