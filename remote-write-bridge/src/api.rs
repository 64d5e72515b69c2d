//! Prometheus' HTTP API over the whole archive, as Grafana's Prometheus data source calls it.
//!
//! ```text
//! request ─▶ params ─▶ lists, metadata: SQL ──────────────────────────────▶ json
//!                  └─▶ query: evaluator ─▶ storage: series and samples by SQL ─▶ json
//! ```
//!
//! Parameters, answers and errors are those of Prometheus 3. Which labels, values and series there are is known by the
//! month, so those of a shorter range are those of its months.

mod error;
mod json;
mod lists;
mod metadata;
mod params;
mod query;
mod storage;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::app::Shared;

/// All paths.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/format_query", get(query::format).post(query::format))
        .route("/api/v1/query_exemplars", get(metadata::exemplars).post(metadata::exemplars))
        .route("/api/v1/labels", get(lists::labels).post(lists::labels))
        .route("/api/v1/label/{name}/values", get(lists::values))
        .route("/api/v1/series", get(lists::series).post(lists::series))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/rules", get(metadata::rules))
        .route("/api/v1/alerts", get(metadata::alerts))
        .route("/api/v1/status/buildinfo", get(metadata::build_info))
}
