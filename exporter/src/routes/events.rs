//! The newest events, as JSON.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::{JSON_TYPE, Shared, refuse};
use crate::events::{Kept, MAX_KEPT};
use crate::vsphere::EventObject;

/// Without `limit`.
const LIMIT: usize = 100;

/// Empty is the same as absent.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    vcenter: String,
    vm_id: String,
    event: String,
    limit: String,
}

impl Wanted {
    fn limit(&self) -> Option<usize> {
        if self.limit.is_empty() { Some(LIMIT) } else { self.limit.parse().ok().filter(|limit| *limit <= MAX_KEPT) }
    }

    fn wants(&self, kept: &Kept) -> bool {
        let vm_id = kept.vm.as_ref().map(|(vm_id, _)| vm_id.as_str());
        (self.vm_id.is_empty() || vm_id == Some(&self.vm_id))
            && (self.event.is_empty() || kept.event.kind == self.event)
    }
}

#[derive(Serialize)]
struct Shown {
    vcenter: String,
    #[serde(skip)]
    millis: i64,
    time: String,
    key: i64,
    event: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vm_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    objects: Vec<ShownObject>,
}

#[derive(Serialize)]
struct ShownObject {
    role: String,
    name: String,
    r#type: String,
    moref: String,
}

pub(super) async fn list(State(shared): State<Shared>, Query(wanted): Query<Wanted>) -> Response {
    let Some(limit) = wanted.limit() else {
        return refuse(
            StatusCode::BAD_REQUEST,
            format!("expected `limit` from 0 to {MAX_KEPT}, found `{}`\n", wanted.limit),
        );
    };
    let estates = shared.targets.estates(Some(wanted.vcenter.as_str()).filter(|name| !name.is_empty()));
    if estates.is_empty() && !wanted.vcenter.is_empty() {
        return super::no_such_vcenter(&shared.targets, &wanted.vcenter);
    }
    let mut found: Vec<Shown> = Vec::new();
    for estate in estates {
        let state = estate.state();
        let events = state.events.newest().filter(|kept| wanted.wants(kept)).take(limit);
        found.extend(events.map(|kept| shown(&estate.name, kept)));
    }
    found.sort_by_key(|shown| std::cmp::Reverse((shown.millis, shown.key)));
    found.truncate(limit);
    match serde_json::to_vec(&found) {
        Ok(json) => ([(CONTENT_TYPE, JSON_TYPE)], json).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn shown(vcenter: &str, kept: &Kept) -> Shown {
    let (event, vm) = (&kept.event, kept.vm.as_ref());
    let object = |object: &EventObject| ShownObject {
        role: object.role.clone(),
        name: object.name.clone(),
        r#type: object.kind.clone(),
        moref: object.id.clone(),
    };
    Shown {
        vcenter: vcenter.to_owned(),
        millis: event.time,
        time: jiff::Timestamp::from_millisecond(event.time).map(|time| time.to_string()).unwrap_or_default(),
        key: event.key,
        event: event.kind.clone(),
        message: event.message.clone(),
        user: event.user.clone(),
        vm_id: vm.map(|(vm_id, _)| vm_id.clone()),
        team: vm.map(|(_, team)| team.clone()),
        objects: event.objects.iter().map(object).collect(),
    }
}
