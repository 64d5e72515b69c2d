//! Queries on their way to Prometheus: parsed, narrowed, rebuilt, forwarded, streamed back.
//!
//! A client that goes away cancels its query: the handler is dropped, the connection to Prometheus closed, and
//! Prometheus stops evaluating.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use lynceus_promql::{Expr, enforce, parse};
use tracing::{info, warn};
use url::Url;

use super::params::{self, Endpoint, Params};
use super::{guard, reply};
use crate::app::{Current, State};
use crate::metrics::{Denial, Metrics, Query};
use crate::user::{Scope, User};

/// A query of the largest size, each byte of it percent-encoded, and room for the other parameters.
const MAX_BODY: usize = 3 * lynceus_promql::limits::MAX_BYTES + 4096;

pub(crate) async fn query(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    answer(state, Endpoint::Instant, request).await
}

pub(crate) async fn query_range(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    answer(state, Endpoint::Range, request).await
}

/// Why a query is not forwarded, or not answered.
struct Refusal {
    outcome: Query,
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(outcome: Query, status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { outcome, status, message: message.into() }
    }

    fn kind(&self) -> &'static str {
        match self.outcome {
            Query::Invalid | Query::BadRequest | Query::Answered | Query::Refused => "bad_data",
            Query::Forbidden => "forbidden",
            Query::TooLarge => "too_large",
            Query::Timeout => "timeout",
            Query::Unavailable => "unavailable",
        }
    }
}

async fn answer(state: Arc<State>, endpoint: Endpoint, request: Request) -> Response {
    let request_id = guard::request_id(&request);
    let user = match guard::user(&state, request.headers()).await {
        Ok(Some(user)) => user,
        Ok(None) => {
            state.metrics.denied(Denial::NoSession);
            let reason = Denial::NoSession.as_str();
            info!(target: "audit", event = "denied", reason, path = endpoint.name(), request_id, "request denied");
            return reply::api_denial(StatusCode::UNAUTHORIZED);
        }
        Err(status) => return reply::api_denial(status),
    };
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return reply::api_denial(StatusCode::NOT_FOUND);
    }
    let current = state.current();
    let answered = match narrowed(&current, endpoint, &user, request).await {
        Ok(params) => forward(&current, &state.metrics, endpoint, params).await,
        Err(refusal) => Err(refusal),
    };
    let (outcome, response) = match answered {
        Ok((outcome, response)) => (outcome, response),
        Err(refusal) => {
            let response = match refusal.outcome {
                Query::Forbidden => reply::api_denial(StatusCode::FORBIDDEN),
                _ => reply::api_error(refusal.status, refusal.kind(), &refusal.message),
            };
            (refusal.outcome, response)
        }
    };
    state.metrics.query(outcome);
    let (path, outcome) = (endpoint.name(), outcome.as_str());
    info!(target: "audit", event = "query", user = user.name, path, outcome, request_id, "query");
    response
}

/// The parameters to forward: the query as printed from its tree, with the user's matcher in every selector.
async fn narrowed(current: &Current, endpoint: Endpoint, user: &User, request: Request) -> Result<Params, Refusal> {
    let scope = user.scope(&current.config.label);
    if scope == Scope::Nothing {
        return Err(Refusal::new(Query::Forbidden, StatusCode::FORBIDDEN, ""));
    }
    let url = request.uri().query().unwrap_or_default().to_owned();
    let body = body(request).await?;
    let bad = |outcome, message| Refusal::new(outcome, StatusCode::BAD_REQUEST, message);
    let mut params = params::read(endpoint, &url, &body).map_err(|error| bad(Query::BadRequest, error.to_string()))?;
    let mut tree: Expr =
        parse(&params.query).map_err(|error| bad(Query::Invalid, format!("invalid parameter `query`: {error}")))?;
    match scope {
        Scope::Matching(matcher) => enforce(&mut tree, &matcher)
            .map_err(|error| bad(Query::Invalid, format!("invalid parameter `query`: {error}")))?,
        Scope::Everything | Scope::Nothing => {}
    }
    params.query = tree.to_string();
    Ok(params)
}

async fn body(request: Request) -> Result<Vec<u8>, Refusal> {
    let bad = |status, message: &str| Refusal::new(Query::BadRequest, status, message);
    let headers = request.headers();
    if request.method() == Method::GET {
        let has_body = headers.contains_key(header::TRANSFER_ENCODING)
            || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        return if has_body {
            Err(bad(StatusCode::BAD_REQUEST, "expected GET without a body"))
        } else {
            Ok(Vec::new())
        };
    }
    if !is_form(headers) {
        let message = "expected a body of type application/x-www-form-urlencoded, not compressed";
        return Err(bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let too_long = || bad(StatusCode::PAYLOAD_TOO_LARGE, "expected a shorter body, or its connection ended early");
    Ok(axum::body::to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| too_long())?.to_vec())
}

/// Prometheus also reads `multipart/form-data`, where a parameter can hide from us.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (first, more) = (types.next().and_then(|value| value.to_str().ok()), types.next());
    let essence = first.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && more.is_none()
        && !headers.contains_key(header::CONTENT_ENCODING)
}

async fn forward(
    current: &Current,
    metrics: &Metrics,
    endpoint: Endpoint,
    params: Params,
) -> Result<(Query, Response), Refusal> {
    let unavailable =
        || Refusal::new(Query::Unavailable, StatusCode::BAD_GATEWAY, "Prometheus does not answer; try again later");
    let url = endpoint_url(&current.config.prometheus.url, endpoint).ok_or_else(unavailable)?;
    let mut form = vec![("query", params.query)];
    form.extend(params.others);
    let start = Instant::now();
    let sent = current.client.post(url).header(header::ACCEPT, "application/json").form(&form).send().await;
    metrics.query_took(start.elapsed());
    let answer = sent.map_err(|error| {
        if error.is_timeout() && !error.is_connect() {
            let message = "Prometheus took too long; ask for less time, fewer series or a longer step";
            return Refusal::new(Query::Timeout, StatusCode::GATEWAY_TIMEOUT, message);
        }
        warn!(error = chain(&error), "Prometheus does not answer");
        unavailable()
    })?;
    let status = answer.status();
    let is_json = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/json");
    let outcome = match status {
        StatusCode::OK => Query::Answered,
        // Its reasons are about the query, which the user can change.
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::SERVICE_UNAVAILABLE => Query::Refused,
        _ => {
            warn!(%status, "Prometheus answers with an unexpected status");
            return Err(unavailable());
        }
    };
    if !is_json {
        warn!(%status, "Prometheus answers with something that is not JSON");
        return Err(unavailable());
    }
    let limit = current.config.prometheus.max_answer_bytes;
    if answer.content_length().is_some_and(|length| length > limit) {
        let message = "the answer is too long; ask for less time, fewer series or a longer step";
        return Err(Refusal::new(Query::TooLarge, StatusCode::BAD_GATEWAY, message));
    }
    let json = HeaderValue::from_static("application/json");
    let body = Body::from_stream(limited(answer, limit, metrics.clone()));
    Ok((outcome, (status, [(header::CONTENT_TYPE, json)], body).into_response()))
}

/// The body up to `limit`. Beyond, it ends with an error, which closes the connection: the client knows that it is cut.
fn limited(
    answer: reqwest::Response,
    limit: u64,
    metrics: Metrics,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> {
    let mut left = limit;
    answer.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(std::io::Error::other)?;
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        match left.checked_sub(length) {
            Some(rest) => {
                left = rest;
                Ok(chunk)
            }
            None => {
                metrics.query(Query::TooLarge);
                warn!(limit, "an answer of Prometheus is cut off: it is longer than prometheus.max_answer_bytes");
                Err(std::io::Error::other("the answer is too long"))
            }
        }
    })
}

fn endpoint_url(base: &Url, endpoint: Endpoint) -> Option<Url> {
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(["api", "v1", endpoint.name()]);
    Some(url)
}

/// An error with its causes; reqwest's own text stops at the first.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_prometheus_is_kept() {
        let check = |base: &str, expected: &str| {
            let url = endpoint_url(&base.parse().unwrap(), Endpoint::Range).unwrap();
            assert_eq!(url.as_str(), expected);
        };
        check("http://p:9090", "http://p:9090/api/v1/query_range");
        check("http://p:9090/prom", "http://p:9090/prom/api/v1/query_range");
        check("http://p:9090/prom/", "http://p:9090/prom/api/v1/query_range");
    }

    #[test]
    fn only_a_plain_form_is_read() {
        let check = |headers: &[(header::HeaderName, &str)], expected: bool| {
            let headers: HeaderMap = headers.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect();
            assert_eq!(is_form(&headers), expected, "{headers:?}");
        };
        let form = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        check(std::slice::from_ref(&form), true);
        check(&[(header::CONTENT_TYPE, "Application/X-WWW-Form-Urlencoded; charset=UTF-8")], true);
        check(&[], false);
        check(&[(header::CONTENT_TYPE, "multipart/form-data; boundary=x")], false);
        check(&[(header::CONTENT_TYPE, "application/json")], false);
        check(&[form.clone(), (header::CONTENT_TYPE, "multipart/form-data; boundary=x")], false);
        check(&[form, (header::CONTENT_ENCODING, "gzip")], false);
    }
}
