use std::fmt;
use std::sync::Arc;

use super::annotation::Annotation;
use super::column::{Cell, Row};
use super::number::go_number;
use super::time::Grid;
use crate::histogram::Histogram;
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

#[derive(Clone, Debug)]
pub struct Series {
    pub labels: Labels,
    /// Ordered by time.
    pub samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub time: i64,
    pub value: SampleValue,
}

#[derive(Clone, Debug)]
pub enum SampleValue {
    Float(f64),
    Histogram(Arc<Histogram>),
}

pub(super) fn series(rows: Vec<Row>, grid: &Grid) -> Vec<Series> {
    let series = |row: Row| {
        let mut samples = Vec::with_capacity(grid.steps);
        for step in 0..grid.steps {
            let value = match row.column.get(step) {
                Some(Cell::Float(value)) => SampleValue::Float(value),
                Some(Cell::Histogram(histogram)) => SampleValue::Histogram(Arc::clone(histogram)),
                None => continue,
            };
            samples.push(Sample { time: grid.time(step), value });
        }
        Series { labels: row.labels, samples }
    };
    let mut all: Vec<Series> = rows.into_iter().map(series).collect();
    all.retain(|s| !s.samples.is_empty());
    all
}

/// One line for each series: its labels, then its samples.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Scalar(time, value) => write!(f, "{} @[{time}]", go_number(*value)),
            Value::Text(time, text) => write!(f, "{text} @[{time}]"),
            Value::Vector(series) | Value::Matrix(series) => {
                for (at, one) in series.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "\n" };
                    write!(f, "{separator}{}", one.labels)?;
                    for sample in &one.samples {
                        match &sample.value {
                            SampleValue::Float(value) => write!(f, " {}", go_number(*value))?,
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
