//! One SOAP call over HTTPS: limits, retries, and errors that say what happened.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tracing::debug;
use url::Url;

use super::Method;
use super::envelope::{self, Answer};
use super::error::{self, Error, FaultKind, Problem};
use super::xml::{Xml, XmlError};
use crate::config::VcenterConfig;
use crate::metrics::Metrics;

/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The API version that requests are written in. Every vCenter since 6.5 takes it.
const SOAP_ACTION: &str = "urn:vim25/6.5";

/// The way to one vCenter.
#[derive(Debug)]
pub struct Transport {
    config: VcenterConfig,
    http: reqwest::Client,
    /// Bounds requests in flight, and with HTTP/1.1 so the connections.
    permits: Semaphore,
    metrics: Metrics,
}

/// A decoded answer.
pub(super) struct Reply<T> {
    pub(super) value: T,
    /// The session's cookie, where the server set one.
    pub(super) cookie: Option<String>,
}

struct RawReply {
    status: u16,
    cookie: Option<String>,
    text: String,
}

impl Transport {
    pub(super) fn new(config: VcenterConfig, metrics: Metrics) -> Result<Self, Error> {
        let failed = |problem: Problem| Error {
            vcenter: config.name.clone(),
            method: Method::RetrieveServiceContent,
            problem: Box::new(problem),
        };
        let tls = config.tls.rustls().map_err(|error| failed(error.into()))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            .pool_max_idle_per_host(config.max_connections)
            // Credentials go to the configured address and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("lynceus-exporter/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(Problem::Http(error.to_string())))?;
        Ok(Self { permits: Semaphore::new(config.max_connections), config, http, metrics })
    }

    pub(super) fn config(&self) -> &VcenterConfig {
        &self.config
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn error(&self, method: Method, problem: Problem) -> Error {
        Error { vcenter: self.config.name.clone(), method, problem: Box::new(problem) }
    }

    /// Calls a method, again where that may help, and decodes the answer's return values.
    pub(super) async fn call<T>(
        &self,
        method: Method,
        body: &str,
        cookie: Option<&str>,
        decode: impl Fn(Xml<'_>) -> Result<T, XmlError>,
    ) -> Result<Reply<T>, Error> {
        let body = bytes::Bytes::from(envelope::wrap(body));
        let mut attempt = 0;
        loop {
            let problem = match self.attempt(method, body.clone(), cookie, &decode).await {
                Ok(reply) => return Ok(reply),
                Err(problem) => problem,
            };
            self.metrics.request_failed(&self.config.name, method, problem.reason());
            // A sign-in whose answer was lost may have opened a session; another one would open a second.
            let again = if method == Method::Login { problem.is_before_request() } else { problem.is_transient() };
            if !again || attempt == self.config.max_retries {
                return Err(self.error(method, problem));
            }
            let wait = self.config.retry_back_off.saturating_mul(1 << attempt.min(16)).min(MAX_WAIT);
            debug!(vcenter = self.config.name, %method, ?wait, error = %problem, "trying again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt<T>(
        &self,
        method: Method,
        body: bytes::Bytes,
        cookie: Option<&str>,
        decode: impl Fn(Xml<'_>) -> Result<T, XmlError>,
    ) -> Result<Reply<T>, Problem> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.map_err(|error| Problem::Http(error.to_string()))?;
        let start = Instant::now();
        let raw = self.exchange(body, cookie).await;
        self.metrics.request(&self.config.name, method, start.elapsed());
        let raw = raw?;
        self.metrics.response_bytes(&self.config.name, raw.text.len());
        let response = format!("{method}Response");
        let answer = envelope::open(&raw.text, &response).and_then(|answer| match answer {
            Answer::Response(xml) => Ok(Ok(decode(xml)?)),
            Answer::Fault(fault) => Ok(Err(fault)),
        });
        match answer {
            Ok(Ok(value)) => Ok(Reply { value, cookie: raw.cookie }),
            Ok(Err(fault)) if fault.kind == FaultKind::InvalidLogin => {
                Err(Problem::InvalidLogin(self.config.username.clone()))
            }
            Ok(Err(fault)) => Err(Problem::Fault(fault)),
            Err(_) if raw.status != 200 => Err(Problem::Status(raw.status)),
            Err(error) => Err(Problem::Xml(error)),
        }
    }

    async fn exchange(&self, body: bytes::Bytes, cookie: Option<&str>) -> Result<RawReply, Problem> {
        let mut request = self
            .http
            .post(self.config.url.clone())
            .header(http::header::CONTENT_TYPE, "text/xml; charset=utf-8")
            .header("SOAPAction", SOAP_ACTION)
            .body(body);
        if let Some(cookie) = cookie {
            request = request.header(http::header::COOKIE, cookie);
        }
        let mut response = request.send().await.map_err(|error| self.classify(&error))?;
        let (status, cookie) = (response.status().as_u16(), session_cookie(response.headers()));
        let limit = self.config.max_response_bytes;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.classify(&error))? {
            if bytes.len() + chunk.len() > limit {
                return Err(Problem::TooLarge(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let reason = "not UTF-8".to_owned();
            XmlError::Malformed { position: error.utf8_error().valid_up_to() as u64, reason }
        })?;
        Ok(RawReply { status, cookie, text })
    }

    fn classify(&self, error: &reqwest::Error) -> Problem {
        let (connect, request) = (self.config.connect_timeout, self.config.request_timeout);
        error::from_reqwest(error, address(&self.config.url), connect, request)
    }
}

fn address(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// `name=value` of the session's cookie.
fn session_cookie(headers: &http::HeaderMap) -> Option<String> {
    let cookies = headers.get_all(http::header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next()).map(str::trim);
    pairs.filter(|pair| pair.starts_with("vmware_soap_session=")).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_cookie_is_found_among_others() {
        let mut headers = http::HeaderMap::new();
        headers.append(http::header::SET_COOKIE, "a=b".parse().unwrap());
        headers.append(http::header::SET_COOKIE, "vmware_soap_session=\"x-1\"; Path=/; HttpOnly".parse().unwrap());
        assert_eq!(session_cookie(&headers).as_deref(), Some("vmware_soap_session=\"x-1\""));
    }
}
