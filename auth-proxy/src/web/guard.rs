//! What stands before every route: one form of path, our own origin for changes, a request id, safe headers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::Rng;
use tracing::{Instrument, error, info, info_span};

use super::reply;
use crate::app::State;
use crate::config::Config;
use crate::metrics::Denial;
use crate::session::SessionId;
use crate::user::User;

/// Nothing from elsewhere, no scripts, no frames; forms go to us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                                       base-uri 'none'; frame-ancestors 'none'";

/// Names one request in the log, in the answer, and to the person who reports a problem.
#[derive(Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    fn random() -> RequestId {
        let mut bytes = [0; 8];
        rand::rng().fill_bytes(&mut bytes);
        RequestId(format!("{:016x}", u64::from_be_bytes(bytes)).into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) async fn guard(Shared(state): Shared<Arc<State>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::random();
    request.extensions_mut().insert(id.clone());
    let https = state.current().config.is_https();
    let mut response = checked(state, request, next).instrument(info_span!("request", id = id.as_str())).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    // Not `no-referrer`: browsers then send `Origin: null` with our own forms.
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

async fn checked(state: Arc<State>, request: Request, next: Next) -> Response {
    if !is_in_normal_form(request.uri()) {
        record_denial(&state, Denial::PathForm, &request);
        let message = "expected a path of letters, digits and -._~ between single slashes, found another form\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && request.uri().path().starts_with("/auth/") {
        let current = state.current();
        if !is_from_our_page(request.headers(), &current.config) {
            record_denial(&state, Denial::Origin, &request);
            let origin = current.config.origin();
            let text = format!("This address is not the one to sign in at. Go to {origin} instead.");
            return state.pages.problem(StatusCode::FORBIDDEN, &origin, &text);
        }
    }
    next.run(request).await
}

/// What is refused before anyone is asked who it is: recorded with its address and path, since there is no user.
fn record_denial(state: &State, denial: Denial, request: &Request) {
    state.metrics.denied(denial);
    let (reason, peer, request_id) = (denial.as_str(), peer(request), request_id(request));
    let (method, path) = (request.method().as_str(), request.uri().path());
    info!(target: "audit", event = "denied", reason, %peer, method, path, request_id, "request denied");
}

/// Whether everyone who reads this path reads the same: plain letters, no empty and no dot segments, no host in it.
fn is_in_normal_form(uri: &Uri) -> bool {
    let path = uri.path();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/');
    uri.authority().is_none()
        && path.starts_with('/')
        && path.bytes().all(plain)
        && path[1..].split('/').all(|segment| !matches!(segment, "." | ".."))
        && !path.contains("//")
}

/// Browsers say where a form comes from; who says nothing is not a browser with our page.
fn is_from_our_page(headers: &HeaderMap, config: &Config) -> bool {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        (values.next().map(HeaderValue::as_bytes), values.next().is_some())
    };
    match (one(HeaderName::from_static("sec-fetch-site")), one(header::ORIGIN)) {
        ((_, true), _) | (_, (_, true)) => false,
        ((Some(site), _), _) => site == b"same-origin",
        ((None, _), (Some(origin), _)) => origin == config.origin().as_bytes(),
        ((None, _), (None, _)) => false,
    }
}

/// The user of the request's session. The error is the answer when the database does not give one.
pub(crate) async fn user(state: &State, headers: &HeaderMap) -> Result<Option<User>, StatusCode> {
    let current = state.current();
    let Some(id) = SessionId::from_request(headers, current.config.is_https()) else { return Ok(None) };
    state.store.session_user(&id, current.config.idle_timeout).await.map_err(|error| {
        error!(%error, "failed to look up a session");
        StatusCode::SERVICE_UNAVAILABLE
    })
}

/// The address that the connection comes from. Headers that claim another one are not read.
pub(crate) fn peer(request: &Request) -> IpAddr {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip())
}

/// The id that [`guard`] gave to the request.
pub(crate) fn request_id(request: &Request) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.as_str().to_owned())
}

/// All that is not routed. Who has not signed in does not learn what exists.
pub(crate) async fn deny(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let user = user(&state, request.headers()).await;
    let is_api = request.uri().path().starts_with("/prometheus/");
    let (status, reason) = match &user {
        Ok(Some(_)) => (StatusCode::NOT_FOUND, Some(Denial::UnknownPath)),
        Ok(None) => (StatusCode::UNAUTHORIZED, Some(Denial::NoSession)),
        Err(status) => (*status, None),
    };
    if let Some(reason) = reason {
        state.metrics.denied(reason);
        let user = user.ok().flatten().map(|user| user.name);
        let (method, path) = (request.method().as_str(), request.uri().path());
        let request_id = request_id(&request);
        info!(target: "audit", event = "denied", reason = reason.as_str(), user, method, path, request_id, "request denied");
    }
    if is_api { reply::api_denial(status) } else { reply::plain_denial(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_form_of_a_path_is_taken() {
        for path in ["/", "/auth/sign-in", "/prometheus/api/v1/query?query=a//b%2f..", "/a/", "/a.b/..c/...", "/~a_b"] {
            assert!(is_in_normal_form(&path.parse().unwrap()), "{path}");
        }
        for path in [
            "//",
            "//a",
            "/a//b",
            "/./a",
            "/a/.",
            "/../a",
            "/a/..",
            "/a%2fb",
            "/%2e%2e/a",
            "/a;b",
            "/a%00",
            "/a\\b",
            "/%71",
            "/a%5cb",
            "http://host/a",
            "/a+b",
            "/a:b",
            "*",
            "/é",
        ] {
            assert!(path.parse().map_or(true, |uri| !is_in_normal_form(&uri)), "{path}");
        }
    }

    #[test]
    fn a_change_comes_from_our_own_page() {
        let yaml = "public_url: https://lynceus.example:8443\ndatabase: {path: a}\nprometheus: {url: 'http://b'}\n";
        let config = lynceus_service::parse_config::<Config>(yaml, std::path::Path::new("a.yml")).unwrap();
        let check = |headers: &[(&str, &str)], expected: bool| {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
                .collect();
            assert_eq!(is_from_our_page(&headers, &config), expected, "{headers:?}");
        };
        let ours = ("origin", "https://lynceus.example:8443");
        check(&[ours], true);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-origin"), ours], true);
        check(&[], false);
        check(&[("origin", "null")], false);
        check(&[("origin", "https://lynceus.example")], false);
        check(&[("origin", "http://lynceus.example:8443")], false);
        check(&[("origin", "https://lynceus.example:8443.evil.example")], false);
        check(&[("sec-fetch-site", "cross-site"), ours], false);
        check(&[("sec-fetch-site", "same-site"), ours], false);
        check(&[("sec-fetch-site", "none"), ours], false);
        check(&[ours, ours], false);
        check(&[("referer", "https://lynceus.example:8443/")], false);
    }
}
