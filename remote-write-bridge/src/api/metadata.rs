//! What metrics are, which examples there are of what was observed, and what answers here.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use clickhouse::Row;
use lynceus_promql::selectors;
use serde::Deserialize;

use super::error::ApiError;
use super::json;
use super::params::{Params, require};
use super::query::parse;
use crate::app::Shared;
use crate::archive::{ExemplarRow, SeriesRow};
use crate::fetch;
use crate::select::{Selection, matchers};

/// A description of a metric, and the last month in which it was sent.
#[derive(Debug, Row, Deserialize)]
struct Description {
    metric_name: String,
    r#type: String,
    unit: String,
    help: String,
}

/// `metadata`: by metric; of several the one that was sent last is the first.
pub(super) async fn metadata(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(request).await?;
    let (metric, limit) = (params.get("metric").unwrap_or_default(), params.limit("limit")?);
    let per_metric = params.limit("limit_per_metric")?.unwrap_or(usize::MAX);
    let most = shared.live().config.read.max_series;
    let sql = format!(
        "SELECT metric_name, type, unit, help FROM metadata {} GROUP BY ALL ORDER BY metric_name, max(month) DESC, \
         type, unit, help LIMIT {}",
        if metric.is_empty() { "" } else { "WHERE metric_name = ?" },
        most + 1
    );
    let connection = shared.archive.prepared()?;
    let query = |client: &clickhouse::Client| {
        let query = client.query(&sql);
        if metric.is_empty() { query } else { query.bind(metric) }
    };
    let found: Vec<Description> = connection.fetch(query, "series", most).await?;
    let metrics = found.chunk_by(|a, b| a.metric_name == b.metric_name).take(limit.unwrap_or(usize::MAX));
    let mut data = String::from("{");
    for (place, all) in metrics.enumerate() {
        if place > 0 {
            data.push(',');
        }
        json::push_text(&mut data, &all[0].metric_name);
        data.push(':');
        json::push_list(&mut data, all.iter().take(per_metric), |out, Description { r#type, help, unit, .. }| {
            json::push_map(out, [("type", r#type.as_str()), ("help", help), ("unit", unit)]);
        });
    }
    data.push('}');
    Ok(json::success(&data))
}

/// `query_exemplars`: those of all series that a query selects.
pub(super) async fn exemplars(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(request).await?;
    let expr = parse(params.query()?)?;
    let (start, end) = (require("start", params.time("start")?)?, require("end", params.time("end")?)?);
    if end < start {
        return Err(ApiError::BadData("end timestamp must not be before start timestamp".to_owned()));
    }
    let selection = Selection::new(start, end, &selectors(&expr).map(matchers).collect::<Vec<_>>());
    let (connection, limits) = (shared.archive.prepared()?, shared.live().config.read.clone());
    let most = limits.max_samples;
    let found: Vec<ExemplarRow> =
        connection.fetch(|client| selection.exemplars(client, most + 1), "samples", most).await?;
    let most = limits.max_series;
    let series: Vec<SeriesRow> = connection.fetch(|client| selection.series(client, most + 1), "series", most).await?;
    let mut data = String::new();
    let with_exemplars = fetch::by_series(&found, |row| row.series_id);
    let mut all: Vec<_> =
        series.iter().filter_map(|row| Some((fetch::labels(row), *with_exemplars.get(&row.series_id)?))).collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    json::push_list(&mut data, all, |out, (labels, exemplars)| {
        out.push_str("{\"seriesLabels\":");
        json::push_map(out, labels);
        out.push_str(",\"exemplars\":");
        json::push_list(out, exemplars, |out, row| {
            out.push_str("{\"labels\":");
            json::push_map(out, row.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            out.push_str(",\"value\":");
            json::push_number(out, row.value);
            out.push_str(",\"timestamp\":");
            json::push_time(out, row.timestamp);
            out.push('}');
        });
        out.push('}');
    });
    Ok(json::success(&data))
}

/// `status/buildinfo`: Grafana asks what it may use. The language is that of Prometheus 3.
pub(super) async fn build_info() -> Response {
    let mut data = String::new();
    let fields = [("version", "3.0.0"), ("application", "lynceus-bridge"), ("revision", env!("CARGO_PKG_VERSION"))];
    json::push_map(&mut data, fields);
    json::success(&data)
}

/// `rules`: none are evaluated here. Grafana asks for those that record, and goes on.
pub(super) async fn rules() -> Response {
    json::success("{\"groups\":[]}")
}

/// `alerts`: none, for the same reason.
pub(super) async fn alerts() -> Response {
    json::success("{\"alerts\":[]}")
}
