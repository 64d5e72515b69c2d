//! What Prometheus asks: the page of a vCenter, and which pages there are.
//!
//! Every answer is made from memory. A client that goes away costs nothing.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tower_http::compression::CompressionLayer;
use url::Url;

use crate::app::Targets;
use crate::watch::Published;

const PAGE_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";
const JSON_TYPE: &str = "application/json";

#[derive(Clone)]
struct Shared {
    targets: Targets,
    external_url: Option<Url>,
}

/// The routes.
pub fn router(targets: Targets, external_url: Option<Url>) -> Router {
    Router::new()
        .route("/vcenter/{name}/metrics", get(page))
        .route("/sd/vcenters", get(vcenters))
        .layer(CompressionLayer::new())
        .with_state(Shared { targets, external_url })
}

async fn page(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    match shared.targets.published(&name) {
        Some(Published::Page(page)) => ([(CONTENT_TYPE, PAGE_TYPE)], page).into_response(),
        Some(Published::Waiting(reason)) => {
            let text = format!("nothing was collected from `{name}` yet: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, TEXT_TYPE)], text).into_response()
        }
        None => {
            let known = shared.targets.names().join("`, `");
            let text = format!("there is no vCenter `{name}`; the config has `{known}`\n");
            (StatusCode::NOT_FOUND, [(CONTENT_TYPE, TEXT_TYPE)], text).into_response()
        }
    }
}

/// One target of Prometheus' HTTP service discovery.
#[derive(Serialize)]
struct Target {
    targets: [String; 1],
    labels: Labels,
}

#[derive(Serialize)]
struct Labels {
    #[serde(rename = "__metrics_path__")]
    metrics_path: String,
    #[serde(rename = "__scheme__", skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    instance: String,
    vcenter: String,
}

/// All vCenters, once one of them was collected: Prometheus keeps its targets on an error and drops them on an empty
/// list. One that was never reached is listed too, so that its target is there to be down.
async fn vcenters(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(reason) = shared.targets.waiting() {
        let text = format!("nothing was collected yet: {reason}\n");
        return (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, TEXT_TYPE)], text).into_response();
    }
    let Some(base) = Base::of(shared.external_url.as_ref(), &headers) else {
        let text = "the request has no usable `Host` header; set `--web.external-url`\n";
        return (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, TEXT_TYPE)], text).into_response();
    };
    let target = |name: String| Target {
        targets: [base.address.clone()],
        labels: Labels {
            metrics_path: format!("{}/vcenter/{name}/metrics", base.prefix),
            scheme: base.scheme.clone(),
            instance: name.clone(),
            vcenter: name,
        },
    };
    let targets: Vec<_> = shared.targets.names().into_iter().map(target).collect();
    match serde_json::to_vec(&targets) {
        Ok(json) => ([(CONTENT_TYPE, JSON_TYPE)], json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Where Prometheus reaches this exporter.
struct Base {
    address: String,
    prefix: String,
    scheme: Option<String>,
}

impl Base {
    fn of(external: Option<&Url>, headers: &HeaderMap) -> Option<Self> {
        if let Some(url) = external {
            let port = url.port_or_known_default()?;
            return Some(Self {
                address: format!("{}:{port}", url.host_str()?),
                prefix: url.path().trim_end_matches('/').to_owned(),
                scheme: Some(url.scheme().to_owned()),
            });
        }
        let authority: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
        if authority.as_str().contains('@') {
            return None;
        }
        Some(Self { address: authority.to_string(), prefix: String::new(), scheme: None })
    }
}
