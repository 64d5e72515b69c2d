//! Queries: parsed, evaluated on a thread of their own, and given up when nobody waits any more.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use lynceus_promql::{Answer, EvalError, Expr, Options, Storage};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::json;
use super::params::{Params, require};
use super::storage::ArchiveStorage;
use crate::app::Shared;
use crate::time;

/// As long as Prometheus' `query.timeout`; a request may name a shorter one.
const TIMEOUT: Duration = Duration::from_secs(120);

/// `query`: at one time.
pub(super) async fn instant(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(request).await?;
    let at = params.time("time")?.unwrap_or_else(time::now_millis);
    evaluate(&shared, &params, move |expr, storage, options| lynceus_promql::query(expr, at, storage, options)).await
}

/// `query_range`: at many.
pub(super) async fn range(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(request).await?;
    let (start, end) = (require("start", params.time("start")?)?, require("end", params.time("end")?)?);
    let step = require("step", params.duration("step")?)?;
    evaluate(&shared, &params, move |expr, storage, options| {
        lynceus_promql::query_range(expr, (start, end, step), storage, options)
    })
    .await
}

/// `format_query`: the query as it is printed.
pub(super) async fn format(request: Request) -> Result<Response, ApiError> {
    let params = Params::of(request).await?;
    let mut data = String::new();
    json::push_text(&mut data, &parse(params.query()?)?.to_string());
    Ok(json::success(&data))
}

pub(super) fn parse(query: &str) -> Result<Expr, ApiError> {
    lynceus_promql::parse(query).map_err(|error| ApiError::BadData(format!("invalid parameter \"query\": {}", error)))
}

async fn evaluate(
    shared: &Shared,
    params: &Params,
    work: impl FnOnce(&Expr, &dyn Storage, &Options<'_>) -> Result<Answer, EvalError> + Send + 'static,
) -> Result<Response, ApiError> {
    let query = params.query()?.to_owned();
    let expr = parse(&query)?;
    let lookback = params.duration("lookback_delta")?;
    let limit = params.duration("timeout")?.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
    let limit = limit.unwrap_or(TIMEOUT).min(TIMEOUT);
    let timed_out = |_| ApiError::TimedOut("query timed out in query execution".to_owned());

    let live = shared.live();
    let _place = timeout(limit, live.reads.acquire()).await.map_err(timed_out)?;
    // Dropped when the client goes away, or when it has waited too long.
    let cancelled = CancellationToken::new();
    let _guard = cancelled.clone().drop_guard();
    let storage = ArchiveStorage::new(shared, params.flag("rollups")?.unwrap_or(true), cancelled.clone())?;
    let evaluation = tokio::task::spawn_blocking(move || {
        let is_cancelled = || cancelled.is_cancelled();
        let defaults = Options::default();
        let options = Options { lookback: lookback.unwrap_or(defaults.lookback), cancelled: &is_cancelled, ..defaults };
        let answer = work(&expr, &storage, &options)?;
        Ok::<_, EvalError>(json::answer(&answer, &query, &storage.notes()))
    });
    match timeout(limit, evaluation).await.map_err(timed_out)? {
        Ok(outcome) => outcome.map_err(ApiError::from),
        Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
    }
}
