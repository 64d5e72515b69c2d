//! What a call costs, and what is refused: a vCenter is not a table that answers at once.
//!
//! A call costs `call`, plus `object` for each object that is read, plus `property` for each of its properties; `QueryPerf`
//! costs `perf_entity` for each entity and `perf_metric` for each of its metrics. While it takes that long it holds one of
//! `workers`; the others wait. The time that the fleet itself needs counts towards it.

use std::path::Path;
use std::time::Duration;

use lynceus_service::{Config, ConfigError, Problems, load, parse_duration};

/// Costs and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Any call.
    pub call: Duration,
    /// Each object that is read.
    pub object: Duration,
    /// Each property of these.
    pub property: Duration,
    /// Each entity of a `QueryPerf`.
    pub perf_entity: Duration,
    /// Each metric of these, realtime.
    pub perf_metric: Duration,
    /// Each metric of these from the statistics database.
    pub perf_historical: Duration,
    /// Calls under way at once; 0 for any number.
    pub workers: usize,
    /// What is refused.
    pub limits: Limits,
}

/// What is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// `config.vpxd.stats.maxQueryMetrics`: entities times metrics of a historical query; -1 for any number.
    pub max_query_metrics: i64,
    /// Elements in a request.
    pub max_elements: usize,
    /// Sessions at once.
    pub max_sessions: usize,
    /// A session ends when it is idle for this long.
    pub session_timeout: Duration,
}

impl Default for Limits {
    /// vCenter's own, except for the sessions: a vCenter takes some 2,000, and an estate under test needs a hundredth.
    fn default() -> Self {
        Self {
            max_query_metrics: 256,
            max_elements: crate::soap::MAX_ELEMENTS,
            max_sessions: 500,
            session_timeout: Duration::from_secs(30 * 60),
        }
    }
}

impl Cost {
    /// No delays; the limits stay.
    pub fn off() -> Self {
        let free = Duration::ZERO;
        Self {
            call: free,
            object: free,
            property: free,
            perf_entity: free,
            perf_metric: free,
            perf_historical: free,
            workers: 0,
            limits: Limits::default(),
        }
    }

    /// The cost of reading so many objects with so many properties in all.
    pub fn reading(&self, objects: usize, properties: usize) -> Duration {
        self.call + self.object * count(objects) + self.property * count(properties)
    }

    /// The cost of a `QueryPerf`.
    pub fn query(&self, entities: usize, realtime: usize, historical: usize) -> Duration {
        self.call
            + self.perf_entity * count(entities)
            + self.perf_metric * count(realtime)
            + self.perf_historical * count(historical)
    }
}

impl Default for Cost {
    /// Near a mid-size vCenter: telegraf reports 7,000 VMs with 34 metrics each in under 20 s, so 2.9 ms a VM, here
    /// 0.5 ms + 34 × 0.07 ms. Historical data is several times slower, as Datadog's documentation puts it.
    fn default() -> Self {
        let micros = Duration::from_micros;
        Self {
            call: micros(3_000),
            object: micros(20),
            property: micros(3),
            perf_entity: micros(500),
            perf_metric: micros(70),
            perf_historical: micros(350),
            workers: 8,
            limits: Limits::default(),
        }
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// What the user writes: only what differs from the default.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCost {
    call: Option<String>,
    object: Option<String>,
    property: Option<String>,
    perf_entity: Option<String>,
    perf_metric: Option<String>,
    perf_historical: Option<String>,
    workers: Option<usize>,
    limits: RawLimits,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    max_query_metrics: Option<i64>,
    max_elements: Option<usize>,
    max_sessions: Option<usize>,
    session_timeout: Option<String>,
}

impl Config for Cost {
    type Raw = RawCost;

    fn validate(raw: RawCost, problems: &mut Problems) -> Option<Self> {
        let mut cost = Self::default();
        let times = [
            ("call", raw.call, &mut cost.call),
            ("object", raw.object, &mut cost.object),
            ("property", raw.property, &mut cost.property),
            ("perf_entity", raw.perf_entity, &mut cost.perf_entity),
            ("perf_metric", raw.perf_metric, &mut cost.perf_metric),
            ("perf_historical", raw.perf_historical, &mut cost.perf_historical),
            ("limits.session_timeout", raw.limits.session_timeout, &mut cost.limits.session_timeout),
        ];
        for (key, text, into) in times {
            match text.map(|text| short_duration(&text).ok_or(text)) {
                None => {}
                Some(Ok(time)) => *into = time,
                Some(Err(text)) => problems.push(key, "a time such as 70us, 3ms or 30m", format!("`{text}`")),
            }
        }
        cost.workers = raw.workers.unwrap_or(cost.workers);
        let limits = &mut cost.limits;
        limits.max_query_metrics = raw.limits.max_query_metrics.unwrap_or(limits.max_query_metrics);
        limits.max_elements = raw.limits.max_elements.unwrap_or(limits.max_elements);
        limits.max_sessions = raw.limits.max_sessions.unwrap_or(limits.max_sessions);
        if limits.session_timeout.is_zero() {
            problems.push("limits.session_timeout", "more than 0s", "0s");
        }
        problems.is_empty().then_some(cost)
    }
}

/// As Prometheus writes durations, and microseconds, which it does not know.
fn short_duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("us") {
        Some(number) => number.parse().ok().map(Duration::from_micros),
        None => parse_duration(text),
    }
}

/// What `--cost` names: `off`, `default`, or a file.
pub fn read(name: &str) -> Result<Cost, ConfigError> {
    match name {
        "off" => Ok(Cost::off()),
        "default" => Ok(Cost::default()),
        file => load(Path::new(file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lynceus_service::parse_config;

    fn parse(yaml: &str) -> Result<Cost, String> {
        parse_config(yaml, Path::new("cost.yml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_says_only_what_differs() {
        let cost = parse("perf_metric: 90us\nlimits:\n  max_query_metrics: 64\n").unwrap();
        assert_eq!(cost.perf_metric, Duration::from_micros(90));
        assert_eq!(cost.limits.max_query_metrics, 64);
        assert_eq!(cost.call, Cost::default().call);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let error = parse("workers: 2\ncall: soon\n").unwrap_err();
        assert!(error.contains("cost.yml:2: call: expected a time such as 70us, 3ms or 30m, found `soon`"), "{error}");
        assert!(parse("cal: 3ms\n").unwrap_err().contains("cal"));
    }

    #[test]
    fn seven_thousand_vms_cost_what_telegraf_measured() {
        let seconds = Cost::default().query(7_000, 7_000 * 34, 0).as_secs_f64();
        assert!((19.0..21.0).contains(&seconds), "{seconds}");
    }
}
