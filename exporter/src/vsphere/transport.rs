//! One SOAP call over HTTPS: limits, retries, and errors that say what happened.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{MutexGuard, Semaphore};
use tracing::debug;
use url::Url;

use super::Method;
use super::certificate;
use super::envelope::{self, Answer};
use super::error::{self, Error, Fault, FaultKind, Problem};
use super::xml::{Xml, XmlError};
use crate::config::{Collection, VcenterConfig};
use crate::metrics::Metrics;

/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The API version that requests are written in. Every vCenter since 6.5 takes it.
const SOAP_ACTION: &str = "urn:vim25/6.5";

/// How long vCenter may keep a wait for updates open before it says that there are none. Shorter than what firewalls
/// take for a dead connection.
pub(super) const MAX_UPDATE_WAIT: Duration = Duration::from_secs(120);

/// The way to one vCenter, or to one of its hosts.
#[derive(Debug)]
pub struct Transport {
    /// Who is asked, in words.
    server: String,
    config: VcenterConfig,
    http: HttpClients,
    /// Bounds requests in flight, and with HTTP/1.1 so the connections.
    permits: Semaphore,
    /// Bounds the requests of all ways that share it, but for waits: these cost nobody anything.
    budget: Option<Arc<Semaphore>>,
    metrics: Metrics,
    last_answer: Mutex<Option<Instant>>,
    refusals: Mutex<Refusals>,
    back_off: BackOff,
    /// Held while somebody signs in, so that those who wait see how that went.
    sign_in: tokio::sync::Mutex<()>,
    certificate: Mutex<Certificate>,
}

/// What requests are sent with.
#[derive(Debug, Clone)]
pub struct HttpClients {
    kept: reqwest::Client,
    /// Makes a connection of its own for each request, and says which certificate it met. One that is kept would say that
    /// of before.
    fresh: reqwest::Client,
}

/// The certificate that was seen last.
#[derive(Debug, Default)]
struct Certificate {
    der: Vec<u8>,
    end: Option<i64>,
}

/// How long a sign-in waits after refused ones: a wrong password must not be tried until the user is locked out.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    /// After the first refusal; doubled at each of the next.
    pub first: Duration,
    /// The longest.
    pub most: Duration,
}

impl BackOff {
    /// As configured.
    pub fn of(collection: &Collection) -> Self {
        Self { first: collection.interval, most: collection.max_back_off }
    }
}

#[derive(Debug, Default)]
struct Refusals {
    count: u32,
    until: Option<Instant>,
}

/// A decoded answer.
pub(super) struct Reply<T> {
    pub(super) value: T,
    /// The session's cookie, where the server set one.
    pub(super) cookie: Option<String>,
}

pub(super) struct RawReply {
    pub(super) status: u16,
    cookie: Option<String>,
    pub(super) text: String,
}

impl Transport {
    /// Opens no connection yet. Fails where the TLS settings cannot be used.
    pub fn new(config: VcenterConfig, back_off: BackOff, metrics: Metrics) -> Result<Self, Error> {
        let server = format!("vCenter `{}`", config.name);
        let http = http_client(&server, &config)?;
        Ok(Self::over(http, server, config, back_off, metrics, None))
    }

    /// The way to a host of a vCenter. It shares its client and a budget with those to the other hosts.
    pub fn to_host(
        http: HttpClients,
        host: &str,
        config: VcenterConfig,
        back_off: BackOff,
        metrics: Metrics,
        budget: Arc<Semaphore>,
    ) -> Self {
        Self::over(http, format!("host `{host}`"), config, back_off, metrics, Some(budget))
    }

    fn over(
        http: HttpClients,
        server: String,
        config: VcenterConfig,
        back_off: BackOff,
        metrics: Metrics,
        budget: Option<Arc<Semaphore>>,
    ) -> Self {
        Self {
            server,
            permits: Semaphore::new(config.max_connections),
            budget,
            config,
            http,
            metrics,
            last_answer: Mutex::default(),
            refusals: Mutex::default(),
            back_off,
            sign_in: tokio::sync::Mutex::default(),
            certificate: Mutex::default(),
        }
    }

    /// How it is set up.
    pub fn config(&self) -> &VcenterConfig {
        &self.config
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// When vCenter last answered a call, be it with a fault.
    pub fn last_answer(&self) -> Option<Instant> {
        *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the certificate that the server showed last ends, in Unix milliseconds.
    pub fn certificate_end(&self) -> Option<i64> {
        self.certificate.lock().unwrap_or_else(PoisonError::into_inner).end
    }

    fn saw_certificate(&self, der: &[u8]) {
        let mut certificate = self.certificate.lock().unwrap_or_else(PoisonError::into_inner);
        if certificate.der != der {
            *certificate = Certificate { der: der.to_vec(), end: certificate::end(der) };
        }
    }

    /// The turn to sign in, one at a time. Fails while that would come too soon after a sign-in that was refused.
    pub(super) async fn may_sign_in(&self, method: Method) -> Result<MutexGuard<'_, ()>, Error> {
        let turn = self.sign_in.lock().await;
        let until = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).until;
        if until.is_some_and(|until| Instant::now() < until) {
            return Err(self.error(method, Problem::InvalidLogin(self.config.username.clone())));
        }
        Ok(turn)
    }

    /// A sign-in was answered.
    pub(super) fn signed_in(&self, refused: bool) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if !refused {
            *refusals = Refusals::default();
            return;
        }
        let wait = self.back_off.first.saturating_mul(1 << refusals.count.min(16)).min(self.back_off.most);
        refusals.count += 1;
        refusals.until = Some(Instant::now() + wait);
    }

    pub(super) fn error(&self, method: Method, problem: Problem) -> Error {
        Error { server: self.server.clone(), method, problem: Box::new(problem) }
    }

    /// Calls a method, again where that may help, and decodes the answer's return values.
    pub(super) async fn call<T>(
        &self,
        method: Method,
        body: impl Into<String>,
        cookie: Option<&str>,
        decode: impl Fn(Xml<'_>) -> Result<T, XmlError>,
    ) -> Result<Reply<T>, Error> {
        // Dozens of large ones are under way at a time: one copy of each is enough.
        let wrapped = bytes::Bytes::from(envelope::wrap(&body.into()));
        self.retrying(method, || self.attempt(method, wrapped.clone(), cookie, &decode)).await
    }

    /// Attempts something, again where that may help.
    pub(super) async fn retrying<T, F>(&self, method: Method, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        let mut attempts = 0;
        loop {
            let problem = match attempt().await {
                Ok(value) => return Ok(value),
                Err(problem) => problem,
            };
            self.metrics.request_failed(&self.config.name, method, problem.reason());
            let again = match method {
                // A sign-in whose answer was lost may have opened a session; another one would open a second.
                Method::Login | Method::TagsLogin => problem.is_before_request(),
                // The next collection asks for what this one has missed, and of fewer objects.
                Method::QueryPerf => problem.is_transient() && !matches!(problem, Problem::Timeout { .. }),
                // What was answered last is not known, so the inventory is read anew.
                Method::WaitForUpdatesEx => false,
                _ => problem.is_transient(),
            };
            if !again || attempts == self.config.max_retries {
                return Err(self.error(method, problem));
            }
            let wait = self.config.retry_back_off.saturating_mul(1 << attempts.min(16)).min(MAX_WAIT);
            debug!(vcenter = self.config.name, %method, ?wait, error = %problem, "trying again");
            tokio::time::sleep(wait).await;
            attempts += 1;
        }
    }

    async fn attempt<T>(
        &self,
        method: Method,
        body: bytes::Bytes,
        cookie: Option<&str>,
        decode: impl Fn(Xml<'_>) -> Result<T, XmlError>,
    ) -> Result<Reply<T>, Problem> {
        // No session is needed for this one.
        let http = if method == Method::RetrieveServiceContent { &self.http.fresh } else { &self.http.kept };
        let mut request = http
            .post(self.config.url.clone())
            .header(http::header::CONTENT_TYPE, "text/xml; charset=utf-8")
            .header("SOAPAction", SOAP_ACTION)
            .body(body);
        if let Some(cookie) = cookie {
            request = request.header(http::header::COOKIE, cookie);
        }
        let raw = self.exchange(method, request).await?;
        let response = format!("{method}Response");
        let answer = envelope::open(&raw.text, &response).and_then(|answer| match answer {
            Answer::Response(xml) => Ok(Ok(decode(xml)?)),
            Answer::Fault(fault) => Ok(Err(fault)),
        });
        if method == Method::Login
            && let Ok(Ok(_) | Err(Fault { kind: FaultKind::InvalidLogin, .. })) = &answer
        {
            self.signed_in(matches!(answer, Ok(Err(_))));
        }
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

    /// A request to the same server that is not SOAP.
    pub(super) fn request(&self, verb: http::Method, url: Url) -> reqwest::RequestBuilder {
        self.http.kept.request(verb, url)
    }

    /// Sends a request within all limits, and counts it.
    pub(super) async fn exchange(&self, method: Method, request: reqwest::RequestBuilder) -> Result<RawReply, Problem> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.map_err(|error| Problem::Http(error.to_string()))?;
        let budget = self.budget.as_ref().filter(|_| method != Method::WaitForUpdatesEx);
        let _share = match budget {
            Some(budget) => Some(budget.acquire().await.map_err(|error| Problem::Http(error.to_string()))?),
            None => None,
        };
        let start = Instant::now();
        let raw = self.send(method, request).await;
        self.metrics.request(&self.config.name, method, start.elapsed());
        let raw = raw?;
        self.metrics.response_bytes(&self.config.name, raw.text.len());
        *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(raw)
    }

    async fn send(&self, method: Method, request: reqwest::RequestBuilder) -> Result<RawReply, Problem> {
        let request = request.timeout(self.limit(method));
        let mut response = request.send().await.map_err(|error| self.classify(method, &error))?;
        let tls = response.extensions().get::<reqwest::tls::TlsInfo>();
        if let Some(der) = tls.and_then(reqwest::tls::TlsInfo::peer_certificate) {
            self.saw_certificate(der);
        }
        let (status, cookie) = (response.status().as_u16(), session_cookie(response.headers()));
        let limit = self.config.max_response_bytes;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.classify(method, &error))? {
            if bytes.len() + chunk.len() > limit {
                return Err(Problem::TooLarge(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        // A guest's own words may be in any encoding; one of them must not cost the answer.
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Ok(RawReply { status, cookie, text })
    }

    /// How long the answer may take.
    fn limit(&self, method: Method) -> Duration {
        let wait = if method == Method::WaitForUpdatesEx { MAX_UPDATE_WAIT } else { Duration::ZERO };
        self.config.request_timeout + wait
    }

    fn classify(&self, method: Method, error: &reqwest::Error) -> Problem {
        let (connect, request) = (self.config.connect_timeout, self.limit(method));
        error::from_reqwest(error, address(&self.config.url), connect, request)
    }
}

/// What requests to a server, or to the hosts of a vCenter, are sent with. Fails where the TLS settings cannot be used.
pub fn http_client(server: &str, config: &VcenterConfig) -> Result<HttpClients, Error> {
    let failed = |problem: Problem| Error {
        server: server.to_owned(),
        method: Method::RetrieveServiceContent,
        problem: Box::new(problem),
    };
    let tls = config.tls.rustls().map_err(|error| failed(error.into()))?;
    let mut full = tls.clone();
    // A resumed session shows the certificate of before.
    full.resumption = rustls::client::Resumption::disabled();
    let client = |tls: rustls::ClientConfig, idle: usize| {
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .tls_info(idle == 0)
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(idle)
            // Credentials go to the configured address and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("lynceus-exporter/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(Problem::Http(error.to_string())))
    };
    Ok(HttpClients { kept: client(tls, config.max_connections)?, fresh: client(full, 0)? })
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
