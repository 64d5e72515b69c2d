//! What Prometheus asks: the page of a vCenter, and which pages there are; and what people ask: the newest events.
//!
//! Every answer is made from memory. A client that goes away costs nothing.

mod events;
mod guests;
mod last;
mod probe;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, VARY};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::app::Targets;
use crate::exposition::Page;
use crate::guest::board::Board;
use crate::publish::Published;

const PAGE_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";
const JSON_TYPE: &str = "application/json";

#[derive(Clone)]
struct Shared {
    targets: Targets,
    board: Board,
    external_url: Option<Url>,
    /// Name of this exporter of a pair.
    exporter: Option<String>,
}

/// The routes.
pub fn router(targets: Targets, board: Board, external_url: Option<Url>, exporter: Option<String>) -> Router {
    Router::new()
        .route("/vcenter/{name}/metrics", get(page))
        .route("/sd/vcenters", get(vcenters))
        .route("/guest/{vcenter}/{vm_id}/metrics", get(guests::page))
        .route("/sd/guests", get(guests::list))
        .route("/api/v1/events", get(events::list))
        .route("/probe", get(probe::probe))
        .route("/api/v1/last", get(last::last))
        .with_state(Shared { targets, board, external_url, exporter })
}

#[derive(Deserialize)]
struct Shard {
    shard: Option<usize>,
}

async fn page(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(wanted): Query<Shard>,
    headers: HeaderMap,
) -> Response {
    page_of(&shared.targets, &name, wanted.shard, &headers)
}

fn page_of(targets: &Targets, name: &str, shard: Option<usize>, headers: &HeaderMap) -> Response {
    match targets.published(name) {
        Some(Published::Pages(pages)) => match (shard, pages.as_slice()) {
            (None, [page]) => serve(page, headers),
            (None, _) => {
                let text = format!("`{name}` has {} pages: ask for one with `?shard=0` and so on\n", pages.len());
                refuse(StatusCode::BAD_REQUEST, text)
            }
            (Some(shard), _) => match pages.get(shard) {
                Some(page) => serve(page, headers),
                None => refuse(StatusCode::NOT_FOUND, format!("`{name}` has {} pages, from 0 on\n", pages.len())),
            },
        },
        Some(Published::Waiting(reason)) => {
            let text = format!("nothing was collected from `{name}` yet: {reason}\n");
            refuse(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        None => no_such_vcenter(targets, name),
    }
}

fn no_such_vcenter(targets: &Targets, name: &str) -> Response {
    let known = targets.names().join("`, `");
    refuse(StatusCode::NOT_FOUND, format!("there is no vCenter `{name}`; the config has `{known}`\n"))
}

/// Path and meaning of all pages, for the landing page.
pub fn pages(targets: &Targets) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for (name, shards) in targets.shards() {
        let path = format!("/vcenter/{name}/metrics");
        if shards == 1 {
            pages.push((path, format!("what is known of the vCenter {name}")));
            continue;
        }
        let shard = |shard| (format!("{path}?shard={shard}"), format!("the vCenter {name}, {} of {shards}", shard + 1));
        pages.extend((0..shards).map(shard));
    }
    pages
}

/// A page as it was compressed when it was written: nothing is left to do, but for who cannot read it so.
fn serve(page: &Page, headers: &HeaderMap) -> Response {
    let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = accepted.flat_map(|value| value.split(',')).map(str::trim);
    let gzip = codings.any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = matches!(parameters.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        matches!(name.trim(), "gzip" | "*") && !refused
    });
    let vary = (VARY, "accept-encoding");
    if gzip {
        return ([(CONTENT_TYPE, PAGE_TYPE), (CONTENT_ENCODING, "gzip"), vary], page.gzip.clone()).into_response();
    }
    ([(CONTENT_TYPE, PAGE_TYPE), vary], Body::from_stream(stream::iter(page.parts()))).into_response()
}

fn refuse(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, TEXT_TYPE)], text).into_response()
}

/// One target of Prometheus' HTTP service discovery.
#[derive(Serialize)]
struct Target {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

/// All vCenters, once one of them was collected: Prometheus keeps its targets on an error and drops them on an empty
/// list. One that was never reached is listed too, so that its target is there to be down.
async fn vcenters(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(reason) = shared.targets.waiting() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, format!("nothing was collected yet: {reason}\n"));
    }
    let Some(base) = Base::of(shared.external_url.as_ref(), &headers) else {
        let text = "the request has no usable `Host` header; set `--web.external-url`\n";
        return refuse(StatusCode::BAD_REQUEST, text.to_owned());
    };
    let target = |name: &str, shard: Option<String>| {
        let labels = [("instance", name.to_owned()), ("vcenter", name.to_owned())];
        let mut target = base.target(&format!("/vcenter/{name}/metrics"), &shared, labels);
        if let Some(shard) = shard {
            // The second tells targets apart; the documentation says how it is kept off the samples.
            target.labels.extend([("__param_shard", shard.clone()), ("shard", shard)]);
        }
        target
    };
    let mut targets = Vec::new();
    for (name, shards) in shared.targets.shards() {
        match shards {
            1 => targets.push(target(&name, None)),
            _ => targets.extend((0..shards).map(|shard| target(&name, Some(shard.to_string())))),
        }
    }
    json(&targets)
}

fn json(content: &impl Serialize) -> Response {
    match serde_json::to_vec(content) {
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

    /// The target of a page of this exporter.
    fn target(&self, path: &str, shared: &Shared, labels: impl IntoIterator<Item = (&'static str, String)>) -> Target {
        let mut labels: BTreeMap<_, _> = labels.into_iter().collect();
        labels.insert("__metrics_path__", format!("{}{path}", self.prefix));
        labels.extend(self.scheme.clone().map(|scheme| ("__scheme__", scheme)));
        // Which of two it was: kept off the samples too.
        labels.extend(shared.exporter.clone().map(|name| ("exporter", name)));
        Target { targets: [self.address.clone()], labels }
    }
}
