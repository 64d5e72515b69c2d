//! What the other exporter asks, and which of the two answers Prometheus.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use tracing::{info, warn};

use super::Ha;
use super::lease::{Role, Status};
use super::peer::PASSED;
use crate::app::App;

/// Ten times what 5,000 VMs take.
const MAX_STATE_BYTES: usize = 256 << 20;

/// A name and two words.
const MAX_STATUS_BYTES: usize = 4 << 10;

/// A page with the other one's state on it is there within a second, most often.
const PAGE_WAIT: Duration = Duration::from_secs(2);

/// The routes of a pair, before those that answer Prometheus.
pub(crate) fn router(ha: &Arc<Ha>, app: App, answers: Router) -> Router {
    let between = Router::new()
        .route("/ha/lease", post(lease).layer(DefaultBodyLimit::max(MAX_STATUS_BYTES)))
        .route("/ha/state/{vcenter}", post(state).layer(DefaultBodyLimit::max(MAX_STATE_BYTES)))
        // Before anything of the body is read.
        .route_layer(from_fn_with_state(ha.clone(), known))
        .with_state((ha.clone(), app));
    answers.layer(from_fn_with_state(ha.clone(), answer)).merge(between)
}

/// Lets in who knows the secret.
async fn known(State(ha): State<Arc<Ha>>, request: Request, next: Next) -> Response {
    let secret = match ha.peer.secret() {
        Ok(secret) => secret,
        Err(error) => {
            warn!(%error, "the secret of the pair cannot be read");
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the secret of the pair cannot be read".to_owned());
        }
    };
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if given.is_some_and(|given| given.ct_eq(secret.expose().as_bytes()).into()) {
        return next.run(request).await;
    }
    warn!("refused a request in the name of the other exporter: it has another secret");
    refuse(StatusCode::UNAUTHORIZED, format!("this is not the secret of `{}`", ha.name))
}

async fn lease(State((ha, _)): State<(Arc<Ha>, App)>, Json(peer): Json<Status>) -> Response {
    if peer.name == ha.name {
        let text = format!("both exporters are named `{}`: give each its own `ha.name`, or correct `ha.peer`", ha.name);
        return refuse(StatusCode::CONFLICT, text);
    }
    Json(ha.hear(&peer, Instant::now())).into_response()
}

/// Keeps what the other one knows of a vCenter. While this one collects it is shown before the answer goes out: then
/// the other one lets scrapes come here.
async fn state(State((ha, app)): State<(Arc<Ha>, App)>, Path(vcenter): Path<String>, state: Bytes) -> Response {
    let _turn = ha.joining.lock().await;
    let mut pages = app.pages(&vcenter);
    match app.join(&vcenter, state).await {
        Ok(()) => {}
        Err(error) => {
            warn!(vcenter, error = format!("{error:#}"), "the other exporter's state cannot be used");
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}"));
        }
    }
    ha.contact().state = Instant::now();
    if let Some(pages) = &mut pages {
        // The first may have been under way before; a second comes as soon as pages may be written again.
        for _ in 0..2 {
            if timeout(PAGE_WAIT, pages.changed()).await.is_err() {
                info!(vcenter, "no page with the other exporter's state yet");
                break;
            }
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

/// Answers Prometheus here while this one leads, there while the other one does, and never with an older page.
async fn answer(State(ha): State<Arc<Ha>>, request: Request, next: Next) -> Response {
    let (leads, role) = {
        let lease = ha.lease();
        (lease.leads(Instant::now()), lease.role())
    };
    let collects = ha.collects.load(Ordering::SeqCst);
    if leads && collects {
        return next.run(request).await;
    }
    if request.headers().contains_key(PASSED) {
        return unavailable(&format!("`{}` does not lead", ha.name));
    }
    match role {
        Role::Standby if !collects => pass(&ha, request.uri(), request.headers()).await,
        Role::Standby => unavailable("the lead is being handed over"),
        Role::Leader => unavailable("this exporter begins to lead"),
        Role::Looking => unavailable("it is not known yet which of the two exporters leads"),
        Role::Leaving => unavailable("stopping"),
    }
}

async fn pass(ha: &Ha, uri: &axum::http::Uri, headers: &HeaderMap) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    match ha.peer.pass(path, headers).await {
        Ok(response) => response,
        Err(error) => unavailable(&format!("`{}` is standby, and {error}", ha.name)),
    }
}

fn unavailable(reason: &str) -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, reason.to_owned())
}

fn refuse(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text + "\n").into_response()
}
