//! Every route, and what stands before all of them.

mod gateway;
mod guard;
mod home;
mod pages;
mod params;
mod reply;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};

use crate::app::State;

pub(crate) use pages::Pages;

/// What is not named here is answered with 401 or 404.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(home::page))
        .route("/auth/sign-in", get(sign_in::page).post(sign_in::submit))
        .route("/auth/sign-out", post(sign_in::sign_out))
        .route("/auth/whoami", get(home::whoami))
        .route("/auth/style.css", get(pages::style))
        .route("/auth/icon.svg", get(pages::icon))
        .route("/prometheus/api/v1/query", any(gateway::query))
        .route("/prometheus/api/v1/query_range", any(gateway::query_range))
        .fallback(guard::deny)
        .method_not_allowed_fallback(guard::deny)
        .layer(from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
}
