//! Who is signed in.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::pages::HomePage;
use super::sign_in::see_other;
use super::{guard, reply};
use crate::app::State;
use crate::metrics::Denial;

pub(crate) async fn page(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    match guard::user(&state, &headers).await {
        Ok(Some(user)) => state.pages.home(&HomePage { user: &user, label: &state.current().config.label }),
        Ok(None) => see_other("/auth/sign-in"),
        Err(status) => {
            let origin = state.current().config.origin();
            state.pages.problem(status, &origin, "Lynceus cannot answer at this moment. Try again later.")
        }
    }
}

#[derive(serde::Serialize)]
struct Whoami {
    name: String,
    teams: Vec<String>,
    platform: bool,
}

pub(crate) async fn whoami(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    match guard::user(&state, &headers).await {
        Ok(Some(user)) => Json(Whoami { name: user.name, teams: user.teams, platform: user.platform }).into_response(),
        Ok(None) => {
            state.metrics.denied(Denial::NoSession);
            reply::api_denial(StatusCode::UNAUTHORIZED)
        }
        Err(status) => reply::api_denial(status),
    }
}
