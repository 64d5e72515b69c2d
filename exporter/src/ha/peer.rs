//! The other exporter, over HTTP: words about the lease, state, and scrapes that it answers.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT, VARY};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use lynceus_service::tls::{TlsError, untrusted_certificate};
use lynceus_service::{SecretError, SecretSource};
use url::Url;

use super::config::HaConfig;
use super::lease::Status;

/// On a scrape that one exporter passes to the other, so that it is not passed back.
pub(super) const PASSED: HeaderName = HeaderName::from_static("lynceus-passed-by");

/// A page has 50,000 series at most, which is about 10 MB.
const MAX_PAGE_BYTES: usize = 64 << 20;

/// For a scrape that does not say how long it waits; Prometheus' default.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// What Prometheus says of a scrape.
const SCRAPE_TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// A large state on a slow line: it may take as long as the other one waits for a body.
const STATE_TIMEOUT: Duration = Duration::from_secs(30);

/// The way to the other exporter.
#[derive(Debug)]
pub(super) struct Peer {
    url: Url,
    secret: SecretSource,
    http: reqwest::Client,
    /// For a word about the lease.
    timeout: Duration,
    name: String,
}

/// Why the other exporter did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    #[error("failed to set up the connection to the peer: {0}")]
    Client(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("no answer from the peer `{url}`: {reason}")]
    NoAnswer { url: Url, reason: String },
    #[error("the peer `{0}` refuses the secret: it has to be the same on both (`ha.secret_file`, `ha.secret_env`)")]
    WrongSecret(Url),
    #[error("the peer `{url}` answers {status}: {text}")]
    Refused { url: Url, status: u16, text: String },
}

impl Peer {
    /// Opens no connection yet.
    pub(super) fn new(config: &HaConfig, name: String) -> Result<Self, PeerError> {
        let timeout = config.lease / 3;
        let mut http = reqwest::Client::builder();
        if config.peer.scheme() == "https" {
            http = http.tls_backend_preconfigured(config.tls.rustls()?);
        }
        let http = http
            .connect_timeout(timeout)
            // Pages are passed on as they are.
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("lynceus-exporter/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| PeerError::Client(chain(&error)))?;
        Ok(Self { url: config.peer.clone(), secret: config.secret.clone(), http, timeout, name })
    }

    /// The secret as it is now.
    pub(super) fn secret(&self) -> Result<lynceus_service::Secret<String>, SecretError> {
        self.secret.read()
    }

    /// Says how this one is, and hears how the other one is.
    pub(super) async fn exchange(&self, status: &Status) -> Result<Status, PeerError> {
        let request = self.http.post(self.at("ha/lease")).json(status).timeout(self.timeout);
        let answer = self.send(request).await?;
        answer.json().await.map_err(|error| self.no_answer(&error))
    }

    /// Sends what is known of a vCenter.
    pub(super) async fn push(&self, vcenter: &str, state: Bytes) -> Result<(), PeerError> {
        let request = self.http.post(self.at(&format!("ha/state/{vcenter}"))).body(state).timeout(STATE_TIMEOUT);
        self.send(request).await.map(drop)
    }

    /// Has the other one answer a scrape.
    pub(super) async fn pass(&self, path_and_query: &str, headers: &HeaderMap) -> Result<Response, PeerError> {
        let mut request = self.http.get(self.at(path_and_query.trim_start_matches('/'))).header(PASSED, &self.name);
        // Whom the listener here let in, that one there knows too.
        for name in [ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT, HeaderName::from_static(SCRAPE_TIMEOUT_HEADER)]
        {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let mut answer =
            request.timeout(scrape_timeout(headers)).send().await.map_err(|error| self.no_answer(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.no_answer(&error))? {
            if body.len() + chunk.len() > MAX_PAGE_BYTES {
                let reason = format!("expected a page of at most {MAX_PAGE_BYTES} bytes, found more");
                return Err(PeerError::NoAnswer { url: self.url.clone(), reason });
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = answer.status();
        for name in [CONTENT_TYPE, CONTENT_ENCODING, VARY] {
            if let Some(value) = answer.headers().get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        Ok(response)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, PeerError> {
        let secret = self.secret()?;
        let answer = request.bearer_auth(secret.expose()).send().await.map_err(|error| self.no_answer(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(PeerError::WrongSecret(self.url.clone())),
            status => {
                let text = answer.text().await.unwrap_or_default().trim().chars().take(200).collect();
                Err(PeerError::Refused { url: self.url.clone(), status: status.as_u16(), text })
            }
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url.as_str().trim_end_matches('/'))
    }

    fn no_answer(&self, error: &reqwest::Error) -> PeerError {
        let reason = untrusted_certificate(error).unwrap_or_else(|| chain(error));
        PeerError::NoAnswer { url: self.url.clone(), reason }
    }
}

/// A little less than Prometheus waits, so that it hears the reason.
fn scrape_timeout(headers: &HeaderMap) -> Duration {
    let given = headers.get(SCRAPE_TIMEOUT_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let given = given.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds * 0.9).ok());
    given.filter(|timeout| !timeout.is_zero()).unwrap_or(SCRAPE_TIMEOUT).min(Duration::from_secs(600))
}

/// The innermost cause says most; the outer ones repeat the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if error.is_timeout() { "timed out".to_owned() } else { innermost.to_string() }
}
