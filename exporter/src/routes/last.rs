//! `/api/v1/last?vcenter=`: the last that is known of each object, with its age.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::{Shared, json, no_such_vcenter, refuse};
use crate::last::{Wanted, last as read};

/// Objects in an answer, where the request does not say it.
const LIMIT: usize = 1000;

/// About 100 MB of JSON: more is not for one answer.
const MAX_LIMIT: usize = 10_000;

#[derive(Deserialize)]
pub(super) struct Asked {
    vcenter: Option<String>,
    vm_id: Option<String>,
    host_id: Option<String>,
    datastore_id: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn last(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let Some(vcenter) = asked.vcenter else {
        let known = shared.targets.names().join("`, `");
        return refuse(StatusCode::BAD_REQUEST, format!("expected `vcenter`: one of `{known}`\n"));
    };
    let limit = asked.limit.unwrap_or(LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return refuse(StatusCode::BAD_REQUEST, format!("limit: expected 1 to {MAX_LIMIT}, found {limit}\n"));
    }
    let Some(estate) = shared.targets.estate(&vcenter) else { return no_such_vcenter(&shared.targets, &vcenter) };
    let wanted = Wanted { vm_id: asked.vm_id, host_id: asked.host_id, datastore_id: asked.datastore_id, limit };
    let filtered = wanted.vm_id.is_some() || wanted.host_id.is_some() || wanted.datastore_id.is_some();
    let work = tokio::task::spawn_blocking(move || {
        let last = read(&estate, &wanted);
        if filtered && last.is_empty() {
            return refuse(StatusCode::NOT_FOUND, format!("`{vcenter}` has no such object, and had none lately\n"));
        }
        json(&last)
    });
    match work.await {
        Ok(response) => response,
        Err(stopped) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("{stopped}\n")),
    }
}
