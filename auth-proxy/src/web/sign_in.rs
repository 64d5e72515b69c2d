//! Signing in and out.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::extract::{Query as UrlQuery, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lynceus_service::Secret;
use serde::Deserialize;
use tracing::{error, info};
use url::{Url, form_urlencoded};

use super::guard;
use super::pages::SignInPage;
use crate::app::State;
use crate::metrics::SignIn;
use crate::password::Busy;
use crate::session::{SessionId, clear_cookie};
use crate::user::user_name;

/// A name, a password and a path; a browser sends no more.
const MAX_FORM: usize = 8192;
const MAX_RETURN_PATH: usize = 2048;

const WRONG: &str = "The name or the password is wrong.";
const BUSY: &str = "Too many people are signing in at this moment. Try again in a few seconds.";
const FAILED: &str = "Signing in does not work at this moment. Try again later.";

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    rd: Option<String>,
}

pub(crate) async fn page(
    Shared(state): Shared<Arc<State>>,
    UrlQuery(query): UrlQuery<PageQuery>,
    headers: HeaderMap,
) -> Response {
    let origin = state.current().config.public_url.clone();
    let rd = return_path(query.rd.as_deref().unwrap_or_default(), &origin);
    match guard::user(&state, &headers).await {
        Ok(Some(_)) => see_other(&rd),
        Ok(None) => state.pages.sign_in(StatusCode::OK, &SignInPage { rd: &rd, name: "", problem: "" }),
        Err(status) => state.pages.sign_in(status, &SignInPage { rd: &rd, name: "", problem: FAILED }),
    }
}

struct Form {
    name: String,
    password: Secret<String>,
    rd: String,
}

/// A browser that goes away ends this early and gains nothing: a failure is counted before the password is checked.
pub(crate) async fn submit(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let request_id = guard::request_id(&request);
    let peer = guard::peer(&request);
    let headers = request.headers().clone();
    let current = state.current();
    let Some(form) = form(request, &current.config.public_url).await else {
        state.metrics.sign_in(SignIn::Malformed);
        let problem = "Fill in name and password.";
        return state.pages.sign_in(StatusCode::BAD_REQUEST, &SignInPage { rd: "/", name: "", problem });
    };
    let name = user_name(&form.name);
    // A name of any other form may be a password, typed into the wrong field.
    let shown = name.clone().unwrap_or_else(|| "(not a name)".to_owned());
    let audit = |outcome: SignIn| {
        state.metrics.sign_in(outcome);
        let outcome = outcome.as_str();
        info!(target: "audit", event = "sign-in", outcome, user = shown, %peer, request_id, "sign-in");
    };
    let again = |status: StatusCode, problem: &str| {
        let page = SignInPage { rd: &form.rd, name: name.as_deref().unwrap_or_default(), problem };
        state.pages.sign_in(status, &page)
    };

    let key = name.as_deref().unwrap_or("\0");
    let allowed = {
        let mut throttle = state.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.attempt(peer, key, Instant::now())
    };
    if let Err(wait) = allowed {
        audit(SignIn::Throttled);
        let seconds = wait.as_secs() + 1;
        let mut response = again(
            StatusCode::TOO_MANY_REQUESTS,
            &format!("Too many attempts have failed. Try again in {seconds} seconds."),
        );
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return response;
    }

    let hash = match &name {
        Some(name) => state.store.password_hash(name).await,
        None => Ok(None),
    };
    let hash = match hash {
        Ok(hash) => hash,
        Err(error) => {
            error!(%error, "failed to look up a user");
            audit(SignIn::Failed);
            return again(StatusCode::SERVICE_UNAVAILABLE, FAILED);
        }
    };
    let right = match state.verifier.verify(&form.password, hash.as_deref()).await {
        Ok(right) => right,
        Err(Busy) => {
            // Nothing was guessed.
            state.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(peer, key);
            audit(SignIn::Busy);
            let mut response = again(StatusCode::SERVICE_UNAVAILABLE, BUSY);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(5));
            return response;
        }
    };
    let (Some(name), Some(hash), true) = (&name, &hash, right) else {
        audit(SignIn::Refused);
        return again(StatusCode::UNAUTHORIZED, WRONG);
    };

    let https = current.config.is_https();
    let id = SessionId::random();
    match begin(&state, &headers, https, &id, name, hash).await {
        Ok(true) => {}
        // Deleted, or given a new password, while this one was checked.
        Ok(false) => {
            audit(SignIn::Refused);
            return again(StatusCode::UNAUTHORIZED, WRONG);
        }
        Err(error) => {
            error!(%error, "failed to begin a session");
            audit(SignIn::Failed);
            return again(StatusCode::SERVICE_UNAVAILABLE, FAILED);
        }
    }
    state.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(peer, key);
    audit(SignIn::Accepted);
    let mut response = see_other(&form.rd);
    response.headers_mut().insert(header::SET_COOKIE, id.set_cookie(https));
    response
}

/// Ends the session that the browser came with and begins another: an id from before the sign-in is worth nothing.
async fn begin(
    state: &State,
    headers: &HeaderMap,
    https: bool,
    id: &SessionId,
    name: &str,
    hash: &str,
) -> Result<bool, crate::store::StoreError> {
    if let Some(old) = SessionId::from_request(headers, https) {
        state.store.end_session(&old).await?;
    }
    state.store.begin_session(id, name, hash).await
}

async fn form(request: Request, public_url: &Url) -> Option<Form> {
    let kind = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !kind.split(';').next()?.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let body = axum::body::to_bytes(request.into_body(), MAX_FORM).await.ok()?;
    let (mut name, mut password, mut rd) = (None, None, String::new());
    for (key, value) in form_urlencoded::parse(&body) {
        match &*key {
            "username" => name = Some(value.into_owned()),
            "password" => password = Some(Secret::new(value.into_owned())),
            "rd" => rd = value.into_owned(),
            _ => return None,
        }
    }
    let (name, password) = (name?, password?);
    let filled = !name.trim().is_empty() && !password.expose().is_empty();
    filled.then(|| Form { name, password, rd: return_path(&rd, public_url) })
}

pub(crate) async fn sign_out(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let request_id = guard::request_id(&request);
    let https = state.current().config.is_https();
    let user = guard::user(&state, request.headers()).await.ok().flatten();
    if let Some(id) = SessionId::from_request(request.headers(), https)
        && let Err(error) = state.store.end_session(&id).await
    {
        error!(%error, "failed to end a session");
        let origin = state.current().config.origin();
        let text = "You are still signed in. Try again later.";
        return state.pages.problem(StatusCode::SERVICE_UNAVAILABLE, &origin, text);
    }
    if let Some(user) = user {
        info!(target: "audit", event = "sign-out", user = user.name, request_id, "sign-out");
    }
    let mut response = see_other("/auth/sign-in");
    response.headers_mut().insert(header::SET_COOKIE, clear_cookie(https));
    response
}

pub(crate) fn see_other(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// Where to go after the sign-in: a path of ours, or the start page.
fn return_path(wanted: &str, public_url: &Url) -> String {
    let plain = wanted.len() <= MAX_RETURN_PATH
        && wanted.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && wanted.starts_with('/')
        && !wanted.starts_with("//");
    // Whatever the rules above let through, what a browser makes of it must be ours.
    let ours = || {
        public_url.join(wanted).is_ok_and(|url| url.origin() == public_url.origin() && !url.path().starts_with("//"))
    };
    if plain && ours() { wanted.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_ours_is_returned_to() {
        let base: Url = "https://lynceus.example".parse().unwrap();
        for path in ["/", "/a/b?c=d&e=%2F%2Fevil#f", "/prometheus/api/v1/query?query=up%7B%7D"] {
            assert_eq!(return_path(path, &base), path);
        }
    }

    #[test]
    fn nothing_else_is_returned_to() {
        let base: Url = "https://lynceus.example".parse().unwrap();
        for path in [
            "",
            "a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "/ /evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "@evil.example",
            "/..//evil.example",
            "/./\u{2f}/evil.example",
            "/é",
            "/a\0",
        ] {
            assert_eq!(return_path(path, &base), "/", "{path:?}");
        }
        assert_eq!(return_path(&format!("/{}", "a".repeat(3000)), &base), "/");
    }
}
