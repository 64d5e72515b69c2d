//! Answers that are not pages: Prometheus' JSON under its paths, plain text elsewhere.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An error in the shape of Prometheus' API, which Grafana and other clients show to people.
pub(crate) fn api_error(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = serde_json::json!({ "status": "error", "errorType": kind, "error": message });
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response()
}

pub(crate) fn api_denial(status: StatusCode) -> Response {
    match status {
        StatusCode::UNAUTHORIZED => api_error(status, "unauthorized", "sign in at /auth/sign-in first"),
        StatusCode::FORBIDDEN => api_error(status, "forbidden", "you belong to no team yet; ask your platform team"),
        StatusCode::NOT_FOUND => api_error(status, "not_found", "not found"),
        _ => api_error(status, "unavailable", "the auth-proxy cannot answer at the moment; try again"),
    }
}

pub(crate) fn plain_denial(status: StatusCode) -> Response {
    let text = match status {
        StatusCode::UNAUTHORIZED => "sign in at /auth/sign-in first\n",
        StatusCode::NOT_FOUND => "not found\n",
        _ => "the auth-proxy cannot answer at the moment; try again\n",
    };
    (status, text).into_response()
}
