//! What an answer without data says.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lynceus_promql::EvalError;

use super::json;
use crate::archive::ArchiveError;
use crate::body::BodyError;

/// Why a request has no answer; kinds and codes are Prometheus'.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The request is wrong.
    #[error("{0}")]
    BadData(String),
    /// The query is right, and has no answer.
    #[error("{0}")]
    Execution(String),
    #[error("{0}")]
    TimedOut(String),
    #[error("{0}")]
    Unavailable(String),
}

impl ApiError {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadData(_) => (StatusCode::BAD_REQUEST, "bad_data"),
            Self::Execution(_) => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            Self::TimedOut(_) => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind();
        tracing::debug!(error = %self, %status, "a query is not answered");
        let mut body = String::from("{\"status\":\"error\",\"errorType\":");
        json::push_text(&mut body, kind);
        body.push_str(",\"error\":");
        json::push_text(&mut body, &self.to_string());
        body.push('}');
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        match error {
            error if error.is_askers_fault() => Self::Execution(error.to_string()),
            ArchiveError::TimedOut(_) => Self::TimedOut(error.to_string()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::BadData(error.to_string())
    }
}

impl From<EvalError> for ApiError {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Storage(error) => match error.downcast::<ArchiveError>() {
                Ok(error) => Self::from(*error),
                Err(error) => Self::Execution(error.to_string()),
            },
            EvalError::Cancelled => Self::TimedOut("query timed out in query execution".to_owned()),
            EvalError::Step | EvalError::EndBeforeStart | EvalError::TooManySteps { .. } | EvalError::NoRangeOf(_) => {
                Self::BadData(error.to_string())
            }
            error => Self::Execution(error.to_string()),
        }
    }
}
