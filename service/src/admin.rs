//! What every daemon answers beside its own routes: landing page, health, readiness, metrics, reload.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

/// A request to read the config again, and where the outcome goes.
pub(crate) type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// Liveness and readiness, which are on every listener.
pub(crate) fn health(unready: Arc<Mutex<Option<String>>>) -> Router {
    let ready = move || {
        let reason = unready.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async move {
            match reason {
                None => (StatusCode::OK, "Ready\n".to_owned()),
                Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("Not ready: {reason}\n")),
            }
        }
    };
    Router::new().route("/-/healthy", get(|| async { "Healthy\n" })).route("/-/ready", get(ready))
}

/// Metrics, reload and the landing page.
pub(crate) fn admin(
    page: impl Fn() -> String + Clone + Send + Sync + 'static,
    registry: Arc<Mutex<Registry>>,
    reloads: mpsc::Sender<ReloadRequest>,
) -> Router {
    Router::new()
        .route("/", get(move || async move { Html(page()) }))
        .route("/metrics", get(move || async move { metrics(&registry) }))
        .route("/-/reload", post(move || reload(reloads)))
}

fn metrics(registry: &Mutex<Registry>) -> Response {
    let mut text = String::new();
    let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, format)], text).into_response()
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to encode metrics: {error}\n")).into_response()
        }
    }
}

async fn reload(reloads: mpsc::Sender<ReloadRequest>) -> Response {
    let (answer, outcome) = oneshot::channel();
    if reloads.send(answer).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
    }
    match outcome.await {
        Ok(Ok(())) => "Reloaded\n".into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\nthe previous config stays in force\n"))
            .into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response(),
    }
}

/// The page at `/`: name, version, and what there is to see.
pub(crate) fn landing_page(
    name: &str,
    version: &str,
    links: &[(&str, &str)],
    configured: &[(String, String)],
) -> String {
    let common = [("/metrics", "metrics of this daemon"), ("/-/healthy", "is it alive"), ("/-/ready", "is it ready")];
    let configured: Vec<_> = configured.iter().map(|(path, what)| (escape(path), escape(what))).collect();
    let configured = configured.iter().map(|(path, what)| (path.as_str(), what.as_str()));
    let items: String = configured
        .chain(links.iter().copied())
        .chain(common)
        .map(|(path, what)| format!("<li><a href=\"{path}\">{path}</a> <span>{what}</span></li>\n"))
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}</title>\n\
         <style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em }} \
         li {{ margin: .4em 0 }} span {{ color: #666; margin-left: .5em }}</style>\n\
         <h1>{name}</h1>\n<p>Version {version}</p>\n<ul>\n{items}</ul>\n"
    )
}

/// Text as HTML, in attributes too.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_config_come_first_and_cannot_be_markup() {
        let links = [("/a?b=1&c=\"".to_owned(), "<script>".to_owned())];
        let page = landing_page("x", "1", &[("/fixed", "fixed")], &links);
        let link = "<a href=\"/a?b=1&amp;c=&quot;\">/a?b=1&amp;c=&quot;</a> <span>&lt;script&gt;</span>";
        assert!(page.find(link) < page.find("/fixed") && page.contains(link), "{page}");
    }
}
