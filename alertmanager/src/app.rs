//! The daemon: its route, and what it does on start, reload and stop.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use lynceus_service::{Daemon, Host};
use tokio::sync::{Semaphore, oneshot};
use tracing::warn;

use crate::config::Config;
use crate::mail::Templates;
use crate::metrics::{Metrics, Outcome};
use crate::notify::{Notifier, Settings};
use crate::smtp::{SetupError, Smtp};
use crate::webhook;

/// The notifier.
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    notifier: Notifier,
    metrics: Metrics,
    host: Host,
}

impl Daemon for App {
    const NAME: &'static str = "lynceus-notifier";
    const METRICS_PREFIX: &'static str = "lynceus_notifier";
    type Config = Config;
    type Args = ();

    async fn start(config: Config, (): (), host: &Host) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        metrics.register(host);
        let settings = settings(config, host, &metrics)?;
        let notifier = Notifier::new(settings, Templates::new()?, metrics.clone());
        // A mail server that is away is no reason to refuse notifications: each answer says so, and Alertmanager waits.
        host.set_ready();
        Ok(Self { shared: Arc::new(Shared { notifier, metrics, host: host.clone() }) })
    }

    fn router(&self) -> Router {
        Router::new().route("/alertmanager/webhook", post(receive)).with_state(self.shared.clone())
    }

    fn links() -> &'static [(&'static str, &'static str)] {
        &[]
    }

    async fn reload(&self, config: Config) -> anyhow::Result<()> {
        let settings = settings(config, &self.shared.host, &self.shared.metrics)?;
        self.shared.notifier.replace_settings(settings);
        Ok(())
    }

    async fn drain(&self) {
        // What is in work are tasks of the host, which waits for them.
    }
}

fn settings(config: Config, host: &Host, metrics: &Metrics) -> Result<Settings, SetupError> {
    Ok(Settings {
        smtp: Smtp::new(config.smtp, host.shutdown(), metrics.clone())?,
        recipients: config.recipients,
        in_work: Arc::new(Semaphore::new(config.limits.notifications)),
        limits: config.limits,
    })
}

/// A refused request. Alertmanager sends what was answered 5xx again, and drops what was answered 4xx.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("expected content type `application/json`, found `{0}`")]
    ContentType(String),
    #[error("the body is larger than {limit} bytes: raise `limits.body_bytes`, or set `max_alerts` in Alertmanager")]
    TooLarge { limit: usize },
    #[error("failed to read the body: {0}")]
    Body(String),
    #[error(transparent)]
    Malformed(#[from] webhook::WebhookError),
    #[error("{limit} notifications are in work: try again, or raise `limits.notifications`")]
    Busy { limit: usize },
    #[error(transparent)]
    Incomplete(#[from] crate::notify::Incomplete),
    #[error("failed inside the notifier: see its log")]
    Internal,
}

impl Refusal {
    fn answer(&self) -> (StatusCode, Outcome) {
        match self {
            Self::ContentType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Outcome::Malformed),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Outcome::TooLarge),
            Self::Body(_) | Self::Malformed(_) => (StatusCode::BAD_REQUEST, Outcome::Malformed),
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, Outcome::Busy),
            Self::Incomplete(_) => (StatusCode::SERVICE_UNAVAILABLE, Outcome::Incomplete),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Outcome::Incomplete),
        }
    }
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match accept(&shared, request).await {
        Ok(mails) => {
            shared.metrics.notification(Outcome::Delivered);
            format!("{mails} mails handed over\n").into_response()
        }
        Err(refusal) => {
            let (status, outcome) = refusal.answer();
            shared.metrics.notification(outcome);
            if !matches!(refusal, Refusal::Incomplete(_)) {
                warn!(error = %refusal, status = status.as_u16(), "request refused");
            }
            (status, format!("{refusal}\n")).into_response()
        }
    }
}

async fn accept(shared: &Arc<Shared>, request: Request) -> Result<usize, Refusal> {
    let settings = shared.notifier.settings();
    require_json(request.headers())?;
    let body = read_body(request, settings.limits.body_bytes).await?;
    let notification = webhook::parse(&body)?;
    let permit = settings.in_work.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Refusal::Busy { limit: settings.limits.notifications })?;

    // Alertmanager may hang up (its deadline is `group_interval`). What was begun goes on, and is remembered: when it
    // comes again, it is answered from memory. Cut off in the middle, nobody would know who has got the mail.
    let (answer, outcome) = oneshot::channel();
    let task = shared.clone();
    shared.host.spawn("notification", async move {
        let result = task.notifier.notify(&settings, &notification).await;
        drop(permit);
        // The caller has hung up: the outcome is in the log and the memory.
        drop(answer.send(result));
    });
    Ok(outcome.await.map_err(|_| Refusal::Internal)??)
}

/// A page in a browser cannot send this type to another site without being asked first, so it cannot forge alerts.
fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = found.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Refusal::ContentType(found.to_owned())) }
}

async fn read_body(mut request: Request, limit: usize) -> Result<Bytes, Refusal> {
    DefaultBodyLimit::max(limit).apply(&mut request);
    Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge { limit },
        _ => Refusal::Body(rejection.body_text()),
    })
}
