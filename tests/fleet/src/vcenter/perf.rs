//! The performance manager.
//!
//! `QueryPerf` is most of what a collector asks for, so its answer is written straight from the model's numbers.

use std::collections::HashMap;

use crate::model::{COUNTERS, Counter, Entity, Series, Time};
use crate::objects::samples::{Window, series};
use crate::soap::{Element, Fault, MoRef, push_number, push_time, record};

use super::walk::{Objects, write_reference};
use super::{Call, services};

/// The interval of samples that hosts keep for an hour.
const REALTIME: i64 = 20;
const HOUR: i64 = 3_600_000;

/// A `PerfQuerySpec`.
struct Query {
    entity: MoRef,
    window: Window,
    metrics: Vec<Metric>,
    csv: bool,
    historical: bool,
}

/// A `PerfMetricId`.
#[derive(Clone)]
struct Metric {
    key: i32,
    instance: String,
}

impl Call<'_> {
    pub(crate) fn performance(&mut self) -> Result<(), Fault> {
        match self.method.name {
            "QueryPerf" => self.query_perf(),
            "QueryPerfCounter" => {
                for id in self.method.all("counterId") {
                    let counter = id.text.trim().parse().ok().and_then(Counter::of_key);
                    let counter = counter.ok_or_else(|| Fault::InvalidArgument("counterId".to_owned()))?;
                    self.value(services::counter(counter.info()), "PerfCounterInfo");
                }
                Ok(())
            }
            "QueryPerfCounterByLevel" => {
                let level = self.method.parse::<i32>("level").filter(|level| (1..=4).contains(level));
                let level = level.ok_or_else(|| Fault::InvalidArgument("level".to_owned()))?;
                for info in COUNTERS.iter().filter(|info| info.level <= level) {
                    self.value(services::counter(info), "PerfCounterInfo");
                }
                Ok(())
            }
            "QueryPerfProviderSummary" => {
                let object = self.argument("entity")?;
                let entity = self.cx().entity_of(&object).ok_or_else(|| Fault::InvalidArgument("entity".to_owned()))?;
                let realtime = has_realtime(entity);
                let summary = record("PerfProviderSummary")
                    .with("entity", object)
                    .with("currentSupported", realtime)
                    .with("summarySupported", self.cx().is_vcenter())
                    .with_some("refreshRate", realtime.then_some(REALTIME));
                self.value(summary, "PerfProviderSummary");
                Ok(())
            }
            "QueryAvailablePerfMetric" => self.available(),
            _ => Err(self.unknown()),
        }
    }

    fn available(&mut self) -> Result<(), Fault> {
        let object = self.argument("entity")?;
        let Some(entity) = self.cx().entity_of(&object) else { return Ok(()) };
        let historical = self.method.parse::<i64>("intervalId").is_some_and(|interval| interval != REALTIME);
        if !historical && !has_realtime(entity) {
            return Ok(());
        }
        if !historical && self.waits_in_vain(entity) {
            return Ok(());
        }
        let at = self.moment.at;
        let window = if historical { Window::historical(Time(at.0 - HOUR), at) } else { Window::newest(at, 1) };
        // What has samples has metrics; a VM that is off has neither.
        for found in series(&self.cx(), entity, &window, None) {
            for part in ["<returnval><counterId>", &found.counter.info().key.to_string(), "</counterId><instance>"] {
                self.out.push_str(part);
            }
            self.out.push_str(&crate::soap::escape(&found.instance));
            self.out.push_str("</instance></returnval>");
        }
        // Known to be slow: as much as a query of ten entities.
        self.cost = self.server.lab.cost.query(10, 0, 0);
        Ok(())
    }

    fn query_perf(&mut self) -> Result<(), Fault> {
        let queries = self.method.all("querySpec").map(|spec| self.query(spec)).collect::<Result<Vec<_>, _>>()?;
        if queries.is_empty() {
            return Err(Fault::InvalidArgument("querySpec".to_owned()));
        }
        let limits = &self.server.lab.cost.limits;
        let metrics = |historical: bool| -> usize {
            queries.iter().filter(|query| query.historical == historical).map(|query| query.weight(self)).sum()
        };
        let (realtime, historical) = (metrics(false), metrics(true));
        let allowed = usize::try_from(limits.max_query_metrics).unwrap_or(usize::MAX);
        if historical > allowed {
            return Err(Fault::RestrictedByAdministrator("vpxd.stats.maxQueryMetrics".to_owned()));
        }
        self.cost = self.server.lab.cost.query(queries.len(), realtime, historical);
        let mut times = HashMap::new();
        let cx = self.cx();
        for query in &queries {
            let Some(entity) = cx.entity_of(&query.entity) else { continue };
            if !query.historical && self.waits_in_vain(entity) {
                continue;
            }
            let wanted: Vec<Counter> = query.metrics.iter().filter_map(|metric| Counter::of_key(metric.key)).collect();
            let found = series(&cx, entity, &query.window, (!query.metrics.is_empty()).then_some(wanted.as_slice()));
            let chosen: Vec<&Series> = found.iter().filter(|series| query.wants(series)).collect();
            // Without samples (switched off, disconnected, before its time) there is no entry for the entity at all.
            if !chosen.is_empty() {
                let infos = times
                    .entry((query.window.clone(), query.csv))
                    .or_insert_with(|| sample_info(&query.window, query.csv));
                write_entity(&mut self.out, query, infos, &chosen);
            }
        }
        Ok(())
    }

    /// Whether the samples of an entity are with a host that does not tell them. Older ones are in the database.
    fn waits_in_vain(&mut self, entity: Entity) -> bool {
        let host = match entity {
            Entity::Vm(id) => self.moment.inventory.vm(id).map(|vm| vm.host),
            Entity::Host(id) => Some(id),
            Entity::Cluster(_) | Entity::Pool(_) | Entity::Datastore(_) => None,
        };
        // Asked itself, it answers.
        let host = host.filter(|_| self.cx().is_vcenter());
        let timeout = host.and_then(|host| self.moment.model.sick(host, self.moment.at));
        self.vain = self.vain.max(timeout.unwrap_or_default());
        timeout.is_some()
    }

    fn query(&self, spec: &Element<'_>) -> Result<Query, Fault> {
        let invalid = |name: &str| Fault::InvalidArgument(format!("querySpec.{name}"));
        let entity = spec.child("entity").ok_or_else(|| invalid("entity"))?.moref();
        if self.now().kind(&entity).is_none() {
            return Err(Fault::ManagedObjectNotFound(entity));
        }
        let known = self.cx().entity_of(&entity).ok_or_else(|| invalid("entity"))?;
        let interval = match spec.text_of("intervalId") {
            None if has_realtime(known) => REALTIME,
            None => 300,
            Some(text) => text.trim().parse().map_err(|_| invalid("intervalId"))?,
        };
        let time = |name| match spec.text_of(name).map(|text| parse_time(text.trim()).ok_or_else(|| invalid(name))) {
            None => Ok(None),
            // Clients take times from the server's clock, which may be off.
            Some(time) => time.map(|time| Some(Time(time.0 - (self.moment.now.0 - self.moment.at.0)))),
        };
        let (start, end) = (time("startTime")?, time("endTime")?);
        let at = self.moment.at;
        let end = end.unwrap_or(at).min(at);
        let max = match spec.text_of("maxSample") {
            None => None,
            Some(text) => {
                Some(text.trim().parse::<i64>().ok().filter(|max| *max > 0).ok_or_else(|| invalid("maxSample"))?)
            }
        };
        let window = match interval {
            REALTIME => {
                if !has_realtime(known) {
                    return Err(invalid("intervalId"));
                }
                Window::realtime(start.unwrap_or(Time(0)).max(Time(at.0 - HOUR)), end, max)
            }
            300 if self.cx().is_vcenter() => Window::historical(start.unwrap_or(Time(end.0 - 24 * HOUR)), end),
            _ => return Err(invalid("intervalId")),
        };
        let metrics = spec
            .all("metricId")
            .map(|metric| {
                let key = metric.parse("counterId").ok_or_else(|| invalid("metricId"))?;
                Ok(Metric { key, instance: metric.text_of("instance").unwrap_or_default().to_owned() })
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        let csv = match spec.text_of("format").map(str::trim) {
            None | Some("normal") => false,
            Some("csv") => true,
            Some(_) => return Err(invalid("format")),
        };
        Ok(Query { entity, window, metrics, csv, historical: interval != REALTIME })
    }
}

impl Query {
    fn wants(&self, series: &Series) -> bool {
        if self.metrics.is_empty() {
            return true;
        }
        let key = series.counter.info().key;
        self.metrics
            .iter()
            .any(|metric| metric.key == key && (metric.instance == "*" || metric.instance == series.instance))
    }

    /// How many metrics the server counts: those of a cluster are added up from its hosts, and each of them counts.
    fn weight(&self, call: &Call<'_>) -> usize {
        let metrics = if self.metrics.is_empty() { COUNTERS.len() } else { self.metrics.len() };
        let hosts = match call.cx().entity_of(&self.entity) {
            Some(Entity::Cluster(id)) => {
                call.moment.inventory.estate.cluster(id).map_or(1, |cluster| cluster.hosts.len())
            }
            _ => 1,
        };
        metrics * hosts.max(1)
    }
}

/// Clusters and datastores are added up in the statistics database; hosts do not measure them.
fn has_realtime(entity: Entity) -> bool {
    matches!(entity, Entity::Vm(_) | Entity::Host(_) | Entity::Pool(_))
}

fn sample_info(window: &Window, csv: bool) -> String {
    let mut out = String::new();
    if csv {
        out.push_str("<sampleInfoCSV>");
    }
    for (place, time) in window.times().enumerate() {
        if csv {
            if place > 0 {
                out.push(',');
            }
            push_number(&mut out, window.seconds());
            out.push(',');
            push_time(&mut out, time.0);
        } else {
            out.push_str("<sampleInfo><timestamp>");
            push_time(&mut out, time.0);
            out.push_str("</timestamp><interval>");
            push_number(&mut out, window.seconds());
            out.push_str("</interval></sampleInfo>");
        }
    }
    if csv {
        out.push_str("</sampleInfoCSV>");
    }
    out
}

fn write_entity(out: &mut String, query: &Query, infos: &str, series: &[&Series]) {
    let (entity, kind) = if query.csv {
        ("PerfEntityMetricCSV", "PerfMetricSeriesCSV")
    } else {
        ("PerfEntityMetric", "PerfMetricIntSeries")
    };
    push(out, &["<returnval xsi:type=\"", entity, "\">"]);
    write_reference(out, "entity", &query.entity);
    out.push_str(infos);
    for series in series {
        push(out, &["<value xsi:type=\"", kind, "\"><id><counterId>"]);
        push_number(out, i64::from(series.counter.info().key));
        push(out, &["</counterId><instance>", &crate::soap::escape(&series.instance), "</instance></id>"]);
        if query.csv {
            out.push_str("<value>");
        }
        for (place, value) in series.values.iter().enumerate() {
            if query.csv {
                if place > 0 {
                    out.push(',');
                }
                push_number(out, *value);
            } else {
                out.push_str("<value>");
                push_number(out, *value);
                out.push_str("</value>");
            }
        }
        out.push_str(if query.csv { "</value></value>" } else { "</value>" });
    }
    out.push_str("</returnval>");
}

fn push(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

/// An `xsd:dateTime`: with or without a fraction, in UTC or with an offset.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let zoned = text.parse::<jiff::Timestamp>().ok();
    // Without a zone it is the server's, which is UTC.
    let time = zoned.or_else(|| format!("{text}Z").parse().ok())?;
    Some(Time(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_forms_that_clients_write() {
        assert_eq!(parse_time("1970-01-01T00:00:00Z"), Some(Time(0)));
        assert_eq!(parse_time("2026-11-23T14:00:00.250Z"), Some(Time(1_795_442_400_250)));
        assert_eq!(parse_time("2026-11-23T15:30:00+01:30"), Some(Time(1_795_442_400_000)));
        assert_eq!(parse_time("2024-02-29T00:00:00"), Some(Time(1_709_164_800_000)));
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-23", "2026-11-23T25:00:00Z"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
