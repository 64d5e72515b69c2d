//! HTTP in front of a [`Server`]: paths, cookies, status codes, and the time that an answer takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tracing::debug;

use crate::soap::{Fault, HEAD, TAIL};
use crate::vcenter::{Answer, Caller, Reply, Server, Wait, services};

/// The biggest request: 500,000 elements of a `QueryPerf` are some 14 MB.
const MAX_BODY: usize = 64 << 20;
/// How often a wait looks for news that nothing announces.
const LOOK: Duration = Duration::from_millis(250);
const COOKIE: &str = "vmware_soap_session";

/// The SOAP service, and what clients ask before they speak SOAP.
pub(crate) fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/sdk", post(soap))
        .route("/sdk/", post(soap))
        .route("/sdk/vimService", post(soap))
        .route("/sdk/vimServiceVersions.xml", get(versions))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(server)
}

/// Answers are compressed when the client asks for it, as fast as possible: they are made once and read once.
pub(crate) fn compressed(router: Router) -> Router {
    router.layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
}

async fn versions() -> Response {
    const PRIOR: [&str; 8] = ["8.0.1.0", "8.0.0.0", "7.0.3.0", "7.0.2.0", "7.0.1.0", "7.0.0.0", "6.7", "6.5"];
    let prior: String = PRIOR.iter().map(|version| format!("<version>{version}</version>")).collect();
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<namespaces version=\"1.0\"><namespace><name>urn:vim25</name>\
         <version>{}</version><priorVersions>{prior}</priorVersions></namespace></namespaces>",
        services::API_VERSION
    );
    ([(header::CONTENT_TYPE, "text/xml")], text).into_response()
}

async fn soap(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let worker = match &server.lab.workers {
        // The semaphore is never closed.
        Some(workers) => workers.acquire().await.ok(),
        None => None,
    };
    let started = Instant::now();
    let result = {
        let server = server.clone();
        tokio::task::spawn_blocking(move || call(&server, &headers, &body)).await
    };
    let reply = match result {
        Ok(reply) => reply,
        Err(error) => Err(Fault::SystemError(format!("the fleet failed: {error}"))),
    };
    match reply {
        Ok(Reply::Done(answer)) => {
            let cost = server.slowed(answer.cost);
            tokio::time::sleep(cost.saturating_sub(started.elapsed())).await;
            if !answer.vain.is_zero() {
                // Others are served while it waits for a host.
                drop(worker);
                tokio::time::sleep(answer.vain.saturating_sub(started.elapsed())).await;
            }
            respond(answer)
        }
        Ok(Reply::Wait(wait)) => {
            drop(worker);
            waited(server, wait).await
        }
        Err(fault) => {
            debug!(%fault, "fault");
            tokio::time::sleep(server.slowed(server.lab.cost.call).saturating_sub(started.elapsed())).await;
            failed(&fault)
        }
    }
}

fn call(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Reply, Fault> {
    let body = std::str::from_utf8(body)
        .map_err(|error| Fault::InvalidRequest(format!("\nwhile parsing SOAP envelope: {error}")))?;
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    server.call(body, Caller { cookie: cookie(headers), agent })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    // Some clients send the quotes back, others do not.
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.trim().trim_matches('"'))
}

/// Looks for news until there is some or the client's patience ends. Dropped with the connection when the client goes.
async fn waited(server: Arc<Server>, wait: Wait) -> Response {
    let deadline = Instant::now() + wait.patience;
    let wait = Arc::new(wait);
    let method = || "WaitForUpdatesEx".to_owned();
    loop {
        let woken = wait.collector.wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let looked = {
            let (server, wait) = (server.clone(), wait.clone());
            tokio::task::spawn_blocking(move || server.look(&wait)).await
        };
        match looked {
            Ok(Ok(Some(body))) => return respond(Answer { body, method: method(), ..Answer::default() }),
            Ok(Ok(None)) => {}
            Ok(Err(fault)) => return failed(&fault),
            Err(error) => return failed(&Fault::SystemError(format!("the fleet failed: {error}"))),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Nothing happened: an answer without a value.
            return respond(Answer { method: method(), ..Answer::default() });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK.min(left)) => {}
            () = &mut woken => {}
        }
    }
}

fn respond(answer: Answer) -> Response {
    let Answer { body, method, cookie, .. } = answer;
    let mut text = String::with_capacity(HEAD.len() + body.len() + 2 * method.len() + 100);
    for part in [HEAD, "<", &method, "Response xmlns=\"urn:vim25\">", &body, "</", &method, "Response>", TAIL] {
        text.push_str(part);
    }
    let mut response = xml(StatusCode::OK, text);
    if let Some(key) = cookie {
        let cookie = if key.is_empty() {
            format!("{COOKIE}=\"\"; Path=/; Max-Age=0; HttpOnly; Secure")
        } else {
            format!("{COOKIE}=\"{key}\"; Path=/; HttpOnly; Secure")
        };
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
    }
    response
}

fn failed(fault: &Fault) -> Response {
    xml(StatusCode::INTERNAL_SERVER_ERROR, fault.envelope())
}

fn xml(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], Body::from(text)).into_response()
}
